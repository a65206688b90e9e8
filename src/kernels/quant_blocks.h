/* quant_blocks.h - the blocked weight formats: where things lie in a block, and their values as integers.
 *
 * Read by every quantised kernel. A block stores integers q and a few scales; its values are
 *     y = (d * scale[i / 16]) * q[i] - m * minimum[i / 16]
 * with d and m floats of the whole block and scale, minimum small integers (1 where the format has none;
 * formats without minimums leave the second term out). Positions inside blocks, in bytes (half = IEEE half,
 * little endian):
 *
 *   Q4_0    18  half d, 16 nibble pairs (low: values 0-15, high: 16-31), less 8
 *   Q4_1    20  half d, half m (added), 16 nibble pairs
 *   Q5_0    22  half d, 4 bytes of fifth bits (bit i: value i), 16 nibble pairs, less 16
 *   Q5_1    24  half d, half m (added), fifth bits, nibble pairs
 *   Q8_0    34  half d, 32 signed bytes
 *   IQ4_NL  18  as Q4_0, the nibble an index into a table of 16 values
 *   MXFP4   17  a power-of-two exponent byte, 16 nibble pairs, indices of the FP4 values (doubled; d halved)
 *   Q2_K    84  16 bytes scale | minimum << 4, 64 bytes of 2 bits, half d, half m
 *   Q3_K   110  32 bytes of third bits, 64 bytes of 2 bits, 12 bytes of 6-bit scales (less 32), half d
 *   Q4_K   144  half d, half m, 12 bytes of 6-bit scales and minimums, 128 nibble pairs
 *   Q5_K   176  as Q4_K with 32 bytes of fifth bits before the nibbles
 *   Q6_K   210  128 bytes of low nibbles, 64 of high bit pairs, 16 signed scales, half d; less 32
 *   IQ4_XS 136  half d, 2 + 4 bytes of 6-bit scales (less 32), 128 nibble pairs, indices as in IQ4_NL
 *
 * Super-blocks put 32 values in the low bits of 32 bytes, the next 32 in the bits above, and so on, before
 * they go on to the next 32 bytes; the nibbles of Q6_K take 64 and 64, those of IQ4_XS 16 and 16.
 *
 * Sources: ggml-common.h and gguf-py/gguf/quants.py of ggml (layouts); OCP Microscaling Formats 1.0 (MXFP4).
 */
#ifndef TFM__QUANT_BLOCKS_H
#define TFM__QUANT_BLOCKS_H

#include "kernels/kernels.h"

enum {
    TFM__Q4_0_BYTES = 18,
    TFM__Q4_1_BYTES = 20,
    TFM__Q5_0_BYTES = 22,
    TFM__Q5_1_BYTES = 24,
    TFM__Q8_0_BYTES = 34,
    TFM__IQ4_NL_BYTES = 18,
    TFM__MXFP4_BYTES = 17,
    TFM__Q2_K_BYTES = 84,
    TFM__Q3_K_BYTES = 110,
    TFM__Q4_K_BYTES = 144,
    TFM__Q5_K_BYTES = 176,
    TFM__Q6_K_BYTES = 210,
    TFM__IQ4_XS_BYTES = 136
};

/* The 16 values of IQ4_NL and IQ4_XS, and of MXFP4 (doubled), with a bias added to each. */
#define TFM__IQ4_VALUES(bias)                                                                                \
    (bias) - 127, (bias)-104, (bias)-83, (bias)-65, (bias)-49, (bias)-35, (bias)-22, (bias)-10, (bias) + 1,  \
        (bias) + 13, (bias) + 25, (bias) + 38, (bias) + 53, (bias) + 69, (bias) + 89, (bias) + 113
#define TFM__FP4_VALUES(bias)                                                                                \
    (bias) + 0, (bias) + 1, (bias) + 2, (bias) + 3, (bias) + 4, (bias) + 6, (bias) + 8, (bias) + 12,         \
        (bias)-0, (bias)-1, (bias)-2, (bias)-3, (bias)-4, (bias)-6, (bias)-8, (bias)-12

/* Where the planes of an activation row lie. */
static inline const float *tfm__act_scales(const void *row, size_t k) {
    return (const float *)(const void *)((const char *)row + k);
}
static inline const int32_t *tfm__act_sums32(const void *row, size_t k) {
    return (const int32_t *)(const void *)((const char *)row + k + k / 32 * 4);
}
static inline const int16_t *tfm__act_sums16(const void *row, size_t k) {
    return (const int16_t *)(const void *)((const char *)row + k + k / 256 * 4);
}

/* The portable product, by product->type; also what the vector kernels hand their last few rows to. */
void tfm__quant_product_ref(const tfm__product *product, size_t row0, size_t row1);

#endif
