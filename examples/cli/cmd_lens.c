/* cmd_lens.c - `tfm lens`: what each layer would say next, if the model ended there (the logit lens: final
 * norm and output matrix on the stream after every layer). */
#include "cli.h"
#include "draw.h"
#include "json_out.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_POSITIONS 24 /* of the picture: the last ones */
#define INK "#1f2328"
#define FAINT "#57606a"

typedef struct lens_options {
    cli_open_options open;
    cli_prompt prompt;
    arg_u64 rows;
    const char *svg;
    int json, color;
} lens_options;

typedef struct guess {
    int32_t id;
    double probability;
} guess;

/* Guesses of the last `positions` tokens. */
typedef struct lens {
    size_t tokens, first, positions, k;
    int layers;
    guess *guesses; /* [layers, positions, k], most probable first */
} lens;

static guess *guesses_at(const lens *l, int layer, size_t position) {
    return l->guesses + ((size_t)layer * l->positions + position) * l->k;
}

/* The k largest of a row and their probabilities over all of it. */
static void best_of(const float *logits, size_t vocab, guess *best, size_t k) {
    size_t held = 0;
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < vocab; i++)
        if (logits[i] > most) most = logits[i];
    for (size_t i = 0; i < vocab; i++) {
        double weight = exp((double)logits[i] - most);
        sum += weight;
        if (held == k && !(weight > best[k - 1].probability)) continue;
        size_t at = held < k ? held++ : k - 1;
        for (; at > 0 && weight > best[at - 1].probability; at--) best[at] = best[at - 1];
        best[at] = (guess){(int32_t)i, weight};
    }
    for (size_t i = 0; i < held; i++) best[i].probability /= sum;
}

static int32_t take(void *user, const tfm_inspect_event *event) {
    lens *l = user;
    for (size_t r = 0; r < event->rows; r++)
        if (event->position + r >= l->first)
            best_of(event->values + r * event->stride, event->columns,
                    guesses_at(l, event->layer, event->position + r - l->first), l->k);
    return 0;
}

/* Everything but the positions that are shown is read without an inspector. */
static int compute(cli_host *host, lens *l, const cli_prompt *prompt) {
    tfm_forward_options forward = TFM_FORWARD_OPTIONS_INIT;
    tfm_inspect_options where = TFM_INSPECT_OPTIONS_INIT;
    forward.logits = TFM_LOGITS_NONE;
    forward.cancel = host->cancel;
    forward.progress = cli_progress_report;
    forward.progress_user = &host->progress;
    cli_progress_label(&host->progress, "reading the prompt");
    if (l->first && tfm_forward(host->session, prompt->tokens, l->first, &forward, &host->error))
        return cli_fail(host);
    where.site = TFM_SITE_LAYER_LOGITS;
    if (tfm_inspect(host->session, &where, take, l, NULL, &host->error) ||
        tfm_forward(host->session, prompt->tokens + l->first, l->positions, &forward, &host->error))
        return cli_fail(host);
    cli_progress_clear(&host->progress);
    return CLI_OK;
}

/* ---- Output ---- */

static draw_label label_of(cli_host *host, int32_t id, int columns) {
    char number[24];
    cli_piece piece = cli_piece_of(host, id);
    if (piece.length) return draw_label_of(piece.bytes, piece.length, columns);
    snprintf(number, sizeof number, "#%" PRId32, id); /* no text of its own */
    return draw_label_of(number, strlen(number), columns);
}

static void print_json(cli_host *host, const lens *l, const int32_t *tokens) {
    printf("{\"tokens\":[");
    for (size_t i = 0; i < l->tokens; i++) {
        cli_piece piece = cli_piece_of(host, tokens[i]);
        printf("%s{\"id\":%" PRId32 ",\"text\":", i ? "," : "", tokens[i]);
        json_string(stdout, piece.bytes, piece.length);
        putchar('}');
    }
    printf("],\"layers\":[");
    for (int layer = 0; layer < l->layers; layer++) {
        const guess *g = guesses_at(l, layer, l->positions - 1);
        printf("%s{\"layer\":%d,\"candidates\":[", layer ? "," : "", layer);
        for (size_t i = 0; i < l->k; i++) {
            cli_piece piece = cli_piece_of(host, g[i].id);
            printf("%s{\"id\":%" PRId32 ",\"text\":", i ? "," : "", g[i].id);
            json_string(stdout, piece.bytes, piece.length);
            printf(",\"probability\":");
            json_number(stdout, g[i].probability);
            putchar('}');
        }
        printf("]}");
    }
    printf("]}\n");
}

static void print_table(cli_host *host, const lens *l, int color) {
    printf("%5s  most probable next tokens, in percent\n", "layer");
    for (int layer = 0; layer < l->layers; layer++) {
        const guess *g = guesses_at(l, layer, l->positions - 1);
        printf("%5d ", layer);
        for (size_t i = 0; i < l->k; i++) {
            draw_label label = label_of(host, g[i].id, 10);
            putchar(' ');
            if (color) draw_color(stdout, g[i].probability);
            printf(" %5.1f ", 100 * g[i].probability);
            draw_text(stdout, &label, 10, 0);
            if (color) draw_plain(stdout);
        }
        putchar('\n');
    }
}

