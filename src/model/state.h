/* state.h - one session's past: tokens, key/value pages of every layer, and the buffers that a pass works in.
 *
 * Keys and values live in pages of TFM__PAGE_TOKENS positions, one page per layer, reference-counted so that
 * forks share them: a page with more than one owner is copied before it is written (tfm__session_reserve).
 * Inside a page, per key/value head: keys [head_dim, 64], then values [64, value_dim]; quantised ones as in
 * kernels/cache_blocks.h. */
#ifndef TFM__STATE_H
#define TFM__STATE_H

#include "kernels/cache_blocks.h"
#include "model/adapter.h"
#include "model/model.h"
#include "tfm/inspect.h"

typedef struct tfm__page {
    _Atomic int64_t owners;
    uint8_t _pad[56]; /* data begins on a cache line */
    uint8_t data[];
} tfm__page;

/* Scratch of one pass over up to `tokens` tokens; rows are `tokens` long, strides are in floats. */
typedef struct tfm__scratch {
    size_t tokens;
    size_t runs;   /* of pages, that a single token's attention has room for */
    float *stream; /* [tokens, width] the residual stream */
    float *normed; /* [tokens, width] */
    float *delta;  /* [tokens, width] what a half block adds */
    float *side;   /* [tokens, width] parallel blocks: the feed-forward's input, while attention adds to the
                      stream */
    float *fused;  /* [tokens, heads * head_dim + ...] a product of all three, before it is taken apart */
    float *latent, *latent_normed; /* [tokens, the larger latent] low-rank attention */
    float *q, *k, *v;              /* [tokens, heads * head_dim] ... */
    float *mixed;                  /* [tokens, heads * value_dim] attention's result */
    float *gate, *up;              /* [tokens, feed_forward], or with experts as many rows as they need */
    float *router;                 /* [tokens, experts] */
    float *route_spare;            /* [experts + groups] */
    uint32_t *chosen;              /* [tokens, used experts, or groups if there are more] */
    float *share;                  /* [tokens, used] */
    float *gathered;               /* [tokens, width] one expert's tokens */
    float *expert_rows;            /* [tokens, width] what it makes of them */
    float *expert_out;             /* [tokens, used, width] */
    float *cosine[TFM__ROPE_KINDS], *sine[TFM__ROPE_KINDS]; /* [tokens, rotary_dim / 2] */
    uint8_t *quantised; /* two activation formats' rows of the widest input */
    float *tile_q; /* [kv_heads, tokens, heads / kv_heads, head_dim] queries, scaled, in the order attention
                      reads */
    float *part_o, *part_m, *part_l; /* attention's partial results */
    uint32_t *first, *last, *place;  /* [heads * tokens] ranges of visible keys */
    float *slope;                    /* [heads * tokens] ALiBi's, in attention's order */
    size_t *bias_at;                 /* [heads * tokens] where the bias of key 0 stands for each query */
    uint32_t *block;                 /* [tokens] first tokens of the blocks that attention works in */
    size_t reach;                    /* positions that the bias by distance is made for, to each side */
    float *bias;                     /* [heads, 2 * reach] */
    bool bias_made;
    void *memory; /* all of the above */
} tfm__scratch;

/* One function that looks at a site (tfm/inspect.h); its session keeps them in the order of attaching. */
struct tfm_inspector {
    tfm_session *session;
    struct tfm_inspector *next;
    tfm_inspect_options options;
    tfm_inspect_fn fn;
    void *user;
    bool gone; /* destroyed while a function runs: freed when the pass is over */
};

#define TFM__INSPECT_ROWS 32 /* of attention weights, made for an inspector at once */

/* What looks into a session. sites 0: nobody, and a pass pays one comparison at each site. */
typedef struct tfm__inspection {
    tfm_inspector *first;
    uint32_t sites; /* a bit for each TFM_SITE_* that somebody looks at */
    bool inside;    /* a function runs */
    bool alone; /* in the present call for many sessions, this one runs by itself (adapters may ask for it) */
    size_t left; /* tokens of the call that come after the present batch */
    size_t row;  /* of an encoder's call */
    float *rows,
        *kept;       /* [TFM__INSPECT_ROWS, columns] weights or logits, and what they were before a write */
    size_t capacity; /* floats in each */
    int32_t status;  /* why the pass has to end, or TFM_OK; said is how */
    char said[128];
} tfm__inspection;

/* Sees what each expert of a mixture reads and what its second half reads, [rows, columns] and [rows,
 * inner_columns] of the tokens that go to it; expert -1: the one that every token goes through. Called on the
 * calling thread. */
typedef struct tfm__expert_watch {
    void (*see)(void *user, uint32_t layer, int64_t expert, const float *input, const float *inner,
                size_t rows, size_t columns, size_t inner_columns);
    void *user;
} tfm__expert_watch;

/* Tokens of a pass that lie behind one another in one row: a session's newest, or a whole text of an encoder.
 * Tokens of different rows do not see each other. */
typedef struct tfm__stretch {
    size_t first, tokens; /* in the pass */
    size_t position;      /* of the first in its row */
    size_t page;          /* of the session's pages, where the row begins */
    tfm_session
        *session; /* whose past it continues, where several share the pass; NULL: the pass's session */
} tfm__stretch;

