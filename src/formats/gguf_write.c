/* gguf_write.c - the head of a GGUF file. Called by quant/ for models and by the tokenizer for vocabularies.
 *
 * Layout, version 3, little-endian: "GGUF", version, number of tensors, number of values; each value as key,
 * type, value; each tensor as name, number of dimensions, dimensions (innermost first), type, offset in the
 * data part; zeros up to the alignment. Source: the GGUF specification. */
#include "formats/gguf_write.h"

#include "formats/parts.h"

#define MOST_NAME 63 /* bytes of a tensor's name that other readers take */

static void put(tfm__gguf_values *values, const void *bytes, size_t size) {
    values->ok = values->ok && tfm__buffer_append(&values->bytes, bytes, size);
}

static void put_u32(tfm__gguf_values *values, uint32_t value) {
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> 8 * i);
    put(values, bytes, sizeof bytes);
}

static void put_u64(tfm__gguf_values *values, uint64_t value) {
    put_u32(values, (uint32_t)value);
    put_u32(values, (uint32_t)(value >> 32));
}

static void put_text(tfm__gguf_values *values, const char *text, size_t length) {
    put_u64(values, length);
    put(values, text, length);
}

static void put_key(tfm__gguf_values *values, const char *key, uint32_t type) {
    put_text(values, key, strlen(key));
    put_u32(values, type);
    values->count++;
}

/* ---- Values ---- */

void tfm__gguf_values_init(tfm__gguf_values *values, tfm__heap *heap) {
    tfm__buffer_init(&values->bytes, heap);
    values->count = 0;
    values->ok = true;
}

void tfm__gguf_values_free(tfm__gguf_values *values) { tfm__buffer_free(&values->bytes); }

void tfm__gguf_put_u32(tfm__gguf_values *values, const char *key, uint32_t value) {
    put_key(values, key, TFM__META_U32);
    put_u32(values, value);
}

void tfm__gguf_put_f32(tfm__gguf_values *values, const char *key, float value) {
    put_key(values, key, TFM__META_F32);
    put_u32(values, tfm__bits_of_f32(value));
}

void tfm__gguf_put_bool(tfm__gguf_values *values, const char *key, bool value) {
    uint8_t byte = value;
    put_key(values, key, TFM__META_BOOL);
    put(values, &byte, 1);
}

void tfm__gguf_put_text(tfm__gguf_values *values, const char *key, const char *text, size_t length) {
    put_key(values, key, TFM__META_STRING);
    put_text(values, text, length);
}

void tfm__gguf_put_array(tfm__gguf_values *values, const char *key, uint32_t item, uint64_t count) {
    put_key(values, key, TFM__META_ARRAY);
    put_u32(values, item);
    put_u64(values, count);
}

void tfm__gguf_add_u32(tfm__gguf_values *values, uint32_t value) { put_u32(values, value); }
void tfm__gguf_add_f32(tfm__gguf_values *values, float value) { put_u32(values, tfm__bits_of_f32(value)); }
void tfm__gguf_add_text(tfm__gguf_values *values, const char *text, size_t length) {
    put_text(values, text, length);
}
void tfm__gguf_add_bytes(tfm__gguf_values *values, const void *bytes, size_t size) {
    put(values, bytes, size);
}

void tfm__gguf_put_meta(tfm__gguf_values *values, const tfm__meta *meta) {
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    uint32_t item = meta->type == TFM__META_ARRAY ? meta->item : meta->type;
    if (meta->type == TFM__META_ARRAY && item == TFM__META_ARRAY) return; /* nobody reads arrays of arrays */
    if (meta->type == TFM__META_ARRAY)
        tfm__gguf_put_array(values, meta->key, item, meta->count);
    else
        put_key(values, meta->key, item);
    for (uint64_t i = 0; meta->texts && i < meta->count; i++)
        put_text(values, meta->texts[i].data, meta->texts[i].size);
    if (!meta->texts) put(values, meta->value, (size_t)meta->count * sizes[item]); /* lay in memory already */
}

