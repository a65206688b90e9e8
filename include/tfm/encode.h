/* tfm/encode.h - encoders: whole texts in, a vector for every token out; and one vector for a text.
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
 * For the vector of a text, to compare it with others, there is tfm_embed; for labels and scores tfm_classify.
 *
 * An encoder's tokens see each other in both directions, so its input cannot come in pieces: there is no session. Rows
 * are computed one behind the other without padding, and a row's numbers are the same bits whatever its company, the
 * number of threads and the instruction set. */
#ifndef TFM_ENCODE_H
#define TFM_ENCODE_H

#include "tfm/base.h"
#include "tfm/inspect.h"
#include "tfm/model.h"
#include "tfm/tokenizer.h"

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

/* A function that sees values on their way, and may change them: tfm_inspect for one call (inspect.h). An encoder has
 * no logits to look at; OUTPUT_NORM shows its last states. */
typedef struct tfm_encode_inspector {
    const tfm_inspect_options *options;
    tfm_inspect_fn fn;
    void *user;
} tfm_encode_inspector;

typedef struct tfm_encode_options {
    size_t struct_size;
    int32_t keep_layers; /* 1: the states after the embedding and after each layer are kept: tfm_encoded_layer */
    int32_t decoder;     /* 1: the model may be a decoder: its hidden states, each token seeing those before it. 0: a
                            decoder is an error */
    const tfm_cancel *cancel; /* NULL: none */
    tfm_progress_fn progress; /* NULL: none; counts tokens */
    void *progress_user;
    const tfm_encode_inspector *inspectors; /* [inspector_count]; with any, rows are run one after another */
    size_t inspector_count;
} tfm_encode_options;
#define TFM_ENCODE_OPTIONS_INIT { sizeof(tfm_encode_options), 0, 0, NULL, NULL, NULL, NULL, 0 }

/* Runs an encoder, or the encoder of an encoder-decoder, over count rows.
 *   model     the result holds a reference to it
 *   rows      [count]; read during the call only
 *   options   NULL: defaults
 *   out       receives the result; free it with tfm_encoded_release
 * Computes in f32 whatever the type of the weights. Any thread. Allocates. Errors: TFM_E_ARGUMENT (also: the model is
 * a decoder, which tfm_session_create is for, and options do not allow it; a row without tokens; a token type that the model does not have),
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

/* ---- One vector for a text ------------------------------------------------------------------------------------ */

/* How the tokens' vectors become one. Several together: their results one behind the other, in the order first, max,
 * mean, mean by the root, weighted, last. */
#define TFM_POOL_DEFAULT 0   /* as the model's files say (modules.json of sentence-transformers, GGUF's pooling_type);
                                otherwise the mean for encoders and the last token for decoders */
#define TFM_POOL_MEAN 1
#define TFM_POOL_FIRST 2     /* [CLS] */
#define TFM_POOL_LAST 4
#define TFM_POOL_MAX 8       /* the largest of each number */
#define TFM_POOL_MEAN_SQRT 16 /* the sum divided by the root of the number of tokens */
#define TFM_POOL_WEIGHTED 32 /* a mean in which token n (from 1) counts n times */

typedef struct tfm_embed_options {
    size_t struct_size;
    uint32_t pooling;    /* TFM_POOL_*; another than the default leaves out the dense layers that the files describe */
    int32_t normalize;   /* TFM_DEFAULT: as the files say, otherwise not; TFM_YES: to length 1; TFM_NO */
    size_t max_tokens;   /* texts are cut to this many tokens, [CLS] and its like counted; 0: as the files say, otherwise
                            what the model has positions for */
    const char *prompt;  /* [prompt_length] put in front of every text; NULL: as the files say, mostly nothing */
    size_t prompt_length;
    const tfm_cancel *cancel; /* NULL: none */
    tfm_progress_fn progress; /* NULL: none; counts texts */
    void *progress_user;
} tfm_embed_options;
#define TFM_EMBED_OPTIONS_INIT { sizeof(tfm_embed_options), 0, 0, 0, NULL, 0, NULL, NULL, NULL }

/* Turns texts into vectors: tokenized with the model's special tokens, cut, run through the model, pooled. Works for
 * encoders and, on the last hidden states, for decoders.
 *   texts                  [count]; a pair goes in as the model's tokenizer joins two texts
 *   options                NULL: defaults
 *   embeddings, capacity   receives [count, width] floats; NULL with capacity 0 to ask for the width
 *   width                  receives how many numbers each has; may be NULL
 * Computes in f32 whatever the type of the weights; a text's numbers are the same bits whatever its company and the
 * number of threads. Any thread. Allocates for the time of the call. Errors: TFM_E_ARGUMENT (also: a text without any
 * token), TFM_E_STATE (the model has no tokenizer), TFM_E_UNSUPPORTED (the model's files describe a step that this
 * library does not have; naming a pooling goes around it), TFM_E_BUFFER, TFM_E_MEMORY, TFM_E_BUDGET, TFM_E_CANCELLED.
 * Since 0.2. */
TFM_API int32_t tfm_embed(tfm_model *model, const tfm_text_input *texts, size_t count,
                          const tfm_embed_options *options, float *embeddings, size_t capacity, size_t *width,
                          tfm_error *error);

/* The same for rows of token ids, which stay as they are: neither cut nor framed, and without a prompt. Errors: as
 * tfm_embed, and TFM_E_TOKEN, TFM_E_CONTEXT. Since 0.2. */
TFM_API int32_t tfm_embed_tokens(tfm_model *model, const tfm_encode_row *rows, size_t count,
                                 const tfm_embed_options *options, float *embeddings, size_t capacity, size_t *width,
                                 tfm_error *error);

/* Labels of texts, or scores of pairs: what the head of a model for whole texts makes of each (sentiment, entailment;
 * with a question and an answer as a pair, the score of a cross-encoder that ranks answers).
 *   texts              [count] texts or pairs
 *   max_tokens         as in tfm_embed_options
 *   logits, capacity   receives [count, outputs] floats, without softmax or sigmoid; NULL with capacity 0 to ask
 *   outputs            receives how many each has; may be NULL
 * Any thread. Allocates for the time of the call. Errors: as tfm_embed; TFM_E_STATE also when the model has no head for
 * whole texts. Since 0.2. */
TFM_API int32_t tfm_classify(tfm_model *model, const tfm_text_input *texts, size_t count, size_t max_tokens,
                             float *logits, size_t capacity, size_t *outputs, tfm_error *error);

/* What the files call an output of the head ("POSITIVE", "B-PER"), for heads with labels.
 *   index            of the output
 *   text, capacity   receives the label, UTF-8 (no NUL is added); NULL with capacity 0 to ask for the length
 *   length           receives the length in bytes; 0 where the files have no label for it
 * Any thread. Allocates nothing. Errors: TFM_E_ARGUMENT (there is no such output), TFM_E_BUFFER (length is set).
 * Since 0.2. */
TFM_API int32_t tfm_model_label(const tfm_model *model, size_t index, char *text, size_t capacity, size_t *length,
                                tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
