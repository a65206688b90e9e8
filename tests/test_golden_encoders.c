/* test_golden_encoders.c - every encoder against PyTorch: states after each layer, pooler, rows cut short
 * beside whole ones, logits of masked words. BERT's goldens are in tests/data/golden; the others are run when
 * the collection lies beside the repository. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "golden_help.h"
#include "model/model.h"
#include "tfm/tfm.h"

#define ROWS 2
#define TOKENS 29

static void encode(tfm_model *model, golden *g, const size_t *lengths, tfm_encoded **encoded,
                   tfm_encoded_view *view) {
    const int32_t *ids = (const int32_t *)(const void *)golden_tensor(g, "input_ids")->data;
    const tfm_encode_row rows[ROWS] = {{ids, lengths[0], NULL}, {ids + TOKENS, lengths[1], NULL}};
    tfm_encode_options keep = TFM_ENCODE_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    keep.keep_layers = 1;
    *view = (tfm_encoded_view)TFM_ENCODED_VIEW_INIT;
    if (tfm_encode(model, rows, ROWS, &keep, encoded, &error) || tfm_encoded_get(*encoded, view, &error))
        fail_msg("%s", error.message);
}

static void check_logits(golden *g, const tfm_encoded *encoded, const tfm_encoded_view *view) {
    tfm_error error = TFM_ERROR_INIT;
    size_t count = view->tokens * view->outputs;
    float *logits = malloc(count * sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(view->head, TFM_HEAD_TOKENS);
    if (tfm_encoded_logits(encoded, 0, view->tokens, logits, count, &error)) fail_msg("%s", error.message);
    golden_compare(g, "logits", 0, logits, count);
    free(logits);
}

/* Probabilities of the first layer, head after head. */
typedef struct attention {
    golden *g;
    size_t heads, seen;
} attention;

static int32_t see_attention(void *user, const tfm_inspect_event *event) {
    attention *a = user;
    size_t at = (((size_t)event->row * a->heads + (size_t)event->head) * TOKENS + event->position) * TOKENS;
    assert_int_equal(event->columns, TOKENS);
    golden_compare(a->g, "attention.0", at, event->values, event->rows * event->columns);
    a->seen += event->rows * event->columns;
    return 0;
}

static void check_attention(golden *g, tfm_model *model) {
    const int32_t *ids = (const int32_t *)(const void *)golden_tensor(g, "input_ids")->data;
    const tfm_encode_row rows[ROWS] = {{ids, TOKENS, NULL}, {ids + TOKENS, TOKENS, NULL}};
    attention a = {.g = g, .heads = model->config.heads};
    tfm_inspect_options where = TFM_INSPECT_OPTIONS_INIT;
    const tfm_encode_inspector inspector = {&where, see_attention, &a};
    tfm_encode_options options = TFM_ENCODE_OPTIONS_INIT;
    tfm_encoded *encoded = NULL;
    tfm_error error = TFM_ERROR_INIT;
    where.site = TFM_SITE_ATTENTION;
    where.layer = 0;
    options.inspectors = &inspector;
    options.inspector_count = 1;
    if (tfm_encode(model, rows, ROWS, &options, &encoded, &error)) fail_msg("%s", error.message);
    assert_int_equal(a.seen, ROWS * a.heads * TOKENS * TOKENS);
    tfm_encoded_release(encoded);
}

static void check_file(golden *g, const char *path) {
    static const size_t whole[ROWS] = {TOKENS, TOKENS};
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    tfm_encoded *encoded = NULL;
    tfm_encoded_view view;
    char name[32];
    const float *states;
    if (tfm_model_load(path, NULL, &model, &error)) fail_msg("%s", error.message);
    encode(model, g, whole, &encoded, &view);
    assert_int_equal(view.tokens, ROWS * TOKENS);
    for (size_t layer = 0; layer < view.layers; layer++) {
        snprintf(name, sizeof name, "hidden.%zu", layer);
        assert_int_equal(tfm_encoded_layer(encoded, layer, &states, &error), TFM_OK);
        golden_compare(g, name, 0, states, view.tokens * view.width);
    }
    if (golden_has(g, "last_hidden"))
        golden_compare(g, "last_hidden", 0, view.hidden, view.tokens * view.width);
    if (view.pooled) golden_compare(g, "pooler", 0, view.pooled, ROWS * view.width);
    if (golden_has(g, "logits")) check_logits(g, encoded, &view);
    tfm_encoded_release(encoded);
    if (golden_has(g, "attention.0")) check_attention(g, model);
    if (golden_has(g, "padded_mask")) { /* the second row has fewer tokens there */
        const int32_t *mask = (const int32_t *)(const void *)golden_tensor(g, "padded_mask")->data;
        size_t lengths[ROWS] = {TOKENS, 0};
        for (size_t i = 0; i < TOKENS; i++) lengths[1] += mask[TOKENS + i] != 0;
        assert_in_range(lengths[1], 1, TOKENS - 1);
        encode(model, g, lengths, &encoded, &view);
        golden_compare(g, "padded_last_hidden", 0, view.hidden, view.tokens * view.width);
        tfm_encoded_release(encoded);
    }
    tfm_model_release(model);
}

/* The Hugging Face folder, and the GGUF file where there is one. */
static void check_folder(const char *folder, bool pooler) {
    golden g;
    char path[600];
    snprintf(path, sizeof path, "%s/golden.safetensors", folder);
    golden_open(&g, path);
    assert_int_equal(golden_has(&g, "pooler"), pooler);
    check_file(&g, folder);
    golden_report(&g, folder);
    snprintf(path, sizeof path, "%s/model-f32.gguf", folder);
    if (golden_exists(path)) {
        check_file(&g, path);
        golden_report(&g, path);
    }
    golden_close(&g);
}

static bool has_pooler(const char *family) {
    return !strcmp(family, "bert") || !strcmp(family, "roberta") || !strcmp(family, "mpnet");
}

static void test_bundled(void **state) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s/golden/%s", TFM_TEST_DATA, (const char *)*state);
    check_folder(folder, has_pooler(*state));
}

static void test_shared(void **state) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s/golden/forward/%s", TFM_SHARED, (const char *)*state);
    if (!golden_exists(folder)) skip();
    check_folder(folder, has_pooler(*state));
}

#define SHARED(name)                                                                                         \
    { name, test_shared, NULL, NULL, name }

int main(void) {
    const struct CMUnitTest tests[] = {
        {"bundled bert", test_bundled, NULL, NULL, "bert"},
        SHARED("bert"),
        SHARED("bert-mlm"),
        SHARED("roberta"),
        SHARED("distilbert"),
        SHARED("modernbert"),
        SHARED("mpnet"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
