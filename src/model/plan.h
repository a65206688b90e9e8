/* plan.h - what follows from a shape: see tfm/plan.h. The arguments have been checked. */
#ifndef TFM__PLAN_H
#define TFM__PLAN_H

#include "base/base.h"
#include "tfm/plan.h"

double tfm__plan_forward(const tfm_shape *shape);
double tfm__plan_attention(const tfm_shape *shape, double context);
void tfm__plan(const tfm_shape *shape, const tfm_plan_options *options, uint32_t cache_type,
               tfm_plan_result *result);

/* Name of weight type number index, or NULL; bytes of all weights in the type of a name, false if there is
 * none. */
const char *tfm__plan_type(size_t index);
bool tfm__plan_bytes(const tfm_shape *shape, const char *name, uint64_t *bytes);

#endif
