/* positions.c - where tokens stand: rotary positions on q and k, the bias by distance of relative positions,
 * and keys and values into their pages.
 *
 * A key page is [head_dim, 64 positions], so that attention's lanes are keys; a value page is [64 positions,
 * value_dim]. */
#include "base/real.h"
#include "blocks/blocks.h"

static void table_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    int kinds = pass->config->family->local_rope ? TFM__ROPE_KINDS : 1;
    size_t pairs = pass->config->rotary_dim / 2;
    (void)arg;
    for (size_t t = first; t < first + count;) {
        tfm__stretch stretch = tfm__stretch_of(pass, t);
        size_t here = TFM__MIN(first + count, stretch.first + stretch.tokens) - t;
        for (int kind = 0; kind < kinds; kind++)
            tfm__rope_table(pass->model, kind, (uint32_t)(stretch.position + (t - stretch.first)), here,
                            pass->s->cosine[kind] + t * pairs, pass->s->sine[kind] + t * pairs);
        t += here;
    }
}

/* The bucket of a key's distance from its query (Raffel et al. 2020, T5): one each for small distances, then
 * logarithmic ones up to the largest; encoders have half of them for keys to the right. In f32, as the models
 * were trained. */
static uint32_t bucket_of(const tfm__config *c, int64_t distance) {
    uint32_t buckets = c->encoder ? c->relative_buckets / 2 : c->relative_buckets, exact = buckets / 2;
    uint32_t right = c->encoder && distance > 0 ? buckets : 0;
    uint64_t n = distance > 0 ? (c->encoder ? (uint64_t)distance : 0) : (uint64_t)-distance;
    if (n < exact) return right + (uint32_t)n;
    float ratio = (float)n / (float)exact;
    float range = (float)tfm__log_real((double)c->relative_distance / exact);
    float place = (float)tfm__log_real((double)ratio) / range * (float)(buckets - exact);
    uint32_t bucket = place < (float)(buckets - exact) ? exact + (uint32_t)place : buckets - 1;
    return right + TFM__MIN(bucket, buckets - 1);
}

/* [heads, 2 reach]: entry reach + d of a head is its bias for a key d behind (d < 0) or before its query. */
static void make_bias(const tfm__pass *pass) {
    const tfm__config *c = pass->config;
    size_t reach = pass->s->reach;
    for (size_t i = 0; i < 2 * reach; i++) {
        uint32_t bucket = bucket_of(c, (int64_t)i - (int64_t)reach);
        for (uint32_t h = 0; h < c->heads; h++)
            pass->s->bias[h * 2 * reach + i] = pass->model->relative[h * c->relative_buckets + bucket];
    }
    pass->s->bias_made = true;
}

void tfm__prepare_positions(tfm__pass *pass) {
    if (pass->config->positions == TFM__POSITIONS_ROTARY)
        tfm__over_rows(pass, pass->tokens, table_rows, NULL);
    if (pass->model->relative && !pass->s->bias_made) make_bias(pass);
}

/* Norm and rotation of one head. */
static void turn(const tfm__pass *pass, const tfm__layer *layer, size_t t, const tfm__norm *norm, uint32_t h,
                 float *head) {
    const tfm__config *c = pass->config;
    if (c->qk_norm == TFM__QK_NORM_HEAD)
        pass->kernels->rms_norm(head, head, norm->weight, c->head_dim, c->epsilon);
    else if (c->qk_norm == TFM__QK_NORM_HEAD_LAYER)
        pass->kernels->layer_norm(head, head, norm->weight, norm->bias, c->head_dim, c->epsilon);
    else if (c->qk_norm == TFM__QK_NORM_HEADS_LAYER)
        pass->kernels->layer_norm(head, head, norm->weight + h * c->head_dim, NULL, c->head_dim, c->epsilon);
    if (!layer->rotates) return;
    int kind = c->family->local_rope ? layer->rope : TFM__ROPE_GLOBAL;
    size_t pairs = c->rotary_dim / 2;
    pass->kernels->rope(head, pass->s->cosine[kind] + t * pairs, pass->s->sine[kind] + t * pairs, pairs,
                        c->interleaved);
}

static void clip(float *x, size_t n, float most) {
    for (size_t i = 0; i < n; i++) x[i] = x[i] > most ? most : x[i] < -most ? -most : x[i];
}

/* What is done to all heads of a row together. */
static void settle_rows(const tfm__pass *pass, const tfm__layer *layer, size_t t) {
    const tfm__config *c = pass->config;
    size_t q_size = (size_t)c->heads * c->head_dim, k_size = (size_t)c->kv_heads * c->head_dim,
           v_size = (size_t)c->kv_heads * c->value_dim;
    float *q = pass->s->q + t * q_size, *k = pass->s->k + t * k_size;
    if (c->clip_qkv != 0.0f) {
        clip(q, q_size, c->clip_qkv);
        clip(k, k_size, c->clip_qkv);
        clip(pass->s->v + t * v_size, v_size, c->clip_qkv);
    }
    if (c->qk_norm == TFM__QK_NORM_ROW) {
        pass->kernels->rms_norm(q, q, layer->q_norm.weight, q_size, c->epsilon);
        pass->kernels->rms_norm(k, k, layer->k_norm.weight, k_size, c->epsilon);
    }
}

