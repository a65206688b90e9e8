/* ctranslate2.c - the model.bin of a CTranslate2 folder, versions 2 to 6. Called by container.c.
 *
 * Little-endian. u32 version; string specification; u32 its revision; u32 count, then each variable: string
 * name, u8 rank, u32 dims[rank], up to version 3 u8 item size and u32 items (the size tells the type: 4
 * float32, 2 int16, 1 int8), from version 4 on u8 type and u32 bytes; the data. From version 3 on behind them
 * u32 count and pairs of strings: a second name, and the variable that it stands for. A string is u16 length,
 * counting the NUL at its end, and the bytes. Version 1 has no specification, and other names: refused.
 *
 * A quantised matrix is integers and, under its name with "_scale", what they were multiplied with: a number
 * (int16), or one for each row (int8). It is expanded to F32 in the arena: no type of the kernels has rows
 * with a scale of their own, and a quotient is one rounding whereas Q8_0 would be two.
 *
 * Tensors are named with dots for slashes, a norm's gamma and beta as weight and bias, and
 * encodings get .weight behind them. Attributes are
 * tensors without dimensions. Source of the layout: OpenNMT/CTranslate2, model_spec.py and model.cc. */
#include <math.h>
#include <stdio.h>

#include "base/threads.h"
#include "formats/parts.h"

#define MOST_NAME 200

typedef struct reader {
    const tfm__blob *blob;
    uint64_t at;
    tfm__container *container;
    tfm_error *error;
} reader;

static int32_t fail(const reader *r, const char *name, uint64_t at, const char *what) {
    return tfm__fail_at(r->error, TFM_E_FORMAT, r->blob->name, name, at, "%s", what);
}

/* The next bytes, or NULL. */
static const uint8_t *take(reader *r, uint64_t bytes) {
    if (bytes > r->blob->size - r->at) return NULL;
    r->at += bytes;
    return r->blob->data + (r->at - bytes);
}

static int32_t truncated(const reader *r, const char *name) {
    return tfm__fail_at(r->error, TFM_E_TRUNCATED, r->blob->name, name, r->at,
                        "the file ends in the middle of this");
}

static int32_t take_u32(reader *r, uint32_t *value) {
    const uint8_t *p = take(r, 4);
    if (!p) return truncated(r, NULL);
    *value = tfm__u32_le(p);
    return TFM_OK;
}

static int32_t take_text(reader *r, char text[MOST_NAME]) {
    uint64_t start = r->at;
    const uint8_t *size = take(r, 2), *p;
    if (!size) return truncated(r, NULL);
    uint32_t length = tfm__u16_le(size);
    if ((p = take(r, length)) == NULL) return truncated(r, NULL);
    if (length < 1 || length > MOST_NAME || p[length - 1] || memchr(p, 0, length - 1u))
        return fail(r, NULL, start, "a name is too long, or does not end where it should");
    memcpy(text, p, length);
    return TFM_OK;
}

/* A name as tensors have it. */
static int32_t take_name(reader *r, const char **name) {
    static const struct {
        const char *theirs, *ours;
    } ends[] = {{".gamma", ".weight"}, {".beta", ".bias"}, {".encodings", ".encodings.weight"}};
    char text[MOST_NAME + 8];
    int32_t status = take_text(r, text);
    if (status) return status;
    for (char *c = text; *c; c++)
        if (*c == '/') *c = '.';
    for (size_t i = 0; i < TFM__COUNT(ends); i++) {
        size_t length = strlen(text), end = strlen(ends[i].theirs);
        if (length > end && !strcmp(text + length - end, ends[i].theirs))
            memcpy(text + length - end, ends[i].ours, strlen(ends[i].ours) + 1);
    }
    *name = tfm__arena_text(&r->container->arena, text, strlen(text));
    return *name ? TFM_OK : tfm__fail_memory(r->error, r->container->heap, strlen(text) + 1);
}

/* ---- Variables ---- */

static bool type_of(uint32_t version, uint8_t code, uint32_t *type) {
    static const uint32_t codes[] = {TFM__F32, TFM__I8, TFM__I16, TFM__I32, TFM__F16, TFM__BF16};
    if (version >= 4) {
        if (code >= TFM__COUNT(codes)) return false;
        *type = codes[code];
        return true;
    }
    *type = code == 4 ? TFM__F32 : code == 2 ? TFM__I16 : TFM__I8;
    return code == 1 || code == 2 || code == 4;
}

