/* inspect.c - what inspectors see of a pass (tfm/inspect.h), and what is computed for them alone: attention's
 * probabilities, which the fused kernel never has in one place, and each layer's logits.
 *
 * A pass asks first whether a bit of its session's `sites` is set; nothing here runs otherwise. Probabilities
 * come from the pages and the scaled queries, by the same chains of fma as the kernel's scores; only the
 * order of their sum differs. Where a function has changed them, the head's result is mixed anew from the
 * values; where not, what the kernel gave stays, bit for bit. */
#include <math.h>

#include "blocks/blocks.h"

/* ---- Who looks ---------------------------------------------------------------------------------------- */

static bool has_layers(int site) {
    return site != TFM_SITE_EMBEDDING && site != TFM_SITE_OUTPUT_NORM && site != TFM_SITE_LOGITS;
}

static bool looks(const tfm_inspector *i, int site, uint32_t layer, uint32_t head, bool by_head) {
    const tfm_inspect_options *o = &i->options;
    return !i->gone && o->site == site &&
           (!has_layers(site) || o->layer == TFM_INSPECT_ALL || (uint32_t)o->layer == layer) &&
           (!by_head || o->head == TFM_INSPECT_ALL || (uint32_t)o->head == head);
}

bool tfm__writes(const tfm__pass *pass, int site, uint32_t layer) {
    for (const tfm_inspector *i = pass->session->inspection.first; i; i = i->next)
        if (i->options.write && looks(i, site, layer, 0, false)) return true;
    return false;
}

/* The first row of the pass that anybody wants to see; tokens: none. */
static size_t first_wanted(const tfm__pass *pass, int site, uint32_t layer, uint32_t head, bool by_head) {
    const tfm__inspection *n = &pass->session->inspection;
    size_t from = pass->tokens;
    for (const tfm_inspector *i = n->first; i; i = i->next) {
        if (!looks(i, site, layer, head, by_head)) continue;
        if (!i->options.last) return 0;
        if (n->left == 0) from = pass->tokens - 1;
    }
    return from;
}

/* ---- Calling ------------------------------------------------------------------------------------------ */

void tfm__inspect_fail(tfm__pass *pass, int32_t status, const char *said) {
    tfm__inspection *n = &pass->session->inspection;
    if (n->status) return;
    n->status = status;
    size_t length = TFM__MIN(strlen(said), sizeof n->said - 1);
    memcpy(n->said, said, length);
    n->said[length] = 0;
}

/* Rows first .. first + rows - 1 of the pass. */
static void show_to(tfm__pass *pass, tfm_inspector *i, const tfm__sight *sight, int32_t head) {
    tfm__inspection *n = &pass->session->inspection;
    tfm_inspect_event event = {.struct_size = sizeof event,
                               .site = sight->site,
                               .layer = (int32_t)sight->layer,
                               .head = head,
                               .row = (int32_t)n->row,
                               .position = pass->position + sight->first,
                               .rows = sight->rows,
                               .columns = sight->columns,
                               .stride = sight->columns,
                               .values = sight->values,
                               .experts = (int32_t *)sight->experts};
    if (i->options.last) {
        if (n->left || sight->first + sight->rows != pass->tokens) return;
        event.position += event.rows - 1;
        event.values += (event.rows - 1) * event.stride;
        if (event.experts) event.experts += (event.rows - 1) * event.columns;
        event.rows = 1;
    }
    if (sight->heads && i->options.head != TFM_INSPECT_ALL) {
        event.head = i->options.head;
        event.columns /= sight->heads;
        event.values += (size_t)event.head * event.columns;
    }
    n->inside = true;
    int32_t stop = i->fn(i->user, &event);
    n->inside = false;
    if (stop) tfm__inspect_fail(pass, TFM_E_CANCELLED, "an inspector stopped the pass");
}

void tfm__show_sight(tfm__pass *pass, const tfm__sight *sight, int32_t head) {
    tfm__inspection *n = &pass->session->inspection;
    for (tfm_inspector *i = n->first; i && !n->status; i = i->next)
        if (looks(i, sight->site, sight->layer, (uint32_t)head, head != TFM_INSPECT_ALL))
            show_to(pass, i, sight, head);
}

