/* config_values.c - single values of a config.json, by key. */
#include "model/config_values.h"

static void mark_asked(tfm__reader *r, const char *key) {
    const tfm__config_key *row;
    for (size_t i = 0; (row = tfm__config_key_at(i)) != NULL; i++)
        if (!strcmp(row->key, key)) r->asked[i] = true;
}

tfm__json_value tfm__present(tfm__reader *r, tfm__json_value object, const char *names) {
    tfm__json_value found = TFM__JSON_NONE;
    char key[64];
    for (const char *name = names; *name;) {
        size_t length = strcspn(name, "|");
        tfm__json_value value;
        memcpy(key, name, TFM__MIN(length, sizeof key - 1));
        key[TFM__MIN(length, sizeof key - 1)] = 0;
        if (object == r->root) mark_asked(r, key);
        value = found == TFM__JSON_NONE ? tfm__json_get(r->json, object, key) : TFM__JSON_NONE;
        if (value != TFM__JSON_NONE && tfm__json_kind(r->json, value) != TFM__JSON_NULL) found = value;
        name += length + (name[length] == '|');
    }
    return found;
}

void tfm__fail_value(tfm__reader *r, tfm__json_value value, const char *key, const char *what) {
    if (!r->status)
        r->status =
            tfm__fail_at(r->error, TFM_E_FORMAT, r->file, key, tfm__json_offset(r->json, value), "%s", what);
}

bool tfm__read_u32(tfm__reader *r, const char *names, bool required, uint32_t *out) {
    tfm__json_value value = tfm__present(r, r->root, names);
    int64_t number;
    if (value == TFM__JSON_NONE) {
        if (required && !r->status)
            r->status = tfm__fail_at(r->error, TFM_E_MISSING, r->file, names, TFM__NO_OFFSET,
                                     "the description lacks this key");
        return false;
    }
    if (!tfm__json_i64(r->json, value, &number) || number < 0 || number > UINT32_MAX) {
        tfm__fail_value(r, value, names, "not a number in range");
        return false;
    }
    *out = (uint32_t)number;
    return true;
}

bool tfm__read_f64(tfm__reader *r, tfm__json_value object, const char *key, double *out) {
    tfm__json_value value = tfm__present(r, object, key);
    if (value == TFM__JSON_NONE) return false;
    if (tfm__json_f64(r->json, value, out)) return true;
    tfm__fail_value(r, value, key, "not a number");
    return false;
}

bool tfm__read_f32(tfm__reader *r, const char *key, float *out) {
    double value;
    if (!tfm__read_f64(r, r->root, key, &value)) return false;
    *out = (float)value;
    return true;
}

bool tfm__read_bool(tfm__reader *r, const char *key, bool *out) {
    tfm__json_value value = tfm__present(r, r->root, key);
    if (value == TFM__JSON_NONE) return false;
    if (tfm__json_bool(r->json, value, out)) return true;
    tfm__fail_value(r, value, key, "neither true nor false");
    return false;
}
