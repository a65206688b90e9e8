/* scan.c - which scanner of many pieces is used, and the one that takes them singly. Called by bpe_text.c. */
#include "tokenizer/scan.h"

#include "base/cpu.h"

size_t tfm__scan_single(const tfm__stage *stage, const uint8_t *text, size_t length, uint32_t *ends,
                        size_t most) {
    size_t n = 0, at = 0;
    while (n < most && at < length) {
        size_t piece = tfm__split_next(stage, text + at, length - at);
        if (piece > TFM__SCAN_BYTES - at) {
            if (n == 0) ends[n++] = 0;
            break;
        }
        at += piece;
        ends[n++] = (uint32_t)at;
    }
    return n;
}

tfm__scan_fn *tfm__scan_for(const tfm_tokenizer *tokenizer, const tfm__stage *stage) {
    (void)tokenizer; /* where only the portable one is built */
    tfm__scan_fn *found = NULL;
#if defined(__x86_64__)
    if (tokenizer->isa == TFM__ISA_AVX512) found = tfm__scan_for_avx512(stage);
    if (tokenizer->isa == TFM__ISA_AVX2) found = tfm__scan_for_avx2(stage);
#endif
    if (!found) found = tfm__scan_for_portable(stage);
    return found ? found : tfm__scan_single;
}

size_t tfm__scan_utf8(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length) {
    size_t valid = 0;
#if defined(__x86_64__)
    if (tokenizer->isa == TFM__ISA_AVX512 || tokenizer->isa == TFM__ISA_AVX2)
        valid = tfm__scan_utf8_avx2(text, length);
#endif
    (void)tokenizer;
    return valid + tfm__utf8_valid(text + valid, length - valid);
}
