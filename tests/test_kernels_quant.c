/* test_kernels_quant.c - the quantised kernels: values of every format against an independent implementation,
 * the reference against sums in double precision, and every instruction set against the reference, bit for
 * bit. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/quant_blocks.h"

static const uint32_t types[] = {TFM__Q4_0,   TFM__Q4_1,  TFM__Q5_0,  TFM__Q5_1, TFM__Q8_0,
                                 TFM__IQ4_NL, TFM__MXFP4, TFM__Q2_K,  TFM__Q3_K, TFM__Q4_K,
                                 TFM__Q5_K,   TFM__Q6_K,  TFM__IQ4_XS};

typedef struct shape {
    size_t block, bytes;
    size_t halves[2]; /* where half-precision scales lie, or NONE */
} shape;
#define NONE 9999

static shape shape_of(uint32_t type) {
    switch (type) {
    case TFM__Q4_0:
        return (shape){32, TFM__Q4_0_BYTES, {0, NONE}};
    case TFM__Q4_1:
        return (shape){32, TFM__Q4_1_BYTES, {0, 2}};
    case TFM__Q5_0:
        return (shape){32, TFM__Q5_0_BYTES, {0, NONE}};
    case TFM__Q5_1:
        return (shape){32, TFM__Q5_1_BYTES, {0, 2}};
    case TFM__Q8_0:
        return (shape){32, TFM__Q8_0_BYTES, {0, NONE}};
    case TFM__IQ4_NL:
        return (shape){32, TFM__IQ4_NL_BYTES, {0, NONE}};
    case TFM__MXFP4:
        return (shape){32, TFM__MXFP4_BYTES, {NONE, NONE}};
    case TFM__Q2_K:
        return (shape){256, TFM__Q2_K_BYTES, {80, 82}};
    case TFM__Q3_K:
        return (shape){256, TFM__Q3_K_BYTES, {108, NONE}};
    case TFM__Q4_K:
        return (shape){256, TFM__Q4_K_BYTES, {0, 2}};
    case TFM__Q5_K:
        return (shape){256, TFM__Q5_K_BYTES, {0, 2}};
    case TFM__Q6_K:
        return (shape){256, TFM__Q6_K_BYTES, {208, NONE}};
    default:
        return (shape){256, TFM__IQ4_XS_BYTES, {0, NONE}};
    }
}

/* The tables of the instruction sets that this processor has; the first is the reference. */
static tfm__kernels tables[3];
static int table_count;

static int fill_tables(void **state) {
    (void)state;
    tfm__kernels_ref_quant(&tables[0]);
    table_count = 1;
#if defined(__x86_64__) || defined(_M_X64)
    if (tfm__cpu_has_isa(TFM__ISA_AVX2)) {
        tfm__kernels *table = &tables[table_count++];
        tfm__kernels_ref_quant(table);
        tfm__kernels_avx2_quant(table);
        table->isa = TFM__ISA_AVX2;
    }
    if (tfm__cpu_has_isa(TFM__ISA_AVX512)) {
        tfm__kernels *table = &tables[table_count++];
        tfm__kernels_ref_quant(table);
        tfm__kernels_avx2_quant(table);
        tfm__kernels_avx512_quant(table);
        table->isa = TFM__ISA_AVX512;
    }
#elif TFM__AARCH64
    for (int isa = TFM__ISA_NEON; isa <= TFM__ISA_DOTPROD; isa++) {
        if (tfm__cpu_has_isa(isa)) tfm__kernels_fill(&tables[table_count++], isa);
    }
#endif
    return 0;
}

static uint64_t random_state = 88172645463325252u;

static uint32_t random_u32(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16);
}

static float random_float(void) { return (float)(int32_t)random_u32() * 0x1p-31f; }

static bool same_bits(float a, float b) {
    return tfm__bits_of_f32(a) == tfm__bits_of_f32(b) || (isnan(a) && isnan(b));
}

/* Equal bits, any NaN like any other. */
static void check_same(const float *a, const float *b, size_t n, uint32_t type, int isa, const char *what) {
    for (size_t i = 0; i < n; i++)
        if (!same_bits(a[i], b[i]))
            fail_msg("%s of type %u on %s: [%zu] is %a, reference %a", what, type, tfm__isa_name(isa), i,
                     (double)b[i], (double)a[i]);
}

/* ---- Values of the formats ----------------------------------------------------------------------------- */

