/* test_tokenizer_hf.c - tokenizer.json in many configurations: ids, offsets, type ids and decoded text are
 * those of Hugging Face's tokenizers, recorded in data/tokenizer/hf/cases.txt (tests/compare_hf.py --freeze).
 */
#include "tokenizer_help.h"

#define HF FIXTURES "hf/"
#define FIELDS 11

/* ---- Cases ---- */

/* Cuts a line at its tabs; returns the number of fields. */
static size_t cut(char *line, char *fields[FIELDS]) {
    size_t n = 0;
    fields[n++] = line;
    for (char *p = line; *p; p++) {
        if (*p != '\t') continue;
        *p = 0;
        if (n == FIELDS) return n + 1;
        fields[n++] = p + 1;
    }
    return n;
}

static size_t unhex(const char *text, char *out) {
    size_t n = 0;
    for (; text[0] && text[1]; text += 2, n++) {
        unsigned value = 0;
        if (sscanf(text, "%2x", &value) != 1) fail_msg("not hexadecimal: %s", text);
        out[n] = (char)value;
    }
    return n;
}

static size_t numbers(const char *text, uint32_t *out, size_t most) {
    size_t n = 0;
    char *end;
    while (*text) {
        if (n == most) fail_msg("too many numbers: %s", text);
        out[n++] = (uint32_t)strtoul(text, &end, 10);
        if (end == text) fail_msg("not a number: %s", text);
        text = *end ? end + 1 : end;
    }
    return n;
}

#define MOST 4096
typedef struct room {
    char text[MOST], pair[MOST], want[MOST], got[MOST];
    uint32_t ids[MOST], offsets[2 * MOST], types[MOST];
} room;

/* ---- Text back from ids ---- */

static void check_text(const tfm_tokenizer *t, room *r, size_t count, bool special, const char *hex,
                       const char *what) {
    const tfm_token *ids = (const tfm_token *)(const void *)r->ids;
    tfm_detokenize_options options = TFM_DETOKENIZE_OPTIONS_INIT;
    size_t wanted = unhex(hex, r->want), length = 0, joined = 0;
    tfm_decoder *decoder = NULL;
    const char *part = NULL;
    options.special = special;
    assert_int_equal(tfm_detokenize(t, ids, count, &options, r->got, MOST, &length, NULL), TFM_OK);
    if (length != wanted || memcmp(r->got, r->want, length) != 0)
        fail_msg("%s: '%.*s' instead of '%.*s'", what, (int)length, r->got, (int)wanted, r->want);
    assert_int_equal(tfm_decoder_create(t, &options, &decoder, NULL), TFM_OK);
    for (size_t i = 0; i <= count; i++) {
        size_t n = 0;
        if (i < count)
            assert_int_equal(tfm_decoder_push(decoder, ids[i], &part, &n, NULL), TFM_OK);
        else
            assert_int_equal(tfm_decoder_finish(decoder, &part, &n, NULL), TFM_OK);
        assert_true(n <= MOST - joined);
        /* only whole characters are handed out */
        if (n) assert_true(((unsigned char)part[0] & 0xc0) != 0x80);
        memcpy(r->got + joined, part, n);
        joined += n;
    }
    if (joined != wanted || memcmp(r->got, r->want, wanted) != 0)
        fail_msg("%s, streamed: '%.*s' instead of '%.*s'", what, (int)joined, r->got, (int)wanted, r->want);
    tfm_decoder_destroy(decoder);
}

/* ---- Ids from text ---- */

static void check_encoding(const tfm_tokenizer *t, room *r, char *fields[FIELDS]) {
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    tfm_batch_options batch = TFM_BATCH_OPTIONS_INIT;
    tfm_encoding_view view = TFM_ENCODING_VIEW_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_encoding *encoding = NULL;
    tfm_text_input input = {r->text, unhex(fields[4], r->text), NULL, 0};
    size_t count = numbers(fields[6], r->ids, MOST);
    char what[256];
    if (strcmp(fields[5], "-") != 0) {
        input.pair = r->pair;
        input.pair_length = unhex(fields[5], r->pair);
    }
    snprintf(what, sizeof what, "%s: %.200s", fields[1], r->text);
    assert_int_equal(numbers(fields[7], r->offsets, 2 * MOST), 2 * count);
    assert_int_equal(numbers(fields[8], r->types, MOST), count);
    options.parse_special = fields[2][0] == '1' ? TFM_SPECIAL_PARSE : TFM_SPECIAL_TEXT;
    options.add_bos = options.add_eos = fields[3][0] == '1' ? TFM_YES : TFM_NO;
    batch.tokenize = &options;
    batch.truncate = batch.pad = TFM_NO;
    batch.want = TFM_WANT_CHARS | TFM_WANT_TYPES;
    if (tfm_tokenize_batch(t, &input, 1, &batch, &encoding, &error)) fail_msg("%s: %s", what, error.message);
    assert_int_equal(tfm_encoding_get(encoding, &view, NULL), TFM_OK);
    for (size_t i = 0; i < count || i < view.count; i++) {
        if (i >= count || i >= view.count || (uint32_t)view.ids[i] != r->ids[i])
            fail_msg("%s\nid %zu is %d instead of %d (%zu, %zu)", what, i,
                     i < view.count ? (int)view.ids[i] : -1, i < count ? (int)r->ids[i] : -1, view.count,
                     count);
        if (view.char_begins[i] != r->offsets[2 * i] || view.char_ends[i] != r->offsets[2 * i + 1])
            fail_msg("%s\noffsets %zu are %u:%u instead of %u:%u", what, i, (unsigned)view.char_begins[i],
                     (unsigned)view.char_ends[i], (unsigned)r->offsets[2 * i],
                     (unsigned)r->offsets[2 * i + 1]);
        if (view.types[i] != r->types[i]) fail_msg("%s\ntype %zu is %u", what, i, (unsigned)view.types[i]);
    }
    tfm_encoding_destroy(encoding);
    check_text(t, r, count, false, fields[9], what);
    check_text(t, r, count, true, fields[10], what);
}

