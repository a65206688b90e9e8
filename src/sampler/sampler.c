/* sampler.c - the chain: repetition penalty, top-k, top-p, min-p, temperature, draw. The order and the
 * meaning of each step are stated in tfm/sampler.h. With top-k nothing sorts the whole vocabulary: a heap
 * keeps the k first choices. */
#include "sampler/sampler.h"

#include "base/elementary.h"

/* True if a comes before b: the larger logit, and of equal ones the lower id. */
static bool before(tfm__choice a, tfm__choice b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

/* A heap with the last choice on top: what goes first when a better one comes. */
static void sift(tfm__choice *heap, size_t n, size_t i) {
    tfm__choice moving = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(heap[child], heap[child + 1])) child++;
        if (before(heap[child], moving)) break;
        heap[i] = heap[child];
    }
    heap[i] = moving;
}

static void make_heap(tfm__choice *heap, size_t n) {
    for (size_t i = n / 2; i-- > 0;) sift(heap, n, i);
}

size_t tfm__take_top(const float *logits, size_t vocab, size_t k, tfm__choice *out) {
    size_t n = 0;
    for (size_t i = 0; i < vocab && k; i++) {
        tfm__choice choice = {logits[i], (tfm_token)i};
        if (logits[i] != logits[i]) continue;
        if (n < k) {
            out[n++] = choice;
            if (n == k) make_heap(out, n);
        } else if (before(choice, out[0])) {
            out[0] = choice;
            sift(out, n, 0);
        }
    }
    if (n < k) make_heap(out, n);
    for (size_t end = n; end > 1;) { /* the last one goes to the end, again and again */
        tfm__choice last = out[0];
        out[0] = out[--end];
        out[end] = last;
        sift(out, end, 0);
    }
    return n;
}

int32_t tfm__sampler_reserve(tfm_sampler *sampler, size_t vocab, tfm_error *error) {
    if (!sampler || vocab <= sampler->capacity) return TFM_OK;
    tfm__choice *choices = tfm__alloc_array(&sampler->heap, vocab, sizeof *choices);
    float *penalised = tfm__alloc_array(&sampler->heap, vocab, sizeof *penalised);
    if (!choices || !penalised) {
        tfm__free(&sampler->heap, choices);
        tfm__free(&sampler->heap, penalised);
        return tfm__fail_memory(error, &sampler->heap, vocab * sizeof *choices);
    }
    tfm__free(&sampler->heap, sampler->choices);
    tfm__free(&sampler->heap, sampler->penalised);
    sampler->choices = choices;
    sampler->penalised = penalised;
    sampler->capacity = vocab;
    return TFM_OK;
}

/* Step 1. Each token of the window once: a token already changed differs from its original logit, or is zero.
 */
static const float *penalise(const tfm_sampler *sampler, const float *logits, size_t vocab,
                             const tfm_token *history, size_t count) {
    size_t window = (size_t)TFM__MIN(sampler->repeat_window, count);
    float penalty = (float)sampler->repeat_penalty;
    if (penalty == 1.0f || window == 0) return logits;
    memcpy(sampler->penalised, logits, vocab * sizeof *logits);
    for (size_t i = count - window; i < count; i++) {
        size_t token = (size_t)history[i];
        float logit = logits[token];
        sampler->penalised[token] = logit > 0.0f ? logit / penalty : logit * penalty;
    }
    return sampler->penalised;
}

/* Step 3: how many of n choices in order make up top_p. weights are relative to the first. */
static size_t cut_top_p(const tfm_sampler *sampler, const tfm__choice *choices, size_t n) {
    double total = 0.0, sum = 0.0;
    if (sampler->top_p >= 1.0) return n;
    for (size_t i = 0; i < n; i++) total += (double)tfm__exp(choices[i].logit - choices[0].logit);
    for (size_t i = 0; i < n; i++) {
        sum += (double)tfm__exp(choices[i].logit - choices[0].logit);
        if (sum >= sampler->top_p * total) return i + 1;
    }
    return n;
}

/* Step 4. */
static size_t cut_min_p(const tfm_sampler *sampler, const tfm__choice *choices, size_t n) {
    size_t kept = 1;
    if (sampler->min_p <= 0.0) return n;
    while (kept < n && (double)tfm__exp(choices[kept].logit - choices[0].logit) >= sampler->min_p) kept++;
    return kept;
}

/* Step 5. */
static tfm_token draw(tfm_sampler *sampler, const tfm__choice *choices, size_t n) {
    float inverse =
        (float)TFM__MIN(1.0 / sampler->temperature, 3e38); /* not infinity, of which 0 times is no number */
    double total = 0.0, sum = 0.0;
    for (size_t i = 0; i < n; i++) total += (double)tfm__exp((choices[i].logit - choices[0].logit) * inverse);
    double mark = tfm__rng_unit(&sampler->rng) * total;
    for (size_t i = 0; i < n; i++) {
        sum += (double)tfm__exp((choices[i].logit - choices[0].logit) * inverse);
        if (mark < sum) return choices[i].token;
    }
    return choices[n - 1].token;
}

int32_t tfm__sampler_choose(tfm_sampler *sampler, const tfm__kernels *kernels, const float *logits,
                            size_t vocab, const tfm_token *history, size_t count, tfm_token *token,
                            tfm_error *error) {
    float largest;
    *token = -1;
    if (sampler) {
        int32_t status = tfm__sampler_reserve(sampler, vocab, error);
        if (status) return status;
        logits = penalise(sampler, logits, vocab, history, count);
    }
    size_t best = kernels->argmax(logits, vocab, &largest);
    if (!(largest >= -3.4028235e38f && largest <= 3.4028235e38f))
        return tfm__fail(error, TFM_E_STATE, "the logits are not finite numbers");
    if (!sampler || sampler->temperature == 0.0) {
        *token = (tfm_token)best;
        return TFM_OK;
    }
    size_t k = sampler->top_k && sampler->top_k < vocab ? (size_t)sampler->top_k : vocab;
    size_t n = tfm__take_top(logits, vocab, k, sampler->choices);
    n = cut_top_p(sampler, sampler->choices, n);
    n = cut_min_p(sampler, sampler->choices, n);
    *token = draw(sampler, sampler->choices, n);
    return TFM_OK;
}

/* ---- Probabilities ------------------------------------------------------------------------------------- */

int32_t tfm__last_logits(const tfm_session *session, const float **logits, tfm_error *error) {
    if (session->logits_count == 0)
        return tfm__fail(error, TFM_E_STATE, "the session has no logits: call tfm_forward first");
    *logits = session->logits + (session->logits_count - 1) * session->model->config.vocab;
    return TFM_OK;
}

int32_t tfm__softmax_of(const tfm__kernels *kernels, const float *logits, size_t vocab, float *largest,
                        double *sum, tfm_error *error) {
    kernels->argmax(logits, vocab, largest);
    *sum = (double)kernels->exp_sum(logits, vocab, *largest);
    if (*sum >= 1.0 && *sum <= 1e30) return TFM_OK; /* false for NaN */
    return tfm__fail(error, TFM_E_STATE, "the logits are not finite numbers");
}

double tfm__probability(float logit, float largest, double sum) {
    return (double)tfm__exp(logit - largest) / sum;
}
