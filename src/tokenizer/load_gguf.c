/* load_gguf.c - tokenizers in GGUF metadata (tokenizer.ggml.*). Called by load.c.
 *
 * model "llama": SentencePiece BPE (scores, byte tokens); "gpt2": byte-level BPE (merges, the splitter named
 * by pre); "bert": WordPiece; "t5": Unigram. The ids are those of the tokenizer that the file was converted
 * from. Source: the GGUF specification, and for what files leave unsaid (defaults, the meaning of pre,
 * phi-3's white space) llama.cpp. */
#include "tokenizer/load_vocab.h"
#include "tokenizer/models.h"
#include "tokenizer/normalize.h"

#include <math.h>

typedef struct source {
    tfm_tokenizer *tokenizer;
    const tfm__container *container;
    const char *file;
    const tfm__meta *tokens, *types;
    tfm_error *error;
} source;

static const tfm__meta *find(const source *s, const char *key) {
    return tfm__container_meta(s->container, key);
}

static int32_t wrong(const source *s, const char *key, const char *what) {
    const tfm__meta *meta = find(s, key);
    return tfm__fail_at(s->error, TFM_E_FORMAT, s->file, key, meta ? meta->offset : TFM__NO_OFFSET, "%s",
                        what);
}

static int32_t array_of(const source *s, const char *key, uint64_t count, const tfm__meta **out) {
    *out = find(s, key);
    if (*out && ((*out)->type != TFM__META_ARRAY || (*out)->count != count))
        return wrong(s, key, "not an array with one entry for each token");
    return TFM_OK;
}

/* A token id; absent or 0xffffffff: absent stays as it is, or none. */
static int32_t token_id(const source *s, const char *key, int32_t *out) {
    const tfm__meta *meta = find(s, key);
    int64_t value;
    if (!meta) return TFM_OK;
    if (!tfm__meta_i64(meta, 0, &value)) return wrong(s, key, "not a token id");
    if (value == -1 || value == (int64_t)UINT32_MAX) {
        *out = -1;
        return TFM_OK;
    }
    if (value < 0 || value >= s->tokenizer->vocab_size)
        return wrong(s, key, "a token id outside the vocabulary");
    *out = (int32_t)value;
    return TFM_OK;
}

static int32_t flag(const source *s, const char *key, bool *out) {
    const tfm__meta *meta = find(s, key);
    if (meta && !tfm__meta_bool(meta, out)) return wrong(s, key, "not a truth value");
    return TFM_OK;
}

static int32_t special_ids(const source *s) {
    tfm_tokenizer *t = s->tokenizer;
    int32_t rc, eom = -1;
    if ((rc = token_id(s, "tokenizer.ggml.bos_token_id", &t->bos)) != 0) return rc;
    if ((rc = token_id(s, "tokenizer.ggml.eos_token_id", &t->eos)) != 0) return rc;
    if ((rc = token_id(s, "tokenizer.ggml.unknown_token_id", &t->unknown)) != 0) return rc;
    if ((rc = token_id(s, "tokenizer.ggml.padding_token_id", &t->padding)) != 0) return rc;
    if ((rc = token_id(s, "tokenizer.ggml.eot_token_id", &t->end_of_turn)) != 0) return rc;
    if ((rc = token_id(s, "tokenizer.ggml.eom_token_id", &eom)) != 0) return rc;
    tfm__vocab_end(t, eom);
    if ((rc = flag(s, "tokenizer.ggml.add_bos_token", &t->adds_bos)) != 0) return rc;
    if ((rc = flag(s, "tokenizer.ggml.add_eos_token", &t->adds_eos)) != 0) return rc;
    t->adds_bos = t->adds_bos && t->bos >= 0;
    t->adds_eos = t->adds_eos && t->eos >= 0;
    return TFM_OK;
}

