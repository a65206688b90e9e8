/* test_kernels_float.c - the float kernels: the reference against double arithmetic, every instruction set
 * that this processor has against the reference bit for bit, and the order of additions pinned by a hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/elementary.h"
#include "kernels/cache_blocks.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"

/* ---- Help ---------------------------------------------------------------------------------------------- */

static uint32_t random_state = 1;

static uint32_t random_bits(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static float random_float(void) { return (float)(int32_t)random_bits() * 0x1p-31f; } /* in [-1, 1) */

static size_t random_below(size_t n) { return random_bits() % n; }

static void fill_random(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = random_float();
}

/* Now and then a value from the edges: NaN, infinities, zeros, subnormal, huge. */
static void sprinkle(float *x, size_t n, size_t every) {
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-42f, -3e38f, 90.0f, -104.5f, 9.5f};
    for (size_t i = random_below(every); i < n; i += 1 + random_below(every)) x[i] = odd[random_below(10)];
}

/* Exactly this size, so that a sanitizer sees every step beyond it. */
static void *take(size_t size) {
    void *memory = malloc(size ? size : 1);
    assert_non_null(memory);
    return memory;
}

/* The same bits; NaNs are equal to each other, for which NaN comes out is not promised. */
static void same_bits(const char *what, const float *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (isnan(got[i]) && isnan(want[i])) continue;
        if (tfm__bits_of_f32(got[i]) != tfm__bits_of_f32(want[i])) {
            fail_msg("%s: element %zu of %zu is %a, not %a", what, i, n, (double)got[i], (double)want[i]);
        }
    }
}

static tfm__kernels reference;
static tfm__kernels variants[TFM__ISA_COUNT]; /* those above the reference that this processor has */
static int variant_count;

static int set_up(void **state) {
    (void)state;
    tfm__kernels_fill(&reference, TFM__ISA_PORTABLE);
    for (int isa = TFM__ISA_AVX2; isa < TFM__ISA_COUNT; isa++) {
        if (tfm__cpu_has_isa(isa)) tfm__kernels_fill(&variants[variant_count++], isa);
    }
    return 0;
}

static char label_text[200];
static const char *label(const tfm__kernels *kernels, const char *what, size_t a, size_t b) {
    (void)snprintf(label_text, sizeof label_text, "%s %s %zu %zu", tfm__isa_name(kernels->isa), what, a, b);
    return label_text;
}

static const uint32_t float_types[3] = {TFM__F32, TFM__F16, TFM__BF16};
static const uint32_t cache_types[5] = {TFM__F32, TFM__F16, TFM__BF16, TFM__Q8_0, TFM__Q4_0};

static size_t element_size(uint32_t type) { return type == TFM__F32 ? 4 : 2; }

static void encode(uint32_t type, const float *x, void *out, size_t n) {
    unsigned char *bytes = out;
    for (size_t i = 0; i < n; i++) {
        uint16_t h = type == TFM__F16 ? tfm__f32_to_f16(x[i]) : tfm__f32_to_bf16(x[i]);
        if (type == TFM__F32)
            memcpy(bytes + 4 * i, x + i, 4);
        else
            memcpy(bytes + 2 * i, &h, 2);
    }
}

/* ---- Conversions --------------------------------------------------------------------------------------- */

static void test_f16_exhaustive(void **state) {
    (void)state;
    uint16_t *all = take(65536 * 2);
    float *want = take(65536 * 4), *got = take(65536 * 4);
    for (uint32_t h = 0; h < 65536; h++) {
        uint32_t exponent = h >> 10 & 31, mantissa = h & 1023;
        double size = exponent == 31 ? (mantissa ? (double)NAN : (double)INFINITY)
                      : exponent     ? ldexp(1024.0 + mantissa, (int)exponent - 25)
                                     : ldexp(mantissa, -24);
        all[h] = (uint16_t)h;
        want[h] = (float)(h & 0x8000 ? -size : size);
    }
    reference.weights[TFM__F16].to_f32(all, got, 65536);
    same_bits("reference f16", got, want, 65536);
    for (int v = 0; v < variant_count; v++) {
        variants[v].weights[TFM__F16].to_f32(all, got, 65536);
        same_bits(label(&variants[v], "f16", 0, 0), got, want, 65536);
        for (uint32_t h = 0; h < 65536; h++) { /* NaNs keep their bits here */
            assert_int_equal(tfm__bits_of_f32(got[h]), tfm__bits_of_f32(tfm__f16_to_f32((uint16_t)h)));
        }
    }
    /* every finite half and both sides of, and exactly, the middle to the next one */
    for (uint32_t h = 0; h < 0x7c00; h++) {
        float value = want[h], next = h + 1 < 0x7c00 ? want[h + 1] : 65536.0f;
        float middle = (float)(((double)value + (double)next) / 2);
        float x[6] = {value, middle, nextafterf(middle, 0), nextafterf(middle, 1e9f), -middle, -value};
        uint16_t even = (uint16_t)(h + (h & 1)), result[6];
        uint16_t right[6] = {
            (uint16_t)h,           even, (uint16_t)h, (uint16_t)(h + 1), (uint16_t)(even | 0x8000),
            (uint16_t)(h | 0x8000)};
        reference.to_f16(x, result, 6);
        assert_memory_equal(result, right, sizeof right);
        for (int v = 0; v < variant_count; v++) {
            variants[v].to_f16(x, result, 6);
            assert_memory_equal(result, right, sizeof right);
        }
    }
    free(all);
    free(want);
    free(got);
}

