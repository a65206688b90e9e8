/* test_embedding.c - vectors of texts beside sentence-transformers' (tests/data/embedding), the poolings by
 * hand, decoders, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "golden_help.h"
#include "model/model.h"
#include "tfm/tfm.h"

#define MOST_TEXTS 8
#define MOST_FLOATS 4096

typedef struct lines {
    char content[512];
    tfm_text_input texts[MOST_TEXTS];
    size_t count;
} lines;

/* texts.txt, a text a line; of pairs each line with the next. */
static void read_lines(lines *l, bool pairs) {
    char path[400];
    snprintf(path, sizeof path, "%s/embedding/texts.txt", TFM_TEST_DATA);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(l->content, 1, sizeof l->content - 1, file);
    fclose(file);
    l->content[size] = 0;
    l->count = 0;
    for (char *at = l->content; *at; l->count++) {
        size_t length = strcspn(at, "\n");
        assert_true(l->count < MOST_TEXTS);
        l->texts[l->count] = (tfm_text_input){at, length, NULL, 0};
        at += length + (at[length] == '\n');
    }
    for (size_t i = 0; pairs && i + 1 < l->count; i++) {
        l->texts[i].pair = l->texts[i + 1].text;
        l->texts[i].pair_length = l->texts[i + 1].length;
    }
    l->count -= pairs;
}

static tfm_model *load(const char *folder) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    char path[400];
    snprintf(path, sizeof path, "%s/%s", TFM_TEST_DATA, folder);
    if (tfm_model_load(path, NULL, &model, &error)) fail_msg("%s", error.message);
    return model;
}

static void test_folder(void **state) {
    const char *folder = *state;
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = load(folder);
    static float ours[MOST_FLOATS], alone[MOST_FLOATS];
    size_t width = 0;
    lines l;
    golden g;
    char path[400];
    read_lines(&l, false);
    if (tfm_embed(model, l.texts, l.count, NULL, NULL, 0, &width, &error) ||
        tfm_embed(model, l.texts, l.count, NULL, ours, MOST_FLOATS, NULL, &error))
        fail_msg("%s", error.message);
    snprintf(path, sizeof path, "%s/%s/golden.safetensors", TFM_TEST_DATA, folder);
    golden_open(&g, path);
    assert_int_equal(golden_tensor(&g, "embeddings")->shape[0], l.count);
    assert_int_equal(golden_tensor(&g, "embeddings")->shape[1], width);
    golden_compare(&g, "embeddings", 0, ours, l.count * width);
    golden_close(&g);
    for (size_t i = 0; i < l.count; i++) { /* one by one: the same bits */
        assert_int_equal(tfm_embed(model, &l.texts[i], 1, NULL, alone, width, NULL, &error), TFM_OK);
        assert_memory_equal(alone, ours + i * width, width * sizeof *alone);
    }
    assert_int_equal(tfm_embed(model, l.texts, l.count, NULL, ours, l.count * width - 1, &width, &error),
                     TFM_E_BUFFER);
    tfm_model_release(model);
}

static void test_scores(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = load("embedding/cross-encoder");
    float ours[MOST_TEXTS];
    size_t outputs = 0;
    lines l;
    golden g;
    char path[400];
    (void)state;
    read_lines(&l, true);
    if (tfm_classify(model, l.texts, l.count, 0, NULL, 0, &outputs, &error) ||
        tfm_classify(model, l.texts, l.count, 0, ours, MOST_TEXTS, NULL, &error))
        fail_msg("%s", error.message);
    assert_int_equal(outputs, 1);
    snprintf(path, sizeof path, "%s/embedding/cross-encoder/golden.safetensors", TFM_TEST_DATA);
    golden_open(&g, path);
    golden_compare(&g, "logits", 0, ours, l.count);
    golden_close(&g);
    tfm_model_release(model);
    model = load("embedding/mean");
    assert_int_equal(tfm_classify(model, l.texts, l.count, 0, ours, MOST_TEXTS, NULL, &error), TFM_E_STATE);
    tfm_model_release(model);
}

