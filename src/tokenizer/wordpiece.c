/* wordpiece.c - WordPiece: from the front of a word always the longest piece that the vocabulary has; and
 * WordLevel: the word is a token or unknown. Called by model.c; built by the loaders.
 *
 * Pieces inside a word are written with a prefix ("##"). A word that cannot be cut so to its end, or that has
 * too many characters, is one unknown token. Time: length of the word times length of the longest piece.
 * Sources: Devlin et al. 2018 (BERT); Hugging Face tokenizers' WordPiece. */
#include "tokenizer/models.h"

struct tfm__wordpiece {
    tfm__trie first, inner; /* of words' beginnings; of their insides, without the prefix. Values are ids */
    size_t most_characters;
    int32_t unknown;
};

int32_t tfm__wordpiece_build(tfm_tokenizer *t, const uint8_t *prefix, size_t prefix_length,
                             size_t most_characters, int32_t unknown, const char *file, tfm_error *error) {
    struct tfm__wordpiece *w = tfm__alloc_zero(t->heap, sizeof *w);
    if (!w) return tfm__fail_memory(error, t->heap, sizeof *w);
    t->wordpiece = w; /* freed with the tokenizer */
    t->model = TFM__MODEL_WORDPIECE;
    w->most_characters = most_characters;
    w->unknown = unknown;
    for (int32_t id = 0; id < t->vocab_size; id++) {
        tfm__slice key = t->key[id];
        const uint8_t *bytes = tfm__slice_at(t, key);
        bool inner =
            key.length > prefix_length && (prefix_length == 0 || memcmp(bytes, prefix, prefix_length) == 0);
        if (!(t->flags[id] & TFM__TOKEN_MATCH) || key.length == 0) continue;
        if (key.length > TFM__LONGEST_PIECE)
            return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET, "token %d is %u bytes long",
                                (int)id, (unsigned)key.length);
        if (!tfm__trie_put(&w->first, t->heap, bytes, key.length, id) ||
            (inner &&
             !tfm__trie_put(&w->inner, t->heap, bytes + prefix_length, key.length - prefix_length, id)))
            return tfm__fail_memory(error, t->heap, 0);
    }
    return TFM_OK;
}

void tfm__wordpiece_any_length(tfm_tokenizer *t) { t->wordpiece->most_characters = SIZE_MAX; }

void tfm__wordpiece_free(tfm__heap *heap, struct tfm__wordpiece *wordpiece) {
    if (!wordpiece) return;
    tfm__trie_free(heap, &wordpiece->first);
    tfm__trie_free(heap, &wordpiece->inner);
    tfm__free(heap, wordpiece);
}

/* Whether a word has more characters than most. */
static bool too_long(const uint8_t *text, size_t length, size_t most) {
    size_t characters = 0;
    uint32_t used;
    for (size_t i = 0; i < length && characters <= most; i += used, characters++)
        (void)tfm__utf8_read(text + i, length - i, &used);
    return characters > most;
}

static int32_t put_unknown(int32_t unknown, tfm__work *work, const uint8_t *text, size_t length,
                           tfm__sink *sink, tfm_error *error) {
    if (unknown < 0) return tfm__no_unknown(text, length, error);
    return tfm__sink_put(sink, unknown, (uint32_t)length)
               ? TFM_OK
               : tfm__fail_memory(error, work->heap, sizeof unknown);
}

int32_t tfm__wordpiece_piece(const tfm_tokenizer *t, tfm__work *work, const uint8_t *text, size_t length,
                             tfm__sink *sink, tfm_error *error) {
    const struct tfm__wordpiece *w = t->wordpiece;
    size_t ids_before = sink->ids->size, ends_before = sink->ends ? sink->ends->size : 0;
    if (length >= UINT32_MAX) return tfm__fail(error, TFM_E_ARGUMENT, "a piece of text of %zu bytes", length);
    if (too_long(text, length, w->most_characters))
        return put_unknown(w->unknown, work, text, length, sink, error);
    for (size_t at = 0; at < length;) {
        int32_t id = -1;
        size_t found = tfm__trie_longest(at ? &w->inner : &w->first, text + at, length - at, &id);
        if (found == 0) { /* what was found so far does not count */
            sink->ids->size = ids_before;
            if (sink->ends) sink->ends->size = ends_before;
            return put_unknown(w->unknown, work, text, length, sink, error);
        }
        at += found;
        if (!tfm__sink_put(sink, id, (uint32_t)at)) return tfm__fail_memory(error, work->heap, sizeof id);
    }
    return TFM_OK;
}

int32_t tfm__wordlevel_piece(const tfm_tokenizer *t, tfm__work *work, const uint8_t *text, size_t length,
                             tfm__sink *sink, tfm_error *error) {
    int32_t id = tfm__vocab_find(t, text, length);
    bool melts = id < 0 && work->after_unknown;
    work->after_unknown = id < 0 && t->merge_unknown;
    if (melts) {
        tfm__sink_extend(sink, (uint32_t)length);
        return TFM_OK;
    }
    if (id < 0) id = t->stand_in;
    if (id < 0) return tfm__no_unknown(text, length, error);
    return tfm__sink_put(sink, id, (uint32_t)length) ? TFM_OK : tfm__fail_memory(error, t->heap, sizeof id);
}
