/* api_encode.c - the exported functions of tfm/encode.h. */
#include <stdio.h>

#include "embedding.h"

int32_t tfm_encode(tfm_model *model, const tfm_encode_row *rows, size_t count,
                   const tfm_encode_options *options, tfm_encoded **out, tfm_error *error) {
    tfm_encode_options given;
    if (out) *out = NULL;
    if (!model || !rows || !count || !out)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_encode: model, rows or out is NULL, or count is 0");
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_encode_options", error);
    if (status) return status;
    if (!tfm__encoder_of(model)->config.encoder && !given.decoder)
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "tfm_encode: a model of the family %s is a decoder; tfm_session_create is for those",
                         model->config.family->name);
    if (given.inspector_count && !given.inspectors)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_encode: an inspector_count without inspectors");
    for (size_t i = 0; i < given.inspector_count; i++)
        if (!given.inspectors[i].options || !given.inspectors[i].fn)
            return tfm__fail(error, TFM_E_ARGUMENT, "tfm_encode: inspector %zu lacks options or fn", i);
    status = tfm__check_rows(model, rows, count, error);
    if (status) return status;
    tfm__watch watch = {
        .progress = given.progress, .progress_user = given.progress_user, .cancel = given.cancel};
    return tfm__encode(model, rows, count, &given, &watch, out, error);
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
    full.layers = encoded->layers ? tfm__encoder_of(model)->config.layers + 1u : 0;
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
    uint32_t layers = tfm__encoder_of(encoded->model)->config.layers;
    if (layer > layers)
        return tfm__fail(error, TFM_E_ARGUMENT, "states after %zu layers, the model has %u", layer, layers);
    *hidden = encoded->layers + layer * encoded->tokens * encoded->model->config.width;
    return TFM_OK;
}

int32_t tfm_encoded_logits(const tfm_encoded *encoded, size_t first, size_t count, float *logits,
                           size_t capacity, tfm_error *error) {
    if (!encoded) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_encoded_logits: encoded is NULL");
    int scope = tfm__head_scope(encoded->model);
    size_t there = scope == TFM__HEAD_ROWS ? encoded->rows : encoded->tokens, needed;
    if (scope == TFM__HEAD_NONE)
        return tfm__fail(error, TFM_E_STATE, "the model has no head: its files describe none");
    if (!logits || !count)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_encoded_logits: logits is NULL, or count is 0");
    if (first > there || count > there - first)
        return tfm__fail(error, TFM_E_ARGUMENT, "%s %zu to before %zu of %zu",
                         scope == TFM__HEAD_ROWS ? "rows" : "tokens", first, first + count, there);
    if (!tfm__mul_size(count, encoded->model->head.out.rows, &needed) || needed > capacity)
        return tfm__fail(error, TFM_E_BUFFER, "%zu times %u logits do not fit %zu floats", count,
                         encoded->model->head.out.rows, capacity);
    return tfm__encoded_logits(encoded, first, count, logits, error);
}

/* ---- One vector for a text ----------------------------------------------------------------------------- */

static int32_t check_texts(const char *call, tfm_model *model, const tfm_text_input *texts, size_t count,
                           tfm_error *error) {
    if (!model || !texts || !count)
        return tfm__fail(error, TFM_E_ARGUMENT, "%s: model or texts is NULL, or count is 0", call);
    for (size_t i = 0; i < count; i++)
        if ((!texts[i].text && texts[i].length) || (!texts[i].pair && texts[i].pair_length))
            return tfm__fail(error, TFM_E_ARGUMENT, "text %zu: a length without a text", i);
    return TFM_OK;
}

/* Whether count results of `each` floats fit; 1: only their size was asked for. */
static int32_t check_room(size_t count, size_t each, const float *out, size_t capacity, size_t *given,
                          tfm_error *error) {
    size_t needed;
    if (given) *given = each;
    if (!out && capacity == 0) return 1;
    if (!out) return tfm__fail(error, TFM_E_ARGUMENT, "a capacity without an array");
    if (!tfm__mul_size(count, each, &needed) || needed > capacity)
        return tfm__fail(error, TFM_E_BUFFER, "%zu times %zu numbers do not fit %zu floats", count, each,
                         capacity);
    return TFM_OK;
}

static int32_t take_embed(const tfm_model *model, const tfm_embed_options *options, tfm_embed_options *given,
                          tfm__embed_plan *plan, tfm_error *error) {
    int32_t status = tfm__take_options(options, given, sizeof *given, "tfm_embed_options", error);
    if (status) return status;
    if (!given->prompt && given->prompt_length)
        return tfm__fail(error, TFM_E_ARGUMENT, "a prompt_length without a prompt");
    return tfm__embed_choose(model, given, plan, error);
}

