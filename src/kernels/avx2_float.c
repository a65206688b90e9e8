/* avx2_float.c - the float kernels for AVX2 with FMA and F16C: the vector layer over a pair of 256-bit
 * registers, and the template's three parts. Called only through the table, on processors that have it. */
#include <immintrin.h>

#include "kernels/cache_blocks.h"
#include "kernels/kernels.h"

#define INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
/* A matrix product's panel is 16 rows and its tile 16 rows x 6 tokens: 12 of the 16 registers. */
#define PANEL_ROWS 16
#define PANEL_TOKENS 6

/* ---- Vector layer -------------------------------------------------------------------------------------- */

typedef struct v16 {
    __m256 a, b; /* lanes 0 .. 7, 8 .. 15 */
} v16;

#define EACH(expression_a, expression_b) ((v16){expression_a, expression_b})

/* Lanes below n <= 16, as masks. */
static INLINE v16 mask_of(size_t n) {
    static const int32_t table[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    return EACH(_mm256_loadu_ps((const float *)(const void *)(table + 16 - n)),
                _mm256_loadu_ps((const float *)(const void *)(table + 24 - n)));
}

static INLINE __m256 load_f16(const char *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static INLINE __m256 load_bf16(const char *p) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static INLINE __m256 load_f32(const char *p) { return _mm256_loadu_ps((const float *)(const void *)p); }

static INLINE v16 v16_set(float x) { return EACH(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
static INLINE v16 v16_load(const float *p) { return EACH(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
static INLINE v16 v16_load_n(const float *p, size_t n) {
    v16 mask = mask_of(n);
    return EACH(_mm256_maskload_ps(p, _mm256_castps_si256(mask.a)),
                _mm256_maskload_ps(p + 8, _mm256_castps_si256(mask.b)));
}
static INLINE v16 v16_load_bytes(const char *p) { return EACH(load_f32(p), load_f32(p + 32)); }
static INLINE v16 v16_load_f16(const char *p) { return EACH(load_f16(p), load_f16(p + 16)); }
static INLINE v16 v16_load_bf16(const char *p) { return EACH(load_bf16(p), load_bf16(p + 16)); }
static INLINE void v16_store(float *p, v16 x) {
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
static INLINE void v16_store_n(float *p, v16 x, size_t n) {
    v16 mask = mask_of(n);
    _mm256_maskstore_ps(p, _mm256_castps_si256(mask.a), x.a);
    _mm256_maskstore_ps(p + 8, _mm256_castps_si256(mask.b), x.b);
}
static INLINE void v16_store_f16(uint16_t *p, v16 x) {
    _mm_storeu_si128((__m128i *)(void *)p,
                     _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    _mm_storeu_si128((__m128i *)(void *)(p + 8),
                     _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/* bfloat16 in the low halves of the lanes */
static INLINE __m256i round_bf16(__m256 x) {
    __m256i bits = _mm256_castps_si256(x), high = _mm256_srli_epi32(bits, 16);
    __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(_mm256_srli_epi32(rounded, 16), quiet, nan);
}
static INLINE void v16_store_bf16(uint16_t *p, v16 x) {
    __m256i packed = _mm256_packus_epi32(round_bf16(x.a), round_bf16(x.b)); /* lane by lane: 0 2 1 3 */
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(packed, 0xd8));
}

static INLINE v16 v16_add(v16 x, v16 y) { return EACH(_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)); }
static INLINE v16 v16_sub(v16 x, v16 y) { return EACH(_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)); }
static INLINE v16 v16_mul(v16 x, v16 y) { return EACH(_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)); }
static INLINE v16 v16_div(v16 x, v16 y) { return EACH(_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)); }
static INLINE v16 v16_fma(v16 x, v16 y, v16 z) {
    return EACH(_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b));
}
/* x < y ? x : y, and x > y ? x : y */
static INLINE v16 v16_least(v16 x, v16 y) { return EACH(_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)); }
static INLINE v16 v16_most(v16 x, v16 y) { return EACH(_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)); }
static INLINE v16 v16_abs(v16 x) {
    __m256 sign = _mm256_set1_ps(-0.0f);
    return EACH(_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b));
}
static INLINE v16 v16_negate(v16 x) {
    __m256 sign = _mm256_set1_ps(-0.0f);
    return EACH(_mm256_xor_ps(sign, x.a), _mm256_xor_ps(sign, x.b));
}
static INLINE v16 v16_with_sign(v16 x, v16 from) {
    __m256 sign = _mm256_set1_ps(-0.0f);
    return EACH(_mm256_or_ps(x.a, _mm256_and_ps(sign, from.a)),
                _mm256_or_ps(x.b, _mm256_and_ps(sign, from.b)));
}
static INLINE v16 v16_where_less(v16 x, v16 y, v16 yes, v16 no) {
    return EACH(_mm256_blendv_ps(no.a, yes.a, _mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ)),
                _mm256_blendv_ps(no.b, yes.b, _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)));
}
static INLINE bool v16_any_equal(v16 x, v16 y) {
    __m256 equal = _mm256_or_ps(_mm256_cmp_ps(x.a, y.a, _CMP_EQ_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_EQ_OQ));
    return _mm256_movemask_ps(equal) != 0;
}

