/* avx512_quant.h - what avx512_quant.c asks of avx512_quant_mat.c. */
#ifndef TFM__AVX512_QUANT_H
#define TFM__AVX512_QUANT_H

#include "kernels/kernels.h"

/* A product with several tokens; false if the matrix or the batch is too small for it: then nothing was done.
 */
bool tfm__avx512_quant_matrix(const tfm__product *product, size_t row0, size_t row1);

#endif
