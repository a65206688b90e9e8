/* play_screen.c - see play_screen.h. A character shows two cells of a map above each other (the upper half
 * block), lines and curves are made of braille dots, two columns and four rows to a character. */
#include "play_screen.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t grey[3] = {120, 128, 136}, bright[3] = {225, 229, 233}, ground[3] = {18, 22, 26},
                     middle[3] = {44, 49, 54}, orange[3] = {245, 147, 34}, blue[3] = {40, 150, 225},
                     white[3] = {255, 255, 255}, yellow[3] = {250, 220, 90};

/* ---- Canvas ---- */

int screen_resize(screen *s, int width, int height) {
    width = width < 1 ? 1 : width > SCREEN_MOST ? SCREEN_MOST : width;
    height = height < 1 ? 1 : height > SCREEN_MOST ? SCREEN_MOST : height;
    if (s->cells && s->width == width && s->height == height) return 0;
    size_t count = (size_t)width * (size_t)height;
    screen_cell *cells = calloc(count, sizeof *cells), *shown = calloc(count, sizeof *shown);
    if (!cells || !shown) {
        free(cells);
        free(shown);
        return -1;
    }
    screen_free(s);
    s->cells = cells;
    s->shown = shown;
    s->width = width;
    s->height = height;
    s->known = 0;
    return 0;
}

void screen_free(screen *s) {
    free(s->cells);
    free(s->shown);
    s->cells = s->shown = NULL;
}

static void clear(screen *s) {
    for (int i = 0; i < s->width * s->height; i++) {
        memset(&s->cells[i], 0, sizeof s->cells[i]);
        s->cells[i].text[0] = ' ';
        memcpy(s->cells[i].fore, bright, 3);
        memcpy(s->cells[i].back, ground, 3);
    }
}

static screen_cell *at(screen *s, int x, int y) {
    return x >= 0 && y >= 0 && x < s->width && y < s->height ? &s->cells[y * s->width + x] : NULL;
}

/* One character for each UTF-8 character of text, up to most. Gives the column behind the last. */
static int put(screen *s, int x, int y, int most, const uint8_t colour[3], const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    const unsigned char *p = (const unsigned char *)text;
    for (; *p && most > 0; most--, x++) {
        int length = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4, good = *p < 0x80 || *p >= 0xc2;
        for (int k = 1; k < length; k++) good = good && (p[k] & 0xc0) == 0x80;
        if (!good) length = 1;
        screen_cell *cell = at(s, x, y);
        if (cell) {
            memset(cell->text, 0, sizeof cell->text);
            if (good && *p >= 0x20 && *p != 0x7f)
                memcpy(cell->text, p, (size_t)length);
            else
                cell->text[0] = '?'; /* control characters of names never reach the terminal */
            memcpy(cell->fore, colour, 3);
        }
        p += length;
    }
    return x;
}

static int to_256(const uint8_t c[3]) {
    int part[3];
    for (int i = 0; i < 3; i++) part[i] = c[i] < 48 ? 0 : c[i] < 115 ? 1 : (c[i] - 35) / 40;
    if (abs(c[0] - c[1]) < 12 && abs(c[1] - c[2]) < 12) { /* greys have steps of their own */
        int step = (c[0] - 3) / 10;
        return 232 + (step < 0 ? 0 : step > 23 ? 23 : step);
    }
    return 16 + 36 * part[0] + 6 * part[1] + part[2];
}

static void paint(const screen *s, const uint8_t fore[3], const uint8_t back[3]) {
    if (s->colours)
        printf("\x1b[38;2;%d;%d;%d;48;2;%d;%d;%dm", fore[0], fore[1], fore[2], back[0], back[1], back[2]);
    else
        printf("\x1b[38;5;%d;48;5;%dm", to_256(fore), to_256(back));
}

void screen_show(screen *s) {
    const screen_cell *last = NULL;
    if (!s->known) printf("\x1b[0m\x1b[2J");
    for (int y = 0; y < s->height; y++) {
        int place = -1; /* where the cursor is in this row */
        for (int x = 0; x < s->width; x++) {
            screen_cell *cell = &s->cells[y * s->width + x], *shown = &s->shown[y * s->width + x];
            if (s->known && memcmp(cell, shown, sizeof *cell) == 0) continue;
            if (place != x) printf("\x1b[%d;%dH", y + 1, x + 1);
            if (!last || memcmp(last->fore, cell->fore, 3) != 0 || memcmp(last->back, cell->back, 3) != 0)
                paint(s, cell->fore, cell->back);
            fputs(cell->text, stdout);
            last = cell;
            place = x + 1;
        }
    }
    memcpy(s->shown, s->cells, (size_t)s->width * (size_t)s->height * sizeof *s->cells);
    s->known = 1;
    fflush(stdout);
}

