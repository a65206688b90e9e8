/* shape.c - how many parameters a model has, by part, without reading one.
 *
 * Every role of the description is asked for its elements: the tensor of that name, where the files list
 * tensors, or else what the description says it must be. Which matrices have biases is in no description (a
 * model that is loaded finds them in its file), so the formula has a table of its own here: what each family
 * has, and the key of config.json that decides. A family that is not in it has none. test_plan.c holds the
 * formula to the tensors of every family. */
#include <stdio.h>

#include "model/bind.h"
#include "model/shape.h"

/* ---- Biases, for the formula --------------------------------------------------------------------------- */

/* Bits that a family has; those of `by_key` and `by_second` only if config.json's key is true (or, with !,
 * false). */
typedef struct shape_row {
    const char *family;
    int always;
    const char *key;
    int by_key;
    bool otherwise; /* what the key is when it is absent */
    const char *second;
    int by_second;
    bool one_norm;            /* parallel half-blocks share one */
    const char *two_norms_if; /* ... unless this key is true and num_ln_in_parallel_attn not 1 */
    bool has_switch;          /* of the shared expert */
} shape_row;

static const shape_row rows[] = {
    {.family = "llama",
     .key = "attention_bias",
     .by_key = TFM__BIAS_ATTENTION,
     .second = "mlp_bias",
     .by_second = TFM__BIAS_FEED},
    {.family = "granite",
     .key = "attention_bias",
     .by_key = TFM__BIAS_ATTENTION,
     .second = "mlp_bias",
     .by_second = TFM__BIAS_FEED},
    {.family = "smollm3",
     .key = "attention_bias",
     .by_key = TFM__BIAS_ATTENTION,
     .second = "mlp_bias",
     .by_second = TFM__BIAS_FEED},
    {.family = "arcee",
     .key = "attention_bias",
     .by_key = TFM__BIAS_ATTENTION,
     .second = "mlp_bias",
     .by_second = TFM__BIAS_FEED},
    {.family = "nemotron",
     .always = TFM__BIAS_NORM,
     .key = "attention_bias",
     .by_key = TFM__BIAS_ATTENTION,
     .second = "mlp_bias",
     .by_second = TFM__BIAS_FEED},
    {.family = "gemma", .key = "attention_bias", .by_key = TFM__BIAS_ATTENTION},
    {.family = "gemma2", .key = "attention_bias", .by_key = TFM__BIAS_ATTENTION},
    {.family = "gemma3", .key = "attention_bias", .by_key = TFM__BIAS_ATTENTION},
    {.family = "qwen2", .always = TFM__BIAS_QKV},
    {.family = "qwen2moe", .key = "qkv_bias", .by_key = TFM__BIAS_QKV, .otherwise = true, .has_switch = true},
    {.family = "qwen3", .key = "attention_bias", .by_key = TFM__BIAS_ATTENTION},
    {.family = "qwen3moe", .key = "attention_bias", .by_key = TFM__BIAS_ATTENTION},
    {.family = "olmo", .key = "attention_bias", .by_key = TFM__BIAS_ATTENTION},
    {.family = "olmo2", .key = "attention_bias", .by_key = TFM__BIAS_ATTENTION},
    {.family = "olmoe", .key = "attention_bias", .by_key = TFM__BIAS_ATTENTION},
    {.family = "gpt-oss", .key = "attention_bias", .by_key = TFM__BIAS_ATTENTION, .otherwise = true},
    {.family = "glm4", .key = "attention_bias", .by_key = TFM__BIAS_QKV},
    {.family = "ernie4_5", .key = "use_bias", .by_key = TFM__BIAS_MATRICES},
    {.family = "gpt2", .always = TFM__BIAS_MATRICES | TFM__BIAS_NORM},
    {.family = "gpt-neox",
     .always = TFM__BIAS_FEED | TFM__BIAS_NORM,
     .key = "attention_bias",
     .by_key = TFM__BIAS_ATTENTION,
     .otherwise = true},
    {.family = "gpt-j", .always = TFM__BIAS_FEED | TFM__BIAS_NORM | TFM__BIAS_OUTPUT, .one_norm = true},
    {.family = "gpt-neo", .always = TFM__BIAS_OUT | TFM__BIAS_FEED | TFM__BIAS_NORM},
    {.family = "opt",
     .always = TFM__BIAS_NORM,
     .key = "enable_bias",
     .by_key = TFM__BIAS_MATRICES,
     .otherwise = true},
    {.family = "bloom", .always = TFM__BIAS_MATRICES | TFM__BIAS_NORM},
    {.family = "falcon",
     .always = TFM__BIAS_NORM,
     .key = "bias",
     .by_key = TFM__BIAS_MATRICES,
     .two_norms_if = "new_decoder_architecture"},
    {.family = "phi",
     .always = TFM__BIAS_MATRICES | TFM__BIAS_NORM | TFM__BIAS_OUTPUT | TFM__BIAS_QK_NORM,
     .one_norm = true},
    {.family = "starcoder2",
     .always = TFM__BIAS_NORM,
     .key = "use_bias",
     .by_key = TFM__BIAS_MATRICES,
     .otherwise = true},
    {.family = "stablelm", .always = TFM__BIAS_NORM, .key = "use_qkv_bias", .by_key = TFM__BIAS_QKV},
    {.family = "cohere", .key = "attention_bias", .by_key = TFM__BIAS_ATTENTION, .one_norm = true},
    {.family = "cohere2", .key = "attention_bias", .by_key = TFM__BIAS_ATTENTION, .one_norm = true},
};

