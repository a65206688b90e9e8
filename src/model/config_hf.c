/* config_hf.c - the description in a Hugging Face config.json.
 *
 * Numbers that have had several names over the years are tried under each ("hidden_size", "n_embd"). Rotary
 * settings are read both ways: `rope_parameters` (since 2025, possibly one object per layer type), and
 * `rope_theta` with `rope_scaling` at the top level. Source: the configuration classes' documentation of
 * Hugging Face transformers. */
#include <math.h>
#include <stdio.h>

#include "base/real.h"
#include "kernels/kernels.h"
#include "model/config.h"
#include "model/windows.h"

typedef struct reader {
    const tfm__json *json;
    tfm__json_value root; /* the object that describes the text model */
    const char *file;
    tfm_error *error;
    int32_t status;
} reader;

/* The member of that name; of several names with | between them the first that is there. null counts as
 * absent. */
static tfm__json_value present(const reader *r, tfm__json_value object, const char *names) {
    char key[64];
    for (const char *name = names; *name;) {
        size_t length = strcspn(name, "|");
        tfm__json_value value;
        memcpy(key, name, TFM__MIN(length, sizeof key - 1));
        key[TFM__MIN(length, sizeof key - 1)] = 0;
        value = tfm__json_get(r->json, object, key);
        if (value != TFM__JSON_NONE && tfm__json_kind(r->json, value) != TFM__JSON_NULL) return value;
        name += length + (name[length] == '|');
    }
    return TFM__JSON_NONE;
}

static void fail_value(reader *r, tfm__json_value value, const char *key, const char *what) {
    if (!r->status)
        r->status =
            tfm__fail_at(r->error, TFM_E_FORMAT, r->file, key, tfm__json_offset(r->json, value), "%s", what);
}

static bool read_u32(reader *r, const char *names, bool required, uint32_t *out) {
    tfm__json_value value = present(r, r->root, names);
    int64_t number;
    if (value == TFM__JSON_NONE) {
        if (required && !r->status)
            r->status = tfm__fail_at(r->error, TFM_E_MISSING, r->file, names, TFM__NO_OFFSET,
                                     "the description lacks this key");
        return false;
    }
    if (!tfm__json_i64(r->json, value, &number) || number < 0 || number > UINT32_MAX) {
        fail_value(r, value, names, "not a number in range");
        return false;
    }
    *out = (uint32_t)number;
    return true;
}

static bool read_f64_of(reader *r, tfm__json_value object, const char *key, double *out) {
    tfm__json_value value = present(r, object, key);
    if (value == TFM__JSON_NONE) return false;
    if (tfm__json_f64(r->json, value, out)) return true;
    fail_value(r, value, key, "not a number");
    return false;
}

static bool read_f32(reader *r, const char *key, float *out) {
    double value;
    if (!read_f64_of(r, r->root, key, &value)) return false;
    *out = (float)value;
    return true;
}

static bool read_bool(reader *r, const char *key, bool *out) {
    tfm__json_value value = present(r, r->root, key);
    if (value == TFM__JSON_NONE) return false;
    if (tfm__json_bool(r->json, value, out)) return true;
    fail_value(r, value, key, "neither true nor false");
    return false;
}

static void read_activation(reader *r, tfm__config *config) {
    static const struct {
        const char *name;
        int activation;
    } known[] = {{"silu", TFM__SILU},           {"swish", TFM__SILU},
                 {"gelu_new", TFM__GELU_TANH},  {"gelu_pytorch_tanh", TFM__GELU_TANH},
                 {"gelu_fast", TFM__GELU_TANH}, {"gelu", TFM__GELU_ERF},
                 {"relu", TFM__RELU},           {"relu2", TFM__RELU}};
    static const char *const keys[] = {"hidden_activation", "hidden_act", "activation_function",
                                       "activation"};
    tfm__json_value value = TFM__JSON_NONE;
    config->activation = config->family->activation;
    for (size_t i = 0; i < TFM__COUNT(keys) && value == TFM__JSON_NONE; i++)
        value = present(r, r->root, keys[i]);
    /* Gemma 1 was published with "gelu" in hidden_act while its code used the tanh form: hidden_activation
     * decides, and without it the family's own */
    if (value == TFM__JSON_NONE ||
        (config->family->scale_embedding && tfm__json_equals(r->json, value, "gelu")))
        return;
    for (size_t i = 0; i < TFM__COUNT(known); i++)
        if (tfm__json_equals(r->json, value, known[i].name) &&
            config->family->squared == !strcmp(known[i].name, "relu2")) {
            config->activation = known[i].activation;
            return;
        }
    if (!r->status)
        r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, "hidden_act",
                                 tfm__json_offset(r->json, value), "this activation is not supported");
}

