/* cmd_compare.c - `tfm compare`: one word in two texts, or at two places of one, and how far its vectors are
 * from each other before and after its position is known, and behind each layer. */
#include "heads_rank.h"
#include "json_out.h"
#include "seen.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS, QUERIES, TURNED, STREAM, SITES };

typedef struct compare_options {
    cli_open_options open;
    arg_texts texts;
    const char *token;
    int special, json;
} compare_options;

/* One of the two places. */
typedef struct place {
    cli_prompt prompt;
    cli_piece *pieces;
    size_t token;
    seen sites[SITES];
} place;

typedef struct stage {
    const char *name;
    int layer; /* or -1 */
    double cosine, distance;
    int same; /* bit for bit */
} stage;

static stage stage_of(const char *name, int layer, const place *a, const place *b, int site, int shown) {
    size_t n = a->sites[site].columns;
    const float *x = seen_at(&a->sites[site], shown, a->token),
                *y = seen_at(&b->sites[site], shown, b->token);
    return (stage){name, layer, seen_cosine(x, y, n), seen_distance(x, y, n), !memcmp(x, y, n * sizeof *x)};
}

static void print_stage(const stage *s, int json, int first) {
    if (json) {
        printf("%s{\"stage\":\"%s\",\"layer\":", first ? "" : ",", s->name);
        if (s->layer < 0)
            printf("null");
        else
            printf("%d", s->layer);
        printf(",\"identical\":%s,\"cosine\":", s->same ? "true" : "false");
        json_number(stdout, s->cosine);
        printf(",\"distance\":");
        json_number(stdout, s->distance);
        putchar('}');
        return;
    }
    char name[48];
    if (s->layer < 0 || strcmp(s->name, "stream"))
        snprintf(name, sizeof name, "%s", s->name);
    else
        snprintf(name, sizeof name, "behind layer %d", s->layer);
    printf("%-24s  %8.5f  %9.4f%s\n", name, s->cosine, s->distance, s->same ? "  identical" : "");
}

static void print_place(const char *which, const place *p) {
    printf("%s: token %zu ", which, p->token);
    json_string(stdout, p->pieces[p->token].bytes, p->pieces[p->token].length);
    printf(" (id %" PRId32 ")\n", p->prompt.tokens[p->token]);
}

static void print_json_place(const place *p, size_t text) {
    printf("{\"text\":%zu,\"index\":%zu,\"id\":%" PRId32 ",\"token\":", text, p->token,
           p->prompt.tokens[p->token]);
    json_string(stdout, p->pieces[p->token].bytes, p->pieces[p->token].length);
    putchar('}');
}

/* What the stages say about the model's positions. */
static const char *verdict(const place *a, const place *b, const stage *row, const stage *query,
                           const stage *turned) {
    if (a->prompt.tokens[a->token] != b->prompt.tokens[b->token])
        return "two tokens: they differ from the start";
    if (a->token == b->token) return "one token at one position: what differs comes from the text in front";
    if (!row->same)
        return "one token at two positions: identical before, and different after the position is added";
    if (query->same && !turned->same)
        return "rotary positions: identical until attention, where queries and keys are turned";
    return "no position is added: identical until attention, whose scores know the distance";
}

static void print(const place *a, const place *b, int json, int two_texts) {
    int layers = a->sites[STREAM].layers;
    stage row = stage_of("embedding", -1, a, b, ROWS, 0);
    stage query = stage_of("query", 0, a, b, QUERIES, 0),
          turned = stage_of("query placed", 0, a, b, TURNED, 0);
    if (json) {
        printf("{\"places\":[");
        print_json_place(a, 0);
        putchar(',');
        print_json_place(b, two_texts ? 1 : 0);
        printf("],\"stages\":[");
    } else {
        print_place(two_texts ? "text 1" : "first ", a);
        print_place(two_texts ? "text 2" : "second", b);
        printf("\n%-24s  %8s  %9s\n", "", "cosine", "distance");
    }
    print_stage(&row, json, 1);
    if (json || row.same) { /* otherwise they only repeat the embedding */
        print_stage(&query, json, 0);
        print_stage(&turned, json, 0);
    }
    for (int layer = 0; layer < layers; layer++) {
        stage s = stage_of("stream", layer, a, b, STREAM, layer);
        print_stage(&s, json, 0);
    }
    if (json)
        printf("],\"verdict\":\"%s\"}\n", verdict(a, b, &row, &query, &turned));
    else
        printf("\n%s\n", verdict(a, b, &row, &query, &turned));
}

