/* test_tokenizer_batch.c - many texts at once and text in parts: rows equal single calls for any number of
 * threads, offsets name the bytes that tokens hold, truncation and padding, streaming cut anywhere. */
#include "tokenizer_help.h"

#include "tfm/tfm.h"

static const char *const files[] = {
    "bl-gpt2.json",     "bl-o200k.json",   "bl-llama3.json",   "bl-deepseek.json", "bl-falcon.json",
    "bl-prefix.json",   "bl-qwen2.json",   "marks-first.json", "marks-gemma.json", "marks-prepend.json",
    "marks-split.json", "spm-llama.model", "spm-rules.model",  "spm-suffix.model", "spm-unused.model",
    "ranks.tiktoken",   "tokenizer.bin",   "bpe.gguf",         "spm.gguf",         "added.json"};

static const char *const texts[] = {"",
                                    " ",
                                    "a",
                                    "Hello world",
                                    "  two  spaces ",
                                    "line one\nline two\n\nline four\r\n",
                                    "caf\xc3\xa9 na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80!",
                                    "it's 12345 o'clock, isn't it?",
                                    "tabs\tand\n  indents\n    deeper",
                                    "the quick brown fox jumps over the lazy dog. The End."};

/* Every fixture that is there; at least one must be. */
static size_t each_fixture(void (*fn)(tfm_tokenizer *tokenizer, const char *name)) {
    size_t n = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s%s", FIXTURES, files[i]);
        tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
        tfm_error error = TFM_ERROR_INIT;
        tfm_tokenizer *tokenizer = NULL;
        if (strstr(path, ".tiktoken")) options.pattern = "cl100k";
        if (tfm_tokenizer_load(path, &options, &tokenizer, &error)) fail_msg("%s", error.message);
        fn(tokenizer, files[i]);
        tfm_tokenizer_release(tokenizer);
        n++;
    }
    assert_int_equal(n, sizeof files / sizeof *files);
    return n;
}

enum { COPIES = 40, TEXTS = sizeof texts / sizeof *texts, INPUTS = COPIES * TEXTS };

static void fill(tfm_text_input *inputs) {
    for (size_t i = 0; i < INPUTS; i++)
        inputs[i] = (tfm_text_input){texts[i % TEXTS], strlen(texts[i % TEXTS]), NULL, 0};
}

static void same_view(const tfm_encoding *a, const tfm_encoding *b) {
    tfm_encoding_view x = TFM_ENCODING_VIEW_INIT, y = TFM_ENCODING_VIEW_INIT;
    assert_int_equal(tfm_encoding_get(a, &x, NULL), TFM_OK);
    assert_int_equal(tfm_encoding_get(b, &y, NULL), TFM_OK);
    assert_int_equal(x.count, y.count);
    assert_memory_equal(x.ids, y.ids, x.count * sizeof *x.ids);
    assert_memory_equal(x.byte_begins, y.byte_begins, x.count * sizeof *x.byte_begins);
    assert_memory_equal(x.byte_ends, y.byte_ends, x.count * sizeof *x.byte_ends);
    assert_memory_equal(x.char_begins, y.char_begins, x.count * sizeof *x.char_begins);
    assert_memory_equal(x.char_ends, y.char_ends, x.count * sizeof *x.char_ends);
}