/* Lanes from .. to-1 of x, other elsewhere; from and to may lie beyond 16. */
static INLINE v16 v16_keep(v16 x, size_t from, size_t to, v16 other) {
    v16 below_to = mask_of(TFM__MIN(to, 16)), below_from = mask_of(TFM__MIN(from, 16));
    return EACH(_mm256_blendv_ps(other.a, x.a, _mm256_andnot_ps(below_from.a, below_to.a)),
                _mm256_blendv_ps(other.b, x.b, _mm256_andnot_ps(below_from.b, below_to.b)));
}

/* p * 2^n, n in the low bits of shifted: the last step of tfm__exp. */
static INLINE __m256 scale_by_power(__m256 p, __m256 shifted) {
    __m256i whole = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(0x4b400000));
    __m256i half = _mm256_srai_epi32(whole, 1), bias = _mm256_set1_epi32(127);
    __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}
static INLINE v16 v16_scale_by_power(v16 p, v16 shifted) {
    return EACH(scale_by_power(p.a, shifted.a), scale_by_power(p.b, shifted.b));
}

/* The tree over the lanes. */
static INLINE float v16_sum(v16 x) {
    __m256 b = _mm256_add_ps(x.a, x.b);
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

/* The same tree with upper > lower ? upper : lower. */
static INLINE float v16_maximum(v16 x) {
    __m256 b = _mm256_max_ps(x.b, x.a);
    __m128 c = _mm_max_ps(_mm256_extractf128_ps(b, 1), _mm256_castps256_ps128(b));
    c = _mm_max_ps(_mm_movehl_ps(c, c), c);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(c), c));
}

/* x0 .. x15, y0 .. y15 to the even and the odd ones, and back. */
static INLINE __m256 pick(__m256 x, __m256 y, bool odd) {
    __m256 mixed = odd ? _mm256_shuffle_ps(x, y, 0xdd) : _mm256_shuffle_ps(x, y, 0x88);
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}
static INLINE void v16_unzip(v16 x, v16 y, v16 *even, v16 *odd) {
    *even = EACH(pick(x.a, x.b, false), pick(y.a, y.b, false));
    *odd = EACH(pick(x.a, x.b, true), pick(y.a, y.b, true));
}
static INLINE v16 mix(__m256 even, __m256 odd) {
    __m256 low = _mm256_unpacklo_ps(even, odd), high = _mm256_unpackhi_ps(even, odd);
    return EACH(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31));
}
static INLINE void v16_zip(v16 even, v16 odd, v16 *x, v16 *y) {
    *x = mix(even.a, odd.a);
    *y = mix(even.b, odd.b);
}

#include "kernels/float_fetch.h"

/* ---- Blocks of weights, row r at rows[r] + offset ----------------------------------------------------- */

/* Blocks are 16 rows x 64 bytes, a cache line of each row, taken eight rows x 32 bytes at a time.
 * Eight rows, eight columns of F32: block[j] = column j. */