static void test_values(void **state) {
    (void)state;
    FILE *file = fopen(TFM_TEST_DATA "/kernels/quant_rows.bin", "rb");
    assert_non_null(file);
    static uint8_t raw[4096];
    static float expected[1024], got[1024];
    uint32_t header[3], seen = 0;
    while (fread(header, 4, 3, file) == 3) {
        uint32_t type = header[0];
        size_t n = header[1];
        assert_true(header[2] <= sizeof raw && n <= 1024);
        assert_int_equal(header[2], n / shape_of(type).block * shape_of(type).bytes);
        assert_int_equal(fread(raw, 1, header[2], file), header[2]);
        assert_int_equal(fread(expected, 4, n, file), n);
        for (int table = 0; table < table_count; table++) {
            memset(got, 0xaa, sizeof got);
            tables[table].weights[type].to_f32(raw, got, n);
            check_same(expected, got, n, type, tables[table].isa, "value");
            assert_int_equal(tfm__bits_of_f32(got[n]), 0xaaaaaaaau); /* nothing is written past the end */
        }
        seen++;
    }
    fclose(file);
    assert_int_equal(seen, TFM__COUNT(types));
}

/* ---- Activations --------------------------------------------------------------------------------------- */

enum { PLAIN, WIDE, LARGEST, ZERO, ODD, WITH_NAN, WITH_INFINITY, TINY, ACTIVATION_KINDS };

static void make_floats(float *x, size_t k, int kind) {
    for (size_t i = 0; i < k; i++) {
        x[i] = random_float();
        if (kind == WIDE) x[i] = ldexpf(x[i], (int)(random_u32() % 40) - 20);
        if (kind == LARGEST) x[i] = random_u32() & 1 ? 3.5f : -3.5f;
        if (kind == ZERO) x[i] = random_u32() & 1 ? 0.0f : -0.0f;
        if (kind == ODD) x[i] = (float)(int)(random_u32() % 255) - 127.0f + (random_u32() & 1 ? 0.5f : 0.0f);
        if (kind == TINY) x[i] *= 1e-39f;
    }
    if (kind == WITH_NAN)
        x[random_u32() % k] = tfm__f32_of_bits(random_u32() & 1 ? 0x7fc00001u : 0xffc00000u);
    if (kind == WITH_INFINITY) x[random_u32() % k] = random_u32() & 1 ? INFINITY : -INFINITY;
}

static void test_quantise(void **state) {
    (void)state;
    static float x[1024];
    static _Alignas(64) uint8_t rows[3][2048];
    for (int format = TFM__ACT_Q8_32; format <= TFM__ACT_Q8_256; format++) {
        size_t block = format == TFM__ACT_Q8_32 ? 32 : 256;
        for (int kind = 0; kind < ACTIVATION_KINDS; kind++) {
            for (size_t k = block; k <= 1024; k += block) {
                size_t planes = k + k / block * 4 + (block == 32 ? k / 32 * 4 : k / 16 * 2);
                assert_int_equal(tfm__activation_bytes(format, k), (planes + 63) / 64 * 64);
                make_floats(x, k, kind);
                for (int table = 0; table < table_count; table++) {
                    memset(rows[table], 0x55, sizeof rows[table]);
                    tables[table].quantise[format](x, rows[table], k);
                    assert_memory_equal(rows[0], rows[table], planes);
                    assert_int_equal(rows[table][(planes + 63) / 64 * 64], 0x55);
                }
                for (size_t b = 0; b < k / block; b++) { /* what the format promises, said in another way */
                    const int8_t *q = (const int8_t *)rows[0] + b * block;
                    float scale = tfm__act_scales(rows[0], k)[b], amax = 0;
                    bool finite = true;
                    for (size_t i = 0; i < block; i++) {
                        finite = finite && isfinite(x[b * block + i]);
                        amax = fmaxf(amax, fabsf(x[b * block + i]));
                    }
                    assert_int_equal(finite, isfinite(scale) != 0);
                    int sum = 0, stored = 0;
                    for (size_t i = 0; i < block; i++) {
                        sum += q[i];
                        assert_true(q[i] >= -127);
                        if (finite && amax > 1e-30f)
                            assert_true(fabs((double)q[i] * scale - x[b * block + i]) <= 0.50001 * scale);
                        else
                            assert_int_equal(q[i], 0);
                    }
                    if (block == 32) stored = tfm__act_sums32(rows[0], k)[b];
                    for (size_t s = 0; block == 256 && s < 16; s++)
                        stored += tfm__act_sums16(rows[0], k)[16 * b + s];
                    assert_int_equal(sum, stored);
                }
            }
        }
    }
}

