/* tfm/session.h - one timeline through a model: append tokens, read the logits, go back, branch.
 *
 * Example: which token does the model expect after a text?
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_model *model = NULL;
 *         tfm_session *session = NULL;
 *         int32_t ids[64];
 *         const float *logits = NULL;
 *         size_t count = 0, vocab = 0, best = 0;
 *         if (argc != 2) return 2;
 *         if (tfm_model_load(argv[1], NULL, &model, &error) ||
 *             tfm_session_create(model, NULL, &session, &error) ||
 *             tfm_tokenize(tfm_tokenizer_of(model), "Once", 4, NULL, ids, 64, &count, &error) ||
 *             tfm_forward(session, ids, count, NULL, &error) ||
 *             tfm_logits(session, 0, &logits, &vocab, &error)) {
 *             fprintf(stderr, "%s\n", error.message);
 *         } else {
 *             for (size_t i = 1; i < vocab; i++)
 *                 if (logits[i] > logits[best]) best = i;
 *             printf("token %zu\n", best);
 *         }
 *         tfm_session_destroy(session);
 *         tfm_model_release(model);
 *         return error.code != 0;
 *     }
 *
 * A session belongs to one thread at a time. Its results are the same bits whatever the number of threads in the pool,
 * however the tokens are cut into calls, whether it was forked or rewound on the way, and on every instruction set. */
#ifndef TFM_SESSION_H
#define TFM_SESSION_H

#include "tfm/base.h"
#include "tfm/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tfm_session tfm_session;
typedef struct tfm_encoded tfm_encoded; /* tfm/encode.h */

#define TFM_CACHE_DEFAULT 0 /* F32 for models whose weights are F32, F16 otherwise */
#define TFM_CACHE_F32 1
#define TFM_CACHE_F16 2
#define TFM_CACHE_BF16 3
#define TFM_CACHE_Q8_0 4 /* blocks of 32 numbers of a head with one scale, 8.5 bits a number. Since 0.2 */
#define TFM_CACHE_Q4_0 5 /* the same, 4.5 bits a number. A head whose size is no multiple of 32 is padded to one */

typedef struct tfm_session_options {
    size_t struct_size;
    uint32_t context;    /* most positions; 0: what the model was made for */
    uint32_t batch;      /* tokens processed together in a long prompt; 0: 512. Never changes a result */
    int32_t cache_type;  /* TFM_CACHE_*: how keys and values are kept */
    int32_t reserved;    /* 0 */
    const tfm_encoded *encoded; /* encoder-decoders: what the decoder looks at, from tfm_encode of the same model; read
                                   during the call only. NULL for other models. Since 0.2 */
    size_t encoded_row;         /* which of its rows */
} tfm_session_options;
#define TFM_SESSION_OPTIONS_INIT { sizeof(tfm_session_options), 0, 0, 0, 0, NULL, 0 }

/* Makes an empty session.
 *   model     the session holds a reference to it
 *   options   NULL: defaults
 *   out       receives the session; free it with tfm_session_destroy
 * Memory for keys and values is taken page by page (64 positions) as the session grows. Allocates. Errors:
 * TFM_E_ARGUMENT, TFM_E_MEMORY, TFM_E_BUDGET. Any thread. Since 0.1. */
TFM_API int32_t tfm_session_create(tfm_model *model, const tfm_session_options *options, tfm_session **out,
                                   tfm_error *error);

/* Frees a session; its pages that forks share stay with those. NULL is allowed. Since 0.1. */
TFM_API void tfm_session_destroy(tfm_session *session);

#define TFM_LOGITS_LAST 0 /* of the last token only */
#define TFM_LOGITS_ALL 1  /* of every token of the call */
#define TFM_LOGITS_NONE 2 /* of none: only the past grows */

typedef struct tfm_forward_options {
    size_t struct_size;
    int32_t logits;           /* TFM_LOGITS_* */
    int32_t reserved;         /* 0 */
    tfm_progress_fn progress; /* NULL: none; counts tokens */
    void *progress_user;
    const tfm_cancel *cancel; /* NULL: none */
} tfm_forward_options;
#define TFM_FORWARD_OPTIONS_INIT { sizeof(tfm_forward_options), 0, 0, NULL, NULL, NULL }

