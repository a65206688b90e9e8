/* api_plan.c - the exported functions of tfm/plan.h. */
#include <math.h>

#include "model/plan.h"
#include "model/shape.h"
#include "model/state.h"

/* Case and separators do not matter: GPT-2 XL is gpt2-xl. */
static bool same_name(const char *a, const char *b) {
    for (;; a++, b++) {
        while (*a && strchr("-_ ", *a)) a++;
        while (*b && strchr("-_ ", *b)) b++;
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a - 'A' + 'a') : *a;
        if (x != *b) return false;
        if (!x) return true;
    }
}

/* Reads the store, closes it, and hands the shape out. */
static int32_t finish(tfm__store *store, const char *name, tfm_shape *shape, tfm_error *error) {
    tfm_shape made = TFM_SHAPE_INIT;
    int32_t status = tfm__shape_of_store(store, &made, error);
    tfm__store_close(store);
    if (status) return status;
    if (name) {
        size_t length = TFM__MIN(strlen(name), sizeof made.name - 1);
        memcpy(made.name, name, length);
        made.name[length] = 0;
    }
    return tfm__give_struct(shape, &made, sizeof made, "tfm_shape", error);
}

const char *tfm_shape_name(size_t index) { return tfm__known_name(index); }

int32_t tfm_shape_named(const char *name, tfm_shape *shape, tfm_error *error) {
    if (!name || !shape) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_shape_named: name or shape is NULL");
    for (size_t i = 0; tfm__known_name(i); i++) {
        if (!same_name(name, tfm__known_name(i))) continue;
        tfm__heap heap;
        tfm__store store;
        const char *config = tfm__known_config(i);
        tfm__heap_init(&heap, NULL, 0);
        int32_t status = tfm__store_open_memory(&store, &heap, config, strlen(config), error);
        return status ? status : finish(&store, tfm__known_name(i), shape, error);
    }
    return tfm__fail(error, TFM_E_NOT_FOUND, "there is no model called '%.64s' in the table", name);
}

int32_t tfm_shape_read(const char *path, const tfm_allocator *allocator, tfm_shape *shape, tfm_error *error) {
    tfm__heap heap;
    tfm__store store;
    tfm__read_options read = {0};
    if (!path || !shape) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_shape_read: path or shape is NULL");
    tfm__heap_init(&heap, allocator, 0);
    int32_t status = tfm__store_open_path(&store, &heap, path, &read, error);
    return status ? status : finish(&store, NULL, shape, error);
}

int32_t tfm_shape_read_memory(const void *data, size_t size, const tfm_allocator *allocator, tfm_shape *shape,
                              tfm_error *error) {
    tfm__heap heap;
    tfm__store store;
    if (!data || !shape)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_shape_read_memory: data or shape is NULL");
    tfm__heap_init(&heap, allocator, 0);
    int32_t status = tfm__store_open_memory(&store, &heap, data, size, error);
    return status ? status : finish(&store, NULL, shape, error);
}

/* A shape of the caller's, as far as it reaches, and its parts not larger than the whole. */
static int32_t take_shape(const tfm_shape *shape, tfm_shape *taken, tfm_error *error) {
    if (!shape) return tfm__fail(error, TFM_E_ARGUMENT, "shape is NULL");
    int32_t status = tfm__take_options(shape, taken, sizeof *taken, "tfm_shape", error);
    if (status) return status;
    uint64_t outside = taken->vector_parameters;
    if (!tfm__add_u64(outside, taken->embedding_parameters, &outside) ||
        !tfm__add_u64(outside, taken->position_parameters, &outside) ||
        taken->active_parameters > taken->parameters || outside > taken->active_parameters ||
        taken->windowed_layers > taken->layers)
        return tfm__fail(error, TFM_E_ARGUMENT, "a shape whose parts are larger than the whole");
    return TFM_OK;
}

const char *tfm_shape_type(size_t index) { return tfm__plan_type(index); }

int32_t tfm_shape_bytes(const tfm_shape *shape, const char *type, uint64_t *bytes, tfm_error *error) {
    tfm_shape taken;
    if (bytes) *bytes = 0;
    if (!type || !bytes) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_shape_bytes: type or bytes is NULL");
    int32_t status = take_shape(shape, &taken, error);
    if (status) return status;
    if (tfm__plan_bytes(&taken, type, bytes)) return TFM_OK;
    return tfm__fail(error, TFM_E_NOT_FOUND, "there is no weight type '%.32s'", type);
}

int32_t tfm_plan(const tfm_shape *shape, const tfm_plan_options *options, tfm_plan_result *result,
                 tfm_error *error) {
    tfm_shape taken;
    tfm_plan_options given;
    if (!result) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_plan: result is NULL");
    int32_t status = take_shape(shape, &taken, error);
    if (!status) status = tfm__take_options(options, &given, sizeof given, "tfm_plan_options", error);
    if (status) return status;
    const double numbers[] = {given.tokens,      given.bytes_per_token, given.accelerators,    given.flops,
                              given.utilisation, given.price,           given.bytes_per_weight};
    for (size_t i = 0; i < TFM__COUNT(numbers); i++)
        if (!isfinite(numbers[i]) || numbers[i] < 0)
            return tfm__fail(error, TFM_E_ARGUMENT, "tfm_plan: option %zu is %g", i + 1, numbers[i]);
    if (given.context > TFM__MAX_CONTEXT)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_plan: a context of %llu, at most %d",
                         (unsigned long long)given.context, TFM__MAX_CONTEXT);
    uint32_t cache_type;
    status = tfm__cache_type(given.cache_type, TFM__F16, &cache_type, error);
    if (status) return status;
    tfm_plan_result made = TFM_PLAN_RESULT_INIT;
    tfm__plan(&taken, &given, cache_type, &made);
    return tfm__give_struct(result, &made, sizeof made, "tfm_plan_result", error);
}
