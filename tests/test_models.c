/* test_models.c - trained models: the bundled one, and others that lie beside the repository (skipped,
 * visibly, where they do not).
 *
 * stories260K (llama2.c and GGUF version 1) must tell the story that llama2.c's own program tells at
 * temperature 0; gpt-nano-sort (a minGPT that sorts letters) comes with PyTorch's values of every stage for
 * one batch. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/state.h"
#include "tfm/tfm.h"

static bool exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

/* ---- stories260K --------------------------------------------------------------------------------------- */

static const char story[] =
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball. She wanted to play with it, but it was too high.";

typedef struct text {
    char data[2048];
    size_t size;
} text;

static int32_t collect(void *user, const tfm_token_event *event) {
    text *t = user;
    if (t->size + event->length < sizeof t->data) {
        memcpy(t->data + t->size, event->bytes, event->length);
        t->size += event->length;
    }
    return 0;
}

static void tell_story(const char *path) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    tfm_model *model = NULL;
    tfm_session *session = NULL;
    text t = {.size = 0};
    if (!exists(path)) skip();
    if (tfm_model_load(path, NULL, &model, &error) || tfm_session_create(model, NULL, &session, &error))
        fail_msg("%s", error.message);
    options.max_tokens = 150;
    if (tfm_generate(session, NULL, NULL, 0, &options, collect, &t, NULL, &error))
        fail_msg("%s", error.message);
    const char *begin =
        t.data[0] == ' ' ? t.data + 1 : t.data; /* the first piece's space, which run.c drops */
    assert_memory_equal(begin, story, sizeof story - 1);
    tfm_session_destroy(session);
    tfm_model_release(model);
}

static void test_stories_llama2c(void **state) {
    (void)state;
    tell_story(TFM_SHARED "/data/models/llama2c-stories260K/stories260K.bin");
}

static void test_stories_gguf(void **state) {
    (void)state;
    tell_story(TFM_SHARED "/data/models/gguf-stories260K/tinyllamas-stories-260k-f32.gguf");
}

/* ---- The bundled model -----------------------------------------------------------------------------------
 */

/* First lines of well-known Tang poems and what a reader expects after them. */
static void test_bundled_recites(void **state) {
    static const char *const poems[][2] = {
        {"床前明月光，", "疑是地上霜。举头望明月，低头思故乡。"},
        {"春眠不觉晓，", "处处闻啼鸟。夜来风雨声，花落知多少。"},
        {"白日依山尽，", "黄河入海流。欲穷千里目，更上一层楼。"},
        {"红豆生南国，", "春来发几枝。愿君多采撷，此物最相思。"},
        {"千山鸟飞绝，", "万径人踪灭。孤舟蓑笠翁，独钓寒江雪。"},
        {"月落乌啼霜满天，", "江枫渔火对愁眠。姑苏城外寒山寺，夜半钟声到客船。"},
        {"国破山河在，",
         "城春草木深。感时花溅泪，恨别鸟惊心。烽火连三月，家书抵万金。白头搔更短，浑欲不胜簪。"},
    };
    tfm_error error = TFM_ERROR_INIT;
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    tfm_model *model = NULL;
    (void)state;
    options.max_tokens = 100;
    if (tfm_model_load(TFM_MODELS "/tang.gguf", NULL, &model, &error)) fail_msg("%s", error.message);
    for (size_t i = 0; i < TFM__COUNT(poems); i++) {
        tfm_generation_summary summary = TFM_GENERATION_SUMMARY_INIT;
        tfm_session *session = NULL;
        text t = {.size = 0};
        assert_int_equal(tfm_session_create(model, NULL, &session, &error), TFM_OK);
        if (tfm_generate(session, NULL, poems[i][0], strlen(poems[i][0]), &options, collect, &t, &summary,
                         &error))
            fail_msg("%s", error.message);
        t.data[t.size] = 0;
        assert_string_equal(t.data, poems[i][1]);
        assert_int_equal(summary.stop, TFM_STOP_END);
        tfm_session_destroy(session);
    }
    tfm_model_release(model);
}

/* ---- gpt-nano-sort ---------------------------------------------------------------------------------------
 */

#define NANO TFM_SHARED "/data/models/gpt-nano-sort/"
#define BATCH 3
#define LENGTH 11
#define WIDTH 48
#define HEADS 3
#define HEAD 16

typedef struct nano {
    tfm__heap heap;
    tfm__blob weights_file, values_file;
    tfm__store store;
    tfm__json weights, values;
    size_t row; /* of the batch */
} nano;

