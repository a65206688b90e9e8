/* api_generate.c - the exported functions of tfm/generate.h. */
#include "generate.h"

static int32_t begin(const char *function, tfm_session *session, tfm_sampler *sampler, const char *prompt,
                     size_t length, const tfm_generate_options *options, tfm_generation **out,
                     tfm_error *error) {
    tfm_generate_options given;
    if (!session) return tfm__fail(error, TFM_E_ARGUMENT, "%s: session is NULL", function);
    if (!prompt && length)
        return tfm__fail(error, TFM_E_ARGUMENT, "%s: prompt is NULL but %zu long", function, length);
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_generate_options", error);
    if (status) return status;
    if (!given.prompt_tokens && given.prompt_token_count)
        return tfm__fail(error, TFM_E_ARGUMENT, "%s: prompt_tokens is NULL", function);
    if (given.add_bos < TFM_DEFAULT || given.add_bos > TFM_NO)
        return tfm__fail(error, TFM_E_ARGUMENT, "%s: add_bos is %d", function, (int)given.add_bos);
    return tfm__generation_start(session, sampler, prompt ? prompt : "", length, &given, out, error);
}

int32_t tfm_generation_begin(tfm_session *session, tfm_sampler *sampler, const char *prompt, size_t length,
                             const tfm_generate_options *options, tfm_generation **out, tfm_error *error) {
    if (!out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_generation_begin: out is NULL");
    *out = NULL;
    return begin("tfm_generation_begin", session, sampler, prompt, length, options, out, error);
}

int32_t tfm_generation_next(tfm_generation *generation, tfm_token_event *event, tfm_error *error) {
    tfm_token_event full;
    if (!generation || !event)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_generation_next: an argument is NULL");
    int32_t status = tfm__generation_step(generation, &full, error);
    if (status) full = (tfm_token_event)TFM_TOKEN_EVENT_INIT;
    int32_t given = tfm__give_struct(event, &full, sizeof full, "tfm_token_event", status ? NULL : error);
    return status ? status : given;
}

void tfm_generation_end(tfm_generation *generation, tfm_generation_summary *summary) {
    if (generation) tfm__generation_finish(generation, summary);
}

int32_t tfm_generate(tfm_session *session, tfm_sampler *sampler, const char *prompt, size_t length,
                     const tfm_generate_options *options, tfm_token_fn on_token, void *user,
                     tfm_generation_summary *summary, tfm_error *error) {
    tfm_generation *generation = NULL;
    tfm_token_event event;
    int32_t status = begin("tfm_generate", session, sampler, prompt, length, options, &generation, error);
    if (status) {
        const tfm_generation_summary nothing = TFM_GENERATION_SUMMARY_INIT;
        if (summary)
            (void)tfm__give_struct(summary, &nothing, sizeof nothing, "tfm_generation_summary", NULL);
        return status;
    }
    do {
        status = tfm__generation_step(generation, &event, error);
        if (status) break;
        if (on_token && on_token(user, &event)) generation->stop_request = TFM_STOP_CALLBACK;
    } while (!event.stop);
    tfm__generation_finish(generation, summary);
    return status;
}
