/* adapter.c - an adapter from its files: pairs of tensors become patches beside the model's views.
 *
 * PEFT: "base_model.model." MODULE ".lora_A.weight" [rank, inputs] and ".lora_B.weight" [outputs, rank],
 * settings in adapter_config.json. GGUF (llama.cpp's convert_lora_to_gguf): general.type "adapter",
 * adapter.type "lora", adapter.lora.alpha; TENSOR ".lora_a" and ".lora_b" of the same shapes. Both become
 * F32, ranks filled up with zeros to whole cache lines, which changes no sum. */
#include "model/adapter.h"

#include <math.h>
#include <stdio.h>

typedef struct loading {
    tfm_adapter *adapter;
    tfm__container container;
    double alpha; /* GGUF */
    tfm_error *error;
} loading;

static int32_t fault(const loading *l, const tfm__tensor *tensor, int32_t code, const char *what) {
    return tfm__fail_at(l->error, code, tfm__container_file(&l->container, tensor), tensor->name,
                        tensor->offset, "%s", what);
}

/* ---- Settings ---- */

static int32_t check_text(const loading *l, const char *key, const char *want) {
    const tfm__meta *meta = tfm__container_meta(&l->container, key);
    const char *file = l->container.blobs[0].name;
    tfm__text text = {"", 0};
    if (!meta || !tfm__meta_text(meta, 0, &text))
        return tfm__fail_at(l->error, TFM_E_MISSING, file, key, TFM__NO_OFFSET, "an adapter needs this text");
    if (text.size != strlen(want) || memcmp(text.data, want, text.size) != 0)
        return tfm__fail_at(l->error, TFM_E_UNSUPPORTED, file, key, meta->offset, "%s is '%.*s', not '%s'",
                            key, (int)TFM__MIN(text.size, 80), text.data, want);
    return TFM_OK;
}

static int32_t check_gguf(loading *l) {
    const tfm__family *family = l->adapter->model->config.family;
    const char *file = l->container.blobs[0].name;
    const tfm__meta *alpha = tfm__container_meta(&l->container, "adapter.lora.alpha");
    int32_t status = check_text(l, "general.type", "adapter");
    if (!status) status = check_text(l, "adapter.type", "lora");
    if (!status && !family->gguf && !family->gguf_as)
        status = tfm__fail_at(l->error, TFM_E_UNSUPPORTED, file, NULL, TFM__NO_OFFSET,
                              "the model's family, %s, has no names in GGUF", family->name);
    if (!status)
        status = check_text(l, "general.architecture", family->gguf ? family->gguf : family->gguf_as);
    if (status) return status;
    if (!alpha || !tfm__meta_f64(alpha, 0, &l->alpha) || !isfinite(l->alpha))
        return tfm__fail_at(l->error, alpha ? TFM_E_FORMAT : TFM_E_MISSING, file, "adapter.lora.alpha",
                            TFM__NO_OFFSET, "an adapter needs this number");
    if (tfm__container_meta(&l->container, "adapter.alora.invocation_tokens"))
        return tfm__fail_at(l->error, TFM_E_UNSUPPORTED, file, "adapter.alora.invocation_tokens",
                            TFM__NO_OFFSET, "adapters that wait for a token are not supported");
    return TFM_OK;
}

/* ---- Matrices ---- */

/* The rows of a head in the model's order: where row `row` comes from. */
static uint32_t row_there(const tfm__target *target, uint32_t head, uint32_t row) {
    uint32_t in = row % head, half = head / 2;
    if (target->swap == 0) return row;
    return row - in + (target->swap > 0 ? in % 2 * half + in / 2 : in % half * 2 + in / half);
}

static float *room(const loading *l, size_t rows, size_t columns) {
    size_t count, bytes;
    if (!tfm__mul_size(rows, columns, &count) || !tfm__add_size(count, 32, &count) ||
        !tfm__mul_size(count, sizeof(float), &bytes))
        return NULL;
    return tfm__arena_alloc(&l->adapter->arena, bytes); /* kernels may look a line beyond */
}

