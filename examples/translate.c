/* translate.c - the transformer of 2017: an encoder reads a text once, a decoder writes the text that belongs
 * to it, looking at the encoder's states with every token.
 *
 *     cc translate.c $(pkg-config --cflags --libs tfm) -o translate
 *     ./translate opus-mt-en-de "The weather is nice today."
 *
 * The folder is any T5, Marian, BART, M2M-100 or Pegasus of Hugging Face's. */
#include <stdio.h>
#include <string.h>
#include <tfm/tfm.h>

static int32_t show(void *user, const tfm_token_event *event) {
    return fwrite(event->bytes, 1, event->length, user) != event->length;
}

int main(int argc, char **argv) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    tfm_encoded *encoded = NULL;
    tfm_session *session = NULL;
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    tfm_token ids[512];
    tfm_encode_row row = {ids, 0, NULL};
    if (argc != 3) {
        fprintf(stderr, "usage: translate MODEL TEXT\n");
        return 2;
    }
    int failed = tfm_model_load(argv[1], NULL, &model, &error) ||
                 tfm_tokenize(tfm_source_tokenizer_of(model), argv[2], strlen(argv[2]), NULL, ids, 512,
                              &row.count, &error) ||
                 tfm_encode(model, &row, 1, NULL, &encoded, &error);
    on.encoded = encoded;
    failed = failed || tfm_session_create(model, &on, &session, &error) ||
             tfm_generate(session, NULL, NULL, 0, NULL, show, stdout, NULL, &error);
    if (failed) fprintf(stderr, "%s\n", error.message);
    tfm_session_destroy(session);
    tfm_encoded_release(encoded);
    tfm_model_release(model);
    putchar('\n');
    return failed;
}
