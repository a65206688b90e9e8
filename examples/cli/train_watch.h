/* train_watch.h - how good a model in training is: its loss on text that it is not trained on, and samples of
 * what it writes. Neither changes the run. */
#ifndef CLI_TRAIN_WATCH_H
#define CLI_TRAIN_WATCH_H

#include "train_data.h"

/* Rows that are never trained on. */
typedef struct train_held {
    int32_t *tokens; /* [rows, context + 1] */
    uint8_t *mask;   /* the same; NULL: all count */
    tfm_train_batch *batches;
    size_t count; /* of batches; 0: nothing is held out */
} train_held;

/* The windows of data from `first` on, in batches of `rows`. 0, or the exit status after the error was said.
 */
int train_held_open(train_held *held, const char *command, const train_data *data, size_t first, size_t rows);
/* Their loss under the weights as they are. 0, or the exit status after the error was said. */
int train_held_loss(const train_held *held, cli_host *host, tfm_trainer *trainer, double *loss);
void train_held_close(train_held *held);

/* What the weights as they are make of a prompt: the prompt and what they write, to be freed. The same
 * weights and seed give the same text. 0, or the exit status after the error was said. */
int train_sample(cli_host *host, tfm_trainer *trainer, const char *prompt, uint64_t tokens, uint64_t seed,
                 char **text, size_t *length);

#endif
