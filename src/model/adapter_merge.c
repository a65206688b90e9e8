/* adapter_merge.c - a copy of a model with adapters in its weights: W + scale B A.
 *
 * The copy has tensors of its own where an adapter changes them and everything else from the model that it
 * was made of, which it keeps. It is bound anew by the same names, so fused, sliced and transposed matrices
 * become what they were. Only floats can be merged: quantised ones would be quantised twice. */
#include "model/state.h"

#define CHUNK 512 /* columns at a time */

typedef struct merging {
    tfm_model *base, *model;
    const tfm_adapter_use *uses;
    size_t count;
    tfm_error *error;
} merging;

/* One matrix, all its adapters. */
typedef struct matrix {
    const merging *m;
    const tfm__view *view; /* of the base */
    uint8_t *data;         /* its place in the copy */
} matrix;

static float load(uint32_t type, const uint8_t *at) {
    return type == TFM__F32   ? tfm__f32_le(at)
           : type == TFM__F16 ? tfm__f16_to_f32(tfm__u16_le(at))
                              : tfm__bf16_to_f32(tfm__u16_le(at));
}

static void store(uint32_t type, uint8_t *at, float value) {
    uint16_t half;
    if (type == TFM__F32) {
        memcpy(at, &value, sizeof value);
        return;
    }
    half = type == TFM__F16 ? tfm__f32_to_f16(value) : tfm__f32_to_bf16(value);
    memcpy(at, &half, sizeof half);
}

/* A row: the change is added up in F32, adapter by adapter and rank by rank, and rounded with the weight
 * once. */
static void merge_row(void *arg, size_t row) {
    const matrix *x = arg;
    const tfm__kernels *kernels = &x->m->base->kernels;
    const tfm__view *view = x->view;
    size_t size = tfm__dtype_of(view->type)->block_bytes;
    for (size_t first = 0; first < view->columns; first += CHUNK) {
        size_t n = TFM__MIN((size_t)CHUNK, view->columns - first);
        _Alignas(64) float change[CHUNK] = {0};
        for (size_t u = 0; u < x->m->count; u++) {
            const tfm__patch *patch = tfm__adapter_patch(x->m->uses[u].adapter, view);
            float scale = patch ? patch->scale * x->m->uses[u].scale : 0.0f;
            if (scale == 0.0f) continue;
            const float *up = (const float *)(const void *)patch->up.data + row * patch->up.columns;
            const float *down = (const float *)(const void *)patch->down.data + first;
            for (uint32_t k = 0; k < patch->up.columns; k++)
                kernels->multiply_add(change, down + (size_t)k * view->columns, up[k] * scale, n);
        }
        for (size_t c = 0; c < n; c++) {
            uint8_t *at = x->data + (view->transposed ? (first + c) * view->row_stride + row * size
                                                      : row * view->row_stride + (first + c) * size);
            store(view->type, at, load(view->type, at) + change[c]);
        }
    }
}

/* The tensor of the base that holds a matrix. */
static const tfm__tensor *tensor_of(const tfm_model *base, const tfm__view *view) {
    const tfm__container *container = &base->container;
    for (size_t i = 0; i < container->tensor_count; i++) {
        const tfm__tensor *tensor = &container->tensors[i];
        if (view->data >= tensor->data && view->data < tensor->data + tensor->bytes) return tensor;
    }
    return NULL;
}

/* Gives every name of a tensor's bytes a copy of them in the new model, unless it has one. */
static int32_t own(const merging *m, const tfm__tensor *tensor) {
    const tfm__container *from = &m->base->container;
    tfm__container *to = &m->model->container;
    tfm__tensor *ours = &to->tensors[tensor - from->tensors];
    if (ours->data != tensor->data) return TFM_OK;
    uint8_t *copy = tensor->bytes <= SIZE_MAX - 64 ? tfm__arena_alloc(&to->arena, (size_t)tensor->bytes + 64)
                                                   : NULL; /* kernels may look a line beyond */
    if (!copy) return tfm__fail_memory(m->error, &m->model->heap, (size_t)tensor->bytes);
    memcpy(copy, tensor->data, (size_t)tensor->bytes);
    for (size_t i = 0; i < from->tensor_count; i++)
        if (from->tensors[i].data == tensor->data) to->tensors[i].data = copy;
    return TFM_OK;
}

static int32_t merge_matrix(const merging *m, const tfm__view *view) {
    const tfm__tensor *tensor = tensor_of(m->base, view);
    const char *name = tensor ? tensor->name : "a matrix";
    if (view->type != TFM__F32 && view->type != TFM__F16 && view->type != TFM__BF16)
        return tfm__fail(m->error, TFM_E_UNSUPPORTED,
                         "'%s' is %s: adapters are merged into weights of F32, F16 or BF16 only", name,
                         tfm__dtype_of(view->type)->name);
    if (!tensor) return tfm__fail(m->error, TFM_E_INTERNAL, "a matrix lies in no tensor");
    if (view == &m->base->output && view->data == m->base->embedding.data)
        return tfm__fail(
            m->error, TFM_E_UNSUPPORTED,
            "'%s' is the embedding and the output: an adapter of the output alone cannot be merged", name);
    int32_t status = own(m, tensor);
    if (status) return status;
    const uint8_t *copy = m->model->container.tensors[tensor - m->base->container.tensors].data;
    matrix x = {m, view, (uint8_t *)(uintptr_t)copy + (view->data - tensor->data)};
    tfm__parallel(m->base->pool, view->rows, merge_row, &x);
    return TFM_OK;
}

/* Every matrix that some adapter changes, once. */
static int32_t merge_all(const merging *m) {
    int32_t status = TFM_OK;
    for (size_t u = 0; u < m->count; u++)
        for (size_t i = 0; i < m->uses[u].adapter->count && !status; i++) {
            const tfm__view *view = m->uses[u].adapter->patches[i].view;
            bool done = false;
            for (size_t before = 0; before < u; before++)
                done = done || tfm__adapter_patch(m->uses[before].adapter, view);
            if (!done) status = merge_matrix(m, view);
        }
    return status;
}

int32_t tfm__adapter_merge(tfm_model *base, const tfm_adapter_use *uses, size_t count, tfm_model *model,
                           tfm_error *error) {
    const merging m = {base, model, uses, count, error};
    atomic_fetch_add(&base->references, 1);
    model->base = base;
    model->references = 1;
    model->config = base->config;
    model->kernels = base->kernels;
    model->pool = base->pool;
    model->log = base->log;
    model->log_user = base->log_user;
    model->tokenizer = base->tokenizer;
    model->source_tokenizer = base->source_tokenizer;
    model->store = base->store;
    model->container = base->container; /* names, indices and metadata are the base's */
    memcpy(model->frequencies, base->frequencies, sizeof model->frequencies);
    model->embedder = base->embedder;
    tfm__arena_init(&model->container.arena, &model->heap);
    size_t bytes = (base->container.tensor_count + 1) * sizeof *model->container.tensors;
    model->container.tensors = tfm__alloc(&model->heap, bytes);
    if (!model->container.tensors) return tfm__fail_memory(error, &model->heap, bytes);
    memcpy(model->container.tensors, base->container.tensors,
           base->container.tensor_count * sizeof *model->container.tensors);
    int32_t status = merge_all(&m);
    return status ? status : tfm__model_bind(model, &model->container, error);
}
