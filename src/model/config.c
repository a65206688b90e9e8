/* config.c - reading a description: which reader, and the checks that hold for every family. */
#include "model/config.h"
#include "model/windows.h"

#include <math.h>

int32_t tfm__config_from_llama2c(tfm__container *container, tfm__config *config, tfm_error *error) {
    const tfm__llama2c_header *header = &container->llama2c;
    static const tfm__text llama = {"llama", 5};
    (void)error; /* the format's reader has checked the header's numbers already */
    config->family = tfm__family_by_gguf(llama);
    config->layers = (uint32_t)header->layers;
    config->width = (uint32_t)header->dim;
    config->heads = (uint32_t)header->heads;
    config->kv_heads = (uint32_t)header->kv_heads;
    config->feed_forward = (uint32_t)header->hidden_dim;
    config->vocab = (uint32_t)header->vocab_size;
    config->context = (uint32_t)header->seq_len;
    config->head_dim = config->heads ? config->width / config->heads : 0;
    config->value_dim = config->rotary_dim = config->head_dim;
    config->epsilon = 1e-5f;
    config->activation = config->family->activation;
    config->interleaved = true;
    config->tied = header->shared_classifier;
    config->rope[TFM__ROPE_GLOBAL].base = 10000.0;
    return TFM_OK;
}

static int32_t check_range(const char *file, const char *what, uint64_t value, uint64_t most,
                           tfm_error *error) {
    if (value >= 1 && value <= most) return TFM_OK;
    return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET, "%s is %llu, expected 1 to %llu",
                        what, (unsigned long long)value, (unsigned long long)most);
}

static int32_t check(const tfm__config *config, const char *file, tfm_error *error) {
    int32_t status = 0;
    const struct {
        const char *what;
        uint64_t value, most;
    } ranges[] = {
        {"the number of layers", config->layers, TFM__MAX_LAYERS},
        {"the width", config->width, TFM__MAX_WIDTH},
        {"the number of heads", config->heads, 65536},
        {"the number of key/value heads", config->kv_heads, config->heads},
        {"the head size", config->head_dim, TFM__MAX_HEAD_DIM},
        {"the head size of values", config->value_dim, TFM__MAX_HEAD_DIM},
        {"the feed-forward width", config->feed_forward, TFM__MAX_WIDTH * 16u},
        {"the vocabulary size", config->vocab, TFM__MAX_VOCAB},
        {"the context", config->context, TFM__MAX_CONTEXT},
    };
    for (size_t i = 0; i < TFM__COUNT(ranges) && !status; i++)
        status = check_range(file, ranges[i].what, ranges[i].value, ranges[i].most, error);
    if (status) return status;
    if (config->heads % config->kv_heads)
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                            "%u heads cannot share %u key/value heads evenly", config->heads,
                            config->kv_heads);
    if ((uint64_t)config->heads * config->head_dim > TFM__MAX_WIDTH)
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET, "%u heads of %u are too wide",
                            config->heads, config->head_dim);
    if (config->relative_buckets &&
        (config->relative_buckets < 4 || config->relative_buckets > 4096 || config->relative_buckets % 4 ||
         config->relative_distance <= config->relative_buckets / 2 ||
         config->relative_distance > TFM__MAX_CONTEXT))
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                            "%u buckets for distances up to %u", config->relative_buckets,
                            config->relative_distance);
    if (config->types > TFM__MAX_VOCAB)
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET, "%u token types", config->types);
    if (!(config->epsilon >= 0.0f && config->epsilon < 1.0f))
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET, "the norm's epsilon is %g",
                            (double)config->epsilon);
    if (config->positions == TFM__POSITIONS_ROTARY) {
        if (config->rotary_dim < 2 || config->rotary_dim > config->head_dim || config->rotary_dim % 2)
            return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                                "%u rotary dimensions in heads of %u", config->rotary_dim, config->head_dim);
        for (int kind = 0; kind < TFM__ROPE_KINDS; kind++) {
            const tfm__rope *rope = &config->rope[kind];
            if (!(rope->base > 1.0 && rope->base < 1e30) || !(rope->factor > 0.0 && rope->factor < 1e9))
                return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                                    "rotary base %g, factor %g", rope->base, rope->factor);
        }
    }
    if (!isfinite(config->residual_scale) || !isfinite(config->logit_scale) || !isfinite(config->clip_qkv) ||
        !isfinite(config->alibi_bias_max) || !isfinite(config->attn_scale) ||
        !isfinite(config->embed_scale) || !isfinite(config->attn_soft_cap) ||
        !isfinite(config->final_soft_cap))
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                            "a scale is not a finite number");
    return TFM_OK;
}

