/* Tests of normalising: what tokenizers and sentencepiece make of texts and where every character came from
 * (recorded by tests/data/tokenizer/make_normal_cases.py), bytes that are not UTF-8, runs of marks as long as
 * the text, hostile character maps, refused memory. */
#include "tokenizer_help.h"

#include <time.h>

#include "tokenizer/normalize.h"
#include "tokenizer/unicode_normal.h"

/* ---- The steps behind each name ---- */

typedef struct step {
    int kind, flags;
    const char *from, *to;
} step;

typedef struct steps {
    const char *name;
    step steps[9];
    size_t count;
} steps;

#define MARK "\xe2\x96\x81"
#define ONE(kind, flags, from, to) {{kind, flags, from, to}}, 1

static const steps all_steps[] = {
    {"nfc", ONE(TFM__NORMAL_NFC, 0, "", "")},
    {"nfd", ONE(TFM__NORMAL_NFD, 0, "", "")},
    {"nfkc", ONE(TFM__NORMAL_NFKC, 0, "", "")},
    {"nfkd", ONE(TFM__NORMAL_NFKD, 0, "", "")},
    {"lowercase", ONE(TFM__NORMAL_LOWERCASE, 0, "", "")},
    {"strip-accents", ONE(TFM__NORMAL_STRIP_ACCENTS, 0, "", "")},
    {"nmt", ONE(TFM__NORMAL_NMT, 0, "", "")},
    {"strip", ONE(TFM__NORMAL_STRIP, 3, "", "")},
    {"strip-left", ONE(TFM__NORMAL_STRIP, 1, "", "")},
    {"strip-right", ONE(TFM__NORMAL_STRIP, 2, "", "")},
    {"prepend", ONE(TFM__NORMAL_PREPEND, 0, "", MARK)},
    {"replace", ONE(TFM__NORMAL_REPLACE, 0, "''", "\"")},
    {"replace-space", ONE(TFM__NORMAL_REPLACE, 0, " ", MARK)},
    {"remove", ONE(TFM__NORMAL_REPLACE, 0, "a", "")},
    {"byte-level", ONE(TFM__NORMAL_BYTE_LEVEL, 0, "", "")},
    {"bert", ONE(TFM__NORMAL_BERT, TFM__BERT_CLEAN | TFM__BERT_CHINESE | TFM__BERT_ACCENTS | TFM__BERT_LOWER,
                 "", "")},
    {"bert-cased", ONE(TFM__NORMAL_BERT, TFM__BERT_CLEAN | TFM__BERT_CHINESE, "", "")},
    {"bert-accents", ONE(TFM__NORMAL_BERT, TFM__BERT_ACCENTS, "", "")},
    {"bert-lower", ONE(TFM__NORMAL_BERT, TFM__BERT_LOWER, "", "")},
    {"regex-spaces", ONE(TFM__NORMAL_REPLACE_REGEX, 0, "\\s+", " ")},
    {"regex-class", ONE(TFM__NORMAL_REPLACE_REGEX, 0, "[^\\w\\s]", "<\xc2\xb7>")},
    {"regex-empty", ONE(TFM__NORMAL_REPLACE_REGEX, 0, "a*", "-")},
    {"llama", {{TFM__NORMAL_PREPEND, 0, "", MARK}, {TFM__NORMAL_REPLACE, 0, " ", MARK}}, 2},
    {"albert",
     {{TFM__NORMAL_REPLACE, 0, "``", "\""},
      {TFM__NORMAL_REPLACE, 0, "''", "\""},
      {TFM__NORMAL_NFKD, 0, "", ""},
      {TFM__NORMAL_STRIP_ACCENTS, 0, "", ""},
      {TFM__NORMAL_LOWERCASE, 0, "", ""}},
     5},
    {"all",
     {{TFM__NORMAL_NMT, 0, "", ""},
      {TFM__NORMAL_NFKC, 0, "", ""},
      {TFM__NORMAL_REPLACE, 0, "e", "\xc3\xa9\xc3\xa9"},
      {TFM__NORMAL_NFD, 0, "", ""},
      {TFM__NORMAL_PREPEND, 0, "", "x"},
      {TFM__NORMAL_NFC, 0, "", ""},
      {TFM__NORMAL_STRIP, 3, "", ""},
      {TFM__NORMAL_BYTE_LEVEL, 0, "", ""}},
     8},
    {"precompiled", ONE(TFM__NORMAL_PRECOMPILED, 0, "", "")},
    {"spm-111", ONE(TFM__NORMAL_SPM, 7, "", "")},
    {"spm-000", ONE(TFM__NORMAL_SPM, 0, "", "")},
    {"spm-101", ONE(TFM__NORMAL_SPM, 5, "", "")},
    {"spm-011", ONE(TFM__NORMAL_SPM, 3, "", "")},
    {"spm-110", ONE(TFM__NORMAL_SPM, 6, "", "")},
};

