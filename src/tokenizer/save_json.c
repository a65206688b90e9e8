/* save_json.c - writes Hugging Face's tokenizer.json. Called by save.c and by training, which reads the
 * result back, so that a trained tokenizer and its file cannot differ.
 *
 * Byte-level BPE: ByteLevel in front of the model (its own expression for the pattern of GPT-2, otherwise a
 * Split before it) and as decoder; as post-processor where offsets leave white space out. Source: the
 * tokenizers library's format, version 1.0. */
#include "tokenizer/save_json.h"

void tfm__json_put_added(tfm__json_writer *w) {
    const tfm__saved *form = w->form;
    tfm__json_put(w, "\"added_tokens\":[");
    for (size_t i = 0; i < form->added.size / sizeof(tfm__added); i++) {
        tfm__added added;
        memcpy(&added, form->added.data + i * sizeof added, sizeof added);
        tfm__json_put(w, i ? ",\n{\"id\":" : "\n{\"id\":");
        tfm__json_put_number(w, (uint64_t)added.id);
        tfm__json_put(w, ",\"content\":");
        tfm__json_put_string(w, (const char *)form->blob.data + added.text.offset, added.text.length);
        tfm__json_put_bool(w, "single_word", added.single_word);
        tfm__json_put_bool(w, "lstrip", added.lstrip);
        tfm__json_put_bool(w, "rstrip", added.rstrip);
        tfm__json_put_bool(w, "normalized", added.normalized);
        tfm__json_put_bool(w, "special", added.special);
        tfm__json_put(w, "}");
    }
    tfm__json_put(w, "],\n");
}

static void put_byte_level(tfm__json_writer *w, bool prefix_space, bool use_regex) {
    tfm__json_put(w, "{\"type\":\"ByteLevel\"");
    tfm__json_put_bool(w, "add_prefix_space", prefix_space);
    tfm__json_put_bool(w, "trim_offsets", true);
    tfm__json_put_bool(w, "use_regex", use_regex);
    tfm__json_put(w, "}");
}

