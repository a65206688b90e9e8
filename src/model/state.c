/* state.c - sessions: pages of keys and values, working space, forking. */
#include "model/state.h"

/* Positions are grouped for attention in runs of this many pages; partial results of runs are combined in
 * order. */
#include "model/runs.h"

static void page_drop(tfm_session *session, tfm__page *page) {
    if (page && atomic_fetch_sub_explicit(&page->owners, 1, memory_order_acq_rel) == 1)
        tfm__free(&session->model->heap, page);
}

static tfm__page *page_new(tfm_session *session) {
    tfm__page *page = tfm__alloc(&session->model->heap, sizeof *page + session->page_bytes);
    if (!page) return NULL;
    atomic_init(&page->owners, 1);
    memset(page->data, 0, session->page_bytes);
    return page;
}

int32_t tfm__cache_type(int32_t given, uint32_t fallback, uint32_t *type, tfm_error *error) {
    static const uint32_t types[] = {0, TFM__F32, TFM__F16, TFM__BF16, TFM__Q8_0, TFM__Q4_0};
    if (given < 0 || (size_t)given >= TFM__COUNT(types))
        return tfm__fail(error, TFM_E_ARGUMENT, "there is no cache type %d", (int)given);
    *type = given == TFM_CACHE_DEFAULT ? fallback : types[given];
    return TFM_OK;
}

int32_t tfm__session_new(tfm_model *model, uint32_t context, uint32_t batch, uint32_t cache_type,
                         tfm_session **out, tfm_error *error) {
    const tfm__config *c = &model->config;
    tfm_session *session = tfm__alloc_zero(&model->heap, sizeof *session);
    *out = NULL;
    if (!session) return tfm__fail_memory(error, &model->heap, sizeof *session);
    session->model = model;
    session->context = context;
    session->batch = batch;
    session->cache_type = cache_type;
    session->page_layers = c->layers;
    session->page_bytes = tfm__round_up(c->kv_heads * tfm__page_head_bytes(c, cache_type), 64);
    atomic_fetch_add(&model->references, 1);
    *out = session;
    return TFM_OK;
}

/* A session inside another one; the outer one has a reference to the model for both. */
static void drop_cross(tfm_session *session) {
    tfm__session_drop(session->cross);
    session->cross = NULL;
}

void tfm__session_free(tfm_session *session) {
    tfm__heap *heap = &session->model->heap;
    for (size_t i = 0; i < session->page_count * session->page_layers; i++)
        page_drop(session, session->pages[i]);
    tfm__free(heap, session->pages);
    tfm__free(heap, session->tokens);
    tfm__free(heap, session->logits);
    tfm__free(heap, session->scratch.memory);
    tfm__inspectors_free(session);
    tfm__session_unadapt(session);
    if (session->cross) drop_cross(session);
    tfm__free(heap, session);
}

void tfm__session_drop(tfm_session *session) {
    if (!session) return;
    tfm_model *model = session->model;
    tfm__session_free(session);
    atomic_fetch_sub(&model->references, 1);
}

/* ---- Room ---------------------------------------------------------------------------------------------- */

static int32_t reserve_tokens(tfm_session *session, size_t total, tfm_error *error) {
    if (total <= session->token_capacity) return TFM_OK;
    size_t capacity = TFM__MAX(TFM__MAX(total, 64), 2 * session->token_capacity);
    tfm_token *tokens = tfm__resize(&session->model->heap, session->tokens, capacity * sizeof *tokens);
    if (!tokens) return tfm__fail_memory(error, &session->model->heap, capacity * sizeof *tokens);
    session->tokens = tokens;
    session->token_capacity = capacity;
    return TFM_OK;
}

/* Replaces every page from `first` to before `end` that somebody else owns too by a copy. */
static int32_t own_pages(tfm_session *session, size_t first, size_t end, tfm_error *error) {
    size_t layers = session->page_layers;
    for (size_t i = first * layers; i < end * layers; i++) {
        tfm__page *old = session->pages[i];
        if (atomic_load_explicit(&old->owners, memory_order_acquire) == 1) continue;
        tfm__page *copy = page_new(session);
        if (!copy) return tfm__fail_memory(error, &session->model->heap, session->page_bytes);
        memcpy(copy->data, old->data, session->page_bytes);
        session->pages[i] = copy;
        page_drop(session, old);
    }
    return TFM_OK;
}