/* ---- Products ------------------------------------------------------------------------------------------ */

enum { MAX_ROWS = 200, MAX_TOKENS = 40, MAX_K = 1536 };

typedef struct arena {
    uint8_t *weights; /* products lie at the end or a little before it: sanitizers see reads past it */
    uint8_t *x;
    float *y[3], bias[MAX_ROWS];
} arena;

static arena store;

enum { WEIGHT_BYTES = MAX_ROWS * (MAX_K / 32 * 34 + 64) + 64 };

static int make_store(void **state) {
    store.weights = malloc(WEIGHT_BYTES);
    store.x = aligned_alloc(64, MAX_TOKENS * (MAX_K * 2 + 128));
    for (int i = 0; i < 3; i++) store.y[i] = malloc(4 * (MAX_ROWS + 7) * MAX_TOKENS);
    return store.weights && store.x && store.y[2] ? fill_tables(state) : -1;
}

static int free_store(void **state) {
    (void)state;
    free(store.weights);
    free(store.x);
    for (int i = 0; i < 3; i++) free(store.y[i]);
    return 0;
}

enum { RANDOM, ALL_ONES, ALL_ZEROS, LOWEST_BYTES, ANY_SCALE, WEIGHT_KINDS };

/* Random blocks with scales of ordinary size, or extreme ones. */
static void make_weights(uint8_t *weights, size_t rows, size_t stride, size_t k, uint32_t type, int kind) {
    shape s = shape_of(type);
    size_t row_bytes = k / s.block * s.bytes;
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < (r + 1 < rows ? stride : row_bytes); i++) {
            uint8_t byte = (uint8_t)random_u32();
            if (kind == ALL_ONES) byte = 0xff;
            if (kind == ALL_ZEROS) byte = 0;
            if (kind == LOWEST_BYTES) byte = 0x80;
            weights[r * stride + i] = byte;
        }
        for (size_t b = 0; b < k / s.block && kind != ANY_SCALE; b++) {
            uint8_t *block = weights + r * stride + b * s.bytes;
            for (int h = 0; h < 2; h++) {
                if (s.halves[h] == NONE) continue;
                uint16_t half = tfm__f32_to_f16(random_float() * 0.1f);
                block[s.halves[h]] = (uint8_t)half;
                block[s.halves[h] + 1] = (uint8_t)(half >> 8);
            }
            if (type == TFM__MXFP4) block[0] = (uint8_t)(120 + random_u32() % 10);
        }
    }
}

/* One product on every instruction set, cut at row `cut` (0: whole), compared with the reference. */
static void check_product(tfm__product product, size_t rows, size_t cut) {
    size_t bytes = product.tokens * product.y_stride * sizeof(float);
    for (int table = 0; table < table_count; table++) {
        product.y = store.y[table];
        memset(product.y, 0x77, bytes);
        if (cut) tables[table].weights[product.type].product(&product, 0, cut);
        tables[table].weights[product.type].product(&product, cut, rows);
        for (size_t t = 0; t < product.tokens; t++) {
            check_same(store.y[0] + t * product.y_stride, product.y + t * product.y_stride, rows,
                       product.type, tables[table].isa, "product");
            for (size_t r = rows; r < product.y_stride; r++) /* the gap between rows of y is left alone */
                assert_int_equal(tfm__bits_of_f32(product.y[t * product.y_stride + r]), 0x77777777u);
        }
    }
}

static tfm__product make_product(uint32_t type, size_t rows, size_t tokens, size_t k, int weight_kind,
                                 int x_kind) {
    static float x[MAX_K];
    shape s = shape_of(type);
    tfm__product product = {.type = type, .k = k, .tokens = tokens};
    product.row_stride = k / s.block * s.bytes + random_u32() % 3 * 7;
    size_t bytes = (rows - 1) * product.row_stride + k / s.block * s.bytes;
    uint8_t *weights = store.weights + WEIGHT_BYTES - bytes - (random_u32() & 1 ? random_u32() % 64 : 0);
    make_weights(weights, rows, product.row_stride, k, type, weight_kind);
    product.weights = weights;
    int format = tables[0].weights[type].activation;
    product.x = store.x;
    product.x_stride = tfm__activation_bytes(format, k) + random_u32() % 2 * 64;
    for (size_t t = 0; t < tokens; t++) {
        make_floats(x, k, x_kind);
        tables[0].quantise[format](x, store.x + t * product.x_stride, k);
    }
    for (size_t r = 0; r < rows; r++) store.bias[r] = random_float();
    product.bias = random_u32() & 1 ? store.bias : NULL;
    product.y_stride = rows + random_u32() % 7;
    return product;
}

