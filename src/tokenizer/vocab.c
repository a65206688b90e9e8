/* vocab.c - building the vocabulary and looking things up in it. Called by every loader; the look-ups also by
 * merge.c and the exported functions.
 *
 * All texts lie in one blob; a token has a key (what merging compares) and a text (what it decodes to),
 * mostly the same slice. keys.c finds tokens by their keys. */
#include "base/cpu.h"
#include "tokenizer/decode_plan.h"
#include "tokenizer/models.h"

#define CACHE_BYTES ((uint64_t)16 << 20)

int32_t tfm__tokenizer_new(tfm__heap *heap, tfm_tokenizer **out, tfm_error *error) {
    tfm_tokenizer *tokenizer = tfm__alloc_zero(heap, sizeof *tokenizer);
    *out = NULL;
    if (!tokenizer) return tfm__fail_memory(error, heap, sizeof *tokenizer);
    tokenizer->heap = heap;
    tfm__buffer_init(&tokenizer->blob, heap);
    tokenizer->stand_in = -1;
    tokenizer->cache_bytes = CACHE_BYTES;
    tokenizer->isa = tfm__cpu_best_isa();
    memcpy(tokenizer->mark, TFM__MARK, TFM__MARK_BYTES);
    tokenizer->mark_length = TFM__MARK_BYTES;
    tokenizer->bos = tokenizer->eos = tokenizer->unknown = tokenizer->padding = tokenizer->end_of_turn = -1;
    for (int i = 0; i < 256; i++) tokenizer->byte_id[i] = -1;
    *out = tokenizer;
    return TFM_OK;
}

void tfm__tokenizer_free(tfm_tokenizer *tokenizer) {
    tfm__heap *heap;
    if (!tokenizer) return;
    heap = tokenizer->heap;
    tfm__buffer_free(&tokenizer->blob);
    tfm__free(heap, tokenizer->key);
    tfm__free(heap, tokenizer->text);
    tfm__free(heap, tokenizer->kind);
    tfm__free(heap, tokenizer->flags);
    tfm__free(heap, tokenizer->order);
    tfm__free(heap, tokenizer->keys);
    tfm__free(heap, tokenizer->short_keys);
    tfm__free(heap, tokenizer->short_filter);
    tfm__free(heap, tokenizer->byte_pairs);
    tfm__free(heap, tokenizer->wide);
    tfm__free(heap, tokenizer->finds);
    tfm__free(heap, tokenizer->pairs.slots);
    tfm__free(heap, tokenizer->added);
    tfm__decode_plan_free(heap, tokenizer->decode_plan);
    tfm__trie_free(heap, &tokenizer->raw);
    tfm__trie_free(heap, &tokenizer->normal);
    tfm__trie_free(heap, &tokenizer->frozen);
    tfm__unigram_free(heap, tokenizer->unigram);
    tfm__wordpiece_free(heap, tokenizer->wordpiece);
    tfm__free(heap, tokenizer->spm.units);
    tfm__free(heap, tokenizer->spm.replacements);
    for (uint32_t i = 0; i < tokenizer->regex_count; i++) tfm__regex_free(heap, tokenizer->regexes[i]);
    tfm__free(heap, tokenizer->regexes);
    tfm__free(heap, tokenizer->pattern);
    for (size_t i = 0; i < TFM__IDLE_WORKS; i++) tfm__work_free(tokenizer->idle[i]);
    tfm__free(heap, tokenizer);
}

int32_t tfm__vocab_regex(tfm_tokenizer *t, tfm__regex *regex, uint32_t *index, tfm_error *error) {
    size_t bytes = ((size_t)t->regex_count + 1) * sizeof *t->regexes;
    tfm__regex **bigger = tfm__resize(t->heap, t->regexes, bytes);
    if (!bigger) return tfm__fail_memory(error, t->heap, bytes);
    t->regexes = bigger;
    t->regexes[t->regex_count] = regex;
    *index = t->regex_count++;
    return TFM_OK;
}

