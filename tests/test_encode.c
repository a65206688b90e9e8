/* test_encode.c - tfm_encode: the same bits alone and in company, with any number of threads and any
 * instruction set; what is kept; what is refused; memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "model/model.h"
#include "tfm/tfm.h"
#include "tiny_model.h"

#define ROWS 40
#define MOST_TOKENS 128

typedef struct texts {
    tfm_token ids[ROWS][MOST_TOKENS];
    tfm_encode_row rows[ROWS];
} texts;

/* Rows of 1 to most tokens: more than a batch together, some longer than a page. */
static texts *make_texts(uint32_t vocab, size_t most) {
    texts *t = calloc(1, sizeof *t);
    uint32_t state = 12345;
    assert_non_null(t);
    for (size_t r = 0; r < ROWS; r++) {
        t->rows[r].tokens = t->ids[r];
        t->rows[r].count = 1 + (r * 37) % most;
        for (size_t i = 0; i < MOST_TOKENS; i++) {
            state = state * 1664525u + 1013904223u;
            t->ids[r][i] = (tfm_token)(state >> 8) % (tfm_token)vocab;
        }
    }
    return t;
}

static tfm_model *load(const char *folder, tfm_pool *pool, int32_t isa) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_model *model = NULL;
    char path[400];
    snprintf(path, sizeof path, "%s/%s", TFM_TEST_DATA, folder);
    options.pool = pool;
    options.isa = isa;
    if (tfm_model_load(path, &options, &model, &error)) fail_msg("%s", error.message);
    return model;
}

/* All rows in one call, beside each one alone. */
static void check_company(tfm_model *model, const texts *t, const float *expected) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_encoded *encoded = NULL;
    size_t at = 0;
    for (size_t r = 0; r < ROWS; r++) {
        tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
        if (tfm_encode(model, &t->rows[r], 1, NULL, &encoded, &error)) fail_msg("%s", error.message);
        assert_int_equal(tfm_encoded_get(encoded, &view, &error), TFM_OK);
        assert_int_equal(view.tokens, t->rows[r].count);
        assert_memory_equal(view.hidden, expected + at, view.tokens * view.width * sizeof *expected);
        at += view.tokens * view.width;
        tfm_encoded_release(encoded);
    }
}

/* Learned positions, relative positions with padding among the tokens, windows to both sides. */
static void test_same_bits(void **state) {
    static const int32_t isas[] = {TFM_ISA_PORTABLE, TFM_ISA_AVX2, TFM_ISA_AVX512};
    static const int chosen[] = {TFM__ISA_PORTABLE, TFM__ISA_AVX2, TFM__ISA_AVX512};
    const char *folder = *state;
    tfm_error error = TFM_ERROR_INIT;
    tfm_pool_options threads = TFM_POOL_OPTIONS_INIT;
    tfm_encoded *first = NULL, *other = NULL;
    tfm_encoded_view expected = TFM_ENCODED_VIEW_INIT, view = TFM_ENCODED_VIEW_INIT;
    tfm_pool *pool = NULL;
    tfm_model *model = load(folder, NULL, 0);
    size_t most = model->config.positions == TFM__POSITIONS_LEARNED
                      ? TFM__MIN(model->config.context, MOST_TOKENS)
                      : MOST_TOKENS;
    texts *t = make_texts(model->config.vocab, most);
    if (tfm_encode(model, t->rows, ROWS, NULL, &first, &error)) fail_msg("%s", error.message);
    assert_int_equal(tfm_encoded_get(first, &expected, &error), TFM_OK);
    size_t bytes = expected.tokens * expected.width * sizeof(float);
    check_company(model, t, expected.hidden);
    threads.threads = 3;
    assert_int_equal(tfm_pool_create(&threads, &pool, &error), TFM_OK);
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        if (!tfm__cpu_has_isa(chosen[i])) continue;
        tfm_model *again = load(folder, i % 2 ? NULL : pool, isas[i]);
        assert_int_equal(tfm_encode(again, t->rows, ROWS, NULL, &other, &error), TFM_OK);
        assert_int_equal(tfm_encoded_get(other, &view, &error), TFM_OK);
        assert_int_equal(view.tokens, expected.tokens);
        assert_memory_equal(view.hidden, expected.hidden, bytes);
        if (view.pooled) assert_memory_equal(view.pooled, expected.pooled, ROWS * view.width * sizeof(float));
        tfm_encoded_release(other);
        tfm_model_release(again);
    }
    tfm_encoded_release(first);
    tfm_model_release(model);
    tfm_pool_destroy(pool);
    free(t);
}

