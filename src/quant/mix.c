/* mix.c - which tensor gets which type. Called by quantize.c.
 *
 * A mix has a main type and rules that give some tensors another one: those whose errors hurt most get more
 * bits, and where they are many, only in the first and last layers and in every third between. Which tensors
 * are quantised at all, and every choice, are those of llama.cpp's llama-quantize (observed behaviour; the
 * k-quant mixes are Kawrakow's, ggml pull request 1684 and after), so that files of the same name hold the
 * same. The rules are a table: the first row that fits a tensor decides. */
#include <stdio.h>

#include "kernels/quantize.h"
#include "quant/quant.h"

enum {
    MIX_F32 = 1 << 0,
    MIX_F16 = 1 << 1,
    MIX_BF16 = 1 << 2,
    MIX_Q4_0 = 1 << 3,
    MIX_Q4_1 = 1 << 4,
    MIX_Q5_0 = 1 << 5,
    MIX_Q5_1 = 1 << 6,
    MIX_Q8_0 = 1 << 7,
    MIX_Q2_K = 1 << 8,
    MIX_Q2_K_S = 1 << 9,
    MIX_Q3_K_S = 1 << 10,
    MIX_Q3_K_M = 1 << 11,
    MIX_Q3_K_L = 1 << 12,
    MIX_Q4_K_S = 1 << 13,
    MIX_Q4_K_M = 1 << 14,
    MIX_Q5_K_S = 1 << 15,
    MIX_Q5_K_M = 1 << 16,
    MIX_Q6_K = 1 << 17,
    MIX_IQ4_NL = 1 << 18,
    MIX_IQ4_XS = 1 << 19,
    MIX_MXFP4 = 1 << 20,
    MIX_MXFP4_MOE = 1 << 21
};

struct tfm__mix {
    const char *name;
    uint32_t bit;  /* MIX_* */
    uint32_t type; /* the main one */
    uint32_t file; /* its number in general.file_type */
};

static const tfm__mix mixes[] = {
    {"F32", MIX_F32, TFM__F32, 0},
    {"F16", MIX_F16, TFM__F16, 1},
    {"BF16", MIX_BF16, TFM__BF16, 32},
    {"Q8_0", MIX_Q8_0, TFM__Q8_0, 7},
    {"Q6_K", MIX_Q6_K, TFM__Q6_K, 18},
    {"Q5_K_M", MIX_Q5_K_M, TFM__Q5_K, 17},
    {"Q5_K_S", MIX_Q5_K_S, TFM__Q5_K, 16},
    {"Q5_1", MIX_Q5_1, TFM__Q5_1, 9},
    {"Q5_0", MIX_Q5_0, TFM__Q5_0, 8},
    {"Q4_K_M", MIX_Q4_K_M, TFM__Q4_K, 15},
    {"Q4_K_S", MIX_Q4_K_S, TFM__Q4_K, 14},
    {"Q4_1", MIX_Q4_1, TFM__Q4_1, 3},
    {"Q4_0", MIX_Q4_0, TFM__Q4_0, 2},
    {"IQ4_NL", MIX_IQ4_NL, TFM__IQ4_NL, 25},
    {"IQ4_XS", MIX_IQ4_XS, TFM__IQ4_XS, 30},
    {"MXFP4", MIX_MXFP4, TFM__MXFP4, 38},
    {"MXFP4_MOE", MIX_MXFP4_MOE, TFM__MXFP4, 38},
    {"Q3_K_L", MIX_Q3_K_L, TFM__Q3_K, 13},
    {"Q3_K_M", MIX_Q3_K_M, TFM__Q3_K, 12},
    {"Q3_K_S", MIX_Q3_K_S, TFM__Q3_K, 11},
    {"Q2_K", MIX_Q2_K, TFM__Q2_K, 10},
    {"Q2_K_S", MIX_Q2_K_S, TFM__Q2_K, 21},
    {"Q5_K", MIX_Q5_K_M, TFM__Q5_K, 17}, /* other names for the usual ones */
    {"Q4_K", MIX_Q4_K_M, TFM__Q4_K, 15},
    {"Q3_K", MIX_Q3_K_M, TFM__Q3_K, 12},
};

