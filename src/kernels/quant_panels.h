/* quant_panels.h - packing for the x86 quantised products with several tokens: PANEL_ROWS rows by a slab of
 * k, spelt out as unsigned bytes in the order in which they are multiplied. Included after quant_lanes.h by
 * the avx2_quant_mat.c and avx512_quant_mat.c files.
 *
 * Step s of the panel is 4 values of k for every row: vector v of it (panel.q[s * VECTORS + v]) holds the
 * rows ROWS * v .., four bytes each. Scales lie beside in the same row order. */

#define VECTORS 2
#define PANEL_ROWS (VECTORS * ROWS)
#define SLAB 512         /* values of k in a panel */
#define PREFETCH_STEP 32 /* every line twice: see prefetch_part */
#define PREFETCH_MIN 128 /* bytes per 32 values of k, until the next panel has been asked for */

/* How sums and scales go together in a product. */
enum {
    FORM_32,          /* one scale per 32 */
    FORM_32_MINIMUMS, /* and one minimum */
    FORM_256,         /* super-blocks whose sub-scales were multiplied in when packing */
    FORM_256_MINIMUMS,
    FORM_SUB_32, /* super-blocks with a sub-scale per 32 */
    FORM_SUB_32_MINIMUMS,
    FORM_SUB_16, /* with a sub-scale per 16 */
    FORM_SUB_16_MINIMUMS
};

typedef struct panel {
    vec q[SLAB / 4 * VECTORS];
    vec sub[SLAB / 16 * VECTORS];   /* sub-scales, as v_sub_scale makes them */
    vec pairs[SLAB / 32 * VECTORS]; /* minimums (or scales, NEEDS_SCALE_PAIRS), two 16-bit ones per row */
    fvec d[SLAB / 32 * VECTORS], m[SLAB / 32 * VECTORS];
} panel;

INLINE void pack_32(uint32_t type, const uint8_t *p, size_t stride, size_t blocks, panel *out, size_t v) {
    for (size_t b = 0; b < blocks; b++, p += block_bytes_of(type)) {
        vec heads[4], chunks[2][4], bits = v_zero(), *q = out->q + b * 8 * VECTORS + v;
        UNROLL for (int j = 0; j < 4; j++) heads[j] = v_rows(p, stride, j);
        block_scales(type, p, stride, heads, &out->d[b * VECTORS + v], &out->m[b * VECTORS + v]);
        if (type == TFM__Q5_0 || type == TFM__Q5_1) {
            UNROLL for (int j = 0; j < 4; j++) heads[j] = v_rows(p + (type == TFM__Q5_0 ? 2 : 4), stride, j);
            bits = v_first(heads);
        }
        UNROLL for (int c = 0; c < chunks_of(type); c++) {
            UNROLL for (int j = 0; j < 4; j++) chunks[c][j] =
                v_rows(p + chunks_at(type) + 16 * (size_t)c, stride, j);
            v_transpose(chunks[c]);
        }
        UNROLL for (int d = 0; d < 4; d++) {
            vec raw[2] = {chunks[0][d], chunks[chunks_of(type) - 1][d]};
            UNROLL for (int i = 0; i < 2; i++) {
                vec w = piece(type, raw, i);
                if (type == TFM__Q5_0 || type == TFM__Q5_1) w = v_or(w, fifth_bits_of_column(bits, i, d));
                q[(4 * i + d) * VECTORS] = w;
            }
        }
    }
}

