/* save_json.c - writes Hugging Face's tokenizer.json. Called by save.c and by training, which reads the
 * result back, so that a trained tokenizer and its file cannot differ.
 *
 * Byte-level BPE: ByteLevel in front of the model (its own expression for the pattern of GPT-2, otherwise a
 * Split before it) and as decoder; as post-processor where offsets leave white space out. Source: the
 * tokenizers library's format, version 1.0. */
#include "tokenizer/save.h"

typedef struct writer {
    const tfm__saved *form;
    tfm__buffer *out;
    bool ok;
} writer;

static void put(writer *w, const char *text) {
    w->ok = w->ok && tfm__buffer_append(w->out, text, strlen(text));
}

static void put_number(writer *w, uint64_t number) {
    char digits[24];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    w->ok = w->ok && tfm__buffer_append(w->out, digits + at, sizeof digits - at);
}

static void put_string(writer *w, const char *text, size_t length) {
    static const char hex[] = "0123456789abcdef";
    size_t start = 0;
    put(w, "\"");
    for (size_t i = 0; i <= length; i++) {
        uint8_t c = i < length ? (uint8_t)text[i] : 0;
        char escape[8] = {'\\', (char)c, 0};
        if (i < length && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
        w->ok = w->ok && tfm__buffer_append(w->out, text + start, i - start);
        start = i + 1;
        if (i == length) break;
        if (c == '\n') {
            escape[1] = 'n';
        } else if (c < 0x20 || c == 0x7f) {
            memcpy(escape, "\\u00", 4);
            escape[4] = hex[c >> 4];
            escape[5] = hex[c & 15];
        }
        put(w, escape);
    }
    put(w, "\"");
}

static void put_bool(writer *w, const char *key, bool value) {
    put(w, ",\"");
    put(w, key);
    put(w, value ? "\":true" : "\":false");
}

static void put_added(writer *w) {
    const tfm__saved *form = w->form;
    put(w, "\"added_tokens\":[");
    for (size_t i = 0; i < form->added.size / sizeof(tfm__added); i++) {
        tfm__added added;
        memcpy(&added, form->added.data + i * sizeof added, sizeof added);
        put(w, i ? ",\n{\"id\":" : "\n{\"id\":");
        put_number(w, (uint64_t)added.id);
        put(w, ",\"content\":");
        put_string(w, (const char *)form->blob.data + added.text.offset, added.text.length);
        put_bool(w, "single_word", added.single_word);
        put_bool(w, "lstrip", added.lstrip);
        put_bool(w, "rstrip", added.rstrip);
        put_bool(w, "normalized", added.normalized);
        put_bool(w, "special", added.special);
        put(w, "}");
    }
    put(w, "],\n");
}

static void put_byte_level(writer *w, bool prefix_space, bool use_regex) {
    put(w, "{\"type\":\"ByteLevel\"");
    put_bool(w, "add_prefix_space", prefix_space);
    put_bool(w, "trim_offsets", true);
    put_bool(w, "use_regex", use_regex);
    put(w, "}");
}

static void put_pre_tokenizer(writer *w) {
    const tfm__saved *form = w->form;
    bool gpt2 = form->splitter.count == 1 && form->splitter.stages[0].kind == TFM__SPLIT_GPT2;
    put(w, "\"pre_tokenizer\":");
    if (form->pattern && !gpt2) {
        put(w, "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":");
        put_string(w, form->pattern, strlen(form->pattern));
        put(w, "},\"behavior\":\"Isolated\",\"invert\":false},");
        put_byte_level(w, false, false);
        put(w, "]}");
    } else {
        put_byte_level(w, form->prefix_space, gpt2);
    }
    put(w, ",\n");
}

/* One end of a template. */
static void put_template_part(writer *w, int32_t id, bool *first) {
    size_t length;
    const char *name = tfm__saved_name(w->form, (size_t)id, &length);
    put(w, *first ? "{\"SpecialToken\":{\"id\":" : ",{\"SpecialToken\":{\"id\":");
    put_string(w, name, length);
    put(w, ",\"type_id\":0}}");
    *first = false;
}

static void put_sequence(writer *w, const char *id, int type, bool *first) {
    put(w, *first ? "{\"Sequence\":{\"id\":\"" : ",{\"Sequence\":{\"id\":\"");
    put(w, id);
    put(w, type ? "\",\"type_id\":1}}" : "\",\"type_id\":0}}");
    *first = false;
}

static void put_template_token(writer *w, int32_t id, bool *first) {
    size_t length;
    const char *name = tfm__saved_name(w->form, (size_t)id, &length);
    if (!*first) put(w, ",");
    put_string(w, name, length);
    put(w, ":{\"id\":");
    put_string(w, name, length);
    put(w, ",\"ids\":[");
    put_number(w, (uint64_t)id);
    put(w, "],\"tokens\":[");
    put_string(w, name, length);
    put(w, "]}");
    *first = false;
}

static void put_template(writer *w) {
    const tfm__saved *form = w->form;
    put(w, "{\"type\":\"TemplateProcessing\"");
    for (int pair = 0; pair < 2; pair++) {
        bool first = true;
        put(w, pair ? "],\"pair\":[" : ",\"single\":[");
        for (int part = 0; part <= pair; part++) {
            if (form->adds_bos) put_template_part(w, form->bos, &first);
            put_sequence(w, part ? "B" : "A", part, &first);
            if (form->adds_eos) put_template_part(w, form->eos, &first);
        }
    }
    put(w, "],\"special_tokens\":{");
    bool first = true;
    if (form->adds_bos) put_template_token(w, form->bos, &first);
    if (form->adds_eos && (!form->adds_bos || form->eos != form->bos))
        put_template_token(w, form->eos, &first);
    put(w, "}}");
}

static void put_post_processor(writer *w) {
    const tfm__saved *form = w->form;
    bool framed = form->adds_bos || form->adds_eos, trims = form->trim_offsets;
    put(w, "\"post_processor\":");
    if (trims && framed) put(w, "{\"type\":\"Sequence\",\"processors\":[");
    if (trims) put_byte_level(w, form->prefix_space, true);
    if (trims && framed) put(w, ",");
    if (framed) put_template(w);
    if (trims && framed) put(w, "]}");
    if (!trims && !framed) put(w, "null");
    put(w, ",\n");
}

static void put_vocab(writer *w) {
    const tfm__saved *form = w->form;
    bool first = true;
    put(w, "\"vocab\":{");
    for (size_t id = 0; id < tfm__saved_count(form); id++) {
        size_t length;
        const char *name = tfm__saved_name(form, id, &length);
        if (tfm__saved_at(form, id).kind == 0) continue;
        put(w, first ? "\n" : ",\n");
        put_string(w, name, length);
        put(w, ":");
        put_number(w, id);
        first = false;
    }
    put(w, "},\n");
}

static void put_merges(writer *w) {
    const tfm__saved *form = w->form;
    put(w, "\"merges\":[");
    for (size_t i = 0; i < form->merges.size / sizeof(uint64_t); i++) {
        uint64_t merge = tfm__saved_merge(form, i);
        size_t length;
        const char *name = tfm__saved_name(form, (size_t)(merge >> 32), &length);
        put(w, i ? ",\n[" : "\n[");
        put_string(w, name, length);
        put(w, ",");
        name = tfm__saved_name(form, (size_t)(uint32_t)merge, &length);
        put_string(w, name, length);
        put(w, "]");
    }
    put(w, "]}\n}\n");
}

int32_t tfm__save_json(const tfm__saved *form, tfm__buffer *out) {
    writer w = {form, out, true};
    if (!form->byte_level)
        return tfm__fail(
            form->error, TFM_E_UNSUPPORTED,
            "tokenizer.json cannot say all that SentencePiece does; save its own .model instead");
    put(&w, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n");
    put_added(&w);
    put(&w, form->nfc ? "\"normalizer\":{\"type\":\"NFC\"},\n" : "\"normalizer\":null,\n");
    put_pre_tokenizer(&w);
    put_post_processor(&w);
    put(&w, "\"decoder\":");
    put_byte_level(&w, true, true);
    put(&w, ",\n\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_"
            "prefix\":null,"
            "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false");
    put_bool(&w, "ignore_merges", form->ignore_merges);
    put(&w, ",\n");
    put_vocab(&w);
    put_merges(&w);
    return w.ok ? TFM_OK : tfm__fail_memory(form->error, form->heap, 0);
}