/* A decoder's tokens see those before them: its states are those of a session. */
static void test_decoder(void **state) {
    static const tfm_token ids[] = {3, 20, 31, 7, 90, 14};
    const tfm_encode_row row = {ids, 6, NULL};
    tfm_error error = TFM_ERROR_INIT;
    tfm_encode_options options = TFM_ENCODE_OPTIONS_INIT;
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    tfm_encoded *encoded = NULL;
    tfm_session *session = NULL;
    const float *states;
    tfm_model *model = load("golden/qwen3", NULL, 0);
    (void)state;
    assert_int_equal(tfm_encode(model, &row, 1, NULL, &encoded, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "tfm_session_create"));
    assert_null(encoded);
    options.decoder = options.keep_layers = 1;
    if (tfm_encode(model, &row, 1, &options, &encoded, &error)) fail_msg("%s", error.message);
    assert_int_equal(tfm_encoded_get(encoded, &view, &error), TFM_OK);
    assert_int_equal(view.layers, model->config.layers + 1);
    assert_int_equal(view.head, TFM_HEAD_NONE);
    assert_int_equal(tfm_encoded_layer(encoded, view.layers - 1, &states, &error), TFM_OK);
    assert_memory_equal(states, view.hidden, view.tokens * view.width * sizeof *states);
    assert_int_equal(tfm_encoded_layer(encoded, view.layers, &states, &error), TFM_E_ARGUMENT);
    tfm_encoded_release(encoded);
    tfm_model_release(model);
    model = load("golden/bert", NULL, 0);
    assert_int_equal(tfm_session_create(model, NULL, &session, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "tfm_encode"));
    assert_null(session);
    tfm_model_release(model);
}

/* An inspector that takes layer 0's attention out of the second row, and stops when it is told to. */
typedef struct meddler {
    size_t rows, stop_at;
} meddler;

static int32_t meddle(void *user, const tfm_inspect_event *event) {
    meddler *m = user;
    if (++m->rows == m->stop_at) return 1;
    for (size_t r = 0; r < event->rows && event->row == 1; r++)
        memset(event->values + r * event->stride, 0, event->columns * sizeof *event->values);
    return 0;
}

static int32_t ignore(void *user, const tfm_inspect_event *event) {
    ((meddler *)user)->rows += event->rows;
    return 0;
}

