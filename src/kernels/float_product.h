/* float_product.h - products with F32, F16 and BF16 weights; the second part of the template (see
 * float_body.h).
 *
 * One token, or a few: a vector product that streams the weights. Sixteen rows advance together; 16 x 16
 * elements are transposed in registers so that lanes are rows, and each row's chain takes its sixteen terms
 * in order. Several tokens: a matrix product. A panel of PANEL_ROWS rows x TFM__K_RESTART of k is packed
 * transposed, as f32, on the stack: panel[k][row], small enough for the first-level cache; then each group of
 * tokens runs tile_chain over it, which keeps one chain per row and token in registers. After a panel the
 * chains are added to totals on the stack. Weights stored transposed are rows of lanes already: for many
 * tokens they are only copied into the panel, for few they are read where they lie, in long runs of rows,
 * eight k at a time, with the chains in memory. */

#define BLOCK_MOST 32 /* columns in 64 bytes of a row: 16 of F32, 32 of halves */

/* The last columns of sixteen rows: block[j] = column j < n, through memory. */
static inline void tail_columns(uint32_t type, const char *const *rows, size_t offset, size_t n, v16 *block) {
    float columns[BLOCK_MOST][VECTOR], row[BLOCK_MOST];
    for (size_t r = 0; r < VECTOR; r++) {
        if (type == TFM__F16)
            f16_to_f32(rows[r] + offset, row, n);
        else if (type == TFM__BF16)
            bf16_to_f32(rows[r] + offset, row, n);
        else
            f32_to_f32(rows[r] + offset, row, n);
        for (size_t j = 0; j < n; j++) columns[j][r] = row[j];
    }
    for (size_t j = 0; j < n; j++) block[j] = v16_load(columns[j]);
}

/* Sixteen weights from memory of any alignment. type is a constant wherever this is inlined. */
static INLINE v16 load_typed(uint32_t type, const char *p) {
    if (type == TFM__F16) return v16_load_f16(p);
    if (type == TFM__BF16) return v16_load_bf16(p);
    return v16_load_bytes(p);
}

/* The first n < 16 of them, zeros after; nothing beyond them is read. */
static inline v16 load_typed_n(uint32_t type, const char *p, size_t n) {
    float values[VECTOR] = {0};
    if (type == TFM__F16)
        f16_to_f32(p, values, n);
    else if (type == TFM__BF16)
        bf16_to_f32(p, values, n);
    else
        f32_to_f32(p, values, n);
    return v16_load(values);
}

static INLINE size_t size_of(uint32_t type) { return type == TFM__F32 ? 4 : 2; }

/* The heart of matrix products and of attention: for i < k in order,
 *   acc[t * vectors + v] = fma(w[i][v], x[t][i], acc[t * vectors + v])
 * where w[i][v] is vector v at w + i * w_stride (bytes) and x[t] is at x + t * x_stride (floats). type,
 * vectors and tokens are constants wherever this is inlined, so that all of acc lives in registers. */
static INLINE void tile_chain(v16 *acc, int vectors, int tokens, uint32_t type, const char *w,
                              size_t w_stride, const float *x, size_t x_stride, size_t k) {
    for (size_t i = 0; i < k; i++, w += w_stride, x++) {
        v16 row[8];
        UNROLL for (int v = 0; v < vectors; v++) row[v] =
            load_typed(type, w + (size_t)v * VECTOR * size_of(type));
        UNROLL for (int t = 0; t < tokens; t++) {
            v16 value = v16_set(x[(size_t)t * x_stride]);
            UNROLL for (int v = 0; v < vectors; v++) {
                acc[t * vectors + v] = v16_fma(row[v], value, acc[t * vectors + v]);
            }
        }
    }
}

/* ---- One token, or a few ------------------------------------------------------------------------------ */

/* y[0 .. count-1] = total (+ bias). */
static INLINE void store_total(float *y, const float *bias, v16 total, size_t count) {
    if (bias) total = v16_add(total, v16_load_n(bias, count));
    v16_store_n(y, total, count);
}

#define FEW_TOKENS 4 /* most tokens that go through the weights together without a panel */

