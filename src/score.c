/* score.c - the story of scoring: a text that is given goes in, the probability of each of its tokens comes
 * out.
 *
 *     forward(what comes before)
 *     for each piece of the text:
 *         log p(token i) = logit[i] - max - log sum exp(logit - max),  from the logits behind token i - 1
 *         forward(piece), which gives the logits for the next
 *
 * A text is read in pieces, so that its logits, a row of the vocabulary for each token, take bounded memory;
 * the bits do not depend on the cut. */
#include "score.h"

#include <math.h>

#include "base/real.h"
#include "forward.h"
#include "sampler/sampler.h"

#define PIECE_LOGITS (1u << 24) /* at most so many logits at a time, 64 MiB */
#define MOST_PIECE 512

/* ---- Tokens -------------------------------------------------------------------------------------------- */

typedef struct scoring {
    const tfm__kernels *kernels;
    const float *logits; /* [rows, vocab] */
    size_t vocab;
    const tfm_token *tokens; /* [rows] */
    tfm_token_score *scores; /* [rows]; a probability of NaN where the logits are no numbers */
} scoring;

static void score_row(void *arg, size_t i) {
    const scoring *s = arg;
    const float *row = s->logits + i * s->vocab;
    tfm_token token = s->tokens[i];
    tfm_token_score *score = &s->scores[i];
    float largest;
    double sum;
    *score = (tfm_token_score){token, 0, 0.0};
    if (tfm__softmax_of(s->kernels, row, s->vocab, &largest, &sum, NULL)) {
        score->log_probability = (double)NAN;
        return;
    }
    score->log_probability = (double)row[token] - (double)largest - tfm__log_real(sum);
    for (size_t v = 0; v < s->vocab; v++) score->rank += row[v] > row[token];
}

/* Scores count tokens by the rows of logits that predict them. */
static int32_t score_rows(const tfm_session *session, const float *logits, const tfm_token *tokens,
                          size_t count, tfm_token_score *scores, tfm_error *error) {
    const tfm_model *model = session->model;
    scoring s = {&model->kernels, logits, model->config.vocab, tokens, scores};
    tfm__parallel(model->pool, count, score_row, &s);
    for (size_t i = 0; i < count; i++)
        if (scores[i].log_probability != scores[i].log_probability)
            return tfm__fail(error, TFM_E_STATE, "the logits are not finite numbers");
    return TFM_OK;
}

/* Reads and scores tokens whose first one the session's last logits predict. */
static int32_t score_piece(tfm_session *session, const tfm_token *tokens, size_t count, bool last,
                           tfm__watch *watch, tfm_token_score *scores, tfm_error *error) {
    const float *logits;
    int32_t status = tfm__last_logits(session, &logits, error);
    if (!status) status = score_rows(session, logits, tokens, 1, scores, error);
    if (!status)
        status = tfm__forward(session, tokens, count, last && count == 1 ? TFM_LOGITS_LAST : TFM_LOGITS_ALL,
                              watch, error);
    if (!status && count > 1)
        status = score_rows(session, session->logits, tokens + 1, count - 1, scores + 1, error);
    return status;
}

int32_t tfm__score_tokens(tfm_session *session, const tfm_token *tokens, size_t count, size_t first,
                          tfm__watch *watch, tfm_token_score *scores, tfm_error *error) {
    size_t start = session->position, vocab = session->model->config.vocab;
    size_t piece = TFM__MAX(TFM__MIN(PIECE_LOGITS / vocab, (size_t)MOST_PIECE), (size_t)1);
    tfm__watch silent = {.cancel = watch->cancel}; /* progress counts the whole, not each pass */
    int32_t status = tfm__watch_poll(watch, 0, count, error);
    if (!status) status = tfm__forward_prompt(session, tokens, first, &silent, error);
    for (size_t done = first; done < count && !status; done += piece) {
        size_t n = TFM__MIN(count - done, piece);
        status = tfm__watch_poll(watch, done, count, error);
        if (!status)
            status = score_piece(session, tokens + done, n, done + n == count, &silent,
                                 scores + (done - first), error);
    }
    if (status) {
        session->position = start;
        session->logits_count = 0;
        return status;
    }
    (void)tfm__watch_poll(watch, count, count, NULL);
    return TFM_OK;
}

/* ---- Texts ---- */

