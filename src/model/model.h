/* model.h - an opened model: description, weight views, tokenizer, kernels; and one session's state.
 *
 * Weights are bound as views into the file's bytes (bind.c): matrices stay as they are; vectors (norm
 * weights, biases), which are small, are copied to f32 once. */
#ifndef TFM__MODEL_H
#define TFM__MODEL_H

#include "base/threads.h"
#include "kernels/kernels.h"
#include "model/config.h"
#include "tfm/session.h"
#include "tokenizer/tokenizer.h"

/* A matrix in a file: y = W x + bias, W is [rows, columns]. */
typedef struct tfm__view {
    const uint8_t *data; /* NULL: there is no such matrix */
    uint32_t type;
    bool transposed;   /* stored [columns, rows] */
    size_t row_stride; /* bytes from one stored row to the next */
    uint32_t rows, columns;
    const float *bias; /* [rows], or NULL */
} tfm__view;

/* Weight and perhaps bias of a norm; weight NULL: there is no norm. */
typedef struct tfm__norm {
    const float *weight, *bias;
} tfm__norm;

/* Feed-forward of a layer: one, or a mixture of them. */
typedef struct tfm__expert {
    tfm__view gate, up; /* [expert width, width] */
    tfm__view down;     /* [width, expert width] */
} tfm__expert;

typedef struct tfm__layer {
    tfm__norm attn_norm; /* [width] */
    tfm__view q, k,
        v; /* [heads * head_dim, width], [kv_heads * head_dim, width], [kv_heads * value_dim, width] */
    tfm__view
        qkv; /* all three, one group behind the other, if the file has them so; q, k, v are empty then */
    tfm__view q_a,
        q_b; /* [latent_q, width], [heads * head_dim, latent_q]; no data: q makes queries at once */
    tfm__view kv_a, kv_b; /* [latent_kv + rotary_dim, width], [heads * (head_dim - rotary_dim + value_dim),
                             latent_kv]; no data: k and v are there */
    tfm__norm q_a_norm, kv_a_norm;         /* [latent_q], [latent_kv] */
    tfm__norm q_norm, k_norm;              /* [head_dim], or a weight for each head: tfm__config's qk_norm */
    const float *sinks;                    /* [heads] what joins a softmax's denominator, or NULL */
    tfm__view out;                         /* [width, heads * value_dim] */
    tfm__norm attn_post_norm;              /* [width] */
    tfm__norm cross_norm, cross_post_norm; /* [width] */
    tfm__view cross_q;          /* [heads * head_dim, width]; no data: no attention to an encoder's states */
    tfm__view cross_k, cross_v; /* [kv_heads * head_dim, width], [kv_heads * value_dim, width] */
    tfm__view cross_out;        /* [width, heads * value_dim] */
    tfm__norm ffn_norm;         /* [width] */
    tfm__view gate, up;         /* [feed_forward, width] */
    tfm__view down;             /* [width, feed_forward] */
    tfm__norm ffn_post_norm;    /* [width] */
    tfm__view router;           /* [experts, width]; no data: the layer has no experts */
    const float *correction;    /* [experts], added for choosing, or NULL */
    const tfm__expert *experts; /* [experts] in the container's arena */
    tfm__expert shared;         /* no data: none */
    tfm__view shared_switch;    /* [1, width]; no data: the shared expert counts whole */
    uint32_t window; /* positions seen, the present one included (encoders: to each side); 0: all */
    int rope;        /* TFM__ROPE_GLOBAL or _LOCAL */
    bool rotates;    /* q and k are turned by their positions */
    float attn_scale;
} tfm__layer;

/* What comes behind the layers for a task: out(norm(activation(dense x))); parts may be absent. */
typedef struct tfm__head {
    tfm__view dense; /* [inner, width] */
    tfm__norm norm;  /* [inner] */
    tfm__view out;   /* [outputs, inner]; no data: the model has no head */
} tfm__head;

/* Rotary frequencies of one kind of layer, [pairs] each. */
typedef struct tfm__frequencies {
    const float *inverse;      /* radians per position */
    const float *long_inverse; /* used from position `original` on (LongRoPE), or NULL */
    float magnitude;           /* multiplies sine and cosine */
} tfm__frequencies;

