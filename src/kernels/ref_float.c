/* ref_float.c - the portable float kernels: what kernels.h says, in plain C. They run on every processor, and
 * they are the oracle: avx2_float.c and avx512_float.c must give the same bits (tests/test_kernels_float.c
 * compares).
 *
 * Called only through the table. Where a comment in kernels.h leaves an order of operations open, the order
 * here is the contract. fmaf is exact whether the processor has it or the C library emulates it. */
#include "base/elementary.h"
#include "kernels/cache_blocks.h"
#include "kernels/kernels.h"

#define LANES 16 /* running sums of a row */

/* ---- Weights ------------------------------------------------------------------------------------------- */

static void f32_to_f32(const void *source, float *out, size_t n) {
    if (n) memcpy(out, source, n * 4);
}

static void f16_to_f32(const void *source, float *out, size_t n) {
    const unsigned char *bytes = source;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, bytes + 2 * i, 2); /* any alignment */
        out[i] = tfm__f16_to_f32(h);
    }
}

static void bf16_to_f32(const void *source, float *out, size_t n) {
    const unsigned char *bytes = source;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, bytes + 2 * i, 2);
        out[i] = tfm__bf16_to_f32(h);
    }
}

static void to_f32(uint32_t type, const void *source, float *out, size_t n) {
    if (type == TFM__F32)
        f32_to_f32(source, out, n);
    else if (type == TFM__F16)
        f16_to_f32(source, out, n);
    else
        bf16_to_f32(source, out, n);
}

/* w[i] = element (row, k0 + i) for i < n, as f32. */
static void load_weights(const tfm__product *product, size_t row, size_t k0, size_t n, float *w) {
    const unsigned char *weights = product->weights;
    size_t element = product->type == TFM__F32 ? 4 : 2;
    if (!product->transposed) {
        to_f32(product->type, weights + row * product->row_stride + k0 * element, w, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        to_f32(product->type, weights + (k0 + i) * product->row_stride + row * element, w + i, 1);
    }
}

/* All three types, transposed or not, one token or many. The totals are kept in y between restarts of the
 * chain. */
static void product_float(const tfm__product *product, size_t row0, size_t row1) {
    float w[TFM__K_RESTART];
    for (size_t row = row0; row < row1; row++) {
        for (size_t t = 0; t < product->tokens; t++) product->y[t * product->y_stride + row] = 0.0f;
        for (size_t k0 = 0; k0 < product->k; k0 += TFM__K_RESTART) {
            size_t n = TFM__MIN(product->k - k0, TFM__K_RESTART);
            load_weights(product, row, k0, n, w);
            for (size_t t = 0; t < product->tokens; t++) {
                const float *x =
                    (const float *)(const void *)((const char *)product->x + t * product->x_stride) + k0;
                float sum = 0.0f;
                for (size_t i = 0; i < n; i++) sum = fmaf(w[i], x[i], sum);
                product->y[t * product->y_stride + row] += sum;
            }
        }
        if (!product->bias) continue;
        for (size_t t = 0; t < product->tokens; t++)
            product->y[t * product->y_stride + row] += product->bias[row];
    }
}

static void quantise_f32(const float *x, void *out, size_t k) {
    if (k) memcpy(out, x, k * 4);
}

/* ---- Rows: sums, norms --------------------------------------------------------------------------------- */

/* The one tree over 16 running sums. */
static float tree_sum(float lanes[LANES]) {
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    }
    return lanes[0];
}

static void rms_norm(float *y, const float *x, const float *weight, size_t n, float epsilon) {
    float lanes[LANES] = {0};
    for (size_t i = 0; i < n; i++) lanes[i % LANES] = fmaf(x[i], x[i], lanes[i % LANES]);
    float inverse = 1.0f / sqrtf(tree_sum(lanes) / (float)n + epsilon);
    for (size_t i = 0; i < n; i++) {
        float value = x[i] * inverse;
        y[i] = weight ? value * weight[i] : value;
    }
}

static void layer_norm(float *y, const float *x, const float *weight, const float *bias, size_t n,
                       float epsilon) {
    float sums[LANES] = {0}, squares[LANES] = {0};
    for (size_t i = 0; i < n; i++) sums[i % LANES] += x[i];
    float mean = tree_sum(sums) / (float)n;
    for (size_t i = 0; i < n; i++) {
        float difference = x[i] - mean;
        squares[i % LANES] = fmaf(difference, difference, squares[i % LANES]);
    }
    float inverse = 1.0f / sqrtf(tree_sum(squares) / (float)n + epsilon);
    for (size_t i = 0; i < n; i++) {
        float value = (x[i] - mean) * inverse;
        if (weight && bias)
            y[i] = fmaf(value, weight[i], bias[i]);
        else if (weight)
            y[i] = value * weight[i];
        else if (bias)
            y[i] = value + bias[i];
        else
            y[i] = value;
    }
}

/* ---- Element by element -------------------------------------------------------------------------------- */

