/* families_experts.c - the decoders with mixtures of experts, those with low-rank attention among them. Part
 * of the table of families (families.c).
 *
 * Sources: each family's paper and the configuration and weights that its authors publish in Hugging Face's
 * layout; GGUF's names from the GGUF specification's list of standardised tensor names. */
#include "kernels/kernels.h"
#include "model/families.h"

#define MOE_ROLES                                                                                            \
    [TFM__ROLE_ROUTER] = "layers.%d.mlp.gate",                                                               \
    [TFM__ROLE_ROUTER_CORRECTION] = "layers.%d.mlp.gate.e_score_correction_bias",                            \
    [TFM__ROLE_EXPERT_GATE] = "layers.%d.mlp.experts.%e.gate_proj",                                          \
    [TFM__ROLE_EXPERT_UP] = "layers.%d.mlp.experts.%e.up_proj",                                              \
    [TFM__ROLE_EXPERT_DOWN] = "layers.%d.mlp.experts.%e.down_proj",                                          \
    [TFM__ROLE_SHARED_GATE] =                                                                                \
        "layers.%d.mlp.shared_expert.gate_proj|layers.%d.mlp.shared_experts.gate_proj",                      \
    [TFM__ROLE_SHARED_UP] = "layers.%d.mlp.shared_expert.up_proj|layers.%d.mlp.shared_experts.up_proj",      \
    [TFM__ROLE_SHARED_DOWN] =                                                                                \
        "layers.%d.mlp.shared_expert.down_proj|layers.%d.mlp.shared_experts.down_proj",                      \
    [TFM__ROLE_SHARED_SWITCH] = "layers.%d.mlp.shared_expert_gate"
static const tfm__names moe_names = {
    .role = {LLAMA_ROLES, MOE_ROLES, [TFM__ROLE_FFN_NORM] = "layers.%d.post_attention_layernorm"},
    .prefixes = LLAMA_PREFIXES,
};

/* DeepSeek V2 and V3: queries, keys and values go through latents. */
static const tfm__names deepseek_names = {
    .role = {[TFM__ROLE_EMBED] = "embed_tokens",
             [TFM__ROLE_OUTPUT] = "lm_head",
             LLAMA_FEED_FORWARD,
             LLAMA_NORMS,
             MOE_ROLES,
             [TFM__ROLE_FFN_NORM] = "layers.%d.post_attention_layernorm",
             [TFM__ROLE_Q] = "layers.%d.self_attn.q_proj",
             [TFM__ROLE_Q_A] = "layers.%d.self_attn.q_a_proj",
             [TFM__ROLE_Q_A_NORM] = "layers.%d.self_attn.q_a_layernorm",
             [TFM__ROLE_Q_B] = "layers.%d.self_attn.q_b_proj",
             [TFM__ROLE_KV_A] = "layers.%d.self_attn.kv_a_proj_with_mqa",
             [TFM__ROLE_KV_A_NORM] = "layers.%d.self_attn.kv_a_layernorm",
             [TFM__ROLE_KV_B] = "layers.%d.self_attn.kv_b_proj",
             [TFM__ROLE_ATTN_OUT] = "layers.%d.self_attn.o_proj"},
    .prefixes = LLAMA_PREFIXES,
};

/* gpt-oss; its experts' tensors are named without an ending. */
static const tfm__names gpt_oss_names = {
    .role = {LLAMA_ATTENTION, LLAMA_NORMS, [TFM__ROLE_FFN_NORM] = "layers.%d.post_attention_layernorm",
             [TFM__ROLE_SINKS] = "layers.%d.self_attn.sinks", [TFM__ROLE_ROUTER] = "layers.%d.mlp.router",
             [TFM__ROLE_EXPERT_UP] = "layers.%d.mlp.experts.gate_up_proj",
             [TFM__ROLE_EXPERT_DOWN] = "layers.%d.mlp.experts.down_proj"},
    .prefixes = LLAMA_PREFIXES,
};
static const tfm__names gguf_gpt_oss_names = {
    .role = {GGUF_ROLES, GGUF_EXPERTS, [TFM__ROLE_ATTN_NORM] = "blk.%d.attn_norm",
             [TFM__ROLE_FFN_NORM] = "blk.%d.post_attention_norm", [TFM__ROLE_SINKS] = "blk.%d.attn_sinks"},
    .prefixes = {"", NULL},
};

