/* save.c - a tokenizer as a form (save.h), and the choice of the format. Called by the exported functions;
 * training fills forms itself.
 *
 * What is in a tokenizer and not in the form cannot be said by any of the formats, or not exactly: then the
 * error names it. Rank files' tokenizers get a list of merges by merging every token's bytes without that
 * token: where that leaves two parts, they are its merge, and then (only then) merging by the list and
 * merging by rank are the same. Each argument: merging up to a rank leaves the same parts of a text between
 * two borders that stay, whatever lies around. */
#include "tokenizer/save.h"

#include "tokenizer/normalize.h"
#include "tokenizer/sort.h"

#define LONGEST_NAME 1024 /* bytes of a token whose merges are sought: the search is quadratic */

/* ---- Building a form ---- */

void tfm__saved_init(tfm__saved *form, tfm__heap *heap, tfm_error *error) {
    memset(form, 0, sizeof *form);
    form->heap = heap;
    form->error = error;
    form->bos = form->eos = form->unknown = form->padding = -1;
    tfm__buffer_init(&form->blob, heap);
    tfm__buffer_init(&form->tokens, heap);
    tfm__buffer_init(&form->merges, heap);
    tfm__buffer_init(&form->added, heap);
}

void tfm__saved_free(tfm__saved *form) {
    tfm__buffer_free(&form->blob);
    tfm__buffer_free(&form->tokens);
    tfm__buffer_free(&form->merges);
    tfm__buffer_free(&form->added);
}

static int32_t refused(const tfm__saved *form, size_t bytes) {
    return tfm__fail_memory(form->error, form->heap, bytes);
}

static int32_t cannot(const tfm__saved *form, const char *what) {
    return tfm__fail(form->error, TFM_E_UNSUPPORTED, "the tokenizer cannot be saved in this format: %s",
                     what);
}

int32_t tfm__saved_token_add(tfm__saved *form, const void *name, size_t length, int kind, float score) {
    tfm__saved_token token = {{(uint32_t)form->blob.size, (uint32_t)length}, score, (uint8_t)kind};
    if (length > UINT32_MAX - form->blob.size) return cannot(form, "token texts of more than 4 GiB");
    if ((name && !tfm__buffer_append(&form->blob, name, length)) ||
        !tfm__buffer_append(&form->tokens, &token, sizeof token))
        return refused(form, length);
    return TFM_OK;
}

int32_t tfm__saved_special(tfm__saved *form, int32_t id) {
    tfm__added added = {.id = id, .special = true};
    tfm__saved_token token = tfm__saved_at(form, (size_t)id);
    added.text = added.match = token.name;
    token.kind = TFM_TOKEN_CONTROL;
    memcpy(form->tokens.data + (size_t)id * sizeof token, &token, sizeof token);
    return tfm__buffer_append(&form->added, &added, sizeof added) ? TFM_OK : refused(form, sizeof added);
}

/* ---- Byte-level tokenizers ---- */

/* Adds a token's name: its bytes in the byte alphabet, or as they stand if no text leads to it. */
static int32_t add_byte_token(const tfm_tokenizer *t, tfm__saved *form, int32_t id, tfm__buffer *name) {
    const uint8_t *bytes = tfm__slice_at(t, t->key[id]);
    if (!(t->flags[id] & TFM__TOKEN_PRESENT)) return tfm__saved_token_add(form, NULL, 0, 0, 0);
    name->size = 0;
    if (!(t->flags[id] & TFM__TOKEN_MATCH))
        return tfm__saved_token_add(form, bytes, t->key[id].length, t->kind[id], 0);
    for (uint32_t i = 0; i < t->key[id].length; i++) {
        uint8_t sign[4];
        if (!tfm__buffer_append(name, sign, tfm__utf8_write(tfm__alphabet_code(bytes[i]), sign)))
            return refused(form, 4);
    }
    return tfm__saved_token_add(form, name->data, name->size, t->kind[id], 0);
}

static int32_t add_added(const tfm_tokenizer *t, tfm__saved *form) {
    for (size_t i = 0; i < t->added_count; i++) {
        tfm__added added = t->added[i];
        const uint8_t *text = tfm__slice_at(t, added.text);
        if (added.text.length > UINT32_MAX - form->blob.size)
            return cannot(form, "token texts of more than 4 GiB");
        added.text.offset = (uint32_t)form->blob.size;
        if (!tfm__buffer_append(&form->blob, text, added.text.length) ||
            !tfm__buffer_append(&form->added, &added, sizeof added))
            return refused(form, added.text.length);
    }
    return TFM_OK;
}

typedef struct ranked {
    uint64_t rank, pair;
} ranked;

