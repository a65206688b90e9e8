/* cmd_hidden.c - `tfm hidden`: the states after the embedding and after each layer for a row of tokens, as a
 * safetensors file; of encoders the last states and the pooler's output too. */
#include "cli.h"
#include "tensors_out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct hidden_options {
    cli_open_options open;
    cli_prompt prompt;
    const char *types;
    const char *out;
} hidden_options;

static int write_failed(cli_host *host, const char *path) {
    return cli_error(host->command, "%s: %s", path, strerror(errno));
}

/* Names and shapes: hidden.N, then what only encoders have. */
static size_t list(const tfm_encoded_view *view, int encoder, tensors_out_entry *entries) {
    size_t n = 0;
    for (; n < view->layers; n++) {
        snprintf(entries[n].name, sizeof entries[n].name, "hidden.%zu", n);
        entries[n].dims = 2;
        entries[n].shape[0] = view->tokens;
        entries[n].shape[1] = view->width;
    }
    if (encoder) {
        const tensors_out_entry last = {"last_hidden", 2, {view->tokens, view->width}};
        entries[n++] = last;
    }
    if (view->pooled) {
        const tensors_out_entry pooler = {"pooler", 1, {view->width, 0}};
        entries[n++] = pooler;
    }
    return n;
}

static int write_all(cli_host *host, const tfm_encoded *encoded, const tfm_encoded_view *view, int encoder,
                     const char *path, FILE *file) {
    tensors_out_entry *entries = calloc(view->layers + 2, sizeof *entries);
    size_t values = view->tokens * view->width;
    int status = CLI_OK;
    if (!entries) return cli_error(host->command, "out of memory");
    if (tensors_out_header(file, entries, list(view, encoder, entries))) status = write_failed(host, path);
    for (size_t layer = 0; layer < view->layers && !status; layer++) {
        const float *states = NULL;
        if (tfm_encoded_layer(encoded, layer, &states, &host->error))
            status = cli_fail(host);
        else if (tensors_out_floats(file, states, values))
            status = write_failed(host, path);
    }
    if (!status && ((encoder && tensors_out_floats(file, view->hidden, values)) ||
                    (view->pooled && tensors_out_floats(file, view->pooled, view->width))))
        status = write_failed(host, path);
    free(entries);
    return status;
}

static int write_file(cli_host *host, const tfm_encoded *encoded, const char *path, int encoder) {
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    cli_output output;
    if (tfm_encoded_get(encoded, &view, &host->error)) return cli_fail(host);
    if (cli_output_open(&output, path)) return write_failed(host, path);
    int status = write_all(host, encoded, &view, encoder, path, output.file);
    if (cli_output_close(&output, status == CLI_OK) && status == CLI_OK) status = write_failed(host, path);
    return status;
}

static int compute(cli_host *host, const hidden_options *options, const int32_t *types) {
    const tfm_encode_row row = {options->prompt.tokens, options->prompt.count, types};
    tfm_encode_options encode = TFM_ENCODE_OPTIONS_INIT;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    tfm_encoded *encoded = NULL;
    if (tfm_model_get_info(host->model, &info, &host->error)) return cli_fail(host);
    encode.decoder = info.kind == TFM_KIND_DECODER;
    encode.keep_layers = 1;
    encode.cancel = host->cancel;
    encode.progress = cli_progress_report;
    encode.progress_user = &host->progress;
    cli_progress_label(&host->progress, "computing");
    if (tfm_encode(host->model, &row, 1, &encode, &encoded, &host->error)) return cli_fail(host);
    cli_progress_clear(&host->progress);
    int status = write_file(host, encoded, options->out, !encode.decoder);
    tfm_encoded_release(encoded);
    return status;
}

static int hidden(const char *model, hidden_options *options) {
    cli_host host;
    int32_t *types = NULL;
    size_t type_count = 0;
    if (!options->out) return args_usage("hidden", "-o is missing");
    if (!options->prompt.ids) return args_usage("hidden", "--tokens is missing");
    int status = cli_prompt_read(&options->prompt, "hidden", 0);
    if (!status && options->prompt.count == 0)
        status = args_usage("hidden", "--tokens needs at least one id");
    if (!status && options->types)
        status = args_ids("hidden", "--types", options->types, &types, &type_count);
    if (!status && types && type_count != options->prompt.count)
        status = args_usage("hidden", "%zu types for %zu tokens", type_count, options->prompt.count);
    if (!status) {
        status = cli_open(&host, "hidden");
        if (!status) status = cli_open_model(&host, model, &options->open);
        if (!status) status = compute(&host, options, types);
        status = cli_close(&host, status);
    }
    free(types);
    return status;
}

int cmd_hidden(int argc, char **argv) {
    hidden_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        CLI_OPTION_TOKENS(&o.prompt),
        {0, "types", ARG_TEXT, &o.types, "LIST", "token types of the tokens, for models that have them", 0, 0,
         NULL},
        {'o', "output", ARG_TEXT, &o.out, "FILE", "the safetensors file to write", 0, 0, NULL},
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
    };
    const arg_command command = {
        "hidden", "MODEL",
        "Writes the hidden states of a row of tokens as a safetensors file: `hidden.0`\n"
        "(the embedding) to `hidden.L` (behind the final norm), each [tokens, width]\n"
        "F32; of encoders also `last_hidden` and, where there is one, `pooler` [width].\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) status = hidden(model, &o);
    cli_prompt_free(&o.prompt);
    return status;
}
