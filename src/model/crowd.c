/* crowd.c - working memory of passes that several sessions share.
 *
 * The model keeps one between calls, so that a step of many sessions takes no memory. Who finds it taken,
 * because another thread is at work with it, makes one of its own; of two that come back, one is kept. */
#include "model/state.h"

void tfm__crowd_free(tfm_model *model, tfm__crowd *crowd) {
    if (!crowd) return;
    if (crowd->work) tfm__session_free(crowd->work);
    tfm__free(&model->heap, crowd->stretches);
    tfm__free(&model->heap, crowd->stretch_index);
    tfm__free(&model->heap, crowd->ids);
    tfm__free(&model->heap, crowd->wanted);
    tfm__free(&model->heap, crowd);
}

static int32_t crowd_new(tfm_model *model, size_t tokens, tfm__crowd **out, tfm_error *error) {
    tfm__crowd *crowd = *out = tfm__alloc_zero(&model->heap, sizeof *crowd);
    if (!crowd) return tfm__fail_memory(error, &model->heap, sizeof *crowd);
    int32_t status = tfm__session_new(model, 0, 1, TFM__F32, &crowd->work, error);
    if (status) return status;
    atomic_fetch_sub(&model->references, 1); /* the model holds it, not the other way round */
    crowd->tokens = tokens;
    crowd->stretches = tfm__alloc_array(&model->heap, tokens, sizeof *crowd->stretches);
    crowd->stretch_index = tfm__alloc_array(&model->heap, tokens, sizeof *crowd->stretch_index);
    crowd->ids = tfm__alloc_array(&model->heap, tokens, sizeof *crowd->ids);
    crowd->wanted = tfm__alloc_array(&model->heap, tokens, sizeof *crowd->wanted);
    if (!crowd->stretches || !crowd->stretch_index || !crowd->ids || !crowd->wanted)
        return tfm__fail_memory(error, &model->heap, tokens * sizeof *crowd->stretches);
    return TFM_OK;
}

int32_t tfm__crowd_take(tfm_model *model, size_t tokens, size_t reach, size_t logits, tfm__crowd **out,
                        tfm_error *error) {
    int32_t status = TFM_OK;
    tfm__crowd *crowd = atomic_exchange(&model->crowd, NULL);
    if (crowd && crowd->tokens < tokens) {
        tfm__crowd_free(model, crowd);
        crowd = NULL;
    }
    if (!crowd) status = crowd_new(model, tokens, &crowd, error);
    if (!status) status = tfm__session_reserve_work(crowd->work, tokens, reach, logits, error);
    if (!status) {
        *out = crowd;
        return TFM_OK;
    }
    tfm__crowd_free(model, crowd);
    *out = NULL;
    return status;
}

void tfm__crowd_give(tfm_model *model, tfm__crowd *crowd) {
    tfm__crowd_free(model, atomic_exchange(&model->crowd, crowd));
}
