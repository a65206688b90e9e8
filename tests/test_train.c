/* test_train.c - training against PyTorch: losses, gradients, and weights after twenty steps; the same bits
 * for any number of threads; bad input.
 *
 * The goldens say what AdamW (betas 0.9 and 0.95, decay 0.1 of matrices, clip 1) makes of small models with a
 * learning rate for each step. One family's are in tests/data/train; the others are run when the collection
 * lies beside the repository. Biases that are added to every key have no gradient in exact arithmetic, so
 * what is stored of them is rounding, which Adam scales up: they are left out. */
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
#include "train/trainer.h"

#define HALF_STEP 1e-4 /* of the first learning rate, 2e-4 */

static tfm_trainer *start(const char *path, const tfm_trainer_options *options, tfm_model **model) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_trainer *trainer = NULL;
    if (tfm_model_load(path, NULL, model, &error) || tfm_trainer_create(*model, options, &trainer, &error))
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

/* noise: the gradient of step 0, or NULL. Where that is nothing but the rounding of larger terms, Adam makes
 * a step of it all the same: those values may differ by half a step. */
static void compare_values(const char *what, const tfm_trained_tensor *t, const float *theirs,
                           const float *noise, size_t count) {
    double largest = 0, worst = 0, slope = 0;
    left_out keys = keys_of(t);
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)theirs[i]));
        if (noise) slope = fmax(slope, fabs((double)noise[i]));
    }
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)theirs[i] - (double)t->data[i]);
        if (i % keys.period >= keys.first && i % keys.period < keys.end) continue;
        if (noise && fabs((double)noise[i]) < 1e-5 * slope && difference < HALF_STEP) continue;
        if (!(difference <= worst)) worst = difference; /* NaN counts */
    }
    if (!(worst <= TOLERANCE * largest)) fail_msg("%s of %s: off by %g of %g", what, t->name, worst, largest);
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
    *values = floats(g, all, &count);
    *values += (size_t)expert * count / tensor->shape[0];
    if (which == 3) *values += count / tensor->shape[0] / 2; /* up lies behind gate */
    return true;
}

/* The golden values of a trained tensor, under the names of PyTorch's classes; NULL if they are not kept. */
static const float *values_of(const golden *g, const char *prefix, const tfm_trained_tensor *t) {
    const float *values;
    char name[300];
    size_t count;
    const char *gate = strstr(t->name, "block_sparse_moe.gate");
    if (expert_values(g, prefix, t->name, &values)) return values;
    if (strcmp(t->name, "embed_out.weight") == 0)
        snprintf(name, sizeof name, "%s.lm_head.weight", prefix);
    else if (gate)
        snprintf(name, sizeof name, "%s.%.*smlp.gate.weight", prefix, (int)(gate - t->name), t->name);
    else
        snprintf(name, sizeof name, "%s.%s", prefix, t->name);
    if (!golden_has(g, name)) return NULL;
    values = floats(g, name, &count);
    assert_int_equal(count, t->count);
    return values;
}

/* least: how many tensors must have been compared. */
static void compare_all(const golden *g, const tfm_trainer *trainer, const char *prefix, int32_t what,
                        size_t least) {
    tfm_error error = TFM_ERROR_INIT;
    size_t compared = 0;
    for (size_t i = 0; i < tfm_trainer_tensor_count(trainer); i++) {
        tfm_trained_tensor t = TFM_TRAINED_TENSOR_INIT;
        assert_int_equal(tfm_trainer_tensor(trainer, i, what, &t, &error), TFM_OK);
        const float *values = values_of(g, prefix, &t);
        if (!values) continue;
        compare_values(prefix, &t, values, what == TFM_TRAINED_WEIGHT ? values_of(g, "grad", &t) : NULL,
                       (size_t)t.count);
        compared++;
    }
    assert_true(compared >= least);
}

