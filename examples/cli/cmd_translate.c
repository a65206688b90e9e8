/* cmd_translate.c - `tfm translate`: what an encoder-decoder writes to a text: a translation, a summary,
 * whatever it was trained for. A file is taken line by line. */
#include "beams.h"

#include <stdlib.h>
#include <string.h>

typedef struct translate_options {
    cli_open_options open;
    cli_prompt prompt;
    const char *from, *to; /* language tokens, or NULL */
    arg_u64 most;
    cli_beams beams;
    int json;
} translate_options;

/* The id of a language's token. 0, or the exit status. */
static int language(cli_host *host, const tfm_tokenizer *tokenizer, const char *name, tfm_token *id) {
    *id = tfm_token_find(tokenizer, name, strlen(name));
    return *id >= 0 ? CLI_OK : cli_error(host->command, "the tokenizer has no token '%s'", name);
}

/* The source as ids: framed by the tokenizer, or with the given language in front and an end behind. */
static int source_ids(cli_host *host, const translate_options *options, cli_prompt *line) {
    const tfm_tokenizer *tokenizer = tfm_source_tokenizer_of(host->model);
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_token first = -1;
    if (!tokenizer) return cli_error(host->command, "the model's files hold no tokenizer");
    int status = cli_tokenize(host, tokenizer, line, options->from != NULL);
    if (status || !options->from) return status;
    if ((status = language(host, tokenizer, options->from, &first)) != 0) return status;
    if (tfm_tokenizer_get_info(tokenizer, &info, &host->error)) return cli_fail(host);
    tfm_token *ids = malloc((line->count + 2) * sizeof *ids);
    if (!ids) return cli_error(host->command, "out of memory");
    ids[0] = first;
    if (line->count) memcpy(ids + 1, line->tokens, line->count * sizeof *ids);
    ids[line->count + 1] = info.eos;
    line->count += info.eos >= 0 ? 2 : 1;
    free(line->tokens);
    line->tokens = ids;
    return CLI_OK;
}

static int32_t print_piece(void *user, const tfm_token_event *event) {
    (void)user;
    fwrite(event->bytes, 1, event->length, stdout);
    return ferror(stdout);
}

static int write_answer(cli_host *host, const translate_options *options) {
    tfm_generate_options how = TFM_GENERATE_OPTIONS_INIT;
    tfm_token first = -1;
    how.max_tokens = options->most.value;
    how.cancel = host->cancel;
    if (options->to) {
        int status = language(host, tfm_tokenizer_of(host->model), options->to, &first);
        if (status) return status;
        how.prompt_tokens = &first;
        how.prompt_token_count = 1;
    }
    if (options->beams.beams.given)
        return cli_beams_write(host, &options->beams, &first, options->to ? 1 : 0, options->most.value, 0,
                               options->json);
    if (tfm_generate(host->session, NULL, NULL, 0, &how, print_piece, NULL, NULL, &host->error))
        return cli_fail(host);
    putchar('\n');
    return CLI_OK;
}

static int translate_line(cli_host *host, const translate_options *options, cli_prompt *line) {
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    tfm_encoded *encoded = NULL;
    int status = line->ids ? CLI_OK : source_ids(host, options, line);
    if (status) return status;
    if (line->count == 0) {
        putchar('\n');
        return CLI_OK;
    }
    const tfm_encode_row row = {line->tokens, line->count, NULL};
    on.context = (uint32_t)options->open.context.value;
    if (tfm_encode(host->model, &row, 1, NULL, &encoded, &host->error)) return cli_fail(host);
    on.cache_type = options->open.kv;
    on.encoded = encoded;
    if (tfm_session_create(host->model, &on, &host->session, &host->error)) status = cli_fail(host);
    tfm_encoded_release(encoded);
    if (!status) status = write_answer(host, options);
    tfm_session_destroy(host->session);
    host->session = NULL;
    return status;
}

static int translate_all(cli_host *host, translate_options *options) {
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    if (tfm_model_get_info(host->model, &info, &host->error)) return cli_fail(host);
    if (info.kind != TFM_KIND_ENCODER_DECODER)
        return cli_error(host->command, "a model of the family %s is no encoder-decoder", info.family);
    cli_prompt *line = &options->prompt; /* its tokens are freed with it */
    if (!line->file) return translate_line(host, options, line);
    const char *at = line->bytes, *end = at + line->length;
    int status = CLI_OK;
    while (at < end && !status) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        cli_prompt one;
        memset(&one, 0, sizeof one);
        one.bytes = at;
        one.length = (size_t)((stop ? stop : end) - at);
        one.special = line->special;
        if (one.length && at[one.length - 1] == '\r') one.length--;
        status = translate_line(host, options, &one);
        cli_prompt_free(&one);
        at = stop ? stop + 1 : end;
    }
    return status;
}

static int translate(const char *model, translate_options *options) {
    cli_host host;
    int status = cli_prompt_read(&options->prompt, "translate", 0);
    if (status) return status;
    status = cli_open(&host, "translate");
    if (!status) status = cli_open_model(&host, model, &options->open);
    if (!status) status = translate_all(&host, options);
    return cli_close(&host, status);
}

int cmd_translate(int argc, char **argv) {
    translate_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        {'f', "file", ARG_TEXT, &o.prompt.file, "FILE",
         "a file with one text on each line (-: standard input)", 0, 0, NULL},
        CLI_OPTION_TOKENS(&o.prompt),
        {0, "from", ARG_TEXT, &o.from, "TOKEN",
         "the source's language, for models with many (eng_Latn, __en__; default: as the tokenizer has it)",
         0, 0, NULL},
        {0, "to", ARG_TEXT, &o.to, "TOKEN", "the language to write (default: as the model's files say)", 0, 0,
         NULL},
        {'n', "count", ARG_U64, &o.most, "N", "most tokens to write (default 0: until the end)", 0, 0, NULL},
        CLI_OPTION_BEAMS(&o.beams),
        CLI_OPTION_N_BEST(&o.beams),
        CLI_OPTION_LENGTH_PENALTY(&o.beams),
        CLI_OPTION_NO_REPEAT(&o.beams),
        {0, "json", ARG_FLAG, &o.json, NULL, "beams: a line of JSON for each text", 0, 0, NULL},
        CLI_OPTION_SPECIAL(&o.prompt),
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        CLI_OPTION_KV(&o.open),
    };
    const arg_command command = {
        "translate", "MODEL",
        "Prints what an encoder-decoder writes to a text, or to each line of a file:\n"
        "the likeliest token each time, or the best of --beams. MODEL is a T5, Marian, BART, M2M-100, NLLB "
        "or Pegasus.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) {
        status = cli_beams_check("translate", &o.beams);
        if (!status && o.json && !o.beams.beams.given)
            status = args_usage("translate", "--json goes with --beams");
        if (!status) status = translate(model, &o);
    }
    cli_prompt_free(&o.prompt);
    return status;
}
