/* float_attention.h - a tile of queries against pages of keys and values; the third part of the template (see
 * float_body.h). The formulas and the order of operations are those of tfm__attention_tile in kernels.h.
 *
 * Queries are taken QUERY_BLOCK at a time, so that a page in half precision is converted once for all of
 * them. Both halves of the work are tile_chain, the heart of the matrix product: for the scores lanes are
 * keys and the chain runs over head_dim; for the output lanes are head dims and the chain runs over the
 * page's keys. A few queries (decoding) read the page as it lies. */

#define QUERY_BLOCK 48
#define KEY_DIMS 128 /* head dims of a key page converted at once: [KEY_DIMS, 64] floats are 32 KiB */
#define FEW_QUERIES TILE_TOKENS /* queries that read a page as it lies */
#define PAGE_VECTORS (TFM__PAGE_TOKENS / VECTOR)

/* What is kept for a block of queries while its pages go by. */
typedef struct query_block {
    const tfm__attention_tile *tile;
    size_t query0, queries;
    _Alignas(64) float scores[QUERY_BLOCK * TFM__PAGE_TOKENS]; /* then p: [queries, 64] */
    _Alignas(64) float converted[KEY_DIMS * TFM__PAGE_TOKENS];
    float rescale[QUERY_BLOCK];               /* c of this page; 1 where it has no key */
    uint8_t lo[QUERY_BLOCK], hi[QUERY_BLOCK]; /* its keys in this page; none: lo = hi = 0 */
    bool seen[QUERY_BLOCK];                   /* had a key in an earlier page */
} query_block;

/* ---- Scores -------------------------------------------------------------------------------------------- */

/* scores[query] (+)= q . k over dims of them; w holds [dims, 64] keys of type. */
static INLINE void score_tile(query_block *b, size_t query, size_t dim0, size_t dims, uint32_t type,
                              const char *w, int vectors, int tokens) {
    const tfm__attention_tile *tile = b->tile;
    const float *q = tile->q + (b->query0 + query) * tile->q_stride + dim0;
    for (size_t at = 0; at < TFM__PAGE_TOKENS; at += (size_t)vectors * VECTOR) {
        float *scores = b->scores + query * TFM__PAGE_TOKENS + at;
        v16 acc[24];
        UNROLL for (int t = 0; t < tokens; t++) {
            UNROLL for (int v = 0; v < vectors; v++) {
                const float *score = scores + t * TFM__PAGE_TOKENS + v * VECTOR;
                acc[t * vectors + v] = dim0 ? v16_load(score) : v16_set(0.0f);
            }
        }
        tile_chain(acc, vectors, tokens, type, w + at * size_of(type), TFM__PAGE_TOKENS * size_of(type), q,
                   tile->q_stride, dims);
        UNROLL for (int t = 0; t < tokens; t++) {
            UNROLL for (int v = 0; v < vectors; v++) {
                v16_store(scores + t * TFM__PAGE_TOKENS + v * VECTOR, acc[t * vectors + v]);
            }
        }
    }
}

/* One function for each number of queries, so that the accumulators have fixed registers. */
#define SCORES(count)                                                                                        \
    static void scores_##count(query_block *b, size_t query, size_t dim0, size_t dims, uint32_t type,        \
                               const char *w) {                                                              \
        if (type == TFM__F32)                                                                                \
            score_tile(b, query, dim0, dims, TFM__F32, w, TILE_VECTORS(count), count);                       \
        else if (type == TFM__F16)                                                                           \
            score_tile(b, query, dim0, dims, TFM__F16, w, TILE_VECTORS(count), count);                       \
        else                                                                                                 \
            score_tile(b, query, dim0, dims, TFM__BF16, w, TILE_VECTORS(count), count);                      \
    }
SCORES(1)
SCORES(2)
SCORES(3)
SCORES(4)
SCORES(5)
SCORES(6)

/* Quantised keys of dims dim0 .. dim0 + dims - 1, dim0 the first of a block, as [dims, 64] floats: see
 * cache_blocks.h. */
