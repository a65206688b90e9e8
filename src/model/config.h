/* config.h - the description of one model: everything that the one transformer block is told by data.
 *
 * A family (families.c) is a row of constants; a config is that row plus the numbers of one file. Weights are
 * bound to it in bind.c. Nothing outside src/model looks at a family's name to decide what to compute. */
#ifndef TFM__CONFIG_H
#define TFM__CONFIG_H

#include "base/base.h"
#include "base/file.h"
#include "formats/formats.h"

#define TFM__MAX_LAYERS 4096
#define TFM__MAX_WIDTH (1 << 20)
#define TFM__MAX_HEAD_DIM 1024
#define TFM__MAX_EXPERTS 4096
#define TFM__MAX_VOCAB (1 << 24)
#define TFM__MAX_CONTEXT (1 << 28)

enum { TFM__NORM_RMS = 0, TFM__NORM_LAYER = 1 };
enum {
    TFM__POSITIONS_ROTARY = 0,
    TFM__POSITIONS_LEARNED,
    TFM__POSITIONS_ALIBI,
    TFM__POSITIONS_SINES, /* Vaswani et al. 2017: a half of sines, then one of cosines; from the file, or
                             computed */
    TFM__POSITIONS_NONE
};
/* How the half-blocks, attention and feed-forward f, stand to the stream x and their norms n. */
enum {
    TFM__ORDER_PRE = 0,  /* x + a(n x), then x + f(n x); families with post_norms: x + n a(n x) */
    TFM__ORDER_PARALLEL, /* x + a(n x) + f(n x), with one norm for both or one each */
    TFM__ORDER_POST,     /* x + n a(x), then x + n f(x) */
    TFM__ORDER_SUM       /* n(x + a(x)), then n(x + f(x)): the order of 2017 */
};
/* Norms of queries and keys, before they are rotated. */
enum {
    TFM__QK_NORM_NONE = 0,
    TFM__QK_NORM_HEAD,       /* RMS of each head, one weight [head_dim] for all */
    TFM__QK_NORM_ROW,        /* RMS of all heads together, weight [heads * head_dim] */
    TFM__QK_NORM_HEAD_LAYER, /* mean and variance of each head, one weight and bias for all */
    TFM__QK_NORM_HEADS_LAYER /* the same, each head with its own weight */
};
/* A matrix that holds queries, keys and values. */
enum {
    TFM__FUSED_ROWS = 0, /* all rows of q, then k, then v */
    TFM__FUSED_GROUPS    /* for each key/value head: its query heads, its key, its value */
};
/* Which layers rotate queries and keys. */
enum {
    TFM__ROTATE_ALL = 0,
    TFM__ROTATE_WINDOWED,        /* those with a window */
    TFM__ROTATE_WINDOWED_OR_ALL, /* those with a window; all if no layer has one */
    TFM__ROTATE_LISTED           /* no_rope_layers, or all but each no_rope_layer_interval-th */
};
enum {
    TFM__ROPE_DEFAULT = 0, /* base^(-2i/d) */
    TFM__ROPE_LINEAR,      /* divided by a factor (Chen et al. 2023, position interpolation) */
    TFM__ROPE_DYNAMIC, /* NTK-aware: the base grows with the position once it passes the original context */
    TFM__ROPE_YARN,    /* Peng et al. 2023 */
    TFM__ROPE_LLAMA3,  /* Llama 3.1's smooth interpolation between wavelengths */
    TFM__ROPE_LONG     /* LongRoPE: one divisor per pair, short and long tables */
};

/* Rotary positions of one kind of layer. */
typedef struct tfm__rope {
    int scaling; /* TFM__ROPE_* */
    double base;
    double factor;                            /* linear, dynamic, yarn, llama3 */
    uint32_t original;                        /* context before stretching */
    double low_freq_factor, high_freq_factor; /* llama3 */
    double beta_fast, beta_slow;              /* yarn */
    double attention_factor;       /* multiplies sine and cosine; 0: by the scaling's own formula */
    double mscale, mscale_all_dim; /* yarn, both 0: the plain formula */
    bool truncate;                 /* yarn: round the ends of the ramp */
    const float *short_factors, *long_factors; /* long: a divisor per pair up to the original context and past
                                                  it, from config.json (GGUF files have tensors); or NULL */
} tfm__rope;