typedef struct border {
    const tfm_session *session;
    const tfm_score_options *options;
    tfm__buffer ids; /* of what is appended: tfm_token */
    size_t first;    /* the first of them that is scored */
    bool split;
    tfm_error *error;
} border;

static size_t id_count(const tfm__buffer *ids) { return ids->size / sizeof(tfm_token); }
static const tfm_token *id_list(const tfm__buffer *ids) { return (const tfm_token *)(const void *)ids->data; }

static int32_t encode(const border *b, const tfm__buffer *text, size_t from, bool bos, tfm__buffer *ids) {
    return tfm__tokenizer_encode(b->session->model->tokenizer, (const char *)text->data + from,
                                 text->size - from, bos, false, b->options->parse_special != 0, ids,
                                 b->error);
}

static size_t common(const tfm__buffer *a, const tfm__buffer *b) {
    size_t n = TFM__MIN(id_count(a), id_count(b)), i = 0;
    while (i < n && id_list(a)[i] == id_list(b)[i]) i++;
    return i;
}

/* The tokens of a text that goes on: behind a line feed, with which no token of it joins. Tokenizers that put
 * a space in front of texts do not put one there. Where even that joins, the text alone. */
static int32_t encode_going_on(const border *b, const tfm__buffer *text, size_t from, tfm__buffer *ids) {
    tfm__buffer line, feed, both;
    int32_t status = TFM_OK;
    tfm__buffer_init(&line, ids->heap);
    tfm__buffer_init(&feed, ids->heap);
    tfm__buffer_init(&both, ids->heap);
    bool ok = tfm__buffer_append(&line, "\n", 1);
    if (ok) status = encode(b, &line, 0, false, &feed);
    ok = ok && tfm__buffer_append(&line, text->data + from, text->size - from);
    if (ok && !status) status = encode(b, &line, 0, false, &both);
    if (ok && !status && common(&feed, &both) == id_count(&feed))
        ok = tfm__buffer_append(ids, both.data + feed.size, both.size - feed.size);
    else if (ok && !status)
        status = encode(b, text, from, false, ids);
    tfm__buffer_free(&line);
    tfm__buffer_free(&feed);
    tfm__buffer_free(&both);
    if (!ok) return tfm__fail_memory(b->error, ids->heap, text->size);
    return status;
}

/* text holds prompt and continuation, one behind the other. The first token of a session may be the one that
 * begins texts; a continued session goes on. */
static int32_t place_border(border *b, const tfm__buffer *text, size_t prompt_length) {
    const tfm_session *session = b->session;
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm__buffer prompt, whole, alone;
    tfm__tokenizer_info(session->model->tokenizer, &info);
    bool bos = b->options->add_bos == TFM_YES
                   ? info.bos >= 0
                   : b->options->add_bos == TFM_DEFAULT && info.adds_bos && session->position == 0;
    tfm__buffer_init(&prompt, text->heap);
    tfm__buffer_init(&whole, text->heap);
    alone = (tfm__buffer){.heap = text->heap, .data = text->data, .size = prompt_length, .borrowed = true};
    int32_t status = TFM_OK;
    if (session->position > 0 && prompt_length == 0) {
        status = encode_going_on(b, text, 0, &b->ids); /* the border lies behind what the session holds */
        b->first = 0;
    } else {
        status = encode(b, &alone, 0, bos, &prompt);
        if (!status) status = encode(b, text, 0, bos, &whole);
        size_t same = status ? 0 : common(&prompt, &whole);
        b->split = !status && same < id_count(&prompt);
        b->first = same;
        bool ok = true;
        if (!status && (!b->split || b->options->border == TFM_BORDER_REJOIN)) {
            ok = tfm__buffer_append(&b->ids, whole.data, whole.size);
        } else if (!status) {
            b->first = id_count(&prompt);
            ok = tfm__buffer_append(&b->ids, prompt.data, prompt.size);
            if (ok) status = encode_going_on(b, text, prompt_length, &b->ids);
        }
        if (!ok) status = tfm__fail_memory(b->error, text->heap, whole.size);
    }
    tfm__buffer_free(&prompt);
    tfm__buffer_free(&whole);
    return status;
}

