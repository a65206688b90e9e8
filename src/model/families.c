/* families.c - the table of decoders after Llama's pattern, and the way into the whole table, whose other
 * parts are families_gpt.c, families_experts.c, families_encoder.c and families_seq2seq.c: one row per
 * family, one list of tensor names per naming scheme.
 *
 * Adding a family is adding a row here, its tensor names, and a golden test. Sources: each family's paper and
 * the configuration and weights that its authors publish in Hugging Face's layout; GGUF's names from the GGUF
 * specification's list of standardised tensor names. */
#include "kernels/kernels.h"
#include "model/families.h"

static const tfm__names gguf_names = {
    .role =
        {GGUF_ROLES,
         GGUF_EXPERTS, [TFM__ROLE_ATTN_NORM] = "blk.%d.attn_norm", [TFM__ROLE_FFN_NORM] = "blk.%d.ffn_norm",
         [TFM__ROLE_GATE] = "blk.%d.ffn_gate", [TFM__ROLE_UP] = "blk.%d.ffn_up"},
    .prefixes = {"", NULL},
};
/* Phi-3 and GLM-4: gate and up lie in ffn_up. */
static const tfm__names gguf_gate_up_names = {
    .role = {GGUF_ROLES, [TFM__ROLE_ATTN_NORM] = "blk.%d.attn_norm", [TFM__ROLE_FFN_NORM] = "blk.%d.ffn_norm",
             [TFM__ROLE_GATE_UP] = "blk.%d.ffn_up"},
    .prefixes = {"", NULL},
};

static const tfm__names llama_names = {
    .role = {LLAMA_ROLES, [TFM__ROLE_FFN_NORM] = "layers.%d.post_attention_layernorm"},
    .prefixes = LLAMA_PREFIXES,
};

/* Gemma 2 and 3 have four norms per layer, and what Llama calls post_attention is really behind the
 * attention. */
static const tfm__names gemma2_names = {
    .role = {LLAMA_ROLES, [TFM__ROLE_ATTN_POST_NORM] = "layers.%d.post_attention_layernorm",
             [TFM__ROLE_FFN_NORM] = "layers.%d.pre_feedforward_layernorm",
             [TFM__ROLE_FFN_POST_NORM] = "layers.%d.post_feedforward_layernorm"},
    .prefixes = LLAMA_PREFIXES,
};

/* Phi-3 and GLM-4 hold gate and up in one matrix, Phi-3 q, k and v too. */
static const tfm__names phi3_names = {
    .role = {LLAMA_ATTENTION, LLAMA_NORMS, [TFM__ROLE_QKV] = "layers.%d.self_attn.qkv_proj",
             [TFM__ROLE_GATE_UP] = "layers.%d.mlp.gate_up_proj", [TFM__ROLE_DOWN] = "layers.%d.mlp.down_proj",
             [TFM__ROLE_FFN_NORM] = "layers.%d.post_attention_layernorm"},
    .prefixes = LLAMA_PREFIXES,
};

static const tfm__names glm4_names = {
    .role = {LLAMA_ATTENTION, LLAMA_NORMS, [TFM__ROLE_ATTN_POST_NORM] = "layers.%d.post_self_attn_layernorm",
             [TFM__ROLE_GATE_UP] = "layers.%d.mlp.gate_up_proj", [TFM__ROLE_DOWN] = "layers.%d.mlp.down_proj",
             [TFM__ROLE_FFN_NORM] = "layers.%d.post_attention_layernorm",
             [TFM__ROLE_FFN_POST_NORM] = "layers.%d.post_mlp_layernorm"},
    .prefixes = LLAMA_PREFIXES,
};

/* OLMo 2 and EXAONE 4: norms behind the half-blocks only. */
static const tfm__names post_names = {
    .role = {LLAMA_ATTENTION, LLAMA_FEED_FORWARD, [TFM__ROLE_OUTPUT_NORM] = "norm",
             [TFM__ROLE_ATTN_POST_NORM] = "layers.%d.post_attention_layernorm",
             [TFM__ROLE_FFN_POST_NORM] = "layers.%d.post_feedforward_layernorm"},
    .prefixes = LLAMA_PREFIXES,
};

/* ---- Settings with one value only --------------------------------------------------------------------- */

