/* cpu.h - what this processor can do, asked once per model (no global state). */
#ifndef TFM__CPU_H
#define TFM__CPU_H

#include "base/base.h"

/* Instruction-set levels, in rising order; each includes those below it on its architecture. */
enum {
    TFM__ISA_PORTABLE = 0, /* plain C */
    TFM__ISA_AVX2 = 1,     /* AVX2 + FMA + F16C */
    TFM__ISA_AVX512 = 2,   /* AVX-512 F BW DQ VL + VNNI */
    TFM__ISA_NEON = 3,     /* ARMv8.2 with dot product; not on x86 */
    TFM__ISA_COUNT = 4
};

/* The best level that processor and operating system support. */
int tfm__cpu_best_isa(void);
bool tfm__cpu_has_isa(int isa);
/* What a host's TFM_ISA_* means here. Errors: TFM_E_ARGUMENT, TFM_E_UNSUPPORTED (this processor does not have it). */
int32_t tfm__cpu_choose_isa(int32_t wanted, int *isa, tfm_error *error);
const char *tfm__isa_name(int isa); /* "portable", "avx2", "avx512", "neon" */
uint32_t tfm__cpu_count(void);      /* processors available to this process, at least 1 */

#endif
