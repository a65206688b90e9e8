/* tfm/adapter.h - LoRA adapters: small changes of a model, each session with its own.
 *
 * Example: the first of a text's continuation, with an adapter at half its strength. Without a second argument there is
 * none.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_model *model = NULL;
 *         tfm_adapter *adapter = NULL;
 *         tfm_session *session = NULL;
 *         tfm_adapter_use use = {NULL, 0.5f, 0};
 *         tfm_candidate best;
 *         size_t count = 0;
 *         const tfm_token ids[3] = {1, 5, 9};
 *         if (argc < 2) return 2;
 *         if (tfm_model_load(argv[1], NULL, &model, &error) ||
 *             tfm_session_create(model, NULL, &session, &error) ||
 *             (argc > 2 && tfm_adapter_load(model, argv[2], &adapter, &error)) ||
 *             (use.adapter = adapter, tfm_session_adapt(session, &use, adapter != NULL, &error)) ||
 *             tfm_forward(session, ids, 3, NULL, &error) ||
 *             tfm_top_candidates(session, &best, 1, &count, &error))
 *             fprintf(stderr, "%s\n", error.message);
 *         else
 *             printf("token %d\n", (int)best.token);
 *         tfm_adapter_release(adapter); // the session keeps it as long as it needs it
 *         tfm_session_destroy(session);
 *         tfm_model_release(model);
 *         return error.code != 0;
 *     }
 *
 * To a matrix W of the model an adapter has two narrow ones, A [rank, inputs] and B [outputs, rank], and a session that
 * uses it computes W x + scale * (alpha / rank) * B (A x). The model is shared and never changes: sessions of one model
 * may have different adapters, several each, or none, and advance together (tfm_forward_many). Whatever the number of
 * threads, the cut of the prompt, the company and the instruction set, the bits are the same. */
#ifndef TFM_ADAPTER_H
#define TFM_ADAPTER_H

#include "tfm/base.h"
#include "tfm/model.h"
#include "tfm/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tfm_adapter tfm_adapter;

/* Opens an adapter for a model: a folder in PEFT's layout (adapter_config.json with adapter_model.safetensors, or one
 * of these two files), or a GGUF file whose general.type is "adapter", as llama.cpp has them. Either fits a model of
 * either layout: names and orders of rows are translated.
 *   model   a decoder; the adapter holds a reference to it
 *   path    UTF-8
 *   out     receives the adapter; let go of it with tfm_adapter_release
 * Pairs for attention's and the feed-forward's matrices, experts, routers and the output are read, fused matrices
 * included, with PEFT's rank_pattern and alpha_pattern (names, not expressions) and use_rslora. Refused by name: DoRA,
 * biases, modules_to_save, adapters of the embedding, other ways to begin than those that leave the base alone, and any
 * setting that is not known and switched on. The matrices are copied to F32; the files are not needed afterwards.
 * Allocates, from the model's allocator and budget. Errors: TFM_E_NOT_FOUND, TFM_E_IO, TFM_E_FORMAT, TFM_E_TRUNCATED,
 * TFM_E_UNSUPPORTED, TFM_E_MISSING, TFM_E_SHAPE (ranks and shapes that contradict the settings or the model),
 * TFM_E_MEMORY, TFM_E_BUDGET, TFM_E_ARGUMENT. Any thread. Since 0.2. */
TFM_API int32_t tfm_adapter_load(tfm_model *model, const char *path, tfm_adapter **out, tfm_error *error);

/* The same through the host's own read functions. source is one of the files; its `open` is asked for the other one.
 * Errors as tfm_adapter_load; TFM_E_IO when the source refuses. Any thread. Since 0.2. */
TFM_API int32_t tfm_adapter_load_source(tfm_model *model, const tfm_source *source, tfm_adapter **out,
                                        tfm_error *error);

/* Takes one more reference, for a second owner. NULL is allowed. Any thread. Never fails. Since 0.2. */
TFM_API void tfm_adapter_retain(tfm_adapter *adapter);

/* Lets go of one reference; the last one frees the adapter. Sessions hold one of their own. NULL is allowed. Any
 * thread. Since 0.2. */
TFM_API void tfm_adapter_release(tfm_adapter *adapter);

typedef struct tfm_adapter_info {
    size_t struct_size;
    char format[32];     /* "peft" or "gguf" */
    uint64_t parameters; /* numbers in its matrices */
    uint32_t matrices;   /* of the model that it changes; a fused one counts as what it was cut into */
    uint32_t rank;       /* the largest */
} tfm_adapter_info;
#define TFM_ADAPTER_INFO_INIT { sizeof(tfm_adapter_info), "", 0, 0, 0 }

/* Fills info. Any thread. Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_adapter_get_info(const tfm_adapter *adapter, tfm_adapter_info *info, tfm_error *error);

/* An adapter and how strongly it acts. */
typedef struct tfm_adapter_use {
    tfm_adapter *adapter;
    float scale;       /* 1: as it was trained; any finite number. 0 changes no bit */
    uint32_t reserved; /* 0 */
} tfm_adapter_use;

/* Says which adapters a session's passes go through from now on, in place of those that it had.
 *   uses    [count]; the session takes references, the array is not kept. NULL with count 0: none. At most 64
 *   count   an adapter may be there twice; the order matters to the last bits only
 * What the session has read already keeps the keys and values that it was given then: rewind to 0 to read it anew. The
 * session has no logits afterwards. Forks have the same adapters. In tfm_forward_many, a session whose adapters change
 * experts or the output matrix runs by itself; others share the pass. Allocates. On an error nothing has changed. Errors:
 * TFM_E_ARGUMENT (an adapter of another model; a scale that is no number), TFM_E_STATE (from inside an inspector),
 * TFM_E_MEMORY, TFM_E_BUDGET. One thread at a time. Since 0.2. */
TFM_API int32_t tfm_session_adapt(tfm_session *session, const tfm_adapter_use *uses, size_t count, tfm_error *error);

/* Makes a copy of a model with adapters in its weights: W becomes W + scale * (alpha / rank) * B A, rounded to the type
 * that it has. The copy runs as fast as the model itself and gives what a session with the adapters gives, but for
 * rounding.
 *   model   its changed matrices must be F32, F16 or BF16. It is not changed; the copy holds a reference to it and uses
 *           its files for everything else, so it takes memory for the changed tensors only
 *   uses    [count], as in tfm_session_adapt; they are not needed afterwards
 *   out     receives the copy; let go of it with tfm_model_release. It has the pool, allocator and budget of the model
 * Allocates. Errors: TFM_E_ARGUMENT, TFM_E_UNSUPPORTED (a quantised matrix, named; the output of a model that shares it
 * with its embedding), TFM_E_MEMORY, TFM_E_BUDGET. Any thread. Since 0.2. */
TFM_API int32_t tfm_adapter_merge(tfm_model *model, const tfm_adapter_use *uses, size_t count, tfm_model **out,
                                  tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
