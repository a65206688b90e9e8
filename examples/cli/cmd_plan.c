/* cmd_plan.c - `tfm plan`: what a model of a shape takes, without its weights: parameters, memory,
 * arithmetic, and training in days and money. Published numbers stand beside what the formulas say. */
#include "cli.h"
#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What has been said of a training. 0: nothing. */
typedef struct said {
    const char *name;
    double tokens, accelerators; /* also the defaults of the plan */
    double hours, flops;         /* of accelerators, in all; in all */
    double days, cost, text_bytes, model_bytes;
    const char *by;
} said;

static const said published[] = {
    {"gpt-3", 300e9, 10000, 0, 3.14e23, 0, 0, 0, 0, "Brown et al. 2020, table D.1"},
    {"gpt-3-175b", 300e9, 10000, 0, 3.14e23, 0, 0, 0, 0, "Brown et al. 2020, table D.1"},
    {"llama-2-7b", 2e12, 6000, 184320, 0, 0, 0, 0, 0, "Touvron et al. 2023, table 2"},
    {"llama-2-13b", 2e12, 6000, 368640, 0, 0, 0, 0, 0, "Touvron et al. 2023, table 2"},
    {"llama-2-70b", 2e12, 6000, 1720320, 1e24, 12, 2e6, 10e12, 140e9,
     "Touvron et al. 2023, table 2 (hours); Karpathy 2023, \"Intro to large language models\""},
};

static const said *said_of(const char *name) {
    for (size_t i = 0; i < ARG_COUNT(published); i++)
        if (strcmp(published[i].name, name) == 0) return &published[i];
    return NULL;
}

typedef struct plan_options {
    arg_f64 tokens, gpus, speed, utilisation, price, text, bits;
    arg_u64 context;
    int kv; /* TFM_CACHE_*: the place in cli_kv_names */
    int json, list;
} plan_options;

typedef struct plan_facts {
    tfm_shape shape;
    tfm_plan_options how;
    tfm_plan_result plan;
    const said *said;
} plan_facts;

/* ---- Text ---- */

/* 6738415616 as 6,738,415,616. */
static const char *grouped(uint64_t value, char text[32]) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, value), used = 0;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0) text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = 0;
    return text;
}

/* 6.74 G and so on. */
static const char *scaled(double value, const char *unit, char text[48]) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E", "Z", "Y"};
    size_t power = 0;
    while (value >= 999.5 && power + 1 < ARG_COUNT(prefixes)) value /= 1000, power++;
    snprintf(text, 48,
             value >= 100 || (power == 0 && value == (double)(int)value) ? "%.0f %s%s" : "%.3g %s%s", value,
             prefixes[power], unit);
    return text;
}

static void part(const char *name, uint64_t value, uint64_t all) {
    char text[32];
    if (value)
        printf("  %-22s %20s  %5.1f %%\n", name, grouped(value, text), 100.0 * (double)value / (double)all);
}

static void print_shape(const tfm_shape *s) {
    printf("%s (%s): %" PRIu32 " layers, %" PRIu32 " wide, %" PRIu32 " heads", s->name[0] ? s->name : "model",
           s->family, s->layers, s->width, s->heads);
    if (s->kv_heads != s->heads) printf(" (%" PRIu32 " for keys and values)", s->kv_heads);
    printf(" of %" PRIu32 ", ", s->head_dim);
    if (s->experts)
        printf("%" PRIu32 " experts of %" PRIu32 " (%" PRIu32 " used)", s->experts, s->expert_width,
               s->experts_used);
    else
        printf("feed-forward %" PRIu32, s->feed_forward);
    printf(",\n  vocabulary %" PRIu32 ", context %" PRIu32, s->vocab, s->context);
    if (s->windowed_layers)
        printf(", %" PRIu32 " layers with a window of %" PRIu32, s->windowed_layers, s->window);
    printf("\n");
}

static void print_parameters(const tfm_shape *s) {
    char text[32];
    printf("\nparameters               %20s\n", grouped(s->parameters, text));
    part("embedding", s->embedding_parameters, s->parameters);
    part("positions", s->position_parameters, s->parameters);
    part("attention", s->attention_parameters, s->parameters);
    part("feed-forward", s->feed_parameters, s->parameters);
    part("norms", s->norm_parameters, s->parameters);
    part("output", s->output_parameters, s->parameters);
    if (s->active_parameters != s->parameters)
        printf("  %-22s %20s\n", "met by one token", grouped(s->active_parameters, text));
}

