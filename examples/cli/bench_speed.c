/* bench_speed.c - tokens per second of a model: prompts by length, single tokens by depth, sessions together.
 * One call runs before each series, untimed, so that the file is in memory and buffers are made. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

/* ---- Results ---- */

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t count) {
    if (!count) return 0;
    qsort(values, count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double bench_speed(const bench_result *result) {
    size_t n = result->repeats;
    if (!n) return 0;
    return n % 2 ? result->speeds[n / 2] : (result->speeds[n / 2 - 1] + result->speeds[n / 2]) / 2;
}

static void record(bench_result *result, double seconds) {
    result->speeds[result->repeats++] = (double)result->tokens / (seconds > 0 ? seconds : 1e-9);
}

static void finish(bench_result *result) { bench_median(result->speeds, result->repeats); }

static int make_curve(bench_curve *curve, const bench_list *list) {
    curve->points = calloc(list->count ? list->count : 1, sizeof *curve->points);
    if (!curve->points) return -1;
    curve->count = list->count;
    for (size_t i = 0; i < list->count; i++) curve->points[i].x = list->values[i];
    return 0;
}

void bench_free(bench_report *report) {
    free(report->prefill.points);
    free(report->together.points);
    free(report->decode_depth.points);
    free(report->prefill_depth.points);
}

/* ---- Feeding ---- */

/* Any ids do: the work is the same. Park and Miller's generator spreads them over the vocabulary. */
static int32_t *make_tokens(const bench_report *report) {
    uint64_t most = 0, state = 1;
    for (size_t i = 0; i < report->lengths.count; i++)
        if (report->lengths.values[i] > most) most = report->lengths.values[i];
    for (size_t i = 0; i < report->depths.count; i++)
        if (report->depths.values[i] + report->lengths.values[0] > most)
            most = report->depths.values[i] + report->lengths.values[0];
    for (size_t i = 0; i < report->depths.count; i++)
        if (report->depths.values[i] > most) most = report->depths.values[i];
    size_t count = (size_t)most + report->decode + 1;
    int32_t *tokens = malloc(count * sizeof *tokens);
    for (size_t i = 0; tokens && i < count; i++) {
        state = state * 48271 % 2147483647;
        tokens[i] = (int32_t)(state % (uint64_t)report->info.vocab_size);
    }
    return tokens;
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

/* One more measurement of count tokens behind a place. 0, or -1. */
static int feed_at(cli_host *host, bench_result *result, const int32_t *tokens, size_t place, size_t count,
                   size_t step) {
    if (tfm_session_rewind(host->session, place, &host->error)) return -1;
    double seconds = feed(host, tokens + place, count, step);
    if (seconds < 0) return -1;
    record(result, seconds);
    return 0;
}

/* ---- One session ---- */

static int measure_first(cli_host *host, bench_report *report, const int32_t *tokens) {
    bench_result *prefill = &report->prefill.points[0], *decode = &report->single;
    size_t length = (size_t)prefill->x;
    prefill->tokens = length;
    decode->tokens = report->decode;
    if (feed(host, tokens, 1, 1) < 0) return -1;
    for (size_t r = 0; r < report->repeats; r++) {
        if (tfm_session_rewind(host->session, 0, &host->error)) return -1;
        if (length && feed_at(host, prefill, tokens, 0, length, length)) return -1;
        if (report->decode && feed_at(host, decode, tokens, length, report->decode, 1)) return -1;
    }
    finish(prefill);
    finish(decode);
    return 0;
}

static int measure_lengths(cli_host *host, bench_report *report, const int32_t *tokens) {
    for (size_t i = 1; i < report->prefill.count; i++) {
        bench_result *result = &report->prefill.points[i];
        size_t length = (size_t)result->x;
        result->tokens = length;
        if (tfm_session_rewind(host->session, 0, &host->error)) return -1;
        if (length && feed(host, tokens, length, length) < 0) return -1;
        for (size_t r = 0; r < report->repeats && length; r++)
            if (feed_at(host, result, tokens, 0, length, length)) return -1;
        finish(result);
    }
    return 0;
}

/* Depths rise, so that the session only grows by what is between two of them. */
static int measure_depths(cli_host *host, bench_report *report, const int32_t *tokens) {
    size_t length = (size_t)report->lengths.values[0], context = tfm_session_context(host->session);
    tfm_forward_options forward = TFM_FORWARD_OPTIONS_INIT;
    forward.cancel = host->cancel;
    forward.logits = TFM_LOGITS_NONE;
    if (report->depths.count && tfm_session_rewind(host->session, 0, &host->error)) return -1;
    for (size_t i = 0; i < report->depths.count; i++) {
        bench_result *decode = &report->decode_depth.points[i], *prefill = &report->prefill_depth.points[i];
        size_t depth = (size_t)decode->x, now = tfm_session_position(host->session);
        decode->tokens = report->decode;
        prefill->tokens = depth + length <= context ? length : 0;
        if (now > depth && tfm_session_rewind(host->session, depth, &host->error)) return -1;
        if (now < depth && tfm_forward(host->session, tokens + now, depth - now, &forward, &host->error))
            return -1;
        for (size_t r = 0; r < report->repeats; r++) {
            if (decode->tokens && feed_at(host, decode, tokens, depth, report->decode, 1)) return -1;
            if (prefill->tokens && feed_at(host, prefill, tokens, depth, length, length)) return -1;
        }
        finish(decode);
        finish(prefill);
    }
    return 0;
}

/* ---- Several sessions ---- */

/* The time of report->decode steps of all sessions, one token each a step, in seconds; below 0: failed. */
static double feed_many(cli_host *host, const bench_report *report, const int32_t *tokens,
                        tfm_session **sessions, size_t count) {
    tfm_forward_options forward = TFM_FORWARD_OPTIONS_INIT;
    tfm_forward_part parts[BENCH_SESSIONS];
    size_t length = (size_t)report->lengths.values[0];
    forward.cancel = host->cancel;
    for (size_t s = 0; s < count; s++)
        if (tfm_session_rewind(sessions[s], length, &host->error)) return -1;
    double start = cli_seconds();
    for (size_t i = 0; i < report->decode; i++) {
        for (size_t s = 0; s < count; s++)
            parts[s] = (tfm_forward_part){sessions[s], tokens + length + (i + s) % report->decode, 1,
                                          TFM_LOGITS_LAST, 0};
        if (tfm_forward_many(parts, count, &forward, &host->error)) return -1;
    }
    return cli_seconds() - start;
}

/* Sessions that share the prompt, which the host's session holds, and go on together. */
static int measure_together(cli_host *host, bench_report *report, const int32_t *tokens,
                            bench_result *result) {
    tfm_session *sessions[BENCH_SESSIONS] = {NULL};
    size_t count = (size_t)result->x;
    int status = tfm_session_rewind(host->session, (size_t)report->lengths.values[0], &host->error) ? -1 : 0;
    result->tokens = count * report->decode;
    for (size_t s = 0; s < count && !status; s++)
        if (tfm_session_fork(host->session, &sessions[s], &host->error)) status = -1;
    for (size_t r = 0; r <= report->repeats && !status; r++) { /* the first one is not counted */
        double seconds = feed_many(host, report, tokens, sessions, count);
        if (seconds < 0)
            status = -1;
        else if (r)
            record(result, seconds);
    }
    for (size_t s = 0; s < count; s++) tfm_session_destroy(sessions[s]);
    finish(result);
    return status;
}

/* ---- All ---- */

int bench_measure(cli_host *host, bench_report *report) {
    int32_t *tokens = make_tokens(report);
    int failed = 0;
    if (!tokens || make_curve(&report->prefill, &report->lengths) ||
        make_curve(&report->together, &report->sessions) ||
        make_curve(&report->decode_depth, &report->depths) ||
        make_curve(&report->prefill_depth, &report->depths)) {
        free(tokens);
        return cli_error(host->command, "out of memory");
    }
    failed = measure_first(host, report, tokens);
    for (size_t i = 0; i < report->together.count && !failed && report->decode; i++)
        failed = measure_together(host, report, tokens, &report->together.points[i]);
    if (!failed) failed = measure_lengths(host, report, tokens);
    if (!failed) failed = measure_depths(host, report, tokens);
    free(tokens);
    return failed ? cli_fail(host) : CLI_OK;
}
