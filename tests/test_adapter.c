/* test_adapter.c - LoRA adapters: PEFT's own logits, in both layouts and across them; every family against
 * weights that were changed by hand; the same bits for every cut, company and number of threads; and files
 * that are wrong. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "families_help.h"
#include "golden_help.h"
#include "tfm/tfm.h"

#define DATA TFM_TEST_DATA "/adapter/"
#define GOLDEN TFM_TEST_DATA "/golden/"

static tfm_model *load_with(const char *path, const tfm_model_options *options) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    if (tfm_model_load(path, options, &model, &error)) fail_msg("%s", error.message);
    return model;
}

static tfm_model *load(const char *path) { return load_with(path, NULL); }

static tfm_adapter *open_adapter(tfm_model *model, const char *name) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_adapter *adapter = NULL;
    char path[512];
    snprintf(path, sizeof path, DATA "%s", name);
    if (tfm_adapter_load(model, path, &adapter, &error)) fail_msg("%s", error.message);
    return adapter;
}

static tfm_session *new_session(tfm_model *model, const tfm_adapter_use *uses, size_t count) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_session *session = NULL;
    if (tfm_session_create(model, NULL, &session, &error) || tfm_session_adapt(session, uses, count, &error))
        fail_msg("%s", error.message);
    return session;
}

static void read_all(tfm_session *session, const tfm_token *ids, size_t count) {
    tfm_forward_options all = TFM_FORWARD_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    all.logits = TFM_LOGITS_ALL;
    if (tfm_forward(session, ids, count, &all, &error)) fail_msg("%s", error.message);
}

static const float *logits_at(const tfm_session *session, size_t index, size_t *vocab) {
    const float *logits = NULL;
    assert_int_equal(tfm_logits(session, index, &logits, vocab, NULL), TFM_OK);
    return logits;
}

/* ---- What PEFT computes ---- */

static void compare_golden(tfm_model *model, const char *file, const char *tensor,
                           const tfm_adapter_use *uses, size_t count) {
    char path[512];
    golden g;
    size_t vocab;
    snprintf(path, sizeof path, DATA "%s.safetensors", file);
    golden_open(&g, path);
    const tfm__tensor *tokens = golden_tensor(&g, "tokens");
    size_t n = (size_t)tokens->shape[0];
    tfm_session *session = new_session(model, uses, count);
    read_all(session, (const tfm_token *)(const void *)tokens->data, n);
    for (size_t i = 0; i < n; i++) {
        const float *logits = logits_at(session, i, &vocab);
        golden_compare(&g, tensor, i * vocab, logits, vocab);
    }
    tfm_session_destroy(session);
    golden_close(&g);
}

static void compare_one(tfm_model *model, const char *adapter, const char *file, const char *tensor) {
    tfm_adapter_use use = {open_adapter(model, adapter), 1.0f, 0};
    compare_golden(model, file, tensor, &use, 1);
    tfm_adapter_release(use.adapter);
}

static void test_golden(void **state) {
    (void)state;
    tfm_model *model = load(GOLDEN "qwen3");
    compare_one(model, "qwen3-a", "qwen3", "a");
    compare_one(model, "qwen3-a/adapter_config.json", "qwen3", "a");
    compare_one(model, "qwen3-a/adapter_model.safetensors", "qwen3", "a");
    compare_one(model, "qwen3-a.gguf", "qwen3", "a");
    compare_one(model, "qwen3-b", "qwen3", "b");
    tfm_adapter_use both[2] = {{open_adapter(model, "qwen3-a"), 0.5f, 0},
                               {open_adapter(model, "qwen3-b"), -1.5f, 0}};
    compare_golden(model, "qwen3", "both", both, 2);
    tfm_adapter_info info = TFM_ADAPTER_INFO_INIT;
    assert_int_equal(tfm_adapter_get_info(both[1].adapter, &info, NULL), TFM_OK);
    assert_string_equal(info.format, "peft");
    assert_int_equal(info.rank, 5);
    tfm_model_release(model); /* the adapters keep it */
    for (size_t i = 0; i < 2; i++) tfm_adapter_release(both[i].adapter);

    model = load(GOLDEN "qwen3/model-f32.gguf");
    compare_one(model, "qwen3-a", "qwen3", "a");
    compare_one(model, "qwen3-a.gguf", "qwen3", "a");
    tfm_model_release(model);

    model = load(GOLDEN "gpt2");
    compare_one(model, "gpt2-a", "gpt2", "a");
    tfm_model_release(model);
}

