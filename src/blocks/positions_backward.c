/* positions_backward.c - the way back from what attention reads to the projections: rotation, norms of heads,
 * clip.
 *
 * A rotation's transpose turns the other way: the same function with the sines negated. */
#include "blocks/backward.h"

static void turn_back(const tfm__pass *pass, const tfm__layer *layer, size_t t, float *heads,
                      uint32_t count) {
    const tfm__config *c = pass->config;
    int kind = c->family->local_rope ? layer->rope : TFM__ROPE_GLOBAL;
    size_t pairs = c->rotary_dim / 2;
    const float *sine = pass->s->sine[kind] + t * pairs;
    float negated[TFM__MAX_HEAD_DIM / 2];
    for (size_t i = 0; i < pairs; i++) negated[i] = -sine[i];
    for (uint32_t h = 0; h < count; h++)
        pass->kernels->rope(heads + h * c->head_dim, pass->s->cosine[kind] + t * pairs, negated, pairs,
                            c->interleaved);
}

typedef struct place_job {
    tfm__backward *back;
    uint32_t layer;
} place_job;

static void turn_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const place_job *job = arg;
    const tfm__config *c = pass->config;
    const tfm__layer *layer = &pass->model->layers[job->layer];
    for (size_t t = first; t < first + count; t++) {
        turn_back(pass, layer, t, job->back->q + t * c->heads * c->head_dim, c->heads);
        turn_back(pass, layer, t, job->back->k + t * c->kv_heads * c->head_dim, c->kv_heads);
    }
}

static void clip(float *x, size_t n, float most) {
    for (size_t i = 0; i < n; i++) x[i] = x[i] > most ? most : x[i] < -most ? -most : x[i];
}

/* Norms of one of q and k, whose raw values are clipped first if the family clips. */
static void norm_heads(tfm__backward *b, const tfm__norm *norm, float *raw, float *gradient, uint32_t heads) {
    const tfm__config *c = b->pass->config;
    bool row = c->qk_norm == TFM__QK_NORM_ROW;
    const tfm__norm_way way = {.kind =
                                   row || c->qk_norm == TFM__QK_NORM_HEAD ? TFM__NORM_RMS : TFM__NORM_LAYER,
                               .norm = norm,
                               .epsilon = c->epsilon,
                               .x = raw,
                               .dy = gradient,
                               .rows = b->pass->tokens,
                               .groups = row ? 1 : heads,
                               .size = row ? (size_t)heads * c->head_dim : c->head_dim,
                               .each = c->qk_norm == TFM__QK_NORM_HEADS_LAYER,
                               .dx = gradient};
    tfm__norm_backward(b, &way);
}

/* No gradient comes through where a value was held at the border. */
static void stop_clipped(float *gradient, const float *values, size_t n, float most) {
    for (size_t i = 0; i < n; i++)
        if (values[i] >= most || values[i] <= -most) gradient[i] = 0.0f;
}

static void put_together_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__backward *b = arg;
    const tfm__config *c = pass->config;
    size_t q = (size_t)c->heads / c->kv_heads * c->head_dim, k = c->head_dim, v = c->value_dim;
    for (size_t i = first * c->kv_heads; i < (first + count) * c->kv_heads; i++) {
        float *to = b->fused + i * (q + k + v);
        memcpy(to, b->q + i * q, q * sizeof *to);
        memcpy(to + q, b->k + i * k, k * sizeof *to);
        memcpy(to + q + k, b->v + i * v, v * sizeof *to);
    }
}

void tfm__place_qkv_backward(tfm__backward *b, uint32_t index) {
    const tfm__config *c = b->pass->config;
    const tfm__layer *layer = &b->pass->model->layers[index];
    const tfm__taped_layer *tape = &b->pass->tape->layers[index];
    size_t tokens = b->pass->tokens, q = tokens * c->heads * c->head_dim,
           k = tokens * c->kv_heads * c->head_dim, v = tokens * c->kv_heads * c->value_dim;
    place_job job = {b, index};
    if (layer->rotates) tfm__over_rows(b->pass, tokens, turn_rows, &job);
    if (c->clip_qkv != 0.0f) {
        clip(tape->q_raw, q, c->clip_qkv);
        clip(tape->k_raw, k, c->clip_qkv);
    }
    if (c->qk_norm != TFM__QK_NORM_NONE) {
        norm_heads(b, &layer->q_norm, tape->q_raw, b->q, c->heads);
        norm_heads(b, &layer->k_norm, tape->k_raw, b->k, c->kv_heads);
    }
    if (c->clip_qkv != 0.0f) {
        stop_clipped(b->q, tape->q_raw, q, c->clip_qkv);
        stop_clipped(b->k, tape->k_raw, k, c->clip_qkv);
        stop_clipped(b->v, tape->v, v, c->clip_qkv);
    }
    if (layer->qkv.data) tfm__over_rows(b->pass, tokens, put_together_rows, b);
}
