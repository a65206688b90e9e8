/* generate.c - the story of the loop: a prompt goes in, tokens come out one by one.
 *
 *     tokens = tokenize(prompt);  forward(tokens)
 *     repeat:
 *         token = choose from the logits
 *         an end token?                     -> last event: end
 *         text = what is certain now; hand out token, probability, text
 *         forward(token)
 *         limit, stop string, callback, cancel, context full?  -> last event, with its reason
 *
 * A token is read by the model (forward) at the beginning of the step after the one that handed it out: its
 * text reaches the host one pass earlier. Whatever ends the loop, the token handed out last is still read, so
 * the session holds everything that the host has seen. */
#include "generate.h"

#include "forward.h"

/* ---- Beginning: the prompt ----------------------------------------------------------------------------- */

static bool wants_bos(const tfm_generation *g, const tfm_tokenizer_info *info) {
    if (g->session->cross && g->options.add_bos == TFM_DEFAULT) return false;
    if (g->options.add_bos == TFM_YES) return info->bos >= 0;
    return g->options.add_bos == TFM_DEFAULT && info->adds_bos && g->session->position == 0;
}

/* What the text of an encoder-decoder begins with: the decoder's own first token, and behind it one that the
 * model's files force, unless the caller has something to put there. */
static int32_t begin_text(const tfm_generation *g, tfm__buffer *ids, tfm_error *error) {
    const tfm__config *c = &g->session->model->config;
    const tfm_token first = (tfm_token)c->start_token, second = (tfm_token)c->forced_first;
    if (!g->session->cross || g->session->position > 0 || first < 0) return TFM_OK;
    bool ok = tfm__buffer_append(ids, &first, sizeof first);
    if (second >= 0 && g->options.prompt_token_count == 0)
        ok = ok && tfm__buffer_append(ids, &second, sizeof second);
    return ok ? TFM_OK : tfm__fail_memory(error, ids->heap, sizeof first);
}

/* The prompt's tokens, the text's and then the given ones, into ids. */
static int32_t prompt_tokens(tfm_generation *g, const char *prompt, size_t length, tfm__buffer *ids,
                             tfm_error *error) {
    const tfm_tokenizer *tokenizer = g->session->model->tokenizer;
    int32_t status = begin_text(g, ids, error);
    if (status) return status;
    if (tokenizer && (length > 0 || g->options.prompt_token_count == 0)) {
        tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
        tfm__tokenizer_info(tokenizer, &info);
        status = tfm__tokenizer_encode(tokenizer, prompt, length, wants_bos(g, &info), false,
                                       g->options.parse_special != 0, ids, error);
    } else if (length > 0) {
        status = tfm__fail(error, TFM_E_STATE, "the model has no tokenizer: give the prompt as tokens");
    }
    if (status) return status;
    if (!tfm__buffer_append(ids, g->options.prompt_tokens, g->options.prompt_token_count * sizeof(tfm_token)))
        return tfm__fail_memory(error, ids->heap, g->options.prompt_token_count * sizeof(tfm_token));
    return TFM_OK;
}

/* Reads the prompt; with none, sees to it that there are logits to start from. */
static int32_t read_prompt(tfm_generation *g, const tfm_token *ids, size_t count, tfm_error *error) {
    tfm_session *session = g->session;
    tfm__watch watch = {.progress = g->options.progress,
                        .progress_user = g->options.progress_user,
                        .cancel = g->options.cancel};
    int32_t status = tfm__check_tokens(session, ids, count, error);
    return status ? status : tfm__forward_prompt(session, ids, count, &watch, error);
}

static int32_t prepare(tfm_generation *g, const char *prompt, size_t length, tfm_error *error) {
    tfm_session *session = g->session;
    tfm__heap *heap = &session->model->heap;
    uint64_t begun = tfm__now_ns();
    tfm__buffer ids;
    int32_t status = tfm__stops_init(&g->stops, heap, &g->options, error);
    if (!status) status = tfm__sampler_reserve(g->sampler, session->model->config.vocab, error);
    if (!status && session->model->tokenizer) {
        tfm_detokenize_options decoding = TFM_DETOKENIZE_OPTIONS_INIT;
        decoding.special = g->options.special;
        /* behind a text a first space is a space; at the very beginning it may be the tokenizer's own */
        decoding.continued = length > 0 || g->options.prompt_token_count > 0 || session->position > 0;
        status = tfm__decoder_new(session->model->tokenizer, heap, &decoding, &g->decoder, error);
    }
    if (status) return status;
    tfm__buffer_init(&ids, heap);
    status = prompt_tokens(g, prompt, length, &ids, error);
    size_t count = ids.size / sizeof(tfm_token);
    if (!status) status = read_prompt(g, (const tfm_token *)(const void *)ids.data, count, error);
    tfm__buffer_free(&ids);
    g->summary.prompt_tokens = count;
    g->summary.prompt_ns = tfm__now_ns() - begun;
    return status;
}

int32_t tfm__generation_start(tfm_session *session, tfm_sampler *sampler, const char *prompt, size_t length,
                              const tfm_generate_options *options, tfm_generation **out, tfm_error *error) {
    tfm_generation *g = tfm__alloc_zero(&session->model->heap, sizeof *g);
    if (!g) return tfm__fail_memory(error, &session->model->heap, sizeof *g);
    g->session = session;
    g->sampler = sampler;
    g->options = *options;
    g->pending = -1;
    g->summary = (tfm_generation_summary)TFM_GENERATION_SUMMARY_INIT;
    int32_t status = prepare(g, prompt, length, error);
    if (status) {
        tfm__generation_finish(g, NULL);
        return status;
    }
    *out = g;
    return TFM_OK;
}

