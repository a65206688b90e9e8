/* config_gguf.c - the description in GGUF's metadata: keys "<architecture>.<name>".
 *
 * Source: the GGUF specification (standardised key-value pairs). */
#include <math.h>
#include <stdio.h>

#include "kernels/kernels.h"
#include "model/config_gguf.h"
#include "model/windows.h"

typedef tfm__gguf_reader reader;

const tfm__meta *tfm__gguf_meta(tfm__gguf_reader *r, const char *name) {
    char key[160];
    snprintf(key, sizeof key, "%.*s.%s", (int)TFM__MIN(r->architecture.size, 64), r->architecture.data, name);
    tfm__gguf_key_asked(r, name);
    return tfm__container_meta(r->container, key);
}

void tfm__gguf_wrong_type(tfm__gguf_reader *r, const tfm__meta *meta) {
    r->status =
        tfm__fail_at(r->error, TFM_E_FORMAT, r->file, meta->key, meta->offset, "a value of the wrong type");
}

/* An unsigned number; absent: keeps *out, or fails if it is required. An array (heads per layer) must be
 * uniform. */
static bool read_u32(reader *r, const char *name, bool required, uint32_t *out) {
    if (r->status) return false;
    const tfm__meta *meta = tfm__gguf_meta(r, name);
    if (!meta) {
        if (required)
            r->status = tfm__fail_at(r->error, TFM_E_MISSING, r->file, name, TFM__NO_OFFSET,
                                     "the description lacks this key");
        return false;
    }
    uint64_t value = 0, other;
    if (meta->count < 1 || !tfm__meta_u64(meta, 0, &value) || value > UINT32_MAX) {
        tfm__gguf_wrong_type(r, meta);
        return false;
    }
    for (uint64_t i = 1; i < meta->count; i++)
        if (!tfm__meta_u64(meta, i, &other) || other != value) {
            r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, meta->key, meta->offset,
                                     "layers of different shapes are not supported");
            return false;
        }
    *out = (uint32_t)value;
    return true;
}

static bool read_f64(reader *r, const char *name, double *out) {
    if (r->status) return false;
    const tfm__meta *meta = tfm__gguf_meta(r, name);
    if (!meta) return false;
    if (meta->type == TFM__META_ARRAY || !tfm__meta_f64(meta, 0, out)) {
        tfm__gguf_wrong_type(r, meta);
        return false;
    }
    return true;
}

static bool read_f32(reader *r, const char *name, float *out) {
    double value;
    if (!read_f64(r, name, &value)) return false;
    *out = (float)value;
    return true;
}

static void read_rope(reader *r, tfm__config *config) {
    tfm__rope *rope = &config->rope[TFM__ROPE_GLOBAL];
    const tfm__meta *type = tfm__gguf_meta(r, "rope.scaling.type");
    tfm__text text;
    double legacy;
    rope->base = 10000.0;
    read_f64(r, "rope.freq_base", &rope->base);
    rope->original = config->context;
    read_u32(r, "rope.scaling.original_context_length", false, &rope->original);
    rope->beta_fast = 32.0;
    rope->beta_slow = 1.0;
    read_f64(r, "rope.scaling.yarn_beta_fast", &rope->beta_fast);
    read_f64(r, "rope.scaling.yarn_beta_slow", &rope->beta_slow);
    read_f64(r, "rope.scaling.attn_factor", &rope->attention_factor);
    read_f64(r, "rope.scaling.factor", &rope->factor);
    if (type && tfm__meta_text(type, 0, &text)) {
        if (text.size == 4 && !memcmp(text.data, "yarn", 4))
            rope->scaling = TFM__ROPE_YARN;
        else if (text.size == 6 && !memcmp(text.data, "linear", 6))
            rope->scaling = TFM__ROPE_LINEAR;
        else if (text.size == 8 && !memcmp(text.data, "longrope", 8))
            rope->scaling = TFM__ROPE_LONG;
        else if (text.size == 4 && !memcmp(text.data, "none", 4))
            rope->scaling = TFM__ROPE_DEFAULT;
        else if (!r->status)
            r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, type->key, type->offset,
                                     "rotary scaling '%.*s'", (int)TFM__MIN(text.size, 32), text.data);
    } else if (read_f64(r, "rope.scale_linear", &legacy)) { /* the key of 2023's files */
        rope->scaling = TFM__ROPE_LINEAR;
        rope->factor = legacy;
    } else if (rope->factor != 1.0) {
        rope->scaling = TFM__ROPE_LINEAR;
    }
    config->rope[TFM__ROPE_LOCAL] = (tfm__rope){.base = 10000.0, .factor = 1.0, .original = config->context};
    read_f64(r, "rope.freq_base_swa", &config->rope[TFM__ROPE_LOCAL].base);
}

