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

/* A piece on its way. */
typedef struct merging {
    uint8_t text[TFM__MERGE_BYTES + 16];
    uint8_t size[TFM__MERGE_BYTES],
        before[TFM__MERGE_BYTES + 1]; /* of the symbol at i; where the one before begins */
    uint32_t order[TFM__MERGE_BYTES];
    int32_t id[TFM__MERGE_BYTES], made[TFM__MERGE_BYTES]; /* of the symbol, and of what the pair becomes */
    size_t length;
    size_t behind, in_front; /* bytes of the two pairs that the last merge made, 0: none */
    size_t at, left;         /* where they begin */
} merging;

static void begin(const tfm_tokenizer *tokenizer, merging *m, const uint8_t *piece, size_t length) {
    memcpy(m->text, piece, length);
    memset(m->text + length, 0, 16);
    m->length = length;
    m->behind = m->in_front = 0;
    for (size_t i = 0; i < length; i++) {
        const uint64_t pair =
            i + 1 < length ? tokenizer->byte_pairs[m->text[i] | m->text[i + 1] << 8] : UINT64_MAX;
        m->order[i] = pair == UINT64_MAX ? NO_PAIR : (uint32_t)(pair >> 32) << 8 | (uint32_t)i;
        m->made[i] = (int32_t)(uint32_t)pair;
        m->id[i] = tokenizer->byte_id[m->text[i]];
        m->size[i] = 1;
        m->before[i] = (uint8_t)(i - 1);
    }
}

/* Merges the best pair; false: there is none. The new pairs wait for settle. */
static inline bool merge_one(merging *m) {
    uint32_t least = NO_PAIR;
    for (size_t i = 0; i < m->length; i++) least = TFM__MIN(least, m->order[i]);
    if (least == NO_PAIR) return false;
    const size_t i = least & 0xff, right = i + m->size[i], next = right + m->size[right];
    m->id[i] = m->made[i];
    m->size[i] = (uint8_t)(next - i);
    m->order[right] = m->order[i] = NO_PAIR;
    m->at = i;
    m->left = i > 0 ? m->before[i] : 0;
    m->behind = next < m->length ? m->size[i] + (size_t)m->size[next] : 0;
    m->in_front = i > 0 ? m->size[m->left] + (size_t)m->size[i] : 0;
    if (m->behind) m->before[next] = (uint8_t)i;
    return true;
}

/* Looks up one of the new pairs. */
static inline void settle(const tfm_tokenizer *tokenizer, merging *m, size_t at, size_t length) {
    const uint64_t pair = find_pair(tokenizer, m->text + at, length, m->id[at], m->id[at + m->size[at]]);
    m->order[at] = pair == UINT64_MAX ? NO_PAIR : (uint32_t)(pair >> 32) << 8 | (uint32_t)at;
    m->made[at] = (int32_t)(uint32_t)pair;
}

static size_t end(const merging *m, int32_t *ids) {
    size_t count = 0;
    for (size_t i = 0; i < m->length; i += m->size[i]) ids[count++] = m->id[i];
    return count;
}

size_t tfm__merge_bytes(const tfm_tokenizer *tokenizer, const uint8_t *piece, size_t length, int32_t *ids) {
    merging m;
    begin(tokenizer, &m, piece, length);
    while (merge_one(&m)) {
        /* both are looked up before either counts, so that they wait for memory together */
        const bool ask_behind = is_likely(tokenizer, m.text + m.at, m.behind);
        const bool ask_in_front = is_likely(tokenizer, m.text + m.left, m.in_front);
        if (m.behind && ask_behind) settle(tokenizer, &m, m.at, m.behind);
        if (m.in_front) {
            m.order[m.left] = NO_PAIR;
            if (ask_in_front) settle(tokenizer, &m, m.left, m.in_front);
        }
    }
    return end(&m, ids);
}

#define TURNS 8

static inline void bring_near(const tfm_tokenizer *tokenizer, const merging *m, size_t at, size_t length) {
    if (tokenizer->order_kind == TFM__MERGE_LISTED)
        tfm__map_near(&tokenizer->pairs,
                      (uint64_t)(uint32_t)m->id[at] << 32 | (uint32_t)m->id[at + m->size[at]]);
    else
        TFM__PREFETCH(
            &tokenizer->short_keys[tfm__key_line_of(tokenizer, tfm__piece_key_fast(m->text + at, length))]);
}

