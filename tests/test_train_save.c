/* test_train_save.c - what training writes: folders that load again, checkpoints that go on with the same
 * bits, and a process killed while it writes. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "formats/formats.h"
#include "tfm/tfm.h"

#define MODEL TFM_TEST_DATA "/golden/qwen3"
#define LENGTH 33
#define ROWS 2
#define KILLS 40

static char folder[64]; /* of this test */

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/tfm-train-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static void path_to(char *path, size_t size, const char *name) {
    snprintf(path, size, "%s/%s", folder, name);
}

static tfm_model *load(const char *path) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    if (tfm_model_load(path, NULL, &model, &error)) fail_msg("%s", error.message);
    return model;
}

static tfm_trainer *trainer_of(tfm_model *model, tfm_pool *pool, int32_t optimizer) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_trainer_options options = TFM_TRAINER_OPTIONS_INIT;
    tfm_trainer *trainer = NULL;
    options.pool = pool;
    options.optimizer = optimizer;
    options.learning_rate = 1e-3;
    options.schedule = TFM_SCHEDULE_COSINE;
    options.steps = 8;
    options.warmup = 2;
    if (tfm_trainer_create(model, &options, &trainer, &error)) fail_msg("%s", error.message);
    return trainer;
}

static void batch_of(tfm_train_batch *batch, tfm_token *tokens, uint64_t step) {
    tfm__rng rng;
    tfm__rng_seed(&rng, step);
    for (size_t i = 0; i < ROWS * LENGTH; i++) tokens[i] = (tfm_token)(tfm__rng_u32(&rng) % 64);
    *batch = (tfm_train_batch)TFM_TRAIN_BATCH_INIT;
    batch->tokens = tokens;
    batch->rows = ROWS;
    batch->length = LENGTH;
}

static void steps(tfm_trainer *trainer, uint64_t end) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_token tokens[ROWS * LENGTH];
    tfm_train_batch batch;
    while (tfm_trainer_steps(trainer) < end) {
        batch_of(&batch, tokens, tfm_trainer_steps(trainer));
        if (tfm_trainer_step(trainer, &batch, 1, NULL, &error)) fail_msg("%s", error.message);
    }
}

static void same_weights(const tfm_trainer *a, const tfm_trainer *b) {
    tfm_error error = TFM_ERROR_INIT;
    assert_int_equal(tfm_trainer_tensor_count(a), tfm_trainer_tensor_count(b));
    for (size_t i = 0; i < tfm_trainer_tensor_count(a); i++) {
        tfm_trained_tensor x = TFM_TRAINED_TENSOR_INIT, y = TFM_TRAINED_TENSOR_INIT;
        assert_int_equal(tfm_trainer_tensor(a, i, TFM_TRAINED_WEIGHT, &x, &error), TFM_OK);
        assert_int_equal(tfm_trainer_find(b, x.name, TFM_TRAINED_WEIGHT, &y, &error), TFM_OK);
        assert_memory_equal(x.data, y.data, (size_t)x.count * sizeof *x.data);
    }
}

/* Six steps at once; three, a checkpoint, and three of another trainer with other threads. */
static void resume(void **state) {
    (void)state;
    for (int32_t optimizer = TFM_OPTIMIZER_ADAMW; optimizer <= TFM_OPTIMIZER_MUON; optimizer++) {
        tfm_error error = TFM_ERROR_INIT;
        tfm_pool_options two = TFM_POOL_OPTIONS_INIT;
        tfm_pool *pool = NULL;
        char path[128];
        path_to(path, sizeof path, "checkpoint.safetensors");
        two.threads = 2;
        assert_int_equal(tfm_pool_create(&two, &pool, &error), TFM_OK);
        tfm_model *model = load(MODEL);
        tfm_trainer *whole = trainer_of(model, NULL, optimizer), *first = trainer_of(model, NULL, optimizer),
                    *second = trainer_of(model, pool, optimizer);
        steps(whole, 6);
        steps(first, 3);
        if (tfm_trainer_checkpoint(first, path, &error)) fail_msg("%s", error.message);
        steps(second, 1); /* whatever it has done is forgotten */
        if (tfm_trainer_resume(second, path, &error)) fail_msg("%s", error.message);
        assert_int_equal(tfm_trainer_steps(second), 3);
        same_weights(first, second);
        steps(second, 6);
        same_weights(whole, second);
        tfm_trainer_destroy(whole);
        tfm_trainer_destroy(first);
        tfm_trainer_destroy(second);
        tfm_model_release(model);
        tfm_pool_destroy(pool);
    }
}