/* The kind of token i. Without tokenizer.ggml.token_type, byte tokens are known by their names. */
static int32_t kind_of(const source *s, uint64_t i, int *kind) {
    tfm__text text = s->tokens->texts[i];
    int64_t value = 0;
    if (s->types && !tfm__meta_i64(s->types, i, &value))
        return wrong(s, "tokenizer.ggml.token_type", "not numbers");
    if (value < 0 || value > TFM_TOKEN_BYTE)
        return wrong(s, "tokenizer.ggml.token_type", "a kind of token that is not known");
    *kind = value ? (int)value : TFM_TOKEN_NORMAL;
    if (!s->types && tfm__byte_token(text.data, text.size) >= 0) *kind = TFM_TOKEN_BYTE;
    if (text.size == 0) *kind = TFM_TOKEN_UNUSED;
    return TFM_OK;
}

static int32_t add_whole(const source *s, int32_t id, const void *text, size_t length, int kind,
                         bool rstrip) {
    tfm__added added = {.id = id, .special = kind != TFM_TOKEN_USER, .rstrip = rstrip};
    int32_t rc = tfm__vocab_store(s->tokenizer, text, length, &added.text, s->error);
    added.match = added.text;
    return rc ? rc : tfm__vocab_add(s->tokenizer, &added, s->error);
}

/* ---- "llama" ---- */

/* Appends a text with every mark turned into a space. */
static bool append_spaced(tfm__buffer *out, const char *text, size_t length) {
    for (size_t i = 0; i < length;) {
        bool mark = length - i >= TFM__MARK_BYTES && memcmp(text + i, TFM__MARK, TFM__MARK_BYTES) == 0;
        if (!tfm__buffer_append(out, mark ? " " : text + i, 1)) return false;
        i += mark ? TFM__MARK_BYTES : 1;
    }
    return true;
}

/* Phi-3's special tokens take the white space behind them along; its files say so only by the model's name.
 */
static bool is_phi3(const source *s) {
    const tfm__meta *meta = find(s, "general.name");
    tfm__text name;
    if (!meta || !tfm__meta_text(meta, 0, &name)) return false;
    for (size_t i = 0; i + 4 <= name.size; i++) {
        size_t digit = i + 3;
        if ((name.data[i] | 0x20) != 'p' || (name.data[i + 1] | 0x20) != 'h' ||
            (name.data[i + 2] | 0x20) != 'i')
            continue;
        if (name.data[digit] == '-') digit++;
        if (digit < name.size && name.data[digit] == '3') return true;
    }
    return false;
}

static bool is_text(tfm__text text, const char *other) {
    return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;
}

static int32_t spm_token(const source *s, uint64_t i, bool phi3, tfm__buffer *spaced) {
    tfm_tokenizer *t = s->tokenizer;
    tfm__text text = s->tokens->texts[i];
    int32_t id = (int32_t)i, rc;
    int kind, byte;
    if ((rc = kind_of(s, i, &kind)) != 0) return rc;
    spaced->size = 0;
    if (!append_spaced(spaced, text.data, text.size)) return tfm__fail_memory(s->error, t->heap, text.size);
    switch (kind) {
    case TFM_TOKEN_BYTE: {
        uint8_t value;
        if ((byte = tfm__byte_token(text.data, text.size)) < 0)
            return wrong(s, "tokenizer.ggml.tokens", "a byte token that is not called <0x00> to <0xFF>");
        value = (uint8_t)byte;
        t->byte_id[byte] = id;
        t->byte_fallback = true;
        return tfm__vocab_set(t, id, text.data, text.size, &value, 1, kind, 0, s->error);
    }
    case TFM_TOKEN_CONTROL:
    case TFM_TOKEN_UNKNOWN: {
        bool rstrip = phi3 && kind == TFM_TOKEN_CONTROL && !is_text(text, "<unk>") && !is_text(text, "<s>") &&
                      !is_text(text, "<|endoftext|>");
        const char *shown = kind == TFM_TOKEN_UNKNOWN ? " \xe2\x81\x87 " : NULL;
        rc = tfm__vocab_set(t, id, text.data, text.size, shown, shown ? strlen(shown) : 0, kind,
                            kind == TFM_TOKEN_CONTROL ? TFM__TOKEN_SKIP : 0, s->error);
        return rc ? rc : add_whole(s, id, text.data, text.size, kind, rstrip);
    }
    default:
        rc = tfm__vocab_set(t, id, text.data, text.size, spaced->data, spaced->size, kind,
                            text.size ? TFM__TOKEN_MATCH : 0, s->error);
        if (rc || kind != TFM_TOKEN_USER) return rc;
        return add_whole(s, id, spaced->data, spaced->size, kind, phi3 && is_text(text, "</s>"));
    }
}

