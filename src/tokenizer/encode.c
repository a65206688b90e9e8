/* encode.c - text to ids: the road from a text to the pieces that are merged. Called by the exported
 * functions and by the layers above.
 *
 *   text -> segments around whole-matched tokens -> normalising -> segments around whole-matched tokens
 * sought in the normal form -> pieces (splitter, marks) -> the token that the piece is, or merge.c
 *
 * That order is Hugging Face's; the other formats use parts of it. Ill-formed UTF-8: SentencePiece files turn
 * each bad byte into U+FFFD; rank files merge from the last piece before it to the end as one piece; all
 * others keep the bytes, for the splitters signs like any other, so that they come back out. */
#include "tokenizer/internal.h"

#define REMEMBER_FROM 2048 /* bytes of text from which on pieces are worth remembering */

typedef struct job {
    const tfm_tokenizer *tokenizer;
    tfm__work scratch;
    tfm__buffer *ids;
    tfm_error *error;
    bool parse_special;
} job;

static int32_t put_id(job *j, int32_t id) {
    if (!tfm__buffer_append(j->ids, &id, sizeof id))
        return tfm__fail_memory(j->error, j->ids->heap, sizeof id);
    return TFM_OK;
}

/* ---- Pieces ---- */

/* The cache's key of a piece of 1 to TFM__CACHE_BYTES bytes. */
static void cache_key(const uint8_t *piece, size_t length, uint64_t *low, uint64_t *high) {
    uint8_t bytes[16] = {0};
    memcpy(bytes, piece, length);
    bytes[15] = (uint8_t)length;
    memcpy(low, bytes, 8);
    memcpy(high, bytes + 8, 8);
}

