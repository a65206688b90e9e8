/* Tests of the tokenizer against what is wrong: damaged files, lying counts, arguments that are no arguments,
 * memory that is refused. Everything must end in an error or a working tokenizer, and give back all memory.
 */
#include "tokenizer_help.h"

static const char *const fixtures[] = {
    "bl-llama3.json",  "added.json",    "marks-prepend.json", "marks-first.json", "spm-llama.model",
    "spm-rules.model", "tokenizer.bin", "spm.gguf",           "bpe.gguf",         "ranks.tiktoken"};
#define FIXTURE_COUNT (sizeof fixtures / sizeof fixtures[0])

static const char sample[] = " the best of\n times <tool> <mask> \xe5\xba\x8a\xe5\x89\x8d e\xcc\x81t\xc3\xa9 "
                             "\xff\xe4 'LL 12345 <|end|> word";

/* Loads; what loads is used, and must be given back whole. The rank file is read with a pattern. */
static void load_and_use(const void *data, size_t size, counter *count) {
    tfm_allocator allocator = TFM_ALLOCATOR_INIT;
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer = NULL;
    int32_t rc;
    allocator.user = count;
    allocator.realloc = counting_realloc;
    options.allocator = &allocator;
    options.pattern = "o200k";
    rc = tfm_tokenizer_load_memory(data, size, &options, &tokenizer, &error);
    if (rc) {
        assert_null(tokenizer);
        assert_int_equal(rc, error.code);
        assert_true(error.message[0] != 0);
    } else {
        tfm_tokenize_options parse = TFM_TOKENIZE_OPTIONS_INIT;
        tfm_token ids[1024];
        char text[8192];
        size_t n = 0, length = 0;
        parse.parse_special = 1;
        rc = tfm_tokenize(tokenizer, sample, sizeof sample - 1, &parse, ids, 1024, &n, NULL);
        assert_true(rc == TFM_OK || rc == TFM_E_MEMORY || rc == TFM_E_BUFFER);
        if (rc == TFM_OK) {
            rc = tfm_detokenize(tokenizer, ids, n, NULL, text, sizeof text, &length, NULL);
            assert_true(rc == TFM_OK || rc == TFM_E_MEMORY || rc == TFM_E_BUFFER);
        }
        tfm_tokenizer_release(tokenizer);
    }
    assert_int_equal(count->live, 0);
}

/* A block of exactly so many bytes, so that a sanitizer sees what is read behind them. */
static void load_exactly(const unsigned char *data, size_t size) {
    counter count = {0};
    unsigned char *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    if (size) memcpy(exact, data, size);
    load_and_use(exact, size, &count);
    free(exact);
}

static void test_truncated(void **state) {
    (void)state;
    for (size_t f = 0; f < FIXTURE_COUNT; f++) {
        bytes file = read_fixture(fixtures[f]);
        size_t step = file.size / 150 + 1;
        for (size_t size = 0; size < file.size; size += size < 64 || file.size - size < 64 ? 1 : step)
            load_exactly(file.data, size);
        free(file.data);
    }
}

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void test_flipped(void **state) {
    (void)state;
    for (size_t f = 0; f < FIXTURE_COUNT; f++) {
        bytes file = read_fixture(fixtures[f]);
        uint32_t seed = (uint32_t)f + 11;
        for (int round = 0; round < 250; round++) {
            /* the front of a file decides most: one flip in three goes there */
            size_t at = next_random(&seed) % (round % 3 ? file.size : file.size < 300 ? file.size : 300);
            unsigned char old = file.data[at];
            file.data[at] = round & 1 ? (unsigned char)next_random(&seed)
                                      : (unsigned char)(old ^ 1u << next_random(&seed) % 8);
            load_exactly(file.data, file.size);
            file.data[at] = old;
        }
        free(file.data);
    }
}

/* ---- tokenizer.json, well-formed but wrong ---- */