/* Which layers are windowed: an array of flags in the file, a period, or the family's rule. */
static void read_windows(reader *r, tfm__config *config, tfm__container *container) {
    const tfm__family *family = config->family;
    const tfm__meta *pattern;
    uint64_t period = (uint64_t)family->window_pattern, flag;
    if (r->status || family->window == TFM__WINDOW_NEVER ||
        !read_u32(r, "attention.sliding_window", false, &config->window))
        return;
    if (family->encoder && config->window) config->window = config->window / 2 + 1; /* half to each side */
    r->status = tfm__make_windowed(container, config, r->error);
    if (r->status) return;
    pattern = tfm__gguf_meta(r, "attention.sliding_window_pattern");
    bool by_flags = pattern && pattern->type == TFM__META_ARRAY && pattern->count == config->layers;
    if (pattern && !by_flags && !(tfm__meta_u64(pattern, 0, &period) && period >= 1)) {
        tfm__gguf_wrong_type(r, pattern);
        return;
    }
    for (uint32_t i = 0; i < config->layers && !r->status; i++) {
        if (by_flags) {
            if (!tfm__meta_u64(pattern, i, &flag)) tfm__gguf_wrong_type(r, pattern);
            config->windowed[i] = flag != 0;
        } else {
            config->windowed[i] = tfm__is_windowed(family, i, period, 0);
        }
    }
}

/* The shape of the block and factors along the way, where the file decides. */
static void read_block(reader *r, tfm__config *config) {
    const tfm__family *family = config->family;
    const tfm__meta *parallel = tfm__gguf_meta(r, "use_parallel_residual");
    bool flag;
    if (parallel && tfm__meta_bool(parallel, &flag))
        config->order = flag ? TFM__ORDER_PARALLEL : TFM__ORDER_PRE;
    else if (parallel)
        tfm__gguf_wrong_type(r, parallel);
    if (family->qk_switch && !tfm__container_tensor(r->container, "blk.0.attn_q_norm.weight"))
        config->qk_norm = TFM__QK_NORM_NONE;
    read_f32(r, "embedding_scale", &config->embed_scale);
    read_f32(r, "residual_scale", &config->residual_scale);
    if (read_f32(r, "logit_scale", &config->logit_scale) && family->logits_divided)
        config->logit_scale = 1.0f / config->logit_scale;
    read_f32(r, "attention.clamp_kqv", &config->clip_qkv);
    if (family->positions == TFM__POSITIONS_ALIBI) {
        read_f32(r, "attention.max_alibi_bias", &config->alibi_bias_max);
        config->context =
            TFM__MAX(config->context, 2048u); /* nothing bounds it; converters write what they find */
    }
}

