/* families.h - the parts of the table of families, which is cut into files by kind. */
#ifndef TFM__FAMILIES_H
#define TFM__FAMILIES_H

#include "model/config.h"

/* Row index of the experts (families_experts.c), of those after GPT-2 (families_gpt.c), of the encoders
 * (families_encoder.c) and of the encoder-decoders (families_seq2seq.c); NULL past the end. */
const tfm__family *tfm__experts_family(size_t index);
const tfm__family *tfm__gpt_family(size_t index);
const tfm__family *tfm__encoder_family(size_t index);
const tfm__family *tfm__seq2seq_family(size_t index);

/* ---- Names that several parts use ---- */

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

#endif
