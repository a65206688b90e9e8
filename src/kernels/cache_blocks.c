/* cache_blocks.c - writing and reading quantised keys and values, number by number. */
#include "kernels/cache_blocks.h"

#include <math.h>

#include "kernels/quant_blocks.h"
#include "kernels/quantize.h"

/* Block number `block` of a vector as ggml's block: the half, then the quants. */
static void make_block(uint32_t type, const float *x, size_t dims, size_t block, uint8_t *out) {
    float padded[TFM__CACHE_BLOCK] = {0};
    size_t first = block * TFM__CACHE_BLOCK, n = TFM__MIN(dims - first, TFM__CACHE_BLOCK);
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        padded[i] = x[first + i];
        finite &= isfinite(padded[i]) != 0;
    }
    tfm__quantize_row_32(type, padded, TFM__CACHE_BLOCK, NULL, out);
    if (!finite) {
        uint16_t half = tfm__f32_to_f16(NAN);
        memcpy(out, &half, sizeof half);
    }
}

void tfm__cache_put_key(uint32_t type, const float *x, size_t dims, uint8_t *page, size_t slot) {
    size_t unit = tfm__cache_unit(type);
    uint8_t *scales = page + tfm__cache_scales(type, dims), made[2 + TFM__CACHE_BLOCK];
    for (size_t b = 0; b < tfm__cache_blocks(dims); b++) {
        make_block(type, x, dims, b, made);
        memcpy(scales + (b * TFM__PAGE_TOKENS + slot) * 2, made, 2);
        for (size_t i = 0; i < unit; i++) page[(b * unit + i) * TFM__PAGE_TOKENS + slot] = made[2 + i];
    }
}

void tfm__cache_put_value(uint32_t type, const float *x, size_t dims, uint8_t *page, size_t slot) {
    size_t unit = tfm__cache_unit(type), blocks = tfm__cache_blocks(dims);
    uint8_t *scales = page + tfm__cache_scales(type, dims), made[2 + TFM__CACHE_BLOCK];
    for (size_t b = 0; b < blocks; b++) {
        make_block(type, x, dims, b, made);
        memcpy(scales + (slot * blocks + b) * 2, made, 2);
        memcpy(page + (slot * blocks + b) * unit, made + 2, unit);
    }
}

static float scale_at(const uint8_t *scales, size_t i) {
    uint16_t half;
    memcpy(&half, scales + i * 2, sizeof half);
    return tfm__f16_to_f32(half);
}

/* The byte of a block in which a dim lies, and the number in it. */
static size_t byte_of(uint32_t type, size_t dim) { return dim % tfm__cache_unit(type); }

static int quant_of(uint32_t type, uint8_t byte, size_t dim) {
    if (type == TFM__Q8_0) return (int8_t)byte;
    return (dim % TFM__CACHE_BLOCK < 16 ? byte & 15 : byte >> 4) - 8;
}

void tfm__cache_key_dim(uint32_t type, const uint8_t *page, size_t dims, size_t dim, size_t n, float *out) {
    size_t block = dim / TFM__CACHE_BLOCK;
    const uint8_t *scales = page + tfm__cache_scales(type, dims);
    const uint8_t *bytes = page + (block * tfm__cache_unit(type) + byte_of(type, dim)) * TFM__PAGE_TOKENS;
    for (size_t j = 0; j < n; j++)
        out[j] = scale_at(scales, block * TFM__PAGE_TOKENS + j) * (float)quant_of(type, bytes[j], dim);
}

float tfm__cache_value(uint32_t type, const uint8_t *page, size_t dims, size_t slot, size_t dim) {
    size_t block = slot * tfm__cache_blocks(dims) + dim / TFM__CACHE_BLOCK;
    uint8_t byte = page[block * tfm__cache_unit(type) + byte_of(type, dim)];
    return scale_at(page + tfm__cache_scales(type, dims), block) * (float)quant_of(type, byte, dim);
}
