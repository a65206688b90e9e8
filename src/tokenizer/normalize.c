/* normalize.c - what is done to a text before it is cut into pieces. Called by encode.c for every segment
 * between whole-matched tokens, and by load_hf.c for the normal forms of added tokens.
 *
 * Steps of tokenizer.json (NFC, Prepend, Replace of a literal) run one after the other, each over the whole
 * segment. SentencePiece's rules are one step: at every place the longest user-defined piece is kept as it
 * is, else the longest key of the character map is replaced, else one character is kept, an ill-formed byte
 * becoming U+FFFD; spaces are squeezed, turned into U+2581 and put in front as the model says. The map is a
 * Darts-clone double array of 32-bit units: label in bits 0-7 and 31, leaf flag in bit 8, offset in bits
 * 10-30 (times 256 if bit 9). Sources: SentencePiece's normalizer; Yata's Darts-clone; Hugging Face
 * tokenizers' normalizers. */
#include "tokenizer/internal.h"

/* ---- SentencePiece ---- */

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

/* Longest key of the map at the front of a text: its length, and the place of its replacement. */
static size_t map_longest(const tfm__spm_rules *rules, const uint8_t *text, size_t length, size_t *value) {
    size_t best = 0, at;
    if (!rules->units) return 0;
    at = unit_offset(rules->units[0]);
    for (size_t i = 0; i < length; i++) {
        uint32_t unit;
        at ^= text[i];
        if (at >= rules->unit_count) break;
        unit = rules->units[at];
        if ((unit & 0x800000ffu) != text[i]) break;
        at ^= unit_offset(unit);
        if (at >= rules->unit_count) break;
        if (unit & 0x100u) {
            best = i + 1;
            *value = rules->units[at] & 0x7fffffffu;
        }
    }
    return best;
}

typedef struct prefix {
    const uint8_t *text; /* what the front of the input turns into */
    size_t length, used;
} prefix;

static prefix spm_prefix(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length) {
    const tfm__spm_rules *rules = &tokenizer->spm;
    prefix out = {text, 0, 0};
    size_t value = 0;
    int32_t id;
    uint32_t used;
    if (tokenizer->has_frozen && (out.used = tfm__trie_longest(&tokenizer->frozen, text, length, &id)) != 0) {
        out.length = out.used;
        return out;
    }
    out.used = map_longest(rules, text, length, &value);
    if (out.used) {
        out.text = (const uint8_t *)(value < rules->replacement_bytes ? rules->replacements + value : "");
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

static bool put_space(const tfm__spm_rules *rules, tfm__buffer *out) {
    return rules->escape ? tfm__buffer_append(out, TFM__MARK, TFM__MARK_BYTES)
                         : tfm__buffer_append(out, " ", 1);
}

static bool spm_normalize(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length,
                          tfm__buffer *out) {
    const tfm__spm_rules *rules = &tokenizer->spm;
    bool after_space = rules->remove_extra;
    size_t i = 0;
    while (rules->remove_extra && i < length) {
        prefix p = spm_prefix(tokenizer, text + i, length - i);
        if (p.length != 1 || p.text[0] != ' ') break;
        i += p.used;
    }
    if (i == length) return true;
    if (!tfm__buffer_reserve(out, length - i + TFM__MARK_BYTES)) return false;
    if (!rules->suffix && rules->dummy_prefix && !put_space(rules, out)) return false;
    while (i < length) {
        prefix p = spm_prefix(tokenizer, text + i, length - i);
        i += p.used;
        while (after_space && p.length && p.text[0] == ' ') {
            p.text++;
            p.length--;
        }
        for (size_t k = 0; k < p.length;) {
            size_t end = k;
            if (p.text[k] == ' ') {
                if (!put_space(rules, out)) return false;
                k++;
                continue;
            }
            while (end < p.length && p.text[end] != ' ') end++;
            if (!tfm__buffer_append(out, p.text + k, end - k)) return false;
            k = end;
        }
        if (p.length) after_space = p.text[p.length - 1] == ' ';
        if (!rules->remove_extra) after_space = false;
    }
    if (rules->remove_extra) {
        const char *space = rules->escape ? TFM__MARK : " ";
        size_t bytes = rules->escape ? TFM__MARK_BYTES : 1;
        while (out->size >= bytes && memcmp(out->data + out->size - bytes, space, bytes) == 0)
            out->size -= bytes;
    }
    return !(rules->suffix && rules->dummy_prefix) || put_space(rules, out);
}

/* ---- Steps ---- */

static bool replace_all(const uint8_t *text, size_t length, const uint8_t *from, size_t from_length,
                        const uint8_t *to, size_t to_length, tfm__buffer *out) {
    size_t start = 0;
    for (size_t i = 0; from_length && i + from_length <= length;) {
        if (text[i] != from[0] || memcmp(text + i, from, from_length) != 0) {
            i++;
            continue;
        }
        if (!tfm__buffer_append(out, text + start, i - start) || !tfm__buffer_append(out, to, to_length))
            return false;
        i += from_length;
        start = i;
    }
    return tfm__buffer_append(out, text + start, length - start);
}

int32_t tfm__normalize(const tfm_tokenizer *tokenizer, tfm__work *scratch, const uint8_t *text, size_t length,
                       const uint8_t **out, size_t *out_length, tfm_error *error) {
    *out = text;
    *out_length = length;
    for (uint32_t i = 0; i < tokenizer->step_count; i++) {
        const tfm__normal_step *step = &tokenizer->steps[i];
        tfm__buffer *to = &scratch->texts[i & 1]; /* the text so far is in the other one, or the caller's */
        bool ok = true;
        to->size = 0;
        if (*out_length == 0) break;
        switch (step->kind) {
        case TFM__NORMAL_NFC:
            ok = tfm__unicode_nfc(*out, *out_length, to);
            break;
        case TFM__NORMAL_PREPEND:
            ok = tfm__buffer_append(to, tfm__slice_at(tokenizer, step->to), step->to.length) &&
                 tfm__buffer_append(to, *out, *out_length);
            break;
        case TFM__NORMAL_REPLACE:
            ok = replace_all(*out, *out_length, tfm__slice_at(tokenizer, step->from), step->from.length,
                             tfm__slice_at(tokenizer, step->to), step->to.length, to);
            break;
        case TFM__NORMAL_SPM:
            ok = spm_normalize(tokenizer, *out, *out_length, to);
            break;
        default:
            break;
        }
        if (!ok) return tfm__fail_memory(error, scratch->heap, *out_length);
        *out = to->data;
        *out_length = to->size;
    }
    return TFM_OK;
}
