/* avx512_quant.c - the quantised kernels for AVX-512 with VNNI: the table entries and products with one token. The
 * bodies are quant_lanes.h; products with several tokens are in avx512_quant_mat.c. Order of operations: kernels.h. */
#include "kernels/avx512_quant.h"
#include "kernels/avx512_vocabulary.h"
#include "kernels/quant_blocks.h"
#include "kernels/quant_lanes.h"

#define PRODUCT(name, type, body)                                                                              \
    static fvec group_##name(const uint8_t *p, size_t stride, size_t k, const void *x, const uint8_t *ahead) {  \
        return body(type, p, stride, k, x, ahead);                                                             \
    }                                                                                                          \
    static void product_##name(const tfm__product *product, size_t row0, size_t row1) {                        \
        if (!tfm__avx512_quant_matrix(product, row0, row1))                                                    \
            vector_product(product, row0, row1, group_##name);                                                   \
    }

PRODUCT(q4_0, TFM__Q4_0, vector_32)
PRODUCT(q4_1, TFM__Q4_1, vector_32)
PRODUCT(q5_0, TFM__Q5_0, vector_32)
PRODUCT(q5_1, TFM__Q5_1, vector_32)
PRODUCT(q8_0, TFM__Q8_0, vector_32)
PRODUCT(iq4_nl, TFM__IQ4_NL, vector_32)
PRODUCT(mxfp4, TFM__MXFP4, vector_32)
PRODUCT(q2_k, TFM__Q2_K, vector_256)
PRODUCT(q3_k, TFM__Q3_K, vector_256)
PRODUCT(q4_k, TFM__Q4_K, vector_256)
PRODUCT(q5_k, TFM__Q5_K, vector_256)
PRODUCT(q6_k, TFM__Q6_K, vector_256)
PRODUCT(iq4_xs, TFM__IQ4_XS, vector_256)

void tfm__kernels_avx512_quant(tfm__kernels *kernels) {
    tfm__weight_kernels *w = kernels->weights;
    w[TFM__Q4_0].product = product_q4_0;
    w[TFM__Q4_1].product = product_q4_1;
    w[TFM__Q5_0].product = product_q5_0;
    w[TFM__Q5_1].product = product_q5_1;
    w[TFM__Q8_0].product = product_q8_0;
    w[TFM__IQ4_NL].product = product_iq4_nl;
    w[TFM__MXFP4].product = product_mxfp4;
    w[TFM__Q2_K].product = product_q2_k;
    w[TFM__Q3_K].product = product_q3_k;
    w[TFM__Q4_K].product = product_q4_k;
    w[TFM__Q5_K].product = product_q5_k;
    w[TFM__Q6_K].product = product_q6_k;
    w[TFM__IQ4_XS].product = product_iq4_xs;
}
