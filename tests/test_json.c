/* test_json.c - the JSON view (src/formats/json.c) and decimal numbers (decimal.c): what is accepted and what
 * is not, walking, numbers against the C library's strtod, escapes, damage, failing allocations. */
#include "formats_help.h"

#include "base/threads.h"
#include "formats/decimal.h"

static int32_t parse(tfm__json *json, tfm__heap *heap, const char *text) {
    return tfm__json_parse(json, heap, text, strlen(text), "t.json", NULL);
}

static void test_accepts(void **state) {
    static const char *const good[] = {
        "{}",
        "[]",
        " [ ] ",
        "0",
        "-0",
        "1.5e+10",
        "-12.25E-3",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        "[1,2,3]",
        "{\"a\":1}",
        "{\"a\":{\"b\":[{},[],[{}]]},\"c\":null}",
        "\t[\r\n1 , 2 ]\n",
        "\"\\u0041\\n\\\\\\/\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
        "[true,false,null,\"x\",1e0]",
        "{\"\":0}",
        "{\"a\":\"b\",\"c\":\"d\"}",
        "123456789012345678901234567890",
    };
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(good); i++) {
        tfm__heap heap;
        tfm__json json;
        char *exact = malloc(strlen(good[i])); /* no NUL behind it */
        memcpy(exact, good[i], strlen(good[i]));
        tfm__heap_init(&heap, NULL, 0);
        if (tfm__json_parse(&json, &heap, exact, strlen(good[i]), "t.json", NULL))
            fail_msg("refused: %s", good[i]);
        assert_int_not_equal(tfm__json_kind(&json, tfm__json_root(&json)), TFM__JSON_ABSENT);
        tfm__json_release(&json);
        assert_int_equal(atomic_load(&heap.live), 0);
        free(exact);
    }
}

static void test_refuses(void **state) {
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[}",
        "{]",
        "[1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:2}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "[1:2]",
        "{\"a\":1:2}",
        "\"a\":1",
        "1 2",
        "[]]",
        "{}{}",
        "tru",
        "True",
        "nul",
        "nan",
        "Infinity",
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x10",
        "1.e5",
        "'a'",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\t\"",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "\"\xe0\x80\x80\"",
        "[\"a\":\"b\"]",
        "{\"a\":\"b\":\"c\"}",
        "/* c */ 1",
        "[1,,2]",
        "\xef\xbb\xbf{}",
        "truex",
        "[truefalse]",
        "{\"a\":1]",
        "1]",
    };
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(bad); i++) {
        tfm__heap heap;
        tfm__json json;
        tfm_error error = TFM_ERROR_INIT;
        tfm__heap_init(&heap, NULL, 0);
        if (tfm__json_parse(&json, &heap, bad[i], strlen(bad[i]), "t.json", &error) != TFM_E_FORMAT)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(error.message, "t.json"));
        assert_int_equal(tfm__json_root(&json), TFM__JSON_NONE);
        tfm__json_release(&json);
        assert_int_equal(atomic_load(&heap.live), 0);
    }
    /* a NUL inside is no end of the text */
    {
        tfm__heap heap;
        tfm__json json;
        tfm__heap_init(&heap, NULL, 0);
        assert_int_equal(tfm__json_parse(&json, &heap, "[1]\0]", 5, NULL, NULL), TFM_E_FORMAT);
        assert_int_equal(tfm__json_parse(&json, &heap, "\"\0\"", 3, NULL, NULL), TFM_E_FORMAT);
    }
}

