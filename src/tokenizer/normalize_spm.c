/* normalize_spm.c - SentencePiece's normaliser. Called by normalize.c; the loaders hand it the character map.
 *
 * At every place the longest user-defined piece is kept as it is, else the longest key of the character map
 * is replaced, else one character is kept, an ill-formed byte becoming U+FFFD; spaces are squeezed, turned
 * into U+2581 and put in front as the model says. The map is a Darts-clone double array of 32-bit units:
 * label in bits 0-7 and 31, leaf flag in bit 8, offset in bits 10-30 (times 256 if bit 9). Sources:
 * SentencePiece's normalizer; Yata's Darts-clone. */
#include "tokenizer/normalize.h"

int32_t tfm__spm_charsmap(tfm_tokenizer *tokenizer, const uint8_t *data, size_t size, const char *file,
                          tfm_error *error) {
    tfm__spm_rules *rules = &tokenizer->spm;
    uint32_t trie_bytes;
    if (size == 0) return TFM_OK;
    if (size < 4 || (trie_bytes = tfm__u32_le(data)) > size - 4 || trie_bytes % 4 != 0 || trie_bytes == 0 ||
        size - 4 - trie_bytes == 0)
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                            "a malformed precompiled_charsmap");
    rules->unit_count = trie_bytes / 4;
    rules->units = tfm__alloc_array(tokenizer->heap, rules->unit_count, sizeof *rules->units);
    if (!rules->units) return tfm__fail_memory(error, tokenizer->heap, trie_bytes);
    for (size_t i = 0; i < rules->unit_count; i++) rules->units[i] = tfm__u32_le(data + 4 + 4 * i);
    rules->replacement_bytes = size - 4 - trie_bytes;
    rules->replacements =
        tfm__copy_text(tokenizer->heap, (const char *)data + 4 + trie_bytes, rules->replacement_bytes);
    if (!rules->replacements) return tfm__fail_memory(error, tokenizer->heap, rules->replacement_bytes);
    return TFM_OK;
}

static uint32_t unit_offset(uint32_t unit) { return (unit >> 10) << ((unit & 0x200u) >> 6); }

size_t tfm__spm_map(const tfm__spm_rules *rules, const uint8_t *text, size_t length, bool shortest, size_t *used) {
    size_t at, value = 0;
    *used = 0;
    if (!rules->units) return 0;
    at = unit_offset(rules->units[0]);
    for (size_t i = 0; i < length && text[i]; i++) {
        uint32_t unit;
        at ^= text[i];
        if (at >= rules->unit_count) break;
        unit = rules->units[at];
        if ((unit & 0x800000ffu) != text[i]) break;
        at ^= unit_offset(unit);
        if (at >= rules->unit_count) break;
        if (unit & 0x100u && (rules->units[at] & 0x7fffffffu) < rules->replacement_bytes) {
            *used = i + 1;
            value = rules->units[at] & 0x7fffffffu;
            if (shortest) break;
        }
    }
    return value;
}

typedef struct prefix {
    const uint8_t *text; /* what the front of the input turns into */
    size_t length, used;
} prefix;

static prefix spm_prefix(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length) {
    const tfm__spm_rules *rules = &tokenizer->spm;
    prefix out = {text, 0, 0};
    size_t value;
    int32_t id;
    uint32_t used;
    if (tokenizer->has_frozen && (out.used = tfm__trie_longest(&tokenizer->frozen, text, length, &id)) != 0) {
        out.length = out.used;
        return out;
    }
    value = tfm__spm_map(rules, text, length, false, &out.used);
    if (out.used) {
        out.text = (const uint8_t *)rules->replacements + value;
        out.length = strlen((const char *)out.text);
        return out;
    }
    if (tfm__utf8_read(text, length, &used) == TFM__NO_CODE && !rules->keep_invalid) {
        out.text = (const uint8_t *)"\xef\xbf\xbd";
        out.length = 3;
    } else {
        out.length = used;
    }
    out.used = used;
    return out;
}

static bool put_space(const tfm__spm_rules *rules, tfm__rewriter *out, tfm__span span) {
    return rules->escape ? tfm__rewrite_put(out, TFM__MARK, TFM__MARK_BYTES, span)
                         : tfm__rewrite_put(out, " ", 1, span);
}

bool tfm__spm_normalize(const tfm_tokenizer *tokenizer, const tfm__aligned *from, tfm__rewriter *out) {
    const tfm__spm_rules *rules = &tokenizer->spm;
    const uint8_t *text = from->data;
    const size_t length = from->length;
    bool after_space = rules->remove_extra;
    size_t i = 0;
    while (rules->remove_extra && i < length) {
        prefix p = spm_prefix(tokenizer, text + i, length - i);
        if (p.length != 1 || p.text[0] != ' ') break;
        i += p.used;
    }
    if (i == length) return true;
    if (!tfm__buffer_reserve(out->text, length - i + TFM__MARK_BYTES)) return false;
    if (!rules->suffix && rules->dummy_prefix && !put_space(rules, out, tfm__aligned_span(from, i, 0)))
        return false;
    while (i < length) {
        prefix p = spm_prefix(tokenizer, text + i, length - i);
        bool copied = p.text == text + i;
        size_t at = i;
        tfm__span span = tfm__aligned_span(from, i, p.used);
        i += p.used;
        while (after_space && p.length && p.text[0] == ' ') {
            p.text++;
            p.length--;
            at++;
        }
        for (size_t k = 0; k < p.length;) {
            size_t end = k;
            if (p.text[k] == ' ') {
                if (!put_space(rules, out, span)) return false;
                k++;
                continue;
            }
            while (end < p.length && p.text[end] != ' ') end++;
            if (!(copied ? tfm__rewrite_copy(out, from, at + k, end - k)
                         : tfm__rewrite_put(out, p.text + k, end - k, span)))
                return false;
            k = end;
        }
        if (p.length) after_space = p.text[p.length - 1] == ' ';
        if (!rules->remove_extra) after_space = false;
    }
    if (rules->remove_extra) {
        const char *space = rules->escape ? TFM__MARK : " ";
        size_t bytes = rules->escape ? TFM__MARK_BYTES : 1;
        while (out->text->size >= bytes &&
               memcmp(out->text->data + out->text->size - bytes, space, bytes) == 0) {
            out->text->size -= bytes;
            if (out->spans) out->spans->size -= bytes * sizeof(tfm__span);
        }
    }
    return !(rules->suffix && rules->dummy_prefix) ||
           put_space(rules, out, tfm__aligned_span(from, length, 0));
}
