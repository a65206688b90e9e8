/* svg.c - a network as one picture (SVG 1.1): from left to right the inputs, the hidden layers, the output
 * with the points, below it the loss curve.
 *
 * A neuron is a small map of its output over the plane, orange for negative, blue for positive; a link is a
 * curve as wide as its weight is large. Maps are made of few colours: all cells of a colour, joined along
 * their rows, are one path, so that a picture stays below 200 KB. Text from outside is escaped; numbers do
 * not depend on the locale. */
#include "net/net.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define MOST 32 /* layers, neurons and inputs that are drawn */
#define MOST_POINTS 2000
#define SMALL_CELLS 16
#define LARGE_CELLS 72
#define LEVELS 12 /* colours on each side of the middle */

#define LEFT 112.0
#define TOP 92.0
#define NET_WIDTH 660.0
#define PITCH 60.0
#define PANEL 300.0
#define PANEL_X 850.0
#define WIDTH 1230.0
#define CURVE_HEIGHT 110.0

typedef struct drawing {
    tfm_net *net;
    const tfm_net_data *data;
    const tfm_net_svg_options *options;
    tfm__buffer text;
    bool refused;
    double *cells; /* of one layer's maps, or of the large one */
    double *point, *inputs;
    double span;   /* the largest target in size, for colours */
    double box;    /* side of a neuron */
    double column; /* from one layer to the next */
    double height;
} drawing;

/* ---- Text ---- */

static void put(drawing *d, const char *format, ...) TFM__PRINTF(2, 3);
/* Formatted text without numbers that have a point. */
static void put(drawing *d, const char *format, ...) {
    char text[400];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (length > 0 && !tfm__buffer_append(&d->text, text, TFM__MIN((size_t)length, sizeof text - 1)))
        d->refused = true;
}

/* A number with a point whatever the locale says: every run of other bytes becomes one. */
static void put_number(drawing *d, const char *format, double value) {
    char text[64], clean[64];
    size_t n = 0;
    if (!tfm__finite(value)) {
        put(d, "%s", value != value ? "not a number" : "infinite");
        return;
    }
    snprintf(text, sizeof text, format, value);
    for (size_t i = 0; text[i]; i++) {
        bool plain = (text[i] >= '0' && text[i] <= '9') || strchr("+-e", text[i]);
        if (plain || (n && clean[n - 1] != '.')) clean[n++] = plain ? text[i] : '.';
    }
    clean[n] = 0;
    put(d, "%s", clean);
}

/* An attribute: a coordinate in hundredths. */
static void put_at(drawing *d, const char *name, double value) {
    put(d, " %s=\"", name);
    put_number(d, "%.2f", value);
    put(d, "\"");
}

/* Text of others. What XML cannot hold at all becomes a question mark. */
static void put_escaped(drawing *d, const char *text) {
    for (size_t i = 0; text[i] && i < 400; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '<')
            put(d, "&lt;");
        else if (c == '>')
            put(d, "&gt;");
        else if (c == '&')
            put(d, "&amp;");
        else if (c == '"')
            put(d, "&quot;");
        else if (c < 0x20 || c == 0x7f)
            put(d, "?");
        else
            put(d, "%c", c);
    }
}

/* Whether text is UTF-8 of XML's characters, so that it may stand in the picture. */
static bool is_utf8(const char *text) {
    const unsigned char *p = (const unsigned char *)text;
    while (*p) {
        int more = *p < 0x80                   ? 0
                   : (*p >= 0xc2 && *p < 0xe0) ? 1
                   : (*p & 0xf0) == 0xe0       ? 2
                   : (*p >= 0xf0 && *p < 0xf5) ? 3
                                               : -1;
        uint32_t code = more < 0 ? 0 : *p & (more ? 0x3fu >> more : 0x7fu);
        if (more < 0) return false;
        for (int k = 1; k <= more; k++) {
            if ((p[k] & 0xc0) != 0x80) return false;
            code = code << 6 | (p[k] & 0x3fu);
        }
        if ((more == 2 && code < 0x800) || (more == 3 && code < 0x10000) ||
            (code >= 0xd800 && code < 0xe000) || code > 0x10ffff || code == 0xfffe || code == 0xffff)
            return false;
        p += more + 1;
    }
    return true;
}

