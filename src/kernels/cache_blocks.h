/* cache_blocks.h - keys and values kept in blocks of 32 head dims with one scale: Q8_0 and Q4_0.
 *
 * The numbers are those of ggml's Q8_0 and Q4_0 blocks (quant_blocks.h): value = scale * q, one rounded f32
 * product, q in -127 .. 127 or -8 .. 7, the scale an IEEE half. Where they lie in a page of TFM__PAGE_TOKENS
 * slots follows the attention kernels, in two planes; a last block that is not full is padded with zeros.
 * B = blocks of the head, U = 32 (Q8_0) or 16 (Q4_0) bytes of a block:
 *   keys    bytes [B * U, 64], then scales [B, 64]: neighbours are the same dim of neighbouring keys
 *   values  bytes [64, B * U], then scales [64, B]: neighbours are neighbouring dims of one key
 * Byte i of a Q4_0 block holds dim i in its low four bits and dim i + 16 in its high ones, both plus 8. */
#ifndef TFM__CACHE_BLOCKS_H
#define TFM__CACHE_BLOCKS_H

#include "kernels/kernels.h"

#define TFM__CACHE_BLOCK 32

static inline bool tfm__cache_quantised(uint32_t type) { return type == TFM__Q8_0 || type == TFM__Q4_0; }

static inline size_t tfm__cache_blocks(size_t dims) {
    return (dims + TFM__CACHE_BLOCK - 1) / TFM__CACHE_BLOCK;
}

/* Bytes of the quants of one block. */
static inline size_t tfm__cache_unit(uint32_t type) { return type == TFM__Q8_0 ? 32 : 16; }

/* Bytes of the keys, or of the values, of one slot of a head with so many dims, in any type of the cache. */
static inline size_t tfm__cache_slot_bytes(uint32_t type, size_t dims) {
    if (!tfm__cache_quantised(type)) return dims * (type == TFM__F32 ? 4 : 2);
    return tfm__cache_blocks(dims) * (tfm__cache_unit(type) + 2);
}

/* Where the scales of a page's keys or values begin. */
static inline size_t tfm__cache_scales(uint32_t type, size_t dims) {
    return tfm__cache_blocks(dims) * tfm__cache_unit(type) * TFM__PAGE_TOKENS;
}

/* The vector of one key, or one value, to a slot of its page. A block with a number that is not finite reads
 * as NaN. */
void tfm__cache_put_key(uint32_t type, const float *x, size_t dims, uint8_t *page, size_t slot);
void tfm__cache_put_value(uint32_t type, const float *x, size_t dims, uint8_t *page, size_t slot);

/* One dim of the keys in slots 0 .. n-1 as floats; one dim of one value. */
void tfm__cache_key_dim(uint32_t type, const uint8_t *page, size_t dims, size_t dim, size_t n, float *out);
float tfm__cache_value(uint32_t type, const uint8_t *page, size_t dims, size_t slot, size_t dim);

#endif
