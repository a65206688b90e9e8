/* quant_lanes.h - the bodies of the quantised kernels that do not depend on the width of a vector:
 * spelling blocks out in registers, the product with a single token, and values as floats. Included by the
 * avx2_quant and avx512_quant files, neon_quant.c and dotprod_quant.c only, after the small vocabulary used
 * here (vec, fvec, LANES, ROWS, v_..., f_...).
 *
 * A vec is LANES lanes of 16 bytes (4 with AVX-512, 2 with AVX2, 1 with NEON); an fvec is ROWS = 4 * LANES
 * floats.
 *
 * Lane order: v_rows(p, stride, j) reads 16 bytes of LANES rows at once: lane i has row 4 i + j. Dot products
 * leave four partial sums per lane, and v_reduce of the four j gives the sums of rows 0, 1, 2 ... in order.
 *
 * Column order: v_transpose of the four j gives four vectors; vector d has dword d of the 16 bytes of each
 * row, rows in order: what the matrix kernels multiply (4 values of k by ROWS rows).
 *
 * Taking blocks apart works byte by byte, so the same functions serve both orders: `raw` below is the run of
 * 16-byte chunks of a block, and piece p is the values 16 p .. 16 p + 15 as unsigned bytes, value +
 * bias_of(type).
 *
 * Pairs of u8 x s8 are at most 2 * 63 * 127 = 16002, two pairs of 5 bits 2 * 2 * 31 * 127 = 15748: they fit
 * in 16 bits. Sums over a super-block are below 2^29 (ref_quant.c). */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer) ||                       \
    __has_feature(thread_sanitizer)
#define COMPILE_SMALL /* with everything inlined and unrolled, clang's sanitizers take many minutes */
#endif
#endif

#if defined(COMPILE_SMALL)
#define INLINE static __attribute__((noinline, unused))
#define UNROLL
#elif defined(__clang__)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Keeps a sum where it is: compilers make trees of chains of integer additions, and run out of registers. */
#if defined(__aarch64__)
#define IN_ORDER(v) __asm__("" : "+w"(v))
#else
#define IN_ORDER(v) __asm__("" : "+v"(v))
#endif

/* Where things lie, as constants: the type is always known when these are compiled. */
INLINE size_t block_bytes_of(uint32_t type) {
    switch (type) {
    case TFM__Q4_0:
        return TFM__Q4_0_BYTES;
    case TFM__Q4_1:
        return TFM__Q4_1_BYTES;
    case TFM__Q5_0:
        return TFM__Q5_0_BYTES;
    case TFM__Q5_1:
        return TFM__Q5_1_BYTES;
    case TFM__Q8_0:
        return TFM__Q8_0_BYTES;
    case TFM__IQ4_NL:
        return TFM__IQ4_NL_BYTES;
    case TFM__MXFP4:
        return TFM__MXFP4_BYTES;
    case TFM__Q2_K:
        return TFM__Q2_K_BYTES;
    case TFM__Q3_K:
        return TFM__Q3_K_BYTES;
    case TFM__Q4_K:
        return TFM__Q4_K_BYTES;
    case TFM__Q5_K:
        return TFM__Q5_K_BYTES;
    case TFM__Q6_K:
        return TFM__Q6_K_BYTES;
    default:
        return TFM__IQ4_XS_BYTES;
    }
}

/* The 16-byte chunks that hold the quants are one run in every format. */
INLINE size_t chunks_at(uint32_t type) {
    switch (type) {
    case TFM__Q4_0:
    case TFM__Q8_0:
    case TFM__IQ4_NL:
        return 2;
    case TFM__Q4_1:
        return 4;
    case TFM__Q5_0:
        return 6;
    case TFM__Q5_1:
        return 8;
    case TFM__MXFP4:
        return 1;
    case TFM__Q2_K:
    case TFM__Q4_K:
    case TFM__Q5_K:
        return 16;
    case TFM__Q3_K:
    case TFM__Q6_K:
        return 0;
    default:
        return 8; /* IQ4_XS */
    }
}

