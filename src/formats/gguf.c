/* gguf.c - the GGUF container, versions 1 to 3, little-endian, in one file or several. Called by container.c.
 *
 * Layout (counts and lengths are 32 bits wide in version 1, 64 in 2 and 3):
 *   "GGUF" | u32 version | tensor count | metadata count
 *   metadata:  length, key | u32 type | value       value: number, (length, bytes), or (u32 item type, count,
 * items) tensors:   length, name | u32 dims | dims x width | u32 type | u64 offset into the data part padding
 * to general.alignment (32 unless said) | data part The innermost dimension comes first in the file;
 * tfm__tensor has it last. A model in several files carries split.no (from 0), split.count and
 * split.tensors.count in each; the files are named NAME-00001-of-00003.gguf; the metadata of the model is in
 * the first. Source: the GGUF specification (ggml, docs/gguf.md); the split keys as llama.cpp's gguf-split
 * writes them. */
#include <stdio.h>

#include "formats/parts.h"

#define TFM__GGUF_DIMS 4
#define TFM__GGUF_NAME 65535   /* bytes of a key (the specification's bound) and of a tensor's name */
#define TFM__GGUF_ALIGNMENT 32 /* unless general.alignment says otherwise */
#define TFM__GGUF_LARGEST_ALIGNMENT ((uint64_t)1 << 24)
#define TFM__GGUF_NESTING 8 /* arrays of arrays of ...: nobody writes more than two */

/* Reads forward through one file; never beyond its end. */
typedef struct reader {
    const uint8_t *data;
    uint64_t size, at;
    const char *file;
    uint32_t version;
    tfm_error *error;
} reader;

/* What one file says of itself. */
typedef struct gguf_file {
    uint32_t version;
    tfm__meta *metas; /* heap */
    size_t meta_count;
    uint64_t split_no, split_count, split_tensors; /* split_count 0: not split */
} gguf_file;

/* ---- Reading forward ----------------------------------------------------------------------------------- */

static int32_t fail_short(const reader *r, uint64_t wanted) {
    return tfm__fail_at(r->error, TFM_E_TRUNCATED, r->file, NULL, r->at,
                        "%llu bytes are needed but the file has only %llu more", (unsigned long long)wanted,
                        (unsigned long long)(r->size - r->at));
}

static int32_t fail_here(const reader *r, const char *what) {
    return tfm__fail_at(r->error, TFM_E_FORMAT, r->file, NULL, r->at, "%s", what);
}

static int32_t take_u32(reader *r, uint32_t *out) {
    if (r->size - r->at < 4) return fail_short(r, 4);
    *out = tfm__u32_le(r->data + r->at);
    r->at += 4;
    return TFM_OK;
}

static int32_t take_u64(reader *r, uint64_t *out) {
    if (r->size - r->at < 8) return fail_short(r, 8);
    *out = tfm__u64_le(r->data + r->at);
    r->at += 8;
    return TFM_OK;
}

/* A count, length or dimension, whose width depends on the version. */
static int32_t take_count(reader *r, uint64_t *out) {
    uint32_t narrow = 0;
    int32_t status;
    if (r->version > 1) return take_u64(r, out);
    status = take_u32(r, &narrow);
    if (status == TFM_OK) *out = narrow;
    return status;
}

static uint64_t count_width(const reader *r) { return r->version > 1 ? 8 : 4; }

static int32_t take_text(reader *r, tfm__text *out) {
    uint64_t length = 0;
    int32_t status = take_count(r, &length);
    if (status) return status;
    if (length > r->size - r->at) return fail_short(r, length);
    out->data = (const char *)r->data + r->at;
    out->size = (size_t)length;
    r->at += length;
    return TFM_OK;
}