static bool same_name(const char *a, const char *b) {
    for (; *a && *b; a++, b++) {
        char x = *a >= 'a' && *a <= 'z' ? (char)(*a - 32) : *a;
        if (x != *b) return false;
    }
    return *a == *b;
}

const tfm__mix *tfm__mix_find(const char *name) {
    for (size_t i = 0; i < TFM__COUNT(mixes); i++)
        if (same_name(name, mixes[i].name)) return &mixes[i];
    return NULL;
}

const char *tfm__mix_at(size_t index) { return index < TFM__COUNT(mixes) ? mixes[index].name : NULL; }
uint32_t tfm__mix_file_type(const tfm__mix *mix) { return mix->file; }

/* ---- Rules ---- */

enum { VALUES = 0, KEYS, FUSED, DOWN, ATTENTION_OUT, KIND_COUNT };

static const char *const kind_names[KIND_COUNT] = {"attn_v.weight", "attn_k.weight", "attn_qkv.weight",
                                                   "ffn_down", "attn_output.weight"};

/* When a rule holds; several must hold together. */
enum {
    ALWAYS = 0,
    SHARED = 1 << 0,     /* four query heads or more share a value head */
    FIRST_2 = 1 << 1,    /* the first two of this kind */
    FIRST_4 = 1 << 2,    /* the first four */
    EIGHTH = 1 << 3,     /* the first eighth of the layers */
    SIXTEENTH = 1 << 4,  /* the first sixteenth */
    SPREAD = 1 << 5,     /* the first and the last eighth, and every third between */
    WEIGHTED = 1 << 6,   /* there is an importance matrix */
    UNWEIGHTED = 1 << 7, /* there is none */
    EIGHT = 1 << 8,      /* eight experts */
    LESS = 1 << 9,       /* families whose mixes give the ends of half-blocks fewer bits */
    NOT_LESS = 1 << 10,  /* all others */
    NOT_EIGHT = 1 << 11,
    DEEP_SHARED = 1 << 12 /* many layers, shared heads: Llama's 70 B */
};

#define MIXES_4_5_M (MIX_Q4_K_M | MIX_Q5_K_M)
#define MIXES_IQ4 (MIX_IQ4_NL | MIX_IQ4_XS)
#define MIXES_EIGHT (MIX_Q2_K | MIX_Q3_K_S | MIX_Q3_K_M | MIX_Q4_K_S | MIX_Q4_K_M | MIX_IQ4_NL | MIX_IQ4_XS)
#define ALL_BUT_PLAIN (~(uint32_t)(MIX_F32 | MIX_F16 | MIX_BF16 | MIX_MXFP4_MOE))