void tfm__merge_many(const tfm_tokenizer *tokenizer, tfm__merge_job *jobs, size_t count) {
    merging turns[TURNS];
    tfm__merge_job *job[TURNS];
    size_t begun = 0, active = 0;
    for (; active < TURNS && begun < count; active++) {
        job[active] = &jobs[begun++];
        begin(tokenizer, &turns[active], job[active]->piece, job[active]->length);
    }
    while (active) {
        for (size_t t = 0; t < active;) {
            merging *m = &turns[t];
            if (m->behind) settle(tokenizer, m, m->at, m->behind);
            if (m->in_front) settle(tokenizer, m, m->left, m->in_front);
            if (merge_one(m)) {
                /* most new pairs are none, which the filter tells without a wait */
                if (m->in_front) m->order[m->left] = NO_PAIR;
                if (!is_likely(tokenizer, m->text + m->at, m->behind)) m->behind = 0;
                if (!is_likely(tokenizer, m->text + m->left, m->in_front)) m->in_front = 0;
                if (m->behind) bring_near(tokenizer, m, m->at, m->behind);
                if (m->in_front) bring_near(tokenizer, m, m->left, m->in_front);
                t++;
                continue;
            }
            job[t]->count = (uint32_t)end(m, job[t]->ids);
            if (begun < count) {
                job[t] = &jobs[begun++];
                begin(tokenizer, m, job[t]->piece, job[t]->length);
                t++;
            } else if (t < --active) {
                turns[t] = turns[active];
                job[t] = job[active];
            }
        }
    }
}

/* ---- Long pieces ---- */

/* Whether two neighbouring tokens stay what they are when their bytes are merged; -1: too long to tell. */
static int stay_apart(const tfm_tokenizer *tokenizer, const uint8_t *text, int32_t a, int32_t b) {
    const size_t length = (size_t)tokenizer->key[a].length + tokenizer->key[b].length;
    int32_t ids[TFM__MERGE_BYTES];
    if (length > TFM__MERGE_BYTES) return -1;
    return tfm__merge_bytes(tokenizer, text, length, ids) == 2 && ids[0] == a && ids[1] == b;
}

/* A chunk's ids on their way into the piece's. */
typedef struct border {
    const uint8_t *text; /* the piece */
    const int32_t *next; /* [next_count] ids of the chunk */
    size_t next_count, used;
    size_t left, right; /* what is merged together: these bytes of the piece */
} border;

/* Joins a chunk to the ids before it. Returns how many there are then; 0: it cannot be told this way. */
static size_t join(const tfm_tokenizer *tokenizer, border *b, int32_t *ids, size_t count) {
    int32_t joint[TFM__MERGE_BYTES];
    size_t made = 0;
    int apart = count ? stay_apart(tokenizer, b->text + b->left - tokenizer->key[ids[count - 1]].length,
                                   ids[count - 1], b->next[0])
                      : 1;
    while (apart == 0) {
        if (made == 0) { /* one token of each side */
            b->left -= tokenizer->key[ids[--count]].length;
            b->right += tokenizer->key[b->next[b->used++]].length;
        }
        if (b->right - b->left > TFM__MERGE_BYTES) return 0;
        made = tfm__merge_bytes(tokenizer, b->text + b->left, b->right - b->left, joint);
        if (count && (apart = stay_apart(tokenizer, b->text + b->left - tokenizer->key[ids[count - 1]].length,
                                         ids[count - 1], joint[0])) != 1) {
            b->left -= tokenizer->key[ids[--count]].length;
            continue;
        }
        apart = 1;
        if (b->used < b->next_count &&
            (apart = stay_apart(tokenizer, b->text + b->right - tokenizer->key[joint[made - 1]].length,
                                joint[made - 1], b->next[b->used])) != 1)
            b->right += tokenizer->key[b->next[b->used++]].length;
    }
    if (apart < 0) return 0;
    memcpy(ids + count, joint, made * sizeof *ids);
    count += made;
    memcpy(ids + count, b->next + b->used, (b->next_count - b->used) * sizeof *ids);
    return count + b->next_count - b->used;
}

size_t tfm__merge_chunks(const tfm_tokenizer *tokenizer, const uint8_t *piece, size_t length, int32_t *ids) {
    size_t count = 0;
    for (size_t at = 0; at < length; at += TFM__MERGE_BYTES) {
        int32_t next[TFM__MERGE_BYTES];
        border b = {.text = piece, .next = next, .left = at, .right = at};
        b.next_count =
            tfm__merge_bytes(tokenizer, piece + at, TFM__MIN(length - at, (size_t)TFM__MERGE_BYTES), next);
        count = join(tokenizer, &b, ids, count);
        if (count == 0) return 0;
    }
    return count;
}
