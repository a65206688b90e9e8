/* gguf_write.h - the head of a GGUF file, version 3: typed values under keys, and the list of tensors. */
#ifndef TFM__GGUF_WRITE_H
#define TFM__GGUF_WRITE_H

#include "formats/formats.h"

#define TFM__GGUF_ALIGNMENT 32 /* of the data part and of every tensor in it */

/* Values as they will lie in the file, in the order in which they are put. Refused memory shows in ok. */
typedef struct tfm__gguf_values {
    tfm__buffer bytes;
    uint64_t count;
    bool ok;
} tfm__gguf_values;

void tfm__gguf_values_init(tfm__gguf_values *values, tfm__heap *heap);
void tfm__gguf_values_free(tfm__gguf_values *values);

void tfm__gguf_put_u32(tfm__gguf_values *values, const char *key, uint32_t value);
void tfm__gguf_put_f32(tfm__gguf_values *values, const char *key, float value);
void tfm__gguf_put_bool(tfm__gguf_values *values, const char *key, bool value);
void tfm__gguf_put_text(tfm__gguf_values *values, const char *key, const char *text, size_t length);
/* A value of another file, as it is there. */
void tfm__gguf_put_meta(tfm__gguf_values *values, const tfm__meta *meta);
/* The beginning of an array; then its count elements. */
void tfm__gguf_put_array(tfm__gguf_values *values, const char *key, uint32_t item, uint64_t count);
void tfm__gguf_add_u32(tfm__gguf_values *values, uint32_t value);
void tfm__gguf_add_f32(tfm__gguf_values *values, float value);
void tfm__gguf_add_text(tfm__gguf_values *values, const char *text, size_t length);
void tfm__gguf_add_bytes(tfm__gguf_values *values, const void *bytes, size_t size);

/* A tensor to be written. */
typedef struct tfm__gguf_tensor {
    const char *name;
    uint32_t type;
    uint32_t dims;     /* 1 .. 4 */
    uint64_t shape[4]; /* outermost first */
    uint64_t bytes;    /* filled by tfm__gguf_head */
} tfm__gguf_tensor;

/* Appends everything in front of the data to out, whose size becomes a multiple of the alignment (beginning
 * at 0 of what is appended). The data follows: every tensor in this order, each filled up with zeros to the
 * alignment. *data is how long that is. Fails on names and shapes that the format cannot hold. */
int32_t tfm__gguf_head(const tfm__gguf_values *values, tfm__gguf_tensor *tensors, size_t count,
                       tfm__buffer *out, uint64_t *data, tfm_error *error);

/* The head as a reader finds it: a container whose tensors have no data. bytes is the memory it rests on,
 * released after it. */
int32_t tfm__gguf_reread(const tfm__gguf_values *values, const tfm__gguf_tensor *tensors, size_t count,
                         tfm__heap *heap, tfm__buffer *bytes, tfm__store *store, tfm__container *container,
                         tfm_error *error);

#endif
