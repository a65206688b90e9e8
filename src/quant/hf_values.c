/* hf_values.c - a description as GGUF's values: the other direction of model/config_gguf.c. Called by
 * quantize.c.
 *
 * Nothing is taken on trust: what has been put is read back by the reader of GGUF files, and a description
 * that comes back different (a setting that GGUF has no word for) is an error that names the difference.
 * Source of the keys: the GGUF specification, and what llama.cpp reads. */
#include <math.h>
#include <stdio.h>

#include "model/windows.h"
#include "quant/quant.h"
#include "tokenizer/save.h"

typedef struct describer {
    tfm__plan *plan;
    const tfm_model *model;
    const tfm__config *config;
    const tfm__family *written; /* whose architecture the file gets */
} describer;

static const char *key(const describer *d, const char *name, char *out, size_t size) {
    snprintf(out, size, "%.*s.%s", (int)d->plan->architecture.size, d->plan->architecture.data, name);
    return out;
}

static void put_u32(const describer *d, const char *name, uint32_t value) {
    char full[128];
    tfm__gguf_put_u32(&d->plan->values, key(d, name, full, sizeof full), value);
}

static void put_f32(const describer *d, const char *name, double value) {
    char full[128];
    tfm__gguf_put_f32(&d->plan->values, key(d, name, full, sizeof full), (float)value);
}

static void put_bool(const describer *d, const char *name, bool value) {
    char full[128];
    tfm__gguf_put_bool(&d->plan->values, key(d, name, full, sizeof full), value);
}

static void put_text(const describer *d, const char *name, const char *text) {
    char full[128];
    tfm__gguf_put_text(&d->plan->values, key(d, name, full, sizeof full), text, strlen(text));
}

static void put_general(const describer *d) {
    tfm__gguf_values *values = &d->plan->values;
    const char *name = d->config->name;
    tfm__gguf_put_text(values, "general.architecture", d->plan->architecture.data,
                       d->plan->architecture.size);
    tfm__gguf_put_text(values, "general.type", "model", 5);
    if (name[0]) tfm__gguf_put_text(values, "general.name", name, strlen(name));
}

static void put_sizes(const describer *d) {
    const tfm__config *c = d->config;
    put_u32(d, "context_length", c->context);
    put_u32(d, "embedding_length", c->width);
    put_u32(d, "block_count", c->layers);
    put_u32(d, "feed_forward_length", c->feed_forward);
    put_u32(d, "attention.head_count", c->heads);
    put_u32(d, "attention.head_count_kv", c->kv_heads);
    if (c->head_dim * c->heads != c->width || c->value_dim != c->head_dim) {
        put_u32(d, "attention.key_length", c->head_dim);
        put_u32(d, "attention.value_length", c->value_dim);
    }
    put_u32(d, "vocab_size", c->vocab);
    put_f32(d, c->norm == TFM__NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
            (double)c->epsilon);
}

static void put_rotary(const describer *d) {
    const tfm__config *c = d->config;
    const tfm__rope *rope = &c->rope[TFM__ROPE_GLOBAL], *local = &c->rope[TFM__ROPE_LOCAL];
    if (c->positions != TFM__POSITIONS_ROTARY) return;
    put_u32(d, "rope.dimension_count", c->rotary_dim);
    put_f32(d, "rope.freq_base", rope->base);
    if (c->family->local_rope && local->base != 10000.0) put_f32(d, "rope.freq_base_swa", local->base);
    if (rope->scaling == TFM__ROPE_LINEAR || rope->scaling == TFM__ROPE_YARN) {
        put_text(d, "rope.scaling.type", rope->scaling == TFM__ROPE_YARN ? "yarn" : "linear");
        put_f32(d, "rope.scaling.factor", rope->factor);
    }
    if (rope->scaling == TFM__ROPE_LONG) put_text(d, "rope.scaling.type", "longrope");
    if (rope->scaling == TFM__ROPE_YARN || rope->scaling == TFM__ROPE_LONG) {
        put_u32(d, "rope.scaling.original_context_length", rope->original);
        double factor = (double)d->model->frequencies[TFM__ROPE_GLOBAL].magnitude;
        if (rope->scaling == TFM__ROPE_LONG || rope->attention_factor > 0.0)
            put_f32(d, "rope.scaling.attn_factor", factor);
    }
    if (rope->scaling == TFM__ROPE_YARN && (rope->beta_fast != 32.0 || rope->beta_slow != 1.0)) {
        put_f32(d, "rope.scaling.yarn_beta_fast", rope->beta_fast);
        put_f32(d, "rope.scaling.yarn_beta_slow", rope->beta_slow);
    }
}

