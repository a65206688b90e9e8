/* new_model.c - a model that has learned nothing yet, as a Hugging Face folder: config.json, weights by its
 * description and a seed, and a tokenizer's files. */
#include "model/blank.h"
#include "train/trainer.h"

static int32_t write_weights(tfm__heap *heap, const tfm__blank *list, size_t count, uint64_t seed,
                             const char *folder, tfm_error *error) {
    size_t all = 0, values;
    for (size_t i = 0; i < count; i++)
        if (list[i].count > SIZE_MAX || !tfm__add_size(all, (size_t)list[i].count, &all))
            return tfm__fail(error, TFM_E_MEMORY, "more weights than memory has addresses");
    tfm__save_tensor *tensors = tfm__alloc_array(heap, count + 1, sizeof *tensors);
    float *block =
        tfm__mul_size(all, sizeof(float), &values) ? tfm__alloc_array(heap, all + 1, sizeof *block) : NULL;
    int32_t status = tensors && block ? TFM_OK : tfm__fail_memory(error, heap, all * sizeof(float));
    float *at = block;
    for (size_t i = 0; i < count && !status; i++) {
        tfm__blank_fill(&list[i], seed, at);
        tensors[i] =
            (tfm__save_tensor){.name = list[i].name, .type = TFM__F32, .dims = list[i].dims, .data = at};
        memcpy(tensors[i].shape, list[i].shape, sizeof list[i].shape);
        at += list[i].count;
    }
    char *path = status ? NULL : tfm__folder_path(heap, folder, "model.safetensors");
    if (!status && !path) status = tfm__fail_memory(error, heap, strlen(folder));
    if (!status) status = tfm__safetensors_save(heap, path, tensors, count, error);
    tfm__free(heap, path);
    tfm__free(heap, block);
    tfm__free(heap, tensors);
    return status;
}

static int32_t write_tokenizer(tfm__heap *heap, const char *tokenizer, const char *folder, tfm_error *error) {
    const tfm__read_options read = {0};
    tfm__store store;
    size_t copied = 0;
    int32_t status = tfm__store_open_path(&store, heap, tokenizer, &read, error);
    if (status) return status;
    status = tfm__folder_copy_tokenizer(heap, &store, folder, &copied, error);
    tfm__store_close(&store);
    if (!status && copied == 0)
        status = tfm__fail_at(error, TFM_E_MISSING, tokenizer, NULL, TFM__NO_OFFSET,
                              "there are no tokenizer's files in this folder");
    return status;
}

/* The description is checked as that of any model, and everything is listed before anything is written. */
static int32_t write_model(tfm__heap *heap, tfm_model *model, const tfm_new_model_options *options,
                           const char *folder, tfm_error *error) {
    tfm__blank *list = NULL;
    size_t count = 0;
    const tfm__json *json = &model->container.config;
    int32_t status = tfm__config_read(&model->container, &model->config, error);
    if (!status) status = tfm__blank_list(model, heap, &list, &count, error);
    if (!status) status = tfm__folder_make(folder, error);
    const tfm__text whole = {json->text, json->size};
    if (!status && options->tokenizer) status = write_tokenizer(heap, options->tokenizer, folder, error);
    if (!status) status = tfm__folder_write(heap, folder, "config.json", &whole, 1, error);
    if (!status) status = write_weights(heap, list, count, options->seed, folder, error);
    tfm__free(heap, list);
    return status;
}

int32_t tfm__model_new(const char *config, const tfm_new_model_options *options, const char *folder,
                       tfm_error *error) {
    const tfm__read_options read = {0};
    tfm__heap heap;
    tfm__store store;
    tfm__heap_init(&heap, options->allocator, options->byte_budget);
    int32_t status = tfm__store_open_path(&store, &heap, config, &read, error);
    if (status) return status;
    tfm_model *model = tfm__alloc_zero(&heap, sizeof *model);
    status = model ? tfm__container_open_config(&store, &model->container, error)
                   : tfm__fail_memory(error, &heap, sizeof *model);
    if (!status && model->container.format != TFM__FORMAT_HF)
        status = tfm__fail_at(error, TFM_E_UNSUPPORTED, config, NULL, TFM__NO_OFFSET,
                              "a new model is made from a config.json");
    if (!status) status = write_model(&heap, model, options, folder, error);
    if (model) tfm__container_release(&model->container);
    tfm__free(&heap, model);
    tfm__store_close(&store);
    return status;
}
