/* test_tokenizer_train.c - training and saving: what the originals learn from the same text
 * (tests/data/tokenizer, make_training.py), the same with any number of threads and from a callback, the
 * three formats read back, wrong options, ill-formed text, refused memory, stopping. */
#include "tokenizer_help.h"

#include "base/base.h"
#include "formats/json.h"
#include "tfm/tokenizer_train.h"

#define TEXT FIXTURES "training.txt"

/* ---- What the originals learn
 * ------------------------------------------------------------------------------ */

typedef struct configuration {
    const char *name;
    tfm_tokenizer_train_options options;
} configuration;

static const char *const special[] = {"<s>", "</s>", "<|end of text|>"};
static const char *const twice[] = {"the", "r", "\xc4\xa0of", "in"};
static const char *const control[] = {"<a>", "</s>"};
static const char *const user[] = {"the", "ing"};

#define BYTES(text, ...)                                                                                     \
    {                                                                                                        \
        text, { .struct_size = sizeof(tfm_tokenizer_train_options), __VA_ARGS__ }                            \
    }
#define PIECES(text, ...) BYTES(text, .kind = TFM_TRAIN_SENTENCEPIECE, __VA_ARGS__)

static const configuration configurations[] = {
    BYTES("plain", .vocab_size = 400),
    BYTES("special", .vocab_size = 420, .special_tokens = special, .special_count = 3),
    BYTES("seen", .vocab_size = 400, .alphabet = TFM_TRAIN_ALPHABET_SEEN, .min_frequency = 5),
    BYTES("limit", .vocab_size = 300, .alphabet = TFM_TRAIN_ALPHABET_SEEN, .limit_alphabet = 59),
    BYTES("initial", .vocab_size = 300, .alphabet = TFM_TRAIN_ALPHABET_SEEN,
          .initial_alphabet = (const unsigned char *)"Qq ", .initial_count = 3),
    BYTES("length", .vocab_size = 500, .max_token_length = 5),
    BYTES("prefix", .vocab_size = 400, .add_prefix_space = TFM_YES),
    BYTES("llama3", .vocab_size = 400, .pattern = "llama3"),
    BYTES("qwen2", .vocab_size = 400, .pattern = "qwen2"),
    BYTES("o200k", .vocab_size = 400, .pattern = "o200k"),
    BYTES("whole", .vocab_size = 400, .pattern = ""),
    BYTES("twice", .vocab_size = 400, .special_tokens = twice, .special_count = 4),
    PIECES("spm", .vocab_size = 300),
    PIECES("spm-fallback", .vocab_size = 500, .byte_fallback = TFM_YES, .remove_extra_whitespaces = TFM_NO,
           .split_digits = TFM_YES),
    PIECES("spm-symbols", .vocab_size = 300, .special_tokens = control, .special_count = 2,
           .user_symbols = user, .user_count = 2),
    PIECES("spm-coverage", .vocab_size = 450, .character_coverage = 0.98, .byte_fallback = TFM_YES),
    PIECES("spm-required", .vocab_size = 300, .character_coverage = 0.99,
           .required_chars = "\xf0\x9f\x8c\x8a\xcf\x86"),
    PIECES("spm-sentences", .vocab_size = 300, .split_by_whitespace = TFM_NO, .max_piece_length = 6),
    PIECES("spm-suffix", .vocab_size = 300, .treat_whitespace_as_suffix = TFM_YES),
    PIECES("spm-spaces", .vocab_size = 300, .allow_whitespace_only_pieces = TFM_YES,
           .remove_extra_whitespaces = TFM_NO),
    PIECES("spm-scripts", .vocab_size = 300, .split_by_unicode_script = TFM_NO, .split_by_number = TFM_NO,
           .add_dummy_prefix = TFM_NO),
    PIECES("spm-short", .vocab_size = 300, .max_sentence_length = 60),
};

static tfm_tokenizer *train(const tfm_tokenizer_train_options *options) {
    const char *const files[] = {TEXT};
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer = NULL;
    if (tfm_tokenizer_train(files, 1, options, &tokenizer, &error)) fail_msg("%s", error.message);
    assert_non_null(tokenizer);
    return tokenizer;
}

