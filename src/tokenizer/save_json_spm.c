/* save_json_spm.c - writes SentencePiece's BPE as Hugging Face's tokenizer.json. Called by save_json.c.
 *
 * Normalising is spelled out: white space removed (if it is) by regular expressions, a mark in front, spaces
 * to marks; no pre-tokenizer. A piece's merges are all its cuts into two pieces, those of better scores
 * first: merging by that list puts together what merging by score does, since its halves are always pieces.
 * Decoding: marks to spaces, byte tokens to bytes, one space off the front. Source: the conversion of Llama's
 * tokenizer in the transformers library, and what the components of tokenizers do.
 *
 * What differs is refused: user-defined symbols (here tokens that are never merged), white space behind
 * words, character maps. The caller has made the names of special tokens ones that are matched whole, as
 * there. */
#include "tokenizer/save_json.h"
#include "tokenizer/sort.h"

typedef struct cut {
    float score;
    uint32_t id, left, right;
} cut;

static bool cut_before(const void *one, const void *other, const void *arg) {
    const cut *a = one, *b = other;
    (void)arg;
    if (a->score != b->score) return a->score > b->score;
    if (a->id != b->id) return a->id < b->id;
    return a->left < b->left;
}

/* Open addressing from names to ids; 0: empty, otherwise id + 1. */
typedef struct names {
    uint32_t *slots;
    size_t mask;
} names;

static uint32_t *slot_of(const tfm__saved *form, const names *n, const char *name, size_t length) {
    size_t at = tfm__hash_bytes((const uint8_t *)name, length) & n->mask;
    for (; n->slots[at]; at = (at + 1) & n->mask) {
        size_t other;
        const char *bytes = tfm__saved_name(form, n->slots[at] - 1, &other);
        if (other == length && memcmp(bytes, name, length) == 0) break;
    }
    return &n->slots[at];
}

/* Normal pieces only: merging makes no others. */
static bool index_names(const tfm__saved *form, names *n) {
    size_t slots = 16;
    while (slots / 2 < tfm__saved_count(form)) slots *= 2;
    n->slots = tfm__alloc_array(form->heap, slots, sizeof *n->slots);
    n->mask = slots - 1;
    for (size_t id = 0; n->slots && id < tfm__saved_count(form); id++) {
        size_t length;
        const char *name = tfm__saved_name(form, id, &length);
        if (tfm__saved_at(form, id).kind == TFM_TOKEN_NORMAL)
            *slot_of(form, n, name, length) = (uint32_t)id + 1;
    }
    return n->slots != NULL;
}

static bool add_cuts(const tfm__saved *form, const names *n, uint32_t id, tfm__buffer *cuts) {
    size_t length;
    const char *name = tfm__saved_name(form, id, &length);
    uint32_t used;
    for (size_t i = 0; i < length; i += used) {
        uint32_t left, right;
        (void)tfm__utf8_read((const uint8_t *)name + i, length - i, &used);
        if (i == 0) continue;
        left = *slot_of(form, n, name, i);
        right = *slot_of(form, n, name + i, length - i);
        if (left && right) {
            cut c = {tfm__saved_at(form, id).score, id, left - 1, right - 1};
            if (!tfm__buffer_append(cuts, &c, sizeof c)) return false;
        }
    }
    return true;
}

/* The list of merges goes to a buffer of its own, since the form is the caller's. */
static int32_t make_merges(const tfm__saved *form, tfm__buffer *merges) {
    names n;
    tfm__buffer cuts;
    bool ok = index_names(form, &n);
    tfm__buffer_init(&cuts, form->heap);
    for (size_t id = 0; id < tfm__saved_count(form) && ok; id++)
        if (tfm__saved_at(form, id).kind == TFM_TOKEN_NORMAL) ok = add_cuts(form, &n, (uint32_t)id, &cuts);
    if (ok && cuts.size) tfm__sort_items(cuts.data, cuts.size / sizeof(cut), sizeof(cut), cut_before, NULL);
    for (size_t i = 0; i < cuts.size && ok; i += sizeof(cut)) {
        uint64_t merge;
        cut c;
        memcpy(&c, cuts.data + i, sizeof c);
        merge = (uint64_t)c.left << 32 | c.right;
        ok = tfm__buffer_append(merges, &merge, sizeof merge);
    }
    tfm__free(form->heap, n.slots);
    tfm__buffer_free(&cuts);
    return ok ? TFM_OK : tfm__fail_memory(form->error, form->heap, 0);
}