static void test_conversions(void **state) {
    (void)state;
    enum { BATCH = 1000 };
    float x[BATCH + 1], back[BATCH], back2[BATCH];
    uint16_t want[BATCH], got[BATCH];
    for (int kind = 0; kind < 2; kind++) {
        uint32_t bits = 0;
        for (int round = 0; round < 400; round++) {
            for (int i = 0; i < BATCH; i++) x[i] = tfm__f32_of_bits(bits += 10739u);
            size_t n = BATCH - random_below(40);
            if (kind)
                reference.to_bf16(x, want, n);
            else
                reference.to_f16(x, want, n);
            for (int v = 0; v < variant_count; v++) {
                if (kind)
                    variants[v].to_bf16(x, got, n);
                else
                    variants[v].to_f16(x, got, n);
                assert_memory_equal(got, want, n * 2);
                uint32_t type = kind ? TFM__BF16 : TFM__F16;
                reference.weights[type].to_f32(want, back, n);
                variants[v].weights[type].to_f32(want, back2, n);
                assert_memory_equal(back, back2, n * 4);
            }
        }
    }
    /* bfloat16 rounds to nearest even and keeps NaN */
    const float cases[] = {1.0f, 0x1.01p0f, 0x1.03p0f, 0x1.010002p0f, 3.4e38f, NAN, -0.0f};
    reference.to_bf16(cases, want, 7);
    const uint16_t right[] = {0x3f80, 0x3f80, 0x3f82, 0x3f81, 0x7f80, 0x7fc0, 0x8000};
    assert_memory_equal(want, right, sizeof right);
    for (size_t n = 0; n < 40; n++) { /* copies */
        float copy[40];
        fill_random(x, n);
        reference.quantise[TFM__ACT_F32](x, copy, n);
        assert_memory_equal(copy, x, n * 4);
        for (int v = 0; v < variant_count; v++) {
            memset(copy, 0, sizeof copy);
            variants[v].quantise[TFM__ACT_F32](x, copy, n);
            assert_memory_equal(copy, x, n * 4);
            variants[v].weights[TFM__F32].to_f32(x, back, n);
            assert_memory_equal(back, x, n * 4);
        }
    }
}

/* ---- Products ------------------------------------------------------------------------------------------ */

typedef struct product_case {
    tfm__product product;
    void *memory, *x;
    float *y, *bias, *exact; /* exact: the weights as f32, [rows, k] */
    size_t rows;
} product_case;

/* offset: bytes that the weights are off their alignment. */
static product_case make_case(uint32_t type, bool transposed, size_t rows, size_t k, size_t tokens,
                              size_t offset, bool with_bias, bool odd_values) {
    product_case c = {.rows = rows};
    size_t element = element_size(type), wide = transposed ? rows : k, high = transposed ? k : rows;
    size_t stride = wide * element + (offset ? 3 : 0), x_stride = (k * 4 + 63) / 64 * 64;
    float *w = take(rows * k * 4);
    fill_random(w, rows * k);
    if (odd_values) sprinkle(w, rows * k, 400);
    size_t bytes = high ? (high - 1) * stride + wide * element : 0;
    c.memory = take(bytes + offset);
    char *weights = (char *)c.memory + offset;
    c.exact = take(rows * k * 4);
    for (size_t i = 0; i < high; i++) {
        encode(type, w + i * wide, weights + i * stride, wide);
        for (size_t j = 0; j < wide; j++) {
            float value;
            reference.weights[type].to_f32(weights + i * stride + j * element, &value, 1);
            c.exact[transposed ? j * k + i : i * k + j] = value;
        }
    }
    free(w);
    c.x = aligned_alloc(64, tokens * x_stride + 64);
    assert_non_null(c.x);
    for (size_t t = 0; t < tokens; t++) {
        float *x = (float *)(void *)((char *)c.x + t * x_stride);
        for (size_t i = 0; i < x_stride / 4; i++) x[i] = NAN; /* what lies after a row is never used */
        fill_random(x, k);
        if (odd_values && t == 1) sprinkle(x, k, 300);
    }
    c.bias = take(rows * 4);
    fill_random(c.bias, rows);
    c.y = take(tokens * (rows + 3) * 4);
    c.product = (tfm__product){
        weights, stride,  type, transposed, k, c.x, x_stride, tokens, with_bias ? c.bias : NULL,
        c.y,     rows + 3};
    return c;
}

