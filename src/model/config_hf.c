/* config_hf.c - the description in a Hugging Face config.json.
 *
 * Numbers that have had several names over the years are tried under each ("hidden_size", "n_embd"). Rotary
 * settings and windows are read in config_rope.c, refusals are config_refuse.c's. Source: the configuration
 * classes' documentation of Hugging Face transformers. */
#include <math.h>
#include <stdio.h>

#include "kernels/kernels.h"
#include "model/config_values.h"

static void read_activation(tfm__reader *r, tfm__config *config) {
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
        value = tfm__present(r, r->root, keys[i]);
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
    tfm__refuse_value(r, value, "hidden_act", "");
}

/* Key/value heads: a number, or Falcon's multi_query, which older files have in its place. */
static void read_kv_heads(tfm__reader *r, tfm__config *config) {
    bool multi_query = false, grouped = false;
    if (tfm__read_bool(r, "multi_query", &multi_query)) {
        tfm__read_bool(r, "new_decoder_architecture", &grouped);
        if (!grouped) {
            config->kv_heads = multi_query ? 1 : config->heads;
            config->fused = multi_query ? TFM__FUSED_ROWS : TFM__FUSED_GROUPS;
            return;
        }
        config->fused = TFM__FUSED_GROUPS;
    }
    tfm__read_u32(r, "num_key_value_heads|num_kv_heads", false, &config->kv_heads);
}

/* The shape of the block, where config.json decides. */
static void read_block(tfm__reader *r, tfm__config *config) {
    bool flag = false;
    if (tfm__read_bool(r, "use_parallel_residual|parallel_attn", &flag))
        config->order = flag ? TFM__ORDER_PARALLEL : TFM__ORDER_PRE;
    if (config->family->qk_switch) {
        flag = false;
        tfm__read_bool(r, config->family->qk_switch, &flag);
        if (!flag) config->qk_norm = TFM__QK_NORM_NONE;
    }
    flag = false;
    if (tfm__read_bool(r, "alibi", &flag) && flag) { /* Falcon scales the bias with the scores */
        config->positions = TFM__POSITIONS_ALIBI;
        config->alibi_scaled = true;
    }
}

/* What only encoders have: token types, positions that begin behind the padding token's, relative positions,
 * and the head of the task that `architectures` names. */
static void read_encoder(tfm__reader *r, tfm__config *config) {
    const tfm__family *family = config->family;
    tfm__json_value architecture = tfm__json_first(r->json, tfm__present(r, r->root, "architectures"));
    const char *name, *pooling;
    size_t length = 0, size = 0;
    uint32_t pad = family->pad;
    config->encoder = family->encoder;
    if (family->may_encode) tfm__read_bool(r, "use_bidirectional_attention", &config->encoder);
    if (config->encoder) tfm__present(r, r->root, "is_causal"); /* it is not, and need not be said */
    if (family->hf_names->role[TFM__ROLE_TOKEN_TYPE]) {
        config->types = 2;
        tfm__read_u32(r, "type_vocab_size", false, &config->types);
    }
    config->position_offset = family->position_offset;
    if (family->positions_after_pad &&
        family->positions == TFM__POSITIONS_SINES) { /* rows are made for all */
        tfm__read_u32(r, "pad_token_id", false, &pad);
        if (pad >= TFM__MAX_VOCAB) tfm__fail_value(r, r->root, "pad_token_id", "no token");
        config->skipped = pad;
        config->position_offset = pad + 1;
    } else if (family->positions_after_pad) {
        tfm__read_u32(r, "pad_token_id", false, &pad);
        if (pad >= config->context) {
            tfm__fail_value(r, r->root, "max_position_embeddings", "leaves no position behind pad_token_id");
            return;
        }
        config->skipped = pad;
        config->position_offset = pad + 1;
        config->context -= pad + 1;
    }
    config->relative_buckets = family->relative_buckets;
    config->relative_distance = family->relative_distance;
    if (family->relative_buckets)
        tfm__read_u32(r, "relative_attention_num_buckets", false, &config->relative_buckets);
    if (!tfm__json_raw(r->json, architecture, &name, &length)) return;
    for (const tfm__head_row *row = family->heads; row && row->out; row++) {
        size_t n = strlen(row->architecture);
        if (length >= n && !memcmp(name + length - n, row->architecture, n)) config->head = row;
    }
    if (tfm__json_raw(r->json, tfm__present(r, r->root, "classifier_pooling"), &pooling, &size) &&
        size == 4 && !memcmp(pooling, "mean", 4))
        config->head_mean = true;
}

