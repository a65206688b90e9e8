/* test_net_data.c - data of small networks: the generated sets, own rows, CSV and its errors, features,
 * normalising. */
#include <math.h>

#include "net/net.h"
#include "tiny_model.h"

static tfm_net_data_view view_of(const tfm_net_data *data) {
    tfm_net_data_view view = TFM_NET_DATA_VIEW_INIT;
    assert_int_equal(tfm_net_data_get(data, &view, NULL), TFM_OK);
    return view;
}

static tfm_net_data *generate(int32_t set, double noise, uint64_t seed) {
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_net_data *data = NULL;
    options.set = set;
    options.noise = noise;
    options.seed = seed;
    if (tfm_net_data_generate(&options, &data, &error)) fail_msg("%s", error.message);
    return data;
}

/* ---- Generated sets ---- */

/* Without noise every row's target follows from its place. */
static double expected(int32_t set, double a, double b) {
    switch (set) {
    case TFM_NET_CIRCLE:
        return hypot(a, b) < 2.5 ? 1 : -1;
    case TFM_NET_XOR:
        return a * b >= 0 ? 1 : -1;
    case TFM_NET_PLANE:
        return (a + b) / 10;
    default: { /* the spiral: the arm whose angle fits the radius */
        double turn = hypot(a, b) / 5 * 1.75 * 2 * acos(-1);
        return hypot(a - hypot(a, b) * sin(turn), b - hypot(a, b) * cos(turn)) < 1e-9 ? 1 : -1;
    }
    }
}

static void test_sets_without_noise(void **state) {
    (void)state;
    for (int32_t set = TFM_NET_CIRCLE; set <= TFM_NET_MULTI_GAUSSIAN; set++) {
        tfm_net_data *data = generate(set, 0, 3);
        tfm_net_data_view v = view_of(data);
        bool numbers = set == TFM_NET_PLANE || set == TFM_NET_MULTI_GAUSSIAN;
        double sum = 0, low = 0, high = 0;
        assert_int_equal(v.rows, numbers ? 1200 : 500);
        assert_int_equal(v.train_rows, v.rows / 2);
        assert_int_equal(v.kind, numbers ? TFM_NET_NUMBERS : TFM_NET_CLASSES);
        assert_true(v.low[0] == -6 && v.high[1] == 6);
        for (size_t r = 0; r < v.rows; r++) {
            double a = v.points[2 * r], b = v.points[2 * r + 1], t = v.targets[r];
            if (set != TFM_NET_GAUSSIAN) assert_true(fabs(a) <= 6 && fabs(b) <= 6);
            if (set != TFM_NET_GAUSSIAN && set != TFM_NET_MULTI_GAUSSIAN && hypot(a, b) > 0)
                assert_true(fabs(expected(set, a, b) - t) < 1e-12);
            if (set == TFM_NET_XOR) assert_true(fabs(a) >= 0.3 && fabs(b) >= 0.3);
            if (set == TFM_NET_GAUSSIAN && t > 0) sum += (a + b) / 500;
            low = t < low ? t : low;
            high = t > high ? t : high;
        }
        if (!numbers) assert_true(low == -1 && high == 1);
        if (set == TFM_NET_GAUSSIAN) assert_true(fabs(sum - 2) < 0.15);
        if (set == TFM_NET_MULTI_GAUSSIAN) assert_true(low < -0.9 && low >= -1 && high > 0.9 && high <= 1);
        tfm_net_data_destroy(data);
    }
}

static void test_seeds_and_noise(void **state) {
    (void)state;
    for (int32_t set = TFM_NET_CIRCLE; set <= TFM_NET_CINEMA; set++) {
        tfm_net_data *a = generate(set, 0.3, 5), *b = generate(set, 0.3, 5), *c = generate(set, 0.3, 6);
        tfm_net_data_view va = view_of(a), vb = view_of(b), vc = view_of(c);
        size_t points = va.rows * va.columns * sizeof(double), targets = va.rows * sizeof(double);
        assert_memory_equal(va.points, vb.points, points);
        assert_memory_equal(va.targets, vb.targets, targets);
        assert_true(memcmp(va.points, vc.points, points) != 0);
        size_t wrong = 0;
        for (size_t r = 0; r < va.rows; r++)
            wrong +=
                set == TFM_NET_XOR && va.targets[r] != expected(set, va.points[2 * r], va.points[2 * r + 1]);
        if (set == TFM_NET_XOR) assert_true(wrong > 20 && wrong < 250);
        tfm_net_data_destroy(a);
        tfm_net_data_destroy(b);
        tfm_net_data_destroy(c);
    }
}