static void rows_are_single_calls(tfm_tokenizer *tokenizer, const char *name) {
    static tfm_text_input inputs[INPUTS];
    tfm_encoding *alone = NULL;
    fill(inputs);
    for (uint32_t threads = 0; threads <= 3; threads++) {
        tfm_batch_options options = TFM_BATCH_OPTIONS_INIT;
        tfm_pool_options pool_options = TFM_POOL_OPTIONS_INIT;
        tfm_pool *pool = NULL;
        tfm_encoding *encoding;
        const tfm_token *ids;
        const size_t *starts;
        size_t rows;
        options.want = TFM_WANT_OFFSETS | TFM_WANT_CHARS;
        pool_options.threads = threads;
        if (threads) assert_int_equal(tfm_pool_create(&pool_options, &pool, NULL), TFM_OK);
        options.pool = pool;
        assert_int_equal(tfm_tokenize_batch(tokenizer, inputs, INPUTS, &options, &encoding, NULL), TFM_OK);
        assert_int_equal(tfm_encoding_ids(encoding, &ids, &starts, &rows, NULL), TFM_OK);
        assert_int_equal(rows, INPUTS);
        for (size_t i = 0; i < rows; i++) {
            tfm_token single[256];
            size_t count;
            assert_int_equal(
                tfm_tokenize(tokenizer, inputs[i].text, inputs[i].length, NULL, single, 256, &count, NULL),
                TFM_OK);
            if (count != starts[i + 1] - starts[i]) fail_msg("%s: row %zu", name, i);
            assert_memory_equal(single, ids + starts[i], count * sizeof *ids);
        }
        if (alone) same_view(alone, encoding);
        tfm_pool_destroy(pool);
        if (alone)
            tfm_encoding_destroy(encoding);
        else
            alone = encoding;
    }
    tfm_encoding_destroy(alone);
}

static void test_rows_are_single_calls(void **state) {
    (void)state;
    each_fixture(rows_are_single_calls);
}

/* The bytes of a token are those of its range, but for marks that stand for spaces, what is put in front (which has the
 * range of the character behind it, as tokenizers has it), and unknowns. */
static void offsets_name_bytes(tfm_tokenizer *tokenizer, const char *name) {
    for (size_t t = 0; t < TEXTS; t++) {
        tfm_batch_options options = TFM_BATCH_OPTIONS_INIT;
        tfm_tokenize_options tokenize = TFM_TOKENIZE_OPTIONS_INIT;
        tfm_text_input input = {texts[t], strlen(texts[t]), NULL, 0};
        tfm_encoding_view view = TFM_ENCODING_VIEW_INIT;
        tfm_encoding *encoding;
        uint32_t at = 0;
        tokenize.add_bos = tokenize.add_eos = TFM_NO;
        options.tokenize = &tokenize;
        options.want = TFM_WANT_OFFSETS | TFM_WANT_CHARS;
        assert_int_equal(tfm_tokenize_batch(tokenizer, &input, 1, &options, &encoding, NULL), TFM_OK);
        assert_int_equal(tfm_encoding_get(encoding, &view, NULL), TFM_OK);
        for (size_t i = 0; i < view.count; i++) {
            const char *bytes;
            size_t length;
            uint32_t begin = view.byte_begins[i], end = view.byte_ends[i];
            bool in_front = at == 1 && begin == 0; /* the token before was put in front of this one */
            if (!in_front) assert_in_range(begin, at, input.length);
            assert_in_range(end, begin, input.length);
            assert_true(view.char_begins[i] <= view.char_ends[i] && view.char_ends[i] <= input.length);
            assert_int_equal(tfm_token_bytes(tokenizer, view.ids[i], &bytes, &length, NULL), TFM_OK);
            bool squeezed = strncmp(name, "spm-", 4) == 0; /* several spaces became one */
            bool named =
                length == 6 && memcmp(bytes, "<0x", 3) == 0; /* a byte that the decoder shows by name */
            /* SentencePiece: of the bytes of a character the last has all of it, the others nothing */
            bool part = tfm_token_kind(tokenizer, view.ids[i]) == TFM_TOKEN_BYTE;
            if (tfm_token_kind(tokenizer, view.ids[i]) != TFM_TOKEN_UNKNOWN && !named && !part &&
                end - begin != length && !(squeezed && end - begin > length) &&
                !((bytes[0] == ' ' || bytes[length - 1] == ' ') && end - begin == length - 1))
                fail_msg("%s: '%s': token %zu holds %zu bytes, its range is %u-%u", name, texts[t], i, length,
                         (unsigned)begin, (unsigned)end);
            if (tfm_token_kind(tokenizer, view.ids[i]) != TFM_TOKEN_UNKNOWN && end - begin == length && !part &&
                !(i == 0 && length == 1 && bytes[0] == ' '))
                assert_memory_equal(bytes, texts[t] + begin, length);
            at = end;
        }
        tfm_encoding_destroy(encoding);
    }
}