#define MODEL(vocab, merges, more) "{\"type\":\"BPE\",\"vocab\":" vocab ",\"merges\":" merges more "}"
#define FILE_OF(model, more)                                                                                 \
    "{\"decoder\":{\"type\":\"ByteLevel\"},\"pre_tokenizer\":" BYTES ",\"model\":" model more "}"
#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true}"
#define ADDED(id, content)                                                                                   \
    "{\"id\":" id ",\"content\":" content ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"        \
    "\"normalized\":false,\"special\":true}"
#define VOCAB "{\"a\":0,\"b\":1,\"ab\":2}"

static void test_wrong_json(void **state) {
    static const struct {
        const char *json;
        int32_t rc;
        const char *says; /* a part of the message */
    } cases[] = {
        {FILE_OF(MODEL(VOCAB, "[\"a b\"]", ""), ""), TFM_OK, ""},
        {FILE_OF(MODEL(VOCAB, "[[\"a\",\"b\"]]", ""), ""), TFM_OK, ""},
        {FILE_OF(MODEL(VOCAB, "[\"#version: 0.2\",\"a b\"]", ""), ""), TFM_OK, ""},
        {FILE_OF(MODEL(VOCAB, "[\"ab\"]", ""), ""), TFM_E_FORMAT, "merge 0 'ab'"},
        {FILE_OF(MODEL(VOCAB, "[\"a b\",\"a  b\"]", ""), ""), TFM_E_FORMAT, "merge 1 'a  b'"},
        {FILE_OF(MODEL(VOCAB, "[\"a c\"]", ""), ""), TFM_E_FORMAT, "merge 0 'a c'"},
        {FILE_OF(MODEL(VOCAB, "[\"b a\"]", ""), ""), TFM_E_FORMAT, "merge 0 'b a'"},
        {FILE_OF(MODEL(VOCAB, "[\"a \"]", ""), ""), TFM_E_FORMAT, "merge 0 'a '"},
        {FILE_OF(MODEL(VOCAB, "[[\"a\",\"b\",\"a\"]]", ""), ""), TFM_E_FORMAT, "merge 0"},
        {FILE_OF(MODEL(VOCAB, "[7]", ""), ""), TFM_E_FORMAT, "merge 0"},
        {FILE_OF(MODEL("{\"a\":0,\"b\":0}", "[]", ""), ""), TFM_E_FORMAT, "taken"},
        {FILE_OF(MODEL("{\"a\":-1}", "[]", ""), ""), TFM_E_FORMAT, "not a token id"},
        {FILE_OF(MODEL("{\"a\":1.5}", "[]", ""), ""), TFM_E_FORMAT, "not a token id"},
        {FILE_OF(MODEL("{\"a\":\"1\"}", "[]", ""), ""), TFM_E_FORMAT, "not a token id"},
        {FILE_OF(MODEL("{\"a\":2000000000}", "[]", ""), ""), TFM_E_FORMAT, "far beyond"},
        {FILE_OF(MODEL("{\"a\":99999999999999999999}", "[]", ""), ""), TFM_E_FORMAT, "not a token id"},
        {FILE_OF(MODEL("{\"a\":0,\"a\":1}", "[]", ""), ""), TFM_E_FORMAT, "a token that was there already"},
        {FILE_OF(MODEL("{}", "[]", ""), ""), TFM_E_FORMAT, "empty"},
        {FILE_OF(MODEL("[]", "[]", ""), ""), TFM_E_FORMAT, "vocab is not an object"},
        {FILE_OF(MODEL(VOCAB, "{}", ""), ""), TFM_E_FORMAT, "merges is not a list"},
        {FILE_OF(MODEL(VOCAB, "[\"a b\",\"a b\"]", ""), ""), TFM_E_FORMAT,
         "merge 1 'a b': is there a second time"},
        {FILE_OF(MODEL(VOCAB, "[\" b\"]", ""), ""), TFM_E_FORMAT, "merge 0 ' b': half of it is empty"},
        {FILE_OF(MODEL(VOCAB, "[\"a b\",[\"a\",\"b\"]]", ""), ""), TFM_E_FORMAT, "merge 1"},
        {FILE_OF(MODEL(VOCAB, "[]", ",\"dropout\":0.1"), ""), TFM_E_UNSUPPORTED, "dropout"},
        {FILE_OF(MODEL(VOCAB, "[]", ",\"dropout\":0"), ""), TFM_OK, ""},
        {FILE_OF(MODEL(VOCAB, "[]", ",\"dropout\":true"), ""), TFM_E_FORMAT, "dropout is not a number"},
        {FILE_OF(MODEL(VOCAB, "[]", ",\"fuse_unk\":1"), ""), TFM_E_FORMAT, "fuse_unk is not true or false"},
        {FILE_OF(MODEL(VOCAB, "[]", ",\"unk_token\":7"), ""), TFM_E_FORMAT, "unk_token is not a string"},
        {FILE_OF(MODEL(VOCAB, "[]", ",\"unk_token\":\"u\""), ""), TFM_E_FORMAT,
         "unk_token is not in the vocabulary"},
        {FILE_OF(MODEL(VOCAB, "[]", ",\"end_of_word_suffix\":\"</w>\""), ""), TFM_OK, ""},
        {FILE_OF(MODEL(VOCAB, "[]", ",\"end_of_word_suffix\":\"</w>\",\"byte_fallback\":true"), ""),
         TFM_E_UNSUPPORTED, "byte_fallback with a prefix or suffix"},
        {FILE_OF("{\"type\":\"WordPiece\",\"vocab\":{}}", ""), TFM_E_UNSUPPORTED, "WordPiece"},
        {FILE_OF("{\"type\":\"Unigram\",\"vocab\":[]}", ""), TFM_E_UNSUPPORTED, "Unigram"},
        {FILE_OF("{\"type\":\"Odd\"}", ""), TFM_E_UNSUPPORTED, "model: Odd"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", TFM_E_FORMAT, "an empty vocabulary"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", TFM_E_FORMAT, "not a text with its score"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",\"b\"]]}}", TFM_E_FORMAT,
         "not a text with its score"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1e999]]}}", TFM_E_FORMAT, "score"},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}}", TFM_E_FORMAT,
         "unk_id is too large"},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":-1,\"vocab\":[[\"a\",0]]}}", TFM_E_FORMAT, "unk_id"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}", TFM_E_FORMAT, "unk_token is missing"},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0},\"unk_token\":\"a\"}}", TFM_E_FORMAT,
         "max_input_chars_per_word is missing"},
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"normalizer\":{\"type\":\"Odd\"}"), TFM_E_UNSUPPORTED,
         "normalizer: Odd"},
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"normalizer\":{}"), TFM_E_FORMAT, "normalizer: type is missing"},
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"normalizer\":[]"), TFM_E_FORMAT, "normalizer"},
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"normalizer\":{\"type\":\"Strip\",\"strip_left\":true}"),
         TFM_E_FORMAT, "strip_right is missing"},
        {FILE_OF(MODEL(VOCAB, "[]", ""),
                 ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{},\"content\":\"\"}"),
         TFM_E_FORMAT, "neither a String nor a Regex"},
        {FILE_OF(MODEL(VOCAB, "[]", ""),
                 ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}"),
         TFM_E_UNSUPPORTED, "the empty text"},
        {FILE_OF(MODEL(VOCAB, "[]", ""),
                 ",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"!\"}"),
         TFM_E_FORMAT, "not base64"},
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"post_processor\":{\"type\":\"Odd\"}"), TFM_E_UNSUPPORTED, "Odd"},
        {FILE_OF(MODEL(VOCAB, "[]", ""),
                 ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
                 "\"x\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"
                 "\"special_tokens\":{\"x\":{\"ids\":[99]}}}"),
         TFM_E_FORMAT, "outside the vocabulary"},
        {FILE_OF(MODEL(VOCAB, "[]", ""),
                 ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
                 "\"x\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"special_tokens\":{}}"),
         TFM_E_FORMAT, "does not define"},
        {FILE_OF(
             MODEL(VOCAB, "[]", ""),
             ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\","
             "\"type_id\":0}}],\"special_tokens\":{}}"),
         TFM_E_FORMAT, "pair is missing"},
        {FILE_OF(MODEL(VOCAB, "[]", ""),
                 ",\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"a\",0],\"cls\":[\"b\"]}"),
         TFM_E_FORMAT, "cls is not a name with its id"},
        {FILE_OF(MODEL(VOCAB, "[]", ""),
                 ",\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"BertProcessing\","
                 "\"sep\":[\"a\",0],"
                 "\"cls\":[\"b\",1]},{\"type\":\"BertProcessing\",\"sep\":[\"a\",0],\"cls\":[\"b\",1]}]}"),
         TFM_E_UNSUPPORTED, "a second template"},
        /* the reference counts ids itself: what the file says only has to be an id */
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"added_tokens\":[" ADDED("1", "\"a\"") "]"), TFM_OK, ""},
        {FILE_OF(MODEL("{\"a\":1,\"b\":2,\"c\":3}", "[]", ""), ",\"added_tokens\":[" ADDED("3", "\"x\"") "]"),
         TFM_E_FORMAT, "the id that it would get is taken"},
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"added_tokens\":[{\"id\":1,\"content\":\"a\"}]"), TFM_E_FORMAT,
         "special is missing"},
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"added_tokens\":[" ADDED("-1", "\"a\"") "]"), TFM_E_FORMAT,
         "not a token id"},
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"added_tokens\":[" ADDED("3", "7") "]"), TFM_E_FORMAT,
         "not a string"},
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"added_tokens\":7"), TFM_E_FORMAT, "added_tokens: not a list"},
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"version\":\"2.0\""), TFM_E_UNSUPPORTED, "version"},
        {FILE_OF(MODEL(VOCAB, "[]", ""),
                 ",\"truncation\":{\"max_length\":5,\"stride\":0,\"strategy\":\"Odd\"}"),
         TFM_E_FORMAT, "truncation: strategy is not known"},
        {FILE_OF(MODEL(VOCAB, "[]", ""), ",\"padding\":{\"strategy\":\"BatchLongest\",\"direction\":\"Up\"}"),
         TFM_E_FORMAT, "padding: direction is not known"},
        {"{\"decoder\":null,\"model\":" MODEL(VOCAB, "[]", "") "}", TFM_OK, ""},
        {"{\"decoder\":{\"type\":\"WordPiece\"},\"model\":" MODEL(VOCAB, "[]", "") "}", TFM_E_FORMAT,
         "WordPiece: cleanup is missing"},
        {"{\"decoder\":{\"type\":\"Odd\"},\"model\":" MODEL(VOCAB, "[]", "") "}", TFM_E_UNSUPPORTED,
         "decoder: Odd"},
        {"{\"decoder\":{\"type\":\"BPEDecoder\",\"suffix\":\"\"},\"model\":" MODEL(VOCAB, "[]", "") "}",
         TFM_E_UNSUPPORTED, "decoder"},
        {"{\"decoder\":{\"type\":\"Strip\",\"content\":\"ab\",\"start\":0,\"stop\":0},\"model\":" MODEL(
             VOCAB, "[]", "") "}",
         TFM_E_FORMAT, "content is not one character"},
        {"{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"ByteFallback\"}]}"
         ",\"model\":" MODEL(VOCAB, "[]", "") "}",
         TFM_E_UNSUPPORTED, "ByteFallback behind Fuse"},
        {"{\"pre_tokenizer\":{\"type\":\"Odd\"},\"model\":" MODEL(VOCAB, "[]", "") "}", TFM_E_UNSUPPORTED,
         "pre_tokenizer: Odd"},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":" MODEL(VOCAB, "[]", "") "}", TFM_E_FORMAT,
         "add_prefix_space is missing"},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Odd\","
         "\"invert\":false},"
         "\"model\":" MODEL(VOCAB, "[]", "") "}",
         TFM_E_FORMAT, "behavior is not known"},
        {"{\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0},\"model\":" MODEL(VOCAB, "[]", "") "}",
         TFM_E_FORMAT, "length is 0"},
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" BYTES
         ",{\"type\":\"Whitespace\"}]},\"model\":" MODEL(VOCAB, "[]", "") "}",
         TFM_E_UNSUPPORTED, "Whitespace behind ByteLevel"},
        {"{\"model\":7}", TFM_E_FORMAT, "model"},
        {"{}", TFM_E_FORMAT, ""},
        {"{", TFM_E_FORMAT, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tfm_error error = TFM_ERROR_INIT;
        int32_t rc = try_text(cases[i].json, &error);
        if (rc != cases[i].rc || (rc && !strstr(error.message, cases[i].says)))
            fail_msg("%s\nstatus %d: %s", cases[i].json, (int)rc, rc ? error.message : "");
    }
}