/* Whether the family's rule says which layers have windows; other readers may know nothing else. */
static bool usual_windows(const describer *d) {
    for (uint32_t i = 0; i < d->config->layers; i++)
        if (!d->config->windowed[i] !=
            !tfm__is_windowed(d->written, i, (uint64_t)d->written->window_pattern, 0))
            return false;
    return true;
}

static void put_attention(const describer *d) {
    const tfm__config *c = d->config;
    if (c->window) put_u32(d, "attention.sliding_window", c->window);
    if (c->window && !usual_windows(d)) {
        char full[128];
        tfm__gguf_put_array(&d->plan->values, key(d, "attention.sliding_window_pattern", full, sizeof full),
                            TFM__META_BOOL, c->layers);
        for (uint32_t i = 0; i < c->layers; i++)
            tfm__gguf_add_bytes(&d->plan->values, c->windowed[i] ? "\1" : "\0", 1);
    }
    if (c->attn_soft_cap != d->written->default_attn_soft_cap)
        put_f32(d, "attn_logit_softcapping", c->attn_soft_cap);
    if (c->final_soft_cap != d->written->default_final_soft_cap)
        put_f32(d, "final_logit_softcapping", c->final_soft_cap);
    if (c->attn_scale != 1.0f / sqrtf((float)c->head_dim) && d->written->fixed_attn_scale == 0.0f)
        put_f32(d, "attention.scale", c->attn_scale);
    if (c->clip_qkv != 0.0f) put_f32(d, "attention.clamp_kqv", c->clip_qkv);
    if (c->positions == TFM__POSITIONS_ALIBI) put_f32(d, "attention.max_alibi_bias", c->alibi_bias_max);
    if (d->written->order == TFM__ORDER_PARALLEL && c->order != TFM__ORDER_POST)
        put_bool(d, "use_parallel_residual", c->order == TFM__ORDER_PARALLEL);
}

static void put_scales(const describer *d) {
    const tfm__config *c = d->config;
    if (c->embed_scale != 1.0f && !d->written->scale_embedding) put_f32(d, "embedding_scale", c->embed_scale);
    if (c->residual_scale != 1.0f) put_f32(d, "residual_scale", c->residual_scale);
    if (c->logit_scale != 1.0f)
        put_f32(d, "logit_scale", d->written->logits_divided ? 1.0 / (double)c->logit_scale : c->logit_scale);
}

static void put_experts(const describer *d) {
    const tfm__config *c = d->config;
    const tfm__experts *x = &c->experts;
    uint32_t dense = 0;
    if (x->count == 0) return;
    put_u32(d, "expert_count", x->count);
    put_u32(d, "expert_used_count", x->used);
    if (x->width != c->feed_forward) put_u32(d, "expert_feed_forward_length", x->width);
    if (x->shared) put_u32(d, "expert_shared_feed_forward_length", x->shared);
    if (x->groups > 1) {
        put_u32(d, "expert_group_count", x->groups);
        put_u32(d, "expert_group_used_count", x->top_groups);
    }
    if (x->scale != 1.0f) put_f32(d, "expert_weights_scale", x->scale);
    if (x->route != d->written->route)
        put_u32(d, "expert_gating_func",
                x->route == TFM__ROUTE_SOFTMAX   ? 1u
                : x->route == TFM__ROUTE_SIGMOID ? 2u
                                                 : 3u);
    if (x->normalised != d->written->route_normalised) put_bool(d, "expert_weights_norm", x->normalised);
    while (dense < c->layers && !c->sparse[dense]) dense++;
    if (dense) put_u32(d, "leading_dense_block_count", dense);
}

/* ---- Tokenizer ---- */

/* The chat template of tokenizer_config.json, if there is one text. */
static int32_t put_template(const describer *d) {
    tfm__blob blob;
    tfm__json json;
    int32_t status =
        tfm__store_sibling((tfm__store *)&d->model->store, "tokenizer_config.json", &blob, d->plan->error);
    if (status) return status == TFM_E_NOT_FOUND ? TFM_OK : status;
    status = tfm__json_parse(&json, d->plan->heap, (const char *)blob.data, (size_t)blob.size, blob.name,
                             d->plan->error);
    if (!status) {
        tfm__json_value value = tfm__json_get(&json, tfm__json_root(&json), "chat_template");
        if (value != TFM__JSON_NONE && tfm__json_kind(&json, value) == TFM__JSON_STRING) {
            size_t length = tfm__json_unescape(&json, value, NULL, 0);
            char *text = tfm__alloc(d->plan->heap, length + 1);
            if (text) {
                tfm__json_unescape(&json, value, text, length + 1);
                tfm__gguf_put_text(&d->plan->values, "tokenizer.chat_template", text, length);
            } else {
                status = tfm__fail_memory(d->plan->error, d->plan->heap, length);
            }
            tfm__free(d->plan->heap, text);
        }
        tfm__json_release(&json);
    }
    tfm__blob_release(&blob);
    return status;
}

