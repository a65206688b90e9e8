/* load_spm.c - SentencePiece .model files: BPE, Unigram, Char and Word. Called by load.c.
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
                            surface.size, TFM_TOKEN_UNKNOWN, 0, s->error);
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

static int32_t read_pieces(source *s, size_t pieces) {
    tfm_tokenizer *t = s->tokenizer;
    reader r = {s->file->data, s->file->size, 0};
    int32_t id = 0, rc = tfm__vocab_begin(t, pieces, s->error);
    tfm__buffer spaced;
    field f;
    if (rc) return rc;
    s->scores = tfm__alloc_array(t->heap, pieces, sizeof *s->scores);
    if (!s->scores) return tfm__fail_memory(s->error, t->heap, pieces * sizeof *s->scores);
    tfm__buffer_init(&spaced, t->heap);
    while (rc == TFM_OK && next_field(&r, &f))
        if (f.wire == 2 && f.number == 1) rc = read_piece(s, id++, &f, &spaced);
    tfm__buffer_free(&spaced);
    if (rc) return rc;
    if (t->unknown < 0) return broken(s, NULL, "no piece for what is unknown");
    for (int i = 0; i < 256 && s->settings.byte_fallback; i++)
        if (t->byte_id[i] < 0) return broken(s, NULL, "byte fallback without pieces for all 256 bytes");
    return tfm__vocab_index(t, false, s->file->name, s->error);
}

/* Best paths over the whole text: sums of floats over all of it decide, so it is never cut. */
static int32_t as_unigram(const source *s) {
    tfm_tokenizer *t = s->tokenizer;
    tfm__unigram_settings unigram = {.rules = TFM__UNIGRAM_SPM, .unknown = t->unknown};
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

int32_t tfm__load_spm(tfm_tokenizer *tokenizer, const tfm__loaded_text *file, tfm_error *error) {
    source s = {.tokenizer = tokenizer, .file = file, .error = error};
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
