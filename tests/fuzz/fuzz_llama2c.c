/* fuzz_llama2c.c - any bytes as a llama2.c checkpoint. Most inputs of other formats end here too: they have
 * no magic number in version 0. */
#include <stdlib.h>

#include "formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tfm__heap heap;
    tfm__store store;
    tfm__container container;
    tfm_error error = TFM_ERROR_INIT;
    tfm__heap_init(&heap, NULL, (uint64_t)256 << 20);
    if (tfm__store_open_memory(&store, &heap, data, size, &error)) return 0;
    if (tfm__container_open(&store, &container, &error) == TFM_OK) {
        volatile uint64_t sum = 0;
        for (size_t t = 0; t < container.tensor_count; t++) {
            const tfm__tensor *tensor = &container.tensors[t];
            check(tfm__container_tensor(&container, tensor->name) == tensor);
            for (uint64_t at = 0; at < tensor->bytes; at++) sum += tensor->data[at];
        }
        (void)sum;
        if (container.format == TFM__FORMAT_LLAMA2C) {
            /* the file cannot be smaller than one byte a weight: nothing came from nowhere */
            check(container.tensor_count >= 11 && container.llama2c.version >= 0 &&
                  container.llama2c.version <= 2);
            check((uint64_t)container.llama2c.dim * (uint64_t)container.llama2c.vocab_size <= size);
        }
        tfm__container_release(&container);
    } else {
        check(error.code < 0 && error.message[0]);
    }
    tfm__store_close(&store);
    check(atomic_load(&heap.live) == 0);
    return 0;
}