#define MOST_PARAMETERS ((uint64_t)1 << 60)

typedef struct counting {
    tfm__binder binder; /* over a model that has only container and description */
    const tfm__config *c;
    const shape_row *row;
    int biases;
    bool listed; /* the files list tensors */
    tfm_shape *shape;
    bool overflow;
    uint64_t idle; /* parameters of experts that a token does not meet */
} counting;

static bool flag_of(const tfm__json *json, const char *key, bool otherwise) {
    bool value;
    return tfm__json_bool(json, tfm__json_get(json, tfm__json_root(json), key), &value) ? value : otherwise;
}

static void find_row(counting *n) {
    static const shape_row none = {0};
    const tfm__json *json = &n->binder.model->container.config;
    n->row = &none;
    for (size_t i = 0; i < TFM__COUNT(rows); i++)
        if (!strcmp(rows[i].family, n->c->family->name)) n->row = &rows[i];
    n->biases = n->row->always;
    if (n->binder.model->container.format != TFM__FORMAT_HF) return;
    if (n->row->key && flag_of(json, n->row->key, n->row->otherwise)) n->biases |= n->row->by_key;
    if (n->row->second && flag_of(json, n->row->second, false)) n->biases |= n->row->by_second;
}

/* Norms in front of the two half-blocks of a parallel block. */
static bool two_norms(const counting *n) {
    const tfm__json *json = &n->binder.model->container.config;
    int64_t number;
    if (!n->row->two_norms_if) return !n->row->one_norm;
    if (!flag_of(json, n->row->two_norms_if, false)) return false;
    tfm__json_value value = tfm__json_get(json, tfm__json_root(json), "num_ln_in_parallel_attn");
    return !tfm__json_i64(json, value, &number) || number != 1;
}

tfm__shape_extras tfm__shape_extras_of(tfm_model *model) {
    counting n = {.binder = {.model = model}, .c = &model->config};
    find_row(&n);
    return (tfm__shape_extras){n.biases, two_norms(&n), n.row->has_switch};
}

/* ---- One role ------------------------------------------------------------------------------------------ */

/* Elements of its matrix, or of its norm's weight, and of its bias. */
typedef struct amount {
    uint64_t weight, bias;
} amount;