/* Whether the build can do it: regular expressions need PCRE2. */
static bool possible(const steps *wanted) {
    return wanted->steps[0].kind != TFM__NORMAL_REPLACE_REGEX || tfm_capability("pcre2");
}

/* A tokenizer that only normalises. The flags of "spm-": prefix, squeezing, marks. */
static tfm_tokenizer *make(tfm__heap *heap, const steps *wanted, const bytes *map) {
    tfm_tokenizer *t = NULL;
    assert_int_equal(tfm__tokenizer_new(heap, &t, NULL), TFM_OK);
    for (size_t i = 0; i < wanted->count; i++) {
        const step *s = &wanted->steps[i];
        tfm__normal_step *out = &t->steps[t->step_count++];
        out->kind = (uint8_t)s->kind;
        out->flags = (uint8_t)s->flags;
        assert_int_equal(tfm__vocab_store(t, s->from, strlen(s->from), &out->from, NULL), TFM_OK);
        assert_int_equal(tfm__vocab_store(t, s->to, strlen(s->to), &out->to, NULL), TFM_OK);
        if (s->kind == TFM__NORMAL_REPLACE_REGEX) {
            t->regexes = tfm__alloc_array(heap, 1, sizeof *t->regexes);
            assert_non_null(t->regexes);
            assert_int_equal(tfm__regex_compile(heap, s->from, strlen(s->from), TFM__REGEX_ONIGURUMA, "test",
                                                &t->regexes[t->regex_count], NULL),
                             TFM_OK);
            t->regex_count++;
        }
        t->spm.dummy_prefix = s->flags & 4;
        t->spm.remove_extra = s->flags & 2;
        t->spm.escape = s->flags & 1;
    }
    if (map) assert_int_equal(tfm__spm_charsmap(t, map->data, map->size, "map", NULL), TFM_OK);
    return t;
}

static void run(const tfm_tokenizer *t, tfm__work *work, const void *text, size_t length, bool wanted,
                tfm__aligned *out) {
    tfm__aligned from = {text, length, NULL, 0, wanted};
    tfm_error error = TFM_ERROR_INIT;
    if (tfm__normalize(t, work, &from, out, &error)) fail_msg("%s", error.message);
}

/* ---- Recorded cases ---- */