/* A key or a name, as a NUL-terminated copy in the arena. */
static int32_t take_name(reader *r, tfm__arena *arena, const char **out) {
    uint64_t start = r->at;
    tfm__text text = {NULL, 0};
    int32_t status = take_text(r, &text);
    if (status) return status;
    if (text.size == 0 || text.size > TFM__GGUF_NAME || memchr(text.data, 0, text.size)) {
        r->at = start;
        return fail_here(r, text.size == 0 ? "an empty name" : "a name that is too long or holds a NUL");
    }
    *out = tfm__arena_text(arena, text.data, text.size);
    return *out ? TFM_OK : tfm__fail_memory(r->error, arena->heap, text.size + 1);
}

/* ---- Metadata ------------------------------------------------------------------------------------------ */

/* Bytes of a value of fixed size; 0 for strings and arrays. */
static uint64_t value_size(uint32_t type) {
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return sizes[type];
}

static int32_t skip_bytes(reader *r, uint64_t count, uint64_t each) {
    uint64_t bytes;
    if (!tfm__mul_u64(count, each, &bytes)) bytes = UINT64_MAX;
    if (bytes > r->size - r->at) return fail_short(r, bytes);
    r->at += bytes;
    return TFM_OK;
}

static int32_t take_array_header(reader *r, uint32_t *item, uint64_t *count) {
    int32_t status = take_u32(r, item);
    if (status) return status;
    if (*item > TFM__META_F64) {
        r->at -= 4;
        return fail_here(r, "an array of an unknown type");
    }
    return take_count(r, count);
}

static int32_t skip_texts(reader *r, uint64_t count) {
    int32_t status = TFM_OK;
    tfm__text text;
    if (count > (r->size - r->at) / count_width(r)) return fail_short(r, count);
    for (; count > 0 && status == TFM_OK; count--) status = take_text(r, &text);
    return status;
}

/* Walks over an array of arrays; the open levels are a small stack of elements still to come. */
static int32_t skip_nested(reader *r, uint64_t count) {
    uint64_t left[TFM__GGUF_NESTING];
    size_t depth = 1;
    left[0] = count;
    while (depth > 0) {
        uint32_t item = 0;
        uint64_t inner = 0;
        int32_t status;
        if (left[depth - 1] == 0) {
            depth--;
            continue;
        }
        left[depth - 1]--;
        status = take_array_header(r, &item, &inner);
        if (status) return status;
        if (item == TFM__META_ARRAY) {
            if (depth == TFM__GGUF_NESTING) return fail_here(r, "arrays are nested too deeply");
            left[depth++] = inner;
        } else {
            status = item == TFM__META_STRING ? skip_texts(r, inner) : skip_bytes(r, inner, value_size(item));
            if (status) return status;
        }
    }
    return TFM_OK;
}

/* count strings at r->at as a list in the arena. They are walked over once before memory is taken for them.
 */
static int32_t take_texts(reader *r, tfm__arena *arena, uint64_t count, tfm__text **out) {
    uint64_t start = r->at, i;
    size_t bytes;
    tfm__text *texts;
    int32_t status = skip_texts(r, count);
    if (status) return status;
    if (count > SIZE_MAX || !tfm__mul_size((size_t)count, sizeof *texts, &bytes)) bytes = SIZE_MAX;
    texts = tfm__arena_alloc(arena, bytes);
    if (!texts) return tfm__fail_memory(r->error, arena->heap, bytes);
    r->at = start;
    for (i = 0; i < count && status == TFM_OK; i++) status = take_text(r, &texts[i]);
    *out = texts;
    return status;
}

static int32_t take_meta(reader *r, tfm__arena *arena, tfm__meta *meta) {
    int32_t status = take_name(r, arena, &meta->key);
    if (status) return status;
    status = take_u32(r, &meta->type);
    if (status) return status;
    if (meta->type > TFM__META_F64) {
        r->at -= 4;
        return fail_here(r, "a metadata value of an unknown type");
    }
    meta->count = 1;
    if (meta->type == TFM__META_ARRAY) {
        status = take_array_header(r, &meta->item, &meta->count);
        if (status) return status;
    }
    meta->offset = r->at;
    meta->value = r->data + r->at;
    if (meta->type == TFM__META_STRING || (meta->type == TFM__META_ARRAY && meta->item == TFM__META_STRING))
        return take_texts(r, arena, meta->count, &meta->texts);
    if (meta->type == TFM__META_ARRAY && meta->item == TFM__META_ARRAY) return skip_nested(r, meta->count);
    return skip_bytes(r, meta->count, value_size(meta->type == TFM__META_ARRAY ? meta->item : meta->type));
}

