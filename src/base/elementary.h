/* elementary.h - our own exp, tanh, erf, log, sin and cos, so that every kernel and every C library gives the
 * same bits.
 *
 * exp, tanh and erf are built from single operations that a vector unit has too (fmaf, division, integer
 * adds, comparisons); kernels/float_body.h repeats them operation by operation, lane by lane. Whoever changes
 * one changes both: tests/test_kernels_float.c compares their bits. log, sin and cos have no vector twin and
 * go through double. Errors, measured at every 1021st float by tests/test_elementary.c: exp 0.9, tanh 1.4,
 * erf 1.1 units in the last place; log, sin, cos 0.51. Coefficients: minimax fits made for this file by a
 * Remez exchange on the stated interval, each coefficient rounded to float in turn and the others fitted
 * again. */
#ifndef TFM__ELEMENTARY_H
#define TFM__ELEMENTARY_H

#include <math.h>

#include "base/dtype.h"

/* Adding this rounds to an integer (to nearest even) and leaves the integer in the low bits of the sum. */
#define TFM__ROUND_MAGIC 0x1.8p23f
#define TFM__LOG2_E 0x1.715476p+0f
#define TFM__LN2_HIGH 0x1.62e4p-1f /* 16 bits: n * LN2_HIGH is exact for |n| < 256 */
#define TFM__LN2_LOW 0x1.7f7d1cp-20f
#define TFM__EXP_MOST 89.0f    /* exp overflows from 88.73 on */
#define TFM__EXP_LEAST -104.0f /* exp rounds to zero below -103.98 */

/* exp(r) = 1 + r + r^2 (C2 + C3 r + ...) for |r| <= ln 2 / 2, error 2^-28.2 */
#define TFM__EXP_C2 0x1.fffffcp-2f
#define TFM__EXP_C3 0x1.55548cp-3f
#define TFM__EXP_C4 0x1.55585ap-5f
#define TFM__EXP_C5 0x1.123d72p-7f
#define TFM__EXP_C6 0x1.6ab8dp-10f

/* tanh(x) = x + x u (C0 + C1 u + ...), u = x^2, for |x| < TANH_SMALL, error 2^-27.7 */
#define TFM__TANH_SMALL 0.625f
#define TFM__TANH_C0 -0x1.555532p-2f
#define TFM__TANH_C1 0x1.1106f6p-3f
#define TFM__TANH_C2 -0x1.b835a4p-5f
#define TFM__TANH_C3 0x1.51f8cep-6f
#define TFM__TANH_C4 -0x1.750ce2p-8f

/* erf(x) = x + x (C0 + C1 u + ...), u = x^2, for |x| < 1, error 2^-29.4 */
#define TFM__ERF_SMALL 1.0f
#define TFM__ERF_C0 0x1.06eba8p-3f
#define TFM__ERF_C1 -0x1.81273ep-2f
#define TFM__ERF_C2 0x1.ce2ce6p-4f
#define TFM__ERF_C3 -0x1.b7f71ap-6f
#define TFM__ERF_C4 0x1.53f224p-8f
#define TFM__ERF_C5 -0x1.a3515ep-11f
#define TFM__ERF_C6 0x1.4771fcp-14f

/* erf(x) = 1 - exp(-(D0 + D1 x + ...)) for 1 <= x <= 4, error 2^-29.7; erf(4) rounds to 1 */
#define TFM__ERF_MOST 4.0f
#define TFM__ERF_D0 0x1.662508p-12f
#define TFM__ERF_D1 0x1.2088e8p+0f
#define TFM__ERF_D2 0x1.46baf8p-1f
#define TFM__ERF_D3 0x1.a652cep-4f
#define TFM__ERF_D4 -0x1.65ca4ap-6f
#define TFM__ERF_D5 0x1.8257dcp-9f
#define TFM__ERF_D6 -0x1.86d6ecp-13f

#define TFM__SQRT_2_OVER_PI 0x1.988454p-1f
#define TFM__GELU_CUBIC 0.044715f
#define TFM__SQRT_HALF 0x1.6a09e6p-1f

