/* scan_body.h - the scanners GPT2, CL100K and O200K on sets of 64 bytes; included by scan_portable.c,
 * scan_avx2.c and scan_avx512.c, which say how the sets are made (classify) and give the functions their
 * names.
 *
 * A window is 64 bytes that begin at the front of a piece. Bit i of a set says that byte i belongs to a
 * class; all bytes of a character have its class. No expression looks back, so that the pieces of a window
 * depend on nothing before it, and shifts and sums of sets give the fronts of all pieces at once:
 * - a run of letters, numbers or other signs begins a piece, unless what stands before it goes with it: one
 * space; for letters (CL100K, O200K) any white space but newlines, or one other sign that begins a piece;
 * - white space begins a piece at its front, behind its last newline (CL100K, O200K), and at its last
 * character if something else follows;
 * - newlines straight behind other signs go with them (CL100K, O200K).
 * Contractions, long runs of digits, and spaces before newlines within white space are seen to one by one. A
 * window ends before anything else that is unusual (numbers and white space outside ASCII, marks and mixed
 * scripts in O200K), which is left to tfm__split_next, as is the end of the text. What depends on bytes
 * behind the window is not decided: fronts up to the beginning of the last run are, and the next window
 * begins at the last of them. Source of the idea: the gigatoken project; simdjson (Langdale and Lemire 2019)
 * for making lists of sets. */
#include "tokenizer/scan.h"

#define WINDOW 64
#define READABLE (WINDOW + 8) /* bytes that must be left for a window */

/* One bit per byte of the window. */
typedef struct sets {
    uint64_t letter, number, blank, white,
        newline;              /* blank: U+0020, also in white; white: without newlines */
    uint64_t upper, caseless; /* letters; O200K only */
    uint64_t apostrophe, slash;
    uint64_t wide;   /* bytes from 0x80 on */
    uint64_t follow; /* bytes of a character behind its first */
} sets;

/* Sets of ASCII: letter, number, blank, white, newline, apostrophe, wide; with cases also upper and slash. */
static inline void classify(const uint8_t *text, bool cases, sets *s);

/* Takes what is certainly of U+4E00 to U+9FBF out of wide and puts it among the letters without case. */
static inline void classify_han(const uint8_t *text, sets *s);

static inline unsigned lowest(uint64_t set) { return (unsigned)__builtin_ctzll(set); }
static inline unsigned highest(uint64_t set) { return 63u ^ (unsigned)__builtin_clzll(set); }
static inline uint64_t bit(unsigned i) { return (uint64_t)1 << i; }
static inline uint64_t below(unsigned i) { return i >= 64 ? UINT64_MAX : bit(i) - 1; }

/* classify_han, given the bytes E5-E8, E4, E9, 80-BF, B8-BF and BF. */
static inline void put_han(sets *s, uint64_t most, uint64_t e4, uint64_t e9, uint64_t tail, uint64_t high,
                           uint64_t bf) {
    const uint64_t leads = (most | (e4 & high >> 1) | (e9 & ~(bf >> 1))) & tail >> 1 & tail >> 2;
    const uint64_t tails = leads << 1 | leads << 2;
    s->letter |= leads | tails;
    s->caseless |= leads | tails;
    s->follow |= tails;
    s->wide &= ~(leads | tails);
}

/* Puts the characters outside ASCII into the sets. Returns where the window ends: before the first that is
 * unusual. */
static unsigned classify_wide(const tfm__stage *stage, bool cases, const uint8_t *text, size_t length,
                              sets *s) {
    uint64_t left;
    const uint32_t letters = stage->marks ? TFM__SET_L | TFM__SET_M : TFM__SET_L;
    classify_han(text, s);
    left = s->wide;
    while (left) {
        unsigned i = lowest(left);
        uint32_t used, code, set;
        uint64_t bytes;
        code = tfm__utf8_read(text + i, length - i, &used);
        if (i + used > WINDOW) return i;
        bytes = below(i + used) & ~below(i);
        left &= ~bytes;
        s->follow |= bytes & ~bit(i);
        set = code == TFM__NO_CODE ? TFM__SET(TFM__CN) : tfm__entry_set(tfm__unicode_entry(code));
        if (set & (TFM__SET_N | TFM__SET_SPACE)) return i;
        if (cases && set & TFM__SET_M) return i;
        if (!(set & letters)) continue;
        s->letter |= bytes;
        if (set & TFM__SET_UPPER) s->upper |= bytes;
        if (set & TFM__SET_CASELESS) s->caseless |= bytes;
    }
    return WINDOW;
}

