/* hf_model.c - tokenizer.json's model: its vocabulary, and for BPE its merges. Called by load_hf.c.
 *
 * A file older than the types' names is told by its fields, as the reference does it. */
#include <math.h>

#include "tokenizer/hf.h"
#include "tokenizer/models.h"

#define PART "model"

typedef struct model {
    tfm__json_value model, vocab, merges;
    size_t added; /* entries of added_tokens, each of which may need an id */
    tfm__buffer bytes;
} model;

static int32_t kind_of(tfm__hf *hf, const model *m, int *kind) {
    static const char *const names[] = {[TFM__MODEL_BPE] = "BPE",
                                        [TFM__MODEL_UNIGRAM] = "Unigram",
                                        [TFM__MODEL_WORDPIECE] = "WordPiece",
                                        [TFM__MODEL_WORDLEVEL] = "WordLevel"};
    if (tfm__json_kind(hf->json, m->model) != TFM__JSON_OBJECT)
        return tfm__hf_malformed(hf, m->model, PART, "not an object");
    if (tfm__hf_get(hf, m->model, "type") == TFM__JSON_NONE) {
        *kind = m->merges != TFM__JSON_NONE                             ? TFM__MODEL_BPE
                : tfm__json_kind(hf->json, m->vocab) == TFM__JSON_ARRAY ? TFM__MODEL_UNIGRAM
                : tfm__hf_get(hf, m->model, "max_input_chars_per_word") != TFM__JSON_NONE
                    ? TFM__MODEL_WORDPIECE
                    : TFM__MODEL_WORDLEVEL;
        return TFM_OK;
    }
    for (size_t i = 0; i < TFM__COUNT(names); i++) {
        if (!tfm__hf_is(hf, m->model, names[i])) continue;
        *kind = (int)i;
        return TFM_OK;
    }
    return tfm__hf_unknown_type(hf, m->model, PART);
}

/* ---- Vocabularies that are objects ---- */

/* The number of ids: holes are few, so that a file cannot make us take more memory than its size warrants. */
static int32_t measure(const tfm__hf *hf, const model *m, size_t *size) {
    size_t entries = tfm__json_size(hf->json, m->vocab);
    int64_t largest = -1, id;
    int32_t rc;
    for (tfm__json_value k = tfm__json_first(hf->json, m->vocab); k != TFM__JSON_NONE;
         k = tfm__json_next(hf->json, m->vocab, k)) {
        if ((rc = tfm__hf_id(hf, tfm__json_member_value(hf->json, k), PART " vocab", &id)) != 0) return rc;
        if ((uint64_t)id > 2 * (uint64_t)entries + 65536)
            return tfm__hf_malformed(hf, k, PART " vocab", "a token id far beyond the number of tokens");
        largest = TFM__MAX(largest, id);
    }
    *size = TFM__MAX((size_t)(largest + 1), entries + m->added);
    return *size ? TFM_OK : tfm__hf_malformed(hf, m->model, PART, "an empty vocabulary");
}

/* Puts a token into the vocabulary: its key is the text that leads to it, in bytes where the vocabulary is
 * spelled in the byte alphabet. A spelling outside the alphabet has no text. */
static int32_t put_token(tfm__hf *hf, model *m, int32_t id) {
    tfm_tokenizer *t = hf->tokenizer;
    const uint8_t *text = tfm__hf_said(hf, id), *key = text;
    size_t length = hf->said[id].length, key_length = length;
    bool refused = false, usable = true;
    int byte = tfm__byte_token((const char *)text, length);
    if (hf->byte_level) {
        m->bytes.size = 0;
        usable = tfm__alphabet_to_bytes((const char *)text, length, &m->bytes, &refused);
        if (refused) return tfm__fail_memory(hf->error, m->bytes.heap, length);
        if (usable && m->bytes.size) {
            key = m->bytes.data;
            key_length = m->bytes.size;
        }
    } else if (byte >= 0) {
        t->byte_id[byte] = id;
    }
    return tfm__vocab_set(t, id, key, key_length, NULL, 0, TFM_TOKEN_NORMAL,
                          usable && key_length ? TFM__TOKEN_MATCH : 0, hf->error);
}

