/* Tests of the tokenizer on real vocabularies, where the shared data is there; skipped where it is not:
 * OpenAI's rank files on hard inputs, llama.cpp's vocabulary files with their expected ids, Llama 2 in four
 * formats, Mistral's templates, Hugging Face files, the tokenizers of small whole models. */
#include "tokenizer_help.h"

#include "base/base.h"
#include "formats/json.h"

#define TOKENIZERS TFM_SHARED "/data/tokenizers/"

static void skip_without(const char *path) {
    if (file_exists(path)) return;
    print_message("no %s\n", path);
    skip();
}

/* Encodes without anything around the text and compares. */
static void check_ids(const tfm_tokenizer *tokenizer, const char *what, const char *text, size_t length,
                      const int32_t *ids, size_t count, bool special) {
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_token *got = malloc((count + 1) * sizeof *got);
    size_t n = 0;
    assert_non_null(got);
    options.add_bos = options.add_eos = TFM_NO;
    options.parse_special = special;
    if (tfm_tokenize(tokenizer, text, length, &options, got, count + 1, &n, &error))
        fail_msg("%s: %s", what, error.message);
    for (size_t i = 0; i < n && i < count; i++)
        if (got[i] != ids[i])
            fail_msg("%s: token %zu is %d instead of %d", what, i, (int)got[i], (int)ids[i]);
    if (n != count) fail_msg("%s: %zu tokens instead of %zu", what, n, count);
    free(got);
}

/* ---- JSON help ---- */

static bytes json_text(const tfm__json *json, tfm__json_value value) {
    const char *raw = NULL;
    bytes out = {NULL, 0};
    size_t size = 0;
    assert_true(tfm__json_raw(json, value, &raw, &size));
    out.data = malloc(size + 1);
    assert_non_null(out.data);
    out.size = tfm__json_unescape(json, value, (char *)out.data, size);
    assert_true(out.size != SIZE_MAX);
    return out;
}

static int32_t *json_ids(const tfm__json *json, tfm__json_value list, size_t *count) {
    int32_t *ids;
    size_t n = 0;
    *count = tfm__json_size(json, list);
    ids = malloc((*count + 1) * sizeof *ids);
    assert_non_null(ids);
    for (tfm__json_value v = tfm__json_first(json, list); v != TFM__JSON_NONE;
         v = tfm__json_next(json, list, v)) {
        int64_t id = 0;
        assert_true(tfm__json_i64(json, v, &id));
        ids[n++] = (int32_t)id;
    }
    return ids;
}

/* ---- OpenAI's encodings ---- */

/* The text of an entry: "text", or "text_repeat": [unit, times]. */
static bytes entry_text(const tfm__json *json, tfm__json_value entry) {
    tfm__json_value repeat = tfm__json_get(json, entry, "text_repeat");
    bytes unit, out = {NULL, 0};
    int64_t times = 0;
    if (repeat == TFM__JSON_NONE) return json_text(json, tfm__json_get(json, entry, "text"));
    unit = json_text(json, tfm__json_at(json, repeat, 0));
    assert_true(tfm__json_i64(json, tfm__json_at(json, repeat, 1), &times));
    out.data = malloc(unit.size * (size_t)times + 1);
    assert_non_null(out.data);
    for (int64_t i = 0; i < times; i++, out.size += unit.size)
        memcpy(out.data + out.size, unit.data, unit.size);
    free(unit.data);
    return out;
}

