/* quantize_256.c - the formats with blocks of 256 values: Q2_K to Q6_K and IQ4_XS. Called by quantize.c.
 *
 * Each is made in three steps: a scale (and a minimum) fitted to every group of 16 or 32 values; those scales
 * in their turn as small integers times a half; then every value to its nearest level under the scales as
 * they are stored. Groups whose stored scale is zero keep the levels of the first step. Where the bytes lie:
 * quant_blocks.h. */
#include <math.h>

#include "kernels/quantize.h"

#define N 256

static const tfm__fit_search wide_search = {-0.9f, 0.05f, 36, false}; /* with importance */
static const tfm__fit_search q2_search = {-0.5f, 0.1f, 15, true};
static const tfm__fit_search q4_search = {-1.0f, 0.1f, 20, false};
static const tfm__fit_search q5_search = {-0.5f, 0.1f, 15, false};

/* The third step for one group: level = nearest((x + m) / d), held in low .. high, counted from low. */
static void settle(const float *x, int n, float d, float m, int low, int high, uint8_t *level) {
    if (d == 0.0f) return;
    for (int i = 0; i < n; i++)
        level[i] = (uint8_t)(tfm__clamp(tfm__nearest((x[i] + m) / d), low, high) - low);
}

static float sum_of_squares(const float *x, int n) {
    float sum = 0.0f;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

/* importance * sqrt(mean square + x^2); gives their sum. */
static float weigh(const float *x, const float *importance, float mean_square, int n, float *weight) {
    float sum = 0.0f;
    for (int i = 0; i < n; i++) {
        weight[i] = importance[i] * sqrtf(mean_square + x[i] * x[i]);
        sum += weight[i];
    }
    return sum;
}

/* Two bits of four values that lie 32 apart, for both halves of a block. */
static void put_pairs(const uint8_t *level, uint8_t *out) {
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *l = level + 128 * half + i;
            out[32 * half + i] =
                (uint8_t)((l[0] & 3) | (l[32] & 3) << 2 | (l[64] & 3) << 4 | (l[96] & 3) << 6);
        }
}

static float largest(const float *x, int n) {
    float most = 0.0f;
    for (int i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

/* The value of largest size, with its sign. */
static float extreme(const float *x, int n) {
    float size = 0.0f, most = 0.0f;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > size) {
            size = fabsf(x[i]);
            most = x[i];
        }
    return most;
}

/* ---- Scales and minimums: Q2_K, Q4_K, Q5_K ---- */

/* The first two steps: integers 0 .. top of count groups and the two halves that multiply them. */
typedef struct affine_block {
    int count, size, levels; /* groups, values of each, highest level */
    int top;                 /* of the integer scales */
    const tfm__fit_search *search;
    uint8_t level[N];
    uint8_t scale[16], minimum[16];
    float d, m;
} affine_block;

static void fit_plain(affine_block *b, const float *x) {
    float scale[16], minimum[16], weight[32];
    for (int g = 0; g < b->count; g++) {
        const float *group = x + g * b->size;
        /* 2 bits count errors by the size of the value, the others by that and the group's mean size */
        float base = b->size == 32 ? sqrtf(sum_of_squares(group, 32) / 32.0f) : 0.0f;
        for (int i = 0; i < b->size; i++)
            weight[i] = b->size == 32 ? base + fabsf(group[i]) : fabsf(group[i]);
        scale[g] = tfm__fit_affine(b->size, b->levels, group, weight, b->search, b->level + g * b->size,
                                   &minimum[g]);
    }
    float most_scale = largest(scale, b->count), most_minimum = largest(minimum, b->count),
          top = (float)b->top;
    float by_scale = most_scale > 0.0f ? top / most_scale : 0.0f;
    float by_minimum = most_minimum > 0.0f ? top / most_minimum : 0.0f;
    for (int g = 0; g < b->count; g++) {
        uint8_t s = (uint8_t)tfm__nearest(by_scale * scale[g]);
        uint8_t m = (uint8_t)tfm__nearest(by_minimum * minimum[g]);
        b->scale[g] = s > b->top ? (uint8_t)b->top : s;
        b->minimum[g] = m > b->top ? (uint8_t)b->top : m;
    }
    b->d = most_scale / top;
    b->m = most_minimum / top;
}

static void fit_weighted(affine_block *b, const float *x, const float *importance) {
    float scale[16], minimum[16], weight[32], sum[16];
    float mean_square = sum_of_squares(x, N) / (float)N;
    if (b->size == 32) mean_square *= 2.0f;
    for (int g = 0; g < b->count; g++) {
        const float *group = x + g * b->size;
        sum[g] = weigh(group, importance + g * b->size, mean_square, b->size, weight);
        scale[g] = tfm__fit_affine(b->size, b->levels, group, weight, &wide_search, b->level + g * b->size,
                                   &minimum[g]);
    }
    b->d = tfm__fit_positive(b->count, b->top, scale, sum, b->scale);
    b->m = tfm__fit_positive(b->count, b->top, minimum, sum, b->minimum);
}

/* The first two steps, and the halves. */
static void fit_scales(affine_block *b, const float *x, const float *importance, uint8_t *halves) {
    if (importance)
        fit_weighted(b, x, importance);
    else
        fit_plain(b, x);
    tfm__put_half(halves, b->d);
    tfm__put_half(halves + 2, b->m);
    b->d = tfm__get_half(halves);
    b->m = tfm__get_half(halves + 2);
}

/* The third, once scale and minimum are what a reader will find. */
static void settle_groups(affine_block *b, const float *x) {
    for (int g = 0; g < b->count; g++)
        settle(x + g * b->size, b->size, b->d * (float)b->scale[g], b->m * (float)b->minimum[g], 0, b->levels,
               b->level + g * b->size);
}

/* Importances of zero can lead to a negative scale, whose integer is then no number of a few bits. What
 * becomes of it in the packed bytes is ggml's choice; the third step makes the best of it. */
static void q2_k(const float *x, const float *importance, uint8_t *out) {
    affine_block b = {.count = 16, .size = 16, .levels = 3, .top = 15, .search = &q2_search};
    fit_scales(&b, x, importance, out + 80);
    for (int g = 0; g < 16; g++) {
        out[g] = (uint8_t)(b.scale[g] | b.minimum[g] << 4);
        b.scale[g] = out[g] & 15;
        b.minimum[g] = out[g] >> 4;
    }
    settle_groups(&b, x);
    put_pairs(b.level, out + 16);
}

/* Eight scales and eight minimums of 6 bits: the first four of each in the low bits of bytes 0-3 and 4-7; the
 * nibbles of the others in bytes 8-11, their high bits on top of the first eight bytes. */
static void put_six_bits(affine_block *b, uint8_t *out) {
    uint8_t *s = b->scale, *m = b->minimum;
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(s[i] | s[i + 4] >> 4 << 6);
        out[i + 4] = (uint8_t)(m[i] | m[i + 4] >> 4 << 6);
        out[i + 8] = (uint8_t)((s[i + 4] & 15) | m[i + 4] << 4);
    }
    for (int i = 0; i < 4; i++) { /* as they are read */
        s[i] = out[i] & 63;
        m[i] = out[i + 4] & 63;
        s[i + 4] = (uint8_t)((out[i + 8] & 15) | out[i] >> 6 << 4);
        m[i + 4] = (uint8_t)(out[i + 8] >> 4 | out[i + 4] >> 6 << 4);
    }
}

