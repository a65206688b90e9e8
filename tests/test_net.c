/* test_net.c - small networks: a hundred steps beside PyTorch's and TensorFlow Playground's, the perceptron,
 * functions and their slopes, settings, seeds, what must be refused, pictures, memory refused at every
 * request. Data is test_net_data.c's subject, what can be learned test_net_lessons.c's. */
#include <math.h>

#include "net/net.h"
#include "tiny_model.h"

static tfm_net *make(const tfm_net_options *options) {
    tfm_net *net = NULL;
    tfm_error error = TFM_ERROR_INIT;
    if (tfm_net_create(options, &net, &error)) fail_msg("%s", error.message);
    return net;
}

static tfm_net_options shape(uint32_t inputs, const uint32_t *hidden, uint32_t count) {
    tfm_net_options options = TFM_NET_OPTIONS_INIT;
    options.inputs = inputs;
    options.hidden = hidden;
    options.hidden_count = count;
    return options;
}

static void near(double got, double expected, double bound) {
    if (!(fabs(got - expected) <= bound)) fail_msg("%.17g is not %.17g", got, expected);
}

/* ---- PyTorch's steps (tests/data/net/README.md) ---- */

static double number(FILE *file) {
    double value = 0;
    assert_int_equal(fscanf(file, "%lf", &value), 1);
    return value;
}
static uint32_t whole(FILE *file) { return (uint32_t)number(file); }

typedef struct golden {
    uint32_t layers, sizes[8], kind, batch, rows, epochs;
    int32_t rule, activations[8];
    double rate, learning_rate;
} golden;

static void read_head(FILE *file, golden *g) {
    g->rule = (int32_t)whole(file);
    g->layers = whole(file);
    assert_in_range(g->layers, 1, 7);
    for (uint32_t i = 0; i <= g->layers; i++) g->sizes[i] = whole(file);
    for (uint32_t i = 0; i < g->layers; i++) g->activations[i] = (int32_t)whole(file);
    g->kind = whole(file);
    g->rate = number(file);
    g->learning_rate = number(file);
    g->batch = whole(file);
    g->rows = whole(file);
    g->epochs = whole(file);
}

static tfm_net_data *read_rows(FILE *file, const golden *g) {
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = NULL;
    uint32_t columns = g->sizes[0], targets = g->sizes[g->layers];
    double x[2048], y[2048];
    assert_true(g->rows * columns <= 2048);
    for (uint32_t r = 0; r < g->rows; r++) {
        for (uint32_t i = 0; i < columns; i++) x[r * columns + i] = number(file);
        for (uint32_t i = 0; i < targets; i++) y[r * targets + i] = number(file);
    }
    options.train_share = 1;
    options.keep_order = 1;
    options.kind = TFM_NET_NUMBERS;
    options.targets = targets;
    assert_int_equal(tfm_net_data_from_rows(x, y, g->rows, columns, &options, &data, NULL), TFM_OK);
    return data;
}

static void start_from(FILE *file, tfm_net *net, const golden *g) {
    for (uint32_t l = 0; l < g->layers; l++) {
        double weights[256], biases[16];
        for (uint32_t i = 0; i < g->sizes[l] * g->sizes[l + 1]; i++) weights[i] = number(file);
        for (uint32_t i = 0; i < g->sizes[l + 1]; i++) biases[i] = number(file);
        assert_int_equal(tfm_net_set_layer(net, (int32_t)l, weights, biases, NULL), TFM_OK);
    }
}

static void check_end(FILE *file, const tfm_net *net, const golden *g) {
    tfm_net_info info = TFM_NET_INFO_INIT;
    for (uint32_t l = 0; l < g->layers; l++) {
        tfm_net_layer layer = TFM_NET_LAYER_INIT;
        assert_int_equal(tfm_net_get_layer(net, (int32_t)l, &layer, NULL), TFM_OK);
        for (uint32_t i = 0; i < g->sizes[l] * g->sizes[l + 1]; i++)
            near(layer.weights[i], number(file), 1e-6);
        for (uint32_t i = 0; i < g->sizes[l + 1]; i++) near(layer.biases[i], number(file), 1e-6);
    }
    assert_int_equal(tfm_net_get_info(net, &info, NULL), TFM_OK);
    assert_int_equal(info.dead, whole(file));
    assert_int_equal(info.updates, 100);
    assert_int_equal(info.epochs, g->epochs);
}

