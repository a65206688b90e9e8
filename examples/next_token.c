/* next_token.c - the table of what a model expects after a text: probabilities, before any sampling.
 *
 *     cc next_token.c -o next_token $(pkg-config --cflags --libs tfm)
 *     ./next_token model.gguf "Once upon a"
 */
#include <tfm/tfm.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 10
#define BAR 40 /* characters for 100 % */

static void print_table(const tfm_candidate *table, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int full = (int)(table[i].probability * BAR + 0.5);
        printf("%6.2f %% %-*.*s '%.*s'\n", 100 * table[i].probability, BAR, full,
               "########################################", (int)table[i].length, table[i].bytes);
    }
}

/* The tokens of a text, however many: ask for the number first. */
static tfm_token *tokenize(const tfm_tokenizer *tokenizer, const char *text, size_t *count,
                           tfm_error *error) {
    size_t length = strlen(text);
    if (tfm_tokenize(tokenizer, text, length, NULL, NULL, 0, count, error)) return NULL;
    tfm_token *tokens = malloc((*count + 1) * sizeof *tokens);
    if (tokens && tfm_tokenize(tokenizer, text, length, NULL, tokens, *count, count, error)) {
        free(tokens);
        tokens = NULL;
    }
    return tokens;
}

int main(int argc, char **argv) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    tfm_session *session = NULL;
    tfm_token *tokens = NULL;
    tfm_candidate table[ROWS];
    size_t count = 0, rows = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: next_token MODEL TEXT\n");
        return 2;
    }
    int failed = tfm_model_load(argv[1], NULL, &model, &error) ||
                 tfm_session_create(model, NULL, &session, &error) ||
                 !(tokens = tokenize(tfm_tokenizer_of(model), argv[2], &count, &error)) ||
                 tfm_forward(session, tokens, count, NULL, &error) ||
                 tfm_top_candidates(session, table, ROWS, &rows, &error);
    if (failed)
        fprintf(stderr, "next_token: %s\n", error.code ? error.message : "out of memory");
    else
        print_table(table, rows);
    free(tokens);
    tfm_session_destroy(session);
    tfm_model_release(model);
    return failed;
}
