/* split.c - the scanners: where a piece of text ends. Called for every piece by the encoder.
 *
 * Each function takes a text that begins at a piece boundary and returns the length of the first match of one
 * regular expression, alternatives tried in order as Perl does. The expressions (\s is White_Space):
 *
 * - GPT2: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * - CL100K: (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,k}| ?[^\s\p{L}\p{N}]+[\r\n]*
 *   |\s+$ (whole_tail)|\s*[\r\n]+|\s+(?!\S)|\s+
 *   marks: \p{L} reads [\p{L}\p{M}] in the second and the fourth alternative
 * - O200K: PU*W+C?|PU+W*C?|\p{N}{1,k}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   where P = [^\r\n\p{L}\p{N}]?, U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], W = [\p{Ll}\p{Lm}\p{Lo}\p{M}],
 *   C = (?i:'s|'t|'re|'ve|'m|'ll|'d)
 * - DEEPSEEK: A[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+
 *   |\s+(?!\S)|\s+ where A is ASCII punctuation; characters in no match are runs of their own
 *
 * Sources: the tiktoken and Hugging Face tokenizers projects, which define these expressions as data. */
#include "tokenizer/internal.h"

#include "tokenizer/unicode.h"

/* The set of the character at text[0] (one bit, TFM__SET_*) and its length. Ill-formed bytes: unassigned. */
static inline uint32_t set_at(const uint8_t *text, size_t length, uint32_t *used) {
    uint32_t code;
    if (TFM__LIKELY(text[0] < 0x80)) {
        *used = 1;
        return tfm__entry_set(tfm__unicode_blocks[(uint32_t)tfm__unicode_index[0] << 7 | text[0]]);
    }
    code = tfm__utf8_read(text, length, used);
    return code == TFM__NO_CODE ? TFM__SET(TFM__CN) : tfm__entry_set(tfm__unicode_entry(code));
}

/* End of the run of characters of a set that starts at i. */
static inline size_t run_of(const uint8_t *text, size_t i, size_t length, uint32_t set) {
    while (i < length) {
        uint32_t used;
        if (!(set_at(text + i, length - i, &used) & set)) break;
        i += used;
    }
    return i;
}

static inline uint8_t lower_ascii(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c; }

/* Length of the contraction at text[0], an apostrophe: 's 't 'm 'd 're 've 'll; 0 if there is none. Case
 * folding makes U+017F (long s) an s as well. */
static size_t contraction(const uint8_t *text, size_t length, bool any_case) {
    uint8_t a, b;
    if (length < 2 || text[0] != '\'') return 0;
    a = any_case ? lower_ascii(text[1]) : text[1];
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if (length < 3) return 0;
    if (any_case && a == 0xc5 && text[2] == 0xbf) return 3;
    b = any_case ? lower_ascii(text[2]) : text[2];
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return 0;
}

/* White space at text[0]. With newlines: up to the last CR or LF of the run, if it has one. Otherwise the
 * whole run where it ends the text, or all but its last character, which goes with what follows. */
static size_t white_space(const uint8_t *text, size_t length, bool newlines, bool whole_tail) {
    size_t i = 0, last = 0, newline = 0;
    while (i < length) {
        uint32_t used;
        if (!(set_at(text + i, length - i, &used) & TFM__SET_SPACE)) break;
        last = i;
        if (text[i] == '\n' || text[i] == '\r') newline = i + 1;
        i += used;
    }
    if (whole_tail && i == length) return i;
    if (newlines && newline) return newline;
    if (i == length || last == 0) return i;
    return last;
}

static size_t next_gpt2(const uint8_t *text, size_t length) {
    uint32_t used, set;
    size_t start, found = contraction(text, length, false);
    if (found) return found;
    start = text[0] == ' ' && length > 1 ? 1 : 0;
    set = set_at(text + start, length - start, &used);
    if (set & TFM__SET_L) return run_of(text, start + used, length, TFM__SET_L);
    if (set & TFM__SET_N) return run_of(text, start + used, length, TFM__SET_N);
    if (set & TFM__SET_SPACE) return white_space(text, length, false, false);
    return run_of(text, start + used, length, ~(TFM__SET_L | TFM__SET_N | TFM__SET_SPACE));
}

/* Up to most characters of category N, the first of which ends at i; most 0: all. */
static size_t some_digits(const uint8_t *text, size_t i, size_t length, uint32_t most) {
    for (uint32_t n = 1; i < length && n != most; n++) {
        uint32_t used;
        if (!(set_at(text + i, length - i, &used) & TFM__SET_N)) break;
        i += used;
    }
    return i;
}

/* " ?[others]+[tail]*" at text[0], whose optional space has been looked through: i is the end of the first
 * other. */
