/* adapter_peft.c - adapter_config.json: which settings of PEFT's LoRA are computed here, ranks and factors.
 *
 * Source: the fields of peft.LoraConfig (PEFT 0.21) and what its documentation says of them. Settings that
 * only say where an adapter was put (target_modules, layers_to_transform, ...) need no reading: the tensors
 * say it. What changes the arithmetic in another way is refused, and so is a setting that is not known and
 * switched on. */
#include <math.h>

#include "model/adapter.h"

static tfm__json_value setting(const tfm__container *container, const char *key) {
    return tfm__json_get(&container->config, tfm__json_root(&container->config), key);
}

static int32_t refuse(const tfm__container *container, tfm__json_value key, const char *name, int32_t code,
                      const char *what, tfm_error *error) {
    const tfm__json *json = &container->config;
    const char *text = "absent";
    size_t size = 6;
    if (key != TFM__JSON_NONE) tfm__json_source(json, key, &text, &size);
    return tfm__fail_at(error, code, json->file, name, tfm__json_offset(json, key), "%s is %.*s: %s", name,
                        (int)TFM__MIN(size, 80), text, what);
}

/* Whether a setting is off: absent, null, false, or empty. */
static bool is_off(const tfm__json *json, tfm__json_value value) {
    bool on = true;
    switch (tfm__json_kind(json, value)) {
    case TFM__JSON_ABSENT:
    case TFM__JSON_NULL:
        return true;
    case TFM__JSON_BOOL:
        return tfm__json_bool(json, value, &on) && !on;
    case TFM__JSON_ARRAY:
    case TFM__JSON_OBJECT:
        return tfm__json_size(json, value) == 0;
    default:
        return false;
    }
}

/* Those that say nothing about the arithmetic, or are read elsewhere. */
static bool is_known(const tfm__json *json, tfm__json_value key) {
    static const char *const known[] = {"task_type",
                                        "peft_type",
                                        "auto_mapping",
                                        "peft_version",
                                        "base_model_name_or_path",
                                        "revision",
                                        "inference_mode",
                                        "r",
                                        "target_modules",
                                        "exclude_modules",
                                        "lora_alpha",
                                        "lora_dropout",
                                        "fan_in_fan_out",
                                        "bias",
                                        "use_rslora",
                                        "init_lora_weights",
                                        "layers_to_transform",
                                        "layers_pattern",
                                        "rank_pattern",
                                        "alpha_pattern",
                                        "megatron_core",
                                        "loftq_config",
                                        "eva_config",
                                        "corda_config",
                                        "lora_ga_config",
                                        "qalora_group_size",
                                        "runtime_config",
                                        "ensure_weight_tying"};
    for (size_t i = 0; i < TFM__COUNT(known); i++)
        if (tfm__json_equals(json, key, known[i])) return true;
    return false;
}

/* Ways to begin that leave the base as it is; others change it too, so that the adapter alone is not enough.
 */
static bool begins_plainly(const tfm__json *json, tfm__json_value value) {
    static const char *const plain[] = {"gaussian", "eva", "orthogonal"};
    if (tfm__json_kind(json, value) != TFM__JSON_STRING) return true;
    for (size_t i = 0; i < TFM__COUNT(plain); i++)
        if (tfm__json_equals(json, value, plain[i])) return true;
    return false;
}

int32_t tfm__peft_check(const tfm__container *container, tfm_error *error) {
    const tfm__json *json = &container->config;
    tfm__json_value root = tfm__json_root(json), value = setting(container, "peft_type");
    char name[64];
    if (!tfm__json_equals(json, value, "LORA"))
        return refuse(container, value, "peft_type", TFM_E_UNSUPPORTED, "only LORA is supported", error);
    value = setting(container, "bias");
    if (!is_off(json, value) && !tfm__json_equals(json, value, "none"))
        return refuse(container, value, "bias", TFM_E_UNSUPPORTED, "only none is supported", error);
    value = setting(container, "init_lora_weights");
    if (!begins_plainly(json, value))
        return refuse(container, value, "init_lora_weights", TFM_E_UNSUPPORTED,
                      "this way to begin changes the base too; convert the adapter to plain LoRA", error);
    for (tfm__json_value key = tfm__json_first(json, root); key != TFM__JSON_NONE;
         key = tfm__json_next(json, root, key)) {
        value = tfm__json_member_value(json, key);
        if (is_known(json, key) || is_off(json, value)) continue;
        const char *raw = "";
        size_t size = 0;
        (void)tfm__json_raw(json, key, &raw, &size);
        size = TFM__MIN(size, sizeof name - 1);
        memcpy(name, raw, size);
        name[size] = 0;
        return refuse(container, value, name, TFM_E_UNSUPPORTED, "this setting is not supported", error);
    }
    return TFM_OK;
}

