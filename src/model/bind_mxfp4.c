/* bind_mxfp4.c - experts whose weights lie in two tensors, as gpt-oss is published: NAME_blocks [experts,
 * rows, columns / 32, 16], two FP4 numbers a byte, and NAME_scales [experts, rows, columns / 32], an exponent
 * for each block (OCP Microscaling Formats 1.0). A block becomes 17 bytes in a row, as GGUF has it, where a
 * byte holds numbers j and j + 16 instead of 2 j and 2 j + 1. So these weights are copied, once, and not read
 * from the file. */
#include "model/bind.h"

#define BLOCK 32
#define STORED 16 /* bytes of numbers */

static void repack(const uint8_t *from, uint8_t scale, uint8_t *to) {
    to[0] = scale;
    for (size_t j = 0; j < STORED; j++) {
        /* number n is in byte n / 2, the even ones in the low half */
        size_t low = j, high = j + STORED;
        uint8_t a = (uint8_t)(low % 2 ? from[low / 2] >> 4 : from[low / 2] & 15);
        uint8_t b = (uint8_t)(high % 2 ? from[high / 2] >> 4 : from[high / 2] & 15);
        to[1 + j] = (uint8_t)(a | b << 4);
    }
}

static int32_t wrong_shape(tfm__binder *b, const tfm__tensor *tensor, uint32_t experts, uint32_t rows,
                           uint32_t columns) {
    return tfm__fail_at(b->error, TFM_E_SHAPE, tfm__container_file(b->container, tensor), tensor->name,
                        tensor->offset, "not FP4 blocks of %u matrices of %u x %u", experts, rows, columns);
}

bool tfm__bind_mxfp4(tfm__binder *b, int role, uint32_t index, uint32_t e, uint32_t rows, uint32_t columns,
                     tfm__view *out) {
    uint32_t experts = b->model->config.experts.count;
    const tfm__tensor *blocks = tfm__bind_find(b, role, index, "_blocks", false);
    if (!blocks || b->status) return false;
    const tfm__tensor *scales = tfm__bind_find(b, role, index, "_scales", true);
    if (!scales) return true;
    const uint64_t want[4] = {experts, rows, columns / BLOCK, STORED};
    bool fits = blocks->dims == 4 && scales->dims == 3 && blocks->type == TFM__I8 &&
                scales->type == TFM__I8 && columns % BLOCK == 0;
    for (int d = 0; d < 4 && fits; d++)
        fits = blocks->shape[d] == want[d] && (d == 3 || scales->shape[d] == want[d]);
    if (!fits) {
        b->status = wrong_shape(b, blocks, experts, rows, columns);
        return true;
    }
    size_t count = (size_t)rows * (columns / BLOCK), bytes = count * (STORED + 1); /* bounded by the file */
    uint8_t *packed = tfm__arena_alloc(&b->container->arena, bytes);
    if (!packed) {
        b->status = tfm__fail_memory(b->error, &b->model->heap, bytes);
        return true;
    }
    const uint8_t *from = blocks->data + e * count * STORED, *scale = scales->data + e * count;
    for (size_t i = 0; i < count; i++) repack(from + i * STORED, scale[i], packed + i * (STORED + 1));
    *out = (tfm__view){.data = packed,
                       .type = TFM__MXFP4,
                       .row_stride = columns / BLOCK * (STORED + 1),
                       .rows = rows,
                       .columns = columns};
    return true;
}
