/* test_golden.c - every family against PyTorch: logits, hidden states after each layer, greedy continuation.
 *
 * A few families' goldens are in tests/data/golden; the others are run when the collection lies beside the
 * repository. Allowed: 1e-4 of the largest golden value, for every tensor that is compared. */
#define _XOPEN_SOURCE 700 /* mkstemp */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/state.h"
#include "tfm/tfm.h"

#define ROWS 2
#define TOKENS 29
#define GREEDY 24
#define TOLERANCE 1e-4
#define WEIGHTS_TOLERANCE 1e-5 /* of probabilities, absolute */

typedef struct golden {
    const char *family;
    tfm__heap heap;
    tfm__store store;
    tfm__container container;
    size_t row; /* that is being computed */
    uint32_t layers;
    size_t *weights_seen;                       /* rows of attention compared */
    double logits_off, hidden_off, weights_off; /* the worst of a file: of the largest value; absolute */
} golden;

static bool exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

static const float *values_of(const golden *g, const char *name, size_t row, size_t *per_row) {
    const tfm__tensor *tensor = tfm__container_tensor(&g->container, name);
    if (!tensor) fail_msg("no golden tensor %s", name);
    *per_row = (size_t)(tensor->bytes / sizeof(float) / tensor->shape[0]);
    return (const float *)(const void *)tensor->data + row * *per_row;
}

static void compare(golden *g, const char *name, const float *ours) {
    double *off = strcmp(name, "logits") == 0 ? &g->logits_off : &g->hidden_off;
    size_t n;
    const float *theirs = values_of(g, name, g->row, &n);
    double largest = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)theirs[i]));
        double difference = fabs((double)theirs[i] - (double)ours[i]);
        if (!(difference <= worst)) worst = difference; /* NaN counts */
    }
    if (!(worst <= TOLERANCE * largest))
        fail_msg("%s, row %zu: off by %g of %g", name, g->row, worst, largest);
    *off = fmax(*off, worst / largest);
}

/* Probabilities of layer 0, [heads, tokens, tokens] for each row: head by head. */
static void compare_weights(golden *g, const tfm_inspect_event *event) {
    size_t n;
    const float *theirs = values_of(g, "attention.0", g->row, &n);
    theirs += (size_t)event->head * TOKENS * TOKENS + event->position * TOKENS;
    for (size_t i = 0; i < event->rows * TOKENS; i++) {
        double difference = fabs((double)theirs[i] - (double)event->values[i]);
        if (!(difference <= WEIGHTS_TOLERANCE))
            fail_msg("attention.0, row %zu, head %d, query %zu, key %zu: %g, not %g", g->row,
                     (int)event->head, event->position + i / TOKENS, i % TOKENS, (double)event->values[i],
                     (double)theirs[i]);
        g->weights_off = fmax(g->weights_off, difference);
    }
    g->weights_seen[0] += event->rows;
}

static int32_t see(void *user, const tfm_inspect_event *event) {
    golden *g = user;
    char name[32];
    if (event->stride != event->columns) return 1;
    if (event->site == TFM_SITE_ATTENTION && event->columns == TOKENS) compare_weights(g, event);
    if (event->rows != TOKENS) return 0; /* the greedy continuation */
    if (event->site == TFM_SITE_EMBEDDING)
        compare(g, "hidden.0", event->values);
    else if (event->site == TFM_SITE_STREAM && (uint32_t)event->layer + 1 < g->layers) {
        snprintf(name, sizeof name, "hidden.%d", (int)event->layer + 1);
        compare(g, name, event->values);
    } else if (event->site == TFM_SITE_OUTPUT_NORM) {
        snprintf(name, sizeof name, "hidden.%u", g->layers);
        compare(g, name, event->values);
    }
    return 0;
}

static void look(tfm_session *session, int32_t site, golden *g) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_inspect_options options = TFM_INSPECT_OPTIONS_INIT;
    options.site = site;
    if (site == TFM_SITE_ATTENTION) options.layer = 0;
    if (tfm_inspect(session, &options, see, g, NULL, &error)) fail_msg("%s", error.message);
}

static void check_row(golden *g, tfm_model *model, size_t row) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_forward_options all = TFM_FORWARD_OPTIONS_INIT;
    tfm_session *session = NULL;
    const float *logits;
    const tfm__tensor *ids = tfm__container_tensor(&g->container, "input_ids");
    assert_non_null(ids);
    g->row = row;
    g->layers = model->config.layers;
    all.logits = TFM_LOGITS_ALL;
    if (tfm_session_create(model, NULL, &session, &error)) fail_msg("%s", error.message);
    size_t seen = 0;
    g->weights_seen = &seen;
    look(session, TFM_SITE_EMBEDDING, g);
    look(session, TFM_SITE_STREAM, g);
    look(session, TFM_SITE_OUTPUT_NORM, g);
    look(session, TFM_SITE_ATTENTION, g);
    if (tfm_forward(session, (const int32_t *)(const void *)ids->data + row * TOKENS, TOKENS, &all, &error))
        fail_msg("%s", error.message);
    assert_int_equal(tfm_logits(session, 0, &logits, NULL, &error), TFM_OK);
    compare(g, "logits", logits);
    assert_int_equal(seen, model->config.heads * TOKENS);
    if (row == 0) {
        const tfm__tensor *greedy = tfm__container_tensor(&g->container, "greedy");
        assert_non_null(greedy);
        for (size_t i = 0; i < GREEDY; i++) {
            tfm_token token;
            assert_int_equal(tfm_sample_next(session, NULL, &token, &error), TFM_OK);
            assert_int_equal(token, (tfm_token)tfm__u32_le(greedy->data + 4 * i));
            assert_int_equal(tfm_forward(session, &token, 1, NULL, &error), TFM_OK);
        }
    }
    tfm_session_destroy(session);
}

