/* container.c - recognising a file, owning what was opened, finding tensors and keys by name. Called by the
 * model loader and by tools; the formats themselves are in gguf.c, safetensors.c, hf.c, llama2c.c and
 * ctranslate2.c.
 *
 * Look-up is a binary search in sorted lists of indices rather than a hash table: no hostile choice of names
 * makes it slow, and equal names are neighbours. */
#include "formats/parts.h"

#define TFM__FIRST_CAPACITY 16

bool tfm__grow_array(tfm__heap *heap, void **array, size_t count, size_t element) {
    size_t capacity = count, bytes;
    void *grown;
    if (count == 0)
        capacity = TFM__FIRST_CAPACITY;
    else if (count < TFM__FIRST_CAPACITY || (count & (count - 1)))
        return true; /* not full */
    else if (!tfm__mul_size(count, 2, &capacity))
        return false;
    if (!tfm__mul_size(capacity, element, &bytes)) return false;
    grown = tfm__resize(heap, *array, bytes);
    if (!grown) return false;
    memset((char *)grown + count * element, 0, (capacity - count) * element);
    *array = grown;
    return true;
}

int32_t tfm__container_add_tensor(tfm__container *container, tfm__tensor **tensor, tfm_error *error) {
    void *list = container->tensors;
    if (container->tensor_count >= UINT32_MAX - 1 ||
        !tfm__grow_array(container->heap, &list, container->tensor_count, sizeof *container->tensors))
        return tfm__fail_memory(error, container->heap,
                                container->tensor_count * 2 * sizeof *container->tensors);
    container->tensors = list;
    *tensor = &container->tensors[container->tensor_count++];
    return TFM_OK;
}

int32_t tfm__container_add_blob(tfm__container *container, tfm__blob *blob, uint32_t *file,
                                tfm_error *error) {
    void *list = container->blobs;
    if (!tfm__grow_array(container->heap, &list, container->blob_count, sizeof *container->blobs)) {
        tfm__blob_release(blob);
        return tfm__fail_memory(error, container->heap, container->blob_count * 2 * sizeof *container->blobs);
    }
    container->blobs = list;
    container->blobs[container->blob_count] = *blob;
    *file = (uint32_t)container->blob_count++;
    memset(blob, 0, sizeof *blob);
    return TFM_OK;
}

/* ---- Sorting and indices ------------------------------------------------------------------------------- */

/* Lets the item at root sink to its place in the heap of the first count items. */
static void sink(uint32_t *items, size_t root, size_t count, tfm__compare_fn compare, const void *context) {
    for (;;) {
        size_t child = 2 * root + 1;
        uint32_t item;
        if (child >= count) return;
        if (child + 1 < count && compare(context, items[child], items[child + 1]) < 0) child++;
        if (compare(context, items[root], items[child]) >= 0) return;
        item = items[root];
        items[root] = items[child];
        items[child] = item;
        root = child;
    }
}

void tfm__sort(uint32_t *items, size_t count, tfm__compare_fn compare, const void *context) {
    size_t i;
    for (i = count / 2; i > 0; i--) sink(items, i - 1, count, compare, context);
    for (i = count; i > 1; i--) {
        uint32_t largest = items[0];
        items[0] = items[i - 1];
        items[i - 1] = largest;
        sink(items, 0, i - 1, compare, context);
    }
}

static int by_tensor_name(const void *context, uint32_t a, uint32_t b) {
    const tfm__tensor *tensors = context;
    return strcmp(tensors[a].name, tensors[b].name);
}

static int by_key(const void *context, uint32_t a, uint32_t b) {
    const tfm__meta *metas = context;
    return strcmp(metas[a].key, metas[b].key);
}

static int by_offset(const void *context, uint32_t a, uint32_t b) {
    const tfm__tensor *tensors = context;
    if (tensors[a].offset != tensors[b].offset) return tensors[a].offset < tensors[b].offset ? -1 : 1;
    if (tensors[a].bytes != tensors[b].bytes) return tensors[a].bytes < tensors[b].bytes ? -1 : 1;
    return 0;
}