/* Nibbles of values that lie 32 apart. */
static void put_nibbles(const uint8_t *level, uint8_t *out) {
    for (int i = 0; i < N; i += 64)
        for (int j = 0; j < 32; j++) *out++ = (uint8_t)((level[i + j] & 15) | (level[i + j + 32] & 15) << 4);
}

static void q4_k(const float *x, const float *importance, uint8_t *out) {
    affine_block b = {.count = 8, .size = 32, .levels = 15, .top = 63, .search = &q4_search};
    fit_scales(&b, x, importance, out);
    put_six_bits(&b, out + 4);
    settle_groups(&b, x);
    put_nibbles(b.level, out + 16);
}

static void q5_k(const float *x, const float *importance, uint8_t *out) {
    affine_block b = {.count = 8, .size = 32, .levels = 31, .top = 63, .search = &q5_search};
    fit_scales(&b, x, importance, out);
    for (int g = 0; g < 8; g++) {
        b.scale[g] = b.scale[g] > 63 ? 63 : b.scale[g];
        b.minimum[g] = b.minimum[g] > 63 ? 63 : b.minimum[g];
    }
    put_six_bits(&b, out + 4);
    settle_groups(&b, x);
    memset(out + 16, 0, 32);
    for (int i = 0; i < N; i++) out[16 + i % 32] |= (uint8_t)(b.level[i] >> 4 << i / 32);
    put_nibbles(b.level, out + 48);
}

/* ---- Scales alone: Q3_K, Q6_K, IQ4_XS ---- */

/* 16 scales of 6 bits: nibbles in bytes 0-7 (the second eight on top), pairs of high bits in bytes 8-11. */
static void put_q3_scales(const uint8_t *scale, uint8_t *out) {
    for (int i = 0; i < 8; i++) out[i] = (uint8_t)((scale[i] & 15) | (scale[i + 8] & 15) << 4);
    for (int i = 0; i < 4; i++)
        out[8 + i] = (uint8_t)(scale[i] >> 4 | scale[i + 4] >> 4 << 2 | scale[i + 8] >> 4 << 4 |
                               scale[i + 12] >> 4 << 6);
}