static int hex(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* Turns hex into bytes in place; returns how many. "-": none. */
static size_t unhex(char *text) {
    size_t length = *text == '-' ? 0 : strlen(text) / 2;
    for (size_t i = 0; i < length; i++) text[i] = (char)(hex(text[2 * i]) * 16 + hex(text[2 * i + 1]));
    return length;
}

/* Which character of a text holds a byte; at the end, how many there are. */
static uint32_t character_at(const char *text, size_t length, uint32_t byte) {
    uint32_t count = 0;
    for (size_t i = 0; i < length && i <= byte; i++)
        if (((uint8_t)text[i] & 0xc0) != 0x80) count++;
    return byte >= length ? count : count - 1;
}

static void test_recorded(void **state) {
    bytes cases = read_fixture("normal-cases.txt"), map = read_fixture("normal-map.bin");
    size_t count = 0, names = 0;
    tfm__heap heap;
    tfm_tokenizer *t = NULL;
    tfm__work *work = NULL;
    char last[32] = "";
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    for (char *line = strtok((char *)cases.data, "\n"); line; line = strtok(NULL, "\n"), count++) {
        char *name = line, *text = strchr(name, '\t'), *normal, *spans;
        size_t length, expected;
        tfm__aligned out;
        *text++ = 0;
        normal = strchr(text, '\t');
        *normal++ = 0;
        spans = strchr(normal, '\t');
        *spans++ = 0;
        if (strcmp(name, last) != 0) {
            size_t i = 0;
            while (i < TFM__COUNT(all_steps) && strcmp(all_steps[i].name, name) != 0) i++;
            if (i == TFM__COUNT(all_steps)) fail_msg("no steps %s", name);
            tfm__work_free(work);
            tfm__tokenizer_free(t);
            t = possible(&all_steps[i]) ? make(&heap, &all_steps[i], &map) : NULL;
            work = t ? tfm__work_take(t) : NULL;
            strcpy(last, name);
            names++;
        }
        if (!t) continue;
        length = unhex(text);
        expected = unhex(normal);
        run(t, work, text, length, false, &out);
        if (out.length != expected || memcmp(out.data, normal, expected) != 0)
            fail_msg("%s, case %zu: '%.*s' became '%.*s' instead of '%.*s'", name, count, (int)length, text,
                     (int)out.length, (const char *)out.data, (int)expected, normal);
        run(t, work, text, length, true, &out);
        assert_int_equal(out.length, expected);
        for (size_t i = 0; i < expected;) {
            uint32_t used, begin, end;
            tfm__span span;
            assert_true(tfm__utf8_read(out.data + i, expected - i, &used) != TFM__NO_CODE);
            span = tfm__aligned_span(&out, i, used);
            begin = (uint32_t)strtoul(spans, &spans, 10);
            end = (uint32_t)strtoul(spans + 1, &spans, 10);
            if (character_at(text, length, span.begin) != begin ||
                (span.end == span.begin ? begin : character_at(text, length, span.end - 1) + 1) != end)
                fail_msg("%s, case %zu: byte %zu of '%.*s' came from %u-%u", name, count, i, (int)expected,
                         normal, (unsigned)span.begin, (unsigned)span.end);
            i += used;
        }
    }
    assert_int_equal(names, TFM__COUNT(all_steps));
    assert_true(count >= 1600);
    tfm__work_free(work);
    tfm__tokenizer_free(t);
    assert_int_equal(atomic_load(&heap.live), 0);
    free(cases.data);
    free(map.data);
}

/* ---- Bytes that are not UTF-8 ---- */

/* Nothing composes across them, and no span leaves the text. SentencePiece puts U+FFFD for each; all others
 * keep them. */
static void test_ill_formed(void **state) {
    static const char *const bad[] = {"\xff",         "\x80",         "\xc3",    "\xe4\xb8",
                                      "\xf0\x9f\x98", "\xed\xa0\x80", "\xc0\xaf"};
    bytes map = read_fixture("normal-map.bin");
    tfm__heap heap;
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    for (size_t s = 0; s < TFM__COUNT(all_steps); s++) {
        tfm_tokenizer *t = possible(&all_steps[s]) ? make(&heap, &all_steps[s], &map) : NULL;
        tfm__work *work = t ? tfm__work_take(t) : NULL;
        int kind = all_steps[s].steps[0].kind;
        for (size_t i = 0; t && i < TFM__COUNT(bad); i++) {
            char text[64];
            tfm__aligned out;
            int length = snprintf(text, sizeof text, "%se%s\xcc\x81 A%s", bad[i], bad[i], bad[i]);
            size_t found = 0;
            run(t, work, text, (size_t)length, true, &out);
            for (size_t k = 0; k < out.length; k++) {
                tfm__span span = tfm__aligned_span(&out, k, 1);
                assert_true(span.begin <= span.end && span.end <= (uint32_t)length);
            }
            for (size_t k = 0; k + strlen(bad[i]) <= out.length; k++)
                found += memcmp(out.data + k, bad[i], strlen(bad[i])) == 0;
            if (kind == TFM__NORMAL_SPM)
                assert_int_equal(found, 0);
            else if (strcmp(all_steps[s].name, "byte-level") != 0 && strcmp(all_steps[s].name, "all") != 0)
                assert_int_equal(found, 3);
        }
        tfm__work_free(work);
        tfm__tokenizer_free(t);
    }
    assert_int_equal(atomic_load(&heap.live), 0);
    free(map.data);
}

/* ---- Long texts ---- */

static const char *const units[] = {"\xcc\x81\xcc\x96",
                                    "\xcc\x81",
                                    "a\xcc\x81",
                                    "\xe1\x84\x80\xe1\x85\xa1",
                                    "\xea\xb0\x80",
                                    "\xef\xb7\xba",
                                    "\xe0\xa4\x95\xe0\xa5\x8d",
                                    "\xf0\x9f\x91\xa8\xe2\x80\x8d",
                                    "A ",
                                    "  ",
                                    "\xff",
                                    "\xcc",
                                    "\xf0\x9f\x87\xa6",
                                    "''",
                                    "\xe2\x80\x8b",
                                    "ab"};

/* A megabyte of marks, which must be sorted, and much of anything else take no time to speak of. */
static void test_linear_time(void **state) {
    char *text = malloc(1 << 20);
    bytes map = read_fixture("normal-map.bin");
    tfm__heap heap;
    (void)state;
    assert_non_null(text);
    tfm__heap_init(&heap, NULL, 0);
    for (size_t s = 0; s < TFM__COUNT(all_steps); s++) {
        tfm_tokenizer *t = possible(&all_steps[s]) ? make(&heap, &all_steps[s], &map) : NULL;
        tfm__work *work = t ? tfm__work_take(t) : NULL;
        for (size_t u = 0; t && u < TFM__COUNT(units); u++) {
            size_t unit = strlen(units[u]), length = u < 2 ? 1 << 20 : 1 << 17;
            clock_t start = clock();
            tfm__aligned out;
            for (size_t i = 0; i < length; i++) text[i] = units[u][i % unit];
            run(t, work, text, length, true, &out);
            if (clock() - start > 5 * CLOCKS_PER_SEC) fail_msg("%s: unit %zu is slow", all_steps[s].name, u);
        }
        tfm__work_free(work);
        tfm__tokenizer_free(t);
    }
    assert_int_equal(atomic_load(&heap.live), 0);
    free(text);
    free(map.data);
}

/* ---- Maps that lie ---- */

static void test_hostile_maps(void **state) {
    bytes map = read_fixture("normal-map.bin");
    tfm__heap heap;
    uint32_t seed = 1;
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    for (size_t round = 0; round < 600; round++) {
        tfm_tokenizer *t = NULL;
        unsigned char *copy = malloc(map.size);
        size_t size = map.size;
        assert_non_null(copy);
        memcpy(copy, map.data, map.size);
        for (size_t i = 0; i < 1 + round % 40; i++) {
            seed = seed * 1664525u + 1013904223u;
            copy[(seed >> 8) % size] ^= (unsigned char)(seed >> 24);
        }
        if (round % 5 == 0) size = seed % map.size;
        assert_int_equal(tfm__tokenizer_new(&heap, &t, NULL), TFM_OK);
        if (tfm__spm_charsmap(t, copy, size, "map", NULL) == TFM_OK) {
            static const char text[] =
                "the \xe2\x84\xa2\x1eg e\xcc\x81 abc\r\n\xe1\x84\x80\xe1\x85\xa1\xff z";
            tfm__work *work = tfm__work_take(t);
            tfm__aligned out;
            t->step_count = 1;
            t->steps[0].kind = round % 2 ? TFM__NORMAL_SPM : TFM__NORMAL_PRECOMPILED;
            t->spm.remove_extra = round % 3;
            run(t, work, text, sizeof text - 1, true, &out);
            for (size_t k = 0; k < out.length; k++)
                assert_true(tfm__aligned_span(&out, k, 1).end < sizeof text);
            tfm__work_free(work);
        }
        tfm__tokenizer_free(t);
        free(copy);
    }
    assert_int_equal(atomic_load(&heap.live), 0);
    free(map.data);
}

/* ---- Refused memory ---- */

static void test_refused_memory(void **state) {
    static const char text[] = "  E\xcc\x81\xcc\x96 \xef\xb7\xba \xe4\xb8\xad ab\xe2\x84\xa2 ''a";
    bytes map = read_fixture("normal-map.bin");
    (void)state;
    for (size_t s = 0; s < TFM__COUNT(all_steps); s++) {
        for (size_t fail_at = 1; possible(&all_steps[s]); fail_at++) {
            counter c = {0, 0, 0, false};
            tfm_allocator allocator = TFM_ALLOCATOR_INIT;
            tfm__aligned from = {(const uint8_t *)text, sizeof text - 1, NULL, 0, true}, out;
            tfm_error error = TFM_ERROR_INIT;
            tfm__heap heap;
            tfm_tokenizer *t;
            tfm__work *work;
            int32_t rc = TFM_E_MEMORY;
            allocator.realloc = counting_realloc;
            allocator.user = &c;
            tfm__heap_init(&heap, &allocator, 0);
            t = make(&heap, &all_steps[s], &map);
            c.fail_at = c.requests + fail_at;
            if ((work = tfm__work_take(t)) != NULL) rc = tfm__normalize(t, work, &from, &out, &error);
            tfm__work_free(work);
            tfm__tokenizer_free(t);
            assert_int_equal(c.live, 0);
            if (rc == TFM_OK) break;
            assert_int_equal(rc, TFM_E_MEMORY);
            assert_true(fail_at < 100);
        }
    }
    free(map.data);
}

/* ---- Tables ---- */

static void test_tables(void **state) {
    size_t lower = 0, decompositions = 0;
    (void)state;
    for (uint32_t code = 0; code < 0x110000; code++) {
        const tfm__normal_record *r = tfm__normal_record_of(code);
        lower += tfm__unicode_lower(code) != code;
        decompositions += r->compatible_count != 0;
        assert_true(tfm__unicode_lower(code) < 0x110000);
        assert_true((tfm__unicode_class(code) & TFM__CLASS_CLUSTER) <= TFM__CLUSTER_CONSONANT);
        if (r->canonical_count) assert_true(r->compatible_count);
    }
    assert_int_equal(lower, 1487);          /* Unicode 17; U+0130 is left out */
    assert_int_equal(decompositions, 5722); /* as tokenizers counts them */
    assert_int_equal(tfm__unicode_compose('e', 0x301), 0xe9);
    assert_int_equal(tfm__unicode_compose(0x1100, 0x1161), 0xac00);
    assert_int_equal(tfm__unicode_compose(0xac00, 0x11a8), 0xac01);
    assert_int_equal(tfm__unicode_compose(0xac00, 0x11a7), TFM__NO_CODE);
    assert_int_equal(tfm__unicode_compose(0x915, 0x93c), TFM__NO_CODE);     /* excluded from composition */
    assert_int_equal(tfm__unicode_compose(0x11935, 0x11930), TFM__NO_CODE); /* newer than the reference */
    assert_int_equal(tfm__unicode_script(0x3042), tfm__unicode_script(0x4e2d));
    assert_int_equal(tfm__unicode_script(0x30fc), tfm__unicode_script(0x4e2d));
    assert_int_equal(tfm__unicode_script(' '), TFM__SCRIPT_ANY);
    assert_int_equal(tfm__unicode_script('a'), tfm__unicode_script(0xe9));
    assert_int_not_equal(tfm__unicode_script('a'), tfm__unicode_script(0x3b1));
    assert_true(tfm__unicode_numeric(0x11de0) && tfm__unicode_numeric('1') && !tfm__unicode_numeric('a'));
    assert_true(tfm__unicode_onig_word(0xb2) && !tfm__unicode_onig_word(0x200d) &&
                tfm__unicode_onig_word('_'));
    assert_true(tfm__unicode_entry(0x166d) & TFM__ENTRY_PUNCTUATION &&
                !(tfm__unicode_entry(0x61d) & TFM__ENTRY_PUNCTUATION));
}

static void test_clusters(void **state) {
    static const struct {
        const char *text;
        size_t length;
    } cases[] = {
        {"ab", 1},
        {"\r\nb", 2},
        {"\n\xcc\x81", 1},
        {"e\xcc\x81\xcc\x96x", 5},
        {"\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8\xe1\x84\x80", 9},              /* L V T */
        {"\xea\xb0\x80\xe1\x86\xa8", 6},                                      /* LV T */
        {"\xea\xb0\x81\xe1\x85\xa1", 3},                                      /* LVT, V */
        {"\xf0\x9f\x87\xa6\xf0\x9f\x87\xa7\xf0\x9f\x87\xa8", 8},              /* regional indicators by two */
        {"\xf0\x9f\x91\xa8\xf0\x9f\x8f\xbb\xe2\x80\x8d\xf0\x9f\x91\xa8", 15}, /* pictographs and a joiner */
        {"a\xe2\x80\x8d\xf0\x9f\x91\xa8", 4},
        {"\xe0\xa4\x95\xe0\xa5\x8d\xe0\xa4\xb0", 9},             /* consonant, linker, consonant */
        {"\xe0\xa4\x95\xe2\x80\x8c\xe0\xa5\x8d\xe0\xa4\xb0", 9}, /* broken by a non-joiner */
        {"\xd8\x80"
         "a",
         3}, /* prepended */
        {"\xff\xcc\x81", 1},
    };
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        size_t got = tfm__unicode_cluster((const uint8_t *)cases[i].text, strlen(cases[i].text));
        if (got != cases[i].length) fail_msg("cluster %zu: %zu bytes", i, got);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded),       cmocka_unit_test(test_ill_formed),
        cmocka_unit_test(test_linear_time),    cmocka_unit_test(test_hostile_maps),
        cmocka_unit_test(test_refused_memory), cmocka_unit_test(test_tables),
        cmocka_unit_test(test_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