static bool rank_before(const void *a, const void *b, const void *arg) {
    (void)arg;
    return ((const ranked *)a)->rank < ((const ranked *)b)->rank;
}

/* The merges of a listed tokenizer in their order. */
static int32_t listed_merges(const tfm_tokenizer *t, tfm__saved *form) {
    size_t count = 0;
    ranked *list = tfm__alloc_array(form->heap, t->pairs.count ? t->pairs.count : 1, sizeof *list);
    bool ok = list != NULL && tfm__buffer_reserve(&form->merges, t->pairs.count * sizeof(uint64_t));
    for (size_t i = 0; ok && t->pairs.slots && i <= t->pairs.mask; i++)
        if (t->pairs.slots[2 * i] != UINT64_MAX)
            list[count++] = (ranked){t->pairs.slots[2 * i + 1] >> 32, t->pairs.slots[2 * i]};
    if (ok) tfm__sort_items(list, count, sizeof *list, rank_before, NULL);
    for (size_t i = 0; i < count && ok; i++)
        ok = tfm__buffer_append(&form->merges, &list[i].pair, sizeof list[i].pair);
    tfm__free(form->heap, list);
    return ok ? TFM_OK : refused(form, t->pairs.count * sizeof *list);
}

/* The two parts that merging by rank, with ranks below id only, leaves of a token's bytes. False: not two. */
static bool parts_of(const tfm_tokenizer *t, int32_t id, int32_t parts[2]) {
    const uint8_t *bytes = tfm__slice_at(t, t->key[id]);
    uint16_t ends[LONGEST_NAME + 1];
    size_t count = t->key[id].length;
    for (size_t i = 0; i <= count; i++) ends[i] = (uint16_t)i;
    while (count > 1) {
        int32_t best = INT32_MAX;
        size_t at = 0;
        for (size_t i = 0; i + 2 <= count; i++) {
            int32_t found = tfm__vocab_find(t, bytes + ends[i], (size_t)(ends[i + 2] - ends[i]));
            if (found < 0 || found >= id || found >= best) continue;
            best = found;
            at = i;
        }
        if (best == INT32_MAX) break;
        memmove(ends + at + 1, ends + at + 2, (count - at - 1) * sizeof *ends);
        count--;
    }
    if (count != 2) return false;
    parts[0] = tfm__vocab_find(t, bytes, ends[1]);
    parts[1] = tfm__vocab_find(t, bytes + ends[1], (size_t)(ends[2] - ends[1]));
    return parts[0] >= 0 && parts[1] >= 0;
}

static int32_t no_merge(const tfm__saved *form, int32_t id) {
    return tfm__fail(
        form->error, TFM_E_UNSUPPORTED,
        "the tokenizer cannot be saved in this format: ranks and a list of merges would give other ids, for "
        "merging does not lead to the token %d as its rank says",
        (int)id);
}

static int32_t ranked_merges(const tfm_tokenizer *t, tfm__saved *form) {
    for (int32_t id = 0; id < t->vocab_size; id++) {
        int32_t parts[2];
        uint64_t merge;
        if (!(t->flags[id] & TFM__TOKEN_MATCH) || t->key[id].length < 2) continue;
        if (t->key[id].length > LONGEST_NAME || !parts_of(t, id, parts)) return no_merge(form, id);
        merge = (uint64_t)(uint32_t)parts[0] << 32 | (uint32_t)parts[1];
        if (!tfm__buffer_append(&form->merges, &merge, sizeof merge)) return refused(form, sizeof merge);
    }
    return TFM_OK;
}

/* For rank files: the list of merges says the same as the ranks do. */
static int32_t check_ranks(const tfm_tokenizer *t, const tfm__saved *form) {
    size_t at = 0, count = form->merges.size / sizeof(uint64_t);
    for (int32_t id = 0; id < t->vocab_size; id++) {
        int32_t parts[2];
        if (!(t->flags[id] & TFM__TOKEN_MATCH) || t->flags[id] & TFM__TOKEN_ADDED || t->key[id].length < 2)
            continue;
        if (t->key[id].length > LONGEST_NAME || at == count || !parts_of(t, id, parts) ||
            tfm__saved_merge(form, at) != ((uint64_t)(uint32_t)parts[0] << 32 | (uint32_t)parts[1]))
            return no_merge(form, id);
        at++;
    }
    if (at < count) return cannot(form, "merges that make a token twice");
    for (int i = 0; i < 256; i++)
        if (t->byte_id[i] < 0) return cannot(form, "not every byte is a token");
    return TFM_OK;
}