static void put_foreign(drawing *d, const char *text) {
    if (is_utf8(text)) {
        put_escaped(d, text);
        return;
    }
    for (size_t i = 0; text[i] && i < 400; i++) {
        char one[2] = {(unsigned char)text[i] < 0x80 ? text[i] : '?', 0};
        put_escaped(d, one);
    }
}

/* A label of the room for 14 characters. */
static void put_label(drawing *d, const char *text) {
    char cut[64];
    size_t n = 0, characters = 0;
    while (text[n] && n < sizeof cut - 4) { /* whole characters of UTF-8 */
        if (((unsigned char)text[n] & 0xc0) != 0x80 && ++characters > 14) break;
        cut[n] = text[n];
        n++;
    }
    cut[n] = 0;
    put_foreign(d, cut);
    if (text[n]) put(d, "\u2026");
}

static void begin_text(drawing *d, double x, double y, const char *attributes) {
    put(d, "<text");
    put_at(d, "x", x);
    put_at(d, "y", y);
    put(d, " %s>", attributes);
}

/* ---- Colours ---- */

/* -1 orange, 0 nearly white, 1 blue. */
static void colour_of(double value, int rgb[3]) {
    static const int negative[3] = {238, 128, 26}, middle[3] = {238, 240, 242}, positive[3] = {10, 110, 180};
    const int *end = value < 0 ? negative : positive;
    double part = value < 0 ? -value : value;
    if (!(part <= 1)) part = 1;
    for (int i = 0; i < 3; i++) rgb[i] = (int)(middle[i] + part * (end[i] - middle[i]) + 0.5);
}

static void put_colour(drawing *d, double value) {
    int rgb[3];
    colour_of(value, rgb);
    put(d, "#%02x%02x%02x", (unsigned)rgb[0], (unsigned)rgb[1], (unsigned)rgb[2]);
}

/* A value as -LEVELS .. LEVELS. Not a number: the middle. */
static int level_of(double value) {
    if (value != value) return 0;
    value = value > 1 ? 1 : value < -1 ? -1 : value;
    return (int)floor(value * LEVELS + 0.5);
}

/* ---- Maps ---- */

/* What turns an output into a colour: of sigmoid and step from 0 .. 1, of others by the largest that is
 * there. */
static double scaled(int32_t activation, double value, double span) {
    if (activation == TFM_NET_SIGMOID || activation == TFM_NET_STEP) return 2 * value - 1;
    return value / span;
}

/* Cells [n, n, of] of neuron `which`, drawn into a square. */
static void put_map(drawing *d, const double *cells, uint32_t n, uint32_t of, uint32_t which,
                    int32_t activation, double span, double x, double y, double side) {
    put(d, "<g transform=\"translate(");
    put_number(d, "%.2f", x);
    put(d, ",");
    put_number(d, "%.2f", y);
    put(d, ") scale(");
    put_number(d, "%.4f", side / n);
    put(d, ")\" shape-rendering=\"crispEdges\"><rect width=\"%u\" height=\"%u\" fill=\"#eef0f2\"/>",
        (unsigned)n, (unsigned)n);
    for (int level = -LEVELS; level <= LEVELS; level++) {
        bool open = false;
        if (level == 0) continue;
        for (uint32_t row = 0; row < n; row++) {
            const double *line = cells + ((size_t)(n - 1 - row) * n) * of + which; /* y rises upwards */
            for (uint32_t c = 0; c < n;) {
                uint32_t from = c;
                while (c < n && level_of(scaled(activation, line[(size_t)c * of], span)) == level) c++;
                if (c == from) {
                    c++;
                    continue;
                }
                if (!open) {
                    put(d, "<path fill=\"");
                    put_colour(d, (double)level / LEVELS);
                    put(d, "\" d=\"");
                    open = true;
                }
                put(d, "M%u %uh%uv1h-%uz", (unsigned)from, (unsigned)row, (unsigned)(c - from),
                    (unsigned)(c - from));
            }
        }
        if (open) put(d, "\"/>");
    }
    put(d, "</g>");
}

