/* test_tokenizer_regex.c - regular expressions of strangers: what is translated how, what is refused,
 * runaways; and our scanners beside the expressions that they stand for. Without PCRE2 everything is refused.
 */
#include "tokenizer_help.h"

#include "split_compare.h"
#include "tfm/tfm.h"

static tfm__heap heap;

static tfm__regex *compile(const char *pattern, int syntax) {
    tfm_error error = TFM_ERROR_INIT;
    tfm__regex *regex = NULL;
    if (tfm__regex_compile(&heap, pattern, strlen(pattern), syntax, "test", &regex, &error))
        fail_msg("%s: %s", pattern, error.message);
    return regex;
}

static void need_pcre2(void) {
    if (tfm_capability("pcre2")) return;
    print_message("built without PCRE2\n");
    skip();
}

/* ---- Scanners ---- */

static uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Texts of what makes these expressions branch: each class of letters, marks, digits, signs, white space,
 * contractions. */
static size_t random_text(uint64_t *state, uint8_t *text, size_t room) {
    static const char *const parts[] = {"a",
                                        "b",
                                        "z",
                                        "A",
                                        "Z",
                                        "s",
                                        "t",
                                        "'s",
                                        "'S",
                                        "'re",
                                        "'LL",
                                        "'ve",
                                        "'\xc5\xbf",
                                        "'",
                                        "''",
                                        "1",
                                        "23",
                                        "4567",
                                        " ",
                                        "  ",
                                        "   ",
                                        "\n",
                                        "\r\n",
                                        "\r",
                                        "\t",
                                        "\v\f",
                                        "\xc2\xa0",
                                        "\xe3\x80\x80",
                                        "\xc2\x85",
                                        "!",
                                        "?!",
                                        "/",
                                        "//\n/",
                                        ".",
                                        "_",
                                        "$",
                                        "<",
                                        "\xc2\xbd",
                                        "\xe2\x85\xb7",
                                        "\xd9\xa3",
                                        "\xc3\xa9",
                                        "e\xcc\x81",
                                        "\xcc\x81",
                                        "\xe4\xb8\xad",
                                        "\xe6\x96\x87",
                                        "\xc7\x85",
                                        "\xca\xb0",
                                        "\xce\xa9",
                                        "\xd0\xb0",
                                        "\xe0\xa4\xa8\xe0\xa4\xae",
                                        "\xe0\xa5\x8d",
                                        "\xf0\x9f\x98\x80",
                                        "\xe2\x80\x8d",
                                        "\xe2\x80\x8b",
                                        "\xef\xbb\xbf",
                                        "\xed\x95\x9c",
                                        "\xe3\x81\x82",
                                        "\xe2\x80\x99",
                                        "\x7f",
                                        "\x1c"};
    size_t n = 0, words = next_random(state) % 24;
    for (size_t i = 0; i < words; i++) {
        uint8_t bytes[4];
        if (next_random(state) % 8 == 0) {
            uint32_t code = next_random(state) % (next_random(state) % 2 ? 0x3000 : 0x110000), used;
            if (code >= 0xd800 && code < 0xe000) continue;
            used = tfm__utf8_write(code, bytes);
            if (n + used > room) break;
            memcpy(text + n, bytes, used);
            n += used;
        } else {
            const char *part = parts[next_random(state) % (sizeof parts / sizeof *parts)];
            size_t length = strlen(part);
            if (n + length > room) break;
            memcpy(text + n, part, length);
            n += length;
        }
    }
    return n;
}

static void test_scanners(void **state) {
    (void)state;
    need_pcre2();
    for (size_t r = 0; r < sizeof compared_rows / sizeof *compared_rows; r++) {
        const compared *row = &compared_rows[r];
        tfm__regex *regex = compile(row->regex, row->syntax);
        tfm__regex_scratch *scratch = NULL;
        uint64_t random = 20261126 + r;
        for (int round = 0; round < 3000; round++) {
            uint8_t text[512];
            size_t length = random_text(&random, text, sizeof text);
            size_t at = compare_pieces(row, regex, &heap, &scratch, text, length);
            if (at != SIZE_MAX)
                fail_msg("%s differs at %zu of '%.*s'", row->name, at, (int)length, (char *)text);
        }
        tfm__regex_scratch_free(&heap, scratch);
        tfm__regex_free(&heap, regex);
    }
    assert_int_equal(heap.live, 0);
}

