/* load.c - finding a tokenizer and telling what it is. Called by the exported functions and by the model
 * loader.
 *
 * A file is known by its content: "GGUF", a JSON object (with a model, or of tokens and ids), a protobuf of
 * pieces, lines of base64 and ranks, lines of tokens with [UNK] among them, or the records of llama2.c. A
 * folder, or a model file of another format, is searched for tokenizer.json, tokenizer.model, vocab.json,
 * encoder.json, vocab.txt and tokenizer.bin, in this order; what those leave open is taken from
 * tokenizer_config.json, generation_config.json and config.json beside them. */
#include <stdio.h>

#include "tokenizer/load_vocab.h"

/* ---- The files beside a tokenizer ---- */

typedef struct beside {
    tfm__store *store;
    tfm__heap *heap;
    tfm_tokenizer *tokenizer;
    tfm_error *error;
} beside;

/* A JSON file of the folder: *found false if there is none. The blob must outlive the view. */
static int32_t open_json(const beside *b, const char *name, tfm__blob *blob, tfm__json *json, bool *found) {
    int32_t rc = tfm__store_sibling(b->store, name, blob, b->error);
    *found = false;
    memset(json, 0, sizeof *json);
    if (rc == TFM_E_NOT_FOUND) return TFM_OK;
    if (rc) return rc;
    if (blob->size > SIZE_MAX) rc = tfm__fail_memory(b->error, b->heap, SIZE_MAX);
    if (rc == TFM_OK)
        rc = tfm__json_parse(json, b->heap, (const char *)blob->data, (size_t)blob->size, blob->name,
                             b->error);
    if (rc) tfm__blob_release(blob);
    *found = rc == TFM_OK;
    return rc;
}

/* The id of a token by the name that stands in the vocabulary file. */
static int32_t id_of_name(const tfm_tokenizer *t, const char *name, size_t length) {
    for (size_t i = 0; i < t->added_count; i++) {
        tfm__slice text = t->added[i].text;
        if (text.length == length && memcmp(tfm__slice_at(t, text), name, length) == 0) return t->added[i].id;
    }
    return t->keys ? tfm__vocab_find(t, (const uint8_t *)name, length) : -1;
}

/* "bos_token": "<s>" or {"content": "<s>"}; null and unknown names leave *id alone. */
static int32_t named_token(const beside *b, const tfm__json *json, const char *key, int32_t *id) {
    tfm__json_value value = tfm__json_get(json, tfm__json_root(json), key);
    const char *raw;
    char *text;
    size_t size;
    if (tfm__json_kind(json, value) == TFM__JSON_OBJECT) value = tfm__json_get(json, value, "content");
    if (!tfm__json_raw(json, value, &raw, &size)) return TFM_OK;
    text = tfm__alloc(b->heap, size + 1);
    if (!text) return tfm__fail_memory(b->error, b->heap, size + 1);
    size = tfm__json_unescape(json, value, text, size + 1);
    if (size != SIZE_MAX) {
        int32_t found = id_of_name(b->tokenizer, text, size);
        if (found >= 0) *id = found;
    }
    tfm__free(b->heap, text);
    return TFM_OK;
}

/* The classes whose texts begin with bos unless the file says otherwise. */
static bool class_adds_bos(const tfm__json *json) {
    static const char *const classes[] = {"LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer",
                                          "GemmaTokenizer", "GemmaTokenizerFast", "CodeLlamaTokenizerFast"};
    tfm__json_value value = tfm__json_get(json, tfm__json_root(json), "tokenizer_class");
    for (size_t i = 0; i < TFM__COUNT(classes); i++)
        if (tfm__json_equals(json, value, classes[i])) return true;
    return false;
}

static int32_t read_tokenizer_config(const beside *b) {
    tfm_tokenizer *t = b->tokenizer;
    tfm__blob blob;
    tfm__json json;
    bool found, value;
    int32_t rc = open_json(b, "tokenizer_config.json", &blob, &json, &found);
    if (rc || !found) return rc;
    if ((rc = named_token(b, &json, "bos_token", &t->bos)) == TFM_OK &&
        (rc = named_token(b, &json, "eos_token", &t->eos)) == TFM_OK &&
        (rc = named_token(b, &json, "unk_token", &t->unknown)) == TFM_OK &&
        (rc = named_token(b, &json, "pad_token", &t->padding)) == TFM_OK && !t->has_template) {
        tfm__json_value root = tfm__json_root(&json);
        bool sentencepiece = t->order_kind == TFM__MERGE_SCORES;
        t->adds_bos = tfm__json_bool(&json, tfm__json_get(&json, root, "add_bos_token"), &value)
                          ? value
                          : sentencepiece && class_adds_bos(&json);
        t->adds_eos = tfm__json_bool(&json, tfm__json_get(&json, root, "add_eos_token"), &value) && value;
        t->adds_bos = t->adds_bos && t->bos >= 0;
        t->adds_eos = t->adds_eos && t->eos >= 0;
    }
    tfm__json_release(&json);
    tfm__blob_release(&blob);
    return rc;
}

