/* config_rope.c - the rotary settings of a config.json, and which layers rotate or see only a window.
 *
 * Rotary settings are read both ways: `rope_parameters` (since 2025, possibly one object per layer type), and
 * `rope_theta` with `rope_scaling` at the top level. Source: the configuration classes' documentation of
 * Hugging Face transformers. */
#include <math.h>

#include "base/real.h"
#include "model/config_values.h"
#include "model/windows.h"

/* How much of each head is rotated: a number of dimensions or a share of the head. */
void tfm__read_rotary_dim(tfm__reader *r, tfm__config *config) {
    tfm__json_value parameters = tfm__present(r, r->root, "rope_parameters");
    double share = 1.0;
    config->rotary_dim = config->rotary_spread = config->head_dim;
    if (tfm__read_u32(r, "rotary_dim", false, &config->rotary_dim)) {
        config->rotary_spread = config->rotary_dim;
        return;
    }
    if (!tfm__read_f64(r, parameters, "partial_rotary_factor", &share))
        tfm__read_f64(r, r->root, "partial_rotary_factor|rotary_pct|rope_pct", &share);
    if (!(share > 0.0 && share <= 1.0))
        tfm__fail_value(r, r->root, "partial_rotary_factor", "must lie between 0 and 1");
    else
        config->rotary_spread = (uint32_t)(config->head_dim * share);
    config->rotary_dim = config->rotary_spread + config->rotary_spread % 2;
}

static int rope_scaling_of(tfm__reader *r, tfm__json_value object) {
    static const struct {
        const char *name;
        int scaling;
    } known[] = {{"default", TFM__ROPE_DEFAULT}, {"linear", TFM__ROPE_LINEAR}, {"dynamic", TFM__ROPE_DYNAMIC},
                 {"yarn", TFM__ROPE_YARN},       {"llama3", TFM__ROPE_LLAMA3}, {"longrope", TFM__ROPE_LONG},
                 {"su", TFM__ROPE_LONG}};
    tfm__json_value type = tfm__present(r, object, "rope_type");
    if (type == TFM__JSON_NONE) type = tfm__present(r, object, "type");
    if (type == TFM__JSON_NONE) return TFM__ROPE_DEFAULT;
    for (size_t i = 0; i < TFM__COUNT(known); i++)
        if (tfm__json_equals(r->json, type, known[i].name)) return known[i].scaling;
    tfm__refuse_value(r, type, "rope_type", "");
    return TFM__ROPE_DEFAULT;
}

/* One divisor per pair. */
static const float *read_factors(tfm__reader *r, tfm__json_value object, const char *key, uint32_t pairs,
                                 tfm__arena *arena) {
    tfm__json_value list = tfm__present(r, object, key);
    double number;
    if (r->status) return NULL;
    if (pairs > TFM__MAX_HEAD_DIM || tfm__json_kind(r->json, list) != TFM__JSON_ARRAY ||
        tfm__json_size(r->json, list) != pairs) {
        tfm__fail_value(r, list == TFM__JSON_NONE ? object : list, key,
                        "not a list with one divisor per rotary pair");
        return NULL;
    }
    float *factors = tfm__arena_alloc(arena, pairs * sizeof *factors);
    if (!factors) {
        r->status = tfm__fail_memory(r->error, arena->heap, pairs * sizeof *factors);
        return NULL;
    }
    tfm__json_value item = tfm__json_first(r->json, list);
    for (uint32_t i = 0; i < pairs; i++, item = tfm__json_next(r->json, list, item)) {
        if (!tfm__json_f64(r->json, item, &number) || !(number > 0.0 && number < 1e9)) {
            tfm__fail_value(r, item, key, "a divisor must be a positive number");
            return NULL;
        }
        factors[i] = (float)number;
    }
    return factors;
}

/* LongRoPE: two tables, and a stretch that follows from the two contexts unless it is given. */
static void read_long_rope(tfm__reader *r, tfm__json_value object, const tfm__config *config, tfm__rope *rope,
                           tfm__arena *arena) {
    uint32_t pairs = config->rotary_dim / 2;
    double number;
    if (tfm__read_f64(r, r->root, "original_max_position_embeddings", &number)) {
        if (number >= 1 && number <= TFM__MAX_CONTEXT)
            rope->original = (uint32_t)number;
        else
            tfm__fail_value(r, object, "original_max_position_embeddings", "out of range");
    }
    if (rope->original < config->context) rope->factor = (double)config->context / rope->original;
    rope->short_factors = read_factors(r, object, "short_factor", pairs, arena);
    rope->long_factors = read_factors(r, object, "long_factor", pairs, arena);
}

