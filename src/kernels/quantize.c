/* quantize.c - rows of floats to rows of any weight type. Called by quant/ for a few rows at a time, from
 * several threads at once; a row's bits depend on nothing but the row and the importance of its columns. */
#include "kernels/quantize.h"

bool tfm__quantize_makes(uint32_t type) {
    const tfm__dtype *dtype = tfm__dtype_of(type);
    return dtype && dtype->block > 0 && dtype->weights;
}

static void plain_row(uint32_t type, const float *x, size_t columns, uint8_t *out) {
    for (size_t i = 0; i < columns; i++) {
        uint32_t bits = tfm__bits_of_f32(x[i]);
        if (type == TFM__F32) {
            for (int b = 0; b < 4; b++) out[4 * i + (size_t)b] = (uint8_t)(bits >> 8 * b);
            continue;
        }
        uint16_t half = type == TFM__F16 ? tfm__f32_to_f16(x[i]) : tfm__f32_to_bf16(x[i]);
        out[2 * i] = (uint8_t)half;
        out[2 * i + 1] = (uint8_t)(half >> 8);
    }
}

void tfm__quantize_rows(uint32_t type, const float *x, size_t rows, size_t columns, const float *importance,
                        uint8_t *out) {
    const tfm__dtype *dtype = tfm__dtype_of(type);
    size_t bytes = columns / dtype->block * dtype->block_bytes;
    for (size_t r = 0; r < rows; r++, x += columns, out += bytes) {
        if (dtype->block == 1)
            plain_row(type, x, columns, out);
        else if (dtype->block == 32)
            tfm__quantize_row_32(type, x, columns, importance, out);
        else
            tfm__quantize_row_256(type, x, columns, importance, out);
    }
}

/* Where the halves of a block lie: the first, and how many. */
static size_t halves_of(uint32_t type, size_t *at) {
    switch (type) {
    case TFM__F16:
    case TFM__Q4_0:
    case TFM__Q5_0:
    case TFM__Q8_0:
    case TFM__IQ4_NL:
    case TFM__IQ4_XS:
        *at = 0;
        return 1;
    case TFM__Q4_1:
    case TFM__Q5_1:
    case TFM__Q4_K:
    case TFM__Q5_K:
        *at = 0;
        return 2;
    case TFM__Q2_K:
        *at = 80;
        return 2;
    case TFM__Q3_K:
        *at = 108;
        return 1;
    case TFM__Q6_K:
        *at = 208;
        return 1;
    default:
        *at = 0;
        return 0;
    }
}

bool tfm__quantize_fits(uint32_t type, const uint8_t *rows, size_t bytes) {
    size_t at, halves = halves_of(type, &at), step = tfm__dtype_of(type)->block_bytes;
    for (size_t i = at; halves && i + 2 * halves <= bytes; i += step)
        for (size_t h = 0; h < halves; h++)
            if ((tfm__u16_le(rows + i + 2 * h) & 0x7c00) == 0x7c00) return false;
    return true;
}