static const tfm__meta *find_meta(const gguf_file *file, const char *key) {
    size_t i;
    for (i = 0; i < file->meta_count; i++)
        if (!strcmp(file->metas[i].key, key)) return &file->metas[i];
    return NULL;
}

/* An optional unsigned key; *out is left alone when it is absent. */
static int32_t meta_number(const reader *r, const gguf_file *file, const char *key, uint64_t *out) {
    const tfm__meta *meta = find_meta(file, key);
    if (!meta || (meta->type != TFM__META_ARRAY && tfm__meta_u64(meta, 0, out))) return TFM_OK;
    return tfm__fail_at(r->error, TFM_E_FORMAT, r->file, NULL, meta->offset, "%s is not a positive integer",
                        key);
}

/* ---- Tensors ------------------------------------------------------------------------------------------- */

/* A type that is known by name only, or not at all. */
static int32_t refuse_type(const reader *r, const tfm__tensor *tensor) {
    const tfm__dtype *dtype = tfm__dtype_of(tensor->type);
    if (dtype)
        return tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, tensor->name, TFM__NO_OFFSET,
                            "the type %s is not supported", dtype->name);
    return tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, tensor->name, TFM__NO_OFFSET,
                        "the type number %u is unknown", (unsigned)tensor->type);
}

/* One entry of the list of tensors; offset stays relative to the data part, bytes is computed. */
static int32_t take_tensor(reader *r, tfm__arena *arena, tfm__tensor *tensor) {
    uint64_t rows = 1, row_bytes = 0;
    uint32_t i;
    const tfm__dtype *dtype;
    int32_t status = take_name(r, arena, &tensor->name);
    if (status) return status;
    status = take_u32(r, &tensor->dims);
    if (status) return status;
    if (tensor->dims < 1 || tensor->dims > TFM__GGUF_DIMS)
        return tfm__fail_at(r->error, TFM_E_FORMAT, r->file, tensor->name, r->at - 4, "%u dimensions",
                            (unsigned)tensor->dims);
    for (i = 0; i < tensor->dims; i++) {
        uint64_t *length = &tensor->shape[tensor->dims - 1 - i];
        status = take_count(r, length);
        if (status) return status;
        if (*length == 0 || *length > INT64_MAX || (i > 0 && !tfm__mul_u64(rows, *length, &rows)))
            return tfm__fail_at(r->error, TFM_E_FORMAT, r->file, tensor->name, r->at - count_width(r),
                                "a dimension of %llu", (unsigned long long)*length);
    }
    status = take_u32(r, &tensor->type);
    if (status) return status;
    status = take_u64(r, &tensor->offset);
    if (status) return status;
    dtype = tfm__dtype_of(tensor->type);
    if (!dtype || dtype->block == 0) return refuse_type(r, tensor);
    if (tensor->shape[tensor->dims - 1] % dtype->block)
        return tfm__fail_at(r->error, TFM_E_FORMAT, r->file, tensor->name, r->at,
                            "rows of %llu values are no whole number of %s blocks of %u",
                            (unsigned long long)tensor->shape[tensor->dims - 1], dtype->name,
                            (unsigned)dtype->block);
    if (!tfm__row_bytes(tensor->type, tensor->shape[tensor->dims - 1], &row_bytes) ||
        !tfm__mul_u64(rows, row_bytes, &tensor->bytes))
        return tfm__fail_at(r->error, TFM_E_FORMAT, r->file, tensor->name, r->at, "its size overflows");
    return TFM_OK;
}

