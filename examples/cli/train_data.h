/* train_data.h - what `tfm train` reads: texts as one stream of tokens, or batches from a safetensors file.
 */
#ifndef CLI_TRAIN_DATA_H
#define CLI_TRAIN_DATA_H

#include "cli.h"

typedef struct train_data {
    /* texts: rows of context + 1 tokens, each beginning with the last of the one before, in a shuffled order
     */
    int32_t *ids;
    size_t count, context;
    size_t all, windows; /* rows there are; the first ones of them, which are trained on */
    uint32_t *order;     /* [windows] of `epoch` */
    uint64_t epoch, seed;

    /* batches to be used as they are */
    char *file;
    const int32_t *batches; /* [steps, rows, length], or NULL */
    const float *rates;     /* [steps], or NULL */
    size_t steps, rows, length;
} train_data;

/* Opens the files: one ending in .safetensors, or texts. share: of the rows of texts, the last ones, that are
 * not trained on. 0, or the exit status after the error was said. */
int train_data_open(train_data *data, cli_host *host, const char *const *files, size_t count, size_t context,
                    uint64_t seed, double share);

/* Row number `index` of all that are ever asked for, context + 1 tokens. */
void train_data_row(train_data *data, uint64_t index, int32_t *row);

/* One of all rows of texts in the order of the text, context + 1 tokens. */
void train_data_window(const train_data *data, size_t window, int32_t *row);

void train_data_close(train_data *data);

#endif
