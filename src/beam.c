/* beam.c - the story of a beam search: the k most probable beginnings go on together.
 *
 *     beams = the prompt
 *     repeat:
 *         log probabilities of the next token after each beam, changed by what is forbidden or forced
 *         candidates = the best of all beams' tokens, by the sum of logarithms
 *         those of the first k that end a text: finished, with the length penalty; the best k finished stay
 *         beams = the best k candidates that go on; each is a fork of the session it came from
 *     until no beam can become better than the worst that is finished
 *
 * The order of steps, the number of candidates and the ways to stop are those of Hugging Face
 * transformers 5.24, sums in f32 as there. Equal sums: the lower beam, then the lower id. */
#include "beam.h"

#include <math.h>

#include "base/elementary.h"
#include "forward.h"

#define NOTHING (-1.0e9f) /* the score of what is not there */

typedef struct beam {
    tfm_session *session; /* what the beam has read; NULL: there is none */
    tfm_token *tokens;    /* [count] generated */
    size_t count;
    float score; /* sum of logarithms */
} beam;

typedef struct candidate {
    size_t from; /* beam */
    tfm_token token;
    float score;
    bool ends, stops; /* with an end token; at all */
} candidate;

typedef struct search {
    tfm_session *session;
    tfm_model *model;
    const tfm_beam_options *options;
    const tfm_token *ends;
    size_t end_count, beams, kept, most; /* kept: candidates of a step */
    size_t step;                         /* tokens that every running beam has */
    beam *running, *next;                /* [beams] */
    tfm_forward_part *parts;             /* [beams] what they read together */
    candidate *candidates;               /* [kept + 1] */
    float *row;                          /* [vocab] */
    tfm__hypothesis *finished;           /* [beams] the best first */
    tfm_error *error;
} search;

static bool is_end(const search *s, tfm_token token) {
    for (size_t i = 0; i < s->end_count; i++)
        if (s->ends[i] == token) return true;
    return false;
}

/* ---- One beam's next tokens ---- */

/* Token i of everything in front of the next one: what the session held, then what was generated. */
static tfm_token token_at(const search *s, const beam *b, size_t i) {
    size_t before = s->session->position;
    return i < before ? s->session->tokens[i] : b->tokens[i - before];
}

static void penalise(const search *s, const beam *b) {
    float penalty = (float)s->options->repeat_penalty;
    size_t total = s->session->position + b->count, vocab = s->model->config.vocab;
    if (penalty == 1.0f) return;
    /* once for each token, however often it occurs: the changed ones are marked by the second row */
    memset(s->row + vocab, 0, vocab * sizeof *s->row);
    for (size_t i = 0; i < total; i++) {
        tfm_token token = token_at(s, b, i);
        if (s->row[vocab + (size_t)token] != 0.0f) continue;
        s->row[vocab + (size_t)token] = 1.0f;
        s->row[token] = s->row[token] < 0 ? s->row[token] * penalty : s->row[token] / penalty;
    }
}

/* Forbids what would repeat a run of n tokens. */
static void forbid_repeats(const search *s, const beam *b) {
    size_t n = s->options->no_repeat, total = s->session->position + b->count;
    if (n == 0 || total + 1 < n) return;
    for (size_t i = 0; i + n <= total; i++) {
        bool same = true;
        for (size_t k = 0; k + 1 < n && same; k++)
            same = token_at(s, b, i + k) == token_at(s, b, total - (n - 1) + k);
        if (same) s->row[token_at(s, b, i + n - 1)] = -INFINITY;
    }
}

static void force(const search *s, tfm_token token) {
    for (size_t i = 0; i < s->model->config.vocab; i++) s->row[i] = -INFINITY;
    s->row[token] = 0.0f;
}

/* Logarithms of the next token's probabilities, with everything that changes them, in s->row. */
static int32_t next_row(const search *s, const beam *b) {
    const tfm_session *session = b->session;
    const tfm__kernels *kernels = &s->model->kernels;
    size_t vocab = s->model->config.vocab;
    const float *logits = session->logits + (session->logits_count - 1) * vocab;
    float top;
    kernels->argmax(logits, vocab, &top);
    if (!isfinite(top)) return tfm__fail(s->error, TFM_E_STATE, "the logits are no numbers");
    float sum = tfm__log(kernels->exp_sum(logits, vocab, top));
    for (size_t i = 0; i < vocab; i++) s->row[i] = logits[i] - top - sum;
    penalise(s, b);
    forbid_repeats(s, b);
    if (s->step < s->options->min_tokens)
        for (size_t i = 0; i < s->end_count; i++) s->row[s->ends[i]] = -INFINITY;
    if (s->step == 0 && s->options->first >= 0) force(s, s->options->first);
    if (s->step + 1 == s->most && s->options->last >= 0) force(s, s->options->last);
    return TFM_OK;
}

/* ---- A step ---- */

