/* test_quantize.c - whole models: which tensor gets which type (as llama.cpp chooses), the same bytes for any
 * number of threads, importance matrices of both forms, files of other formats as GGUF, and everything that
 * is refused. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/formats.h"
#include "quant/quant.h"
#include "tiny_model.h"

static char folder[64] = "/tmp/tfm-quantize-XXXXXX";

static const char *at(const char *name) {
    static char paths[32][128]; /* the last 32 stay */
    static int next;
    next = (next + 1) % 32;
    snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
    return paths[next];
}

static void write_file(const char *name, const void *data, size_t size) {
    FILE *file = fopen(at(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static uint8_t *read_file(const char *name, size_t *size) {
    FILE *file = fopen(at(name), "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*size + 1);
    assert_int_equal(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

static bool there(const char *name) {
    struct stat info;
    return stat(at(name), &info) == 0;
}

static void expect_same(const char *a, const char *b, bool same) {
    size_t x, y;
    uint8_t *left = read_file(a, &x), *right = read_file(b, &y);
    assert_int_equal(x == y && memcmp(left, right, x) == 0, same);
    free(left);
    free(right);
}

/* A Llama of F32 weights, rows of 256. */
static const tiny_spec wide = {.layers = 2, .width = 256, .heads = 4, .kv_heads = 2, .feed_forward = 256};

static void make_model(const tiny_spec *spec, const char *name) {
    tiny_file file = tiny_make(spec);
    write_file(name, file.data, file.size);
    free(file.data);
}

static void quantize(const char *from, const char *to, const char *type, const tfm_quantize_options *options,
                     tfm_quantize_result *result) {
    tfm_error error = TFM_ERROR_INIT;
    if (tfm_quantize(at(from), at(to), type, options, result, &error))
        fail_msg("%s: %s", type, error.message);
}

/* ---- Which tensor gets which type ---- */

static void free_plan(tfm__plan *plan) {
    tfm__free(plan->heap, plan->tensors);
    tfm__arena_free(&plan->arena);
}

/* Reads a model of mixes.txt: its tensors into shapes, in the order of llama.cpp's files. */
static void read_model(FILE *file, tfm__plan *plan, tfm__gguf_tensor **shapes, size_t *count) {
    char architecture[32], name[128];
    assert_int_equal(fscanf(file, "%31s %u %u %u %u %zu", architecture, &plan->layers, &plan->heads,
                            &plan->kv_heads, &plan->experts, count),
                     6);
    tfm__text text = {architecture, strlen(architecture)};
    const tfm__family *family = tfm__family_by_gguf(text);
    plan->mixes_down_less = family->mixes_down_less;
    plan->mixes_values_more = family->mixes_values_more;
    *shapes = calloc(*count, sizeof **shapes);
    for (size_t i = 0; i < *count; i++) {
        tfm__gguf_tensor *tensor = &(*shapes)[i];
        assert_int_equal(fscanf(file, "%127s %u", name, &tensor->dims), 2);
        tensor->name = tfm__arena_text(&plan->arena, name, strlen(name));
        for (uint32_t d = 0; d < tensor->dims; d++) {
            unsigned long long length;
            assert_int_equal(fscanf(file, "%llu", &length), 1);
            tensor->shape[d] = length;
        }
    }
}

static size_t check_mix(FILE *file, tfm__plan *plan, const tfm__gguf_tensor *shapes, size_t count) {
    tfm_quantize_options options = {0};
    tfm_quantize_result result = TFM_QUANTIZE_RESULT_INIT;
    char name[32];
    int weighted;
    assert_int_equal(fscanf(file, "%31s %d", name, &weighted), 2);
    plan->count = 0;
    for (size_t i = count; i-- > 0;) { /* types F32 */
        tfm__planned *planned;
        assert_int_equal(tfm__plan_add(plan, &planned), TFM_OK);
        planned->out = shapes[i];
    }
    assert_int_equal(tfm__mix_apply(tfm__mix_find(name), plan, &options, weighted != 0, &result), TFM_OK);
    for (size_t i = 0; i < count; i++) {
        unsigned type;
        assert_int_equal(fscanf(file, "%u", &type), 1);
        assert_string_equal(plan->tensors[i].out.name, shapes[i].name);
        /* llama.cpp refuses rows that no block of 32 divides; there are none here */
        if (plan->tensors[i].out.type != type)
            fail_msg("%s%s: %s is %s, not %s", name, weighted ? " with importance" : "", shapes[i].name,
                     tfm__dtype_of(plan->tensors[i].out.type)->name, tfm__dtype_of(type)->name);
    }
    return count;
}

static void test_mixes(void **state) {
    (void)state;
    FILE *file = fopen(TFM_TEST_DATA "/quant/mixes.txt", "r");
    tfm__heap heap;
    tfm__plan plan = {.heap = &heap};
    tfm__gguf_tensor *shapes = NULL;
    size_t count = 0, checked = 0;
    char word[16];
    assert_non_null(file);
    tfm__heap_init(&heap, NULL, 0);
    tfm__arena_init(&plan.arena, &heap);
    while (fscanf(file, "%15s", word) == 1 && strcmp(word, "end") != 0) {
        if (!strcmp(word, "model")) {
            free(shapes);
            read_model(file, &plan, &shapes, &count);
        } else {
            assert_string_equal(word, "mix");
            checked += check_mix(file, &plan, shapes, count);
        }
    }
    assert_true(checked > 50000);
    free(shapes);
    free_plan(&plan);
    fclose(file);
    assert_int_equal(heap.live, 0);
}

/* ---- Whole files ---- */

static void test_every_type(void **state) {
    (void)state;
    tfm_pool *pool = NULL;
    tfm_pool_options three = TFM_POOL_OPTIONS_INIT;
    tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
    three.threads = 3;
    assert_int_equal(tfm_pool_create(&three, &pool, NULL), TFM_OK);
    make_model(&wide, "wide.gguf");
    for (size_t i = 0; tfm_quantize_type(i); i++) {
        tfm_quantize_result result = TFM_QUANTIZE_RESULT_INIT;
        tfm_model *model = NULL;
        tfm_error error = TFM_ERROR_INIT;
        quantize("wide.gguf", "one.gguf", tfm_quantize_type(i), NULL, &result);
        options.pool = pool;
        quantize("wide.gguf", "three.gguf", tfm_quantize_type(i), &options, NULL);
        expect_same("one.gguf", "three.gguf", true);
        assert_int_equal(result.fallbacks, 0);
        assert_true(result.bytes <= result.source_bytes);
        if (tfm_model_load(at("one.gguf"), NULL, &model, &error))
            fail_msg("%s: %s", tfm_quantize_type(i), error.message);
        assert_int_equal(tfm_model_tensor_count(model), result.tensors);
        assert_non_null(tfm_tokenizer_of(model));
        tfm_model_release(model);
    }
    tfm_pool_destroy(pool);
}

/* F32 to F32 changes nothing but the order; a copy of a copy is the same file. */
static void test_copies(void **state) {
    (void)state;
    make_model(&wide, "wide.gguf");
    tfm_quantize_result result = TFM_QUANTIZE_RESULT_INIT;
    quantize("wide.gguf", "a.gguf", "f32", NULL, &result);
    assert_int_equal(result.quantized, 0);
    assert_int_equal(result.bytes, result.source_bytes);
    quantize("a.gguf", "b.gguf", "F32", NULL, NULL);
    expect_same("a.gguf", "b.gguf", true);
    quantize("a.gguf", "q.gguf", "Q8_0", NULL, NULL);
    quantize("q.gguf", "q2.gguf", "Q8_0", NULL, &result); /* already so: copied */
    assert_int_equal(result.quantized, 0);
    expect_same("q.gguf", "q2.gguf", true);
    quantize("q.gguf", "q.gguf", "Q8_0", NULL, NULL); /* onto itself */
    expect_same("q.gguf", "q2.gguf", true);
}

static const char *type_of(const tfm_model *model, const char *name) {
    for (size_t i = 0; i < tfm_model_tensor_count(model); i++) {
        tfm_tensor_info info = TFM_TENSOR_INFO_INIT;
        tfm_model_tensor(model, i, &info, NULL);
        if (!strcmp(info.name, name)) return info.type;
    }
    return "";
}

static void expect_type(const char *file, const char *name, const char *type) {
    tfm_model *model = NULL;
    assert_int_equal(tfm_model_load(at(file), NULL, &model, NULL), TFM_OK);
    assert_string_equal(type_of(model, name), type);
    tfm_model_release(model);
}

static void count_remarks(void *user, int32_t level, const char *text) {
    assert_int_equal(level, TFM_LOG_WARNING);
    assert_non_null(strstr(text, "instead"));
    ++*(int *)user;
}

static void test_choices(void **state) {
    (void)state;
    tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
    tfm_quantize_result result = TFM_QUANTIZE_RESULT_INIT;
    int remarks = 0;
    make_model(&wide, "wide.gguf");
    options.pure = 1;
    quantize("wide.gguf", "q.gguf", "Q4_K_M", &options, NULL);
    expect_type("q.gguf", "blk.0.attn_v.weight", "Q4_K");
    expect_type("q.gguf", "token_embd.weight", "Q4_K");
    options.pure = 0;
    options.output_type = "q8_0";
    options.embedding_type = "F16";
    quantize("wide.gguf", "q.gguf", "Q4_K_M", &options, NULL);
    expect_type("q.gguf", "token_embd.weight", "F16");
    expect_type("q.gguf", "blk.0.attn_norm.weight", "F32");

    /* rows of 96 and of 80: blocks of 32 fit the first, none the second */
    static const tiny_spec narrow = {.width = 96, .heads = 2, .kv_heads = 1, .feed_forward = 80};
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.log = count_remarks;
    options.log_user = &remarks;
    make_model(&narrow, "narrow.gguf");
    quantize("narrow.gguf", "q.gguf", "Q4_K_S", &options, &result);
    expect_type("q.gguf", "blk.0.attn_q.weight", "Q5_0");
    expect_type("q.gguf", "blk.0.ffn_down.weight", "F16");
    assert_true(result.fallbacks > 4);
    assert_int_equal(remarks, result.fallbacks);
    quantize("narrow.gguf", "q.gguf", "Q3_K_S", &options, &result);
    expect_type("q.gguf", "blk.0.attn_q.weight", "IQ4_NL");
}

/* ---- What is refused ---- */

static int32_t stop_late(void *user, uint64_t done, uint64_t total) {
    (void)user;
    return done > total / 4;
}

static void expect_refused(const char *from, const char *type, const tfm_quantize_options *options,
                           int32_t status) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_quantize_result result = {sizeof result, 9, 9, 9, 9, 9, 9, 9};
    remove(at("refused.gguf"));
    int32_t got = tfm_quantize(at(from), at("refused.gguf"), type, options, &result, &error);
    if (got != status)
        fail_msg("%s to %s: %d (%s), not %d", from, type, (int)got, error.message, (int)status);
    assert_int_equal(error.code, status);
    assert_true(error.message[0] != 0);
    assert_int_equal(result.tensors, 0);
    assert_false(there("refused.gguf"));
}

static void test_refused(void **state) {
    (void)state;
    tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
    make_model(&wide, "wide.gguf");
    assert_int_equal(tfm_quantize(NULL, "x", "F16", NULL, NULL, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_quantize("x", NULL, "F16", NULL, NULL, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_quantize("x", "x", NULL, NULL, NULL, NULL), TFM_E_ARGUMENT);
    expect_refused("wide.gguf", "Q4_K_X", NULL, TFM_E_ARGUMENT);
    expect_refused("wide.gguf", "IQ2_XXS", NULL, TFM_E_ARGUMENT);
    expect_refused("wide.gguf", "", NULL, TFM_E_ARGUMENT);
    expect_refused("none.gguf", "F16", NULL, TFM_E_NOT_FOUND);
    options.output_type = "I8";
    expect_refused("wide.gguf", "F16", &options, TFM_E_ARGUMENT);
    options.output_type = NULL;
    options.progress = stop_late;
    expect_refused("wide.gguf", "Q4_0", &options, TFM_E_CANCELLED);
    options.progress = NULL;
    options.byte_budget = 4096;
    expect_refused("wide.gguf", "Q4_0", &options, TFM_E_BUDGET);
    options.byte_budget = 0;
    options.imatrix = at("none.dat");
    expect_refused("wide.gguf", "Q4_0", &options, TFM_E_NOT_FOUND);

    /* quantised already */
    quantize("wide.gguf", "q8.gguf", "Q8_0", NULL, NULL);
    expect_refused("q8.gguf", "Q4_0", NULL, TFM_E_UNSUPPORTED);
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.requantize = 1;
    quantize("q8.gguf", "q4.gguf", "Q4_0", &options, NULL);

    /* a file that ends early; a folder without a model; something else */
    size_t size;
    uint8_t *data = read_file("wide.gguf", &size);
    write_file("short.gguf", data, size / 2);
    expect_refused("short.gguf", "F16", NULL, TFM_E_TRUNCATED);
    write_file("empty.gguf", data, 0);
    expect_refused("empty.gguf", "F16", NULL, TFM_E_TRUNCATED);
    write_file("other.gguf", "no model at all", 15);
    expect_refused("other.gguf", "F16", NULL, TFM_E_FORMAT);
    free(data);
}

/* Changes one value of a tensor in a file. */
static void spoil(const char *from, const char *to, const char *tensor, size_t index, float value) {
    tfm__heap heap;
    tfm__store store;
    tfm__container container;
    size_t size;
    uint8_t *data = read_file(from, &size);
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(tfm__store_open_memory(&store, &heap, data, size, NULL), TFM_OK);
    assert_int_equal(tfm__container_open(&store, &container, NULL), TFM_OK);
    uint64_t offset = tfm__container_tensor(&container, tensor)->offset;
    tfm__container_release(&container);
    tfm__store_close(&store);
    memcpy(data + offset + 4 * index, &value, 4);
    write_file(to, data, size);
    free(data);
}

static void test_values(void **state) {
    (void)state;
    static const char *const blocked[] = {"Q4_0", "Q8_0", "Q2_K", "Q6_K", "IQ4_XS", "MXFP4"};
    make_model(&wide, "wide.gguf");
    spoil("wide.gguf", "nan.gguf", "blk.1.ffn_up.weight", 70000 % 65536, NAN);
    spoil("wide.gguf", "inf.gguf", "blk.1.ffn_up.weight", 12345, -INFINITY);
    spoil("wide.gguf", "large.gguf", "blk.1.ffn_up.weight", 54321, 1e30f);
    for (size_t i = 0; i < TFM__COUNT(blocked); i++) {
        expect_refused("nan.gguf", blocked[i], NULL, TFM_E_FORMAT);
        expect_refused("inf.gguf", blocked[i], NULL, TFM_E_FORMAT);
        expect_refused("large.gguf", blocked[i], NULL, TFM_E_UNSUPPORTED);
    }
    expect_refused("large.gguf", "F16", NULL, TFM_E_UNSUPPORTED);
    quantize("large.gguf", "large16.gguf", "BF16", NULL, NULL);
}

/* ---- Importance ---- */

typedef struct bytes {
    uint8_t data[65536];
    size_t size;
} bytes;

static void put(bytes *b, const void *data, size_t size) {
    assert_true(b->size + size <= sizeof b->data);
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void put_i32(bytes *b, int32_t value) { put(b, &value, 4); }

static const char *const weighted[] = {"blk.0.attn_q.weight", "blk.1.ffn_down.weight", "no.such.weight"};

static float mean_square(size_t tensor, size_t column) {
    return (float)((column * 7 + tensor * 3) % 11) / 4.0f;
}

/* The older form: sums over `calls`. */
static void old_matrix(bytes *b, int32_t calls) {
    b->size = 0;
    put_i32(b, (int32_t)TFM__COUNT(weighted));
    for (size_t t = 0; t < TFM__COUNT(weighted); t++) {
        put_i32(b, (int32_t)strlen(weighted[t]));
        put(b, weighted[t], strlen(weighted[t]));
        put_i32(b, calls);
        put_i32(b, 256);
        for (size_t i = 0; i < 256; i++) {
            float sum = mean_square(t, i) * (float)calls;
            put(b, &sum, 4);
        }
    }
    put_i32(b, calls);
    put_i32(b, 4);
    put(b, "text", 4);
}

static void gguf_matrix(const char *name) {
    tfm__heap heap;
    tfm__buffer out;
    tfm__gguf_values values;
    tfm__gguf_tensor list[2 * TFM__COUNT(weighted)];
    char names[2 * TFM__COUNT(weighted)][64];
    uint64_t data;
    tfm__heap_init(&heap, NULL, 0);
    tfm__buffer_init(&out, &heap);
    tfm__gguf_values_init(&values, &heap);
    tfm__gguf_put_text(&values, "general.type", "imatrix", 7);
    for (size_t t = 0; t < TFM__COUNT(weighted); t++) {
        snprintf(names[2 * t], sizeof names[0], "%s.in_sum2", weighted[t]);
        snprintf(names[2 * t + 1], sizeof names[0], "%s.counts", weighted[t]);
        list[2 * t] =
            (tfm__gguf_tensor){.name = names[2 * t], .type = TFM__F32, .dims = 2, .shape = {1, 256}};
        list[2 * t + 1] =
            (tfm__gguf_tensor){.name = names[2 * t + 1], .type = TFM__F32, .dims = 2, .shape = {1, 1}};
    }
    assert_int_equal(tfm__gguf_head(&values, list, TFM__COUNT(list), &out, &data, NULL), TFM_OK);
    for (size_t t = 0; t < TFM__COUNT(weighted); t++) {
        float count[8] = {16.0f}; /* and zeros up to the alignment */
        for (size_t i = 0; i < 256; i++) {
            float sum = mean_square(t, i) * 16.0f;
            assert_true(tfm__buffer_append(&out, &sum, 4));
        }
        assert_true(tfm__buffer_append(&out, count, sizeof count));
    }
    write_file(name, out.data, out.size);
    tfm__buffer_free(&out);
    tfm__gguf_values_free(&values);
    assert_int_equal(heap.live, 0);
}

static void test_importance(void **state) {
    (void)state;
    tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
    tfm_quantize_result result = TFM_QUANTIZE_RESULT_INIT;
    bytes *matrix = calloc(1, sizeof *matrix);
    make_model(&wide, "wide.gguf");
    old_matrix(matrix, 4);
    write_file("matrix.dat", matrix->data, matrix->size);
    gguf_matrix("matrix.gguf");
    static const char *const mixes[] = {"Q4_K_S", "Q2_K", "Q5_1", "IQ4_NL", "Q6_K"};
    for (size_t i = 0; i < TFM__COUNT(mixes); i++) {
        quantize("wide.gguf", "plain.gguf", mixes[i], NULL, NULL);
        options.imatrix = at("matrix.dat");
        quantize("wide.gguf", "old.gguf", mixes[i], &options, &result);
        assert_int_equal(result.weighted, 2);
        options.imatrix = at("matrix.gguf");
        quantize("wide.gguf", "new.gguf", mixes[i], &options, &result);
        assert_int_equal(result.weighted, 2);
        expect_same("old.gguf", "new.gguf", true);
        expect_same("old.gguf", "plain.gguf", false);
    }
    free(matrix);
}

static void test_wrong_importance(void **state) {
    (void)state;
    tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
    bytes *matrix = calloc(1, sizeof *matrix);
    float nan = NAN;
    make_model(&wide, "wide.gguf");
    options.imatrix = at("matrix.dat");
    old_matrix(matrix, 4);
    size_t whole = matrix->size, entries = whole - 12;
    for (size_t size = 0; size < entries; size += size < 100 ? 1 : 131) {
        tfm_error error = TFM_ERROR_INIT;
        write_file("matrix.dat", matrix->data, size);
        options.imatrix = at("matrix.dat");
        int32_t status = tfm_quantize(at("wide.gguf"), at("refused.gguf"), "Q4_0", &options, NULL, &error);
        if (status != TFM_E_TRUNCATED && status != TFM_E_FORMAT) fail_msg("%zu bytes: %d", size, (int)status);
        assert_false(there("refused.gguf"));
    }
    memcpy(matrix->data + 4 + 4 + strlen(weighted[0]) + 8 + 40, &nan, 4);
    write_file("matrix.dat", matrix->data, whole);
    expect_refused("wide.gguf", "Q4_0", &options, TFM_E_FORMAT);

    /* another model's: other sizes, other names */
    static const tiny_spec other = {
        .layers = 2, .width = 128, .heads = 4, .kv_heads = 2, .feed_forward = 256};
    make_model(&other, "other.gguf");
    old_matrix(matrix, 4);
    write_file("matrix.dat", matrix->data, whole);
    expect_refused("other.gguf", "Q4_0", &options, TFM_E_SHAPE);
    memcpy(matrix->data + 8, "x", 1);
    memcpy(matrix->data + 8 + strlen(weighted[0]) + 8 + 1024 + 4, "x", 1);
    write_file("matrix.dat", matrix->data, whole);
    expect_refused("wide.gguf", "Q4_0", &options, TFM_E_FORMAT);
    options.imatrix = at("wide.gguf"); /* GGUF, but a model */
    expect_refused("wide.gguf", "Q4_0", &options, TFM_E_FORMAT);
    free(matrix);
}

/* ---- Measuring importance ------------------------------------------------------------------------------ */

typedef struct opened {
    tfm__heap heap;
    tfm__store store;
    tfm__container container;
} opened;

static void open_file(opened *o, const char *name) {
    tfm__read_options read = {.into_memory = true};
    tfm_error error = TFM_ERROR_INIT;
    tfm__heap_init(&o->heap, NULL, 0);
    if (tfm__store_open_path(&o->store, &o->heap, at(name), &read, &error) ||
        tfm__container_open(&o->store, &o->container, &error))
        fail_msg("%s", error.message);
}

static void close_file(opened *o) {
    tfm__container_release(&o->container);
    tfm__store_close(&o->store);
    assert_int_equal(o->heap.live, 0);
}

static float value_of(const opened *o, const char *name, size_t index) {
    const tfm__tensor *tensor = tfm__container_tensor(&o->container, name);
    if (!tensor) fail_msg("no tensor %s", name);
    assert_true(4 * index < tensor->bytes);
    return tfm__f32_le(tensor->data + 4 * index);
}

/* What attention reads in layer 0 is known without the model: the norm of the embedding. */
static void check_first_layer(const opened *model, const opened *matrix, const tfm_token *ids, size_t count) {
    double sums[256] = {0};
    for (size_t t = 0; t < count; t++) {
        double squares = 0.0;
        for (size_t i = 0; i < 256; i++) {
            double x = value_of(model, "token_embd.weight", (size_t)ids[t] * 256 + i);
            squares += x * x;
        }
        for (size_t i = 0; i < 256; i++) {
            double x = value_of(model, "token_embd.weight", (size_t)ids[t] * 256 + i) /
                       sqrt(squares / 256 + 1e-5) * value_of(model, "blk.0.attn_norm.weight", i);
            sums[i] += x * x;
        }
    }
    for (size_t i = 0; i < 256; i++)
        assert_true(fabs(value_of(matrix, "blk.0.attn_q.weight.in_sum2", i) / sums[i] - 1.0) < 1e-4);
}

static void test_measure(void **state) {
    (void)state;
    tfm_imatrix_options options = TFM_IMATRIX_OPTIONS_INIT;
    tfm_quantize_options how = TFM_QUANTIZE_OPTIONS_INIT;
    tfm_quantize_result result = TFM_QUANTIZE_RESULT_INIT;
    tfm_pool *pool = NULL;
    tfm_pool_options three = TFM_POOL_OPTIONS_INIT;
    tfm_model_options loading = TFM_MODEL_OPTIONS_INIT;
    tfm_token ids[70], read[64];
    opened model, matrix;
    make_model(&wide, "wide.gguf");
    tiny t = tiny_open(&wide, NULL);
    for (int i = 0; i < 70; i++) ids[i] = TINY_LETTER + (i * 11) % 26;
    options.context = 32;
    options.dataset = "letters";
    assert_int_equal(tfm_imatrix_measure(t.model, ids, 70, at("m.gguf"), &options, NULL), TFM_OK);
    open_file(&matrix, "m.gguf");
    open_file(&model, "wide.gguf");
    /* two windows of 32, each with the token that begins texts in place of its first one */
    for (int i = 0; i < 64; i++) read[i] = i % 32 ? ids[i - 1] : TINY_BOS;
    check_first_layer(&model, &matrix, read, 64);
    assert_int_equal(matrix.container.tensor_count, 2 * 2 * 7);
    assert_true(value_of(&matrix, "blk.1.ffn_down.weight.counts", 0) == 64.0f);
    assert_true(value_of(&matrix, "blk.1.attn_output.weight.in_sum2", 9) > 0.0f);
    close_file(&matrix);
    close_file(&model);

    /* the older form says the same; threads change nothing */
    options.format = TFM_IMATRIX_DAT;
    assert_int_equal(tfm_imatrix_measure(t.model, ids, 70, at("m.dat"), &options, NULL), TFM_OK);
    how.imatrix = at("m.dat");
    quantize("wide.gguf", "old.gguf", "Q4_K_S", &how, &result);
    assert_int_equal(result.weighted, 14); /* not the embedding */
    how.imatrix = at("m.gguf");
    quantize("wide.gguf", "new.gguf", "Q4_K_S", &how, &result);
    assert_int_equal(result.weighted, 14);
    tiny_close(&t);
    three.threads = 3;
    assert_int_equal(tfm_pool_create(&three, &pool, NULL), TFM_OK);
    loading.pool = pool;
    t = tiny_open(&wide, &loading);
    assert_int_equal(tfm_imatrix_measure(t.model, ids, 70, at("m3.dat"), &options, NULL), TFM_OK);
    expect_same("m.dat", "m3.dat", true);
    tiny_close(&t);
    tfm_pool_destroy(pool);
}

static int32_t stop_now(void *user, uint64_t done, uint64_t total) {
    (void)user;
    (void)total;
    return done > 0;
}

static void test_wrong_measure(void **state) {
    (void)state;
    tfm_imatrix_options options = TFM_IMATRIX_OPTIONS_INIT;
    tfm_token ids[40];
    tiny t = tiny_open(NULL, NULL);
    for (int i = 0; i < 40; i++) ids[i] = TINY_LETTER;
    options.context = 16;
    const char *path = at("never.gguf");
    assert_int_equal(tfm_imatrix_measure(NULL, ids, 40, path, &options, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_imatrix_measure(t.model, ids, 40, NULL, &options, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_imatrix_measure(t.model, ids, 14, path, &options, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_imatrix_measure(t.model, ids, 40, path, NULL, NULL), TFM_E_ARGUMENT); /* not 512 */
    options.format = 2;
    assert_int_equal(tfm_imatrix_measure(t.model, ids, 40, path, &options, NULL), TFM_E_ARGUMENT);
    options.format = 0;
    options.context = 1;
    assert_int_equal(tfm_imatrix_measure(t.model, ids, 40, path, &options, NULL), TFM_E_ARGUMENT);
    options.context = 16;
    options.progress = stop_now;
    assert_int_equal(tfm_imatrix_measure(t.model, ids, 40, path, &options, NULL), TFM_E_CANCELLED);
    options.progress = NULL;
    ids[7] = TINY_VOCAB;
    assert_int_equal(tfm_imatrix_measure(t.model, ids, 40, path, &options, NULL), TFM_E_TOKEN);
    ids[7] = 1;
    assert_int_equal(tfm_imatrix_measure(t.model, ids, 40, "/no/such/folder/m", &options, NULL),
                     TFM_E_NOT_FOUND);
    assert_false(there("never.gguf"));
    tiny_close(&t);
}

/* Every token is read by as many experts as are chosen. */
static void test_measure_experts(void **state) {
    (void)state;
    char path[400];
    struct stat info;
    tfm_imatrix_options options = TFM_IMATRIX_OPTIONS_INIT;
    tfm_model *model = NULL;
    tfm_token ids[48];
    opened matrix;
    float rows = 0.0f;
    snprintf(path, sizeof path, "%s/golden/forward/qwen2-moe", TFM_SHARED);
    if (stat(path, &info)) skip();
    assert_int_equal(tfm_model_load(path, NULL, &model, NULL), TFM_OK);
    for (int i = 0; i < 48; i++) ids[i] = 20 + i;
    options.context = 24;
    options.add_bos = TFM_NO;
    assert_int_equal(tfm_imatrix_measure(model, ids, 48, at("moe.gguf"), &options, NULL), TFM_OK);
    tfm_model_release(model);
    open_file(&matrix, "moe.gguf");
    const tfm__tensor *counts = tfm__container_tensor(&matrix.container, "blk.0.ffn_down_exps.weight.counts");
    assert_non_null(counts);
    for (size_t e = 0; e < counts->shape[0]; e++) rows += value_of(&matrix, counts->name, e);
    assert_true(rows >= 48.0f && fmodf(rows, 48.0f) == 0.0f);
    assert_true(value_of(&matrix, "blk.0.ffn_down_shexp.weight.counts", 0) == 48.0f);
    assert_non_null(tfm__container_tensor(&matrix.container, "blk.0.ffn_gate_inp.weight.in_sum2"));
    close_file(&matrix);
}

/* ---- Other formats ---- */

static const tfm__tensor *tensor_of(const tfm__container *container, const char *name) {
    const tfm__tensor *tensor = tfm__container_tensor(container, name);
    if (!tensor) fail_msg("there is no tensor %s", name);
    return tensor;
}

/* A Hugging Face folder written by us holds, bit for bit, what llama.cpp's converter makes of it. */
static void check_converted(const char *path) {
    char source[512];
    tfm__heap heap;
    tfm__store stores[2];
    tfm__container files[2];
    tfm__read_options read = {0};
    tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    options.tokenizer = TFM_NO;
    snprintf(source, sizeof source, "%s/model-f32.gguf", path);
    if (tfm_quantize(path, at("ours.gguf"), "F32", &options, NULL, &error)) fail_msg("%s", error.message);
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(tfm__store_open_path(&stores[0], &heap, source, &read, NULL), TFM_OK);
    assert_int_equal(tfm__store_open_path(&stores[1], &heap, at("ours.gguf"), &read, NULL), TFM_OK);
    for (int i = 0; i < 2; i++) assert_int_equal(tfm__container_open(&stores[i], &files[i], NULL), TFM_OK);
    assert_int_equal(files[0].tensor_count, files[1].tensor_count);
    for (size_t i = 0; i < files[0].tensor_count; i++) {
        const tfm__tensor *theirs = &files[0].tensors[i], *ours = tensor_of(&files[1], theirs->name);
        assert_int_equal(ours->type, theirs->type);
        assert_int_equal(ours->dims, theirs->dims);
        assert_memory_equal(ours->shape, theirs->shape, ours->dims * sizeof *ours->shape);
        if (!strcmp(theirs->name, "rope_freqs.weight")) { /* computed here and there */
            for (size_t v = 0; v < ours->shape[0]; v++)
                assert_true(fabsf(tfm__f32_le(ours->data + 4 * v) / tfm__f32_le(theirs->data + 4 * v) -
                                  1.0f) < 1e-6f);
            continue;
        }
        if (memcmp(ours->data, theirs->data, (size_t)ours->bytes))
            fail_msg("%s: %s differs", path, theirs->name);
    }
    for (int i = 0; i < 2; i++) {
        tfm__container_release(&files[i]);
        tfm__store_close(&stores[i]);
    }
    assert_int_equal(heap.live, 0);
}

static void test_converted(void **state) {
    static const char *const shared[] = {
        "bloom",        "cohere",     "cohere2",     "ernie4_5",  "falcon",   "falcon-new",
        "gemma",        "gemma3",     "gpt-neox",    "gpt2",      "granite",  "llama",
        "llama-linear", "llama-yarn", "llama3-rope", "mixtral",   "nemotron", "olmo",
        "olmo2",        "qwen2-moe",  "qwen3",       "qwen3-moe", "smollm3",  "stablelm"};
    (void)state;
    check_converted(TFM_TEST_DATA "/golden/qwen3");
    for (size_t i = 0; i < TFM__COUNT(shared); i++) {
        char path[400];
        struct stat info;
        snprintf(path, sizeof path, "%s/golden/forward/%s", TFM_SHARED, shared[i]);
        if (stat(path, &info)) {
            print_message("no %s: left out\n", path);
            continue;
        }
        check_converted(path);
    }
}

/* The tokenizer goes along, and says the same. */
static void test_tokenizer(void **state) {
    static const char *const shared[] = {"qwen2", "gpt2", "olmo"};
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(shared); i++) {
        static const char text[] = "The quick brown fox, 123 and naïve 床前明月光!\n  x";
        char path[400];
        struct stat info;
        tfm_tokenizer *before = NULL, *after = NULL;
        tfm_token a[128], b[128];
        size_t n = 0, m = 0;
        snprintf(path, sizeof path, "%s/golden/forward/%s", TFM_SHARED, shared[i]);
        if (stat(path, &info)) continue;
        assert_int_equal(tfm_quantize(path, at("with.gguf"), "F16", NULL, NULL, NULL), TFM_OK);
        assert_int_equal(tfm_tokenizer_load(path, NULL, &before, NULL), TFM_OK);
        assert_int_equal(tfm_tokenizer_load(at("with.gguf"), NULL, &after, NULL), TFM_OK);
        assert_int_equal(tfm_tokenize(before, text, sizeof text - 1, NULL, a, 128, &n, NULL), TFM_OK);
        assert_int_equal(tfm_tokenize(after, text, sizeof text - 1, NULL, b, 128, &m, NULL), TFM_OK);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n * sizeof *a);
        tfm_tokenizer_release(before);
        tfm_tokenizer_release(after);
    }
}

/* llama2.c's files are in GGUF's order already: the logits have the same bits. */
static void test_llama2c(void **state) {
    static const char text[] = "Once upon a  time, a na\xc3\xafve \xe5\xba\x8a\n";
    (void)state;
    char path[400];
    struct stat info;
    tfm_token ids[2][64];
    size_t count[2];
    float *rows[2];
    size_t vocab = 0;
    snprintf(path, sizeof path, "%s/data/models/llama2c-stories260K/stories260K.bin", TFM_SHARED);
    if (stat(path, &info)) skip();
    assert_int_equal(tfm_quantize(path, at("stories.gguf"), "F32", NULL, NULL, NULL), TFM_OK);
    for (int i = 0; i < 2; i++) {
        tfm_model *model = NULL;
        tfm_session *session = NULL;
        const float *logits;
        assert_int_equal(tfm_model_load(i ? at("stories.gguf") : path, NULL, &model, NULL), TFM_OK);
        assert_int_equal(
            tfm_tokenize(tfm_tokenizer_of(model), text, sizeof text - 1, NULL, ids[i], 64, &count[i], NULL),
            TFM_OK);
        assert_int_equal(tfm_session_create(model, NULL, &session, NULL), TFM_OK);
        assert_int_equal(tfm_forward(session, ids[i], count[i], NULL, NULL), TFM_OK);
        assert_int_equal(tfm_logits(session, 0, &logits, &vocab, NULL), TFM_OK);
        rows[i] = malloc(vocab * sizeof(float));
        memcpy(rows[i], logits, vocab * sizeof(float));
        tfm_session_destroy(session);
        tfm_model_release(model);
    }
    assert_int_equal(count[0], count[1]);
    assert_memory_equal(ids[0], ids[1], count[0] * sizeof *ids[0]);
    assert_memory_equal(rows[0], rows[1], vocab * sizeof(float));
    free(rows[0]);
    free(rows[1]);
}

/* A folder whose queries have a bias of a given shape besides. */
static void make_biased(const char *name, uint32_t dims, uint64_t first, uint64_t second) {
    tfm__heap heap;
    tfm__store store;
    tfm__container container;
    tfm__read_options read = {0};
    float bias[256];
    size_t size;
    char path[160];
    for (int i = 0; i < 256; i++) bias[i] = (float)i;
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(tfm__store_open_path(&store, &heap, TFM_TEST_DATA "/golden/mistral", &read, NULL),
                     TFM_OK);
    assert_int_equal(tfm__container_open(&store, &container, NULL), TFM_OK);
    tfm__save_tensor *list = calloc(container.tensor_count + 1, sizeof *list);
    for (size_t i = 0; i < container.tensor_count; i++) {
        const tfm__tensor *tensor = &container.tensors[i];
        list[i] = (tfm__save_tensor){
            .name = tensor->name, .type = tensor->type, .dims = tensor->dims, .data = tensor->data};
        memcpy(list[i].shape, tensor->shape, sizeof tensor->shape);
    }
    list[container.tensor_count] = (tfm__save_tensor){.name = "model.layers.0.self_attn.q_proj.bias",
                                                      .type = TFM__F32,
                                                      .dims = dims,
                                                      .shape = {first, second},
                                                      .data = bias};
    mkdir(at(name), 0777);
    snprintf(path, sizeof path, "%s/model.safetensors", at(name));
    assert_int_equal(tfm__safetensors_save(&heap, path, list, container.tensor_count + 1, NULL), TFM_OK);
    free(list);
    tfm__container_release(&container);
    tfm__store_close(&store);
    FILE *from = fopen(TFM_TEST_DATA "/golden/mistral/config.json", "rb");
    char text[8192];
    assert_non_null(from);
    size = fread(text, 1, sizeof text, from);
    fclose(from);
    snprintf(path, sizeof path, "%s/config.json", name);
    write_file(path, text, size);
}

/* The bias goes where the rows of its matrix go, also when it has a row for each head. */
static void test_biases(void **state) {
    (void)state;
    tfm_model *model = NULL;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
    opened file;
    assert_int_equal(tfm_model_load(TFM_TEST_DATA "/golden/mistral", NULL, &model, NULL), TFM_OK);
    assert_int_equal(tfm_model_get_info(model, &info, NULL), TFM_OK);
    tfm_model_release(model);
    uint64_t heads = (uint64_t)info.heads, size = (uint64_t)info.head_dim;
    assert_true(heads * size <= 256);
    options.tokenizer = TFM_NO;
    for (int rows = 0; rows < 2; rows++) {
        tfm_error error = TFM_ERROR_INIT;
        make_biased("biased", rows ? 2 : 1, rows ? heads : heads * size, rows ? size : 0);
        if (tfm_quantize(at("biased"), at("biased.gguf"), "F32", &options, NULL, &error))
            fail_msg("%s", error.message);
        open_file(&file, "biased.gguf");
        for (size_t i = 0; i < heads * size; i++) {
            size_t in = i % size, from = i - in + in % 2 * (size / 2) + in / 2;
            assert_true(value_of(&file, "blk.0.attn_q.bias", i) == (float)from);
        }
        close_file(&file);
    }
}

static void test_no_words(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    assert_int_equal(tfm_quantize(TFM_TEST_DATA "/golden/bert", at("x.gguf"), "F16", NULL, NULL, &error),
                     TFM_E_UNSUPPORTED);
    assert_int_equal(tfm_quantize(TFM_TEST_DATA "/golden/mistral", at("x.gguf"), "F16", NULL, NULL, &error),
                     TFM_E_MISSING); /* no tokenizer there */
    assert_false(there("x.gguf"));
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixes),         cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_copies),        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_values),
        cmocka_unit_test(test_importance),    cmocka_unit_test(test_wrong_importance),
        cmocka_unit_test(test_converted),     cmocka_unit_test(test_tokenizer),
        cmocka_unit_test(test_no_words),      cmocka_unit_test(test_biases),
        cmocka_unit_test(test_llama2c),       cmocka_unit_test(test_measure),
        cmocka_unit_test(test_wrong_measure), cmocka_unit_test(test_measure_experts),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