static const tfm__demand gemma2_demands[] = {{"sliding_window_pattern", "2"}, {NULL, NULL}};
static const tfm__demand cohere2_demands[] = {{"position_embedding_type", "\"rope_gptj\"|\"rope\""},
                                              {NULL, NULL}};
static const tfm__demand stablelm_demands[] = {{"qk_layernorm", "false"}, {NULL, NULL}};
static const tfm__demand granite_demands[] = {{"position_embedding_type", "\"rope\""}, {NULL, NULL}};

static const tfm__family families[] = {
    {.name = "llama",
     .gguf = "llama",
     .hf = {"llama"},
     .hf_names = &llama_names,
     .gguf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true,
     .route_normalised = true, /* GGUF's Mixtral */
     .window = TFM__WINDOW_ALL,
     .mixes_values_more = 80},
    {.name = "mistral",
     .gguf_as = "llama",
     .hf = {"mistral"},
     .hf_names = &llama_names,
     .gguf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true,
     .window = TFM__WINDOW_ALL},
    {.name = "qwen2",
     .gguf = "qwen2",
     .hf = {"qwen2"},
     .hf_names = &llama_names,
     .activation = TFM__SILU,
     .gated = true,
     .window = TFM__WINDOW_FROM_LAYER,
     .mixes_values_more = 80},
    {.name = "qwen3",
     .gguf = "qwen3",
     .hf = {"qwen3"},
     .hf_names = &llama_names,
     .qk_norm = TFM__QK_NORM_HEAD,
     .activation = TFM__SILU,
     .gated = true,
     .window = TFM__WINDOW_FROM_LAYER},
    {.name = "gemma",
     .gguf = "gemma",
     .hf = {"gemma"},
     .hf_names = &llama_names,
     .norm_plus_one = true,
     .activation = TFM__GELU_TANH,
     .gated = true,
     .tied = true,
     .scale_embedding = true},
    {.name = "gemma2",
     .gguf = "gemma2",
     .hf = {"gemma2"},
     .hf_names = &gemma2_names,
     .norm_plus_one = true,
     .post_norms = true,
     .activation = TFM__GELU_TANH,
     .gated = true,
     .tied = true,
     .scale_embedding = true,
     .window = TFM__WINDOW_EVEN,
     .query_scalar = true,
     .default_attn_soft_cap = 50.0f,
     .default_final_soft_cap = 30.0f,
     .demands = gemma2_demands,
     .wide_scale_layers = 46},
    {.name = "gemma3",
     .gguf = "gemma3",
     .hf = {"gemma3_text", "gemma3"},
     .hf_names = &gemma2_names,
     .may_encode = true,
     .norm_plus_one = true,
     .post_norms = true,
     .qk_norm = TFM__QK_NORM_HEAD,
     .activation = TFM__GELU_TANH,
     .gated = true,
     .tied = true,
     .scale_embedding = true,
     .window = TFM__WINDOW_PATTERN,
     .window_pattern = 6,
     .local_rope = true,
     .query_scalar = true,
     .wide_scale_layers = 62},
    {.name = "phi3",
     .gguf = "phi3",
     .hf = {"phi3"},
     .hf_names = &phi3_names,
     .gguf_names = &gguf_gate_up_names,
     .activation = TFM__SILU,
     .gated = true,
     .window = TFM__WINDOW_ALL},
    {.name = "stablelm",
     .gguf = "stablelm",
     .hf = {"stablelm"},
     .hf_names = &llama_names,
     .norm = TFM__NORM_LAYER,
     .activation = TFM__SILU,
     .gated = true,
     .demands = stablelm_demands},
    {.name = "olmo",
     .gguf = "olmo",
     .hf = {"olmo"},
     .hf_names = &llama_names,
     .norm = TFM__NORM_LAYER,
     .norm_free = true,
     .gguf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true},
    {.name = "olmo2",
     .gguf = "olmo2",
     .hf = {"olmo2"},
     .hf_names = &post_names,
     .order = TFM__ORDER_POST,
     .qk_norm = TFM__QK_NORM_ROW,
     .activation = TFM__SILU,
     .gated = true},
    {.name = "exaone4",
     .gguf = "exaone4",
     .hf = {"exaone4"},
     .hf_names = &post_names,
     .order = TFM__ORDER_POST,
     .qk_norm = TFM__QK_NORM_HEAD,
     .rotate = TFM__ROTATE_WINDOWED_OR_ALL,
     .activation = TFM__SILU,
     .gated = true,
     .window = TFM__WINDOW_PATTERN,
     .window_pattern = 4},
    {.name = "cohere",
     .gguf = "command-r",
     .hf = {"cohere"},
     .hf_names = &llama_names,
     .norm = TFM__NORM_LAYER,
     .order = TFM__ORDER_PARALLEL,
     .qk_norm = TFM__QK_NORM_HEADS_LAYER,
     .qk_switch = "use_qk_norm",
     .hf_interleaved = true,
     .gguf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true,
     .tied = true},
    {.name = "cohere2",
     .gguf = "cohere2",
     .hf = {"cohere2"},
     .hf_names = &llama_names,
     .norm = TFM__NORM_LAYER,
     .order = TFM__ORDER_PARALLEL,
     .hf_interleaved = true,
     .gguf_interleaved = true,
     .rotate = TFM__ROTATE_WINDOWED,
     .activation = TFM__SILU,
     .gated = true,
     .tied = true,
     .window = TFM__WINDOW_PATTERN,
     .window_pattern = 4,
     .demands = cohere2_demands},
    {.name = "granite",
     .gguf = "granite",
     .hf = {"granite"},
     .hf_names = &llama_names,
     .gguf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true,
     .logits_divided = true,
     .demands = granite_demands},
    {.name = "nemotron",
     .gguf = "nemotron",
     .hf = {"nemotron"},
     .hf_names = &llama_names,
     .norm = TFM__NORM_LAYER,
     .norm_plus_one = true,
     .activation = TFM__RELU,
     .squared = true},
    {.name = "arcee",
     .gguf = "arcee",
     .hf = {"arcee"},
     .hf_names = &llama_names,
     .gguf_interleaved = true,
     .activation = TFM__RELU,
     .squared = true},
    {.name = "smollm3",
     .gguf = "smollm3",
     .hf = {"smollm3"},
     .hf_names = &llama_names,
     .gguf_interleaved = true,
     .rotate = TFM__ROTATE_LISTED,
     .activation = TFM__SILU,
     .gated = true,
     .tied = true,
     .window = TFM__WINDOW_FROM_LAYER},
    {.name = "glm4",
     .gguf = "glm4",
     .hf = {"glm4"},
     .hf_names = &glm4_names,
     .gguf_names = &gguf_gate_up_names,
     .post_norms = true,
     .hf_interleaved = true,
     .gguf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true},
    {.name = "ernie4_5",
     .gguf = "ernie4_5",
     .hf = {"ernie4_5"},
     .hf_names = &llama_names,
     .hf_interleaved = true,
     .gguf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true,
     .tied = true},
};

