/* adapters.c - the adapters of one session: a list with scales, and what blocks/adapt.c works in. */
#include <math.h>

#include "model/state.h"

void tfm__session_unadapt(tfm_session *session) {
    tfm__adapted *a = &session->adapted;
    for (size_t i = 0; i < a->count; i++) tfm__adapter_drop(a->uses[i].adapter);
    tfm__free(&session->model->heap, a->uses);
    tfm__free(&session->model->heap, a->down);
    tfm__free(&session->model->heap, a->up);
    *a = (tfm__adapted){0};
}

int32_t tfm__adapters_check(const tfm_model *model, const tfm_adapter_use *uses, size_t count,
                            tfm_error *error) {
    if (!uses && count) return tfm__fail(error, TFM_E_ARGUMENT, "%zu adapters at NULL", count);
    if (count > TFM__MOST_ADAPTERS)
        return tfm__fail(error, TFM_E_ARGUMENT, "%zu adapters, at most %d", count, TFM__MOST_ADAPTERS);
    for (size_t i = 0; i < count; i++) {
        if (!uses[i].adapter || uses[i].reserved != 0 || !isfinite(uses[i].scale))
            return tfm__fail(error, TFM_E_ARGUMENT, "adapter %zu is %s, its scale %g, reserved %u", i,
                             uses[i].adapter ? "there" : "NULL", (double)uses[i].scale, uses[i].reserved);
        if (uses[i].adapter->model != model)
            return tfm__fail(error, TFM_E_ARGUMENT, "adapter %zu is another model's", i);
    }
    return TFM_OK;
}

int32_t tfm__session_adapt(tfm_session *session, const tfm_adapter_use *uses, size_t count,
                           tfm_error *error) {
    tfm__heap *heap = &session->model->heap;
    tfm__adapted fresh = {.count = count};
    size_t padded = 0, rows = 0;
    for (size_t i = 0; i < count; i++) {
        padded = TFM__MAX(padded, uses[i].adapter->padded);
        rows = TFM__MAX(rows, uses[i].adapter->rows);
        fresh.alone = fresh.alone || uses[i].adapter->alone;
    }
    if (count) {
        fresh.uses = tfm__alloc_array(heap, count, sizeof *fresh.uses);
        fresh.down = tfm__alloc_array(heap, TFM__ADAPT_ROWS * padded, sizeof *fresh.down);
        fresh.up = tfm__alloc_array(heap, TFM__ADAPT_ROWS * rows, sizeof *fresh.up);
        if (!fresh.uses || !fresh.down || !fresh.up) {
            tfm__free(heap, fresh.uses);
            tfm__free(heap, fresh.down);
            tfm__free(heap, fresh.up);
            return tfm__fail_memory(error, heap, TFM__ADAPT_ROWS * (padded + rows) * sizeof *fresh.up);
        }
    }
    for (size_t i = 0; i < count; i++) {
        fresh.uses[i] = uses[i];
        atomic_fetch_add(&uses[i].adapter->references, 1);
    }
    tfm__session_unadapt(session);
    session->adapted = fresh;
    return TFM_OK;
}