int32_t tfm__score_text(tfm_session *session, const char *prompt, size_t prompt_length,
                        const char *continuation, size_t length, const tfm_score_options *options,
                        tfm_token_score *tokens, size_t capacity, tfm_score_result *result,
                        tfm_error *error) {
    tfm__heap *heap = &session->model->heap;
    tfm__watch watch = {
        .progress = options->progress, .progress_user = options->progress_user, .cancel = options->cancel};
    border b = {.session = session, .options = options, .error = error};
    tfm_token_score *scores = NULL;
    tfm__buffer text;
    tfm__buffer_init(&text, heap);
    tfm__buffer_init(&b.ids, heap);
    int32_t status = TFM_OK;
    if (!tfm__buffer_append(&text, prompt, prompt_length) || !tfm__buffer_append(&text, continuation, length))
        status = tfm__fail_memory(error, heap, prompt_length + length);
    if (!status) status = place_border(&b, &text, prompt_length);
    size_t count = id_count(&b.ids), scored = count - b.first;
    if (!status && scored == 0)
        status = tfm__fail(error, TFM_E_ARGUMENT, "the continuation has no token of its own");
    if (!status && b.first == 0 && session->position == 0)
        status = tfm__fail(error, TFM_E_STATE,
                           "there is nothing to start from: the prompt is empty, and so is the session");
    if (!status) status = tfm__check_tokens(session, id_list(&b.ids), count, error);
    if (!status && !(scores = tfm__alloc_array(heap, scored, sizeof *scores)))
        status = tfm__fail_memory(error, heap, scored * sizeof *scores);
    if (!status) status = tfm__score_tokens(session, id_list(&b.ids), count, b.first, &watch, scores, error);
    if (!status) {
        result->prompt_tokens = b.first;
        result->count = scored;
        result->split = b.split;
        for (size_t i = 0; i < scored; i++) result->log_probability += scores[i].log_probability;
        if (capacity) memcpy(tokens, scores, TFM__MIN(capacity, scored) * sizeof *tokens);
    }
    tfm__free(heap, scores);
    tfm__buffer_free(&text);
    tfm__buffer_free(&b.ids);
    return status;
}

/* ---- Phrases, however they are cut ---- */

#define ENOUGH 1e-6 /* what is left to explore, as a share of all */
#define DEFAULT_PASSES 64
#define MOST_WAYS 65536

/* A way into the phrase: the token that it took last, behind the way that it came. */
typedef struct way {
    uint32_t before; /* index of that way; the first is the beginning, its own */
    tfm_token token;
    size_t done; /* bytes of the phrase behind the session's text */
    double mass; /* probability of the tokens so far */
    bool open;   /* not followed yet */
} way;

typedef struct search {
    tfm_session *session;
    const char *phrase;
    size_t length, start; /* start: the session's position */
    tfm__buffer ways, path;
    tfm_phrase_result *result;
    tfm_error *error;
} search;

static way *way_at(const search *s, size_t index) { return (way *)(void *)s->ways.data + index; }
static size_t way_count(const search *s) { return s->ways.size / sizeof(way); }

/* The open way with the most probability, or SIZE_MAX; *left is what all of them have. */
static size_t likeliest(const search *s, double *left) {
    size_t best = SIZE_MAX;
    *left = 0.0;
    for (size_t i = 0; i < way_count(s); i++) {
        const way *w = way_at(s, i);
        if (!w->open) continue;
        *left += w->mass;
        if (best == SIZE_MAX || w->mass > way_at(s, best)->mass) best = i;
    }
    return best;
}

/* Makes the session hold its text and the tokens of a way, with the logits behind them. */
static int32_t go_to(search *s, size_t index, tfm__watch *watch) {
    size_t count = 0;
    for (size_t i = index; i; i = way_at(s, i)->before) count++;
    s->path.size = 0;
    if (!tfm__buffer_reserve(&s->path, count * sizeof(tfm_token)))
        return tfm__fail_memory(s->error, s->path.heap, count * sizeof(tfm_token));
    s->path.size = count * sizeof(tfm_token);
    tfm_token *tokens = (tfm_token *)(void *)s->path.data;
    for (size_t i = index, at = count; i; i = way_at(s, i)->before) tokens[--at] = way_at(s, i)->token;
    s->session->position = s->start;
    s->session->logits_count = 0;
    int32_t status = tfm__check_tokens(s->session, tokens, count, s->error);
    return status ? status : tfm__forward_prompt(s->session, tokens, count, watch, s->error);
}

