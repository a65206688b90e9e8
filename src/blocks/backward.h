/* backward.h - the way back through the parts of the block: gradients of a loss for what blocks.h computes.
 *
 * Each part has a file of its own beside its forward: norm.c and norm_backward.c. A part takes the gradient
 * dy of its result, gives the gradient dx of its input, and adds the gradients of its weights to those that
 * are there. As going forward, work is cut by shape alone and every sum has one order: gradients are the same
 * bits for any number of threads. No part allocates. T tokens of the pass; "d" in front of a name: the
 * gradient of it. */
#ifndef TFM__BACKWARD_H
#define TFM__BACKWARD_H

#include "blocks/tape.h"

/* Gradients lie as the weights do, in one block of the same shape. */
typedef struct tfm__gradients {
    const float *weights; /* [count] */
    float *values;        /* [count] */
    size_t count;
    const tfm__shifted *shifted; /* a list: copies with an offset have the gradients of what they follow */
} tfm__gradients;

/* Where the gradient of a weight is added up; NULL: it has none (it is no parameter). */
float *tfm__gradient_of(const tfm__gradients *gradients, const void *weight);

#define TFM__LANES 32 /* pieces of attention's work that have memory of their own */

/* One way back. Everything but the first lines lies in one block of memory. */
typedef struct tfm__backward {
    tfm__pass *pass;
    const tfm__gradients *gradients;

    float *stream;            /* [T, width] gradient of the residual stream */
    float *delta;             /* [T, width] of what a half-block adds */
    float *attn_input;        /* [T, width] */
    float *feed_input;        /* [T, width] */
    float *q, *k, *v, *fused; /* as in the scratch */
    float *mixed;             /* [T, heads * value_dim] */
    float *gate, *up;         /* [T, wide] */
    float *inner;             /* [T, wide] of the result of the activation */
    float *router, *share;    /* [T, experts], [T, used] */
    float *gathered, *rows;   /* [T, width] one expert's tokens, and the gradient of their results */
    uint32_t *slots;          /* [T] where they came from */
    float *mean, *inverse;    /* [T * heads] of normed rows */
    float *product;           /* [T, widest] a product before it is added */
    float *padded;            /* [T, widest] rows on cache lines */
    float *turned;            /* [widest or a tile's vocabulary, T] columns as rows */
    float *weighted;          /* [T, heads] sum of dmixed * mixed */
    float *logits;            /* [tile, vocab] */
    size_t tile;              /* rows whose logits are held at once */
    double *losses;           /* [tile] */
    float *lanes;             /* [TFM__LANES, lane_floats] */
    size_t lane_floats;
} tfm__backward;

/* Lays out what a way back over `tokens` tokens needs. */
void tfm__backward_carve(tfm__backward *back, const tfm_model *model, size_t tokens, tfm__carving *carving);

/* linear_backward.c: y = W x + b, x [rows, columns], dy [rows, view->rows], both packed and on cache lines.
 */
/* dx = W^T dy, or dx += it. */
void tfm__linear_backward_input(tfm__backward *back, const tfm__view *view, const float *dy, size_t rows,
                                float *dx, bool add);
/* dW += dy^T x, db += the columns' sums of dy. */
void tfm__linear_backward_weights(tfm__backward *back, const tfm__view *view, const float *x, const float *dy,
                                  size_t rows);

/* norm_backward.c */
typedef struct tfm__norm_way {
    int kind; /* TFM__NORM_* */
    const tfm__norm *norm;
    float epsilon;
    const float *x, *dy; /* [rows, groups, size] */
    size_t rows, groups, size;
    bool each; /* a weight [size] for each group; otherwise one for all */
    float *dx; /* may be dy */
    bool add;  /* dx += */
} tfm__norm_way;
void tfm__norm_backward(tfm__backward *back, const tfm__norm_way *way);
/* stream's gradient += that of norm(x), or dy itself where there is no norm. [T, width] */
void tfm__block_input_backward(tfm__backward *back, const tfm__norm *norm, const float *x, const float *dy);
/* delta = gradient of what was added to the stream, before its scale and post norm. kept: delta as it was
 * then. */
void tfm__add_to_stream_backward(tfm__backward *back, const tfm__norm *post_norm, const float *kept);

/* positions_backward.c: dq, dk, dv of attention become those of the projections (or fused, where they are
 * one). */
void tfm__place_qkv_backward(tfm__backward *back, uint32_t layer);

/* attention_backward.c: from mixed to q, k, v. */
void tfm__attend_backward(tfm__backward *back, uint32_t layer);

/* feed_forward_backward.c: from inner to gate and up; n values each. gate NULL: not gated. dgate may be NULL
 * then. */
void tfm__activation_backward(const tfm__kernels *kernels, int activation, bool squared, const float *gate,
                              const float *up, const float *dinner, float *dgate, float *dup, size_t n);
/* inner = activation of the tape's gate and up, in the scratch's gate; from dinner to dgate and dup. */
const float *tfm__activate_again(tfm__backward *back, uint32_t layer);
void tfm__activate_backward(tfm__backward *back, uint32_t layer);

/* experts_backward.c: from delta to feed_input. */
void tfm__mix_experts_backward(tfm__backward *back, uint32_t layer);

/* embed_backward.c: from stream to the embedding and learned positions. */
void tfm__embed_backward(tfm__backward *back);

/* loss.c: cross-entropy of targets [T] (-1: not counted) given the stream, and its gradient. */
typedef struct tfm__loss_way {
    const tfm_token *targets; /* [T] */
    const float *weights;     /* [T] of each target in the sum, or NULL: 1 */
    double scale;             /* of the gradient: the loss is scale * the sum */
    bool gradient;            /* stream's gradient is wanted */
} tfm__loss_way;
/* The sum over the targets of weight * -log p, before the scale. */
double tfm__loss(tfm__backward *back, const tfm__loss_way *way);

/* Helpers shared by the parts (backward.c). */
void tfm__add_values(tfm__backward *back, float *y, const float *x, size_t count); /* y += x, on the pool */
/* Sums keep 16 lanes and one tree, as kernels.h says. */
float tfm__dot(const float *a, const float *b, size_t n);

#endif
