/* cmd_embed.c - `tfm embed`: texts as vectors, a line for each. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#define AT_ONCE 1024 /* texts of a file that are computed together */

static const char *const pooling_names[] = {"default", "mean",      "first",    "last",
                                            "max",     "mean-sqrt", "weighted", NULL};
static const uint32_t poolings[] = {TFM_POOL_DEFAULT, TFM_POOL_MEAN,      TFM_POOL_FIRST,   TFM_POOL_LAST,
                                    TFM_POOL_MAX,     TFM_POOL_MEAN_SQRT, TFM_POOL_WEIGHTED};
static const char *const normalize_names[] = {"default", "yes", "no",
                                              NULL}; /* TFM_DEFAULT, TFM_YES, TFM_NO */

typedef struct embed_options {
    cli_open_options open;
    cli_prompt prompt;
    int pooling, normalize;
    arg_u64 max_tokens;
    const char *prefix;
    int json;
} embed_options;

/* The fewest digits that give the same float again. */
static void put_float(float value) {
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
    }
    fputs(value - value == 0 ? text : "null", stdout);
}

static void print(const embed_options *options, const float *vector, size_t width) {
    if (options->json) fputs("{\"embedding\":[", stdout);
    for (size_t i = 0; i < width; i++) {
        if (i) putchar(options->json ? ',' : ' ');
        put_float(vector[i]);
    }
    puts(options->json ? "]}" : "");
}

static int embed_some(cli_host *host, const embed_options *options, const tfm_embed_options *how,
                      const tfm_text_input *texts, size_t count) {
    const tfm_encode_row row = {options->prompt.tokens, options->prompt.count, NULL};
    float *vectors = NULL;
    size_t width = 0;
    int status = CLI_OK;
    if (texts ? tfm_embed(host->model, texts, count, how, NULL, 0, &width, &host->error)
              : tfm_embed_tokens(host->model, &row, 1, how, NULL, 0, &width, &host->error))
        return cli_fail(host);
    vectors = malloc(count * width * sizeof *vectors);
    if (!vectors) return cli_error(host->command, "out of memory");
    if (texts ? tfm_embed(host->model, texts, count, how, vectors, count * width, NULL, &host->error)
              : tfm_embed_tokens(host->model, &row, 1, how, vectors, count * width, NULL, &host->error))
        status = cli_fail(host);
    cli_progress_clear(&host->progress);
    for (size_t i = 0; i < count && !status; i++) print(options, vectors + i * width, width);
    free(vectors);
    return status;
}

/* A file: one text a line. */
static int embed_lines(cli_host *host, const embed_options *options, const tfm_embed_options *how) {
    const char *at = options->prompt.bytes, *end = at + options->prompt.length;
    tfm_text_input *texts = calloc(AT_ONCE, sizeof *texts);
    int status = texts ? CLI_OK : cli_error(host->command, "out of memory");
    while (at < end && !status) {
        size_t count = 0;
        for (; at < end && count < AT_ONCE; count++) {
            const char *stop = memchr(at, '\n', (size_t)(end - at));
            size_t length = (size_t)((stop ? stop : end) - at);
            texts[count].text = at;
            texts[count].length = length && at[length - 1] == '\r' ? length - 1 : length;
            at = stop ? stop + 1 : end;
        }
        status = embed_some(host, options, how, texts, count);
    }
    free(texts);
    return status;
}

static int embed_all(cli_host *host, const embed_options *options) {
    tfm_embed_options how = TFM_EMBED_OPTIONS_INIT;
    const tfm_text_input text = {options->prompt.bytes, options->prompt.length, NULL, 0};
    how.pooling = poolings[options->pooling];
    how.normalize = options->normalize;
    how.max_tokens = (size_t)options->max_tokens.value;
    how.prompt = options->prefix;
    how.prompt_length = options->prefix ? strlen(options->prefix) : 0;
    how.cancel = host->cancel;
    how.progress = cli_progress_report;
    how.progress_user = &host->progress;
    cli_progress_label(&host->progress, "computing");
    if (options->prompt.file) return embed_lines(host, options, &how);
    return embed_some(host, options, &how, options->prompt.ids ? NULL : &text, 1);
}

static int embed(const char *model, embed_options *options) {
    cli_host host;
    int status = cli_prompt_read(&options->prompt, "embed", 0);
    if (!status && options->prompt.ids && options->prompt.count == 0)
        status = args_usage("embed", "--tokens needs at least one id");
    if (status) return status;
    status = cli_open(&host, "embed");
    if (!status) status = cli_open_model(&host, model, &options->open);
    if (!status) status = embed_all(&host, options);
    return cli_close(&host, status);
}

int cmd_embed(int argc, char **argv) {
    embed_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        {'f', "file", ARG_TEXT, &o.prompt.file, "FILE",
         "a file with one text on each line (-: standard input)", 0, 0, NULL},
        CLI_OPTION_TOKENS(&o.prompt),
        {0, "pooling", ARG_CHOICE, &o.pooling, "NAME",
         "default (what the model's files say), mean, first, last, max, mean-sqrt or weighted", 0, 0,
         pooling_names},
        {0, "normalize", ARG_CHOICE, &o.normalize, "WHAT",
         "to length 1: default (what the model's files say), yes or no", 0, 0, normalize_names},
        {0, "prefix", ARG_TEXT, &o.prefix, "TEXT",
         "put in front of every text (default: what the model's files say)", 0, 0, NULL},
        {0, "max-tokens", ARG_U64, &o.max_tokens, "N",
         "cut texts to N tokens (default 0: what the model was made for)", 0, 4294967295.0, NULL},
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON on each line", 0, 0, NULL},
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
    };
    const arg_command command = {
        "embed", "MODEL",
        "Prints the vector of a text, or of each line of a file, on a line of its own.\n"
        "MODEL is an encoder (BERT and its like, a folder of sentence-transformers) or a\n"
        "decoder, whose last hidden state is taken.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) status = embed(model, &o);
    cli_prompt_free(&o.prompt);
    return status;
}