static void test_offsets(void **state) {
    (void)state;
    each_fixture(offsets_name_bytes);
}

/* A part of a character counts as the whole in characters. */
static void test_characters(void **state) {
    (void)state;
    tfm_tokenizer *tokenizer = load(FIXTURES "bl-qwen2.json");
    tfm_batch_options options = TFM_BATCH_OPTIONS_INIT;
    tfm_text_input input = {"a\xf0\x9f\x98\x80", 5, NULL, 0};
    tfm_encoding_view view = TFM_ENCODING_VIEW_INIT;
    tfm_encoding *encoding;
    options.want = TFM_WANT_OFFSETS | TFM_WANT_CHARS;
    assert_int_equal(tfm_tokenize_batch(tokenizer, &input, 1, &options, &encoding, NULL), TFM_OK);
    assert_int_equal(tfm_encoding_get(encoding, &view, NULL), TFM_OK);
    assert_true(view.count >= 3);
    for (size_t i = 1; i < view.count; i++) {
        assert_int_equal(view.char_begins[i], 1);
        assert_int_equal(view.char_ends[i], 2);
        assert_int_equal(view.byte_begins[i], view.byte_ends[i - 1]);
    }
    tfm_encoding_destroy(encoding);
    tfm_tokenizer_release(tokenizer);
}

/* ---- Truncation and padding ---- */

static tfm_encoding *batch(const tfm_tokenizer *tokenizer, const tfm_text_input *inputs, size_t count,
                           const tfm_batch_options *options) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_encoding *encoding = NULL;
    if (tfm_tokenize_batch(tokenizer, inputs, count, options, &encoding, &error))
        fail_msg("%s", error.message);
    return encoding;
}

/* Ten letters in a byte vocabulary are ten tokens or fewer: digits do not merge in it. */
static void test_truncation(void **state) {
    (void)state;
    static const struct {
        size_t most, stride;
        int32_t side;
        size_t rows, begin[4], end[4];
    } cases[] = {
        {6, 2, TFM_SIDE_RIGHT, 2, {0, 4}, {6, 10}},
        {4, 0, 0, 3, {0, 4, 8}, {4, 8, 10}},
        {4, 1, 0, 3, {0, 3, 6}, {4, 7, 10}},
        {6, 2, TFM_SIDE_LEFT, 2, {4, 0}, {10, 6}},
        {4, 1, TFM_SIDE_LEFT, 3, {6, 3, 0}, {10, 7, 4}},
        {10, 3, 0, 1, {0}, {10}},
        {4, 0, TFM_SIDE_LEFT, 3, {6, 2, 0}, {10, 6, 2}},
        {0, 0, 0, 2, {0, 0}, {0, 10}},
    };
    tfm_tokenizer *tokenizer = load(FIXTURES "bl-qwen2.json");
    const char digits[] = "\x01\x02\x03\x04\x05\x06\x07\x08\x0e\x0f"; /* nothing merges them */
    tfm_text_input input = {digits, 10, NULL, 0};
    tfm_token whole[16];
    size_t count;
    assert_int_equal(tfm_tokenize(tokenizer, digits, 10, NULL, whole, 16, &count, NULL), TFM_OK);
    assert_int_equal(count, 10);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        tfm_batch_options options = TFM_BATCH_OPTIONS_INIT;
        const tfm_token *ids;
        const size_t *starts;
        size_t rows;
        tfm_encoding *encoding;
        options.truncate = TFM_YES;
        options.max_length = cases[c].most;
        options.stride = cases[c].stride;
        options.truncate_side = cases[c].side;
        options.want = TFM_WANT_OVERFLOW;
        encoding = batch(tokenizer, &input, 1, &options);
        assert_int_equal(tfm_encoding_ids(encoding, &ids, &starts, &rows, NULL), TFM_OK);
        assert_int_equal(rows, cases[c].rows);
        for (size_t r = 0; r < rows; r++) {
            assert_int_equal(starts[r + 1] - starts[r], cases[c].end[r] - cases[c].begin[r]);
            assert_memory_equal(ids + starts[r], whole + cases[c].begin[r],
                                (starts[r + 1] - starts[r]) * sizeof *ids);
        }
        tfm_encoding_destroy(encoding);
    }
    tfm_tokenizer_release(tokenizer);
}

