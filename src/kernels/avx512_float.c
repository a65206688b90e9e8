/* avx512_float.c - the float kernels for AVX-512 (F, BW, DQ, VL): the vector layer over one 512-bit register,
 * and the template's three parts. Called only through the table, on processors that have it. */
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

/* A matrix product's panel is 32 rows and its tile 32 rows x 12 tokens: 24 of the 32 registers. */
#define PANEL_ROWS 32
#define PANEL_TOKENS 12

/* ---- Vector layer -------------------------------------------------------------------------------------- */

typedef __m512 v16;

static INLINE __mmask16 mask_of(size_t n) { return (__mmask16)((1u << n) - 1u); } /* n <= 16 */

static INLINE v16 v16_set(float x) { return _mm512_set1_ps(x); }
static INLINE v16 v16_load(const float *p) { return _mm512_loadu_ps(p); }
static INLINE v16 v16_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(mask_of(n), p); }
static INLINE v16 v16_load_bytes(const char *p) { return _mm512_loadu_ps(p); }
static INLINE v16 v16_load_f16(const char *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static INLINE v16 v16_load_bf16(const char *p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static INLINE void v16_store(float *p, v16 a) { _mm512_storeu_ps(p, a); }
static INLINE void v16_store_n(float *p, v16 a, size_t n) { _mm512_mask_storeu_ps(p, mask_of(n), a); }
static INLINE void v16_store_f16(uint16_t *p, v16 a) {
    _mm256_storeu_si256((__m256i *)(void *)p,
                        _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static INLINE void v16_store_bf16(uint16_t *p, v16 a) {
    __m512i bits = _mm512_castps_si512(a), high = _mm512_srli_epi32(bits, 16);
    __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    __m512i result = _mm512_mask_or_epi32(_mm512_srli_epi32(rounded, 16), nan, high, _mm512_set1_epi32(0x40));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(result));
}

static INLINE v16 v16_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
static INLINE v16 v16_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
static INLINE v16 v16_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
static INLINE v16 v16_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
static INLINE v16 v16_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
static INLINE v16 v16_least(v16 a, v16 b) { return _mm512_min_ps(a, b); } /* a < b ? a : b */
static INLINE v16 v16_most(v16 a, v16 b) { return _mm512_max_ps(a, b); }  /* a > b ? a : b */
static INLINE v16 v16_abs(v16 a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
static INLINE v16 v16_negate(v16 a) { return _mm512_xor_ps(_mm512_set1_ps(-0.0f), a); }
static INLINE v16 v16_with_sign(v16 a, v16 sign) {
    return _mm512_or_ps(a, _mm512_and_ps(_mm512_set1_ps(-0.0f), sign));
}
static INLINE v16 v16_where_less(v16 a, v16 b, v16 yes, v16 no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
static INLINE bool v16_any_equal(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ) != 0; }

/* Lanes from .. to-1 of a, other elsewhere; from and to may lie beyond 16. */
static INLINE v16 v16_keep(v16 a, size_t from, size_t to, v16 other) {
    uint32_t below_to = to >= 16 ? 0xffffu : (1u << to) - 1u,
             below_from = from >= 16 ? 0xffffu : (1u << from) - 1u;
    return _mm512_mask_blend_ps((__mmask16)(below_to & ~below_from), other, a);
}

/* p * 2^n, n in the low bits of shifted: the last step of tfm__exp. */
static INLINE v16 v16_scale_by_power(v16 p, v16 shifted) {
    __m512i whole = _mm512_sub_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(0x4b400000));
    __m512i half = _mm512_srai_epi32(whole, 1), bias = _mm512_set1_epi32(127);
    __m512i first = _mm512_slli_epi32(_mm512_add_epi32(half, bias), 23);
    __m512i second = _mm512_slli_epi32(_mm512_add_epi32(_mm512_sub_epi32(whole, half), bias), 23);
    return _mm512_mul_ps(_mm512_mul_ps(p, _mm512_castsi512_ps(first)), _mm512_castsi512_ps(second));
}

/* The tree over the lanes. */
static INLINE float v16_sum(v16 a) {
    __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

/* The same tree with upper > lower ? upper : lower. */
static INLINE float v16_maximum(v16 a) {
    __m256 b = _mm256_max_ps(_mm512_extractf32x8_ps(a, 1), _mm512_castps512_ps256(a));
    __m128 c = _mm_max_ps(_mm256_extractf128_ps(b, 1), _mm256_castps256_ps128(b));
    c = _mm_max_ps(_mm_movehl_ps(c, c), c);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(c), c));
}

/* a0 a1 .. a15, b0 .. b15 to the even and the odd ones, and back. */
static INLINE void v16_unzip(v16 a, v16 b, v16 *even, v16 *odd) {
    const __m512i evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *even = _mm512_permutex2var_ps(a, evens, b);
    *odd = _mm512_permutex2var_ps(a, _mm512_or_si512(evens, _mm512_set1_epi32(1)), b);
}
static INLINE void v16_zip(v16 even, v16 odd, v16 *a, v16 *b) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *a = _mm512_permutex2var_ps(even, low, odd);
    *b = _mm512_permutex2var_ps(even, _mm512_add_epi32(low, _mm512_set1_epi32(8)), odd);
}

#include "kernels/float_fetch.h"

/* ---- Blocks of weights, row r at rows[r] + offset ----------------------------------------------------- */

/* 16 x 16: 4 x 4 blocks inside the 128-bit lanes, then the lanes among registers. */
static INLINE void v16_transpose(v16 r[16]) {
    v16 u[16]; /* u[4 * q + c], lane L: column 4 L + c of rows 4 q .. 4 q + 3 */
    UNROLL for (int q = 0; q < 4; q++) {
        __m512 t0 = _mm512_unpacklo_ps(r[4 * q], r[4 * q + 1]),
               t1 = _mm512_unpackhi_ps(r[4 * q], r[4 * q + 1]);
        __m512 t2 = _mm512_unpacklo_ps(r[4 * q + 2], r[4 * q + 3]),
               t3 = _mm512_unpackhi_ps(r[4 * q + 2], r[4 * q + 3]);
        u[4 * q] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t0), _mm512_castps_pd(t2)));
        u[4 * q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t0), _mm512_castps_pd(t2)));
        u[4 * q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t1), _mm512_castps_pd(t3)));
        u[4 * q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t1), _mm512_castps_pd(t3)));
    }
    UNROLL for (int c = 0; c < 4; c++) {
        __m512 even0 = _mm512_shuffle_f32x4(u[c], u[4 + c], 0x88),
               odd0 = _mm512_shuffle_f32x4(u[c], u[4 + c], 0xdd);
        __m512 even1 = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0x88);
        __m512 odd1 = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0xdd);
        r[c] = _mm512_shuffle_f32x4(even0, even1, 0x88);
        r[8 + c] = _mm512_shuffle_f32x4(even0, even1, 0xdd);
        r[4 + c] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
        r[12 + c] = _mm512_shuffle_f32x4(odd0, odd1, 0xdd);
    }
}

