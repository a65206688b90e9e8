/* families_seq2seq.c - the encoder-decoders' rows of the table of families, two for each: the decoder, by
 * whose name the family is known, and its encoder.
 *
 * Sources: Vaswani et al. 2017 (the shape, and the positions of Marian and M2M-100), Raffel et al. 2020 (T5),
 * Lewis et al. 2020 (BART), Junczys-Dowmunt et al. 2018 (Marian), Fan et al. 2021 (M2M-100), Zhang et al.
 * 2020 (Pegasus), and the weights that their authors publish in Hugging Face's layout; GGUF's names from the
 * GGUF specification's list of standardised tensor names. */
#include "kernels/kernels.h"
#include "model/families.h"

/* ---- T5 ---- */

#define T5_ROLES(tower, feed)                                                                                \
    [TFM__ROLE_EMBED] = "shared|encoder.embed_tokens|decoder.embed_tokens",                                  \
    [TFM__ROLE_RELATIVE] = tower ".block.0.layer.0.SelfAttention.relative_attention_bias",                   \
    [TFM__ROLE_OUTPUT_NORM] = tower ".final_layer_norm",                                                     \
    [TFM__ROLE_ATTN_NORM] = tower ".block.%d.layer.0.layer_norm",                                            \
    [TFM__ROLE_Q] = tower ".block.%d.layer.0.SelfAttention.q",                                               \
    [TFM__ROLE_K] = tower ".block.%d.layer.0.SelfAttention.k",                                               \
    [TFM__ROLE_V] = tower ".block.%d.layer.0.SelfAttention.v",                                               \
    [TFM__ROLE_ATTN_OUT] = tower ".block.%d.layer.0.SelfAttention.o",                                        \
    [TFM__ROLE_FFN_NORM] = tower ".block.%d.layer." feed ".layer_norm",                                      \
    [TFM__ROLE_GATE] = tower ".block.%d.layer." feed ".DenseReluDense.wi_0",                                 \
    [TFM__ROLE_UP] = tower ".block.%d.layer." feed ".DenseReluDense.wi|" tower ".block.%d.layer." feed       \
                           ".DenseReluDense.wi_1",                                                           \
    [TFM__ROLE_DOWN] = tower ".block.%d.layer." feed ".DenseReluDense.wo"
static const tfm__names t5_encoder_names = {.role = {T5_ROLES("encoder", "1")}, .prefixes = {"", NULL}};
static const tfm__names t5_names = {
    .role = {T5_ROLES("decoder", "2"), [TFM__ROLE_OUTPUT] = "lm_head",
             [TFM__ROLE_CROSS_NORM] = "decoder.block.%d.layer.1.layer_norm",
             [TFM__ROLE_CROSS_Q] = "decoder.block.%d.layer.1.EncDecAttention.q",
             [TFM__ROLE_CROSS_K] = "decoder.block.%d.layer.1.EncDecAttention.k",
             [TFM__ROLE_CROSS_V] = "decoder.block.%d.layer.1.EncDecAttention.v",
             [TFM__ROLE_CROSS_OUT] = "decoder.block.%d.layer.1.EncDecAttention.o"},
    .prefixes = {"", NULL},
};

#define GGUF_T5_ROLES(tower)                                                                                 \
    [TFM__ROLE_EMBED] = "token_embd", [TFM__ROLE_RELATIVE] = tower ".blk.0.attn_rel_b",                      \
    [TFM__ROLE_OUTPUT_NORM] = tower ".output_norm", [TFM__ROLE_ATTN_NORM] = tower ".blk.%d.attn_norm",       \
    [TFM__ROLE_Q] = tower ".blk.%d.attn_q", [TFM__ROLE_K] = tower ".blk.%d.attn_k",                          \
    [TFM__ROLE_V] = tower ".blk.%d.attn_v", [TFM__ROLE_ATTN_OUT] = tower ".blk.%d.attn_o",                   \
    [TFM__ROLE_FFN_NORM] = tower ".blk.%d.ffn_norm", [TFM__ROLE_GATE] = tower ".blk.%d.ffn_gate",            \
    [TFM__ROLE_UP] = tower ".blk.%d.ffn_up", [TFM__ROLE_DOWN] = tower ".blk.%d.ffn_down"
