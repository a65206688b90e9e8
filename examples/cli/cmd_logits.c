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
    cli_prompt prompt, encoder; /* the decoder's tokens; the encoder's, for encoder-decoders */
    const char *out;
    arg_u64 chunk;
} logits_options;

static int write_failed(cli_host *host, const char *path) {
    return cli_error(host->command, "%s: %s", path, strerror(errno));
}

/* The header, and what comes before the logits: the vocabulary's size is known with the first of them. */
static int write_head(cli_host *host, const logits_options *options, FILE *file, const tfm_encoded_view *view,
                      size_t vocab) {
    const tensors_out_entry entries[] = {{"encoder_last", 2, {view->tokens, view->width}},
                                         {"logits", 2, {options->prompt.count, vocab}}};
    size_t without = view->tokens ? 0 : 1;
    if (tensors_out_header(file, entries + without, 2 - without) ||
        tensors_out_floats(file, view->hidden, view->tokens * view->width))
        return write_failed(host, options->out);
    return CLI_OK;
}

/* The rows of the last call. */
static int write_rows(cli_host *host, const logits_options *options, FILE *file, const tfm_encoded_view *view,
                      size_t first) {
    size_t rows = tfm_logits_count(host->session);
    for (size_t i = 0; i < rows; i++) {
        const float *row = NULL;
        size_t vocab = 0;
        if (tfm_logits(host->session, i, &row, &vocab, &host->error)) return cli_fail(host);
        int status = first + i == 0 ? write_head(host, options, file, view, vocab) : CLI_OK;
        if (status) return status;
        if (tensors_out_floats(file, row, vocab)) return write_failed(host, options->out);
    }
    return CLI_OK;
}

static int compute(cli_host *host, const logits_options *options, FILE *file, const tfm_encoded_view *view) {
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
        int status = write_rows(host, options, file, view, first);
        if (status) return status;
    }
    cli_progress_clear(&host->progress);
    return CLI_OK;
}

static int compute_file(cli_host *host, const logits_options *options, const tfm_encoded_view *view) {
    cli_output output;
    if (cli_output_open(&output, options->out)) return write_failed(host, options->out);
    int status = compute(host, options, output.file, view);
    if (cli_output_close(&output, status == CLI_OK) && status == CLI_OK)
        status = write_failed(host, options->out);
    return status;
}

/* A session on what the encoder makes of its tokens; view shows that. */
static int open_encoded(cli_host *host, const logits_options *options, tfm_encoded **encoded,
                        tfm_encoded_view *view) {
    const tfm_encode_row row = {options->encoder.tokens, options->encoder.count, NULL};
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    tfm_encode_options encode = TFM_ENCODE_OPTIONS_INIT;
    encode.cancel = host->cancel;
    if (tfm_encode(host->model, &row, 1, &encode, encoded, &host->error) ||
        tfm_encoded_get(*encoded, view, &host->error))
        return cli_fail(host);
    on.encoded = *encoded;
    on.cache_type = options->open.kv;
    on.context = (uint32_t)options->open.context.value;
    return tfm_session_create(host->model, &on, &host->session, &host->error) ? cli_fail(host) : CLI_OK;
}

static int logits(const char *model, logits_options *options) {
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    tfm_encoded *encoded = NULL;
    cli_host host;
    if (!options->out) return args_usage("logits", "-o is missing");
    if (!options->prompt.ids) return args_usage("logits", "--tokens is missing");
    int status = cli_prompt_read(&options->prompt, "logits", 0);
    if (status) return status;
    if (options->prompt.count == 0) return args_usage("logits", "--tokens needs at least one id");
    if (options->encoder.ids && (status = cli_prompt_read(&options->encoder, "logits", 0)) != 0)
        return status;
    if (options->encoder.ids && options->encoder.count == 0)
        return args_usage("logits", "--encoder needs at least one id");
    status = cli_open(&host, "logits");
    if (!status) status = cli_open_model(&host, model, &options->open);
    if (!status)
        status = options->encoder.ids ? open_encoded(&host, options, &encoded, &view)
                                      : cli_open_session(&host, &options->open);
    if (!status) status = compute_file(&host, options, &view);
    tfm_encoded_release(encoded);
    return cli_close(&host, status);
}

int cmd_logits(int argc, char **argv) {
    logits_options o;
    memset(&o, 0, sizeof o);
    o.chunk.value = DEFAULT_CHUNK;
    const arg_option options[] = {
        CLI_OPTION_TOKENS(&o.prompt),
        {0, "encoder", ARG_TEXT, &o.encoder.ids, "LIST",
         "encoder-decoders: the encoder's token ids; --tokens are the decoder's then", 0, 0, NULL},
        {'o', "output", ARG_TEXT, &o.out, "FILE", "the safetensors file to write", 0, 0, NULL},
        {0, "chunk", ARG_U64, &o.chunk, "N",
         "tokens per call, 1 or more (default 256); never changes a result", 1, 0, NULL},
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        CLI_OPTION_KV(&o.open),
        CLI_OPTION_LORA(&o.open),
    };
    const arg_command command = {
        "logits", "MODEL",
        "Writes the logits of every token as a safetensors file that holds one tensor,\n"
        "`logits` [tokens, vocab] F32; with --encoder also `encoder_last` [tokens, width].\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) status = logits(model, &o);
    cli_prompt_free(&o.prompt);
    cli_prompt_free(&o.encoder);
    return status;
}
