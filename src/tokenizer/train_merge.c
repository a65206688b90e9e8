/* train_merge.c - merging: from words of symbols to a list of merges. Called by the two trainers.
 *
 * A pair's count is how often its two symbols stand side by side in all words. The best pair becomes a new
 * symbol, in all words, from the left; that changes the counts of the pairs around it. Counts that sank are
 * noticed late: a pair that comes up with another count than it was queued with is queued again.
 *
 * Each queued pair has the list of words that held it when it was queued. While one pair (a, b) is replaced
 * by x, only four families of counts change: (s, a) and (b, s) sink, (s, x) and (x, s) rise, for neighbours
 * s. So they are summed in an array by s, and the table of all pairs is touched once for each pair that
 * changed, not for each place.
 *
 * Byte-level order (Hugging Face's BpeTrainer): count, then the smaller left symbol, then the smaller right
 * one. A text that is a symbol already is that symbol. A pair that is queued a second time, which takes such
 * a text, has a list of its own, and the counts of merged pairs are never set back: so does the original (but
 * in 32 bits).
 * SentencePiece's order: count, then fewer characters, then the text, byte by byte; a text is made once.
 * Pairs that no longer occur are merged all the same when nothing else is left. Sources: tokenizers 0.23
 * (models/bpe/trainer.rs), sentencepiece 0.2.3 (bpe_model_trainer.cc), read for what they do. */
#include "tokenizer/train.h"

typedef struct pair_slot {
    uint64_t key; /* left << 32 | right; UINT64_MAX: empty */
    int64_t count;
} pair_slot;

/* A queued pair; the smaller heap index is the better one. */
typedef struct queued {
    int64_t count;
    uint64_t key;
    uint32_t entry;      /* of entries, by age */
    uint32_t characters; /* SentencePiece */
} queued;

typedef struct entry {
    size_t first; /* of its words in postings */
    uint32_t count, unused;
} entry;

/* What replacing (a, b) by x changes around the neighbour s: [0] as it stands left of the pair, [1] right of
 * it. */
typedef struct neighbour {
    int64_t less[2];   /* of (s, a), (b, s) */
    int64_t more[2];   /* of (s, x), (x, s) */
    size_t place[2];   /* where the next word of those two goes in the postings; SIZE_MAX: nowhere */
    uint32_t words[2]; /* different words in which they rose */
    uint32_t last[2];  /* the last of them, + 1 */
    bool touched, queued[2];
} neighbour;

typedef struct state {
    tfm__merger *m;
    tfm__heap *heap;
    tfm__train_word *words;
    uint32_t *symbols;
    pair_slot *pairs;
    size_t pair_mask, pair_count;
    tfm__buffer queue;    /* queued: a heap of four children each */
    tfm__buffer entries;  /* entry */
    tfm__buffer postings; /* uint32_t: words */
    neighbour *around;    /* [around_capacity] by symbol */
    size_t around_capacity;
    tfm__buffer touched; /* uint32_t: symbols whose neighbour is not zero */
    tfm__buffer risen;   /* uint32_t pairs: neighbour << 1 | side, word */
} state;

static int32_t refused(const state *s) { return tfm__fail_memory(s->m->trainer->error, s->heap, 0); }

/* ---- Symbols ---- */

void tfm__merger_init(tfm__merger *merger, tfm__trainer *trainer) {
    tfm__heap *heap = trainer->heap;
    memset(merger, 0, sizeof *merger);
    merger->trainer = trainer;
    merger->heap = heap;
    tfm__buffer_init(&merger->blob, heap);
    tfm__buffer_init(&merger->texts, heap);
    tfm__buffer_init(&merger->lengths, heap);
    tfm__buffer_init(&merger->symbols, heap);
    tfm__buffer_init(&merger->words, heap);
    tfm__buffer_init(&merger->merges, heap);
    tfm__buffer_init(&merger->made, heap);
    tfm__buffer_init(&merger->next_of_hash, heap);
}

void tfm__merger_free(tfm__merger *merger) {
    tfm__buffer_free(&merger->blob);
    tfm__buffer_free(&merger->texts);
    tfm__buffer_free(&merger->lengths);
    tfm__buffer_free(&merger->symbols);
    tfm__buffer_free(&merger->words);
    tfm__buffer_free(&merger->merges);
    tfm__buffer_free(&merger->made);
    tfm__buffer_free(&merger->next_of_hash);
    tfm__free(merger->heap, merger->by_text.slots);
}

