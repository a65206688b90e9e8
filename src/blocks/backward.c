/* backward.c - what the parts of the way back share: its memory, and where gradients lie. */
#include "blocks/backward.h"

#define LOGIT_VALUES (1u << 24) /* of the vocabulary's rows held at once, 64 MiB */
#define LEAST_TILE 16
#define MOST_TILE 1024
#define TILE 64 /* queries and keys of a tile: attention_backward.c */

float *tfm__gradient_of(const tfm__gradients *gradients, const void *weight) {
    const float *at = weight;
    if (!at) return NULL;
    if (at >= gradients->weights && at < gradients->weights + gradients->count)
        return gradients->values + (at - gradients->weights);
    for (const tfm__shifted *s = gradients->shifted; s; s = s->next)
        if (at >= s->bound && at < s->bound + s->count)
            return gradients->values + (s->weight - gradients->weights) + (at - s->bound);
    return NULL;
}

void tfm__backward_carve(tfm__backward *b, const tfm_model *model, size_t tokens, tfm__carving *carving) {
    const tfm__config *c = &model->config;
    const tfm__experts *x = &c->experts;
    const size_t f = sizeof(float), q = (size_t)c->heads * c->head_dim, k = (size_t)c->kv_heads * c->head_dim,
                 v = (size_t)c->kv_heads * c->value_dim, mixed = (size_t)c->heads * c->value_dim;
    size_t wide = TFM__MAX(c->feed_forward, x->count ? TFM__MAX(x->width, x->shared) : 0);
    size_t fused = c->fused == TFM__FUSED_GROUPS ? q + k + v : 0;
    size_t widest = TFM__MAX(TFM__MAX((size_t)c->width, wide), TFM__MAX(TFM__MAX(q, mixed), fused));
    widest = TFM__MAX(widest, TFM__MAX((size_t)x->count, v));
    size_t line = tfm__round_up(tokens, 16), sparse = x->count ? tokens : 0;
    b->tile =
        TFM__MAX(TFM__MIN(TFM__MIN(LOGIT_VALUES / c->vocab, (size_t)MOST_TILE), tokens), (size_t)LEAST_TILE);
    b->stream = tfm__carve(carving, tokens, c->width, f);
    b->delta = tfm__carve(carving, tokens, c->width, f);
    b->attn_input = tfm__carve(carving, tokens, c->width, f);
    b->feed_input = tfm__carve(carving, tokens, c->width, f);
    b->q = tfm__carve(carving, tokens, q, f);
    b->k = tfm__carve(carving, tokens, k, f);
    b->v = tfm__carve(carving, tokens, v, f);
    b->fused = tfm__carve(carving, tokens, fused, f);
    b->mixed = tfm__carve(carving, tokens, mixed, f);
    b->gate = tfm__carve(carving, tokens, wide, f);
    b->up = tfm__carve(carving, tokens, wide, f);
    b->inner = tfm__carve(carving, tokens, wide, f);
    b->router = tfm__carve(carving, sparse, x->count, f);
    b->share = tfm__carve(carving, sparse, x->used, f);
    b->gathered = tfm__carve(carving, sparse, c->width, f);
    b->rows = tfm__carve(carving, sparse, c->width, f);
    b->slots = tfm__carve(carving, sparse, 1, sizeof(uint32_t));
    b->mean = tfm__carve(carving, tokens, c->heads, f);
    b->inverse = tfm__carve(carving, tokens, c->heads, f);
    b->product = tfm__carve(carving, tokens, widest, f);
    size_t by_vocab = tfm__round_up(c->vocab, 16) * tfm__round_up(b->tile, 16);
    b->padded =
        tfm__carve(carving, 1, TFM__MAX(tokens * tfm__round_up(widest, 16), c->vocab % 16 ? by_vocab : 0), f);
    b->turned = tfm__carve(carving, 1, TFM__MAX(widest * line, by_vocab), f);
    b->weighted = tfm__carve(carving, tokens, c->heads, f);
    b->logits = tfm__carve(carving, b->tile, c->vocab, f);
    b->losses = tfm__carve(carving, b->tile, 1, sizeof(double));
    b->lane_floats = TILE * (tfm__round_up(c->head_dim, 16) + tfm__round_up(c->value_dim, 16) +
                             TFM__MAX(c->head_dim, c->value_dim) + 4 * TILE) +
                     64;
    b->lane_floats = tfm__round_up(b->lane_floats, 16);
    b->lanes = tfm__carve(carving, TFM__LANES, b->lane_floats, f);
}

typedef struct add_job {
    float *y;
    const float *x;
    size_t count;
} add_job;

#define ADD_PIECE 16384

static void add_piece(void *arg, size_t i) {
    const add_job *job = arg;
    size_t first = i * ADD_PIECE, end = TFM__MIN(first + ADD_PIECE, job->count);
    for (size_t j = first; j < end; j++) job->y[j] += job->x[j];
}

void tfm__add_values(tfm__backward *back, float *y, const float *x, size_t count) {
    add_job job = {y, x, count};
    tfm__parallel(back->pass->pool, (count + ADD_PIECE - 1) / ADD_PIECE, add_piece, &job);
}

float tfm__dot(const float *a, const float *b, size_t n) {
    float sum[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) sum[j] += a[i + j] * b[i + j];
    for (size_t j = 0; i + j < n; j++) sum[j] += a[i + j] * b[i + j];
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++) sum[j] += sum[j + half];
    return sum[0];
}
