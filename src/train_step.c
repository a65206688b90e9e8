/* train_step.c - the story of a step: tokens in, better weights out.
 *
 *     for each batch of rows:
 *         x = embed(tokens)                                            [T, D]
 *         for each layer: as forward.c tells it, with a tape that keeps what the way back needs
 *         loss = sum of -log p(next token)
 *         dx = the loss's gradient with respect to x                   [T, D]
 *         for each layer, the last one first:
 *             ddelta = dx;  dinner = Wdown^T ddelta                    [T, F]
 *             dgate, dup = through the activation;  dh = Wgate^T dgate + Wup^T dup
 *             dx += through the norm of dh
 *             ddelta = dx;  dmixed = Wo^T ddelta                       [T, H e]
 *             dq, dk, dv = through attention, then back through the rotation
 *             dh = Wq^T dq + Wk^T dk + Wv^T dv;  dx += through the norm of dh
 *         the embedding's rows of the tokens += dx
 *     g = gradient * min(1, clip / its norm);  weights, means = optimizer(g)
 *
 * and each product y = W h on the way adds dy^T h to the gradient of W. T tokens of a batch, D width, H
 * heads, e the size of a head's values, F inner width. Rows do not see each other. Parallel blocks give both
 * halves the dx that the layer began with. What each line does lies in the parts (blocks/..._backward.c). */
#include <math.h>

#include "forward.h"
#include "train/trainer.h"

/* From dx behind the feed-forward to the gradient of what it read, in feed_input. */
static void feed_forward_backward(tfm__backward *b, uint32_t index) {
    const tfm__layer *layer = &b->pass->model->layers[index];
    const tfm__taped_layer *tape = &b->pass->tape->layers[index];
    size_t tokens = b->pass->tokens;

    tfm__add_to_stream_backward(b, &layer->ffn_post_norm, tape->feed_delta); /* delta [T, D] */
    if (layer->router.data) {
        tfm__mix_experts_backward(b, index);
        return;
    }
    const float *inner = tfm__activate_again(b, index);                             /* [T, F] */
    tfm__linear_backward_weights(b, &layer->down, inner, b->delta, tokens);         /* dWdown */
    tfm__linear_backward_input(b, &layer->down, b->delta, tokens, b->inner, false); /* [T, F] */
    tfm__activate_backward(b, index);                                               /* gate, up [T, F] */

    tfm__linear_backward_weights(b, &layer->up, tape->feed_input, b->up, tokens);
    tfm__linear_backward_input(b, &layer->up, b->up, tokens, b->feed_input, false); /* [T, D] */
    if (!layer->gate.data) return;
    tfm__linear_backward_weights(b, &layer->gate, tape->feed_input, b->gate, tokens);
    tfm__linear_backward_input(b, &layer->gate, b->gate, tokens, b->feed_input, true);
}

/* From dx behind attention to the gradient of what it read, in attn_input. */
static void attention_backward(tfm__backward *b, uint32_t index) {
    const tfm__layer *layer = &b->pass->model->layers[index];
    const tfm__taped_layer *tape = &b->pass->tape->layers[index];
    size_t tokens = b->pass->tokens;

    tfm__add_to_stream_backward(b, &layer->attn_post_norm, tape->attn_delta); /* delta [T, D] */
    tfm__linear_backward_weights(b, &layer->out, tape->mixed, b->delta, tokens);
    tfm__linear_backward_input(b, &layer->out, b->delta, tokens, b->mixed, false); /* [T, H e] */

    tfm__attend_backward(b, index);    /* q, k, v [T, H d], [T, K d], [T, K e] */
    tfm__place_qkv_backward(b, index); /* before rotation and norms; fused where the product is */

    const tfm__view *const views[3] = {&layer->q, &layer->k, &layer->v};
    const float *const gradients[3] = {b->q, b->k, b->v};
    if (layer->qkv.data) {
        tfm__linear_backward_weights(b, &layer->qkv, tape->attn_input, b->fused, tokens);
        tfm__linear_backward_input(b, &layer->qkv, b->fused, tokens, b->attn_input, false); /* [T, D] */
        return;
    }
    for (int i = 0; i < 3; i++) {
        tfm__linear_backward_weights(b, views[i], tape->attn_input, gradients[i], tokens);
        tfm__linear_backward_input(b, views[i], gradients[i], tokens, b->attn_input, i > 0);
    }
}