static int32_t collect(void *arg, const void *data, size_t size) {
    bytes *out = arg;
    out->data = realloc(out->data, out->size + size + 1);
    assert_non_null(out->data);
    memcpy(out->data + out->size, data, size);
    out->size += size;
    return 0;
}

static bytes saved(const tfm_tokenizer *tokenizer, int32_t format) {
    tfm_error error = TFM_ERROR_INIT;
    bytes out = {NULL, 0};
    if (tfm_tokenizer_write(tokenizer, format, collect, &out, &error)) fail_msg("%s", error.message);
    return out;
}

static bool is_pieces(const configuration *c) { return c->options.kind == TFM_TRAIN_SENTENCEPIECE; }

static bytes saved_own(const configuration *c, const tfm_tokenizer *tokenizer) {
    return saved(tokenizer, is_pieces(c) ? TFM_SAVE_SENTENCEPIECE : TFM_SAVE_TOKENIZER_JSON);
}

/* Writes what a saved tokenizer.json holds, as training.tsv has it. */
static void describe_json(const bytes *file, tfm__buffer *out) {
    tfm_error error = TFM_ERROR_INIT;
    tfm__json json;
    tfm__json_value model, list;
    char line[4096], text[512];
    int at;
    size_t id = 0;
    assert_int_equal(tfm__json_parse(&json, out->heap, (const char *)file->data, file->size, "saved", &error),
                     TFM_OK);
    model = tfm__json_get(&json, tfm__json_root(&json), "model");
    list = tfm__json_get(&json, model, "vocab");
    for (tfm__json_value k = tfm__json_first(&json, list); k != TFM__JSON_NONE;
         k = tfm__json_next(&json, list, k)) {
        int64_t value = -1;
        size_t length = tfm__json_unescape(&json, k, text, sizeof text);
        assert_true(tfm__json_i64(&json, tfm__json_member_value(&json, k), &value) && (size_t)value == id++);
        at = sprintf(line, "t ");
        for (size_t i = 0; i < length; i++) at += sprintf(line + at, "%02x", (unsigned char)text[i]);
        at += sprintf(line + at, "\n");
        assert_true(tfm__buffer_append(out, line, (size_t)at));
    }
    list = tfm__json_get(&json, model, "merges");
    for (tfm__json_value m = tfm__json_first(&json, list); m != TFM__JSON_NONE;
         m = tfm__json_next(&json, list, m)) {
        at = sprintf(line, "m");
        for (size_t half = 0; half < 2; half++) {
            size_t length = tfm__json_unescape(&json, tfm__json_at(&json, m, half), text, sizeof text);
            at += sprintf(line + at, " ");
            for (size_t i = 0; i < length; i++) at += sprintf(line + at, "%02x", (unsigned char)text[i]);
        }
        at += sprintf(line + at, "\n");
        assert_true(tfm__buffer_append(out, line, (size_t)at));
    }
    tfm__json_release(&json);
}

/* The same of a .model file: its pieces, fields 1 (text) and 2 (score) of the messages in field 1. */
static void describe_pieces(const bytes *file, tfm__buffer *out) {
    size_t at = 0;
    while (at < file->size && file->data[at] == (1 << 3 | 2)) {
        size_t end = at + 2 + file->data[at + 1], length = file->data[at + 3];
        char line[512];
        int n = sprintf(line, "t ");
        float score;
        assert_true(file->data[at + 1] < 128 && file->data[at + 2] == (1 << 3 | 2));
        for (size_t i = 0; i < length; i++) n += sprintf(line + n, "%02x", file->data[at + 4 + i]);
        assert_int_equal(file->data[at + 4 + length], 2 << 3 | 5);
        memcpy(&score, file->data + at + 5 + length, sizeof score);
        n += sprintf(line + n, " %d\n", (int)score);
        assert_true(tfm__buffer_append(out, line, (size_t)n));
        at = end;
    }
}