static INLINE void load_block(const char *const *rows, size_t offset, __m256 block[8]) {
    __m256 r[8], t[8];
    UNROLL for (int i = 0; i < 8; i++) r[i] = load_f32(rows[i] + offset);
    UNROLL for (int q = 0; q < 2; q++) { /* t[4 q + c], lane L: column 4 L + c of rows 4 q .. 4 q + 3 */
        __m256 t0 = _mm256_unpacklo_ps(r[4 * q], r[4 * q + 1]),
               t1 = _mm256_unpackhi_ps(r[4 * q], r[4 * q + 1]);
        __m256 t2 = _mm256_unpacklo_ps(r[4 * q + 2], r[4 * q + 3]),
               t3 = _mm256_unpackhi_ps(r[4 * q + 2], r[4 * q + 3]);
        t[4 * q] = _mm256_shuffle_ps(t0, t2, 0x44);
        t[4 * q + 1] = _mm256_shuffle_ps(t0, t2, 0xee);
        t[4 * q + 2] = _mm256_shuffle_ps(t1, t3, 0x44);
        t[4 * q + 3] = _mm256_shuffle_ps(t1, t3, 0xee);
    }
    UNROLL for (int c = 0; c < 4; c++) {
        block[c] = _mm256_permute2f128_ps(t[c], t[4 + c], 0x20);
        block[4 + c] = _mm256_permute2f128_ps(t[c], t[4 + c], 0x31);
    }
}

/* Eight rows, sixteen columns of halves: block[16 j] .. of 8 halves = column j. The 8 x 8 blocks of the
 * 128-bit lanes go through memory, for conversion wants 128 bits at a time. */
static INLINE void load_half_block(const char *const *rows, size_t offset, uint16_t *columns) {
    __m256i r[8], t[8], u[8];
    UNROLL for (int i = 0; i < 8; i++) {
        r[i] = _mm256_loadu_si256((const __m256i *)(const void *)(rows[i] + offset));
    }
    UNROLL for (int i = 0; i < 4; i++) { /* rows 2 i, 2 i + 1: pairs of columns 0 .. 3, of columns 4 .. 7 */
        t[i] = _mm256_unpacklo_epi16(r[2 * i], r[2 * i + 1]);
        t[4 + i] = _mm256_unpackhi_epi16(r[2 * i], r[2 * i + 1]);
    }
    UNROLL for (int h = 0; h < 8; h += 4) { /* four rows each: columns h, h + 1 and h + 2, h + 3 */
        u[h] = _mm256_unpacklo_epi32(t[h], t[h + 1]);
        u[h + 1] = _mm256_unpackhi_epi32(t[h], t[h + 1]);
        u[h + 2] = _mm256_unpacklo_epi32(t[h + 2], t[h + 3]);
        u[h + 3] = _mm256_unpackhi_epi32(t[h + 2], t[h + 3]);
    }
    UNROLL for (int c = 0; c < 8; c++) { /* column c in the low lane, 8 + c in the high one */
        __m256i low = u[(c & 4) + (c >> 1 & 1)], high = u[(c & 4) + (c >> 1 & 1) + 2];
        __m256i both = c & 1 ? _mm256_unpackhi_epi64(low, high) : _mm256_unpacklo_epi64(low, high);
        _mm_store_si128((__m128i *)(void *)(columns + c * 8), _mm256_castsi256_si128(both));
        _mm_store_si128((__m128i *)(void *)(columns + (8 + c) * 8), _mm256_extracti128_si256(both, 1));
    }
}

/* Of pairs of bfloat16, the first ones and the second ones. */
static INLINE __m256 low_bf16(__m256 x) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x), 16));
}
static INLINE __m256 high_bf16(__m256 x) {
    return _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000u)));
}

static INLINE __m256 load_halves(uint32_t type, const uint16_t *p) {
    return type == TFM__F16 ? load_f16((const char *)p) : load_bf16((const char *)p);
}

/* sums[g * tokens + t] += in lane r, the chain of row 16 g + r's products with x[t], 64 bytes of it, in
 * order. All chains advance together, so that none waits for itself; meanwhile as many lines are fetched as
 * are used. */
