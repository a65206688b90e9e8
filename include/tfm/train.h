/* tfm/train.h - training: a model's weights, copied, get better at predicting the tokens that they are shown.
 *
 * Example: a few steps on one line, and what its tokens cost before and after.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         static const char text[] = "the cat and the hat";
 *         tfm_token tokens[64];
 *         size_t count = 0;
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_model *model = NULL;
 *         tfm_trainer *trainer = NULL;
 *         tfm_trainer_options options = TFM_TRAINER_OPTIONS_INIT;
 *         tfm_train_batch batch = TFM_TRAIN_BATCH_INIT;
 *         tfm_train_result result = TFM_TRAIN_RESULT_INIT;
 *         if (argc != 2) return 2;
 *         options.learning_rate = 1e-4;
 *         int failed = tfm_model_load(argv[1], NULL, &model, &error) ||
 *                      tfm_tokenize(tfm_tokenizer_of(model), text, sizeof text - 1, NULL, tokens, 64, &count, &error) ||
 *                      tfm_trainer_create(model, &options, &trainer, &error);
 *         batch.tokens = tokens;
 *         batch.rows = 1;
 *         batch.length = count;
 *         for (int step = 0; step < 4 && !failed; step++) {
 *             failed = tfm_trainer_step(trainer, &batch, 1, &result, &error) != TFM_OK;
 *             if (!failed) printf("step %d: loss %.3f\n", step, result.loss);
 *         }
 *         if (failed) fprintf(stderr, "%s\n", error.message);
 *         tfm_trainer_destroy(trainer);
 *         tfm_model_release(model);
 *         return failed;
 *     }
 *
 * A trainer has weights of its own, in F32: the model that it was made from never changes and may be in use elsewhere
 * meanwhile. Steps go through the same forward code that runs models. The same weights, options and batches give the
 * same bits, for any number of threads and any instruction set. A trainer is used by one thread at a time. */
#ifndef TFM_TRAIN_H
#define TFM_TRAIN_H

#include "tfm/base.h"
#include "tfm/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tfm_trainer tfm_trainer;

#define TFM_OPTIMIZER_ADAMW 0 /* Adam with decoupled weight decay (Loshchilov and Hutter 2019) */
#define TFM_OPTIMIZER_SGD 1   /* gradient descent with momentum, and the same decay */
#define TFM_OPTIMIZER_MUON 2  /* Muon (Jordan and others 2024) for the matrices of layers: their momentum, made nearly
                                 orthogonal; AdamW for embeddings, output, routers, vectors and stacked experts */

/* How the learning rate goes on after the warm-up, which rises from 0 in equal steps and reaches it at its last. */
#define TFM_SCHEDULE_CONSTANT 0
#define TFM_SCHEDULE_LINEAR 1 /* a straight line to last_rate at step `steps` */
#define TFM_SCHEDULE_COSINE 2 /* half a cosine to last_rate at step `steps` */
#define TFM_SCHEDULE_WSD 3    /* constant, and a straight line to last_rate over the last `decay` steps */

typedef struct tfm_trainer_options {
    size_t struct_size;
    int32_t optimizer;    /* TFM_OPTIMIZER_* */
    int32_t schedule;     /* TFM_SCHEDULE_* */
    double learning_rate; /* the highest; at least 0 */
    double last_rate;     /* the lowest, that schedules end at */
    double beta1, beta2;  /* AdamW: of the means of gradients and of their squares; [0, 1) */
    double epsilon;       /* AdamW: added to the root */
    double momentum;      /* SGD: [0, 1) */
    double weight_decay;  /* of tensors with two or more dimensions; times the learning rate, off the weights */
    double vector_decay;  /* the same of all others (norms, biases) */
    double clip;          /* gradients are scaled down to this norm over all tensors; 0: never */
    uint64_t steps;       /* of the whole run, for the schedule; 0: without an end, and then constant */
    uint64_t warmup;      /* steps */
    uint64_t decay;       /* steps, TFM_SCHEDULE_WSD */
    tfm_pool *pool;       /* NULL: the model's. Must outlive the trainer */
    const tfm_allocator *allocator; /* NULL: the C library's */
    uint64_t byte_budget; /* most bytes that the trainer holds; 0: no bound */
    double muon_momentum; /* Muon: [0, 1), looking ahead (Nesterov); 0: 0.95 */
    double muon_scale;    /* Muon: its matrices learn at learning_rate * this * sqrt(max(1, outputs / inputs)) and decay at
                             learning_rate * this * weight_decay; 0: 20 */
} tfm_trainer_options;
#define TFM_TRAINER_OPTIONS_INIT \
    { sizeof(tfm_trainer_options), TFM_OPTIMIZER_ADAMW, TFM_SCHEDULE_CONSTANT, 3e-4, 0.0, 0.9, 0.95, 1e-8, 0.9, 0.1, \
      0.0, 1.0, 0, 0, 0, NULL, NULL, 0, 0.0, 0.0 }

