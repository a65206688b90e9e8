/* save.c - what training gives: a Hugging Face folder, and checkpoints.
 *
 * A checkpoint is a safetensors file: for each trained tensor NAME, "weight.NAME", "first.NAME" and (not with
 * gradient descent) "second.NAME", F32 in the tensor's shape; and "state", I64 [4]: version of this layout,
 * optimizer, steps made, number of tensors. */
#include <stdio.h>

#include "train/trainer.h"

#define VERSION 1

/* folder/name, in the heap. */
char *tfm__folder_path(tfm__heap *heap, const char *folder, const char *name) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = tfm__alloc(heap, size);
    if (path) snprintf(path, size, "%s/%s", folder, name);
    return path;
}

/* ---- A folder ---- */

int32_t tfm__folder_write(tfm__heap *heap, const char *folder, const char *name, const tfm__text *parts,
                          size_t count, tfm_error *error) {
    tfm__writer writer;
    char *path = tfm__folder_path(heap, folder, name);
    if (!path) return tfm__fail_memory(error, heap, strlen(folder));
    int32_t status = tfm__writer_open(&writer, heap, path, error);
    if (!status) {
        for (size_t i = 0; i < count && !status; i++)
            status = tfm__writer_write(&writer, parts[i].data, parts[i].size, error);
        if (status)
            tfm__writer_abandon(&writer);
        else
            status = tfm__writer_finish(&writer, error);
    }
    tfm__free(heap, path);
    return status;
}

/* config.json as it was, but for the type of the weights, which is now F32: readers that go by it would round
 * them. */
static int32_t write_config(tfm_trainer *t, const char *folder, tfm_error *error) {
    static const char *const keys[] = {"torch_dtype", "dtype"};
    const tfm__json *json = &t->source->container.config;
    tfm__json_value root = tfm__json_root(json);
    const tfm__json_value objects[] = {root, tfm__json_get(json, root, "text_config")};
    tfm__text found[4], parts[9];
    size_t count = 0, part = 0, at = 0;
    for (size_t o = 0; o < 2; o++)
        for (size_t k = 0; k < 2; k++) {
            tfm__json_value value = tfm__json_get(json, objects[o], keys[k]);
            if (tfm__json_raw(json, value, &found[count].data, &found[count].size)) count++;
        }
    for (size_t i = 1; i < count; i++) /* in the order of the text */
        for (size_t j = i; j > 0 && found[j].data < found[j - 1].data; j--) {
            tfm__text other = found[j];
            found[j] = found[j - 1];
            found[j - 1] = other;
        }
    for (size_t i = 0; i < count; i++) {
        size_t first = (size_t)(found[i].data - json->text);
        parts[part++] = (tfm__text){json->text + at, first - at};
        parts[part++] = (tfm__text){"float32", 7};
        at = first + found[i].size;
    }
    parts[part++] = (tfm__text){json->text + at, json->size - at};
    return tfm__folder_write(&t->model.heap, folder, "config.json", parts, part, error);
}

/* The tokenizer's files, as far as there are any. */
int32_t tfm__folder_copy_tokenizer(tfm__heap *heap, tfm__store *store, const char *folder, size_t *copied,
                                   tfm_error *error) {
    static const char *const names[] = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "tokenizer.model",
                                        "vocab.json",
                                        "merges.txt",
                                        "vocab.txt",
                                        "special_tokens_map.json",
                                        "generation_config.json",
                                        "chat_template.jinja"};
    for (size_t i = 0; i < TFM__COUNT(names); i++) {
        tfm__blob blob;
        tfm_error ours = TFM_ERROR_INIT;
        int32_t status = tfm__store_sibling(store, names[i], &blob, &ours);
        if (status == TFM_E_NOT_FOUND) continue;
        if (status) return tfm__fail(error, status, "%s", ours.message);
        const tfm__text whole = {(const char *)blob.data, (size_t)blob.size};
        status = tfm__folder_write(heap, folder, names[i], &whole, 1, error);
        tfm__blob_release(&blob);
        if (status) return status;
        ++*copied;
    }
    return TFM_OK;
}

