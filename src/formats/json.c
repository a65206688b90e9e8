/* json.c - a read-only view of a JSON text: our own strict check of the grammar, then jsmn's tokens. Called
 * by hf.c, safetensors.c and the tokenizer loaders.
 *
 * jsmn alone accepts much that is not JSON and walks back over its parents, which is quadratic for deep
 * nesting. So one pass of ours comes first: it holds the text to RFC 8259 (and to well-formed UTF-8), bounds
 * the depth and counts the tokens; then jsmn fills exactly that many, and afterwards its parent links, no
 * longer needed, are overwritten with the index behind each value's subtree. With that, going to the next
 * member is one step. Tokens are in the order of the text: an object is followed by key, value, key, value
 * ...; a key's token has size 1. */
#include "formats/json.h"
#include "formats/decimal.h"

#define JSMN_STATIC
#define JSMN_PARENT_LINKS
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif
#include "../../third_party/jsmn/jsmn.h"
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#define TFM__JSON_DEPTH 64

struct tfm__json_token {
    jsmntok_t jsmn; /* nothing else: jsmn fills an array of these. parent: see next_of */
};

/* Index of the first token behind a value's subtree. */
static inline int32_t next_of(const tfm__json *json, int32_t index) {
    return json->tokens[index].jsmn.parent;
}

/* ---- The grammar --------------------------------------------------------------------------------------- */

typedef struct scanner {
    const unsigned char *text;
    size_t size, at;
    size_t tokens;
    int depth;
    bool object[TFM__JSON_DEPTH]; /* what each open level is */
    const char *fault;            /* set when something is wrong at `at` */
} scanner;

static bool fault(scanner *s, const char *what) {
    s->fault = what;
    return false;
}

static inline bool is_digit(int c) { return c >= '0' && c <= '9'; }