static void test_inspectors(void **state) {
    static const tfm_token ids[] = {3, 20, 31, 7, 90, 14};
    const tfm_encode_row rows[] = {{ids, 6, NULL}, {ids + 1, 3, NULL}};
    meddler m = {0}, idle = {0};
    tfm_inspect_options where = TFM_INSPECT_OPTIONS_INIT, last = TFM_INSPECT_OPTIONS_INIT,
                        wrong = TFM_INSPECT_OPTIONS_INIT;
    tfm_encode_inspector inspectors[] = {{&where, ignore, &idle}, {&last, ignore, &idle}};
    tfm_encode_options options = TFM_ENCODE_OPTIONS_INIT;
    tfm_encoded_view plain = TFM_ENCODED_VIEW_INIT, view = TFM_ENCODED_VIEW_INIT;
    tfm_encoded *first = NULL, *other = NULL;
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = load("golden/bert", NULL, 0);
    (void)state;
    assert_int_equal(tfm_encode(model, rows, 2, NULL, &first, &error), TFM_OK);
    assert_int_equal(tfm_encoded_get(first, &plain, &error), TFM_OK);
    where.site = TFM_SITE_ATTENTION_OUT;
    where.layer = 0;
    last.site = TFM_SITE_OUTPUT_NORM;
    last.last = 1;
    options.inspectors = inspectors;
    options.inspector_count = 2;
    if (tfm_encode(model, rows, 2, &options, &other, &error)) fail_msg("%s", error.message);
    assert_int_equal(idle.rows, 9 + 2);
    assert_int_equal(tfm_encoded_get(other, &view, &error), TFM_OK);
    assert_memory_equal(view.hidden, plain.hidden, 9 * view.width * sizeof(float));
    tfm_encoded_release(other);

    inspectors[0] = (tfm_encode_inspector){&where, meddle, &m};
    where.write = 1;
    options.inspector_count = 1;
    assert_int_equal(tfm_encode(model, rows, 2, &options, &other, &error), TFM_OK);
    assert_int_equal(tfm_encoded_get(other, &view, &error), TFM_OK);
    assert_memory_equal(view.hidden, plain.hidden, 6 * view.width * sizeof(float));
    assert_memory_not_equal(view.hidden + 6 * view.width, plain.hidden + 6 * view.width,
                            3 * view.width * sizeof(float));
    tfm_encoded_release(other);
    m = (meddler){.stop_at = 2};
    assert_int_equal(tfm_encode(model, rows, 2, &options, &other, &error), TFM_E_CANCELLED);
    assert_null(other);

    wrong.site = TFM_SITE_LAYER_LOGITS; /* an encoder has none */
    inspectors[0].options = &wrong;
    assert_int_equal(tfm_encode(model, rows, 2, &options, &other, &error), TFM_E_ARGUMENT);
    inspectors[0].options = NULL;
    assert_int_equal(tfm_encode(model, rows, 2, &options, &other, &error), TFM_E_ARGUMENT);
    options.inspectors = NULL;
    assert_int_equal(tfm_encode(model, rows, 2, &options, &other, &error), TFM_E_ARGUMENT);
    tfm_encoded_release(first);
    tfm_model_release(model);
}

static void test_labels(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    char text[16];
    size_t length = 0;
    tfm_model *model = load("encoders/bert-labels", NULL, 0);
    (void)state;
    assert_int_equal(tfm_model_label(model, 2, NULL, 0, &length, &error), TFM_OK);
    assert_int_equal(length, 7);
    assert_int_equal(tfm_model_label(model, 2, text, sizeof text, &length, &error), TFM_OK);
    assert_int_equal(length, 7);
    assert_memory_equal(text, "LABEL_2", 7);
    assert_int_equal(tfm_model_label(model, 2, text, 6, &length, &error), TFM_E_BUFFER);
    assert_int_equal(length, 7);
    assert_int_equal(tfm_model_label(model, 3, text, sizeof text, &length, &error), TFM_E_ARGUMENT);
    assert_int_equal(length, 0);
    tfm_model_release(model);
    model = load("encoders/bert-untied", NULL, 0); /* its outputs are tokens */
    assert_int_equal(tfm_model_label(model, 2, text, sizeof text, &length, &error), TFM_OK);
    assert_int_equal(length, 0);
    tfm_model_release(model);
    model = load("golden/bert", NULL, 0); /* no head */
    assert_int_equal(tfm_model_label(model, 0, text, sizeof text, &length, &error), TFM_E_ARGUMENT);
    tfm_model_release(model);
}