static int print_memory(const plan_facts *f, tfm_error *error) {
    static const char *const types[] = {"F32", "F16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K"};
    const tfm_plan_result *p = &f->plan;
    char text[48];
    printf("\nweights in ");
    for (size_t i = 0; i < ARG_COUNT(types); i++) {
        uint64_t bytes = 0;
        if (tfm_shape_bytes(&f->shape, types[i], &bytes, error)) return -1;
        printf("%s%s %s", i ? ", " : "", types[i], scaled((double)bytes, "B", text));
    }
    printf("\nkeys and values          %s a token", scaled((double)p->kv_bytes_per_token, "B", text));
    printf(", %s for a context of %" PRIu64 "\n", scaled((double)p->kv_bytes, "B", text),
           f->how.context ? f->how.context : f->shape.context);
    printf("memory to train          %s (weights, gradients, two moments in F32; activations not counted)\n",
           scaled(p->train_bytes, "B", text));
    return 0;
}

/* A line of the training: what the formulas say and what has been said. */
static void line(const char *name, const char *ours, double said_value, const char *unit) {
    char text[48];
    printf("  %-22s %16s", name, ours);
    if (said_value > 0) printf("  published: %s", scaled(said_value, unit, text));
    printf("\n");
}

static void print_training(const plan_facts *f) {
    const tfm_plan_result *p = &f->plan;
    static const said nothing;
    const said *s = f->said ? f->said : &nothing;
    char a[48], b[48], c[48];
    printf("\narithmetic for a token   %s forward", scaled(p->forward_flops, "FLOP", a));
    printf(" and %s for attention at full context; %s to train on it\n",
           scaled(p->attention_flops, "FLOP", b), scaled(p->train_flops, "FLOP", c));
    double flops = f->how.flops > 0 ? f->how.flops : 312e12;
    printf("\ntraining on %s tokens with %s accelerators of %s, %.0f %% used, %.2f an hour\n",
           scaled(p->tokens, "", a), scaled(f->how.accelerators > 0 ? f->how.accelerators : 1, "", b),
           scaled(flops, "FLOP/s", c), 100 * (f->how.utilisation > 0 ? f->how.utilisation : 0.4),
           f->how.price > 0 ? f->how.price : 1.10);
    line("arithmetic", scaled(p->total_train_flops, "FLOP", a), s->flops, "FLOP");
    line("  by the rule 6 N T", scaled(p->rule_train_flops, "FLOP", a), 0, "");
    line("accelerator hours", scaled(p->accelerator_hours, "h", a), s->hours, "h");
    line("days", scaled(p->train_seconds / 86400, "", a), s->days, "");
    line("cost", scaled(p->cost, "", a), s->cost, "");
    line("text", scaled(p->text_bytes, "B", a), s->text_bytes, "B");
    line("the model", scaled(p->model_bytes, "B", a), s->model_bytes, "B");
    line("text per model byte", scaled(p->text_per_model_byte, "", a),
         s->model_bytes > 0 ? s->text_bytes / s->model_bytes : 0, "");
    if (f->said) printf("  (published: %s)\n", s->by);
}

/* ---- JSON ---- */

static void member(const char *name, double value) {
    printf(",\"%s\":", name);
    json_number(stdout, value);
}

static int print_json(const plan_facts *f, tfm_error *error) {
    const tfm_shape *s = &f->shape;
    const tfm_plan_result *p = &f->plan;
    printf("{\"name\":");
    json_text(stdout, s->name);
    printf(",\"family\":");
    json_text(stdout, s->family);
    printf(",\"parameters\":%" PRIu64 ",\"active_parameters\":%" PRIu64, s->parameters, s->active_parameters);
    printf(",\"parts\":{\"embedding\":%" PRIu64 ",\"positions\":%" PRIu64 ",\"attention\":%" PRIu64
           ",\"feed_forward\":%" PRIu64 ",\"norms\":%" PRIu64 ",\"output\":%" PRIu64 "}",
           s->embedding_parameters, s->position_parameters, s->attention_parameters, s->feed_parameters,
           s->norm_parameters, s->output_parameters);
    printf(",\"counted\":\"%s\"", s->counted ? "tensors" : "formula");
    printf(",\"layers\":%" PRIu32 ",\"width\":%" PRIu32 ",\"heads\":%" PRIu32 ",\"kv_heads\":%" PRIu32
           ",\"head_dim\":%" PRIu32 ",\"feed_forward\":%" PRIu32 ",\"vocab_size\":%" PRIu32
           ",\"context\":%" PRIu32 ",\"experts\":%" PRIu32 ",\"experts_used\":%" PRIu32,
           s->layers, s->width, s->heads, s->kv_heads, s->head_dim, s->feed_forward, s->vocab, s->context,
           s->experts, s->experts_used);
    printf(",\"weight_bytes\":{");
    for (size_t i = 0; tfm_shape_type(i); i++) {
        uint64_t bytes = 0;
        if (tfm_shape_bytes(s, tfm_shape_type(i), &bytes, error)) return -1;
        printf("%s\"%s\":%" PRIu64, i ? "," : "", tfm_shape_type(i), bytes);
    }
    printf("},\"kv_bytes_per_token\":%" PRIu64 ",\"kv_bytes\":%" PRIu64, p->kv_bytes_per_token, p->kv_bytes);
    member("train_bytes", p->train_bytes);
    member("forward_flops_per_token", p->forward_flops);
    member("attention_flops_per_token", p->attention_flops);
    member("train_flops_per_token", p->train_flops);
    member("train_tokens", p->tokens);
    member("train_flops", p->total_train_flops);
    member("rule_train_flops", p->rule_train_flops);
    member("train_days", p->train_seconds / 86400);
    member("accelerator_hours", p->accelerator_hours);
    member("cost", p->cost);
    member("text_bytes", p->text_bytes);
    member("model_bytes", p->model_bytes);
    member("text_per_model_byte", p->text_per_model_byte);
    printf("}\n");
    return 0;
}

