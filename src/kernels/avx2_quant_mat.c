/* avx2_quant_mat.c - quantised products with several tokens for AVX2. Called from avx2_quant.c.
 *
 * A panel of 16 rows is packed once per slab of k and multiplied by tiles of up to 3 tokens. Products of
 * bytes come as 16-bit sums of two; as many of them are added up as 16 bits hold (`group` steps), then
 * VPMADDWD multiplies by the sub-scale (or by 1) and widens. Values up to 15: 8 steps, 8 * 2 * 15 * 127 =
 * 30480; up to 31: 4 steps, 31496; up to 63: 2 steps, 32004. Group 0 stands for signed 8-bit values, widened
 * at every step.
 *
 * Order of operations: kernels.h. */
#include "kernels/avx2_vocabulary.h"
#include "kernels/quant_blocks.h"
#include "kernels/quant_lanes.h"
#include "kernels/avx2_quant.h"

#define TILE 3
#define IS_PRESCALED(type) false
#define NEEDS_SCALE_PAIRS(type) ((type) == TFM__Q3_K || (type) == TFM__Q6_K) /* to take their bias away */

/* One of two 16-bit scales, twice: VPMADDWD multiplies two neighbours by it. */
INLINE vec v_sub_scale(vec pair, int odd) {
    vec rows = v_set64(0x0404040400000000, 0x0c0c0c0c08080808);
    return v_shuffle(pair, v_add8(rows, v_set16(odd ? 0x0302 : 0x0100)));
}
INLINE vec v_prescale(uint32_t type, vec w, vec pair, int odd) {
    (void)type, (void)pair, (void)odd;
    return w;
}

#include "kernels/quant_panels.h"

/* sums[t][v] += scale[v] * (weights of `steps` steps from `step` on . the activations there) */
INLINE void dot_steps(vec sums[TILE][VECTORS], const panel *w, const tile *x, const int tokens, size_t step,
                      const int steps, const int group, const vec scale[VECTORS]) {
    if (group == 0) {
        UNROLL for (int s = 0; s < steps; s++) {
            size_t at = step + (size_t)s;
            vec w0 = w->q[at * VECTORS], w1 = w->q[at * VECTORS + 1];
            vec a0 = _mm256_abs_epi8(w0), a1 = _mm256_abs_epi8(w1);
            UNROLL for (int t = 0; t < tokens; t++) {
                vec values = four_values(x->q[t] + at * 4);
                sums[t][0] = v_dpw(sums[t][0], v_maddubs(a0, _mm256_sign_epi8(values, w0)), scale[0]);
                sums[t][1] = v_dpw(sums[t][1], v_maddubs(a1, _mm256_sign_epi8(values, w1)), scale[1]);
                IN_ORDER(sums[t][0]);
                IN_ORDER(sums[t][1]);
            }
        }
        return;
    }
    UNROLL for (int g = 0; g < steps; g += group) {
        vec pairs[TILE][VECTORS];
        UNROLL for (int s = g; s < g + group; s++) {
            size_t at = step + (size_t)s;
            vec w0 = w->q[at * VECTORS], w1 = w->q[at * VECTORS + 1];
            UNROLL for (int t = 0; t < tokens; t++) {
                vec values = four_values(x->q[t] + at * 4);
                vec p0 = v_maddubs(w0, values), p1 = v_maddubs(w1, values);
                pairs[t][0] = s == g ? p0 : v_add16(pairs[t][0], p0);
                pairs[t][1] = s == g ? p1 : v_add16(pairs[t][1], p1);
                IN_ORDER(pairs[t][0]);
                IN_ORDER(pairs[t][1]);
            }
        }
        UNROLL for (int t = 0; t < tokens; t++) {
            UNROLL for (int v = 0; v < VECTORS; v++) {
                sums[t][v] = v_dpw(sums[t][v], pairs[t][v], scale[v]);
                IN_ORDER(sums[t][v]);
            }
        }
    }
}

/* Formats with a scale per 32 values. */
INLINE void tile_of_blocks(const int form, const int group, const int tokens, const panel *w, const tile *x,
                           size_t width, const target *to) {
    const vec ones[VECTORS] = {v_set16(1), v_set16(1)};
    fvec totals[TILE][VECTORS];
    begin_totals(totals, tokens, to);
    for (size_t b = 0; b < width / 32; b++) {
        vec sums[TILE][VECTORS];
        prefetch_ahead(x, b);
        UNROLL for (int t = 0; t < tokens; t++) sums[t][0] = sums[t][1] =
            form == FORM_32_MINIMUMS ? v_zero() : v_set32(x->start[t][b]);
        dot_steps(sums, w, x, tokens, b * 8, 8, group, ones);
        UNROLL for (int t = 0; t < tokens; t++) {
            fvec dx = f_set(x->scales[t][b]);
            UNROLL for (int v = 0; v < VECTORS; v++) {
                size_t at = b * VECTORS + (size_t)v;
                totals[t][v] = f_fma(f_mul(w->d[at], dx), f_from(sums[t][v]), totals[t][v]);
                if (form == FORM_32_MINIMUMS)
                    totals[t][v] = f_fma(f_mul(w->m[at], dx), f_set(x->sums[t][b]), totals[t][v]);
            }
        }
    }
    end_totals(totals, tokens, to);
}

/* Super-blocks with sub-scales. The bias of Q3_K and Q6_K is taken away as bias * (scales . sums) at the end.
 */