/* ---- The command ---- */

/* The token in front of a place that is the same one. */
static int find_twin(cli_host *host, const char *text, const place *last, size_t *token) {
    for (size_t i = 0; i < last->token; i++)
        if (last->prompt.tokens[i] == last->prompt.tokens[last->token]) return *token = i, CLI_OK;
    return cli_error(host->command,
                     "--token: \"%s\" is only once in the text; a second -p gives another text", text);
}

static int read_place(cli_host *host, const compare_options *o, const char *text, place *p) {
    p->prompt.text = text;
    p->prompt.special = o->special;
    int status = cli_prompt_read(&p->prompt, host->command, 0);
    if (!status) status = cli_tokenize(host, tfm_tokenizer_of(host->model), &p->prompt, 0);
    if (!status && p->prompt.count == 0) status = cli_error(host->command, "the text is empty");
    if (!status) status = cli_pieces(host, &p->prompt, &p->pieces);
    if (!status) status = heads_find(host, "--token", o->token, p->pieces, p->prompt.count, &p->token);
    return status;
}

static int compute(cli_host *host, const compare_options *o, place *p) {
    const seen sites[SITES] = {
        {.site = TFM_SITE_EMBEDDING, .layer = TFM_INSPECT_ALL, .head = TFM_INSPECT_ALL},
        {.site = TFM_SITE_QUERY, .layer = 0, .head = TFM_INSPECT_ALL},
        {.site = TFM_SITE_QUERY_ROTATED, .layer = 0, .head = TFM_INSPECT_ALL},
        {.site = TFM_SITE_STREAM, .layer = TFM_INSPECT_ALL, .head = TFM_INSPECT_ALL}};
    memcpy(p->sites, sites, sizeof sites);
    return seen_run(host, &o->open, p->prompt.tokens, p->prompt.count, p->sites, SITES);
}

static int compare(const char *model, const compare_options *o) {
    cli_host host;
    place places[2];
    int two = o->texts.count == 2;
    memset(&host, 0, sizeof host);
    memset(places, 0, sizeof places);
    int status = cli_open(&host, "compare");
    if (!status) status = cli_open_model(&host, model, &o->open);
    for (int i = 0; i < 1 + two && !status; i++) {
        status = read_place(&host, o, o->texts.items[i], &places[i]);
        if (!status) status = compute(&host, o, &places[i]);
    }
    if (!status && two) print(&places[0], &places[1], o->json, 1);
    if (!status && !two) { /* the same numbers at another place */
        place first = places[0];
        status = find_twin(&host, o->token, &places[0], &first.token);
        if (!status) print(&first, &places[0], o->json, 0);
    }
    for (int i = 0; i < 2; i++) {
        seen_free(places[i].sites, SITES);
        free(places[i].pieces);
        cli_prompt_free(&places[i].prompt);
    }
    return cli_close(&host, status);
}

int cmd_compare(int argc, char **argv) {
    compare_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        {'p', "prompt", ARG_TEXTS, &o.texts, "TEXT", "the text; once or twice", 0, 0, NULL},
        {0, "token", ARG_TEXT, &o.token, "TOKEN",
         "the word: a token of the texts (#N: the N-th, from 0); in one text its first and last place", 0, 0,
         NULL},
        {0, "special", ARG_FLAG, &o.special, NULL, "special tokens written in the text count as such", 0, 0,
         NULL},
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        CLI_OPTION_KV(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {
        "compare", "MODEL",
        "Follows one word through the layers, in two texts or at two places of one:\n"
        "how near its two vectors are at each step, and where they part.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status != ARGS_GO) return status;
    if (o.texts.count == 0 || o.texts.count > 2)
        return args_usage("compare", "one or two texts: -p TEXT -p TEXT");
    if (!o.token) return args_usage("compare", "--token is missing");
    return compare(model, &o);
}
