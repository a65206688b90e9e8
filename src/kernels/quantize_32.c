/* quantize_32.c - the formats with blocks of 32 values: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4. Called
 * by quantize.c. Where the bytes lie: quant_blocks.h. */
#include <math.h>

#include "base/real.h"
#include "kernels/quant_blocks.h"
#include "kernels/quantize.h"

#define N 32

static const int8_t iq4_values[16] = {TFM__IQ4_VALUES(0)};
static const int8_t fp4_values[16] = {TFM__FP4_VALUES(0)};

/* Where an affine fit looks when importance is given. */
static const tfm__fit_search wide_search = {-0.9f, 0.05f, 36, false};

/* ---- Packing ---- */

static void put_nibbles(const uint8_t *level, uint8_t *out) {
    for (int i = 0; i < N / 2; i++) out[i] = (uint8_t)((level[i] & 15) | level[i + N / 2] << 4);
}

/* Levels 0 .. 31: the fifth bits, then the nibbles. */
static void put_fifths(const uint8_t *level, uint8_t *out) {
    memset(out, 0, 4);
    for (int i = 0; i < N; i++) out[i / 8] |= (uint8_t)((level[i] >> 4 & 1) << i % 8);
    put_nibbles(level, out + 4);
}

/* ---- By the extremes alone: no importance ---- */

/* Towards zero, then to a byte: what lies outside an integer is 0. */
static int to_byte(float x) {
    if (!(x >= -2147483648.0f && x < 2147483648.0f)) return 0;
    return (int8_t)(uint8_t)(uint32_t)(int32_t)x;
}