static double largest(const double *cells, size_t count, uint32_t of, uint32_t which) {
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        double size = fabs(cells[i * of + which]);
        if (tfm__finite(size) && size > most) most = size;
    }
    return most;
}

/* ---- The network ---- */

static uint32_t drawn_layers(const drawing *d) {
    return TFM__MIN(d->net->layer_count - 1, MOST);
} /* hidden ones */

/* Neurons of layer l as drawn; -1 stands for the inputs. */
static uint32_t neurons(const drawing *d, int l) {
    return l < 0 ? d->data->inputs : d->net->layers[l].outputs;
}
static uint32_t drawn(const drawing *d, int l) { return TFM__MIN(neurons(d, l), MOST); }

static double left_of(const drawing *d, int l) { return LEFT + d->column * (l + 1); }
static double top_of(const drawing *d, int l, uint32_t i) {
    double used = drawn(d, l) * PITCH - (PITCH - d->box);
    double space = TFM__MAX(d->height - TOP - 60, PANEL);
    double start = TOP + TFM__MAX(0.0, (TFM__MIN(space, PANEL + 60) - used) / 2);
    return start + i * PITCH;
}

/* The links into layer l; the last layer's end at the panel. */
static void put_links(drawing *d, uint32_t l, int from_layer) {
    const tfm__net_layer *layer = &d->net->layers[l];
    bool last = l + 1 == d->net->layer_count;
    uint32_t to_count = last ? TFM__MIN(layer->outputs, 1u) : drawn(d, (int)l);
    for (uint32_t to = 0; to < to_count; to++) {
        for (uint32_t from = 0; from < drawn(d, from_layer); from++) {
            double weight = layer->weights[(size_t)to * layer->inputs + from];
            bool dead = layer->dead[(size_t)to * layer->inputs + from];
            double x1 = left_of(d, from_layer) + d->box, y1 = top_of(d, from_layer, from) + d->box / 2;
            double x2 = last ? PANEL_X : left_of(d, (int)l);
            double y2 = last ? TOP + PANEL / 2 : top_of(d, (int)l, to) + d->box / 2, half = (x2 - x1) / 2;
            double size = fabs(weight),
                   width = dead || !tfm__finite(size) ? 0.6 : TFM__MIN(0.4 + 2.6 * size, 9.0);
            put(d, "<path class=\"link\" d=\"M");
            put_number(d, "%.1f", x1);
            put(d, " ");
            put_number(d, "%.1f", y1);
            put(d, "C");
            put_number(d, "%.1f", x1 + half);
            put(d, " ");
            put_number(d, "%.1f", y1);
            put(d, " ");
            put_number(d, "%.1f", x2 - half);
            put(d, " ");
            put_number(d, "%.1f", y2);
            put(d, " ");
            put_number(d, "%.1f", x2);
            put(d, " ");
            put_number(d, "%.1f", y2);
            put(d, "\" fill=\"none\" stroke=\"");
            if (dead)
                put(d, "#b9bec4\" stroke-dasharray=\"1 4");
            else
                put_colour(d, (weight < 0 ? -1 : 1) * TFM__MIN(1.0, 0.35 + size));
            put(d, "\" stroke-opacity=\"0.85\"");
            put_at(d, "stroke-width", width);
            put(d, "><title>");
            put_number(d, "%.4g", weight);
            put(d, "%s</title></path>\n", dead ? " (dead)" : "");
        }
    }
}

static void put_input_label(drawing *d, uint32_t i, double x, double y) {
    begin_text(d, x - 8, y + d->box / 2 + 4, "text-anchor=\"end\" font-size=\"13\"");
    put_label(d, d->data->input_names[i]);
    put(d, "</text>");
}