enum { TFM__ROPE_GLOBAL = 0, TFM__ROPE_LOCAL = 1, TFM__ROPE_KINDS = 2 };

/* How a router's logits become the shares of experts. */
enum {
    TFM__ROUTE_SOFTMAX = 0, /* softmax over all, the largest are chosen */
    TFM__ROUTE_CHOSEN,      /* the largest logits are chosen, softmax over those */
    TFM__ROUTE_SIGMOID      /* sigmoid of each; a correction is added for choosing only (DeepSeek-V3) */
};

/* Mixture of experts: what each layer that has one does. */
typedef struct tfm__experts {
    uint32_t count, used;        /* 0: the model has none */
    uint32_t width;              /* of one expert's feed-forward */
    uint32_t shared;             /* width of the expert that every token goes through; 0: none */
    uint32_t groups, top_groups; /* experts are chosen from the best groups only; 1: one group */
    bool group_by_two;           /* a group counts by the sum of its two best, not by its best */
    int route;                   /* TFM__ROUTE_* */
    bool normalised;             /* the shares of the chosen are divided by their sum */
    float scale;                 /* multiplies the shares */
    bool paired;                 /* gate and up are neighbouring rows of one matrix, in EXPERT_UP's place */
    float limit, slope; /* limit > 0: (up + 1) gate sigmoid(slope gate), gate at most limit, up between
                           -limit and limit (gpt-oss) */
} tfm__experts;

/* What a tensor is for. Layer roles begin at TFM__ROLE_ATTN_NORM. */
enum {
    TFM__ROLE_EMBED = 0,
    TFM__ROLE_EMBED_NORM,
    TFM__ROLE_POSITION,
    TFM__ROLE_TOKEN_TYPE,
    TFM__ROLE_RELATIVE, /* [buckets, heads] */
    TFM__ROLE_POOLER,
    TFM__ROLE_OUTPUT_NORM,
    TFM__ROLE_OUTPUT,
    TFM__ROLE_OUTPUT_BIAS, /* a vector: no ending is put behind its name */
    TFM__ROLE_ROPE_FACTORS,
    TFM__ROLE_ROPE_LONG,
    TFM__ROLE_ROPE_SHORT,
    TFM__ROLE_ATTN_NORM,
    TFM__ROLE_Q,
    TFM__ROLE_K,
    TFM__ROLE_V,
    TFM__ROLE_QKV,
    TFM__ROLE_Q_A, /* low-rank attention: to the queries' latent, its norm, and up */
    TFM__ROLE_Q_A_NORM,
    TFM__ROLE_Q_B,
    TFM__ROLE_KV_A, /* to the latent of keys and values and the shared rotated key, its norm, and up */
    TFM__ROLE_KV_A_NORM,
    TFM__ROLE_KV_B,
    TFM__ROLE_SINKS, /* [heads]; no ending is put behind its name in Hugging Face files */
    TFM__ROLE_ATTN_OUT,
    TFM__ROLE_Q_NORM,
    TFM__ROLE_K_NORM,
    TFM__ROLE_ATTN_POST_NORM,
    TFM__ROLE_CROSS_NORM,
    TFM__ROLE_CROSS_Q,
    TFM__ROLE_CROSS_K,
    TFM__ROLE_CROSS_V,
    TFM__ROLE_CROSS_KV, /* both, one behind the other */
    TFM__ROLE_CROSS_OUT,
    TFM__ROLE_CROSS_POST_NORM,
    TFM__ROLE_FFN_NORM,
    TFM__ROLE_GATE_UP,
    TFM__ROLE_GATE,
    TFM__ROLE_UP,
    TFM__ROLE_DOWN,
    TFM__ROLE_FFN_POST_NORM,
    TFM__ROLE_ROUTER,
    TFM__ROLE_ROUTER_CORRECTION, /* a vector: no ending is put behind its name */
    TFM__ROLE_EXPERT_GATE,       /* %e: the expert; without it one tensor holds all */
    TFM__ROLE_EXPERT_UP,
    TFM__ROLE_EXPERT_DOWN,
    TFM__ROLE_SHARED_GATE,
    TFM__ROLE_SHARED_UP,
    TFM__ROLE_SHARED_DOWN,
    TFM__ROLE_SHARED_SWITCH, /* [1, width]: the sigmoid of it multiplies the shared expert */
    TFM__ROLE_COUNT
};

