/* blank.c - the tensors of a new model: every role of the description becomes tensors under the family's
 * names, with the biases that shape.c's table says the family has. What they begin with is what transformers'
 * _init_weights and the families' own published classes begin with: normal numbers for matrices and
 * embeddings, ones for norms, zeros for biases, and GPT-2's projections into the stream smaller by the root
 * of twice the layers (Radford et al. 2019). */
#include "model/blank.h"

#include <math.h>
#include <stdio.h>

#include "base/elementary.h"
#include "base/real.h"
#include "base/rng.h"
#include "formats/parts.h"
#include "model/shape.h"

typedef struct drafting {
    tfm_model *model;
    const tfm__config *c;
    const tfm__names *names;
    tfm__shape_extras extras;
    double spread;
    tfm__heap *heap;
    tfm__blank *list;
    size_t count;
    int32_t status;
    tfm_error *error;
} drafting;

/* ---- Names ---- */

/* The alternative of a role's pattern that a new file has, written into name; false if the family has no such
 * role. */
static bool name_of(const drafting *d, int role, uint32_t layer, int64_t expert, const char *ending,
                    char *name, size_t size) {
    const char *pattern = d->names->role[role];
    const char *second = pattern ? strchr(pattern, '|') : NULL;
    /* Falcon's parallel blocks with two norms have names of their own for them */
    if (second && expert < 0 && d->c->order == TFM__ORDER_PARALLEL && d->extras.two_norms)
        pattern = second + 1;
    if (second && expert >= 0 && memchr(pattern, '%', (size_t)(second - pattern)) &&
        !(strstr(pattern, "%e") && strstr(pattern, "%e") < second))
        pattern = second + 1;
    if (!pattern) return false;
    size_t used = (size_t)snprintf(name, size, "%s", role == TFM__ROLE_OUTPUT ? "" : d->names->prefixes[0]);
    for (; *pattern && *pattern != '|' && used + 24 < size; pattern++) {
        if (pattern[0] == '%') {
            used += (size_t)snprintf(name + used, size - used, "%u",
                                     pattern[1] == 'd' ? layer : (unsigned)expert);
            pattern++;
        } else {
            name[used++] = *pattern;
        }
    }
    snprintf(name + used, size - used, "%s", ending);
    return true;
}

static tfm__blank *add(drafting *d, int role, uint32_t layer, int64_t expert, const char *ending) {
    char name[256];
    void *list = d->list;
    if (d->status) return NULL;
    if (!name_of(d, role, layer, expert, ending, name, sizeof name)) {
        d->status = tfm__fail(d->error, TFM_E_UNSUPPORTED,
                              "a new model of the family %s: tensors of role %d have no name",
                              d->c->family->name, role);
        return NULL;
    }
    char *kept = tfm__arena_alloc(&d->model->container.arena, strlen(name) + 1);
    if (!kept || !tfm__grow_array(d->heap, &list, d->count, sizeof *d->list)) {
        d->status = tfm__fail_memory(d->error, d->heap, sizeof *d->list);
        return NULL;
    }
    d->list = list;
    memcpy(kept, name, strlen(name) + 1);
    d->list[d->count] = (tfm__blank){.name = kept, .silent = -1};
    return &d->list[d->count++];
}

/* ---- Roles ---- */

static void add_vector(drafting *d, int role, uint32_t layer, int64_t expert, const char *ending,
                       uint64_t size, float fill) {
    tfm__blank *blank = add(d, role, layer, expert, ending);
    if (!blank) return;
    blank->dims = 1;
    blank->shape[0] = blank->count = size;
    blank->fill = fill;
}

static void add_matrix(drafting *d, int role, uint32_t layer, int64_t expert, uint64_t rows, uint64_t columns,
                       int bias) {
    bool turned = role >= TFM__ROLE_ATTN_NORM && d->names->matrices_transposed;
    bool into_stream = role == TFM__ROLE_ATTN_OUT || role == TFM__ROLE_DOWN;
    tfm__blank *blank = add(d, role, layer, expert, ".weight");
    if (!blank) return;
    blank->dims = 2;
    blank->shape[0] = turned ? columns : rows;
    blank->shape[1] = turned ? rows : columns;
    blank->count = rows * columns;
    blank->spread = d->spread;
    if (into_stream && !strcmp(d->c->family->name, "gpt2")) blank->spread /= sqrt(2.0 * d->c->layers);
    if (role == TFM__ROLE_EMBED) blank->silent = d->c->pad;
    if (d->extras.biases & bias) add_vector(d, role, layer, expert, ".bias", rows, 0.0f);
}

