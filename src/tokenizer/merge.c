/* merge.c - merging one piece of text into tokens. Called by encode.c for every piece that is not a token
 * already, and by vocab.c to learn which tokens come out of their own text.
 *
 * Start with single bytes or characters; while some neighbouring pair can be merged, merge the best one, the
 * leftmost of equals (internal.h says what "best" is). Short pieces: all pairs kept in arrays, least rank
 * searched each time. Long ones: a heap of candidates over a linked list of symbols. A symbol knows the rank
 * of the pair that it begins; a candidate is stale if its symbol is gone or begins a pair of another rank
 * now. (A stale one of the same rank has the same place in the order as the one that it is taken for.) At
 * most three candidates per symbol are made: n log n. Sources: Sennrich et al. 2016 (BPE); the merge loops of
 * tiktoken, Hugging Face tokenizers, SentencePiece, run.c. */
#include "tokenizer/internal.h"

#define SHORT_PIECE 40
#define NO_SYMBOL UINT32_MAX

/* ---- Initial symbols ---- */

static bool reserve_symbols(tfm__work *work, size_t n) {
    tfm__symbol *bigger;
    size_t capacity = TFM__MAX(n, work->symbol_capacity * 2), bytes;
    if (n <= work->symbol_capacity) return true;
    capacity = TFM__MAX(capacity, 256u);
    if (!tfm__mul_size(capacity, sizeof *bigger, &bytes)) return false;
    bigger = tfm__resize(work->heap, work->symbols, bytes);
    if (!bigger) return false;
    work->symbols = bigger;
    work->symbol_capacity = capacity;
    return true;
}

/* Length of the character at text[0]: well-formed UTF-8, or one ill-formed byte; or as run.c has it. */
static uint32_t character(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length) {
    uint32_t used = 1;
    if (tokenizer->run_c_characters) {
        while (used < 4 && used < length && (text[used] & 0xc0u) == 0x80) used++;
        return used;
    }
    (void)tfm__utf8_read(text, length, &used);
    return used;
}

typedef struct building {
    tfm__symbol *symbols;
    size_t count;
    uint32_t unknown_start, unknown_length; /* HF: an unknown not written yet; length 0: none */
} building;

static void put_symbol(building *b, uint32_t start, uint32_t length, int32_t id) {
    b->symbols[b->count++] = (tfm__symbol){.start = start, .length = length, .id = id};
}

static void put_unknown(const tfm_tokenizer *tokenizer, building *b) {
    if (b->unknown_length) put_symbol(b, b->unknown_start, b->unknown_length, tokenizer->stand_in);
    b->unknown_length = 0;
}

/* A character without a token, LISTED: bytes if all have tokens, else unknown (perhaps one with its
 * neighbour), else nothing. An unknown waits until the next known character, even if bytes come between: so
 * does the reference. */
static void unlisted_character(const tfm_tokenizer *tokenizer, building *b, const uint8_t *text,
                               uint32_t start, uint32_t length) {
    bool all = tokenizer->byte_fallback;
    for (uint32_t i = 0; i < length && all; i++) all = tokenizer->byte_id[text[start + i]] >= 0;
    if (all) {
        for (uint32_t i = 0; i < length; i++)
            put_symbol(b, start + i, 1, tokenizer->byte_id[text[start + i]]);
        return;
    }
    if (tokenizer->stand_in < 0) return;
    if (b->unknown_length && tokenizer->fuse_unknown) {
        b->unknown_length += length;
        return;
    }
    put_unknown(tokenizer, b);
    b->unknown_start = start;
    b->unknown_length = length;
}

/* The token of a character whose key begins or ends otherwise than the text: with what marks the continuation
 * or the end of a word. */
static int32_t find_affixed(const tfm_tokenizer *tokenizer, const uint8_t *text, uint32_t length, bool first,
                            bool last) {
    uint8_t key[2 * TFM__AFFIX + 4];
    size_t n = 0;
    if (!first && tokenizer->continuing.length) {
        memcpy(key, tfm__slice_at(tokenizer, tokenizer->continuing), tokenizer->continuing.length);
        n = tokenizer->continuing.length;
    }
    memcpy(key + n, text, length);
    n += length;
    if (last && tokenizer->ending.length) {
        memcpy(key + n, tfm__slice_at(tokenizer, tokenizer->ending), tokenizer->ending.length);
        n += tokenizer->ending.length;
    }
    return tfm__vocab_find(tokenizer, key, n);
}

