/* float_fetch.h - fetching weights ahead of a product; included by the float template before its blocks of
 * weights.
 *
 * A product reads a cache line of each of its rows in turn, but memory wants longer runs. So while
 * TFM__K_RESTART columns of the rows are multiplied, the next ones are fetched row by row, a line at a time
 * and evenly among the multiplications: fetches in bursts would hold up the loads behind them. */

typedef struct fetch {
    const char *row;          /* the next line is at row + at */
    size_t at, bytes, stride; /* bytes: of each row */
    size_t rows_left;         /* 0: nothing left to fetch */
} fetch;

/* The next piece of the height rows at first, or else the first piece of the rows below them. */
static INLINE void fetch_start(fetch *f, const tfm__product *p, const char *first, size_t height, size_t k0,
                               size_t element) {
    size_t next = k0 + TFM__K_RESTART < p->k ? k0 + TFM__K_RESTART : 0;
    f->row = next ? first + next * element : first + height * p->row_stride;
    f->at = 0;
    f->bytes = TFM__MIN(p->k - next, TFM__K_RESTART) * element;
    f->stride = p->row_stride;
    f->rows_left = height;
}

static INLINE void fetch_line(fetch *f) {
    if (f->rows_left == 0) return;
    PREFETCH(f->row + f->at);
    f->at += 64;
    if (f->at < f->bytes) return;
    f->at = 0;
    f->row += f->stride;
    f->rows_left--;
}