static void test_pair_truncation(void **state) {
    (void)state;
    static const struct {
        size_t text, pair, most;
        int32_t strategy;
        size_t text_left, pair_left;
        int32_t rc;
    } cases[] = {
        {8, 4, 10, TFM_TRUNCATE_LONGEST_FIRST, 6, 4, TFM_OK},
        {4, 8, 10, 0, 4, 6, TFM_OK},
        {8, 8, 7, 0, 3, 4, TFM_OK},
        {9, 8, 7, 0, 4, 3, TFM_OK},
        {8, 2, 5, 0, 3, 2, TFM_OK},
        {8, 4, 10, TFM_TRUNCATE_FIRST, 6, 4, TFM_OK},
        {8, 4, 10, TFM_TRUNCATE_SECOND, 8, 2, TFM_OK},
        {8, 4, 4, TFM_TRUNCATE_FIRST, 0, 0, TFM_E_ARGUMENT},
        {8, 4, 7, TFM_TRUNCATE_SECOND, 0, 0, TFM_E_ARGUMENT},
        {3, 3, 6, 0, 3, 3, TFM_OK},
    };
    const char bytes[] = "\x01\x02\x03\x04\x05\x06\x07\x08\x0e\x0f";
    tfm_tokenizer *tokenizer = load(FIXTURES "bl-qwen2.json");
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        tfm_text_input input = {bytes, cases[c].text, bytes, cases[c].pair};
        tfm_batch_options options = TFM_BATCH_OPTIONS_INIT;
        tfm_encoding_view view = TFM_ENCODING_VIEW_INIT;
        tfm_encoding *encoding;
        size_t of_text = 0, of_pair = 0;
        options.truncate = TFM_YES;
        options.max_length = cases[c].most;
        options.truncate_strategy = cases[c].strategy;
        options.want = TFM_WANT_MASKS | TFM_WANT_TYPES;
        assert_int_equal(tfm_tokenize_batch(tokenizer, &input, 1, &options, &encoding, NULL), cases[c].rc);
        if (cases[c].rc) {
            assert_null(encoding);
            continue;
        }
        assert_int_equal(tfm_encoding_get(encoding, &view, NULL), TFM_OK);
        for (size_t i = 0; i < view.count; i++) {
            assert_int_equal(view.sequences[i], view.types[i]);
            if (view.sequences[i])
                of_pair++;
            else
                of_text++;
        }
        assert_int_equal(of_text, cases[c].text_left);
        assert_int_equal(of_pair, cases[c].pair_left);
        tfm_encoding_destroy(encoding);
    }
    tfm_tokenizer_release(tokenizer);
}