static int rope_scaling_of(reader *r, tfm__json_value object) {
    static const struct {
        const char *name;
        int scaling;
    } known[] = {{"default", TFM__ROPE_DEFAULT}, {"linear", TFM__ROPE_LINEAR}, {"dynamic", TFM__ROPE_DYNAMIC},
                 {"yarn", TFM__ROPE_YARN},       {"llama3", TFM__ROPE_LLAMA3}, {"longrope", TFM__ROPE_LONG},
                 {"su", TFM__ROPE_LONG}};
    tfm__json_value type = present(r, object, "rope_type");
    if (type == TFM__JSON_NONE) type = present(r, object, "type");
    if (type == TFM__JSON_NONE) return TFM__ROPE_DEFAULT;
    for (size_t i = 0; i < TFM__COUNT(known); i++)
        if (tfm__json_equals(r->json, type, known[i].name)) return known[i].scaling;
    if (!r->status)
        r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, "rope_type",
                                 tfm__json_offset(r->json, type), "this rotary scaling is not supported");
    return TFM__ROPE_DEFAULT;
}

/* One divisor per pair. */
static const float *read_factors(reader *r, tfm__json_value object, const char *key, uint32_t pairs,
                                 tfm__arena *arena) {
    tfm__json_value list = present(r, object, key);
    double number;
    if (r->status) return NULL;
    if (pairs > TFM__MAX_HEAD_DIM || tfm__json_kind(r->json, list) != TFM__JSON_ARRAY ||
        tfm__json_size(r->json, list) != pairs) {
        fail_value(r, list == TFM__JSON_NONE ? object : list, key,
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
            fail_value(r, item, key, "a divisor must be a positive number");
            return NULL;
        }
        factors[i] = (float)number;
    }
    return factors;
}

/* LongRoPE: two tables, and a stretch that follows from the two contexts unless it is given. */
static void read_long_rope(reader *r, tfm__json_value object, const tfm__config *config, tfm__rope *rope,
                           tfm__arena *arena) {
    uint32_t pairs = config->rotary_dim / 2;
    double number;
    if (read_f64_of(r, r->root, "original_max_position_embeddings", &number)) {
        if (number >= 1 && number <= TFM__MAX_CONTEXT)
            rope->original = (uint32_t)number;
        else
            fail_value(r, object, "original_max_position_embeddings", "out of range");
    }
    if (rope->original < config->context) rope->factor = (double)config->context / rope->original;
    rope->short_factors = read_factors(r, object, "short_factor", pairs, arena);
    rope->long_factors = read_factors(r, object, "long_factor", pairs, arena);
}

/* One object of rotary settings into one rope. */
static void read_rope(reader *r, tfm__json_value object, const tfm__config *config, tfm__rope *rope,
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
    read_f64_of(r, object, "rope_theta", &rope->base);
    read_f64_of(r, object, "factor", &rope->factor);
    read_f64_of(r, object, "beta_fast", &rope->beta_fast);
    read_f64_of(r, object, "beta_slow", &rope->beta_slow);
    read_f64_of(r, object, "low_freq_factor", &rope->low_freq_factor);
    read_f64_of(r, object, "high_freq_factor", &rope->high_freq_factor);
    read_f64_of(r, object, "attention_factor", &rope->attention_factor);
    read_f64_of(r, object, "mscale", &rope->mscale);
    read_f64_of(r, object, "mscale_all_dim", &rope->mscale_all_dim);
    tfm__json_value truncate = present(r, object, "truncate");
    if (truncate != TFM__JSON_NONE && !tfm__json_bool(r->json, truncate, &rope->truncate))
        fail_value(r, truncate, "truncate", "neither true nor false");
    if (read_f64_of(r, object, "original_max_position_embeddings", &number)) {
        if (number >= 1 && number <= TFM__MAX_CONTEXT)
            rope->original = (uint32_t)number;
        else
            fail_value(r, object, "original_max_position_embeddings", "out of range");
    }
    if (rope->scaling == TFM__ROPE_LLAMA3 &&
        !(rope->high_freq_factor > rope->low_freq_factor && rope->low_freq_factor > 0))
        fail_value(r, object, "high_freq_factor", "must be larger than low_freq_factor");
    if (rope->scaling == TFM__ROPE_LONG) read_long_rope(r, object, config, rope, arena);
}

