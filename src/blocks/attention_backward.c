/* attention_backward.c - the way back through attention, without a [T, T] matrix (Dao et al. 2022,
 * "FlashAttention").
 *
 * For a tile of queries and one of keys, from q, k, v and what the tape has of each query (largest score m, i
 * = 1 / sum): s = q k^T (scaled, capped, with ALiBi's bias);  p = exp(s - m) i, 0 where a key is not seen dp
 * = do v^T;  ds = p (dp - w),  w = sum of do * o;  under a cap ds = ds (1 - (s / cap)^2) dv += p^T do;  dk +=
 * ds^T q;  dq += ds k A piece of work is one key/value head of one row: it owns its keys and values, and the
 * queries of its group. */
#include "blocks/backward.h"

#define TILE 64

typedef struct attend_job {
    tfm__backward *back;
    uint32_t layer;
    size_t group, pieces;
} attend_job;

/* What a lane works in. */
typedef struct lane {
    float *q, *out;               /* [TILE, head_dim], [TILE, value_dim], rows on cache lines: q scaled, do */
    float *score, *slope, *p, *s; /* [TILE, TILE]: s, dp; p and ds with keys as rows */
    float *part;                  /* [TILE, head_dim or value_dim] */
    size_t q_stride, out_stride;
} lane;

typedef struct tile {
    size_t token, tokens; /* queries, in the pass */
    size_t position;      /* of the first, in its row */
    size_t key, keys;     /* in the pass */
    size_t key_position;
    uint32_t head, kv_head;
} tile;

static lane lane_at(const tfm__backward *b, size_t index) {
    const tfm__config *c = b->pass->config;
    float *memory = b->lanes + index * b->lane_floats;
    lane l = {.q_stride = tfm__round_up(c->head_dim, 16), .out_stride = tfm__round_up(c->value_dim, 16)};
    l.q = memory;
    l.out = l.q + TILE * l.q_stride;
    l.score = l.out + TILE * l.out_stride;
    l.slope = l.score + TILE * TILE;
    l.p = l.slope + TILE * TILE;
    l.s = l.p + TILE * TILE;
    l.part = l.s + TILE * TILE;
    return l;
}

/* y [tokens, outputs] = x [tokens, k] times a matrix of `outputs` rows, or stored the other way round. */
static void multiply(const tfm__kernels *kernels, const float *weights, size_t row_stride, bool transposed,
                     size_t outputs, size_t k, const float *x, size_t x_stride, size_t tokens, float *y,
                     size_t y_stride) {
    const tfm__product product = {.weights = weights,
                                  .row_stride = row_stride * sizeof(float),
                                  .type = TFM__F32,
                                  .transposed = transposed,
                                  .k = k,
                                  .x = x,
                                  .x_stride = x_stride * sizeof(float),
                                  .tokens = tokens,
                                  .y = y,
                                  .y_stride = y_stride};
    for (size_t row = 0; row < outputs; row += 64)
        kernels->weights[TFM__F32].product(&product, row, TFM__MIN(row + 64, outputs));
}

static void add_rows(float *to, size_t stride, const float *from, size_t rows, size_t columns) {
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < columns; j++) to[r * stride + j] += from[r * columns + j];
}

/* From scores to ds in place, and both p and ds turned so that keys are rows. */
static void through_softmax(const attend_job *job, const tile *t, lane *l) {
    const tfm__pass *pass = job->back->pass;
    const tfm__config *c = pass->config;
    const tfm__layer *layer = &pass->model->layers[job->layer];
    const tfm__taped_layer *tape = &pass->tape->layers[job->layer];
    float capped[TILE];
    for (size_t i = 0; i < t->tokens; i++) {
        size_t position = t->position + i, token = t->token + i;
        size_t query = (t->kv_head * pass->tokens + token) * job->group + t->head % job->group;
        size_t least = layer->window && position + 1 > layer->window ? position + 1 - layer->window : 0;
        size_t first = least > t->key_position ? TFM__MIN(least - t->key_position, t->keys) : 0;
        size_t end = position + 1 > t->key_position ? TFM__MIN(position + 1 - t->key_position, t->keys) : 0;
        float *s = l->score + i * TILE, *ds = l->slope + i * TILE;
        float weighted = job->back->weighted[token * c->heads + t->head];
        if (c->attn_soft_cap != 0.0f) {
            pass->kernels->soft_cap(s, s, c->attn_soft_cap, t->keys);
            memcpy(capped, s, t->keys * sizeof *s);
        }
        if (pass->model->slopes)
            for (size_t j = 0; j < t->keys; j++)
                s[j] += pass->model->slopes[t->head] *
                        ((float)(t->key_position + j) - (float)position); /* only the past counts */
        if (end > first)
            pass->kernels->exp_scaled(s + first, s + first, end - first, tape->top[query],
                                      tape->inverse[query]);
        for (size_t j = 0; j < t->keys; j++) {
            bool seen = j >= first && j < end;
            float p = seen ? s[j] : 0.0f, d = seen ? p * (ds[j] - weighted) : 0.0f;
            if (c->attn_soft_cap != 0.0f) {
                float part = capped[j] / c->attn_soft_cap;
                d *= 1.0f - part * part;
            }
            ds[j] = d;
            l->p[j * TILE + i] = p;
            l->s[j * TILE + i] = d;
        }
    }
}