static tfm__cached *cache_slot(tfm__cached *cache, uint64_t low, uint64_t high) {
    uint64_t h = (low ^ high * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    return &cache[h >> (64 - TFM__CACHE_BITS)];
}

static int32_t encode_new_piece(job *j, const uint8_t *piece, size_t length) {
    const tfm_tokenizer *tokenizer = j->tokenizer;
    if (tokenizer->whole != TFM__WHOLE_NEVER && length <= tokenizer->longest_key && !j->scratch.at_front) {
        int32_t id = tfm__vocab_find(tokenizer, piece, length);
        if (id >= 0 && (tokenizer->whole == TFM__WHOLE_ALWAYS ? tokenizer->kind[id] != TFM_TOKEN_CONTROL
                                                              : tokenizer->flags[id] & TFM__TOKEN_SELF)) {
            j->scratch.after_unknown = false;
            return put_id(j, id);
        }
    }
    return tfm__merge(tokenizer, &j->scratch, piece, length, j->ids, j->error);
}

/* The ids of a piece depend on its bytes alone, unless an unknown stands before it or ends it: then, and at
 * the front of a text for run.c, nothing is remembered. */
static int32_t encode_piece(job *j, const uint8_t *piece, size_t length) {
    tfm__cached *slot;
    uint64_t low, high;
    size_t before = j->ids->size, count;
    int32_t rc;
    if (!j->scratch.cache || length > TFM__CACHE_BYTES || j->scratch.after_unknown || j->scratch.at_front) {
        rc = encode_new_piece(j, piece, length);
        j->scratch.at_front = false;
        return rc;
    }
    cache_key(piece, length, &low, &high);
    slot = cache_slot(j->scratch.cache, low, high);
    if (slot->low == low && slot->high == high) {
        if (!tfm__buffer_append(j->ids, slot->ids, slot->count * sizeof *slot->ids))
            return tfm__fail_memory(j->error, j->ids->heap, sizeof *slot->ids);
        return TFM_OK;
    }
    if ((rc = encode_new_piece(j, piece, length)) != 0) return rc;
    count = (j->ids->size - before) / sizeof *slot->ids;
    if (count <= TFM__CACHE_IDS && !j->scratch.after_unknown) {
        slot->low = low;
        slot->high = high;
        slot->count = (uint32_t)count;
        if (count) memcpy(slot->ids, j->ids->data + before, count * sizeof *slot->ids);
    }
    return TFM_OK;
}

/* Cuts with stage number stage and everything behind it; the depth is the number of stages. */
static int32_t encode_stage(job *j, uint32_t stage, const uint8_t *text, size_t length) {
    const tfm__splitter *splitter = &j->tokenizer->splitter;
    bool last = stage + 1 >= splitter->count;
    if (stage >= splitter->count) return encode_piece(j, text, length);
    while (length) {
        size_t piece = tfm__split_next(&splitter->stages[stage], text, length);
        int32_t rc = last ? encode_piece(j, text, piece) : encode_stage(j, stage + 1, text, piece);
        if (rc) return rc;
        text += piece;
        length -= piece;
    }
    return TFM_OK;
}

static bool is_mark(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length) {
    return length >= tokenizer->mark_length && memcmp(text, tokenizer->mark, tokenizer->mark_length) == 0;
}

/* Pieces that begin at marks: at every one (each), or at those that follow something else. */
static int32_t encode_marked(job *j, const uint8_t *text, size_t length, bool each) {
    size_t start = 0, i = 0;
    bool after_mark = true;
    while (i < length) {
        const uint8_t *found = memchr(text + i, j->tokenizer->mark[0], length - i);
        size_t at = found ? (size_t)(found - text) : length;
        if (at > i) after_mark = false;
        i = at;
        if (i < length && !is_mark(j->tokenizer, text + i, length - i)) {
            after_mark = false;
            i++;
            continue;
        }
        if (i > start && (each || !after_mark || i == length)) {
            int32_t rc = encode_piece(j, text + start, i - start);
            if (rc) return rc;
            start = i;
        }
        if (i < length) i += j->tokenizer->mark_length;
        after_mark = true;
    }
    return start < length ? encode_piece(j, text + start, length - start) : TFM_OK;
}

/* Metaspace: spaces become marks, perhaps one more in front. */
static int32_t metaspace(job *j, bool first, const uint8_t **text, size_t *length) {
    tfm__buffer *out = &j->scratch.texts[2];
    const uint8_t *from = *text;
    uint8_t scheme = j->tokenizer->metaspace_prepend;
    bool ok = true;
    out->size = 0;
    if ((scheme == TFM__PREPEND_ALWAYS || (scheme == TFM__PREPEND_FIRST && first)) && from[0] != ' ' &&
        !is_mark(j->tokenizer, from, *length))
        ok = tfm__buffer_append(out, TFM__MARK, TFM__MARK_BYTES);
    for (size_t i = 0; i < *length && ok;) {
        size_t end = i;
        while (end < *length && from[end] != ' ') end++;
        ok = tfm__buffer_append(out, from + i, end - i);
        if (end < *length) ok = ok && tfm__buffer_append(out, TFM__MARK, TFM__MARK_BYTES);
        i = end + 1;
    }
    if (!ok) return tfm__fail_memory(j->error, out->heap, *length);
    *text = out->data;
    *length = out->size;
    return TFM_OK;
}

/* Whether a token is spaces, tabs and line feeds only. */
static bool is_blank(const tfm_tokenizer *tokenizer, int32_t id) {
    const uint8_t *bytes = tfm__slice_at(tokenizer, tokenizer->key[id]);
    for (uint32_t i = 0; i < tokenizer->key[id].length; i++)
        if (bytes[i] != ' ' && bytes[i] != '\n' && bytes[i] != '\t') return false;
    return true;
}

static int32_t id_at(const tfm__buffer *ids, size_t offset) {
    int32_t id;
    memcpy(&id, ids->data + offset, sizeof id);
    return id;
}

/* tiktoken's rule for bytes that are not UTF-8: the well-formed front is encoded; its last piece (and, if
 * that begins with a blank token, the blank tokens before it) and all that follows are merged as one piece.
 */
static int32_t encode_ill_formed(job *j, const uint8_t *text, size_t length, size_t valid) {
    const tfm_tokenizer *tokenizer = j->tokenizer;
    size_t start = 0, before = j->ids->size, kept = before;
    for (size_t i = 0; i < valid;) {
        size_t piece = tokenizer->splitter.count
                           ? tfm__split_next(&tokenizer->splitter.stages[0], text + i, valid - i)
                           : valid;
        int32_t rc;
        start = i;
        kept = j->ids->size;
        if ((rc = encode_piece(j, text + i, piece)) != 0) return rc;
        i += piece;
    }
    if (kept < j->ids->size && is_blank(tokenizer, id_at(j->ids, kept))) {
        while (kept > before && is_blank(tokenizer, id_at(j->ids, kept - sizeof(int32_t)))) {
            kept -= sizeof(int32_t);
            start -= tokenizer->key[id_at(j->ids, kept)].length;
        }
    }
    j->ids->size = kept;
    return encode_piece(j, text + start, length - start);
}

/* A segment in normal form without whole-matched tokens. */
static int32_t encode_segment(job *j, const uint8_t *text, size_t length, bool first) {
    const tfm_tokenizer *tokenizer = j->tokenizer;
    int32_t rc;
    if (length == 0) return TFM_OK;
    j->scratch.at_front = tokenizer->run_c_characters && tokenizer->step_count > 0;
    if (tokenizer->metaspace) {
        if ((rc = metaspace(j, first, &text, &length)) != 0) return rc;
        if (tokenizer->metaspace_split) return encode_marked(j, text, length, true);
    }
    if (tokenizer->prefix_space && text[0] != ' ') {
        tfm__buffer *out = &j->scratch.texts[2];
        out->size = 0;
        if (!tfm__buffer_append(out, " ", 1) || !tfm__buffer_append(out, text, length))
            return tfm__fail_memory(j->error, out->heap, length);
        text = out->data;
        length = out->size;
    }
    if (tokenizer->tail_as_bytes) {
        size_t valid = tfm__utf8_valid(text, length);
        if (valid < length) return encode_ill_formed(j, text, length, valid);
    }
    if (tokenizer->cut_at_marks) return encode_marked(j, text, length, false);
    return encode_stage(j, 0, text, length);
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

/* Finds the next accepted match at or after *from: the range that it takes, and which one it is; or NULL.
 * done is the end of what has been dealt with. */
static const tfm__added *next_match(const job *j, const tfm__trie *trie, const uint8_t *text, size_t length,
                                    size_t done, size_t *from, size_t *start, size_t *end) {
    const tfm_tokenizer *tokenizer = j->tokenizer;
    for (size_t i = *from; i < length;) {
        int32_t index = -1;
        size_t found = tfm__trie_longest(trie, text + i, length - i, &index);
        const tfm__added *added;
        if (found == 0) {
            i++;
            continue;
        }
        *from = i + found;
        added = &tokenizer->added[index];
        if ((added->special && !j->parse_special) ||
            (added->single_word && (word_before(text, i) || word_at(text + i + found, length - i - found)))) {
            i += found; /* what was refused is not looked at again */
            continue;
        }
        *start = i;
        *end = i + found;
        while (added->lstrip && *start > done && space_before(text, *start, start)) continue;
        *start = TFM__MAX(*start, done);
        while (added->rstrip && *end < length) {
            uint32_t used, code = tfm__utf8_read(text + *end, length - *end, &used);
            if (code == TFM__NO_CODE || !(tfm__unicode_entry(code) & TFM__ENTRY_SPACE)) break;
            *end += used;
        }
        return added;
    }
    return NULL;
}

typedef int32_t (*segment_fn)(job *j, const uint8_t *text, size_t length, bool first);

/* Hands what lies between the matches of a trie to next, and puts the matches' ids. first: the text is the
 * beginning of the whole text. */
static int32_t around_matches(job *j, const tfm__trie *trie, const uint8_t *text, size_t length, bool first,
                              segment_fn next) {
    size_t done = 0, from = 0, start = 0, end = 0;
    const tfm__added *added;
    int32_t rc;
    if (trie->nodes == 0) return next(j, text, length, first);
    while ((added = next_match(j, trie, text, length, done, &from, &start, &end)) != NULL) {
        if (start > done && (rc = next(j, text + done, start - done, first && done == 0)) != 0) return rc;
        j->scratch.after_unknown = false;
        if ((rc = put_id(j, added->id)) != 0) return rc;
        done = end;
    }
    return done < length ? next(j, text + done, length - done, first && done == 0) : TFM_OK;
}

static int32_t normalize_segment(job *j, const uint8_t *text, size_t length, bool first) {
    const uint8_t *normal;
    size_t normal_length;
    int32_t rc;
    if (length == 0) return TFM_OK;
    j->scratch.after_unknown = false;
    rc = tfm__normalize(j->tokenizer, &j->scratch, text, length, &normal, &normal_length, j->error);
    if (rc) return rc;
    return around_matches(j, &j->tokenizer->normal, normal, normal_length, first, encode_segment);
}

int32_t tfm__tokenizer_encode(const tfm_tokenizer *tokenizer, const char *text, size_t length, bool add_bos,
                              bool add_eos, bool parse_special, tfm__buffer *ids, tfm_error *error) {
    job j = {.tokenizer = tokenizer, .ids = ids, .error = error, .parse_special = parse_special};
    size_t before = ids->size;
    int32_t rc = TFM_OK;
    tfm__work_init(&j.scratch, ids->heap);
    if (add_bos) {
        for (uint32_t i = 0; i < tokenizer->before_count && rc == TFM_OK; i++)
            rc = put_id(&j, tokenizer->before[i]);
        if (tokenizer->before_count == 0 && tokenizer->bos >= 0) rc = put_id(&j, tokenizer->bos);
    }
    if (length >= REMEMBER_FROM) tfm__work_remember(&j.scratch);
    if (rc == TFM_OK && length)
        rc = around_matches(&j, &tokenizer->raw, (const uint8_t *)text, length, true, normalize_segment);
    if (add_eos && rc == TFM_OK) {
        for (uint32_t i = 0; i < tokenizer->behind_count && rc == TFM_OK; i++)
            rc = put_id(&j, tokenizer->behind[i]);
        if (tokenizer->behind_count == 0 && tokenizer->eos >= 0 && rc == TFM_OK)
            rc = put_id(&j, tokenizer->eos);
    }
    tfm__work_free(&j.scratch);
    if (rc) ids->size = before;
    return rc;
}