static void read_token(tfm__reader *r, const char *key, int64_t *out) {
    uint32_t token = 0;
    if (!tfm__read_u32(r, key, false, &token)) return;
    *out = token;
    if (token >= TFM__MAX_VOCAB) tfm__fail_value(r, tfm__present(r, r->root, key), key, "no token");
}

/* What encoder-decoders have: T5's name of its feed-forward ("gated-gelu"), the scale of the embedding, the
 * tokens that a decoder begins with and ends with. */
static void read_tower(tfm__reader *r, tfm__config *config) {
    static const struct {
        const char *name;
        int activation;
        bool gated;
    } known[] = {
        {"relu", TFM__RELU, false},           {"gated-relu", TFM__RELU, true}, {"gelu", TFM__GELU_ERF, false},
        {"gated-gelu", TFM__GELU_TANH, true}, /* the published code takes the tanh form here */
        {"silu", TFM__SILU, false},           {"gated-silu", TFM__SILU, true}};
    tfm__json_value kind = tfm__present(r, r->root, "feed_forward_proj");
    bool scaled = false, found = kind == TFM__JSON_NONE;
    for (size_t i = 0; i < TFM__COUNT(known) && !found; i++) {
        if (!tfm__json_equals(r->json, kind, known[i].name)) continue;
        config->activation = known[i].activation;
        config->gated = known[i].gated;
        config->gated_said = found = true;
    }
    if (!found) tfm__refuse_value(r, kind, "feed_forward_proj", "");
    if (tfm__read_bool(r, "scale_embedding", &scaled) && scaled)
        config->embed_scale = sqrtf((float)config->width);
    if (config->family->relative_buckets)
        tfm__read_u32(r, "relative_attention_max_distance", false, &config->relative_distance);
    if (config->family->tower != TFM__TOWER_DECODER) return;
    if (config->family->relative_buckets) { /* T5 scales what its embedding turns into logits */
        bool scale = config->tied;
        tfm__read_bool(r, "scale_decoder_outputs", &scale);
        if (scale) config->logit_scale = 1.0f / sqrtf((float)config->width);
    }
    read_token(r, "decoder_start_token_id", &config->start_token);
    read_token(r, "forced_bos_token_id", &config->forced_first);
}

/* DeepSeek's sizes: a head of queries and keys has a part that is rotated and one that is not. */
static void read_low_rank(tfm__reader *r, tfm__config *config) {
    uint32_t plain = 0;
    bool neighbours = true;
    tfm__read_u32(r, "kv_lora_rank", true, &config->latent_kv);
    tfm__read_u32(r, "q_lora_rank", false, &config->latent_q);
    tfm__read_u32(r, "qk_nope_head_dim", true, &plain);
    tfm__read_u32(r, "qk_rope_head_dim", true, &config->rotary_dim);
    tfm__read_u32(r, "v_head_dim", true, &config->value_dim);
    tfm__read_bool(r, "rope_interleave", &neighbours);
    config->interleaved = neighbours;
    config->kv_heads = config->heads;
    if (plain > TFM__MAX_HEAD_DIM || config->rotary_dim > TFM__MAX_HEAD_DIM)
        tfm__fail_value(r, r->root, "qk_nope_head_dim", "a part of a head is too large");
    else
        config->head_dim = plain + config->rotary_dim;
    if (config->latent_kv < 1 || config->latent_kv > TFM__MAX_WIDTH || config->latent_q > TFM__MAX_WIDTH)
        tfm__fail_value(r, r->root, "kv_lora_rank", "a latent's size is out of range");
    tfm__json_value method = tfm__present(r, r->root, "topk_method");
    if (tfm__json_equals(r->json, method, "greedy")) config->experts.groups = config->experts.top_groups = 1;
}