/* The candidates, best first. */
static int32_t find_candidates(search *s) {
    size_t count = 0, vocab = s->model->config.vocab;
    for (size_t from = 0; from < s->beams; from++) {
        const beam *b = &s->running[from];
        if (!b->session) continue;
        int32_t status = next_row(s, b);
        if (status) return status;
        for (size_t i = 0; i < vocab; i++) {
            float score = s->row[i] + b->score;
            if (score == -INFINITY || (count == s->kept && !(score > s->candidates[count - 1].score)))
                continue;
            size_t place = count < s->kept ? count++ : count - 1;
            for (; place > 0 && score > s->candidates[place - 1].score; place--)
                s->candidates[place] = s->candidates[place - 1];
            bool ends = is_end(s, (tfm_token)i);
            s->candidates[place] =
                (candidate){from, (tfm_token)i, score, ends, ends || s->step + 1 >= s->most};
        }
    }
    while (count < s->kept) s->candidates[count++] = (candidate){0, -1, NOTHING, false, true};
    return TFM_OK;
}

/* The tokens of a beam with one more, the caller's to free. */
static int32_t extend(const search *s, const beam *b, tfm_token token, tfm_token **out) {
    tfm_token *tokens = *out = tfm__alloc_array(&s->model->heap, b->count + 1, sizeof *tokens);
    if (!tokens) return tfm__fail_memory(s->error, &s->model->heap, (b->count + 1) * sizeof *tokens);
    if (b->count) memcpy(tokens, b->tokens, b->count * sizeof *tokens);
    tokens[b->count] = token;
    return TFM_OK;
}

static bool all_finished(const search *s) { return s->finished[s->beams - 1].tokens != NULL; }

/* Takes in the candidates that stop, of the first `beams`. */
static int32_t finish(search *s) {
    float divisor = (float)pow((double)(s->step + 1), s->options->length_penalty);
    for (size_t i = 0; i < s->beams; i++) {
        const candidate *c = &s->candidates[i];
        if (!c->stops || c->token < 0) continue;
        tfm__hypothesis *last = &s->finished[s->beams - 1];
        float score = c->score / divisor;
        if (last->tokens && !(score > last->score)) continue;
        tfm_token *tokens;
        int32_t status = extend(s, &s->running[c->from], c->token, &tokens);
        if (status) return status;
        tfm__free(&s->model->heap, last->tokens);
        size_t place = s->beams - 1;
        for (; place > 0 && (!s->finished[place - 1].tokens || score > s->finished[place - 1].score); place--)
            s->finished[place] = s->finished[place - 1];
        s->finished[place] = (tfm__hypothesis){tokens, s->step + 1, score, c->ends};
    }
    return TFM_OK;
}

/* The session of beam `from` for one of its successors: the last one takes it over, the others fork it. */
static int32_t inherit(search *s, size_t from, size_t successors, tfm_session **out) {
    if (successors == 1) {
        *out = s->running[from].session;
        s->running[from].session = NULL;
        return TFM_OK;
    }
    return tfm__session_copy(s->running[from].session, out, s->error);
}

/* The best candidates that go on become the beams, and read their tokens. */
static int32_t go_on(search *s) {
    size_t count = 0;
    int32_t status = TFM_OK;
    memset(s->next, 0, s->beams * sizeof *s->next);
    for (size_t i = 0; i < s->kept && count < s->beams && !status; i++) {
        const candidate *c = &s->candidates[i];
        if (c->stops) continue;
        size_t successors = 1, taken = count + 1;
        for (size_t k = i + 1; k < s->kept && taken < s->beams; k++) {
            if (s->candidates[k].stops) continue;
            successors += s->candidates[k].from == c->from;
            taken++;
        }
        beam *to = &s->next[count];
        status = extend(s, &s->running[c->from], c->token, &to->tokens);
        to->count = s->running[c->from].count + 1;
        to->score = c->score;
        if (!status) status = inherit(s, c->from, successors, &to->session);
        count++;
    }
    for (size_t i = 0; i < s->beams; i++) {
        tfm__free(&s->model->heap, s->running[i].tokens);
        tfm__session_drop(s->running[i].session);
        s->running[i] = s->next[i];
    }
    tfm__watch watch = {.cancel = s->options->cancel};
    for (size_t i = 0; i < count; i++)
        s->parts[i] = (tfm_forward_part){
            s->running[i].session, &s->running[i].tokens[s->running[i].count - 1], 1, TFM_LOGITS_LAST, 0};
    return status ? status : tfm__forward_many(s->model, s->parts, count, &watch, s->error);
}

/* Whether a running beam could still become better than the worst that is finished. */
static bool improvable(const search *s) {
    double length = s->options->stopping == TFM_BEAM_STOP_NEVER && s->options->length_penalty > 0
                        ? (double)s->most
                        : (double)(s->step + 1);
    float best = NOTHING; /* of those that go on */
    for (size_t i = 0; i < s->kept && best == NOTHING; i++)
        if (!s->candidates[i].stops) best = s->candidates[i].score;
    float possible = best / (float)pow(length, s->options->length_penalty);
    return !all_finished(s) || possible > s->finished[s->beams - 1].score;
}

