/* Tests of the tokenizer: the ids of the reference implementations on the fixtures of tests/data/tokenizer,
 * decoding whole and streamed, facts, options. */
#include "tokenizer_help.h"

#include "tokenizer/tokenizer.h"

/* ---- The recorded cases: file, pattern, parse_special, add, text in hex, ids, decoded text ---- */

static const char *const fixtures[] = {
    "bl-gpt2.json",     "bl-prefix.json",  "bl-llama3.json",     "bl-qwen2.json",    "bl-qwen35.json",
    "bl-old.json",      "bl-o200k.json",   "bl-tekken.json",     "bl-deepseek.json", "bl-starcoder.json",
    "bl-falcon.json",   "added.json",      "marks-prepend.json", "marks-gemma.json", "marks-first.json",
    "marks-split.json", "spm-llama.model", "spm-rules.model",    "spm-suffix.model", "spm-unused.model",
    "tokenizer.bin",    "spm.gguf",        "bpe.gguf",           "ranks.tiktoken"};
#define FIXTURE_COUNT (sizeof fixtures / sizeof fixtures[0])

static int hex(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* The next field of a line, cut off in place. */
static char *field(char **at) {
    char *start = *at, *end = strpbrk(start, "\t\n");
    assert_non_null(end);
    *end = 0;
    *at = end + 1;
    return start;
}

/* All cases, of all fixtures, loaded from memory. */
static void test_recorded_ids(void **state) {
    bytes all = read_fixture("cases.txt");
    char *at = (char *)all.data, last[128] = "";
    tfm_tokenizer *tokenizer = NULL;
    size_t cases = 0, files = 0, decoded = 0;
    (void)state;
    while (*at) {
        char *file = field(&at), *pattern = field(&at), *special = field(&at), *add = field(&at),
             *text = field(&at), *ids = field(&at), *back = field(&at), key[128];
        tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
        tfm_error error = TFM_ERROR_INIT;
        tfm_token got[4096];
        size_t length = strlen(text) / 2, count = 0, i = 0;
        snprintf(key, sizeof key, "%s %s", file, pattern);
        if (strcmp(key, last) != 0) {
            tfm_tokenizer_options load_options = TFM_TOKENIZER_OPTIONS_INIT;
            bytes data = read_fixture(file);
            if (*pattern != '-') load_options.pattern = pattern;
            tfm_tokenizer_release(tokenizer);
            if (tfm_tokenizer_load_memory(data.data, data.size, &load_options, &tokenizer, &error))
                fail_msg("%s: %s", file, error.message);
            free(data.data);
            strcpy(last, key);
            files++;
        }
        for (size_t k = 0; k < length; k++) text[k] = (char)(hex(text[2 * k]) * 16 + hex(text[2 * k + 1]));
        options.parse_special = *special == '1';
        options.add_bos = options.add_eos = *add == 'b' ? TFM_DEFAULT : TFM_NO;
        if (tfm_tokenize(tokenizer, text, length, &options, got, 4096, &count, &error))
            fail_msg("%s: %s", file, error.message);
        for (char *next = ids; *next; i++) {
            long want = strtol(next, &next, 10);
            if (i >= count || got[i] != want)
                fail_msg("%s, case %zu, token %zu of %zu: %d instead of %ld", key, cases, i, count,
                         i < count ? (int)got[i] : -1, want);
        }
        if (i != count) fail_msg("%s, case %zu: %zu tokens instead of %zu", key, cases, count, i);
        if (*back == '=') {
            char got_text[8192];
            size_t got_length = 0;
            back++;
            length = strlen(back) / 2;
            for (size_t k = 0; k < length; k++)
                back[k] = (char)(hex(back[2 * k]) * 16 + hex(back[2 * k + 1]));
            assert_int_equal(
                tfm_detokenize(tokenizer, got, count, NULL, got_text, sizeof got_text, &got_length, &error),
                TFM_OK);
            if (got_length != length || memcmp(got_text, back, length) != 0)
                fail_msg("%s, case %zu decodes to '%.*s'", key, cases, (int)got_length, got_text);
            decoded++;
        }
        cases++;
    }
    tfm_tokenizer_release(tokenizer);
    free(all.data);
    assert_true(cases > 1900);
    assert_true(decoded > 400);
    assert_int_equal(files, FIXTURE_COUNT + 3); /* the rank file with each of four patterns */
}

/* ---- Decoding ---- */

static const char sample[] =
    "Once upon  a time,\n\tthere\xe2\x80\x99s \xe5\xba\x8a\xe5\x89\x8d\xe6\x98\x8e\xe6\x9c\x88\xe5\x85\x89 "
    "\xf0\x9f\xab\xa8 na\xc3\xafve (12345) the best of times. ";

/* A loaded fixture; the rank file needs a pattern. */
static tfm_tokenizer *load_any(const char *name) {
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer = NULL;
    char path[1024];
    options.pattern = "cl100k";
    snprintf(path, sizeof path, "%s%s", FIXTURES, name);
    if (tfm_tokenizer_load(path, &options, &tokenizer, &error)) fail_msg("%s: %s", name, error.message);
    return tokenizer;
}

/* Text comes back from its tokens, where the tokenizer loses nothing. */
static void test_round_trip(void **state) {
    (void)state;
    for (size_t f = 0; f < FIXTURE_COUNT; f++) {
        /* marks-prepend.json has a special token that decodes to its normal form, and then is not known as
         * special. These normalise, squeeze white space, have no token for some characters, or do not decode
         * byte tokens */
        bool loses =
            strcmp(fixtures[f], "spm-rules.model") == 0 || strcmp(fixtures[f], "spm-suffix.model") == 0 ||
            strcmp(fixtures[f], "marks-split.json") == 0 || strcmp(fixtures[f], "marks-first.json") == 0 ||
            strcmp(fixtures[f], "bl-prefix.json") == 0;
        tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
        tfm_tokenizer *tokenizer = load_any(fixtures[f]);
        tfm_token ids[1024];
        char text[1024];
        size_t count = 0, length = 0;
        options.add_bos = strcmp(fixtures[f], "marks-prepend.json") == 0 ? TFM_NO : TFM_DEFAULT;
        assert_int_equal(
            tfm_tokenize(tokenizer, sample, sizeof sample - 1, &options, ids, 1024, &count, NULL), TFM_OK);
        assert_int_equal(tfm_detokenize(tokenizer, ids, count, NULL, text, sizeof text, &length, NULL),
                         TFM_OK);
        if (!loses && (length != sizeof sample - 1 || memcmp(text, sample, length) != 0))
            fail_msg("%s: '%.*s'", fixtures[f], (int)length, text);
        tfm_tokenizer_release(tokenizer);
    }
}

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Whether a text is well-formed UTF-8, decided without the library. */
static bool well_formed(const unsigned char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        unsigned char a = s[i];
        size_t more = a < 0x80                ? 0
                      : a >= 0xc2 && a < 0xe0 ? 1
                      : (a & 0xf0) == 0xe0    ? 2
                      : a >= 0xf0 && a < 0xf5 ? 3
                                              : 9;
        if (more > n - i - 1) return false;
        for (size_t k = 1; k <= more; k++)
            if ((s[i + k] & 0xc0) != 0x80) return false;
        if ((a == 0xe0 && s[i + 1] < 0xa0) || (a == 0xed && s[i + 1] > 0x9f) ||
            (a == 0xf0 && s[i + 1] < 0x90) || (a == 0xf4 && s[i + 1] > 0x8f))
            return false;
        i += more + 1;
    }
    return true;
}

