/* families.c - the table of decoders (families_encoder.c has the encoders): one row per family, one list of
 * tensor names per naming scheme.
 *
 * Adding a family is adding a row here, its tensor names, and a golden test. Sources: each family's paper and
 * the configuration and weights that its authors publish in Hugging Face's layout; GGUF's names from the GGUF
 * specification's list of standardised tensor names. */
#include "kernels/kernels.h"
#include "model/families.h"

#define GGUF_ROLES                                                                                           \
    [TFM__ROLE_EMBED] = "token_embd", [TFM__ROLE_EMBED_NORM] = "token_embd_norm",                            \
    [TFM__ROLE_POSITION] = "position_embd", [TFM__ROLE_OUTPUT_NORM] = "output_norm",                         \
    [TFM__ROLE_OUTPUT] = "output", [TFM__ROLE_ROPE_FACTORS] = "rope_freqs",                                  \
    [TFM__ROLE_ROPE_LONG] = "rope_factors_long", [TFM__ROLE_ROPE_SHORT] = "rope_factors_short",              \
    [TFM__ROLE_Q] = "blk.%d.attn_q", [TFM__ROLE_K] = "blk.%d.attn_k", [TFM__ROLE_V] = "blk.%d.attn_v",       \
    [TFM__ROLE_QKV] = "blk.%d.attn_qkv", [TFM__ROLE_ATTN_OUT] = "blk.%d.attn_output",                        \
    [TFM__ROLE_Q_NORM] = "blk.%d.attn_q_norm", [TFM__ROLE_K_NORM] = "blk.%d.attn_k_norm",                    \
    [TFM__ROLE_ATTN_POST_NORM] = "blk.%d.post_attention_norm", [TFM__ROLE_DOWN] = "blk.%d.ffn_down",         \
    [TFM__ROLE_FFN_POST_NORM] = "blk.%d.post_ffw_norm"
#define GGUF_EXPERTS                                                                                         \
    [TFM__ROLE_ROUTER] = "blk.%d.ffn_gate_inp", [TFM__ROLE_ROUTER_CORRECTION] = "blk.%d.exp_probs_b.bias",   \
    [TFM__ROLE_EXPERT_GATE] = "blk.%d.ffn_gate_exps|blk.%d.ffn_gate.%e",                                     \
    [TFM__ROLE_EXPERT_UP] = "blk.%d.ffn_up_exps|blk.%d.ffn_up.%e",                                           \
    [TFM__ROLE_EXPERT_DOWN] = "blk.%d.ffn_down_exps|blk.%d.ffn_down.%e",                                     \
    [TFM__ROLE_SHARED_GATE] = "blk.%d.ffn_gate_shexp", [TFM__ROLE_SHARED_UP] = "blk.%d.ffn_up_shexp",        \
    [TFM__ROLE_SHARED_DOWN] = "blk.%d.ffn_down_shexp",                                                       \
    [TFM__ROLE_SHARED_SWITCH] = "blk.%d.ffn_gate_inp_shexp"
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
/* Falcon with two norms: attn_norm_2 is attention's, and attn_norm the feed-forward's. */
static const tfm__names gguf_falcon_names = {
    .role = {GGUF_ROLES, [TFM__ROLE_ATTN_NORM] = "blk.%d.attn_norm_2|blk.%d.attn_norm",
             [TFM__ROLE_FFN_NORM] = "blk.%d.attn_norm", [TFM__ROLE_UP] = "blk.%d.ffn_up"},
    .prefixes = {"", NULL},
};

/* Llama's names, which Mistral, Qwen, Gemma and many others share in part. */
#define LLAMA_ATTENTION                                                                                      \
    [TFM__ROLE_EMBED] = "embed_tokens", [TFM__ROLE_OUTPUT] = "lm_head",                                      \
    [TFM__ROLE_Q] = "layers.%d.self_attn.q_proj", [TFM__ROLE_K] = "layers.%d.self_attn.k_proj",              \
    [TFM__ROLE_V] = "layers.%d.self_attn.v_proj", [TFM__ROLE_ATTN_OUT] = "layers.%d.self_attn.o_proj",       \
    [TFM__ROLE_Q_NORM] = "layers.%d.self_attn.q_norm", [TFM__ROLE_K_NORM] = "layers.%d.self_attn.k_norm"
#define LLAMA_FEED_FORWARD                                                                                   \
    [TFM__ROLE_GATE] = "layers.%d.mlp.gate_proj", [TFM__ROLE_UP] = "layers.%d.mlp.up_proj",                  \
    [TFM__ROLE_DOWN] = "layers.%d.mlp.down_proj"
