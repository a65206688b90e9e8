/* load_hf.c - Hugging Face's tokenizer.json with a model of type BPE: its vocabulary, merges and added
 * tokens. Called by load.c; the other components are read by hf_parts.c.
 *
 * The ids are those of the tokenizers library. truncation and padding are left to the caller of tfm. Added
 * tokens whose normalized is true are sought in the normalised text, by their own normal form, and decode to
 * it. */
#include "tokenizer/hf_parts.h"

typedef struct bpe {
    tfm__json_value model, vocab, merges, added;
    tfm__buffer bytes; /* a token in raw bytes */
    tfm__buffer shown; /* what it decodes to */
} bpe;

static tfm__json_value get(const tfm__hf *hf, tfm__json_value object, const char *key) {
    return tfm__json_get(hf->json, object, key);
}

static bool truth(const tfm__hf *hf, tfm__json_value object, const char *key) {
    bool value;
    return tfm__json_bool(hf->json, get(hf, object, key), &value) && value;
}

static bool no_text(const tfm__hf *hf, tfm__json_value value) {
    int kind = tfm__json_kind(hf->json, value);
    return kind == TFM__JSON_ABSENT || kind == TFM__JSON_NULL || tfm__json_equals(hf->json, value, "");
}

/* ---- The model's settings ---- */

static int32_t check_model(tfm__hf *hf, const bpe *b) {
    tfm__json_value type = get(hf, b->model, "type"), dropout = get(hf, b->model, "dropout");
    double share;
    int32_t rc;
    if (tfm__json_kind(hf->json, b->model) != TFM__JSON_OBJECT)
        return tfm__hf_malformed(hf, b->model, "model", "not an object");
    if (type != TFM__JSON_NONE && !tfm__json_equals(hf->json, type, "BPE")) {
        if ((rc = tfm__hf_string(hf, type, "model")) != 0) return rc;
        return tfm__hf_unsupported(hf, type, "model", (const char *)hf->text.data);
    }
    if (tfm__json_kind(hf->json, b->vocab) == TFM__JSON_ARRAY)
        return tfm__hf_unsupported(hf, b->model, "model", "Unigram");
    if (b->merges == TFM__JSON_NONE)
        return tfm__hf_unsupported(hf, b->model, "model", "a model without merges");
    if (tfm__json_kind(hf->json, b->vocab) != TFM__JSON_OBJECT ||
        tfm__json_kind(hf->json, b->merges) != TFM__JSON_ARRAY)
        return tfm__hf_malformed(hf, b->model, "model",
                                 "vocab or merges of another type than they should be");
    if (tfm__json_f64(hf->json, dropout, &share) && share != 0)
        return tfm__hf_unsupported(hf, dropout, "model", "dropout");
    if (!no_text(hf, get(hf, b->model, "continuing_subword_prefix")))
        return tfm__hf_unsupported(hf, b->model, "model", "continuing_subword_prefix");
    if (!no_text(hf, get(hf, b->model, "end_of_word_suffix")))
        return tfm__hf_unsupported(hf, b->model, "model", "end_of_word_suffix");
    return TFM_OK;
}

/* ---- Vocabulary ---- */

static int32_t id_of(const tfm__hf *hf, tfm__json_value value, const char *part, int64_t *id) {
    if (!tfm__json_i64(hf->json, value, id) || *id < 0)
        return tfm__hf_malformed(hf, value, part, "not a token id");
    return TFM_OK;
}

/* The number of ids: holes are few, so that a file cannot make us take more memory than its size warrants. */
static int32_t measure(const tfm__hf *hf, const bpe *b, size_t *size) {
    size_t entries = tfm__json_size(hf->json, b->vocab) + tfm__json_size(hf->json, b->added);
    int64_t largest = -1, id;
    int32_t rc;
    for (tfm__json_value k = tfm__json_first(hf->json, b->vocab); k != TFM__JSON_NONE;
         k = tfm__json_next(hf->json, b->vocab, k)) {
        if ((rc = id_of(hf, tfm__json_member_value(hf->json, k), "model vocab", &id)) != 0) return rc;
        largest = TFM__MAX(largest, id);
    }
    for (tfm__json_value a = tfm__json_first(hf->json, b->added); a != TFM__JSON_NONE;
         a = tfm__json_next(hf->json, b->added, a)) {
        if ((rc = id_of(hf, get(hf, a, "id"), "added_tokens", &id)) != 0) return rc;
        largest = TFM__MAX(largest, id);
    }
    if (largest < 0) return tfm__hf_malformed(hf, b->model, "model", "an empty vocabulary");
    if ((uint64_t)largest > 2 * (uint64_t)entries + 65536)
        return tfm__hf_malformed(hf, b->model, "model", "token ids far beyond the number of tokens");
    *size = (size_t)largest + 1;
    return TFM_OK;
}

