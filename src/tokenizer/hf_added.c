/* hf_added.c - tokenizer.json's added_tokens: what is matched whole. Called by load_hf.c, behind the model.
 *
 * The reference does not look at the ids that the file gives: a token that the model has keeps the model's
 * id, the others are counted on from the size of the model's vocabulary, in the order of the file. (A file
 * written by the reference agrees.) One whose normalized is true is sought in the normalised text, by its own
 * normal form, and decodes to it; and what is left out of decoded text is every token that says what some
 * special token is called, so a special one whose normal form differs stays in. */
#include "tokenizer/hf.h"

#define PART "added_tokens"

typedef struct adding {
    tfm__trie seen; /* contents -> index into tokenizer->added */
    tfm__trie special;
    tfm__work *work;
    size_t next; /* the id of the next token that the model does not have */
} adding;

static int32_t read_flags(tfm__hf *hf, tfm__json_value value, tfm__added *out) {
    int32_t rc;
    if (tfm__json_kind(hf->json, value) != TFM__JSON_OBJECT)
        return tfm__hf_malformed(hf, value, PART, "not an object");
    if ((rc = tfm__hf_flag(hf, value, PART, "special", -1, &out->special)) != 0) return rc;
    if ((rc = tfm__hf_flag(hf, value, PART, "single_word", -1, &out->single_word)) != 0) return rc;
    if ((rc = tfm__hf_flag(hf, value, PART, "lstrip", -1, &out->lstrip)) != 0) return rc;
    if ((rc = tfm__hf_flag(hf, value, PART, "rstrip", -1, &out->rstrip)) != 0) return rc;
    return tfm__hf_flag(hf, value, PART, "normalized", -1, &out->normalized);
}

/* Its index among the added tokens, or -1. */
static int32_t seen(const adding *a, const tfm__buffer *text) {
    int32_t index = -1;
    size_t found = a->seen.nodes ? tfm__trie_longest(&a->seen, text->data, text->size, &index) : 0;
    return found == text->size ? index : -1;
}

/* The id of the content in hf->text. */
static int32_t give_id(tfm__hf *hf, adding *a, tfm__json_value value, int32_t *id) {
    tfm_tokenizer *t = hf->tokenizer;
    *id = tfm__hf_vocab_find(hf, hf->text.data, hf->text.size);
    if (*id >= 0) return TFM_OK;
    if (a->next >= (size_t)t->vocab_size || t->flags[a->next] & TFM__TOKEN_PRESENT)
        return tfm__hf_malformed(hf, value, PART, "the id that it would get is taken");
    *id = (int32_t)a->next++;
    return TFM_OK;
}

/* Where it is sought, and what it says: its normal form. */
static int32_t normal_form(tfm__hf *hf, adding *a, tfm__json_value value, tfm__added *added, int32_t id) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__aligned text = {.data = hf->text.data, .length = hf->text.size}, normal = text;
    int32_t rc = TFM_OK;
    added->match = added->text;
    if (added->normalized) rc = tfm__normalize(t, a->work, &text, &normal, hf->error);
    if (rc == TFM_OK && normal.length == 0)
        return tfm__hf_malformed(hf, value, PART, "a token whose normal form is empty");
    if (rc == TFM_OK && added->normalized)
        rc = tfm__vocab_store(t, normal.data, normal.length, &added->match, hf->error);
    return rc ? rc : tfm__hf_vocab_put(hf, id, normal.data, normal.length, false);
}

static int32_t read_added(tfm__hf *hf, adding *a, tfm__json_value value) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__added added = {0};
    int64_t unused;
    int32_t rc, index, id = -1;
    if ((rc = read_flags(hf, value, &added)) != 0) return rc;
    if ((rc = tfm__hf_id(hf, tfm__hf_get(hf, value, "id"), PART, &unused)) != 0) return rc;
    if ((rc = tfm__hf_text(hf, value, PART, "content")) != 0) return rc;
    if (hf->text.size == 0) return TFM_OK; /* the reference passes over it */
    if (added.special && !tfm__trie_put(&a->special, t->heap, hf->text.data, hf->text.size, 1))
        return tfm__fail_memory(hf->error, t->heap, 0);
    index = seen(a, &hf->text);
    if (index >= 0) {
        id = t->added[index].id;
    } else if ((rc = give_id(hf, a, value, &id)) != 0) {
        return rc;
    }
    added.id = id;
    if ((rc = tfm__vocab_store(t, hf->text.data, hf->text.size, &added.text, hf->error)) != 0) return rc;
    if (!(t->flags[id] & TFM__TOKEN_PRESENT) &&
        (rc = tfm__vocab_set(t, id, hf->text.data, hf->text.size, NULL, 0, TFM_TOKEN_NORMAL, 0, hf->error)) !=
            0)
        return rc;
    t->kind[id] = !added.special ? TFM_TOKEN_USER : id == t->unknown ? TFM_TOKEN_UNKNOWN : TFM_TOKEN_CONTROL;
    if ((rc = normal_form(hf, a, value, &added, id)) != 0) return rc;
    if (index >= 0) { /* of two with the same content the later one counts */
        t->added[index] = added;
        return TFM_OK;
    }
    if (!tfm__trie_put(&a->seen, t->heap, hf->text.data, hf->text.size, (int32_t)t->added_count))
        return tfm__fail_memory(hf->error, t->heap, 0);
    return tfm__vocab_add(t, &added, hf->error);
}

/* Every token that says what a special one is called is left out of decoded text. */
static void mark_skipped(tfm__hf *hf, const adding *a) {
    tfm_tokenizer *t = hf->tokenizer;
    for (int32_t id = 0; id < t->vocab_size && a->special.nodes; id++) {
        const uint8_t *text = tfm__hf_said(hf, id);
        size_t length = hf->said[id].length;
        int32_t value;
        if (length && a->special.first[text[0]] &&
            tfm__trie_longest(&a->special, text, length, &value) == length)
            t->flags[id] |= TFM__TOKEN_SKIP;
    }
}

int32_t tfm__hf_added(tfm__hf *hf, tfm__json_value list) {
    tfm_tokenizer *t = hf->tokenizer;
    adding a = {.next = hf->model_size, .work = tfm__work_take(t)};
    int32_t rc = TFM_OK;
    if (!a.work) return tfm__fail_memory(hf->error, t->heap, sizeof *a.work);
    if (!tfm__hf_null(hf, list) && tfm__json_kind(hf->json, list) != TFM__JSON_ARRAY)
        rc = tfm__hf_malformed(hf, list, PART, "not a list");
    for (tfm__json_value v = tfm__json_first(hf->json, list); v != TFM__JSON_NONE && rc == TFM_OK;
         v = tfm__json_next(hf->json, list, v))
        rc = read_added(hf, &a, v);
    if (rc == TFM_OK) mark_skipped(hf, &a);
    tfm__trie_free(t->heap, &a.seen);
    tfm__trie_free(t->heap, &a.special);
    tfm__work_give(t, a.work);
    while (t->vocab_size && !(t->flags[t->vocab_size - 1] & TFM__TOKEN_PRESENT)) t->vocab_size--;
    return rc;
}