/* Looks at every token behind a way: those that end the phrase are counted, those inside it are new ways. */
static int32_t follow(search *s, size_t index) {
    const tfm_model *model = s->session->model;
    way from = *way_at(s, index);
    const char *rest = s->phrase + from.done;
    size_t left = s->length - from.done, vocab = model->config.vocab;
    const float *logits;
    float largest;
    double sum;
    int32_t status = tfm__last_logits(s->session, &logits, s->error);
    if (!status) status = tfm__softmax_of(&model->kernels, logits, vocab, &largest, &sum, s->error);
    if (status) return status;
    vocab = TFM__MIN(vocab, (size_t)tfm__tokenizer_vocab_size(model->tokenizer));
    way_at(s, index)->open = false;
    for (size_t v = 0; v < vocab; v++) {
        const char *bytes;
        size_t size;
        int32_t kind = tfm_token_kind(model->tokenizer, (tfm_token)v);
        if (kind == TFM_TOKEN_CONTROL || kind == TFM_TOKEN_UNKNOWN || kind == TFM_TOKEN_UNUSED || kind == 0 ||
            tfm_token_bytes(model->tokenizer, (tfm_token)v, &bytes, &size, NULL) || size == 0 ||
            memcmp(bytes, rest, TFM__MIN(size, left)) != 0)
            continue;
        double mass = from.mass * tfm__probability(logits[v], largest, sum);
        if (size >= left) {
            s->result->probability += mass;
            continue;
        }
        way next = {(uint32_t)index, (tfm_token)v, from.done + size, mass, true};
        if (way_count(s) < MOST_WAYS && !tfm__buffer_append(&s->ways, &next, sizeof next))
            return tfm__fail_memory(s->error, s->ways.heap, sizeof next);
    }
    return TFM_OK;
}

int32_t tfm__score_phrase(tfm_session *session, const char *phrase, size_t length,
                          const tfm_phrase_options *options, tfm_phrase_result *result, tfm_error *error) {
    search s = {.session = session,
                .phrase = phrase,
                .length = length,
                .start = session->position,
                .result = result,
                .error = error};
    tfm__watch watch = {
        .progress = options->progress, .progress_user = options->progress_user, .cancel = options->cancel};
    tfm__watch silent = {.cancel = options->cancel};
    uint32_t passes = options->passes ? options->passes : DEFAULT_PASSES;
    const way beginning = {.mass = 1.0, .open = true};
    int32_t status = TFM_OK;
    tfm__buffer_init(&s.ways, &session->model->heap);
    tfm__buffer_init(&s.path, &session->model->heap);
    if (!tfm__buffer_append(&s.ways, &beginning, sizeof beginning))
        status = tfm__fail_memory(error, &session->model->heap, sizeof beginning);
    while (!status && result->passes < passes) {
        size_t index = likeliest(&s, &result->unexplored);
        if (index == SIZE_MAX || result->unexplored < ENOUGH * (result->unexplored + result->probability))
            break;
        status = tfm__watch_poll(&watch, result->passes, passes, error);
        if (!status) status = go_to(&s, index, &silent);
        if (!status) status = follow(&s, index);
        result->passes++;
    }
    (void)likeliest(&s, &result->unexplored);
    session->position = s.start;
    session->logits_count = 0;
    tfm__buffer_free(&s.ways);
    tfm__buffer_free(&s.path);
    if (!status) (void)tfm__watch_poll(&watch, passes, passes, NULL);
    return status;
}

/* ---- Perplexity ---- */

typedef struct evaluation {
    tfm_session *session;
    tfm_token *window;       /* [context] */
    tfm_token_score *scores; /* [context] */
    tfm_token bos;           /* -1: windows begin with none */
    size_t context, stride;
    double square; /* of the logarithms, summed */
    tfm_perplexity_result *result;
    tfm__watch watch;
    tfm_error *error;
} evaluation;

/* Reads the window and counts its tokens from `first` on. */
static int32_t add_window(evaluation *e, size_t count, size_t first) {
    const tfm_tokenizer *tokenizer = e->session->model->tokenizer;
    tfm__watch silent = {.cancel = e->watch.cancel};
    int32_t status;
    e->session->position = 0;
    e->session->logits_count = 0;
    status = tfm__score_tokens(e->session, e->window, count, first, &silent, e->scores, e->error);
    if (status) return status;
    for (size_t i = 0; i < count - first; i++) {
        const char *bytes;
        size_t length = 0;
        double value = e->scores[i].log_probability;
        if (tokenizer && !tfm_token_bytes(tokenizer, e->scores[i].token, &bytes, &length, NULL))
            e->result->bytes += length;
        e->result->log_probability += value;
        e->square += value * value;
    }
    e->result->tokens += count - first;
    e->result->windows++;
    return TFM_OK;
}

