/* rows.c - work that is independent row by row (norms, rotation, activations), spread over the pool. */
#include "blocks/blocks.h"

#define ROWS_PER_PIECE 8 /* small enough to balance two workers on a short prompt */

typedef struct rows_job {
    tfm__pass *pass;
    tfm__rows_fn fn;
    void *arg;
    size_t rows;
} rows_job;

static void piece(void *arg, size_t i) {
    rows_job *job = arg;
    size_t first = i * ROWS_PER_PIECE;
    job->fn(job->pass, job->arg, first, TFM__MIN(ROWS_PER_PIECE, job->rows - first));
}

void tfm__over_rows(tfm__pass *pass, size_t rows, tfm__rows_fn fn, void *arg) {
    rows_job job = {pass, fn, arg, rows};
    tfm__parallel(pass->pool, (rows + ROWS_PER_PIECE - 1) / ROWS_PER_PIECE, piece, &job);
}