static void free_case(product_case *c) {
    free(c->memory);
    free(c->x);
    free(c->y);
    free(c->bias);
    free(c->exact);
}

/* Runs rows row0 .. row1-1 and returns y, everything else in it left at 77. */
static float *run_product(const tfm__kernels *kernels, product_case *c, size_t row0, size_t row1) {
    size_t n = c->product.tokens * c->product.y_stride;
    float *y = take(n * 4);
    for (size_t i = 0; i < n; i++) y[i] = 77.0f;
    tfm__product product = c->product;
    product.y = y;
    kernels->weights[product.type].product(&product, row0, row1);
    return y;
}

static void test_product_reference(void **state) {
    (void)state;
    for (int type = 0; type < 3; type++) {
        for (int transposed = 0; transposed < 2; transposed++) {
            product_case c = make_case(float_types[type], transposed, 37, 700, 3, 1, true, false);
            float *y = run_product(&reference, &c, 0, 37);
            for (size_t t = 0; t < 3; t++) {
                const float *x = (const float *)(const void *)((const char *)c.x + t * c.product.x_stride);
                for (size_t r = 0; r < 37; r++) {
                    double want = c.bias[r];
                    for (size_t i = 0; i < 700; i++) want += (double)c.exact[r * 700 + i] * (double)x[i];
                    assert_true(fabs((double)y[t * c.product.y_stride + r] - want) < 2e-5);
                }
            }
            free(y);
            free_case(&c);
        }
    }
}

static void test_product_variants(void **state) {
    (void)state;
    static const size_t ks[] = {1, 5, 16, 31, 100, 255, 256, 257, 530, 0};
    static const size_t tokens[] = {1, 2, 3, 4, 6, 9, 16, 17, 24, 35};
    for (int type = 0; type < 3; type++) {
        for (int transposed = 0; transposed < 2; transposed++) {
            for (int round = 0; round < 60; round++) {
                size_t rows = 1 + random_below(round % 3 ? 70 : 300);
                product_case c =
                    make_case(float_types[type], transposed, rows, ks[random_below(10)],
                              tokens[(size_t)round % 10], random_below(3), round & 1, round % 4 == 3);
                size_t grain = c.product.tokens > 1 ? 64 : 16;
                size_t row0 = random_below(rows) / grain * grain, row1 = row0 + 1 + random_below(rows - row0);
                float *want = run_product(&reference, &c, row0, row1);
                for (int v = 0; v < variant_count; v++) {
                    float *got = run_product(&variants[v], &c, row0, row1);
                    same_bits(label(&variants[v], transposed ? "transposed" : "product", float_types[type],
                                    c.product.k),
                              got, want, c.product.tokens * c.product.y_stride);
                    free(got);
                }
                free(want);
                free_case(&c);
            }
        }
    }
}

/* Any cut into row ranges and token groups gives the bits of the whole. */
static void test_product_splits(void **state) {
    (void)state;
    for (int v = -1; v < variant_count; v++) {
        const tfm__kernels *kernels = v < 0 ? &reference : &variants[v];
        for (int type = 0; type < 3; type++) {
            product_case c = make_case(float_types[type], type == 1, 200, 600, 17, 0, true, false);
            float *whole = run_product(kernels, &c, 0, 200), *parts = take(17 * 203 * 4);
            for (int i = 0; i < 17 * 203; i++) parts[i] = 77.0f;
            static const size_t token_cuts[] = {0, 1, 2, 5, 9, 16, 17};
            for (int cut = 0; cut + 1 < 7; cut++) {
                size_t t0 = token_cuts[cut], count = token_cuts[cut + 1] - t0, grain = count > 1 ? 64 : 16;
                tfm__product product = c.product;
                product.x = (const char *)c.x + t0 * product.x_stride;
                product.y = parts + t0 * product.y_stride;
                product.tokens = count;
                for (size_t row = 0; row < 200; row += grain) {
                    kernels->weights[product.type].product(&product, row, TFM__MIN(row + grain, 200));
                }
            }
            same_bits(label(kernels, "split", float_types[type], 0), parts, whole, 17 * 203);
            free(whole);
            free(parts);
            free_case(&c);
        }
    }
}