/* ---- The command ---- */

/* A name of the table, or else a path. */
static int find_shape(const char *what, plan_facts *f, tfm_error *error) {
    int32_t status = tfm_shape_named(what, &f->shape, error);
    if (status == TFM_E_NOT_FOUND) {
        status = tfm_shape_read(what, NULL, &f->shape, error);
        if (status == TFM_E_NOT_FOUND && !strchr(what, '/'))
            return cli_error("plan", "%s is neither a file nor a known model: --list shows those", what);
        return status ? cli_error("plan", "%s", error->message) : CLI_OK;
    }
    f->said = status ? NULL : said_of(f->shape.name);
    return status ? cli_error("plan", "%s", error->message) : CLI_OK;
}

static int plan(const char *what, const plan_options *o) {
    tfm_error error = TFM_ERROR_INIT;
    plan_facts f = {TFM_SHAPE_INIT, TFM_PLAN_OPTIONS_INIT, TFM_PLAN_RESULT_INIT, NULL};
    int status = find_shape(what, &f, &error);
    if (status) return status;
    f.how.tokens = o->tokens.given ? o->tokens.value : f.said ? f.said->tokens : 0;
    f.how.accelerators = o->gpus.given ? o->gpus.value : f.said ? f.said->accelerators : 0;
    f.how.flops = o->speed.value * 1e12;
    f.how.utilisation = o->utilisation.value / 100;
    f.how.price = o->price.value;
    f.how.bytes_per_token = o->text.value;
    f.how.bytes_per_weight = o->bits.value / 8;
    f.how.context = o->context.value;
    f.how.cache_type = o->kv;
    if (tfm_plan(&f.shape, &f.how, &f.plan, &error)) return cli_error("plan", "%s", error.message);
    if (o->json) {
        if (print_json(&f, &error)) return cli_error("plan", "%s", error.message);
        return CLI_OK;
    }
    print_shape(&f.shape);
    print_parameters(&f.shape);
    if (print_memory(&f, &error)) return cli_error("plan", "%s", error.message);
    print_training(&f);
    return CLI_OK;
}

static int list_models(void) {
    for (size_t i = 0; tfm_shape_name(i); i++) printf("%s\n", tfm_shape_name(i));
    return CLI_OK;
}

int cmd_plan(int argc, char **argv) {
    plan_options o;
    memset(&o, 0, sizeof o);
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--list") == 0) return list_models();
    const arg_option options[] = {
        {0, "tokens", ARG_F64, &o.tokens, "N",
         "to train on (default: as published, or 20 for each parameter)", 1, 1e30, NULL},
        {0, "gpus", ARG_F64, &o.gpus, "N", "accelerators (default: 6000 or 10000 where published, or 1)", 1,
         1e9, NULL},
        {0, "speed", ARG_F64, &o.speed, "TFLOPS", "of one accelerator (default 312: an A100)", 1e-6, 1e12,
         NULL},
        {0, "utilisation", ARG_F64, &o.utilisation, "PERCENT", "of that which is reached (default 40)", 0.01,
         100, NULL},
        {0, "price", ARG_F64, &o.price, "MONEY", "of one accelerator for an hour (default 1.10)", 1e-6, 1e9,
         NULL},
        {0, "text", ARG_F64, &o.text, "BYTES", "of text for each token (default 5)", 0.01, 1e6, NULL},
        {0, "bits", ARG_F64, &o.bits, "N", "of each weight of the finished model (default 16)", 0.1, 64,
         NULL},
        {0, "context", ARG_U64, &o.context, "N", "positions (default: the model's)", 1, 268435456.0, NULL},
        {0, "kv", ARG_CHOICE, &o.kv, "TYPE", "keys and values in f32, f16 (default), bf16, q8_0 or q4_0", 0,
         0, cli_kv_names},
        {0, "list", ARG_FLAG, &o.list, NULL, "the names that are known", 0, 0, NULL},
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {
        "plan", "NAME|CONFIG",
        "Reckons what a model takes, from its shape alone: a known name (gpt-3, llama-2-70b, ...),\n"
        "a config.json, a folder, or a GGUF file. No weights are read.\n",
        options, ARG_COUNT(options)};
    const char *what = NULL;
    int status = args_parse(&command, argc, argv, &what);
    return status == ARGS_GO ? plan(what, &o) : status;
}
