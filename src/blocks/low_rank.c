/* low_rank.c - queries, keys and values through latents (multi-head latent attention, DeepSeek-AI 2024).
 *
 *     q = Wqb norm(Wqa h), or Wq h                     [T, H (n + r)]
 *     latent, shared = Wkva h                          [T, L], [T, r]
 *     k', v = Wkvb norm(latent)                        [T, H n], [T, H e]
 *
 * H heads, each with n numbers that are not rotated and r that are; the rotated part of the keys is the same
 * for all heads. In the files a head's rotated part of the query comes last; here it comes first, in queries
 * and keys alike, as everywhere else, which changes no product of the two. The cache holds whole keys and
 * values of every head. */
#include "blocks/blocks.h"

#define LATENT_EPSILON                                                                                       \
    1e-6f /* the norms of the latents have their own, whatever the file says of the others */

typedef struct low_rank {
    const float *norm;
    size_t size, stride; /* of a latent; from one row to the next */
} low_rank;

static void norm_latents(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const low_rank *job = arg;
    for (size_t t = first; t < first + count; t++)
        pass->kernels->rms_norm(pass->s->latent_normed + t * job->size, pass->s->latent + t * job->stride,
                                job->norm, job->size, LATENT_EPSILON);
}

static void place_queries(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__config *c = pass->config;
    size_t rotated = c->rotary_dim, plain = c->head_dim - rotated;
    (void)arg;
    for (size_t i = first * c->heads; i < (first + count) * c->heads; i++) { /* a head of a token */
        const float *from = pass->s->fused + i * c->head_dim;
        float *to = pass->s->q + i * c->head_dim;
        memcpy(to, from + plain, rotated * sizeof *to);
        memcpy(to + rotated, from, plain * sizeof *to);
    }
}

static void place_keys(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__config *c = pass->config;
    size_t rotated = c->rotary_dim, plain = c->head_dim - rotated;
    (void)arg;
    for (size_t t = first; t < first + count; t++) {
        const float *shared = pass->s->latent + t * (c->latent_kv + rotated) + c->latent_kv;
        for (size_t h = 0; h < c->heads; h++) {
            const float *from = pass->s->fused + (t * c->heads + h) * (plain + c->value_dim);
            float *k = pass->s->k + (t * c->heads + h) * c->head_dim;
            memcpy(k, shared, rotated * sizeof *k);
            memcpy(k + rotated, from, plain * sizeof *k);
            memcpy(pass->s->v + (t * c->heads + h) * c->value_dim, from + plain, c->value_dim * sizeof *from);
        }
    }
}

void tfm__project_low_rank(tfm__pass *pass, uint32_t index, const float *input) {
    const tfm__config *c = pass->config;
    const tfm__layer *layer = &pass->model->layers[index];
    tfm__scratch *s = pass->s;
    const tfm__job q_a = {&layer->q_a, s->latent}, q_b = {&layer->q_b, s->fused}, q = {&layer->q, s->fused};
    const tfm__job kv_a = {&layer->kv_a, s->latent}, kv_b = {&layer->kv_b, s->fused};
    low_rank queries = {layer->q_a_norm.weight, c->latent_q, c->latent_q};
    low_rank keys = {layer->kv_a_norm.weight, c->latent_kv, c->latent_kv + c->rotary_dim};
    if (layer->q_a.data) {
        tfm__linear(pass, input, pass->tokens, &q_a, 1); /* [T, latent_q] */
        tfm__over_rows(pass, pass->tokens, norm_latents, &queries);
        tfm__linear(pass, s->latent_normed, pass->tokens, &q_b, 1); /* [T, H (n + r)] */
    } else {
        tfm__linear(pass, input, pass->tokens, &q, 1);
    }
    tfm__over_rows(pass, pass->tokens, place_queries, NULL);

    tfm__linear(pass, input, pass->tokens, &kv_a, 1); /* [T, latent_kv + r] */
    tfm__over_rows(pass, pass->tokens, norm_latents, &keys);
    tfm__linear(pass, s->latent_normed, pass->tokens, &kv_b, 1); /* [T, H (n + e)] */
    tfm__over_rows(pass, pass->tokens, place_keys, NULL);
}