/* Streamed texts joined are the whole text; every handed-out text is well-formed; special and raw each way.
 */
static void test_streaming(void **state) {
    (void)state;
    for (size_t f = 0; f < FIXTURE_COUNT; f++) {
        tfm_tokenizer *tokenizer = load_any(fixtures[f]);
        tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
        uint32_t seed = (uint32_t)f + 1;
        assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, NULL), TFM_OK);
        for (int round = 0; round < 200; round++) {
            tfm_detokenize_options options = TFM_DETOKENIZE_OPTIONS_INIT;
            tfm_decoder *decoder = NULL;
            tfm_token ids[40];
            size_t count = next_random(&seed) % 40, length = 0, joined = 0, part = 0;
            char whole[8192], stream[8192];
            const char *text = NULL;
            options.special = round & 1;
            options.raw = round >> 1 & 1;
            for (size_t i = 0; i < count; i++)
                ids[i] = (tfm_token)(next_random(&seed) % (uint32_t)info.vocab_size);
            assert_int_equal(
                tfm_detokenize(tokenizer, ids, count, &options, whole, sizeof whole, &length, NULL), TFM_OK);
            assert_int_equal(tfm_decoder_create(tokenizer, &options, &decoder, NULL), TFM_OK);
            for (int twice = 0; twice < 2; twice++) { /* finish makes it ready for a new text */
                joined = 0;
                for (size_t i = 0; i <= count; i++) {
                    int32_t rc = i < count ? tfm_decoder_push(decoder, ids[i], &text, &part, NULL)
                                           : tfm_decoder_finish(decoder, &text, &part, NULL);
                    assert_int_equal(rc, TFM_OK);
                    if (!options.raw) assert_true(well_formed((const unsigned char *)text, part));
                    assert_true(joined + part <= sizeof stream);
                    memcpy(stream + joined, text, part);
                    joined += part;
                }
                assert_int_equal(joined, length);
                assert_memory_equal(stream, whole, length);
            }
            tfm_decoder_destroy(decoder);
        }
        tfm_tokenizer_release(tokenizer);
    }
}