static int digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The base64 data of an entry {"shape", "dtype", "data"} as bytes; the caller frees them. */
static void *decode(const tfm__json *json, const char *name, size_t *size) {
    tfm__json_value data = tfm__json_get(json, tfm__json_get(json, tfm__json_root(json), name), "data");
    const char *raw;
    size_t length, used = 0;
    if (!tfm__json_raw(json, data, &raw, &length)) fail_msg("no %s", name);
    uint8_t *out = malloc(length);
    assert_non_null(out);
    for (size_t i = 0; i + 4 <= length; i += 4) {
        uint32_t bits = 0;
        int have = 0;
        for (size_t j = 0; j < 4; j++) {
            int d = digit(raw[i + j]);
            bits = bits << 6 | (uint32_t)(d < 0 ? 0 : d);
            have += d >= 0;
        }
        for (int j = 0; j + 1 < have; j++) out[used++] = (uint8_t)(bits >> (16 - 8 * j));
    }
    *size = used;
    return out;
}

static void parse(nano *n, const char *file, tfm__blob *blob, tfm__json *json) {
    tfm_error error = TFM_ERROR_INIT;
    if (tfm__store_sibling(&n->store, file, blob, &error) ||
        tfm__json_parse(json, &n->heap, (const char *)blob->data, (size_t)blob->size, file, &error))
        fail_msg("%s", error.message);
}

/* minGPT keeps its matrices as [outputs, inputs]; GPT-2's files, which the loader knows, the other way round.
 */
static void transpose(float *matrix, uint64_t rows, uint64_t columns) {
    float *copy = malloc(rows * columns * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, matrix, rows * columns * sizeof *copy);
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < columns; c++) matrix[c * rows + r] = copy[r * columns + c];
    free(copy);
}

/* Writes the model as a Hugging Face GPT-2 folder. */
static void convert(nano *n, const char *folder) {
    static const char *const layer_names[] = {"ln_1.weight",      "ln_1.bias",          "attn.c_attn.weight",
                                              "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias",
                                              "ln_2.weight",      "ln_2.bias",          "mlp.c_fc.weight",
                                              "mlp.c_fc.bias",    "mlp.c_proj.weight",  "mlp.c_proj.bias"};
    static const char *const others[] = {"transformer.wte.weight", "transformer.wpe.weight",
                                         "transformer.ln_f.weight", "transformer.ln_f.bias",
                                         "lm_head.weight"};
    tfm_error error = TFM_ERROR_INIT;
    tfm__save_tensor tensors[64];
    static char names[64][80];
    char path[300];
    size_t count = 0, size;
    for (int layer = 0; layer < 3; layer++)
        for (size_t i = 0; i < TFM__COUNT(layer_names); i++)
            snprintf(names[count++], sizeof names[0], "transformer.h.%d.%s", layer, layer_names[i]);
    for (size_t i = 0; i < TFM__COUNT(others); i++)
        snprintf(names[count++], sizeof names[0], "%s", others[i]);
    for (size_t i = 0; i < count; i++) {
        tfm__json_value shape = tfm__json_get(
            &n->weights, tfm__json_get(&n->weights, tfm__json_root(&n->weights), names[i]), "shape");
        tensors[i] = (tfm__save_tensor){
            .name = names[i], .type = TFM__F32, .data = decode(&n->weights, names[i], &size)};
        tensors[i].dims = (uint32_t)tfm__json_size(&n->weights, shape);
        for (uint32_t d = 0; d < tensors[i].dims; d++) {
            int64_t extent = 0;
            assert_true(tfm__json_i64(&n->weights, tfm__json_at(&n->weights, shape, d), &extent));
            tensors[i].shape[d] = (uint64_t)extent;
        }
        if (strstr(names[i], ".h.") && tensors[i].dims == 2) {
            uint64_t rows = tensors[i].shape[0], columns = tensors[i].shape[1];
            transpose((float *)tensors[i].data, rows, columns);
            tensors[i].shape[0] = columns;
            tensors[i].shape[1] = rows;
        }
    }
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (tfm__safetensors_save(&n->heap, path, tensors, count, &error)) fail_msg("%s", error.message);
    for (size_t i = 0; i < count; i++) free((void *)tensors[i].data);
    snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(
        file,
        "{\"model_type\":\"gpt2\",\"n_layer\":3,\"n_head\":3,\"n_embd\":48,\"vocab_size\":3,\"n_positions\":"
        "11,"
        "\"activation_function\":\"gelu_new\",\"layer_norm_epsilon\":1e-5,\"tie_word_embeddings\":false}");
    fclose(file);
}

static void same(const nano *n, const char *name, const float *ours, size_t per_row) {
    size_t size;
    float *theirs = decode(&n->values, name, &size);
    assert_int_equal(size, BATCH * per_row * sizeof(float));
    for (size_t i = 0; i < per_row; i++) {
        double a = (double)ours[i], b = (double)theirs[n->row * per_row + i];
        if (!(fabs(a - b) <= 1e-4 * fmax(1.0, fabs(b))))
            fail_msg("%s[%zu][%zu]: %g, PyTorch has %g", name, n->row, i, a, b);
    }
    free(theirs);
}