/* Every code point behind, in front of and between what it could join. */
static void test_scanners_everywhere(void **state) {
    static const char *const around[][2] = {{"x", ""},  {" x", "a"}, {"'", "A"},
                                            {"1", "1"}, {" ", "\n"}, {"!", "!"}};
    (void)state;
    need_pcre2();
    for (size_t r = 0; r < sizeof compared_rows / sizeof *compared_rows; r++) {
        const compared *row = &compared_rows[r];
        tfm__regex *regex = compile(row->regex, row->syntax);
        tfm__regex_scratch *scratch = NULL;
        uint8_t text[4096];
        size_t n = 0;
        for (uint32_t code = 1; code < 0x32000; code += code < 0x3000 ? 1 : 37) {
            if (code >= 0xd800 && code < 0xe000) continue;
            for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
                size_t front = strlen(around[i][0]), behind = strlen(around[i][1]);
                memcpy(text + n, around[i][0], front);
                n += front;
                n += tfm__utf8_write(code, text + n);
                memcpy(text + n, around[i][1], behind);
                n += behind;
            }
            if (n < sizeof text - 128) continue;
            if (compare_pieces(row, regex, &heap, &scratch, text, n) != SIZE_MAX)
                fail_msg("%s differs before U+%04X", row->name, (unsigned)code);
            n = 0;
        }
        tfm__regex_scratch_free(&heap, scratch);
        tfm__regex_free(&heap, regex);
    }
}

/* ---- Translation ---- */

static void test_translation(void **state) {
    static const struct {
        const char *pattern;
        int syntax;
        const char *text;
        int begin, end; /* of the first match; -1: none */
    } cases[] = {
        {"\\p{N}{1,3}+", TFM__REGEX_ONIGURUMA, "a12345", 1, 6}, /* repeats {1,3} */
        {"\\p{N}{1,3}+", TFM__REGEX_RUST, "a12345", 1, 4},
        {"a{2}?", TFM__REGEX_ONIGURUMA, "b", 0, 0}, /* may be missing */
        {"^b$", TFM__REGEX_ONIGURUMA, "a\nb\nc", 2, 3},
        {"^b$", TFM__REGEX_RUST, "a\nb\nc", -1, 0},
        {"\\s", TFM__REGEX_RUST, "\xe1\xa0\x8e ", 3, 4}, /* U+180E is no white space */
        {"\\S", TFM__REGEX_RUST, "\xe3\x80\x80x", 3, 4},
        {"(?i:s)", TFM__REGEX_RUST, "\xc5\xbf", 0, 2},
        {"[^\\s\\p{L}&&[^!]]", TFM__REGEX_RUST, "a !?", 2, 3}, /* not what is in both */
        {"[a-c[x-z]]+", TFM__REGEX_ONIGURUMA, "mabyzc", 1, 6},
        {"\\h+", TFM__REGEX_ONIGURUMA, "xyBEEFg", 2, 6},
        {"\\p{^L}", TFM__REGEX_ONIGURUMA, "ab1", 2, 3},
        {"\\pL+", TFM__REGEX_RUST, "1ab", 1, 3},
        {"\\P{L}", TFM__REGEX_RUST, "ab1", 2, 3},
        {"\\p{Han}", TFM__REGEX_RUST, "\xe3\x80\x81\xe4\xb8\xad", 3, 6}, /* U+3001 is common */
        {"\\u{4e2d}|\\x41", TFM__REGEX_RUST, "xA", 1, 2},
        {"(?<name>a)(?P<other>b)(c)", TFM__REGEX_RUST, "abc", 0, 3},
        {"\\bfoo\\b", TFM__REGEX_RUST, "foot foo", 5, 8},
        {"a{,2}b", TFM__REGEX_ONIGURUMA, "xaab", 1, 4},
        {"a{x", TFM__REGEX_ONIGURUMA, "za{x", 1, 4},
        {"[]a]", TFM__REGEX_ONIGURUMA, "x]", 1, 2},
        {".", TFM__REGEX_RUST, "\nq", 1, 2},
    };
    (void)state;
    need_pcre2();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tfm__regex *regex = compile(cases[i].pattern, cases[i].syntax);
        tfm__regex_scratch *scratch = NULL;
        size_t begin = 0, end = 0;
        bool found;
        assert_int_equal(tfm__regex_find(regex, &heap, &scratch, (const uint8_t *)cases[i].text,
                                         strlen(cases[i].text), 0, &begin, &end, &found, NULL),
                         TFM_OK);
        if (found != (cases[i].begin >= 0) ||
            (found && ((int)begin != cases[i].begin || (int)end != cases[i].end)))
            fail_msg("%s in %s: %d, %zu-%zu", cases[i].pattern, cases[i].text, found, begin, end);
        tfm__regex_scratch_free(&heap, scratch);
        tfm__regex_free(&heap, regex);
    }
    assert_int_equal(heap.live, 0);
}

