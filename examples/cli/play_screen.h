/* play_screen.h - the playground as a screen of coloured characters: a canvas of cells, and what play_live.c
 * draws on it. */
#ifndef CLI_PLAY_SCREEN_H
#define CLI_PLAY_SCREEN_H

#include "play.h"

typedef struct screen_cell {
    char text[5]; /* one UTF-8 character of width 1 */
    uint8_t fore[3], back[3];
} screen_cell;

typedef struct screen {
    int width, height;
    screen_cell *cells,
        *shown; /* [height, width]; shown: what the terminal has, or unknown after a change of size */
    int known;
    int colours; /* 1: 24 bits, 0: the 256 of xterm */
} screen;

/* What the user looks at, beside the settings. */
typedef struct play_look {
    int running, show_test, discretise;
    int layer,
        neuron; /* the chosen neuron: hidden layers from 0 on; the output: layer = hidden_count, neuron 0 */
    const char *message; /* or NULL */
} play_look;

#define SCREEN_MOST 1000 /* columns and rows that are used at most */

/* 0, or -1 without memory. */
int screen_resize(screen *s, int width, int height);
void screen_free(screen *s);
/* Writes what has changed to standard output. */
void screen_show(screen *s);

/* Draws the whole; 0, or -1 with p->error filled. */
int screen_draw(screen *s, play *p, const play_look *look);

#endif
