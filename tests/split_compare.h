/* split_compare.h - our scanners beside the regular expressions that they stand for, run by PCRE2: for the
 * test and the fuzzing harness. */
#ifndef SPLIT_COMPARE_H
#define SPLIT_COMPARE_H

#include <stdio.h>
#include <stdlib.h>

#include "tokenizer/split_known.h"
#include "tokenizer/unicode.h"

typedef struct compared {
    const char *name, *regex;
    const tfm__stage *stage;
    int syntax;
} compared;

static const compared compared_rows[] = {
    {"gpt2", GPT2_REGEX, &tfm__gpt2, TFM__REGEX_ONIGURUMA},
    {"llama3", CI_HF "|" CL100K_HF("\\p{N}{1,3}"), &tfm__llama3, TFM__REGEX_ONIGURUMA},
    {"cl100k",
     "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| "
     "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]"
     "|\\s+(?!\\S)|\\s",
     &tfm__cl100k, TFM__REGEX_RUST},
    {"qwen2", CI_HF "|" CL100K_HF("\\p{N}"), &tfm__qwen2, TFM__REGEX_ONIGURUMA},
    {"qwen35",
     CI_HF "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*"
           "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     &tfm__qwen35, TFM__REGEX_ONIGURUMA},
    {"ufakzeka", CL100K_HF("\\p{N}"), &tfm__ufakzeka, TFM__REGEX_ONIGURUMA},
    {"minicpm5", CI_HF "|" CL100K_HF("\\p{N}+"), &tfm__digit_runs, TFM__REGEX_ONIGURUMA},
    {"o200k", O200K_HF(CI_HF "?", "\\p{N}{1,3}"), &tfm__o200k, TFM__REGEX_ONIGURUMA},
    {"youtu", O200K_HF(CI_HF "?", "\\p{N}"), &tfm__o200k_single, TFM__REGEX_ONIGURUMA},
    {"tekken", O200K_HF("", "\\p{N}"), &tfm__tekken, TFM__REGEX_ONIGURUMA},
    {"deepseek-v3",
     "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
     "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     &tfm__deepseek, TFM__REGEX_ONIGURUMA},
    {"numbers by 3", "\\p{N}{1,3}", &tfm__numbers_by_3, TFM__REGEX_ONIGURUMA},
    {"numbers", "\\p{N}+", &tfm__numbers, TFM__REGEX_ONIGURUMA},
    {"number", "\\p{N}", &tfm__number, TFM__REGEX_ONIGURUMA},
};

/* Compares all pieces of a well-formed text, matches and what lies between them. Returns the place of the
 * first difference, or SIZE_MAX. */
static inline size_t compare_pieces(const compared *row, const tfm__regex *regex, tfm__heap *heap,
                                    tfm__regex_scratch **scratch, const uint8_t *text, size_t length) {
    for (size_t at = 0; at < length;) {
        size_t begin = length, end = length, piece = tfm__split_next(row->stage, text + at, length - at);
        bool found;
        if (tfm__regex_find(regex, heap, scratch, text, length, at, &begin, &end, &found, NULL)) return at;
        if (!found) begin = end = length;
        if (begin > at) end = begin; /* a gap is a piece */
        if (at + piece != end) return at;
        at = end;
    }
    return SIZE_MAX;
}

#endif
