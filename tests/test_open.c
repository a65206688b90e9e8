/* test_open.c - the ways of opening a model: a path, memory at any alignment, a host's source with and
 * without a map, sources that fail; progress and cancelling; what is said about a model once it is open;
 * structs of other versions. */
#include "tiny_model.h"

typedef struct host_file {
    tiny_file file;
    int reads, maps, opens, closes;
    int fail_read; /* the read that fails, from 1 */
    bool no_map;   /* the map gives NULL */
} host_file;

static uint64_t size_of(void *user) { return ((host_file *)user)->file.size; }
static int32_t read_at(void *user, uint64_t offset, void *buffer, size_t count) {
    host_file *h = user;
    assert_int_equal(h->closes, 0);
    assert_true(offset <= h->file.size && count <= h->file.size - offset);
    if (++h->reads == h->fail_read) return 5;
    memcpy(buffer, h->file.data + offset, count);
    return 0;
}
static const void *map_it(void *user) {
    host_file *h = user;
    h->maps++;
    return h->no_map ? NULL : h->file.data;
}
static int32_t open_none(void *user, const char *name, tfm_source *out) {
    (void)name;
    (void)out;
    ((host_file *)user)->opens++;
    return 1;
}
static void close_it(void *user) { ((host_file *)user)->closes++; }

static tfm_source source_of(host_file *h, bool map) {
    tfm_source source = TFM_SOURCE_INIT;
    source.user = h;
    source.size = size_of;
    source.read_at = read_at;
    source.map = map ? map_it : NULL;
    source.open = open_none;
    source.close = close_it;
    return source;
}

/* The logits after some tokens. */
static void answer(tfm_model *model, float *out) {
    tfm_session *session = NULL;
    tfm_token ids[5] = {1, 50, 150, 250, 299};
    const float *logits;
    assert_int_equal(tfm_session_create(model, NULL, &session, NULL), TFM_OK);
    tiny_feed(session, ids, 5);
    assert_int_equal(tfm_logits(session, 0, &logits, NULL, NULL), TFM_OK);
    memcpy(out, logits, TINY_VOCAB * sizeof *out);
    tfm_session_destroy(session);
}

static void expect_answer(tfm_model *model, const float *expected) {
    float out[TINY_VOCAB];
    answer(model, out);
    assert_memory_equal(out, expected, sizeof out);
}

/* Weights and metadata at every alignment, for every kernel of this processor. */
static void test_unaligned(void **state) {
    (void)state;
    static const uint32_t types[] = {TFM__F32, TFM__F16, TFM__Q8_0};
    for (size_t i = 0; i < TFM__COUNT(types); i++) {
        tiny t = tiny_open(&(tiny_spec){.type = types[i]}, NULL);
        float expected[TINY_VOCAB];
        answer(t.model, expected);
        for (size_t shift = 1; shift <= 9; shift += shift < 4 ? 1 : 5)
            for (int32_t isa = TFM_ISA_BEST; isa <= TFM_ISA_NEON_DOTPROD; isa++) {
                static const char *const names[] = {"portable", "portable", "avx2",
                                                    "avx512",   "neon",     "neon-dotprod"};
                tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
                tfm_model *model = NULL;
                uint8_t *moved = malloc(t.file.size + shift);
                assert_non_null(moved);
                memcpy(moved + shift, t.file.data, t.file.size);
                options.isa = isa;
                int32_t status = tfm_model_load_memory(moved + shift, t.file.size, &options, &model, NULL);
                assert_int_equal(status, tfm_capability(names[isa]) ? TFM_OK : TFM_E_UNSUPPORTED);
                if (model) expect_answer(model, expected);
                tfm_model_release(model);
                free(moved);
            }
        tiny_close(&t);
    }
}

