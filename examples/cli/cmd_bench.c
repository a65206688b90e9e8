/* cmd_bench.c - `tfm bench`: tokens per second of a prompt (logits of its last position only) and of single
 * tokens behind it. Medians of repeats, with the slowest and the fastest; one token runs before, untimed, so
 * that the file is in memory. */
#include "cli.h"
#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PREFILL 512
#define DEFAULT_DECODE 32
#define DEFAULT_REPEATS 5
#define MOST_REPEATS 1000

typedef struct bench_options {
    cli_open_options open;
    arg_u64 prefill, decode, repeats;
    int json;
} bench_options;

typedef struct bench_result {
    uint64_t tokens;
    size_t repeats;
    double speeds[MOST_REPEATS]; /* tokens per second; sorted once measured */
} bench_result;

typedef struct bench_plan {
    size_t prefill, decode, repeats;
    int32_t *tokens; /* [prefill + decode] */
    tfm_model_info info;
    uint32_t threads;
} bench_plan;

/* ---- Measuring
 * ----------------------------------------------------------------------------------------------------- */

/* Where nothing was asked for, the defaults shrink to what the model's context holds. */
static void fit(bench_plan *plan, const bench_options *options) {
    uint64_t context =
        options->open.context.value ? options->open.context.value : (uint64_t)plan->info.context;
    uint64_t decode = options->decode.given ? options->decode.value : DEFAULT_DECODE;
    uint64_t prefill = options->prefill.given ? options->prefill.value : DEFAULT_PREFILL;
    if (!options->decode.given && decode > context / 2) decode = context / 2;
    if (!options->prefill.given && prefill + decode > context)
        prefill = context > decode ? context - decode : 1;
    plan->prefill = (size_t)prefill;
    plan->decode = (size_t)decode;
    plan->repeats = (size_t)options->repeats.value;
}

/* Any ids do: the work is the same. Park and Miller's generator spreads them over the vocabulary. */
static int make_tokens(cli_host *host, bench_plan *plan) {
    uint64_t state = 1;
    size_t count = plan->prefill + plan->decode + 1;
    plan->tokens = malloc(count * sizeof *plan->tokens);
    if (!plan->tokens) return cli_error(host->command, "out of memory");
    for (size_t i = 0; i < count; i++) {
        state = state * 48271 % 2147483647;
        plan->tokens[i] = (int32_t)(state % (uint64_t)plan->info.vocab_size);
    }
    return CLI_OK;
}

/* The time of count tokens, step by step, in seconds; below 0: failed. */
static double feed(cli_host *host, const int32_t *tokens, size_t count, size_t step) {
    tfm_forward_options forward = TFM_FORWARD_OPTIONS_INIT;
    forward.cancel = host->cancel;
    double start = cli_seconds();
    for (size_t i = 0; i < count; i += step)
        if (tfm_forward(host->session, tokens + i, step, &forward, &host->error)) return -1;
    return cli_seconds() - start;
}

