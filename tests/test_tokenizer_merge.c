/* Tests of byte-level BPE's fast road against the definition: random vocabularies, whose tokens come in no
 * sensible order and reach across characters, and random texts, in every instruction set, with much and with
 * little memory for remembered pieces; ids and offsets. */
#include "tokenizer_help.h"

#include "base/cpu.h"
#include "tokenizer/internal.h"

static uint64_t random_state;

static uint32_t random_below(uint32_t n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

/* ---- A vocabulary ---- */

#define MOST 900

typedef struct vocabulary {
    uint8_t bytes[MOST][16];
    size_t length[MOST];
    int left[MOST], right[MOST]; /* halves, where listed */
    int count;
} vocabulary;

static const char *const parts[] = {"\xe4\xb8\xad",
                                    "\xe5\x9b\xbd",
                                    "\xe4\xba\xba",
                                    "\xe6\x98\x8e",
                                    "\xe6\x9c\x88",
                                    "\xe5\xb8\xad",
                                    "\xef\xbc\x8c",
                                    "\xe3\x80\x82",
                                    "\xe3\x81\x82",
                                    "a",
                                    "b",
                                    "the",
                                    " ",
                                    "x",
                                    "\xc3\xa9",
                                    "1"};

static int find(const vocabulary *v, const uint8_t *bytes, size_t length) {
    for (int i = 0; i < v->count; i++)
        if (v->length[i] == length && memcmp(v->bytes[i], bytes, length) == 0) return i;
    return -1;
}

/* All bytes, then tokens made of two others each: mostly pieces of what the texts are made of. */
static void make_vocabulary(vocabulary *v, int count) {
    int order[256];
    for (int i = 0; i < 256; i++) order[i] = i;
    for (int i = 255; i > 0; i--) {
        int k = (int)random_below((uint32_t)i + 1), swap = order[i];
        order[i] = order[k];
        order[k] = swap;
    }
    for (int i = 0; i < 256; i++) {
        v->bytes[i][0] = (uint8_t)order[i];
        v->length[i] = 1;
    }
    v->count = 256;
    for (int tries = 0; v->count < count && tries < 200000; tries++) {
        uint8_t text[64];
        size_t n = 0, start, length;
        while (n < 16) {
            const char *part = parts[random_below(sizeof parts / sizeof parts[0])];
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        length = 2 + random_below(random_below(4) ? 5 : 12);
        start = random_below((uint32_t)(n - length));
        if (find(v, text + start, length) >= 0) continue;
        for (size_t cut = 1; cut < length; cut++) {
            int left = find(v, text + start, cut), right = find(v, text + start + cut, length - cut);
            if (left < 0 || right < 0 || random_below(3) == 0) continue;
            memcpy(v->bytes[v->count], text + start, length);
            v->length[v->count] = length;
            v->left[v->count] = left;
            v->right[v->count++] = right;
            break;
        }
    }
}

/* Merges by the definition: the pair of least rank, the leftmost of equals. Ranks are ids; listed: only the
 * two halves that a token was made of merge. */
static size_t merge(const vocabulary *v, bool listed, bool whole, const uint8_t *piece, size_t length,
                    int32_t *ids) {
    size_t n = length, *ends = malloc((length + 1) * sizeof *ends);
    int one = whole ? find(v, piece, length) : -1;
    assert_non_null(ends);
    if (one >= 0) {
        ids[0] = one;
        free(ends);
        return 1;
    }
    for (size_t i = 0; i < length; i++) {
        ids[i] = find(v, piece + i, 1);
        ends[i] = i + 1;
    }
    for (;;) {
        int best = v->count;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            size_t start = i ? ends[i - 1] : 0;
            int made = -1;
            if (listed) {
                for (int t = 256; t < v->count && made < 0; t++)
                    if (v->left[t] == ids[i] && v->right[t] == ids[i + 1]) made = t;
            } else if (ends[i + 1] - start <= 16) {
                made = find(v, piece + start, ends[i + 1] - start);
            }
            if (made >= 0 && made < best) {
                best = made;
                at = i;
            }
        }
        if (best == v->count) break;
        ids[at] = best;
        ends[at] = ends[at + 1];
        for (size_t i = at + 1; i + 1 < n; i++) {
            ids[i] = ids[i + 1];
            ends[i] = ends[i + 1];
        }
        n--;
    }
    free(ends);
    return n;
}

/* ---- Its files ---- */

typedef struct text {
    char *data;
    size_t size, capacity;
} text;

static void put(text *t, const char *data, size_t size) {
    if (t->size + size > t->capacity) {
        t->capacity = 2 * (t->size + size);
        t->data = realloc(t->data, t->capacity);
        assert_non_null(t->data);
    }
    memcpy(t->data + t->size, data, size);
    t->size += size;
}

static void put_text(text *t, const char *data) { put(t, data, strlen(data)); }

/* A rank file. */
static text rank_file(const vocabulary *v) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text out = {NULL, 0, 0};
    for (int i = 0; i < v->count; i++) {
        char rank[16];
        for (size_t k = 0; k < v->length[i]; k += 3) {
            size_t left = v->length[i] - k;
            uint32_t bits = (uint32_t)v->bytes[i][k] << 16 |
                            (left > 1 ? (uint32_t)v->bytes[i][k + 1] << 8 : 0) |
                            (left > 2 ? v->bytes[i][k + 2] : 0);
            char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                            left > 1 ? digits[bits >> 6 & 63] : '=', left > 2 ? digits[bits & 63] : '='};
            put(&out, four, 4);
        }
        snprintf(rank, sizeof rank, " %d\n", i);
        put_text(&out, rank);
    }
    return out;
}