/* all: every tensor is kept. */
static void check_golden(const char *name, const char *model_path, const char *path,
                         const tfm_trainer_options *options, bool all) {
    golden g;
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model;
    size_t count, steps, rows, length;
    golden_open(&g, path);
    tfm_trainer *trainer = start(model_path, options, &model);
    size_t least = all ? tfm_trainer_tensor_count(trainer) : 5;
    const tfm__tensor *batches = golden_tensor(&g, "batches");
    const tfm_token *ids = (const tfm_token *)(const void *)batches->data;
    const float *losses = floats(&g, "loss", &count), *norms = floats(&g, "grad_norm", &count);
    const float *rates = floats(&g, "lr", &count);
    double loss_off = 0;
    steps = (size_t)batches->shape[0];
    rows = (size_t)batches->shape[1];
    length = (size_t)batches->shape[2];
    for (size_t step = 0; step < steps; step++) {
        tfm_train_batch batch = TFM_TRAIN_BATCH_INIT;
        tfm_train_result result = TFM_TRAIN_RESULT_INIT;
        batch.tokens = ids + step * rows * length;
        batch.rows = rows;
        batch.length = length;
        assert_int_equal(tfm_trainer_set_rate(trainer, (double)rates[step], &error), TFM_OK);
        if (tfm_trainer_step(trainer, &batch, 1, &result, &error)) fail_msg("%s", error.message);
        if (step == 0) compare_all(&g, trainer, "grad", TFM_TRAINED_GRADIENT, least);
        assert_int_equal(result.step, step);
        assert_int_equal(result.targets, rows * (length - 1));
        loss_off = fmax(loss_off, fabs(result.loss - (double)losses[step]));
        if (!(loss_off <= 1e-5))
            fail_msg("step %zu: loss %.8f, not %.8f", step, result.loss, (double)losses[step]);
        if (!(fabs(result.gradient_norm - (double)norms[step]) <= 1e-4 * (double)norms[step]))
            fail_msg("step %zu: gradient norm %.8f, not %.8f", step, result.gradient_norm,
                     (double)norms[step]);
    }
    compare_all(&g, trainer, "end", TFM_TRAINED_WEIGHT, least);
    print_message("%s: %zu steps, losses within %.1e\n", name, steps, loss_off);
    tfm_trainer_destroy(trainer);
    tfm_model_release(model);
    golden_close(&g);
}

static void short_runs(void **state) {
    static const char *const families[] = {"gpt2", "mistral", "qwen3"};
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(families); i++) {
        char model[600], path[600];
        snprintf(model, sizeof model, "%s/golden/%s", TFM_TEST_DATA, families[i]);
        snprintf(path, sizeof path, "%s/train/%s.safetensors", TFM_TEST_DATA, families[i]);
        check_golden(families[i], model, path, NULL, false);
    }
}

/* Muon, with torch.optim.Muon in float32: matrices of layers that are tall, wide and square. */
static void muon_run(void **state) {
    tfm_trainer_options options = TFM_TRAINER_OPTIONS_INIT;
    (void)state;
    options.optimizer = TFM_OPTIMIZER_MUON;
    check_golden("muon", TFM_TEST_DATA "/golden/qwen3", TFM_TEST_DATA "/train/muon.safetensors", &options,
                 false);
}

static void long_runs(void **state) {
    static const char *const families[] = {"llama", "gpt2", "gpt-neox", "gemma2", "qwen3-tied", "mixtral"};
    size_t compared = 0;
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(families); i++) {
        char model[600], path[600];
        snprintf(model, sizeof model, "%s/golden/train/%s/start", TFM_SHARED, families[i]);
        snprintf(path, sizeof path, "%s/golden/train/%s/train.safetensors", TFM_SHARED, families[i]);
        if (!golden_exists(path)) continue;
        check_golden(families[i], model, path, NULL, true);
        compared++;
    }
    if (compared == 0) {
        print_message("the collection of goldens is not here\n");
        skip();
    }
}

/* ---- Without goldens ---- */

static tfm_trainer *trainer_of(tfm_model *model, const tfm_trainer_options *options) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_trainer *trainer = NULL;
    if (tfm_trainer_create(model, options, &trainer, &error)) fail_msg("%s", error.message);
    return trainer;
}

static double step(tfm_trainer *trainer, const tfm_train_batch *batches, size_t count) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_train_result result = TFM_TRAIN_RESULT_INIT;
    if (tfm_trainer_step(trainer, batches, count, &result, &error)) fail_msg("%s", error.message);
    return result.loss;
}

