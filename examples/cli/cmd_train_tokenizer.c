/* cmd_train_tokenizer.c - `tfm train-tokenizer`: learns a tokenizer from text files and writes it into a
 * file. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct train_options {
    arg_texts special, user;
    arg_u64 vocab_size, min_frequency, limit_alphabet, max_token_length, threads;
    arg_f64 coverage;
    const char *out, *pattern;
    int kind;   /* TFM_TRAIN_* */
    int format; /* the place in formats */
    int whole, prefix_space, byte_fallback, keep_spaces, no_dummy_prefix, split_digits;
} train_options;

static const char *const kinds[] = {"byte-level", "sentencepiece", NULL}; /* in the order of TFM_TRAIN_* */
static const char *const formats[] = {"auto", "json", "gguf", "tiktoken", "model", NULL}; /* 1: TFM_SAVE_* */

static int ends_in(const char *path, const char *end) {
    size_t length = strlen(path), tail = strlen(end);
    return length > tail && strcmp(path + length - tail, end) == 0;
}

/* The format that the name of the file asks for, if nothing else does. */
static int32_t format_of(const train_options *options) {
    if (options->format) return options->format;
    if (ends_in(options->out, ".gguf")) return TFM_SAVE_GGUF;
    if (ends_in(options->out, ".tiktoken")) return TFM_SAVE_TIKTOKEN;
    if (ends_in(options->out, ".model") || options->kind == TFM_TRAIN_SENTENCEPIECE)
        return TFM_SAVE_SENTENCEPIECE;
    return TFM_SAVE_TOKENIZER_JSON;
}

/* Standard input as one text, which the library cuts into lines. */
typedef struct whole_input {
    char *text;
    size_t length;
    int given;
} whole_input;

static int32_t next_text(void *user, const char **text, size_t *length) {
    whole_input *input = user;
    *text = input->given++ ? NULL : input->text;
    *length = input->length;
    return 0;
}

static void fill(tfm_tokenizer_train_options *how, cli_host *host, const train_options *options) {
    how->kind = options->kind;
    how->unit = options->whole ? TFM_TRAIN_UNIT_TEXT : TFM_TRAIN_UNIT_LINE;
    how->vocab_size = (size_t)options->vocab_size.value;
    how->special_tokens = options->special.items;
    how->special_count = options->special.count;
    how->user_symbols = options->user.items;
    how->user_count = options->user.count;
    how->pattern = options->pattern;
    how->add_prefix_space = options->prefix_space ? TFM_YES : TFM_NO;
    how->alphabet = options->limit_alphabet.given ? TFM_TRAIN_ALPHABET_SEEN : TFM_TRAIN_ALPHABET_BYTES;
    how->limit_alphabet = (size_t)options->limit_alphabet.value;
    how->min_frequency = options->min_frequency.value;
    how->max_token_length = (size_t)options->max_token_length.value;
    how->character_coverage = options->coverage.value;
    how->byte_fallback = options->byte_fallback ? TFM_YES : TFM_NO;
    how->remove_extra_whitespaces = options->keep_spaces ? TFM_NO : TFM_YES;
    how->add_dummy_prefix = options->no_dummy_prefix ? TFM_NO : TFM_YES;
    how->split_digits = options->split_digits ? TFM_YES : TFM_NO;
    how->pool = host->pool;
    how->progress = cli_progress_report;
    how->progress_user = &host->progress;
    how->cancel = host->cancel;
}

static int run(cli_host *host, char **files, size_t count, const train_options *options,
               tfm_tokenizer **tokenizer) {
    tfm_tokenizer_train_options how = TFM_TOKENIZER_TRAIN_OPTIONS_INIT;
    tfm_pool_options pool = TFM_POOL_OPTIONS_INIT;
    whole_input input = {NULL, 0, 0};
    int status = CLI_OK;
    pool.threads = (uint32_t)options->threads.value;
    if (tfm_pool_create(&pool, &host->pool, &host->error)) return cli_fail(host);
    fill(&how, host, options);
    cli_progress_label(&host->progress, "training");
    if (count == 1 && strcmp(files[0], "-") == 0) {
        status = cli_read_file(host->command, "-", &input.text, &input.length);
        if (!status && tfm_tokenizer_train_text(next_text, &input, &how, tokenizer, &host->error))
            status = cli_fail(host);
        free(input.text);
    } else if (tfm_tokenizer_train((const char *const *)files, count, &how, tokenizer, &host->error)) {
        status = cli_fail(host);
    }
    cli_progress_clear(&host->progress);
    return status;
}