static void add_norm(drafting *d, int role, uint32_t layer, uint64_t rows, uint64_t size, int bias) {
    /* what adds up to 1; but transformers fills Nemotron's, to which 1 is added too, as any LayerNorm's */
    bool nemotron = !strcmp(d->c->family->name, "nemotron");
    float one = d->c->family->norm_plus_one && !nemotron ? 0.0f : 1.0f;
    if (d->c->family->norm_free) return;
    add_vector(d, role, layer, -1, ".weight", rows * size, one);
    if (rows > 1 && !d->status) { /* a row for each head */
        tfm__blank *blank = &d->list[d->count - 1];
        blank->dims = 2;
        blank->shape[0] = rows;
        blank->shape[1] = size;
    }
    if (d->extras.biases & bias) add_vector(d, role, layer, -1, ".bias", rows * size, 0.0f);
}

static void add_attention(drafting *d, uint32_t layer) {
    const tfm__config *c = d->c;
    uint64_t q = (uint64_t)c->heads * c->head_dim, k = (uint64_t)c->kv_heads * c->head_dim;
    uint64_t v = (uint64_t)c->kv_heads * c->value_dim;
    if (d->names->role[TFM__ROLE_QKV]) {
        add_matrix(d, TFM__ROLE_QKV, layer, -1, q + k + v, c->width, TFM__BIAS_QKV);
    } else {
        add_matrix(d, TFM__ROLE_Q, layer, -1, q, c->width, TFM__BIAS_QKV);
        add_matrix(d, TFM__ROLE_K, layer, -1, k, c->width, TFM__BIAS_QKV);
        add_matrix(d, TFM__ROLE_V, layer, -1, v, c->width, TFM__BIAS_QKV);
    }
    if (c->qk_norm == TFM__QK_NORM_ROW) {
        add_norm(d, TFM__ROLE_Q_NORM, layer, 1, q, TFM__BIAS_QK_NORM);
        add_norm(d, TFM__ROLE_K_NORM, layer, 1, k, TFM__BIAS_QK_NORM);
    } else if (c->qk_norm != TFM__QK_NORM_NONE) {
        bool each = c->qk_norm == TFM__QK_NORM_HEADS_LAYER;
        add_norm(d, TFM__ROLE_Q_NORM, layer, each ? c->heads : 1, c->head_dim, TFM__BIAS_QK_NORM);
        add_norm(d, TFM__ROLE_K_NORM, layer, each ? c->kv_heads : 1, c->head_dim, TFM__BIAS_QK_NORM);
    }
    add_matrix(d, TFM__ROLE_ATTN_OUT, layer, -1, c->width, (uint64_t)c->heads * c->value_dim, TFM__BIAS_OUT);
}

static void add_experts(drafting *d, uint32_t layer) {
    const tfm__config *c = d->c;
    const tfm__experts *x = &c->experts;
    add_matrix(d, TFM__ROLE_ROUTER, layer, -1, x->count, c->width, 0);
    for (uint32_t e = 0; e < x->count && !d->status; e++) {
        add_matrix(d, TFM__ROLE_EXPERT_GATE, layer, e, x->width, c->width, 0);
        add_matrix(d, TFM__ROLE_EXPERT_UP, layer, e, x->width, c->width, 0);
        add_matrix(d, TFM__ROLE_EXPERT_DOWN, layer, e, c->width, x->width, 0);
    }
    if (!x->shared) return;
    add_matrix(d, TFM__ROLE_SHARED_GATE, layer, -1, x->shared, c->width, 0);
    add_matrix(d, TFM__ROLE_SHARED_UP, layer, -1, x->shared, c->width, 0);
    add_matrix(d, TFM__ROLE_SHARED_DOWN, layer, -1, c->width, x->shared, 0);
    if (d->extras.has_switch) add_matrix(d, TFM__ROLE_SHARED_SWITCH, layer, -1, 1, c->width, 0);
}

static void add_feed_forward(drafting *d, uint32_t layer) {
    const tfm__config *c = d->c;
    uint64_t wide = c->feed_forward;
    if (c->gated && d->names->role[TFM__ROLE_GATE_UP]) {
        add_matrix(d, TFM__ROLE_GATE_UP, layer, -1, 2 * wide, c->width, TFM__BIAS_FEED);
    } else {
        if (c->gated) add_matrix(d, TFM__ROLE_GATE, layer, -1, wide, c->width, TFM__BIAS_FEED);
        add_matrix(d, TFM__ROLE_UP, layer, -1, wide, c->width, TFM__BIAS_FEED);
    }
    add_matrix(d, TFM__ROLE_DOWN, layer, -1, c->width, wide, TFM__BIAS_FEED);
}

static void add_layer(drafting *d, uint32_t layer) {
    const tfm__config *c = d->c;
    bool before = c->order == TFM__ORDER_PRE || c->order == TFM__ORDER_PARALLEL;
    if (before) add_norm(d, TFM__ROLE_ATTN_NORM, layer, 1, c->width, TFM__BIAS_NORM);
    add_attention(d, layer);
    if (c->order == TFM__ORDER_PRE || (before && d->extras.two_norms))
        add_norm(d, TFM__ROLE_FFN_NORM, layer, 1, c->width, TFM__BIAS_NORM);
    if (c->experts.count && c->sparse[layer])
        add_experts(d, layer);
    else
        add_feed_forward(d, layer);
    if (!c->post_norms && before) return;
    add_norm(d, TFM__ROLE_ATTN_POST_NORM, layer, 1, c->width, TFM__BIAS_NORM);
    add_norm(d, TFM__ROLE_FFN_POST_NORM, layer, 1, c->width, TFM__BIAS_NORM);
}