static void record(bench_result *result, double seconds) {
    result->speeds[result->repeats++] = (double)result->tokens / (seconds > 0 ? seconds : 1e-9);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int measure(cli_host *host, const bench_plan *plan, bench_result *prefill, bench_result *decode) {
    if (feed(host, plan->tokens, 1, 1) < 0) return cli_fail(host);
    for (size_t r = 0; r < plan->repeats; r++) {
        double seconds;
        if (tfm_session_rewind(host->session, 0, &host->error)) return cli_fail(host);
        if (plan->prefill) {
            if ((seconds = feed(host, plan->tokens, plan->prefill, plan->prefill)) < 0) return cli_fail(host);
            record(prefill, seconds);
        }
        if (plan->decode) {
            if ((seconds = feed(host, plan->tokens + plan->prefill, plan->decode, 1)) < 0)
                return cli_fail(host);
            record(decode, seconds);
        }
    }
    qsort(prefill->speeds, prefill->repeats, sizeof(double), compare);
    qsort(decode->speeds, decode->repeats, sizeof(double), compare);
    return CLI_OK;
}

static double median(const bench_result *result) {
    size_t n = result->repeats;
    return n % 2 ? result->speeds[n / 2] : (result->speeds[n / 2 - 1] + result->speeds[n / 2]) / 2;
}

/* ---- Output
 * -------------------------------------------------------------------------------------------------------- */

static void print_json_result(const char *name, const bench_result *result) {
    printf("\"%s\":{\"tokens\":%" PRIu64 ",\"tokens_per_second\":", name, result->tokens);
    if (result->repeats == 0) {
        printf("null,\"slowest\":null,\"fastest\":null}");
        return;
    }
    json_number(stdout, median(result));
    printf(",\"slowest\":");
    json_number(stdout, result->speeds[0]);
    printf(",\"fastest\":");
    json_number(stdout, result->speeds[result->repeats - 1]);
    putchar('}');
}

static void print_json(const bench_plan *plan, const bench_result *prefill, const bench_result *decode) {
    putchar('{');
    print_json_result("prefill", prefill);
    putchar(',');
    print_json_result("decode", decode);
    printf(",\"repeats\":%zu,\"threads\":%" PRIu32 ",\"isa\":", plan->repeats, plan->threads);
    json_text(stdout, plan->info.isa);
    printf(",\"family\":");
    json_text(stdout, plan->info.family);
    printf(",\"weights\":");
    json_text(stdout, plan->info.weights);
    printf("}\n");
}

static void print_line(const char *name, const bench_result *result) {
    if (result->repeats)
        printf("%-8s %6" PRIu64 " tokens %10.2f tokens/s  (%.2f to %.2f)\n", name, result->tokens,
               median(result), result->speeds[0], result->speeds[result->repeats - 1]);
}

static void print_text(const bench_plan *plan, const bench_result *prefill, const bench_result *decode) {
    printf("%s, %s, %" PRIu32 " threads, %s, median of %zu\n", plan->info.family, plan->info.weights,
           plan->threads, plan->info.isa, plan->repeats);
    print_line("prefill", prefill);
    print_line("decode", decode);
}

/* ---- The command
 * --------------------------------------------------------------------------------------------------- */

static int measure_and_print(cli_host *host, const bench_options *options, bench_plan *plan) {
    bench_result *results = calloc(2, sizeof *results);
    if (!results) return cli_error(host->command, "out of memory");
    results[0].tokens = plan->prefill;
    results[1].tokens = plan->decode;
    int status = measure(host, plan, &results[0], &results[1]);
    if (!status) (options->json ? print_json : print_text)(plan, &results[0], &results[1]);
    free(results);
    return status;
}

static int bench(const char *model, const bench_options *options) {
    cli_host host;
    bench_plan plan;
    memset(&plan, 0, sizeof plan);
    plan.info.struct_size = sizeof plan.info;
    int status = cli_open(&host, "bench");
    if (!status) status = cli_open_model(&host, model, &options->open);
    if (!status && tfm_model_get_info(host.model, &plan.info, &host.error)) status = cli_fail(&host);
    if (!status) {
        fit(&plan, options);
        plan.threads = tfm_pool_threads(host.pool);
        status = make_tokens(&host, &plan);
    }
    if (!status) status = cli_open_session(&host, &options->open);
    if (!status) status = measure_and_print(&host, options, &plan);
    free(plan.tokens);
    return cli_close(&host, status);
}

int cmd_bench(int argc, char **argv) {
    bench_options o;
    memset(&o, 0, sizeof o);
    o.repeats.value = DEFAULT_REPEATS;
    const arg_option options[] = {
        {'p', "prefill", ARG_U64, &o.prefill, "N",
         "tokens of the prompt (default 512, or what the context holds)", 0, 1e8, NULL},
        {'n', "decode", ARG_U64, &o.decode, "N", "single tokens behind it (default 32)", 0, 1e8, NULL},
        {'r', "repeats", ARG_U64, &o.repeats, "N", "1 to 1000 (default 5)", 1, MOST_REPEATS, NULL},
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {
        "bench", "MODEL",
        "Measures tokens per second: prefill is a prompt in one call, with the logits of its\n"
        "last position only; decode is one token per call.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    return status == ARGS_GO ? bench(model, &o) : status;
}