/* A run of byte tokens is held back until it ends; if it is not UTF-8, every byte of it becomes U+FFFD. */
static void test_held_back(void **state) {
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"\xe4\xbd\xa0", "\xe4\xbd\xa0"},
        {"\xe4\xbd", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe4"
         "A",
         "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x9f\x98\xe4\xbd\xa0",
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf\xff", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    tfm_tokenizer *tokenizer = load_fixture("marks-gemma.json");
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        size_t n = strlen(cases[c].bytes), length = 0, joined = 0;
        tfm_decoder *decoder = NULL;
        const char *text = NULL;
        char stream[64], name[8];
        assert_int_equal(tfm_decoder_create(tokenizer, NULL, &decoder, NULL), TFM_OK);
        for (size_t i = 0; i <= n; i++) {
            if (i < n) {
                tfm_token id = 3 + (unsigned char)cases[c].bytes[i]; /* <unk> <s> </s> <0x00> ... */
                snprintf(name, sizeof name, "<0x%02X>", (unsigned)(unsigned char)cases[c].bytes[i]);
                assert_int_equal(tfm_token_kind(tokenizer, id), TFM_TOKEN_BYTE);
                assert_int_equal(tfm_decoder_push(decoder, id, &text, &length, NULL), TFM_OK);
                if (c == 0) assert_int_equal(length, 0);
            } else {
                assert_int_equal(tfm_decoder_finish(decoder, &text, &length, NULL), TFM_OK);
                if (c == 0) assert_int_equal(length, 3);
            }
            memcpy(stream + joined, text, length);
            joined += length;
        }
        assert_int_equal(joined, strlen(cases[c].text));
        assert_memory_equal(stream, cases[c].text, joined);
        tfm_decoder_destroy(decoder);
    }
    tfm_tokenizer_release(tokenizer);
}

