/* train_curve.c - the curve of a training run as CSV and SVG. */
#include "train_curve.h"

#include "draw.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char title[] = "step,loss,grad_norm,learning_rate,tokens_per_second,held_out_loss\n";

/* ---- Points ---- */

train_point *train_curve_add(train_curve *curve, uint64_t step) {
    if (curve->count == curve->room) {
        size_t room = curve->room ? curve->room * 2 : 256;
        train_point *points = realloc(curve->points, room * sizeof *points);
        if (!points) return NULL;
        curve->points = points;
        curve->room = room;
    }
    curve->points[curve->count] = (train_point){step, NAN, NAN, NAN, NAN, NAN};
    return &curve->points[curve->count++];
}

/* One line of the file, from *at to behind its end; 0 if it is none. */
static int read_line(const char **at, train_point *point) {
    double *const values[] = {&point->loss, &point->norm, &point->rate, &point->speed, &point->held_out};
    char *next;
    point->step = strtoull(*at, &next, 10);
    if (next == *at) return 0;
    for (size_t i = 0; i < ARG_COUNT(values); i++) {
        if (*next++ != ',') return 0;
        const char *begin = next;
        *values[i] = NAN;
        if (*begin != ',' && *begin != '\n') *values[i] = strtod(begin, &next);
    }
    if (*next != '\n') return 0;
    *at = next + 1;
    return 1;
}

/* The points of an earlier run, as far as they come before step `start`. */
static int read_points(train_curve *curve, const char *command, uint64_t start) {
    FILE *there = fopen(curve->csv, "rb");
    char *text = NULL;
    size_t size, number = 1;
    if (!there) return CLI_OK; /* the run had no curve, or none is kept */
    fclose(there);
    int status = cli_read_file(command, curve->csv, &text, &size);
    const char *at = text;
    if (!status && strncmp(text, title, sizeof title - 1) != 0)
        status = cli_error(command, "%s: this is no loss curve, it would be overwritten", curve->csv);
    if (!status) at += sizeof title - 1;
    while (!status && *at) {
        train_point read;
        number++;
        if (!read_line(&at, &read)) {
            status = cli_error(command, "%s: line %zu is not one of a loss curve", curve->csv, number);
        } else if (read.step < start) {
            train_point *point = train_curve_add(curve, read.step);
            if (point)
                *point = read;
            else
                status = cli_error(command, "out of memory");
        }
    }
    free(text);
    return status;
}

static int can_write(const char *command, const char *path) {
    cli_output output;
    if (cli_output_open(&output, path)) return cli_error(command, "%s: %s", path, strerror(errno));
    (void)cli_output_close(&output, 0);
    return CLI_OK;
}

int train_curve_open(train_curve *curve, const char *command, const char *path, uint64_t start,
                     int must_work) {
    size_t length = strlen(path);
    memset(curve, 0, sizeof *curve);
    if (length > 4 && (strcmp(path + length - 4, ".csv") == 0 || strcmp(path + length - 4, ".svg") == 0))
        length -= 4;
    curve->csv = malloc(length + 5);
    curve->svg = malloc(length + 5);
    if (!curve->csv || !curve->svg) return cli_error(command, "out of memory");
    memcpy(curve->csv, path, length);
    memcpy(curve->svg, path, length);
    memcpy(curve->csv + length, ".csv", 5);
    memcpy(curve->svg + length, ".svg", 5);
    int status = start ? read_points(curve, command, start) : CLI_OK;
    if (!status && must_work) status = can_write(command, curve->csv);
    return !status && must_work ? can_write(command, curve->svg) : status;
}

void train_curve_close(train_curve *curve) {
    free(curve->points);
    free(curve->csv);
    free(curve->svg);
    memset(curve, 0, sizeof *curve);
}

/* ---- CSV ---- */

static void put_value(FILE *out, double value, const char *behind) {
    if (isfinite(value)) fprintf(out, "%.9g", value);
    fputs(behind, out);
}

static void write_csv(FILE *out, const train_curve *curve) {
    fputs(title, out);
    for (size_t i = 0; i < curve->count; i++) {
        const train_point *p = &curve->points[i];
        fprintf(out, "%" PRIu64 ",", p->step);
        put_value(out, p->loss, ",");
        put_value(out, p->norm, ",");
        put_value(out, p->rate, ",");
        put_value(out, p->speed, ",");
        put_value(out, p->held_out, "\n");
    }
}

/* ---- SVG ---- */

#define WIDTH 840.0
#define HEIGHT 420.0
#define LEFT 64.0
#define RIGHT 16.0
#define TOP 40.0
#define BOTTOM 48.0
#define MOST_DOTS 1000 /* of a line: more are joined, and their mean is drawn */

typedef struct frame {
    double first, last, low, high; /* steps and losses at the edges */
} frame;

