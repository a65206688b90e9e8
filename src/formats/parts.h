/* parts.h - what the readers of the single formats share: the container's growing arrays and its sorted
 * indices. Private to src/formats; everybody else includes formats.h.
 *
 * A reader is given a container whose blobs[0] is the main file (hf.c: none yet), appends tensors and blobs,
 * and leaves cleaning up after an error to tfm__container_open. */
#ifndef TFM__FORMATS_PARTS_H
#define TFM__FORMATS_PARTS_H

#include "formats/formats.h"

int32_t tfm__gguf_open(tfm__store *store, tfm__container *container, tfm_error *error);
/* The config.json beside model.bin is the opener's business; ctranslate2.c reads the binary file. */
int32_t tfm__ctranslate2_open(tfm__store *store, tfm__container *container, tfm_error *error);
bool tfm__ctranslate2_is(const uint8_t *data, uint64_t size);
int32_t tfm__llama2c_open(tfm__store *store, tfm__container *container, tfm_error *error);

/* What names the weights of a Hugging Face model: nothing (look for them), blobs[0] itself, or the index in
 * it. */
enum { TFM__HF_FOLDER = 0, TFM__HF_CONFIG, TFM__HF_WEIGHTS, TFM__HF_INDEX };
int32_t tfm__hf_open(tfm__store *store, tfm__container *container, int main_is, tfm_error *error);
/* The same without weights: config.json beside the main file, or blobs[0] if that is it. */
int32_t tfm__hf_open_config(tfm__store *store, tfm__container *container, bool is_main, tfm_error *error);

/* Opens a file beside the main one (hf.c). missing: what a failure to find it is reported as, who needs it;
 * or TFM_OK to keep quiet about it and give file UINT32_MAX. */
int32_t tfm__open_named(tfm__store *store, tfm__container *container, const char *name, int32_t missing,
                        const char *who, uint32_t *file, tfm_error *error);
/* Parses blobs[file] as a JSON object that the container keeps (hf.c). */
int32_t tfm__parse_object(tfm__container *container, uint32_t file, tfm__json *json, tfm_error *error);

/* Appends the tensors of the safetensors file in blobs[file]. */
int32_t tfm__safetensors_read(tfm__container *container, uint32_t file, tfm_error *error);

/* True if the bytes begin like a header of llama2.c: checked sizes, but not the file's length. */
bool tfm__llama2c_header_read(const uint8_t *data, uint64_t size, tfm__llama2c_header *header);

/* A new zeroed tensor at the end of the list. Pointers to tensors move when the list grows. */
int32_t tfm__container_add_tensor(tfm__container *container, tfm__tensor **tensor, tfm_error *error);

/* Takes over the blob (released at once on error); *file is its index. */
int32_t tfm__container_add_blob(tfm__container *container, tfm__blob *blob, uint32_t *file, tfm_error *error);

/* Grows a zeroed array whose capacity is always the power of two at or above its count (at least 16): makes
 * room for one more element. False when refused. */
bool tfm__grow_array(tfm__heap *heap, void **array, size_t count, size_t element);

/* The tensors first .. tensor_count-1 in the order of their place in the file; free it with tfm__free.
 * Tensors of no bytes come before others at the same place. */
int32_t tfm__container_by_offset(const tfm__container *container, size_t first, uint32_t **order,
                                 tfm_error *error);

/* Sorts the names of tensors and keys for look-up; two of the same name are an error. */
int32_t tfm__container_index(tfm__container *container, tfm_error *error);

#endif
