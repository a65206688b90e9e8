/* test_encoder_heads.c - each kind of head against PyTorch, on the tiny encoders of tests/data/encoders:
 * masked words, labels of texts, of tokens, spans of answers. Their rows have different lengths, token types,
 * and padding in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "golden_help.h"
#include "model/model.h"
#include "tfm/tfm.h"

#define ROWS 2
#define TOKENS 11

static void test_head(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    tfm_model *model = NULL;
    tfm_encoded *encoded = NULL;
    golden g;
    char folder[400], path[500];
    snprintf(folder, sizeof folder, "%s/encoders/%s", TFM_TEST_DATA, (const char *)*state);
    snprintf(path, sizeof path, "%s/golden.safetensors", folder);
    golden_open(&g, path);
    const int32_t *ids = (const int32_t *)(const void *)golden_tensor(&g, "input_ids")->data;
    const int32_t *types = (const int32_t *)(const void *)golden_tensor(&g, "types")->data;
    const int32_t *lengths = (const int32_t *)(const void *)golden_tensor(&g, "lengths")->data;
    const tfm_encode_row rows[ROWS] = {{ids, (size_t)lengths[0], types},
                                       {ids + TOKENS, (size_t)lengths[1], NULL}};
    if (tfm_model_load(folder, NULL, &model, &error) ||
        tfm_encode(model, rows, ROWS, NULL, &encoded, &error) || tfm_encoded_get(encoded, &view, &error))
        fail_msg("%s", error.message);
    golden_compare(&g, "hidden", 0, view.hidden, view.tokens * view.width);

    if (!golden_has(&g, "logits")) {
        assert_int_equal(view.head, TFM_HEAD_NONE);
        tfm_encoded_release(encoded);
        tfm_model_release(model);
        golden_close(&g);
        return;
    }
    const tfm__tensor *logits = golden_tensor(&g, "logits");
    size_t count = view.head == TFM_HEAD_ROWS ? view.rows : view.tokens;
    float *ours = malloc(count * view.outputs * sizeof *ours);
    assert_non_null(ours);
    assert_int_not_equal(view.head, TFM_HEAD_NONE);
    assert_int_equal(logits->dims, 2);
    assert_int_equal(logits->shape[0], count);
    assert_int_equal(logits->shape[1], view.outputs);
    if (tfm_encoded_logits(encoded, 0, count, ours, count * view.outputs, &error))
        fail_msg("%s", error.message);
    golden_compare(&g, "logits", 0, ours, count * view.outputs);
    /* the last alone: the same bits */
    float *alone = malloc(view.outputs * sizeof *alone);
    assert_non_null(alone);
    assert_int_equal(tfm_encoded_logits(encoded, count - 1, 1, alone, view.outputs, &error), TFM_OK);
    assert_memory_equal(alone, ours + (count - 1) * view.outputs, view.outputs * sizeof *alone);
    free(alone);
    free(ours);
    tfm_encoded_release(encoded);
    tfm_model_release(model);
    golden_close(&g);
}

/* A reranker as GGUF: the head is found by its tensors, and the pooling is the file's. The second row only:
 * the first has padding in the middle, of which GGUF files know nothing. */
