/* fuzz_gguf.c - any bytes as a GGUF file: opened, looked at in every way, and closed; nothing may be left
 * over. */
#include <stdlib.h>

#include "formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What would be a crash of the caller is one here. */
static void check(bool holds) {
    if (!holds) abort();
}

static uint64_t look_at(const tfm__container *container) {
    uint64_t sum = 0, u = 0;
    int64_t i = 0;
    double d = 0;
    bool b = false;
    tfm__text text = {NULL, 0};
    for (size_t t = 0; t < container->tensor_count; t++) {
        const tfm__tensor *tensor = &container->tensors[t];
        check(tfm__container_tensor(container, tensor->name) == tensor);
        for (uint64_t at = 0; at < tensor->bytes; at += 1 + tensor->bytes / 7) sum += tensor->data[at];
        if (tensor->bytes) sum += tensor->data[tensor->bytes - 1];
    }
    for (size_t m = 0; m < container->meta_count; m++) {
        const tfm__meta *meta = &container->metas[m];
        check(tfm__container_meta(container, meta->key) == meta);
        for (uint64_t at = 0; at < meta->count; at += 1 + meta->count / 7) {
            sum += tfm__meta_u64(meta, at, &u) + tfm__meta_i64(meta, at, &i) + tfm__meta_f64(meta, at, &d);
            if (tfm__meta_text(meta, at, &text) && text.size) sum += (uint8_t)text.data[text.size - 1];
        }
        sum += tfm__meta_bool(meta, &b);
        check(!tfm__meta_u64(meta, meta->count, &u) && !tfm__meta_text(meta, meta->count, &text));
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tfm__heap heap;
    tfm__store store;
    tfm__container container;
    tfm_error error = TFM_ERROR_INIT;
    tfm__heap_init(&heap, NULL, (uint64_t)256 << 20);
    if (tfm__store_open_memory(&store, &heap, data, size, &error)) return 0;
    if (tfm__container_open(&store, &container, &error) == TFM_OK) {
        volatile uint64_t sum = look_at(&container);
        (void)sum;
        tfm__container_release(&container);
    } else {
        check(error.code < 0 && error.message[0]);
    }
    tfm__store_close(&store);
    check(atomic_load(&heap.live) == 0);
    return 0;
}
