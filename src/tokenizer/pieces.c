/* pieces.c - remembered pieces of text. Called by model.c and bpe_text.c.
 *
 * Two entries to a bucket; what finds its bucket full lies in one of the seven beside it, and changes places
 * with one of the bucket's when it is asked for. The table grows when it is half full. Where no place is
 * left, a new piece takes that of one of its bucket. When the store is full, everything is forgotten: texts
 * that fill it repeat little. That memory is refused only means that less is remembered. Of the bytes that
 * are allowed, half go to the table, which needs another quarter while it grows, an eighth to the store, and
 * the rest to compose.c. Memory that is touched for the first time costs more than all else, so the table
 * starts small. Source of the layout: the gigatoken project. */
#include "tokenizer/pieces.h"

#define FIRST_SLOTS ((size_t)1 << 11)
#define MANY_SLOTS ((size_t)1 << 15)
#define FIRST_STORE ((size_t)1 << 10)
#define GROUP 16 /* entries where a key may lie: eight buckets side by side */
tfm__pieces *tfm__pieces_new(tfm__heap *heap, uint64_t bytes) {
    tfm__pieces *pieces;
    size_t most = FIRST_SLOTS;
    if (bytes / 2 < FIRST_SLOTS * sizeof(tfm__piece_entry)) return NULL;
    while (most < SIZE_MAX / 4 / sizeof(tfm__piece_entry) && most * 2 * sizeof(tfm__piece_entry) <= bytes / 2)
        most *= 2;
    pieces = tfm__alloc_zero(heap, sizeof *pieces);
    if (!pieces) return NULL;
    *pieces = (tfm__pieces){.heap = heap, .slots = FIRST_SLOTS, .most_slots = most, .shift = 64 - 10};
    pieces->most_store = (size_t)TFM__MIN(bytes / 8 / sizeof *pieces->store, (uint64_t)INT32_MAX / 2);
    pieces->entries = tfm__alloc_zero(heap, FIRST_SLOTS * sizeof *pieces->entries);
    if (!pieces->entries) {
        tfm__free(heap, pieces);
        return NULL;
    }
    return pieces;
}

void tfm__pieces_free(tfm__pieces *pieces) {
    if (!pieces) return;
    tfm__free(pieces->heap, pieces->entries);
    tfm__free(pieces->heap, pieces->store);
    tfm__free(pieces->heap, pieces);
}

/* Entry i of those where a key may lie, its bucket's first. */
static inline tfm__piece_entry *entry_at(const tfm__pieces *pieces, size_t slot, size_t i) {
    return &pieces->entries[(slot ^ (i & (GROUP - 2))) + (i & 1)];
}

int64_t tfm__pieces_get(tfm__pieces *pieces, tfm__piece_key key, const uint8_t *piece, size_t length,
                        const int32_t **ids) {
    const size_t slot = tfm__piece_slot(pieces, key);
    tfm__piece_entry *e = NULL;
    for (size_t i = 0; i < GROUP; i++) {
        e = entry_at(pieces, slot, i);
        if (tfm__same_key(e->key, key)) {
            if (i >= 2) { /* nearer next time */
                tfm__piece_entry *near = entry_at(pieces, slot, 1), swap = *near;
                *near = *e;
                *e = swap;
                e = near;
            }
            break;
        }
        if (e->key.high == 0 || i == GROUP - 1) return -1; /* behind an empty entry there is nothing */
    }
    if (e->count != TFM__PIECE_FAR) {
        *ids = e->ids;
        return e->count;
    }
    const uint32_t *record = pieces->store + e->ids[0];
    if (key.high >= TFM__KEY_HASHED) {
        if (memcmp(record, piece, length) != 0) return -1;
        record += (length + 3) / 4;
    }
    *ids = (const int32_t *)(const void *)record;
    return e->ids[1];
}