static int32_t reserve_pages(tfm_session *session, size_t total, tfm_error *error) {
    size_t layers = session->page_layers;
    size_t wanted = (total + TFM__PAGE_TOKENS - 1) / TFM__PAGE_TOKENS;
    if (wanted > session->page_capacity) {
        size_t capacity = TFM__MAX(TFM__MAX(wanted, 4), 2 * session->page_capacity), bytes;
        if (!tfm__mul_size(capacity, layers * sizeof(tfm__page *), &bytes))
            return tfm__fail(error, TFM_E_CONTEXT, "a context of %zu positions", total);
        tfm__page **pages = tfm__resize(&session->model->heap, session->pages, bytes);
        if (!pages) return tfm__fail_memory(error, &session->model->heap, bytes);
        session->pages = pages;
        session->page_capacity = capacity;
    }
    int32_t status = own_pages(session, session->position / TFM__PAGE_TOKENS,
                               TFM__MIN(wanted, session->page_count), error);
    if (status) return status;
    while (session->page_count < wanted) {
        tfm__page **row = session->pages + session->page_count * layers;
        for (size_t layer = 0; layer < layers; layer++) {
            row[layer] = page_new(session);
            if (row[layer]) continue;
            while (layer > 0) page_drop(session, row[--layer]);
            return tfm__fail_memory(error, &session->model->heap, session->page_bytes);
        }
        session->page_count++;
    }
    return TFM_OK;
}

/* One block of memory being divided; with memory NULL only its size is found. */
typedef struct division {
    uint8_t *memory;
    size_t used;
    bool overflow;
} division;

/* The next rows x columns elements, on a cache line. */
static void *take(division *d, size_t rows, size_t columns, size_t size) {
    size_t bytes, place = d->used;
    if (!tfm__mul_size(rows, columns, &bytes) || !tfm__mul_size(bytes, size, &bytes) ||
        bytes > SIZE_MAX - 64 || !tfm__add_size(place, tfm__round_up(bytes, 64), &d->used)) {
        d->overflow = true;
        return NULL;
    }
    return d->memory ? d->memory + place : NULL;
}

