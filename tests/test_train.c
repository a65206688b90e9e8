/* test_train.c - training against PyTorch: losses, gradients, and weights after twenty steps; the same bits for any
 * number of threads; bad input.
 *
 * The goldens say what AdamW (betas 0.9 and 0.95, decay 0.1 of matrices, clip 1) makes of small models with a learning
 * rate for each step. One family's are in tests/data/train; the others are run when the collection lies beside the
 * repository. Biases that are added to every key have no gradient in exact arithmetic, so what is stored of them is
 * rounding, which Adam scales up: they are left out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "golden_help.h"
#include "tfm/tfm.h"
#include "tiny_model.h"

#define STEPS 20
#define BATCH 4
#define LENGTH 32

static tfm_trainer *start(const char *folder, tfm_pool *pool, tfm_model **model) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_trainer_options options = TFM_TRAINER_OPTIONS_INIT;
    tfm_trainer *trainer = NULL;
    char path[700];
    options.pool = pool;
    snprintf(path, sizeof path, "%s/start", folder);
    if (tfm_model_load(path, NULL, model, &error) || tfm_trainer_create(*model, &options, &trainer, &error))
        fail_msg("%s", error.message);
    return trainer;
}

/* The part of a fused q/k/v bias that is added to keys: [first, end) of each period. */
typedef struct left_out {
    size_t period, first, end;
} left_out;

static left_out keys_of(const tfm_trained_tensor *t) {
    if (strstr(t->name, "c_attn.bias")) return (left_out){t->count, t->count / 3, t->count / 3 * 2};
    if (strstr(t->name, "query_key_value.bias")) /* GPT-NeoX: q, k, v of each of 4 heads */
        return (left_out){t->count / 4, t->count / 12, t->count / 12 * 2};
    return (left_out){1, 1, 1};
}

static void compare_values(const char *what, const tfm_trained_tensor *t, const float *theirs, size_t count,
                           double tolerance) {
    double largest = 0, worst = 0;
    left_out keys = keys_of(t);
    for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)theirs[i]));
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)theirs[i] - (double)t->data[i]);
        if (i % keys.period >= keys.first && i % keys.period < keys.end) continue;
        if (!(difference <= worst)) worst = difference; /* NaN counts */
    }
    if (!(worst <= tolerance * largest))
        fail_msg("%s of %s: off by %g of %g", what, t->name, worst, largest);
}

static const float *floats(const golden *g, const char *name, size_t *count) {
    const tfm__tensor *tensor = golden_tensor(g, name);
    *count = (size_t)(tensor->bytes / sizeof(float));
    return (const float *)(const void *)tensor->data;
}

/* PyTorch keeps Mixtral's experts in two tensors for all, its files a matrix for each. */
static bool expert_values(const golden *g, const char *prefix, const char *name, const float **values) {
    char all[300];
    int layer, expert, which;
    size_t count;
    if (sscanf(name, "model.layers.%d.block_sparse_moe.experts.%d.w%d.weight", &layer, &expert, &which) != 3)
        return false;
    snprintf(all, sizeof all, "%s.model.layers.%d.mlp.experts.%s", prefix, layer,
             which == 2 ? "down_proj" : "gate_up_proj");
    const tfm__tensor *tensor = golden_tensor(g, all);
    *values = floats(g, all, &count) + (size_t)expert * count / tensor->shape[0];
    if (which == 3) *values += count / tensor->shape[0] / 2; /* up lies behind gate */
    return true;
}

static void compare_all(const golden *g, const tfm_trainer *trainer, const char *prefix, int32_t what,
                        double tolerance) {
    tfm_error error = TFM_ERROR_INIT;
    assert_true(tfm_trainer_tensor_count(trainer) > 0);
    for (size_t i = 0; i < tfm_trainer_tensor_count(trainer); i++) {
        tfm_trained_tensor t = TFM_TRAINED_TENSOR_INIT;
        const float *theirs;
        char name[300];
        size_t count;
        assert_int_equal(tfm_trainer_tensor(trainer, i, what, &t, &error), TFM_OK);
        if (!expert_values(g, prefix, t.name, &theirs)) {
            const char *gate = strstr(t.name, "block_sparse_moe.gate");
            if (strcmp(t.name, "embed_out.weight") == 0) /* as GPT-NeoX's files call it */
                snprintf(name, sizeof name, "%s.lm_head.weight", prefix);
            else if (gate)
                snprintf(name, sizeof name, "%s.%.*smlp.gate.weight", prefix, (int)(gate - t.name), t.name);
            else
                snprintf(name, sizeof name, "%s.%s", prefix, t.name);
            theirs = floats(g, name, &count);
            assert_int_equal(count, t.count);
        }
        compare_values(prefix, &t, theirs, (size_t)t.count, tolerance);
    }
}

static void check_golden(const char *folder) {
    golden g;
    char path[700];
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model;
    size_t count;
    snprintf(path, sizeof path, "%s/train.safetensors", folder);
    golden_open(&g, path);
    tfm_trainer *trainer = start(folder, NULL, &model);
    const tfm_token *ids = (const tfm_token *)(const void *)golden_tensor(&g, "batches")->data;
    const float *losses = floats(&g, "loss", &count), *norms = floats(&g, "grad_norm", &count);
    const float *rates = floats(&g, "lr", &count);
    double loss_off = 0;
    for (size_t step = 0; step < STEPS; step++) {
        tfm_train_batch batch = TFM_TRAIN_BATCH_INIT;
        tfm_train_result result = TFM_TRAIN_RESULT_INIT;
        batch.tokens = ids + step * BATCH * LENGTH;
        batch.rows = BATCH;
        batch.length = LENGTH;
        assert_int_equal(tfm_trainer_set_rate(trainer, (double)rates[step], &error), TFM_OK);
        if (tfm_trainer_step(trainer, &batch, 1, &result, &error)) fail_msg("%s", error.message);
        if (step == 0) compare_all(&g, trainer, "grad", TFM_TRAINED_GRADIENT, 1e-4);
        assert_int_equal(result.step, step);
        assert_int_equal(result.targets, BATCH * (LENGTH - 1));
        loss_off = fmax(loss_off, fabs(result.loss - (double)losses[step]));
        if (!(loss_off <= 1e-5)) fail_msg("step %zu: loss %.8f, not %.8f", step, result.loss, (double)losses[step]);
        if (!(fabs(result.gradient_norm - (double)norms[step]) <= 1e-4 * (double)norms[step]))
            fail_msg("step %zu: gradient norm %.8f, not %.8f", step, result.gradient_norm, (double)norms[step]);
    }
    compare_all(&g, trainer, "end", TFM_TRAINED_WEIGHT, 1e-4);
    print_message("%s: losses within %.1e\n", strrchr(folder, '/') + 1, loss_off);
    tfm_trainer_destroy(trainer);
    tfm_model_release(model);
    golden_close(&g);
}

static void pytorch(void **state) {
    static const char *const families[] = {"llama", "gpt2", "gpt-neox", "gemma2", "qwen3-tied", "mixtral"};
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(families); i++) {
        char folder[600];
        snprintf(folder, sizeof folder, "%s/golden/train/%s", TFM_SHARED, families[i]);
        if (golden_exists(folder))
            check_golden(folder);
        else
            print_message("%s is not here: not compared\n", folder);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