/* bos_token_id, eos_token_id (a number or a list), pad_token_id: where nothing was known before; every eos
 * ends a text. Ids outside the vocabulary are other people's business. */
static int32_t read_ids(const beside *b, const char *name) {
    tfm_tokenizer *t = b->tokenizer;
    tfm__json_value eos, root;
    tfm__blob blob;
    tfm__json json;
    bool found;
    int64_t id;
    int32_t rc = open_json(b, name, &blob, &json, &found);
    if (rc || !found) return rc;
    root = tfm__json_root(&json);
    eos = tfm__json_get(&json, root, "eos_token_id");
    if (t->bos < 0 && tfm__json_i64(&json, tfm__json_get(&json, root, "bos_token_id"), &id) && id >= 0 &&
        id < t->vocab_size)
        t->bos = (int32_t)id;
    if (t->padding < 0 && tfm__json_i64(&json, tfm__json_get(&json, root, "pad_token_id"), &id) && id >= 0 &&
        id < t->vocab_size)
        t->padding = (int32_t)id;
    if (tfm__json_kind(&json, eos) == TFM__JSON_ARRAY) {
        for (tfm__json_value v = tfm__json_first(&json, eos); v != TFM__JSON_NONE;
             v = tfm__json_next(&json, eos, v)) {
            if (!tfm__json_i64(&json, v, &id)) continue;
            tfm__vocab_end(t, id);
            if (t->eos < 0 && id >= 0 && id < t->vocab_size) t->eos = (int32_t)id;
        }
    } else if (tfm__json_i64(&json, eos, &id)) {
        tfm__vocab_end(t, id);
        if (t->eos < 0 && id >= 0 && id < t->vocab_size) t->eos = (int32_t)id;
    }
    tfm__json_release(&json);
    tfm__blob_release(&blob);
    return TFM_OK;
}

static int32_t read_beside(const beside *b) {
    int32_t rc = read_tokenizer_config(b);
    if (rc == TFM_OK) rc = read_ids(b, "generation_config.json");
    if (rc == TFM_OK) rc = read_ids(b, "config.json");
    return rc;
}

/* ---- One file ---- */

enum content { UNKNOWN, GGUF, JSON, VOCAB_JSON, OTHER_JSON, SPM, TIKTOKEN, VOCAB_TXT, LLAMA2C };

static enum content guess(const uint8_t *data, uint64_t size) {
    uint64_t i = 0;
    if (size > SIZE_MAX) return UNKNOWN;
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) return GGUF;
    while (i < size && (data[i] == ' ' || data[i] == '\t' || data[i] == '\r' || data[i] == '\n')) i++;
    if (i < size && data[i] == '{') return JSON;
    if (tfm__is_spm(data, (size_t)size)) return SPM;
    if (tfm__is_tiktoken(data, (size_t)size)) return TIKTOKEN;
    if (tfm__is_vocab_txt(data, (size_t)size)) return VOCAB_TXT;
    return tfm__is_llama2c(data, (size_t)size) ? LLAMA2C : UNKNOWN;
}

/* Which of the JSON files it is. */
static int32_t guess_json(const tfm__blob *blob, tfm__heap *heap, enum content *content, tfm_error *error) {
    tfm__json json;
    int32_t rc;
    if (*content != JSON) return TFM_OK;
    rc = tfm__json_parse(&json, heap, (const char *)blob->data, (size_t)blob->size, blob->name, error);
    if (rc) return rc;
    if (tfm__is_vocab_json(&json))
        *content = VOCAB_JSON;
    else if (tfm__json_get(&json, tfm__json_root(&json), "model") == TFM__JSON_NONE)
        *content = OTHER_JSON; /* a config.json names a folder */
    tfm__json_release(&json);
    return TFM_OK;
}