static void test_refused(void **state) {
    static const struct {
        const char *pattern;
        int32_t rc;
        const char *says;
    } cases[] = {
        {"(a)\\1", TFM_E_UNSUPPORTED, "unknown escape"},
        {"\\p{Klingon}", TFM_E_UNSUPPORTED, "unknown property"},
        {"(?s:.)", TFM_E_UNSUPPORTED, "unknown group"},
        {"[[:alpha:]]", TFM_E_UNSUPPORTED, "POSIX"},
        {"(a", TFM_E_FORMAT, "without an end"},
        {"a)", TFM_E_FORMAT, "too many"},
        {"[a", TFM_E_FORMAT, "without an end"},
        {"*a", TFM_E_FORMAT, "nothing to repeat"},
        {"a\\", TFM_E_FORMAT, "backslash"},
        {"[z-a]", TFM_E_FORMAT, "range"},
        {"\\p{L", TFM_E_FORMAT, "without an end"},
        {"\\x{110000}", TFM_E_FORMAT, "number"},
        {"a{70000}", TFM_E_UNSUPPORTED, "repetitions"},
        {"\\K", TFM_E_UNSUPPORTED, "unknown escape"},
        {"(?<=a+)b", TFM_E_FORMAT, "lookbehind"},
    };
    (void)state;
    need_pcre2();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tfm_error error = TFM_ERROR_INIT;
        tfm__regex *regex = NULL;
        int32_t rc = tfm__regex_compile(&heap, cases[i].pattern, strlen(cases[i].pattern), TFM__REGEX_RUST,
                                        "file", &regex, &error);
        if (rc != cases[i].rc || !strstr(error.message, cases[i].says) || regex)
            fail_msg("%s: %d, %s", cases[i].pattern, (int)rc, error.message);
    }
    char deep[512] = "";
    for (int i = 0; i < 200; i++) strcat(deep, "(");
    tfm_error error = TFM_ERROR_INIT;
    tfm__regex *regex = NULL;
    assert_int_equal(tfm__regex_compile(&heap, deep, strlen(deep), TFM__REGEX_RUST, NULL, &regex, &error),
                     TFM_E_UNSUPPORTED);
    assert_int_equal(heap.live, 0);
}

/* Expressions that backtrack without end, once or at every place of a text, end in an error that names them.
 */
static void test_runaways(void **state) {
    static const char *const patterns[] = {"(a+)+b|.", "(?:a|aa)+$|.", "(?=(aaa)+(?!a))|."};
    enum { LENGTH = 300000 };
    uint8_t *text = malloc(LENGTH);
    (void)state;
    need_pcre2();
    memset(text, 'a', LENGTH);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        tfm__regex *regex = compile(patterns[i], TFM__REGEX_RUST);
        tfm__regex_scratch *scratch = NULL;
        tfm_error error = TFM_ERROR_INIT;
        int32_t rc = TFM_OK;
        bool found = true;
        for (size_t from = 0; from < LENGTH && found && rc == TFM_OK;) {
            size_t begin, end;
            rc = tfm__regex_find(regex, &heap, &scratch, text, LENGTH, from, &begin, &end, &found, &error);
            if (rc == TFM_OK && found) from = end > begin ? end : end + 1;
        }
        assert_int_equal(rc, TFM_E_UNSUPPORTED);
        assert_non_null(strstr(error.message, patterns[i]));
        tfm__regex_scratch_free(&heap, scratch);
        tfm__regex_free(&heap, regex);
    }
    free(text);
    assert_int_equal(heap.live, 0);
}

/* Memory that is refused at any moment. */
static void test_refused_memory(void **state) {
    static const char pattern[] =
        "(?i:'s|'t)|[^\\r\\n\\p{L}&&[^\\p{Han}]]?\\w+|\\b\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]+";
    (void)state;
    need_pcre2();
    for (size_t fail_at = 1;; fail_at++) {
        counter c = {.fail_at = fail_at, .once = true};
        tfm_allocator allocator = {sizeof allocator, &c, counting_realloc};
        tfm_error error = TFM_ERROR_INIT;
        tfm__regex *regex = NULL;
        tfm__regex_scratch *scratch = NULL;
        tfm__heap small;
        size_t begin, end;
        bool found;
        int32_t rc;
        tfm__heap_init(&small, &allocator, 0);
        rc = tfm__regex_compile(&small, pattern, sizeof pattern - 1, TFM__REGEX_ONIGURUMA, NULL, &regex,
                                &error);
        if (rc == TFM_OK)
            rc = tfm__regex_find(regex, &small, &scratch, (const uint8_t *)" abc", 4, 0, &begin, &end, &found,
                                 &error);
        tfm__regex_scratch_free(&small, scratch);
        tfm__regex_free(&small, regex);
        assert_int_equal(c.live, 0);
        if (rc) assert_int_equal(rc, TFM_E_MEMORY);
        if (c.requests < fail_at) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scanners),    cmocka_unit_test(test_scanners_everywhere),
        cmocka_unit_test(test_translation), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_runaways),    cmocka_unit_test(test_refused_memory),
    };
    tfm__heap_init(&heap, NULL, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
