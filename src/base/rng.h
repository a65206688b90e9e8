/* rng.h - the random numbers of the library: PCG-XSH-RR 64/32 (O'Neill 2014, "PCG: A Family of Simple Fast
 * Space-Efficient Statistically Good Algorithms for Random Number Generation"). State is the caller's. */
#ifndef TFM__RNG_H
#define TFM__RNG_H

#include <stdint.h>

typedef struct tfm__rng {
    uint64_t state;
} tfm__rng;

#define TFM__PCG_MULTIPLIER 6364136223846793005u
#define TFM__PCG_INCREMENT 1442695040888963407u

static inline uint32_t tfm__rng_u32(tfm__rng *rng) {
    uint64_t old = rng->state;
    rng->state = old * TFM__PCG_MULTIPLIER + TFM__PCG_INCREMENT;
    uint32_t mixed = (uint32_t)(((old >> 18) ^ old) >> 27), turn = (uint32_t)(old >> 59);
    return mixed >> turn | mixed << (-turn & 31);
}

static inline void tfm__rng_seed(tfm__rng *rng, uint64_t seed) {
    rng->state = seed + TFM__PCG_INCREMENT;
    tfm__rng_u32(rng);
}

/* Uniform in [0, 1): a multiple of 2^-53, from two draws, the first one high. */
static inline double tfm__rng_unit(tfm__rng *rng) {
    uint64_t high = tfm__rng_u32(rng);
    return (double)((high << 32 | tfm__rng_u32(rng)) >> 11) * 0x1p-53;
}

#endif
