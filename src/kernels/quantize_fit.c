/* quantize_fit.c - which scale serves a group of values best. Called by the quantisers of the single formats.
 *
 * All searches are least-squares fits over a handful of roundings. Given integers l, the scale that minimises
 * sum w (x - s l)^2 is s = sum w x l / sum w l^2, and what it leaves is sum w x^2 - (sum w x l)^2 / sum w
 * l^2: the larger that quotient, the better the rounding. With a minimum m the pair (s, m) solves the two
 * normal equations.
 *
 * Each sum runs over the group in order, in single precision, one rounding per operation: that is the
 * definition of the result, here as in ggml, whose bits these are (the k-quants of Kawrakow; observed
 * behaviour of ggml_quantize_chunk). Do not let sums run in lanes. */
#include <math.h>

#include "kernels/quantize.h"

#define ROUNDS 5 /* of improving single levels */

/* The value that is largest in size, with its sign, the first one of equals. */
static float extreme(int n, const float *x) {
    float largest = 0.0f, signed_largest = 0.0f;
    for (int i = 0; i < n; i++) {
        if (fabsf(x[i]) <= largest) continue;
        largest = fabsf(x[i]);
        signed_largest = x[i];
    }
    return signed_largest;
}

/* The two sums of a rounding with the inverse scale. */
static void symmetric_sums(int n, int top, const float *x, const float *weight, float inverse, float *xl,
                           float *ll) {
    *xl = *ll = 0.0f;
    for (int i = 0; i < n; i++) {
        float l = (float)tfm__clamp(tfm__nearest(inverse * x[i]), -top, top - 1), w = weight[i];
        *xl += w * x[i] * l;
        *ll += w * l * l;
    }
}

float tfm__fit_symmetric(int n, int top, const float *x, const float *weight, uint8_t *level) {
    float most = extreme(n, x), xl, ll, chosen, scale, best;
    if (fabsf(most) < TFM__FIT_NOTHING) {
        memset(level, 0, (size_t)n);
        return 0.0f;
    }
    chosen = (float)-top / most;
    symmetric_sums(n, top, x, weight, chosen, &xl, &ll);
    scale = ll != 0.0f ? xl / ll : 0.0f;
    best = scale * xl;
    for (int i = -9; i <= 9; i++) {
        float inverse = -((float)top + 0.1f * (float)i) / most;
        if (i == 0) continue;
        symmetric_sums(n, top, x, weight, inverse, &xl, &ll);
        if (!(ll > 0.0f && xl * xl > best * ll)) continue;
        chosen = inverse;
        scale = xl / ll;
        best = scale * xl;
    }
    for (int i = 0; i < n; i++)
        level[i] = (uint8_t)(top + tfm__clamp(tfm__nearest(chosen * x[i]), -top, top - 1));
    return scale;
}

float tfm__fit_stepwise(int n, int top, const float *x, uint8_t *level) {
    float most = extreme(n, x), xl = 0.0f, ll = 0.0f;
    int q[32];
    if (fabsf(most) < TFM__FIT_NOTHING) {
        memset(level, 0, (size_t)n);
        return 0.0f;
    }
    float inverse = (float)-top / most;
    for (int i = 0; i < n; i++) {
        float w = x[i] * x[i];
        q[i] = tfm__clamp(tfm__nearest(inverse * x[i]), -top, top - 1);
        xl += w * x[i] * (float)q[i];
        ll += w * (float)q[i] * (float)q[i];
    }
    for (int round = 0, changed = 1; round < ROUNDS && changed; round++) {
        changed = 0;
        for (int i = 0; i < n; i++) { /* the best level for i, the others being what they are */
            float w = x[i] * x[i], others_xl = xl - w * x[i] * (float)q[i];
            if (!(others_xl > 0.0f)) continue;
            float others_ll = ll - w * (float)q[i] * (float)q[i];
            int better = tfm__clamp(tfm__nearest(x[i] * others_ll / others_xl), -top, top - 1);
            if (better == q[i]) continue;
            others_xl += w * x[i] * (float)better;
            others_ll += w * (float)better * (float)better;
            if (!(others_ll > 0.0f && others_xl * others_xl * ll > xl * xl * others_ll)) continue;
            q[i] = better;
            xl = others_xl;
            ll = others_ll;
            changed = 1;
        }
    }
    for (int i = 0; i < n; i++) level[i] = (uint8_t)(q[i] + top);
    return ll > 0.0f ? xl / ll : 0.0f;
}

/* What levels leave, by the measure of the search. */
static float affine_error(int n, const float *x, const float *weight, const uint8_t *level, float scale,
                          float minimum, bool absolute) {
    float error = 0.0f;
    for (int i = 0; i < n; i++) {
        float off = scale * (float)level[i] + minimum - x[i];
        error += weight[i] * (absolute ? fabsf(off) : off * off);
    }
    return error;
}

