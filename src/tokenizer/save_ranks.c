/* save_ranks.c - writes a .tiktoken rank file: for each token its bytes in base64, a space, its rank. Called
 * by save.c, which has made sure that merging by rank gives the tokenizer's ids.
 *
 * Ranks are ids. Tokens that are matched whole are left out, as is the pattern: whoever loads the file names
 * them. Source: tiktoken (load.py). */
#include "tokenizer/save.h"

static bool put_base64(tfm__buffer *out, const uint8_t *bytes, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        size_t n = TFM__MIN(length - i, (size_t)3);
        uint32_t bits = (uint32_t)bytes[i] << 16 | (n > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (n > 2 ? bytes[i + 2] : 0u);
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], n > 1 ? digits[bits >> 6 & 63] : '=',
                        n > 2 ? digits[bits & 63] : '='};
        if (!tfm__buffer_append(out, four, sizeof four)) return false;
    }
    return true;
}

static bool put_rank(tfm__buffer *out, size_t rank) {
    char line[24] = {' '};
    size_t at = sizeof line;
    line[--at] = '\n';
    do line[--at] = (char)('0' + rank % 10);
    while ((rank /= 10) > 0);
    line[--at] = ' ';
    return tfm__buffer_append(out, line + at, sizeof line - at);
}

static bool is_added(const tfm__saved *form, const bool *added, size_t id) {
    return tfm__saved_at(form, id).kind == 0 || added[id];
}

int32_t tfm__save_ranks(const tfm__saved *form, tfm__buffer *out) {
    size_t count = tfm__saved_count(form);
    bool *added, ok = true, outside = false;
    tfm__buffer bytes;
    if (!form->byte_level || form->nfc || form->prefix_space || form->adds_bos || form->adds_eos)
        return tfm__fail(
            form->error, TFM_E_UNSUPPORTED,
            "a rank file cannot say what is done to a text beyond splitting it (a normalizer, a space or a "
            "token in front)");
    added = tfm__alloc_array(form->heap, count ? count : 1, sizeof *added);
    if (!added) return tfm__fail_memory(form->error, form->heap, count);
    for (size_t i = 0; i < form->added.size / sizeof(tfm__added); i++) {
        tfm__added token;
        memcpy(&token, form->added.data + i * sizeof token, sizeof token);
        added[token.id] = true;
    }
    tfm__buffer_init(&bytes, form->heap);
    for (size_t id = 0; id < count && ok && !outside; id++) {
        size_t length;
        const char *name = tfm__saved_name(form, id, &length);
        bool refused = false;
        if (is_added(form, added, id)) continue;
        bytes.size = 0;
        outside = !tfm__alphabet_to_bytes(name, length, &bytes, &refused) && !refused;
        ok = !refused && (outside || (put_base64(out, bytes.data, bytes.size) && put_rank(out, id)));
    }
    tfm__buffer_free(&bytes);
    tfm__free(form->heap, added);
    if (outside)
        return tfm__fail(form->error, TFM_E_UNSUPPORTED,
                         "a rank file cannot hold a token that no bytes are merged to");
    return ok ? TFM_OK : tfm__fail_memory(form->error, form->heap, 0);
}
