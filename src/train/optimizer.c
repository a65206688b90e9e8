/* optimizer.c - from gradients to weights: learning rates, the gradient's norm, AdamW (Loshchilov and Hutter
 * 2019) and gradient descent with momentum; Muon has a file of its own. Each weight is computed by itself;
 * the norm is added up in double precision, piece after piece of TFM__OPTIMIZER_PIECE values. */
#include <math.h>

#include "base/elementary.h"
#include "base/real.h"
#include "train/trainer.h"

/* ---- Learning rates ---- */

double tfm__learning_rate(const tfm_trainer *t, uint64_t step) {
    const tfm_trainer_options *o = &t->options;
    double high = o->learning_rate, low = o->last_rate, s, c;
    if (t->rate >= 0) return t->rate;
    if (step < o->warmup) return high * (double)(step + 1) / (double)o->warmup;
    if (o->schedule == TFM_SCHEDULE_CONSTANT || o->steps == 0) return high;
    if (step >= o->steps) return low;
    uint64_t first = o->schedule == TFM_SCHEDULE_WSD ? o->steps - TFM__MIN(o->decay, o->steps) : o->warmup;
    if (step <= first) return high;
    double part = (double)(step - first) / (double)(o->steps - first);
    if (o->schedule != TFM_SCHEDULE_COSINE) return high + (low - high) * part;
    tfm__sin_cos(part * 3.14159265358979323846, &s, &c);
    return low + (high - low) * 0.5 * (1.0 + c);
}

/* ---- The norm ---- */

static void square_piece(void *arg, size_t i) {
    const tfm_trainer *t = arg;
    size_t first = i * TFM__OPTIMIZER_PIECE, end = TFM__MIN(first + TFM__OPTIMIZER_PIECE, t->count);
    double sum[8] = {0};
    for (size_t k = first; k < end; k += 8)
        for (size_t j = 0; j < 8 && k + j < end; j++)
            sum[j] += (double)t->gradients[k + j] * (double)t->gradients[k + j];
    t->sums[i] = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

double tfm__gradient_norm(tfm_trainer *t) {
    size_t pieces = (t->count + TFM__OPTIMIZER_PIECE - 1) / TFM__OPTIMIZER_PIECE;
    double sum = 0.0;
    tfm__parallel(t->model.pool, pieces, square_piece, t);
    for (size_t i = 0; i < pieces; i++) sum += t->sums[i];
    return sqrt(sum);
}

/* ---- The step ---- */

typedef struct optimize_job {
    tfm_trainer *trainer;
    const tfm__parameter *parameter;
    float factor; /* of the gradients */
    float keep;   /* 1 - learning rate * decay */
    float take1, keep2, take2, momentum;
    float rate, root, epsilon; /* w -= rate * m / (sqrt(v) * root + epsilon) */
} optimize_job;

static void adamw_piece(void *arg, size_t i) {
    const optimize_job *job = arg;
    tfm_trainer *t = job->trainer;
    size_t first = job->parameter->first + i * TFM__OPTIMIZER_PIECE;
    size_t end = TFM__MIN(first + TFM__OPTIMIZER_PIECE, job->parameter->first + job->parameter->count);
    float *restrict w = t->weights, *restrict m = t->first_mean, *restrict v = t->second_mean;
    const float *restrict gradients = t->gradients;
    for (size_t k = first; k < end; k++) {
        float g = gradients[k] * job->factor;
        m[k] = m[k] + (g - m[k]) * job->take1;
        v[k] = v[k] * job->keep2 + (g * g) * job->take2;
        w[k] = w[k] * job->keep - job->rate * m[k] / (sqrtf(v[k]) * job->root + job->epsilon);
    }
}

static void sgd_piece(void *arg, size_t i) {
    const optimize_job *job = arg;
    tfm_trainer *t = job->trainer;
    size_t first = job->parameter->first + i * TFM__OPTIMIZER_PIECE;
    size_t end = TFM__MIN(first + TFM__OPTIMIZER_PIECE, job->parameter->first + job->parameter->count);
    float *restrict w = t->weights, *restrict m = t->first_mean;
    const float *restrict gradients = t->gradients;
    for (size_t k = first; k < end; k++) {
        m[k] = m[k] * job->momentum + gradients[k] * job->factor;
        w[k] = w[k] * job->keep - job->rate * m[k];
    }
}

void tfm__optimize(tfm_trainer *t, double rate, double factor) {
    const tfm_trainer_options *o = &t->options;
    bool adamw = o->optimizer != TFM_OPTIMIZER_SGD, muon = o->optimizer == TFM_OPTIMIZER_MUON;
    double made = (double)(t->step + 1);
    double correction1 = o->beta1 > 0 ? 1.0 - tfm__pow_real(o->beta1, made) : 1.0;
    double correction2 = o->beta2 > 0 ? 1.0 - tfm__pow_real(o->beta2, made) : 1.0;
    optimize_job job = {.trainer = t,
                        .factor = (float)factor,
                        .take1 = (float)(1.0 - o->beta1),
                        .keep2 = (float)o->beta2,
                        .take2 = (float)(1.0 - o->beta2),
                        .momentum = (float)o->momentum,
                        .rate = (float)(adamw ? rate / correction1 : rate),
                        .root = (float)(1.0 / sqrt(correction2)),
                        .epsilon = (float)o->epsilon};
    for (size_t i = 0; i < t->parameter_count; i++) {
        job.parameter = &t->parameters[i];
        double decay = job.parameter->tensor->dims >= 2 ? o->weight_decay : o->vector_decay;
        if (muon && job.parameter->hidden) {
            tfm__muon_step(t, job.parameter, rate * o->muon_scale, factor, decay);
            continue;
        }
        job.keep = (float)(1.0 - rate * decay);
        tfm__parallel(t->model.pool, (job.parameter->count + TFM__OPTIMIZER_PIECE - 1) / TFM__OPTIMIZER_PIECE,
                      adamw ? adamw_piece : sgd_piece, &job);
    }
    tfm__weights_changed(t);
}
