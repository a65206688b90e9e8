/* load_vocab.c - files that hold a vocabulary and nothing else: BERT's vocab.txt (one WordPiece token a
 * line), GPT-2's vocab.json with merges.txt (OpenAI's encoder.json with vocab.bpe), and BERT's vocabulary in
 * GGUF. Called by load.c and load_gguf.c.
 *
 * What such files leave unsaid (normalizer, splitting, template, decoder) is what the original tokenizer
 * classes do; it is written down as a tokenizer.json and read by load_hf.c, so that there is one description
 * of everything. Sources: BERT's tokenization.py, GPT-2's encoder.py, the converters of Hugging Face
 * transformers (BertTokenizer, GPT2Tokenizer, RobertaTokenizer). */
#include "tokenizer/load_vocab.h"

#include "tokenizer/save_json.h"

/* ---- BERT ---- */

static bool is_name(const tfm__text *token, const char *name) {
    return token->size == strlen(name) && memcmp(token->data, name, token->size) == 0;
}

static int64_t id_of(const tfm__bert_vocab *v, const char *name) {
    for (size_t i = v->count; i-- > 0;) /* of two of the same name the later counts */
        if (is_name(&v->tokens[i], name)) return (int64_t)i;
    return -1;
}

/* A vocabulary that has the capitals A to Z is for text whose case is kept; others are for lower-cased text.
 */
static bool has_capitals(const tfm__bert_vocab *v) {
    uint32_t seen = 0;
    for (size_t i = 0; i < v->count; i++)
        if (v->tokens[i].size == 1 && v->tokens[i].data[0] >= 'A' && v->tokens[i].data[0] <= 'Z')
            seen |= 1u << (v->tokens[i].data[0] - 'A');
    return seen == (1u << 26) - 1;
}

static void put_template_token(tfm__json_writer *w, const char *name, int type) {
    tfm__json_put(w, "{\"SpecialToken\":{\"id\":\"");
    tfm__json_put(w, name);
    tfm__json_put(w, type ? "\",\"type_id\":1}}" : "\",\"type_id\":0}}");
}

static void put_template_text(tfm__json_writer *w, const char *name, int type) {
    tfm__json_put(w, "{\"Sequence\":{\"id\":\"");
    tfm__json_put(w, name);
    tfm__json_put(w, type ? "\",\"type_id\":1}}" : "\",\"type_id\":0}}");
}

static void put_template_id(tfm__json_writer *w, const char *name, int64_t id) {
    tfm__json_put(w, "\"");
    tfm__json_put(w, name);
    tfm__json_put(w, "\":{\"id\":\"");
    tfm__json_put(w, name);
    tfm__json_put(w, "\",\"ids\":[");
    tfm__json_put_number(w, (uint64_t)id);
    tfm__json_put(w, "],\"tokens\":[\"");
    tfm__json_put(w, name);
    tfm__json_put(w, "\"]}");
}

