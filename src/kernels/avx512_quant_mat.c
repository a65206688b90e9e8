/* avx512_quant_mat.c - quantised products with several tokens for AVX-512 with VNNI. Called from
 * avx512_quant.c.
 *
 * A panel of 32 rows is packed once per slab of k and multiplied by tiles of up to 6 tokens: 12 sums of 16
 * rows in registers, one VPDPBUSD for 16 rows x 4 values of k, the activation broadcast. Where a format's
 * sub-scales fit into the byte together with the value (Q2_K: at most 45; Q3_K: -124 .. 128), they are
 * multiplied in while packing. Bias of unsigned weights: the sums begin at -bias * (sum of the activations).
 * Order of operations: kernels.h. */
#include "kernels/avx512_vocabulary.h"
#include "kernels/quant_blocks.h"
#include "kernels/quant_lanes.h"
#include "kernels/avx512_quant.h"

#define TILE 6
#define PRESCALED_Q3_BIAS 124

#define NEEDS_SCALE_PAIRS(type) false
#define IS_PRESCALED(type) ((type) == TFM__Q2_K || (type) == TFM__Q3_K)

/* One of two 16-bit scales as 32 bits. */
INLINE vec v_sub_scale(vec pair, int odd) {
    return _mm512_srai_epi32(odd ? pair : _mm512_slli_epi32(pair, 16), 16);
}

/* Bytes times one of two scales: Q2_K as it is, Q3_K as (w - 4) * scale + 124, all modulo 256. */
INLINE vec v_prescale(uint32_t type, vec w, vec pair, int odd) {
    const int at = odd ? 2 : 0;
    vec rows = v_set64((int64_t)0x0404040400000000, 0x0c0c0c0c08080808);
    vec bytes = v_shuffle(pair, v_add8(rows, v_set8(at)));
    vec shorts = v_shuffle(pair, v_add8(rows, v_set16((at + 1) << 8 | at)));
    if (type == TFM__Q2_K) return v_mul16(w, shorts);
    vec even = v_and(v_mul16(v_and(w, v_set16(0x00ff)), shorts), v_set16(0x00ff));
    vec high = v_mul16(v_and(w, v_set16(0xff00)), shorts);
    vec offset = v_sub8(v_set8(PRESCALED_Q3_BIAS), v_sll16(v_and(bytes, v_set8(63)), 2));
    return v_add8(v_or(even, high), offset);
}

#include "kernels/quant_panels.h"

/* sums[t][v] += the weights of `steps` steps from `step` on times the activations there. */
INLINE void dot_steps(vec sums[TILE][VECTORS], const panel *w, const tile *x, const int tokens, size_t step,
                      const int steps) {
    UNROLL for (int s = 0; s < steps; s++) {
        const vec *q = w->q + (step + (size_t)s) * VECTORS;
        vec w0 = q[0], w1 = q[1];
        UNROLL for (int t = 0; t < tokens; t++) {
            vec values = four_values(x->q[t] + (step + (size_t)s) * 4);
            sums[t][0] = _mm512_dpbusd_epi32(sums[t][0], w0, values);
            sums[t][1] = _mm512_dpbusd_epi32(sums[t][1], w1, values);
        }
    }
}

/* Formats whose blocks (of 32, or of 256 with the scales multiplied in) are one run of steps. */
INLINE void tile_of_blocks(const int form, const int tokens, const panel *w, const tile *x, size_t width,
                           const target *to) {
    const int block = form == FORM_32 || form == FORM_32_MINIMUMS ? 32 : 256;
    fvec totals[TILE][VECTORS];
    begin_totals(totals, tokens, to);
    for (size_t b = 0; b < width / (size_t)block; b++) {
        vec sums[TILE][VECTORS];
        UNROLL for (int t = 0; t < tokens; t++) sums[t][0] = sums[t][1] =
            form == FORM_32 || form == FORM_256 ? v_set32(x->start[t][b]) : v_zero();
        for (size_t s = 0; s < (size_t)block / 4; s += 8) {
            prefetch_ahead(x, b * (size_t)block / 32 + s / 8);
            dot_steps(sums, w, x, tokens, b * (size_t)block / 4 + s, 8);
        }
        UNROLL for (int t = 0; t < tokens; t++) {
            fvec dx = f_set(x->scales[t][b]);
            UNROLL for (int v = 0; v < VECTORS; v++) {
                fvec d = w->d[b * VECTORS + (size_t)v];
                totals[t][v] = f_fma(f_mul(d, dx), f_from(sums[t][v]), totals[t][v]);
                if (form == FORM_32_MINIMUMS)
                    totals[t][v] =
                        f_fma(f_mul(w->m[b * VECTORS + (size_t)v], dx), f_set(x->sums[t][b]), totals[t][v]);
            }
        }
        if (form == FORM_256_MINIMUMS) subtract_minimums(totals, w, x, tokens, b, 8);
    }
    end_totals(totals, tokens, to);
}

