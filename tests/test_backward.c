/* test_backward.c - the ways back through the parts of the block, each against differences of the part's
 * formula in double precision: along a random direction, the loss sum(weight * result) must change as the
 * gradient says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "blocks/backward.h"

#define STEP 1e-5
#define MOST 40000

static tfm__rng rng;

static void fill(float *x, size_t n, double spread) {
    for (size_t i = 0; i < n; i++) x[i] = (float)((tfm__rng_unit(&rng) * 2 - 1) * spread);
}

static float *floats(size_t n) {
    float *x = aligned_alloc(64, (n * sizeof *x + 127) / 64 * 64);
    assert_non_null(x);
    memset(x, 0, (n * sizeof *x + 127) / 64 * 64);
    return x;
}

static double dot(const float *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

static void close_to(const char *what, double ours, double theirs, double size) {
    if (!(fabs(ours - theirs) <= 2e-5 * size + 1e-6)) fail_msg("%s: %.9g, not %.9g", what, ours, theirs);
}

/* ---- Activations ---- */

static double act(int kind, double z) {
    switch (kind) {
    case TFM__SILU:
        return z / (1 + exp(-z));
    case TFM__GELU_TANH:
        return 0.5 * z * (1 + tanh(0.79788456080286535588 * (z + 0.044715 * z * z * z)));
    case TFM__GELU_ERF:
        return 0.5 * z * (1 + erf(z * 0.70710678118654752440));
    default:
        return z > 0 ? z : 0;
    }
}

static void activations(void **state) {
    enum { N = 700 };
    tfm__kernels kernels;
    (void)state;
    tfm__kernels_fill(&kernels, TFM__ISA_PORTABLE);
    for (int kind = 0; kind < TFM__ACTIVATION_COUNT; kind++) {
        float gate[N], up[N], d[N], dgate[N], dup[N];
        fill(gate, N, 9);
        fill(up, N, 9);
        fill(d, N, 2);
        gate[0] = up[0] = 0.0f;
        gate[1] = up[1] = -200.0f;
        gate[2] = up[2] = 90.0f;
        gate[3] = up[3] = 1e-30f;
        tfm__activation_backward(&kernels, kind, false, gate, up, d, dgate, dup, N);
        for (size_t i = 0; i < N; i++) {
            double g = (double)gate[i], slope = (act(kind, g + STEP) - act(kind, g - STEP)) / (2 * STEP);
            if (kind == TFM__RELU && fabs(g) < STEP) continue;
            double size = fabs((double)d[i] * (double)up[i]) + fabs((double)d[i] * g);
            close_to("gate", (double)dgate[i], (double)d[i] * (double)up[i] * slope, size);
            close_to("up", (double)dup[i], (double)d[i] * act(kind, g), size);
        }
        for (int squared = 0; squared < 2; squared++) {
            tfm__activation_backward(&kernels, kind, squared, NULL, up, d, NULL, dup, N);
            for (size_t i = 0; i < N; i++) {
                double u = (double)up[i], more = u + STEP, less = u - STEP;
                if (kind == TFM__RELU && fabs(u) < STEP) continue;
                double slope = squared ? (act(kind, more) * more - act(kind, less) * less) / (2 * STEP)
                                       : (act(kind, more) - act(kind, less)) / (2 * STEP);
                close_to("plain", (double)dup[i], (double)d[i] * slope,
                         fabs((double)d[i]) * (1 + 2 * fabs(u)));
            }
        }
    }
}

/* ---- A way back without a model ---- */

typedef struct bench {
    tfm__kernels kernels;
    tfm__config config;
    tfm_model model;
    tfm__layer layer;
    tfm__taped_layer taped;
    tfm__tape tape;
    tfm__pass pass;
    tfm__gradients gradients;
    tfm__backward back;
    float *weights, *sums; /* [MOST] */
} bench;

static bench *bench_new(size_t tokens) {
    bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    tfm__kernels_fill(&b->kernels, TFM__ISA_PORTABLE);
    b->weights = floats(MOST);
    b->sums = floats(MOST);
    b->gradients = (tfm__gradients){b->weights, b->sums, MOST, NULL};
    b->model.layers = &b->layer;
    b->tape.layers = &b->taped;
    b->pass = (tfm__pass){
        .model = &b->model, .config = &b->config, .kernels = &b->kernels, .tape = &b->tape, .tokens = tokens};
    b->back = (tfm__backward){.pass = &b->pass, .gradients = &b->gradients};
    b->back.mean = floats(4096);
    b->back.inverse = floats(4096);
    b->back.product = floats(MOST);
    b->back.padded = floats(MOST);
    b->back.turned = floats(MOST);
    return b;
}

