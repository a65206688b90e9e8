/* norm.c - normalisation (RMSNorm, Zhang and Sennrich 2019; LayerNorm, Ba et al. 2016) and the residual
 * stream. */
#include "blocks/blocks.h"

typedef struct norm_job {
    const tfm__norm *norm;
    const float *in;
    float *out;
} norm_job;

static void norm_row(const tfm__pass *pass, const tfm__norm *norm, const float *in, float *out) {
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
        norm_row(pass, job->norm, job->in + t * width, job->out + t * width);
}

void tfm__norm_rows(tfm__pass *pass, const tfm__norm *norm, const float *in, float *out, size_t rows) {
    norm_job job = {norm, in, out};
    tfm__over_rows(pass, rows, norm_piece, &job);
}

static void add_piece(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__norm *post_norm = arg;
    size_t width = pass->config->width;
    for (size_t t = first; t < first + count; t++) {
        float *stream = pass->s->stream + t * width, *delta = pass->s->delta + t * width;
        if (post_norm->weight) norm_row(pass, post_norm, delta, delta);
        pass->kernels->add(stream, stream, delta, width);
    }
}

void tfm__add_to_stream(tfm__pass *pass, const tfm__norm *post_norm) {
    tfm__over_rows(pass, pass->tokens, add_piece, (void *)post_norm);
}
