/* feed_forward.c - the nonlinearity between the two products of the feed-forward part: plain, or gated as in
 * GLU variants (Shazeer 2020). */
#include "blocks/blocks.h"

static void activate_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const tfm__layer *layer = arg;
    const tfm__config *c = pass->config;
    size_t from = first * c->feed_forward, n = count * c->feed_forward;
    float *gate = pass->s->gate + from, *up = pass->s->up + from;
    if (c->family->squared) /* activation(up) * up */
        pass->kernels->activate_gated[c->activation](gate, up, up, n);
    else if (layer->gate.data)
        pass->kernels->activate_gated[c->activation](gate, gate, up, n);
    else
        pass->kernels->activate[c->activation](gate, up, n);
}

float *tfm__activate(tfm__pass *pass, const tfm__layer *layer) {
    tfm__over_rows(pass, pass->tokens, activate_rows, (void *)layer);
    return pass->s->gate;
}