/* The order of additions is part of the saved results of every model: this hash must never change. */
static void test_product_golden(void **state) {
    (void)state;
    for (int v = -1; v < variant_count; v++) {
        const tfm__kernels *kernels = v < 0 ? &reference : &variants[v];
        random_state = 20240607;
        product_case c = make_case(TFM__F32, false, 64, 1000, 2, 0, true, false);
        float *y = run_product(kernels, &c, 0, 64);
        uint32_t hash = 2166136261u; /* FNV-1a over the bits, low byte first */
        for (size_t t = 0; t < 2; t++) {
            for (size_t r = 0; r < 64; r++) {
                uint32_t bits = tfm__bits_of_f32(y[t * c.product.y_stride + r]);
                for (int b = 0; b < 4; b++) hash = (hash ^ (bits >> 8 * b & 255u)) * 16777619u;
            }
        }
        assert_int_equal(hash, 0x4a99e6b2u);
        free(y);
        free_case(&c);
    }
}

/* ---- Rows and elements --------------------------------------------------------------------------------- */

enum { LONGEST = 1031 };

/* The lengths tried: all short ones, then some long. */
static size_t length_of(int round) { return round < 70 ? (size_t)round : LONGEST - random_below(400); }

static void test_norms(void **state) {
    (void)state;
    float x[LONGEST], w[LONGEST], b[LONGEST], want[LONGEST], got[LONGEST];
    for (int round = 1; round < 140; round++) {
        size_t n = length_of(round);
        fill_random(x, n);
        fill_random(w, n);
        fill_random(b, n);
        double mean = 0, squares = 0, variance = 0;
        for (size_t i = 0; i < n; i++) mean += (double)x[i], squares += (double)x[i] * (double)x[i];
        mean /= (double)n;
        for (size_t i = 0; i < n; i++) variance += ((double)x[i] - mean) * ((double)x[i] - mean);
        double rms = 1 / sqrt(squares / (double)n + 1e-3), deviation = 1 / sqrt(variance / (double)n + 1e-3);
        reference.rms_norm(got, x, w, n, 1e-3f);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)got[i] - (double)x[i] * rms * (double)w[i]) < 3e-6);
        reference.layer_norm(got, x, w, b, n, 1e-3f);
        for (size_t i = 0; i < n; i++) {
            double right = ((double)x[i] - mean) * deviation * (double)w[i] + (double)b[i];
            assert_true(fabs((double)got[i] - right) < 1e-5);
        }
        if (round % 5 == 4) sprinkle(x, n, 600);
        for (int v = 0; v < variant_count; v++) {
            for (int which = 0; which < 6; which++) {
                const float *weight = which & 1 ? w : NULL, *bias = which & 2 ? b : NULL;
                if (which < 4) {
                    reference.layer_norm(want, x, weight, bias, n, 1e-5f);
                    variants[v].layer_norm(got, x, weight, bias, n, 1e-5f);
                } else {
                    reference.rms_norm(want, x, weight, n, 1e-6f);
                    memcpy(got, x, n * 4);
                    variants[v].rms_norm(got, got, weight, n, 1e-6f);
                }
                same_bits(label(&variants[v], "norm", n, (size_t)which), got, want, n);
            }
        }
    }
}

static void run_elementwise(const tfm__kernels *kernels, int which, float *y, const float *a, const float *b,
                            size_t n) {
    if (which < TFM__ACTIVATION_COUNT)
        kernels->activate[which](y, a, n);
    else if (which < 8)
        kernels->activate_gated[which - 4](y, a, b, n);
    else if (which == 8)
        kernels->add(y, a, b, n);
    else if (which == 9)
        kernels->scale(y, a, 0.37f, n);
    else if (which == 10)
        kernels->soft_cap(y, a, 30.0f, n);
    else if (which == 11)
        kernels->exp_scaled(y, a, n, 3.0f, 0.7f);
    else {
        memcpy(y, b, n * 4);
        kernels->multiply_add(y, a, 0.37f, n);
    }
}

