/* save_json_text.c - writing JSON: the values that save_json.c and save_json_spm.c are made of. */
#include "tokenizer/save_json.h"

void tfm__json_put(tfm__json_writer *w, const char *text) {
    w->ok = w->ok && tfm__buffer_append(w->out, text, strlen(text));
}

void tfm__json_put_number(tfm__json_writer *w, uint64_t number) {
    char digits[24];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    w->ok = w->ok && tfm__buffer_append(w->out, digits + at, sizeof digits - at);
}

void tfm__json_put_string(tfm__json_writer *w, const char *text, size_t length) {
    static const char hex[] = "0123456789abcdef";
    size_t start = 0;
    tfm__json_put(w, "\"");
    for (size_t i = 0; i <= length; i++) {
        uint8_t c = i < length ? (uint8_t)text[i] : 0;
        char escape[8] = {'\\', (char)c, 0};
        if (i < length && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
        w->ok = w->ok && tfm__buffer_append(w->out, text + start, i - start);
        start = i + 1;
        if (i == length) break;
        if (c == '\n') {
            escape[1] = 'n';
        } else if (c < 0x20 || c == 0x7f) {
            memcpy(escape, "\\u00", 4);
            escape[4] = hex[c >> 4];
            escape[5] = hex[c & 15];
        }
        tfm__json_put(w, escape);
    }
    tfm__json_put(w, "\"");
}

void tfm__json_put_bool(tfm__json_writer *w, const char *key, bool value) {
    tfm__json_put(w, ",\"");
    tfm__json_put(w, key);
    tfm__json_put(w, value ? "\":true" : "\":false");
}