static void test_cinema_follows_habits(void **state) {
    (void)state;
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = NULL;
    size_t goes = 0, company = 0;
    options.set = TFM_NET_CINEMA;
    options.habits[0] = 8;
    options.habits[1] = options.habits[2] = 4;
    options.habits[3] = 8;
    assert_int_equal(tfm_net_data_generate(&options, &data, NULL), TFM_OK);
    tfm_net_data_view v = view_of(data);
    assert_int_equal(v.rows, 10000);
    assert_string_equal(tfm_net_data_input_name(data, 2), "company");
    assert_null(tfm_net_data_input_name(data, 3));
    for (size_t r = 0; r < v.rows; r++) {
        const double *p = v.points + 3 * r;
        assert_true((v.targets[r] > 0) == (8 * p[0] + 4 * p[1] + 4 * p[2] > 8));
        goes += v.targets[r] > 0;
        company += p[2] > 0;
    }
    assert_true(goes > 3500 && goes < 4000 && company > 4800 && company < 5200); /* 3 of 8 */
    tfm_net_data_destroy(data);
}

static void test_features(void **state) {
    (void)state;
    static const char *const names[] = {"x1", "x2", "x1\u00b2", "x2\u00b2", "x1\u00b7x2", "sin x1", "sin x2"};
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = NULL;
    double point[] = {1.25, -3}, in[7];
    options.set = TFM_NET_SPIRAL;
    options.features = 127;
    assert_int_equal(tfm_net_data_generate(&options, &data, NULL), TFM_OK);
    tfm_net_data_view v = view_of(data);
    assert_int_equal(v.inputs, 7);
    assert_int_equal(tfm_net_data_inputs(data, point, 1, in, NULL), TFM_OK);
    double want[] = {1.25, -3, 1.5625, 9, -3.75, sin(1.25), sin(-3)};
    for (uint32_t i = 0; i < 7; i++) {
        assert_string_equal(tfm_net_data_input_name(data, i), names[i]);
        assert_true(fabs(in[i] - want[i]) < 1e-15);
    }
    for (size_t r = 0; r < v.rows; r++)
        assert_true(v.inputs_of[7 * r + 4] == v.points[2 * r] * v.points[2 * r + 1]);
    tfm_net_data_destroy(data);
    options.features = TFM_NET_X2 | TFM_NET_SIN_X1;
    assert_int_equal(tfm_net_data_generate(&options, &data, NULL), TFM_OK);
    assert_string_equal(tfm_net_data_input_name(data, 1), "sin x1");
    tfm_net_data_destroy(data);
}

static void test_normalised(void **state) {
    (void)state;
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = NULL;
    options.set = TFM_NET_CIRCLE;
    options.features = TFM_NET_X1 | TFM_NET_X1_SQUARED;
    options.normalise = 1;
    assert_int_equal(tfm_net_data_generate(&options, &data, NULL), TFM_OK);
    tfm_net_data_view v = view_of(data);
    for (uint32_t i = 0; i < 2; i++) {
        double mean = 0, squares = 0;
        for (size_t r = 0; r < v.train_rows; r++) {
            double x = v.inputs_of[2 * r + i];
            mean += x / (double)v.train_rows;
            squares += x * x / (double)v.train_rows;
        }
        assert_true(fabs(mean) < 1e-12 && fabs(squares - 1) < 1e-12);
    }
    double in[2]; /* points are treated as the rows were */
    tfm_net_data_inputs(data, v.points, 1, in, NULL);
    assert_true(in[0] == v.inputs_of[0] && in[1] == v.inputs_of[1]);
    tfm_net_data_destroy(data);
}

/* ---- Own rows ---- */

static void test_rows(void **state) {
    (void)state;
    static const double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, y[] = {5, 7, 5, 7, 7};
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = NULL;
    options.train_share = 0.6;
    assert_int_equal(tfm_net_data_from_rows(x, y, 5, 2, &options, &data, NULL), TFM_OK);
    tfm_net_data_view v = view_of(data);
    assert_int_equal(v.train_rows, 3);
    assert_int_equal(v.kind, TFM_NET_CLASSES);
    int moved = 0;
    for (size_t r = 0; r < 5; r++) { /* shuffled, each row with its own target */
        size_t from = (size_t)(v.points[2 * r] - 1) / 2;
        assert_true(v.points[2 * r + 1] == x[2 * from + 1] && v.targets[r] == (y[from] == 7 ? 1 : -1));
        moved += from != r;
    }
    assert_true(moved > 0);
    assert_true(v.low[0] < 1 && v.high[0] > 9 && v.high[0] < 9.5);
    tfm_net_data_destroy(data);
    options.keep_order = 1;
    options.kind = TFM_NET_NUMBERS;
    assert_int_equal(tfm_net_data_from_rows(x, y, 5, 2, &options, &data, NULL), TFM_OK);
    v = view_of(data);
    assert_memory_equal(v.points, x, sizeof x);
    assert_memory_equal(v.targets, y, sizeof y);
    tfm_net_data_destroy(data);
}