static void test_elementwise(void **state) {
    (void)state;
    float a[LONGEST], b[LONGEST], want[LONGEST + 1], got[LONGEST + 1];
    for (int which = 0; which <= 12; which++) {
        for (int round = 0; round < 100; round++) {
            size_t n = length_of(round);
            static const float sizes[] = {1, 3, 12, 100};
            for (size_t i = 0; i < n; i++) a[i] = random_float() * sizes[round & 3], b[i] = random_float();
            if (round % 3 == 2) sprinkle(a, n, 20);
            want[n] = got[n] = 77.0f;
            run_elementwise(&reference, which, want, a, b, n);
            for (int v = 0; v < variant_count; v++) {
                run_elementwise(&variants[v], which, got, a, b, n);
                same_bits(label(&variants[v], "elementwise", (size_t)which, n), got, want, n + 1);
                if (which == 12) continue;
                memcpy(got, a, n * 4); /* in place */
                run_elementwise(&variants[v], which, got, got, b, n);
                same_bits(label(&variants[v], "in place", (size_t)which, n), got, want, n);
            }
        }
    }
    /* the reference means what it says */
    for (int i = -400; i <= 400; i++) {
        double x = i * 0.02, cube = x + 0.044715 * x * x * x;
        double right[4] = {x / (1 + exp(-x)), 0.5 * x * (1 + tanh(0.7978845608028654 * cube)),
                           0.5 * x * (1 + erf(x * 0.7071067811865476)), x > 0 ? x : 0};
        float input = (float)x, gate = 1.5f, y;
        for (int which = 0; which < 4; which++) {
            reference.activate[which](&y, &input, 1);
            assert_true(fabs((double)y - right[which]) < 1e-6);
            reference.activate_gated[which](&y, &input, &gate, 1);
            assert_true(fabs((double)y - right[which] * 1.5) < 2e-6);
        }
        reference.soft_cap(&y, &input, 5.0f, 1);
        assert_true(fabs((double)y - 5 * tanh(x / 5)) < 1e-6);
    }
}

/* The vector twins of exp, tanh and erf at a million arguments: one operation unfused in them shows only
 * rarely. */
static void test_elementary_bits(void **state) {
    (void)state;
    enum { BATCH = 4096, STEP = 211 };
    static float x[BATCH], want[BATCH], got[BATCH];
    for (uint32_t bits = 0x3c800000u; bits < 0x43000000u;) { /* 2^-6 to 128, both signs */
        for (int i = 0; i < BATCH; i++, bits += STEP)
            x[i] = tfm__f32_of_bits(i & 1 ? bits | 0x80000000u : bits);
        for (int which = 0; which < 3; which++) {
            for (int i = 0; i < BATCH; i++) {
                want[i] = which == 0   ? tfm__exp(x[i])
                          : which == 1 ? tfm__tanh(x[i])
                                       : tfm__erf(x[i] * TFM__SQRT_HALF);
                if (which == 2) want[i] = (0.5f * x[i]) * (1.0f + want[i]);
            }
            for (int v = 0; v < variant_count; v++) {
                if (which == 0)
                    variants[v].exp_scaled(got, x, BATCH, 0.0f, 1.0f);
                else if (which == 1)
                    variants[v].soft_cap(got, x, 1.0f, BATCH);
                else
                    variants[v].activate[TFM__GELU_ERF](got, x, BATCH);
                same_bits(label(&variants[v], "elementary", (size_t)which, 0), got, want, BATCH);
            }
        }
    }
}

static void test_rope(void **state) {
    (void)state;
    float x[2 * 140], want[2 * 140], got[2 * 140], cosine[140], sine[140];
    for (size_t pairs = 0; pairs < 140; pairs++) {
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            fill_random(x, 2 * pairs);
            for (size_t i = 0; i < pairs; i++) {
                double s, c;
                tfm__sin_cos((double)random_float() * 1000, &s, &c);
                sine[i] = (float)s;
                cosine[i] = (float)c;
            }
            memcpy(want, x, sizeof x);
            reference.rope(want, cosine, sine, pairs, interleaved);
            for (size_t i = 0; i < pairs; i++) {
                size_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + pairs;
                float a = x[first], b = x[second];
                assert_true(fabsf(want[first] - (a * cosine[i] - b * sine[i])) < 1e-6f);
                assert_true(fabsf(want[second] - (a * sine[i] + b * cosine[i])) < 1e-6f);
            }
            for (int v = 0; v < variant_count; v++) {
                memcpy(got, x, sizeof x);
                variants[v].rope(got, cosine, sine, pairs, interleaved);
                same_bits(label(&variants[v], "rope", pairs, (size_t)interleaved), got, want, 2 * pairs);
            }
        }
    }
}

static void test_reductions(void **state) {
    (void)state;
    float x[LONGEST];
    for (int round = 1; round < 300; round++) {
        size_t n = round < 140 ? 1 + (size_t)round % 70 : length_of(round);
        for (size_t i = 0; i < n; i++) x[i] = random_float() * 10;
        if (round % 2) sprinkle(x, n, 1 + random_below(n + 1));
        if (round % 7 == 0) {
            for (size_t i = 0; i < n; i++) x[i] = random_below(3) ? NAN : -INFINITY;
        }
        float want, got, right = NAN;
        size_t where = reference.argmax(x, n, &want), first = 0;
        for (size_t i = n; i-- > 0;) {
            if (!isnan(x[i]) && (isnan(right) || x[i] >= right)) right = x[first = i];
        }
        assert_int_equal(where, first);
        same_bits("argmax", &want, isnan(right) ? x : &right, 1);
        float maximum = isfinite(right) ? right : 10.0f, sum = reference.exp_sum(x, n, maximum);
        double exact = 0;
        for (size_t i = 0; i < n; i++) exact += exp((double)x[i] - (double)maximum);
        if (isfinite(exact)) assert_true(fabs((double)sum - exact) <= 1e-6 * exact);
        for (int v = 0; v < variant_count; v++) {
            assert_int_equal(variants[v].argmax(x, n, &got), where);
            same_bits(label(&variants[v], "argmax", n, 0), &got, &want, 1);
            got = variants[v].exp_sum(x, n, maximum);
            same_bits(label(&variants[v], "exp_sum", n, 0), &got, &sum, 1);
        }
    }
}