static void lay_out(tfm__scratch *s, const tfm__config *c, division *d) {
    size_t tokens = s->tokens, pairs = c->rotary_dim / 2, row = 0;
    size_t q = (size_t)c->heads * c->head_dim, mixed = (size_t)c->heads * c->value_dim;
    const tfm__experts *x = &c->experts;
    size_t wide =
        TFM__MAX(c->feed_forward, x->count ? TFM__MAX((x->paired ? 2 : 1) * x->width, x->shared) : 0);
    size_t latent = c->latent_kv ? TFM__MAX((size_t)c->latent_q, (size_t)c->latent_kv + c->rotary_dim) : 0;
    size_t fused = q + (size_t)c->kv_heads * (c->head_dim + c->value_dim);
    size_t widest = TFM__MAX(TFM__MAX(TFM__MAX((size_t)c->width, wide), mixed), latent);
    size_t sparse = x->count ? tokens : 0;
    size_t parts =
        TFM__MAX(2 * tokens, s->runs) * c->heads; /* attention: result and one more, or one per run */
    s->stream = take(d, tokens, c->width, sizeof(float));
    s->normed = take(d, tokens, c->width, sizeof(float));
    s->delta = take(d, tokens, c->width, sizeof(float));
    s->side = take(d, c->order == TFM__ORDER_PARALLEL ? tokens : 0, c->width, sizeof(float));
    s->fused = take(d, c->fused == TFM__FUSED_GROUPS || latent ? tokens : 0, fused, sizeof(float));
    s->latent = take(d, latent ? tokens : 0, latent, sizeof(float));
    s->latent_normed = take(d, latent ? tokens : 0, latent, sizeof(float));
    s->q = take(d, tokens, q, sizeof(float));
    s->k = take(d, tokens, (size_t)c->kv_heads * c->head_dim, sizeof(float));
    s->v = take(d, tokens, (size_t)c->kv_heads * c->value_dim, sizeof(float));
    s->mixed = take(d, tokens, mixed, sizeof(float));
    s->gate = take(d, tokens, wide, sizeof(float));
    s->up = take(d, tokens, wide, sizeof(float));
    s->router = take(d, sparse, x->count, sizeof(float));
    s->route_spare = take(d, x->count ? 1 : 0, x->count + x->groups, sizeof(float));
    s->chosen = take(d, sparse + 1, TFM__MAX(x->used, x->groups), sizeof(uint32_t));
    s->share = take(d, sparse, x->used, sizeof(float));
    s->gathered = take(d, sparse, c->width, sizeof(float));
    s->expert_rows = take(d, sparse, c->width, sizeof(float));
    s->expert_out = take(d, sparse, (size_t)x->used * c->width, sizeof(float));
    for (int kind = 0; kind < TFM__ROPE_KINDS; kind++) {
        s->cosine[kind] = take(d, tokens, pairs, sizeof(float));
        s->sine[kind] = take(d, tokens, pairs, sizeof(float));
    }
    for (int format = 0; format < TFM__ACT_COUNT; format++) row += tfm__activation_bytes(format, widest);
    s->quantised = take(d, tokens, row, 1);
    s->tile_q = take(d, tokens, q, sizeof(float));
    s->part_o = take(d, parts, c->value_dim, sizeof(float));
    s->part_m = take(d, parts, 1, sizeof(float));
    s->part_l = take(d, parts, 16, sizeof(float));
    s->first = take(d, tokens, c->heads, sizeof(uint32_t));
    s->last = take(d, tokens, c->heads, sizeof(uint32_t));
    s->place = take(d, tokens, c->heads, sizeof(uint32_t));
    s->slope = take(d, c->positions == TFM__POSITIONS_ALIBI ? tokens : 0, c->heads, sizeof(float));
    s->bias_at = take(d, c->relative_buckets ? tokens : 0, c->heads, sizeof(size_t));
    s->block = take(d, tokens, 1, sizeof(uint32_t));
    s->reach = s->runs * TFM__RUN_TOKENS;
    s->bias = take(d, c->relative_buckets ? 2 * s->reach : 0, c->heads, sizeof(float));
}

/* Working space for `rows` tokens at a time and a past of `total` positions; the part for the past grows by
 * doubling. */
static int32_t reserve_scratch(tfm_session *session, size_t rows, size_t total, tfm_error *error) {
    tfm__heap *heap = &session->model->heap;
    tfm__scratch *old = &session->scratch;
    size_t runs = (total + TFM__RUN_TOKENS - 1) / TFM__RUN_TOKENS;
    if (rows <= old->tokens && runs <= old->runs) return TFM_OK;
    tfm__scratch fresh = {.tokens = TFM__MAX(rows, old->tokens),
                          .runs = TFM__MAX(2 * old->runs, TFM__MAX(runs, 4))};
    division measured = {0}, divided = {0};
    lay_out(&fresh, &session->model->config, &measured);
    if (!measured.overflow) divided.memory = tfm__alloc(heap, measured.used);
    if (!divided.memory) return tfm__fail_memory(error, heap, measured.used);
    lay_out(&fresh, &session->model->config, &divided);
    tfm__free(heap, old->memory);
    fresh.memory = divided.memory;
    session->scratch = fresh;
    return TFM_OK;
}

static int32_t reserve_logits(tfm_session *session, size_t count, tfm_error *error) {
    size_t bytes;
    if (count <= session->logits_capacity) return TFM_OK;
    if (!tfm__mul_size(count, (size_t)session->model->config.vocab * sizeof(float), &bytes))
        return tfm__fail(error, TFM_E_ARGUMENT, "logits of %zu tokens at once", count);
    float *logits = tfm__alloc(&session->model->heap, bytes);
    if (!logits) return tfm__fail_memory(error, &session->model->heap, bytes);
    tfm__free(&session->model->heap, session->logits);
    session->logits = logits;
    session->logits_capacity = count;
    session->logits_count = 0;
    return TFM_OK;
}

