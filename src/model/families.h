/* families.h - the parts of the table of families, which is cut into files by kind. */
#ifndef TFM__FAMILIES_H
#define TFM__FAMILIES_H

#include "model/config.h"

/* Row index of the encoders (families_encoder.c); NULL past the end. */
const tfm__family *tfm__encoder_family(size_t index);

#endif