/* The frame around a text, if it is what begins and ends it and no more. */
static int32_t take_frame(const tfm_tokenizer *t, tfm__saved *form) {
    int32_t before = -1, behind = -1;
    bool text = false, other = false;
    form->bos = t->bos;
    form->eos = t->eos;
    form->adds_bos = t->adds_bos && t->bos >= 0;
    form->adds_eos = t->adds_eos && t->eos >= 0;
    for (uint32_t i = 0; i < t->frame_count; i++) {
        int32_t *place = text ? &behind : &before;
        other = other || t->frame[i].type != 0 || t->frame[i].token < -1 ||
                (t->frame[i].token >= 0 && *place >= 0);
        if (t->frame[i].token < 0)
            text = true;
        else
            *place = t->frame[i].token;
    }
    if (t->frame_count == 0) return TFM_OK;
    form->adds_bos = before >= 0;
    form->adds_eos = behind >= 0;
    if (before >= 0) form->bos = before;
    if (behind >= 0) form->eos = behind;
    return other ? cannot(form, "more than one token in front of a text or behind it") : TFM_OK;
}

static int32_t take_stages(const tfm_tokenizer *t, tfm__saved *form) {
    form->splitter = t->splitter;
    if (form->splitter.count && form->splitter.stages[0].kind == TFM__STAGE_PREFIX_SPACE) {
        form->prefix_space = true;
        form->splitter.count--;
        memmove(form->splitter.stages, form->splitter.stages + 1, form->splitter.count * sizeof(tfm__stage));
    }
    if (form->splitter.count > 1) return cannot(form, "it splits texts in several steps");
    if (form->splitter.count == 0) return TFM_OK;
    form->pattern = form->splitter.stages[0].kind == TFM__STAGE_REGEX
                        ? t->pattern
                        : tfm__split_spelling(&form->splitter.stages[0]);
    if (!form->pattern) return cannot(form, "the pattern that splits texts has no spelling there");
    if (form->prefix_space && form->splitter.stages[0].kind != TFM__SPLIT_GPT2)
        return cannot(form, "a space in front of texts that another pattern than that of GPT-2 splits");
    return TFM_OK;
}

static int32_t byte_level_form(const tfm_tokenizer *t, int32_t format, tfm__saved *form) {
    tfm__buffer name;
    int32_t rc;
    if (t->step_count > 1 || (t->step_count == 1 && t->steps[0].kind != TFM__NORMAL_NFC))
        return cannot(form, "a normalizer");
    if (t->truncation.on || t->pad.on) return cannot(form, "truncation or padding");
    if (t->stand_in >= 0 || t->byte_fallback) return cannot(form, "a token for unknown bytes");
    if (format != TFM_SAVE_TOKENIZER_JSON && t->trim_offsets)
        return cannot(form, "offsets without white space");
    form->nfc = t->step_count == 1;
    form->unknown = t->unknown;
    form->padding = t->padding;
    form->trim_offsets = t->trim_offsets;
    form->ignore_merges = t->order_kind == TFM__MERGE_LISTED && t->whole == TFM__WHOLE_ALWAYS;
    if ((rc = take_frame(t, form)) != 0 || (rc = take_stages(t, form)) != 0) return rc;
    tfm__buffer_init(&name, form->heap);
    for (int32_t id = 0; id < t->vocab_size && rc == TFM_OK; id++) rc = add_byte_token(t, form, id, &name);
    tfm__buffer_free(&name);
    if (rc == TFM_OK) rc = add_added(t, form);
    for (int32_t id = 0; id < t->vocab_size && form->eos < 0; id++)
        if (t->flags[id] & TFM__TOKEN_ENDS) form->eos = id;
    if (rc == TFM_OK)
        rc = t->order_kind == TFM__MERGE_RANKS ? ranked_merges(t, form) : listed_merges(t, form);
    if (rc == TFM_OK && format == TFM_SAVE_TIKTOKEN && t->order_kind == TFM__MERGE_LISTED)
        rc = check_ranks(t, form);
    return rc;
}

/* ---- SentencePiece's tokenizers ---- */

/* The score that became this order (tfm__vocab_scores). */
static float score_of(uint32_t order) {
    uint32_t bits = ~order;
    float score;
    bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
    memcpy(&score, &bits, sizeof score);
    return score;
}

/* llama2.c's tokenizer.bin is SentencePiece's vocabulary with spaces for the marks, and run.c merges as
 * SentencePiece does. */
