/* blank.h - the tensors of a model that is not there yet, from its description alone, and what they begin
 * with. */
#ifndef TFM__BLANK_H
#define TFM__BLANK_H

#include "model/model.h"

/* One tensor of a new model in Hugging Face's layout. */
typedef struct tfm__blank {
    const char *name; /* in the container's arena */
    uint32_t dims;
    uint64_t shape[2];
    uint64_t count; /* of values */
    float fill;     /* all of them, where spread is 0 */
    double spread;  /* standard deviation of normally distributed ones around 0 */
    int64_t silent; /* this row is 0 (a padding token's embedding), or -1 */
} tfm__blank;

/* Lists the tensors of a decoder whose description is in model->config and model->container (no tensors,
 * Hugging Face's format): *out [*count], from heap, the caller's to free. Starts as transformers'
 * _init_weights has it: normal with config.json's initializer_range (or init_std; 0.02), norms 1 (or 0 where
 * 1 is added), biases 0. Fails where the family is no decoder that can be trained, or the numbers make no
 * sense. */
int32_t tfm__blank_list(tfm_model *model, tfm__heap *heap, tfm__blank **out, size_t *count, tfm_error *error);

/* The values of one tensor: they depend on the seed, its name and its shape alone. */
void tfm__blank_fill(const tfm__blank *blank, uint64_t seed, float *values);

#endif