/* ---- Ranks and factors ---- */

/* Whether a pattern of rank_pattern or alpha_pattern means the module: PEFT takes a regular expression for
 * the end of its name behind a dot, or for all of it. Of expressions, names with escaped dots and ^ in front
 * are understood; *plain says whether this is one. */
static bool means(const char *pattern, const char *module, bool *plain) {
    char name[256];
    size_t used = 0, length = strlen(module);
    bool all = pattern[0] == '^';
    *plain = true;
    for (const char *at = pattern + all; *at && *plain; at++) {
        if (at[0] == '\\' && at[1] == '.') at++;
        *plain = used + 1 < sizeof name && !strchr("\\^$*+?{}[]|()", *at);
        if (*plain) name[used++] = *at;
    }
    name[used] = 0;
    if (!*plain || used > length || strcmp(module + length - used, name) != 0) return false;
    return used == length || (!all && module[length - used - 1] == '.');
}

/* The value that a table of patterns has for the module, or `usual`. */
static int32_t by_pattern(const tfm__container *container, const char *table, const char *module,
                          tfm__json_value usual, tfm__json_value *out, tfm_error *error) {
    const tfm__json *json = &container->config;
    tfm__json_value object = setting(container, table);
    *out = usual;
    if (is_off(json, object)) return TFM_OK;
    if (tfm__json_kind(json, object) != TFM__JSON_OBJECT)
        return refuse(container, object, table, TFM_E_FORMAT, "not an object", error);
    for (tfm__json_value key = tfm__json_first(json, object); key != TFM__JSON_NONE;
         key = tfm__json_next(json, object, key)) {
        char pattern[256];
        const char *raw;
        size_t size = 0;
        bool plain = false, found = false;
        if (tfm__json_raw(json, key, &raw, &size) && size < sizeof pattern) {
            size = tfm__json_unescape(json, key, pattern, sizeof pattern - 1);
            if (size != SIZE_MAX && !memchr(pattern, 0, size)) {
                pattern[size] = 0;
                found = means(pattern, module, &plain);
            }
        }
        if (!plain)
            return refuse(container, key, table, TFM_E_UNSUPPORTED, "not a name, but an expression", error);
        if (!found) continue;
        *out = tfm__json_member_value(json, key);
        return TFM_OK;
    }
    return TFM_OK;
}

int32_t tfm__peft_module(const tfm__container *container, const char *module, uint32_t *rank, double *scale,
                         tfm_error *error) {
    const tfm__json *json = &container->config;
    tfm__json_value value = setting(container, "use_rslora");
    bool root = false;
    int64_t r;
    double alpha;
    if (!is_off(json, value) && !tfm__json_bool(json, value, &root))
        return refuse(container, value, "use_rslora", TFM_E_FORMAT, "neither true nor false", error);
    int32_t status = by_pattern(container, "rank_pattern", module, setting(container, "r"), &value, error);
    if (status) return status;
    if (!tfm__json_i64(json, value, &r) || r < 1 || r > TFM__MAX_WIDTH)
        return refuse(container, value, "r", TFM_E_FORMAT, "not a rank", error);
    status = by_pattern(container, "alpha_pattern", module, setting(container, "lora_alpha"), &value, error);
    if (status) return status;
    if (!tfm__json_f64(json, value, &alpha) || !isfinite(alpha))
        return refuse(container, value, "lora_alpha", TFM_E_FORMAT, "not a number", error);
    *rank = (uint32_t)r;
    *scale = alpha / (root ? sqrt((double)r) : (double)r);
    return TFM_OK;
}