/* Factors along the way: Granite's multipliers, Cohere's logit_scale, clipping, MPT's attn_config. */
static void read_scales(tfm__reader *r, tfm__config *config) {
    tfm__json_value attention = tfm__present(r, r->root, "attn_config");
    double value;
    if (tfm__read_f64(r, r->root, "embedding_multiplier", &value)) config->embed_scale = (float)value;
    if (tfm__read_f64(r, r->root, "attention_multiplier", &value)) config->attn_scale = (float)value;
    if (tfm__read_f64(r, r->root, "residual_multiplier", &value)) config->residual_scale = (float)value;
    if (tfm__read_f64(r, r->root, "logits_scaling", &value)) config->logit_scale = (float)(1.0 / value);
    if (tfm__read_f64(r, r->root, "logit_scale", &value)) config->logit_scale = (float)value;
    if (tfm__read_f64(r, r->root, "clip_qkv", &value)) config->clip_qkv = (float)value;
    if (attention == TFM__JSON_NONE) return;
    if (tfm__read_f64(r, attention, "alibi_bias_max", &value)) config->alibi_bias_max = (float)value;
    if (tfm__read_f64(r, attention, "clip_qkv", &value)) config->clip_qkv = (float)value;
    if (tfm__read_f64(r, attention, "softmax_scale", &value)) config->attn_scale = (float)value;
}

/* Which layers mix experts: not the first_k_dense_replace first, not those in mlp_only_layers, else every
 * decoder_sparse_step-th. */
static void read_sparse(tfm__reader *r, tfm__config *config, tfm__container *container) {
    tfm__json_value dense = tfm__present(r, r->root, "mlp_only_layers");
    uint32_t first = 0, step = 1;
    int64_t layer;
    tfm__read_u32(r, "first_k_dense_replace", false, &first);
    tfm__read_u32(r, "decoder_sparse_step", false, &step);
    if (step == 0) tfm__fail_value(r, r->root, "decoder_sparse_step", "is 0");
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
            tfm__fail_value(r, v, "mlp_only_layers", "no layer of this model");
        else
            config->sparse[layer] = 0;
    }
}

static void read_experts(tfm__reader *r, tfm__config *config, tfm__container *container) {
    tfm__experts *x = &config->experts;
    uint32_t shared_count = 0;
    if (!tfm__read_u32(r, "num_local_experts|num_experts|n_routed_experts", false, &x->count) ||
        x->count == 0)
        return;
    tfm__read_u32(r, "num_experts_per_tok|experts_per_token", true, &x->used);
    x->paired = config->family->experts_plain;
    x->limit = config->family->expert_limit;
    x->slope = 1.702f;
    tfm__read_f32(r, "swiglu_limit", &x->limit);
    tfm__read_f32(r, "swiglu_alpha", &x->slope);
    x->width = config->feed_forward;
    tfm__read_u32(r, "moe_intermediate_size", false, &x->width);
    tfm__read_u32(r, "shared_expert_intermediate_size", false, &x->shared);
    if (tfm__read_u32(r, "n_shared_experts", false, &shared_count) && x->width <= TFM__MAX_WIDTH)
        x->shared = TFM__MIN(shared_count, 64u) * x->width;
    tfm__read_u32(r, "n_group", false, &x->groups);
    tfm__read_u32(r, "topk_group", false, &x->top_groups);
    tfm__read_f32(r, "routed_scaling_factor", &x->scale);
    x->route = config->family->route;
    x->group_by_two = config->family->group_by_two;
    x->normalised = config->family->route_normalised;
    tfm__read_bool(r, "norm_topk_prob", &x->normalised);
    read_sparse(r, config, container);
}

