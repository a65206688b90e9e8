/* hf_tensors.c - the plan for sources that are not GGUF: each tensor that the family has, found under the
 * name that it has there, with the name that GGUF gives it. Called by quantize.c.
 *
 * Where GGUF's layout differs, the plan says how: matrices that are stored the other way round (GPT-2), heads
 * whose rotary pairs are halves and not neighbours (Llama), queries, keys and values in groups (GPT-NeoX),
 * norm weights that lack one (Gemma), a matrix for each expert instead of one tensor for all. All of that is
 * in the description; nothing here knows a family. Divisors of rotary frequencies are tensors in GGUF. */
#include <stdio.h>

#include "model/bind.h"
#include "quant/quant.h"

typedef struct finder {
    tfm__plan *plan;
    tfm_model *model;
    tfm__binder binder;
    const tfm__names *names; /* GGUF's */
    bool neighbours;         /* pairs have to become neighbours */
} finder;

/* Alternative number `choice` of a pattern with the layer in place of %d. */
static const char *out_name(finder *f, const char *pattern, int choice, uint32_t layer, const char *ending) {
    char name[256];
    size_t used = 0;
    for (; choice > 0; choice--) pattern = strchr(pattern, '|') + 1;
    for (; *pattern && *pattern != '|' && used + 24 < sizeof name; pattern++) {
        if (pattern[0] == '%' && pattern[1] == 'd') {
            used += (size_t)snprintf(name + used, sizeof name - used, "%u", layer);
            pattern++;
        } else {
            name[used++] = *pattern;
        }
    }
    used += (size_t)snprintf(name + used, sizeof name - used, "%s", ending);
    return tfm__arena_text(&f->plan->arena, name, used);
}

static bool is_norm(int role) {
    static const int norms[] = {TFM__ROLE_EMBED_NORM, TFM__ROLE_OUTPUT_NORM,  TFM__ROLE_ATTN_NORM,
                                TFM__ROLE_Q_NORM,     TFM__ROLE_K_NORM,       TFM__ROLE_ATTN_POST_NORM,
                                TFM__ROLE_FFN_NORM,   TFM__ROLE_FFN_POST_NORM};
    for (size_t i = 0; i < TFM__COUNT(norms); i++)
        if (norms[i] == role) return true;
    return false;
}

/* GGUF's name for a role of a layer. A family with two norms in a parallel block names the one of attention
 * otherwise than with one: the first alternative is for two. */
static int32_t name_of(finder *f, int role, uint32_t layer, const char *ending, const tfm__tensor *source,
                       const char **name) {
    const char *pattern = f->names->role[role];
    int choice = 0;
    if (!pattern)
        return tfm__fail_at(f->plan->error, TFM_E_UNSUPPORTED, f->model->container.blobs[0].name,
                            source->name, source->offset, "GGUF has no name for this tensor of the family %s",
                            f->model->config.family->name);
    if (role == TFM__ROLE_ATTN_NORM && strchr(pattern, '|') &&
        !tfm__bind_find(&f->binder, TFM__ROLE_FFN_NORM, layer, ".weight", false))
        choice = 1;
    *name = out_name(f, pattern, choice, layer, ending);
    return *name ? TFM_OK : tfm__fail_memory(f->plan->error, f->plan->heap, 256);
}

/* How rows of a role change their places. What moves has to be all rows of a matrix, or all values of a
 * vector: a bias may also come as a row for each head. */
static int32_t set_order(const finder *f, int role, tfm__planned *planned) {
    const tfm__config *c = &f->model->config;
    tfm__gguf_tensor *out = &planned->out;
    uint64_t rows = 0;
    planned->heads = role == TFM__ROLE_K ? c->kv_heads : c->heads;
    planned->kv_heads = c->kv_heads;
    planned->head_dim = c->head_dim;
    planned->rotary = c->rotary_dim;
    if (f->neighbours && (role == TFM__ROLE_Q || role == TFM__ROLE_K)) {
        planned->order = TFM__ORDER_ROTARY;
        rows = (uint64_t)planned->heads * c->head_dim;
    } else if (role == TFM__ROLE_QKV && c->fused == TFM__FUSED_GROUPS) {
        planned->order = TFM__ORDER_GROUPS;
        rows = ((uint64_t)c->heads + 2 * (uint64_t)c->kv_heads) * c->head_dim;
    }
    if (planned->order == TFM__ORDER_AS_IS || (out->dims <= 2 && out->dims >= 1 && out->shape[0] == rows))
        return TFM_OK;
    if (out->dims == 2 && out->shape[0] * out->shape[1] == rows) {
        out->dims = 1;
        out->shape[0] = rows;
        return TFM_OK;
    }
    return tfm__fail_at(f->plan->error, TFM_E_SHAPE,
                        tfm__container_file(&f->model->container, planned->source), planned->source->name,
                        planned->source->offset, "not %llu rows, which are to change places",
                        (unsigned long long)rows);
}

