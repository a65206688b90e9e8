/* test_new_model.c - new models from a config.json alone: for every family that can be trained, the tensors
 * are those that transformers' class has, they begin as it begins, and they can be trained. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "families_help.h"
#include "tfm/tfm.h"
#include "train/trainer.h"

static char folder_path[64]; /* of this test */

static int make_folder(void **state) {
    (void)state;
    strcpy(folder_path, "/tmp/tfm-new-XXXXXX");
    return mkdtemp(folder_path) ? 0 : -1;
}

static int remove_folder(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", folder_path);
    return system(command);
}

static tfm_model *new_model(const char *config, const char *name, uint64_t seed) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_new_model_options options = TFM_NEW_MODEL_OPTIONS_INIT;
    tfm_model *model = NULL;
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder_path, name);
    options.seed = seed;
    if (tfm_model_write_new(config, &options, path, &error) || tfm_model_load(path, NULL, &model, &error))
        fail_msg("%s: %s", config, error.message);
    return model;
}

/* The tensor's values are near what they should be: all the same, or normal with the spread. */
static void check_values(const tfm_trained_tensor *t, double spread) {
    double sum = 0, square = 0;
    for (size_t i = 0; i < t->count; i++) {
        sum += (double)t->data[i];
        square += (double)t->data[i] * (double)t->data[i];
    }
    double mean = sum / (double)t->count, found = sqrt(square / (double)t->count - mean * mean);
    if (t->dims == 1 || strstr(t->name, "norm")) {
        if (!(found < 1e-6 && (mean == 0 || mean == 1)))
            fail_msg("%s: mean %g, spread %g", t->name, mean, found);
        return;
    }
    double off = spread / sqrt((double)t->count);
    if (!(fabs(mean) < 5 * off && fabs(found - spread) < 5 * off + 0.02 * spread))
        fail_msg("%s: mean %g, spread %g, not %g", t->name, mean, found, spread);
}

static void family(void **state) {
    const char *name = *state;
    char config[600], path[600];
    size_t size, count = 0;
    family_tensor t;
    tfm_error error = TFM_ERROR_INIT;
    snprintf(config, sizeof config, "%s/families/%s/config.json", TFM_TEST_DATA, name);
    snprintf(path, sizeof path, "%s/families/%s/tensors.txt", TFM_TEST_DATA, name);
    tfm_model *model = new_model(config, name, 1);
    char *table = family_read(path, &size), *at;
    for (at = table; family_line(&at, &t); count++) {
        tfm_tensor_info info = TFM_TENSOR_INFO_INIT;
        bool found = false;
        for (size_t i = 0; i < tfm_model_tensor_count(model) && !found; i++) {
            assert_int_equal(tfm_model_tensor(model, i, &info, &error), TFM_OK);
            found = strlen(info.name) == t.name_length && !memcmp(info.name, t.name, t.name_length);
        }
        if (!found) fail_msg("%s: no tensor %.*s", name, (int)t.name_length, t.name);
        assert_int_equal(info.dims, t.rank);
        for (size_t i = 0; i < t.rank; i++) assert_int_equal(info.shape[i], t.shape[i]);
    }
    assert_int_equal(tfm_model_tensor_count(model), count);
    free(table);

    tfm_trainer *trainer = NULL;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    tfm_train_batch batch = TFM_TRAIN_BATCH_INIT;
    tfm_train_result result = TFM_TRAIN_RESULT_INIT;
    tfm_token tokens[40];
    if (tfm_trainer_create(model, NULL, &trainer, &error) || tfm_model_get_info(model, &info, &error))
        fail_msg("%s", error.message);
    assert_int_equal(tfm_trainer_tensor_count(trainer), count); /* all of them are trained */
    for (size_t i = 0; i < 40; i++) tokens[i] = (tfm_token)((5 + i * i * 7) % (size_t)info.vocab_size);
    batch.tokens = tokens;
    batch.rows = 2;
    batch.length = 20;
    if (tfm_trainer_step(trainer, &batch, 1, &result, &error)) fail_msg("%s: %s", name, error.message);
    if (fabs(result.loss - log(info.vocab_size)) > 0.7) /* nothing is known yet */
        fail_msg("%s: a loss of %g, a guess costs %g", name, result.loss, log(info.vocab_size));
    for (int step = 0; step < 10; step++)
        if (tfm_trainer_step(trainer, &batch, 1, NULL, &error)) fail_msg("%s: %s", name, error.message);
    double before = result.loss;
    assert_int_equal(tfm_trainer_evaluate(trainer, &batch, 1, &result, &error), TFM_OK);
    assert_true(result.loss < before);
    tfm_trainer_destroy(trainer);
    tfm_model_release(model);
}

