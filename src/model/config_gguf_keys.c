/* config_gguf_keys.c - the keys of GGUF's metadata that change what is computed and that only some families
 * read: a file that sets one, for a family whose reader (config_gguf.c) did not ask for it, is refused by key
 * and value instead of being computed without it.
 *
 * Source: the GGUF specification, and the keys that the Python package `gguf` writes. Not in the table: what
 * every family reads, sizes (the tensors' shapes are checked), and what is for people or for tokens. */
#include <math.h>
#include <stdio.h>

#include "formats/decimal.h"
#include "model/config_gguf.h"

static const tfm__config_key keys[] = {
    /* attention */
    {"attention.sliding_window", "0"}, /* as is one that no position reaches the end of */
    {"attention.max_alibi_bias", "0"},
    {"attention.relative_buckets_count", "0"},
    {"attention.q_lora_rank", "0"},
    {"attention.kv_lora_rank", "0"},
    {"attention.key_length_mla", "0"},
    {"attention.value_length_mla", "0"},
    {"attention.shared_kv_layers", "0"},
    {"attention.output_scale", "0|1"},
    {"attention.temperature_length", "0"},
    {"attention.temperature_scale", "0"},
    {"attention.indexer.top_k", "0"},
    {"attention.group_norm_groups", "0"},
    {"full_attention_interval", "0|1"},
    /* positions */
    {"rope.dimension_sections", "0"},
    {"rope.scaling.alpha", "0|1"},
    {"rope.scaling.yarn_log_multiplier", "0"},
    {"rope.scaling.yarn_ext_factor", "-1|1"},
    {"rope.scaling.yarn_attn_factor", "0|1"},
    /* feed-forward and experts */
    {"expert_group_scale", "0|1"},
    {"experts_per_group", "0"},
    {"moe_every_n_layers", "0|1"},
    {"moe_latent_size", "0"},
    {"interleave_moe_layer_step", "0|1"},
    {"router_logit_softcapping", "0"},
    {"activation_sparsity_scale", "0"},
    {"swiglu_clamp_exp", "0"},
    {"swiglu_clamp_shexp", "0"},
    /* the block, and what is beside the stream */
    {"altup.num_inputs", "0|1"},
    {"embedding_length_per_layer_input", "0"},
    {"nextn_predict_layers", "0"},
    {"swin_norm", "false"},
    {"rescale_every_n_layers", "0"},
    {"ssm.state_size", "0"},
    {"ssm.conv_kernel", "0"},
    {"wkv.head_size", "0"},
    {"kda.head_dim", "0"},
    {"shortconv.l_cache", "0"},
    /* layers behind an encoder's last */
    {"dense_2_feat_out", "0"},
    {"dense_3_feat_out", "0"},
};

_Static_assert(TFM__COUNT(keys) <= TFM__GGUF_KEYS, "room in tfm__gguf_reader");

void tfm__gguf_key_asked(tfm__gguf_reader *r, const char *name) {
    for (size_t i = 0; i < TFM__COUNT(keys); i++)
        if (!strcmp(keys[i].key, name)) r->asked[i] = true;
}

/* Whether a number (a flag: 0 or 1) is one of the literals with | between them. */
static bool is_one_of(double value, const char *literals) {
    for (const char *at = literals; *at;) {
        size_t size = strcspn(at, "|");
        double wanted = 0;
        if (size == 5 && !memcmp(at, "false", 5)) {
            if (value == 0) return true;
        } else if (tfm__decimal_to_f64(at, size, &wanted) && wanted == value) {
            return true;
        }
        at += size + (at[size] == '|');
    }
    return false;
}

static bool number_at(const tfm__meta *meta, uint64_t index, double *out) {
    bool flag;
    if (tfm__meta_f64(meta, index, out)) return true;
    if (index || !tfm__meta_bool(meta, &flag)) return false;
    *out = flag;
    return true;
}

static void refuse(tfm__gguf_reader *r, const tfm__meta *meta, const char *only) {
    char value[80] = "this value";
    double number = 0;
    tfm__text text;
    if (meta->type == TFM__META_ARRAY)
        snprintf(value, sizeof value, "a list of %llu values", (unsigned long long)meta->count);
    else if (number_at(meta, 0, &number))
        snprintf(value, sizeof value, "%g", number);
    else if (tfm__meta_text(meta, 0, &text))
        snprintf(value, sizeof value, "'%.*s'", (int)TFM__MIN(text.size, 60), text.data);
    r->status = tfm__fail_at(r->error, TFM_E_UNSUPPORTED, r->file, meta->key, meta->offset,
                             "%s changes what is computed and is not supported for this family%s%s", value,
                             *only ? "; supported: " : "", only);
}

/* Every value of the key means that nothing changes. */
static bool is_idle(const tfm__config *config, const tfm__meta *meta, const tfm__config_key *row) {
    bool window = !strcmp(row->key, "attention.sliding_window");
    double number = 0;
    for (uint64_t i = 0; i < meta->count; i++) {
        if (!number_at(meta, i, &number)) return false;
        if (window && number >= config->context) continue;
        if (!is_one_of(number, row->idle)) return false;
    }
    return true;
}

void tfm__refuse_gguf_keys(tfm__gguf_reader *r, const tfm__config *config) {
    const tfm__meta *causal = tfm__gguf_meta(r, "attention.causal");
    bool flag = false;
    for (size_t i = 0; i < TFM__COUNT(keys) && !r->status; i++) {
        if (r->asked[i]) continue;
        const tfm__meta *meta = tfm__gguf_meta(r, keys[i].key);
        if (meta && !is_idle(config, meta, &keys[i])) refuse(r, meta, keys[i].idle);
    }
    if (!causal || r->status) return;
    if (!tfm__meta_bool(causal, &flag))
        tfm__gguf_wrong_type(r, causal);
    else if (flag == config->family->encoder && !config->family->may_encode)
        refuse(r, causal, config->family->encoder ? "false" : "true");
}
