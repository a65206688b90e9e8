/* sampler.h - choosing a token from logits, and the table of candidates. */
#ifndef TFM__SAMPLER_H
#define TFM__SAMPLER_H

#include "base/rng.h"
#include "model/state.h"
#include "tfm/sampler.h"

typedef struct tfm__choice {
    float logit;
    tfm_token token;
} tfm__choice;

struct tfm_sampler {
    tfm__heap heap;
    double temperature, top_p, min_p, repeat_penalty;
    uint64_t top_k, repeat_window, seed;
    tfm__rng rng;
    tfm__choice *choices; /* [capacity] */
    float *penalised;     /* [capacity] */
    size_t capacity;
};

/* Chooses from logits [vocab]; history [count] is what the repetition penalty looks at. sampler NULL: greedy.
 */
int32_t tfm__sampler_choose(tfm_sampler *sampler, const tfm__kernels *kernels, const float *logits,
                            size_t vocab, const tfm_token *history, size_t count, tfm_token *token,
                            tfm_error *error);

/* Makes the working space for a vocabulary ahead of time. sampler may be NULL. */
int32_t tfm__sampler_reserve(tfm_sampler *sampler, size_t vocab, tfm_error *error);

/* The session's last logits, or TFM_E_STATE. */
int32_t tfm__last_logits(const tfm_session *session, const float **logits, tfm_error *error);

/* Softmax's two constants over all logits: the largest logit, and the sum of exp(logit - largest). */
int32_t tfm__softmax_of(const tfm__kernels *kernels, const float *logits, size_t vocab, float *largest,
                        double *sum, tfm_error *error);

/* exp(logit - largest) / sum */
double tfm__probability(float logit, float largest, double sum);

/* The k first choices of all logits, in order (equal logits: lower id first); NaN is never one. Returns how
 * many. */
size_t tfm__take_top(const float *logits, size_t vocab, size_t k, tfm__choice *out);

#endif