static void test_same_as_the_originals(void **state) {
    bytes expected = read_fixture("training.tsv");
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(configurations); i++) {
        const configuration *c = &configurations[i];
        tfm_tokenizer *tokenizer = train(&c->options);
        bytes file = saved_own(c, tokenizer);
        tfm__heap heap;
        tfm__buffer got;
        char name[64];
        const char *begin, *end;
        snprintf(name, sizeof name, "name %s\n", c->name);
        begin = strstr((const char *)expected.data, name);
        if (!begin) fail_msg("training.tsv does not have %s", c->name);
        begin += strlen(name);
        end = strstr(begin, "name ");
        if (!end) end = (const char *)expected.data + expected.size;
        tfm__heap_init(&heap, NULL, 0);
        tfm__buffer_init(&got, &heap);
        (is_pieces(c) ? describe_pieces : describe_json)(&file, &got);
        if (got.size != (size_t)(end - begin) || memcmp(got.data, begin, got.size) != 0) {
            size_t at = 0;
            while (at < got.size && begin + at < end && got.data[at] == (uint8_t)begin[at]) at++;
            fail_msg("%s: other tokens or merges than the original's from byte %zu of %zu (there %zu): %.60s",
                     c->name, at, got.size, (size_t)(end - begin), begin + (at > 30 ? at - 30 : 0));
        }
        tfm__buffer_free(&got);
        free(file.data);
        tfm_tokenizer_release(tokenizer);
    }
    free(expected.data);
}

/* ---- However the work is done
 * ------------------------------------------------------------------------------ */

static void test_threads(void **state) {
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(configurations); i++) {
        const configuration *c = &configurations[i];
        tfm_tokenizer *alone = train(&c->options);
        bytes first = saved_own(c, alone);
        for (uint32_t threads = 2; threads <= 7; threads += 5) {
            tfm_pool_options pool_options = TFM_POOL_OPTIONS_INIT;
            tfm_tokenizer_train_options options = c->options;
            tfm_error error = TFM_ERROR_INIT;
            tfm_tokenizer *other;
            bytes second;
            pool_options.threads = threads;
            assert_int_equal(tfm_pool_create(&pool_options, &options.pool, &error), TFM_OK);
            other = train(&options);
            second = saved_own(c, other);
            assert_int_equal(first.size, second.size);
            assert_memory_equal(first.data, second.data, first.size);
            free(second.data);
            tfm_tokenizer_release(other);
            tfm_pool_destroy(options.pool);
        }
        free(first.data);
        tfm_tokenizer_release(alone);
    }
}

typedef struct lines {
    bytes text;
    size_t at;
    int calls, stop_at; /* stop_at: the call that asks to stop; 0: none */
} lines;

static int32_t next_line(void *arg, const char **text, size_t *length) {
    lines *l = arg;
    const unsigned char *feed;
    if (++l->calls == l->stop_at) return 1;
    *text = l->at < l->text.size ? (const char *)l->text.data + l->at : NULL;
    if (!*text) return 0;
    feed = memchr(l->text.data + l->at, '\n', l->text.size - l->at);
    *length = feed ? (size_t)(feed - l->text.data) + 1 - l->at : l->text.size - l->at;
    l->at += *length;
    return 0;
}

static int32_t all_at_once(void *arg, const char **text, size_t *length) {
    lines *l = arg;
    *text = l->at ? NULL : (const char *)l->text.data;
    *length = l->text.size;
    l->at = l->text.size;
    return 0;
}

/* Lines one by one, all the text cut into lines, and the file are the same; the whole text as one unit is
 * not. */
static void test_callback(void **state) {
    tfm_tokenizer_train_options options = TFM_TOKENIZER_TRAIN_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    bytes text = read_fixture("training.txt"), expected;
    tfm_tokenizer *tokenizer;
    (void)state;
    options.vocab_size = 400;
    tokenizer = train(&options);
    expected = saved(tokenizer, TFM_SAVE_TOKENIZER_JSON);
    tfm_tokenizer_release(tokenizer);
    for (int way = 0; way < 3; way++) {
        lines l = {text, 0, 0, 0};
        bytes got;
        options.unit = way == 1 ? TFM_TRAIN_UNIT_LINE : 0;
        assert_int_equal(
            tfm_tokenizer_train_text(way ? all_at_once : next_line, &l, &options, &tokenizer, &error),
            TFM_OK);
        got = saved(tokenizer, TFM_SAVE_TOKENIZER_JSON);
        assert_int_equal(got.size == expected.size && memcmp(got.data, expected.data, got.size) == 0,
                         way < 2);
        free(got.data);
        tfm_tokenizer_release(tokenizer);
    }
    free(expected.data);
    free(text.data);
}

