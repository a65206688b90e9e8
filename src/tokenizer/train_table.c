/* train_table.c - different pieces of text and how often they occur. Called by train_text.c (counting, one
 * table for each thread) and by the two trainers.
 *
 * Two tables of open addressing, at most five eighths full: most pieces have at most 15 bytes and lie whole
 * in their entry, so that counting one costs a single cache line; longer ones lie in a common text. A full
 * table refuses, since the threads that count take no memory (train.h); the caller then lets it grow. */
#include "tokenizer/train.h"

#define FIRST_SLOTS ((size_t)1 << 12)
#define FIRST_TEXT ((size_t)1 << 16)

static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t h = (a ^ (b << 29 | b >> 35)) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

static uint64_t load64(const uint8_t *p) {
    uint64_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static uint64_t load32(const uint8_t *p) {
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* The bytes of a piece of 1 to 15 bytes as two little-endian numbers, without reading beyond it: two loads
 * overlap. */
static void pack(const uint8_t *piece, size_t length, uint64_t *low, uint64_t *high) {
    uint64_t l, h = 0;
    if (length >= 8) {
        l = tfm__u64_le(piece);
        if (length > 8) h = tfm__u64_le(piece + length - 8) >> 8 * (16 - length);
    } else if (length >= 4) {
        l = tfm__u32_le(piece) | (uint64_t)tfm__u32_le(piece + length - 4) << 8 * (length - 4);
    } else {
        l = piece[0] | (uint64_t)piece[length / 2] << 8 * (length / 2) |
            (uint64_t)piece[length - 1] << 8 * (length - 1);
    }
    *low = l;
    *high = h | (uint64_t)length << 56;
}

static uint64_t hash_long(const uint8_t *piece, size_t length) {
    uint64_t h = length;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) h = mix(h, load64(piece + i));
    if (i + 4 <= length) {
        h = mix(h, load32(piece + i));
        i += 4;
    }
    for (; i < length; i++) h = mix(h, piece[i]);
    return h;
}

bool tfm__piece_table_init(tfm__piece_table *table, tfm__heap *heap) {
    memset(table, 0, sizeof *table);
    table->heap = heap;
    table->shorts = tfm__alloc_array(heap, FIRST_SLOTS, sizeof *table->shorts);
    table->longs = tfm__alloc_array(heap, FIRST_SLOTS / 4, sizeof *table->longs);
    table->text = tfm__alloc(heap, FIRST_TEXT);
    if (!table->shorts || !table->longs || !table->text) {
        tfm__piece_table_free(table);
        return false;
    }
    table->short_mask = FIRST_SLOTS - 1;
    table->long_mask = FIRST_SLOTS / 4 - 1;
    table->text_capacity = FIRST_TEXT;
    return true;
}

void tfm__piece_table_free(tfm__piece_table *table) {
    if (!table->heap) return;
    tfm__free(table->heap, table->shorts);
    tfm__free(table->heap, table->longs);
    tfm__free(table->heap, table->text);
    memset(table, 0, sizeof *table);
}

/* Whether one more entry would fill more than five eighths. */
static bool full(size_t count, size_t mask) { return count >= mask / 8 * 5; }

bool tfm__piece_table_add(tfm__piece_table *table, const uint8_t *piece, size_t length, uint64_t times) {
    if (length <= 15) {
        uint64_t low, high;
        pack(piece, length, &low, &high);
        for (size_t at = (size_t)mix(low, high) & table->short_mask;; at = (at + 1) & table->short_mask) {
            tfm__short_piece *entry = &table->shorts[at];
            if (entry->low == low && entry->high == high) {
                entry->count += times;
                return true;
            }
            if (entry->count) continue;
            if (full(table->short_count, table->short_mask)) return false;
            *entry = (tfm__short_piece){low, high, times};
            table->short_count++;
            return true;
        }
    } else {
        uint64_t hash = hash_long(piece, length);
        for (size_t at = (size_t)hash & table->long_mask;; at = (at + 1) & table->long_mask) {
            tfm__long_piece *entry = &table->longs[at];
            if (entry->count) {
                if (entry->hash != hash || entry->length != length ||
                    memcmp(table->text + entry->offset, piece, length) != 0)
                    continue;
                entry->count += times;
                return true;
            }
            if (full(table->long_count, table->long_mask) || length > table->text_capacity - table->text_size)
                return false;
            memcpy(table->text + table->text_size, piece, length);
            *entry = (tfm__long_piece){hash, times, table->text_size, (uint32_t)length, 0};
            table->text_size += length;
            table->long_count++;
            return true;
        }
    }
}

static bool grow_shorts(tfm__piece_table *table) {
    size_t mask = table->short_mask * 2 + 1;
    tfm__short_piece *bigger = tfm__alloc_array(table->heap, mask + 1, sizeof *bigger);
    if (!bigger) return false;
    for (size_t i = 0; i <= table->short_mask; i++) {
        tfm__short_piece *entry = &table->shorts[i];
        size_t at = (size_t)mix(entry->low, entry->high) & mask;
        if (!entry->count) continue;
        while (bigger[at].count) at = (at + 1) & mask;
        bigger[at] = *entry;
    }
    tfm__free(table->heap, table->shorts);
    table->shorts = bigger;
    table->short_mask = mask;
    return true;
}

static bool grow_longs(tfm__piece_table *table) {
    size_t mask = table->long_mask * 2 + 1;
    tfm__long_piece *bigger = tfm__alloc_array(table->heap, mask + 1, sizeof *bigger);
    if (!bigger) return false;
    for (size_t i = 0; i <= table->long_mask; i++) {
        tfm__long_piece *entry = &table->longs[i];
        size_t at = (size_t)entry->hash & mask;
        if (!entry->count) continue;
        while (bigger[at].count) at = (at + 1) & mask;
        bigger[at] = *entry;
    }
    tfm__free(table->heap, table->longs);
    table->longs = bigger;
    table->long_mask = mask;
    return true;
}

bool tfm__piece_table_grow(tfm__piece_table *table, size_t length) {
    if (full(table->short_count, table->short_mask) && !grow_shorts(table)) return false;
    if (full(table->long_count, table->long_mask) && !grow_longs(table)) return false;
    if (length > 15 && length > table->text_capacity - table->text_size) {
        size_t wanted, capacity = table->text_capacity;
        uint8_t *bigger;
        if (!tfm__add_size(table->text_size, length, &wanted)) return false;
        while (capacity < wanted) capacity = capacity > SIZE_MAX / 2 ? wanted : capacity * 2;
        bigger = tfm__resize(table->heap, table->text, capacity);
        if (!bigger) return false;
        table->text = bigger;
        table->text_capacity = capacity;
    }
    return true;
}

bool tfm__piece_table_next(const tfm__piece_table *table, tfm__piece_walk *walk, const uint8_t **bytes,
                           size_t *length, uint64_t *count) {
    for (; walk->at <= table->short_mask; walk->at++) {
        const tfm__short_piece *entry = &table->shorts[walk->at];
        if (!entry->count) continue;
        for (size_t i = 0; i < 8; i++) {
            walk->bytes[i] = (uint8_t)(entry->low >> 8 * i);
            walk->bytes[8 + i] = (uint8_t)(entry->high >> 8 * i);
        }
        *bytes = walk->bytes;
        *length = (size_t)(entry->high >> 56);
        *count = entry->count;
        walk->at++;
        return true;
    }
    for (; walk->at - table->short_mask - 1 <= table->long_mask; walk->at++) {
        const tfm__long_piece *entry = &table->longs[walk->at - table->short_mask - 1];
        if (!entry->count) continue;
        *bytes = table->text + entry->offset;
        *length = entry->length;
        *count = entry->count;
        walk->at++;
        return true;
    }
    return false;
}

bool tfm__piece_table_join(tfm__piece_table *table, const tfm__piece_table *other) {
    tfm__piece_walk walk = {0, {0}};
    const uint8_t *bytes;
    size_t length;
    uint64_t count;
    while (tfm__piece_table_next(other, &walk, &bytes, &length, &count))
        while (!tfm__piece_table_add(table, bytes, length, count))
            if (!tfm__piece_table_grow(table, length)) return false;
    return true;
}
