/* test_stops.c - held text and stop strings: nothing of a stop string leaks, nothing else is kept. Texts are
 * cut into every sequence of pieces, and what comes out is compared with a search in the whole text. */
#include "generate.h"
#include "tiny_model.h"

typedef struct held {
    tfm__heap heap;
    tfm__stops stops;
} held;

static int32_t init(held *h, const char *const *texts, const size_t *lengths, size_t count,
                    tfm_error *error) {
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    options.stops = texts;
    options.stop_lengths = lengths;
    options.stop_count = count;
    tfm__heap_init(&h->heap, NULL, 0);
    return tfm__stops_init(&h->stops, &h->heap, &options, error);
}

static void done(held *h) {
    tfm__stops_free(&h->stops);
    assert_int_equal(atomic_load(&h->heap.live), 0);
}

/* Feeds one piece and appends what became ready. */
static void take(held *h, const char *piece, size_t length, char *out, size_t *size) {
    assert_true(tfm__stops_take(&h->stops, piece, length));
    memcpy(out + *size, h->stops.held.data, h->stops.ready);
    *size += h->stops.ready;
}

/* What must come out: the text up to the stop string that is complete first. *found is its number. At one end
 * the longest begins first; the first listed of equal ones counts. */
static size_t search(const char *text, size_t length, const char *const *stops, size_t count, int *found) {
    for (size_t end = 1; end <= length; end++)
        for (size_t begin = 0; begin < end; begin++)
            for (size_t i = 0; i < count; i++)
                if (strlen(stops[i]) == end - begin && !memcmp(text + begin, stops[i], end - begin)) {
                    *found = (int)i;
                    return begin;
                }
    *found = -1;
    return length;
}

/* One byte at a time the order of completion is plain; every other cut must give text in front of some stop
 * string. */
static void test_byte_by_byte(void **state) {
    (void)state;
    static const char *const texts[] = {"",      "abc",   "ababac",       "aabaabaaab", "END",
                                        "xENDy", "EENND", "\xc3\xa9\xc3", "abcabd"};
    static const char *const lists[][4] = {{"abac"},          {"aab", "b"},  {"END", "N"},
                                           {"abd", "abcabe"}, {"ab", "abc"}, {"abc", "ab"},
                                           {"\xc3\xa9"},      {"zzz"},       {"aaab", "baa", "aabaaa"}};
    for (size_t t = 0; t < TFM__COUNT(texts); t++)
        for (size_t l = 0; l < TFM__COUNT(lists); l++) {
            size_t count = 0, size = 0, length = strlen(texts[t]);
            char out[64];
            int found;
            held h;
            while (count < 4 && lists[l][count]) count++;
            assert_int_equal(init(&h, lists[l], NULL, count, NULL), TFM_OK);
            for (size_t i = 0; i < length && h.stops.found < 0; i++) take(&h, texts[t] + i, 1, out, &size);
            if (h.stops.found < 0) {
                assert_true(tfm__stops_take(&h.stops, "", 0));
                tfm__stops_flush(&h.stops);
                memcpy(out + size, h.stops.held.data, h.stops.ready);
                size += h.stops.ready;
            }
            size_t expected = search(texts[t], length, lists[l], count, &found);
            assert_int_equal(h.stops.found, found);
            assert_int_equal(size, expected);
            assert_memory_equal(out, texts[t], expected);
            done(&h);
        }
}

/* Every cut of a text into pieces: the same text comes out, whatever the cut, when the stop strings do not
 * overlap. */
static void test_every_cut(void **state) {
    (void)state;
    static const char text[] = "aENaEN-STOPEND.";
    static const char *const stops[] = {"END", "QQ"};
    size_t length = sizeof text - 1;
    for (unsigned cut = 0; cut < 1u << (length - 1); cut += 7) {
        char out[64];
        size_t size = 0, from = 0;
        held h;
        assert_int_equal(init(&h, stops, NULL, 2, NULL), TFM_OK);
        for (size_t i = 1; i <= length && h.stops.found < 0; i++)
            if (i == length || cut >> (i - 1) & 1) {
                take(&h, text + from, i - from, out, &size);
                from = i;
            }
        assert_int_equal(h.stops.found, 0);
        assert_int_equal(size, 11);
        assert_memory_equal(out, text, size);
        done(&h);
    }
}

