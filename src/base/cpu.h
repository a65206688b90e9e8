/* cpu.h - what this processor can do, asked once per model (no global state). */
#ifndef TFM__CPU_H
#define TFM__CPU_H

#include "base/base.h"

/* The processors that the neon and dotprod kernels are for; CMakeLists.txt asks the same. */
#if defined(__aarch64__) && defined(__ARM_NEON) && defined(__BYTE_ORDER__) &&                                \
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define TFM__AARCH64 1
#else
#define TFM__AARCH64 0
#endif

/* Instruction-set levels, in rising order; each includes those below it on its architecture, and an
 * architecture has only its own. */
enum {
    TFM__ISA_PORTABLE = 0, /* plain C */
    TFM__ISA_AVX2 = 1,     /* AVX2 + FMA + F16C */
    TFM__ISA_AVX512 = 2,   /* AVX-512 F BW DQ VL + VNNI */
    TFM__ISA_NEON = 3,     /* little-endian AArch64 */
    TFM__ISA_DOTPROD = 4,  /* the same with SDOT, of ARMv8.2 */
    TFM__ISA_COUNT = 5
};

/* The best level that processor and operating system support. */
int tfm__cpu_best_isa(void);
bool tfm__cpu_has_isa(int isa);
/* What a host's TFM_ISA_* means here. Errors: TFM_E_ARGUMENT, TFM_E_UNSUPPORTED (this processor does not have
 * it). */
int32_t tfm__cpu_choose_isa(int32_t wanted, int *isa, tfm_error *error);
const char *tfm__isa_name(int isa); /* "portable", "avx2", "avx512", "neon", "neon-dotprod" */
uint32_t tfm__cpu_count(void);      /* processors available to this process, at least 1 */

#endif
