/* attention.c - scaled dot-product attention (Vaswani et al. 2017) over key/value pages, with an online
 * softmax (Milakov and Gimelshein 2018).
 *
 * Pages are grouped by absolute position into runs of TFM__RUN_PAGES. Each run is attended to from scratch
 * (maximum m, 16 partial sums l, unnormalised output o), and the runs that a query sees are combined in
 * order. That order never changes; what changes is who does the work: for one token the runs are spread over
 * the pool, for several tokens blocks of them are, each going through its runs in turn. The queries of all
 * heads that share a key/value head make one tile. */
#include <math.h>

#include "base/elementary.h"
#include "blocks/blocks.h"
#include "model/runs.h"

#define BLOCK_TOKENS 16 /* tokens of one piece in a long pass */
#define ALONE_VALUES                                                                                         \
    32768 /* of keys and values seen by one token: less is done before another thread could join in */

typedef struct attend_job {
    tfm__pass *pass;
    bool cross; /* to an encoder's states */
    uint32_t layer;
    size_t group;           /* heads per key/value head */
    size_t first_run, runs; /* one token: that it sees */
    size_t blocks;          /* several tokens: cut into these, in the scratch */
} attend_job;

/* Whose pages a stretch reads: those of its session, or those on the encoder's states. */
static const tfm_session *keys_of(const attend_job *job, const tfm__stretch *stretch) {
    const tfm_session *session = tfm__session_of(job->pass, stretch);
    return job->cross ? session->cross : session;
}

/* Keys that the token at a position of its row may see: [first, last). */
static uint32_t first_key(const attend_job *job, size_t position) {
    uint32_t window = job->pass->model->layers[job->layer].window;
    return !job->cross && window && position + 1 > window ? (uint32_t)(position + 1 - window) : 0;
}

static uint32_t last_key(const attend_job *job, const tfm__stretch *stretch, size_t position) {
    uint32_t window = job->pass->model->layers[job->layer].window;
    size_t all = stretch->position + stretch->tokens;
    if (job->cross) return (uint32_t)keys_of(job, stretch)->position;
    if (!job->pass->config->encoder) return (uint32_t)position + 1;
    return (uint32_t)(window ? TFM__MIN(all, position + window) : all);
}

/* One run for a tile of tokens of one key/value head; results at o [queries, value_dim], m, l. */
static void attend_run(const attend_job *job, uint32_t head, size_t token, size_t tokens, size_t run,
                       float *m, float *l, float *o) {
    const tfm__pass *pass = job->pass;
    const tfm__config *c = pass->config;
    const void *keys[TFM__RUN_PAGES], *values[TFM__RUN_PAGES];
    tfm__stretch stretch = tfm__stretch_of(pass, token);
    size_t end = last_key(job, &stretch, stretch.position + (token - stretch.first) + tokens - 1);
    const tfm_session *session = keys_of(job, &stretch);
    size_t page = run * TFM__RUN_PAGES, pages = 0, first_page = job->cross ? 0 : stretch.page;
    for (; pages < TFM__RUN_PAGES && (page + pages) * TFM__PAGE_TOKENS < end; pages++) {
        keys[pages] = tfm__page_keys(session, job->layer, first_page + page + pages, head);
        values[pages] = tfm__page_values(session, job->layer, first_page + page + pages, head);
    }
    size_t query = (head * pass->tokens + token) * job->group;
    tfm__attention_tile tile = {
        .q = pass->s->tile_q + query * c->head_dim,
        .q_stride = c->head_dim,
        .queries = tokens * job->group,
        .first = pass->s->first + query,
        .last = pass->s->last + query,
        .positions = pass->s->place + query,
        .slopes = pass->model->slopes && !job->cross ? pass->s->slope + query : NULL,
        .bias = pass->model->relative && !job->cross ? pass->s->bias : NULL,
        .bias_at = pass->s->bias_at + query,
        .soft_cap = c->attn_soft_cap,
        .k_pages = keys,
        .v_pages = values,
        .pages = pages,
        .first_position = (uint32_t)(page * TFM__PAGE_TOKENS),
        .kv_type = session->cache_type,
        .head_dim_k = c->head_dim,
        .head_dim_v = c->value_dim,
        .m = m,
        .l = l,
        .o = o,
        .o_stride = c->value_dim,
    };
    pass->kernels->attention(&tile);
}

