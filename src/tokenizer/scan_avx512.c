/* scan_avx512.c - the scanners of many pieces with AVX-512: a window is one register. Called through scan.c.
 */
#include <immintrin.h>

#include "tokenizer/scan_body.h"

static inline __mmask64 between(__m512i v, uint8_t first, uint8_t last) {
    return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8((char)first)),
                                  _mm512_set1_epi8((char)(last - first + 1)));
}

static inline __mmask64 equal(__m512i v, char c) { return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(c)); }

static inline void classify(const uint8_t *text, bool cases, sets *s) {
    const __m512i v = _mm512_loadu_si512(text);
    s->letter = between(_mm512_or_si512(v, _mm512_set1_epi8(0x20)), 'a', 'z');
    s->number = between(v, '0', '9');
    s->blank = equal(v, ' ');
    s->newline = equal(v, '\n') | equal(v, '\r');
    s->white = s->blank | (between(v, '\t', '\r') & ~s->newline);
    s->apostrophe = equal(v, '\'');
    s->wide = _mm512_movepi8_mask(v);
    s->upper = cases ? between(v, 'A', 'Z') : 0;
    s->slash = cases ? equal(v, '/') : 0;
}

static inline void classify_han(const uint8_t *text, sets *s) {
    const __m512i v = _mm512_loadu_si512(text);
    put_han(s, between(v, 0xe5, 0xe8), equal(v, (char)0xe4), equal(v, (char)0xe9), between(v, 0x80, 0xbf),
            between(v, 0xb8, 0xbf), equal(v, (char)0xbf));
}

tfm__scan_fn *tfm__scan_for_avx512(const tfm__stage *stage) { return scanner_of(stage); }