static double place_x(const frame *f, double step) {
    return LEFT + (step - f->first) / (f->last - f->first) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const frame *f, double loss) {
    return HEIGHT - BOTTOM - (loss - f->low) / (f->high - f->low) * (HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten: about `count` of them in `range`. */
static double tick_of(double range, double count) {
    double power = pow(10, floor(log10(range / count))), part = range / count / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static double value_of(const train_point *p, int held_out) { return held_out ? p->held_out : p->loss; }

static frame frame_of(const train_curve *curve) {
    frame f = {0, 1, INFINITY, -INFINITY};
    for (size_t i = 0; i < curve->count; i++)
        for (int held = 0; held < 2; held++) {
            double value = value_of(&curve->points[i], held);
            if (!isfinite(value)) continue;
            f.low = fmin(f.low, value);
            f.high = fmax(f.high, value);
        }
    if (curve->count) f.first = (double)curve->points[0].step;
    f.last = curve->count ? fmax((double)curve->points[curve->count - 1].step, f.first + 1) : 1;
    if (!(f.low <= f.high)) f.low = 0, f.high = 1;
    double room = fmax(fmax((f.high - f.low) * 0.04, f.high * 1e-6), 1e-3);
    f.low = fmax(f.low - room, 0);
    f.high += room;
    return f;
}

static void draw_axes(FILE *out, const frame *f) {
    char label[40];
    double tick = tick_of(f->high - f->low, 6);
    for (double at = ceil(f->low / tick) * tick; at <= f->high; at += tick) {
        double y = place_y(f, at);
        fprintf(out, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#e4e4e4\"/>\n", LEFT, y, WIDTH - RIGHT);
        snprintf(label, sizeof label, "%.4g", at);
        draw_svg_text(out, LEFT - 8, y + 4, 12, "end", 0, "#555555", label);
    }
    tick = fmax(tick_of(f->last - f->first, 8), 1);
    for (double at = ceil(f->first / tick) * tick; at <= f->last; at += tick) {
        fprintf(out, "<path d=\"M%.1f %.1fv5\" stroke=\"#555555\"/>\n", place_x(f, at), HEIGHT - BOTTOM);
        snprintf(label, sizeof label, "%.0f", at);
        draw_svg_text(out, place_x(f, at), HEIGHT - BOTTOM + 20, 12, "middle", 0, "#555555", label);
    }
    fprintf(out, "<path d=\"M%.1f %.1fV%.1fH%.1f\" fill=\"none\" stroke=\"#555555\"/>\n", LEFT, TOP,
            HEIGHT - BOTTOM, WIDTH - RIGHT);
    draw_svg_text(out, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, 13, "middle", 0, "#222222", "step");
    draw_svg_text(out, 18, (TOP + HEIGHT - BOTTOM) / 2, 13, "middle", -90, "#222222", "loss");
}

/* Points one by one, or means of neighbours. smooth: of the running mean that is kept at each point. */
static void draw_line(FILE *out, const train_curve *curve, const frame *f, int held_out, double smooth,
                      const char *style) {
    size_t each = held_out ? 1 : (curve->count + MOST_DOTS - 1) / MOST_DOTS, joined = 0, drawn = 0;
    double mean = NAN, sum = 0, step = 0;
    fprintf(out, "<path fill=\"none\" %s d=\"", style);
    for (size_t i = 0; i < curve->count; i++) {
        double value = value_of(&curve->points[i], held_out);
        if (isfinite(value)) {
            mean = isfinite(mean) ? smooth * mean + (1 - smooth) * value : value;
            sum += mean;
            step += (double)curve->points[i].step;
            joined++;
        }
        if (joined == 0 || (joined < each && i + 1 < curve->count)) continue;
        fprintf(out, "%c%.1f %.1f", drawn++ ? 'L' : 'M', place_x(f, step / (double)joined),
                place_y(f, sum / (double)joined));
        sum = step = 0;
        joined = 0;
    }
    fputs("\"/>\n", out);
}

static void draw_held_out(FILE *out, const train_curve *curve, const frame *f) {
    int any = 0;
    for (size_t i = 0; i < curve->count; i++) {
        const train_point *p = &curve->points[i];
        if (!isfinite(p->held_out)) continue;
        any = 1;
        fprintf(out,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"#c0392b\"><title>step %" PRIu64
                ": %.4f</title></circle>\n",
                place_x(f, (double)p->step), place_y(f, p->held_out), p->step, p->held_out);
    }
    if (!any) return;
    draw_line(out, curve, f, 1, 0, "stroke=\"#c0392b\" stroke-width=\"1.5\"");
    draw_svg_text(out, WIDTH - RIGHT - 8, TOP + 32, 13, "end", 0, "#c0392b", "held-out text");
}

static void write_svg(FILE *out, const train_curve *curve) {
    frame f = frame_of(curve);
    double smooth = 1 - 1 / fmax(1, (double)curve->count / 50);
    draw_svg_begin(out, WIDTH, HEIGHT, "Loss by step");
    draw_axes(out, &f);
    draw_line(out, curve, &f, 0, 0, "stroke=\"#1f6fb2\" stroke-opacity=\"0.3\"");
    draw_line(out, curve, &f, 0, smooth, "stroke=\"#1f6fb2\" stroke-width=\"2\"");
    draw_svg_text(out, WIDTH - RIGHT - 8, TOP + 14, 13, "end", 0, "#1f6fb2", "training");
    draw_held_out(out, curve, &f);
    draw_svg_end(out);
}

int train_curve_write(const train_curve *curve, const char *command) {
    for (int svg = 0; svg < 2; svg++) {
        const char *path = svg ? curve->svg : curve->csv;
        cli_output output;
        if (cli_output_open(&output, path)) return cli_error(command, "%s: %s", path, strerror(errno));
        (svg ? write_svg : write_csv)(output.file, curve);
        if (cli_output_close(&output, 1)) return cli_error(command, "%s: %s", path, strerror(errno));
    }
    return CLI_OK;
}