int32_t tfm__vocab_begin(tfm_tokenizer *tokenizer, size_t size, tfm_error *error) {
    tfm__heap *heap = tokenizer->heap;
    if (size > INT32_MAX / 2) return tfm__fail(error, TFM_E_UNSUPPORTED, "a vocabulary of %zu tokens", size);
    tokenizer->key = tfm__alloc_array(heap, size, sizeof *tokenizer->key);
    tokenizer->text = tfm__alloc_array(heap, size, sizeof *tokenizer->text);
    tokenizer->kind = tfm__alloc_array(heap, size, 1);
    tokenizer->flags = tfm__alloc_array(heap, size, 1);
    if (!tokenizer->key || !tokenizer->text || !tokenizer->kind || !tokenizer->flags)
        return tfm__fail_memory(error, heap, size * sizeof *tokenizer->key);
    if (size) memset(tokenizer->kind, TFM_TOKEN_UNUSED, size);
    tokenizer->vocab_size = (int32_t)size;
    return TFM_OK;
}

int32_t tfm__vocab_store(tfm_tokenizer *tokenizer, const void *bytes, size_t length, tfm__slice *out,
                         tfm_error *error) {
    if (length > UINT32_MAX - tokenizer->blob.size)
        return tfm__fail(error, TFM_E_UNSUPPORTED, "token texts of more than 4 GiB");
    out->offset = (uint32_t)tokenizer->blob.size;
    out->length = (uint32_t)length;
    if (!tfm__buffer_append(&tokenizer->blob, bytes, length))
        return tfm__fail_memory(error, tokenizer->heap, length);
    return TFM_OK;
}

int32_t tfm__vocab_set(tfm_tokenizer *tokenizer, int32_t id, const void *key, size_t key_length,
                       const void *text, size_t text_length, int kind, int flags, tfm_error *error) {
    int32_t rc = tfm__vocab_store(tokenizer, key, key_length, &tokenizer->key[id], error);
    if (rc) return rc;
    if (!text || (text_length == key_length && (text_length == 0 || memcmp(key, text, key_length) == 0))) {
        tokenizer->text[id] = tokenizer->key[id];
    } else if ((rc = tfm__vocab_store(tokenizer, text, text_length, &tokenizer->text[id], error)) != 0) {
        return rc;
    }
    tokenizer->kind[id] = (uint8_t)kind;
    tokenizer->flags[id] = (uint8_t)(flags | TFM__TOKEN_PRESENT);
    return TFM_OK;
}

int32_t tfm__vocab_pair(tfm_tokenizer *tokenizer, int32_t left, int32_t right, uint32_t rank, int32_t merged,
                        tfm_error *error) {
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    if (!tfm__map_put(&tokenizer->pairs, tokenizer->heap, key, (uint64_t)rank << 32 | (uint32_t)merged))
        return tfm__fail_memory(error, tokenizer->heap, 0);
    return TFM_OK;
}

int32_t tfm__vocab_scores(tfm_tokenizer *tokenizer, const float *scores, float floor, const char *file,
                          tfm_error *error) {
    size_t n = (size_t)tokenizer->vocab_size;
    tokenizer->order = tfm__alloc_array(tokenizer->heap, n, sizeof *tokenizer->order);
    if (!tokenizer->order) return tfm__fail_memory(error, tokenizer->heap, n * sizeof *tokenizer->order);
    for (size_t i = 0; i < n; i++) {
        float score = scores[i] + 0.0f; /* -0 becomes 0 */
        uint32_t bits;
        memcpy(&bits, &score, 4);
        if ((bits & 0x7f800000u) == 0x7f800000u)
            return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                                "the score of token %zu is no number", i);
        bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u; /* now ordered as the scores are */
        tokenizer->order[i] = score <= floor ? UINT32_MAX : ~bits;
    }
    return TFM_OK;
}

int32_t tfm__vocab_add(tfm_tokenizer *tokenizer, const tfm__added *added, tfm_error *error) {
    size_t n = tokenizer->added_count;
    if ((n & (n - 1)) == 0) { /* full at every power of two */
        tfm__added *bigger = tfm__resize(tokenizer->heap, tokenizer->added, (n ? n * 2 : 1) * sizeof *bigger);
        if (!bigger) return tfm__fail_memory(error, tokenizer->heap, (n ? n * 2 : 1) * sizeof *bigger);
        tokenizer->added = bigger;
    }
    tokenizer->added[n] = *added;
    tokenizer->added_count = n + 1;
    tokenizer->flags[added->id] |= TFM__TOKEN_ADDED;
    return TFM_OK;
}