static void one_tile(const attend_job *job, const tile *t, lane *l) {
    tfm__backward *b = job->back;
    const tfm__config *c = b->pass->config;
    const tfm__kernels *kernels = b->pass->kernels;
    const tfm__taped_layer *tape = &b->pass->tape->layers[job->layer];
    size_t d = c->head_dim, e = c->value_dim, k_stride = c->kv_heads * d, v_stride = c->kv_heads * e;
    const float *k = tape->k + t->key * k_stride + t->kv_head * d,
                *v = tape->v + t->key * v_stride + t->kv_head * e;
    multiply(kernels, k, k_stride, false, t->keys, d, l->q, l->q_stride, t->tokens, l->score, TILE);
    multiply(kernels, v, v_stride, false, t->keys, e, l->out, l->out_stride, t->tokens, l->slope, TILE);
    through_softmax(job, t, l);
    multiply(kernels, l->out, l->out_stride, true, e, t->tokens, l->p, TILE, t->keys, l->part, e);
    add_rows(b->v + t->key * v_stride + t->kv_head * e, v_stride, l->part, t->keys, e);
    multiply(kernels, l->q, l->q_stride, true, d, t->tokens, l->s, TILE, t->keys, l->part, d);
    add_rows(b->k + t->key * k_stride + t->kv_head * d, k_stride, l->part, t->keys, d);
    multiply(kernels, k, k_stride, true, d, t->keys, l->slope, TILE, t->tokens, l->part, d);
    add_rows(b->q + t->token * c->heads * d + t->head * d, c->heads * d, l->part, t->tokens, d);
}

/* The queries of a tile, with all the keys that they see. */
static void tile_of_queries(const attend_job *job, const tfm__stretch *stretch, tile *t, lane *l) {
    tfm__backward *b = job->back;
    const tfm__config *c = b->pass->config;
    const tfm__layer *layer = &b->pass->model->layers[job->layer];
    const tfm__taped_layer *tape = &b->pass->tape->layers[job->layer];
    size_t d = c->head_dim, e = c->value_dim;
    for (size_t i = 0; i < t->tokens; i++) {
        size_t head = (t->token + i) * c->heads + t->head;
        b->pass->kernels->scale(l->q + i * l->q_stride, tape->q + head * d, layer->attn_scale, d);
        memcpy(l->out + i * l->out_stride, b->mixed + head * e, e * sizeof(float));
        b->weighted[head] = tfm__dot(b->mixed + head * e, tape->mixed + head * e, e);
    }
    size_t least = layer->window && t->position + 1 > layer->window ? t->position + 1 - layer->window : 0;
    for (size_t key = least / TILE * TILE; key < t->position + t->tokens; key += TILE) {
        t->key = stretch->first + key;
        t->keys = TFM__MIN(TILE, stretch->tokens - key);
        t->key_position = key;
        one_tile(job, t, l);
    }
    for (size_t i = 0; i < t->tokens; i++) {
        float *q = b->q + ((t->token + i) * c->heads + t->head) * d;
        b->pass->kernels->scale(q, q, layer->attn_scale, d);
    }
}

static void lane_piece(void *arg, size_t index) {
    const attend_job *job = arg;
    const tfm__pass *pass = job->back->pass;
    const tfm__config *c = pass->config;
    lane l = lane_at(job->back, index);
    for (size_t i = index; i < job->pieces; i += TFM__LANES) {
        tfm__stretch stretch = tfm__stretch_at(pass, i / c->kv_heads);
        tile t = {.kv_head = (uint32_t)(i % c->kv_heads)};
        for (size_t g = 0; g < job->group; g++)
            for (size_t at = 0; at < stretch.tokens; at += TILE) {
                t.head = (uint32_t)(t.kv_head * job->group + g);
                t.token = stretch.first + at;
                t.position = at;
                t.tokens = TFM__MIN(TILE, stretch.tokens - at);
                tile_of_queries(job, &stretch, &t, &l);
            }
    }
}

void tfm__attend_backward(tfm__backward *b, uint32_t layer) {
    const tfm__config *c = b->pass->config;
    size_t tokens = b->pass->tokens;
    attend_job job = {b, layer, c->heads / c->kv_heads, tfm__stretches(b->pass) * c->kv_heads};
    memset(b->q, 0, tokens * c->heads * c->head_dim * sizeof(float));
    memset(b->k, 0, tokens * c->kv_heads * c->head_dim * sizeof(float));
    memset(b->v, 0, tokens * c->kv_heads * c->value_dim * sizeof(float));
    tfm__parallel(b->pass->pool, TFM__MIN(job.pieces, TFM__LANES), lane_piece, &job);
}