/* One object of rotary settings into one rope. */
static void read_rope(tfm__reader *r, tfm__json_value object, const tfm__config *config, tfm__rope *rope,
                      tfm__arena *arena) {
    double number;
    rope->factor = 1.0;
    rope->original = config->context;
    rope->beta_fast = 32.0;
    rope->beta_slow = 1.0;
    rope->low_freq_factor = 1.0;
    rope->high_freq_factor = 4.0;
    rope->truncate = true;
    if (object == TFM__JSON_NONE) return;
    rope->scaling = rope_scaling_of(r, object);
    tfm__read_f64(r, object, "rope_theta", &rope->base);
    tfm__read_f64(r, object, "factor", &rope->factor);
    tfm__read_f64(r, object, "beta_fast", &rope->beta_fast);
    tfm__read_f64(r, object, "beta_slow", &rope->beta_slow);
    tfm__read_f64(r, object, "low_freq_factor", &rope->low_freq_factor);
    tfm__read_f64(r, object, "high_freq_factor", &rope->high_freq_factor);
    tfm__read_f64(r, object, "attention_factor", &rope->attention_factor);
    tfm__read_f64(r, object, "mscale", &rope->mscale);
    tfm__read_f64(r, object, "mscale_all_dim", &rope->mscale_all_dim);
    tfm__json_value truncate = tfm__present(r, object, "truncate");
    if (truncate != TFM__JSON_NONE && !tfm__json_bool(r->json, truncate, &rope->truncate))
        tfm__fail_value(r, truncate, "truncate", "neither true nor false");
    if (tfm__read_f64(r, object, "original_max_position_embeddings", &number)) {
        if (number >= 1 && number <= TFM__MAX_CONTEXT)
            rope->original = (uint32_t)number;
        else
            tfm__fail_value(r, object, "original_max_position_embeddings", "out of range");
    }
    if (rope->scaling == TFM__ROPE_LLAMA3 &&
        !(rope->high_freq_factor > rope->low_freq_factor && rope->low_freq_factor > 0))
        tfm__fail_value(r, object, "high_freq_factor", "must be larger than low_freq_factor");
    if (rope->scaling == TFM__ROPE_LONG) read_long_rope(r, object, config, rope, arena);
}

void tfm__read_ropes(tfm__reader *r, tfm__config *config, tfm__arena *arena) {
    tfm__rope *global = &config->rope[TFM__ROPE_GLOBAL], *local = &config->rope[TFM__ROPE_LOCAL];
    tfm__json_value parameters = tfm__present(r, r->root, "rope_parameters");
    tfm__json_value full = tfm__present(r, parameters, "full_attention"),
                    sliding = tfm__present(r, parameters, "sliding_attention");
    global->base = 10000.0;
    local->base = 10000.0;
    tfm__read_f64(r, r->root, "rope_theta|rotary_emb_base|global_rope_theta", &global->base);
    if (config->family->local_rope)
        tfm__read_f64(r, r->root, "rope_local_base_freq|local_rope_theta", &local->base);
    if (parameters == TFM__JSON_NONE) {
        read_rope(r, tfm__present(r, r->root, "rope_scaling"), config, global, arena);
        read_rope(r, TFM__JSON_NONE, config, local, arena);
    } else if (full != TFM__JSON_NONE || sliding != TFM__JSON_NONE) {
        read_rope(r, full, config, global, arena);
        read_rope(r, sliding, config, local, arena);
        if (!config->family->local_rope) tfm__refuse_value(r, parameters, "rope_parameters", "");
    } else {
        read_rope(r, parameters, config, global, arena);
        read_rope(r, TFM__JSON_NONE, config, local, arena);
    }
}

/* Stretched positions make attention sharper: the scale grows with the square of YaRN's factor for all
 * dimensions. */
void tfm__scale_by_stretch(tfm__config *config) {
    const tfm__rope *rope = &config->rope[TFM__ROPE_GLOBAL];
    if (rope->scaling == TFM__ROPE_DEFAULT || rope->mscale_all_dim == 0.0 || !config->head_dim) return;
    double factor = rope->factor > 1.0 ? 0.1 * rope->mscale_all_dim * tfm__log_real(rope->factor) + 1.0 : 1.0;
    config->attn_scale = (float)(factor * factor / sqrt((double)config->head_dim));
}

