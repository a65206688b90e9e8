/* config_ct2.c - the description of a CTranslate2 model: its rows of families, and what its variables say.
 *
 * There is no description beside the weights: sizes are those of the matrices, and settings are variables
 * without dimensions (num_heads, pre_norm, activation, ...), which files of the first revisions leave to the
 * name of the specification. Every variable must be one that is known here, with a value that is implemented;
 * others are refused by name. Sources: Vaswani et al. 2017; OpenNMT/CTranslate2, transformer_spec.py,
 * transformer.cc (the defaults). */
#include <math.h>
#include <stdio.h>

#include "kernels/kernels.h"
#include "model/families.h"

/* ---- Rows ---- */

#define CT2_ROLES(tower)                                                                                     \
    [TFM__ROLE_EMBED] = tower ".embeddings|" tower ".embeddings_0",                                          \
    [TFM__ROLE_POSITION] = tower ".position_encodings.encodings",                                            \
    [TFM__ROLE_EMBED_NORM] = tower ".layernorm_embedding", [TFM__ROLE_OUTPUT_NORM] = tower ".layer_norm",    \
    [TFM__ROLE_QKV] = tower ".layer_%d.self_attention.linear_0",                                             \
    [TFM__ROLE_ATTN_OUT] = tower ".layer_%d.self_attention.linear_1",                                        \
    [TFM__ROLE_ATTN_NORM] = tower ".layer_%d.self_attention.layer_norm",                                     \
    [TFM__ROLE_ATTN_POST_NORM] = tower ".layer_%d.self_attention.layer_norm",                                \
    [TFM__ROLE_FFN_NORM] = tower ".layer_%d.ffn.layer_norm",                                                 \
    [TFM__ROLE_FFN_POST_NORM] = tower ".layer_%d.ffn.layer_norm",                                            \
    [TFM__ROLE_UP] = tower ".layer_%d.ffn.linear_0", [TFM__ROLE_DOWN] = tower ".layer_%d.ffn.linear_1"

static const tfm__names encoder_names = {.role = {CT2_ROLES("encoder")}, .prefixes = {"", NULL}};
static const tfm__names decoder_names = {
    .role = {CT2_ROLES("decoder"), [TFM__ROLE_OUTPUT] = "decoder.projection",
             [TFM__ROLE_CROSS_NORM] = "decoder.layer_%d.attention.layer_norm",
             [TFM__ROLE_CROSS_POST_NORM] = "decoder.layer_%d.attention.layer_norm",
             [TFM__ROLE_CROSS_Q] = "decoder.layer_%d.attention.linear_0",
             [TFM__ROLE_CROSS_KV] = "decoder.layer_%d.attention.linear_1",
             [TFM__ROLE_CROSS_OUT] = "decoder.layer_%d.attention.linear_2"},
    .prefixes = {"", NULL}};

#define CT2                                                                                                  \
    .name = "ctranslate2", .norm = TFM__NORM_LAYER, .embed_norm = true, .positions = TFM__POSITIONS_SINES,   \
    .sines_to_the_end = true

static const tfm__family encoder_row = {
    .hf_names = &encoder_names, .tower = TFM__TOWER_ENCODER, .encoder = true, CT2};
static const tfm__family decoder_row = {
    .hf_names = &decoder_names, .tower = TFM__TOWER_DECODER, .encoder_row = &encoder_row, CT2};

/* ---- Variables ---- */

#define CT2_CONTEXT 1024 /* of positions that are computed; the format has no bound */

typedef struct reader {
    const tfm__container *container;
    const char *tower;
    tfm_error *error;
    int32_t status;
} reader;

/* TOWER.NAME, or NAME alone as files before revision 5 have it. */
static const tfm__tensor *find(const reader *r, const char *name) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", r->tower, name);
    const tfm__tensor *tensor = tfm__container_tensor(r->container, full);
    return tensor ? tensor : tfm__container_tensor(r->container, name);
}

