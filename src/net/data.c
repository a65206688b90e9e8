/* data.c - a table of numbers becomes data: classes, order, training and test rows, features, normalising. */
#include "net/net.h"

#include <math.h>
#include <stdio.h>

#include "base/elementary.h"

static const uint32_t all_features[] = {TFM_NET_X1,    TFM_NET_X2,     TFM_NET_X1_SQUARED, TFM_NET_X2_SQUARED,
                                        TFM_NET_X1_X2, TFM_NET_SIN_X1, TFM_NET_SIN_X2};

int32_t tfm__net_check_data_options(const tfm_net_data_options *o, tfm_error *error) {
    if (o->features < 0 || o->features > 127)
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "there are no features %d: TFM_NET_X1 to _SIN_X2 add up to 127 at most",
                         (int)o->features);
    if (!(o->train_share >= 0 && o->train_share <= 1))
        return tfm__fail(error, TFM_E_ARGUMENT, "the share of training rows is over 0 and at most 1, not %g",
                         o->train_share);
    if (o->kind < TFM_NET_LOOK || o->kind > TFM_NET_NUMBERS)
        return tfm__fail(error, TFM_E_ARGUMENT, "there is no kind of targets %d", (int)o->kind);
    return TFM_OK;
}

/* ---- The table ---- */

static int32_t bad_row(const tfm__net_table *t, size_t row, tfm_error *error, const char *what) {
    if (t->lines)
        return tfm__fail_at(error, TFM_E_FORMAT, t->file, NULL, TFM__NO_OFFSET, "line %zu: %s", t->lines[row],
                            what);
    return tfm__fail(error, TFM_E_ARGUMENT, "row %zu: %s", row, what);
}

/* Two values of the target become -1 and 1. */
static int32_t make_classes(tfm__net_table *t, const tfm_net_data_options *o, int32_t *kind,
                            tfm_error *error) {
    size_t width = (size_t)t->columns + t->targets;
    *kind = TFM_NET_NUMBERS;
    if (o->kind == TFM_NET_NUMBERS || (o->kind == TFM_NET_LOOK && t->targets != 1)) return TFM_OK;
    for (uint32_t k = 0; k < t->targets; k++) {
        double low = t->numbers[t->columns + k], high = low;
        for (size_t r = 1; r < t->rows; r++) {
            double x = t->numbers[r * width + t->columns + k];
            low = x < low ? x : low;
            high = x > high ? x : high;
        }
        for (size_t r = 0; r < t->rows; r++) {
            double x = t->numbers[r * width + t->columns + k];
            if (x == low || x == high) continue;
            if (o->kind == TFM_NET_LOOK) return TFM_OK;
            return bad_row(t, r, error, "a third value of the target: classes are two");
        }
        if (low == high) {
            if (o->kind == TFM_NET_LOOK) return TFM_OK;
            return bad_row(t, 0, error, "the target has one value in all rows: classes are two");
        }
        for (size_t r = 0; r < t->rows; r++) {
            double *x = &t->numbers[r * width + t->columns + k];
            *x = *x == low ? -1.0 : 1.0;
        }
    }
    *kind = TFM_NET_CLASSES;
    return TFM_OK;
}

/* Fisher and Yates. */
static void shuffle(tfm__net_table *t, uint64_t seed) {
    tfm__rng rng;
    size_t width = (size_t)t->columns + t->targets;
    tfm__rng_seed(&rng, seed ^ 0x5bd1e995u); /* another row of numbers than the generator's */
    for (size_t i = t->rows; i > 1; i--) {
        size_t other = (size_t)(tfm__rng_unit(&rng) * (double)i);
        double *a = t->numbers + (i - 1) * width, *b = t->numbers + other * width;
        for (size_t k = 0; k < width; k++) {
            double x = a[k];
            a[k] = b[k];
            b[k] = x;
        }
    }
}

static size_t train_rows(size_t rows, double share) {
    size_t count = (size_t)((double)rows * (share > 0 ? share : 0.5) + 1e-9);
    return count < 1 ? 1 : count > rows ? rows : count;
}

/* ---- Inputs ---- */

static double sine(double x) {
    double s, c;
    tfm__sin_cos(x, &s, &c);
    return s;
}

