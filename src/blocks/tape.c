/* tape.c - keeping what the way back needs; called by the forward functions through tfm__keep. */
#include "blocks/tape.h"

void *tfm__carve(tfm__carving *carving, size_t rows, size_t columns, size_t element) {
    size_t bytes, place = carving->used;
    if (rows == 0 || columns == 0) return NULL;
    if (!tfm__mul_size(rows, columns, &bytes) || !tfm__mul_size(bytes, element, &bytes) ||
        bytes > SIZE_MAX - 128 || !tfm__add_size(place, tfm__round_up(bytes, 64) + 64, &carving->used)) {
        carving->overflow = true;
        return NULL;
    }
    return carving->memory ? carving->memory + place : NULL;
}

void tfm__tape_carve(tfm__tape *tape, const tfm_model *model, size_t tokens, tfm__carving *carving) {
    const tfm__config *c = &model->config;
    const size_t f = sizeof(float), q = (size_t)c->heads * c->head_dim, k = (size_t)c->kv_heads * c->head_dim;
    bool raw = c->qk_norm != TFM__QK_NORM_NONE || c->clip_qkv != 0.0f;
    tape->tokens = tokens;
    for (uint32_t i = 0; i < c->layers; i++) {
        tfm__taped_layer *t = &tape->layers[i];
        const tfm__layer *layer = &model->layers[i];
        bool sparse = layer->router.data != NULL, parallel = c->order == TFM__ORDER_PARALLEL;
        *t = (tfm__taped_layer){0};
        t->input = tfm__carve(carving, tokens, c->width, f);
        t->attn_input = layer->attn_norm.weight ? tfm__carve(carving, tokens, c->width, f) : t->input;
        t->q_raw = tfm__carve(carving, raw ? tokens : 0, q, f);
        t->k_raw = tfm__carve(carving, raw ? tokens : 0, k, f);
        t->q = tfm__carve(carving, tokens, q, f);
        t->k = tfm__carve(carving, tokens, k, f);
        t->v = tfm__carve(carving, tokens, (size_t)c->kv_heads * c->value_dim, f);
        t->top = tfm__carve(carving, tokens, c->heads, f);
        t->inverse = tfm__carve(carving, tokens, c->heads, f);
        t->mixed = tfm__carve(carving, tokens, (size_t)c->heads * c->value_dim, f);
        t->attn_delta = tfm__carve(carving, layer->attn_post_norm.weight ? tokens : 0, c->width, f);
        t->middle = parallel ? t->input : tfm__carve(carving, tokens, c->width, f);
        t->feed_input = layer->ffn_norm.weight ? tfm__carve(carving, tokens, c->width, f)
                        : parallel             ? t->attn_input
                                               : t->middle;
        t->gate = tfm__carve(carving, !sparse && layer->gate.data ? tokens : 0, c->feed_forward, f);
        t->up = tfm__carve(carving, sparse ? 0 : tokens, c->feed_forward, f);
        t->router = tfm__carve(carving, sparse ? tokens : 0, c->experts.count, f);
        t->share = tfm__carve(carving, sparse ? tokens : 0, c->experts.used, f);
        t->chosen = tfm__carve(carving, sparse ? tokens : 0, c->experts.used, sizeof(uint32_t));
        t->feed_delta = tfm__carve(carving, layer->ffn_post_norm.weight ? tokens : 0, c->width, f);
    }
}

static void copy(float *to, const float *from, size_t rows, size_t columns) {
    if (to && to != from) memcpy(to, from, rows * columns * sizeof *to);
}

/* The 16 sums of each query become the factor that turns exponentials into probabilities: as attention.c's
 * deliver has it. */
static void keep_sums(const tfm__pass *pass, tfm__taped_layer *t) {
    size_t queries = pass->tokens * pass->config->heads;
    for (size_t i = 0; i < queries; i++) {
        float sum[16];
        memcpy(sum, pass->s->part_l + i * 16, sizeof sum);
        for (size_t half = 8; half > 0; half /= 2)
            for (size_t j = 0; j < half; j++) sum[j] += sum[j + half];
        t->top[i] = pass->s->part_m[i];
        t->inverse[i] = 1.0f / sum[0];
    }
}

void tfm__tape_keep(tfm__pass *pass, uint32_t index, int what, const float *values) {
    const tfm__config *c = pass->config;
    const tfm__scratch *s = pass->s;
    tfm__taped_layer *t = &pass->tape->layers[index];
    size_t n = pass->tokens;
    switch (what) {
    case TFM__KEEP_INPUT:
        copy(t->input, s->stream, n, c->width);
        if (t->attn_input != t->input) copy(t->attn_input, values, n, c->width);
        break;
    case TFM__KEEP_PROJECTED:
        copy(t->q_raw, s->q, n, (size_t)c->heads * c->head_dim);
        copy(t->k_raw, s->k, n, (size_t)c->kv_heads * c->head_dim);
        break;
    case TFM__KEEP_PLACED:
        copy(t->q, s->q, n, (size_t)c->heads * c->head_dim);
        copy(t->k, s->k, n, (size_t)c->kv_heads * c->head_dim);
        copy(t->v, s->v, n, (size_t)c->kv_heads * c->value_dim);
        break;
    case TFM__KEEP_ATTENDED:
        copy(t->mixed, s->mixed, n, (size_t)c->heads * c->value_dim);
        keep_sums(pass, t);
        break;
    case TFM__KEEP_ATTN_DELTA:
        copy(t->attn_delta, s->delta, n, c->width);
        break;
    case TFM__KEEP_FEED_INPUT:
        if (t->middle != t->input) copy(t->middle, s->stream, n, c->width);
        if (t->feed_input != t->middle && t->feed_input != t->attn_input)
            copy(t->feed_input, values, n, c->width);
        break;
    case TFM__KEEP_WIDE:
        copy(t->gate, s->gate, n, c->feed_forward);
        copy(t->up, s->up, n, c->feed_forward);
        break;
    case TFM__KEEP_ROUTED:
        copy(t->router, s->router, n, c->experts.count);
        copy(t->share, s->share, n, c->experts.used);
        memcpy(t->chosen, s->chosen, n * c->experts.used * sizeof *t->chosen);
        break;
    case TFM__KEEP_FEED_DELTA:
        copy(t->feed_delta, s->delta, n, c->width);
        break;
    default:
        break;
    }
}