/* A Sequence in a Sequence, ever deeper. */
static void test_nested_sequences(void **state) {
    static const char head[] =
        "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":" MODEL(VOCAB, "[]", "") ",\"pre_tokenizer\":";
    static const char open[] = "{\"type\":\"Sequence\",\"pretokenizers\":[";
    (void)state;
    for (int depth = 1; depth < 100; depth += 7) {
        char text[8192];
        size_t n = strlen(head);
        tfm_error error = TFM_ERROR_INIT;
        int32_t rc;
        strcpy(text, head);
        for (int i = 0; i < depth; i++) n += (size_t)sprintf(text + n, "%s", open);
        n += (size_t)sprintf(text + n, "%s", BYTES);
        for (int i = 0; i < depth; i++) n += (size_t)sprintf(text + n, "]}");
        strcpy(text + n, "}");
        rc = try_text(text, &error);
        assert_int_equal(rc, depth < 30 ? TFM_OK : TFM_E_FORMAT); /* JSON deeper than 64 is refused */
    }
}

/* ---- The other formats ---- */

static void test_wrong_ranks(void **state) {
    static const struct {
        const char *text;
        int32_t rc;
    } cases[] = {
        {"IQ== 0\nIg== 1\n", TFM_OK},
        {"IQ== 0\r\nIg== 1\r\n\r\n", TFM_OK},
        {"IQ== 0\nIg== 0\n", TFM_E_FORMAT},
        {"IQ== 0\nIQ== 1\n", TFM_E_FORMAT},
        {"IQ== 0\nIg= 1\n", TFM_E_FORMAT},
        {"IQ== 0\nIg==\n", TFM_E_FORMAT},
        {"IQ== 0\nIg== x\n", TFM_E_FORMAT},
        {"IQ== 0\nIg== -1\n", TFM_E_FORMAT},
        {"IQ== 0\nIg== 4000000000\n", TFM_E_FORMAT},
        {"IQ== 0\nI=== 1\n", TFM_E_FORMAT},
        {"IQ== 0\n 1\n", TFM_E_FORMAT},
        {"IQ== 0\nIg== 99999999999\n", TFM_E_FORMAT},
    };
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_tokenizer *tokenizer = NULL;
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t rc;
        options.pattern = "gpt2";
        rc = tfm_tokenizer_load_memory(cases[i].text, strlen(cases[i].text), &options, &tokenizer, &error);
        tfm_tokenizer_release(tokenizer);
        if (rc != cases[i].rc) fail_msg("'%s': status %d: %s", cases[i].text, (int)rc, error.message);
    }
    options.pattern = "nonsense";
    assert_int_equal(tfm_tokenizer_load_memory("IQ== 0\n", 7, &options, &tokenizer, &error), TFM_E_ARGUMENT);
    options.pattern = NULL; /* one token: of no known encoding */
    assert_int_equal(tfm_tokenizer_load_memory("IQ== 0\n", 7, &options, &tokenizer, &error),
                     TFM_E_UNSUPPORTED);
    assert_null(tokenizer);
}

