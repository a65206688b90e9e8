/* test_plan.c - shapes and plans: published numbers of parameters, the formula against the tensors of every
 * family that there is a model of, and what follows from a shape. */
#include <dirent.h>
#include <math.h>
#include <sys/stat.h>

#include "model/config.h"
#include "tiny_model.h"

static tfm_shape named(const char *name) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_shape shape = TFM_SHAPE_INIT;
    if (tfm_shape_named(name, &shape, &error)) fail_msg("%s: %s", name, error.message);
    return shape;
}

static void check_parts(const tfm_shape *s) {
    assert_int_equal(s->parameters, s->embedding_parameters + s->position_parameters +
                                        s->attention_parameters + s->feed_parameters + s->norm_parameters +
                                        s->output_parameters);
    assert_true(s->active_parameters <= s->parameters && s->vector_parameters < s->parameters);
    assert_true(s->layers && s->width && s->heads && s->family[0]);
}

/* The numbers that people's files have (sums over the tensors of the published checkpoints). */
static void test_published(void **state) {
    (void)state;
    static const struct {
        const char *name;
        uint64_t parameters;
    } known[] = {
        {"gpt2", 124439808},        {"gpt2-medium", 354823168},    {"gpt2-large", 774030080},
        {"gpt2-xl", 1557611200},    {"llama-7b", 6738415616},      {"llama-13b", 13015864320},
        {"llama-2-7b", 6738415616}, {"llama-2-13b", 13015864320},  {"llama-2-70b", 68976648192},
        {"llama-3-8b", 8030261248}, {"llama-3-70b", 70553706496},  {"llama-3-405b", 405853388800},
        {"mistral-7b", 7241732096}, {"mixtral-8x7b", 46702792704}, {"LLaMA-2-7B", 6738415616},
        {"GPT-2 XL", 1557611200},
    };
    for (size_t i = 0; i < TFM__COUNT(known); i++) {
        tfm_shape shape = named(known[i].name);
        assert_int_equal(shape.parameters, known[i].parameters);
        check_parts(&shape);
        assert_int_equal(shape.counted, 0);
    }
    tfm_shape gpt3 = named("gpt-3"), mixtral = named("mixtral-8x7b");
    assert_int_equal(gpt3.width, 12288);
    assert_int_equal(gpt3.feed_forward, 49152);
    assert_int_equal(gpt3.layers, 96);
    assert_int_equal(gpt3.context, 2048);
    assert_true(fabs((double)gpt3.parameters - 175e9) < 0.5e9);
    assert_int_equal(gpt3.attention_parameters, 96ull * (4ull * 12288 * 12288 + 4 * 12288));
    assert_int_equal(gpt3.feed_parameters, 96ull * (2ull * 12288 * 49152 + 49152 + 12288));
    assert_int_equal(mixtral.experts, 8);
    assert_true(fabs((double)mixtral.active_parameters - 12.9e9) < 0.1e9); /* Jiang et al. 2024: 13 B */
    size_t count = 0;
    for (; tfm_shape_name(count); count++) {
        tfm_shape shape = named(tfm_shape_name(count));
        assert_string_equal(shape.name, tfm_shape_name(count));
        check_parts(&shape);
    }
    assert_true(count >= 15);
}

/* ---- Formula and tensors ------------------------------------------------------------------------------- */

static char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

static void same_shape(const char *what, const tfm_shape *a, const tfm_shape *b) {
    if (a->parameters != b->parameters || a->embedding_parameters != b->embedding_parameters ||
        a->position_parameters != b->position_parameters ||
        a->attention_parameters != b->attention_parameters || a->feed_parameters != b->feed_parameters ||
        a->norm_parameters != b->norm_parameters || a->output_parameters != b->output_parameters ||
        a->vector_parameters != b->vector_parameters || a->active_parameters != b->active_parameters)
        fail_msg("%s: %llu (embedding %llu, positions %llu, attention %llu, feed %llu, norms %llu, output "
                 "%llu, vectors "
                 "%llu) and %llu (%llu, %llu, %llu, %llu, %llu, %llu, %llu)",
                 what, (unsigned long long)a->parameters, (unsigned long long)a->embedding_parameters,
                 (unsigned long long)a->position_parameters, (unsigned long long)a->attention_parameters,
                 (unsigned long long)a->feed_parameters, (unsigned long long)a->norm_parameters,
                 (unsigned long long)a->output_parameters, (unsigned long long)a->vector_parameters,
                 (unsigned long long)b->parameters, (unsigned long long)b->embedding_parameters,
                 (unsigned long long)b->position_parameters, (unsigned long long)b->attention_parameters,
                 (unsigned long long)b->feed_parameters, (unsigned long long)b->norm_parameters,
                 (unsigned long long)b->output_parameters, (unsigned long long)b->vector_parameters);
}