static INLINE void block_chain(uint32_t type, int groups, int tokens, const char *const *rows, size_t offset,
                               const float *x, size_t x_stride, v16 *sums, fetch *ahead) {
    const int eights = 2 * groups;
    _Alignas(32) uint16_t columns[2][4][16 * 8]; /* F16 */
    __m256 block[2][4][8];                       /* the others */
    UNROLL for (int e = 0; e < eights;
                e++) { /* both halves of a line at once: it may not stay in the cache */
        UNROLL for (int half = 0; half < 2; half++) {
            if (type == TFM__F16)
                load_half_block(rows + 8 * e, offset + (size_t)half * 32, columns[half][e]);
            else
                load_block(rows + 8 * e, offset + (size_t)half * 32, block[half][e]);
        }
    }
    UNROLL for (int half = 0; half < 2; half++) {
        if (type == TFM__F16) {
            UNROLL for (int j = 0; j < 16; j++, x++) {
                UNROLL for (int g = 0; g < groups; g++) {
                    if (j & 1) fetch_line(ahead);
                    v16 w = EACH(load_f16((const char *)(columns[half][2 * g] + 8 * j)),
                                 load_f16((const char *)(columns[half][2 * g + 1] + 8 * j)));
                    UNROLL for (int t = 0; t < tokens; t++) {
                        v16 value = v16_set(x[(size_t)t * x_stride]), *sum = sums + g * tokens + t;
                        *sum = v16_fma(w, value, *sum);
                    }
                }
            }
            continue;
        }
        UNROLL for (int j = 0; j < 8; j++) {
            UNROLL for (int g = 0; g < groups; g++) {
                fetch_line(ahead);
                v16 w = EACH(block[half][2 * g][j], block[half][2 * g + 1][j]);
                v16 first = w, second = w; /* BF16 in pairs */
                if (type == TFM__BF16) first = EACH(low_bf16(w.a), low_bf16(w.b));
                if (type == TFM__BF16) second = EACH(high_bf16(w.a), high_bf16(w.b));
                UNROLL for (int t = 0; t < tokens; t++) {
                    const float *value = x + (size_t)t * x_stride;
                    v16 *sum = sums + g * tokens + t;
                    *sum = v16_fma(first, v16_set(value[0]), *sum);
                    if (type == TFM__BF16) *sum = v16_fma(second, v16_set(value[1]), *sum);
                }
            }
            x += type == TFM__F32 ? 1 : 2;
        }
    }
}

/* out[j][r] = element j of row r, as f32. */
static INLINE void block_pack(uint32_t type, const char *const *rows, size_t offset, float *out) {
    UNROLL for (int quarter = 0; quarter < 4; quarter++) {
        const size_t row = (size_t)(quarter & 1) * 8, half = (size_t)(quarter >> 1);
        float *to = out + half * (type == TFM__F32 ? 8 : 16) * PANEL_ROWS + row;
        if (type == TFM__F32) {
            __m256 block[8];
            load_block(rows + row, offset + half * 32, block);
            UNROLL for (int j = 0; j < 8; j++) _mm256_storeu_ps(to + j * PANEL_ROWS, block[j]);
        } else {
            _Alignas(32) uint16_t columns[16 * 8];
            load_half_block(rows + row, offset + half * 32, columns);
            UNROLL for (int j = 0; j < 16; j++) {
                _mm256_storeu_ps(to + j * PANEL_ROWS, load_halves(type, columns + 8 * j));
            }
        }
    }
}

/* Attention's tile is 16 outputs x 6 queries; fewer queries take more outputs, to have chains enough in
 * flight. */
#define TILE_TOKENS 6
#define TILE_VECTORS(tokens) ((tokens) == 1 ? 4 : (tokens) == 2 ? 2 : 1)

#include "kernels/float_body.h"
#include "kernels/float_product.h"
#include "kernels/float_attention.h"

void tfm__kernels_avx2_float(tfm__kernels *kernels) {
#include "kernels/float_entries.h"
}