static const tfm__names gguf_t5_encoder_names = {.role = {GGUF_T5_ROLES("enc")}, .prefixes = {"", NULL}};
static const tfm__names gguf_t5_names = {
    .role =
        {GGUF_T5_ROLES("dec"), [TFM__ROLE_OUTPUT] = "output",
         [TFM__ROLE_CROSS_NORM] = "dec.blk.%d.cross_attn_norm",
         [TFM__ROLE_CROSS_Q] = "dec.blk.%d.cross_attn_q", [TFM__ROLE_CROSS_K] = "dec.blk.%d.cross_attn_k",
         [TFM__ROLE_CROSS_V] = "dec.blk.%d.cross_attn_v", [TFM__ROLE_CROSS_OUT] = "dec.blk.%d.cross_attn_o"},
    .prefixes = {"", NULL},
};

/* ---- BART's names, which Marian, M2M-100 and Pegasus share in part ---- */

#define BART_ROLES(tower)                                                                                    \
    [TFM__ROLE_EMBED] = "shared|" tower ".embed_tokens", [TFM__ROLE_POSITION] = tower ".embed_positions",    \
    [TFM__ROLE_EMBED_NORM] = tower ".layernorm_embedding", [TFM__ROLE_OUTPUT_NORM] = tower ".layer_norm",    \
    [TFM__ROLE_Q] = tower ".layers.%d.self_attn.q_proj",                                                     \
    [TFM__ROLE_K] = tower ".layers.%d.self_attn.k_proj",                                                     \
    [TFM__ROLE_V] = tower ".layers.%d.self_attn.v_proj",                                                     \
    [TFM__ROLE_ATTN_OUT] = tower ".layers.%d.self_attn.out_proj", [TFM__ROLE_UP] = tower ".layers.%d.fc1",   \
    [TFM__ROLE_DOWN] = tower ".layers.%d.fc2"
#define BART_CROSS                                                                                           \
    [TFM__ROLE_OUTPUT] = "lm_head", [TFM__ROLE_OUTPUT_BIAS] = "final_logits_bias",                           \
    [TFM__ROLE_CROSS_Q] = "decoder.layers.%d.encoder_attn.q_proj",                                           \
    [TFM__ROLE_CROSS_K] = "decoder.layers.%d.encoder_attn.k_proj",                                           \
    [TFM__ROLE_CROSS_V] = "decoder.layers.%d.encoder_attn.v_proj",                                           \
    [TFM__ROLE_CROSS_OUT] = "decoder.layers.%d.encoder_attn.out_proj"
/* Norms behind the parts (BART, Marian) or in front of them (M2M-100, Pegasus); the names are the same. */
#define NORMS_BEHIND(tower)                                                                                  \
    [TFM__ROLE_ATTN_POST_NORM] = tower ".layers.%d.self_attn_layer_norm", [TFM__ROLE_FFN_POST_NORM] = tower  \
                                                                          ".layers.%d.final_layer_norm"
#define NORMS_BEFORE(tower)                                                                                  \
    [TFM__ROLE_ATTN_NORM] = tower ".layers.%d.self_attn_layer_norm", [TFM__ROLE_FFN_NORM] =                  \
                                                                         tower ".layers.%d.final_layer_norm"
#define BART_PREFIXES                                                                                        \
    { "model.", "", NULL }

static const tfm__names behind_encoder_names = {.role = {BART_ROLES("encoder"), NORMS_BEHIND("encoder")},
                                                .prefixes = BART_PREFIXES};
static const tfm__names behind_names = {
    .role = {BART_ROLES("decoder"), NORMS_BEHIND("decoder"),
             BART_CROSS, [TFM__ROLE_CROSS_POST_NORM] = "decoder.layers.%d.encoder_attn_layer_norm"},
    .prefixes = BART_PREFIXES};
static const tfm__names before_encoder_names = {.role = {BART_ROLES("encoder"), NORMS_BEFORE("encoder")},
                                                .prefixes = BART_PREFIXES};
static const tfm__names before_names = {
    .role = {BART_ROLES("decoder"), NORMS_BEFORE("decoder"),
             BART_CROSS, [TFM__ROLE_CROSS_NORM] = "decoder.layers.%d.encoder_attn_layer_norm"},
    .prefixes = BART_PREFIXES};

