/* test_sampler.c - the random numbers, every setting, the order of the steps (pinned by logits for which
 * another order would choose otherwise), seeds, and the table of candidates. */
#include <math.h>

#include "sampler/sampler.h"
#include "tiny_model.h"

#define ALL(n) ((1u << (n)) - 1)

static tfm__kernels kernels;

static int fill_kernels(void **state) {
    (void)state;
    tfm__kernels_fill(&kernels, TFM__ISA_PORTABLE);
    return 0;
}

/* A sampler without any filter, at temperature 1. */
static tfm_sampler *plain(void) {
    tfm_sampler *sampler = NULL;
    assert_int_equal(tfm_sampler_create(NULL, &sampler, NULL), TFM_OK);
    assert_int_equal(tfm_sampler_set_f64(sampler, TFM_SAMPLER_TEMPERATURE, 1.0, NULL), TFM_OK);
    assert_int_equal(tfm_sampler_set_u64(sampler, TFM_SAMPLER_TOP_K, 0, NULL), TFM_OK);
    assert_int_equal(tfm_sampler_set_f64(sampler, TFM_SAMPLER_TOP_P, 1.0, NULL), TFM_OK);
    assert_int_equal(tfm_sampler_set_f64(sampler, TFM_SAMPLER_MIN_P, 0.0, NULL), TFM_OK);
    return sampler;
}

static void set(tfm_sampler *sampler, int32_t setting, double value) {
    if (setting == TFM_SAMPLER_TOP_K || setting == TFM_SAMPLER_REPEAT_WINDOW || setting == TFM_SAMPLER_SEED)
        assert_int_equal(tfm_sampler_set_u64(sampler, setting, (uint64_t)value, NULL), TFM_OK);
    else
        assert_int_equal(tfm_sampler_set_f64(sampler, setting, value, NULL), TFM_OK);
}

static tfm_token choose(tfm_sampler *sampler, const float *logits, size_t n, const tfm_token *history,
                        size_t count) {
    tfm_token token = -5;
    assert_int_equal(tfm__sampler_choose(sampler, &kernels, logits, n, history, count, &token, NULL), TFM_OK);
    assert_in_range(token, 0, n - 1);
    return token;
}

/* Which tokens come up in many draws, as bits. */
static unsigned drawn(tfm_sampler *sampler, const float *logits, size_t n) {
    unsigned seen = 0;
    for (int i = 0; i < 3000; i++) seen |= 1u << choose(sampler, logits, n, NULL, 0);
    return seen;
}

/* ---- Random numbers
 * ------------------------------------------------------------------------------------------- */

/* What the author's own implementation gives for its generator with the default stream and seed 42
 * (imneme/pcg-c, test-high/expected/check-pcg32s.out, round 1). */
static void test_published_numbers(void **state) {
    (void)state;
    static const uint32_t expected[] = {0xc2f57bd6, 0x6b07c4a9, 0x72b7b29b,
                                        0x44215383, 0xf5af5ead, 0x68beb632};
    tfm__rng rng;
    tfm__rng_seed(&rng, 42);
    for (size_t i = 0; i < TFM__COUNT(expected); i++) assert_int_equal(tfm__rng_u32(&rng), expected[i]);
    tfm__rng_seed(&rng, 42);
    for (size_t i = 0; i < 3; i++) {
        uint64_t both = (uint64_t)expected[2 * i] << 32 | expected[2 * i + 1];
        assert_true(tfm__rng_unit(&rng) == (double)(both >> 11) / 9007199254740992.0);
    }
    for (int i = 0; i < 10000; i++) {
        double unit = tfm__rng_unit(&rng);
        assert_true(unit >= 0.0 && unit < 1.0);
    }
}