float tfm__fit_affine(int n, int top, const float *x, const float *weight, const tfm__fit_search *search,
                      uint8_t *level, float *minimum) {
    float low = x[0], high = x[0], w_sum = weight[0], wx_sum = weight[0] * x[0];
    uint8_t tried[32];
    for (int i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        w_sum += weight[i];
        wx_sum += weight[i] * x[i];
    }
    if (low > 0.0f) low = 0.0f;
    if (high <= low) {
        memset(level, 0, (size_t)n);
        *minimum = -low;
        return 0.0f;
    }
    float range = high - low, base = low, inverse = (float)top / range, scale = 1.0f / inverse;
    for (int i = 0; i < n; i++) level[i] = (uint8_t)tfm__clamp(tfm__nearest(inverse * (x[i] - base)), 0, top);
    float best = affine_error(n, x, weight, level, scale, low, search->absolute);
    for (int s = 0; s <= search->steps; s++) {
        float l_sum = 0.0f, ll_sum = 0.0f, xl_sum = 0.0f;
        inverse = (search->least + search->step * (float)s + (float)top) / range;
        for (int i = 0; i < n; i++) {
            float w = weight[i], l;
            tried[i] = (uint8_t)tfm__clamp(tfm__nearest(inverse * (x[i] - base)), 0, top);
            l = (float)tried[i];
            l_sum += w * l;
            ll_sum += w * l * l;
            xl_sum += w * l * x[i];
        }
        float determinant = w_sum * ll_sum - l_sum * l_sum;
        if (!(determinant > 0.0f)) continue;
        float new_scale = (w_sum * xl_sum - wx_sum * l_sum) / determinant;
        float new_low = (ll_sum * wx_sum - l_sum * xl_sum) / determinant;
        if (new_low > 0.0f) {
            new_low = 0.0f;
            new_scale = xl_sum / ll_sum;
        }
        float error = affine_error(n, x, weight, tried, new_scale, new_low, search->absolute);
        if (!(error < best)) continue;
        memcpy(level, tried, (size_t)n);
        best = error;
        scale = new_scale;
        /* The next roundings start from the minimum found, over a range measured from it: the search walks.
         */
        low = new_low;
        base = low;
        range = high - low;
    }
    *minimum = -low;
    return scale;
}

float tfm__fit_positive(int n, int top, const float *x, const float *weight, uint8_t *level) {
    float most = 0.0f, best = 0.0f, xl = 0.0f, ll = 0.0f;
    for (int i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    if (most < TFM__FIT_NOTHING) {
        memset(level, 0, (size_t)n);
        return 0.0f;
    }
    float inverse = (float)top / most, scale = 1.0f / inverse;
    for (int i = 0; i < n; i++) {
        float off = x[i] - scale * (float)(uint8_t)tfm__nearest(inverse * x[i]);
        best += weight[i] * off * off;
    }
    for (int s = -4; s <= 4; s++) {
        float tried = (0.1f * (float)s + (float)top) / most, error = 0.0f;
        float tried_scale = 1.0f / tried;
        if (s == 0) continue;
        for (int i = 0; i < n; i++) {
            int l = tfm__nearest(tried * x[i]);
            float off = x[i] - tried_scale * (float)(l > top ? top : l);
            error += weight[i] * off * off;
        }
        if (!(error < best)) continue;
        best = error;
        inverse = tried;
    }
    for (int i = 0; i < n; i++) {
        int l = tfm__nearest(inverse * x[i]);
        l = l > top ? top : l;
        level[i] = (uint8_t)l;
        xl += weight[i] * x[i] * (float)l;
        ll += weight[i] * (float)l * (float)l;
    }
    for (int round = 0, changed = 1; round < ROUNDS && changed; round++) {
        changed = 0;
        for (int i = 0; i < n; i++) {
            float w = weight[i], l = (float)level[i];
            float others_xl = xl - w * x[i] * l, others_ll = ll - w * l * l;
            if (!(others_xl > 0.0f && others_ll > 0.0f)) continue;
            int better = tfm__nearest(x[i] * others_ll / others_xl);
            better = better > top ? top : better;
            if (better == level[i]) continue;
            others_xl += w * x[i] * (float)better;
            others_ll += w * (float)better * (float)better;
            if (!(others_xl * others_xl * ll > xl * xl * others_ll)) continue;
            level[i] = (uint8_t)better;
            xl = others_xl;
            ll = others_ll;
            changed = 1;
        }
    }
    return ll > 0.0f ? xl / ll : 0.0f;
}