/* ---- Facts ---- */

int32_t tfm__tokenizer_vocab_size(const tfm_tokenizer *tokenizer) { return tokenizer->vocab_size; }

bool tfm__tokenizer_is_end(const tfm_tokenizer *tokenizer, tfm_token token) {
    return token >= 0 && token < tokenizer->vocab_size && tokenizer->flags[token] & TFM__TOKEN_ENDS;
}

size_t tfm__tokenizer_ends(const tfm_tokenizer *tokenizer, tfm_token *ends, size_t max, uint32_t below) {
    size_t count = 0;
    for (int32_t i = 0; i < tokenizer->vocab_size && (uint32_t)i < below && count < max; i++)
        if (tokenizer->flags[i] & TFM__TOKEN_ENDS) ends[count++] = i;
    return count;
}

void tfm__tokenizer_info(const tfm_tokenizer *tokenizer, tfm_tokenizer_info *info) {
    size_t size = info->struct_size;
    memset(info, 0, sizeof *info);
    info->struct_size = size;
    info->vocab_size = tokenizer->vocab_size;
    info->bos = tokenizer->bos;
    info->eos = tokenizer->eos;
    info->unknown = tokenizer->unknown;
    info->padding = tokenizer->padding;
    info->end_of_turn = tokenizer->end_of_turn;
    info->adds_bos = tokenizer->adds_bos;
    info->adds_eos = tokenizer->adds_eos;
    memcpy(info->kind, tokenizer->kind_name, sizeof info->kind);
    memcpy(info->pattern, tokenizer->splitter.name, sizeof info->pattern);
}

/* ---- Finishing ---- */

/* Whether merging could put a text together: some cut leaves two parts that are tokens or single characters.
 */
static bool can_be_merged(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length) {
    uint32_t used;
    for (size_t i = 0; i < length; i += used) {
        size_t right = length - i;
        uint32_t last;
        (void)tfm__utf8_read(text + i, right, &used);
        if (i == 0) {
            if (used == length) return true;
            continue;
        }
        (void)tfm__utf8_read(text + i, right, &last);
        (void)tfm__utf8_read(text, i, &used);
        if ((used == i || tfm__vocab_find(tokenizer, text, i) >= 0) &&
            (last == right || tfm__vocab_find(tokenizer, text + i, right) >= 0))
            return true;
        used = last;
    }
    return false;
}

/* SCORES: whether there are UNUSED pieces that merging can arrive at, which then have to be taken apart
 * again. */
static bool has_reachable_unused(const tfm_tokenizer *tokenizer) {
    for (int32_t id = 0; id < tokenizer->vocab_size; id++)
        if (tokenizer->kind[id] == TFM_TOKEN_UNUSED && tokenizer->flags[id] & TFM__TOKEN_MATCH &&
            can_be_merged(tokenizer, tfm__slice_at(tokenizer, tokenizer->key[id]), tokenizer->key[id].length))
            return true;
    return false;
}

/* No key holds a mark behind another character, and the mark itself is a token: then no merge reaches across
 * the front of a mark that follows something else, and texts may be cut there. */
static bool marks_only_lead(const tfm_tokenizer *tokenizer) {
    const uint8_t *mark = tokenizer->mark;
    const size_t mark_length = tokenizer->mark_length;
    if (tfm__vocab_find(tokenizer, mark, mark_length) < 0) return false;
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        tfm__slice key = tokenizer->key[id];
        const uint8_t *bytes = tfm__slice_at(tokenizer, key);
        bool other = false;
        if (!(tokenizer->flags[id] & TFM__TOKEN_MATCH)) continue;
        for (size_t i = 0; i < key.length;) {
            if (key.length - i >= mark_length && memcmp(bytes + i, mark, mark_length) == 0) {
                if (other) return false;
                i += mark_length;
            } else {
                other = true;
                i++;
            }
        }
    }
    return true;
}

