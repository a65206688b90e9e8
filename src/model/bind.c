/* bind.c - from tensors by name to views by role.
 *
 * Every matrix and vector that the description asks for is looked up under the family's name for it, its
 * shape is checked against the description, and a view is made. Fused q/k/v matrices become three views into
 * one tensor. */
#include <stdio.h>

#include "base/real.h"
#include "model/bind.h"

/* Copies a pattern up to its | or end, with numbers in place of %d (the layer) and %e (the expert). */
static void fill_in(const char *pattern, uint32_t layer, uint32_t expert, char *out, size_t size) {
    size_t used = strlen(out);
    while (*pattern && *pattern != '|' && used + 1 < size) {
        if (pattern[0] == '%' && (pattern[1] == 'd' || pattern[1] == 'e')) {
            used += (size_t)snprintf(out + used, size - used, "%u", pattern[1] == 'd' ? layer : expert);
            pattern += 2;
        } else {
            out[used++] = *pattern++;
        }
        used = TFM__MIN(used, size - 1);
        out[used] = 0;
    }
}

/* Alternative number `choice` of a role's pattern, or NULL. */
static const char *pattern_of(const tfm__binder *b, int role, int choice) {
    const char *pattern = b->names->role[role];
    for (; pattern && choice > 0; choice--) {
        pattern = strchr(pattern, '|');
        if (pattern) pattern++;
    }
    return pattern;
}

const tfm__tensor *tfm__bind_find(tfm__binder *b, int role, uint32_t layer, const char *ending,
                                  bool required) {
    return tfm__bind_find_expert(b, role, layer, -1, ending, required);
}

/* Patterns with %e fit an expert only, those without it only what is no expert's. */
const tfm__tensor *tfm__bind_find_expert(tfm__binder *b, int role, uint32_t layer, int64_t expert,
                                         const char *ending, bool required) {
    char name[256] = "(unnamed)";
    const char *pattern;
    if (b->status) return NULL;
    const tfm__tensor *tensor = NULL;
    for (int choice = 0; !tensor && (pattern = pattern_of(b, role, choice)) != NULL; choice++) {
        const char *hole = strstr(pattern, "%e");
        bool of_expert = hole && hole < pattern + strcspn(pattern, "|");
        if (of_expert != (expert >= 0)) continue;
        snprintf(name, sizeof name, "%s",
                 role == TFM__ROLE_OUTPUT || role == TFM__ROLE_OUTPUT_BIAS ? "" : b->prefix);
        fill_in(pattern, layer, (uint32_t)expert, name, sizeof name);
        snprintf(name + strlen(name), sizeof name - strlen(name), "%s", ending);
        tensor = tfm__container_tensor(b->container, name);
    }
    if (!tensor && required)
        b->status = tfm__fail_at(b->error, TFM_E_MISSING, b->container->blobs[0].name, name, TFM__NO_OFFSET,
                                 "the model needs this tensor");
    return tensor;
}

static void wrong_shape(tfm__binder *b, const tfm__tensor *tensor, uint64_t rows, uint64_t columns) {
    char shape[96] = "[";
    size_t used = 1;
    for (uint32_t i = 0; i < tensor->dims && used < 80; i++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%llu", i ? ", " : "",
                                 (unsigned long long)tensor->shape[i]);
    b->status = columns
                    ? tfm__fail_at(b->error, TFM_E_SHAPE, tfm__container_file(b->container, tensor),
                                   tensor->name, tensor->offset, "the shape is %s], expected [%llu, %llu]",
                                   shape, (unsigned long long)rows, (unsigned long long)columns)
                    : tfm__fail_at(b->error, TFM_E_SHAPE, tfm__container_file(b->container, tensor),
                                   tensor->name, tensor->offset, "the shape is %s], expected [%llu]", shape,
                                   (unsigned long long)rows);
}

