/* fuzz_imatrix.c - any bytes as an importance matrix for a model of a few tensors: read or refused, and
 * nothing left over. */
#include <stdlib.h>

#include "quant/quant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const tfm__gguf_tensor tensors[] = {
        {.name = "a.weight", .type = TFM__F32, .dims = 2, .shape = {3, 4}},
        {.name = "b.weight", .type = TFM__F32, .dims = 3, .shape = {2, 5, 8}},
        {.name = "token_embd.weight", .type = TFM__F32, .dims = 2, .shape = {3, 4}},
    };
    tfm__heap heap;
    tfm__store store;
    tfm_error error = TFM_ERROR_INIT;
    tfm__heap_init(&heap, NULL, (uint64_t)64 << 20);
    tfm__plan plan = {.heap = &heap, .error = &error};
    if (tfm__store_open_memory(&store, &heap, data, size, &error)) return 0;
    tfm__arena_init(&plan.arena, &heap);
    for (size_t i = 0; i < TFM__COUNT(tensors); i++) {
        tfm__planned *planned;
        check(tfm__plan_add(&plan, &planned) == TFM_OK);
        planned->out = tensors[i];
    }
    volatile float sum = 0.0f;
    if (tfm__plan_importance(&plan, &store, "matrix") == TFM_OK) {
        for (size_t i = 0; i < plan.count; i++) {
            const tfm__planned *planned = &plan.tensors[i];
            size_t values = (size_t)(planned->out.dims == 3 ? planned->out.shape[0] * planned->out.shape[2]
                                                            : planned->out.shape[1]);
            for (size_t v = 0; planned->importance && v < values; v++) sum = sum + planned->importance[v];
        }
    } else {
        check(error.code < 0 && error.message[0]);
    }
    tfm__free(&heap, plan.tensors);
    tfm__arena_free(&plan.arena);
    tfm__store_close(&store);
    check(atomic_load(&heap.live) == 0);
    return 0;
}