static void add(float *y, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void multiply_add(float *y, const float *a, float s, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = fmaf(a[i], s, y[i]);
}

static void scale(float *y, const float *x, float s, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = x[i] * s;
}

static void soft_cap(float *y, const float *x, float cap, size_t n) {
    float inverse = 1.0f / cap;
    for (size_t i = 0; i < n; i++) y[i] = cap * tfm__tanh(x[i] * inverse);
}

static float silu(float x) { return x / (1.0f + tfm__exp(-x)); }

/* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
static float gelu_tanh(float x) {
    float inner = fmaf((TFM__GELU_CUBIC * x) * x, x, x) * TFM__SQRT_2_OVER_PI;
    return (0.5f * x) * (1.0f + tfm__tanh(inner));
}

/* 0.5 x (1 + erf(x / sqrt 2)) */
static float gelu_erf(float x) { return (0.5f * x) * (1.0f + tfm__erf(x * TFM__SQRT_HALF)); }

static float relu(float x) { return 0.0f > x ? 0.0f : x; } /* NaN and -0 pass */

#define ACTIVATION(function)                                                                                 \
    static void activate_##function(float *y, const float *x, size_t n) {                                    \
        for (size_t i = 0; i < n; i++) y[i] = function(x[i]);                                                \
    }                                                                                                        \
    static void activate_gated_##function(float *y, const float *gate, const float *up, size_t n) {          \
        for (size_t i = 0; i < n; i++) y[i] = function(gate[i]) * up[i];                                     \
    }
ACTIVATION(silu)
ACTIVATION(gelu_tanh)
ACTIVATION(gelu_erf)
ACTIVATION(relu)

static void rope(float *x, const float *cosine, const float *sine, size_t pairs, bool interleaved) {
    size_t step = interleaved ? 2 : 1, other = interleaved ? 1 : pairs;
    for (size_t i = 0; i < pairs; i++) {
        float a = x[i * step], b = x[i * step + other];
        x[i * step] = fmaf(a, cosine[i], -(b * sine[i]));
        x[i * step + other] = fmaf(a, sine[i], b * cosine[i]);
    }
}

static void to_f16(const float *x, uint16_t *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = tfm__f32_to_f16(x[i]);
}

static void to_bf16(const float *x, uint16_t *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = tfm__f32_to_bf16(x[i]);
}

static size_t argmax(const float *x, size_t n, float *value) {
    size_t best = 0;
    while (best < n && x[best] != x[best]) best++;
    if (best >= n) best = 0; /* nothing but NaN */
    for (size_t i = best + 1; i < n; i++) {
        if (x[i] > x[best]) best = i;
    }
    *value = n ? x[best] : -INFINITY;
    return best;
}

static float exp_sum(const float *x, size_t n, float maximum) {
    float lanes[LANES] = {0};
    for (size_t i = 0; i < n; i++) lanes[i % LANES] += tfm__exp(x[i] - maximum);
    return tree_sum(lanes);
}

static void exp_scaled(float *y, const float *x, size_t n, float maximum, float factor) {
    for (size_t i = 0; i < n; i++) y[i] = tfm__exp(x[i] - maximum) * factor;
}

/* ---- Attention ----------------------------------------------------------------------------------------- */

/* The largest of the scores lo .. hi-1 of a page and m. Sixteen lanes and the tree, like the sums: no
 * rounding depends on it, but which of +0 and -0 wins does. A NaN never wins. */
static float page_maximum(const float *scores, size_t lo, size_t hi, float m) {
    float lanes[LANES];
    for (int i = 0; i < LANES; i++) lanes[i] = -INFINITY;
    for (size_t j = lo; j < hi; j++)
        lanes[j % LANES] = scores[j] > lanes[j % LANES] ? scores[j] : lanes[j % LANES];
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) lanes[i] = lanes[i + width] > lanes[i] ? lanes[i + width] : lanes[i];
    }
    return lanes[0] > m ? lanes[0] : m;
}

/* The scores of query i for all slots lo .. hi-1 of a page whose first slot is position base. */
static void page_scores(const tfm__attention_tile *tile, size_t i, const void *page, uint32_t base, size_t lo,
                        size_t hi, float *scores) {
    const float *q = tile->q + i * tile->q_stride;
    size_t element = tile->kv_type == TFM__F32 ? 4 : 2;
    bool quantised = tfm__cache_quantised(tile->kv_type);
    float keys[TFM__PAGE_TOKENS];
    for (size_t j = lo; j < hi; j++) scores[j] = 0.0f;
    for (size_t d = 0; d < tile->head_dim_k; d++) {
        if (quantised)
            tfm__cache_key_dim(tile->kv_type, page, tile->head_dim_k, d, hi, keys);
        else
            to_f32(tile->kv_type, (const char *)page + (d * TFM__PAGE_TOKENS + lo) * element, keys + lo,
                   hi - lo);
        for (size_t j = lo; j < hi; j++) scores[j] = fmaf(q[d], keys[j], scores[j]);
    }
    if (tile->soft_cap != 0.0f) {
        float inverse = 1.0f / tile->soft_cap;
        for (size_t j = lo; j < hi; j++) scores[j] = tile->soft_cap * tfm__tanh(scores[j] * inverse);
    }
    if (tile->slopes) {
        float position = (float)tile->positions[i];
        for (size_t j = lo; j < hi; j++) {
            scores[j] = fmaf(tile->slopes[i], (float)(base + (uint32_t)j) - position, scores[j]);
        }
    }
    if (tile->bias) {
        const float *bias = tile->bias + tile->bias_at[i] + base;
        for (size_t j = lo; j < hi; j++) scores[j] += bias[j];
    }
}

