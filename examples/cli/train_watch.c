/* train_watch.c - held-out loss and samples of a model in training. */
#include "train_watch.h"

#include <stdlib.h>
#include <string.h>

/* ---- Held-out text ---- */

int train_held_open(train_held *held, const char *command, const train_data *data, size_t first,
                    size_t rows) {
    size_t windows = data->all - first, length = data->context + 1;
    memset(held, 0, sizeof *held);
    held->tokens = malloc(windows * length * sizeof *held->tokens);
    held->batches = malloc((windows + rows - 1) / rows * sizeof *held->batches);
    if (!held->tokens || !held->batches) return cli_error(command, "out of memory");
    for (size_t i = 0; i < windows; i++) train_data_window(data, first + i, held->tokens + i * length);
    for (size_t at = 0; at < windows; at += rows) {
        tfm_train_batch *batch = &held->batches[held->count++];
        *batch = (tfm_train_batch)TFM_TRAIN_BATCH_INIT;
        batch->tokens = held->tokens + at * length;
        batch->rows = windows - at < rows ? windows - at : rows;
        batch->length = length;
    }
    return CLI_OK;
}

int train_held_loss(const train_held *held, cli_host *host, tfm_trainer *trainer, double *loss) {
    tfm_train_result result = TFM_TRAIN_RESULT_INIT;
    if (tfm_trainer_evaluate(trainer, held->batches, held->count, &result, &host->error))
        return cli_fail(host);
    *loss = result.loss;
    return CLI_OK;
}

void train_held_close(train_held *held) {
    free(held->tokens);
    free(held->mask);
    free(held->batches);
    memset(held, 0, sizeof *held);
}

/* ---- Samples ---- */

typedef struct sample {
    char *text;
    size_t length;
} sample;

/* A tfm_token_fn. */
static int32_t on_token(void *user, const tfm_token_event *event) {
    sample *s = user;
    char *text = realloc(s->text, s->length + event->length + 1);
    if (!text) return 1;
    s->text = text;
    if (event->length) memcpy(text + s->length, event->bytes, event->length);
    s->length += event->length;
    return 0;
}

int train_sample(cli_host *host, tfm_trainer *trainer, const char *prompt, uint64_t tokens, uint64_t seed,
                 char **text, size_t *length) {
    tfm_generate_options how = TFM_GENERATE_OPTIONS_INIT;
    tfm_sampler *sampler = NULL;
    tfm_session *session = NULL;
    sample s = {malloc(strlen(prompt) + 1), strlen(prompt)};
    if (!s.text) return cli_error(host->command, "out of memory");
    memcpy(s.text, prompt, s.length);
    how.max_tokens = tokens;
    how.cancel = host->cancel;
    int failed = tfm_sampler_create(NULL, &sampler, &host->error) ||
                 tfm_sampler_set_u64(sampler, TFM_SAMPLER_SEED, seed, &host->error) ||
                 tfm_session_create(tfm_trainer_model(trainer), NULL, &session, &host->error) ||
                 tfm_generate(session, sampler, prompt, s.length, &how, on_token, &s, NULL, &host->error);
    tfm_session_destroy(session);
    tfm_sampler_destroy(sampler);
    if (failed) {
        free(s.text);
        return cli_fail(host);
    }
    *text = s.text;
    *length = s.length;
    return CLI_OK;
}