/* What a text of the vocabulary decodes to goes to b->shown; its kind. */
static int32_t decoded(tfm__hf *hf, bpe *b, const uint8_t *text, size_t length, int *kind) {
    bool refused = false, ok = true;
    int byte;
    b->shown.size = 0;
    *kind = TFM_TOKEN_NORMAL;
    if (hf->decodes_bytes && tfm__alphabet_to_bytes((const char *)text, length, &b->shown, &refused))
        return TFM_OK;
    if (refused) return tfm__fail_memory(hf->error, b->shown.heap, length);
    if (hf->decodes_fallback && (byte = tfm__byte_token((const char *)text, length)) >= 0) {
        uint8_t value = (uint8_t)byte;
        *kind = TFM_TOKEN_BYTE;
        ok = tfm__buffer_append(&b->shown, &value, 1);
        return ok ? TFM_OK : tfm__fail_memory(hf->error, b->shown.heap, 1);
    }
    for (size_t i = 0; i < length && ok;) {
        bool mark = hf->decodes_marks && length - i >= TFM__MARK_BYTES &&
                    memcmp(text + i, TFM__MARK, TFM__MARK_BYTES) == 0;
        ok = tfm__buffer_append(&b->shown, mark ? (const void *)" " : text + i, 1);
        i += mark ? TFM__MARK_BYTES : 1;
    }
    return ok ? TFM_OK : tfm__fail_memory(hf->error, b->shown.heap, length);
}

/* The key of a text of the vocabulary: raw bytes where it is spelled in the byte alphabet. False if it has
 * none. */
static int32_t key_of(tfm__hf *hf, bpe *b, const uint8_t *text, size_t length, bool *usable) {
    bool refused = false;
    b->bytes.size = 0;
    if (hf->byte_level) {
        *usable = tfm__alphabet_to_bytes((const char *)text, length, &b->bytes, &refused);
        return refused ? tfm__fail_memory(hf->error, b->bytes.heap, length) : TFM_OK;
    }
    *usable = true;
    if (!tfm__buffer_append(&b->bytes, text, length))
        return tfm__fail_memory(hf->error, b->bytes.heap, length);
    return TFM_OK;
}

static int32_t read_entry(tfm__hf *hf, bpe *b, tfm__json_value key) {
    tfm_tokenizer *t = hf->tokenizer;
    int64_t id = 0;
    int kind, byte;
    bool usable;
    int32_t rc;
    if ((rc = id_of(hf, tfm__json_member_value(hf->json, key), "model vocab", &id)) != 0) return rc;
    if ((rc = tfm__hf_string(hf, key, "model vocab")) != 0) return rc;
    if (t->flags[id] & TFM__TOKEN_PRESENT)
        return tfm__hf_malformed(hf, key, "model vocab", "an id that is taken already");
    if ((rc = decoded(hf, b, hf->text.data, hf->text.size, &kind)) != 0) return rc;
    if ((rc = key_of(hf, b, hf->text.data, hf->text.size, &usable)) != 0) return rc;
    if (!usable) { /* no text can lead to it */
        b->bytes.size = 0;
        if (!tfm__buffer_append(&b->bytes, hf->text.data, hf->text.size))
            return tfm__fail_memory(hf->error, b->bytes.heap, hf->text.size);
    }
    byte = tfm__byte_token((const char *)hf->text.data, hf->text.size);
    if (!hf->byte_level && byte >= 0) t->byte_id[byte] = (int32_t)id;
    return tfm__vocab_set(t, (int32_t)id, b->bytes.data, b->bytes.size,
                          b->shown.size ? (const void *)b->shown.data : "", b->shown.size, kind,
                          usable && b->bytes.size ? TFM__TOKEN_MATCH : 0, hf->error);
}

