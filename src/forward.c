/* forward.c - the story of a pass: tokens in, logits out.
 *
 *     x = embed(tokens)                                    [T, D]
 *     for each layer:
 *         h = norm(x)                                      [T, D]
 *         q, k, v = Wq h, Wk h, Wv h                       [T, H d], [T, K d], [T, K e]
 *         q, k = rotate(q), rotate(k); k and v join the session's pages
 *         a = softmax(q k^T * scale, past only) v          [T, H e]
 *         x = x + Wo a                                     [T, D]
 *         h = norm(x)                                      [T, D]
 *         x = x + Wdown (activation(Wgate h) * Wup h)      [T, D]
 *     logits = Wout norm(x)                                [T', V]
 *
 * Where experts are mixed, a router chooses a few feed-forwards for each token in place of the one.
 * Parallel blocks give both halves the x that the layer began with; others have their norms behind the
 * halves. Decoders of encoder-decoders have a part between the two, attention to the encoder's states, whose
 * keys and values were made when the session was. Encoders, whose rows are whole from the start, go through
 * the same layers (encode.c).
 *
 * T tokens of this pass, T' those whose logits are wanted, D width, H heads, K key/value heads, d and e the
 * sizes of a head of keys and of values, V vocabulary. Families differ in the description (model/config.h)
 * and in which weights are there; what is fused, quantised or paged is decided in the parts (blocks/), not
 * here.
 *
 * A call of any length is cut into batches; every value is computed in an order that does not depend on the
 * cut. */
#include "forward.h"

#include "blocks/blocks.h"
#include "blocks/tape.h"

/* x + attention(norm(x)), through delta. */
static void attention_half(tfm__pass *pass, uint32_t index) {
    const tfm__config *c = pass->config;
    const tfm__layer *layer = &pass->model->layers[index];
    tfm__scratch *s = pass->s;
    size_t tokens = pass->tokens;

    float *input = tfm__block_input(pass, &layer->attn_norm, s->normed);                /* [T, D] */
    if (c->order == TFM__ORDER_PARALLEL) tfm__keep_side(pass, &layer->ffn_norm, input); /* before x changes */
    input = tfm__show_input(pass, TFM_SITE_ATTENTION_NORM, index, input);
    tfm__keep(pass, index, TFM__KEEP_INPUT, input);

    const tfm__job qkv[3] = {{&layer->q, s->q}, {&layer->k, s->k}, {&layer->v, s->v}};
    const tfm__job fused = {&layer->qkv, s->fused};
    if (layer->kv_a.data) {
        tfm__project_low_rank(pass, index, input); /* the same through latents */
    } else if (layer->qkv.data) {
        tfm__linear(pass, input, tokens, &fused, 1);
        tfm__take_apart(pass);
    } else {
        tfm__linear(pass, input, tokens, qkv, 3); /* [T, H d], [T, K d], [T, K e] */
    }
    tfm__show_heads(pass, TFM_SITE_QUERY, index, s->q, c->heads, c->head_dim);
    tfm__show_heads(pass, TFM_SITE_KEY, index, s->k, c->kv_heads, c->head_dim);
    tfm__show_heads(pass, TFM_SITE_VALUE, index, s->v, c->kv_heads, c->value_dim);
    tfm__keep(pass, index, TFM__KEEP_PROJECTED, NULL);

    tfm__place_qkv(pass, index); /* rotate q and k; k, v into the pages */
    if (tfm__seen(pass, TFM_SITE_QUERY_ROTATED) || tfm__seen(pass, TFM_SITE_KEY_ROTATED))
        tfm__show_rotated(pass, index);
    tfm__keep(pass, index, TFM__KEEP_PLACED, NULL);
    tfm__attend(pass, index); /* [T, H e] */
    tfm__keep(pass, index, TFM__KEEP_ATTENDED, NULL);
    if (tfm__seen(pass, TFM_SITE_ATTENTION)) tfm__show_weights(pass, index);
    tfm__show_heads(pass, TFM_SITE_MIXED, index, s->mixed, c->heads, c->value_dim);

    const tfm__job out = {&layer->out, s->delta};
    tfm__linear(pass, s->mixed, tokens, &out, 1); /* [T, D] */
    tfm__show(pass, TFM_SITE_ATTENTION_OUT, index, s->delta, tokens, c->width);
    tfm__keep(pass, index, TFM__KEEP_ATTN_DELTA, NULL);

    tfm__add_to_stream(pass, &layer->attn_post_norm);
    tfm__show(pass, TFM_SITE_MIDDLE, index, s->stream, tokens, c->width);
}