static void read_ropes(reader *r, tfm__config *config, tfm__arena *arena) {
    tfm__rope *global = &config->rope[TFM__ROPE_GLOBAL], *local = &config->rope[TFM__ROPE_LOCAL];
    tfm__json_value parameters = present(r, r->root, "rope_parameters");
    tfm__json_value full = present(r, parameters, "full_attention"),
                    sliding = present(r, parameters, "sliding_attention");
    global->base = 10000.0;
    local->base = 10000.0;
    read_f64_of(r, r->root, "rope_theta|rotary_emb_base|global_rope_theta", &global->base);
    read_f64_of(r, r->root, "rope_local_base_freq|local_rope_theta", &local->base);
    if (parameters == TFM__JSON_NONE) {
        read_rope(r, present(r, r->root, "rope_scaling"), config, global, arena);
        read_rope(r, TFM__JSON_NONE, config, local, arena);
    } else if (full != TFM__JSON_NONE || sliding != TFM__JSON_NONE) {
        read_rope(r, full, config, global, arena);
        read_rope(r, sliding, config, local, arena);
        if (!config->family->local_rope && !r->status)
            r->status =
                tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, "rope_parameters",
                             tfm__json_offset(r->json, parameters), "a rotary base per kind of layer");
    } else {
        read_rope(r, parameters, config, global, arena);
        read_rope(r, TFM__JSON_NONE, config, local, arena);
    }
}

/* layer_types if the file has it, otherwise the family's rule. */
static void read_windows(reader *r, tfm__config *config, tfm__container *container) {
    const tfm__family *family = config->family;
    bool local = family->window == TFM__WINDOW_LOCAL;
    tfm__json_value types = present(r, r->root, local ? "attention_layers" : "layer_types");
    uint32_t period = (uint32_t)family->window_pattern, from = 0;
    bool use = true;
    if (r->status || family->window == TFM__WINDOW_NEVER) return;
    if (!read_u32(r, local ? "window_size" : "sliding_window|local_attention", false, &config->window))
        return;
    if (config->encoder && config->window) config->window = config->window / 2 + 1; /* half to each side */
    if (family->window == TFM__WINDOW_FROM_LAYER) {
        use = false;
        read_bool(r, "use_sliding_window", &use);
        read_u32(r, "max_window_layers", false, &from);
    }
    if (types == TFM__JSON_NONE)
        read_u32(r, "sliding_window_pattern|_sliding_window_pattern|global_attn_every_n_layers", false,
                 &period);
    if (!use || config->window == 0) {
        config->window = 0;
        return;
    }
    r->status = tfm__make_windowed(container, config, r->error);
    if (r->status) return;
    if (types != TFM__JSON_NONE && tfm__json_size(r->json, types) != config->layers)
        fail_value(r, types, "layer_types", "not one entry per layer");
    if (local && types == TFM__JSON_NONE)
        fail_value(r, r->root, "attention_layers", "which layers are local is not said");
    if ((family->window == TFM__WINDOW_PATTERN || family->window == TFM__WINDOW_AFTER) && period == 0)
        fail_value(r, r->root, "sliding_window_pattern", "is 0");
    if (r->status) return;
    tfm__json_value type = tfm__json_first(r->json, types);
    for (uint32_t i = 0; i < config->layers && !r->status; i++) {
        if (types != TFM__JSON_NONE) {
            config->windowed[i] = tfm__json_equals(r->json, type, local ? "local" : "sliding_attention");
            if (!config->windowed[i] && !tfm__json_equals(r->json, type, local ? "global" : "full_attention"))
                fail_value(r, type, "layer_types", "a kind of layer that is not supported");
            type = tfm__json_next(r->json, types, type);
        } else {
            config->windowed[i] = tfm__is_windowed(family, i, period, from);
        }
    }
}

