/* Tests of the tokenizer's parts: Unicode tables, UTF-8, the splitters; and that no text takes quadratic
 * time. */
#include "tokenizer_help.h"

#include <time.h>

#include "tokenizer/internal.h"

/* ---- Unicode ---- */

static void test_categories(void **state) {
    static const struct {
        uint32_t code;
        int category;
        bool space, word;
    } cases[] = {
        {'a', TFM__LL, false, true},     {'A', TFM__LU, false, true},     {'5', TFM__ND, false, true},
        {'_', TFM__PC, false, true},     {'$', TFM__SC, false, false},    {' ', TFM__ZS, true, false},
        {'\n', TFM__CC, true, false},    {0x1c, TFM__CC, false, false},   {0x85, TFM__CC, true, false},
        {0xa0, TFM__ZS, true, false},    {0x180e, TFM__CF, false, false}, {0x200b, TFM__CF, false, false},
        {0x2028, TFM__ZL, true, false},  {0x2029, TFM__ZP, true, false},  {0x3000, TFM__ZS, true, false},
        {0x1c5, TFM__LT, false, true},   {0x2b0, TFM__LM, false, true},   {0x4e2d, TFM__LO, false, true},
        {0x301, TFM__MN, false, true},   {0x903, TFM__MC, false, true},   {0x20dd, TFM__ME, false, true},
        {0x2177, TFM__NL, false, true},  {0xbd, TFM__NO, false, false},   {0x1fae8, TFM__SO, false, false},
        {0x24b6, TFM__SO, false, true},  {0x200d, TFM__CF, false, true},  {0xd800, TFM__CS, false, false},
        {0xe000, TFM__CO, false, false}, {0x378, TFM__CN, false, false},  {0x10ffff, TFM__CN, false, false},
        {0x10d4a, TFM__LO, false, true}, {0x1c89, TFM__LU, false, true}, /* new in Unicode 16 */
    };
    size_t spaces = 0;
    (void)state;
    assert_string_equal(tfm__unicode_version, "16.0.0");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t entry = tfm__unicode_entry(cases[i].code);
        if ((int)(entry & TFM__ENTRY_CATEGORY) != cases[i].category ||
            !(entry & TFM__ENTRY_SPACE) == cases[i].space || !(entry & TFM__ENTRY_WORD) == cases[i].word)
            fail_msg("U+%04X: entry %02x", (unsigned)cases[i].code, (unsigned)entry);
    }
    for (uint32_t code = 0; code < 0x110000; code++)
        spaces += (tfm__unicode_entry(code) & TFM__ENTRY_SPACE) != 0;
    assert_int_equal(spaces, 25);
}

static void test_utf8(void **state) {
    uint8_t bytes_of[4];
    uint32_t used;
    (void)state;
    for (uint32_t code = 0; code < 0x110000; code++) {
        uint32_t n;
        if (code >= 0xd800 && code < 0xe000) continue;
        n = tfm__utf8_write(code, bytes_of);
        assert_int_equal(tfm__utf8_read(bytes_of, n, &used), code);
        assert_int_equal(used, n);
        if (n > 1) assert_int_equal(tfm__utf8_read(bytes_of, n - 1, &used), TFM__NO_CODE);
    }
    /* every pair and triple of bytes with a lead byte: agreement with the definition */
    for (uint32_t a = 0x80; a < 0x100; a++) {
        for (uint32_t b = 0; b < 0x100; b++) {
            const uint8_t text[4] = {(uint8_t)a, (uint8_t)b, 0x80, 0x80};
            bool tail = b >= 0x80 && b < 0xc0;
            bool two = a >= 0xc2 && a < 0xe0 && tail;
            bool three =
                a >= 0xe0 && a < 0xf0 && tail && !(a == 0xe0 && b < 0xa0) && !(a == 0xed && b >= 0xa0);
            bool four =
                a >= 0xf0 && a < 0xf5 && tail && !(a == 0xf0 && b < 0x90) && !(a == 0xf4 && b >= 0x90);
            uint32_t code = tfm__utf8_read(text, 4, &used);
            assert_int_equal(code != TFM__NO_CODE, two || three || four);
            assert_int_equal(used, two ? 2 : three ? 3 : four ? 4 : 1);
        }
    }
}

/* ---- Splitters ---- */