/* ---- Merges ---- */

static int32_t bad_merge(const tfm__hf *hf, tfm__json_value at, size_t number, const char *what) {
    const char *raw = "";
    size_t size = 0;
    (void)tfm__json_raw(hf->json, at, &raw, &size);
    return tfm__fail_at(hf->error, TFM_E_FORMAT, hf->json->file, NULL, tfm__json_offset(hf->json, at),
                        "merge %zu '%.*s': %s", number, (int)TFM__MIN(size, (size_t)64), raw, what);
}

/* One half of a merge to its id; its bytes are appended to b->shown. */
static int32_t half(tfm__hf *hf, bpe *b, const uint8_t *text, size_t length, int32_t *id) {
    bool usable;
    int32_t rc = key_of(hf, b, text, length, &usable);
    if (rc) return rc;
    *id = usable && length ? tfm__vocab_find(hf->tokenizer, b->bytes.data, b->bytes.size) : -1;
    if (!tfm__buffer_append(&b->shown, b->bytes.data, b->bytes.size))
        return tfm__fail_memory(hf->error, b->shown.heap, b->bytes.size);
    return TFM_OK;
}

/* "a b", or ["a", "b"]. Lines that begin with "#version" are no merges. */
static int32_t read_merge(tfm__hf *hf, bpe *b, tfm__json_value merge, size_t number, uint32_t *rank) {
    int32_t left, right, merged, rc;
    b->shown.size = 0;
    if (tfm__json_kind(hf->json, merge) == TFM__JSON_ARRAY) {
        tfm__json_value first = tfm__json_at(hf->json, merge, 0), second = tfm__json_at(hf->json, merge, 1);
        if (tfm__json_size(hf->json, merge) != 2) return bad_merge(hf, merge, number, "not two tokens");
        if ((rc = tfm__hf_string(hf, first, "model merges")) != 0) return rc;
        if ((rc = half(hf, b, hf->text.data, hf->text.size, &left)) != 0) return rc;
        if ((rc = tfm__hf_string(hf, second, "model merges")) != 0) return rc;
        if ((rc = half(hf, b, hf->text.data, hf->text.size, &right)) != 0) return rc;
    } else {
        const uint8_t *text, *space;
        size_t size, at;
        if ((rc = tfm__hf_string(hf, merge, "model merges")) != 0) return rc;
        text = hf->text.data;
        size = hf->text.size;
        if (size >= 8 && memcmp(text, "#version", 8) == 0) return TFM_OK;
        space = memchr(text, ' ', size);
        at = space ? (size_t)(space - text) : 0;
        if (!space || memchr(space + 1, ' ', size - at - 1))
            return bad_merge(hf, merge, number, "not two tokens with one space between them");
        if ((rc = half(hf, b, text, at, &left)) != 0) return rc;
        if ((rc = half(hf, b, text + at + 1, size - at - 1, &right)) != 0) return rc;
    }
    if (left < 0 || right < 0)
        return bad_merge(hf, merge, number, "names a token that the vocabulary does not have");
    merged = tfm__vocab_find(hf->tokenizer, b->shown.data, b->shown.size);
    if (merged < 0) return bad_merge(hf, merge, number, "makes a token that the vocabulary does not have");
    return tfm__vocab_pair(hf->tokenizer, left, right, (*rank)++, merged, hf->error);
}

static int32_t read_merges(tfm__hf *hf, bpe *b) {
    size_t count = tfm__json_size(hf->json, b->merges), number = 0;
    uint32_t rank = 0;
    int32_t rc = TFM_OK;
    if (!tfm__map_reserve(&hf->tokenizer->pairs, hf->tokenizer->heap, count))
        return tfm__fail_memory(hf->error, hf->tokenizer->heap, count * 16);
    for (tfm__json_value m = tfm__json_first(hf->json, b->merges); m != TFM__JSON_NONE && rc == TFM_OK;
         m = tfm__json_next(hf->json, b->merges, m))
        rc = read_merge(hf, b, m, number++, &rank);
    return rc;
}

