/* regex_translate.c - expressions as tiktoken (Rust's fancy-regex) and tokenizer.json (Oniguruma in its own
 * syntax) have them, in PCRE2's language. Called by split_pcre.c.
 *
 * Every class, property and shorthand becomes an explicit list of ranges from the library's own Unicode
 * tables, every literal beyond ASCII letters and digits its number. What the engines read differently is
 * rewritten: Oniguruma's {n,m}+ repeats {n,m} and its {n}? makes it optional; Rust's ^ and $ stand at the
 * ends of the text only; \b looks at our word characters. What is not known is refused by name. Sources:
 * Oniguruma's doc/RE, the regex and fancy-regex crates' documentation, pcre2pattern(3). */
#include "tokenizer/regex_translate.h"

#include <stdio.h>

#include "tokenizer/charset.h"

#define MOST_BYTES 65536 /* of an expression */
#define MOST_DEPTH 32    /* of groups, and of classes in classes */
#define NO_ATOM SIZE_MAX

typedef struct translation {
    const char *pattern, *p, *end, *file;
    int syntax;
    tfm__buffer *out;
    tfm_error *error;
    int32_t status;
    size_t atom;               /* where in out the last thing begins that can be repeated */
    size_t groups[MOST_DEPTH]; /* where in out the open groups begin */
    size_t depth;
    tfm__heap *heap;
} translation;

static void fail(translation *t, int32_t code, const char *what, const char *at) {
    if (t->status) return;
    t->status =
        tfm__fail_at(t->error, code, t->file, NULL, TFM__NO_OFFSET, "the regular expression %.*s: %s%s%.*s",
                     (int)TFM__MIN((size_t)(t->end - t->pattern), 200u), t->pattern, what, at ? " at " : "",
                     at ? (int)TFM__MIN((size_t)(t->end - at), 16u) : 0, at ? at : "");
}

static void no_memory(translation *t) {
    if (!t->status) t->status = tfm__fail_memory(t->error, t->heap, 64);
}

static void put(translation *t, const char *text) {
    if (!tfm__buffer_append(t->out, text, strlen(text))) no_memory(t);
}

/* One character, by itself or by its number. */
static void put_code(translation *t, uint32_t code) {
    char text[16];
    bool plain =
        code < 0x80 && ((code >= '0' && code <= '9') || ((code | 0x20) >= 'a' && (code | 0x20) <= 'z'));
    snprintf(text, sizeof text, plain ? "%c" : "\\x{%x}", (unsigned)code);
    put(t, text);
}

static void put_set(translation *t, const tfm__charset *set) {
    size_t n = set->ranges.size / sizeof(tfm__range32);
    const tfm__range32 *ranges = (const tfm__range32 *)(const void *)set->ranges.data;
    if (n == 0) {
        put(t, "(?!)");
        return;
    }
    put(t, "[");
    for (size_t i = 0; i < n; i++) {
        put_code(t, ranges[i].first);
        if (ranges[i].last == ranges[i].first) continue;
        put(t, "-");
        put_code(t, ranges[i].last);
    }
    put(t, "]");
}

static uint32_t next_code(translation *t) {
    uint32_t used, code = tfm__utf8_read((const uint8_t *)t->p, (size_t)(t->end - t->p), &used);
    if (code == TFM__NO_CODE) fail(t, TFM_E_FORMAT, "not UTF-8", NULL);
    t->p += used;
    return code;
}

/* ---- Escapes ---- */

static uint32_t hex_digits(translation *t, size_t least, size_t most) {
    uint32_t value = 0;
    size_t n = 0;
    for (; n < most && t->p < t->end; n++, t->p++) {
        char c = *t->p;
        uint32_t digit = c >= '0' && c <= '9'                     ? (uint32_t)(c - '0')
                         : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (uint32_t)((c | 0x20) - 'a' + 10)
                                                                  : 16;
        if (digit == 16) break;
        value = value << 4 | digit;
    }
    if (n < least || value > 0x10ffff)
        fail(t, TFM_E_FORMAT, "a malformed number", t->p < t->end ? t->p : NULL);
    return value;
}

