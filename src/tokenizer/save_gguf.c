/* save_gguf.c - writes a GGUF file, version 3, that holds a vocabulary and no tensors, as llama.cpp loads it
 * (and as its own vocabulary files are made). Called by save.c.
 *
 * Byte-level BPE has the model "gpt2" with merges and the name of a pre-tokenizer that stands for the
 * pattern. Source: the GGUF specification; the keys as llama.cpp reads them. */
#include "tokenizer/save.h"

typedef struct writer {
    const tfm__saved *form;
    tfm__gguf_values *values;
} writer;

static void put_text_value(const writer *w, const char *key, const char *text) {
    tfm__gguf_put_text(w->values, key, text, strlen(text));
}

static void put_id_value(const writer *w, const char *key, int32_t id) {
    if (id >= 0) tfm__gguf_put_u32(w->values, key, (uint32_t)id);
}

/* Ids that are not in use get names that no other token has. */
static void put_hole(const writer *w, size_t id) {
    char name[32] = "[UNUSED_";
    char digits[24];
    size_t at = sizeof digits, length = 8;
    do digits[--at] = (char)('0' + id % 10);
    while ((id /= 10) > 0);
    memcpy(name + length, digits + at, sizeof digits - at);
    length += sizeof digits - at;
    name[length++] = ']';
    tfm__gguf_add_text(w->values, name, length);
}

/* vocab is how many tokens the model has rows for: those behind the last token are holes. */
static void put_tokens(const writer *w, size_t vocab) {
    const tfm__saved *form = w->form;
    size_t count = tfm__saved_count(form);
    tfm__gguf_put_array(w->values, "tokenizer.ggml.tokens", TFM__META_STRING, vocab);
    for (size_t id = 0; id < vocab; id++) {
        size_t length = 0;
        if (id < count && tfm__saved_at(form, id).kind) {
            const char *name = tfm__saved_name(form, id, &length);
            tfm__gguf_add_text(w->values, name, length);
        } else {
            put_hole(w, id);
        }
    }
    tfm__gguf_put_array(w->values, "tokenizer.ggml.token_type", TFM__META_I32, vocab);
    for (size_t id = 0; id < vocab; id++) {
        uint8_t kind = id < count ? tfm__saved_at(form, id).kind : 0;
        tfm__gguf_add_u32(w->values, kind ? kind : TFM_TOKEN_UNUSED);
    }
}

static void put_merges(const writer *w) {
    const tfm__saved *form = w->form;
    size_t count = form->merges.size / sizeof(uint64_t);
    tfm__gguf_put_array(w->values, "tokenizer.ggml.merges", TFM__META_STRING, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t merge = tfm__saved_merge(form, i);
        size_t left_length, right_length;
        const char *left = tfm__saved_name(form, (size_t)(merge >> 32), &left_length);
        const char *right = tfm__saved_name(form, (size_t)(uint32_t)merge, &right_length);
        uint64_t length = left_length + right_length + 1;
        tfm__gguf_add_u32(w->values, (uint32_t)length);
        tfm__gguf_add_u32(w->values, (uint32_t)(length >> 32));
        tfm__gguf_add_bytes(w->values, left, left_length);
        tfm__gguf_add_bytes(w->values, " ", 1);
        tfm__gguf_add_bytes(w->values, right, right_length);
    }
}

static void put_scores(const writer *w, size_t vocab) {
    const tfm__saved *form = w->form;
    tfm__gguf_put_array(w->values, "tokenizer.ggml.scores", TFM__META_F32, vocab);
    for (size_t id = 0; id < vocab; id++)
        tfm__gguf_add_f32(w->values, id < tfm__saved_count(form) ? tfm__saved_at(form, id).score : 0.0f);
}

/* What llama.cpp does with tokens that are matched whole is one thing only. */
static int32_t check_added(const tfm__saved *form) {
    for (size_t i = 0; i < form->added.size / sizeof(tfm__added); i++) {
        tfm__added added;
        memcpy(&added, form->added.data + i * sizeof added, sizeof added);
        if (added.lstrip || added.rstrip || added.single_word || (added.normalized && form->nfc))
            return tfm__fail(
                form->error, TFM_E_UNSUPPORTED,
                "GGUF cannot say that the token '%.*s' takes white space along, stands alone or is sought "
                "in normalized text",
                (int)TFM__MIN(added.text.length, 64u), (const char *)form->blob.data + added.text.offset);
    }
    return TFM_OK;
}

int32_t tfm__save_gguf_values(const tfm__saved *form, size_t vocab, tfm__gguf_values *values) {
    const writer w = {form, values};
    const char *pre = NULL;
    int32_t rc = check_added(form);
    if (rc) return rc;
    if (vocab < tfm__saved_count(form))
        return tfm__fail(form->error, TFM_E_UNSUPPORTED,
                         "the tokenizer has %zu tokens, the model rows for %zu: GGUF cannot say that",
                         tfm__saved_count(form), vocab);
    if (form->byte_level) {
        pre = form->prefix_space || !form->pattern
                  ? NULL
                  : tfm__split_pre_name(&form->splitter.stages[0], form->ignore_merges, form->nfc);
        if (!pre)
            return tfm__fail(form->error, TFM_E_UNSUPPORTED,
                             "GGUF has no name for the pre-tokenizer of this tokenizer (\"cl100k\" of "
                             "tiktoken takes white "
                             "space at the end of a text together, \"llama3\" is the same without that)");
    }
    put_text_value(&w, "tokenizer.ggml.model", form->byte_level ? "gpt2" : "llama");
    if (pre) put_text_value(&w, "tokenizer.ggml.pre", pre);
    put_tokens(&w, vocab);
    if (form->byte_level)
        put_merges(&w);
    else
        put_scores(&w, vocab);
    put_id_value(&w, "tokenizer.ggml.bos_token_id", form->bos);
    put_id_value(&w, "tokenizer.ggml.eos_token_id", form->eos);
    put_id_value(&w, "tokenizer.ggml.unknown_token_id", form->unknown);
    put_id_value(&w, "tokenizer.ggml.padding_token_id", form->padding);
    tfm__gguf_put_bool(values, "tokenizer.ggml.add_bos_token", form->adds_bos);
    tfm__gguf_put_bool(values, "tokenizer.ggml.add_eos_token", form->adds_eos);
    if (!form->byte_level) {
        tfm__gguf_put_bool(values, "tokenizer.ggml.add_space_prefix", form->rules.dummy_prefix);
        tfm__gguf_put_bool(values, "tokenizer.ggml.remove_extra_whitespaces", form->rules.remove_extra);
    }
    return TFM_OK;
}

int32_t tfm__save_gguf(const tfm__saved *form, tfm__buffer *out) {
    tfm__gguf_values values;
    uint64_t data;
    tfm__gguf_values_init(&values, form->heap);
    const writer w = {form, &values};
    put_text_value(&w, "general.architecture", form->byte_level ? "gpt2" : "llama");
    put_text_value(&w, "general.type", "model");
    put_text_value(&w, "general.name", "tokenizer");
    int32_t rc = tfm__save_gguf_values(form, tfm__saved_count(form), &values);
    if (rc == TFM_OK) rc = tfm__gguf_head(&values, NULL, 0, out, &data, form->error);
    tfm__gguf_values_free(&values);
    return rc;
}
