/* families_gpt.c - the decoders that follow GPT-2 rather than Llama: norms with mean and variance, mostly no
 * gate. Part of the table of families (families.c).
 *
 * Sources: each family's paper and the configuration and weights that its authors publish in Hugging Face's
 * layout. */
#include "kernels/kernels.h"
#include "model/families.h"

/* Falcon with two norms: attn_norm_2 is attention's, and attn_norm the feed-forward's. */
static const tfm__names gguf_falcon_names = {
    .role = {GGUF_ROLES, [TFM__ROLE_ATTN_NORM] = "blk.%d.attn_norm_2|blk.%d.attn_norm",
             [TFM__ROLE_FFN_NORM] = "blk.%d.attn_norm", [TFM__ROLE_UP] = "blk.%d.ffn_up"},
    .prefixes = {"", NULL},
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

/* ---- Settings with one value only, and the rows ---- */

static const tfm__demand opt_demands[] = {
    {"do_layer_norm_before", "true"}, {"_remove_final_layer_norm", "false"}, {NULL, NULL}};
static const tfm__demand mpt_demands[] = {{"attn_config.attn_type", "\"multihead_attention\""},
                                          {"attn_config.alibi", "true"},
                                          {"attn_config.qk_ln", "false"},
                                          {"attn_config.qk_gn", "false"},
                                          {"attn_config.prefix_lm", "false"},
                                          {"attn_config.attn_uses_sequence_id", "false"},
                                          {"attn_config.rope", "false"},
                                          {"attn_config.sliding_window_size", "-1"},
                                          {NULL, NULL}};
static const tfm__demand bloom_demands[] = {{"apply_residual_connection_post_layernorm", "false"},
                                            {NULL, NULL}};

static const tfm__family families[] = {
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
     .tied = true,
     .demands = mpt_demands},
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
    {.name = "starcoder2",
     .gguf = "starcoder2",
     .hf = {"starcoder2"},
     .hf_names = &starcoder2_names,
     .norm = TFM__NORM_LAYER,
     .activation = TFM__GELU_TANH,
     .tied = true,
     .window = TFM__WINDOW_ALL},
};

const tfm__family *tfm__gpt_family(size_t index) {
    return index < TFM__COUNT(families) ? &families[index] : NULL;
}