/* ---- Added tokens ---- */

/* The vocabulary's token of this spelling, or -1. */
static int32_t in_vocab(tfm__hf *hf, bpe *b, const uint8_t *text, size_t length, int32_t *id) {
    bool usable;
    int32_t rc = key_of(hf, b, text, length, &usable);
    *id = -1;
    if (rc == TFM_OK && usable) *id = tfm__vocab_find(hf->tokenizer, b->bytes.data, b->bytes.size);
    return rc;
}

static int32_t read_added(tfm__hf *hf, bpe *b, tfm__json_value value, tfm__work *work) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__added added = {0};
    tfm__aligned normal;
    int64_t id = 0;
    int32_t known, rc;
    int kind;
    if ((rc = id_of(hf, get(hf, value, "id"), "added_tokens", &id)) != 0) return rc;
    if ((rc = tfm__hf_string(hf, get(hf, value, "content"), "added_tokens")) != 0) return rc;
    if (hf->text.size == 0) return TFM_OK; /* the reference passes over it */
    added.id = (int32_t)id;
    added.special = truth(hf, value, "special");
    added.single_word = truth(hf, value, "single_word");
    added.lstrip = truth(hf, value, "lstrip");
    added.rstrip = truth(hf, value, "rstrip");
    added.normalized = truth(hf, value, "normalized");
    if ((rc = in_vocab(hf, b, hf->text.data, hf->text.size, &known)) != 0) return rc;
    if ((known >= 0 && known != id) || t->flags[id] & TFM__TOKEN_ADDED)
        return tfm__hf_malformed(hf, value, "added_tokens", "a token with an id that is not its own");
    if ((rc = tfm__vocab_store(t, hf->text.data, hf->text.size, &added.text, hf->error)) != 0) return rc;
    added.match = added.text;
    normal = (tfm__aligned){.data = hf->text.data, .length = hf->text.size};
    if (added.normalized) {
        rc = tfm__normalize(t, work, &normal, &normal, hf->error);
        if (rc == TFM_OK) rc = tfm__vocab_store(t, normal.data, normal.length, &added.match, hf->error);
        if (rc) return rc;
    }
    if ((rc = decoded(hf, b, normal.data, normal.length, &kind)) != 0) return rc;
    kind = !added.special ? TFM_TOKEN_USER : id == t->unknown ? TFM_TOKEN_UNKNOWN : TFM_TOKEN_CONTROL;
    if (t->flags[id] & TFM__TOKEN_PRESENT) { /* of the vocabulary: keeps its key */
        t->kind[id] = (uint8_t)kind;
        if (added.special) t->flags[id] |= TFM__TOKEN_SKIP;
        rc = tfm__vocab_store(t, b->shown.data, b->shown.size, &t->text[id], hf->error);
    } else {
        rc = tfm__vocab_set(t, (int32_t)id, hf->text.data, hf->text.size,
                            b->shown.size ? (const void *)b->shown.data : "", b->shown.size, kind,
                            added.special ? TFM__TOKEN_SKIP : 0, hf->error);
    }
    return rc ? rc : tfm__vocab_add(t, &added, hf->error);
}

static int32_t read_all_added(tfm__hf *hf, bpe *b) {
    tfm__work *work = tfm__work_take(hf->tokenizer);
    int32_t rc = TFM_OK;
    if (!work) return tfm__fail_memory(hf->error, hf->tokenizer->heap, sizeof *work);
    for (tfm__json_value a = tfm__json_first(hf->json, b->added); a != TFM__JSON_NONE && rc == TFM_OK;
         a = tfm__json_next(hf->json, b->added, a))
        rc = read_added(hf, b, a, work);
    tfm__work_give(hf->tokenizer, work);
    return rc;
}

/* ---- All of it ---- */

