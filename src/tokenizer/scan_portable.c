/* scan_portable.c - the scanners of many pieces in plain C: eight bytes are looked up in a table of classes,
 * and a product gathers one bit of each. Called through scan.c. */
#include "tokenizer/scan_body.h"

enum { LETTER = 1, NUMBER = 2, BLANK = 4, WHITE = 8, NEWLINE = 16, UPPER = 32, APOSTROPHE = 64, SLASH = 128 };

static const uint8_t classes[256] = {['\t'] = WHITE,
                                     ['\n'] = NEWLINE,
                                     ['\v'] = WHITE,
                                     ['\f'] = WHITE,
                                     ['\r'] = NEWLINE,
                                     [' '] = BLANK | WHITE,
                                     ['\''] = APOSTROPHE,
                                     ['/'] = SLASH,
#define THREE(first, class) [first] = class, [(first) + 1] = class, [(first) + 2] = class
                                     THREE('0', NUMBER),
                                     THREE('3', NUMBER),
                                     THREE('6', NUMBER),
                                     ['9'] = NUMBER,
#define LETTERS(a, class)                                                                                    \
    THREE(a, class), THREE(a + 3, class), THREE(a + 6, class), THREE(a + 9, class), THREE(a + 12, class),    \
        THREE(a + 15, class), THREE(a + 18, class), THREE(a + 21, class), [a + 24] = class, [a + 25] = class
                                     LETTERS('A', LETTER | UPPER),
                                     LETTERS('a', LETTER)};

/* Bit k of each of eight bytes, the first byte's lowest. */
static inline uint64_t gather(uint64_t bytes, unsigned k) {
    return ((bytes >> k & 0x0101010101010101u) * 0x0102040810204080u) >> 56;
}

static inline void classify(const uint8_t *text, bool cases, sets *s) {
    *s = (sets){0};
    for (unsigned i = 0; i < WINDOW; i += 8) {
        uint64_t c = 0, wide = 0;
        for (unsigned k = 0; k < 8; k++) {
            c |= (uint64_t)classes[text[i + k]] << 8 * k;
            wide |= (uint64_t)(text[i + k] >> 7) << k;
        }
        s->letter |= gather(c, 0) << i;
        s->number |= gather(c, 1) << i;
        s->blank |= gather(c, 2) << i;
        s->white |= gather(c, 3) << i;
        s->newline |= gather(c, 4) << i;
        s->upper |= cases ? gather(c, 5) << i : 0;
        s->apostrophe |= gather(c, 6) << i;
        s->slash |= cases ? gather(c, 7) << i : 0;
        s->wide |= wide << i;
    }
}

static inline void classify_han(const uint8_t *text, sets *s) {
    uint64_t most = 0, e4 = 0, e9 = 0, tail = 0, high = 0, bf = 0;
    for (unsigned i = 0; i < WINDOW; i++) {
        const uint8_t c = text[i];
        most |= (uint64_t)(c >= 0xe5 && c <= 0xe8) << i;
        e4 |= (uint64_t)(c == 0xe4) << i;
        e9 |= (uint64_t)(c == 0xe9) << i;
        tail |= (uint64_t)((c & 0xc0) == 0x80) << i;
        high |= (uint64_t)(c >= 0xb8 && c <= 0xbf) << i;
        bf |= (uint64_t)(c == 0xbf) << i;
    }
    put_han(s, most, e4, e9, tail, high, bf);
}

tfm__scan_fn *tfm__scan_for_portable(const tfm__stage *stage) { return scanner_of(stage); }