/* Whether a value is written so in the file: true, false, a whole number, or a text with its quotes. */
static bool has_literal(const reader *r, tfm__json_value value, const char *literal) {
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
static void refuse_unknown(reader *r, const tfm__family *family) {
    bool flag = false;
    for (const tfm__demand *demand = family->demands; demand && demand->key && !r->status; demand++) {
        tfm__json_value value = present(r, r->root, demand->key);
        if (value != TFM__JSON_NONE && !has_literal(r, value, demand->value))
            r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, demand->key,
                                     tfm__json_offset(r->json, value), "only %s is supported", demand->value);
    }
    if (read_bool(r, "use_bidirectional_attention", &flag) && flag && !family->may_encode && !r->status)
        r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, "use_bidirectional_attention",
                                 TFM__NO_OFFSET, "attention in both directions");
    tfm__json_value quantization = tfm__json_get(r->json, tfm__json_root(r->json), "quantization_config");
    bool blocks = family->experts_plain &&
                  tfm__json_equals(r->json, tfm__json_get(r->json, quantization, "quant_method"), "mxfp4");
    if (tfm__json_kind(r->json, quantization) == TFM__JSON_OBJECT && !blocks && !r->status)
        r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, "quantization_config",
                                 tfm__json_offset(r->json, quantization), "quantised Hugging Face weights");
}

/* Key/value heads: a number, or Falcon's multi_query, which older files have in its place. */
static void read_kv_heads(reader *r, tfm__config *config) {
    bool multi_query = false, grouped = false;
    if (read_bool(r, "multi_query", &multi_query)) {
        read_bool(r, "new_decoder_architecture", &grouped);
        if (!grouped) {
            config->kv_heads = multi_query ? 1 : config->heads;
            config->fused = multi_query ? TFM__FUSED_ROWS : TFM__FUSED_GROUPS;
            return;
        }
        config->fused = TFM__FUSED_GROUPS;
    }
    read_u32(r, "num_key_value_heads|num_kv_heads", false, &config->kv_heads);
}

/* How much of each head is rotated: a number of dimensions or a share of the head. */
static void read_rotary_dim(reader *r, tfm__config *config) {
    tfm__json_value parameters = present(r, r->root, "rope_parameters");
    double share = 1.0;
    config->rotary_dim = config->rotary_spread = config->head_dim;
    if (read_u32(r, "rotary_dim", false, &config->rotary_dim)) {
        config->rotary_spread = config->rotary_dim;
        return;
    }
    if (!read_f64_of(r, parameters, "partial_rotary_factor", &share))
        read_f64_of(r, r->root, "partial_rotary_factor|rotary_pct|rope_pct", &share);
    if (!(share > 0.0 && share <= 1.0))
        fail_value(r, r->root, "partial_rotary_factor", "must lie between 0 and 1");
    else
        config->rotary_spread = (uint32_t)(config->head_dim * share);
    config->rotary_dim = config->rotary_spread + config->rotary_spread % 2;
}

/* The shape of the block, where config.json decides. */
static void read_block(reader *r, tfm__config *config) {
    bool flag = false;
    if (read_bool(r, "use_parallel_residual|parallel_attn", &flag))
        config->order = flag ? TFM__ORDER_PARALLEL : TFM__ORDER_PRE;
    if (config->family->qk_switch) {
        flag = false;
        read_bool(r, config->family->qk_switch, &flag);
        if (!flag) config->qk_norm = TFM__QK_NORM_NONE;
    }
    flag = false;
    if (read_bool(r, "alibi", &flag) && flag) { /* Falcon scales the bias with the scores */
        config->positions = TFM__POSITIONS_ALIBI;
        config->alibi_scaled = true;
    }
}

/* What only encoders have: token types, positions that begin behind the padding token's, relative positions,
 * and the head of the task that `architectures` names. */
