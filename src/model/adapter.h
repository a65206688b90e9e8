/* adapter.h - low-rank adapters (LoRA, Hu et al. 2021): to a matrix W [rows, columns] of the model belong A
 * [rank, columns] and B [rows, rank], and y = W x becomes W x + scale B (A x). The model is not changed.
 *
 * An adapter is bound to one model: each of its pairs stands beside the view of the matrix that it belongs
 * to. adapter.c loads, adapter_peft.c reads PEFT's settings, adapter_names.c finds the matrices, adapters.c
 * keeps a session's list; blocks/adapt.c computes. */
#ifndef TFM__ADAPTER_H
#define TFM__ADAPTER_H

#include "model/model.h"
#include "tfm/adapter.h"

#define TFM__RANK_PAD 16      /* ranks are filled up with zeros to whole cache lines of floats */
#define TFM__ADAPT_ROWS 64    /* rows of a pass that an adapter works on at once */
#define TFM__MOST_ADAPTERS 64 /* of one session */

/* What an adapter adds to one matrix. */
typedef struct tfm__patch {
    const tfm__view *view; /* of the model */
    tfm__view down;        /* A, F32 [rank filled up, columns] */
    tfm__view up;          /* B, F32 [rows, rank filled up] */
    float scale;           /* alpha / rank */
} tfm__patch;

struct tfm_adapter {
    _Atomic int64_t references;
    tfm_model *model;    /* retained */
    tfm__arena arena;    /* the matrices */
    tfm__patch *patches; /* [count], sorted by view */
    size_t count;
    uint32_t rank;         /* the largest */
    uint32_t padded, rows; /* the largest down.rows and up.rows */
    uint64_t parameters;
    bool alone; /* changes matrices whose rows are not those of a pass that sessions share: experts, output */
    bool gguf;  /* the file's layout */
};

/* A session's adapters. */
typedef struct tfm__adapted {
    tfm_adapter_use *uses; /* [count], each retained */
    size_t count;
    bool alone;
    float *down, *up; /* [TFM__ADAPT_ROWS, padded], [TFM__ADAPT_ROWS, rows], of the largest */
} tfm__adapted;

/* A matrix that a name means, or one of the views that it was cut into: `rows` rows from `first` on. */
typedef struct tfm__target_part {
    const tfm__view *view;
    uint32_t first, rows;
} tfm__target_part;
typedef struct tfm__target {
    tfm__target_part parts[3];
    size_t count;
    uint32_t rows, columns; /* of the whole */
    bool rotated;           /* queries or keys: rows of a head may lie in another order there (see `swap`) */
    bool alone;
    int swap; /* 0: rows lie as in the model; 1: there pairs are halves, here neighbours; -1: the other way */
} tfm__target;

/* What a module's name means in this model. gguf: by GGUF's names (without ".weight"), otherwise by Hugging
 * Face's. Fails, naming file and tensor, where the model has no such matrix. */
int32_t tfm__adapter_target(const tfm_model *model, bool gguf, const char *module, const char *file,
                            const char *tensor, tfm__target *target, tfm_error *error);

/* PEFT's settings: refuses what is not computed here. */
int32_t tfm__peft_check(const tfm__container *container, tfm_error *error);
/* Rank and factor (alpha / rank, or by its root) of a module. */
int32_t tfm__peft_module(const tfm__container *container, const char *module, uint32_t *rank, double *scale,
                         tfm_error *error);

/* Reads what the store holds. The adapter has a reference to the model. */
int32_t tfm__adapter_new(tfm_model *model, tfm__store *store, tfm_adapter **out, tfm_error *error);
/* Frees it without its reference to the model. */
void tfm__adapter_free(tfm_adapter *adapter);
/* Lets go of a reference inside the library's own work, where the model has another owner. */
void tfm__adapter_drop(tfm_adapter *adapter);

/* Checks what a caller says that a session or a copy of the model shall use. */
int32_t tfm__adapters_check(const tfm_model *model, const tfm_adapter_use *uses, size_t count,
                            tfm_error *error);

/* Makes a zeroed model with a heap into a copy of another one with these adapters in its weights
 * (adapter_merge.c); undone by tfm__model_close, also after an error. */
int32_t tfm__adapter_merge(tfm_model *base, const tfm_adapter_use *uses, size_t count, tfm_model *model,
                           tfm_error *error);

/* What an adapter adds to a matrix, or NULL. */
const tfm__patch *tfm__adapter_patch(const tfm_adapter *adapter, const tfm__view *view);

#endif