static int32_t write_weights(tfm_trainer *t, const char *folder, tfm_error *error) {
    const tfm__container *container = &t->model.container;
    char *path = tfm__folder_path(&t->model.heap, folder, "model.safetensors");
    tfm__save_tensor *tensors =
        tfm__alloc_array(&t->model.heap, container->tensor_count + 1, sizeof *tensors);
    int32_t status = path && tensors ? TFM_OK : tfm__fail_memory(error, &t->model.heap, sizeof *tensors);
    for (size_t i = 0; i < container->tensor_count && !status; i++) {
        const tfm__tensor *from = &container->tensors[i];
        tensors[i] = (tfm__save_tensor){
            .name = from->name, .type = from->type, .dims = from->dims, .data = from->data};
        memcpy(tensors[i].shape, from->shape, sizeof tensors[i].shape);
    }
    if (!status)
        status = tfm__safetensors_save(&t->model.heap, path, tensors, container->tensor_count, error);
    tfm__free(&t->model.heap, tensors);
    tfm__free(&t->model.heap, path);
    return status;
}

int32_t tfm__trainer_save(tfm_trainer *t, const char *folder, tfm_error *error) {
    if (t->source->container.format != TFM__FORMAT_HF)
        return tfm__fail(error, TFM_E_UNSUPPORTED,
                         "only what came from a Hugging Face folder is saved as one; this model did not");
    size_t copied = 0;
    int32_t status = tfm__folder_make(folder, error);
    if (!status)
        status = tfm__folder_copy_tokenizer(&t->model.heap, &t->source->store, folder, &copied, error);
    if (!status) status = write_config(t, folder, error);
    return status ? status : write_weights(t, folder, error);
}

/* ---- Checkpoints ---- */

static const char *const kinds[] = {"weight", "first", "second"};

static float *block_of(const tfm_trainer *t, size_t kind) {
    return kind == 0 ? t->weights : kind == 1 ? t->first_mean : t->second_mean;
}

static size_t kinds_of(const tfm_trainer *t) { return t->second_mean ? 3 : 2; }

static char *name_of(tfm__arena *arena, const char *kind, const char *tensor) {
    size_t size = strlen(kind) + strlen(tensor) + 2;
    char *name = tfm__arena_alloc(arena, size);
    if (name) snprintf(name, size, "%s.%s", kind, tensor);
    return name;
}

int32_t tfm__trainer_checkpoint(tfm_trainer *t, const char *path, tfm_error *error) {
    size_t each = kinds_of(t), count = each * t->parameter_count + 1;
    const int64_t state[4] = {VERSION, t->options.optimizer, (int64_t)t->step, (int64_t)t->parameter_count};
    tfm__arena names;
    tfm__arena_init(&names, &t->model.heap);
    tfm__save_tensor *tensors = tfm__alloc_array(&t->model.heap, count, sizeof *tensors);
    int32_t status = tensors ? TFM_OK : tfm__fail_memory(error, &t->model.heap, count * sizeof *tensors);
    for (size_t i = 0; i + 1 < count && !status; i++) {
        const tfm__parameter *parameter = &t->parameters[i / each];
        tensors[i] = (tfm__save_tensor){.name = name_of(&names, kinds[i % each], parameter->tensor->name),
                                        .type = TFM__F32,
                                        .dims = parameter->tensor->dims,
                                        .data = block_of(t, i % each) + parameter->first};
        memcpy(tensors[i].shape, parameter->tensor->shape, sizeof tensors[i].shape);
        if (!tensors[i].name)
            status = tfm__fail_memory(error, &t->model.heap, strlen(parameter->tensor->name));
    }
    if (!status) {
        tensors[count - 1] =
            (tfm__save_tensor){.name = "state", .type = TFM__I64, .dims = 1, .shape = {4}, .data = state};
        status = tfm__safetensors_save(&t->model.heap, path, tensors, count, error);
    }
    tfm__free(&t->model.heap, tensors);
    tfm__arena_free(&names);
    return status;
}