static int32_t read_entry(tfm__hf *hf, model *m, tfm__json_value key) {
    int64_t id = 0;
    int32_t rc = tfm__hf_id(hf, tfm__json_member_value(hf->json, key), PART " vocab", &id);
    if (rc || (rc = tfm__hf_string(hf, key, PART " vocab")) != 0) return rc;
    if (hf->tokenizer->flags[id] & TFM__TOKEN_PRESENT)
        return tfm__hf_malformed(hf, key, PART " vocab", "an id that is taken already");
    if (tfm__hf_vocab_find(hf, hf->text.data, hf->text.size) >= 0)
        return tfm__hf_malformed(hf, key, PART " vocab", "a token that was there already");
    if ((rc = tfm__hf_vocab_put(hf, (int32_t)id, hf->text.data, hf->text.size, true)) != 0) return rc;
    return put_token(hf, m, (int32_t)id);
}

static int32_t read_vocab(tfm__hf *hf, model *m) {
    size_t size = 0;
    int32_t rc;
    if (tfm__json_kind(hf->json, m->vocab) != TFM__JSON_OBJECT)
        return tfm__hf_wrong(hf, m->model, PART, "vocab", "is not an object");
    hf->model_size = tfm__json_size(hf->json, m->vocab);
    if ((rc = measure(hf, m, &size)) != 0) return rc;
    if ((rc = tfm__hf_vocab_begin(hf, size, hf->model_size)) != 0) return rc;
    for (tfm__json_value k = tfm__json_first(hf->json, m->vocab); k != TFM__JSON_NONE && rc == TFM_OK;
         k = tfm__json_next(hf->json, m->vocab, k))
        rc = read_entry(hf, m, k);
    return rc ? rc : tfm__vocab_index(hf->tokenizer, false, hf->json->file, hf->error);
}

/* ---- BPE ---- */

static int32_t bad_merge(const tfm__hf *hf, tfm__json_value at, size_t number, const char *what) {
    tfm__json_value first = tfm__json_first(hf->json, at); /* of a pair; none of a string */
    const char *raw[2] = {"", ""};
    size_t size[2] = {0, 0};
    (void)tfm__json_raw(hf->json, first == TFM__JSON_NONE ? at : first, &raw[0], &size[0]);
    if (first != TFM__JSON_NONE)
        (void)tfm__json_raw(hf->json, tfm__json_next(hf->json, at, first), &raw[1], &size[1]);
    return tfm__fail_at(hf->error, TFM_E_FORMAT, hf->json->file, NULL, tfm__json_offset(hf->json, at),
                        "merge %zu '%.*s%s%.*s': %s", number, (int)TFM__MIN(size[0], (size_t)64), raw[0],
                        first == TFM__JSON_NONE ? "" : " ", (int)TFM__MIN(size[1], (size_t)64), raw[1], what);
}

typedef struct merges {
    bool pairs; /* ["a", "b"]; else "a b" */
    size_t number;
    uint32_t rank;
} merges;

/* A merge of the texts left and right: what it makes begins with the left one; the right one loses the prefix
 * of its continuation. */
static int32_t put_merge(tfm__hf *hf, model *m, tfm__json_value at, merges *list, const uint8_t *left,
                         size_t left_length, const uint8_t *right, size_t right_length) {
    tfm_tokenizer *t = hf->tokenizer;
    size_t prefix = t->continuing.length;
    int32_t a = tfm__hf_vocab_find(hf, left, left_length), b = tfm__hf_vocab_find(hf, right, right_length),
            made;
    if (left_length == 0 || right_length == 0) return bad_merge(hf, at, list->number, "half of it is empty");
    if (a < 0 || b < 0)
        return bad_merge(hf, at, list->number, "names a token that the vocabulary does not have");
    if (right_length < prefix)
        return bad_merge(hf, at, list->number, "its right half is shorter than the prefix");
    m->bytes.size = 0;
    if (!tfm__buffer_append(&m->bytes, left, left_length) ||
        (right_length > prefix && !tfm__buffer_append(&m->bytes, right + prefix, right_length - prefix)))
        return tfm__fail_memory(hf->error, m->bytes.heap, left_length + right_length);
    made = tfm__hf_vocab_find(hf, m->bytes.data, m->bytes.size);
    if (made < 0) return bad_merge(hf, at, list->number, "makes a token that the vocabulary does not have");
    if (tfm__map_get(&t->pairs, (uint64_t)(uint32_t)a << 32 | (uint32_t)b) != UINT64_MAX)
        return bad_merge(hf, at, list->number, "is there a second time");
    return tfm__vocab_pair(t, a, b, list->rank++, made, hf->error);
}

