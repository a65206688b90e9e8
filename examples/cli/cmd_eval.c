/* cmd_eval.c - `tfm eval`: the perplexity of a text, by token and by byte; and how small the text becomes
 * under the model (--compress). */
#include "cli.h"
#include "compress.h"
#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct eval_options {
    cli_open_options open;
    cli_prompt prompt;
    arg_u64 stride;
    int windows; /* TFM_WINDOWS_*: the place in window_names */
    int no_bos;
    int compress;
    int json;
} eval_options;

static const char *const window_names[] = {"halves", "sliding", NULL};

static void print(const eval_options *options, const tfm_perplexity_options *how,
                  const tfm_perplexity_result *r) {
    uint32_t stride = how->windows == TFM_WINDOWS_HALVES ? how->context
                      : how->stride                      ? how->stride
                                                         : how->context / 2;
    if (options->json) {
        printf("{\"perplexity\":");
        json_number(stdout, r->perplexity);
        printf(",\"perplexity_error\":");
        json_number(stdout, r->perplexity_error);
        printf(",\"byte_perplexity\":");
        json_number(stdout, r->byte_perplexity);
        printf(",\"bits_per_byte\":");
        json_number(stdout, r->bits_per_byte);
        printf(",\"log_probability\":");
        json_number(stdout, r->log_probability);
        printf(",\"tokens\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"windows\":%" PRIu64
               ",\"method\":\"%s\",\"context\":%" PRIu32 ",\"stride\":%" PRIu32 "}\n",
               r->tokens, r->bytes, r->windows, window_names[how->windows], how->context, stride);
        return;
    }
    printf("perplexity by token  %.4f +/- %.4f\n", r->perplexity, r->perplexity_error);
    if (r->bytes)
        printf("perplexity by byte   %.4f (%.4f bits per byte)\n", r->byte_perplexity, r->bits_per_byte);
    printf("%" PRIu64 " tokens scored, %" PRIu64 " bytes, in %" PRIu64 " windows of %" PRIu32
           " tokens, one each %" PRIu32 " (%s)\n",
           r->tokens, r->bytes, r->windows, how->context, stride, window_names[how->windows]);
}

static int evaluate(cli_host *host, eval_options *options) {
    tfm_perplexity_options how = TFM_PERPLEXITY_OPTIONS_INIT;
    tfm_perplexity_result result = TFM_PERPLEXITY_RESULT_INIT;
    how.context = options->open.context.value ? (uint32_t)options->open.context.value : 512;
    how.stride = (uint32_t)options->stride.value;
    how.windows = options->windows;
    how.add_bos = options->no_bos ? TFM_NO : TFM_DEFAULT;
    how.cache_type = options->open.kv;
    how.adapters = host->adapters;
    how.adapter_count = host->adapter_count;
    how.progress = cli_progress_report;
    how.progress_user = &host->progress;
    how.cancel = host->cancel;
    cli_progress_label(&host->progress, "reading");
    if (tfm_perplexity(host->model, options->prompt.tokens, options->prompt.count, &how, &result,
                       &host->error))
        return cli_fail(host);
    cli_progress_clear(&host->progress);
    print(options, &how, &result);
    return CLI_OK;
}

/* The token in front of a text, or -1. */
static int32_t beginning(const cli_host *host, const eval_options *options) {
    const tfm_tokenizer *tokenizer = tfm_tokenizer_of(host->model);
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    if (options->no_bos || !tokenizer || tfm_tokenizer_get_info(tokenizer, &info, NULL) || !info.adds_bos)
        return -1;
    return info.bos;
}

static int compress(cli_host *host, eval_options *options) {
    compress_result result = {0};
    size_t text = options->prompt.length;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    if (options->windows || options->stride.given)
        return args_usage("eval", "--windows and --stride are for the perplexity, not for --compress");
    if (tfm_model_get_info(host->model, &info, &host->error)) return cli_fail(host);
    if (!options->open.context.value)
        options->open.context.value = info.context < 512 ? (uint64_t)info.context : 512;
    int status = cli_open_session(host, &options->open);
    if (!status)
        status = compress_text(host, options->prompt.tokens, options->prompt.count, beginning(host, options),
                               (uint32_t)tfm_session_context(host->session), &result);
    cli_progress_clear(&host->progress);
    free(result.code);
    if (!status && !result.decoded_back)
        status = cli_error(host->command, "the code did not give the text back");
    if (status) return status;
    double bytes = (double)result.bytes;
    if (options->json) {
        printf("{\"tokens\":%zu,\"bytes\":%zu,\"compressed\":%zu,\"surprise_bits\":", result.tokens, text,
               result.bytes);
        json_number(stdout, result.surprise);
        printf(",\"decoded\":true}\n");
        return CLI_OK;
    }
    printf("text        %zu bytes, %zu tokens\n", text, result.tokens);
    printf("compressed  %zu bytes", result.bytes);
    if (text)
        printf(": %.3f bits for each of the text's, %.2f times smaller", 8 * bytes / (double)text,
               (double)text / bytes);
    printf("\nsurprise    %.1f bytes: the sum of the logarithms of the tokens' probabilities\n",
           result.surprise / 8);
    printf("decoded     the same %s\n", text ? "text" : "tokens");
    return CLI_OK;
}

static int eval(const char *model, eval_options *options) {
    cli_host host;
    int status = cli_open_on_prompt(&host, "eval", model, &options->open, &options->prompt, 1);
    if (!status && options->prompt.count == 0) status = cli_error("eval", "the text is empty");
    if (!status) status = (options->compress ? compress : evaluate)(&host, options);
    return cli_close(&host, status);
}

int cmd_eval(int argc, char **argv) {
    eval_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        CLI_OPTION_FILE(&o.prompt),
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_TOKENS(&o.prompt),
        {0, "context", ARG_U64, &o.open.context, "N", "tokens of a window, 4 or more (default 512)", 4,
         4294967295.0, NULL},
        {0, "windows", ARG_CHOICE, &o.windows, "NAME",
         "halves: the second half of each window is scored, as llama.cpp does it; sliding: every token", 0, 0,
         window_names},
        {0, "stride", ARG_U64, &o.stride, "N", "sliding: how far a window moves on (default: half of it)", 1,
         4294967295.0, NULL},
        {0, "no-bos", ARG_FLAG, &o.no_bos, NULL, "windows do not begin with the token that begins texts", 0,
         0, NULL},
        {0, "compress", ARG_FLAG, &o.compress, NULL,
         "codes the text by the model's probabilities, decodes it, and says how small it became", 0, 0, NULL},
        CLI_OPTION_SPECIAL(&o.prompt),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        CLI_OPTION_KV(&o.open),
        CLI_OPTION_LORA(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "one object of JSON", 0, 0, NULL},
    };
    const arg_command command = {
        "eval", "MODEL",
        "Measures the perplexity of a text: how well the model foresees it; or, with --compress, how\n"
        "few bytes it becomes in an arithmetic coder on the model's probabilities.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) status = eval(model, &o);
    cli_prompt_free(&o.prompt);
    return status;
}