/* Fills work->symbols, which has room for length of them. Returns how many. */
static size_t first_symbols(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text,
                            uint32_t length) {
    building b = {work->symbols, 0, 0, 0};
    const bool affixed = tokenizer->continuing.length || tokenizer->ending.length;
    for (uint32_t i = 0; i < length;) {
        uint32_t used = 1;
        int32_t id = -1;
        if (tokenizer->bytes && !affixed) {
            id = tokenizer->byte_id[text[i]];
        } else if (tokenizer->has_frozen &&
                   (used = (uint32_t)tfm__trie_longest(&tokenizer->frozen, text + i, length - i, &id)) != 0) {
            put_symbol(&b, i, used, -2 - id);
            i += used;
            continue;
        } else {
            /* the space that run.c puts in front is never part of a longer character */
            used = tokenizer->bytes || (work->at_front && i == 0)
                       ? 1
                       : character(tokenizer, text + i, length - i);
            id = affixed ? find_affixed(tokenizer, text + i, used, i == 0, i + used == length)
                         : tfm__vocab_find(tokenizer, text + i, used);
        }
        if (tokenizer->order_kind != TFM__MERGE_LISTED) {
            put_symbol(&b, i, used, id);
        } else if (id >= 0) {
            put_unknown(tokenizer, &b);
            put_symbol(&b, i, used, id);
        } else {
            unlisted_character(tokenizer, &b, text, i, used);
        }
        i += used;
    }
    put_unknown(tokenizer, &b);
    if (tokenizer->order_kind == TFM__MERGE_LISTED && !tokenizer->bytes_complete) {
        /* places as the reference counts them: what has no symbol takes no room */
        for (uint32_t i = 0, at = 0; i < b.count; at += b.symbols[i++].length) b.symbols[i].start = at;
    }
    return b.count;
}

/* ---- Pairs ---- */

/* Whether two neighbours merge; rank and result. */
static inline bool find_pair(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text,
                             const tfm__symbol *a, const tfm__symbol *b, uint32_t *rank, int32_t *id) {
    uint64_t value;
    if (tokenizer->order_kind == TFM__MERGE_LISTED) {
        if (a->id < 0 || b->id < 0) return false;
        value = tfm__map_get(&tokenizer->pairs, (uint64_t)(uint32_t)a->id << 32 | (uint32_t)b->id);
        if (value == UINT64_MAX) return false;
        *rank = (uint32_t)(value >> 32);
        *id = (int32_t)(uint32_t)value;
        return true;
    }
    if (a->id < -1 || b->id < -1) return false; /* frozen */
    if (tokenizer->longest_key - a->length < b->length || tokenizer->longest_key < a->length) return false;
    *id = tfm__vocab_find(tokenizer, text + a->start, a->length + b->length);
    if (*id < 0) return false;
    if (tokenizer->order_kind == TFM__MERGE_RANKS) {
        *rank = (uint32_t)*id;
        return true;
    }
    *rank = tokenizer->order[*id];
    if (*rank == UINT32_MAX) return false;
    if (work->unused_cut && tokenizer->kind[*id] == TFM_TOKEN_UNUSED) work->unused_cut[*id] = a->length;
    return true;
}

/* Up to SHORT_PIECE symbols, packed; returns how many are left. */
static size_t merge_short(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text, size_t n) {
    tfm__symbol *symbols = work->symbols;
    uint32_t rank[SHORT_PIECE];
    int32_t id[SHORT_PIECE];
    rank[n - 1] = UINT32_MAX; /* behind the last symbol nothing merges */
    id[n - 1] = -1;
    for (size_t i = 0; i + 1 < n; i++)
        if (!find_pair(tokenizer, work, text, &symbols[i], &symbols[i + 1], &rank[i], &id[i]))
            rank[i] = UINT32_MAX;
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == UINT32_MAX) break;
        symbols[best].length += symbols[best + 1].length;
        symbols[best].id = id[best];
        for (size_t i = best + 1; i + 1 < n; i++) {
            symbols[i] = symbols[i + 1];
            rank[i] = rank[i + 1];
            id[i] = id[i + 1];
        }
        n--;
        if (best > 0 && !find_pair(tokenizer, work, text, &symbols[best - 1], &symbols[best], &rank[best - 1],
                                   &id[best - 1]))
            rank[best - 1] = UINT32_MAX;
        if (best + 1 < n &&
            !find_pair(tokenizer, work, text, &symbols[best], &symbols[best + 1], &rank[best], &id[best]))
            rank[best] = UINT32_MAX;
    }
    return n;
}