static void quantised_keys(const tfm__attention_tile *tile, const void *page, size_t dim0, size_t dims,
                           float *out) {
    const size_t unit = tfm__cache_unit(tile->kv_type);
    const uint8_t *scales = (const uint8_t *)page + tfm__cache_scales(tile->kv_type, tile->head_dim_k);
    for (size_t d = 0; d < dims; d += TFM__CACHE_BLOCK) {
        const size_t block = (dim0 + d) / TFM__CACHE_BLOCK, n = TFM__MIN(dims - d, TFM__CACHE_BLOCK);
        const uint8_t *bytes = (const uint8_t *)page + block * unit * TFM__PAGE_TOKENS;
        float scale[TFM__PAGE_TOKENS];
        f16_to_f32(scales + block * TFM__PAGE_TOKENS * 2, scale, TFM__PAGE_TOKENS);
        for (size_t i = 0; i < TFM__MIN(n, unit); i++) {
            const uint8_t *row = bytes + i * TFM__PAGE_TOKENS;
            float *to = out + (d + i) * TFM__PAGE_TOKENS;
            if (tile->kv_type == TFM__Q8_0) {
                for (size_t j = 0; j < TFM__PAGE_TOKENS; j++) to[j] = scale[j] * (float)(int8_t)row[j];
                continue;
            }
            for (size_t j = 0; j < TFM__PAGE_TOKENS; j++) to[j] = scale[j] * (float)((row[j] & 15) - 8);
            if (i + unit >= n) continue;
            to += unit * TFM__PAGE_TOKENS;
            for (size_t j = 0; j < TFM__PAGE_TOKENS; j++) to[j] = scale[j] * (float)((row[j] >> 4) - 8);
        }
    }
}

/* Dims dim0 .. dim0 + padded - 1 of a slot's quantised value, whole vectors: half blocks, padding and all. */
static void quantised_value(const tfm__attention_tile *tile, const void *page, size_t slot, size_t dim0,
                            size_t padded, float *out) {
    const size_t unit = tfm__cache_unit(tile->kv_type), blocks = tfm__cache_blocks(tile->head_dim_v);
    const uint8_t *scales = (const uint8_t *)page + tfm__cache_scales(tile->kv_type, tile->head_dim_v);
    for (size_t d = 0; d < padded; d += VECTOR) {
        const size_t block = slot * blocks + (dim0 + d) / TFM__CACHE_BLOCK;
        const bool second = (dim0 + d) % TFM__CACHE_BLOCK != 0;
        const uint8_t *bytes = (const uint8_t *)page + block * unit;
        float scale;
        f16_to_f32(scales + block * 2, &scale, 1);
        if (tile->kv_type == TFM__Q8_0)
            for (size_t i = 0; i < VECTOR; i++)
                out[d + i] = scale * (float)(int8_t)bytes[(second ? VECTOR : 0) + i];
        else if (second)
            for (size_t i = 0; i < VECTOR; i++) out[d + i] = scale * (float)((bytes[i] >> 4) - 8);
        else
            for (size_t i = 0; i < VECTOR; i++) out[d + i] = scale * (float)((bytes[i] & 15) - 8);
    }
}

static INLINE void to_f32_of(uint32_t type, const void *source, float *out, size_t n) {
    if (type == TFM__F16)
        f16_to_f32(source, out, n);
    else
        bf16_to_f32(source, out, n);
}

/* The scores of queries from .. to-1 of the block for every slot of the page. */
static void page_scores(query_block *b, const void *page, size_t from, size_t to) {
    static void (*const scores[TILE_TOKENS])(query_block *, size_t, size_t, size_t, uint32_t,
                                             const char *) = {scores_1, scores_2, scores_3,
                                                              scores_4, scores_5, scores_6};
    const tfm__attention_tile *tile = b->tile;
    uint32_t type = tile->kv_type;
    bool quantised = tfm__cache_quantised(type);
    bool convert = quantised || (type != TFM__F32 && to - from > FEW_QUERIES);
    size_t step = convert ? KEY_DIMS : tile->head_dim_k;
    for (size_t dim0 = 0; dim0 < tile->head_dim_k; dim0 += step) {
        size_t dims = TFM__MIN(tile->head_dim_k - dim0, step);
        const char *w = page;
        if (convert) {
            if (quantised)
                quantised_keys(tile, page, dim0, dims, b->converted);
            else
                to_f32_of(type, w + dim0 * TFM__PAGE_TOKENS * 2, b->converted, dims * TFM__PAGE_TOKENS);
            w = (const char *)b->converted;
        }
        for (size_t query = from; query < to; query += TILE_TOKENS) {
            scores[TFM__MIN(to - query, TILE_TOKENS) - 1](b, query, dim0, dims, convert ? TFM__F32 : type, w);
        }
    }
}