/* Rows row .. row + 16 * groups - 1; count of them exist, the others repeat the last one and are not stored.
 * groups and tokens are constants wherever this is inlined, their product at most 4. */
static INLINE void vector_rows(uint32_t type, const tfm__product *p, size_t row, size_t count, int groups,
                               int tokens) {
    const size_t element = size_of(type), height = (size_t)groups * VECTOR, block = 64 / element;
    const size_t x_stride = p->x_stride / sizeof(float);
    const char *rows[2 * VECTOR], *first = (const char *)p->weights + row * p->row_stride;
    for (size_t r = 0; r < height; r++) rows[r] = first + TFM__MIN(r, count - 1) * p->row_stride;
    const int chains = groups * tokens; /* chain g * tokens + t */
    v16 total[FEW_TOKENS], sums[FEW_TOKENS];
    UNROLL for (int c = 0; c < chains; c++) total[c] = v16_set(0.0f);
    fetch ahead;
    for (size_t k0 = 0; k0 < p->k; k0 += TFM__K_RESTART) {
        const float *x = (const float *)p->x + k0;
        size_t n = TFM__MIN(p->k - k0, TFM__K_RESTART), i = 0;
        fetch_start(&ahead, p, first, height, k0, element);
        UNROLL for (int c = 0; c < chains; c++) sums[c] = v16_set(0.0f);
        for (; i + block <= n; i += block) {
            block_chain(type, groups, tokens, rows, (k0 + i) * element, x + i, x_stride, sums, &ahead);
        }
        if (i < n) {
            for (int g = 0; g < groups; g++) {
                v16 columns[BLOCK_MOST];
                tail_columns(type, rows + g * VECTOR, (k0 + i) * element, n - i, columns);
                for (size_t j = 0; j < n - i; j++) {
                    UNROLL for (int t = 0; t < tokens; t++) {
                        v16 value = v16_set(x[(size_t)t * x_stride + i + j]);
                        sums[g * tokens + t] = v16_fma(columns[j], value, sums[g * tokens + t]);
                    }
                }
            }
        }
        UNROLL for (int c = 0; c < chains; c++) total[c] = v16_add(total[c], sums[c]);
    }
    for (int g = 0; g < groups; g++) {
        size_t done = (size_t)g * VECTOR;
        if (done >= count) break;
        for (int t = 0; t < tokens; t++) {
            store_total(p->y + (size_t)t * p->y_stride + row + done, p->bias ? p->bias + row + done : NULL,
                        total[g * tokens + t], TFM__MIN(count - done, VECTOR));
        }
    }
}

static INLINE void vector_product(uint32_t type, const tfm__product *p, size_t row0, size_t row1) {
    size_t row = row0;
    if (type != TFM__F32 && p->tokens == 1) { /* one group of halves would wait for its chains */
        for (; row + 2 * VECTOR <= row1; row += 2 * VECTOR) vector_rows(type, p, row, 2 * VECTOR, 2, 1);
    }
    for (; row < row1; row += VECTOR) {
        size_t count = TFM__MIN(row1 - row, VECTOR);
        if (p->tokens == 1)
            vector_rows(type, p, row, count, 1, 1);
        else if (p->tokens == 2)
            vector_rows(type, p, row, count, 1, 2);
        else if (p->tokens == 3)
            vector_rows(type, p, row, count, 1, 3);
        else
            vector_rows(type, p, row, count, 1, 4);
    }
}

/* ---- Transposed weights, few tokens ------------------------------------------------------------------- */

#define STREAM_TOKENS 16 /* most tokens for which weights are streamed where they lie, without a panel */
#define STREAM_ROWS 256  /* rows that advance together */
#define STREAM_K 8       /* k that they advance by */

/* Chains of STREAM_ROWS rows for each token, kept in memory between steps of k. */
typedef struct stream {
    _Alignas(64) float sums[STREAM_TOKENS * STREAM_ROWS];
    _Alignas(64) float totals[STREAM_TOKENS * STREAM_ROWS];
} stream;

