/* experts_backward.c - the way back through a mixture of experts: through each chosen expert for its tokens,
 * and through the shares to the router. Which experts are chosen has no gradient.
 *
 * The wide products of each expert are computed again from its tokens. With u = Wdown^T ddelta of a token,
 * its share's gradient is u . inner, and what goes on into the expert is share * u: no result of an expert
 * need be kept. */
#include "blocks/backward.h"
#include "base/elementary.h"

/* gate and up of an expert for n rows of x in the scratch, and their activation in back->inner. */
static void wide_again(tfm__backward *b, const tfm__expert *expert, const float *x, size_t n) {
    tfm__pass *pass = b->pass;
    const tfm__job wide[2] = {{&expert->up, pass->s->up}, {&expert->gate, pass->s->gate}};
    tfm__linear(pass, x, n, wide, 2);
    pass->kernels->activate_gated[pass->config->activation](b->inner, pass->s->gate, pass->s->up,
                                                            n * expert->up.rows);
}

typedef struct share_job {
    tfm__backward *back;
    const float *shares; /* of each row: shares[slots[row]], or shares[row] */
    float *dshare;
    const uint32_t *slots;
    size_t wide;
} share_job;

/* The shares' gradients; then back->gate (u) and the rows of ddelta are multiplied by them. */
static void share_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const share_job *job = arg;
    tfm__backward *b = job->back;
    size_t width = pass->config->width;
    for (size_t r = first; r < first + count; r++) {
        size_t slot = job->slots ? job->slots[r] : r;
        float *u = b->gate + r * job->wide, *rows = b->rows + r * width;
        job->dshare[slot] = tfm__dot(u, b->inner + r * job->wide, job->wide);
        pass->kernels->scale(u, u, job->shares[slot], job->wide);
        pass->kernels->scale(rows, rows, job->shares[slot], width);
    }
}

/* Gradients of gate and up from back->gate; both are in place behind it. */
static void activation_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const share_job *job = arg;
    tfm__backward *b = job->back;
    size_t from = first * job->wide;
    memcpy(b->inner + from, b->gate + from, count * job->wide * sizeof(float));
    tfm__activation_backward(pass->kernels, pass->config->activation, false, pass->s->gate + from,
                             pass->s->up + from, b->inner + from, b->gate + from, b->up + from,
                             count * job->wide);
}

/* One expert for n rows: x its inputs, back->rows the gradients of its results before the shares. Leaves the
 * gradient of x in back->rows. */
static void expert_backward(tfm__backward *b, const tfm__expert *expert, const float *x, size_t n,
                            const float *shares, float *dshare, const uint32_t *slots) {
    share_job job = {b, shares, dshare, slots, expert->up.rows};
    wide_again(b, expert, x, n);
    tfm__linear_backward_input(b, &expert->down, b->rows, n, b->gate, false); /* u */
    tfm__over_rows(b->pass, n, share_rows, &job);
    tfm__linear_backward_weights(b, &expert->down, b->inner, b->rows, n);
    tfm__over_rows(b->pass, n, activation_rows, &job);
    tfm__linear_backward_weights(b, &expert->gate, x, b->gate, n);
    tfm__linear_backward_weights(b, &expert->up, x, b->up, n);
    tfm__linear_backward_input(b, &expert->gate, b->gate, n, b->rows, false);
    tfm__linear_backward_input(b, &expert->up, b->up, n, b->rows, true);
}

static void run_expert_backward(tfm__backward *b, uint32_t index, uint32_t e) {
    const tfm__config *c = b->pass->config;
    const tfm__layer *layer = &b->pass->model->layers[index];
    const tfm__taped_layer *tape = &b->pass->tape->layers[index];
    size_t n = 0, used = c->experts.used, bytes = c->width * sizeof(float);
    for (size_t slot = 0; slot < b->pass->tokens * used; slot++) {
        if (tape->chosen[slot] != e) continue;
        memcpy(b->gathered + n * c->width, tape->feed_input + slot / used * c->width, bytes);
        memcpy(b->rows + n * c->width, b->delta + slot / used * c->width, bytes);
        b->slots[n++] = (uint32_t)slot;
    }
    if (n == 0) return;
    expert_backward(b, &layer->experts[e], b->gathered, n, tape->share, b->share, b->slots);
    for (size_t r = 0; r < n; r++) {
        float *to = b->feed_input + b->slots[r] / used * c->width;
        b->pass->kernels->add(to, to, b->rows + r * c->width, c->width);
    }
}