/* A text of megabytes that is one unit is cut for the threads; that changes nothing. */
static void test_one_long_text(void **state) {
    static const char *const patterns[] = {"gpt2", "cl100k", "o200k"};
    enum { TIMES = 30 };
    bytes text = read_fixture("training.txt"), all = {malloc(TIMES * (text.size + 3)), 0};
    size_t once = text.size + 3;
    (void)state;
    assert_non_null(all.data);
    for (int i = 0; i < TIMES;
         i++, all.size += once) { /* letters around, so that no piece joins two of them */
        all.data[all.size] = 'a';
        memcpy(all.data + all.size + 1, text.data, text.size);
        memcpy(all.data + all.size + 1 + text.size, "b\n", 2);
    }
    for (size_t i = 0; i < TFM__COUNT(patterns); i++) {
        bytes files[2];
        for (int way = 0; way < 2; way++) { /* once, and thirty times on three threads */
            tfm_tokenizer_train_options options = TFM_TOKENIZER_TRAIN_OPTIONS_INIT;
            tfm_pool_options pool = TFM_POOL_OPTIONS_INIT;
            tfm_error error = TFM_ERROR_INIT;
            tfm_tokenizer *tokenizer = NULL;
            lines l = {all, 0, 0, 0};
            pool.threads = way ? 3 : 1;
            assert_int_equal(tfm_pool_create(&pool, &options.pool, &error), TFM_OK);
            options.vocab_size = 500;
            options.pattern = patterns[i];
            if (!way) l.text.size = once; /* the same pieces, thirty times less often: the same merges */
            assert_int_equal(tfm_tokenizer_train_text(all_at_once, &l, &options, &tokenizer, &error), TFM_OK);
            files[way] = saved(tokenizer, TFM_SAVE_TOKENIZER_JSON);
            tfm_tokenizer_release(tokenizer);
            tfm_pool_destroy(options.pool);
        }
        assert_int_equal(files[0].size, files[1].size);
        assert_memory_equal(files[0].data, files[1].data, files[0].size);
        free(files[0].data);
        free(files[1].data);
    }
    free(all.data);
    free(text.data);
}

/* ---- Saved and loaded
 * ---------------------------------------------------------------------------------------- */

static void same_ids(const tfm_tokenizer *a, const tfm_tokenizer *b, const bytes *text) {
    enum { ROOM = 40000 };
    static int32_t ids[2][ROOM];
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    size_t count[2];
    options.parse_special = TFM_SPECIAL_PARSE;
    for (size_t at = 0; at + 190 < text->size;
         at += 83) { /* between characters: formats differ on bad bytes */
        size_t length = 1 + at % 7 * 13;
        const char *part;
        while ((text->data[at] & 0xc0) == 0x80) at++;
        while ((text->data[at + length] & 0xc0) == 0x80) length++;
        part = (const char *)text->data + at;
        if (tfm_tokenize(a, part, length, &options, ids[0], ROOM, &count[0], &error) ||
            tfm_tokenize(b, part, length, &options, ids[1], ROOM, &count[1], &error))
            fail_msg("%s", error.message);
        assert_int_equal(count[0], count[1]);
        assert_memory_equal(ids[0], ids[1], count[0] * sizeof(int32_t));
    }
}

static tfm_tokenizer *loaded(const bytes *file, const char *pattern) {
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer = NULL;
    options.pattern = pattern;
    if (tfm_tokenizer_load_memory(file->data, file->size, &options, &tokenizer, &error))
        fail_msg("%s", error.message);
    return tokenizer;
}

/* Every format that can say it gives the same ids; what was read can be written again, and is the same file.
 */