/* ---- A step -------------------------------------------------------------------------------------------- */

/* The reason to stop now, if there is one. */
static int32_t reason(const tfm_generation *g) {
    if (g->stops.found >= 0) return TFM_STOP_STRING;
    if (g->stop_request) return g->stop_request;
    if (tfm_cancel_is_set(g->options.cancel)) return TFM_STOP_CANCELLED;
    if (g->options.max_tokens && g->summary.generated_tokens >= g->options.max_tokens) return TFM_STOP_LIMIT;
    return TFM_STOP_NONE;
}

/* The model reads the token that was handed out last. Sets *full if the context has no room for it. */
static int32_t read_pending(tfm_generation *g, bool *full, tfm_error *error) {
    *full = g->pending >= 0 && g->session->position >= g->session->context;
    if (g->pending < 0 || *full) return TFM_OK;
    int32_t status = tfm__forward(g->session, &g->pending, 1, TFM_LOGITS_LAST, NULL, error);
    if (!status) g->pending = -1;
    return status;
}

static void end(tfm_generation *g, int32_t stop, tfm_token_event *event) {
    const char *rest = "";
    size_t length = 0;
    if (g->stops.found >= 0)
        g->stops.ready = 0; /* what was in front of it has been handed out */
    else if (g->decoder && !tfm_decoder_finish(g->decoder, &rest, &length, NULL))
        tfm__stops_take(&g->stops, rest, length);
    tfm__stops_flush(&g->stops);
    if (g->stops.found >= 0) stop = TFM_STOP_STRING; /* the held character may have completed one */
    g->pending = -1;
    g->last = (tfm_token_event)TFM_TOKEN_EVENT_INIT;
    g->last.stop = stop;
    g->last.position = g->session->position;
    g->last.length = g->stops.ready;
    if (g->stops.ready) g->last.bytes = (const char *)g->stops.held.data;
    g->summary.stop = stop;
    g->summary.stop_string = g->stops.found;
    *event = g->last;
}

/* Token to event: its text, as far as it is certain, and its probability. */
static int32_t describe(tfm_generation *g, tfm_token token, const float *logits, tfm_token_event *event,
                        tfm_error *error) {
    const tfm_model *model = g->session->model;
    const char *text = "";
    size_t length = 0;
    float largest;
    double sum;
    int32_t status = tfm__softmax_of(&model->kernels, logits, model->config.vocab, &largest, &sum, error);
    if (status) return status;
    if (g->decoder && token < tfm__tokenizer_vocab_size(model->tokenizer)) /* a model may have more rows */
        status = tfm_decoder_push(g->decoder, token, &text, &length, error);
    if (status) return status;
    if (!tfm__stops_take(&g->stops, text, length))
        return tfm__fail_memory(error, &g->session->model->heap, length);
    *event = (tfm_token_event)TFM_TOKEN_EVENT_INIT;
    event->token = token;
    event->probability = tfm__probability(logits[token], largest, sum);
    event->position = g->session->position;
    event->length = g->stops.ready;
    if (g->stops.ready) event->bytes = (const char *)g->stops.held.data;
    return TFM_OK;
}

static int32_t step(tfm_generation *g, tfm_token_event *event, tfm_error *error) {
    tfm_session *session = g->session;
    const float *logits;
    tfm_token token;
    bool full;
    int32_t status = read_pending(g, &full, error);
    if (status) return status;
    int32_t stop = reason(g);
    if (stop || full) {
        end(g, stop ? stop : TFM_STOP_CONTEXT, event);
        return TFM_OK;
    }
    /* room for any text, before a random number and the decoder's state change: a step that failed can be
     * tried again */
    size_t most = g->decoder ? tfm__decoder_room(session->model->tokenizer) : 0;
    if (!tfm__buffer_reserve(&g->stops.held, most))
        return tfm__fail_memory(error, &session->model->heap, most);
    status = tfm__last_logits(session, &logits, error);
    if (!status)
        status =
            tfm__sampler_choose(g->sampler, &session->model->kernels, logits, session->model->config.vocab,
                                session->tokens, session->position, &token, error);
    if (status) return status;
    if (!g->options.ignore_end && session->model->tokenizer &&
        tfm__tokenizer_is_end(session->model->tokenizer, token)) {
        end(g, TFM_STOP_END, event);
        return TFM_OK;
    }
    status = describe(g, token, logits, event, error);
    if (status) return status;
    g->pending = token;
    g->summary.generated_tokens++;
    return TFM_OK;
}

int32_t tfm__generation_step(tfm_generation *g, tfm_token_event *event, tfm_error *error) {
    if (g->last.stop) {
        *event = g->last;
        return TFM_OK;
    }
    uint64_t begun = tfm__now_ns();
    int32_t status = step(g, event, error);
    g->summary.generated_ns += tfm__now_ns() - begun;
    return status;
}

/* ---- The end ------------------------------------------------------------------------------------------- */

void tfm__generation_finish(tfm_generation *g, tfm_generation_summary *summary) {
    bool full;
    (void)read_pending(g, &full, NULL); /* so that the session holds what the host has seen */
    if (summary)
        (void)tfm__give_struct(summary, &g->summary, sizeof g->summary, "tfm_generation_summary", NULL);
    tfm__decoder_free(g->decoder);
    tfm__stops_free(&g->stops);
    tfm__free(&g->session->model->heap, g);
}