static void test_rows_refused(void **state) {
    (void)state;
    double x[] = {1, 2, 3, NAN, 5, 6}, y[] = {1, 2, INFINITY};
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = (tfm_net_data *)x;
    tfm_error error = TFM_ERROR_INIT;
    assert_int_equal(tfm_net_data_from_rows(x, y, 3, 2, NULL, &data, &error), TFM_E_ARGUMENT);
    assert_null(data);
    assert_non_null(strstr(error.message, "row 1, column 1"));
    x[3] = 4;
    assert_int_equal(tfm_net_data_from_rows(x, y, 3, 2, NULL, &data, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "row 2, target 0"));
    y[2] = 3;
    options.kind = TFM_NET_CLASSES;
    assert_int_equal(tfm_net_data_from_rows(x, y, 3, 2, &options, &data, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "third value"));
    y[2] = y[1] = y[0];
    assert_int_equal(tfm_net_data_from_rows(x, y, 3, 2, &options, &data, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "one value"));
    options.kind = TFM_NET_LOOK;
    options.features = TFM_NET_X1;
    assert_int_equal(tfm_net_data_from_rows(x, y, 3, 1, &options, &data, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "two columns"));
    x[0] = 1e200;
    options.features = TFM_NET_X1_SQUARED;
    assert_int_equal(tfm_net_data_from_rows(x, y, 3, 2, &options, &data, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "too large"));
    options.features = 128;
    assert_int_equal(tfm_net_data_from_rows(x, y, 3, 2, &options, &data, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_data_from_rows(x, y, 0, 2, NULL, &data, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_data_from_rows(x, y, 3, 5000, NULL, &data, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_data_from_rows(x, y, SIZE_MAX, 2, NULL, &data, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_data_from_rows(NULL, y, 3, 2, NULL, &data, &error), TFM_E_ARGUMENT);
}

static void test_options_refused(void **state) {
    (void)state;
    tfm_net_data_options o = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data;
    assert_int_equal(tfm_net_data_generate(NULL, &data, NULL), TFM_E_ARGUMENT); /* no set */
    o.set = 8;
    assert_int_equal(tfm_net_data_generate(&o, &data, NULL), TFM_E_ARGUMENT);
    o.set = TFM_NET_CIRCLE;
    o.noise = NAN;
    assert_int_equal(tfm_net_data_generate(&o, &data, NULL), TFM_E_ARGUMENT);
    o.noise = 1.5;
    assert_int_equal(tfm_net_data_generate(&o, &data, NULL), TFM_E_ARGUMENT);
    o.noise = 0;
    o.samples = UINT32_MAX;
    assert_int_equal(tfm_net_data_generate(&o, &data, NULL), TFM_E_ARGUMENT);
    o.samples = 1;
    o.train_share = -0.1;
    assert_int_equal(tfm_net_data_generate(&o, &data, NULL), TFM_E_ARGUMENT);
    o.train_share = 0;
    o.habits[1] = INFINITY;
    assert_int_equal(tfm_net_data_generate(&o, &data, NULL), TFM_E_ARGUMENT);
    o.habits[1] = 0;
    assert_int_equal(tfm_net_data_generate(&o, &data, NULL), TFM_OK);
    assert_int_equal(view_of(data).train_rows, 1);
    tfm_net_data_destroy(data);
}

/* ---- CSV ---- */

static void test_csv(void **state) {
    (void)state;
    static const double want[] = {1.5, 2, 0.5, 10, -2, 3.25, 0, 0}, targets[] = {-1, 1, -1, 1};
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = NULL;
    tfm_error error = TFM_ERROR_INIT;
    options.keep_order = 1;
    if (tfm_net_data_load(TFM_TEST_DATA "/net/flowers.csv", &options, &data, &error))
        fail_msg("%s", error.message);
    tfm_net_data_view v = view_of(data);
    assert_int_equal(v.rows, 4);
    assert_int_equal(v.columns, 2);
    assert_memory_equal(v.points, want, sizeof want);
    assert_memory_equal(v.targets, targets, sizeof targets);
    assert_string_equal(tfm_net_data_input_name(data, 0), "width, cm");
    assert_string_equal(tfm_net_data_input_name(data, 1), "height \"h\"");
    tfm_net_data_destroy(data);
    assert_int_equal(tfm_net_data_load(TFM_TEST_DATA "/net", NULL, &data, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_data_load(TFM_TEST_DATA "/net/none.csv", NULL, &data, &error), TFM_E_NOT_FOUND);
}

/* The budget bounds everything together; where it suffices, nothing of it is left afterwards but the data. */
static void test_budget(void **state) {
    (void)state;
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tiny_memory memory = {0};
    tfm_allocator allocator = tiny_allocator(&memory);
    tfm_net_data *data = NULL;
    options.set = TFM_NET_CIRCLE;
    options.allocator = &allocator;
    options.byte_budget = 500 * 3 * 8 + 10000; /* the table, but not the data too */
    assert_int_equal(tfm_net_data_generate(&options, &data, NULL), TFM_E_BUDGET);
    assert_null(data);
    assert_int_equal(memory.out, 0);
    options.byte_budget = 100000;
    assert_int_equal(tfm_net_data_generate(&options, &data, NULL), TFM_OK);
    tfm_net_data_destroy(data);
    assert_int_equal(memory.out, 0);
}

/* 20 inputs and 2 targets without names. */
static void test_wide_csv(void **state) {
    (void)state;
    char text[1024];
    size_t n = 0;
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = NULL;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 22; c++) n += (size_t)sprintf(text + n, "%d%c", r * 22 + c, c < 21 ? '\t' : '\n');
    options.targets = 2;
    options.keep_order = 1;
    assert_int_equal(tfm_net_data_from_csv(text, n, NULL, &options, &data, NULL), TFM_OK);
    tfm_net_data_view v = view_of(data);
    assert_true(v.columns == 20 && v.target_count == 2 && v.rows == 3 && v.kind == TFM_NET_NUMBERS);
    assert_true(v.targets[1] == 21 && v.points[20] == 22);
    assert_string_equal(tfm_net_data_input_name(data, 19), "x20");
    tfm_net_data_destroy(data);
}

static void test_csv_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "no rows"},
        {"\n\n# only\n", "no rows"},
        {"a,b\n", "no rows"},
        {"1,2\n", "only one row"},
        {"1\n2\n", "line 1: 1 column: there must be 1 for the target"},
        {"a,b,c\n1,2,3\n4,5\n", "line 3: 2 fields, not 3"},
        {"a,b\n\n1,2\n3,4,5\n", "line 4: more than 2 fields"},
        {"a,b\n1,2\n3,x\n", "line 3: column 2 (b): \"x\" is not a finite number"},
        {"1,2\n3,nan\n", "line 2: column 2: \"nan\""},
        {"1,nan\n3,4\n", "line 1: column 2: \"nan\""}, /* no head: it has a number */
        {"1,2\n3,inf\n", "\"inf\""},
        {"1,2\n3,1e999\n", "\"1e999\""},
        {"1,2\n3,\n", "\"\""},
        {"1,2\n3,1e\n", "\"1e\""},
        {"1,2\n3,.\n", "\".\""},
        {"1,2\n3,1.2.3\n", "\"1.2.3\""},
        {"1,2\n3,0x10\n", "\"0x10\""},
        {"1,2\n3,1 2\n", "\"1 2\""},
        {"1,2\n3,\"4\n", "line 2: a quoted field does not end"},
        {"1,2\n3,\"4\"5\n", "line 2: something stands behind"},
        {"1,5\n3,5\n2,6\n1,7\n", "line 3: a third value"},
    };
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
        tfm_error error = TFM_ERROR_INIT;
        tfm_net_data *data = NULL;
        options.kind = TFM_NET_CLASSES;
        int32_t rc =
            tfm_net_data_from_csv(cases[i].text, strlen(cases[i].text), "my.csv", &options, &data, &error);
        assert_null(data);
        if (rc != TFM_E_FORMAT || !strstr(error.message, cases[i].says) ||
            strncmp(error.message, "my.csv: ", 8) != 0)
            fail_msg("%zu: %s, not %s", i, error.message, cases[i].says);
    }
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = NULL;
    options.targets = UINT32_MAX;
    assert_int_equal(tfm_net_data_from_csv("1,2\n3,4\n", 8, NULL, &options, &data, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_data_from_csv(NULL, 8, NULL, NULL, &data, NULL), TFM_E_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_without_noise),
        cmocka_unit_test(test_seeds_and_noise),
        cmocka_unit_test(test_cinema_follows_habits),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_normalised),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rows_refused),
        cmocka_unit_test(test_options_refused),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_wide_csv),
        cmocka_unit_test(test_csv_refused),
        cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
