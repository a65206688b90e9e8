/* beams.h - beam search as `tfm run` and `tfm translate` do it: their common options, and writing what is
 * found. */
#ifndef CLI_BEAMS_H
#define CLI_BEAMS_H

#include "cli.h"

typedef struct cli_beams {
    arg_u64 beams, best, no_repeat;
    arg_f64 length_penalty;
} cli_beams;

#define CLI_OPTION_BEAMS(b)                                                                                  \
    {                                                                                                        \
        'b', "beams", ARG_U64, &(b)->beams, "N",                                                             \
            "beam search: the best text that N beams find, not a token at a time", 1, 256, NULL              \
    }
#define CLI_OPTION_N_BEST(b)                                                                                 \
    {                                                                                                        \
        0, "n-best", ARG_U64, &(b)->best, "K", "beams: print the K best, each behind its score (default 1)", \
            1, 256, NULL                                                                                     \
    }
#define CLI_OPTION_LENGTH_PENALTY(b)                                                                         \
    {                                                                                                        \
        0, "length-penalty", ARG_F64, &(b)->length_penalty, "X",                                             \
            "beams: scores are divided by the length to this power (default 1)", -10, 10, NULL               \
    }
#define CLI_OPTION_NO_REPEAT(b)                                                                              \
    {                                                                                                        \
        0, "no-repeat", ARG_U64, &(b)->no_repeat, "N",                                                       \
            "beams: no run of N tokens comes twice (default 0: any may)", 0, 4294967295.0, NULL              \
    }

/* Options that make no sense without --beams, or do not fit it. 0, or the exit status after saying so. */
int cli_beams_check(const char *command, const cli_beams *options);

/* Searches behind the prompt (may be empty) in the host's session and prints: the best text; with --n-best a
 * line for each, score and text with a tab between; with json a line of JSON for each. most 0: until the end.
 */
int cli_beams_write(cli_host *host, const cli_beams *options, const tfm_token *prompt, size_t count,
                    uint64_t most, int special, int json);

#endif