static void read_encoder(reader *r, tfm__config *config) {
    const tfm__family *family = config->family;
    tfm__json_value architecture = tfm__json_first(r->json, present(r, r->root, "architectures"));
    const char *name, *pooling;
    size_t length = 0, size = 0;
    uint32_t pad = family->pad;
    config->encoder = family->encoder;
    if (family->may_encode) read_bool(r, "use_bidirectional_attention", &config->encoder);
    if (family->hf_names->role[TFM__ROLE_TOKEN_TYPE]) {
        config->types = 2;
        read_u32(r, "type_vocab_size", false, &config->types);
    }
    config->position_offset = family->position_offset;
    if (family->positions_after_pad &&
        family->positions == TFM__POSITIONS_SINES) { /* rows are made for all */
        read_u32(r, "pad_token_id", false, &pad);
        if (pad >= TFM__MAX_VOCAB) fail_value(r, r->root, "pad_token_id", "no token");
        config->skipped = pad;
        config->position_offset = pad + 1;
    } else if (family->positions_after_pad) {
        read_u32(r, "pad_token_id", false, &pad);
        if (pad >= config->context) {
            fail_value(r, r->root, "max_position_embeddings", "leaves no position behind pad_token_id");
            return;
        }
        config->skipped = pad;
        config->position_offset = pad + 1;
        config->context -= pad + 1;
    }
    config->relative_buckets = family->relative_buckets;
    config->relative_distance = family->relative_distance;
    if (family->relative_buckets)
        read_u32(r, "relative_attention_num_buckets", false, &config->relative_buckets);
    if (!tfm__json_raw(r->json, architecture, &name, &length)) return;
    for (const tfm__head_row *row = family->heads; row && row->out; row++) {
        size_t n = strlen(row->architecture);
        if (length >= n && !memcmp(name + length - n, row->architecture, n)) config->head = row;
    }
    if (tfm__json_raw(r->json, present(r, r->root, "classifier_pooling"), &pooling, &size) && size == 4 &&
        !memcmp(pooling, "mean", 4))
        config->head_mean = true;
}

static void read_token(reader *r, const char *key, int64_t *out) {
    uint32_t token = 0;
    if (!read_u32(r, key, false, &token)) return;
    *out = token;
    if (token >= TFM__MAX_VOCAB) fail_value(r, present(r, r->root, key), key, "no token");
}

/* What encoder-decoders have: T5's name of its feed-forward ("gated-gelu"), the scale of the embedding, the
 * tokens that a decoder begins with and ends with. */
static void read_tower(reader *r, tfm__config *config) {
    static const struct {
        const char *name;
        int activation;
        bool gated;
    } known[] = {
        {"relu", TFM__RELU, false},           {"gated-relu", TFM__RELU, true}, {"gelu", TFM__GELU_ERF, false},
        {"gated-gelu", TFM__GELU_TANH, true}, /* the published code takes the tanh form here */
        {"silu", TFM__SILU, false},           {"gated-silu", TFM__SILU, true}};
    tfm__json_value kind = present(r, r->root, "feed_forward_proj");
    bool scaled = false, found = kind == TFM__JSON_NONE;
    for (size_t i = 0; i < TFM__COUNT(known) && !found; i++) {
        if (!tfm__json_equals(r->json, kind, known[i].name)) continue;
        config->activation = known[i].activation;
        config->gated = known[i].gated;
        config->gated_said = found = true;
    }
    if (!found && !r->status)
        r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, "feed_forward_proj",
                                 tfm__json_offset(r->json, kind), "this feed-forward is not supported");
    if (read_bool(r, "scale_embedding", &scaled) && scaled) config->embed_scale = sqrtf((float)config->width);
    if (config->family->relative_buckets)
        read_u32(r, "relative_attention_max_distance", false, &config->relative_distance);
    if (config->family->tower != TFM__TOWER_DECODER) return;
    if (config->family->relative_buckets) { /* T5 scales what its embedding turns into logits */
        bool scale = config->tied;
        read_bool(r, "scale_decoder_outputs", &scale);
        if (scale) config->logit_scale = 1.0f / sqrtf((float)config->width);
    }
    read_token(r, "decoder_start_token_id", &config->start_token);
    read_token(r, "forced_bos_token_id", &config->forced_first);
}