/* Llama's rows of queries and keys lie in another order in GGUF. */
static void test_other_order(void **state) {
    (void)state;
    char folder[] = "/tmp/tfm-adapter-XXXXXX", path[64];
    tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = load(GOLDEN "mistral");
    compare_one(model, "mistral-a", "mistral", "a");
    compare_one(model, "mistral-a.gguf", "mistral", "a");
    tfm_model_release(model);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/m.gguf", folder);
    options.tokenizer = TFM_NO;
    if (tfm_quantize(GOLDEN "mistral", path, "F32", &options, NULL, &error)) fail_msg("%s", error.message);
    model = load(path);
    compare_one(model, "mistral-a", "mistral", "a");
    compare_one(model, "mistral-a.gguf", "mistral", "a");
    tfm_model_release(model);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- Merging ---- */

static void compare_merged(tfm_model *model, const char *file, const char *tensor,
                           const tfm_adapter_use *uses, size_t count) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *merged = NULL;
    if (tfm_adapter_merge(model, uses, count, &merged, &error)) fail_msg("%s", error.message);
    compare_golden(merged, file, tensor, NULL, 0);
    tfm_model_release(merged);
}

static void test_merge(void **state) {
    (void)state;
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = load(GOLDEN "qwen3"), *merged = NULL;
    tfm_adapter_use uses[2] = {{open_adapter(model, "qwen3-a"), 1.0f, 0},
                               {open_adapter(model, "qwen3-b"), 1.0f, 0}};
    compare_merged(model, "qwen3", "a", uses, 1);
    compare_merged(model, "qwen3", "b", uses + 1, 1);
    uses[0].scale = 0.5f;
    uses[1].scale = -1.5f;
    compare_merged(model, "qwen3", "both", uses, 2);
    /* the copy outlives everything that it was made of, and the model is as it was */
    const tfm_token ids[5] = {9, 8, 7, 30, 31};
    tfm_session *before = new_session(model, NULL, 0);
    if (tfm_adapter_merge(model, uses, 2, &merged, &error)) fail_msg("%s", error.message);
    tfm_session *after = new_session(model, NULL, 0), *copy = new_session(merged, NULL, 0);
    assert_int_equal(tfm_session_adapt(copy, uses, 1, &error), TFM_E_ARGUMENT); /* another model's */
    for (size_t i = 0; i < 2; i++) tfm_adapter_release(uses[i].adapter);
    tfm_model_release(model);
    tfm_model_release(merged);
    read_all(before, ids, 5);
    read_all(after, ids, 5);
    for (size_t i = 0; i < 5; i++) {
        size_t vocab;
        const float *a = logits_at(before, i, &vocab);
        assert_memory_equal(a, logits_at(after, i, NULL), vocab * sizeof *a);
    }
    tfm_session_destroy(before);
    tfm_session_destroy(after);
    read_all(copy, ids, 5);
    tfm_session_destroy(copy);
    model = load(GOLDEN "gpt2"); /* stored the other way round, and fused */
    uses[0] = (tfm_adapter_use){open_adapter(model, "gpt2-a"), 1.0f, 0};
    compare_merged(model, "gpt2", "a", uses, 1);
    assert_int_equal(tfm_adapter_merge(NULL, uses, 1, &merged, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_adapter_merge(model, uses, 1, NULL, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_adapter_merge(model, NULL, 1, &merged, NULL), TFM_E_ARGUMENT);
    uses[0].scale = (float)NAN;
    assert_int_equal(tfm_adapter_merge(model, uses, 1, &merged, NULL), TFM_E_ARGUMENT);
    tfm_adapter_release(uses[0].adapter);
    tfm_model_release(model);
}

/* Halves are rounded once; what is quantised is refused by name. */
static void test_merge_types(void **state) {
    static const char *const types[] = {"F16", "BF16", "Q8_0"};
    char folder[] = "/tmp/tfm-adapter-XXXXXX", path[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/m.gguf", folder);
    for (size_t t = 0; t < TFM__COUNT(types); t++) {
        tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
        tfm_error error = TFM_ERROR_INIT;
        tfm_model *merged = NULL;
        tfm_token ids[9];
        options.tokenizer = TFM_NO;
        options.pure = 1;
        if (tfm_quantize(GOLDEN "qwen3", path, types[t], &options, NULL, &error))
            fail_msg("%s", error.message);
        tfm_model *model = load(path);
        tfm_adapter_use use = {open_adapter(model, "qwen3-a"), 1.0f, 0};
        tfm_session *session = new_session(model, &use, 1);
        for (size_t i = 0; i < TFM__COUNT(ids); i++) ids[i] = (tfm_token)(9 * i + 6);
        read_all(session, ids, TFM__COUNT(ids));
        int32_t status = tfm_adapter_merge(model, &use, 1, &merged, &error);
        if (t == 2) {
            assert_int_equal(status, TFM_E_UNSUPPORTED);
            assert_non_null(strstr(error.message, "Q8_0"));
            assert_non_null(strstr(error.message, "blk."));
            assert_null(merged);
        } else {
            if (status) fail_msg("%s", error.message);
            tfm_session *other = new_session(merged, NULL, 0);
            read_all(other, ids, TFM__COUNT(ids));
            double off = 0, largest = 0;
            for (size_t i = 0; i < TFM__COUNT(ids); i++) {
                size_t vocab;
                const float *a = logits_at(session, i, &vocab), *b = logits_at(other, i, NULL);
                for (size_t v = 0; v < vocab; v++) {
                    off = fmax(off, fabs((double)a[v] - (double)b[v]));
                    largest = fmax(largest, fabs((double)a[v]));
                }
            }
            if (!(off < (t == 0 ? 0.01 : 0.05) * largest) || off == 0)
                fail_msg("%s: off by %g of %g", types[t], off, largest);
            tfm_session_destroy(other);
        }
        tfm_session_destroy(session);
        tfm_adapter_release(use.adapter);
        tfm_model_release(merged);
        tfm_model_release(model);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_perplexity(void **state) {
    (void)state;
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = load(GOLDEN "qwen3"), *merged = NULL;
    tfm_perplexity_options options = TFM_PERPLEXITY_OPTIONS_INIT;
    tfm_perplexity_result plain = TFM_PERPLEXITY_RESULT_INIT, adapted = plain, other = plain;
    tfm_adapter_use use = {open_adapter(model, "qwen3-a"), 1.0f, 0};
    tfm_token ids[64];
    for (size_t i = 0; i < 64; i++) ids[i] = (tfm_token)(4 + i * i % 90);
    options.context = 16;
    if (tfm_perplexity(model, ids, 64, &options, &plain, &error) ||
        tfm_adapter_merge(model, &use, 1, &merged, &error) ||
        tfm_perplexity(merged, ids, 64, &options, &other, &error))
        fail_msg("%s", error.message);
    options.adapters = &use;
    options.adapter_count = 1;
    if (tfm_perplexity(model, ids, 64, &options, &adapted, &error)) fail_msg("%s", error.message);
    assert_true(fabs(adapted.log_probability - other.log_probability) < 1e-3);
    assert_true(fabs(adapted.log_probability - plain.log_probability) > 0.1);
    assert_int_equal(tfm_perplexity(merged, ids, 64, &options, &other, &error), TFM_E_ARGUMENT);
    tfm_adapter_release(use.adapter);
    tfm_model_release(merged);
    tfm_model_release(model);
}

/* ---- Every family ---- */

#define RANK 3
#define ALPHA 2.0
#define SCALE 0.75

typedef struct text {
    char *data;
    size_t size, capacity;
} text;

static void put(text *t, const void *data, size_t size) {
    if (t->size + size > t->capacity) {
        t->capacity = 2 * (t->size + size);
        t->data = realloc(t->data, t->capacity);
        assert_non_null(t->data);
    }
    memcpy(t->data + t->size, data, size);
    t->size += size;
}

static bool is_adapted(const family_tensor *t) {
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)t->name_length, t->name);
    if (t->rank != 2 || strstr(name, "norm") || strstr(name, "ln_") || strstr(name, "embed_tokens"))
        return false;
    if (strlen(name) < 8 || strcmp(name + strlen(name) - 7, ".weight") != 0) return false;
    return strstr(name, ".0.") || strstr(name, ".1.") || strstr(name, ".2.") ||
           !strcmp(name, "lm_head.weight");
}

/* An adapter for every matrix of a family, as a safetensors file; files->weights become what it makes of
 * them. */
static text adapt_by_hand(const char *name, family_files *files) {
    char path[600], entry[512], *table, *at;
    size_t size, offset = 0, count = 0;
    text head = {0}, body = {0}, out = {0};
    family_tensor t;
    tfm__rng rng;
    tfm__rng_seed(&rng, 5);
    snprintf(path, sizeof path, "%s/families/%s/tensors.txt", TFM_TEST_DATA, name);
    table = family_read(path, &size);
    uint64_t header = 0;
    memcpy(&header, files->weights, 8);
    float *w = (float *)(void *)(files->weights + 8 + header);
    bool transposed = strncmp(name, "gpt2", 4) == 0;
    put(&head, "{", 1);
    for (at = table; family_line(&at, &t); w += t.count) {
        if (!is_adapted(&t)) continue;
        size_t rows = t.shape[transposed], columns = t.shape[!transposed];
        if (!strncmp(t.name, "lm_head", 7)) rows = t.shape[0], columns = t.shape[1];
        float *a = malloc(RANK * columns * sizeof *a), *b = malloc(RANK * rows * sizeof *b);
        assert_true(a && b);
        for (size_t i = 0; i < RANK * columns; i++) a[i] = (float)(tfm__rng_u32(&rng) % 2001) / 1e4f - 0.1f;
        for (size_t i = 0; i < RANK * rows; i++) b[i] = (float)(tfm__rng_u32(&rng) % 2001) / 1e4f - 0.1f;
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < columns; c++) {
                double sum = 0;
                for (size_t k = 0; k < RANK; k++) sum += (double)b[r * RANK + k] * a[k * columns + c];
                float *value =
                    transposed && strncmp(t.name, "lm_head", 7) ? &w[c * rows + r] : &w[r * columns + c];
                *value = (float)(*value + sum * (ALPHA / RANK) * SCALE);
            }
        for (int which = 0; which < 2; which++) {
            size_t n = RANK * (which ? rows : columns) * sizeof(float);
            int used =
                snprintf(entry, sizeof entry,
                         "%s\"base_model.model.%.*s.lora_%c.weight\":{\"dtype\":\"F32\",\"shape\":[%zu,%zu],"
                         "\"data_offsets\":[%zu,%zu]}",
                         count++ ? "," : "", (int)t.name_length - 7, t.name, which ? 'B' : 'A',
                         which ? rows : RANK, which ? RANK : columns, offset, offset + n);
            put(&head, entry, (size_t)used);
            put(&body, which ? b : a, n);
            offset += n;
        }
        free(a);
        free(b);
    }
    put(&head, "}", 1);
    header = head.size;
    put(&out, &header, 8);
    put(&out, head.data, head.size);
    put(&out, body.data, body.size);
    free(head.data);
    free(body.data);
    free(table);
    assert_true(count > 8);
    return out;
}

static tfm_model *load_family(const family_files *files, folder *f) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    family_folder(files, f);
    tfm_source source = folder_source(&f->files[0]);
    if (tfm_model_load_source(&source, NULL, &model, &error)) fail_msg("%s", error.message);
    return model;
}

static int32_t from_memory(tfm_model *model, const char *config, size_t config_size, const void *weights,
                           size_t size, tfm_adapter **out, tfm_error *error) {
    folder f = {.count = 0};
    folder_add(&f, "adapter_config.json", config, config_size);
    folder_add(&f, "adapter_model.safetensors", weights, size);
    tfm_source source = folder_source(&f.files[0]);
    int32_t status = tfm_adapter_load_source(model, &source, out, error);
    assert_int_equal(f.open, 0);
    return status;
}

static void check_family(const char *name) {
    static const char config[] = "{\"peft_type\":\"LORA\",\"r\":3,\"lora_alpha\":2}";
    char path[512];
    tfm_error error = TFM_ERROR_INIT;
    tfm_token ids[24];
    folder plain, by_hand;
    tfm_adapter *adapter = NULL;
    snprintf(path, sizeof path, "%s/families/%s", TFM_TEST_DATA, name);
    family_files files = family_make(path), changed = family_make(path);
    text weights = adapt_by_hand(name, &changed);
    tfm_model *model = load_family(&files, &plain), *other = load_family(&changed, &by_hand);
    if (from_memory(model, config, sizeof config - 1, weights.data, weights.size, &adapter, &error))
        fail_msg("%s: %s", name, error.message);
    tfm_adapter_use use = {adapter, (float)SCALE, 0};
    tfm_session *ours = new_session(model, &use, 1), *theirs = new_session(other, NULL, 0);
    tfm_session *base = new_session(model, NULL, 0);
    for (size_t i = 0; i < TFM__COUNT(ids); i++) ids[i] = (tfm_token)(20 + 7 * i);
    read_all(ours, ids, TFM__COUNT(ids));
    read_all(theirs, ids, TFM__COUNT(ids));
    read_all(base, ids, TFM__COUNT(ids));
    double off = 0, largest = 0, change = 0;
    for (size_t i = 0; i < TFM__COUNT(ids); i++) {
        size_t vocab;
        const float *a = logits_at(ours, i, &vocab), *b = logits_at(theirs, i, NULL);
        const float *c = logits_at(base, i, NULL);
        for (size_t v = 0; v < vocab; v++) {
            off = fmax(off, fabs((double)a[v] - (double)b[v]));
            change = fmax(change, fabs((double)a[v] - (double)c[v]));
            largest = fmax(largest, fabs((double)b[v]));
        }
    }
    if (!(off <= TOLERANCE * largest) || !(change > 0.01 * largest))
        fail_msg("%s: off by %g of %g, the adapter changes %g", name, off, largest, change);
    tfm_session_destroy(ours);
    tfm_session_destroy(theirs);
    tfm_session_destroy(base);
    tfm_adapter_release(adapter);
    tfm_model_release(model);
    tfm_model_release(other);
    free(weights.data);
    family_free(&files);
    family_free(&changed);
}

static void test_families(void **state) {
    static const char *const names[] = {
        "llama",  "gpt2",    "phi3",        "gpt-neox",    "bloom",   "falcon",     "falcon-new",
        "mpt",    "gptj",    "gpt-neo",     "opt",         "phi",     "starcoder2", "gemma2",
        "gemma3", "glm4",    "olmo2",       "cohere",      "qwen2",   "mixtral",    "qwen2-moe",
        "olmoe",  "granite", "deepseek-v2", "deepseek-v3", "exaone4", "nemotron"};
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(names); i++) check_family(names[i]);
}

