/* seen.h - what inspectors see of one text, kept whole: for cmd_compare.c, cmd_head.c and cmd_neurons.c. */
#ifndef CLI_SEEN_H
#define CLI_SEEN_H

#include "cli.h"

/* One site of some layers over the tokens of a text. site, layer (TFM_INSPECT_ALL: every one) and head
 * (TFM_INSPECT_ALL: side by side) are asked for; the rest is filled by seen_run. */
typedef struct seen {
    int32_t site, layer, head;
    size_t tokens, columns;
    int layer0, layers;
    float *values; /* [layers, tokens, columns], zeros where nothing was seen; NULL: nothing at all */
    int failed;    /* no memory, or other columns than before */
} seen;

/* A token's values in a layer (0 for the first that was asked for). */
static inline const float *seen_at(const seen *s, int layer, size_t token) {
    return s->values + ((size_t)layer * s->tokens + token) * s->columns;
}

/* Runs the model once over the tokens, without logits; of an encoder its rows look both ways. 0, or the exit
 * status after the error was said. seen_free belongs behind it in either case. */
int seen_run(cli_host *host, const cli_open_options *open, const int32_t *tokens, size_t count, seen *sites,
             size_t site_count);
void seen_free(seen *sites, size_t site_count);

/* cos of the angle between two vectors; 0 if one has no length. */
double seen_cosine(const float *a, const float *b, size_t n);
/* Length of the difference. */
double seen_distance(const float *a, const float *b, size_t n);

#endif
