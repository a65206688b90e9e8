/* trainer.h - what a trainer holds, and the parts that train_step.c calls.
 *
 * The weights are one block of F32, every tensor of the model's file in its order and shape, each on a cache
 * line; gradients and the optimizer's means lie in blocks of the same shape. A model of the trainer's own is
 * bound to the weights, so forward.c runs on them as on any model. */
#ifndef TFM__TRAINER_H
#define TFM__TRAINER_H

#include "base/threads.h"
#include "blocks/backward.h"
#include "tfm/train.h"

/* A tensor that is trained. */
typedef struct tfm__parameter {
    const tfm__tensor *tensor; /* of the trainer's model: name, shape */
    size_t first, count;       /* in the blocks */
    bool hidden;               /* a matrix of a layer, which Muon takes */
    bool transposed;           /* stored [inputs, outputs] */
} tfm__parameter;

struct tfm_trainer {
    tfm_model *source; /* retained: names, and the arena of the description */
    tfm_model model;   /* bound to `weights`; its heap is for everything here */
    tfm_trainer_options options;
    double rate; /* the caller's, if not negative */
    tfm__watch watch;
    uint64_t step; /* steps made */

    tfm__parameter *parameters;
    size_t parameter_count;
    float *weights, *gradients, *first_mean, *second_mean; /* [count] */
    size_t count;
    double *sums; /* [of the gradient's pieces] */
    struct {
        float *x, *product, *gram, *square;
        double *sums;
    } muon; /* what one matrix needs, made for the largest */

    /* what a batch needs, made for the largest so far */
    size_t tokens, rows, pages;
    tfm_session *session; /* scratch, and pages that one layer after another uses */
    tfm_token *ids, *targets;
    tfm__stretch *stretches;
    uint32_t *stretch_index;
    tfm__tape tape;
    tfm__backward backward;
    tfm__gradients gradients_of;
    uint8_t *memory; /* of tape and backward */
};

/* weights.c: the trainer's model and its parameters; undone by _drop, also after an error. */
int32_t tfm__weights_make(tfm_trainer *trainer, tfm_error *error);
void tfm__weights_drop(tfm_trainer *trainer);
/* After the weights have changed: copies with an offset follow. */
void tfm__weights_changed(tfm_trainer *trainer);

/* batch.c: room for a batch, and its rows as a pass. */
int32_t tfm__batch_check(const tfm_trainer *trainer, const tfm_train_batch *batch, size_t index,
                         tfm_error *error);
uint64_t tfm__batch_targets(const tfm_train_batch *batch);
int32_t tfm__batch_reserve(tfm_trainer *trainer, const tfm_train_batch *batches, size_t count,
                           tfm_error *error);
void tfm__batch_lay(tfm_trainer *trainer, const tfm_train_batch *batch, tfm__pass *pass);
void tfm__batch_drop(tfm_trainer *trainer);
/* Positions that a row is read at: all but the last, unless that leaves a single one. */
size_t tfm__batch_positions(const tfm_train_batch *batch);

/* optimizer.c */
/* Learning rate of a step. */
double tfm__learning_rate(const tfm_trainer *trainer, uint64_t step);
/* Norm of the whole gradient. */
double tfm__gradient_norm(tfm_trainer *trainer);
/* Weights and means go one step; gradients count times factor. */
void tfm__optimize(tfm_trainer *trainer, double rate, double factor);
/* Values of the blocks that one piece of the optimizer's work has. */
#define TFM__OPTIMIZER_PIECE 16384

/* muon.c: room for the steps of hidden matrices, undone by _drop also after an error; and the step of one of
 * them, gradients counting times factor. */
int32_t tfm__muon_make(tfm_trainer *trainer, tfm_error *error);
void tfm__muon_drop(tfm_trainer *trainer);
void tfm__muon_step(tfm_trainer *trainer, const tfm__parameter *parameter, double rate, double factor,
                    double decay);

/* save.c: files of a model's folder. */
/* folder/name, in the heap; NULL without memory. */
char *tfm__folder_path(tfm__heap *heap, const char *folder, const char *name);
/* A file of that name with the parts one behind the other, whole or not at all. */
int32_t tfm__folder_write(tfm__heap *heap, const char *folder, const char *name, const tfm__text *parts,
                          size_t count, tfm_error *error);
/* The tokenizer's files of another folder, as far as there are any; adds their number to *copied. */
int32_t tfm__folder_copy_tokenizer(tfm__heap *heap, tfm__store *store, const char *folder, size_t *copied,
                                   tfm_error *error);

/* new_model.c */
int32_t tfm__model_new(const char *config, const tfm_new_model_options *options, const char *folder,
                       tfm_error *error);

/* save.c: a folder for others, and checkpoints. */
int32_t tfm__trainer_save(tfm_trainer *trainer, const char *folder, tfm_error *error);
int32_t tfm__trainer_checkpoint(tfm_trainer *trainer, const char *path, tfm_error *error);
int32_t tfm__trainer_resume(tfm_trainer *trainer, const char *path, tfm_error *error);

/* The whole of one step, or with train false its loss alone; src/train_step.c. Arguments are checked. */
int32_t tfm__train_step(tfm_trainer *trainer, const tfm_train_batch *batches, size_t count, bool train,
                        tfm_train_result *result, tfm_error *error);

#endif
