/* regex_translate.h - regular expressions of other engines in PCRE2's language, for split_pcre.c. */
#ifndef TFM__REGEX_TRANSLATE_H
#define TFM__REGEX_TRANSLATE_H

#include "tokenizer/split.h"

/* Appends the translation of an expression (enum tfm__regex_syntax) to out. Errors: TFM_E_UNSUPPORTED for
 * what is not translated, named; TFM_E_FORMAT; TFM_E_MEMORY. */
int32_t tfm__regex_translate(const char *pattern, size_t length, int syntax, const char *file,
                             tfm__buffer *out, tfm_error *error);

#endif
