/* cmd_imatrix.c - `tfm imatrix`: measures an importance matrix on a text, for `tfm quantize --imatrix`. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct imatrix_options {
    cli_open_options open;
    cli_prompt prompt;
    const char *out;
    int format; /* TFM_IMATRIX_*: the place in format_names, behind "by name" */
    int no_bos;
} imatrix_options;

static const char *const format_names[] = {"by name", "gguf", "dat", NULL};

static int32_t format_of(const imatrix_options *options) {
    size_t length = strlen(options->out);
    if (options->format) return options->format - 1;
    return length > 4 && strcmp(options->out + length - 4, ".dat") == 0 ? TFM_IMATRIX_DAT : TFM_IMATRIX_GGUF;
}

static int measure(cli_host *host, const imatrix_options *options) {
    tfm_imatrix_options how = TFM_IMATRIX_OPTIONS_INIT;
    how.context = (uint32_t)options->open.context.value;
    how.format = format_of(options);
    how.add_bos = options->no_bos ? TFM_NO : TFM_DEFAULT;
    how.dataset = options->prompt.file;
    how.progress = cli_progress_report;
    how.progress_user = &host->progress;
    how.cancel = host->cancel;
    cli_progress_label(&host->progress, "measuring");
    if (tfm_imatrix_measure(host->model, options->prompt.tokens, options->prompt.count, options->out, &how,
                            &host->error))
        return cli_fail(host);
    cli_progress_clear(&host->progress);
    return CLI_OK;
}

static int imatrix(const char *model, imatrix_options *options) {
    cli_host host;
    if (!options->out) return args_usage("imatrix", "-o is missing");
    int status = cli_open_on_prompt(&host, "imatrix", model, &options->open, &options->prompt, 1);
    if (!status && options->prompt.count == 0) status = cli_error("imatrix", "the text is empty");
    if (!status) status = measure(&host, options);
    return cli_close(&host, status);
}

int cmd_imatrix(int argc, char **argv) {
    imatrix_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        CLI_OPTION_FILE(&o.prompt),
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_TOKENS(&o.prompt),
        {'o', "output", ARG_TEXT, &o.out, "FILE", "the file to write", 0, 0, NULL},
        {0, "format", ARG_CHOICE, &o.format, "NAME",
         "gguf, or dat for llama.cpp's older form (default: dat for *.dat)", 0, 0, format_names},
        {0, "context", ARG_U64, &o.open.context, "N", "tokens of a window, 2 or more (default 512)", 2,
         4294967295.0, NULL},
        {0, "no-bos", ARG_FLAG, &o.no_bos, NULL, "windows do not begin with the token that begins texts", 0,
         0, NULL},
        CLI_OPTION_SPECIAL(&o.prompt),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
    };
    const arg_command command = {"imatrix", "MODEL",
                                 "Measures on a text how much each column of the weights matters, for\n"
                                 "`tfm quantize --imatrix`.\n",
                                 options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) status = imatrix(model, &o);
    cli_prompt_free(&o.prompt);
    return status;
}
