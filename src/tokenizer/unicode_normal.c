/* unicode_normal.c - the normal forms of Unicode, with where every character came from. Called by the
 * normalising steps.
 *
 * A text is read up to a character that may not stand as it is; the stretch around it, from one character
 * that nothing in front of it can act on to the next, is decomposed, its marks are put in canonical order,
 * and it is composed again where the form asks for it. All else is copied. Runs of marks may be as long as
 * the text: they are sorted by merging, so that a hostile one costs n log n.
 *
 * Where characters came from is counted as Hugging Face tokenizers counts it: of a decomposed character the
 * first part takes the place of a character of the old text, the others (change 1) are put behind what was
 * there; a composed character takes the place of one and of those that its parts took (change below 0). Marks
 * that were put in another order keep their changes, not their places. Sources: Unicode Standard Annex #15;
 * for the counting, the crate unicode-normalization-alignments and NormalizedString::transform of tokenizers.
 */
#include "tokenizer/unicode_normal.h"

typedef struct part {
    uint32_t code;
    int32_t change;
    uint8_t combining;
} part;

/* Hangul (Unicode Standard, section 3.12). */
enum {
    S_BASE = 0xac00,
    L_BASE = 0x1100,
    V_BASE = 0x1161,
    T_BASE = 0x11a7,
    L_COUNT = 19,
    V_COUNT = 21,
    T_COUNT = 28
};
enum { S_COUNT = L_COUNT * V_COUNT * T_COUNT };

uint32_t tfm__unicode_compose(uint32_t first, uint32_t second) {
    size_t low = 0, high = tfm__normal_pair_count;
    if (first - L_BASE < L_COUNT && second - V_BASE < V_COUNT)
        return S_BASE + ((first - L_BASE) * V_COUNT + (second - V_BASE)) * T_COUNT;
    if (first - S_BASE < S_COUNT && (first - S_BASE) % T_COUNT == 0 && second > T_BASE &&
        second - T_BASE < T_COUNT)
        return first + (second - T_BASE);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const uint32_t *pair = tfm__normal_pairs[middle];
        if (pair[0] == first && pair[1] == second) return pair[2];
        if (pair[0] < first || (pair[0] == first && pair[1] < second))
            low = middle + 1;
        else
            high = middle;
    }
    return TFM__NO_CODE;
}

static uint8_t combining_class(uint32_t code) { return tfm__normal_record_of(code)->combining; }

uint32_t tfm__normal_first(uint32_t code) {
    const tfm__normal_record *record = tfm__normal_record_of(code);
    if (code - S_BASE < S_COUNT) return L_BASE + (code - S_BASE) / (V_COUNT * T_COUNT);
    return record->canonical_count ? tfm__normal_pool[record->canonical] : code;
}

/* Appends the full decomposition of a code point. False: memory refused. */
static bool decompose(uint32_t code, bool compatible, tfm__buffer *out) {
    const tfm__normal_record *record = tfm__normal_record_of(code);
    uint32_t parts[20], count = compatible ? record->compatible_count : record->canonical_count;
    if (code - S_BASE < S_COUNT) {
        uint32_t place = code - S_BASE, last = place % T_COUNT;
        parts[0] = L_BASE + place / (V_COUNT * T_COUNT);
        parts[1] = V_BASE + place / T_COUNT % V_COUNT;
        parts[2] = T_BASE + last;
        count = last ? 3 : 2;
    } else if (count) {
        memcpy(parts, tfm__normal_pool + (compatible ? record->compatible : record->canonical),
               count * sizeof *parts);
    } else {
        parts[0] = code;
        count = 1;
    }
    for (uint32_t i = 0; i < count; i++) {
        part p = {parts[i], i > 0, combining_class(parts[i])};
        if (!tfm__buffer_append(out, &p, sizeof p)) return false;
    }
    return true;
}

/* Stable sort of parts[0 .. n) by combining class; spare holds n. */
static void sort_marks(part *parts, size_t n, part *spare) {
    part *from = parts, *to = spare;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t start = 0; start < n; start += 2 * width) {
            size_t middle = TFM__MIN(start + width, n), end = TFM__MIN(start + 2 * width, n);
            size_t a = start, b = middle;
            for (size_t k = start; k < end; k++) {
                bool left = a < middle && (b >= end || from[a].combining <= from[b].combining);
                to[k] = left ? from[a++] : from[b++];
            }
        }
        part *swap = from;
        from = to;
        to = swap;
    }
    if (from != parts) memcpy(parts, from, n * sizeof *parts);
}

/* Canonical ordering: every run of marks (class above 0) sorted by class. */
static void order_marks(part *parts, size_t n, part *spare) {
    for (size_t i = 0; i < n;) {
        size_t end = i;
        bool sorted = true;
        uint8_t before = 0;
        for (; end < n && parts[end].combining != 0; end++) {
            if (parts[end].combining < before) sorted = false;
            before = parts[end].combining;
        }
        if (!sorted) sort_marks(parts + i, end - i, spare);
        i = end + 1;
    }
}

/* Canonical composition in place; returns how many parts are left. */
static size_t compose(part *parts, size_t n) {
    size_t kept = 0, starter = SIZE_MAX;
    uint8_t before = 0; /* class of the last part kept behind the starter; 0: it is the last */
    for (size_t i = 0; i < n; i++) {
        part now = parts[i];
        uint32_t composed = starter != SIZE_MAX && (before == 0 || before < now.combining)
                                ? tfm__unicode_compose(parts[starter].code, now.code)
                                : TFM__NO_CODE;
        if (composed != TFM__NO_CODE) {
            parts[starter].code = composed;
            parts[starter].change += now.change - 1;
            continue;
        }
        if (now.combining == 0) starter = kept;
        before = now.combining;
        parts[kept++] = now;
    }
    return kept;
}

