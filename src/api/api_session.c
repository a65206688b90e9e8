/* api_session.c - the exported functions of tfm/session.h. */
#include "encode.h"
#include "forward.h"
#include "model/state.h"

#define DEFAULT_BATCH 512
#define MOST_BATCH 65536

static int32_t check_encoded(const tfm_model *model, const tfm_session_options *given, tfm_error *error) {
    if (!model->encoder && given->encoded)
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "tfm_session_create: a model of the family %s has no encoder, but encoded is given",
                         model->config.family->name);
    if (!model->encoder) return TFM_OK;
    if (!given->encoded)
        return tfm__fail(
            error, TFM_E_ARGUMENT,
            "tfm_session_create: a model of the family %s needs what tfm_encode makes of a text, in "
            "options.encoded",
            model->config.family->name);
    if (given->encoded->model != model)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_session_create: encoded is another model's");
    if (given->encoded_row >= given->encoded->rows)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_session_create: row %zu of %zu that were encoded",
                         given->encoded_row, given->encoded->rows);
    return TFM_OK;
}

int32_t tfm_session_create(tfm_model *model, const tfm_session_options *options, tfm_session **out,
                           tfm_error *error) {
    tfm_session_options given;
    if (out) *out = NULL;
    if (!model || !out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_session_create: model or out is NULL");
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_session_options", error);
    if (status) return status;
    const tfm__config *c = &model->config;
    if (c->encoder)
        return tfm__fail(
            error, TFM_E_ARGUMENT,
            "tfm_session_create: a model of the family %s is an encoder; tfm_encode is for those",
            c->family->name);
    uint32_t context = given.context ? given.context : c->context;
    if (context > TFM__MAX_CONTEXT || (tfm__has_position_rows(c) && context > c->context))
        return tfm__fail(error, TFM_E_ARGUMENT, "a context of %u; this model allows %u", context,
                         tfm__has_position_rows(c) ? c->context : (uint32_t)TFM__MAX_CONTEXT);
    if (given.batch > MOST_BATCH)
        return tfm__fail(error, TFM_E_ARGUMENT, "a batch of %u, at most %d", given.batch, MOST_BATCH);
    uint32_t cache_type;
    status = tfm__cache_type(given.cache_type, model->cache_type, &cache_type, error);
    if (status) return status;
    if ((status = check_encoded(model, &given, error)) != 0) return status;
    status =
        tfm__session_new(model, context, given.batch ? given.batch : DEFAULT_BATCH, cache_type, out, error);
    if (status || !given.encoded) return status;
    const size_t *starts = given.encoded->starts + given.encoded_row;
    status =
        tfm__forward_cross(*out, given.encoded->hidden + starts[0] * c->width, starts[1] - starts[0], error);
    if (!status) return TFM_OK;
    tfm_session_destroy(*out);
    *out = NULL;
    return status;
}

void tfm_session_destroy(tfm_session *session) {
    if (!session) return;
    tfm_model *model = session->model;
    tfm__session_free(session);
    tfm_model_release(model);
}

int32_t tfm_forward(tfm_session *session, const tfm_token *tokens, size_t count,
                    const tfm_forward_options *options, tfm_error *error) {
    tfm_forward_options given;
    if (!session || !tokens || !count)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_forward: session or tokens is NULL, or count is 0");
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_forward_options", error);
    if (status) return status;
    if (given.logits < TFM_LOGITS_LAST || given.logits > TFM_LOGITS_NONE)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_forward: logits is %d", (int)given.logits);
    status = tfm__check_tokens(session, tokens, count, error);
    if (status) return status;
    tfm__watch watch = {
        .progress = given.progress, .progress_user = given.progress_user, .cancel = given.cancel};
    return tfm__forward(session, tokens, count, given.logits, &watch, error);
}

int32_t tfm_forward_many(const tfm_forward_part *parts, size_t count, const tfm_forward_options *options,
                         tfm_error *error) {
    tfm_forward_options given;
    if (!parts || !count)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_forward_many: parts is NULL, or count is 0");
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_forward_options", error);
    if (status) return status;
    if (given.logits != 0)
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "tfm_forward_many: options.logits is %d; each part has its own", (int)given.logits);
    for (size_t i = 0; i < count; i++) {
        const tfm_forward_part *part = &parts[i];
        if (!part->session || !part->tokens || !part->count)
            return tfm__fail(error, TFM_E_ARGUMENT,
                             "tfm_forward_many: part %zu has no session or no tokens, or its count is 0", i);
        if (part->logits < TFM_LOGITS_LAST || part->logits > TFM_LOGITS_NONE || part->reserved != 0)
            return tfm__fail(error, TFM_E_ARGUMENT, "tfm_forward_many: part %zu has logits %d, reserved %d",
                             i, (int)part->logits, (int)part->reserved);
        if (part->session->model != parts[0].session->model)
            return tfm__fail(error, TFM_E_ARGUMENT,
                             "tfm_forward_many: part %zu is of another model than part 0", i);
        if ((status = tfm__check_tokens(part->session, part->tokens, part->count, error)) != 0) return status;
    }
    for (size_t i = 0; i < count; i++) parts[i].session->listed = false;
    for (size_t i = 0; i < count && !status; i++) {
        if (parts[i].session->listed)
            status = tfm__fail(error, TFM_E_ARGUMENT,
                               "tfm_forward_many: the session of part %zu is there twice", i);
        parts[i].session->listed = true;
    }
    if (status) return status;
    tfm__watch watch = {
        .progress = given.progress, .progress_user = given.progress_user, .cancel = given.cancel};
    return tfm__forward_many(parts[0].session->model, parts, count, &watch, error);
}

