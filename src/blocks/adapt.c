/* adapt.c - what adapters add to a product: y += scale B (A x), through two narrow products of the same
 * kernels. Called by linear.c where a session of the pass has adapters.
 *
 * Sessions that share a pass have their own rows of it (forward_many.c), each with its own adapters. A row's
 * bits do not depend on the others. */
#include "blocks/blocks.h"

typedef struct adding {
    float *y;
    const float *delta;
    size_t columns;
    float scale;
} adding;

static void add_rows(tfm__pass *pass, void *arg, size_t first, size_t count) {
    const adding *a = arg;
    pass->kernels->multiply_add(a->y + first * a->columns, a->delta + first * a->columns, a->scale,
                                count * a->columns);
}

/* One adapter's part in one product, over rows of one session. */
static void add_patch(tfm__pass *pass, const tfm__adapted *session, const tfm__patch *patch, float scale,
                      const float *x, size_t rows, float *y) {
    for (size_t done = 0; done < rows;) {
        size_t now = TFM__MIN(rows - done, TFM__ADAPT_ROWS);
        const tfm__job down = {&patch->down, session->down}, up = {&patch->up, session->up};
        tfm__linear_plain(pass, x + done * patch->down.columns, now, &down, 1); /* [T, rank] */
        tfm__linear_plain(pass, session->down, now, &up, 1);                    /* [T, rows] */
        adding add = {y + done * patch->up.rows, session->up, patch->up.rows, scale};
        tfm__over_rows(pass, now, add_rows, &add);
        done += now;
    }
}

void tfm__adapt(tfm__pass *pass, const float *x, size_t rows, const tfm__job *jobs, size_t job_count) {
    for (size_t i = 0; i < tfm__stretches(pass); i++) {
        tfm__stretch stretch = tfm__stretch_at(pass, i);
        const tfm__adapted *session = &tfm__session_of(pass, &stretch)->adapted;
        size_t first = pass->stretches ? stretch.first : 0, count = pass->stretches ? stretch.tokens : rows;
        for (size_t u = 0; u < session->count; u++)
            for (size_t j = 0; j < job_count; j++) {
                const tfm__patch *patch = tfm__adapter_patch(session->uses[u].adapter, jobs[j].view);
                float scale = patch ? patch->scale * session->uses[u].scale : 0.0f;
                if (scale == 0.0f) continue;
                add_patch(pass, session, patch, scale, x + first * jobs[j].view->columns, count,
                          jobs[j].y + first * jobs[j].view->rows);
            }
    }
}
