/* dotprod_quant.c - the quantised products for AArch64 with SDOT (ARMv8.2 dot product): the bodies of
 * quant_lanes.h once more, compiled with it. Called through the kernel table, on processors that have it.
 * Order of operations: kernels.h. */
#include "kernels/kernels.h"

#if !defined(__ARM_FEATURE_DOTPROD)
#error this file is to be compiled with -march=armv8.2-a+dotprod
#endif

#include "kernels/neon_vocabulary.h"
#include "kernels/quant_blocks.h"
#include "kernels/quant_lanes.h"

/* Several tokens: every token by itself. */
#define QUANT_MATRIX(product, row0, row1) false
#include "kernels/quant_entries.h"

void tfm__kernels_dotprod_quant(tfm__kernels *kernels) { set_quant_entries(kernels); }
