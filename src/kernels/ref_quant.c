/* ref_quant.c - the portable quantised kernels: what every other instruction set has to equal bit for bit.
 *
 * Called through the kernel table. A block is first spelt out as integers (tfm__spelt below), then
 * multiplied:
 *
 *     sum = sum over i of scale[i / 16] * q[i] * x[i]
 *
 *     total = fma(d * dx, (float)sum, total)
 *
 *     total = fma(-(m * dx), (float)minimum_sum, total), where there are minimums
 *
 * The sum is an int32 and exact: at most 128 * 128 * 127 * 256 < 2^29. Formats: quant_blocks.h. The order of
 * operations: kernels.h. */
#include <math.h>

#include "kernels/quant_blocks.h"

/* One block as integers, as in the formula of quant_blocks.h. Types of 32 fill q[0..31], scale[0..1]. */
typedef struct tfm__spelt {
    float d, m;
    int16_t scale[16], minimum[16];
    int8_t q[256];
} tfm__spelt;

static const int8_t iq4_values[16] = {TFM__IQ4_VALUES(0)};
static const int8_t fp4_values[16] = {TFM__FP4_VALUES(0)};

static float half_at(const uint8_t *p) { return tfm__f16_to_f32(tfm__u16_le(p)); }

/* Scales of one for the types that have none inside the block. */
static void plain_scales(tfm__spelt *out, float d) {
    out->d = d;
    out->m = 0;
    out->scale[0] = out->scale[1] = 1;
    out->minimum[0] = out->minimum[1] = 0;
}

/* y = d * q + m, said as d * q - (-m) * 1. */
static void plain_minimums(tfm__spelt *out, float d, float m) {
    plain_scales(out, d);
    out->m = -m;
    out->minimum[0] = out->minimum[1] = 1;
}

/* 16 bytes of nibbles: low ones first, then high ones. */
static void nibbles(const uint8_t *p, int less, int8_t *q) {
    for (int i = 0; i < 16; i++) {
        q[i] = (int8_t)((p[i] & 15) - less);
        q[16 + i] = (int8_t)((p[i] >> 4) - less);
    }
}

static void nibbles_of_table(const uint8_t *p, const int8_t *table, int8_t *q) {
    for (int i = 0; i < 16; i++) {
        q[i] = table[p[i] & 15];
        q[16 + i] = table[p[i] >> 4];
    }
}

static void nibbles_and_bits(const uint8_t *p, uint32_t bits, int less, int8_t *q) {
    for (int i = 0; i < 16; i++) {
        q[i] = (int8_t)((p[i] & 15) + (int)(bits >> i & 1) * 16 - less);
        q[16 + i] = (int8_t)((p[i] >> 4) + (int)(bits >> (16 + i) & 1) * 16 - less);
    }
}

static void spell_q4_0(const uint8_t *p, tfm__spelt *out) {
    plain_scales(out, half_at(p));
    nibbles(p + 2, 8, out->q);
}

static void spell_q4_1(const uint8_t *p, tfm__spelt *out) {
    plain_minimums(out, half_at(p), half_at(p + 2));
    nibbles(p + 4, 0, out->q);
}

static void spell_q5_0(const uint8_t *p, tfm__spelt *out) {
    plain_scales(out, half_at(p));
    nibbles_and_bits(p + 6, tfm__u32_le(p + 2), 16, out->q);
}

static void spell_q5_1(const uint8_t *p, tfm__spelt *out) {
    plain_minimums(out, half_at(p), half_at(p + 2));
    nibbles_and_bits(p + 8, tfm__u32_le(p + 4), 0, out->q);
}

static void spell_q8_0(const uint8_t *p, tfm__spelt *out) {
    plain_scales(out, half_at(p));
    memcpy(out->q, p + 2, 32);
}

static void spell_iq4_nl(const uint8_t *p, tfm__spelt *out) {
    plain_scales(out, half_at(p));
    nibbles_of_table(p + 2, iq4_values, out->q);
}

/* The exponent byte e means 2^(e - 127), halved because the table is doubled; the lowest two are subnormal
 * floats. */
static void spell_mxfp4(const uint8_t *p, tfm__spelt *out) {
    plain_scales(out, tfm__f32_of_bits(p[0] < 2 ? 0x200000u << p[0] : (uint32_t)(p[0] - 1) << 23));
    nibbles_of_table(p + 1, fp4_values, out->q);
}