/* Which layers mix experts where the description has no list: all. */
static int32_t settle_experts(tfm__container *container, tfm__config *config, const char *file,
                              tfm_error *error) {
    tfm__experts *x = &config->experts;
    size_t layers = TFM__MIN(config->layers, TFM__MAX_LAYERS);
    if (x->count == 0) return TFM_OK;
    if (x->groups == 0) x->groups = x->top_groups = 1;
    if (x->count > TFM__MAX_EXPERTS || x->used < 1 || x->used > x->count)
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET, "%u of %u experts are chosen",
                            x->used, x->count);
    if (x->count % x->groups || x->top_groups < 1 || x->top_groups > x->groups ||
        x->used > x->count / x->groups * x->top_groups)
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                            "%u of %u experts, from %u of %u groups", x->used, x->count, x->top_groups,
                            x->groups);
    if (x->width < 1 || x->width > TFM__MAX_WIDTH * 16u || x->shared > TFM__MAX_WIDTH * 16u)
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                            "experts of width %u, a shared one of %u", x->width, x->shared);
    if (!isfinite(x->scale))
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                            "the experts' scale is no number");
    if (config->sparse) return TFM_OK;
    config->sparse = tfm__arena_alloc(&container->arena, layers + 1);
    if (!config->sparse) return tfm__fail_memory(error, container->heap, layers);
    memset(config->sparse, 1, layers);
    return TFM_OK;
}

/* Which layers rotate, by the family's rule; every fourth does not where a list is missing (SmolLM3). */
static int32_t rotate_layers(tfm__container *container, tfm__config *config, tfm_error *error) {
    size_t layers = TFM__MIN(config->layers, TFM__MAX_LAYERS);
    int rule = config->family->rotate;
    config->rotated = tfm__arena_alloc(&container->arena, layers + 1);
    if (!config->rotated) return tfm__fail_memory(error, container->heap, layers);
    for (size_t i = 0; i < layers; i++) {
        bool windowed = config->window && config->windowed[i];
        config->rotated[i] = rule == TFM__ROTATE_ALL ||
                             (rule == TFM__ROTATE_LISTED
                                  ? (i + 1) % 4 != 0
                                  : windowed || (rule == TFM__ROTATE_WINDOWED_OR_ALL && config->window == 0));
    }
    return TFM_OK;
}