/* A tokenizer as GGUF's values. added: NULL, or the model's own tokenizer, which knows more tokens than the
 * file that `tokenizer` comes from, which of them are special, and which stand around texts. */
static int32_t put_form(const describer *d, const tfm_tokenizer *tokenizer, const tfm_tokenizer *added) {
    tfm__saved form;
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm__saved_init(&form, d->plan->heap, d->plan->error);
    int32_t status = tfm__saved_of(tokenizer, TFM_SAVE_GGUF, &form);
    if (added) tfm__tokenizer_info(added, &info);
    for (int32_t id = 0; added && id < info.vocab_size && !status; id++) {
        const char *bytes = NULL;
        size_t length = 0;
        int32_t kind = tfm_token_kind(added, id);
        bool whole = kind == TFM_TOKEN_CONTROL || kind == TFM_TOKEN_USER;
        if ((size_t)id >= tfm__saved_count(&form)) {
            if (kind && tfm_token_bytes(added, id, &bytes, &length, NULL)) bytes = NULL;
            status = tfm__saved_token_add(&form, bytes, length, bytes ? kind : 0, -1000.0f);
        } else if (whole && kind != tfm__saved_at(&form, (size_t)id).kind) {
            tfm__saved_token token = tfm__saved_at(&form, (size_t)id);
            token.kind = (uint8_t)kind;
            memcpy(form.tokens.data + (size_t)id * sizeof token, &token, sizeof token);
        }
    }
    if (added && !status) {
        form.bos = info.bos;
        form.eos = info.eos;
        form.padding = info.padding;
        form.adds_bos = info.adds_bos != 0;
        form.adds_eos = info.adds_eos != 0;
    }
    if (!status) status = tfm__save_gguf_values(&form, d->config->vocab, &d->plan->values);
    tfm__saved_free(&form);
    return status;
}

/* SentencePiece's tokenizer.model beside a tokenizer.json that says the same in a way that GGUF cannot. */
static int32_t put_sentencepiece(const describer *d) {
    tfm__heap *heap = d->plan->heap;
    tfm_tokenizer *tokenizer = NULL;
    tfm__blob blob;
    tfm__store store;
    int32_t status = tfm__store_sibling((tfm__store *)&d->model->store, "tokenizer.model", &blob, NULL);
    if (status) return status;
    status = tfm__store_open_memory(&store, heap, blob.data, (size_t)blob.size, NULL);
    if (!status) {
        tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
        status = tfm__tokenizer_from_store(&store, &options, heap, &tokenizer, NULL);
        tfm__store_close(&store);
    }
    if (!status) status = put_form(d, tokenizer, d->model->tokenizer);
    tfm__tokenizer_free(tokenizer);
    tfm__blob_release(&blob);
    return status;
}

static int32_t put_tokenizer(const describer *d) {
    tfm__gguf_values *values = &d->plan->values;
    uint64_t count = values->count;
    size_t size = values->bytes.size;
    if (!d->model->tokenizer)
        return tfm__fail_at(d->plan->error, TFM_E_MISSING, d->model->container.blobs[0].name, NULL,
                            TFM__NO_OFFSET,
                            "there is no usable tokenizer beside the model; it can be left out");
    int32_t status = put_form(d, d->model->tokenizer, NULL);
    if (status == TFM_E_UNSUPPORTED) {
        values->count = count; /* takes back what has been put */
        values->bytes.size = size;
        if (put_sentencepiece(d) == TFM_OK) status = TFM_OK;
    }
    return status ? status : put_template(d);
}

/* ---- Reading back ---- */

static bool near(double a, double b) { return fabs(a - b) <= 1e-6 * TFM__MAX(fabs(a), fabs(b)); }

static bool same_rope(const tfm__rope *a, const tfm__rope *b) {
    /* Llama 3's scaling and LongRoPE's divisors are tensors there; a context that was not stretched does not
     * matter */
    bool by_tensor = a->scaling == TFM__ROPE_LLAMA3 || (a->scaling == TFM__ROPE_LONG && a->long_factors);
    if (!near(a->base, b->base)) return false;
    if (by_tensor) return b->scaling == TFM__ROPE_DEFAULT || b->scaling == TFM__ROPE_LONG;
    if (a->scaling != b->scaling) return false;
    if (a->scaling == TFM__ROPE_LINEAR) return near(a->factor, b->factor);
    if (a->scaling != TFM__ROPE_YARN) return a->scaling == TFM__ROPE_DEFAULT;
    return near(a->factor, b->factor) && a->original == b->original && near(a->beta_fast, b->beta_fast) &&
           near(a->beta_slow, b->beta_slow) && a->truncate == b->truncate;
}

static bool same_flags(const uint8_t *a, const uint8_t *b, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!a[i] != !b[i]) return false;
    return true;
}

