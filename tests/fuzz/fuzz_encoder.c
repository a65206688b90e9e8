/* fuzz_encoder.c - encoders in a folder: the input has a file behind each line "== NAME" (config.json first,
 * then what sentence-transformers puts beside it, weights last). What loads must encode, embed and classify
 * fixed ids and give back all memory. */
#include <stdlib.h>
#include <string.h>

#include "../folder_source.h"
#include "tfm/tfm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) abort();
}

static void use(tfm_model *model) {
    static const tfm_token ids[] = {1, 2, 3, 0, 1};
    static const int32_t types[] = {0, 1, 1, 0, 0};
    const tfm_encode_row rows[] = {{ids, 5, types}, {ids, 1, NULL}};
    const tfm_text_input text = {"ab", 2, "c", 1};
    tfm_encode_options options = TFM_ENCODE_OPTIONS_INIT;
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    tfm_encoded *encoded = NULL;
    size_t width = 0;
    options.decoder = options.keep_layers = 1;
    if (tfm_encode(model, rows, 2, &options, &encoded, NULL) == TFM_OK) {
        check(tfm_encoded_get(encoded, &view, NULL) == TFM_OK && view.tokens == 6 && view.starts[1] == 5);
        size_t count = view.head == TFM_HEAD_ROWS ? view.rows : view.tokens;
        if (view.head != TFM_HEAD_NONE && view.outputs < 100000) {
            float *logits = malloc(count * view.outputs * sizeof *logits);
            check(logits &&
                  tfm_encoded_logits(encoded, 0, count, logits, count * view.outputs, NULL) == TFM_OK);
            free(logits);
        }
        tfm_encoded_release(encoded);
    }
    if (tfm_embed_tokens(model, rows, 2, NULL, NULL, 0, &width, NULL) == TFM_OK && width < 100000) {
        float *vectors = malloc(2 * width * sizeof *vectors);
        check(vectors != NULL);
        int32_t rc = tfm_embed_tokens(model, rows, 2, NULL, vectors, 2 * width, &width, NULL);
        check(rc == TFM_OK || rc == TFM_E_TOKEN || rc == TFM_E_ARGUMENT || rc == TFM_E_CONTEXT ||
              rc == TFM_E_BUDGET);
        (void)tfm_embed(model, &text, 1, NULL, vectors, 2 * width, NULL, NULL);
        free(vectors);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const known[] = {"config.json",
                                        "modules.json",
                                        "1_Pooling/config.json",
                                        "2_Dense/config.json",
                                        "2_Dense/model.safetensors",
                                        "sentence_bert_config.json",
                                        "config_sentence_transformers.json",
                                        "model.safetensors"};
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_model *model = NULL;
    tfm_error error = TFM_ERROR_INIT;
    folder f = {.count = 0};
    options.byte_budget = (uint64_t)256 << 20;
    folder_parse(&f, data, size, known, sizeof known / sizeof *known);
    if (f.count == 0) return 0;
    tfm_source source = folder_source(&f.files[0]);
    if (tfm_model_load_source(&source, &options, &model, &error) == TFM_OK) {
        use(model);
        tfm_model_release(model);
    } else {
        check(!model && error.code < 0);
    }
    check(f.open == 0);
    return 0;
}