/* Scores of one query to p, its rescaling, and its m and l brought up to date. positions: of the slots, as
 * floats; base: of the first. */
static void page_softmax(query_block *b, size_t query, uint32_t base, const float *positions) {
    const tfm__attention_tile *tile = b->tile;
    size_t i = b->query0 + query, lo = b->lo[query], hi = b->hi[query];
    b->rescale[query] = 1.0f;
    if (lo >= hi) return;
    float *scores = b->scores + query * TFM__PAGE_TOKENS;
    v16 s[PAGE_VECTORS], least = v16_set(-INFINITY), most = least;
    for (int v = 0; v < PAGE_VECTORS; v++) s[v] = v16_load(scores + v * VECTOR);
    if (tile->soft_cap != 0.0f) {
        v16 cap = v16_set(tile->soft_cap), inverse = v16_set(1.0f / tile->soft_cap);
        for (int v = 0; v < PAGE_VECTORS; v++) s[v] = v16_mul(cap, v16_tanh(v16_mul(s[v], inverse)));
    }
    if (tile->slopes) {
        v16 slope = v16_set(tile->slopes[i]), position = v16_set((float)tile->positions[i]);
        for (int v = 0; v < PAGE_VECTORS; v++) {
            s[v] = v16_fma(slope, v16_sub(v16_load(positions + v * VECTOR), position), s[v]);
        }
    }
    if (tile->bias) {
        const float *bias = tile->bias + tile->bias_at[i] + base;
        for (int v = 0; v < PAGE_VECTORS; v++) s[v] = v16_add(s[v], v16_load(bias + v * VECTOR));
    }
    bool whole = lo == 0 && hi == TFM__PAGE_TOKENS;
    for (int v = 0; v < PAGE_VECTORS; v++) {
        size_t start = (size_t)v * VECTOR, from = lo > start ? lo - start : 0,
               to = hi > start ? hi - start : 0;
        if (!whole) s[v] = v16_keep(s[v], from, to, least);
        most = v16_most(s[v], most);
    }
    float m = tile->m[i], largest = v16_maximum(most), m_new = largest > m ? largest : m;
    v16 maximum = v16_set(m_new), sum = v16_set(0.0f);
    for (int v = 0; v < PAGE_VECTORS; v++) {
        size_t start = (size_t)v * VECTOR, from = lo > start ? lo - start : 0,
               to = hi > start ? hi - start : 0;
        v16 p = v16_exp(v16_sub(s[v], maximum));
        if (!whole) p = v16_keep(p, from, to, v16_set(0.0f));
        v16_store(scores + v * VECTOR, p);
        sum = v ? v16_add(sum, p) : p;
    }
    float c = b->seen[query] ? tfm__exp(m - m_new) : 0.0f, *l = tile->l + i * VECTOR;
    v16_store(l, v16_fma(v16_load(l), v16_set(c), sum));
    b->rescale[query] = c;
    b->seen[query] = true;
    tile->m[i] = m_new;
}

/* ---- Output -------------------------------------------------------------------------------------------- */

/* A column block of a value page: count head dims from dim0 on. */
typedef struct value_block {
    const char *w; /* key j at w + j * stride, as type; rows readable for whole vectors */
    size_t stride; /* bytes */
    uint32_t type;
    size_t dim0, count; /* count <= 64, less than a whole vector only if alone */
} value_block;

/* o = o * rescale, then o = fma(p[j], v[j], o) for j in [from, to), for tokens queries. */
static INLINE void output_tile(query_block *b, size_t query, const value_block *block, size_t from, size_t to,
                               uint32_t type, int vectors, int tokens) {
    const tfm__attention_tile *tile = b->tile;
    for (size_t at = 0; at < block->count; at += (size_t)vectors * VECTOR) {
        size_t left = TFM__MIN(block->count - at, VECTOR); /* only of interest when vectors is 1 */
        float *o = tile->o + (b->query0 + query) * tile->o_stride + block->dim0 + at;
        v16 acc[24];
        UNROLL for (int t = 0; t < tokens; t++) {
            v16 c = v16_set(b->rescale[query + (size_t)t]);
            UNROLL for (int v = 0; v < vectors; v++) {
                const float *out = o + (size_t)t * tile->o_stride + v * VECTOR;
                acc[t * vectors + v] = v16_mul(left < VECTOR ? v16_load_n(out, left) : v16_load(out), c);
            }
        }
        tile_chain(acc, vectors, tokens, type, block->w + from * block->stride + at * size_of(type),
                   block->stride, b->scores + query * TFM__PAGE_TOKENS + from, TFM__PAGE_TOKENS, to - from);
        UNROLL for (int t = 0; t < tokens; t++) {
            UNROLL for (int v = 0; v < vectors; v++) {
                float *out = o + (size_t)t * tile->o_stride + v * VECTOR;
                if (left < VECTOR)
                    v16_store_n(out, acc[t * vectors + v], left);
                else
                    v16_store(out, acc[t * vectors + v]);
            }
        }
    }
}

