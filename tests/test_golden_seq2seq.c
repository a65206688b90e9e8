/* test_golden_seq2seq.c - every encoder-decoder against PyTorch: the encoder's states, logits, the greedy
 * text. Run when the collection of goldens lies beside the repository; test_families.c has smaller ones of
 * its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "golden_help.h"
#include "model/model.h"
#include "tfm/tfm.h"

static const int32_t *ids_of(golden *g, const char *name, size_t row, size_t *count) {
    const tfm__tensor *tensor = golden_tensor(g, name);
    *count = (size_t)tensor->shape[1];
    return (const int32_t *)(const void *)tensor->data + row * *count;
}

static void check_row(golden *g, tfm_model *model, const tfm_encoded *encoded, size_t row) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    tfm_forward_options all = TFM_FORWARD_OPTIONS_INIT;
    tfm_session *session = NULL;
    const float *logits;
    size_t count, vocab;
    const int32_t *ids = ids_of(g, "decoder_input_ids", row, &count);
    on.encoded = encoded;
    on.encoded_row = row;
    all.logits = TFM_LOGITS_ALL;
    if (tfm_session_create(model, &on, &session, &error) || tfm_forward(session, ids, count, &all, &error) ||
        tfm_logits(session, 0, &logits, &vocab, &error))
        fail_msg("%s", error.message);
    golden_compare(g, "logits", row * count * vocab, logits, count * vocab);
    tfm_session_destroy(session);
}

/* What transformers' generate writes for the first row behind the token that starts texts. */
static void check_greedy(golden *g, tfm_model *model, const tfm_encoded *encoded) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    tfm_session *session = NULL;
    size_t count;
    const int32_t *ids = ids_of(g, "greedy", 0, &count);
    tfm_token token = (tfm_token)model->config.start_token;
    on.encoded = encoded;
    assert_true(token >= 0);
    if (tfm_session_create(model, &on, &session, &error)) fail_msg("%s", error.message);
    for (size_t i = 0; i < count; i++) {
        if (tfm_forward(session, &token, 1, NULL, &error) || tfm_sample_next(session, NULL, &token, &error))
            fail_msg("%s", error.message);
        if (token != ids[i]) fail_msg("greedy token %zu is %d, not %d", i, (int)token, (int)ids[i]);
    }
    tfm_session_destroy(session);
}

static void check_file(golden *g, const char *path) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    tfm_model *model = NULL;
    tfm_encoded *encoded = NULL;
    size_t count;
    const int32_t *ids = ids_of(g, "input_ids", 0, &count);
    const tfm_encode_row rows[2] = {{ids, count, NULL}, {ids + count, count, NULL}};
    if (tfm_model_load(path, NULL, &model, &error) || tfm_encode(model, rows, 2, NULL, &encoded, &error) ||
        tfm_encoded_get(encoded, &view, &error))
        fail_msg("%s", error.message);
    golden_compare(g, "encoder_last", 0, view.hidden, view.tokens * view.width);
    for (size_t row = 0; row < 2; row++) check_row(g, model, encoded, row);
    check_greedy(g, model, encoded);
    tfm_encoded_release(encoded);
    tfm_model_release(model);
    golden_report(g, path);
}

static void test_shared(void **state) {
    char folder[512], path[600];
    golden g;
    snprintf(folder, sizeof folder, "%s/golden/forward/%s", TFM_SHARED, (const char *)*state);
    if (!golden_exists(folder)) skip();
    snprintf(path, sizeof path, "%s/golden.safetensors", folder);
    golden_open(&g, path);
    check_file(&g, folder);
    snprintf(path, sizeof path, "%s/model-f32.gguf", folder);
    if (golden_exists(path)) check_file(&g, path);
    golden_close(&g);
}

#define SHARED(name)                                                                                         \
    { name, test_shared, NULL, NULL, name }

int main(void) {
    const struct CMUnitTest tests[] = {
        /* not Marian: its goldens were made with positions that are not in its files */
        SHARED("t5"), SHARED("t5-gated"), SHARED("bart"), SHARED("m2m100"), SHARED("pegasus"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
