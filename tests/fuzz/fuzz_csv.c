/* fuzz_csv.c - any bytes as a network's own data; the first byte chooses the options. What is read must be
 * finite, fit together, train for an epoch, be drawn, and give back all memory. */
#include <stdlib.h>
#include <string.h>

#include "tfm/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) abort();
}

static int32_t take(void *user, const void *bytes, size_t size) {
    (void)bytes;
    *(size_t *)user += size;
    return 0;
}

static void use(const tfm_net_data *rows) {
    tfm_net_data_view view = TFM_NET_DATA_VIEW_INIT;
    tfm_net_options options = TFM_NET_OPTIONS_INIT;
    tfm_net *net = NULL;
    size_t bytes = 0;
    check(tfm_net_data_get(rows, &view, NULL) == TFM_OK);
    check(view.rows >= 2 && view.train_rows >= 1 && view.train_rows <= view.rows && view.columns >= 1);
    for (size_t i = 0; i < view.rows * view.inputs; i++) check(view.inputs_of[i] - view.inputs_of[i] == 0);
    for (size_t i = 0; i < view.rows * view.target_count; i++) check(view.targets[i] - view.targets[i] == 0);
    for (uint32_t i = 0; i < view.inputs; i++) check(tfm_net_data_input_name(rows, i) != NULL);
    if (view.rows > 64 || view.inputs > 16 || view.target_count > 4) return;
    options.inputs = view.inputs;
    options.outputs = view.target_count;
    check(tfm_net_create(&options, &net, NULL) == TFM_OK);
    int32_t rc = tfm_net_train(net, rows, NULL, NULL);
    check(rc == TFM_OK || rc == TFM_E_STATE);
    check(tfm_net_svg(net, rows, NULL, take, &bytes, NULL) == TFM_OK && bytes > 0);
    tfm_net_destroy(net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *rows = NULL;
    tfm_error error = TFM_ERROR_INIT;
    if (size < 1) return 0;
    options.normalise = data[0] & 1;
    options.keep_order = data[0] >> 1 & 1;
    options.kind = (data[0] >> 2) % 3;
    options.targets = data[0] >> 4 & 3;
    options.features = data[0] & 64 ? 127 : 0;
    int32_t rc = tfm_net_data_from_csv((const char *)data + 1, size - 1, "fuzz.csv", &options, &rows, &error);
    check((rc == TFM_OK) == (rows != NULL));
    if (rc == TFM_OK)
        use(rows);
    else
        check(rc == error.code && error.message[0]);
    tfm_net_data_destroy(rows);
    return 0;
}
