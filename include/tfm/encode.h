/* tfm/encode.h - encoders: whole texts in, a vector for every token out.
 *
 * Example: the hidden states of two rows of token ids, of different lengths, in one call.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         const tfm_token first[] = {3, 18, 25, 4}, second[] = {3, 77, 4};
 *         const tfm_encode_row rows[] = {{first, 4, NULL}, {second, 3, NULL}};
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
 *         tfm_model *model = NULL;
 *         tfm_encoded *encoded = NULL;
 *         if (argc != 2) return 2;
 *         if (tfm_model_load(argv[1], NULL, &model, &error) ||
 *             tfm_encode(model, rows, 2, NULL, &encoded, &error) || tfm_encoded_get(encoded, &view, &error)) {
 *             fprintf(stderr, "%s\n", error.message);
 *         } else {
 *             const float *last = view.hidden + (view.starts[2] - 1) * view.width;
 *             printf("%zu tokens of %zu numbers; the last begins with %g\n", view.tokens, view.width, (double)last[0]);
 *         }
 *         tfm_encoded_release(encoded);
 *         tfm_model_release(model);
 *         return error.code != 0;
 *     }
 *
 * An encoder's tokens see each other in both directions, so its input cannot come in pieces: there is no session. Rows
 * are computed one behind the other without padding, and a row's numbers are the same bits whatever its company, the
 * number of threads and the instruction set. */
#ifndef TFM_ENCODE_H
#define TFM_ENCODE_H

#include "tfm/base.h"
#include "tfm/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tfm_encoded tfm_encoded;

/* One text of a call, as token ids. */
typedef struct tfm_encode_row {
    const tfm_token *tokens; /* [count] */
    size_t count;            /* at least 1 */
    const int32_t *types;    /* [count] token types, for models that tell a text from its pair by them; NULL: all 0 */
} tfm_encode_row;

typedef struct tfm_encode_options {
    size_t struct_size;
    int32_t keep_layers; /* 1: the states after the embedding and after each layer are kept: tfm_encoded_layer */
    int32_t reserved;    /* 0 */
    const tfm_cancel *cancel; /* NULL: none */
    tfm_progress_fn progress; /* NULL: none; counts tokens */
    void *progress_user;
} tfm_encode_options;
#define TFM_ENCODE_OPTIONS_INIT { sizeof(tfm_encode_options), 0, 0, NULL, NULL, NULL }

/* Runs an encoder, or the encoder of an encoder-decoder, over count rows.
 *   model     the result holds a reference to it
 *   rows      [count]; read during the call only
 *   options   NULL: defaults
 *   out       receives the result; free it with tfm_encoded_release
 * Computes in f32 whatever the type of the weights. Any thread. Allocates. Errors: TFM_E_ARGUMENT (also: the model is
 * a decoder, which tfm_session_create is for; a row without tokens; a token type that the model does not have),
 * TFM_E_TOKEN, TFM_E_CONTEXT (a row is longer than the model has positions for), TFM_E_MEMORY, TFM_E_BUDGET,
 * TFM_E_CANCELLED. Since 0.2. */
TFM_API int32_t tfm_encode(tfm_model *model, const tfm_encode_row *rows, size_t count,
                           const tfm_encode_options *options, tfm_encoded **out, tfm_error *error);

/* Frees the result. NULL is allowed. Since 0.2. */
TFM_API void tfm_encoded_release(tfm_encoded *encoded);

/* What the head behind an encoder gives outputs for. */
#define TFM_HEAD_NONE 0   /* there is none */
#define TFM_HEAD_TOKENS 1 /* every token: the vocabulary's logits (masked words), or labels of tokens */
#define TFM_HEAD_ROWS 2   /* every row: labels of texts, or the score of a pair */

typedef struct tfm_encoded_view {
    size_t struct_size;
    size_t rows;
    size_t tokens;        /* of all rows */
    size_t width;
    const size_t *starts; /* [rows + 1] row r has the tokens starts[r] to starts[r + 1] - 1 */
    const float *hidden;  /* [tokens, width] the last layer's states, behind the final norm where there is one */
    const float *pooled;  /* [rows, width] what the model's pooler makes of each row; NULL: it has none */
    size_t layers;        /* states that tfm_encoded_layer gives: layers + 1, or 0 without keep_layers */
    int32_t head;         /* TFM_HEAD_* of the model */
    int32_t reserved;
    size_t outputs;       /* of the head for each token or row */
} tfm_encoded_view;
#define TFM_ENCODED_VIEW_INIT { sizeof(tfm_encoded_view), 0, 0, 0, NULL, NULL, NULL, 0, 0, 0, 0 }

/* Fills view; its arrays belong to the result and live as long. Any thread. Allocates nothing. Errors: TFM_E_ARGUMENT.
 * Since 0.2. */
TFM_API int32_t tfm_encoded_get(const tfm_encoded *encoded, tfm_encoded_view *view, tfm_error *error);

/* The states after the embedding (layer 0), after each layer (1 ...), the last behind the final norm.
 *   hidden   receives [tokens, width], which belongs to the result
 * Any thread. Allocates nothing. Errors: TFM_E_ARGUMENT, TFM_E_STATE (encoded without keep_layers). Since 0.2. */
TFM_API int32_t tfm_encoded_layer(const tfm_encoded *encoded, size_t layer, const float **hidden, tfm_error *error);

/* What the model's head makes of tokens or rows (view.head says which) first to first + count - 1: logits of the
 * vocabulary for masked words, or of labels, without softmax or sigmoid.
 *   logits, capacity   receives [count, outputs] floats
 * Any thread. Allocates scratch for the time of the call. Errors: TFM_E_ARGUMENT, TFM_E_STATE (the model has no head),
 * TFM_E_BUFFER, TFM_E_MEMORY, TFM_E_BUDGET. Since 0.2. */
TFM_API int32_t tfm_encoded_logits(const tfm_encoded *encoded, size_t first, size_t count, float *logits,
                                   size_t capacity, tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