/* ---- Maps and dots ---- */

static void shade(double value, uint8_t out[3]) {
    const uint8_t *end = value < 0 ? orange : blue;
    double part = value != value ? 0 : fabs(value);
    if (part > 1) part = 1;
    for (int i = 0; i < 3; i++) out[i] = (uint8_t)(middle[i] + part * (end[i] - middle[i]) + 0.5);
}

/* Half a character: column x, row y of half rows. */
static void half(screen *s, int x, int y, const uint8_t colour[3]) {
    screen_cell *cell = at(s, x, y / 2);
    if (!cell) return;
    if (strcmp(cell->text, "\u2580") != 0) {
        memset(cell->text, 0, sizeof cell->text);
        strcpy(cell->text, "\u2580");
    }
    memcpy(y % 2 ? cell->back : cell->fore, colour, 3);
}

/* Cells [n, n, of] of one neuron into width x (2 * rows) halves. */
static void map(screen *s, const double *cells, int n, int of, int which, double span, double shift, int x,
                int y, int width, int rows) {
    for (int r = 0; r < 2 * rows; r++)
        for (int c = 0; c < width; c++) {
            uint8_t colour[3];
            int from_x = (2 * c + 1) * n / (2 * width), from_y = n - 1 - (2 * r + 1) * n / (4 * rows);
            shade(
                (cells[((size_t)from_y * (size_t)n + (size_t)from_x) * (size_t)of + (size_t)which] - shift) /
                    span,
                colour);
            half(s, x + c, 2 * y + r, colour);
        }
}

/* A braille dot: columns have two, rows four. */
static void dot(screen *s, int x, int y, const uint8_t colour[3]) {
    static const unsigned char bits[4][2] = {{1, 8}, {2, 16}, {4, 32}, {64, 128}};
    screen_cell *cell = x >= 0 && y >= 0 ? at(s, x / 2, y / 4) : NULL;
    if (!cell) return;
    unsigned char now = 0;
    const unsigned char *t = (const unsigned char *)cell->text;
    if (t[0] == 0xe2 && t[1] >= 0xa0 && t[1] <= 0xa3) now = (unsigned char)((t[1] & 3) << 6 | (t[2] & 0x3f));
    now |= bits[y % 4][x % 2]; /* U+2800 + bits */
    memset(cell->text, 0, sizeof cell->text);
    cell->text[0] = (char)0xe2;
    cell->text[1] = (char)(0xa0 | now >> 6);
    cell->text[2] = (char)(0x80 | (now & 0x3f));
    memcpy(cell->fore, colour, 3);
}

static void line(screen *s, double x1, double y1, double x2, double y2, const uint8_t colour[3]) {
    double steps = fmax(fabs(x2 - x1), fabs(y2 - y1)) + 1;
    for (double i = 0; i <= steps; i++)
        dot(s, (int)(x1 + (x2 - x1) * i / steps + 0.5), (int)(y1 + (y2 - y1) * i / steps + 0.5), colour);
}

/* ---- Layout ---- */

typedef struct layout {
    int side, side_rows, side_x; /* the large map */
    int top, bottom;             /* rows of the body: top .. bottom - 1 */
    int columns;                 /* inputs and hidden layers */
    int label, pitch, map_width;
    double *cells;
} layout;

#define CELLS 24 /* along a side of what small maps are made of */

static int neurons_of(const play *p, int column) {
    return column == 0 ? (int)p->view.inputs : (int)p->settings.hidden[column - 1];
}
static int drawn_of(const play *p, const layout *l, int column) {
    int room = (l->bottom - l->top - 3) / 2, count = neurons_of(p, column);
    return count < room ? count : room;
}
static int x_of(const layout *l, int column) { return l->label + column * l->pitch; }
static int y_of(const play *p, const layout *l, int column, int i) {
    int room = l->bottom - l->top - 3, count = drawn_of(p, l, column), pitch = count ? room / count : 2;
    if (pitch > 3) pitch = 3;
    if (pitch < 2) pitch = 2;
    return l->top + 1 + (room - pitch * count) / 2 + i * pitch;
}