static void same_tensors(const tfm_trainer *a, const tfm_trainer *b, int32_t what) {
    tfm_error error = TFM_ERROR_INIT;
    for (size_t i = 0; i < tfm_trainer_tensor_count(a); i++) {
        tfm_trained_tensor x = TFM_TRAINED_TENSOR_INIT, y = TFM_TRAINED_TENSOR_INIT;
        assert_int_equal(tfm_trainer_tensor(a, i, what, &x, &error), TFM_OK);
        assert_int_equal(tfm_trainer_find(b, x.name, what, &y, &error), TFM_OK);
        assert_memory_equal(x.data, y.data, (size_t)x.count * sizeof *x.data);
    }
}

static const char *const kinds[] = {"llama", "gpt2", "gemma3"};

/* Three batches with 1, 2 and 3 threads, on each instruction set that there is. */
static void same_bits(void **state) {
    (void)state;
    for (size_t k = 0; k < 2 * TFM__COUNT(kinds); k++) {
        int32_t optimizer = k < TFM__COUNT(kinds) ? TFM_OPTIMIZER_ADAMW : TFM_OPTIMIZER_MUON;
        tfm_trainer_options alone = TFM_TRAINER_OPTIONS_INIT;
        tiny_spec spec = {.family = kinds[k % TFM__COUNT(kinds)], .type = TFM__F32, .seed = 7};
        tiny file = tiny_open(&spec, NULL), portable;
        tfm_error error = TFM_ERROR_INIT;
        tfm_model_options plain = TFM_MODEL_OPTIONS_INIT;
        plain.isa = TFM_ISA_PORTABLE;
        portable = tiny_open(&spec, &plain);
        alone.optimizer = optimizer;
        tfm_trainer *first = trainer_of(file.model, &alone);
        for (uint32_t threads = 1; threads <= 4; threads++) { /* 4: one thread on the reference kernels */
            tfm_pool_options pool_options = TFM_POOL_OPTIONS_INIT;
            tfm_trainer_options options = TFM_TRAINER_OPTIONS_INIT;
            tfm_pool *pool = NULL;
            pool_options.threads = threads % 4 + (threads == 4);
            assert_int_equal(tfm_pool_create(&pool_options, &pool, &error), TFM_OK);
            options.pool = pool;
            options.optimizer = optimizer;
            tfm_trainer *other = trainer_of(threads == 4 ? portable.model : file.model, &options);
            for (uint64_t s = 0; s < 3; s++) {
                tfm_token tokens[3 * 50];
                tfm_train_batch batch = TFM_TRAIN_BATCH_INIT;
                tiny_ids(tokens, TFM__COUNT(tokens), s);
                batch.tokens = tokens;
                batch.rows = 3;
                batch.length = 40 + (size_t)s * 5;
                double loss = step(other, &batch, 1);
                if (threads == 1) assert_true(step(first, &batch, 1) == loss);
            }
            same_tensors(first, other, TFM_TRAINED_WEIGHT);
            same_tensors(first, other, TFM_TRAINED_GRADIENT);
            tfm_trainer_destroy(other);
            tfm_pool_destroy(pool);
        }
        tfm_trainer_destroy(first);
        tiny_close(&portable);
        tiny_close(&file);
    }
}