static int32_t spm_scores(const source *s) {
    size_t n = (size_t)s->tokenizer->vocab_size;
    const tfm__meta *meta;
    float *scores;
    int32_t rc = array_of(s, "tokenizer.ggml.scores", n, &meta);
    if (rc) return rc;
    if (!meta)
        return tfm__fail_at(s->error, TFM_E_MISSING, s->file, "tokenizer.ggml.scores", TFM__NO_OFFSET,
                            "tokens without scores");
    scores = tfm__alloc_array(s->tokenizer->heap, n, sizeof *scores);
    if (!scores) return tfm__fail_memory(s->error, s->tokenizer->heap, n * sizeof *scores);
    for (size_t i = 0; i < n && rc == TFM_OK; i++) {
        double value;
        if (tfm__meta_f64(meta, i, &value))
            scores[i] = (float)value;
        else
            rc = wrong(s, "tokenizer.ggml.scores", "not numbers");
    }
    if (rc == TFM_OK) rc = tfm__vocab_scores(s->tokenizer, scores, -INFINITY, s->file, s->error);
    tfm__free(s->tokenizer->heap, scores);
    return rc;
}

/* SentencePiece's normaliser, and what it means for decoding. */
static int32_t spm_rules(const source *s) {
    tfm_tokenizer *t = s->tokenizer;
    const tfm__meta *map = find(s, "tokenizer.ggml.precompiled_charsmap");
    int32_t rc = flag(s, "tokenizer.ggml.add_space_prefix", &t->spm.dummy_prefix);
    if (rc || (rc = flag(s, "tokenizer.ggml.remove_extra_whitespaces", &t->spm.remove_extra)) != 0) return rc;
    if (map) {
        if (map->type != TFM__META_ARRAY || (map->item != TFM__META_U8 && map->item != TFM__META_I8))
            return wrong(s, "tokenizer.ggml.precompiled_charsmap", "not bytes");
        if ((rc = tfm__spm_charsmap(t, map->value, (size_t)map->count, s->file, s->error)) != 0) return rc;
    }
    t->steps[t->step_count++].kind = TFM__NORMAL_SPM;
    t->replaces_bytes = true;
    t->strip = t->spm.remove_extra   ? TFM__STRIP_MARK_EACH
               : t->spm.dummy_prefix ? TFM__STRIP_MARK
                                     : TFM__STRIP_NONE;
    return TFM_OK;
}

static int32_t load_spm(const source *s) {
    tfm_tokenizer *t = s->tokenizer;
    tfm__buffer spaced;
    int32_t rc = TFM_OK;
    bool phi3 = is_phi3(s);
    memcpy(t->kind_name, "sentencepiece-bpe", 18);
    tfm__buffer_init(&spaced, t->heap);
    for (uint64_t i = 0; i < s->tokens->count && rc == TFM_OK; i++) rc = spm_token(s, i, phi3, &spaced);
    tfm__buffer_free(&spaced);
    if (rc || (rc = spm_scores(s)) != 0 || (rc = tfm__vocab_index(t, false, s->file, s->error)) != 0)
        return rc;
    t->bos = t->vocab_size > 1 ? 1 : -1;
    t->eos = t->vocab_size > 2 ? 2 : -1;
    t->unknown = t->vocab_size > 0 ? 0 : -1;
    t->adds_bos = true;
    t->spm = (tfm__spm_rules){.dummy_prefix = true, .escape = true, .keep_invalid = true};
    if ((rc = spm_rules(s)) != 0) return rc;
    t->order_kind = TFM__MERGE_SCORES;
    t->whole = TFM__WHOLE_SELF;
    t->cut_at_marks = true;
    t->merge_unknown = true;
    if ((rc = special_ids(s)) != 0) return rc;
    t->stand_in = t->unknown;
    return TFM_OK;
}