/* ---- Heap of candidates, least key first, four children each ---- */

/* Looks at the pair that begins at left and, if it merges, makes it a candidate. False: memory refused. */
static bool push(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text, uint32_t left) {
    tfm__symbol *symbol = &work->symbols[left];
    uint64_t made, *heap;
    size_t i;
    if (symbol->next == NO_SYMBOL || !find_pair(tokenizer, work, text, symbol, &work->symbols[symbol->next],
                                                &symbol->rank, &symbol->merged)) {
        symbol->rank = UINT32_MAX;
        return true;
    }
    made = (uint64_t)symbol->rank << 32 | left;
    if (work->candidate_count == work->candidate_capacity) {
        size_t capacity = TFM__MAX(work->candidate_capacity * 2, 256u), bytes;
        if (!tfm__mul_size(capacity, sizeof *heap, &bytes)) return false;
        heap = tfm__resize(work->heap, work->candidates, bytes);
        if (!heap) return false;
        work->candidates = heap;
        work->candidate_capacity = capacity;
    }
    heap = work->candidates;
    i = work->candidate_count++;
    while (i > 0 && heap[(i - 1) / 4] > made) {
        heap[i] = heap[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    heap[i] = made;
    return true;
}

static uint64_t pop(tfm__work *work) {
    uint64_t *heap = work->candidates, top = heap[0], last = heap[--work->candidate_count];
    size_t n = work->candidate_count, i = 0;
    for (;;) {
        size_t child = 4 * i + 1, end = TFM__MIN(child + 4, n), least = child;
        if (child >= n) break;
        for (size_t c = child + 1; c < end; c++)
            if (heap[c] < heap[least]) least = c;
        if (heap[least] >= last) break;
        heap[i] = heap[least];
        i = least;
    }
    if (n) heap[i] = last;
    return top;
}

/* Any number of symbols, linked from the first on. False: memory refused. */
static bool merge_long(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text, uint32_t n) {
    tfm__symbol *symbols = work->symbols;
    for (uint32_t i = 0; i < n; i++) {
        symbols[i].previous = i ? i - 1 : NO_SYMBOL;
        symbols[i].next = i + 1 < n ? i + 1 : NO_SYMBOL;
    }
    work->candidate_count = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!push(tokenizer, work, text, i)) return false;
    while (work->candidate_count) {
        uint64_t best = pop(work);
        uint32_t left = (uint32_t)best, right;
        tfm__symbol *symbol = &symbols[left];
        if (symbol->length == 0 || symbol->rank != best >> 32) continue;
        right = symbol->next;
        symbol->length += symbols[right].length;
        symbol->id = symbol->merged;
        symbol->next = symbols[right].next;
        symbols[right].length = 0;
        if (symbol->next != NO_SYMBOL) symbols[symbol->next].previous = left;
        if (symbol->previous != NO_SYMBOL && !push(tokenizer, work, text, symbol->previous)) return false;
        if (!push(tokenizer, work, text, left)) return false;
    }
    return true;
}

/* ---- Output ---- */

/* One symbol that is left over: a token, or what stands in for it. text is the piece. */
static bool put_left(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text, uint32_t start,
                     uint32_t length, int32_t id, tfm__sink *sink) {
    bool after_unknown = work->after_unknown;
    uint32_t end = start + length;
    work->after_unknown = false;
    if (id < -1) return tfm__sink_put(sink, -2 - id, end);
    if (id >= 0) return tfm__sink_put(sink, id, end);
    if (tokenizer->byte_fallback) {
        for (uint32_t i = start; i < end; i++)
            if (tokenizer->byte_id[text[i]] >= 0 && !tfm__sink_put(sink, tokenizer->byte_id[text[i]], i + 1))
                return false;
        return true;
    }
    if (tokenizer->stand_in < 0) return true;
    work->after_unknown = tokenizer->merge_unknown;
    if (!after_unknown) return tfm__sink_put(sink, tokenizer->stand_in, end);
    tfm__sink_extend(sink, end);
    return true;
}

/* An UNUSED piece is taken apart where it was last put together, and so are its parts; a single character
 * that is one is unknown. */
static bool put_unused(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text,
                       tfm__symbol symbol, tfm__sink *sink) {
    tfm__slice part = {symbol.start, symbol.length};
    tfm__buffer *stack = &work->resegment;
    stack->size = 0;
    if (!tfm__buffer_append(stack, &part, sizeof part)) return false;
    while (stack->size) {
        int32_t id;
        uint32_t cut = 0;
        stack->size -= sizeof part;
        memcpy(&part, stack->data + stack->size, sizeof part);
        id = tfm__vocab_find(tokenizer, text + part.offset, part.length);
        if (id >= 0 && tokenizer->kind[id] == TFM_TOKEN_UNUSED) cut = work->unused_cut[id];
        if (cut == 0 || cut >= part.length) {
            if (id >= 0 && tokenizer->kind[id] == TFM_TOKEN_UNUSED)
                id = -1; /* as if there were no such piece */
            if (!put_left(tokenizer, work, text, part.offset, part.length, id, sink)) return false;
        } else {
            tfm__slice left = {part.offset, cut}, right = {part.offset + cut, part.length - cut};
            if (!tfm__buffer_append(stack, &right, sizeof right) ||
                !tfm__buffer_append(stack, &left, sizeof left))
                return false;
        }
    }
    return true;
}

static bool put_symbol_ids(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text,
                           const tfm__symbol *symbol, tfm__sink *sink) {
    if (work->unused_cut && symbol->id >= 0 && tokenizer->kind[symbol->id] == TFM_TOKEN_UNUSED)
        return put_unused(tokenizer, work, text, *symbol, sink);
    return put_left(tokenizer, work, text, symbol->start, symbol->length, symbol->id, sink);
}

int32_t tfm__merge(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *piece, size_t length,
                   tfm__sink *sink, tfm_error *error) {
    size_t n;
    bool ok = true;
    if (length >= UINT32_MAX) return tfm__fail(error, TFM_E_ARGUMENT, "a piece of text of %zu bytes", length);
    if (!reserve_symbols(work, length))
        return tfm__fail_memory(error, work->heap, length * sizeof(tfm__symbol));
    if (tokenizer->has_unused) {
        size_t count = (size_t)tokenizer->vocab_size;
        if (!work->unused_cut &&
            !(work->unused_cut = tfm__alloc_array(work->heap, count, sizeof *work->unused_cut)))
            return tfm__fail_memory(error, work->heap, count * sizeof *work->unused_cut);
    }
    if (tokenizer->byte_pairs && length) {
        const size_t before = sink->ids->size;
        if (!tfm__buffer_reserve(sink->ids, length * sizeof(int32_t)))
            return tfm__fail_memory(error, sink->ids->heap, length * sizeof(int32_t));
        int32_t *ids = (int32_t *)(void *)(sink->ids->data + before);
        uint32_t end = sink->base;
        n = length <= TFM__MERGE_BYTES ? tfm__merge_bytes(tokenizer, piece, length, ids)
                                       : tfm__merge_chunks(tokenizer, piece, length, ids);
        sink->ids->size += n * sizeof *ids;
        for (size_t i = 0; i < n && ok && sink->ends; i++) {
            end += tokenizer->key[ids[i]].length;
            ok = tfm__buffer_append(sink->ends, &end, sizeof end);
        }
        if (n) return ok ? TFM_OK : tfm__fail_memory(error, work->heap, 0);
    }
    n = first_symbols(tokenizer, work, piece, (uint32_t)length);
    if (n == 0) return TFM_OK;
    if (n <= SHORT_PIECE) {
        n = merge_short(tokenizer, work, piece, n);
        for (size_t i = 0; i < n && ok; i++)
            ok = put_symbol_ids(tokenizer, work, piece, &work->symbols[i], sink);
    } else {
        ok = merge_long(tokenizer, work, piece, (uint32_t)n);
        for (uint32_t i = 0; ok && i != NO_SYMBOL; i = work->symbols[i].next)
            ok = put_symbol_ids(tokenizer, work, piece, &work->symbols[i], sink);
    }
    return ok ? TFM_OK : tfm__fail_memory(error, work->heap, 0);
}
