/* hf_read.c - members of tokenizer.json's objects, checked. Called by the other hf_*.c; hf.h says what each
 * function does. */
#include "tokenizer/hf.h"

bool tfm__hf_null(const tfm__hf *hf, tfm__json_value value) {
    int kind = tfm__json_kind(hf->json, value);
    return kind == TFM__JSON_ABSENT || kind == TFM__JSON_NULL;
}

/* ---- Errors ---- */

static uint64_t place(const tfm__hf *hf, tfm__json_value at) {
    return at == TFM__JSON_NONE ? TFM__NO_OFFSET : tfm__json_offset(hf->json, at);
}

int32_t tfm__hf_unsupported(const tfm__hf *hf, tfm__json_value at, const char *part, const char *what) {
    return tfm__fail_at(hf->error, TFM_E_UNSUPPORTED, hf->json->file, NULL, place(hf, at),
                        "%s: %.80s is not supported", part, what);
}

int32_t tfm__hf_malformed(const tfm__hf *hf, tfm__json_value at, const char *part, const char *what) {
    return tfm__fail_at(hf->error, TFM_E_FORMAT, hf->json->file, NULL, place(hf, at), "%s: %s", part, what);
}

int32_t tfm__hf_wrong(const tfm__hf *hf, tfm__json_value object, const char *part, const char *key,
                      const char *what) {
    tfm__json_value value = tfm__hf_get(hf, object, key);
    return tfm__fail_at(hf->error, TFM_E_FORMAT, hf->json->file, NULL,
                        place(hf, value == TFM__JSON_NONE ? object : value), "%s: %s %s", part, key,
                        value == TFM__JSON_NONE ? "is missing" : what);
}

int32_t tfm__hf_placed(const tfm__hf *hf, tfm__json_value at, int32_t rc) {
    char message[sizeof((tfm_error *)0)->message];
    size_t name;
    if (rc == TFM_OK || rc == TFM_E_MEMORY || rc == TFM_E_BUDGET || !hf->error) return rc;
    name = strlen(hf->json->file);
    if (strncmp(hf->error->message, hf->json->file, name) != 0 ||
        strncmp(hf->error->message + name, ": ", 2) != 0)
        name = 0; /* it does not say which file */
    else
        name += 2;
    memmove(message, hf->error->message + name, sizeof message - name);
    return tfm__fail_at(hf->error, rc, hf->json->file, NULL, place(hf, at), "%s", message);
}

int32_t tfm__hf_unknown_type(tfm__hf *hf, tfm__json_value object, const char *part) {
    int32_t rc = tfm__hf_text(hf, object, part, "type");
    return rc ? rc : tfm__hf_unsupported(hf, object, part, (const char *)hf->text.data);
}

/* ---- Values ---- */

int32_t tfm__hf_string(tfm__hf *hf, tfm__json_value value, const char *part) {
    const char *raw;
    size_t size;
    hf->text.size = 0;
    if (!tfm__json_raw(hf->json, value, &raw, &size))
        return tfm__hf_malformed(hf, value, part, "not a string");
    if (!tfm__buffer_reserve(&hf->text, size + 1)) return tfm__fail_memory(hf->error, hf->text.heap, size);
    size = tfm__json_unescape(hf->json, value, (char *)hf->text.data, hf->text.capacity - 1);
    if (size == SIZE_MAX) return tfm__hf_malformed(hf, value, part, "a malformed string");
    hf->text.size = size;
    hf->text.data[size] = 0; /* for messages and comparisons with names */
    return TFM_OK;
}

int32_t tfm__hf_text(tfm__hf *hf, tfm__json_value object, const char *part, const char *key) {
    tfm__json_value value = tfm__hf_get(hf, object, key);
    if (tfm__json_kind(hf->json, value) != TFM__JSON_STRING)
        return tfm__hf_wrong(hf, object, part, key, "is not a string");
    return tfm__hf_string(hf, value, part);
}

int32_t tfm__hf_character(tfm__hf *hf, tfm__json_value object, const char *part, const char *key) {
    int32_t rc = tfm__hf_text(hf, object, part, key);
    uint32_t used = 0;
    if (rc) return rc;
    if (hf->text.size) (void)tfm__utf8_read(hf->text.data, hf->text.size, &used);
    return hf->text.size && used == hf->text.size
               ? TFM_OK
               : tfm__hf_wrong(hf, object, part, key, "is not one character");
}