/* ---- "gpt2" ---- */

static int32_t bpe_token(const source *s, uint64_t i, tfm__buffer *bytes) {
    tfm_tokenizer *t = s->tokenizer;
    tfm__text text = s->tokens->texts[i];
    bool refused, spelled, whole;
    int kind;
    int32_t rc = kind_of(s, i, &kind);
    if (rc) return rc;
    bytes->size = 0;
    spelled = tfm__alphabet_to_bytes(text.data, text.size, bytes, &refused) && text.size;
    if (refused) return tfm__fail_memory(s->error, t->heap, text.size);
    whole = kind == TFM_TOKEN_CONTROL || kind == TFM_TOKEN_UNKNOWN || kind == TFM_TOKEN_USER;
    rc = tfm__vocab_set(
        t, (int32_t)i, spelled ? (const void *)bytes->data : text.data, spelled ? bytes->size : text.size,
        whole ? text.data : NULL, text.size, kind,
        (spelled ? TFM__TOKEN_MATCH : 0) | (whole && kind != TFM_TOKEN_USER ? TFM__TOKEN_SKIP : 0), s->error);
    if (rc || !whole) return rc;
    return add_whole(s, (int32_t)i, text.data, text.size, kind, false);
}

static int32_t bad_merge(const source *s, uint64_t i, const char *what) {
    tfm__text text = find(s, "tokenizer.ggml.merges")->texts[i];
    return tfm__fail_at(s->error, TFM_E_FORMAT, s->file, "tokenizer.ggml.merges", TFM__NO_OFFSET,
                        "merge %llu, '%.*s', %s", (unsigned long long)i, (int)TFM__MIN(text.size, 64u),
                        text.data, what);
}

/* The token that a part of a merge names, or -1. */
static int32_t part(const source *s, const char *text, size_t length, tfm__buffer *bytes, bool *refused) {
    size_t start = bytes->size;
    if (!tfm__alphabet_to_bytes(text, length, bytes, refused)) return -1;
    return tfm__vocab_find(s->tokenizer, bytes->data + start, bytes->size - start);
}

static int32_t bpe_merge(const source *s, const tfm__meta *merges, uint64_t i, tfm__buffer *bytes) {
    tfm__text text = merges->texts[i];
    const char *space = text.size > 1 ? memchr(text.data + 1, ' ', text.size - 1) : NULL;
    size_t left_size = space ? (size_t)(space - text.data) : 0;
    int32_t left, right, merged;
    bool refused = false;
    if (!space || left_size + 1 == text.size)
        return bad_merge(s, i, "is not two tokens with a space between them");
    bytes->size = 0;
    left = part(s, text.data, left_size, bytes, &refused);
    right = refused ? -1 : part(s, space + 1, text.size - left_size - 1, bytes, &refused);
    if (refused) return tfm__fail_memory(s->error, s->tokenizer->heap, text.size);
    if (left < 0 || right < 0) return bad_merge(s, i, "names a token that the vocabulary does not have");
    merged = tfm__vocab_find(s->tokenizer, bytes->data, bytes->size);
    if (merged < 0) return bad_merge(s, i, "makes a token that the vocabulary does not have");
    return tfm__vocab_pair(s->tokenizer, left, right, (uint32_t)i, merged, s->error);
}

/* The expressions of stages that no scanner of ours knows. */
static int32_t compile_patterns(const source *s, tfm__pre *pre) {
    tfm_tokenizer *t = s->tokenizer;
    for (uint32_t i = 0; i < pre->splitter.count; i++) {
        const char *pattern = pre->patterns[i];
        tfm__regex *regex;
        int32_t rc;
        if (!pattern) continue;
        rc = tfm__regex_compile(t->heap, pattern, strlen(pattern), TFM__REGEX_ONIGURUMA, s->file, &regex,
                                s->error);
        if (rc) return rc;
        if ((rc = tfm__vocab_regex(t, regex, &pre->splitter.stages[i].regex, s->error)) != 0) {
            tfm__regex_free(t->heap, regex);
            return rc;
        }
    }
    return TFM_OK;
}

