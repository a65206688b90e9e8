/* test_real.c - log, exp and pow of base/real.h against the C library's: within 2e-15 of it, and exact where
 * the header says so. */
#include <math.h>

#include "base/real.h"
#include "tiny_model.h"

static void expect_close(double got, double expected, double most, double x) {
    double scale = fabs(expected) > 1e-300 ? fabs(expected) : 1e-300;
    if (!(fabs(got - expected) <= most * scale))
        fail_msg("at %.17g: %.17g, expected %.17g", x, got, expected);
}

static double random_bits(tfm__rng *rng) { /* any finite positive number, subnormals too */
    uint64_t bits = ((uint64_t)tfm__rng_u32(rng) << 32 | tfm__rng_u32(rng)) & 0x7fffffffffffffffu;
    double x;
    memcpy(&x, &bits, 8);
    return isfinite(x) && x > 0 ? x : 1.0;
}

static void test_log(void **state) {
    (void)state;
    tfm__rng rng;
    tfm__rng_seed(&rng, 1);
    for (int i = 0; i < 100000; i++) {
        double x = random_bits(&rng), near = 0.5 + tfm__rng_unit(&rng) * 1.5;
        expect_close(tfm__log_real(x), log(x), 2e-15, x);
        expect_close(tfm__log_real(near), log(near), 4e-15, near);
    }
    assert_true(tfm__log_real(1.0) == 0.0);
    expect_close(tfm__log_real(2.0), 0x1.62e42fefa39efp-1, 3e-16, 2.0);
    expect_close(tfm__log_real(0x1p-1074), log(0x1p-1074), 1e-15, 0x1p-1074);
    expect_close(tfm__log_real(0x1.fffffffffffffp1023), log(0x1.fffffffffffffp1023), 1e-15, 0);
    expect_close(tfm__log_real(1.0 + 0x1p-52), 0x1p-52, 1e-12, 1.0);
    assert_true(tfm__log_real(0.0) == -INFINITY);
    assert_true(tfm__log_real(-0.0) == -INFINITY);
    assert_true(tfm__log_real(INFINITY) == INFINITY);
    assert_true(isnan(tfm__log_real(-1.0)));
    assert_true(isnan(tfm__log_real(NAN)));
}

static void test_exp(void **state) {
    (void)state;
    tfm__rng rng;
    tfm__rng_seed(&rng, 2);
    for (int i = 0; i < 100000; i++) {
        double x = (tfm__rng_unit(&rng) - 0.5) * 1400.0, small = (tfm__rng_unit(&rng) - 0.5) * 2.0;
        expect_close(tfm__exp_real(x), exp(x), 2e-15, x);
        expect_close(tfm__exp_real(small), exp(small), 1e-15, small);
    }
    assert_true(tfm__exp_real(0.0) == 1.0);
    assert_true(tfm__exp_real(1e-30) == 1.0);
    expect_close(tfm__exp_real(1.0), 0x1.5bf0a8b145769p+1, 3e-16, 1.0);
    assert_true(tfm__exp_real(710.0) == INFINITY);
    assert_true(tfm__exp_real(INFINITY) == INFINITY);
    assert_true(tfm__exp_real(1e300) == INFINITY);
    assert_true(tfm__exp_real(-746.0) == 0.0);
    assert_true(tfm__exp_real(-INFINITY) == 0.0);
    assert_true(isnan(tfm__exp_real(NAN)));
    expect_close(tfm__exp_real(709.78), exp(709.78), 2e-15, 709.78);
    assert_true(tfm__exp_real(-745.0) > 0.0 && tfm__exp_real(-745.0) < 0x1p-1070); /* subnormal */
}

/* The powers that rotary frequencies are: base^(2i/d). */
static void test_pow(void **state) {
    (void)state;
    static const double bases[] = {1.0001, 2.0, 10000.0, 500000.0, 1e6, 1e29};
    for (size_t b = 0; b < TFM__COUNT(bases); b++)
        for (int d = 2; d <= 256; d *= 2)
            for (int i = 0; i < d / 2; i++)
                expect_close(tfm__pow_real(bases[b], 2.0 * i / d), pow(bases[b], 2.0 * i / d), 3e-14,
                             bases[b]);
    assert_true(tfm__pow_real(10000.0, 0.0) == 1.0);
    expect_close(tfm__pow_real(10000.0, -0.5), 0.01, 1e-14, 10000.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_pow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
