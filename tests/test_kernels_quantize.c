/* test_kernels_quantize.c - quantising rows: the bytes of ggml's reference quantisers on frozen rows, with
 * and without importance; what comes back; values that no scale can hold. */
#include <math.h>

#include "formats_help.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"

static const struct {
    const char *name;
    uint32_t type;
} types[] = {
    {"f16", TFM__F16},       {"bf16", TFM__BF16},     {"q4_0", TFM__Q4_0},   {"q4_1", TFM__Q4_1},
    {"q5_0", TFM__Q5_0},     {"q5_1", TFM__Q5_1},     {"q8_0", TFM__Q8_0},   {"q2_k", TFM__Q2_K},
    {"q3_k", TFM__Q3_K},     {"q4_k", TFM__Q4_K},     {"q5_k", TFM__Q5_K},   {"q6_k", TFM__Q6_K},
    {"iq4_nl", TFM__IQ4_NL}, {"iq4_xs", TFM__IQ4_XS}, {"mxfp4", TFM__MXFP4},
};

typedef struct golden {
    tfm__heap heap;
    tfm__store store;
    tfm__container container;
    float *x, *importance, *holes;
    size_t rows, columns;
} golden;

static float *floats(const tfm__container *container, const char *name, size_t *count) {
    const tfm__tensor *tensor = tfm__container_tensor(container, name);
    assert_non_null(tensor);
    float *out = malloc((size_t)tensor->bytes);
    *count = (size_t)tensor->bytes / 4;
    for (size_t i = 0; i < *count; i++) out[i] = tfm__f32_le(tensor->data + 4 * i);
    return out;
}

static void open_golden(golden *g) {
    size_t count;
    tfm__heap_init(&g->heap, NULL, 0);
    assert_int_equal(
        tfm__store_open_path(&g->store, &g->heap, TFM_TEST_DATA "/quant/quantise.safetensors", NULL, NULL),
        TFM_OK);
    assert_int_equal(tfm__container_open(&g->store, &g->container, NULL), TFM_OK);
    g->importance = floats(&g->container, "importance", &g->columns);
    g->holes = floats(&g->container, "holes", &count);
    g->x = floats(&g->container, "x", &count);
    g->rows = count / g->columns;
    assert_int_equal(g->rows, 12);
}

static void close_golden(golden *g) {
    free(g->x);
    free(g->importance);
    free(g->holes);
    tfm__container_release(&g->container);
    tfm__store_close(&g->store);
}

static void expect_bytes(const golden *g, size_t type, const char *suffix, const float *importance) {
    char name[64];
    snprintf(name, sizeof name, "%s%s", types[type].name, suffix);
    const tfm__tensor *expected = tfm__container_tensor(&g->container, name);
    assert_non_null(expected);
    uint8_t *out = malloc((size_t)expected->bytes);
    tfm__quantize_rows(types[type].type, g->x, g->rows, g->columns, importance, out);
    for (size_t i = 0; i < expected->bytes; i++)
        if (out[i] != expected->data[i])
            fail_msg("%s: byte %zu is %d, not %d", name, i, out[i], expected->data[i]);
    assert_true(tfm__quantize_fits(types[type].type, out, (size_t)expected->bytes));
    free(out);
}

static void test_bytes(void **state) {
    (void)state;
    golden g;
    open_golden(&g);
    for (size_t i = 0; i < TFM__COUNT(types); i++) {
        assert_true(tfm__quantize_makes(types[i].type));
        expect_bytes(&g, i, "", NULL);
        expect_bytes(&g, i, ".importance", g.importance);
        expect_bytes(&g, i, ".holes", g.holes);
    }
    close_golden(&g);
}

/* What is read back is near: within a step of the format. */
static void test_back(void **state) {
    (void)state;
    static const float most[] = {
        0.0005f, 0.004f, 0.1f,  0.09f, 0.06f, 0.05f, 0.008f, 0.35f,
        0.2f,    0.09f,  0.05f, 0.03f, 0.1f,  0.1f,  0.15f}; /* relative, in the square mean */
    golden g;
    tfm__kernels kernels;
    open_golden(&g);
    memset(&kernels, 0, sizeof kernels);
    tfm__kernels_fill(&kernels, TFM__ISA_PORTABLE);
    for (size_t i = 0; i < TFM__COUNT(types); i++) {
        uint8_t out[4 * 512];
        float back[512];
        double off = 0.0, all = 0.0;
        tfm__quantize_rows(types[i].type, g.x, 1, g.columns, NULL, out);
        kernels.weights[types[i].type].to_f32(out, back, g.columns);
        for (size_t j = 0; j < g.columns; j++) {
            off += ((double)back[j] - g.x[j]) * ((double)back[j] - g.x[j]);
            all += (double)g.x[j] * g.x[j];
        }
        if (!(sqrt(off / all) < most[i])) fail_msg("%s: %g off", types[i].name, sqrt(off / all));
    }
    close_golden(&g);
}

static void test_too_large(void **state) {
    (void)state;
    float x[256];
    uint8_t out[1024];
    for (int i = 0; i < 256; i++) x[i] = (i % 2 ? 1e9f : -1e9f) * (float)(i + 1) / 256;
    for (size_t i = 0; i < TFM__COUNT(types); i++) {
        uint64_t bytes;
        assert_true(tfm__row_bytes(types[i].type, 256, &bytes));
        tfm__quantize_rows(types[i].type, x, 1, 256, NULL, out);
        bool has_half = types[i].type != TFM__BF16 && types[i].type != TFM__MXFP4;
        assert_true(tfm__quantize_fits(types[i].type, out, (size_t)bytes) == !has_half);
    }
    assert_false(tfm__quantize_makes(16)); /* IQ2_XXS */
    assert_false(tfm__quantize_makes(TFM__I8));
    assert_false(tfm__quantize_makes(1000));
    assert_true(tfm__quantize_makes(TFM__F32));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_back),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
