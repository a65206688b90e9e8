/* draw.c - see draw.h. */
#include "draw.h"

#include <string.h>

/* ---- Labels ---- */

/* The character at p and its length; *length 0: no complete one. */
static uint32_t character(const unsigned char *p, size_t left, size_t *length) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    uint32_t c = n == 1 ? p[0] : n ? p[0] & (0x7Fu >> n) : 0;
    *length = 0;
    if (n == 0 || n > left) return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    if (c < least[n] || (c >= 0xD800 && c < 0xE000) || c > 0x10FFFF) return 0;
    *length = n;
    return c;
}

static int in_ranges(uint32_t c, const uint32_t (*ranges)[2], size_t count) {
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return 1;
    return 0;
}

/* Columns of a character (Unicode's East Asian Width, UAX 11, in coarse ranges); marks take none, and what
 * leaves no sign of its own is -1. */
static int columns_of(uint32_t c) {
    static const uint32_t none[][2] = {
        {0x300, 0x36F},   {0x483, 0x489},   {0x591, 0x5BD},   {0x610, 0x61A},
        {0x64B, 0x65F},   {0x900, 0x902},   {0xE31, 0xE31},   {0xE34, 0xE3A},
        {0xE47, 0xE4E},   {0x1AB0, 0x1AFF}, {0x20D0, 0x20F0}, {0x302A, 0x302D},
        {0x3099, 0x309A}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xE0100, 0xE01EF}};
    static const uint32_t hidden[][2] = {{0, 0x1F},          {0x7F, 0xA0},       {0xAD, 0xAD},
                                         {0x200B, 0x200F},   {0x2028, 0x202F},   {0x205F, 0x206F},
                                         {0xE000, 0xF8FF},   {0xFEFF, 0xFEFF},   {0xFFF0, 0xFFFB},
                                         {0xE0000, 0xE00FF}, {0xF0000, 0x10FFFF}};
    static const uint32_t wide[][2] = {
        {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2E80, 0x303E},   {0x3041, 0x33FF},   {0x3400, 0x4DBF},
        {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
        {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x16FE0, 0x18CFF}, {0x1B000, 0x1B2FF},
        {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1FAFF}, {0x20000, 0x3FFFD}};
    if (in_ranges(c, hidden, sizeof hidden / sizeof hidden[0])) return -1;
    if (in_ranges(c, none, sizeof none / sizeof none[0])) return 0;
    return in_ranges(c, wide, sizeof wide / sizeof wide[0]) ? 2 : 1;
}

/* The next sign of a token: its bytes in sign (ending in NUL), its columns; how many bytes it stands for. */
static size_t next_sign(const unsigned char *p, size_t left, char sign[8], int *columns) {
    size_t n;
    uint32_t c = character(p, left, &n);
    const char *special = n == 0 ? NULL : c == ' ' ? "␣" : c == '\n' ? "⏎" : c == '\t' ? "⇥" : NULL;
    *columns = n ? columns_of(c) : -1;
    if (special) {
        snprintf(sign, 8, "%s", special);
        *columns = 1;
        return n;
    }
    if (*columns < 0) { /* byte by byte */
        snprintf(sign, 8, "\\x%02X", p[0]);
        *columns = 4;
        return 1;
    }
    memcpy(sign, p, n);
    sign[n] = 0;
    return n;
}

draw_label draw_label_of(const char *bytes, size_t length, int columns) {
    draw_label label = {"", 0};
    const unsigned char *p = (const unsigned char *)bytes;
    size_t used = 0, kept = 0;
    int kept_columns = 0; /* where … could still be put */
    for (size_t i = 0; i < length;) {
        char sign[8];
        int wide;
        i += next_sign(p + i, length - i, sign, &wide);
        size_t n = strlen(sign);
        if (label.columns + wide > columns || used + n + 4 > DRAW_LABEL) {
            memcpy(label.text + kept, "…", sizeof "…");
            label.columns = kept_columns + 1;
            return label;
        }
        memcpy(label.text + used, sign, n + 1);
        used += n;
        label.columns += wide;
        if (label.columns < columns) kept = used, kept_columns = label.columns;
    }
    return label;
}

