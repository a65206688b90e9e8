/* cmd_tokens.c - `tfm tokens` and `tfm detokenize`: text to tokens and back, from any file that holds a
 * tokenizer. */
#include "cli.h"
#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int open_tokenizer(cli_host *host, const char *path, const char *pattern, tfm_tokenizer **tokenizer) {
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    options.pattern = pattern;
    return tfm_tokenizer_load(path, &options, tokenizer, &host->error) ? cli_fail(host) : CLI_OK;
}

#define OPTION_PATTERN(target)                                                                               \
    { 0, "pattern", ARG_TEXT, target, "NAME", "for .tiktoken files: gpt2, cl100k or o200k", 0, 0, NULL }

/* ---- tokens
 * -------------------------------------------------------------------------------------------------------- */

typedef struct tokens_options {
    cli_prompt prompt;
    const char *pattern;
    int no_special, json;
} tokens_options;

static int print_piece(cli_host *host, const tfm_tokenizer *tokenizer, tfm_token token) {
    const char *bytes = NULL;
    size_t length = 0;
    if (tfm_token_bytes(tokenizer, token, &bytes, &length, &host->error)) return cli_fail(host);
    json_string(stdout, bytes, length);
    return CLI_OK;
}

static int print_json(cli_host *host, const tfm_tokenizer *tokenizer, const cli_prompt *prompt) {
    int status = CLI_OK;
    printf("{\"ids\":");
    json_ids(stdout, prompt->tokens, prompt->count);
    printf(",\"pieces\":[");
    for (size_t i = 0; i < prompt->count && !status; i++) {
        if (i) putchar(',');
        status = print_piece(host, tokenizer, prompt->tokens[i]);
    }
    printf("]}\n");
    return status;
}

static int print_lines(cli_host *host, const tfm_tokenizer *tokenizer, const cli_prompt *prompt) {
    int status = CLI_OK;
    for (size_t i = 0; i < prompt->count && !status; i++) {
        printf("%8" PRId32 "  ", prompt->tokens[i]);
        status = print_piece(host, tokenizer, prompt->tokens[i]);
        putchar('\n');
    }
    return status;
}

static int tokens(const char *file, tokens_options *options) {
    cli_host host;
    tfm_tokenizer *tokenizer = NULL;
    int status = cli_prompt_read(&options->prompt, "tokens", 0);
    if (status) return status;
    status = cli_open(&host, "tokens");
    if (!status) status = open_tokenizer(&host, file, options->pattern, &tokenizer);
    if (!status) status = cli_tokenize(&host, tokenizer, &options->prompt, options->no_special);
    if (!status) status = (options->json ? print_json : print_lines)(&host, tokenizer, &options->prompt);
    tfm_tokenizer_release(tokenizer);
    return cli_close(&host, status);
}

int cmd_tokens(int argc, char **argv) {
    tokens_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_FILE(&o.prompt),
        {0, "no-special", ARG_FLAG, &o.no_special, NULL, "add neither a begin nor an end token", 0, 0, NULL},
        CLI_OPTION_SPECIAL(&o.prompt),
        OPTION_PATTERN(&o.pattern),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON instead of lines", 0, 0, NULL},
    };
    const arg_command command = {
        "tokens", "FILE",
        "Shows a text as tokens. FILE is anything that holds a tokenizer: a model, or a\n"
        "tokenizer.json, tokenizer.model, .tiktoken or tokenizer.bin file.\n",
        options, ARG_COUNT(options)};
    const char *file = NULL;
    int status = args_parse(&command, argc, argv, &file);
    if (status == ARGS_GO) status = tokens(file, &o);
    cli_prompt_free(&o.prompt);
    return status;
}

/* ---- detokenize
 * ---------------------------------------------------------------------------------------------------- */

typedef struct detokenize_options {
    const char *ids, *pattern;
    int special, raw, json;
} detokenize_options;

static void print_text(const char *text, size_t length, const detokenize_options *options) {
    if (options->json) {
        printf("{\"text\":");
        json_string(stdout, text, length);
        printf("}\n");
        return;
    }
    fwrite(text, 1, length, stdout);
    if (cli_is_terminal(stdout)) putchar('\n'); /* scripts get the text alone */
}

static int to_text(cli_host *host, const tfm_tokenizer *tokenizer, const int32_t *ids, size_t count,
                   const detokenize_options *options) {
    tfm_detokenize_options how = TFM_DETOKENIZE_OPTIONS_INIT;
    size_t length = 0;
    how.special = options->special;
    how.raw = options->raw;
    if (tfm_detokenize(tokenizer, ids, count, &how, NULL, 0, &length, &host->error)) return cli_fail(host);
    char *text = malloc(length + 1);
    if (!text) return cli_error(host->command, "out of memory");
    int status = CLI_OK;
    if (tfm_detokenize(tokenizer, ids, count, &how, text, length, &length, &host->error))
        status = cli_fail(host);
    else
        print_text(text, length, options);
    free(text);
    return status;
}

static int detokenize(const char *file, const detokenize_options *options) {
    cli_host host;
    tfm_tokenizer *tokenizer = NULL;
    int32_t *ids = NULL;
    size_t count = 0;
    if (!options->ids) return args_usage("detokenize", "--ids is missing");
    int status = args_ids("detokenize", "--ids", options->ids, &ids, &count);
    if (status) return status;
    status = cli_open(&host, "detokenize");
    if (!status) status = open_tokenizer(&host, file, options->pattern, &tokenizer);
    if (!status) status = to_text(&host, tokenizer, ids, count, options);
    tfm_tokenizer_release(tokenizer);
    free(ids);
    return cli_close(&host, status);
}

int cmd_detokenize(int argc, char **argv) {
    detokenize_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        {'i', "ids", ARG_TEXT, &o.ids, "LIST", "the tokens: 1,2,3 or @FILE (@-: standard input)", 0, 0, NULL},
        {0, "special", ARG_FLAG, &o.special, NULL, "show special tokens", 0, 0, NULL},
        {0, "raw", ARG_FLAG, &o.raw, NULL, "bytes as they are; otherwise ill-formed UTF-8 becomes U+FFFD", 0,
         0, NULL},
        OPTION_PATTERN(&o.pattern),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {"detokenize", "FILE", "Turns token ids into text.\n", options,
                                 ARG_COUNT(options)};
    const char *file = NULL;
    int status = args_parse(&command, argc, argv, &file);
    return status == ARGS_GO ? detokenize(file, &o) : status;
}
