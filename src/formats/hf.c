/* hf.c - Hugging Face model folders: config.json and its safetensors files. Called by container.c.
 *
 * The weights are, in this order of preference (as the Transformers library looks for them):
 * model.safetensors; model.safetensors.index.json, whose "weight_map" says which file holds which tensor; and
 * the same two names with "consolidated" for "model". Every tensor of the map must be in the file the map
 * says; every file is opened once. Files are opened through the store, which refuses names that lead out of
 * the folder. */
#include "formats/parts.h"

#define TFM__HF_MOST_SHARDS 10000

int32_t tfm__open_named(tfm__store *store, tfm__container *container, const char *name, int32_t missing,
                        const char *who, uint32_t *file, tfm_error *error) {
    tfm_error detail = TFM_ERROR_INIT;
    tfm__blob blob;
    int32_t status = tfm__store_sibling(store, name, &blob, &detail);
    *file = UINT32_MAX;
    if (status == TFM_E_NOT_FOUND) {
        if (missing == TFM_OK) return TFM_OK;
        return tfm__fail_at(error, missing, detail.file[0] ? detail.file : name, NULL, TFM__NO_OFFSET,
                            "%s needs this file", who);
    }
    if (status && error) { /* as far as the caller's struct reaches */
        detail.struct_size = error->struct_size;
        memcpy(error, &detail, TFM__MIN(error->struct_size, sizeof detail));
    }
    if (status) return status;
    return tfm__container_add_blob(container, &blob, file, error);
}

static int32_t open_named(tfm__store *store, tfm__container *container, const char *name, int32_t missing,
                          uint32_t *file, tfm_error *error) {
    return tfm__open_named(store, container, name, missing, "a Hugging Face model", file, error);
}

int32_t tfm__parse_object(tfm__container *container, uint32_t file, tfm__json *json, tfm_error *error) {
    const tfm__blob *blob = &container->blobs[file];
    int32_t status;
    if (blob->size > SIZE_MAX)
        return tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, TFM__NO_OFFSET, "too large");
    status = tfm__json_parse(json, container->heap, (const char *)blob->data, (size_t)blob->size, blob->name,
                             error);
    if (status) return status;
    if (tfm__json_kind(json, tfm__json_root(json)) == TFM__JSON_OBJECT) return TFM_OK;
    tfm__json_release(json);
    return tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, 0, "not a JSON object");
}

/* ---- Sharded weights ----------------------------------------------------------------------------------- */

/* The files named by an index so far: names in the arena, beside their blobs. */
typedef struct shard_list {
    struct shard {
        const char *name;
        uint32_t file;
    } * items; /* heap */
    size_t count;
} shard_list;

static int32_t fail_map(const tfm__json *json, tfm__json_value at, const char *what, tfm_error *error) {
    return tfm__fail_at(error, TFM_E_FORMAT, json->file, NULL, tfm__json_offset(json, at), "%s", what);
}

/* The shard that a weight_map's value names, opened and read at its first mention. last: the one mentioned
 * before, which is nearly always the same. */
static int32_t shard_of(tfm__store *store, tfm__container *container, const tfm__json *json,
                        tfm__json_value value, shard_list *shards, size_t *last, tfm_error *error) {
    const char *raw;
    size_t size = 0, length, i;
    char *name;
    void *list = shards->items;
    int32_t status;
    if (shards->count > 0 && tfm__json_equals(json, value, shards->items[*last].name)) return TFM_OK;
    for (i = 0; i < shards->count; i++) {
        if (tfm__json_equals(json, value, shards->items[i].name)) {
            *last = i;
            return TFM_OK;
        }
    }
    if (!tfm__json_raw(json, value, &raw, &size) || size > 4096)
        return fail_map(json, value, "a value of the weight_map is no file name", error);
    if (shards->count >= TFM__HF_MOST_SHARDS)
        return fail_map(json, value, "the weight_map names too many files", error);
    name = tfm__arena_alloc(&container->arena, size + 1);
    if (!name) return tfm__fail_memory(error, container->heap, size + 1);
    length = tfm__json_unescape(json, value, name, size);
    if (length == SIZE_MAX || memchr(name, 0, length))
        return fail_map(json, value, "a value of the weight_map is no file name", error);
    if (!tfm__grow_array(container->heap, &list, shards->count, sizeof *shards->items))
        return tfm__fail_memory(error, container->heap, shards->count * 2 * sizeof *shards->items);
    shards->items = list;
    status = open_named(store, container, name, TFM_E_MISSING, &shards->items[shards->count].file, error);
    if (status) return status;
    shards->items[shards->count].name = name;
    *last = shards->count++;
    return tfm__safetensors_read(container, shards->items[*last].file, error);
}

