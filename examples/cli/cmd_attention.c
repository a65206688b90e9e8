/* cmd_attention.c - `tfm attention`: where each token of a text looks, for one head or for all of them, as
 * colours in the terminal, as SVG, or as JSON; or which heads look from one token at another. */
#include "cli.h"
#include "heads_rank.h"
#include "json_out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct attention_options {
    cli_open_options open;
    cli_prompt prompt;
    arg_u64 layer, head;
    const char *svg, *from, *to;
    int json, color;
} attention_options;

/* One head's rows of one batch go to their place. */
static int32_t take(void *user, const tfm_inspect_event *event) {
    heads *h = user;
    float *to = h->weights +
                ((size_t)(event->layer - h->layer0) * (size_t)h->heads + (size_t)(event->head - h->head0)) *
                    h->tokens * h->tokens;
    for (size_t r = 0; r < event->rows; r++)
        memcpy(to + (event->position + r) * h->tokens, event->values + r * event->stride,
               event->columns * sizeof *to);
    return 0;
}

static int run_decoder(cli_host *host, heads *h, const attention_options *options,
                       const tfm_inspect_options *where) {
    tfm_forward_options forward = TFM_FORWARD_OPTIONS_INIT;
    int status = cli_open_session(host, &options->open);
    if (status) return status;
    forward.logits = TFM_LOGITS_NONE;
    forward.cancel = host->cancel;
    forward.progress = cli_progress_report;
    forward.progress_user = &host->progress;
    if (tfm_inspect(host->session, where, take, h, NULL, &host->error) ||
        tfm_forward(host->session, options->prompt.tokens, h->tokens, &forward, &host->error))
        return cli_fail(host);
    return CLI_OK;
}

static int run_encoder(cli_host *host, heads *h, const attention_options *options,
                       const tfm_inspect_options *where) {
    const tfm_encode_row row = {options->prompt.tokens, h->tokens, NULL};
    const tfm_encode_inspector inspector = {where, take, h};
    tfm_encode_options encode = TFM_ENCODE_OPTIONS_INIT;
    tfm_encoded *encoded = NULL;
    encode.cancel = host->cancel;
    encode.progress = cli_progress_report;
    encode.progress_user = &host->progress;
    encode.inspectors = &inspector;
    encode.inspector_count = 1;
    if (tfm_encode(host->model, &row, 1, &encode, &encoded, &host->error)) return cli_fail(host);
    tfm_encoded_release(encoded);
    return CLI_OK;
}

static int compute(cli_host *host, heads *h, const attention_options *options, int32_t kind) {
    tfm_inspect_options where = TFM_INSPECT_OPTIONS_INIT;
    size_t cells = h->tokens * h->tokens, count = (size_t)h->layers * (size_t)h->heads;
    if (h->tokens > 65535 || cells > SIZE_MAX / 8 / count)
        return cli_error(host->command, "%zu tokens are too many to show", h->tokens);
    h->weights = calloc(cells * count, sizeof *h->weights);
    if (!h->weights) return cli_error(host->command, "out of memory");
    where.site = TFM_SITE_ATTENTION;
    if (options->layer.given) where.layer = (int32_t)options->layer.value;
    if (options->head.given) where.head = (int32_t)options->head.value;
    cli_progress_label(&host->progress, "computing");
    int status = (kind == TFM_KIND_ENCODER ? run_encoder : run_decoder)(host, h, options, &where);
    if (!status) cli_progress_clear(&host->progress);
    return status;
}

/* ---- Output ---- */

static void print_json_head(const heads *h, int layer, int head) {
    const float *w = heads_at(h, layer, head);
    printf("{\"layer\":%d,\"head\":%d,\"weights\":[", h->layer0 + layer, h->head0 + head);
    for (size_t q = 0; q < h->tokens; q++) {
        printf("%s[", q ? "," : "");
        for (size_t k = 0; k < h->tokens; k++) {
            if (k) putchar(',');
            json_number(stdout, w[q * h->tokens + k]);
        }
        putchar(']');
    }
    printf("]}");
}

static void print_json(const heads *h, const attention_options *options, const cli_piece *pieces) {
    printf("{\"tokens\":[");
    for (size_t i = 0; i < h->tokens; i++) {
        printf("%s{\"id\":%" PRId32 ",\"text\":", i ? "," : "", options->prompt.tokens[i]);
        json_string(stdout, pieces[i].bytes, pieces[i].length);
        putchar('}');
    }
    printf("],\"attention\":[");
    for (int layer = 0; layer < h->layers; layer++)
        for (int head = 0; head < h->heads; head++) {
            if (layer || head) putchar(',');
            print_json_head(h, layer, head);
        }
    printf("]}\n");
}

