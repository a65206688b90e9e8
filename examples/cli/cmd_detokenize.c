/* cmd_detokenize.c - `tfm detokenize`: tokens to text, with any file that holds a tokenizer. */
#include "cli.h"
#include "json_out.h"

#include <stdlib.h>
#include <string.h>

typedef struct detokenize_options {
    cli_tokenizer_options tokenizer;
    const char *ids, *file;
    char **words; /* [word_count] ids as operands */
    size_t word_count;
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

/* The words with spaces between them, behind prefix; to be freed. */
static char *join(const char *prefix, char *const *words, size_t count) {
    size_t size = strlen(prefix) + 1;
    for (size_t i = 0; i < count; i++) size += strlen(words[i]) + 1;
    char *text = malloc(size), *end = text;
    if (!text) return NULL;
    size_t length = strlen(prefix);
    memcpy(end, prefix, length);
    end += length;
    for (size_t i = 0; i < count; i++) {
        length = strlen(words[i]);
        memcpy(end, words[i], length);
        end += length;
        if (i + 1 < count) *end++ = ' ';
    }
    *end = 0;
    return text;
}

/* The ids as one list for args_ids, to be freed; NULL with *status where there is none. */
static char *list_of_ids(const detokenize_options *options, int *status) {
    int given = (options->ids != NULL) + (options->file != NULL) + (options->word_count > 0);
    char *list = NULL;
    *status = CLI_OK;
    if (given > 1) {
        *status = args_usage("detokenize", "one list of ids is enough: words, --ids or -f");
    } else if (given == 0 && cli_is_terminal(stdin)) {
        *status =
            args_usage("detokenize", "no ids: they follow FILE, or come from --ids, -f or standard input");
    } else {
        char *file[] = {(char *)options->file}, *ids[] = {(char *)options->ids};
        if (options->word_count)
            list = join("", options->words, options->word_count);
        else if (options->ids)
            list = join("", ids, 1);
        else
            list = options->file ? join("@", file, 1) : join("@-", NULL, 0);
        if (!list) *status = cli_error("detokenize", "out of memory");
    }
    return list;
}

static int detokenize(const char *file, const detokenize_options *options) {
    cli_host host;
    tfm_tokenizer *tokenizer = NULL;
    int32_t *ids = NULL;
    size_t count = 0;
    int status;
    char *list = list_of_ids(options, &status);
    if (!list) return status;
    status = args_ids("detokenize", options->word_count ? "detokenize" : "--ids", list, &ids, &count);
    free(list);
    if (status) return status;
    status = cli_open(&host, "detokenize");
    if (!status) status = cli_open_tokenizer(&host, file, &options->tokenizer, &tokenizer);
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
        {'f', "file", ARG_TEXT, &o.file, "FILE", "a file with the tokens (-: standard input)", 0, 0, NULL},
        {0, "special", ARG_FLAG, &o.special, NULL, "show special tokens", 0, 0, NULL},
        {0, "raw", ARG_FLAG, &o.raw, NULL, "bytes as they are; otherwise ill-formed UTF-8 becomes U+FFFD", 0,
         0, NULL},
        CLI_OPTION_PATTERN(&o.tokenizer),
        CLI_OPTION_COMPATIBILITY(&o.tokenizer),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {
        "detokenize", "FILE",
        "Turns token ids into text. The ids follow FILE, or come from --ids, -f or standard\n"
        "input: 1 2 3, 1,2,3 or [1, 2, 3].\n",
        options, ARG_COUNT(options)};
    const char *file = NULL;
    int status = args_parse_words(&command, argc, argv, &file, &o.word_count);
    o.words = argv + 1;
    return status == ARGS_GO ? detokenize(file, &o) : status;
}