static void test_padding(void **state) {
    (void)state;
    tfm_tokenizer *tokenizer = load(FIXTURES "bl-qwen2.json");
    tfm_text_input inputs[] = {{"\x01\x02\x03", 3, NULL, 0}, {"\x01", 1, NULL, 0}, {"", 0, NULL, 0}};
    for (int left = 0; left <= 1; left++) {
        tfm_batch_options options = TFM_BATCH_OPTIONS_INIT;
        tfm_encoding_view view = TFM_ENCODING_VIEW_INIT;
        const size_t *starts;
        size_t rows;
        tfm_encoding *encoding;
        options.pad = TFM_YES;
        options.pad_side = left ? TFM_SIDE_LEFT : TFM_SIDE_RIGHT;
        options.pad_multiple = 4;
        options.pad_token = 7;
        options.pad_type = 5;
        options.want = TFM_WANT_MASKS | TFM_WANT_TYPES | TFM_WANT_OFFSETS | TFM_WANT_CHARS;
        encoding = batch(tokenizer, inputs, 3, &options);
        assert_int_equal(tfm_encoding_ids(encoding, NULL, &starts, &rows, NULL), TFM_OK);
        assert_int_equal(tfm_encoding_get(encoding, &view, NULL), TFM_OK);
        assert_int_equal(rows, 3);
        for (size_t r = 0; r < rows; r++) {
            size_t length = inputs[r].length;
            assert_int_equal(starts[r + 1] - starts[r], 4);
            for (size_t k = 0; k < 4; k++) {
                size_t at = starts[r] + k;
                bool real = left ? k >= 4 - length : k < length;
                assert_int_equal(view.attention[at], real);
                assert_int_equal(view.special[at], !real);
                assert_int_equal(view.sequences[at], real ? 0 : 255);
                assert_int_equal(view.types[at], real ? 0 : 5);
                if (!real) assert_int_equal(view.ids[at], 7);
                if (!real) assert_int_equal(view.byte_ends[at] | view.char_ends[at], 0);
            }
        }
        tfm_encoding_destroy(encoding);
        options.pad_mode = TFM_PAD_FIXED;
        options.pad_length = 2; /* shorter than the longest row, which stays */
        options.pad_multiple = 0;
        encoding = batch(tokenizer, inputs, 3, &options);
        assert_int_equal(tfm_encoding_ids(encoding, NULL, &starts, &rows, NULL), TFM_OK);
        assert_int_equal(starts[1], 3);
        assert_int_equal(starts[2], 5);
        assert_int_equal(starts[3], 7);
        tfm_encoding_destroy(encoding);
    }
    tfm_tokenizer_release(tokenizer);
}

