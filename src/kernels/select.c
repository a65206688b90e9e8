/* select.c - fills the table of kernels: the reference first, then what the chosen instruction set has,
 * lowest level first, so that an entry which a level lacks keeps that of the level below. Called once per
 * model. */
#include "kernels/kernels.h"

void tfm__kernels_fill(tfm__kernels *kernels, int isa) {
    memset(kernels, 0, sizeof *kernels);
    kernels->isa = isa;
    tfm__kernels_ref_float(kernels);
    tfm__kernels_ref_quant(kernels);
#if defined(__x86_64__) || defined(_M_X64)
    if (isa == TFM__ISA_AVX2 || isa == TFM__ISA_AVX512) {
        tfm__kernels_avx2_float(kernels);
        tfm__kernels_avx2_quant(kernels);
    }
    if (isa == TFM__ISA_AVX512) {
        tfm__kernels_avx512_float(kernels);
        tfm__kernels_avx512_quant(kernels);
    }
#elif TFM__AARCH64
    if (isa == TFM__ISA_NEON || isa == TFM__ISA_DOTPROD) {
        tfm__kernels_neon_float(kernels);
        tfm__kernels_neon_quant(kernels);
    }
    if (isa == TFM__ISA_DOTPROD) tfm__kernels_dotprod_quant(kernels);
#endif
}