static void test_refused(void **state) {
    static const tfm_token ids[] = {1, 2, 3}, wrong[] = {1, 384}, negative[] = {-1};
    static const int32_t types[] = {0, 1, 1}, two[] = {0, 2, 0};
    static const tfm_token many[200];
    tfm_encode_row row = {ids, 3, types};
    tfm_error error = TFM_ERROR_INIT;
    tfm_encode_options options = TFM_ENCODE_OPTIONS_INIT;
    tfm_encoded *encoded = NULL;
    tfm_cancel *cancel = NULL;
    const float *states = (const float *)&row;
    float logits[8];
    tfm_model *model = load("golden/bert", NULL, 0);
    (void)state;
    assert_int_equal(tfm_encode(NULL, &row, 1, NULL, &encoded, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_encode(model, NULL, 1, NULL, &encoded, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_encode(model, &row, 0, NULL, &encoded, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_encode(model, &row, 1, NULL, &encoded, &error), TFM_OK);
    assert_int_equal(tfm_encoded_layer(encoded, 0, &states, &error), TFM_E_STATE);
    assert_null(states);
    assert_int_equal(tfm_encoded_logits(encoded, 0, 1, logits, 8, &error), TFM_E_STATE);
    tfm_encoded_release(encoded);
    row.types = two;
    assert_int_equal(tfm_encode(model, &row, 1, NULL, &encoded, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "is 2, the model has 2"));
    row = (tfm_encode_row){wrong, 2, NULL};
    assert_int_equal(tfm_encode(model, &row, 1, NULL, &encoded, &error), TFM_E_TOKEN);
    row = (tfm_encode_row){negative, 1, NULL};
    assert_int_equal(tfm_encode(model, &row, 1, NULL, &encoded, &error), TFM_E_TOKEN);
    row = (tfm_encode_row){many, 129, NULL};
    assert_int_equal(tfm_encode(model, &row, 1, NULL, &encoded, &error), TFM_E_CONTEXT);
    assert_non_null(strstr(error.message, "129"));
    row.count = 128;
    assert_int_equal(tfm_encode(model, &row, 1, NULL, &encoded, &error), TFM_OK);
    tfm_encoded_release(encoded);
    row.count = 0;
    assert_int_equal(tfm_encode(model, &row, 1, NULL, &encoded, &error), TFM_E_ARGUMENT);
    row = (tfm_encode_row){ids, 3, NULL};
    assert_int_equal(tfm_cancel_create(NULL, &cancel, &error), TFM_OK);
    tfm_cancel_set(cancel);
    options.cancel = cancel;
    assert_int_equal(tfm_encode(model, &row, 1, &options, &encoded, &error), TFM_E_CANCELLED);
    assert_null(encoded);
    tfm_cancel_destroy(cancel);
    tfm_encoded_release(NULL);
    tfm_model_release(model);
    model = load("encoders/bert-labels", NULL, 0);
    assert_int_equal(tfm_encode(model, &row, 1, NULL, &encoded, &error), TFM_OK);
    assert_int_equal(tfm_encoded_logits(encoded, 0, 1, logits, 2, &error), TFM_E_BUFFER);
    assert_int_equal(tfm_encoded_logits(encoded, 1, 1, logits, 8, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_encoded_logits(encoded, 0, 0, logits, 8, &error), TFM_E_ARGUMENT);
    tfm_model_release(model); /* the result keeps it */
    assert_int_equal(tfm_encoded_logits(encoded, 0, 1, logits, 8, &error), TFM_OK);
    tfm_encoded_release(encoded);
}

/* Memory refused at every place, once and from then on. */
static void test_no_memory(void **state) {
    static const tfm_token ids[] = {1, 2, 3, 4};
    static const int32_t types[] = {0, 1, 1, 0};
    const tfm_encode_row rows[] = {{ids, 4, types}, {ids, 2, NULL}};
    const tfm_text_input text = {"the cat sat", 11, NULL, 0};
    (void)state;
    for (int for_ever = 0; for_ever < 2; for_ever++)
        for (size_t n = 1;; n++) {
            tiny_memory memory = {.fail_at = n, .for_ever = for_ever};
            tfm_allocator allocator = tiny_allocator(&memory);
            tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
            tfm_error error = TFM_ERROR_INIT;
            tfm_model *model = NULL;
            tfm_encoded *encoded = NULL;
            float out[64];
            options.allocator = &allocator;
            int32_t status = tfm_model_load(TFM_TEST_DATA "/embedding/dense", &options, &model, &error);
            if (!status) status = tfm_encode(model, rows, 2, NULL, &encoded, &error);
            if (!status) status = tfm_embed(model, &text, 1, NULL, out, 64, NULL, &error);
            tfm_encoded_release(encoded);
            tfm_model_release(model);
            assert_int_equal(memory.out, 0);
            if (!memory.refusals) {
                assert_int_equal(status, TFM_OK);
                break;
            }
            /* what is only asked for on trial may be refused without harm */
            if (status && status != TFM_E_MEMORY)
                fail_msg("request %zu: %s (%s)", n, tfm_status_name(status), error.message);
        }
}

#define SAME(folder)                                                                                         \
    { "same bits " folder, test_same_bits, NULL, NULL, folder }

int main(void) {
    const struct CMUnitTest tests[] = {
        SAME("golden/bert"),
        SAME("encoders/mpnet-masked"),
        SAME("encoders/modernbert-masked"),
        cmocka_unit_test(test_decoder),
        cmocka_unit_test(test_inspectors),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