static const tfm__names mixtral_names = {
    .role = {LLAMA_ROLES, [TFM__ROLE_FFN_NORM] = "layers.%d.post_attention_layernorm",
             [TFM__ROLE_ROUTER] = "layers.%d.block_sparse_moe.gate",
             [TFM__ROLE_EXPERT_GATE] = "layers.%d.block_sparse_moe.experts.%e.w1",
             [TFM__ROLE_EXPERT_UP] = "layers.%d.block_sparse_moe.experts.%e.w3",
             [TFM__ROLE_EXPERT_DOWN] = "layers.%d.block_sparse_moe.experts.%e.w2"},
    .prefixes = LLAMA_PREFIXES,
};

/* ---- Settings with one value only, and the rows ---- */

static const tfm__demand deepseek2_demands[] = {{"scoring_func", "\"softmax\""},
                                                {"topk_method", "\"greedy\"|\"group_limited_greedy\""},
                                                {"norm_topk_prob", "false"},
                                                {"moe_layer_freq", "1"},
                                                {NULL, NULL}};
static const tfm__demand deepseek3_demands[] = {
    {"scoring_func", "\"sigmoid\""}, {"topk_method", "\"noaux_tc\""}, {"moe_layer_freq", "1"}, {NULL, NULL}};

static const tfm__family families[] = {
    {.name = "mixtral",
     .gguf_as = "llama",
     .hf = {"mixtral"},
     .hf_names = &mixtral_names,
     .gguf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true,
     .route_normalised = true,
     .window = TFM__WINDOW_ALL},
    {.name = "qwen2moe",
     .gguf = "qwen2moe",
     .hf = {"qwen2_moe"},
     .hf_names = &moe_names,
     .activation = TFM__SILU,
     .gated = true,
     .window = TFM__WINDOW_FROM_LAYER},
    {.name = "qwen3moe",
     .gguf = "qwen3moe",
     .hf = {"qwen3_moe"},
     .hf_names = &moe_names,
     .qk_norm = TFM__QK_NORM_HEAD,
     .activation = TFM__SILU,
     .gated = true,
     .route_normalised = true,
     .window = TFM__WINDOW_FROM_LAYER},
    {.name = "olmoe",
     .gguf = "olmoe",
     .hf = {"olmoe"},
     .hf_names = &moe_names,
     .qk_norm = TFM__QK_NORM_ROW,
     .activation = TFM__SILU,
     .gated = true},
    {.name = "gpt-oss",
     .gguf = "gpt-oss",
     .hf = {"gpt_oss"},
     .hf_names = &gpt_oss_names,
     .gguf_names = &gguf_gpt_oss_names,
     .activation = TFM__SILU,
     .gated = true,
     .sinks = true,
     .experts_plain = true,
     .expert_limit = 7.0f,
     .route = TFM__ROUTE_CHOSEN,
     .window = TFM__WINDOW_EVEN},
    {.name = "deepseek2",
     .hf = {"deepseek_v2"},
     .hf_names = &deepseek_names,
     .low_rank = true,
     .hf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true,
     .demands = deepseek2_demands},
    {.name = "deepseek3",
     .hf = {"deepseek_v3"},
     .hf_names = &deepseek_names,
     .low_rank = true,
     .hf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true,
     .route = TFM__ROUTE_SIGMOID,
     .route_normalised = true,
     .group_by_two = true,
     .demands = deepseek3_demands},
};

const tfm__family *tfm__experts_family(size_t index) {
    return index < TFM__COUNT(families) ? &families[index] : NULL;
}