/* A vector as f32 in the arena, plus offset; NULL when it is absent and not required. */
const float *tfm__bind_vector(tfm__binder *b, const tfm__tensor *tensor, uint32_t size, float offset) {
    if (!tensor || b->status) return NULL;
    bool fits = tensor->dims == 1 ? tensor->shape[0] == size
                                  : tensor->dims == 2 && size % TFM__MAX(tensor->shape[0], 1) == 0 &&
                                        tensor->shape[1] == size / TFM__MAX(tensor->shape[0], 1);
    if (!fits) { /* [size], or a row for each head */
        wrong_shape(b, tensor, size, 0);
        return NULL;
    }
    const tfm__weight_kernels *kernels = &b->model->kernels.weights[tensor->type];
    if (!kernels->to_f32) {
        b->status =
            tfm__fail_at(b->error, TFM_E_UNSUPPORTED, tfm__container_file(b->container, tensor), tensor->name,
                         tensor->offset, "a weight of type %s", tfm__dtype_of(tensor->type)->name);
        return NULL;
    }
    bool follows = b->model->weights_change && tensor->type == TFM__F32;
    if (follows && offset == 0.0f) return (const float *)(const void *)tensor->data; /* on a cache line */
    size_t bytes = tfm__round_up((size_t)size, 16) * sizeof(float);
    float *values = tfm__arena_alloc(&b->container->arena, bytes);
    tfm__shifted *shifted =
        values && follows ? tfm__arena_alloc(&b->container->arena, sizeof *shifted) : NULL;
    if (!values || (follows && !shifted)) {
        b->status = tfm__fail_memory(b->error, &b->model->heap, bytes);
        return NULL;
    }
    if (follows) {
        *shifted = (tfm__shifted){b->model->shifted, values, (const float *)(const void *)tensor->data, size,
                                  offset};
        b->model->shifted = shifted;
    }
    kernels->to_f32(tensor->data, values, size);
    if (offset != 0.0f)
        for (uint32_t i = 0; i < size; i++) values[i] += offset;
    return values;
}

static void count_weights(tfm__binder *b, const tfm__tensor *tensor, uint64_t *by_type) {
    uint64_t values = 1;
    for (uint32_t i = 0; i < tensor->dims; i++)
        values *= tensor->shape[i]; /* checked when the file was opened */
    b->model->parameters += values;
    b->model->weight_bytes += tensor->bytes;
    by_type[tensor->type] += values;
}

/* rows [first_row, first_row + rows) of a matrix of all_rows x columns. */
tfm__view tfm__bind_view(tfm__binder *b, const tfm__tensor *tensor, bool transposed, uint32_t all_rows,
                         uint32_t first_row, uint32_t rows, uint32_t columns) {
    tfm__view view = {0};
    if (!tensor || b->status) return view;
    uint64_t expect0 = transposed ? columns : all_rows, expect1 = transposed ? all_rows : columns;
    if (tensor->dims != 2 || tensor->shape[0] != expect0 || tensor->shape[1] != expect1) {
        wrong_shape(b, tensor, expect0, expect1);
        return view;
    }
    const tfm__dtype *dtype = tfm__dtype_of(tensor->type);
    uint64_t stored_row;
    if (!b->model->kernels.weights[tensor->type].product || (transposed && dtype->block != 1) ||
        !tfm__row_bytes(tensor->type, expect1, &stored_row)) {
        b->status = tfm__fail_at(b->error, TFM_E_UNSUPPORTED, tfm__container_file(b->container, tensor),
                                 tensor->name, tensor->offset, "a %smatrix of type %s",
                                 transposed ? "transposed " : "", dtype->name);
        return view;
    }
    view.type = tensor->type;
    view.transposed = transposed;
    view.row_stride = (size_t)stored_row;
    view.rows = rows;
    view.columns = columns;
    view.data =
        tensor->data + (transposed ? (size_t)first_row * dtype->block_bytes : (size_t)first_row * stored_row);
    return view;
}

tfm__view tfm__bind_matrix(tfm__binder *b, int role, uint32_t layer, uint32_t rows, uint32_t columns,
                           bool required) {
    bool of_layer = role >= TFM__ROLE_ATTN_NORM;
    const tfm__tensor *tensor = tfm__bind_find(b, role, layer, ".weight", required);
    tfm__view view = tfm__bind_view(b, tensor, of_layer && b->transposed, rows, 0, rows, columns);
    if (view.data)
        view.bias = tfm__bind_vector(b, tfm__bind_find(b, role, layer, ".bias", false), rows, 0.0f);
    return view;
}

/* A norm without weights of its own is one with ones. */
static tfm__norm plain_norm(tfm__binder *b, uint32_t size) {
    size_t bytes = tfm__round_up((size_t)size, 16) * sizeof(float);
    float *ones = tfm__arena_alloc(&b->container->arena, bytes);
    if (!ones) {
        if (!b->status) b->status = tfm__fail_memory(b->error, &b->model->heap, bytes);
        return (tfm__norm){0};
    }
    for (uint32_t i = 0; i < size; i++) ones[i] = 1.0f;
    return (tfm__norm){ones, NULL};
}