static void test_hard_inputs(void **state) {
    static const struct {
        const char *key, *file;
    } encodings[] = {
        {"gpt2", TOKENIZERS "tiktoken/r50k_base.tiktoken"},
        {"gpt2", TOKENIZERS "hf/gpt2/tokenizer.json"},
        {"gpt2", TOKENIZERS "gguf-vocab/ggml-vocab-gpt-2.gguf"},
        {"cl100k_base", TOKENIZERS "tiktoken/cl100k_base.tiktoken"},
        {"o200k_base", TOKENIZERS "tiktoken/o200k_base.tiktoken"},
    };
    const char *path = TOKENIZERS "vectors-gpt2-cl100k-o200k.json";
    tfm__heap heap;
    tfm__json json;
    bytes file;
    (void)state;
    skip_without(path);
    file = read_file(path);
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(tfm__json_parse(&json, &heap, (char *)file.data, file.size, path, NULL), TFM_OK);
    for (size_t e = 0; e < sizeof encodings / sizeof encodings[0]; e++) {
        tfm_tokenizer *tokenizer = load(encodings[e].file);
        tfm__json_value root = tfm__json_root(&json);
        size_t entries = 0;
        for (tfm__json_value k = tfm__json_first(&json, root); k != TFM__JSON_NONE;
             k = tfm__json_next(&json, root, k)) {
            tfm__json_value entry = tfm__json_member_value(&json, k);
            bytes text = entry_text(&json, entry), name = json_text(&json, k);
            size_t count = 0;
            int32_t *ids = json_ids(
                &json, tfm__json_get(&json, tfm__json_get(&json, entry, encodings[e].key), "ids"), &count);
            name.data[name.size] = 0;
            check_ids(tokenizer, (char *)name.data, (char *)text.data, text.size, ids, count, false);
            free(ids);
            free(name.data);
            free(text.data);
            entries++;
        }
        assert_true(entries > 80);
        tfm_tokenizer_release(tokenizer);
    }
    tfm__json_release(&json);
    free(file.data);
}

/* ---- llama.cpp's vocabulary files ---- */

static void check_vocab(const char *vocab, const char *expected) {
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char path[1024];
    bytes in, out;
    char *text, *line;
    tfm_tokenizer *tokenizer;
    size_t cases = 0;
    snprintf(path, sizeof path, "%sgguf-vocab/ggml-vocab-%s.gguf.inp", TOKENIZERS, expected);
    skip_without(path);
    in = read_file(path);
    snprintf(path, sizeof path, "%sgguf-vocab/ggml-vocab-%s.gguf.out", TOKENIZERS, expected);
    out = read_file(path);
    assert_non_null(out.data);
    tokenizer = load(vocab);
    for (text = (char *)in.data, line = (char *)out.data; text; cases++) {
        char *end = strstr(text, mark), *next = line, *stop = strchr(line, '\n');
        size_t length = end ? (size_t)(end - text) : strlen(text), count = 0;
        int32_t ids[512];
        if (stop) *stop = 0;
        while (*next) {
            char *from = next;
            long id = strtol(from, &next, 10);
            if (next == from) break;
            ids[count++] = (int32_t)id;
        }
        check_ids(tokenizer, vocab, text, length, ids, count, false);
        text = end ? end + strlen(mark) : NULL;
        line = stop ? stop + 1 : line + strlen(line);
    }
    assert_true(cases > 40);
    tfm_tokenizer_release(tokenizer);
    free(in.data);
    free(out.data);
}

static void test_vocab_gpt2(void **state) {
    (void)state;
    check_vocab(TOKENIZERS "gguf-vocab/ggml-vocab-gpt-2.gguf", "gpt-2");
    check_vocab(TOKENIZERS "hf/gpt2/tokenizer.json", "gpt-2");
}

static void test_vocab_llama(void **state) {
    (void)state;
    check_vocab(TOKENIZERS "gguf-vocab/ggml-vocab-llama-spm.gguf", "llama-spm");
    check_vocab(TOKENIZERS "llama2/tokenizer.model", "llama-spm");
    check_vocab(TOKENIZERS "llama2/tokenizer.bin", "llama-spm");
    check_vocab(TOKENIZERS "hf/phi-3/tokenizer.json", "llama-spm");
}

static void test_vocab_phi3(void **state) {
    (void)state;
    check_vocab(TOKENIZERS "gguf-vocab/ggml-vocab-phi-3.gguf", "phi-3");
    check_vocab(TOKENIZERS "hf/phi-3/tokenizer.json", "phi-3");
}

static void test_vocab_falcon(void **state) {
    (void)state;
    check_vocab(TOKENIZERS "gguf-vocab/ggml-vocab-falcon.gguf", "falcon");
    check_vocab(TOKENIZERS "hf/falcon/tokenizer.json", "falcon");
}

static void test_vocab_others(void **state) {
    (void)state;
    check_vocab(TOKENIZERS "gguf-vocab/ggml-vocab-bert-bge.gguf", "bert-bge");
    if (tfm_capability("pcre2")) check_vocab(TOKENIZERS "gguf-vocab/ggml-vocab-deepseek-llm.gguf", "deepseek-llm");
    check_vocab(TOKENIZERS "tiktoken/encoder.json", "gpt-2");
}