static void run_case(FILE *file, const char *name) {
    golden g;
    double losses[128], before = 0;
    tfm_net_train_options train = TFM_NET_TRAIN_OPTIONS_INIT;
    read_head(file, &g);
    tfm_net_data *data = read_rows(file, &g);
    tfm_net_options options = shape(g.sizes[0], &g.sizes[1], g.layers - 1);
    options.outputs = g.sizes[g.layers];
    options.activations = g.activations;
    options.output = g.activations[g.layers - 1];
    options.rule = g.rule;
    tfm_net *net = make(&options);
    start_from(file, net, &g);
    tfm_net_set_f64(net, TFM_NET_LEARNING_RATE, g.learning_rate, NULL);
    tfm_net_set_f64(net, TFM_NET_REGULARISATION_RATE, g.rate, NULL);
    tfm_net_set_u64(net, TFM_NET_REGULARISATION, g.kind, NULL);
    tfm_net_set_u64(net, TFM_NET_BATCH, g.batch, NULL);
    assert_int_equal(tfm_net_measure(net, data, 0, &before, NULL, NULL), TFM_OK);
    near(before, number(file), 1e-12);
    assert_true(g.epochs <= 128);
    train.epochs = g.epochs;
    train.train_losses = losses;
    assert_int_equal(tfm_net_train(net, data, &train, NULL), TFM_OK);
    for (uint32_t e = 0; e < g.epochs; e++) near(losses[e], number(file), 1e-6);
    check_end(file, net, &g);
    assert_true(losses[g.epochs - 1] < before || strcmp(name, "sigmoid_l1") == 0);
    tfm_net_destroy(net);
    tfm_net_data_destroy(data);
}

static void run_file(const char *path, int expected) {
    char name[64];
    int cases = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (; fscanf(file, " case %63s", name) == 1; cases++) run_case(file, name);
    assert_true(feof(file));
    assert_int_equal(cases, expected);
    fclose(file);
}

static void test_steps_of_pytorch(void **state) {
    (void)state;
    run_file(TFM_TEST_DATA "/net/goldens.txt", 7);
}

static void test_steps_of_the_playground(void **state) {
    (void)state;
    run_file(TFM_TEST_DATA "/net/playground.txt", 1);
}

/* ---- The perceptron ---- */

static int goers(double threshold) {
    static const double weights[] = {8, 4, 4};
    double bias = -threshold;
    int count = 0;
    tfm_net_options options = shape(3, NULL, 0);
    options.output = TFM_NET_STEP;
    tfm_net *net = make(&options);
    assert_int_equal(tfm_net_set_layer(net, 0, weights, &bias, NULL), TFM_OK);
    for (int i = 0; i < 8; i++) {
        double inputs[] = {i >> 2 & 1, i >> 1 & 1, i & 1}, out = -1;
        assert_int_equal(tfm_net_run(net, TFM_NET_LAST, inputs, 1, &out, NULL), TFM_OK);
        int sum = 8 * (i >> 2 & 1) + 4 * (i >> 1 & 1) + 4 * (i & 1);
        assert_true(out == (sum > threshold));
        count += out > 0;
    }
    tfm_net_destroy(net);
    return count;
}

static void test_cinema(void **state) {
    (void)state;
    assert_int_equal(goers(8), 3); /* good weather and one thing more; 8 alone is not over 8 */
    assert_int_equal(goers(7.5), 5);
    assert_int_equal(goers(3), 7);
    assert_int_equal(goers(-1), 8);
    assert_int_equal(goers(12), 1);
    assert_int_equal(goers(16), 0);
}