static void test_depth(void **state) {
    char text[140];
    tfm__heap heap;
    tfm__json json;
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    assert_int_equal(tfm__json_parse(&json, &heap, text, 128, NULL, NULL), TFM_OK);
    tfm__json_release(&json);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_int_equal(tfm__json_parse(&json, &heap, text, 130, NULL, NULL), TFM_E_FORMAT);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static void test_walk(void **state) {
    static const char text[] =
        "{\"a\": [1, {\"x\": [2, 3]}, \"s\"], \"b\": {}, \"\\u0063\": -7, \"a\": 9, \"d\": []}";
    tfm__heap heap;
    tfm__json json;
    tfm__json_value root, a, v, key;
    int64_t n = 0;
    size_t keys = 0;
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(parse(&json, &heap, text), TFM_OK);
    root = tfm__json_root(&json);
    assert_int_equal(tfm__json_kind(&json, root), TFM__JSON_OBJECT);
    assert_int_equal(tfm__json_size(&json, root), 5);
    a = tfm__json_get(&json, root, "a"); /* of two, the first */
    assert_int_equal(tfm__json_kind(&json, a), TFM__JSON_ARRAY);
    assert_int_equal(tfm__json_size(&json, a), 3);
    assert_true(tfm__json_i64(&json, tfm__json_at(&json, a, 0), &n) && n == 1);
    v = tfm__json_get(&json, tfm__json_at(&json, a, 1), "x");
    assert_true(tfm__json_i64(&json, tfm__json_at(&json, v, 1), &n) && n == 3);
    assert_true(tfm__json_equals(&json, tfm__json_at(&json, a, 2), "s"));
    assert_int_equal(tfm__json_at(&json, a, 3), TFM__JSON_NONE);
    assert_true(tfm__json_i64(&json, tfm__json_get(&json, root, "c"), &n) && n == -7);
    assert_int_equal(tfm__json_get(&json, root, "nope"), TFM__JSON_NONE);
    assert_int_equal(tfm__json_get(&json, root, "x"), TFM__JSON_NONE); /* only the object's own members */
    assert_int_equal(tfm__json_get(&json, a, "x"), TFM__JSON_NONE);
    for (key = tfm__json_first(&json, root); key != TFM__JSON_NONE; key = tfm__json_next(&json, root, key)) {
        assert_int_equal(tfm__json_kind(&json, key), TFM__JSON_STRING);
        assert_int_equal(tfm__json_size(&json, key), 0);
        assert_int_not_equal(tfm__json_member_value(&json, key), TFM__JSON_NONE);
        keys++;
    }
    assert_int_equal(keys, 5);
    v = tfm__json_get(&json, root, "b");
    assert_int_equal(tfm__json_first(&json, v), TFM__JSON_NONE);
    assert_int_equal(tfm__json_offset(&json, v), strstr(text, "{}") - text);
    assert_int_equal(tfm__json_offset(&json, tfm__json_at(&json, a, 2)), strstr(text, "\"s\"") - text);
    /* absent in, absent out */
    assert_int_equal(tfm__json_kind(&json, TFM__JSON_NONE), TFM__JSON_ABSENT);
    assert_int_equal(tfm__json_get(&json, TFM__JSON_NONE, "a"), TFM__JSON_NONE);
    assert_int_equal(tfm__json_first(&json, TFM__JSON_NONE), TFM__JSON_NONE);
    assert_int_equal(tfm__json_next(&json, TFM__JSON_NONE, 0), TFM__JSON_NONE);
    assert_int_equal(tfm__json_member_value(&json, tfm__json_at(&json, a, 2)), TFM__JSON_NONE);
    assert_false(tfm__json_i64(&json, TFM__JSON_NONE, &n));
    assert_int_equal(tfm__json_unescape(&json, TFM__JSON_NONE, NULL, 0), SIZE_MAX);
    tfm__json_release(&json);
    assert_int_equal(tfm__json_root(&json), TFM__JSON_NONE);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static void test_integers(void **state) {
    static const struct {
        const char *text;
        bool fits;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"42", true, 42},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"2048.0", true, 2048},
        {"1e3", true, 1000},
        {"0.5", false, 0},
        {"1e300", false, 0},
        {"1000000000000000019884624838656", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        tfm__heap heap;
        tfm__json json;
        int64_t value = 77;
        tfm__heap_init(&heap, NULL, 0);
        assert_int_equal(parse(&json, &heap, cases[i].text), TFM_OK);
        if (tfm__json_i64(&json, 0, &value) != cases[i].fits) fail_msg("%s", cases[i].text);
        assert_true(value == (cases[i].fits ? cases[i].value : 77));
        tfm__json_release(&json);
    }
}

static void test_booleans(void **state) {
    tfm__heap heap;
    tfm__json json;
    bool b = false;
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(parse(&json, &heap, "[true, false, null, 1, \"true\"]"), TFM_OK);
    assert_true(tfm__json_bool(&json, 1, &b) && b);
    assert_true(tfm__json_bool(&json, 2, &b) && !b);
    for (tfm__json_value v = 3; v < 6; v++) assert_false(tfm__json_bool(&json, v, &b));
    assert_false(tfm__json_bool(&json, TFM__JSON_NONE, &b));
    assert_int_equal(tfm__json_kind(&json, 3), TFM__JSON_NULL);
    tfm__json_release(&json);
    /* a size that is refused before a byte is looked at */
    assert_int_equal(tfm__json_parse(&json, &heap, "", (size_t)INT32_MAX + 1, NULL, NULL), TFM_E_FORMAT);
}

/* strtod of the C library rounds correctly; in the C locale, which tests run in, it reads the same grammar.
 */
static void check_decimal(const char *text) {
    double want = strtod(text, NULL), got = -77;
    bool fits = tfm__decimal_to_f64(text, strlen(text), &got);
    if (want > 1.7976931348623157e308 || want < -1.7976931348623157e308) {
        if (fits) fail_msg("%s is too large, but became %a", text, got);
    } else if (!fits || memcmp(&want, &got, sizeof want)) {
        fail_msg("%s: %a, not %a", text, got, want);
    }
}

static void test_decimals(void **state) {
    static const char *const cases[] = {
        "0",
        "-0",
        "0.0",
        "0e99999",
        "1",
        "-1",
        "0.1",
        "1e-05",
        "1e-5",
        "10000.0",
        "500000.0",
        "3.14159265358979",
        "9.237420082092285",
        "-13.8155",
        "9007199254740993",
        "9007199254740992.5",
        "9007199254740993.00000000000001",
        "1e22",
        "1e23",
        "8.5e22",
        "123456789012345678901234567890",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e308",
        "1e309",
        "1e400",
        "-1e400",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.225073858507201e-308",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.5e-324",
        "1e-400",
        "1e-99999999999999999999",
        "1e99999999999999999999",
        "0.000000000000000000000000000000000000000000000000000000000000000000001e60",
        "5e-324",
        "1e-323",
        "1000000000000000000000000000000000000000000000000000000000000000000000000000e-75",
    };
    char text[1100];
    uint64_t seed = 12345;
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(cases); i++) check_decimal(cases[i]);
    /* a tie, and a tie with a last digit far beyond what is kept */
    memset(text, '0', sizeof text);
    memcpy(text, "9007199254740993.", 17);
    text[1000] = '\0';
    check_decimal(text);
    text[999] = '1';
    check_decimal(text);
    /* more digits than are kept, with and without something behind them that breaks a tie */
    for (int digits = 700; digits <= 1050; digits += 50) {
        memset(text, '9', (size_t)digits);
        memcpy(text, "0.", 2);
        strcpy(text + digits, "e-320");
        check_decimal(text);
        strcpy(text + digits, "1e300");
        check_decimal(text);
    }
    for (int i = 0; i < 60000; i++) {
        double value;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        memcpy(&value, &seed, sizeof value);
        if (value - value != 0.0) continue; /* infinity or NaN */
        snprintf(text, sizeof text, "%.*e", 1 + (int)(seed >> 59), value);
        check_decimal(text);
        snprintf(text, sizeof text, "%.17g", (double)(int64_t)seed / 1e12);
        check_decimal(text);
    }
}

