/* test_llama2c.c - reading llama2.c checkpoints (src/formats/llama2c.c): three versions, shared and separate
 * classifiers, exact sizes, damage. The numbers are those of tests/data/formats/make_fixtures.py. */
#include "formats_help.h"

enum { DIM = 8, HIDDEN = 12, LAYERS = 2, KV = 4, VOCAB = 10, GROUP = 4 };

/* The fixtures' weights: name, rows (0: a vector), columns, salt of the first layer; per layer: salt + layer.
 */
static const struct weight {
    const char *name;
    size_t rows, columns, salt;
    bool layered, classifier;
} weights[] = {
    {"token_embd.weight", VOCAB, DIM, 1, false, false}, {"output_norm.weight", 0, DIM, 2, false, false},
    {"output.weight", VOCAB, DIM, 3, false, true},      {"attn_norm.weight", 0, DIM, 20, true, false},
    {"ffn_norm.weight", 0, DIM, 22, true, false},       {"attn_q.weight", DIM, DIM, 24, true, false},
    {"attn_k.weight", KV, DIM, 26, true, false},        {"attn_v.weight", KV, DIM, 28, true, false},
    {"attn_output.weight", DIM, DIM, 30, true, false},  {"ffn_gate.weight", HIDDEN, DIM, 32, true, false},
    {"ffn_down.weight", DIM, HIDDEN, 34, true, false},  {"ffn_up.weight", HIDDEN, DIM, 36, true, false},
};

static void check_weight(const tfm__container *c, const struct weight *w, size_t layer) {
    char name[64];
    const tfm__tensor *t;
    size_t n = (w->rows ? w->rows : 1) * w->columns, salt = w->salt + layer;
    if (w->layered)
        snprintf(name, sizeof name, "blk.%u.%s", (unsigned)layer, w->name);
    else
        snprintf(name, sizeof name, "%s", w->name);
    t = tfm__container_tensor(c, name);
    if (!t) fail_msg("%s is not there", name);
    assert_int_equal(t->type, TFM__F32);
    assert_int_equal(t->dims, w->rows ? 2 : 1);
    assert_int_equal(t->shape[0], w->rows ? w->rows : w->columns);
    if (w->rows) assert_int_equal(t->shape[1], w->columns);
    assert_int_equal(t->bytes, 4 * n);
    for (size_t i = 0; i < n; i++) {
        float got = tfm__f32_le(t->data + 4 * i), want;
        if (c->llama2c.version == 2 && w->rows)
            want = (float)((int)((i * 5 + salt) % 255) - 127) * ((float)((i / GROUP + salt) % 7) / 1024.0f);
        else
            want = fixture_value(i, salt);
        if (got != want) fail_msg("%s[%zu] is %g, not %g", name, i, (double)got, (double)want);
    }
}

static void check_file(const char *path, int version, bool shared) {
    tfm__heap heap;
    tfm__container c;
    tfm_error error = TFM_ERROR_INIT;
    size_t count = 0;
    tfm__heap_init(&heap, NULL, 0);
    if (open_path(&heap, path, &c, &error)) fail_msg("%s", error.message);
    assert_int_equal(c.format, TFM__FORMAT_LLAMA2C);
    assert_int_equal(c.llama2c.version, version);
    assert_int_equal(c.llama2c.dim, DIM);
    assert_int_equal(c.llama2c.hidden_dim, HIDDEN);
    assert_int_equal(c.llama2c.layers, LAYERS);
    assert_int_equal(c.llama2c.heads, 4);
    assert_int_equal(c.llama2c.kv_heads, 2);
    assert_int_equal(c.llama2c.vocab_size, VOCAB);
    assert_int_equal(c.llama2c.seq_len, 6);
    assert_int_equal(c.llama2c.shared_classifier, shared);
    assert_int_equal(c.llama2c.group_size, version == 2 ? GROUP : 0);
    for (size_t i = 0; i < TFM__COUNT(weights); i++) {
        if (weights[i].classifier && shared) continue;
        for (size_t layer = 0; layer < (weights[i].layered ? LAYERS : 1); layer++, count++)
            check_weight(&c, &weights[i], layer);
    }
    assert_int_equal(c.tensor_count, count);
    assert_int_equal(tfm__container_tensor(&c, "output.weight") != NULL, !shared);
    touch_container(&c);
    tfm__container_release(&c);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static void test_versions(void **state) {
    (void)state;
    check_file(FIXTURE("llama2c-v0.bin"), 0, true);
    check_file(FIXTURE("llama2c-v0-bare.bin"), 0, true);
    check_file(FIXTURE("llama2c-v0-unshared.bin"), 0, false);
    check_file(FIXTURE("llama2c-v1.bin"), 1, true);
    check_file(FIXTURE("llama2c-v1-unshared.bin"), 1, false);
    check_file(FIXTURE("llama2c-v2.bin"), 2, true);
    check_file(FIXTURE("llama2c-v2-unshared.bin"), 2, false);
}

static void test_refused(void **state) {
    bytes file;
    (void)state;
    assert_int_equal(refused_path(FIXTURE("llama2c-v2-early.bin"), "scales"), TFM_E_FORMAT);
    assert_int_equal(refused_path(FIXTURE("llama2c-tokenizer.bin"), "neither"), TFM_E_FORMAT);
    file = load(FIXTURE("llama2c-v1.bin"));
    put_u32(file.data + 4, 3);
    assert_int_equal(refused_memory(file.data, file.size, "version 3"), TFM_E_UNSUPPORTED);
    put_u32(file.data + 4, 1);
    for (size_t field = 0; field < 7; field++) { /* each size absurd in turn */
        static const uint32_t absurd[] = {0, 0x7fffffff, 0x80000000u, 0xffffffffu};
        uint32_t old = tfm__u32_le(file.data + 8 + 4 * field);
        for (size_t i = 0; i < TFM__COUNT(absurd); i++) {
            put_u32(file.data + 8 + 4 * field, absurd[i]);
            assert_int_equal(refused_memory(file.data, file.size, "header"), TFM_E_FORMAT);
        }
        put_u32(file.data + 8 + 4 * field, old);
    }
    put_u32(file.data + 20, 3); /* heads: 8 is no multiple */
    assert_int_equal(refused_memory(file.data, file.size, "header"), TFM_E_FORMAT);
    put_u32(file.data + 20, 4);
    put_u32(file.data + 28, 1 << 20); /* a vocabulary that the file cannot hold */
    assert_int_equal(refused_memory(file.data, file.size, "by its header"), TFM_E_TRUNCATED);
    put_u32(file.data + 28, VOCAB - 1);
    assert_int_equal(refused_memory(file.data, file.size, "by its header"), TFM_E_FORMAT);
    free(file.data);
    file = load(FIXTURE("llama2c-v2.bin"));
    put_u32(file.data + 37, 0);
    assert_int_equal(refused_memory(file.data, file.size, "header"), TFM_E_FORMAT);
    put_u32(file.data + 37, 7);
    assert_int_equal(refused_memory(file.data, file.size, "groups"), TFM_E_FORMAT);
    put_u32(file.data + 37, 8);
    assert_int_equal(refused_memory(file.data, file.size, "by its header"), TFM_E_FORMAT);
    free(file.data);
}

/* A byte more or less is an error; only version 0 with a shared classifier may leave out its last tables. */
static void test_sizes(void **state) {
    static const char *const names[] = {FIXTURE("llama2c-v0.bin"), FIXTURE("llama2c-v0-unshared.bin"),
                                        FIXTURE("llama2c-v1.bin"), FIXTURE("llama2c-v2-unshared.bin")};
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(names); i++) {
        bytes file = load(names[i]), longer = {malloc(file.size + 1), file.size + 1};
        bytes bare = load(FIXTURE("llama2c-v0-bare.bin"));
        memcpy(longer.data, file.data, file.size);
        longer.data[file.size] = 0;
        assert_int_equal(refused_memory(longer.data, longer.size, "by its header"), TFM_E_FORMAT);
        for (size_t size = 0; size < file.size; size++) {
            uint8_t *cut = malloc(size ? size : 1);
            int32_t status;
            memcpy(cut, file.data, size);
            status = try_bytes(cut, size);
            if (i == 0 && size == bare.size)
                assert_int_equal(status, TFM_OK);
            else
                assert_int_not_equal(status, TFM_OK);
            free(cut);
        }
        free(longer.data);
        free(bare.data);
        free(file.data);
    }
}