static int32_t load_bpe(const source *s) {
    tfm_tokenizer *t = s->tokenizer;
    const tfm__meta *merges = find(s, "tokenizer.ggml.merges"), *pre = find(s, "tokenizer.ggml.pre");
    tfm__text pre_text = {"default", 7};
    tfm__pre implied;
    tfm__buffer bytes;
    int32_t rc = TFM_OK;
    memcpy(t->kind_name, "byte-level-bpe", 15);
    if (!merges)
        return tfm__fail_at(s->error, TFM_E_MISSING, s->file, "tokenizer.ggml.merges", TFM__NO_OFFSET,
                            "no merges");
    if (merges->type != TFM__META_ARRAY || merges->item != TFM__META_STRING || merges->count >= UINT32_MAX)
        return wrong(s, "tokenizer.ggml.merges", "not a list of texts");
    if (pre && !tfm__meta_text(pre, 0, &pre_text)) return wrong(s, "tokenizer.ggml.pre", "not a text");
    if (!tfm__split_for_pre(pre_text.data, pre_text.size, t->llama_cpp, &implied))
        return tfm__fail_at(s->error, TFM_E_UNSUPPORTED, s->file, "tokenizer.ggml.pre", TFM__NO_OFFSET,
                            "the pre-tokenizer '%.*s' is not supported", (int)TFM__MIN(pre_text.size, 64u),
                            pre_text.data);
    if ((rc = compile_patterns(s, &implied)) != 0) return rc;
    t->splitter = implied.splitter;
    t->whole = implied.ignore_merges ? TFM__WHOLE_ALWAYS : TFM__WHOLE_SELF;
    t->adds_bos = implied.add_bos;
    if (implied.nfc) t->steps[t->step_count++].kind = TFM__NORMAL_NFC;
    t->order_kind = TFM__MERGE_LISTED;
    t->bytes = true;
    tfm__buffer_init(&bytes, t->heap);
    for (uint64_t i = 0; i < s->tokens->count && rc == TFM_OK; i++) rc = bpe_token(s, i, &bytes);
    if (rc == TFM_OK) rc = tfm__vocab_index(t, false, s->file, s->error);
    if (rc == TFM_OK && !tfm__map_reserve(&t->pairs, t->heap, (size_t)merges->count))
        rc = tfm__fail_memory(s->error, t->heap, (size_t)merges->count * 16);
    for (uint64_t i = 0; i < merges->count && rc == TFM_OK; i++) rc = bpe_merge(s, merges, i, &bytes);
    tfm__buffer_free(&bytes);
    return rc ? rc : special_ids(s);
}

/* ---- "bert" ---- */

/* GGUF writes the beginnings of words with a mark and their insides without "##": back to BERT's spelling.
 * What stands in brackets, and special tokens, are as they were. */
static bool bert_name(const source *s, uint64_t i, int kind, tfm__buffer *names, tfm__slice *out) {
    tfm__text text = s->tokens->texts[i];
    bool plain = kind == TFM_TOKEN_CONTROL || kind == TFM_TOKEN_UNKNOWN ||
                 (text.size > 2 && text.data[0] == '[' && text.data[text.size - 1] == ']');
    bool begins = text.size >= TFM__MARK_BYTES && memcmp(text.data, TFM__MARK, TFM__MARK_BYTES) == 0;
    out->offset = (uint32_t)names->size;
    if (begins) {
        text.data += TFM__MARK_BYTES;
        text.size -= TFM__MARK_BYTES;
    } else if (!plain && !tfm__buffer_append(names, "##", 2)) {
        return false;
    }
    if (!tfm__buffer_append(names, text.data, text.size)) return false;
    out->length = (uint32_t)(names->size - out->offset);
    return true;
}

