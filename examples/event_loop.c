/* event_loop.c - tokens pulled by a program that has its own loop: a game, a server, a user interface.
 * Between two tokens the loop looks at its input, and a new line interrupts the text and starts another one.
 *
 *     cc event_loop.c -o event_loop $(pkg-config --cflags --libs tfm)
 *     ./event_loop model.gguf          type a line, and another one while the text comes; end the input to
 * leave
 */
#define _POSIX_C_SOURCE 200809L
#include <tfm/tfm.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_TOKENS 64

typedef struct app {
    tfm_session *session;
    tfm_sampler *sampler;
    tfm_generation *generation; /* NULL: no text is being written */
    char line[4096];            /* input so far */
    size_t length;
    int input_over;
    tfm_error error;
} app;

static void stop_text(app *a) {
    if (a->generation) putchar('\n');
    tfm_generation_end(a->generation, NULL); /* NULL is fine */
    a->generation = NULL;
    fflush(stdout);
}

/* A whole line came in: forget the old text, begin a new one. */
static int32_t start_text(app *a, const char *line, size_t length) {
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    options.max_tokens = TEXT_TOKENS;
    stop_text(a);
    if (length == 0) return 0;
    int32_t status = tfm_session_rewind(a->session, 0, &a->error);
    if (status) return status;
    return tfm_generation_begin(a->session, a->sampler, line, length, &options, &a->generation, &a->error);
}

/* Input is there: read what there is, use the lines that are complete. */
static int32_t on_input(app *a) {
    int32_t status = 0;
    ssize_t got = read(STDIN_FILENO, a->line + a->length, sizeof a->line - a->length);
    if (got > 0)
        a->length += (size_t)got;
    else
        a->input_over = 1;
    for (char *end; !status && (end = memchr(a->line, '\n', a->length));) {
        status = start_text(a, a->line, (size_t)(end - a->line));
        a->length -= (size_t)(end + 1 - a->line);
        memmove(a->line, end + 1, a->length);
    }
    if (a->length == sizeof a->line) a->length = 0; /* too long for a line: dropped */
    return status;
}

/* One turn of the loop's spare time: one token. */
static int32_t on_idle(app *a) {
    tfm_token_event event = TFM_TOKEN_EVENT_INIT;
    int32_t status = tfm_generation_next(a->generation, &event, &a->error);
    if (status) return status;
    fwrite(event.bytes, 1, event.length, stdout);
    fflush(stdout);
    if (event.stop) stop_text(a);
    return 0;
}

static int32_t loop(app *a) {
    int32_t status = 0;
    while (!status && !(a->input_over && !a->generation)) {
        struct pollfd input = {STDIN_FILENO, POLLIN, 0};
        /* With a text under way only look; otherwise sleep until there is something to do. */
        int ready = a->input_over ? 0 : poll(&input, 1, a->generation ? 0 : -1);
        if (ready > 0)
            status = on_input(a);
        else if (a->generation)
            status = on_idle(a);
    }
    return status;
}

int main(int argc, char **argv) {
    app a = {.error = TFM_ERROR_INIT};
    tfm_model *model = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: event_loop MODEL\n");
        return 2;
    }
    int32_t failed = tfm_model_load(argv[1], NULL, &model, &a.error) ||
                     tfm_session_create(model, NULL, &a.session, &a.error) ||
                     tfm_sampler_create(NULL, &a.sampler, &a.error) || loop(&a);
    if (failed) fprintf(stderr, "event_loop: %s\n", a.error.message);
    tfm_generation_end(a.generation, NULL);
    tfm_sampler_destroy(a.sampler);
    tfm_session_destroy(a.session);
    tfm_model_release(model);
    return failed != 0;
}