/* What follows the pooling of an embedding. */
enum { TFM__STEP_DENSE = 0, TFM__STEP_NORMALIZE };
typedef struct tfm__embed_step {
    int kind;
    int activation;      /* TFM__HEAD_*, of a dense step */
    tfm__view matrix;    /* [outputs, inputs] */
    tfm__container file; /* that the matrix lies in */
} tfm__embed_step;

#define TFM__MOST_STEPS 8
#define TFM__POOLINGS 6 /* bits of TFM_POOL_* */

/* How the model's files say that a text becomes one vector (modules.c). */
typedef struct tfm__embedder {
    uint32_t pooling; /* TFM_POOL_* bits; 0: they do not say */
    uint32_t most;    /* tokens of a text, or 0 */
    size_t step_count;
    tfm__embed_step steps[TFM__MOST_STEPS];
    const char *prompt; /* put in front of every text, or NULL */
    size_t prompt_length;
    const char *problem; /* NULL, or what of the description cannot be done */
} tfm__embedder;

/* A vector that is used with an offset (Gemma's norms), where the weights change: the model's copy of it. */
typedef struct tfm__shifted {
    struct tfm__shifted *next;
    float *bound;        /* [count] weight + offset */
    const float *weight; /* [count] */
    size_t count;
    float offset;
} tfm__shifted;

struct tfm_model {
    tfm__heap heap;
    _Atomic int64_t references;
    tfm__store store;
    tfm__container container;
    tfm__config config;
    tfm__kernels kernels;
    tfm_pool *pool;
    tfm_log_fn log;
    void *log_user;
    tfm_tokenizer *tokenizer;        /* of what the model writes. NULL: the files hold none */
    tfm_tokenizer *source_tokenizer; /* of what its encoder reads, where that has a vocabulary of its own; or
                                        NULL */

    tfm__view embedding; /* [vocab, width] */
    tfm__norm embed_norm;
    tfm__view positions;   /* [position_offset + context, width], learned positions */
    tfm__view types;       /* [types, width], added to the embedding */
    const float *relative; /* [heads, relative_buckets] added to the scores by distance, or NULL */
    tfm__view pooler;      /* [width, width] of a row's first token, then tanh; no data: there is none */
    tfm__head head;
    const float *slopes; /* [heads] ALiBi, or NULL */
    tfm__layer *layers;
    tfm__norm output_norm;
    tfm__view output; /* [vocab, width]; the embedding itself when tied */
    tfm__frequencies frequencies[TFM__ROPE_KINDS];
    tfm__embedder embedder;
    struct tfm_model *encoder; /* of an encoder-decoder, whose decoder this is: a model without files and
                                  tokenizer, whose heap stands for this one's; or NULL */
    uint32_t cache_type;       /* TFM__F32 or TFM__F16: the default for sessions */
    uint32_t main_type;        /* of most parameters */
    uint64_t parameters, weight_bytes;

    _Atomic(struct tfm__crowd *)
        crowd; /* what the last pass over several sessions worked in, for the next one */

    struct tfm_model *base; /* retained: what this one was made of (tfm_adapter_merge), whose files, names and
                               tokenizers it uses; NULL: it has its own */

    bool weights_change;   /* the weights are a trainer's, all F32: vectors are bound where they lie */
    tfm__shifted *shifted; /* and these follow them */
};

int32_t tfm__model_open(tfm_model *model,
                        tfm_error *error); /* store and heap are set; undone on error by _close */
void tfm__model_close(tfm_model *model);
int32_t tfm__model_bind(tfm_model *model, tfm__container *container, tfm_error *error); /* bind.c */
int32_t tfm__model_modules(tfm_model *model, tfm_error *error);                         /* modules.c */
int32_t tfm__model_rope(tfm_model *model, tfm_error *error);                            /* rope.c */

/* What encodes: the model itself, or its encoder. */
static inline tfm_model *tfm__encoder_of(const tfm_model *model) {
    return model->encoder ? model->encoder : (tfm_model *)(uintptr_t)model;
}

/* Radians per position of each pair, [dimension / 2], under a scaling (TFM__ROPE_*). */
void tfm__rope_inverse(const tfm__rope *rope, int scaling, uint32_t dimension, double *inverse);

/* Cosines and sines for count positions from first on, [count, pairs] each, of one kind of layer. */
void tfm__rope_table(const tfm_model *model, int kind, uint32_t first, size_t count, float *cosine,
                     float *sine);

static inline size_t tfm__round_up(size_t n, size_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

#endif
