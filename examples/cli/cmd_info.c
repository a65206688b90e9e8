/* cmd_info.c - `tfm info`: what is in a model's file. */
#include "cli.h"
#include "json_out.h"

#include <inttypes.h>
#include <string.h>

typedef struct info_options {
    cli_open_options open;
    int tensors, json;
} info_options;

typedef struct info_facts {
    tfm_model_info model;
    tfm_tokenizer_info tokenizer;
} info_facts;

/* ---- JSON
 * ----------------------------------------------------------------------------------------------------------
 */

static const char *kind_name(int32_t kind) {
    static const char *const names[] = {"", "decoder", "encoder", "encoder-decoder"}; /* in the order of TFM_KIND_* */
    return kind >= 0 && (size_t)kind < ARG_COUNT(names) ? names[kind] : "";
}

static void member_text(const char *name, const char *value) {
    printf("\"%s\":", name);
    json_text(stdout, value);
    putchar(',');
}

static void print_json_tokenizer(const tfm_tokenizer_info *info) {
    putchar('{');
    member_text("kind", info->kind);
    member_text("pattern", info->pattern);
    printf("\"vocab_size\":%" PRId32 ",\"bos\":%" PRId32 ",\"eos\":%" PRId32 ",\"unknown\":%" PRId32
           ",\"padding\":%" PRId32 ",\"end_of_turn\":%" PRId32 ",\"adds_bos\":%s,\"adds_eos\":%s}",
           info->vocab_size, info->bos, info->eos, info->unknown, info->padding, info->end_of_turn,
           info->adds_bos ? "true" : "false", info->adds_eos ? "true" : "false");
}

static void print_json_shape(const tfm_tensor_info *tensor) {
    for (uint32_t d = 0; d < tensor->dims && d < 8; d++) printf("%s%" PRIu64, d ? "," : "", tensor->shape[d]);
}

static int print_json_tensors(cli_host *host) {
    size_t count = tfm_model_tensor_count(host->model);
    printf(",\"tensors\":[");
    for (size_t i = 0; i < count; i++) {
        tfm_tensor_info tensor = TFM_TENSOR_INFO_INIT;
        if (tfm_model_tensor(host->model, i, &tensor, &host->error)) return cli_fail(host);
        printf("%s{", i ? "," : "");
        member_text("name", tensor.name);
        member_text("type", tensor.type);
        printf("\"shape\":[");
        print_json_shape(&tensor);
        printf("],\"bytes\":%" PRIu64 "}", tensor.bytes);
    }
    putchar(']');
    return CLI_OK;
}

static int print_json(cli_host *host, const info_facts *facts, const info_options *options) {
    const tfm_model_info *m = &facts->model;
    int status = CLI_OK;
    putchar('{');
    member_text("family", m->family);
    member_text("name", m->name);
    member_text("format", m->format);
    member_text("weights", m->weights);
    member_text("kind", kind_name(m->kind));
    printf("\"parameters\":%" PRIu64 ",\"weight_bytes\":%" PRIu64 ",", m->parameters, m->weight_bytes);
    printf("\"layers\":%" PRId32 ",\"width\":%" PRId32 ",\"heads\":%" PRId32 ",\"kv_heads\":%" PRId32
           ",\"head_dim\":%" PRId32 ",\"feed_forward\":%" PRId32 ",\"vocab_size\":%" PRId32
           ",\"context\":%" PRId32 ",\"kv_bytes_per_token\":%" PRIu64 ",",
           m->layers, m->width, m->heads, m->kv_heads, m->head_dim, m->feed_forward, m->vocab_size,
           m->context, m->kv_bytes_per_token);
    member_text("isa", m->isa);
    printf("\"tokenizer\":");
    if (m->has_tokenizer)
        print_json_tokenizer(&facts->tokenizer);
    else
        printf("null");
    if (options->tensors) status = print_json_tensors(host);
    printf("}\n");
    return status;
}

/* ---- Text
 * ----------------------------------------------------------------------------------------------------------
 */

static void line_text(const char *name, const char *value) {
    printf("%-14s %s\n", name, value[0] ? value : "-");
}