/* sums = fma(W[k], x[k], sums) for steps values of k from k on, in order; rows row .. row + count - 1. */
static INLINE void stream_step(stream *s, uint32_t type, const tfm__product *p, size_t row, size_t count,
                               size_t k, int steps) {
    const size_t element = size_of(type), x_stride = p->x_stride / sizeof(float);
    const char *weights = (const char *)p->weights + k * p->row_stride + row * element;
    for (size_t r = 0; r < count; r += VECTOR) {
        v16 w[STREAM_K];
        UNROLL for (int i = 0; i < steps; i++) {
            const char *at = weights + (size_t)i * p->row_stride + r * element;
            if (r * element % 64 == 0) PREFETCH(at + STREAM_K * p->row_stride);
            w[i] = r + VECTOR <= count ? load_typed(type, at) : load_typed_n(type, at, count - r);
        }
        const float *x = (const float *)p->x + k;
        float *sums = s->sums + r;
        for (size_t t = 0; t < p->tokens; t++, x += x_stride, sums += STREAM_ROWS) {
            v16 sum = v16_load(sums);
            UNROLL for (int i = 0; i < steps; i++) sum = v16_fma(w[i], v16_set(x[i]), sum);
            v16_store(sums, sum);
        }
    }
}

/* Rows row .. row + count - 1, count <= STREAM_ROWS. */
static INLINE void stream_rows(uint32_t type, const tfm__product *p, size_t row, size_t count) {
    stream s;
    memset(s.totals, 0, p->tokens * STREAM_ROWS * sizeof(float));
    for (size_t k0 = 0; k0 < p->k; k0 += TFM__K_RESTART) {
        size_t k = k0, end = TFM__MIN(p->k, k0 + TFM__K_RESTART);
        memset(s.sums, 0, p->tokens * STREAM_ROWS * sizeof(float));
        for (; k + STREAM_K <= end; k += STREAM_K) stream_step(&s, type, p, row, count, k, STREAM_K);
        for (; k < end; k++) stream_step(&s, type, p, row, count, k, 1);
        for (size_t i = 0; i < p->tokens * STREAM_ROWS; i += VECTOR) {
            v16_store(s.totals + i, v16_add(v16_load(s.totals + i), v16_load(s.sums + i)));
        }
    }
    for (size_t t = 0; t < p->tokens; t++) {
        for (size_t r = 0; r < count; r += VECTOR) {
            store_total(p->y + t * p->y_stride + row + r, p->bias ? p->bias + row + r : NULL,
                        v16_load(s.totals + t * STREAM_ROWS + r), TFM__MIN(count - r, VECTOR));
        }
    }
}

static INLINE void stream_product(uint32_t type, const tfm__product *p, size_t row0, size_t row1) {
    for (size_t row = row0; row < row1; row += STREAM_ROWS) {
        stream_rows(type, p, row, TFM__MIN(row1 - row, STREAM_ROWS));
    }
}

/* ---- Several tokens ------------------------------------------------------------------------------------ */

/* panel[i][r] = W[row + r][k0 + i] for i < n, r < PANEL_ROWS; rows from count on are copies or zeros, never
 * used. */
static INLINE void pack_panel(uint32_t type, const tfm__product *p, size_t row, size_t count, size_t k0,
                              size_t n, float *panel) {
    const size_t element = size_of(type), block = 64 / element;
    const char *weights = p->weights;
    if (p->transposed) {
        for (size_t i = 0; i < n; i++) {
            const char *w = weights + (k0 + i) * p->row_stride + row * element;
            for (size_t r = 0; r < PANEL_ROWS; r += VECTOR) {
                v16 v = r + VECTOR <= count ? load_typed(type, w + r * element)
                        : r < count         ? load_typed_n(type, w + r * element, count - r)
                                            : v16_set(0.0f);
                v16_store(panel + i * PANEL_ROWS + r, v);
            }
        }
        return;
    }
    for (size_t group = 0; group < PANEL_ROWS; group += VECTOR) {
        const char *rows[VECTOR];
        for (size_t r = 0; r < VECTOR; r++)
            rows[r] = weights + (row + TFM__MIN(group + r, count - 1)) * p->row_stride;
        for (size_t i = 0; i < n; i += block) {
            float *out = panel + i * PANEL_ROWS + group;
            size_t offset = (k0 + i) * element;
            if (i + block <= n) {
                block_pack(type, rows, offset, out);
            } else {
                v16 columns[BLOCK_MOST];
                tail_columns(type, rows, offset, n - i, columns);
                for (size_t j = 0; j < n - i; j++) v16_store(out + j * PANEL_ROWS, columns[j]);
            }
        }
    }
}