/* A column for each position, a row for each layer, the last one above; what came next is below. */
static void draw(cli_host *host, const lens *l, const int32_t *tokens, FILE *out, const char *name) {
    double wide = 74, high = 30, left = 64, top = 96, width = left + wide * (double)l->positions + 24;
    double bottom = top + high * l->layers;
    char title[300], text[3 * DRAW_LABEL];
    if (width < 560) width = 560;
    snprintf(title, sizeof title, "%s: what each layer would say next", name);
    draw_svg_begin(out, width, bottom + 60, title);
    draw_svg_text(out, 16, 30, 17, "start", 0, INK, title);
    draw_svg_text(
        out, 16, 48, 11.5, "start", 0, FAINT,
        "a column for each token read; the likeliest next token after each layer, darker when surer");
    for (size_t p = 0; p < l->positions; p++) {
        draw_label read = label_of(host, tokens[l->first + p], 9);
        double middle = left + wide * ((double)p + 0.5);
        draw_svg_text(out, middle, top - 12, 14, "middle", 0, INK, read.text);
        for (int layer = 0; layer < l->layers; layer++) {
            const guess *g = guesses_at(l, layer, p);
            draw_label label = label_of(host, g->id, 9);
            double y = bottom - high * (layer + 1);
            snprintf(text, sizeof text, "after %s, layer %d: %s, %.3f", read.text, layer, label.text,
                     g->probability);
            draw_svg_cell(out, left + wide * (double)p, y, wide - 2, high - 2, g->probability, text);
            draw_svg_text(out, middle - 1, y + high / 2 + 4, 13, "middle", 0,
                          draw_is_dark(g->probability) ? "#ffffff" : INK, label.text);
        }
    }
    for (int layer = 0; layer < l->layers; layer++) {
        snprintf(text, sizeof text, "layer %d", layer);
        draw_svg_text(out, left - 8, bottom - high * (layer + 0.5) + 3, 11, "end", 0, FAINT, text);
    }
    draw_svg_scale(out, left + 14, bottom + 26);
    draw_svg_end(out);
}

static int write_svg(cli_host *host, const lens *l, const lens_options *options) {
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    cli_output output;
    if (tfm_model_get_info(host->model, &info, &host->error)) return cli_fail(host);
    if (cli_output_open(&output, options->svg))
        return cli_error(host->command, "%s: %s", options->svg, strerror(errno));
    draw(host, l, options->prompt.tokens, output.file, info.name[0] ? info.name : info.family);
    if (cli_output_close(&output, 1))
        return cli_error(host->command, "%s: %s", options->svg, strerror(errno));
    return CLI_OK;
}

/* ---- The command ---- */

static int look(cli_host *host, const lens_options *options) {
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    lens l = {.tokens = options->prompt.count};
    if (l.tokens == 0) return cli_error(host->command, "the text is empty");
    if (tfm_model_get_info(host->model, &info, &host->error)) return cli_fail(host);
    l.layers = info.layers;
    l.positions = !options->svg ? 1 : l.tokens < MOST_POSITIONS ? l.tokens : MOST_POSITIONS;
    l.first = l.tokens - l.positions;
    l.k = options->rows.value < (uint64_t)info.vocab_size ? (size_t)options->rows.value
                                                          : (size_t)info.vocab_size;
    l.guesses = calloc((size_t)l.layers * l.positions * l.k, sizeof *l.guesses);
    if (!l.guesses) return cli_error(host->command, "out of memory");
    int status = compute(host, &l, &options->prompt);
    if (!status && options->svg) status = write_svg(host, &l, options);
    if (!status && options->json)
        print_json(host, &l, options->prompt.tokens);
    else if (!status && !options->svg)
        print_table(host, &l, options->color || cli_wants_color(stdout));
    free(l.guesses);
    return status;
}

static int lens_of(const char *model, lens_options *options) {
    cli_host host;
    int status = cli_open_on_prompt(&host, "lens", model, &options->open, &options->prompt, 0);
    if (!status) status = cli_open_session(&host, &options->open);
    if (!status) status = look(&host, options);
    return cli_close(&host, status);
}

int cmd_lens(int argc, char **argv) {
    lens_options o;
    memset(&o, 0, sizeof o);
    o.rows.value = 5;
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_FILE(&o.prompt),
        CLI_OPTION_TOKENS(&o.prompt),
        {'k', "rows", ARG_U64, &o.rows, "K", "how many tokens for each layer, 1 to 100 (default 5)", 1, 100,
         NULL},
        {0, "svg", ARG_TEXT, &o.svg, "FILE", "draw a picture instead: layers by positions (the last 24)", 0,
         0, NULL},
        CLI_OPTION_SPECIAL(&o.prompt),
        {0, "color", ARG_FLAG, &o.color, NULL, "colours also into a pipe", 0, 0, NULL},
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        CLI_OPTION_KV(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {"lens", "MODEL",
                                 "Shows which token each layer would say next, if the model ended there.\n",
                                 options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) status = lens_of(model, &o);
    cli_prompt_free(&o.prompt);
    return status;
}
