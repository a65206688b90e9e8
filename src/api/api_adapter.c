/* api_adapter.c - the exported functions of tfm/adapter.h. */
#include <stdio.h>

#include "model/state.h"

int32_t tfm_adapter_load(tfm_model *model, const char *path, tfm_adapter **out, tfm_error *error) {
    tfm__read_options read = {.into_memory = true};
    tfm__store store;
    if (out) *out = NULL;
    if (!model || !path || !out)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_adapter_load: an argument is NULL");
    int32_t status = tfm__store_open_path(&store, &model->heap, path, &read, error);
    if (status) return status;
    status = tfm__adapter_new(model, &store, out, error);
    tfm__store_close(&store);
    return status;
}

int32_t tfm_adapter_load_source(tfm_model *model, const tfm_source *source, tfm_adapter **out,
                                tfm_error *error) {
    tfm_source given;
    tfm__store store;
    if (out) *out = NULL;
    if (!source) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_adapter_load_source: source is NULL");
    int32_t status = tfm__take_options(source, &given, sizeof given, "tfm_source", error);
    if (status) return status;
    if (!model || !out)
        status = tfm__fail(error, TFM_E_ARGUMENT, "tfm_adapter_load_source: model or out is NULL");
    else if (!given.size || !given.read_at)
        status =
            tfm__fail(error, TFM_E_ARGUMENT, "tfm_adapter_load_source: the source needs size and read_at");
    else
        status = tfm__store_open_source(&store, &model->heap, &given, NULL, error);
    if (status) {
        if (given.close) given.close(given.user); /* there is no store to do it */
        return status;
    }
    status = tfm__adapter_new(model, &store, out, error);
    tfm__store_close(&store);
    return status;
}

void tfm_adapter_retain(tfm_adapter *adapter) {
    if (adapter) atomic_fetch_add(&adapter->references, 1);
}

void tfm_adapter_release(tfm_adapter *adapter) {
    if (!adapter || atomic_fetch_sub(&adapter->references, 1) != 1) return;
    tfm_model *model = adapter->model;
    tfm__adapter_free(adapter);
    tfm_model_release(model);
}

int32_t tfm_adapter_get_info(const tfm_adapter *adapter, tfm_adapter_info *info, tfm_error *error) {
    tfm_adapter_info full = TFM_ADAPTER_INFO_INIT;
    if (!adapter || !info)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_adapter_get_info: adapter or info is NULL");
    snprintf(full.format, sizeof full.format, "%s", adapter->gguf ? "gguf" : "peft");
    full.parameters = adapter->parameters;
    full.matrices = (uint32_t)adapter->count;
    full.rank = adapter->rank;
    return tfm__give_struct(info, &full, sizeof full, "tfm_adapter_info", error);
}

int32_t tfm_session_adapt(tfm_session *session, const tfm_adapter_use *uses, size_t count, tfm_error *error) {
    if (!session) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_session_adapt: session is NULL");
    if (session->inspection.inside)
        return tfm__fail(error, TFM_E_STATE, "an inspector cannot adapt the session that it looks into");
    int32_t status = tfm__adapters_check(session->model, uses, count, error);
    if (status) return status;
    status = tfm__session_adapt(session, uses, count, error);
    if (!status) session->logits_count = 0;
    return status;
}

int32_t tfm_adapter_merge(tfm_model *model, const tfm_adapter_use *uses, size_t count, tfm_model **out,
                          tfm_error *error) {
    tfm__heap heap;
    if (out) *out = NULL;
    if (!model || !out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_adapter_merge: model or out is NULL");
    if (model->config.encoder || model->encoder)
        return tfm__fail(error, TFM_E_UNSUPPORTED, "adapters are for decoders; %s is none",
                         model->config.family->name);
    int32_t status = tfm__adapters_check(model, uses, count, error);
    if (status) return status;
    tfm__heap_init(&heap, &model->heap.allocator, 0);
    tfm_model *copy = tfm__alloc_zero(&heap, sizeof *copy);
    if (!copy) return tfm__fail_memory(error, &heap, sizeof *copy);
    tfm__heap_init(&copy->heap, &model->heap.allocator, model->heap.budget);
    status = tfm__adapter_merge(model, uses, count, copy, error);
    if (status) {
        copy->references = 1;
        tfm_model_release(copy);
        return status;
    }
    *out = copy;
    return TFM_OK;
}
