/* modules.c - how a model's files say that a text becomes one vector.
 *
 * sentence-transformers folders have modules.json, a list of steps: the transformer itself, a pooling
 * (1_Pooling/config.json), perhaps dense layers and a normalisation; sentence_bert_config.json has the
 * longest text, config_sentence_transformers.json a prompt. GGUF files have the pooling alone. What such a
 * folder asks for and cannot be done is no reason not to load the model, which runs all the same: it is said
 * when an embedding is asked for. Source: the file layout in the documentation of sentence-transformers;
 * GGUF's key from the GGUF specification. */
#include <stdio.h>

#include "model/model.h"
#include "tfm/encode.h"

typedef struct reader {
    tfm_model *model;
    tfm__embedder *out;
    uint32_t width; /* of what the next step gets */
    tfm_error *error;
} reader;

/* A file of the description, as JSON; present is false where there is none. Release both. */
typedef struct description {
    tfm__blob blob;
    tfm__json json;
    bool present;
} description;

static int32_t open_description(reader *r, const char *folder, const char *name, description *d) {
    tfm_error detail = TFM_ERROR_INIT;
    memset(d, 0, sizeof *d);
    int32_t status = tfm__store_inside(&r->model->store, folder, name, &d->blob, &detail);
    if (status == TFM_E_NOT_FOUND) return TFM_OK;
    if (status && r->error) (void)tfm__give_struct(r->error, &detail, sizeof detail, "tfm_error", NULL);
    if (status) return status;
    status = tfm__json_parse(&d->json, &r->model->heap, (const char *)d->blob.data, (size_t)d->blob.size,
                             d->blob.name, r->error);
    if (status) tfm__blob_release(&d->blob);
    d->present = status == TFM_OK;
    return status;
}

static void close_description(description *d) {
    if (!d->present) return;
    tfm__json_release(&d->json);
    tfm__blob_release(&d->blob);
}

/* Keeps the first thing that cannot be done. */
static int32_t cannot(reader *r, const char *what, const tfm__json *json, tfm__json_value value) {
    const char *text = "", *problem;
    size_t length = 0;
    char line[200];
    (void)tfm__json_raw(json, value, &text, &length);
    snprintf(line, sizeof line, length ? "%s '%.*s'" : "%s%.*s", what, (int)TFM__MIN(length, 100), text);
    problem = tfm__arena_text(&r->model->container.arena, line, strlen(line));
    if (!problem) return tfm__fail_memory(r->error, &r->model->heap, sizeof line);
    if (!r->out->problem) r->out->problem = problem;
    return TFM_OK;
}

/* Whether a dotted name ends with that part: "torch.nn.modules.activation.Tanh" is a Tanh. */
static bool is_class(const tfm__json *json, tfm__json_value value, const char *name) {
    const char *text;
    size_t length, n = strlen(name);
    if (!tfm__json_raw(json, value, &text, &length) || length < n) return false;
    return !memcmp(text + length - n, name, n) && (length == n || text[length - n - 1] == '.');
}

static bool is_true(const tfm__json *json, tfm__json_value object, const char *key) {
    bool flag = false;
    return tfm__json_bool(json, tfm__json_get(json, object, key), &flag) && flag;
}

/* The modes in the order in which their results stand behind one another; since 2026 they are named in a
 * list, before that each had a flag. */
static const struct mode {
    const char *name, *flag;
    uint32_t pooling;
} modes[TFM__POOLINGS] = {
    {"cls", "pooling_mode_cls_token", TFM_POOL_FIRST},
    {"max", "pooling_mode_max_tokens", TFM_POOL_MAX},
    {"mean", "pooling_mode_mean_tokens", TFM_POOL_MEAN},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", TFM_POOL_MEAN_SQRT},
    {"weightedmean", "pooling_mode_weightedmean_tokens", TFM_POOL_WEIGHTED},
    {"lasttoken", "pooling_mode_lasttoken", TFM_POOL_LAST},
};

/* One named mode, which comes behind those before it in our order too. */
static int32_t add_mode(reader *r, const tfm__json *json, tfm__json_value name, size_t *next) {
    for (size_t i = *next; i < TFM__COUNT(modes); i++)
        if (tfm__json_equals(json, name, modes[i].name)) {
            r->out->pooling |= modes[i].pooling;
            *next = i + 1;
            return TFM_OK;
        }
    return cannot(r, "a pooling of a mode or in an order that is not known,", json, name);
}

