/* bench_out.c - what `tfm bench` prints: lines, or one object of JSON. */
#include "bench.h"
#include "json_out.h"

#include <inttypes.h>
#include <string.h>

/* ---- JSON ---- */

static void member(const char *name, double value) {
    printf(",\"%s\":", name);
    json_number(stdout, value);
}

/* The members of a result, without braces. */
static void result_members(const bench_result *result) {
    printf("\"tokens\":%" PRIu64, result->tokens);
    if (result->repeats == 0) {
        printf(",\"tokens_per_second\":null,\"slowest\":null,\"fastest\":null");
        return;
    }
    member("tokens_per_second", bench_speed(result));
    member("slowest", result->speeds[0]);
    member("fastest", result->speeds[result->repeats - 1]);
}

/* x NULL: what stands there is how many tokens, which is said anyway. */
static void curve_json(const char *name, const char *x, const bench_curve *curve) {
    printf(",\"%s\":[", name);
    for (size_t i = 0; i < curve->count; i++) {
        printf(i ? ",{" : "{");
        if (x) printf("\"%s\":%" PRIu64 ",", x, curve->points[i].x);
        result_members(&curve->points[i]);
        putchar('}');
    }
    putchar(']');
}

static void kernels_json(const bench_report *report) {
    const bench_limits *l = &report->limits;
    printf(",\"limits\":{\"threads\":%" PRIu32 ",\"isa\":", l->threads);
    json_text(stdout, l->isa);
    printf(",\"streams\":%u,\"prefetch\":%zu,\"huge_pages\":%s", l->streams, l->ahead,
           l->huge_pages ? "true" : "false");
    member("read_gb_per_second", l->read / 1e9);
    member("f32_gop_per_second", l->multiply_add / 1e9);
    printf(",\"int8_gop_per_second\":");
    if (l->int8 > 0)
        json_number(stdout, l->int8 / 1e9);
    else
        printf("null");
    printf("},\"kernels\":[");
    for (size_t i = 0; i < report->kernel_count; i++) {
        const bench_kernel *k = &report->kernels[i];
        printf("%s{\"type\":\"%s\",\"vector\":{\"gb_per_second\":", i ? "," : "", k->type);
        json_number(stdout, k->vector / 1e9);
        member("limit", k->vector_limit / 1e9);
        member("share", k->vector_share);
        printf("},\"matrix\":{\"tokens\":%" PRIu32 ",\"gop_per_second\":", k->matrix_tokens);
        json_number(stdout, k->matrix / 1e9);
        if (k->matrix_limit > 0) {
            member("limit", k->matrix_limit / 1e9);
            member("share", k->matrix_share);
        } else {
            printf(",\"limit\":null,\"share\":null");
        }
        printf("}}");
    }
    putchar(']');
}

void bench_print_json(const bench_report *report) {
    printf("{\"prefill\":{");
    result_members(&report->prefill.points[0]);
    printf("},\"decode\":{");
    result_members(&report->single);
    putchar('}');
    if (report->together.count) {
        printf(",\"together\":{");
        result_members(&report->together.points[0]);
        printf("},\"sessions\":%" PRIu64, report->together.points[0].x);
    }
    printf(",\"repeats\":%zu,\"threads\":%" PRIu32 ",\"isa\":", report->repeats, report->threads);
    json_text(stdout, report->info.isa);
    printf(",\"family\":");
    json_text(stdout, report->info.family);
    printf(",\"weights\":");
    json_text(stdout, report->info.weights);
    if (report->prefill.count > 1) curve_json("prefill_by_length", NULL, &report->prefill);
    if (report->together.count > 1) curve_json("decode_by_sessions", "sessions", &report->together);
    if (report->decode_depth.count) {
        curve_json("decode_by_depth", "depth", &report->decode_depth);
        curve_json("prefill_by_depth", "depth", &report->prefill_depth);
    }
    if (report->kernel_bytes) kernels_json(report);
    printf("}\n");
}

/* ---- Lines ---- */

static void line(const char *name, const bench_result *result, const char *where) {
    if (!result->repeats) return;
    printf("%-8s %6" PRIu64 " tokens %10.2f tokens/s  (%.2f to %.2f)", name, result->tokens,
           bench_speed(result), result->speeds[0], result->speeds[result->repeats - 1]);
    if (where) printf("  %s %" PRIu64, where, result->x);
    putchar('\n');
}

static void kernels_text(const bench_report *report) {
    const bench_limits *l = &report->limits;
    printf("\nlimits of %" PRIu32 " threads, %s: memory %.1f GB/s (%u streams each, prefetch %zu ahead%s), "
           "f32 %.0f GOP/s, ",
           l->threads, l->isa, l->read / 1e9, l->streams, l->ahead, l->huge_pages ? ", huge pages" : "",
           l->multiply_add / 1e9);
    if (l->int8 > 0)
        printf("int8 %.0f GOP/s\n", l->int8 / 1e9);
    else
        printf("int8 not known\n");
    printf("%-8s%24s%28s\n%-8s%10s%8s%6s%14s%8s%6s\n", "", "vector, GB/s", "matrix, GOP/s", "weights",
           "speed", "limit", "", "speed", "limit", "");
    for (size_t i = 0; i < report->kernel_count; i++) {
        const bench_kernel *k = &report->kernels[i];
        printf("%-8s%10.2f%8.1f%4.0f %%%14.1f", k->type, k->vector / 1e9, k->vector_limit / 1e9,
               100 * k->vector_share, k->matrix / 1e9);
        if (k->matrix_limit > 0)
            printf("%8.0f%4.0f %%\n", k->matrix_limit / 1e9, 100 * k->matrix_share);
        else
            printf("%8s\n", "-");
    }
}

void bench_print_text(const bench_report *report) {
    printf("%s, %s, %" PRIu32 " threads, %s, median of %zu\n", report->info.family, report->info.weights,
           report->threads, report->info.isa, report->repeats);
    for (size_t i = 0; i < report->prefill.count; i++) line("prefill", &report->prefill.points[i], NULL);
    line("decode", &report->single, NULL);
    for (size_t i = 0; i < report->together.count; i++)
        line("together", &report->together.points[i], "sessions");
    if (report->together.count)
        printf("(together: sessions behind the same prompt, one token each in every step; their tokens are "
               "added up)\n");
    for (size_t i = 0; i < report->decode_depth.count; i++)
        line("decode", &report->decode_depth.points[i], "behind");
    for (size_t i = 0; i < report->prefill_depth.count; i++)
        line("prefill", &report->prefill_depth.points[i], "behind");
    if (report->kernel_bytes) kernels_text(report);
}
