/* fuzz_ctranslate2.c - any bytes as a CTranslate2 model: its variables, and the model made of them. */
#include <stdlib.h>

#include "formats/formats.h"
#include "tfm/tfm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tfm__heap heap;
    tfm__store store;
    tfm__container container;
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
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
        tfm__container_release(&container);
    } else {
        check(error.code < 0 && error.message[0]);
    }
    tfm__store_close(&store);
    check(atomic_load(&heap.live) == 0);
    options.byte_budget = (uint64_t)256 << 20;
    if (tfm_model_load_memory(data, size, &options, &model, &error)) check(error.message[0]);
    tfm_model_release(model);
    return 0;
}
