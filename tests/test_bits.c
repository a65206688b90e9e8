/* test_bits.c - same model, same tokens, same bits: whatever the number of threads, the instruction set, how
 * the prompt is cut into calls, rewinding and forking, and whose threads do the work.
 *
 * The prompts are long enough for several runs of pages, so that attention's partial results are combined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "tfm/tfm.h"

#ifdef TFM_TESTS_BARE /* under an emulator, which is slow: two runs of pages, some of the settings */
#define LENGTH 560
#define CACHE_LENGTH 120
#else
#define LENGTH 1200
#define CACHE_LENGTH 600
#endif
#define MOST_VOCAB 8192

typedef struct setting {
    int32_t isa;
    uint32_t threads;
    uint32_t batch;
    int32_t read;
    uint64_t cut_seed; /* 0: one call */
    bool host_threads;
    bool wander; /* rewind and fork on the way */
} setting;

static void in_reverse(void *user, size_t n, void (*fn)(void *arg, size_t i), void *arg) {
    (void)user;
    while (n-- > 0) fn(arg, n); /* any order is allowed */
}

static void fill_prompt(tfm_token *ids, size_t count, int32_t vocab) {
    tfm__rng rng;
    tfm__rng_seed(&rng, 7);
    for (size_t i = 0; i < count; i++) ids[i] = (tfm_token)(tfm__rng_u32(&rng) % (uint32_t)vocab);
}

static void feed(tfm_session **session, const tfm_token *ids, size_t count, const setting *s) {
    tfm_error error = TFM_ERROR_INIT;
    tfm__rng rng;
    tfm__rng_seed(&rng, s->cut_seed);
    for (size_t done = 0; done < count;) {
        size_t left = count - done, now = s->cut_seed ? 1 + tfm__rng_u32(&rng) % 150 : left;
        if (now > left) now = left;
        if (tfm_forward(*session, ids + done, now, NULL, &error)) fail_msg("%s", error.message);
        done += now;
        if (s->wander && done < count && tfm__rng_u32(&rng) % 3 == 0) {
            done -= tfm__rng_u32(&rng) % (done / 2 + 1);
            assert_int_equal(tfm_session_rewind(*session, done, &error), TFM_OK);
        }
        if (s->wander &&
            tfm__rng_u32(&rng) % 3 == 0) { /* go on in a fork, while the parent writes something else */
            tfm_session *fork = NULL;
            assert_int_equal(tfm_session_fork(*session, &fork, &error), TFM_OK);
            if (done < count) assert_int_equal(tfm_forward(*session, ids, 1, NULL, &error), TFM_OK);
            tfm_session_destroy(*session);
            *session = fork;
        }
    }
}

/* Logits after the prompt and after each of three more tokens. */
static void run(const char *path, size_t length, int32_t cache, const setting *s, float *out, size_t *vocab) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_pool_options threads = TFM_POOL_OPTIONS_INIT;
    tfm_session_options room = TFM_SESSION_OPTIONS_INIT;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    tfm_model *model = NULL;
    tfm_session *session = NULL;
    tfm_pool *pool = NULL;
    tfm_token *ids = malloc((length + 3) * sizeof *ids);
    assert_non_null(ids);
    threads.threads = s->threads;
    if (s->host_threads) threads.parallel_for = in_reverse;
    assert_int_equal(tfm_pool_create(&threads, &pool, &error), TFM_OK);
    options.pool = pool;
    options.isa = s->isa;
    options.read_into_memory = s->read;
    room.batch = s->batch;
    room.cache_type = cache;
    if (tfm_model_load(path, &options, &model, &error)) fail_msg("%s", error.message);
    assert_int_equal(tfm_model_get_info(model, &info, &error), TFM_OK);
    room.context = strcmp(info.family, "gpt2") ? (uint32_t)length + 64 : 0;
    if (tfm_session_create(model, &room, &session, &error)) fail_msg("%s", error.message);
    fill_prompt(ids, length + 3, info.vocab_size);
    feed(&session, ids, length, s);
    for (size_t i = 0; i < 4; i++) {
        const float *logits;
        assert_int_equal(tfm_logits(session, 0, &logits, vocab, &error), TFM_OK);
        assert_true(*vocab <= MOST_VOCAB);
        memcpy(out + i * *vocab, logits, *vocab * sizeof *out);
        if (i < 3) assert_int_equal(tfm_forward(session, ids + length + i, 1, NULL, &error), TFM_OK);
    }
    tfm_session_destroy(session);
    tfm_model_release(model);
    tfm_pool_destroy(pool);
    free(ids);
}