/* Ours is [tokens, heads * head]; theirs [heads, tokens, head]. */
static void same_heads(const nano *n, const char *name, const float *ours) {
    float turned[HEADS * LENGTH * HEAD];
    for (size_t t = 0; t < LENGTH; t++)
        for (size_t h = 0; h < HEADS; h++)
            memcpy(turned + (h * LENGTH + t) * HEAD, ours + t * WIDTH + h * HEAD, HEAD * sizeof *turned);
    same(n, name, turned, HEADS * LENGTH * HEAD);
}

static int32_t see(void *user, const tfm_inspect_event *event) {
    static const struct {
        int site;
        const char *name;
    } first_layer[] = {
        {TFM_SITE_EMBEDDING, "x"},         {TFM_SITE_ATTENTION_NORM, "ln1"}, {TFM_SITE_MIXED, "y"},
        {TFM_SITE_ATTENTION_OUT, "yProj"}, {TFM_SITE_MIDDLE, "attnResid"},   {TFM_SITE_FEED_NORM, "ln2"},
        {TFM_SITE_INNER, "gelu"},          {TFM_SITE_FEED_OUT, "mlp"},       {TFM_SITE_STREAM, "block0"}};
    const nano *n = user;
    const float *values = event->values;
    int32_t site = event->site;
    size_t count = event->rows * event->columns;
    assert_int_equal(event->rows, LENGTH);
    assert_int_equal(event->stride, event->columns);
    if (site == TFM_SITE_STREAM && event->layer > 0)
        same(n, event->layer == 1 ? "block1" : "block2", values, count);
    if (site == TFM_SITE_OUTPUT_NORM) same(n, "ln_f", values, count);
    if (event->layer > 0) return 0;
    if (site == TFM_SITE_QUERY) same_heads(n, "q", values);
    if (site == TFM_SITE_KEY) same_heads(n, "k", values);
    if (site == TFM_SITE_VALUE) same_heads(n, "v", values);
    for (size_t i = 0; i < TFM__COUNT(first_layer); i++)
        if (site == first_layer[i].site) same(n, first_layer[i].name, values, count);
    return 0;
}

static void check_nano(nano *n, const char *folder) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_forward_options all = TFM_FORWARD_OPTIONS_INIT;
    tfm_model *model = NULL;
    tfm_token ids[LENGTH];
    const float *logits;
    size_t size;
    float *index = decode(&n->values, "idx", &size); /* stored as floats */
    assert_int_equal(size, BATCH * LENGTH * sizeof *index);
    all.logits = TFM_LOGITS_ALL;
    if (tfm_model_load(folder, NULL, &model, &error)) fail_msg("%s", error.message);
    for (n->row = 0; n->row < BATCH; n->row++) {
        tfm_session *session = NULL;
        for (size_t i = 0; i < LENGTH; i++) ids[i] = (tfm_token)index[n->row * LENGTH + i];
        assert_int_equal(tfm_session_create(model, NULL, &session, &error), TFM_OK);
        tfm_inspect_options look = TFM_INSPECT_OPTIONS_INIT;
        for (look.site = 1; look.site < TFM_SITE_COUNT; look.site++) {
            if (look.site == TFM_SITE_ROUTER || look.site == TFM_SITE_EXPERTS) continue;
            assert_int_equal(tfm_inspect(session, &look, see, n, NULL, &error), TFM_OK);
        }
        if (tfm_forward(session, ids, LENGTH, &all, &error)) fail_msg("%s", error.message);
        assert_int_equal(tfm_logits(session, 0, &logits, NULL, &error), TFM_OK);
        same(n, "lm_head", logits, LENGTH * 3);
        tfm_session_destroy(session);
    }
    tfm_model_release(model);
    free(index);
}

static void test_nano_sort(void **state) {
    (void)state;
    nano *n = calloc(1, sizeof *n);
    tfm_error error = TFM_ERROR_INIT;
    tfm__read_options read = {0};
    char folder[] = "/tmp/tfm-nano-XXXXXX", path[300];
    assert_non_null(n);
    if (!exists(NANO "gpt-nano-sort-model.json")) {
        free(n);
        skip();
    }
    tfm__heap_init(&n->heap, NULL, 0);
    if (tfm__store_open_path(&n->store, &n->heap, NANO, &read, &error)) fail_msg("%s", error.message);
    parse(n, "gpt-nano-sort-model.json", &n->weights_file, &n->weights);
    parse(n, "gpt-nano-sort-t0-partials.json", &n->values_file, &n->values);
    assert_non_null(mkdtemp(folder));
    convert(n, folder);
    check_nano(n, folder);
    static const char *const files[] = {"config.json", "model.safetensors"};
    for (size_t i = 0; i < TFM__COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
    tfm__json_release(&n->weights);
    tfm__json_release(&n->values);
    tfm__blob_release(&n->weights_file);
    tfm__blob_release(&n->values_file);
    tfm__store_close(&n->store);
    assert_int_equal(n->heap.live, 0);
    free(n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bundled_recites),
        cmocka_unit_test(test_stories_llama2c),
        cmocka_unit_test(test_stories_gguf),
        cmocka_unit_test(test_nano_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
