/* neon_quant.c - the quantised kernels for base AArch64: products, values, activations. The bodies are in
 * quant_lanes.h. Called through the kernel table. Order of operations: kernels.h. */
#include "kernels/kernels.h"

#include "kernels/neon_vocabulary.h"
#include "kernels/quant_blocks.h"
#include "kernels/quant_lanes.h"

/* Several tokens: every token by itself. */
#define QUANT_MATRIX(product, row0, row1) false
#include "kernels/quant_entries.h"

/* ---- Activations (formats: kernels.h) ------------------------------------------------------------------ */

/* The largest magnitude of 4 * n values, as bits. */
INLINE uint32_t largest_of(const float *x, const int n) {
    uint32x4_t largest[4];
    UNROLL for (int i = 0; i < 4; i++) largest[i] = vdupq_n_u32(0);
    for (int i = 0; i < n; i += 4) {
        UNROLL for (int j = 0; j < 4; j++) {
            uint32x4_t bits = vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + 4 * (i + j))));
            largest[j] = vmaxq_u32(largest[j], bits);
        }
    }
    return vmaxvq_u32(vmaxq_u32(vmaxq_u32(largest[0], largest[1]), vmaxq_u32(largest[2], largest[3])));
}

/* 16 values to bytes, rounded to nearest even; with inverse 0 all are 0, NaN and infinities too, for FCVTNS
 * makes 0 of NaN. */
INLINE int8x16_t rounded(const float *x, float inverse) {
    int32x4_t q[4];
    UNROLL for (int i = 0; i < 4; i++) q[i] = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + 4 * i), f_set(inverse)));
    int16x8_t low = vqmovn_high_s32(vqmovn_s32(q[0]), q[1]), high = vqmovn_high_s32(vqmovn_s32(q[2]), q[3]);
    return vqmovn_high_s16(vqmovn_s16(low), high);
}

static void quantise_q8_32(const float *x, void *out, size_t k) {
    float *scales = (float *)tfm__act_scales(out, k);
    int32_t *sums = (int32_t *)tfm__act_sums32(out, k);
    int8_t *q = out;
    for (size_t b = 0; b < k / 32; b++, x += 32, q += 32) {
        float inverse;
        scales[b] = scale_of(largest_of(x, 8), &inverse);
        int8x16_t low = rounded(x, inverse), high = rounded(x + 16, inverse);
        vst1q_s8(q, low);
        vst1q_s8(q + 16, high);
        sums[b] = vaddlvq_s8(low) + vaddlvq_s8(high);
    }
}

static void quantise_q8_256(const float *x, void *out, size_t k) {
    float *scales = (float *)tfm__act_scales(out, k);
    int16_t *sums = (int16_t *)tfm__act_sums16(out, k);
    int8_t *q = out;
    for (size_t b = 0; b < k / 256; b++) {
        float inverse;
        scales[b] = scale_of(largest_of(x, 64), &inverse);
        for (int i = 0; i < 16; i++, x += 16, q += 16) {
            int8x16_t bytes = rounded(x, inverse);
            vst1q_s8(q, bytes);
            *sums++ = vaddlvq_s8(bytes);
        }
    }
}

void tfm__kernels_neon_quant(tfm__kernels *kernels) {
    set_quant_entries(kernels);
    kernels->quantise[TFM__ACT_Q8_32] = quantise_q8_32;
    kernels->quantise[TFM__ACT_Q8_256] = quantise_q8_256;
}