INLINE int chunks_of(uint32_t type) {
    switch (type) {
    case TFM__Q8_0:
        return 2;
    case TFM__Q2_K:
        return 4;
    case TFM__Q3_K:
        return 6;
    case TFM__Q4_K:
    case TFM__IQ4_XS:
        return 8;
    case TFM__Q5_K:
        return 10;
    case TFM__Q6_K:
        return 12;
    default:
        return 1;
    }
}

INLINE bool has_minimums(uint32_t type) {
    return type == TFM__Q4_1 || type == TFM__Q5_1 || type == TFM__Q2_K || type == TFM__Q4_K ||
           type == TFM__Q5_K;
}

INLINE bool has_super_blocks(uint32_t type) {
    return (type >= TFM__Q2_K && type <= TFM__Q6_K) || type == TFM__IQ4_XS;
}

/* Values that need all 8 bits: their products with activations have routines of their own (v_wide_..). */
INLINE bool is_wide(uint32_t type) { return type == TFM__Q8_0 || type == TFM__IQ4_NL || type == TFM__IQ4_XS; }

/* What was added to a value to make it unsigned. */
INLINE int bias_of(uint32_t type) {
    switch (type) {
    case TFM__Q4_0:
        return 8;
    case TFM__Q5_0:
        return 16;
    case TFM__MXFP4:
        return 12;
    case TFM__Q3_K:
        return 4;
    case TFM__Q6_K:
        return 32;
    case TFM__Q8_0:
    case TFM__IQ4_NL:
    case TFM__IQ4_XS:
        return WIDE_BIAS;
    default:
        return 0;
    }
}

INLINE vec low_nibble(vec v) { return v_and(v, v_set8(15)); }
INLINE vec high_nibble(vec v) { return v_and(v_srl16(v, 4), v_set8(15)); }

static const int8_t iq4_biased[16] __attribute__((aligned(16))) = {TFM__IQ4_VALUES(0)};
static const int8_t fp4_biased[16] __attribute__((aligned(16))) = {TFM__FP4_VALUES(12)};

INLINE vec two_bits(vec v, int shift) { return v_and(shift ? v_srl16(v, shift) : v, v_set8(3)); }

/* Bit n of each byte, moved to bit m. */
INLINE vec one_bit(vec v, int n, int m) {
    vec moved = n > m ? v_srl16(v, n - m) : n < m ? v_sll16(v, m - n) : v;
    return v_and(moved, v_set8(1 << m));
}

/* Values 16 p .. 16 p + 15 of a block, but for the fifth bits of Q5_0 and Q5_1. */
INLINE vec piece(uint32_t type, const vec *raw, int p) {
    switch (type) {
    case TFM__Q4_0:
    case TFM__Q4_1:
    case TFM__Q5_0:
    case TFM__Q5_1:
        return p ? high_nibble(raw[0]) : low_nibble(raw[0]);
    case TFM__MXFP4:
        return v_shuffle(v_lane(fp4_biased), p ? high_nibble(raw[0]) : low_nibble(raw[0]));
    case TFM__IQ4_NL:
        return v_wide(v_shuffle(v_lane(iq4_biased), p ? high_nibble(raw[0]) : low_nibble(raw[0])));
    case TFM__Q8_0:
        return v_wide(raw[p]);
    case TFM__IQ4_XS:
        return v_wide(
            v_shuffle(v_lane(iq4_biased), p & 1 ? high_nibble(raw[p / 2]) : low_nibble(raw[p / 2])));
    case TFM__Q2_K:
        return two_bits(raw[p / 8 * 2 + p % 2], p % 8 / 2 * 2);
    case TFM__Q3_K:
        return v_or(two_bits(raw[2 + p / 8 * 2 + p % 2], p % 8 / 2 * 2), one_bit(raw[p % 2], p / 2, 2));
    case TFM__Q4_K:
    case TFM__Q5_K: {
        vec byte = raw[(type == TFM__Q5_K ? 2 : 0) + p / 4 * 2 + p % 2];
        vec low = p & 2 ? high_nibble(byte) : low_nibble(byte);
        return type == TFM__Q5_K ? v_or(low, one_bit(raw[p % 2], p / 2, 4)) : low;
    }
    default: { /* Q6_K */
        vec byte = raw[p / 8 * 4 + p % 4];
        vec low = p & 4 ? high_nibble(byte) : low_nibble(byte);
        vec high = raw[8 + p / 8 * 2 + p % 2];
        int shift = p % 8 / 2 * 2; /* of the two bits in their byte; they go to bits 4 and 5 */
        high = shift < 4 ? v_sll16(high, 4 - shift) : shift > 4 ? v_srl16(high, shift - 4) : high;
        return v_or(low, v_and(high, v_set8(0x30)));
    }
    }
}