/* A token in the byte alphabet, escaped for JSON. */
static void put_token(text *t, const vocabulary *v, int id) {
    for (size_t k = 0; k < v->length[id]; k++) {
        uint32_t code = 0, c = v->bytes[id][k], n = 0;
        char escaped[8];
        for (uint32_t i = 0; i <= c; i++) {
            bool shown = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;
            code = shown ? i : 256 + n;
            if (!shown) n++;
        }
        snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)code);
        put_text(t, escaped);
    }
}

static text json_file(const vocabulary *v, bool ignore_merges) {
    text out = {NULL, 0, 0};
    char number[32];
    put_text(&out,
             "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"post_processor\":null,"
             "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":false,"
             "\"use_regex\":true},\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
             "\"trim_offsets\":false,\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"ignore_merges\":");
    put_text(&out, ignore_merges ? "true,\"vocab\":{" : "false,\"vocab\":{");
    for (int i = 0; i < v->count; i++) {
        put_text(&out, i ? ",\"" : "\"");
        put_token(&out, v, i);
        snprintf(number, sizeof number, "\":%d", i);
        put_text(&out, number);
    }
    put_text(&out, "},\"merges\":[");
    for (int i = 256; i < v->count; i++) {
        put_text(&out, i > 256 ? ",\"" : "\"");
        put_token(&out, v, v->left[i]);
        put_text(&out, " ");
        put_token(&out, v, v->right[i]);
        put_text(&out, "\"");
    }
    put_text(&out, "]}}");
    return out;
}

/* ---- Comparing ---- */

/* Chinese, words without spaces (so that pieces grow long), or everything. */
static size_t random_text(uint8_t *out, size_t length) {
    static const uint32_t ranges[3][2] = {{0, 9}, {9, 12}, {0, sizeof parts / sizeof parts[0]}};
    const uint32_t *range = ranges[random_below(3)];
    size_t n = 0;
    while (n < length) {
        const char *part =
            random_below(40) == 0 ? "\xe4" : parts[range[0] + random_below(range[1] - range[0])];
        size_t size = strlen(part) < length - n ? strlen(part) : length - n;
        memcpy(out + n, part, size);
        n += size;
    }
    return n;
}

