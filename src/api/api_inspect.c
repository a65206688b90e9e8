/* api_inspect.c - the exported functions of tfm/inspect.h. */
#include "model/state.h"

int32_t tfm_inspect(tfm_session *session, const tfm_inspect_options *options, tfm_inspect_fn fn, void *user,
                    tfm_inspector **out, tfm_error *error) {
    if (out) *out = NULL;
    if (!session || !options || !fn)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_inspect: session, options or fn is NULL");
    if (session->inspection.inside)
        return tfm__fail(error, TFM_E_STATE, "an inspector cannot attach another");
    return tfm__inspector_attach(session, options, fn, user, out, error);
}

void tfm_inspector_destroy(tfm_inspector *inspector) {
    if (!inspector) return;
    tfm_session *session = inspector->session;
    inspector->gone = true;
    if (!session->inspection.inside) tfm__inspectors_sweep(session);
}