static layout lay_out(const screen *s, const play *p) {
    layout l = {0};
    l.top = 3;
    l.bottom = s->height - 2;
    l.side_rows = l.bottom - l.top - 7;
    l.side = 2 * l.side_rows;
    if (l.side > s->width * 45 / 100) {
        l.side = s->width * 45 / 100;
        l.side_rows = l.side / 2;
    }
    l.side_x = s->width - l.side - 1;
    l.columns = 1 + (int)p->settings.hidden_count;
    l.label = 8;
    l.pitch = (l.side_x - 2 - l.label) / l.columns;
    if (l.pitch > 16) l.pitch = 16;
    l.map_width = l.pitch >= 7 ? 4 : l.pitch >= 5 ? 3 : 2;
    return l;
}

/* ---- Parts ---- */

static double span_of(const play *p) {
    double span = 0;
    if (p->view.kind == TFM_NET_CLASSES) return 1;
    for (size_t r = 0; r < p->view.rows; r++)
        span = fmax(span, fabs(p->view.targets[r * p->view.target_count]));
    return span > 0 ? span : 1;
}

static void draw_links(screen *s, play *p, const layout *l, int column) {
    tfm_net_layer layer = TFM_NET_LAYER_INIT;
    if (tfm_net_get_layer(p->net, column - 1, &layer, NULL)) return;
    int from_count = drawn_of(p, l, column - 1), last = column == l->columns,
        to_count = last ? 1 : drawn_of(p, l, column);
    double most = 0;
    for (int pass = 0; pass < 3; pass++) /* the heavy ones last: they lie on top */
        for (int to = 0; to < to_count; to++)
            for (int from = 0; from < from_count; from++) {
                double w = layer.weights[(size_t)to * layer.inputs + (size_t)from], size = fabs(w);
                most = fmax(most, size);
                if (size < 0.05 || (size < 0.5 ? 0 : size < 1.2 ? 1 : 2) != pass) continue;
                uint8_t colour[3];
                shade(copysign(fmin(1, 0.25 + 0.5 * size), w), colour);
                int x1 = x_of(l, column - 1) + l->map_width, x2 = last ? l->side_x - 1 : x_of(l, column);
                int y1 = y_of(p, l, column - 1, from),
                    y2 = last ? l->top + 1 + l->side_rows / 2 : y_of(p, l, column, to);
                line(s, 2 * x1, 4 * y1 + 4, 2 * x2 - 1, 4 * y2 + 4, colour);
            }
}

static int draw_column(screen *s, play *p, const play_look *look, layout *l, int column) {
    tfm_net_plane_options options = TFM_NET_PLANE_OPTIONS_INIT;
    tfm_net_layer layer = TFM_NET_LAYER_INIT;
    int of = neurons_of(p, column), count = drawn_of(p, l, column);
    options.resolution = CELLS;
    options.discretise = look->discretise && column > 0;
    if (column && tfm_net_get_layer(p->net, column - 1, &layer, &p->error)) return -1;
    if (tfm_net_plane(p->net, p->data, column ? column - 1 : TFM_NET_INPUTS, &options, l->cells, &p->error))
        return -1;
    for (int i = 0; i < count; i++) {
        double span = 0, shift = column && layer.activation == TFM_NET_SIGMOID ? 0.5 : 0;
        int x = x_of(l, column), y = y_of(p, l, column, i);
        for (int k = 0; k < CELLS * CELLS; k++) span = fmax(span, fabs(l->cells[k * of + i] - shift));
        if (column && layer.activation == TFM_NET_TANH) span = 1;
        map(s, l->cells, CELLS, of, i, span > 0 ? span : 1, shift, x, y, l->map_width, 2);
        if (column == look->layer + 1 && i == look->neuron && look->layer < (int)p->settings.hidden_count) {
            put(s, x - 1, y, 1, yellow, "\u258c");
            put(s, x - 1, y + 1, 1, yellow, "\u258c");
        }
        if (!column)
            put(s, 0, y, l->label - 1, bright, "%7.7s", tfm_net_data_input_name(p->data, (uint32_t)i));
    }
    if (count < of) put(s, x_of(l, column), l->bottom - 3, 6, grey, "+%d", of - count);
    return 0;
}