static double value_of(reader *r, const tfm__tensor *tensor) {
    if (tensor->dims == 0 || (tensor->dims == 1 && tensor->shape[0] == 1)) {
        uint32_t bits = tensor->type == TFM__I16 ? tfm__u16_le(tensor->data) : 0;
        if (tensor->type == TFM__I8) return (int8_t)tensor->data[0];
        if (tensor->type == TFM__I16) return bits >= 32768 ? (double)bits - 65536.0 : (double)bits;
        if (tensor->type == TFM__I32) return (int32_t)tfm__u32_le(tensor->data);
        if (tensor->type == TFM__F32) return (double)tfm__f32_le(tensor->data);
    }
    if (!r->status)
        r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, tfm__container_file(r->container, tensor),
                                 tensor->name, tensor->offset, "a setting that is not one number");
    return 0.0;
}

static double setting(reader *r, const char *name, double otherwise) {
    const tfm__tensor *tensor = find(r, name);
    return tensor ? value_of(r, tensor) : otherwise;
}

/* A matrix's rows and columns, or 0 and 0. */
static void sizes(reader *r, const char *name, uint32_t *rows, uint32_t *columns) {
    const tfm__tensor *tensor = find(r, name);
    bool matrix = tensor && tensor->dims == 2 && tensor->shape[0] <= TFM__MAX_CONTEXT &&
                  tensor->shape[1] <= TFM__MAX_WIDTH;
    *rows = matrix ? (uint32_t)tensor->shape[0] : 0;
    *columns = matrix ? (uint32_t)tensor->shape[1] : 0;
}

/* What follows "encoder." or "decoder.", and the number of the layer. */
static const char *inside(const char *name) {
    if (!strncmp(name, "encoder.", 8) || !strncmp(name, "decoder.", 8)) name += 8;
    if (strncmp(name, "layer_", 6) || name[6] < '0' || name[6] > '9') return name;
    name += 6 + strspn(name + 6, "0123456789");
    return *name == '.' ? name + 1 : name;
}

static bool among(const char *const *list, const char *name) {
    while (*list && strcmp(*list, name)) list++;
    return *list != NULL;
}

/* Nothing in the file may be left unused. */
static void check_variables(reader *r) {
    static const char *const read[] = {
        "num_heads", "pre_norm", "activation", "scale_embeddings", "embeddings.multiply_by_sqrt_depth",
        /* without effect on one input, or on what is written */
        "embeddings_merge", "alignment_layer", "alignment_heads", "alibi_use_positive_positions",
        "with_source_bos", "with_source_eos", "with_target_bos", NULL};
    static const char *const zero[] = {"alibi",
                                       "scale_alibi",
                                       "start_from_zero_embedding",
                                       "multi_query_attention",
                                       "user_decoder_start_tokens",
                                       "final_logit_softcapping",
                                       "sliding_window",
                                       "layer_norm.layer_norm_use_residual",
                                       NULL};
    static const char *const weights[] = {"embeddings",
                                          "embeddings_0",
                                          "layernorm_embedding",
                                          "layer_norm",
                                          "projection",
                                          "self_attention.linear_0",
                                          "self_attention.linear_1",
                                          "self_attention.layer_norm",
                                          "attention.linear_0",
                                          "attention.linear_1",
                                          "attention.linear_2",
                                          "attention.layer_norm",
                                          "ffn.linear_0",
                                          "ffn.linear_1",
                                          "ffn.layer_norm",
                                          "position_encodings.encodings",
                                          NULL};
    for (size_t i = 0; i < r->container->tensor_count && !r->status; i++) {
        const tfm__tensor *tensor = &r->container->tensors[i];
        const char *name = inside(tensor->name), *end = strrchr(name, '.');
        char stem[256];
        if (among(read, name)) continue;
        if (among(zero, name) && value_of(r, tensor) == 0.0 && !r->status) continue;
        snprintf(stem, sizeof stem, "%.*s", end ? (int)(end - name) : 0, name);
        if (end && (!strcmp(end, ".weight") || !strcmp(end, ".bias")) && among(weights, stem)) continue;
        if (!r->status)
            r->status =
                tfm__fail_at(r->error, TFM_E_UNSUPPORTED, tfm__container_file(r->container, tensor),
                             tensor->name, tensor->offset, "this variable, or its value, is not implemented");
    }
}

