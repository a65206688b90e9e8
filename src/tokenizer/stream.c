/* stream.c - encoding a text that comes in parts. Called by api_encoding.c.
 *
 * The encoder keeps text until it knows a place where it may be cut: the ids of the two sides, one after the
 * other, are those of the whole, whatever follows. Such a place must be safe for every step on the way:
 *
 *   splitter   tfm__split_safe_cut says where (split.c). SentencePiece BPE: before a space that follows
 * something else, where every merge that reaches across begins at a mark (the MARKS stage). steps Unicode's
 * normal forms and mappings of single characters: between two ASCII characters nothing composes or is
 * reordered. Steps that put something in front of a text put it in front of the first part only; what they
 * put in front of the others is taken off again (front_bytes). specials   no whole-matched token reaches
 * across the cut or begins at it, so none can take white space from the other side (lstrip, rstrip) or look
 * at it (single_word). bytes      both neighbours are ASCII, so no character is cut. tiktoken's rule for
 * ill-formed text reaches back over blank tokens, so the next part must not begin with a blank; and from the
 * first ill-formed byte on that rule takes the rest of the text as one piece, so from there on nothing is
 * cut.
 *
 * Everything else (Unigram over whole texts, stages that rewrite) is held back until the end. */
#include "tokenizer/stream.h"

#include "tokenizer/frame.h"
#include "tokenizer/normalize.h"

struct tfm_encoder {
    const tfm_tokenizer *tokenizer;
    tfm__heap *heap;
    tfm__encode_choices choices;
    tfm_special_choice *special; /* the caller's, copied */
    tfm__work *work;
    tfm__buffer text; /* not encoded yet */
    tfm__buffer ids;  /* what the last call handed out */
    size_t front_bytes;
    size_t retry_at; /* no place was found: looked for again when this much text is kept */
    bool cuts;       /* there are places to cut at */
    bool at_marks;   /* they are before spaces that follow something else */
    bool ascii;      /* both neighbours of a cut must be ASCII */
    bool whole_rest; /* an ill-formed byte was seen: the rest is one piece */
    bool begun;      /* the frame's front is out */
    bool first;      /* no text is out */
};

/* ---- What kind of cutting a tokenizer allows ---- */

static bool maps_characters(const tfm__normal_step *step) {
    switch (step->kind) {
    case TFM__NORMAL_NFC:
    case TFM__NORMAL_NFD:
    case TFM__NORMAL_NFKC:
    case TFM__NORMAL_NFKD:
    case TFM__NORMAL_LOWERCASE:
    case TFM__NORMAL_STRIP_ACCENTS:
    case TFM__NORMAL_BERT:
        return true;
    case TFM__NORMAL_REPLACE:
        return step->from.length == 1;
    default:
        return false;
    }
}

/* SentencePiece's way of marking spaces: the bytes that stand in front of the text, or -1 if it is something
 * else. */
static int marks_in_front(const tfm_tokenizer *t) {
    if (t->step_count == 0) return 0;
    if (t->step_count == 1 && t->steps[0].kind == TFM__NORMAL_SPM) {
        const tfm__spm_rules *rules = &t->spm;
        if (rules->remove_extra || rules->suffix || rules->unit_count || !rules->escape) return -1;
        return rules->dummy_prefix ? TFM__MARK_BYTES : 0;
    }
    if (t->steps[0].kind != TFM__NORMAL_PREPEND) return -1;
    for (uint32_t i = 1; i < t->step_count; i++) /* what is put in front must stay as long as it is */
        if (t->steps[i].kind != TFM__NORMAL_REPLACE || t->steps[i].from.length != 1 ||
            *tfm__slice_at(t, t->steps[i].from) != ' ' ||
            memchr(tfm__slice_at(t, t->steps[0].to), ' ', t->steps[0].to.length))
            return -1;
    return (int)t->steps[0].to.length;
}

static void choose_cuts(tfm_encoder *e) {
    const tfm_tokenizer *t = e->tokenizer;
    const tfm__splitter *splitter = &t->splitter;
    int front;
    if (t->model != TFM__MODEL_BPE || splitter->count == 0) return;
    if (t->normal.nodes && t->step_count)
        return; /* where those tokens would be found is not seen in the raw text */
    if (splitter->count == 1 && splitter->stages[0].kind == TFM__STAGE_MARKS) {
        if ((front = marks_in_front(t)) < 0) return;
        e->front_bytes = (size_t)front;
        e->cuts = e->at_marks = true;
        return;
    }
    if (tfm__stages_rewrite(t)) return;
    for (uint32_t i = 0; i < t->step_count; i++)
        if (!maps_characters(&t->steps[i])) return;
    e->ascii = t->step_count > 0;
    e->cuts = true;
}

/* ---- Places ---- */

/* Whether a whole-matched token begins before the cut and may reach it, or begins at it. */
static bool match_reaches(const tfm_tokenizer *t, const tfm__trie *trie, const uint8_t *text, size_t length,
                          size_t cut) {
    size_t back = TFM__MIN(cut, (size_t)t->longest_match);
    if (trie->nodes == 0) return false;
    if (trie->first[text[cut]]) return true;
    for (size_t i = cut - back; i < cut; i++)
        if (trie->first[text[i]] && tfm__trie_reach(trie, text + i, length - i) >= cut - i) return true;
    return false;
}

/* The last place of the splitter's kind before end. */
static size_t place_before(const tfm_encoder *e, const uint8_t *text, size_t end) {
    if (!e->at_marks) return tfm__split_safe_cut(&e->tokenizer->splitter, text, end);
    for (size_t i = end; i-- > 1;)
        if (text[i] == ' ' && text[i - 1] != ' ' && text[i - 1] < 0x80) return i;
    return 0;
}

