/* keys.h - short texts as numbers, and tokens by their keys; private to this folder.
 *
 * A text of 1 to 15 bytes is its own key: 16 bytes, zeros behind it, its length in the last one, so that
 * comparing numbers compares texts. */
#ifndef TFM__KEYS_H
#define TFM__KEYS_H

#include "tokenizer/internal.h"

#define TFM__PIECE_KEY 15 /* bytes of a text that is its own key */

typedef struct tfm__piece_key {
    uint64_t low, high;
} tfm__piece_key;

/* What the last byte of a key says beside a length of 1 .. 15. */
#define TFM__KEY_HASHED ((uint64_t)0xff << 56) /* low is a hash, the rest of high the length */
#define TFM__KEY_NEVER ((uint64_t)0xfe << 56)  /* of no entry */
#define TFM__KEY_PART ((uint64_t)0x80 << 56)   /* part of a piece: merged, never looked up as a whole */

/* A cache line: three keys, the empty ones (high 0) last, and their ids. */
typedef struct tfm__key_line {
    tfm__piece_key keys[3];
    int32_t ids[3];
    uint32_t unused;
} tfm__key_line;

/* What of 16 bytes belongs to a text of this length. */
extern const uint64_t tfm__piece_masks[TFM__PIECE_KEY + 1][2];

/* The key of a text of 1 to 15 bytes, of which 16 can be read. */
static inline tfm__piece_key tfm__piece_key_fast(const uint8_t *text, size_t length) {
    tfm__piece_key key;
    memcpy(&key.low, text, 8);
    memcpy(&key.high, text + 8, 8);
    key.low &= tfm__piece_masks[length][0];
    key.high = (key.high & tfm__piece_masks[length][1]) | (uint64_t)length << 56;
    return key;
}

/* The key of any text: of a longer one a hash, never the same as that of a short one. */
tfm__piece_key tfm__piece_key_of(const uint8_t *text, size_t length);

/* Its upper bits are the best. */
static inline uint64_t tfm__key_hash(tfm__piece_key key) {
    return (key.low ^ key.high * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
}

static inline bool tfm__same_key(tfm__piece_key a, tfm__piece_key b) {
    return ((a.low ^ b.low) | (a.high ^ b.high)) == 0;
}

/* The line where looking for a key of 1 to 15 bytes begins. */
static inline size_t tfm__key_line_of(const tfm_tokenizer *tokenizer, tfm__piece_key key) {
    return (size_t)(tfm__key_hash(key) >> tokenizer->short_shift);
}

/* Where a key of 1 to 15 bytes has its bit in the filter. */
static inline uint16_t tfm__key_bit(const tfm_tokenizer *tokenizer, tfm__piece_key key) {
    return (uint16_t)(1u << (tfm__key_hash(key) >> (tokenizer->short_shift - 4) & 15));
}

/* Whether a key of 1 to 15 bytes may be a token's; mostly not if it is none. The filter is small enough to
 * stay in the cache, which the lines are not. */
static inline bool tfm__key_likely(const tfm_tokenizer *tokenizer, tfm__piece_key key) {
    return tokenizer->short_filter[tfm__key_line_of(tokenizer, key)] & tfm__key_bit(tokenizer, key);
}

/* The token with a key of 1 to 15 bytes, or -1. */
static inline int32_t tfm__key_find(const tfm_tokenizer *tokenizer, tfm__piece_key key) {
    const size_t mask = ((size_t)1 << (64 - tokenizer->short_shift)) - 1;
    for (size_t at = tfm__key_line_of(tokenizer, key);; at = (at + 1) & mask) {
        const tfm__key_line *line = &tokenizer->short_keys[at];
        if (tfm__same_key(line->keys[0], key)) return line->ids[0];
        if (tfm__same_key(line->keys[1], key)) return line->ids[1];
        if (tfm__same_key(line->keys[2], key)) return line->ids[2];
        if (line->keys[2].high == 0) return -1;
    }
}

#endif