static int32_t read_modes(reader *r, const tfm__json *json) {
    tfm__json_value root = tfm__json_root(json), named = tfm__json_get(json, root, "pooling_mode");
    size_t next = 0;
    int32_t status = TFM_OK;
    r->out->pooling = 0;
    if (tfm__json_kind(json, named) == TFM__JSON_STRING) {
        status = add_mode(r, json, named, &next);
    } else if (named != TFM__JSON_NONE) {
        for (tfm__json_value name = tfm__json_first(json, named); name != TFM__JSON_NONE && !status;
             name = tfm__json_next(json, named, name))
            status = add_mode(r, json, name, &next);
    } else {
        for (size_t i = 0; i < TFM__COUNT(modes); i++)
            if (is_true(json, root, modes[i].flag)) r->out->pooling |= modes[i].pooling;
    }
    if (!status && !r->out->pooling && !r->out->problem)
        status = cannot(r, "a pooling without a mode", json, TFM__JSON_NONE);
    return status;
}

static int32_t read_pooling(reader *r, const char *folder) {
    description d;
    int32_t status = open_description(r, folder, "config.json", &d);
    bool with_prompt = true;
    uint32_t parts = 0;
    if (status) return status;
    if (!d.present)
        return tfm__fail_at(r->error, TFM_E_MISSING, folder, NULL, TFM__NO_OFFSET,
                            "modules.json names this pooling, which has no config.json");
    tfm__json_value root = tfm__json_root(&d.json);
    status = read_modes(r, &d.json);
    if (!status && tfm__json_bool(&d.json, tfm__json_get(&d.json, root, "include_prompt"), &with_prompt) &&
        !with_prompt && r->out->prompt)
        status = cannot(r, "a pooling that leaves out the prompt", &d.json, TFM__JSON_NONE);
    for (size_t i = 0; i < TFM__COUNT(modes); i++) parts += (r->out->pooling & modes[i].pooling) != 0;
    r->width = r->model->config.width * TFM__MAX(parts, 1);
    close_description(&d);
    return status;
}

/* A dense step's matrix, of r->width columns, and its bias, which may be NULL; memory from the arena. */
static int32_t bind_dense(reader *r, const tfm__tensor *matrix, const tfm__tensor *bias, const char *file,
                          tfm__arena *arena, tfm__embed_step *step) {
    const tfm__weight_kernels *kernels = r->model->kernels.weights;
    uint64_t rows = matrix->dims == 2 ? matrix->shape[0] : 0, row_bytes;
    if (rows < 1 || rows > TFM__MAX_WIDTH || matrix->shape[1] != r->width)
        return tfm__fail_at(r->error, TFM_E_SHAPE, file, matrix->name, matrix->offset,
                            "expected a matrix of %u columns", r->width);
    if (bias && (bias->dims != 1 || bias->shape[0] != rows))
        return tfm__fail_at(r->error, TFM_E_SHAPE, file, bias->name, bias->offset, "expected [%llu]",
                            (unsigned long long)rows);
    if (!kernels[matrix->type].product || !tfm__row_bytes(matrix->type, r->width, &row_bytes) ||
        (bias && !kernels[bias->type].to_f32))
        return tfm__fail_at(r->error, TFM_E_UNSUPPORTED, file, matrix->name, matrix->offset,
                            "a matrix of type %s", tfm__dtype_of(matrix->type)->name);
    step->matrix = (tfm__view){.data = matrix->data,
                               .type = matrix->type,
                               .row_stride = (size_t)row_bytes,
                               .rows = (uint32_t)rows,
                               .columns = r->width};
    if (bias) {
        float *values = tfm__arena_alloc(arena, tfm__round_up((size_t)rows, 16) * sizeof *values);
        if (!values) return tfm__fail_memory(r->error, &r->model->heap, (size_t)rows * sizeof *values);
        kernels[bias->type].to_f32(bias->data, values, (size_t)rows);
        step->matrix.bias = values;
    }
    r->width = (uint32_t)rows;
    return TFM_OK;
}