/* What is not supported says what it is. */
static void test_refused(void **state) {
    static const struct {
        const char *file;
        int32_t rc;
        const char *says;
    } cases[] = {
        {TOKENIZERS "hf/llama2/tokenizer.json", TFM_E_FORMAT, "'   '"}, /* a malformed merge */
    };
    (void)state;
    skip_without(TOKENIZERS "hf/llama2/tokenizer.json");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tfm_error error = TFM_ERROR_INIT;
        tfm_tokenizer *tokenizer = NULL;
        assert_int_equal(tfm_tokenizer_load(cases[i].file, NULL, &tokenizer, &error), cases[i].rc);
        assert_null(tokenizer);
        if (!strstr(error.message, cases[i].says)) fail_msg("%s", error.message);
    }
}

/* ---- The same vocabulary in several formats ---- */

/* Prose: the formats agree, and the text comes back. */
static void test_llama2_formats(void **state) {
    static const char *const files[] = {
        TOKENIZERS "llama2/tokenizer.model", TOKENIZERS "llama2/tokenizer.bin",
        TOKENIZERS "gguf-vocab/ggml-vocab-llama-spm.gguf", TOKENIZERS "hf/phi-3/tokenizer.json"};
    const char *corpus = TFM_SHARED "/data/corpora/tinyshakespeare.txt";
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    int32_t *first = NULL;
    size_t first_count = 0;
    bytes text;
    (void)state;
    skip_without(corpus);
    skip_without(files[0]);
    text = read_file(corpus);
    options.add_bos = options.add_eos = TFM_NO;
    for (size_t f = 0; f < 4; f++) {
        tfm_tokenizer *tokenizer = load(files[f]);
        size_t count = 0, length = 0;
        int32_t *ids = malloc(text.size * sizeof *ids);
        char *back = malloc(text.size);
        assert_true(ids && back);
        assert_int_equal(
            tfm_tokenize(tokenizer, (char *)text.data, text.size, &options, ids, text.size, &count, NULL),
            TFM_OK);
        assert_int_equal(tfm_detokenize(tokenizer, ids, count, NULL, back, text.size, &length, NULL), TFM_OK);
        assert_int_equal(length, text.size);
        assert_memory_equal(back, text.data, length);
        if (first) {
            assert_int_equal(count, first_count);
            assert_memory_equal(ids, first, count * sizeof *ids);
            free(ids);
        } else {
            first = ids;
            first_count = count;
        }
        free(back);
        tfm_tokenizer_release(tokenizer);
    }
    free(first);
    free(text.data);
}

/* Mistral's own expected tokens of whole conversations: control tokens in the text, each part encoded on its
 * own. */
static void test_mistral_templates(void **state) {
    static const char *const names[] = {
        "no_tools",         "parallel_calls",         "several_calls",
        "get_weather_full", "get_weather_no_history", "get_weather_no_system_prompt"};
    const char *model = TOKENIZERS "mistral/mistral_instruct_tokenizer_240323.model.v3";
    tfm_tokenizer *tokenizer;
    (void)state;
    skip_without(model);
    tokenizer = load(model);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[1024];
        bytes shown, tokens;
        size_t n = 0, count = 0;
        tfm__heap heap;
        tfm__json json;
        int32_t *ids;
        snprintf(path, sizeof path, "%smistral/samples/%s/text_v3.txt", TOKENIZERS, names[i]);
        shown = read_file(path);
        snprintf(path, sizeof path, "%smistral/samples/%s/tokens_v3.json", TOKENIZERS, names[i]);
        tokens = read_file(path);
        assert_true(shown.data && tokens.data);
        /* the file shows spaces as marks, the one in front of each part too, and newlines as their byte token
         */
        for (size_t k = 0; k < shown.size;) {
            if (shown.size - k >= 3 && memcmp(shown.data + k, "\xe2\x96\x81", 3) == 0) {
                bool front = n > 1 && ((shown.data[k - 1] == ']' && k > 1 && shown.data[k - 2] >= 'A' &&
                                        shown.data[k - 2] <= 'Z') ||
                                       (k > 2 && memcmp(shown.data + k - 3, "/s>", 3) == 0));
                if (!front) shown.data[n++] = ' ';
                k += 3;
            } else if (shown.size - k >= 6 && memcmp(shown.data + k, "<0x0A>", 6) == 0) {
                shown.data[n++] = '\n';
                k += 6;
            } else {
                shown.data[n++] = shown.data[k++];
            }
        }
        tfm__heap_init(&heap, NULL, 0);
        assert_int_equal(tfm__json_parse(&json, &heap, (char *)tokens.data, tokens.size, path, NULL), TFM_OK);
        ids = json_ids(&json, tfm__json_get(&json, tfm__json_root(&json), "tokens"), &count);
        check_ids(tokenizer, names[i], (char *)shown.data, n, ids, count, true);
        free(ids);
        tfm__json_release(&json);
        free(shown.data);
        free(tokens.data);
    }
    tfm_tokenizer_release(tokenizer);
}