/* Every tensor that the map promises is in the file that it promises. */
static int32_t check_entry(tfm__container *container, const tfm__json *json, tfm__json_value key,
                           const struct shard *shard, tfm_error *error) {
    char short_name[256], *name = short_name;
    const char *raw;
    const tfm__tensor *tensor = NULL;
    size_t size = 0, length;
    int32_t status = TFM_OK;
    if (!tfm__json_raw(json, key, &raw, &size))
        return fail_map(json, key, "a key of the weight_map is malformed", error);
    if (size >= sizeof short_name) name = tfm__alloc(container->heap, size + 1);
    if (!name) return tfm__fail_memory(error, container->heap, size + 1);
    length = tfm__json_unescape(json, key, name, size);
    name[length == SIZE_MAX ? 0 : length] = '\0';
    if (length != SIZE_MAX && !memchr(name, 0, length)) tensor = tfm__container_tensor(container, name);
    if (!tensor || tensor->file != shard->file)
        status = tfm__fail_at(error, TFM_E_MISSING, container->blobs[shard->file].name, name, TFM__NO_OFFSET,
                              "the index says that this file holds it, but it does not");
    if (name != short_name) tfm__free(container->heap, name);
    return status;
}

/* Reads all files of the index in blobs[file]. */
static int32_t read_index(tfm__store *store, tfm__container *container, uint32_t file, tfm_error *error) {
    tfm__json json;
    shard_list shards = {NULL, 0};
    tfm__json_value map, key;
    size_t last = 0;
    int32_t status = tfm__parse_object(container, file, &json, error);
    if (status) return status;
    map = tfm__json_get(&json, tfm__json_root(&json), "weight_map");
    if (tfm__json_kind(&json, map) != TFM__JSON_OBJECT || tfm__json_size(&json, map) == 0)
        status = fail_map(&json, tfm__json_root(&json), "there is no weight_map with tensors in it", error);
    for (key = tfm__json_first(&json, map); key != TFM__JSON_NONE && status == TFM_OK;
         key = tfm__json_next(&json, map, key))
        status = shard_of(store, container, &json, tfm__json_member_value(&json, key), &shards, &last, error);
    if (status == TFM_OK) status = tfm__container_index(container, error);
    for (key = tfm__json_first(&json, map); key != TFM__JSON_NONE && status == TFM_OK;
         key = tfm__json_next(&json, map, key)) {
        status = shard_of(store, container, &json, tfm__json_member_value(&json, key), &shards, &last, error);
        if (status == TFM_OK) status = check_entry(container, &json, key, &shards.items[last], error);
    }
    tfm__free(container->heap, shards.items);
    tfm__json_release(&json);
    return status;
}

/* ---- The folder ---------------------------------------------------------------------------------------- */

/* Looks for the weights under the names they can have. */
static int32_t find_weights(tfm__store *store, tfm__container *container, tfm_error *error) {
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                        "consolidated.safetensors", "consolidated.safetensors.index.json"};
    static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
    const char *folder = store->folder ? store->folder : "source";
    size_t i;
    uint32_t file;
    int32_t status;
    for (i = 0; i < TFM__COUNT(names); i++) {
        status = open_named(store, container, names[i], TFM_OK, &file, error);
        if (status) return status;
        if (file == UINT32_MAX) continue;
        return i % 2 ? read_index(store, container, file, error)
                     : tfm__safetensors_read(container, file, error);
    }
    for (i = 0; i < TFM__COUNT(pickles); i++) {
        status = open_named(store, container, pickles[i], TFM_OK, &file, error);
        if (status) return status;
        if (file != UINT32_MAX)
            return tfm__fail_at(error, TFM_E_UNSUPPORTED, container->blobs[file].name, NULL, TFM__NO_OFFSET,
                                "PyTorch pickles are not read: convert the model to safetensors");
    }
    return tfm__fail_at(error, TFM_E_MISSING, folder, NULL, TFM__NO_OFFSET,
                        "there is neither model.safetensors nor model.safetensors.index.json");
}

int32_t tfm__hf_open(tfm__store *store, tfm__container *container, int main_is, tfm_error *error) {
    uint32_t file = 0;
    int32_t status = TFM_OK;
    container->format = TFM__FORMAT_HF;
    if (main_is != TFM__HF_CONFIG)
        status = open_named(store, container, "config.json", TFM_E_MISSING, &file, error);
    if (status == TFM_OK) status = tfm__parse_object(container, file, &container->config, error);
    if (status) return status;
    status = open_named(store, container, "generation_config.json", TFM_OK, &file, error);
    if (status == TFM_OK && file != UINT32_MAX)
        status = tfm__parse_object(container, file, &container->generation_config, error);
    if (status) return status;
    switch (main_is) {
    case TFM__HF_WEIGHTS:
        return tfm__safetensors_read(container, 0, error);
    case TFM__HF_INDEX:
        return read_index(store, container, 0, error);
    default:
        return find_weights(store, container, error);
    }
}

int32_t tfm__hf_open_config(tfm__store *store, tfm__container *container, bool is_main, tfm_error *error) {
    uint32_t file = 0;
    int32_t status = TFM_OK;
    container->format = TFM__FORMAT_HF;
    if (!is_main) status = open_named(store, container, "config.json", TFM_E_MISSING, &file, error);
    if (status) return status;
    tfm__blob first = container->blobs[0]; /* messages name the description */
    container->blobs[0] = container->blobs[file];
    container->blobs[file] = first;
    return tfm__parse_object(container, 0, &container->config, error);
}