static void put_pre_tokenizer(tfm__json_writer *w) {
    const tfm__saved *form = w->form;
    bool gpt2 = form->splitter.count == 1 && form->splitter.stages[0].kind == TFM__SPLIT_GPT2;
    tfm__json_put(w, "\"pre_tokenizer\":");
    if (form->pattern && !gpt2) {
        tfm__json_put(
            w, "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":");
        tfm__json_put_string(w, form->pattern, strlen(form->pattern));
        tfm__json_put(w, "},\"behavior\":\"Isolated\",\"invert\":false},");
        put_byte_level(w, false, false);
        tfm__json_put(w, "]}");
    } else {
        put_byte_level(w, form->prefix_space, gpt2);
    }
    tfm__json_put(w, ",\n");
}

/* One end of a template. */
static void put_template_part(tfm__json_writer *w, int32_t id, bool *first) {
    size_t length;
    const char *name = tfm__saved_name(w->form, (size_t)id, &length);
    tfm__json_put(w, *first ? "{\"SpecialToken\":{\"id\":" : ",{\"SpecialToken\":{\"id\":");
    tfm__json_put_string(w, name, length);
    tfm__json_put(w, ",\"type_id\":0}}");
    *first = false;
}

static void put_sequence(tfm__json_writer *w, const char *id, int type, bool *first) {
    tfm__json_put(w, *first ? "{\"Sequence\":{\"id\":\"" : ",{\"Sequence\":{\"id\":\"");
    tfm__json_put(w, id);
    tfm__json_put(w, type ? "\",\"type_id\":1}}" : "\",\"type_id\":0}}");
    *first = false;
}

static void put_template_token(tfm__json_writer *w, int32_t id, bool *first) {
    size_t length;
    const char *name = tfm__saved_name(w->form, (size_t)id, &length);
    if (!*first) tfm__json_put(w, ",");
    tfm__json_put_string(w, name, length);
    tfm__json_put(w, ":{\"id\":");
    tfm__json_put_string(w, name, length);
    tfm__json_put(w, ",\"ids\":[");
    tfm__json_put_number(w, (uint64_t)id);
    tfm__json_put(w, "],\"tokens\":[");
    tfm__json_put_string(w, name, length);
    tfm__json_put(w, "]}");
    *first = false;
}

void tfm__json_put_template(tfm__json_writer *w) {
    const tfm__saved *form = w->form;
    tfm__json_put(w, "{\"type\":\"TemplateProcessing\"");
    for (int pair = 0; pair < 2; pair++) {
        bool first = true;
        tfm__json_put(w, pair ? "],\"pair\":[" : ",\"single\":[");
        for (int part = 0; part <= pair; part++) {
            if (form->adds_bos) put_template_part(w, form->bos, &first);
            put_sequence(w, part ? "B" : "A", part, &first);
            if (form->adds_eos) put_template_part(w, form->eos, &first);
        }
    }
    tfm__json_put(w, "],\"special_tokens\":{");
    bool first = true;
    if (form->adds_bos) put_template_token(w, form->bos, &first);
    if (form->adds_eos && (!form->adds_bos || form->eos != form->bos))
        put_template_token(w, form->eos, &first);
    tfm__json_put(w, "}}");
}

static void put_post_processor(tfm__json_writer *w) {
    const tfm__saved *form = w->form;
    bool framed = form->adds_bos || form->adds_eos, trims = form->trim_offsets;
    tfm__json_put(w, "\"post_processor\":");
    if (trims && framed) tfm__json_put(w, "{\"type\":\"Sequence\",\"processors\":[");
    if (trims) put_byte_level(w, form->prefix_space, true);
    if (trims && framed) tfm__json_put(w, ",");
    if (framed) tfm__json_put_template(w);
    if (trims && framed) tfm__json_put(w, "]}");
    if (!trims && !framed) tfm__json_put(w, "null");
    tfm__json_put(w, ",\n");
}

void tfm__json_put_vocab(tfm__json_writer *w) {
    const tfm__saved *form = w->form;
    bool first = true;
    tfm__json_put(w, "\"vocab\":{");
    for (size_t id = 0; id < tfm__saved_count(form); id++) {
        size_t length;
        const char *name = tfm__saved_name(form, id, &length);
        if (tfm__saved_at(form, id).kind == 0) continue;
        tfm__json_put(w, first ? "\n" : ",\n");
        tfm__json_put_string(w, name, length);
        tfm__json_put(w, ":");
        tfm__json_put_number(w, id);
        first = false;
    }
    tfm__json_put(w, "},\n");
}

void tfm__json_put_merges(tfm__json_writer *w) {
    const tfm__saved *form = w->form;
    tfm__json_put(w, "\"merges\":[");
    for (size_t i = 0; i < form->merges.size / sizeof(uint64_t); i++) {
        uint64_t merge = tfm__saved_merge(form, i);
        size_t length;
        const char *name = tfm__saved_name(form, (size_t)(merge >> 32), &length);
        tfm__json_put(w, i ? ",\n[" : "\n[");
        tfm__json_put_string(w, name, length);
        tfm__json_put(w, ",");
        name = tfm__saved_name(form, (size_t)(uint32_t)merge, &length);
        tfm__json_put_string(w, name, length);
        tfm__json_put(w, "]");
    }
    tfm__json_put(w, "]}\n}\n");
}

int32_t tfm__save_json(const tfm__saved *form, tfm__buffer *out) {
    tfm__json_writer w = {form, out, true};
    if (!form->byte_level) return tfm__save_json_spm(form, out);
    tfm__json_put(&w, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n");
    tfm__json_put_added(&w);
    tfm__json_put(&w, form->nfc ? "\"normalizer\":{\"type\":\"NFC\"},\n" : "\"normalizer\":null,\n");
    put_pre_tokenizer(&w);
    put_post_processor(&w);
    tfm__json_put(&w, "\"decoder\":");
    put_byte_level(&w, true, true);
    tfm__json_put(&w,
                  ",\n\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_"
                  "prefix\":null,"
                  "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false");
    tfm__json_put_bool(&w, "ignore_merges", form->ignore_merges);
    tfm__json_put(&w, ",\n");
    tfm__json_put_vocab(&w);
    tfm__json_put_merges(&w);
    return w.ok ? TFM_OK : tfm__fail_memory(form->error, form->heap, 0);
}