/* Infinity above, zero far below, subnormal results rounded once, NaN passes. */
static inline float tfm__exp(float x) {
    x = TFM__EXP_MOST < x ? TFM__EXP_MOST : x; /* written so that NaN stays */
    x = TFM__EXP_LEAST > x ? TFM__EXP_LEAST : x;
    float shifted = fmaf(x, TFM__LOG2_E, TFM__ROUND_MAGIC);
    float n = shifted - TFM__ROUND_MAGIC;
    float r = fmaf(n, -TFM__LN2_HIGH, x);
    r = fmaf(n, -TFM__LN2_LOW, r);
    float p = fmaf(TFM__EXP_C6, r, TFM__EXP_C5);
    p = fmaf(p, r, TFM__EXP_C4);
    p = fmaf(p, r, TFM__EXP_C3);
    p = fmaf(p, r, TFM__EXP_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    /* 2^n in two factors, for n beyond the exponents of one float; only the second product can round. For NaN
     * the factors are any bits at all and the product stays NaN. */
    uint32_t whole = tfm__bits_of_f32(shifted) - 0x4b400000u;
    uint32_t half = (whole >> 1) | (whole & 0x80000000u); /* an arithmetic shift */
    float first = tfm__f32_of_bits((half + 127u) << 23);
    float second = tfm__f32_of_bits((whole - half + 127u) << 23);
    return (p * first) * second;
}

/* Odd, and never beyond 1 in size. */
static inline float tfm__tanh(float x) {
    uint32_t sign = tfm__bits_of_f32(x) & 0x80000000u;
    float a = tfm__f32_of_bits(tfm__bits_of_f32(x) ^ sign);
    float u = a * a;
    float p = fmaf(TFM__TANH_C4, u, TFM__TANH_C3);
    p = fmaf(p, u, TFM__TANH_C2);
    p = fmaf(p, u, TFM__TANH_C1);
    p = fmaf(p, u, TFM__TANH_C0);
    float small = fmaf(a * u, p, a);
    float large = 1.0f - 2.0f / (tfm__exp(a + a) + 1.0f);
    return tfm__f32_of_bits(tfm__bits_of_f32(a < TFM__TANH_SMALL ? small : large) | sign);
}

static inline float tfm__erf(float x) {
    uint32_t sign = tfm__bits_of_f32(x) & 0x80000000u;
    float a = tfm__f32_of_bits(tfm__bits_of_f32(x) ^ sign);
    float u = a * a;
    float p = fmaf(TFM__ERF_C6, u, TFM__ERF_C5);
    p = fmaf(p, u, TFM__ERF_C4);
    p = fmaf(p, u, TFM__ERF_C3);
    p = fmaf(p, u, TFM__ERF_C2);
    p = fmaf(p, u, TFM__ERF_C1);
    p = fmaf(p, u, TFM__ERF_C0);
    float small = fmaf(a, p, a);
    float b = TFM__ERF_MOST < a ? TFM__ERF_MOST : a;
    float d = fmaf(TFM__ERF_D6, b, TFM__ERF_D5);
    d = fmaf(d, b, TFM__ERF_D4);
    d = fmaf(d, b, TFM__ERF_D3);
    d = fmaf(d, b, TFM__ERF_D2);
    d = fmaf(d, b, TFM__ERF_D1);
    d = fmaf(d, b, TFM__ERF_D0);
    float large = 1.0f - tfm__exp(-d);
    return tfm__f32_of_bits(tfm__bits_of_f32(a < TFM__ERF_SMALL ? small : large) | sign);
}

/* Sine and cosine of an angle in radians, for rotary tables: within 1e-15 of the exact value for |angle| <=
 * 1e6, relative to the value itself 1e-12 or better; beyond that the error grows with the angle (1e-6 at
 * 2^32). NaN both for infinities, NaN, and |angle| > 2^52. */
void tfm__sin_cos(double angle, double *s, double *c);

float tfm__sin(float x);
float tfm__cos(float x);
float tfm__log(float x); /* NaN below zero, -infinity at either zero */

#endif