/* One folder: config.json alone, with its tensors, and the GGUF file of the same weights. False: not a family
 * that runs. */
static bool check_folder(const char *folder) {
    char path[600];
    size_t size = 0;
    tfm_error error = TFM_ERROR_INIT;
    tfm_shape alone = TFM_SHAPE_INIT, listed = TFM_SHAPE_INIT, gguf = TFM_SHAPE_INIT;
    snprintf(path, sizeof path, "%s/config.json", folder);
    char *config = read_file(path, &size);
    if (!config) return false;
    int32_t by_config = tfm_shape_read_memory(config, size, NULL, &alone, &error);
    free(config);
    int32_t by_tensors = tfm_shape_read(folder, NULL, &listed, &error);
    if (by_tensors == TFM_E_UNSUPPORTED) return false;
    if (by_tensors) fail_msg("%s: %s", folder, error.message);
    check_parts(&listed);
    if (by_config == TFM_E_UNSUPPORTED) return true; /* an encoder */
    if (by_config) fail_msg("%s: %s", folder, error.message);
    assert_int_equal(listed.counted, 1);
    assert_int_equal(alone.counted, 0);
    same_shape(folder, &alone, &listed);
    snprintf(path, sizeof path, "%s/model-f32.gguf", folder);
    if (tfm_shape_read(path, NULL, &gguf, &error) == TFM_OK) {
        same_shape(path, &gguf, &listed);
    } else {
        assert_int_equal(error.code, TFM_E_NOT_FOUND);
    }
    return true;
}

static size_t check_folders(const char *root) {
    size_t checked = 0;
    DIR *dir = opendir(root);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        char folder[512];
        if (entry->d_name[0] == '.') continue;
        snprintf(folder, sizeof folder, "%s/%.200s", root, entry->d_name);
        checked += check_folder(folder);
    }
    if (dir) closedir(dir);
    return checked;
}

static void test_formula_bundled(void **state) {
    (void)state;
    assert_true(check_folders(TFM_TEST_DATA "/golden") >= 3);
}

static void test_formula_shared(void **state) {
    (void)state;
    struct stat info;
    if (stat(TFM_SHARED "/golden/forward", &info)) skip();
    assert_true(check_folders(TFM_SHARED "/golden/forward") >= 35);
}

static void test_gguf(void **state) {
    (void)state;
    tiny_spec specs[] = {{.family = "llama"}, {.family = "gpt2"}, {.family = "llama", .experts = 4}};
    for (size_t i = 0; i < TFM__COUNT(specs); i++) {
        tiny t = tiny_open(&specs[i], NULL);
        tfm_shape shape = TFM_SHAPE_INIT;
        tfm_model_info info = TFM_MODEL_INFO_INIT;
        assert_int_equal(tfm_shape_read_memory(t.file.data, t.file.size, NULL, &shape, NULL), TFM_OK);
        assert_int_equal(tfm_model_get_info(t.model, &info, NULL), TFM_OK);
        assert_int_equal(shape.parameters, info.parameters);
        assert_int_equal(shape.layers, info.layers);
        assert_string_equal(shape.family, info.family);
        assert_int_equal(shape.experts, specs[i].experts);
        if (specs[i].experts)
            assert_int_equal(shape.parameters - shape.active_parameters, 2ull * 2 * 3 * 48 * 32);
        check_parts(&shape);
        tiny_close(&t);
    }
}

/* ---- Plans --------------------------------------------------------------------------------------------- */

static void near(double value, double expected, double part) {
    if (!(fabs(value - expected) <= part * fabs(expected))) fail_msg("%g, expected %g", value, expected);
}

