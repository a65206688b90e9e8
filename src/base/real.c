/* real.c - log, exp and pow in plain IEEE double operations.
 *
 * log: x = 2^e m, m in [sqrt 1/2, sqrt 2), log m = 2 atanh(s) with s = (m - 1) / (m + 1), as a series in s^2
 * < 0.0295. exp: x = n ln 2 + r with ln 2 in two parts, |r| <= 0.347, Taylor's series to r^17, then scaled by
 * 2^n in two steps. */
#include "base/real.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

double tfm__log_real(double x) {
    uint64_t bits;
    if (!(x > 0)) return x == 0 ? -INFINITY : NAN;
    if (x > 0x1.fffffffffffffp1023) return x;
    double scale = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        scale = -54;
    }
    memcpy(&bits, &x, 8);
    double exponent = (double)((int64_t)(bits >> 52) - 1023) + scale;
    bits = (bits & 0x000fffffffffffffu) | 0x3ff0000000000000u;
    double m;
    memcpy(&m, &bits, 8);
    if (m > 0x1.6a09e667f3bcdp0) {
        m *= 0.5;
        exponent += 1;
    }
    double s = (m - 1.0) / (m + 1.0), u = s * s, series = 1.0 / 25.0;
    for (int k = 23; k >= 3; k -= 2) series = 1.0 / k + u * series;
    double log_m = 2.0 * s + 2.0 * s * (u * series);
    return exponent * 0x1.62e42fee00000p-1 + (exponent * 0x1.a39ef35793c76p-33 + log_m);
}

static double power_of_two(int n) { /* -1022 .. 1023 */
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

double tfm__exp_real(double x) {
    if (x != x) return x;
    if (x > 709.79) return INFINITY;
    if (x < -745.2) return 0.0;
    double turns = floor(x * 0x1.71547652b82fep0 + 0.5);
    double r = (x - turns * 0x1.62e42fee00000p-1) - turns * 0x1.a39ef35793c76p-33;
    double series = 1.0;
    for (int k = 17; k >= 1; k--) series = 1.0 + r * series / k;
    int n = (int)turns, half = n / 2;
    return series * power_of_two(half) * power_of_two(n - half);
}

double tfm__pow_real(double base, double exponent) { return tfm__exp_real(exponent * tfm__log_real(base)); }