static int32_t mark_self(tfm_tokenizer *tokenizer, tfm_error *error) {
    tfm__work *work = tfm__work_take(tokenizer);
    tfm__buffer ids;
    tfm__sink sink = {&ids, NULL, 0};
    int32_t rc = TFM_OK;
    if (!work) return tfm__fail_memory(error, tokenizer->heap, sizeof *work);
    tfm__buffer_init(&ids, tokenizer->heap);
    for (int32_t id = 0; id < tokenizer->vocab_size && rc == TFM_OK; id++) {
        tfm__slice key = tokenizer->key[id];
        int32_t first;
        if (!(tokenizer->flags[id] & TFM__TOKEN_MATCH) || key.length == 0 || key.length > 64) continue;
        ids.size = 0;
        work->after_unknown = false;
        rc = tfm__merge(tokenizer, work, tfm__slice_at(tokenizer, key), key.length, &sink, error);
        if (rc || ids.size != sizeof first) continue;
        memcpy(&first, ids.data, sizeof first);
        if (first == id) tokenizer->flags[id] |= TFM__TOKEN_SELF;
    }
    tfm__buffer_free(&ids);
    tfm__work_give(tokenizer, work);
    return rc;
}

/* The text by which a token is found: its name for the unknown token, whose text is a stand-in. */
static tfm__slice find_slice(const tfm_tokenizer *tokenizer, int32_t id) {
    return tokenizer->kind[id] == TFM_TOKEN_UNKNOWN ? tokenizer->key[id] : tokenizer->text[id];
}

int32_t tfm__vocab_find_text(const tfm_tokenizer *tokenizer, const char *bytes, size_t length) {
    if (!tokenizer->finds || length == 0) return -1;
    for (size_t at = tfm__hash_bytes((const uint8_t *)bytes, length) & tokenizer->find_mask;;
         at = (at + 1) & tokenizer->find_mask) {
        int32_t id = tokenizer->finds[at];
        tfm__slice slice;
        if (id < 0) return -1;
        slice = find_slice(tokenizer, id);
        if (slice.length == length && memcmp(tfm__slice_at(tokenizer, slice), bytes, length) == 0) return id;
    }
}

static int32_t build_finds(tfm_tokenizer *tokenizer, tfm_error *error) {
    size_t slots = tfm__slots_for((size_t)tokenizer->vocab_size), bytes;
    if (slots == 0 || !tfm__mul_size(slots, sizeof *tokenizer->finds, &bytes))
        return tfm__fail_memory(error, tokenizer->heap, 0);
    tokenizer->finds = tfm__alloc(tokenizer->heap, bytes);
    if (!tokenizer->finds) return tfm__fail_memory(error, tokenizer->heap, bytes);
    memset(tokenizer->finds, 0xff, bytes);
    tokenizer->find_mask = slots - 1;
    for (int round = 0; round < 2; round++) { /* byte tokens give way to tokens of the same text */
        for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
            tfm__slice slice = find_slice(tokenizer, id);
            const char *text = (const char *)tfm__slice_at(tokenizer, slice);
            size_t at;
            if (!(tokenizer->flags[id] & TFM__TOKEN_PRESENT) || slice.length == 0) continue;
            if ((tokenizer->kind[id] == TFM_TOKEN_BYTE) != (round == 1)) continue;
            if (tfm__vocab_find_text(tokenizer, text, slice.length) >= 0) continue;
            at = tfm__hash_bytes((const uint8_t *)text, slice.length) & tokenizer->find_mask;
            while (tokenizer->finds[at] >= 0) at = (at + 1) & tokenizer->find_mask;
            tokenizer->finds[at] = id;
        }
    }
    return TFM_OK;
}

const tfm__added *tfm__vocab_added(const tfm_tokenizer *tokenizer, const char *text) {
    size_t length = strlen(text);
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        tfm__slice slice = tokenizer->added[i].text;
        if (slice.length == length && memcmp(tfm__slice_at(tokenizer, slice), text, length) == 0)
            return &tokenizer->added[i];
    }
    return NULL;
}