static void test_perceptron_rule(void **state) {
    (void)state;
    /* one mistake moves the weights by the inputs: w + rate (t - o) x */
    static const double x[] = {1, 2, 0.5, -1}, y[] = {1, -1};
    tfm_net_data_options sample = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = NULL;
    tfm_net_layer layer = TFM_NET_LAYER_INIT;
    tfm_net_options options = shape(2, NULL, 0);
    options.rule = TFM_NET_PERCEPTRON;
    options.zero_start = 1;
    sample.keep_order = 1;
    sample.train_share = 1;
    tfm_net *net = make(&options);
    assert_int_equal(tfm_net_data_from_rows(x, y, 2, 2, &sample, &data, NULL), TFM_OK);
    tfm_net_set_f64(net, TFM_NET_LEARNING_RATE, 0.25, NULL);
    tfm_net_set_u64(net, TFM_NET_BATCH, 1, NULL);
    assert_int_equal(tfm_net_train(net, data, NULL, NULL), TFM_OK);
    tfm_net_get_layer(net, 0, &layer, NULL);
    /* row 0: 0 is not over 0, so o = 0: + 0.25 (1, 2), bias 0.25; row 1: sum 0.125 - 0.5 + 0.25 < 0: right */
    assert_true(layer.weights[0] == 0.25 && layer.weights[1] == 0.5 && layer.biases[0] == 0.25);
    tfm_net_destroy(net);
    tfm_net_data_destroy(data);
}

/* ---- Functions ---- */

static void test_functions(void **state) {
    (void)state;
    for (double x = -40; x <= 40; x += 0.0137) {
        near(tfm__net_tanh(x), tanh(x), 4e-16 * (1 + fabs(tanh(x))));
        near(tfm__net_sigmoid(x), 1 / (1 + exp(-x)), 4e-16);
        near(tfm__net_softplus(x), x > 30 ? x : log1p(exp(x)), 1e-12);
        for (int32_t f = TFM_NET_TANH; f <= TFM_NET_LINEAR; f++) {
            double h = 1e-6, slope = (tfm__net_activate(f, x + h) - tfm__net_activate(f, x - h)) / (2 * h);
            if (fabs(x) > 1e-3) near(tfm__net_slope(f, x, tfm__net_activate(f, x)), slope, 1e-8);
        }
    }
    near(tfm__net_tanh(1e-9) / 1e-9, 1, 1e-15);
    near(tfm__net_softplus(-50) / exp(-50), 1, 1e-14);
    assert_true(tfm__net_tanh(INFINITY) == 1 && tfm__net_tanh(-INFINITY) == -1 && isnan(tfm__net_tanh(NAN)));
    assert_true(tfm__net_sigmoid(-1e9) == 0 && tfm__net_sigmoid(1e9) == 1);
    assert_true(tfm__net_activate(TFM_NET_STEP, 0) == 0 && tfm__net_activate(TFM_NET_STEP, 1e-300) == 1);
    assert_true(tfm__net_activate(TFM_NET_RELU, -3) == 0 && tfm__net_slope(TFM_NET_RELU, 0, 0) == 0);
    assert_true(isnan(tfm__net_activate(TFM_NET_RELU, NAN)));
}

/* ---- Life ---- */

static tfm_net_data *set_of(int32_t set, uint32_t samples) {
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = NULL;
    options.set = set;
    options.samples = samples;
    assert_int_equal(tfm_net_data_generate(&options, &data, NULL), TFM_OK);
    return data;
}

