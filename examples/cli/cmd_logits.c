/* cmd_logits.c - `tfm logits`: the logits of every token of a row, [tokens, vocab] F32, as a safetensors
 * file. The file appears whole or not at all, so a reader never sees half of it. */
#include "cli.h"
#include "tensors_out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CHUNK 256 /* bounds the memory for logits: 256 rows */

typedef struct logits_options {
    cli_open_options open;
    cli_prompt prompt;
    const char *out;
    arg_u64 chunk;
} logits_options;

static int write_failed(cli_host *host, const char *path) {
    return cli_error(host->command, "%s: %s", path, strerror(errno));
}

/* The rows of the last call. The header comes before the first one: the vocabulary's size is known then. */
static int write_rows(cli_host *host, const logits_options *options, FILE *file, size_t first) {
    size_t rows = tfm_logits_count(host->session);
    for (size_t i = 0; i < rows; i++) {
        const float *row = NULL;
        size_t vocab = 0;
        if (tfm_logits(host->session, i, &row, &vocab, &host->error)) return cli_fail(host);
        const tensors_out_entry entry = {"logits", 2, {options->prompt.count, vocab}};
        if (first + i == 0 && tensors_out_header(file, &entry, 1)) return write_failed(host, options->out);
        if (tensors_out_floats(file, row, vocab)) return write_failed(host, options->out);
    }
    return CLI_OK;
}

static int compute(cli_host *host, const logits_options *options, FILE *file) {
    tfm_forward_options forward = TFM_FORWARD_OPTIONS_INIT;
    size_t count = options->prompt.count;
    size_t chunk = options->chunk.value < count ? (size_t)options->chunk.value : count;
    forward.logits = TFM_LOGITS_ALL;
    forward.cancel = host->cancel;
    cli_progress_label(&host->progress, "computing");
    for (size_t first = 0; first < count; first += chunk) {
        size_t n = count - first < chunk ? count - first : chunk;
        cli_progress_report(&host->progress, first, count);
        if (tfm_forward(host->session, options->prompt.tokens + first, n, &forward, &host->error))
            return cli_fail(host);
        int status = write_rows(host, options, file, first);
        if (status) return status;
    }
    cli_progress_clear(&host->progress);
    return CLI_OK;
}

static int compute_file(cli_host *host, const logits_options *options) {
    cli_output output;
    if (cli_output_open(&output, options->out)) return write_failed(host, options->out);
    int status = compute(host, options, output.file);
    if (cli_output_close(&output, status == CLI_OK) && status == CLI_OK)
        status = write_failed(host, options->out);
    return status;
}

static int logits(const char *model, logits_options *options) {
    cli_host host;
    if (!options->out) return args_usage("logits", "-o is missing");
    if (!options->prompt.ids) return args_usage("logits", "--tokens is missing");
    int status = cli_prompt_read(&options->prompt, "logits", 0);
    if (status) return status;
    if (options->prompt.count == 0) return args_usage("logits", "--tokens needs at least one id");
    status = cli_open(&host, "logits");
    if (!status) status = cli_open_model(&host, model, &options->open);
    if (!status) status = cli_open_session(&host, &options->open);
    if (!status) status = compute_file(&host, options);
    return cli_close(&host, status);
}

int cmd_logits(int argc, char **argv) {
    logits_options o;
    memset(&o, 0, sizeof o);
    o.chunk.value = DEFAULT_CHUNK;
    const arg_option options[] = {
        CLI_OPTION_TOKENS(&o.prompt),
        {'o', "output", ARG_TEXT, &o.out, "FILE", "the safetensors file to write", 0, 0, NULL},
        {0, "chunk", ARG_U64, &o.chunk, "N",
         "tokens per call, 1 or more (default 256); never changes a result", 1, 0, NULL},
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
    };
    const arg_command command = {
        "logits", "MODEL",
        "Writes the logits of every token as a safetensors file that holds one tensor,\n"
        "`logits` [tokens, vocab] F32.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) status = logits(model, &o);
    cli_prompt_free(&o.prompt);
    return status;
}
