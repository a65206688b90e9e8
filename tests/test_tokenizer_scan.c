/* Tests of the scanners that find many pieces at a time, in every instruction set that the processor has:
 * their pieces are those of tfm__split_next, for random texts of the hard classes, of every length to 200, at
 * the very end of their memory. */
#include "tokenizer_help.h"

#include "base/cpu.h"
#include "tokenizer/scan.h"

static const tfm__stage stages[] = {
    {.kind = TFM__SPLIT_GPT2},
    {.kind = TFM__SPLIT_CL100K, .digits = 3, .contractions = true},
    {.kind = TFM__SPLIT_CL100K, .digits = 3, .contractions = true, .whole_tail = true},
    {.kind = TFM__SPLIT_CL100K, .digits = 1, .contractions = true},
    {.kind = TFM__SPLIT_CL100K, .digits = 1, .contractions = true, .marks = true},
    {.kind = TFM__SPLIT_CL100K, .digits = 1},
    {.kind = TFM__SPLIT_O200K, .digits = 3, .contractions = true},
    {.kind = TFM__SPLIT_O200K, .digits = 1},
    {.kind = TFM__SPLIT_DEEPSEEK},
};

static uint64_t random_state;

static uint32_t random_below(uint32_t n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

/* Words of a text; the later rows are rarer. */
static const char *const words[] = {"a",
                                    "b",
                                    "the",
                                    "s",
                                    "t",
                                    "ll",
                                    "re",
                                    "ve",
                                    "d",
                                    "m",
                                    "A",
                                    "B",
                                    "S",
                                    "LL",
                                    "Re",
                                    "iPhone",
                                    "HTTPServer",
                                    " ",
                                    " ",
                                    " ",
                                    "  ",
                                    "'",
                                    "'",
                                    ".",
                                    ",",
                                    "(",
                                    "\"",
                                    "/",
                                    "//",
                                    "#",
                                    "_",
                                    "\n",
                                    "\n",
                                    "\r\n",
                                    "\t",
                                    "\n    ",
                                    "    \n",
                                    "1",
                                    "23",
                                    "456",
                                    "7890",
                                    "12345678901234567890",
                                    "'s",
                                    "'t",
                                    "'ll",
                                    "'RE",
                                    "'ve ",
                                    " the",
                                    " The",
                                    "\n\n  x",
                                    "\xe4\xb8\xad",
                                    "\xe5\x9b\xbd",
                                    "\xef\xbc\x8c",
                                    "\xe3\x80\x82",
                                    "\xe2\x80\x9c",
                                    "\xe2\x80\x9d",
                                    "\xe2\x80\x99",
                                    "\xc3\xa9",
                                    "\xc3\x89",
                                    "\xd0\xb6",
                                    "\xd0\x96",
                                    "\xe3\x81\x82",
                                    "\xea\xb0\x80",
                                    "\xf0\x9f\x98\x80",
                                    "\xc5\xbf",
                                    "\xcc\x81",
                                    "\xe3\x80\x80",
                                    "\xc2\xa0",
                                    "\xc2\x85",
                                    "\xc2\xbd",
                                    "\xd9\xa3",
                                    "\xca\xb0",
                                    "\xc7\x85",
                                    "\xe0\xa4\xbe",
                                    "\xe2\x80\xa8",
                                    "\x80",
                                    "\xc3",
                                    "\xe4\xb8",
                                    "\xf0\x9f\x98",
                                    "\xff",
                                    "\xed\xa0\x80",
                                    "\xf4\x90\x80\x80",
                                    "\xc0\xaf",
                                    "\v",
                                    "\f",
                                    "\x1c",
                                    "\x7f",
                                    "\xef\xbb\xbf",
                                    "\xe9\xbf\xbd"};

static size_t random_text(uint8_t *out, size_t length) {
    /* some texts are of few words, so that runs grow long; most are without the rare ones */
    uint32_t all = sizeof words / sizeof words[0], kinds = random_below(3) == 0 ? 1 + random_below(6) : all,
             few[6];
    uint32_t reach = random_below(2) ? all : random_below(2) ? 50 : 64;
    size_t n = 0;
    for (uint32_t i = 0; i < 6; i++) few[i] = random_below(reach);
    while (n < length) {
        const char *word = words[kinds < all ? few[random_below(kinds)] : random_below(reach)];
        size_t size = strlen(word);
        size = size < length - n ? size : length - n;
        memcpy(out + n, word, size);
        n += size;
    }
    return n;
}

static void compare(const tfm__stage *stage, int isa, tfm__scan_fn *scan, const uint8_t *text, size_t length,
                    size_t most) {
    uint32_t ends[300 + TFM__SCAN_SLACK];
    size_t at = 0;
    while (at < length) {
        size_t n = scan(stage, text + at, length - at, ends, most), start = 0;
        assert_in_range(n, 1, most + TFM__SCAN_SLACK);
        for (size_t i = 0; i < n; i++) {
            size_t expected = start + tfm__split_next(stage, text + at + start, length - at - start);
            if (ends[i] != expected) {
                fprintf(stderr, "stage %d digits %d, isa %d, length %zu, at %zu: %zu instead of %zu in '",
                        stage->kind, stage->digits, isa, length, at + start, at + ends[i], at + expected);
                for (size_t k = 0; k < length; k++)
                    fprintf(stderr, text[k] >= 0x20 && text[k] < 0x7f ? "%c" : "\\x%02x", text[k]);
                fail_msg("'");
            }
            start = expected;
        }
        at += start;
    }
}

static void test_same_pieces(void **state) {
    tfm_tokenizer tokenizer;
    (void)state;
    memset(&tokenizer, 0, sizeof tokenizer);
    for (int isa = 0; isa < TFM__ISA_COUNT; isa++) {
        if (!tfm__cpu_has_isa(isa)) continue;
        tokenizer.isa = isa;
        random_state = 42;
        for (int round = 0; round < 60000; round++) {
            size_t length = round < 6000 ? (size_t)round % 200 : 1 + random_below(500);
            const tfm__stage *stage = &stages[random_below(sizeof stages / sizeof stages[0])];
            uint8_t *text = malloc(length ? length : 1);
            assert_non_null(text);
            length = random_text(text, length);
            compare(stage, isa, tfm__scan_for(&tokenizer, stage), text, length, 1 + random_below(200));
            free(text);
        }
    }
}

/* tfm__utf8_valid in every instruction set: all sequences of four bytes of the kinds that matter, at the
 * edges of the blocks that are looked at together; and random texts. */
static void test_same_utf8(void **state) {
    static const uint8_t kinds[] = {'a',  0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                    0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    const uint32_t count = sizeof kinds;
    tfm_tokenizer tokenizer;
    (void)state;
    memset(&tokenizer, 0, sizeof tokenizer);
    for (int isa = 0; isa < TFM__ISA_COUNT; isa++) {
        if (!tfm__cpu_has_isa(isa)) continue;
        tokenizer.isa = isa;
        random_state = 43;
        for (uint32_t n = 0; n < count * count * count * count; n++) {
            const uint8_t four[4] = {kinds[n % count], kinds[n / count % count],
                                     kinds[n / count / count % count], kinds[n / count / count / count]};
            uint8_t text[104];
            size_t at = n % 7 == 0 ? 0 : n % 7 < 6 ? 29 + n % 7 : 64;
            memset(text, 'x', sizeof text);
            memcpy(text + at, four, 4);
            if (tfm__scan_utf8(&tokenizer, text, sizeof text) != tfm__utf8_valid(text, sizeof text))
                fail_msg("isa %d: %02x %02x %02x %02x at %zu", isa, four[0], four[1], four[2], four[3], at);
        }
        for (int round = 0; round < 20000; round++) {
            size_t length = 1 + random_below(400);
            uint8_t *text = malloc(length);
            assert_non_null(text);
            length = random_text(text, length);
            assert_int_equal(tfm__scan_utf8(&tokenizer, text, length), tfm__utf8_valid(text, length));
            free(text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_pieces), cmocka_unit_test(test_same_utf8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
