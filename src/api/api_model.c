/* api_model.c - the exported functions of tfm/model.h. */
#include <stdio.h>

#include "model/state.h"

/* The three loaders differ in how they open the store; the rest is here. heap is the model's, already in
 * place. */
typedef int32_t (*open_store_fn)(tfm_model *model, const void *what, size_t size,
                                 const tfm__read_options *read, tfm_error *error);

static int32_t open_path(tfm_model *model, const void *what, size_t size, const tfm__read_options *read,
                         tfm_error *error) {
    (void)size;
    return tfm__store_open_path(&model->store, &model->heap, what, read, error);
}

static int32_t open_memory(tfm_model *model, const void *what, size_t size, const tfm__read_options *read,
                           tfm_error *error) {
    (void)read;
    return tfm__store_open_memory(&model->store, &model->heap, what, size, error);
}

/* what is a struct source_of_call: from here on the store closes the source. */
struct source_of_call {
    tfm_source *source;
};

static int32_t open_source(tfm_model *model, const void *what, size_t size, const tfm__read_options *read,
                           tfm_error *error) {
    tfm_source *source = ((const struct source_of_call *)what)->source;
    (void)size;
    int32_t status = tfm__store_open_source(&model->store, &model->heap, source, read, error);
    if (!status) source->close = NULL;
    return status;
}

static void free_model(tfm_model *model) {
    tfm__heap heap;
    tfm_model *base = model->base;
    tfm__model_close(model);
    tfm__heap_init(&heap, &model->heap.allocator, 0);
    tfm__free(&heap, model);
    tfm_model_release(base);
}

static int32_t load(open_store_fn open, const void *what, size_t size, const tfm_model_options *options,
                    tfm_model **out, tfm_error *error) {
    tfm_model_options given;
    int isa = TFM__ISA_PORTABLE;
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_model_options", error);
    if (!status) status = tfm__cpu_choose_isa(given.isa, &isa, error);
    if (status) return status;
    tfm__heap heap;
    tfm__heap_init(&heap, given.allocator, 0);
    tfm_model *model = tfm__alloc_zero(&heap, sizeof *model);
    if (!model) return tfm__fail_memory(error, &heap, sizeof *model);
    tfm__heap_init(&model->heap, given.allocator, given.byte_budget);
    model->references = 1;
    model->pool = given.pool;
    model->log = given.log;
    model->log_user = given.log_user;
    tfm__kernels_fill(&model->kernels, isa);
    tfm__read_options read = {given.read_into_memory != 0, given.progress, given.progress_user, given.cancel};
    status = open(model, what, size, &read, error);
    if (!status) status = tfm__model_open(model, error);
    if (status) {
        free_model(model);
        return status;
    }
    model->store.options = (tfm__read_options){0}; /* the callbacks were for this call only */
    *out = model;
    return TFM_OK;
}

