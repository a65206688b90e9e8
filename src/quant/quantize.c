/* quantize.c - the whole: open the source, plan, choose types, write. Called by api_quantize.c.
 *
 * Rows are fetched as floats, quantised and written in runs of about a megabyte, so memory does not grow with
 * the model. A run is cut into pieces by shape alone, each piece whole on one thread: the bits do not depend
 * on the pool. */
#include <math.h>

#include "kernels/quantize.h"
#include "quant/quant.h"

#define RUN_VALUES ((size_t)1 << 18)   /* floats at a time, at least a row */
#define PIECE_VALUES ((size_t)1 << 13) /* of which each piece takes so many, at least a row */
#define MOST_VALUE 1e10f               /* of weights in blocks: what is larger overflows every scale */
#define COPY_BYTES ((size_t)1 << 22)

/* ---- Rows ---- */

/* Row r of a planned matrix is this row of its source. */
static uint64_t source_row(const tfm__planned *p, uint64_t r) {
    uint64_t head = r / TFM__MAX(p->head_dim, 1u), in = r % TFM__MAX(p->head_dim, 1u);
    if (p->order == TFM__ORDER_ROTARY)
        return head * p->head_dim + (in < p->rotary ? (in % 2) * (p->rotary / 2) + in / 2 : in);
    if (p->order != TFM__ORDER_GROUPS) return r;
    uint64_t each = p->heads / p->kv_heads, place;
    if (head < p->heads)
        place = head / each * (each + 2) + head % each;
    else if (head < p->heads + p->kv_heads)
        place = (head - p->heads) * (each + 2) + each;
    else
        place = (head - p->heads - p->kv_heads) * (each + 2) + each + 1;
    return place * p->head_dim + in;
}

/* columns values of row r, which lies in a matrix of `rows` rows. */
static void fetch_row(const tfm__kernels *kernels, const tfm__planned *p, uint64_t r, uint64_t rows,
                      size_t columns, float *out) {
    const tfm__tensor *source = p->source;
    if (p->values) {
        memcpy(out, p->values + r * columns, columns * sizeof *out);
        return;
    }
    if (p->parts) {
        source = p->parts[r / rows];
        r %= rows;
    }
    const tfm__dtype *dtype = tfm__dtype_of(source->type);
    void (*to_f32)(const void *, float *, size_t) = kernels->weights[source->type].to_f32;
    r = source_row(p, r);
    if (p->transposed)
        for (size_t c = 0; c < columns; c++)
            to_f32(source->data + (size_t)(c * rows + r) * dtype->block_bytes, out + c, 1);
    else
        to_f32(source->data + (size_t)(r * (columns / dtype->block) * dtype->block_bytes), out, columns);
    if (p->offset != 0.0f)
        for (size_t c = 0; c < columns; c++) out[c] += p->offset;
}

typedef struct run {
    const tfm__kernels *kernels;
    const tfm__planned *planned;
    uint64_t rows; /* of one matrix */
    size_t columns, row_bytes;
    uint64_t first;     /* row of this run */
    size_t count, each; /* rows of the run, and of a piece */
    float *values;
    uint8_t *bytes;
    uint8_t *wrong; /* [pieces] 1: a value that is no finite number; 2: too large */
} run;

/* Matrices of experts lie behind each other, each with an importance of its own. */
static const float *importance_of(const run *r, uint64_t row) {
    const tfm__planned *p = r->planned;
    if (!p->importance) return NULL;
    return p->importance + (p->out.dims == 3 ? row / r->rows : 0) * r->columns;
}

static uint8_t look(const float *values, size_t count, bool blocked) {
    uint8_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        if (!(fabsf(values[i]) <= MOST_VALUE))
            wrong = (uint8_t)(isfinite(values[i]) ? wrong | blocked << 1 : 1);
        if (wrong == 1) break;
    }
    return wrong;
}

