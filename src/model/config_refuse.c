/* config_refuse.c - settings of a config.json that change the arithmetic and are not implemented: refused by
 * name, with the value that the file has. */
#include "formats/decimal.h"
#include "model/config_values.h"

/* Whether a value is the one that a literal of size bytes writes: null, true, false, a number (compared as a
 * number), a text in quotes, [] or {}. */
static bool is_literal(const tfm__reader *r, tfm__json_value value, const char *literal, size_t size) {
    double number, wanted;
    const char *text;
    size_t length;
    switch (tfm__json_kind(r->json, value)) {
    case TFM__JSON_NUMBER:
        return tfm__json_f64(r->json, value, &number) && tfm__decimal_to_f64(literal, size, &wanted) &&
               number == wanted;
    case TFM__JSON_ARRAY:
        return size == 2 && !memcmp(literal, "[]", 2) && tfm__json_size(r->json, value) == 0;
    case TFM__JSON_OBJECT:
        return size == 2 && !memcmp(literal, "{}", 2) && tfm__json_size(r->json, value) == 0;
    default:
        tfm__json_source(r->json, value, &text, &length);
        return length == size && !memcmp(text, literal, size);
    }
}

/* Whether a value is one of a list of literals with | between them. */
static bool is_one_of(const tfm__reader *r, tfm__json_value value, const char *literals) {
    for (const char *at = literals; *at;) {
        size_t size = strcspn(at, "|");
        if (is_literal(r, value, at, size)) return true;
        at += size + (at[size] == '|');
    }
    return false;
}

/* Whether a key of the table changes nothing with this value. */
static bool is_idle(const tfm__reader *r, tfm__json_value value, const char *idle) {
    int kind = tfm__json_kind(r->json, value);
    if (kind == TFM__JSON_OBJECT) return tfm__json_size(r->json, value) == 0;
    if (kind != TFM__JSON_ARRAY) return kind == TFM__JSON_NULL || is_one_of(r, value, idle);
    for (tfm__json_value item = tfm__json_first(r->json, value); item != TFM__JSON_NONE;
         item = tfm__json_next(r->json, value, item))
        if (!is_one_of(r, item, idle)) return false;
    return true;
}

void tfm__refuse_value(tfm__reader *r, tfm__json_value value, const char *key, const char *only) {
    const char *text;
    size_t size, shown;
    tfm__json_source(r->json, value, &text, &size);
    shown = TFM__MIN(size, 60u);
    while (shown < size && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80) shown--;
    if (!r->status)
        r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, key, tfm__json_offset(r->json, value),
                                 "%.*s%s changes what is computed and is not supported%s%s", (int)shown, text,
                                 shown < size ? "..." : "", *only ? "; supported: " : "", only);
}

/* The value of a demand's key; one with a dot is a member of an object. */
static tfm__json_value demanded(tfm__reader *r, const char *key) {
    const char *dot = strchr(key, '.');
    char object[32];
    if (!dot) return tfm__present(r, r->root, key);
    size_t length = TFM__MIN((size_t)(dot - key), sizeof object - 1);
    memcpy(object, key, length);
    object[length] = 0;
    return tfm__present(r, tfm__present(r, r->root, object), dot + 1);
}

/* Keys of the table that nobody asked for. An encoder-decoder is held to what its decoder's row reads. */
static void refuse_unasked(tfm__reader *r, const tfm__family *family) {
    const tfm__config_key *row;
    if (family->tower == TFM__TOWER_ENCODER) return;
    for (size_t i = 0; (row = tfm__config_key_at(i)) != NULL && !r->status; i++) {
        tfm__json_value value = r->asked[i] ? TFM__JSON_NONE : tfm__json_get(r->json, r->root, row->key);
        if (value != TFM__JSON_NONE && !is_idle(r, value, row->idle))
            tfm__refuse_value(r, value, row->key, row->idle);
    }
}

void tfm__refuse_unknown(tfm__reader *r, const tfm__family *family) {
    bool flag = false;
    for (const tfm__demand *demand = family->demands; demand && demand->key && !r->status; demand++) {
        tfm__json_value value = demanded(r, demand->key);
        if (value != TFM__JSON_NONE && !is_one_of(r, value, demand->value))
            tfm__refuse_value(r, value, demand->key, demand->value);
    }
    if (tfm__read_bool(r, "use_bidirectional_attention", &flag) && flag && !family->may_encode && !r->status)
        r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, "use_bidirectional_attention",
                                 TFM__NO_OFFSET, "attention in both directions");
    tfm__json_value quantization = tfm__json_get(r->json, tfm__json_root(r->json), "quantization_config");
    bool blocks = family->experts_plain &&
                  tfm__json_equals(r->json, tfm__json_get(r->json, quantization, "quant_method"), "mxfp4");
    if (tfm__json_kind(r->json, quantization) == TFM__JSON_OBJECT && !blocks && !r->status)
        r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, "quantization_config",
                                 tfm__json_offset(r->json, quantization), "quantised Hugging Face weights");
    refuse_unasked(r, family);
}