static uint64_t elements(const tfm__tensor *tensor) {
    uint64_t n = tensor ? 1 : 0;
    for (uint32_t i = 0; tensor && i < tensor->dims; i++)
        n *= tensor->shape[i]; /* checked when it was read */
    return n;
}

static bool of_experts(int role) {
    return role == TFM__ROLE_EXPERT_GATE || role == TFM__ROLE_EXPERT_UP || role == TFM__ROLE_EXPERT_DOWN;
}

/* As the files list it. expert < 0: none. */
static amount listed(counting *n, int role, uint32_t layer, int64_t expert) {
    tfm__binder *b = &n->binder;
    amount found = {0, 0};
    if (role == TFM__ROLE_ROUTER_CORRECTION ||
        (role == TFM__ROLE_SINKS && b->container->format == TFM__FORMAT_HF))
        return (amount){0, elements(tfm__bind_find(b, role, layer, "", false))};
    if (of_experts(role) && n->c->family->experts_plain && b->container->format == TFM__FORMAT_HF)
        return expert >= 0 ? found
                           : (amount){elements(tfm__bind_find(b, role, layer, "", false)),
                                      elements(tfm__bind_find(b, role, layer, "_bias", false))};
    const tfm__tensor *weight = tfm__bind_find_expert(b, role, layer, expert, ".weight", false);
    const tfm__tensor *bias = tfm__bind_find_expert(b, role, layer, expert, ".bias", false);
    if (role == TFM__ROLE_FFN_NORM && weight &&
        weight == tfm__bind_find(b, TFM__ROLE_ATTN_NORM, layer, ".weight", false))
        return found; /* one norm for both half-blocks, under either name */
    if (!weight) {    /* names of 2018 */
        weight = tfm__bind_find_expert(b, role, layer, expert, ".gamma", false);
        bias = tfm__bind_find_expert(b, role, layer, expert, ".beta", false);
    }
    found.weight = elements(weight);
    found.bias = elements(bias);
    return found;
}

static amount matrix(const counting *n, uint64_t rows_, uint64_t columns, int bias) {
    return (amount){rows_ * columns, n->biases & bias ? rows_ : 0};
}
static amount norm(const counting *n, uint64_t size) {
    if (n->c->family->norm_free) return (amount){0, 0};
    return (amount){size, n->biases & TFM__BIAS_NORM ? size : 0};
}

static amount qk_norm(const counting *n, uint64_t heads) {
    const tfm__config *c = n->c;
    uint64_t size = c->qk_norm == TFM__QK_NORM_ROW || c->qk_norm == TFM__QK_NORM_HEADS_LAYER
                        ? heads * c->head_dim
                        : c->head_dim;
    if (c->qk_norm == TFM__QK_NORM_NONE) return (amount){0, 0};
    return (amount){size, n->biases & TFM__BIAS_QK_NORM ? size : 0};
}

