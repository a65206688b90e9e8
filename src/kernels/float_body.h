/* float_body.h - the float kernels over rows and elements, written once for all vector units.
 *
 * Included by avx2_float.c, avx512_float.c and neon_float.c after they have defined the vector layer: v16,
 * sixteen floats, and the operations v16_*. float_product.h and float_attention.h are the other two parts of
 * this template. Everything is static; nothing here may be shared between them, for each is compiled with its
 * own instruction set.
 *
 * The bits are those of ref_float.c: v16_exp, v16_tanh and v16_erf are elementary.h operation by operation,
 * sixteen running sums are the sixteen lanes, and the last, short vector is loaded and stored under a mask
 * with zeros in the lanes beyond the end. */
#include "base/elementary.h"

#define VECTOR 16 /* floats in a v16 */

/* ---- Elementary functions ------------------------------------------------------------------------------ */

static INLINE v16 v16_exp(v16 x) {
    x = v16_least(v16_set(TFM__EXP_MOST), x);
    x = v16_most(v16_set(TFM__EXP_LEAST), x);
    v16 shifted = v16_fma(x, v16_set(TFM__LOG2_E), v16_set(TFM__ROUND_MAGIC));
    v16 n = v16_sub(shifted, v16_set(TFM__ROUND_MAGIC));
    v16 r = v16_fma(n, v16_set(-TFM__LN2_HIGH), x);
    r = v16_fma(n, v16_set(-TFM__LN2_LOW), r);
    v16 p = v16_fma(v16_set(TFM__EXP_C6), r, v16_set(TFM__EXP_C5));
    p = v16_fma(p, r, v16_set(TFM__EXP_C4));
    p = v16_fma(p, r, v16_set(TFM__EXP_C3));
    p = v16_fma(p, r, v16_set(TFM__EXP_C2));
    p = v16_fma(p, r, v16_set(1.0f));
    p = v16_fma(p, r, v16_set(1.0f));
    return v16_scale_by_power(p, shifted);
}

static INLINE v16 v16_tanh(v16 x) {
    v16 a = v16_abs(x), u = v16_mul(a, a);
    v16 p = v16_fma(v16_set(TFM__TANH_C4), u, v16_set(TFM__TANH_C3));
    p = v16_fma(p, u, v16_set(TFM__TANH_C2));
    p = v16_fma(p, u, v16_set(TFM__TANH_C1));
    p = v16_fma(p, u, v16_set(TFM__TANH_C0));
    v16 small = v16_fma(v16_mul(a, u), p, a), one = v16_set(1.0f);
    v16 large = v16_sub(one, v16_div(v16_set(2.0f), v16_add(v16_exp(v16_add(a, a)), one)));
    return v16_with_sign(v16_where_less(a, v16_set(TFM__TANH_SMALL), small, large), x);
}

static INLINE v16 v16_erf(v16 x) {
    v16 a = v16_abs(x), u = v16_mul(a, a);
    v16 p = v16_fma(v16_set(TFM__ERF_C6), u, v16_set(TFM__ERF_C5));
    p = v16_fma(p, u, v16_set(TFM__ERF_C4));
    p = v16_fma(p, u, v16_set(TFM__ERF_C3));
    p = v16_fma(p, u, v16_set(TFM__ERF_C2));
    p = v16_fma(p, u, v16_set(TFM__ERF_C1));
    p = v16_fma(p, u, v16_set(TFM__ERF_C0));
    v16 small = v16_fma(a, p, a);
    v16 b = v16_least(v16_set(TFM__ERF_MOST), a);
    v16 d = v16_fma(v16_set(TFM__ERF_D6), b, v16_set(TFM__ERF_D5));
    d = v16_fma(d, b, v16_set(TFM__ERF_D4));
    d = v16_fma(d, b, v16_set(TFM__ERF_D3));
    d = v16_fma(d, b, v16_set(TFM__ERF_D2));
    d = v16_fma(d, b, v16_set(TFM__ERF_D1));
    d = v16_fma(d, b, v16_set(TFM__ERF_D0));
    v16 large = v16_sub(v16_set(1.0f), v16_exp(v16_negate(d)));
    return v16_with_sign(v16_where_less(a, v16_set(TFM__ERF_SMALL), small, large), x);
}

/* ---- Element by element -------------------------------------------------------------------------------- */

/* Defines NAME(y, parameters, n): y[i] = EXPRESSION, where LOAD(pointer) is the sixteen elements from i on,
 * or the count < 16 last ones. */
#define ELEMENTWISE(name, parameters, setup, expression)                                                     \
    static void name parameters {                                                                            \
        setup;                                                                                               \
        size_t i = 0;                                                                                        \
        for (; i + VECTOR <= n; i += VECTOR) {                                                               \
            const size_t count = VECTOR;                                                                     \
            v16_store(y + i, expression);                                                                    \
            (void)count;                                                                                     \
        }                                                                                                    \
        if (i < n) {                                                                                         \
            const size_t count = n - i;                                                                      \
            v16_store_n(y + i, expression, count);                                                           \
        }                                                                                                    \
    }
