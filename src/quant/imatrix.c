/* imatrix.c - importance matrices as llama.cpp's llama-imatrix writes them: for every matrix of weights, the
 * mean square of what each of its columns was multiplied with. Called by quantize.c.
 *
 * The older form: the number of entries; for each the name's length and bytes, how many calls, how many
 * values, and those, F32, as sums over the calls; then things that only merging needs. All numbers int32,
 * little-endian. The newer one: a GGUF file with general.type "imatrix" and for each matrix two tensors,
 * NAME.in_sum2 [experts, columns] with sums of squares and NAME.counts [experts, 1] with how many rows were
 * added. Source: the files themselves and the description in llama.cpp's tools/imatrix. */
#include <math.h>

#include "quant/quant.h"

typedef struct matrix_file {
    tfm__plan *plan;
    const char *name; /* for messages */
    const uint8_t *data;
    uint64_t size, at;
    uint32_t *order; /* of the plan's tensors, by name */
} matrix_file;

static int32_t fail(const matrix_file *f, int32_t code, const char *tensor, uint64_t offset,
                    const char *what) {
    return tfm__fail_at(f->plan->error, code, f->name, tensor, offset, "%s", what);
}

static int by_name(const void *context, uint32_t a, uint32_t b) {
    const tfm__planned *tensors = context;
    return strcmp(tensors[a].out.name, tensors[b].out.name);
}