float *tfm__show_input(tfm__pass *pass, int site, uint32_t layer, float *input) {
    if (TFM__LIKELY(!(pass->session->inspection.sites >> site & 1))) return input;
    if (input == pass->s->stream && tfm__writes(pass, site, layer)) { /* there is no norm: spare the stream */
        memcpy(pass->s->normed, input, pass->tokens * pass->config->width * sizeof *input);
        input = pass->s->normed;
    }
    tfm__show(pass, site, layer, input, pass->tokens, pass->config->width);
    return input;
}

/* ---- Queries and keys after rotation ------------------------------------------------------------------ */

void tfm__show_rotated(tfm__pass *pass, uint32_t layer) {
    const tfm__config *c = pass->config;
    tfm__show_heads(pass, TFM_SITE_QUERY_ROTATED, layer, pass->s->q, c->heads, c->head_dim);
    tfm__show_heads(pass, TFM_SITE_KEY_ROTATED, layer, pass->s->k, c->kv_heads, c->head_dim);
    if (tfm__writes(pass, TFM_SITE_QUERY_ROTATED, layer) || tfm__writes(pass, TFM_SITE_KEY_ROTATED, layer))
        tfm__keep_qkv(pass, layer);
}

/* ---- Attention's probabilities ------------------------------------------------------------------------ */

typedef struct weights_job {
    tfm__pass *pass;
    uint32_t layer, head;
    size_t first, columns; /* of the pass's rows; keys */
    float *rows;           /* [.., columns] */
} weights_job;

static size_t query_of(const weights_job *job, size_t t) {
    size_t group = job->pass->config->heads / job->pass->config->kv_heads;
    return (job->head / group * job->pass->tokens + t) * group + job->head % group;
}

/* n elements of a page as floats; they are where they lie, or in spare. */
static const float *page_floats(const tfm__pass *pass, const uint8_t *page, size_t at, size_t n,
                                float *spare) {
    uint32_t type = pass->session->cache_type;
    if (type == TFM__F32) return (const float *)(const void *)page + at;
    pass->kernels->weights[type].to_f32(page + at * 2, spare, n);
    return spare;
}

/* One dim of n keys of a page. */
static const float *key_floats(const tfm__pass *pass, const uint8_t *page, size_t dim, size_t n,
                               float *spare) {
    uint32_t type = pass->session->cache_type;
    if (!tfm__cache_quantised(type)) return page_floats(pass, page, dim * TFM__PAGE_TOKENS, n, spare);
    tfm__cache_key_dim(type, page, pass->config->head_dim, dim, n, spare);
    return spare;
}

/* The value in a slot of a page. */
static const float *value_floats(const tfm__pass *pass, const uint8_t *page, size_t slot, float *spare) {
    uint32_t type = pass->session->cache_type;
    size_t dims = pass->config->value_dim;
    if (!tfm__cache_quantised(type)) return page_floats(pass, page, slot * dims, dims, spare);
    for (size_t d = 0; d < dims; d++) spare[d] = tfm__cache_value(type, page, dims, slot, d);
    return spare;
}

/* Scores of one query for the keys in [low, high) of its row. */
static void score_row(const weights_job *job, size_t query, float *row, size_t low, size_t high) {
    const tfm__pass *pass = job->pass;
    const tfm__config *c = pass->config;
    const float *q = pass->s->tile_q + query * c->head_dim;
    uint32_t kv_head = job->head / (c->heads / c->kv_heads);
    float spare[TFM__PAGE_TOKENS];
    memset(row, 0, job->columns * sizeof *row);
    for (size_t page = low / TFM__PAGE_TOKENS; page * TFM__PAGE_TOKENS < high; page++) {
        const uint8_t *keys = tfm__page_keys(pass->session, job->layer, page, kv_head);
        size_t base = page * TFM__PAGE_TOKENS, n = TFM__MIN(TFM__PAGE_TOKENS, job->columns - base);
        for (size_t d = 0; d < c->head_dim; d++)
            pass->kernels->multiply_add(row + base, key_floats(pass, keys, d, n, spare), q[d], n);
    }
    if (c->attn_soft_cap != 0.0f) pass->kernels->soft_cap(row + low, row + low, c->attn_soft_cap, high - low);
    if (pass->model->slopes)
        for (size_t j = low; j < high; j++)
            row[j] = fmaf(pass->s->slope[query], (float)j - (float)pass->s->place[query], row[j]);
    if (pass->model->relative)
        for (size_t j = low; j < high; j++) row[j] += pass->s->bias[pass->s->bias_at[query] + j];
}

