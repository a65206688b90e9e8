/* cmd_top.c - `tfm top`: how the model sees the future of a text. */
#include "cli.h"
#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct top_options {
    cli_open_options open;
    cli_prompt prompt;
    arg_u64 rows;
    int json;
} top_options;

static void print_json(const tfm_candidate *table, size_t count) {
    putchar('[');
    for (size_t i = 0; i < count; i++) {
        printf("%s{\"id\":%" PRId32 ",\"text\":", i ? "," : "", table[i].token);
        json_string(stdout, table[i].bytes, table[i].length);
        printf(",\"probability\":");
        json_number(stdout, table[i].probability);
        putchar('}');
    }
    printf("]\n");
}

static void print_table(const tfm_candidate *table, size_t count) {
    printf("%8s  %11s  %s\n", "id", "probability", "token");
    for (size_t i = 0; i < count; i++) {
        printf("%8" PRId32 "  %9.4f %%  ", table[i].token, 100 * table[i].probability);
        json_string(stdout, table[i].bytes, table[i].length); /* quoted: spaces and newlines show */
        putchar('\n');
    }
}

static int show(cli_host *host, const top_options *options) {
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    size_t rows = (size_t)options->rows.value, count = 0;
    if (tfm_model_get_info(host->model, &info, &host->error)) return cli_fail(host);
    if (rows > (size_t)info.vocab_size) rows = (size_t)info.vocab_size;
    tfm_candidate *table = calloc(rows + 1, sizeof *table);
    if (!table) return cli_error(host->command, "out of memory");
    int status = CLI_OK;
    if (tfm_top_candidates(host->session, table, rows, &count, &host->error))
        status = cli_fail(host);
    else if (options->json)
        print_json(table, count);
    else
        print_table(table, count);
    free(table);
    return status;
}

static int feed(cli_host *host, const cli_prompt *prompt) {
    tfm_forward_options forward = TFM_FORWARD_OPTIONS_INIT;
    if (prompt->count == 0)
        return cli_error(host->command,
                         "the text is empty, and the model begins texts with no token of its own");
    cli_progress_label(&host->progress, "reading the prompt");
    forward.progress = cli_progress_report;
    forward.progress_user = &host->progress;
    forward.cancel = host->cancel;
    if (tfm_forward(host->session, prompt->tokens, prompt->count, &forward, &host->error))
        return cli_fail(host);
    return CLI_OK;
}

static int top(const char *model, top_options *options) {
    cli_host host;
    int status = cli_open_on_prompt(&host, "top", model, &options->open, &options->prompt, 0);
    if (!status) status = cli_open_session(&host, &options->open);
    if (!status) status = feed(&host, &options->prompt);
    if (!status) status = show(&host, options);
    return cli_close(&host, status);
}

int cmd_top(int argc, char **argv) {
    top_options o;
    memset(&o, 0, sizeof o);
    o.rows.value = 10;
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_FILE(&o.prompt),
        CLI_OPTION_TOKENS(&o.prompt),
        {'k', "rows", ARG_U64, &o.rows, "K", "how many tokens, 1 or more (default 10)", 1, 0, NULL},
        CLI_OPTION_SPECIAL(&o.prompt),
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        CLI_OPTION_KV(&o.open),
        CLI_OPTION_LORA(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "an array of JSON instead of a table", 0, 0, NULL},
    };
    const arg_command command = {"top", "MODEL",
                                 "Shows which tokens the model expects next, most probable first.\n", options,
                                 ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) status = top(model, &o);
    cli_prompt_free(&o.prompt);
    return status;
}
