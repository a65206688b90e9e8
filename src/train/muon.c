/* muon.c - Muon (Jordan, Jin, Boza, You, Cesista, Newhouse and Bernstein 2024, "Muon: An optimizer for hidden
 * layers in neural networks"): the momentum of a matrix, made nearly orthogonal, is its step.
 *
 *     m = momentum of g, u = the same looking ahead (Nesterov)           [rows, columns]
 *     X = u / |u|, turned so that it is wide
 *     five times:  G = X X^T;  X = a X + (b G + c G G) X                 the singular values go towards 1
 *     w = w (1 - rate decay) - rate sqrt(max(1, outputs / inputs)) X
 *
 * The three products are the kernels' own, cut by outputs, each of which one worker computes whole: the same
 * bits for any number of threads and any instruction set. Everything is F32; published code iterates in BF16.
 */
#include <math.h>

#include "train/trainer.h"

#define STEPS 5
#define A 3.4445f /* the coefficients of the quintic that the authors give */
#define B (-4.7750f)
#define C 2.0315f
#define SMALLEST 1e-7 /* norm: what is smaller is not blown up further */
#define PANEL 64

/* One matrix; X is [m, n], m <= n, rows on cache lines. */
typedef struct muon_job {
    tfm_trainer *trainer;
    const tfm__parameter *parameter;
    size_t rows, columns; /* as stored */
    bool turned;          /* X is the transpose of what is stored */
    size_t m, n, m_stride, n_stride;
    float *x, *product;   /* [m, n_stride] */
    float *gram, *square; /* [m, m_stride] */
    double *sums;         /* [m] */
    float factor, momentum, keep, step, scale;
} muon_job;

/* ---- Room ---- */

static muon_job job_of(tfm_trainer *t, const tfm__parameter *parameter) {
    muon_job job = {.trainer = t, .parameter = parameter};
    job.rows = (size_t)parameter->tensor->shape[0];
    job.columns = (size_t)parameter->tensor->shape[1];
    job.turned = job.rows > job.columns;
    job.m = TFM__MIN(job.rows, job.columns);
    job.n = TFM__MAX(job.rows, job.columns);
    job.m_stride = tfm__round_up(job.m, 16);
    job.n_stride = tfm__round_up(job.n, 16);
    return job;
}

int32_t tfm__muon_make(tfm_trainer *t, tfm_error *error) {
    size_t wide = 0, square = 0, rows = 0;
    for (size_t i = 0; i < t->parameter_count; i++) {
        if (!t->parameters[i].hidden) continue;
        muon_job job = job_of(t, &t->parameters[i]);
        wide = TFM__MAX(wide, job.m * job.n_stride +
                                  16); /* smaller than the gradients; kernels may look a line beyond */
        square = TFM__MAX(square, job.m * job.m_stride + 16);
        rows = TFM__MAX(rows, job.m);
    }
    if (rows == 0) return TFM_OK;
    t->muon.x = tfm__alloc_array(&t->model.heap, wide, sizeof(float));
    t->muon.product = tfm__alloc_array(&t->model.heap, wide, sizeof(float));
    t->muon.gram = tfm__alloc_array(&t->model.heap, square, sizeof(float));
    t->muon.square = tfm__alloc_array(&t->model.heap, square, sizeof(float));
    t->muon.sums = tfm__alloc_array(&t->model.heap, rows, sizeof(double));
    if (t->muon.x && t->muon.product && t->muon.gram && t->muon.square && t->muon.sums) return TFM_OK;
    return tfm__fail_memory(error, &t->model.heap, wide * sizeof(float));
}

void tfm__muon_drop(tfm_trainer *t) {
    tfm__free(&t->model.heap, t->muon.x);
    tfm__free(&t->model.heap, t->muon.product);
    tfm__free(&t->model.heap, t->muon.gram);
    tfm__free(&t->model.heap, t->muon.square);
    tfm__free(&t->model.heap, t->muon.sums);
}

/* ---- Pieces: rows of X, or of the weights ---- */

/* Momentum of a row of X, X from it, and the row's part of the norm. */
static void momentum_row(void *arg, size_t r) {
    const muon_job *job = arg;
    const tfm_trainer *t = job->trainer;
    size_t first = job->parameter->first, jump = job->turned ? job->columns : 1;
    size_t at = first + (job->turned ? r : r * job->columns);
    float *row = job->x + r * job->n_stride, *m = t->first_mean;
    double sum = 0.0;
    for (size_t i = 0; i < job->n; i++, at += jump) {
        float g = t->gradients[at] * job->factor;
        m[at] = m[at] + (g - m[at]) * (1.0f - job->momentum);
        row[i] = g + (m[at] - g) * job->momentum;
        sum += (double)row[i] * (double)row[i];
    }
    for (size_t i = job->n; i < job->n_stride; i++) row[i] = 0.0f;
    job->sums[r] = sum;
}