/* Drawn by hand: the published generator's numbers against the cumulated softmax in falling order. */
static void test_pinned_draws(void **state) {
    (void)state;
    static const float logits[] = {0.5f, 2.0f, -1.0f, 1.0f, 1.75f, 0.0f, 1.5f, -3.0f};
    static const tfm_token expected[] = {3, 4, 5, 3, 4, 6, 1, 0, 6, 1, 1, 6,
                                         4, 1, 4, 3, 6, 0, 4, 1, 3, 1, 1, 6};
    tfm_sampler *sampler = plain();
    for (int again = 0; again < 2; again++) {
        set(sampler, TFM_SAMPLER_SEED, 42);
        for (size_t i = 0; i < TFM__COUNT(expected); i++)
            assert_int_equal(choose(sampler, logits, 8, NULL, 0), expected[i]);
    }
    tfm_sampler_destroy(sampler);
}

static void test_seeds(void **state) {
    (void)state;
    tfm_sampler *a = plain(), *b = plain();
    float logits[64] = {0};
    int equal = 0;
    set(b, TFM_SAMPLER_SEED, 0); /* the default */
    for (int i = 0; i < 100; i++)
        assert_int_equal(choose(a, logits, 64, NULL, 0), choose(b, logits, 64, NULL, 0));
    set(b, TFM_SAMPLER_SEED, 1);
    set(a, TFM_SAMPLER_SEED, 0);
    for (int i = 0; i < 100; i++) equal += choose(a, logits, 64, NULL, 0) == choose(b, logits, 64, NULL, 0);
    assert_in_range(equal, 0, 20);
    /* greedy choices use no random number */
    set(a, TFM_SAMPLER_SEED, 7);
    set(b, TFM_SAMPLER_SEED, 7);
    set(a, TFM_SAMPLER_TEMPERATURE, 0.0);
    for (int i = 0; i < 10; i++) choose(a, logits, 64, NULL, 0);
    set(a, TFM_SAMPLER_TEMPERATURE, 1.0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(choose(a, logits, 64, NULL, 0), choose(b, logits, 64, NULL, 0));
    tfm_sampler_destroy(a);
    tfm_sampler_destroy(b);
}

/* Counts of 20000 draws against softmax(logits / temperature). */
static void test_distribution(void **state) {
    (void)state;
    enum { N = 6, DRAWS = 20000 };
    static const float logits[N] = {1.0f, -0.5f, 0.25f, 2.0f, 0.0f, 1.5f};
    static const double temperatures[] = {0.7, 1.0, 3.0};
    tfm_sampler *sampler = plain();
    for (size_t t = 0; t < TFM__COUNT(temperatures); t++) {
        int counts[N] = {0};
        double total = 0.0, distance = 0.0;
        set(sampler, TFM_SAMPLER_TEMPERATURE, temperatures[t]);
        for (int i = 0; i < DRAWS; i++) counts[choose(sampler, logits, N, NULL, 0)]++;
        for (int i = 0; i < N; i++) total += exp((double)logits[i] / temperatures[t]);
        for (int i = 0; i < N; i++) {
            double expected = DRAWS * exp((double)logits[i] / temperatures[t]) / total;
            distance += (counts[i] - expected) * (counts[i] - expected) / expected;
        }
        assert_true(distance < 25.0); /* chi-square of 5 degrees: one in 7000 is beyond */
    }
    tfm_sampler_destroy(sampler);
}

/* ---- Settings
 * ------------------------------------------------------------------------------------------------- */

static void test_ranges(void **state) {
    (void)state;
    static const struct {
        int32_t setting;
        double initial, good[3], bad[4];
    } reals[] = {
        {TFM_SAMPLER_TEMPERATURE, 0.8, {0.0, 1e-300, 100.0}, {-1e-9, 100.001, INFINITY, NAN}},
        {TFM_SAMPLER_TOP_P, 0.95, {1e-9, 0.5, 1.0}, {0.0, -0.5, 1.0000001, NAN}},
        {TFM_SAMPLER_MIN_P, 0.05, {0.0, 0.5, 1.0}, {-1e-9, 1.0000001, INFINITY, NAN}},
        {TFM_SAMPLER_REPEAT_PENALTY, 1.0, {1e-9, 0.5, 100.0}, {0.0, -1.0, 100.001, NAN}},
    };
    static const struct {
        int32_t setting;
        uint64_t initial;
    } wholes[] = {{TFM_SAMPLER_TOP_K, 40}, {TFM_SAMPLER_REPEAT_WINDOW, 64}, {TFM_SAMPLER_SEED, 0}};
    tfm_sampler *sampler = NULL;
    tfm_error error = TFM_ERROR_INIT;
    assert_int_equal(tfm_sampler_create(NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_sampler_create(NULL, &sampler, &error), TFM_OK);
    double real = -1.0;
    uint64_t whole = 99;
    for (size_t i = 0; i < TFM__COUNT(reals); i++) {
        int32_t id = reals[i].setting;
        assert_int_equal(tfm_sampler_get_f64(sampler, id, &real, &error), TFM_OK);
        assert_true(real == reals[i].initial);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(tfm_sampler_set_f64(sampler, id, reals[i].good[k], &error), TFM_OK);
            assert_int_equal(tfm_sampler_get_f64(sampler, id, &real, &error), TFM_OK);
            assert_true(real == reals[i].good[k]);
        }
        for (size_t k = 0; k < 4; k++) {
            assert_int_equal(tfm_sampler_set_f64(sampler, id, reals[i].bad[k], &error), TFM_E_ARGUMENT);
            assert_int_equal(tfm_sampler_get_f64(sampler, id, &real, &error), TFM_OK);
            assert_true(real == reals[i].good[2]); /* the old value stays */
        }
        assert_int_equal(tfm_sampler_set_u64(sampler, id, 1, &error), TFM_E_ARGUMENT); /* of the other type */
        assert_int_equal(tfm_sampler_get_u64(sampler, id, &whole, &error), TFM_E_ARGUMENT);
        assert_int_equal(whole, 0);
        assert_int_equal(tfm_sampler_set_f64(NULL, id, 1.0, &error), TFM_E_ARGUMENT);
    }
    for (size_t i = 0; i < TFM__COUNT(wholes); i++) {
        int32_t id = wholes[i].setting;
        static const uint64_t good[] = {0, 1, UINT64_MAX};
        assert_int_equal(tfm_sampler_get_u64(sampler, id, &whole, &error), TFM_OK);
        assert_true(whole == wholes[i].initial);
        for (size_t k = 0; k < TFM__COUNT(good); k++) {
            assert_int_equal(tfm_sampler_set_u64(sampler, id, good[k], &error), TFM_OK);
            assert_int_equal(tfm_sampler_get_u64(sampler, id, &whole, &error), TFM_OK);
            assert_true(whole == good[k]);
        }
        assert_int_equal(tfm_sampler_set_f64(sampler, id, 1.0, &error), TFM_E_ARGUMENT);
        assert_int_equal(tfm_sampler_get_f64(sampler, id, &real, &error), TFM_E_ARGUMENT);
        assert_true(real == 0.0);
        assert_int_equal(tfm_sampler_set_u64(NULL, id, 1, &error), TFM_E_ARGUMENT);
    }
    assert_int_equal(tfm_sampler_set_f64(sampler, 0, 1.0, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_sampler_set_u64(sampler, 61, 1, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_sampler_get_f64(sampler, TFM_SAMPLER_TOP_P, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_sampler_get_u64(NULL, TFM_SAMPLER_TOP_K, &whole, &error), TFM_E_ARGUMENT);
    tfm_sampler_destroy(sampler);
    tfm_sampler_destroy(NULL);

    tfm_sampler_options greedy = TFM_SAMPLER_OPTIONS_INIT;
    greedy.greedy = 1;
    assert_int_equal(tfm_sampler_create(&greedy, &sampler, &error), TFM_OK);
    assert_int_equal(tfm_sampler_get_f64(sampler, TFM_SAMPLER_TEMPERATURE, &real, &error), TFM_OK);
    assert_true(real == 0.0);
    tfm_sampler_destroy(sampler);
}

/* ---- The steps
 * ------------------------------------------------------------------------------------------------ */

static void test_penalty(void **state) {
    (void)state;
    static const struct {
        float logits[4];
        tfm_token history[4];
        size_t count;
        double penalty;
        uint64_t window;
        tfm_token expected;
    } cases[] = {
        {{5, 4, 3, 2}, {0, 1, 2}, 3, 10.0, 0, 0}, /* no window */
        {{5, 4, 3, 2}, {0, 1, 2}, 3, 10.0, 1, 0}, /* 2 alone */
        {{5, 4, 3, 2}, {0, 1, 2}, 3, 10.0, 2, 0},
        {{5, 4, 3, 2}, {0, 1, 2}, 3, 10.0, 3, 3}, /* all three */
        {{5, 4, 3, 2}, {0, 1, 2}, 3, 10.0, UINT64_MAX, 3},
        {{5, 4, 3, 2}, {0, 1, 2}, 3, 1.0, 64, 0},
        {{5, 4, 3, 2}, {0, 1, 2}, 0, 10.0, 64, 0},   /* nothing said yet */
        {{3, 1.4f, 0, 0}, {0, 0, 0}, 3, 2.0, 64, 0}, /* once, however often */
        {{3, 1.6f, 0, 0}, {0, 0, 0}, 3, 2.0, 64, 1},
        {{-1, -1.5f, -9, -9}, {0}, 1, 2.0, 64, 1}, /* below zero: multiplied */
        {{-1, -2.5f, -9, -9}, {0}, 1, 2.0, 64, 0},
        {{0, -0.001f, -9, -9}, {0}, 1, 50.0, 64, 0}, /* zero stays zero */
        {{1, 1.5f, 0, 0}, {0}, 1, 0.5, 64, 0},       /* below 1 it favours */
    };
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        tfm_sampler *sampler = plain();
        set(sampler, TFM_SAMPLER_TEMPERATURE, 0.0);
        set(sampler, TFM_SAMPLER_REPEAT_PENALTY, cases[i].penalty);
        assert_int_equal(tfm_sampler_set_u64(sampler, TFM_SAMPLER_REPEAT_WINDOW, cases[i].window, NULL),
                         TFM_OK);
        assert_int_equal(choose(sampler, cases[i].logits, 4, cases[i].history, cases[i].count),
                         cases[i].expected);
        tfm_sampler_destroy(sampler);
    }
}

/* Logits with the probabilities 0.4, 0.3, 0.2, 0.1. */
static const float four[4] = {-0.9162907f, -1.2039728f, -1.6094379f, -2.3025851f};

typedef struct step {
    int32_t setting;
    double value;
} step;

static void expect_drawn(const step *steps, size_t count, const float *logits, size_t n, unsigned expected) {
    tfm_sampler *sampler = plain();
    for (size_t i = 0; i < count; i++) set(sampler, steps[i].setting, steps[i].value);
    unsigned seen = drawn(sampler, logits, n);
    if (seen != expected)
        fail_msg("first step %d: drew %x, expected %x", (int)steps[0].setting, seen, expected);
    tfm_sampler_destroy(sampler);
}
#define EXPECT(logits, n, expected, ...)                                                                     \
    expect_drawn((const step[]){__VA_ARGS__}, sizeof((const step[]){__VA_ARGS__}) / sizeof(step), logits, n, \
                 expected)

static void test_single_steps(void **state) {
    (void)state;
    static const float equal[5] = {1, 1, 1, 1, 1}, ties[4] = {1, 0, 1, 0.5f};
    EXPECT(four, 4, ALL(4), {TFM_SAMPLER_SEED, 3});
    EXPECT(four, 4, ALL(1), {TFM_SAMPLER_TOP_K, 1});
    EXPECT(four, 4, ALL(3), {TFM_SAMPLER_TOP_K, 3});
    EXPECT(four, 4, ALL(4), {TFM_SAMPLER_TOP_K, 4});
    EXPECT(four, 4, ALL(4), {TFM_SAMPLER_TOP_K, 1e18});
    EXPECT(equal, 5, ALL(2), {TFM_SAMPLER_TOP_K, 2}); /* equal: lower ids first */
    EXPECT(ties, 4, 0x5, {TFM_SAMPLER_TOP_K, 2});
    EXPECT(four, 4, ALL(1), {TFM_SAMPLER_TOP_P, 1e-12});
    EXPECT(four, 4, ALL(1), {TFM_SAMPLER_TOP_P, 0.39});
    EXPECT(four, 4, ALL(2), {TFM_SAMPLER_TOP_P, 0.41});
    EXPECT(four, 4, ALL(2), {TFM_SAMPLER_TOP_P, 0.69});
    EXPECT(four, 4, ALL(3), {TFM_SAMPLER_TOP_P, 0.71});
    EXPECT(four, 4, ALL(4), {TFM_SAMPLER_TOP_P, 0.91});
    EXPECT(equal, 5, ALL(3), {TFM_SAMPLER_TOP_P, 0.6}); /* reached exactly */
    EXPECT(four, 4, ALL(4), {TFM_SAMPLER_MIN_P, 0.24});
    EXPECT(four, 4, ALL(3), {TFM_SAMPLER_MIN_P, 0.26});
    EXPECT(four, 4, ALL(2), {TFM_SAMPLER_MIN_P, 0.74});
    EXPECT(four, 4, ALL(1), {TFM_SAMPLER_MIN_P, 0.76});
    EXPECT(four, 4, ALL(1), {TFM_SAMPLER_MIN_P, 1.0}); /* one always stays */
    EXPECT(ties, 4, 0x5, {TFM_SAMPLER_MIN_P, 1.0});
    EXPECT(four, 4, ALL(1), {TFM_SAMPLER_TEMPERATURE, 0.01});
    EXPECT(four, 4, ALL(1), {TFM_SAMPLER_TEMPERATURE, 1e-300}); /* beyond float: still the first */
    EXPECT(four, 4, ALL(4), {TFM_SAMPLER_TEMPERATURE, 100});
}

static void test_order_of_steps(void **state) {
    (void)state;
    /* 1 before 2: what the penalty pushes down does not take one of the k places */
    static const float close[3] = {2.0f, 1.9f, 0.0f};
    static const tfm_token first = 0;
    tfm_sampler *sampler = plain();
    set(sampler, TFM_SAMPLER_TOP_K, 1);
    set(sampler, TFM_SAMPLER_REPEAT_PENALTY, 2.0);
    for (int i = 0; i < 50; i++) assert_int_equal(choose(sampler, close, 3, &first, 1), 1);
    tfm_sampler_destroy(sampler);
    /* 2 before 3: of two, the first has 0.57 already; the other way round two would stay */
    EXPECT(four, 4, ALL(1), {TFM_SAMPLER_TOP_P, 0.5}, {TFM_SAMPLER_TOP_K, 2});
    /* 3 before 4: top-p keeps two of four; after min-p it would keep one */
    EXPECT(four, 4, ALL(2), {TFM_SAMPLER_MIN_P, 0.6}, {TFM_SAMPLER_TOP_P, 0.5});
    /* 5 last: heat would let top-p keep three, cold would let min-p keep one */
    EXPECT(four, 4, ALL(2), {TFM_SAMPLER_TEMPERATURE, 100}, {TFM_SAMPLER_TOP_P, 0.65});
    EXPECT(four, 4, ALL(2), {TFM_SAMPLER_TEMPERATURE, 0.1}, {TFM_SAMPLER_MIN_P, 0.7});
}

static void test_numbers_that_are_none(void **state) {
    (void)state;
    static const float none[3] = {NAN, NAN, NAN}, some[4] = {NAN, 1.0f, NAN, 2.0f},
                       infinite[3] = {0, INFINITY, 1};
    static const float lost[2] = {-INFINITY, -INFINITY}, barred[4] = {-INFINITY, 0.0f, -INFINITY, 0.5f};
    static const float *const bad[] = {none, infinite, lost};
    static const size_t sizes[] = {3, 3, 2};
    tfm_error error = TFM_ERROR_INIT;
    for (int greedy = 0; greedy < 3; greedy++) { /* drawn, temperature 0, no sampler */
        tfm_sampler *sampler = greedy < 2 ? plain() : NULL;
        if (greedy == 1) set(sampler, TFM_SAMPLER_TEMPERATURE, 0.0);
        for (size_t i = 0; i < TFM__COUNT(bad); i++) {
            tfm_token token = 9;
            assert_int_equal(
                tfm__sampler_choose(sampler, &kernels, bad[i], sizes[i], NULL, 0, &token, &error),
                TFM_E_STATE);
            assert_int_equal(token, -1);
            assert_int_equal(error.code, TFM_E_STATE);
        }
        assert_int_equal(drawn(sampler, some, 4), greedy ? 0x8 : 0xa);
        assert_int_equal(drawn(sampler, barred, 4), greedy ? 0x8 : 0xa);
        tfm_sampler_destroy(sampler);
    }
    static const float equal[4] = {-1.0f, 3.0f, 3.0f, 3.0f};
    assert_int_equal(choose(NULL, equal, 4, NULL, 0), 1); /* greedy: the lower id */
}

/* The heap of k against sorting everything. */
static int by_rank(const void *a, const void *b) {
    const tfm__choice *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->token < y->token ? -1 : 1;
}

static void test_take_top(void **state) {
    (void)state;
    enum { MOST = 70 };
    tfm__rng rng;
    tfm__rng_seed(&rng, 5);
    for (size_t n = 1; n <= MOST; n += 3) {
        float logits[MOST];
        tfm__choice sorted[MOST], out[MOST];
        size_t numbers = 0;
        for (size_t i = 0; i < n; i++) {
            logits[i] = (float)(tfm__rng_u32(&rng) % 16); /* many are equal */
            if (tfm__rng_u32(&rng) % 8 == 0) logits[i] = NAN;
            if (logits[i] == logits[i]) sorted[numbers++] = (tfm__choice){logits[i], (tfm_token)i};
        }
        qsort(sorted, numbers, sizeof *sorted, by_rank);
        for (size_t k = 0; k <= n; k++) {
            size_t got = tfm__take_top(logits, n, k, out);
            assert_int_equal(got, TFM__MIN(k, numbers));
            for (size_t i = 0; i < got; i++) assert_int_equal(out[i].token, sorted[i].token);
        }
    }
}

/* One sampler for vocabularies of several sizes. */
static void test_growing(void **state) {
    (void)state;
    static const size_t sizes[] = {4, 1000, 4, 1, 2000};
    float logits[2000];
    tfm_sampler *sampler = plain();
    set(sampler, TFM_SAMPLER_REPEAT_PENALTY, 2.0);
    set(sampler, TFM_SAMPLER_MIN_P, 1.0);
    for (size_t i = 0; i < TFM__COUNT(sizes); i++) {
        for (size_t k = 0; k < sizes[i]; k++) logits[k] = (float)(k + 1);
        tfm_token last = (tfm_token)sizes[i] - 1;
        assert_int_equal(choose(sampler, logits, sizes[i], &last, 1), sizes[i] > 1 ? last - 1 : 0);
    }
    tfm_sampler_destroy(sampler);
}

/* ---- With a session
 * ------------------------------------------------------------------------------------------- */

static void test_session(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_sampler *sampler = plain();
    tfm_error error = TFM_ERROR_INIT;
    tfm_candidate table[TINY_VOCAB + 5];
    tfm_token ids[3] = {TINY_BOS, 270, 280}, token = 0;
    size_t count = 99;
    double probability = 9.0;
    assert_int_equal(tfm_sample_next(session, NULL, &token, &error), TFM_E_STATE);
    assert_int_equal(token, -1);
    assert_int_equal(tfm_top_candidates(session, table, 5, &count, &error), TFM_E_STATE);
    assert_int_equal(count, 0);
    assert_int_equal(tfm_token_probability(session, 1, &probability, &error), TFM_E_STATE);
    assert_true(probability == 0.0);
    tiny_feed(session, ids, 3);
    assert_int_equal(tfm_sample_next(NULL, NULL, &token, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_sample_next(session, NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_top_candidates(NULL, table, 5, &count, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_top_candidates(session, NULL, 5, &count, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_top_candidates(session, table, 5, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_token_probability(NULL, 1, &probability, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_token_probability(session, 1, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_token_probability(session, -1, &probability, &error), TFM_E_TOKEN);
    assert_int_equal(tfm_token_probability(session, TINY_VOCAB, &probability, &error), TFM_E_TOKEN);

    const float *logits;
    double sum = 0.0, exact = 0.0;
    assert_int_equal(tfm_logits(session, 0, &logits, NULL, &error), TFM_OK);
    static const size_t capacities[] = {0, 1, 7, TINY_VOCAB, TINY_VOCAB + 5};
    for (size_t i = 0; i < TFM__COUNT(capacities); i++) {
        memset(table, 0x55, sizeof table);
        assert_int_equal(tfm_top_candidates(session, i ? table : NULL, capacities[i], &count, &error),
                         TFM_OK);
        assert_int_equal(count, TFM__MIN(capacities[i], TINY_VOCAB));
        assert_int_equal(((uint8_t *)&table[count])[0], 0x55); /* not a row more */
    }
    for (size_t i = 0; i < TINY_VOCAB; i++) exact += exp((double)logits[i] - (double)table[0].logit);
    for (size_t i = 0; i < TINY_VOCAB; i++) {
        const char *bytes;
        size_t length;
        assert_true(table[i].logit == logits[table[i].token]);
        if (i)
            assert_true(table[i - 1].logit > table[i].logit ||
                        (table[i - 1].logit == table[i].logit && table[i - 1].token < table[i].token));
        assert_true(fabs(table[i].probability * exact / exp((double)table[i].logit - (double)table[0].logit) -
                         1) < 1e-5);
        assert_int_equal(tfm_token_probability(session, table[i].token, &probability, &error), TFM_OK);
        assert_true(probability == table[i].probability);
        assert_int_equal(tfm_token_bytes(tfm_tokenizer_of(t.model), table[i].token, &bytes, &length, &error),
                         TFM_OK);
        assert_ptr_equal(table[i].bytes, bytes);
        assert_int_equal(table[i].length, length);
        sum += probability;
    }
    assert_true(fabs(sum - 1.0) < 1e-5);
    assert_int_equal(tfm_sample_next(session, NULL, &token, &error), TFM_OK);
    assert_int_equal(token, table[0].token);
    assert_int_equal(tfm_session_position(session), 3); /* choosing changes nothing */

    set(sampler, TFM_SAMPLER_TEMPERATURE, 0.0);
    set(sampler, TFM_SAMPLER_REPEAT_PENALTY, 1.5); /* of the session's own tokens, the prompt included */
    float by_hand[TINY_VOCAB];
    memcpy(by_hand, logits, sizeof by_hand);
    for (int i = 0; i < 3; i++) by_hand[ids[i]] *= by_hand[ids[i]] > 0 ? 1.0f / 1.5f : 1.5f;
    size_t best = 0;
    for (size_t i = 1; i < TINY_VOCAB; i++)
        if (by_hand[i] > by_hand[best]) best = i;
    assert_int_equal(tfm_sample_next(session, sampler, &token, &error), TFM_OK);
    assert_int_equal(token, best);

    session->logits[5] = NAN; /* one of them is not a number: no table, but a choice */
    assert_int_equal(tfm_top_candidates(session, table, 5, &count, &error), TFM_E_STATE);
    assert_int_equal(count, 0);
    assert_int_equal(tfm_token_probability(session, 1, &probability, &error), TFM_E_STATE);
    assert_int_equal(tfm_sample_next(session, NULL, &token, &error), TFM_OK);
    tfm_sampler_destroy(sampler);
    tfm_session_destroy(session);
    tiny_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_numbers),
        cmocka_unit_test(test_pinned_draws),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_penalty),
        cmocka_unit_test(test_single_steps),
        cmocka_unit_test(test_order_of_steps),
        cmocka_unit_test(test_numbers_that_are_none),
        cmocka_unit_test(test_take_top),
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_session),
    };
    return cmocka_run_group_tests(tests, fill_kernels, NULL);
}