static tfm__planned *planned_of(const matrix_file *f, const char *name, size_t length) {
    size_t low = 0, high = f->plan->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        tfm__planned *planned = &f->plan->tensors[f->order[middle]];
        size_t own = strlen(planned->out.name);
        int order = memcmp(planned->out.name, name, TFM__MIN(own, length));
        if (order == 0) order = own < length ? -1 : own > length;
        if (order == 0) return planned;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Room for a tensor's importance, or NULL: the sizes do not fit, or no memory, which shows in *status. The
 * embedding is looked up, not multiplied, so files are often wrong there and are passed over. */
static float *room_for(const matrix_file *f, const tfm__planned *planned, uint64_t values, int32_t *status) {
    const tfm__gguf_tensor *out = &planned->out;
    uint64_t columns = out->shape[out->dims - 1], matrices = out->dims == 3 ? out->shape[0] : 1;
    if (values != columns * matrices) {
        if (strcmp(out->name, "token_embd.weight"))
            *status =
                tfm__fail_at(f->plan->error, TFM_E_SHAPE, f->name, out->name, TFM__NO_OFFSET,
                             "%llu values of importance, the model has %llu columns: made for another model?",
                             (unsigned long long)values, (unsigned long long)(columns * matrices));
        return NULL;
    }
    float *room = tfm__arena_alloc(&f->plan->arena, (size_t)values * sizeof *room);
    if (!room) *status = tfm__fail_memory(f->plan->error, f->plan->heap, (size_t)values * sizeof *room);
    return room;
}

static int32_t check_number(const matrix_file *f, const char *tensor, float value) {
    if (isfinite(value)) return TFM_OK;
    return fail(f, TFM_E_FORMAT, tensor, TFM__NO_OFFSET, "an importance is not a finite number");
}

/* ---- The older form ---- */

static bool take_count(matrix_file *f, uint64_t each, uint32_t *out) {
    if (f->size - f->at < 4) return false;
    *out = tfm__u32_le(f->data + f->at);
    f->at += 4;
    return *out <= INT32_MAX && *out <= (f->size - f->at) / each;
}

static int32_t read_entry(matrix_file *f) {
    uint32_t length, calls, values;
    if (!take_count(f, 1, &length) || length == 0)
        return fail(f, TFM_E_TRUNCATED, NULL, f->at, "the name of an entry is missing");
    const char *name = (const char *)f->data + f->at;
    f->at += length;
    if (f->size - f->at < 4) return fail(f, TFM_E_TRUNCATED, NULL, f->at, "an entry ends early");
    calls = tfm__u32_le(f->data + f->at);
    f->at += 4;
    if (!take_count(f, 4, &values) || values == 0)
        return fail(f, TFM_E_TRUNCATED, NULL, f->at, "an entry has fewer values than it says");
    const uint8_t *from = f->data + f->at;
    f->at += 4 * (uint64_t)values;
    tfm__planned *planned = planned_of(f, name, length);
    int32_t status = TFM_OK;
    if (!planned) return TFM_OK;
    float *importance = room_for(f, planned, values, &status);
    for (uint32_t i = 0; importance && i < values && !status; i++) {
        importance[i] = tfm__f32_le(from + 4 * (size_t)i);
        if (calls > 0 && calls <= INT32_MAX) importance[i] /= (float)(int32_t)calls;
        status = check_number(f, planned->out.name, importance[i]);
    }
    planned->importance = importance;
    return status;
}

static int32_t read_old(matrix_file *f) {
    uint32_t entries;
    int32_t status = TFM_OK;
    if (!take_count(f, 13, &entries) || entries == 0)
        return fail(f, TFM_E_FORMAT, NULL, 0, "neither form of an importance matrix");
    for (uint32_t i = 0; i < entries && !status; i++) status = read_entry(f);
    return status;
}

/* ---- GGUF ---- */

static int32_t read_sums(matrix_file *f, const tfm__container *container, const tfm__tensor *sums,
                         size_t length) {
    char name[256];
    uint64_t rows = sums->dims > 1 ? sums->shape[sums->dims - 2] : 1, columns = sums->shape[sums->dims - 1];
    if (length > 200) return TFM_OK;
    tfm__planned *planned = planned_of(f, sums->name, length);
    if (!planned) return TFM_OK;
    memcpy(name, sums->name, length);
    memcpy(name + length, ".counts", 8);
    const tfm__tensor *counts = tfm__container_tensor(container, name);
    if (!counts || counts->type != TFM__F32 || sums->type != TFM__F32 || counts->bytes / 4 != rows ||
        sums->bytes / 4 != rows * columns)
        return fail(f, TFM_E_FORMAT, sums->name, sums->offset, "sums and counts do not fit each other");
    int32_t status = TFM_OK;
    float *importance = room_for(f, planned, rows * columns, &status);
    for (uint64_t r = 0; importance && r < rows; r++) {
        float count = tfm__f32_le(counts->data + 4 * r);
        for (uint64_t i = 0; i < columns && !status; i++) {
            float sum = tfm__f32_le(sums->data + 4 * (r * columns + i));
            importance[r * columns + i] =
                count > 0.0f ? sum / count : 1.0f; /* an expert that was never chosen */
            status = check_number(f, sums->name, importance[r * columns + i]);
        }
    }
    planned->importance = importance;
    return status;
}

static int32_t read_gguf(matrix_file *f, const tfm__container *container) {
    const tfm__meta *type = tfm__container_meta(container, "general.type");
    tfm__text text = {NULL, 0};
    int32_t status = TFM_OK;
    if (!type || !tfm__meta_text(type, 0, &text) || text.size != 7 || memcmp(text.data, "imatrix", 7))
        return fail(f, TFM_E_FORMAT, NULL, TFM__NO_OFFSET, "this GGUF file is no importance matrix");
    for (size_t i = 0; i < container->tensor_count && !status; i++) {
        const tfm__tensor *tensor = &container->tensors[i];
        size_t length = strlen(tensor->name);
        if (length > 8 && !strcmp(tensor->name + length - 8, ".in_sum2"))
            status = read_sums(f, container, tensor, length - 8);
    }
    return status;
}

/* ---- Either ---- */

static int32_t read_either(matrix_file *f, tfm__store *store) {
    tfm__plan *plan = f->plan;
    tfm__blob blob;
    if (tfm__store_is_folder(store))
        return fail(f, TFM_E_FORMAT, NULL, TFM__NO_OFFSET, "a folder is no importance matrix");
    int32_t status = tfm__store_main(store, &blob, plan->error);
    if (!status && blob.size >= 4 && !memcmp(blob.data, "GGUF", 4)) {
        tfm__container container;
        tfm__blob_release(&blob);
        status = tfm__container_open(store, &container, plan->error);
        if (!status) {
            status = read_gguf(f, &container);
            tfm__container_release(&container);
        }
    } else if (!status) {
        f->data = blob.data;
        f->size = blob.size;
        status = read_old(f);
        tfm__blob_release(&blob);
    }
    if (status) return status;
    for (size_t i = 0; i < plan->count; i++)
        if (plan->tensors[i].importance) return TFM_OK;
    return fail(f, TFM_E_FORMAT, NULL, TFM__NO_OFFSET,
                "no name in this importance matrix is a tensor of the model: made for another model?");
}

int32_t tfm__plan_importance(tfm__plan *plan, tfm__store *store, const char *name) {
    matrix_file f = {.plan = plan, .name = name};
    int32_t status;
    f.order = tfm__alloc_array(plan->heap, plan->count, sizeof *f.order);
    if (!f.order) return tfm__fail_memory(plan->error, plan->heap, plan->count * sizeof *f.order);
    for (size_t i = 0; i < plan->count; i++) f.order[i] = (uint32_t)i;
    tfm__sort(f.order, plan->count, by_name, plan->tensors);
    status = read_either(&f, store);
    tfm__free(plan->heap, f.order);
    return status;
}