#define LOAD(pointer) (count == VECTOR ? v16_load((pointer) + i) : v16_load_n((pointer) + i, count))

static INLINE v16 v16_silu(v16 x) { return v16_div(x, v16_add(v16_set(1.0f), v16_exp(v16_negate(x)))); }

static INLINE v16 v16_gelu_tanh(v16 x) {
    v16 cubic = v16_mul(v16_mul(v16_set(TFM__GELU_CUBIC), x), x);
    v16 inner = v16_mul(v16_fma(cubic, x, x), v16_set(TFM__SQRT_2_OVER_PI));
    return v16_mul(v16_mul(v16_set(0.5f), x), v16_add(v16_set(1.0f), v16_tanh(inner)));
}

static INLINE v16 v16_gelu_erf(v16 x) {
    v16 e = v16_erf(v16_mul(x, v16_set(TFM__SQRT_HALF)));
    return v16_mul(v16_mul(v16_set(0.5f), x), v16_add(v16_set(1.0f), e));
}

static INLINE v16 v16_relu(v16 x) { return v16_most(v16_set(0.0f), x); }

#define NOTHING (void)0
ELEMENTWISE(add, (float *y, const float *a, const float *b, size_t n), NOTHING, v16_add(LOAD(a), LOAD(b)))
ELEMENTWISE(multiply_add, (float *y, const float *a, float s, size_t n), v16 factor = v16_set(s),
            v16_fma(LOAD(a), factor, LOAD(y)))
ELEMENTWISE(scale, (float *y, const float *x, float s, size_t n), v16 factor = v16_set(s),
            v16_mul(LOAD(x), factor))
ELEMENTWISE(soft_cap, (float *y, const float *x, float cap, size_t n), v16 inverse = v16_set(1.0f / cap),
            v16_mul(v16_set(cap), v16_tanh(v16_mul(LOAD(x), inverse))))
ELEMENTWISE(exp_scaled, (float *y, const float *x, size_t n, float maximum, float factor),
            v16 most = v16_set(maximum), v16_mul(v16_exp(v16_sub(LOAD(x), most)), v16_set(factor)))