static void test_cases(void **state) {
    bytes cases = read_fixture("hf/cases.txt");
    room *r = calloc(1, sizeof *r);
    tfm_tokenizer *tokenizer = NULL;
    char loaded[256] = "";
    size_t files = 0, lines = 0;
    (void)state;
    assert_non_null(r);
    for (char *line = (char *)cases.data, *end; *line; line = end + 1) {
        char *fields[FIELDS] = {0};
        size_t n;
        end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        n = cut(line, fields);
        if (strcmp(loaded, fields[1]) != 0) {
            char name[300];
            tfm_tokenizer_release(tokenizer);
            snprintf(loaded, sizeof loaded, "%s", fields[1]);
            snprintf(name, sizeof name, "hf/%s", loaded);
            tokenizer = load_fixture(name);
            files++;
        }
        lines++;
        if (fields[0][0] == 'E') {
            assert_int_equal(n, 11);
            memset(r->text, 0, sizeof r->text);
            check_encoding(tokenizer, r, fields);
        } else {
            assert_int_equal(n, 5);
            check_text(tokenizer, r, numbers(fields[3], r->ids, MOST), fields[2][0] == '1', fields[4],
                       fields[1]);
        }
    }
    assert_true(files > 25 && lines > 1000);
    tfm_tokenizer_release(tokenizer);
    free(r);
    free(cases.data);
}

/* ---- Decoding that has to wait ---- */

/* A tokenizer.json over a few words, with a decoder. */
static tfm_tokenizer *with_decoder(const char *decoder) {
    static const char head[] =
        "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":0,\"b\":1,\" \":2,"
        "\"<0xE4>\":3,\"<0xBD>\":4,\"<0xA0>\":5,\"ab\":6,\"a</w>\":7}},\"decoder\":";
    char text[1024];
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer = NULL;
    snprintf(text, sizeof text, "%s%s}", head, decoder);
    if (tfm_tokenizer_load_memory(text, strlen(text), NULL, &tokenizer, &error))
        fail_msg("%s", error.message);
    return tokenizer;
}

/* A run of byte tokens of any length: up to some thousand bytes are held back, of a longer one the characters
 * that are certain to be well-formed are handed on. */
static void test_long_runs(void **state) {
    tfm_tokenizer *t = with_decoder("{\"type\":\"ByteFallback\"}");
    tfm_decoder *decoder = NULL;
    size_t total = 0, most = 0;
    const char *text;
    (void)state;
    assert_int_equal(tfm_decoder_create(t, NULL, &decoder, NULL), TFM_OK);
    for (size_t i = 0; i <= 30000; i++) {
        size_t n = 0;
        if (i < 30000)
            assert_int_equal(tfm_decoder_push(decoder, 3 + (tfm_token)(i % 3), &text, &n, NULL), TFM_OK);
        else
            assert_int_equal(tfm_decoder_finish(decoder, &text, &n, NULL), TFM_OK);
        assert_int_equal(n % 3, 0);
        for (size_t k = 0; k < n; k += 3) assert_memory_equal(text + k, "\xe4\xbd\xa0", 3);
        total += n;
        most = n > most ? n : most;
    }
    assert_int_equal(total, 30000);
    assert_true(most <= 4096);
    /* an ill-formed run becomes U+FFFD at once, byte by byte, however long it goes on */
    for (size_t i = 0; i < 10000; i++) {
        size_t n = 0;
        assert_int_equal(tfm_decoder_push(decoder, 4, &text, &n, NULL), TFM_OK);
        assert_int_equal(n, 3);
        assert_memory_equal(text, "\xef\xbf\xbd", 3);
    }
    tfm_decoder_destroy(decoder);
    tfm_tokenizer_release(t);
}

/* What the last token of a text loses is not lost while others may follow; and a continuation begins like the
 * middle of a text. */