/* Super-blocks with sub-scales: the sum of each run of 32 or 16 is multiplied by its scale as integers. */
INLINE void tile_of_subs(const int form, const int tokens, const panel *w, const tile *x, size_t width,
                         const target *to) {
    const int steps = form == FORM_SUB_16 ? 4 : 8;
    const size_t subs = form == FORM_SUB_16 ? 16 : 8;
    fvec totals[TILE][VECTORS];
    begin_totals(totals, tokens, to);
    for (size_t b = 0; b < width / 256; b++) {
        vec scaled[TILE][VECTORS];
        UNROLL for (int t = 0; t < tokens; t++) scaled[t][0] = scaled[t][1] = v_zero();
        for (size_t i = b * subs; i < (b + 1) * subs; i++) {
            vec sums[TILE][VECTORS];
            if (steps == 8 || i % 2 == 0) prefetch_ahead(x, i * (size_t)steps / 8);
            UNROLL for (int t = 0; t < tokens; t++) sums[t][0] = sums[t][1] =
                form == FORM_SUB_32_MINIMUMS ? v_zero() : v_set32(x->start[t][i]);
            dot_steps(sums, w, x, tokens, i * (size_t)steps, steps);
            UNROLL for (int t = 0; t < tokens; t++) {
                UNROLL for (int v = 0; v < VECTORS; v++) scaled[t][v] = _mm512_add_epi32(
                    scaled[t][v], _mm512_mullo_epi32(sums[t][v], w->sub[i * VECTORS + (size_t)v]));
            }
        }
        UNROLL for (int t = 0; t < tokens; t++) {
            fvec dx = f_set(x->scales[t][b]);
            UNROLL for (int v = 0; v < VECTORS; v++) totals[t][v] =
                f_fma(f_mul(w->d[b * VECTORS + (size_t)v], dx), f_from(scaled[t][v]), totals[t][v]);
        }
        if (form == FORM_SUB_32_MINIMUMS) subtract_minimums(totals, w, x, tokens, b, 4);
    }
    end_totals(totals, tokens, to);
}

#define TILE_KERNELS(name, body, form)                                                                       \
    TILE_KERNEL(name, 1, body, form)                                                                         \
    TILE_KERNEL(name, 2, body, form)                                                                         \
    TILE_KERNEL(name, 3, body, form)                                                                         \
    TILE_KERNEL(name, 4, body, form)                                                                         \
    TILE_KERNEL(name, 5, body, form)                                                                         \
    TILE_KERNEL(name, 6, body, form)                                                                         \
    static const tile_kernel name[TILE + 1] = {NULL,     name##_1, name##_2, name##_3,                       \
                                               name##_4, name##_5, name##_6};

TILE_KERNELS(kernels_32, tile_of_blocks, FORM_32)
TILE_KERNELS(kernels_32_minimums, tile_of_blocks, FORM_32_MINIMUMS)
TILE_KERNELS(kernels_256, tile_of_blocks, FORM_256)
TILE_KERNELS(kernels_256_minimums, tile_of_blocks, FORM_256_MINIMUMS)
TILE_KERNELS(kernels_sub_32, tile_of_subs, FORM_SUB_32)
TILE_KERNELS(kernels_sub_32_minimums, tile_of_subs, FORM_SUB_32_MINIMUMS)
TILE_KERNELS(kernels_sub_16, tile_of_subs, FORM_SUB_16)

bool tfm__avx512_quant_matrix(const tfm__product *product, size_t row0, size_t row1) {
    if (row1 < PANEL_ROWS || product->tokens < 3 || product->k == 0) return false;
    switch (product->type) {
    case TFM__Q4_1:
    case TFM__Q5_1:
        matrix_product(product, row0, row1, FORM_32_MINIMUMS, 0, kernels_32_minimums);
        break;
    case TFM__Q2_K:
        matrix_product(product, row0, row1, FORM_256_MINIMUMS, 0, kernels_256_minimums);
        break;
    case TFM__Q3_K:
        matrix_product(product, row0, row1, FORM_256, PRESCALED_Q3_BIAS, kernels_256);
        break;
    case TFM__Q4_K:
    case TFM__Q5_K:
        matrix_product(product, row0, row1, FORM_SUB_32_MINIMUMS, 0, kernels_sub_32_minimums);
        break;
    case TFM__Q6_K:
        matrix_product(product, row0, row1, FORM_SUB_16, bias_of(TFM__Q6_K), kernels_sub_16);
        break;
    case TFM__IQ4_XS:
        matrix_product(product, row0, row1, FORM_SUB_32, bias_of(TFM__IQ4_XS), kernels_sub_32);
        break;
    default:
        matrix_product(product, row0, row1, FORM_32, bias_of(product->type), kernels_32);
        break;
    }
    return true;
}
