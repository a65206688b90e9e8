/* cpu.c - asks the processor (and the operating system, about register state) what may be used. */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#else
#define _POSIX_C_SOURCE 200809L
#endif
#include "base/cpu.h"

#include <sched.h>
#include <unistd.h>

#if TFM__AARCH64 && defined(__linux__)
#include <sys/auxv.h>
#elif TFM__AARCH64 && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>

static bool has_avx2(void) {
    unsigned eax, ebx, ecx, edx;
    __builtin_cpu_init();
    /* clang 14 does not know "f16c" as a feature's name, so that bit is read directly */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("popcnt") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#else
static bool has_avx2(void) { return false; }
static bool has_avx512(void) { return false; }
#endif

static bool has_dotprod(void) {
#if TFM__AARCH64 && defined(__linux__)
    return (getauxval(AT_HWCAP) & 1ul << 20) != 0; /* HWCAP_ASIMDDP, which old headers lack */
#elif TFM__AARCH64 && defined(__APPLE__)
    int has = 0;
    size_t size = sizeof has;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, NULL, 0) == 0 && has;
#else
    return false;
#endif
}

bool tfm__cpu_has_isa(int isa) {
    switch (isa) {
    case TFM__ISA_PORTABLE:
        return true;
    case TFM__ISA_AVX2:
        return has_avx2();
    case TFM__ISA_AVX512:
        return has_avx512();
    case TFM__ISA_NEON:
        return TFM__AARCH64;
    case TFM__ISA_DOTPROD:
        return has_dotprod();
    default:
        return false;
    }
}

int tfm__cpu_best_isa(void) {
    int best = TFM__ISA_PORTABLE;
    for (int isa = 0; isa < TFM__ISA_COUNT; isa++)
        if (tfm__cpu_has_isa(isa)) best = isa;
    return best;
}

int32_t tfm__cpu_choose_isa(int32_t wanted, int *isa, tfm_error *error) {
    static const int levels[] = {TFM__ISA_PORTABLE, TFM__ISA_PORTABLE, TFM__ISA_AVX2,
                                 TFM__ISA_AVX512,   TFM__ISA_NEON,     TFM__ISA_DOTPROD};
    if (wanted < 0 || (size_t)wanted >= TFM__COUNT(levels))
        return tfm__fail(error, TFM_E_ARGUMENT, "there is no instruction set %d", (int)wanted);
    *isa = wanted == TFM_ISA_BEST ? tfm__cpu_best_isa() : levels[wanted];
    if (!tfm__cpu_has_isa(*isa))
        return tfm__fail(error, TFM_E_UNSUPPORTED, "this processor does not have %s", tfm__isa_name(*isa));
    return TFM_OK;
}

const char *tfm__isa_name(int isa) {
    static const char *const names[TFM__ISA_COUNT] = {"portable", "avx2", "avx512", "neon", "neon-dotprod"};
    return isa >= 0 && isa < TFM__ISA_COUNT ? names[isa] : "?";
}

uint32_t tfm__cpu_count(void) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(CPU_COUNT)
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 0)
        online = CPU_COUNT(&allowed);
#endif
    return online > 0 ? (uint32_t)online : 1;
}