/* Appends tokens to the session and computes the logits asked for.
 *   tokens    [count] ids; count at least 1
 *   options   NULL: logits of the last token
 * On an error (also when cancelled) the session is as it was before the call, its position included; without logits,
 * unless it was the arguments' fault (ARGUMENT, TOKEN, CONTEXT). After the first call of a given size, calls of one token allocate nothing except, every 64 positions, a page
 * per layer. Errors: TFM_E_ARGUMENT, TFM_E_TOKEN, TFM_E_CONTEXT, TFM_E_MEMORY, TFM_E_BUDGET, TFM_E_CANCELLED.
 * One thread at a time. Since 0.1. */
TFM_API int32_t tfm_forward(tfm_session *session, const tfm_token *tokens, size_t count,
                            const tfm_forward_options *options, tfm_error *error);

/* A session and what it reads in a tfm_forward_many. */
typedef struct tfm_forward_part {
    tfm_session *session;
    const tfm_token *tokens; /* [count]; not tfm_session_tokens of a session of the call */
    size_t count;            /* at least 1 */
    int32_t logits;          /* TFM_LOGITS_* */
    int32_t reserved;        /* 0 */
} tfm_forward_part;

/* Appends tokens to several sessions of one model in passes that they share: prompts and single tokens in any mix, and
 * the weights are read once for all of them. That is how a server advances its conversations: sessions come and go
 * between calls, none has a number.
 *   parts     [count] sessions, each at most once
 *   options   NULL: defaults. logits must be 0 (each part has its own); progress counts the tokens of all
 * A session gets the same bits as from tfm_forward alone, whatever its company. One that is being looked into
 * (tfm_inspect) takes no part in the shared passes but runs by itself. On an error every session is as it was before the
 * call, its position included; without logits, unless it was the arguments' fault. The model keeps the working memory for
 * its next call; then calls of that size allocate nothing but pages. Errors: TFM_E_ARGUMENT (also: sessions of two
 * models, or one twice), TFM_E_TOKEN, TFM_E_CONTEXT, TFM_E_MEMORY, TFM_E_BUDGET, TFM_E_CANCELLED. Every session's thread
 * is this one during the call; other sessions of the model may run on other threads. Since 0.2. */
TFM_API int32_t tfm_forward_many(const tfm_forward_part *parts, size_t count, const tfm_forward_options *options,
                                 tfm_error *error);

/* The logits that the last tfm_forward computed.
 *   index   0 .. tfm_logits_count - 1, in the order of the tokens
 *   logits  receives the address of [vocab] floats, valid until the session's next tfm_forward, rewind or end
 *   vocab   receives the vocabulary size; may be NULL
 * Allocates nothing. Errors: TFM_E_ARGUMENT, TFM_E_STATE (there are none). Since 0.1. */
TFM_API int32_t tfm_logits(const tfm_session *session, size_t index, const float **logits, size_t *vocab,
                           tfm_error *error);

/* For how many tokens there are logits now. Since 0.1. */
TFM_API size_t tfm_logits_count(const tfm_session *session);

/* How many tokens the session holds: the position that the next one gets. 0 for NULL. Since 0.1. */
TFM_API size_t tfm_session_position(const tfm_session *session);

/* The tokens that the session holds, [tfm_session_position], valid until the next call that changes it. Since 0.1. */
TFM_API const tfm_token *tfm_session_tokens(const tfm_session *session);

/* How many positions the session can hold. Since 0.1. */
TFM_API size_t tfm_session_context(const tfm_session *session);

/* The model of the session; not a new reference. Since 0.1. */
TFM_API tfm_model *tfm_session_model(const tfm_session *session);

/* Forgets every token from position on; the session then has no logits. Rewinding to the present position changes
 * nothing. Allocates nothing. Errors: TFM_E_ARGUMENT (position lies in the future). Since 0.1. */
TFM_API int32_t tfm_session_rewind(tfm_session *session, size_t position, tfm_error *error);

/* Makes a second session with the same past, which shares its pages until one of the two writes to them; the fork has
 * a copy of the last token's logits if there are any. The two may then run on different threads.
 *   out   receives the fork; free it with tfm_session_destroy
 * Allocates. Errors: TFM_E_ARGUMENT, TFM_E_MEMORY, TFM_E_BUDGET. Since 0.1. */
TFM_API int32_t tfm_session_fork(const tfm_session *session, tfm_session **out, tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