/* ---- The same bits ---- */

static void assert_same(const tfm_session *a, size_t at, const tfm_session *b, size_t index) {
    size_t vocab;
    const float *x = logits_at(a, at, &vocab), *y = logits_at(b, index, NULL);
    assert_memory_equal(x, y, vocab * sizeof *x);
}

static void test_bits(void **state) {
    tfm_pool_options how = TFM_POOL_OPTIONS_INIT;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_token ids[150];
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(ids); i++) ids[i] = (tfm_token)(5 + (13 * i + i * i) % 300);
    how.threads = 3;
    if (tfm_pool_create(&how, &options.pool, &error)) fail_msg("%s", error.message);
    options.isa = TFM_ISA_PORTABLE;
    tfm_model *models[2] = {load(GOLDEN "qwen3"), load_with(GOLDEN "qwen3", &options)};
    tfm_adapter_use uses[2][2];
    tfm_session *whole[2], *base[2];
    for (size_t m = 0; m < 2; m++) {
        uses[m][0] = (tfm_adapter_use){open_adapter(models[m], "qwen3-a"), 0.7f, 0};
        uses[m][1] = (tfm_adapter_use){open_adapter(models[m], "qwen3-b"), 1.0f, 0};
        whole[m] = new_session(models[m], uses[m], 2);
        base[m] = new_session(models[m], NULL, 0);
        read_all(whole[m], ids, TFM__COUNT(ids));
        read_all(base[m], ids, TFM__COUNT(ids));
        for (size_t i = 0; i < TFM__COUNT(ids); i++) {
            assert_same(whole[0], i, whole[m], i);
            assert_same(base[0], i, base[m], i);
        }
    }
    /* token by token, through forks */
    tfm_session *one = new_session(models[0], uses[0], 2), *fork = NULL;
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(tfm_session_fork(one, &fork, &error), TFM_OK);
        tfm_session_destroy(one);
        one = fork;
        assert_int_equal(tfm_forward(one, ids + i, 1, NULL, &error), TFM_OK);
        assert_same(one, 0, whole[0], i);
    }
    /* in company: two adapters, one, none, none in effect, and again two */
    tfm_session *many[5] = {one, new_session(models[0], uses[0] + 1, 1), new_session(models[0], NULL, 0),
                            NULL, new_session(models[0], uses[0], 2)};
    tfm_session *alone = new_session(models[0], uses[0] + 1, 1);
    uses[0][0].scale = 0.0f;
    many[3] = new_session(models[0], uses[0], 1);
    uses[0][0].scale = 0.7f;
    read_all(alone, ids, 120);
    const tfm_forward_part parts[5] = {{many[0], ids + 20, 1, TFM_LOGITS_LAST, 0},
                                       {many[1], ids, 120, TFM_LOGITS_LAST, 0},
                                       {many[2], ids, 90, TFM_LOGITS_LAST, 0},
                                       {many[3], ids, 100, TFM_LOGITS_LAST, 0},
                                       {many[4], ids, 150, TFM_LOGITS_ALL, 0}};
    if (tfm_forward_many(parts, 5, NULL, &error)) fail_msg("%s", error.message);
    assert_same(many[0], 0, whole[0], 20);
    assert_same(many[1], 0, alone, 119);
    assert_same(many[2], 0, base[0], 89);
    assert_same(many[3], 0, base[0], 99);
    for (size_t i = 0; i < 150; i++) assert_same(many[4], i, whole[0], i);
    /* adapters taken away */
    assert_int_equal(tfm_session_adapt(many[4], NULL, 0, &error), TFM_OK);
    assert_int_equal(tfm_logits_count(many[4]), 0);
    assert_int_equal(tfm_session_rewind(many[4], 0, &error), TFM_OK);
    read_all(many[4], ids, 150);
    for (size_t i = 0; i < 150; i++) assert_same(many[4], i, base[0], i);
    for (size_t i = 0; i < 5; i++) tfm_session_destroy(many[i]);
    tfm_session_destroy(alone);
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; i < 2; i++) tfm_adapter_release(uses[m][i].adapter);
        tfm_session_destroy(whole[m]);
        tfm_session_destroy(base[m]);
        tfm_model_release(models[m]);
    }
    tfm_pool_destroy(options.pool);
}