static float reciprocal(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

/* The extreme value becomes level 0, zero becomes level top. */
static float plain_symmetric(const float *x, int top, uint8_t *level) {
    float largest = 0.0f, extreme = 0.0f;
    for (int i = 0; i < N; i++) {
        if (!(largest < fabsf(x[i]))) continue;
        largest = fabsf(x[i]);
        extreme = x[i];
    }
    float d = extreme / (float)-top, inverse = reciprocal(d);
    for (int i = 0; i < N; i++) {
        int l = to_byte(x[i] * inverse + ((float)top + 0.5f));
        level[i] = (uint8_t)(l > 2 * top - 1 ? 2 * top - 1 : l);
    }
    return d;
}

/* The least value becomes level 0, the largest level top. */
static float plain_affine(const float *x, int top, uint8_t *level, float *least) {
    float low = 3.402823466e+38f, high = -3.402823466e+38f;
    for (int i = 0; i < N; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    float d = (high - low) / (float)top, inverse = reciprocal(d);
    for (int i = 0; i < N; i++) {
        int l = to_byte((x[i] - low) * inverse + 0.5f);
        level[i] = (uint8_t)(l > top ? top : l);
    }
    *least = low;
    return d;
}

/* To the nearest integer, ties away from zero. */
static int8_t round_away(float x) {
    if (!(fabsf(x) < 2147483648.0f)) return 0;
    int whole = (int)x;
    float rest = x - (float)whole; /* exact */
    whole += (rest >= 0.5f) - (rest <= -0.5f);
    return (int8_t)(uint8_t)(uint32_t)whole;
}

static void q8_0(const float *x, uint8_t *out) {
    float largest = 0.0f;
    for (int i = 0; i < N; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    float d = largest / 127.0f, inverse = reciprocal(d);
    tfm__put_half(out, d);
    for (int i = 0; i < N; i++) out[2 + i] = (uint8_t)round_away(x[i] * inverse);
}

/* ---- MXFP4 ---- */

/* Half of 2^(e - 127): the table of values is doubled. */
static float half_exponent(uint8_t e) {
    return tfm__f32_of_bits(e < 2 ? (uint32_t)0x200000 << e : (uint32_t)(e - 1) << 23);
}

/* The shared exponent puts the largest value at 4 to 8 (in units of it), the largest FP4 is 6: two below its
 * own. The logarithm is rounded to single precision before its floor is taken, as in ggml: values a hair
 * below a power of two count as that power. */
static uint8_t shared_exponent(const float *x) {
    float largest = 0.0f;
    for (int i = 0; i < N; i++) largest = largest < fabsf(x[i]) ? fabsf(x[i]) : largest;
    if (!(largest > 0.0f)) return 0;
    float logarithm = (float)(tfm__log_real((double)largest) * 1.4426950408889634);
    return (uint8_t)((int)floorf(logarithm) - 2 + 127);
}

static uint8_t fp4_nearest(float x, float d) {
    int start = x < 0.0f ? 8 : 0, best = 0; /* a value of the other sign is never nearer than zero */
    float least = fabsf(0.0f - x);
    for (int i = start + 1; i < start + 8; i++) {
        float off = fabsf((float)fp4_values[i] * d - x);
        if (!(off < least)) continue;
        least = off;
        best = i;
    }
    return (uint8_t)best;
}

static void mxfp4(const float *x, uint8_t *out) {
    uint8_t level[N];
    out[0] = shared_exponent(x);
    float d = half_exponent(out[0]);
    for (int i = 0; i < N; i++) level[i] = fp4_nearest(x[i], d);
    put_nibbles(level, out + 1);
}

/* ---- IQ4_NL ---- */

uint8_t tfm__iq4_nearest(float x) {
    int below = 0, above = 15;
    if (x <= (float)iq4_values[below]) return 0;
    if (x >= (float)iq4_values[above]) return 15;
    while (above - below > 1) {
        int middle = (below + above) / 2;
        if (x < (float)iq4_values[middle])
            above = middle;
        else
            below = middle;
    }
    return (uint8_t)(x - (float)iq4_values[below] < (float)iq4_values[above] - x ? below : above);
}

static void iq4_sums(const float *x, const float *weight, float inverse, float *xl, float *ll) {
    *xl = *ll = 0.0f;
    for (int i = 0; i < N; i++) {
        float value = (float)iq4_values[tfm__iq4_nearest(inverse * x[i])], w = weight[i];
        *xl += w * value * x[i];
        *ll += w * value * value;
    }
}

/* The 16 scales that put the extreme value at -127 - 7 .. -127 + 7, and at the other end. */
float tfm__iq4_fit(const float *x, const float *weight) {
    float largest = 0.0f, extreme = 0.0f, xl, ll;
    for (int i = 0; i < N; i++) {
        if (fabsf(x[i]) <= largest) continue;
        largest = fabsf(x[i]);
        extreme = x[i];
    }
    if (largest < TFM__FIT_NOTHING) return 0.0f;
    float first = (float)iq4_values[0];
    float d = -extreme / first;
    iq4_sums(x, weight, 1.0f / d, &xl, &ll);
    d = ll > 0.0f ? xl / ll : 0.0f;
    float best = d * xl;
    for (int i = -7; i <= 7; i++) {
        iq4_sums(x, weight, ((float)i + first) / extreme, &xl, &ll);
        if (!(ll > 0.0f && xl * xl > best * ll)) continue;
        d = xl / ll;
        best = d * xl;
    }
    return d;
}

static void iq4_nl(const float *x, const float *importance, uint8_t *out) {
    float weight[N], squares = 0.0f;
    uint8_t level[N];
    for (int i = 0; i < N; i++) squares += x[i] * x[i];
    squares *= 2.0f / N;
    for (int i = 0; i < N; i++)
        weight[i] = importance ? importance[i] * sqrtf(squares + x[i] * x[i]) : x[i] * x[i];
    float d = tfm__iq4_fit(x, weight), inverse = reciprocal(d);
    tfm__put_half(out, d);
    for (int i = 0; i < N; i++) level[i] = tfm__iq4_nearest(inverse * x[i]);
    put_nibbles(level, out + 2);
}

/* ---- Rows ---- */

static void plain_block(uint32_t type, const float *x, uint8_t *out) {
    uint8_t level[N];
    float least = 0.0f;
    bool affine = type == TFM__Q4_1 || type == TFM__Q5_1, five = type == TFM__Q5_0 || type == TFM__Q5_1;
    float d =
        affine ? plain_affine(x, five ? 31 : 15, level, &least) : plain_symmetric(x, five ? 16 : 8, level);
    tfm__put_half(out, d);
    if (affine) tfm__put_half(out + 2, least);
    out += affine ? 4 : 2;
    if (five)
        put_fifths(level, out);
    else
        put_nibbles(level, out);
}

static void weighted_block(uint32_t type, const float *x, const float *weight, uint8_t *out) {
    uint8_t level[N];
    float minimum = 0.0f;
    bool affine = type == TFM__Q4_1 || type == TFM__Q5_1, five = type == TFM__Q5_0 || type == TFM__Q5_1;
    float d = affine ? tfm__fit_affine(N, five ? 31 : 15, x, weight, &wide_search, level, &minimum)
                     : tfm__fit_symmetric(N, five ? 16 : 8, x, weight, level);
    tfm__put_half(out, d);
    if (affine) tfm__put_half(out + 2, -minimum);
    out += affine ? 4 : 2;
    if (five)
        put_fifths(level, out);
    else
        put_nibbles(level, out);
}

/* How much an error in each value of a block counts: a column's importance, more for large values. */
static void weigh(const float *x, const float *importance, float mean_square, float *weight) {
    for (int i = 0; i < N; i++) weight[i] = importance[i] * sqrtf(mean_square + x[i] * x[i]);
}

void tfm__quantize_row_32(uint32_t type, const float *x, size_t columns, const float *importance,
                          uint8_t *out) {
    size_t bytes = tfm__dtype_of(type)->block_bytes;
    float squares = 0.0f, weight[N];
    bool weighted =
        importance && (type == TFM__Q4_0 || type == TFM__Q4_1 || type == TFM__Q5_0 || type == TFM__Q5_1);
    if (weighted)
        for (size_t i = 0; i < columns; i++) squares += x[i] * x[i];
    for (size_t i = 0; i < columns; i += N, x += N, out += bytes) {
        if (type == TFM__Q8_0) {
            q8_0(x, out);
        } else if (type == TFM__MXFP4) {
            mxfp4(x, out);
        } else if (type == TFM__IQ4_NL) {
            iq4_nl(x, importance ? importance + i : NULL, out);
        } else if (weighted) {
            weigh(x, importance + i, squares / (float)columns, weight);
            weighted_block(type, x, weight, out);
        } else {
            plain_block(type, x, out);
        }
    }
}