/* vocab.json needs beside it what cuts texts: merges, or Marian's source.spm. */
static int32_t load_marian(tfm__store *store, const tfm__loaded_text *file, tfm_tokenizer *t,
                           tfm_error *error) {
    tfm__blob blob;
    int32_t rc = store ? tfm__store_sibling(store, "source.spm", &blob, error) : TFM_E_NOT_FOUND;
    if (rc == TFM_E_NOT_FOUND)
        return tfm__fail_at(error, TFM_E_MISSING, file->name, NULL, TFM__NO_OFFSET,
                            "a vocabulary without merges.txt, vocab.bpe or source.spm beside it");
    if (rc) return rc;
    tfm__loaded_text spm = {blob.data, (size_t)blob.size, blob.name};
    rc = tfm__load_marian(t, file, &spm, error);
    tfm__blob_release(&blob);
    return rc;
}

static int32_t load_vocab_json(tfm__store *store, const tfm__loaded_text *file, tfm_tokenizer *t,
                               tfm_error *error) {
    static const char *const names[] = {"merges.txt", "vocab.bpe"};
    tfm__blob blob;
    int32_t rc = TFM_E_NOT_FOUND;
    for (size_t i = 0; i < TFM__COUNT(names) && rc == TFM_E_NOT_FOUND && store; i++)
        rc = tfm__store_sibling(store, names[i], &blob, error);
    if (rc == TFM_E_NOT_FOUND) return load_marian(store, file, t, error);
    if (rc) return rc;
    tfm__loaded_text merges = {blob.data, (size_t)blob.size, blob.name};
    rc = tfm__load_vocab_json(t, file, &merges, error);
    tfm__blob_release(&blob);
    return rc;
}

static int32_t yes_or_no(const tfm__json *json, const char *key) {
    bool value;
    if (!tfm__json_bool(json, tfm__json_get(json, tfm__json_root(json), key), &value)) return TFM_DEFAULT;
    return value ? TFM_YES : TFM_NO;
}

/* vocab.txt with what tokenizer_config.json beside it says of case, accents and Chinese characters. */
static int32_t load_vocab_txt(const beside *b, const tfm__loaded_text *file) {
    tfm__bert_vocab settings = {NULL, 0, TFM_DEFAULT, TFM_DEFAULT, TFM_DEFAULT};
    tfm__blob blob;
    tfm__json json;
    bool found = false;
    int32_t rc = b->store ? open_json(b, "tokenizer_config.json", &blob, &json, &found) : TFM_OK;
    if (rc) return rc;
    if (found) {
        settings.lower_case = yes_or_no(&json, "do_lower_case");
        settings.strip_accents = yes_or_no(&json, "strip_accents");
        settings.chinese = yes_or_no(&json, "tokenize_chinese_chars");
        tfm__json_release(&json);
        tfm__blob_release(&blob);
    }
    return tfm__load_vocab_txt(b->tokenizer, file, &settings, b->error);
}

/* Fills a new tokenizer from a blob that is not GGUF, and from what lies beside it where store is given. */
static int32_t load_blob(const tfm__blob *blob, enum content content, tfm__store *store,
                         const tfm_tokenizer_options *options, tfm__heap *heap, tfm_tokenizer **out,
                         tfm_error *error) {
    tfm__loaded_text file = {blob->data, (size_t)blob->size, blob->name};
    beside b = {store, heap, NULL, error};
    tfm_tokenizer *t;
    int32_t rc = tfm__tokenizer_new(heap, &t, error);
    if (rc) return rc;
    b.tokenizer = t;
    switch (content) {
    case VOCAB_JSON:
        rc = load_vocab_json(store, &file, t, error);
        break;
    case VOCAB_TXT:
        rc = load_vocab_txt(&b, &file);
        break;
    case JSON:
        rc = tfm__load_hf(t, &file, error);
        break;
    case SPM:
        rc = tfm__load_spm(t, &file, error);
        break;
    case TIKTOKEN:
        rc = tfm__load_tiktoken(t, &file, options, error);
        break;
    default:
        rc = tfm__load_llama2c(t, &file, error);
        break;
    }
    if (rc == TFM_OK && store && content != LLAMA2C) rc = read_beside(&b);
    if (t->ends_texts) t->adds_eos = t->eos >= 0;
    if (rc == TFM_OK) rc = tfm__vocab_finish(t, error);
    if (rc) {
        tfm__tokenizer_free(t);
        return rc;
    }
    *out = t;
    return TFM_OK;
}

/* ---- Folders ---- */

