/* Tests of vocabularies that come in several files: GPT-2's vocab.json with merges.txt, BERT's vocab.txt with
 * tokenizer_config.json, Marian's vocab.json with source.spm, from folders and from the host's storage,
 * against tokenizer.json files of the same vocabularies, whose ids are recorded from the originals; sums of
 * Unigram scores that grow large; and llama.cpp's ways where they are asked for. */
#include "folder_source.h"
#include "tokenizer_help.h"

static int32_t load_folder(folder *f, tfm_tokenizer **out, tfm_error *error) {
    tfm_source source = folder_source(&f->files[0]);
    int32_t rc = tfm_tokenizer_load_source(&source, NULL, out, error);
    assert_int_equal(f->open, 0);
    return rc;
}

static void add_fixture(folder *f, const char *name, const char *fixture) {
    bytes file = read_fixture(fixture);
    folder_add(f, name, file.data, file.size);
}

static void free_fixtures(folder *f, size_t count) {
    for (size_t i = 0; i < count; i++) free((void *)(uintptr_t)f->files[i].data);
}

static size_t ids_of(const tfm_tokenizer *tokenizer, const char *text, size_t length, tfm_token *ids,
                     size_t capacity) {
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    size_t count = 0;
    options.add_bos = options.add_eos = TFM_NO;
    if (tfm_tokenize(tokenizer, text, length, &options, ids, capacity, &count, &error))
        fail_msg("%s", error.message);
    return count;
}

/* The same ids for every line of the training corpus and for lines that are hard. */
static void check_same(const tfm_tokenizer *given, const tfm_tokenizer *wanted) {
    static const char hard[] =
        "it's I'LL don't  \t x\n"
        " 12345 \xe2\x82\xac\xc2\xa0na\xc3\xafve e\xcc\x81 \xc3\x89T\xc3\x89 \n"
        "\xe4\xb8\xad\xe5\x9b\xbd\xe4\xba\xba \xe2\x96\x81 ##ing [UNKNOWN] \xf0\x9f\x98\x80\n"
        "\x01\xe2\x80\x8b \xe3\x80\x80 \xed\x95\x9c\xea\xb8\x80 \xef\xbf\xbd\n";
    bytes corpus = read_fixture("corpus.txt");
    const char *texts[] = {(const char *)corpus.data, hard};
    size_t sizes[] = {corpus.size, sizeof hard - 1}, lines = 0;
    static tfm_token a[8192], b[8192];
    for (size_t k = 0; k < 2; k++) {
        for (size_t at = 0; at < sizes[k]; lines++) {
            const char *line = texts[k] + at, *end = memchr(line, '\n', sizes[k] - at);
            size_t length = end ? (size_t)(end - line) : sizes[k] - at;
            size_t n = ids_of(given, line, length, a, 8192), m = ids_of(wanted, line, length, b, 8192);
            if (n != m || memcmp(a, b, n * sizeof *a) != 0)
                fail_msg("other ids for '%.*s'", (int)length, line);
            at += length + 1;
        }
    }
    assert_true(lines > 20);
    free(corpus.data);
}

static void test_gpt2(void **state) {
    tfm_tokenizer *wanted = load(FIXTURES "bl-gpt2.json"), *given = NULL;
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_error error = TFM_ERROR_INIT;
    folder f = {.count = 0};
    (void)state;
    add_fixture(&f, "vocab.json", "vocab.json");
    add_fixture(&f, "merges.txt", "merges.txt");
    if (load_folder(&f, &given, &error)) fail_msg("%s", error.message);
    assert_int_equal(tfm_tokenizer_get_info(given, &info, NULL), TFM_OK);
    assert_int_equal(info.vocab_size, 500);
    assert_string_equal(info.kind, "byte-level-bpe");
    assert_string_equal(info.pattern, "gpt2");
    check_same(given, wanted);
    tfm_tokenizer_release(given);

    /* OpenAI's names for the same files */
    f.files[0].name = "encoder.json";
    f.files[1].name = "vocab.bpe";
    if (load_folder(&f, &given, &error)) fail_msg("%s", error.message);
    check_same(given, wanted);
    tfm_tokenizer_release(given);
    tfm_tokenizer_release(wanted);

    f.count = 1;
    assert_int_equal(load_folder(&f, &given, &error), TFM_E_MISSING);
    assert_null(given);
    assert_non_null(strstr(error.message, "merges.txt"));
    free_fixtures(&f, 2);
}

