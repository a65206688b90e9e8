/* dtype.c - the table of tensor number formats, indexed by GGUF type id. Used by formats, model and kernels.
 *
 * Every id that files in the wild carry has a name, so that "IQ2_XS is not supported" can be said; block 0
 * marks those that cannot be read. Numbers retired by the format's authors (4, 5, 31-33, 36-38) have no name.
 * Sources: the list of types in the GGUF specification; block sizes from the layouts in ggml-common.h; MXFP4
 * from the OCP Microscaling Formats specification 1.0 (32 values of 4 bits and one exponent byte). */
#include "base/dtype.h"

static const tfm__dtype dtypes[TFM__DTYPE_COUNT] = {
    [TFM__F32] = {"F32", 1, 4, true},
    [TFM__F16] = {"F16", 1, 2, true},
    [TFM__Q4_0] = {"Q4_0", 32, 18, true},  /* half scale, 32 x 4 bits */
    [TFM__Q4_1] = {"Q4_1", 32, 20, true},  /* half scale and minimum, 32 x 4 bits */
    [TFM__Q5_0] = {"Q5_0", 32, 22, true},  /* half scale, 32 high bits, 32 x 4 bits */
    [TFM__Q5_1] = {"Q5_1", 32, 24, true},  /* half scale and minimum, 32 high bits, 32 x 4 bits */
    [TFM__Q8_0] = {"Q8_0", 32, 34, true},  /* half scale, 32 x int8 */
    [9] = {"Q8_1", 0, 0, false},           /* an activation format: never in files */
    [TFM__Q2_K] = {"Q2_K", 256, 84, true}, /* 16 sub-scales, 256 x 2 bits, half scale and minimum */
    [TFM__Q3_K] = {"Q3_K", 256, 110,
                   true}, /* 256 high bits, 256 x 2 bits, 12 bytes of sub-scales, half scale */
    [TFM__Q4_K] = {"Q4_K", 256, 144, true}, /* half scale and minimum, 12 bytes of sub-scales, 256 x 4 bits */
    [TFM__Q5_K] = {"Q5_K", 256, 176, true}, /* as Q4_K with 256 high bits */
    [TFM__Q6_K] = {"Q6_K", 256, 210, true}, /* 256 x 4 bits, 256 x 2 bits, 16 int8 sub-scales, half scale */
    [15] = {"Q8_K", 0, 0, false},           /* an activation format: never in files */
    [16] = {"IQ2_XXS", 0, 0, false},
    [17] = {"IQ2_XS", 0, 0, false},
    [18] = {"IQ3_XXS", 0, 0, false},
    [19] = {"IQ1_S", 0, 0, false},
    [TFM__IQ4_NL] = {"IQ4_NL", 32, 18, true},
    [21] = {"IQ3_S", 0, 0, false},
    [22] = {"IQ2_S", 0, 0, false},
    [TFM__IQ4_XS] = {"IQ4_XS", 256, 136, true},
    [TFM__I8] = {"I8", 1, 1, false},
    [TFM__I16] = {"I16", 1, 2, false},
    [TFM__I32] = {"I32", 1, 4, false},
    [TFM__I64] = {"I64", 1, 8, false},
    [TFM__F64] = {"F64", 1, 8, false},
    [29] = {"IQ1_M", 0, 0, false},
    [TFM__BF16] = {"BF16", 1, 2, true},
    [34] = {"TQ1_0", 0, 0, false},
    [35] = {"TQ2_0", 0, 0, false},
    [TFM__MXFP4] = {"MXFP4", 32, 17, true},
    [40] = {"NVFP4", 0, 0, false},
};

const tfm__dtype *tfm__dtype_of(uint32_t id) {
    return id < TFM__DTYPE_COUNT && dtypes[id].name ? &dtypes[id] : NULL;
}

bool tfm__row_bytes(uint32_t type, uint64_t n, uint64_t *bytes) {
    const tfm__dtype *dtype = tfm__dtype_of(type);
    if (!dtype || dtype->block == 0 || n % dtype->block) return false;
    return tfm__mul_u64(n / dtype->block, dtype->block_bytes, bytes);
}
