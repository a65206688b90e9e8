/* shape.h - sizes and parameters of a model whose weights are not read. */
#ifndef TFM__SHAPE_H
#define TFM__SHAPE_H

#include "model/model.h"
#include "tfm/plan.h"

/* Reads what the store holds and counts. The store stays the caller's. */
int32_t tfm__shape_of_store(tfm__store *store, tfm_shape *shape, tfm_error *error);

/* What no description says, by the family's row and the keys of config.json that decide: which matrices and
 * norms have biases, whether the half-blocks of a parallel block have a norm each, whether the shared expert
 * has a switch. */
enum {
    TFM__BIAS_QKV = 1,
    TFM__BIAS_OUT = 2,
    TFM__BIAS_FEED = 4,
    TFM__BIAS_NORM = 8,
    TFM__BIAS_OUTPUT = 16,
    TFM__BIAS_QK_NORM = 32
};
#define TFM__BIAS_ATTENTION (TFM__BIAS_QKV | TFM__BIAS_OUT)
#define TFM__BIAS_MATRICES (TFM__BIAS_ATTENTION | TFM__BIAS_FEED)
typedef struct tfm__shape_extras {
    int biases;
    bool two_norms, has_switch;
} tfm__shape_extras;
/* Of a model with container and description. */
tfm__shape_extras tfm__shape_extras_of(tfm_model *model);

/* The config.json of a known model (known.c): name and text of row index, or NULL past the end. */
const char *tfm__known_name(size_t index);
const char *tfm__known_config(size_t index);

#endif
