/* draw.h - tokens as labels and probabilities as colours, in the terminal and as SVG: what `tfm attention`
 * and `tfm lens` draw with. A column is the width of an ASCII character; ideographs take two. */
#ifndef CLI_DRAW_H
#define CLI_DRAW_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DRAW_LABEL 64 /* bytes of a label, its NUL included */

/* One token as it is shown: UTF-8, with signs for what cannot be seen. */
typedef struct draw_label {
    char text[DRAW_LABEL];
    int columns;
} draw_label;

/* A label of at most `columns` columns (2 to 40): a space is ␣, a line end ⏎, a tabulator ⇥; controls and
 * bytes that are no character are written as \xE5; longer ones end with … . */
draw_label draw_label_of(const char *bytes, size_t length, int columns);

/* The label in a field of `columns` columns. */
void draw_text(FILE *out, const draw_label *label, int columns, int right);

/* Background (and a foreground that can be read on it) for a share between 0 and 1, and back to normal. */
void draw_color(FILE *out, double share);
void draw_plain(FILE *out);

/* ---- SVG ---- */

/* Opens a picture with a white ground, so that it can be read anywhere; sizes in pixels. */
void draw_svg_begin(FILE *out, double width, double height, const char *title);
void draw_svg_end(FILE *out);
/* Text with its baseline at x, y; anchor is "start", "middle" or "end"; turn in degrees. */
void draw_svg_text(FILE *out, double x, double y, double size, const char *anchor, double turn,
                   const char *color, const char *text);
/* A cell with a tooltip (NULL: none). */
void draw_svg_cell(FILE *out, double x, double y, double width, double height, double share,
                   const char *tooltip);
/* The colour of a share as #rrggbb. */
void draw_svg_color(double share, char out[8]);
/* Whether text on it should be white. */
int draw_is_dark(double share);
/* The scale from 0 to 1, its left end at x; 160 wide. */
void draw_svg_scale(FILE *out, double x, double y);

#endif