/* The tensor of the checkpoint that belongs to a block of a parameter, with its shape. */
static int32_t find(tfm_trainer *t, const tfm__container *file, tfm__arena *names, size_t kind,
                    const tfm__parameter *parameter, const tfm__tensor **out, tfm_error *error) {
    const tfm__tensor *ours = parameter->tensor;
    const char *name = name_of(names, kinds[kind], ours->name), *path = file->blobs[0].name;
    if (!name) return tfm__fail_memory(error, &t->model.heap, strlen(ours->name));
    const tfm__tensor *tensor = *out = tfm__container_tensor(file, name);
    if (!tensor)
        return tfm__fail_at(error, TFM_E_MISSING, path, name, TFM__NO_OFFSET, "not in this checkpoint");
    bool same = tensor->type == TFM__F32 && tensor->dims == ours->dims && tensor->bytes == ours->bytes;
    for (uint32_t i = 0; i < ours->dims && same; i++) same = tensor->shape[i] == ours->shape[i];
    if (same) return TFM_OK;
    return tfm__fail_at(error, TFM_E_SHAPE, path, name, tensor->offset,
                        "not the shape of the model's tensor");
}

static int32_t check_state(const tfm_trainer *t, const tfm__container *file, uint64_t *step,
                           tfm_error *error) {
    const tfm__tensor *tensor = tfm__container_tensor(file, "state");
    const char *path = file->blobs[0].name;
    if (!tensor || tensor->type != TFM__I64 || tensor->bytes != 32)
        return tfm__fail_at(error, TFM_E_FORMAT, path, "state", TFM__NO_OFFSET, "this is no checkpoint");
    uint64_t state[4];
    for (size_t i = 0; i < 4; i++) state[i] = tfm__u64_le(tensor->data + 8 * i);
    if (state[0] != VERSION || state[2] > INT64_MAX)
        return tfm__fail_at(error, TFM_E_FORMAT, path, "state", tensor->offset, "version %llu, step %llu",
                            (unsigned long long)state[0], (unsigned long long)state[2]);
    if (state[1] != (uint64_t)t->options.optimizer || state[3] != t->parameter_count)
        return tfm__fail_at(error, TFM_E_SHAPE, path, "state", tensor->offset,
                            "optimizer %llu and %llu tensors, the trainer has %d and %zu",
                            (unsigned long long)state[1], (unsigned long long)state[3],
                            (int)t->options.optimizer, t->parameter_count);
    *step = state[2];
    return TFM_OK;
}

/* Everything is looked at before anything changes. */
static int32_t take(tfm_trainer *t, const tfm__container *file, tfm__arena *names, tfm_error *error) {
    size_t each = kinds_of(t);
    uint64_t step = 0;
    const tfm__tensor *tensor = NULL;
    int32_t status = check_state(t, file, &step, error);
    const tfm__tensor **found =
        tfm__alloc_array(&t->model.heap, each * t->parameter_count + 1, sizeof *found);
    if (!found && !status) status = tfm__fail_memory(error, &t->model.heap, each * sizeof *found);
    for (size_t i = 0; i < each * t->parameter_count && !status; i++) {
        status = find(t, file, names, i % each, &t->parameters[i / each], &tensor, error);
        if (!status) found[i] = tensor;
    }
    for (size_t i = 0; i < each * t->parameter_count && !status; i++)
        memcpy(block_of(t, i % each) + t->parameters[i / each].first, found[i]->data,
               (size_t)found[i]->bytes);
    tfm__free(&t->model.heap, found);
    if (status) return status;
    t->step = step;
    memset(t->gradients, 0, t->count * sizeof *t->gradients);
    tfm__weights_changed(t);
    return TFM_OK;
}

int32_t tfm__trainer_resume(tfm_trainer *t, const char *path, tfm_error *error) {
    tfm__store store;
    tfm__container file = {0};
    tfm__arena names;
    const tfm__read_options read = {0};
    int32_t status = tfm__store_open_path(&store, &t->model.heap, path, &read, error);
    if (status) return status;
    tfm__arena_init(&names, &t->model.heap);
    status = tfm__container_open(&store, &file, error);
    if (!status && file.format != TFM__FORMAT_SAFETENSORS && file.format != TFM__FORMAT_HF)
        status = tfm__fail_at(error, TFM_E_FORMAT, path, NULL, TFM__NO_OFFSET, "this is no checkpoint");
    if (!status) status = take(t, &file, &names, error);
    tfm__container_release(&file);
    tfm__store_close(&store);
    tfm__arena_free(&names);
    return status;
}