static void test_last_and_continued(void **state) {
    tfm_tokenizer *t = with_decoder("{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"}");
    static const tfm_token ids[] = {7, 7}, word[] = {0, 1};
    tfm_detokenize_options options = TFM_DETOKENIZE_OPTIONS_INIT;
    tfm_decoder *decoder = NULL;
    const char *text;
    char out[16];
    size_t n = 0;
    (void)state;
    assert_int_equal(tfm_decoder_create(t, NULL, &decoder, NULL), TFM_OK);
    assert_int_equal(tfm_decoder_push(decoder, 7, &text, &n, NULL), TFM_OK);
    assert_int_equal(n, 0);
    assert_int_equal(tfm_decoder_push(decoder, 7, &text, &n, NULL), TFM_OK);
    assert_int_equal(n, 2);
    assert_memory_equal(text, "a ", 2);
    assert_int_equal(tfm_decoder_finish(decoder, &text, &n, NULL), TFM_OK);
    assert_int_equal(n, 1);
    assert_memory_equal(text, "a", 1);
    tfm_decoder_destroy(decoder);
    assert_int_equal(tfm_detokenize(t, ids, 2, NULL, out, sizeof out, &n, NULL), TFM_OK);
    assert_int_equal(n, 3);
    assert_memory_equal(out, "a a", 3);
    assert_int_equal(tfm_token_bytes(t, 7, &text, &n, NULL), TFM_OK);
    assert_int_equal(n, 2);
    tfm_tokenizer_release(t);
    t = with_decoder("null"); /* a space between tokens */
    assert_int_equal(tfm_detokenize(t, word, 2, NULL, out, sizeof out, &n, NULL), TFM_OK);
    assert_int_equal(n, 3);
    assert_memory_equal(out, "a b", 3);
    options.continued = 1;
    assert_int_equal(tfm_detokenize(t, word, 2, &options, out, sizeof out, &n, NULL), TFM_OK);
    assert_int_equal(n, 4);
    assert_memory_equal(out, " a b", 4);
    tfm_tokenizer_release(t);
}

/* A token is found by what it stands for in the middle of a text, and by its spelling. */
static void test_find(void **state) {
    tfm_tokenizer *t = with_decoder("{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"}");
    (void)state;
    assert_int_equal(tfm_token_find(t, "a ", 2), 7);
    assert_int_equal(tfm_token_find(t, "a</w>", 5), 7);
    assert_int_equal(tfm_token_find(t, "a", 1), 0);
    assert_int_equal(tfm_token_find(t, "a<", 2), -1);
    tfm_tokenizer_release(t);
}

/* raw gives the bytes that tokens stand for, well-formed or not. */
static void test_raw(void **state) {
    tfm_tokenizer *t =
        with_decoder("{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
                     "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}");
    static const tfm_token ids[] = {2, 3, 4, 0};
    tfm_detokenize_options options = TFM_DETOKENIZE_OPTIONS_INIT;
    char out[32];
    size_t n = 0;
    (void)state;
    assert_int_equal(tfm_detokenize(t, ids, 4, NULL, out, sizeof out, &n, NULL), TFM_OK);
    assert_int_equal(n, 7);
    assert_memory_equal(out,
                        "\xef\xbf\xbd\xef\xbf\xbd"
                        "a",
                        7);
    options.raw = 1;
    assert_int_equal(tfm_detokenize(t, ids, 4, &options, out, sizeof out, &n, NULL), TFM_OK);
    assert_int_equal(n, 3);
    assert_memory_equal(out,
                        "\xe4\xbd"
                        "a",
                        3);
    tfm_tokenizer_release(t);
}

/* A decoder whose steps blow a token up is refused, not run out of memory on. */
static void test_growing(void **state) {
    char text[16384];
    size_t n = (size_t)snprintf(
        text, sizeof text,
        "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":0}},\"decoder\":"
        "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"}");
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    for (int i = 0; i < 25; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              ",{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":"
                              "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}");
    snprintf(text + n, sizeof text - n, "]}}");
    assert_int_equal(try_text(text, &error), TFM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "decoder"));
}

/* ---- Memory ---- */

/* Every request refused in turn: an error, nothing kept. */
static void test_refused_memory(void **state) {
    static const char *const names[] = {"bert-uncased.json", "unigram-bytes.json", "prefix-and-suffix.json",
                                        "chain-4.json", "roberta-prefix.json"};
    (void)state;
    for (size_t f = 0; f < sizeof names / sizeof names[0]; f++) {
        char path[300];
        bytes file;
        snprintf(path, sizeof path, "hf/%s", names[f]);
        file = read_fixture(path);
        for (size_t at = 1;; at = at < 60 ? at + 1 : at + at / 8) {
            counter count = {0, at, 0, false};
            tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
            tfm_allocator allocator = TFM_ALLOCATOR_INIT;
            tfm_tokenizer *tokenizer = NULL;
            int32_t rc;
            allocator.realloc = counting_realloc;
            allocator.user = &count;
            options.allocator = &allocator;
            rc = tfm_tokenizer_load_memory(file.data, file.size, &options, &tokenizer, NULL);
            if (rc == TFM_OK) {
                tfm_tokenizer_release(tokenizer);
                assert_int_equal(count.live, 0);
                break;
            }
            assert_int_equal(rc, TFM_E_MEMORY);
            assert_null(tokenizer);
            assert_int_equal(count.live, 0);
        }
        free(file.data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_long_runs),
        cmocka_unit_test(test_last_and_continued),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_refused_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
