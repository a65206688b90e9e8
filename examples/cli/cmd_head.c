/* cmd_head.c - `tfm head`: one head of attention step by step, from its queries and keys: their products,
 * scaled, masked, through the softmax, and the sum of the values; beside what the model itself computed. */
#include "heads_rank.h"
#include "json_out.h"
#include "seen.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct head_options {
    cli_open_options open;
    cli_prompt prompt;
    arg_u64 layer, head;
    const char *query;
    int json;
} head_options;

enum { QUERIES, KEYS, VALUES, ATTENTION, MIXED, SITES };

/* One head, worked out; the matrices are [tokens, tokens], row: who looks. */
typedef struct work {
    size_t tokens, columns; /* of a value */
    int32_t kv_head;
    float rule[3];                /* TFM_MATRIX_SCORES */
    double *raw, *scaled, *share; /* share is 0 where `masked` */
    unsigned char *masked;
    double *sum;               /* [tokens, columns] shares times values */
    double share_off, sum_off; /* largest distances from what the model computed */
} work;

static int is_masked(const work *w, size_t q, size_t k, int both) {
    double window = w->rule[2];
    if (!both && k > q) return 1;
    if (window == 0) return 0;
    return both ? fabs((double)q - (double)k) > window : (double)(q - k) >= window;
}

static void work_row(work *w, const seen *sites, size_t q, int both) {
    size_t n = w->tokens, dims = sites[QUERIES].columns;
    double top = -INFINITY, total = 0, cap = w->rule[1];
    double *raw = w->raw + q * n, *scaled = w->scaled + q * n, *share = w->share + q * n;
    unsigned char *masked = w->masked + q * n;
    for (size_t k = 0; k < n; k++) {
        const float *a = seen_at(&sites[QUERIES], 0, q), *b = seen_at(&sites[KEYS], 0, k);
        for (size_t d = 0; d < dims; d++) raw[k] += (double)a[d] * b[d];
        scaled[k] = raw[k] * w->rule[0];
        if (cap != 0) scaled[k] = cap * tanh(scaled[k] / cap);
        masked[k] = (unsigned char)is_masked(w, q, k, both);
        if (!masked[k] && scaled[k] > top) top = scaled[k];
    }
    for (size_t k = 0; k < n; k++) {
        share[k] = masked[k] ? 0 : exp(scaled[k] - top);
        total += share[k];
    }
    for (size_t k = 0; k < n; k++) {
        share[k] /= total;
        w->share_off = fmax(w->share_off, fabs(share[k] - (double)seen_at(&sites[ATTENTION], 0, q)[k]));
        for (size_t d = 0; d < w->columns; d++)
            w->sum[q * w->columns + d] += share[k] * (double)seen_at(&sites[VALUES], 0, k)[d];
    }
    for (size_t d = 0; d < w->columns; d++)
        w->sum_off =
            fmax(w->sum_off, fabs(w->sum[q * w->columns + d] - (double)seen_at(&sites[MIXED], 0, q)[d]));
}

/* ---- Output ---- */

static void print_matrix(const char *name, const double *values, const unsigned char *masked, size_t rows,
                         size_t columns) {
    printf(",\"%s\":[", name);
    for (size_t r = 0; r < rows; r++) {
        printf("%s[", r ? "," : "");
        for (size_t c = 0; c < columns; c++) {
            if (c) putchar(',');
            if (masked && masked[r * columns + c])
                printf("null");
            else
                json_number(stdout, values[r * columns + c]);
        }
        putchar(']');
    }
    putchar(']');
}

static void print_json(const work *w, const head_options *o, const cli_piece *pieces) {
    printf("{\"layer\":%" PRIu64 ",\"head\":%" PRIu64 ",\"kv_head\":%" PRId32 ",\"scale\":", o->layer.value,
           o->head.value, w->kv_head);
    json_number(stdout, (double)w->rule[0]);
    printf(",\"soft_cap\":");
    json_number(stdout, (double)w->rule[1]);
    printf(",\"window\":%.0f,\"tokens\":[", (double)w->rule[2]);
    for (size_t i = 0; i < w->tokens; i++) {
        printf("%s{\"id\":%" PRId32 ",\"text\":", i ? "," : "", o->prompt.tokens[i]);
        json_string(stdout, pieces[i].bytes, pieces[i].length);
        putchar('}');
    }
    putchar(']');
    print_matrix("products", w->raw, NULL, w->tokens, w->tokens);
    print_matrix("scaled", w->scaled, NULL, w->tokens, w->tokens);
    print_matrix("masked", w->scaled, w->masked, w->tokens, w->tokens);
    print_matrix("softmax", w->share, NULL, w->tokens, w->tokens);
    print_matrix("value_sums", w->sum, NULL, w->tokens, w->columns);
    printf(",\"softmax_off\":");
    json_number(stdout, w->share_off);
    printf(",\"value_sums_off\":");
    json_number(stdout, w->sum_off);
    printf("}\n");
}

