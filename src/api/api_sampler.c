/* api_sampler.c - the exported functions of tfm/sampler.h. */
#include "sampler/sampler.h"

int32_t tfm_sampler_create(const tfm_sampler_options *options, tfm_sampler **out, tfm_error *error) {
    tfm_sampler_options given;
    if (!out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_sampler_create: out is NULL");
    *out = NULL;
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_sampler_options", error);
    if (status) return status;
    tfm__heap heap;
    tfm__heap_init(&heap, given.allocator, 0);
    tfm_sampler *sampler = tfm__alloc_zero(&heap, sizeof *sampler);
    if (!sampler) return tfm__fail_memory(error, &heap, sizeof *sampler);
    tfm__heap_init(&sampler->heap, given.allocator, 0);
    sampler->temperature = given.greedy ? 0.0 : 0.8;
    sampler->top_k = 40;
    sampler->top_p = 0.95;
    sampler->min_p = 0.05;
    sampler->repeat_penalty = 1.0;
    sampler->repeat_window = 64;
    tfm__rng_seed(&sampler->rng, 0);
    *out = sampler;
    return TFM_OK;
}

void tfm_sampler_destroy(tfm_sampler *sampler) {
    if (!sampler) return;
    tfm__heap heap;
    tfm__heap_init(&heap, &sampler->heap.allocator, 0);
    tfm__free(&sampler->heap, sampler->choices);
    tfm__free(&sampler->heap, sampler->penalised);
    tfm__free(&heap, sampler);
}

/* The field of a floating-point setting with its range; NULL if there is no such setting. */
static double *field_f64(tfm_sampler *sampler, int32_t setting, double *low, double *high, bool *above_low) {
    *low = 0.0;
    *high = 1.0;
    *above_low = false;
    switch (setting) {
    case TFM_SAMPLER_TEMPERATURE:
        *high = 100.0;
        return &sampler->temperature;
    case TFM_SAMPLER_TOP_P:
        *above_low = true;
        return &sampler->top_p;
    case TFM_SAMPLER_MIN_P:
        return &sampler->min_p;
    case TFM_SAMPLER_REPEAT_PENALTY:
        *high = 100.0;
        *above_low = true;
        return &sampler->repeat_penalty;
    default:
        return NULL;
    }
}

static uint64_t *field_u64(tfm_sampler *sampler, int32_t setting) {
    switch (setting) {
    case TFM_SAMPLER_TOP_K:
        return &sampler->top_k;
    case TFM_SAMPLER_REPEAT_WINDOW:
        return &sampler->repeat_window;
    case TFM_SAMPLER_SEED:
        return &sampler->seed;
    default:
        return NULL;
    }
}

int32_t tfm_sampler_set_f64(tfm_sampler *sampler, int32_t setting, double value, tfm_error *error) {
    double low, high;
    bool above_low;
    if (!sampler) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_sampler_set_f64: sampler is NULL");
    double *field = field_f64(sampler, setting, &low, &high, &above_low);
    if (!field) return tfm__fail(error, TFM_E_ARGUMENT, "there is no f64 sampler setting %d", (int)setting);
    if (!(value >= low && value <= high) || (above_low && value == low))
        return tfm__fail(error, TFM_E_ARGUMENT, "sampler setting %d: %g is not %s %g and at most %g",
                         (int)setting, value, above_low ? "over" : "at least", low, high);
    *field = value;
    return TFM_OK;
}

int32_t tfm_sampler_set_u64(tfm_sampler *sampler, int32_t setting, uint64_t value, tfm_error *error) {
    if (!sampler) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_sampler_set_u64: sampler is NULL");
    uint64_t *field = field_u64(sampler, setting);
    if (!field) return tfm__fail(error, TFM_E_ARGUMENT, "there is no u64 sampler setting %d", (int)setting);
    *field = value;
    if (setting == TFM_SAMPLER_SEED) tfm__rng_seed(&sampler->rng, value);
    return TFM_OK;
}

int32_t tfm_sampler_get_f64(const tfm_sampler *sampler, int32_t setting, double *value, tfm_error *error) {
    double low, high;
    bool above_low;
    if (value) *value = 0.0;
    if (!sampler || !value)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_sampler_get_f64: an argument is NULL");
    const double *field = field_f64((tfm_sampler *)sampler, setting, &low, &high, &above_low);
    if (!field) return tfm__fail(error, TFM_E_ARGUMENT, "there is no f64 sampler setting %d", (int)setting);
    *value = *field;
    return TFM_OK;
}

int32_t tfm_sampler_get_u64(const tfm_sampler *sampler, int32_t setting, uint64_t *value, tfm_error *error) {
    if (value) *value = 0;
    if (!sampler || !value)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_sampler_get_u64: an argument is NULL");
    const uint64_t *field = field_u64((tfm_sampler *)sampler, setting);
    if (!field) return tfm__fail(error, TFM_E_ARGUMENT, "there is no u64 sampler setting %d", (int)setting);
    *value = *field;
    return TFM_OK;
}

int32_t tfm_sample_next(tfm_session *session, tfm_sampler *sampler, tfm_token *token, tfm_error *error) {
    const float *logits;
    if (token) *token = -1;
    if (!session || !token)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_sample_next: session or token is NULL");
    int32_t status = tfm__last_logits(session, &logits, error);
    if (status) return status;
    return tfm__sampler_choose(sampler, &session->model->kernels, logits, session->model->config.vocab,
                               session->tokens, session->position, token, error);
}

int32_t tfm_top_candidates(tfm_session *session, tfm_candidate *table, size_t capacity, size_t *count,
                           tfm_error *error) {
    const float *logits;
    float largest;
    double sum;
    if (count) *count = 0;
    if (!session || !count || (!table && capacity))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_top_candidates: session, table or count is NULL");
    const tfm_model *model = session->model;
    size_t vocab = model->config.vocab, k = TFM__MIN(capacity, vocab);
    int32_t status = tfm__last_logits(session, &logits, error);
    if (!status) status = tfm__softmax_of(&model->kernels, logits, vocab, &largest, &sum, error);
    if (status || k == 0) return status;
    tfm__heap *heap = &session->model->heap;
    tfm__choice *choices = tfm__alloc_array(heap, k, sizeof *choices);
    if (!choices) return tfm__fail_memory(error, heap, k * sizeof *choices);
    k = tfm__take_top(logits, vocab, k, choices);
    for (size_t i = 0; i < k; i++) {
        table[i] = (tfm_candidate){.token = choices[i].token, .logit = choices[i].logit};
        table[i].probability = tfm__probability(choices[i].logit, largest, sum);
        if (model->tokenizer &&
            tfm_token_bytes(model->tokenizer, choices[i].token, &table[i].bytes, &table[i].length, NULL))
            table[i].bytes = NULL; /* the model has more rows than the tokenizer has tokens */
    }
    tfm__free(heap, choices);
    *count = k;
    return TFM_OK;
}

int32_t tfm_token_probability(tfm_session *session, tfm_token token, double *probability, tfm_error *error) {
    const float *logits;
    float largest;
    double sum;
    if (probability) *probability = 0.0;
    if (!session || !probability)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_token_probability: session or probability is NULL");
    size_t vocab = session->model->config.vocab;
    if (token < 0 || (size_t)token >= vocab)
        return tfm__fail(error, TFM_E_TOKEN, "token %d of a vocabulary of %zu", (int)token, vocab);
    int32_t status = tfm__last_logits(session, &logits, error);
    if (!status) status = tfm__softmax_of(&session->model->kernels, logits, vocab, &largest, &sum, error);
    if (!status) *probability = tfm__probability(logits[token], largest, sum);
    return status;
}