static void q3_k(const float *x, const float *importance, uint8_t *out) {
    float fitted[16], weight[16], sum[16], d = 0.0f;
    uint8_t level[N], scale[16];
    memset(scale, 0, sizeof scale);
    float mean_square = importance ? 2.0f * sum_of_squares(x, N) / (float)N : 0.0f;
    for (int g = 0; g < 16; g++) {
        const float *group = x + 16 * g;
        if (!importance) {
            fitted[g] = tfm__fit_stepwise(16, 4, group, level + 16 * g);
            continue;
        }
        sum[g] = weigh(group, importance + 16 * g, mean_square, 16, weight);
        fitted[g] = tfm__fit_symmetric(16, 4, group, weight, level + 16 * g);
    }
    if (importance) {
        d = tfm__fit_symmetric(16, 32, fitted, sum, scale);
    } else if (extreme(fitted, 16) != 0.0f) {
        float inverse = -32.0f / extreme(fitted, 16);
        for (int g = 0; g < 16; g++)
            scale[g] = (uint8_t)(tfm__clamp((int8_t)tfm__nearest(inverse * fitted[g]), -32, 31) + 32);
        d = 1.0f / inverse;
    }
    tfm__put_half(out + 108, d);
    d = tfm__get_half(out + 108);
    for (int g = 0; g < 16; g++)
        settle(x + 16 * g, 16, d * (float)(scale[g] - 32), 0.0f, -4, 3, level + 16 * g);
    put_q3_scales(scale, out + 96);
    memset(out, 0, 32);
    for (int i = 0; i < N; i++) out[i % 32] |= (uint8_t)((level[i] > 3) << i / 32);
    put_pairs(level, out + 32);
}

static void q6_k(const float *x, const float *importance, uint8_t *out) {
    float fitted[16], weight[16];
    uint8_t level[N];
    for (int g = 0; g < 16; g++) {
        for (int i = 0; i < 16; i++) {
            float value = x[16 * g + i];
            weight[i] = importance ? importance[16 * g + i] : value * value;
        }
        fitted[g] = tfm__fit_symmetric(16, 32, x + 16 * g, weight, level + 16 * g);
    }
    float most = extreme(fitted, 16);
    if (fabsf(most) < TFM__FIT_NOTHING) {
        memset(out, 0, 210);
        return;
    }
    float inverse = -128.0f / most;
    tfm__put_half(out + 208, 1.0f / inverse);
    float d = tfm__get_half(out + 208);
    for (int g = 0; g < 16; g++) {
        int scale = tfm__nearest(inverse * fitted[g]);
        int8_t stored = (int8_t)(scale > 127 ? 127 : scale);
        out[192 + g] = (uint8_t)stored;
        settle(x + 16 * g, 16, d * (float)stored, 0.0f, -32, 31, level + 16 * g);
    }
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *l = level + 128 * half + i;
            out[64 * half + i] = (uint8_t)((l[0] & 15) | (l[64] & 15) << 4);
            out[64 * half + 32 + i] = (uint8_t)((l[32] & 15) | (l[96] & 15) << 4);
            out[128 + 32 * half + i] =
                (uint8_t)(l[0] >> 4 | l[32] >> 4 << 2 | l[64] >> 4 << 4 | l[96] >> 4 << 6);
        }
}

static void iq4_xs(const float *x, const float *importance, uint8_t *out) {
    float fitted[8], weight[32];
    float mean_square = sum_of_squares(x, N) * (2.0f / (float)N);
    unsigned high = 0;
    for (int g = 0; g < 8; g++) {
        const float *group = x + 32 * g;
        for (int i = 0; i < 32; i++)
            weight[i] = importance ? importance[32 * g + i] * sqrtf(mean_square + group[i] * group[i])
                                   : group[i] * group[i];
        fitted[g] = tfm__iq4_fit(group, weight);
    }
    float d = -extreme(fitted, 8) / 32.0f, inverse = d != 0.0f ? 1.0f / d : 0.0f;
    tfm__put_half(out, d);
    memset(out + 4, 0, 4);
    for (int g = 0; g < 8; g++) {
        int scale = tfm__clamp(tfm__nearest(inverse * fitted[g]), -32, 31);
        float group_d = d * (float)scale, by = group_d != 0.0f ? 1.0f / group_d : 0.0f;
        uint8_t *nibbles = out + 8 + 16 * g;
        const float *group = x + 32 * g;
        for (int i = 0; i < 16; i++)
            nibbles[i] =
                (uint8_t)(tfm__iq4_nearest(by * group[i]) | tfm__iq4_nearest(by * group[i + 16]) << 4);
        out[4 + g / 2] |= (uint8_t)(((scale + 32) & 15) << 4 * (g % 2));
        high |= (unsigned)(scale + 32) >> 4 << 2 * g;
    }
    out[2] = (uint8_t)high;
    out[3] = (uint8_t)(high >> 8);
}

void tfm__quantize_row_256(uint32_t type, const float *x, size_t columns, const float *importance,
                           uint8_t *out) {
    size_t bytes = tfm__dtype_of(type)->block_bytes;
    for (size_t i = 0; i < columns; i += N, x += N, out += bytes) {
        const float *weights = importance ? importance + i : NULL;
        switch (type) {
        case TFM__Q2_K:
            q2_k(x, weights, out);
            break;
        case TFM__Q3_K:
            q3_k(x, weights, out);
            break;
        case TFM__Q4_K:
            q4_k(x, weights, out);
            break;
        case TFM__Q5_K:
            q5_k(x, weights, out);
            break;
        case TFM__Q6_K:
            q6_k(x, weights, out);
            break;
        default:
            iq4_xs(x, weights, out);
            break;
        }
    }
}