static void check_pieces(const char *name, const char *text, const char *const *pieces) {
    tfm__splitter splitter;
    size_t at = 0, n = strlen(text);
    assert_true(tfm__split_for_name(name, &splitter));
    for (; *pieces; pieces++) {
        size_t length = tfm__split_next(&splitter.stages[0], (const uint8_t *)text + at, n - at);
        if (length != strlen(*pieces) || memcmp(text + at, *pieces, length) != 0)
            fail_msg("%s: '%s' at %zu: '%.*s' instead of '%s'", name, text, at, (int)length, text + at,
                     *pieces);
        at += length;
    }
    assert_int_equal(at, n);
}

#define PIECES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The places where hand-written scanners go wrong, each with the expression's own answer. */
static void test_known_pieces(void **state) {
    (void)state;
    check_pieces("gpt2", "I'M don't 's", PIECES("I", "'", "M", " don", "'t", " '", "s"));
    check_pieces("gpt2", "''''s 'reyes", PIECES("''''", "s", " '", "reyes"));
    check_pieces("gpt2", "'reyes", PIECES("'re", "yes"));
    check_pieces("gpt2", "x  \r\n\t\r\n  y", PIECES("x", "  \r\n\t\r\n ", " y"));
    check_pieces("gpt2", "a   ", PIECES("a", "   "));
    check_pieces("gpt2", "\t\tif", PIECES("\t", "\t", "if"));
    check_pieces("cl100k", "I'M it'\xc5\xbf", PIECES("I", "'M", " it", "'\xc5\xbf"));
    check_pieces("cl100k", "x  \r\n\t\r\n  y", PIECES("x", "  \r\n\t\r\n", " ", " y"));
    check_pieces("cl100k", "1234567 12", PIECES("123", "456", "7", " ", "12"));
    check_pieces("cl100k", "\n ", PIECES("\n "));
    check_pieces("llama3", "\n ", PIECES("\n", " "));
    check_pieces("cl100k", "\t\tif !?\r\n\n x", PIECES("\t", "\tif", " !?\r\n\n", " x"));
    check_pieces("o200k", "HTTPServer iPhone ABCdef", PIECES("HTTPServer", " i", "Phone", " ABCdef"));
    check_pieces("o200k",
                 "AB\xe4\xb8\xad"
                 "C",
                 PIECES("AB\xe4\xb8\xad", "C"));
    check_pieces("o200k",
                 "\xcc\x81"
                 "A",
                 PIECES("\xcc\x81", "A"));
    check_pieces("o200k",
                 "\xcc\x81"
                 "a",
                 PIECES("\xcc\x81"
                        "a"));
    check_pieces("o200k", "a//\n/b ///\r\n//", PIECES("a", "//\n/", "b", " ///\r\n//"));
    check_pieces("o200k", "it's I'LLx 'reyes", PIECES("it's", " I'LL", "x", " '", "reyes"));
}

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static const tfm__stage all_stages[] = {
    {.kind = TFM__SPLIT_GPT2},
    {.kind = TFM__SPLIT_CL100K, .digits = 3, .contractions = true, .whole_tail = true},
    {.kind = TFM__SPLIT_CL100K, .digits = 1, .contractions = true, .marks = true},
    {.kind = TFM__SPLIT_CL100K},
    {.kind = TFM__SPLIT_O200K, .digits = 3, .contractions = true},
    {.kind = TFM__SPLIT_O200K, .digits = 1},
    {.kind = TFM__SPLIT_DEEPSEEK},
    {.kind = TFM__SPLIT_NUMBERS},
    {.kind = TFM__SPLIT_NUMBERS, .digits = 3},
    {.kind = TFM__SPLIT_PUNCTUATION},
    {.kind = TFM__SPLIT_PUNCTUATION_NO_GRAVE},
    {.kind = TFM__SPLIT_ASCII_DIGITS},
    {.kind = TFM__SPLIT_CJK},
};

/* Any bytes: pieces are never empty, never reach behind the end (a block of exactly the size shows it to a
 * sanitizer), and do not cut characters. */