static int32_t load_beside(tfm__store *store, const char *const *names, const tfm_tokenizer_options *options,
                           tfm__heap *heap, tfm_tokenizer **out, tfm_error *error) {
    for (; *names; names++) {
        tfm__blob blob;
        enum content content;
        int32_t rc = tfm__store_sibling(store, *names, &blob, error);
        if (rc == TFM_E_NOT_FOUND) continue;
        if (rc) return rc;
        content = guess(blob.data, blob.size);
        rc = guess_json(&blob, heap, &content, error);
        if (rc == TFM_OK && (content == UNKNOWN || content == GGUF || content == OTHER_JSON))
            rc = tfm__fail_at(error, TFM_E_FORMAT, blob.name, NULL, TFM__NO_OFFSET,
                              "not a tokenizer that is known");
        else if (rc == TFM_OK)
            rc = load_blob(&blob, content, store, options, heap, out, error);
        tfm__blob_release(&blob);
        return rc;
    }
    return TFM_E_MISSING;
}

static int32_t load_folder(tfm__store *store, const tfm_tokenizer_options *options, tfm__heap *heap,
                           tfm_tokenizer **out, tfm_error *error) {
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "vocab.json", "encoder.json",
                                        "vocab.txt",      "tokenizer.bin",   NULL};
    int32_t rc = load_beside(store, names, options, heap, out, error);
    if (rc != TFM_E_MISSING || *out) return rc;
    return tfm__fail(error, TFM_E_MISSING,
                     "there is no tokenizer.json, tokenizer.model, vocab.json, vocab.txt or tokenizer.bin");
}

static int32_t from_container(const tfm__container *container, const tfm_tokenizer_options *options,
                              tfm__heap *heap, tfm_tokenizer **out, tfm_error *error) {
    tfm_tokenizer *t;
    int32_t rc = tfm__tokenizer_new(heap, &t, error);
    if (rc) return rc;
    t->llama_cpp = options->compatibility == TFM_TOKENIZER_LLAMA_CPP;
    rc = tfm__load_gguf(t, container, error);
    if (rc == TFM_OK) rc = tfm__vocab_finish(t, error);
    if (rc) {
        tfm__tokenizer_free(t);
        return rc;
    }
    *out = t;
    return TFM_OK;
}

/* ---- CTranslate2 ---- */

/* A text of config.json in `out`, or what it is otherwise. */
static const char *text_of(const tfm__container *container, const char *key, const char *otherwise,
                           char out[64]) {
    const tfm__json *json = &container->config;
    const char *raw;
    size_t size;
    tfm__json_value value = tfm__json_get(json, tfm__json_root(json), key);
    if (container->ct2_version < 6) return otherwise;
    if (!tfm__json_raw(json, value, &raw, &size) || size >= 64) return otherwise;
    size = tfm__json_unescape(json, value, out, 63);
    if (size == SIZE_MAX || size == 0) return otherwise;
    out[size] = 0;
    return out;
}

/* A switch of config.json; before version 6 a variable of model.bin says it. */
static bool flag_of(const tfm__container *container, const char *key, const char *variable, bool otherwise) {
    bool value = otherwise;
    const tfm__json *json = &container->config;
    const tfm__tensor *tensor = tfm__container_tensor(container, variable);
    if (container->ct2_version < 6)
        return tensor && tensor->type == TFM__I8 && tensor->bytes == 1 ? tensor->data[0] != 0 : otherwise;
    return tfm__json_bool(json, tfm__json_get(json, tfm__json_root(json), key), &value) ? value : otherwise;
}

/* The first of the names that is there; *out stays NULL where none is. */
static int32_t load_ct2(tfm__store *store, const tfm__container *container, const char *const *names,
                        bool source, tfm__heap *heap, tfm_tokenizer **out, tfm_error *error) {
    char bos[64], eos[64], unknown[64], start[64];
    tfm__ct2_vocab settings = {
        .bos = text_of(container, "bos_token", "<s>", bos),
        .eos = text_of(container, "eos_token", "</s>", eos),
        .unknown = text_of(container, "unk_token", "<unk>", unknown),
        .adds_bos = source && flag_of(container, "add_source_bos", "with_source_bos", false),
        .adds_eos = source && flag_of(container, "add_source_eos", "with_source_eos", false)};
    tfm__blob blob;
    tfm_tokenizer *t;
    int32_t rc = TFM_E_NOT_FOUND;
    if (!source && container->ct2_version >= 6)
        settings.bos = text_of(container, "decoder_start_token", settings.bos, start);
    else if (!source && !flag_of(container, "", "with_target_bos", true))
        settings.bos = settings.eos;
    for (; *names && rc == TFM_E_NOT_FOUND; names++) rc = tfm__store_sibling(store, *names, &blob, error);
    if (rc) return rc == TFM_E_NOT_FOUND ? TFM_OK : rc;
    tfm__loaded_text file = {blob.data, (size_t)blob.size, blob.name};
    if ((rc = tfm__tokenizer_new(heap, &t, error)) == TFM_OK) {
        rc = tfm__load_ct2(t, &file, &settings, error);
        if (rc == TFM_OK) rc = tfm__vocab_finish(t, error);
        if (rc)
            tfm__tokenizer_free(t);
        else
            *out = t;
    }
    tfm__blob_release(&blob);
    return rc;
}

