/* quantize.h - floats to the blocked weight formats, with and without an importance of each column.
 *
 * The bits are those of ggml's reference quantisers (its portable code, without fused multiply-adds): files
 * made here and there from the same weights are the same. Called by quant/, and for
 * keys and values that are kept in blocks (cache_blocks.c). */
#ifndef TFM__QUANTIZE_H
#define TFM__QUANTIZE_H

#include "base/dtype.h"

/* True for the types that tfm__quantize_rows makes: every type of weights. */
bool tfm__quantize_makes(uint32_t type);

/* x [rows, columns] to out, rows of tfm__row_bytes(type, columns) bytes. columns is a whole number of blocks.
 * importance [columns] says how much an error in a column counts (the mean square of what it is multiplied
 * with), or NULL; the types that have no use for it ignore it. All values of x finite. */
void tfm__quantize_rows(uint32_t type, const float *x, size_t rows, size_t columns, const float *importance,
                        uint8_t *out);

/* True if no scale in the rows has become infinite or NaN: weights too large for a type. */
bool tfm__quantize_fits(uint32_t type, const uint8_t *rows, size_t bytes);

/* ---- Fitting scales (quantize_fit.c) ---- */

/* A group smaller than this in every value is zero. */
#define TFM__FIT_NOTHING 1e-15f

/* To the nearest integer, ties to even; for |x| < 2^22. */
static inline int tfm__nearest(float x) {
    return (int)(tfm__bits_of_f32(x + 12582912.0f) & 0x7fffffu) - 0x400000;
}
static inline int tfm__clamp(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

/* x ~ scale * (level - top), levels 0 .. 2 top - 1: the scale and levels for the least weighted squared error
 * among 19 roundings. A group of zeros has levels and scale 0. */
float tfm__fit_symmetric(int n, int top, const float *x, const float *weight, uint8_t *level);

/* The same with weights x^2, by improving one level at a time. */
float tfm__fit_stepwise(int n, int top, const float *x, uint8_t *level);

/* How tfm__fit_affine searches: scales (least + step * i + top) / range, i = 0 .. steps. */
typedef struct tfm__fit_search {
    float least, step;
    int steps;
    bool absolute; /* weighted absolute error instead of the squared one */
} tfm__fit_search;

/* x ~ scale * level - *minimum with *minimum >= 0, levels 0 .. top; n at most 32. */
float tfm__fit_affine(int n, int top, const float *x, const float *weight, const tfm__fit_search *search,
                      uint8_t *level, float *minimum);

/* x ~ scale * level for x >= 0, levels 0 .. top. */
float tfm__fit_positive(int n, int top, const float *x, const float *weight, uint8_t *level);

/* ---- The formats (quantize_32.c, quantize_256.c) ---- */

void tfm__quantize_row_32(uint32_t type, const float *x, size_t columns, const float *importance,
                          uint8_t *out);
void tfm__quantize_row_256(uint32_t type, const float *x, size_t columns, const float *importance,
                           uint8_t *out);

/* IQ4's groups of 32 (quantize_32.c): the scale and the nearest of the 16 uneven values. */
float tfm__iq4_fit(const float *x, const float *weight);
uint8_t tfm__iq4_nearest(float x);

static inline void tfm__put_half(uint8_t *p, float value) {
    uint16_t half = tfm__f32_to_f16(value);
    p[0] = (uint8_t)half;
    p[1] = (uint8_t)(half >> 8);
}
static inline float tfm__get_half(const uint8_t *p) { return tfm__f16_to_f32(tfm__u16_le(p)); }

#endif
