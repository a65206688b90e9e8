/* keys.c - tokens by their keys. The table is made by the loaders through tfm__vocab_index; looked up by the
 * models and the exported functions.
 *
 * Keys of up to 15 bytes, nearly all of them, lie in lines of three, a cache line each, at most half full:
 * one visit tells most of the time whether a text is a token. Longer keys: open addressing, at most half
 * full, the hash beside the id so that most misses cost no compare. */
#include "tokenizer/keys.h"

#define LOW(n) ((n) >= 8 ? UINT64_MAX : ((uint64_t)1 << (n) % 8 * 8) - 1)
#define HIGH(n) ((n) > 8 ? ((uint64_t)1 << (n) % 8 * 8) - 1 : 0)
#define MASKS(n)                                                                                             \
    { LOW(n), HIGH(n) }

const uint64_t tfm__piece_masks[TFM__PIECE_KEY + 1][2] = {
    MASKS(0), MASKS(1), MASKS(2),  MASKS(3),  MASKS(4),  MASKS(5),  MASKS(6),  MASKS(7),
    MASKS(8), MASKS(9), MASKS(10), MASKS(11), MASKS(12), MASKS(13), MASKS(14), MASKS(15)};

static inline uint64_t eight(const uint8_t *text) {
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return word;
}

static inline uint32_t four(const uint8_t *text) {
    uint32_t word;
    memcpy(&word, text, sizeof word);
    return word;
}

tfm__piece_key tfm__piece_key_of(const uint8_t *text, size_t length) {
    tfm__piece_key key = {0, (uint64_t)length << 56};
    if (length > TFM__PIECE_KEY) {
        uint64_t hash = length;
        for (size_t i = 0; i + 8 <= length; i += 8) {
            hash = (hash ^ eight(text + i)) * 0x9e3779b97f4a7c15u;
            hash ^= hash >> 29;
        }
        hash = (hash ^ eight(text + length - 8)) * 0xbf58476d1ce4e5b9u;
        return (tfm__piece_key){hash ^ hash >> 32, TFM__KEY_HASHED | length};
    }
    if (length >= 8) {
        key.low = eight(text);
        key.high |= eight(text + length - 8) >> 8 * (15 - length) >> 8;
    } else if (length >= 4) {
        key.low = four(text) | (uint64_t)four(text + length - 4) << 8 * (length - 4);
    } else if (length) {
        key.low = text[0] | (uint64_t)text[length / 2] << 8 * (length / 2) |
                  (uint64_t)text[length - 1] << 8 * (length - 1);
    }
    return key;
}

size_t tfm__slots_for(size_t n) {
    size_t slots = 16;
    while (slots / 2 < n) {
        if (slots > SIZE_MAX / 4) return 0;
        slots *= 2;
    }
    return slots;
}

static bool is_short(size_t length) { return length - 1 < TFM__PIECE_KEY; }

/* Empty tables for so many keys. */
static int32_t make_tables(tfm_tokenizer *tokenizer, size_t few, size_t many, tfm_error *error) {
    size_t lines = tfm__slots_for(few / 3 + 1), slots = tfm__slots_for(many), bytes;
    if (lines == 0 || !tfm__mul_size(lines, sizeof *tokenizer->short_keys, &bytes))
        return tfm__fail_memory(error, tokenizer->heap, 0);
    tokenizer->short_keys = tfm__alloc_zero(tokenizer->heap, bytes);
    if (!tokenizer->short_keys) return tfm__fail_memory(error, tokenizer->heap, bytes);
    tokenizer->short_filter = tfm__alloc_array(tokenizer->heap, lines, sizeof *tokenizer->short_filter);
    if (!tokenizer->short_filter)
        return tfm__fail_memory(error, tokenizer->heap, lines * sizeof *tokenizer->short_filter);
    for (tokenizer->short_shift = 64; lines > 1; lines /= 2) tokenizer->short_shift--;
    if (slots == 0 || !tfm__mul_size(slots, sizeof *tokenizer->keys, &bytes))
        return tfm__fail_memory(error, tokenizer->heap, 0);
    tokenizer->keys = tfm__alloc(tokenizer->heap, bytes);
    if (!tokenizer->keys) return tfm__fail_memory(error, tokenizer->heap, bytes);
    tokenizer->key_mask = slots - 1;
    for (size_t i = 0; i < slots; i++) tokenizer->keys[i] = (tfm__key_slot){0, -1, {0, 0}};
    return TFM_OK;
}