static void bench_free(bench *b) {
    free(b->weights);
    free(b->sums);
    free(b->back.mean);
    free(b->back.inverse);
    free(b->back.product);
    free(b->back.padded);
    free(b->back.turned);
    free(b);
}

/* ---- Norms ---- */

typedef struct norm_case {
    int kind;
    size_t rows, groups, size;
    bool each, bias;
} norm_case;

static double norm_loss(const norm_case *c, const double *x, const double *w, const float *weights_of_loss) {
    double loss = 0;
    for (size_t r = 0; r < c->rows * c->groups; r++) {
        const double *row = x + r * c->size;
        size_t at = c->each ? r % c->groups * c->size : 0, wide = c->each ? c->groups * c->size : c->size;
        double mean = 0, square = 0;
        for (size_t i = 0; i < c->size; i++) mean += row[i] / (double)c->size;
        if (c->kind == TFM__NORM_RMS) mean = 0;
        for (size_t i = 0; i < c->size; i++) square += (row[i] - mean) * (row[i] - mean) / (double)c->size;
        for (size_t i = 0; i < c->size; i++)
            loss += (double)weights_of_loss[r * c->size + i] *
                    ((row[i] - mean) / sqrt(square + 1e-5) * w[at + i] + (c->bias ? w[wide + at + i] : 0));
    }
    return loss;
}

static void norms(void **state) {
    static const norm_case cases[] = {
        {TFM__NORM_RMS, 5, 1, 48, false, false},   {TFM__NORM_LAYER, 5, 1, 48, false, true},
        {TFM__NORM_RMS, 3, 4, 12, false, false},   {TFM__NORM_LAYER, 3, 4, 12, true, false},
        {TFM__NORM_LAYER, 2, 1, 33, false, false}, {TFM__NORM_RMS, 7, 2, 5, true, false}};
    (void)state;
    for (size_t k = 0; k < TFM__COUNT(cases); k++) {
        const norm_case *c = &cases[k];
        size_t n = c->rows * c->groups * c->size, wide = c->each ? c->groups * c->size : c->size,
               weights = c->bias ? 2 * wide : wide;
        bench *b = bench_new(c->rows);
        float *x = floats(n), *dy = floats(n), *dx = floats(n);
        double *u = calloc(n + weights, sizeof *u), *at = calloc(n + weights, sizeof *at), loss[2];
        assert_true(u && at);
        fill(x, n, 2);
        fill(dy, n, 1);
        fill(b->weights, weights, 1);
        for (size_t i = 0; i < n; i++) dx[i] = 0.5f; /* added to */
        const tfm__norm norm = {b->weights, c->bias ? b->weights + wide : NULL};
        const tfm__norm_way way = {.kind = c->kind,
                                   .norm = &norm,
                                   .epsilon = 1e-5f,
                                   .x = x,
                                   .dy = dy,
                                   .rows = c->rows,
                                   .groups = c->groups,
                                   .size = c->size,
                                   .each = c->each,
                                   .dx = dx,
                                   .add = true};
        tfm__norm_backward(&b->back, &way);
        for (size_t i = 0; i < n; i++) dx[i] -= 0.5f;
        for (size_t i = 0; i < n + weights; i++) u[i] = tfm__rng_unit(&rng) * 2 - 1;
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < n + weights; i++)
                at[i] = (double)(i < n ? x[i] : b->weights[i - n]) + (side ? STEP : -STEP) * u[i];
            loss[side] = norm_loss(c, at, at + n, dy);
        }
        double ours = dot(dx, u, n) + dot(b->sums, u + n, weights);
        close_to("norm", ours, (loss[1] - loss[0]) / (2 * STEP), 10);
        free(u);
        free(at);
        free(x);
        free(dy);
        free(dx);
        bench_free(b);
    }
}

/* ---- Matrix products ---- */