int32_t tfm_model_load(const char *path, const tfm_model_options *options, tfm_model **out,
                       tfm_error *error) {
    if (out) *out = NULL;
    if (!path || !out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_load: path or out is NULL");
    return load(open_path, path, 0, options, out, error);
}

int32_t tfm_model_load_memory(const void *data, size_t size, const tfm_model_options *options,
                              tfm_model **out, tfm_error *error) {
    if (out) *out = NULL;
    if (!data || !size || !out)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_load_memory: an argument is NULL or 0");
    return load(open_memory, data, size, options, out, error);
}

int32_t tfm_model_load_source(const tfm_source *source, const tfm_model_options *options, tfm_model **out,
                              tfm_error *error) {
    if (out) *out = NULL;
    tfm_source given;
    if (!source) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_load_source: source is NULL");
    int32_t status = tfm__take_options(source, &given, sizeof given, "tfm_source", error);
    if (status) return status;
    const struct source_of_call what = {&given};
    if (!out)
        status = tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_load_source: out is NULL");
    else if (!given.size || !given.read_at)
        status = tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_load_source: the source needs size and read_at");
    else
        status = load(open_source, &what, 0, options, out, error);
    if (given.close) given.close(given.user); /* failed before there was a store to do it */
    return status;
}

void tfm_model_retain(tfm_model *model) {
    if (model) atomic_fetch_add(&model->references, 1);
}

void tfm_model_release(tfm_model *model) {
    if (model && atomic_fetch_sub(&model->references, 1) == 1) free_model(model);
}

int32_t tfm_model_get_info(const tfm_model *model, tfm_model_info *info, tfm_error *error) {
    if (!model || !info) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_get_info: model or info is NULL");
    const tfm__config *c = &model->config;
    static const char *const formats[] = {"",         "gguf",        "huggingface",
                                          "llama2.c", "safetensors", "ctranslate2"};
    tfm_model_info full = TFM_MODEL_INFO_INIT;
    snprintf(full.family, sizeof full.family, "%s", c->family->name);
    snprintf(full.name, sizeof full.name, "%s", c->name);
    snprintf(full.format, sizeof full.format, "%s", formats[model->container.format]);
    snprintf(full.weights, sizeof full.weights, "%s", tfm__dtype_of(model->main_type)->name);
    snprintf(full.isa, sizeof full.isa, "%s", tfm__isa_name(model->kernels.isa));
    full.parameters = model->parameters;
    full.weight_bytes = model->weight_bytes;
    full.layers = (int32_t)c->layers;
    full.width = (int32_t)c->width;
    full.heads = (int32_t)c->heads;
    full.kv_heads = (int32_t)c->kv_heads;
    full.head_dim = (int32_t)c->head_dim;
    full.feed_forward = (int32_t)c->feed_forward;
    full.vocab_size = (int32_t)c->vocab;
    full.context = (int32_t)c->context;
    full.has_tokenizer = model->tokenizer != NULL;
    full.kv_bytes_per_token =
        (uint64_t)c->layers * c->kv_heads * tfm__page_head_bytes(c, model->cache_type) / TFM__PAGE_TOKENS;
    if (c->encoder) full.kv_bytes_per_token = 0; /* it has no sessions */
    full.kind = c->encoder ? TFM_KIND_ENCODER : model->encoder ? TFM_KIND_ENCODER_DECODER : TFM_KIND_DECODER;
    full.start_token = (int32_t)c->start_token;
    return tfm__give_struct(info, &full, sizeof full, "tfm_model_info", error);
}

const tfm_tokenizer *tfm_tokenizer_of(const tfm_model *model) { return model ? model->tokenizer : NULL; }

const tfm_tokenizer *tfm_source_tokenizer_of(const tfm_model *model) {
    return model && model->source_tokenizer ? model->source_tokenizer : tfm_tokenizer_of(model);
}

uint64_t tfm_model_bytes(const tfm_model *model) {
    return model ? atomic_load(&((tfm_model *)model)->heap.live) : 0;
}

size_t tfm_model_tensor_count(const tfm_model *model) { return model ? model->container.tensor_count : 0; }

int32_t tfm_model_tensor(const tfm_model *model, size_t index, tfm_tensor_info *info, tfm_error *error) {
    if (!model || !info) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_tensor: model or info is NULL");
    if (index >= model->container.tensor_count)
        return tfm__fail(error, TFM_E_ARGUMENT, "tensor %zu of %zu", index, model->container.tensor_count);
    const tfm__tensor *tensor = &model->container.tensors[index];
    tfm_tensor_info full = TFM_TENSOR_INFO_INIT;
    full.name = tensor->name;
    full.type = tfm__dtype_of(tensor->type)->name;
    full.dims = tensor->dims;
    for (uint32_t i = 0; i < tensor->dims && i < TFM__COUNT(full.shape); i++)
        full.shape[i] = tensor->shape[i];
    full.bytes = tensor->bytes;
    return tfm__give_struct(info, &full, sizeof full, "tfm_tensor_info", error);
}