static void run_piece(void *arg, size_t piece) {
    const run *r = arg;
    size_t from = piece * r->each, n = TFM__MIN(r->each, r->count - from);
    uint32_t type = r->planned->out.type;
    float *values = r->values + from * r->columns;
    uint8_t *bytes = r->bytes + from * r->row_bytes;
    for (size_t i = 0; i < n; i++)
        fetch_row(r->kernels, r->planned, r->first + from + i, r->rows, r->columns, values + i * r->columns);
    bool blocked = tfm__dtype_of(type)->block > 1;
    r->wrong[piece] = blocked || type == TFM__F16 ? look(values, n * r->columns, blocked) : 0;
    if (r->wrong[piece]) return;
    for (size_t i = 0; i < n; i++)
        tfm__quantize_rows(type, values + i * r->columns, 1, r->columns,
                           importance_of(r, r->first + from + i), bytes + i * r->row_bytes);
    if (!tfm__quantize_fits(type, bytes, n * r->row_bytes)) r->wrong[piece] = 2;
}

/* ---- Writing ---- */

typedef struct job {
    tfm__plan *plan;
    const tfm_quantize_options *options;
    tfm__kernels kernels;
    tfm__writer writer;
    tfm__watch watch;
    uint64_t done, total; /* values */
    tfm_quantize_result *result;
} job;

static uint64_t values_of(const tfm__gguf_tensor *tensor) {
    uint64_t values = 1;
    for (uint32_t i = 0; i < tensor->dims; i++)
        values *= tensor->shape[i]; /* the source's product was checked */
    return values;
}

static const char *source_file(const job *j, const tfm__planned *p) {
    const tfm__tensor *tensor = p->source ? p->source : p->parts ? p->parts[0] : NULL;
    return tensor ? tfm__container_file(j->plan->container, tensor) : NULL;
}

static int32_t refuse_values(const job *j, const tfm__planned *p, uint8_t wrong) {
    tfm_error *error = j->plan->error;
    if (wrong == 1)
        return tfm__fail_at(error, TFM_E_FORMAT, source_file(j, p), p->out.name, TFM__NO_OFFSET,
                            "a weight is not a finite number");
    return tfm__fail_at(error, TFM_E_UNSUPPORTED, source_file(j, p), p->out.name, TFM__NO_OFFSET,
                        "a weight is too large for %s", tfm__dtype_of(p->out.type)->name);
}

static int32_t write_rows(job *j, const tfm__planned *p) {
    const tfm__gguf_tensor *out = &p->out;
    bool single = out->dims == 1 && p->order != TFM__ORDER_AS_IS; /* a vector whose values change places */
    run r = {.kernels = &j->kernels, .planned = p};
    uint64_t values = values_of(out), bytes = 0;
    r.columns = single ? 1 : (size_t)out->shape[out->dims - 1];
    r.rows = out->dims == 1 ? values / r.columns : out->shape[out->dims - 2];
    if (!tfm__row_bytes(out->type, r.columns, &bytes))
        return refuse_values(j, p, 2); /* cannot be: the head was made */
    r.row_bytes = (size_t)bytes;
    uint64_t rows = values / r.columns;
    size_t most = TFM__MAX(RUN_VALUES / r.columns, (size_t)1), pieces;
    most = (size_t)TFM__MIN((uint64_t)most, rows);
    r.each = TFM__MAX(PIECE_VALUES / r.columns, (size_t)1);
    pieces = (most + r.each - 1) / r.each;
    r.values = tfm__alloc_array(j->plan->heap, most * r.columns, sizeof *r.values);
    r.bytes = tfm__alloc_array(j->plan->heap, most, r.row_bytes);
    r.wrong = tfm__alloc(j->plan->heap, pieces);
    int32_t status = TFM_OK;
    if (!r.values || !r.bytes || !r.wrong)
        status = tfm__fail_memory(j->plan->error, j->plan->heap, most * r.columns * sizeof *r.values);
    for (r.first = 0; r.first < rows && !status; r.first += r.count) {
        r.count = (size_t)TFM__MIN((uint64_t)most, rows - r.first);
        pieces = (r.count + r.each - 1) / r.each;
        status = tfm__watch_poll(&j->watch, j->done, j->total, j->plan->error);
        if (status) break;
        tfm__parallel(j->options->pool, pieces, run_piece, &r);
        for (size_t i = 0; i < pieces && !status; i++)
            if (r.wrong[i]) status = refuse_values(j, p, r.wrong[i]);
        if (!status) status = tfm__writer_write(&j->writer, r.bytes, r.count * r.row_bytes, j->plan->error);
        j->done += (uint64_t)r.count * r.columns;
    }
    tfm__free(j->plan->heap, r.values);
    tfm__free(j->plan->heap, r.bytes);
    tfm__free(j->plan->heap, r.wrong);
    return status;
}