/* ---- Settings with one value only, and the rows ---- */

/* Files of 2020 say so; the published code has one way for each family. */
static const tfm__demand bart_demands[] = {{"normalize_before", "false"},
                                           {"add_final_layer_norm", "false"},
                                           {"normalize_embedding", "true"},
                                           {"static_position_embeddings", "false"},
                                           {NULL, NULL}};
static const tfm__demand marian_demands[] = {{"normalize_before", "false"},
                                             {"add_final_layer_norm", "false"},
                                             {"normalize_embedding", "false"},
                                             {"static_position_embeddings", "true"},
                                             {"share_encoder_decoder_embeddings", "true"},
                                             {NULL, NULL}};
static const tfm__demand pegasus_demands[] = {{"normalize_before", "true"},
                                              {"add_final_layer_norm", "true"},
                                              {"normalize_embedding", "false"},
                                              {"static_position_embeddings", "true"},
                                              {NULL, NULL}};

#define ENCODER .tower = TFM__TOWER_ENCODER, .encoder = true, .tied = true
#define DECODER(row) .tower = TFM__TOWER_DECODER, .encoder_row = &(row), .tied = true

#define T5                                                                                                   \
    .positions = TFM__POSITIONS_NONE, .relative_buckets = 32, .relative_distance = 128,                      \
    .fixed_attn_scale = 1.0f, .activation = TFM__RELU
#define BART                                                                                                 \
    .norm = TFM__NORM_LAYER, .order = TFM__ORDER_SUM, .embed_norm = true,                                    \
    .positions = TFM__POSITIONS_LEARNED, .position_offset = 2, .activation = TFM__GELU_ERF
#define MARIAN                                                                                               \
    .norm = TFM__NORM_LAYER, .order = TFM__ORDER_SUM, .positions = TFM__POSITIONS_SINES,                     \
    .activation = TFM__GELU_ERF
#define M2M                                                                                                  \
    .norm = TFM__NORM_LAYER, .positions = TFM__POSITIONS_SINES, .sines_to_the_end = true,                    \
    .positions_after_pad = true, .pad = 1, .activation = TFM__RELU
#define PEGASUS .norm = TFM__NORM_LAYER, .positions = TFM__POSITIONS_SINES, .activation = TFM__GELU_ERF

static const tfm__family t5_encoder = {
    .name = "t5", .hf_names = &t5_encoder_names, .gguf_names = &gguf_t5_encoder_names, ENCODER, T5};
static const tfm__family bart_encoder = {
    .name = "bart", .hf_names = &behind_encoder_names, .demands = bart_demands, ENCODER, BART};
static const tfm__family marian_encoder = {
    .name = "marian", .hf_names = &behind_encoder_names, .demands = marian_demands, ENCODER, MARIAN};
static const tfm__family m2m100_encoder = {.name = "m2m100", .hf_names = &before_encoder_names, ENCODER, M2M};
static const tfm__family pegasus_encoder = {
    .name = "pegasus", .hf_names = &before_encoder_names, .demands = pegasus_demands, ENCODER, PEGASUS};

static const tfm__family families[] = {
    {.name = "t5",
     .gguf = "t5",
     .hf = {"t5", "mt5"},
     .hf_names = &t5_names,
     .gguf_names = &gguf_t5_names,
     DECODER(t5_encoder),
     T5},
    {.name = "bart",
     .hf = {"bart"},
     .hf_names = &behind_names,
     .demands = bart_demands,
     DECODER(bart_encoder),
     BART},
    {.name = "marian",
     .hf = {"marian"},
     .hf_names = &behind_names,
     .demands = marian_demands,
     DECODER(marian_encoder),
     MARIAN},
    {.name = "m2m100", .hf = {"m2m_100"}, .hf_names = &before_names, DECODER(m2m100_encoder), M2M},
    {.name = "pegasus",
     .hf = {"pegasus"},
     .hf_names = &before_names,
     .demands = pegasus_demands,
     DECODER(pegasus_encoder),
     PEGASUS},
};

const tfm__family *tfm__seq2seq_family(size_t index) {
    return index < TFM__COUNT(families) ? &families[index] : NULL;
}