/* The loss is what tfm_forward's logits say, and the model stays as it was. */
static void loss_of_forward(void **state) {
    (void)state;
    for (size_t k = 0; k < TFM__COUNT(kinds); k++) {
        enum { N = 70 };
        tiny_spec spec = {.family = kinds[k], .type = TFM__F16, .seed = 3};
        tiny file = tiny_open(&spec, NULL);
        tfm_token tokens[N];
        tfm_error error = TFM_ERROR_INIT;
        double sum[2] = {0, 0};
        tiny_ids(tokens, N, 5);
        tfm_train_batch batch = TFM_TRAIN_BATCH_INIT;
        uint8_t mask[N];
        for (size_t i = 0; i < N; i++) mask[i] = i % 3 == 1;
        batch.tokens = tokens;
        batch.rows = 1;
        batch.length = N;
        batch.mask = mask;
        tfm_trainer *trainer = trainer_of(file.model, NULL);
        tfm_train_result result = TFM_TRAIN_RESULT_INIT;
        assert_int_equal(tfm_trainer_evaluate(trainer, &batch, 1, &result, &error), TFM_OK);
        assert_true(result.step == 0 && result.targets == N / 3);
        assert_true(step(trainer, &batch, 1) == result.loss);
        for (int after = 0; after < 2; after++) {
            tfm_session_options options = TFM_SESSION_OPTIONS_INIT;
            tfm_session *session = NULL;
            tfm_token_score scores[N];
            options.cache_type = TFM_CACHE_F32;
            assert_int_equal(tfm_session_create(file.model, &options, &session, &error), TFM_OK);
            assert_int_equal(tfm_forward(session, tokens, 1, NULL, &error), TFM_OK);
            if (tfm_score_tokens(session, tokens + 1, N - 1, 0, NULL, scores, &error))
                fail_msg("%s", error.message);
            for (size_t i = 1; i < N; i++)
                if (mask[i]) sum[after] -= scores[i - 1].log_probability / (N / 3);
            tfm_session_destroy(session);
        }
        assert_true(sum[0] == sum[1]);
        assert_true(fabs(sum[0] - result.loss) < 1e-6);
        tfm_trainer_destroy(trainer);
        tiny_close(&file);
    }
}

/* Two batches in one step are one batch of both. */
static void accumulation(void **state) {
    enum { N = 24 };
    tiny_spec spec = {.type = TFM__F32, .seed = 9};
    tiny file = tiny_open(&spec, NULL);
    tfm_token tokens[4 * N];
    tfm_train_batch whole = TFM_TRAIN_BATCH_INIT, halves[2] = {TFM_TRAIN_BATCH_INIT, TFM_TRAIN_BATCH_INIT};
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    tiny_ids(tokens, 4 * N, 1);
    whole.tokens = tokens;
    whole.rows = 4;
    whole.length = N;
    halves[0] = halves[1] = whole;
    halves[0].rows = halves[1].rows = 2;
    halves[1].tokens = tokens + 2 * N;
    tfm_trainer *a = trainer_of(file.model, NULL), *b = trainer_of(file.model, NULL);
    assert_true(fabs(step(a, &whole, 1) - step(b, halves, 2)) < 1e-6);
    for (size_t i = 0; i < tfm_trainer_tensor_count(a); i++) {
        tfm_trained_tensor x = TFM_TRAINED_TENSOR_INIT, y = TFM_TRAINED_TENSOR_INIT;
        double largest = 0;
        assert_int_equal(tfm_trainer_tensor(a, i, TFM_TRAINED_GRADIENT, &x, &error), TFM_OK);
        assert_int_equal(tfm_trainer_tensor(b, i, TFM_TRAINED_GRADIENT, &y, &error), TFM_OK);
        for (size_t j = 0; j < x.count; j++) largest = fmax(largest, fabs((double)x.data[j]));
        assert_true(largest > 0);
        for (size_t j = 0; j < x.count; j++)
            assert_true(fabs((double)x.data[j] - (double)y.data[j]) <= 1e-5 * largest);
    }
    tfm_trainer_destroy(a);
    tfm_trainer_destroy(b);
    tiny_close(&file);
}

