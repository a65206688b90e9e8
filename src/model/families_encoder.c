/* families_encoder.c - the encoders' rows of the table of families, their tensor names and their heads.
 *
 * Sources: Devlin et al. 2018 (BERT), Liu et al. 2019 (RoBERTa), Sanh et al. 2019 (DistilBERT), Song et al.
 * 2020 (MPNet), Warner et al. 2024 (ModernBERT), and the weights that their authors publish in Hugging Face's
 * layout; GGUF's names from the GGUF specification's list of standardised tensor names. */
#include "kernels/kernels.h"
#include "model/families.h"

/* ---- Names ---- */

#define GGUF_ENCODER_ROLES                                                                                   \
    [TFM__ROLE_EMBED] = "token_embd", [TFM__ROLE_EMBED_NORM] = "token_embd_norm",                            \
    [TFM__ROLE_POSITION] = "position_embd", [TFM__ROLE_TOKEN_TYPE] = "token_types",                          \
    [TFM__ROLE_Q] = "blk.%d.attn_q", [TFM__ROLE_K] = "blk.%d.attn_k", [TFM__ROLE_V] = "blk.%d.attn_v",       \
    [TFM__ROLE_QKV] = "blk.%d.attn_qkv", [TFM__ROLE_ATTN_OUT] = "blk.%d.attn_output",                        \
    [TFM__ROLE_DOWN] = "blk.%d.ffn_down"
static const tfm__names gguf_bert_names = {
    .role = {GGUF_ENCODER_ROLES, [TFM__ROLE_ATTN_POST_NORM] = "blk.%d.attn_output_norm",
             [TFM__ROLE_UP] = "blk.%d.ffn_up", [TFM__ROLE_FFN_POST_NORM] = "blk.%d.layer_output_norm"},
    .prefixes = {"", NULL},
};
static const tfm__names gguf_modernbert_names = {
    .role = {GGUF_ENCODER_ROLES, [TFM__ROLE_OUTPUT_NORM] = "output_norm",
             [TFM__ROLE_ATTN_NORM] = "blk.%d.attn_norm", [TFM__ROLE_FFN_NORM] = "blk.%d.ffn_norm",
             [TFM__ROLE_GATE_UP] = "blk.%d.ffn_up"},
    .prefixes = {"", NULL},
};

#define BERT_ROLES                                                                                           \
    [TFM__ROLE_EMBED] = "embeddings.word_embeddings", [TFM__ROLE_EMBED_NORM] = "embeddings.LayerNorm",       \
    [TFM__ROLE_POSITION] = "embeddings.position_embeddings", [TFM__ROLE_POOLER] = "pooler.dense"
#define BERT_FEED_FORWARD                                                                                    \
    [TFM__ROLE_UP] = "encoder.layer.%d.intermediate.dense",                                                  \
    [TFM__ROLE_DOWN] = "encoder.layer.%d.output.dense",                                                      \
    [TFM__ROLE_FFN_POST_NORM] = "encoder.layer.%d.output.LayerNorm"
static const tfm__names bert_names = {
    .role = {BERT_ROLES, BERT_FEED_FORWARD, [TFM__ROLE_TOKEN_TYPE] = "embeddings.token_type_embeddings",
             [TFM__ROLE_Q] = "encoder.layer.%d.attention.self.query",
             [TFM__ROLE_K] = "encoder.layer.%d.attention.self.key",
             [TFM__ROLE_V] = "encoder.layer.%d.attention.self.value",
             [TFM__ROLE_ATTN_OUT] = "encoder.layer.%d.attention.output.dense",
             [TFM__ROLE_ATTN_POST_NORM] = "encoder.layer.%d.attention.output.LayerNorm"},
    .prefixes = {"", "bert.", "roberta.", NULL},
};

static const tfm__names mpnet_names = {
    .role = {BERT_ROLES, BERT_FEED_FORWARD, [TFM__ROLE_RELATIVE] = "encoder.relative_attention_bias",
             [TFM__ROLE_Q] = "encoder.layer.%d.attention.attn.q",
             [TFM__ROLE_K] = "encoder.layer.%d.attention.attn.k",
             [TFM__ROLE_V] = "encoder.layer.%d.attention.attn.v",
             [TFM__ROLE_ATTN_OUT] = "encoder.layer.%d.attention.attn.o",
             [TFM__ROLE_ATTN_POST_NORM] = "encoder.layer.%d.attention.LayerNorm"},
    .prefixes = {"", "mpnet.", NULL},
};