static int32_t run_c_form(const tfm_tokenizer *t, tfm__saved *form) {
    int32_t rc = take_frame(t, form);
    tfm__buffer name;
    form->rules = (tfm__spm_rules){.dummy_prefix = t->step_count > 0, .escape = true};
    form->byte_fallback = true;
    form->unknown = t->unknown;
    form->padding = t->padding;
    tfm__buffer_init(&name, form->heap);
    for (int32_t id = 0; id < t->vocab_size && rc == TFM_OK; id++) {
        bool special = t->kind[id] == TFM_TOKEN_CONTROL || t->kind[id] == TFM_TOKEN_UNKNOWN;
        tfm__slice slice = special ? t->text[id] : t->key[id];
        const uint8_t *bytes = tfm__slice_at(t, slice);
        bool normal = t->kind[id] == TFM_TOKEN_NORMAL, ok = true;
        if (normal && slice.length > 1 && t->order[id] == UINT32_MAX) {
            rc = cannot(form, "tokens that merging never makes");
            break;
        }
        name.size = 0;
        for (uint32_t i = 0; i < slice.length && ok; i++)
            ok = bytes[i] == ' ' ? tfm__buffer_append(&name, TFM__MARK, TFM__MARK_BYTES)
                                 : tfm__buffer_append(&name, bytes + i, 1);
        rc = ok ? tfm__saved_token_add(form, name.data, name.size, t->kind[id],
                                       t->order[id] == UINT32_MAX ? 0.0f : score_of(t->order[id]))
                : refused(form, slice.length);
    }
    tfm__buffer_free(&name);
    return rc;
}

static int32_t spm_form(const tfm_tokenizer *t, int32_t format, tfm__saved *form) {
    int32_t rc = TFM_OK;
    if (t->run_c_characters && format == TFM_SAVE_GGUF) return run_c_form(t, form);
    if (t->order_kind != TFM__MERGE_SCORES || t->step_count != 1 || t->steps[0].kind != TFM__NORMAL_SPM)
        return cannot(form, "only byte-level BPE and SentencePiece's BPE can be saved");
    if ((t->spm.keep_invalid && format != TFM_SAVE_GGUF) || !t->spm.escape || t->unknown < 0)
        return cannot(form, "it is not SentencePiece's own");
    form->rules = t->spm;
    form->byte_fallback = t->byte_fallback;
    form->unknown = t->unknown;
    form->padding = t->padding;
    form->unknown_surface = (const char *)tfm__slice_at(t, t->text[t->unknown]);
    form->unknown_surface_length = t->text[t->unknown].length;
    if ((rc = take_frame(t, form)) != 0) return rc;
    if (format == TFM_SAVE_GGUF &&
        (t->spm.units || t->spm.suffix || t->spm.remove_extra || !t->byte_fallback))
        return cannot(
            form, "in GGUF there is no character map, no white space behind words, no removal of white space "
                  "(remove_extra_whitespaces), and there are always byte tokens (byte_fallback)");
    for (int32_t id = 0; id < t->vocab_size && rc == TFM_OK; id++) {
        float score = t->order[id] == UINT32_MAX ? 0.0f : score_of(t->order[id]);
        if (!(t->flags[id] & TFM__TOKEN_PRESENT)) return cannot(form, "ids without tokens");
        rc = tfm__saved_token_add(form, tfm__slice_at(t, t->key[id]), t->key[id].length, t->kind[id], score);
        if (rc == TFM_OK && format == TFM_SAVE_TOKENIZER_JSON &&
            (t->kind[id] == TFM_TOKEN_CONTROL || t->kind[id] == TFM_TOKEN_UNKNOWN))
            rc = tfm__saved_special(form, id);
    }
    return rc;
}

/* ---- All ---- */

int32_t tfm__saved_of(const tfm_tokenizer *t, int32_t format, tfm__saved *form) {
    form->byte_level = t->model == TFM__MODEL_BPE && t->bytes;
    if (t->continuing.length || t->ending.length)
        return cannot(form, "its words have a prefix or suffix of their own");
    if (form->byte_level && format == TFM_SAVE_SENTENCEPIECE)
        return cannot(form, "it is not SentencePiece's");
    if (form->byte_level) return byte_level_form(t, format, form);
    if (t->model != TFM__MODEL_BPE) return cannot(form, "only BPE can be saved");
    if (format == TFM_SAVE_TIKTOKEN) return cannot(form, "its tokens are not bytes");
    return spm_form(t, format, form);
}

int32_t tfm__save(const tfm__saved *form, int32_t format, tfm__buffer *out) {
    switch (format) {
    case TFM_SAVE_TOKENIZER_JSON:
        return tfm__save_json(form, out);
    case TFM_SAVE_GGUF:
        return tfm__save_gguf(form, out);
    case TFM_SAVE_TIKTOKEN:
        return tfm__save_ranks(form, out);
    case TFM_SAVE_SENTENCEPIECE:
        return tfm__save_spm(form, out);
    default:
        return tfm__fail(form->error, TFM_E_ARGUMENT, "the format %d is not known", (int)format);
    }
}