/* One token: from the shares' gradients to the router's logits'. score is what the tape has: probabilities,
 * sigmoids, or logits, by the route. */
static void route_backward(const tfm__experts *x, const float *score, const uint32_t *chosen,
                           const float *dshare, float *dlogits) {
    float value[TFM__MAX_EXPERTS], d[TFM__MAX_EXPERTS], sum = 0.0f, weighted = 0.0f, top = 0.0f;
    uint32_t used = x->used;
    for (uint32_t k = 0; k < used; k++) {
        value[k] = score[chosen[k]];
        if (k == 0 || value[k] > top) top = value[k];
    }
    if (x->route == TFM__ROUTE_CHOSEN) {
        for (uint32_t k = 0; k < used; k++) sum += value[k] = tfm__exp(value[k] - top);
        for (uint32_t k = 0; k < used; k++) value[k] /= sum;
        sum = 0.0f;
    }
    for (uint32_t k = 0; k < used; k++) {
        sum += value[k];
        d[k] = dshare[k] * x->scale;
        weighted += d[k] * value[k];
    }
    for (uint32_t k = 0; k < used && x->normalised; k++) d[k] = (d[k] - weighted / sum) / sum;
    weighted = 0.0f;
    for (uint32_t k = 0; k < used; k++) weighted += d[k] * value[k];
    for (uint32_t e = 0; e < x->count; e++)
        dlogits[e] = x->route == TFM__ROUTE_SOFTMAX ? -score[e] * weighted : 0.0f;
    for (uint32_t k = 0; k < used; k++)
        dlogits[chosen[k]] += x->route == TFM__ROUTE_SIGMOID  ? d[k] * value[k] * (1.0f - value[k])
                              : x->route == TFM__ROUTE_CHOSEN ? value[k] * (d[k] - weighted)
                                                              : value[k] * d[k];
}

/* The expert that all tokens go through, and its switch. */
static void shared_backward(tfm__backward *b, uint32_t index) {
    tfm__pass *pass = b->pass;
    const tfm__config *c = pass->config;
    const tfm__layer *layer = &pass->model->layers[index];
    const tfm__taped_layer *tape = &pass->tape->layers[index];
    size_t tokens = pass->tokens;
    const tfm__job gate = {&layer->shared_switch, pass->s->router};
    if (!layer->shared.up.data) return;
    if (layer->shared_switch.data) tfm__linear(pass, tape->feed_input, tokens, &gate, 1);
    float *share = pass->s->router, *dshare = b->router; /* both have room: at least one expert each token */
    for (size_t t = 0; t < tokens; t++)
        share[t] = layer->shared_switch.data ? 1.0f / (1.0f + tfm__exp(-share[t])) : 1.0f;
    memcpy(b->rows, b->delta, tokens * c->width * sizeof(float));
    expert_backward(b, &layer->shared, tape->feed_input, tokens, share, dshare, NULL);
    tfm__add_values(b, b->feed_input, b->rows, tokens * c->width);
    if (!layer->shared_switch.data) return;
    for (size_t t = 0; t < tokens; t++) dshare[t] *= share[t] * (1.0f - share[t]);
    tfm__linear_backward_weights(b, &layer->shared_switch, tape->feed_input, dshare, tokens);
    tfm__linear_backward_input(b, &layer->shared_switch, dshare, tokens, b->feed_input, true);
}

void tfm__mix_experts_backward(tfm__backward *b, uint32_t index) {
    const tfm__config *c = b->pass->config;
    const tfm__experts *x = &c->experts;
    const tfm__layer *layer = &b->pass->model->layers[index];
    const tfm__taped_layer *tape = &b->pass->tape->layers[index];
    size_t tokens = b->pass->tokens;
    memset(b->feed_input, 0, tokens * c->width * sizeof(float));
    for (uint32_t e = 0; e < x->count; e++) run_expert_backward(b, index, e);
    for (size_t t = 0; t < tokens; t++)
        route_backward(x, tape->router + t * x->count, tape->chosen + t * x->used, b->share + t * x->used,
                       b->router + t * x->count);
    tfm__linear_backward_weights(b, &layer->router, tape->feed_input, b->router, tokens);
    tfm__linear_backward_input(b, &layer->router, b->router, tokens, b->feed_input, true);
    shared_backward(b, index);
}
