/* cmd_bench.c - `tfm bench`: tokens per second of prompts (logits of their last position only) by length, of
 * single tokens behind them by depth, of several sessions that advance together by their number; and each
 * kernel beside the limits of the machine. Medians of repeats, with the slowest and the fastest. */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PREFILL 512
#define DEFAULT_DECODE 32
#define DEFAULT_REPEATS 5
#define DEFAULT_SIZE 256 /* MB */

typedef struct bench_options {
    cli_open_options open;
    const char *prefill, *depths, *sessions; /* lists */
    arg_u64 decode, repeats, size;
    const char *svg;
    int kernels, all, json;
} bench_options;

/* ---- Lists ---- */

/* "1,2,4", rising, so that a curve is one; NULL: not given. 0, or the exit status. */
static int read_list(bench_list *list, const char *text, const char *option, uint64_t least, uint64_t most) {
    if (!text) return CLI_OK;
    list->given = 1;
    for (const char *at = text;; at++) {
        char *end = NULL;
        errno = 0;
        unsigned long long value = *at >= '0' && *at <= '9' ? strtoull(at, &end, 10) : 0;
        if (!end || errno || (*end && *end != ','))
            return args_usage("bench", "%s %s: not a list of whole numbers", option, text);
        if (value < least || value > most)
            return args_usage("bench", "%s %s: %llu is not within %llu to %llu", option, text, value,
                              (unsigned long long)least, (unsigned long long)most);
        if (list->count && value <= list->values[list->count - 1])
            return args_usage("bench", "%s %s: the numbers must rise", option, text);
        if (list->count == BENCH_POINTS)
            return args_usage("bench", "%s %s: at most %d numbers", option, text, BENCH_POINTS);
        list->values[list->count++] = value;
        if (!*end) return CLI_OK;
        at = end;
    }
}

/* Those of the default places that leave room for `more` tokens. */
static void default_list(bench_list *list, const uint64_t *values, size_t count, uint64_t more,
                         uint64_t context) {
    if (list->given) return;
    list->count = 0;
    for (size_t i = 0; i < count; i++)
        if (values[i] + more <= context) list->values[list->count++] = values[i];
}

/* ---- The plan ---- */

/* Where nothing was asked for, the defaults shrink to what the model's context holds. */
static void fit(bench_report *report, const bench_options *options) {
    static const uint64_t depths[] = {0, 512, 1024, 2048, 4096, 8192}, sessions[] = {1, 2, 4, 8, 16},
                          lengths[] = {1, 16, 64, 256, 512, 1024, 2048};
    uint64_t context =
        options->open.context.value ? options->open.context.value : (uint64_t)report->info.context;
    uint64_t decode = options->decode.given ? options->decode.value : DEFAULT_DECODE;
    int curves = options->all || (options->svg && !report->depths.given && !report->sessions.given);
    if (!options->decode.given && decode > context / 2) decode = context / 2;
    if (!report->lengths.given) {
        uint64_t prefill = DEFAULT_PREFILL;
        if (prefill + decode > context) prefill = context > decode ? context - decode : 1;
        report->lengths.values[0] = prefill;
        report->lengths.count = 1;
        if (options->all) default_list(&report->lengths, lengths, ARG_COUNT(lengths), decode, context);
    }
    if (curves) {
        default_list(&report->depths, depths, ARG_COUNT(depths), decode, context);
        default_list(&report->sessions, sessions, ARG_COUNT(sessions), 0, UINT64_MAX);
    }
    report->decode = (size_t)decode;
    report->repeats = (size_t)options->repeats.value;
    report->isa = options->open.isa;
    if (options->kernels || options->all) report->kernel_bytes = options->size.value << 20;
}

/* ---- The command ---- */

static int bench(const char *model, const bench_options *options, bench_report *report) {
    cli_host host;
    report->info.struct_size = sizeof report->info;
    int status = cli_open(&host, "bench");
    if (!status) status = cli_open_model(&host, model, &options->open);
    if (!status && tfm_model_get_info(host.model, &report->info, &host.error)) status = cli_fail(&host);
    if (!status) {
        fit(report, options);
        report->threads = tfm_pool_threads(host.pool);
        status = cli_open_session(&host, &options->open);
    }
    if (!status) status = bench_measure(&host, report);
    if (!status && report->kernel_bytes) status = bench_kernels(&host, report);
    if (!status && options->svg) status = bench_plot("bench", report, options->svg);
    if (!status) (options->json ? bench_print_json : bench_print_text)(report);
    return cli_close(&host, status);
}

int cmd_bench(int argc, char **argv) {
    bench_options o;
    memset(&o, 0, sizeof o);
    o.repeats.value = DEFAULT_REPEATS;
    o.size.value = DEFAULT_SIZE;
    const arg_option options[] = {
        {'p', "prefill", ARG_TEXT, &o.prefill, "LIST",
         "tokens of the prompt: N or N,N,... (default 512, or what the context holds)", 0, 0, NULL},
        {'n', "decode", ARG_U64, &o.decode, "N", "single tokens behind it (default 32)", 0, 1e8, NULL},
        {'d', "depth", ARG_TEXT, &o.depths, "LIST",
         "also: the same behind so many tokens of context, 0,1024,...", 0, 0, NULL},
        {'s', "sessions", ARG_TEXT, &o.sessions, "LIST",
         "also: N or N,N,... sessions that advance together, a token each (at most 256)", 0, 0, NULL},
        {'k', "kernels", ARG_FLAG, &o.kernels, NULL,
         "also: the products of every weight type, beside the limits of the machine", 0, 0, NULL},
        {0, "size", ARG_U64, &o.size, "MB", "memory of --kernels, 1 to 8192 (default 256)", 1, 8192, NULL},
        {'a', "all", ARG_FLAG, &o.all, NULL, "all of that, at the usual lengths, depths and numbers", 0, 0,
         NULL},
        {0, "svg", ARG_TEXT, &o.svg, "OUT",
         "draw the curves of -d, -s and -p; none given: usual depths and sessions", 0, 0, NULL},
        {'r', "repeats", ARG_U64, &o.repeats, "N", "1 to 1000 (default 5)", 1, BENCH_REPEATS, NULL},
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        CLI_OPTION_KV(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {
        "bench", "MODEL",
        "Measures tokens per second: prefill is a prompt in one call, with the logits of its\n"
        "last position only; decode is one token per call.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status != ARGS_GO) return status;
    bench_report *report = calloc(1, sizeof *report);
    if (!report) return cli_error("bench", "out of memory");
    status = read_list(&report->lengths, o.prefill, "-p", 0, 100000000);
    if (!status) status = read_list(&report->depths, o.depths, "-d", 0, 100000000);
    if (!status) status = read_list(&report->sessions, o.sessions, "-s", 1, BENCH_SESSIONS);
    if (!status) status = bench(model, &o, report);
    bench_free(report);
    free(report);
    return status;
}