static void draw_points(screen *s, const play *p, const play_look *look, const layout *l, double span) {
    const tfm_net_data_view *v = &p->view;
    uint32_t cy = v->columns > 1 ? 1 : 0;
    size_t rows = look->show_test ? v->rows : v->train_rows, each = rows / 3000 + 1;
    for (size_t r = 0; r < rows; r += each) {
        const double *point = v->points + r * v->columns;
        double x = (point[0] - v->low[0]) / (v->high[0] - v->low[0]);
        double y = (point[cy] - v->low[cy]) / (v->high[cy] - v->low[cy]);
        if (!(x >= 0 && x < 1 && y > 0 && y <= 1)) continue;
        uint8_t colour[3];
        double t = v->targets[r * v->target_count] / span;
        shade(copysign(1, t), colour);
        for (int i = 0; i < 3; i++) /* lighter than the map, test points darker */
            colour[i] = (uint8_t)(r < v->train_rows ? (colour[i] + white[i]) / 2 : colour[i] * 2 / 5);
        half(s, l->side_x + (int)(x * l->side), 2 * (l->top + 1) + (int)((1 - y) * 2 * l->side_rows), colour);
    }
}

/* The large map: the output, or the chosen neuron. */
static int draw_large(screen *s, play *p, const play_look *look, layout *l) {
    tfm_net_plane_options options = TFM_NET_PLANE_OPTIONS_INIT;
    tfm_net_layer layer = TFM_NET_LAYER_INIT;
    int hidden = look->layer < (int)p->settings.hidden_count, which = hidden ? look->neuron : 0;
    double span = span_of(p), shift = 0, own = 1;
    if (tfm_net_get_layer(p->net, look->layer, &layer, &p->error)) return -1;
    options.resolution = (uint32_t)l->side;
    options.discretise = look->discretise;
    if (tfm_net_plane(p->net, p->data, look->layer, &options, l->cells, &p->error)) return -1;
    if (layer.activation == TFM_NET_SIGMOID) shift = own = 0.5;
    if (hidden && (layer.activation == TFM_NET_RELU || layer.activation == TFM_NET_LINEAR)) {
        own = 0;
        for (int k = 0; k < l->side * l->side; k++)
            own = fmax(own, fabs(l->cells[(size_t)k * layer.outputs + (size_t)which]));
    }
    map(s, l->cells, l->side, (int)layer.outputs, which,
        hidden || options.discretise ? (own > 0 ? own : 1) : span, shift, l->side_x, l->top + 1, l->side,
        l->side_rows);
    draw_points(s, p, look, l, span);
    if (hidden)
        put(s, l->side_x, l->top, l->side, yellow, "layer %d, neuron %d", look->layer + 1, look->neuron + 1);
    else
        put(s, l->side_x, l->top, l->side, grey, "output");
    return 0;
}

static void draw_curve(screen *s, const play *p, const layout *l) {
    int top = l->top + l->side_rows + 2, rows = l->bottom - top;
    double most = 0;
    if (rows > 6) rows = 6;
    for (size_t i = 0; i < p->count; i++) most = fmax(most, fmax(p->train_losses[i], p->test_losses[i]));
    if (rows < 1 || !(most > 0)) return;
    for (int which = 0; which < 2; which++) {
        const double *losses = which ? p->test_losses : p->train_losses;
        for (int x = 0; x < 2 * l->side; x++) {
            size_t i = p->count == 1 ? 0 : (size_t)((double)x / (2 * l->side - 1) * (double)(p->count - 1));
            int y = (int)((1 - losses[i] / most) * (4 * rows - 1) + 0.5);
            dot(s, 2 * l->side_x + x, 4 * top + y, which ? white : grey);
        }
    }
    put(s, l->side_x, top - 1, l->side, grey, "loss, top %.3g%s", most,
        l->side < 42 ? "" : ": training grey, test white");
}

/* The chosen neuron's numbers, at the foot of the network. */
static void draw_numbers(screen *s, const play *p, const play_look *look, const layout *l) {
    tfm_net_layer layer = TFM_NET_LAYER_INIT;
    int x = 1, y = l->bottom - 2, hidden = look->layer < (int)p->settings.hidden_count,
        i = hidden ? look->neuron : 0;
    if (tfm_net_get_layer(p->net, look->layer, &layer, NULL)) return;
    if (hidden)
        x = put(s, x, y, 40, yellow, "layer %d neuron %d: ", look->layer + 1, i + 1);
    else
        x = put(s, x, y, 40, yellow, "output: ");
    x = put(s, x, y, 20, bright, "bias %.3g", layer.biases[i]);
    for (uint32_t k = 0; k < layer.inputs; k++) {
        double w = layer.weights[(size_t)i * layer.inputs + k];
        const char *name = look->layer ? NULL : tfm_net_data_input_name(p->data, k);
        char text[64];
        if (name)
            snprintf(text, sizeof text, "%.12s %.3g", name, w);
        else
            snprintf(text, sizeof text, "n%u %.3g", (unsigned)k + 1, w);
        if (x + (int)strlen(text) + 2 >= l->side_x - 1) {
            if (++y >= l->bottom) return;
            x = 0;
        }
        x = put(s, x + 1, y, l->side_x - 2 - x,
                layer.dead[(size_t)i * layer.inputs + k] ? grey
                : w < 0                                  ? orange
                                                         : blue,
                "%s", text);
    }
}