typedef struct panel_run {
    const float *panel; /* [k, PANEL_ROWS] */
    const float *x;     /* token 0 at this piece of k */
    size_t x_stride, k; /* floats */
    float *totals;      /* [tokens, PANEL_ROWS] */
    bool first;         /* piece of k: the totals are zero so far */
    fetch ahead;        /* the next panel's weights */
    size_t lines;       /* of them to fetch for every 16 of k */
} panel_run;

/* All rows of the panel for tokens tokens from token on. */
static INLINE void run_tile(panel_run *run, size_t token, int tokens) {
    enum { WIDE = PANEL_ROWS / VECTOR };
    const float *x = run->x + token * run->x_stride;
    v16 acc[WIDE * PANEL_TOKENS];
    UNROLL for (int i = 0; i < WIDE * tokens; i++) acc[i] = v16_set(0.0f);
    /* the next tokens' x comes from the second-level cache, a line of it for every 16 of k */
    for (size_t i = 0; i < run->k; i += VECTOR) {
        for (size_t line = 0; line < run->lines; line++) fetch_line(&run->ahead);
        UNROLL for (int t = 0; t < tokens; t++) PREFETCH(x + (size_t)(tokens + t) * run->x_stride + i);
        tile_chain(acc, WIDE, tokens, TFM__F32, (const char *)(run->panel + i * PANEL_ROWS),
                   PANEL_ROWS * sizeof(float), x + i, run->x_stride, TFM__MIN(run->k - i, VECTOR));
    }
    float *totals = run->totals + token * PANEL_ROWS;
    UNROLL for (int i = 0; i < WIDE * tokens; i++) {
        v16 total = run->first ? v16_set(0.0f) : v16_load(totals + i * VECTOR);
        v16_store(totals + i * VECTOR, v16_add(total, acc[i]));
    }
}

/* One function for each number of tokens, so that the accumulators have fixed registers. */
#define RUN_TOKENS(count)                                                                                    \
    static void run_tokens_##count(panel_run *run, size_t token) { run_tile(run, token, count); }
RUN_TOKENS(1)
RUN_TOKENS(2)
RUN_TOKENS(3)
RUN_TOKENS(4)
RUN_TOKENS(5)
RUN_TOKENS(6)
#if PANEL_TOKENS == 12
RUN_TOKENS(7)
RUN_TOKENS(8)
RUN_TOKENS(9)
RUN_TOKENS(10)
RUN_TOKENS(11)
RUN_TOKENS(12)
#endif

/* Most tokens for which a panel is packed: their x and totals stay in the second-level cache. */
#define TOKENS_AT_ONCE (43 * 12)

/* Has the piece of weights that is packed after this one fetched while the tokens run through the panel. */
static INLINE void fetch_panel(panel_run *run, uint32_t type, const tfm__product *p, size_t row, size_t k0) {
    const size_t element = size_of(type);
    size_t next = k0 + TFM__K_RESTART;
    if (next >= p->k) { /* the first piece of the rows below, if there are any: fetching never faults */
        next = 0;
        row += PANEL_ROWS;
    }
    size_t columns = TFM__MIN(p->k - next, TFM__K_RESTART);
    run->ahead.row = (const char *)p->weights + (p->transposed ? next * p->row_stride + row * element
                                                               : row * p->row_stride + next * element);
    run->ahead.at = 0;
    run->ahead.bytes = (p->transposed ? PANEL_ROWS : columns) * element;
    run->ahead.stride = p->row_stride;
    run->ahead.rows_left = p->transposed ? columns : PANEL_ROWS;
    size_t lines = run->ahead.rows_left * ((run->ahead.bytes + 63) / 64);
    size_t steps = (p->tokens + PANEL_TOKENS - 1) / PANEL_TOKENS * ((run->k + VECTOR - 1) / VECTOR);
    run->lines = (lines + steps - 1) / steps;
}

