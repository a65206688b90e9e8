/* test_positions.c - rotary settings, written both ways, and the angles that follow from them, for every
 * scaling; learned from config.json texts without weights. The expected frequencies are computed here with
 * the C library's functions from the formulas of the papers (see src/model/rope.c). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/model.h"

#define DIM 16
#define PAIRS (DIM / 2)
#define PI 3.14159265358979323846

/* A Llama of heads of 16 with the given rotary settings at the end of its config.json. */
#define CONFIG(rope)                                                                                         \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":1,\"hidden_size\":32,\"num_attention_heads\":2,"        \
    "\"intermediate_size\":64,\"vocab_size\":10,\"max_position_embeddings\":256," rope "}"

typedef struct opened {
    tfm_model model;
    tfm__blob blob;
} opened;

static int32_t open_config(opened *o, const char *text, tfm_error *error) {
    memset(o, 0, sizeof *o);
    tfm__heap_init(&o->model.heap, NULL, 0);
    tfm__container *container = &o->model.container;
    container->heap = &o->model.heap;
    container->format = TFM__FORMAT_HF;
    container->blobs = &o->blob;
    container->blob_count = 1;
    o->blob.name = "config.json";
    tfm__arena_init(&container->arena, &o->model.heap);
    int32_t status =
        tfm__json_parse(&container->config, &o->model.heap, text, strlen(text), "config.json", error);
    if (!status) status = tfm__config_read(container, &o->model.config, error);
    return status ? status : tfm__model_rope(&o->model, error);
}

static void close_config(opened *o) {
    tfm__json_release(&o->model.container.config);
    tfm__arena_free(&o->model.container.arena);
    assert_int_equal(o->model.heap.live, 0);
}

static double plain(int i, double base) { return pow(base, -2.0 * i / DIM); }

/* Cosine and sine of every pair at a position are those of position * expected[i], times magnitude. */
static void check_angles(const opened *o, uint32_t position, const double *expected, double magnitude) {
    float cosine[PAIRS], sine[PAIRS];
    tfm__rope_table(&o->model, TFM__ROPE_GLOBAL, position, 1, cosine, sine);
    for (int i = 0; i < PAIRS; i++) {
        double angle = position * expected[i];
        assert_true(fabs(cosine[i] - magnitude * cos(angle)) < 1e-5 * (1 + position / 50.0));
        assert_true(fabs(sine[i] - magnitude * sin(angle)) < 1e-5 * (1 + position / 50.0));
    }
}

/* Both spellings must give the same frequencies, and those expected. */
static void check_both(const char *present, const char *past, const double *expected, double magnitude) {
    tfm_error error = TFM_ERROR_INIT;
    opened a, b;
    if (open_config(&a, present, &error) || open_config(&b, past, &error)) fail_msg("%s", error.message);
    for (int i = 0; i < PAIRS; i++)
        assert_float_equal(a.model.frequencies[0].inverse[i], b.model.frequencies[0].inverse[i], 0.0f);
    for (uint32_t position = 0; position < 50; position += 7) {
        check_angles(&a, position, expected, magnitude);
        check_angles(&b, position, expected, magnitude);
    }
    close_config(&a);
    close_config(&b);
}

static void test_default(void **state) {
    double expected[PAIRS];
    (void)state;
    for (int i = 0; i < PAIRS; i++) expected[i] = plain(i, 5000.0);
    check_both(CONFIG("\"rope_parameters\":{\"rope_theta\":5000.0,\"rope_type\":\"default\"}"),
               CONFIG("\"rope_theta\":5000.0,\"rope_scaling\":null"), expected, 1.0);
}

static void test_linear(void **state) {
    double expected[PAIRS];
    (void)state;
    for (int i = 0; i < PAIRS; i++) expected[i] = plain(i, 10000.0) / 4.0;
    check_both(CONFIG("\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":\"linear\",\"factor\":4.0}"),
               CONFIG("\"rope_theta\":10000.0,\"rope_scaling\":{\"type\":\"linear\",\"factor\":4.0}"),
               expected, 1.0);
}

static void test_llama3(void **state) {
    double expected[PAIRS];
    (void)state;
    for (int i = 0; i < PAIRS; i++) {
        double f = plain(i, 500000.0), wavelength = 2 * PI / f,
               smooth = (64 / wavelength - 1.0) / (4.0 - 1.0);
        expected[i] = wavelength > 64 ? f / 8 : wavelength < 16 ? f : (1 - smooth) * f / 8 + smooth * f;
    }
    check_both(
        CONFIG("\"rope_parameters\":{\"rope_theta\":500000.0,\"rope_type\":\"llama3\",\"factor\":8.0,"
               "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}"),
        CONFIG("\"rope_theta\":500000.0,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,"
               "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}"),
        expected, 1.0);
}

static void test_yarn(void **state) {
    double expected[PAIRS];
    (void)state;
    double low = floor(DIM * log(64 / (32 * 2 * PI)) / (2 * log(10000.0)));
    double high = ceil(DIM * log(64 / (1 * 2 * PI)) / (2 * log(10000.0)));
    low = fmax(low, 0);
    for (int i = 0; i < PAIRS; i++) {
        double ramp = fmin(fmax((i - low) / (high - low), 0), 1), f = plain(i, 10000.0);
        expected[i] = f / 4 * ramp + f * (1 - ramp);
    }
    check_both(CONFIG("\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":\"yarn\",\"factor\":4.0,"
                      "\"original_max_position_embeddings\":64}"),
               CONFIG("\"rope_theta\":10000.0,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4.0,"
                      "\"original_max_position_embeddings\":64}"),
               expected, 0.1 * log(4.0) + 1.0);
}