void draw_text(FILE *out, const draw_label *label, int columns, int right) {
    int space = columns > label->columns ? columns - label->columns : 0;
    fprintf(out, "%*s%s%*s", right ? space : 0, "", label->text, right ? 0 : space, "");
}

/* ---- Colours ---- */

/* From white over blue to near black, evenly darker; white is nothing. */
static const unsigned char ramp[][3] = {{255, 255, 255}, {222, 235, 247}, {170, 207, 230}, {107, 174, 214},
                                        {49, 130, 189},  {8, 81, 156},    {8, 40, 90}};

static void color_of(double share, int rgb[3]) {
    const int last = (int)(sizeof ramp / sizeof ramp[0]) - 1;
    double at = (share > 0 ? share < 1 ? share : 1 : 0) * last; /* NaN is 0 */
    int i = (int)at < last ? (int)at : last - 1;
    for (int k = 0; k < 3; k++) rgb[k] = (int)(ramp[i][k] + (at - i) * (ramp[i + 1][k] - ramp[i][k]) + 0.5);
}

int draw_is_dark(double share) { return share > 0.45; }

void draw_color(FILE *out, double share) {
    int rgb[3];
    color_of(share, rgb);
    fprintf(out, "\033[48;2;%d;%d;%d;38;5;%dm", rgb[0], rgb[1], rgb[2], draw_is_dark(share) ? 231 : 16);
}

void draw_plain(FILE *out) { fputs("\033[0m", out); }

/* ---- SVG ---- */

static void put_escaped(FILE *out, const char *text) {
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            putc(*text, out);
        }
    }
}

void draw_svg_begin(FILE *out, double width, double height, const char *title) {
    fprintf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
        "font-family=\"'Noto Sans', 'DejaVu Sans', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', "
        "'WenQuanYi Zen Hei', sans-serif\">\n<title>",
        width, height, width, height);
    put_escaped(out, title);
    fputs("</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n", out);
}

void draw_svg_end(FILE *out) { fputs("</svg>\n", out); }

void draw_svg_text(FILE *out, double x, double y, double size, const char *anchor, double turn,
                   const char *color, const char *text) {
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.1f\" text-anchor=\"%s\" fill=\"%s\"", x, y, size,
            anchor, color);
    if (turn != 0) fprintf(out, " transform=\"rotate(%.0f %.1f %.1f)\"", turn, x, y);
    putc('>', out);
    put_escaped(out, text);
    fputs("</text>\n", out);
}

void draw_svg_color(double share, char out[8]) {
    int rgb[3];
    color_of(share, rgb);
    snprintf(out, 8, "#%02x%02x%02x", (unsigned)rgb[0] & 255, (unsigned)rgb[1] & 255, (unsigned)rgb[2] & 255);
}

void draw_svg_cell(FILE *out, double x, double y, double width, double height, double share,
                   const char *tooltip) {
    char color[8];
    draw_svg_color(share, color);
    fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"", x, y, width,
            height, color);
    if (!tooltip) {
        fputs("/>\n", out);
        return;
    }
    fputs("><title>", out);
    put_escaped(out, tooltip);
    fputs("</title></rect>\n", out);
}

void draw_svg_scale(FILE *out, double x, double y) {
    for (int i = 0; i < 40; i++) draw_svg_cell(out, x + 4 * i, y, 4.3, 10, i / 39.0, NULL);
    fprintf(out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"160\" height=\"10\" fill=\"none\" stroke=\"#c9ced6\"/>\n", x,
            y);
    draw_svg_text(out, x - 5, y + 9, 10, "end", 0, "#57606a", "0");
    draw_svg_text(out, x + 166, y + 9, 10, "start", 0, "#57606a", "1");
}