size_t tfm__merger_symbols(const tfm__merger *merger) { return merger->texts.size / sizeof(tfm__slice); }

const uint8_t *tfm__merger_text(const tfm__merger *merger, uint32_t symbol, size_t *size) {
    tfm__slice slice;
    memcpy(&slice, merger->texts.data + symbol * sizeof slice, sizeof slice);
    *size = slice.length;
    return merger->blob.data + slice.offset;
}

static uint32_t u32_at(const tfm__buffer *buffer, size_t index) {
    uint32_t value;
    memcpy(&value, buffer->data + index * sizeof value, sizeof value);
    return value;
}

int64_t tfm__merger_find(const tfm__merger *merger, const void *text, size_t size) {
    uint64_t found;
    if (!merger->by_text.slots) return -1;
    found = tfm__map_get(&merger->by_text, tfm__hash_bytes(text, size));
    for (uint64_t at = found == UINT64_MAX ? 0 : found; at;
         at = u32_at(&merger->next_of_hash, (size_t)at - 1)) {
        size_t other;
        const uint8_t *bytes = tfm__merger_text(merger, (uint32_t)(at - 1), &other);
        if (other == size && memcmp(bytes, text, size) == 0) return (int64_t)(at - 1);
    }
    return -1;
}

int32_t tfm__merger_symbol(tfm__merger *merger, const void *text, size_t size, uint32_t length,
                           uint32_t *symbol) {
    size_t count = tfm__merger_symbols(merger);
    int64_t known = tfm__merger_find(merger, text, size);
    tfm__slice slice = {(uint32_t)merger->blob.size, (uint32_t)size};
    uint64_t hash, before;
    uint32_t next;
    if (known >= 0) {
        *symbol = (uint32_t)known;
        return TFM_OK;
    }
    if (size > UINT32_MAX - merger->blob.size || count >= INT32_MAX / 2)
        return tfm__fail(merger->trainer->error, TFM_E_UNSUPPORTED, "more tokens than fit");
    hash = tfm__hash_bytes(text, size);
    before = merger->by_text.slots ? tfm__map_get(&merger->by_text, hash) : UINT64_MAX;
    next = before == UINT64_MAX ? 0 : (uint32_t)before;
    if (!tfm__buffer_append(&merger->blob, text, size) ||
        !tfm__buffer_append(&merger->texts, &slice, sizeof slice) ||
        !tfm__buffer_append(&merger->lengths, &length, sizeof length) ||
        !tfm__buffer_append(&merger->next_of_hash, &next, sizeof next) ||
        !tfm__map_put(&merger->by_text, merger->heap, hash, count + 1))
        return tfm__fail_memory(merger->trainer->error, merger->heap, size);
    *symbol = (uint32_t)count;
    return TFM_OK;
}

/* ---- The table of pairs ---- */

static size_t pair_hash(uint64_t key) {
    key = (key ^ key >> 29) * 0x9e3779b97f4a7c15u;
    return (size_t)(key ^ key >> 32);
}

static bool grow_pairs(state *s) {
    size_t mask = s->pair_mask ? s->pair_mask * 2 + 1 : ((size_t)1 << 14) - 1;
    pair_slot *bigger = tfm__alloc(s->heap, (mask + 1) * sizeof *bigger);
    if (!bigger) return false;
    for (size_t i = 0; i <= mask; i++) bigger[i] = (pair_slot){UINT64_MAX, 0};
    for (size_t i = 0; s->pairs && i <= s->pair_mask; i++) {
        size_t at = pair_hash(s->pairs[i].key) & mask;
        if (s->pairs[i].key == UINT64_MAX) continue;
        while (bigger[at].key != UINT64_MAX) at = (at + 1) & mask;
        bigger[at] = s->pairs[i];
    }
    tfm__free(s->heap, s->pairs);
    s->pairs = bigger;
    s->pair_mask = mask;
    return true;
}

/* The slot of a pair, made if it is new. NULL: it is new, and memory was refused. */
static pair_slot *pair_of(state *s, uint64_t key) {
    size_t at = pair_hash(key) & s->pair_mask;
    for (; s->pairs[at].key != UINT64_MAX; at = (at + 1) & s->pair_mask)
        if (s->pairs[at].key == key) return &s->pairs[at];
    if (s->pair_count >= s->pair_mask / 2) {
        if (!grow_pairs(s)) return NULL;
        for (at = pair_hash(key) & s->pair_mask; s->pairs[at].key != UINT64_MAX;)
            at = (at + 1) & s->pair_mask;
    }
    s->pairs[at].key = key;
    s->pair_count++;
    return &s->pairs[at];
}

