/* cmd_positions.c - `tfm positions`: how a model knows where a token stands: the rows that it adds (learned,
 * or sines and cosines), or the angles by which it turns queries and keys. */
#include "draw.h"
#include "json_out.h"
#include "seen.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TURN 6.283185307179586
#define CELL 6.0

typedef struct positions_options {
    cli_open_options open;
    arg_u64 most, layer;
    const char *svg;
    int json;
} positions_options;

/* Rows of what is added, or one row of angles. */
typedef struct places {
    int turned;
    size_t rows, columns, shown; /* shown: positions */
    float *values;               /* [shown, columns], or [1, columns] radians per position */
} places;

/* What a picture shows at a position and column: the number added, or the cosine of the angle. */
static double shown_at(const places *p, size_t position, size_t column) {
    if (p->turned) return cos((double)position * (double)p->values[column]);
    return (double)p->values[position * p->columns + column];
}

static void print_turned(const places *p, const positions_options *o) {
    printf("rotary positions, layer %" PRIu64 ": %zu pairs of each query and key turn with the position\n\n"
           "pair  radians per position  positions for a turn\n",
           o->layer.value, p->columns);
    for (size_t i = 0; i < p->columns; i++) {
        double angle = (double)p->values[i];
        printf("%4zu  %20.10f  ", i, angle);
        if (angle != 0)
            printf("%20.3f\n", TURN / angle);
        else
            printf("%20s\n", "never");
    }
}

static void print_added(const places *p) {
    printf("%zu positions, a row of %zu numbers for each, which is added to the token's\n\n"
           "position    length  cosine to 0  numbers\n",
           p->rows, p->columns);
    for (size_t i = 0; i < p->shown; i++) {
        const float *row = p->values + i * p->columns;
        double length = 0;
        for (size_t c = 0; c < p->columns; c++) length += (double)row[c] * row[c];
        printf("%8zu  %8.4f  %11.4f ", i, sqrt(length), seen_cosine(p->values, row, p->columns));
        for (size_t c = 0; c < p->columns && c < 6; c++) printf(" %7.4f", (double)row[c]);
        printf("%s\n", p->columns > 6 ? " ..." : "");
    }
}

static void print_json(const places *p, const positions_options *o) {
    printf("{\"kind\":\"%s\",\"positions\":%zu,", p->turned ? "rotary" : "added", p->rows);
    if (p->turned) printf("\"layer\":%" PRIu64 ",", o->layer.value);
    printf(p->turned ? "\"frequencies\":[" : "\"rows\":[");
    for (size_t i = 0; i < (p->turned ? 1 : p->shown); i++) {
        if (!p->turned) printf(i ? ",[" : "[");
        for (size_t c = 0; c < p->columns; c++) {
            if (c) putchar(',');
            json_number(stdout, (double)p->values[i * p->columns + c]);
        }
        if (!p->turned) putchar(']');
    }
    if (p->turned) {
        printf("],\"wavelengths\":[");
        for (size_t c = 0; c < p->columns; c++) {
            if (c) putchar(',');
            json_number(stdout, p->values[c] != 0.0f ? TURN / (double)p->values[c] : INFINITY);
        }
    }
    printf("]}\n");
}

static int write_svg(cli_host *host, const places *p, const char *path) {
    cli_output output;
    double most = 0;
    char text[96];
    if (cli_output_open(&output, path)) return cli_error(host->command, "%s: %s", path, strerror(errno));
    for (size_t i = 0; i < p->shown; i++)
        for (size_t c = 0; c < p->columns; c++) most = fmax(most, fabs(shown_at(p, i, c)));
    if (most == 0) most = 1;
    draw_svg_begin(output.file, 60 + CELL * (double)p->columns, 60 + CELL * (double)p->shown, "positions");
    draw_svg_text(output.file, 10, 20, 12, "start", 0, "#1f2328",
                  p->turned ? "cosine of each pair's angle, by position" : "what is added, by position");
    for (size_t i = 0; i < p->shown; i++) {
        if (i % 8 == 0) {
            snprintf(text, sizeof text, "%zu", i);
            draw_svg_text(output.file, 34, 40 + CELL * (double)(i + 1), 9, "end", 0, "#57606a", text);
        }
        for (size_t c = 0; c < p->columns; c++) {
            double value = shown_at(p, i, c);
            snprintf(text, sizeof text, "position %zu, %s %zu: %.4f", i, p->turned ? "pair" : "number", c,
                     value);
            draw_svg_cell(output.file, 40 + CELL * (double)c, 40 + CELL * (double)i, CELL, CELL,
                          (value / most + 1) / 2, text);
        }
    }
    draw_svg_end(output.file);
    if (cli_output_close(&output, 1)) return cli_error(host->command, "%s: %s", path, strerror(errno));
    return CLI_OK;
}

static int read_places(cli_host *host, const positions_options *o, places *p, const tfm_model_info *info) {
    int32_t matrix = TFM_MATRIX_POSITIONS;
    if (tfm_model_matrix(host->model, matrix, 0, 0, NULL, &p->rows, &p->columns, NULL)) {
        matrix = TFM_MATRIX_ROTATION;
        p->turned = 1;
        if (tfm_model_matrix(host->model, matrix, 0, 0, NULL, NULL, &p->columns, NULL))
            return cli_error(host->command,
                             "%s has neither rows for positions nor rotary ones: its scores are "
                             "biased by distance",
                             info->family);
        p->rows = (size_t)info->context;
        int status = cli_check_layer(host, o->layer.value, info);
        if (status) return status;
    }
    p->shown = (size_t)o->most.value < p->rows ? (size_t)o->most.value : p->rows;
    p->values = malloc((p->turned ? 1 : p->shown) * p->columns * sizeof *p->values);
    if (!p->values) return cli_error(host->command, "out of memory");
    if (tfm_model_matrix(host->model, matrix, p->turned ? (size_t)o->layer.value : 0,
                         p->turned ? 1 : p->shown, p->values, NULL, NULL, &host->error))
        return cli_fail(host);
    return CLI_OK;
}

static int positions(const char *model, const positions_options *o) {
    cli_host host;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    places p = {0};
    memset(&host, 0, sizeof host);
    int status = cli_open(&host, "positions");
    if (!status) status = cli_open_model(&host, model, &o->open);
    if (!status && tfm_model_get_info(host.model, &info, &host.error)) status = cli_fail(&host);
    if (!status) status = read_places(&host, o, &p, &info);
    if (!status && o->svg) status = write_svg(&host, &p, o->svg);
    if (!status && o->json) print_json(&p, o);
    if (!status && !o->json && !o->svg) {
        if (p.turned)
            print_turned(&p, o);
        else
            print_added(&p);
    }
    free(p.values);
    return cli_close(&host, status);
}

int cmd_positions(int argc, char **argv) {
    positions_options o;
    memset(&o, 0, sizeof o);
    o.most.value = 64;
    const arg_option options[] = {
        {'n', "most", ARG_U64, &o.most, "N", "positions that are shown (default 64)", 1, 65536, NULL},
        {'l', "layer", ARG_U64, &o.layer, "L", "whose angles, from 0 (default 0); rotary models", 0,
         2147483647.0, NULL},
        {0, "svg", ARG_TEXT, &o.svg, "FILE", "draw a picture instead", 0, 0, NULL},
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {
        "positions", "MODEL",
        "Shows how a model knows where a token stands: the rows that are added to the\n"
        "embedding, or the angles by which a position turns queries and keys.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    return status == ARGS_GO ? positions(model, &o) : status;
}