/* ---- Attention ----------------------------------------------------------------------------------------- */

typedef struct attention_case {
    tfm__attention_tile tile;
    float *q, *slopes, *keys, *values; /* keys [slots, k], values [slots, v], as the pages hold them */
    uint32_t *first, *last, *positions;
    float *bias; /* as long as the furthest key of any query asks for */
    size_t *bias_at;
    void *pages[2][4];
} attention_case;

/* keys [k, 64] and values [64, v] to pages of a type. */
static void fill_page(uint32_t type, const float *keys, const float *values, size_t k, size_t v,
                      void *key_page, void *value_page) {
    if (!tfm__cache_quantised(type)) {
        encode(type, keys, key_page, k * TFM__PAGE_TOKENS);
        encode(type, values, value_page, v * TFM__PAGE_TOKENS);
        return;
    }
    memset(key_page, 0x5a, tfm__cache_slot_bytes(type, k) * TFM__PAGE_TOKENS);
    memset(value_page, 0x5a, tfm__cache_slot_bytes(type, v) * TFM__PAGE_TOKENS);
    for (size_t j = 0; j < TFM__PAGE_TOKENS; j++) {
        float key[512];
        for (size_t d = 0; d < k; d++) key[d] = keys[d * TFM__PAGE_TOKENS + j];
        tfm__cache_put_key(type, key, k, key_page, j);
        tfm__cache_put_value(type, values + j * v, v, value_page, j);
    }
}

/* What a page holds, as floats. */
static void read_page(uint32_t type, const void *key_page, const void *value_page, size_t k, size_t v,
                      float *keys, float *values) {
    if (!tfm__cache_quantised(type)) {
        reference.weights[type].to_f32(key_page, keys, k * TFM__PAGE_TOKENS);
        reference.weights[type].to_f32(value_page, values, v * TFM__PAGE_TOKENS);
        return;
    }
    for (size_t d = 0; d < k; d++)
        tfm__cache_key_dim(type, key_page, k, d, TFM__PAGE_TOKENS, keys + d * TFM__PAGE_TOKENS);
    for (size_t j = 0; j < TFM__PAGE_TOKENS; j++)
        for (size_t d = 0; d < v; d++) values[j * v + d] = tfm__cache_value(type, value_page, v, j, d);
}

static attention_case make_attention(uint32_t type, size_t queries, size_t k, size_t v, size_t pages,
                                     bool causal) {
    attention_case c = {0};
    size_t slots = pages * TFM__PAGE_TOKENS;
    uint32_t base = TFM__PAGE_TOKENS * (uint32_t)random_below(5);
    c.q = take(queries * (k + 1) * 4);
    c.slopes = take(queries * 4);
    c.first = take(queries * 4);
    c.last = take(queries * 4);
    c.positions = take(queries * 4);
    c.bias = take((base + slots + 100) * 4);
    c.bias_at = take(queries * sizeof *c.bias_at);
    fill_random(c.bias, base + slots + 100);
    for (size_t i = 0; i < queries; i++) c.bias_at[i] = random_below(100);
    c.keys = take(slots * k * 4);
    c.values = take(slots * v * 4);
    fill_random(c.q, queries * (k + 1));
    fill_random(c.slopes, queries);
    fill_random(c.keys, slots * k);
    fill_random(c.values, slots * v);
    uint32_t start = base + (uint32_t)random_below(slots), highest = 0;
    for (size_t i = 0; i < queries; i++) {
        c.positions[i] = start + (uint32_t)(i / 3);
        c.first[i] = causal ? 0 : (uint32_t)random_below(base + slots + 10);
        c.last[i] = causal ? c.positions[i] + 1 : (uint32_t)random_below(base + slots + 10);
        highest = TFM__MAX(highest, c.last[i]);
    }
    for (size_t page = 0; page < pages; page++) {
        float transposed[512 * TFM__PAGE_TOKENS], kept[512 * TFM__PAGE_TOKENS];
        for (size_t j = 0; j < TFM__PAGE_TOKENS; j++) {
            size_t slot = page * TFM__PAGE_TOKENS + j;
            /* slots that nobody may look at hold rubbish */
            bool rubbish = base + slot >= highest;
            for (size_t d = 0; d < k; d++)
                transposed[d * TFM__PAGE_TOKENS + j] = rubbish ? NAN : c.keys[slot * k + d];
            for (size_t d = 0; d < v; d++) kept[j * v + d] = rubbish ? NAN : c.values[slot * v + d];
        }
        c.pages[0][page] = aligned_alloc(64, tfm__cache_slot_bytes(type, k) * TFM__PAGE_TOKENS);
        c.pages[1][page] = aligned_alloc(64, tfm__cache_slot_bytes(type, v) * TFM__PAGE_TOKENS);
        assert_true(c.pages[0][page] && c.pages[1][page]);
        fill_page(type, transposed, kept, k, v, c.pages[0][page], c.pages[1][page]);
        read_page(type, c.pages[0][page], c.pages[1][page], k, v, transposed,
                  c.values + page * TFM__PAGE_TOKENS * v);
        for (size_t j = 0; j < TFM__PAGE_TOKENS; j++) {
            for (size_t d = 0; d < k; d++) {
                c.keys[(page * TFM__PAGE_TOKENS + j) * k + d] = transposed[d * TFM__PAGE_TOKENS + j];
            }
        }
    }
    c.tile = (tfm__attention_tile){.q = c.q,
                                   .q_stride = k + 1,
                                   .queries = queries,
                                   .first = c.first,
                                   .last = c.last,
                                   .positions = c.positions,
                                   .bias_at = c.bias_at,
                                   .pages = pages,
                                   .first_position = base,
                                   .kv_type = type,
                                   .head_dim_k = k,
                                   .head_dim_v = v,
                                   .o_stride = v + 2};
    return c;
}

