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
    const tfm__dtype *type = tfm__dtype_of(view->type);
    const tfm__weight_kernels *kernels = &model->kernels.weights[view->type];
    if (!view->transposed) {
        read_run(kernels, type, view->data + (size_t)token * view->row_stride, 0, view->columns, values);
        return TFM_OK;
    }
    for (uint32_t i = 0; i < view->columns; i++) /* plain types only */
        read_run(kernels, type, view->data + i * view->row_stride, (uint64_t)token, 1, values + i);
    return TFM_OK;
}