struct tfm_session {
    tfm_model *model;
    uint32_t context, batch;
    uint32_t cache_type; /* TFM__F32, TFM__F16, TFM__BF16, TFM__Q8_0, TFM__Q4_0 */
    size_t position;     /* tokens held */
    tfm_token *tokens;   /* [token_capacity] */
    size_t token_capacity;
    tfm__page *
        *pages; /* [page_capacity, page_layers]: all layers' pages for the same positions lie together */
    size_t page_count, page_capacity;
    size_t
        page_layers; /* layers with pages of their own: all of them, or one after another uses the same (1) */
    size_t page_bytes; /* of data in one page */
    float *logits;     /* [logits_count, vocab] */
    size_t logits_count, logits_capacity;
    tfm_session
        *cross;  /* decoders of encoder-decoders: the pages hold keys and values of an encoder's states, its
                    position counts them; nothing else is in use. Forks have one on the same pages */
    bool listed; /* while a call for many sessions looks for one that is there twice */
    tfm__scratch scratch;
    tfm__inspection inspection;
    tfm__expert_watch expert_watch;
    tfm__adapted adapted;
};

/* crowd.c: what a pass over several sessions works in. The model keeps one for the next call. */
struct tfm__crowd {
    tfm_session *work; /* scratch, and logits on their way to the sessions; holds no tokens */
    size_t tokens;     /* that the arrays have room for */
    tfm__stretch *stretches;
    uint32_t *stretch_index;
    tfm_token *ids;
    uint32_t *wanted; /* rows whose logits are computed */
};
typedef struct tfm__crowd tfm__crowd;

/* One for `tokens` tokens that see keys up to `reach`, with `logits` rows of logits; the caller's alone until
 * it is given back. */
int32_t tfm__crowd_take(tfm_model *model, size_t tokens, size_t reach, size_t logits, tfm__crowd **out,
                        tfm_error *error);
void tfm__crowd_give(tfm_model *model, tfm__crowd *crowd);
/* With everything in it. NULL is fine. */
void tfm__crowd_free(tfm_model *model, tfm__crowd *crowd);

/* The TFM__* type of a TFM_CACHE_*; of the default, fallback. Fails where there is none such. */
int32_t tfm__cache_type(int32_t given, uint32_t fallback, uint32_t *type, tfm_error *error);

int32_t tfm__session_new(tfm_model *model, uint32_t context, uint32_t batch, uint32_t cache_type,
                         tfm_session **out, tfm_error *error);
void tfm__session_free(tfm_session *session);
/* Frees a session inside the library's own work, with its reference to the model, which is never the last
 * one: the caller has another. NULL is fine. */
void tfm__session_drop(tfm_session *session);
/* Gives a session room for an encoder's `count` states, whose keys and values tfm__cross_fill puts there. */
int32_t tfm__session_cross(tfm_session *session, size_t count, tfm_error *error);
int32_t tfm__session_copy(const tfm_session *session, tfm_session **out, tfm_error *error);

/* Makes everything that appending count tokens needs: room for the tokens, pages that are this session's
 * alone, scratch for `rows` tokens at a time, logits for `logits` of them. On an error nothing that was there
 * has changed. */
int32_t tfm__session_reserve(tfm_session *session, size_t count, size_t rows, size_t logits,
                             tfm_error *error);

/* Its two halves, for passes that several sessions share: tokens, pages and logits of one of them; */
int32_t tfm__session_reserve_past(tfm_session *session, size_t count, size_t logits, tfm_error *error);
/* and what a pass works in, for `rows` tokens that see keys up to position `reach`. */
int32_t tfm__session_reserve_work(tfm_session *session, size_t rows, size_t reach, size_t logits,
                                  tfm_error *error);
/* How far the keys reach that count more tokens of a session see. */
size_t tfm__session_reach(const tfm_session *session, size_t count);

/* Room in the context for count more, and every id inside the vocabulary. */
int32_t tfm__check_tokens(const tfm_session *session, const tfm_token *tokens, size_t count,
                          tfm_error *error);

/* adapters.c */
/* Puts these adapters, checked, in the place of those that the session has. On an error nothing has changed.
 */
int32_t tfm__session_adapt(tfm_session *session, const tfm_adapter_use *uses, size_t count, tfm_error *error);
/* Lets go of all. */
void tfm__session_unadapt(tfm_session *session);

/* inspectors.c */
/* tfm_inspect with arguments that are there. */
int32_t tfm__inspector_attach(tfm_session *session, const tfm_inspect_options *options, tfm_inspect_fn fn,
                              void *user, tfm_inspector **out, tfm_error *error);
/* Frees inspectors that were destroyed, and finds out which sites are looked at. */
void tfm__inspectors_sweep(tfm_session *session);
void tfm__inspectors_free(tfm_session *session);
/* Room for what is made for inspectors alone, with `total` tokens in the session. */
int32_t tfm__inspection_reserve(tfm_session *session, size_t total, tfm_error *error);

/* Keys [head_dim, 64] of one key/value head in a page, and its values [64, value_dim]; quantised ones as in
 * cache_blocks.h. */
static inline size_t tfm__page_head_bytes(const tfm__config *c, uint32_t cache_type) {
    return (tfm__cache_slot_bytes(cache_type, c->head_dim) +
            tfm__cache_slot_bytes(cache_type, c->value_dim)) *
           TFM__PAGE_TOKENS;
}
static inline uint8_t *tfm__page_keys(const tfm_session *session, uint32_t layer, size_t page,
                                      uint32_t head) {
    const tfm__config *c = &session->model->config;
    return session->pages[page * session->page_layers + layer % session->page_layers]->data +
           head * tfm__page_head_bytes(c, session->cache_type);
}
static inline uint8_t *tfm__page_values(const tfm_session *session, uint32_t layer, size_t page,
                                        uint32_t head) {
    return tfm__page_keys(session, layer, page, head) +
           TFM__PAGE_TOKENS * tfm__cache_slot_bytes(session->cache_type, session->model->config.head_dim);
}

#endif
