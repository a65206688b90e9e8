/* positions.c - the sine and cosine positions of the first transformer (Vaswani et al. 2017, section 3.5),
 * drawn: a row for each position, a column for each number of its vector.
 *
 *     cc positions.c -o positions -lm
 *     ./positions                                  # in the terminal
 *     ./positions --svg positions.svg --positions 50 --width 128
 *     ./positions --halves                         # as Marian lays them out
 *
 * Pair i of a vector of d numbers turns with the position p at a speed of its own, from one radian a step
 * down to 1/10000: sin(p / 10000^(2i/d)) and cos(p / 10000^(2i/d)). The paper puts the two side by side
 * (columns 2i and 2i + 1); Marian, and models made with it, put all sines into the first half and all cosines
 * into the second. --values prints the numbers, a line for each position. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    int positions, width;
    int halves, color, values;
    const char *svg;
} settings;

static double position_value(const settings *s, int position, int column) {
    int pairs = s->width / 2;
    int pair = s->halves ? column % pairs : column / 2, sine = s->halves ? column < pairs : column % 2 == 0;
    double angle = position / pow(10000.0, 2.0 * pair / s->width);
    return sine ? sin(angle) : cos(angle);
}

/* From blue (-1) over white (0) to orange (1). */
static void color_of(double value, int rgb[3]) {
    static const int low[3] = {33, 102, 172}, high[3] = {214, 96, 20};
    const int *end = value < 0 ? low : high;
    for (int i = 0; i < 3; i++) rgb[i] = (int)(255 + fabs(value) * (end[i] - 255) + 0.5);
}

/* Two rows in one line of text where there are colours: the upper half of a character and the lower one. */
static void print_picture(const settings *s) {
    static const char shades[] = " .:-=+*#"; /* from -1 to 1 */
    for (int p = 0; p < s->positions; p += s->color ? 2 : 1) {
        printf("%4d ", p);
        for (int column = 0; column < s->width; column++) {
            double value = position_value(s, p, column);
            int a[3], b[3];
            if (!s->color) {
                putchar(shades[(int)((value + 1) / 2 * 7.999)]);
                continue;
            }
            color_of(value, a);
            color_of(position_value(s, p + 1, column), b);
            printf("\033[38;2;%d;%d;%d;48;2;%d;%d;%dm▀", a[0], a[1], a[2], b[0], b[1], b[2]);
        }
        printf("%s\n", s->color ? "\033[0m" : "");
    }
}

/* How alike two positions are depends on their distance alone: the dot product is the sum of cos(distance *
 * speed). */
static void print_distances(const settings *s) {
    printf("likeness of two positions by their distance:");
    for (int distance = 0; distance <= 32; distance = distance ? distance * 2 : 1) {
        double dot = 0;
        for (int c = 0; c < s->width; c++)
            dot += position_value(s, 7, c) * position_value(s, 7 + distance, c);
        printf("  %d: %.2f", distance, dot / (s->width / 2));
    }
    printf("\n");
}