static double feature(uint32_t which, const double *x) {
    switch (which) {
    case TFM_NET_X1:
        return x[0];
    case TFM_NET_X2:
        return x[1];
    case TFM_NET_X1_SQUARED:
        return x[0] * x[0];
    case TFM_NET_X2_SQUARED:
        return x[1] * x[1];
    case TFM_NET_X1_X2:
        return x[0] * x[1];
    case TFM_NET_SIN_X1:
        return sine(x[0]);
    default:
        return sine(x[1]);
    }
}

void tfm__net_data_inputs(const tfm_net_data *data, const double *point, double *inputs) {
    uint32_t n = 0;
    if (!data->features) {
        memcpy(inputs, point, data->columns * sizeof *inputs);
    } else {
        for (size_t i = 0; i < TFM__COUNT(all_features); i++)
            if (data->features & all_features[i]) inputs[n++] = feature(all_features[i], point);
    }
    for (uint32_t i = 0; i < data->inputs; i++) inputs[i] = (inputs[i] - data->shifts[i]) * data->factors[i];
}

/* "x1²" of "x1", and so on. NULL when memory was refused. */
static const char *feature_name(tfm_net_data *data, uint32_t which) {
    char text[256];
    const char *a = data->column_names[0], *b = data->column_names[1];
    switch (which) {
    case TFM_NET_X1:
        return a;
    case TFM_NET_X2:
        return b;
    case TFM_NET_X1_SQUARED:
        snprintf(text, sizeof text, "%.100s\u00b2", a);
        break;
    case TFM_NET_X2_SQUARED:
        snprintf(text, sizeof text, "%.100s\u00b2", b);
        break;
    case TFM_NET_X1_X2:
        snprintf(text, sizeof text, "%.100s\u00b7%.100s", a, b);
        break;
    case TFM_NET_SIN_X1:
        snprintf(text, sizeof text, "sin %.100s", a);
        break;
    default:
        snprintf(text, sizeof text, "sin %.100s", b);
    }
    return tfm__arena_text(&data->arena, text, strlen(text));
}

static bool name_all(tfm_net_data *data, const tfm__net_table *t) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < data->columns; i++) {
        char text[24];
        snprintf(text, sizeof text, "x%u", (unsigned)(i + 1));
        const char *name = t->names && t->names[i][0] ? t->names[i] : text;
        data->column_names[i] = tfm__arena_text(&data->arena, name, strlen(name));
        if (!data->column_names[i]) return false;
        if (!data->features) data->input_names[i] = data->column_names[i];
    }
    for (size_t i = 0; data->features && i < TFM__COUNT(all_features); i++)
        if (data->features & all_features[i])
            if (!(data->input_names[n++] = feature_name(data, all_features[i]))) return false;
    return true;
}

static void measure_columns(tfm_net_data *data, bool generated) {
    for (uint32_t c = 0; c < data->columns; c++) {
        double low = data->points[c], high = low, sum = 0;
        for (size_t r = 0; r < data->rows; r++) {
            double x = data->points[r * data->columns + c];
            low = x < low ? x : low;
            high = x > high ? x : high;
            if (r < data->train_rows) sum += x / (double)data->train_rows;
        }
        double more = 0.05 * high - 0.05 * low;
        if (!(more > 0)) more = 1;
        data->column_means[c] = sum;
        data->low[c] = generated ? -6 : low - more;
        data->high[c] = generated ? 6 : high + more;
    }
}

/* Means and standard deviations of the inputs over the training rows; an input that never changes is only
 * moved. */
static void normalise(tfm_net_data *data) {
    double count = (double)data->train_rows;
    for (uint32_t i = 0; i < data->inputs; i++) {
        double mean = 0, squares = 0;
        for (size_t r = 0; r < data->train_rows; r++) mean += data->inputs_of[r * data->inputs + i] / count;
        for (size_t r = 0; r < data->train_rows; r++) {
            double off = data->inputs_of[r * data->inputs + i] - mean;
            squares += off * off / count;
        }
        double deviation = sqrt(squares);
        data->shifts[i] = mean;
        data->factors[i] = deviation > 0 && tfm__finite(1.0 / deviation) ? 1.0 / deviation : 1.0;
    }
    for (size_t r = 0; r < data->rows; r++)
        tfm__net_data_inputs(data, data->points + r * data->columns, data->inputs_of + r * data->inputs);
}

/* ---- Making ---- */

static double *numbers(tfm_net_data *data, size_t rows, uint32_t width) {
    size_t count, bytes;
    if (!tfm__mul_size(rows, width, &count) || !tfm__mul_size(count, sizeof(double), &bytes)) return NULL;
    return tfm__arena_alloc(&data->arena, bytes);
}