static void test_plan(void **state) {
    (void)state;
    tfm_plan_result r = TFM_PLAN_RESULT_INIT;
    tfm_plan_options o = TFM_PLAN_OPTIONS_INIT;
    uint64_t bytes = 0;
    tfm_shape s = named("llama-2-70b");
    o.tokens = 2e12;
    o.accelerators = 6000;
    assert_int_equal(tfm_plan(&s, &o, &r, NULL), TFM_OK);
    /* by hand: every matrix but the embedding, twice */
    near(r.forward_flops, 2.0 * (68976648192.0 - 32000.0 * 8192 - 161 * 8192.0), 1e-12);
    near(r.attention_flops, 4.0 * 80 * 8192 * 4096, 1e-12);
    near(r.train_flops, 3 * (r.forward_flops + r.attention_flops / 2), 1e-12);
    near(r.total_train_flops, r.train_flops * 2e12, 1e-12);
    near(r.rule_train_flops, 6 * 68976648192.0 * 2e12, 1e-12);
    near(r.train_seconds, r.total_train_flops / (6000 * 312e12 * 0.4), 1e-12);
    near(r.accelerator_hours, r.train_seconds / 3600 * 6000, 1e-12);
    near(r.cost, r.accelerator_hours * 1.1, 1e-12);
    near(r.text_bytes, 1e13, 1e-12);
    near(r.model_bytes, 2 * 68976648192.0, 1e-12);
    near(r.text_per_model_byte, 1e13 / (2 * 68976648192.0), 1e-12);
    near(r.train_bytes, 16 * 68976648192.0, 1e-12);
    assert_int_equal(r.kv_bytes_per_token, 80 * 8 * (128 + 128) * 2);
    assert_int_equal(r.kv_bytes, r.kv_bytes_per_token * 4096);
    o.cache_type = TFM_CACHE_Q8_0;
    assert_int_equal(tfm_plan(&s, &o, &r, NULL), TFM_OK);
    assert_int_equal(r.kv_bytes_per_token, 80 * 8 * (128 + 128) * 34 / 32);
    o.cache_type = TFM_CACHE_Q4_0 + 1;
    assert_int_equal(tfm_plan(&s, &o, &r, NULL), TFM_E_ARGUMENT);
    /* what its authors write (Touvron et al. 2023b, table 2: 1,720,320 hours): within a fifth */
    near(r.accelerator_hours, 1720320, 0.2);

    s = named("gpt-3");
    o = (tfm_plan_options)TFM_PLAN_OPTIONS_INIT;
    o.tokens = 300e9;
    assert_int_equal(tfm_plan(&s, &o, &r, NULL), TFM_OK);
    near(r.rule_train_flops, 3.14e23, 0.01);  /* Brown et al. 2020, table D.1 */
    near(r.total_train_flops, 3.14e23, 0.04); /* attention counted too */
    near(r.forward_flops, 350e9, 0.01);
    assert_int_equal(tfm_shape_bytes(&s, "F16", &bytes, NULL), TFM_OK);
    assert_int_equal(bytes, 2 * s.parameters);
    assert_int_equal(tfm_shape_bytes(&s, "Q8_0", &bytes, NULL), TFM_OK);
    near((double)bytes,
         (double)(s.parameters - s.vector_parameters) * 34 / 32 + 4.0 * (double)s.vector_parameters, 1e-9);
    assert_int_equal(tfm_shape_bytes(&s, "Q4_K", &bytes, NULL), TFM_OK);
    near((double)bytes, (double)s.parameters * 4.5 / 8, 0.001);

    /* windows bound the cache; a context of the caller's counts; defaults */
    s = named("mistral-7b");
    o = (tfm_plan_options)TFM_PLAN_OPTIONS_INIT;
    o.context = 8192;
    assert_int_equal(s.windowed_layers, 32);
    assert_int_equal(tfm_plan(&s, &o, &r, NULL), TFM_OK);
    assert_int_equal(r.kv_bytes, r.kv_bytes_per_token * 4096);
    near(r.tokens, 20 * 7241732096.0, 1e-12);
    for (size_t i = 0; tfm_shape_type(i); i++)
        assert_int_equal(tfm_shape_bytes(&s, tfm_shape_type(i), &bytes, NULL), TFM_OK);
}