/* first, first + 1, ... sorted; NULL when refused. */
static uint32_t *sorted_list(tfm__heap *heap, size_t first, size_t count, tfm__compare_fn compare,
                             const void *context) {
    uint32_t *list = tfm__alloc_array(heap, count, sizeof *list);
    size_t i;
    if (!list) return NULL;
    for (i = 0; i < count; i++) list[i] = (uint32_t)(first + i);
    tfm__sort(list, count, compare, context);
    return list;
}

int32_t tfm__container_by_offset(const tfm__container *container, size_t first, uint32_t **order,
                                 tfm_error *error) {
    size_t count = container->tensor_count - first;
    *order = sorted_list(container->heap, first, count, by_offset, container->tensors);
    return *order ? TFM_OK : tfm__fail_memory(error, container->heap, count * sizeof **order);
}

int32_t tfm__container_index(tfm__container *container, tfm_error *error) {
    size_t i;
    container->tensor_index =
        sorted_list(container->heap, 0, container->tensor_count, by_tensor_name, container->tensors);
    if (!container->tensor_index)
        return tfm__fail_memory(error, container->heap, container->tensor_count * sizeof(uint32_t));
    container->tensor_slots = container->tensor_count;
    for (i = 1; i < container->tensor_slots; i++) {
        const tfm__tensor *a = &container->tensors[container->tensor_index[i - 1]];
        const tfm__tensor *b = &container->tensors[container->tensor_index[i]];
        if (!strcmp(a->name, b->name))
            return tfm__fail_at(error, TFM_E_FORMAT, tfm__container_file(container, b), b->name,
                                TFM__NO_OFFSET, "there are two tensors of this name");
    }
    if (container->meta_count == 0) return TFM_OK;
    container->meta_index = sorted_list(container->heap, 0, container->meta_count, by_key, container->metas);
    if (!container->meta_index)
        return tfm__fail_memory(error, container->heap, container->meta_count * sizeof(uint32_t));
    container->meta_slots = container->meta_count;
    for (i = 1; i < container->meta_slots; i++) {
        const tfm__meta *a = &container->metas[container->meta_index[i - 1]];
        const tfm__meta *b = &container->metas[container->meta_index[i]];
        if (!strcmp(a->key, b->key))
            return tfm__fail_at(error, TFM_E_FORMAT, container->blobs[0].name, NULL,
                                TFM__MAX(a->offset, b->offset), "the key '%.100s' occurs twice", b->key);
    }
    return TFM_OK;
}