/* The kinds of layers that the file lists must be known, whether there is a window or not. */
static void check_kinds(tfm__reader *r, tfm__json_value types, bool local) {
    for (tfm__json_value type = tfm__json_first(r->json, types); type != TFM__JSON_NONE;
         type = tfm__json_next(r->json, types, type))
        if (!tfm__json_equals(r->json, type, local ? "local" : "sliding_attention") &&
            !tfm__json_equals(r->json, type, local ? "global" : "full_attention"))
            tfm__refuse_value(r, type, local ? "attention_layers" : "layer_types",
                              local ? "\"local\"|\"global\"" : "\"sliding_attention\"|\"full_attention\"");
}

/* layer_types if the file has it, otherwise the family's rule. */
void tfm__read_windows(tfm__reader *r, tfm__config *config, tfm__container *container) {
    const tfm__family *family = config->family;
    static const char patterns[] =
        "sliding_window_pattern|_sliding_window_pattern|global_attn_every_n_layers";
    bool local = family->window == TFM__WINDOW_LOCAL;
    bool regular = family->window == TFM__WINDOW_PATTERN || family->window == TFM__WINDOW_AFTER;
    tfm__json_value types;
    uint32_t period = (uint32_t)family->window_pattern, from = 0;
    bool use = true;
    if (r->status || family->window == TFM__WINDOW_NEVER) return;
    types = tfm__present(r, r->root, local ? "attention_layers" : "layer_types");
    check_kinds(r, types, local);
    if (regular) tfm__present(r, r->root, patterns); /* asked for, whether it is needed or not */
    if (!tfm__read_u32(r, local ? "window_size" : "sliding_window|local_attention", false, &config->window))
        return;
    if (config->encoder && config->window) config->window = config->window / 2 + 1; /* half to each side */
    if (family->window == TFM__WINDOW_FROM_LAYER) {
        use = false;
        tfm__read_bool(r, "use_sliding_window", &use);
        tfm__read_u32(r, "max_window_layers", false, &from);
    }
    if (types == TFM__JSON_NONE && regular) tfm__read_u32(r, patterns, false, &period);
    if (!use || config->window == 0) {
        config->window = 0;
        return;
    }
    r->status = tfm__make_windowed(container, config, r->error);
    if (r->status) return;
    if (types != TFM__JSON_NONE && tfm__json_size(r->json, types) != config->layers)
        tfm__fail_value(r, types, "layer_types", "not one entry per layer");
    if (local && types == TFM__JSON_NONE)
        tfm__fail_value(r, r->root, "attention_layers", "which layers are local is not said");
    if (regular && period == 0) tfm__fail_value(r, r->root, "sliding_window_pattern", "is 0");
    if (r->status) return;
    tfm__json_value type = tfm__json_first(r->json, types);
    for (uint32_t i = 0; i < config->layers && !r->status; i++) {
        if (types != TFM__JSON_NONE) {
            config->windowed[i] = tfm__json_equals(r->json, type, local ? "local" : "sliding_attention");
            type = tfm__json_next(r->json, types, type);
        } else {
            config->windowed[i] = tfm__is_windowed(family, i, period, from);
        }
    }
}

/* SmolLM3: 1 in no_rope_layers means that the layer does rotate; without the list each interval-th does not.
 */
void tfm__read_rotated(tfm__reader *r, tfm__config *config, tfm__container *container) {
    tfm__json_value list;
    uint32_t interval = 4;
    int64_t flag;
    if (r->status || config->family->rotate != TFM__ROTATE_LISTED || config->layers > TFM__MAX_LAYERS) return;
    list = tfm__present(r, r->root, "no_rope_layers");
    tfm__read_u32(r, "no_rope_layer_interval", false, &interval);
    if (list != TFM__JSON_NONE && tfm__json_size(r->json, list) != config->layers)
        tfm__fail_value(r, list, "no_rope_layers", "not one entry per layer");
    if (interval == 0) tfm__fail_value(r, r->root, "no_rope_layer_interval", "is 0");
    config->rotated = tfm__arena_alloc(&container->arena, config->layers + 1);
    if (!config->rotated && !r->status)
        r->status = tfm__fail_memory(r->error, container->heap, config->layers);
    if (r->status) return;
    tfm__json_value item = tfm__json_first(r->json, list);
    for (uint32_t i = 0; i < config->layers && !r->status; i++) {
        config->rotated[i] = (i + 1) % interval != 0;
        if (list == TFM__JSON_NONE) continue;
        if (!tfm__json_i64(r->json, item, &flag) || flag < 0 || flag > 1)
            tfm__fail_value(r, item, "no_rope_layers", "neither 0 nor 1");
        config->rotated[i] = flag == 1;
        item = tfm__json_next(r->json, list, item);
    }
}