static void test_life(void **state) {
    (void)state;
    static const uint32_t hidden[] = {4, 2};
    tfm_net_options options = shape(2, hidden, 2);
    tfm_net_info info = TFM_NET_INFO_INIT;
    tfm_net_layer first = TFM_NET_LAYER_INIT, again = TFM_NET_LAYER_INIT;
    tfm_net_train_options train = TFM_NET_TRAIN_OPTIONS_INIT;
    double at_start[8], a = 0, b = 0;
    options.seed = 7;
    tfm_net *net = make(&options), *twin = make(&options);
    tfm_net_data *data = set_of(TFM_NET_CIRCLE, 100);
    assert_int_equal(tfm_net_get_layer(net, 0, &first, NULL), TFM_OK);
    assert_int_equal(first.inputs, 2);
    assert_int_equal(first.outputs, 4);
    assert_int_equal(first.activation, TFM_NET_TANH);
    for (int i = 0; i < 8; i++) assert_true(first.weights[i] >= -0.5 && first.weights[i] < 0.5);
    for (int i = 0; i < 4; i++) assert_true(first.biases[i] == 0.1);
    memcpy(at_start, first.weights, sizeof at_start);
    train.epochs = 30;
    assert_int_equal(tfm_net_train(net, data, &train, NULL), TFM_OK);
    assert_int_equal(tfm_net_get_info(net, &info, NULL), TFM_OK);
    assert_int_equal(info.parameters, 2 * 4 + 4 + 4 * 2 + 2 + 2 + 1);
    assert_int_equal(info.layers, 3);
    assert_int_equal(info.epochs, 30);
    assert_int_equal(info.updates, 30 * 5);
    assert_true(memcmp(at_start, first.weights, sizeof at_start) != 0); /* the view lives on */
    for (int i = 0; i < 30; i++) assert_int_equal(tfm_net_train(twin, data, NULL, NULL), TFM_OK);
    tfm_net_measure(net, data, 1, &a, NULL, NULL);
    tfm_net_measure(twin, data, 1, &b, NULL, NULL);
    assert_true(a == b && a > 0); /* 30 epochs in one call or in 30 */
    assert_int_equal(tfm_net_reset(net, 7, NULL), TFM_OK);
    assert_memory_equal(at_start, first.weights, sizeof at_start);
    tfm_net_get_info(net, &info, NULL);
    assert_true(info.epochs == 0 && info.updates == 0);
    assert_int_equal(tfm_net_reset(twin, 8, NULL), TFM_OK);
    tfm_net_get_layer(twin, 0, &again, NULL);
    assert_true(memcmp(at_start, again.weights, sizeof at_start) != 0);
    tfm_net_destroy(net);
    tfm_net_destroy(twin);
    tfm_net_data_destroy(data);
    tfm_net_destroy(NULL);
    tfm_net_data_destroy(NULL);
}

