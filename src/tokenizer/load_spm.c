/* load_spm.c - SentencePiece .model files: BPE, Unigram, Char and Word, alone or with Marian's vocab.json.
 * Called by load.c.
 *
 * The file is a protobuf message: fields of (number << 3 | wire type), then a varint, 4 or 8 bytes, or a
 * length and as many bytes. ModelProto: 1 pieces {1 text, 2 score f32, 3 type}, 2 trainer {3 model type, 24
 * white space as suffix, 35 byte fallback, 40-43 ids of unk bos eos pad, 44 text of unknown}, 3 normalizer {2
 * character map, 3 dummy prefix, 4 remove extra white space, 5 escape}, 5 denormalizer. Fields that are not
 * named here are skipped. Source: sentencepiece_model.proto, which also gives the defaults. */
#include "tokenizer/models.h"
#include "tokenizer/normalize.h"

#include <math.h>

typedef struct reader {
    const uint8_t *data;
    size_t size, at;
} reader;

typedef struct field {
    uint32_t number, wire;
    uint64_t value; /* wire 0 and 5 */
    reader bytes;   /* wire 2 */
} field;

static bool varint(reader *r, uint64_t *out) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t byte;
        if (r->at >= r->size) return false;
        byte = r->data[r->at++];
        value |= (uint64_t)(byte & 0x7fu) << shift;
        if (!(byte & 0x80u)) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* The next field; false at the end or if the bytes are no field (then r->at < r->size or r->size is 0). */