/* The tensors of a dense module lie in a file of its own. */
static int32_t open_dense(reader *r, const char *folder, tfm__embed_step *step) {
    int32_t status =
        tfm__container_open_inside(&r->model->store, folder, "model.safetensors", &step->file, r->error);
    if (status) return status;
    const tfm__tensor *matrix = tfm__container_tensor(&step->file, "linear.weight");
    const char *file = step->file.blobs[0].name;
    if (!matrix)
        return tfm__fail_at(r->error, TFM_E_MISSING, file, "linear.weight", TFM__NO_OFFSET,
                            "a dense module needs this tensor");
    return bind_dense(r, matrix, tfm__container_tensor(&step->file, "linear.bias"), file, &step->file.arena,
                      step);
}

static int32_t read_dense(reader *r, const char *folder) {
    static const struct {
        const char *name;
        int activation;
    } known[] = {{"Tanh", TFM__HEAD_TANH},
                 {"Identity", TFM__HEAD_LINEAR},
                 {"ReLU", TFM__HEAD_RELU},
                 {"GELU", TFM__HEAD_GELU}};
    description d;
    int activation = -1;
    int32_t status = open_description(r, folder, "config.json", &d);
    if (status) return status;
    if (!d.present)
        return tfm__fail_at(r->error, TFM_E_MISSING, folder, NULL, TFM__NO_OFFSET,
                            "modules.json names this dense module, which has no config.json");
    tfm__json_value root = tfm__json_root(&d.json),
                    name = tfm__json_get(&d.json, root, "activation_function"),
                    input = tfm__json_get(&d.json, root, "module_input_name");
    if (name == TFM__JSON_NONE) activation = TFM__HEAD_TANH; /* the class's default */
    for (size_t i = 0; i < TFM__COUNT(known); i++)
        if (is_class(&d.json, name, known[i].name)) activation = known[i].activation;
    if (input != TFM__JSON_NONE && !tfm__json_equals(&d.json, input, "sentence_embedding")) {
        status = cannot(r, "a dense module over", &d.json, input);
    } else if (activation < 0) {
        status = cannot(r, "the activation", &d.json, name);
    } else if (r->out->step_count < TFM__MOST_STEPS) {
        tfm__embed_step *step = &r->out->steps[r->out->step_count++];
        step->kind = TFM__STEP_DENSE;
        step->activation = activation;
        status = open_dense(r, folder, step);
    } else {
        status = cannot(r, "more modules than there is room for, among them", &d.json, name);
    }
    close_description(&d);
    return status;
}

static int32_t read_module(reader *r, const tfm__json *json, tfm__json_value module) {
    tfm__json_value type = tfm__json_get(json, module, "type"), path = tfm__json_get(json, module, "path");
    char folder[256];
    size_t length = tfm__json_unescape(json, path, folder, sizeof folder - 1);
    if (length == SIZE_MAX || memchr(folder, 0, length))
        return tfm__fail_at(r->error, TFM_E_FORMAT, json->file, "path", tfm__json_offset(json, module),
                            "a module without a usable path");
    folder[length] = 0;
    /* behind a step that cannot be done nothing fits; only that vectors get length 1 is still of use */
    if (r->out->problem && !is_class(json, type, "Normalize")) return TFM_OK;
    if (is_class(json, type, "Transformer"))
        return length ? cannot(r, "a transformer in a folder of its own,", json, path) : TFM_OK;
    if (is_class(json, type, "Dropout")) return TFM_OK;
    if (is_class(json, type, "Pooling")) return read_pooling(r, folder);
    if (is_class(json, type, "Dense")) return read_dense(r, folder);
    if (is_class(json, type, "Normalize") && r->out->step_count < TFM__MOST_STEPS) {
        r->out->steps[r->out->step_count++].kind = TFM__STEP_NORMALIZE;
        return TFM_OK;
    }
    return cannot(r, "a module of the type", json, type);
}