/* The fifth bits of Q5_0 / Q5_1 for piece p in lane order: head is the first 16 bytes of the block. */
INLINE vec fifth_bits_of_lane(uint32_t type, vec head, int p) {
    int at = (type == TFM__Q5_0 ? 2 : 4) + 2 * p;
    vec bytes = v_shuffle(head, v_set64(at * 0x0101010101010101, (at + 1) * 0x0101010101010101));
    vec bits = v_set64((int64_t)0x8040201008040201u, (int64_t)0x8040201008040201u);
    return v_if_bits(bytes, bits, v_set8(16));
}

/* The same in column order, for dword d of piece p: bits has the four bytes of each row. */
INLINE vec fifth_bits_of_column(vec bits, int p, int d) {
    vec bytes =
        v_shuffle(bits, v_add8(v_set64(0x0404040400000000, 0x0c0c0c0c08080808), v_set8(2 * p + d / 2)));
    return v_if_bits(bytes, v_set32(d & 1 ? (int32_t)0x80402010u : 0x08040201), v_set8(16));
}

/* ---- Scales of super-blocks ---------------------------------------------------------------------------- */

/* Sub-scales and minimums as 16-bit integers, in lane order: low has the first 8, high the rest (of 16). */
typedef struct sub_scales {
    vec low, high, minimum_low, minimum_high;
} sub_scales;

INLINE bool has_16_scales(uint32_t type) {
    return type == TFM__Q2_K || type == TFM__Q3_K || type == TFM__Q6_K;
}

/* The first / last 8 of 16 unsigned bytes, to 16 bits. */
INLINE vec low_bytes(vec v) {
    return v_shuffle(v, v_set64((int64_t)0x8003800280018000u, (int64_t)0x8007800680058004u));
}
INLINE vec high_bytes(vec v) {
    return v_shuffle(v, v_set64((int64_t)0x800b800a80098008u, (int64_t)0x800f800e800d800cu));
}

INLINE size_t scales_at(uint32_t type) { return type == TFM__Q6_K ? 192 : type == TFM__Q3_K ? 94 : 0; }