static void products(void **state) {
    static const size_t shapes[][3] = {{2, 3, 5}, {17, 48, 33}, {64, 65, 16}, {31, 200, 70}, {1, 7, 9}};
    (void)state;
    for (size_t k = 0; k < TFM__COUNT(shapes); k++)
        for (int transposed = 0; transposed < 2; transposed++) {
            size_t tokens = shapes[k][0], rows = shapes[k][1], columns = shapes[k][2];
            bench *b = bench_new(tokens);
            float *x = floats(tokens * columns), *dy = floats(tokens * rows), *dx = floats(tokens * columns);
            fill(x, tokens * columns, 1);
            fill(dy, tokens * rows, 1);
            fill(b->weights, rows * columns, 1);
            const float *bias = b->weights + rows * columns;
            tfm__view view = {.data = (const uint8_t *)b->weights,
                              .type = TFM__F32,
                              .transposed = transposed,
                              .row_stride = (transposed ? rows : columns) * sizeof(float),
                              .rows = (uint32_t)rows,
                              .columns = (uint32_t)columns,
                              .bias = bias};
            for (int twice = 0; twice < 2; twice++) { /* the second time, everything is added */
                tfm__linear_backward_input(&b->back, &view, dy, tokens, dx, twice);
                tfm__linear_backward_weights(&b->back, &view, x, dy, tokens);
            }
            for (size_t c = 0; c < columns; c++)
                for (size_t t = 0; t < tokens; t++) {
                    double sum = 0;
                    for (size_t r = 0; r < rows; r++)
                        sum += (double)dy[t * rows + r] *
                               (double)b->weights[transposed ? c * rows + r : r * columns + c];
                    close_to("dx", (double)dx[t * columns + c], 2 * sum, 10);
                }
            for (size_t r = 0; r < rows; r++) {
                double all = 0;
                for (size_t t = 0; t < tokens; t++) all += (double)dy[t * rows + r];
                close_to("db", (double)b->sums[rows * columns + r], 2 * all, 10);
                for (size_t c = 0; c < columns; c++) {
                    double sum = 0;
                    for (size_t t = 0; t < tokens; t++)
                        sum += (double)dy[t * rows + r] * (double)x[t * columns + c];
                    close_to("dW", (double)b->sums[transposed ? c * rows + r : r * columns + c], 2 * sum, 10);
                }
            }
            free(x);
            free(dy);
            free(dx);
            bench_free(b);
        }
}

/* ---- Attention ---- */

typedef struct attention_case {
    size_t rows, length; /* stretches */
    uint32_t heads, kv_heads, head_dim, value_dim, window;
    float cap;
    bool alibi;
} attention_case;

/* The loss in double; mixed and, for each query, the largest score and 1 / sum, if wanted. */
static double attention_loss(const attention_case *c, const float *slopes, double scale, const double *q,
                             const double *k, const double *v, const float *dmixed, float *mixed, float *top,
                             float *inverse) {
    double loss = 0, score[256];
    size_t group = c->heads / c->kv_heads, tokens = c->rows * c->length;
    for (size_t r = 0; r < c->rows; r++)
        for (size_t t = 0; t < c->length; t++)
            for (size_t h = 0; h < c->heads; h++) {
                size_t token = r * c->length + t,
                       first = c->window && t + 1 > c->window ? t + 1 - c->window : 0;
                double most = -1e300, sum = 0;
                for (size_t j = first; j <= t; j++) {
                    const double *key = k + ((r * c->length + j) * c->kv_heads + h / group) * c->head_dim;
                    score[j] = 0;
                    for (size_t i = 0; i < c->head_dim; i++)
                        score[j] += scale * q[(token * c->heads + h) * c->head_dim + i] * key[i];
                    if (c->cap != 0.0f) score[j] = (double)c->cap * tanh(score[j] / (double)c->cap);
                    if (c->alibi) score[j] += (double)slopes[h] * ((double)j - (double)t);
                    most = fmax(most, score[j]);
                }
                for (size_t j = first; j <= t; j++) sum += score[j] = exp(score[j] - most);
                for (size_t i = 0; i < c->value_dim; i++) {
                    double value = 0;
                    for (size_t j = first; j <= t; j++)
                        value += score[j] / sum *
                                 v[((r * c->length + j) * c->kv_heads + h / group) * c->value_dim + i];
                    loss += (double)dmixed[(token * c->heads + h) * c->value_dim + i] * value;
                    if (mixed) mixed[(token * c->heads + h) * c->value_dim + i] = (float)value;
                }
                if (top) top[(h / group * tokens + token) * group + h % group] = (float)most;
                if (inverse) inverse[(h / group * tokens + token) * group + h % group] = (float)(1 / sum);
            }
    return loss;
}