static size_t others(const uint8_t *text, size_t i, size_t length, uint32_t excluded, bool slash) {
    i = run_of(text, i, length, ~(excluded | TFM__SET_SPACE));
    while (i < length && (text[i] == '\r' || text[i] == '\n' || (slash && text[i] == '/'))) i++;
    return i;
}

static size_t next_cl100k(const tfm__stage *stage, const uint8_t *text, size_t length) {
    const uint32_t letters = stage->marks ? TFM__SET_L | TFM__SET_M : TFM__SET_L;
    uint32_t used, next_used = 0, set = set_at(text, length, &used), next = 0;
    if (stage->contractions && text[0] == '\'') {
        size_t found = contraction(text, length, true);
        if (found) return found;
    }
    if (set & letters) return run_of(text, used, length, letters);
    if (set & TFM__SET_N) return some_digits(text, used, length, stage->digits);
    if (used < length) {
        next = set_at(text + used, length - used, &next_used);
        if (next & letters && text[0] != '\r' && text[0] != '\n')
            return run_of(text, used + next_used, length, letters);
    }
    if (!(set & TFM__SET_SPACE)) return others(text, used, length, letters | TFM__SET_N, false);
    if (text[0] == ' ' && next && !(next & (letters | TFM__SET_N | TFM__SET_SPACE)))
        return others(text, used + next_used, length, letters | TFM__SET_N, false);
    return white_space(text, length, true, stage->whole_tail);
}

#define UPPER_RUN (TFM__SET_UPPER | TFM__SET_CASELESS | TFM__SET_M)
#define LOWER_RUN (TFM__SET_LOWER | TFM__SET_CASELESS | TFM__SET_M)

/* End of U* W+ from i, or 0 if it does not match; *upper receives the end of the longest U*. The greedy U*
 * gives back characters until W+ can start: if a lower-case letter follows it need not, else the last
 * character that is in both classes is the one. */
static size_t o200k_word(const uint8_t *text, size_t i, size_t length, size_t *upper) {
    size_t both = 0;
    uint32_t used, set = 0;
    while (i < length) {
        set = set_at(text + i, length - i, &used);
        if (!(set & UPPER_RUN)) break;
        i += used;
        if (set & LOWER_RUN) both = i;
    }
    *upper = i;
    if (i < length && set & TFM__SET_LOWER) return run_of(text, i + used, length, LOWER_RUN);
    return both;
}

static size_t next_o200k(const tfm__stage *stage, const uint8_t *text, size_t length) {
    uint32_t used, next_used, set = set_at(text, length, &used), next;
    bool prefix = text[0] != '\r' && text[0] != '\n' && !(set & (TFM__SET_L | TFM__SET_N));
    size_t end = 0, upper_behind = 0, upper_here = 0;
    if (prefix && used < length) end = o200k_word(text, used, length, &upper_behind);
    if (!end && set & (TFM__SET_L | TFM__SET_M)) end = o200k_word(text, 0, length, &upper_here);
    if (!end && prefix && upper_behind > used) end = upper_behind;
    if (!end) end = upper_here;
    if (end) {
        if (stage->contractions && end < length && text[end] == '\'')
            end += contraction(text + end, length - end, true);
        return end;
    }
    if (set & TFM__SET_N) return some_digits(text, used, length, stage->digits);
    if (!(set & TFM__SET_SPACE)) return others(text, used, length, TFM__SET_L | TFM__SET_N, true);
    if (text[0] == ' ' && used < length) {
        next = set_at(text + used, length - used, &next_used);
        if (!(next & (TFM__SET_L | TFM__SET_N | TFM__SET_SPACE)))
            return others(text, used + next_used, length, TFM__SET_L | TFM__SET_N, true);
    }
    return white_space(text, length, true, false);
}

static bool ascii_letter(uint8_t c) { return lower_ascii(c) >= 'a' && lower_ascii(c) <= 'z'; }

static bool ascii_punctuation(uint8_t c) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

static bool is_newline(uint8_t c) { return c == '\r' || c == '\n'; }

/* Whether DEEPSEEK has a match at text[0]; its end in *end. */
static bool match_deepseek(const uint8_t *text, size_t length, size_t *end) {
    const uint32_t letters = TFM__SET_L | TFM__SET_M, signs = TFM__SET_P | TFM__SET_S;
    uint32_t used, next_used = 0, set = set_at(text, length, &used), next = 0;
    if (ascii_punctuation(text[0]) && length > 1 && ascii_letter(text[1])) {
        size_t i = 2;
        while (i < length && ascii_letter(text[i])) i++;
        *end = i;
        return true;
    }
    if (used < length) next = set_at(text + used, length - used, &next_used);
    if (!is_newline(text[0]) && !(set & (TFM__SET_L | signs)) && next & letters) {
        *end = run_of(text, used + next_used, length, letters);
        return true;
    }
    if (set & letters) {
        *end = run_of(text, used, length, letters);
        return true;
    }
    if (set & signs || (text[0] == ' ' && next & signs)) {
        size_t i = run_of(text, set & signs ? used : used + next_used, length, signs);
        while (i < length && is_newline(text[i])) i++;
        *end = i;
        return true;
    }
    if (set & TFM__SET_SPACE) {
        *end = white_space(text, length, true, false);
        return true;
    }
    return false;
}

