/* norm_backward.c - the way back through norms and the residual stream.
 *
 * With h = (x - mean) r, r = 1 / sqrt(variance + epsilon) (RMS: mean 0), y = h w + b and g = dy w:
 *     dx = r (g - [mean of g] - h [mean of g h])        (RMS: without the mean of g)
 *     dw = sum over rows of dy h,  db = sum over rows of dy */
#include <math.h>

#include "blocks/backward.h"

#define COLUMNS 16 /* of a piece of the sums over rows */

typedef struct norm_job {
    tfm__backward *back;
    const tfm__norm_way *way;
    float *dw, *db;
    size_t columns; /* of them */
} norm_job;

static float sum_of(const float *x, size_t n) {
    float sum[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) sum[j] += x[i + j];
    for (size_t j = 0; i + j < n; j++) sum[j] += x[i + j];
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++) sum[j] += sum[j + half];
    return sum[0];
}

/* Sum of (x - mean)^2. */
static float squares_of(const float *x, float mean, size_t n) {
    float sum[16] = {0};
    for (size_t i = 0; i < n; i += 16)
        for (size_t j = 0; j < 16 && i + j < n; j++) sum[j] += (x[i + j] - mean) * (x[i + j] - mean);
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++) sum[j] += sum[j + half];
    return sum[0];
}

static void measure_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const norm_job *job = arg;
    const tfm__norm_way *w = job->way;
    (void)pass;
    for (size_t i = first * w->groups; i < (first + count) * w->groups; i++) {
        const float *x = w->x + i * w->size;
        float mean = w->kind == TFM__NORM_RMS ? 0.0f : sum_of(x, w->size) / (float)w->size;
        float variance = squares_of(x, mean, w->size) / (float)w->size;
        job->back->mean[i] = mean;
        job->back->inverse[i] = 1.0f / sqrtf(variance + w->epsilon);
    }
}

/* Sums over all rows of some of the columns. */
static void weight_piece(void *arg, size_t i) {
    const norm_job *job = arg;
    const tfm__norm_way *w = job->way;
    float dw[COLUMNS] = {0}, db[COLUMNS] = {0};
    size_t first = i * COLUMNS, n = TFM__MIN(COLUMNS, job->columns - first);
    size_t rows = w->rows * w->groups * w->size / job->columns; /* that lie over one another */
    for (size_t r = 0; r < rows; r++) {
        size_t at = r * job->columns + first;
        for (size_t j = 0; j < n; j++) {
            size_t row = w->each ? (at + j) / w->size : r;
            float h = (w->x[at + j] - job->back->mean[row]) * job->back->inverse[row];
            dw[j] += w->dy[at + j] * h;
            db[j] += w->dy[at + j];
        }
    }
    for (size_t j = 0; j < n && job->dw; j++) job->dw[first + j] += dw[j];
    for (size_t j = 0; j < n && job->db; j++) job->db[first + j] += db[j];
}

static void input_row(const norm_job *job, size_t i) {
    const tfm__norm_way *w = job->way;
    const float *x = w->x + i * w->size, *dy = w->dy + i * w->size;
    const float *weight = w->norm->weight;
    float *dx = w->dx + i * w->size;
    float mean = job->back->mean[i], r = job->back->inverse[i], sums[2][16] = {{0}, {0}};
    if (weight && w->each) weight += i % w->groups * w->size;
    for (size_t k = 0; k < w->size; k += 16)
        for (size_t j = 0; j < 16 && k + j < w->size; j++) {
            float g = weight ? dy[k + j] * weight[k + j] : dy[k + j];
            sums[0][j] += g;
            sums[1][j] += g * ((x[k + j] - mean) * r);
        }
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++) {
            sums[0][j] += sums[0][j + half];
            sums[1][j] += sums[1][j + half];
        }
    float level = w->kind == TFM__NORM_RMS ? 0.0f : sums[0][0] / (float)w->size;
    float slope = sums[1][0] / (float)w->size;
    for (size_t k = 0; k < w->size; k++) {
        float g = weight ? dy[k] * weight[k] : dy[k];
        float value = r * (g - level - (x[k] - mean) * r * slope);
        dx[k] = w->add ? dx[k] + value : value;
    }
}

static void input_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const norm_job *job = arg;
    (void)pass;
    for (size_t i = first * job->way->groups; i < (first + count) * job->way->groups; i++) input_row(job, i);
}

void tfm__norm_backward(tfm__backward *b, const tfm__norm_way *way) {
    norm_job job = {.back = b,
                    .way = way,
                    .dw = tfm__gradient_of(b->gradients, way->norm->weight),
                    .db = tfm__gradient_of(b->gradients, way->norm->bias),
                    .columns = way->each ? way->groups * way->size : way->size};
    tfm__over_rows(b->pass, way->rows, measure_rows, &job);
    if (job.dw || job.db)
        tfm__parallel(b->pass->pool, (job.columns + COLUMNS - 1) / COLUMNS, weight_piece, &job);
    tfm__over_rows(b->pass, way->rows, input_rows, &job);
}

static void whole_rows(tfm__backward *b, const tfm__norm *norm, const float *x, const float *dy, float *dx,
                       bool add) {
    const tfm__config *c = b->pass->config;
    const tfm__norm_way way = {.kind = c->norm,
                               .norm = norm,
                               .epsilon = c->epsilon,
                               .x = x,
                               .dy = dy,
                               .rows = b->pass->tokens,
                               .groups = 1,
                               .size = c->width,
                               .dx = dx,
                               .add = add};
    tfm__norm_backward(b, &way);
}

void tfm__block_input_backward(tfm__backward *b, const tfm__norm *norm, const float *x, const float *dy) {
    if (norm->weight)
        whole_rows(b, norm, x, dy, b->stream, true);
    else
        tfm__add_values(b, b->stream, dy, b->pass->tokens * b->pass->config->width);
}

static void scale_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__backward *b = arg;
    size_t width = pass->config->width;
    pass->kernels->scale(b->delta + first * width, b->stream + first * width, pass->config->residual_scale,
                         count * width);
}

void tfm__add_to_stream_backward(tfm__backward *b, const tfm__norm *post_norm, const float *kept) {
    tfm__over_rows(b->pass, b->pass->tokens, scale_rows, b);
    if (post_norm->weight) whole_rows(b, post_norm, kept, b->delta, b->delta, false);
}