static void check_file(golden *g, const char *path) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    if (tfm_model_load(path, NULL, &model, &error)) fail_msg("%s", error.message);
    g->logits_off = g->hidden_off = g->weights_off = 0;
    for (size_t row = 0; row < ROWS; row++) check_row(g, model, row);
    tfm_model_release(model);
    /* a line of tests/golden.sh's table */
    print_message("| %s | %s | %.1e | %.1e | %.1e | equal |\n", g->family,
                  strstr(path, ".gguf") ? "GGUF" : "safetensors", g->logits_off, g->hidden_off,
                  g->weights_off);
}

/* The folder written as a GGUF file of ours, where GGUF has words for the family. */
static void check_written(golden *g, const char *folder) {
    static const char *const without[] = {"/gpt-neo", "/opt", "/deepseek-v2", "/deepseek-v3", "/gpt-oss"};
    tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    char target[] = "/tmp/tfm-golden-XXXXXX";
    bool expected = true;
    for (size_t i = 0; i < TFM__COUNT(without); i++)
        if (strlen(folder) > strlen(without[i]) &&
            !strcmp(folder + strlen(folder) - strlen(without[i]), without[i]))
            expected = false;
    int descriptor = mkstemp(target);
    assert_true(descriptor >= 0);
    close(descriptor);
    options.tokenizer = TFM_NO; /* not all of these small ones can be said */
    int32_t status = tfm_quantize(folder, target, "F32", &options, NULL, &error);
    if (status != (expected ? TFM_OK : TFM_E_UNSUPPORTED)) fail_msg("%s", error.message);
    if (!status) check_file(g, target);
    remove(target);
}

/* The Hugging Face folder, and the GGUF file where there is one. */
static void check_folder(const char *folder) {
    tfm_error error = TFM_ERROR_INIT;
    golden *g = calloc(1, sizeof *g);
    tfm__read_options read = {0};
    char path[600];
    assert_non_null(g);
    tfm__heap_init(&g->heap, NULL, 0);
    snprintf(path, sizeof path, "%s/golden.safetensors", folder);
    if (tfm__store_open_path(&g->store, &g->heap, path, &read, &error) ||
        tfm__container_open(&g->store, &g->container, &error))
        fail_msg("%s", error.message);
    g->family = strrchr(folder, '/') + 1;
    check_file(g, folder);
    snprintf(path, sizeof path, "%s/model-f32.gguf", folder);
    if (exists(path)) check_file(g, path);
    check_written(g, folder);
    tfm__container_release(&g->container);
    tfm__store_close(&g->store);
    assert_int_equal(g->heap.live, 0);
    free(g);
}

static void test_bundled(void **state) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s/golden/%s", TFM_TEST_DATA, (const char *)*state);
    check_folder(folder);
}

static void test_shared(void **state) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s/golden/forward/%s", TFM_SHARED, (const char *)*state);
    if (!exists(folder)) skip();
    check_folder(folder);
}

#define BUNDLED(name)                                                                                        \
    { "bundled " name, test_bundled, NULL, NULL, name }
#define SHARED(name)                                                                                         \
    { name, test_shared, NULL, NULL, name }

int main(void) {
    const struct CMUnitTest tests[] = {
        BUNDLED("mistral"),     BUNDLED("qwen3"),      BUNDLED("gpt2"),       SHARED("llama"),
        SHARED("llama-linear"), SHARED("llama-yarn"),  SHARED("llama3-rope"), SHARED("mistral"),
        SHARED("qwen2"),        SHARED("qwen3"),       SHARED("gemma"),       SHARED("gemma2"),
        SHARED("gemma3"),       SHARED("gpt2"),        SHARED("gpt-neox"),    SHARED("gptj"),
        SHARED("gpt-neo"),      SHARED("opt"),         SHARED("bloom"),       SHARED("mpt"),
        SHARED("falcon"),       SHARED("falcon-new"),  SHARED("phi"),         SHARED("phi3"),
        SHARED("starcoder2"),   SHARED("stablelm"),    SHARED("olmo"),        SHARED("olmo2"),
        SHARED("exaone4"),      SHARED("cohere"),      SHARED("cohere2"),     SHARED("granite"),
        SHARED("nemotron"),     SHARED("smollm3"),     SHARED("glm4"),        SHARED("ernie4_5"),
        SHARED("mixtral"),      SHARED("qwen2-moe"),   SHARED("qwen3-moe"),   SHARED("olmoe"),
        SHARED("deepseek-v2"),  SHARED("deepseek-v3"), SHARED("gpt-oss"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
