/* avx2_quant.h - what avx2_quant.c asks of avx2_quant_mat.c. */
#ifndef TFM__AVX2_QUANT_H
#define TFM__AVX2_QUANT_H

#include "kernels/kernels.h"

/* A product with several tokens; false if the matrix or the batch is too small for it: then nothing was done.
 */
bool tfm__avx2_quant_matrix(const tfm__product *product, size_t row0, size_t row1);

#endif
