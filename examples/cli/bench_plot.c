/* bench_plot.c - the curves of `tfm bench` as SVG: speed against context depth, and scaling with sessions. */
#include "bench.h"
#include "draw.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define PANEL_WIDTH 460
#define PANEL_HEIGHT 330
#define LEFT 66
#define RIGHT 24
#define TOP 40
#define BOTTOM 52
#define INK "#24292f"
#define PALE "#57606a"
#define BLUE "#0969da"

typedef struct panel {
    const char *title, *across;
    const bench_curve *curve;
    int ideal; /* also a line of what as many single sessions would do */
} panel;

/* 1, 2 or 5 times a power of ten: the smallest step that needs at most `most` of them. */
static double step_of(double range, int most) {
    double step = pow(10, floor(log10(range / most)));
    static const double times[] = {1, 2, 5, 10};
    for (size_t i = 0; i < ARG_COUNT(times); i++)
        if (range / (step * times[i]) <= most) return step * times[i];
    return step * 10;
}

static size_t measured(const bench_curve *curve) {
    size_t count = 0;
    for (size_t i = 0; i < curve->count; i++) count += curve->points[i].repeats > 0;
    return count;
}

static void line(FILE *out, double x1, double y1, double x2, double y2, const char *color, const char *dash) {
    fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"%s%s%s/>\n", x1, y1, x2,
            y2, color, dash ? " stroke-dasharray=\"" : "", dash ? dash : "", dash ? "\"" : "");
}

static void draw_panel(FILE *out, const panel *p, double left, double top) {
    double x0 = left + LEFT, y0 = top + PANEL_HEIGHT - BOTTOM, wide = PANEL_WIDTH - LEFT - RIGHT,
           high = PANEL_HEIGHT - TOP - BOTTOM, most_x = 1, most_y = 0, one = 0;
    const bench_curve *c = p->curve;
    char text[96];
    for (size_t i = 0; i < c->count; i++) {
        if (!c->points[i].repeats) continue;
        if ((double)c->points[i].x > most_x) most_x = (double)c->points[i].x;
        if (c->points[i].speeds[c->points[i].repeats - 1] > most_y)
            most_y = c->points[i].speeds[c->points[i].repeats - 1];
        if (one == 0 && c->points[i].x) one = bench_speed(&c->points[i]) / (double)c->points[i].x;
    }
    double step_x = step_of(most_x, 8), step_y = step_of(most_y > 0 ? most_y : 1, 6);
    if (step_x < 1) step_x = 1;
    double end_y = step_y * ceil(most_y / step_y);
    draw_svg_text(out, left + LEFT, top + 24, 14, "start", 0, INK, p->title);
    for (double y = 0; y <= end_y + step_y / 2; y += step_y) {
        line(out, x0, y0 - high * y / end_y, x0 + wide, y0 - high * y / end_y, "#e5e8ec", NULL);
        snprintf(text, sizeof text, "%g", y);
        draw_svg_text(out, x0 - 8, y0 - high * y / end_y + 4, 11, "end", 0, PALE, text);
    }
    for (double x = 0; x <= most_x * 1.0001; x += step_x) {
        line(out, x0 + wide * x / most_x, y0, x0 + wide * x / most_x, y0 + 4, PALE, NULL);
        snprintf(text, sizeof text, "%.0f", x);
        draw_svg_text(out, x0 + wide * x / most_x, y0 + 18, 11, "middle", 0, PALE, text);
    }
    line(out, x0, y0, x0 + wide, y0, PALE, NULL);
    draw_svg_text(out, x0 + wide / 2, y0 + 38, 12, "middle", 0, INK, p->across);
    draw_svg_text(out, left + 16, y0 - high / 2, 12, "middle", -90, INK, "tokens per second");
    if (p->ideal && one > 0) {
        double to = end_y / one < most_x ? end_y / one : most_x;
        line(out, x0, y0, x0 + wide * to / most_x, y0 - high * one * to / end_y, "#8c959f", "5 4");
    }
    fprintf(out, "<polyline fill=\"none\" stroke=\"" BLUE "\" stroke-width=\"2\" points=\"");
    for (size_t i = 0; i < c->count; i++)
        if (c->points[i].repeats)
            fprintf(out, "%.1f,%.1f ", x0 + wide * (double)c->points[i].x / most_x,
                    y0 - high * bench_speed(&c->points[i]) / end_y);
    fputs("\"/>\n", out);
    for (size_t i = 0; i < c->count; i++) { /* the median, and how far apart the repeats were */
        const bench_result *r = &c->points[i];
        if (!r->repeats) continue;
        double x = x0 + wide * (double)r->x / most_x, y = y0 - high * bench_speed(r) / end_y;
        line(out, x, y0 - high * r->speeds[0] / end_y, x, y0 - high * r->speeds[r->repeats - 1] / end_y, BLUE,
             NULL);
        fprintf(out,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"" BLUE "\"><title>%" PRIu64
                ": %.2f (%.2f to %.2f)</title></circle>\n",
                x, y, r->x, bench_speed(r), r->speeds[0], r->speeds[r->repeats - 1]);
    }
}

int bench_plot(const char *command, const bench_report *report, const char *path) {
    cli_output output;
    char title[256], below[160];
    char prefill[96];
    snprintf(prefill, sizeof prefill, "Prefill of %" PRIu64 " tokens by depth", report->lengths.values[0]);
    const panel panels[] = {
        {"Decode by depth", "tokens of context before", &report->decode_depth, 0},
        {prefill, "tokens of context before", &report->prefill_depth, 0},
        {"Sessions together, all their tokens", "sessions (dashed: as many times one)", &report->together, 1},
        {"Prefill by length", "tokens of the prompt", &report->prefill, 0},
    };
    size_t drawn = 0, all = 0;
    for (size_t i = 0; i < ARG_COUNT(panels); i++) all += measured(panels[i].curve) > 1;
    if (!all)
        return cli_error(command, "nothing to draw: no curve has two points (-d, -s or -p with a list)");
    if (cli_output_open(&output, path)) return cli_error(command, "%s: %s", path, strerror(errno));
    size_t columns = all > 1 ? 2 : 1, rows = (all + columns - 1) / columns;
    snprintf(title, sizeof title, "%s, %s, %" PRIu32 " threads, %s", report->info.family,
             report->info.weights, report->threads, report->info.isa);
    snprintf(below, sizeof below, "Medians of %zu; bars from the slowest to the fastest.", report->repeats);
    draw_svg_begin(output.file, (double)(columns * PANEL_WIDTH), (double)(rows * PANEL_HEIGHT + 52), title);
    draw_svg_text(output.file, 20, 26, 15, "start", 0, INK, title);
    for (size_t i = 0; i < ARG_COUNT(panels); i++) {
        if (measured(panels[i].curve) < 2) continue;
        draw_panel(output.file, &panels[i], (double)(drawn % columns * PANEL_WIDTH),
                   30 + (double)(drawn / columns * PANEL_HEIGHT));
        drawn++;
    }
    draw_svg_text(output.file, 20, (double)(rows * PANEL_HEIGHT + 42), 11, "start", 0, PALE, below);
    draw_svg_end(output.file);
    if (cli_output_close(&output, 1)) return cli_error(command, "%s: %s", path, strerror(errno));
    return CLI_OK;
}