static const struct {
    int kind;
    uint32_t mixes;
    uint32_t when;
    uint32_t type;
} rules[] = {
    {VALUES, ALL_BUT_PLAIN, EIGHT, TFM__Q8_0},
    {VALUES, MIX_Q2_K | MIX_Q3_K_S | MIX_Q3_K_M | MIX_Q4_K_S, DEEP_SHARED, TFM__Q5_K},
    {VALUES, MIX_Q2_K_S, SHARED | DEEP_SHARED, TFM__Q5_K},
    {VALUES, MIX_Q2_K | MIX_Q2_K_S, SHARED, TFM__Q4_K},
    {VALUES, MIX_Q2_K, ALWAYS, TFM__Q3_K},
    {VALUES, MIX_Q3_K_M, FIRST_2, TFM__Q5_K},
    {VALUES, MIX_Q3_K_M, ALWAYS, TFM__Q4_K},
    {VALUES, MIX_Q3_K_L, ALWAYS, TFM__Q5_K},
    {VALUES, MIXES_IQ4, SHARED, TFM__Q5_K},
    {VALUES, MIXES_4_5_M, SPREAD, TFM__Q6_K},
    {VALUES, MIX_Q4_K_M, DEEP_SHARED, TFM__Q5_K},
    {VALUES, MIX_Q4_K_S, FIRST_4, TFM__Q5_K},
    {KEYS, ALL_BUT_PLAIN, EIGHT, TFM__Q8_0},
    {FUSED, MIX_Q3_K_M | MIX_Q3_K_L, ALWAYS, TFM__Q4_K},
    {FUSED, MIX_Q4_K_M, ALWAYS, TFM__Q5_K},
    {FUSED, MIX_Q5_K_M, ALWAYS, TFM__Q6_K},
    {DOWN, MIX_Q2_K, ALWAYS, TFM__Q3_K},
    {DOWN, MIX_Q2_K_S, EIGHTH, TFM__Q4_K},
    {DOWN, MIX_Q3_K_M, SIXTEENTH, TFM__Q5_K},
    {DOWN, MIX_Q3_K_M, NOT_LESS, TFM__Q4_K},
    {DOWN, MIX_Q3_K_M, SPREAD, TFM__Q4_K},
    {DOWN, MIX_Q3_K_L, LESS, TFM__Q4_K},
    {DOWN, MIX_Q3_K_L, ALWAYS, TFM__Q5_K},
    {DOWN, MIX_Q4_K_M, LESS | SIXTEENTH, TFM__Q6_K},
    {DOWN, MIX_Q4_K_M, LESS | SPREAD, TFM__Q5_K},
    {DOWN, MIX_Q4_K_M, NOT_LESS | SPREAD, TFM__Q6_K},
    {DOWN, MIXES_IQ4, UNWEIGHTED | EIGHTH, TFM__Q5_K},
    {DOWN, MIX_Q5_K_M, SPREAD, TFM__Q6_K},
    {DOWN, MIX_Q4_K_S, NOT_LESS | EIGHTH, TFM__Q5_K},
    {DOWN, MIX_Q4_0, WEIGHTED | EIGHTH, TFM__Q4_1},
    {DOWN, MIX_Q5_0, WEIGHTED | EIGHTH, TFM__Q5_1},
    {ATTENTION_OUT, MIXES_EIGHT, NOT_LESS | EIGHT, TFM__Q5_K},
    {ATTENTION_OUT, MIX_Q2_K, NOT_LESS | NOT_EIGHT, TFM__Q3_K},
    {ATTENTION_OUT, MIX_Q3_K_M, NOT_LESS | NOT_EIGHT, TFM__Q4_K},
    {ATTENTION_OUT, MIX_Q3_K_L, NOT_LESS | NOT_EIGHT, TFM__Q5_K},
    {ATTENTION_OUT, MIX_Q3_K_L, LESS, TFM__Q4_K},
};

/* What is counted on the way through a plan. */
typedef struct counters {
    const tfm__plan *plan;
    bool weighted, has_output;
    uint32_t values, seen_values, seen_down;
} counters;

/* The layer in "blk.12.", or -1. */
static int64_t layer_of(const char *name) {
    int64_t layer = 0;
    if (strncmp(name, "blk.", 4) != 0 || name[4] < '0' || name[4] > '9') return -1;
    for (name += 4; *name >= '0' && *name <= '9' && layer < INT32_MAX; name++)
        layer = 10 * layer + (*name - '0');
    return *name == '.' ? layer : -1;
}

/* Number i of n lies in the first or last eighth, or is every third between. */
static bool spread(uint32_t i, uint32_t n) { return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2; }

static bool holds(const counters *c, uint32_t when, uint32_t index, uint32_t of) {
    const tfm__plan *plan = c->plan;
    bool shared = plan->kv_heads && plan->heads / plan->kv_heads >= 4;
    bool deep =
        plan->mixes_values_more && plan->layers == plan->mixes_values_more && plan->heads != plan->kv_heads;
    const struct {
        uint32_t flag;
        bool value;
    } facts[] = {
        {SHARED, shared},
        {FIRST_2, index < 2},
        {FIRST_4, index < 4},
        {EIGHTH, index < of / 8},
        {SIXTEENTH, index < of / 16},
        {SPREAD, spread(index, of)},
        {WEIGHTED, c->weighted},
        {UNWEIGHTED, !c->weighted},
        {EIGHT, plan->experts == 8},
        {NOT_EIGHT, plan->experts != 8},
        {LESS, plan->mixes_down_less},
        {NOT_LESS, !plan->mixes_down_less},
        {DEEP_SHARED, deep},
    };
    for (size_t i = 0; i < TFM__COUNT(facts); i++)
        if ((when & facts[i].flag) && !facts[i].value) return false;
    return true;
}