static void test_formats(void **state) {
    bytes text = read_fixture("training.txt");
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(configurations); i++) {
        const configuration *c = &configurations[i];
        tfm_tokenizer *tokenizer = train(&c->options);
        int formats = 0;
        for (int32_t format = TFM_SAVE_TOKENIZER_JSON; format <= TFM_SAVE_SENTENCEPIECE; format++) {
            tfm_error error = TFM_ERROR_INIT;
            bytes file = {NULL, 0}, again;
            tfm_tokenizer *other;
            int32_t rc = tfm_tokenizer_write(tokenizer, format, collect, &file, &error);
            if (rc) {
                assert_int_equal(rc, TFM_E_UNSUPPORTED);
                assert_null(file.data);
                continue;
            }
            if (format == TFM_SAVE_TIKTOKEN && c->options.pattern && !*c->options.pattern) {
                free(file.data); /* loading it needs a pattern */
                continue;
            }
            formats++;
            other = loaded(&file, c->options.pattern ? c->options.pattern : "gpt2");
            if (format != TFM_SAVE_TIKTOKEN || !c->options.special_count) same_ids(tokenizer, other, &text);
            if (!is_pieces(c) ||
                format != TFM_SAVE_TOKENIZER_JSON) { /* that one is no SentencePiece any more */
                again = saved(other, format);
                assert_int_equal(again.size, file.size);
                assert_memory_equal(again.data, file.data, file.size);
                free(again.data);
            }
            free(file.data);
            tfm_tokenizer_release(other);
        }
        if (strcmp(c->name, "plain") == 0 || strcmp(c->name, "llama3") == 0) assert_int_equal(formats, 3);
        if (strcmp(c->name, "spm-fallback") == 0) assert_int_equal(formats, 3);
        assert_true(formats >= 1);
        tfm_tokenizer_release(tokenizer);
    }
    free(text.data);
}

