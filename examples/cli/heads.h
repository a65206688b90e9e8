/* heads.h - attention's probabilities of some layers and heads over the tokens of a text; collected by
 * cmd_attention.c, drawn by heads_draw.c. */
#ifndef CLI_HEADS_H
#define CLI_HEADS_H

#include "draw.h"

#include <stddef.h>
#include <stdio.h>

typedef struct heads {
    size_t tokens;      /* T */
    int layer0, layers; /* those that are shown */
    int head0, heads;
    int both;                 /* tokens see those behind them too */
    float *weights;           /* [layers, heads, T, T] */
    const draw_label *labels; /* [T] */
} heads;

static inline const float *heads_at(const heads *h, int layer, int head) {
    return h->weights + ((size_t)layer * (size_t)h->heads + (size_t)head) * h->tokens * h->tokens;
}

/* How many tokens token q may see. */
static inline size_t heads_seen(const heads *h, size_t q) { return h->both ? h->tokens : q + 1; }

/* One head: a row for each token, a column for each token that it may look at. columns: of the terminal. */
void heads_print_one(const heads *h, int color, int columns);
/* Several: small squares side by side, without labels. */
void heads_print_grid(const heads *h, int color, int columns);
void heads_svg(const heads *h, FILE *out, const char *name);

#endif