/* One whose adapter changes the output matrix runs by itself. */
static void test_output(void **state) {
    static const char config[] = "{\"peft_type\":\"LORA\",\"r\":1,\"lora_alpha\":1}";
    char head[512];
    tfm_error error = TFM_ERROR_INIT;
    tfm_adapter *adapter = NULL;
    tfm_model *model = load(GOLDEN "qwen3");
    size_t columns = 0, rows = 0;
    (void)state;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    assert_int_equal(tfm_model_get_info(model, &info, NULL), TFM_OK);
    columns = (size_t)info.width;
    rows = (size_t)info.vocab_size;
    uint64_t used = (uint64_t)snprintf(head, sizeof head,
                                       "{\"base_model.model.lm_head.lora_A.weight\":{\"dtype\":\"F32\","
                                       "\"shape\":[1,%zu],\"data_offsets\":[0,%zu]},"
                                       "\"base_model.model.lm_head.lora_B.weight\":{\"dtype\":\"F32\","
                                       "\"shape\":[%zu,1],\"data_offsets\":[%zu,%zu]}}",
                                       columns, columns * 4, rows, columns * 4, (columns + rows) * 4);
    text file = {0};
    put(&file, &used, 8);
    put(&file, head, (size_t)used);
    for (size_t i = 0; i < columns + rows; i++) {
        float value = (float)(i % 17) / 16.0f - 0.5f;
        put(&file, &value, 4);
    }
    if (from_memory(model, config, sizeof config - 1, file.data, file.size, &adapter, &error))
        fail_msg("%s", error.message);
    tfm_adapter_use use = {adapter, 1.0f, 0};
    tfm_session *a = new_session(model, &use, 1), *b = new_session(model, &use, 1);
    tfm_session *c = new_session(model, NULL, 0), *d = new_session(model, NULL, 0);
    const tfm_token ids[4] = {9, 8, 30, 7};
    read_all(a, ids, 4);
    read_all(c, ids, 4);
    const tfm_forward_part parts[2] = {{b, ids, 4, TFM_LOGITS_ALL, 0}, {d, ids, 4, TFM_LOGITS_ALL, 0}};
    if (tfm_forward_many(parts, 2, NULL, &error)) fail_msg("%s", error.message);
    for (size_t i = 0; i < 4; i++) {
        assert_same(a, i, b, i);
        assert_same(c, i, d, i);
        assert_memory_not_equal(logits_at(a, i, NULL), logits_at(c, i, NULL), rows * sizeof(float));
    }
    tfm_session_destroy(a);
    tfm_session_destroy(b);
    tfm_session_destroy(c);
    tfm_session_destroy(d);
    tfm_adapter_release(adapter);
    tfm_model_release(model);
    free(file.data);
}