static int write_svg(const settings *s) {
    double cell_x = 8, cell_y = 8, left = 56, top = 72, right = left + cell_x * s->width,
           bottom = top + cell_y * s->positions;
    FILE *out = fopen(s->svg, "wb");
    if (!out) {
        perror(s->svg);
        return 1;
    }
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" font-family=\"'Noto "
            "Sans', 'DejaVu Sans', "
            "sans-serif\">\n<title>Sine and cosine positions</title>\n<rect width=\"100%%\" height=\"100%%\" "
            "fill=\"#fff\"/>\n",
            right + 110, bottom + 52);
    fprintf(out,
            "<text x=\"16\" y=\"30\" font-size=\"17\" fill=\"#1f2328\">Positions as sines and cosines: "
            "%s</text>\n",
            s->halves ? "sines in the first half, cosines in the second" : "sine and cosine side by side");
    fprintf(out,
            "<text x=\"16\" y=\"50\" font-size=\"12\" fill=\"#57606a\">a row for each position, a column for "
            "each of %d "
            "numbers; speeds fall from 1 to 1/10000</text>\n",
            s->width);
    for (int p = 0; p < s->positions; p++)
        for (int column = 0; column < s->width; column++) {
            int rgb[3];
            color_of(position_value(s, p, column), rgb);
            fprintf(out,
                    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#%02x%02x%02x\"/>\n",
                    left + cell_x * column, top + cell_y * p, cell_x + 0.2, cell_y + 0.2, (unsigned)rgb[0],
                    (unsigned)rgb[1], (unsigned)rgb[2]);
        }
    for (int p = 0; p < s->positions; p += 10)
        fprintf(
            out,
            "<text x=\"%.1f\" y=\"%.1f\" font-size=\"11\" text-anchor=\"end\" fill=\"#57606a\">%d</text>\n",
            left - 8, top + cell_y * (p + 0.5) + 4, p);
    for (int column = 0; column<s->width; column += s->width> 64 ? 16 : 8)
        fprintf(out,
                "<text x=\"%.1f\" y=\"%.1f\" font-size=\"11\" text-anchor=\"middle\" "
                "fill=\"#57606a\">%d</text>\n",
                left + cell_x * (column + 0.5), bottom + 18, column);
    fprintf(out,
            "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" text-anchor=\"middle\" "
            "fill=\"#57606a\">column</text>\n",
            (left + right) / 2, bottom + 38);
    fprintf(out,
            "<text transform=\"translate(16 %.1f) rotate(-90)\" font-size=\"12\" text-anchor=\"middle\" "
            "fill=\"#57606a\">position</text>\n",
            (top + bottom) / 2);
    for (int i = 0; i < 41; i++) { /* the scale, 1 above */
        int rgb[3];
        color_of(1 - i / 20.0, rgb);
        fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"4.2\" fill=\"#%02x%02x%02x\"/>\n",
                right + 24, top + 4.0 * i, (unsigned)rgb[0], (unsigned)rgb[1], (unsigned)rgb[2]);
    }
    for (int i = -1; i <= 1; i++)
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"11\" fill=\"#57606a\">%d</text>\n", right + 44,
                top + 80 * (1 - i) + 7, i);
    fprintf(out, "</svg>\n");
    if (fclose(out)) {
        perror(s->svg);
        return 1;
    }
    return 0;
}

static int number(const char *text, int most) {
    char *end;
    long value = strtol(text, &end, 10);
    return *end || end == text || value < 1 || value > most ? 0 : (int)value;
}

static int parse(int argc, char **argv, settings *s) {
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(word, "--halves") == 0)
            s->halves = 1;
        else if (strcmp(word, "--color") == 0)
            s->color = 1;
        else if (strcmp(word, "--values") == 0)
            s->values = 1;
        else if (value && strcmp(word, "--svg") == 0)
            s->svg = argv[++i];
        else if (value && strcmp(word, "--positions") == 0)
            s->positions = number(argv[++i], 10000);
        else if (value && strcmp(word, "--width") == 0)
            s->width = number(argv[++i], 10000);
        else
            return 0;
    }
    return s->positions > 0 && s->width > 0 && s->width % 2 == 0;
}

int main(int argc, char **argv) {
    settings s = {.positions = 32, .width = 64};
    if (!parse(argc, argv, &s)) {
        fprintf(
            stderr,
            "usage: positions [--positions N] [--width EVEN] [--halves] [--svg FILE | --values] [--color]\n");
        return 2;
    }
    if (s.svg) return write_svg(&s);
    for (int p = 0; s.values && p < s.positions; p++)
        for (int c = 0; c < s.width; c++)
            printf("%.9g%c", position_value(&s, p, c), c + 1 < s.width ? '\t' : '\n');
    if (s.values) return 0;
    print_picture(&s);
    print_distances(&s);
    return 0;
}
