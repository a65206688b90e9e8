/* merge_bytes.c - merging short pieces of byte-level BPE. Called by merge.c and bpe_text.c. The result is
 * that of merge.c; what is special is the speed.
 *
 * Symbols are known by the byte where they begin. order[i] is rank << 8 | i of the pair that begins with the
 * symbol at i, so that the least of a few numbers is the pair to be merged next, the leftmost of equals. What
 * two bytes merge to lies in a table; what two longer symbols merge to is asked of the keys (RANKS: the
 * joined bytes, which lie side by side) or of the list of pairs. */
#include "tokenizer/compose.h"
#include "tokenizer/keys.h"

#define NO_PAIR UINT32_MAX
#define MOST_RANKS (1u << 24)

/* rank << 32 | id of the pair of two tokens whose joined bytes are the length at text, 16 of which can be
 * read; UINT64_MAX: they do not merge. */
static inline uint64_t find_pair(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length,
                                 int32_t left, int32_t right) {
    if (tokenizer->order_kind == TFM__MERGE_LISTED)
        return tfm__map_get(&tokenizer->pairs, (uint64_t)(uint32_t)left << 32 | (uint32_t)right);
    int32_t id = -1;
    if (length <= TFM__PIECE_KEY) {
        id = tfm__key_find(tokenizer, tfm__piece_key_fast(text, length));
    } else {
        id = tfm__vocab_find(tokenizer, text, length);
    }
    return id < 0 ? UINT64_MAX : (uint64_t)(uint32_t)id << 32 | (uint32_t)id;
}

/* Whether find_pair has to be asked; mostly not if there is no such pair. */
static inline bool is_likely(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length) {
    if (tokenizer->order_kind == TFM__MERGE_LISTED || length > TFM__PIECE_KEY) return true;
    return tfm__key_likely(tokenizer, tfm__piece_key_fast(text, length));
}

/* What two bytes merge to, for all pairs of bytes; false: the tokenizer has ranks too large for this file. */
static bool fill_byte_pairs(const tfm_tokenizer *tokenizer, uint64_t *table) {
    memset(table, 0xff, 65536 * sizeof *table);
    if (tokenizer->order_kind == TFM__MERGE_RANKS) {
        for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
            const uint8_t *key = tfm__slice_at(tokenizer, tokenizer->key[id]);
            if (tokenizer->flags[id] & TFM__TOKEN_MATCH && tokenizer->key[id].length == 2)
                table[key[0] | key[1] << 8] = (uint64_t)(uint32_t)id << 32 | (uint32_t)id;
        }
        return true;
    }
    for (size_t i = 0; tokenizer->pairs.slots && i <= tokenizer->pairs.mask; i++) {
        const uint64_t pair = tokenizer->pairs.slots[2 * i], value = tokenizer->pairs.slots[2 * i + 1];
        if (pair == UINT64_MAX) continue;
        if (value >> 32 >= MOST_RANKS) return false;
        const tfm__slice left = tokenizer->key[pair >> 32], right = tokenizer->key[(uint32_t)pair];
        if (left.length != 1 || right.length != 1) continue;
        const uint8_t a = *tfm__slice_at(tokenizer, left), b = *tfm__slice_at(tokenizer, right);
        if (tokenizer->byte_id[a] == (int32_t)(pair >> 32) &&
            tokenizer->byte_id[b] == (int32_t)(uint32_t)pair)
            table[a | b << 8] = value;
    }
    return true;
}

int32_t tfm__merge_prepare(tfm_tokenizer *tokenizer, tfm_error *error) {
    const size_t bytes = 65536 * sizeof *tokenizer->byte_pairs;
    uint64_t *table;
    if (tokenizer->model != TFM__MODEL_BPE || !tokenizer->bytes_complete ||
        tokenizer->order_kind == TFM__MERGE_SCORES || (uint32_t)tokenizer->vocab_size >= MOST_RANKS)
        return TFM_OK;
    if (!(table = tfm__alloc(tokenizer->heap, bytes))) return tfm__fail_memory(error, tokenizer->heap, bytes);
    if (!fill_byte_pairs(tokenizer, table)) {
        tfm__free(tokenizer->heap, table);
        return TFM_OK;
    }
    tokenizer->byte_pairs = table;
    return tfm__compose_prepare(tokenizer, error);
}

size_t tfm__merge_bytes(const tfm_tokenizer *tokenizer, const uint8_t *piece, size_t length, int32_t *ids) {
    uint8_t text[TFM__MERGE_BYTES + 16];
    uint8_t size[TFM__MERGE_BYTES],
        before[TFM__MERGE_BYTES + 1]; /* of the symbol at i; where the one before begins */
    uint32_t order[TFM__MERGE_BYTES];
    int32_t id[TFM__MERGE_BYTES], made[TFM__MERGE_BYTES]; /* of the symbol, and of what the pair becomes */
    size_t count = 0;
    memcpy(text, piece, length);
    memset(text + length, 0, 16);
    for (size_t i = 0; i < length; i++) {
        const uint64_t pair = i + 1 < length ? tokenizer->byte_pairs[text[i] | text[i + 1] << 8] : UINT64_MAX;
        order[i] = pair == UINT64_MAX ? NO_PAIR : (uint32_t)(pair >> 32) << 8 | (uint32_t)i;
        made[i] = (int32_t)(uint32_t)pair;
        id[i] = tokenizer->byte_id[text[i]];
        size[i] = 1;
        before[i] = (uint8_t)(i - 1);
    }
    for (;;) {
        uint32_t least = NO_PAIR;
        for (size_t i = 0; i < length; i++) least = TFM__MIN(least, order[i]);
        if (least == NO_PAIR) break;
        const size_t i = least & 0xff, right = i + size[i];
        id[i] = made[i];
        size[i] = (uint8_t)(size[i] + size[right]);
        order[right] = order[i] = NO_PAIR;
        const size_t next = i + size[i], left = before[i];
        const size_t behind = next < length ? size[i] + (size_t)size[next] : 0;
        const size_t in_front = i > 0 ? size[left] + (size_t)size[i] : 0;
        /* both are looked up before either counts, so that they wait for memory together */
        const bool ask_behind = is_likely(tokenizer, text + i, behind);
        const bool ask_in_front = is_likely(tokenizer, text + (i > 0 ? left : 0), in_front);
        if (behind) {
            before[next] = (uint8_t)i;
            if (ask_behind) {
                const uint64_t pair = find_pair(tokenizer, text + i, behind, id[i], id[next]);
                if (pair != UINT64_MAX) order[i] = (uint32_t)(pair >> 32) << 8 | (uint32_t)i;
                made[i] = (int32_t)(uint32_t)pair;
            }
        }
        if (in_front) {
            const uint64_t pair =
                ask_in_front ? find_pair(tokenizer, text + left, in_front, id[left], id[i]) : UINT64_MAX;
            order[left] = pair == UINT64_MAX ? NO_PAIR : (uint32_t)(pair >> 32) << 8 | (uint32_t)left;
            made[left] = (int32_t)(uint32_t)pair;
        }
    }
    for (size_t i = 0; i < length; i += size[i]) ids[count++] = id[i];
    return count;
}
