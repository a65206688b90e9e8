/* bytes.c - three ways of writing bytes as text: GPT-2's byte alphabet, "<0x41>" and base64. Called by the
 * loaders.
 *
 * The alphabet: the bytes 0x21-0x7E, 0xA1-0xAC and 0xAE-0xFF stand for the code points of the same number;
 * the other 68, in order, for U+0100 and after. Source: the encoder of OpenAI's GPT-2. */
#include "tokenizer/internal.h"

static bool is_plain(uint32_t code) {
    return (code >= 0x21 && code <= 0x7e) || (code >= 0xa1 && code <= 0xac) || (code >= 0xae && code <= 0xff);
}

/* The byte that a code point stands for, or -1. */
static int byte_of(uint32_t code) {
    if (code < 0x100) return is_plain(code) ? (int)code : -1;
    if (code <= 0x120) return (int)(code - 0x100);        /* 00-20 */
    if (code <= 0x142) return (int)(code - 0x121 + 0x7f); /* 7F-A0 */
    return code == 0x143 ? 0xad : -1;
}

uint32_t tfm__alphabet_code(uint8_t byte) {
    if (is_plain(byte)) return byte;
    if (byte <= 0x20) return 0x100u + byte;
    return byte == 0xad ? 0x143u : 0x121u + (byte - 0x7fu);
}

bool tfm__alphabet_to_bytes(const char *text, size_t length, tfm__buffer *out, bool *refused) {
    const uint8_t *bytes = (const uint8_t *)text;
    size_t start = out->size;
    *refused = false;
    for (size_t i = 0; i < length;) {
        uint32_t used, code = tfm__utf8_read(bytes + i, length - i, &used);
        int value = code == TFM__NO_CODE ? -1 : byte_of(code);
        uint8_t byte = (uint8_t)value;
        if (value < 0) {
            out->size = start;
            return false;
        }
        if (!tfm__buffer_append(out, &byte, 1)) {
            *refused = true;
            return false;
        }
        i += used;
    }
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

int tfm__byte_token(const char *text, size_t length) {
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    if (hex_digit(text[3]) < 0 || hex_digit(text[4]) < 0) return -1;
    return hex_digit(text[3]) * 16 + hex_digit(text[4]);
}

int tfm__base64_digit(uint8_t c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t tfm__base64(const uint8_t *text, size_t length, uint8_t *out) {
    size_t n = 0, padding = 0;
    uint32_t bits = 0;
    if (length == 0 || length % 4 != 0) return SIZE_MAX;
    while (padding < 2 && text[length - 1 - padding] == '=') padding++;
    for (size_t i = 0; i < length; i++) {
        int digit = i < length - padding ? tfm__base64_digit(text[i]) : 0;
        if (digit < 0) return SIZE_MAX;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 == 3) {
            out[n++] = (uint8_t)(bits >> 16);
            out[n++] = (uint8_t)(bits >> 8);
            out[n++] = (uint8_t)bits;
        }
    }
    return n - padding;
}
