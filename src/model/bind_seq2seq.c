/* bind_seq2seq.c - what encoder-decoders have beside an encoder and a decoder: positions made of sines and
 * cosines, and the matrices with which a decoder's layers attend to the encoder's states. */
#include "base/elementary.h"
#include "base/real.h"
#include "model/bind.h"

/* Row p of the table: sines of p times each frequency, then the cosines. Vaswani et al. 2017 interleave them;
 * published weights were trained with the two halves apart. Both roundings are those of the code that the
 * families were trained with: double throughout, or f32 frequencies and angles (fairseq). */
static void sine_row(const tfm__config *c, size_t p, float *row) {
    size_t half = c->width / 2;
    for (size_t i = 0; i < half; i++) {
        double angle, sine, cosine;
        if (c->family->sines_to_the_end) {
            float step = -(float)(tfm__log_real(10000.0) / (double)(half > 1 ? half - 1 : 1));
            float frequency = (float)tfm__exp_real((double)((float)i * step));
            angle = (double)((float)p * frequency);
        } else {
            angle = (double)p / tfm__pow_real(10000.0, 2.0 * (double)i / (double)c->width);
        }
        tfm__sin_cos(angle, &sine, &cosine);
        row[i] = (float)sine;
        row[half + i] = (float)cosine;
    }
}

void tfm__bind_sines(tfm__binder *b) {
    tfm__config *c = &b->model->config;
    uint32_t rows = c->context + c->position_offset;
    size_t bytes;
    if (b->status) return;
    if (tfm__bind_find(b, TFM__ROLE_POSITION, 0, ".weight", false)) { /* stored after all */
        b->model->positions = tfm__bind_matrix(b, TFM__ROLE_POSITION, 0, rows, c->width, true);
        return;
    }
    if (c->width % 2) {
        b->status =
            tfm__fail_at(b->error, TFM_E_UNSUPPORTED, b->container->blobs[0].name, NULL, TFM__NO_OFFSET,
                         "positions of sines and cosines in an odd width of %u", c->width);
        return;
    }
    float *table = NULL;
    bool fits = tfm__mul_size(rows, c->width, &bytes) && tfm__mul_size(bytes, sizeof *table, &bytes);
    if (fits) table = tfm__arena_alloc(&b->container->arena, bytes);
    if (!table) {
        b->status = tfm__fail_memory(b->error, &b->model->heap, fits ? bytes : SIZE_MAX);
        return;
    }
    for (size_t p = 0; p < rows; p++) sine_row(c, p, table + p * c->width);
    /* the token that does not count has a row of zeros */
    if (c->skipped >= 0) memset(table + (size_t)c->skipped * c->width, 0, c->width * sizeof *table);
    b->model->positions = (tfm__view){.data = (const uint8_t *)table,
                                      .type = TFM__F32,
                                      .row_stride = c->width * sizeof *table,
                                      .rows = rows,
                                      .columns = c->width};
}

void tfm__bind_cross(tfm__binder *b, uint32_t index, tfm__layer *layer) {
    const tfm__config *c = &b->model->config;
    uint32_t k = c->kv_heads * c->head_dim, v = c->kv_heads * c->value_dim;
    if (c->order == TFM__ORDER_SUM)
        layer->cross_post_norm = tfm__bind_norm(b, TFM__ROLE_CROSS_POST_NORM, index, c->width, true);
    else
        layer->cross_norm = tfm__bind_norm(b, TFM__ROLE_CROSS_NORM, index, c->width, true);
    layer->cross_q = tfm__bind_matrix(b, TFM__ROLE_CROSS_Q, index, c->heads * c->head_dim, c->width, true);
    const tfm__tensor *both = tfm__bind_find(b, TFM__ROLE_CROSS_KV, index, ".weight", false);
    if (both) {
        const float *bias =
            tfm__bind_vector(b, tfm__bind_find(b, TFM__ROLE_CROSS_KV, index, ".bias", false), k + v, 0.0f);
        layer->cross_k = tfm__bind_view(b, both, b->transposed, k + v, 0, k, c->width);
        layer->cross_v = tfm__bind_view(b, both, b->transposed, k + v, k, v, c->width);
        layer->cross_k.bias = bias;
        layer->cross_v.bias = bias ? bias + k : NULL;
    } else {
        layer->cross_k = tfm__bind_matrix(b, TFM__ROLE_CROSS_K, index, k, c->width, true);
        layer->cross_v = tfm__bind_matrix(b, TFM__ROLE_CROSS_V, index, v, c->width, true);
    }
    layer->cross_out =
        tfm__bind_matrix(b, TFM__ROLE_CROSS_OUT, index, c->width, c->heads * c->value_dim, true);
}