static void spell_q2_k(const uint8_t *p, tfm__spelt *out) {
    out->d = half_at(p + 80);
    out->m = half_at(p + 82);
    for (int s = 0; s < 16; s++) {
        out->scale[s] = p[s] & 15;
        out->minimum[s] = p[s] >> 4;
    }
    for (int i = 0; i < 256; i++) out->q[i] = (int8_t)(p[16 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3);
}

static void spell_q3_k(const uint8_t *p, tfm__spelt *out) {
    const uint8_t *packed = p + 96;
    out->d = half_at(p + 108);
    out->m = 0;
    for (int s = 0; s < 16; s++) {
        int low = s < 8 ? packed[s] & 15 : packed[s - 8] >> 4;
        out->scale[s] = (int16_t)((low | (packed[8 + s % 4] >> s / 4 * 2 & 3) << 4) - 32);
        out->minimum[s] = 0;
    }
    for (int i = 0; i < 256; i++) {
        int low = p[32 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
        out->q[i] = (int8_t)(low + (p[i % 32] >> i / 32 & 1) * 4 - 4);
    }
}

/* Eight 6-bit scales and minimums in 12 bytes; each holds for 32 values. */
static void scales_of_12(const uint8_t *p, tfm__spelt *out) {
    for (int s = 0; s < 8; s++) {
        int scale = s < 4 ? p[s] & 63 : (p[s + 4] & 15) | p[s - 4] >> 6 << 4;
        int minimum = s < 4 ? p[s + 4] & 63 : p[s + 4] >> 4 | p[s] >> 6 << 4;
        out->scale[2 * s] = out->scale[2 * s + 1] = (int16_t)scale;
        out->minimum[2 * s] = out->minimum[2 * s + 1] = (int16_t)minimum;
    }
}

static void spell_q4_k(const uint8_t *p, tfm__spelt *out) {
    out->d = half_at(p);
    out->m = half_at(p + 2);
    scales_of_12(p + 4, out);
    for (int i = 0; i < 256; i++) out->q[i] = (int8_t)(p[16 + i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15);
}

static void spell_q5_k(const uint8_t *p, tfm__spelt *out) {
    out->d = half_at(p);
    out->m = half_at(p + 2);
    scales_of_12(p + 4, out);
    for (int i = 0; i < 256; i++) {
        int low = p[48 + i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15;
        out->q[i] = (int8_t)(low + (p[16 + i % 32] >> i / 32 & 1) * 16);
    }
}

static void spell_q6_k(const uint8_t *p, tfm__spelt *out) {
    out->d = half_at(p + 208);
    out->m = 0;
    for (int s = 0; s < 16; s++) {
        out->scale[s] = (int16_t)(p[192 + s] - (p[192 + s] >> 7) * 256);
        out->minimum[s] = 0;
    }
    for (int i = 0; i < 256; i++) {
        int low = p[i / 128 * 64 + i % 64] >> i % 128 / 64 * 4 & 15;
        int high = p[128 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
        out->q[i] = (int8_t)((low | high << 4) - 32);
    }
}

static void spell_iq4_xs(const uint8_t *p, tfm__spelt *out) {
    unsigned high = tfm__u16_le(p + 2);
    out->d = half_at(p);
    out->m = 0;
    for (int s = 0; s < 8; s++) {
        int scale = (int)((p[4 + s / 2] >> s % 2 * 4 & 15u) | (high >> 2 * s & 3u) << 4) - 32;
        out->scale[2 * s] = out->scale[2 * s + 1] = (int16_t)scale;
        out->minimum[2 * s] = out->minimum[2 * s + 1] = 0;
        nibbles_of_table(p + 8 + 16 * s, iq4_values, out->q + 32 * s);
    }
}

/* What differs between the types, for the loops below. */
typedef struct tfm__quant_format {
    size_t block, bytes;
    bool minimums;
    void (*spell)(const uint8_t *p, tfm__spelt *out);
} tfm__quant_format;

static tfm__quant_format format_of(uint32_t type) {
    switch (type) {
    case TFM__Q4_0:
        return (tfm__quant_format){32, TFM__Q4_0_BYTES, false, spell_q4_0};
    case TFM__Q4_1:
        return (tfm__quant_format){32, TFM__Q4_1_BYTES, true, spell_q4_1};
    case TFM__Q5_0:
        return (tfm__quant_format){32, TFM__Q5_0_BYTES, false, spell_q5_0};
    case TFM__Q5_1:
        return (tfm__quant_format){32, TFM__Q5_1_BYTES, true, spell_q5_1};
    case TFM__Q8_0:
        return (tfm__quant_format){32, TFM__Q8_0_BYTES, false, spell_q8_0};
    case TFM__IQ4_NL:
        return (tfm__quant_format){32, TFM__IQ4_NL_BYTES, false, spell_iq4_nl};
    case TFM__MXFP4:
        return (tfm__quant_format){32, TFM__MXFP4_BYTES, false, spell_mxfp4};
    case TFM__Q2_K:
        return (tfm__quant_format){256, TFM__Q2_K_BYTES, true, spell_q2_k};
    case TFM__Q3_K:
        return (tfm__quant_format){256, TFM__Q3_K_BYTES, false, spell_q3_k};
    case TFM__Q4_K:
        return (tfm__quant_format){256, TFM__Q4_K_BYTES, true, spell_q4_k};
    case TFM__Q5_K:
        return (tfm__quant_format){256, TFM__Q5_K_BYTES, true, spell_q5_k};
    case TFM__Q6_K:
        return (tfm__quant_format){256, TFM__Q6_K_BYTES, false, spell_q6_k};
    default:
        return (tfm__quant_format){256, TFM__IQ4_XS_BYTES, false, spell_iq4_xs};
    }
}

/* One block against the same block of one activation row; sums holds the row's sums over each 16 values. */
static float add_block(const tfm__spelt *w, const tfm__quant_format *format, const int8_t *x, float dx,
                       float total) {
    int32_t sum = 0, minimum_sum = 0;
    for (size_t s = 0; s < format->block / 16; s++) {
        int32_t dot = 0, plain = 0;
        for (size_t i = 16 * s; i < 16 * s + 16; i++) {
            dot += w->q[i] * x[i];
            plain += x[i];
        }
        sum += w->scale[s] * dot;
        minimum_sum += w->minimum[s] * plain;
    }
    total = fmaf(w->d * dx, (float)sum, total);
    if (format->minimums) total = fmaf(-(w->m * dx), (float)minimum_sum, total);
    return total;
}

#define TOKEN_TILE 16 /* tokens that share one spelling of a block */

void tfm__quant_product_ref(const tfm__product *product, size_t row0, size_t row1) {
    const tfm__quant_format format = format_of(product->type);
    size_t blocks = product->k / format.block;
    tfm__spelt w;
    for (size_t row = row0; row < row1; row++) {
        const uint8_t *weights = (const uint8_t *)product->weights + row * product->row_stride;
        for (size_t t0 = 0; t0 < product->tokens; t0 += TOKEN_TILE) {
            size_t tokens = TFM__MIN(product->tokens - t0, (size_t)TOKEN_TILE);
            const char *x = (const char *)product->x + t0 * product->x_stride;
            float total[TOKEN_TILE] = {0};
            for (size_t b = 0; b < blocks; b++) {
                format.spell(weights + b * format.bytes, &w);
                for (size_t t = 0; t < tokens; t++) {
                    const char *row_x = x + t * product->x_stride;
                    float dx = tfm__act_scales(row_x, product->k)[b];
                    total[t] = add_block(&w, &format, (const int8_t *)row_x + b * format.block, dx, total[t]);
                }
            }
            for (size_t t = 0; t < tokens; t++) {
                float *y = product->y + (t0 + t) * product->y_stride + row;
                *y = product->bias ? total[t] + product->bias[row] : total[t];
            }
        }
    }
}

/* n values, whole blocks. The products d * scale and m * minimum are rounded to f32 first, as ggml does. */
static void to_f32(const tfm__quant_format *format, const uint8_t *source, float *out, size_t n) {
    tfm__spelt w;
    for (size_t start = 0; start < n; start += format->block, source += format->bytes) {
        format->spell(source, &w);
        for (size_t s = 0; s < format->block / 16; s++) {
            float d = w.d * (float)w.scale[s], m = w.m * (float)w.minimum[s];
            float *y = out + start + 16 * s;
            const int8_t *q = w.q + 16 * s;
            if (format->minimums)
                for (int i = 0; i < 16; i++) y[i] = d * (float)q[i] - m;
            else
                for (int i = 0; i < 16; i++) y[i] = d * (float)q[i];
        }
    }
}

/* The table wants a function per type: the type is not among to_f32's arguments. */
#define TO_F32(name, type)                                                                                   \
    static void to_f32_##name(const void *source, float *out, size_t n) {                                    \
        const tfm__quant_format format = format_of(type);                                                    \
        to_f32(&format, source, out, n);                                                                     \
    }
TO_F32(q4_0, TFM__Q4_0)
TO_F32(q4_1, TFM__Q4_1)
TO_F32(q5_0, TFM__Q5_0)
TO_F32(q5_1, TFM__Q5_1)
TO_F32(q8_0, TFM__Q8_0)
TO_F32(iq4_nl, TFM__IQ4_NL)
TO_F32(mxfp4, TFM__MXFP4)
TO_F32(q2_k, TFM__Q2_K)
TO_F32(q3_k, TFM__Q3_K)
TO_F32(q4_k, TFM__Q4_K)
TO_F32(q5_k, TFM__Q5_K)
TO_F32(q6_k, TFM__Q6_K)
TO_F32(iq4_xs, TFM__IQ4_XS)

size_t tfm__activation_bytes(int format, size_t k) {
    size_t bytes = 4 * k;
    if (format == TFM__ACT_Q8_32) bytes = k + k / 32 * 8;
    if (format == TFM__ACT_Q8_256) bytes = k + k / 256 * 4 + k / 16 * 2;
    return (bytes + 63) / 64 * 64;
}

/* One block of n values to bytes; returns its scale. Comparing bit patterns makes NaN the largest of all. */
static float quantise_block(const float *x, int8_t *q, size_t n) {
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = tfm__bits_of_f32(x[i]) & 0x7fffffffu;
        if (bits > largest) largest = bits;
    }
    float amax = tfm__f32_of_bits(largest), scale = amax / 127.0f;
    float inverse = largest ? 1.0f / scale : 0.0f;
    if (largest >= 0x7f800000u || tfm__bits_of_f32(inverse) >= 0x7f800000u) {
        memset(q, 0, n);
        return amax;
    }
    /* adding and taking away 1.5 * 2^23 rounds to the nearest even integer */
    for (size_t i = 0; i < n; i++) q[i] = (int8_t)((x[i] * inverse + 12582912.0f) - 12582912.0f);
    return scale;
}

static void quantise_q8_32(const float *x, void *out, size_t k) {
    int8_t *q = out;
    float *scale = (float *)tfm__act_scales(out, k);
    int32_t *sum = (int32_t *)tfm__act_sums32(out, k);
    for (size_t b = 0; b < k / 32; b++) {
        scale[b] = quantise_block(x + 32 * b, q + 32 * b, 32);
        sum[b] = 0;
        for (size_t i = 0; i < 32; i++) sum[b] += q[32 * b + i];
    }
}

static void quantise_q8_256(const float *x, void *out, size_t k) {
    int8_t *q = out;
    float *scale = (float *)tfm__act_scales(out, k);
    int16_t *sum = (int16_t *)tfm__act_sums16(out, k);
    for (size_t b = 0; b < k / 256; b++) scale[b] = quantise_block(x + 256 * b, q + 256 * b, 256);
    for (size_t s = 0; s < k / 16; s++) {
        int total = 0;
        for (size_t i = 0; i < 16; i++) total += q[16 * s + i];
        sum[s] = (int16_t)total;
    }
}

void tfm__kernels_ref_quant(tfm__kernels *kernels) {
    tfm__weight_kernels *w = kernels->weights;
    w[TFM__Q4_0] = (tfm__weight_kernels){TFM__ACT_Q8_32, tfm__quant_product_ref, to_f32_q4_0};
    w[TFM__Q4_1] = (tfm__weight_kernels){TFM__ACT_Q8_32, tfm__quant_product_ref, to_f32_q4_1};
    w[TFM__Q5_0] = (tfm__weight_kernels){TFM__ACT_Q8_32, tfm__quant_product_ref, to_f32_q5_0};
    w[TFM__Q5_1] = (tfm__weight_kernels){TFM__ACT_Q8_32, tfm__quant_product_ref, to_f32_q5_1};
    w[TFM__Q8_0] = (tfm__weight_kernels){TFM__ACT_Q8_32, tfm__quant_product_ref, to_f32_q8_0};
    w[TFM__IQ4_NL] = (tfm__weight_kernels){TFM__ACT_Q8_32, tfm__quant_product_ref, to_f32_iq4_nl};
    w[TFM__MXFP4] = (tfm__weight_kernels){TFM__ACT_Q8_32, tfm__quant_product_ref, to_f32_mxfp4};
    w[TFM__Q2_K] = (tfm__weight_kernels){TFM__ACT_Q8_256, tfm__quant_product_ref, to_f32_q2_k};
    w[TFM__Q3_K] = (tfm__weight_kernels){TFM__ACT_Q8_256, tfm__quant_product_ref, to_f32_q3_k};
    w[TFM__Q4_K] = (tfm__weight_kernels){TFM__ACT_Q8_256, tfm__quant_product_ref, to_f32_q4_k};
    w[TFM__Q5_K] = (tfm__weight_kernels){TFM__ACT_Q8_256, tfm__quant_product_ref, to_f32_q5_k};
    w[TFM__Q6_K] = (tfm__weight_kernels){TFM__ACT_Q8_256, tfm__quant_product_ref, to_f32_q6_k};
    w[TFM__IQ4_XS] = (tfm__weight_kernels){TFM__ACT_Q8_256, tfm__quant_product_ref, to_f32_iq4_xs};
    kernels->quantise[TFM__ACT_Q8_32] = quantise_q8_32;
    kernels->quantise[TFM__ACT_Q8_256] = quantise_q8_256;
}