/* Puts a key of 1 to 15 bytes into the table; the id that has it already, or -1. */
static int32_t put_short(tfm_tokenizer *tokenizer, tfm__piece_key key, int32_t id) {
    const size_t mask = ((size_t)1 << (64 - tokenizer->short_shift)) - 1;
    for (size_t at = tfm__key_line_of(tokenizer, key);; at = (at + 1) & mask) {
        tfm__key_line *line = &tokenizer->short_keys[at];
        for (size_t i = 0; i < 3; i++) {
            if (line->keys[i].high == 0) {
                line->keys[i] = key;
                line->ids[i] = id;
                tokenizer->short_filter[tfm__key_line_of(tokenizer, key)] |= tfm__key_bit(tokenizer, key);
                return -1;
            }
            if (tfm__same_key(line->keys[i], key)) return line->ids[i];
        }
    }
}

static int32_t find_long(const tfm_tokenizer *tokenizer, const uint8_t *bytes, size_t length, uint32_t hash,
                         size_t *at) {
    for (*at = hash & tokenizer->key_mask;; *at = (*at + 1) & tokenizer->key_mask) {
        const tfm__key_slot *slot = &tokenizer->keys[*at];
        if (slot->id < 0) return -1;
        if (slot->hash == hash && slot->key.length == length &&
            memcmp(tfm__slice_at(tokenizer, slot->key), bytes, length) == 0)
            return slot->id;
    }
}

int32_t tfm__vocab_index(tfm_tokenizer *tokenizer, bool first_counts, const char *file, tfm_error *error) {
    size_t few = 0, many = 0;
    int32_t rc;
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        if (!(tokenizer->flags[id] & TFM__TOKEN_MATCH)) continue;
        if (is_short(tokenizer->key[id].length))
            few++;
        else
            many++;
    }
    if ((rc = make_tables(tokenizer, few, many, error)) != 0) return rc;
    tokenizer->longest_key = 0;
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        const tfm__slice key = tokenizer->key[id];
        const uint8_t *bytes = tfm__slice_at(tokenizer, key);
        int32_t other;
        if (!(tokenizer->flags[id] & TFM__TOKEN_MATCH)) continue;
        if (is_short(key.length)) {
            other = put_short(tokenizer, tfm__piece_key_of(bytes, key.length), id);
        } else {
            const uint32_t hash = tfm__hash_bytes(bytes, key.length);
            size_t at;
            other = find_long(tokenizer, bytes, key.length, hash, &at);
            if (other < 0) tokenizer->keys[at] = (tfm__key_slot){hash, id, key};
        }
        if (other < 0) {
            tokenizer->longest_key = TFM__MAX(tokenizer->longest_key, key.length);
        } else if (first_counts) {
            tokenizer->flags[id] &= (uint8_t)~TFM__TOKEN_MATCH;
        } else {
            return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                                "the tokens %d and %d are the same: '%.*s'", (int)other, (int)id,
                                (int)TFM__MIN(key.length, 64u), (const char *)bytes);
        }
    }
    return TFM_OK;
}

int32_t tfm__vocab_find(const tfm_tokenizer *tokenizer, const uint8_t *bytes, size_t length) {
    size_t at;
    if (is_short(length)) {
        const tfm__piece_key key = tfm__piece_key_of(bytes, length);
        return tfm__key_likely(tokenizer, key) ? tfm__key_find(tokenizer, key) : -1;
    }
    if (length > tokenizer->longest_key) return -1;
    return find_long(tokenizer, bytes, length, tfm__hash_bytes(bytes, length), &at);
}
