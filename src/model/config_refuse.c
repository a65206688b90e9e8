/* config_refuse.c - settings of a config.json that change the arithmetic and are not implemented: refused by
 * name. */
#include <stdio.h>

#include "model/config_values.h"

/* Whether a value is written so in the file: true, false, a whole number, or a text with its quotes. */
static bool has_literal(const tfm__reader *r, tfm__json_value value, const char *literal) {
    bool flag;
    size_t length = strlen(literal);
    const char *raw;
    size_t size;
    int64_t number;
    char digits[24];
    if (tfm__json_i64(r->json, value, &number)) {
        snprintf(digits, sizeof digits, "%lld", (long long)number);
        return !strcmp(literal, digits);
    }
    if (tfm__json_bool(r->json, value, &flag)) return !strcmp(literal, flag ? "true" : "false");
    return tfm__json_raw(r->json, value, &raw, &size) && size + 2 == length &&
           !memcmp(raw, literal + 1, size);
}

/* Settings that change the arithmetic and that no family here uses: refuse rather than compute something
 * else. */
void tfm__refuse_unknown(tfm__reader *r, const tfm__family *family) {
    bool flag = false;
    for (const tfm__demand *demand = family->demands; demand && demand->key && !r->status; demand++) {
        tfm__json_value value = tfm__present(r, r->root, demand->key);
        if (value != TFM__JSON_NONE && !has_literal(r, value, demand->value))
            r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, demand->key,
                                     tfm__json_offset(r->json, value), "only %s is supported", demand->value);
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
}