static const setting settings[] = {
    {.threads = 1},
#ifndef TFM_TESTS_BARE
    {.threads = 2},
    {.threads = 3},
    {.threads = 2, .batch = 1},
    {.threads = 2, .batch = 37},
    {.threads = 3, .batch = 1200},
    {.threads = 2, .cut_seed = 1},
    {.threads = 2, .cut_seed = 2},
    {.threads = 2, .cut_seed = 3, .wander = true},
#endif
    {.threads = 2, .cut_seed = 4, .wander = true},
#ifndef TFM_TESTS_BARE
    {.threads = 2, .read = 1},
    {.threads = 4, .host_threads = true},
#endif
    {.threads = 2, .isa = TFM_ISA_AVX2},
    {.threads = 2, .isa = TFM_ISA_AVX512},
    {.threads = 2, .isa = TFM_ISA_NEON},
    {.threads = 2, .isa = TFM_ISA_NEON_DOTPROD},
    {.threads = 2, .isa = TFM_ISA_AVX2, .cut_seed = 5},
    {.threads = 2, .isa = TFM_ISA_PORTABLE, .cut_seed = 6},
};

static bool can_run(const setting *s) {
    if (s->isa == TFM_ISA_AVX2) return tfm__cpu_has_isa(TFM__ISA_AVX2);
    if (s->isa == TFM_ISA_AVX512) return tfm__cpu_has_isa(TFM__ISA_AVX512);
    if (s->isa == TFM_ISA_NEON) return tfm__cpu_has_isa(TFM__ISA_NEON);
    if (s->isa == TFM_ISA_NEON_DOTPROD) return tfm__cpu_has_isa(TFM__ISA_DOTPROD);
    return true;
}

static void check_cache(const char *path, size_t length, int32_t cache) {
    float *first = malloc(4 * MOST_VOCAB * sizeof *first), *again = malloc(4 * MOST_VOCAB * sizeof *again);
    size_t vocab, vocab_again;
    assert_non_null(first);
    assert_non_null(again);
    run(path, length, cache, &settings[0], first, &vocab);
    for (size_t i = 1; i < TFM__COUNT(settings); i++) {
        if (!can_run(&settings[i])) {
            print_message("[ SKIPPED  ] setting %zu: this processor does not have the instruction set\n", i);
            continue;
        }
        run(path, length, cache, &settings[i], again, &vocab_again);
        assert_int_equal(vocab_again, vocab);
        if (memcmp(first, again, 4 * vocab * sizeof *first))
            fail_msg("%s: other bits with setting %zu, cache type %d", path, i, (int)cache);
    }
    free(first);
    free(again);
}

static void check_model(const char *path, size_t length) { check_cache(path, length, TFM_CACHE_DEFAULT); }

static void test_window(void **state) {
    (void)state;
    check_model(TFM_TEST_DATA "/golden/mistral", LENGTH);
}
static void test_full_past(void **state) {
    (void)state;
    check_model(TFM_TEST_DATA "/golden/qwen3", LENGTH);
}
static void test_transposed_weights(void **state) {
    (void)state;
    check_model(TFM_TEST_DATA "/golden/gpt2", 120);
}
static void test_quantised(void **state) {
    (void)state;
    check_model(TFM_MODELS "/tang.gguf", CACHE_LENGTH + 100);
}
/* Heads that fill no block of 32; a window; heads that share keys. */
static void test_cache_types(void **state) {
    (void)state;
    static const char *const folders[] = {"mistral", "qwen3", "gpt2"};
    char path[512];
    for (int32_t cache = TFM_CACHE_F16; cache <= TFM_CACHE_Q4_0; cache++)
        for (size_t i = 0; i < TFM__COUNT(folders); i++) {
            snprintf(path, sizeof path, "%s/golden/%s", TFM_TEST_DATA, folders[i]);
            check_cache(path, i == 2 ? 120 : CACHE_LENGTH, cache);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_full_past),
        cmocka_unit_test(test_transposed_weights),
        cmocka_unit_test(test_quantised),
        cmocka_unit_test(test_cache_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
