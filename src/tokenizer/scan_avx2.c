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
    const __m256i move = _mm256_set1_epi8((char)(0x80 - first)),
                  end = _mm256_set1_epi8((char)(0x80 + last - first + 1));
    return bits(_mm256_cmpgt_epi8(end, _mm256_add_epi8(v.low, move)),
                _mm256_cmpgt_epi8(end, _mm256_add_epi8(v.high, move)));
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

static inline void classify_han(const uint8_t *text, sets *s) {
    const window v = {_mm256_loadu_si256((const __m256i *)(const void *)text),
                      _mm256_loadu_si256((const __m256i *)(const void *)(text + 32))};
    put_han(s, between(v, 0xe5, 0xe8), equal(v, (char)0xe4), equal(v, (char)0xe9), between(v, 0x80, 0xbf),
            between(v, 0xb8, 0xbf), equal(v, (char)0xbf));
}

tfm__scan_fn *tfm__scan_for_avx2(const tfm__stage *stage) { return scanner_of(stage); }

/* ---- UTF-8 ---- */

/* What may be wrong with two neighbouring bytes; something is if all three look-ups, of either half of the
 * first and of the second's upper half, agree on it. Source: Keiser and Lemire, Validating UTF-8 in less than
 * one instruction per byte, 2021. */
enum {
    SHORT = 1,       /* a lead byte without enough bytes behind it */
    LONG = 2,        /* ASCII and a byte that continues nothing */
    OVERLONG_3 = 4,  /* E0 80-9F */
    TOO_LARGE = 8,   /* F4 90-BF, F5-FF 90-BF */
    SURROGATE = 16,  /* ED A0-BF */
    OVERLONG_2 = 32, /* C0-C1 */
    OVERLONG_4 = 64, /* F0 80-8F, and F5-FF 80-8F, which is too large */
    TWO = 128,       /* two continuing bytes: wrong unless a longer sequence asks for them */
    ANY = SHORT | LONG | TWO
};

static inline __m256i lookup(__m256i indexes, __m128i table) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), indexes);
}

static inline __m256i upper_half(__m256i v) {
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}

/* Non-zero where the 32 bytes at text, before which three can be read, are not what the bytes before them ask
 * for. */
static inline __m256i faults(const uint8_t *text) {
    static const uint8_t tables[3][16] = {
        {LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, TWO, TWO, TWO, TWO, SHORT | OVERLONG_2, SHORT,
         SHORT | OVERLONG_3 | SURROGATE, SHORT | TOO_LARGE | OVERLONG_4},
#define LARGE (ANY | TOO_LARGE | OVERLONG_4)
        {ANY | OVERLONG_3 | OVERLONG_2 | OVERLONG_4, ANY | OVERLONG_2, ANY, ANY, ANY | TOO_LARGE, LARGE,
         LARGE, LARGE, LARGE, LARGE, LARGE, LARGE, LARGE, LARGE | SURROGATE, LARGE, LARGE},
#define CONTINUES (LONG | OVERLONG_2 | TWO)
        {SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, CONTINUES | OVERLONG_3 | OVERLONG_4,
         CONTINUES | OVERLONG_3 | TOO_LARGE, CONTINUES | SURROGATE | TOO_LARGE,
         CONTINUES | SURROGATE | TOO_LARGE, SHORT, SHORT, SHORT, SHORT}};
    const __m128i *table = (const __m128i *)(const void *)tables;
    const __m256i here = _mm256_loadu_si256((const __m256i *)(const void *)text);
    const __m256i one = _mm256_loadu_si256((const __m256i *)(const void *)(text - 1));
    const __m256i two = _mm256_loadu_si256((const __m256i *)(const void *)(text - 2));
    const __m256i three = _mm256_loadu_si256((const __m256i *)(const void *)(text - 3));
    const __m256i one_lower = _mm256_and_si256(one, _mm256_set1_epi8(15));
    const __m256i wrong = _mm256_and_si256(_mm256_and_si256(lookup(upper_half(one), _mm_loadu_si128(table)),
                                                            lookup(one_lower, _mm_loadu_si128(table + 1))),
                                           lookup(upper_half(here), _mm_loadu_si128(table + 2)));
    /* third bytes behind E0-FF and fourth bytes behind F0-FF must be the second of two continuing ones */
    const __m256i asked = _mm256_or_si256(_mm256_subs_epu8(two, _mm256_set1_epi8((char)(0xe0 - 0x80))),
                                          _mm256_subs_epu8(three, _mm256_set1_epi8((char)(0xf0 - 0x80))));
    return _mm256_xor_si256(wrong, _mm256_and_si256(asked, _mm256_set1_epi8((char)0x80)));
}

size_t tfm__scan_utf8_avx2(const uint8_t *text, size_t length) {
    size_t i = 0;
    if (length < 64) return 0;
    while (i < 3) { /* the first bytes one by one */
        uint32_t used;
        if (tfm__utf8_read(text + i, length - i, &used) == TFM__NO_CODE) return i;
        i += used;
    }
    for (; length - i >= 32; i += 32) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(text + i));
        if (!_mm256_movemask_epi8(v) && text[i - 1] < 0x80) continue;
        const __m256i wrong = faults(text + i);
        if (!_mm256_testz_si256(wrong, wrong)) break;
    }
    /* back to the front of the character that i may lie in */
    for (size_t back = 1; back <= 3 && text[i - back] >= 0x80; back++)
        if (text[i - back] >= 0xc0) return i - back;
    return i;
}
