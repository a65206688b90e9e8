/* safetensors.c - reading and writing the safetensors format. Called by container.c and hf.c;
 * tfm__safetensors_save by the trainer and by tools.
 *
 * Layout:  u64 length of the header | header: a JSON object | data
 *   header:  "NAME": {"dtype": "F32", "shape": [rows, columns], "data_offsets": [begin, end]} ...
 *            "__metadata__": {text: text ...}, which is ignored
 * Offsets count from the start of the data; the tensors cover it exactly, without holes or overlaps.
 * U8 and BOOL are given as I8: bytes that nobody multiplies by.
 * Source: the format section of the safetensors README (huggingface/safetensors). */
#include <stdio.h>

#include "formats/parts.h"

#define TFM__SAFETENSORS_HEADER 100000000u /* the bound of the reference implementation */
#define TFM__SAFETENSORS_NAME 65535

static const struct {
    const char *name;
    uint32_t type;
    bool write; /* the name that is written for the type */
} dtype_names[] = {
    {"F32", TFM__F32, true}, {"F16", TFM__F16, true},  {"BF16", TFM__BF16, true}, {"F64", TFM__F64, true},
    {"I64", TFM__I64, true}, {"I32", TFM__I32, true},  {"I16", TFM__I16, true},   {"I8", TFM__I8, true},
    {"U8", TFM__I8, false},  {"BOOL", TFM__I8, false},
};

/* ---- Reading ------------------------------------------------------------------------------------------- */

/* One tensor being read: what its messages need. */
typedef struct entry {
    const tfm__json *json;
    tfm__json_value value; /* the object behind the name */
    const char *file;
    tfm__tensor *tensor;
    tfm_error *error;
} entry;

static int32_t fail_entry(const entry *e, int32_t code, const char *what) {
    return tfm__fail_at(e->error, code, e->file, e->tensor->name, 8 + tfm__json_offset(e->json, e->value),
                        "%s", what);
}

static int32_t read_dtype(const entry *e) {
    tfm__json_value value = tfm__json_get(e->json, e->value, "dtype");
    char name[16];
    size_t i, length;
    for (i = 0; i < TFM__COUNT(dtype_names); i++) {
        if (tfm__json_equals(e->json, value, dtype_names[i].name)) {
            e->tensor->type = dtype_names[i].type;
            return TFM_OK;
        }
    }
    if (tfm__json_kind(e->json, value) != TFM__JSON_STRING)
        return fail_entry(e, TFM_E_FORMAT, "it has no dtype");
    length = tfm__json_unescape(e->json, value, name, sizeof name - 1);
    if (length == SIZE_MAX) return fail_entry(e, TFM_E_UNSUPPORTED, "its dtype is unknown");
    name[length] = '\0';
    return tfm__fail_at(e->error, TFM_E_UNSUPPORTED, e->file, e->tensor->name, TFM__NO_OFFSET,
                        "the type %s is not supported", name);
}

static bool read_natural(const tfm__json *json, tfm__json_value value, uint64_t *out) {
    int64_t number;
    if (!tfm__json_i64(json, value, &number) || number < 0) return false;
    *out = (uint64_t)number;
    return true;
}

/* Shape and, from it, the number of bytes. */
static int32_t read_shape(const entry *e) {
    tfm__json_value shape = tfm__json_get(e->json, e->value, "shape"), item;
    uint64_t count = 1;
    if (tfm__json_kind(e->json, shape) != TFM__JSON_ARRAY)
        return fail_entry(e, TFM_E_FORMAT, "it has no shape");
    if (tfm__json_size(e->json, shape) > TFM__MAX_DIMS)
        return fail_entry(e, TFM_E_UNSUPPORTED, "it has more than 8 dimensions");
    for (item = tfm__json_first(e->json, shape); item != TFM__JSON_NONE;
         item = tfm__json_next(e->json, shape, item)) {
        uint64_t *length = &e->tensor->shape[e->tensor->dims++];
        if (!read_natural(e->json, item, length))
            return fail_entry(e, TFM_E_FORMAT, "its shape is malformed");
        if (!tfm__mul_u64(count, *length, &count)) return fail_entry(e, TFM_E_FORMAT, "its size overflows");
    }
    if (!tfm__row_bytes(e->tensor->type, count, &e->tensor->bytes))
        return fail_entry(e, TFM_E_FORMAT, "its size overflows");
    return TFM_OK;
}