INLINE void pack_256(uint32_t type, const uint8_t *p, size_t stride, size_t blocks, panel *out, size_t v) {
    for (size_t b = 0; b < blocks; b++, p += block_bytes_of(type)) {
        const int halves = has_16_scales(type) ? 2 : 1; /* of 8 scales each */
        vec heads[4], scales[8], minimums[8], chunks[12][4], *q = out->q + b * 64 * VECTORS + v;
        UNROLL for (int j = 0; j < 4; j++) {
            heads[j] = v_rows(p + scales_at(type), stride, j);
            sub_scales s = sub_scales_of(type, heads[j]);
            scales[j] = s.low, scales[4 + j] = s.high;
            minimums[j] = s.minimum_low, minimums[4 + j] = s.minimum_high;
        }
        block_scales(type, p, stride, heads, &out->d[b * VECTORS + v], &out->m[b * VECTORS + v]);
        UNROLL for (int h = 0; h < halves; h++) { /* each dword now has two scales of one row */
            v_transpose(scales + 4 * h);
            v_transpose(minimums + 4 * h);
        }
        if (!IS_PRESCALED(type))
            UNROLL for (int i = 0; i < 8 * halves; i++)
                out->sub[(b * 8 * (size_t)halves + (size_t)i) * VECTORS + v] =
                v_sub_scale(scales[i / 2], i & 1);
        if (has_minimums(type) || NEEDS_SCALE_PAIRS(type))
            UNROLL for (int i = 0; i < 4 * halves; i++)
                out->pairs[(b * 4 * (size_t)halves + (size_t)i) * VECTORS + v] =
                has_minimums(type) ? minimums[i] : scales[i];
        UNROLL for (int c = 0; c < chunks_of(type); c++) {
            UNROLL for (int j = 0; j < 4; j++) chunks[c][j] =
                v_rows(p + chunks_at(type) + 16 * (size_t)c, stride, j);
            v_transpose(chunks[c]);
        }
        for (int d = 0; d < 4; d++) {
            vec raw[12];
            UNROLL for (int c = 0; c < chunks_of(type); c++) raw[c] = chunks[c][d];
            UNROLL for (int i = 0; i < 16; i++) {
                vec w = piece(type, raw, i);
                if (IS_PRESCALED(type)) w = v_prescale(type, w, scales[i / 2], i & 1);
                q[(4 * i + d) * VECTORS] = w;
            }
        }
    }
}

/* Rows p .. of `blocks` blocks into every vector of the panel. */
INLINE void pack_panel(uint32_t type, const uint8_t *p, size_t stride, size_t blocks, panel *out) {
    for (size_t v = 0; v < VECTORS; v++, p += ROWS * stride) {
        if (has_super_blocks(type))
            pack_256(type, p, stride, blocks, out, v);
        else
            pack_32(type, p, stride, blocks, out, v);
    }
}

static void pack(uint32_t type, const uint8_t *p, size_t stride, size_t blocks, panel *out) {
    switch (type) {
    case TFM__Q4_0:
        pack_panel(TFM__Q4_0, p, stride, blocks, out);
        break;
    case TFM__Q4_1:
        pack_panel(TFM__Q4_1, p, stride, blocks, out);
        break;
    case TFM__Q5_0:
        pack_panel(TFM__Q5_0, p, stride, blocks, out);
        break;
    case TFM__Q5_1:
        pack_panel(TFM__Q5_1, p, stride, blocks, out);
        break;
    case TFM__Q8_0:
        pack_panel(TFM__Q8_0, p, stride, blocks, out);
        break;
    case TFM__IQ4_NL:
        pack_panel(TFM__IQ4_NL, p, stride, blocks, out);
        break;
    case TFM__MXFP4:
        pack_panel(TFM__MXFP4, p, stride, blocks, out);
        break;
    case TFM__Q2_K:
        pack_panel(TFM__Q2_K, p, stride, blocks, out);
        break;
    case TFM__Q3_K:
        pack_panel(TFM__Q3_K, p, stride, blocks, out);
        break;
    case TFM__Q4_K:
        pack_panel(TFM__Q4_K, p, stride, blocks, out);
        break;
    case TFM__Q5_K:
        pack_panel(TFM__Q5_K, p, stride, blocks, out);
        break;
    case TFM__Q6_K:
        pack_panel(TFM__Q6_K, p, stride, blocks, out);
        break;
    default:
        pack_panel(TFM__IQ4_XS, p, stride, blocks, out);
        break;
    }
}

/* ---- The loops around ---------------------------------------------------------------------------------- */

/* What a tile of tokens needs of the activations in a slab. */
typedef struct tile {
    const int8_t *q[TILE];          /* the slab's first value */
    const float *scales[TILE];      /* of the slab's first block */
    int32_t start[TILE][SLAB / 16]; /* -bias * sum over each run of values that shares a scale */
    int32_t pairs[TILE][SLAB / 32]; /* two 16-bit sums each, to go with panel.pairs */
    float sums[TILE][SLAB / 32];    /* Q4_1, Q5_1: sums of the blocks */
    const uint8_t *ahead;           /* weights to prefetch, so many bytes per 32 values of k */
    size_t ahead_bytes;
} tile;