/* DeepSeek's sizes: a head of queries and keys has a part that is rotated and one that is not. */
static void read_low_rank(reader *r, tfm__config *config) {
    uint32_t plain = 0;
    bool neighbours = true;
    read_u32(r, "kv_lora_rank", true, &config->latent_kv);
    read_u32(r, "q_lora_rank", false, &config->latent_q);
    read_u32(r, "qk_nope_head_dim", true, &plain);
    read_u32(r, "qk_rope_head_dim", true, &config->rotary_dim);
    read_u32(r, "v_head_dim", true, &config->value_dim);
    read_bool(r, "rope_interleave", &neighbours);
    config->interleaved = neighbours;
    config->kv_heads = config->heads;
    if (plain > TFM__MAX_HEAD_DIM || config->rotary_dim > TFM__MAX_HEAD_DIM)
        fail_value(r, r->root, "qk_nope_head_dim", "a part of a head is too large");
    else
        config->head_dim = plain + config->rotary_dim;
    if (config->latent_kv < 1 || config->latent_kv > TFM__MAX_WIDTH || config->latent_q > TFM__MAX_WIDTH)
        fail_value(r, r->root, "kv_lora_rank", "a latent's size is out of range");
    tfm__json_value method = present(r, r->root, "topk_method");
    if (tfm__json_equals(r->json, method, "greedy")) config->experts.groups = config->experts.top_groups = 1;
}

/* Stretched positions make attention sharper: the scale grows with the square of YaRN's factor for all
 * dimensions. */
static void scale_by_stretch(tfm__config *config) {
    const tfm__rope *rope = &config->rope[TFM__ROPE_GLOBAL];
    if (rope->scaling == TFM__ROPE_DEFAULT || rope->mscale_all_dim == 0.0 || !config->head_dim) return;
    double factor = rope->factor > 1.0 ? 0.1 * rope->mscale_all_dim * tfm__log_real(rope->factor) + 1.0 : 1.0;
    config->attn_scale = (float)(factor * factor / sqrt((double)config->head_dim));
}

/* Factors along the way: Granite's multipliers, Cohere's logit_scale, clipping, MPT's attn_config. */
static void read_scales(reader *r, tfm__config *config) {
    tfm__json_value attention = present(r, r->root, "attn_config");
    double value;
    bool flag = false;
    if (read_f64_of(r, r->root, "embedding_multiplier", &value)) config->embed_scale = (float)value;
    if (read_f64_of(r, r->root, "attention_multiplier", &value)) config->attn_scale = (float)value;
    if (read_f64_of(r, r->root, "residual_multiplier", &value)) config->residual_scale = (float)value;
    if (read_f64_of(r, r->root, "logits_scaling", &value)) config->logit_scale = (float)(1.0 / value);
    if (read_f64_of(r, r->root, "logit_scale", &value)) config->logit_scale = (float)value;
    if (read_f64_of(r, r->root, "clip_qkv", &value)) config->clip_qkv = (float)value;
    if (attention == TFM__JSON_NONE) return;
    if (read_f64_of(r, attention, "alibi_bias_max", &value)) config->alibi_bias_max = (float)value;
    if (read_f64_of(r, attention, "clip_qkv", &value)) config->clip_qkv = (float)value;
    if (read_f64_of(r, attention, "softmax_scale", &value)) config->attn_scale = (float)value;
    tfm__json_value norm = present(r, attention, "qk_ln");
    if (tfm__json_bool(r->json, norm, &flag) && flag && !r->status)
        r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, "attn_config.qk_ln",
                                 tfm__json_offset(r->json, norm), "only false is supported");
}

/* Which layers mix experts: not the first_k_dense_replace first, not those in mlp_only_layers, else every
 * decoder_sparse_step-th. */
static void read_sparse(reader *r, tfm__config *config, tfm__container *container) {
    tfm__json_value dense = present(r, r->root, "mlp_only_layers");
    uint32_t first = 0, step = 1;
    int64_t layer;
    read_u32(r, "first_k_dense_replace", false, &first);
    read_u32(r, "decoder_sparse_step", false, &step);
    if (step == 0) fail_value(r, r->root, "decoder_sparse_step", "is 0");
    if (r->status || config->layers > TFM__MAX_LAYERS) return;
    config->sparse = tfm__arena_alloc(&container->arena, config->layers + 1);
    if (!config->sparse) {
        r->status = tfm__fail_memory(r->error, container->heap, config->layers);
        return;
    }
    for (uint32_t i = first; i < config->layers; i++) config->sparse[i] = (i + 1) % step == 0;
    for (tfm__json_value v = tfm__json_first(r->json, dense); v != TFM__JSON_NONE && !r->status;
         v = tfm__json_next(r->json, dense, v)) {
        if (!tfm__json_i64(r->json, v, &layer) || layer < 0 || layer >= config->layers)
            fail_value(r, v, "mlp_only_layers", "no layer of this model");
        else
            config->sparse[layer] = 0;
    }
}