/* Value of a hexadecimal digit, or -1. */
static inline int hex_digit(int c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Length of the well-formed UTF-8 sequence at p (RFC 3629: shortest form, no surrogates, up to U+10FFFF), or
 * 0. */
static size_t utf8_length(const unsigned char *p, size_t left) {
    unsigned c = p[0], low = 0x80, high = 0xbf;
    size_t length, i;
    if (c < 0x80) return 1;
    if (c < 0xc2 || c > 0xf4) return 0;
    length = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (length > left) return 0;
    if (c == 0xe0) low = 0xa0;
    if (c == 0xed) high = 0x9f;
    if (c == 0xf0) low = 0x90;
    if (c == 0xf4) high = 0x8f;
    if (p[1] < low || p[1] > high) return 0;
    for (i = 2; i < length; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return length;
}

/* A string, from its opening quote to behind the closing one. */
static bool scan_string(scanner *s) {
    s->at++;
    while (s->at < s->size) {
        unsigned char c = s->text[s->at];
        size_t length, i;
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20) return fault(s, "a control character inside a string");
        if (c >= 0x80) {
            length = utf8_length(s->text + s->at, s->size - s->at);
            if (length == 0) return fault(s, "a string that is not UTF-8");
            s->at += length;
            continue;
        }
        if (c != '\\') {
            s->at++;
            continue;
        }
        if (s->size - s->at < 2) break;
        c = s->text[s->at + 1];
        if (c == 'u') {
            if (s->size - s->at < 6) break;
            for (i = 2; i < 6; i++)
                if (hex_digit(s->text[s->at + i]) < 0) return fault(s, "a malformed \\u escape");
            s->at += 6;
        } else {
            if (c == '\0' || !strchr("\"\\/bfnrt", c)) return fault(s, "an unknown escape");
            s->at += 2;
        }
    }
    s->at = s->size;
    return fault(s, "the text ends inside a string");
}

static bool scan_digits(scanner *s) {
    if (s->at >= s->size || !is_digit(s->text[s->at])) return fault(s, "a digit is missing");
    while (s->at < s->size && is_digit(s->text[s->at])) s->at++;
    return true;
}

/* A number or one of true, false, null. */
static bool scan_primitive(scanner *s) {
    static const char *const words[] = {"true", "false", "null"};
    size_t i;
    unsigned char c = s->text[s->at];
    if (c == '-' || is_digit(c)) {
        if (c == '-') s->at++;
        if (s->at < s->size && s->text[s->at] == '0') {
            s->at++;
            if (s->at < s->size && is_digit(s->text[s->at])) return fault(s, "a number with a leading zero");
        } else if (!scan_digits(s)) {
            return false;
        }
        if (s->at < s->size && s->text[s->at] == '.') {
            s->at++;
            if (!scan_digits(s)) return false;
        }
        if (s->at < s->size && (s->text[s->at] == 'e' || s->text[s->at] == 'E')) {
            s->at++;
            if (s->at < s->size && (s->text[s->at] == '+' || s->text[s->at] == '-')) s->at++;
            if (!scan_digits(s)) return false;
        }
        return true;
    }
    for (i = 0; i < TFM__COUNT(words); i++) {
        size_t length = strlen(words[i]);
        if (s->size - s->at >= length && !memcmp(s->text + s->at, words[i], length)) {
            s->at += length;
            return true;
        }
    }
    return fault(s, "a value is expected");
}

static void skip_space(scanner *s) {
    while (s->at < s->size) {
        unsigned char c = s->text[s->at];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
        s->at++;
    }
}

static bool open_level(scanner *s, bool object) {
    if (s->depth == TFM__JSON_DEPTH) return fault(s, "nested too deeply");
    s->object[s->depth++] = object;
    s->at++;
    return true;
}

/* The whole text: one value with nothing but space around it. No recursion: the open levels are a small
 * stack. */
static bool scan_text(scanner *s) {
    enum { VALUE, VALUE_OR_END, KEY, KEY_OR_END, AFTER } expected = VALUE;
    for (;;) {
        unsigned char c;
        skip_space(s);
        if (s->at == s->size) {
            if (expected == AFTER && s->depth == 0) return true;
            return fault(s, "the text ends too early");
        }
        c = s->text[s->at];
        if (expected == AFTER) {
            if (s->depth == 0) return fault(s, "something follows the end of the value");
            if (c == ',') {
                s->at++;
                expected = s->object[s->depth - 1] ? KEY : VALUE;
            } else if (c == (s->object[s->depth - 1] ? '}' : ']')) {
                s->at++;
                s->depth--;
            } else {
                return fault(s,
                             s->object[s->depth - 1] ? "',' or '}' is expected" : "',' or ']' is expected");
            }
            continue;
        }
        if ((expected == KEY_OR_END && c == '}') || (expected == VALUE_OR_END && c == ']')) {
            s->at++;
            s->depth--;
            expected = AFTER;
            continue;
        }
        s->tokens++;
        if (expected == KEY || expected == KEY_OR_END) {
            if (c != '"') return fault(s, "a key is expected");
            if (!scan_string(s)) return false;
            skip_space(s);
            if (s->at == s->size || s->text[s->at] != ':') return fault(s, "':' is expected");
            s->at++;
            expected = VALUE;
        } else if (c == '{' || c == '[') {
            if (!open_level(s, c == '{')) return false;
            expected = c == '{' ? KEY_OR_END : VALUE_OR_END;
        } else {
            if (!(c == '"' ? scan_string(s) : scan_primitive(s))) return false;
            expected = AFTER;
        }
    }
}

/* ---- Parsing ------------------------------------------------------------------------------------------- */

/* Overwrites parent links with the index behind each subtree. */
static void link_next(tfm__json *json) {
    int32_t open[TFM__JSON_DEPTH], depth = 0, i;
    for (i = 0; i < json->count; i++) {
        jsmntok_t *token = &json->tokens[i].jsmn;
        while (depth > 0 && token->start >= json->tokens[open[depth - 1]].jsmn.end)
            json->tokens[open[--depth]].jsmn.parent = i;
        token->parent = i + 1;
        if ((token->type == JSMN_OBJECT || token->type == JSMN_ARRAY) && token->size > 0) open[depth++] = i;
    }
    while (depth > 0) json->tokens[open[--depth]].jsmn.parent = json->count;
}

int32_t tfm__json_parse(tfm__json *json, tfm__heap *heap, const char *text, size_t size, const char *file,
                        tfm_error *error) {
    scanner s = {(const unsigned char *)text, size, 0, 0, 0, {false}, NULL};
    jsmn_parser parser;
    int filled;
    memset(json, 0, sizeof *json);
    if (size > INT32_MAX)
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET, "JSON of 2 GiB or more");
    if (!scan_text(&s)) return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, s.at, "not JSON: %s", s.fault);
    json->tokens = tfm__alloc_array(heap, s.tokens, sizeof *json->tokens);
    if (!json->tokens) return tfm__fail_memory(error, heap, s.tokens * sizeof *json->tokens);
    jsmn_init(&parser);
    filled = jsmn_parse(&parser, text, size, &json->tokens[0].jsmn, (unsigned)s.tokens);
    if (filled < 0 || (size_t)filled != s.tokens) {
        tfm__free(heap, json->tokens);
        memset(json, 0, sizeof *json);
        return tfm__fail_at(error, TFM_E_INTERNAL, file, NULL, parser.pos,
                            "the JSON tokeniser disagrees with the check");
    }
    json->heap = heap;
    json->text = text;
    json->size = size;
    json->count = filled;
    json->file = file;
    link_next(json);
    return TFM_OK;
}