/* o = fma(p, the value of a page's slot, o) */
static void add_value(const tfm__attention_tile *tile, const void *page, size_t slot, float p, float *o) {
    size_t n = tile->head_dim_v, element = tile->kv_type == TFM__F32 ? 4 : 2;
    bool quantised = tfm__cache_quantised(tile->kv_type);
    for (size_t d = 0; d < n; d++) {
        float v;
        if (quantised)
            v = tfm__cache_value(tile->kv_type, page, n, slot, d);
        else
            to_f32(tile->kv_type, (const char *)page + (slot * n + d) * element, &v, 1);
        o[d] = fmaf(p, v, o[d]);
    }
}

static void attention(const tfm__attention_tile *tile) {
    for (size_t i = 0; i < tile->queries; i++) {
        float *o = tile->o + i * tile->o_stride, *l = tile->l + i * LANES, m = -INFINITY;
        bool seen = false;
        for (size_t d = 0; d < tile->head_dim_v; d++) o[d] = 0.0f;
        for (int lane = 0; lane < LANES; lane++) l[lane] = 0.0f;
        for (size_t page = 0; page < tile->pages; page++) {
            uint64_t base = (uint64_t)tile->first_position + page * TFM__PAGE_TOKENS;
            size_t lo = tile->first[i] > base ? (size_t)TFM__MIN(tile->first[i] - base, TFM__PAGE_TOKENS) : 0;
            size_t hi = tile->last[i] > base ? (size_t)TFM__MIN(tile->last[i] - base, TFM__PAGE_TOKENS) : 0;
            if (lo >= hi) continue;
            float p[TFM__PAGE_TOKENS] = {0};
            page_scores(tile, i, tile->k_pages[page], (uint32_t)base, lo, hi, p);
            float m_new = page_maximum(p, lo, hi, m);
            float c = seen ? tfm__exp(m - m_new) : 0.0f;
            for (size_t j = lo; j < hi; j++) p[j] = tfm__exp(p[j] - m_new);
            for (int lane = 0; lane < LANES; lane++) {
                l[lane] = fmaf(l[lane], c, ((p[lane] + p[16 + lane]) + p[32 + lane]) + p[48 + lane]);
            }
            for (size_t d = 0; d < tile->head_dim_v; d++) o[d] *= c;
            for (size_t j = lo; j < hi; j++) add_value(tile, tile->v_pages[page], j, p[j], o);
            m = m_new;
            seen = true;
        }
        tile->m[i] = m;
    }
}

void tfm__kernels_ref_float(tfm__kernels *kernels) {
    kernels->weights[TFM__F32] = (tfm__weight_kernels){TFM__ACT_F32, product_float, f32_to_f32};
    kernels->weights[TFM__F16] = (tfm__weight_kernels){TFM__ACT_F32, product_float, f16_to_f32};
    kernels->weights[TFM__BF16] = (tfm__weight_kernels){TFM__ACT_F32, product_float, bf16_to_f32};
    kernels->quantise[TFM__ACT_F32] = quantise_f32;
    kernels->rms_norm = rms_norm;
    kernels->layer_norm = layer_norm;
    kernels->add = add;
    kernels->multiply_add = multiply_add;
    kernels->scale = scale;
    kernels->soft_cap = soft_cap;
    kernels->activate[TFM__SILU] = activate_silu;
    kernels->activate[TFM__GELU_TANH] = activate_gelu_tanh;
    kernels->activate[TFM__GELU_ERF] = activate_gelu_erf;
    kernels->activate[TFM__RELU] = activate_relu;
    kernels->activate_gated[TFM__SILU] = activate_gated_silu;
    kernels->activate_gated[TFM__GELU_TANH] = activate_gated_gelu_tanh;
    kernels->activate_gated[TFM__GELU_ERF] = activate_gated_gelu_erf;
    kernels->activate_gated[TFM__RELU] = activate_gated_relu;
    kernels->rope = rope;
    kernels->attention = attention;
    kernels->to_f16 = to_f16;
    kernels->to_bf16 = to_bf16;
    kernels->argmax = argmax;
    kernels->exp_sum = exp_sum;
    kernels->exp_scaled = exp_scaled;
}