/* Asks for the weights of the next panel while this one is multiplied; i counts 32 values of k. */
INLINE void prefetch_ahead(const tile *x, size_t i) {
    const uint8_t *p = x->ahead + i * x->ahead_bytes, *end = p + x->ahead_bytes;
    for (; p < end; p += PREFETCH_STEP) __builtin_prefetch(p, 0, 3);
}

INLINE int32_t two_shorts(int low, int high) {
    return (int32_t)((uint32_t)(uint16_t)low | (uint32_t)high << 16);
}

/* Fills the parts that the type's kernel reads. */
static void prepare_tile(const tfm__product *product, int form, int bias, size_t token, size_t tokens,
                         size_t k0, size_t width, tile *out) {
    for (size_t t = 0; t < tokens; t++) {
        const char *row = (const char *)product->x + (token + t) * product->x_stride;
        out->q[t] = (const int8_t *)row + k0;
        if (form == FORM_32 || form == FORM_32_MINIMUMS) {
            const int32_t *sums = tfm__act_sums32(row, product->k) + k0 / 32;
            out->scales[t] = tfm__act_scales(row, product->k) + k0 / 32;
            for (size_t b = 0; b < width / 32; b++) {
                out->start[t][b] = -bias * sums[b];
                out->sums[t][b] = (float)sums[b];
            }
            continue;
        }
        const int16_t *sums = tfm__act_sums16(row, product->k) + k0 / 16;
        out->scales[t] = tfm__act_scales(row, product->k) + k0 / 256;
        if (form == FORM_256_MINIMUMS || form == FORM_SUB_16 || form == FORM_SUB_16_MINIMUMS)
            memcpy(out->pairs[t], sums, width / 16 * sizeof(int16_t));
        if (form == FORM_SUB_16)
            for (size_t i = 0; i < width / 16; i++) out->start[t][i] = -bias * sums[i];
        if (form == FORM_SUB_32)
            for (size_t i = 0; i < width / 32; i++)
                out->start[t][i] = -bias * (sums[2 * i] + sums[2 * i + 1]);
        if (form == FORM_SUB_32_MINIMUMS)
            for (size_t i = 0; i < width / 64; i++)
                out->pairs[t][i] =
                    two_shorts(sums[4 * i] + sums[4 * i + 1], sums[4 * i + 2] + sums[4 * i + 3]);
        if (form == FORM_256)
            for (size_t b = 0; b < width / 256; b++) {
                int sum = 0;
                for (size_t i = 0; i < 16; i++) sum += sums[16 * b + i];
                out->start[t][b] = -bias * sum;
            }
    }
}

/* Totals of a tile travel through y between slabs: these rows of the panel are ours. */
typedef struct target {
    float *y; /* token 0 of the tile, first row of the panel */
    size_t y_stride;
    const float *bias; /* at the panel's first row, in the last slab only */
    bool begin;        /* first slab: totals are zero */
    size_t from;       /* rows before this one belong to others */
} target;

typedef void (*tile_kernel)(const panel *w, const tile *x, size_t width, const target *to);

#define TILE_KERNEL(name, tokens, body, ...)                                                                 \
    static void name##_##tokens(const panel *w, const tile *x, size_t width, const target *to) {             \
        body(__VA_ARGS__, tokens, w, x, width, to);                                                          \
    }

/* Four activations, for every row. */
INLINE vec four_values(const int8_t *q) {
    int32_t bits;
    memcpy(&bits, q, 4);
    return v_set32(bits);
}

/* The first row of vector v that is ours. */
INLINE size_t first_row(const target *to, int v) {
    size_t before = (size_t)v * ROWS;
    return to->from > before ? TFM__MIN(to->from - before, (size_t)ROWS) : 0;
}