static void test_batch_arguments(void **state) {
    (void)state;
    tfm_tokenizer *tokenizer = load(FIXTURES "bl-qwen2.json");
    tfm_text_input input = {"abc", 3, NULL, 0}, wrong = {NULL, 3, NULL, 0};
    tfm_batch_options options = TFM_BATCH_OPTIONS_INIT;
    tfm_encoding_view view = TFM_ENCODING_VIEW_INIT;
    tfm_encoding *encoding = (tfm_encoding *)&view;
    assert_int_equal(tfm_tokenize_batch(NULL, &input, 1, NULL, &encoding, NULL), TFM_E_ARGUMENT);
    assert_null(encoding);
    assert_int_equal(tfm_tokenize_batch(tokenizer, NULL, 1, NULL, &encoding, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenize_batch(tokenizer, &wrong, 1, NULL, &encoding, NULL), TFM_E_ARGUMENT);
    options.want = 1u << 20;
    assert_int_equal(tfm_tokenize_batch(tokenizer, &input, 1, &options, &encoding, NULL), TFM_E_ARGUMENT);
    options.want = 0;
    options.pad = TFM_YES;
    options.pad_token = 1 << 29;
    assert_int_equal(tfm_tokenize_batch(tokenizer, &input, 1, &options, &encoding, NULL), TFM_E_TOKEN);
    assert_int_equal(tfm_encoding_get(NULL, &view, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_encoding_ids(NULL, NULL, NULL, NULL, NULL), TFM_E_ARGUMENT);
    tfm_encoding_destroy(NULL);
    assert_int_equal(tfm_tokenize_batch(tokenizer, NULL, 0, NULL, &encoding, NULL),
                     TFM_OK); /* no inputs: no rows */
    assert_int_equal(tfm_encoding_get(encoding, &view, NULL), TFM_OK);
    assert_int_equal(view.count, 0);
    tfm_encoding_destroy(encoding);
    tfm_tokenizer_release(tokenizer);
}

/* ---- Choices ---- */

static void test_invalid_utf8(void **state) {
    (void)state;
    tfm_tokenizer *tokenizer = load(FIXTURES "bl-qwen2.json");
    const char bad[] = "ab\xf0\x9f\x98 c\xff";
    const char replaced[] = "ab\xef\xbf\xbd c\xef\xbf\xbd";
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    tfm_detokenize_options raw = TFM_DETOKENIZE_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_token ids[64], wanted[64];
    size_t count, wanted_count, length;
    char back[64];
    raw.raw = 1;
    options.invalid_utf8 = TFM_UTF8_KEEP;
    assert_int_equal(tfm_tokenize(tokenizer, bad, sizeof bad - 1, &options, ids, 64, &count, &error), TFM_OK);
    assert_int_equal(tfm_detokenize(tokenizer, ids, count, &raw, back, sizeof back, &length, &error), TFM_OK);
    assert_int_equal(length, sizeof bad - 1);
    assert_memory_equal(back, bad, length);
    options.invalid_utf8 = TFM_UTF8_REPLACE;
    assert_int_equal(tfm_tokenize(tokenizer, bad, sizeof bad - 1, &options, ids, 64, &count, &error), TFM_OK);
    assert_int_equal(
        tfm_tokenize(tokenizer, replaced, sizeof replaced - 1, NULL, wanted, 64, &wanted_count, &error),
        TFM_OK);
    assert_int_equal(count, wanted_count);
    assert_memory_equal(ids, wanted, count * sizeof *ids);
    options.invalid_utf8 = TFM_UTF8_REFUSE;
    assert_int_equal(tfm_tokenize(tokenizer, bad, sizeof bad - 1, &options, ids, 64, &count, &error),
                     TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "byte 2"));
    tfm_tokenizer_release(tokenizer);
}

/* ---- Text in parts ---- */

static uint32_t next_random(uint32_t *state) { return *state = *state * 1664525u + 1013904223u, *state >> 8; }

static void streams_equal(tfm_tokenizer *tokenizer, const char *name) {
    static const char *const words[] = {
        "the",   " quick", "\n",       "\n\n", "  ",  " fox's",      "\r\n", "\xe4\xb8\xad\xe6\x96\x87",
        "12345", " ",      "\tif (x)", ".",    "...", "caf\xc3\xa9", "!\n",  "\xff"};
    uint32_t random = 12345;
    for (int round = 0; round < 200; round++) {
        tfm_encoder *encoder = NULL;
        char text[512];
        tfm_token whole[600], parts[600];
        const tfm_token *ids;
        size_t length = 0, count, got = 0, n;
        int bad = round % 4 == 0;
        while (length < (size_t)(round * 2)) {
            const char *word = words[next_random(&random) % (bad ? 16 : 15)];
            memcpy(text + length, word, strlen(word));
            length += strlen(word);
        }
        assert_int_equal(tfm_tokenize(tokenizer, text, length, NULL, whole, 600, &count, NULL), TFM_OK);
        assert_int_equal(tfm_encoder_create(tokenizer, NULL, &encoder, NULL), TFM_OK);
        for (int again = 0; again < 2; again++) { /* an encoder serves one text after the other */
            got = 0;
            for (size_t at = 0; at < length;) {
                size_t part = 1 + next_random(&random) % 40;
                if (part > length - at) part = length - at;
                assert_int_equal(tfm_encoder_push(encoder, text + at, part, &ids, &n, NULL), TFM_OK);
                if (n) memcpy(parts + got, ids, n * sizeof *ids);
                got += n;
                at += part;
            }
            assert_int_equal(tfm_encoder_finish(encoder, &ids, &n, NULL), TFM_OK);
            if (n) memcpy(parts + got, ids, n * sizeof *ids);
            got += n;
            if (got != count || memcmp(parts, whole, count * sizeof *ids) != 0)
                fail_msg("%s: '%.*s' in parts gives other ids", name, (int)length, text);
        }
        tfm_encoder_destroy(encoder);
    }
}

static void test_streams(void **state) {
    (void)state;
    each_fixture(streams_equal);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_single_calls),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_pair_truncation),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_batch_arguments),
        cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