static void free_attention(attention_case *c) {
    free(c->q), free(c->slopes), free(c->keys), free(c->values), free(c->first), free(c->last),
        free(c->positions), free(c->bias), free(c->bias_at);
    for (size_t page = 0; page < c->tile.pages; page++) free(c->pages[0][page]), free(c->pages[1][page]);
}

/* m [queries], l [queries, 16], o [queries, v + 2] in one array of queries * (v + 19), gaps left at 77. */
static float *run_attention(const tfm__kernels *kernels, attention_case *c) {
    size_t queries = c->tile.queries, n = queries * (c->tile.head_dim_v + 19);
    float *result = take(n * 4);
    for (size_t i = 0; i < n; i++) result[i] = 77.0f;
    tfm__attention_tile tile = c->tile;
    tile.k_pages = (const void *const *)c->pages[0];
    tile.v_pages = (const void *const *)c->pages[1];
    tile.m = result;
    tile.l = result + queries;
    tile.o = result + 17 * queries;
    kernels->attention(&tile);
    return result;
}

/* softmax(q k) v in double for one query. */
static void exact_attention(const attention_case *c, size_t i, double *out) {
    const tfm__attention_tile *tile = &c->tile;
    double sum = 0, maximum = -(double)INFINITY;
    size_t slots = tile->pages * TFM__PAGE_TOKENS;
    for (int pass = 0; pass < 2; pass++) {
        if (pass) memset(out, 0, tile->head_dim_v * sizeof *out);
        for (size_t slot = 0; slot < slots; slot++) {
            uint32_t j = tile->first_position + (uint32_t)slot;
            if (j < tile->first[i] || j >= tile->last[i]) continue;
            double s = 0;
            for (size_t d = 0; d < tile->head_dim_k; d++) {
                s += (double)tile->q[i * tile->q_stride + d] * (double)c->keys[slot * tile->head_dim_k + d];
            }
            if (tile->soft_cap > 0) s = (double)tile->soft_cap * tanh(s / (double)tile->soft_cap);
            if (tile->slopes) s += (double)tile->slopes[i] * ((double)j - (double)tile->positions[i]);
            if (tile->bias) s += (double)tile->bias[tile->bias_at[i] + j];
            if (!pass)
                maximum = fmax(maximum, s);
            else {
                double p = exp(s - maximum);
                sum += p;
                for (size_t d = 0; d < tile->head_dim_v; d++)
                    out[d] += p * (double)c->values[slot * tile->head_dim_v + d];
            }
        }
    }
    for (size_t d = 0; d < tile->head_dim_v; d++) out[d] /= sum > 0 ? sum : 1;
}