static int train(char **files, size_t count, const train_options *options) {
    cli_host host;
    tfm_tokenizer *tokenizer = NULL;
    if (!options->out) return args_usage("train-tokenizer", "--out is missing");
    int status = cli_open(&host, "train-tokenizer");
    if (!status) status = run(&host, files, count, options, &tokenizer);
    if (!status && tfm_tokenizer_save(tokenizer, options->out, format_of(options), &host.error))
        status = cli_fail(&host);
    if (!status) {
        tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
        if (tfm_tokenizer_get_info(tokenizer, &info, &host.error))
            status = cli_fail(&host);
        else
            printf("%s: %d tokens\n", options->out, (int)info.vocab_size);
    }
    tfm_tokenizer_release(tokenizer);
    return cli_close(&host, status);
}

int cmd_train_tokenizer(int argc, char **argv) {
    train_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        {'o', "out", ARG_TEXT, &o.out, "OUT", "the file to write; its ending chooses the format", 0, 0, NULL},
        {'n', "vocab-size", ARG_U64, &o.vocab_size, "N",
         "tokens (default 0: 30000 byte-level, 8000 sentencepiece)", 0, 1e9, NULL},
        {0, "kind", ARG_CHOICE, &o.kind, "KIND", "byte-level (default) or sentencepiece", 0, 0, kinds},
        {0, "format", ARG_CHOICE, &o.format, "NAME", "json, gguf, tiktoken or model", 0, 0, formats},
        {0, "special", ARG_TEXTS, &o.special, "TOKEN", "a special token; may be repeated", 0, 0, NULL},
        {0, "whole", ARG_FLAG, &o.whole, NULL, "a file is one text; otherwise each line is one", 0, 0, NULL},
        {'t', "threads", ARG_U64, &o.threads, "N", "threads (0 to 256; default 0: one per processor)", 0, 256,
         NULL},
        {0, "pattern", ARG_TEXT, &o.pattern, "NAME",
         "byte-level: gpt2 (default), cl100k, o200k, llama3, qwen2, an expression, or '' for none", 0, 0,
         NULL},
        {0, "prefix-space", ARG_FLAG, &o.prefix_space, NULL, "byte-level: a space in front of every text", 0,
         0, NULL},
        {0, "min-frequency", ARG_U64, &o.min_frequency, "N", "byte-level: rarer pairs are not merged", 0, 0,
         NULL},
        {0, "limit-alphabet", ARG_U64, &o.limit_alphabet, "N",
         "byte-level: only the N most frequent bytes that occur (0: all that occur)", 0, 256, NULL},
        {0, "max-token-length", ARG_U64, &o.max_token_length, "N", "byte-level: tokens stay below N bytes", 0,
         0, NULL},
        {0, "user", ARG_TEXTS, &o.user, "TOKEN", "sentencepiece: a user-defined symbol; may be repeated", 0,
         0, NULL},
        {0, "coverage", ARG_F64, &o.coverage, "X", "sentencepiece: share of characters kept (default 0.9995)",
         0.98, 1, NULL},
        {0, "byte-fallback", ARG_FLAG, &o.byte_fallback, NULL, "sentencepiece: bytes for what has no token",
         0, 0, NULL},
        {0, "keep-spaces", ARG_FLAG, &o.keep_spaces, NULL, "sentencepiece: no space is removed", 0, 0, NULL},
        {0, "no-dummy-prefix", ARG_FLAG, &o.no_dummy_prefix, NULL, "sentencepiece: no space is put in front",
         0, 0, NULL},
        {0, "split-digits", ARG_FLAG, &o.split_digits, NULL, "sentencepiece: every digit is a token", 0, 0,
         NULL},
    };
    const arg_command command = {
        "train-tokenizer", "FILE...",
        "Learns a tokenizer from text files (-: standard input) and writes it: the same tokens\n"
        "and merges as Hugging Face's BpeTrainer or SentencePiece's BPE trainer.\n",
        options, ARG_COUNT(options)};
    const char *file = NULL;
    size_t rest = 0;
    int status = args_parse_words(&command, argc, argv, &file, &rest);
    if (status != ARGS_GO) return status;
    /* the first file, then those that were moved to argv[1] and so on */
    char **files = malloc((rest + 1) * sizeof *files);
    if (!files) return cli_error("train-tokenizer", "out of memory");
    files[0] = (char *)file;
    if (rest) memcpy(files + 1, argv + 1, rest * sizeof *files);
    status = train(files, rest + 1, &o);
    free(files);
    return status;
}
