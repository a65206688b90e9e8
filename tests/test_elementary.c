/* test_elementary.c - the library's own exp, tanh, erf, log, sin, cos against the C library's in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/elementary.h"

/* A prime step through all 2^32 bit patterns: every exponent, both signs, NaNs and infinities. */
#define STEP 1021u

/* Distance of got from want in units of want's last place as a float; huge if one is NaN or infinite alone.
 */
static double ulps(float got, double want) {
    if (isnan(want)) return isnan(got) ? 0 : 1e9;
    if (isinf(got) || isinf((float)want))
        return got == (float)want || fabsf(got) == 0x1.fffffep127f ? 0 : 1e9;
    int exponent;
    (void)frexp(want, &exponent);
    if (exponent < -125) exponent = -125; /* subnormal results share one spacing */
    return fabs((double)got - want) / ldexp(1, exponent - 24);
}

static void sweep(const char *name, float (*ours)(float), double (*theirs)(double), float most,
                  double bound) {
    double worst = 0;
    float where = 0;
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += STEP) {
        float x = tfm__f32_of_bits((uint32_t)bits);
        if (fabsf(x) > most) continue;
        double error = ulps(ours(x), theirs((double)x));
        if (error > worst) {
            worst = error;
            where = x;
        }
    }
    if (worst > bound)
        fail_msg("%s(%a) is %.3f units off, more than %.2f", name, (double)where, worst, bound);
}

static void test_accuracy(void **state) {
    (void)state;
    sweep("exp", tfm__exp, exp, INFINITY, 0.90);
    sweep("tanh", tfm__tanh, tanh, INFINITY, 1.40);
    sweep("erf", tfm__erf, erf, INFINITY, 1.10);
    sweep("log", tfm__log, log, INFINITY, 0.51);
    sweep("sin", tfm__sin, sin, 1e6f, 0.51);
    sweep("cos", tfm__cos, cos, 1e6f, 0.51);
}

static void test_special_values(void **state) {
    (void)state;
    assert_true(tfm__exp(0.0f) == 1.0f && tfm__exp(-0.0f) == 1.0f);
    assert_true(tfm__exp(INFINITY) == INFINITY && tfm__exp(200.0f) == INFINITY &&
                tfm__exp(88.73f) == INFINITY);
    assert_true(tfm__exp(88.72f) < INFINITY);
    assert_true(tfm__exp(-INFINITY) == 0.0f && tfm__exp(-1e30f) == 0.0f && tfm__exp(-104.0f) == 0.0f);
    assert_true(tfm__exp(-103.9f) == 0x1p-149f); /* the least subnormal */
    assert_true(isnan(tfm__exp(NAN)) && isnan(tfm__tanh(NAN)) && isnan(tfm__erf(NAN)) &&
                isnan(tfm__log(NAN)));
    assert_true(tfm__tanh(INFINITY) == 1.0f && tfm__tanh(-INFINITY) == -1.0f && tfm__tanh(40.0f) == 1.0f);
    assert_true(tfm__erf(INFINITY) == 1.0f && tfm__erf(-INFINITY) == -1.0f && tfm__erf(-5.0f) == -1.0f);
    assert_true(signbit(tfm__tanh(-0.0f)) && signbit(tfm__erf(-0.0f)) && signbit(tfm__sin(-0.0f)));
    assert_true(tfm__log(1.0f) == 0.0f && tfm__log(INFINITY) == INFINITY && isnan(tfm__log(-1.0f)));
    assert_true(tfm__log(0.0f) == -INFINITY && tfm__log(-0.0f) == -INFINITY);
}

/* Odd functions are odd in every bit, and nothing leaves its range. */
static void test_symmetry(void **state) {
    (void)state;
    for (uint64_t bits = 0; bits < 0x7f800000u; bits += STEP) {
        float x = tfm__f32_of_bits((uint32_t)bits);
        assert_true(tfm__tanh(-x) == -tfm__tanh(x) && tfm__erf(-x) == -tfm__erf(x));
        assert_true(tfm__tanh(x) <= 1.0f && tfm__erf(x) <= 1.0f && tfm__exp(-x) <= 1.0f);
    }
}

static void test_angles(void **state) {
    (void)state;
    double s, c;
    for (int i = 0; i <= 200000; i++) {
        double angle = -1e6 + i * 10.0000001;
        tfm__sin_cos(angle, &s, &c);
        assert_true(fabs(s - sin(angle)) < 1e-15 && fabs(c - cos(angle)) < 1e-15);
    }
    /* close to multiples of pi / 2 the small one keeps its relative accuracy */
    for (int n = 1; n < 600000; n += 7) {
        double angle = n * 1.5707963267948966;
        tfm__sin_cos(angle, &s, &c);
        assert_true(fabs(s - sin(angle)) <= 1e-7 * fabs(sin(angle)));
        assert_true(fabs(c - cos(angle)) <= 1e-7 * fabs(cos(angle)));
    }
    tfm__sin_cos(4294967295.0, &s, &c);
    assert_true(fabs(s - sin(4294967295.0)) < 1e-5 && fabs(c - cos(4294967295.0)) < 1e-5);
    tfm__sin_cos(INFINITY, &s, &c);
    assert_true(isnan(s) && isnan(c));
    tfm__sin_cos(NAN, &s, &c);
    assert_true(isnan(s) && isnan(c));
    tfm__sin_cos(0.0, &s, &c);
    assert_true(s == 0.0 && c == 1.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_symmetry),
        cmocka_unit_test(test_angles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