static void read_numbers(reader *r, tfm__config *c) {
    static const int activations[] = {TFM__RELU, TFM__GELU_TANH, TFM__SILU, TFM__GELU_ERF};
    uint32_t columns, rows;
    char name[64];
    bool big = !strcmp(r->container->ct2_spec, "TransformerBig");
    double heads = setting(r, "num_heads", big ? 16.0 : 8.0), act = setting(r, "activation", 0.0);
    double scale = setting(r, "scale_embeddings", setting(r, "embeddings.multiply_by_sqrt_depth", 1.0));
    const tfm__tensor *scaled = find(r, "scale_embeddings");
    sizes(r, "embeddings.weight", &c->vocab, &c->width);
    if (!c->width) sizes(r, "embeddings_0.weight", &c->vocab, &c->width);
    sizes(r, "layer_0.ffn.linear_0.weight", &c->feed_forward, &columns);
    for (c->layers = 0; c->layers <= TFM__MAX_LAYERS; c->layers++) {
        snprintf(name, sizeof name, "layer_%u.ffn.linear_0.weight", c->layers);
        if (!find(r, name)) break;
    }
    if (r->status) return;
    if (!(heads >= 1.0 && heads <= 65536.0) || c->width % (uint32_t)heads) {
        r->status = tfm__fail_at(r->error, TFM_E_FORMAT, r->container->blobs[0].name, "num_heads",
                                 TFM__NO_OFFSET, "%g heads do not divide the width %u", heads, c->width);
        return;
    }
    if (!(act >= 0.0 && act < (double)TFM__COUNT(activations))) {
        r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->container->blobs[0].name, "activation",
                                 TFM__NO_OFFSET, "activation %g is not implemented", act);
        return;
    }
    c->heads = c->kv_heads = (uint32_t)heads;
    c->head_dim = c->value_dim = c->width / c->heads;
    c->activation = activations[(int)act];
    c->order = setting(r, "pre_norm", 1.0) != 0.0 ? TFM__ORDER_PRE : TFM__ORDER_SUM;
    /* an integer is a switch, a float the factor */
    if (!scaled || scaled->type != TFM__F32) scale = scale != 0.0 ? (double)sqrtf((float)c->width) : 1.0;
    c->embed_scale = (float)scale;
    c->context = CT2_CONTEXT;
    c->position_offset = 1; /* the first token is at position 1 */
    sizes(r, "position_encodings.encodings.weight", &rows, &columns);
    if (rows) {
        c->positions = TFM__POSITIONS_LEARNED;
        c->context = rows;
        c->position_offset = 0;
    }
}

static void read_epsilon(reader *r, tfm__config *c) {
    const tfm__json *json = &r->container->config;
    double value = 1e-5;
    tfm__json_value root = tfm__json_root(json);
    if (tfm__json_kind(json, root) == TFM__JSON_OBJECT) {
        tfm__json_value epsilon = tfm__json_get(json, root, "layer_norm_epsilon");
        if (epsilon != TFM__JSON_NONE && tfm__json_kind(json, epsilon) != TFM__JSON_NULL &&
            !tfm__json_f64(json, epsilon, &value) && !r->status)
            r->status = tfm__fail_at(r->error, TFM_E_FORMAT, json->file, "layer_norm_epsilon",
                                     tfm__json_offset(json, epsilon), "not a number");
    }
    c->epsilon = (float)value;
}

int32_t tfm__config_from_ct2(tfm__container *container, tfm__config *config, tfm_error *error) {
    static const char *const specs[] = {"TransformerBase", "TransformerBig", "TransformerSpec", NULL};
    if (!config->family) config->family = &decoder_row;
    reader r = {container, config->family == &encoder_row ? "encoder" : "decoder", error, TFM_OK};
    const char *file = container->blobs[0].name;
    if (!among(specs, container->ct2_spec))
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, file, NULL, 4,
                            "CTranslate2 models of the kind '%.60s' are not supported", container->ct2_spec);
    if (container->ct2_revision < 2 || container->ct2_revision > 7)
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, file, NULL, 4,
                            "revision %u of %s is not supported (2 to 7 are)", container->ct2_revision,
                            container->ct2_spec);
    check_variables(&r);
    if (!r.status) read_numbers(&r, config);
    if (!r.status) read_epsilon(&r, config);
    return r.status;
}
