/* blocks.h - the parts of the one transformer block, as forward.c calls them.
 *
 * Each works on a run of tokens of one session, or of several, in a session's scratch (model/state.h). Rows
 * are tokens. Work over rows or outputs is cut into pieces by shape alone and run on the model's pool; no
 * part allocates.
 */
#ifndef TFM__BLOCKS_H
#define TFM__BLOCKS_H

#include "model/state.h"

/* One run of tokens on its way through the model. */
typedef struct tfm__pass {
    tfm_session *session;
    tfm_model *model;
    const tfm__config *config;
    const tfm__kernels *kernels;
    tfm__scratch *s;
    tfm_pool *pool;
    const tfm_token *ids; /* [tokens] */
    size_t tokens;
    size_t position;               /* of the first, where there is one row */
    const tfm__stretch *stretches; /* [stretch_count]; NULL: all tokens are of one row, from position on */
    size_t stretch_count;
    const uint32_t *stretch_index; /* [tokens] the stretch of each, with stretches */
    const int32_t *types;          /* [tokens] token types; NULL: all 0 */
    bool adapted;                  /* a session of the pass has adapters */
    struct tfm__tape *tape;        /* training: keeps what the way back needs (tape.h); NULL otherwise */
} tfm__pass;

static inline size_t tfm__stretches(const tfm__pass *pass) {
    return pass->stretches ? pass->stretch_count : 1;
}
static inline tfm__stretch tfm__stretch_at(const tfm__pass *pass, size_t index) {
    return pass->stretches ? pass->stretches[index]
                           : (tfm__stretch){0, pass->tokens, pass->position, 0, NULL};
}
/* The stretch of token t. */
static inline tfm__stretch tfm__stretch_of(const tfm__pass *pass, size_t t) {
    return tfm__stretch_at(pass, pass->stretches ? pass->stretch_index[t] : 0);
}
/* The session that keeps a stretch's keys and values. */
static inline tfm_session *tfm__session_of(const tfm__pass *pass, const tfm__stretch *stretch) {
    return stretch->session ? stretch->session : pass->session;
}

/* embed.c */
/* stream = embedding rows of the ids, scaled, plus learned positions. [tokens, width] */
void tfm__embed(tfm__pass *pass);

/* norm.c */
/* One row: out = norm(in); they may be the same. [width] */
void tfm__norm_row(const tfm__pass *pass, const tfm__norm *norm, const float *in, float *out);
/* out = norm(in), row by row, of the model's kind. in and out may be the same. [rows, width] */
void tfm__norm_rows(tfm__pass *pass, const tfm__norm *norm, const float *in, float *out, size_t rows);
/* What a half-block reads: norm(stream) in out, or the stream itself where there is no norm. [tokens, width]
 */
float *tfm__block_input(tfm__pass *pass, const tfm__norm *norm, float *out);
/* Parallel blocks: side = norm(stream), or the input of attention where they share a norm. */
void tfm__keep_side(tfm__pass *pass, const tfm__norm *norm, const float *shared);
/* stream += scale * post_norm(delta), or without the norm where there is none; in the order of sums stream =
 * post_norm(stream + delta). [tokens, width] */
void tfm__add_to_stream(tfm__pass *pass, const tfm__norm *post_norm);

/* linear.c */
typedef struct tfm__job {
    const tfm__view *view;
    float *y; /* [rows, view->rows], packed */
} tfm__job;
/* y = W x + bias for up to four matrices that share their input x [rows, columns], packed; x is quantised
 * once per format that the matrices ask for. With what the sessions' adapters add. */
void tfm__linear(tfm__pass *pass, const float *x, size_t rows, const tfm__job *jobs, size_t job_count);
/* The same without adapters. */
void tfm__linear_plain(tfm__pass *pass, const float *x, size_t rows, const tfm__job *jobs, size_t job_count);

/* adapt.c */
/* y += scale B (A x) for each adapter of each row's session. The jobs' y holds the product with the matrix.
 */
void tfm__adapt(tfm__pass *pass, const float *x, size_t rows, const tfm__job *jobs, size_t job_count);

/* Takes a product of queries, keys and values apart that lie group by group: fused to q, k, v. */
void tfm__take_apart(tfm__pass *pass);

/* low_rank.c */
/* q, k and v of low-rank attention, each head with its rotated part in front. input [tokens, width] */
void tfm__project_low_rank(tfm__pass *pass, uint32_t layer, const float *input);

/* linear.c */
/* Scale and soft cap of logits, [rows, vocab], where the family has them. */
void tfm__settle_logits(const tfm__pass *pass, float *logits, size_t rows);

/* positions.c */
/* The tables of cosines and sines for this pass, and of the bias by distance. */
void tfm__prepare_positions(tfm__pass *pass);
/* q, k: norm of each head where the family has one, then rotation; q is scaled and put in attention's order;
 * k and v go to the pages of the layer. */
