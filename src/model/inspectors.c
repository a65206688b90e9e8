/* inspectors.c - who looks into a session, and the room for what is computed for them alone. */
#include "model/state.h"

static bool by_heads(int32_t site) { return site >= TFM_SITE_QUERY && site <= TFM_SITE_MIXED; }

/* Heads at a site: keys and values have their own number. */
static uint32_t heads_at(const tfm__config *c, int32_t site) {
    bool kv = site == TFM_SITE_KEY || site == TFM_SITE_KEY_ROTATED || site == TFM_SITE_VALUE;
    return kv ? c->kv_heads : c->heads;
}

static bool any_experts(const tfm__config *c) {
    for (uint32_t layer = 0; layer < c->layers; layer++)
        if (c->experts.count && c->sparse[layer]) return true;
    return false;
}

static int32_t check_options(const tfm__config *c, const tfm_inspect_options *o, tfm_error *error) {
    if (o->site <= 0 || o->site >= TFM_SITE_COUNT)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_inspect: there is no site %d", (int)o->site);
    if (o->layer != TFM_INSPECT_ALL && (o->layer < 0 || (uint32_t)o->layer >= c->layers))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_inspect: layer %d, the model has %u", (int)o->layer,
                         c->layers);
    if (o->head != TFM_INSPECT_ALL && !by_heads(o->site))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_inspect: head %d of site %d, which has no heads",
                         (int)o->head, (int)o->site);
    if (o->head != TFM_INSPECT_ALL && (o->head < 0 || (uint32_t)o->head >= heads_at(c, o->site)))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_inspect: head %d of site %d, which has %u", (int)o->head,
                         (int)o->site, heads_at(c, o->site));
    bool experts = o->site == TFM_SITE_ROUTER || o->site == TFM_SITE_EXPERTS;
    if (experts &&
        (o->layer == TFM_INSPECT_ALL ? !any_experts(c) : !c->experts.count || !c->sparse[o->layer]))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_inspect: no experts in layer %d", (int)o->layer);
    bool logits = o->site == TFM_SITE_LAYER_LOGITS || o->site == TFM_SITE_LOGITS;
    if (c->encoder && logits)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_inspect: site %d of an encoder, which has no logits",
                         (int)o->site);
    if (o->write < 0 || o->write > 1 || o->last < 0 || o->last > 1)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_inspect: write is %d and last %d, each 0 or 1",
                         (int)o->write, (int)o->last);
    return TFM_OK;
}

int32_t tfm__inspector_attach(tfm_session *session, const tfm_inspect_options *options, tfm_inspect_fn fn,
                              void *user, tfm_inspector **out, tfm_error *error) {
    tfm_inspect_options given;
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_inspect_options", error);
    if (!status) status = check_options(&session->model->config, &given, error);
    if (status) return status;
    tfm_inspector *inspector = tfm__alloc_zero(&session->model->heap, sizeof *inspector);
    if (!inspector) return tfm__fail_memory(error, &session->model->heap, sizeof *inspector);
    inspector->session = session;
    inspector->options = given;
    inspector->fn = fn;
    inspector->user = user;
    tfm_inspector **link = &session->inspection.first;
    while (*link) link = &(*link)->next;
    *link = inspector;
    session->inspection.sites |= 1u << given.site;
    if (out) *out = inspector;
    return TFM_OK;
}

static uint32_t sites_of(const tfm_session *session) {
    uint32_t sites = 0;
    for (const tfm_inspector *i = session->inspection.first; i; i = i->next)
        if (!i->gone) sites |= 1u << i->options.site;
    return sites;
}

void tfm__inspectors_sweep(tfm_session *session) {
    if (TFM__LIKELY(!session->inspection.first)) return;
    for (tfm_inspector **link = &session->inspection.first; *link;) {
        tfm_inspector *inspector = *link;
        if (inspector->gone) {
            *link = inspector->next;
            tfm__free(&session->model->heap, inspector);
        } else {
            link = &inspector->next;
        }
    }
    session->inspection.sites = sites_of(session);
}

void tfm__inspectors_free(tfm_session *session) {
    tfm__inspection *n = &session->inspection;
    for (tfm_inspector *i = n->first; i; i = i->next) i->gone = true;
    tfm__inspectors_sweep(session);
    tfm__free(&session->model->heap, n->rows);
    tfm__free(&session->model->heap, n->kept);
}

static int32_t grow(tfm_session *session, float **rows, size_t floats, tfm_error *error) {
    tfm__heap *heap = &session->model->heap;
    float *fresh = tfm__alloc_array(heap, floats, sizeof *fresh);
    if (!fresh) return tfm__fail_memory(error, heap, floats * sizeof *fresh);
    tfm__free(heap, *rows);
    *rows = fresh;
    return TFM_OK;
}

int32_t tfm__inspection_reserve(tfm_session *session, size_t total, tfm_error *error) {
    tfm__inspection *n = &session->inspection;
    size_t columns = 0, floats;
    if (TFM__LIKELY(!n->sites)) return TFM_OK;
    if (n->sites >> TFM_SITE_ATTENTION & 1) columns = total;
    if (n->sites >> TFM_SITE_LAYER_LOGITS & 1) columns = TFM__MAX(columns, session->model->config.vocab);
    if (!tfm__mul_size(columns, TFM__INSPECT_ROWS, &floats))
        return tfm__fail(error, TFM_E_ARGUMENT, "attention over %zu tokens cannot be shown", total);
    if (floats <= n->capacity) return TFM_OK;
    floats = TFM__MAX(floats, 2 * n->capacity);
    int32_t status = grow(session, &n->rows, floats, error);
    if (!status) status = grow(session, &n->kept, floats, error);
    if (!status) n->capacity = floats;
    return status;
}