static bool next_field(reader *r, field *f) {
    uint64_t tag, length;
    size_t start = r->at;
    if (r->at >= r->size) return false;
    memset(f, 0, sizeof *f);
    if (!varint(r, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) goto bad;
    f->number = (uint32_t)(tag >> 3);
    f->wire = (uint32_t)(tag & 7);
    switch (f->wire) {
    case 0:
        if (!varint(r, &f->value)) goto bad;
        return true;
    case 1:
        if (r->size - r->at < 8) goto bad;
        r->at += 8;
        return true;
    case 2:
        if (!varint(r, &length) || length > r->size - r->at) goto bad;
        f->bytes = (reader){r->data + r->at, (size_t)length, 0};
        r->at += (size_t)length;
        return true;
    case 5:
        if (r->size - r->at < 4) goto bad;
        f->value = tfm__u32_le(r->data + r->at);
        r->at += 4;
        return true;
    default:
        break;
    }
bad:
    r->at = start;
    return false;
}

bool tfm__is_spm(const uint8_t *data, size_t size) {
    reader r = {data, size, 0}, inner;
    field f;
    if (!next_field(&r, &f) || f.number != 1 || f.wire != 2) return false;
    inner = f.bytes;
    return next_field(&inner, &f) && f.number == 1 && f.wire == 2;
}

/* What the messages besides the pieces say. */
typedef struct settings {
    int64_t type, unk, bos, eos, pad;
    bool byte_fallback, suffix, has_denormalizer;
    reader unk_surface, map;
} settings;

typedef struct source {
    tfm_tokenizer *tokenizer;
    size_t named; /* tokens of a vocabulary that gives the pieces their ids, which are set; 0: none */
    const tfm__loaded_text *file;
    tfm_error *error;
    float *scores;
    settings settings;
} source;

static int32_t broken(const source *s, const field *f, const char *what) {
    uint64_t offset = f && f->bytes.data ? (uint64_t)(f->bytes.data - s->file->data) : TFM__NO_OFFSET;
    return tfm__fail_at(s->error, TFM_E_FORMAT, s->file->name, NULL, offset, "%s", what);
}

/* A varint that holds an int32. */
static int64_t as_int(uint64_t value) { return (int64_t)(int32_t)(uint32_t)value; }

static bool read_trainer(settings *to, reader r) {
    field f;
    while (next_field(&r, &f)) {
        switch (f.number) {
        case 3:
            to->type = as_int(f.value);
            break;
        case 24:
            to->suffix = f.value != 0;
            break;
        case 35:
            to->byte_fallback = f.value != 0;
            break;
        case 40:
            to->unk = as_int(f.value);
            break;
        case 41:
            to->bos = as_int(f.value);
            break;
        case 42:
            to->eos = as_int(f.value);
            break;
        case 43:
            to->pad = as_int(f.value);
            break;
        case 44:
            to->unk_surface = f.bytes;
            break;
        default:
            break;
        }
    }
    return r.at == r.size;
}

static bool read_normalizer(tfm__spm_rules *rules, reader *map, reader r) {
    field f;
    while (next_field(&r, &f)) {
        switch (f.number) {
        case 2:
            *map = f.bytes;
            break;
        case 3:
            rules->dummy_prefix = f.value != 0;
            break;
        case 4:
            rules->remove_extra = f.value != 0;
            break;
        case 5:
            rules->escape = f.value != 0;
            break;
        default:
            break;
        }
    }
    return r.at == r.size;
}

static bool append_spaced(tfm__buffer *out, const uint8_t *text, size_t length) {
    for (size_t i = 0; i < length;) {
        bool mark = length - i >= TFM__MARK_BYTES && memcmp(text + i, TFM__MARK, TFM__MARK_BYTES) == 0;
        if (!tfm__buffer_append(out, mark ? (const void *)" " : text + i, 1)) return false;
        i += mark ? TFM__MARK_BYTES : 1;
    }
    return true;
}

static int32_t whole(const source *s, int32_t id, reader text) {
    tfm__added added = {.id = id, .special = true};
    if (s->named) return TFM_OK; /* the vocabulary did */
    int32_t rc = tfm__vocab_store(s->tokenizer, text.data, text.size, &added.text, s->error);
    added.match = added.text;
    return rc ? rc : tfm__vocab_add(s->tokenizer, &added, s->error);
}

static int32_t read_piece(source *s, int32_t id, const field *piece, tfm__buffer *spaced) {
    tfm_tokenizer *t = s->tokenizer;
    reader r = piece->bytes, text = {NULL, 0, 0};
    int64_t type = TFM_TOKEN_NORMAL;
    uint8_t byte;
    field f;
    int32_t rc;
    while (next_field(&r, &f)) {
        if (f.number == 1 && f.wire == 2) text = f.bytes;
        if (f.number == 2 && f.wire == 5) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&s->scores[id], &bits, 4);
        }
        if (f.number == 3 && f.wire == 0) type = as_int(f.value);
    }
    if (r.at != r.size) return broken(s, piece, "a piece that is cut short or malformed");
    if (text.size == 0) return broken(s, piece, "a piece without text");
    spaced->size = 0;
    if (!append_spaced(spaced, text.data, text.size)) return tfm__fail_memory(s->error, t->heap, text.size);
    switch (type) {
    case TFM_TOKEN_UNKNOWN: {
        const reader surface = s->settings.unk_surface;
        if (t->unknown >= 0) return broken(s, piece, "two pieces for what is unknown");
        t->unknown = id;
        rc = tfm__vocab_set(t, id, text.data, text.size, surface.data ? (const void *)surface.data : "",
                            surface.size, TFM_TOKEN_UNKNOWN, s->named ? TFM__TOKEN_SKIP : 0, s->error);
        return rc ? rc : whole(s, id, text);
    }
    case TFM_TOKEN_CONTROL:
        rc = tfm__vocab_set(t, id, text.data, text.size, NULL, 0, TFM_TOKEN_CONTROL, TFM__TOKEN_SKIP,
                            s->error);
        return rc ? rc : whole(s, id, text);
    case TFM_TOKEN_BYTE:
        if (tfm__byte_token((const char *)text.data, text.size) < 0)
            return broken(s, piece, "a byte piece that is not called <0x00> to <0xFF>");
        if (!s->settings.byte_fallback) return broken(s, piece, "a byte piece where there should be none");
        byte = (uint8_t)tfm__byte_token((const char *)text.data, text.size);
        t->byte_id[byte] = id;
        return tfm__vocab_set(t, id, text.data, text.size, &byte, 1, TFM_TOKEN_BYTE, 0, s->error);
    case TFM_TOKEN_USER:
        t->has_frozen = true;
        if (!tfm__trie_put(&t->frozen, t->heap, text.data, text.size, id))
            return tfm__fail_memory(s->error, t->heap, 0);
        break;
    case TFM_TOKEN_NORMAL:
    case TFM_TOKEN_UNUSED:
        break;
    default:
        return broken(s, piece, "a piece of a type that is not known");
    }
    return tfm__vocab_set(t, id, text.data, text.size, spaced->data, spaced->size, (int)type,
                          TFM__TOKEN_MATCH, s->error);
}