static int32_t take_variable(reader *r, uint32_t version) {
    uint64_t start = r->at, values = 1, bytes = 0;
    tfm__tensor *tensor;
    const char *name;
    const uint8_t *p;
    uint32_t size = 0;
    int32_t status = take_name(r, &name);
    if (!status) status = tfm__container_add_tensor(r->container, &tensor, r->error);
    if (status) return status;
    tensor->name = name;
    if ((p = take(r, 1)) == NULL) return truncated(r, name);
    tensor->dims = *p;
    if (tensor->dims > TFM__MAX_DIMS) return fail(r, name, start, "too many dimensions");
    for (uint32_t i = 0; i < tensor->dims; i++) {
        if ((status = take_u32(r, &size)) != 0) return status;
        tensor->shape[i] = size;
        if (!tfm__mul_u64(values, size, &values)) return fail(r, name, start, "the dimensions overflow");
    }
    if ((p = take(r, 1)) == NULL) return truncated(r, name);
    if (!type_of(version, *p, &tensor->type))
        return tfm__fail_at(r->error, TFM_E_FORMAT, r->blob->name, name, r->at - 1, "type %u is not known",
                            *p);
    if ((status = take_u32(r, &size)) != 0) return status;
    bytes = version >= 4 ? size : (uint64_t)size * *p;
    if (!tfm__mul_u64(values, tfm__dtype_of(tensor->type)->block_bytes, &values) || values != bytes)
        return tfm__fail_at(r->error, TFM_E_FORMAT, r->blob->name, name, start,
                            "%llu bytes by its dimensions, but it has %llu", (unsigned long long)values,
                            (unsigned long long)bytes);
    tensor->bytes = bytes;
    tensor->offset = r->at;
    tensor->data = take(r, bytes);
    return tensor->data ? TFM_OK : truncated(r, name);
}

static int32_t take_alias(reader *r) {
    const char *name, *other;
    tfm__tensor *tensor;
    int32_t status = take_name(r, &name);
    if (!status) status = take_name(r, &other);
    if (status) return status;
    const tfm__tensor *meant = tfm__container_tensor(r->container, other);
    if (!meant) return fail(r, name, r->at, "a second name for a variable that is not there");
    tfm__tensor copy = *meant;
    status = tfm__container_add_tensor(r->container, &tensor, r->error);
    if (status) return status;
    *tensor = copy;
    tensor->name = name;
    tensor->alias = true;
    return TFM_OK;
}

/* ---- Quantised matrices ---- */

#define SCALE "_scale"

static bool is_scale(const char *name) {
    size_t length = strlen(name), end = strlen(SCALE);
    return length > end && !strcmp(name + length - end, SCALE);
}

static const tfm__tensor *scale_of(const reader *r, const tfm__tensor *tensor) {
    char name[MOST_NAME + 16];
    snprintf(name, sizeof name, "%s" SCALE, tensor->name);
    return tfm__container_tensor(r->container, name);
}

static float integer_at(const tfm__tensor *tensor, uint64_t i) {
    if (tensor->type == TFM__I8) return (float)(int8_t)tensor->data[i];
    int32_t bits = tfm__u16_le(tensor->data + 2 * i);
    return (float)(bits >= 32768 ? bits - 65536 : bits);
}

