/* weights.c - a trainer's weights: F32 copies of a model's tensors, and a model that is bound to them.
 *
 * The model's own tensors are replaced, in a copy of its container, by those of the block, and bound again:
 * the same names and shapes, so whatever binding does (fused matrices, slices, transposes) holds for the
 * copies. What the description of the block then points at is what is trained. */
#include "train/trainer.h"

static bool is_float(uint32_t type) { return type == TFM__F32 || type == TFM__F16 || type == TFM__BF16; }

static int32_t check_model(const tfm_model *model, tfm_error *error) {
    const tfm__config *c = &model->config;
    const char *lacks = c->encoder                             ? "encoders"
                        : c->cross || model->encoder           ? "encoder-decoders"
                        : model->relative                      ? "relative positions"
                        : c->latent_kv                         ? "low-rank attention"
                        : c->family->sinks                     ? "attention sinks"
                        : c->positions == TFM__POSITIONS_SINES ? "positions of sines"
                        : c->skipped >= 0 || model->types.data ? "positions that leave tokens out"
                        : c->latent_kv                         ? "low-rank attention"
                        : model->layers[0].sinks               ? "attention with sinks"
                        : c->experts.limit > 0.0f              ? "experts with a limit"
                        : !model->output_norm.weight           ? "layers that end with a norm"
                                                               : NULL;
    return lacks ? tfm__fail(error, TFM_E_UNSUPPORTED, "training of %s (%s)", lacks, c->family->name)
                 : TFM_OK;
}

/* Room for every tensor of floats, and their values. */
static int32_t copy_tensors(tfm_trainer *t, tfm_error *error) {
    const tfm__container *from = &t->source->container;
    tfm__container *to = &t->model.container;
    size_t count = 0, bytes;
    for (size_t i = 0; i < from->tensor_count; i++) {
        const tfm__tensor *tensor = &from->tensors[i];
        size_t values =
            is_float(tensor->type) ? (size_t)(tensor->bytes / tfm__dtype_of(tensor->type)->block_bytes) : 0;
        if (!tfm__add_size(count, tfm__round_up(values, 16), &count))
            return tfm__fail(error, TFM_E_MEMORY, "more weights than memory has addresses");
    }
    count += 16; /* kernels may look a line beyond */
    if (!tfm__mul_size(count, 4 * sizeof(float), &bytes))
        return tfm__fail(error, TFM_E_MEMORY, "more weights than memory has addresses");
    to->tensors = tfm__alloc(&t->model.heap, (from->tensor_count + 1) * sizeof *to->tensors);
    t->parameters = tfm__alloc_array(&t->model.heap, from->tensor_count + 1, sizeof *t->parameters);
    t->weights = tfm__alloc_array(&t->model.heap, count, sizeof(float));
    t->gradients = tfm__alloc_array(&t->model.heap, count, sizeof(float));
    t->first_mean = tfm__alloc_array(&t->model.heap, count, sizeof(float));
    if (t->options.optimizer != TFM_OPTIMIZER_SGD)
        t->second_mean = tfm__alloc_array(&t->model.heap, count, sizeof(float));
    t->sums = tfm__alloc_array(&t->model.heap, count / TFM__OPTIMIZER_PIECE + from->tensor_count + 1,
                               sizeof(double));
    if (!to->tensors || !t->parameters || !t->weights || !t->gradients || !t->first_mean || !t->sums ||
        (t->options.optimizer != TFM_OPTIMIZER_SGD && !t->second_mean))
        return tfm__fail_memory(error, &t->model.heap, bytes);
    t->count = count;
    for (size_t i = 0, at = 0; i < from->tensor_count; i++) {
        tfm__tensor *tensor = &to->tensors[i];
        *tensor = from->tensors[i];
        if (!is_float(tensor->type)) continue;
        size_t values = (size_t)(tensor->bytes / tfm__dtype_of(tensor->type)->block_bytes);
        t->model.kernels.weights[tensor->type].to_f32(tensor->data, t->weights + at, values);
        tensor->type = TFM__F32;
        tensor->data = (const uint8_t *)(t->weights + at);
        tensor->bytes = values * sizeof(float);
        at += tfm__round_up(values, 16);
    }
    return TFM_OK;
}

/* ---- What is trained ---- */

/* Marks the tensor that holds a weight; count is used as the mark until all are known. */
static tfm__parameter *mark(tfm_trainer *t, const void *weight) {
    const tfm__container *container = &t->model.container;
    const uint8_t *at = weight;
    for (const tfm__shifted *s = t->model.shifted; s && at; s = s->next)
        if ((const float *)weight >= s->bound && (const float *)weight < s->bound + s->count)
            at = (const uint8_t *)s->weight;
    if (!at || at < (const uint8_t *)t->weights || at >= (const uint8_t *)(t->weights + t->count))
        return NULL;
    for (size_t i = 0; i < container->tensor_count; i++) {
        const tfm__tensor *tensor = &container->tensors[i];
        if (at < tensor->data || at >= tensor->data + tensor->bytes) continue;
        t->parameters[i].tensor = tensor;
        return &t->parameters[i];
    }
    return NULL;
}