/* One layer's neurons; l -1: the inputs. */
static void put_column(drawing *d, int l) {
    uint32_t of = neurons(d, l);
    const tfm__net_layer *layer = l < 0 ? NULL : &d->net->layers[l];
    tfm_net_plane_options plane = {sizeof plane, SMALL_CELLS, d->options->column_x, d->options->column_y, 0};
    plane.discretise = d->options->discretise && layer;
    tfm__net_plane(d->net, d->data, layer ? l : TFM_NET_INPUTS, &plane, d->point, d->inputs, d->cells);
    for (uint32_t i = 0; i < drawn(d, l); i++) {
        double x = left_of(d, l), y = top_of(d, l, i);
        double most = largest(d->cells, SMALL_CELLS * SMALL_CELLS, of, i);
        double span = layer && layer->activation == TFM_NET_TANH ? 1 : most > 0 ? most : 1;
        put(d, "<g class=\"%s\">", layer ? "neuron" : "input");
        put_map(d, d->cells, SMALL_CELLS, of, i, layer ? layer->activation : TFM_NET_LINEAR, span, x, y,
                d->box);
        put(d, "<rect");
        put_at(d, "x", x);
        put_at(d, "y", y);
        put_at(d, "width", d->box);
        put_at(d, "height", d->box);
        put(d, " fill=\"none\" stroke=\"#2b3640\" stroke-width=\"1.2\" rx=\"2\">");
        if (layer) {
            put(d, "<title>bias ");
            put_number(d, "%.4g", layer->biases[i]);
            put(d, "</title>");
        }
        put(d, "</rect></g>\n");
        if (!layer) put_input_label(d, i, x, y);
    }
    begin_text(d, left_of(d, l) + d->box / 2, TOP - 12,
               "text-anchor=\"middle\" font-size=\"12\" fill=\"#5a6672\"");
    if (of > drawn(d, l))
        put(d, "%u of %u", (unsigned)drawn(d, l), (unsigned)of);
    else if (l < 0)
        put(d, "inputs");
    else
        put(d, "%u", (unsigned)of);
    put(d, "</text>\n");
}

static void put_network(drawing *d) {
    uint32_t hidden = drawn_layers(d);
    for (uint32_t l = 0; l < hidden; l++) put_links(d, l, (int)l - 1);
    put_links(d, d->net->layer_count - 1, (int)hidden - 1);
    for (int l = -1; l < (int)hidden; l++) put_column(d, l);
    if (d->net->layer_count - 1 > hidden) {
        begin_text(d, LEFT, 64, "font-size=\"12\" fill=\"#5a6672\"");
        put(d, "%u of %u hidden layers are drawn</text>", (unsigned)hidden,
            (unsigned)(d->net->layer_count - 1));
    }
}

/* ---- The output ---- */

static void put_points(drawing *d) {
    const tfm_net_data *data = d->data;
    uint32_t cx = d->options->column_x, cy = d->options->column_y;
    double x_low = data->low[cx], x_size = data->high[cx] - x_low, y_low = data->low[cy],
           y_size = data->high[cy] - y_low;
    size_t rows = d->options->show_test ? data->rows : data->train_rows, each = rows / MOST_POINTS + 1;
    for (size_t r = 0; r < rows; r += each) {
        const double *p = data->points + r * data->columns;
        double x = (p[cx] - x_low) / x_size, y = (p[cy] - y_low) / y_size;
        if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1)) continue;
        put(d, "<circle");
        put_at(d, "cx", PANEL_X + x * PANEL);
        put_at(d, "cy", TOP + (1 - y) * PANEL);
        put(d, " r=\"3.2\" fill=\"");
        put_colour(d, data->targets[r * data->target_count] / d->span);
        put(d, "\" stroke=\"%s\" stroke-width=\"%s\"/>\n", r < data->train_rows ? "#ffffff" : "#101820",
            r < data->train_rows ? "0.8" : "1.1");
    }
}