static int32_t read_vocab(tfm__hf *hf, bpe *b) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__json_value unknown = get(hf, b->model, "unk_token");
    size_t size = 0;
    int32_t rc = measure(hf, b, &size);
    if (rc || (rc = tfm__vocab_begin(t, size, hf->error)) != 0) return rc;
    for (tfm__json_value k = tfm__json_first(hf->json, b->vocab); k != TFM__JSON_NONE && rc == TFM_OK;
         k = tfm__json_next(hf->json, b->vocab, k))
        rc = read_entry(hf, b, k);
    if (rc || (rc = tfm__vocab_index(t, false, hf->json->file, hf->error)) != 0) return rc;
    if (tfm__json_kind(hf->json, unknown) == TFM__JSON_STRING) {
        if ((rc = tfm__hf_string(hf, unknown, "model unk_token")) != 0) return rc;
        if ((rc = in_vocab(hf, b, hf->text.data, hf->text.size, &t->unknown)) != 0) return rc;
        t->stand_in = t->unknown;
    }
    return read_merges(hf, b);
}

static int32_t load(tfm__hf *hf) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__json_value root = tfm__json_root(hf->json);
    bpe b = {0};
    bool ignore_merges;
    int32_t rc;
    b.model = get(hf, root, "model");
    b.vocab = get(hf, b.model, "vocab");
    b.merges = get(hf, b.model, "merges");
    b.added = get(hf, root, "added_tokens");
    if ((rc = check_model(hf, &b)) != 0) return rc;
    if ((rc = tfm__hf_normalizer(hf, get(hf, root, "normalizer"))) != 0) return rc;
    if ((rc = tfm__hf_pre_tokenizer(hf, get(hf, root, "pre_tokenizer"))) != 0) return rc;
    if ((rc = tfm__hf_decoder(hf, get(hf, root, "decoder"))) != 0) return rc;
    tfm__buffer_init(&b.bytes, t->heap);
    tfm__buffer_init(&b.shown, t->heap);
    rc = read_vocab(hf, &b);
    if (rc == TFM_OK) rc = read_all_added(hf, &b);
    tfm__buffer_free(&b.bytes);
    tfm__buffer_free(&b.shown);
    if (rc || (rc = tfm__hf_post_processor(hf, get(hf, root, "post_processor"))) != 0) return rc;
    ignore_merges = truth(hf, b.model, "ignore_merges");
    t->order_kind = TFM__MERGE_LISTED;
    t->bytes = hf->byte_level;
    t->byte_fallback = truth(hf, b.model, "byte_fallback");
    t->fuse_unknown = truth(hf, b.model, "fuse_unk");
    t->whole = ignore_merges ? TFM__WHOLE_ALWAYS : TFM__WHOLE_SELF;
    t->cut_at_marks = !t->bytes && !ignore_merges && t->splitter.count == 0;
    for (uint32_t i = 0, text = t->frame_count; i < t->frame_count; i++) {
        if (t->frame[i].token < 0) text = i;
        t->adds_bos = t->adds_bos || i < text;
        t->adds_eos = t->adds_eos || i > text;
    }
    if (t->adds_bos && t->frame[1].token < 0) t->bos = t->frame[0].token;
    if (t->adds_eos && t->frame[t->frame_count - 2].token < 0) t->eos = t->frame[t->frame_count - 1].token;
    for (int i = 0; t->bytes && t->byte_fallback && i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        if (tfm__vocab_find(t, &byte, 1) < 0)
            return tfm__hf_unsupported(hf, b.model, "model",
                                       "byte_fallback with a byte alphabet that has gaps");
    }
    memcpy(t->kind_name, t->bytes ? "byte-level-bpe" : "sentencepiece-bpe", t->bytes ? 15 : 18);
    return TFM_OK;
}

int32_t tfm__load_hf(tfm_tokenizer *tokenizer, const tfm__loaded_text *file, tfm_error *error) {
    tfm__json json;
    tfm__hf hf = {.tokenizer = tokenizer, .json = &json, .error = error};
    int32_t rc =
        tfm__json_parse(&json, tokenizer->heap, (const char *)file->data, file->size, file->name, error);
    if (rc) return rc;
    tfm__buffer_init(&hf.text, tokenizer->heap);
    rc = load(&hf);
    tokenizer->has_template = hf.has_template;
    tfm__buffer_free(&hf.text);
    tfm__json_release(&json);
    return rc;
}