/* How a family names its tensors: patterns without the ".weight" / ".bias" at the end, %d for the layer; NULL
 * where the family has no such tensor. */
typedef struct tfm__names {
    const char *role[TFM__ROLE_COUNT];
    const char
        *prefixes[5]; /* tried in front of the embedding's name; the first that fits is used throughout */
    bool matrices_transposed; /* matrices of layers are stored [inputs, outputs] */
} tfm__names;

/* Which layers see only a window of the past. */
enum {
    TFM__WINDOW_NEVER = 0,
    TFM__WINDOW_ALL,        /* every layer, if the file gives a window */
    TFM__WINDOW_EVEN,       /* layers 0, 2, 4, ... */
    TFM__WINDOW_PATTERN,    /* all but each pattern-th */
    TFM__WINDOW_FROM_LAYER, /* from max_window_layers on, if use_sliding_window */
    TFM__WINDOW_LOCAL,      /* GPT-Neo: the layers that attention_layers calls local */
    TFM__WINDOW_AFTER       /* all but layers 0, pattern, 2 pattern, ... */
};

/* What comes behind the last layer for a task. */
enum {
    TFM__HEAD_NONE = 0,
    TFM__HEAD_TOKENS, /* outputs for each token */
    TFM__HEAD_ROWS    /* outputs for each row of tokens */
};
/* The nonlinearity inside a head. */
enum {
    TFM__HEAD_LINEAR = 0,
    TFM__HEAD_TANH,
    TFM__HEAD_RELU,
    TFM__HEAD_GELU,
    TFM__HEAD_MODEL /* the model's own */
};

/* One row of the table of heads: out(norm(activation(dense x))), each part but out left out where its name is
 * NULL. */
typedef struct tfm__head_row {
    const char *architecture; /* what a name in config.json's architectures ends with; NULL: by its tensors */
    int scope;                /* TFM__HEAD_TOKENS, TFM__HEAD_ROWS */
    bool vocabulary;          /* outputs are tokens; without a matrix of its own out is the embedding */
    bool pooled;              /* x is the pooler's output, not a hidden state */
    bool mean; /* of rows: x is the mean of the tokens; otherwise the first one, unless config.json says */
    const char *dense, *norm, *out; /* without ".weight" and ".bias" */
    const char *bias;               /* out's, where it is a tensor with a name of its own */
    int activation;                 /* TFM__HEAD_LINEAR ... */
} tfm__head_row;

/* A setting of config.json that changes the arithmetic and that is implemented for one value only. */
typedef struct tfm__demand {
    const char *key;   /* with a dot: a member of an object */
    const char *value; /* as JSON writes it; a list of alternatives with | between them */
} tfm__demand;

/* What part of a model a row describes. */
enum {
    TFM__TOWER_ALONE = 0,
    TFM__TOWER_ENCODER, /* of an encoder-decoder: another row is the decoder */
    TFM__TOWER_DECODER  /* of an encoder-decoder; its layers look at the encoder's states too */
};