/* The source's bytes as they are. */
static int32_t copy_bytes(job *j, const tfm__planned *p) {
    uint64_t values = values_of(&p->out), before = j->done;
    for (uint64_t at = 0; at < p->source->bytes; at += COPY_BYTES) {
        size_t n = (size_t)TFM__MIN((uint64_t)COPY_BYTES, p->source->bytes - at);
        int32_t status = tfm__watch_poll(&j->watch, j->done, j->total, j->plan->error);
        if (!status) status = tfm__writer_write(&j->writer, p->source->data + at, n, j->plan->error);
        if (status) return status;
        j->done = before + (uint64_t)((double)values * ((double)(at + n) / (double)p->source->bytes));
    }
    j->done = before + values;
    return TFM_OK;
}

static bool is_copy(const tfm__planned *p) {
    return p->source && p->source->type == p->out.type && p->order == TFM__ORDER_AS_IS && !p->transposed &&
           p->offset == 0.0f;
}

static int32_t write_tensor(job *j, const tfm__planned *p) {
    static const uint8_t zeros[TFM__GGUF_ALIGNMENT] = {0};
    int32_t status = is_copy(p) ? copy_bytes(j, p) : write_rows(j, p);
    size_t rest = (size_t)(p->out.bytes % TFM__GGUF_ALIGNMENT);
    if (!status && rest)
        status = tfm__writer_write(&j->writer, zeros, TFM__GGUF_ALIGNMENT - rest, j->plan->error);
    return status;
}

/* ---- What may not be done ---- */

/* Every tensor that changes comes from floats, or from what may be requantised. */
static int32_t check_sources(job *j) {
    tfm__plan *plan = j->plan;
    for (size_t i = 0; i < plan->count; i++) {
        const tfm__planned *p = &plan->tensors[i];
        const tfm__tensor *source = p->parts ? p->parts[0] : p->source;
        tfm_quantize_result *r = j->result;
        uint64_t values = values_of(&p->out);
        r->tensors++;
        r->parameters += values;
        j->total += values;
        if (!source) {
            r->source_bytes += values * sizeof(float);
            continue;
        }
        r->source_bytes += source->bytes * (p->parts ? p->out.shape[0] : 1);
        if (is_copy(p)) continue;
        r->quantized += source->type != p->out.type;
        r->weighted += p->importance != NULL && tfm__dtype_of(p->out.type)->block > 1;
        if (!j->kernels.weights[source->type].to_f32)
            return tfm__fail_at(plan->error, TFM_E_UNSUPPORTED, source_file(j, p), source->name,
                                source->offset, "weights of type %s cannot be quantised",
                                tfm__dtype_of(source->type)->name);
        if (tfm__dtype_of(source->type)->block > 1 && !j->options->requantize)
            return tfm__fail_at(plan->error, TFM_E_UNSUPPORTED, source_file(j, p), source->name,
                                source->offset,
                                "its weights are quantised already, to %s: quantising them again loses twice "
                                "(requantize allows it)",
                                tfm__dtype_of(source->type)->name);
    }
    return TFM_OK;
}

static int32_t write_plan(job *j, const char *target) {
    tfm__plan *plan = j->plan;
    tfm__gguf_tensor *list = tfm__alloc_array(plan->heap, plan->count, sizeof *list);
    tfm__buffer head;
    uint64_t data = 0;
    if (!list) return tfm__fail_memory(plan->error, plan->heap, plan->count * sizeof *list);
    tfm__buffer_init(&head, plan->heap);
    for (size_t i = 0; i < plan->count; i++) list[i] = plan->tensors[i].out;
    int32_t status = tfm__gguf_head(&plan->values, list, plan->count, &head, &data, plan->error);
    for (size_t i = 0; i < plan->count && !status; i++) {
        plan->tensors[i].out.bytes = list[i].bytes;
        j->result->bytes += list[i].bytes;
    }
    if (!status) status = tfm__writer_open(&j->writer, plan->heap, target, plan->error);
    if (!status) {
        status = tfm__writer_write(&j->writer, head.data, head.size, plan->error);
        for (size_t i = 0; i < plan->count && !status; i++) status = write_tensor(j, &plan->tensors[i]);
        if (!status) status = tfm__watch_poll(&j->watch, j->total, j->total, plan->error);
        if (status)
            tfm__writer_abandon(&j->writer);
        else
            status = tfm__writer_finish(&j->writer, plan->error);
    }
    tfm__buffer_free(&head);
    tfm__free(plan->heap, list);
    return status;
}