static void test_strings(void **state) {
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"a\\nb\\t\\\"\\\\\\/\\b\\f\\r\"", "a\nb\t\"\\/\b\f\r"},
        {"\"\\u0041\\u00e9\\u20ac\"", "A\xc3\xa9\xe2\x82\xac"},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"\"\\uD83D\\uDE00!\"", "\xf0\x9f\x98\x80!"},
        {"\"\\ud83d\"", "\xef\xbf\xbd"},
        {"\"\\ude00x\"", "\xef\xbf\xbdx"},
        {"\"\\ud83dx\"", "\xef\xbf\xbdx"},
        {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                               "A"},
        {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {"\"\xc3\xa9\"", "\xc3\xa9"},
    };
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        tfm__heap heap;
        tfm__json json;
        const char *raw = NULL;
        size_t size = 0, length;
        char *out;
        tfm__heap_init(&heap, NULL, 0);
        assert_int_equal(parse(&json, &heap, cases[i].json), TFM_OK);
        assert_true(tfm__json_raw(&json, 0, &raw, &size));
        assert_int_equal(size, strlen(cases[i].json) - 2);
        out = malloc(size + 1);
        length = tfm__json_unescape(&json, 0, out, size);
        assert_int_equal(length, strlen(cases[i].want));
        assert_memory_equal(out, cases[i].want, length);
        if (length) assert_int_equal(tfm__json_unescape(&json, 0, out, length - 1), SIZE_MAX);
        assert_int_equal(tfm__json_unescape(&json, 0, out, length), length);
        assert_true(tfm__json_equals(&json, 0, cases[i].want));
        assert_false(tfm__json_equals(&json, 0, "other"));
        out[0] = 'x';
        memcpy(out, cases[i].want, length);
        out[length] = '\0';
        if (length) {
            out[length - 1]++;
            assert_false(tfm__json_equals(&json, 0, out));
            out[length - 1] = '\0';
            assert_false(tfm__json_equals(&json, 0, out));
        }
        free(out);
        tfm__json_release(&json);
    }
}