/* Finds bytes in a fixture and puts others of the same length there. */
static int32_t patched(const char *name, const char *from, const char *to, size_t n, tfm_error *error) {
    bytes file = read_fixture(name);
    int32_t rc = TFM_OK;
    bool found = false;
    for (size_t i = 0; i + n <= file.size && !found; i++) {
        if (memcmp(file.data + i, from, n) != 0) continue;
        memcpy(file.data + i, to, n);
        rc = try_load(file.data, file.size, error);
        found = true;
    }
    if (!found) fail_msg("%s does not hold '%s'", name, from);
    free(file.data);
    return rc;
}

static void test_wrong_gguf(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    assert_int_equal(patched("bpe.gguf", "tokenizer.ggml.pre\x08\0\0\0\5\0\0\0\0\0\0\0gpt-2",
                             "tokenizer.ggml.pre\x08\0\0\0\5\0\0\0\0\0\0\0gpt-9", 35, &error),
                     TFM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "gpt-9"));
    assert_int_equal(patched("bpe.gguf", "tokenizer.ggml.model", "tokenizer.ggml.nodel", 20, &error),
                     TFM_E_MISSING);
    assert_int_equal(patched("bpe.gguf", "tokenizer.ggml.merges", "tokenizer.ggml.nerges", 21, &error),
                     TFM_E_MISSING);
    assert_int_equal(
        patched("bpe.gguf", "\4\0\0\0\0\0\0\0\xc4\xa0 t", "\4\0\0\0\0\0\0\0\xc4\xa0_t", 12, &error),
        TFM_E_FORMAT);
    assert_non_null(strstr(error.message, "merge "));
    assert_int_equal(
        patched("bpe.gguf", "bos_token_id\4\0\0\0\0\0\0\0", "bos_token_id\4\0\0\0\0\1\1\0", 20, &error),
        TFM_E_FORMAT);
    assert_non_null(strstr(error.message, "outside the vocabulary"));
    assert_int_equal(patched("bpe.gguf", "bos_token_id\4\0\0\0\0\0\0\0",
                             "bos_token_id\4\0\0\0\xff\xff\xff\xff", 20, &error),
                     TFM_OK);
    assert_int_equal(patched("spm.gguf", "tokenizer.ggml.scores", "tokenizer.ggml.stores", 21, &error),
                     TFM_E_MISSING);
    assert_int_equal(patched("spm.gguf", "<0x41>", "<0xZZ>", 6, &error), TFM_E_FORMAT);
}