static int32_t run(search *s) {
    tfm__watch watch = {.progress = s->options->progress,
                        .progress_user = s->options->progress_user,
                        .cancel = s->options->cancel};
    for (s->step = 0;; s->step++) {
        int32_t status = tfm__watch_poll(&watch, s->step, s->most, s->error);
        if (!status) status = find_candidates(s);
        if (!status) status = finish(s);
        if (status) return status;
        bool goes_on = false;
        for (size_t i = 0; i < s->kept; i++) goes_on = goes_on || !s->candidates[i].stops;
        if (!goes_on || !improvable(s) || (s->options->stopping == TFM_BEAM_STOP_FULL && all_finished(s)))
            return TFM_OK;
        if ((status = go_on(s)) != 0) return status;
    }
}

/* ---- Beginning and end ---- */

/* Reads the prompt, with what an encoder-decoder's text begins with in front, and sees to it that there are
 * logits. */
static int32_t read_prompt(search *s, const tfm_token *prompt, size_t count) {
    tfm_session *session = s->session;
    tfm__heap *heap = &s->model->heap;
    tfm__watch watch = {.cancel = s->options->cancel};
    tfm_token start = (tfm_token)s->model->config.start_token, *joined = NULL;
    if (session->cross && session->position == 0 && start >= 0) {
        joined = tfm__alloc_array(heap, count + 1, sizeof *joined);
        if (!joined) return tfm__fail_memory(s->error, heap, (count + 1) * sizeof *joined);
        joined[0] = start;
        if (count) memcpy(joined + 1, prompt, count * sizeof *joined);
        prompt = joined;
        count++;
    }
    int32_t status = tfm__check_tokens(session, prompt, count, s->error);
    if (!status) status = tfm__forward_prompt(session, prompt, count, &watch, s->error);
    tfm__free(heap, joined);
    return status;
}

static int32_t prepare(search *s, tfm_beams **out) {
    tfm__heap *heap = &s->model->heap;
    size_t vocab = s->model->config.vocab;
    s->running = tfm__alloc_array(heap, s->beams, sizeof *s->running);
    s->next = tfm__alloc_array(heap, s->beams, sizeof *s->next);
    s->parts = tfm__alloc_array(heap, s->beams, sizeof *s->parts);
    s->candidates = tfm__alloc_array(heap, s->kept + 1, sizeof *s->candidates);
    s->row = tfm__alloc_array(heap, 2 * vocab, sizeof *s->row);
    s->finished = tfm__alloc_array(heap, s->beams, sizeof *s->finished);
    *out = tfm__alloc_zero(heap, sizeof **out);
    if (!s->running || !s->next || !s->parts || !s->candidates || !s->row || !s->finished || !*out)
        return tfm__fail_memory(s->error, heap, 2 * vocab * sizeof *s->row);
    (*out)->model = s->model;
    atomic_fetch_add(&s->model->references, 1);
    return tfm__session_copy(s->session, &s->running[0].session, s->error);
}

void tfm__beams_free(tfm_beams *beams) {
    if (!beams) return;
    tfm_model *model = beams->model;
    for (size_t i = 0; i < beams->count; i++) tfm__free(&model->heap, beams->list[i].tokens);
    tfm__free(&model->heap, beams->list);
    tfm__free(&model->heap, beams);
    tfm_model_release(model);
}

int32_t tfm__beam_search(tfm_session *session, const tfm_token *prompt, size_t count,
                         const tfm_beam_options *options, tfm_beams **out, tfm_error *error) {
    search s = {.session = session,
                .model = session->model,
                .options = options,
                .ends = options->ends,
                .end_count = options->end_count,
                .beams = options->beams,
                .error = error};
    tfm__heap *heap = &s.model->heap;
    tfm_beams *found = NULL;
    s.kept = s.beams * TFM__MAX((size_t)2, 1 + s.end_count);
    int32_t status = read_prompt(&s, prompt, count);
    size_t room = status ? 0 : session->context - session->position + 1; /* the last token need not be read */
    s.most = options->max_tokens ? TFM__MIN((size_t)options->max_tokens, room) : room;
    if (!status) status = prepare(&s, &found);
    if (!status) status = run(&s);
    for (size_t i = 0; s.running && i < s.beams; i++) {
        tfm__session_drop(s.running[i].session);
        tfm__free(heap, s.running[i].tokens);
    }
    tfm__free(heap, s.running);
    tfm__free(heap, s.next);
    tfm__free(heap, s.parts);
    tfm__free(heap, s.candidates);
    tfm__free(heap, s.row);
    if (found && found->model) {
        found->list = s.finished;
        for (size_t i = 0; i < s.beams; i++) found->count += s.finished[i].tokens != NULL;
        while (found->count > options->hypotheses) tfm__free(heap, found->list[--found->count].tokens);
    } else {
        tfm__free(heap, s.finished);
        tfm__free(heap, found);
        found = NULL;
    }
    if (status) {
        tfm__beams_free(found);
        return status;
    }
    *out = found;
    return TFM_OK;
}