/* ---- The queue ---- */

/* Compares two texts, each of two symbols. */
static int compare_texts(const tfm__merger *m, uint64_t a, uint64_t b) {
    const uint8_t *at[2][2];
    size_t left[2][2];
    int i = 0, j = 0; /* which half of a and of b is at hand */
    at[0][0] = tfm__merger_text(m, (uint32_t)(a >> 32), &left[0][0]);
    at[0][1] = tfm__merger_text(m, (uint32_t)a, &left[0][1]);
    at[1][0] = tfm__merger_text(m, (uint32_t)(b >> 32), &left[1][0]);
    at[1][1] = tfm__merger_text(m, (uint32_t)b, &left[1][1]);
    for (;;) {
        size_t n;
        int order;
        while (i < 2 && left[0][i] == 0) i++;
        while (j < 2 && left[1][j] == 0) j++;
        if (i == 2 || j == 2) return (i < 2) - (j < 2);
        n = TFM__MIN(left[0][i], left[1][j]);
        if ((order = memcmp(at[0][i], at[1][j], n)) != 0) return order;
        at[0][i] += n;
        at[1][j] += n;
        left[0][i] -= n;
        left[1][j] -= n;
    }
}

static bool better(const tfm__merger *m, const queued *a, const queued *b) {
    if (a->count != b->count) return a->count > b->count;
    if (m->by_length) {
        int order;
        if (a->characters != b->characters) return a->characters < b->characters;
        if ((order = compare_texts(m, a->key, b->key)) != 0) return order < 0;
    } else if (a->key != b->key) {
        return a->key < b->key;
    }
    return a->entry < b->entry;
}

static queued *queue_items(state *s) { return (queued *)(void *)s->queue.data; }
static size_t queue_size(const state *s) { return s->queue.size / sizeof(queued); }

static void sift_down(state *s, size_t at) {
    queued *items = queue_items(s), moved = items[at];
    size_t size = queue_size(s);
    for (;;) {
        size_t first = 4 * at + 1, best = first;
        if (first >= size) break;
        for (size_t i = first + 1; i < first + 4 && i < size; i++)
            if (better(s->m, &items[i], &items[best])) best = i;
        if (!better(s->m, &items[best], &moved)) break;
        items[at] = items[best];
        at = best;
    }
    items[at] = moved;
}

