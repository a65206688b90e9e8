/* unigram.c - the unigram model: of all ways to cut a text into pieces the one whose scores have the greatest
 * sum. Called by model.c; built by the loaders.
 *
 * A best path to every place in the text is kept (Viterbi); from each place all pieces that match there are
 * tried, shorter ones first, and a path is replaced only by a better one, so of equals the first stays. A
 * character that no piece covers alone can always be taken as unknown, for 10 less than the worst score.
 * Time: length of the text times length of the longest piece. Sources: Kudo 2018 (Subword Regularization);
 * for types of sums, which decide ties, and for the scores of user-defined pieces, SentencePiece 0.2.3 and
 * Hugging Face tokenizers' Unigram. */
#include "tokenizer/models.h"

#include <float.h>
#include <math.h>

#define UNKNOWN_PENALTY 10.0

struct tfm__unigram {
    tfm__trie trie; /* values are ids */
    double *scores; /* [vocab_size] */
    double unknown_score;
    int32_t unknown;
    size_t named; /* ids from here on are unknown outside; SIZE_MAX: none are */
    uint8_t rules;
    bool zero_user_scores;
    bool runs; /* unknowns melt before they are looked up by their text */
};

int32_t tfm__no_unknown(const uint8_t *text, size_t length, tfm_error *error) {
    return tfm__fail(error, TFM_E_TOKEN,
                     "no token stands for '%.*s', and the vocabulary has none for what is unknown",
                     (int)TFM__MIN(length, 32u), (const char *)text);
}

static int32_t fill(tfm_tokenizer *t, struct tfm__unigram *u, const char *file, tfm_error *error) {
    double lowest = u->rules == TFM__UNIGRAM_SPM ? (double)FLT_MAX : INFINITY;
    for (int32_t id = 0; id < t->vocab_size; id++) {
        tfm__slice key = t->key[id];
        if (!(t->flags[id] & TFM__TOKEN_PRESENT)) continue;
        if (!isfinite(u->scores[id]))
            return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                                "the score of token %d is no number", (int)id);
        if (u->rules == TFM__UNIGRAM_HF || t->kind[id] == TFM_TOKEN_NORMAL)
            lowest = TFM__MIN(lowest, u->scores[id]);
        if (!(t->flags[id] & TFM__TOKEN_MATCH) || key.length == 0) continue;
        if (key.length > TFM__LONGEST_PIECE)
            return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET, "token %d is %u bytes long",
                                (int)id, (unsigned)key.length);
        if (!tfm__trie_put(&u->trie, t->heap, tfm__slice_at(t, key), key.length, id))
            return tfm__fail_memory(error, t->heap, 0);
    }
    u->unknown_score = u->rules == TFM__UNIGRAM_SPM ? (double)((float)lowest - (float)UNKNOWN_PENALTY)
                                                    : lowest - UNKNOWN_PENALTY;
    return TFM_OK;
}

int32_t tfm__unigram_build(tfm_tokenizer *tokenizer, const tfm__unigram_settings *settings, const char *file,
                           tfm_error *error) {
    size_t n = (size_t)tokenizer->vocab_size;
    struct tfm__unigram *u = tfm__alloc_zero(tokenizer->heap, sizeof *u);
    if (!u) return tfm__fail_memory(error, tokenizer->heap, sizeof *u);
    tokenizer->unigram = u; /* freed with the tokenizer */
    tokenizer->model = TFM__MODEL_UNIGRAM;
    u->rules = (uint8_t)settings->rules;
    u->unknown = settings->unknown;
    u->zero_user_scores = settings->zero_user_scores;
    u->named = settings->named ? settings->named : SIZE_MAX;
    u->runs = u->rules == TFM__UNIGRAM_HF || settings->named;
    u->scores = tfm__alloc_array(tokenizer->heap, n, sizeof *u->scores);
    if (!u->scores) return tfm__fail_memory(error, tokenizer->heap, n * sizeof *u->scores);
    if (n) memcpy(u->scores, settings->scores, n * sizeof *u->scores);
    return fill(tokenizer, u, file, error);
}

void tfm__unigram_free(tfm__heap *heap, struct tfm__unigram *unigram) {
    if (!unigram) return;
    tfm__trie_free(heap, &unigram->trie);
    tfm__free(heap, unigram->scores);
    tfm__free(heap, unigram);
}

/* ---- The best path ---- */

typedef struct node {
    double score;
    uint32_t start; /* where the last piece of the best path to here begins */
    int32_t id;
} node;

#define NO_PATH UINT32_MAX

/* A path that ends with a piece is taken if it is the first or better. SentencePiece's sums are floats. */
static void offer(const struct tfm__unigram *u, node *to, double score, uint32_t start, int32_t id) {
    if (u->rules == TFM__UNIGRAM_SPM) score = (double)(float)score;
    if (to->start != NO_PATH && !(score > to->score)) return;
    to->score = score;
    to->start = start;
    to->id = id;
}

static double score_of(const tfm_tokenizer *t, int32_t id, size_t length) {
    const struct tfm__unigram *u = t->unigram;
    if (u->rules == TFM__UNIGRAM_HF || t->kind[id] != TFM_TOKEN_USER) return u->scores[id];
    if (u->zero_user_scores) return 0.0;
    return (double)(float)(0.1 * (double)(length - 1)); /* better than any other way to the same place */
}

/* Sums of floats that grow far from 0 lose their small differences: beyond this, SentencePiece counts anew.
 */
#define FAR_SCORE 100000.0