static void draw_head(screen *s, play *p, const play_look *look) {
    const play_settings *set = &p->settings;
    tfm_net_info info = TFM_NET_INFO_INIT;
    double train = 0, test = 0;
    tfm_net_get_info(p->net, &info, NULL);
    tfm_net_measure(p->net, p->data, 0, &train, NULL, NULL);
    tfm_net_measure(p->net, p->data, 1, &test, NULL, NULL);
    int x = put(s, 1, 0, 40, white, "epoch %llu", (unsigned long long)info.epochs);
    x = put(s, x + 2, 0, 12, look->running ? blue : orange, look->running ? "running" : "paused");
    x = put(s, x + 2, 0, 30, white, "test loss %.4f", test);
    x = put(s, x + 2, 0, 30, grey, "training loss %.4f", train);
    if (info.dead) x = put(s, x + 2, 0, 30, grey, "%llu links dead", (unsigned long long)info.dead);
    put(s, 1, 1, s->width - 2, bright, "data %s  noise %.0f%%  training %.0f%%  batch %llu  seed %llu%s",
        set->set ? play_set_names[set->set - 1] : set->file, 100 * set->noise, 100 * set->train_share,
        (unsigned long long)set->batch, (unsigned long long)set->data_seed,
        set->normalise ? "  normalised" : "");
    put(s, 1, 2, s->width - 2, bright, "rate %g  %s  regularisation %s %g%s%s", set->learning_rate,
        play_activation_names[set->activation - 1], play_regularisation_names[set->regularisation],
        set->regularisation_rate, look->show_test ? "  test shown" : "",
        look->discretise ? "  discretised" : "");
    if (look->message) put(s, 1, 3, s->width - 2, yellow, "%s", look->message);
}

static void draw_keys(screen *s) {
    static const char *const wide[] = {" space run  s step  r reset  d data  g regenerate  1-7 features  n/N "
                                       "noise  p/P training  b/B batch  q quit",
                                       " l/L rate  a activation  k/e/E regularise  +/- layers  </> neurons  "
                                       "tab  t test  c discrete  z norm  w svg"};
    static const char *const narrow[] = {
        " spc run s step r reset d data g new 1-7 features n/N noise p/P train b/B batch q",
        " l/L rate a activ k/e/E regul +/- layers </> neurons tab t test c disc z norm w"};
    for (int i = 0; i < 2; i++)
        put(s, 0, s->height - 2 + i, s->width, grey, "%s", s->width > 107 ? wide[i] : narrow[i]);
}

int screen_draw(screen *s, play *p, const play_look *look) {
    clear(s);
    if (s->width < 60 || s->height < 18) {
        put(s, 0, 0, s->width, bright, "too small: 60 x 18 at least");
        put(s, 0, 1, s->width, grey, "q quit");
        return 0;
    }
    layout l = lay_out(s, p);
    size_t widest = p->view.inputs > PLAY_NEURONS ? p->view.inputs : PLAY_NEURONS;
    size_t side = (size_t)(l.side > CELLS ? l.side : CELLS);
    l.cells = malloc(side * side * widest * sizeof *l.cells);
    if (!l.cells) {
        p->error.code = TFM_E_MEMORY;
        snprintf(p->error.message, sizeof p->error.message, "out of memory");
        return -1;
    }
    int failed = 0;
    for (int c = 1; c <= l.columns; c++) draw_links(s, p, &l, c);
    for (int c = 0; c < l.columns && !failed; c++) failed = draw_column(s, p, look, &l, c);
    if (!failed) failed = draw_large(s, p, look, &l);
    if (!failed) {
        draw_curve(s, p, &l);
        draw_numbers(s, p, look, &l);
        draw_head(s, p, look);
        draw_keys(s);
    }
    free(l.cells);
    return failed ? -1 : 0;
}