/* (m, l, o) of one query takes in the next run's. */
static void combine(const attend_job *job, float *m, float *l, float *o, float run_m, const float *run_l,
                    const float *run_o) {
    const tfm__kernels *kernels = job->pass->kernels;
    size_t value_dim = job->pass->config->value_dim;
    if (run_m == -INFINITY) return; /* no key of that run is visible */
    if (*m == -INFINITY) {
        *m = run_m;
        memcpy(l, run_l, 16 * sizeof *l);
        memcpy(o, run_o, value_dim * sizeof *o);
        return;
    }
    float top = run_m > *m ? run_m : *m;
    float keep = tfm__exp(*m - top), take = tfm__exp(run_m - top);
    *m = top;
    kernels->scale(l, l, keep, 16);
    kernels->multiply_add(l, run_l, take, 16);
    kernels->scale(o, o, keep, value_dim);
    kernels->multiply_add(o, run_o, take, value_dim);
}

float tfm__share_of(const tfm__pass *pass, uint32_t layer, uint32_t head, float top, float sum) {
    const float *sinks = pass->model->layers[layer].sinks;
    if (!sinks) return 1.0f / sum;
    float sink = sinks[head];
    if (sink <= top) return 1.0f / (sum + tfm__exp(sink - top));
    float less = tfm__exp(top - sink); /* of everything, against the sink */
    return less / (sum * less + 1.0f);
}

/* Divides by the sum and puts query (head, t, g) where the output projection reads it. */
static void deliver(const attend_job *job, uint32_t head, size_t t, size_t g, float m, const float *l,
                    const float *o) {
    const tfm__pass *pass = job->pass;
    const tfm__config *c = pass->config;
    float sum[16];
    memcpy(sum, l, sizeof sum);
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) sum[i] += sum[i + half];
    pass->kernels->scale(
        pass->s->mixed + (t * c->heads + head * job->group + g) * c->value_dim, o,
        tfm__share_of(pass, job->layer, head * (uint32_t)job->group + (uint32_t)g, m, sum[0]), c->value_dim);
}

/* One token: a piece is one run of one key/value head; its results wait in part_*. */
static void run_piece(void *arg, size_t i) {
    const attend_job *job = arg;
    tfm__scratch *s = job->pass->s;
    uint32_t head = (uint32_t)(i / job->runs);
    size_t slot = i * job->group;
    attend_run(job, head, 0, 1, job->first_run + i % job->runs, s->part_m + slot, s->part_l + slot * 16,
               s->part_o + slot * job->pass->config->value_dim);
}

static void attend_one(attend_job *job) {
    const tfm__config *c = job->pass->config;
    tfm__scratch *s = job->pass->s;
    tfm__stretch stretch = tfm__stretch_at(job->pass, 0);
    size_t seen = last_key(job, &stretch, stretch.position) - first_key(job, stretch.position);
    bool alone = seen * c->kv_heads * (c->head_dim + c->value_dim) < ALONE_VALUES;
    tfm__parallel(alone ? NULL : job->pass->pool, c->kv_heads * job->runs, run_piece, job);
    for (uint32_t head = 0; head < c->kv_heads; head++)
        for (size_t g = 0; g < job->group; g++) {
            size_t slot = head * job->runs * job->group + g;
            for (size_t run = 1; run < job->runs; run++) {
                size_t from = slot + run * job->group;
                combine(job, s->part_m + slot, s->part_l + slot * 16, s->part_o + slot * c->value_dim,
                        s->part_m[from], s->part_l + from * 16, s->part_o + from * c->value_dim);
            }
            deliver(job, head, 0, g, s->part_m[slot], s->part_l + slot * 16, s->part_o + slot * c->value_dim);
        }
}