static const tfm__names distilbert_names = {
    .role = {[TFM__ROLE_EMBED] = "embeddings.word_embeddings",
             [TFM__ROLE_EMBED_NORM] = "embeddings.LayerNorm",
             [TFM__ROLE_POSITION] = "embeddings.position_embeddings",
             [TFM__ROLE_Q] = "transformer.layer.%d.attention.q_lin",
             [TFM__ROLE_K] = "transformer.layer.%d.attention.k_lin",
             [TFM__ROLE_V] = "transformer.layer.%d.attention.v_lin",
             [TFM__ROLE_ATTN_OUT] = "transformer.layer.%d.attention.out_lin",
             [TFM__ROLE_ATTN_POST_NORM] = "transformer.layer.%d.sa_layer_norm",
             [TFM__ROLE_UP] = "transformer.layer.%d.ffn.lin1",
             [TFM__ROLE_DOWN] = "transformer.layer.%d.ffn.lin2",
             [TFM__ROLE_FFN_POST_NORM] = "transformer.layer.%d.output_layer_norm"},
    .prefixes = {"", "distilbert.", NULL},
};

static const tfm__names modernbert_names = {
    .role = {[TFM__ROLE_EMBED] = "embeddings.tok_embeddings",
             [TFM__ROLE_EMBED_NORM] = "embeddings.norm",
             [TFM__ROLE_OUTPUT_NORM] = "final_norm",
             [TFM__ROLE_ATTN_NORM] = "layers.%d.attn_norm",
             [TFM__ROLE_QKV] = "layers.%d.attn.Wqkv",
             [TFM__ROLE_ATTN_OUT] = "layers.%d.attn.Wo",
             [TFM__ROLE_FFN_NORM] = "layers.%d.mlp_norm",
             [TFM__ROLE_GATE_UP] = "layers.%d.mlp.Wi",
             [TFM__ROLE_DOWN] = "layers.%d.mlp.Wo"},
    .prefixes = {"", "model.", NULL},
};

/* ---- Heads ---- */

#define MASKED .scope = TFM__HEAD_TOKENS, .vocabulary = true
#define TAGS .scope = TFM__HEAD_TOKENS
#define LABELS .scope = TFM__HEAD_ROWS
#define SPANS                                                                                                \
    { "ForQuestionAnswering", TAGS, .out = "qa_outputs" }

static const tfm__head_row bert_heads[] = {
    {"ForMaskedLM", MASKED, .dense = "cls.predictions.transform.dense", .activation = TFM__HEAD_MODEL,
     .norm = "cls.predictions.transform.LayerNorm", .out = "cls.predictions.decoder",
     .bias = "cls.predictions.bias"},
    {"ForPreTraining", MASKED, .dense = "cls.predictions.transform.dense", .activation = TFM__HEAD_MODEL,
     .norm = "cls.predictions.transform.LayerNorm", .out = "cls.predictions.decoder",
     .bias = "cls.predictions.bias"},
    {"ForSequenceClassification", LABELS, .pooled = true, .out = "classifier"},
    {"ForNextSentencePrediction", LABELS, .pooled = true, .out = "cls.seq_relationship"},
    {"ForTokenClassification", TAGS, .out = "classifier"},
    SPANS,
    {.out = NULL},
};

/* RoBERTa and MPNet. */
static const tfm__head_row roberta_heads[] = {
    {"ForMaskedLM", MASKED, .dense = "lm_head.dense", .activation = TFM__HEAD_GELU,
     .norm = "lm_head.layer_norm", .out = "lm_head.decoder", .bias = "lm_head.bias"},
    {"ForSequenceClassification", LABELS, .dense = "classifier.dense", .activation = TFM__HEAD_TANH,
     .out = "classifier.out_proj"},
    {"ForTokenClassification", TAGS, .out = "classifier"},
    SPANS,
    {.out = NULL},
};

static const tfm__head_row distilbert_heads[] = {
    {"ForMaskedLM", MASKED, .dense = "vocab_transform", .activation = TFM__HEAD_MODEL,
     .norm = "vocab_layer_norm", .out = "vocab_projector"},
    {"ForSequenceClassification", LABELS, .dense = "pre_classifier", .activation = TFM__HEAD_RELU,
     .out = "classifier"},
    {"ForTokenClassification", TAGS, .out = "classifier"},
    SPANS,
    {.out = NULL},
};