const tfm__names *tfm__gguf_names(const tfm__family *family) {
    return family->gguf_names ? family->gguf_names : &gguf_names;
}

static const tfm__family *llama_family(size_t index) {
    return index < TFM__COUNT(families) ? &families[index] : NULL;
}

const tfm__family *tfm__family_at(size_t index) {
    static const tfm__family *(*const parts[])(size_t) = {llama_family, tfm__experts_family, tfm__gpt_family,
                                                          tfm__encoder_family, tfm__seq2seq_family};
    size_t count;
    for (size_t i = 0; i < TFM__COUNT(parts); i++, index -= count) {
        const tfm__family *family = parts[i](index);
        if (family) return family;
        for (count = 0; parts[i](count);) count++;
    }
    return NULL;
}

const tfm__family *tfm__family_by_gguf(tfm__text architecture) {
    const tfm__family *family;
    for (size_t i = 0; (family = tfm__family_at(i)) != NULL; i++)
        if (family->gguf && strlen(family->gguf) == architecture.size &&
            !memcmp(family->gguf, architecture.data, architecture.size))
            return family;
    return NULL;
}

const tfm__family *tfm__family_by_hf(const tfm__json *config, tfm__json_value model_type) {
    const tfm__family *family;
    for (size_t i = 0; (family = tfm__family_at(i)) != NULL; i++)
        for (size_t j = 0; j < TFM__COUNT(family->hf) && family->hf[j]; j++)
            if (tfm__json_equals(config, model_type, family->hf[j])) return family;
    return NULL;
}