int32_t tfm__config_from_hf(tfm__container *container, tfm__config *config, tfm_error *error) {
    tfm__reader r = {.json = &container->config, .file = container->config.file, .error = error};
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
    tfm__read_u32(&r,
                  tower == TFM__TOWER_ENCODER   ? "encoder_layers|num_layers"
                  : tower == TFM__TOWER_DECODER ? "decoder_layers|num_decoder_layers|num_layers"
                                                : "num_hidden_layers|n_layer|num_layers|n_layers",
                  true, &config->layers);
    tfm__read_u32(&r, "hidden_size|n_embd|n_embed|d_model|dim", true, &config->width);
    tfm__read_u32(&r,
                  tower == TFM__TOWER_ENCODER   ? "encoder_attention_heads|num_heads"
                  : tower == TFM__TOWER_DECODER ? "decoder_attention_heads|num_heads"
                                                : "num_attention_heads|n_head|num_heads|n_heads",
                  true, &config->heads);
    config->kv_heads = config->heads;
    read_kv_heads(&r, config);
    config->feed_forward = config->width <= TFM__MAX_WIDTH ? 4 * config->width : 0;
    tfm__read_u32(&r,
                  tower == TFM__TOWER_ENCODER ? "encoder_ffn_dim|d_ff"
                  : tower == TFM__TOWER_DECODER
                      ? "decoder_ffn_dim|d_ff"
                      : "intermediate_size|n_inner|ffn_dim|ffn_hidden_size|hidden_dim",
                  config->family->gated, &config->feed_forward);
    tfm__read_u32(&r, "vocab_size", true, &config->vocab);
    config->context = 2048;
    tfm__read_u32(&r, "max_position_embeddings|n_positions|max_seq_len|seq_length", false, &config->context);
    config->head_dim = config->heads ? config->width / config->heads : 0;
    if (!tfm__read_u32(&r, "head_dim|d_kv", false, &config->head_dim) && config->heads &&
        config->width % config->heads && !r.status)
        r.status = tfm__fail_at(error, TFM_E_FORMAT, r.file, NULL, TFM__NO_OFFSET,
                                "%u heads do not divide a width of %u, and there is no head_dim",
                                config->heads, config->width);
    config->value_dim = config->head_dim;
    tfm__read_rotary_dim(&r, config);
    config->epsilon = 1e-5f;
    if (config->family->norm == TFM__NORM_RMS) config->epsilon = 1e-6f; /* the classes' default */
    if (config->family->epsilon != 0.0f) config->epsilon = config->family->epsilon;
    tfm__read_f32(&r, "rms_norm_eps|layer_norm_epsilon|layer_norm_eps|norm_epsilon|norm_eps",
                  &config->epsilon);
    tfm__read_f32(&r, "attn_logit_softcapping", &config->attn_soft_cap);
    tfm__read_f32(&r, "final_logit_softcapping", &config->final_soft_cap);
    config->norm_offset = config->family->norm_plus_one ? 1.0f : 0.0f;
    tfm__json_value pad = tfm__present(&r, r.root, "pad_token_id"); /* some files have -1 for none */
    if (!config->family->pad_learns && pad != TFM__JSON_NONE && !tfm__json_i64(r.json, pad, &config->pad))
        config->pad = -1;
    config->tied = config->family->tied;
    tfm__read_bool(&r, "tie_word_embeddings", &config->tied);
    tfm__read_bool(&r, "scale_attn_by_inverse_layer_idx", &config->scale_by_layer);
    config->interleaved = config->family->hf_interleaved;
    read_block(&r, config);
    read_encoder(&r, config);
    read_scales(&r, config);
    read_experts(&r, config, container);
    double scalar;
    if (config->family->query_scalar && tfm__read_f64(&r, r.root, "query_pre_attn_scalar", &scalar)) {
        if (!(scalar > 0)) tfm__fail_value(&r, r.root, "query_pre_attn_scalar", "must be positive");
        config->attn_scale = (float)(1.0 / sqrt(scalar));
    }
    bool scaled = true;
    if (tfm__read_bool(&r, "scale_attn_weights", &scaled) && !scaled) config->attn_scale = 1.0f;
    read_activation(&r, config);
    if (tower != TFM__TOWER_ALONE) read_tower(&r, config);
    if (config->family->low_rank) read_low_rank(&r, config);
    tfm__read_ropes(&r, config, &container->arena);
    if (config->family->low_rank) tfm__scale_by_stretch(config);
    tfm__read_windows(&r, config, container);
    tfm__read_rotated(&r, config, container);
    tfm__refuse_unknown(&r, config->family);
    return r.status;
}
