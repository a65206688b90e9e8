/* encode.c - text to ids: the road from a text to the pieces that the model turns into ids. Called by the
 * exported functions and by the layers above.
 *
 *   text -> segments around whole-matched tokens -> normalising -> segments around whole-matched tokens
 * sought in the normal form -> pieces and ids (model.c)
 *
 * That order is Hugging Face's; the other formats use parts of it. Ill-formed UTF-8, unless the caller chose
 * otherwise: SentencePiece files turn each bad byte into U+FFFD; rank files merge from the last piece before
 * it to the end as one piece; all others keep the bytes, for the splitters signs like any other, so that they
 * come back out. */
#include "tokenizer/frame.h"
#include "tokenizer/scan.h"

typedef struct job {
    const tfm_tokenizer *tokenizer;
    const tfm__encode_choices *choices;
    tfm__work *work;
    tfm__buffer *ids;
    tfm__buffer *spans; /* NULL: no offsets */
    tfm_error *error;
    bool continued; /* the text goes on from an earlier part of it */
} job;

static int32_t refused(const job *j) { return tfm__fail_memory(j->error, j->ids->heap, sizeof(int32_t)); }

static int32_t put(job *j, int32_t id, tfm__span span) {
    if (!tfm__buffer_append(j->ids, &id, sizeof id) ||
        (j->spans && !tfm__buffer_append(j->spans, &span, sizeof span)))
        return refused(j);
    return TFM_OK;
}

/* ---- A text in normal form ---- */

/* Turns the ends in work->ends of the ids written since into ranges of the original text. A token that ends
 * where the one before does shares its range. */
static int32_t put_spans(job *j, const tfm__aligned *text) {
    const tfm__buffer *ends = &j->work->ends;
    size_t begin = 0, before = 0;
    for (size_t i = 0; i < ends->size; i += sizeof(uint32_t)) {
        uint32_t end;
        tfm__span span;
        memcpy(&end, ends->data + i, sizeof end);
        if (end > begin) before = begin;
        span = tfm__aligned_span(text, before, end - before);
        if (!tfm__buffer_append(j->spans, &span, sizeof span)) return refused(j);
        begin = end;
    }
    return TFM_OK;
}

/* One piece, which knows where it came from: so offsets come out right where stages rewrite. */
static int32_t encode_piece(void *arg, const tfm__aligned *piece) {
    job *j = arg;
    tfm__sink sink = {j->ids, j->spans ? &j->work->ends : NULL, 0};
    int32_t rc;
    j->work->ends.size = 0;
    rc = tfm__model_piece(j->tokenizer, j->work, piece->data, piece->length, &sink, j->error);
    return rc || !j->spans ? rc : put_spans(j, piece);
}

/* Whether characters without a token leave nothing behind: then a token's beginning is not the end of the one
 * before. */
static bool drops(const tfm_tokenizer *t) {
    return t->model == TFM__MODEL_BPE && t->order_kind == TFM__MERGE_LISTED && !t->bytes_complete &&
           t->stand_in < 0;
}

static int32_t encode_plain(job *j, const tfm__aligned *text, bool first) {
    tfm__sink sink = {j->ids, j->spans ? &j->work->ends : NULL, 0};
    int32_t rc;
    if (text->length >= UINT32_MAX && j->spans)
        return tfm__fail(j->error, TFM_E_ARGUMENT, "offsets in a text of %zu bytes", text->length);
    if (j->spans && (tfm__stages_rewrite(j->tokenizer) || drops(j->tokenizer)))
        return tfm__split(j->tokenizer, j->work, text, first, encode_piece, j, j->error);
    j->work->ends.size = 0;
    rc = tfm__model_text(j->tokenizer, j->work, text->data, text->length, first, &sink, j->error);
    return rc || !j->spans ? rc : put_spans(j, text);
}

/* ---- Bytes that are not UTF-8, tiktoken's way ---- */

/* Whether a token is spaces, tabs and line feeds only. */
static bool is_blank(const tfm_tokenizer *tokenizer, int32_t id) {
    const uint8_t *bytes = tfm__slice_at(tokenizer, tokenizer->key[id]);
    for (uint32_t i = 0; i < tokenizer->key[id].length; i++)
        if (bytes[i] != ' ' && bytes[i] != '\n' && bytes[i] != '\t') return false;
    return true;
}

static int32_t id_at(const tfm__buffer *ids, size_t index) {
    int32_t id;
    memcpy(&id, ids->data + index * sizeof id, sizeof id);
    return id;
}

/* Encodes the pieces of the well-formed front; knows where the last one begins and what ids were there before
 * it. */
