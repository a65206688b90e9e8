/* api_tensors.c - the exported functions of tfm/model.h that read weights: tensors of the file, and the rows
 * of tokens. */
#include "model/state.h"

#define MOST_BLOCK 256 /* elements of the largest quantised block */

/* Elements first .. first + count - 1 of a run of blocks. Whole blocks go straight to values. */
static void read_run(const tfm__weight_kernels *kernels, const tfm__dtype *type, const uint8_t *data,
                     uint64_t first, size_t count, float *values) {
    float block[MOST_BLOCK];
    while (count > 0) {
        const uint8_t *source = data + first / type->block * type->block_bytes;
        size_t skipped = (size_t)(first % type->block);
        if (skipped == 0 && count >= type->block) {
            size_t whole = count - count % type->block;
            kernels->to_f32(source, values, whole);
            first += whole;
            values += whole;
            count -= whole;
            continue;
        }
        size_t taken = TFM__MIN(type->block - skipped, count);
        kernels->to_f32(source, block, type->block);
        memcpy(values, block + skipped, taken * sizeof *values);
        first += taken;
        values += taken;
        count -= taken;
    }
}

/* Row `row` of a matrix: [columns]. */
static void read_row(const tfm_model *model, const tfm__view *view, size_t row, float *values) {
    const tfm__dtype *type = tfm__dtype_of(view->type);
    const tfm__weight_kernels *kernels = &model->kernels.weights[view->type];
    if (!view->transposed) {
        read_run(kernels, type, view->data + row * view->row_stride, 0, view->columns, values);
        return;
    }
    for (uint32_t i = 0; i < view->columns; i++) /* plain types only */
        read_run(kernels, type, view->data + i * view->row_stride, row, 1, values + i);
}

int32_t tfm_model_tensor_read(const tfm_model *model, size_t index, uint64_t first, size_t count,
                              float *values, tfm_error *error) {
    uint64_t elements = 1;
    if (!model || (!values && count))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_tensor_read: model or values is NULL");
    if (index >= model->container.tensor_count)
        return tfm__fail(error, TFM_E_ARGUMENT, "tensor %zu of %zu", index, model->container.tensor_count);
    const tfm__tensor *tensor = &model->container.tensors[index];
    const tfm__weight_kernels *kernels = &model->kernels.weights[tensor->type];
    const tfm__dtype *type = tfm__dtype_of(tensor->type);
    for (uint32_t i = 0; i < tensor->dims; i++)
        elements *= tensor->shape[i]; /* the container has checked it */
    if (first > elements || count > elements - first)
        return tfm__fail_at(error, TFM_E_ARGUMENT, NULL, tensor->name, TFM__NO_OFFSET,
                            "elements %llu and %zu from there of %llu", (unsigned long long)first, count,
                            (unsigned long long)elements);
    if (!kernels->to_f32 || type->block > MOST_BLOCK)
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, NULL, tensor->name, TFM__NO_OFFSET,
                            "a tensor of type %s", type->name);
    read_run(kernels, type, tensor->data, first, count, values);
    return TFM_OK;
}

int32_t tfm_token_embedding(const tfm_model *model, int32_t token, int32_t matrix, float *values,
                            size_t capacity, size_t *count, tfm_error *error) {
    if (!model || (!values && capacity))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_token_embedding: model or values is NULL");
    if (matrix != TFM_EMBEDDING_INPUT && matrix != TFM_EMBEDDING_OUTPUT)
        return tfm__fail(error, TFM_E_ARGUMENT, "matrix %d is neither TFM_EMBEDDING_INPUT nor _OUTPUT",
                         (int)matrix);
    const tfm__view *view = matrix == TFM_EMBEDDING_INPUT ? &model->embedding : &model->output;
    if (!view->data) return tfm__fail(error, TFM_E_ARGUMENT, "this model has no output matrix");
    if (token < 0 || (uint32_t)token >= view->rows)
        return tfm__fail(error, TFM_E_ARGUMENT, "token %d of %u", (int)token, view->rows);
    if (count) *count = view->columns;
    if (capacity < view->columns)
        return tfm__fail(error, TFM_E_BUFFER, "a row has %u values, room for %zu", view->columns, capacity);
    read_row(model, view, (size_t)token, values);
    return TFM_OK;
}

/* ---- Matrices ----------------------------------------------------------------------------------------- */

static void rotation_row(const tfm_model *model, size_t index, float *out, size_t pairs) {
    const tfm__layer *layer = &model->layers[index];
    const float *inverse = layer->rotates ? model->frequencies[layer->rope].inverse : NULL;
    for (size_t i = 0; i < pairs; i++) out[i] = inverse ? inverse[i] : 0.0f;
}

static void scores_row(const tfm_model *model, size_t index, float *out) {
    out[0] = model->layers[index].attn_scale;
    out[1] = model->config.attn_soft_cap;
    out[2] = (float)model->layers[index].window;
}

int32_t tfm_model_matrix(const tfm_model *model, int32_t matrix, size_t first, size_t count, float *values,
                         size_t *rows, size_t *columns, tfm_error *error) {
    if (!model) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_matrix: model is NULL");
    const tfm__config *c = &model->config;
    const tfm__view *view = &model->positions;
    size_t skipped = c->position_offset, high, wide;
    if (matrix == TFM_MATRIX_POSITIONS) {
        if (!view->data) return tfm__fail(error, TFM_E_MISSING, "the model adds no positions");
        if (view->transposed)
            return tfm__fail(error, TFM_E_UNSUPPORTED, "the positions are stored the other way round");
        high = view->rows - TFM__MIN(skipped, (size_t)view->rows);
        wide = view->columns;
    } else if (matrix == TFM_MATRIX_ROTATION || matrix == TFM_MATRIX_SCORES) {
        if (matrix == TFM_MATRIX_ROTATION && c->positions != TFM__POSITIONS_ROTARY)
            return tfm__fail(error, TFM_E_MISSING,
                             "the model does not turn queries and keys by their positions");
        high = c->layers;
        wide = matrix == TFM_MATRIX_ROTATION ? c->rotary_dim / 2 : 3;
    } else {
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_matrix: there is no matrix %d", (int)matrix);
    }
    if (values && (first > high || count > high - first))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_matrix: rows %zu and %zu more, of %zu", first,
                         count, high);
    for (size_t i = 0; values && i < count; i++) {
        float *out = values + i * wide;
        if (matrix == TFM_MATRIX_ROTATION)
            rotation_row(model, first + i, out, wide);
        else if (matrix == TFM_MATRIX_SCORES)
            scores_row(model, first + i, out);
        else
            read_row(model, view, skipped + first + i, out);
    }
    if (rows) *rows = high;
    if (columns) *columns = wide;
    return TFM_OK;
}