static void compare(const vocabulary *v, const tfm_tokenizer *tokenizer, bool listed, bool whole,
                    int rounds) {
    const tfm__stage *stage = &tokenizer->splitter.stages[0];
    tfm_tokenize_options keep = TFM_TOKENIZE_OPTIONS_INIT;
    tfm_batch_options batch = TFM_BATCH_OPTIONS_INIT;
    keep.invalid_utf8 = TFM_UTF8_KEEP;
    batch.tokenize = &keep;
    batch.want = TFM_WANT_OFFSETS;
    for (int round = 0; round < rounds; round++) {
        size_t length = (size_t)round * 7 % 300, count = 0, expected = 0, end = 0;
        uint8_t *input = malloc(length ? length : 1);
        int32_t *ids = malloc((length + 1) * sizeof *ids), *wanted = malloc((length + 1) * sizeof *ids);
        tfm_text_input one = {(const char *)input, length, NULL, 0};
        tfm_encoding *encoding = NULL;
        tfm_encoding_view view = TFM_ENCODING_VIEW_INIT;
        assert_true(input && ids && wanted);
        length = random_text(input, length);
        for (size_t i = 0; i < length;) {
            size_t piece = tfm__split_next(stage, input + i, length - i);
            expected += merge(v, listed, whole, input + i, piece, wanted + expected);
            i += piece;
        }
        assert_int_equal(
            tfm_tokenize(tokenizer, (const char *)input, length, &keep, ids, length + 1, &count, NULL),
            TFM_OK);
        if (count != expected || (count && memcmp(ids, wanted, count * sizeof *ids) != 0)) {
            for (size_t i = 0; i < length; i++) fprintf(stderr, "\\x%02x", input[i]);
            fail_msg(": %zu ids instead of %zu, or others", count, expected);
        }
        assert_int_equal(tfm_tokenize_batch(tokenizer, &one, 1, &batch, &encoding, NULL), TFM_OK);
        assert_int_equal(tfm_encoding_get(encoding, &view, NULL), TFM_OK);
        assert_int_equal(view.count, count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(view.ids[i], ids[i]);
            assert_int_equal(view.byte_begins[i], end);
            end += v->length[ids[i]];
            assert_int_equal(view.byte_ends[i], end);
        }
        tfm_encoding_destroy(encoding);
        free(input);
        free(ids);
        free(wanted);
    }
}

static void run(int kind) {
    vocabulary *v = malloc(sizeof *v);
    assert_non_null(v);
    random_state = 7 + (uint64_t)kind;
    for (int isa = 0; isa < TFM__ISA_COUNT; isa++) {
        if (!tfm__cpu_has_isa(isa)) continue;
        for (int turn = 0; turn < 6; turn++) {
            tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
            tfm_tokenizer *tokenizer = NULL;
            tfm_error error = TFM_ERROR_INIT;
            text file;
            make_vocabulary(v, 270 + 100 * turn);
            file = kind == 0 ? rank_file(v) : json_file(v, kind == 2);
            options.pattern = kind == 0 ? (turn % 2 ? "cl100k" : "o200k") : NULL;
            options.isa = isa + 1;
            options.cache_bytes = turn == 1 ? (uint64_t)160 << 10 : turn == 2 ? 1 : 0;
            if (tfm_tokenizer_load_memory(file.data, file.size, &options, &tokenizer, &error))
                fail_msg("%s", error.message);
            compare(v, tokenizer, kind != 0, kind != 1, 150);
            tfm_tokenizer_release(tokenizer);
            free(file.data);
        }
    }
    free(v);
}

static void test_ranks(void **state) {
    (void)state;
    run(0);
}

static void test_listed(void **state) {
    (void)state;
    run(1);
}

static void test_whole_first(void **state) {
    (void)state;
    run(2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranks), cmocka_unit_test(test_listed),
                                       cmocka_unit_test(test_whole_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