typedef struct tfm_new_model_options {
    size_t struct_size;
    uint64_t seed;                  /* the same seed and description: the same weights, on any machine */
    const char *tokenizer;          /* a folder whose tokenizer's files are copied, UTF-8; NULL: none */
    const tfm_allocator *allocator; /* NULL: the C library's */
    uint64_t byte_budget;           /* most bytes held meanwhile; 0: no bound */
} tfm_new_model_options;
#define TFM_NEW_MODEL_OPTIONS_INIT { sizeof(tfm_new_model_options), 0, NULL, NULL, 0 }

/* Writes a model that has learned nothing yet as a Hugging Face folder, to be loaded and trained.
 *   config    a config.json of any family of decoders that can be trained (or a folder with one), UTF-8
 *   options   NULL: TFM_NEW_MODEL_OPTIONS_INIT
 *   folder    where it goes, UTF-8; made if it is not there (not the folders above it)
 * Weights are F32 and begin as in transformers: matrices and embeddings normal with the description's initializer_range
 * (or init_std; 0.02 without), GPT-2's projections into the stream over sqrt(2 layers), norms 1, biases 0. All of them
 * are in memory meanwhile. Each file is written as by tfm_trainer_save. Errors: TFM_E_UNSUPPORTED (a family that cannot
 * be trained), TFM_E_NOT_FOUND, TFM_E_FORMAT, TFM_E_MISSING (no tokenizer in its folder), TFM_E_IO, TFM_E_ARGUMENT,
 * TFM_E_MEMORY, TFM_E_BUDGET. Any thread. Since 0.2. */
TFM_API int32_t tfm_model_write_new(const char *config, const tfm_new_model_options *options, const char *folder,
                                    tfm_error *error);

/* Makes a trainer with copies of a decoder's weights, which must be F32, F16 or BF16.
 *   model     retained until the trainer is destroyed (its description and names are used); unchanged
 *   options   NULL: TFM_TRAINER_OPTIONS_INIT. Copied.
 *   out       receives the trainer; free it with tfm_trainer_destroy
 * Allocates four numbers of 4 bytes for each weight. Errors: TFM_E_ARGUMENT (a setting out of its range, named),
 * TFM_E_UNSUPPORTED (an encoder, quantised weights, a part that cannot be trained), TFM_E_MEMORY, TFM_E_BUDGET. Any
 * thread. Since 0.2. */
TFM_API int32_t tfm_trainer_create(tfm_model *model, const tfm_trainer_options *options, tfm_trainer **out,
                                   tfm_error *error);

/* Frees the trainer. NULL is allowed. Any thread, when no call uses it. Since 0.2. */
TFM_API void tfm_trainer_destroy(tfm_trainer *trainer);

/* Rows of tokens of one length, each a text of its own. Token i of a row is predicted from those before it. */
typedef struct tfm_train_batch {
    size_t struct_size;
    const tfm_token *tokens; /* [rows, length]; the caller's */
    size_t rows, length;     /* at least 1 row of at least 2 tokens */
    const uint8_t *mask;     /* [rows, length]: 0 where a token does not count as a target (a prompt, padding);
                                NULL: all count. A row's first token never does */
} tfm_train_batch;
#define TFM_TRAIN_BATCH_INIT { sizeof(tfm_train_batch), NULL, 0, 0, NULL }

typedef struct tfm_train_result {
    size_t struct_size;
    uint64_t step;        /* that was made, from 0 on */
    double loss;          /* mean of -log p over the targets, before the step; natural logarithm */
    double gradient_norm; /* over all tensors, before clipping */
    double learning_rate; /* that was used */
    uint64_t targets;     /* tokens that counted */
} tfm_train_result;
#define TFM_TRAIN_RESULT_INIT { sizeof(tfm_train_result), 0, 0.0, 0.0, 0.0, 0 }

/* One step: the gradient of the mean loss over all targets of all batches, clipped, to the optimizer.
 *   batches   [count], read one after another, so that more than one batch (gradient accumulation) takes no more memory
 *             than the largest
 *   result    NULL: not wanted
 * Takes memory when a batch is larger than any before. Errors: TFM_E_ARGUMENT, TFM_E_TOKEN (beyond the vocabulary),
 * TFM_E_CONTEXT (longer than learned positions reach), TFM_E_STATE (the loss or the gradient is no finite number: names
 * the step), TFM_E_CANCELLED, TFM_E_MEMORY, TFM_E_BUDGET. On an error the weights are as before the call. Since 0.2. */