void tfm__json_release(tfm__json *json) {
    if (json->heap) tfm__free(json->heap, json->tokens);
    memset(json, 0, sizeof *json);
}

/* ---- Reading ------------------------------------------------------------------------------------------- */

static inline const jsmntok_t *token_of(const tfm__json *json, tfm__json_value value) {
    return value >= 0 && value < json->count ? &json->tokens[value].jsmn : NULL;
}

int tfm__json_kind(const tfm__json *json, tfm__json_value value) {
    const jsmntok_t *token = token_of(json, value);
    if (!token) return TFM__JSON_ABSENT;
    switch (token->type) {
    case JSMN_OBJECT:
        return TFM__JSON_OBJECT;
    case JSMN_ARRAY:
        return TFM__JSON_ARRAY;
    case JSMN_STRING:
        return TFM__JSON_STRING;
    default:
        break;
    }
    switch (json->text[token->start]) {
    case 't':
    case 'f':
        return TFM__JSON_BOOL;
    case 'n':
        return TFM__JSON_NULL;
    default:
        return TFM__JSON_NUMBER;
    }
}

static bool is_container(const jsmntok_t *token) {
    return token && (token->type == JSMN_OBJECT || token->type == JSMN_ARRAY);
}

size_t tfm__json_size(const tfm__json *json, tfm__json_value value) {
    const jsmntok_t *token = token_of(json, value);
    return is_container(token) ? (size_t)token->size : 0;
}

tfm__json_value tfm__json_first(const tfm__json *json, tfm__json_value container) {
    const jsmntok_t *token = token_of(json, container);
    return is_container(token) && token->size > 0 ? container + 1 : TFM__JSON_NONE;
}

tfm__json_value tfm__json_next(const tfm__json *json, tfm__json_value container, tfm__json_value previous) {
    const jsmntok_t *token = token_of(json, container);
    int32_t next;
    if (!is_container(token) || !token_of(json, previous)) return TFM__JSON_NONE;
    /* a key's subtree ends with its value's */
    if (token->type == JSMN_OBJECT && !token_of(json, ++previous)) return TFM__JSON_NONE;
    next = next_of(json, previous);
    return next > container && next < next_of(json, container) ? next : TFM__JSON_NONE;
}

tfm__json_value tfm__json_member_value(const tfm__json *json, tfm__json_value key) {
    const jsmntok_t *token = token_of(json, key);
    return token && token->type == JSMN_STRING && token->size == 1 ? key + 1 : TFM__JSON_NONE;
}

tfm__json_value tfm__json_get(const tfm__json *json, tfm__json_value object, const char *key) {
    tfm__json_value member;
    if (tfm__json_kind(json, object) != TFM__JSON_OBJECT) return TFM__JSON_NONE;
    for (member = tfm__json_first(json, object); member != TFM__JSON_NONE;
         member = tfm__json_next(json, object, member))
        if (tfm__json_equals(json, member, key)) return member + 1;
    return TFM__JSON_NONE;
}

tfm__json_value tfm__json_at(const tfm__json *json, tfm__json_value array, size_t index) {
    tfm__json_value element;
    if (tfm__json_kind(json, array) != TFM__JSON_ARRAY || index >= tfm__json_size(json, array))
        return TFM__JSON_NONE;
    for (element = tfm__json_first(json, array); index > 0 && element != TFM__JSON_NONE; index--)
        element = tfm__json_next(json, array, element);
    return element;
}

bool tfm__json_bool(const tfm__json *json, tfm__json_value value, bool *out) {
    if (tfm__json_kind(json, value) != TFM__JSON_BOOL) return false;
    *out = json->text[token_of(json, value)->start] == 't';
    return true;
}

