/* meta.c - typed reads of GGUF metadata values. Called by the model's config reader and the tokenizer loader.
 *
 * A value converts when its meaning survives: any integer type to a wider or equal range when the number
 * fits, integers and floats to double, BOOL to bool and to the integers 0 and 1. Strings convert to nothing
 * else. */
#include "formats/parts.h"

/* One scalar in the widest form of its kind. */
typedef struct scalar {
    enum { NOTHING, UNSIGNED, SIGNED, FLOATING, BOOLEAN } kind;
    uint64_t u;
    int64_t i;
    double f;
} scalar;

static size_t item_size(uint32_t type) {
    switch (type) {
    case TFM__META_U8:
    case TFM__META_I8:
    case TFM__META_BOOL:
        return 1;
    case TFM__META_U16:
    case TFM__META_I16:
        return 2;
    case TFM__META_U32:
    case TFM__META_I32:
    case TFM__META_F32:
        return 4;
    case TFM__META_U64:
    case TFM__META_I64:
    case TFM__META_F64:
        return 8;
    default:
        return 0; /* strings and arrays have no fixed size */
    }
}

/* The element of that index; a single value has the index 0. */
static scalar read_scalar(const tfm__meta *meta, uint64_t index) {
    scalar s = {NOTHING, 0, 0, 0.0};
    const uint8_t *p;
    uint32_t type;
    uint64_t bits;
    if (!meta || index >= meta->count) return s;
    type = meta->type == TFM__META_ARRAY ? meta->item : meta->type;
    if (item_size(type) == 0) return s;
    p = meta->value + index * item_size(type);
    switch (type) {
    case TFM__META_U8:
        s.kind = UNSIGNED, s.u = *p;
        break;
    case TFM__META_U16:
        s.kind = UNSIGNED, s.u = tfm__u16_le(p);
        break;
    case TFM__META_U32:
        s.kind = UNSIGNED, s.u = tfm__u32_le(p);
        break;
    case TFM__META_U64:
        s.kind = UNSIGNED, s.u = tfm__u64_le(p);
        break;
    case TFM__META_I8:
        s.kind = SIGNED, s.i = (int8_t)*p;
        break;
    case TFM__META_I16:
        s.kind = SIGNED, s.i = (int16_t)tfm__u16_le(p);
        break;
    case TFM__META_I32:
        s.kind = SIGNED, s.i = (int32_t)tfm__u32_le(p);
        break;
    case TFM__META_I64:
        s.kind = SIGNED, s.i = (int64_t)tfm__u64_le(p);
        break;
    case TFM__META_F32:
        s.kind = FLOATING, s.f = (double)tfm__f32_le(p);
        break;
    case TFM__META_F64:
        bits = tfm__u64_le(p);
        memcpy(&s.f, &bits, sizeof s.f);
        s.kind = FLOATING;
        break;
    default: /* BOOL: other bytes than 0 and 1 are no truth value */
        if (*p <= 1) s.kind = BOOLEAN, s.u = *p;
        break;
    }
    return s;
}

bool tfm__meta_u64(const tfm__meta *meta, uint64_t index, uint64_t *out) {
    scalar s = read_scalar(meta, index);
    if (s.kind == UNSIGNED || s.kind == BOOLEAN)
        *out = s.u;
    else if (s.kind == SIGNED && s.i >= 0)
        *out = (uint64_t)s.i;
    else
        return false;
    return true;
}

bool tfm__meta_i64(const tfm__meta *meta, uint64_t index, int64_t *out) {
    scalar s = read_scalar(meta, index);
    if (s.kind == SIGNED)
        *out = s.i;
    else if ((s.kind == UNSIGNED || s.kind == BOOLEAN) && s.u <= INT64_MAX)
        *out = (int64_t)s.u;
    else
        return false;
    return true;
}

bool tfm__meta_f64(const tfm__meta *meta, uint64_t index, double *out) {
    scalar s = read_scalar(meta, index);
    switch (s.kind) {
    case FLOATING:
        *out = s.f;
        return true;
    case UNSIGNED:
        *out = (double)s.u;
        return true;
    case SIGNED:
        *out = (double)s.i;
        return true;
    default:
        return false;
    }
}

bool tfm__meta_bool(const tfm__meta *meta, bool *out) {
    scalar s = read_scalar(meta, 0);
    if (s.kind != BOOLEAN || meta->type != TFM__META_BOOL) return false;
    *out = s.u != 0;
    return true;
}

bool tfm__meta_text(const tfm__meta *meta, uint64_t index, tfm__text *out) {
    if (!meta || !meta->texts || index >= meta->count) return false;
    *out = meta->texts[index];
    return true;
}