static void bad_input(void **state) {
    tiny_spec spec = {.type = TFM__F32, .seed = 1}, q8 = {.type = TFM__Q8_0, .seed = 1};
    tiny_spec positions = {.family = "gpt2", .type = TFM__F32, .seed = 1};
    tiny file = tiny_open(&spec, NULL), small = tiny_open(&q8, NULL), gpt2 = tiny_open(&positions, NULL);
    tfm_error error = TFM_ERROR_INIT;
    tfm_trainer *trainer = NULL;
    tfm_trainer_options options = TFM_TRAINER_OPTIONS_INIT;
    tfm_train_batch batch = TFM_TRAIN_BATCH_INIT;
    tfm_token tokens[4096] = {1, 2, 3, 4};
    uint8_t none[4] = {1, 0, 0, 0};
    (void)state;
    assert_int_equal(tfm_trainer_create(NULL, NULL, &trainer, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_trainer_create(small.model, NULL, &trainer, &error), TFM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "Q8_0"));
    assert_null(trainer);
    options.beta1 = 1.0;
    assert_int_equal(tfm_trainer_create(file.model, &options, &trainer, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "beta1 is 1"));
    options = (tfm_trainer_options)TFM_TRAINER_OPTIONS_INIT;
    options.learning_rate = (double)NAN;
    assert_int_equal(tfm_trainer_create(file.model, &options, &trainer, &error), TFM_E_ARGUMENT);
    options.learning_rate = 1e-3;
    options.byte_budget = 1000;
    assert_int_equal(tfm_trainer_create(file.model, &options, &trainer, &error), TFM_E_BUDGET);
    trainer = trainer_of(file.model, NULL);
    assert_int_equal(tfm_trainer_step(trainer, NULL, 1, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_trainer_step(trainer, &batch, 1, NULL, &error), TFM_E_ARGUMENT);
    batch.tokens = tokens;
    batch.rows = 1;
    batch.length = 1;
    assert_int_equal(tfm_trainer_step(trainer, &batch, 1, NULL, &error), TFM_E_ARGUMENT);
    batch.length = 4;
    tokens[2] = TINY_VOCAB;
    assert_int_equal(tfm_trainer_step(trainer, &batch, 1, NULL, &error), TFM_E_TOKEN);
    tokens[2] = -1;
    assert_int_equal(tfm_trainer_step(trainer, &batch, 1, NULL, &error), TFM_E_TOKEN);
    tokens[2] = 3;
    batch.mask = none;
    assert_int_equal(tfm_trainer_step(trainer, &batch, 1, NULL, &error), TFM_E_ARGUMENT);
    batch.mask = NULL;
    tfm_cancel *cancel = NULL;
    assert_int_equal(tfm_cancel_create(NULL, &cancel, &error), TFM_OK);
    tfm_trainer_watch(trainer, NULL, NULL, cancel);
    tfm_cancel_set(cancel);
    tfm_trainer *same = trainer_of(file.model, NULL);
    assert_int_equal(tfm_trainer_step(trainer, &batch, 1, NULL, &error), TFM_E_CANCELLED);
    same_tensors(trainer, same, TFM_TRAINED_WEIGHT);
    tfm_cancel_reset(cancel);
    batch.length = 2; /* a single position is read with one more */
    assert_true(step(trainer, &batch, 1) == step(same, &batch, 1));
    same_tensors(trainer, same, TFM_TRAINED_WEIGHT);
    tfm_trainer_destroy(same);

    /* weights that are no numbers: the step is named, nothing moves */
    tfm_trained_tensor w = TFM_TRAINED_TENSOR_INIT;
    assert_int_equal(tfm_trainer_find(trainer, "nothing", TFM_TRAINED_WEIGHT, &w, &error), TFM_E_MISSING);
    assert_int_equal(tfm_trainer_tensor(trainer, 1, TFM_TRAINED_WEIGHT, &w, &error), TFM_OK);
    ((float *)(uintptr_t)w.data)[0] = NAN;
    tfm__weights_changed(trainer);
    batch.length = 4;
    assert_int_equal(tfm_trainer_step(trainer, &batch, 1, NULL, &error), TFM_E_STATE);
    assert_non_null(strstr(error.message, "step 1"));
    assert_int_equal(tfm_trainer_steps(trainer), 1);
    tfm_trainer_destroy(trainer);
    tfm_cancel_destroy(cancel);

    trainer = trainer_of(gpt2.model, NULL);
    batch.length = 4096;
    assert_int_equal(tfm_trainer_step(trainer, &batch, 1, NULL, &error), TFM_E_CONTEXT);
    tfm_trainer_destroy(trainer);
    tfm_trainer_destroy(NULL);
    tiny_close(&file);
    tiny_close(&small);
    tiny_close(&gpt2);
}

/* Logits of the last of n tokens in a new session of the model. */
static void last_logits(tfm_model *model, const tfm_token *tokens, size_t n, float *out) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_session *session = NULL;
    tfm_session_options options = TFM_SESSION_OPTIONS_INIT;
    const float *logits = NULL;
    options.cache_type = TFM_CACHE_F32;
    if (tfm_session_create(model, &options, &session, &error) ||
        tfm_forward(session, tokens, n, NULL, &error) || tfm_logits(session, 0, &logits, NULL, &error))
        fail_msg("%s", error.message);
    memcpy(out, logits, TINY_VOCAB * sizeof *out);
    tfm_session_destroy(session);
}