/* ---- What is wrong ---- */

/* The adapter qwen3-a with one text in the place of another: the first in the settings, all in the weights'
 * file, where it has the same length. */
static void expect_bad(tfm_model *model, const char *from, const char *to, bool in_weights, int32_t status,
                       const char *said) {
    char path[512];
    tfm_error error = TFM_ERROR_INIT;
    tfm_adapter *adapter = (tfm_adapter *)model;
    size_t size[2];
    char *files[2];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, DATA "qwen3-a/%s",
                 i ? "adapter_model.safetensors" : "adapter_config.json");
        files[i] = family_read(path, &size[i]);
    }
    text changed = {0};
    const char *file = files[in_weights], *end = file + size[in_weights];
    size_t length = strlen(from), found = 0;
    assert_true(!in_weights || strlen(to) == length);
    while (file < end) {
        bool here = (size_t)(end - file) >= length && !memcmp(file, from, length) && (in_weights || !found);
        put(&changed, here ? to : file, here ? strlen(to) : 1);
        file += here ? length : 1;
        found += here;
    }
    if (!found) fail_msg("there is no %s", from);
    free(files[in_weights]);
    files[in_weights] = changed.data;
    size[in_weights] = changed.size;
    int32_t got = from_memory(model, files[0], size[0], files[1], size[1], &adapter, &error);
    if (got != status || !strstr(error.message, said))
        fail_msg("%s to %s: %s (%s), not %s (%s)", from, to, tfm_status_name(got), error.message,
                 tfm_status_name(status), said);
    assert_null(adapter);
    free(files[0]);
    free(files[1]);
}