int32_t tfm__tokenizer_of_source(tfm__store *store, const tfm__container *container, tfm__heap *heap,
                                 tfm_tokenizer **out, tfm_error *error) {
    static const char *const names[] = {"source_vocabulary.txt", "source_vocabulary.json",
                                        "shared_vocabulary.txt", "shared_vocabulary.json", NULL};
    *out = NULL;
    if (container->format != TFM__FORMAT_CTRANSLATE2) return TFM_OK;
    return load_ct2(store, container, names, true, heap, out, error);
}

static int32_t load_ct2_target(tfm__store *store, const tfm__container *container, tfm__heap *heap,
                               tfm_tokenizer **out, tfm_error *error) {
    static const char *const names[] = {"target_vocabulary.txt", "target_vocabulary.json",
                                        "shared_vocabulary.txt", "shared_vocabulary.json", NULL};
    int32_t rc = load_ct2(store, container, names, false, heap, out, error);
    if (rc || *out) return rc;
    return tfm__fail(
        error, TFM_E_MISSING,
        "there is neither target_vocabulary nor shared_vocabulary (.txt, .json) beside model.bin");
}

int32_t tfm__tokenizer_from_model(tfm__store *store, const tfm__container *container,
                                  const tfm_tokenizer_options *options, tfm__heap *heap, tfm_tokenizer **out,
                                  tfm_error *error) {
    const tfm_tokenizer_options defaults = TFM_TOKENIZER_OPTIONS_INIT;
    char own[32]; /* llama2.c calls vocabularies of its own training tok512.bin, tok4096.bin, ... */
    const char *const bin[] = {"tokenizer.bin", own, NULL};
    int32_t rc;
    *out = NULL;
    if (!options) options = &defaults;
    if (container->format == TFM__FORMAT_GGUF) return from_container(container, options, heap, out, error);
    if (container->format == TFM__FORMAT_CTRANSLATE2)
        return load_ct2_target(store, container, heap, out, error);
    if (container->format != TFM__FORMAT_LLAMA2C) return load_folder(store, options, heap, out, error);
    snprintf(own, sizeof own, "tok%d.bin", (int)container->llama2c.vocab_size);
    rc = load_beside(store, bin, options, heap, out, error);
    if (rc != TFM_E_MISSING) return rc;
    return tfm__fail(error, TFM_E_MISSING, "there is neither tokenizer.bin nor %s beside the model", own);
}

int32_t tfm__tokenizer_from_store(tfm__store *store, const tfm_tokenizer_options *options, tfm__heap *heap,
                                  tfm_tokenizer **out, tfm_error *error) {
    tfm__container container;
    tfm__blob blob;
    enum content content;
    int format;
    int32_t rc;
    *out = NULL;
    if (tfm__store_is_folder(store)) return load_folder(store, options, heap, out, error);
    if ((rc = tfm__store_main(store, &blob, error)) != 0) return rc;
    content = guess(blob.data, blob.size);
    rc = guess_json(&blob, heap, &content, error);
    if (rc == TFM_OK && content != UNKNOWN && content != OTHER_JSON && content != GGUF)
        rc = load_blob(&blob, content, content == LLAMA2C ? NULL : store, options, heap, out, error);
    format = tfm__format_guess(blob.data, blob.size);
    tfm__blob_release(&blob);
    if (rc || *out) return rc;
    if (content == GGUF || format == TFM__FORMAT_LLAMA2C) {
        if ((rc = tfm__container_open(store, &container, error)) != 0) return rc;
        rc = tfm__tokenizer_from_model(store, &container, options, heap, out, error);
        tfm__container_release(&container);
        return rc;
    }
    /* config.json and model.safetensors stand for their folder */
    if (content == OTHER_JSON || format != TFM__FORMAT_NONE)
        rc = load_folder(store, options, heap, out, error);
    else
        rc = TFM_E_MISSING;
    if (rc == TFM_E_MISSING)
        return tfm__fail(error, TFM_E_FORMAT,
                         "the file is no tokenizer that is known, and none is beside it");
    return rc;
}