/* The space that goes in front of a text comes off again; a continuation keeps its own. */
static void test_leading_space(void **state) {
    static const char *const names[] = {"spm-llama.model", "spm.gguf", "tokenizer.bin", "marks-prepend.json",
                                        "marks-first.json"};
    (void)state;
    for (size_t f = 0; f < sizeof names / sizeof names[0]; f++) {
        tfm_tokenizer *tokenizer = load_fixture(names[f]);
        static const char *const texts[] = {"the best", " the best", "  the", "", " "};
        for (size_t t = 0; t < 5; t++) {
            tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
            tfm_token ids[64];
            char text[64];
            size_t count = 0, length = 0;
            if (t > 0 && strcmp(names[f], "marks-first.json") == 0) continue; /* it keeps no leading spaces */
            options.add_bos = strcmp(names[f], "marks-prepend.json") == 0 ? TFM_NO : TFM_DEFAULT;
            assert_int_equal(
                tfm_tokenize(tokenizer, texts[t], strlen(texts[t]), &options, ids, 64, &count, NULL), TFM_OK);
            assert_int_equal(tfm_detokenize(tokenizer, ids, count, NULL, text, 64, &length, NULL), TFM_OK);
            if (length != strlen(texts[t]) || memcmp(text, texts[t], length) != 0)
                fail_msg("%s: '%s' became '%.*s'", names[f], texts[t], (int)length, text);
        }
        {
            tfm_detokenize_options options = TFM_DETOKENIZE_OPTIONS_INIT;
            tfm_decoder *decoder = NULL;
            tfm_token the = tfm_token_find(tokenizer, " the", 4);
            const char *text;
            size_t length;
            assert_true(the >= 0);
            assert_int_equal(tfm_decoder_create(tokenizer, NULL, &decoder, NULL), TFM_OK);
            assert_int_equal(tfm_decoder_push(decoder, the, &text, &length, NULL), TFM_OK);
            assert_int_equal(length, 3);
            assert_int_equal(tfm_decoder_finish(decoder, &text, &length, NULL), TFM_OK);
            tfm_decoder_destroy(decoder);
            options.continued = 1;
            assert_int_equal(tfm_decoder_create(tokenizer, &options, &decoder, NULL), TFM_OK);
            assert_int_equal(tfm_decoder_push(decoder, the, &text, &length, NULL), TFM_OK);
            assert_int_equal(length, 4);
            tfm_decoder_destroy(decoder);
        }
        tfm_tokenizer_release(tokenizer);
    }
}

/* ---- Facts ---- */

static void test_info(void **state) {
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_tokenizer *tokenizer = load_fixture("bpe.gguf");
    (void)state;
    assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, NULL), TFM_OK);
    assert_int_equal(info.struct_size, sizeof info);
    assert_int_equal(info.vocab_size, 500);
    assert_int_equal(info.bos, 0);
    assert_int_equal(info.eos, 1);
    assert_int_equal(info.end_of_turn, 2);
    assert_int_equal(info.unknown, -1);
    assert_int_equal(info.adds_bos, 0);
    assert_string_equal(info.kind, "byte-level-bpe");
    assert_string_equal(info.pattern, "gpt2");
    assert_true(tfm__tokenizer_is_end(tokenizer, 1));
    assert_true(tfm__tokenizer_is_end(tokenizer, 2));
    assert_false(tfm__tokenizer_is_end(tokenizer, 0));
    assert_false(tfm__tokenizer_is_end(tokenizer, -1));
    assert_false(tfm__tokenizer_is_end(tokenizer, 500));
    tfm_tokenizer_release(tokenizer);

    tokenizer = load_fixture("spm-llama.model");
    assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, NULL), TFM_OK);
    assert_int_equal(info.vocab_size, 420);
    assert_int_equal(info.bos, 1);
    assert_int_equal(info.eos, 2);
    assert_int_equal(info.unknown, 0);
    assert_int_equal(info.padding, -1);
    assert_string_equal(info.kind, "sentencepiece-bpe");
    assert_string_equal(info.pattern, "");
    tfm_tokenizer_release(tokenizer);

    /* an older caller's struct is filled as far as it goes */
    tokenizer = load_fixture("bl-llama3.json");
    memset(&info, 0x55, sizeof info);
    info.struct_size = offsetof(tfm_tokenizer_info, unknown);
    assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, NULL), TFM_OK);
    assert_int_equal(info.vocab_size, tfm__tokenizer_vocab_size(tokenizer));
    assert_int_equal(info.bos, 0);
    assert_int_equal(info.unknown, 0x55555555);
    info.struct_size = 0;
    assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, NULL), TFM_E_ARGUMENT);
    tfm_tokenizer_release(tokenizer);
}

