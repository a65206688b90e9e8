/* heads_draw.c - see heads.h. Cells of less than half a percent are left white, so that pictures of long
 * texts stay small. */
#include "heads.h"

#include <stdlib.h>
#include <string.h>

#define LEAST 0.005f
#define INK "#1f2328"
#define FAINT "#57606a"
#define LINE "#c9ced6"

static int widest_label(const heads *h) {
    int most = 0;
    for (size_t i = 0; i < h->tokens; i++)
        if (h->labels[i].columns > most) most = h->labels[i].columns;
    return most;
}

/* ---- The terminal ---- */

/* A number in front of each label helps to find the column, where there is only its number. */
static void print_header(const heads *h, int label, int cell, size_t first, size_t end) {
    printf("%*s", label + 1, "");
    for (size_t k = first; k < end; k++) {
        if (h->labels[k].columns <= cell) {
            draw_text(stdout, &h->labels[k], cell, 0);
        } else {
            draw_label cut = draw_label_of(h->labels[k].text, strlen(h->labels[k].text), cell);
            draw_text(stdout, &cut, cell, 0);
        }
    }
    putchar('\n');
}

static void print_cell(float share, int cell, int color) {
    char text[16];
    if (share < LEAST)
        snprintf(text, sizeof text, "%s", color ? "" : "."); /* ASCII: its width is its length */
    else if (share >= 0.995f)
        snprintf(text, sizeof text, "%d", cell > 3 ? 100 : 99);
    else
        snprintf(text, sizeof text, "%.0f", (double)(100 * share));
    if (color) draw_color(stdout, share < LEAST ? 0 : share);
    printf("%*s ", cell - 1, text);
    if (color) draw_plain(stdout);
}

void heads_print_one(const heads *h, int color, int columns) {
    int label = widest_label(h), cell = label < 3 ? 3 : label > 6 ? 6 : label + 1;
    if (label > 14) label = 14;
    size_t fit = columns - label - 2 > cell ? (size_t)((columns - label - 2) / cell) : 1;
    const float *w = heads_at(h, 0, 0);
    printf("layer %d, head %d: how much each token (row) looks at each (column), in percent\n", h->layer0,
           h->head0);
    for (size_t first = 0; first < h->tokens; first += fit) {
        size_t end = first + fit < h->tokens ? first + fit : h->tokens;
        putchar('\n');
        print_header(h, label, cell, first, end);
        for (size_t q = h->both ? 0 : first; q < h->tokens;
             q++) { /* rows above see nothing of these columns */
            draw_label name = draw_label_of(h->labels[q].text, strlen(h->labels[q].text), label);
            draw_text(stdout, &name, label, 1);
            putchar(' ');
            for (size_t k = first; k < end && k < heads_seen(h, q); k++)
                print_cell(w[q * h->tokens + k], cell, color);
            putchar('\n');
        }
    }
}

/* The mean of a block of cells, so that any number of tokens fits a small square; only what may be seen
 * counts. */
static double block(const heads *h, const float *w, size_t side, size_t row, size_t column) {
    size_t tokens = h->tokens, q0 = row * tokens / side, q1 = (row + 1) * tokens / side,
           k0 = column * tokens / side, k1 = (column + 1) * tokens / side, n = 0;
    double sum = 0;
    for (size_t q = q0; q < q1; q++)
        for (size_t k = k0; k < k1 && k < heads_seen(h, q); k++) sum += w[q * tokens + k], n++;
    return n ? sum / (double)n : -1;
}

/* Two rows of cells in one line of text: the upper half of a character and the lower one. */
static void print_pair(const heads *h, int layer, int head, size_t side, size_t row, int color) {
    static const char *const shades[] = {" ", ".", ":", "+", "#"};
    const float *w = heads_at(h, layer, head);
    for (size_t c = 0; c < side; c++) {
        double upper = block(h, w, side, row, c);
        double lower = row + 1 < side ? block(h, w, side, row + 1, c) : -1;
        if (!color) {
            double most = upper > lower ? upper : lower;
            fputs(shades[most < 0.05 ? 0 : most < 0.2 ? 1 : most < 0.4 ? 2 : most < 0.7 ? 3 : 4], stdout);
        } else if (upper < 0 && lower < 0) {
            fputs("\033[0m ", stdout);
        } else {
            char a[8], b[8];
            unsigned x, y;
            draw_svg_color(upper, a);
            draw_svg_color(lower, b);
            x = (unsigned)strtoul(a + 1, NULL, 16);
            y = (unsigned)strtoul(b + 1, NULL, 16);
            printf("\033[38;2;%u;%u;%u", x >> 16, x >> 8 & 255, x & 255);
            if (lower < 0)
                printf(";49m▀");
            else if (upper < 0)
                printf(";38;2;%u;%u;%u;49m▄", y >> 16, y >> 8 & 255, y & 255);
            else
                printf(";48;2;%u;%u;%um▀", y >> 16, y >> 8 & 255, y & 255);
        }
    }
    if (color) draw_plain(stdout);
}

void heads_print_grid(const heads *h, int color, int columns) {
    size_t side = h->tokens < 24 ? h->tokens : 24;
    int wide = (int)side > 9 ? (int)side + 2 : 11;
    int fit = columns / wide > 0 ? columns / wide : 1;
    for (int layer = 0; layer < h->layers; layer++)
        for (int first = 0; first < h->heads; first += fit) {
            int end = first + fit < h->heads ? first + fit : h->heads;
            for (int head = first; head < end; head++) {
                char name[32];
                int n = snprintf(name, sizeof name, "%d.%d", h->layer0 + layer, h->head0 + head);
                printf("%s%*s", name, wide - n, "");
            }
            putchar('\n');
            for (size_t row = 0; row < side; row += 2) {
                for (int head = first; head < end; head++) {
                    print_pair(h, layer, head, side, row, color);
                    printf("%*s", wide - (int)side, "");
                }
                putchar('\n');
            }
            putchar('\n');
        }
    printf("each square is layer.head; rows look at columns, the text's beginning above and left\n");
}

