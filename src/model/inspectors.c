/* inspectors.c - who looks into a session, and the room for what is computed for them alone. */
#include "model/state.h"

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