/* head: the 16 bytes at scales_at. */
INLINE sub_scales sub_scales_of(uint32_t type, vec head) {
    sub_scales s = {v_zero(), v_zero(), v_zero(), v_zero()};
    switch (type) {
    case TFM__Q2_K: {
        vec scale = low_nibble(head), minimum = high_nibble(head);
        s.low = low_bytes(scale), s.high = high_bytes(scale);
        s.minimum_low = low_bytes(minimum), s.minimum_high = high_bytes(minimum);
        break;
    }
    case TFM__Q3_K: { /* bytes 2-9: low nibbles (of the first 8, then of the last); 10-13: bit pairs */
        vec bytes = v_shuffle(head, v_set64(0x0908070605040302, 0x0908070605040302));
        vec low = v_or(v_and(bytes, v_set64(0x0f0f0f0f0f0f0f0f, 0)),
                       v_and(v_srl16(bytes, 4), v_set64(0, 0x0f0f0f0f0f0f0f0f)));
        vec pairs =
            v_srlv32(v_shuffle(head, v_set32(0x0d0c0b0a)), v_set64((int64_t)2 << 32, (int64_t)6 << 32 | 4));
        vec scale = v_sub8(v_or(low, v_sll16(v_and(pairs, v_set8(3)), 4)), v_set8(32));
        s.low = v_low_signed(scale), s.high = v_high_signed(scale);
        break;
    }
    case TFM__Q6_K:
        s.low = v_low_signed(head), s.high = v_high_signed(head);
        break;
    case TFM__IQ4_XS: { /* bytes 2-3: bit pairs; 4-7: nibbles; products serve as shifts that differ by place
                         */
        vec nibbles = v_shuffle(head, v_set64((int64_t)0x8005800580048004u, (int64_t)0x8007800780068006u));
        nibbles = v_and(v_srl16(v_mul16(nibbles, v_set32(0x00010010)), 4), v_set16(15));
        vec pairs =
            v_mul16(v_shuffle(head, v_set16(0x0302)), v_set64(0x0100040010004000, 0x0001000400100040));
        s.low = v_sub16(v_or(nibbles, v_sll16(v_srl16(pairs, 14), 4)), v_set16(32));
        break;
    }
    default: { /* Q4_K, Q5_K: 12 bytes from byte 4 on; see scales_of_12 in ref_quant.c */
        vec bytes = v_shuffle(head, v_set64(0x0f0e0d0c07060504, 0x0f0e0d0c0b0a0908));
        vec tops = v_shuffle(head, v_set64((int64_t)0x0706050480808080u, (int64_t)0x0b0a090880808080u));
        vec all = v_and(bytes, v_set64(0x0f0f0f0f3f3f3f3f, 0x3f3f3f3f));
        all = v_or(all, v_and(v_srl16(bytes, 4), v_set64(0, 0x0f0f0f0f00000000)));
        all = v_or(all, v_and(v_srl16(tops, 2), v_set8(0x30)));
        s.low = low_bytes(all), s.minimum_low = high_bytes(all);
        break;
    }
    }
    return s;
}

/* Scale p (0-15) in all 16-bit places of its lane. */
INLINE vec one_scale(const sub_scales *s, int p) {
    return v_shuffle(p < 8 ? s->low : s->high, v_set16((2 * (p % 8) + 1) << 8 | 2 * (p % 8)));
}

/* Scales d and m of ROWS blocks as floats. */
INLINE void block_scales(uint32_t type, const uint8_t *p, size_t stride, const vec *heads, fvec *d, fvec *m) {
    *m = f_zero();
    if (type == TFM__Q2_K || type == TFM__Q3_K || type == TFM__Q6_K) { /* in the last dword of 16 bytes */
        vec tails[4];
        size_t at = type == TFM__Q2_K ? 68 : type == TFM__Q3_K ? 94 : 194;
        UNROLL for (int j = 0; j < 4; j++) tails[j] = v_rows(p + at, stride, j);
        vec last = v_last(tails);
        *d = f_halves(type == TFM__Q2_K ? last : v_srl32(last, 16));
        if (type == TFM__Q2_K) *m = f_halves(v_srl32(last, 16));
    } else {
        vec first = v_first(heads);
        *d = type == TFM__MXFP4 ? f_exponents(first) : f_halves(first);
        if (has_minimums(type)) *m = f_halves(v_srl32(first, 16));
    }
}

/* ---- One token ----------------------------------------------------------------------------------------- */

/* Part i of n of the prefetching of `bytes` bytes: spread out among the loads, as bursts of it stall them,
 * and every line asked for twice, as the processor drops some requests (measured: 66 -> 93 % of the read loop
 * with Q6_K). */
INLINE void prefetch_part(const uint8_t *p, size_t bytes, int i, int n) {
    const int halves = (int)((bytes + 31) / 32);
    for (int line = i * halves / n; line < (i + 1) * halves / n; line++)
        __builtin_prefetch(p + 32 * (size_t)line, 0, 3);
}

