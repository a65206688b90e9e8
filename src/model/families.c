/* families.c - the table: one row per family, one list of tensor names per naming scheme.
 *
 * Adding a family is adding a row here, its tensor names, and a golden test. Sources: each family's paper and
 * the configuration and weights that its authors publish in Hugging Face's layout; GGUF's names from the GGUF
 * specification's list of standardised tensor names. */
#include "kernels/kernels.h"
#include "model/config.h"

static const tfm__names gguf_names = {
    .role = {[TFM__ROLE_EMBED] = "token_embd",
             [TFM__ROLE_POSITION] = "position_embd",
             [TFM__ROLE_OUTPUT_NORM] = "output_norm",
             [TFM__ROLE_OUTPUT] = "output",
             [TFM__ROLE_ROPE_FACTORS] = "rope_freqs",
             [TFM__ROLE_ROPE_LONG] = "rope_factors_long",
             [TFM__ROLE_ROPE_SHORT] = "rope_factors_short",
             [TFM__ROLE_ATTN_NORM] = "blk.%d.attn_norm",
             [TFM__ROLE_Q] = "blk.%d.attn_q",
             [TFM__ROLE_K] = "blk.%d.attn_k",
             [TFM__ROLE_V] = "blk.%d.attn_v",
             [TFM__ROLE_QKV] = "blk.%d.attn_qkv",
             [TFM__ROLE_ATTN_OUT] = "blk.%d.attn_output",
             [TFM__ROLE_Q_NORM] = "blk.%d.attn_q_norm",
             [TFM__ROLE_K_NORM] = "blk.%d.attn_k_norm",
             [TFM__ROLE_ATTN_POST_NORM] = "blk.%d.post_attention_norm",
             [TFM__ROLE_FFN_NORM] = "blk.%d.ffn_norm",
             [TFM__ROLE_GATE] = "blk.%d.ffn_gate",
             [TFM__ROLE_UP] = "blk.%d.ffn_up",
             [TFM__ROLE_DOWN] = "blk.%d.ffn_down",
             [TFM__ROLE_FFN_POST_NORM] = "blk.%d.post_ffw_norm"},
    .prefixes = {"", NULL},
};

/* Llama's names, which Mistral, Qwen and Gemma share. */
#define LLAMA_ROLES                                                                                          \
    [TFM__ROLE_EMBED] = "embed_tokens", [TFM__ROLE_OUTPUT_NORM] = "norm",                                    \
    [TFM__ROLE_ATTN_NORM] = "layers.%d.input_layernorm", [TFM__ROLE_Q] = "layers.%d.self_attn.q_proj",       \
    [TFM__ROLE_K] = "layers.%d.self_attn.k_proj", [TFM__ROLE_V] = "layers.%d.self_attn.v_proj",              \
    [TFM__ROLE_ATTN_OUT] = "layers.%d.self_attn.o_proj", [TFM__ROLE_Q_NORM] = "layers.%d.self_attn.q_norm",  \
    [TFM__ROLE_K_NORM] = "layers.%d.self_attn.k_norm", [TFM__ROLE_GATE] = "layers.%d.mlp.gate_proj",         \
    [TFM__ROLE_UP] = "layers.%d.mlp.up_proj", [TFM__ROLE_DOWN] = "layers.%d.mlp.down_proj"
#define LLAMA_PREFIXES                                                                                       \
    { "model.", "", "language_model.model.", "model.language_model.", NULL }

static const tfm__names llama_names = {
    .role = {LLAMA_ROLES, [TFM__ROLE_OUTPUT] = "lm_head",
             [TFM__ROLE_FFN_NORM] = "layers.%d.post_attention_layernorm"},
    .prefixes = LLAMA_PREFIXES,
};

/* Gemma 2 and 3 have four norms per layer, and what Llama calls post_attention is really behind the
 * attention. */
static const tfm__names gemma2_names = {
    .role = {LLAMA_ROLES, [TFM__ROLE_OUTPUT] = "lm_head",
             [TFM__ROLE_ATTN_POST_NORM] = "layers.%d.post_attention_layernorm",
             [TFM__ROLE_FFN_NORM] = "layers.%d.pre_feedforward_layernorm",
             [TFM__ROLE_FFN_POST_NORM] = "layers.%d.post_feedforward_layernorm"},
    .prefixes = LLAMA_PREFIXES,
};

static const tfm__names gpt2_names = {
    .role = {[TFM__ROLE_EMBED] = "wte",
             [TFM__ROLE_POSITION] = "wpe",
             [TFM__ROLE_OUTPUT_NORM] = "ln_f",
             [TFM__ROLE_OUTPUT] = "lm_head",
             [TFM__ROLE_ATTN_NORM] = "h.%d.ln_1",
             [TFM__ROLE_QKV] = "h.%d.attn.c_attn",
             [TFM__ROLE_ATTN_OUT] = "h.%d.attn.c_proj",
             [TFM__ROLE_FFN_NORM] = "h.%d.ln_2",
             [TFM__ROLE_UP] = "h.%d.mlp.c_fc",
             [TFM__ROLE_DOWN] = "h.%d.mlp.c_proj"},
    .prefixes = {"transformer.", "", NULL},
    .matrices_transposed = true,
};

static const tfm__family families[] = {
    {.name = "llama",
     .gguf = "llama",
     .hf = {"llama"},
     .hf_names = &llama_names,
     .gguf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true,
     .window = TFM__WINDOW_ALL},
    {.name = "mistral",
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
     .window = TFM__WINDOW_FROM_LAYER},
    {.name = "qwen3",
     .gguf = "qwen3",
     .hf = {"qwen3"},
     .hf_names = &llama_names,
     .qk_norm = true,
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
     .wide_scale_layers = 46},
    {.name = "gemma3",
     .gguf = "gemma3",
     .hf = {"gemma3_text", "gemma3"},
     .hf_names = &gemma2_names,
     .norm_plus_one = true,
     .post_norms = true,
     .qk_norm = true,
     .activation = TFM__GELU_TANH,
     .gated = true,
     .tied = true,
     .scale_embedding = true,
     .window = TFM__WINDOW_PATTERN,
     .window_pattern = 6,
     .local_rope = true,
     .query_scalar = true,
     .wide_scale_layers = 62},
    {.name = "gpt2",
     .gguf = "gpt2",
     .hf = {"gpt2"},
     .hf_names = &gpt2_names,
     .norm = TFM__NORM_LAYER,
     .positions = TFM__POSITIONS_LEARNED,
     .activation = TFM__GELU_TANH,
     .tied = true},
};

const tfm__names *tfm__gguf_names(void) { return &gguf_names; }

const tfm__family *tfm__family_at(size_t index) {
    return index < TFM__COUNT(families) ? &families[index] : NULL;
}

const tfm__family *tfm__family_by_gguf(tfm__text architecture) {
    for (size_t i = 0; i < TFM__COUNT(families); i++) {
        const char *name = families[i].gguf;
        if (name && strlen(name) == architecture.size && !memcmp(name, architecture.data, architecture.size))
            return &families[i];
    }
    return NULL;
}

const tfm__family *tfm__family_by_hf(const tfm__json *config, tfm__json_value model_type) {
    for (size_t i = 0; i < TFM__COUNT(families); i++)
        for (size_t j = 0; j < TFM__COUNT(families[i].hf) && families[i].hf[j]; j++)
            if (tfm__json_equals(config, model_type, families[i].hf[j])) return &families[i];
    return NULL;
}
