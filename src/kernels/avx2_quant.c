/* avx2_quant.c - the quantised kernels for AVX2: products with one token, values, activations, and the table
 * entries. The bodies are in quant_lanes.h; products with several tokens in avx2_quant_mat.c. Called through
 * the kernel table. Order of operations: kernels.h. */
#include "kernels/avx2_quant.h"
#include "kernels/avx2_vocabulary.h"
#include "kernels/quant_blocks.h"
#include "kernels/quant_lanes.h"

#define KERNELS(name, type, body)                                                                            \
    static fvec group_##name(const uint8_t *p, size_t stride, size_t k, const void *x,                       \
                             const uint8_t *ahead) {                                                         \
        return body(type, p, stride, k, x, ahead);                                                           \
    }                                                                                                        \
    static void product_##name(const tfm__product *product, size_t row0, size_t row1) {                      \
        if (!tfm__avx2_quant_matrix(product, row0, row1)) vector_product(product, row0, row1, group_##name); \
    }                                                                                                        \
    static void values_##name(const void *source, float *out, size_t n) { values_of(type, source, out, n); }

KERNELS(q4_0, TFM__Q4_0, vector_32)
KERNELS(q4_1, TFM__Q4_1, vector_32)
KERNELS(q5_0, TFM__Q5_0, vector_32)
KERNELS(q5_1, TFM__Q5_1, vector_32)
KERNELS(q8_0, TFM__Q8_0, vector_32)
KERNELS(iq4_nl, TFM__IQ4_NL, vector_32)
KERNELS(mxfp4, TFM__MXFP4, vector_32)
KERNELS(q2_k, TFM__Q2_K, vector_256)
KERNELS(q3_k, TFM__Q3_K, vector_256)
KERNELS(q4_k, TFM__Q4_K, vector_256)
KERNELS(q5_k, TFM__Q5_K, vector_256)
KERNELS(q6_k, TFM__Q6_K, vector_256)
KERNELS(iq4_xs, TFM__IQ4_XS, vector_256)

/* ---- Activations (formats: kernels.h) ------------------------------------------------------------------ */

/* Scale of a block from its largest bit pattern; *inverse is 0 where all q are to be 0. */
static inline float scale_of(uint32_t largest, float *inverse) {
    float amax = tfm__f32_of_bits(largest), scale = amax / 127.0f;
    *inverse = largest ? 1.0f / scale : 0.0f;
    if (largest < 0x7f800000u && tfm__bits_of_f32(*inverse) < 0x7f800000u) return scale;
    *inverse = 0.0f;
    return amax;
}

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

static void set(tfm__weight_kernels *entry, void (*product)(const tfm__product *, size_t, size_t),
                void (*to_f32)(const void *, float *, size_t)) {
    entry->product = product;
    entry->to_f32 = to_f32;
}

void tfm__kernels_avx2_quant(tfm__kernels *kernels) {
    tfm__weight_kernels *w = kernels->weights;
    set(&w[TFM__Q4_0], product_q4_0, values_q4_0);
    set(&w[TFM__Q4_1], product_q4_1, values_q4_1);
    set(&w[TFM__Q5_0], product_q5_0, values_q5_0);
    set(&w[TFM__Q5_1], product_q5_1, values_q5_1);
    set(&w[TFM__Q8_0], product_q8_0, values_q8_0);
    set(&w[TFM__IQ4_NL], product_iq4_nl, values_iq4_nl);
    set(&w[TFM__MXFP4], product_mxfp4, values_mxfp4);
    set(&w[TFM__Q2_K], product_q2_k, values_q2_k);
    set(&w[TFM__Q3_K], product_q3_k, values_q3_k);
    set(&w[TFM__Q4_K], product_q4_k, values_q4_k);
    set(&w[TFM__Q5_K], product_q5_k, values_q5_k);
    set(&w[TFM__Q6_K], product_q6_k, values_q6_k);
    set(&w[TFM__IQ4_XS], product_iq4_xs, values_iq4_xs);
    kernels->quantise[TFM__ACT_Q8_32] = quantise_q8_32;
    kernels->quantise[TFM__ACT_Q8_256] = quantise_q8_256;
}
