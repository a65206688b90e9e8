/* pieces.h - remembered pieces of text and their ids; private to this folder.
 *
 * The ids of a piece depend on its bytes alone, so that what was merged once need not be merged again. One
 * table belongs to one tfm__work, and so to one thread at a time; its memory is bounded by the tokenizer's
 * cache_bytes and grows from a little as pieces come.
 *
 * A piece of up to 15 bytes is its own key: 16 bytes, its length in the last one, so that comparing keys
 * compares pieces. Up to three ids lie in the entry, beside the key: half a cache line, and a bucket of two
 * entries is one line. Longer pieces have a hash for a key and lie, for comparing, in a store behind the
 * table, as more than three ids do. */
#ifndef TFM__PIECES_H
#define TFM__PIECES_H

#include "tokenizer/keys.h"

#define TFM__PIECE_LONG 512 /* longer ones are not remembered */
#define TFM__PIECE_IDS 3
#define TFM__PIECE_FAR                                                                                       \
    UINT32_MAX /* count of an entry whose ids lie in the store: ids[0] says where, ids[1] how many */

typedef struct tfm__piece_entry {
    tfm__piece_key key; /* high 0: empty */
    int32_t ids[TFM__PIECE_IDS];
    uint32_t count;
} tfm__piece_entry;

typedef struct tfm__pieces {
    tfm__heap *heap;
    tfm__piece_entry *entries; /* buckets of two */
    unsigned shift;            /* 64 - number of bits of a bucket's index */
    size_t used, slots, most_slots;
    uint32_t *store; /* ids of far entries; before them the bytes of a long piece */
    size_t store_used, store_size, most_store;
} tfm__pieces;

/* What the last byte of a key says beside a length of 1 .. 15. */
#define TFM__KEY_HASHED ((uint64_t)0xff << 56) /* low is a hash, the rest of high the length */
#define TFM__KEY_NEVER ((uint64_t)0xfe << 56)  /* of no entry */
#define TFM__KEY_PART ((uint64_t)0x80 << 56)   /* part of a piece: merged, never looked up as a whole */

/* Index of the first of the two entries that may hold a key. */
static inline size_t tfm__piece_slot(const tfm__pieces *pieces, tfm__piece_key key) {
    return (size_t)(tfm__key_hash(key) >> pieces->shift) * 2;
}

/* NULL: memory refused, or cache_bytes does not allow any. */
tfm__pieces *tfm__pieces_new(tfm__heap *heap, uint64_t bytes);
void tfm__pieces_free(tfm__pieces *pieces); /* NULL is fine */

/* The remembered ids of a piece: their number, or -1. */
int64_t tfm__pieces_get(tfm__pieces *pieces, tfm__piece_key key, const uint8_t *piece, size_t length,
                        const int32_t **ids);
/* Remembers a piece that is not there; what cannot be remembered is not. */
void tfm__pieces_put(tfm__pieces *pieces, tfm__piece_key key, const uint8_t *piece, size_t length,
                     const int32_t *ids, size_t count);

#endif
