/* fuzz_adapter.c - adapters for a small model: the input is a folder, each file behind a line "== NAME" and
 * the first the one that is opened. What loads must run, and everything must give back all memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../folder_source.h"
#include "tfm/tfm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) abort();
}

static tfm_model *the_model(void) {
    static tfm_model *model = NULL;
    if (!model) {
        tfm_error error = TFM_ERROR_INIT;
        tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
        options.byte_budget = (uint64_t)256 << 20;
        if (tfm_model_load(TFM_TEST_DATA "/golden/mistral", &options, &model, &error))
            fprintf(stderr, "%s\n", error.message);
        check(model != NULL);
    }
    return model;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const known[] = {"adapter_config.json", "adapter_model.safetensors", "adapter.gguf"};
    tfm_adapter *adapter = NULL;
    tfm_session *session = NULL;
    tfm_error error = TFM_ERROR_INIT;
    folder f = {.count = 0};
    folder_parse(&f, data, size, known, sizeof known / sizeof *known);
    if (f.count == 0) return 0;
    tfm_model *model = the_model();
    uint64_t before = tfm_model_bytes(model);
    tfm_source source = folder_source(&f.files[0]);
    if (tfm_adapter_load_source(model, &source, &adapter, &error) == TFM_OK) {
        const tfm_token ids[2] = {3, 4};
        tfm_adapter_use use = {adapter, 1.0f, 0};
        check(tfm_session_create(model, NULL, &session, &error) == TFM_OK);
        check(tfm_session_adapt(session, &use, 1, &error) == TFM_OK);
        check(tfm_forward(session, ids, 2, NULL, &error) == TFM_OK);
        tfm_session_destroy(session);
        tfm_adapter_release(adapter);
    } else {
        check(!adapter && error.code < 0 && error.message[0]);
    }
    check(f.open == 0);
    check(tfm_model_bytes(model) == before);
    return 0;
}