static uint32_t by_rules(const tfm__mix *mix, counters *c, const char *name) {
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (!strstr(name, kind_names[kind])) continue;
        uint32_t index = kind == VALUES ? c->seen_values : c->seen_down;
        uint32_t of = kind == VALUES ? c->values : c->plan->layers;
        if (kind == DOWN && c->plan->experts > 1) { /* several in a layer: the layer's number counts */
            int64_t layer = layer_of(name);
            index = layer < 0 ? 0 : (uint32_t)layer;
        }
        c->seen_values += kind == VALUES;
        c->seen_down += kind == DOWN;
        for (size_t i = 0; i < TFM__COUNT(rules); i++)
            if (rules[i].kind == kind && (rules[i].mixes & mix->bit) && holds(c, rules[i].when, index, of))
                return rules[i].type;
        return mix->type;
    }
    return mix->type;
}

/* ---- Types ---- */

static bool is_blocked(uint32_t type) { return tfm__dtype_of(type)->block > 1; }

/* Matrices of weights, but none of the small ones on which much depends. */
static bool is_quantised(const tfm__gguf_tensor *tensor) {
    static const char *const kept[] = {
        "_norm.weight",
        "ffn_gate_inp.weight",
        "position_embd.weight",
        "token_types.weight",
        "ssm_conv1d.weight",
        "attn_rel_b.weight",
        "shortconv.conv.weight",
        "ffn_gate_inp_shexp.weight",
        "time_mix_first",
        "time_mix_w",
        "time_mix_v",
        "time_mix_a",
        "time_mix_g",
        "time_mix_decay_w",
        "time_mix_lerp_fused",
    };
    size_t length = strlen(tensor->name);
    uint32_t dims = tensor->dims;
    for (uint32_t i = 0; i < tensor->dims && tensor->shape[i] == 1; i++) dims--;
    if (dims < 2 || length < 6 || strcmp(tensor->name + length - 6, "weight") != 0) return false;
    for (size_t i = 0; i < TFM__COUNT(kept); i++)
        if (strstr(tensor->name, kept[i])) return false;
    return true;
}

/* A type of smaller blocks for rows that are no whole number of blocks. */
static uint32_t fall_back(uint32_t type, uint64_t columns) {
    switch (type) {
    case TFM__Q2_K:
    case TFM__Q3_K:
    case TFM__IQ4_XS:
        type = TFM__IQ4_NL;
        break;
    case TFM__Q4_K:
        type = TFM__Q5_0;
        break;
    case TFM__Q5_K:
        type = TFM__Q5_1;
        break;
    case TFM__Q6_K:
        type = TFM__Q8_0;
        break;
    default:
        break;
    }
    return columns % tfm__dtype_of(type)->block ? TFM__F16 : type;
}

static int32_t named_type(const char *name, uint32_t *type, tfm_error *error) {
    for (uint32_t i = 0; name && i < TFM__DTYPE_COUNT; i++) {
        if (!tfm__quantize_makes(i) || !same_name(name, tfm__dtype_of(i)->name)) continue;
        *type = i;
        return TFM_OK;
    }
    if (!name) return TFM_OK;
    return tfm__fail(error, TFM_E_ARGUMENT, "there is no weight type '%.40s'", name);
}