/* Past the original context the base grows with the position. */
static void test_dynamic(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    double expected[PAIRS];
    opened o;
    (void)state;
    if (open_config(
            &o,
            CONFIG("\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":\"dynamic\",\"factor\":2.0}"),
            &error))
        fail_msg("%s", error.message);
    for (int i = 0; i < PAIRS; i++) expected[i] = plain(i, 10000.0);
    check_angles(&o, 255, expected, 1.0);
    for (uint32_t position = 256; position < 600; position += 100) {
        double grown = 2.0 * (position + 1) / 256 - 1.0, base = 10000.0 * pow(grown, DIM / (DIM - 2.0));
        for (int i = 0; i < PAIRS; i++) expected[i] = plain(i, base);
        check_angles(&o, position, expected, 1.0);
    }
    close_config(&o);
}

/* One table of divisors up to the original context, another past it. */
static void test_longrope(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    double brief[PAIRS], stretched[PAIRS];
    opened o;
    (void)state;
    if (open_config(
            &o,
            CONFIG(
                "\"original_max_position_embeddings\":64,\"rope_theta\":10000.0,\"rope_scaling\":{\"type\":"
                "\"longrope\",\"short_factor\":[1,1,1,1,2,2,2,2],\"long_factor\":[1,2,3,4,5,6,7,8]}"),
            &error))
        fail_msg("%s", error.message);
    for (int i = 0; i < PAIRS; i++) {
        brief[i] = plain(i, 10000.0) / (i < 4 ? 1 : 2);
        stretched[i] = plain(i, 10000.0) / (i + 1);
    }
    double magnitude = sqrt(1 + log(256.0 / 64) / log(64.0));
    check_angles(&o, 63, brief, magnitude);
    check_angles(&o, 64, stretched, magnitude);
    check_angles(&o, 200, stretched, magnitude);
    close_config(&o);
}

static void refuse(const char *text, int32_t expected) {
    tfm_error error = TFM_ERROR_INIT;
    opened o;
    int32_t status = open_config(&o, text, &error);
    if (status != expected) fail_msg("%s: %s (%s)", text, tfm_status_name(status), error.message);
    assert_non_null(strstr(error.message, "config.json"));
    close_config(&o);
}

static void test_refused(void **state) {
    (void)state;
    refuse(CONFIG("\"rope_scaling\":{\"type\":\"spiral\",\"factor\":2}"), TFM_E_UNSUPPORTED);
    refuse(CONFIG("\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}"), TFM_E_FORMAT);
    refuse(CONFIG("\"rope_scaling\":{\"type\":\"linear\",\"factor\":\"four\"}"), TFM_E_FORMAT);
    refuse(CONFIG("\"rope_theta\":-1"), TFM_E_FORMAT);
    refuse(CONFIG("\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1],\"long_factor\":[1,1]}"),
           TFM_E_FORMAT);
    refuse(CONFIG("\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1,1,1,1,1,1,0],"
                  "\"long_factor\":[1,1,1,1,1,1,1,1]}"),
           TFM_E_FORMAT);
    refuse(CONFIG("\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_"
                  "factor\":4}"),
           TFM_E_FORMAT);
    refuse(CONFIG("\"rope_parameters\":{\"full_attention\":{\"rope_theta\":10000.0}}"), TFM_E_UNSUPPORTED);
}

/* Gemma 3 has a base for each kind of layer; old files spell it rope_local_base_freq. */
static void test_two_kinds(void **state) {
    static const char *const texts[] = {
        "{\"model_type\":\"gemma3_text\",\"num_hidden_layers\":2,\"hidden_size\":32,\"num_attention_heads\":"
        "2,\"head_dim\":16,"
        "\"intermediate_size\":64,\"vocab_size\":10,\"sliding_window\":8,\"rope_parameters\":{\"full_"
        "attention\":{"
        "\"rope_theta\":1000000.0,\"rope_type\":\"linear\",\"factor\":8.0},\"sliding_attention\":{\"rope_"
        "theta\":10000.0}}}",
        "{\"model_type\":\"gemma3_text\",\"num_hidden_layers\":2,\"hidden_size\":32,\"num_attention_heads\":"
        "2,\"head_dim\":16,"
        "\"intermediate_size\":64,\"vocab_size\":10,\"sliding_window\":8,\"rope_theta\":1000000.0,\"rope_"
        "local_base_freq\":"
        "10000.0,\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8.0}}"};
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(texts); i++) {
        tfm_error error = TFM_ERROR_INIT;
        opened o;
        if (open_config(&o, texts[i], &error)) fail_msg("%s", error.message);
        for (int pair = 0; pair < PAIRS; pair++) {
            double global = plain(pair, 1000000.0) / 8, local = plain(pair, 10000.0);
            assert_true(fabs(o.model.frequencies[TFM__ROPE_GLOBAL].inverse[pair] / global - 1) < 1e-6);
            assert_true(fabs(o.model.frequencies[TFM__ROPE_LOCAL].inverse[pair] / local - 1) < 1e-6);
        }
        close_config(&o);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default), cmocka_unit_test(test_linear),    cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_yarn),    cmocka_unit_test(test_dynamic),   cmocka_unit_test(test_longrope),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_two_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