/* As the description has it. Queries, keys and values all count as those of Q, gate and up as UP. */
static amount formula(const counting *n, int role, uint32_t layer) {
    const tfm__config *c = n->c;
    const tfm__experts *x = &c->experts;
    const amount none = {0, 0};
    bool before = c->order == TFM__ORDER_PRE || c->order == TFM__ORDER_PARALLEL;
    bool post = c->post_norms || !before, sparse = x->count && c->sparse[layer];
    uint64_t qkv = (uint64_t)c->heads * c->head_dim + (uint64_t)c->kv_heads * (c->head_dim + c->value_dim);
    switch (role) {
    case TFM__ROLE_EMBED:
        return matrix(n, c->vocab, c->width, 0);
    case TFM__ROLE_EMBED_NORM:
        return c->family->embed_norm ? norm(n, c->width) : none;
    case TFM__ROLE_POSITION:
        if (c->positions != TFM__POSITIONS_LEARNED) return none;
        return matrix(n, (uint64_t)c->context + c->position_offset, c->width, 0);
    case TFM__ROLE_OUTPUT_NORM:
        return norm(n, c->width);
    case TFM__ROLE_OUTPUT:
        return c->tied ? none : matrix(n, c->vocab, c->width, TFM__BIAS_OUTPUT);
    case TFM__ROLE_ATTN_NORM:
        return before ? norm(n, c->width) : none;
    case TFM__ROLE_FFN_NORM:
        return c->order == TFM__ORDER_PRE || (before && two_norms(n)) ? norm(n, c->width) : none;
    case TFM__ROLE_ATTN_POST_NORM:
    case TFM__ROLE_FFN_POST_NORM:
        return post ? norm(n, c->width) : none;
    case TFM__ROLE_Q:
        if (c->latent_kv)
            return c->latent_q ? none : matrix(n, (uint64_t)c->heads * c->head_dim, c->width, 0);
        return matrix(n, qkv, c->width, TFM__BIAS_QKV);
    case TFM__ROLE_Q_A:
        return c->latent_q ? matrix(n, c->latent_q, c->width, TFM__BIAS_QKV) : none;
    case TFM__ROLE_Q_A_NORM:
        return c->latent_q ? norm(n, c->latent_q) : none;
    case TFM__ROLE_Q_B:
        return c->latent_q ? matrix(n, (uint64_t)c->heads * c->head_dim, c->latent_q, 0) : none;
    case TFM__ROLE_KV_A:
        return c->latent_kv ? matrix(n, (uint64_t)c->latent_kv + c->rotary_dim, c->width, TFM__BIAS_QKV)
                            : none;
    case TFM__ROLE_KV_A_NORM:
        return c->latent_kv ? norm(n, c->latent_kv) : none;
    case TFM__ROLE_KV_B:
        return c->latent_kv ? matrix(n, (uint64_t)c->heads * (c->head_dim - c->rotary_dim + c->value_dim),
                                     c->latent_kv, 0)
                            : none;
    case TFM__ROLE_ATTN_OUT:
        return matrix(n, c->width, (uint64_t)c->heads * c->value_dim, TFM__BIAS_OUT);
    case TFM__ROLE_Q_NORM:
        return qk_norm(n, c->heads);
    case TFM__ROLE_K_NORM:
        return qk_norm(n, c->kv_heads);
    case TFM__ROLE_UP:
        return sparse ? none
                      : matrix(n, (c->gated ? 2 : 1) * (uint64_t)c->feed_forward, c->width, TFM__BIAS_FEED);
    case TFM__ROLE_DOWN:
        return sparse ? none : matrix(n, c->width, c->feed_forward, TFM__BIAS_FEED);
    case TFM__ROLE_SINKS:
        return (amount){0, c->family->sinks ? c->heads : 0};
    case TFM__ROLE_ROUTER:
        if (sparse && c->family->expert_limit != 0.0f) /* everything of these has biases */
            return (amount){(uint64_t)x->count * c->width, x->count};
        return sparse ? matrix(n, x->count, c->width, 0) : none;
    case TFM__ROLE_ROUTER_CORRECTION:
        return (amount){0, sparse && x->route == TFM__ROUTE_SIGMOID ? x->count : 0};
    case TFM__ROLE_EXPERT_UP: /* gate, up and down of all */
        if (sparse && c->family->expert_limit != 0.0f)
            return (amount){3 * (uint64_t)x->count * x->width * c->width,
                            x->count * (2 * (uint64_t)x->width + c->width)};
        return sparse ? matrix(n, 3 * (uint64_t)x->count * x->width, c->width, 0) : none;
    case TFM__ROLE_SHARED_UP:
        return sparse ? matrix(n, 3 * (uint64_t)x->shared, c->width, 0) : none;
    case TFM__ROLE_SHARED_SWITCH:
        return sparse && x->shared && n->row->has_switch ? matrix(n, 1, c->width, 0) : none;
    default:
        return none;
    }
}

