/* encode.h - whole rows of tokens to hidden states; the story is in encode.c. */
#ifndef TFM__ROWS_ENCODE_H
#define TFM__ROWS_ENCODE_H

#include "base/threads.h"
#include "model/state.h"
#include "tfm/encode.h"

struct tfm_encoded {
    tfm_model *model; /* a reference */
    size_t rows, tokens;
    size_t *starts; /* [rows + 1] */
    float *hidden;  /* [tokens, width] */
    float *pooled;  /* [rows, width], or NULL */
    float *layers;  /* [layers + 1, tokens, width], or NULL */
};

/* Every row has tokens, every id and type exists, and no row is longer than the model has positions for. */
int32_t tfm__check_rows(const tfm_model *model, const tfm_encode_row *rows, size_t count, tfm_error *error);

/* Runs the layers over checked rows, whatever the family: each token sees its row's others as the family has
 * it. Of the options keep_layers and inspectors count; NULL: neither. watch may be NULL. */
int32_t tfm__encode(tfm_model *model, const tfm_encode_row *rows, size_t count,
                    const tfm_encode_options *options, tfm__watch *watch, tfm_encoded **out,
                    tfm_error *error);
void tfm__encoded_free(tfm_encoded *encoded); /* and its reference; NULL is fine */

/* One of TFM__HEAD_LINEAR ... over n numbers. */
void tfm__head_activate(const tfm_model *model, int activation, float *x, size_t n);

/* What the head is for: TFM__HEAD_*. */
int tfm__head_scope(const tfm_model *model);

/* The head's outputs for tokens or rows first to first + count - 1. [count, outputs] */
int32_t tfm__encoded_logits(const tfm_encoded *encoded, size_t first, size_t count, float *logits,
                            tfm_error *error);

#endif
