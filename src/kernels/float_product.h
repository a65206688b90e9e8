/* float_product.h - products with F32, F16 and BF16 weights; the second part of the template (see float_body.h).
 *
 * One token: a vector product that streams the weights. Sixteen rows advance together; 16 x 16 elements are
 * transposed in registers so that lanes are rows, and each row's chain takes its sixteen terms in order.
 * Several tokens: a matrix product. A panel of PANEL_ROWS rows x TFM__K_RESTART of k is packed transposed, as f32, on
 * the stack: panel[k][row], small enough for the first-level cache; then each group of tokens runs tile_chain over
 * it, which keeps one chain per row and token in registers. After a panel the chains are added to the totals, in y.
 * Weights stored transposed are rows of lanes already: they are only copied into the panel. */


#define BLOCK_MOST 32 /* columns in 64 bytes of a row: 16 of F32, 32 of halves */

/* The last columns of sixteen rows: block[j] = column j < n, through memory. */
static inline void tail_columns(uint32_t type, const char *const *rows, size_t offset, size_t n, v16 *block) {
    float columns[BLOCK_MOST][VECTOR], row[BLOCK_MOST];
    for (size_t r = 0; r < VECTOR; r++) {
        if (type == TFM__F16) f16_to_f32(rows[r] + offset, row, n);
        else if (type == TFM__BF16) bf16_to_f32(rows[r] + offset, row, n);
        else f32_to_f32(rows[r] + offset, row, n);
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
    if (type == TFM__F16) f16_to_f32(p, values, n);
    else if (type == TFM__BF16) bf16_to_f32(p, values, n);
    else f32_to_f32(p, values, n);
    return v16_load(values);
}

static INLINE size_t size_of(uint32_t type) { return type == TFM__F32 ? 4 : 2; }

/* The heart of matrix products and of attention: for i < k in order,
 *   acc[t * vectors + v] = fma(w[i][v], x[t][i], acc[t * vectors + v])
 * where w[i][v] is vector v at w + i * w_stride (bytes) and x[t] is at x + t * x_stride (floats). type, vectors and
 * tokens are constants wherever this is inlined, so that all of acc lives in registers. */
static INLINE void tile_chain(v16 *acc, int vectors, int tokens, uint32_t type, const char *w, size_t w_stride,
                              const float *x, size_t x_stride, size_t k) {
    for (size_t i = 0; i < k; i++, w += w_stride, x++) {
        v16 row[8];
        UNROLL for (int v = 0; v < vectors; v++) row[v] = load_typed(type, w + (size_t)v * VECTOR * size_of(type));
        UNROLL for (int t = 0; t < tokens; t++) {
            v16 value = v16_set(x[(size_t)t * x_stride]);
            UNROLL for (int v = 0; v < vectors; v++) {
                acc[t * vectors + v] = v16_fma(row[v], value, acc[t * vectors + v]);
            }
        }
    }
}

/* ---- One token ----------------------------------------------------------------------------------------- */

/* y[0 .. count-1] += sums (+ bias on the last piece of k). first: the total so far is zero. */
static INLINE void add_total(float *y, const float *bias, v16 sums, size_t count, bool first, bool last) {
    if (count == VECTOR) {
        v16 total = v16_add(first ? v16_set(0.0f) : v16_load(y), sums);
        v16_store(y, last && bias ? v16_add(total, v16_load(bias)) : total);
        return;
    }
    v16 total = v16_add(first ? v16_set(0.0f) : v16_load_n(y, count), sums);
    if (last && bias) total = v16_add(total, v16_load_n(bias, count));
    v16_store_n(y, total, count);
}

/* Rows row .. row + 16 * groups - 1; count of them exist, the others repeat the last one and are not stored. */
static INLINE void vector_rows(uint32_t type, const tfm__product *p, size_t row, size_t count, int groups) {
    const size_t element = size_of(type), height = (size_t)groups * VECTOR, block = 64 / element;
    const char *rows[2 * VECTOR], *first = (const char *)p->weights + row * p->row_stride;
    for (size_t r = 0; r < height; r++) rows[r] = first + TFM__MIN(r, count - 1) * p->row_stride;
    const float *x = p->x;
    v16 total[2] = {v16_set(0.0f), v16_set(0.0f)};
    fetch ahead;
    for (size_t k0 = 0; k0 < p->k; k0 += TFM__K_RESTART) {
        size_t n = TFM__MIN(p->k - k0, TFM__K_RESTART), i = 0;
        fetch_start(&ahead, p, first, height, k0, element);
        v16 sums[2] = {v16_set(0.0f), v16_set(0.0f)};
        for (; i + block <= n; i += block) {
            block_chain(type, groups, rows, (k0 + i) * element, x + k0 + i, sums, &ahead);
        }
        if (i < n) {
            for (int g = 0; g < groups; g++) {
                v16 columns[BLOCK_MOST];
                tail_columns(type, rows + g * VECTOR, (k0 + i) * element, n - i, columns);
                for (size_t j = 0; j < n - i; j++) sums[g] = v16_fma(columns[j], v16_set(x[k0 + i + j]), sums[g]);
            }
        }
        UNROLL for (int g = 0; g < groups; g++) total[g] = v16_add(total[g], sums[g]);
    }
    for (int g = 0; g < groups; g++) {
        size_t done = (size_t)g * VECTOR;
        if (done >= count) break;
        add_total(p->y + row + done, p->bias ? p->bias + row + done : NULL, total[g], TFM__MIN(count - done, VECTOR), true,
                  true);
    }
}

static INLINE void vector_product(uint32_t type, const tfm__product *p, size_t row0, size_t row1) {
    size_t row = row0;
    if (type != TFM__F32) { /* one group of halves would wait for its chains */
        for (; row + 2 * VECTOR <= row1; row += 2 * VECTOR) vector_rows(type, p, row, 2 * VECTOR, 2);
    }
    for (; row < row1; row += VECTOR) vector_rows(type, p, row, TFM__MIN(row1 - row, VECTOR), 1);
}

/* Transposed weights, one token: lanes are rows as they lie. */
static INLINE void vector_transposed_rows(uint32_t type, const tfm__product *p, size_t row, int vectors) {
    const char *w = (const char *)p->weights + row * size_of(type);
    v16 total[8];
    UNROLL for (int v = 0; v < vectors; v++) total[v] = v16_set(0.0f);
    for (size_t k0 = 0; k0 < p->k; k0 += TFM__K_RESTART) {
        v16 sums[8];
        UNROLL for (int v = 0; v < vectors; v++) sums[v] = v16_set(0.0f);
        tile_chain(sums, vectors, 1, type, w + k0 * p->row_stride, p->row_stride, (const float *)p->x + k0, 0,
                   TFM__MIN(p->k - k0, TFM__K_RESTART));
        UNROLL for (int v = 0; v < vectors; v++) total[v] = v16_add(total[v], sums[v]);
    }
    for (int v = 0; v < vectors; v++) {
        size_t at = row + (size_t)v * VECTOR;
        add_total(p->y + at, p->bias ? p->bias + at : NULL, total[v], VECTOR, true, true);
    }
}

static INLINE void vector_transposed(uint32_t type, const tfm__product *p, size_t row0, size_t row1) {
    size_t row = row0;
    for (; row + STREAM_VECTORS * VECTOR <= row1; row += STREAM_VECTORS * VECTOR) {
        vector_transposed_rows(type, p, row, STREAM_VECTORS);
    }
    for (; row + VECTOR <= row1; row += VECTOR) vector_transposed_rows(type, p, row, 1);
    if (row >= row1) return;
    v16 total = v16_set(0.0f);
    for (size_t k0 = 0; k0 < p->k; k0 += TFM__K_RESTART) {
        v16 sums = v16_set(0.0f);
        for (size_t k = k0; k < p->k && k < k0 + TFM__K_RESTART; k++) {
            const char *w = (const char *)p->weights + k * p->row_stride + row * size_of(type);
            sums = v16_fma(load_typed_n(type, w, row1 - row), v16_set(((const float *)p->x)[k]), sums);
        }
        total = v16_add(total, sums);
    }
    add_total(p->y + row, p->bias ? p->bias + row : NULL, total, row1 - row, true, true);
}

/* ---- Several tokens ------------------------------------------------------------------------------------ */

/* panel[i][r] = W[row + r][k0 + i] for i < n, r < PANEL_ROWS; rows from count on are copies or zeros, never used. */
static INLINE void pack_panel(uint32_t type, const tfm__product *p, size_t row, size_t count, size_t k0, size_t n,
                              float *panel) {
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
        for (size_t r = 0; r < VECTOR; r++) rows[r] = weights + (row + TFM__MIN(group + r, count - 1)) * p->row_stride;
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
    const float *bias;  /* of the panel's first row, or NULL: added when last */
    float *y;           /* token 0, the panel's first row */
    size_t x_stride, y_stride, k, rows;
    bool first, last; /* pieces of k */
} panel_run;

/* All rows of the panel for tokens tokens from token on. */
static INLINE void run_tile(const panel_run *run, size_t token, int tokens) {
    enum { WIDE = PANEL_ROWS / VECTOR };
    v16 acc[WIDE * PANEL_TOKENS];
    UNROLL for (int i = 0; i < WIDE * tokens; i++) acc[i] = v16_set(0.0f);
    tile_chain(acc, WIDE, tokens, TFM__F32, (const char *)run->panel, PANEL_ROWS * sizeof(float),
               run->x + token * run->x_stride, run->x_stride, run->k);
    UNROLL for (int t = 0; t < tokens; t++) {
        float *y = run->y + (token + (size_t)t) * run->y_stride;
        UNROLL for (int v = 0; v < WIDE; v++) {
            size_t at = (size_t)v * VECTOR;
            if (at >= run->rows) break;
            add_total(y + at, run->bias ? run->bias + at : NULL, acc[t * WIDE + v], TFM__MIN(run->rows - at, VECTOR),
                      run->first, run->last);
        }
    }
}

/* One function for each number of tokens, so that the accumulators have fixed registers. */
#define RUN_TOKENS(count)                                                                                              \
    static void run_tokens_##count(const panel_run *run, size_t token) { run_tile(run, token, count); }
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

/* Tokens whose x stays in the second-level cache while the panels go by; a multiple of PANEL_TOKENS. */
#define TOKENS_AT_ONCE 384

/* Rows row .. row + count - 1 for all of p's tokens. */
static INLINE void matrix_rows(uint32_t type, const tfm__product *p, size_t row, size_t count, float *panel) {
    static void (*const run_tokens[PANEL_TOKENS])(const panel_run *, size_t) = {
        run_tokens_1, run_tokens_2, run_tokens_3, run_tokens_4,  run_tokens_5,  run_tokens_6,
#if PANEL_TOKENS == 12
        run_tokens_7, run_tokens_8, run_tokens_9, run_tokens_10, run_tokens_11, run_tokens_12,
#endif
    };
    for (size_t k0 = 0; k0 < p->k; k0 += TFM__K_RESTART) {
        size_t n = TFM__MIN(p->k - k0, TFM__K_RESTART);
        pack_panel(type, p, row, count, k0, n, panel);
        panel_run run = {panel,
                         (const float *)p->x + k0,
                         p->bias ? p->bias + row : NULL,
                         p->y + row,
                         p->x_stride / sizeof(float),
                         p->y_stride,
                         n,
                         count,
                         k0 == 0,
                         k0 + n == p->k};
        for (size_t t = 0; t < p->tokens; t += PANEL_TOKENS) {
            run_tokens[TFM__MIN(p->tokens - t, PANEL_TOKENS) - 1](&run, t);
        }
    }
}

static INLINE void matrix_product(uint32_t type, const tfm__product *product, size_t row0, size_t row1) {
    _Alignas(64) float panel[TFM__K_RESTART * PANEL_ROWS];
    tfm__product p = *product;
    for (size_t token = 0; token < product->tokens; token += TOKENS_AT_ONCE) {
        p.x = (const char *)product->x + token * p.x_stride;
        p.y = product->y + token * p.y_stride;
        p.tokens = TFM__MIN(product->tokens - token, TOKENS_AT_ONCE);
        for (size_t row = row0; row < row1; row += PANEL_ROWS) {
            matrix_rows(type, &p, row, TFM__MIN(row1 - row, PANEL_ROWS), panel);
        }
    }
}

/* k = 0: nothing but the bias. */
static void empty_product(const tfm__product *p, size_t row0, size_t row1) {
    for (size_t t = 0; t < p->tokens; t++) {
        for (size_t row = row0; row < row1; row++) p->y[t * p->y_stride + row] = p->bias ? 0.0f + p->bias[row] : 0.0f;
    }
}

#define PRODUCT(name, type)                                                                                            \
    static void name(const tfm__product *p, size_t row0, size_t row1) {                                                \
        if (p->k == 0) empty_product(p, row0, row1);                                                                   \
        else if (p->tokens > 1) matrix_product(type, p, row0, row1);                                                   \
        else if (p->tokens == 1 && p->transposed) vector_transposed(type, p, row0, row1);                              \
        else if (p->tokens == 1) vector_product(type, p, row0, row1);                                                  \
    }
PRODUCT(product_f32, TFM__F32)
PRODUCT(product_f16, TFM__F16)
PRODUCT(product_bf16, TFM__BF16)