static void test_bad_files(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_adapter *adapter = NULL;
    tfm_model *model = load(GOLDEN "qwen3");
    uint64_t before = tfm_model_bytes(model);
    static const struct {
        const char *from, *to;
        int32_t status;
        const char *said;
    } settings[] =
        {
            {"\"LORA\"", "\"LOHA\"", TFM_E_UNSUPPORTED, "peft_type is \"LOHA\""},
            {"\"use_dora\": false", "\"use_dora\": true", TFM_E_UNSUPPORTED, "use_dora is true"},
            {"\"lora_bias\": false", "\"lora_bias\": true", TFM_E_UNSUPPORTED, "lora_bias is true"},
            {"\"bias\": \"none\"", "\"bias\": \"all\"", TFM_E_UNSUPPORTED, "bias is \"all\""},
            {"\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]", TFM_E_UNSUPPORTED,
             "modules_to_save"},
            {"\"layer_replication\": null", "\"layer_replication\": [[0, 2]]", TFM_E_UNSUPPORTED,
             "layer_replication"},
            {"\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa\"", TFM_E_UNSUPPORTED,
             "\"pissa\""},
            {"\"use_qalora\": false", "\"use_qalora\": true", TFM_E_UNSUPPORTED, "use_qalora is true"},
            {"\"arrow_config\": null", "\"of_tomorrow\": 1.5", TFM_E_UNSUPPORTED, "of_tomorrow is 1.5"},
            {"\"rank_pattern\": {}", "\"rank_pattern\": {\"(q|k)_proj\": 4}", TFM_E_UNSUPPORTED,
             "(q|k)_proj"},
            {"\"rank_pattern\": {}", "\"rank_pattern\": {\"k_proj\": 5}", TFM_E_SHAPE, "expected [5, "},
            {"\"r\": 4", "\"r\": 3", TFM_E_SHAPE, "expected [3, "},
            {"\"r\": 4", "\"r\": 0", TFM_E_FORMAT, "r is 0"},
            {"\"r\": 4", "\"r\": -4", TFM_E_FORMAT, "r is -4"},
            {"\"r\": 4", "\"r\": \"4\"", TFM_E_FORMAT, "r is \"4\""},
            {"\"lora_alpha\": 8", "\"lora_alpha\": null", TFM_E_FORMAT, "lora_alpha is null"},
            {"\"lora_alpha\": 8", "\"lora_alpha\": 1e999", TFM_E_FORMAT, "lora_alpha is 1e999"},
            {"\"use_rslora\": false", "\"use_rslora\": 1", TFM_E_FORMAT, "use_rslora is 1"},
            {"{", "[", TFM_E_FORMAT, "adapter_config.json"},
        },
      weights[] = {
          {"k_proj", "j_proj", TFM_E_UNSUPPORTED, "self_attn.j_proj"},
          {"layers.0.", "layers.9.", TFM_E_UNSUPPORTED, "layers.9."},
          {"layers.0.mlp.down_proj", "\\u0065mb\\u0065d_tokens", TFM_E_UNSUPPORTED,
           "adapters of the embedding"},
          {".lora_A.weight", ".lora_A.heavyx", TFM_E_UNSUPPORTED, "lora_A.heavyx"},
          {".lora_B.weight", ".lora_B.heavyx", TFM_E_MISSING, "lora_B.weight"},
          {"base_model.model", "base_model.modul", TFM_E_UNSUPPORTED, "base_model.modul"},
      };
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(settings); i++)
        expect_bad(model, settings[i].from, settings[i].to, false, settings[i].status, settings[i].said);
    for (size_t i = 0; i < TFM__COUNT(weights); i++)
        expect_bad(model, weights[i].from, weights[i].to, true, weights[i].status, weights[i].said);
    static const struct {
        const char *path;
        int32_t status;
    } paths[] = {{DATA "nowhere", TFM_E_NOT_FOUND},
                 {GOLDEN "qwen3", TFM_E_MISSING},
                 {GOLDEN "qwen3/model-f32.gguf", TFM_E_UNSUPPORTED},
                 {DATA "make_adapters.py", TFM_E_FORMAT},
                 {DATA "mistral-a", TFM_E_SHAPE},
                 {DATA "mistral-a.gguf", TFM_E_UNSUPPORTED},
                 {DATA "gpt2-a", TFM_E_UNSUPPORTED}};
    for (size_t i = 0; i < TFM__COUNT(paths); i++) {
        int32_t got = tfm_adapter_load(model, paths[i].path, &adapter, &error);
        if (got != paths[i].status)
            fail_msg("%s: %s (%s)", paths[i].path, tfm_status_name(got), error.message);
        assert_null(adapter);
    }
    assert_int_equal(tfm_model_bytes(model), before);
    tfm_model_release(model);
    model = load(GOLDEN "bert");
    assert_int_equal(tfm_adapter_load(model, DATA "qwen3-a", &adapter, &error), TFM_E_UNSUPPORTED);
    tfm_model_release(model);
}