/* ROWS rows of a type with blocks of 32. ahead: where to prefetch. */
INLINE fvec vector_32(uint32_t type, const uint8_t *p, size_t stride, size_t k, const void *x,
                      const uint8_t *ahead) {
    const size_t bytes = block_bytes_of(type);
    const int8_t *q = x;
    const float *scales = tfm__act_scales(x, k);
    const int32_t *sums = tfm__act_sums32(x, k);
    fvec total = f_zero();
    for (size_t b = 0; b < k / 32; b++, p += bytes, q += 32) {
        vec heads[4], acc[4], x0 = v_lane(q), x1 = v_lane(q + 16);
        UNROLL for (int j = 0; j < 4; j++) {
            vec raw[2], w0, w1;
            prefetch_part(ahead, bytes * ROWS, j, 4);
            heads[j] = v_rows(p, stride, j);
            raw[0] = v_rows(p + chunks_at(type), stride, j);
            if (chunks_of(type) == 2) raw[1] = v_rows(p + chunks_at(type) + 16, stride, j);
            w0 = piece(type, raw, 0), w1 = piece(type, raw, 1);
            if (type == TFM__Q5_0 || type == TFM__Q5_1) {
                w0 = v_or(w0, fifth_bits_of_lane(type, heads[j], 0));
                w1 = v_or(w1, fifth_bits_of_lane(type, heads[j], 1));
            }
            acc[j] = is_wide(type) ? v_wide_dots(w0, x0, w1, x1) : v_dots(w0, x0, w1, x1);
        }
        ahead += bytes * ROWS;
        vec sum = v_reduce(acc);
        if (bias_of(type)) sum = v_sub32(sum, v_set32(bias_of(type) * sums[b]));
        fvec d, m, dx = f_set(scales[b]);
        block_scales(type, p, stride, heads, &d, &m);
        total = f_fma(f_mul(d, dx), f_from(sum), total);
        if (has_minimums(type)) total = f_fma(f_mul(m, dx), f_set((float)sums[b]), total);
    }
    return total;
}

/* ROWS rows of a type with super-blocks of 256. */
INLINE fvec vector_256(uint32_t type, const uint8_t *p, size_t stride, size_t k, const void *x,
                       const uint8_t *ahead) {
    const size_t bytes = block_bytes_of(type);
    const int8_t *q = x;
    const float *scales = tfm__act_scales(x, k);
    const int16_t *sums = tfm__act_sums16(x, k);
    fvec total = f_zero();
    for (size_t b = 0; b < k / 256; b++, p += bytes, q += 256, sums += 16) {
        vec heads[4], acc[4], minimums[4];
        /* the sums that go with minimums and biases: over 16 or over 32 values, as the scales are */
        vec sums_low = v_lane(sums), sums_high = v_lane(sums + 8);
        if (!has_16_scales(type)) sums_low = v_hadd16(sums_low, sums_high);
        UNROLL for (int j = 0; j < 4; j++) {
            vec raw[12];
            heads[j] = v_rows(p + scales_at(type), stride, j);
            sub_scales s = sub_scales_of(type, heads[j]);
            UNROLL for (int c = 0; c < chunks_of(type); c++) {
                prefetch_part(ahead, bytes * LANES, c, chunks_of(type));
                raw[c] = v_rows(p + chunks_at(type) + 16 * (size_t)c, stride, j);
            }
            ahead += bytes * LANES;
            vec sum = v_zero();
            if (has_16_scales(type)) {
                UNROLL for (int i = 0; i < 16; i++) {
                    sum = v_scaled_dot(sum, piece(type, raw, i), v_lane(q + 16 * i), one_scale(&s, i));
                    IN_ORDER(sum);
                }
            } else if (is_wide(type)) {
                UNROLL for (int i = 0; i < 8; i++) {
                    sum = v_wide_scaled_dots(sum, piece(type, raw, 2 * i), v_lane(q + 32 * i),
                                             piece(type, raw, 2 * i + 1), v_lane(q + 32 * i + 16),
                                             one_scale(&s, i));
                    IN_ORDER(sum);
                }
            } else {
                UNROLL for (int i = 0; i < 8; i++) {
                    sum =
                        v_scaled_dots(sum, piece(type, raw, 2 * i), v_lane(q + 32 * i),
                                      piece(type, raw, 2 * i + 1), v_lane(q + 32 * i + 16), one_scale(&s, i));
                    IN_ORDER(sum);
                }
            }
            if (bias_of(type)) {
                vec excess = v_dpw(v_zero(), s.low, sums_low);
                if (has_16_scales(type)) excess = v_dpw(excess, s.high, sums_high);
                sum = v_sub32(sum, v_sll32(excess, __builtin_ctz((unsigned)bias_of(type) | 1u << 31)));
            }
            if (has_minimums(type)) {
                minimums[j] = v_dpw(v_zero(), s.minimum_low, sums_low);
                if (has_16_scales(type)) minimums[j] = v_dpw(minimums[j], s.minimum_high, sums_high);
            }
            acc[j] = sum;
        }
        fvec d, m, dx = f_set(scales[b]);
        block_scales(type, p, stride, heads, &d, &m);
        total = f_fma(f_mul(d, dx), f_from(v_reduce(acc)), total);
        if (has_minimums(type)) total = f_fnma(f_mul(m, dx), f_from(v_reduce(minimums)), total);
    }
    return total;
}

