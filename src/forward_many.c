/* forward_many.c - the story of a pass that many sessions share: each reads tokens of its own, prompts and
 * single tokens in any mix, and every weight is read once for all of them.
 *
 *     the next tokens of each session, one session behind the other      [T]
 *     x = embed(tokens)                                                   [T, D]
 *     for each layer: as forward.c tells it; in attention a session's tokens see that session's past alone
 *     logits = Wout norm(x) of the tokens that somebody wants them for    [T', V]
 *
 * A row is computed in an order that does not depend on the other rows, so a session gets the bits that it
 * would get alone. A session that is being looked into runs by itself: inspectors see one session's values;
 * so does one whose adapters change experts or the output, whose rows are not those of the pass. */
#include "blocks/blocks.h"
#include "forward.h"

#define MANY_TOKENS 512 /* of all sessions together in a pass */
#define MANY_LOGITS                                                                                          \
    64 /* rows of logits computed at once: enough to read the output matrix once for all of them */

typedef struct many {
    tfm_model *model;
    const tfm_forward_part *parts;
    size_t count;
    tfm__crowd *crowd;
    size_t part, taken; /* the next token to read: of this part, this one */
    uint64_t done, total;
    tfm__watch *watch;
    tfm_error *error;
} many;

static size_t wanted_of(const tfm_forward_part *part) {
    return part->logits == TFM_LOGITS_ALL ? part->count : part->logits == TFM_LOGITS_LAST ? 1 : 0;
}

static bool runs_alone(const tfm_forward_part *part) { return part->session->inspection.alone; }

/* The next tokens of the sessions, as many as a pass takes; wanted: rows for which there will be logits. */
static void gather(many *m, tfm__pass *pass, size_t *wanted) {
    tfm__crowd *crowd = m->crowd;
    *wanted = 0;
    for (; m->part < m->count && pass->tokens < crowd->tokens; m->part++, m->taken = 0) {
        const tfm_forward_part *part = &m->parts[m->part];
        if (runs_alone(part)) continue;
        size_t now = TFM__MIN(part->count - m->taken, crowd->tokens - pass->tokens), first = pass->tokens;
        size_t silent = part->count - wanted_of(part); /* tokens in front of those with logits */
        crowd->stretches[pass->stretch_count] = (tfm__stretch){.first = first,
                                                               .tokens = now,
                                                               .position = part->session->position + m->taken,
                                                               .session = part->session};
        for (size_t i = 0; i < now; i++) {
            crowd->ids[first + i] = part->tokens[m->taken + i];
            crowd->stretch_index[first + i] = (uint32_t)pass->stretch_count;
            if (m->taken + i >= silent) crowd->wanted[(*wanted)++] = (uint32_t)(first + i);
        }
        pass->adapted = pass->adapted || part->session->adapted.count > 0;
        pass->stretch_count++;
        pass->tokens += now;
        if ((m->taken += now) < part->count) return; /* the pass is full */
    }
}

/* Logits of the wanted rows, to their sessions. */
static void predict(const many *m, tfm__pass *pass, size_t wanted) {
    const tfm__config *c = pass->config;
    float *normed = pass->s->normed, *logits = m->crowd->work->logits;
    for (size_t done = 0; done < wanted;) {
        size_t now = TFM__MIN(wanted - done, MANY_LOGITS);
        for (size_t i = 0; i < now; i++) {
            const float *row = pass->s->stream + m->crowd->wanted[done + i] * c->width;
            if (pass->model->output_norm.weight)
                tfm__norm_row(pass, &pass->model->output_norm, row, normed + i * c->width);
            else /* the last layer ends with a norm */
                memcpy(normed + i * c->width, row, c->width * sizeof *row);
        }
        const tfm__job out = {&pass->model->output, logits};
        tfm__linear(pass, normed, now, &out, 1); /* [T', V] */
        tfm__settle_logits(pass, logits, now);
        for (size_t i = 0; i < now; i++) {
            tfm_session *session = tfm__stretch_of(pass, m->crowd->wanted[done + i]).session;
            memcpy(session->logits + session->logits_count++ * c->vocab, logits + i * c->vocab,
                   c->vocab * sizeof *logits);
        }
        done += now;
    }
}