int32_t tfm__hf_flag(tfm__hf *hf, tfm__json_value object, const char *part, const char *key, int absent,
                     bool *out) {
    tfm__json_value value = tfm__hf_get(hf, object, key);
    *out = absent > 0;
    if (tfm__hf_null(hf, value) && absent >= 0) return TFM_OK;
    return tfm__json_bool(hf->json, value, out)
               ? TFM_OK
               : tfm__hf_wrong(hf, object, part, key, "is not true or false");
}

int32_t tfm__hf_number(tfm__hf *hf, tfm__json_value object, const char *part, const char *key, int64_t most,
                       int64_t absent, int64_t *out) {
    tfm__json_value value = tfm__hf_get(hf, object, key);
    *out = absent;
    if (tfm__hf_null(hf, value) && absent >= 0) return TFM_OK;
    if (tfm__json_kind(hf->json, value) != TFM__JSON_NUMBER || !tfm__json_i64(hf->json, value, out) ||
        *out < 0)
        return tfm__hf_wrong(hf, object, part, key, "is not a whole number from 0 on");
    return *out <= most ? TFM_OK : tfm__hf_wrong(hf, object, part, key, "is too large");
}

int32_t tfm__hf_id(const tfm__hf *hf, tfm__json_value value, const char *part, int64_t *id) {
    if (tfm__json_kind(hf->json, value) != TFM__JSON_NUMBER || !tfm__json_i64(hf->json, value, id) ||
        *id < 0 || *id > INT32_MAX)
        return tfm__hf_malformed(hf, value, part, "not a token id");
    return TFM_OK;
}

int32_t tfm__hf_store(tfm__hf *hf, tfm__json_value value, const char *part, tfm__slice *out) {
    int32_t rc = tfm__hf_string(hf, value, part);
    return rc ? rc : tfm__vocab_store(hf->tokenizer, hf->text.data, hf->text.size, out, hf->error);
}

/* ---- Sequences, expressions ---- */

int32_t tfm__hf_flatten(tfm__hf *hf, tfm__json_value value, const char *part, const char *list,
                        tfm__json_value parts[TFM__HF_PARTS], size_t *count) {
    tfm__json_value stack[TFM__HF_PARTS];
    size_t depth = 0;
    *count = 0;
    if (tfm__hf_null(hf, value)) return TFM_OK;
    stack[depth++] = value;
    while (depth) {
        tfm__json_value now = stack[--depth], members;
        size_t n;
        if (tfm__json_kind(hf->json, now) != TFM__JSON_OBJECT)
            return tfm__hf_malformed(hf, now, part, "not an object");
        if (!tfm__hf_is(hf, now, "Sequence")) {
            if (*count == TFM__HF_PARTS) return tfm__hf_unsupported(hf, now, part, "a Sequence this long");
            parts[(*count)++] = now;
            continue;
        }
        members = tfm__hf_get(hf, now, list);
        if (tfm__json_kind(hf->json, members) != TFM__JSON_ARRAY)
            return tfm__hf_malformed(hf, now, part, "a Sequence without a list");
        n = tfm__json_size(hf->json, members);
        if (n > TFM__HF_PARTS - depth) return tfm__hf_unsupported(hf, now, part, "a Sequence this long");
        for (size_t i = n; i-- > 0;) stack[depth++] = tfm__json_at(hf->json, members, i);
    }
    return TFM_OK;
}

int32_t tfm__hf_regex(tfm__hf *hf, tfm__json_value value, const char *part, uint32_t *index) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__regex *made = NULL;
    int32_t rc = tfm__hf_string(hf, value, part);
    if (rc) return rc;
    rc = tfm__regex_compile(t->heap, (const char *)hf->text.data, hf->text.size, TFM__REGEX_ONIGURUMA,
                            hf->json->file, &made, hf->error);
    if (rc) return tfm__hf_placed(hf, value, rc);
    rc = tfm__vocab_regex(t, made, index, hf->error);
    if (rc) tfm__regex_free(t->heap, made);
    return rc;
}
