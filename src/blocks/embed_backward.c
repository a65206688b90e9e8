/* embed_backward.c - the way back to the rows of the embedding and of the learned positions. Rows that
 * several tokens share are added up in the tokens' order: a piece of work is some columns, for all tokens. */
#include "blocks/backward.h"

#define COLUMNS 64

static void embed_piece(void *arg, size_t i) {
    const tfm__backward *b = arg;
    const tfm__pass *pass = b->pass;
    const tfm__config *c = pass->config;
    const tfm__view *embedding = &pass->model->embedding, *positions = &pass->model->positions;
    float *rows = tfm__gradient_of(b->gradients, embedding->data);
    float *places = positions->data ? tfm__gradient_of(b->gradients, positions->data) : NULL;
    size_t first = i * COLUMNS, end = TFM__MIN(first + COLUMNS, (size_t)c->width);
    for (size_t t = 0; t < pass->tokens; t++) {
        const float *d = b->stream + t * c->width;
        tfm__stretch stretch = tfm__stretch_of(pass, t);
        size_t position = stretch.position + (t - stretch.first) + c->position_offset;
        float *row = rows && pass->ids[t] != c->pad
                         ? rows + (size_t)pass->ids[t] * (embedding->row_stride / sizeof(float))
                         : NULL;
        float *place = places ? places + position * (positions->row_stride / sizeof(float)) : NULL;
        for (size_t j = first; j < end && row; j++) row[j] += d[j] * c->embed_scale;
        for (size_t j = first; j < end && place; j++) place[j] += d[j];
    }
}

void tfm__embed_backward(tfm__backward *b) {
    tfm__pass *pass = b->pass;
    const tfm__config *c = pass->config;
    if (pass->model->embed_norm.weight) { /* what the norm read, once more */
        const tfm__norm norm = pass->model->embed_norm;
        pass->model->embed_norm.weight = NULL;
        tfm__embed(pass);
        pass->model->embed_norm = norm;
        const tfm__norm_way way = {.kind = c->norm,
                                   .norm = &pass->model->embed_norm,
                                   .epsilon = c->epsilon,
                                   .x = pass->s->stream,
                                   .dy = b->stream,
                                   .rows = pass->tokens,
                                   .groups = 1,
                                   .size = c->width,
                                   .dx = b->stream};
        tfm__norm_backward(b, &way);
    }
    tfm__parallel(pass->pool, ((size_t)c->width + COLUMNS - 1) / COLUMNS, embed_piece, b);
}
