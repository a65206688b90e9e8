/* bpe_text.c - the fast road for byte-level BPE: a text to ids, some hundred pieces at a time. Called by
 * model.c.
 *
 * Three loops over a batch, each of which keeps the processor busy with independent work: the ends of the
 * pieces (scan.h); the key of each piece, its bucket among the remembered pieces, and a prefetch of it; then
 * the buckets. Pieces that are not remembered go the way of single pieces (bpe_piece in model.c) and are
 * remembered. The ids are those of taking the pieces one by one. Sources of the idea: the gigatoken project.
 */
#include "tokenizer/bpe_text.h"
#include "tokenizer/compose.h"
#include "tokenizer/pieces.h"
#include "tokenizer/scan.h"

#define BATCH 256

typedef struct batch {
    uint32_t ends[BATCH + TFM__SCAN_SLACK];
    tfm__piece_key keys[BATCH + TFM__SCAN_SLACK];
    uint32_t slots[BATCH + TFM__SCAN_SLACK];
} batch;

/* Keys and slots of the pieces first .. n - 1 of the batch at text. Of the last bytes of a text no 16 can be
 * read. */
static void make_keys(const tfm__work *work, batch *b, const uint8_t *text, size_t length, size_t n) {
    const tfm__pieces *pieces = work->pieces;
    const bool compose = work->compose != NULL;
    uint32_t start = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t size = b->ends[i] - start;
        if (TFM__UNLIKELY(text[start] >= 0xe2) && compose && tfm__compose_suits(text + start, size)) {
            b->keys[i] = (tfm__piece_key){0, TFM__KEY_NEVER};
            b->slots[i] = 0;
            start = b->ends[i];
            continue;
        }
        const tfm__piece_key key = TFM__LIKELY(size <= TFM__PIECE_KEY && length - start >= 16)
                                       ? tfm__piece_key_fast(text + start, size)
                                   : size <= TFM__PIECE_LONG ? tfm__piece_key_of(text + start, size)
                                                             : (tfm__piece_key){0, TFM__KEY_NEVER};
        size_t slot = tfm__piece_slot(pieces, key);
        TFM__PREFETCH(&pieces->entries[slot]);
        b->keys[i] = key;
        b->slots[i] = (uint32_t)slot;
        start = b->ends[i];
    }
}

/* A piece that did not lie in its bucket with three ids or fewer. */
static int32_t take_other(const tfm_tokenizer *tokenizer, tfm__work *work, tfm__piece_key key,
                          const uint8_t *piece, size_t length, tfm__sink *sink, tfm_error *error) {
    const int32_t *known;
    int64_t count;
    size_t before = sink->ids->size;
    int32_t rc;
    if (key.high == TFM__KEY_NEVER && work->compose && tfm__compose_suits(piece, length)) {
        if (!tfm__buffer_reserve(sink->ids, (length + 3) * sizeof(int32_t)))
            return tfm__fail_memory(error, sink->ids->heap, length * sizeof(int32_t));
        count = tfm__compose_piece(tokenizer, work->compose, work->pieces, piece, length,
                                   (int32_t *)(void *)(sink->ids->data + before));
        if (count >= 0) {
            sink->ids->size += (size_t)count * sizeof(int32_t);
            return TFM_OK;
        }
        if (length <= TFM__PIECE_LONG) key = tfm__piece_key_of(piece, length);
    }
    count = tfm__pieces_get(work->pieces, key, piece, length, &known);
    if (count >= 0) {
        if (!tfm__buffer_append(sink->ids, known, (size_t)count * sizeof *known))
            return tfm__fail_memory(error, sink->ids->heap, (size_t)count * sizeof *known);
        return TFM_OK;
    }
    if ((rc = tfm__model_new_piece(tokenizer, work, piece, length, sink, error)) != 0) return rc;
    tfm__pieces_put(work->pieces, key, piece, length,
                    (const int32_t *)(const void *)(sink->ids->data + before),
                    (sink->ids->size - before) / sizeof *known);
    return TFM_OK;
}

/* Remembers the short pieces from the given one on that are not remembered, all together: first those are
 * found, then it is seen which are tokens as they are, then the others are merged. */
static void learn_pieces(const tfm_tokenizer *tokenizer, tfm__work *work, const batch *b, const uint8_t *text,
                         size_t from, size_t n) {
    tfm__merge_job jobs[BATCH + TFM__SCAN_SLACK];
    uint32_t indexes[BATCH + TFM__SCAN_SLACK];
    const bool wholes = tokenizer->whole != TFM__WHOLE_NEVER;
    size_t found = 0, count = 0;
    const int32_t *known;
    for (size_t i = from; i < n; i++) {
        const tfm__piece_key key = b->keys[i];
        const uint32_t start = i ? b->ends[i - 1] : 0;
        if (key.high >= TFM__KEY_NEVER ||
            tfm__pieces_get(work->pieces, key, text + start, b->ends[i] - start, &known) >= 0)
            continue;
        if (wholes) TFM__PREFETCH(&tokenizer->short_keys[tfm__key_line_of(tokenizer, key)]);
        indexes[found++] = (uint32_t)i;
    }
    for (size_t k = 0; k < found; k++) {
        const uint32_t i = indexes[k], start = i ? b->ends[i - 1] : 0;
        const int32_t whole = wholes ? tfm__model_whole(tokenizer, tfm__key_find(tokenizer, b->keys[i])) : -1;
        tfm__merge_job *job = &jobs[count];
        job->piece = text + start;
        job->length = b->ends[i] - start;
        if (whole >= 0) {
            if (tfm__pieces_get(work->pieces, b->keys[i], job->piece, job->length, &known) <
                0) /* came twice */
                tfm__pieces_put(work->pieces, b->keys[i], job->piece, job->length, &whole, 1);
        } else {
            indexes[count++] = i;
        }
    }
    tfm__merge_many(tokenizer, jobs, count);
    for (size_t k = 0; k < count; k++) {
        const tfm__piece_key key = b->keys[indexes[k]];
        if (tfm__pieces_get(work->pieces, key, jobs[k].piece, jobs[k].length, &known) < 0)
            tfm__pieces_put(work->pieces, key, jobs[k].piece, jobs[k].length, jobs[k].ids, jobs[k].count);
    }
}

