/* chat_session.c - a session that goes on: every line you type is appended to what the model already holds,
 * so nothing is computed twice. End the input to leave.
 *
 *     cc chat_session.c -o chat_session $(pkg-config --cflags --libs tfm)
 *     ./chat_session model.gguf
 */
#include <tfm/tfm.h>

#include <stdio.h>
#include <string.h>

#define ANSWER_TOKENS 48

static int32_t print_piece(void *user, const tfm_token_event *event) {
    fwrite(event->bytes, 1, event->length, user);
    fflush(user);
    return 0;
}

/* One turn: the line goes in behind the past, the answer comes out and becomes past too. */
static int32_t turn(tfm_session *session, tfm_sampler *sampler, const char *line, size_t length,
                    tfm_error *error) {
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    tfm_generation_summary summary = TFM_GENERATION_SUMMARY_INIT;
    options.max_tokens = ANSWER_TOKENS;
    int32_t status =
        tfm_generate(session, sampler, line, length, &options, print_piece, stdout, &summary, error);
    if (status == TFM_E_CONTEXT && tfm_session_position(session) > 0) {
        printf("(the session is full: starting anew)\n");
        status = tfm_session_rewind(session, 0, error);
        if (!status)
            status =
                tfm_generate(session, sampler, line, length, &options, print_piece, stdout, &summary, error);
    }
    if (!status)
        printf("\n[%zu of %zu positions, %llu tokens read, %llu written]\n", tfm_session_position(session),
               tfm_session_context(session), (unsigned long long)summary.prompt_tokens,
               (unsigned long long)summary.generated_tokens);
    return status;
}

int main(int argc, char **argv) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    tfm_session *session = NULL;
    tfm_sampler *sampler = NULL;
    char line[4096];
    if (argc != 2) {
        fprintf(stderr, "usage: chat_session MODEL\n");
        return 2;
    }
    int32_t failed = tfm_model_load(argv[1], NULL, &model, &error) ||
                     tfm_session_create(model, NULL, &session, &error) ||
                     tfm_sampler_create(NULL, &sampler, &error);
    while (!failed && fgets(line, sizeof line, stdin)) {
        size_t length = strcspn(line, "\n");
        if (length) failed = turn(session, sampler, line, length, &error);
    }
    if (failed) fprintf(stderr, "chat_session: %s\n", error.message);
    tfm_sampler_destroy(sampler);
    tfm_session_destroy(session);
    tfm_model_release(model);
    return failed != 0;
}