/* Everything but the pieces, and their number. */
static int32_t read_outer(source *s, size_t *pieces) {
    tfm_tokenizer *t = s->tokenizer;
    reader r = {s->file->data, s->file->size, 0}, unused = {NULL, 0, 0};
    tfm__spm_rules denormalizer = {0};
    field f;
    *pieces = 0;
    while (next_field(&r, &f)) {
        if (f.wire != 2) continue;
        if (f.number == 1) ++*pieces;
        if (f.number == 2 && !read_trainer(&s->settings, f.bytes))
            return broken(s, &f, "malformed trainer settings");
        if (f.number == 3 && !read_normalizer(&t->spm, &s->settings.map, f.bytes))
            return broken(s, &f, "malformed normalizer settings");
        if (f.number == 5 && !read_normalizer(&denormalizer, &unused, f.bytes))
            return broken(s, &f, "malformed denormalizer settings");
    }
    if (r.at != r.size)
        return tfm__fail_at(s->error, TFM_E_TRUNCATED, s->file->name, NULL, r.at,
                            "the message is cut short or malformed");
    s->settings.has_denormalizer = unused.size != 0;
    return TFM_OK;
}

static int32_t check_id(const source *s, int64_t id, int32_t *out) {
    *out = -1;
    if (id < 0) return TFM_OK;
    if (id >= s->tokenizer->vocab_size)
        return broken(s, NULL, "the id of a special piece is outside the vocabulary");
    *out = (int32_t)id;
    return TFM_OK;
}

enum { UNIGRAM = 1, BPE = 2, WORD = 3, CHAR = 4 };

static int32_t unsupported(const source *s, const char *what) {
    return tfm__fail_at(s->error, TFM_E_UNSUPPORTED, s->file->name, NULL, TFM__NO_OFFSET,
                        "SentencePiece models %s are not supported", what);
}

/* The id of a piece whose name is in the vocabulary; of others -1 where they stand for no text, else one
 * behind the vocabulary. */
static int32_t named_id(const source *s, const field *piece, int32_t spare) {
    reader r = piece->bytes, text = {NULL, 0, 0};
    uint64_t type = TFM_TOKEN_NORMAL;
    int32_t id;
    field f;
    while (next_field(&r, &f)) {
        if (f.number == 1 && f.wire == 2) text = f.bytes;
        if (f.number == 3 && f.wire == 0) type = f.value;
    }
    id = tfm__vocab_find(s->tokenizer, text.data, text.size);
    if (id >= 0) return id;
    return type == TFM_TOKEN_CONTROL || type == TFM_TOKEN_UNKNOWN ? -1 : spare;
}

static int32_t read_pieces(source *s, size_t pieces) {
    tfm_tokenizer *t = s->tokenizer;
    reader r = {s->file->data, s->file->size, 0};
    int32_t next = (int32_t)s->named, rc = s->named ? TFM_OK : tfm__vocab_begin(t, pieces, s->error);
    size_t ids = s->named + pieces;
    tfm__buffer spaced;
    field f;
    if (rc) return rc;
    s->scores = tfm__alloc_array(t->heap, ids, sizeof *s->scores);
    if (!s->scores) return tfm__fail_memory(s->error, t->heap, ids * sizeof *s->scores);
    memset(s->scores, 0, ids * sizeof *s->scores);
    tfm__buffer_init(&spaced, t->heap);
    while (rc == TFM_OK && next_field(&r, &f)) {
        if (f.wire != 2 || f.number != 1) continue;
        int32_t id = s->named ? named_id(s, &f, next) : next;
        if (id == next) next++;
        if (id >= 0) rc = read_piece(s, id, &f, &spaced);
    }
    tfm__buffer_free(&spaced);
    if (rc) return rc;
    if (t->unknown < 0) return broken(s, NULL, "no piece for what is unknown");
    for (int i = 0; i < 256 && s->settings.byte_fallback; i++)
        if (t->byte_id[i] < 0) return broken(s, NULL, "byte fallback without pieces for all 256 bytes");
    return s->named ? TFM_OK : tfm__vocab_index(t, false, s->file->name, s->error);
}

/* Best paths over the whole text: sums of floats over all of it decide, so it is never cut. */
static int32_t as_unigram(const source *s) {
    tfm_tokenizer *t = s->tokenizer;
    tfm__unigram_settings unigram = {.rules = TFM__UNIGRAM_SPM, .unknown = t->unknown, .named = s->named};
    size_t n = (size_t)t->vocab_size;
    double *scores = tfm__alloc_array(t->heap, n, sizeof *scores);
    int32_t rc;
    if (!scores) return tfm__fail_memory(s->error, t->heap, n * sizeof *scores);
    for (size_t i = 0; i < n; i++) scores[i] = (double)s->scores[i];
    unigram.scores = scores;
    rc = tfm__unigram_build(t, &unigram, s->file->name, s->error);
    tfm__free(t->heap, scores);
    memcpy(t->kind_name, "unigram", 8);
    return rc;
}

