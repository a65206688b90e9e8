/* cmd_bench.c - `tfm bench`: tokens per second of a prompt (logits of its last position only) and of single
 * tokens behind it, of one session and of several that advance together. Medians of repeats, with the slowest
 * and the fastest; one token runs before, untimed, so that the file is in memory. */
#include "cli.h"
#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PREFILL 512
#define DEFAULT_DECODE 32
#define DEFAULT_REPEATS 5
#define MOST_REPEATS 1000
#define MOST_SESSIONS 256

typedef struct bench_options {
    cli_open_options open;
    arg_u64 prefill, decode, repeats, sessions;
    int json;
} bench_options;

typedef struct bench_result {
    uint64_t tokens;
    size_t repeats;
    double speeds[MOST_REPEATS]; /* tokens per second; sorted once measured */
} bench_result;

typedef struct bench_plan {
    size_t prefill, decode, repeats, sessions; /* sessions 0: none together */
    int32_t *tokens;                           /* [prefill + decode] */
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
    plan->sessions = (size_t)options->sessions.value;
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

/* The time of plan->decode steps of all sessions, one token each a step, in seconds; below 0: failed. */
static double feed_many(cli_host *host, const bench_plan *plan, tfm_session **sessions) {
    tfm_forward_options forward = TFM_FORWARD_OPTIONS_INIT;
    tfm_forward_part parts[MOST_SESSIONS];
    forward.cancel = host->cancel;
    for (size_t s = 0; s < plan->sessions; s++)
        if (tfm_session_rewind(sessions[s], plan->prefill, &host->error)) return -1;
    double start = cli_seconds();
    for (size_t i = 0; i < plan->decode; i++) {
        for (size_t s = 0; s < plan->sessions; s++)
            parts[s] = (tfm_forward_part){sessions[s], plan->tokens + plan->prefill + (i + s) % plan->decode,
                                          1, TFM_LOGITS_LAST, 0};
        if (tfm_forward_many(parts, plan->sessions, &forward, &host->error)) return -1;
    }
    return cli_seconds() - start;
}

/* Sessions that share the prompt, which the host's session holds, and go on together. */
static int measure_many(cli_host *host, const bench_plan *plan, bench_result *together) {
    tfm_session *sessions[MOST_SESSIONS] = {NULL};
    int status = CLI_OK;
    if (tfm_session_rewind(host->session, plan->prefill, &host->error)) return cli_fail(host);
    for (size_t s = 0; s < plan->sessions && !status; s++)
        if (tfm_session_fork(host->session, &sessions[s], &host->error)) status = cli_fail(host);
    for (size_t r = 0; r <= plan->repeats && !status; r++) { /* the first one is not counted */
        double seconds = feed_many(host, plan, sessions);
        if (seconds < 0)
            status = cli_fail(host);
        else if (r)
            record(together, seconds);
    }
    for (size_t s = 0; s < plan->sessions; s++) tfm_session_destroy(sessions[s]);
    qsort(together->speeds, together->repeats, sizeof(double), compare);
    return status;
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

static void print_json(const bench_plan *plan, const bench_result *results) {
    putchar('{');
    print_json_result("prefill", &results[0]);
    putchar(',');
    print_json_result("decode", &results[1]);
    if (plan->sessions) {
        putchar(',');
        print_json_result("together", &results[2]);
        printf(",\"sessions\":%zu", plan->sessions);
    }
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

static void print_text(const bench_plan *plan, const bench_result *results) {
    printf("%s, %s, %" PRIu32 " threads, %s, median of %zu\n", plan->info.family, plan->info.weights,
           plan->threads, plan->info.isa, plan->repeats);
    print_line("prefill", &results[0]);
    print_line("decode", &results[1]);
    print_line("together", &results[2]);
    if (plan->sessions)
        printf("(together: %zu sessions behind the same prompt, one token each in every step; their tokens "
               "are added "
               "up)\n",
               plan->sessions);
}

/* ---- The command
 * --------------------------------------------------------------------------------------------------- */

static int measure_and_print(cli_host *host, const bench_options *options, bench_plan *plan) {
    bench_result *results = calloc(3, sizeof *results);
    if (!results) return cli_error(host->command, "out of memory");
    results[0].tokens = plan->prefill;
    results[1].tokens = plan->decode;
    results[2].tokens = plan->sessions * plan->decode;
    int status = measure(host, plan, &results[0], &results[1]);
    if (!status && plan->sessions && plan->decode) status = measure_many(host, plan, &results[2]);
    if (!status) (options->json ? print_json : print_text)(plan, results);
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
        {'s', "sessions", ARG_U64, &o.sessions, "N",
         "also: N sessions that advance together, a token each (at most 256)", 1, MOST_SESSIONS, NULL},
        {'r', "repeats", ARG_U64, &o.repeats, "N", "1 to 1000 (default 5)", 1, MOST_REPEATS, NULL},
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
    return status == ARGS_GO ? bench(model, &o) : status;
}
