/* tape.h - what a training pass keeps of each layer, so that the way back needs no second pass.
 *
 * The forward functions are the ones of inference: where a pass has a tape they hand it what they are about
 * to change. Normed inputs, products and the results of attention are kept; activations are computed again,
 * and so is attention, from q, k, v and for each query the largest score m and the sum of exponentials behind
 * it: no [T, T] matrix is kept. All of it lies in one block of memory that the trainer owns. Rows are the
 * tokens of the pass. */
#ifndef TFM__TAPE_H
#define TFM__TAPE_H

#include "blocks/blocks.h"

/* One layer's; NULL where the layer has no such thing. T tokens. */
typedef struct tfm__taped_layer {
    float *input;         /* [T, width] the stream that the layer began with */
    float *attn_input;    /* [T, width] norm(input) */
    float *q_raw, *k_raw; /* as projected, where a norm or a clip follows */
    float *q, *k, *v; /* [T, heads, head_dim], [T, kv_heads, head_dim], [T, kv_heads, value_dim] as attention
                         has them, q not scaled */
    float *top, *inverse; /* [kv_heads, T, group] largest score of each query, 1 / sum of exp(score - top) */
    float *mixed;         /* [T, heads * value_dim] */
    float *attn_delta;    /* [T, width] before its post norm */
    float *middle;        /* [T, width] the stream between the halves */
    float *feed_input;    /* [T, width] */
    float *gate, *up;     /* [T, feed_forward] before the activation */
    float *router;        /* [T, experts] scores that the router chose by */
    float *share;         /* [T, used] */
    uint32_t *chosen;     /* [T, used] */
    float *feed_delta;    /* [T, width] before its post norm */
} tfm__taped_layer;

typedef struct tfm__tape {
    tfm__taped_layer *layers; /* [layers] */
    size_t tokens;            /* that it has room for */
} tfm__tape;

enum {
    TFM__KEEP_INPUT = 0,  /* values: what attention reads */
    TFM__KEEP_PROJECTED,  /* q, k in the scratch */
    TFM__KEEP_PLACED,     /* q, k, v in the scratch */
    TFM__KEEP_ATTENDED,   /* mixed and the sums of attention */
    TFM__KEEP_ATTN_DELTA, /* delta */
    TFM__KEEP_FEED_INPUT, /* values: what the feed-forward reads */
    TFM__KEEP_WIDE,       /* gate, up */
    TFM__KEEP_ROUTED,     /* router, share, chosen */
    TFM__KEEP_FEED_DELTA  /* delta */
};

void tfm__tape_keep(tfm__pass *pass, uint32_t layer, int what, const float *values);

/* Costs one comparison where nothing is trained. */
static inline void tfm__keep(tfm__pass *pass, uint32_t layer, int what, const float *values) {
    if (TFM__UNLIKELY(pass->tape != NULL)) tfm__tape_keep(pass, layer, what, values);
}

/* Divides a block of memory; with memory NULL only its size is found (in `used`). */
typedef struct tfm__carving {
    uint8_t *memory;
    size_t used;
    bool overflow;
} tfm__carving;
/* rows x columns elements on a cache line, with a line to spare behind them; NULL where rows or columns is 0.
 */
void *tfm__carve(tfm__carving *carving, size_t rows, size_t columns, size_t element);

/* Lays a tape for `tokens` tokens out; its layers array is given. */
void tfm__tape_carve(tfm__tape *tape, const tfm_model *model, size_t tokens, tfm__carving *carving);

#endif