/* Both spellings; a list has only one of them. Texts that begin with "#version" are no merges. */
static int32_t read_merge(tfm__hf *hf, model *m, tfm__json_value merge, merges *list) {
    const uint8_t *text, *space;
    size_t size, at;
    int32_t rc;
    if (list->pairs) {
        tfm__buffer *left = &hf->tokenizer->blob; /* the end of the blob, given back at once */
        size_t before = left->size, length;
        if (tfm__json_kind(hf->json, merge) != TFM__JSON_ARRAY || tfm__json_size(hf->json, merge) != 2)
            return bad_merge(hf, merge, list->number, "not two tokens");
        if ((rc = tfm__hf_string(hf, tfm__json_at(hf->json, merge, 0), PART " merges")) != 0) return rc;
        length = hf->text.size;
        if (length && !tfm__buffer_append(left, hf->text.data, length))
            return tfm__fail_memory(hf->error, left->heap, length);
        rc = tfm__hf_string(hf, tfm__json_at(hf->json, merge, 1), PART " merges");
        if (rc == TFM_OK)
            rc = put_merge(hf, m, merge, list, left->data + before, length, hf->text.data, hf->text.size);
        left->size = before;
        return rc;
    }
    if (tfm__json_kind(hf->json, merge) != TFM__JSON_STRING)
        return bad_merge(hf, merge, list->number, "not a string, as others are");
    if ((rc = tfm__hf_string(hf, merge, PART " merges")) != 0) return rc;
    text = hf->text.data;
    size = hf->text.size;
    if (size >= 8 && memcmp(text, "#version", 8) == 0) return TFM_OK;
    space = memchr(text, ' ', size);
    at = space ? (size_t)(space - text) : 0;
    if (!space || memchr(space + 1, ' ', size - at - 1))
        return bad_merge(hf, merge, list->number, "not two tokens with one space between them");
    return put_merge(hf, m, merge, list, text, at, text + at + 1, size - at - 1);
}

static int32_t read_merges(tfm__hf *hf, model *m) {
    size_t count = tfm__json_size(hf->json, m->merges);
    tfm__json_value first = tfm__json_first(hf->json, m->merges);
    merges list = {tfm__json_kind(hf->json, first) == TFM__JSON_ARRAY, 0, 0};
    int32_t rc = TFM_OK;
    if (!tfm__map_reserve(&hf->tokenizer->pairs, hf->tokenizer->heap, count))
        return tfm__fail_memory(hf->error, hf->tokenizer->heap, count * 16);
    for (tfm__json_value v = first; v != TFM__JSON_NONE && rc == TFM_OK;
         v = tfm__json_next(hf->json, m->merges, v)) {
        rc = read_merge(hf, m, v, &list);
        list.number++;
    }
    return rc;
}

/* A text that may be absent, null or empty. */
static int32_t affix(tfm__hf *hf, const model *m, const char *key, tfm__slice *out) {
    tfm__json_value value = tfm__hf_get(hf, m->model, key);
    int32_t rc;
    *out = (tfm__slice){0, 0};
    if (tfm__hf_null(hf, value)) return TFM_OK;
    if ((rc = tfm__hf_text(hf, m->model, PART, key)) != 0 || hf->text.size == 0) return rc;
    if (hf->text.size > TFM__AFFIX) return tfm__hf_wrong(hf, m->model, PART, key, "is too long");
    return tfm__vocab_store(hf->tokenizer, hf->text.data, hf->text.size, out, hf->error);
}

static int32_t read_unknown(tfm__hf *hf, const model *m, bool needed) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__json_value value = tfm__hf_get(hf, m->model, "unk_token");
    int32_t rc;
    if (tfm__hf_null(hf, value) && !needed) return TFM_OK;
    if ((rc = tfm__hf_text(hf, m->model, PART, "unk_token")) != 0) return rc;
    t->unknown = t->stand_in = tfm__hf_vocab_find(hf, hf->text.data, hf->text.size);
    return TFM_OK;
}

static int32_t bpe_settings(tfm__hf *hf, const model *m, bool *ignore_merges) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__json_value dropout = tfm__hf_get(hf, m->model, "dropout");
    double share;
    int32_t rc;
    if (!tfm__hf_null(hf, dropout) && !tfm__json_f64(hf->json, dropout, &share))
        return tfm__hf_wrong(hf, m->model, PART, "dropout", "is not a number");
    if (!tfm__hf_null(hf, dropout) && share != 0) return tfm__hf_unsupported(hf, dropout, PART, "dropout");
    if ((rc = tfm__hf_flag(hf, m->model, PART, "fuse_unk", 0, &t->fuse_unknown)) != 0) return rc;
    if ((rc = tfm__hf_flag(hf, m->model, PART, "byte_fallback", 0, &t->byte_fallback)) != 0) return rc;
    if ((rc = tfm__hf_flag(hf, m->model, PART, "ignore_merges", 0, ignore_merges)) != 0) return rc;
    if ((rc = affix(hf, m, "continuing_subword_prefix", &t->continuing)) != 0) return rc;
    if ((rc = affix(hf, m, "end_of_word_suffix", &t->ending)) != 0) return rc;
    if (t->byte_fallback && (t->continuing.length || t->ending.length))
        return tfm__hf_unsupported(hf, m->model, PART, "byte_fallback with a prefix or suffix of words");
    return TFM_OK;
}

