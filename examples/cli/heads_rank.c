/* heads_rank.c - which heads look from one token of a text at another, ranked; `tfm attention --from --to`.
 */
#include "heads_rank.h"
#include "json_out.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN 10
#define RESTS 0.9f /* a head whose tokens give the first one this much on the average rests there */

/* A piece without the space in front that many tokenizers give words. */
static cli_piece bare(cli_piece piece) {
    while (piece.length && piece.bytes[0] == ' ') {
        piece.bytes++;
        piece.length--;
    }
    return piece;
}

static int holds(cli_piece piece, const char *text, size_t length) {
    for (size_t at = 0; at + length <= piece.length; at++)
        if (!memcmp(piece.bytes + at, text, length)) return 1;
    return 0;
}

int heads_find(cli_host *host, const char *option, const char *text, const cli_piece *pieces, size_t count,
               size_t *token) {
    size_t length = strlen(text);
    char *end;
    if (text[0] == '#') {
        unsigned long long place = strtoull(text + 1, &end, 10);
        if (end == text + 1 || *end || place >= count)
            return cli_error(host->command, "%s %s: the text has the tokens #0 to #%zu", option, text,
                             count - 1);
        *token = (size_t)place;
        return CLI_OK;
    }
    if (length == 0) return cli_error(host->command, "%s is empty", option);
    for (size_t i = count; i-- > 0;) {
        cli_piece piece = bare(pieces[i]);
        if (piece.length == length && !memcmp(piece.bytes, text, length)) return *token = i, CLI_OK;
    }
    for (size_t i = count; i-- > 0;)
        if (holds(pieces[i], text, length)) return *token = i, CLI_OK;
    return cli_error(host->command, "%s: no token of the text is or holds \"%s\" (tfm tokens shows them)",
                     option, text);
}

typedef struct ranked {
    int layer, head;
    float weight; /* from the one at the other */
    float first;  /* the mean of what tokens give the first one, of those that could look elsewhere */
} ranked;

static int by_weight(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->weight != y->weight) return x->weight < y->weight ? 1 : -1;
    if (x->layer != y->layer) return x->layer - y->layer;
    return x->head - y->head;
}

static float mean_of_first(const heads *h, const float *w) {
    float sum = 0;
    if (h->tokens < 2) return 0;
    for (size_t q = 1; q < h->tokens; q++) sum += w[q * h->tokens];
    return sum / (float)(h->tokens - 1);
}

static void print_token(const char *name, size_t token, const int32_t *ids, cli_piece piece) {
    printf("\"%s\":{\"index\":%zu,\"id\":%d,\"text\":", name, token, (int)ids[token]);
    json_string(stdout, piece.bytes, piece.length);
    putchar('}');
}

static void print_json(const ranked *list, size_t count, const int32_t *ids, const cli_piece *pieces,
                       size_t from, size_t to) {
    putchar('{');
    print_token("from", from, ids, pieces[from]);
    putchar(',');
    print_token("to", to, ids, pieces[to]);
    printf(",\"heads\":[");
    for (size_t i = 0; i < count; i++) {
        printf("%s{\"layer\":%d,\"head\":%d,\"weight\":", i ? "," : "", list[i].layer, list[i].head);
        json_number(stdout, (double)list[i].weight);
        printf(",\"first\":");
        json_number(stdout, (double)list[i].first);
        printf(",\"rests\":%s}", list[i].first >= RESTS ? "true" : "false");
    }
    printf("]}\n");
}

static void print_text(const ranked *list, size_t count, const cli_piece *pieces, size_t from, size_t to) {
    size_t resting = 0;
    for (size_t i = 0; i < count; i++) resting += list[i].first >= RESTS;
    printf("how much token %zu ", from);
    json_string(stdout, pieces[from].bytes, pieces[from].length);
    printf(" looks at token %zu ", to);
    json_string(stdout, pieces[to].bytes, pieces[to].length);
    printf(", the heads that do most\n\nlayer  head   percent\n");
    for (size_t i = 0; i < count && i < SHOWN; i++)
        printf("%5d %5d %9.2f%s\n", list[i].layer, list[i].head, (double)list[i].weight * 100,
               list[i].first >= RESTS ? "  rests on the first token" : "");
    printf("\n%zu of %zu heads rest on the first token: from there they tell nothing about meaning\n",
           resting, count);
    if (to == 0) printf("warning: the token looked at is the first one\n");
}

int heads_rank(cli_host *host, const heads *h, const int32_t *ids, const cli_piece *pieces, size_t from,
               size_t to, int json) {
    size_t count = (size_t)h->layers * (size_t)h->heads;
    if (to >= heads_seen(h, from))
        return cli_error(host->command, "token %zu cannot look at token %zu, which comes behind it", from,
                         to);
    ranked *list = malloc(count * sizeof *list);
    if (!list) return cli_error(host->command, "out of memory");
    for (int layer = 0; layer < h->layers; layer++)
        for (int head = 0; head < h->heads; head++) {
            const float *w = heads_at(h, layer, head);
            list[layer * h->heads + head] =
                (ranked){h->layer0 + layer, h->head0 + head, w[from * h->tokens + to], mean_of_first(h, w)};
        }
    qsort(list, count, sizeof *list, by_weight);
    if (json)
        print_json(list, count, ids, pieces, from, to);
    else
        print_text(list, count, pieces, from, to);
    free(list);
    return CLI_OK;
}