/* Turns relative offsets into places in the file, once each extent is known to lie inside it. */
static int32_t place_tensors(reader *r, tfm__container *container, size_t first, uint64_t alignment) {
    uint64_t base, end = 0;
    uint32_t *order;
    size_t i, count = container->tensor_count - first;
    int32_t status;
    if (count == 0) return TFM_OK;
    base = r->at + (alignment - r->at % alignment) % alignment;
    if (base > r->size) return fail_short(r, base - r->at);
    for (i = first; i < container->tensor_count; i++) {
        tfm__tensor *tensor = &container->tensors[i];
        if (tensor->offset % alignment)
            return tfm__fail_at(r->error, TFM_E_FORMAT, r->file, tensor->name, TFM__NO_OFFSET,
                                "its offset %llu is not a multiple of the alignment %llu",
                                (unsigned long long)tensor->offset, (unsigned long long)alignment);
        if (tensor->offset > r->size - base || tensor->bytes > r->size - base - tensor->offset)
            return tfm__fail_at(r->error, TFM_E_TRUNCATED, r->file, tensor->name, TFM__NO_OFFSET,
                                "its %llu bytes at %llu of the data reach beyond the end of the file",
                                (unsigned long long)tensor->bytes, (unsigned long long)tensor->offset);
        tensor->offset += base;
        tensor->data = r->data + tensor->offset;
    }
    status = tfm__container_by_offset(container, first, &order, r->error);
    if (status) return status;
    for (i = 0; i < count; i++) {
        const tfm__tensor *tensor = &container->tensors[order[i]];
        if (tensor->offset < end) break;
        end = tensor->offset + tensor->bytes;
    }
    if (i < count)
        tfm__fail_at(r->error, TFM_E_FORMAT, r->file, container->tensors[order[i]].name,
                     container->tensors[order[i]].offset, "its bytes overlap those of '%.100s'",
                     container->tensors[order[i - 1]].name);
    tfm__free(container->heap, order);
    return i < count ? TFM_E_FORMAT : TFM_OK;
}

/* ---- Files --------------------------------------------------------------------------------------------- */

static int32_t check_version(reader *r) {
    uint32_t v = r->version;
    if (v >= 1 && v <= 3) return TFM_OK;
    if (v != 0 && (v & 0xffff) == 0) /* 3 as a big-endian number */
        return tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, NULL, 4,
                            "a big-endian GGUF file: not supported");
    return tfm__fail_at(r->error, v == 0 ? TFM_E_FORMAT : TFM_E_UNSUPPORTED, r->file, NULL, 4,
                        "GGUF version %u is not supported (1 to 3 are)", (unsigned)v);
}

static int32_t take_metas(reader *r, tfm__container *container, uint64_t count, gguf_file *out) {
    uint64_t i;
    int32_t status = TFM_OK;
    /* key length, type, and a value of at least a byte */
    if (count > (r->size - r->at) / (count_width(r) + 5))
        return fail_here(r, "more metadata than the file could hold");
    for (i = 0; i < count && status == TFM_OK; i++) {
        void *list = out->metas;
        if (!tfm__grow_array(container->heap, &list, out->meta_count, sizeof *out->metas))
            return tfm__fail_memory(r->error, container->heap, out->meta_count * 2 * sizeof *out->metas);
        out->metas = list;
        status = take_meta(r, &container->arena, &out->metas[out->meta_count]);
        if (status == TFM_OK) out->meta_count++;
    }
    return status;
}

/* Reads the whole of blobs[file]: its tensors are appended to the container's, its metadata is given in out.
 */