static int32_t read_bpe(tfm__hf *hf, model *m) {
    tfm_tokenizer *t = hf->tokenizer;
    bool ignore_merges = false, affixed, gaps = false;
    int32_t rc;
    if (tfm__json_kind(hf->json, m->merges) != TFM__JSON_ARRAY)
        return tfm__hf_wrong(hf, m->model, PART, "merges", "is not a list");
    if ((rc = bpe_settings(hf, m, &ignore_merges)) != 0 || (rc = read_vocab(hf, m)) != 0) return rc;
    if ((rc = read_merges(hf, m)) != 0 || (rc = read_unknown(hf, m, false)) != 0) return rc;
    affixed = t->continuing.length || t->ending.length;
    t->order_kind = TFM__MERGE_LISTED;
    t->bytes = hf->byte_level;
    t->whole = ignore_merges ? TFM__WHOLE_ALWAYS : affixed ? TFM__WHOLE_NEVER : TFM__WHOLE_SELF;
    t->whole_control = ignore_merges; /* the reference looks pieces up without asking what they are */
    t->cut_at_marks = !t->bytes && !ignore_merges && !affixed && t->splitter.count == 0;
    for (int i = 0; t->bytes && i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        gaps = gaps || tfm__vocab_find(t, &byte, 1) < 0;
    }
    if (gaps && t->byte_fallback)
        return tfm__hf_unsupported(hf, m->model, PART, "byte_fallback with a byte alphabet that has gaps");
    if ((!t->bytes || gaps) && t->unknown < 0 && !tfm__hf_null(hf, tfm__hf_get(hf, m->model, "unk_token")))
        return tfm__hf_wrong(hf, m->model, PART, "unk_token", "is not in the vocabulary");
    if (!affixed) memcpy(t->kind_name, t->bytes ? "byte-level-bpe" : "sentencepiece-bpe", t->bytes ? 15 : 18);
    return TFM_OK;
}

/* ---- Unigram ---- */

/* [["text", score], ...]; a token's id is its place. Of two with the same text the later one counts. */
static int32_t read_scored(tfm__hf *hf, model *m, tfm__json_value value, int32_t id, double *score) {
    tfm_tokenizer *t = hf->tokenizer;
    int32_t before, rc;
    size_t at;
    if (tfm__json_kind(hf->json, value) != TFM__JSON_ARRAY || tfm__json_size(hf->json, value) != 2 ||
        tfm__json_kind(hf->json, tfm__json_at(hf->json, value, 1)) != TFM__JSON_NUMBER)
        return tfm__hf_malformed(hf, value, PART " vocab", "not a text with its score");
    if (!tfm__json_f64(hf->json, tfm__json_at(hf->json, value, 1), score))
        return tfm__hf_malformed(hf, value, PART " vocab", "a score that is out of range");
    at = (size_t)tfm__json_offset(hf->json, tfm__json_at(hf->json, value, 1));
    *score = tfm__hf_decimal(hf->json->text + at, hf->json->size - at);
    if (isinf(*score)) return tfm__hf_malformed(hf, value, PART " vocab", "a score that is out of range");
    if ((rc = tfm__hf_string(hf, tfm__json_at(hf->json, value, 0), PART " vocab")) != 0) return rc;
    before = tfm__hf_vocab_find(hf, hf->text.data, hf->text.size);
    if (before >= 0) t->flags[before] &= (uint8_t)~TFM__TOKEN_MATCH;
    if ((rc = tfm__hf_vocab_put(hf, id, hf->text.data, hf->text.size, true)) != 0) return rc;
    return put_token(hf, m, id);
}

static int32_t read_scores(tfm__hf *hf, model *m, double *scores) {
    int32_t id = 0, rc = TFM_OK;
    for (tfm__json_value v = tfm__json_first(hf->json, m->vocab); v != TFM__JSON_NONE && rc == TFM_OK;
         v = tfm__json_next(hf->json, m->vocab, v), id++)
        rc = read_scored(hf, m, v, id, &scores[id]);
    return rc ? rc : tfm__vocab_index(hf->tokenizer, false, hf->json->file, hf->error);
}