typedef struct front {
    job *j;
    size_t start, kept; /* in the text; ids */
    size_t origin;      /* of the text */
} front;

static int32_t front_piece(void *arg, const tfm__aligned *piece) {
    front *f = arg;
    f->start = piece->origin - f->origin;
    f->kept = f->j->ids->size / sizeof(int32_t);
    return encode_piece(f->j, piece);
}

/* The well-formed front is encoded; its last piece (and, if that begins with a blank token, the blank tokens
 * before it) and all that follows are merged as one piece. */
static int32_t encode_ill_formed(job *j, const tfm__aligned *text, size_t valid) {
    const tfm_tokenizer *tokenizer = j->tokenizer;
    size_t before = j->ids->size / sizeof(int32_t);
    front f = {j, 0, before, text->origin};
    tfm__aligned well = tfm__aligned_part(text, 0, valid), tail;
    int32_t rc = tfm__split(tokenizer, j->work, &well, true, front_piece, &f, j->error);
    if (rc) return rc;
    if (f.kept * sizeof(int32_t) < j->ids->size && is_blank(tokenizer, id_at(j->ids, f.kept))) {
        while (f.kept > before && is_blank(tokenizer, id_at(j->ids, f.kept - 1))) {
            f.kept--;
            f.start -= tokenizer->key[id_at(j->ids, f.kept)].length;
        }
    }
    j->ids->size = f.kept * sizeof(int32_t);
    if (j->spans) j->spans->size = f.kept * sizeof(tfm__span);
    tail = tfm__aligned_part(text, f.start, text->length - f.start);
    return encode_piece(j, &tail);
}

/* A segment in normal form without whole-matched tokens. leading: it begins the text. */
static int32_t encode_segment(job *j, const tfm__aligned *text, bool leading) {
    const tfm_tokenizer *tokenizer = j->tokenizer;
    if (text->length == 0) return TFM_OK;
    j->work->at_front =
        tokenizer->run_c_characters && tokenizer->step_count > 0 && !(leading && j->continued);
    if (tokenizer->tail_as_bytes && j->choices->invalid_utf8 == TFM_DEFAULT) {
        size_t valid = tfm__scan_utf8(tokenizer, text->data, text->length);
        if (valid < text->length) return encode_ill_formed(j, text, valid);
    }
    return encode_plain(j, text, leading && !j->continued);
}

/* ---- Tokens matched whole ---- */

/* White space as Unicode has it, for lstrip and rstrip. */
static bool space_before(const uint8_t *text, size_t end, size_t *start) {
    size_t i = end;
    uint32_t used, code;
    if (end == 0) return false;
    do i--;
    while (i > 0 && end - i < 4 && (text[i] & 0xc0u) == 0x80);
    code = tfm__utf8_read(text + i, end - i, &used);
    if (code == TFM__NO_CODE || i + used != end || !(tfm__unicode_entry(code) & TFM__ENTRY_SPACE))
        return false;
    *start = i;
    return true;
}

static bool word_at(const uint8_t *text, size_t length) {
    uint32_t used, code;
    if (length == 0) return false;
    code = tfm__utf8_read(text, length, &used);
    return code != TFM__NO_CODE && tfm__unicode_entry(code) & TFM__ENTRY_WORD;
}

static bool word_before(const uint8_t *text, size_t end) {
    size_t i = end;
    if (end == 0) return false;
    do i--;
    while (i > 0 && end - i < 4 && (text[i] & 0xc0u) == 0x80);
    return word_at(text + i, end - i);
}

/* What is done with a special token that is written in the text. */
static int32_t choice_of(const tfm__encode_choices *choices, int32_t id) {
    for (size_t i = 0; i < choices->special_count; i++)
        if (choices->special[i].token == id) return choices->special[i].choice;
    return choices->parse_special;
}

typedef struct match {
    const tfm__added *added;
    size_t start, end;
} match;

/* The end of the white space at a place; llama.cpp knows that of ASCII only. */
static size_t past_spaces(const uint8_t *text, size_t length, size_t at, bool ascii) {
    while (at < length) {
        uint32_t used, code = tfm__utf8_read(text + at, length - at, &used);
        if (code == TFM__NO_CODE || !(tfm__unicode_entry(code) & TFM__ENTRY_SPACE) || (ascii && code >= 0x80))
            break;
        at += used;
    }
    return at;
}

/* Finds the next accepted match at or after *from. done is the end of what has been dealt with, *spaces of
 * the white space that was walked through last, so that it is not walked through for every match in it.
 * out->added NULL: there is none. */
