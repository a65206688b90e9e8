/* split_pcre.c - regular expressions that no scanner of ours knows, on PCRE2. */
#include "tokenizer/split.h"

int32_t tfm__regex_compile(tfm__heap *heap, const char *pattern, size_t length, int syntax, const char *file,
                           tfm__regex **out, tfm_error *error) {
    (void)heap, (void)syntax;
    *out = NULL;
    return tfm__fail_at(error, TFM_E_UNSUPPORTED, file, NULL, TFM__NO_OFFSET,
                        "the regular expression %.*s needs a build with PCRE2", (int)TFM__MIN(length, 200u), pattern);
}

void tfm__regex_free(tfm__heap *heap, tfm__regex *regex) { tfm__free(heap, regex); }

void tfm__regex_scratch_free(tfm__heap *heap, tfm__regex_scratch *scratch) { tfm__free(heap, scratch); }

int32_t tfm__regex_find(const tfm__regex *regex, tfm__heap *heap, tfm__regex_scratch **scratch,
                        const uint8_t *text, size_t length, size_t from, size_t *begin, size_t *end, bool *found,
                        tfm_error *error) {
    (void)regex, (void)heap, (void)scratch, (void)text, (void)length, (void)from, (void)begin, (void)end;
    *found = false;
    return tfm__fail(error, TFM_E_UNSUPPORTED, "regular expressions need a build with PCRE2");
}
