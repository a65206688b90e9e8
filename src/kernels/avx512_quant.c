/* avx512_quant.c - the quantised kernels for AVX-512 with VNNI: products with one token, values, activations,
 * and the table entries. The bodies are in quant_lanes.h; products with several tokens in avx512_quant_mat.c.
 * Called through the kernel table. Order of operations: kernels.h. */
#include "kernels/avx512_quant.h"
#include "kernels/avx512_vocabulary.h"
#include "kernels/quant_blocks.h"
#include "kernels/quant_lanes.h"

#define QUANT_MATRIX tfm__avx512_quant_matrix
#include "kernels/quant_entries.h"

/* ---- Activations (formats: kernels.h) ------------------------------------------------------------------ */

INLINE vec magnitude(const float *x) { return v_and(_mm512_loadu_si512(x), v_set32(0x7fffffff)); }

/* Rounds to nearest even; with inverse 0 the values may be NaN, so those are left out. */
INLINE vec rounded(const float *x, fvec inverse, __mmask16 finite) {
    return _mm512_maskz_cvtps_epi32(finite, f_mul(_mm512_loadu_ps(x), inverse));
}

static void quantise_q8_32(const float *x, void *out, size_t k) {
    float *scales = (float *)tfm__act_scales(out, k);
    int32_t *sums = (int32_t *)tfm__act_sums32(out, k);
    int8_t *q = out;
    for (size_t b = 0; b < k / 32; b++, x += 32, q += 32) {
        float inverse;
        scales[b] =
            scale_of(_mm512_reduce_max_epu32(_mm512_max_epu32(magnitude(x), magnitude(x + 16))), &inverse);
        __mmask16 finite = inverse != 0.0f ? 0xffff : 0;
        vec q0 = rounded(x, f_set(inverse), finite), q1 = rounded(x + 16, f_set(inverse), finite);
        _mm_storeu_si128((void *)q, _mm512_cvtepi32_epi8(q0));
        _mm_storeu_si128((void *)(q + 16), _mm512_cvtepi32_epi8(q1));
        sums[b] = _mm512_reduce_add_epi32(_mm512_add_epi32(q0, q1));
    }
}

static void quantise_q8_256(const float *x, void *out, size_t k) {
    float *scales = (float *)tfm__act_scales(out, k);
    int16_t *sums = (int16_t *)tfm__act_sums16(out, k);
    int8_t *q = out;
    for (size_t b = 0; b < k / 256; b++, x += 256, q += 256, sums += 16) {
        vec largest = magnitude(x);
        UNROLL for (int i = 1; i < 16; i++) largest = _mm512_max_epu32(largest, magnitude(x + 16 * i));
        float inverse;
        scales[b] = scale_of(_mm512_reduce_max_epu32(largest), &inverse);
        __mmask16 finite = inverse != 0.0f ? 0xffff : 0;
        UNROLL for (int i = 0; i < 16; i++) _mm_storeu_si128(
            (void *)(q + 16 * i), _mm512_cvtepi32_epi8(rounded(x + 16 * i, f_set(inverse), finite)));
        vec fours[4]; /* sums of 4; vector j has those of the runs 4 j .. 4 j + 3 */
        UNROLL for (int j = 0; j < 4; j++) fours[j] =
            _mm512_dpbusd_epi32(v_zero(), v_set8(1), _mm512_loadu_si512(q + 64 * j));
        vec order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        vec runs = _mm512_permutexvar_epi32(order, v_reduce(fours));
        _mm256_storeu_si256((void *)sums, _mm512_cvtepi32_epi16(runs));
    }
}

void tfm__kernels_avx512_quant(tfm__kernels *kernels) {
    set_quant_entries(kernels);
    kernels->quantise[TFM__ACT_Q8_32] = quantise_q8_32;
    kernels->quantise[TFM__ACT_Q8_256] = quantise_q8_256;
}
