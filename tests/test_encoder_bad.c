/* test_encoder_bad.c - encoders whose files contradict themselves or ask for what the library does not
 * compute: each is refused by name, and an embedding that cannot be made leaves the rest of the model usable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "folder_source.h"
#include "tfm/tfm.h"

enum { ROOM = 1 << 16 };

typedef struct loaded {
    folder f;
    char *memory[FOLDER_FILES];
} loaded;

static void add_file(loaded *l, const char *folder_name, const char *name, const char *from, const char *to) {
    char path[500];
    snprintf(path, sizeof path, "%s/%s/%s", TFM_TEST_DATA, folder_name, name);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("no %s", path);
    char *data = l->memory[l->f.count] = malloc(2 * ROOM);
    assert_non_null(data);
    size_t size = fread(data, 1, ROOM, file);
    assert_true(feof(file));
    fclose(file);
    data[size] = 0;
    char *at = from ? strstr(data, from) : NULL;
    if (at) { /* texts only: nothing behind the first NUL is moved */
        size_t old = strlen(from), new = strlen(to);
        memmove(at + new, at + old, size - (size_t)(at - data) - old + 1);
        memcpy(at, to, new);
        size = size - old + new;
    }
    folder_add(&l->f, name, data, size);
}

/* The model of a folder, with one text in its JSON files replaced by another. */
static int32_t load(loaded *l, const char *folder_name, const char *from, const char *to, tfm_model **model,
                    tfm_error *error) {
    static const char *const parts[] = {"modules.json", "1_Pooling/config.json", "2_Dense/config.json",
                                        "2_Dense/model.safetensors"};
    memset(l, 0, sizeof *l);
    add_file(l, folder_name, "config.json", from, to);
    add_file(l, folder_name, "model.safetensors", NULL, NULL);
    if (strstr(folder_name, "embedding/"))
        for (size_t i = 0; i < 4; i++) add_file(l, folder_name, parts[i], i < 3 ? from : NULL, to);
    tfm_source source = folder_source(&l->f.files[0]);
    *error = (tfm_error)TFM_ERROR_INIT;
    return tfm_model_load_source(&source, NULL, model, error);
}

static void unload(loaded *l, tfm_model *model) {
    tfm_model_release(model);
    assert_int_equal(l->f.open, 0);
    for (size_t i = 0; i < l->f.count; i++) free(l->memory[i]);
}

static void test_refused(void **state) {
    static const struct {
        const char *folder, *from, *to;
        int32_t status;
        const char *says;
    } cases[] = {
        {"encoders/bert-labels", "\"is_decoder\": false", "\"is_decoder\": true", TFM_E_UNSUPPORTED,
         "is_decoder"},
        {"encoders/bert-labels", "\"add_cross_attention\": false", "\"add_cross_attention\": true",
         TFM_E_UNSUPPORTED, "add_cross_attention"},
        {"encoders/bert-labels", "\"layer_norm_eps\"",
         "\"position_embedding_type\": \"relative_key\", \"layer_norm_eps\"", TFM_E_UNSUPPORTED,
         "position_embedding_type"},
        {"encoders/bert-labels", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"mish\"", TFM_E_UNSUPPORTED,
         "\"mish\""},
        {"encoders/bert-labels", "\"type_vocab_size\": 2", "\"type_vocab_size\": 3", TFM_E_SHAPE,
         "token_type_embeddings"},
        {"encoders/bert-labels", "\"max_position_embeddings\": 20", "\"max_position_embeddings\": 21",
         TFM_E_SHAPE, "position_embeddings"},
        {"encoders/bert-labels", "\"num_attention_heads\": 2", "\"num_attention_heads\": 3", TFM_E_FORMAT,
         "3 heads do not divide"},
        {"encoders/bert-tags", "ForTokenClassification", "ForSequenceClassification", TFM_E_MISSING,
         "pooler.dense.weight"},
        {"encoders/bert-tags", "ForTokenClassification", "ForMaskedLM", TFM_E_MISSING,
         "cls.predictions.transform.dense.weight"},
        {"encoders/roberta-score", "\"pad_token_id\": 1", "\"pad_token_id\": 20", TFM_E_FORMAT,
         "max_position_embeddings"},
        {"encoders/roberta-score", "\"pad_token_id\": 1", "\"pad_token_id\": -1", TFM_E_FORMAT,
         "pad_token_id"},
        {"encoders/mpnet-labels", "\"relative_attention_num_buckets\": 32",
         "\"relative_attention_num_buckets\": 16", TFM_E_UNSUPPORTED, "relative_attention_num_buckets"},
        {"encoders/modernbert-labels", "\"classifier_activation\": \"gelu\"",
         "\"classifier_activation\": \"silu\"", TFM_E_UNSUPPORTED, "classifier_activation"},
        {"embedding/dense", "\"path\": \"2_Dense\"", "\"path\": \"../etc\"", TFM_E_FORMAT, "folder"},
        {"embedding/dense", "\"path\": \"2_Dense\"", "\"path\": \"4_Dense\"", TFM_E_MISSING, "4_Dense"},
        {"embedding/dense", "\"cls\",", "", TFM_E_SHAPE, "16 columns"},
        {"embedding/dense", "\"idx\"", "idx", TFM_E_FORMAT, "modules.json"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loaded l;
        tfm_error error;
        tfm_model *model = NULL;
        int32_t status = load(&l, cases[i].folder, cases[i].from, cases[i].to, &model, &error);
        if (status != cases[i].status || !strstr(error.message, cases[i].says))
            fail_msg("%s: %s: %s, not %s about %s", cases[i].to, tfm_status_name(status), error.message,
                     tfm_status_name(cases[i].status), cases[i].says);
        unload(&l, model);
    }
}

/* The model loads and encodes; the embedding is refused, unless a pooling is named. */
static void test_no_embedding(void **state) {
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"modules.pooling.Pooling", "modules.whitening.Whitening", "Whitening"},
        {"\"max\"", "\"median\"", "median"},
        {"\"cls\"", "\"weightedmean\"", "order"},
        {"activation.Tanh", "activation.Mish", "Mish"},
        {"\"sentence_embedding\"", "\"token_embeddings\"", "token_embeddings"},
        {"\"path\": \"\"", "\"path\": \"0_Transformer\"", "0_Transformer"},
    };
    static const tfm_token ids[] = {2, 10, 11, 3};
    const tfm_encode_row row = {ids, 4, NULL};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loaded l;
        tfm_error error;
        tfm_embed_options options = TFM_EMBED_OPTIONS_INIT;
        tfm_model *model = NULL;
        tfm_encoded *encoded = NULL;
        float out[64];
        if (load(&l, "embedding/dense", cases[i].from, cases[i].to, &model, &error))
            fail_msg("%s: %s", cases[i].to, error.message);
        assert_int_equal(tfm_encode(model, &row, 1, NULL, &encoded, &error), TFM_OK);
        tfm_encoded_release(encoded);
        int32_t status = tfm_embed_tokens(model, &row, 1, NULL, out, 64, NULL, &error);
        if (status != TFM_E_UNSUPPORTED || !strstr(error.message, cases[i].says))
            fail_msg("%s: %s: %s", cases[i].to, tfm_status_name(status), error.message);
        options.pooling = TFM_POOL_MEAN;
        assert_int_equal(tfm_embed_tokens(model, &row, 1, &options, out, 64, NULL, &error), TFM_OK);
        unload(&l, model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_embedding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