static void wrong_merges(const char *merges, const char *word) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *given = NULL;
    folder f = {.count = 0};
    add_fixture(&f, "vocab.json", "vocab.json");
    folder_add(&f, "merges.txt", merges, strlen(merges));
    assert_int_equal(load_folder(&f, &given, &error), TFM_E_FORMAT);
    assert_null(given);
    if (!strstr(error.message, "merge") || !strstr(error.message, word))
        fail_msg("'%s' does not say '%s'", error.message, word);
    free_fixtures(&f, 1);
}

static void test_wrong_gpt2(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *given = NULL;
    folder f = {.count = 0};
    (void)state;
    wrong_merges("#version: 0.2\nh e\nz\n", "line 3");
    wrong_merges("h qqq\n", "qqq");
    wrong_merges("h e\nh e\n", "h e");
    wrong_merges("a b c\n", "line 1");
    folder_add(&f, "vocab.json", "{\"a\":0,\"b\":0}", 13);
    folder_add(&f, "merges.txt", "", 0);
    assert_int_equal(load_folder(&f, &given, &error), TFM_E_FORMAT);
    f.files[0].data = "{\"a\":0,\"b\":-1}", f.files[0].size = 14;
    assert_int_equal(load_folder(&f, &given, &error), TFM_E_FORMAT);
    f.files[0].data = "{\"a\":0,\"b\":2000000000}", f.files[0].size = 22;
    assert_int_not_equal(load_folder(&f, &given, &error), TFM_OK);
    f.files[0].data = "{\"a\":0,\"b\":\"c\"}", f.files[0].size = 15;
    assert_int_not_equal(load_folder(&f, &given, &error), TFM_OK);
    assert_null(given);
}

static void test_bert(void **state) {
    tfm_tokenizer *wanted = load(FIXTURES "hf/bert-uncased.json"), *given = NULL;
    static const char cased[] = "{\"do_lower_case\": false}";
    bytes json = read_fixture("hf/bert-uncased.json");
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_token ids[16];
    size_t count = 0;
    char *lower;
    folder f = {.count = 0};
    (void)state;
    add_fixture(&f, "vocab.txt", "vocab.txt");
    if (load_folder(&f, &given, &error)) fail_msg("%s", error.message);
    check_same(given, wanted);
    assert_int_equal(tfm_tokenizer_get_info(given, &info, NULL), TFM_OK);
    assert_string_equal(info.kind, "wordpiece");
    assert_int_equal(tfm_tokenize(given, "the", 3, NULL, ids, 16, &count, NULL), TFM_OK);
    assert_true(count >= 3); /* [CLS] the [SEP] */
    assert_int_equal(ids[0], info.bos);
    assert_int_equal(ids[count - 1], info.eos);
    tfm_tokenizer_release(given);
    tfm_tokenizer_release(wanted);

    /* the same vocabulary with case: as the other file with lower-casing off */
    folder_add(&f, "tokenizer_config.json", cased, sizeof cased - 1);
    if (load_folder(&f, &given, &error)) fail_msg("%s", error.message);
    lower = strstr((char *)json.data, "\"lowercase\"");
    assert_non_null(lower);
    lower = strstr(lower, "true");
    assert_non_null(lower);
    memmove(lower + 5, lower + 4, json.size - (size_t)((unsigned char *)lower + 4 - json.data) + 0);
    memcpy(lower, "false", 5);
    if (tfm_tokenizer_load_memory(json.data, json.size + 1, NULL, &wanted, &error))
        fail_msg("%s", error.message);
    check_same(given, wanted);
    tfm_tokenizer_release(given);
    tfm_tokenizer_release(wanted);
    free(json.data);
    free_fixtures(&f, 1);
}

