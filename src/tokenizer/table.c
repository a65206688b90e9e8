/* table.c - the tables of a tokenizer: a map of numbers, a tree of bytes, a hash of texts. Built by the
 * loaders through vocab.c, read by the encoder. All open addressing with linear probing; nothing is ever
 * removed. */
#include "tokenizer/internal.h"

/* ---- u64 -> u64 ---- */

static inline uint64_t mix(uint64_t x) {
    x ^= x >> 32;
    x *= 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return x ^ x >> 32;
}

static bool map_grow(tfm__map *map, tfm__heap *heap, size_t slots) {
    tfm__map bigger = {NULL, slots - 1, map->count};
    size_t bytes;
    if (!tfm__mul_size(slots, 2 * sizeof(uint64_t), &bytes)) return false;
    bigger.slots = tfm__alloc(heap, bytes);
    if (!bigger.slots) return false;
    memset(bigger.slots, 0xff, bytes);
    if (map->slots) {
        for (size_t i = 0; i <= map->mask; i++) {
            size_t at;
            if (map->slots[2 * i] == UINT64_MAX) continue;
            at = (size_t)mix(map->slots[2 * i]) & bigger.mask;
            while (bigger.slots[2 * at] != UINT64_MAX) at = (at + 1) & bigger.mask;
            bigger.slots[2 * at] = map->slots[2 * i];
            bigger.slots[2 * at + 1] = map->slots[2 * i + 1];
        }
        tfm__free(heap, map->slots);
    }
    *map = bigger;
    return true;
}

bool tfm__map_reserve(tfm__map *map, tfm__heap *heap, size_t count) {
    size_t slots = 16;
    while (slots / 4 * 3 < count) {
        if (slots > SIZE_MAX / 4) return false;
        slots *= 2;
    }
    if (map->slots && slots <= map->mask + 1) return true;
    return map_grow(map, heap, slots);
}

bool tfm__map_put(tfm__map *map, tfm__heap *heap, uint64_t key, uint64_t value) {
    size_t at;
    if (!tfm__map_reserve(map, heap, map->count + 1)) return false;
    at = (size_t)mix(key) & map->mask;
    while (map->slots[2 * at] != UINT64_MAX && map->slots[2 * at] != key) at = (at + 1) & map->mask;
    if (map->slots[2 * at] == UINT64_MAX) map->count++;
    map->slots[2 * at] = key;
    map->slots[2 * at + 1] = value;
    return true;
}

uint64_t tfm__map_get(const tfm__map *map, uint64_t key) {
    size_t at;
    if (!map->slots) return UINT64_MAX;
    at = (size_t)mix(key) & map->mask;
    while (map->slots[2 * at] != UINT64_MAX) {
        if (map->slots[2 * at] == key) return map->slots[2 * at + 1];
        at = (at + 1) & map->mask;
    }
    return UINT64_MAX;
}

void tfm__map_near(const tfm__map *map, uint64_t key) {
    if (map->slots) TFM__PREFETCH(&map->slots[2 * ((size_t)mix(key) & map->mask)]);
}

/* ---- Bytes -> hash ---- */

uint32_t tfm__hash_bytes(const uint8_t *bytes, size_t length) {
    uint64_t h = 0x2545f4914f6cdd1du ^ (uint64_t)length * 0x9e3779b97f4a7c15u, word;
    while (length > 8) {
        memcpy(&word, bytes, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
        bytes += 8;
        length -= 8;
    }
    word = 0;
    if (length == 8) {
        memcpy(&word, bytes, 8);
    } else { /* the last 0 .. 7 bytes, without a branch per byte */
        if (length & 4) {
            uint32_t four;
            memcpy(&four, bytes, 4);
            word = four;
            bytes += 4;
        }
        if (length & 2) {
            word = word << 16 | (uint64_t)bytes[0] << 8 | bytes[1];
            bytes += 2;
        }
        if (length & 1) word = word << 8 | bytes[0];
    }
    h = (h ^ word) * 0xff51afd7ed558ccdu;
    h ^= h >> 32;
    h *= 0xc4ceb9fe1a85ec53u;
    return (uint32_t)(h >> 32);
}

/* ---- Tree of bytes ---- */

static int64_t trie_node(tfm__trie *trie, tfm__heap *heap) {
    if (trie->nodes == trie->capacity) {
        size_t capacity = trie->capacity ? trie->capacity * 2 : 64;
        int32_t *value;
        if (capacity > SIZE_MAX / 2 / sizeof *value) return -1;
        value = tfm__resize(heap, trie->value, capacity * sizeof *value);
        if (!value) return -1;
        trie->value = value;
        trie->capacity = capacity;
    }
    trie->value[trie->nodes] = -1;
    return (int64_t)trie->nodes++;
}

bool tfm__trie_put(tfm__trie *trie, tfm__heap *heap, const uint8_t *bytes, size_t length, int32_t value) {
    uint64_t node = 0;
    if (length == 0) return true;
    if (trie->nodes == 0 && trie_node(trie, heap) < 0) return false;
    if (trie->nodes == 1)
        trie->only = bytes[0];
    else if (trie->only != bytes[0])
        trie->only = -1;
    trie->first[bytes[0]] = true;
    for (size_t i = 0; i < length; i++) {
        uint64_t next = tfm__map_get(&trie->children, node << 8 | bytes[i]);
        if (next == UINT64_MAX) {
            int64_t made = trie_node(trie, heap);
            if (made < 0 || !tfm__map_put(&trie->children, heap, node << 8 | bytes[i], (uint64_t)made))
                return false;
            next = (uint64_t)made;
        }
        node = next;
    }
    if (trie->value[node] < 0) trie->value[node] = value;
    return true;
}

size_t tfm__trie_skip(const tfm__trie *trie, const uint8_t *text, size_t i, size_t length) {
    if (trie->only >= 0 && i < length) {
        const uint8_t *found = memchr(text + i, trie->only, length - i);
        return found ? (size_t)(found - text) : length;
    }
    while (i < length && !trie->first[text[i]]) i++;
    return i;
}

size_t tfm__trie_longest(const tfm__trie *trie, const uint8_t *text, size_t length, int32_t *value) {
    uint64_t node = 0;
    size_t best = 0;
    if (trie->nodes == 0 || length == 0 || !trie->first[text[0]]) return 0;
    for (size_t i = 0; i < length; i++) {
        node = tfm__map_get(&trie->children, node << 8 | text[i]);
        if (node == UINT64_MAX) break;
        if (trie->value[node] >= 0) {
            best = i + 1;
            *value = trie->value[node];
        }
    }
    return best;
}

size_t tfm__trie_reach(const tfm__trie *trie, const uint8_t *text, size_t length) {
    uint64_t node = 0;
    for (size_t i = 0; i < length; i++) {
        node = trie->nodes ? tfm__map_get(&trie->children, node << 8 | text[i]) : UINT64_MAX;
        if (node == UINT64_MAX) return i;
    }
    return length;
}

bool tfm__trie_step(const tfm__trie *trie, uint64_t *node, uint8_t byte, int32_t *value) {
    uint64_t next = trie->nodes ? tfm__map_get(&trie->children, *node << 8 | byte) : UINT64_MAX;
    if (next == UINT64_MAX) return false;
    *node = next;
    *value = trie->value[next];
    return true;
}

void tfm__trie_free(tfm__heap *heap, tfm__trie *trie) {
    tfm__free(heap, trie->children.slots);
    tfm__free(heap, trie->value);
}