static void test_sources(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    float expected[TINY_VOCAB];
    answer(t.model, expected);
    for (int way = 0; way < 4;
         way++) { /* read only, mapped, a map that gives nothing, mapped but to be read */
        host_file h = {.file = t.file, .no_map = way == 2};
        tfm_source source = source_of(&h, way > 0);
        tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
        tfm_model *model = NULL;
        options.read_into_memory = way == 3;
        assert_int_equal(tfm_model_load_source(&source, &options, &model, NULL), TFM_OK);
        memset(&source, 0, sizeof source); /* it was copied */
        assert_int_equal(h.maps, way == 1 || way == 2);
        assert_true((h.reads > 0) == (way != 1));
        assert_true(way == 1 ? tfm_model_bytes(model) < t.file.size : tfm_model_bytes(model) > t.file.size);
        expect_answer(model, expected);
        assert_true(h.closes <= 1);
        if (way == 1) assert_int_equal(h.closes, 0); /* its memory is still in use */
        tfm_model_release(model);
        assert_int_equal(h.closes, 1);
    }
    tiny_close(&t);
}

/* Closed exactly once whatever goes wrong. */
static void test_source_errors(void **state) {
    (void)state;
    tiny_file file = tiny_make(NULL), broken = tiny_make(NULL);
    broken.data[4] = 77; /* a version of the future */
    static const struct {
        int32_t status;
        int fail_read;
        bool broken, map, no_out, no_read, no_size, cancelled, tail;
        int32_t isa;
    } cases[] = {
        {.status = TFM_E_IO, .fail_read = 1},
        {.status = TFM_E_UNSUPPORTED, .broken = true},
        {.status = TFM_E_UNSUPPORTED, .broken = true, .map = true},
        {.status = TFM_E_ARGUMENT, .no_out = true},
        {.status = TFM_E_ARGUMENT, .no_read = true},
        {.status = TFM_E_ARGUMENT, .no_size = true},
        {.status = TFM_E_ARGUMENT, .isa = 9},
        {.status = TFM_E_ARGUMENT, .tail = true},
        {.status = TFM_E_CANCELLED, .cancelled = true},
    };
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        host_file h = {.file = cases[i].broken ? broken : file, .fail_read = cases[i].fail_read};
        tfm_source source = source_of(&h, cases[i].map);
        struct {
            tfm_model_options known;
            uint64_t later;
        } options = {TFM_MODEL_OPTIONS_INIT, 1};
        tfm_model *model = (tfm_model *)&h;
        tfm_cancel *cancel = NULL;
        tfm_error error = TFM_ERROR_INIT;
        assert_int_equal(tfm_cancel_create(NULL, &cancel, NULL), TFM_OK);
        if (cases[i].cancelled) tfm_cancel_set(cancel);
        if (cases[i].no_read) source.read_at = NULL;
        if (cases[i].no_size) source.size = NULL;
        if (cases[i].tail) options.known.struct_size = sizeof options;
        options.known.isa = cases[i].isa;
        options.known.cancel = cancel;
        int32_t status =
            tfm_model_load_source(&source, &options.known, cases[i].no_out ? NULL : &model, &error);
        assert_int_equal(status, cases[i].status);
        assert_int_equal(error.code, status);
        if (!cases[i].no_out) assert_null(model);
        assert_int_equal(h.closes, 1);
        tfm_cancel_destroy(cancel);
    }
    tfm_model *model = NULL;
    tfm_source refused = TFM_SOURCE_INIT;
    refused.struct_size = 3;
    assert_int_equal(tfm_model_load_source(NULL, NULL, &model, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_model_load_source(&refused, NULL, &model, NULL), TFM_E_ARGUMENT);
    free(file.data);
    free(broken.data);
}

typedef struct counter {
    uint64_t last;
    int calls;
} counter;

static int32_t count_up(void *user, uint64_t done, uint64_t total) {
    counter *c = user;
    assert_true(done >= c->last && done <= total);
    c->last = done;
    c->calls++;
    return 0;
}

