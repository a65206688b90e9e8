/* adapter.c - the files of an adapter: GGUF, or PEFT's two. Called by the model's loader of adapters.
 *
 * PEFT (Hugging Face) writes a folder with adapter_config.json and adapter_model.safetensors; older versions
 * wrote a pickle, adapter_model.bin, which is not read. */
#include "formats/parts.h"

#define CONFIG "adapter_config.json"
#define WEIGHTS "adapter_model.safetensors"
#define WHO "an adapter in PEFT's layout"

/* Its two files, but for the one that is blobs[0] already (UINT32_MAX: not yet). */
static int32_t open_peft(tfm__store *store, tfm__container *container, uint32_t config, uint32_t weights,
                         tfm_error *error) {
    int32_t status = TFM_OK;
    uint32_t pickle = UINT32_MAX;
    container->format = TFM__FORMAT_SAFETENSORS;
    if (config == UINT32_MAX)
        status = tfm__open_named(store, container, CONFIG, TFM_E_MISSING, WHO, &config, error);
    if (!status) status = tfm__parse_object(container, config, &container->config, error);
    if (!status && weights == UINT32_MAX)
        status = tfm__open_named(store, container, WEIGHTS, TFM_OK, WHO, &weights, error);
    if (status) return status;
    if (weights != UINT32_MAX) return tfm__safetensors_read(container, weights, error);
    status = tfm__open_named(store, container, "adapter_model.bin", TFM_OK, WHO, &pickle, error);
    if (status) return status;
    if (pickle != UINT32_MAX)
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, container->blobs[pickle].name, NULL, TFM__NO_OFFSET,
                            "PyTorch pickles are not read: save the adapter as safetensors");
    return tfm__open_named(store, container, WEIGHTS, TFM_E_MISSING, WHO, &weights, error);
}

static int32_t open_file(tfm__store *store, tfm__container *container, tfm_error *error) {
    tfm__blob blob;
    uint32_t file;
    int32_t status = tfm__store_main(store, &blob, error);
    if (!status) status = tfm__container_add_blob(container, &blob, &file, error);
    if (status) return status;
    const tfm__blob *first = &container->blobs[file];
    switch (tfm__format_guess(first->data, first->size)) {
    case TFM__FORMAT_GGUF:
        return tfm__gguf_open(store, container, error);
    case TFM__FORMAT_SAFETENSORS:
        return open_peft(store, container, UINT32_MAX, file, error);
    default:
        break;
    }
    if (first->size > 0 && first->data[0] == '{') return open_peft(store, container, file, UINT32_MAX, error);
    return tfm__fail_at(error, TFM_E_FORMAT, first->name, NULL, TFM__NO_OFFSET,
                        "no adapter: neither GGUF nor " CONFIG " nor " WEIGHTS);
}

int32_t tfm__container_open_adapter(tfm__store *store, tfm__container *container, tfm_error *error) {
    memset(container, 0, sizeof *container);
    container->heap = store->heap;
    tfm__arena_init(&container->arena, store->heap);
    int32_t status = tfm__store_is_folder(store) ? open_peft(store, container, UINT32_MAX, UINT32_MAX, error)
                                                 : open_file(store, container, error);
    if (!status && !container->tensor_index) status = tfm__container_index(container, error);
    if (status) tfm__container_release(container);
    return status;
}