static int32_t add(finder *f, int role, uint32_t layer, const char *ending, const tfm__tensor *source) {
    const tfm__config *c = &f->model->config;
    const char *name = NULL;
    tfm__planned *planned = NULL;
    int32_t status = name_of(f, role, layer, ending, source, &name);
    if (!status) status = tfm__plan_add(f->plan, &planned);
    if (status) return status;
    uint32_t dims = source->dims;
    if (dims > 4)
        return tfm__fail_at(f->plan->error, TFM_E_SHAPE, tfm__container_file(&f->model->container, source),
                            source->name, source->offset, "%u dimensions", dims);
    planned->source = source;
    planned->out = (tfm__gguf_tensor){.name = name, .type = TFM__F32, .dims = dims};
    memcpy(planned->out.shape, source->shape, dims * sizeof *source->shape);
    bool matrix = dims >= 2 && !is_norm(role);
    if (matrix && f->binder.transposed && role >= TFM__ROLE_ATTN_NORM && dims == 2) {
        planned->transposed = true;
        planned->out.shape[0] = source->shape[1];
        planned->out.shape[1] = source->shape[0];
    }
    if ((status = set_order(f, role, planned)) != 0) return status;
    if (is_norm(role) && !strcmp(ending, ".weight")) planned->offset = c->norm_offset;
    return TFM_OK;
}

/* One matrix (or bias) for each expert becomes one tensor for all. */
static int32_t add_experts(finder *f, int role, uint32_t layer, const char *ending) {
    uint32_t count = f->model->config.experts.count;
    const tfm__tensor *first = tfm__bind_find_expert(&f->binder, role, layer, 0, ending, false);
    if (!first) return TFM_OK;
    const tfm__tensor **parts = tfm__arena_alloc(&f->plan->arena, count * sizeof *parts);
    if (!parts) return tfm__fail_memory(f->plan->error, f->plan->heap, count * sizeof *parts);
    for (uint32_t e = 0; e < count; e++) {
        parts[e] = tfm__bind_find_expert(&f->binder, role, layer, e, ending, true);
        if (!parts[e]) return f->binder.status;
        if (parts[e]->dims != first->dims || first->dims < 1 || first->dims > 2 ||
            parts[e]->type != first->type ||
            memcmp(parts[e]->shape, first->shape, first->dims * sizeof *first->shape))
            return tfm__fail_at(f->plan->error, TFM_E_SHAPE,
                                tfm__container_file(&f->model->container, parts[e]), parts[e]->name,
                                parts[e]->offset, "experts of different shapes or types");
    }
    int32_t status = add(f, role, layer, ending, first);
    if (status) return status;
    tfm__planned *planned = &f->plan->tensors[f->plan->count - 1];
    planned->source = NULL;
    planned->parts = parts;
    planned->out.dims = first->dims + 1;
    if (planned->out.dims == 3) planned->out.shape[2] = planned->out.shape[1];
    planned->out.shape[1] = planned->out.shape[0];
    planned->out.shape[0] = count;
    return TFM_OK;
}

static int32_t add_role(finder *f, int role, uint32_t layer) {
    static const char *const endings[] = {".weight", ".bias"};
    bool bare = role == TFM__ROLE_ROUTER_CORRECTION;
    for (size_t i = 0; i < (bare ? 1 : TFM__COUNT(endings)); i++) {
        const char *ending = bare ? "" : endings[i];
        const tfm__tensor *source = tfm__bind_find(&f->binder, role, layer, ending, false);
        int32_t status = source ? add(f, role, layer, ending, source) : TFM_OK;
        if (!status && !source && f->model->config.experts.count && role >= TFM__ROLE_EXPERT_GATE &&
            role <= TFM__ROLE_EXPERT_DOWN)
            status = add_experts(f, role, layer, ending);
        if (status) return status;
    }
    return TFM_OK;
}

/* ---- Divisors of rotary frequencies ---- */

static int32_t add_divisors(finder *f, int role, const float *values) {
    static const tfm__tensor nothing = {.name = "the rotary divisors"};
    uint32_t pairs = f->model->config.rotary_dim / 2;
    const char *name = NULL;
    tfm__planned *planned = NULL;
    int32_t status = name_of(f, role, 0, ".weight", &nothing, &name);
    if (!status) status = tfm__plan_add(f->plan, &planned);
    if (status) return status;
    planned->values = values;
    planned->out = (tfm__gguf_tensor){.name = name, .type = TFM__F32, .dims = 1, .shape = {pairs}};
    return TFM_OK;
}