/* ---- All of them --------------------------------------------------------------------------------------- */

static bool is_norm(int role) {
    return role == TFM__ROLE_EMBED_NORM || role == TFM__ROLE_OUTPUT_NORM || role == TFM__ROLE_ATTN_NORM ||
           role == TFM__ROLE_Q_A_NORM || role == TFM__ROLE_KV_A_NORM || role == TFM__ROLE_Q_NORM ||
           role == TFM__ROLE_K_NORM || role == TFM__ROLE_ATTN_POST_NORM || role == TFM__ROLE_FFN_NORM ||
           role == TFM__ROLE_FFN_POST_NORM;
}

static uint64_t *part_of(tfm_shape *shape, int role) {
    if (is_norm(role)) return &shape->norm_parameters;
    switch (role) {
    case TFM__ROLE_EMBED:
    case TFM__ROLE_TOKEN_TYPE:
        return &shape->embedding_parameters;
    case TFM__ROLE_POSITION:
    case TFM__ROLE_RELATIVE:
        return &shape->position_parameters;
    case TFM__ROLE_POOLER:
    case TFM__ROLE_OUTPUT:
        return &shape->output_parameters;
    case TFM__ROLE_Q:
    case TFM__ROLE_K:
    case TFM__ROLE_V:
    case TFM__ROLE_QKV:
    case TFM__ROLE_Q_A:
    case TFM__ROLE_Q_B:
    case TFM__ROLE_KV_A:
    case TFM__ROLE_KV_B:
    case TFM__ROLE_ATTN_OUT:
    case TFM__ROLE_SINKS:
        return &shape->attention_parameters;
    default:
        return &shape->feed_parameters;
    }
}

static void add(counting *n, int role, amount found) {
    const tfm__experts *x = &n->c->experts;
    uint64_t all = found.weight + found.bias;
    if (!tfm__add_u64(n->shape->parameters, all, &n->shape->parameters) ||
        n->shape->parameters > MOST_PARAMETERS)
        n->overflow = true;
    if (n->overflow) return;
    *part_of(n->shape, role) += all;
    n->shape->vector_parameters += is_norm(role) ? all : found.bias;
    if (x->count && of_experts(role)) n->idle += all / x->count * (x->count - x->used);
}

static void count_role(counting *n, int role, uint32_t layer) {
    amount all = {0, 0};
    if (role == TFM__ROLE_ROPE_FACTORS || role == TFM__ROLE_ROPE_LONG || role == TFM__ROLE_ROPE_SHORT)
        return; /* made from the description, not learnt */
    if (!n->listed) {
        add(n, role, formula(n, role, layer));
        return;
    }
    if (role == TFM__ROLE_OUTPUT && n->c->tied && n->binder.model->container.format == TFM__FORMAT_HF)
        return; /* a copy of the embedding, if it is there */
    all = listed(n, role, layer, -1);
    for (uint32_t e = 0; of_experts(role) && e < n->c->experts.count; e++) {
        amount one = listed(n, role, layer, e);
        if (!one.weight) break; /* none of the others either */
        all.weight += one.weight;
        all.bias += one.bias;
    }
    if (of_experts(role) && !n->c->experts.count) return;
    add(n, role, all);
}

/* What no role of an encoder names is its head's. Integers are no parameters. */
static uint64_t rest(const counting *n) {
    const tfm__container *container = &n->binder.model->container;
    const tfm_shape *s = n->shape;
    uint64_t all = 0, counted = s->embedding_parameters + s->position_parameters + s->attention_parameters +
                                s->feed_parameters + s->norm_parameters + s->output_parameters;
    for (size_t i = 0; i < container->tensor_count; i++) {
        const tfm__dtype *dtype = tfm__dtype_of(container->tensors[i].type);
        if (dtype && dtype->weights) all += elements(&container->tensors[i]);
    }
    return all > counted ? all - counted : 0;
}

