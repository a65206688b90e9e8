/* api_encode.c - the exported functions of tfm/encode.h. */
#include "encode.h"

int32_t tfm_encode(tfm_model *model, const tfm_encode_row *rows, size_t count,
                   const tfm_encode_options *options, tfm_encoded **out, tfm_error *error) {
    tfm_encode_options given;
    if (out) *out = NULL;
    if (!model || !rows || !count || !out)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_encode: model, rows or out is NULL, or count is 0");
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_encode_options", error);
    if (status) return status;
    if (!model->config.encoder)
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "tfm_encode: a model of the family %s is a decoder; tfm_session_create is for those",
                         model->config.family->name);
    status = tfm__check_rows(model, rows, count, error);
    if (status) return status;
    tfm__watch watch = {
        .progress = given.progress, .progress_user = given.progress_user, .cancel = given.cancel};
    return tfm__encode(model, rows, count, given.keep_layers != 0, &watch, out, error);
}

void tfm_encoded_release(tfm_encoded *encoded) { tfm__encoded_free(encoded); }

int32_t tfm_encoded_get(const tfm_encoded *encoded, tfm_encoded_view *view, tfm_error *error) {
    if (!encoded || !view)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_encoded_get: encoded or view is NULL");
    const tfm_model *model = encoded->model;
    tfm_encoded_view full = TFM_ENCODED_VIEW_INIT;
    full.rows = encoded->rows;
    full.tokens = encoded->tokens;
    full.width = model->config.width;
    full.starts = encoded->starts;
    full.hidden = encoded->hidden;
    full.pooled = encoded->pooled;
    full.layers = encoded->layers ? model->config.layers + 1u : 0;
    full.head = tfm__head_scope(model);
    full.outputs = model->head.out.rows;
    return tfm__give_struct(view, &full, sizeof full, "tfm_encoded_view", error);
}

int32_t tfm_encoded_layer(const tfm_encoded *encoded, size_t layer, const float **hidden, tfm_error *error) {
    if (hidden) *hidden = NULL;
    if (!encoded || !hidden)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_encoded_layer: encoded or hidden is NULL");
    if (!encoded->layers)
        return tfm__fail(error, TFM_E_STATE, "the states of the layers are kept only with keep_layers");
    if (layer > encoded->model->config.layers)
        return tfm__fail(error, TFM_E_ARGUMENT, "states after %zu layers, the model has %u", layer,
                         encoded->model->config.layers);
    *hidden = encoded->layers + layer * encoded->tokens * encoded->model->config.width;
    return TFM_OK;
}

int32_t tfm_encoded_logits(const tfm_encoded *encoded, size_t first, size_t count, float *logits,
                           size_t capacity, tfm_error *error) {
    if (!encoded || !logits || !count)
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "tfm_encoded_logits: encoded or logits is NULL, or count is 0");
    int scope = tfm__head_scope(encoded->model);
    size_t there = scope == TFM__HEAD_ROWS ? encoded->rows : encoded->tokens, needed;
    if (scope == TFM__HEAD_NONE)
        return tfm__fail(error, TFM_E_STATE, "the model has no head: its files describe none");
    if (first > there || count > there - first)
        return tfm__fail(error, TFM_E_ARGUMENT, "%s %zu to before %zu of %zu",
                         scope == TFM__HEAD_ROWS ? "rows" : "tokens", first, first + count, there);
    if (!tfm__mul_size(count, encoded->model->head.out.rows, &needed) || needed > capacity)
        return tfm__fail(error, TFM_E_BUFFER, "%zu times %u logits do not fit %zu floats", count,
                         encoded->model->head.out.rows, capacity);
    return tfm__encoded_logits(encoded, first, count, logits, error);
}