#define LLAMA_NORMS [TFM__ROLE_OUTPUT_NORM] = "norm", [TFM__ROLE_ATTN_NORM] = "layers.%d.input_layernorm"
#define LLAMA_ROLES LLAMA_ATTENTION, LLAMA_FEED_FORWARD, LLAMA_NORMS
#define LLAMA_PREFIXES                                                                                       \
    { "model.", "", "language_model.model.", "model.language_model.", NULL }

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

static const tfm__names starcoder2_names = {
    .role = {LLAMA_ATTENTION, LLAMA_NORMS, [TFM__ROLE_FFN_NORM] = "layers.%d.post_attention_layernorm",
             [TFM__ROLE_UP] = "layers.%d.mlp.c_fc", [TFM__ROLE_DOWN] = "layers.%d.mlp.c_proj"},
    .prefixes = LLAMA_PREFIXES,
};

static const tfm__names phi_names = {
    .role = {[TFM__ROLE_EMBED] = "embed_tokens",
             [TFM__ROLE_OUTPUT_NORM] = "final_layernorm",
             [TFM__ROLE_OUTPUT] = "lm_head",
             [TFM__ROLE_ATTN_NORM] = "layers.%d.input_layernorm",
             [TFM__ROLE_Q] = "layers.%d.self_attn.q_proj",
             [TFM__ROLE_K] = "layers.%d.self_attn.k_proj",
             [TFM__ROLE_V] = "layers.%d.self_attn.v_proj",
             [TFM__ROLE_Q_NORM] = "layers.%d.self_attn.q_layernorm",
             [TFM__ROLE_K_NORM] = "layers.%d.self_attn.k_layernorm",
             [TFM__ROLE_ATTN_OUT] = "layers.%d.self_attn.dense",
             [TFM__ROLE_UP] = "layers.%d.mlp.fc1",
             [TFM__ROLE_DOWN] = "layers.%d.mlp.fc2"},
    .prefixes = LLAMA_PREFIXES,
};

static const tfm__names neox_names = {
    .role = {[TFM__ROLE_EMBED] = "embed_in",
             [TFM__ROLE_OUTPUT_NORM] = "final_layer_norm",
             [TFM__ROLE_OUTPUT] = "embed_out",
             [TFM__ROLE_ATTN_NORM] = "layers.%d.input_layernorm",
             [TFM__ROLE_QKV] = "layers.%d.attention.query_key_value",
             [TFM__ROLE_ATTN_OUT] = "layers.%d.attention.dense",
             [TFM__ROLE_FFN_NORM] = "layers.%d.post_attention_layernorm",
             [TFM__ROLE_UP] = "layers.%d.mlp.dense_h_to_4h",
             [TFM__ROLE_DOWN] = "layers.%d.mlp.dense_4h_to_h"},
    .prefixes = {"gpt_neox.", "", NULL},
};

static const tfm__names gptj_names = {
    .role = {[TFM__ROLE_EMBED] = "wte",
             [TFM__ROLE_OUTPUT_NORM] = "ln_f",
             [TFM__ROLE_OUTPUT] = "lm_head",
             [TFM__ROLE_ATTN_NORM] = "h.%d.ln_1",
             [TFM__ROLE_Q] = "h.%d.attn.q_proj",
             [TFM__ROLE_K] = "h.%d.attn.k_proj",
             [TFM__ROLE_V] = "h.%d.attn.v_proj",
             [TFM__ROLE_ATTN_OUT] = "h.%d.attn.out_proj",
             [TFM__ROLE_UP] = "h.%d.mlp.fc_in",
             [TFM__ROLE_DOWN] = "h.%d.mlp.fc_out"},
    .prefixes = {"transformer.", "", NULL},
};

static const tfm__names gpt_neo_names = {
    .role = {[TFM__ROLE_EMBED] = "wte",
             [TFM__ROLE_POSITION] = "wpe",
             [TFM__ROLE_OUTPUT_NORM] = "ln_f",
             [TFM__ROLE_OUTPUT] = "lm_head",
             [TFM__ROLE_ATTN_NORM] = "h.%d.ln_1",
             [TFM__ROLE_Q] = "h.%d.attn.attention.q_proj",
             [TFM__ROLE_K] = "h.%d.attn.attention.k_proj",
             [TFM__ROLE_V] = "h.%d.attn.attention.v_proj",
             [TFM__ROLE_ATTN_OUT] = "h.%d.attn.attention.out_proj",
             [TFM__ROLE_FFN_NORM] = "h.%d.ln_2",
             [TFM__ROLE_UP] = "h.%d.mlp.c_fc",
             [TFM__ROLE_DOWN] = "h.%d.mlp.c_proj"},
    .prefixes = {"transformer.", "", NULL},
};