static void copy_sizes(const tfm__config *c, tfm_shape *shape) {
    snprintf(shape->name, sizeof shape->name, "%s", c->name);
    snprintf(shape->family, sizeof shape->family, "%s", c->family->name);
    shape->layers = c->layers;
    shape->width = c->width;
    shape->heads = c->heads;
    shape->kv_heads = c->kv_heads;
    shape->head_dim = c->head_dim;
    shape->value_dim = c->value_dim;
    shape->feed_forward = c->feed_forward;
    shape->vocab = c->vocab;
    shape->context = c->context;
    shape->experts = c->experts.count;
    shape->experts_used = c->experts.count ? c->experts.used : 0;
    shape->expert_width = c->experts.count ? c->experts.width : 0;
    for (uint32_t i = 0; c->window && i < c->layers; i++) shape->windowed_layers += c->windowed[i] != 0;
    shape->window = shape->windowed_layers ? c->window : 0;
}

/* One role of one layer is below 2^58 by config.c's checks; their sum is watched. */
static int32_t count(tfm_model *model, tfm_shape *shape, tfm_error *error) {
    const tfm__config *c = &model->config;
    bool hf = model->container.format == TFM__FORMAT_HF || model->container.format == TFM__FORMAT_CTRANSLATE2;
    counting n = {.binder = {.model = model,
                             .container = &model->container,
                             .names = hf ? c->family->hf_names : tfm__gguf_names(c->family),
                             .error = error},
                  .c = c,
                  .listed = model->container.tensor_count > 0,
                  .shape = shape};
    if (!n.listed && (c->encoder || c->cross))
        return tfm__fail(error, TFM_E_UNSUPPORTED,
                         "the family '%s' can only be counted by its tensors, and there are none",
                         c->family->name);
    if (!n.binder.names)
        return tfm__fail(error, TFM_E_UNSUPPORTED, "the family '%s' has no tensor names for this format",
                         c->family->name);
    n.binder.transposed = n.binder.names->matrices_transposed;
    tfm__bind_prefix(&n.binder);
    find_row(&n);
    copy_sizes(c, shape);
    for (int role = 0; role < TFM__ROLE_COUNT; role++)
        for (uint32_t layer = 0; layer < (role < TFM__ROLE_ATTN_NORM ? 1 : c->layers); layer++)
            count_role(&n, role, layer);
    if (n.overflow)
        return tfm__fail(error, TFM_E_UNSUPPORTED, "a model of more than %llu parameters",
                         (unsigned long long)MOST_PARAMETERS);
    shape->tied = shape->output_parameters == 0;
    if (c->encoder || c->cross) shape->output_parameters += rest(&n);
    shape->counted = n.listed;
    shape->parameters = shape->embedding_parameters + shape->position_parameters +
                        shape->attention_parameters + shape->feed_parameters + shape->norm_parameters +
                        shape->output_parameters;
    shape->active_parameters = shape->parameters - n.idle;
    return TFM_OK;
}

int32_t tfm__shape_of_store(tfm__store *store, tfm_shape *shape, tfm_error *error) {
    tfm_error why = TFM_ERROR_INIT;
    tfm_model *model = tfm__alloc_zero(store->heap, sizeof *model);
    if (!model) return tfm__fail_memory(error, store->heap, sizeof *model);
    int32_t status = tfm__container_open(store, &model->container, &why);
    if (status == TFM_E_MISSING) /* no weights, or not all: the description will do */
        status = tfm__container_open_config(store, &model->container, &why);
    if (!status) status = tfm__config_read(&model->container, &model->config, &why);
    if (!status) status = count(model, shape, &why);
    if (status && error) (void)tfm__give_struct(error, &why, sizeof why, "tfm_error", NULL);
    tfm__container_release(&model->container);
    tfm__free(store->heap, model);
    return status;
}