static int32_t mark_view(tfm_trainer *t, const tfm__view *view, bool hidden, tfm_error *error) {
    if (!view->data) return TFM_OK;
    if (view->type != TFM__F32)
        return tfm__fail(error, TFM_E_UNSUPPORTED,
                         "weights of type %s cannot be trained: only F32, F16 and BF16",
                         tfm__dtype_of(view->type)->name);
    tfm__parameter *parameter = mark(t, view->data);
    if (parameter && hidden && parameter->tensor->dims == 2 && parameter->tensor->shape[0] > 1 &&
        parameter->tensor->shape[1] > 1) {
        parameter->hidden = true;
        parameter->transposed = view->transposed;
    }
    mark(t, view->bias);
    return TFM_OK;
}

static void mark_norm(tfm_trainer *t, const tfm__norm *norm) {
    mark(t, norm->weight);
    mark(t, norm->bias);
}

static int32_t mark_expert(tfm_trainer *t, const tfm__expert *expert, tfm_error *error) {
    int32_t status = mark_view(t, &expert->gate, true, error);
    if (!status) status = mark_view(t, &expert->up, true, error);
    return status ? status : mark_view(t, &expert->down, true, error);
}

static int32_t mark_layer(tfm_trainer *t, const tfm__layer *l, tfm_error *error) {
    const tfm__view *const views[] = {&l->q, &l->k, &l->v, &l->qkv, &l->out, &l->gate, &l->up, &l->down};
    const tfm__norm *const norms[] = {&l->attn_norm,      &l->q_norm,   &l->k_norm,
                                      &l->attn_post_norm, &l->ffn_norm, &l->ffn_post_norm};
    int32_t status = mark_expert(t, &l->shared, error);
    for (size_t i = 0; i < TFM__COUNT(views) && !status; i++) status = mark_view(t, views[i], true, error);
    if (!status) status = mark_view(t, &l->router, false, error);
    if (!status) status = mark_view(t, &l->shared_switch, false, error);
    for (size_t i = 0; i < TFM__COUNT(norms); i++) mark_norm(t, norms[i]);
    for (uint32_t e = 0; l->router.data && e < t->model.config.experts.count && !status; e++)
        status = mark_expert(t, &l->experts[e], error);
    return status;
}

static int32_t list_parameters(tfm_trainer *t, tfm_error *error) {
    const tfm_model *m = &t->model;
    int32_t status = mark_view(t, &m->embedding, false, error);
    if (!status) status = mark_view(t, &m->positions, false, error);
    if (!status) status = mark_view(t, &m->output, false, error);
    mark_norm(t, &m->embed_norm);
    mark_norm(t, &m->output_norm);
    for (uint32_t i = 0; i < m->config.layers && !status; i++) status = mark_layer(t, &m->layers[i], error);
    if (status) return status;
    for (size_t i = 0; i < m->container.tensor_count; i++) {
        const tfm__tensor *tensor = t->parameters[i].tensor;
        if (!tensor) continue;
        size_t first = (size_t)((const float *)(const void *)tensor->data - t->weights);
        t->parameters[t->parameter_count++] =
            (tfm__parameter){tensor, first, (size_t)(tensor->bytes / sizeof(float)), t->parameters[i].hidden,
                             t->parameters[i].transposed};
    }
    return TFM_OK;
}

/* ---- The model ---- */

int32_t tfm__weights_make(tfm_trainer *t, tfm_error *error) {
    const tfm_model *from = t->source;
    tfm_model *m = &t->model;
    int32_t status = check_model(from, error);
    if (status) return status;
    m->references = 1;
    m->config = from->config;
    m->kernels = from->kernels;
    m->pool = t->options.pool ? t->options.pool : from->pool;
    m->container = from->container; /* names, indices and metadata are the source's */
    m->container.tensors = NULL;
    m->weights_change = true;
    tfm__arena_init(&m->container.arena, &m->heap);
    status = copy_tensors(t, error);
    if (!status) status = tfm__model_bind(m, &m->container, error);
    if (status) return status;
    m->tokenizer = from->tokenizer; /* for sessions on the weights in training */
    m->cache_type = TFM__F32;
    memcpy(m->frequencies, from->frequencies, sizeof m->frequencies);
    t->gradients_of = (tfm__gradients){t->weights, t->gradients, t->count, m->shifted};
    status = list_parameters(t, error);
    return status || t->options.optimizer != TFM_OPTIMIZER_MUON ? status : tfm__muon_make(t, error);
}

void tfm__weights_drop(tfm_trainer *t) {
    tfm__crowd_free(&t->model, atomic_exchange(&t->model.crowd, NULL));
    if (t->model.container.arena.heap) tfm__arena_free(&t->model.container.arena);
    if (t->model.layers) tfm__free(&t->model.heap, t->model.layers);
    if (t->model.weights_change) tfm__free(&t->model.heap, t->model.container.tensors);
    tfm__muon_drop(t);
    tfm__free(&t->model.heap, t->parameters);
    tfm__free(&t->model.heap, t->weights);
    tfm__free(&t->model.heap, t->gradients);
    tfm__free(&t->model.heap, t->first_mean);
    tfm__free(&t->model.heap, t->second_mean);
    tfm__free(&t->model.heap, t->sums);
}

void tfm__weights_changed(tfm_trainer *t) {
    for (const tfm__shifted *s = t->model.shifted; s; s = s->next)
        for (size_t i = 0; i < s->count; i++) s->bound[i] = s->weight[i] + s->offset;
}
