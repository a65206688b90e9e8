/* linear_backward.c - the way back through matrix products: dx = W^T dy, dW = dy^T x, db = sums of dy's
 * columns.
 *
 * Both are products of the kernels' own kind. Read the other way round, W is its transpose, so dx needs no
 * new loop. For dW one side is turned so that its columns become rows of `tokens` values, and the sum runs
 * over the tokens. A piece of dW is MOST_ROWS x PANEL outputs, computed on the stack and then added. */
#include "blocks/backward.h"

#define PANEL 64
#define MOST_ROWS 192 /* x PANEL floats on the stack */
#define COLUMNS 64    /* of a piece of a column sum */
#define ALONE 65536   /* multiplications: less is done before another thread could join in */

/* ---- The input ---- */

typedef struct pad_job {
    const float *from;
    float *to;
    size_t columns, stride;
} pad_job;

static void pad_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const pad_job *job = arg;
    (void)pass;
    for (size_t t = first; t < first + count; t++)
        memcpy(job->to + t * job->stride, job->from + t * job->columns, job->columns * sizeof(float));
}

typedef struct input_job {
    const tfm__kernels *kernels;
    tfm__product product;
    size_t outputs;
} input_job;

static void input_piece(void *arg, size_t i) {
    const input_job *job = arg;
    job->kernels->weights[TFM__F32].product(&job->product, i * PANEL,
                                            TFM__MIN((i + 1) * PANEL, job->outputs));
}

void tfm__linear_backward_input(tfm__backward *b, const tfm__view *view, const float *dy, size_t rows,
                                float *dx, bool add) {
    size_t stride = tfm__round_up(view->rows, 16);
    const float *x = dy;
    if (rows == 0) return;
    if (stride != view->rows) {
        pad_job pad = {dy, b->padded, view->rows, stride};
        tfm__over_rows(b->pass, rows, pad_rows, &pad);
        x = b->padded;
    }
    input_job job = {.kernels = b->pass->kernels,
                     .outputs = view->columns,
                     .product = {.weights = view->data,
                                 .row_stride = view->row_stride,
                                 .type = TFM__F32,
                                 .transposed = !view->transposed,
                                 .k = view->rows,
                                 .x = x,
                                 .x_stride = stride * sizeof(float),
                                 .tokens = rows,
                                 .y = add ? b->product : dx,
                                 .y_stride = view->columns}};
    bool alone = (uint64_t)view->rows * view->columns * rows < ALONE;
    tfm__parallel(alone ? NULL : b->pass->pool, ((size_t)view->columns + PANEL - 1) / PANEL, input_piece,
                  &job);
    if (add) tfm__add_values(b, dx, b->product, rows * view->columns);
}

/* ---- The weights ---- */

typedef struct turn_job {
    const float *from; /* [rows, columns] */
    float *to;         /* [columns, stride] */
    size_t rows, columns, stride;
} turn_job;

static void turn_piece(void *arg, size_t i) {
    const turn_job *job = arg;
    size_t end = TFM__MIN((i + 1) * 16, job->columns);
    for (size_t t = 0; t < job->rows; t += 16) {
        size_t t_end = TFM__MIN(t + 16, job->rows);
        for (size_t c = i * 16; c < end; c++)
            for (size_t r = t; r < t_end; r++) job->to[c * job->stride + r] = job->from[r * job->columns + c];
    }
}

typedef struct weight_job {
    const tfm__kernels *kernels;
    const float *left;  /* [rows, stride] turned */
    const float *right; /* [tokens, columns] */
    float *sum;         /* [rows, sum_stride] */
    size_t rows, columns, tokens, stride, sum_stride, panels;
} weight_job;

static void weight_piece(void *arg, size_t i) {
    const weight_job *job = arg;
    _Alignas(64) float part[MOST_ROWS * PANEL];
    size_t row = i / job->panels * MOST_ROWS, column = i % job->panels * PANEL;
    size_t rows = TFM__MIN(MOST_ROWS, job->rows - row), columns = TFM__MIN(PANEL, job->columns - column);
    const tfm__product product = {.weights = job->right + column,
                                  .row_stride = job->columns * sizeof(float),
                                  .type = TFM__F32,
                                  .transposed = true,
                                  .k = job->tokens,
                                  .x = job->left + row * job->stride,
                                  .x_stride = job->stride * sizeof(float),
                                  .tokens = rows,
                                  .y = part,
                                  .y_stride = PANEL};
    job->kernels->weights[TFM__F32].product(&product, 0, columns);
    for (size_t r = 0; r < rows; r++) {
        float *to = job->sum + (row + r) * job->sum_stride + column;
        for (size_t c = 0; c < columns; c++) to[c] += part[r * PANEL + c];
    }
}

typedef struct bias_job {
    const float *dy;
    float *sum;
    size_t rows, columns;
} bias_job;

static void bias_piece(void *arg, size_t i) {
    const bias_job *job = arg;
    float sum[COLUMNS] = {0};
    size_t first = i * COLUMNS, n = TFM__MIN(COLUMNS, job->columns - first);
    for (size_t t = 0; t < job->rows; t++) {
        const float *row = job->dy + t * job->columns + first;
        for (size_t j = 0; j < n; j++) sum[j] += row[j];
    }
    for (size_t j = 0; j < n; j++) job->sum[first + j] += sum[j];
}

void tfm__linear_backward_weights(tfm__backward *b, const tfm__view *view, const float *x, const float *dy,
                                  size_t rows) {
    float *sum = tfm__gradient_of(b->gradients, view->data),
          *bias = tfm__gradient_of(b->gradients, view->bias);
    bool alone = (uint64_t)view->rows * view->columns * rows < ALONE;
    tfm_pool *pool = alone ? NULL : b->pass->pool;
    if (rows == 0) return;
    if (sum) {
        /* a matrix that is stored the other way round has the gradient x^T dy */
        size_t outer = view->transposed ? view->columns : view->rows;
        size_t inner = view->transposed ? view->rows : view->columns;
        turn_job turn = {view->transposed ? x : dy, b->turned, rows, outer, tfm__round_up(rows, 16)};
        tfm__parallel(pool, (outer + 15) / 16, turn_piece, &turn);
        weight_job job = {.kernels = b->pass->kernels,
                          .left = b->turned,
                          .right = view->transposed ? dy : x,
                          .sum = sum,
                          .rows = outer,
                          .columns = inner,
                          .tokens = rows,
                          .stride = turn.stride,
                          .sum_stride = view->row_stride / sizeof(float),
                          .panels = (inner + PANEL - 1) / PANEL};
        tfm__parallel(pool, (outer + MOST_ROWS - 1) / MOST_ROWS * job.panels, weight_piece, &job);
    }
    if (bias) {
        bias_job job = {dy, bias, rows, view->rows};
        tfm__parallel(pool, ((size_t)view->rows + COLUMNS - 1) / COLUMNS, bias_piece, &job);
    }
}
