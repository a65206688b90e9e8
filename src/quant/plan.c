/* plan.c - the list of tensors to be written, and the plan for a GGUF source: its own tensors and values. */
#include "quant/quant.h"

#include <stdio.h>

int32_t tfm__plan_add(tfm__plan *plan, tfm__planned **planned) {
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity ? 2 * plan->capacity : 64;
        tfm__planned *grown = tfm__resize(plan->heap, plan->tensors, capacity * sizeof *grown);
        if (!grown) return tfm__fail_memory(plan->error, plan->heap, capacity * sizeof *grown);
        plan->tensors = grown;
        plan->capacity = capacity;
    }
    *planned = &plan->tensors[plan->count++];
    memset(*planned, 0, sizeof **planned);
    return TFM_OK;
}

/* Keys that are about the old file: splits, alignment, and what is written anew. */
static bool is_stale(const char *key) {
    static const char *const stale[] = {
        "split.no",          "split.count",       "split.tensors.count",
        "general.alignment", "general.file_type", "general.quantization_version"};
    for (size_t i = 0; i < TFM__COUNT(stale); i++)
        if (!strcmp(key, stale[i])) return true;
    return false;
}

/* "<architecture>.<name>": a number, or the first of a list with one for each layer; 0 if it is not there. */
static uint32_t number(const tfm__plan *plan, const char *name) {
    char key[160];
    uint64_t value = 0;
    snprintf(key, sizeof key, "%.*s.%s", (int)TFM__MIN(plan->architecture.size, 64), plan->architecture.data,
             name);
    const tfm__meta *meta = tfm__container_meta(plan->container, key);
    if (!meta || !tfm__meta_u64(meta, 0, &value) || value > UINT32_MAX) return 0;
    return (uint32_t)value;
}

int32_t tfm__plan_gguf(tfm__plan *plan) {
    const tfm__container *container = plan->container;
    const tfm__meta *architecture = tfm__container_meta(container, "general.architecture");
    if (container->tensor_count == 0)
        return tfm__fail_at(plan->error, TFM_E_MISSING, container->blobs[0].name, NULL, TFM__NO_OFFSET,
                            "the file holds no tensors");
    if (!architecture || !tfm__meta_text(architecture, 0, &plan->architecture))
        return tfm__fail_at(plan->error, TFM_E_MISSING, container->blobs[0].name, "general.architecture",
                            TFM__NO_OFFSET, "the file does not say which family it is");
    const tfm__family *family = tfm__family_by_gguf(plan->architecture);
    plan->layers = number(plan, "block_count");
    plan->heads = number(plan, "attention.head_count");
    plan->kv_heads = number(plan, "attention.head_count_kv");
    plan->experts = number(plan, "expert_count");
    if (plan->kv_heads == 0) plan->kv_heads = plan->heads;
    plan->mixes_down_less = family && family->mixes_down_less;
    plan->mixes_values_more = family ? family->mixes_values_more : 0;
    for (size_t i = 0; i < container->meta_count; i++)
        if (!is_stale(container->metas[i].key)) tfm__gguf_put_meta(&plan->values, &container->metas[i]);
    for (size_t i = 0; i < container->tensor_count; i++) {
        const tfm__tensor *tensor = &container->tensors[i];
        tfm__planned *planned = NULL;
        int32_t status = tfm__plan_add(plan, &planned);
        if (status) return status;
        planned->source = tensor;
        planned->out = (tfm__gguf_tensor){.name = tensor->name, .type = tensor->type, .dims = tensor->dims};
        memcpy(planned->out.shape, tensor->shape, tensor->dims * sizeof *tensor->shape); /* at most 4: GGUF */
    }
    return TFM_OK;
}