/* Llama 3.1's scaling as a divisor for each pair: what the plain frequency is more than the stretched one. */
static int32_t add_llama3(finder *f, const tfm__rope *rope) {
    uint32_t pairs = f->model->config.rotary_dim / 2;
    float *values = tfm__arena_alloc(&f->plan->arena, pairs * sizeof *values);
    double *plain = tfm__alloc_array(f->plan->heap, 2 * (size_t)pairs, sizeof *plain);
    int32_t status;
    if (values && plain) {
        tfm__rope_inverse(rope, TFM__ROPE_DEFAULT, f->model->config.rotary_dim, plain);
        tfm__rope_inverse(rope, TFM__ROPE_LLAMA3, f->model->config.rotary_dim, plain + pairs);
        for (uint32_t i = 0; i < pairs; i++) values[i] = (float)(plain[i] / plain[pairs + i]);
        status = add_divisors(f, TFM__ROLE_ROPE_FACTORS, values);
    } else {
        status = tfm__fail_memory(f->plan->error, f->plan->heap, pairs * 2 * sizeof *plain);
    }
    tfm__free(f->plan->heap, plain);
    return status;
}

static int32_t add_rotary(finder *f) {
    const tfm__rope *rope = &f->model->config.rope[TFM__ROPE_GLOBAL];
    int32_t status = TFM_OK;
    if (f->model->config.positions != TFM__POSITIONS_ROTARY) return TFM_OK;
    if (rope->scaling == TFM__ROPE_LLAMA3) status = add_llama3(f, rope);
    if (!status && rope->long_factors) status = add_divisors(f, TFM__ROLE_ROPE_LONG, rope->long_factors);
    if (!status && rope->short_factors) status = add_divisors(f, TFM__ROLE_ROPE_SHORT, rope->short_factors);
    return status;
}

/* ---- All ---- */

int32_t tfm__plan_model(tfm__plan *plan, tfm_model *model) {
    const tfm__config *c = &model->config;
    bool hf = model->container.format == TFM__FORMAT_HF;
    const char *architecture = c->family->gguf ? c->family->gguf : c->family->gguf_as;
    const char *file = model->container.blobs[0].name;
    if (!architecture || c->encoder || c->cross || c->head)
        return tfm__fail_at(plan->error, TFM_E_UNSUPPORTED, file, NULL, TFM__NO_OFFSET,
                            "models of the family %s cannot be written as GGUF here", c->family->name);
    plan->architecture = (tfm__text){architecture, strlen(architecture)};
    const tfm__family *written = tfm__family_by_gguf(plan->architecture);
    finder f = {.plan = plan,
                .model = model,
                .binder = {.model = model,
                           .container = &model->container,
                           .names = hf ? c->family->hf_names : tfm__gguf_names(c->family),
                           .error = plan->error},
                .names = tfm__gguf_names(written),
                .neighbours = written->gguf_interleaved && !c->interleaved};
    f.binder.transposed = f.binder.names->matrices_transposed;
    tfm__bind_prefix(&f.binder);
    bool rotary = c->positions == TFM__POSITIONS_ROTARY;
    if (rotary && ((c->interleaved && !written->gguf_interleaved) ||
                   (f.neighbours && (c->qk_norm != TFM__QK_NORM_NONE ||
                                     tfm__bind_find(&f.binder, TFM__ROLE_QKV, 0, ".weight", false)))))
        return tfm__fail_at(plan->error, TFM_E_UNSUPPORTED, file, NULL, TFM__NO_OFFSET,
                            "the order of rotary pairs cannot be changed to GGUF's in this model");
    f.neighbours = f.neighbours && rotary;
    plan->layers = c->layers;
    plan->heads = c->heads;
    plan->kv_heads = c->kv_heads;
    plan->experts = c->experts.count;
    plan->mixes_down_less = written->mixes_down_less;
    plan->mixes_values_more = written->mixes_values_more;
    int32_t status = TFM_OK;
    for (int role = 0; role < TFM__ROLE_ATTN_NORM && !status; role++)
        if (role != TFM__ROLE_OUTPUT || !c->tied) status = add_role(&f, role, 0);
    for (uint32_t layer = 0; layer < c->layers && !status; layer++)
        for (int role = TFM__ROLE_ATTN_NORM; role < TFM__ROLE_COUNT && !status; role++)
            status = add_role(&f, role, layer);
    if (!status) status = add_rotary(&f);
    return status ? status : f.binder.status;
}