/* One part of B, and A, which the parts share. */
static int32_t add_patch(const loading *l, const tfm__target *target, const tfm__target_part *part,
                         const float *b, uint32_t rank, const tfm__view *down, double scale) {
    tfm_adapter *adapter = l->adapter;
    uint32_t padded = down->rows;
    float *up = room(l, part->rows, padded);
    if (!up) return tfm__fail_memory(l->error, &adapter->model->heap, (size_t)part->rows * padded * 4);
    for (uint32_t r = 0; r < part->rows; r++)
        memcpy(up + (size_t)r * padded,
               b + (size_t)(part->first + row_there(target, adapter->model->config.head_dim, r)) * rank,
               rank * sizeof *up);
    tfm__patch *patch = &adapter->patches[adapter->count++];
    *patch = (tfm__patch){.view = part->view, .down = *down, .scale = (float)scale};
    patch->up = (tfm__view){.data = (const uint8_t *)up,
                            .type = TFM__F32,
                            .row_stride = padded * sizeof *up,
                            .rows = part->rows,
                            .columns = padded};
    adapter->rows = TFM__MAX(adapter->rows, part->rows);
    return TFM_OK;
}

/* A tensor's values as F32 in the heap. */
static int32_t read_floats(const loading *l, const tfm__tensor *tensor, float **out) {
    const tfm_model *model = l->adapter->model;
    const tfm__weight_kernels *kernels = &model->kernels.weights[tensor->type];
    size_t count = (size_t)(tensor->shape[0] * tensor->shape[1]);
    *out = NULL;
    if (!kernels->to_f32)
        return tfm__fail_at(l->error, TFM_E_UNSUPPORTED, tfm__container_file(&l->container, tensor),
                            tensor->name, tensor->offset, "a weight of type %s",
                            tfm__dtype_of(tensor->type)->name);
    *out = tfm__alloc_array(&l->adapter->model->heap, count + 16, sizeof **out);
    if (!*out) return tfm__fail_memory(l->error, &model->heap, count * sizeof **out);
    kernels->to_f32(tensor->data, *out, count);
    return TFM_OK;
}

static int32_t check_shape(const loading *l, const tfm__tensor *tensor, uint64_t rows, uint64_t columns) {
    if (tensor->dims == 2 && tensor->shape[0] == rows && tensor->shape[1] == columns) return TFM_OK;
    return tfm__fail_at(l->error, TFM_E_SHAPE, tfm__container_file(&l->container, tensor), tensor->name,
                        tensor->offset, "the shape is %s[%llu, %llu], expected [%llu, %llu]",
                        tensor->dims == 2 ? "" : "not of a matrix: ",
                        (unsigned long long)(tensor->dims > 0 ? tensor->shape[0] : 0),
                        (unsigned long long)(tensor->dims > 1 ? tensor->shape[1] : 0),
                        (unsigned long long)rows, (unsigned long long)columns);
}

/* Rank and factor that the file says for a module. */
static int32_t rank_of(const loading *l, const tfm__tensor *a, const char *module, uint32_t *rank,
                       double *scale) {
    if (l->adapter->gguf) {
        if (a->dims != 2 || a->shape[0] < 1 || a->shape[0] > TFM__MAX_WIDTH)
            return fault(l, a, TFM_E_SHAPE, "not a matrix with a row for each rank");
        *rank = (uint32_t)a->shape[0];
        *scale = l->alpha != 0 ? l->alpha / *rank : 1.0; /* as llama.cpp takes an alpha of 0 */
        return TFM_OK;
    }
    return tfm__peft_module(&l->container, module, rank, scale, l->error);
}