static void test_wrong_spm(void **state) {
    static const unsigned char pieces_only[] = {0x0a, 0x05, 0x0a, 0x01, 'a', 0x18, 0x01};
    tfm_error error = TFM_ERROR_INIT;
    bytes file = read_fixture("spm-llama.model");
    (void)state;
    assert_int_equal(try_load(pieces_only, sizeof pieces_only, &error), TFM_E_FORMAT);
    assert_non_null(strstr(error.message, "unknown"));
    assert_int_equal(try_load(file.data, file.size - 1, &error), TFM_E_TRUNCATED);
    assert_int_equal(patched("spm-llama.model", "\x0a\x06<0x41>", "\x0a\x06<0x4_>", 8, &error), TFM_E_FORMAT);
    assert_int_equal(patched("spm-llama.model", "\x0a\x06<0x41>", "\x0a\x06<0x40>", 8, &error), TFM_E_FORMAT);
    assert_int_equal(patched("spm-llama.model", "\x0a\x03<s>", "\x0a\x00<s>", 5, &error), TFM_E_FORMAT);
    free(file.data);
}

static void test_wrong_llama2c(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    bytes file = read_fixture("tokenizer.bin");
    (void)state;
    assert_int_equal(try_load(file.data, file.size, &error), TFM_OK);
    assert_int_equal(try_load(file.data, file.size - 1, &error), TFM_E_TRUNCATED);
    memset(file.data + 4, 0xff, 4); /* a score that is no number */
    assert_int_equal(try_load(file.data, file.size, &error), TFM_E_FORMAT);
    assert_non_null(strstr(error.message, "score"));
    memset(file.data + 8, 0x7f, 4); /* a length of two thousand million */
    assert_true(try_load(file.data, file.size, &error) < 0);
    free(file.data);
}