const tfm__tensor *tfm__container_tensor(const tfm__container *container, const char *name) {
    size_t low = 0, high = container->tensor_slots;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const tfm__tensor *tensor = &container->tensors[container->tensor_index[middle]];
        int order = strcmp(name, tensor->name);
        if (order == 0) return tensor;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const tfm__meta *tfm__container_meta(const tfm__container *container, const char *key) {
    size_t low = 0, high = container->meta_slots;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const tfm__meta *meta = &container->metas[container->meta_index[middle]];
        int order = strcmp(key, meta->key);
        if (order == 0) return meta;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *tfm__container_file(const tfm__container *container, const tfm__tensor *tensor) {
    return tensor->file < container->blob_count ? container->blobs[tensor->file].name : "";
}

/* ---- Opening ------------------------------------------------------------------------------------------- */

static bool starts_with(const uint8_t *data, uint64_t size, const char *magic) {
    return size >= strlen(magic) && !memcmp(data, magic, strlen(magic));
}

int tfm__format_guess(const uint8_t *data, uint64_t size) {
    tfm__llama2c_header header;
    if (starts_with(data, size, "GGUF")) return TFM__FORMAT_GGUF;
    if (starts_with(data, size, "24ka")) return TFM__FORMAT_LLAMA2C; /* "ak42" as a little-endian number */
    if (size > 8 && data[8] == '{' && tfm__u64_le(data) <= (uint64_t)1 << 32) return TFM__FORMAT_SAFETENSORS;
    if (tfm__ctranslate2_is(data, size)) return TFM__FORMAT_CTRANSLATE2;
    if (tfm__llama2c_header_read(data, size, &header)) return TFM__FORMAT_LLAMA2C;
    return TFM__FORMAT_NONE;
}

/* True if the first thing in the file is the brace of a JSON object. */
static bool looks_like_json(const uint8_t *data, uint64_t size) {
    uint64_t i = 0;
    while (i < size && i < 4096 && data[i] && strchr(" \t\r\n", data[i])) i++;
    return i < size && data[i] == '{';
}

/* Says what an unknown file is, where that is known. */
static int32_t refuse_unknown(const tfm__blob *blob, tfm_error *error) {
    static const struct {
        const char *magic, *kind;
    } known[] = {
        {"PK\003\004", "a zip archive, perhaps a PyTorch checkpoint: convert it to safetensors"},
        {"\200\002", "a Python pickle, perhaps a PyTorch checkpoint: convert it to safetensors"},
        {"lmgg", "a GGML file from before GGUF: convert it to GGUF"},
        {"fmgg", "a GGML file from before GGUF: convert it to GGUF"},
        {"tjgg", "a GGML file from before GGUF: convert it to GGUF"},
        {"\211HDF", "an HDF5 file: convert it to safetensors"},
        {"version https://git-lfs", "a Git LFS pointer: the model itself was not downloaded"},
    };
    size_t i;
    if (blob->size == 0)
        return tfm__fail_at(error, TFM_E_TRUNCATED, blob->name, NULL, 0, "the file is empty");
    for (i = 0; i < TFM__COUNT(known); i++)
        if (starts_with(blob->data, blob->size, known[i].magic))
            return tfm__fail_at(error, TFM_E_UNSUPPORTED, blob->name, NULL, TFM__NO_OFFSET, "this is %s",
                                known[i].kind);
    return tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, TFM__NO_OFFSET,
                        "neither GGUF nor safetensors nor a llama2.c checkpoint");
}

/* A safetensors file that was named itself: with a config.json beside it, a model; alone, just tensors.
 * Adapters often lie in the folder of a model that they do not contain, so their file names keep them apart.
 */
static int32_t open_safetensors(tfm__store *store, tfm__container *container, tfm_error *error) {
    bool adapter = store->main_name && !strncmp(store->main_name, "adapter", 7);
    tfm__blob config;
    int32_t status = TFM_E_NOT_FOUND;
    if (!adapter) {
        status = tfm__store_sibling(store, "config.json", &config, NULL);
        if (status == TFM_OK) tfm__blob_release(&config);
    }
    if (status == TFM_OK) return tfm__hf_open(store, container, TFM__HF_WEIGHTS, error);
    container->format = TFM__FORMAT_SAFETENSORS;
    return tfm__safetensors_read(container, 0, error);
}

/* model.bin is blobs[0]; newer folders have a config.json, too. */
static int32_t open_ctranslate2(tfm__store *store, tfm__container *container, tfm_error *error) {
    tfm__blob blob;
    uint32_t file;
    int32_t status = tfm__ctranslate2_open(store, container, error);
    if (status) return status;
    status = tfm__store_sibling(store, "config.json", &blob, NULL);
    if (status == TFM_E_NOT_FOUND) return TFM_OK;
    if (status) return tfm__fail(error, status, "config.json beside model.bin cannot be read");
    status = tfm__container_add_blob(container, &blob, &file, error);
    if (status) return status;
    const tfm__blob *text = &container->blobs[file];
    return tfm__json_parse(&container->config, container->heap, (const char *)text->data, (size_t)text->size,
                           text->name, error);
}

/* Whether the folder holds a CTranslate2 model; its model.bin is blobs[0] then. */
static bool find_ctranslate2(tfm__store *store, tfm__container *container, int32_t *status,
                             tfm_error *error) {
    tfm__blob blob;
    uint32_t file;
    if (tfm__store_sibling(store, "model.bin", &blob, NULL)) return false;
    if (tfm__format_guess(blob.data, blob.size) != TFM__FORMAT_CTRANSLATE2) {
        tfm__blob_release(&blob);
        return false;
    }
    *status = tfm__container_add_blob(container, &blob, &file, error);
    return true;
}

/* Looks at the main file and hands it to its reader. */
static int32_t open_main(tfm__store *store, tfm__container *container, tfm_error *error) {
    tfm__blob blob;
    const tfm__blob *main_blob;
    uint32_t file;
    int32_t status = tfm__store_main(store, &blob, error);
    if (status) return status;
    status = tfm__container_add_blob(container, &blob, &file, error);
    if (status) return status;
    main_blob = &container->blobs[file];
    switch (tfm__format_guess(main_blob->data, main_blob->size)) {
    case TFM__FORMAT_GGUF:
        return tfm__gguf_open(store, container, error);
    case TFM__FORMAT_LLAMA2C:
        return tfm__llama2c_open(store, container, error);
    case TFM__FORMAT_SAFETENSORS:
        return open_safetensors(store, container, error);
    case TFM__FORMAT_CTRANSLATE2:
        return open_ctranslate2(store, container, error);
    default:
        break;
    }
    if (looks_like_json(main_blob->data, main_blob->size)) {
        tfm__json json;
        bool index;
        status = tfm__json_parse(&json, container->heap, (const char *)main_blob->data,
                                 (size_t)main_blob->size, main_blob->name, error);
        if (status) return status;
        index = tfm__json_get(&json, tfm__json_root(&json), "weight_map") != TFM__JSON_NONE;
        tfm__json_release(&json);
        return tfm__hf_open(store, container, index ? TFM__HF_INDEX : TFM__HF_CONFIG, error);
    }
    return refuse_unknown(main_blob, error);
}

int32_t tfm__container_open(tfm__store *store, tfm__container *container, tfm_error *error) {
    int32_t status;
    memset(container, 0, sizeof *container);
    container->heap = store->heap;
    tfm__arena_init(&container->arena, store->heap);
    status = TFM_OK;
    if (!tfm__store_is_folder(store))
        status = open_main(store, container, error);
    else if (!find_ctranslate2(store, container, &status, error))
        status = tfm__hf_open(store, container, TFM__HF_FOLDER, error);
    else if (!status)
        status = open_ctranslate2(store, container, error);
    if (status == TFM_OK && !container->tensor_index) status = tfm__container_index(container, error);
    if (status) tfm__container_release(container);
    return status;
}

int32_t tfm__container_open_config(tfm__store *store, tfm__container *container, tfm_error *error) {
    int32_t status = TFM_OK;
    bool is_main = false;
    memset(container, 0, sizeof *container);
    container->heap = store->heap;
    tfm__arena_init(&container->arena, store->heap);
    if (!tfm__store_is_folder(store)) {
        tfm__blob blob;
        tfm__json json;
        uint32_t file;
        status = tfm__store_main(store, &blob, error);
        if (status == TFM_OK) status = tfm__container_add_blob(container, &blob, &file, error);
        if (status == TFM_OK && looks_like_json(container->blobs[0].data, container->blobs[0].size)) {
            status = tfm__json_parse(&json, container->heap, (const char *)container->blobs[0].data,
                                     (size_t)container->blobs[0].size, container->blobs[0].name, error);
            if (status == TFM_OK) {
                is_main = tfm__json_get(&json, tfm__json_root(&json), "weight_map") == TFM__JSON_NONE;
                tfm__json_release(&json);
            }
        }
    }
    if (status == TFM_OK) status = tfm__hf_open_config(store, container, is_main, error);
    if (status) tfm__container_release(container);
    return status;
}

int32_t tfm__container_open_inside(tfm__store *store, const char *folder, const char *name,
                                   tfm__container *container, tfm_error *error) {
    tfm__blob blob;
    uint32_t file;
    memset(container, 0, sizeof *container);
    int32_t status = tfm__store_inside(store, folder, name, &blob, error);
    if (status) return status;
    container->heap = store->heap;
    container->format = TFM__FORMAT_SAFETENSORS;
    tfm__arena_init(&container->arena, store->heap);
    status = tfm__container_add_blob(container, &blob, &file, error);
    if (status == TFM_OK) status = tfm__safetensors_read(container, file, error);
    if (status == TFM_OK) status = tfm__container_index(container, error);
    if (status) tfm__container_release(container);
    return status;
}

void tfm__container_release(tfm__container *container) {
    tfm__heap *heap = container->heap;
    size_t i;
    if (!heap) return;
    tfm__json_release(&container->config);
    tfm__json_release(&container->generation_config);
    tfm__free(heap, container->tensors);
    tfm__free(heap, container->metas);
    tfm__free(heap, container->tensor_index);
    tfm__free(heap, container->meta_index);
    tfm__arena_free(&container->arena);
    for (i = 0; i < container->blob_count; i++) tfm__blob_release(&container->blobs[i]);
    tfm__free(heap, container->blobs);
    memset(container, 0, sizeof *container);
}