static int32_t add_pair(const loading *l, const tfm__tensor *a, const tfm__tensor *b, const char *module) {
    tfm_adapter *adapter = l->adapter;
    const char *file = tfm__container_file(&l->container, a);
    tfm__target target;
    uint32_t rank;
    double scale;
    float *values = NULL;
    int32_t status =
        tfm__adapter_target(adapter->model, adapter->gguf, module, file, a->name, &target, l->error);
    if (!status) status = rank_of(l, a, module, &rank, &scale);
    if (!status) status = check_shape(l, a, rank, target.columns);
    if (!status) status = check_shape(l, b, target.rows, rank);
    if (!status) status = read_floats(l, a, &values);
    if (status) return status;
    uint32_t padded = (rank + TFM__RANK_PAD - 1) / TFM__RANK_PAD * TFM__RANK_PAD;
    float *down = room(l, padded, target.columns);
    if (down) memcpy(down, values, (size_t)rank * target.columns * sizeof *down);
    tfm__free(&adapter->model->heap, values);
    if (!down) return tfm__fail_memory(l->error, &adapter->model->heap, (size_t)padded * target.columns * 4);
    const tfm__view view = {.data = (const uint8_t *)down,
                            .type = TFM__F32,
                            .row_stride = target.columns * sizeof *down,
                            .rows = padded,
                            .columns = target.columns};
    status = read_floats(l, b, &values);
    for (size_t i = 0; i < target.count && !status; i++)
        status = add_patch(l, &target, &target.parts[i], values, rank, &view, scale);
    tfm__free(&adapter->model->heap, values);
    adapter->rank = TFM__MAX(adapter->rank, rank);
    adapter->padded = TFM__MAX(adapter->padded, padded);
    adapter->parameters += (uint64_t)rank * (target.rows + target.columns);
    adapter->alone = adapter->alone || target.alone;
    return status;
}

/* ---- All of them ---- */

/* The module of a tensor whose name ends so, in out; false if it ends otherwise or is too long. */
static bool module_of(const char *name, const char *begin, const char *end, char *out, size_t size) {
    size_t length = strlen(name), first = strlen(begin), last = strlen(end);
    if (length <= first + last || length - first - last >= size || strncmp(name, begin, first) != 0 ||
        strcmp(name + length - last, end) != 0)
        return false;
    memcpy(out, name + first, length - first - last);
    out[length - first - last] = 0;
    return true;
}

static int32_t add_tensor(const loading *l, const tfm__tensor *tensor) {
    bool gguf = l->adapter->gguf;
    const char *begin = gguf ? "" : "base_model.model.";
    const char *ends[2] = {gguf ? ".weight.lora_a" : ".lora_A.weight",
                           gguf ? ".weight.lora_b" : ".lora_B.weight"};
    char module[256], other[384];
    for (int i = 0; i < 2; i++) {
        if (!module_of(tensor->name, begin, ends[i], module, sizeof module)) continue;
        snprintf(other, sizeof other, "%s%s%s", begin, module, ends[1 - i]);
        const tfm__tensor *pair = tfm__container_tensor(&l->container, other);
        if (!pair)
            return tfm__fail_at(l->error, TFM_E_MISSING, tfm__container_file(&l->container, tensor), other,
                                TFM__NO_OFFSET, "'%.100s' needs this tensor", tensor->name);
        return i == 0 ? add_pair(l, tensor, pair, module) : TFM_OK;
    }
    return fault(l, tensor, TFM_E_UNSUPPORTED, "no part of a LoRA adapter that is supported");
}

static int by_view(const void *context, uint32_t a, uint32_t b) {
    const tfm__patch *patches = context;
    uintptr_t x = (uintptr_t)patches[a].view, y = (uintptr_t)patches[b].view;
    return x < y ? -1 : x > y;
}