static void test_nothing(void **state) {
    static const unsigned char junk[][8] = {{0},
                                            {0xff, 0xff, 0xff, 0xff},
                                            {'G', 'G', 'U', 'F'},
                                            {0x0a},
                                            {'h', 'i', ' ', 't', 'h', 'e', 'r', 'e'}};
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer = NULL;
    (void)state;
    for (size_t i = 0; i < 5; i++)
        for (size_t n = 0; n <= 8; n++) assert_true(try_load(junk[i], n, &error) < 0);
    assert_int_equal(tfm_tokenizer_load(FIXTURES "no-such-file", NULL, &tokenizer, &error), TFM_E_NOT_FOUND);
    assert_null(tokenizer);
    assert_int_equal(tfm_tokenizer_load(FIXTURES "rules.tsv", NULL, &tokenizer, &error), TFM_E_FORMAT);
    assert_true(strlen(error.message) > 0);
}

/* ---- Arguments ---- */

static void test_arguments(void **state) {
    tfm_tokenizer *tokenizer = load_fixture("bl-gpt2.json"), *none = NULL;
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    tfm_detokenize_options back = TFM_DETOKENIZE_OPTIONS_INIT;
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_decoder *decoder = NULL;
    tfm_token ids[8] = {0};
    char text[8];
    const char *part = NULL;
    size_t n = 0;
    (void)state;
    assert_int_equal(tfm_tokenizer_load(NULL, NULL, &none, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenizer_load("x", NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenizer_load_memory(NULL, 0, NULL, &none, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenizer_load_memory("x", 1, NULL, NULL, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenizer_get_info(NULL, &info, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenizer_get_info(tokenizer, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenize(NULL, "a", 1, NULL, ids, 8, &n, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenize(tokenizer, NULL, 1, NULL, ids, 8, &n, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenize(tokenizer, "a", 1, NULL, NULL, 8, &n, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenize(tokenizer, "a", 1, NULL, ids, 8, NULL, &error), TFM_E_ARGUMENT);
    options.parse_special = 3;
    assert_int_equal(tfm_tokenize(tokenizer, "a", 1, &options, ids, 8, &n, &error), TFM_E_ARGUMENT);
    options.parse_special = 0;
    options.add_bos = 3;
    assert_int_equal(tfm_tokenize(tokenizer, "a", 1, &options, ids, 8, &n, &error), TFM_E_ARGUMENT);
    options.add_bos = 0;
    options.struct_size = 0;
    assert_int_equal(tfm_tokenize(tokenizer, "a", 1, &options, ids, 8, &n, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_detokenize(NULL, ids, 1, NULL, text, 8, &n, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_detokenize(tokenizer, NULL, 1, NULL, text, 8, &n, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_detokenize(tokenizer, ids, 1, NULL, NULL, 8, &n, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_detokenize(tokenizer, ids, 1, NULL, text, 8, NULL, &error), TFM_E_ARGUMENT);
    back.raw = 7;
    assert_int_equal(tfm_detokenize(tokenizer, ids, 1, &back, text, 8, &n, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_decoder_create(tokenizer, &back, &decoder, &error), TFM_E_ARGUMENT);
    assert_null(decoder);
    ids[1] = 500;
    assert_int_equal(tfm_detokenize(tokenizer, ids, 2, NULL, text, 8, &n, &error), TFM_E_TOKEN);
    assert_int_equal(n, 0);
    ids[1] = -1;
    assert_int_equal(tfm_detokenize(tokenizer, ids, 2, NULL, text, 8, &n, &error), TFM_E_TOKEN);
    assert_int_equal(tfm_token_bytes(tokenizer, 500, &part, &n, &error), TFM_E_TOKEN);
    assert_int_equal(tfm_token_bytes(tokenizer, INT32_MIN, &part, &n, &error), TFM_E_TOKEN);
    assert_int_equal(tfm_token_bytes(NULL, 0, &part, &n, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_decoder_create(NULL, NULL, &decoder, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_decoder_create(tokenizer, NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_decoder_create(tokenizer, NULL, &decoder, &error), TFM_OK);
    assert_int_equal(tfm_decoder_push(NULL, 0, &part, &n, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_decoder_push(decoder, 500, &part, &n, &error), TFM_E_TOKEN);
    assert_int_equal(tfm_decoder_push(decoder, 4, NULL, &n, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_decoder_finish(decoder, &part, NULL, &error), TFM_E_ARGUMENT);
    tfm_decoder_destroy(decoder);
    tfm_decoder_destroy(NULL);
    tfm_tokenizer_release(tokenizer);
    tfm_tokenizer_release(NULL);
}

/* ---- Memory ---- */

/* Every request of loading and using, refused once and from then on. */
static void test_refused_memory(void **state) {
    (void)state;
    for (size_t f = 0; f < FIXTURE_COUNT; f++) {
        bytes file = read_fixture(fixtures[f]);
        counter all = {0};
        load_and_use(file.data, file.size, &all);
        assert_true(all.requests > 5);
        for (size_t at = 1; at <= all.requests; at++) {
            counter once = {0}, ever = {0};
            once.fail_at = ever.fail_at = at;
            once.once = true;
            load_and_use(file.data, file.size, &once);
            load_and_use(file.data, file.size, &ever);
        }
        free(file.data);
    }
}

static void test_budget(void **state) {
    bytes file = read_fixture("bl-llama3.json");
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_tokenizer *tokenizer = NULL;
    tfm_error error = TFM_ERROR_INIT;
    bool loaded = false;
    (void)state;
    for (options.byte_budget = 1000; !loaded && options.byte_budget < 10000000; options.byte_budget *= 2) {
        int32_t rc = tfm_tokenizer_load_memory(file.data, file.size, &options, &tokenizer, &error);
        assert_true(rc == TFM_OK || rc == TFM_E_BUDGET);
        if (rc == TFM_OK) { /* what scratch a long text needs is held to the budget too */
            static char text[4000000];
            size_t n = 0;
            memset(text, 'a', sizeof text);
            assert_int_equal(tfm_tokenize(tokenizer, text, sizeof text, NULL, NULL, 0, &n, &error),
                             TFM_E_BUDGET);
            assert_int_equal(n, 0);
            assert_int_equal(tfm_tokenize(tokenizer, "a", 1, NULL, NULL, 0, &n, &error), TFM_OK);
            loaded = true;
        }
        tfm_tokenizer_release(tokenizer);
    }
    assert_true(loaded);
    free(file.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated),      cmocka_unit_test(test_flipped),
        cmocka_unit_test(test_wrong_json),     cmocka_unit_test(test_nested_sequences),
        cmocka_unit_test(test_wrong_ranks),    cmocka_unit_test(test_wrong_gguf),
        cmocka_unit_test(test_wrong_spm),      cmocka_unit_test(test_wrong_llama2c),
        cmocka_unit_test(test_nothing),        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_refused_memory), cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