/* One row of the table of families. */
typedef struct tfm__family {
    const char *name;    /* tfm's name, in tfm_model_info */
    const char *gguf;    /* general.architecture, or NULL */
    const char *gguf_as; /* what to write there for a family that has none of its own; NULL: nothing fits */
    const char *hf[3];   /* model_type in config.json */
    const tfm__names *hf_names;
    const tfm__names *gguf_names; /* NULL: the usual ones */
    int norm;                     /* TFM__NORM_* */
    bool norm_plus_one;           /* Hugging Face files store weight - 1 (GGUF files store the weight) */
    bool post_norms;              /* a norm behind attention and feed-forward too, before they are added */
    bool norm_free;               /* norms have no weights */
    bool embed_norm;              /* a norm behind the embedding */
    int order;                    /* TFM__ORDER_* when the file does not say */
    int qk_norm;                  /* TFM__QK_NORM_*; those with a switch in config.json: when it is on */
    const char *qk_switch;        /* config.json's key that switches qk_norm on; NULL: always */
    int fused;                    /* TFM__FUSED_* of Hugging Face files (GGUF files have rows) */
    int rotate;                   /* TFM__ROTATE_* */
    bool hf_interleaved;          /* rotary pairs are neighbours in Hugging Face files */
    bool low_rank;                /* queries, keys and values are made through latents (DeepSeek) */
    bool squared;                 /* the activation's result times its input (ReLU squared) */
    bool encoder;                 /* every token sees every other; no logits of a next one */
    bool may_encode;              /* use_bidirectional_attention makes it an encoder */
    int tower;                    /* TFM__TOWER_* */
    const struct tfm__family *encoder_row; /* of a TFM__TOWER_DECODER */
    bool
        sines_to_the_end; /* the last computed sine has the factor 1/10000 (fairseq), not the one behind it */
    bool positions_after_pad; /* learned positions of Hugging Face files begin behind pad_token_id, which has
                                 one for itself and does not count (RoBERTa) */
    uint32_t pad;             /* pad_token_id when the file does not say */
    bool pad_learns; /* training: pad_token_id's embedding is like any other; elsewhere it stays as it is */
    bool first_norm_free;                         /* layer 0 has no norm before attention */
    float epsilon;                                /* of the norms when the file does not say; 0: the usual */
    uint32_t relative_buckets, relative_distance; /* relative positions when the file does not say; 0: none */
    const tfm__head_row *heads, *gguf_heads;      /* each ends with a row without out */
    uint32_t position_offset; /* learned positions begin at this row in Hugging Face files */
    bool logits_divided;      /* GGUF's logit_scale divides */
    float fixed_attn_scale;   /* 0: 1 / sqrt(head_dim) */
    int positions;            /* TFM__POSITIONS_* */
    bool gguf_interleaved;    /* rotary pairs are neighbours in GGUF files (halves in Hugging Face's) */
    int activation;           /* TFM__SILU ... when the file does not say */
    bool gated;
    bool tied;                                           /* the default of tie_word_embeddings */
    bool scale_embedding;                                /* by sqrt(width) */
    int window;                                          /* TFM__WINDOW_* */
    int window_pattern;                                  /* TFM__WINDOW_PATTERN: the default */
    bool local_rope;                                     /* windowed layers have a rotary base of their own */
    bool query_scalar;                                   /* scale = query_pre_attn_scalar^-1/2 */
    float default_attn_soft_cap, default_final_soft_cap; /* GGUF, when the keys are absent */
    bool sinks;         /* heads attend to nothing at all with a weight of their own */
    bool experts_plain; /* Hugging Face's tensors of all experts are [experts, inputs, outputs], named without
                           an ending, their biases with _bias behind; gate and up are neighbours */
    float expert_limit; /* tfm__experts' limit when the file does not say; 0: none */
    int route;          /* TFM__ROUTE_* */
    bool route_normalised; /* when the file does not say */
    bool group_by_two;
    const struct tfm__demand
        *demands;          /* settings of config.json that must have one value; ends with a NULL key */
    int wide_scale_layers; /* GGUF carries no query scalar: models of this many layers use width / heads */
    bool mixes_down_less;  /* quantising mixes give the output of attention and the end of the feed-forward
                              fewer bits */
    uint32_t
        mixes_values_more; /* ... and values more, in models of this many layers whose heads share them */
} tfm__family;

