/* compress.h - a text written in as few bits as the model is surprised by it: an arithmetic coder on the
 * model's probabilities (Rissanen 1976; Witten, Neal and Cleary 1987). */
#ifndef CLI_COMPRESS_H
#define CLI_COMPRESS_H

#include "cli.h"

typedef struct compress_result {
    size_t tokens;
    size_t bytes;     /* of the code */
    double surprise;  /* bits: the sum of -log2 of the tokens' probabilities */
    uint8_t *code;    /* [bytes], to be freed */
    int decoded_back; /* 1: the same ids came out */
} compress_result;

/* Codes the ids with at most `context` of them before each, decodes the code again, one token at a time, and
 * compares. begin: the token in front of texts, or below 0. Gives 0, or the exit status after the error was
 * said. */
int compress_text(cli_host *host, const int32_t *ids, size_t count, int32_t begin, uint32_t context,
                  compress_result *result);

#endif