static int32_t embed(tfm_model *model, const tfm_encode_row *rows, size_t count, const tfm__embed_plan *plan,
                     const tfm_embed_options *given, float *embeddings, tfm_error *error) {
    tfm__watch watch = {
        .progress = given->progress, .progress_user = given->progress_user, .cancel = given->cancel};
    return tfm__embed_rows(model, rows, count, plan, embeddings, &watch, error);
}

int32_t tfm_embed(tfm_model *model, const tfm_text_input *texts, size_t count,
                  const tfm_embed_options *options, float *embeddings, size_t capacity, size_t *width,
                  tfm_error *error) {
    tfm_embed_options given;
    tfm__embed_plan plan;
    tfm__text_rows rows;
    if (width) *width = 0;
    int32_t status = check_texts("tfm_embed", model, texts, count, error);
    if (!status) status = take_embed(model, options, &given, &plan, error);
    if (!status) status = check_room(count, plan.width, embeddings, capacity, width, error);
    if (status) return status < 0 ? status : TFM_OK;
    status =
        tfm__rows_of_texts(model, texts, count, plan.prompt, plan.prompt_length, plan.most, &rows, error);
    if (status) return status;
    status = embed(model, rows.rows, count, &plan, &given, embeddings, error);
    tfm__rows_free(model, &rows);
    return status;
}

int32_t tfm_embed_tokens(tfm_model *model, const tfm_encode_row *rows, size_t count,
                         const tfm_embed_options *options, float *embeddings, size_t capacity, size_t *width,
                         tfm_error *error) {
    tfm_embed_options given;
    tfm__embed_plan plan;
    if (width) *width = 0;
    if (!model || !rows || !count)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_embed_tokens: model or rows is NULL, or count is 0");
    int32_t status = take_embed(model, options, &given, &plan, error);
    if (!status) status = check_room(count, plan.width, embeddings, capacity, width, error);
    if (!status) status = tfm__check_rows(model, rows, count, error);
    if (status) return status < 0 ? status : TFM_OK;
    return embed(model, rows, count, &plan, &given, embeddings, error);
}

int32_t tfm_classify(tfm_model *model, const tfm_text_input *texts, size_t count, size_t max_tokens,
                     float *logits, size_t capacity, size_t *outputs, tfm_error *error) {
    tfm__text_rows rows;
    if (outputs) *outputs = 0;
    int32_t status = check_texts("tfm_classify", model, texts, count, error);
    if (status) return status;
    if (tfm__head_scope(model) != TFM__HEAD_ROWS)
        return tfm__fail(error, TFM_E_STATE, "the model has no head for whole texts");
    status = check_room(count, model->head.out.rows, logits, capacity, outputs, error);
    if (status) return status < 0 ? status : TFM_OK;
    status =
        tfm__rows_of_texts(model, texts, count, NULL, 0, tfm__most_tokens(model, max_tokens), &rows, error);
    if (status) return status;
    status = tfm__classify_rows(model, rows.rows, count, logits, error);
    tfm__rows_free(model, &rows);
    return status;
}

/* ---- Labels ---- */

/* Hugging Face: id2label, an object with the numbers as its keys; GGUF: a list. */
static int32_t find_label(const tfm_model *model, size_t index, char *text, size_t capacity, size_t *length) {
    const tfm__container *container = &model->container;
    const tfm__json *json = &container->config;
    char key[128];
    tfm__text found;
    const char *raw;
    size_t size;
    snprintf(key, sizeof key, "%s.classifier.output_labels", model->config.family->gguf);
    const tfm__meta *meta = tfm__container_meta(container, key);
    if (meta && index < meta->count && tfm__meta_text(meta, index, &found)) {
        *length = found.size;
        if (text && found.size <= capacity) memcpy(text, found.data, found.size);
        return found.size > capacity;
    }
    snprintf(key, sizeof key, "%zu", index);
    tfm__json_value label = tfm__json_get(json, tfm__json_get(json, tfm__json_root(json), "id2label"), key);
    if (!tfm__json_raw(json, label, &raw, &size)) return 0;
    *length = size; /* escaped: at least as long as the text */
    if (size > capacity) return 1;
    size = tfm__json_unescape(json, label, text, capacity);
    *length = size == SIZE_MAX ? 0 : size;
    return 0;
}

int32_t tfm_model_label(const tfm_model *model, size_t index, char *text, size_t capacity, size_t *length,
                        tfm_error *error) {
    size_t found = 0;
    if (length) *length = 0;
    if (!model || (!text && capacity))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_label: model or text is NULL");
    if (index >= model->head.out.rows)
        return tfm__fail(error, TFM_E_ARGUMENT, "output %zu of a head with %u", index, model->head.out.rows);
    bool vocabulary = model->config.head->vocabulary;
    int32_t small = vocabulary ? 0 : find_label(model, index, text, capacity, &found);
    if (length) *length = found;
    if (small && capacity)
        return tfm__fail(error, TFM_E_BUFFER, "a label of %zu bytes does not fit %zu", found, capacity);
    return TFM_OK;
}
