/* pieces.c - remembered pieces of text. Called by model.c. A direct-mapped table: a new piece takes the place
 * of another of the same slot. */
#include "tokenizer/pieces.h"

#define PIECE_BYTES 15
#define PIECE_IDS 3

typedef struct entry {
    uint64_t low, high; /* the bytes, zeros behind them, their number in the last byte; 0, 0: empty */
    uint32_t count;
    int32_t ids[PIECE_IDS];
} entry;

struct tfm__pieces {
    unsigned shift;
    entry *entries;
};

tfm__pieces *tfm__pieces_new(tfm__heap *heap, uint64_t bytes) {
    unsigned bits = 13;
    tfm__pieces *pieces;
    if (bytes && bytes < sizeof *pieces + (sizeof(entry) << bits)) return NULL;
    pieces = tfm__alloc_zero(heap, sizeof *pieces);
    if (!pieces) return NULL;
    pieces->shift = 64 - bits;
    pieces->entries = tfm__alloc_zero(heap, sizeof(entry) << bits);
    if (!pieces->entries) {
        tfm__free(heap, pieces);
        return NULL;
    }
    return pieces;
}

void tfm__pieces_free(tfm__heap *heap, tfm__pieces *pieces) {
    if (!pieces) return;
    tfm__free(heap, pieces->entries);
    tfm__free(heap, pieces);
}

static entry *slot_of(const tfm__pieces *pieces, const uint8_t *piece, size_t length, uint64_t *low,
                      uint64_t *high) {
    uint8_t bytes[16] = {0};
    memcpy(bytes, piece, length);
    bytes[15] = (uint8_t)length;
    memcpy(low, bytes, 8);
    memcpy(high, bytes + 8, 8);
    return &pieces->entries[((*low ^ *high * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu) >> pieces->shift];
}

int tfm__pieces_get(const tfm__pieces *pieces, const uint8_t *piece, size_t length, const int32_t **ids) {
    uint64_t low, high;
    const entry *e;
    if (length == 0 || length > PIECE_BYTES) return -1;
    e = slot_of(pieces, piece, length, &low, &high);
    if (e->low != low || e->high != high) return -1;
    *ids = e->ids;
    return (int)e->count;
}

void tfm__pieces_put(tfm__pieces *pieces, const uint8_t *piece, size_t length, const int32_t *ids,
                     size_t count) {
    uint64_t low, high;
    entry *e;
    if (length == 0 || length > PIECE_BYTES || count > PIECE_IDS) return;
    e = slot_of(pieces, piece, length, &low, &high);
    e->low = low;
    e->high = high;
    e->count = (uint32_t)count;
    if (count) memcpy(e->ids, ids, count * sizeof *ids);
}