/* x + attention(norm(x)) to the encoder's states, through delta. */
static void cross_part(tfm__pass *pass, uint32_t index) {
    const tfm__layer *layer = &pass->model->layers[index];
    tfm__scratch *s = pass->s;
    size_t tokens = pass->tokens;

    const float *input = tfm__block_input(pass, &layer->cross_norm, s->normed); /* [T, D] */
    const tfm__job q = {&layer->cross_q, s->q};
    tfm__linear(pass, input, tokens, &q, 1); /* [T, H d] */
    tfm__keep_queries(pass, index);
    tfm__attend_cross(pass, index); /* [T, H e] */

    const tfm__job out = {&layer->cross_out, s->delta};
    tfm__linear(pass, s->mixed, tokens, &out, 1); /* [T, D] */
    tfm__add_to_stream(pass, &layer->cross_post_norm);
}

/* x + feed_forward(norm(x)), through delta. */
static void feed_forward_half(tfm__pass *pass, uint32_t index) {
    const tfm__config *c = pass->config;
    const tfm__layer *layer = &pass->model->layers[index];
    tfm__scratch *s = pass->s;
    size_t tokens = pass->tokens;

    float *input = c->order == TFM__ORDER_PARALLEL
                       ? s->side
                       : tfm__block_input(pass, &layer->ffn_norm, s->normed); /* [T, D] */
    input = tfm__show_input(pass, TFM_SITE_FEED_NORM, index, input);
    tfm__keep(pass, index, TFM__KEEP_FEED_INPUT, input);

    if (layer->router.data) {
        tfm__mix_experts(pass, index, input); /* [T, D] */
    } else {
        const tfm__job wide[2] = {{&layer->up, s->up}, {&layer->gate, s->gate}};
        tfm__linear(pass, input, tokens, wide, layer->gate.data ? 2 : 1); /* [T, F] each */
        tfm__keep(pass, index, TFM__KEEP_WIDE, NULL);
        float *inner = tfm__activate(pass, layer); /* [T, F] */
        tfm__show(pass, TFM_SITE_INNER, index, inner, tokens, c->feed_forward);

        const tfm__job down = {&layer->down, s->delta};
        tfm__linear(pass, inner, tokens, &down, 1); /* [T, D] */
    }
    tfm__show(pass, TFM_SITE_FEED_OUT, index, s->delta, tokens, c->width);
    tfm__keep(pass, index, TFM__KEEP_FEED_DELTA, NULL);

    tfm__add_to_stream(pass, &layer->ffn_post_norm);
    tfm__show(pass, TFM_SITE_STREAM, index, s->stream, tokens, c->width);
    if (tfm__seen(pass, TFM_SITE_LAYER_LOGITS)) tfm__show_guess(pass, index);
}

void tfm__forward_layer(tfm__pass *pass, uint32_t layer) {
    attention_half(pass, layer);
    if (pass->model->layers[layer].cross_q.data) cross_part(pass, layer);
    feed_forward_half(pass, layer);
}

/* Logits of the last `wanted` tokens of the pass. */
static void predict(tfm__pass *pass, size_t wanted, float *logits) {
    const tfm__config *c = pass->config;
    const float *last = pass->s->stream + (pass->tokens - wanted) * c->width;

    if (pass->model->output_norm.weight)
        tfm__norm_rows(pass, &pass->model->output_norm, last, pass->s->normed, wanted); /* [T', D] */
    else /* the last layer ends with a norm */
        memcpy(pass->s->normed, last, wanted * c->width * sizeof *last);
    tfm__show(pass, TFM_SITE_OUTPUT_NORM, c->layers, pass->s->normed, wanted, c->width);

    const tfm__job out = {&pass->model->output, logits};
    tfm__linear(pass, pass->s->normed, wanted, &out, 1); /* [T', V] */
    tfm__settle_logits(pass, logits, wanted);
    tfm__show(pass, TFM_SITE_LOGITS, c->layers, logits, wanted, c->vocab);
}

