/* quant_entries.h - what the versions of the quantised kernels have in common besides their
 * bodies: the functions of every weight type and their places in the table. Included by avx2_quant.c and
 * avx512_quant.c after quant_lanes.h, with QUANT_MATRIX naming the product with several tokens (false: it
 * declines). */
#ifndef TFM__QUANT_ENTRIES_H
#define TFM__QUANT_ENTRIES_H

/* X(name, type, body of the product with one token) */
#define QUANT_TYPES(X)                                                                                       \
    X(q4_0, TFM__Q4_0, vector_32)                                                                            \
    X(q4_1, TFM__Q4_1, vector_32)                                                                            \
    X(q5_0, TFM__Q5_0, vector_32)                                                                            \
    X(q5_1, TFM__Q5_1, vector_32)                                                                            \
    X(q8_0, TFM__Q8_0, vector_32)                                                                            \
    X(iq4_nl, TFM__IQ4_NL, vector_32)                                                                        \
    X(mxfp4, TFM__MXFP4, vector_32)                                                                          \
    X(q2_k, TFM__Q2_K, vector_256)                                                                           \
    X(q3_k, TFM__Q3_K, vector_256)                                                                           \
    X(q4_k, TFM__Q4_K, vector_256)                                                                           \
    X(q5_k, TFM__Q5_K, vector_256)                                                                           \
    X(q6_k, TFM__Q6_K, vector_256)                                                                           \
    X(iq4_xs, TFM__IQ4_XS, vector_256)

#define QUANT_KERNELS(name, type, body)                                                                      \
    static fvec group_##name(const uint8_t *p, size_t stride, size_t k, const void *x,                       \
                             const uint8_t *ahead) {                                                         \
        return body(type, p, stride, k, x, ahead);                                                           \
    }                                                                                                        \
    static void product_##name(const tfm__product *product, size_t row0, size_t row1) {                      \
        if (!QUANT_MATRIX(product, row0, row1)) vector_product(product, row0, row1, group_##name);           \
    }                                                                                                        \
    static void values_##name(const void *source, float *out, size_t n) { values_of(type, source, out, n); }

QUANT_TYPES(QUANT_KERNELS)

static void set(tfm__weight_kernels *entry, void (*product)(const tfm__product *, size_t, size_t),
                void (*to_f32)(const void *, float *, size_t)) {
    entry->product = product;
    entry->to_f32 = to_f32;
}

static void set_quant_entries(tfm__kernels *kernels) {
#define QUANT_SET(name, type, body) set(&kernels->weights[type], product_##name, values_##name);
    QUANT_TYPES(QUANT_SET)
#undef QUANT_SET
}

/* Scale of a block from its largest bit pattern; *inverse is 0 where all q are to be 0. */
static inline float scale_of(uint32_t largest, float *inverse) {
    float amax = tfm__f32_of_bits(largest), scale = amax / 127.0f;
    *inverse = largest ? 1.0f / scale : 0.0f;
    if (largest < 0x7f800000u && tfm__bits_of_f32(*inverse) < 0x7f800000u) return scale;
    *inverse = 0.0f;
    return amax;
}

#endif