INLINE void tile_of_subs(const int form, const int group, const int bias_bits, const int tokens,
                         const panel *w, const tile *x, size_t width, const target *to) {
    const bool short_runs = form == FORM_SUB_16 || form == FORM_SUB_16_MINIMUMS;
    const size_t steps = short_runs ? 4 : 8, subs = short_runs ? 16 : 8;
    fvec totals[TILE][VECTORS];
    begin_totals(totals, tokens, to);
    for (size_t b = 0; b < width / 256; b++) {
        vec sums[TILE][VECTORS];
        if (form == FORM_SUB_16) {
            dot_pairs(sums, w, x, tokens, b, 8);
            UNROLL for (int t = 0; t < tokens; t++) {
                UNROLL for (int v = 0; v < VECTORS; v++) sums[t][v] =
                    v_sub32(v_zero(), v_sll32(sums[t][v], bias_bits));
            }
        } else {
            UNROLL for (int t = 0; t < tokens; t++) sums[t][0] = sums[t][1] = v_zero();
        }
        for (size_t i = b * subs; i < (b + 1) * subs; i++) {
            if (steps == 8 || i % 2 == 0) prefetch_ahead(x, i * steps / 8);
            dot_steps(sums, w, x, tokens, i * steps, (int)steps, group, w->sub + i * VECTORS);
        }
        UNROLL for (int t = 0; t < tokens; t++) {
            fvec dx = f_set(x->scales[t][b]);
            UNROLL for (int v = 0; v < VECTORS; v++) totals[t][v] =
                f_fma(f_mul(w->d[b * VECTORS + (size_t)v], dx), f_from(sums[t][v]), totals[t][v]);
        }
        if (form == FORM_SUB_32_MINIMUMS) subtract_minimums(totals, w, x, tokens, b, 4);
        if (form == FORM_SUB_16_MINIMUMS) subtract_minimums(totals, w, x, tokens, b, 8);
    }
    end_totals(totals, tokens, to);
}

#define TILE_KERNELS(name, ...)                                                                              \
    TILE_KERNEL(name, 1, __VA_ARGS__)                                                                        \
    TILE_KERNEL(name, 2, __VA_ARGS__)                                                                        \
    TILE_KERNEL(name, 3, __VA_ARGS__)                                                                        \
    static const tile_kernel name[TILE + 1] = {NULL, name##_1, name##_2, name##_3};

TILE_KERNELS(kernels_4, tile_of_blocks, FORM_32, 8)
TILE_KERNELS(kernels_5, tile_of_blocks, FORM_32, 4)
TILE_KERNELS(kernels_8, tile_of_blocks, FORM_32, 0)
TILE_KERNELS(kernels_4_minimums, tile_of_blocks, FORM_32_MINIMUMS, 8)
TILE_KERNELS(kernels_5_minimums, tile_of_blocks, FORM_32_MINIMUMS, 4)
TILE_KERNELS(kernels_q2_k, tile_of_subs, FORM_SUB_16_MINIMUMS, 4, 0)
TILE_KERNELS(kernels_q3_k, tile_of_subs, FORM_SUB_16, 4, 2)
TILE_KERNELS(kernels_q4_k, tile_of_subs, FORM_SUB_32_MINIMUMS, 8, 0)
TILE_KERNELS(kernels_q5_k, tile_of_subs, FORM_SUB_32_MINIMUMS, 4, 0)
TILE_KERNELS(kernels_q6_k, tile_of_subs, FORM_SUB_16, 2, 5)
TILE_KERNELS(kernels_iq4_xs, tile_of_subs, FORM_SUB_32, 0, 0)

bool tfm__avx2_quant_matrix(const tfm__product *product, size_t row0, size_t row1) {
    if (row1 < PANEL_ROWS || product->tokens < 3 || product->k == 0) return false;
    switch (product->type) {
    case TFM__Q4_0:
        matrix_product(product, row0, row1, FORM_32, 8, kernels_4);
        break;
    case TFM__Q4_1:
        matrix_product(product, row0, row1, FORM_32_MINIMUMS, 0, kernels_4_minimums);
        break;
    case TFM__Q5_0:
        matrix_product(product, row0, row1, FORM_32, 16, kernels_5);
        break;
    case TFM__Q5_1:
        matrix_product(product, row0, row1, FORM_32_MINIMUMS, 0, kernels_5_minimums);
        break;
    case TFM__MXFP4:
        matrix_product(product, row0, row1, FORM_32, 12, kernels_5);
        break;
    case TFM__Q8_0:
    case TFM__IQ4_NL:
        matrix_product(product, row0, row1, FORM_32, 0, kernels_8);
        break;
    case TFM__Q2_K:
        matrix_product(product, row0, row1, FORM_SUB_16_MINIMUMS, 0, kernels_q2_k);
        break;
    case TFM__Q3_K:
        matrix_product(product, row0, row1, FORM_SUB_16, 4, kernels_q3_k);
        break;
    case TFM__Q4_K:
        matrix_product(product, row0, row1, FORM_SUB_32_MINIMUMS, 0, kernels_q4_k);
        break;
    case TFM__Q5_K:
        matrix_product(product, row0, row1, FORM_SUB_32_MINIMUMS, 0, kernels_q5_k);
        break;
    case TFM__Q6_K:
        matrix_product(product, row0, row1, FORM_SUB_16, 32, kernels_q6_k);
        break;
    default:
        matrix_product(product, row0, row1, FORM_SUB_32, 0, kernels_iq4_xs);
        break;
    }
    return true;
}