static void test_gguf(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_embed_options first = TFM_EMBED_OPTIONS_INIT;
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    tfm_model *model = NULL;
    tfm_encoded *encoded = NULL;
    float score, said[64], chosen[64];
    size_t width = 0;
    golden g;
    (void)state;
    golden_open(&g, TFM_TEST_DATA "/encoders/roberta-score/golden.safetensors");
    const int32_t *ids = (const int32_t *)(const void *)golden_tensor(&g, "input_ids")->data;
    const int32_t *lengths = (const int32_t *)(const void *)golden_tensor(&g, "lengths")->data;
    const tfm_encode_row row = {ids + TOKENS, (size_t)lengths[1], NULL};
    if (tfm_model_load(TFM_TEST_DATA "/encoders/roberta-score/model.gguf", NULL, &model, &error) ||
        tfm_encode(model, &row, 1, NULL, &encoded, &error) || tfm_encoded_get(encoded, &view, &error))
        fail_msg("%s", error.message);
    assert_int_equal(view.head, TFM_HEAD_ROWS);
    assert_int_equal(view.outputs, 1);
    if (tfm_encoded_logits(encoded, 0, 1, &score, 1, &error)) fail_msg("%s", error.message);
    golden_compare(&g, "logits", 1, &score, 1);
    golden_compare(&g, "hidden", (size_t)lengths[0] * view.width, view.hidden, view.tokens * view.width);
    first.pooling = TFM_POOL_FIRST;
    assert_int_equal(tfm_embed_tokens(model, &row, 1, NULL, said, 64, &width, &error), TFM_OK);
    assert_int_equal(tfm_embed_tokens(model, &row, 1, &first, chosen, 64, NULL, &error), TFM_OK);
    assert_memory_equal(said, chosen, width * sizeof *said);
    tfm_encoded_release(encoded);
    tfm_model_release(model);
    golden_close(&g);
}

static const float *numbers_of(const tfm_model *model, const char *name, uint64_t rows, uint64_t columns) {
    const tfm__tensor *tensor = tfm__container_tensor(&model->container, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->shape[0], rows);
    assert_int_equal(tensor->shape[1], columns);
    return (const float *)(const void *)tensor->data;
}

/* EmbeddingGemma as GGUF: states as in the folder beside it, then the mean and two dense layers. */
static void test_gemma(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    tfm_model *model = NULL;
    tfm_encoded *encoded = NULL;
    float vector[10];
    double mean[16] = {0}, middle[24];
    size_t width = 0;
    golden g;
    (void)state;
    golden_open(&g, TFM_TEST_DATA "/encoders/gemma3-both/golden.safetensors");
    const int32_t *ids = (const int32_t *)(const void *)golden_tensor(&g, "input_ids")->data;
    const tfm_encode_row row = {ids, TOKENS, NULL};
    if (tfm_model_load(TFM_TEST_DATA "/encoders/gemma3-both/model.gguf", NULL, &model, &error) ||
        tfm_encode(model, &row, 1, NULL, &encoded, &error) || tfm_encoded_get(encoded, &view, &error) ||
        tfm_embed_tokens(model, &row, 1, NULL, vector, 10, &width, &error))
        fail_msg("%s", error.message);
    golden_compare(&g, "hidden", 0, view.hidden, view.tokens * view.width);
    assert_int_equal(width, 10);
    const float *first = numbers_of(model, "dense_2.weight", 24, 16),
                *second = numbers_of(model, "dense_3.weight", 10, 24);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = 0; i < 16; i++) mean[i] += (double)view.hidden[t * 16 + i] / TOKENS;
    for (size_t r = 0; r < 24; r++) {
        middle[r] = 0;
        for (size_t i = 0; i < 16; i++) middle[r] += (double)first[r * 16 + i] * mean[i];
    }
    for (size_t r = 0; r < 10; r++) {
        double sum = 0;
        for (size_t i = 0; i < 24; i++) sum += (double)second[r * 24 + i] * middle[i];
        assert_true(fabs(sum - (double)vector[r]) < 1e-5);
    }
    tfm_encoded_release(encoded);
    tfm_model_release(model);
    golden_close(&g);
}

#define HEAD(name)                                                                                           \
    { name, test_head, NULL, NULL, name }

int main(void) {
    const struct CMUnitTest tests[] = {
        HEAD("bert-labels"),         HEAD("bert-tags"),
        HEAD("bert-spans"),          HEAD("bert-next"),
        HEAD("bert-untied"),         HEAD("roberta-masked"),
        HEAD("roberta-score"),       HEAD("roberta-tags"),
        HEAD("distilbert-masked"),   HEAD("distilbert-labels"),
        HEAD("mpnet-masked"),        HEAD("mpnet-labels"),
        HEAD("modernbert-masked"),   HEAD("modernbert-labels"),
        HEAD("modernbert-tags"),     HEAD("gemma3-both"), /* none: a decoder's layers, looking both ways */
        cmocka_unit_test(test_gguf), cmocka_unit_test(test_gemma),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
