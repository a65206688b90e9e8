/* experts.c - a feed-forward that is a mixture of experts (Shazeer et al. 2017; Fedus et al. 2021): a router
 * chooses a few experts for each token, and their results are added by their shares.
 *
 * Tokens are grouped by expert, so that each chosen expert's weights are read once for all of its tokens, and
 * the others not at all. Every (token, place) result is kept apart and a token's are added in the order of
 * its choice, so a token's bits do not depend on its company. Groups of experts: DeepSeek-V2 and V3's
 * technical reports. */
#include <math.h>

#include "base/elementary.h"
#include "blocks/tape.h"

/* ---- Choosing ---- */

/* Marks the best n of count scores as chosen, the first of equals; what is -infinity is never chosen. */
static void choose_best(const float *score, uint32_t count, uint32_t n, uint32_t *out) {
    for (uint32_t place = 0; place < n; place++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t i = 0; i < count; i++) {
            bool taken = false;
            for (uint32_t k = 0; k < place; k++) taken = taken || out[k] == i;
            if (!taken && (best == UINT32_MAX || score[i] > score[best])) best = i;
        }
        out[place] = best;
    }
}

/* What a group counts: its best score, or the sum of its two best. */
static float group_score(const tfm__experts *x, const float *score, uint32_t group) {
    uint32_t size = x->count / x->groups;
    float best = -INFINITY, second = -INFINITY;
    for (uint32_t i = group * size; i < (group + 1) * size; i++) {
        if (score[i] > best) {
            second = best;
            best = score[i];
        } else if (score[i] > second) {
            second = score[i];
        }
    }
    return x->group_by_two && size > 1 ? best + second : best;
}

/* Leaves only the experts of the best groups to choose from. */
static void keep_groups(const tfm__experts *x, float *score, float *group, uint32_t *kept) {
    uint32_t size = x->count / x->groups;
    if (x->groups <= 1 || x->top_groups >= x->groups) return;
    for (uint32_t g = 0; g < x->groups; g++) group[g] = group_score(x, score, g);
    choose_best(group, x->groups, x->top_groups, kept);
    for (uint32_t g = 0; g < x->groups; g++) {
        bool stays = false;
        for (uint32_t k = 0; k < x->top_groups; k++) stays = stays || kept[k] == g;
        for (uint32_t i = g * size; i < (g + 1) * size && !stays; i++) score[i] = -INFINITY;
    }
}

/* Logits to probabilities, in place. */
static void soft_max(const tfm__pass *pass, float *x, size_t n) {
    float top;
    pass->kernels->argmax(x, n, &top);
    pass->kernels->exp_scaled(x, x, n, top, 1.0f / pass->kernels->exp_sum(x, n, top));
}

/* One token: the experts that it goes to, best first, and their shares. */
static void choose(const tfm__pass *pass, const tfm__layer *layer, float *score, float *spare,
                   uint32_t *chosen, float *share) {
    const tfm__experts *x = &pass->config->experts;
    float *for_choice = spare, sum = 0.0f;
    if (x->route == TFM__ROUTE_SOFTMAX) soft_max(pass, score, x->count);
    if (x->route == TFM__ROUTE_SIGMOID)
        for (uint32_t e = 0; e < x->count; e++) score[e] = 1.0f / (1.0f + tfm__exp(-score[e]));
    for (uint32_t e = 0; e < x->count; e++)
        for_choice[e] = layer->correction ? score[e] + layer->correction[e] : score[e];
    keep_groups(x, for_choice, spare + x->count, chosen); /* chosen has room for the groups: bind checks */
    choose_best(for_choice, x->count, x->used, chosen);
    for (uint32_t k = 0; k < x->used; k++) share[k] = score[chosen[k]];
    if (x->route == TFM__ROUTE_CHOSEN) soft_max(pass, share, x->used);
    for (uint32_t k = 0; k < x->used; k++) sum += share[k];
    for (uint32_t k = 0; k < x->used; k++) {
        if (x->normalised) share[k] /= sum;
        share[k] *= x->scale;
    }
}

/* ---- Running ---- */

/* gpt-oss: gate and up, apart or in turn, into gate. */
static void activate_limited(const tfm__pass *pass, size_t n) {
    const tfm__experts *x = &pass->config->experts;
    float *out = pass->s->gate;
    for (size_t i = 0; i < n; i++) {
        float gate = x->paired ? pass->s->up[2 * i] : out[i], up = pass->s->up[x->paired ? 2 * i + 1 : i];
        gate = gate > x->limit ? x->limit : gate;
        up = up > x->limit ? x->limit : up < -x->limit ? -x->limit : up;
        out[i] = (up + 1.0f) * (gate / (1.0f + tfm__exp(-x->slope * gate)));
    }
}

/* activation(gate) * up of n rows, in the scratch. */
static void activate(const tfm__pass *pass, size_t n) {
    if (pass->config->experts.limit > 0.0f) {
        activate_limited(pass, n);
        return;
    }
    pass->kernels->activate_gated[pass->config->activation](pass->s->gate, pass->s->gate, pass->s->up, n);
}