/* One key or value vector to its slots, stride elements apart. */
static void store(const tfm__pass *pass, uint32_t type, const float *values, size_t count, uint8_t *page,
                  size_t slot, size_t stride) {
    uint16_t half[TFM__MAX_HEAD_DIM];
    if (type == TFM__F32) {
        float *to = (float *)(void *)page + slot;
        for (size_t i = 0; i < count; i++) to[i * stride] = values[i];
        return;
    }
    if (type == TFM__F16)
        pass->kernels->to_f16(values, half, count);
    else
        pass->kernels->to_bf16(values, half, count);
    uint16_t *to = (uint16_t *)(void *)page + slot;
    for (size_t i = 0; i < count; i++) to[i * stride] = half[i];
}

/* The queries of token t, scaled, in attention's order. */
static void keep_query(const tfm__pass *pass, const tfm__layer *layer, size_t t) {
    const tfm__config *c = pass->config;
    uint32_t group = c->heads / c->kv_heads;
    for (uint32_t h = 0; h < c->heads; h++) {
        const float *q = pass->s->q + (t * c->heads + h) * c->head_dim;
        float *to = pass->s->tile_q + (((h / group) * pass->tokens + t) * group + h % group) * c->head_dim;
        pass->kernels->scale(to, q, layer->attn_scale, c->head_dim);
    }
}

/* The keys and values of token t, to a slot of a page. */
static void keep_row(const tfm__pass *pass, const tfm_session *to, uint32_t index, size_t t, size_t page,
                     size_t slot) {
    const tfm__config *c = pass->config;
    for (uint32_t h = 0; h < c->kv_heads; h++) {
        const float *k = pass->s->k + (t * c->kv_heads + h) * c->head_dim;
        const float *v = pass->s->v + (t * c->kv_heads + h) * c->value_dim;
        if (tfm__cache_quantised(to->cache_type)) {
            tfm__cache_put_key(to->cache_type, k, c->head_dim, tfm__page_keys(to, index, page, h), slot);
            tfm__cache_put_value(to->cache_type, v, c->value_dim, tfm__page_values(to, index, page, h), slot);
            continue;
        }
        store(pass, to->cache_type, k, c->head_dim, tfm__page_keys(to, index, page, h), slot,
              TFM__PAGE_TOKENS);
        store(pass, to->cache_type, v, c->value_dim, tfm__page_values(to, index, page, h),
              slot * c->value_dim, 1);
    }
}

static void keep_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    uint32_t index = *(const uint32_t *)arg;
    const tfm__layer *layer = &pass->model->layers[index];
    for (size_t t = first; t < first + count; t++) {
        tfm__stretch stretch = tfm__stretch_of(pass, t);
        size_t position = stretch.position + (t - stretch.first),
               page = stretch.page + position / TFM__PAGE_TOKENS, slot = position % TFM__PAGE_TOKENS;
        keep_query(pass, layer, t);
        keep_row(pass, tfm__session_of(pass, &stretch), index, t, page, slot);
    }
}

static void place_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__config *c = pass->config;
    const tfm__layer *layer = &pass->model->layers[*(const uint32_t *)arg];
    for (size_t t = first; t < first + count; t++) {
        settle_rows(pass, layer, t);
        for (uint32_t h = 0; h < c->heads; h++)
            turn(pass, layer, t, &layer->q_norm, h, pass->s->q + (t * c->heads + h) * c->head_dim);
        for (uint32_t h = 0; h < c->kv_heads; h++)
            turn(pass, layer, t, &layer->k_norm, h, pass->s->k + (t * c->kv_heads + h) * c->head_dim);
    }
    keep_rows(pass, arg, first, count);
}

/* Keys and values of an encoder's states; nothing turns them. */
static void cross_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    uint32_t index = *(const uint32_t *)arg;
    for (size_t t = first; t < first + count; t++) {
        size_t position = pass->position + t;
        keep_row(pass, pass->session->cross, index, t, position / TFM__PAGE_TOKENS,
                 position % TFM__PAGE_TOKENS);
    }
}

void tfm__keep_cross(tfm__pass *pass, uint32_t layer) {
    tfm__over_rows(pass, pass->tokens, cross_rows, &layer);
}

static void query_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__layer *layer = &pass->model->layers[*(const uint32_t *)arg];
    for (size_t t = first; t < first + count; t++) keep_query(pass, layer, t);
}

void tfm__keep_queries(tfm__pass *pass, uint32_t layer) {
    tfm__over_rows(pass, pass->tokens, query_rows, &layer);
}

void tfm__keep_qkv(tfm__pass *pass, uint32_t layer) { tfm__over_rows(pass, pass->tokens, keep_rows, &layer); }

void tfm__place_qkv(tfm__pass *pass, uint32_t layer) {
    tfm__over_rows(pass, pass->tokens, place_rows, &layer);
}
