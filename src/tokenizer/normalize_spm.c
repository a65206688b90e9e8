/* normalize_spm.c - SentencePiece's normaliser. Called by normalize.c; the loaders hand it the character map.
 *
 * Offsets are SentencePiece's: every byte of the result begins where the part of the text that it was made
 * from begins, and ends where the next byte begins. So of the parts of a ligature the last has all of it and
 * the others nothing.
 *
 * At every place the longest user-defined piece is kept as it is, else the longest key of the character map
 * is replaced, else one character is kept, an ill-formed byte becoming U+FFFD; spaces are squeezed, turned
 * into U+2581 and put in front as the model says. The map is a Darts-clone double array of 32-bit units:
 * label in bits 0-7 and 31, leaf flag in bit 8, offset in bits 10-30 (times 256 if bit 9). Sources:
 * SentencePiece's normalizer; Yata's Darts-clone. */
#include "tokenizer/normalize.h"

static uint32_t unit_offset(uint32_t unit) { return (unit >> 10) << ((unit & 0x200u) >> 6); }

/* Goes from a node (where its children's labels count from) to its child for a byte; false if there is none.
 */
static bool map_step(const tfm__spm_rules *rules, size_t *node, uint8_t byte, uint32_t *unit) {
    size_t at = *node ^ byte;
    if (byte == 0 || at >= rules->unit_count) return false;
    *unit = rules->units[at];
    if ((*unit & 0x800000ffu) != byte) return false;
    *node = at ^ unit_offset(*unit);
    return *node < rules->unit_count;
}

size_t tfm__spm_map(const tfm__spm_rules *rules, const uint8_t *text, size_t length, bool shortest,
                    size_t *used) {
    size_t node, value = 0;
    uint32_t unit;
    *used = 0;
    if (!rules->units) return 0;
    node = unit_offset(rules->units[0]);
    for (size_t i = 0; i < length && map_step(rules, &node, text[i], &unit); i++) {
        size_t here = rules->units[node] & 0x7fffffffu;
        if (!(unit & 0x100u) || here >= rules->replacement_bytes) continue;
        *used = i + 1;
        value = here;
        if (shortest) break;
    }
    return value;
}

/* Which ASCII characters need a look even among others. */
static void find_touched(tfm__spm_rules *rules) {
    for (uint32_t c = 1; c < 0x80; c++) {
        size_t node = unit_offset(rules->units[0]), behind;
        uint32_t unit;
        if (!map_step(rules, &node, (uint8_t)c, &unit)) continue;
        rules->touched[c] = (unit & 0x100u) != 0;
        for (uint32_t next = 1; next < 0x80; next++) {
            behind = node;
            if (map_step(rules, &behind, (uint8_t)next, &unit)) rules->touched[c] = true;
        }
    }
}

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
    find_touched(rules);
    return TFM_OK;
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

/* What was written last ends here. */
static void end_at(tfm__rewriter *out, uint32_t end) {
    if (out->spans && out->spans->size)
        ((tfm__span *)(void *)(out->spans->data + out->spans->size))[-1].end = end;
}

/* Bytes that were made from the part of the text at begin; what was there before ends there. */
static bool put(tfm__rewriter *out, const uint8_t *bytes, size_t count, uint32_t begin) {
    tfm__span span = {begin, begin};
    end_at(out, begin);
    return tfm__rewrite_put(out, bytes, count, span);
}

static bool put_space(const tfm__spm_rules *rules, tfm__rewriter *out, uint32_t begin) {
    return rules->escape ? put(out, (const uint8_t *)TFM__MARK, TFM__MARK_BYTES, begin)
                         : put(out, (const uint8_t *)" ", 1, begin);
}

static bool is_plain(const tfm_tokenizer *tokenizer, uint8_t byte) {
    return byte < 0x80 && byte != ' ' && !tokenizer->spm.touched[byte] &&
           !(tokenizer->has_frozen && tokenizer->frozen.first[byte]);
}

/* Length of the front of a text that stays as it is and needs no look: ASCII that begins no key of the map,
 * nor with the ASCII behind it. */
static size_t plain_run(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length) {
    size_t i = 0;
    while (i < length && is_plain(tokenizer, text[i])) i++;
    return i > 0 && i < length && text[i] >= 0x80 ? i - 1 : i;
}

/* The front of a text that holds no character beyond plain ones and spaces, where nobody asks for offsets:
 * writes what becomes of it and returns its length; 0: there is none, or (*ok false) memory was refused. */