/* \xHH, \x{H...}, \uHHHH, \u{H...}: behind the letter. */
static uint32_t hex_escape(translation *t, size_t digits) {
    uint32_t code;
    if (t->p == t->end || *t->p != '{') return hex_digits(t, digits, digits);
    t->p++;
    code = hex_digits(t, 1, 6);
    if (t->p == t->end || *t->p != '}') fail(t, TFM_E_FORMAT, "a malformed number", NULL);
    t->p += t->p < t->end;
    return code;
}

/* \p{Name}, \p{^Name}, \P{Name}, \pL: behind the p. */
static void property(translation *t, bool negated, tfm__charset *set) {
    const char *name = t->p, *stop = name + 1;
    tfm__charset found;
    bool known = false, ok;
    if (name == t->end) {
        fail(t, TFM_E_FORMAT, "a property without a name", NULL);
        return;
    }
    if (*name == '{') {
        name++;
        stop = memchr(name, '}', (size_t)(t->end - name));
        if (!stop) {
            fail(t, TFM_E_FORMAT, "a property without an end", t->p);
            return;
        }
        t->p = stop + 1;
        if (name < stop && *name == '^') {
            negated = !negated;
            name++;
        }
    } else {
        t->p = stop;
    }
    tfm__charset_init(&found, t->heap);
    ok = tfm__charset_property(&found, name, (size_t)(stop - name), &known) && tfm__charset_settle(&found) &&
         (!negated || tfm__charset_negate(&found)) && tfm__charset_add_set(set, &found);
    tfm__charset_free(&found);
    if (!ok) no_memory(t);
    if (!known) fail(t, TFM_E_UNSUPPORTED, "an unknown property", name);
}

/* \s \d \w, in upper case what is not one; \h (Oniguruma) a hexadecimal digit. False: it is none of these. */
static bool shorthand(translation *t, char letter, bool in_class, tfm__charset *set) {
    tfm__charset found;
    bool ok;
    if (!strchr("sSdDwW", letter) && !((letter == 'h' || letter == 'H') && t->syntax == TFM__REGEX_ONIGURUMA))
        return false;
    tfm__charset_init(&found, t->heap);
    switch (letter | 0x20) {
    case 's':
        ok = tfm__charset_space(&found);
        break;
    case 'd':
        ok = tfm__charset_digit(&found);
        break;
    case 'w':
        ok = tfm__charset_word(&found, t->syntax == TFM__REGEX_ONIGURUMA, in_class);
        break;
    default:
        ok = tfm__charset_add(&found, '0', '9') && tfm__charset_add(&found, 'A', 'F') &&
             tfm__charset_add(&found, 'a', 'f');
        break;
    }
    ok = ok && tfm__charset_settle(&found) && ((letter & 0x20) || tfm__charset_negate(&found)) &&
         tfm__charset_add_set(set, &found);
    tfm__charset_free(&found);
    if (!ok) no_memory(t);
    return true;
}

/* An escape that stands for one character: behind the backslash. TFM__NO_CODE and nothing read: it does not.
 */
