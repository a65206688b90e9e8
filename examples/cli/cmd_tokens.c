/* cmd_tokens.c - `tfm tokens`: text to tokens, with any file that holds a tokenizer. Measuring is in
 * tokens_bench.c. */
#include "cli.h"
#include "json_out.h"
#include "tokens.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const special_names[] = {"text", "parse", "refuse", NULL}; /* as TFM_SPECIAL_* */
static const char *const utf8_names[] = {"original", "keep", "replace", "refuse", NULL}; /* as TFM_UTF8_* */

/* ---- Output ---- */

static int print_piece(cli_host *host, const tfm_tokenizer *tokenizer, tfm_token token) {
    const char *bytes = NULL;
    size_t length = 0;
    if (tfm_token_bytes(tokenizer, token, &bytes, &length, &host->error)) return cli_fail(host);
    json_string(stdout, bytes, length);
    return CLI_OK;
}

static void print_ranges(const char *name, const uint32_t *begins, const uint32_t *ends, size_t count) {
    printf(",\"%s\":[", name);
    for (size_t i = 0; i < count; i++)
        printf("%s[%" PRIu32 ",%" PRIu32 "]", i ? "," : "", begins[i], ends[i]);
    putchar(']');
}

static int print_json(cli_host *host, const tfm_tokenizer *tokenizer, const tfm_encoding_view *view) {
    int status = CLI_OK;
    printf("{\"ids\":");
    json_ids(stdout, view->ids, view->count);
    printf(",\"pieces\":[");
    for (size_t i = 0; i < view->count && !status; i++) {
        if (i) putchar(',');
        status = print_piece(host, tokenizer, view->ids[i]);
    }
    putchar(']');
    if (view->byte_begins) {
        print_ranges("byte_offsets", view->byte_begins, view->byte_ends, view->count);
        print_ranges("char_offsets", view->char_begins, view->char_ends, view->count);
    }
    printf("}\n");
    return status;
}

static int print_lines(cli_host *host, const tfm_tokenizer *tokenizer, const tfm_encoding_view *view) {
    int status = CLI_OK;
    for (size_t i = 0; i < view->count && !status; i++) {
        printf("%8" PRId32 "  ", view->ids[i]);
        if (view->byte_begins)
            printf("%8" PRIu32 " %8" PRIu32 "  ", view->byte_begins[i], view->byte_ends[i]);
        status = print_piece(host, tokenizer, view->ids[i]);
        putchar('\n');
    }
    return status;
}

static void print_ids(const tfm_encoding_view *view) {
    for (size_t i = 0; i < view->count; i++) printf("%s%" PRId32, i ? " " : "", view->ids[i]);
    putchar('\n');
}

/* ---- The command ---- */

static int print_count(cli_host *host, const tfm_tokenizer *tokenizer, const tokens_options *options,
                       const tfm_tokenize_options *how) {
    size_t count = 0;
    if (tfm_count_tokens(tokenizer, options->prompt.bytes, options->prompt.length, how, &count, &host->error))
        return cli_fail(host);
    printf(options->json ? "{\"count\":%zu}\n" : "%zu\n", count);
    return CLI_OK;
}

static int print_tokens(cli_host *host, const tfm_tokenizer *tokenizer, const tokens_options *options,
                        const tfm_tokenize_options *how) {
    const tfm_text_input input = {options->prompt.bytes, options->prompt.length, NULL, 0};
    tfm_batch_options batch = TFM_BATCH_OPTIONS_INIT;
    tfm_encoding_view view = TFM_ENCODING_VIEW_INIT;
    tfm_encoding *encoding = NULL;
    int status = CLI_OK;
    batch.tokenize = how;
    batch.truncate = batch.pad = TFM_NO;
    if (options->offsets) batch.want = TFM_WANT_OFFSETS | TFM_WANT_CHARS;
    if (tfm_tokenize_batch(tokenizer, &input, 1, &batch, &encoding, &host->error) ||
        tfm_encoding_get(encoding, &view, &host->error))
        status = cli_fail(host);
    else if (options->ids)
        print_ids(&view);
    else
        status = (options->json ? print_json : print_lines)(host, tokenizer, &view);
    tfm_encoding_destroy(encoding);
    return status;
}

static int check(const tokens_options *o) {
    if (o->count + o->offsets + o->ids + o->bench > 1)
        return args_usage("tokens", "one of --count, --offsets, --ids and --bench is enough");
    if (o->ids && o->json) return args_usage("tokens", "--ids is not JSON; --json has the ids too");
    if (o->threads.given && !o->bench) return args_usage("tokens", "--threads goes with --bench");
    return CLI_OK;
}

static int tokens(const char *file, tokens_options *options) {
    tfm_tokenize_options how = TFM_TOKENIZE_OPTIONS_INIT;
    cli_host host;
    tfm_tokenizer *tokenizer = NULL;
    int status = check(options);
    if (!status) status = cli_prompt_read(&options->prompt, "tokens", 0);
    if (status) return status;
    how.parse_special = options->special;
    how.invalid_utf8 = options->invalid_utf8;
    if (options->no_special) how.add_bos = how.add_eos = TFM_NO;
    status = cli_open(&host, "tokens");
    if (!status && options->bench) {
        status = cli_tokens_bench(&host, file, options, &how);
    } else {
        if (!status) status = cli_open_tokenizer(&host, file, &options->tokenizer, &tokenizer);
        if (!status) status = (options->count ? print_count : print_tokens)(&host, tokenizer, options, &how);
    }
    tfm_tokenizer_release(tokenizer);
    return cli_close(&host, status);
}

int cmd_tokens(int argc, char **argv) {
    tokens_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_FILE(&o.prompt),
        {0, "ids", ARG_FLAG, &o.ids, NULL, "the ids alone, on one line", 0, 0, NULL},
        {0, "count", ARG_FLAG, &o.count, NULL, "only how many tokens there are", 0, 0, NULL},
        {0, "offsets", ARG_FLAG, &o.offsets, NULL, "with the place of each token in the text", 0, 0, NULL},
        {0, "no-special", ARG_FLAG, &o.no_special, NULL, "add neither a begin nor an end token", 0, 0, NULL},
        {0, "special", ARG_CHOICE, &o.special, "WHAT",
         "special tokens written in the text: text (default), parse or refuse", 0, 0, special_names},
        {0, "utf8", ARG_CHOICE, &o.invalid_utf8, "WHAT",
         "bytes that are not UTF-8: original (default), keep, replace or refuse", 0, 0, utf8_names},
        CLI_OPTION_PATTERN(&o.tokenizer),
        CLI_OPTION_COMPATIBILITY(&o.tokenizer),
        CLI_OPTION_ISA(&o.tokenizer),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON instead of lines", 0, 0, NULL},
        {0, "bench", ARG_FLAG, &o.bench, NULL, "measure: first pass, second pass, back to text, loading", 0,
         0, NULL},
        {'t', "threads", ARG_U64, &o.threads, "N",
         "with --bench: in chunks of lines on N threads (0: one per processor)", 0, 256, NULL},
    };
    const arg_command command = {
        "tokens",
        "FILE",
        "Shows a text as tokens. FILE is anything that holds a tokenizer: a model, or a\n"
        "tokenizer.json, tokenizer.model, .tiktoken or tokenizer.bin file.\n",
        options,
        ARG_COUNT(options)};
    const char *file = NULL;
    int status = args_parse(&command, argc, argv, &file);
    if (status == ARGS_GO) status = tokens(file, &o);
    cli_prompt_free(&o.prompt);
    return status;
}
