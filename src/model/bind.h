/* bind.h - from tensors by name to views by role: what bind.c and bind_experts.c share. */
#ifndef TFM__BIND_H
#define TFM__BIND_H

#include "model/model.h"

typedef struct tfm__binder {
    tfm_model *model;
    tfm__container *container; /* the model's, or that of the model whose encoder it is */
    const tfm__names *names;
    const char *prefix;
    bool transposed; /* matrices of layers are stored [inputs, outputs] */
    tfm_error *error;
    int32_t status; /* the first failure: everything after it does nothing */
} tfm__binder;

/* Sets the prefix under which this file has its embedding ("model.", "transformer.", ...). */
void tfm__bind_prefix(tfm__binder *b);

/* The tensor of a role under the family's name for it, with ".weight" or ".bias" behind; NULL if there is
 * none. */
const tfm__tensor *tfm__bind_find(tfm__binder *b, int role, uint32_t layer, const char *ending,
                                  bool required);
const tfm__tensor *tfm__bind_find_expert(tfm__binder *b, int role, uint32_t layer, int64_t expert,
                                         const char *ending, bool required);

/* A vector as f32 in the arena, plus offset; NULL for a tensor that is NULL. */
const float *tfm__bind_vector(tfm__binder *b, const tfm__tensor *tensor, uint32_t size, float offset);

/* Rows [first_row, first_row + rows) of a matrix of all_rows x columns; no data for a tensor that is NULL. */
tfm__view tfm__bind_view(tfm__binder *b, const tfm__tensor *tensor, bool transposed, uint32_t all_rows,
                         uint32_t first_row, uint32_t rows, uint32_t columns);

/* A role's matrix with its bias, if there is one. */
tfm__view tfm__bind_matrix(tfm__binder *b, int role, uint32_t layer, uint32_t rows, uint32_t columns,
                           bool required);

/* Weight and bias of a norm; norms of families without weights have ones. */
tfm__norm tfm__bind_norm(tfm__binder *b, int role, uint32_t layer, uint32_t size, bool required);

/* Token types, the pooler and the head of a task; and relative positions (bind_encoder.c). */
void tfm__bind_encoder(tfm__binder *b);
void tfm__bind_relative(tfm__binder *b);

/* Positions of sines and cosines, from the file or computed; and a layer's attention to an encoder's states
 * (bind_seq2seq.c). */
void tfm__bind_sines(tfm__binder *b);
void tfm__bind_cross(tfm__binder *b, uint32_t index, tfm__layer *layer);

/* Expert e's matrix where the file has it as FP4 blocks and scales apart (bind_mxfp4.c): false where it has
 * not; b->status says what is wrong. */
bool tfm__bind_mxfp4(tfm__binder *b, int role, uint32_t index, uint32_t e, uint32_t rows, uint32_t columns,
                     tfm__view *out);

/* Router, experts and the shared expert of a layer (bind_experts.c). */
void tfm__bind_experts(tfm__binder *b, uint32_t index, tfm__layer *layer);

#endif
