/* generate.c - the whole way: a file, a prompt, text.
 *
 *     cc generate.c -o generate $(pkg-config --cflags --libs tfm)
 *     ./generate model.gguf "Once upon a time"
 */
#include <tfm/tfm.h>

#include <stdio.h>
#include <string.h>

/* Called once per token, as soon as there is one; event->bytes is complete UTF-8. */
static int32_t print_piece(void *user, const tfm_token_event *event) {
    fwrite(event->bytes, 1, event->length, user);
    fflush(user);
    return 0; /* anything else would stop the generation */
}

int main(int argc, char **argv) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_pool *pool = NULL;
    tfm_model *model = NULL;
    tfm_session *session = NULL;
    tfm_sampler *sampler = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: generate MODEL PROMPT\n");
        return 2;
    }
    /* The threads are the program's: without a pool everything runs on this one. */
    int32_t failed = tfm_pool_create(NULL, &pool, &error);
    options.pool = pool;
    failed =
        failed || tfm_model_load(argv[1], &options, &model, &error) ||
        tfm_session_create(model, NULL, &session, &error) || tfm_sampler_create(NULL, &sampler, &error) ||
        tfm_generate(session, sampler, argv[2], strlen(argv[2]), NULL, print_piece, stdout, NULL, &error);
    if (failed)
        fprintf(stderr, "generate: %s\n", error.message);
    else
        putchar('\n');
    tfm_sampler_destroy(sampler);
    tfm_session_destroy(session);
    tfm_model_release(model);
    tfm_pool_destroy(pool);
    return failed != 0;
}