static void test_save_to_file(void **state) {
    const char *const path = "train-test.json";
    tfm_tokenizer_train_options options = TFM_TOKENIZER_TRAIN_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer;
    bytes in_memory, in_file;
    (void)state;
    options.vocab_size = 300;
    tokenizer = train(&options);
    in_memory = saved(tokenizer, TFM_SAVE_TOKENIZER_JSON);
    assert_int_equal(tfm_tokenizer_save(tokenizer, path, TFM_SAVE_TOKENIZER_JSON, &error), TFM_OK);
    in_file = read_file(path);
    assert_int_equal(in_file.size, in_memory.size);
    assert_memory_equal(in_file.data, in_memory.data, in_memory.size);
    /* what cannot be said leaves the file that is there alone */
    assert_int_equal(tfm_tokenizer_save(tokenizer, path, TFM_SAVE_SENTENCEPIECE, &error), TFM_E_UNSUPPORTED);
    free(in_file.data);
    in_file = read_file(path);
    assert_int_equal(in_file.size, in_memory.size);
    assert_int_equal(tfm_tokenizer_save(tokenizer, path, 9, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenizer_save(tokenizer, "no/such/folder/x.json", TFM_SAVE_TOKENIZER_JSON, &error),
                     TFM_E_NOT_FOUND);
    assert_int_equal(tfm_tokenizer_save(NULL, path, TFM_SAVE_TOKENIZER_JSON, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenizer_write(tokenizer, TFM_SAVE_TOKENIZER_JSON, NULL, NULL, &error),
                     TFM_E_ARGUMENT);
    free(in_file.data);
    free(in_memory.data);
    tfm_tokenizer_release(tokenizer);
    remove(path);
}

static int32_t refuse(void *arg, const void *data, size_t size) {
    (void)data;
    (void)size;
    return *(int *)arg;
}

/* Tokenizers that others made: saved where the format can say the same, refused with a reason where it
 * cannot. */
static void test_loaded(void **state) {
    static const struct {
        const char *name;
        bool json, gguf, ranks, model;
    } rows[] = {
        {"bl-gpt2.json", true, true, false, false},       {"bl-qwen2.json", true, true, false, false},
        {"bl-o200k.json", true, true, false, false},      {"ranks.tiktoken", true, true, true, false},
        {"bl-deepseek.json", false, false, false, false}, {"spm-llama.model", true, true, false, true},
        {"spm-rules.model", false, false, false, true},   {"tokenizer.bin", false, true, false, false},
        {"marks-split.json", false, false, false, false},
    };
    bytes text = read_fixture("training.txt");
    int stop = 1;
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(rows); i++) {
        bytes original = read_fixture(rows[i].name);
        const bool can[] = {rows[i].json, rows[i].gguf, rows[i].ranks, rows[i].model};
        tfm_tokenizer *tokenizer = loaded(&original, "gpt2");
        for (int32_t format = TFM_SAVE_TOKENIZER_JSON; format <= TFM_SAVE_SENTENCEPIECE; format++) {
            tfm_error error = TFM_ERROR_INIT;
            bytes file = {NULL, 0};
            int32_t rc = tfm_tokenizer_write(tokenizer, format, collect, &file, &error);
            if (can[format - 1]) {
                tfm_tokenizer *other;
                if (rc) fail_msg("%s, format %d: %s", rows[i].name, (int)format, error.message);
                other = loaded(&file, "gpt2");
                if (format != TFM_SAVE_TIKTOKEN) same_ids(tokenizer, other, &text);
                tfm_tokenizer_release(other);
                assert_int_equal(tfm_tokenizer_write(tokenizer, format, refuse, &stop, &error),
                                 TFM_E_CANCELLED);
            } else {
                if (rc != TFM_E_UNSUPPORTED)
                    fail_msg("%s, format %d: %d", rows[i].name, (int)format, (int)rc);
                assert_true(error.message[0] != 0);
            }
            free(file.data);
        }
        tfm_tokenizer_release(tokenizer);
        free(original.data);
    }
    free(text.data);
}

/* ---- What goes wrong
 * ------------------------------------------------------------------------------------------- */

static void expect(int32_t code, tfm_tokenizer_train_options options) {
    const char *const files[] = {TEXT};
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer = (tfm_tokenizer *)&error;
    options.struct_size = sizeof options;
    if (tfm_tokenizer_train(files, 1, &options, &tokenizer, &error) != code)
        fail_msg("%d: %s", (int)code, error.message);
    assert_null(tokenizer);
    assert_int_equal(error.code, code);
}

static void test_wrong_options(void **state) {
    static const char *const empty[] = {""}, *const broken[] = {"\xff"}, *const doubled[] = {"<a>", "<a>"};
    const char *const missing[] = {"no-such-file"}, *const null[] = {NULL};
    tfm_tokenizer *tokenizer = NULL;
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
#define OPTIONS(...) ((tfm_tokenizer_train_options){__VA_ARGS__})
    expect(TFM_E_ARGUMENT, OPTIONS(.kind = 7));
    expect(TFM_E_ARGUMENT, OPTIONS(.unit = 3));
    expect(TFM_E_ARGUMENT, OPTIONS(.invalid_utf8 = 9));
    expect(TFM_E_ARGUMENT, OPTIONS(.invalid_utf8 = TFM_UTF8_REPLACE));
    expect(TFM_E_ARGUMENT, OPTIONS(.alphabet = 2));
    expect(TFM_E_ARGUMENT, OPTIONS(.limit_alphabet = 3));
    expect(TFM_E_ARGUMENT, OPTIONS(.initial_count = 3));
    expect(TFM_E_ARGUMENT, OPTIONS(.special_count = 1));
    expect(TFM_E_ARGUMENT, OPTIONS(.special_tokens = empty, .special_count = 1));
    expect(TFM_E_ARGUMENT, OPTIONS(.special_tokens = broken, .special_count = 1));
    expect(TFM_E_ARGUMENT, OPTIONS(.add_prefix_space = TFM_YES, .pattern = "llama3"));
    expect(TFM_E_ARGUMENT, OPTIONS(.pattern = "\xff"));
    expect(TFM_E_ARGUMENT, OPTIONS(.vocab_size = SIZE_MAX));
    expect(TFM_E_ARGUMENT, OPTIONS(.kind = TFM_TRAIN_SENTENCEPIECE, .character_coverage = 0.5));
    expect(TFM_E_ARGUMENT, OPTIONS(.kind = TFM_TRAIN_SENTENCEPIECE, .max_piece_length = 600));
    expect(TFM_E_ARGUMENT, OPTIONS(.kind = TFM_TRAIN_SENTENCEPIECE, .max_sentence_length = 2));
    expect(TFM_E_ARGUMENT, OPTIONS(.kind = TFM_TRAIN_SENTENCEPIECE, .byte_fallback = 4));
    expect(TFM_E_ARGUMENT, OPTIONS(.kind = TFM_TRAIN_SENTENCEPIECE, .required_chars = "a b"));
    expect(TFM_E_ARGUMENT, OPTIONS(.kind = TFM_TRAIN_SENTENCEPIECE, .invalid_utf8 = TFM_UTF8_KEEP));
    expect(TFM_E_ARGUMENT,
           OPTIONS(.kind = TFM_TRAIN_SENTENCEPIECE, .user_symbols = doubled, .user_count = 2));
    expect(TFM_E_ARGUMENT,
           OPTIONS(.kind = TFM_TRAIN_SENTENCEPIECE, .vocab_size = 20)); /* fewer than characters */
    expect(TFM_E_FORMAT, OPTIONS(.kind = TFM_TRAIN_SENTENCEPIECE, .vocab_size = 100000));
    assert_int_equal(tfm_tokenizer_train(missing, 1, NULL, &tokenizer, &error), TFM_E_NOT_FOUND);
    assert_int_equal(tfm_tokenizer_train(null, 1, NULL, &tokenizer, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenizer_train(NULL, 1, NULL, &tokenizer, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenizer_train_text(NULL, NULL, NULL, &tokenizer, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_tokenizer_train(missing, 1, NULL, NULL, &error), TFM_E_ARGUMENT);
}

/* No text at all: the alphabet, or nothing but symbols. A soft limit on a text that is used up. */
static void test_little_text(void **state) {
    tfm_tokenizer_train_options options = TFM_TOKENIZER_TRAIN_OPTIONS_INIT;
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer;
    lines nothing = {{(unsigned char *)"", 0}, 0, 0, 0};
    (void)state;
    assert_int_equal(tfm_tokenizer_train(NULL, 0, NULL, &tokenizer, &error), TFM_OK);
    assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, &error), TFM_OK);
    assert_int_equal(info.vocab_size, 256);
    tfm_tokenizer_release(tokenizer);
    options.kind = TFM_TRAIN_SENTENCEPIECE;
    options.hard_vocab_limit = TFM_NO;
    options.byte_fallback = TFM_YES;
    assert_int_equal(tfm_tokenizer_train_text(next_line, &nothing, &options, &tokenizer, &error), TFM_OK);
    assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, &error), TFM_OK);
    assert_int_equal(info.vocab_size, 259);
    tfm_tokenizer_release(tokenizer);
    tokenizer = train(&options);
    assert_int_equal(tfm_tokenizer_get_info(tokenizer, &info, &error), TFM_OK);
    assert_in_range(info.vocab_size, 300, 2000);
    tfm_tokenizer_release(tokenizer);
}

