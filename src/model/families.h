/* families.h - the parts of the table of families, which is cut into files by kind. */
#ifndef TFM__FAMILIES_H
#define TFM__FAMILIES_H

#include "model/config.h"

/* Row index of the encoders (families_encoder.c) and of the encoder-decoders (families_seq2seq.c); NULL past
 * the end. */
const tfm__family *tfm__encoder_family(size_t index);
const tfm__family *tfm__seq2seq_family(size_t index);

#endif