static void test_any_bytes(void **state) {
    static const char *const parts[] = {
        "'", "s", "\xc5\xbf", " ",    "\n",   "\r",       "A",    "b",        "\xe4\xb8\xad", "\xcc\x81",
        "1", "!", "/",        "\xff", "\xe4", "\xf0\x9f", "\x80", "\xf4\x90", "\xed\xa0\x80", "\xe3\x80\x80"};
    uint32_t seed = 5;
    (void)state;
    for (int round = 0; round < 4000; round++) {
        size_t length = 0, count = next_random(&seed) % 12 + 1;
        char made[64];
        uint8_t *text;
        for (size_t i = 0; i < count; i++) {
            const char *part = parts[next_random(&seed) % (sizeof parts / sizeof parts[0])];
            memcpy(made + length, part, strlen(part));
            length += strlen(part);
        }
        text = malloc(length);
        assert_non_null(text);
        memcpy(text, made, length);
        for (size_t s = 0; s < sizeof all_stages / sizeof all_stages[0]; s++) {
            for (size_t at = 0; at < length;) {
                size_t n = tfm__split_next(&all_stages[s], text + at, length - at);
                uint32_t used = 0;
                size_t inside = at;
                assert_true(n > 0 && n <= length - at);
                while (inside < at + n) {
                    (void)tfm__utf8_read(text + inside, length - inside, &used);
                    inside += used;
                }
                assert_int_equal(inside, at + n);
                at += n;
            }
        }
        free(text);
    }
}

static void test_names(void **state) {
    static const char *const unknown[] = {"", "gpt-3", "gpt-22", "gpt-", "afmoe", "deepseek", "whitespace"};
    tfm__pre pre;
    tfm__stage stage;
    tfm__splitter splitter;
    const char *name;
    bool covers;
    (void)state;
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_false(tfm__split_for_pre(unknown[i], strlen(unknown[i]), false, &pre));
    assert_true(tfm__split_for_pre("llama-bpe", 9, false, &pre));
    assert_true(pre.ignore_merges && pre.add_bos && !pre.nfc);
    assert_true(tfm__split_for_pre("qwen2", 5, false, &pre));
    assert_true(!pre.ignore_merges && !pre.add_bos && pre.nfc);
    assert_int_equal(pre.splitter.stages[0].digits, 1);
    { /* the same expression with its line ends spelled, and as they are */
        static const char spelled[] = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
                                      "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
        static const char real[] =
            "[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
        assert_true(tfm__split_for_regex(spelled, sizeof spelled - 1, &stage, &covers, &name));
        assert_true(covers);
        assert_string_equal(name, "ufakzeka");
        assert_true(tfm__split_for_regex(real, sizeof real - 1, &stage, &covers, &name));
        assert_string_equal(name, "ufakzeka");
    }
    assert_false(tfm__split_for_regex("\\p{N}{1,4}", 10, &stage, &covers, &name));
    assert_true(tfm__split_for_regex("\\p{N}{1,3}", 10, &stage, &covers, &name));
    assert_false(covers);
    assert_false(tfm__split_for_regex("\\p{N}{1,3}", 9, &stage, &covers, &name));
    assert_false(tfm__split_for_name("p51k", &splitter));
}

/* ---- Time ---- */

/* Texts that are one piece, or nothing but borders: quadratic work on them would take minutes. */
static void test_linear_time(void **state) {
    static const char *const names[] = {"bl-gpt2.json",       "bl-qwen2.json",   "bl-o200k.json",
                                        "bl-deepseek.json",   "bl-falcon.json",  "added.json",
                                        "marks-prepend.json", "spm-llama.model", "spm-rules.model",
                                        "spm-suffix.model",   "tokenizer.bin"};
    static const char *const units[] = {"a",  " ",         "\n",          "A\xe4\xb8\xad", "\xcc\x81\xcc\xa7",
                                        "'s", "<",         "<|end|>",     " <mask>",       "\xff",
                                        "1",  "e\xcc\x81", "\xe2\x96\x81"};
    const size_t size = 400000;
    char *text = malloc(size);
    (void)state;
    assert_non_null(text);
    for (size_t f = 0; f < sizeof names / sizeof names[0]; f++) {
        tfm_tokenizer *tokenizer = load_fixture(names[f]);
        for (size_t u = 0; u <= sizeof units / sizeof units[0]; u++) {
            tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
            uint32_t seed = 3;
            size_t unit = u < sizeof units / sizeof units[0] ? strlen(units[u]) : 0, count = 0;
            clock_t start = clock();
            double seconds;
            for (size_t i = 0; i < size; i++)
                text[i] = unit ? units[u][i % unit] : (char)('a' + next_random(&seed) % 26);
            options.parse_special = u & 1;
            assert_int_equal(tfm_tokenize(tokenizer, text, size, &options, NULL, 0, &count, NULL), TFM_OK);
            seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
            if (seconds > 20) fail_msg("%s, unit %zu: %.1f s", names[f], u, seconds);
        }
        tfm_tokenizer_release(tokenizer);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_categories),   cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_known_pieces), cmocka_unit_test(test_any_bytes), cmocka_unit_test(test_names),
        cmocka_unit_test(test_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