/* Only what may still become a stop string is held back. */
static void test_holds_little(void **state) {
    (void)state;
    static const char *const stops[] = {"END!", "\xe2\x82\xac", "Ex"};
    static const struct {
        const char *piece, *ready;
    } steps[] = {{"abc", "abc"}, {"dE", "d"},     {"N", ""},      {"D", ""},    {"Q", "ENDQ"},
                 {"EE", "E"},    {"N", ""},       {"xx", "ENxx"}, {"\xe2", ""}, {"\x82\xa9", "\xe2\x82\xa9"},
                 {"", ""},       {"ENEND", "EN"}, {"?E", "END?"}, {"x", ""}};
    held h;
    assert_int_equal(init(&h, stops, NULL, 3, NULL), TFM_OK);
    for (size_t i = 0; i < TFM__COUNT(steps); i++) {
        assert_true(tfm__stops_take(&h.stops, steps[i].piece, strlen(steps[i].piece)));
        assert_int_equal(h.stops.ready, strlen(steps[i].ready));
        assert_memory_equal(h.stops.held.data, steps[i].ready, h.stops.ready);
        assert_int_equal(h.stops.found, i + 1 < TFM__COUNT(steps) ? -1 : 2);
    }
    done(&h);
    /* without stop strings nothing waits */
    assert_int_equal(init(&h, NULL, NULL, 0, NULL), TFM_OK);
    assert_true(tfm__stops_take(&h.stops, "whatever", 8));
    assert_int_equal(h.stops.ready, 8);
    done(&h);
}

static void test_flush(void **state) {
    (void)state;
    static const char *const stops[] = {"END"};
    held h;
    char out[8];
    size_t size = 0;
    assert_int_equal(init(&h, stops, NULL, 1, NULL), TFM_OK);
    take(&h, "aEN", 3, out, &size);
    assert_int_equal(size, 1);
    assert_true(tfm__stops_take(&h.stops, "", 0));
    assert_int_equal(h.stops.ready, 0);
    tfm__stops_flush(&h.stops);
    assert_int_equal(h.stops.ready, 2);
    assert_memory_equal(h.stops.held.data, "EN", 2);
    done(&h);
    assert_int_equal(init(&h, stops, NULL, 1, NULL), TFM_OK); /* what follows a stop string is nobody's */
    take(&h, "aENDz", 5, out, &size);
    assert_int_equal(h.stops.found, 0);
    tfm__stops_flush(&h.stops);
    assert_int_equal(h.stops.ready, 1);
    done(&h);
}

/* Texts are copied, may hold NUL where lengths are given, and may be longer than any room taken ahead. */
static void test_copied_and_long(void **state) {
    (void)state;
    char a[] = "a\0b";
    const char *texts[] = {a};
    size_t lengths[] = {3};
    held h;
    assert_int_equal(init(&h, texts, lengths, 1, NULL), TFM_OK);
    memset(a, 'z', 3);
    lengths[0] = 1;
    assert_true(tfm__stops_take(&h.stops, "xa\0b", 4));
    assert_int_equal(h.stops.found, 0);
    assert_int_equal(h.stops.ready, 1);
    done(&h);

    enum { LONG = 20000 };
    char *text = malloc(LONG + 1), *out = malloc(LONG + 8);
    assert_non_null(text);
    assert_non_null(out);
    memset(text, 'q', LONG);
    text[LONG - 1] = 'r';
    text[LONG] = 0;
    texts[0] = text;
    size_t size = 0;
    assert_int_equal(init(&h, texts, NULL, 1, NULL), TFM_OK);
    for (size_t i = 0; i < LONG - 1; i += 99) take(&h, text, TFM__MIN(99, LONG - 1 - i), out, &size);
    assert_int_equal(size, 0); /* all of it may still become one */
    take(&h, "qq", 2, out, &size);
    assert_int_equal(size, 2); /* one too many, and one more */
    take(&h, "r", 1, out, &size);
    assert_int_equal(h.stops.found, 0);
    assert_int_equal(size, 2);
    done(&h);
    free(text);
    free(out);
}

static void test_refused(void **state) {
    (void)state;
    const char *texts[65];
    size_t none = 0;
    held h;
    for (size_t i = 0; i < 65; i++) texts[i] = "x";
    static const struct {
        const char *text;
        int32_t status;
    } cases[] = {{"x", TFM_OK}, {"", TFM_E_ARGUMENT}, {NULL, TFM_E_ARGUMENT}, {"\x82x", TFM_E_ARGUMENT}};
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        tfm_error error = TFM_ERROR_INIT;
        texts[3] = cases[i].text;
        assert_int_equal(init(&h, texts, NULL, 4, &error), cases[i].status);
        assert_int_equal(error.code, cases[i].status);
        done(&h);
    }
    texts[3] = "x";
    assert_int_equal(init(&h, texts, NULL, 64, NULL), TFM_OK);
    done(&h);
    assert_int_equal(init(&h, texts, NULL, 65, NULL), TFM_E_ARGUMENT);
    done(&h);
    assert_int_equal(init(&h, NULL, NULL, 1, NULL), TFM_E_ARGUMENT);
    done(&h);
    assert_int_equal(init(&h, texts, &none, 1, NULL), TFM_E_ARGUMENT);
    done(&h);
    assert_int_equal(init(&h, texts, (size_t[]){SIZE_MAX, SIZE_MAX}, 2, NULL), TFM_E_ARGUMENT);
    done(&h);
    tfm__stops nothing = {0};
    tfm__stops_free(&nothing);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_by_byte),    cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_holds_little),    cmocka_unit_test(test_flush),
        cmocka_unit_test(test_copied_and_long), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