/* BLOOM and Falcon. Falcon has one norm for both half-blocks, two, or one each, by the names that are there.
 */
#define BLOOM_ROLES                                                                                          \
    [TFM__ROLE_EMBED] = "word_embeddings", [TFM__ROLE_OUTPUT_NORM] = "ln_f", [TFM__ROLE_OUTPUT] = "lm_head", \
    [TFM__ROLE_QKV] = "h.%d.self_attention.query_key_value",                                                 \
    [TFM__ROLE_ATTN_OUT] = "h.%d.self_attention.dense", [TFM__ROLE_UP] = "h.%d.mlp.dense_h_to_4h",           \
    [TFM__ROLE_DOWN] = "h.%d.mlp.dense_4h_to_h"
static const tfm__names bloom_names = {
    .role = {BLOOM_ROLES, [TFM__ROLE_EMBED_NORM] = "word_embeddings_layernorm",
             [TFM__ROLE_ATTN_NORM] = "h.%d.input_layernorm",
             [TFM__ROLE_FFN_NORM] = "h.%d.post_attention_layernorm"},
    .prefixes = {"transformer.", "", NULL},
};
static const tfm__names falcon_names = {
    .role = {BLOOM_ROLES, [TFM__ROLE_ATTN_NORM] = "h.%d.input_layernorm|h.%d.ln_attn",
             [TFM__ROLE_FFN_NORM] = "h.%d.post_attention_layernorm|h.%d.ln_mlp"},
    .prefixes = {"transformer.", "", NULL},
};

static const tfm__names mpt_names = {
    .role = {[TFM__ROLE_EMBED] = "wte",
             [TFM__ROLE_OUTPUT_NORM] = "norm_f",
             [TFM__ROLE_OUTPUT] = "lm_head",
             [TFM__ROLE_ATTN_NORM] = "blocks.%d.norm_1",
             [TFM__ROLE_QKV] = "blocks.%d.attn.Wqkv",
             [TFM__ROLE_ATTN_OUT] = "blocks.%d.attn.out_proj",
             [TFM__ROLE_FFN_NORM] = "blocks.%d.norm_2",
             [TFM__ROLE_UP] = "blocks.%d.ffn.up_proj",
             [TFM__ROLE_DOWN] = "blocks.%d.ffn.down_proj"},
    .prefixes = {"transformer.", "", NULL},
};

static const tfm__names opt_names = {
    .role = {[TFM__ROLE_EMBED] = "embed_tokens",
             [TFM__ROLE_POSITION] = "embed_positions",
             [TFM__ROLE_OUTPUT_NORM] = "final_layer_norm",
             [TFM__ROLE_OUTPUT] = "lm_head",
             [TFM__ROLE_ATTN_NORM] = "layers.%d.self_attn_layer_norm",
             [TFM__ROLE_Q] = "layers.%d.self_attn.q_proj",
             [TFM__ROLE_K] = "layers.%d.self_attn.k_proj",
             [TFM__ROLE_V] = "layers.%d.self_attn.v_proj",
             [TFM__ROLE_ATTN_OUT] = "layers.%d.self_attn.out_proj",
             [TFM__ROLE_FFN_NORM] = "layers.%d.final_layer_norm",
             [TFM__ROLE_UP] = "layers.%d.fc1",
             [TFM__ROLE_DOWN] = "layers.%d.fc2"},
    .prefixes = {"model.decoder.", "decoder.", "", NULL},
};

/* ---- Settings with one value only --------------------------------------------------------------------- */

static const tfm__demand deepseek2_demands[] = {
    {"scoring_func", "\"softmax\""}, {"norm_topk_prob", "false"}, {"moe_layer_freq", "1"}, {NULL, NULL}};
static const tfm__demand deepseek3_demands[] = {
    {"scoring_func", "\"sigmoid\""}, {"topk_method", "\"noaux_tc\""}, {"moe_layer_freq", "1"}, {NULL, NULL}};
static const tfm__demand stablelm_demands[] = {{"qk_layernorm", "false"}, {NULL, NULL}};
static const tfm__demand opt_demands[] = {
    {"do_layer_norm_before", "true"}, {"_remove_final_layer_norm", "false"}, {NULL, NULL}};