static const tfm__head_row modernbert_heads[] = {
    {"ForMaskedLM", MASKED, .dense = "head.dense", .activation = TFM__HEAD_GELU, .norm = "head.norm",
     .out = "decoder"},
    {"ForSequenceClassification", LABELS, .dense = "head.dense", .activation = TFM__HEAD_GELU,
     .norm = "head.norm", .out = "classifier"},
    {"ForTokenClassification", TAGS, .dense = "head.dense", .activation = TFM__HEAD_GELU, .norm = "head.norm",
     .out = "classifier"},
    {"ForQuestionAnswering", TAGS, .dense = "head.dense", .activation = TFM__HEAD_GELU, .norm = "head.norm",
     .out = "classifier"},
    {.out = NULL},
};

/* Converters keep the heads of rerankers. */
static const tfm__head_row gguf_bert_heads[] = {
    {NULL, LABELS, .dense = "cls", .activation = TFM__HEAD_TANH, .out = "cls.output"},
    {.out = NULL},
};
static const tfm__head_row gguf_modernbert_heads[] = {
    {NULL, LABELS, .mean = true, .dense = "cls", .activation = TFM__HEAD_GELU, .norm = "cls.norm",
     .out = "cls.output"},
    {.out = NULL},
};

/* ---- Settings with one value only, and the rows ---- */

static const tfm__demand bert_demands[] = {{"position_embedding_type", "\"absolute\""},
                                           {"is_decoder", "false"},
                                           {"add_cross_attention", "false"},
                                           {NULL, NULL}};
/* The published code computes 32 buckets whatever the file says. */
static const tfm__demand mpnet_demands[] = {
    {"relative_attention_num_buckets", "32"}, {"relative_attention_max_distance", "128"}, {NULL, NULL}};
static const tfm__demand modernbert_demands[] = {{"classifier_activation", "\"gelu\""}, {NULL, NULL}};

#define POST_NORM_ENCODER                                                                                    \
    .norm = TFM__NORM_LAYER, .encoder = true, .order = TFM__ORDER_SUM, .embed_norm = true,                   \
    .positions = TFM__POSITIONS_LEARNED, .epsilon = 1e-12f, .activation = TFM__GELU_ERF, .tied = true

static const tfm__family families[] = {
    {.name = "bert",
     .gguf = "bert",
     .hf = {"bert"},
     .hf_names = &bert_names,
     .gguf_names = &gguf_bert_names,
     .heads = bert_heads,
     .gguf_heads = gguf_bert_heads,
     .demands = bert_demands,
     POST_NORM_ENCODER},
    {.name = "roberta",
     .hf = {"roberta", "xlm-roberta", "camembert"},
     .hf_names = &bert_names,
     .positions_after_pad = true,
     .pad = 1,
     .heads = roberta_heads,
     .demands = bert_demands,
     POST_NORM_ENCODER},
    {.name = "distilbert",
     .hf = {"distilbert"},
     .hf_names = &distilbert_names,
     .heads = distilbert_heads,
     POST_NORM_ENCODER},
    {.name = "mpnet",
     .hf = {"mpnet"},
     .hf_names = &mpnet_names,
     .positions_after_pad = true,
     .pad = 1,
     .relative_buckets = 32,
     .relative_distance = 128,
     .heads = roberta_heads,
     .demands = mpnet_demands,
     POST_NORM_ENCODER},
    {.name = "modernbert",
     .gguf = "modern-bert",
     .hf = {"modernbert"},
     .hf_names = &modernbert_names,
     .gguf_names = &gguf_modernbert_names,
     .norm = TFM__NORM_LAYER,
     .encoder = true,
     .embed_norm = true,
     .first_norm_free = true,
     .activation = TFM__GELU_ERF,
     .gated = true,
     .tied = true,
     .window = TFM__WINDOW_AFTER,
     .window_pattern = 3,
     .local_rope = true,
     .heads = modernbert_heads,
     .gguf_heads = gguf_modernbert_heads,
     .demands = modernbert_demands},
    /* Gemma 3 that looks both ways has a name of its own in GGUF; in config.json it is a setting. */
    {.name = "gemma-embedding",
     .gguf = "gemma-embedding",
     .encoder = true,
     .post_norms = true,
     .qk_norm = TFM__QK_NORM_HEAD,
     .activation = TFM__GELU_TANH,
     .gated = true,
     .tied = true,
     .scale_embedding = true,
     .window = TFM__WINDOW_PATTERN,
     .window_pattern = 6,
     .local_rope = true},
};

const tfm__family *tfm__encoder_family(size_t index) {
    return index < TFM__COUNT(families) ? &families[index] : NULL;
}