static int32_t expand(const reader *r, tfm__tensor *tensor) {
    const tfm__tensor *scale = scale_of(r, tensor);
    uint64_t rows = tensor->shape[0], columns = rows ? tensor->shape[1] : 0, bytes;
    if (!scale)
        return tfm__fail_at(r->error, TFM_E_MISSING, r->blob->name, tensor->name, tensor->offset,
                            "integers without a " SCALE " beside them");
    bool whole = scale->dims == 0 || (scale->dims == 1 && scale->shape[0] == 1);
    if (scale->type != TFM__F32 || !(whole || (scale->dims == 1 && scale->shape[0] == rows)))
        return fail(r, scale->name, scale->offset, "neither one scale nor one for each row, in float32");
    if (!tfm__mul_u64(rows * columns, sizeof(float), &bytes) || bytes > SIZE_MAX)
        return fail(r, tensor->name, tensor->offset, "the dimensions overflow");
    float *out = tfm__arena_alloc(&r->container->arena, (size_t)bytes + sizeof(float));
    if (!out) return tfm__fail_memory(r->error, r->container->heap, (size_t)bytes);
    for (uint64_t row = 0; row < rows; row++) {
        float by = tfm__f32_le(scale->data + (whole ? 0 : row * sizeof(float)));
        if (!(by > 0.0f && isfinite(by))) return fail(r, scale->name, scale->offset, "a scale is none");
        for (uint64_t i = row * columns; i < (row + 1) * columns; i++) out[i] = integer_at(tensor, i) / by;
    }
    tensor->data = (const uint8_t *)out;
    tensor->type = TFM__F32;
    tensor->bytes = bytes;
    return TFM_OK;
}

static int32_t expand_all(reader *r, tfm__watch *watch) {
    for (size_t i = 0; i < r->container->tensor_count; i++) {
        tfm__tensor *tensor = &r->container->tensors[i];
        if (tensor->dims != 2 || (tensor->type != TFM__I8 && tensor->type != TFM__I16)) continue;
        int32_t status = expand(r, tensor);
        if (!status) status = tfm__watch_poll(watch, tensor->offset, r->blob->size, r->error);
        if (status) return status;
    }
    return TFM_OK;
}

/* Scales have done their work; the index is made anew with the second names. */
static void drop_scales(tfm__container *container) {
    size_t kept = 0;
    for (size_t i = 0; i < container->tensor_count; i++)
        if (!is_scale(container->tensors[i].name)) container->tensors[kept++] = container->tensors[i];
    container->tensor_count = kept;
    tfm__free(container->heap, container->tensor_index);
    container->tensor_index = NULL;
    container->tensor_slots = 0;
}

/* ---- The file ---- */

bool tfm__ctranslate2_is(const uint8_t *data, uint64_t size) {
    if (size < 16) return false;
    uint32_t version = tfm__u32_le(data), length = tfm__u16_le(data + 4);
    if (version < 2 || version > 64 || length < 2 || length > 64 || length > size - 6) return false;
    for (uint32_t i = 0; i + 1 < length; i++)
        if (!((data[6 + i] >= 'A' && data[6 + i] <= 'Z') || (data[6 + i] >= 'a' && data[6 + i] <= 'z') ||
              (i && data[6 + i] >= '0' && data[6 + i] <= '9')))
            return false;
    return data[5 + length] == 0;
}

int32_t tfm__ctranslate2_open(tfm__store *store, tfm__container *container, tfm_error *error) {
    reader r = {&container->blobs[0], 0, container, error};
    const tfm__read_options *options = &store->options;
    tfm__watch watch = {options->progress, options->progress_user, options->cancel, 0};
    uint32_t version = 0, count = 0;
    char spec[MOST_NAME];
    int32_t status = take_u32(&r, &version);
    container->format = TFM__FORMAT_CTRANSLATE2;
    if (status) return status;
    if (version < 2 || version > 6)
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, r.blob->name, NULL, 0,
                            "CTranslate2 version %u is not supported (2 to 6 are)", version);
    container->ct2_version = version;
    status = take_text(&r, spec);
    if (!status) status = take_u32(&r, &container->ct2_revision);
    if (!status) status = take_u32(&r, &count);
    if (status) return status;
    if ((container->ct2_spec = tfm__arena_text(&container->arena, spec, strlen(spec))) == NULL)
        return tfm__fail_memory(error, container->heap, sizeof spec);
    for (uint32_t i = 0; i < count && !status; i++) status = take_variable(&r, version);
    if (!status) status = tfm__container_index(container, error);
    if (!status) status = expand_all(&r, &watch);
    count = 0;
    if (!status && version >= 3) status = take_u32(&r, &count);
    for (uint32_t i = 0; i < count && !status; i++) status = take_alias(&r);
    if (status) return status;
    if (r.at != r.blob->size) return fail(&r, NULL, r.at, "bytes behind the last variable");
    drop_scales(container);
    return TFM_OK;
}
