/* formats.h - bytes on disk: what a parameter file holds, whatever its format.
 *
 * tfm__container_open recognises a file or folder by its content and gives a tfm__container: named tensors
 * that point into the file's bytes, typed metadata (GGUF), JSON texts (config.json and its neighbours), and
 * which format it was. Nothing here knows what a transformer is. Every length is compared with what is left,
 * every count is bounded by the bytes that could hold it, and no pointer is formed before its whole extent is
 * known to lie inside the file. */
#ifndef TFM__FORMATS_H
#define TFM__FORMATS_H

#include "base/dtype.h"
#include "base/file.h"
#include "formats/json.h"

enum {
    TFM__FORMAT_NONE = 0,
    TFM__FORMAT_GGUF,
    TFM__FORMAT_HF,
    TFM__FORMAT_LLAMA2C,
    TFM__FORMAT_SAFETENSORS,
    TFM__FORMAT_CTRANSLATE2
};

#define TFM__MAX_DIMS 8 /* GGUF has at most 4 */

typedef struct tfm__tensor {
    const char *name;
    uint32_t type;                 /* TFM__F32 ... (dtype.h) */
    uint32_t dims;                 /* 0 (a scalar) .. TFM__MAX_DIMS */
    uint64_t shape[TFM__MAX_DIMS]; /* outermost first, as PyTorch prints it: a matrix is [rows, columns] */
    const uint8_t *data;           /* in the file's bytes; any alignment */
    uint64_t bytes;
    uint32_t file;   /* index into container->blobs */
    uint64_t offset; /* of data in that file */
    bool alias;      /* a second name of another tensor */
} tfm__tensor;

/* GGUF's metadata value types, by their numbers in the file. */
enum {
    TFM__META_U8 = 0,
    TFM__META_I8,
    TFM__META_U16,
    TFM__META_I16,
    TFM__META_U32,
    TFM__META_I32,
    TFM__META_F32,
    TFM__META_BOOL,
    TFM__META_STRING,
    TFM__META_ARRAY,
    TFM__META_U64,
    TFM__META_I64,
    TFM__META_F64
};

typedef struct tfm__text {
    const char *data; /* not NUL-terminated */
    size_t size;
} tfm__text;

typedef struct tfm__meta {
    const char *key; /* NUL-terminated */
    uint32_t type;   /* TFM__META_* */
    uint32_t item;   /* element type of an array */
    uint64_t count;  /* elements of an array; 1 otherwise */
    const uint8_t
        *value; /* the raw little-endian value(s) in the file; for arrays of fixed-size items, the first */
    tfm__text *texts; /* [count] for a string or an array of strings; NULL otherwise */
    uint64_t offset;  /* of the value in the file, for messages */
} tfm__meta;

/* llama2.c's header, versions 0, 1, 2. */
typedef struct tfm__llama2c_header {
    int version;
    int32_t dim, hidden_dim, layers, heads, kv_heads, vocab_size, seq_len;
    bool shared_classifier;
    int32_t group_size; /* version 2: values per scale */
} tfm__llama2c_header;

typedef struct tfm__container {
    tfm__heap *heap;
    int format;
    tfm__arena arena; /* names, texts, converted tensors */
    tfm__tensor *tensors;
    size_t tensor_count;
    tfm__meta *metas; /* GGUF */
    size_t meta_count;
    uint32_t gguf_version;
    tfm__json config;            /* HF: config.json, parsed; empty otherwise */
    tfm__json generation_config; /* HF: generation_config.json when there is one */
    tfm__llama2c_header llama2c;
    const char *ct2_spec;               /* CTranslate2: which kind of model, and the revision of its names */
    uint32_t ct2_version, ct2_revision; /* of the file, of the names */
    tfm__blob *blobs;                   /* every file in use */
    size_t blob_count;
    uint32_t *tensor_index; /* private: both lists sorted by name */
    uint32_t *meta_index;
    size_t tensor_slots, meta_slots;
} tfm__container;

/* Opens what the store holds. *container is zeroed on error. What: GGUF 1-3 (all splits, checked against each
 * other: split.no, split.count, split.tensors.count); a Hugging Face folder, or its config.json,
 * model.safetensors.index.json or a .safetensors file named directly (with a config.json beside it, unless
 * the name begins with "adapter"); any other .safetensors file (FORMAT_SAFETENSORS: tensors only); llama2.c
 * .bin, of which version 2's int8 groups become F32 in the arena (see llama2c.c); a CTranslate2 folder or its
 * model.bin (see ctranslate2.c). U8 and BOOL tensors are
 * given as I8. */
int32_t tfm__container_open(tfm__store *store, tfm__container *container, tfm_error *error);
void tfm__container_release(tfm__container *container);

/* An adapter: a GGUF file; or PEFT's layout, a folder (or one of its two files) with adapter_config.json,
 * which becomes config, and adapter_model.safetensors (FORMAT_SAFETENSORS). *container is zeroed on error. */
int32_t tfm__container_open_adapter(tfm__store *store, tfm__container *container, tfm_error *error);

/* The description alone: the folder's config.json, or the JSON file that the store was opened with (a weight
 * index has its config.json beside it). No tensors. *container is zeroed on error. */
int32_t tfm__container_open_config(tfm__store *store, tfm__container *container, tfm_error *error);

/* The tensors of a safetensors file in a folder beside the model's files. *container is zeroed on error. */
int32_t tfm__container_open_inside(tfm__store *store, const char *folder, const char *name,
                                   tfm__container *container, tfm_error *error);

/* Whole-name look-up; NULL if absent. */
const tfm__tensor *tfm__container_tensor(const tfm__container *container, const char *name);
const tfm__meta *tfm__container_meta(const tfm__container *container, const char *key);

/* Typed reads of metadata; false if absent or of a type that does not convert without loss of meaning (any
 * integer type to i64/u64 when in range; integers and floats to f64; BOOL only to bool and integers). */
bool tfm__meta_u64(const tfm__meta *meta, uint64_t index, uint64_t *out);
bool tfm__meta_i64(const tfm__meta *meta, uint64_t index, int64_t *out);
bool tfm__meta_f64(const tfm__meta *meta, uint64_t index, double *out);
bool tfm__meta_bool(const tfm__meta *meta, bool *out);
bool tfm__meta_text(const tfm__meta *meta, uint64_t index, tfm__text *out);

/* The name of the file that holds a tensor, for messages. */
const char *tfm__container_file(const tfm__container *container, const tfm__tensor *tensor);

/* What the first bytes of a file are: TFM__FORMAT_* ; HF for a JSON object that names an architecture is
 * decided by the opener, not here. */
int tfm__format_guess(const uint8_t *data, uint64_t size);

/* Sorts by a three-way comparison: heap sort, because it needs neither memory nor recursion nor luck. */
typedef int (*tfm__compare_fn)(const void *context, uint32_t a, uint32_t b);
void tfm__sort(uint32_t *items, size_t count, tfm__compare_fn compare, const void *context);

/* Writes a safetensors file (little-endian, F32 / F16 / BF16 / integer types), by temporary file and rename.
 */
typedef struct tfm__save_tensor {
    const char *name;
    uint32_t type;
    uint32_t dims;
    uint64_t shape[TFM__MAX_DIMS];
    const void *data;
} tfm__save_tensor;
int32_t tfm__safetensors_save(tfm__heap *heap, const char *path, const tfm__save_tensor *tensors,
                              size_t count, tfm_error *error);

#endif