/* ---- Folders of whole models ---- */

static void test_folders(void **state) {
    static const struct {
        const char *folder;
        int32_t vocab, bos, eos, padding, adds_bos;
    } cases[] = {{"llama", 384, 1, 2, 0, 1},
                 {"gemma", 384, 1, 2, 0, 1},
                 {"gpt2", 384, 1, 2, 0, 0},
                 {"qwen2", 384, 1, 2, 0, 0}};
    (void)state;
    skip_without(TFM_SHARED "/golden/forward/llama/tokenizer.model");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
        char path[1024];
        tfm_tokenizer *tokenizer;
        snprintf(path, sizeof path, "%s/golden/forward/%s", TFM_SHARED, cases[i].folder);
        tokenizer = load(path);
        assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, NULL), TFM_OK);
        assert_int_equal(info.vocab_size, cases[i].vocab);
        assert_int_equal(info.bos, cases[i].bos);
        assert_int_equal(info.eos, cases[i].eos);
        assert_int_equal(info.padding, cases[i].padding);
        assert_int_equal(info.adds_bos, cases[i].adds_bos);
        assert_int_equal(info.adds_eos, 0);
        tfm_tokenizer_release(tokenizer);
    }
    /* a model file beside its tokenizer, and a GGUF file with tensors */
    {
        static const char *const files[] = {TFM_SHARED "/data/models/llama2c-stories260K/tok512.bin",
                                            TFM_SHARED "/data/models/llama2c-stories260K/stories260K.bin",
                                            TFM_SHARED
                                            "/data/models/gguf-stories260K/tinyllamas-stories-260k-f32.gguf",
                                            TFM_SHARED "/golden/forward/llama/model-f32.gguf",
                                            TFM_SHARED "/golden/forward/llama/config.json"};
        static const int32_t sizes[] = {512, 512, 512, 384, 384};
        for (size_t i = 0; i < 5; i++) {
            tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
            tfm_tokenizer *tokenizer;
            if (!file_exists(files[i])) continue;
            tokenizer = load(files[i]);
            assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, NULL), TFM_OK);
            assert_int_equal(info.vocab_size, sizes[i]);
            tfm_tokenizer_release(tokenizer);
        }
    }
}

static void test_llama3_ranks(void **state) {
    const char *path = TOKENIZERS "llama3/tokenizer.model";
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_tokenizer *tokenizer;
    (void)state;
    skip_without(path);
    tokenizer = load(path);
    assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, NULL), TFM_OK);
    assert_int_equal(info.vocab_size, 128256);
    assert_int_equal(info.bos, 128000);
    assert_int_equal(info.end_of_turn, 128009);
    assert_string_equal(info.pattern, "llama3");
    assert_int_equal(tfm_token_find(tokenizer, "<|eot_id|>", 10), 128009);
    assert_int_equal(tfm_token_find(tokenizer, "<|reserved_special_token_0|>", 28), 128002);
    assert_int_equal(tfm_token_find(tokenizer, "<|reserved_special_token_4|>", 28), 128008);
    assert_int_equal(tfm_token_find(tokenizer, "<|reserved_special_token_250|>", 30), 128255);
    tfm_tokenizer_release(tokenizer);
    check_vocab(path, "llama-bpe");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hard_inputs),    cmocka_unit_test(test_vocab_gpt2),
        cmocka_unit_test(test_vocab_llama),    cmocka_unit_test(test_vocab_phi3),
        cmocka_unit_test(test_vocab_falcon),   cmocka_unit_test(test_vocab_others),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_llama2_formats), cmocka_unit_test(test_mistral_templates),
        cmocka_unit_test(test_folders),        cmocka_unit_test(test_llama3_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