static void count_anew(node *nodes, uint32_t start, uint32_t reached) {
    float offset = (float)nodes[start].score;
    for (uint32_t i = start; i <= reached; i++)
        if (i == start || nodes[i].start != NO_PATH)
            nodes[i].score = (double)((float)nodes[i].score - offset);
}

static void find_paths(const tfm_tokenizer *t, const uint8_t *text, uint32_t length, node *nodes) {
    const struct tfm__unigram *u = t->unigram;
    for (uint32_t i = 0; i <= length; i++) nodes[i] = (node){0.0, NO_PATH, -1};
    for (uint32_t start = 0, used, reached = 0; start < length; start += used) {
        double so_far = nodes[start].score;
        bool alone = false;
        if (u->rules == TFM__UNIGRAM_SPM && (so_far < -FAR_SCORE || so_far > FAR_SCORE)) {
            count_anew(nodes, start, reached);
            so_far = 0.0;
        }
        uint64_t place = 0;
        (void)tfm__utf8_read(text + start, length - start, &used);
        for (uint32_t end = start; end < length;) {
            int32_t id;
            if (!tfm__trie_step(&u->trie, &place, text[end++], &id)) break;
            if (id < 0 || (u->rules == TFM__UNIGRAM_SPM && t->kind[id] == TFM_TOKEN_UNUSED)) continue;
            reached = TFM__MAX(reached, end);
            offer(u, &nodes[end], score_of(t, id, end - start) + so_far, start, id);
            alone = alone || end - start == used;
        }
        if (alone) continue;
        reached = TFM__MAX(reached, start + used);
        /* the reference adds floats here */
        offer(u, &nodes[start + used],
              u->rules == TFM__UNIGRAM_SPM ? (double)((float)u->unknown_score + (float)so_far)
                                           : u->unknown_score + so_far,
              start, -1);
    }
}

/* ---- Output ---- */

/* Whether a piece of the path is what is unknown: nothing matched, or (Hugging Face) the unknown token's own
 * text did. */
static bool is_unknown(const struct tfm__unigram *u, int32_t id) {
    return id < 0 || (u->rules == TFM__UNIGRAM_HF && id == u->unknown);
}

/* Text without a piece: bytes, if all of them have tokens; else unknown. */
static int32_t put_unknown(const tfm_tokenizer *t, tfm__work *work, const uint8_t *text, uint32_t start,
                           uint32_t end, tfm__sink *sink, tfm_error *error) {
    const struct tfm__unigram *u = t->unigram;
    bool after_unknown = work->after_unknown, bytes = t->byte_fallback, ok = true;
    int32_t id = -1;
    work->after_unknown = false;
    if (u->runs) id = tfm__vocab_find(t, text + start, end - start); /* a run may be a token */
    for (uint32_t i = start; i < end && bytes; i++) bytes = t->byte_id[text[i]] >= 0;
    if (id < 0 && bytes) {
        for (uint32_t i = start; i < end && ok; i++) /* Hugging Face's all have the range of the run */
            ok = tfm__sink_put(sink, t->byte_id[text[i]], u->rules == TFM__UNIGRAM_HF ? end : i + 1);
    } else if (id < 0 && u->unknown < 0) {
        return tfm__no_unknown(text + start, end - start, error);
    } else {
        work->after_unknown = id < 0 && t->merge_unknown;
        if (work->after_unknown && after_unknown)
            tfm__sink_extend(sink, end);
        else
            ok = tfm__sink_put(sink, id < 0 ? u->unknown : id, end);
    }
    return ok ? TFM_OK : tfm__fail_memory(error, work->heap, sizeof(int32_t));
}

int32_t tfm__unigram_piece(const tfm_tokenizer *t, tfm__work *work, const uint8_t *text, size_t length,
                           tfm__sink *sink, tfm_error *error) {
    tfm__buffer *lattice = &work->lattice;
    size_t bytes;
    node *nodes;
    if (length >= UINT32_MAX) return tfm__fail(error, TFM_E_ARGUMENT, "a piece of text of %zu bytes", length);
    lattice->size = 0;
    if (!tfm__mul_size(length + 1, sizeof *nodes, &bytes) || !tfm__buffer_reserve(lattice, bytes))
        return tfm__fail_memory(error, work->heap, length);
    nodes = (node *)(void *)lattice->data;
    find_paths(t, text, (uint32_t)length, nodes);
    /* backwards, each piece's beginning learns where it ends; then forwards */
    for (uint32_t end = (uint32_t)length, next = end; end > 0; end = next) {
        next = nodes[end].start;
        nodes[next].score = (double)end; /* scores are no longer needed, ids still are */
    }
    for (uint32_t start = 0; start < length;) {
        uint32_t end = (uint32_t)nodes[start].score;
        int32_t rc, id = nodes[end].id;
        if (!is_unknown(t->unigram, id)) {
            work->after_unknown = false;
            if ((size_t)id >= t->unigram->named) id = t->unigram->unknown;
            if (!tfm__sink_put(sink, id, end)) return tfm__fail_memory(error, work->heap, sizeof id);
        } else {
            /* Hugging Face melts neighbours before it looks at their bytes; SentencePiece's unknowns melt as
             * ids */
            while (t->unigram->runs && end < length &&
                   is_unknown(t->unigram, nodes[(uint32_t)nodes[end].score].id))
                end = (uint32_t)nodes[end].score;
            if ((rc = put_unknown(t, work, text, start, end, sink, error)) != 0) return rc;
        }
        start = end;
    }
    return TFM_OK;
}