#define OUTPUT_OF(type, vectors, number) output_tile(b, query, block, from, to, type, vectors, number)
#define OUTPUTS(number)                                                                                      \
    static void outputs_##number(query_block *b, size_t query, const value_block *block, size_t from,        \
                                 size_t to) {                                                                \
        bool wide = block->count == PAGE_VECTORS * VECTOR;                                                   \
        if (block->type == TFM__F32) {                                                                       \
            if (wide)                                                                                        \
                OUTPUT_OF(TFM__F32, TILE_VECTORS(number), number);                                           \
            else                                                                                             \
                OUTPUT_OF(TFM__F32, 1, number);                                                              \
        } else if (block->type == TFM__F16) {                                                                \
            if (wide)                                                                                        \
                OUTPUT_OF(TFM__F16, TILE_VECTORS(number), number);                                           \
            else                                                                                             \
                OUTPUT_OF(TFM__F16, 1, number);                                                              \
        } else {                                                                                             \
            if (wide)                                                                                        \
                OUTPUT_OF(TFM__BF16, TILE_VECTORS(number), number);                                          \
            else                                                                                             \
                OUTPUT_OF(TFM__BF16, 1, number);                                                             \
        }                                                                                                    \
    }
OUTPUTS(1)
OUTPUTS(2)
OUTPUTS(3)
OUTPUTS(4)
OUTPUTS(5)
OUTPUTS(6)

/* The outputs of tokens neighbouring queries. They share the keys that all of them have; what one has before
 * and after is done for it alone, in the same order of keys. rescale is left as it was, for the other blocks
 * of head dims. */
static void group_outputs(query_block *b, size_t query, size_t tokens, const value_block *block) {
    static void (*const outputs[TILE_TOKENS])(query_block *, size_t, const value_block *, size_t, size_t) = {
        outputs_1, outputs_2, outputs_3, outputs_4, outputs_5, outputs_6};
    size_t from = 0, to = TFM__PAGE_TOKENS;
    for (size_t t = query; t < query + tokens; t++) {
        from = TFM__MAX(from, b->lo[t]);
        to = TFM__MIN(to, b->hi[t]);
    }
    if (from >= to) {
        for (size_t t = query; t < query + tokens; t++) {
            if (b->lo[t] < b->hi[t]) outputs[0](b, t, block, b->lo[t], b->hi[t]);
        }
        return;
    }
    float kept[TILE_TOKENS];
    memcpy(kept, b->rescale + query, tokens * sizeof *kept);
    for (size_t t = query; t < query + tokens; t++) {
        if (b->lo[t] >= from) continue;
        outputs[0](b, t, block, b->lo[t], from);
        b->rescale[t] = 1.0f; /* done */
    }
    outputs[tokens - 1](b, query, block, from, to);
    for (size_t t = query; t < query + tokens; t++) {
        if (b->hi[t] <= to) continue;
        b->rescale[t] = 1.0f;
        outputs[0](b, t, block, to, b->hi[t]);
    }
    memcpy(b->rescale + query, kept, tokens * sizeof *kept);
}

