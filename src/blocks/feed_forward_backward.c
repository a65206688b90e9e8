/* feed_forward_backward.c - the way back through activations, plain or gated.
 *
 * With a = act(z): gated, inner = act(gate) up; squared, inner = act(up) up. What is hard in a derivative
 * comes from the kernels' own exp, tanh and erf, some hundred values at a time. */
#include "blocks/backward.h"
#include "base/elementary.h"

#define CHUNK 256
#define INVERSE_SQRT_2_PI 0x1.988454p-2f

/* a = act(z) and slope = act'(z) of n <= CHUNK values. */
static void act(const tfm__kernels *kernels, int activation, const float *z, float *a, float *slope,
                size_t n) {
    float t[CHUNK];
    kernels->activate[activation](a, z, n);
    switch (activation) {
    case TFM__SILU: /* s + z s (1 - s), s the sigmoid */
        for (size_t i = 0; i < n; i++) t[i] = -z[i];
        kernels->exp_scaled(t, t, n, 0.0f, 1.0f);
        for (size_t i = 0; i < n; i++) {
            float s = 1.0f / (1.0f + t[i]);
            slope[i] = s + a[i] * (1.0f - s);
        }
        break;
    case TFM__GELU_TANH: /* with u the argument of tanh: (1 + tanh u) / 2 + z (1 - tanh^2 u) u' / 2 */
        for (size_t i = 0; i < n; i++)
            t[i] = TFM__SQRT_2_OVER_PI * (z[i] + TFM__GELU_CUBIC * (z[i] * z[i] * z[i]));
        kernels->soft_cap(t, t, 1.0f, n);
        for (size_t i = 0; i < n; i++) {
            float inner = TFM__SQRT_2_OVER_PI * (1.0f + 3.0f * TFM__GELU_CUBIC * (z[i] * z[i]));
            slope[i] = 0.5f * (1.0f + t[i]) + 0.5f * z[i] * (1.0f - t[i] * t[i]) * inner;
        }
        break;
    case TFM__GELU_ERF: /* the normal distribution's integral, which is a / z, plus z times its density */
        for (size_t i = 0; i < n; i++) t[i] = -0.5f * (z[i] * z[i]);
        kernels->exp_scaled(t, t, n, 0.0f, INVERSE_SQRT_2_PI);
        for (size_t i = 0; i < n; i++) slope[i] = (z[i] != 0.0f ? a[i] / z[i] : 0.5f) + z[i] * t[i];
        break;
    default: /* TFM__RELU */
        for (size_t i = 0; i < n; i++) slope[i] = z[i] > 0.0f ? 1.0f : 0.0f;
        break;
    }
}

void tfm__activation_backward(const tfm__kernels *kernels, int activation, bool squared, const float *gate,
                              const float *up, const float *dinner, float *dgate, float *dup, size_t n) {
    float a[CHUNK], slope[CHUNK];
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t m = TFM__MIN(CHUNK, n - at);
        const float *d = dinner + at, *u = up + at;
        act(kernels, activation, gate ? gate + at : u, a, slope, m);
        for (size_t i = 0; i < m; i++) {
            if (gate) {
                dgate[at + i] = d[i] * u[i] * slope[i];
                dup[at + i] = d[i] * a[i];
            } else {
                dup[at + i] = d[i] * (squared ? slope[i] * u[i] + a[i] : slope[i]);
            }
        }
    }
}

typedef struct activate_job {
    tfm__backward *back;
    uint32_t layer;
} activate_job;

static void activate_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const activate_job *job = arg;
    tfm__backward *b = job->back;
    const tfm__config *c = pass->config;
    const tfm__taped_layer *tape = &pass->tape->layers[job->layer];
    size_t from = first * c->feed_forward;
    tfm__activation_backward(pass->kernels, c->activation, c->family->squared,
                             tape->gate ? tape->gate + from : NULL, tape->up + from, b->inner + from,
                             b->gate + from, b->up + from, count * c->feed_forward);
}

void tfm__activate_backward(tfm__backward *b, uint32_t layer) {
    activate_job job = {b, layer};
    tfm__over_rows(b->pass, b->pass->tokens, activate_rows, &job);
}

const float *tfm__activate_again(tfm__backward *b, uint32_t index) {
    tfm__pass *pass = b->pass;
    const tfm__taped_layer *tape = &pass->tape->layers[index];
    size_t bytes = pass->tokens * pass->config->feed_forward * sizeof(float);
    memcpy(pass->s->up, tape->up, bytes);
    if (tape->gate) memcpy(pass->s->gate, tape->gate, bytes);
    return tfm__activate(pass, &pass->model->layers[index]);
}
