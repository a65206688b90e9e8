/* heads_rank.h - from one token to another: which heads look that way. */
#ifndef CLI_HEADS_RANK_H
#define CLI_HEADS_RANK_H

#include "cli.h"
#include "heads.h"

/* The token of a text that an option names: #N the N-th, from 0; otherwise the last one that is the text, or
 * else the last one that holds it. 0, or the exit status after the error was said. */
int heads_find(cli_host *host, const char *option, const char *text, const cli_piece *pieces, size_t count,
               size_t *token);

/* Prints the heads by how much `from` looks at `to`, and which of them look at the first token only. */
int heads_rank(cli_host *host, const heads *h, const int32_t *ids, const cli_piece *pieces, size_t from,
               size_t to, int json);

#endif