/* Sessions on the weights in training: at first they are the model's, then those of the steps; steps do not
 * notice. */
static void model_in_training(void **state) {
    (void)state;
    for (size_t k = 0; k < TFM__COUNT(kinds); k++) {
        tiny_spec spec = {.family = kinds[k], .type = TFM__F32, .seed = 4};
        tiny file = tiny_open(&spec, NULL);
        tfm_token tokens[40];
        float theirs[TINY_VOCAB], first[TINY_VOCAB], second[TINY_VOCAB];
        tiny_ids(tokens, TFM__COUNT(tokens), 2);
        tfm_train_batch batch = TFM_TRAIN_BATCH_INIT;
        batch.tokens = tokens;
        batch.rows = 1;
        batch.length = TFM__COUNT(tokens);
        tfm_trainer *trainer = trainer_of(file.model, NULL), *alone = trainer_of(file.model, NULL);
        assert_ptr_equal(tfm_tokenizer_of(tfm_trainer_model(trainer)), tfm_tokenizer_of(file.model));
        last_logits(file.model, tokens, 30, theirs);
        last_logits(tfm_trainer_model(trainer), tokens, 30, first);
        assert_memory_equal(theirs, first, sizeof theirs);
        for (int s = 0; s < 2; s++) {
            step(alone, &batch, 1);
            step(trainer, &batch, 1);
            last_logits(tfm_trainer_model(trainer), tokens, 30, second);
            assert_memory_not_equal(first, second, sizeof first);
        }
        last_logits(tfm_trainer_model(alone), tokens, 30, first);
        assert_memory_equal(first, second, sizeof first);
        same_tensors(trainer, alone, TFM_TRAINED_WEIGHT);
        tfm_trainer_destroy(alone);
        tfm_trainer_destroy(trainer);
        tiny_close(&file);
    }
    assert_null(tfm_trainer_model(NULL));
}

/* What the schedules say at their corners. */
static void schedules(void **state) {
    tiny_spec spec = {.type = TFM__F32, .seed = 1};
    tiny file = tiny_open(&spec, NULL);
    tfm_trainer_options options = TFM_TRAINER_OPTIONS_INIT;
    (void)state;
    options.learning_rate = 1.0;
    options.last_rate = 0.1;
    options.steps = 20;
    options.warmup = 5;
    options.decay = 4;
    static const struct {
        int32_t schedule;
        uint64_t step;
        double rate;
    } cases[] = {
        {TFM_SCHEDULE_CONSTANT, 0, 0.2}, {TFM_SCHEDULE_CONSTANT, 4, 1.0},  {TFM_SCHEDULE_CONSTANT, 50, 1.0},
        {TFM_SCHEDULE_LINEAR, 5, 1.0},   {TFM_SCHEDULE_LINEAR, 8, 0.82},   {TFM_SCHEDULE_LINEAR, 20, 0.1},
        {TFM_SCHEDULE_COSINE, 5, 1.0},   {TFM_SCHEDULE_COSINE, 10, 0.775}, {TFM_SCHEDULE_COSINE, 21, 0.1},
        {TFM_SCHEDULE_WSD, 16, 1.0},     {TFM_SCHEDULE_WSD, 18, 0.55},     {TFM_SCHEDULE_WSD, 20, 0.1}};
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        options.schedule = cases[i].schedule;
        tfm_trainer *trainer = trainer_of(file.model, &options);
        assert_true(fabs(tfm__learning_rate(trainer, cases[i].step) - cases[i].rate) < 1e-12);
        tfm_trainer_destroy(trainer);
    }
    tiny_close(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_runs), cmocka_unit_test(muon_run),        cmocka_unit_test(long_runs),
        cmocka_unit_test(same_bits),  cmocka_unit_test(loss_of_forward), cmocka_unit_test(accumulation),
        cmocka_unit_test(bad_input),  cmocka_unit_test(schedules),       cmocka_unit_test(model_in_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
