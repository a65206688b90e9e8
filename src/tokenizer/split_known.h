/* split_known.h - the stages of published tokenizers, and their regular expressions as tokenizer.json spells
 * them. For split_names.c (files that bring an expression) and split_pre.c (files that bring a name). */
#ifndef TFM__SPLIT_KNOWN_H
#define TFM__SPLIT_KNOWN_H

#include "tokenizer/split.h"

static const tfm__stage tfm__gpt2 = {.kind = TFM__SPLIT_GPT2};
static const tfm__stage tfm__llama3 = {.kind = TFM__SPLIT_CL100K, .digits = 3, .contractions = true};
static const tfm__stage tfm__cl100k = {
    .kind = TFM__SPLIT_CL100K, .digits = 3, .contractions = true, .whole_tail = true};
static const tfm__stage tfm__qwen2 = {.kind = TFM__SPLIT_CL100K, .digits = 1, .contractions = true};
static const tfm__stage tfm__qwen35 = {
    .kind = TFM__SPLIT_CL100K, .digits = 1, .contractions = true, .marks = true};
static const tfm__stage tfm__ufakzeka = {.kind = TFM__SPLIT_CL100K, .digits = 1};
static const tfm__stage tfm__o200k = {.kind = TFM__SPLIT_O200K, .digits = 3, .contractions = true};
static const tfm__stage tfm__o200k_single = {.kind = TFM__SPLIT_O200K, .digits = 1, .contractions = true};
static const tfm__stage tfm__digit_runs = {.kind = TFM__SPLIT_CL100K, .digits = 0, .contractions = true};
static const tfm__stage tfm__tekken = {.kind = TFM__SPLIT_O200K, .digits = 1};
static const tfm__stage tfm__deepseek = {.kind = TFM__SPLIT_DEEPSEEK};
static const tfm__stage tfm__cjk = {.kind = TFM__SPLIT_CJK};
static const tfm__stage tfm__number = {.kind = TFM__SPLIT_NUMBERS, .digits = 1};
static const tfm__stage tfm__numbers_by_3 = {.kind = TFM__SPLIT_NUMBERS, .digits = 3};
static const tfm__stage tfm__numbers = {.kind = TFM__SPLIT_NUMBERS};
static const tfm__stage tfm__punctuation = {.kind = TFM__SPLIT_PUNCTUATION};
static const tfm__stage tfm__punctuation_no_grave = {.kind = TFM__SPLIT_PUNCTUATION_NO_GRAVE};
static const tfm__stage tfm__byte_digits = {.kind = TFM__SPLIT_BYTE_DIGITS};
static const tfm__stage tfm__ascii_digits = {.kind = TFM__SPLIT_ASCII_DIGITS};

#define GPT2_REGEX "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define CI_HF "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define CL100K_HF(digits)                                                                                    \
    "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CL100K_OLD(digits)                                                                                   \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|" digits                                           \
    "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define O200K_UPPER "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define O200K_LOWER "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"
#define O200K_HF(suffix, digits)                                                                             \
    "[^\\r\\n\\p{L}\\p{N}]?[" O200K_UPPER "]*[" O200K_LOWER "]+" suffix                                      \
    "|[^\\r\\n\\p{L}\\p{N}]?[" O200K_UPPER "]+[" O200K_LOWER "]*" suffix "|" digits                          \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#endif
