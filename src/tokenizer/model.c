/* model.c - a piece, or a text in normal form, to ids, whatever the tokenizer's model is. Called by encode.c.
 */
#include "tokenizer/bpe_text.h"
#include "tokenizer/models.h"
#include "tokenizer/pieces.h"

/* ---- BPE ---- */

int32_t tfm__model_whole(const tfm_tokenizer *tokenizer, int32_t id) {
    if (id < 0) return -1;
    if (tokenizer->whole != TFM__WHOLE_ALWAYS) return tokenizer->flags[id] & TFM__TOKEN_SELF ? id : -1;
    return tokenizer->kind[id] != TFM_TOKEN_CONTROL || tokenizer->whole_control ? id : -1;
}

int32_t tfm__model_new_piece(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *piece,
                             size_t length, tfm__sink *sink, tfm_error *error) {
    if (tokenizer->whole != TFM__WHOLE_NEVER && length <= tokenizer->longest_key && !work->at_front) {
        int32_t id = tfm__model_whole(tokenizer, tfm__vocab_find(tokenizer, piece, length));
        if (id >= 0) {
            work->after_unknown = false;
            if (!tfm__sink_put(sink, id, (uint32_t)length))
                return tfm__fail_memory(error, work->heap, sizeof id);
            return TFM_OK;
        }
    }
    return tfm__merge(tokenizer, work, piece, length, sink, error);
}

/* The ids of a piece depend on its bytes alone, unless an unknown stands before it or ends it: then, and at
 * the front of a text for run.c, nothing is remembered. Nor where offsets are wanted, which are not
 * remembered. */
static int32_t bpe_piece(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *piece, size_t length,
                         tfm__sink *sink, tfm_error *error) {
    size_t before = sink->ids->size;
    const int32_t *known;
    tfm__piece_key key;
    int64_t count;
    int32_t rc;
    if (sink->ends || work->after_unknown || work->at_front || length > TFM__PIECE_LONG) {
        rc = tfm__model_new_piece(tokenizer, work, piece, length, sink, error);
        work->at_front = false;
        return rc;
    }
    if (!work->pieces) work->pieces = tfm__pieces_new(work->heap, tokenizer->cache_bytes);
    if (!work->pieces) return tfm__model_new_piece(tokenizer, work, piece, length, sink, error);
    key = tfm__piece_key_of(piece, length);
    if ((count = tfm__pieces_get(work->pieces, key, piece, length, &known)) >= 0) {
        if (!tfm__buffer_append(sink->ids, known, (size_t)count * sizeof *known))
            return tfm__fail_memory(error, work->heap, (size_t)count * sizeof *known);
        return TFM_OK;
    }
    if ((rc = tfm__model_new_piece(tokenizer, work, piece, length, sink, error)) != 0) return rc;
    if (!work->after_unknown)
        tfm__pieces_put(work->pieces, key, piece, length,
                        (const int32_t *)(const void *)(sink->ids->data + before),
                        (sink->ids->size - before) / sizeof *known);
    return TFM_OK;
}

int32_t tfm__model_piece(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *piece, size_t length,
                         tfm__sink *sink, tfm_error *error) {
    if (length == 0) return TFM_OK;
    switch (tokenizer->model) {
    case TFM__MODEL_UNIGRAM:
        return tfm__unigram_piece(tokenizer, work, piece, length, sink, error);
    case TFM__MODEL_WORDPIECE:
        return tfm__wordpiece_piece(tokenizer, work, piece, length, sink, error);
    case TFM__MODEL_WORDLEVEL:
        return tfm__wordlevel_piece(tokenizer, work, piece, length, sink, error);
    default:
        return bpe_piece(tokenizer, work, piece, length, sink, error);
    }
}

/* ---- A text ---- */

typedef struct job {
    const tfm_tokenizer *tokenizer;
    tfm__work *work;
    tfm__sink *sink;
    tfm_error *error;
    uint32_t base;
} job;

static int32_t take_piece(void *arg, const tfm__aligned *piece) {
    job *j = arg;
    j->sink->base = j->base + (uint32_t)piece->origin;
    return tfm__model_piece(j->tokenizer, j->work, piece->data, piece->length, j->sink, j->error);
}

int32_t tfm__model_text(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text, size_t length,
                        bool first, tfm__sink *sink, tfm_error *error) {
    job j = {tokenizer, work, sink, error, sink->base};
    tfm__aligned all = {text, length, NULL, 0, false};
    int32_t rc;
    if (tfm__bpe_text_suits(tokenizer)) {
        if (!work->pieces) work->pieces = tfm__pieces_new(work->heap, tokenizer->cache_bytes);
        if (work->pieces) return tfm__bpe_text(tokenizer, work, text, length, sink, error);
    }
    rc = tfm__split(tokenizer, work, &all, first, take_piece, &j, error);
    sink->base = j.base;
    return rc;
}