/* Sorts the patches; two for one matrix are an error. */
static int32_t sort_patches(const loading *l) {
    tfm_adapter *adapter = l->adapter;
    tfm__heap *heap = &adapter->model->heap;
    uint32_t *order = tfm__alloc_array(heap, adapter->count, sizeof *order);
    tfm__patch *sorted = tfm__alloc_array(heap, adapter->count, sizeof *sorted);
    int32_t status =
        order && sorted ? TFM_OK : tfm__fail_memory(l->error, heap, adapter->count * sizeof *sorted);
    if (!status) {
        for (size_t i = 0; i < adapter->count; i++) order[i] = (uint32_t)i;
        tfm__sort(order, adapter->count, by_view, adapter->patches);
        for (size_t i = 0; i < adapter->count; i++) sorted[i] = adapter->patches[order[i]];
        memcpy(adapter->patches, sorted, adapter->count * sizeof *sorted);
    }
    for (size_t i = 1; i < adapter->count && !status; i++)
        if (adapter->patches[i].view == adapter->patches[i - 1].view)
            status = tfm__fail_at(l->error, TFM_E_FORMAT, l->container.blobs[0].name, NULL, TFM__NO_OFFSET,
                                  "two of its pairs belong to the same matrix of the model");
    tfm__free(heap, order);
    tfm__free(heap, sorted);
    return status;
}

static int32_t read_all(loading *l) {
    tfm_adapter *adapter = l->adapter;
    const tfm__container *container = &l->container;
    size_t most;
    adapter->gguf = container->format == TFM__FORMAT_GGUF;
    int32_t status = adapter->gguf ? check_gguf(l) : tfm__peft_check(container, l->error);
    if (status) return status;
    if (container->tensor_count == 0)
        return tfm__fail_at(l->error, TFM_E_MISSING, container->blobs[0].name, NULL, TFM__NO_OFFSET,
                            "the adapter holds no tensors");
    if (!tfm__mul_size(container->tensor_count, 3, &most))
        return tfm__fail(l->error, TFM_E_MEMORY, "too large");
    adapter->patches = tfm__alloc_array(&adapter->model->heap, most, sizeof *adapter->patches);
    if (!adapter->patches)
        return tfm__fail_memory(l->error, &adapter->model->heap, most * sizeof *adapter->patches);
    for (size_t i = 0; i < container->tensor_count && !status; i++)
        status = add_tensor(l, &container->tensors[i]);
    return status ? status : sort_patches(l);
}

int32_t tfm__adapter_new(tfm_model *model, tfm__store *store, tfm_adapter **out, tfm_error *error) {
    loading l = {.error = error};
    const tfm__config *c = &model->config;
    *out = NULL;
    if (c->encoder || c->cross || model->encoder)
        return tfm__fail(error, TFM_E_UNSUPPORTED, "adapters are for decoders; %s is none", c->family->name);
    int32_t status = tfm__container_open_adapter(store, &l.container, error);
    if (status) return status;
    l.adapter = tfm__alloc_zero(&model->heap, sizeof *l.adapter);
    if (!l.adapter) {
        tfm__container_release(&l.container);
        return tfm__fail_memory(error, &model->heap, sizeof *l.adapter);
    }
    l.adapter->references = 1;
    l.adapter->model = model;
    tfm__arena_init(&l.adapter->arena, &model->heap);
    status = read_all(&l);
    tfm__container_release(&l.container);
    if (status) {
        tfm__adapter_free(l.adapter);
        return status;
    }
    atomic_fetch_add(&model->references, 1);
    *out = l.adapter;
    return TFM_OK;
}

void tfm__adapter_free(tfm_adapter *adapter) {
    tfm__heap *heap = &adapter->model->heap;
    tfm__arena_free(&adapter->arena);
    tfm__free(heap, adapter->patches);
    tfm__free(heap, adapter);
}

void tfm__adapter_drop(tfm_adapter *adapter) {
    if (atomic_fetch_sub(&adapter->references, 1) != 1) return;
    tfm_model *model = adapter->model;
    tfm__adapter_free(adapter);
    atomic_fetch_sub(&model->references, 1);
}

const tfm__patch *tfm__adapter_patch(const tfm_adapter *adapter, const tfm__view *view) {
    size_t low = 0, high = adapter->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (adapter->patches[middle].view == view) return &adapter->patches[middle];
        if ((uintptr_t)adapter->patches[middle].view < (uintptr_t)view)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