#define ACTIVATION(function)                                                                                 \
    ELEMENTWISE(activate_##function, (float *y, const float *x, size_t n), NOTHING, v16_##function(LOAD(x))) \
    ELEMENTWISE(activate_gated_##function, (float *y, const float *gate, const float *up, size_t n),         \
                NOTHING, v16_mul(v16_##function(LOAD(gate)), LOAD(up)))
ACTIVATION(silu)
ACTIVATION(gelu_tanh)
ACTIVATION(gelu_erf)
ACTIVATION(relu)

static void rope(float *x, const float *cosine, const float *sine, size_t pairs, bool interleaved) {
    size_t i = 0;
    for (; i + VECTOR <= pairs; i += VECTOR) {
        v16 c = v16_load(cosine + i), s = v16_load(sine + i), a, b;
        if (interleaved) {
            v16_unzip(v16_load(x + 2 * i), v16_load(x + 2 * i + VECTOR), &a, &b);
        } else {
            a = v16_load(x + i);
            b = v16_load(x + pairs + i);
        }
        v16 turned_a = v16_fma(a, c, v16_negate(v16_mul(b, s))), turned_b = v16_fma(a, s, v16_mul(b, c));
        if (interleaved) {
            v16_zip(turned_a, turned_b, &a, &b);
            v16_store(x + 2 * i, a);
            v16_store(x + 2 * i + VECTOR, b);
        } else {
            v16_store(x + i, turned_a);
            v16_store(x + pairs + i, turned_b);
        }
    }
    size_t step = interleaved ? 2 : 1, other = interleaved ? 1 : pairs;
    for (; i < pairs; i++) {
        float a = x[i * step], b = x[i * step + other];
        x[i * step] = fmaf(a, cosine[i], -(b * sine[i]));
        x[i * step + other] = fmaf(a, sine[i], b * cosine[i]);
    }
}

static void quantise_f32(const float *x, void *out, size_t k) {
    if (k) memcpy(out, x, k * 4);
}

static void f32_to_f32(const void *source, float *out, size_t n) {
    if (n) memcpy(out, source, n * 4);
}

/* The last few go through a buffer: 16-bit loads and stores have no mask on every instruction set. */
#define CONVERT_16(name, load, scalar)                                                                       \
    static void name(const void *source, float *out, size_t n) {                                             \
        const char *bytes = source;                                                                          \
        size_t i = 0;                                                                                        \
        for (; i + VECTOR <= n; i += VECTOR) v16_store(out + i, load(bytes + 2 * i));                        \
        for (; i < n; i++) {                                                                                 \
            uint16_t h;                                                                                      \
            memcpy(&h, bytes + 2 * i, 2);                                                                    \
            out[i] = scalar(h);                                                                              \
        }                                                                                                    \
    }
CONVERT_16(f16_to_f32, v16_load_f16, tfm__f16_to_f32)
CONVERT_16(bf16_to_f32, v16_load_bf16, tfm__bf16_to_f32)

static void to_f16(const float *x, uint16_t *out, size_t n) {
    size_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) v16_store_f16(out + i, v16_load(x + i));
    for (; i < n; i++) out[i] = tfm__f32_to_f16(x[i]);
}

static void to_bf16(const float *x, uint16_t *out, size_t n) {
    size_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) v16_store_bf16(out + i, v16_load(x + i));
    for (; i < n; i++) out[i] = tfm__f32_to_bf16(x[i]);
}

/* ---- Rows ---------------------------------------------------------------------------------------------- */

static void rms_norm(float *y, const float *x, const float *weight, size_t n, float epsilon) {
    v16 sums = v16_set(0.0f);
    size_t i = 0, whole = n / VECTOR * VECTOR;
    for (; i < whole; i += VECTOR) sums = v16_fma(v16_load(x + i), v16_load(x + i), sums);
    if (i < n) {
        v16 v = v16_load_n(x + i, n - i);
        sums = v16_fma(v, v, sums);
    }
    v16 inverse = v16_set(1.0f / sqrtf(v16_sum(sums) / (float)n + epsilon));
    for (i = 0; i < whole; i += VECTOR) {
        v16 v = v16_mul(v16_load(x + i), inverse);
        v16_store(y + i, weight ? v16_mul(v, v16_load(weight + i)) : v);
    }
    if (i < n) {
        v16 v = v16_mul(v16_load_n(x + i, n - i), inverse);
        v16_store_n(y + i, weight ? v16_mul(v, v16_load_n(weight + i, n - i)) : v, n - i);
    }
}

static INLINE v16 norm_affine(v16 value, const float *weight, const float *bias, size_t i, size_t count) {
    if (weight && bias) return v16_fma(value, LOAD(weight), LOAD(bias));
    if (weight) return v16_mul(value, LOAD(weight));
    if (bias) return v16_add(value, LOAD(bias));
    return value;
}

static void layer_norm(float *y, const float *x, const float *weight, const float *bias, size_t n,
                       float epsilon) {
    v16 sums = v16_set(0.0f), squares = v16_set(0.0f);
    size_t i = 0, whole = n / VECTOR * VECTOR;
    for (; i < whole; i += VECTOR) sums = v16_add(sums, v16_load(x + i));
    if (i < n) sums = v16_add(sums, v16_load_n(x + i, n - i));
    v16 mean = v16_set(v16_sum(sums) / (float)n);
    for (i = 0; i < whole; i += VECTOR) {
        v16 d = v16_sub(v16_load(x + i), mean);
        squares = v16_fma(d, d, squares);
    }
    if (i < n) { /* the lanes beyond the end must add nothing: zero again after subtracting */
        v16 d = v16_keep(v16_sub(v16_load_n(x + i, n - i), mean), 0, n - i, v16_set(0.0f));
        squares = v16_fma(d, d, squares);
    }
    v16 inverse = v16_set(1.0f / sqrtf(v16_sum(squares) / (float)n + epsilon));
    for (i = 0; i < whole; i += VECTOR) {
        v16 v = v16_mul(v16_sub(v16_load(x + i), mean), inverse);
        v16_store(y + i, norm_affine(v, weight, bias, i, VECTOR));
    }
    if (i < n) {
        v16 v = v16_mul(v16_sub(v16_load_n(x + i, n - i), mean), inverse);
        v16_store_n(y + i, norm_affine(v, weight, bias, i, n - i), n - i);
    }
}

static float exp_sum(const float *x, size_t n, float maximum) {
    v16 sums = v16_set(0.0f), most = v16_set(maximum);
    size_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) sums = v16_add(sums, v16_exp(v16_sub(v16_load(x + i), most)));
    if (i < n) {
        v16 e = v16_exp(v16_sub(v16_load_n(x + i, n - i), most));
        sums = v16_add(sums, v16_keep(e, 0, n - i, v16_set(0.0f)));
    }
    return v16_sum(sums);
}

/* Two passes: the value, in four vectors at once, then its first place, which also settles the sign of a
 * zero. */
static size_t argmax(const float *x, size_t n, float *value) {
    v16 least = v16_set(-INFINITY), most[4] = {least, least, least, least};
    size_t i = 0;
    for (; i + 4 * VECTOR <= n; i += 4 * VECTOR) {
        for (size_t j = 0; j < 4; j++) most[j] = v16_most(v16_load(x + i + j * VECTOR), most[j]);
    }
    for (; i < n; i += VECTOR) {
        size_t count = TFM__MIN(n - i, VECTOR);
        most[0] = v16_most(v16_keep(v16_load_n(x + i, count), 0, count, least), most[0]);
    }
    float best = v16_maximum(v16_most(v16_most(most[0], most[1]), v16_most(most[2], most[3])));
    v16 target = v16_set(best);
    for (i = 0; i + VECTOR <= n && !v16_any_equal(v16_load(x + i), target);) i += VECTOR;
    for (; i < n; i++) {
        if (x[i] == best) {
            *value = x[i];
            return i;
        }
    }
    *value = n ? x[0] : -INFINITY; /* nothing but NaN */
    return 0;
}