/* The text is the token that begins it, if there is one, and its tokens; whole windows of it. */
static int32_t read_halves(evaluation *e, const tfm_token *tokens, size_t count) {
    size_t lead = e->bos >= 0, total = count + lead;
    for (size_t start = 0; start + e->context <= total; start += e->context) {
        int32_t status = tfm__watch_poll(&e->watch, start, total, e->error);
        for (size_t i = 0; i < e->context; i++) {
            size_t at = start + i;
            e->window[i] = at < lead ? e->bos : tokens[at - lead];
        }
        if (lead) e->window[0] = e->bos;
        if (!status) status = add_window(e, e->context, e->context / 2 + 1);
        if (status) return status;
    }
    return TFM_OK;
}

static int32_t read_sliding(evaluation *e, const tfm_token *tokens, size_t count) {
    size_t lead = e->bos >= 0, room = e->context - lead, scored = lead ? 0 : 1;
    for (size_t start = 0; scored < count; start += e->stride) {
        size_t n = TFM__MIN(count - start, room);
        int32_t status = tfm__watch_poll(&e->watch, scored, count, e->error);
        if (lead) e->window[0] = e->bos;
        memcpy(e->window + lead, tokens + start, n * sizeof *tokens);
        if (!status && start + n > scored) status = add_window(e, lead + n, lead + scored - start);
        if (status) return status;
        scored = TFM__MAX(scored, start + n);
    }
    return TFM_OK;
}

static void finish(evaluation *e) {
    tfm_perplexity_result *r = e->result;
    double n = (double)r->tokens, mean = -r->log_probability / n;
    r->perplexity = tfm__exp_real(mean);
    if (r->tokens > 1) { /* the error of the mean; e to the power stretches it by itself */
        double variance = TFM__MAX(e->square / n - mean * mean, 0.0);
        r->perplexity_error = sqrt(variance / (n - 1.0)) * r->perplexity;
    }
    if (r->bytes == 0) return;
    r->byte_perplexity = tfm__exp_real(-r->log_probability / (double)r->bytes);
    r->bits_per_byte = -r->log_probability / (double)r->bytes * 1.4426950408889634;
}

int32_t tfm__perplexity(tfm_model *model, const tfm_token *tokens, size_t count,
                        const tfm_perplexity_options *options, tfm_perplexity_result *result,
                        tfm_error *error) {
    evaluation e = {.bos = -1,
                    .context = options->context ? options->context : 512,
                    .result = result,
                    .watch = {.progress = options->progress,
                              .progress_user = options->progress_user,
                              .cancel = options->cancel},
                    .error = error};
    bool halves = options->windows == TFM_WINDOWS_HALVES;
    e.stride = options->stride ? options->stride : e.context / 2;
    if (model->tokenizer && options->add_bos != TFM_NO) {
        tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
        tfm__tokenizer_info(model->tokenizer, &info);
        if (info.adds_bos || options->add_bos == TFM_YES) e.bos = info.bos;
    }
    if (halves ? count + (e.bos >= 0) < e.context : count + (e.bos >= 0) < 2)
        return tfm__fail(error, TFM_E_ARGUMENT, "%zu tokens are too few for one window of %zu", count,
                         halves ? e.context : (size_t)2);
    uint32_t cache_type;
    int32_t status = tfm__cache_type(options->cache_type, model->cache_type, &cache_type, error);
    if (!status) status = tfm__session_new(model, (uint32_t)e.context, 512, cache_type, &e.session, error);
    if (status) return status;
    status = tfm__session_adapt(e.session, options->adapters, options->adapter_count, error);
    e.window = tfm__alloc_array(&model->heap, e.context, sizeof *e.window);
    e.scores = tfm__alloc_array(&model->heap, e.context, sizeof *e.scores);
    if (!status && (!e.window || !e.scores))
        status = tfm__fail_memory(error, &model->heap, e.context * sizeof *e.scores);
    if (!status) status = halves ? read_halves(&e, tokens, count) : read_sliding(&e, tokens, count);
    if (!status) finish(&e);
    if (!status) (void)tfm__watch_poll(&e.watch, count, count, NULL);
    tfm__free(&model->heap, e.window);
    tfm__free(&model->heap, e.scores);
    tfm_session_destroy(e.session);
    return status;
}