static void test_refusals(void **state) {
    (void)state;
    tfm_error error = TFM_ERROR_INIT;
    tfm_shape shape = TFM_SHAPE_INIT, named_shape = named("gpt2");
    tfm_plan_result r = TFM_PLAN_RESULT_INIT;
    tfm_plan_options o = TFM_PLAN_OPTIONS_INIT;
    uint64_t bytes = 7;
    assert_int_equal(tfm_shape_named("gpt-17", &shape, &error), TFM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "gpt-17"));
    assert_int_equal(tfm_shape_named(NULL, &shape, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_shape_named("gpt2", NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_shape_read("/nonexistent/x", NULL, &shape, &error), TFM_E_NOT_FOUND);
    assert_int_equal(tfm_shape_read(TFM_TEST_DATA "/golden", NULL, &shape, &error), TFM_E_MISSING);
    assert_int_equal(tfm_shape_read(NULL, NULL, &shape, &error), TFM_E_ARGUMENT);
    static const struct {
        const char *config, *says;
    } bad[] = {
        {"{\"model_type\":\"gpt2\"}", "n_layer"},
        {"{\"model_type\":\"nothing\"}", "nothing"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":12,\"n_embd\":768,\"n_head\":7,\"vocab_size\":10,\"n_"
         "positions\":4}",
         "head"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":99999999,\"n_embd\":768,\"n_head\":12,\"vocab_size\":10,\"n_"
         "positions\":4}",
         "layers"},
        {"{\"model_type\":\"mixtral\",\"num_hidden_layers\":4096,\"hidden_size\":1048576,"
         "\"num_attention_heads\":1024,\"intermediate_size\":16777216,\"vocab_size\":10,"
         "\"max_position_embeddings\":64,\"num_local_experts\":4096,\"num_experts_per_tok\":2}",
         "parameters"},
        {"{\"model_type\":", ""},
        {"[]", ""},
        {"hello", ""},
        {"", ""},
    };
    for (size_t i = 0; i < TFM__COUNT(bad); i++) {
        tfm_shape before = shape;
        int32_t status = tfm_shape_read_memory(bad[i].config, strlen(bad[i].config), NULL, &shape, &error);
        if (status >= 0 || !error.message[0])
            fail_msg("case %zu: status %d, %s", i, (int)status, error.message);
        if (i && !strstr(error.message, bad[i].says)) fail_msg("case %zu: %s", i, error.message);
        assert_memory_equal(&before, &shape, sizeof shape);
    }
    assert_int_equal(tfm_plan(NULL, NULL, &r, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_plan(&named_shape, NULL, NULL, &error), TFM_E_ARGUMENT);
    const double wrong[] = {-1, NAN, INFINITY};
    for (size_t i = 0; i < TFM__COUNT(wrong); i++) {
        o.tokens = wrong[i];
        assert_int_equal(tfm_plan(&named_shape, &o, &r, &error), TFM_E_ARGUMENT);
    }
    o.tokens = 0;
    o.context = (uint64_t)1 << 40;
    assert_int_equal(tfm_plan(&named_shape, &o, &r, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_shape_bytes(&named_shape, "Q99", &bytes, &error), TFM_E_NOT_FOUND);
    assert_int_equal(bytes, 0);
    named_shape.embedding_parameters = UINT64_MAX;
    assert_int_equal(tfm_plan(&named_shape, NULL, &r, &error), TFM_E_ARGUMENT);
}

/* Memory refused at each request; nothing stays taken either way. */
static void test_memory(void **state) {
    (void)state;
    static const char config[] =
        "{\"model_type\":\"mixtral\",\"num_hidden_layers\":2,\"hidden_size\":64,"
        "\"num_attention_heads\":4,\"intermediate_size\":96,\"vocab_size\":100,"
        "\"max_position_embeddings\":64,\"num_local_experts\":4,\"num_experts_per_tok\":2,"
        "\"rms_norm_eps\":1e-5}";
    for (size_t n = 1;; n++) {
        tiny_memory memory = {.fail_at = n};
        tfm_allocator allocator = tiny_allocator(&memory);
        tfm_error error = TFM_ERROR_INIT;
        tfm_shape shape = TFM_SHAPE_INIT;
        int32_t status = tfm_shape_read_memory(config, sizeof config - 1, &allocator, &shape, &error);
        assert_int_equal(memory.out, 0);
        if (!memory.refusals) {
            assert_int_equal(status, TFM_OK);
            assert_int_equal(shape.experts_used, 2);
            break;
        }
        assert_int_equal(status, TFM_E_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),      cmocka_unit_test(test_formula_bundled),
        cmocka_unit_test(test_formula_shared), cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_plan),           cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