static size_t plain_words(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length,
                          bool *after_space, tfm__rewriter *out, bool *ok) {
    const tfm__spm_rules *rules = &tokenizer->spm;
    bool spaces = !rules->touched[' '] && !(tokenizer->has_frozen && tokenizer->frozen.first[' ']),
         space = *after_space;
    size_t i = 0, most = TFM__MIN(length, 4096u);
    uint8_t *at;
    if (out->spans || !(is_plain(tokenizer, text[0]) || (spaces && text[0] == ' '))) return 0;
    if (!(*ok = tfm__buffer_reserve(out->text, most * TFM__MARK_BYTES))) return 0;
    at = out->text->data + out->text->size;
    for (; i < most; i++) {
        uint8_t c = text[i];
        if (!is_plain(tokenizer, c) && !(spaces && c == ' ')) break;
        if (i + 1 < length && text[i + 1] >= 0x80) break; /* may be the front of a key */
        if (c != ' ') {
            *at++ = c;
        } else if (!(space && rules->remove_extra)) {
            if (rules->escape) {
                memcpy(at, TFM__MARK, TFM__MARK_BYTES);
                at += TFM__MARK_BYTES;
            } else {
                *at++ = ' ';
            }
        }
        space = c == ' ';
    }
    if (i) *after_space = space && rules->remove_extra;
    out->text->size = (size_t)(at - out->text->data);
    return i;
}

static bool copy_run(tfm__rewriter *out, const tfm__aligned *from, size_t at, size_t count) {
    end_at(out, tfm__aligned_span(from, at, 0).begin);
    return tfm__rewrite_copy(out, from, at, count);
}

static uint32_t place(const tfm__aligned *from, size_t at) { return tfm__aligned_span(from, at, 0).begin; }

bool tfm__spm_normalize(const tfm_tokenizer *tokenizer, const tfm__aligned *from, tfm__rewriter *out) {
    const tfm__spm_rules *rules = &tokenizer->spm;
    const uint8_t *text = from->data;
    const size_t length = from->length;
    bool after_space = rules->remove_extra;
    uint32_t end = place(from, length);
    size_t i = 0;
    while (rules->remove_extra && i < length) {
        prefix p = spm_prefix(tokenizer, text + i, length - i);
        if (p.length != 1 || p.text[0] != ' ') break;
        i += p.used;
    }
    if (i == length) return true;
    if (!tfm__buffer_reserve(out->text, length - i + TFM__MARK_BYTES)) return false;
    if (!rules->suffix && rules->dummy_prefix && !put_space(rules, out, place(from, i))) return false;
    while (i < length) {
        uint32_t begin = place(from, i);
        bool ok = true;
        size_t run = plain_words(tokenizer, text + i, length - i, &after_space, out, &ok);
        prefix p;
        if (run || !ok) {
            if (!ok) return false;
            i += run;
            continue;
        }
        run = plain_run(tokenizer, text + i, length - i);
        if (run) {
            if (!copy_run(out, from, i, run)) return false;
            i += run;
            after_space = false;
            continue;
        }
        p = spm_prefix(tokenizer, text + i, length - i);
        i += p.used;
        while (after_space && p.length && p.text[0] == ' ') {
            p.text++;
            p.length--;
        }
        for (size_t k = 0; k < p.length;) {
            size_t word = k;
            while (word < p.length && p.text[word] != ' ') word++;
            if (word > k ? !put(out, p.text + k, word - k, begin) : !put_space(rules, out, begin))
                return false;
            k = word > k ? word : k + 1;
        }
        if (p.length) after_space = rules->remove_extra && p.text[p.length - 1] == ' ';
    }
    if (rules->remove_extra) {
        const char *space = rules->escape ? TFM__MARK : " ";
        size_t bytes = rules->escape ? TFM__MARK_BYTES : 1;
        while (out->text->size >= bytes &&
               memcmp(out->text->data + out->text->size - bytes, space, bytes) == 0) {
            out->text->size -= bytes;
            if (!out->spans) continue;
            out->spans->size -= bytes * sizeof(tfm__span);
            end = ((const tfm__span *)(const void *)(out->spans->data + out->spans->size))->begin;
        }
    }
    if (rules->suffix && rules->dummy_prefix && !put_space(rules, out, end)) return false;
    end_at(out, end);
    return true;
}