static void one_attention(const attention_case *c) {
    size_t tokens = c->rows * c->length, nq = tokens * c->heads * c->head_dim,
           nk = tokens * c->kv_heads * c->head_dim, nv = tokens * c->kv_heads * c->value_dim,
           nm = tokens * c->heads * c->value_dim, n = nq + nk + nv;
    bench *b = bench_new(tokens);
    float *values = floats(n), slopes[8];
    tfm__taped_layer *tape = &b->taped;
    tfm__stretch *stretches = calloc(c->rows, sizeof *stretches);
    double *at = calloc(n, sizeof *at), *u = calloc(n, sizeof *u), loss[2];
    assert_true(stretches && at && u);
    b->config = (tfm__config){.heads = c->heads,
                              .kv_heads = c->kv_heads,
                              .head_dim = c->head_dim,
                              .value_dim = c->value_dim,
                              .attn_soft_cap = c->cap};
    b->layer.window = c->window;
    b->layer.attn_scale = 0.3f;
    for (size_t h = 0; h < 8; h++) slopes[h] = 0.5f / (float)(h + 1);
    if (c->alibi) b->model.slopes = slopes;
    for (size_t r = 0; r < c->rows; r++)
        stretches[r] = (tfm__stretch){.first = r * c->length, .tokens = c->length};
    b->pass.stretches = stretches;
    b->pass.stretch_count = c->rows;
    fill(values, n, 2);
    tape->q = floats(nq);
    tape->k = floats(nk);
    tape->v = floats(nv);
    memcpy(tape->q, values, nq * sizeof(float));
    memcpy(tape->k, values + nq, nk * sizeof(float));
    memcpy(tape->v, values + nq + nk, nv * sizeof(float));
    tape->top = floats(tokens * c->heads);
    tape->inverse = floats(tokens * c->heads);
    tape->mixed = floats(nm);
    b->back.q = floats(nq);
    b->back.k = floats(nk);
    b->back.v = floats(nv);
    b->back.mixed = floats(nm);
    b->back.weighted = floats(tokens * c->heads);
    b->back.lane_floats = 64 * (2 * 64 + 64 + 4 * 64) + 64;
    b->back.lanes = floats(TFM__LANES * b->back.lane_floats);
    fill(b->back.mixed, nm, 1);
    for (size_t i = 0; i < n; i++) at[i] = (double)values[i];
    attention_loss(c, slopes, (double)0.3f, at, at + nq, at + nq + nk, b->back.mixed, tape->mixed, tape->top,
                   tape->inverse);
    tfm__attend_backward(&b->back, 0);
    for (int part = 0; part < 3; part++) { /* q, k and v alone, so that none hides behind the others */
        size_t first = part == 0   ? 0
                       : part == 1 ? nq
                                   : nq + nk,
               end = part == 0   ? nq
                     : part == 1 ? nq + nk
                                 : n;
        for (size_t i = 0; i < n; i++) u[i] = i >= first && i < end ? tfm__rng_unit(&rng) * 2 - 1 : 0;
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < n; i++) at[i] = (double)values[i] + (side ? STEP : -STEP) * u[i];
            loss[side] = attention_loss(c, slopes, (double)0.3f, at, at + nq, at + nq + nk, b->back.mixed,
                                        NULL, NULL, NULL);
        }
        double ours = dot(b->back.q, u, nq) + dot(b->back.k, u + nq, nk) + dot(b->back.v, u + nq + nk, nv);
        close_to(part == 0 ? "q" : part == 1 ? "k" : "v", ours, (loss[1] - loss[0]) / (2 * STEP), 10);
    }
    float *const made[] = {values,        tape->q,          tape->k,      tape->v,   tape->top,
                           tape->inverse, tape->mixed,      b->back.q,    b->back.k, b->back.v,
                           b->back.mixed, b->back.weighted, b->back.lanes};
    for (size_t i = 0; i < TFM__COUNT(made); i++) free(made[i]);
    free(stretches);
    free(at);
    free(u);
    bench_free(b);
}

static void attention(void **state) {
    static const attention_case cases[] = {
        {1, 9, 1, 1, 8, 8, 0, 0, false},     {2, 70, 4, 2, 12, 12, 0, 0, false},
        {3, 66, 4, 1, 16, 8, 0, 0, false},   {1, 150, 2, 2, 20, 24, 7, 0, false},
        {2, 40, 4, 4, 16, 16, 0, 5, false},  {2, 65, 4, 2, 12, 12, 0, 0, true},
        {1, 140, 4, 2, 16, 16, 70, 3, true}, {4, 1, 2, 1, 8, 8, 0, 0, false}};
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(cases); i++) one_attention(&cases[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(activations), cmocka_unit_test(norms),
                                       cmocka_unit_test(products), cmocka_unit_test(attention)};
    tfm__rng_seed(&rng, 42);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