/* The longest text; and what of the first module this library does not do. */
static int32_t read_limits(reader *r) {
    static const char *const files[] = {"sentence_bert_config.json", "tokenizer_config.json"},
                             *const keys[] = {"max_seq_length", "model_max_length"};
    int32_t status = TFM_OK;
    for (size_t i = 0; i < TFM__COUNT(files) && !status && !r->out->most; i++) {
        description d;
        double most;
        status = open_description(r, "", files[i], &d);
        if (status || !d.present) continue;
        tfm__json_value root = tfm__json_root(&d.json),
                        task = tfm__json_get(&d.json, root, "transformer_task");
        if (tfm__json_f64(&d.json, tfm__json_get(&d.json, root, keys[i]), &most) && most >= 1 &&
            most <= TFM__MAX_CONTEXT) /* 10^30 stands for no limit */
            r->out->most = (uint32_t)most;
        if (i == 0 && is_true(&d.json, root, "do_lower_case"))
            status = cannot(r, "do_lower_case beside the tokenizer's own", &d.json, TFM__JSON_NONE);
        if (task != TFM__JSON_NONE && !tfm__json_equals(&d.json, task, "feature-extraction"))
            status = cannot(r, "the task", &d.json, task);
        close_description(&d);
    }
    return status;
}

/* The prompt that default_prompt_name names. */
static int32_t read_prompt(reader *r) {
    description d;
    int32_t status = open_description(r, "", "config_sentence_transformers.json", &d);
    if (status || !d.present) return status;
    tfm__json_value root = tfm__json_root(&d.json),
                    name = tfm__json_get(&d.json, root, "default_prompt_name");
    const char *text;
    size_t length;
    char key[128];
    if (tfm__json_raw(&d.json, name, &text, &length) && length < sizeof key) {
        length = tfm__json_unescape(&d.json, name, key, sizeof key - 1);
        key[length == SIZE_MAX ? 0 : length] = 0;
        tfm__json_value prompt = tfm__json_get(&d.json, tfm__json_get(&d.json, root, "prompts"), key);
        if (tfm__json_raw(&d.json, prompt, &text, &length) && length > 0) {
            char *copy = tfm__arena_alloc(&r->model->container.arena, length + 1);
            if (!copy) status = tfm__fail_memory(r->error, &r->model->heap, length + 1);
            if (copy) length = tfm__json_unescape(&d.json, prompt, copy, length);
            if (copy && length != SIZE_MAX) {
                r->out->prompt = copy;
                r->out->prompt_length = length;
            }
        }
    }
    close_description(&d);
    return status;
}

/* GGUF: the pooling, and up to two dense layers without bias or activation. */
static int32_t read_gguf(reader *r) {
    static const uint32_t types[] = {0, TFM_POOL_MEAN, TFM_POOL_FIRST, TFM_POOL_LAST};
    static const char *const layers[] = {"dense_2.weight", "dense_3.weight"};
    tfm__container *container = &r->model->container;
    char key[128];
    uint64_t type = 0;
    int32_t status = TFM_OK;
    snprintf(key, sizeof key, "%s.pooling_type", r->model->config.family->gguf);
    const tfm__meta *meta = tfm__container_meta(container, key);
    if (meta && tfm__meta_u64(meta, 0, &type) && type < TFM__COUNT(types)) r->out->pooling = types[type];
    for (size_t i = 0; i < TFM__COUNT(layers) && !status; i++) {
        const tfm__tensor *matrix = tfm__container_tensor(container, layers[i]);
        if (!matrix) continue;
        tfm__embed_step *step = &r->out->steps[r->out->step_count++];
        step->kind = TFM__STEP_DENSE;
        step->activation = TFM__HEAD_LINEAR;
        status = bind_dense(r, matrix, NULL, tfm__container_file(container, matrix), &container->arena, step);
    }
    return status;
}

int32_t tfm__model_modules(tfm_model *model, tfm_error *error) {
    reader r = {.model = model, .out = &model->embedder, .width = model->config.width, .error = error};
    description d;
    if (model->container.format == TFM__FORMAT_GGUF) return read_gguf(&r);
    if (model->container.format != TFM__FORMAT_HF) return TFM_OK;
    int32_t status = open_description(&r, "", "modules.json", &d);
    if (status || !d.present) return status;
    status = read_prompt(&r);
    if (!status) status = read_limits(&r);
    tfm__json_value root = tfm__json_root(&d.json);
    if (!status && tfm__json_kind(&d.json, root) != TFM__JSON_ARRAY)
        status = tfm__fail_at(error, TFM_E_FORMAT, d.json.file, NULL, 0, "not a list of modules");
    for (tfm__json_value module = tfm__json_first(&d.json, root); module != TFM__JSON_NONE && !status;
         module = tfm__json_next(&d.json, root, module))
        status = read_module(&r, &d.json, module);
    close_description(&d);
    return status;
}