static uint32_t simple_escape(translation *t) {
    static const char letters[] = "rntfvae", codes[] = "\r\n\t\f\v\a\x1b";
    char c = *t->p;
    const char *found = c ? strchr(letters, c) : NULL;
    if (found) {
        t->p++;
        return (uint8_t)codes[found - letters];
    }
    if (c == 'x' || c == 'u') {
        t->p++;
        return hex_escape(t, c == 'x' ? 2 : 4);
    }
    if (c == '0') {
        t->p++;
        return 0;
    }
    if ((c >= '1' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) return TFM__NO_CODE;
    return next_code(t);
}

/* ---- Classes ---- */

static void class_body(translation *t, tfm__charset *set, int depth);

/* One member of a class, or a range. */
static void class_item(translation *t, tfm__charset *set, int depth) {
    uint32_t first, last;
    if (*t->p == '[') {
        tfm__charset inner;
        if (t->p + 1 < t->end && t->p[1] == ':') {
            fail(t, TFM_E_UNSUPPORTED, "a POSIX class", t->p);
            return;
        }
        if (depth == MOST_DEPTH) {
            fail(t, TFM_E_UNSUPPORTED, "classes in classes this deep", NULL);
            return;
        }
        t->p++;
        tfm__charset_init(&inner, t->heap);
        class_body(t, &inner, depth + 1);
        if (!tfm__charset_add_set(set, &inner)) no_memory(t);
        tfm__charset_free(&inner);
        return;
    }
    if (*t->p == '\\' && t->p + 1 < t->end) {
        char letter = t->p[1];
        t->p += 2;
        if ((letter | 0x20) == 'p') {
            property(t, letter == 'P', set);
            return;
        }
        if (shorthand(t, letter, true, set)) return;
        t->p--;
        first = letter == 'b' ? (t->p++, 8u) : simple_escape(t);
        if (first == TFM__NO_CODE) fail(t, TFM_E_UNSUPPORTED, "an unknown escape", t->p - 1);
    } else {
        first = next_code(t);
    }
    last = first;
    if (t->p + 1 < t->end && *t->p == '-' && t->p[1] != ']' && t->p[1] != '[' && !t->status) {
        t->p++;
        if (*t->p == '\\' && t->p + 1 < t->end) {
            t->p++;
            last = simple_escape(t);
        } else {
            last = next_code(t);
        }
        if (last == TFM__NO_CODE || last < first) fail(t, TFM_E_FORMAT, "a malformed range", NULL);
    }
    if (!t->status && !tfm__charset_add(set, first, last)) no_memory(t);
}

/* Behind the [ up to behind the ]. The result is settled. */
static void class_body(translation *t, tfm__charset *set, int depth) {
    bool negated = t->p < t->end && *t->p == '^', begun = false;
    tfm__charset met; /* what the parts before the last && have in common */
    bool meets = false;
    tfm__charset_init(&met, t->heap);
    t->p += negated;
    while (!t->status) {
        if (t->p == t->end) {
            fail(t, TFM_E_FORMAT, "a class without an end", NULL);
        } else if (*t->p == ']' && begun) {
            t->p++;
            break;
        } else if (t->p + 1 < t->end && t->p[0] == '&' && t->p[1] == '&') {
            t->p += 2;
            if (!tfm__charset_settle(set) ||
                (meets ? !tfm__charset_meet(&met, set) : !tfm__charset_add_set(&met, set)))
                no_memory(t);
            meets = true;
            set->ranges.size = 0;
        } else {
            class_item(t, set, depth);
        }
        begun = true;
    }
    if (!tfm__charset_settle(set) || (meets && !tfm__charset_meet(set, &met)) ||
        (negated && !tfm__charset_negate(set)))
        no_memory(t);
    tfm__charset_free(&met);
}

/* ---- The rest ---- */

/* Puts text in front of the last atom. */
static void wrap_atom(translation *t, const char *before, const char *behind) {
    size_t n = strlen(before), tail = t->out->size - t->atom;
    put(t, before); /* makes room */
    if (t->status) return;
    memmove(t->out->data + t->atom + n, t->out->data + t->atom, tail);
    memcpy(t->out->data + t->atom, before, n);
    put(t, behind);
}

/* {n}, {n,}, {n,m}, {,m}: false if it is none, then nothing is read. */
static bool interval(translation *t) {
    const char *q = t->p + 1;
    unsigned long low = 0, high = 0;
    bool has_low = false, has_high = false, comma = false;
    char text[48];
    for (; q < t->end && *q >= '0' && *q <= '9' && low < 100000; q++, has_low = true)
        low = low * 10 + (unsigned)(*q - '0');
    if (q < t->end && *q == ',') {
        comma = true;
        for (q++; q < t->end && *q >= '0' && *q <= '9' && high < 100000; q++, has_high = true)
            high = high * 10 + (unsigned)(*q - '0');
    }
    if (q == t->end || *q != '}' || (!has_low && !has_high)) return false;
    t->p = q + 1;
    if (low > 65535 || high > 65535) fail(t, TFM_E_UNSUPPORTED, "more than 65535 repetitions", NULL);
    if (t->atom == NO_ATOM) fail(t, TFM_E_FORMAT, "nothing to repeat", NULL);
    if (comma && has_high)
        snprintf(text, sizeof text, "{%lu,%lu}", low, high);
    else
        snprintf(text, sizeof text, comma ? "{%lu,}" : "{%lu}", low);
    put(t, text);
    if (t->p == t->end || t->status) return true;
    if (t->syntax == TFM__REGEX_ONIGURUMA && *t->p == '+') {
        wrap_atom(t, "(?:", ")+");
        t->p++;
    } else if (t->syntax == TFM__REGEX_ONIGURUMA && *t->p == '?' && !comma) {
        wrap_atom(t, "(?:", ")?");
        t->p++;
    } else if (*t->p == '?' || *t->p == '+') {
        put(t, *t->p == '?' ? "?" : "+");
        t->p++;
    }
    return true;
}

static void quantifier(translation *t) {
    char text[3] = {*t->p++, 0, 0};
    if (t->atom == NO_ATOM) fail(t, TFM_E_FORMAT, "nothing to repeat", NULL);
    if (t->p < t->end && (*t->p == '?' || *t->p == '+')) text[1] = *t->p++;
    put(t, text);
}

/* Flags behind "(?" up to : or ). Only i is known. */
static void flags(translation *t) {
    const char *from = t->p;
    char text[16] = "(?";
    size_t n = 2;
    while (t->p < t->end && (*t->p == 'i' || *t->p == '-') && n < 10) text[n++] = *t->p++;
    if (t->p == t->end || (*t->p != ':' && *t->p != ')') || n == 2) {
        fail(t, TFM_E_UNSUPPORTED, "an unknown group", from - 2);
        return;
    }
    text[n++] = *t->p;
    put(t, text);
    if (*t->p++ == ')') { /* for the rest of the group around it */
        t->depth--;
        t->atom = NO_ATOM;
    }
}

static void open_group(translation *t) {
    static const char *const plain[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"};
    size_t left = (size_t)(t->end - t->p);
    if (t->depth == MOST_DEPTH) {
        fail(t, TFM_E_UNSUPPORTED, "groups this deep", NULL);
        return;
    }
    t->groups[t->depth++] = t->out->size;
    t->atom = NO_ATOM;
    for (size_t i = 0; i < TFM__COUNT(plain); i++) {
        size_t n = strlen(plain[i]);
        if (left < n || memcmp(t->p, plain[i], n) != 0) continue;
        put(t, plain[i]);
        t->p += n;
        return;
    }
    if (left >= 3 && t->p[1] == '?' && (t->p[2] == '<' || (left >= 4 && t->p[2] == 'P' && t->p[3] == '<'))) {
        const char *name = memchr(t->p, '>', left);
        if (!name) fail(t, TFM_E_FORMAT, "a group without a name", t->p);
        t->p = name ? name + 1 : t->end;
        put(t, "(?:");
    } else if (left >= 2 && t->p[1] == '?') {
        t->p += 2;
        flags(t);
    } else { /* what it captures is not asked for */
        put(t, "(?:");
        t->p++;
    }
}

/* \b and \B, by our own word characters. */
static void word_boundary(translation *t, bool negated) {
    tfm__charset word;
    tfm__charset_init(&word, t->heap);
    if (!tfm__charset_word(&word, t->syntax == TFM__REGEX_ONIGURUMA, false) || !tfm__charset_settle(&word))
        no_memory(t);
    put(t, "(?:(?<=");
    put_set(t, &word);
    put(t, negated ? ")(?=" : ")(?!");
    put_set(t, &word);
    put(t, ")|(?<!");
    put_set(t, &word);
    put(t, negated ? ")(?!" : ")(?=");
    put_set(t, &word);
    put(t, "))");
    tfm__charset_free(&word);
}

static void escape(translation *t) {
    tfm__charset set;
    char letter;
    if (++t->p == t->end) {
        fail(t, TFM_E_FORMAT, "a backslash at the end", NULL);
        return;
    }
    letter = *t->p;
    if (letter == 'b' || letter == 'B' || letter == 'A' || letter == 'z' || letter == 'Z') {
        t->p++;
        t->atom = NO_ATOM;
        if ((letter | 0x20) == 'b')
            word_boundary(t, letter == 'B');
        else
            put(t, letter == 'A' ? "\\A" : letter == 'z' ? "\\z" : "\\Z");
        return;
    }
    t->atom = t->out->size;
    tfm__charset_init(&set, t->heap);
    t->p++;
    if ((letter | 0x20) == 'p') {
        property(t, letter == 'P', &set);
    } else if (!shorthand(t, letter, false, &set)) {
        uint32_t code;
        t->p--;
        code = simple_escape(t);
        if (code == TFM__NO_CODE)
            fail(t, TFM_E_UNSUPPORTED, "an unknown escape", t->p - 1);
        else
            put_code(t, code);
        tfm__charset_free(&set);
        return;
    }
    if (!tfm__charset_settle(&set)) no_memory(t);
    put_set(t, &set);
    tfm__charset_free(&set);
}

static void class_atom(translation *t) {
    tfm__charset set;
    t->atom = t->out->size;
    t->p++;
    tfm__charset_init(&set, t->heap);
    class_body(t, &set, 0);
    put_set(t, &set);
    tfm__charset_free(&set);
}

static void close_group(translation *t) {
    t->p++;
    if (t->depth == 0) {
        fail(t, TFM_E_FORMAT, "a ) too many", NULL);
        return;
    }
    t->atom = t->groups[--t->depth];
    put(t, ")");
}

static void anchor(translation *t) {
    bool front = *t->p++ == '^';
    t->atom = NO_ATOM;
    if (t->syntax == TFM__REGEX_ONIGURUMA)
        put(t, front ? "^" : "$"); /* with PCRE2_MULTILINE */
    else
        put(t, front ? "\\A" : "\\z");
}

static void one(translation *t) {
    switch (*t->p) {
    case '\\':
        escape(t);
        break;
    case '[':
        class_atom(t);
        break;
    case '(':
        open_group(t);
        break;
    case ')':
        close_group(t);
        break;
    case '|':
        put(t, "|");
        t->p++;
        t->atom = NO_ATOM;
        break;
    case '^':
    case '$':
        anchor(t);
        break;
    case '*':
    case '+':
    case '?':
        quantifier(t);
        break;
    case '{':
        if (interval(t)) break;
        t->atom = t->out->size;
        put_code(t, next_code(t));
        break;
    case '.':
        t->atom = t->out->size;
        put(t, "[^\\x{a}]");
        t->p++;
        break;
    default:
        t->atom = t->out->size;
        put_code(t, next_code(t));
        break;
    }
}

int32_t tfm__regex_translate(const char *pattern, size_t length, int syntax, const char *file,
                             tfm__buffer *out, tfm_error *error) {
    translation t = {.pattern = pattern,
                     .p = pattern,
                     .end = pattern + length,
                     .file = file,
                     .syntax = syntax,
                     .out = out,
                     .error = error,
                     .atom = NO_ATOM,
                     .heap = out->heap};
    if (length > MOST_BYTES) fail(&t, TFM_E_UNSUPPORTED, "longer than 64 KiB", NULL);
    while (t.p < t.end && !t.status) one(&t);
    if (t.depth) fail(&t, TFM_E_FORMAT, "a group without an end", NULL);
    return t.status;
}