static uint32_t choose(const tfm__mix *mix, counters *c, const tfm__gguf_tensor *tensor, bool pure,
                       bool output) {
    uint64_t columns = tensor->shape[tensor->dims - 1];
    if (!is_blocked(mix->type) || pure) return mix->type;
    if (output) {
        if (c->plan->mixes_down_less || columns % tfm__dtype_of(mix->type)->block) return TFM__Q8_0;
        return mix->type == TFM__Q8_0 || mix->type == TFM__MXFP4 ? TFM__Q8_0 : TFM__Q6_K;
    }
    if (mix->bit == MIX_MXFP4_MOE && (tensor->dims < 3 || tensor->shape[0] == 1)) return TFM__Q8_0;
    return strcmp(tensor->name, "token_embd.weight") ? by_rules(mix, c, tensor->name) : mix->type;
}

static void remark(const tfm__plan *plan, const tfm__gguf_tensor *tensor, uint32_t wanted) {
    char text[256];
    if (!plan->log) return;
    snprintf(text, sizeof text, "%s: rows of %llu are no whole number of %s blocks: %s instead", tensor->name,
             (unsigned long long)tensor->shape[tensor->dims - 1], tfm__dtype_of(wanted)->name,
             tfm__dtype_of(tensor->type)->name);
    plan->log(plan->log_user, TFM_LOG_WARNING, text);
}

static int by_layer_and_name(const void *context, uint32_t a, uint32_t b) {
    const tfm__planned *tensors = context;
    int64_t x = layer_of(tensors[a].out.name), y = layer_of(tensors[b].out.name);
    if (x != y) return x < y ? -1 : 1;
    return strcmp(tensors[a].out.name, tensors[b].out.name);
}

static int32_t sort_plan(tfm__plan *plan) {
    size_t bytes = plan->count * sizeof *plan->tensors;
    uint32_t *order = tfm__alloc_array(plan->heap, plan->count, sizeof *order);
    tfm__planned *sorted = tfm__alloc(plan->heap, bytes);
    if (order && sorted) {
        for (size_t i = 0; i < plan->count; i++) order[i] = (uint32_t)i;
        tfm__sort(order, plan->count, by_layer_and_name, plan->tensors);
        for (size_t i = 0; i < plan->count; i++) sorted[i] = plan->tensors[order[i]];
        memcpy(plan->tensors, sorted, bytes);
    }
    bool ok = order && sorted;
    tfm__free(plan->heap, order);
    tfm__free(plan->heap, sorted);
    return ok ? TFM_OK : tfm__fail_memory(plan->error, plan->heap, bytes);
}

int32_t tfm__mix_apply(const tfm__mix *mix, tfm__plan *plan, const tfm_quantize_options *options,
                       bool weighted, tfm_quantize_result *result) {
    counters c = {.plan = plan, .weighted = weighted};
    uint32_t output_type = UINT32_MAX, embedding_type = UINT32_MAX;
    int32_t status = named_type(options->output_type, &output_type, plan->error);
    if (!status) status = named_type(options->embedding_type, &embedding_type, plan->error);
    if (!status) status = sort_plan(plan);
    if (status) return status;
    for (size_t i = 0; i < plan->count; i++) {
        const char *name = plan->tensors[i].out.name;
        c.has_output = c.has_output || !strcmp(name, "output.weight");
        c.values += strstr(name, "attn_v.weight") || strstr(name, "attn_qkv.weight") ||
                    strstr(name, "attn_kv_b.weight");
    }
    for (size_t i = 0; i < plan->count; i++) {
        tfm__gguf_tensor *out = &plan->tensors[i].out;
        bool embedding = !strcmp(out->name, "token_embd.weight");
        bool output = c.has_output ? !strcmp(out->name, "output.weight") : embedding;
        if (!tfm__dtype_of(out->type)->weights || !is_quantised(out)) continue;
        uint32_t wanted = choose(mix, &c, out, options->pure != 0, output);
        if (output && output_type != UINT32_MAX) wanted = output_type;
        if (embedding && embedding_type != UINT32_MAX) wanted = embedding_type;
        out->type = wanted;
        if (out->shape[out->dims - 1] % tfm__dtype_of(wanted)->block == 0) continue;
        out->type = fall_back(wanted, out->shape[out->dims - 1]);
        result->fallbacks++;
        remark(plan, out, wanted);
    }
    return TFM_OK;
}
