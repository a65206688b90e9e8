/* scan_avx2.c - the scanners of many pieces with AVX2: a window is two registers. Called through scan.c. */
#include <immintrin.h>

#include "tokenizer/scan_body.h"

typedef struct window {
    __m256i low, high;
} window;

static inline uint64_t bits(__m256i low, __m256i high) {
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

static inline uint64_t equal(window v, char c) {
    const __m256i wanted = _mm256_set1_epi8(c);
    return bits(_mm256_cmpeq_epi8(v.low, wanted), _mm256_cmpeq_epi8(v.high, wanted));
}

/* Bytes in first .. last, by signed comparison of what was moved to the bottom. */
static inline uint64_t between(window v, uint8_t first, uint8_t last) {
    const __m256i move = _mm256_set1_epi8((char)(0x80 - first)), end = _mm256_set1_epi8((char)(0x80 + last - first + 1));
    return bits(_mm256_cmpgt_epi8(end, _mm256_add_epi8(v.low, move)), _mm256_cmpgt_epi8(end, _mm256_add_epi8(v.high, move)));
}

static inline void classify(const uint8_t *text, bool cases, sets *s) {
    const window v = {_mm256_loadu_si256((const __m256i *)(const void *)text),
                      _mm256_loadu_si256((const __m256i *)(const void *)(text + 32))};
    const __m256i fold = _mm256_set1_epi8(0x20);
    const window folded = {_mm256_or_si256(v.low, fold), _mm256_or_si256(v.high, fold)};
    s->letter = between(folded, 'a', 'z');
    s->number = between(v, '0', '9');
    s->blank = equal(v, ' ');
    s->newline = equal(v, '\n') | equal(v, '\r');
    s->white = s->blank | (between(v, '\t', '\r') & ~s->newline);
    s->apostrophe = equal(v, '\'');
    s->wide = bits(v.low, v.high);
    s->upper = cases ? between(v, 'A', 'Z') : 0;
    s->slash = cases ? equal(v, '/') : 0;
}

tfm__scan_fn *tfm__scan_for_avx2(const tfm__stage *stage) { return scanner_of(stage); }