static void backward_layer(tfm__backward *b, uint32_t index) {
    const tfm__layer *layer = &b->pass->model->layers[index];
    const tfm__taped_layer *tape = &b->pass->tape->layers[index];
    bool parallel = b->pass->config->order == TFM__ORDER_PARALLEL;

    feed_forward_backward(b, index);
    if (!parallel) tfm__block_input_backward(b, &layer->ffn_norm, tape->middle, b->feed_input);
    attention_backward(b, index);
    if (parallel && layer->ffn_norm.weight)
        tfm__block_input_backward(b, &layer->ffn_norm, tape->input, b->feed_input);
    else if (parallel) /* both halves read the same */
        tfm__add_values(b, b->attn_input, b->feed_input, b->pass->tokens * b->pass->config->width);
    tfm__block_input_backward(b, &layer->attn_norm, tape->input, b->attn_input);
}

/* Where a step stands, for who watches it. */
typedef struct progress {
    uint64_t done, total; /* tokens, forward and back */
} progress;

/* One batch: adds its loss to *sum and, if train, its gradients to those that are there. scale: 1 / targets.
 */
static int32_t run_batch(tfm_trainer *t, const tfm_train_batch *batch, bool train, double scale, double *sum,
                         progress *at, tfm_error *error) {
    tfm__pass pass;
    tfm__backward *b = &t->backward;
    uint32_t layers = t->model.config.layers;
    int32_t status = TFM_OK;
    tfm__batch_lay(t, batch, &pass);
    pass.tape = train ? &t->tape : NULL;
    b->pass = &pass;

    tfm__embed(&pass); /* [T, D] */
    tfm__prepare_positions(&pass);
    for (uint32_t layer = 0; layer < layers; layer++) {
        status = tfm__watch_poll(&t->watch, at->done + pass.tokens * layer / layers, at->total, error);
        if (status) return status;
        tfm__forward_layer(&pass, layer);
    }
    at->done += pass.tokens;

    const tfm__loss_way way = {.targets = t->targets, .scale = scale, .gradient = train};
    *sum += tfm__loss(b, &way); /* stream's gradient [T, D] */
    if (!train) return TFM_OK;

    for (uint32_t left = layers; left > 0; left--) {
        status =
            tfm__watch_poll(&t->watch, at->done + pass.tokens * (layers - left) / layers, at->total, error);
        if (status) return status;
        backward_layer(b, left - 1);
    }
    tfm__embed_backward(b);
    at->done += pass.tokens;
    return TFM_OK;
}

int32_t tfm__train_step(tfm_trainer *t, const tfm_train_batch *batches, size_t count, bool train,
                        tfm_train_result *result, tfm_error *error) {
    progress at = {0, 0};
    double sum = 0.0;
    *result = (tfm_train_result)TFM_TRAIN_RESULT_INIT;
    for (size_t i = 0; i < count; i++) {
        result->targets += tfm__batch_targets(&batches[i]);
        at.total += batches[i].rows * tfm__batch_positions(&batches[i]) * (train ? 2 : 1);
    }
    result->step = t->step;
    if (result->targets == 0) return tfm__fail(error, TFM_E_ARGUMENT, "no token counts as a target");
    int32_t status = tfm__batch_reserve(t, batches, count, error);
    if (status) return status;
    if (train) memset(t->gradients, 0, t->count * sizeof *t->gradients);
    t->watch.last_ns = 0;
    for (size_t i = 0; i < count && !status; i++)
        status = run_batch(t, &batches[i], train, 1.0 / (double)result->targets, &sum, &at, error);
    if (status) return status;
    result->loss = sum / (double)result->targets;
    if (!isfinite(result->loss))
        return tfm__fail(error, TFM_E_STATE, "step %llu: the loss is not a finite number",
                         (unsigned long long)t->step);
    if (!train) return TFM_OK;

    result->gradient_norm = tfm__gradient_norm(t);
    if (!isfinite(result->gradient_norm))
        return tfm__fail(error, TFM_E_STATE, "step %llu: the gradient is not finite",
                         (unsigned long long)t->step);
    result->learning_rate = tfm__learning_rate(t, t->step);
    double clip = t->options.clip, norm = result->gradient_norm;
    tfm__optimize(t, result->learning_rate, clip > 0 && norm > clip ? clip / (norm + 1e-6) : 1.0);
    t->step++;
    (void)tfm__watch_poll(&t->watch, at.total, at.total, NULL); /* says that it is done; too late to stop */
    return TFM_OK;
}
