/* api_inspect.c - the exported functions of tfm/inspect.h. */
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

static int32_t check(const tfm__config *c, const tfm_inspect_options *o, tfm_error *error) {
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
    if (o->write < 0 || o->write > 1 || o->last < 0 || o->last > 1)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_inspect: write is %d and last %d, each 0 or 1",
                         (int)o->write, (int)o->last);
    return TFM_OK;
}

int32_t tfm_inspect(tfm_session *session, const tfm_inspect_options *options, tfm_inspect_fn fn, void *user,
                    tfm_inspector **out, tfm_error *error) {
    tfm_inspect_options given;
    if (out) *out = NULL;
    if (!session || !options || !fn)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_inspect: session, options or fn is NULL");
    if (session->inspection.inside)
        return tfm__fail(error, TFM_E_STATE, "an inspector cannot attach another");
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_inspect_options", error);
    if (!status) status = check(&session->model->config, &given, error);
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

void tfm_inspector_destroy(tfm_inspector *inspector) {
    if (!inspector) return;
    tfm_session *session = inspector->session;
    inspector->gone = true;
    if (!session->inspection.inside) tfm__inspectors_sweep(session);
}
