/* elementary.c - sine, cosine and logarithm through double: plain C without fused operations, called a few
 * times per model, row or token. The functions that vector kernels repeat are in elementary.h.
 *
 * sin, cos: the angle less the nearest multiple n of pi / 2, with pi / 2 in three parts whose products with n
 * are exact for |n| < 2^23 (Cody and Waite's reduction), then the Taylor series on [-pi/4, pi/4]. log: x =
 * 2^e m with m in [sqrt 1/2, sqrt 2); log m = 2 atanh(s), s = (m - 1) / (m + 1), by its series. */
#include "base/elementary.h"

#define HALF_PI_1 0x1.921fb54p+0 /* 30 bits */
#define HALF_PI_2 0x1.10b46118p-30
#define HALF_PI_3 0x1.313198a2e037p-61
#define TWO_OVER_PI 0x1.45f306dc9c883p-1

void tfm__sin_cos(double angle, double *s, double *c) {
    double size = angle < 0 ? -angle : angle;
    if (!(size <= 0x1p52)) {
        *s = *c = (double)NAN;
        return;
    }
    /* n to the nearest, half away from zero: any choice there is fine */
    int64_t n = (int64_t)(size * TWO_OVER_PI + 0.5);
    double turns = (double)n;
    double r = ((size - turns * HALF_PI_1) - turns * HALF_PI_2) - turns * HALF_PI_3;
    double u = r * r;
    /* 1/3!, 1/5!, ... and 1/2!, 1/4!, ... as quotients that the compiler folds */
    double sine = -1.0 / 1307674368000.0 + u * (1.0 / 355687428096000.0);
    sine = 1.0 / 6227020800.0 + u * sine;
    sine = -1.0 / 39916800.0 + u * sine;
    sine = 1.0 / 362880.0 + u * sine;
    sine = -1.0 / 5040.0 + u * sine;
    sine = 1.0 / 120.0 + u * sine;
    sine = -1.0 / 6.0 + u * sine;
    sine = r + r * (u * sine);
    double cosine = 1.0 / 20922789888000.0;
    cosine = -1.0 / 87178291200.0 + u * cosine;
    cosine = 1.0 / 479001600.0 + u * cosine;
    cosine = -1.0 / 3628800.0 + u * cosine;
    cosine = 1.0 / 40320.0 + u * cosine;
    cosine = -1.0 / 720.0 + u * cosine;
    cosine = 1.0 / 24.0 + u * cosine;
    cosine = 1.0 + u * (-0.5 + u * cosine);
    /* a quarter turn swaps the two and changes a sign */
    double quarter_sine = n & 1 ? cosine : sine, quarter_cosine = n & 1 ? -sine : cosine;
    if (n & 2) {
        quarter_sine = -quarter_sine;
        quarter_cosine = -quarter_cosine;
    }
    *s = angle < 0 ? -quarter_sine : quarter_sine;
    if (angle == 0) *s = angle; /* keeps the sign of zero */
    *c = quarter_cosine;
}

float tfm__sin(float x) {
    double s, c;
    tfm__sin_cos((double)x, &s, &c);
    return (float)s;
}

float tfm__cos(float x) {
    double s, c;
    tfm__sin_cos((double)x, &s, &c);
    return (float)c;
}

float tfm__log(float x) {
    if (!(x > 0)) return x == 0 ? -INFINITY : NAN;
    if (x > 0x1.fffffep127f) return x; /* infinity */
    uint32_t bits = tfm__bits_of_f32(x);
    int32_t exponent = 0;
    if (bits < 0x00800000u) { /* subnormal */
        bits = tfm__bits_of_f32(x * 0x1p24f);
        exponent = -24;
    }
    /* subtracting the bits of sqrt(1/2) leaves in the exponent field how often m must be doubled */
    uint32_t offset = bits - 0x3f3504f3u;
    exponent += (int32_t)(offset >> 23) - (offset >> 31 ? 512 : 0);
    double m = (double)tfm__f32_of_bits((offset & 0x007fffffu) + 0x3f3504f3u);
    double s = (m - 1.0) / (m + 1.0), u = s * s;
    double p = 1.0 / 13.0 + u * (1.0 / 15.0);
    p = 1.0 / 11.0 + u * p;
    p = 1.0 / 9.0 + u * p;
    p = 1.0 / 7.0 + u * p;
    p = 1.0 / 5.0 + u * p;
    p = 1.0 / 3.0 + u * p;
    p = s + s * (u * p);
    return (float)(2.0 * p + (double)exponent * 0x1.62e42fefa39efp-1);
}