/* ---- The whole ---- */

static int32_t read_importance(tfm__plan *plan, const char *path) {
    tfm__read_options reading = {0};
    tfm__store store;
    int32_t status = tfm__store_open_path(&store, plan->heap, path, &reading, plan->error);
    if (status) return status;
    status = tfm__plan_importance(plan, &store, path);
    tfm__store_close(&store);
    return status;
}

static int32_t carry_out(tfm__plan *plan, const char *target, const tfm__mix *mix,
                         const tfm_quantize_options *options, tfm_quantize_result *result) {
    job j = {.plan = plan,
             .options = options,
             .watch = {.progress = options->progress,
                       .progress_user = options->progress_user,
                       .cancel = options->cancel},
             .result = result};
    int isa;
    int32_t status = tfm__cpu_choose_isa(TFM_ISA_BEST, &isa, plan->error);
    if (status) return status;
    tfm__kernels_fill(&j.kernels, isa);
    tfm__gguf_put_u32(&plan->values, "general.quantization_version", 2);
    tfm__gguf_put_u32(&plan->values, "general.file_type", tfm__mix_file_type(mix));
    status = tfm__mix_apply(mix, plan, options, options->imatrix != NULL, result);
    if (!status && options->imatrix) status = read_importance(plan, options->imatrix);
    if (!status) status = check_sources(&j);
    return status ? status : write_plan(&j, target);
}

/* The source as a container alone, if it is GGUF; as a whole model otherwise, whose description is to be
 * written. */
static int32_t quantize_container(tfm__plan *plan, tfm__store *store, const char *source, const char *target,
                                  const tfm__mix *mix, const tfm_quantize_options *options,
                                  tfm_quantize_result *result) {
    tfm__container container;
    tfm_model_options loading = TFM_MODEL_OPTIONS_INIT;
    tfm_model *model = NULL;
    int32_t status = tfm__container_open(store, &container, plan->error);
    if (status) return status;
    if (container.format == TFM__FORMAT_GGUF) {
        plan->container = &container;
        status = tfm__plan_gguf(plan);
        if (!status) status = carry_out(plan, target, mix, options, result);
        tfm__container_release(&container);
        return status;
    }
    tfm__container_release(&container);
    loading.allocator = options->allocator;
    loading.byte_budget = options->byte_budget;
    loading.log = options->log;
    loading.log_user = options->log_user;
    loading.cancel = options->cancel;
    status = tfm_model_load(source, &loading, &model, plan->error);
    if (status) return status;
    plan->container = &model->container;
    status = tfm__plan_model(plan, model);
    if (!status) status = tfm__plan_model_values(plan, model, options->tokenizer != TFM_NO);
    if (!status) status = carry_out(plan, target, mix, options, result);
    tfm_model_release(model);
    return status;
}

int32_t tfm__quantize(const char *source, const char *target, const tfm__mix *mix,
                      const tfm_quantize_options *options, tfm_quantize_result *result, tfm_error *error) {
    tfm__heap heap;
    tfm__store store;
    tfm__read_options reading = {.cancel = options->cancel};
    tfm__heap_init(&heap, options->allocator, options->byte_budget);
    tfm__plan plan = {.heap = &heap, .log = options->log, .log_user = options->log_user, .error = error};
    int32_t status = tfm__store_open_path(&store, &heap, source, &reading, error);
    if (status) return status;
    tfm__arena_init(&plan.arena, &heap);
    tfm__gguf_values_init(&plan.values, &heap);
    status = quantize_container(&plan, &store, source, target, mix, options, result);
    tfm__gguf_values_free(&plan.values);
    tfm__free(&heap, plan.tensors);
    tfm__arena_free(&plan.arena);
    tfm__store_close(&store);
    return status;
}
