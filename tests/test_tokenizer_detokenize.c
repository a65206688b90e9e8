/* test_tokenizer_detokenize.c - many ids at once give what the streaming decoder gives, whatever the ids. */
#include "tokenizer_help.h"

#define MOST_IDS 6000

static const char *const files[] = {
    "ranks.tiktoken",   "bl-gpt2.json", "bl-prefix.json", "marks-gemma.json", "spm-llama.model",
    "spm-suffix.model", "spm.gguf",     "bpe.gguf",       "tokenizer.bin",    "added.json"};

static uint32_t next_random(uint32_t *state) {
    *state = (uint32_t)((uint64_t)*state * 48271 % 2147483647); /* Park and Miller */
    return *state;
}

static tfm_tokenizer *load_any(const char *name) {
    char path[1024];
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_tokenizer *tokenizer = NULL;
    options.pattern = "cl100k"; /* for the rank file */
    snprintf(path, sizeof path, "%s%s", FIXTURES, name);
    if (tfm_tokenizer_load(path, &options, &tokenizer, &error)) fail_msg("%s: %s", name, error.message);
    return tokenizer;
}

/* The decoder's texts, joined; to be freed. */
static char *one_by_one(const tfm_tokenizer *tokenizer, const tfm_token *ids, size_t count,
                        const tfm_detokenize_options *how, size_t *length) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_decoder *decoder = NULL;
    const char *part = NULL;
    size_t n = 0, capacity = 1 << 20;
    char *text = malloc(capacity);
    assert_non_null(text);
    *length = 0;
    assert_int_equal(tfm_decoder_create(tokenizer, how, &decoder, &error), TFM_OK);
    for (size_t i = 0; i <= count; i++) {
        if (i < count)
            assert_int_equal(tfm_decoder_push(decoder, ids[i], &part, &n, &error), TFM_OK);
        else
            assert_int_equal(tfm_decoder_finish(decoder, &part, &n, &error), TFM_OK);
        assert_true(*length + n <= capacity);
        if (n) memcpy(text + *length, part, n);
        *length += n;
    }
    tfm_decoder_destroy(decoder);
    return text;
}

static void compare(const char *name, const tfm_tokenizer *tokenizer, const tfm_token *ids, size_t count,
                    const tfm_detokenize_options *how) {
    tfm_error error = TFM_ERROR_INIT;
    size_t expected_length, length;
    char *expected = one_by_one(tokenizer, ids, count, how, &expected_length);
    char *text = malloc(expected_length + 1);
    assert_non_null(text);
    assert_int_equal(tfm_detokenize(tokenizer, ids, count, how, NULL, 0, &length, &error), TFM_OK);
    if (length != expected_length) fail_msg("%s: %zu bytes, not %zu", name, length, expected_length);
    text[expected_length] = '#';
    assert_int_equal(tfm_detokenize(tokenizer, ids, count, how, text, length, &length, &error), TFM_OK);
    assert_int_equal(length, expected_length);
    if (length) assert_memory_equal(text, expected, length);
    assert_int_equal(text[expected_length], '#');
    if (expected_length > 1) { /* nothing is written behind a buffer that is too small */
        text[expected_length - 1] = '#';
        assert_int_equal(
            tfm_detokenize(tokenizer, ids, count, how, text, expected_length - 1, &length, &error),
            TFM_E_BUFFER);
        assert_int_equal(length, expected_length);
        assert_int_equal(text[expected_length - 1], '#');
    }
    free(text);
    free(expected);
}

/* Any ids: whole tokens, and, mixed in, those of one or two bytes, which make broken characters. */
static void test_random_ids(void **state) {
    (void)state;
    uint32_t seed = 7;
    tfm_token *ids = malloc(MOST_IDS * sizeof *ids);
    assert_non_null(ids);
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        tfm_error error = TFM_ERROR_INIT;
        tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
        tfm_tokenizer *tokenizer = load_any(files[f]);
        assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, &error), TFM_OK);
        for (size_t round = 0; round < 48; round++) {
            tfm_detokenize_options how = TFM_DETOKENIZE_OPTIONS_INIT;
            size_t count = round < 40 ? next_random(&seed) % 40 : MOST_IDS - next_random(&seed) % 100;
            uint32_t most = round % 3 ? (uint32_t)info.vocab_size : 300;
            for (size_t i = 0; i < count; i++)
                ids[i] = (tfm_token)(next_random(&seed) % (most < 1 ? 1 : most)) % info.vocab_size;
            how.special = round & 1;
            how.raw = round >> 1 & 1;
            how.continued = round >> 2 & 1;
            compare(files[f], tokenizer, ids, count, &how);
        }
        tfm_tokenizer_release(tokenizer);
    }
    free(ids);
}

/* Characters of every length, cut at every place of the parts that the work is done in. */
static void test_cut_characters(void **state) {
    (void)state;
    tfm_tokenizer *tokenizer = load_any("ranks.tiktoken");
    tfm_detokenize_options how = TFM_DETOKENIZE_OPTIONS_INIT;
    static const char *const bytes[] = {"x", "\xf0", "\x9f", "\x99", "\x82", "\xe4", "\xb8", "\xad", "\xff"};
    tfm_token ids[9000], found[9];
    for (size_t i = 0; i < 9; i++) {
        found[i] = tfm_token_find(tokenizer, bytes[i], 1);
        assert_true(found[i] >= 0);
    }
    for (size_t lead = 0; lead < 8; lead++) {
        size_t count = 0;
        while (count < lead) ids[count++] = found[0];
        while (count + 9 < 9000)
            for (size_t i = 1; i < 8; i++) ids[count++] = found[i];
        compare("whole characters", tokenizer, ids, count, &how);
        compare("an unfinished one at the end", tokenizer, ids, count - 1 - lead % 3, &how);
        for (size_t i = 50; i < count; i += 97) ids[i] = found[8];
        compare("broken ones", tokenizer, ids, count, &how);
    }
    tfm_tokenizer_release(tokenizer);
}

/* A token of 10,000 bytes between others. */
static void test_long_token(void **state) {
    (void)state;
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_detokenize_options how = TFM_DETOKENIZE_OPTIONS_INIT;
    tfm_tokenizer *tokenizer = NULL;
    char *name = malloc(10001);
    assert_non_null(name);
    memset(name, 'n', 10000);
    name[10000] = 0;
    bytes file = read_fixture("ranks.tiktoken");
    tfm_special_token special = {name, 1000, 0};
    options.pattern = "cl100k";
    options.special = &special;
    options.special_count = 1;
    assert_int_equal(tfm_tokenizer_load_memory(file.data, file.size, &options, &tokenizer, &error), TFM_OK);
    const tfm_token ids[] = {70, 1000, 71, 1000, 1000, 72};
    how.special = 1;
    compare("a long token", tokenizer, ids, 6, &how);
    how.special = 0;
    compare("left out", tokenizer, ids, 6, &how);
    tfm_tokenizer_release(tokenizer);
    free(file.data);
    free(name);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_ids),
        cmocka_unit_test(test_cut_characters),
        cmocka_unit_test(test_long_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