/* Every token can be found by its text, and the text is what stands in the middle of a decoded text. */
static void test_tokens(void **state) {
    (void)state;
    for (size_t f = 0; f < FIXTURE_COUNT; f++) {
        tfm_tokenizer *tokenizer = load_any(fixtures[f]);
        int32_t n = tfm__tokenizer_vocab_size(tokenizer);
        assert_int_equal(tfm_token_kind(tokenizer, -1), 0);
        assert_int_equal(tfm_token_kind(tokenizer, n), 0);
        for (int32_t id = 0; id < n; id++) {
            const char *text = NULL;
            size_t length = 0;
            int32_t kind = tfm_token_kind(tokenizer, id), found;
            assert_int_equal(tfm_token_bytes(tokenizer, id, &text, &length, NULL), TFM_OK);
            assert_true(kind >= TFM_TOKEN_NORMAL && kind <= TFM_TOKEN_BYTE);
            if (kind == TFM_TOKEN_UNKNOWN || length == 0) continue;
            found = tfm_token_find(tokenizer, text, length);
            if (found != id) { /* another token of the same text */
                const char *other = NULL;
                size_t other_length = 0;
                assert_true(found >= 0);
                assert_int_equal(tfm_token_bytes(tokenizer, found, &other, &other_length, NULL), TFM_OK);
                assert_int_equal(length, other_length);
                assert_memory_equal(text, other, length);
            }
        }
        tfm_tokenizer_release(tokenizer);
    }
    assert_int_equal(tfm_token_kind(NULL, 0), 0);
    assert_int_equal(tfm_token_find(NULL, "a", 1), -1);
}

static void test_find_special(void **state) {
    tfm_tokenizer *tokenizer = load_fixture("spm-llama.model");
    (void)state;
    assert_int_equal(tfm_token_find(tokenizer, "<unk>", 5), 0);
    assert_int_equal(tfm_token_find(tokenizer, "<s>", 3), 1);
    assert_int_equal(tfm_token_find(tokenizer, "</s>", 4), 2);
    assert_int_equal(tfm_token_find(tokenizer, "\x01", 1), 3 + 1);
    assert_int_equal(tfm_token_find(tokenizer, "nonsense of no token", 20), -1);
    assert_int_equal(tfm_token_find(tokenizer, "", 0), -1);
    tfm_tokenizer_release(tokenizer);
}

/* ---- Options and buffers ---- */

static void test_special_text(void **state) {
    tfm_tokenizer *tokenizer = load_fixture("bl-gpt2.json");
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    tfm_detokenize_options shown = TFM_DETOKENIZE_OPTIONS_INIT;
    tfm_token ids[64];
    char text[64];
    size_t count = 0, length = 0;
    static const char said[] = "a<|end|>b";
    (void)state;
    options.add_bos = TFM_NO;
    assert_int_equal(tfm_tokenize(tokenizer, said, 9, &options, ids, 64, &count, NULL), TFM_OK);
    for (size_t i = 0; i < count; i++) assert_int_not_equal(ids[i], 2);
    options.parse_special = 1;
    assert_int_equal(tfm_tokenize(tokenizer, said, 9, &options, ids, 64, &count, NULL), TFM_OK);
    assert_int_equal(count, 3);
    assert_int_equal(ids[1], 2);
    assert_int_equal(tfm_detokenize(tokenizer, ids, count, NULL, text, 64, &length, NULL), TFM_OK);
    assert_int_equal(length, 2);
    shown.special = 1;
    assert_int_equal(tfm_detokenize(tokenizer, ids, count, &shown, text, 64, &length, NULL), TFM_OK);
    assert_int_equal(length, 9);
    assert_memory_equal(text, said, 9);
    /* around the text: the file's template by default, and as asked */
    options = (tfm_tokenize_options)TFM_TOKENIZE_OPTIONS_INIT;
    assert_int_equal(tfm_tokenize(tokenizer, "", 0, &options, ids, 64, &count, NULL), TFM_OK);
    assert_int_equal(count, 1);
    assert_int_equal(ids[0], 0);
    options.add_bos = TFM_NO;
    assert_int_equal(tfm_tokenize(tokenizer, NULL, 0, &options, ids, 64, &count, NULL), TFM_OK);
    assert_int_equal(count, 0);
    tfm_tokenizer_release(tokenizer);
    tokenizer = load_fixture("bpe.gguf");
    options.add_bos = options.add_eos = TFM_YES;
    assert_int_equal(tfm_tokenize(tokenizer, "", 0, &options, ids, 64, &count, NULL), TFM_OK);
    assert_int_equal(count, 2);
    assert_int_equal(ids[0], 0);
    assert_int_equal(ids[1], 1);
    tfm_tokenizer_release(tokenizer);
}