static void read_experts(reader *r, tfm__config *config, tfm__container *container) {
    tfm__experts *x = &config->experts;
    uint32_t shared_count = 0;
    if (!read_u32(r, "num_local_experts|num_experts|n_routed_experts", false, &x->count) || x->count == 0)
        return;
    read_u32(r, "num_experts_per_tok|experts_per_token", true, &x->used);
    x->paired = config->family->experts_plain;
    x->limit = config->family->expert_limit;
    x->slope = 1.702f;
    read_f32(r, "swiglu_limit", &x->limit);
    read_f32(r, "swiglu_alpha", &x->slope);
    x->width = config->feed_forward;
    read_u32(r, "moe_intermediate_size", false, &x->width);
    read_u32(r, "shared_expert_intermediate_size", false, &x->shared);
    if (read_u32(r, "n_shared_experts", false, &shared_count) && x->width <= TFM__MAX_WIDTH)
        x->shared = TFM__MIN(shared_count, 64u) * x->width;
    read_u32(r, "n_group", false, &x->groups);
    read_u32(r, "topk_group", false, &x->top_groups);
    read_f32(r, "routed_scaling_factor", &x->scale);
    x->route = config->family->route;
    x->group_by_two = config->family->group_by_two;
    x->normalised = config->family->route_normalised;
    read_bool(r, "norm_topk_prob", &x->normalised);
    read_sparse(r, config, container);
}

/* SmolLM3: 1 in no_rope_layers means that the layer does rotate; without the list each interval-th does not.
 */
static void read_rotated(reader *r, tfm__config *config, tfm__container *container) {
    tfm__json_value list = present(r, r->root, "no_rope_layers");
    uint32_t interval = 4;
    int64_t flag;
    if (r->status || config->family->rotate != TFM__ROTATE_LISTED || config->layers > TFM__MAX_LAYERS) return;
    read_u32(r, "no_rope_layer_interval", false, &interval);
    if (list != TFM__JSON_NONE && tfm__json_size(r->json, list) != config->layers)
        fail_value(r, list, "no_rope_layers", "not one entry per layer");
    if (interval == 0) fail_value(r, r->root, "no_rope_layer_interval", "is 0");
    config->rotated = tfm__arena_alloc(&container->arena, config->layers + 1);
    if (!config->rotated && !r->status)
        r->status = tfm__fail_memory(r->error, container->heap, config->layers);
    if (r->status) return;
    tfm__json_value item = tfm__json_first(r->json, list);
    for (uint32_t i = 0; i < config->layers && !r->status; i++) {
        config->rotated[i] = (i + 1) % interval != 0;
        if (list == TFM__JSON_NONE) continue;
        if (!tfm__json_i64(r->json, item, &flag) || flag < 0 || flag > 1)
            fail_value(r, item, "no_rope_layers", "neither 0 nor 1");
        config->rotated[i] = flag == 1;
        item = tfm__json_next(r->json, list, item);
    }
}