static bool same_experts(const tfm__config *a, const tfm__config *b) {
    const tfm__experts *x = &a->experts, *y = &b->experts;
    if (x->count == 0) return y->count == 0;
    return x->count == y->count && x->used == y->used && x->width == y->width && x->shared == y->shared &&
           x->groups == y->groups && x->top_groups == y->top_groups && x->group_by_two == y->group_by_two &&
           x->route == y->route && x->normalised == y->normalised && near(x->scale, y->scale) &&
           same_flags(a->sparse, b->sparse, a->layers);
}

/* The first thing that came back otherwise, or NULL. */
static const char *difference(const tfm__config *a, const tfm__config *b) {
    const struct {
        const char *what;
        bool same;
    } looks[] = {
        {"the sizes", a->layers == b->layers && a->width == b->width && a->heads == b->heads &&
                          a->kv_heads == b->kv_heads && a->head_dim == b->head_dim &&
                          a->value_dim == b->value_dim && a->feed_forward == b->feed_forward &&
                          a->vocab == b->vocab},
        {"the context",
         a->context == b->context || a->positions == TFM__POSITIONS_ALIBI}, /* bounds nothing there */
        {"the kind of norms", a->norm == b->norm && a->order == b->order && a->qk_norm == b->qk_norm &&
                                  a->post_norms == b->post_norms && near(a->epsilon, b->epsilon)},
        {"the kind of positions", a->positions == b->positions && a->rotary_dim == b->rotary_dim &&
                                      a->alibi_scaled == b->alibi_scaled &&
                                      a->position_offset == b->position_offset},
        {"the activation",
         a->activation == b->activation && a->gated == b->gated && a->family->squared == b->family->squared},
        {"a scale", near(a->embed_scale, b->embed_scale) && near(a->residual_scale, b->residual_scale) &&
                        near(a->logit_scale, b->logit_scale) && near(a->attn_scale, b->attn_scale) &&
                        a->scale_by_layer == b->scale_by_layer && near(a->clip_qkv, b->clip_qkv) &&
                        (a->positions != TFM__POSITIONS_ALIBI || near(a->alibi_bias_max, b->alibi_bias_max))},
        {"a soft cap",
         near(a->attn_soft_cap, b->attn_soft_cap) && near(a->final_soft_cap, b->final_soft_cap)},
        {"the windows",
         a->window == b->window && (!a->window || same_flags(a->windowed, b->windowed, a->layers))},
        {"the experts", same_experts(a, b)},
        {"the rotary positions",
         a->positions != TFM__POSITIONS_ROTARY ||
             (same_rope(&a->rope[TFM__ROPE_GLOBAL], &b->rope[TFM__ROPE_GLOBAL]) &&
              (!a->window || same_rope(&a->rope[TFM__ROPE_LOCAL], &b->rope[TFM__ROPE_LOCAL])) &&
              same_flags(a->rotated, b->rotated, a->layers))},
    };
    for (size_t i = 0; i < TFM__COUNT(looks); i++)
        if (!looks[i].same) return looks[i].what;
    return NULL;
}

static int32_t read_back(const describer *d) {
    tfm__plan *plan = d->plan;
    tfm__gguf_tensor *list = tfm__alloc_array(plan->heap, plan->count, sizeof *list);
    tfm__buffer bytes;
    tfm__store store;
    tfm__container container;
    tfm__config config;
    if (!list) return tfm__fail_memory(plan->error, plan->heap, plan->count * sizeof *list);
    for (size_t i = 0; i < plan->count; i++) list[i] = plan->tensors[i].out;
    int32_t status = tfm__gguf_reread(&plan->values, list, plan->count, plan->heap, &bytes, &store,
                                      &container, plan->error);
    if (!status) {
        status = tfm__config_read(&container, &config, plan->error);
        const char *what = status ? NULL : difference(d->config, &config);
        if (what)
            status = tfm__fail_at(plan->error, TFM_E_UNSUPPORTED, d->model->container.blobs[0].name, NULL,
                                  TFM__NO_OFFSET,
                                  "GGUF cannot say everything about this model: %s would be lost", what);
        tfm__container_release(&container);
        tfm__store_close(&store);
        tfm__buffer_free(&bytes);
    }
    tfm__free(plan->heap, list);
    return status;
}

int32_t tfm__plan_model_values(tfm__plan *plan, tfm_model *model, bool with_tokenizer) {
    describer d = {plan, model, &model->config, tfm__family_by_gguf(plan->architecture)};
    put_general(&d);
    put_sizes(&d);
    put_rotary(&d);
    put_attention(&d);
    put_scales(&d);
    put_experts(&d);
    int32_t status = with_tokenizer ? put_tokenizer(&d) : TFM_OK;
    return status ? status : read_back(&d);
}