static void test_settings(void **state) {
    (void)state;
    tfm_net_options options = shape(2, NULL, 0);
    tfm_net *net = make(&options);
    double f = 0;
    uint64_t u = 0;
    tfm_net_get_f64(net, TFM_NET_LEARNING_RATE, &f, NULL);
    tfm_net_get_u64(net, TFM_NET_BATCH, &u, NULL);
    assert_true(f == 0.03 && u == 10);
    assert_int_equal(tfm_net_set_f64(net, TFM_NET_LEARNING_RATE, 3, NULL), TFM_OK);
    for (double bad = -1; bad < 1; bad += 0.9)
        if (bad < 0) assert_int_equal(tfm_net_set_f64(net, TFM_NET_LEARNING_RATE, bad, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_set_f64(net, TFM_NET_LEARNING_RATE, NAN, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_set_f64(net, TFM_NET_REGULARISATION_RATE, INFINITY, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_set_f64(net, TFM_NET_BATCH, 1, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_set_u64(net, TFM_NET_LEARNING_RATE, 1, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_set_u64(net, TFM_NET_REGULARISATION, 3, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_set_u64(NULL, TFM_NET_BATCH, 3, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_get_f64(net, 99, &f, NULL), TFM_E_ARGUMENT);
    tfm_net_get_f64(net, TFM_NET_LEARNING_RATE, &f, NULL);
    assert_true(f == 3);
    tfm_net_destroy(net);
}

/* ---- What is refused ---- */

static void refused(const tfm_net_options *options, const char *word) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_net *net = (tfm_net *)&error;
    assert_int_equal(tfm_net_create(options, &net, &error), TFM_E_ARGUMENT);
    assert_null(net);
    if (!strstr(error.message, word)) fail_msg("\"%s\" does not say %s", error.message, word);
}

static void test_absurd_sizes(void **state) {
    (void)state;
    static const uint32_t none[] = {3, 0}, huge[] = {UINT32_MAX}, wide[] = {4096, 4096}, one[] = {1};
    static const int32_t unknown[] = {9};
    uint32_t many[65];
    tfm_net_options o = shape(0, NULL, 0);
    refused(&o, "0");
    o.inputs = UINT32_MAX;
    refused(&o, "4294967295");
    o = shape(2, none, 2);
    refused(&o, "hidden layer 1");
    o = shape(2, huge, 1);
    refused(&o, "4294967295");
    o = shape(4096, wide, 2);
    refused(&o, "weights");
    o = shape(2, NULL, 1);
    refused(&o, "NULL");
    for (int i = 0; i < 65; i++) many[i] = 1;
    o = shape(2, many, 65);
    refused(&o, "65");
    o = shape(2, one, 1);
    o.activation = 9;
    refused(&o, "9");
    o.activation = 0;
    o.activations = unknown;
    refused(&o, "9");
    o.activations = NULL;
    o.output = -1;
    refused(&o, "-1");
    o.output = 0;
    o.rule = 4;
    refused(&o, "4");
    o.rule = TFM_NET_PERCEPTRON;
    refused(&o, "perceptron");
    o.rule = TFM_NET_LOGISTIC;
    o.output = TFM_NET_TANH;
    refused(&o, "sigmoid");
    o = shape(2, NULL, 0);
    o.outputs = 4097;
    refused(&o, "4097");
    assert_int_equal(tfm_net_create(&o, NULL, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_create(NULL, (tfm_net **)&o, NULL), TFM_E_ARGUMENT);
}

static void test_misfits(void **state) {
    (void)state;
    static const uint32_t hidden[] = {2};
    tfm_net_options o = shape(3, NULL, 0);
    tfm_net_layer layer = TFM_NET_LAYER_INIT;
    tfm_error error = TFM_ERROR_INIT;
    double values[12] = {1, 2, NAN}, kept;
    tfm_net *net = make(&o), *step;
    tfm_net_data *data = set_of(TFM_NET_CIRCLE, 20);
    assert_int_equal(tfm_net_train(net, data, NULL, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "2 inputs"));
    assert_int_equal(tfm_net_measure(net, data, 0, values, NULL, NULL), TFM_E_ARGUMENT);
    tfm_net_get_layer(net, 0, &layer, NULL);
    kept = layer.weights[0];
    values[0] = 1;
    assert_int_equal(tfm_net_set_layer(net, 0, values, NULL, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "weight 2"));
    assert_true(layer.weights[0] == kept);
    assert_int_equal(tfm_net_get_layer(net, 1, &layer, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_get_layer(net, -3, &layer, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_run(net, 0, NULL, 1, values, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_run(net, 0, NULL, 0, NULL, &error), TFM_OK);
    o = shape(2, hidden, 1);
    o.activation = TFM_NET_STEP;
    step = make(&o);
    assert_int_equal(tfm_net_train(step, data, NULL, &error), TFM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "slope"));
    tfm_net_destroy(step);
    tfm_net_destroy(net);
    tfm_net_data_destroy(data);
}

static int32_t stop_at_three(void *user, uint64_t done, uint64_t total) {
    assert_int_equal(total, 1000000);
    ++*(int *)user;
    return done >= 3;
}

static void test_stopping(void **state) {
    (void)state;
    static const uint32_t hidden[] = {64, 64};
    tfm_net_options o = shape(2, hidden, 2);
    tfm_net_train_options train = TFM_NET_TRAIN_OPTIONS_INIT;
    tfm_net_info info = TFM_NET_INFO_INIT;
    tfm_cancel *cancel = NULL;
    int calls = 0;
    tfm_net *net = make(&o);
    tfm_net_data *data = set_of(TFM_NET_CIRCLE, 0);
    train.epochs = 1000000;
    train.progress = stop_at_three;
    train.progress_user = &calls;
    assert_int_equal(tfm_net_train(net, data, &train, NULL), TFM_E_CANCELLED);
    assert_true(calls > 1);
    tfm_net_get_info(net, &info, NULL);
    assert_int_equal(info.epochs, 3);
    assert_int_equal(tfm_cancel_create(NULL, &cancel, NULL), TFM_OK);
    tfm_cancel_set(cancel);
    train.cancel = cancel;
    train.progress = NULL;
    assert_int_equal(tfm_net_train(net, data, &train, NULL), TFM_E_CANCELLED);
    tfm_cancel_destroy(cancel);
    assert_int_equal(tfm_net_train(net, data, NULL, NULL), TFM_OK);
    tfm_net_destroy(net);
    tfm_net_data_destroy(data);
}

static void test_not_finite(void **state) {
    (void)state;
    tfm_net_options o = shape(2, NULL, 0);
    tfm_net_train_options train = TFM_NET_TRAIN_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_net *net;
    double loss = 0;
    tfm_net_data *data = set_of(TFM_NET_PLANE, 0);
    o.output = TFM_NET_LINEAR;
    net = make(&o);
    tfm_net_set_f64(net, TFM_NET_LEARNING_RATE, 10, NULL);
    train.epochs = 1000;
    assert_int_equal(tfm_net_train(net, data, &train, &error), TFM_E_STATE);
    assert_non_null(strstr(error.message, "not finite"));
    assert_non_null(strstr(error.message, "learning rate of 10"));
    assert_int_equal(tfm_net_train(net, data, NULL, &error), TFM_E_STATE); /* until it begins anew */
    assert_int_equal(tfm_net_measure(net, data, 1, &loss, NULL, NULL), TFM_OK);
    assert_false(isfinite(loss));
    tfm_net_set_f64(net, TFM_NET_LEARNING_RATE, 0.03, NULL);
    tfm_net_reset(net, 1, NULL);
    assert_int_equal(tfm_net_train(net, data, &train, &error), TFM_OK);
    tfm_net_measure(net, data, 1, &loss, NULL, NULL);
    assert_true(loss < 1e-9);
    tfm_net_destroy(net);
    tfm_net_data_destroy(data);
}

/* ---- Looking ---- */

static void test_plane(void **state) {
    (void)state;
    static const uint32_t hidden[] = {3};
    enum { N = 7 };
    tfm_net_options o = shape(2, hidden, 1);
    tfm_net_plane_options plane = TFM_NET_PLANE_OPTIONS_INIT;
    double cells[N * N * 3], one[3], last[N * N];
    tfm_net *net = make(&o);
    tfm_net_data *data = set_of(TFM_NET_SPIRAL, 0);
    plane.resolution = N;
    assert_int_equal(tfm_net_plane(net, data, 0, &plane, cells, NULL), TFM_OK);
    for (int y = 0; y < N; y++)
        for (int x = 0; x < N; x++) {
            double point[] = {-6 + (x + 0.5) * 12 / N, -6 + (y + 0.5) * 12 / N};
            tfm_net_run(net, 0, point, 1, one, NULL);
            for (int k = 0; k < 3; k++) near(cells[(y * N + x) * 3 + k], one[k], 1e-12);
        }
    assert_int_equal(tfm_net_plane(net, data, TFM_NET_INPUTS, &plane, cells, NULL), TFM_OK);
    near(cells[0], -6 + 6.0 / N, 1e-12);
    near(cells[(N * N - 1) * 2 + 1], 6 - 6.0 / N, 1e-12);
    plane.discretise = 1;
    assert_int_equal(tfm_net_plane(net, data, TFM_NET_LAST, &plane, last, NULL), TFM_OK);
    for (int i = 0; i < N * N; i++) assert_true(last[i] == 1 || last[i] == -1);
    plane.column_y = 2;
    assert_int_equal(tfm_net_plane(net, data, 0, &plane, cells, NULL), TFM_E_ARGUMENT);
    plane.column_y = 1;
    plane.resolution = 4097;
    assert_int_equal(tfm_net_plane(net, data, 0, &plane, cells, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_net_plane(net, data, 5, NULL, cells, NULL), TFM_E_ARGUMENT);
    tfm_net_destroy(net);
    tfm_net_data_destroy(data);
}

static int32_t keep(void *user, const void *bytes, size_t size) {
    tfm__buffer *buffer = user;
    return !tfm__buffer_append(buffer, bytes, size);
}
static int32_t refuse(void *user, const void *bytes, size_t size) {
    (void)user, (void)bytes, (void)size;
    return 1;
}

static void test_picture(void **state) {
    (void)state;
    static const uint32_t hidden[] = {8, 40};
    static const char csv[] = "<a&\"b\">,\xff\xfe,kind\n1,2,0\n2,1,1\n3,3,0\n4,0,1\n";
    tfm_net_options o = shape(2, hidden, 2);
    tfm_net_svg_options look = TFM_NET_SVG_OPTIONS_INIT;
    tfm_net_data *data = NULL;
    tfm__heap heap;
    tfm__buffer text;
    double losses[] = {1, 0.5, NAN, 0.25};
    tfm_net *net = make(&o);
    tfm__heap_init(&heap, NULL, 0);
    tfm__buffer_init(&text, &heap);
    assert_int_equal(tfm_net_data_from_csv(csv, sizeof csv - 1, "x.csv", NULL, &data, NULL), TFM_OK);
    look.title = "<script>alert('&')</script>";
    look.show_test = 1;
    look.train_losses = losses;
    look.loss_count = 4;
    assert_int_equal(tfm_net_svg(net, data, &look, keep, &text, NULL), TFM_OK);
    assert_true(tfm__buffer_append(&text, "", 1));
    const char *svg = (const char *)text.data;
    assert_int_equal(strncmp(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\"", 39), 0);
    assert_non_null(strstr(svg, "</svg>\n"));
    assert_null(strstr(svg, "<script"));
    assert_null(strstr(svg, "<a"));
    assert_non_null(strstr(svg, "&lt;a&amp;&quot;b&quot;&gt;"));
    assert_non_null(strstr(svg, "??"));
    assert_null(strstr(svg, "nan"));
    assert_non_null(strstr(svg, "32 of 40"));
    assert_true(text.size < 400000);
    assert_int_equal(tfm_net_svg(net, data, &look, refuse, NULL, NULL), TFM_E_CANCELLED);
    assert_int_equal(tfm_net_svg(net, data, &look, NULL, NULL, NULL), TFM_E_ARGUMENT);
    tfm__buffer_free(&text);
    tfm_net_destroy(net);
    tfm_net_data_destroy(data);
}

/* ---- Memory ---- */

static void test_memory_refused(void **state) {
    (void)state;
    static const uint32_t hidden[] = {4, 2};
    static const char csv[] = "a,b,c\n1,2,3\n4,5,6\n7,8,9\n";
    for (size_t n = 1;; n++) {
        tiny_memory memory = {.fail_at = n, .for_ever = true};
        tfm_allocator allocator = tiny_allocator(&memory);
        tfm_net_options o = shape(2, hidden, 2);
        tfm_net_data_options s = TFM_NET_DATA_OPTIONS_INIT;
        tfm_net *net = NULL;
        tfm_net_data *data = NULL, *own = NULL;
        double cells[100 * 100];
        tfm__heap heap;
        tfm__buffer text;
        tfm__heap_init(&heap, NULL, 0);
        tfm__buffer_init(&text, &heap);
        o.allocator = s.allocator = &allocator;
        s.set = TFM_NET_XOR;
        s.features = TFM_NET_X1 | TFM_NET_X1_X2;
        s.normalise = 1;
        int32_t rc = tfm_net_create(&o, &net, NULL);
        if (!rc) rc = tfm_net_data_generate(&s, &data, NULL);
        if (!rc) rc = tfm_net_data_from_csv(csv, sizeof csv - 1, NULL, &s, &own, NULL);
        if (!rc) rc = tfm_net_plane(net, data, TFM_NET_LAST, NULL, cells, NULL);
        if (!rc) rc = tfm_net_svg(net, data, NULL, keep, &text, NULL);
        tfm__buffer_free(&text);
        tfm_net_destroy(net);
        tfm_net_data_destroy(data);
        tfm_net_data_destroy(own);
        assert_int_equal(memory.out, 0);
        if (!memory.refusals) {
            assert_int_equal(rc, TFM_OK);
            assert_true(n > 10);
            break;
        }
        assert_int_equal(rc, TFM_E_MEMORY);
    }
    tfm_net_options o = shape(2, hidden, 2);
    tfm_net *net = NULL;
    o.byte_budget = 100;
    assert_int_equal(tfm_net_create(&o, &net, NULL), TFM_E_BUDGET);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_of_pytorch), cmocka_unit_test(test_steps_of_the_playground),
        cmocka_unit_test(test_cinema),           cmocka_unit_test(test_perceptron_rule),
        cmocka_unit_test(test_functions),        cmocka_unit_test(test_life),
        cmocka_unit_test(test_settings),         cmocka_unit_test(test_absurd_sizes),
        cmocka_unit_test(test_misfits),          cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_not_finite),       cmocka_unit_test(test_plane),
        cmocka_unit_test(test_picture),          cmocka_unit_test(test_memory_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
