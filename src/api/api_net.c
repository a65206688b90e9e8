/* api_net.c - the exported functions of tfm/net.h: arguments are checked here, the work is done in src/net/.
 */
#include "base/file.h"
#include "net/net.h"

static int32_t check_allocator(const tfm_allocator *allocator, tfm_error *error) {
    if (allocator && (allocator->struct_size < sizeof *allocator || !allocator->realloc))
        return tfm__fail(error, TFM_E_ARGUMENT, "options: an allocator without a function");
    return TFM_OK;
}

/* ---- Data ---- */

static int32_t take_data_options(const tfm_net_data_options *given, tfm_net_data_options *taken,
                                 tfm_error *error) {
    int32_t rc = tfm__take_options(given, taken, sizeof *taken, "tfm_net_data_options", error);
    if (rc == TFM_OK) rc = check_allocator(taken->allocator, error);
    if (rc == TFM_OK) rc = tfm__net_check_data_options(taken, error);
    return rc;
}

int32_t tfm_net_data_generate(const tfm_net_data_options *options, tfm_net_data **out, tfm_error *error) {
    tfm_net_data_options taken;
    if (!out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_net_data_generate: out is NULL");
    *out = NULL;
    int32_t rc = take_data_options(options, &taken, error);
    return rc ? rc : tfm__net_generate(&taken, out, error);
}

int32_t tfm_net_data_from_rows(const double *columns, const double *targets, size_t rows, size_t column_count,
                               const tfm_net_data_options *options, tfm_net_data **out, tfm_error *error) {
    tfm_net_data_options taken;
    tfm__heap heap;
    if (out) *out = NULL;
    if (!columns || !targets || !out)
        return tfm__fail(error, TFM_E_ARGUMENT, "columns, targets and out must not be NULL");
    int32_t rc = take_data_options(options, &taken, error);
    if (rc) return rc;
    uint32_t target_count = taken.targets ? taken.targets : 1;
    if (column_count < 1 || column_count > TFM__NET_MAX_COLUMNS || target_count > TFM__NET_MAX_COLUMNS)
        return tfm__fail(error, TFM_E_ARGUMENT, "1 to %d columns and targets, not %zu and %u",
                         TFM__NET_MAX_COLUMNS, column_count, (unsigned)target_count);
    if (rows < 1 || rows > TFM__NET_MAX_ROWS)
        return tfm__fail(error, TFM_E_ARGUMENT, "1 to %d rows, not %zu", TFM__NET_MAX_ROWS, rows);
    for (size_t i = 0; i < rows * column_count; i++)
        if (!tfm__finite(columns[i]))
            return tfm__fail(error, TFM_E_ARGUMENT, "row %zu, column %zu: %g is not a finite number",
                             i / column_count, i % column_count, columns[i]);
    for (size_t i = 0; i < rows * target_count; i++)
        if (!tfm__finite(targets[i]))
            return tfm__fail(error, TFM_E_ARGUMENT, "row %zu, target %zu: %g is not a finite number",
                             i / target_count, i % target_count, targets[i]);
    tfm__heap_init(&heap, taken.allocator, taken.byte_budget);
    tfm__net_table table = {
        .heap = &heap, .rows = rows, .columns = (uint32_t)column_count, .targets = target_count};
    size_t width = column_count + target_count;
    table.numbers = tfm__alloc_array(&heap, rows * width, sizeof *table.numbers);
    if (!table.numbers) return tfm__fail_memory(error, &heap, rows * width * sizeof *table.numbers);
    for (size_t r = 0; r < rows; r++) {
        memcpy(table.numbers + r * width, columns + r * column_count, column_count * sizeof *columns);
        memcpy(table.numbers + r * width + column_count, targets + r * target_count,
               target_count * sizeof *targets);
    }
    rc = tfm__net_data_make(&table, &taken, out, error);
    tfm__free(&heap, table.numbers);
    return rc;
}

static int32_t from_csv(const char *text, size_t length, const char *name, const tfm_net_data_options *taken,
                        tfm_net_data **out, tfm_error *error) {
    if (taken->targets > TFM__NET_MAX_COLUMNS)
        return tfm__fail(error, TFM_E_ARGUMENT, "1 to %d targets, not %u", TFM__NET_MAX_COLUMNS,
                         (unsigned)taken->targets);
    return tfm__net_csv(text, length, name, taken, out, error);
}

int32_t tfm_net_data_from_csv(const char *text, size_t length, const char *name,
                              const tfm_net_data_options *options, tfm_net_data **out, tfm_error *error) {
    tfm_net_data_options taken;
    if (out) *out = NULL;
    if (!text || !out) return tfm__fail(error, TFM_E_ARGUMENT, "text and out must not be NULL");
    int32_t rc = take_data_options(options, &taken, error);
    return rc ? rc : from_csv(text, length, name, &taken, out, error);
}

int32_t tfm_net_data_load(const char *path, const tfm_net_data_options *options, tfm_net_data **out,
                          tfm_error *error) {
    tfm_net_data_options taken;
    tfm__heap heap;
    tfm__store store;
    tfm__blob blob;
    tfm__read_options reading = {.into_memory = true};
    if (out) *out = NULL;
    if (!path || !out) return tfm__fail(error, TFM_E_ARGUMENT, "path and out must not be NULL");
    int32_t rc = take_data_options(options, &taken, error);
    if (rc) return rc;
    tfm__heap_init(&heap, taken.allocator, taken.byte_budget);
    if ((rc = tfm__store_open_path(&store, &heap, path, &reading, error)) != 0) return rc;
    if (tfm__store_is_folder(&store))
        rc = tfm__fail_at(error, TFM_E_ARGUMENT, path, NULL, TFM__NO_OFFSET,
                          "this is a folder, not a CSV file");
    else if ((rc = tfm__store_main(&store, &blob, error)) == TFM_OK) {
        rc = from_csv((const char *)blob.data, (size_t)blob.size, path, &taken, out, error);
        tfm__blob_release(&blob);
    }
    tfm__store_close(&store);
    return rc;
}

void tfm_net_data_destroy(tfm_net_data *data) { tfm__net_data_destroy(data); }

int32_t tfm_net_data_get(const tfm_net_data *data, tfm_net_data_view *view, tfm_error *error) {
    if (!data || !view) return tfm__fail(error, TFM_E_ARGUMENT, "data and view must not be NULL");
    tfm_net_data_view full = {sizeof full,     data->rows,         data->train_rows, data->columns,
                              data->inputs,    data->target_count, data->kind,       data->points,
                              data->inputs_of, data->targets,      data->low,        data->high};
    return tfm__give_struct(view, &full, sizeof full, "tfm_net_data_view", error);
}

const char *tfm_net_data_input_name(const tfm_net_data *data, uint32_t input) {
    return data && input < data->inputs ? data->input_names[input] : NULL;
}

int32_t tfm_net_data_inputs(const tfm_net_data *data, const double *points, size_t count, double *inputs,
                            tfm_error *error) {
    if (!data || (count && (!points || !inputs)))
        return tfm__fail(error, TFM_E_ARGUMENT, "data, points and inputs must not be NULL");
    for (size_t i = 0; i < count; i++)
        tfm__net_data_inputs(data, points + i * data->columns, inputs + i * data->inputs);
    return TFM_OK;
}

/* ---- Networks ---- */

int32_t tfm_net_create(const tfm_net_options *options, tfm_net **out, tfm_error *error) {
    tfm_net_options taken;
    if (!out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_net_create: out is NULL");
    *out = NULL;
    int32_t rc = tfm__take_options(options, &taken, sizeof taken, "tfm_net_options", error);
    if (rc == TFM_OK) rc = check_allocator(taken.allocator, error);
    return rc ? rc : tfm__net_create(&taken, out, error);
}

void tfm_net_destroy(tfm_net *net) { tfm__net_destroy(net); }

static double *field_f64(tfm_net *net, int32_t setting) {
    return setting == TFM_NET_LEARNING_RATE         ? &net->learning_rate
           : setting == TFM_NET_REGULARISATION_RATE ? &net->regularisation_rate
                                                    : NULL;
}

static uint64_t *field_u64(tfm_net *net, int32_t setting) {
    return setting == TFM_NET_REGULARISATION ? &net->regularisation
           : setting == TFM_NET_BATCH        ? &net->batch
                                             : NULL;
}

static int32_t no_setting(const tfm_net *net, int32_t setting, const char *type, tfm_error *error) {
    if (!net) return tfm__fail(error, TFM_E_ARGUMENT, "net is NULL");
    return tfm__fail(error, TFM_E_ARGUMENT, "there is no %s network setting %d", type, (int)setting);
}

int32_t tfm_net_set_f64(tfm_net *net, int32_t setting, double value, tfm_error *error) {
    double *field = net ? field_f64(net, setting) : NULL;
    if (!field) return no_setting(net, setting, "f64", error);
    if (!(value >= 0 && value <= 1e6))
        return tfm__fail(error, TFM_E_ARGUMENT, "network setting %d: %g is not in 0 to 1e6", (int)setting,
                         value);
    *field = value;
    return TFM_OK;
}

int32_t tfm_net_set_u64(tfm_net *net, int32_t setting, uint64_t value, tfm_error *error) {
    uint64_t *field = net ? field_u64(net, setting) : NULL;
    if (!field) return no_setting(net, setting, "u64", error);
    if (setting == TFM_NET_REGULARISATION && value > 2)
        return tfm__fail(error, TFM_E_ARGUMENT, "regularisation is 0 (none), 1 (L1) or 2 (L2), not %llu",
                         (unsigned long long)value);
    *field = value;
    return TFM_OK;
}

int32_t tfm_net_get_f64(const tfm_net *net, int32_t setting, double *value, tfm_error *error) {
    if (value) *value = 0;
    if (!value) return tfm__fail(error, TFM_E_ARGUMENT, "value is NULL");
    const double *field = net ? field_f64((tfm_net *)net, setting) : NULL;
    if (!field) return no_setting(net, setting, "f64", error);
    *value = *field;
    return TFM_OK;
}

int32_t tfm_net_get_u64(const tfm_net *net, int32_t setting, uint64_t *value, tfm_error *error) {
    if (value) *value = 0;
    if (!value) return tfm__fail(error, TFM_E_ARGUMENT, "value is NULL");
    const uint64_t *field = net ? field_u64((tfm_net *)net, setting) : NULL;
    if (!field) return no_setting(net, setting, "u64", error);
    *value = *field;
    return TFM_OK;
}

int32_t tfm_net_reset(tfm_net *net, uint64_t seed, tfm_error *error) {
    if (!net) return tfm__fail(error, TFM_E_ARGUMENT, "net is NULL");
    tfm__net_start(net, seed);
    return TFM_OK;
}

int32_t tfm_net_get_info(const tfm_net *net, tfm_net_info *info, tfm_error *error) {
    if (!net || !info) return tfm__fail(error, TFM_E_ARGUMENT, "net and info must not be NULL");
    tfm_net_info full = {sizeof full, net->inputs, net->outputs, net->layer_count, net->rule,
                         0,           net->epochs, net->updates, net->dead};
    for (uint32_t l = 0; l < net->layer_count; l++)
        full.parameters += ((uint64_t)net->layers[l].inputs + 1) * net->layers[l].outputs;
    return tfm__give_struct(info, &full, sizeof full, "tfm_net_info", error);
}

/* The place of a layer, or -1. */
static int32_t place_of(const tfm_net *net, int32_t layer, tfm_error *error) {
    if (layer == TFM_NET_LAST) return (int32_t)net->layer_count - 1;
    if (layer >= 0 && (uint32_t)layer < net->layer_count) return layer;
    tfm__fail(error, TFM_E_ARGUMENT, "there is no layer %d: the network has %u, from 0 on", (int)layer,
              (unsigned)net->layer_count);
    return -1;
}

int32_t tfm_net_get_layer(const tfm_net *net, int32_t layer, tfm_net_layer *view, tfm_error *error) {
    if (!net || !view) return tfm__fail(error, TFM_E_ARGUMENT, "net and view must not be NULL");
    int32_t place = place_of(net, layer, error);
    if (place < 0) return TFM_E_ARGUMENT;
    const tfm__net_layer *l = &net->layers[place];
    tfm_net_layer full = {sizeof full, l->inputs,  l->outputs, l->activation,
                          0,           l->weights, l->biases,  l->dead};
    return tfm__give_struct(view, &full, sizeof full, "tfm_net_layer", error);
}

int32_t tfm_net_set_layer(tfm_net *net, int32_t layer, const double *weights, const double *biases,
                          tfm_error *error) {
    if (!net) return tfm__fail(error, TFM_E_ARGUMENT, "net is NULL");
    int32_t place = place_of(net, layer, error);
    if (place < 0) return TFM_E_ARGUMENT;
    tfm__net_layer *l = &net->layers[place];
    size_t links = (size_t)l->inputs * l->outputs;
    for (size_t i = 0; weights && i < links; i++)
        if (!tfm__finite(weights[i]))
            return tfm__fail(error, TFM_E_ARGUMENT, "weight %zu of layer %d is not finite", i, (int)place);
    for (size_t i = 0; biases && i < l->outputs; i++)
        if (!tfm__finite(biases[i]))
            return tfm__fail(error, TFM_E_ARGUMENT, "bias %zu of layer %d is not finite", i, (int)place);
    if (weights) {
        memcpy(l->weights, weights, links * sizeof *weights);
        for (size_t i = 0; i < links; i++) net->dead -= l->dead[i];
        memset(l->dead, 0, links);
    }
    if (biases) memcpy(l->biases, biases, l->outputs * sizeof *biases);
    return TFM_OK;
}

int32_t tfm_net_run(tfm_net *net, int32_t layer, const double *inputs, size_t count, double *outputs,
                    tfm_error *error) {
    if (!net || (count && (!inputs || !outputs)))
        return tfm__fail(error, TFM_E_ARGUMENT, "net, inputs and outputs must not be NULL");
    int32_t place = place_of(net, layer, error);
    if (place < 0) return TFM_E_ARGUMENT;
    const tfm__net_layer *l = &net->layers[place];
    for (size_t i = 0; i < count; i++) {
        tfm__net_forward(net, inputs + i * net->inputs);
        memcpy(outputs + i * l->outputs, l->out, l->outputs * sizeof *outputs);
    }
    return TFM_OK;
}

/* ---- Training and looking ---- */

static int32_t check_pair(const tfm_net *net, const tfm_net_data *data, tfm_error *error) {
    if (!net || !data) return tfm__fail(error, TFM_E_ARGUMENT, "net and data must not be NULL");
    if (net->inputs != data->inputs)
        return tfm__fail(error, TFM_E_ARGUMENT, "the data has %u inputs, the network %u",
                         (unsigned)data->inputs, (unsigned)net->inputs);
    if (net->outputs != data->target_count)
        return tfm__fail(error, TFM_E_ARGUMENT, "the data has %u targets, the network %u outputs",
                         (unsigned)data->target_count, (unsigned)net->outputs);
    return TFM_OK;
}

int32_t tfm_net_train(tfm_net *net, const tfm_net_data *data, const tfm_net_train_options *options,
                      tfm_error *error) {
    tfm_net_train_options taken;
    int32_t rc = check_pair(net, data, error);
    if (rc == TFM_OK) rc = tfm__take_options(options, &taken, sizeof taken, "tfm_net_train_options", error);
    return rc ? rc : tfm__net_train(net, data, &taken, error);
}

int32_t tfm_net_measure(tfm_net *net, const tfm_net_data *data, int32_t test, double *loss, double *right,
                        tfm_error *error) {
    if (loss) *loss = 0;
    if (right) *right = 0;
    int32_t rc = check_pair(net, data, error);
    if (rc == TFM_OK) tfm__net_measure(net, data, test != 0, loss, right);
    return rc;
}

/* Two columns that are there; both 0: the first two. */
static int32_t check_columns(const tfm_net_data *data, uint32_t *x, uint32_t *y, tfm_error *error) {
    if (*x == 0 && *y == 0 && data->columns > 1) *y = 1;
    if (*x < data->columns && *y < data->columns) return TFM_OK;
    return tfm__fail(error, TFM_E_ARGUMENT, "there are no columns %u and %u: the data has %u, from 0 on",
                     (unsigned)*x, (unsigned)*y, (unsigned)data->columns);
}

int32_t tfm_net_plane(tfm_net *net, const tfm_net_data *data, int32_t layer,
                      const tfm_net_plane_options *options, double *out, tfm_error *error) {
    tfm_net_plane_options taken;
    int32_t rc = check_pair(net, data, error), place = TFM_NET_INPUTS;
    if (rc == TFM_OK && !out) rc = tfm__fail(error, TFM_E_ARGUMENT, "out is NULL");
    if (rc == TFM_OK) rc = tfm__take_options(options, &taken, sizeof taken, "tfm_net_plane_options", error);
    if (rc == TFM_OK) rc = check_columns(data, &taken.column_x, &taken.column_y, error);
    if (rc) return rc;
    if (layer != TFM_NET_INPUTS && (place = place_of(net, layer, error)) < 0) return TFM_E_ARGUMENT;
    if (!taken.resolution) taken.resolution = 100;
    if (taken.resolution > 4096)
        return tfm__fail(error, TFM_E_ARGUMENT, "a plane has at most 4096 cells a side, not %u",
                         (unsigned)taken.resolution);
    double *scratch = tfm__alloc_array(&net->heap, (size_t)data->columns + data->inputs, sizeof *scratch);
    if (!scratch)
        return tfm__fail_memory(error, &net->heap, ((size_t)data->columns + data->inputs) * sizeof *scratch);
    tfm__net_plane(net, data, place, &taken, scratch, scratch + data->columns, out);
    tfm__free(&net->heap, scratch);
    return TFM_OK;
}

int32_t tfm_net_svg(tfm_net *net, const tfm_net_data *data, const tfm_net_svg_options *options,
                    tfm_write_fn write, void *user, tfm_error *error) {
    tfm_net_svg_options taken;
    int32_t rc = check_pair(net, data, error);
    if (rc == TFM_OK && !write) rc = tfm__fail(error, TFM_E_ARGUMENT, "write is NULL");
    if (rc == TFM_OK) rc = tfm__take_options(options, &taken, sizeof taken, "tfm_net_svg_options", error);
    if (rc == TFM_OK) rc = check_columns(data, &taken.column_x, &taken.column_y, error);
    return rc ? rc : tfm__net_svg(net, data, &taken, write, user, error);
}
