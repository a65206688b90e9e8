/* fuzz_shape.c - descriptions without weights: a config.json (or a GGUF file) becomes a shape and a plan, or
 * an error. What is read must agree with itself and give back all memory. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tfm/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tfm_shape shape = TFM_SHAPE_INIT;
    tfm_plan_result plan = TFM_PLAN_RESULT_INIT;
    tfm_error error = TFM_ERROR_INIT;
    uint64_t bytes = 0;
    int32_t status = tfm_shape_read_memory(data, size, NULL, &shape, &error);
    check(status <= 0 && (status == 0) == (shape.layers > 0));
    if (status) {
        check(error.code == status && error.message[0] != 0);
        return 0;
    }
    check(shape.parameters == shape.embedding_parameters + shape.position_parameters +
                                  shape.attention_parameters + shape.feed_parameters + shape.norm_parameters +
                                  shape.output_parameters);
    check(memchr(shape.name, 0, sizeof shape.name) != NULL);
    check(tfm_plan(&shape, NULL, &plan, &error) == TFM_OK);
    check(isfinite(plan.total_train_flops) && isfinite(plan.cost) && plan.forward_flops >= 0);
    check(tfm_shape_bytes(&shape, "Q4_K", &bytes, &error) == TFM_OK);
    return 0;
}
