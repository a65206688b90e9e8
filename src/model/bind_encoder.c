/* bind_encoder.c - what encoders have beside their layers: token types, relative positions, a pooler, and the
 * head of a task. A head's tensors are named by its row in the table of families (families_encoder.c). */
#include <stdio.h>

#include "model/bind.h"

/* The tensor NAME.ENDING, or NULL. */
static const tfm__tensor *find_part(tfm__binder *b, const char *name, const char *ending, bool required) {
    char full[256];
    if (!name || b->status) return NULL;
    snprintf(full, sizeof full, "%s%s", name, ending);
    const tfm__tensor *tensor = tfm__container_tensor(b->container, full);
    if (!tensor && required)
        b->status = tfm__fail_at(b->error, TFM_E_MISSING, b->container->blobs[0].name, full, TFM__NO_OFFSET,
                                 "the head of the model needs this tensor");
    return tensor;
}

/* A matrix with as many rows as it has, of that many columns, and its bias. */
static tfm__view bind_part(tfm__binder *b, const char *name, uint32_t columns) {
    const tfm__tensor *tensor = find_part(b, name, ".weight", true);
    tfm__view view = {0};
    if (!tensor) return view;
    uint64_t rows = tensor->dims == 2 ? tensor->shape[0] : 0;
    if (rows < 1 || rows > TFM__MAX_VOCAB) {
        b->status = tfm__fail_at(b->error, TFM_E_SHAPE, tfm__container_file(b->container, tensor),
                                 tensor->name, tensor->offset, "the head of the model needs a matrix here");
        return view;
    }
    view = tfm__bind_view(b, tensor, false, (uint32_t)rows, 0, (uint32_t)rows, columns);
    if (view.data) view.bias = tfm__bind_vector(b, find_part(b, name, ".bias", false), (uint32_t)rows, 0.0f);
    return view;
}

static void bind_head(tfm__binder *b) {
    const tfm__config *c = &b->model->config;
    const tfm__head_row *row = c->head;
    tfm__head *head = &b->model->head;
    if (!row) return;
    if (row->pooled && !b->model->pooler.data && !b->status)
        tfm__bind_find(b, TFM__ROLE_POOLER, 0, ".weight", true); /* says what is missing */
    if (row->dense) {
        head->dense = bind_part(b, row->dense, c->width);
        if (head->dense.data && head->dense.rows != c->width)
            b->status =
                tfm__fail_at(b->error, TFM_E_SHAPE, b->container->blobs[0].name, row->dense, TFM__NO_OFFSET,
                             "%u rows, expected the width %u", head->dense.rows, c->width);
    }
    if (row->norm) {
        head->norm.weight = tfm__bind_vector(b, find_part(b, row->norm, ".weight", true), c->width, 0.0f);
        head->norm.bias = tfm__bind_vector(b, find_part(b, row->norm, ".bias", false), c->width, 0.0f);
    }
    bool own = find_part(b, row->out, ".weight", false) != NULL;
    if (!row->vocabulary || (own && !c->tied)) {
        head->out = bind_part(b, row->out, c->width);
    } else {
        head->out = b->model->embedding;
        head->out.bias = tfm__bind_vector(b, find_part(b, row->out, ".bias", false), c->vocab, 0.0f);
    }
    if (row->bias && !head->out.bias)
        head->out.bias = tfm__bind_vector(b, find_part(b, row->bias, "", false), head->out.rows, 0.0f);
}

/* [buckets, heads] in the file, turned round so that a head's values lie together. */
void tfm__bind_relative(tfm__binder *b) {
    const tfm__config *c = &b->model->config;
    uint32_t buckets = c->relative_buckets, heads = c->heads;
    const tfm__tensor *tensor = tfm__bind_find(b, TFM__ROLE_RELATIVE, 0, ".weight", true);
    if (!tensor) return;
    const float *stored = tfm__bind_vector(b, tensor, buckets * heads, 0.0f);
    if (!stored) return;
    if (tensor->dims != 2 || tensor->shape[0] != buckets) {
        b->status = tfm__fail_at(b->error, TFM_E_SHAPE, tfm__container_file(b->container, tensor),
                                 tensor->name, tensor->offset, "expected [%u, %u]", buckets, heads);
        return;
    }
    size_t bytes = (size_t)buckets * heads * sizeof(float);
    float *turned = tfm__arena_alloc(&b->container->arena, bytes);
    if (!turned) {
        b->status = tfm__fail_memory(b->error, &b->model->heap, bytes);
        return;
    }
    for (uint32_t i = 0; i < buckets; i++)
        for (uint32_t h = 0; h < heads; h++) turned[h * buckets + i] = stored[i * heads + h];
    b->model->relative = turned;
}

void tfm__bind_encoder(tfm__binder *b) {
    const tfm__config *c = &b->model->config;
    tfm_model *model = b->model;
    if (c->types) model->types = tfm__bind_matrix(b, TFM__ROLE_TOKEN_TYPE, 0, c->types, c->width, true);
    model->pooler = tfm__bind_matrix(b, TFM__ROLE_POOLER, 0, c->width, c->width, false);
    bind_head(b);
}