TFM_API int32_t tfm_trainer_step(tfm_trainer *trainer, const tfm_train_batch *batches, size_t count,
                                 tfm_train_result *result, tfm_error *error);

/* The mean loss of batches, without a step (held-out text).
 *   result    loss and targets are filled; step is the number of steps made
 * Errors as tfm_trainer_step. Since 0.2. */
TFM_API int32_t tfm_trainer_evaluate(tfm_trainer *trainer, const tfm_train_batch *batches, size_t count,
                                     tfm_train_result *result, tfm_error *error);

/* The functions that steps call between layers and a flag that they look at, from now on; both may be NULL. progress
 * counts the tokens of a step, twice each (forward and back). Never fails. Since 0.2. */
TFM_API void tfm_trainer_watch(tfm_trainer *trainer, tfm_progress_fn progress, void *user,
                               const tfm_cancel *cancel);

/* The model that is being trained, for sessions on its weights as they are: what it writes, what it gives a text.
 * Belongs to the trainer: it is not to be released, and its sessions are to be destroyed before the trainer and used by
 * the trainer's thread, between its calls. A session holds keys and values of the weights that it read with: behind a
 * step, tfm_session_rewind it to 0 or make another. NULL for NULL. Never fails. Since 0.2. */
TFM_API tfm_model *tfm_trainer_model(tfm_trainer *trainer);

/* Another highest learning rate for the steps to come, for hosts with a schedule of their own: it is used as it is,
 * schedule and warm-up aside; a negative one goes back to them. Errors: TFM_E_ARGUMENT (not finite). Since 0.2. */
TFM_API int32_t tfm_trainer_set_rate(tfm_trainer *trainer, double rate, tfm_error *error);

/* Steps made, those before a resumed checkpoint included. Since 0.2. */
TFM_API uint64_t tfm_trainer_steps(const tfm_trainer *trainer);

/* What is kept of each weight. */
#define TFM_TRAINED_WEIGHT 0
#define TFM_TRAINED_GRADIENT 1 /* of the last step, before clipping; zeros before the first */

typedef struct tfm_trained_tensor {
    size_t struct_size;
    const char *name;  /* as the model's file has it; lives as long as the trainer */
    const float *data; /* [shape]; lives as long as the trainer, changes with each step */
    uint64_t count;    /* of values */
    uint32_t dims;
    uint32_t reserved; /* 0 */
    uint64_t shape[8]; /* outermost first */
} tfm_trained_tensor;
#define TFM_TRAINED_TENSOR_INIT \
    { sizeof(tfm_trained_tensor), NULL, NULL, 0, 0, 0, { 0, 0, 0, 0, 0, 0, 0, 0 } }

/* How many tensors are trained. Since 0.2. */
TFM_API size_t tfm_trainer_tensor_count(const tfm_trainer *trainer);

/* One of them by index, without copying.
 *   what      TFM_TRAINED_*
 * Errors: TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_trainer_tensor(const tfm_trainer *trainer, size_t index, int32_t what,
                                   tfm_trained_tensor *out, tfm_error *error);

/* The same by name. Errors: TFM_E_MISSING (no such trained tensor), TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_trainer_find(const tfm_trainer *trainer, const char *name, int32_t what,
                                 tfm_trained_tensor *out, tfm_error *error);

/* ---- Files ------------------------------------------------------------------------------------------------------ */

/* Writes the weights as a Hugging Face folder: config.json, model.safetensors (F32, under the names that the model's file
 * has) and the tokenizer's files of the model's folder. Each file is written beside its place, made durable and renamed:
 * there is an old one or a whole new one at any moment.
 *   folder   UTF-8; made if it is not there (not the folders above it)
 * For trainers of models from Hugging Face folders. Errors: TFM_E_UNSUPPORTED (another format), TFM_E_IO, TFM_E_MEMORY,
 * TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_trainer_save(const tfm_trainer *trainer, const char *folder, tfm_error *error);

/* Writes everything that going on needs, weights, the optimizer's means and the number of steps, into one safetensors
 * file, in the same safe way. Errors: TFM_E_IO, TFM_E_MEMORY, TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_trainer_checkpoint(const tfm_trainer *trainer, const char *path, tfm_error *error);

/* Goes on from a checkpoint: the steps to come are, bit for bit, those of the trainer that wrote it, given the same
 * options and batches. The trainer must be of the same model and optimizer. Errors: TFM_E_NOT_FOUND, TFM_E_IO,
 * TFM_E_FORMAT, TFM_E_TRUNCATED, TFM_E_MISSING and TFM_E_SHAPE (of another model: names the tensor), TFM_E_MEMORY. On an
 * error the trainer is as before. Since 0.2. */
TFM_API int32_t tfm_trainer_resume(tfm_trainer *trainer, const char *path, tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