static int32_t next_match(const job *j, const tfm__trie *trie, const tfm__aligned *text, size_t done,
                          size_t *from, size_t *spaces, match *out) {
    const tfm_tokenizer *tokenizer = j->tokenizer;
    const uint8_t *bytes = text->data;
    const size_t length = text->length;
    out->added = NULL;
    for (size_t i = *from; i < length;) {
        int32_t index = -1, choice = TFM_SPECIAL_PARSE;
        const tfm__added *added;
        size_t found;
        i = tfm__trie_skip(trie, bytes, i, length);
        if (i == length) break;
        found = tfm__trie_longest(trie, bytes + i, length - i, &index);
        if (found == 0) {
            i++;
            continue;
        }
        *from = i + found;
        added = &tokenizer->added[index];
        if (added->special) choice = choice_of(j->choices, added->id);
        if (choice == TFM_SPECIAL_REFUSE)
            return tfm__fail(j->error, TFM_E_TOKEN, "the text holds the special token '%.*s' at byte %zu",
                             (int)TFM__MIN(found, 64u), (const char *)bytes + i,
                             (size_t)tfm__aligned_span(text, i, found).begin);
        if (choice == TFM_SPECIAL_TEXT ||
            (added->single_word &&
             (word_before(bytes, i) || word_at(bytes + i + found, length - i - found)))) {
            i += tokenizer->order_kind == TFM__MERGE_RANKS ? 1 : found; /* elsewhere not looked at again */
            continue;
        }
        out->start = i;
        out->end = i + found;
        /* the search goes on behind what was sought, in white space that rstrip takes too; so the next match
         * may begin before this one's end, and only lstrip heeds that */
        *from = out->end;
        if (added->rstrip)
            out->end = *spaces =
                past_spaces(bytes, length, TFM__MAX(out->end, *spaces), tokenizer->llama_cpp);
        while (added->lstrip && out->start > done && space_before(bytes, out->start, &out->start)) continue;
        if (added->lstrip) out->start = TFM__MIN(TFM__MAX(out->start, done), out->end);
        out->added = added;
        return TFM_OK;
    }
    return TFM_OK;
}

typedef int32_t (*segment_fn)(job *j, const tfm__aligned *text, bool leading);

/* Hands what lies between the matches of a trie to next, and puts the matches' ids. leading: this is the
 * beginning of the text that was given. */
static int32_t around_matches(job *j, const tfm__trie *trie, const tfm__aligned *text, bool leading,
                              segment_fn next) {
    size_t done = 0, from = 0, spaces = 0;
    tfm__aligned part;
    match found;
    int32_t rc;
    if (trie->nodes == 0) return next(j, text, leading);
    for (;;) {
        if ((rc = next_match(j, trie, text, done, &from, &spaces, &found)) != 0) return rc;
        if (!found.added) break;
        part = tfm__aligned_part(text, done, found.start > done ? found.start - done : 0);
        if (part.length && (rc = next(j, &part, leading && done == 0)) != 0) return rc;
        j->work->after_unknown = false;
        if ((rc = put(j, found.added->id, tfm__aligned_span(text, found.start, found.end - found.start))) !=
            0)
            return rc;
        done = found.end;
    }
    part = tfm__aligned_part(text, done, text->length - done);
    return part.length ? next(j, &part, leading && done == 0) : TFM_OK;
}

static int32_t normalize_segment(job *j, const tfm__aligned *text, bool leading) {
    tfm__aligned normal;
    int32_t rc;
    if (text->length == 0) return TFM_OK;
    j->work->after_unknown = false;
    if ((rc = tfm__normalize(j->tokenizer, j->work, text, &normal, j->error)) != 0) return rc;
    if (leading &&
        j->continued) { /* what the steps put in front of a text stands before its first part only */
        size_t taken = TFM__MIN(j->choices->front_bytes, normal.length);
        normal = tfm__aligned_part(&normal, taken, normal.length - taken);
    }
    return around_matches(j, &j->tokenizer->normal, &normal, leading, encode_segment);
}

/* ---- The whole text ---- */

/* Writes U+FFFD for every maximal ill-formed part (Unicode Standard, section 3.9). False: memory refused. */
static bool replace_ill_formed(const tfm__aligned *text, tfm__rewriter *out) {
    for (size_t i = 0; i < text->length;) {
        size_t valid = tfm__utf8_valid(text->data + i, text->length - i), bad;
        if (!tfm__rewrite_copy(out, text, i, valid)) return false;
        i += valid;
        if (i == text->length) break;
        bad = tfm__utf8_ill_formed(text->data + i, text->length - i);
        if (!tfm__rewrite_put(out, "\xef\xbf\xbd", 3, tfm__aligned_span(text, i, bad))) return false;
        i += bad;
    }
    return true;
}

