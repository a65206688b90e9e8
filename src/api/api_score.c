/* api_score.c - the exported functions of tfm/score.h: arguments are checked here, the work is in score.c. */
#include "score.h"

#define LEAST_WINDOW 4

static int32_t take(const tfm_score_options *options, tfm_score_options *given, tfm_error *error) {
    int32_t status = tfm__take_options(options, given, sizeof *given, "tfm_score_options", error);
    if (status) return status;
    if (given->add_bos < TFM_DEFAULT || given->add_bos > TFM_NO || given->border < TFM_BORDER_KEEP ||
        given->border > TFM_BORDER_REJOIN)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_score_options: add_bos is %d, border is %d",
                         (int)given->add_bos, (int)given->border);
    return TFM_OK;
}

int32_t tfm_score(tfm_session *session, const char *prompt, size_t prompt_length, const char *continuation,
                  size_t length, const tfm_score_options *options, tfm_token_score *tokens, size_t capacity,
                  tfm_score_result *result, tfm_error *error) {
    tfm_score_result full = TFM_SCORE_RESULT_INIT, none = TFM_SCORE_RESULT_INIT;
    tfm_score_options given;
    int32_t status =
        result ? tfm__give_struct(result, &none, sizeof none, "tfm_score_result", error) : TFM_OK;
    if (status) return status;
    if (!session || (!prompt && prompt_length) || !continuation || !length || (!tokens && capacity))
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "tfm_score: an argument is NULL, or the continuation is empty");
    status = take(options, &given, error);
    if (status) return status;
    if (!session->model->tokenizer)
        return tfm__fail(error, TFM_E_STATE, "the model has no tokenizer: use tfm_score_tokens");
    status = tfm__score_text(session, prompt, prompt_length, continuation, length, &given, tokens, capacity,
                             &full, error);
    if (status || !result) return status;
    return tfm__give_struct(result, &full, sizeof full, "tfm_score_result", error);
}

int32_t tfm_score_tokens(tfm_session *session, const tfm_token *tokens, size_t count, size_t first,
                         const tfm_score_options *options, tfm_token_score *scores, tfm_error *error) {
    tfm_score_options given;
    if (!session || !tokens || !scores)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_score_tokens: an argument is NULL");
    if (first >= count)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_score_tokens: first is %zu of %zu", first, count);
    int32_t status = take(options, &given, error);
    if (!status) status = tfm__check_tokens(session, tokens, count, error);
    if (status) return status;
    if (first == 0 && session->position == 0)
        return tfm__fail(error, TFM_E_STATE, "nothing comes before the first token: the session is empty");
    tfm__watch watch = {
        .progress = given.progress, .progress_user = given.progress_user, .cancel = given.cancel};
    return tfm__score_tokens(session, tokens, count, first, &watch, scores, error);
}

int32_t tfm_score_phrase(tfm_session *session, const char *phrase, size_t length,
                         const tfm_phrase_options *options, tfm_phrase_result *result, tfm_error *error) {
    tfm_phrase_options given;
    tfm_phrase_result full = TFM_PHRASE_RESULT_INIT, none = TFM_PHRASE_RESULT_INIT;
    if (!session || !phrase || !length || !result)
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "tfm_score_phrase: an argument is NULL, or the phrase is empty");
    int32_t status = tfm__give_struct(result, &none, sizeof none, "tfm_phrase_result", error);
    if (!status) status = tfm__take_options(options, &given, sizeof given, "tfm_phrase_options", error);
    if (status) return status;
    if (!session->model->tokenizer)
        return tfm__fail(error, TFM_E_STATE, "the model has no tokenizer: use tfm_score_tokens");
    if (session->position == 0)
        return tfm__fail(error, TFM_E_STATE, "nothing comes before the phrase: the session is empty");
    status = tfm__score_phrase(session, phrase, length, &given, &full, error);
    return status ? status : tfm__give_struct(result, &full, sizeof full, "tfm_phrase_result", error);
}

int32_t tfm_perplexity(tfm_model *model, const tfm_token *tokens, size_t count,
                       const tfm_perplexity_options *options, tfm_perplexity_result *result,
                       tfm_error *error) {
    tfm_perplexity_options given;
    tfm_perplexity_result full = TFM_PERPLEXITY_RESULT_INIT, none = TFM_PERPLEXITY_RESULT_INIT;
    if (!model || !tokens || !result)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_perplexity: an argument is NULL");
    int32_t status = tfm__give_struct(result, &none, sizeof none, "tfm_perplexity_result", error);
    if (!status) status = tfm__take_options(options, &given, sizeof given, "tfm_perplexity_options", error);
    if (status) return status;
    const tfm__config *c = &model->config;
    if (c->encoder || model->encoder)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_perplexity: a model of the family %s has an encoder",
                         c->family->name);
    uint32_t most = tfm__has_position_rows(c) ? c->context : TFM__MAX_CONTEXT;
    if (given.context == 0) given.context = TFM__MIN(512u, most);
    if (given.context < LEAST_WINDOW || given.context > most)
        return tfm__fail(error, TFM_E_ARGUMENT, "a window of %u tokens; this model allows %d to %u",
                         given.context, LEAST_WINDOW, most);
    if (given.windows < TFM_WINDOWS_HALVES || given.windows > TFM_WINDOWS_SLIDING ||
        given.add_bos < TFM_DEFAULT || given.add_bos > TFM_NO)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_perplexity_options: windows is %d, add_bos is %d",
                         (int)given.windows, (int)given.add_bos);
    if (given.stride >= given.context || (given.stride && given.windows == TFM_WINDOWS_HALVES))
        return tfm__fail(error, TFM_E_ARGUMENT, "a stride of %u with windows of %u%s", given.stride,
                         given.context,
                         given.windows == TFM_WINDOWS_HALVES ? ": only sliding windows have one" : "");
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= c->vocab)
            return tfm__fail(error, TFM_E_TOKEN, "token %zu is %d, the vocabulary has %u", i, (int)tokens[i],
                             c->vocab);
    status = tfm__adapters_check(model, given.adapters, given.adapter_count, error);
    if (status) return status;
    status = tfm__perplexity(model, tokens, count, &given, &full, error);
    return status ? status : tfm__give_struct(result, &full, sizeof full, "tfm_perplexity_result", error);
}