tfm__norm tfm__bind_norm(tfm__binder *b, int role, uint32_t layer, uint32_t size, bool required) {
    tfm__norm norm = {0};
    if (b->model->config.family->norm_free) return plain_norm(b, size);
    /* files converted from the TensorFlow checkpoints of 2018 have its names */
    bool old = tfm__bind_find(b, role, layer, ".gamma", false) != NULL;
    norm.weight = tfm__bind_vector(b, tfm__bind_find(b, role, layer, old ? ".gamma" : ".weight", required),
                                   size, b->model->config.norm_offset);
    norm.bias =
        tfm__bind_vector(b, tfm__bind_find(b, role, layer, old ? ".beta" : ".bias", false), size, 0.0f);
    return norm;
}

/* Through latents: up-projections and their norms in the place of q, k and v. */
static void bind_low_rank(tfm__binder *b, uint32_t index, tfm__layer *layer) {
    const tfm__config *c = &b->model->config;
    uint32_t q = c->heads * c->head_dim;
    if (c->latent_q) {
        layer->q_a = tfm__bind_matrix(b, TFM__ROLE_Q_A, index, c->latent_q, c->width, true);
        layer->q_a_norm = tfm__bind_norm(b, TFM__ROLE_Q_A_NORM, index, c->latent_q, true);
        layer->q_b = tfm__bind_matrix(b, TFM__ROLE_Q_B, index, q, c->latent_q, true);
    } else {
        layer->q = tfm__bind_matrix(b, TFM__ROLE_Q, index, q, c->width, true);
    }
    layer->kv_a = tfm__bind_matrix(b, TFM__ROLE_KV_A, index, c->latent_kv + c->rotary_dim, c->width, true);
    layer->kv_a_norm = tfm__bind_norm(b, TFM__ROLE_KV_A_NORM, index, c->latent_kv, true);
    layer->kv_b =
        tfm__bind_matrix(b, TFM__ROLE_KV_B, index, c->heads * (c->head_dim - c->rotary_dim + c->value_dim),
                         c->latent_kv, true);
}

static void bind_qkv(tfm__binder *b, uint32_t index, tfm__layer *layer) {
    const tfm__config *c = &b->model->config;
    if (c->latent_kv) {
        bind_low_rank(b, index, layer);
        return;
    }
    uint32_t q = c->heads * c->head_dim, k = c->kv_heads * c->head_dim, v = c->kv_heads * c->value_dim;
    const tfm__tensor *fused = tfm__bind_find(b, TFM__ROLE_QKV, index, ".weight", false);
    if (!fused) {
        /* neither: the error names q, or the fused tensor where the family only knows that */
        bool only_fused = !b->names->role[TFM__ROLE_Q];
        if (only_fused) tfm__bind_find(b, TFM__ROLE_QKV, index, ".weight", true);
        layer->q = tfm__bind_matrix(b, TFM__ROLE_Q, index, q, c->width, true);
        layer->k = tfm__bind_matrix(b, TFM__ROLE_K, index, k, c->width, true);
        layer->v = tfm__bind_matrix(b, TFM__ROLE_V, index, v, c->width, true);
        return;
    }
    const float *bias =
        tfm__bind_vector(b, tfm__bind_find(b, TFM__ROLE_QKV, index, ".bias", false), q + k + v, 0.0f);
    if (c->fused == TFM__FUSED_GROUPS) { /* multiplied whole, then taken apart */
        layer->qkv = tfm__bind_view(b, fused, b->transposed, q + k + v, 0, q + k + v, c->width);
        layer->qkv.bias = bias;
        return;
    }
    layer->q = tfm__bind_view(b, fused, b->transposed, q + k + v, 0, q, c->width);
    layer->k = tfm__bind_view(b, fused, b->transposed, q + k + v, q, k, c->width);
    layer->v = tfm__bind_view(b, fused, b->transposed, q + k + v, q + k, v, c->width);
    if (bias) {
        layer->q.bias = bias;
        layer->k.bias = bias + q;
        layer->v.bias = bias + q + k;
    }
}

static void bind_qk_norms(tfm__binder *b, uint32_t index, tfm__layer *layer) {
    const tfm__config *c = &b->model->config;
    uint32_t q = c->head_dim, k = c->head_dim;
    if (c->qk_norm == TFM__QK_NORM_NONE) return;
    if (c->qk_norm == TFM__QK_NORM_ROW || c->qk_norm == TFM__QK_NORM_HEADS_LAYER) {
        q = c->heads * c->head_dim;
        k = c->kv_heads * c->head_dim;
    }
    layer->q_norm = tfm__bind_norm(b, TFM__ROLE_Q_NORM, index, q, true);
    layer->k_norm = tfm__bind_norm(b, TFM__ROLE_K_NORM, index, k, true);
}