/* number: of the expert, for who watches them; -1: the shared one. */
static void feed_forward(tfm__pass *pass, const tfm__expert *expert, uint32_t layer, int64_t number,
                         const float *x, size_t rows, float *y) {
    const tfm__expert_watch *watch = &pass->session->expert_watch;
    tfm__scratch *s = pass->s;
    const tfm__job wide[2] = {{&expert->up, s->up}, {&expert->gate, s->gate}};
    const tfm__job down = {&expert->down, y};
    size_t inner = expert->down.columns;
    tfm__linear(pass, x, rows, wide, expert->gate.data ? 2 : 1);
    activate(pass, rows * inner);
    if (TFM__UNLIKELY(watch->see != NULL))
        watch->see(watch->user, layer, number, x, s->gate, rows, expert->up.columns, inner);
    tfm__linear(pass, s->gate, rows, &down, 1);
}

/* All tokens of one expert: gathered, run, and put where their places are. */
static void run_expert(tfm__pass *pass, uint32_t index, uint32_t expert, const float *input) {
    const tfm__layer *layer = &pass->model->layers[index];
    const tfm__config *c = pass->config;
    tfm__scratch *s = pass->s;
    size_t slots = pass->tokens * c->experts.used, n = 0;
    for (size_t slot = 0; slot < slots; slot++) {
        if (s->chosen[slot] != expert) continue;
        memcpy(s->gathered + n++ * c->width, input + slot / c->experts.used * c->width,
               c->width * sizeof(float));
    }
    if (n == 0) return;
    feed_forward(pass, &layer->experts[expert], index, expert, s->gathered, n, s->expert_rows);
    for (size_t slot = 0, i = 0; slot < slots; slot++)
        if (s->chosen[slot] == expert)
            memcpy(s->expert_out + slot * c->width, s->expert_rows + i++ * c->width,
                   c->width * sizeof(float));
}

static void add_shares(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__config *c = pass->config;
    const tfm__scratch *s = pass->s;
    uint32_t used = c->experts.used;
    (void)arg;
    for (size_t t = first; t < first + count; t++) {
        float *delta = s->delta + t * c->width;
        pass->kernels->scale(delta, s->expert_out + t * used * c->width, s->share[t * used], c->width);
        for (uint32_t k = 1; k < used; k++)
            pass->kernels->multiply_add(delta, s->expert_out + (t * used + k) * c->width,
                                        s->share[t * used + k], c->width);
    }
}

/* The expert that every token goes through is added to what the others gave. */
static void add_shared(tfm__pass *pass, uint32_t index, const float *input) {
    const tfm__layer *layer = &pass->model->layers[index];
    const tfm__config *c = pass->config;
    tfm__scratch *s = pass->s;
    const tfm__job gate = {&layer->shared_switch, s->router};
    if (!layer->shared.up.data) return;
    feed_forward(pass, &layer->shared, index, -1, input, pass->tokens, s->expert_rows);
    if (layer->shared_switch.data) tfm__linear(pass, input, pass->tokens, &gate, 1);
    for (size_t t = 0; t < pass->tokens; t++) {
        float share = layer->shared_switch.data ? 1.0f / (1.0f + tfm__exp(-s->router[t])) : 1.0f;
        pass->kernels->multiply_add(s->delta + t * c->width, s->expert_rows + t * c->width, share, c->width);
    }
}

/* Inspectors may choose others: what they leave has to be an expert. */
static void show_choice(tfm__pass *pass, uint32_t index) {
    const tfm__experts *x = &pass->config->experts;
    tfm__scratch *s = pass->s;
    const tfm__sight sight = {TFM_SITE_EXPERTS, index, 0, pass->tokens, x->used, s->share, 0, s->chosen};
    tfm__show_sight(pass, &sight, TFM_INSPECT_ALL);
    for (size_t i = 0; i < pass->tokens * x->used; i++) {
        if (s->chosen[i] < x->count) continue;
        tfm__inspect_fail(pass, TFM_E_ARGUMENT, "an inspector chose an expert that is not there");
        s->chosen[i] = 0;
    }
}

void tfm__mix_experts(tfm__pass *pass, uint32_t index, const float *input) {
    const tfm__layer *layer = &pass->model->layers[index];
    const tfm__config *c = pass->config;
    tfm__scratch *s = pass->s;
    const tfm__job router = {&layer->router, s->router};
    tfm__linear(pass, input, pass->tokens, &router, 1); /* [T, experts] */
    tfm__show(pass, TFM_SITE_ROUTER, index, s->router, pass->tokens, c->experts.count);
    for (size_t t = 0; t < pass->tokens; t++)
        choose(pass, layer, s->router + t * c->experts.count, s->route_spare, s->chosen + t * c->experts.used,
               s->share + t * c->experts.used);
    if (tfm__seen(pass, TFM_SITE_EXPERTS)) show_choice(pass, index);
    tfm__keep(pass, index, TFM__KEEP_ROUTED, NULL);
    for (uint32_t e = 0; e < c->experts.count; e++) run_expert(pass, index, e, input);
    tfm__over_rows(pass, pass->tokens, add_shares, NULL);
    add_shared(pass, index, input);
}