/* One batch, from ids to logits of its last `wanted` tokens. watch is looked at between layers. */
static int32_t forward_batch(tfm__pass *pass, size_t wanted, float *logits, tfm__watch *watch, uint64_t done,
                             uint64_t total, tfm_error *error) {
    tfm__embed(pass); /* [T, D] */
    tfm__show(pass, TFM_SITE_EMBEDDING, 0, pass->s->stream, pass->tokens, pass->config->width);
    tfm__prepare_positions(pass);
    for (uint32_t layer = 0; layer < pass->config->layers; layer++) {
        uint64_t part = pass->tokens * layer / pass->config->layers;
        int32_t status = tfm__watch_poll(watch, done + part, total, error);
        if (status) return status;
        status = tfm__inspected(pass, error);
        if (status) return status;
        tfm__forward_layer(pass, layer);
    }
    if (wanted) predict(pass, wanted, logits);
    return tfm__inspected(pass, error);
}

int32_t tfm__forward_cross(tfm_session *session, const float *states, size_t count, tfm_error *error) {
    tfm_model *model = session->model;
    int32_t status = tfm__session_cross(session, count, error);
    if (!status) status = tfm__session_reserve(session, 0, TFM__MIN(count, session->batch), 0, error);
    for (size_t done = 0; done < count && !status;) {
        tfm__pass pass = {.session = session,
                          .model = model,
                          .config = &model->config,
                          .kernels = &model->kernels,
                          .s = &session->scratch,
                          .pool = model->pool,
                          .tokens = TFM__MIN(count - done, session->batch),
                          .position = done};
        for (uint32_t i = 0; i < model->config.layers; i++) {
            const tfm__job kv[2] = {{&model->layers[i].cross_k, session->scratch.k},
                                    {&model->layers[i].cross_v, session->scratch.v}};
            tfm__linear(&pass, states + done * model->config.width, pass.tokens, kv,
                        2); /* [T, K d], [T, K e] */
            tfm__keep_cross(&pass, i);
        }
        done += pass.tokens;
    }
    return status;
}

/* Batch after batch. */
static int32_t forward_all(tfm_session *session, const tfm_token *tokens, size_t count, int32_t logits,
                           tfm__watch *watch, tfm_error *error) {
    tfm_model *model = session->model;
    size_t start = session->position, vocab = model->config.vocab;
    size_t wanted = logits == TFM_LOGITS_ALL ? count : logits == TFM_LOGITS_LAST ? 1 : 0;
    session->logits_count = 0;
    int32_t status = tfm__session_reserve(session, count, TFM__MIN(count, session->batch), wanted, error);
    if (status) return status;
    memmove(session->tokens + start, tokens,
            count * sizeof *tokens); /* perhaps the session's own, read again */

    for (size_t done = 0, ready = 0; done < count;) {
        tfm__pass pass = {.session = session,
                          .model = model,
                          .config = &model->config,
                          .kernels = &model->kernels,
                          .s = &session->scratch,
                          .pool = model->pool,
                          .ids = session->tokens + start + done,
                          .tokens = TFM__MIN(count - done, session->batch),
                          .position = start + done,
                          .adapted = session->adapted.count > 0};
        bool last = done + pass.tokens == count;
        session->inspection.left = count - done - pass.tokens;
        size_t now = wanted == count ? pass.tokens : last ? wanted : 0;
        status = forward_batch(&pass, now, session->logits + ready * vocab, watch, done, count, error);
        if (status) return status;
        done += pass.tokens;
        ready += now;
    }
    session->position = start + count;
    session->logits_count = wanted;
    (void)tfm__watch_poll(watch, count, count, NULL); /* says that it is done; too late to stop */
    return TFM_OK;
}

int32_t tfm__forward(tfm_session *session, const tfm_token *tokens, size_t count, int32_t logits,
                     tfm__watch *watch, tfm_error *error) {
    if (session->inspection.inside)
        return tfm__fail(error, TFM_E_STATE, "an inspector cannot run the session that it looks into");
    session->inspection.status = TFM_OK;
    int32_t status = forward_all(session, tokens, count, logits, watch, error);
    tfm__inspectors_sweep(session);
    return status;
}

int32_t tfm__forward_prompt(tfm_session *session, const tfm_token *ids, size_t count, tfm__watch *watch,
                            tfm_error *error) {
    if (count > 0) return tfm__forward(session, ids, count, TFM_LOGITS_LAST, watch, error);
    if (session->logits_count > 0) return TFM_OK;
    if (session->position == 0)
        return tfm__fail(error, TFM_E_STATE,
                         "there is nothing to start from: no prompt, and the session is empty");
    session->position--; /* rewound: the last token is read again */
    int32_t status =
        tfm__forward(session, session->tokens + session->position, 1, TFM_LOGITS_LAST, watch, error);
    if (status) session->position++;
    return status;
}