/* gate and up, apart or as the upper and lower half of one matrix. */
static void bind_wide(tfm__binder *b, uint32_t index, tfm__layer *layer) {
    const tfm__config *c = &b->model->config;
    uint32_t wide = c->feed_forward;
    const tfm__tensor *both = c->gated ? tfm__bind_find(b, TFM__ROLE_GATE_UP, index, ".weight", false) : NULL;
    if (both) {
        layer->gate = tfm__bind_view(b, both, b->transposed, 2 * wide, 0, wide, c->width);
        layer->up = tfm__bind_view(b, both, b->transposed, 2 * wide, wide, wide, c->width);
        const float *bias =
            tfm__bind_vector(b, tfm__bind_find(b, TFM__ROLE_GATE_UP, index, ".bias", false), 2 * wide, 0.0f);
        layer->gate.bias = bias;
        layer->up.bias = bias ? bias + wide : NULL;
        return;
    }
    if (c->gated && !b->names->role[TFM__ROLE_GATE])
        tfm__bind_find(b, TFM__ROLE_GATE_UP, index, ".weight", true);
    if (c->gated) layer->gate = tfm__bind_matrix(b, TFM__ROLE_GATE, index, wide, c->width, true);
    layer->up = tfm__bind_matrix(b, TFM__ROLE_UP, index, wide, c->width, true);
}

static void bind_layer(tfm__binder *b, uint32_t index, tfm__layer *layer) {
    const tfm__config *c = &b->model->config;
    bool before = c->order == TFM__ORDER_PRE || c->order == TFM__ORDER_PARALLEL;
    bool first_free = c->family->first_norm_free && index == 0;
    if (before) layer->attn_norm = tfm__bind_norm(b, TFM__ROLE_ATTN_NORM, index, c->width, !first_free);
    bind_qkv(b, index, layer);
    bind_qk_norms(b, index, layer);
    if (c->family->sinks)
        layer->sinks =
            tfm__bind_vector(b,
                             tfm__bind_find(b, TFM__ROLE_SINKS, index,
                                            b->container->format == TFM__FORMAT_HF ? "" : ".weight", true),
                             c->heads, 0.0f);
    layer->out = tfm__bind_matrix(b, TFM__ROLE_ATTN_OUT, index, c->width, c->heads * c->value_dim, true);
    /* without one, both half-blocks of a parallel block have the norm of attention */
    if (before)
        layer->ffn_norm = tfm__bind_norm(b, TFM__ROLE_FFN_NORM, index, c->width, c->order == TFM__ORDER_PRE);
    if (c->experts.count && c->sparse[index]) {
        tfm__bind_experts(b, index, layer);
    } else {
        bind_wide(b, index, layer);
        layer->down = tfm__bind_matrix(b, TFM__ROLE_DOWN, index, c->width, c->feed_forward, true);
    }
    if (c->cross) tfm__bind_cross(b, index, layer);
    if (c->post_norms || !before) {
        layer->attn_post_norm = tfm__bind_norm(b, TFM__ROLE_ATTN_POST_NORM, index, c->width, true);
        layer->ffn_post_norm = tfm__bind_norm(b, TFM__ROLE_FFN_POST_NORM, index, c->width, true);
    }
    bool windowed = c->window && c->windowed[index];
    layer->window = windowed ? c->window : 0;
    layer->rope = windowed ? TFM__ROPE_LOCAL : TFM__ROPE_GLOBAL;
    layer->rotates = c->positions == TFM__POSITIONS_ROTARY && c->rotated[index];
    layer->attn_scale = c->scale_by_layer ? c->attn_scale / (float)(index + 1) : c->attn_scale;
}

/* The prefix under which this file has its embedding ("model.", "transformer.", ...). */
void tfm__bind_prefix(tfm__binder *b) {
    char name[256];
    const char *pattern;
    b->prefix = b->names->prefixes[0];
    for (size_t i = 0; i < TFM__COUNT(b->names->prefixes) && b->names->prefixes[i]; i++) {
        for (int choice = 0; (pattern = pattern_of(b, TFM__ROLE_EMBED, choice)) != NULL; choice++) {
            snprintf(name, sizeof name, "%s", b->names->prefixes[i]);
            fill_in(pattern, 0, 0, name, sizeof name - 8);
            strcat(name, ".weight");
            if (!tfm__container_tensor(b->container, name)) continue;
            b->prefix = b->names->prefixes[i];
            return;
        }
    }
}