/* Rows row .. row + count - 1 for all of p's tokens, at most TOKENS_AT_ONCE. */
static INLINE void matrix_rows(uint32_t type, const tfm__product *p, size_t row, size_t count) {
    static void (*const run_tokens[PANEL_TOKENS])(panel_run *, size_t) = {
        run_tokens_1,
        run_tokens_2,
        run_tokens_3,
        run_tokens_4,
        run_tokens_5,
        run_tokens_6,
#if PANEL_TOKENS == 12
        run_tokens_7,
        run_tokens_8,
        run_tokens_9,
        run_tokens_10,
        run_tokens_11,
        run_tokens_12,
#endif
    };
    _Alignas(64) float panel[TFM__K_RESTART * PANEL_ROWS];
    _Alignas(64) float totals[TOKENS_AT_ONCE * PANEL_ROWS];
    for (size_t k0 = 0; k0 < p->k; k0 += TFM__K_RESTART) {
        size_t n = TFM__MIN(p->k - k0, TFM__K_RESTART);
        pack_panel(type, p, row, count, k0, n, panel);
        panel_run run = {
            panel, (const float *)p->x + k0, p->x_stride / sizeof(float), n, totals, k0 == 0, {0}, 0};
        fetch_panel(&run, type, p, row, k0);
        for (size_t t = 0; t < p->tokens; t += PANEL_TOKENS) {
            run_tokens[TFM__MIN(p->tokens - t, PANEL_TOKENS) - 1](&run, t);
        }
    }
    for (size_t t = 0; t < p->tokens; t++) {
        for (size_t r = 0; r < count; r += VECTOR) {
            store_total(p->y + t * p->y_stride + row + r, p->bias ? p->bias + row + r : NULL,
                        v16_load(totals + t * PANEL_ROWS + r), TFM__MIN(count - r, VECTOR));
        }
    }
}

static INLINE void matrix_product(uint32_t type, const tfm__product *product, size_t row0, size_t row1) {
    tfm__product p = *product;
    size_t parts = (p.tokens + TOKENS_AT_ONCE - 1) / TOKENS_AT_ONCE; /* of about equal size, in whole tiles */
    size_t each = ((p.tokens + parts - 1) / parts + PANEL_TOKENS - 1) / PANEL_TOKENS * PANEL_TOKENS;
    for (size_t token = 0; token < product->tokens; token += each) {
        p.x = (const char *)product->x + token * p.x_stride;
        p.y = product->y + token * p.y_stride;
        p.tokens = TFM__MIN(product->tokens - token, each);
        for (size_t row = row0; row < row1; row += PANEL_ROWS) {
            matrix_rows(type, &p, row, TFM__MIN(row1 - row, PANEL_ROWS));
        }
    }
}

/* k = 0: nothing but the bias. */
static void empty_product(const tfm__product *p, size_t row0, size_t row1) {
    for (size_t t = 0; t < p->tokens; t++) {
        for (size_t row = row0; row < row1; row++)
            p->y[t * p->y_stride + row] = p->bias ? 0.0f + p->bias[row] : 0.0f;
    }
}

#define PRODUCT(name, type)                                                                                  \
    static void name(const tfm__product *p, size_t row0, size_t row1) {                                      \
        if (p->k == 0 || p->tokens == 0)                                                                     \
            empty_product(p, row0, row1);                                                                    \
        else if (p->transposed && p->tokens <= STREAM_TOKENS)                                                \
            stream_product(type, p, row0, row1);                                                             \
        else if (p->tokens > 1)                                                                              \
            matrix_product(type, p, row0, row1);                                                             \
        else                                                                                                 \
            vector_product(type, p, row0, row1);                                                             \
    }
PRODUCT(product_f32, TFM__F32)
PRODUCT(product_f16, TFM__F16)
PRODUCT(product_bf16, TFM__BF16)