static int32_t one_pass(many *m) {
    tfm__crowd *crowd = m->crowd;
    tfm__pass pass = {.session = crowd->work,
                      .model = m->model,
                      .config = &m->model->config,
                      .kernels = &m->model->kernels,
                      .s = &crowd->work->scratch,
                      .pool = m->model->pool,
                      .ids = crowd->ids,
                      .stretches = crowd->stretches,
                      .stretch_index = crowd->stretch_index};
    size_t wanted;
    gather(m, &pass, &wanted);

    tfm__embed(&pass); /* [T, D] */
    tfm__prepare_positions(&pass);
    for (uint32_t layer = 0; layer < pass.config->layers; layer++) {
        uint64_t part = pass.tokens * layer / pass.config->layers;
        int32_t status = tfm__watch_poll(m->watch, m->done + part, m->total, m->error);
        if (status) return status;
        tfm__forward_layer(&pass, layer);
    }
    predict(m, &pass, wanted);
    m->done += pass.tokens;
    return TFM_OK;
}

/* Room for everything, before the first number is computed. */
static int32_t prepare(many *m, uint64_t *together) {
    size_t reach = 0, logits = 0;
    *together = 0;
    for (size_t i = 0; i < m->count; i++) {
        const tfm_forward_part *part = &m->parts[i];
        m->total += part->count;
        part->session->logits_count = 0;
        part->session->inspection.alone =
            part->session->inspection.first != NULL || part->session->adapted.alone;
        if (runs_alone(part)) continue;
        int32_t status = tfm__session_reserve_past(part->session, part->count, wanted_of(part), m->error);
        if (status) return status;
        reach = TFM__MAX(reach, tfm__session_reach(part->session, part->count));
        logits = TFM__MIN(logits + wanted_of(part), MANY_LOGITS);
        *together += part->count;
    }
    for (size_t i = 0; i < m->count; i++) /* they lie behind the past, as yet without belonging to it */
        if (!runs_alone(&m->parts[i]))
            memcpy(m->parts[i].session->tokens + m->parts[i].session->position, m->parts[i].tokens,
                   m->parts[i].count * sizeof *m->parts[i].tokens);
    if (*together == 0) return TFM_OK;
    return tfm__crowd_take(m->model, TFM__MIN(*together, MANY_TOKENS), reach, logits, &m->crowd, m->error);
}

/* *moved: parts in front of this one that run by themselves have done so. */
static int32_t run_all(many *m, size_t *moved) {
    uint64_t together;
    int32_t status = prepare(m, &together);
    if (status) return status;
    for (; *moved < m->count; ++*moved) {
        const tfm_forward_part *part = &m->parts[*moved];
        if (!runs_alone(part)) continue;
        tfm__watch quiet = {.cancel = m->watch ? m->watch->cancel : NULL};
        status = tfm__forward(part->session, part->tokens, part->count, part->logits, &quiet, m->error);
        if (status) return status;
        m->done += part->count;
    }
    while (m->done < m->total && !status) status = one_pass(m);
    return status;
}

int32_t tfm__forward_many(tfm_model *model, const tfm_forward_part *parts, size_t count, tfm__watch *watch,
                          tfm_error *error) {
    many m = {.model = model, .parts = parts, .count = count, .watch = watch, .error = error};
    size_t moved = 0;
    for (size_t i = 0; i < count; i++)
        if (parts[i].session->inspection.inside)
            return tfm__fail(error, TFM_E_STATE, "an inspector cannot run the session that it looks into");
    int32_t status = run_all(&m, &moved);
    if (m.crowd) tfm__crowd_give(model, m.crowd);
    for (size_t i = 0; i < count; i++) {
        tfm_session *session = parts[i].session;
        if (!status && !runs_alone(&parts[i])) {
            session->position += parts[i].count;
        } else if (status) {
            if (runs_alone(&parts[i]) && i < moved)
                session->position -= parts[i].count; /* as if it had not */
            session->logits_count = 0;
        }
    }
    if (!status)
        (void)tfm__watch_poll(watch, m.total, m.total, NULL); /* says that it is done; too late to stop */
    return status;
}