/* ---- All of them ---- */

static int32_t check(const drafting *d) {
    const tfm__config *c = d->c;
    const char *lacks = c->encoder                                             ? "encoders"
                        : c->cross || c->family->encoder_row                   ? "encoder-decoders"
                        : c->latent_kv                                         ? "low-rank attention"
                        : c->family->sinks                                     ? "attention sinks"
                        : c->experts.paired || c->family->expert_limit != 0.0f ? "experts with a limit"
                        : c->positions == TFM__POSITIONS_SINES                 ? "positions of sines"
                        : !d->names                                            ? "this format"
                                                                               : NULL;
    return lacks ? tfm__fail(d->error, TFM_E_UNSUPPORTED, "a new model with %s (%s)", lacks, c->family->name)
                 : TFM_OK;
}

static int32_t read_spread(drafting *d) {
    static const char *const keys[] = {"initializer_range", "init_std"};
    const tfm__json *json = &d->model->container.config;
    const tfm__json_value root = tfm__json_root(json);
    const tfm__json_value objects[] = {root, tfm__json_get(json, root, "text_config")};
    d->spread = 0.02;
    for (size_t o = 0; o < 2; o++)
        for (size_t k = 0; k < 2; k++) {
            double value;
            if (!tfm__json_f64(json, tfm__json_get(json, objects[o], keys[k]), &value)) continue;
            if (!(value >= 0.0 && value <= 1e3))
                return tfm__fail_at(d->error, TFM_E_FORMAT, json->file, keys[k], TFM__NO_OFFSET,
                                    "%g is no standard deviation from 0 to 1000", value);
            d->spread = value;
        }
    return TFM_OK;
}

int32_t tfm__blank_list(tfm_model *model, tfm__heap *heap, tfm__blank **out, size_t *count,
                        tfm_error *error) {
    const tfm__config *c = &model->config;
    drafting d = {.model = model, .c = c, .names = c->family->hf_names, .heap = heap, .error = error};
    *out = NULL;
    *count = 0;
    d.status = check(&d);
    if (!d.status) d.status = read_spread(&d);
    if (d.status) return d.status;
    d.extras = tfm__shape_extras_of(model);
    add_matrix(&d, TFM__ROLE_EMBED, 0, -1, c->vocab, c->width, 0);
    if (c->family->embed_norm) add_norm(&d, TFM__ROLE_EMBED_NORM, 0, 1, c->width, TFM__BIAS_NORM);
    if (c->positions == TFM__POSITIONS_LEARNED)
        add_matrix(&d, TFM__ROLE_POSITION, 0, -1, (uint64_t)c->context + c->position_offset, c->width, 0);
    for (uint32_t layer = 0; layer < c->layers && !d.status; layer++) add_layer(&d, layer);
    add_norm(&d, TFM__ROLE_OUTPUT_NORM, 0, 1, c->width, TFM__BIAS_NORM);
    if (!c->tied) add_matrix(&d, TFM__ROLE_OUTPUT, 0, -1, c->vocab, c->width, TFM__BIAS_OUTPUT);
    if (d.status) {
        tfm__free(heap, d.list);
        return d.status;
    }
    *out = d.list;
    *count = d.count;
    return TFM_OK;
}

/* ---- Values ---- */

/* Two normal numbers (Box and Muller 1958). */
static void normal_pair(tfm__rng *rng, double *a, double *b) {
    double radius = sqrt(-2.0 * tfm__log_real(1.0 - tfm__rng_unit(rng)));
    tfm__sin_cos(6.283185307179586 * tfm__rng_unit(rng), a, b);
    *a *= radius;
    *b *= radius;
}

void tfm__blank_fill(const tfm__blank *blank, uint64_t seed, float *values) {
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a of the name */
    tfm__rng rng;
    for (const char *at = blank->name; *at; at++) hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
    tfm__rng_seed(&rng, hash ^ seed * 0x9e3779b97f4a7c15u);
    for (uint64_t i = 0; i < blank->count; i += 2) {
        double pair[2] = {(double)blank->fill, (double)blank->fill};
        if (blank->spread > 0) {
            normal_pair(&rng, &pair[0], &pair[1]);
            pair[0] *= blank->spread;
            pair[1] *= blank->spread;
        }
        values[i] = (float)pair[0];
        if (i + 1 < blank->count) values[i + 1] = (float)pair[1];
    }
    if (blank->silent >= 0 && (uint64_t)blank->silent < blank->shape[0])
        memset(values + (uint64_t)blank->silent * blank->shape[1], 0,
               (size_t)blank->shape[1] * sizeof *values);
}