static int write_svg(cli_host *host, const heads *h, const char *path, const char *name) {
    cli_output output;
    if (cli_output_open(&output, path)) return cli_error(host->command, "%s: %s", path, strerror(errno));
    heads_svg(h, output.file, name);
    if (cli_output_close(&output, 1)) return cli_error(host->command, "%s: %s", path, strerror(errno));
    return CLI_OK;
}

static int show(cli_host *host, const heads *h, const attention_options *options, const tfm_model_info *info,
                const cli_piece *pieces) {
    int one = h->layers == 1 && h->heads == 1, color = options->color || cli_wants_color(stdout);
    const char *name = info->name[0] ? info->name : info->family;
    if (options->svg) {
        int status = write_svg(host, h, options->svg, name);
        if (status) return status;
    }
    if (options->json)
        print_json(h, options, pieces);
    else if (!options->svg)
        (one ? heads_print_one : heads_print_grid)(h, color, cli_columns());
    return CLI_OK;
}

/* ---- The command ---- */

/* Which layers and heads, checked against the model. */
static int choose(cli_host *host, heads *h, const attention_options *options, tfm_model_info *info) {
    if (tfm_model_get_info(host->model, info, &host->error)) return cli_fail(host);
    int status = options->layer.given ? cli_check_layer(host, options->layer.value, info) : CLI_OK;
    if (!status && options->head.given) status = cli_check_head(host, options->head.value, info);
    if (status) return status;
    h->layer0 = (int)options->layer.value;
    h->layers = options->layer.given ? 1 : info->layers;
    h->head0 = (int)options->head.value;
    h->heads = options->head.given ? 1 : info->heads;
    h->tokens = options->prompt.count;
    h->both = info->kind == TFM_KIND_ENCODER;
    if (h->tokens == 0) return cli_error(host->command, "the text is empty");
    return CLI_OK;
}

static int look(cli_host *host, const attention_options *options) {
    heads h = {0};
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    cli_piece *pieces = NULL;
    draw_label *labels = NULL;
    int status = choose(host, &h, options, &info);
    if (!status) status = cli_pieces(host, &options->prompt, &pieces);
    if (!status) {
        labels = calloc(h.tokens, sizeof *labels);
        if (!labels) status = cli_error(host->command, "out of memory");
        for (size_t i = 0; i < h.tokens && labels; i++)
            labels[i] = draw_label_of(pieces[i].bytes, pieces[i].length, 16);
        h.labels = labels;
    }
    size_t from = 0, to = 0;
    if (!status && options->from) status = heads_find(host, "--from", options->from, pieces, h.tokens, &from);
    if (!status && options->to) status = heads_find(host, "--to", options->to, pieces, h.tokens, &to);
    if (!status) status = compute(host, &h, options, info.kind);
    if (!status)
        status = options->from ? heads_rank(host, &h, options->prompt.tokens, pieces, from, to, options->json)
                               : show(host, &h, options, &info, pieces);
    free(h.weights);
    free(labels);
    free(pieces);
    return status;
}

static int attention(const char *model, attention_options *options) {
    cli_host host;
    int status = cli_open_on_prompt(&host, "attention", model, &options->open, &options->prompt, 0);
    if (!status) status = look(&host, options);
    return cli_close(&host, status);
}

int cmd_attention(int argc, char **argv) {
    attention_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_FILE(&o.prompt),
        CLI_OPTION_TOKENS(&o.prompt),
        {'l', "layer", ARG_U64, &o.layer, "L", "one layer, from 0 (default: all)", 0, 2147483647.0, NULL},
        {0, "head", ARG_U64, &o.head, "H", "one head, from 0 (default: all)", 0, 2147483647.0, NULL},
        {0, "from", ARG_TEXT, &o.from, "TOKEN",
         "with --to: ranks the heads by how much this token of the text (#N: the N-th, from 0) ...", 0, 0,
         NULL},
        {0, "to", ARG_TEXT, &o.to, "TOKEN", "... looks at this one", 0, 0, NULL},
        {0, "svg", ARG_TEXT, &o.svg, "FILE", "draw a picture instead", 0, 0, NULL},
        CLI_OPTION_SPECIAL(&o.prompt),
        {0, "color", ARG_FLAG, &o.color, NULL, "colours also into a pipe", 0, 0, NULL},
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        CLI_OPTION_KV(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {
        "attention", "MODEL",
        "Shows where each token of a text looks: one head with --layer and --head,\n"
        "or a square for each head, or with --from and --to the heads that look that way.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) {
        status = CLI_OK;
        if (!o.from != !o.to) status = args_usage("attention", "--from and --to go together");
        if (!status && o.from && (o.svg || o.color))
            status = args_usage("attention", "--from has no picture");
        if (!status) status = attention(model, &o);
    }
    cli_prompt_free(&o.prompt);
    return status;
}