static void test_source(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *given = NULL;
    tfm_source source = TFM_SOURCE_INIT;
    folder f = {.count = 0};
    (void)state;
    assert_int_equal(tfm_tokenizer_load_source(NULL, NULL, &given, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenizer_load_source(&source, NULL, &given, &error), TFM_E_ARGUMENT);
    folder_add(&f, "x", "nothing", 7);
    assert_int_equal(load_folder(&f, &given, &error), TFM_E_FORMAT);
    source = folder_source(&f.files[0]);
    assert_int_equal(tfm_tokenizer_load_source(&source, NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(f.open, 0);
}

/* llama.cpp does not bring text to NFC where the tokenizers of these names do. */
static void test_llama_cpp(void **state) {
    static const char from[] = "tokenizer.ggml.pre\x08\0\0\0\5\0\0\0\0\0\0\0gpt-2";
    static const char decomposed[] = "e\xcc\x81", composed[] = "\xc3\xa9";
    bytes file = read_fixture("bpe.gguf");
    tfm_tokenizer *tokenizer = NULL;
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_token a[16], b[16];
    size_t at = 0;
    (void)state;
    while (at + sizeof from <= file.size && memcmp(file.data + at, from, sizeof from - 1) != 0) at++;
    assert_true(at + sizeof from <= file.size);
    memcpy(file.data + at + sizeof from - 6, "qwen2", 5);
    for (int cpp = 0; cpp < 2; cpp++) {
        options.compatibility = cpp ? TFM_TOKENIZER_LLAMA_CPP : TFM_TOKENIZER_ORIGINAL;
        if (tfm_tokenizer_load_memory(file.data, file.size, &options, &tokenizer, &error))
            fail_msg("%s", error.message);
        size_t n = ids_of(tokenizer, decomposed, 3, a, 16), m = ids_of(tokenizer, composed, 2, b, 16);
        assert_int_equal(n == m && memcmp(a, b, n * sizeof *a) == 0, !cpp);
        tfm_tokenizer_release(tokenizer);
    }
    options.compatibility = 2;
    assert_int_equal(tfm_tokenizer_load_memory(file.data, file.size, &options, &tokenizer, &error),
                     TFM_E_ARGUMENT);
    free(file.data);
}

/* Sums that grow large: SentencePiece takes an offset off them on the way, which decides what is equal. */
static void test_far_scores(void **state) {
    tfm_tokenizer *tokenizer = load(FIXTURES "far.model");
    bytes file = read_fixture("far.txt");
    char *line = (char *)file.data, *end = strchr(line, '\n'), *next;
    static tfm_token ids[2048];
    (void)state;
    assert_non_null(end);
    size_t count = ids_of(tokenizer, line, (size_t)(end - line), ids, 2048), i = 0;
    for (next = end + 1; *next && *next != '\n'; i++) {
        long id = strtol(next, &next, 10);
        if (i >= count || ids[i] != id) fail_msg("token %zu is not %ld", i, id);
    }
    assert_int_equal(i, count);
    assert_true(count > 300);
    free(file.data);
    tfm_tokenizer_release(tokenizer);
}

/* ---- Marian: the pieces of source.spm, the ids of vocab.json ---- */

/* One line of cases.txt: text, ids, the text that they decode to. */
static void check_marian(const tfm_tokenizer *tokenizer, char *line) {
    char *ids = strchr(line, '\t'), *back = strchr(ids + 1, '\t'), got[256];
    tfm_error error = TFM_ERROR_INIT;
    tfm_token tokens[64];
    size_t count = 0, i = 0, length = 0;
    *ids++ = 0, *back++ = 0;
    if (tfm_tokenize(tokenizer, line, strlen(line), NULL, tokens, 64, &count, &error))
        fail_msg("%s", error.message);
    for (char *next = ids; *next; i++) {
        long id = strtol(next, &next, 10);
        if (i >= count || tokens[i] != id) fail_msg("'%s': token %zu is not %ld", line, i, id);
    }
    assert_int_equal(i, count);
    assert_int_equal(tfm_detokenize(tokenizer, tokens, count, NULL, got, sizeof got, &length, &error),
                     TFM_OK);
    if (length != strlen(back) || memcmp(got, back, length) != 0)
        fail_msg("'%s' decodes to '%.*s'", line, (int)length, got);
}

static void test_marian(void **state) {
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_tokenizer *tokenizer = NULL;
    tfm_error error = TFM_ERROR_INIT;
    folder f = {.count = 0};
    bytes cases = read_fixture("marian/cases.txt");
    size_t lines = 0;
    (void)state;
    add_fixture(&f, "vocab.json", "marian/vocab.json");
    add_fixture(&f, "source.spm", "marian/source.spm");
    if (load_folder(&f, &tokenizer, &error)) fail_msg("%s", error.message);
    for (char *at = (char *)cases.data, *end; (end = strchr(at, '\n')) != NULL; at = end + 1, lines++) {
        *end = 0;
        check_marian(tokenizer, at);
    }
    assert_int_equal(lines, 9);
    assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, &error), TFM_OK);
    assert_int_equal(info.vocab_size, 78); /* pieces without an id are no tokens */
    assert_int_equal(info.eos, 0);
    assert_int_equal(tfm_token_find(tokenizer, ">>eng<<", 7), 75);
    tfm_tokenizer_release(tokenizer);
    free(cases.data);

    /* every beginning of the pieces, and pieces with a byte changed: an error or a tokenizer, never worse */
    const size_t size = f.files[1].size;
    char *pieces = (char *)(uintptr_t)f.files[1].data;
    for (size_t i = 0; i < 2 * size; i++) {
        tokenizer = NULL;
        f.files[1].size = i < size ? i : size;
        if (i >= size) pieces[i - size] ^= 0x15;
        if (load_folder(&f, &tokenizer, &error) == TFM_OK) {
            tfm_token ids[64];
            (void)ids_of(tokenizer, "Guten Tag", 9, ids, 64);
            tfm_tokenizer_release(tokenizer);
        }
        if (i >= size) pieces[i - size] ^= 0x15;
    }
    free_fixtures(&f, 2);
}

static void wrong_marian(const char *vocab, int32_t wanted) {
    tfm_tokenizer *tokenizer = NULL;
    tfm_error error = TFM_ERROR_INIT;
    folder f = {.count = 0};
    bytes file = read_fixture("marian/source.spm");
    folder_add(&f, "vocab.json", vocab, strlen(vocab));
    folder_add(&f, "source.spm", file.data, file.size);
    assert_int_equal(load_folder(&f, &tokenizer, &error), wanted);
    assert_null(tokenizer);
    f.count = 1;
    assert_int_equal(load_folder(&f, &tokenizer, &error), TFM_E_MISSING);
    assert_non_null(strstr(error.message, "source.spm"));
    free(file.data);
}

static void test_wrong_marian(void **state) {
    (void)state;
    wrong_marian("{\"</s>\":0,\"<unk>\":0}", TFM_E_FORMAT);     /* an id twice */
    wrong_marian("{\"</s>\":0,\"<unk>\":2}", TFM_E_FORMAT);     /* a gap */
    wrong_marian("{\"</s>\":0,\"<unk>\":\"1\"}", TFM_E_FORMAT); /* no number */
    wrong_marian("{\"</s>\":0,\"\":1}", TFM_E_FORMAT);          /* no text */
    wrong_marian("{\"</s>\":0,\"<pad>\":1}", TFM_E_FORMAT);     /* nothing for what is unknown */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),   cmocka_unit_test(test_wrong_gpt2),   cmocka_unit_test(test_bert),
        cmocka_unit_test(test_source), cmocka_unit_test(test_llama_cpp),    cmocka_unit_test(test_far_scores),
        cmocka_unit_test(test_marian), cmocka_unit_test(test_wrong_marian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
