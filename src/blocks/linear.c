/* linear.c - matrix products of a pass: quantise the input rows once, then cut all outputs into pieces.
 *
 * Pieces are runs of output rows, 64 (a panel) at a time for several tokens, and for a single token as many
 * as make some tens of kilobytes of weights. The cut depends on shapes alone; each output is computed whole
 * by one worker. */
#include "blocks/blocks.h"

#define MOST_JOBS 4
#define PIECE_BYTES 49152 /* of weights, for one token: long enough to stream, short enough to balance */
#define PANEL_ROWS 64
#define ALONE_BYTES 65536 /* of weights times tokens: less is done before another thread could join in */

typedef struct linear_plan {
    const tfm__kernels *kernels;
    tfm__product products[MOST_JOBS];
    size_t outputs[MOST_JOBS];
    size_t rows_per_piece[MOST_JOBS];
    size_t first_piece[MOST_JOBS + 1];
} linear_plan;

typedef struct quantise_job {
    const float *x;
    size_t columns, stride;
    uint8_t *out;
    int format;
} quantise_job;

static void quantise_piece(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const quantise_job *job = arg;
    for (size_t t = first; t < first + count; t++)
        pass->kernels->quantise[job->format](job->x + t * job->columns, job->out + t * job->stride,
                                             job->columns);
}

static void product_piece(void *arg, size_t i) {
    const linear_plan *plan = arg;
    size_t j = 0;
    while (i >= plan->first_piece[j + 1]) j++;
    size_t row = (i - plan->first_piece[j]) * plan->rows_per_piece[j];
    size_t end = TFM__MIN(row + plan->rows_per_piece[j], plan->outputs[j]);
    const tfm__product *product = &plan->products[j];
    plan->kernels->weights[product->type].product(product, row, end);
}

/* Rows of x in the format that a weight type wants, made once per format and kept in the scratch. */
static const void *input_of(tfm__pass *pass, const float *x, size_t rows, size_t columns, int format,
                            uint8_t *made[TFM__ACT_COUNT], size_t *stride, uint8_t **free_space) {
    *stride = tfm__activation_bytes(format, columns);
    if (format == TFM__ACT_F32 && columns * sizeof(float) == *stride) return x; /* already 64-byte rows */
    if (!made[format]) {
        made[format] = *free_space;
        *free_space += rows * *stride;
        quantise_job job = {x, columns, *stride, made[format], format};
        tfm__over_rows(pass, rows, quantise_piece, &job);
    }
    return made[format];
}

void tfm__linear(tfm__pass *pass, const float *x, size_t rows, const tfm__job *jobs, size_t job_count) {
    tfm__linear_plain(pass, x, rows, jobs, job_count);
    if (TFM__UNLIKELY(pass->adapted)) tfm__adapt(pass, x, rows, jobs, job_count);
}

void tfm__linear_plain(tfm__pass *pass, const float *x, size_t rows, const tfm__job *jobs, size_t job_count) {
    linear_plan plan = {.kernels = pass->kernels};
    size_t work = 0;
    uint8_t *made[TFM__ACT_COUNT] = {NULL}, *free_space = pass->s->quantised;
    for (size_t j = 0; j < job_count; j++) {
        const tfm__view *view = jobs[j].view;
        tfm__product *product = &plan.products[j];
        product->weights = view->data;
        product->row_stride = view->row_stride;
        product->type = view->type;
        product->transposed = view->transposed;
        product->k = view->columns;
        product->x = input_of(pass, x, rows, view->columns, pass->kernels->weights[view->type].activation,
                              made, &product->x_stride, &free_space);
        product->tokens = rows;
        product->bias = view->bias;
        product->y = jobs[j].y;
        product->y_stride = view->rows;
        size_t panel = PANEL_ROWS;
        if (rows == 1 && !view->transposed)
            panel = TFM__MAX(PIECE_BYTES / view->row_stride / PANEL_ROWS, 1) * PANEL_ROWS;
        plan.outputs[j] = view->rows;
        plan.rows_per_piece[j] = panel;
        plan.first_piece[j + 1] = plan.first_piece[j] + (view->rows + panel - 1) / panel;
        work += view->row_stride * (view->transposed ? view->columns : view->rows) * rows;
    }
    tfm__parallel(work < ALONE_BYTES ? NULL : pass->pool, plan.first_piece[job_count], product_piece, &plan);
}

static void take_apart_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__config *c = pass->config;
    size_t q = (size_t)c->heads / c->kv_heads * c->head_dim, k = c->head_dim, v = c->value_dim;
    (void)arg;
    for (size_t i = first * c->kv_heads; i < (first + count) * c->kv_heads; i++) { /* a group of a row */
        const float *from = pass->s->fused + i * (q + k + v);
        memcpy(pass->s->q + i * q, from, q * sizeof *from);
        memcpy(pass->s->k + i * k, from + q, k * sizeof *from);
        memcpy(pass->s->v + i * v, from + q + k, v * sizeof *from);
    }
}

void tfm__take_apart(tfm__pass *pass) { tfm__over_rows(pass, pass->tokens, take_apart_rows, NULL); }

void tfm__settle_logits(const tfm__pass *pass, float *logits, size_t rows) {
    const tfm__config *c = pass->config;
    if (c->logit_scale != 1.0f) pass->kernels->scale(logits, logits, c->logit_scale, rows * c->vocab);
    for (size_t t = 0; t < rows && c->final_soft_cap != 0.0f; t++)
        pass->kernels->soft_cap(logits + t * c->vocab, logits + t * c->vocab, c->final_soft_cap, c->vocab);
}