static void put_axis(drawing *d, uint32_t column, bool vertical) {
    double low = d->data->low[column], high = d->data->high[column];
    static const char small[] = "text-anchor=\"%s\" font-size=\"11\" fill=\"#5a6672\"";
    char start[80], middle[80], end[80];
    snprintf(start, sizeof start, small, "start");
    snprintf(middle, sizeof middle, small, "middle");
    snprintf(end, sizeof end, small, "end");
    double bottom = TOP + PANEL + 14, right = PANEL_X + PANEL + 6;
    if (vertical)
        begin_text(d, right, TOP + PANEL, start);
    else
        begin_text(d, PANEL_X, bottom, start);
    put_number(d, "%.5g", low);
    put(d, "</text>");
    if (vertical)
        begin_text(d, right, TOP + 9, start);
    else
        begin_text(d, PANEL_X + PANEL, bottom, end);
    put_number(d, "%.5g", high);
    put(d, "</text>");
    if (vertical)
        begin_text(d, right, TOP + PANEL / 2, start);
    else
        begin_text(d, PANEL_X + PANEL / 2, bottom, middle);
    put_label(d, d->data->column_names[column]);
    put(d, "</text>\n");
}

static void put_panel(drawing *d) {
    const tfm__net_layer *last = &d->net->layers[d->net->layer_count - 1];
    tfm_net_plane_options plane = {sizeof plane, LARGE_CELLS, d->options->column_x, d->options->column_y,
                                   d->options->discretise};
    tfm__net_plane(d->net, d->data, (int32_t)d->net->layer_count - 1, &plane, d->point, d->inputs, d->cells);
    put(d, "<g class=\"output\" opacity=\"0.75\">");
    put_map(d, d->cells, LARGE_CELLS, last->outputs, 0, last->activation,
            d->options->discretise ? 1 : d->span, PANEL_X, TOP, PANEL);
    put(d, "</g>\n");
    put_points(d);
    put(d, "<rect");
    put_at(d, "x", PANEL_X);
    put_at(d, "y", TOP);
    put_at(d, "width", PANEL);
    put_at(d, "height", PANEL);
    put(d, " fill=\"none\" stroke=\"#2b3640\" stroke-width=\"1.2\"/>\n");
    begin_text(d, PANEL_X, TOP - 12, "font-size=\"12\" fill=\"#5a6672\"");
    put(d, "output%s</text>\n", last->outputs > 1 ? " (the first)" : "");
    put_axis(d, d->options->column_x, false);
    put_axis(d, d->options->column_y, true);
}

/* ---- The curve ---- */

static void put_curve(drawing *d, const double *losses, double most, const char *colour) {
    size_t count = d->options->loss_count, each = count / 600 + 1;
    double y = TOP + PANEL + 44;
    bool pen = false;
    put(d, "<path class=\"loss\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" d=\"", colour);
    for (size_t i = 0; i < count; i += each) {
        if (!tfm__finite(losses[i])) continue;
        put(d, "%s", pen ? "L" : "M");
        put_number(d, "%.1f", PANEL_X + PANEL * (count > 1 ? (double)i / (double)(count - 1) : 0));
        put(d, " ");
        put_number(d, "%.1f", y + CURVE_HEIGHT * (1 - losses[i] / most));
        pen = true;
    }
    put(d, "%s\"/>\n", pen ? "" : "M0 0");
}

static void put_curves(drawing *d) {
    const tfm_net_svg_options *o = d->options;
    double most = 0;
    for (size_t i = 0; i < o->loss_count; i++) {
        if (o->train_losses && tfm__finite(o->train_losses[i])) most = TFM__MAX(most, o->train_losses[i]);
        if (o->test_losses && tfm__finite(o->test_losses[i])) most = TFM__MAX(most, o->test_losses[i]);
    }
    if (!o->loss_count || !(o->train_losses || o->test_losses)) return;
    if (!(most > 0)) most = 1;
    put(d, "<rect");
    put_at(d, "x", PANEL_X);
    put_at(d, "y", TOP + PANEL + 44);
    put_at(d, "width", PANEL);
    put_at(d, "height", CURVE_HEIGHT);
    put(d, " fill=\"#f7f8fa\" stroke=\"#c3c9cf\" stroke-width=\"0.8\"/>\n");
    if (o->train_losses) put_curve(d, o->train_losses, most, "#8a949e");
    if (o->test_losses) put_curve(d, o->test_losses, most, "#101820");
    begin_text(d, PANEL_X, TOP + PANEL + 38, "font-size=\"11\" fill=\"#5a6672\"");
    put(d, "loss over %zu epochs (training grey, test black); top: ", o->loss_count);
    put_number(d, "%.3g", most);
    put(d, "</text>\n");
}