static bool take_memory(tfm_net_data *data) {
    data->points = numbers(data, data->rows, data->columns);
    data->inputs_of = numbers(data, data->rows, data->inputs);
    data->targets = numbers(data, data->rows, data->target_count);
    data->low = numbers(data, 3, data->columns);
    data->shifts = numbers(data, 2, data->inputs);
    data->column_names = tfm__arena_alloc(&data->arena, data->columns * sizeof *data->column_names);
    data->input_names = tfm__arena_alloc(&data->arena, data->inputs * sizeof *data->input_names);
    if (!data->points || !data->inputs_of || !data->targets || !data->low || !data->shifts ||
        !data->column_names || !data->input_names)
        return false;
    data->high = data->low + data->columns;
    data->column_means = data->high + data->columns;
    data->factors = data->shifts + data->inputs;
    for (uint32_t i = 0; i < data->inputs; i++) data->factors[i] = 1.0;
    return true;
}

static int32_t check_inputs(const tfm_net_data *data, const tfm__net_table *t, tfm_error *error) {
    for (size_t r = 0; r < data->rows; r++)
        for (uint32_t i = 0; i < data->inputs; i++)
            if (!tfm__finite(data->inputs_of[r * data->inputs + i]))
                return tfm__fail_at(error, TFM_E_ARGUMENT, t->file, NULL, TFM__NO_OFFSET,
                                    "the input %s is not finite for some row: the numbers are too large",
                                    data->input_names[i]);
    return TFM_OK;
}

static int32_t fill(tfm_net_data *data, const tfm__net_table *t, const tfm_net_data_options *o,
                    tfm_error *error) {
    size_t width = (size_t)t->columns + t->targets;
    if (!take_memory(data) || !name_all(data, t))
        return tfm__fail_memory(error, &data->heap, t->rows * width * 8);
    for (size_t r = 0; r < t->rows; r++) {
        const double *row = t->numbers + r * width;
        memcpy(data->points + r * data->columns, row, data->columns * sizeof *row);
        memcpy(data->targets + r * data->target_count, row + t->columns, data->target_count * sizeof *row);
        tfm__net_data_inputs(data, data->points + r * data->columns, data->inputs_of + r * data->inputs);
    }
    measure_columns(data, t->generated);
    int32_t rc = check_inputs(data, t, error);
    if (rc == TFM_OK && o->normalise) {
        normalise(data);
        rc = check_inputs(data, t, error);
    }
    return rc;
}

int32_t tfm__net_data_make(tfm__net_table *t, const tfm_net_data_options *o, tfm_net_data **out,
                           tfm_error *error) {
    tfm__heap heap;
    int32_t rc, kind;
    if (o->features && t->columns != 2)
        return tfm__fail_at(error, TFM_E_ARGUMENT, t->file, NULL, TFM__NO_OFFSET,
                            "features are made of two columns; there are %u", (unsigned)t->columns);
    if ((rc = make_classes(t, o, &kind, error)) != 0) return rc;
    if (!o->keep_order) shuffle(t, o->seed);
    tfm__heap_init(&heap, o->allocator, 0);
    tfm_net_data *data = tfm__alloc_zero(&heap, sizeof *data);
    if (!data) return tfm__fail_memory(error, &heap, sizeof *data);
    uint64_t taken = atomic_load(&t->heap->live);
    uint64_t left = o->byte_budget > taken ? o->byte_budget - taken : 1;
    tfm__heap_init(&data->heap, o->allocator, o->byte_budget ? left : 0);
    tfm__arena_init(&data->arena, &data->heap);
    data->rows = t->rows;
    data->train_rows = train_rows(t->rows, o->train_share);
    data->columns = data->inputs = t->columns;
    data->target_count = t->targets;
    data->kind = kind;
    data->features = (uint32_t)o->features;
    if (data->features) {
        data->inputs = 0;
        for (uint32_t bit = 1; bit < 128; bit *= 2) data->inputs += (data->features & bit) != 0;
    }
    if ((rc = fill(data, t, o, error)) != 0) {
        tfm__net_data_destroy(data);
        return rc;
    }
    *out = data;
    return TFM_OK;
}

void tfm__net_data_destroy(tfm_net_data *data) {
    tfm__heap heap;
    if (!data) return;
    tfm__heap_init(&heap, &data->heap.allocator, 0);
    tfm__arena_free(&data->arena);
    tfm__free(&heap, data);
}