typedef fvec (*vector_group)(const uint8_t *p, size_t stride, size_t k, const void *x, const uint8_t *ahead);

#define PREFETCH_BYTES 16384 /* at least so far ahead, in whole groups of rows */

/* Every token by itself, ROWS rows at a time. The last group begins early enough to be whole, and rows before
 * row0 are only read; a matrix with fewer rows than a group goes to the reference. */
static inline void vector_product(const tfm__product *product, size_t row0, size_t row1, vector_group group) {
    if (row1 < ROWS || product->k == 0) {
        tfm__quant_product_ref(product, row0, row1);
        return;
    }
    size_t group_bytes = ROWS * product->row_stride;
    size_t distance =
        group_bytes >= PREFETCH_BYTES ? group_bytes : (PREFETCH_BYTES / (group_bytes | 1) + 1) * group_bytes;
    for (size_t row = row0; row < row1; row += ROWS) {
        size_t start = TFM__MIN(row, row1 - ROWS);
        const uint8_t *p = (const uint8_t *)product->weights + start * product->row_stride;
        for (size_t t = 0; t < product->tokens; t++) {
            const void *x = (const char *)product->x + t * product->x_stride;
            fvec total = group(p, product->row_stride, product->k, x, p + distance);
            if (product->bias) total = f_add(total, f_load_rows(product->bias + start, row - start));
            f_store_rows(product->y + t * product->y_stride + start, total, row - start);
        }
    }
}

/* ---- Values -------------------------------------------------------------------------------------------- */

/* n values, whole blocks, to floats: (d * scale) * q [- m * minimum], each product rounded. Every lane does
 * the same. */
INLINE void values_of(uint32_t type, const uint8_t *p, float *out, size_t n) {
    const bool super = has_super_blocks(type);
    const int pieces = super ? 16 : 2;
    for (const float *end = out + n; out < end; p += block_bytes_of(type)) {
        vec raw[12], head = v_lane(p + scales_at(type));
        fvec d, m;
        float scale[16], minimum[16];
        UNROLL for (int c = 0; c < chunks_of(type); c++) raw[c] =
            v_lane(p + chunks_at(type) + 16 * (size_t)c);
        vec heads[4] = {head, head, head, head};
        block_scales(type, p, 0, heads, &d, &m);
        if (super) {
            sub_scales s = sub_scales_of(type, head);
            UNROLL for (int h = 0; h < 16 / ROWS; h++) {
                f_store(scale + h * ROWS, f_mul(d, f_shorts(s.low, s.high, h)));
                f_store(minimum + h * ROWS, f_mul(m, f_shorts(s.minimum_low, s.minimum_high, h)));
            }
        }
        UNROLL for (int i = 0; i < pieces; i++, out += 16) {
            vec w = piece(type, raw, i);
            if (type == TFM__Q5_0 || type == TFM__Q5_1) w = v_or(w, fifth_bits_of_lane(type, head, i));
            int s = has_16_scales(type) ? i : i / 2;
            fvec factor = super ? f_set(scale[s]) : d;
            UNROLL for (int h = 0; h < 16 / ROWS; h++) {
                fvec value = f_mul(factor, f_from(v_sub32(v_bytes(w, h), v_set32(bias_of(type)))));
                if (super && has_minimums(type))
                    value = f_sub(value, f_set(minimum[s]));
                else if (has_minimums(type))
                    value = f_add(value, m);
                f_store(out + h * ROWS, value);
            }
        }
    }
}