/* [CLS] A [SEP], and behind it B [SEP] of type 1. */
static void put_bert_template(tfm__json_writer *w, int64_t cls, int64_t sep) {
    tfm__json_put(w, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    put_template_token(w, "[CLS]", 0);
    tfm__json_put(w, ",");
    put_template_text(w, "A", 0);
    tfm__json_put(w, ",");
    put_template_token(w, "[SEP]", 0);
    tfm__json_put(w, "],\"pair\":[");
    put_template_token(w, "[CLS]", 0);
    tfm__json_put(w, ",");
    put_template_text(w, "A", 0);
    tfm__json_put(w, ",");
    put_template_token(w, "[SEP]", 0);
    tfm__json_put(w, ",");
    put_template_text(w, "B", 1);
    tfm__json_put(w, ",");
    put_template_token(w, "[SEP]", 1);
    tfm__json_put(w, "],\"special_tokens\":{");
    put_template_id(w, "[CLS]", cls);
    tfm__json_put(w, ",");
    put_template_id(w, "[SEP]", sep);
    tfm__json_put(w, "}},\n");
}

static void put_special(tfm__json_writer *w, int64_t id, const char *name, bool lstrip, bool *any) {
    if (id < 0) return;
    tfm__json_put(w, *any ? ",{\"id\":" : "{\"id\":");
    tfm__json_put_number(w, (uint64_t)id);
    tfm__json_put(w, ",\"content\":");
    tfm__json_put_string(w, name, strlen(name));
    tfm__json_put_bool(w, "single_word", false);
    tfm__json_put_bool(w, "lstrip", lstrip);
    tfm__json_put_bool(w, "rstrip", false);
    tfm__json_put_bool(w, "normalized", false);
    tfm__json_put_bool(w, "special", true);
    tfm__json_put(w, "}");
    *any = true;
}

void tfm__vocab_special(tfm__json_writer *w, int64_t id, const char *name, bool *any) {
    put_special(w, id, name, false, any);
}

static void put_bert(tfm__json_writer *w, const tfm__bert_vocab *v) {
    static const char *const specials[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    bool lower = v->lower_case == TFM_DEFAULT ? !has_capitals(v) : v->lower_case == TFM_YES;
    bool accents = v->strip_accents == TFM_DEFAULT ? lower : v->strip_accents == TFM_YES, any = false;
    int64_t cls = id_of(v, "[CLS]"), sep = id_of(v, "[SEP]");
    tfm__json_put(w, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (size_t i = 0; i < TFM__COUNT(specials); i++)
        put_special(w, id_of(v, specials[i]), specials[i], false, &any);
    tfm__json_put(w, "],\n\"normalizer\":{\"type\":\"BertNormalizer\"");
    tfm__json_put_bool(w, "clean_text", true);
    tfm__json_put_bool(w, "handle_chinese_chars", v->chinese != TFM_NO);
    tfm__json_put_bool(w, "strip_accents", accents);
    tfm__json_put_bool(w, "lowercase", lower);
    tfm__json_put(w, "},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\n");
    if (cls >= 0 && sep >= 0)
        put_bert_template(w, cls, sep);
    else
        tfm__json_put(w, "\"post_processor\":null,");
    tfm__json_put(
        w, "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},\n"
           "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
           "\"max_input_chars_per_word\":100,\"vocab\":{");
    for (size_t i = 0; i < v->count && w->ok; i++) {
        tfm__json_put(w, i ? ",\n" : "\n");
        tfm__json_put_string(w, v->tokens[i].data, v->tokens[i].size);
        tfm__json_put(w, ":");
        tfm__json_put_number(w, i);
    }
    tfm__json_put(w, "}}}");
}

static int32_t read_json(tfm_tokenizer *t, const tfm__buffer *json, const char *name, tfm_error *error) {
    tfm__loaded_text text = {json->data, json->size, name};
    return tfm__load_hf(t, &text, error);
}

int32_t tfm__load_bert(tfm_tokenizer *t, const tfm__bert_vocab *vocab, const char *name, tfm_error *error) {
    tfm__buffer json;
    tfm__json_writer w = {.out = &json, .ok = true};
    int32_t rc;
    if (id_of(vocab, "[UNK]") < 0)
        return tfm__fail_at(error, TFM_E_FORMAT, name, NULL, TFM__NO_OFFSET, "a vocabulary without [UNK]");
    tfm__buffer_init(&json, t->heap);
    put_bert(&w, vocab);
    rc = w.ok ? read_json(t, &json, name, error) : tfm__fail_memory(error, t->heap, json.size);
    tfm__buffer_free(&json);
    return rc;
}

/* The next line, without what ends it; false at the end. A carriage return in front of the line feed belongs
 * to the end. */
bool tfm__vocab_line(const uint8_t *data, size_t size, size_t *at, tfm__text *line) {
    const uint8_t *end;
    if (*at >= size) return false;
    end = memchr(data + *at, '\n', size - *at);
    line->data = (const char *)data + *at;
    line->size = (end ? (size_t)(end - data) : size) - *at;
    *at += line->size + 1;
    if (line->size && line->data[line->size - 1] == '\r') line->size--;
    return true;
}

bool tfm__is_vocab_txt(const uint8_t *data, size_t size) {
    tfm__text line;
    for (size_t at = 0; tfm__vocab_line(data, size, &at, &line);) {
        if (line.size > 4096) return false;
        if (is_name(&line, "[UNK]")) return true;
    }
    return false;
}

int32_t tfm__load_vocab_txt(tfm_tokenizer *t, const tfm__loaded_text *file, const tfm__bert_vocab *settings,
                            tfm_error *error) {
    tfm__bert_vocab vocab = *settings;
    tfm__buffer tokens;
    tfm__text line;
    bool ok = true;
    int32_t rc = TFM_OK;
    tfm__buffer_init(&tokens, t->heap);
    for (size_t at = 0, start = 0; rc == TFM_OK && ok && tfm__vocab_line(file->data, file->size, &at, &line);
         start = at) {
        if (tfm__utf8_valid((const uint8_t *)line.data, line.size) < line.size)
            rc = tfm__fail_at(error, TFM_E_FORMAT, file->name, NULL, start, "a token that is not UTF-8");
        ok = tfm__buffer_append(&tokens, &line, sizeof line);
    }
    if (rc == TFM_OK && !ok) rc = tfm__fail_memory(error, t->heap, tokens.size);
    vocab.tokens = (const tfm__text *)(const void *)tokens.data;
    vocab.count = tokens.size / sizeof(tfm__text);
    if (rc == TFM_OK) rc = tfm__load_bert(t, &vocab, file->name, error);
    tfm__buffer_free(&tokens);
    return rc;
}

/* ---- GPT-2 ---- */

/* The "a b" lines of merges.txt; a first line that begins with "#version" says nothing. */
static int32_t put_merges(tfm__json_writer *w, const tfm__loaded_text *merges, tfm_error *error) {
    tfm__text line;
    bool first = true;
    for (size_t at = 0, start = 0, number = 1; tfm__vocab_line(merges->data, merges->size, &at, &line);
         start = at, number++) {
        const char *space = line.size ? memchr(line.data, ' ', line.size) : NULL;
        size_t left = space ? (size_t)(space - line.data) : 0;
        if (line.size == 0 || (number == 1 && line.size >= 8 && memcmp(line.data, "#version", 8) == 0))
            continue;
        if (!left || left + 1 == line.size || memchr(space + 1, ' ', line.size - left - 1))
            return tfm__fail_at(error, TFM_E_FORMAT, merges->name, NULL, start,
                                "line %zu is not two tokens with a space between them", number);
        tfm__json_put(w, first ? "\n[" : ",\n[");
        tfm__json_put_string(w, line.data, left);
        tfm__json_put(w, ",");
        tfm__json_put_string(w, space + 1, line.size - left - 1);
        tfm__json_put(w, "]");
        first = false;
    }
    return TFM_OK;
}

static int64_t json_id(const tfm__json *vocab, const char *name) {
    int64_t id;
    return tfm__json_i64(vocab, tfm__json_get(vocab, tfm__json_root(vocab), name), &id) && id >= 0 ? id : -1;
}

static void put_pair(tfm__json_writer *w, const char *key, const char *name, int64_t id) {
    tfm__json_put(w, ",\"");
    tfm__json_put(w, key);
    tfm__json_put(w, "\":[\"");
    tfm__json_put(w, name);
    tfm__json_put(w, "\",");
    tfm__json_put_number(w, (uint64_t)id);
    tfm__json_put(w, "]");
}

/* A vocabulary with <s>, </s> and <mask> is RoBERTa's, which frames texts with the first two. */
static int32_t put_gpt2(tfm__json_writer *w, const tfm__json *vocab, const tfm__loaded_text *file,
                        const tfm__loaded_text *merges, tfm_error *error) {
    static const char *const specials[] = {"<s>", "<pad>", "</s>", "<unk>"};
    int64_t s = json_id(vocab, "<s>"), end = json_id(vocab, "</s>"), mask = json_id(vocab, "<mask>");
    bool any = false, roberta = s >= 0 && end >= 0 && mask >= 0;
    int32_t rc;
    tfm__json_put(w, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    put_special(w, json_id(vocab, "<|endoftext|>"), "<|endoftext|>", false, &any);
    for (size_t i = 0; i < TFM__COUNT(specials) && roberta; i++)
        put_special(w, json_id(vocab, specials[i]), specials[i], false, &any);
    if (roberta) put_special(w, mask, "<mask>", true, &any);
    tfm__json_put(
        w, "],\n\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
           "\"trim_offsets\":true},\n\"post_processor\":{\"type\":");
    if (roberta) {
        tfm__json_put(w, "\"RobertaProcessing\"");
        put_pair(w, "sep", "</s>", end);
        put_pair(w, "cls", "<s>", s);
        tfm__json_put(w, ",\"trim_offsets\":true,\"add_prefix_space\":false}");
    } else {
        tfm__json_put(w, "\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":false}");
    }
    tfm__json_put(w, ",\n\"decoder\":{\"type\":\"ByteLevel\"},\n\"model\":{\"type\":\"BPE\",\"vocab\":");
    w->ok = w->ok && tfm__buffer_append(w->out, file->data, file->size);
    tfm__json_put(w, ",\"merges\":[");
    if ((rc = put_merges(w, merges, error)) != 0) return rc;
    tfm__json_put(w, "]}}");
    return TFM_OK;
}

bool tfm__is_vocab_json(const tfm__json *json) {
    tfm__json_value key = tfm__json_first(json, tfm__json_root(json));
    int64_t id;
    return tfm__json_kind(json, tfm__json_root(json)) == TFM__JSON_OBJECT &&
           tfm__json_size(json, tfm__json_root(json)) > 1 &&
           tfm__json_i64(json, tfm__json_member_value(json, key), &id) && id >= 0;
}

int32_t tfm__load_vocab_json(tfm_tokenizer *t, const tfm__loaded_text *file, const tfm__loaded_text *merges,
                             tfm_error *error) {
    tfm__buffer json;
    tfm__json_writer w = {.out = &json, .ok = true};
    tfm__json vocab;
    int32_t rc = tfm__json_parse(&vocab, t->heap, (const char *)file->data, file->size, file->name, error);
    if (rc) return rc;
    tfm__buffer_init(&json, t->heap);
    rc = put_gpt2(&w, &vocab, file, merges, error);
    tfm__json_release(&vocab);
    if (rc == TFM_OK)
        rc = w.ok ? read_json(t, &json, file->name, error) : tfm__fail_memory(error, t->heap, json.size);
    tfm__buffer_free(&json);
    return rc;
}