/* The place of the first bad byte is told, whoever meets which; kept on demand. */
static void test_ill_formed(void **state) {
    enum { SIZE = 3000000, BAD = 1234567 };
    tfm_tokenizer_train_options options = TFM_TOKENIZER_TRAIN_OPTIONS_INIT;
    tfm_pool_options pool = TFM_POOL_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer = NULL;
    bytes text = {malloc(SIZE), SIZE};
    (void)state;
    assert_non_null(text.data);
    for (size_t i = 0; i < SIZE; i++) text.data[i] = i % 61 == 60 ? '\n' : (unsigned char)('a' + i * i % 7);
    for (size_t i = BAD; i < SIZE; i += 300007) text.data[i] = 0xff;
    pool.threads = 3;
    assert_int_equal(tfm_pool_create(&pool, &options.pool, &error), TFM_OK);
    options.unit = TFM_TRAIN_UNIT_LINE;
    options.vocab_size = 270;
    for (int kind = 0; kind < 2; kind++) {
        lines l = {text, 0, 0, 0};
        options.kind = kind;
        options.invalid_utf8 = kind ? TFM_UTF8_REFUSE : TFM_DEFAULT;
        assert_int_equal(tfm_tokenizer_train_text(all_at_once, &l, &options, &tokenizer, &error),
                         TFM_E_FORMAT);
        assert_int_equal(error.offset, BAD);
    }
    for (int kind = 0; kind < 2; kind++) {
        lines l = {text, 0, 0, 0};
        options.kind = kind;
        options.invalid_utf8 = kind ? TFM_UTF8_REPLACE : TFM_UTF8_KEEP;
        options.hard_vocab_limit = TFM_NO;
        assert_int_equal(tfm_tokenizer_train_text(all_at_once, &l, &options, &tokenizer, &error), TFM_OK);
        tfm_tokenizer_release(tokenizer);
    }
    tfm_pool_destroy(options.pool);
    free(text.data);
}

typedef struct report {
    uint64_t done, total, calls, stop_at;
} report;

static int32_t watch(void *arg, uint64_t done, uint64_t total) {
    report *r = arg;
    assert_true(done >= r->done || total == 0);
    if (total) assert_true(done <= total);
    r->done = done;
    r->total = total;
    return ++r->calls == r->stop_at;
}