/* ---- A stretch ---- */

bool tfm__normal_stretch(int form, const tfm__normal_char *chars, size_t count, tfm__buffer *parts_of,
                         tfm__normal_fn fn, void *arg) {
    bool compatible = form == TFM__FORM_NFKC || form == TFM__FORM_NFKD;
    size_t n, at = 0;
    part *parts;
    parts_of->size = 0;
    for (size_t i = 0; i < count; i++)
        if (!decompose(chars[i].code, compatible, parts_of)) return false;
    n = parts_of->size / sizeof *parts;
    if (!tfm__buffer_reserve(parts_of, parts_of->size)) return false; /* the sort's spare half */
    parts = (part *)(void *)parts_of->data;
    order_marks(parts, n, parts + n);
    if (form == TFM__FORM_NFC || form == TFM__FORM_NFKC) n = compose(parts, n);
    for (size_t i = 0; i < n; i++) {
        /* the first part of all takes a place: sorting is stable, so at is not 0 where one is put behind */
        size_t place = parts[i].change > 0 && at > 0 ? at - 1 : TFM__MIN(at, count - 1);
        if (parts[i].change <= 0) at = TFM__MIN(at + 1 + (size_t)-parts[i].change, count);
        if (!fn(arg, parts[i].code, chars[place].span)) return false;
    }
    return true;
}

/* ---- A text ---- */

static bool put_char(void *arg, uint32_t code, tfm__span span) {
    uint8_t bytes[4];
    uint32_t used = tfm__utf8_write(code, bytes);
    return tfm__rewrite_put(arg, bytes, used, span);
}

/* Below the first byte of this, nothing needs a look: ASCII and, for NFD, U+0080-00BF, for NFC, up to U+02FF.
 * Bytes 80-BF that begin no character are below as well and are kept, as they should be. */
static uint8_t quick_limit(int form) {
    return form == TFM__FORM_NFC ? 0xcc : form == TFM__FORM_NFD ? 0xc3 : 0x80;
}

/* Where the last character of [from, end) begins; end if it is ill-formed. */
static size_t last_begin(const uint8_t *text, size_t from, size_t end) {
    size_t i = end;
    uint32_t used;
    do i--;
    while (i > from && end - i < 4 && (text[i] & 0xc0u) == 0x80);
    return tfm__utf8_read(text + i, end - i, &used) != TFM__NO_CODE && i + used == end ? i : end;
}

/* Reads the characters of [at, end), which are well-formed. */
static bool read_chars(const tfm__aligned *text, size_t at, size_t end, tfm__buffer *chars) {
    chars->size = 0;
    while (at < end) {
        uint32_t used, code = tfm__utf8_read(text->data + at, end - at, &used);
        tfm__normal_char c = {code, tfm__aligned_span(text, at, used)};
        if (!tfm__buffer_append(chars, &c, sizeof c)) return false;
        at += used;
    }
    return true;
}

/* End of the stretch that the character at the front of [at, length) belongs to. */
static size_t stretch_end(int form, const uint8_t *text, size_t at, size_t length) {
    while (at < length) {
        uint32_t used, code = tfm__utf8_read(text + at, length - at, &used);
        if (code == TFM__NO_CODE || tfm__normal_record_of(code)->flags & TFM__NORMAL_APART(form)) break;
        at += used;
    }
    return at;
}

bool tfm__normal_text(int form, const tfm__aligned *from, tfm__rewriter *out, tfm__buffer scratch[2]) {
    const uint8_t *text = from->data;
    const size_t length = from->length;
    const uint8_t limit = quick_limit(form);
    size_t i = 0, copied = 0, start = 0; /* start: of the stretch that i is in */
    uint8_t before = 0;                  /* combining class of the character in front of i */
    while (i < length) {
        const tfm__normal_record *record;
        uint32_t used, code;
        size_t end;
        if (text[i] < limit) {
            size_t quick = i;
            while (length - i >= 8 && (tfm__u64_le(text + i) & UINT64_C(0x8080808080808080)) == 0) i += 8;
            while (i < length && text[i] < limit) i++;
            if (i == length) break;
            start = last_begin(text, quick, i);
            before = 0;
        }
        code = tfm__utf8_read(text + i, length - i, &used);
        if (code == TFM__NO_CODE) {
            start = ++i;
            before = 0;
            continue;
        }
        record = tfm__normal_record_of(code);
        if (record->flags & TFM__NORMAL_APART(form)) start = i;
        if (!(record->flags & TFM__NORMAL_OTHER(form)) &&
            (record->combining == 0 || record->combining >= before)) {
            before = record->combining;
            i += used;
            continue;
        }
        end = stretch_end(form, text, i + used, length);
        if (!tfm__rewrite_copy(out, from, copied, start - copied) ||
            !read_chars(from, start, end, &scratch[0]) ||
            !tfm__normal_stretch(form, (const tfm__normal_char *)(const void *)scratch[0].data,
                                 scratch[0].size / sizeof(tfm__normal_char), &scratch[1], put_char, out))
            return false;
        copied = start = i = end;
        before = 0;
    }
    return tfm__rewrite_rest(out, from, copied);
}