/* The ids of a batch's pieces. */
static int32_t take_pieces(const tfm_tokenizer *tokenizer, tfm__work *work, batch *b, const uint8_t *text,
                           size_t n, tfm__sink *sink, tfm_error *error) {
    const tfm__pieces *pieces = work->pieces;
    const tfm__piece_entry *entries = pieces->entries;
    tfm__buffer *ids = sink->ids;
    const int32_t *known;
    bool learned = !tokenizer->byte_pairs;
    for (size_t i = 0; i < n;) {
        uint8_t *out;
        int32_t rc;
        /* what may lie in a bucket, and the word behind the ids, which is copied along */
        if (!tfm__buffer_reserve(ids, ((n - i) * TFM__PIECE_IDS + 1) * sizeof(int32_t)))
            return tfm__fail_memory(error, ids->heap, (n - i) * sizeof(int32_t));
        out = ids->data + ids->size;
        for (; i < n; i++) {
            const tfm__piece_entry *e = &entries[b->slots[i]];
            const tfm__piece_key key = b->keys[i];
            const bool first = ((e[0].key.low ^ key.low) | (e[0].key.high ^ key.high)) == 0;
            const bool second = ((e[1].key.low ^ key.low) | (e[1].key.high ^ key.high)) == 0;
            e += second;
            if (TFM__UNLIKELY(!(first | second) || e->count > TFM__PIECE_IDS)) break;
            memcpy(out, (const uint8_t *)e + offsetof(tfm__piece_entry, ids), 16);
            out += e->count * sizeof(int32_t);
        }
        ids->size = (size_t)(out - ids->data);
        if (i == n) break;
        const uint32_t start = i ? b->ends[i - 1] : 0;
        if (!learned && b->keys[i].high < TFM__KEY_NEVER &&
            tfm__pieces_get(work->pieces, b->keys[i], text + start, b->ends[i] - start, &known) < 0) {
            learn_pieces(tokenizer, work, b, text, i, n);
            learned = true;
        } else {
            rc = take_other(tokenizer, work, b->keys[i], text + start, b->ends[i] - start, sink, error);
            if (rc) return rc;
            i++;
        }
        if (pieces->entries == entries) continue;
        entries = pieces->entries; /* the table grew */
        for (size_t k = i; k < n; k++) b->slots[k] = (uint32_t)tfm__piece_slot(pieces, b->keys[k]);
    }
    return TFM_OK;
}

/* The ends of the ids from the given one on, the first of which begins at *end of the caller's text: in
 * byte-level BPE the tokens' keys, one behind the other, are the text. */
static bool put_ends(const tfm_tokenizer *tokenizer, tfm__sink *sink, size_t from, uint32_t *end) {
    size_t count = (sink->ids->size - from) / sizeof(int32_t);
    const uint8_t *ids = sink->ids->data + from;
    uint8_t *out;
    if (!tfm__buffer_reserve(sink->ends, count * sizeof *end)) return false;
    out = sink->ends->data + sink->ends->size;
    for (size_t i = 0; i < count; i++) {
        int32_t id;
        memcpy(&id, ids + i * sizeof id, sizeof id);
        *end += tokenizer->key[id].length;
        memcpy(out + i * sizeof *end, end, sizeof *end);
    }
    sink->ends->size += count * sizeof *end;
    return true;
}

bool tfm__bpe_text_suits(const tfm_tokenizer *tokenizer) {
    return tokenizer->bytes_complete && tokenizer->splitter.count == 1 &&
           tokenizer->splitter.stages[0].kind <= TFM__SPLIT_CJK;
}

int32_t tfm__bpe_text(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text, size_t length,
                      tfm__sink *sink, tfm_error *error) {
    const tfm__stage *stage = &tokenizer->splitter.stages[0];
    tfm__scan_fn *scan = tfm__scan_for(tokenizer, stage);
    tfm__sink inner = {sink->ids, NULL, 0};
    uint32_t end = sink->base;
    batch b;
    if (tokenizer->byte_pairs && !work->compose) work->compose = tfm__compose_new(tokenizer, work->heap);
    while (length) {
        size_t from = sink->ids->size, n = scan(stage, text, length, b.ends, BATCH), taken = b.ends[n - 1];
        int32_t rc;
        if (taken == 0) {
            taken = tfm__split_next(stage, text, length);
            rc = tfm__model_new_piece(tokenizer, work, text, taken, &inner, error);
        } else {
            make_keys(work, &b, text, length, n);
            rc = take_pieces(tokenizer, work, &b, text, n, &inner, error);
        }
        if (rc) return rc;
        if (sink->ends && !put_ends(tokenizer, sink, from, &end))
            return tfm__fail_memory(error, sink->ends->heap, sizeof end);
        text += taken;
        length -= taken;
    }
    return TFM_OK;
}
