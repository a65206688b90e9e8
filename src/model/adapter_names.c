/* adapter_names.c - from the name of a module to the model's matrices: the families' own patterns, read the
 * other way round. Called for every pair of an adapter.
 *
 * Files name matrices by Hugging Face's modules or by GGUF's tensors, whatever the model was loaded from. The
 * rows of queries and keys may lie in another order there: rotary pairs as the halves of a head (as Hugging
 * Face has Llama's) or as neighbours (as GGUF has them). */
#include "model/adapter.h"

/* Whether the text is the pattern (up to its | or end) with numbers in place of %d and %e. */
static bool matches(const char *pattern, const char *text, uint32_t *layer, int64_t *expert) {
    *expert = -1;
    *layer = 0;
    for (; *pattern && *pattern != '|'; pattern++) {
        if (pattern[0] != '%') {
            if (*text++ != *pattern) return false;
            continue;
        }
        uint32_t number = 0, digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 8; digits++)
            number = number * 10 + (uint32_t)(*text++ - '0');
        if (digits == 0) return false;
        pattern++;
        if (*pattern == 'd')
            *layer = number;
        else
            *expert = number;
    }
    return *text == 0;
}

/* The role that a name has, or -1. */
static int role_of(const tfm__names *names, const char *module, uint32_t *layer, int64_t *expert) {
    for (size_t p = 0; p < TFM__COUNT(names->prefixes) && names->prefixes[p]; p++) {
        size_t length = strlen(names->prefixes[p]);
        if (strncmp(module, names->prefixes[p], length) != 0) continue;
        for (int role = TFM__ROLE_ATTN_NORM; role < TFM__ROLE_COUNT; role++)
            for (const char *at = names->role[role]; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
                if (matches(at, module + length, layer, expert)) return role;
        if (names->role[TFM__ROLE_EMBED] &&
            matches(names->role[TFM__ROLE_EMBED], module + length, layer, expert))
            return TFM__ROLE_EMBED;
    }
    if (names->role[TFM__ROLE_OUTPUT] && matches(names->role[TFM__ROLE_OUTPUT], module, layer, expert))
        return TFM__ROLE_OUTPUT;
    return -1;
}

/* ---- The views of a role ---- */

static void whole(tfm__target *t, const tfm__view *view) {
    t->count = view->data ? 1 : 0;
    t->rows = view->rows;
    t->columns = view->columns;
    t->parts[0] = (tfm__target_part){view, 0, view->rows};
}

/* One behind the other. */
static void stacked(tfm__target *t, const tfm__view *const *views, size_t count) {
    t->rows = 0;
    for (size_t i = 0; i < count; i++) {
        if (!views[i]->data) {
            t->count = 0;
            return;
        }
        t->parts[i] = (tfm__target_part){views[i], t->rows, views[i]->rows};
        t->rows += views[i]->rows;
        t->columns = views[i]->columns;
    }
    t->count = count;
}

static void of_layer(const tfm_model *model, int role, uint32_t index, int64_t expert, tfm__target *t) {
    const tfm__layer *l = &model->layers[index];
    const tfm__view *const qkv[] = {&l->q, &l->k, &l->v}, *const gate_up[] = {&l->gate, &l->up};
    const tfm__view *const plain[TFM__ROLE_COUNT] = {
        [TFM__ROLE_Q] = &l->q,
        [TFM__ROLE_K] = &l->k,
        [TFM__ROLE_V] = &l->v,
        [TFM__ROLE_Q_A] = &l->q_a,
        [TFM__ROLE_Q_B] = &l->q_b,
        [TFM__ROLE_KV_A] = &l->kv_a,
        [TFM__ROLE_KV_B] = &l->kv_b,
        [TFM__ROLE_ATTN_OUT] = &l->out,
        [TFM__ROLE_GATE] = &l->gate,
        [TFM__ROLE_UP] = &l->up,
        [TFM__ROLE_DOWN] = &l->down,
        [TFM__ROLE_ROUTER] = &l->router,
        [TFM__ROLE_SHARED_GATE] = &l->shared.gate,
        [TFM__ROLE_SHARED_UP] = &l->shared.up,
        [TFM__ROLE_SHARED_DOWN] = &l->shared.down,
        [TFM__ROLE_SHARED_SWITCH] = &l->shared_switch,
    };
    if (expert >= 0) {
        if (!l->router.data || expert >= model->config.experts.count) return;
        const tfm__expert *e = &l->experts[expert];
        whole(t, role == TFM__ROLE_EXPERT_GATE ? &e->gate : role == TFM__ROLE_EXPERT_UP ? &e->up : &e->down);
        t->alone = true;
    } else if (role == TFM__ROLE_QKV && l->qkv.data) {
        whole(t, &l->qkv);
    } else if (role == TFM__ROLE_QKV) {
        stacked(t, qkv, 3);
    } else if (role == TFM__ROLE_GATE_UP) {
        stacked(t, gate_up, 2);
    } else if (plain[role]) {
        whole(t, plain[role]);
    }
    t->rotated = role == TFM__ROLE_Q || role == TFM__ROLE_K;
}

/* ---- The order of rows ---- */

/* Whether the file's rows lie as the model's; those that can be put right are. */
static const char *settle_order(const tfm_model *model, bool gguf, int role, tfm__target *t) {
    const tfm__config *c = &model->config;
    bool native = gguf == (model->container.format != TFM__FORMAT_HF);
    bool there = gguf ? c->family->gguf_interleaved : native ? c->interleaved : c->family->hf_interleaved;
    if (native) return NULL;
    if (c->latent_kv) return "low-rank attention in the other layout's order";
    if (role == TFM__ROLE_QKV && c->fused != (gguf ? TFM__FUSED_ROWS : c->family->fused))
        return "queries, keys and values in the other layout's order";
    if (there == c->interleaved) return NULL;
    if (role == TFM__ROLE_QKV) return "queries and keys in the other layout's order";
    if (!t->rotated) return NULL;
    if (c->rotary_dim != c->head_dim) return "partly rotated heads in the other layout's order";
    t->swap = c->interleaved ? 1 : -1;
    return NULL;
}

int32_t tfm__adapter_target(const tfm_model *model, bool gguf, const char *module, const char *file,
                            const char *tensor, tfm__target *target, tfm_error *error) {
    const tfm__names *names = gguf ? tfm__gguf_names(model->config.family) : model->config.family->hf_names;
    uint32_t layer;
    int64_t expert;
    int role = role_of(names, module, &layer, &expert);
    memset(target, 0, sizeof *target);
    if (role == TFM__ROLE_EMBED)
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, file, tensor, TFM__NO_OFFSET,
                            "adapters of the embedding are not supported");
    if (role == TFM__ROLE_OUTPUT) {
        whole(target, &model->output);
        target->alone = true;
    } else if (role >= 0 && layer < model->config.layers) {
        of_layer(model, role, layer, expert, target);
    }
    if (target->count == 0)
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, file, tensor, TFM__NO_OFFSET,
                            "the model (%s, %u layers) has no matrix '%.100s' that an adapter can change",
                            model->config.family->name, model->config.layers, module);
    const char *problem = settle_order(model, gguf, role, target);
    return problem ? tfm__fail_at(error, TFM_E_UNSUPPORTED, file, tensor, TFM__NO_OFFSET, "%s", problem)
                   : TFM_OK;
}