int32_t tfm__config_from_hf(tfm__container *container, tfm__config *config, tfm_error *error) {
    reader r = {.json = &container->config, .file = container->config.file, .error = error};
    r.root = tfm__json_root(r.json);
    tfm__json_value text = tfm__json_get(r.json, r.root, "text_config");
    tfm__json_value type = tfm__json_get(r.json, r.root, "model_type");
    if (tfm__json_kind(r.json, text) == TFM__JSON_OBJECT) {
        r.root = text;
        if (tfm__json_get(r.json, text, "model_type") != TFM__JSON_NONE)
            type = tfm__json_get(r.json, text, "model_type");
    }
    if (!config->family) config->family = tfm__family_by_hf(r.json, type);
    if (!config->family) {
        char name[64] = "";
        size_t length = tfm__json_size(r.json, type);
        const char *raw;
        if (tfm__json_raw(r.json, type, &raw, &length))
            snprintf(name, sizeof name, "%.*s", (int)TFM__MIN(length, 63), raw);
        return tfm__fail_at(error, name[0] ? TFM_E_UNSUPPORTED : TFM_E_MISSING, r.file, "model_type",
                            tfm__json_offset(r.json, type),
                            name[0] ? "family '%s' is not supported" : "no family is named%s", name);
    }
    const int tower = config->family->tower;
    read_u32(&r,
             tower == TFM__TOWER_ENCODER   ? "encoder_layers|num_layers"
             : tower == TFM__TOWER_DECODER ? "decoder_layers|num_decoder_layers|num_layers"
                                           : "num_hidden_layers|n_layer|num_layers|n_layers",
             true, &config->layers);
    read_u32(&r, "hidden_size|n_embd|n_embed|d_model|dim", true, &config->width);
    read_u32(&r,
             tower == TFM__TOWER_ENCODER   ? "encoder_attention_heads|num_heads"
             : tower == TFM__TOWER_DECODER ? "decoder_attention_heads|num_heads"
                                           : "num_attention_heads|n_head|num_heads|n_heads",
             true, &config->heads);
    config->kv_heads = config->heads;
    read_kv_heads(&r, config);
    config->feed_forward = config->width <= TFM__MAX_WIDTH ? 4 * config->width : 0;
    read_u32(&r,
             tower == TFM__TOWER_ENCODER   ? "encoder_ffn_dim|d_ff"
             : tower == TFM__TOWER_DECODER ? "decoder_ffn_dim|d_ff"
                                           : "intermediate_size|n_inner|ffn_dim|ffn_hidden_size|hidden_dim",
             config->family->gated, &config->feed_forward);
    read_u32(&r, "vocab_size", true, &config->vocab);
    config->context = 2048;
    read_u32(&r, "max_position_embeddings|n_positions|max_seq_len|seq_length", false, &config->context);
    config->head_dim = config->heads ? config->width / config->heads : 0;
    if (!read_u32(&r, "head_dim|d_kv", false, &config->head_dim) && config->heads &&
        config->width % config->heads && !r.status)
        r.status = tfm__fail_at(error, TFM_E_FORMAT, r.file, NULL, TFM__NO_OFFSET,
                                "%u heads do not divide a width of %u, and there is no head_dim",
                                config->heads, config->width);
    config->value_dim = config->head_dim;
    read_rotary_dim(&r, config);
    config->epsilon = 1e-5f;
    if (config->family->norm == TFM__NORM_RMS) config->epsilon = 1e-6f; /* the classes' default */
    if (config->family->epsilon != 0.0f) config->epsilon = config->family->epsilon;
    read_f32(&r, "rms_norm_eps|layer_norm_epsilon|layer_norm_eps|norm_epsilon|norm_eps", &config->epsilon);
    read_f32(&r, "attn_logit_softcapping", &config->attn_soft_cap);
    read_f32(&r, "final_logit_softcapping", &config->final_soft_cap);
    config->norm_offset = config->family->norm_plus_one ? 1.0f : 0.0f;
    tfm__json_value pad = present(&r, r.root, "pad_token_id"); /* some files have -1 for none */
    if (!config->family->pad_learns && pad != TFM__JSON_NONE && !tfm__json_i64(r.json, pad, &config->pad))
        config->pad = -1;
    config->tied = config->family->tied;
    read_bool(&r, "tie_word_embeddings", &config->tied);
    read_bool(&r, "scale_attn_by_inverse_layer_idx", &config->scale_by_layer);
    config->interleaved = config->family->hf_interleaved;
    read_block(&r, config);
    read_encoder(&r, config);
    read_scales(&r, config);
    read_experts(&r, config, container);
    double scalar;
    if (config->family->query_scalar && read_f64_of(&r, r.root, "query_pre_attn_scalar", &scalar)) {
        if (!(scalar > 0)) fail_value(&r, r.root, "query_pre_attn_scalar", "must be positive");
        config->attn_scale = (float)(1.0 / sqrt(scalar));
    }
    bool scaled = true;
    if (read_bool(&r, "scale_attn_weights", &scaled) && !scaled) config->attn_scale = 1.0f;
    read_activation(&r, config);
    if (tower != TFM__TOWER_ALONE) read_tower(&r, config);
    if (config->family->low_rank) read_low_rank(&r, config);
    read_ropes(&r, config, &container->arena);
    if (config->family->low_rank) scale_by_stretch(config);
    read_windows(&r, config, container);
    read_rotated(&r, config, container);
    refuse_unknown(&r, config->family);
    return r.status;
}
