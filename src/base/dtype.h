/* dtype.h - the number formats of tensors: names, block shapes, and half-precision conversions.
 *
 * The numbering is GGUF's (ggml's type ids), because that is the one most files carry; formats that call them
 * otherwise translate. A row of a blocked type is a whole number of blocks.
 * Sources: GGUF specification (ggml docs/gguf.md); block layouts: ggml-common.h of ggml; OCP Microscaling Formats
 * specification 1.0 for MXFP4. */
#ifndef TFM__DTYPE_H
#define TFM__DTYPE_H

#include "base/base.h"

enum {
    TFM__F32 = 0, TFM__F16 = 1, TFM__Q4_0 = 2, TFM__Q4_1 = 3, TFM__Q5_0 = 6, TFM__Q5_1 = 7, TFM__Q8_0 = 8,
    TFM__Q2_K = 10, TFM__Q3_K = 11, TFM__Q4_K = 12, TFM__Q5_K = 13, TFM__Q6_K = 14, TFM__IQ4_NL = 20,
    TFM__IQ4_XS = 23, TFM__I8 = 24, TFM__I16 = 25, TFM__I32 = 26, TFM__I64 = 27, TFM__F64 = 28,
    TFM__BF16 = 30, TFM__MXFP4 = 39,
    TFM__DTYPE_COUNT = 42
};

typedef struct tfm__dtype {
    const char *name;     /* "Q4_K"; NULL for a number that names no type at all */
    uint16_t block;       /* values per block; 0: known by name only, not supported */
    uint16_t block_bytes;
    bool weights;         /* products can read it (F32 .. MXFP4); integer and F64 tensors are only looked at */
} tfm__dtype;

/* The entry for a type id, or NULL if the id is not one at all. A known but unsupported type (IQ2_XS, TQ1_0, ...)
 * has block 0. */
const tfm__dtype *tfm__dtype_of(uint32_t id);

/* Bytes of a row of n values; false if n is not a whole number of blocks, the type is unsupported, or it overflows. */
bool tfm__row_bytes(uint32_t type, uint64_t n, uint64_t *bytes);

/* IEEE half and bfloat16, exact one way, round to nearest even the other. NaN stays NaN. */
static inline float tfm__f32_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
static inline uint32_t tfm__bits_of_f32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}
static inline float tfm__bf16_to_f32(uint16_t h) { return tfm__f32_of_bits((uint32_t)h << 16); }
static inline uint16_t tfm__f32_to_bf16(float f) {
    uint32_t bits = tfm__bits_of_f32(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u); /* a quiet NaN */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
static inline float tfm__f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 0x1fu, mantissa = h & 0x3ffu;
    if (exponent == 31) return tfm__f32_of_bits(sign | 0x7f800000u | mantissa << 13 | (mantissa ? 0x400000u : 0u));
    if (exponent) return tfm__f32_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    /* zero and subnormals: mantissa * 2^-24, exact */
    return tfm__f32_of_bits(sign | tfm__bits_of_f32((float)mantissa * 0x1p-24f));
}
static inline uint16_t tfm__f32_to_f16(float f) {
    uint32_t bits = tfm__bits_of_f32(f), sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (bits >> 13 & 0x3ffu));
    if (bits >= 0x47800000u) return (uint16_t)(sign | 0x7c00u); /* 65536 and more: infinity */
    if (bits >= 0x38800000u) {                                  /* normal: round the low 13 bits to even */
        bits += 0xfffu + (bits >> 13 & 1u);
        return (uint16_t)(sign | (bits - 0x38000000u) >> 13);
    }
    /* subnormal: adding 0.5 leaves the value, rounded to multiples of 2^-24, in the low bits of the sum */
    float shifted = tfm__f32_of_bits(bits) + 0.5f;
    return (uint16_t)(sign | (tfm__bits_of_f32(shifted) - 0x3f000000u));
}

#endif