size_t tfm__session_reach(const tfm_session *session, size_t count) {
    return TFM__MAX(session->position + count, session->cross ? session->cross->position : 0);
}

int32_t tfm__session_reserve_past(tfm_session *session, size_t count, size_t logits, tfm_error *error) {
    int32_t status = reserve_tokens(session, session->position + count, error);
    if (!status) status = reserve_pages(session, session->position + count, error);
    if (!status) status = reserve_logits(session, logits, error);
    return status;
}

int32_t tfm__session_reserve_work(tfm_session *session, size_t rows, size_t reach, size_t logits,
                                  tfm_error *error) {
    int32_t status = reserve_scratch(session, rows, reach, error);
    return status ? status : reserve_logits(session, logits, error);
}

int32_t tfm__session_reserve(tfm_session *session, size_t count, size_t rows, size_t logits,
                             tfm_error *error) {
    int32_t status = tfm__session_reserve_past(session, count, logits, error);
    if (!status) status = reserve_scratch(session, rows, tfm__session_reach(session, count), error);
    if (!status) status = tfm__inspection_reserve(session, session->position + count, error);
    return status;
}

int32_t tfm__session_cross(tfm_session *session, size_t count, tfm_error *error) {
    int32_t status =
        tfm__session_new(session->model, TFM__MAX_CONTEXT, 1, session->cache_type, &session->cross, error);
    if (!status) status = reserve_pages(session->cross, count, error);
    if (!status) session->cross->position = count;
    return status;
}

int32_t tfm__check_tokens(const tfm_session *session, const tfm_token *tokens, size_t count,
                          tfm_error *error) {
    uint32_t vocab = session->model->config.vocab;
    if (count > session->context - session->position)
        return tfm__fail(error, TFM_E_CONTEXT, "%zu tokens after %zu do not fit a context of %u", count,
                         session->position, session->context);
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= vocab)
            return tfm__fail(error, TFM_E_TOKEN, "token %zu of the call is %d, the vocabulary has %u", i,
                             (int)tokens[i], vocab);
    return TFM_OK;
}

/* ---- Forking ------------------------------------------------------------------------------------------- */

static int32_t copy_into(const tfm_session *session, tfm_session *fork, tfm_error *error) {
    size_t layers = session->page_layers, vocab = session->model->config.vocab;
    size_t held = (session->position + TFM__PAGE_TOKENS - 1) / TFM__PAGE_TOKENS;
    int32_t status = session->tokens ? reserve_tokens(fork, session->position, error) : TFM_OK;
    if (status) return status;
    if (held && session->tokens)
        memcpy(fork->tokens, session->tokens, session->position * sizeof *fork->tokens);
    if (held) {
        fork->pages = tfm__alloc(&session->model->heap, held * layers * sizeof *fork->pages);
        if (!fork->pages)
            return tfm__fail_memory(error, &session->model->heap, held * layers * sizeof *fork->pages);
        fork->page_capacity = held;
        for (size_t i = 0; i < held * layers; i++) {
            fork->pages[i] = session->pages[i];
            atomic_fetch_add_explicit(&fork->pages[i]->owners, 1, memory_order_relaxed);
        }
        fork->page_count = held;
    }
    fork->position = session->position;
    status = tfm__session_adapt(fork, session->adapted.uses, session->adapted.count, error);
    if (status) return status;
    if (session->cross && (status = tfm__session_copy(session->cross, &fork->cross, error)) != 0)
        return status;
    if (session->logits_count) {
        status = reserve_logits(fork, 1, error);
        if (status) return status;
        memcpy(fork->logits, session->logits + (session->logits_count - 1) * vocab, vocab * sizeof(float));
        fork->logits_count = 1;
    }
    return TFM_OK;
}

int32_t tfm__session_copy(const tfm_session *session, tfm_session **out, tfm_error *error) {
    int32_t status =
        tfm__session_new(session->model, session->context, session->batch, session->cache_type, out, error);
    if (status) return status;
    status = copy_into(session, *out, error);
    if (!status) return TFM_OK;
    tfm__session_drop(*out);
    *out = NULL;
    return status;
}
