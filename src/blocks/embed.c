/* embed.c - tokens to vectors: rows of the embedding matrix, scaled where the family does, plus token types
 * and learned positions, perhaps with a norm behind them. */
#include "blocks/blocks.h"

static void read_row(const tfm__pass *pass, const tfm__view *view, size_t row, float *out) {
    pass->kernels->weights[view->type].to_f32(view->data + row * view->row_stride, out, view->columns);
}

/* The row of the learned positions for token t. Where one token does not count (RoBERTa's padding), it has
 * the row in front of the first, and the others are counted without it. */
static size_t position_row(const tfm__pass *pass, size_t t) {
    const tfm__config *c = pass->config;
    tfm__stretch stretch = tfm__stretch_of(pass, t);
    size_t position = stretch.position + (t - stretch.first);
    if (c->skipped < 0) return position + c->position_offset;
    if (pass->ids[t] == c->skipped) return c->position_offset - 1;
    /* the row's tokens of earlier passes lie in front of this one's, in the session that they were appended
     * to */
    const tfm_token *row =
        stretch.session ? stretch.session->tokens : pass->ids + stretch.first - stretch.position;
    size_t skipped = 0;
    for (size_t i = 0; i < position; i++) skipped += row[i] == c->skipped;
    return position - skipped + c->position_offset;
}

static void embed_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__config *c = pass->config;
    (void)arg;
    for (size_t t = first; t < first + count; t++) {
        float *row = pass->s->stream + t * c->width;
        read_row(pass, &pass->model->embedding, (size_t)pass->ids[t], row);
        if (c->embed_scale != 1.0f) pass->kernels->scale(row, row, c->embed_scale, c->width);
        if (pass->model->types.data) {
            float *type = pass->s->normed + t * c->width;
            read_row(pass, &pass->model->types, pass->types ? (size_t)pass->types[t] : 0, type);
            pass->kernels->add(row, row, type, c->width);
        }
        if (tfm__has_position_rows(c)) {
            float *place = pass->s->normed + t * c->width;
            read_row(pass, &pass->model->positions, position_row(pass, t), place);
            pass->kernels->add(row, row, place, c->width);
        }
        if (pass->model->embed_norm.weight) tfm__norm_row(pass, &pass->model->embed_norm, row, row);
    }
}

void tfm__embed(tfm__pass *pass) { tfm__over_rows(pass, pass->tokens, embed_rows, NULL); }
