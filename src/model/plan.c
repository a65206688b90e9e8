/* plan.c - the formulas of tfm/plan.h: memory and arithmetic that follow from a shape.
 *
 * A product of a matrix with a vector takes a multiplication and an addition for each weight: 2 for each
 * parameter that a token meets (looking up its embedding is none). Attention adds, for each layer, head and
 * position seen, 2 for each number of a key and of a value. Going backward takes twice as much again (Kaplan
 * et al. 2020, section 2.1). */
#include <math.h>

#include "base/dtype.h"
#include "kernels/cache_blocks.h"
#include "model/plan.h"

#define TRAIN_BYTES 16 /* of a parameter: weight, gradient and two moments in F32 */

double tfm__plan_forward(const tfm_shape *s) {
    uint64_t output = (uint64_t)s->vocab * s->width; /* the embedding, used again, if tied */
    uint64_t met =
        s->active_parameters - s->vector_parameters - s->embedding_parameters - s->position_parameters;
    return 2.0 * (double)(met + (s->tied ? output : 0));
}

/* Positions that the layers see together, of a context. */
static double seen(const tfm_shape *s, double context) {
    double windowed = s->window ? fmin(context, s->window) : context;
    return (s->layers - s->windowed_layers) * context + s->windowed_layers * windowed;
}

double tfm__plan_attention(const tfm_shape *s, double context) {
    return 2.0 * seen(s, context) * s->heads * ((double)s->head_dim + s->value_dim);
}

void tfm__plan(const tfm_shape *s, const tfm_plan_options *o, uint32_t cache_type, tfm_plan_result *r) {
    double context = o->context ? (double)o->context : s->context;
    double kv = (double)s->kv_heads * (double)(tfm__cache_slot_bytes(cache_type, s->head_dim) +
                                               tfm__cache_slot_bytes(cache_type, s->value_dim));
    r->forward_flops = tfm__plan_forward(s);
    r->attention_flops = tfm__plan_attention(s, context);
    r->train_flops = 3.0 * (r->forward_flops + tfm__plan_attention(s, context / 2));
    r->tokens = o->tokens > 0 ? o->tokens : 20.0 * (double)s->parameters;
    r->total_train_flops = r->train_flops * r->tokens;
    r->rule_train_flops = 6.0 * (double)s->active_parameters * r->tokens;
    double machines = o->accelerators > 0 ? o->accelerators : 1;
    double flops = o->flops > 0 ? o->flops : 312e12, utilisation = o->utilisation > 0 ? o->utilisation : 0.4;
    r->train_seconds = r->total_train_flops / (machines * flops * utilisation);
    r->accelerator_hours = r->train_seconds / 3600 * machines;
    r->cost = r->accelerator_hours * (o->price > 0 ? o->price : 1.10);
    r->text_bytes = r->tokens * (o->bytes_per_token > 0 ? o->bytes_per_token : 5);
    r->model_bytes = (double)s->parameters * (o->bytes_per_weight > 0 ? o->bytes_per_weight : 2);
    r->text_per_model_byte = r->model_bytes > 0 ? r->text_bytes / r->model_bytes : 0;
    r->kv_bytes_per_token = (uint64_t)(kv * s->layers);
    r->kv_bytes = (uint64_t)(kv * seen(s, context));
    r->train_bytes = TRAIN_BYTES * (double)s->parameters;
}

/* Types of weights, those that are left out elsewhere too: activations' and integers. */
static const tfm__dtype *weight_type(uint32_t type) {
    const tfm__dtype *dtype = tfm__dtype_of(type);
    return dtype && dtype->name && dtype->block && dtype->weights ? dtype : NULL;
}

const char *tfm__plan_type(size_t index) {
    for (uint32_t type = 0; type < TFM__DTYPE_COUNT; type++)
        if (weight_type(type) && index-- == 0) return weight_type(type)->name;
    return NULL;
}

bool tfm__plan_bytes(const tfm_shape *s, const char *name, uint64_t *bytes) {
    for (uint32_t type = 0; type < TFM__DTYPE_COUNT; type++) {
        const tfm__dtype *dtype = weight_type(type);
        if (!dtype || strcmp(dtype->name, name)) continue;
        uint64_t vectors = dtype->block > 1 ? s->vector_parameters : 0, matrices = s->parameters - vectors;
        *bytes = vectors * 4 + (uint64_t)((double)matrices / dtype->block * (double)dtype->block_bytes);
        return true;
    }
    return false;
}