static void test_damage(void **state) {
    static const char *const names[] = {FIXTURE("llama2c-v0.bin"), FIXTURE("llama2c-v1.bin"),
                                        FIXTURE("llama2c-v2.bin")};
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(names); i++) {
        bytes file = load(names[i]);
        sweep_flips(file, 300);
        free(file.data);
    }
}

static int32_t open_job(tfm__heap *heap, void *arg, tfm_error *error) {
    tfm__container c;
    int32_t status = open_path(heap, arg, &c, error);
    tfm__container_release(&c);
    return status;
}

static void test_memory(void **state) {
    (void)state;
    sweep_allocations(open_job, FIXTURE("llama2c-v1-unshared.bin"));
    sweep_allocations(open_job, FIXTURE("llama2c-v2.bin"));
}

static int32_t stop(void *user, uint64_t done, uint64_t total) {
    (void)done, (void)total;
    return ++*(int *)user >= 1;
}

/* Expanding version 2 is work: it reports and can be stopped. */
static void test_cancel(void **state) {
    tfm__heap heap;
    tfm__store store;
    tfm__container c;
    tfm__read_options options = {false, NULL, NULL, NULL};
    tfm_error error = TFM_ERROR_INIT;
    int calls = 0;
    (void)state;
    options.progress = stop;
    options.progress_user = &calls;
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(tfm__store_open_path(&store, &heap, FIXTURE("llama2c-v2.bin"), &options, &error),
                     TFM_OK);
    assert_int_equal(tfm__container_open(&store, &c, &error), TFM_E_CANCELLED);
    assert_int_equal(calls, 1);
    tfm__store_close(&store);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static void test_shared_model(void **state) {
    static const char path[] = TFM_SHARED "/data/models/llama2c-stories260K/stories260K.bin";
    static const char tokenizer[] = TFM_SHARED "/data/models/llama2c-stories260K/tok512.bin";
    tfm__heap heap;
    tfm__container c;
    const tfm__tensor *t;
    (void)state;
    if (!file_exists(path)) skip();
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(open_path(&heap, path, &c, NULL), TFM_OK);
    assert_int_equal(c.llama2c.version, 0);
    assert_int_equal(c.tensor_count, 1 + 5 * 9 + 1);
    t = tfm__container_tensor(&c, "blk.4.ffn_down.weight");
    assert_true(t && t->shape[0] == 64 && t->shape[1] == 172);
    t = tfm__container_tensor(
        &c, "output_norm.weight"); /* near the end of the file: gains, all of a sensible size */
    for (size_t i = 0; i < 64; i++)
        assert_true(tfm__f32_le(t->data + 4 * i) > 0.1f && tfm__f32_le(t->data + 4 * i) < 50.0f);
    touch_container(&c);
    tfm__container_release(&c);
    assert_int_equal(refused_path(tokenizer, "neither"), TFM_E_FORMAT);
    assert_int_equal(atomic_load(&heap.live), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),     cmocka_unit_test(test_refused), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_damage),       cmocka_unit_test(test_memory),  cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_shared_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