static void test_buffers(void **state) {
    tfm_tokenizer *tokenizer = load_fixture("bl-gpt2.json");
    tfm_token ids[64], few[2] = {-7, -7};
    char text[64], small[3] = "xy";
    size_t count = 0, needed = 0, length = 0, text_needed = 0;
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    assert_int_equal(tfm_tokenize(tokenizer, "hello there", 11, NULL, NULL, 0, &needed, &error), TFM_OK);
    assert_int_equal(tfm_tokenize(tokenizer, "hello there", 11, NULL, ids, 64, &count, &error), TFM_OK);
    assert_int_equal(needed, count);
    assert_true(count > 2);
    assert_int_equal(tfm_tokenize(tokenizer, "hello there", 11, NULL, few, 2, &count, &error), TFM_E_BUFFER);
    assert_int_equal(error.code, TFM_E_BUFFER);
    assert_int_equal(count, needed);
    assert_int_equal(few[0], -7);
    assert_int_equal(tfm_detokenize(tokenizer, ids, count, NULL, NULL, 0, &text_needed, &error), TFM_OK);
    assert_int_equal(tfm_detokenize(tokenizer, ids, count, NULL, text, 64, &length, &error), TFM_OK);
    assert_int_equal(length, text_needed);
    assert_int_equal(tfm_detokenize(tokenizer, ids, count, NULL, small, 2, &length, &error), TFM_E_BUFFER);
    assert_int_equal(length, text_needed);
    tfm_tokenizer_release(tokenizer);
}

/* Long texts take another road than short ones (remembered pieces, the heap of candidates): the ids must be
 * the same. A word behind a space is a piece of its own for all fixtures but those named, so a long text is
 * the sum of its words. */
static void test_long_and_short(void **state) {
    static const char *const words[] = {" times",   " earth", " thing",
                                        " fortune", " qzx",   " unhappyhappyfamilieshappy"};
    (void)state;
    for (size_t f = 0; f < FIXTURE_COUNT; f++) {
        tfm_tokenizer *tokenizer = load_any(fixtures[f]);
        tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
        size_t length = 0, count = 0, at = 0, room = 60000;
        char *text = malloc(room);
        tfm_token *whole = malloc(room * sizeof *whole);
        assert_non_null(text);
        assert_non_null(whole);
        options.add_bos = options.add_eos = TFM_NO;
        if (strcmp(fixtures[f], "spm-suffix.model") == 0)
            goto next; /* its spaces belong to the word before */
        text[length++] = 'x';
        for (uint32_t i = 0, seed = 1; i < 4000; i++) {
            const char *word = words[next_random(&seed) % 6];
            memcpy(text + length, word, strlen(word));
            length += strlen(word);
        }
        assert_int_equal(tfm_tokenize(tokenizer, text, length, &options, whole, room, &count, NULL), TFM_OK);
        for (uint32_t i = 0, seed = 1; i < 4000; i++) {
            tfm_token front[8], both[64];
            char line[64] = "x";
            size_t front_count = 0, both_count = 0;
            strcat(line, words[next_random(&seed) % 6]);
            assert_int_equal(tfm_tokenize(tokenizer, "x", 1, &options, front, 8, &front_count, NULL), TFM_OK);
            assert_int_equal(
                tfm_tokenize(tokenizer, line, strlen(line), &options, both, 64, &both_count, NULL), TFM_OK);
            if (i == 0) at = front_count;
            assert_true(at + both_count - front_count <= count);
            assert_memory_equal(whole + at, both + front_count, (both_count - front_count) * sizeof *both);
            at += both_count - front_count;
        }
        assert_int_equal(at, count);
    next:
        free(whole);
        free(text);
        tfm_tokenizer_release(tokenizer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_ids),   cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_streaming),      cmocka_unit_test(test_held_back),
        cmocka_unit_test(test_leading_space),  cmocka_unit_test(test_info),
        cmocka_unit_test(test_tokens),         cmocka_unit_test(test_find_special),
        cmocka_unit_test(test_special_text),   cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_long_and_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
