/* load_ct2.c - the vocabularies of a CTranslate2 folder: one whole token a line, or a JSON list of them.
 * Called by load.c.
 *
 * The folder holds no rules for cutting texts: its users hand over tokens. So do they here, with spaces
 * between them; a word that is no token is unknown. What is written has spaces between the tokens, too. The
 * names of the special tokens are in config.json, or <s>, </s>, <unk>; an <unk> that is missing comes behind
 * the last token, where the weights have a row for it. */
#include "tokenizer/load_vocab.h"

#include "tokenizer/save_json.h"

/* The tokens of a vocabulary, unescaped; their bytes are in the file or in the arena. */
typedef struct tokens {
    tfm__buffer list;  /* of tfm__text */
    tfm__arena *arena; /* of what a JSON file escapes */
} tokens;

static bool add(tokens *t, const char *data, size_t size) {
    tfm__text text = {data, size};
    return tfm__buffer_append(&t->list, &text, sizeof text);
}

static int32_t read_list(tokens *t, const tfm__loaded_text *file, tfm__heap *heap, tfm_error *error) {
    tfm__json json;
    int32_t rc = tfm__json_parse(&json, heap, (const char *)file->data, file->size, file->name, error);
    if (rc) return rc;
    tfm__json_value root = tfm__json_root(&json);
    if (tfm__json_kind(&json, root) != TFM__JSON_ARRAY)
        rc = tfm__fail_at(error, TFM_E_FORMAT, file->name, NULL, 0, "not a list of tokens");
    for (tfm__json_value item = rc ? TFM__JSON_NONE : tfm__json_first(&json, root);
         item != TFM__JSON_NONE && rc == TFM_OK; item = tfm__json_next(&json, root, item)) {
        const char *raw;
        size_t size = 0;
        char *text = NULL;
        bool is_text = tfm__json_raw(&json, item, &raw, &size);
        if (is_text && (text = tfm__arena_alloc(t->arena, size + 1)) == NULL)
            rc = tfm__fail_memory(error, heap, size + 1);
        if (rc == TFM_OK &&
            (!is_text || (size = tfm__json_unescape(&json, item, text, size + 1)) == SIZE_MAX))
            rc = tfm__fail_at(error, TFM_E_FORMAT, file->name, NULL, tfm__json_offset(&json, item),
                              "a token that is no text");
        if (rc == TFM_OK && !add(t, text, size)) rc = tfm__fail_memory(error, heap, t->list.size);
    }
    tfm__json_release(&json);
    return rc;
}

static int32_t read_lines(tokens *t, const tfm__loaded_text *file, tfm__heap *heap, tfm_error *error) {
    tfm__text line;
    for (size_t at = 0, start = 0; tfm__vocab_line(file->data, file->size, &at, &line); start = at) {
        if (tfm__utf8_valid((const uint8_t *)line.data, line.size) < line.size)
            return tfm__fail_at(error, TFM_E_FORMAT, file->name, NULL, start, "a token that is not UTF-8");
        if (!add(t, line.data, line.size)) return tfm__fail_memory(error, heap, t->list.size);
    }
    return TFM_OK;
}

static int64_t id_of(const tokens *t, const char *name) {
    const tfm__text *list = (const tfm__text *)(const void *)t->list.data;
    for (size_t i = 0; i < t->list.size / sizeof *list; i++)
        if (list[i].size == strlen(name) && !memcmp(list[i].data, name, list[i].size)) return (int64_t)i;
    return -1;
}

static void put_tokens(tfm__json_writer *w, const tokens *t, const tfm__ct2_vocab *settings) {
    const tfm__text *list = (const tfm__text *)(const void *)t->list.data;
    const char *const names[] = {settings->bos, settings->eos, settings->unknown};
    bool any = false;
    tfm__json_put(w, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (size_t i = 0; i < TFM__COUNT(names); i++)
        if (i == 0 || strcmp(names[i], names[i - 1]))
            tfm__vocab_special(w, id_of(t, names[i]), names[i], &any);
    tfm__json_put(w, "],\n\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},"
                     "\"post_processor\":null,\"decoder\":null,\n"
                     "\"model\":{\"type\":\"WordLevel\",\"unk_token\":");
    tfm__json_put_string(w, settings->unknown, strlen(settings->unknown));
    tfm__json_put(w, ",\"vocab\":{");
    for (size_t i = 0; i < t->list.size / sizeof *list && w->ok; i++) {
        tfm__json_put(w, i ? ",\n" : "\n");
        tfm__json_put_string(w, list[i].data, list[i].size);
        tfm__json_put(w, ":");
        tfm__json_put_number(w, i);
    }
    tfm__json_put(w, "}}}");
}

int32_t tfm__load_ct2(tfm_tokenizer *t, const tfm__loaded_text *file, const tfm__ct2_vocab *settings,
                      tfm_error *error) {
    tfm__arena arena;
    tfm__buffer json;
    tokens read = {.arena = &arena};
    tfm__json_writer w = {.out = &json, .ok = true};
    size_t i = 0;
    tfm__arena_init(&arena, t->heap);
    tfm__buffer_init(&read.list, t->heap);
    tfm__buffer_init(&json, t->heap);
    while (i < file->size && file->data[i] && strchr(" \t\r\n", file->data[i])) i++;
    bool list = i < file->size && file->data[i] == '[' && file->name && strstr(file->name, ".json");
    int32_t rc = list ? read_list(&read, file, t->heap, error) : read_lines(&read, file, t->heap, error);
    if (rc == TFM_OK && id_of(&read, settings->unknown) < 0 &&
        !add(&read, settings->unknown, strlen(settings->unknown)))
        rc = tfm__fail_memory(error, t->heap, read.list.size);
    if (rc == TFM_OK) {
        put_tokens(&w, &read, settings);
        tfm__loaded_text text = {json.data, json.size, file->name};
        rc = w.ok ? tfm__load_hf(t, &text, error) : tfm__fail_memory(error, t->heap, json.size);
    }
    if (rc == TFM_OK) {
        t->bos = (int32_t)id_of(&read, settings->bos);
        t->eos = (int32_t)id_of(&read, settings->eos);
        t->unknown = (int32_t)id_of(&read, settings->unknown);
        t->adds_bos = settings->adds_bos && t->bos >= 0;
        t->adds_eos = settings->adds_eos && t->eos >= 0;
    }
    tfm__buffer_free(&json);
    tfm__buffer_free(&read.list);
    tfm__arena_free(&arena);
    return rc;
}