int32_t tfm_logits(const tfm_session *session, size_t index, const float **logits, size_t *vocab,
                   tfm_error *error) {
    if (logits) *logits = NULL;
    if (vocab) *vocab = 0;
    if (!session || !logits) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_logits: session or logits is NULL");
    if (session->logits_count == 0)
        return tfm__fail(error, TFM_E_STATE, "the session has no logits: call tfm_forward first");
    if (index >= session->logits_count)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_logits: index %zu of %zu", index, session->logits_count);
    *logits = session->logits + index * session->model->config.vocab;
    if (vocab) *vocab = session->model->config.vocab;
    return TFM_OK;
}

size_t tfm_logits_count(const tfm_session *session) { return session ? session->logits_count : 0; }
size_t tfm_session_position(const tfm_session *session) { return session ? session->position : 0; }
const tfm_token *tfm_session_tokens(const tfm_session *session) { return session ? session->tokens : NULL; }
size_t tfm_session_context(const tfm_session *session) { return session ? session->context : 0; }
tfm_model *tfm_session_model(const tfm_session *session) { return session ? session->model : NULL; }

int32_t tfm_session_rewind(tfm_session *session, size_t position, tfm_error *error) {
    if (!session) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_session_rewind: session is NULL");
    if (position > session->position)
        return tfm__fail(error, TFM_E_ARGUMENT, "cannot rewind to %zu: the session holds %zu tokens",
                         position, session->position);
    if (session->inspection.inside)
        return tfm__fail(error, TFM_E_STATE, "an inspector cannot rewind the session that it looks into");
    if (position == session->position) return TFM_OK;
    session->position = position;
    session->logits_count = 0;
    return TFM_OK;
}

int32_t tfm_session_fork(const tfm_session *session, tfm_session **out, tfm_error *error) {
    if (out) *out = NULL;
    if (!session || !out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_session_fork: session or out is NULL");
    if (session->inspection.inside)
        return tfm__fail(error, TFM_E_STATE, "an inspector cannot fork the session that it looks into");
    return tfm__session_copy(session, out, error);
}