static void scale_row(void *arg, size_t r) {
    const muon_job *job = arg;
    float *row = job->x + r * job->n_stride;
    for (size_t i = 0; i < job->n; i++) row[i] *= job->scale;
}

/* b G + c G G into G. */
static void mix_row(void *arg, size_t r) {
    const muon_job *job = arg;
    float *gram = job->gram + r * job->m_stride;
    const float *square = job->square + r * job->m_stride;
    for (size_t i = 0; i < job->m; i++) gram[i] = B * gram[i] + C * square[i];
}

static void add_row(void *arg, size_t r) {
    const muon_job *job = arg;
    float *row = job->x + r * job->n_stride;
    const float *product = job->product + r * job->n_stride;
    for (size_t i = 0; i < job->n; i++) row[i] = A * row[i] + product[i];
}

static void weight_row(void *arg, size_t r) {
    const muon_job *job = arg;
    size_t jump = job->turned ? job->columns : 1;
    size_t at = job->parameter->first + (job->turned ? r : r * job->columns);
    const float *row = job->x + r * job->n_stride;
    float *w = job->trainer->weights;
    for (size_t i = 0; i < job->n; i++, at += jump) w[at] = w[at] * job->keep - job->step * row[i];
}

static void over_rows(const muon_job *job, void (*piece)(void *, size_t)) {
    tfm__parallel(job->trainer->model.pool, job->m, piece, (void *)job);
}

/* ---- Products ---- */

typedef struct product_job {
    const tfm__kernels *kernels;
    tfm__product product;
    size_t outputs;
} product_job;

static void product_piece(void *arg, size_t i) {
    const product_job *job = arg;
    size_t end = TFM__MIN((i + 1) * PANEL, job->outputs);
    job->kernels->weights[TFM__F32].product(&job->product, i * PANEL, end);
}

/* y [m, outputs] = x [m, k] times right, which is stored [outputs, k], or [k, outputs] if stored_by_k. All
 * strides in floats. */
static void multiply(const muon_job *job, const float *x, size_t x_stride, size_t k, const float *right,
                     size_t right_stride, bool stored_by_k, float *y, size_t outputs) {
    product_job p = {.kernels = &job->trainer->model.kernels,
                     .outputs = outputs,
                     .product = {.weights = right,
                                 .row_stride = right_stride * sizeof(float),
                                 .type = TFM__F32,
                                 .transposed = stored_by_k,
                                 .k = k,
                                 .x = x,
                                 .x_stride = x_stride * sizeof(float),
                                 .tokens = job->m,
                                 .y = y,
                                 .y_stride = tfm__round_up(outputs, 16)}};
    tfm__parallel(job->trainer->model.pool, (outputs + PANEL - 1) / PANEL, product_piece, &p);
}

/* ---- The step ---- */

void tfm__muon_step(tfm_trainer *t, const tfm__parameter *parameter, double rate, double factor,
                    double decay) {
    muon_job job = job_of(t, parameter);
    double sum = 0.0, outputs = (double)(parameter->transposed ? job.columns : job.rows);
    double inputs = (double)job.rows * (double)job.columns / outputs;
    job.x = t->muon.x;
    job.product = t->muon.product;
    job.gram = t->muon.gram;
    job.square = t->muon.square;
    job.sums = t->muon.sums;
    job.factor = (float)factor;
    job.momentum = (float)t->options.muon_momentum;
    job.keep = (float)(1.0 - rate * decay);
    job.step = (float)(rate * sqrt(outputs > inputs ? outputs / inputs : 1.0));

    over_rows(&job, momentum_row);
    for (size_t r = 0; r < job.m; r++) sum += job.sums[r];
    double norm = sqrt(sum);
    job.scale = (float)(1.0 / (norm > SMALLEST ? norm : SMALLEST));
    over_rows(&job, scale_row);
    for (int step = 0; step < STEPS; step++) {
        multiply(&job, job.x, job.n_stride, job.n, job.x, job.n_stride, false, job.gram, job.m);
        multiply(&job, job.gram, job.m_stride, job.m, job.gram, job.m_stride, false, job.square, job.m);
        over_rows(&job, mix_row);
        multiply(&job, job.gram, job.m_stride, job.m, job.x, job.n_stride, true, job.product, job.n);
        over_rows(&job, add_row);
    }
    over_rows(&job, weight_row);
}
