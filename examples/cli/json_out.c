/* json_out.c - see json_out.h. */
#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Length of the well-formed UTF-8 character at p (Unicode 15, table 3-7), or minus the length of the maximal
 * ill-formed part. */
static int utf8_length(const unsigned char *p, size_t left) {
    unsigned char low = 0x80, high = 0xBF;
    int need;
    if (p[0] < 0x80) return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        need = 1;
    else if (p[0] >= 0xE0 && p[0] <= 0xEF)
        need = 2;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        need = 3;
    else
        return -1;
    if (p[0] == 0xE0) low = 0xA0;  /* no overlong forms */
    if (p[0] == 0xED) high = 0x9F; /* no surrogates */
    if (p[0] == 0xF0) low = 0x90;
    if (p[0] == 0xF4) high = 0x8F; /* nothing above U+10FFFF */
    for (int i = 1; i <= need; i++) {
        if ((size_t)i >= left || p[i] < low || p[i] > high) return -i;
        low = 0x80, high = 0xBF;
    }
    return need + 1;
}

static void put_ascii(FILE *out, int c) {
    switch (c) {
    case '"':
        fputs("\\\"", out);
        break;
    case '\\':
        fputs("\\\\", out);
        break;
    case '\n':
        fputs("\\n", out);
        break;
    case '\r':
        fputs("\\r", out);
        break;
    case '\t':
        fputs("\\t", out);
        break;
    default:
        if (c < 0x20 || c == 0x7F)
            fprintf(out, "\\u%04x", (unsigned)c);
        else
            putc(c, out);
    }
}

void json_string(FILE *out, const char *bytes, size_t length) {
    const unsigned char *p = (const unsigned char *)bytes;
    putc('"', out);
    for (size_t i = 0; i < length;) {
        int n = utf8_length(p + i, length - i);
        if (n == 1) {
            put_ascii(out, p[i]);
        } else if (n > 0) {
            fwrite(p + i, 1, (size_t)n, out);
        } else {
            fputs("\xEF\xBF\xBD", out);
            n = -n;
        }
        i += (size_t)n;
    }
    putc('"', out);
}

void json_text(FILE *out, const char *text) { json_string(out, text, strlen(text)); }

void json_number(FILE *out, double value) {
    char text[40];
    if (!(value - value == 0)) {
        fputs("null", out);
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fputs(text, out);
}

void json_ids(FILE *out, const int32_t *ids, size_t count) {
    putc('[', out);
    for (size_t i = 0; i < count; i++) fprintf(out, "%s%" PRId32, i ? "," : "", ids[i]);
    putc(']', out);
}
