/* numbers.h - small helpers that the description readers share. */
#ifndef TFM__NUMBERS_H
#define TFM__NUMBERS_H

#include "base/base.h"

/* The bound on layers, needed before an array of them is made. */
int32_t tfm__layers_bound(uint32_t layers, const char *file, tfm_error *error);

#endif