static int32_t load_bert(const source *s) {
    tfm_tokenizer *t = s->tokenizer;
    tfm__bert_vocab vocab = {NULL, (size_t)s->tokens->count, TFM_DEFAULT, TFM_DEFAULT, TFM_DEFAULT};
    tfm__buffer names, slices, texts;
    int32_t rc = TFM_OK;
    bool ok = true;
    if (t->llama_cpp) {
        vocab.lower_case = TFM_YES;
        vocab.strip_accents = TFM_NO;
    }
    tfm__buffer_init(&names, t->heap);
    tfm__buffer_init(&slices, t->heap);
    tfm__buffer_init(&texts, t->heap);
    for (uint64_t i = 0; i < s->tokens->count && rc == TFM_OK && ok; i++) {
        tfm__slice slice;
        int kind;
        if ((rc = kind_of(s, i, &kind)) != 0) break;
        if (names.size > UINT32_MAX - 65536u || s->tokens->texts[i].size > 65536)
            rc = wrong(s, "tokenizer.ggml.tokens", "tokens this long");
        ok = bert_name(s, i, kind, &names, &slice) && tfm__buffer_append(&slices, &slice, sizeof slice);
    }
    for (uint64_t i = 0; i < s->tokens->count && rc == TFM_OK && ok; i++) {
        tfm__slice slice = ((const tfm__slice *)(const void *)slices.data)[i];
        tfm__text text = {(const char *)names.data + slice.offset, slice.length};
        ok = tfm__buffer_append(&texts, &text, sizeof text);
    }
    vocab.tokens = (const tfm__text *)(const void *)texts.data;
    if (rc == TFM_OK && !ok) rc = tfm__fail_memory(s->error, t->heap, names.size);
    if (rc == TFM_OK) rc = tfm__load_bert(t, &vocab, s->file, s->error);
    tfm__buffer_free(&names);
    tfm__buffer_free(&slices);
    tfm__buffer_free(&texts);
    if (rc) return rc;
    if (t->llama_cpp) { /* which knows no longest word, and decomposes in its own way */
        tfm__wordpiece_any_length(t);
        for (size_t i = 0; i < t->step_count; i++)
            if (t->steps[i].kind == TFM__NORMAL_BERT) t->steps[i].flags |= TFM__BERT_FIRST;
    }
    if ((rc = token_id(s, "tokenizer.ggml.unknown_token_id", &t->unknown)) != 0) return rc;
    if ((rc = token_id(s, "tokenizer.ggml.cls_token_id", &t->bos)) != 0) return rc;
    if ((rc = token_id(s, "tokenizer.ggml.seperator_token_id", &t->eos)) != 0) return rc;
    return token_id(s, "tokenizer.ggml.padding_token_id", &t->padding);
}

/* ---- "t5" ---- */

static int32_t unigram_token(const source *s, uint64_t i, tfm__buffer *spaced) {
    tfm_tokenizer *t = s->tokenizer;
    tfm__text text = s->tokens->texts[i];
    int kind;
    int32_t rc = kind_of(s, i, &kind);
    if (rc) return rc;
    if (kind != TFM_TOKEN_USER) return spm_token(s, i, false, spaced);
    /* user-defined pieces are kept by the normaliser and chosen by their score, as SentencePiece does it */
    spaced->size = 0;
    if (!append_spaced(spaced, text.data, text.size)) return tfm__fail_memory(s->error, t->heap, text.size);
    t->has_frozen = true;
    if (!tfm__trie_put(&t->frozen, t->heap, (const uint8_t *)text.data, text.size, (int32_t)i))
        return tfm__fail_memory(s->error, t->heap, 0);
    return tfm__vocab_set(t, (int32_t)i, text.data, text.size, spaced->data, spaced->size, kind,
                          TFM__TOKEN_MATCH, s->error);
}