static size_t next_deepseek(const uint8_t *text, size_t length) {
    size_t end, i = 0;
    if (match_deepseek(text, length, &end)) return end;
    while (i < length) { /* what lies between two matches is a piece */
        uint32_t used;
        (void)set_at(text + i, length - i, &used);
        i += used;
        if (i < length && match_deepseek(text + i, length - i, &end)) break;
    }
    return i;
}

static size_t next_numbers(const uint8_t *text, size_t length, uint32_t most) {
    uint32_t used;
    if (set_at(text, length, &used) & TFM__SET_N) return some_digits(text, used, length, most);
    return run_of(text, used, length, ~TFM__SET_N);
}

static bool is_numeric(const uint8_t *text, size_t length, uint32_t *used) {
    uint32_t code = tfm__utf8_read(text, length, used);
    return code != TFM__NO_CODE && tfm__unicode_numeric(code);
}

/* Category P as of Unicode 8, which is what the reference's table of punctuation knows, and ASCII
 * punctuation. */
bool tfm__is_punctuation(const uint8_t *text, size_t length, uint32_t *used) {
    uint32_t code = tfm__utf8_read(text, length, used);
    return code != TFM__NO_CODE && tfm__unicode_entry(code) & TFM__ENTRY_PUNCTUATION;
}

/* Category P and ASCII punctuation but U+0060. */
static bool is_punctuation_no_grave(const uint8_t *text, size_t length, uint32_t *used) {
    return (set_at(text, length, used) & TFM__SET_P || ascii_punctuation(text[0])) && text[0] != '`';
}

static bool is_cjk(const uint8_t *text, size_t length, uint32_t *used) {
    uint32_t code = tfm__utf8_read(text, length, used);
    return (code >= 0x4e00 && code <= 0x9fa5) || (code >= 0x3040 && code <= 0x30ff);
}

static bool is_byte_digit(const uint8_t *text, size_t length, uint32_t *used) {
    uint8_t c = text[0];
    (void)length;
    *used = 1; /* superscripts 2, 3, 1 and the fractions of Latin-1 stand for their bytes in the alphabet */
    return (c >= '0' && c <= '9') || c == 0xb2 || c == 0xb3 || c == 0xb9 || c == 0xbc || c == 0xbd ||
           c == 0xbe;
}

/* A run of characters that all are, or all are not, of a kind. */
static size_t next_run(const uint8_t *text, size_t length, bool (*is)(const uint8_t *, size_t, uint32_t *)) {
    uint32_t used;
    bool first = is(text, length, &used);
    size_t i = used;
    while (i < length && is(text + i, length - i, &used) == first) i += used;
    return i;
}

static size_t next_ascii_digits(const uint8_t *text, size_t length) {
    size_t digits = 0;
    for (size_t i = 0; i < length; i++) {
        digits = text[i] >= '0' && text[i] <= '9' ? digits + 1 : 0;
        if (digits == 3) return i == 2 ? 3 : i - 2;
    }
    return length;
}

size_t tfm__split_next(const tfm__stage *stage, const uint8_t *text, size_t length) {
    switch (stage->kind) {
    case TFM__SPLIT_GPT2:
        return next_gpt2(text, length);
    case TFM__SPLIT_CL100K:
        return next_cl100k(stage, text, length);
    case TFM__SPLIT_O200K:
        return next_o200k(stage, text, length);
    case TFM__SPLIT_DEEPSEEK:
        return next_deepseek(text, length);
    case TFM__SPLIT_NUMBERS:
        return next_numbers(text, length, stage->digits);
    case TFM__SPLIT_PUNCTUATION:
        return next_run(text, length, tfm__is_punctuation);
    case TFM__SPLIT_PUNCTUATION_NO_GRAVE:
        return next_run(text, length, is_punctuation_no_grave);
    case TFM__SPLIT_NUMERIC:
        return next_run(text, length, is_numeric);
    case TFM__SPLIT_ASCII_DIGITS:
        return next_ascii_digits(text, length);
    case TFM__SPLIT_BYTE_DIGITS:
        return next_run(text, length, is_byte_digit);
    case TFM__SPLIT_CJK:
        return next_run(text, length, is_cjk);
    default:
        return length;
    }
}
