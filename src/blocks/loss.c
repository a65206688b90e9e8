/* loss.c - cross-entropy of the next tokens, and its gradient with respect to the stream behind the last
 * layer.
 *
 *     z = logits(norm(stream));  loss = scale * sum over targets of weight * (log sum exp z - z[target])
 *     dz = scale * weight * (softmax z - [target])
 * Logits are made for some rows at a time, used, and forgotten: the vocabulary's [T, V] is never there as a
 * whole. */
#include "base/real.h"
#include "blocks/backward.h"

typedef struct loss_job {
    tfm__backward *back;
    const tfm__loss_way *way;
    size_t first; /* of the tile's rows */
} loss_job;

static void loss_row(void *arg, size_t i) {
    const loss_job *job = arg;
    const tfm__pass *pass = job->back->pass;
    const tfm__config *c = pass->config;
    float *z = job->back->logits + i * c->vocab, top;
    tfm_token target = job->way->targets[job->first + i];
    double weight = job->way->weights ? (double)job->way->weights[job->first + i] : 1.0;
    job->back->losses[i] = 0.0;
    if (target < 0) {
        memset(z, 0, c->vocab * sizeof *z);
        return;
    }
    pass->kernels->argmax(z, c->vocab, &top);
    float sum = pass->kernels->exp_sum(z, c->vocab, top);
    job->back->losses[i] = weight * (tfm__log_real((double)sum) + (double)top - (double)z[target]);
    if (!job->way->gradient) return;
    float scale = (float)(weight * job->way->scale), aim = z[target];
    if (c->final_soft_cap == 0.0f) {
        pass->kernels->exp_scaled(z, z, c->vocab, top, scale / sum);
        z[target] -= scale;
        return;
    }
    /* through the cap, with the capped values still at hand: the exponentials come in pieces */
    float p[256], inverse = 1.0f / c->final_soft_cap;
    for (size_t at = 0; at < c->vocab; at += 256) {
        size_t n = TFM__MIN((size_t)256, c->vocab - at);
        pass->kernels->exp_scaled(p, z + at, n, top, scale / sum);
        for (size_t j = 0; j < n; j++) {
            float part = z[at + j] * inverse;
            z[at + j] = p[j] * (1.0f - part * part);
        }
    }
    z[target] -= scale * (1.0f - aim * inverse * (aim * inverse));
}

/* Rows [first, first + rows): their losses, and the gradient of the norm's result in delta. */
static double tile_loss(tfm__backward *b, const tfm__loss_way *way, size_t first, size_t rows) {
    tfm__pass *pass = b->pass;
    const tfm__config *c = pass->config;
    float *normed = pass->s->normed + first * c->width, *delta = b->delta + first * c->width;
    double sum = 0.0;
    bool counted = false;
    for (size_t i = 0; i < rows; i++) counted = counted || way->targets[first + i] >= 0;
    if (!counted) {
        memset(delta, 0, rows * c->width * sizeof *delta);
        return 0.0;
    }
    const tfm__job out = {&pass->model->output, b->logits};
    loss_job job = {b, way, first};
    tfm__linear(pass, normed, rows, &out, 1);
    tfm__settle_logits(pass, b->logits, rows);
    tfm__parallel(pass->pool, rows, loss_row, &job);
    for (size_t i = 0; i < rows; i++) sum += b->losses[i];
    if (!way->gradient) return sum;
    if (c->logit_scale != 1.0f) pass->kernels->scale(b->logits, b->logits, c->logit_scale, rows * c->vocab);
    tfm__linear_backward_weights(b, &pass->model->output, normed, b->logits, rows);
    tfm__linear_backward_input(b, &pass->model->output, b->logits, rows, delta, false);
    return sum;
}

double tfm__loss(tfm__backward *b, const tfm__loss_way *way) {
    tfm__pass *pass = b->pass;
    const tfm__config *c = pass->config;
    double sum = 0.0;
    tfm__norm_rows(pass, &pass->model->output_norm, pass->s->stream, pass->s->normed, pass->tokens);
    for (size_t first = 0; first < pass->tokens; first += b->tile)
        sum += tile_loss(b, way, first, TFM__MIN(b->tile, pass->tokens - first));
    if (!way->gradient) return sum;
    const tfm__norm_way norm = {.kind = c->norm,
                                .norm = &pass->model->output_norm,
                                .epsilon = c->epsilon,
                                .x = pass->s->stream,
                                .dy = b->delta,
                                .rows = pass->tokens,
                                .groups = 1,
                                .size = c->width,
                                .dx = b->stream};
    tfm__norm_backward(b, &norm);
    return sum;
}