/* Merging in the order of scores; with Char nothing merges. */
static int32_t as_bpe(const source *s, bool merges) {
    tfm_tokenizer *t = s->tokenizer;
    int32_t rc = tfm__vocab_scores(t, s->scores, merges ? -INFINITY : INFINITY, s->file->name, s->error);
    t->order_kind = TFM__MERGE_SCORES;
    t->whole = merges ? TFM__WHOLE_SELF : TFM__WHOLE_NEVER;
    t->cut_at_marks = merges && t->spm.escape;
    memcpy(t->kind_name, merges ? "sentencepiece-bpe" : "sentencepiece-char", merges ? 18 : 19);
    return rc;
}

/* Every mark begins a word, which is a piece or unknown. */
static void as_words(const source *s) {
    tfm_tokenizer *t = s->tokenizer;
    t->splitter.stages[t->splitter.count++] = (tfm__stage){
        .kind = TFM__STAGE_METASPACE, .split = true, .literal = TFM__MARK, .literal_length = TFM__MARK_BYTES};
    t->model = TFM__MODEL_WORDLEVEL;
    memcpy(t->kind_name, "wordlevel", 10);
}

static int32_t load(source *s) {
    tfm_tokenizer *t = s->tokenizer;
    settings *set = &s->settings;
    size_t pieces;
    int32_t rc, ignored;
    if ((rc = read_outer(s, &pieces)) != 0) return rc;
    if (set->type < UNIGRAM || set->type > CHAR) return unsupported(s, "of a type that is not known");
    if (set->has_denormalizer) return unsupported(s, "with a denormalizer");
    if (set->type == WORD && (set->suffix || set->byte_fallback))
        return unsupported(s, "of type Word with white space as suffix or bytes");
    if ((rc = read_pieces(s, pieces)) != 0) return rc;
    t->spm.suffix = set->suffix;
    t->byte_fallback = set->byte_fallback;
    t->merge_unknown = !set->byte_fallback;
    t->stand_in = t->unknown;
    if (set->type == UNIGRAM)
        rc = as_unigram(s);
    else if (set->type == WORD)
        as_words(s);
    else
        rc = as_bpe(s, set->type == BPE);
    if (rc) return rc;
    if ((rc = tfm__spm_charsmap(t, set->map.data, set->map.size, s->file->name, s->error)) != 0) return rc;
    if ((rc = check_id(s, set->bos, &t->bos)) != 0 || (rc = check_id(s, set->eos, &t->eos)) != 0) return rc;
    if ((rc = check_id(s, set->pad, &t->padding)) != 0) return rc;
    return check_id(s, set->unk, &ignored);
}

static int32_t load_spm(tfm_tokenizer *tokenizer, const tfm__loaded_text *file, size_t named,
                        tfm_error *error) {
    source s = {.tokenizer = tokenizer, .named = named, .file = file, .error = error};
    int32_t rc;
    s.settings = (settings){.type = UNIGRAM, .unk = 0, .bos = 1, .eos = 2, .pad = -1};
    s.settings.unk_surface = (reader){(const uint8_t *)" \xe2\x81\x87 ", 5, 0};
    tokenizer->spm = (tfm__spm_rules){.dummy_prefix = true, .remove_extra = true, .escape = true};
    rc = load(&s);
    tfm__free(tokenizer->heap, s.scores);
    if (rc) return rc;
    tokenizer->steps[tokenizer->step_count++].kind = TFM__NORMAL_SPM;
    tokenizer->replaces_bytes = true;
    tokenizer->strip = tokenizer->spm.remove_extra   ? TFM__STRIP_MARK_EACH
                       : tokenizer->spm.dummy_prefix ? TFM__STRIP_MARK
                                                     : TFM__STRIP_NONE;
    return TFM_OK;
}

int32_t tfm__load_spm(tfm_tokenizer *tokenizer, const tfm__loaded_text *file, tfm_error *error) {
    return load_spm(tokenizer, file, 0, error);
}

/* ---- Marian: pieces of one file, ids of another ---- */

/* A token of the vocabulary: a special one is matched whole, others are only found by name until their piece
 * comes. */