/* Blocks are 16 rows x 64 bytes: a cache line of each row, read once. Halves are transposed in pairs. */
static INLINE void load_block(const char *const *rows, size_t offset, v16 block[16]) {
    UNROLL for (int r = 0; r < 16; r++) block[r] = v16_load_bytes(rows[r] + offset);
    v16_transpose(block);
}

/* Sixteen pairs of halves, a pair in each lane, to two vectors of f32. */
static INLINE void split_pairs(uint32_t type, v16 pairs, v16 *first, v16 *second) {
    __m512i bits = _mm512_castps_si512(pairs);
    if (type == TFM__BF16) {
        *first = _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
        *second = _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32((int)0xffff0000u)));
        return;
    }
    const __m512i order =
        _mm512_set_epi32(0x1f001d, 0x1b0019, 0x170015, 0x130011, 0x0f000d, 0x0b0009, 0x070005, 0x030001,
                         0x1e001c, 0x1a0018, 0x160014, 0x120010, 0x0e000c, 0x0a0008, 0x060004, 0x020000);
    bits = _mm512_permutexvar_epi16(order, bits);
    *first = _mm512_cvtph_ps(_mm512_castsi512_si256(bits));
    *second = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(bits, 1));
}

/* sums[g * tokens + t] += in lane r, the chain of row 16 g + r's products with x[t], 64 bytes of it, in
 * order. All chains advance together, so that none waits for itself; meanwhile as many lines are fetched as
 * are used. */
static INLINE void block_chain(uint32_t type, int groups, int tokens, const char *const *rows, size_t offset,
                               const float *x, size_t x_stride, v16 *sums, fetch *ahead) {
    v16 block[2][16];
    UNROLL for (int g = 0; g < groups; g++) load_block(rows + 16 * g, offset, block[g]);
    UNROLL for (int j = 0; j < 16; j++) {
        UNROLL for (int g = 0; g < groups; g++) {
            fetch_line(ahead);
            v16 first = block[g][j], second = first, *sum = sums + g * tokens;
            if (type != TFM__F32) split_pairs(type, block[g][j], &first, &second);
            UNROLL for (int t = 0; t < tokens; t++) {
                const float *value = x + (size_t)t * x_stride + (type == TFM__F32 ? j : 2 * j);
                sum[t] = v16_fma(first, v16_set(value[0]), sum[t]);
                if (type != TFM__F32) sum[t] = v16_fma(second, v16_set(value[1]), sum[t]);
            }
        }
    }
}

/* out[j][r] = element j of row r, as f32. */
static INLINE void block_pack(uint32_t type, const char *const *rows, size_t offset, float *out) {
    v16 block[16];
    load_block(rows, offset, block);
    UNROLL for (int j = 0; j < 16; j++) {
        if (type == TFM__F32) {
            v16_store(out + j * PANEL_ROWS, block[j]);
        } else {
            v16 first, second;
            split_pairs(type, block[j], &first, &second);
            v16_store(out + 2 * j * PANEL_ROWS, first);
            v16_store(out + (2 * j + 1) * PANEL_ROWS, second);
        }
    }
}

/* Attention's tile is 64 outputs x 6 queries. */
#define TILE_TOKENS 6
#define TILE_VECTORS(tokens) 4

#include "kernels/float_body.h"
#include "kernels/float_product.h"
#include "kernels/float_attention.h"

void tfm__kernels_avx512_float(tfm__kernels *kernels) {
#include "kernels/float_entries.h"
}
