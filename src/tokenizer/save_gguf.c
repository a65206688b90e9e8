/* save_gguf.c - writes a GGUF file, version 3, that holds a vocabulary and no tensors, as llama.cpp loads it
 * (and as its own vocabulary files are made). Called by save.c.
 *
 * Layout: "GGUF", version, number of tensors (0), number of values; then each value as key, type, value.
 * Byte-level BPE has the model "gpt2" with merges and the name of a pre-tokenizer that stands for the
 * pattern. Source: the GGUF specification; the keys as llama.cpp reads them. */
#include "tokenizer/save.h"

enum { GGUF_UINT32 = 4, GGUF_INT32 = 5, GGUF_FLOAT32 = 6, GGUF_BOOL = 7, GGUF_STRING = 8, GGUF_ARRAY = 9 };

typedef struct writer {
    const tfm__saved *form;
    tfm__buffer *out;
    uint64_t values;
    bool ok;
} writer;

static void put(writer *w, const void *bytes, size_t size) {
    w->ok = w->ok && tfm__buffer_append(w->out, bytes, size);
}

static void put_u32(writer *w, uint32_t value) {
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                        (uint8_t)(value >> 24)};
    put(w, bytes, sizeof bytes);
}

static void put_u64(writer *w, uint64_t value) {
    put_u32(w, (uint32_t)value);
    put_u32(w, (uint32_t)(value >> 32));
}

static void put_text(writer *w, const char *text, size_t length) {
    put_u64(w, length);
    put(w, text, length);
}

static void put_key(writer *w, const char *key, uint32_t type) {
    put_text(w, key, strlen(key));
    put_u32(w, type);
    w->values++;
}

static void put_text_value(writer *w, const char *key, const char *text) {
    put_key(w, key, GGUF_STRING);
    put_text(w, text, strlen(text));
}

static void put_bool_value(writer *w, const char *key, bool value) {
    uint8_t byte = value;
    put_key(w, key, GGUF_BOOL);
    put(w, &byte, 1);
}

static void put_id_value(writer *w, const char *key, int32_t id) {
    if (id < 0) return;
    put_key(w, key, GGUF_UINT32);
    put_u32(w, (uint32_t)id);
}

static void put_array(writer *w, const char *key, uint32_t type, uint64_t count) {
    put_key(w, key, GGUF_ARRAY);
    put_u32(w, type);
    put_u64(w, count);
}

/* Ids that are not in use get names that no other token has. */
static void put_hole(writer *w, size_t id) {
    char name[32] = "[UNUSED_";
    char digits[24];
    size_t at = sizeof digits, length = 8;
    do digits[--at] = (char)('0' + id % 10);
    while ((id /= 10) > 0);
    memcpy(name + length, digits + at, sizeof digits - at);
    length += sizeof digits - at;
    name[length++] = ']';
    put_text(w, name, length);
}

static void put_tokens(writer *w) {
    const tfm__saved *form = w->form;
    size_t count = tfm__saved_count(form);
    put_array(w, "tokenizer.ggml.tokens", GGUF_STRING, count);
    for (size_t id = 0; id < count; id++) {
        size_t length;
        const char *name = tfm__saved_name(form, id, &length);
        if (tfm__saved_at(form, id).kind)
            put_text(w, name, length);
        else
            put_hole(w, id);
    }
    put_array(w, "tokenizer.ggml.token_type", GGUF_INT32, count);
    for (size_t id = 0; id < count; id++) {
        uint8_t kind = tfm__saved_at(form, id).kind;
        put_u32(w, kind ? kind : TFM_TOKEN_UNUSED);
    }
}

static void put_merges(writer *w) {
    const tfm__saved *form = w->form;
    size_t count = form->merges.size / sizeof(uint64_t);
    put_array(w, "tokenizer.ggml.merges", GGUF_STRING, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t merge = tfm__saved_merge(form, i);
        size_t left_length, right_length;
        const char *left = tfm__saved_name(form, (size_t)(merge >> 32), &left_length);
        const char *right = tfm__saved_name(form, (size_t)(uint32_t)merge, &right_length);
        put_u64(w, left_length + right_length + 1);
        put(w, left, left_length);
        put(w, " ", 1);
        put(w, right, right_length);
    }
}

static void put_scores(writer *w) {
    const tfm__saved *form = w->form;
    put_array(w, "tokenizer.ggml.scores", GGUF_FLOAT32, tfm__saved_count(form));
    for (size_t id = 0; id < tfm__saved_count(form); id++) {
        float score = tfm__saved_at(form, id).score;
        uint32_t bits;
        memcpy(&bits, &score, sizeof bits);
        put_u32(w, bits);
    }
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

int32_t tfm__save_gguf(const tfm__saved *form, tfm__buffer *out) {
    writer w = {form, out, 0, true};
    size_t start = out->size;
    const char *pre = NULL;
    int32_t rc = check_added(form);
    if (rc) return rc;
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
    put(&w, "GGUF", 4);
    put_u32(&w, 3);
    put_u64(&w, 0);
    put_u64(&w, 0); /* the number of values: below */
    put_text_value(&w, "general.architecture", form->byte_level ? "gpt2" : "llama");
    put_text_value(&w, "general.type", "model");
    put_text_value(&w, "general.name", "tokenizer");
    put_text_value(&w, "tokenizer.ggml.model", form->byte_level ? "gpt2" : "llama");
    if (pre) put_text_value(&w, "tokenizer.ggml.pre", pre);
    put_tokens(&w);
    if (form->byte_level)
        put_merges(&w);
    else
        put_scores(&w);
    put_id_value(&w, "tokenizer.ggml.bos_token_id", form->bos);
    put_id_value(&w, "tokenizer.ggml.eos_token_id", form->eos);
    put_id_value(&w, "tokenizer.ggml.unknown_token_id", form->unknown);
    put_id_value(&w, "tokenizer.ggml.padding_token_id", form->padding);
    put_bool_value(&w, "tokenizer.ggml.add_bos_token", form->adds_bos);
    put_bool_value(&w, "tokenizer.ggml.add_eos_token", form->adds_eos);
    if (!form->byte_level) {
        put_bool_value(&w, "tokenizer.ggml.add_space_prefix", form->rules.dummy_prefix);
        put_bool_value(&w, "tokenizer.ggml.remove_extra_whitespaces", form->rules.remove_extra);
    }
    if (!w.ok) return tfm__fail_memory(form->error, form->heap, 0);
    for (int i = 0; i < 8; i++) out->data[start + 16 + (size_t)i] = (uint8_t)(w.values >> 8 * i);
    while (w.ok && (out->size - start) % 32) put(&w, "", 1);
    return w.ok ? TFM_OK : tfm__fail_memory(form->error, form->heap, 0);
}