static void test_progress_and_stopping(void **state) {
    const char *const files[] = {TEXT};
    tfm_tokenizer_train_options options = TFM_TOKENIZER_TRAIN_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer = NULL;
    tfm_cancel *cancel = NULL;
    report r = {0, 0, 0, 0};
    bytes text = read_fixture("training.txt");
    (void)state;
    options.vocab_size = 400;
    options.progress = watch;
    options.progress_user = &r;
    assert_int_equal(tfm_tokenizer_train(files, 1, &options, &tokenizer, &error), TFM_OK);
    assert_int_equal(r.done, r.total);
    assert_int_equal(r.total, 2 * text.size);
    tfm_tokenizer_release(tokenizer);
    for (uint64_t stop_at = 1; stop_at <= r.calls; stop_at++) {
        report s = {0, 0, 0, stop_at};
        options.progress_user = &s;
        int32_t status = tfm_tokenizer_train(files, 1, &options, &tokenizer, &error);
        if (s.calls < stop_at) { /* reports come at intervals: a faster run has fewer */
            assert_int_equal(status, TFM_OK);
            tfm_tokenizer_release(tokenizer);
            break;
        }
        assert_int_equal(status, TFM_E_CANCELLED);
        assert_null(tokenizer);
    }
    options.progress = NULL;
    for (int stop_at = 1; stop_at < 50; stop_at += 7) {
        lines l = {text, 0, 0, stop_at};
        assert_int_equal(tfm_tokenizer_train_text(next_line, &l, &options, &tokenizer, &error),
                         TFM_E_CANCELLED);
    }
    assert_int_equal(tfm_cancel_create(NULL, &cancel, &error), TFM_OK);
    tfm_cancel_set(cancel);
    options.cancel = cancel;
    assert_int_equal(tfm_tokenizer_train(files, 1, &options, &tokenizer, &error), TFM_E_CANCELLED);
    tfm_cancel_destroy(cancel);
    free(text.data);
}

/* Every request for memory refused in turn, once and from then on: an error, and all of it given back. */
static void test_refused_memory(void **state) {
    static const char text[] = "river rivers riverside the river the rivers the riverside of the rivers\n"
                               "a piece of more than fifteen bytes: abcdefghijklmnopqrstuvwxyz0123456789\n";
    (void)state;
    for (int round = 0; round < 4; round++) {
        for (size_t n = 1;; n++) {
            counter memory = {.fail_at = n, .once = round & 1};
            tfm_allocator allocator = {sizeof allocator, &memory, counting_realloc};
            tfm_tokenizer_train_options options = TFM_TOKENIZER_TRAIN_OPTIONS_INIT;
            tfm_error error = TFM_ERROR_INIT;
            tfm_tokenizer *tokenizer = NULL;
            lines l = {{(unsigned char *)(uintptr_t)text, sizeof text - 1}, 0, 0, 0};
            bytes file = {NULL, 0};
            int32_t rc;
            options.kind = round / 2;
            options.vocab_size = round / 2 ? 60 : 280;
            options.allocator = &allocator;
            rc = tfm_tokenizer_train_text(next_line, &l, &options, &tokenizer, &error);
            if (rc == TFM_OK)
                rc = tfm_tokenizer_write(tokenizer, options.kind ? TFM_SAVE_SENTENCEPIECE : TFM_SAVE_TIKTOKEN,
                                         collect, &file, &error);
            tfm_tokenizer_release(tokenizer);
            free(file.data);
            assert_int_equal(memory.live, 0);
            if (memory.requests < n) {
                assert_int_equal(rc, TFM_OK);
                break;
            }
            if (rc != TFM_OK && rc != TFM_E_MEMORY)
                fail_msg("request %zu: %d, %s", n, (int)rc, error.message);
        }
    }
}

static void test_budget(void **state) {
    (void)state;
    expect(TFM_E_BUDGET, OPTIONS(.vocab_size = 400, .byte_budget = 100000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_the_originals),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_callback),
        cmocka_unit_test(test_one_long_text),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_save_to_file),
        cmocka_unit_test(test_loaded),
        cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_little_text),
        cmocka_unit_test(test_ill_formed),
        cmocka_unit_test(test_progress_and_stopping),
        cmocka_unit_test(test_refused_memory),
        cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