static void page_outputs(query_block *b, const void *page, size_t from, size_t to) {
    const tfm__attention_tile *tile = b->tile;
    uint32_t type = tile->kv_type;
    const bool quantised = tfm__cache_quantised(type);
    const size_t dims = tile->head_dim_v, element = size_of(type), stride = dims * element;
    size_t low = TFM__PAGE_TOKENS, high = 0; /* keys that anyone has: only those may be read */
    for (size_t query = from; query < to; query++) {
        if (b->lo[query] >= b->hi[query]) continue;
        low = TFM__MIN(low, b->lo[query]);
        high = TFM__MAX(high, b->hi[query]);
    }
    size_t whole = dims / VECTOR * VECTOR;
    for (size_t dim0 = 0; dim0 < dims;) {
        const size_t wide = PAGE_VECTORS * VECTOR;
        size_t count = dim0 + wide <= whole ? wide : dim0 < whole ? VECTOR : dims - whole;
        value_block block = {(const char *)page + dim0 * element, stride, type, dim0, count};
        if (count < VECTOR || quantised ||
            (type != TFM__F32 && to - from > FEW_QUERIES)) { /* padded with zeros to whole vectors */
            size_t padded = (count + VECTOR - 1) / VECTOR * VECTOR;
            for (size_t j = low; quantised && j < high; j++)
                quantised_value(tile, page, j, dim0, padded, b->converted + j * padded);
            for (size_t j = low; !quantised && j < high; j++) {
                const char *row = block.w + j * stride;
                for (size_t d = 0; d < padded; d += VECTOR) {
                    v16 v =
                        count < VECTOR ? load_typed_n(type, row, count) : load_typed(type, row + d * element);
                    v16_store(b->converted + j * padded + d, v);
                }
            }
            block.w = (const char *)b->converted;
            block.stride = padded * sizeof(float);
            block.type = TFM__F32;
        }
        for (size_t query = from; query < to; query += TILE_TOKENS) {
            group_outputs(b, query, TFM__MIN(to - query, TILE_TOKENS), &block);
        }
        dim0 += count;
    }
}

/* ---- A tile -------------------------------------------------------------------------------------------- */

/* Which keys of the page at position base each query has; from and to are left around those that have any. */
static void page_ranges(query_block *b, uint64_t base, size_t *from, size_t *to) {
    *from = b->queries;
    *to = 0;
    for (size_t query = 0; query < b->queries; query++) {
        uint64_t first = b->tile->first[b->query0 + query], last = b->tile->last[b->query0 + query];
        uint64_t lo = first > base ? TFM__MIN(first - base, TFM__PAGE_TOKENS) : 0;
        uint64_t hi = last > base ? TFM__MIN(last - base, TFM__PAGE_TOKENS) : 0;
        bool any = lo < hi;
        b->lo[query] = any ? (uint8_t)lo : 0;
        b->hi[query] = any ? (uint8_t)hi : 0;
        if (!any) continue;
        *from = TFM__MIN(*from, query);
        *to = query + 1;
    }
}

/* A page is fetched while the one before it is worked on. */
static void fetch_page(const void *page, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64) PREFETCH((const char *)page + at);
}

static void attention(const tfm__attention_tile *tile) {
    const size_t k_bytes = TFM__PAGE_TOKENS * tfm__cache_slot_bytes(tile->kv_type, tile->head_dim_k);
    const size_t v_bytes = TFM__PAGE_TOKENS * tfm__cache_slot_bytes(tile->kv_type, tile->head_dim_v);
    query_block b;
    b.tile = tile;
    for (b.query0 = 0; b.query0 < tile->queries; b.query0 += QUERY_BLOCK) {
        b.queries = TFM__MIN(tile->queries - b.query0, QUERY_BLOCK);
        for (size_t query = 0; query < b.queries; query++) {
            size_t i = b.query0 + query;
            tile->m[i] = -INFINITY;
            v16_store(tile->l + i * VECTOR, v16_set(0.0f));
            for (size_t d = 0; d < tile->head_dim_v; d++) tile->o[i * tile->o_stride + d] = 0.0f;
            b.seen[query] = false;
        }
        for (size_t page = 0; page < tile->pages; page++) {
            uint64_t base = (uint64_t)tile->first_position + page * TFM__PAGE_TOKENS;
            size_t from, to;
            page_ranges(&b, base, &from, &to);
            if (from >= to) continue;
            float positions[TFM__PAGE_TOKENS];
            if (tile->slopes) {
                for (uint32_t j = 0; j < TFM__PAGE_TOKENS; j++) positions[j] = (float)((uint32_t)base + j);
            }
            fetch_page(tile->v_pages[page], v_bytes);
            page_scores(&b, tile->k_pages[page], from, to);
            for (size_t query = from; query < to; query++) page_softmax(&b, query, (uint32_t)base, positions);
            if (page + 1 < tile->pages) fetch_page(tile->k_pages[page + 1], k_bytes);
            page_outputs(&b, tile->v_pages[page], from, to);
        }
    }
}