static int32_t read_scores(const source *s, double *scores) {
    size_t n = (size_t)s->tokenizer->vocab_size;
    const tfm__meta *meta;
    int32_t rc = array_of(s, "tokenizer.ggml.scores", n, &meta);
    if (rc) return rc;
    if (!meta)
        return tfm__fail_at(s->error, TFM_E_MISSING, s->file, "tokenizer.ggml.scores", TFM__NO_OFFSET,
                            "tokens without scores");
    for (size_t i = 0; i < n; i++)
        if (!tfm__meta_f64(meta, i, &scores[i])) return wrong(s, "tokenizer.ggml.scores", "not numbers");
    return TFM_OK;
}

static int32_t load_t5(const source *s) {
    tfm_tokenizer *t = s->tokenizer;
    size_t n = (size_t)t->vocab_size;
    tfm__unigram_settings settings = {.rules = t->llama_cpp ? TFM__UNIGRAM_HF : TFM__UNIGRAM_SPM,
                                      .zero_user_scores = t->llama_cpp};
    tfm__buffer spaced;
    double *scores;
    int32_t rc = TFM_OK;
    memcpy(t->kind_name, "unigram", 8);
    tfm__buffer_init(&spaced, t->heap);
    for (uint64_t i = 0; i < s->tokens->count && rc == TFM_OK; i++) rc = unigram_token(s, i, &spaced);
    tfm__buffer_free(&spaced);
    if (rc || (rc = tfm__vocab_index(t, false, s->file, s->error)) != 0) return rc;
    t->eos = n > 1 ? 1 : -1;
    t->unknown = n > 2 ? 2 : -1;
    t->padding = 0;
    t->adds_eos = true;
    t->spm = (tfm__spm_rules){.dummy_prefix = true, .remove_extra = true, .escape = true};
    if ((rc = spm_rules(s)) != 0 || (rc = special_ids(s)) != 0) return rc;
    settings.unknown = t->unknown;
    t->merge_unknown = !t->byte_fallback;
    if (!(scores = tfm__alloc_array(t->heap, n, sizeof *scores)))
        return tfm__fail_memory(s->error, t->heap, n * sizeof *scores);
    settings.scores = scores;
    rc = read_scores(s, scores);
    if (rc == TFM_OK) rc = tfm__unigram_build(t, &settings, s->file, s->error);
    tfm__free(t->heap, scores);
    return rc;
}

int32_t tfm__load_gguf(tfm_tokenizer *tokenizer, const tfm__container *container, tfm_error *error) {
    source s = {.tokenizer = tokenizer, .container = container, .error = error};
    const tfm__meta *model;
    tfm__text name;
    int32_t rc;
    s.file = container->blob_count ? container->blobs[0].name : NULL;
    model = find(&s, "tokenizer.ggml.model");
    s.tokens = find(&s, "tokenizer.ggml.tokens");
    if (!model || !s.tokens)
        return tfm__fail_at(error, TFM_E_MISSING, s.file, NULL, TFM__NO_OFFSET,
                            "the file holds no tokenizer");
    if (!tfm__meta_text(model, 0, &name)) return wrong(&s, "tokenizer.ggml.model", "not a text");
    if (s.tokens->type != TFM__META_ARRAY || s.tokens->item != TFM__META_STRING || s.tokens->count == 0)
        return wrong(&s, "tokenizer.ggml.tokens", "not a list of texts");
    if (s.tokens->count > INT32_MAX / 2) return wrong(&s, "tokenizer.ggml.tokens", "more tokens than ids");
    if ((rc = array_of(&s, "tokenizer.ggml.token_type", s.tokens->count, &s.types)) != 0) return rc;
    if (is_text(name, "bert")) return load_bert(&s);
    if (!is_text(name, "llama") && !is_text(name, "gpt2") && !is_text(name, "t5"))
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, s.file, "tokenizer.ggml.model", TFM__NO_OFFSET,
                            "the tokenizer model '%.*s' is not supported", (int)TFM__MIN(name.size, 64u),
                            name.data);
    if ((rc = tfm__vocab_begin(tokenizer, (size_t)s.tokens->count, error)) != 0) return rc;
    return is_text(name, "llama") ? load_spm(&s) : is_text(name, "t5") ? load_t5(&s) : load_bpe(&s);
}