static int32_t set_named(tfm_tokenizer *t, int32_t id, reader text, tfm__buffer *spaced, const source *s) {
    static const char *const specials[] = {"</s>", "<unk>", "<pad>"};
    bool language =
        text.size > 4 && memcmp(text.data, ">>", 2) == 0 && memcmp(text.data + text.size - 2, "<<", 2) == 0;
    bool special = language;
    for (size_t i = 0; i < TFM__COUNT(specials); i++)
        special =
            special || (strlen(specials[i]) == text.size && memcmp(specials[i], text.data, text.size) == 0);
    spaced->size = 0;
    if (!append_spaced(spaced, text.data, text.size)) return tfm__fail_memory(s->error, t->heap, text.size);
    int32_t rc = special ? tfm__vocab_set(t, id, text.data, text.size, NULL, 0, TFM_TOKEN_CONTROL,
                                          TFM__TOKEN_SKIP | TFM__TOKEN_MATCH, s->error)
                         : tfm__vocab_set(t, id, text.data, text.size, spaced->data, spaced->size,
                                          TFM_TOKEN_NORMAL, TFM__TOKEN_MATCH, s->error);
    return rc || !special ? rc : whole(s, id, text);
}

static int32_t read_named(const source *s, const tfm__json *json, size_t count) {
    tfm_tokenizer *t = s->tokenizer;
    tfm__json_value root = tfm__json_root(json);
    tfm__buffer name, spaced;
    int32_t rc = TFM_OK;
    tfm__buffer_init(&name, t->heap);
    tfm__buffer_init(&spaced, t->heap);
    for (tfm__json_value m = tfm__json_first(json, root); rc == TFM_OK && m != TFM__JSON_NONE;
         m = tfm__json_next(json, root, m)) {
        const char *raw;
        size_t size;
        int64_t id;
        name.size = 0;
        if (!tfm__json_raw(json, m, &raw, &size) ||
            !tfm__json_i64(json, tfm__json_member_value(json, m), &id) || id < 0 || (uint64_t)id >= count ||
            (t->flags[id] & TFM__TOKEN_PRESENT)) {
            rc = tfm__fail_at(s->error, TFM_E_FORMAT, s->file->name, NULL, TFM__NO_OFFSET,
                              "the ids of %zu tokens are not the numbers below that, each once", count);
        } else if (!tfm__buffer_reserve(&name, size + 1)) {
            rc = tfm__fail_memory(s->error, t->heap, size + 1);
        } else if ((size = tfm__json_unescape(json, m, (char *)name.data, size + 1)) == SIZE_MAX ||
                   size == 0) {
            rc = tfm__fail_at(s->error, TFM_E_FORMAT, s->file->name, NULL, TFM__NO_OFFSET,
                              "token %lld is no text", (long long)id);
        } else {
            rc = set_named(t, (int32_t)id, (reader){name.data, size, 0}, &spaced, s);
        }
    }
    tfm__buffer_free(&name);
    tfm__buffer_free(&spaced);
    return rc;
}

static size_t count_pieces(const tfm__loaded_text *spm) {
    reader r = {spm->data, spm->size, 0};
    size_t pieces = 0;
    field f;
    while (next_field(&r, &f)) pieces += f.number == 1 && f.wire == 2;
    return pieces;
}

int32_t tfm__load_marian(tfm_tokenizer *t, const tfm__loaded_text *vocab, const tfm__loaded_text *spm,
                         tfm_error *error) {
    source s = {.tokenizer = t, .file = vocab, .error = error};
    size_t count, total;
    tfm__json json;
    int32_t rc = tfm__json_parse(&json, t->heap, (const char *)vocab->data, vocab->size, vocab->name, error);
    if (rc) return rc;
    count = tfm__json_size(&json, tfm__json_root(&json));
    total = count + count_pieces(spm);
    if ((rc = tfm__vocab_begin(t, total, error)) == TFM_OK) rc = read_named(&s, &json, count);
    tfm__json_release(&json);
    if (rc == TFM_OK) rc = tfm__vocab_index(t, true, vocab->name, error);
    if (rc) return rc;
    for (size_t id = 0; id < count; id++) t->flags[id] &= (uint8_t)~TFM__TOKEN_MATCH;
    if ((rc = load_spm(t, spm, count, error)) != 0) return rc;
    if (t->model != TFM__MODEL_UNIGRAM)
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, spm->name, NULL, TFM__NO_OFFSET,
                            "pieces of type %s with a vocabulary of their own", t->kind_name);
    t->vocab_size = (int32_t)count; /* what lies behind is known to the model of pieces alone */
    t->bos = -1;
    t->eos = tfm__vocab_find(t, (const uint8_t *)"</s>", 4);
    t->padding = tfm__vocab_find(t, (const uint8_t *)"<pad>", 5);
    t->ends_texts = true;
    return TFM_OK;
}