static void weights_piece(void *arg, size_t i) {
    const weights_job *job = arg;
    const tfm__pass *pass = job->pass;
    size_t query = query_of(job, job->first + i);
    size_t low = pass->s->first[query], high = pass->s->last[query];
    float *row = job->rows + i * job->columns, top;
    score_row(job, query, row, low, high);
    pass->kernels->argmax(row + low, high - low, &top);
    float sum = pass->kernels->exp_sum(row + low, high - low, top);
    pass->kernels->exp_scaled(row + low, row + low, high - low, top,
                              tfm__share_of(pass, job->layer, job->head, top, sum));
    memset(row, 0, low * sizeof *row);
    memset(row + high, 0, (job->columns - high) * sizeof *row);
}

/* The head's result from its probabilities as they are now. */
static void mix_piece(void *arg, size_t i) {
    const weights_job *job = arg;
    const tfm__pass *pass = job->pass;
    const tfm__config *c = pass->config;
    uint32_t kv_head = job->head / (c->heads / c->kv_heads);
    float *out = pass->s->mixed + ((job->first + i) * c->heads + job->head) * c->value_dim;
    const float *row = job->rows + i * job->columns;
    float spare[TFM__MAX_HEAD_DIM];
    memset(out, 0, c->value_dim * sizeof *out);
    for (size_t j = 0; j < job->columns; j++) {
        if (row[j] == 0.0f) continue;
        const uint8_t *values = tfm__page_values(pass->session, job->layer, j / TFM__PAGE_TOKENS, kv_head);
        pass->kernels->multiply_add(out, value_floats(pass, values, j % TFM__PAGE_TOKENS, spare), row[j],
                                    c->value_dim);
    }
}

static void show_head(tfm__pass *pass, uint32_t layer, uint32_t head, bool writes) {
    tfm__inspection *n = &pass->session->inspection;
    weights_job job = {.pass = pass,
                       .layer = layer,
                       .head = head,
                       .first = first_wanted(pass, TFM_SITE_ATTENTION, layer, head, true),
                       .columns = pass->position + pass->tokens,
                       .rows = n->rows};
    for (; job.first < pass->tokens && !n->status; job.first += TFM__INSPECT_ROWS) {
        size_t rows = TFM__MIN(TFM__INSPECT_ROWS, pass->tokens - job.first);
        size_t bytes = rows * job.columns * sizeof(float);
        tfm__parallel(pass->pool, rows, weights_piece, &job);
        if (writes) memcpy(n->kept, n->rows, bytes);
        const tfm__sight sight = {.site = TFM_SITE_ATTENTION,
                                  .layer = layer,
                                  .first = job.first,
                                  .rows = rows,
                                  .columns = job.columns,
                                  .values = n->rows};
        tfm__show_sight(pass, &sight, (int32_t)head);
        if (writes && memcmp(n->kept, n->rows, bytes) != 0) tfm__parallel(pass->pool, rows, mix_piece, &job);
    }
}

void tfm__show_weights(tfm__pass *pass, uint32_t layer) {
    bool writes = tfm__writes(pass, TFM_SITE_ATTENTION, layer);
    for (uint32_t head = 0; head < pass->config->heads; head++) show_head(pass, layer, head, writes);
}

/* ---- A layer's logits --------------------------------------------------------------------------------- */

void tfm__show_guess(tfm__pass *pass, uint32_t layer) {
    const tfm__config *c = pass->config;
    tfm__inspection *n = &pass->session->inspection;
    size_t first = first_wanted(pass, TFM_SITE_LAYER_LOGITS, layer, 0, false);
    for (; first < pass->tokens && !n->status; first += TFM__INSPECT_ROWS) {
        size_t rows = TFM__MIN(TFM__INSPECT_ROWS, pass->tokens - first);
        const tfm__job out = {&pass->model->output, n->rows};
        tfm__norm_rows(pass, &pass->model->output_norm, pass->s->stream + first * c->width, pass->s->normed,
                       rows);
        tfm__linear(pass, pass->s->normed, rows, &out, 1); /* [rows, V] */
        tfm__settle_logits(pass, n->rows, rows);
        const tfm__sight sight = {.site = TFM_SITE_LAYER_LOGITS,
                                  .layer = layer,
                                  .first = first,
                                  .rows = rows,
                                  .columns = c->vocab,
                                  .values = n->rows};
        tfm__show_sight(pass, &sight, TFM_INSPECT_ALL);
    }
}