/* ---- The head ---- */

static int32_t put_tensor(tfm__gguf_values *head, tfm__gguf_tensor *tensor, uint64_t *offset,
                          tfm_error *error) {
    uint64_t rows = 1, row = 0;
    bool fits = tensor->dims >= 1 && tensor->dims <= 4 &&
                tfm__row_bytes(tensor->type, tensor->shape[tensor->dims - 1], &row);
    for (uint32_t i = 0; fits && i + 1 < tensor->dims; i++)
        fits = tfm__mul_u64(rows, tensor->shape[i], &rows);
    if (!fits || !tfm__mul_u64(rows, row, &tensor->bytes) || strlen(tensor->name) > MOST_NAME)
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, NULL, tensor->name, TFM__NO_OFFSET,
                            "its name, type or shape cannot be stored in GGUF");
    put_text(head, tensor->name, strlen(tensor->name));
    put_u32(head, tensor->dims);
    for (uint32_t i = tensor->dims; i-- > 0;) put_u64(head, tensor->shape[i]);
    put_u32(head, tensor->type);
    put_u64(head, *offset);
    if (!tfm__add_u64(*offset, tensor->bytes, offset) || !tfm__add_u64(*offset, TFM__GGUF_ALIGNMENT, offset))
        return tfm__fail(error, TFM_E_UNSUPPORTED, "the size of the tensors overflows");
    *offset = (*offset - 1) / TFM__GGUF_ALIGNMENT * TFM__GGUF_ALIGNMENT;
    return TFM_OK;
}

int32_t tfm__gguf_head(const tfm__gguf_values *values, tfm__gguf_tensor *tensors, size_t count,
                       tfm__buffer *out, uint64_t *data, tfm_error *error) {
    tfm__gguf_values head = {.bytes = *out, .ok = values->ok}; /* what is put goes into out */
    size_t start = out->size;
    int32_t status = TFM_OK;
    *data = 0;
    put(&head, "GGUF", 4);
    put_u32(&head, 3);
    put_u64(&head, count);
    put_u64(&head, values->count);
    put(&head, values->bytes.data, values->bytes.size);
    for (size_t i = 0; i < count && !status; i++) status = put_tensor(&head, &tensors[i], data, error);
    while (head.ok && (head.bytes.size - start) % TFM__GGUF_ALIGNMENT) put(&head, "", 1);
    *out = head.bytes;
    if (!status && !head.ok) status = tfm__fail_memory(error, out->heap, values->bytes.size);
    return status;
}

int32_t tfm__gguf_reread(const tfm__gguf_values *values, const tfm__gguf_tensor *tensors, size_t count,
                         tfm__heap *heap, tfm__buffer *bytes, tfm__store *store, tfm__container *container,
                         tfm_error *error) {
    uint64_t data;
    tfm__buffer_init(bytes, heap);
    int32_t status = tfm__gguf_head(values, NULL, 0, bytes, &data, error);
    if (!status) status = tfm__store_open_memory(store, heap, bytes->data, bytes->size, error);
    if (status) {
        tfm__buffer_free(bytes);
        return status;
    }
    status = tfm__container_open(store, container, error);
    if (!status) {
        tfm__free(heap, container->tensor_index); /* of no tensors */
        tfm__free(heap, container->meta_index);
        container->tensor_index = container->meta_index = NULL;
        for (size_t i = 0; i < count && !status; i++) {
            tfm__tensor *tensor;
            status = tfm__container_add_tensor(container, &tensor, error);
            if (status) break;
            tensor->name = tensors[i].name;
            tensor->type = tensors[i].type;
            tensor->dims = tensors[i].dims;
            memcpy(tensor->shape, tensors[i].shape, sizeof tensors[i].shape);
        }
        if (!status) status = tfm__container_index(container, error);
        if (!status) return TFM_OK;
        tfm__container_release(container);
    }
    tfm__store_close(store);
    tfm__buffer_free(bytes);
    return status;
}