static int32_t read_file(tfm__container *container, uint32_t file, gguf_file *out, tfm_error *error) {
    const tfm__blob *blob = &container->blobs[file];
    reader r = {blob->data, blob->size, 4, blob->name, 0, error};
    size_t first = container->tensor_count;
    uint64_t tensor_count = 0, meta_count = 0, alignment = TFM__GGUF_ALIGNMENT, i;
    int32_t status;
    if (blob->size < 4 || memcmp(blob->data, "GGUF", 4))
        return tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, 0, "not a GGUF file");
    status = take_u32(&r, &r.version);
    if (status == TFM_OK) status = check_version(&r);
    if (status == TFM_OK) status = take_count(&r, &tensor_count);
    if (status == TFM_OK) status = take_count(&r, &meta_count);
    if (status == TFM_OK) status = take_metas(&r, container, meta_count, out);
    if (status == TFM_OK) status = meta_number(&r, out, "general.alignment", &alignment);
    if (status) return status;
    if (alignment == 0 || alignment > TFM__GGUF_LARGEST_ALIGNMENT || (alignment & (alignment - 1)))
        return tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, TFM__NO_OFFSET,
                            "general.alignment is %llu, not a sensible power of two",
                            (unsigned long long)alignment);
    /* name length, one letter, dims, one dimension, type, offset */
    if (tensor_count > (r.size - r.at) / (2 * count_width(&r) + 17))
        return fail_here(&r, "more tensors than the file could hold");
    for (i = 0; i < tensor_count; i++) {
        tfm__tensor *tensor;
        status = tfm__container_add_tensor(container, &tensor, error);
        if (status) return status;
        tensor->file = file;
        tensor->name = "";
        status = take_tensor(&r, &container->arena, tensor);
        if (status) return status;
    }
    out->version = r.version;
    status = place_tensors(&r, container, first, alignment);
    if (status == TFM_OK) status = meta_number(&r, out, "split.no", &out->split_no);
    if (status == TFM_OK) status = meta_number(&r, out, "split.count", &out->split_count);
    if (status == TFM_OK) status = meta_number(&r, out, "split.tensors.count", &out->split_tensors);
    return status;
}

/* The five digits at p as a number, or UINT64_MAX. */
static uint64_t five_digits(const char *p) {
    uint64_t value = 0;
    int i;
    for (i = 0; i < 5; i++) {
        if (p[i] < '0' || p[i] > '9') return UINT64_MAX;
        value = value * 10 + (uint64_t)(p[i] - '0');
    }
    return value;
}

#define TFM__SPLIT_SUFFIX 20 /* "-00001-of-00003.gguf" */

/* Checks that a name says what the file says of itself. */
static bool split_name_fits(const char *name, uint64_t no, uint64_t count) {
    size_t length = strlen(name);
    const char *suffix;
    if (length < TFM__SPLIT_SUFFIX) return false;
    suffix = name + length - TFM__SPLIT_SUFFIX;
    return suffix[0] == '-' && five_digits(suffix + 1) == no + 1 && !strncmp(suffix + 6, "-of-", 4) &&
           five_digits(suffix + 10) == count && !strcmp(suffix + 15, ".gguf");
}

/* Opens part no, whose name is main_name with another number, as the next of the container's blobs. */
static int32_t open_part(tfm__store *store, tfm__container *container, uint64_t no, uint32_t *file,
                         tfm_error *error) {
    size_t length = strlen(store->main_name), at = length - TFM__SPLIT_SUFFIX;
    char *name = tfm__arena_text(&container->arena, store->main_name, length);
    char digits[24];
    tfm__blob blob;
    int32_t status;
    if (!name) return tfm__fail_memory(error, container->heap, length + 1);
    snprintf(digits, sizeof digits, "%05llu", (unsigned long long)(no + 1));
    memcpy(name + at + 1, digits, 5);
    status = tfm__store_sibling(store, name, &blob, error);
    if (status == TFM_E_NOT_FOUND)
        return tfm__fail_at(error, TFM_E_MISSING, name, NULL, TFM__NO_OFFSET,
                            "this part of the model is missing");
    if (status) return status;
    return tfm__container_add_blob(container, &blob, file, error);
}