/* A saved folder is a model with the trained weights. */
static void save(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    char path[128];
    (void)state;
    path_to(path, sizeof path, "saved");
    tfm_model *model = load(MODEL);
    tfm_trainer *trainer = trainer_of(model, NULL, TFM_OPTIMIZER_ADAMW);
    steps(trainer, 2);
    for (int twice = 0; twice < 2; twice++)
        if (tfm_trainer_save(trainer, path, &error)) fail_msg("%s", error.message);
    tfm_model *again = load(path);
    tfm_trainer *other = trainer_of(again, NULL, TFM_OPTIMIZER_ADAMW);
    same_weights(trainer, other);
    tfm_trainer_destroy(other);
    tfm_trainer_destroy(trainer);
    tfm_model_release(again);
    tfm_model_release(model);

    model = load(MODEL "/model-f32.gguf");
    trainer = trainer_of(model, NULL, TFM_OPTIMIZER_ADAMW);
    assert_int_equal(tfm_trainer_save(trainer, path, &error), TFM_E_UNSUPPORTED);
    tfm_trainer_destroy(trainer);
    tfm_model_release(model);
}

/* Checkpoints of another model, cut short, or none at all: the trainer goes on as it was. */
static void bad_checkpoints(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    char path[128], cut[128];
    (void)state;
    path_to(path, sizeof path, "bad.safetensors");
    path_to(cut, sizeof cut, "cut.safetensors");
    tfm_model *model = load(MODEL), *other = load(TFM_TEST_DATA "/golden/gpt2");
    tfm_trainer *trainer = trainer_of(model, NULL, TFM_OPTIMIZER_ADAMW),
                *stranger = trainer_of(other, NULL, TFM_OPTIMIZER_ADAMW),
                *plain = trainer_of(model, NULL, TFM_OPTIMIZER_SGD),
                *same = trainer_of(model, NULL, TFM_OPTIMIZER_ADAMW);
    steps(trainer, 1);
    steps(same, 1);
    assert_int_equal(tfm_trainer_checkpoint(stranger, path, &error), TFM_OK);
    assert_int_equal(tfm_trainer_resume(trainer, path, &error), TFM_E_SHAPE);
    assert_int_equal(tfm_trainer_checkpoint(plain, path, &error), TFM_OK);
    assert_int_equal(tfm_trainer_resume(trainer, path, &error), TFM_E_SHAPE);
    assert_int_equal(tfm_trainer_resume(trainer, MODEL "/model.safetensors", &error), TFM_E_FORMAT);
    assert_int_equal(tfm_trainer_resume(trainer, "/nowhere/at.all", &error), TFM_E_NOT_FOUND);
    assert_int_equal(tfm_trainer_checkpoint(trainer, "/nowhere/at.all", &error), TFM_E_NOT_FOUND);

    assert_int_equal(tfm_trainer_checkpoint(trainer, path, &error), TFM_OK);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, size, file), size);
    fclose(file);
    for (size_t i = 0; i < 20; i++) {
        file = fopen(cut, "wb");
        assert_non_null(file);
        fwrite(bytes, 1, size * i / 20, file);
        fclose(file);
        assert_true(tfm_trainer_resume(trainer, cut, &error) < 0);
    }
    free(bytes);
    same_weights(trainer, same);
    assert_int_equal(tfm_trainer_steps(trainer), 1);
    tfm_trainer_destroy(trainer);
    tfm_trainer_destroy(stranger);
    tfm_trainer_destroy(plain);
    tfm_trainer_destroy(same);
    tfm_model_release(model);
    tfm_model_release(other);
}

/* Another process trains and writes a checkpoint after each step until it is killed; what it leaves is always
 * whole. */
static void killed(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    char path[128];
    uint64_t most = 0;
    tfm__rng rng;
    (void)state;
    path_to(path, sizeof path, "killed.safetensors");
    tfm__rng_seed(&rng, 1);
    tfm_model *model = load(MODEL);
    tfm_trainer *trainer = trainer_of(model, NULL, TFM_OPTIMIZER_ADAMW);
    assert_int_equal(tfm_trainer_checkpoint(trainer, path, &error), TFM_OK);
    for (int i = 0; i < KILLS; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            for (;;) {
                steps(trainer, tfm_trainer_steps(trainer) + 1);
                if (tfm_trainer_checkpoint(trainer, path, &error)) _exit(1);
            }
        }
        long longest = 20000000L << i / 8; /* slow builds need longer for a step */
        struct timespec wait = {0, 1000000 + (long)(tfm__rng_u32(&rng) % (uint32_t)longest)};
        nanosleep(&wait, NULL);
        kill(child, SIGKILL);
        int status;
        assert_true(waitpid(child, &status, 0) == child);
        assert_true(WIFSIGNALED(status));
        if (tfm_trainer_resume(trainer, path, &error)) fail_msg("%s", error.message);
        assert_true(tfm_trainer_steps(trainer) >= most);
        most = tfm_trainer_steps(trainer);
    }
    assert_true(most > 0);
    tfm_trainer *whole = trainer_of(model, NULL, TFM_OPTIMIZER_ADAMW);
    steps(whole, most);
    same_weights(whole, trainer);
    tfm_trainer_destroy(whole);
    tfm_trainer_destroy(trainer);
    tfm_model_release(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(resume), cmocka_unit_test(save),
                                       cmocka_unit_test(bad_checkpoints), cmocka_unit_test(killed)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