static int32_t read_unigram(tfm__hf *hf, model *m) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__unigram_settings settings = {.rules = TFM__UNIGRAM_HF, .unknown = -1};
    tfm__json_value unknown = tfm__hf_get(hf, m->model, "unk_id");
    size_t count = tfm__json_size(hf->json, m->vocab);
    double *scores;
    int64_t id = -1;
    int32_t rc;
    if (tfm__json_kind(hf->json, m->vocab) != TFM__JSON_ARRAY)
        return tfm__hf_wrong(hf, m->model, PART, "vocab", "is not a list");
    if (hf->byte_level) return tfm__hf_unsupported(hf, m->model, PART, "Unigram behind ByteLevel");
    if (count == 0) return tfm__hf_malformed(hf, m->model, PART, "an empty vocabulary");
    if (!tfm__hf_null(hf, unknown) &&
        (rc = tfm__hf_number(hf, m->model, PART, "unk_id", (int64_t)count - 1, -1, &id)) != 0)
        return rc;
    if ((rc = tfm__hf_flag(hf, m->model, PART, "byte_fallback", 0, &t->byte_fallback)) != 0) return rc;
    hf->model_size = count;
    if ((rc = tfm__hf_vocab_begin(hf, count + m->added, count)) != 0) return rc;
    scores = tfm__alloc_array(t->heap, count + m->added, sizeof *scores);
    if (!scores) return tfm__fail_memory(hf->error, t->heap, (count + m->added) * sizeof *scores);
    memset(scores, 0, (count + m->added) * sizeof *scores);
    rc = read_scores(hf, m, scores);
    t->unknown = settings.unknown = (int32_t)id;
    settings.scores = scores;
    if (rc == TFM_OK) rc = tfm__unigram_build(t, &settings, hf->json->file, hf->error);
    tfm__free(t->heap, scores);
    return rc;
}

/* ---- WordPiece and WordLevel ---- */

static int32_t read_wordpiece(tfm__hf *hf, model *m) {
    tfm_tokenizer *t = hf->tokenizer;
    int64_t most = 0;
    int32_t rc;
    if (hf->byte_level) return tfm__hf_unsupported(hf, m->model, PART, "WordPiece behind ByteLevel");
    if ((rc = tfm__hf_number(hf, m->model, PART, "max_input_chars_per_word", INT32_MAX, -1, &most)) != 0)
        return rc;
    if ((rc = read_vocab(hf, m)) != 0 || (rc = read_unknown(hf, m, true)) != 0) return rc;
    if ((rc = tfm__hf_text(hf, m->model, PART, "continuing_subword_prefix")) != 0) return rc;
    return tfm__wordpiece_build(t, hf->text.data, hf->text.size, (size_t)most, t->unknown, hf->json->file,
                                hf->error);
}

static int32_t read_wordlevel(tfm__hf *hf, model *m) {
    int32_t rc = read_vocab(hf, m);
    return rc ? rc : read_unknown(hf, m, true);
}

/* ---- All of them ---- */

int32_t tfm__hf_model(tfm__hf *hf, tfm__json_value value, tfm__json_value added) {
    static const struct {
        const char *name;
        int32_t (*read)(tfm__hf *hf, model *m);
    } kinds[] = {[TFM__MODEL_BPE] = {"bpe", read_bpe},
                 [TFM__MODEL_UNIGRAM] = {"unigram", read_unigram},
                 [TFM__MODEL_WORDPIECE] = {"wordpiece", read_wordpiece},
                 [TFM__MODEL_WORDLEVEL] = {"wordlevel", read_wordlevel}};
    tfm_tokenizer *t = hf->tokenizer;
    model m = {.model = value,
               .vocab = tfm__hf_get(hf, value, "vocab"),
               .merges = tfm__hf_get(hf, value, "merges"),
               .added = tfm__json_size(hf->json, added)};
    int kind = TFM__MODEL_BPE;
    int32_t rc = kind_of(hf, &m, &kind);
    if (rc) return rc;
    t->model = (uint8_t)kind;
    memcpy(t->kind_name, kinds[kind].name, strlen(kinds[kind].name) + 1);
    tfm__buffer_init(&m.bytes, t->heap);
    rc = kinds[kind].read(hf, &m);
    tfm__buffer_free(&m.bytes);
    return rc;
}