/* Where it lies: inside the data, and as long as type and shape say. */
static int32_t read_offsets(const entry *e, uint64_t data_size) {
    tfm__json_value offsets = tfm__json_get(e->json, e->value, "data_offsets");
    uint64_t begin, end;
    if (tfm__json_kind(e->json, offsets) != TFM__JSON_ARRAY || tfm__json_size(e->json, offsets) != 2 ||
        !read_natural(e->json, tfm__json_at(e->json, offsets, 0), &begin) ||
        !read_natural(e->json, tfm__json_at(e->json, offsets, 1), &end) || begin > end)
        return fail_entry(e, TFM_E_FORMAT, "its data_offsets are malformed");
    if (end - begin != e->tensor->bytes)
        return tfm__fail_at(e->error, TFM_E_FORMAT, e->file, e->tensor->name,
                            8 + tfm__json_offset(e->json, e->value),
                            "its data_offsets hold %llu bytes, its type and shape need %llu",
                            (unsigned long long)(end - begin), (unsigned long long)e->tensor->bytes);
    if (end > data_size)
        return tfm__fail_at(e->error, TFM_E_TRUNCATED, e->file, e->tensor->name, TFM__NO_OFFSET,
                            "it ends at byte %llu of the data, of which the file has %llu",
                            (unsigned long long)end, (unsigned long long)data_size);
    e->tensor->offset = begin;
    return TFM_OK;
}

/* The name behind a key token, in the arena. */
static int32_t read_name(const tfm__json *json, tfm__json_value key, tfm__container *container,
                         const char **out, tfm_error *error) {
    const char *raw;
    size_t size = 0, length;
    char *name;
    if (!tfm__json_raw(json, key, &raw, &size) || size == 0 || size > TFM__SAFETENSORS_NAME)
        return tfm__fail_at(error, TFM_E_FORMAT, json->file, NULL, 8 + tfm__json_offset(json, key),
                            "a tensor's name is empty or too long");
    name = tfm__arena_alloc(&container->arena, size + 1);
    if (!name) return tfm__fail_memory(error, container->heap, size + 1);
    length = tfm__json_unescape(json, key, name, size);
    if (length == SIZE_MAX || memchr(name, 0, length))
        return tfm__fail_at(error, TFM_E_FORMAT, json->file, NULL, 8 + tfm__json_offset(json, key),
                            "a tensor's name holds a NUL");
    *out = name;
    return TFM_OK;
}

/* Offsets become places in the file, after a look at what they cover together. */
static int32_t place_tensors(tfm__container *container, uint32_t file, size_t first, uint64_t base,
                             tfm_error *error) {
    const tfm__blob *blob = &container->blobs[file];
    size_t i, count = container->tensor_count - first;
    uint64_t end = 0;
    uint32_t *order;
    int32_t status = tfm__container_by_offset(container, first, &order, error);
    if (status) return status;
    for (i = 0; i < count && status == TFM_OK; i++) {
        tfm__tensor *tensor = &container->tensors[order[i]];
        if (tensor->offset != end)
            status = tfm__fail_at(error, TFM_E_FORMAT, blob->name, tensor->name, base + tensor->offset,
                                  tensor->offset < end ? "its bytes overlap those of another tensor"
                                                       : "there is a hole in front of its bytes");
        end = tensor->offset + tensor->bytes;
        tensor->offset += base;
        tensor->data = blob->data + tensor->offset;
    }
    if (status == TFM_OK && end != blob->size - base)
        status =
            tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, base + end, "bytes that belong to no tensor");
    tfm__free(container->heap, order);
    return status;
}

