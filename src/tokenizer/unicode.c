/* unicode.c - UTF-8 helpers and NFC. Called by the splitters and by the normalisers of the encoder.
 *
 * NFC = canonical decomposition (utf8proc, one code point at a time), canonical ordering, canonical
 * composition (utf8proc). The ordering is done here because a run of combining marks may be as long as the
 * text: runs are sorted by merging, so that a hostile run costs n log n. Source: Unicode Standard Annex #15.
 */
#include "tokenizer/unicode.h"

#include <utf8proc.h>

uint32_t tfm__utf8_write(uint32_t code, uint8_t out[4]) {
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0u | code >> 6);
        out[1] = (uint8_t)(0x80u | (code & 0x3fu));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0u | code >> 12);
        out[1] = (uint8_t)(0x80u | (code >> 6 & 0x3fu));
        out[2] = (uint8_t)(0x80u | (code & 0x3fu));
        return 3;
    }
    out[0] = (uint8_t)(0xf0u | code >> 18);
    out[1] = (uint8_t)(0x80u | (code >> 12 & 0x3fu));
    out[2] = (uint8_t)(0x80u | (code >> 6 & 0x3fu));
    out[3] = (uint8_t)(0x80u | (code & 0x3fu));
    return 4;
}

size_t tfm__utf8_valid(const uint8_t *text, size_t length) {
    size_t i = 0;
    while (i < length) {
        uint32_t used;
        if (text[i] < 0x80) {
            uint64_t eight;
            if (length - i >= 8 && (memcpy(&eight, text + i, 8), !(eight & 0x8080808080808080u)))
                i += 8;
            else
                i++;
            continue;
        }
        if (tfm__utf8_read(text + i, length - i, &used) == TFM__NO_CODE) break;
        i += used;
    }
    return i;
}

size_t tfm__utf8_ill_formed(const uint8_t *text, size_t length) {
    uint8_t a = text[0], low, high;
    size_t needed, i = 1;
    if (a < 0xc2 || a > 0xf4) return 1;
    needed = a < 0xe0 ? 2 : a < 0xf0 ? 3 : 4;
    low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
    high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    while (i < needed && i < length && text[i] >= low && text[i] <= high) {
        low = 0x80;
        high = 0xbf;
        i++;
    }
    return i;
}

static uint32_t combining_class(int32_t code) {
    return (uint32_t)utf8proc_get_property(code)->combining_class;
}

/* Stable sort of codes[0 .. n) by combining class; spare holds n values. */
static void sort_marks(int32_t *codes, size_t n, int32_t *spare) {
    int32_t *from = codes, *to = spare;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t start = 0; start < n; start += 2 * width) {
            size_t middle = TFM__MIN(start + width, n), end = TFM__MIN(start + 2 * width, n);
            size_t a = start, b = middle;
            for (size_t k = start; k < end; k++) {
                bool left = a < middle && (b >= end || combining_class(from[a]) <= combining_class(from[b]));
                to[k] = left ? from[a++] : from[b++];
            }
        }
        int32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != codes) memcpy(codes, from, n * sizeof *codes);
}

/* Canonical ordering: every run of marks (class above 0) sorted by class. */
static void order_marks(int32_t *codes, size_t n, int32_t *spare) {
    for (size_t i = 0; i < n;) {
        size_t end = i;
        bool sorted = true;
        uint32_t before = 0;
        for (; end < n; end++) {
            uint32_t now = combining_class(codes[end]);
            if (now == 0) break;
            if (now < before) sorted = false;
            before = now;
        }
        if (!sorted) sort_marks(codes + i, end - i, spare);
        i = end + 1;
    }
}

/* NFC of a well-formed run. */
static bool nfc_run(const uint8_t *text, size_t length, tfm__buffer *out) {
    /* 4 code points at most come of one of 3 or 4 bytes, 3 of one of 2, 1 of one byte: 2 per byte are enough
     */
    size_t capacity, bytes, n = 0;
    utf8proc_ssize_t composed;
    int32_t *codes;
    bool ok = true;
    if (!tfm__mul_size(length, 2, &capacity) || !tfm__mul_size(capacity, 2 * sizeof(int32_t), &bytes))
        return false;
    codes = tfm__alloc(out->heap, bytes);
    if (!codes) return false;
    for (size_t i = 0; i < length;) {
        uint32_t used, code = tfm__utf8_read(text + i, length - i, &used);
        int last_class = 0;
        utf8proc_ssize_t got =
            utf8proc_decompose_char((utf8proc_int32_t)code, codes + n, (utf8proc_ssize_t)(capacity - n),
                                    UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &last_class);
        if (got < 0 || (size_t)got > capacity - n) { /* cannot happen for a code point: kept as it is */
            codes[n] = (int32_t)code;
            got = 1;
        }
        n += (size_t)got;
        i += used;
    }
    order_marks(codes, n, codes + capacity);
    composed = utf8proc_normalize_utf32(codes, (utf8proc_ssize_t)n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (composed < 0) composed = (utf8proc_ssize_t)n;
    for (utf8proc_ssize_t k = 0; k < composed && ok; k++) {
        uint8_t bytes_out[4];
        uint32_t used = tfm__utf8_write((uint32_t)codes[k], bytes_out);
        ok = tfm__buffer_append(out, bytes_out, used);
    }
    tfm__free(out->heap, codes);
    return ok;
}

bool tfm__unicode_nfc(const uint8_t *text, size_t length, tfm__buffer *out) {
    /* Below U+0300 everything is in NFC already and composes with nothing before it. */
    size_t i = 0;
    while (i < length && text[i] < 0xcc) i++;
    if (i == length) return tfm__buffer_append(out, text, length);
    for (i = 0; i < length;) {
        size_t run = tfm__utf8_valid(text + i, length - i);
        if (run > 0 && !nfc_run(text + i, run, out)) return false;
        i += run;
        if (i < length && !tfm__buffer_append(out, text + i++, 1)) return false;
    }
    return true;
}