int32_t tfm__encode_text(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text, size_t length,
                         bool first, const tfm__encode_choices *choices, tfm__buffer *ids, tfm__buffer *spans,
                         tfm_error *error) {
    job j = {tokenizer, choices, work, ids, spans, error, !first};
    tfm__aligned all = {text, length, NULL, 0, spans != NULL};
    size_t valid = length;
    tfm__buffer replaced, replaced_spans;
    int32_t rc = TFM_OK;
    work->after_unknown = work->at_front = false;
    if (length == 0) return TFM_OK;
    if (choices->invalid_utf8 == TFM_UTF8_REPLACE || choices->invalid_utf8 == TFM_UTF8_REFUSE)
        valid = tfm__scan_utf8(tokenizer, text, length);
    if (valid == length) return around_matches(&j, &tokenizer->raw, &all, true, normalize_segment);
    if (choices->invalid_utf8 == TFM_UTF8_REFUSE)
        return tfm__fail(error, TFM_E_ARGUMENT, "the text is not UTF-8 at byte %zu", valid);
    tfm__buffer_init(&replaced, work->heap);
    tfm__buffer_init(&replaced_spans, work->heap);
    tfm__rewriter writer = tfm__rewrite_open(&all, &replaced, &replaced_spans);
    if (!replace_ill_formed(&all, &writer)) rc = refused(&j);
    if (rc == TFM_OK) {
        all = tfm__rewrite_close(&writer, &all);
        rc = around_matches(&j, &tokenizer->raw, &all, true, normalize_segment);
    }
    tfm__buffer_free(&replaced);
    tfm__buffer_free(&replaced_spans);
    return rc;
}

int32_t tfm__encode_choose(const tfm_tokenizer *tokenizer, const tfm_tokenize_options *options,
                           tfm__encode_choices *out, tfm_error *error) {
    tfm_tokenize_options taken;
    int32_t rc = tfm__take_options(options, &taken, sizeof taken, "tfm_tokenize_options", error);
    bool known;
    if (rc) return rc;
    known = taken.add_bos >= TFM_DEFAULT && taken.add_bos <= TFM_NO && taken.add_eos >= TFM_DEFAULT &&
            taken.add_eos <= TFM_NO && taken.parse_special >= TFM_SPECIAL_TEXT &&
            taken.parse_special <= TFM_SPECIAL_REFUSE && taken.invalid_utf8 >= TFM_DEFAULT &&
            taken.invalid_utf8 <= TFM_UTF8_REFUSE && (taken.special || taken.special_count == 0);
    for (size_t i = 0; known && i < taken.special_count; i++)
        known = taken.special[i].choice >= TFM_SPECIAL_TEXT && taken.special[i].choice <= TFM_SPECIAL_REFUSE;
    if (!known)
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "tfm_tokenize_options: a field has a value that it does not know");
    *out = (tfm__encode_choices){
        .front = taken.add_bos == TFM_DEFAULT ? tokenizer->adds_bos : taken.add_bos == TFM_YES,
        .behind = taken.add_eos == TFM_DEFAULT ? tokenizer->adds_eos : taken.add_eos == TFM_YES,
        .parse_special = taken.parse_special,
        .invalid_utf8 = taken.invalid_utf8,
        .special = taken.special,
        .special_count = taken.special_count};
    return TFM_OK;
}

int32_t tfm__encode_framed(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length,
                           const tfm__encode_choices *choices, tfm__buffer *ids, tfm_error *error) {
    size_t before = ids->size;
    tfm__work *work = tfm__work_take(tokenizer);
    tfm__frame frame;
    int32_t rc = TFM_OK;
    if (!work) return tfm__fail_memory(error, tokenizer->heap, sizeof *work);
    tfm__frame_choose(tokenizer, choices, false, &frame);
    for (uint32_t i = 0; i < frame.count && rc == TFM_OK; i++) {
        tfm_token token = frame.parts[i].token;
        if (token < 0)
            rc = tfm__encode_text(tokenizer, work, text, length, true, choices, ids, NULL, error);
        else if (!tfm__buffer_append(ids, &token, sizeof token))
            rc = tfm__fail_memory(error, ids->heap, sizeof token);
    }
    tfm__work_give(tokenizer, work);
    if (rc) ids->size = before;
    return rc;
}

int32_t tfm__tokenizer_encode(const tfm_tokenizer *tokenizer, const char *text, size_t length, bool add_bos,
                              bool add_eos, bool parse_special, tfm__buffer *ids, tfm_error *error) {
    tfm__encode_choices choices = {.front = add_bos, .behind = add_eos, .parse_special = parse_special};
    return tfm__encode_framed(tokenizer, (const uint8_t *)text, length, &choices, ids, error);
}