bool tfm__json_i64(const tfm__json *json, tfm__json_value value, int64_t *out) {
    const jsmntok_t *token = token_of(json, value);
    uint64_t magnitude = 0, limit = INT64_MAX;
    bool negative;
    int i;
    if (tfm__json_kind(json, value) != TFM__JSON_NUMBER) return false;
    negative = json->text[token->start] == '-';
    if (negative) limit++;
    for (i = token->start + negative; i < token->end; i++) {
        unsigned digit = (unsigned)(json->text[i] - '0');
        if (digit > 9) { /* "2048.0" is the integer 2048 as long as doubles are exact; 0.5 is none */
            double number;
            if (!tfm__json_f64(json, value, &number) || !(number >= -0x1p53 && number <= 0x1p53))
                return false;
            if ((double)(int64_t)number != number) return false;
            *out = (int64_t)number;
            return true;
        }
        if (magnitude > (limit - digit) / 10) return false;
        magnitude = magnitude * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

bool tfm__json_f64(const tfm__json *json, tfm__json_value value, double *out) {
    const jsmntok_t *token = token_of(json, value);
    if (tfm__json_kind(json, value) != TFM__JSON_NUMBER) return false;
    return tfm__decimal_to_f64(json->text + token->start, (size_t)(token->end - token->start), out);
}

bool tfm__json_raw(const tfm__json *json, tfm__json_value value, const char **text, size_t *size) {
    const jsmntok_t *token = token_of(json, value);
    if (!token || token->type != JSMN_STRING) return false;
    *text = json->text + token->start;
    *size = (size_t)(token->end - token->start);
    return true;
}

void tfm__json_source(const tfm__json *json, tfm__json_value value, const char **text, size_t *size) {
    const jsmntok_t *token = token_of(json, value);
    int quote = token && token->type == JSMN_STRING;
    *text = token ? json->text + token->start - quote : "";
    *size = token ? (size_t)(token->end - token->start + 2 * quote) : 0;
}

/* The four hexadecimal digits behind a \u. */
static uint32_t hex_unit(const char *p) {
    uint32_t unit = 0;
    int i;
    for (i = 0; i < 4; i++) unit = unit << 4 | (uint32_t)(hex_digit((unsigned char)p[i]) & 15);
    return unit;
}

/* Takes one character, escaped or not, off the front of a checked string; writes its 1 to 4 bytes to out. */
static size_t take_character(const char **at, const char *end, char out[4]) {
    const char *p = *at;
    uint32_t code, low;
    if (*p != '\\') {
        out[0] = *p;
        *at = p + 1;
        return 1;
    }
    *at = p + 2;
    switch (p[1]) {
    case 'b':
        out[0] = '\b';
        return 1;
    case 'f':
        out[0] = '\f';
        return 1;
    case 'n':
        out[0] = '\n';
        return 1;
    case 'r':
        out[0] = '\r';
        return 1;
    case 't':
        out[0] = '\t';
        return 1;
    case 'u':
        break;
    default:
        out[0] = p[1];
        return 1;
    }
    code = hex_unit(p + 2);
    *at = p + 6;
    if (code >= 0xd800 && code < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
        low = hex_unit(p + 8);
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            *at = p + 12;
        }
    }
    if (code >= 0xd800 && code < 0xe000) code = 0xfffd; /* half a pair */
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

bool tfm__json_equals(const tfm__json *json, tfm__json_value value, const char *text) {
    const char *at, *end;
    size_t size, length = strlen(text);
    if (!tfm__json_raw(json, value, &at, &size)) return false;
    if (size < length) return false; /* escapes only shrink */
    if (!memchr(at, '\\', size)) return size == length && !memcmp(at, text, length);
    for (end = at + size; at < end;) {
        char piece[4];
        size_t count = take_character(&at, end, piece);
        if (count > length || memcmp(piece, text, count)) return false;
        text += count;
        length -= count;
    }
    return length == 0;
}

size_t tfm__json_unescape(const tfm__json *json, tfm__json_value value, char *out, size_t capacity) {
    const char *at, *end;
    size_t size, used = 0;
    if (!tfm__json_raw(json, value, &at, &size)) return SIZE_MAX;
    for (end = at + size; at < end;) {
        const char *stop = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((stop ? stop : end) - at), count;
        char piece[4];
        if (plain > capacity - used) return SIZE_MAX;
        if (plain) memcpy(out + used, at, plain);
        used += plain;
        at += plain;
        if (at == end) break;
        count = take_character(&at, end, piece);
        if (count > capacity - used) return SIZE_MAX;
        memcpy(out + used, piece, count);
        used += count;
    }
    return used;
}

uint64_t tfm__json_offset(const tfm__json *json, tfm__json_value value) {
    const jsmntok_t *token = token_of(json, value);
    if (!token) return 0;
    return (uint64_t)(token->type == JSMN_STRING ? token->start - 1 : token->start);
}
