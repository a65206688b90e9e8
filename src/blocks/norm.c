/* norm.c - normalisation (RMSNorm, Zhang and Sennrich 2019; LayerNorm, Ba et al. 2016) and the residual
 * stream. */
#include "blocks/blocks.h"

typedef struct norm_job {
    const tfm__norm *norm;
    const float *in;
    float *out;
} norm_job;

void tfm__norm_row(const tfm__pass *pass, const tfm__norm *norm, const float *in, float *out) {
    const tfm__config *c = pass->config;
    if (c->norm == TFM__NORM_RMS)
        pass->kernels->rms_norm(out, in, norm->weight, c->width, c->epsilon);
    else
        pass->kernels->layer_norm(out, in, norm->weight, norm->bias, c->width, c->epsilon);
}

static void norm_piece(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const norm_job *job = arg;
    size_t width = pass->config->width;
    for (size_t t = first; t < first + count; t++)
        tfm__norm_row(pass, job->norm, job->in + t * width, job->out + t * width);
}

void tfm__norm_rows(tfm__pass *pass, const tfm__norm *norm, const float *in, float *out, size_t rows) {
    norm_job job = {norm, in, out};
    tfm__over_rows(pass, rows, norm_piece, &job);
}

float *tfm__block_input(tfm__pass *pass, const tfm__norm *norm, float *out) {
    if (!norm->weight) return pass->s->stream;
    tfm__norm_rows(pass, norm, pass->s->stream, out, pass->tokens);
    return out;
}

void tfm__keep_side(tfm__pass *pass, const tfm__norm *norm, const float *shared) {
    if (norm->weight)
        tfm__norm_rows(pass, norm, pass->s->stream, pass->s->side, pass->tokens);
    else
        memcpy(pass->s->side, shared, pass->tokens * pass->config->width * sizeof *shared);
}

static void add_piece(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__norm *post_norm = arg;
    size_t width = pass->config->width;
    float scale = pass->config->residual_scale;
    bool sum = pass->config->order == TFM__ORDER_SUM;
    for (size_t t = first; t < first + count; t++) {
        float *stream = pass->s->stream + t * width, *delta = pass->s->delta + t * width;
        if (post_norm->weight && !sum) tfm__norm_row(pass, post_norm, delta, delta);
        if (scale != 1.0f)
            pass->kernels->multiply_add(stream, delta, scale, width);
        else
            pass->kernels->add(stream, stream, delta, width);
        if (sum) tfm__norm_row(pass, post_norm, stream, stream);
    }
}

void tfm__add_to_stream(tfm__pass *pass, const tfm__norm *post_norm) {
    tfm__over_rows(pass, pass->tokens, add_piece, (void *)post_norm);
}