static void print_row(const work *w, const head_options *o, const cli_piece *pieces, size_t q) {
    double total = 0;
    printf("layer %" PRIu64 ", head %" PRIu64 " (key/value head %" PRId32 "): token %zu ", o->layer.value,
           o->head.value, w->kv_head, q);
    json_string(stdout, pieces[q].bytes, pieces[q].length);
    printf(" looks at each\n\nquery.key    x %.4f      masked     softmax  token\n", (double)w->rule[0]);
    for (size_t k = 0; k < w->tokens; k++) {
        size_t at = q * w->tokens + k;
        printf("%9.4f  %10.4f  ", w->raw[at], w->scaled[at]);
        if (w->masked[at])
            printf("%10s  ", "-inf");
        else
            printf("%10.4f  ", w->scaled[at]);
        printf("%10.6f  ", w->share[at]);
        json_string(stdout, pieces[k].bytes, pieces[k].length);
        putchar('\n');
        total += w->share[at];
    }
    printf("%33s  %10.6f  in all\n\nvalues, summed by these shares:", "", total);
    for (size_t d = 0; d < w->columns && d < 6; d++) printf(" %.4f", w->sum[q * w->columns + d]);
    printf("%s\n", w->columns > 6 ? " ..." : "");
    if (w->share_off <= 1e-6)
        printf("over all rows the softmax is the model's own to 1e-6\n");
    else
        printf("over all rows the softmax is up to %.1e from the model's own%s\n", w->share_off,
               w->share_off > 1e-3 ? ", which also adds a bias by distance, or leaves a share to nothing"
                                   : "");
}

/* ---- The command ---- */

static int check(cli_host *host, const head_options *o, tfm_model_info *info) {
    if (tfm_model_get_info(host->model, info, &host->error)) return cli_fail(host);
    int status = cli_check_layer(host, o->layer.value, info);
    if (!status) status = cli_check_head(host, o->head.value, info);
    if (status) return status;
    if (o->prompt.count == 0) return cli_error("head", "the text is empty");
    if (o->prompt.count > 4096)
        return cli_error("head", "%zu tokens are too many to show: at most 4096", o->prompt.count);
    return CLI_OK;
}

static int look(cli_host *host, const head_options *o, const cli_piece *pieces) {
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    size_t n = o->prompt.count, query = n ? n - 1 : 0;
    work w = {.tokens = n};
    int status = check(host, o, &info);
    if (!status && o->query) status = heads_find(host, "--query", o->query, pieces, n, &query);
    if (status) return status;
    int32_t layer = (int32_t)o->layer.value, head = (int32_t)o->head.value;
    w.kv_head = head / (info.heads / (info.kv_heads > 0 ? info.kv_heads : 1));
    if (tfm_model_matrix(host->model, TFM_MATRIX_SCORES, (size_t)layer, 1, w.rule, NULL, NULL, &host->error))
        return cli_fail(host);
    seen sites[SITES] = {{.site = TFM_SITE_QUERY_ROTATED, .layer = layer, .head = head},
                         {.site = TFM_SITE_KEY_ROTATED, .layer = layer, .head = w.kv_head},
                         {.site = TFM_SITE_VALUE, .layer = layer, .head = w.kv_head},
                         {.site = TFM_SITE_ATTENTION, .layer = layer, .head = head},
                         {.site = TFM_SITE_MIXED, .layer = layer, .head = head}};
    status = seen_run(host, &o->open, o->prompt.tokens, n, sites, SITES);
    if (!status) {
        w.columns = sites[VALUES].columns;
        w.raw = calloc(n * n, sizeof *w.raw);
        w.scaled = calloc(n * n, sizeof *w.scaled);
        w.share = calloc(n * n, sizeof *w.share);
        w.masked = calloc(n * n, 1);
        w.sum = calloc(n * w.columns + 1, sizeof *w.sum);
        if (!w.raw || !w.scaled || !w.share || !w.masked || !w.sum)
            status = cli_error("head", "out of memory");
    }
    for (size_t q = 0; q < n && !status; q++) work_row(&w, sites, q, info.kind == TFM_KIND_ENCODER);
    if (!status && o->json) print_json(&w, o, pieces);
    if (!status && !o->json) print_row(&w, o, pieces, query);
    free(w.raw);
    free(w.scaled);
    free(w.share);
    free(w.masked);
    free(w.sum);
    seen_free(sites, SITES);
    return status;
}

int cmd_head(int argc, char **argv) {
    head_options o;
    memset(&o, 0, sizeof o);
    o.open.kv = TFM_CACHE_F32; /* the numbers as they are computed */
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_FILE(&o.prompt),
        CLI_OPTION_TOKENS(&o.prompt),
        {'l', "layer", ARG_U64, &o.layer, "L", "the layer, from 0 (default 0)", 0, 2147483647.0, NULL},
        {0, "head", ARG_U64, &o.head, "H", "the head, from 0 (default 0)", 0, 2147483647.0, NULL},
        {'q', "query", ARG_TEXT, &o.query, "TOKEN",
         "whose row is printed: a token of the text, or #N the N-th from 0 (default: the last)", 0, 0, NULL},
        CLI_OPTION_SPECIAL(&o.prompt),
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON, with every row", 0, 0, NULL},
    };
    const arg_command command = {
        "head", "MODEL",
        "Works one head of attention out, step by step: queries times keys, scaled, masked,\n"
        "through the softmax, and the values summed by it; beside what the model computed.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) {
        cli_host host;
        cli_piece *pieces = NULL;
        status = cli_open_on_prompt(&host, "head", model, &o.open, &o.prompt, 0);
        if (!status) status = cli_pieces(&host, &o.prompt, &pieces);
        if (!status) status = look(&host, &o, pieces);
        free(pieces);
        status = cli_close(&host, status);
    }
    cli_prompt_free(&o.prompt);
    return status;
}