static int32_t read_entries(tfm__container *container, uint32_t file, const tfm__json *json, uint64_t base,
                            tfm_error *error) {
    tfm__json_value root = tfm__json_root(json), key;
    size_t first = container->tensor_count;
    if (tfm__json_kind(json, root) != TFM__JSON_OBJECT)
        return tfm__fail_at(error, TFM_E_FORMAT, json->file, NULL, 8, "the header is not a JSON object");
    for (key = tfm__json_first(json, root); key != TFM__JSON_NONE; key = tfm__json_next(json, root, key)) {
        entry e = {json, tfm__json_member_value(json, key), json->file, NULL, error};
        const char *name = NULL;
        int32_t status;
        if (tfm__json_equals(json, key, "__metadata__")) continue;
        status = read_name(json, key, container, &name, error);
        if (status) return status;
        status = tfm__container_add_tensor(container, &e.tensor, error);
        if (status) return status;
        e.tensor->name = name;
        e.tensor->file = file;
        status = read_dtype(&e);
        if (status == TFM_OK) status = read_shape(&e);
        if (status == TFM_OK) status = read_offsets(&e, container->blobs[file].size - base);
        if (status) return status;
    }
    return place_tensors(container, file, first, base, error);
}

int32_t tfm__safetensors_read(tfm__container *container, uint32_t file, tfm_error *error) {
    const tfm__blob *blob = &container->blobs[file];
    uint64_t length;
    tfm__json json;
    int32_t status;
    if (blob->size < 8)
        return tfm__fail_at(error, TFM_E_TRUNCATED, blob->name, NULL, 0, "too short for a safetensors file");
    length = tfm__u64_le(blob->data);
    if (length > TFM__SAFETENSORS_HEADER)
        return tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, 0,
                            "a header of %llu bytes: not safetensors, or damaged",
                            (unsigned long long)length);
    if (length > blob->size - 8)
        return tfm__fail_at(error, TFM_E_TRUNCATED, blob->name, NULL, 0,
                            "the header has %llu bytes, the file only %llu more", (unsigned long long)length,
                            (unsigned long long)(blob->size - 8));
    status = tfm__json_parse(&json, container->heap, (const char *)blob->data + 8, (size_t)length, blob->name,
                             error);
    if (status) return status;
    status = read_entries(container, file, &json, 8 + length, error);
    tfm__json_release(&json);
    return status;
}

/* ---- Writing ------------------------------------------------------------------------------------------- */

static const char *written_name(uint32_t type) {
    size_t i;
    for (i = 0; i < TFM__COUNT(dtype_names); i++)
        if (dtype_names[i].write && dtype_names[i].type == type) return dtype_names[i].name;
    return NULL;
}

static bool append_text(tfm__buffer *buffer, const char *text) {
    return tfm__buffer_append(buffer, text, strlen(text));
}

static bool append_number(tfm__buffer *buffer, uint64_t number) {
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    return append_text(buffer, digits);
}

/* A JSON string; everything but quotes, backslashes and control characters stands for itself. */
static bool append_quoted(tfm__buffer *buffer, const char *text) {
    bool done = append_text(buffer, "\"");
    for (; *text && done; text++) {
        char escape[8];
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\') {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)*text);
            done = append_text(buffer, escape);
        } else {
            done = tfm__buffer_append(buffer, text, 1);
        }
    }
    return done && append_text(buffer, "\"");
}

static bool append_entry(tfm__buffer *buffer, const tfm__save_tensor *tensor, uint64_t begin, uint64_t end) {
    uint32_t i;
    bool done = append_text(buffer, ",") && append_quoted(buffer, tensor->name) &&
                append_text(buffer, ":{\"dtype\":\"") && append_text(buffer, written_name(tensor->type)) &&
                append_text(buffer, "\",\"shape\":[");
    for (i = 0; i < tensor->dims && done; i++)
        done = (i == 0 || append_text(buffer, ",")) && append_number(buffer, tensor->shape[i]);
    return done && append_text(buffer, "],\"data_offsets\":[") && append_number(buffer, begin) &&
           append_text(buffer, ",") && append_number(buffer, end) && append_text(buffer, "]}");
}

