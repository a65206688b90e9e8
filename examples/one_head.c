/* one_head.c - one attention head by hand, number by number, and beside it what the library has.
 *
 *     cc one_head.c -o one_head $(pkg-config --cflags --libs tfm) -lm
 *     ./one_head examples/models/tang.gguf 床前明 [LAYER [HEAD]]
 *
 * For every token a query q, a key k and a value v. How well a query fits a key is their dot product, divided
 * by the square root of their length; softmax makes shares of that, over the token itself and those before
 * it; the head's result is the values mixed in these shares. That is all. Queries and keys are taken after
 * they were rotated by their positions. */
#include <tfm/tfm.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TOKENS 8
#define MOST_NUMBERS 512
#define SHOWN 6 /* numbers of a vector */

/* Rows of one site. */
typedef struct rows {
    size_t count, columns;
    float at[MOST_TOKENS][MOST_NUMBERS];
} rows;

static int32_t take(void *user, const tfm_inspect_event *event) {
    rows *r = user;
    if (event->columns > MOST_NUMBERS || event->position + event->rows > MOST_TOKENS) return 1;
    r->columns = event->columns;
    r->count = event->position + event->rows;
    for (size_t i = 0; i < event->rows; i++)
        memcpy(r->at[event->position + i], event->values + i * event->stride, event->columns * sizeof(float));
    return 0;
}

static void show(const char *what, const rows *r) {
    printf("\n%s [%zu tokens, %zu numbers]\n", what, r->count, r->columns);
    for (size_t t = 0; t < r->count; t++) {
        printf("  token %zu ", t);
        for (size_t i = 0; i < r->columns && i < SHOWN; i++) printf(" %8.4f", (double)r->at[t][i]);
        printf("%s\n", r->columns > SHOWN ? "  ..." : "");
    }
}

static double largest_difference(const rows *a, const rows *b) {
    double most = 0;
    for (size_t t = 0; t < a->count; t++)
        for (size_t i = 0; i < a->columns; i++)
            most = fmax(most, fabs((double)a->at[t][i] - (double)b->at[t][i]));
    return most;
}

/* The head itself. */
static void attend(const rows *q, const rows *k, const rows *v, rows *scores, rows *shares, rows *result) {
    size_t tokens = q->count;
    scores->count = shares->count = result->count = tokens;
    scores->columns = shares->columns = tokens;
    result->columns = v->columns;
    for (size_t t = 0; t < tokens; t++) {
        double sum = 0;
        for (size_t j = 0; j <= t; j++) {
            double dot = 0;
            for (size_t i = 0; i < q->columns; i++) dot += (double)q->at[t][i] * (double)k->at[j][i];
            scores->at[t][j] = (float)(dot / sqrt((double)q->columns));
            sum += exp((double)scores->at[t][j]);
        }
        for (size_t j = 0; j <= t; j++) shares->at[t][j] = (float)(exp((double)scores->at[t][j]) / sum);
        for (size_t i = 0; i < v->columns; i++)
            for (size_t j = 0; j <= t; j++) result->at[t][i] += shares->at[t][j] * v->at[j][i];
    }
}

static int look(tfm_session *session, int32_t site, int32_t layer, int32_t head, rows *to, tfm_error *error) {
    tfm_inspect_options where = TFM_INSPECT_OPTIONS_INIT;
    where.site = site;
    where.layer = layer;
    where.head = head;
    return tfm_inspect(session, &where, take, to, NULL, error);
}

int main(int argc, char **argv) {
    static rows q, k, v, library_shares, library_result, scores, shares, result;
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    tfm_session *session = NULL;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    tfm_session_options exact = TFM_SESSION_OPTIONS_INIT;
    tfm_token ids[MOST_TOKENS];
    size_t count = 0;
    if (argc < 3 || argc > 5) {
        fprintf(stderr, "usage: one_head MODEL TEXT [LAYER [HEAD]] (at most %d tokens)\n", MOST_TOKENS);
        return 2;
    }
    int32_t layer = argc > 3 ? atoi(argv[3]) : 0, head = argc > 4 ? atoi(argv[4]) : 0;
    exact.cache_type = TFM_CACHE_F32; /* keys and values as they are, not rounded */
    if (tfm_model_load(argv[1], NULL, &model, &error) || tfm_model_get_info(model, &info, &error) ||
        tfm_session_create(model, &exact, &session, &error) ||
        tfm_tokenize(tfm_tokenizer_of(model), argv[2], strlen(argv[2]), NULL, ids, MOST_TOKENS, &count,
                     &error) ||
        look(session, TFM_SITE_QUERY_ROTATED, layer, head, &q, &error) ||
        look(session, TFM_SITE_KEY_ROTATED, layer, head / (info.heads / info.kv_heads), &k, &error) ||
        look(session, TFM_SITE_VALUE, layer, head / (info.heads / info.kv_heads), &v, &error) ||
        look(session, TFM_SITE_ATTENTION, layer, head, &library_shares, &error) ||
        look(session, TFM_SITE_MIXED, layer, head, &library_result, &error) ||
        tfm_forward(session, ids, count, NULL, &error)) {
        fprintf(stderr, "one_head: %s\n", error.message);
        tfm_session_destroy(session);
        tfm_model_release(model);
        return 1;
    }
    printf("layer %d, head %d of %s\n", (int)layer, (int)head, info.name[0] ? info.name : info.family);
    for (size_t i = 0; i < count; i++) {
        const char *bytes = "";
        size_t length = 0;
        tfm_token_bytes(tfm_tokenizer_of(model), ids[i], &bytes, &length, NULL);
        printf("  token %zu: %.*s\n", i, (int)length, bytes);
    }
    attend(&q, &k, &v, &scores, &shares, &result);
    show("queries", &q);
    show("keys", &k);
    show("values", &v);
    show("scores: query . key / sqrt(numbers); a token does not see those behind it", &scores);
    show("shares: softmax of each row", &shares);
    show("result: values mixed in these shares", &result);
    double of_shares = largest_difference(&shares, &library_shares),
           of_result = largest_difference(&result, &library_result);
    printf("\nthe library's shares differ by at most %.1e, its result by %.1e\n", of_shares, of_result);
    if (of_shares > 1e-5)
        printf("(this family does something more: a window, a cap, positions in the scores)\n");
    tfm_session_destroy(session);
    tfm_model_release(model);
    return 0;
}