/* ---- SVG ---- */

/* The cells of one head in a square of `side`; with tooltips, and numbers where there is room. */
static void svg_cells(const heads *h, FILE *out, const float *w, double x, double y, double side,
                      int details) {
    double cell = side / (double)h->tokens;
    for (size_t q = 0; q < h->tokens; q++)
        for (size_t k = 0; k < heads_seen(h, q); k++) {
            float share = w[q * h->tokens + k];
            double left = x + cell * (double)k, top = y + cell * (double)q;
            char tooltip[2 * DRAW_LABEL + 32], number[16];
            if (share < LEAST) continue;
            snprintf(tooltip, sizeof tooltip, "%s → %s: %.3f", h->labels[q].text, h->labels[k].text,
                     (double)share);
            draw_svg_cell(out, left, top, cell + 0.3, cell + 0.3, share, details ? tooltip : NULL);
            if (!details || cell < 26 || share < 0.03f) continue;
            snprintf(number, sizeof number, "%.0f", (double)(100 * share));
            draw_svg_text(out, left + cell / 2, top + cell / 2 + 4, 11, "middle", 0,
                          draw_is_dark(share) ? "#ffffff" : INK, number);
        }
    /* the stairs of what a token can see, or a square */
    fprintf(out, "<path d=\"M%.1f %.1f", x, y);
    if (h->both) fprintf(out, "h%.2fv%.2f", side, side);
    for (size_t q = 0; q < h->tokens && !h->both; q++) fprintf(out, "h%.2fv%.2f", cell, cell);
    fprintf(out, "H%.1fZ\" fill=\"none\" stroke=\"%s\"/>\n", x, LINE);
}

static void svg_one(const heads *h, FILE *out, const char *name) {
    double cell = h->tokens <= 16 ? 36 : h->tokens <= 40 ? 26 : h->tokens <= 100 ? 16 : 10;
    double font = cell >= 26 ? 14 : cell * 0.75, side = cell * (double)h->tokens;
    double names = widest_label(h) * font * 0.62 + 12;
    int upright = widest_label(h) * font * 0.6 <= cell;
    double top = 64 + (upright ? font + 8 : names * 0.8), left = names + 16;
    double width = left + side + (upright ? 28 : 28 + names * 0.6), height = top + side + 50;
    char title[300];
    if (width < 560) width = 560;
    snprintf(title, sizeof title, "%s: attention of layer %d, head %d", name, h->layer0, h->head0);
    draw_svg_begin(out, width, height, title);
    draw_svg_text(out, 16, 30, 17, "start", 0, INK, title);
    draw_svg_text(out, 16, 48, 11.5, "start", 0, FAINT,
                  "each row: where that token looks; the numbers are percent");
    for (size_t i = 0; i < h->tokens; i++) {
        double middle = cell * ((double)i + 0.5);
        draw_svg_text(out, left - 8, top + middle + font * 0.36, font, "end", 0, INK, h->labels[i].text);
        draw_svg_text(out, left + middle + (upright ? 0 : font * 0.3), top - 8, font,
                      upright ? "middle" : "start", upright ? 0 : -50, INK, h->labels[i].text);
    }
    svg_cells(h, out, heads_at(h, 0, 0), left, top, side, 1);
    draw_svg_scale(out, left + 10, height - 28);
    draw_svg_end(out);
}

/* All heads: a row of squares for each layer. */
static void svg_grid(const heads *h, FILE *out, const char *name) {
    double side = h->heads * h->layers > 200 ? 90 : 150, gap = 16, left = 56, top = 86;
    double width = left + (side + gap) * h->heads + 16, height = top + (side + gap) * h->layers + 40;
    char title[300], text[64];
    if (width < 560) width = 560;
    snprintf(title, sizeof title, "%s: attention of every head", name);
    draw_svg_begin(out, width, height, title);
    draw_svg_text(out, 16, 30, 17, "start", 0, INK, title);
    draw_svg_text(out, 16, 48, 11.5, "start", 0, FAINT,
                  "rows: tokens that look; columns: what they look at; the text begins above and left");
    for (int head = 0; head < h->heads; head++) {
        snprintf(text, sizeof text, "head %d", h->head0 + head);
        draw_svg_text(out, left + (side + gap) * head + side / 2, top - 8, 12, "middle", 0, FAINT, text);
    }
    for (int layer = 0; layer < h->layers; layer++) {
        double y = top + (side + gap) * layer;
        snprintf(text, sizeof text, "layer %d", h->layer0 + layer);
        draw_svg_text(out, left - 12, y + side / 2, 12, "middle", -90, FAINT, text);
        for (int head = 0; head < h->heads; head++)
            svg_cells(h, out, heads_at(h, layer, head), left + (side + gap) * head, y, side, h->tokens <= 40);
    }
    draw_svg_scale(out, left + 10, height - 28);
    draw_svg_end(out);
}

void heads_svg(const heads *h, FILE *out, const char *name) {
    (h->layers == 1 && h->heads == 1 ? svg_one : svg_grid)(h, out, name);
}