static void put_normalizer(tfm__json_writer *w) {
    const tfm__spm_rules *rules = &w->form->rules;
    tfm__json_put(w, "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    if (rules->remove_extra)
        tfm__json_put(w,
                      "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\A +| +\\\\z\"},\"content\":\"\"},"
                      "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"},");
    if (rules->dummy_prefix) tfm__json_put(w, "{\"type\":\"Prepend\",\"prepend\":\"" TFM__MARK "\"},");
    tfm__json_put(w,
                  "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" TFM__MARK "\"}]},\n");
}

static void put_decoder(tfm__json_writer *w) {
    const tfm__saved *form = w->form;
    tfm__json_put(w, "\"decoder\":{\"type\":\"Sequence\",\"decoders\":["
                     "{\"type\":\"Replace\",\"pattern\":{\"String\":\"" TFM__MARK "\"},\"content\":\" \"},");
    if (form->byte_fallback) tfm__json_put(w, "{\"type\":\"ByteFallback\"},");
    tfm__json_put(w, "{\"type\":\"Fuse\"}");
    if (form->rules.dummy_prefix)
        tfm__json_put(w, ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}");
    tfm__json_put(w, "]},\n");
}

static int32_t check(const tfm__saved *form) {
    const char *what = NULL;
    for (size_t id = 0; id < tfm__saved_count(form); id++) {
        uint8_t kind = tfm__saved_at(form, id).kind;
        if (kind == TFM_TOKEN_USER) what = "user-defined symbols";
        if (kind == TFM_TOKEN_UNUSED) what = "unused pieces";
    }
    if (form->rules.suffix) what = "white space behind words";
    if (form->rules.units) what = "a character map";
    if (!what) return TFM_OK;
    return tfm__fail(form->error, TFM_E_UNSUPPORTED,
                     "tokenizer.json cannot say what SentencePiece does with %s; save its .model instead",
                     what);
}

int32_t tfm__save_json_spm(const tfm__saved *form, tfm__buffer *out) {
    tfm__saved whole = *form; /* with the merges */
    tfm__json_writer w = {&whole, out, true};
    size_t length;
    const char *unknown;
    int32_t rc = check(form);
    if (rc) return rc;
    tfm__buffer_init(&whole.merges, form->heap);
    rc = make_merges(form, &whole.merges);
    unknown = tfm__saved_name(form, (size_t)form->unknown, &length);
    tfm__json_put(&w, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n");
    tfm__json_put_added(&w);
    put_normalizer(&w);
    tfm__json_put(&w, "\"pre_tokenizer\":null,\n\"post_processor\":");
    if (form->adds_bos || form->adds_eos)
        tfm__json_put_template(&w);
    else
        tfm__json_put(&w, "null");
    tfm__json_put(&w, ",\n");
    put_decoder(&w);
    tfm__json_put(&w, "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":");
    tfm__json_put_string(&w, unknown, length);
    tfm__json_put(&w, ",\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":true");
    tfm__json_put_bool(&w, "byte_fallback", form->byte_fallback);
    tfm__json_put_bool(&w, "ignore_merges", false);
    tfm__json_put(&w, ",\n");
    tfm__json_put_vocab(&w);
    tfm__json_put_merges(&w);
    tfm__buffer_free(&whole.merges);
    if (rc) return rc;
    return w.ok ? TFM_OK : tfm__fail_memory(form->error, form->heap, 0);
}
