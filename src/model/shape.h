/* shape.h - sizes and parameters of a model whose weights are not read. */
#ifndef TFM__SHAPE_H
#define TFM__SHAPE_H

#include "model/config.h"
#include "tfm/plan.h"

/* Reads what the store holds and counts. The store stays the caller's. */
int32_t tfm__shape_of_store(tfm__store *store, tfm_shape *shape, tfm_error *error);

/* The config.json of a known model (known.c): name and text of row index, or NULL past the end. */
const char *tfm__known_name(size_t index);
const char *tfm__known_config(size_t index);

#endif