static const tfm__demand bloom_demands[] = {{"apply_residual_connection_post_layernorm", "false"},
                                            {NULL, NULL}};
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
    {.name = "mixtral",
     .gguf_as = "llama",
     .hf = {"mixtral"},
     .hf_names = &mixtral_names,
     .gguf_interleaved = true,
     .activation = TFM__SILU,
     .gated = true,
     .route_normalised = true,
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
    {.name = "gpt2",
     .gguf = "gpt2",
     .hf = {"gpt2"},
     .hf_names = &gpt2_names,
     .pad_learns = true,
     .norm = TFM__NORM_LAYER,
     .positions = TFM__POSITIONS_LEARNED,
     .activation = TFM__GELU_TANH,
     .tied = true},
    {.name = "gpt-neox",
     .gguf = "gptneox",
     .hf = {"gpt_neox"},
     .hf_names = &neox_names,
     .pad_learns = true,
     .norm = TFM__NORM_LAYER,
     .order = TFM__ORDER_PARALLEL,
     .fused = TFM__FUSED_GROUPS,
     .activation = TFM__GELU_ERF},
    {.name = "gpt-j",
     .gguf = "gptj",
     .hf = {"gptj"},
     .hf_names = &gptj_names,
     .pad_learns = true,
     .norm = TFM__NORM_LAYER,
     .order = TFM__ORDER_PARALLEL,
     .hf_interleaved = true,
     .gguf_interleaved = true,
     .activation = TFM__GELU_TANH},
    {.name = "gpt-neo",
     .hf = {"gpt_neo"},
     .hf_names = &gpt_neo_names,
     .pad_learns = true,
     .norm = TFM__NORM_LAYER,
     .positions = TFM__POSITIONS_LEARNED,
     .activation = TFM__GELU_TANH,
     .tied = true,
     .window = TFM__WINDOW_LOCAL,
     .fixed_attn_scale = 1.0f},
    {.name = "opt",
     .hf = {"opt"},
     .hf_names = &opt_names,
     .norm = TFM__NORM_LAYER,
     .positions = TFM__POSITIONS_LEARNED,
     .position_offset = 2,
     .activation = TFM__RELU,
     .tied = true,
     .demands = opt_demands},
    {.name = "bloom",
     .gguf = "bloom",
     .hf = {"bloom"},
     .hf_names = &bloom_names,
     .pad_learns = true,
     .norm = TFM__NORM_LAYER,
     .embed_norm = true,
     .positions = TFM__POSITIONS_ALIBI,
     .fused = TFM__FUSED_GROUPS,
     .activation = TFM__GELU_TANH,
     .tied = true,
     .demands = bloom_demands},
    {.name = "mpt",
     .gguf = "mpt",
     .hf = {"mpt"},
     .hf_names = &mpt_names,
     .pad_learns = true,
     .norm = TFM__NORM_LAYER,
     .positions = TFM__POSITIONS_ALIBI,
     .activation = TFM__GELU_ERF,
     .tied = true},
    {.name = "falcon",
     .gguf = "falcon",
     .hf = {"falcon"},
     .hf_names = &falcon_names,
     .gguf_names = &gguf_falcon_names,
     .pad_learns = true,
     .norm = TFM__NORM_LAYER,
     .order = TFM__ORDER_PARALLEL,
     .activation = TFM__GELU_ERF,
     .tied = true,
     .mixes_down_less = true},
    {.name = "phi",
     .gguf = "phi2",
     .hf = {"phi"},
     .hf_names = &phi_names,
     .norm = TFM__NORM_LAYER,
     .order = TFM__ORDER_PARALLEL,
     .qk_norm = TFM__QK_NORM_HEAD_LAYER,
     .qk_switch = "qk_layernorm",
     .activation = TFM__GELU_TANH},
    {.name = "phi3",
     .gguf = "phi3",
     .hf = {"phi3"},
     .hf_names = &phi3_names,
     .gguf_names = &gguf_gate_up_names,
     .activation = TFM__SILU,
     .gated = true,
     .window = TFM__WINDOW_ALL},
    {.name = "starcoder2",
     .gguf = "starcoder2",
     .hf = {"starcoder2"},
     .hf_names = &starcoder2_names,
     .norm = TFM__NORM_LAYER,
     .activation = TFM__GELU_TANH,
     .tied = true,
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
     .window_pattern = 4},
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

const tfm__family *tfm__family_at(size_t index) {
    if (index < TFM__COUNT(families)) return &families[index];
    index -= TFM__COUNT(families);
    for (size_t encoders = 0;; encoders++) {
        if (!tfm__encoder_family(encoders)) return tfm__seq2seq_family(index - encoders);
        if (encoders == index) return tfm__encoder_family(index);
    }
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