static int32_t check_part(const tfm__blob *blob, const gguf_file *main_file, const gguf_file *part,
                          uint64_t no, tfm_error *error) {
    if (part->split_count != main_file->split_count || part->split_no != no)
        return tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, TFM__NO_OFFSET,
                            "says it is part %llu of %llu (from 0); expected was %llu of %llu",
                            (unsigned long long)part->split_no, (unsigned long long)part->split_count,
                            (unsigned long long)no, (unsigned long long)main_file->split_count);
    if (part->split_tensors != main_file->split_tensors)
        return tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, TFM__NO_OFFSET,
                            "split.tensors.count is %llu here and %llu in another part",
                            (unsigned long long)part->split_tensors,
                            (unsigned long long)main_file->split_tensors);
    return TFM_OK;
}

/* Any part may have been named: all are read again in their order, so that the result does not depend on
 * which. */
static int32_t open_parts(tfm__store *store, tfm__container *container, const gguf_file *main_file,
                          tfm_error *error) {
    tfm__blob main_blob = container->blobs[0];
    const char *main_name = main_blob.name;
    uint64_t no;
    int32_t status = TFM_OK;
    if (main_file->split_no >= main_file->split_count || main_file->split_count > 99999)
        return tfm__fail_at(error, TFM_E_FORMAT, main_name, NULL, TFM__NO_OFFSET,
                            "part %llu (from 0) of %llu", (unsigned long long)main_file->split_no,
                            (unsigned long long)main_file->split_count);
    if (!store->main_name)
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, main_name, NULL, TFM__NO_OFFSET,
                            "one of %llu parts: a model in parts must be opened by its path",
                            (unsigned long long)main_file->split_count);
    if (!split_name_fits(store->main_name, main_file->split_no, main_file->split_count))
        return tfm__fail_at(
            error, TFM_E_FORMAT, main_name, NULL, TFM__NO_OFFSET,
            "this is part %llu of %llu, so its name must end in -%05llu-of-%05llu.gguf",
            (unsigned long long)main_file->split_no + 1, (unsigned long long)main_file->split_count,
            (unsigned long long)main_file->split_no + 1, (unsigned long long)main_file->split_count);
    container->blob_count = 0;
    container->tensor_count = 0;
    for (no = 0; no < main_file->split_count && status == TFM_OK; no++) {
        gguf_file part = {0};
        uint32_t file = 0;
        if (no == main_file->split_no)
            status = tfm__container_add_blob(container, &main_blob, &file, error);
        else
            status = open_part(store, container, no, &file, error);
        if (status == TFM_OK) status = read_file(container, file, &part, error);
        if (status == TFM_OK) status = check_part(&container->blobs[file], main_file, &part, no, error);
        if (no == 0 && status == TFM_OK) { /* the first part's metadata is the model's */
            container->metas = part.metas;
            container->meta_count = part.meta_count;
            container->gguf_version = part.version;
        } else {
            tfm__free(container->heap, part.metas);
        }
    }
    if (status == TFM_OK && container->tensor_count != main_file->split_tensors)
        status = tfm__fail_at(error, TFM_E_FORMAT, container->blobs[0].name, NULL, TFM__NO_OFFSET,
                              "the parts hold %llu tensors; split.tensors.count is %llu",
                              (unsigned long long)container->tensor_count,
                              (unsigned long long)main_file->split_tensors);
    tfm__blob_release(&main_blob); /* zeroed by then, unless an earlier part failed */
    return status;
}

int32_t tfm__gguf_open(tfm__store *store, tfm__container *container, tfm_error *error) {
    gguf_file file = {0};
    int32_t status = read_file(container, 0, &file, error);
    container->format = TFM__FORMAT_GGUF;
    if (status == TFM_OK && file.split_count > 1) {
        status = open_parts(store, container, &file, error);
        tfm__free(container->heap, file.metas);
        return status;
    }
    container->metas = file.metas;
    container->meta_count = file.meta_count;
    container->gguf_version = file.version;
    return status;
}