static bool is_blank(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

#define TRIES 64 /* places that are refused before waiting for more text */

static size_t safe_place(const tfm_encoder *e) {
    const tfm_tokenizer *t = e->tokenizer;
    const uint8_t *text = e->text.data;
    size_t cut = e->text.size;
    for (int tries = 0; tries < TRIES; tries++) {
        if (cut == 0 || (cut = place_before(e, text, cut)) == 0) return 0;
        if (cut >= e->text.size) { /* what follows is not known yet */
            cut--;
            continue;
        }
        if ((!e->ascii || (text[cut - 1] < 0x80 && text[cut] < 0x80)) &&
            (!t->tail_as_bytes || (text[cut] < 0x80 && !is_blank(text[cut]))) &&
            !match_reaches(t, &t->raw, text, e->text.size, cut) &&
            !match_reaches(t, &t->normal, text, e->text.size, cut))
            return cut;
        cut--;
    }
    return 0;
}

/* ---- The encoder ---- */

static void reset(tfm_encoder *e) {
    e->text.size = 0;
    e->retry_at = 0;
    e->begun = e->whole_rest = false;
    e->first = true;
}

int32_t tfm__encoder_new(const tfm_tokenizer *tokenizer, const tfm__encode_choices *choices,
                         tfm_encoder **out, tfm_error *error) {
    tfm__heap *heap = tokenizer->heap;
    tfm_encoder *e = tfm__alloc_zero(heap, sizeof *e);
    *out = NULL;
    if (!e) return tfm__fail_memory(error, heap, sizeof *e);
    e->tokenizer = tokenizer;
    e->heap = heap;
    e->choices = *choices;
    tfm__buffer_init(&e->text, heap);
    tfm__buffer_init(&e->ids, heap);
    e->work = tfm__work_take(tokenizer);
    e->special = tfm__alloc_array(heap, choices->special_count, sizeof *e->special);
    if (!e->work || !e->special) {
        tfm__encoder_free(e);
        return tfm__fail_memory(error, heap, sizeof *e->work);
    }
    if (choices->special_count)
        memcpy(e->special, choices->special, choices->special_count * sizeof *e->special);
    e->choices.special = e->special;
    choose_cuts(e);
    reset(e);
    *out = e;
    return TFM_OK;
}

void tfm__encoder_free(tfm_encoder *e) {
    if (!e) return;
    if (e->work) tfm__work_give(e->tokenizer, e->work);
    tfm__free(e->heap, e->special);
    tfm__buffer_free(&e->text);
    tfm__buffer_free(&e->ids);
    tfm__free(e->heap, e);
}

static int32_t put_frame(tfm_encoder *e, bool behind, tfm_error *error) {
    tfm__frame frame;
    bool past = false;
    tfm__frame_choose(e->tokenizer, &e->choices, false, &frame);
    for (uint32_t i = 0; i < frame.count; i++) {
        tfm_token token = frame.parts[i].token;
        if (token < 0)
            past = true;
        else if (past == behind && !tfm__buffer_append(&e->ids, &token, sizeof token))
            return tfm__fail_memory(error, e->heap, sizeof token);
    }
    return TFM_OK;
}

/* Encodes the first length bytes that are kept, and forgets them. */
static int32_t encode_front(tfm_encoder *e, size_t length, tfm_error *error) {
    int32_t rc = TFM_OK;
    if (!e->begun) rc = put_frame(e, false, error);
    e->begun = true;
    e->choices.front_bytes = e->front_bytes;
    if (rc == TFM_OK)
        rc = tfm__encode_text(e->tokenizer, e->work, e->text.data, length, e->first, &e->choices, &e->ids,
                              NULL, error);
    if (rc) return rc;
    if (length) e->first = false;
    e->text.size -= length;
    if (e->text.size) memmove(e->text.data, e->text.data + length, e->text.size);
    return TFM_OK;
}

int32_t tfm__encoder_push(tfm_encoder *e, const uint8_t *text, size_t length, tfm_error *error) {
    size_t cut;
    e->ids.size = 0;
    if (!tfm__buffer_append(&e->text, text, length)) return tfm__fail_memory(error, e->heap, length);
    /* text without a place is looked at again when it has grown by a quarter: linear time in all */
    if (!e->cuts || e->whole_rest || e->text.size < e->retry_at) return TFM_OK;
    if (e->tokenizer->tail_as_bytes && e->choices.invalid_utf8 == TFM_DEFAULT) {
        size_t valid = tfm__utf8_valid(e->text.data, e->text.size), rest = e->text.size - valid;
        if (rest > 3 || (rest && tfm__utf8_ill_formed(e->text.data + valid, rest) < rest)) {
            e->whole_rest = true; /* not the beginning of a character that goes on in the next part */
            return TFM_OK;
        }
    }
    cut = safe_place(e);
    e->retry_at = cut ? 0 : e->text.size + e->text.size / 4;
    return cut ? encode_front(e, cut, error) : TFM_OK;
}

int32_t tfm__encoder_finish(tfm_encoder *e, tfm_error *error) {
    int32_t rc;
    e->ids.size = 0;
    rc = encode_front(e, e->text.size, error);
    if (rc == TFM_OK) rc = put_frame(e, true, error);
    reset(e);
    return rc;
}

const tfm_token *tfm__encoder_ids(const tfm_encoder *e, size_t *count) {
    *count = e->ids.size / sizeof(tfm_token);
    return (const tfm_token *)(const void *)e->ids.data;
}