static void test_same_bits(void **state) {
    (void)state;
    static const size_t ks[] = {32, 64, 96, 256, 512, 544, 768, 1536};
    for (size_t i = 0; i < TFM__COUNT(types); i++) {
        for (size_t j = 0; j < TFM__COUNT(ks); j++) {
            if (ks[j] % shape_of(types[i]).block) continue;
            for (size_t rows = 1; rows <= 70; rows += rows < 36 ? 1 : 7) {
                size_t tokens = (rows + j) % 9 + 1;
                check_product(make_product(types[i], rows, 1, ks[j], RANDOM, WIDE), rows, rows > 32 ? 16 : 0);
                check_product(make_product(types[i], rows, tokens, ks[j], RANDOM, PLAIN), rows,
                              rows > 64 ? 64 : 0);
            }
            check_product(make_product(types[i], MAX_ROWS, 17, ks[j], RANDOM, PLAIN), MAX_ROWS, 64);
            check_product(make_product(types[i], 129, MAX_TOKENS, ks[j], RANDOM, WIDE), 129, 128);
        }
    }
}

/* Extreme bytes, extreme activations, NaN and infinity on either side. */
static void test_extremes(void **state) {
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(types); i++)
        for (int weight_kind = 0; weight_kind < WEIGHT_KINDS; weight_kind++)
            for (int x_kind = 0; x_kind < ACTIVATION_KINDS; x_kind++) {
                check_product(make_product(types[i], 37, 1, 512, weight_kind, x_kind), 37, 0);
                check_product(make_product(types[i], 37, 7, 512, weight_kind, x_kind), 37, 0);
            }
}

/* The same bits however many tokens go together. */
static void test_tokens_alone(void **state) {
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(types); i++) {
        tfm__product product = make_product(types[i], 80, 13, 768, RANDOM, PLAIN);
        for (int table = 0; table < table_count; table++) {
            product.y = store.y[0];
            product.tokens = 13;
            tables[table].weights[types[i]].product(&product, 0, 80);
            for (size_t t = 0; t < 13; t++) {
                tfm__product one = product;
                one.tokens = 1;
                one.x = (const char *)product.x + t * product.x_stride;
                one.y = store.y[1];
                tables[table].weights[types[i]].product(&one, 0, 80);
                check_same(store.y[0] + t * product.y_stride, one.y, 80, types[i], tables[table].isa,
                           "token");
            }
        }
    }
}

/* The reference against the values it stands for, multiplied in double precision. */
static void test_reference(void **state) {
    (void)state;
    static float w[MAX_K];
    for (size_t i = 0; i < TFM__COUNT(types); i++) {
        tfm__product product = make_product(types[i], 20, 3, 768, RANDOM, PLAIN);
        const tfm__weight_kernels *kernels = &tables[0].weights[types[i]];
        size_t block = kernels->activation == TFM__ACT_Q8_32 ? 32 : 256;
        product.y = store.y[0];
        kernels->product(&product, 0, 20);
        for (size_t r = 0; r < 20; r++) {
            kernels->to_f32((const uint8_t *)product.weights + r * product.row_stride, w, 768);
            for (size_t t = 0; t < 3; t++) {
                const char *x = (const char *)product.x + t * product.x_stride;
                double sum = product.bias ? product.bias[r] : 0, size = fabs(sum);
                for (size_t j = 0; j < 768; j++) {
                    double term = (double)w[j] * ((const int8_t *)x)[j] * tfm__act_scales(x, 768)[j / block];
                    sum += term;
                    size += fabs(term);
                }
                float y = product.y[t * product.y_stride + r];
                if (!(fabs(y - sum) <= 2e-6 * size))
                    fail_msg("type %u: %g, should be %g", types[i], (double)y, sum);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_quantise),
        cmocka_unit_test(test_reference),    cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_tokens_alone), cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, make_store, free_store);
}