static bool queue_push(state *s, const queued *item) {
    size_t at = queue_size(s);
    queued *items;
    if (!tfm__buffer_append(&s->queue, item, sizeof *item)) return false;
    items = queue_items(s);
    while (at > 0 && better(s->m, item, &items[(at - 1) / 4])) {
        items[at] = items[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    items[at] = *item;
    return true;
}

static void queue_pop(state *s) {
    queued *items = queue_items(s);
    size_t last = queue_size(s) - 1;
    items[0] = items[last];
    s->queue.size -= sizeof *items;
    if (last) sift_down(s, 0);
}

/* Queues a pair whose words are still to be filled in; *place receives their place in the postings, SIZE_MAX
 * if the pair is not to be queued. */
static int32_t queue_pair(state *s, uint64_t key, int64_t count, uint32_t words, size_t *place) {
    tfm__merger *m = s->m;
    size_t entries = s->entries.size / sizeof(entry), bytes;
    entry e = {s->postings.size / sizeof(uint32_t), words, 0};
    queued item = {count, key, (uint32_t)entries, 0};
    *place = SIZE_MAX;
    if (count < (m->by_length ? 0 : 1)) return TFM_OK;
    if (m->by_length) {
        size_t left_size, right_size;
        const uint8_t *left = tfm__merger_text(m, (uint32_t)(key >> 32), &left_size);
        const uint8_t *right = tfm__merger_text(m, (uint32_t)key, &right_size);
        item.characters =
            u32_at(&m->lengths, (size_t)(key >> 32)) + u32_at(&m->lengths, (size_t)(uint32_t)key);
        if (!m->valid(m->valid_arg, left, left_size, right, right_size, item.characters)) return TFM_OK;
    }
    if (entries >= UINT32_MAX) return tfm__fail(m->trainer->error, TFM_E_UNSUPPORTED, "more pairs than fit");
    if (!tfm__mul_size(words, sizeof(uint32_t), &bytes) || !tfm__buffer_reserve(&s->postings, bytes) ||
        !tfm__buffer_append(&s->entries, &e, sizeof e) || !queue_push(s, &item))
        return refused(s);
    s->postings.size += bytes;
    *place = e.first;
    return TFM_OK;
}

/* ---- The first counts ---- */

/* For the first pairs only: by the place in the list of pairs found. */
typedef struct first_pair {
    uint64_t key;
    int64_t count;
    size_t place;         /* where its next word goes */
    uint32_t words, last; /* last: the last word, + 1 */
} first_pair;

/* Numbers the pairs of all words, which the table of pairs holds for the time being in place of counts. */
static int32_t find_first_pairs(state *s, tfm__buffer *found, uint64_t word_count) {
    for (uint64_t w = 0; w < word_count; w++) {
        const tfm__train_word *word = &s->words[w];
        const uint32_t *symbols = s->symbols + word->offset;
        int32_t rc;
        if (w % 65536 == 0 && (rc = tfm__train_poll_merging(s->m->trainer, 0, 1)) != 0) return rc;
        for (uint32_t i = 0; i + 1 < word->length; i++) {
            uint64_t key = (uint64_t)symbols[i] << 32 | symbols[i + 1];
            size_t before = s->pair_count;
            pair_slot *slot = pair_of(s, key);
            first_pair *pair;
            if (!slot) return refused(s);
            if (s->pair_count != before) {
                first_pair fresh = {key, 0, 0, 0, 0};
                slot->count = (int64_t)before;
                if (!tfm__buffer_append(found, &fresh, sizeof fresh)) return refused(s);
            }
            pair = (first_pair *)(void *)found->data + slot->count;
            pair->count += (int64_t)word->count;
            pair->words += pair->last != (uint32_t)w + 1;
            pair->last = (uint32_t)w + 1;
        }
    }
    return TFM_OK;
}

static int32_t fill_first_words(state *s, first_pair *pairs, uint64_t word_count) {
    uint32_t *postings = (uint32_t *)(void *)s->postings.data;
    for (uint64_t w = 0; w < word_count; w++) {
        const tfm__train_word *word = &s->words[w];
        const uint32_t *symbols = s->symbols + word->offset;
        int32_t rc;
        if (w % 65536 == 0 && (rc = tfm__train_poll_merging(s->m->trainer, 0, 1)) != 0) return rc;
        for (uint32_t i = 0; i + 1 < word->length; i++) {
            pair_slot *slot = pair_of(s, (uint64_t)symbols[i] << 32 | symbols[i + 1]);
            first_pair *pair = &pairs[slot->count]; /* found before, so there is a slot */
            if (pair->place == SIZE_MAX || pair->last == (uint32_t)w + 1) continue;
            pair->last = (uint32_t)w + 1;
            postings[pair->place++] = (uint32_t)w;
        }
    }
    return TFM_OK;
}

static int32_t count_first(state *s) {
    uint64_t word_count = s->m->words.size / sizeof(tfm__train_word);
    tfm__buffer found;
    first_pair *pairs;
    size_t count;
    int32_t rc;
    tfm__buffer_init(&found, s->heap);
    if (!grow_pairs(s)) return refused(s);
    rc = find_first_pairs(s, &found, word_count);
    pairs = (first_pair *)(void *)found.data;
    count = found.size / sizeof *pairs;
    for (size_t i = 0; i < count && rc == TFM_OK; i++) {
        pairs[i].last = 0;
        rc = queue_pair(s, pairs[i].key, pairs[i].count, pairs[i].words, &pairs[i].place);
    }
    if (rc == TFM_OK && count) rc = fill_first_words(s, pairs, word_count);
    for (size_t i = 0; i < count && rc == TFM_OK; i++) pair_of(s, pairs[i].key)->count = pairs[i].count;
    tfm__buffer_free(&found);
    return rc;
}

/* ---- One merge ---- */

static bool rise(state *s, neighbour *n, uint32_t symbol, uint32_t side, uint32_t word) {
    uint32_t record[2] = {symbol << 1 | side, word};
    if (n->last[side] == word + 1) return true;
    n->last[side] = word + 1;
    n->words[side]++;
    return tfm__buffer_append(&s->risen, record, sizeof record);
}

/* Whether the pair of a neighbour and the new symbol counts at all (max_token_length). */
static bool short_enough(const tfm__merger *m, uint32_t symbol, uint32_t made) {
    return m->max_length == 0 ||
           (size_t)u32_at(&m->lengths, symbol) + u32_at(&m->lengths, made) < m->max_length;
}

/* A symbol stands beside a pair that is replaced, in a word that occurs times times. False: memory refused.
 */
static bool meet(state *s, uint32_t symbol, uint32_t side, uint32_t made, uint32_t word, int64_t times) {
    neighbour *n = &s->around[symbol];
    if (!n->touched && !tfm__buffer_append(&s->touched, &symbol, sizeof symbol)) return false;
    n->touched = true;
    n->less[side] += times;
    if (!short_enough(s->m, symbol, made)) return true;
    n->more[side] += times;
    return rise(s, n, symbol, side, word);
}

/* Replaces the pair by made in one word. False: memory refused. */
static bool replace(state *s, uint32_t index, uint32_t a, uint32_t b, uint32_t made) {
    tfm__train_word *word = &s->words[index];
    uint32_t *symbols = s->symbols + word->offset, length = word->length, out = 0, i = 0;
    int64_t times = (int64_t)word->count;
    bool ok = true;
    while (i < length) {
        if (symbols[i] != a || i + 1 == length || symbols[i + 1] != b) {
            symbols[out++] = symbols[i++];
            continue;
        }
        if (out > 0) ok = ok && meet(s, symbols[out - 1], 0, made, index, times); /* may be made itself */
        i += 2;
        if (i < length) ok = ok && meet(s, symbols[i], 1, made, index, times);
        symbols[out++] = made;
    }
    word->length = out;
    return ok;
}

static int32_t change(state *s, uint32_t left, uint32_t right, int64_t by) {
    pair_slot *slot;
    if (by == 0) return TFM_OK;
    if (!(slot = pair_of(s, (uint64_t)left << 32 | right))) return refused(s);
    slot->count += by;
    return TFM_OK;
}

/* Adds the changes to the table of pairs. */
static int32_t settle_counts(state *s, uint32_t a, uint32_t b, uint32_t made) {
    const uint32_t *touched = (const uint32_t *)(const void *)s->touched.data;
    int32_t rc = TFM_OK;
    for (size_t i = 0; i < s->touched.size / sizeof *touched && rc == TFM_OK; i++) {
        const neighbour *n = &s->around[touched[i]];
        rc = change(s, touched[i], a, -n->less[0]);
        if (rc == TFM_OK) rc = change(s, b, touched[i], -n->less[1]);
        if (rc == TFM_OK) rc = change(s, touched[i], made, n->more[0]);
        if (rc == TFM_OK) rc = change(s, made, touched[i], n->more[1]);
    }
    return rc;
}

/* Queues the pairs that rose, in the order in which they first did, and hands them their words. (made, made)
 * is the same pair from both sides. */
static int32_t settle_words(state *s, uint32_t made) {
    const uint32_t *risen = (const uint32_t *)(const void *)s->risen.data;
    int32_t rc;
    for (size_t i = 0; i < s->risen.size / (2 * sizeof *risen); i++) {
        uint32_t symbol = risen[2 * i] >> 1, side = symbol == made ? 0 : risen[2 * i] & 1;
        neighbour *n = &s->around[symbol];
        if (!n->queued[side]) {
            uint64_t key = side ? (uint64_t)made << 32 | symbol : (uint64_t)symbol << 32 | made;
            pair_slot *slot = pair_of(s, key); /* its count has just risen */
            if (!slot) return refused(s);
            n->queued[side] = true;
            rc = queue_pair(s, key, slot->count, n->words[side] + (symbol == made ? n->words[1] : 0),
                            &n->place[side]);
            if (rc) return rc;
        }
        if (n->place[side] == SIZE_MAX) continue;
        memcpy(s->postings.data + n->place[side]++ * sizeof(uint32_t), &risen[2 * i + 1], sizeof(uint32_t));
    }
    return TFM_OK;
}

static int32_t settle(state *s, uint32_t a, uint32_t b, uint32_t made) {
    int32_t rc = settle_counts(s, a, b, made);
    if (rc == TFM_OK) rc = settle_words(s, made);
    for (size_t i = 0; i < s->touched.size / sizeof(uint32_t); i++)
        memset(&s->around[u32_at(&s->touched, i)], 0, sizeof *s->around);
    s->touched.size = s->risen.size = 0;
    return rc;
}

static bool room_around(state *s, uint32_t symbol) {
    size_t capacity = s->around_capacity;
    neighbour *bigger;
    if (symbol < capacity) return true;
    while (capacity <= symbol) capacity = capacity ? capacity * 2 : 1024;
    bigger = tfm__resize(s->heap, s->around, capacity * sizeof *bigger);
    if (!bigger) return false;
    memset(bigger + s->around_capacity, 0, (capacity - s->around_capacity) * sizeof *bigger);
    s->around = bigger;
    s->around_capacity = capacity;
    return true;
}

/* The symbol that a pair becomes; *known: its text was a symbol before. */
static int32_t make_symbol(state *s, uint64_t key, uint32_t *made, bool *known) {
    tfm__merger *m = s->m;
    size_t left_size, right_size, before = tfm__merger_symbols(m);
    const uint8_t *left = tfm__merger_text(m, (uint32_t)(key >> 32), &left_size);
    const uint8_t *right = tfm__merger_text(m, (uint32_t)key, &right_size);
    uint32_t length = u32_at(&m->lengths, (size_t)(key >> 32)) + u32_at(&m->lengths, (size_t)(uint32_t)key);
    tfm__buffer text;
    int32_t rc;
    tfm__buffer_init(&text, s->heap);
    if (!tfm__buffer_append(&text, left, left_size) || !tfm__buffer_append(&text, right, right_size)) {
        tfm__buffer_free(&text);
        return refused(s);
    }
    rc = tfm__merger_symbol(m, text.data, text.size, length, made);
    tfm__buffer_free(&text);
    *known = rc == TFM_OK && tfm__merger_symbols(m) == before;
    return rc;
}

static int32_t merge_pair(state *s, const queued *best, uint32_t made) {
    tfm__merger *m = s->m;
    uint32_t a = (uint32_t)(best->key >> 32), b = (uint32_t)best->key;
    entry e;
    memcpy(&e, s->entries.data + best->entry * sizeof e, sizeof e);
    if (!tfm__buffer_append(&m->merges, &best->key, sizeof best->key) ||
        !tfm__buffer_append(&m->made, &made, sizeof made) ||
        !room_around(s, TFM__MAX(made, (uint32_t)tfm__merger_symbols(m))))
        return refused(s);
    for (size_t i = 0; i < e.count; i++)
        if (!replace(s, u32_at(&s->postings, e.first + i), a, b, made)) return refused(s);
    return settle(s, a, b, made);
}

static int32_t merge_all(state *s) {
    tfm__merger *m = s->m;
    const size_t first = tfm__merger_symbols(m);
    size_t count;
    while ((count = tfm__merger_symbols(m)) < m->vocab_size && queue_size(s) > 0) {
        queued best = queue_items(s)[0];
        pair_slot *slot = pair_of(s, best.key);
        uint32_t made;
        bool known;
        int32_t rc = tfm__train_poll_merging(m->trainer, count - first, m->vocab_size - first);
        if (rc) return rc;
        if (!slot) return refused(s);
        if (slot->count != best.count) {
            queue_items(s)[0].count = slot->count;
            sift_down(s, 0);
            continue;
        }
        if (!m->by_length && (best.count < 1 || (uint64_t)best.count < m->min_frequency)) break;
        queue_pop(s);
        if ((rc = make_symbol(s, best.key, &made, &known)) != 0) return rc;
        if (known && m->by_length) continue;
        if ((rc = merge_pair(s, &best, made)) != 0) return rc;
    }
    return TFM_OK;
}

int32_t tfm__merger_run(tfm__merger *merger) {
    state s = {.m = merger, .heap = merger->heap};
    int32_t rc;
    if (merger->words.size / sizeof(tfm__train_word) >= UINT32_MAX)
        return tfm__fail(merger->trainer->error, TFM_E_UNSUPPORTED, "more different pieces than fit");
    s.words = (tfm__train_word *)(void *)merger->words.data;
    s.symbols = (uint32_t *)(void *)merger->symbols.data;
    tfm__buffer_init(&s.queue, s.heap);
    tfm__buffer_init(&s.entries, s.heap);
    tfm__buffer_init(&s.postings, s.heap);
    tfm__buffer_init(&s.touched, s.heap);
    tfm__buffer_init(&s.risen, s.heap);
    rc = count_first(&s);
    if (rc == TFM_OK) rc = merge_all(&s);
    tfm__free(s.heap, s.pairs);
    tfm__free(s.heap, s.around);
    tfm__buffer_free(&s.queue);
    tfm__buffer_free(&s.entries);
    tfm__buffer_free(&s.postings);
    tfm__buffer_free(&s.touched);
    tfm__buffer_free(&s.risen);
    return rc;
}