/* By path: mapped and read, without and with somebody looking on. */
static void test_paths(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    char path[] = "test_open_model.tmp"; /* in the folder of the build */
    FILE *f = fopen(path, "wb");
    float expected[TINY_VOCAB];
    tfm_error error = TFM_ERROR_INIT;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_model *model = NULL;
    assert_non_null(f);
    assert_int_equal(fwrite(t.file.data, 1, t.file.size, f), t.file.size);
    assert_int_equal(fclose(f), 0);
    answer(t.model, expected);
    assert_int_equal(tfm_model_load(path, NULL, &model, &error), TFM_OK);
    assert_true(tfm_model_bytes(model) < t.file.size); /* mapped bytes are not counted */
    expect_answer(model, expected);
    tfm_model_release(model);
    counter c = {0};
    options.read_into_memory = 1;
    options.progress = count_up;
    options.progress_user = &c;
    assert_int_equal(tfm_model_load(path, &options, &model, &error), TFM_OK);
    assert_int_equal(remove(path), 0); /* it is not needed any more */
    assert_true(tfm_model_bytes(model) > t.file.size);
    assert_true(c.calls >= 1);
    assert_int_equal(c.last, t.file.size);
    expect_answer(model, expected);
    tfm_model_release(model);
    model = (tfm_model *)&t;
    assert_int_equal(tfm_model_load(path, NULL, &model, &error), TFM_E_NOT_FOUND);
    assert_null(model);
    assert_string_equal(error.file, path);
    assert_int_equal(tfm_model_load("", NULL, &model, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_model_load(NULL, NULL, &model, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_model_load(path, NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_model_load_memory(NULL, 10, NULL, &model, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_model_load_memory(path, 0, NULL, &model, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_model_load_memory(path, 5, NULL, NULL, &error), TFM_E_ARGUMENT);
    options = (tfm_model_options)TFM_MODEL_OPTIONS_INIT;
    options.isa = -1;
    assert_int_equal(tfm_model_load_memory(t.file.data, t.file.size, &options, &model, &error),
                     TFM_E_ARGUMENT);
    tiny_close(&t);
}

static void count_log(void *user, int32_t level, const char *text) {
    assert_true(level == TFM_LOG_INFO || level == TFM_LOG_WARNING);
    assert_null(strchr(text, '\n'));
    if (strstr(text, "tokenizer")) ++*(int *)user;
}

/* A model without a tokenizer is a model: the lack is said in the log, and not in the error. */
static void test_no_tokenizer(void **state) {
    (void)state;
    int lines = 0;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT, untouched = TFM_ERROR_INIT;
    tiny_file file = tiny_make(&(tiny_spec){.no_tokenizer = true});
    tfm_model *model = NULL;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    options.log = count_log;
    options.log_user = &lines;
    assert_int_equal(tfm_model_load_memory(file.data, file.size, &options, &model, &error), TFM_OK);
    assert_memory_equal(&error, &untouched, sizeof error);
    assert_true(lines >= 1);
    assert_null(tfm_tokenizer_of(model));
    assert_int_equal(tfm_model_get_info(model, &info, NULL), TFM_OK);
    assert_int_equal(info.has_tokenizer, 0);
    tfm_model_release(model);
    free(file.data);
}

/* The same numbers whole, in pieces cut anywhere, and as rows of tokens; for types with and without blocks.
 */
static void test_tensor_read(void **state) {
    static const uint32_t types[] = {TFM__F32, TFM__F16, TFM__Q8_0};
    (void)state;
    for (size_t k = 0; k < TFM__COUNT(types); k++) {
        tiny t = tiny_open(&(tiny_spec){.type = types[k]}, NULL);
        tfm_tensor_info tensor = TFM_TENSOR_INFO_INIT;
        tfm_error error = TFM_ERROR_INIT;
        size_t embedding = SIZE_MAX, output = SIZE_MAX, width = 0;
        for (size_t i = 0; i < tfm_model_tensor_count(t.model); i++) {
            assert_int_equal(tfm_model_tensor(t.model, i, &tensor, &error), TFM_OK);
            if (!strcmp(tensor.name, "token_embd.weight")) embedding = i;
            if (!strcmp(tensor.name, "output.weight")) output = i;
        }
        assert_true(embedding != SIZE_MAX && output != SIZE_MAX);
        static float whole[TINY_VOCAB * 32], piece[TINY_VOCAB * 32], row[33];
        const size_t every = TINY_VOCAB * 32;
        assert_int_equal(tfm_model_tensor_read(t.model, embedding, 0, every, whole, &error), TFM_OK);
        bool varied = false;
        for (size_t i = 1; i < every; i++) varied = varied || whole[i] != whole[0];
        assert_true(varied);
        for (size_t first = 0; first < 70; first++) {
            assert_int_equal(tfm_model_tensor_read(t.model, embedding, first, 101, piece, &error), TFM_OK);
            assert_memory_equal(piece, whole + first, 101 * sizeof(float));
        }
        assert_int_equal(tfm_model_tensor_read(t.model, embedding, every, 0, piece, &error), TFM_OK);
        for (int32_t token = 0; token < TINY_VOCAB; token++) {
            row[32] = 7;
            assert_int_equal(
                tfm_token_embedding(t.model, token, TFM_EMBEDDING_INPUT, row, 32, &width, &error), TFM_OK);
            assert_int_equal(width, 32);
            assert_memory_equal(row, whole + token * 32, 32 * sizeof(float));
            assert_true(row[32] == 7);
        }
        assert_int_equal(tfm_model_tensor_read(t.model, output, 32, 32, piece, &error), TFM_OK);
        assert_int_equal(tfm_token_embedding(t.model, 1, TFM_EMBEDDING_OUTPUT, row, 32, NULL, &error),
                         TFM_OK);
        assert_memory_equal(row, piece, 32 * sizeof(float));

        assert_int_equal(tfm_token_embedding(t.model, 1, TFM_EMBEDDING_INPUT, row, 31, &width, &error),
                         TFM_E_BUFFER);
        assert_int_equal(tfm_token_embedding(t.model, -1, TFM_EMBEDDING_INPUT, row, 32, NULL, &error),
                         TFM_E_ARGUMENT);
        assert_int_equal(tfm_token_embedding(t.model, TINY_VOCAB, TFM_EMBEDDING_INPUT, row, 32, NULL, &error),
                         TFM_E_ARGUMENT);
        assert_int_equal(tfm_token_embedding(t.model, 1, 2, row, 32, NULL, &error), TFM_E_ARGUMENT);
        assert_int_equal(tfm_token_embedding(NULL, 1, TFM_EMBEDDING_INPUT, row, 32, NULL, &error),
                         TFM_E_ARGUMENT);
        assert_int_equal(tfm_model_tensor_read(t.model, embedding, every, 1, piece, &error), TFM_E_ARGUMENT);
        assert_non_null(strstr(error.tensor, "token_embd.weight"));
        assert_int_equal(tfm_model_tensor_read(t.model, embedding, UINT64_MAX, 2, piece, &error),
                         TFM_E_ARGUMENT);
        assert_int_equal(tfm_model_tensor_read(t.model, SIZE_MAX, 0, 1, piece, &error), TFM_E_ARGUMENT);
        assert_int_equal(tfm_model_tensor_read(t.model, embedding, 0, 1, NULL, &error), TFM_E_ARGUMENT);
        assert_int_equal(tfm_model_tensor_read(NULL, 0, 0, 1, piece, &error), TFM_E_ARGUMENT);
        tiny_close(&t);
    }
}

static void test_info(void **state) {
    (void)state;
    tiny t = tiny_open(&(tiny_spec){.type = TFM__F16}, NULL);
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    tfm_tensor_info tensor = TFM_TENSOR_INFO_INIT;
    tfm_error error = TFM_ERROR_INIT;
    uint64_t parameters = 0, bytes = 0;
    assert_int_equal(tfm_model_get_info(t.model, &info, &error), TFM_OK);
    assert_string_equal(info.family, "llama");
    assert_string_equal(info.name, "tiny");
    assert_string_equal(info.format, "gguf");
    assert_string_equal(info.weights, "F16");
    assert_int_equal(tfm_capability(info.isa), 1);
    assert_int_equal(info.layers, 2);
    assert_int_equal(info.width, 32);
    assert_int_equal(info.heads, 4);
    assert_int_equal(info.kv_heads, 2);
    assert_int_equal(info.head_dim, 8);
    assert_int_equal(info.feed_forward, 48);
    assert_int_equal(info.vocab_size, TINY_VOCAB);
    assert_int_equal(info.context, 256);
    assert_int_equal(info.has_tokenizer, 1);
    assert_int_equal(info.kv_bytes_per_token, 2 * 2 * (8 + 8) * 2);
    assert_int_equal(tfm_model_tensor_count(t.model), 2 * 9 + 3);
    for (size_t i = 0; i < tfm_model_tensor_count(t.model); i++) {
        assert_int_equal(tfm_model_tensor(t.model, i, &tensor, &error), TFM_OK);
        uint64_t count = tensor.shape[0] * (tensor.dims == 2 ? tensor.shape[1] : 1);
        assert_int_equal(tensor.bytes, count * (strcmp(tensor.type, "F32") ? 2 : 4));
        assert_string_equal(tensor.type, tensor.dims == 2 ? "F16" : "F32");
        parameters += count;
        bytes += tensor.bytes;
    }
    assert_int_equal(info.parameters, parameters);
    assert_int_equal(info.weight_bytes, bytes);
    assert_string_equal(tensor.name, "output.weight");
    assert_int_equal(tensor.shape[0], TINY_VOCAB);
    assert_int_equal(tensor.shape[1], 32);
    assert_int_equal(tfm_model_tensor(t.model, tfm_model_tensor_count(t.model), &tensor, &error),
                     TFM_E_ARGUMENT);
    assert_int_equal(tfm_model_tensor(NULL, 0, &tensor, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_model_tensor(t.model, 0, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_model_get_info(NULL, &info, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_model_get_info(t.model, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_model_tensor_count(NULL), 0);
    assert_null(tfm_tokenizer_of(NULL));
    tiny_close(&t);
}

/* Option and information structs of other versions of the header. */
static void test_struct_sizes(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = NULL;
    struct {
        tfm_session_options known;
        uint8_t later[24];
    } options = {TFM_SESSION_OPTIONS_INIT, {0}};
    options.known.context = 77;
    options.known.struct_size = sizeof options;
    assert_int_equal(tfm_session_create(t.model, &options.known, &session, NULL), TFM_OK); /* newer, unused */
    assert_int_equal(tfm_session_context(session), 77);
    tfm_session_destroy(session);
    options.later[23] = 1;
    tfm_error error = TFM_ERROR_INIT;
    assert_int_equal(tfm_session_create(t.model, &options.known, &session, &error),
                     TFM_E_ARGUMENT); /* newer, used */
    assert_null(session);
    options.known.struct_size =
        offsetof(tfm_session_options, batch); /* older: what lies behind does not count */
    options.known.batch = UINT32_MAX;
    assert_int_equal(tfm_session_create(t.model, &options.known, &session, NULL), TFM_OK);
    assert_int_equal(tfm_session_context(session), 77);
    tfm_session_destroy(session);
    options.known.struct_size = 0;
    assert_int_equal(tfm_session_create(t.model, &options.known, &session, &error), TFM_E_ARGUMENT);
    options.known.struct_size = SIZE_MAX;
    assert_int_equal(tfm_session_create(t.model, &options.known, &session, &error), TFM_E_ARGUMENT);

    uint8_t small[sizeof(size_t) + 32]; /* an info of the first version: only the family fits */
    memset(small, 0x55, sizeof small);
    size_t size = sizeof(size_t) + 16;
    memcpy(small, &size, sizeof size);
    assert_int_equal(tfm_model_get_info(t.model, (tfm_model_info *)(void *)small, &error), TFM_OK);
    assert_string_equal((char *)small + sizeof(size_t), "llama");
    for (size_t i = size; i < sizeof small; i++) assert_int_equal(small[i], 0x55);
    size = 4;
    memcpy(small, &size, sizeof size);
    assert_int_equal(tfm_model_get_info(t.model, (tfm_model_info *)(void *)small, &error), TFM_E_ARGUMENT);
    tiny_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unaligned),     cmocka_unit_test(test_sources),
        cmocka_unit_test(test_source_errors), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_no_tokenizer),  cmocka_unit_test(test_tensor_read),
        cmocka_unit_test(test_info),          cmocka_unit_test(test_struct_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