/* Mixture of experts. Layers before leading_dense_block_count have none. */
static void read_experts(reader *r, tfm__config *config, tfm__container *container) {
    tfm__experts *x = &config->experts;
    const tfm__meta *norm = tfm__gguf_meta(r, "expert_weights_norm");
    uint32_t dense = 0, gating = 0, shared_count = 0;
    if (!read_u32(r, "expert_count", false, &x->count) || x->count == 0) return;
    read_u32(r, "expert_used_count", true, &x->used);
    x->width = config->feed_forward;
    x->limit = config->family->expert_limit;
    x->slope = 1.702f;
    read_u32(r, "expert_feed_forward_length", false, &x->width);
    read_u32(r, "expert_shared_feed_forward_length", false, &x->shared);
    if (read_u32(r, "expert_shared_count", false, &shared_count) && x->shared == 0 &&
        x->width <= TFM__MAX_WIDTH)
        x->shared = TFM__MIN(shared_count, 64u) * x->width;
    read_u32(r, "expert_group_count", false, &x->groups);
    read_u32(r, "expert_group_used_count", false, &x->top_groups);
    read_f32(r, "expert_weights_scale", &x->scale);
    x->route = config->family->route;
    if (read_u32(r, "expert_gating_func", false, &gating) && gating)
        x->route = gating == 1 ? TFM__ROUTE_SOFTMAX : gating == 2 ? TFM__ROUTE_SIGMOID : TFM__ROUTE_CHOSEN;
    x->group_by_two = config->family->group_by_two;
    x->normalised = config->family->route_normalised;
    if (norm && !tfm__meta_bool(norm, &x->normalised)) tfm__gguf_wrong_type(r, norm);
    if (!read_u32(r, "leading_dense_block_count", false, &dense) || dense == 0) return;
    config->sparse = tfm__arena_alloc(&container->arena, TFM__MIN(config->layers, TFM__MAX_LAYERS) + 1u);
    if (!config->sparse && !r->status)
        r->status = tfm__fail_memory(r->error, container->heap, config->layers);
    for (uint32_t i = dense; config->sparse && i < TFM__MIN(config->layers, TFM__MAX_LAYERS); i++)
        config->sparse[i] = 1;
}

/* Token types, and the head that ranks pairs of texts, by the tensors that are there. */
static void read_encoder(const reader *r, tfm__config *config) {
    const tfm__tensor *types = tfm__container_tensor(r->container, "token_types.weight");
    char dense[64], out[64];
    if (types && types->dims == 2) config->types = (uint32_t)TFM__MIN(types->shape[0], UINT32_MAX);
    for (const tfm__head_row *row = config->family->gguf_heads; row && row->out; row++) {
        snprintf(dense, sizeof dense, "%s.weight", row->dense);
        snprintf(out, sizeof out, "%s.weight", row->out);
        if (!tfm__container_tensor(r->container, dense) || !tfm__container_tensor(r->container, out))
            continue;
        config->head = row;
        config->head_mean = row->mean;
    }
}

/* T5: the relative positions, gates by the tensors that are there, the token that a decoder begins with. */
static void read_tower(reader *r, tfm__config *config) {
    uint32_t token = 0;
    config->relative_buckets = config->family->relative_buckets;
    config->relative_distance = config->family->relative_distance;
    read_u32(r, "attention.relative_buckets_count", false, &config->relative_buckets);
    config->gated = tfm__container_tensor(r->container, "dec.blk.0.ffn_gate.weight") != NULL;
    config->gated_said = true;
    if (config->gated) config->activation = TFM__GELU_TANH;
    if (config->family->tower != TFM__TOWER_DECODER) return;
    /* T5 1.0 scales what its embedding turns into logits; its successors, which are gated, do not */
    if (!config->gated && !tfm__container_tensor(r->container, "output.weight"))
        config->logit_scale = 1.0f / sqrtf((float)config->width);
    if (read_u32(r, "decoder_start_token_id", false, &token) && token < TFM__MAX_VOCAB)
        config->start_token = token;
}

static void read_name(const reader *r, tfm__config *config) {
    const tfm__meta *meta = tfm__container_meta(r->container, "general.name");
    tfm__text text;
    if (meta && tfm__meta_text(meta, 0, &text))
        snprintf(config->name, sizeof config->name, "%.*s", (int)TFM__MIN(text.size, 127), text.data);
}