/* Several tokens: a piece is a block of them for one key/value head, run after run. */
static void block_piece(void *arg, size_t i) {
    const attend_job *job = arg;
    const tfm__pass *pass = job->pass;
    const tfm__config *c = pass->config;
    tfm__scratch *s = pass->s;
    uint32_t head = (uint32_t)(i / job->blocks);
    size_t token = s->block[i % job->blocks];
    tfm__stretch stretch = tfm__stretch_of(pass, token);
    size_t position = stretch.position + (token - stretch.first);
    size_t tokens = TFM__MIN(BLOCK_TOKENS, stretch.first + stretch.tokens - token);
    size_t slot = (head * pass->tokens + token) * job->group, queries = tokens * job->group;
    size_t spare = slot + pass->tokens * c->heads; /* the second half of part_* */
    size_t run = first_key(job, position) / TFM__RUN_TOKENS;
    size_t end = (last_key(job, &stretch, position + tokens - 1) - 1) / TFM__RUN_TOKENS + 1;
    attend_run(job, head, token, tokens, run, s->part_m + slot, s->part_l + slot * 16,
               s->part_o + slot * c->value_dim);
    for (run++; run < end; run++) {
        attend_run(job, head, token, tokens, run, s->part_m + spare, s->part_l + spare * 16,
                   s->part_o + spare * c->value_dim);
        for (size_t q = 0; q < queries; q++)
            combine(job, s->part_m + slot + q, s->part_l + (slot + q) * 16,
                    s->part_o + (slot + q) * c->value_dim, s->part_m[spare + q], s->part_l + (spare + q) * 16,
                    s->part_o + (spare + q) * c->value_dim);
    }
    for (size_t q = 0; q < queries; q++)
        deliver(job, head, token + q / job->group, q % job->group, s->part_m[slot + q],
                s->part_l + (slot + q) * 16, s->part_o + (slot + q) * c->value_dim);
}

/* What the queries of a stretch see. */
static void see_keys(const attend_job *job, const tfm__stretch *stretch) {
    const tfm__pass *pass = job->pass;
    tfm__scratch *s = pass->s;
    for (uint32_t head = 0; head < pass->config->kv_heads; head++)
        for (size_t t = 0; t < stretch->tokens; t++)
            for (size_t g = 0; g < job->group; g++) {
                size_t query = (head * pass->tokens + stretch->first + t) * job->group + g;
                size_t position = stretch->position + t, h = head * job->group + g;
                s->first[query] = first_key(job, position);
                s->last[query] = last_key(job, stretch, position);
                s->place[query] = (uint32_t)position;
                if (pass->model->slopes) s->slope[query] = pass->model->slopes[h];
                if (pass->model->relative) s->bias_at[query] = (2 * h + 1) * s->reach - position;
            }
}

static void attend(tfm__pass *pass, uint32_t layer, bool cross) {
    const tfm__config *c = pass->config;
    attend_job job = {.pass = pass, .cross = cross, .layer = layer, .group = c->heads / c->kv_heads};
    for (size_t i = 0; i < tfm__stretches(pass); i++) {
        tfm__stretch stretch = tfm__stretch_at(pass, i);
        see_keys(&job, &stretch);
        for (size_t t = 0; t < stretch.tokens; t += BLOCK_TOKENS)
            pass->s->block[job.blocks++] = (uint32_t)(stretch.first + t);
    }
    if (pass->tokens == 1) {
        tfm__stretch stretch = tfm__stretch_at(pass, 0);
        job.first_run = first_key(&job, stretch.position) / TFM__RUN_TOKENS;
        job.runs = (last_key(&job, &stretch, stretch.position) - 1) / TFM__RUN_TOKENS + 1 - job.first_run;
        attend_one(&job);
    } else {
        tfm__parallel(pass->pool, c->kv_heads * job.blocks, block_piece, &job);
    }
}

void tfm__attend(tfm__pass *pass, uint32_t layer) { attend(pass, layer, false); }

void tfm__attend_cross(tfm__pass *pass, uint32_t layer) { attend(pass, layer, true); }