/* Length of the contraction at an apostrophe, as in split.c. */
static inline unsigned contraction(const uint8_t *text, bool any_case) {
    uint8_t fold = any_case ? 0x20 : 0, a = text[1] | fold, b = text[2] | fold;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if (any_case && text[1] == 0xc5 && text[2] == 0xbf) return 3;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* Fronts inside runs of more than most numbers. */
static uint64_t cut_numbers(uint64_t number, uint64_t runs, unsigned most) {
    uint64_t fronts = 0;
    if (most == 1) return number;
    runs &= number >> most;
    while (runs) {
        unsigned i = lowest(runs) + most;
        runs &= runs - 1;
        for (; i < WINDOW && ((number >> (i - most)) & below(most + 1)) == below(most + 1); i += most)
            fronts |= bit(i);
    }
    return fronts;
}

/* The fronts of pieces in a window whose bytes up to n are classified; last receives the beginning of the
 * last run, up to which they are certain. */
static inline uint64_t fronts_gpt2(const uint8_t *text, const sets *s, unsigned n, unsigned *last) {
    const uint64_t valid = below(n), letter = s->letter & valid, number = s->number & valid;
    const uint64_t white = (s->white | s->newline) & valid, other = valid & ~(letter | number | white);
    const uint64_t words = letter & ~(letter << 1), numbers = number & ~(number << 1);
    const uint64_t others = other & ~(other << 1), spaces = white & ~(white << 1);
    uint64_t fronts = ((words | numbers | others) & ~(s->blank << 1)) | spaces | (white & ~(white >> 1));
    uint64_t quotes = s->apostrophe & others & ~(s->blank << 1) & (words >> 1);
    *last = highest(words | numbers | others | spaces);
    for (; quotes; quotes &= quotes - 1) {
        unsigned i = lowest(quotes), length = contraction(text + i, false);
        if (!length) continue;
        fronts &= ~(below(i + length) & ~below(i + 1));
        if (i + length < WINDOW) fronts |= bit(i + length);
    }
    return fronts;
}

static inline uint64_t fronts_cl100k(const tfm__stage *stage, bool cases, const uint8_t *text, const sets *s,
                                     unsigned n, unsigned *last) {
    const uint64_t valid = below(n), letter = s->letter & valid, number = s->number & valid;
    const uint64_t newline = s->newline & valid, white = s->white & valid, spaces = white | newline;
    const uint64_t other = valid & ~(letter | number | spaces);
    const uint64_t words = letter & ~(letter << 1), numbers = number & ~(number << 1);
    const uint64_t others = other & ~(other << 1), runs = spaces & ~(spaces << 1);
    /* newlines that go with the signs before them */
    const uint64_t tail = newline & ~(newline + (newline & (other << 1)));
    /* other signs that begin a piece, and what stands behind the first character of each */
    const uint64_t signs = others & ~(s->blank << 1), follow = other & s->follow;
    const uint64_t behind = (follow + (signs << 1)) & ~follow;
    uint64_t fronts = (runs & ~tail) | ((newline << 1) & ~newline) | (white & ~(spaces >> 1)) |
                      (words & ~(white << 1) & ~behind) | numbers | signs;
    uint64_t quotes;
    *last = highest(words | numbers | others | runs);
    if (cases) fronts |= s->upper & letter & ~((s->upper | s->caseless) << 1) & (letter << 1);
    /* spaces between newlines of one run: no front, unless the newlines before them belong to something else
     */
    for (uint64_t between = newline & (white << 1); between; between &= between - 1) {
        uint64_t before = ~white & below(lowest(between));
        unsigned front = before ? highest(before) + 1 : 0;
        if (front && newline & ~tail & bit(front - 1)) fronts &= ~bit(front);
    }
    if (stage->digits) fronts |= cut_numbers(number, numbers, stage->digits);
    if (!stage->contractions) return fronts;
    if (cases) {
        unsigned ended = WINDOW;
        if (s->apostrophe & others & (letter << 1) & bit(n - 1)) *last = n - 2; /* perhaps a contraction's */
        for (quotes = s->apostrophe & others & (letter << 1) & (words >> 1); quotes; quotes &= quotes - 1) {
            unsigned i = lowest(quotes), length = i == ended ? 0 : contraction(text + i, true);
            if (!length) continue;
            ended = i + length;
            fronts &= ~(below(ended) & ~below(i));
            if (ended < WINDOW) fronts |= bit(ended);
        }
    } else {
        for (quotes = s->apostrophe & signs & (words >> 1) & (letter >> 2); quotes; quotes &= quotes - 1) {
            unsigned i = lowest(quotes), length = contraction(text + i, true);
            if (length && i + length < WINDOW) fronts |= bit(i + length);
        }
    }
    return fronts;
}

/* O200K: where the window ends because words would have to be looked at closely, or newlines behind signs go
 * on with slashes. */
static inline unsigned usual_o200k(const sets *s, unsigned n) {
    const uint64_t valid = below(n), letter = s->letter & valid, cased = letter & ~s->caseless;
    const uint64_t caseless = letter & s->caseless;
    const uint64_t unusual =
        (caseless & (cased << 1)) | (cased & (caseless << 1)) | (s->slash & (s->newline << 1));
    return unusual & valid ? lowest(unusual & valid) : n;
}

static inline size_t scan(const int kind, const tfm__stage *stage, const uint8_t *text, size_t length,
                          uint32_t *ends, size_t most) {
    const bool cases = kind == TFM__SPLIT_O200K;
    size_t count = 0, at = 0;
    while (count < most && at < length) {
        if (TFM__LIKELY(length - at >= READABLE && at < TFM__SCAN_BYTES)) {
            unsigned n = WINDOW, last;
            uint64_t fronts;
            sets s;
            classify(text + at, cases, &s);
            s.caseless = s.follow = 0;
            if (s.wide) n = classify_wide(stage, cases, text + at, length - at, &s);
            if (cases) n = usual_o200k(&s, n);
            if (TFM__LIKELY(n > 0)) {
                fronts = kind == TFM__SPLIT_GPT2 ? fronts_gpt2(text + at, &s, n, &last)
                                                 : fronts_cl100k(stage, cases, text + at, &s, n, &last);
                fronts &= (bit(last) | below(last)) & ~bit(0);
                if (TFM__LIKELY(fronts != 0)) {
                    const size_t here = at;
                    at += highest(fronts);
                    do ends[count++] = (uint32_t)(here + lowest(fronts));
                    while (fronts &= fronts - 1);
                    continue;
                }
            }
        }
        size_t piece = tfm__split_next(stage, text + at, length - at);
        if (piece > TFM__SCAN_BYTES || at > TFM__SCAN_BYTES) {
            if (count == 0) ends[count++] = 0;
            break;
        }
        at += piece;
        ends[count++] = (uint32_t)at;
    }
    return count;
}

static size_t scan_gpt2(const tfm__stage *stage, const uint8_t *text, size_t length, uint32_t *ends,
                        size_t most) {
    return scan(TFM__SPLIT_GPT2, stage, text, length, ends, most);
}

static size_t scan_cl100k(const tfm__stage *stage, const uint8_t *text, size_t length, uint32_t *ends,
                          size_t most) {
    return scan(TFM__SPLIT_CL100K, stage, text, length, ends, most);
}

static size_t scan_o200k(const tfm__stage *stage, const uint8_t *text, size_t length, uint32_t *ends,
                         size_t most) {
    return scan(TFM__SPLIT_O200K, stage, text, length, ends, most);
}

static inline tfm__scan_fn *scanner_of(const tfm__stage *stage) {
    switch (stage->kind) {
    case TFM__SPLIT_GPT2:
        return scan_gpt2;
    case TFM__SPLIT_CL100K:
        return scan_cl100k;
    case TFM__SPLIT_O200K:
        return scan_o200k;
    default:
        return NULL;
    }
}