int32_t tfm__config_from_gguf(tfm__container *container, tfm__config *config, tfm_error *error) {
    reader r = {.container = container, .file = container->blobs[0].name, .error = error};
    const tfm__meta *architecture = tfm__container_meta(container, "general.architecture");
    if (!architecture || !tfm__meta_text(architecture, 0, &r.architecture))
        return tfm__fail_at(error, TFM_E_MISSING, r.file, "general.architecture", TFM__NO_OFFSET,
                            "the file does not say which family it is");
    if (!config->family) config->family = tfm__family_by_gguf(r.architecture);
    if (!config->family)
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, r.file, "general.architecture", architecture->offset,
                            "family '%.*s' is not supported", (int)TFM__MIN(r.architecture.size, 64),
                            r.architecture.data);
    read_name(&r, config);
    read_u32(&r, "block_count", true, &config->layers);
    if (config->family->tower == TFM__TOWER_DECODER)
        read_u32(&r, "decoder_block_count", false, &config->layers);
    read_u32(&r, "embedding_length", true, &config->width);
    read_u32(&r, "attention.head_count", true, &config->heads);
    config->kv_heads = config->heads;
    read_u32(&r, "attention.head_count_kv", false, &config->kv_heads);
    read_u32(&r, "feed_forward_length", true, &config->feed_forward);
    config->context = 2048;
    read_u32(&r, "context_length", false, &config->context);
    config->head_dim = config->heads ? config->width / config->heads : 0;
    if (!read_u32(&r, "attention.key_length", false, &config->head_dim) && config->heads &&
        config->width % config->heads && !r.status)
        r.status = tfm__fail_at(error, TFM_E_FORMAT, container->blobs[0].name, NULL, TFM__NO_OFFSET,
                                "%u heads do not divide a width of %u, and there is no attention.key_length",
                                config->heads, config->width);
    config->value_dim = config->head_dim;
    read_u32(&r, "attention.value_length", false, &config->value_dim);
    config->rotary_dim = config->head_dim;
    read_u32(&r, "rope.dimension_count", false, &config->rotary_dim);
    config->epsilon = config->family->epsilon != 0.0f ? config->family->epsilon : 1e-5f;
    if (config->family->norm == TFM__NORM_RMS ||
        !read_f32(&r, "attention.layer_norm_epsilon", &config->epsilon))
        read_f32(&r, "attention.layer_norm_rms_epsilon",
                 &config->epsilon); /* ModernBERT's has this name too */
    config->attn_soft_cap = config->family->default_attn_soft_cap;
    config->final_soft_cap = config->family->default_final_soft_cap;
    read_f32(&r, "attn_logit_softcapping", &config->attn_soft_cap);
    read_f32(&r, "final_logit_softcapping", &config->final_soft_cap);
    read_f32(&r, "attention.scale", &config->attn_scale);
    if (config->attn_scale == 0.0f && config->family->wide_scale_layers &&
        (int)config->layers == config->family->wide_scale_layers && config->heads) {
        /* 1 / sqrt(width / heads), in double then rounded; sqrt is exact on every machine */
        double ratio = (double)config->width / (double)config->heads;
        config->attn_scale = (float)(1.0 / sqrt(ratio));
    }
    config->interleaved = config->family->gguf_interleaved;
    config->activation = config->family->activation;
    config->tied = true; /* unless there is an output tensor: bind.c looks */
    read_block(&r, config);
    read_experts(&r, config, container);
    read_rope(&r, config);
    read_windows(&r, config, container);
    if (r.status) return r.status;
    const tfm__tensor *embedding = tfm__container_tensor(container, "token_embd.weight");
    if (!embedding || embedding->dims != 2)
        return tfm__fail_at(error, TFM_E_MISSING, r.file, "token_embd.weight", TFM__NO_OFFSET,
                            "a model needs this matrix%s",
                            container->tensor_count ? "" : " (the file holds no tensors)");
    config->vocab = (uint32_t)TFM__MIN(embedding->shape[0], UINT32_MAX);
    if (config->family->encoder) read_encoder(&r, config);
    if (config->family->tower != TFM__TOWER_ALONE) read_tower(&r, config);
    /* a file of two towers is described once: its decoder's row reads all that its encoder's does */
    if (config->family->tower != TFM__TOWER_ENCODER) tfm__refuse_gguf_keys(&r, config);
    return r.status;
}