/* given: the row, where it is known already. */
static int32_t read_all(tfm__container *container, const tfm__family *given, tfm__config *config,
                        tfm_error *error) {
    const char *file = container->blob_count ? container->blobs[0].name : "model";
    int32_t status;
    memset(config, 0, sizeof *config);
    config->family = given;
    config->start_token = config->forced_first = -1;
    config->embed_scale = config->residual_scale = config->logit_scale = 1.0f;
    config->alibi_bias_max = 8.0f;
    config->experts.scale = 1.0f;
    config->skipped = config->pad = -1;
    config->order = config->qk_norm = config->fused = config->positions = -1; /* as the family has it */
    config->rope[TFM__ROPE_GLOBAL].factor = 1.0;
    config->rope[TFM__ROPE_GLOBAL].truncate = true;
    switch (container->format) {
    case TFM__FORMAT_GGUF:
        status = tfm__config_from_gguf(container, config, error);
        break;
    case TFM__FORMAT_HF:
        status = tfm__config_from_hf(container, config, error);
        break;
    case TFM__FORMAT_CTRANSLATE2:
        status = tfm__config_from_ct2(container, config, error);
        break;
    case TFM__FORMAT_LLAMA2C:
        status = tfm__config_from_llama2c(container, config, error);
        break;
    default:
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, file, NULL, TFM__NO_OFFSET,
                            "tensors without a description: a folder with config.json is needed");
    }
    if (status) return status;
    const tfm__family *family = config->family;
    config->norm = family->norm;
    if (config->positions < 0) config->positions = family->positions;
    if (config->order < 0) config->order = family->order;
    if (config->qk_norm < 0) config->qk_norm = family->qk_norm;
    if (config->fused < 0)
        config->fused = container->format == TFM__FORMAT_HF ? family->fused : TFM__FUSED_ROWS;
    if (!config->gated_said) config->gated = family->gated;
    config->cross = family->tower == TFM__TOWER_DECODER;
    config->encoder = config->encoder || family->encoder;
    config->post_norms = family->post_norms;
    if (family->fixed_attn_scale != 0.0f) config->attn_scale = family->fixed_attn_scale;
    if (family->scale_embedding) config->embed_scale = sqrtf((float)config->width);
    if (config->positions != TFM__POSITIONS_ROTARY) config->rotary_dim = 0;
    if (config->rotary_spread == 0) config->rotary_spread = config->rotary_dim;
    if (!family->local_rope) config->rope[TFM__ROPE_LOCAL] = config->rope[TFM__ROPE_GLOBAL];
    if (config->attn_scale == 0.0f && config->head_dim)
        config->attn_scale = 1.0f / sqrtf((float)config->head_dim);
    if (!config->windowed) {
        config->windowed =
            tfm__arena_alloc(&container->arena, TFM__MIN(config->layers, TFM__MAX_LAYERS) + 1u);
        if (!config->windowed) return tfm__fail_memory(error, container->heap, config->layers);
    }
    if (!config->rotated && (status = rotate_layers(container, config, error)) != 0) return status;
    if ((status = settle_experts(container, config, file, error)) != 0) return status;
    if (config->start_token >= (int64_t)config->vocab || config->forced_first >= (int64_t)config->vocab)
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                            "texts begin with the tokens %lld, %lld; the vocabulary has %u",
                            (long long)config->start_token, (long long)config->forced_first, config->vocab);
    return check(config, file, error);
}

int32_t tfm__config_read(tfm__container *container, tfm__config *config, tfm_error *error) {
    return read_all(container, NULL, config, error);
}

int32_t tfm__config_read_tower(tfm__container *container, const tfm__family *family, tfm__config *config,
                               tfm_error *error) {
    return read_all(container, family, config, error);
}

bool tfm__is_windowed(const tfm__family *family, uint32_t layer, uint64_t period, uint32_t from) {
    switch (family->window) {
    case TFM__WINDOW_ALL:
        return true;
    case TFM__WINDOW_EVEN:
        return layer % 2 == 0;
    case TFM__WINDOW_PATTERN:
        return (layer + 1) % period != 0;
    case TFM__WINDOW_FROM_LAYER:
        return layer >= from;
    case TFM__WINDOW_AFTER:
        return layer % period != 0;
    default:
        return false;
    }
}

int32_t tfm__make_windowed(tfm__container *container, tfm__config *config, tfm_error *error) {
    int32_t status =
        check_range(container->blobs[0].name, "the number of layers", config->layers, TFM__MAX_LAYERS, error);
    if (status) return status;
    config->windowed = tfm__arena_alloc(&container->arena, config->layers);
    return config->windowed ? TFM_OK : tfm__fail_memory(error, container->heap, config->layers);
}