void tfm__place_qkv(tfm__pass *pass, uint32_t layer);
/* Its last part alone: q, k and v, as they are now, go where attention reads them. */
void tfm__keep_qkv(tfm__pass *pass, uint32_t layer);

/* k and v, of an encoder's states from the pass's position on, to the session's pages for those. */
void tfm__keep_cross(tfm__pass *pass, uint32_t layer);
/* q alone goes where attention reads it. */
void tfm__keep_queries(tfm__pass *pass, uint32_t layer);

/* attention.c */
/* mixed = softmax(q k^T) v over the past and the tokens of this pass that each may see. [tokens, heads *
 * value_dim] */
void tfm__attend(tfm__pass *pass, uint32_t layer);
/* What exp(score - top) is multiplied by to be a probability, with the sum of those of all keys: a head with
 * a sink shares with that too. */
float tfm__share_of(const tfm__pass *pass, uint32_t layer, uint32_t head, float top, float sum);
/* The same over an encoder's states, all of which every token sees. */
void tfm__attend_cross(tfm__pass *pass, uint32_t layer);

/* feed_forward.c */
/* gate = activation(gate) * up, or activation(up). [tokens, feed_forward]; gives the address of the result.
 */
float *tfm__activate(tfm__pass *pass, const tfm__layer *layer);

/* experts.c */
/* delta = the results of the experts that the router chooses for each token, by their shares, and of the
 * shared one. input [tokens, width] */
void tfm__mix_experts(tfm__pass *pass, uint32_t layer, const float *input);

/* rows.c: runs fn(pass, arg, first, count) over rows, a few rows a piece, on the pool. */
typedef void (*tfm__rows_fn)(tfm__pass *pass, void *arg, size_t first, size_t count);
void tfm__over_rows(tfm__pass *pass, size_t rows, tfm__rows_fn fn, void *arg);

/* inspect.c: what the session's inspectors see. Each costs one comparison where nobody looks. */

/* Values at a site. */
typedef struct tfm__sight {
    int site;
    uint32_t layer;
    size_t first, rows; /* of the pass's tokens */
    size_t columns;
    float *values;     /* [rows, columns], packed */
    uint32_t heads;    /* that the columns divide into; 0: none */
    uint32_t *experts; /* [rows, columns], or NULL */
} tfm__sight;

/* To everybody who looks there; head: the values are of one head, or TFM_INSPECT_ALL. */
void tfm__show_sight(tfm__pass *pass, const tfm__sight *sight, int32_t head);
/* Somebody looks there and may write. */
bool tfm__writes(const tfm__pass *pass, int site, uint32_t layer);
/* The pass has to end with this status; the first one counts. */
void tfm__inspect_fail(tfm__pass *pass, int32_t status, const char *said);
/* What a half-block reads, shown; gives where it is now: a write must not reach the stream itself. */
float *tfm__show_input(tfm__pass *pass, int site, uint32_t layer, float *input);
/* Queries and keys after tfm__place_qkv; what was written goes to where attention reads it. */
void tfm__show_rotated(tfm__pass *pass, uint32_t layer);
/* Probabilities after tfm__attend, head by head; a head whose were changed is mixed anew. */
void tfm__show_weights(tfm__pass *pass, uint32_t layer);
/* Logits of the stream as it is after a layer. */
void tfm__show_guess(tfm__pass *pass, uint32_t layer);

static inline bool tfm__seen(const tfm__pass *pass, int site) {
    return TFM__UNLIKELY(pass->session->inspection.sites >> site & 1);
}
/* Whether an inspector ended the pass. */
static inline int32_t tfm__inspected(const tfm__pass *pass, tfm_error *error) {
    const tfm__inspection *n = &pass->session->inspection;
    return TFM__UNLIKELY(n->status) ? tfm__fail(error, n->status, "%s", n->said) : TFM_OK;
}
/* The last `rows` tokens of the pass, [rows, columns]. */
static inline void tfm__show(tfm__pass *pass, int site, uint32_t layer, float *values, size_t rows,
                             size_t columns) {
    if (!tfm__seen(pass, site)) return;
    const tfm__sight sight = {site, layer, pass->tokens - rows, rows, columns, values, 0, NULL};
    tfm__show_sight(pass, &sight, TFM_INSPECT_ALL);
}
/* All tokens, [tokens, heads * size]. */
static inline void tfm__show_heads(tfm__pass *pass, int site, uint32_t layer, float *values, uint32_t heads,
                                   size_t size) {
    if (!tfm__seen(pass, site)) return;
    const tfm__sight sight = {site, layer, 0, pass->tokens, heads * size, values, heads, NULL};
    tfm__show_sight(pass, &sight, TFM_INSPECT_ALL);
}

#endif