INLINE void begin_totals(fvec totals[TILE][VECTORS], const int tokens, const target *to) {
    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int v = 0; v < VECTORS; v++) {
            const float *y = to->y + (size_t)t * to->y_stride + v * ROWS;
            totals[t][v] = to->begin ? f_zero() : f_load_rows(y, first_row(to, v));
        }
    }
}

INLINE void end_totals(fvec totals[TILE][VECTORS], const int tokens, const target *to) {
    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int v = 0; v < VECTORS; v++) {
            fvec total = totals[t][v];
            if (to->bias) total = f_add(total, f_load_rows(to->bias + v * ROWS, first_row(to, v)));
            f_store_rows(to->y + (size_t)t * to->y_stride + v * ROWS, total, first_row(to, v));
        }
    }
}

/* sums = the pairs of super-block b (count of them) times the activations' sums */
INLINE void dot_pairs(vec sums[TILE][VECTORS], const panel *w, const tile *x, const int tokens, size_t b,
                      const int count) {
    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int v = 0; v < VECTORS; v++) sums[t][v] = v_zero();
    }
    UNROLL for (int i = 0; i < count; i++) {
        size_t at = b * (size_t)count + (size_t)i;
        UNROLL for (int t = 0; t < tokens; t++) {
            vec values = v_set32(x->pairs[t][at]);
            UNROLL for (int v = 0; v < VECTORS; v++) sums[t][v] =
                v_dpw(sums[t][v], w->pairs[at * VECTORS + (size_t)v], values);
        }
    }
}

/* totals -= m * dx * (minimums . sums), count pairs of them */
INLINE void subtract_minimums(fvec totals[TILE][VECTORS], const panel *w, const tile *x, const int tokens,
                              size_t b, const int count) {
    vec sums[TILE][VECTORS];
    dot_pairs(sums, w, x, tokens, b, count);
    UNROLL for (int t = 0; t < tokens; t++) {
        fvec dx = f_set(x->scales[t][b]);
        UNROLL for (int v = 0; v < VECTORS; v++) totals[t][v] =
            f_fnma(f_mul(w->m[b * VECTORS + (size_t)v], dx), f_from(sums[t][v]), totals[t][v]);
    }
}

/* Panels of PANEL_ROWS, slabs of k, tiles of tokens; the last panel begins early enough to be whole. */
static void matrix_product(const tfm__product *product, size_t row0, size_t row1, int form, int bias,
                           const tile_kernel kernels[TILE + 1]) {
    const size_t block = form == FORM_32 || form == FORM_32_MINIMUMS ? 32 : 256;
    const size_t bytes = block_bytes_of(product->type), tokens = product->tokens;
    const size_t tiles = (tokens + TILE - 1) / TILE;
    panel w;
    tile x;
    for (size_t row = row0; row < row1; row += PANEL_ROWS) {
        size_t start = TFM__MIN(row, row1 - PANEL_ROWS);
        const uint8_t *weights = (const uint8_t *)product->weights + start * product->row_stride;
        for (size_t k0 = 0; k0 < product->k; k0 += SLAB) {
            size_t width = TFM__MIN(product->k - k0, (size_t)SLAB);
            size_t slab_bytes = PANEL_ROWS * (width / block * bytes), part = slab_bytes / tiles;
            const uint8_t *next = weights + PANEL_ROWS * (product->row_stride + k0 / block * bytes);
            const uint8_t *next_end = next + slab_bytes;
            if (part < width / 32 * PREFETCH_MIN) part = width / 32 * PREFETCH_MIN;
            pack(product->type, weights + k0 / block * bytes, product->row_stride, width / block, &w);
            for (size_t i = 0, token = 0; i < tiles; i++) { /* tiles of equal size, but for one token */
                size_t size = tokens / tiles + (i < tokens % tiles);
                target to = {product->y + token * product->y_stride + start, product->y_stride,
                             product->bias && k0 + width == product->k ? product->bias + start : NULL,
                             k0 == 0, row - start};
                prepare_tile(product, form, bias, token, size, k0, width, &x);
                x.ahead = next;
                x.ahead_bytes = next < next_end ? (part + width / 32 - 1) / (width / 32) : 0;
                next += part;
                kernels[size](&w, &x, width, &to);
                token += size;
            }
        }
    }
}