void tfm__vocab_end(tfm_tokenizer *tokenizer, int64_t id) {
    if (id < 0 || id >= tokenizer->vocab_size || !(tokenizer->flags[id] & TFM__TOKEN_PRESENT)) return;
    tokenizer->flags[id] |= TFM__TOKEN_ENDS;
}

/* Which tokens end a text, besides eos: by the names that published chat models use. The first group ends a
 * turn. */
static void mark_ends(tfm_tokenizer *tokenizer) {
    static const char *const turns[] = {
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>",      "<turn|>",
        "<EOT>",      "_<EOT>",     "[EOT]",   "<end_of_utterance>", "<|return|>"};
    static const char *const texts[] = {"<|eom_id|>",
                                        "<|endoftext|>",
                                        "<|end_of_text|>",
                                        "</s>",
                                        "<eos>",
                                        "[EOS]",
                                        "<|call|>",
                                        "<|flush|>",
                                        "<|calls|>",
                                        "<\xef\xbd\x9c"
                                        "end" TFM__MARK "of" TFM__MARK "sentence\xef\xbd\x9c>"};
    const tfm__added *added;
    bool harmony = tfm__vocab_added(tokenizer, "<|return|>") && tfm__vocab_added(tokenizer, "<|call|>");
    for (size_t i = 0; i < TFM__COUNT(turns); i++) {
        /* where <|return|> and <|call|> end a text, <|end|> only ends a part of it */
        if (harmony && strcmp(turns[i], "<|end|>") == 0) continue;
        if (!(added = tfm__vocab_added(tokenizer, turns[i]))) continue;
        tfm__vocab_end(tokenizer, added->id);
        if (tokenizer->end_of_turn < 0) tokenizer->end_of_turn = added->id;
    }
    for (size_t i = 0; i < TFM__COUNT(texts); i++)
        if ((added = tfm__vocab_added(tokenizer, texts[i]))) tfm__vocab_end(tokenizer, added->id);
    tfm__vocab_end(tokenizer, tokenizer->eos);
    tfm__vocab_end(tokenizer, tokenizer->end_of_turn);
}

int32_t tfm__vocab_finish(tfm_tokenizer *tokenizer, tfm_error *error) {
    int32_t rc;
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        const tfm__added *added = &tokenizer->added[i];
        if (!tfm__trie_put(added->normalized ? &tokenizer->normal : &tokenizer->raw, tokenizer->heap,
                           tfm__slice_at(tokenizer, added->match), added->match.length, (int32_t)i))
            return tfm__fail_memory(error, tokenizer->heap, 0);
        tokenizer->longest_match = TFM__MAX(tokenizer->longest_match, added->match.length);
    }
    for (int32_t id = 0; id < tokenizer->vocab_size; id++)
        tokenizer->longest_text = TFM__MAX(tokenizer->longest_text, tokenizer->text[id].length);
    if (tokenizer->bytes) {
        tokenizer->bytes_complete = tokenizer->continuing.length == 0 && tokenizer->ending.length == 0;
        for (int i = 0; i < 256; i++) {
            uint8_t byte = (uint8_t)i;
            tokenizer->byte_id[i] = tfm__vocab_find(tokenizer, &byte, 1);
            if (tokenizer->byte_id[i] < 0) tokenizer->bytes_complete = false;
        }
    }
    if (tokenizer->order_kind == TFM__MERGE_SCORES) tokenizer->has_unused = has_reachable_unused(tokenizer);
    if (tokenizer->has_unused) tokenizer->whole = TFM__WHOLE_NEVER;
    if (tokenizer->cut_at_marks && !tokenizer->has_unused && marks_only_lead(tokenizer)) {
        tfm__stage marks = {.kind = TFM__STAGE_MARKS, .literal_length = tokenizer->mark_length};
        memcpy(marks.literal, tokenizer->mark, tokenizer->mark_length);
        tokenizer->splitter.stages[tokenizer->splitter.count++] = marks;
    }
    if ((rc = tfm__merge_prepare(tokenizer, error)) != 0) return rc;
    if (tokenizer->whole == TFM__WHOLE_SELF && (rc = mark_self(tokenizer, error)) != 0) return rc;
    mark_ends(tokenizer);
    return build_finds(tokenizer, error);
}