/* ---- The whole ---- */

static void put_head(drawing *d) {
    double train, test;
    tfm__net_measure(d->net, d->data, false, &train, NULL);
    tfm__net_measure(d->net, d->data, true, &test, NULL);
    put(d,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
        "font-family=\"Helvetica, Arial, sans-serif\" fill=\"#1c252c\">\n"
        "<rect width=\"%.0f\" height=\"%.0f\" fill=\"#ffffff\"/>\n",
        WIDTH, d->height, WIDTH, d->height, WIDTH, d->height);
    begin_text(d, 24, 34, "font-size=\"20\" font-weight=\"bold\"");
    put_foreign(d, d->options->title ? d->options->title : "Network");
    put(d, "</text>\n");
    begin_text(d, PANEL_X, 34, "font-size=\"15\"");
    put(d, "epoch %llu", (unsigned long long)d->net->epochs);
    put(d, "</text>\n");
    begin_text(d, PANEL_X, 56, "font-size=\"14\"");
    put(d, "test loss <tspan font-weight=\"bold\">");
    put_number(d, "%.4g", test);
    put(d, "</tspan>  training loss <tspan font-weight=\"bold\" fill=\"#6d7781\">");
    put_number(d, "%.4g", train);
    put(d, "</tspan></text>\n");
}

/* Room for the large map or the widest layer's small ones. */
static size_t most_cells(const drawing *d) {
    size_t most = (size_t)LARGE_CELLS * LARGE_CELLS * d->net->outputs;
    for (int l = -1; l < (int)drawn_layers(d); l++)
        most = TFM__MAX(most, (size_t)SMALL_CELLS * SMALL_CELLS * neurons(d, l));
    return most;
}

static void measure(drawing *d) {
    uint32_t tallest = drawn(d, -1);
    for (uint32_t l = 0; l < drawn_layers(d); l++) tallest = TFM__MAX(tallest, drawn(d, (int)l));
    d->column = NET_WIDTH / (drawn_layers(d) + 1);
    d->box = TFM__MIN(42.0, d->column * 0.55);
    d->height = TFM__MAX(TOP + PANEL + 44 + CURVE_HEIGHT + 24, TOP + tallest * PITCH + 24);
    d->span = 1;
    if (d->data->kind == TFM_NET_NUMBERS) {
        d->span = 0;
        for (size_t r = 0; r < d->data->rows; r++)
            d->span = TFM__MAX(d->span, fabs(d->data->targets[r * d->data->target_count]));
        if (!(d->span > 0)) d->span = 1;
    }
}

int32_t tfm__net_svg(tfm_net *net, const tfm_net_data *data, const tfm_net_svg_options *o, tfm_write_fn write,
                     void *user, tfm_error *error) {
    drawing d = {.net = net, .data = data, .options = o};
    int32_t rc = TFM_OK;
    tfm__buffer_init(&d.text, &net->heap);
    size_t cells = most_cells(&d), numbers = cells + data->columns + data->inputs;
    d.cells = tfm__alloc_array(&net->heap, numbers, sizeof *d.cells);
    if (!d.cells) return tfm__fail_memory(error, &net->heap, numbers * sizeof *d.cells);
    d.point = d.cells + cells;
    d.inputs = d.point + data->columns;
    measure(&d);
    put_head(&d);
    put_network(&d);
    put_panel(&d);
    put_curves(&d);
    put(&d, "</svg>\n");
    if (d.refused)
        rc = tfm__fail_memory(error, &net->heap, d.text.size);
    else if (write(user, d.text.data, d.text.size))
        rc = tfm__fail(error, TFM_E_CANCELLED, "stopped by the callback that receives the picture");
    tfm__buffer_free(&d.text);
    tfm__free(&net->heap, d.cells);
    return rc;
}
