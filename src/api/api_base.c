/* api_base.c - the exported functions of tfm/base.h about the library itself (errors: base/status.c; threads
 * and cancel flags: base/threads.c). */
#include "kernels/kernels.h"
#include "model/config.h"

#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number

const char *tfm_version(void) {
    return TEXT_OF(TFM_VERSION_MAJOR) "." TEXT_OF(TFM_VERSION_MINOR) "." TEXT_OF(TFM_VERSION_PATCH);
}

uint32_t tfm_abi_version(void) { return 0; }

static bool same_lower(const char *name, const char *upper) {
    for (; *name && *upper; name++, upper++) {
        char c = *upper;
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        if (*name != c) return false;
    }
    return *name == *upper;
}

int32_t tfm_capability(const char *name) {
    if (!name) return 0;
    for (int isa = 0; isa < TFM__ISA_COUNT; isa++)
        if (!strcmp(name, tfm__isa_name(isa))) return tfm__cpu_has_isa(isa);
    for (uint32_t type = 0; type < TFM__DTYPE_COUNT; type++) {
        const tfm__dtype *dtype = tfm__dtype_of(type);
        if (dtype && dtype->name && same_lower(name, dtype->name)) return dtype->block != 0 && dtype->weights;
    }
    const tfm__family *family;
    for (size_t i = 0; (family = tfm__family_at(i)) != NULL; i++)
        if (!strcmp(name, family->name)) return 1;
#if defined(TFM_HAVE_OPENBLAS)
    if (!strcmp(name, "openblas")) return 1;
#endif
#if defined(TFM_HAVE_PCRE2)
    if (!strcmp(name, "pcre2")) return 1;
#endif
    return 0;
}