/* ALiBi's slope of each head (Press et al. 2022): with n heads, n a power of two, 2^(-max i / n) for i = 1 ..
 * n. For other numbers: the slopes of the power of two below, then every other one of the power above. */
static void bind_slopes(tfm__binder *b) {
    const tfm__config *c = &b->model->config;
    size_t bytes = c->heads * sizeof(float);
    float *slopes = tfm__arena_alloc(&b->container->arena, bytes);
    uint32_t below = 1;
    if (!slopes) {
        if (!b->status) b->status = tfm__fail_memory(b->error, &b->model->heap, bytes);
        return;
    }
    while (below * 2 <= c->heads) below *= 2;
    for (uint32_t h = 0; h < c->heads; h++) {
        double step = h < below ? (double)(h + 1) / below : (2.0 * (h - below) + 1.0) / (2.0 * below);
        slopes[h] = (float)tfm__pow_real(2.0, -(double)c->alibi_bias_max * step);
        if (c->alibi_scaled) slopes[h] *= c->attn_scale;
    }
    b->model->slopes = slopes;
}

int32_t tfm__model_bind(tfm_model *model, tfm__container *container, tfm_error *error) {
    tfm__config *c = &model->config;
    bool ct2 = container->format == TFM__FORMAT_CTRANSLATE2, hf = ct2 || container->format == TFM__FORMAT_HF;
    tfm__binder b = {.model = model,
                     .container = container,
                     .names = hf ? c->family->hf_names : tfm__gguf_names(c->family),
                     .error = error};
    uint64_t by_type[TFM__DTYPE_COUNT] = {0};
    b.transposed = b.names->matrices_transposed;
    tfm__bind_prefix(&b);
    model->layers = tfm__alloc_array(&model->heap, c->layers, sizeof *model->layers);
    if (!model->layers) return tfm__fail_memory(error, &model->heap, c->layers * sizeof *model->layers);
    model->embedding = tfm__bind_matrix(&b, TFM__ROLE_EMBED, 0, c->vocab, c->width, true);
    if (c->family->embed_norm)
        model->embed_norm = tfm__bind_norm(&b, TFM__ROLE_EMBED_NORM, 0, c->width, !ct2);
    if (c->positions == TFM__POSITIONS_LEARNED)
        model->positions =
            tfm__bind_matrix(&b, TFM__ROLE_POSITION, 0, c->context + c->position_offset, c->width, true);
    if (c->positions == TFM__POSITIONS_SINES) tfm__bind_sines(&b);
    if (c->positions == TFM__POSITIONS_ALIBI) bind_slopes(&b);
    if (c->relative_buckets) tfm__bind_relative(&b);
    for (uint32_t i = 0; i < c->layers && !b.status; i++) bind_layer(&b, i, &model->layers[i]);
    if (c->order != TFM__ORDER_SUM) /* there the last thing in a layer is a norm */
        model->output_norm = tfm__bind_norm(&b, TFM__ROLE_OUTPUT_NORM, 0, c->width, true);
    if (c->encoder) tfm__bind_encoder(&b);
    /* GGUF files say "tied" by leaving the output out; elsewhere the description decides */
    bool has_output = tfm__bind_find(&b, TFM__ROLE_OUTPUT, 0, ".weight", false) != NULL;
    if (!c->encoder) {
        if (hf ? !c->tied : has_output)
            model->output = tfm__bind_matrix(&b, TFM__ROLE_OUTPUT, 0, c->vocab, c->width, true);
        else
            model->output = model->embedding;
        if (b.names->role[TFM__ROLE_OUTPUT_BIAS] && !model->output.bias)
            model->output.bias =
                tfm__bind_vector(&b, tfm__bind_find(&b, TFM__ROLE_OUTPUT_BIAS, 0, "", false), c->vocab, 0.0f);
    }
    if (b.status) return b.status;
    for (size_t i = 0; i < container->tensor_count; i++) {
        uint32_t type = container->tensors[i].type;
        if (!container->tensors[i].alias && type < TFM__DTYPE_COUNT && model->kernels.weights[type].product)
            count_weights(&b, &container->tensors[i], by_type);
    }
    for (uint32_t type = 0; type < TFM__DTYPE_COUNT; type++)
        if (by_type[type] > by_type[model->main_type]) model->main_type = type;
    model->cache_type = model->main_type == TFM__F32 ? TFM__F32 : TFM__F16;
    return TFM_OK;
}
