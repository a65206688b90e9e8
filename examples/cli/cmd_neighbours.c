/* cmd_neighbours.c - `tfm neighbours`: which tokens have vectors that point the same way as a token's (cosine
 * of rows of the embedding matrix, or of the matrix that makes the logits). */
#include "cli.h"
#include "json_out.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_QUERIES 64

typedef struct neighbours_options {
    cli_open_options open;
    cli_prompt prompt;
    arg_u64 rows;
    int output, json;
} neighbours_options;

typedef struct neighbour {
    int32_t id;
    double cosine;
} neighbour;

/* What was asked for, and the k nearest of each, nearest first. */
typedef struct search {
    size_t queries, width, k;
    const int32_t *ids; /* [queries] */
    float *vectors;     /* [queries, width] */
    double *norms;      /* [queries] */
    size_t *held;       /* [queries] */
    neighbour *best;    /* [queries, k] */
    float *row;         /* [width] */
    int32_t matrix;
} search;

static double dot(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)a[i] * b[i];
    return sum;
}

static void offer(search *s, size_t query, int32_t id, double cosine) {
    neighbour *best = s->best + query * s->k;
    if (s->held[query] == s->k && !(cosine > best[s->k - 1].cosine)) return;
    size_t at = s->held[query] < s->k ? s->held[query]++ : s->k - 1;
    for (; at > 0 && cosine > best[at - 1].cosine; at--) best[at] = best[at - 1];
    best[at] = (neighbour){id, cosine};
}

/* One pass over the matrix for all queries. A row of zeros points nowhere. */
static int scan(cli_host *host, search *s, int32_t vocab) {
    cli_progress_label(&host->progress, "comparing");
    for (size_t q = 0; q < s->queries; q++) {
        float *vector = s->vectors + q * s->width;
        if (tfm_token_embedding(host->model, s->ids[q], s->matrix, vector, s->width, NULL, &host->error))
            return cli_fail(host);
        s->norms[q] = sqrt(dot(vector, vector, s->width));
    }
    for (int32_t id = 0; id < vocab; id++) {
        if (id % 1024 == 0 && tfm_cancel_is_set(host->cancel)) return cli_signal_status();
        if (tfm_token_embedding(host->model, id, s->matrix, s->row, s->width, NULL, &host->error))
            return cli_fail(host);
        double norm = sqrt(dot(s->row, s->row, s->width));
        for (size_t q = 0; q < s->queries && norm > 0; q++)
            if (id != s->ids[q] && s->norms[q] > 0)
                offer(s, q, id, dot(s->row, s->vectors + q * s->width, s->width) / (norm * s->norms[q]));
    }
    cli_progress_clear(&host->progress);
    return CLI_OK;
}

/* ---- Output ---- */

static void put_text(const cli_host *host, int32_t id) {
    cli_piece piece = cli_piece_of(host, id);
    json_string(stdout, piece.bytes, piece.length);
}

static void print_json(cli_host *host, const search *s) {
    putchar('[');
    for (size_t q = 0; q < s->queries; q++) {
        printf("%s{\"id\":%" PRId32 ",\"text\":", q ? "," : "", s->ids[q]);
        put_text(host, s->ids[q]);
        printf(",\"norm\":");
        json_number(stdout, s->norms[q]);
        printf(",\"neighbours\":[");
        for (size_t i = 0; i < s->held[q]; i++) {
            const neighbour *n = &s->best[q * s->k + i];
            printf("%s{\"id\":%" PRId32 ",\"text\":", i ? "," : "", n->id);
            put_text(host, n->id);
            printf(",\"cosine\":");
            json_number(stdout, n->cosine);
            putchar('}');
        }
        printf("]}");
    }
    printf("]\n");
}

static void print_table(cli_host *host, const search *s) {
    for (size_t q = 0; q < s->queries; q++) {
        printf("%s%" PRId32 " ", q ? "\n" : "", s->ids[q]);
        put_text(host, s->ids[q]);
        printf(", %zu numbers, length %.4f\n%8s  %7s  %s\n", s->width, s->norms[q], "id", "cosine", "token");
        for (size_t i = 0; i < s->held[q]; i++) {
            const neighbour *n = &s->best[q * s->k + i];
            printf("%8" PRId32 "  %7.4f  ", n->id, n->cosine);
            put_text(host, n->id);
            putchar('\n');
        }
    }
}

/* ---- The command ---- */

static int look(cli_host *host, const neighbours_options *options) {
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    tfm_error room = TFM_ERROR_INIT;
    search s = {.queries = options->prompt.count, .ids = options->prompt.tokens};
    if (s.queries == 0) return cli_error(host->command, "the text is empty");
    if (s.queries > MOST_QUERIES)
        return cli_error(host->command, "%zu tokens, at most %d at a time", s.queries, MOST_QUERIES);
    if (tfm_model_get_info(host->model, &info, &host->error)) return cli_fail(host);
    s.matrix = options->output ? TFM_EMBEDDING_OUTPUT : TFM_EMBEDDING_INPUT;
    if (tfm_token_embedding(host->model, 0, s.matrix, NULL, 0, &s.width, &room) && room.code != TFM_E_BUFFER)
        return cli_error(host->command, "%s", room.message);
    s.k = options->rows.value < (uint64_t)info.vocab_size ? (size_t)options->rows.value
                                                          : (size_t)info.vocab_size;
    s.vectors = calloc(s.queries * s.width, sizeof *s.vectors);
    s.norms = calloc(s.queries, sizeof *s.norms);
    s.held = calloc(s.queries, sizeof *s.held);
    s.best = calloc(s.queries * s.k, sizeof *s.best);
    s.row = calloc(s.width, sizeof *s.row);
    int status = s.vectors && s.norms && s.held && s.best && s.row
                     ? scan(host, &s, info.vocab_size)
                     : cli_error(host->command, "out of memory");
    if (!status && options->json)
        print_json(host, &s);
    else if (!status)
        print_table(host, &s);
    free(s.vectors);
    free(s.norms);
    free(s.held);
    free(s.best);
    free(s.row);
    return status;
}

static int neighbours(const char *model, neighbours_options *options) {
    cli_host host;
    int status = cli_open_on_prompt(&host, "neighbours", model, &options->open, &options->prompt, 1);
    if (!status) status = look(&host, options);
    return cli_close(&host, status);
}

int cmd_neighbours(int argc, char **argv) {
    neighbours_options o;
    memset(&o, 0, sizeof o);
    o.rows.value = 10;
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_FILE(&o.prompt),
        CLI_OPTION_TOKENS(&o.prompt),
        {'k', "rows", ARG_U64, &o.rows, "K", "how many for each token, 1 to 1000 (default 10)", 1, 1000,
         NULL},
        {0, "output", ARG_FLAG, &o.output, NULL, "rows of the matrix that makes the logits instead", 0, 0,
         NULL},
        CLI_OPTION_SPECIAL(&o.prompt),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "an array of JSON instead of tables", 0, 0, NULL},
    };
    const arg_command command = {"neighbours", "MODEL",
                                 "Shows, for each token of a text, the tokens whose vectors point the same "
                                 "way: the cosine between rows of the\n"
                                 "embedding matrix, before positions and layers.\n",
                                 options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) status = neighbours(model, &o);
    cli_prompt_free(&o.prompt);
    return status;
}