static int32_t adapt_inside(void *user, const tfm_inspect_event *event) {
    (void)event;
    *(int32_t *)user = tfm_session_adapt(((tfm_session **)user)[1], NULL, 0, NULL);
    return 0;
}

static void test_bad_calls(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_adapter *adapter = NULL;
    tfm_adapter_info info = TFM_ADAPTER_INFO_INIT;
    tfm_model *model = load(GOLDEN "qwen3"), *other = load(GOLDEN "qwen3");
    (void)state;
    assert_int_equal(tfm_adapter_load(NULL, "x", &adapter, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_adapter_load(model, NULL, &adapter, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_adapter_load(model, "x", NULL, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_adapter_load_source(model, NULL, &adapter, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_adapter_get_info(NULL, &info, NULL), TFM_E_ARGUMENT);
    tfm_adapter_release(NULL);
    tfm_adapter_retain(NULL);
    adapter = open_adapter(model, "qwen3-a");
    tfm_adapter_use uses[65];
    for (size_t i = 0; i < 65; i++) uses[i] = (tfm_adapter_use){adapter, 0.01f, 0};
    tfm_session *session = new_session(model, uses, 64);
    const tfm_token ids[3] = {4, 5, 6};
    read_all(session, ids, 3);
    assert_int_equal(tfm_session_adapt(session, uses, 65, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_session_adapt(NULL, uses, 1, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_session_adapt(session, NULL, 1, &error), TFM_E_ARGUMENT);
    const float scales[] = {(float)NAN, (float)INFINITY};
    for (size_t i = 0; i < 2; i++) {
        const tfm_adapter_use bad = {adapter, scales[i], 0};
        assert_int_equal(tfm_session_adapt(session, &bad, 1, &error), TFM_E_ARGUMENT);
    }
    const tfm_adapter_use none = {NULL, 1, 0}, more = {adapter, 1, 7};
    assert_int_equal(tfm_session_adapt(session, &none, 1, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_session_adapt(session, &more, 1, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_logits_count(session), 3); /* nothing has changed */
    tfm_session *foreign = new_session(other, NULL, 0);
    assert_int_equal(tfm_session_adapt(foreign, uses, 1, &error), TFM_E_ARGUMENT);
    /* from inside */
    struct {
        int32_t status;
        tfm_session *session;
    } inside = {0, session};
    tfm_inspect_options at = TFM_INSPECT_OPTIONS_INIT;
    at.site = TFM_SITE_STREAM;
    assert_int_equal(offsetof(__typeof__(inside), session), sizeof(tfm_session *));
    if (tfm_inspect(session, &at, adapt_inside, &inside, NULL, &error)) fail_msg("%s", error.message);
    read_all(session, ids, 3);
    assert_int_equal(inside.status, TFM_E_STATE);
    tfm_session_destroy(foreign);
    tfm_adapter_release(adapter); /* the session still has it */
    tfm_model_release(model);
    read_all(session, ids, 3);
    tfm_session_destroy(session);
    tfm_model_release(other);
}

/* ---- Memory ---- */

static struct { size_t left, out; } memory;

static void *give(void *user, void *ptr, size_t old_size, size_t new_size, size_t align) {
    (void)user;
    if (new_size == 0) {
        memory.out -= old_size;
        free(ptr);
        return NULL;
    }
    if (memory.left == 0) return NULL;
    memory.left--;
    void *fresh = aligned_alloc(align < 64 ? 64 : align, (new_size + 63) / 64 * 64);
    assert_non_null(fresh);
    if (ptr) memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
    free(ptr);
    memory.out += new_size - old_size;
    return fresh;
}

static void test_memory(void **state) {
    tfm_allocator allocator = TFM_ALLOCATOR_INIT;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    (void)state;
    allocator.realloc = give;
    options.allocator = &allocator;
    memory.left = SIZE_MAX;
    tfm_model *model = load_with(GOLDEN "qwen3", &options);
    tfm_session *session = new_session(model, NULL, 0), *fork = NULL;
    tfm_model *merged = NULL;
    size_t before = memory.out, n = 0;
    for (bool done = false; !done; n++) {
        tfm_error error = TFM_ERROR_INIT;
        tfm_adapter *adapter = NULL;
        memory.left = n;
        int32_t status = tfm_adapter_load(model, DATA "qwen3-b", &adapter, &error);
        const tfm_adapter_use use = {adapter, 1, 0};
        if (!status) status = tfm_session_adapt(session, &use, 1, &error);
        if (!status) status = tfm_session_fork(session, &fork, &error);
        if (!status) status = tfm_adapter_merge(model, &use, 1, &merged, &error);
        done = status == TFM_OK;
        assert_true(done || status == TFM_E_MEMORY);
        memory.left = SIZE_MAX;
        tfm_session_destroy(fork);
        fork = NULL;
        tfm_model_release(merged);
        merged = NULL;
        assert_int_equal(tfm_session_adapt(session, NULL, 0, &error), TFM_OK);
        tfm_adapter_release(adapter);
        assert_int_equal(memory.out, before);
    }
    assert_true(n > 10);
    tfm_session_destroy(session);
    tfm_model_release(model);
    assert_int_equal(memory.out, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),       cmocka_unit_test(test_merge_types),
        cmocka_unit_test(test_perplexity),  cmocka_unit_test(test_golden),
        cmocka_unit_test(test_other_order), cmocka_unit_test(test_families),
        cmocka_unit_test(test_bits),        cmocka_unit_test(test_output),
        cmocka_unit_test(test_bad_files),   cmocka_unit_test(test_bad_calls),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