/* Each pooling beside the same thing computed here from the hidden states. */
static void test_poolings(void **state) {
    static const tfm_token ids[] = {2, 30, 31, 32, 3};
    const tfm_encode_row row = {ids, 5, NULL};
    static const uint32_t poolings[] = {TFM_POOL_MEAN, TFM_POOL_FIRST,     TFM_POOL_LAST,
                                        TFM_POOL_MAX,  TFM_POOL_MEAN_SQRT, TFM_POOL_WEIGHTED};
    tfm_error error = TFM_ERROR_INIT;
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    tfm_embed_options options = TFM_EMBED_OPTIONS_INIT;
    tfm_model *model = load("embedding/cross-encoder"); /* its files say nothing of poolings */
    tfm_encoded *encoded = NULL;
    float ours[64];
    size_t width;
    (void)state;
    assert_int_equal(tfm_encode(model, &row, 1, NULL, &encoded, &error), TFM_OK);
    assert_int_equal(tfm_encoded_get(encoded, &view, &error), TFM_OK);
    for (size_t p = 0; p < sizeof poolings / sizeof *poolings; p++) {
        options.pooling = poolings[p];
        if (tfm_embed_tokens(model, &row, 1, &options, ours, 64, &width, &error))
            fail_msg("%s", error.message);
        assert_int_equal(width, view.width);
        for (size_t i = 0; i < width; i++) {
            double sum = 0, weighted = 0, most = -1e9, expected;
            for (size_t t = 0; t < 5; t++) {
                double h = (double)view.hidden[t * width + i];
                sum += h;
                weighted += h * (double)(t + 1);
                most = fmax(most, h);
            }
            expected = poolings[p] == TFM_POOL_MEAN        ? sum / 5
                       : poolings[p] == TFM_POOL_FIRST     ? (double)view.hidden[i]
                       : poolings[p] == TFM_POOL_LAST      ? (double)view.hidden[4 * width + i]
                       : poolings[p] == TFM_POOL_MAX       ? most
                       : poolings[p] == TFM_POOL_MEAN_SQRT ? sum / sqrt(5.0)
                                                           : weighted / 15;
            assert_true(fabs((double)ours[i] - expected) < 1e-5);
        }
    }
    options.pooling = TFM_POOL_MAX | TFM_POOL_FIRST;
    options.normalize = TFM_YES;
    assert_int_equal(tfm_embed_tokens(model, &row, 1, &options, ours, 64, &width, &error), TFM_OK);
    assert_int_equal(width, 2 * view.width);
    double length = 0;
    for (size_t i = 0; i < width; i++) length += (double)ours[i] * (double)ours[i];
    assert_true(fabs(length - 1) < 1e-6);
    options.pooling = 64;
    assert_int_equal(tfm_embed_tokens(model, &row, 1, &options, ours, 64, &width, &error), TFM_E_ARGUMENT);
    tfm_encoded_release(encoded);
    tfm_model_release(model);
}

/* A decoder's vector is its last hidden state, behind the final norm; texts longer than the limit are cut. */
static void test_decoder(void **state) {
    static const char text[] = "床前明月光，疑是地上霜";
    tfm_text_input input = {text, sizeof text - 1, NULL, 0};
    tfm_error error = TFM_ERROR_INIT;
    tfm_encode_options encode = TFM_ENCODE_OPTIONS_INIT;
    tfm_embed_options options = TFM_EMBED_OPTIONS_INIT;
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    tfm_model *model = NULL;
    tfm_encoded *encoded = NULL;
    tfm_token ids[64];
    size_t count = 0, width = 0;
    static float ours[MOST_FLOATS];
    (void)state;
    if (tfm_model_load(TFM_MODELS "/tang.gguf", NULL, &model, &error)) fail_msg("%s", error.message);
    assert_int_equal(
        tfm_tokenize(tfm_tokenizer_of(model), text, sizeof text - 1, NULL, ids, 64, &count, &error), TFM_OK);
    encode.decoder = 1;
    for (size_t most = 0; most <= 4; most += 4) {
        const tfm_encode_row row = {ids, most ? most : count, NULL};
        assert_int_equal(tfm_encode(model, &row, 1, &encode, &encoded, &error), TFM_OK);
        assert_int_equal(tfm_encoded_get(encoded, &view, &error), TFM_OK);
        options.max_tokens = most;
        if (tfm_embed(model, &input, 1, &options, ours, MOST_FLOATS, &width, &error))
            fail_msg("%s", error.message);
        assert_int_equal(width, view.width);
        assert_memory_equal(ours, view.hidden + (view.tokens - 1) * width, width * sizeof *ours);
        tfm_encoded_release(encoded);
    }
    tfm_model_release(model);
}

static void test_refused(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_embed_options options = TFM_EMBED_OPTIONS_INIT;
    tfm_text_input input = {"a cat", 5, NULL, 0};
    tfm_model *model = load("embedding/mean");
    float ours[64];
    size_t width = 7;
    (void)state;
    assert_int_equal(tfm_embed(NULL, &input, 1, NULL, ours, 64, &width, &error), TFM_E_ARGUMENT);
    assert_int_equal(width, 0);
    assert_int_equal(tfm_embed(model, &input, 0, NULL, ours, 64, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_embed(model, &input, 1, NULL, NULL, 64, NULL, &error), TFM_E_ARGUMENT);
    options.normalize = 3;
    assert_int_equal(tfm_embed(model, &input, 1, &options, ours, 64, NULL, &error), TFM_E_ARGUMENT);
    options.normalize = TFM_NO;
    options.prompt_length = 3;
    assert_int_equal(tfm_embed(model, &input, 1, &options, ours, 64, NULL, &error), TFM_E_ARGUMENT);
    input.text = NULL;
    assert_int_equal(tfm_embed(model, &input, 1, NULL, ours, 64, NULL, &error), TFM_E_ARGUMENT);
    input.length = 0; /* the empty text has [CLS] and [SEP] */
    assert_int_equal(tfm_embed(model, &input, 1, NULL, ours, 64, &width, &error), TFM_OK);
    tfm_model_release(model);
    model = load("golden/qwen3"); /* no tokenizer */
    assert_int_equal(tfm_embed(model, &input, 1, NULL, ours, 64, &width, &error), TFM_E_STATE);
    tfm_model_release(model);
}

#define FOLDER(name)                                                                                         \
    { name, test_folder, NULL, NULL, "embedding/" name }

int main(void) {
    const struct CMUnitTest tests[] = {
        FOLDER("mean"),
        FOLDER("dense"),
        FOLDER("prompted"),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_poolings),
        cmocka_unit_test(test_decoder),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
