/* beams.c - beam search for the commands that write texts. */
#include "beams.h"
#include "json_out.h"

#include <stdlib.h>
#include <string.h>

int cli_beams_check(const char *command, const cli_beams *options) {
    uint64_t beams = options->beams.given ? options->beams.value : 1;
    if (!options->beams.given &&
        (options->best.given || options->length_penalty.given || options->no_repeat.given))
        return args_usage(command, "--n-best, --length-penalty and --no-repeat go with --beams");
    if (options->best.given && options->best.value > beams)
        return args_usage(command, "--n-best %llu of --beams %llu", (unsigned long long)options->best.value,
                          (unsigned long long)beams);
    return CLI_OK;
}

/* The text of a hypothesis, to be freed; empty ones too. NULL after an error was said. */
static char *text_of(cli_host *host, const tfm_hypothesis *h, int special, size_t *length) {
    const tfm_tokenizer *tokenizer = tfm_tokenizer_of(host->model);
    tfm_detokenize_options how = TFM_DETOKENIZE_OPTIONS_INIT;
    how.special = special;
    int32_t status = tfm_detokenize(tokenizer, h->tokens, h->count, &how, NULL, 0, length, &host->error);
    char *text = status && status != TFM_E_BUFFER ? NULL : malloc(*length + 1);
    if (status && status != TFM_E_BUFFER)
        (void)cli_fail(host);
    else if (!text)
        (void)cli_error(host->command, "out of memory");
    else if (*length &&
             tfm_detokenize(tokenizer, h->tokens, h->count, &how, text, *length, length, &host->error)) {
        (void)cli_fail(host);
        free(text);
        text = NULL;
    }
    return text;
}

static int print_one(cli_host *host, const cli_beams *options, const tfm_hypothesis *h, int special,
                     int json) {
    size_t length = 0;
    char *text = text_of(host, h, special, &length);
    if (!text) return CLI_ERROR;
    if (json) {
        printf("{\"score\":");
        json_number(stdout, h->score);
        printf(",\"ended\":%s,\"ids\":", h->ended ? "true" : "false");
        json_ids(stdout, h->tokens, h->count);
        printf(",\"text\":");
        json_string(stdout, text, length);
        printf("}\n");
    } else {
        if (options->best.value > 1) printf("%.4f\t", h->score);
        fwrite(text, 1, length, stdout);
        putchar('\n');
    }
    free(text);
    return CLI_OK;
}

int cli_beams_write(cli_host *host, const cli_beams *options, const tfm_token *prompt, size_t count,
                    uint64_t most, int special, int json) {
    tfm_beam_options how = TFM_BEAM_OPTIONS_INIT;
    tfm_beams *found = NULL;
    if (!tfm_tokenizer_of(host->model))
        return cli_error(host->command, "the model's files hold no tokenizer");
    how.beams = (uint32_t)options->beams.value;
    how.hypotheses = (uint32_t)options->best.value;
    how.max_tokens = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    if (options->length_penalty.given) how.length_penalty = options->length_penalty.value;
    how.no_repeat = (uint32_t)options->no_repeat.value;
    how.cancel = host->cancel;
    how.progress = cli_progress_report;
    how.progress_user = &host->progress;
    cli_progress_label(&host->progress, "searching");
    if (tfm_beam_search(host->session, prompt, count, &how, &found, &host->error)) return cli_fail(host);
    cli_progress_clear(&host->progress);
    int status = CLI_OK;
    for (size_t i = 0; i < tfm_beams_count(found) && !status; i++) {
        tfm_hypothesis h = TFM_HYPOTHESIS_INIT;
        if (tfm_beams_get(found, i, &h, &host->error))
            status = cli_fail(host);
        else
            status = print_one(host, options, &h, special, json);
    }
    tfm_beams_destroy(found);
    return status;
}
