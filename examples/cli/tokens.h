/* tokens.h - what cmd_tokens.c and tokens_bench.c share. */
#ifndef CLI_TOKENS_H
#define CLI_TOKENS_H

#include "cli.h"

typedef struct tokens_options {
    cli_prompt prompt;
    cli_tokenizer_options tokenizer;
    int no_special, json, count, offsets, ids, bench;
    int special;      /* TFM_SPECIAL_* */
    int invalid_utf8; /* TFM_DEFAULT or TFM_UTF8_* */
    arg_u64 threads;
} tokens_options;

/* Measures with the text of the options and prints the figures. 0, or the exit status after the error was
 * said. */
int cli_tokens_bench(cli_host *host, const char *file, const tokens_options *options,
                     const tfm_tokenize_options *how);

#endif