typedef struct tfm__config {
    const tfm__family *family;
    int norm, positions, activation, order, qk_norm, fused;
    bool gated, tied, post_norms, interleaved;
    bool encoder;               /* attention looks both ways */
    bool cross;                 /* layers attend to an encoder's states too */
    bool gated_said;            /* gated is the file's word, not the family's */
    int64_t start_token;        /* that a decoder's text begins with, or -1: as its tokenizer has it */
    int64_t forced_first;       /* that is put behind it, or -1 */
    int64_t skipped;            /* id of the token that does not count among positions, or -1 */
    uint32_t position_offset;   /* learned positions begin at this row */
    uint32_t types;             /* token types; 0: none */
    uint32_t relative_buckets;  /* of distances between tokens; 0: attention has no bias for them */
    uint32_t relative_distance; /* from here on all fall into the last bucket */
    const tfm__head_row *head;  /* in the table of families, or NULL */
    bool head_mean;             /* a head for rows takes the mean of the tokens, not the first one */
    float norm_offset;          /* added to norm weights when they are bound */
    uint32_t layers, width, heads, kv_heads, head_dim, value_dim, feed_forward, vocab, context;
    uint32_t latent_q, latent_kv; /* low-rank attention: sizes of the latents; 0: no latent. The first
                                     rotary_dim of a head's key are the same for all heads */
    int64_t pad;                  /* id of the token whose embedding no text changes in training, or -1 */
    uint32_t rotary_dim;          /* of each head; even */
    uint32_t rotary_spread;       /* that the frequencies are spread over: rotary_dim, or one less */
    float epsilon;
    float embed_scale;    /* 1: none */
    float residual_scale; /* 1: none; multiplies what a half-block adds */
    float logit_scale;    /* 1: none */
    float clip_qkv;       /* 0: none; q, k and v are held between -clip and clip */
    float alibi_bias_max; /* ALiBi: 8 in the paper */
    bool alibi_scaled;    /* ALiBi's bias is multiplied by the attention scale too */
    float attn_scale;
    bool scale_by_layer;                 /* attention scale divided by layer + 1 */
    float attn_soft_cap, final_soft_cap; /* 0: none */
    tfm__rope rope[TFM__ROPE_KINDS];
    uint32_t window;   /* positions a windowed layer sees, the present one included (encoders: to each side);
                          0: no windows */
    uint8_t *windowed; /* [layers] in the container's arena */
    tfm__experts experts;
    uint8_t *sparse; /* [layers] whether the feed-forward is a mixture of experts; in the container's arena */
    uint8_t *rotated; /* [layers] whether q and k are rotated; in the container's arena */
    char name[128];
} tfm__config;

/* The rows, and look-ups by either name; NULL if there is none. */
const tfm__family *tfm__family_by_gguf(tfm__text architecture);
const tfm__family *tfm__family_by_hf(const tfm__json *config, tfm__json_value model_type);
const tfm__family *tfm__family_at(size_t index); /* NULL past the end */
const tfm__names *tfm__gguf_names(const tfm__family *family);

/* Reads the description of an opened file; every number is checked against the bounds above. */
int32_t tfm__config_read(tfm__container *container, tfm__config *config, tfm_error *error);

/* The same for the encoder of an encoder-decoder, whose row is known. */
int32_t tfm__config_read_tower(tfm__container *container, const tfm__family *family, tfm__config *config,
                               tfm_error *error);

/* Whether every position has a row of a table, which bounds the context. */
static inline bool tfm__has_position_rows(const tfm__config *c) {
    return c->positions == TFM__POSITIONS_LEARNED || c->positions == TFM__POSITIONS_SINES;
}

/* The readers behind it (config_gguf.c, config_hf.c, config_ct2.c). */
int32_t tfm__config_from_gguf(tfm__container *container, tfm__config *config, tfm_error *error);
int32_t tfm__config_from_hf(tfm__container *container, tfm__config *config, tfm_error *error);
int32_t tfm__config_from_ct2(tfm__container *container, tfm__config *config, tfm_error *error);
int32_t tfm__config_from_llama2c(tfm__container *container, tfm__config *config, tfm_error *error);

#endif