/* A large object of objects is walked in one step a member; quadratic walking would take minutes. */
static void test_large(void **state) {
    enum { MEMBERS = 200000 };
    tfm__heap heap;
    tfm__buffer text;
    tfm__json json;
    tfm__json_value key;
    size_t seen = 0;
    int64_t sum = 0, n = 0;
    uint64_t start = tfm__now_ns();
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    tfm__buffer_init(&text, &heap);
    assert_true(tfm__buffer_append(&text, "{", 1));
    for (int i = 0; i < MEMBERS; i++) {
        char line[64];
        int length = snprintf(line, sizeof line, "%s\"k%d\":[%d,{\"x\":[[]]}]", i ? "," : "", i, i);
        assert_true(tfm__buffer_append(&text, line, (size_t)length));
    }
    assert_true(tfm__buffer_append(&text, "}", 1));
    assert_int_equal(tfm__json_parse(&json, &heap, (char *)text.data, text.size, NULL, NULL), TFM_OK);
    assert_int_equal(tfm__json_size(&json, 0), MEMBERS);
    for (key = tfm__json_first(&json, 0); key != TFM__JSON_NONE; key = tfm__json_next(&json, 0, key)) {
        assert_true(tfm__json_i64(&json, tfm__json_at(&json, tfm__json_member_value(&json, key), 0), &n));
        sum += n;
        seen++;
    }
    assert_int_equal(seen, MEMBERS);
    assert_true(sum == (int64_t)MEMBERS * (MEMBERS - 1) / 2);
    assert_true(tfm__now_ns() - start < 20000000000u);
    tfm__json_release(&json);
    tfm__buffer_free(&text);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static const char sample[] = "{\"a\": [1, -2.5e3, true, null, {\"b\": \"x\\u00e9\\n\"}], \"c\": {\"d\": []}}";

static void test_damage(void **state) {
    size_t size = strlen(sample);
    (void)state;
    for (size_t cut = 0; cut < size; cut++) {
        tfm__heap heap;
        tfm__json json;
        char *part = malloc(cut ? cut : 1);
        memcpy(part, sample, cut);
        tfm__heap_init(&heap, NULL, 0);
        assert_int_equal(tfm__json_parse(&json, &heap, part, cut, NULL, NULL), TFM_E_FORMAT);
        free(part);
    }
    for (size_t at = 0; at < size; at++) {
        for (int byte = 0; byte < 256; byte++) {
            tfm__heap heap;
            tfm__json json;
            char *copy = malloc(size), out[64];
            memcpy(copy, sample, size);
            copy[at] = (char)byte;
            tfm__heap_init(&heap, NULL, 0);
            if (tfm__json_parse(&json, &heap, copy, size, NULL, NULL) == TFM_OK) {
                for (tfm__json_value v = 0; v < json.count; v++) {
                    int64_t i;
                    double d;
                    tfm__json_i64(&json, v, &i);
                    tfm__json_f64(&json, v, &d);
                    tfm__json_unescape(&json, v, out, sizeof out);
                    tfm__json_next(&json, 0, v);
                    tfm__json_get(&json, v, "b");
                }
                tfm__json_release(&json);
            }
            assert_int_equal(atomic_load(&heap.live), 0);
            free(copy);
        }
    }
}

static int32_t parse_job(tfm__heap *heap, void *arg, tfm_error *error) {
    tfm__json json;
    int32_t status = tfm__json_parse(&json, heap, arg, strlen(arg), "t.json", error);
    tfm__json_release(&json);
    return status;
}

static void test_memory(void **state) {
    char copy[sizeof sample];
    (void)state;
    memcpy(copy, sample, sizeof copy);
    sweep_allocations(parse_job, copy);
}

/* Real tokenizer files, where they are. */
static void test_shared_files(void **state) {
    static const char *const names[] = {"gpt2", "falcon", "llama2"};
    size_t found = 0;
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(names); i++) {
        char path[512];
        bytes file;
        tfm__heap heap;
        tfm__json json;
        snprintf(path, sizeof path, TFM_SHARED "/data/tokenizers/hf/%s/tokenizer.json", names[i]);
        if (!file_exists(path)) continue;
        file = load(path);
        tfm__heap_init(&heap, NULL, 0);
        assert_int_equal(tfm__json_parse(&json, &heap, (char *)file.data, file.size, path, NULL), TFM_OK);
        assert_true(tfm__json_size(&json, tfm__json_get(&json, tfm__json_get(&json, 0, "model"), "vocab")) >
                    30000);
        tfm__json_release(&json);
        free(file.data);
        found++;
    }
    if (!found) skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),  cmocka_unit_test(test_refuses),  cmocka_unit_test(test_depth),
        cmocka_unit_test(test_walk),     cmocka_unit_test(test_integers), cmocka_unit_test(test_booleans),
        cmocka_unit_test(test_decimals), cmocka_unit_test(test_strings),  cmocka_unit_test(test_large),
        cmocka_unit_test(test_damage),   cmocka_unit_test(test_memory),   cmocka_unit_test(test_shared_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