/* Vectors of any size come back as ggml's blocks of their padded selves give them. */
static void test_quantised_cache(void **state) {
    (void)state;
    static const uint32_t types[] = {TFM__Q8_0, TFM__Q4_0};
    static const size_t sizes[] = {1, 15, 16, 17, 31, 32, 33, 48, 64, 80, 100, 128, 250};
    float x[256], padded[256], want[256], got[TFM__PAGE_TOKENS];
    uint8_t blocks[8 * 34];
    for (size_t i = 0; i < 2 * TFM__COUNT(sizes); i++) {
        uint32_t type = types[i % 2];
        size_t n = sizes[i / 2], whole = (n + 31) / 32 * 32, slot = random_below(TFM__PAGE_TOKENS);
        size_t bytes = tfm__cache_slot_bytes(type, n) * TFM__PAGE_TOKENS;
        uint64_t row = 0;
        assert_true(tfm__row_bytes(type, whole, &row));
        assert_int_equal(bytes, row * TFM__PAGE_TOKENS);
        uint8_t *keys = calloc(1, bytes), *values = calloc(1, bytes);
        assert_true(keys && values);
        fill_random(x, n);
        memset(padded, 0, sizeof padded);
        memcpy(padded, x, n * sizeof *x);
        tfm__quantize_rows(type, padded, 1, whole, NULL, blocks);
        reference.weights[type].to_f32(blocks, want, whole);
        tfm__cache_put_key(type, x, n, keys, slot);
        tfm__cache_put_value(type, x, n, values, slot);
        for (size_t d = 0; d < n; d++) {
            float value = tfm__cache_value(type, values, n, slot, d);
            tfm__cache_key_dim(type, keys, n, d, TFM__PAGE_TOKENS, got);
            same_bits("key", got + slot, want + d, 1);
            same_bits("value", &value, want + d, 1);
            if (slot) assert_true(got[slot - 1] == 0.0f);
        }
        x[n - 1] = INFINITY; /* is not hidden */
        tfm__cache_put_value(type, x, n, values, slot);
        assert_true(isnan(tfm__cache_value(type, values, n, slot, n - 1)));
        free(keys);
        free(values);
    }
}

static void test_attention_reference(void **state) {
    (void)state;
    double exact[512];
    for (int round = 0; round < 40; round++) {
        size_t pages = 1 + random_below(4), values = 1 + random_below(40), keys = 1 + random_below(40);
        attention_case c = make_attention(cache_types[round % 5], 9, keys, values, pages, round & 1);
        if (round & 2) c.tile.soft_cap = 2.0f;
        if (round & 4) c.tile.slopes = c.slopes;
        if (round & 8) c.tile.bias = c.bias;
        float *result = run_attention(&reference, &c);
        for (size_t i = 0; i < 9; i++) {
            exact_attention(&c, i, exact);
            double sum = 0;
            for (int lane = 0; lane < 16; lane++) sum += (double)result[9 + i * 16 + (size_t)lane];
            if (sum == 0) assert_true(result[i] == -INFINITY);
            for (size_t d = 0; d < c.tile.head_dim_v; d++) {
                double o = (double)result[17 * 9 + i * c.tile.o_stride + d] / (sum > 0 ? sum : 1);
                assert_true(fabs(o - exact[d]) < 5e-6);
            }
        }
        free(result);
        free_attention(&c);
    }
}

static void test_attention_variants(void **state) {
    (void)state;
    static const size_t dims[] = {1, 3, 16, 17, 40, 64, 80, 96, 128, 130, 200, 256, 512};
    static const size_t queries[] = {1, 2, 4, 5, 6, 7, 8, 13, 48, 49, 110};
    for (int round = 0; round < 200; round++) {
        size_t k = dims[random_below(round < 150 ? 9 : 13)], v = random_below(2) ? k : dims[random_below(11)];
        attention_case c = make_attention(cache_types[round % 5], queries[random_below(11)], k, v,
                                          1 + random_below(4), round & 1);
        if (round % 8 == 2) c.tile.soft_cap = 3.0f;
        if (round % 8 == 5) c.tile.slopes = c.slopes;
        if (round % 8 == 7) {
            c.tile.soft_cap = 1.5f;
            c.tile.slopes = c.slopes;
        }
        if (round % 5 == 3) c.tile.bias = c.bias;
        if (round % 9 == 4) sprinkle(c.q, c.tile.queries * (k + 1), 300);
        float *want = run_attention(&reference, &c);
        for (int i = 0; i < variant_count; i++) {
            float *got = run_attention(&variants[i], &c);
            same_bits(label(&variants[i], "attention", k, v), got, want, c.tile.queries * (v + 19));
            free(got);
        }
        free(want);
        free_attention(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16_exhaustive),
        cmocka_unit_test(test_conversions),
        cmocka_unit_test(test_product_reference),
        cmocka_unit_test(test_product_variants),
        cmocka_unit_test(test_product_splits),
        cmocka_unit_test(test_product_golden),
        cmocka_unit_test(test_norms),
        cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_elementary_bits),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_quantised_cache),
        cmocka_unit_test(test_attention_reference),
        cmocka_unit_test(test_attention_variants),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