static bool save_bytes(const tfm__save_tensor *tensor, uint64_t *bytes) {
    uint64_t count = 1;
    uint32_t i;
    if (tensor->dims > TFM__MAX_DIMS || !written_name(tensor->type)) return false;
    for (i = 0; i < tensor->dims; i++)
        if (!tfm__mul_u64(count, tensor->shape[i], &count)) return false;
    return tfm__row_bytes(tensor->type, count, bytes) && *bytes <= SIZE_MAX;
}

/* Wide types first, so that every tensor is aligned to its element when the header's length is a multiple
 * of 8. */
static int by_element_size(const void *context, uint32_t a, uint32_t b) {
    const tfm__save_tensor *tensors = context;
    int size_a = tfm__dtype_of(tensors[a].type)->block_bytes,
        size_b = tfm__dtype_of(tensors[b].type)->block_bytes;
    if (size_a != size_b) return size_b - size_a;
    return a < b ? -1 : a > b;
}

static int by_saved_name(const void *context, uint32_t a, uint32_t b) {
    const tfm__save_tensor *tensors = context;
    return strcmp(tensors[a].name, tensors[b].name);
}

static int32_t check_tensors(const char *path, const tfm__save_tensor *tensors, size_t count, uint32_t *order,
                             tfm_error *error) {
    uint64_t total = 0, bytes;
    size_t i;
    for (i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
        if (!save_bytes(&tensors[i], &bytes) || !tfm__add_u64(total, bytes, &total))
            return tfm__fail_at(error, TFM_E_ARGUMENT, path, tensors[i].name, TFM__NO_OFFSET,
                                "its type or shape cannot be stored in safetensors");
    }
    tfm__sort(order, count, by_saved_name, tensors);
    for (i = 1; i < count; i++)
        if (!strcmp(tensors[order[i - 1]].name, tensors[order[i]].name))
            return tfm__fail_at(error, TFM_E_ARGUMENT, path, tensors[order[i]].name, TFM__NO_OFFSET,
                                "two tensors of this name");
    tfm__sort(order, count, by_element_size, tensors);
    return TFM_OK;
}

/* The length and the JSON, padded with spaces to a multiple of 8. */
static bool build_header(tfm__buffer *header, const tfm__save_tensor *tensors, size_t count,
                         const uint32_t *order) {
    uint8_t length[8] = {0};
    uint64_t begin = 0, bytes = 0, i;
    /* the format key is what other readers want to see */
    bool done =
        tfm__buffer_append(header, length, 8) && append_text(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (i = 0; i < count && done; i++) {
        save_bytes(&tensors[order[i]], &bytes);
        done = append_entry(header, &tensors[order[i]], begin, begin + bytes);
        begin += bytes;
    }
    done = done && append_text(header, "}");
    while (done && header->size % 8) done = append_text(header, " ");
    if (!done) return false;
    for (i = 0; i < 8; i++) header->data[i] = (uint8_t)((uint64_t)(header->size - 8) >> 8 * i);
    return true;
}

int32_t tfm__safetensors_save(tfm__heap *heap, const char *path, const tfm__save_tensor *tensors,
                              size_t count, tfm_error *error) {
    tfm__writer writer;
    tfm__buffer header;
    uint64_t bytes = 0;
    size_t i;
    int32_t status;
    uint32_t *order = tfm__alloc_array(heap, count, sizeof *order);
    if (!order) return tfm__fail_memory(error, heap, count * sizeof *order);
    tfm__buffer_init(&header, heap);
    status = check_tensors(path, tensors, count, order, error);
    if (status) goto done;
    if (!build_header(&header, tensors, count, order)) {
        status = tfm__fail_memory(error, heap, header.size);
        goto done;
    }
    status = tfm__writer_open(&writer, heap, path, error);
    if (status) goto done;
    status = tfm__writer_write(&writer, header.data, header.size, error);
    for (i = 0; i < count && status == TFM_OK; i++) {
        save_bytes(&tensors[order[i]], &bytes);
        status = tfm__writer_write(&writer, tensors[order[i]].data, (size_t)bytes, error);
    }
    if (status)
        tfm__writer_abandon(&writer);
    else
        status = tfm__writer_finish(&writer, error);
done:
    tfm__buffer_free(&header);
    tfm__free(heap, order);
    return status;
}
