/* avx2_quant.c - the quantised kernels for AVX2: products with one token, values, activations, and the table
 * entries. The bodies are in quant_lanes.h; products with several tokens in avx2_quant_mat.c. Called through
 * the kernel table. Order of operations: kernels.h. */
#include "kernels/avx2_quant.h"
#include "kernels/avx2_vocabulary.h"
#include "kernels/quant_blocks.h"
#include "kernels/quant_lanes.h"

#define QUANT_MATRIX tfm__avx2_quant_matrix
#include "kernels/quant_entries.h"

/* ---- Activations (formats: kernels.h) ------------------------------------------------------------------ */

INLINE vec magnitude(const float *x) {
    return v_and(_mm256_loadu_si256((const void *)x), v_set32(0x7fffffff));
}

INLINE uint32_t largest_of(vec a) {
    __m128i b = _mm_max_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    b = _mm_max_epu32(b, _mm_shuffle_epi32(b, 0x4e));
    b = _mm_max_epu32(b, _mm_shuffle_epi32(b, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(b);
}

/* 32 values to bytes, rounded to nearest even; with inverse 0 the values may be NaN, so those are masked out.
 */
INLINE vec rounded(const float *x, float inverse) {
    vec q[4], mask = v_set8(inverse != 0.0f ? -1 : 0);
    UNROLL for (int i = 0; i < 4; i++) q[i] =
        _mm256_cvtps_epi32(f_mul(_mm256_loadu_ps(x + 8 * i), f_set(inverse)));
    vec bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    return v_and(mask, _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
}

INLINE vec sums_of_4(vec q) { return _mm256_madd_epi16(v_maddubs(v_set8(1), q), v_set16(1)); }

static void quantise_q8_32(const float *x, void *out, size_t k) {
    float *scales = (float *)tfm__act_scales(out, k);
    int32_t *sums = (int32_t *)tfm__act_sums32(out, k);
    int8_t *q = out;
    for (size_t b = 0; b < k / 32; b++, x += 32, q += 32) {
        vec largest = _mm256_max_epu32(_mm256_max_epu32(magnitude(x), magnitude(x + 8)),
                                       _mm256_max_epu32(magnitude(x + 16), magnitude(x + 24)));
        float inverse;
        scales[b] = scale_of(largest_of(largest), &inverse);
        vec bytes = rounded(x, inverse), fours = sums_of_4(bytes);
        _mm256_storeu_si256((void *)q, bytes);
        __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
        sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
        sums[b] = _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
    }
}

static void quantise_q8_256(const float *x, void *out, size_t k) {
    float *scales = (float *)tfm__act_scales(out, k);
    int16_t *sums = (int16_t *)tfm__act_sums16(out, k);
    int8_t *q = out;
    for (size_t b = 0; b < k / 256; b++, x += 256, q += 256, sums += 16) {
        vec largest = magnitude(x);
        UNROLL for (int i = 1; i < 32; i++) largest = _mm256_max_epu32(largest, magnitude(x + 8 * i));
        float inverse;
        scales[b] = scale_of(largest_of(largest), &inverse);
        vec runs[2], order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        UNROLL for (int h = 0; h < 2; h++) {
            vec fours[4]; /* sums of 4; vector j has those of the runs 2 j and 2 j + 1 */
            UNROLL for (int j = 0; j < 4; j++) {
                vec bytes = rounded(x + 128 * h + 32 * j, inverse);
                _mm256_storeu_si256((void *)(q + 128 * h + 32 * j), bytes);
                fours[j] = sums_of_4(bytes);
            }
            runs[h] = _mm256_permutevar8x32_epi32(v_reduce(fours), order);
        }
        vec shorts = _mm256_permute4x64_epi64(_mm256_packs_epi32(runs[0], runs[1]), 0xd8);
        _mm256_storeu_si256((void *)sums, shorts);
    }
}

void tfm__kernels_avx2_quant(tfm__kernels *kernels) {
    set_quant_entries(kernels);
    kernels->quantise[TFM__ACT_Q8_32] = quantise_q8_32;
    kernels->quantise[TFM__ACT_Q8_256] = quantise_q8_256;
}