/* An empty entry where a key may lie, or NULL. */
static tfm__piece_entry *empty_entry(const tfm__pieces *pieces, tfm__piece_key key) {
    const size_t slot = tfm__piece_slot(pieces, key);
    for (size_t i = 0; i < GROUP; i++)
        if (entry_at(pieces, slot, i)->key.high == 0) return entry_at(pieces, slot, i);
    return NULL;
}

/* Twice the slots, while they are few four times. Those that were near stay near. */
static void grow(tfm__pieces *pieces) {
    size_t slots = TFM__MIN(pieces->slots * (pieces->slots < MANY_SLOTS ? 4 : 2), pieces->most_slots);
    tfm__pieces bigger = *pieces;
    bigger.entries = tfm__alloc_zero(pieces->heap, slots * sizeof *bigger.entries);
    if (!bigger.entries) {
        pieces->most_slots = pieces->slots; /* not asked for again */
        return;
    }
    bigger.used = 0;
    for (size_t n = pieces->slots; n < slots; n *= 2) bigger.shift--;
    bigger.slots = slots;
    for (int far = 0; far < 2; far++) {
        for (size_t i = 0; i < pieces->slots; i++) {
            const tfm__piece_entry *from = &pieces->entries[i];
            tfm__piece_entry *to;
            if (from->key.high == 0 || (tfm__piece_slot(pieces, from->key) / 2 != i / 2) != far) continue;
            if (!(to = empty_entry(&bigger, from->key))) continue;
            *to = *from;
            bigger.used++;
        }
    }
    tfm__free(pieces->heap, pieces->entries);
    *pieces = bigger;
}

/* Room for words in the store; NULL: there is none. */
static uint32_t *take_store(tfm__pieces *pieces, size_t words) {
    if (words > pieces->store_size - pieces->store_used) {
        size_t size = TFM__MAX(pieces->store_size * 2, FIRST_STORE);
        uint32_t *bigger = NULL;
        if (pieces->store_used + words > pieces->most_store) {
            if (words > pieces->most_store / 2) return NULL;
            memset(pieces->entries, 0, pieces->slots * sizeof *pieces->entries);
            pieces->used = pieces->store_used = 0;
            if (words <= pieces->store_size) return pieces->store;
        }
        while (size < pieces->store_used + words) size *= 2;
        size = TFM__MIN(size, pieces->most_store);
        bigger = tfm__resize(pieces->heap, pieces->store, size * sizeof *bigger);
        if (!bigger) return NULL;
        pieces->store = bigger;
        pieces->store_size = size;
    }
    return pieces->store + pieces->store_used;
}

void tfm__pieces_put(tfm__pieces *pieces, tfm__piece_key key, const uint8_t *piece, size_t length,
                     const int32_t *ids, size_t count) {
    tfm__piece_entry made = {.key = key, .count = (uint32_t)count}, *e;
    bool hashed = key.high >= TFM__KEY_HASHED;
    if (length > TFM__PIECE_LONG) return;
    if (hashed || count > TFM__PIECE_IDS) {
        size_t words = (hashed ? (length + 3) / 4 : 0);
        uint32_t *record = take_store(pieces, words + count);
        if (!record) return;
        if (hashed) {
            record[words - 1] = 0;
            memcpy(record, piece, length);
        }
        if (count) memcpy(record + words, ids, count * sizeof *ids);
        made.ids[0] = (int32_t)(record - pieces->store);
        made.ids[1] = (int32_t)count;
        made.count = TFM__PIECE_FAR;
        pieces->store_used += words + count;
    } else if (count) {
        memcpy(made.ids, ids, count * sizeof *ids);
    }
    if (pieces->used >= pieces->slots / 2 && pieces->slots < pieces->most_slots) grow(pieces);
    e = empty_entry(pieces, key);
    if (e) {
        pieces->used++;
    } else { /* instead of the older one */
        e = &pieces->entries[tfm__piece_slot(pieces, key)];
        e[1] = e[0];
    }
    *e = made;
}