/* The numbers themselves: GPT-2's smaller projections, Llama's spread, norms, seeds. */
static void values(void **state) {
    static const char *const names[] = {"gpt2", "llama", "gemma2", "arcee", "opt"};
    static const double spreads[] = {0.02, 0.02, 0.02, 0.15, 0.02};
    (void)state;
    for (size_t k = 0; k < TFM__COUNT(names); k++) {
        char config[600];
        tfm_error error = TFM_ERROR_INIT;
        tfm_trainer *trainers[3] = {NULL};
        tfm_model *models[3];
        tfm_model_info info = TFM_MODEL_INFO_INIT;
        snprintf(config, sizeof config, "%s/families/%s/config.json", TFM_TEST_DATA, names[k]);
        for (int i = 0; i < 3; i++) {
            models[i] = new_model(config, "values", i == 2 ? 8 : 7);
            if (tfm_trainer_create(models[i], NULL, &trainers[i], &error)) fail_msg("%s", error.message);
        }
        assert_int_equal(tfm_model_get_info(models[0], &info, &error), TFM_OK);
        size_t differ = 0;
        for (size_t i = 0; i < tfm_trainer_tensor_count(trainers[0]); i++) {
            tfm_trained_tensor t[3];
            for (int j = 0; j < 3; j++) {
                t[j] = (tfm_trained_tensor)TFM_TRAINED_TENSOR_INIT;
                assert_int_equal(tfm_trainer_tensor(trainers[j], i, TFM_TRAINED_WEIGHT, &t[j], &error),
                                 TFM_OK);
            }
            assert_memory_equal(t[0].data, t[1].data, t[0].count * sizeof(float));
            differ += memcmp(t[0].data, t[2].data, t[0].count * sizeof(float)) != 0;
            bool smaller = k == 0 && strstr(t[0].name, "c_proj.weight");
            if (!strstr(t[0].name, "embed_tokens")) /* its padding row is 0 */
                check_values(&t[0], spreads[k] / (smaller ? sqrt(2.0 * info.layers) : 1.0));
        }
        assert_true(differ > 2);
        for (int i = 0; i < 3; i++) {
            tfm_trainer_destroy(trainers[i]);
            tfm_model_release(models[i]);
        }
    }
}

static void refused(void **state) {
    static const char *const names[] = {"bert", "t5", "deepseek-v3", "gpt-oss"};
    tfm_error error = TFM_ERROR_INIT;
    tfm_new_model_options options = TFM_NEW_MODEL_OPTIONS_INIT;
    char config[600], out[128];
    (void)state;
    snprintf(out, sizeof out, "%s/refused", folder_path);
    for (size_t i = 0; i < TFM__COUNT(names); i++) {
        snprintf(config, sizeof config, "%s/families/%s/config.json", TFM_TEST_DATA, names[i]);
        assert_int_equal(tfm_model_write_new(config, NULL, out, &error), TFM_E_UNSUPPORTED);
    }
    assert_int_equal(tfm_model_write_new("/no/such/config.json", NULL, out, &error), TFM_E_NOT_FOUND);
    assert_int_equal(tfm_model_write_new(NULL, NULL, out, &error), TFM_E_ARGUMENT);
    snprintf(config, sizeof config, "%s/families/llama/config.json", TFM_TEST_DATA);
    options.tokenizer = TFM_TEST_DATA "/families/llama"; /* has none */
    assert_int_equal(tfm_model_write_new(config, &options, out, &error), TFM_E_MISSING);
    options.tokenizer = NULL;
    options.byte_budget = 10000;
    assert_int_equal(tfm_model_write_new(config, &options, out, &error), TFM_E_BUDGET);
}

#define FAMILY(name)                                                                                         \
    { name, family, NULL, NULL, name }

int main(void) {
    const struct CMUnitTest tests[] = {
        FAMILY("llama"),      FAMILY("llama-linear"), FAMILY("llama-yarn"),     FAMILY("llama3-rope"),
        FAMILY("mistral"),    FAMILY("mixtral"),      FAMILY("qwen2"),          FAMILY("qwen2-moe"),
        FAMILY("qwen3"),      FAMILY("qwen3-moe"),    FAMILY("gemma"),          FAMILY("gemma2"),
        FAMILY("gemma3"),     FAMILY("phi"),          FAMILY("phi3"),           FAMILY("gpt2"),
        FAMILY("gpt-neo"),    FAMILY("gpt-neox"),     FAMILY("gptj"),           FAMILY("opt"),
        FAMILY("bloom"),      FAMILY("mpt"),          FAMILY("falcon"),         FAMILY("falcon-new"),
        FAMILY("starcoder2"), FAMILY("stablelm"),     FAMILY("olmo"),           FAMILY("olmo2"),
        FAMILY("olmoe"),      FAMILY("cohere"),       FAMILY("cohere2"),        FAMILY("granite"),
        FAMILY("smollm3"),    FAMILY("glm4"),         FAMILY("nemotron"),       FAMILY("exaone4"),
        FAMILY("ernie4_5"),   FAMILY("arcee"),        cmocka_unit_test(values), cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