static void line_number(const char *name, uint64_t value, const char *unit) {
    static const char *const prefixes[] = {"", " k", " M", " G", " T"};
    double scaled = (double)value;
    size_t power = 0;
    while (scaled >= 1000 && power + 1 < ARG_COUNT(prefixes)) scaled /= 1000, power++;
    if (power)
        printf("%-14s %" PRIu64 " (%.3g%s%s)\n", name, value, scaled, prefixes[power], unit);
    else
        printf("%-14s %" PRIu64 "\n", name, value);
}

static void print_text_tokenizer(const tfm_tokenizer_info *info) {
    printf("%-14s %s%s%s, %" PRId32 " tokens", "tokenizer", info->kind, info->pattern[0] ? ", pattern " : "",
           info->pattern, info->vocab_size);
    if (info->bos >= 0) printf(", begin %" PRId32 "%s", info->bos, info->adds_bos ? " (added)" : "");
    if (info->eos >= 0) printf(", end %" PRId32 "%s", info->eos, info->adds_eos ? " (added)" : "");
    putchar('\n');
}

static int print_text_tensors(cli_host *host) {
    size_t count = tfm_model_tensor_count(host->model);
    putchar('\n');
    for (size_t i = 0; i < count; i++) {
        tfm_tensor_info tensor = TFM_TENSOR_INFO_INIT;
        if (tfm_model_tensor(host->model, i, &tensor, &host->error)) return cli_fail(host);
        json_text(stdout, tensor.name); /* quoted: names come from a file, which may hold anything */
        printf(" %s [", tensor.type);
        print_json_shape(&tensor);
        printf("]\n");
    }
    return CLI_OK;
}

static int print_text(cli_host *host, const info_facts *facts, const info_options *options) {
    const tfm_model_info *m = &facts->model;
    line_text("family", m->family);
    printf("%-14s ", "name");
    json_text(stdout, m->name);
    putchar('\n');
    line_text("kind", kind_name(m->kind));
    line_text("format", m->format);
    line_text("weights", m->weights);
    line_number("parameters", m->parameters, "");
    line_number("weight bytes", m->weight_bytes, "B");
    line_number("layers", (uint64_t)m->layers, "");
    line_number("width", (uint64_t)m->width, "");
    printf("%-14s %" PRId32 " (key/value: %" PRId32 "), each %" PRId32 " wide\n", "heads", m->heads,
           m->kv_heads, m->head_dim);
    line_number("feed-forward", (uint64_t)m->feed_forward, "");
    line_number("vocabulary", (uint64_t)m->vocab_size, "");
    line_number("context", (uint64_t)m->context, "");
    printf("%-14s %" PRIu64 " bytes per token\n", "cache", m->kv_bytes_per_token);
    line_text("instructions", m->isa);
    if (m->has_tokenizer)
        print_text_tokenizer(&facts->tokenizer);
    else
        line_text("tokenizer", "");
    return options->tensors ? print_text_tensors(host) : CLI_OK;
}

/* ---- The command
 * --------------------------------------------------------------------------------------------------- */

static int show(cli_host *host, const info_options *options) {
    info_facts facts = {TFM_MODEL_INFO_INIT, TFM_TOKENIZER_INFO_INIT};
    if (tfm_model_get_info(host->model, &facts.model, &host->error)) return cli_fail(host);
    if (facts.model.has_tokenizer &&
        tfm_tokenizer_get_info(tfm_tokenizer_of(host->model), &facts.tokenizer, &host->error))
        return cli_fail(host);
    return (options->json ? print_json : print_text)(host, &facts, options);
}

static int info(const char *model, const info_options *options) {
    cli_host host;
    int status = cli_open(&host, "info");
    if (!status) status = cli_open_model(&host, model, &options->open);
    if (!status) status = show(&host, options);
    return cli_close(&host, status);
}

int cmd_info(int argc, char **argv) {
    info_options o;
    memset(&o, 0, sizeof o);
    o.open.threads.value = 1; /* nothing is computed */
    const arg_option options[] = {
        {0, "tensors", ARG_FLAG, &o.tensors, NULL, "also list every tensor", 0, 0, NULL},
        CLI_OPTION_ISA(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {"info", "MODEL", "Shows what is in a model's file.\n", options,
                                 ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    return status == ARGS_GO ? info(model, &o) : status;
}
