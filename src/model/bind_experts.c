/* bind_experts.c - the weights of a mixture of experts. Called by bind.c for each layer that has one.
 *
 * Experts lie in files in two ways: a matrix for each expert (%e in the name), or one tensor [experts, rows,
 * columns] for all of them (GGUF). Either becomes one view for each expert. */
#include "model/bind.h"

/* Whether the tensors of all experts are named and laid out as the family's rule says. */
static bool is_plain(const tfm__binder *b) {
    return b->model->config.family->experts_plain && b->container->format == TFM__FORMAT_HF;
}

/* Expert e's row of the biases of all, [experts, rows]. */
static const float *expert_bias(tfm__binder *b, int role, uint32_t index, uint32_t e, uint32_t rows) {
    const tfm__tensor *all = tfm__bind_find(b, role, index, is_plain(b) ? "_bias" : ".bias", false);
    const tfm__experts *experts = &b->model->config.experts;
    if (!all) return NULL;
    if (all->dims != 2 || all->shape[0] != experts->count || all->shape[1] != rows) {
        b->status =
            tfm__fail_at(b->error, TFM_E_SHAPE, tfm__container_file(b->container, all), all->name,
                         all->offset, "not a bias of %u for each of %u experts", rows, experts->count);
        return NULL;
    }
    tfm__tensor row = *all;
    row.dims = 1;
    row.shape[0] = rows;
    row.bytes = all->bytes / experts->count;
    row.data = all->data + (size_t)e * (size_t)row.bytes;
    row.offset = all->offset + e * row.bytes;
    return tfm__bind_vector(b, &row, rows, 0.0f);
}

/* Expert e's matrix of one role: of its own, or a slice of the tensor that holds all. */
static tfm__view expert_view(tfm__binder *b, int role, uint32_t index, uint32_t e, uint32_t rows,
                             uint32_t columns) {
    const tfm__experts *experts = &b->model->config.experts;
    bool plain = is_plain(b);
    tfm__view view = {0};
    if (plain && tfm__bind_mxfp4(b, role, index, e, rows, columns, &view)) {
        view.bias = view.data ? expert_bias(b, role, index, e, rows) : NULL;
        return view;
    }
    const tfm__tensor *all = tfm__bind_find(b, role, index, plain ? "" : ".weight", plain);
    if (!all && !plain) {
        const tfm__tensor *own = tfm__bind_find_expert(b, role, index, e, ".weight", true);
        view = tfm__bind_view(b, own, b->transposed, rows, 0, rows, columns);
        if (view.data)
            view.bias =
                tfm__bind_vector(b, tfm__bind_find_expert(b, role, index, e, ".bias", false), rows, 0.0f);
        return view;
    }
    if (!all) return view;
    if (all->dims != 3 || all->shape[0] != experts->count) {
        b->status = tfm__fail_at(b->error, TFM_E_SHAPE, tfm__container_file(b->container, all), all->name,
                                 all->offset, "not one matrix for each of %u experts", experts->count);
        return view;
    }
    tfm__tensor slice = *all;
    slice.dims = 2;
    slice.shape[0] = all->shape[1];
    slice.shape[1] = all->shape[2];
    slice.bytes = all->bytes / experts->count;
    slice.data = all->data + (size_t)e * (size_t)slice.bytes;
    slice.offset = all->offset + e * slice.bytes;
    view = tfm__bind_view(b, &slice, plain, rows, 0, rows, columns);
    view.bias = expert_bias(b, role, index, e, rows);
    return view;
}

static void bind_shared(tfm__binder *b, uint32_t index, tfm__layer *layer) {
    const tfm__config *c = &b->model->config;
    uint32_t wide = c->experts.shared;
    if (wide == 0) return;
    layer->shared.gate = tfm__bind_matrix(b, TFM__ROLE_SHARED_GATE, index, wide, c->width, true);
    layer->shared.up = tfm__bind_matrix(b, TFM__ROLE_SHARED_UP, index, wide, c->width, true);
    layer->shared.down = tfm__bind_matrix(b, TFM__ROLE_SHARED_DOWN, index, c->width, wide, true);
    const tfm__tensor *gate = tfm__bind_find(b, TFM__ROLE_SHARED_SWITCH, index, ".weight", false);
    tfm__tensor row;
    if (!gate) return;
    row = *gate;
    if (row.dims == 1) { /* GGUF drops the dimension of 1 */
        row.dims = 2;
        row.shape[1] = row.shape[0];
        row.shape[0] = 1;
    }
    layer->shared_switch = tfm__bind_view(b, &row, false, 1, 0, 1, c->width);
}

void tfm__bind_experts(tfm__binder *b, uint32_t index, tfm__layer *layer) {
    const tfm__config *c = &b->model->config;
    uint32_t count = c->experts.count, wide = c->experts.width;
    tfm__expert *experts = tfm__arena_alloc(&b->container->arena, count * sizeof *experts);
    if (!experts) {
        if (!b->status) b->status = tfm__fail_memory(b->error, &b->model->heap, count * sizeof *experts);
        return;
    }
    layer->router = tfm__bind_matrix(b, TFM__ROLE_ROUTER, index, count, c->width, true);
    if (c->experts.route == TFM__ROUTE_SIGMOID)
        layer->correction = tfm__bind_vector(
            b, tfm__bind_find(b, TFM__ROLE_ROUTER_CORRECTION, index, "", false), count, 0.0f);
    for (uint32_t e = 0; e < count && !b->status; e++) {
        if (!c->experts.paired)
            experts[e].gate = expert_view(b, TFM__ROLE_EXPERT_GATE, index, e, wide, c->width);
        experts[e].up =
            expert_view(b, TFM__ROLE_EXPERT_UP, index, e, c->experts.paired ? 2 * wide : wide, c->width);
        experts[e].down = expert_view(b, TFM__ROLE_EXPERT_DOWN, index, e, c->width, wide);
    }
    layer->experts = experts;
    bind_shared(b, index, layer);
}
