/* test_inspect.c - looking into a pass: what is shown agrees with itself and with the result, reading changes
 * nothing, writing does what it says, and wrong requests are refused. Golden values of the sites are in
 * test_golden.c and test_models.c. */
#include <math.h>

#include "base/base.h"
#include "model/state.h"
#include "tiny_model.h"

#define V TINY_VOCAB
#define T 20
#define MOST (256 * 300)

/* Values of one site, all rows of all calls one behind the other. */
typedef struct seen {
    float values[MOST];
    int32_t experts[256];
    size_t count, calls, rows, columns, position;
    int32_t stop_at; /* the call that stops the pass, from 1; 0: none */
    float scale;     /* 1: leaves values alone */
    float add;
} seen;

static int32_t keep(void *user, const tfm_inspect_event *event) {
    seen *s = user;
    assert_int_equal(event->struct_size, sizeof *event);
    assert_true(event->stride >= event->columns);
    if (!s->calls) s->position = event->position;
    s->calls++;
    s->rows += event->rows;
    s->columns = event->columns;
    for (size_t r = 0; r < event->rows; r++) {
        assert_true(s->count + event->columns <= MOST);
        memcpy(s->values + s->count, event->values + r * event->stride, event->columns * sizeof(float));
        if (event->experts && s->count + event->columns <= TFM__COUNT(s->experts))
            memcpy(s->experts + s->count, event->experts + r * event->columns,
                   event->columns * sizeof(int32_t));
        s->count += event->columns;
    }
    return s->stop_at && (size_t)s->stop_at == s->calls;
}

static int32_t change(void *user, const tfm_inspect_event *event) {
    const seen *s = user;
    for (size_t r = 0; r < event->rows; r++)
        for (size_t c = 0; c < event->columns; c++) {
            float *x = event->values + r * event->stride + c;
            *x = s->scale == 0.0f ? s->add : *x * s->scale + s->add;
        }
    return 0;
}

static seen *new_seen(void) {
    seen *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->scale = 1.0f;
    return s;
}

static tfm_inspector *look(tfm_session *session, int32_t site, int32_t layer, int32_t head, int write,
                           tfm_inspect_fn fn, void *user) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_inspect_options options = TFM_INSPECT_OPTIONS_INIT;
    tfm_inspector *inspector = NULL;
    options.site = site;
    options.layer = layer;
    options.head = head;
    options.write = write;
    if (tfm_inspect(session, &options, fn, user, &inspector, &error)) fail_msg("%s", error.message);
    assert_non_null(inspector);
    return inspector;
}

static const float *logits_of(tfm_session *session) {
    const float *logits = NULL;
    assert_int_equal(tfm_logits(session, tfm_logits_count(session) - 1, &logits, NULL, NULL), TFM_OK);
    return logits;
}

static tfm_session *session_of(const tiny *t, uint32_t batch) {
    tfm_session_options options = TFM_SESSION_OPTIONS_INIT;
    tfm_session *session = NULL;
    options.batch = batch;
    assert_int_equal(tfm_session_create(t->model, &options, &session, NULL), TFM_OK);
    return session;
}

static const tiny_spec specs[] = {{.family = "llama"},
                                  {.family = "gemma3", .window = 5},
                                  {.family = "gpt2"},
                                  {.family = "llama", .type = TFM__F16},
                                  {.family = "llama", .experts = 4}};

/* ---- Reading ------------------------------------------------------------------------------------------- */

/* Every site at once, in odd batches and then token by token: not a bit of the logits changes. */
static void test_reading_changes_nothing(void **state) {
    (void)state;
    tfm_token ids[T];
    tiny_ids(ids, T, 1);
    for (size_t i = 0; i < TFM__COUNT(specs); i++) {
        tiny t = tiny_open(&specs[i], NULL);
        tfm_session *plain = session_of(&t, 0), *seen_by_all = session_of(&t, 7);
        tfm_inspect_options options = TFM_INSPECT_OPTIONS_INIT;
        seen *s = new_seen();
        for (options.site = 1; options.site < TFM_SITE_COUNT; options.site++)
            for (options.write = 0; options.write < 2; options.write++) {
                bool experts = options.site == TFM_SITE_ROUTER || options.site == TFM_SITE_EXPERTS;
                assert_int_equal(
                    tfm_inspect(seen_by_all, &options, options.write ? change : keep, s, NULL, NULL),
                    experts && !specs[i].experts ? TFM_E_ARGUMENT : TFM_OK);
            }
        for (size_t at = 0; at < T; at += at ? 1 : T - 4) {
            size_t n = at ? 1 : T - 4;
            tiny_feed(plain, ids + at, n);
            tiny_feed(seen_by_all, ids + at, n);
            assert_memory_equal(logits_of(plain), logits_of(seen_by_all), V * sizeof(float));
            s->count = 0;
        }
        assert_true(s->calls > 0);
        tfm_session_destroy(plain);
        tfm_session_destroy(seen_by_all);
        tiny_close(&t);
        free(s);
    }
}

/* Probabilities are 0 where nothing is seen and add up to 1; times the values they give what is mixed. */
static void weights_mix_values(int32_t cache, float tolerance) {
    tfm_token ids[T];
    tiny_ids(ids, T, 2);
    for (size_t i = 0; i < TFM__COUNT(specs); i++) {
        tiny t = tiny_open(&specs[i], NULL);
        const tfm__config *c = &t.model->config;
        uint32_t group = c->heads / c->kv_heads;
        for (int32_t layer = 0; layer < (int32_t)c->layers; layer++)
            for (int32_t head = 0; head < (int32_t)c->heads; head++) {
                tfm_session_options kept = TFM_SESSION_OPTIONS_INIT;
                tfm_session *session = NULL;
                kept.cache_type = cache;
                assert_int_equal(tfm_session_create(t.model, &kept, &session, NULL), TFM_OK);
                seen *w = new_seen(), *v = new_seen(), *m = new_seen();
                look(session, TFM_SITE_ATTENTION, layer, head, 0, keep, w);
                look(session, TFM_SITE_VALUE, layer, head / (int32_t)group, 0, keep, v);
                look(session, TFM_SITE_MIXED, layer, head, 0, keep, m);
                tiny_feed(session, ids, T);
                assert_int_equal(w->count, T * T);
                assert_int_equal(v->columns, c->value_dim);
                assert_int_equal(m->count, T * c->value_dim);
                uint32_t window = t.model->layers[layer].window;
                for (size_t q = 0; q < T; q++) {
                    double sum = 0;
                    for (size_t k = 0; k < T; k++) {
                        float p = w->values[q * T + k];
                        bool visible = k <= q && (!window || q - k < window);
                        if (!visible) assert_true(p == 0.0f);
                        sum += p;
                    }
                    assert_true(fabs(sum - 1) < 1e-6);
                    for (size_t d = 0; d < c->value_dim; d++) {
                        double x = 0;
                        for (size_t k = 0; k < T; k++)
                            x += (double)w->values[q * T + k] * v->values[k * c->value_dim + d];
                        assert_true(fabs(x - m->values[q * c->value_dim + d]) < tolerance);
                    }
                }
                free(w);
                free(v);
                free(m);
                tfm_session_destroy(session);
            }
        tiny_close(&t);
    }
}

static void test_weights_mix_values(void **state) {
    (void)state;
    weights_mix_values(TFM_CACHE_F32, 2e-6f);
    weights_mix_values(TFM_CACHE_F16, 2e-3f);
    weights_mix_values(TFM_CACHE_Q8_0, 0.02f);
    weights_mix_values(TFM_CACHE_Q4_0, 0.3f);
}

/* One token at a time, in batches of 7, or all at once: the same probabilities, position for position; more
 * of them than are made at once, over several pages. */
static void test_cuts(void **state) {
    (void)state;
    enum { LONG = 140 };
    tfm_token ids[LONG];
    tiny_ids(ids, LONG, 3);
    tiny t = tiny_open(&specs[1], NULL);
    seen *whole = new_seen(), *parts = new_seen();
    tfm_session *one = session_of(&t, 0), *many = session_of(&t, 7);
    look(one, TFM_SITE_ATTENTION, 1, 3, 0, keep, whole);
    look(many, TFM_SITE_ATTENTION, 1, 3, 0, keep, parts);
    tiny_feed(one, ids, LONG);
    assert_int_equal(whole->rows, LONG);
    assert_true(whole->calls > 1);
    tiny_feed(many, ids, LONG - 20);
    for (size_t i = LONG - 20; i < LONG; i++) tiny_feed(many, ids + i, 1);
    assert_int_equal(parts->rows, LONG);
    const float *from = parts->values;
    for (size_t q = 0; q < LONG; q++) {
        size_t columns = q < LONG - 20 ? TFM__MIN(q / 7 * 7 + 7, LONG - 20) : q + 1;
        assert_memory_equal(from, whole->values + q * LONG, columns * sizeof(float));
        from += columns;
    }
    assert_int_equal(from - parts->values, parts->count);
    tfm_session_destroy(one);
    tfm_session_destroy(many);
    tiny_close(&t);
    free(whole);
    free(parts);
}

/* The last layer's guess is the result; an earlier layer's is that of a model which ends there. */
static void test_layer_logits(void **state) {
    (void)state;
    tfm_token ids[T];
    tiny_ids(ids, T, 4);
    for (size_t i = 0; i < TFM__COUNT(specs); i++) {
        tiny t = tiny_open(&specs[i], NULL);
        tfm_session *session = session_of(&t, 0);
        seen *guess = new_seen(), *last = new_seen(), *final = new_seen();
        tfm_inspect_options options = TFM_INSPECT_OPTIONS_INIT;
        int32_t layers = (int32_t)t.model->config.layers;
        look(session, TFM_SITE_LAYER_LOGITS, layers - 1, TFM_INSPECT_ALL, 0, keep, guess);
        look(session, TFM_SITE_LOGITS, TFM_INSPECT_ALL, TFM_INSPECT_ALL, 0, keep, final);
        options.site = TFM_SITE_LAYER_LOGITS;
        options.last = 1;
        assert_int_equal(tfm_inspect(session, &options, keep, last, NULL, NULL), TFM_OK);
        tiny_feed(session, ids, T);
        assert_int_equal(guess->count, T * V);
        assert_int_equal(guess->position, 0);
        assert_memory_equal(guess->values + (T - 1) * V, logits_of(session), V * sizeof(float));
        assert_int_equal(last->calls, layers);
        assert_int_equal(last->position, T - 1);
        assert_memory_equal(last->values + (size_t)(layers - 1) * V, logits_of(session), V * sizeof(float));
        assert_memory_not_equal(last->values, logits_of(session), V * sizeof(float));
        assert_int_equal(final->position, T - 1);
        assert_memory_equal(final->values, logits_of(session), V * sizeof(float));
        tfm_session_destroy(session);
        tiny_close(&t);
        free(guess);
        free(last);
        free(final);
    }
}

/* ---- Writing ------------------------------------------------------------------------------------------- */

/* A head taken out by its probabilities or by its result: the same, and not what it was. */
static void test_ablation(void **state) {
    (void)state;
    tfm_token ids[T];
    tiny_ids(ids, T, 5);
    for (size_t i = 0; i < TFM__COUNT(specs); i++) {
        tiny t = tiny_open(&specs[i], NULL);
        tfm_session *plain = session_of(&t, 0), *by_weights = session_of(&t, 9),
                    *by_result = session_of(&t, 0);
        seen *zero = new_seen();
        zero->scale = 0.0f;
        look(by_weights, TFM_SITE_ATTENTION, 0, 1, 1, change, zero);
        look(by_result, TFM_SITE_MIXED, 0, 1, 1, change, zero);
        tiny_feed(plain, ids, T);
        tiny_feed(by_weights, ids, T);
        tiny_feed(by_result, ids, T);
        assert_memory_equal(logits_of(by_weights), logits_of(by_result), V * sizeof(float));
        assert_memory_not_equal(logits_of(by_weights), logits_of(plain), V * sizeof(float));
        tfm_session_destroy(plain);
        tfm_session_destroy(by_weights);
        tfm_session_destroy(by_result);
        tiny_close(&t);
        free(zero);
    }
}

/* Each site that the pass goes on from: a change reaches the result, and without it the result is back. */
static void test_every_site_can_be_written(void **state) {
    (void)state;
    tfm_token ids[T];
    tiny_ids(ids, T, 6);
    for (size_t i = 0; i < TFM__COUNT(specs); i++) {
        tiny t = tiny_open(&specs[i], NULL);
        tfm_session *session = session_of(&t, 0);
        float plain[V];
        seen *s = new_seen();
        s->scale = 1.5f;
        s->add = 0.25f;
        tiny_feed(session, ids, T);
        memcpy(plain, logits_of(session), sizeof plain);
        for (int32_t site = 1; site < TFM_SITE_COUNT; site++) {
            bool experts = site == TFM_SITE_ROUTER || site == TFM_SITE_EXPERTS;
            bool there = specs[i].experts ? site != TFM_SITE_INNER : !experts;
            if (!there) continue;
            tfm_inspector *inspector = look(session, site, TFM_INSPECT_ALL, TFM_INSPECT_ALL, 1, change, s);
            assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
            tiny_feed(session, ids, T);
            bool same = !memcmp(logits_of(session), plain, sizeof plain);
            if (same != (site == TFM_SITE_LAYER_LOGITS)) fail_msg("model %zu, site %d", i, (int)site);
            tfm_inspector_destroy(inspector);
            assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
            tiny_feed(session, ids, T);
            assert_memory_equal(logits_of(session), plain, sizeof plain);
        }
        tfm_session_destroy(session);
        tiny_close(&t);
        free(s);
    }
}

/* Queries of 0 look at everything alike; keys of 0 stay in the past and are looked at alike too. */
static void test_rotated(void **state) {
    (void)state;
    tfm_token ids[T];
    tiny_ids(ids, T, 7);
    for (int32_t site = TFM_SITE_QUERY_ROTATED; site <= TFM_SITE_KEY_ROTATED; site++) {
        tiny t = tiny_open(&specs[3], NULL); /* a cache in half precision */
        tfm_session *session = session_of(&t, 0);
        seen *zero = new_seen(), *w = new_seen();
        zero->scale = 0.0f;
        tfm_inspector *writer = look(session, site, 0, TFM_INSPECT_ALL, 1, change, zero);
        look(session, TFM_SITE_ATTENTION, 0, 2, 0, keep, w);
        tiny_feed(session, ids, T - 1);
        for (size_t q = 0; q < T - 1; q++)
            for (size_t k = 0; k <= q; k++)
                assert_true(fabsf(w->values[q * (T - 1) + k] - 1.0f / (float)(q + 1)) < 1e-6f);
        tfm_inspector_destroy(writer);
        w->count = 0;
        tiny_feed(session, ids + T - 1, 1);
        for (size_t k = 1; k < T - 1; k++)
            if (site == TFM_SITE_KEY_ROTATED) assert_true(w->values[k] == w->values[0]);
        assert_true(w->values[T - 1] != w->values[0]);
        tfm_session_destroy(session);
        tiny_close(&t);
        free(zero);
        free(w);
    }
}

/* Steering: what is added to the stream is there afterwards, for the last token alone if so wanted. */
static void test_steering(void **state) {
    (void)state;
    tfm_token ids[T];
    tiny_ids(ids, T, 8);
    tiny t = tiny_open(NULL, NULL);
    uint32_t width = t.model->config.width;
    tfm_session *session = session_of(&t, 8);
    seen *before = new_seen(), *after = new_seen(), *add = new_seen();
    tfm_inspect_options options = TFM_INSPECT_OPTIONS_INIT;
    add->add = 2.0f;
    look(session, TFM_SITE_STREAM, 0, TFM_INSPECT_ALL, 0, keep, before);
    options.site = TFM_SITE_STREAM;
    options.layer = 0;
    options.write = options.last = 1;
    assert_int_equal(tfm_inspect(session, &options, change, add, NULL, NULL), TFM_OK);
    look(session, TFM_SITE_STREAM, 0, TFM_INSPECT_ALL, 0, keep, after);
    tiny_feed(session, ids, T);
    assert_int_equal(before->calls, 3); /* batches */
    assert_int_equal(before->count, T * width);
    for (size_t i = 0; i < T * width; i++)
        assert_true(after->values[i] == before->values[i] + (i / width == T - 1 ? 2.0f : 0.0f));
    tfm_session_destroy(session);
    tiny_close(&t);
    free(before);
    free(after);
    free(add);
}

/* Nothing is seen through: a norm's output that is written leaves the stream as it is. */
static void test_norm_is_not_the_stream(void **state) {
    (void)state;
    tfm_token ids[T];
    tiny_ids(ids, T, 9);
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = session_of(&t, 0);
    seen *zero = new_seen(), *embedded = new_seen(), *middle = new_seen();
    zero->scale = 0.0f;
    look(session, TFM_SITE_ATTENTION_NORM, 0, TFM_INSPECT_ALL, 1, change, zero);
    look(session, TFM_SITE_EMBEDDING, TFM_INSPECT_ALL, TFM_INSPECT_ALL, 0, keep, embedded);
    look(session, TFM_SITE_MIDDLE, 0, TFM_INSPECT_ALL, 0, keep, middle);
    tiny_feed(session, ids, T); /* attention of zeros adds nothing: there are no biases */
    assert_memory_equal(embedded->values, middle->values, middle->count * sizeof(float));
    tfm_session_destroy(session);
    tiny_close(&t);
    free(zero);
    free(embedded);
    free(middle);
}

/* ---- Experts ------------------------------------------------------------------------------------------- */

static int32_t choose_first(void *user, const tfm_inspect_event *event) {
    int32_t first = *(const int32_t *)user;
    for (size_t r = 0; r < event->rows; r++) {
        event->experts[r * event->columns] = first;
        event->values[r * event->stride] = 1.0f;
        for (size_t c = 1; c < event->columns; c++) event->values[r * event->stride + c] = 0.0f;
    }
    return 0;
}

static void test_experts(void **state) {
    (void)state;
    tfm_token ids[T];
    tiny_ids(ids, T, 10);
    tiny t = tiny_open(&specs[4], NULL);
    tfm_session *session = session_of(&t, 0);
    tfm_error error = TFM_ERROR_INIT;
    seen *router = new_seen(), *chosen = new_seen();
    look(session, TFM_SITE_ROUTER, 1, TFM_INSPECT_ALL, 0, keep, router);
    look(session, TFM_SITE_EXPERTS, 1, TFM_INSPECT_ALL, 0, keep, chosen);
    tiny_feed(session, ids, T);
    assert_int_equal(router->columns, 4);
    assert_int_equal(chosen->columns, 2);
    for (size_t q = 0; q < T; q++) { /* the best two, with shares that add up to 1 */
        const float *logit = router->values + 4 * q;
        const int32_t *e = chosen->experts + 2 * q;
        assert_true(e[0] >= 0 && e[0] < 4 && e[1] >= 0 && e[1] < 4 && e[0] != e[1]);
        assert_true(logit[e[0]] >= logit[e[1]]);
        for (int32_t other = 0; other < 4; other++)
            assert_true(other == e[0] || other == e[1] || logit[other] <= logit[e[1]]);
        double share = 1 / (1 + exp((double)logit[e[1]] - (double)logit[e[0]]));
        assert_true(fabs(chosen->values[2 * q] - share) < 1e-6);
        assert_true(fabs(chosen->values[2 * q] + chosen->values[2 * q + 1] - 1) < 1e-6);
    }
    /* all tokens to expert 3: its stream is not that of expert 0, and there is no expert 4 */
    float logits[2][V];
    for (int32_t first = 0; first <= 4; first += first ? 1 : 3) {
        tfm_inspector *inspector =
            look(session, TFM_SITE_EXPERTS, TFM_INSPECT_ALL, TFM_INSPECT_ALL, 1, choose_first, &first);
        assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
        chosen->count = router->count = 0;
        int32_t status = tfm_forward(session, ids, T, NULL, &error);
        assert_int_equal(status, first < 4 ? TFM_OK : TFM_E_ARGUMENT);
        if (!status) memcpy(logits[first == 3], logits_of(session), sizeof logits[0]);
        tfm_inspector_destroy(inspector);
    }
    assert_memory_not_equal(logits[0], logits[1], sizeof logits[0]);
    assert_int_equal(tfm_session_position(session), 0);
    tfm_session_destroy(session);
    tiny_close(&t);
    free(router);
    free(chosen);
}

/* ---- Requests and lifetimes ---------------------------------------------------------------------------- */

static void test_refusals(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL); /* 2 layers, 4 heads, 2 key/value heads */
    tfm_session *session = session_of(&t, 0);
    tfm_error error = TFM_ERROR_INIT;
    struct {
        int32_t site, layer, head, write, last, status;
    } cases[] = {
        {TFM_SITE_ATTENTION, 1, 3, 0, 1, TFM_OK},
        {TFM_SITE_KEY, 1, 1, 1, 0, TFM_OK},
        {TFM_SITE_LOGITS, -1, -1, 0, 0, TFM_OK},
        {0, 0, 0, 0, 0, TFM_E_ARGUMENT},
        {-1, -1, -1, 0, 0, TFM_E_ARGUMENT},
        {TFM_SITE_COUNT, -1, -1, 0, 0, TFM_E_ARGUMENT},
        {INT32_MAX, -1, -1, 0, 0, TFM_E_ARGUMENT},
        {TFM_SITE_STREAM, 2, -1, 0, 0, TFM_E_ARGUMENT},
        {TFM_SITE_STREAM, -2, -1, 0, 0, TFM_E_ARGUMENT},
        {TFM_SITE_STREAM, INT32_MIN, -1, 0, 0, TFM_E_ARGUMENT},
        {TFM_SITE_STREAM, 0, 0, 0, 0, TFM_E_ARGUMENT}, /* has no heads */
        {TFM_SITE_ATTENTION, 0, 4, 0, 0, TFM_E_ARGUMENT},
        {TFM_SITE_VALUE, 0, 2, 0, 0, TFM_E_ARGUMENT},
        {TFM_SITE_QUERY, 0, -2, 0, 0, TFM_E_ARGUMENT},
        {TFM_SITE_ROUTER, -1, -1, 0, 0, TFM_E_ARGUMENT},
        {TFM_SITE_EXPERTS, 0, -1, 0, 0, TFM_E_ARGUMENT},
        {TFM_SITE_STREAM, 0, -1, 2, 0, TFM_E_ARGUMENT},
        {TFM_SITE_STREAM, 0, -1, 0, -1, TFM_E_ARGUMENT},
    };
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        tfm_inspect_options options = TFM_INSPECT_OPTIONS_INIT;
        tfm_inspector *inspector = (tfm_inspector *)&t;
        options.site = cases[i].site;
        options.layer = cases[i].layer;
        options.head = cases[i].head;
        options.write = cases[i].write;
        options.last = cases[i].last;
        int32_t status = tfm_inspect(session, &options, keep, NULL, &inspector, &error);
        if (status != cases[i].status) fail_msg("case %zu: %s", i, tfm_status_name(status));
        if (status) {
            assert_null(inspector);
            assert_true(error.message[0] != 0);
        }
        tfm_inspector_destroy(inspector);
    }
    tfm_inspect_options options = TFM_INSPECT_OPTIONS_INIT;
    options.site = TFM_SITE_STREAM;
    assert_int_equal(tfm_inspect(NULL, &options, keep, NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_inspect(session, NULL, keep, NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_inspect(session, &options, NULL, NULL, NULL, &error), TFM_E_ARGUMENT);
    options.struct_size = 4;
    assert_int_equal(tfm_inspect(session, &options, keep, NULL, NULL, &error), TFM_E_ARGUMENT);
    tfm_inspector_destroy(NULL);
    assert_int_equal(session->inspection.sites, 0);
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* Inspectors of a site run in the order of attaching and see what those before them wrote. */
typedef struct note {
    char *to;
    char name;
} note;
static int32_t write_note(void *user, const tfm_inspect_event *event) {
    const note *n = user;
    size_t length = strlen(n->to);
    (void)event;
    n->to[length] = n->name;
    n->to[length + 1] = 0;
    return 0;
}

typedef struct leaving {
    tfm_inspector *self, *other;
    size_t calls;
} leaving;
static int32_t leave(void *user, const tfm_inspect_event *event) {
    leaving *l = user;
    (void)event;
    l->calls++;
    tfm_inspector_destroy(l->self);
    tfm_inspector_destroy(l->other);
    return 0;
}

static void test_order_and_leaving(void **state) {
    (void)state;
    tfm_token ids[2] = {5, 6};
    char text[64] = "";
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = session_of(&t, 0);
    note a = {text, 'a'}, b = {text, 'b'}, c = {text, 'c'};
    tfm_inspector *last = look(session, TFM_SITE_STREAM, -1, -1, 0, write_note, &c);
    tfm_inspector *first = look(session, TFM_SITE_EMBEDDING, -1, -1, 0, write_note, &a);
    look(session, TFM_SITE_STREAM, 1, -1, 0, write_note, &b);
    tiny_feed(session, ids, 1);
    assert_string_equal(text, "accb");
    tfm_inspector_destroy(first);
    tfm_inspector_destroy(last);
    text[0] = 0;
    tiny_feed(session, ids, 1);
    assert_string_equal(text, "b");

    /* one that takes itself and a later one away, in the middle of a pass */
    leaving l = {NULL, NULL, 0};
    text[0] = 0;
    l.self = look(session, TFM_SITE_STREAM, 0, -1, 0, leave, &l);
    l.other = look(session, TFM_SITE_STREAM, -1, -1, 0, write_note, &c);
    tiny_feed(session, ids, 2);
    assert_string_equal(text, "b");
    tiny_feed(session, ids, 2);
    assert_int_equal(l.calls, 1);
    assert_string_equal(text, "bb");
    tfm_session *fork = NULL;
    assert_int_equal(tfm_session_fork(session, &fork, NULL), TFM_OK);
    tiny_feed(fork, ids, 2); /* forks have none */
    assert_string_equal(text, "bb");
    tfm_session_destroy(fork);
    tfm_session_destroy(session); /* with one still attached */
    tiny_close(&t);
}

/* Stopping: the session is as before, and usable. */
static void test_stopping(void **state) {
    (void)state;
    tfm_token ids[T];
    tiny_ids(ids, T, 11);
    static const int32_t sites[] = {TFM_SITE_EMBEDDING, TFM_SITE_ATTENTION, TFM_SITE_LAYER_LOGITS,
                                    TFM_SITE_LOGITS};
    for (size_t i = 0; i < TFM__COUNT(sites); i++) {
        tiny t = tiny_open(NULL, NULL);
        tfm_session *session = session_of(&t, 0), *plain = session_of(&t, 0);
        tfm_error error = TFM_ERROR_INIT;
        seen *s = new_seen();
        tiny_feed(session, ids, 3);
        tiny_feed(plain, ids, 3);
        s->stop_at = 1;
        tfm_inspector *inspector = look(session, sites[i], -1, -1, 0, keep, s);
        assert_int_equal(tfm_forward(session, ids + 3, T - 3, NULL, &error), TFM_E_CANCELLED);
        assert_non_null(strstr(error.message, "inspector"));
        assert_int_equal(tfm_session_position(session), 3);
        assert_int_equal(tfm_logits_count(session), 0);
        assert_int_equal(s->calls, 1);
        tfm_inspector_destroy(inspector);
        tiny_feed(session, ids + 3, T - 3);
        tiny_feed(plain, ids + 3, T - 3);
        assert_memory_equal(logits_of(session), logits_of(plain), V * sizeof(float));
        tfm_session_destroy(session);
        tfm_session_destroy(plain);
        tiny_close(&t);
        free(s);
    }
}

static int32_t meddle(void *user, const tfm_inspect_event *event) {
    tfm_session *session = user, *fork = NULL;
    tfm_inspect_options options = TFM_INSPECT_OPTIONS_INIT;
    tfm_token id = 7;
    options.site = TFM_SITE_STREAM;
    assert_int_equal(tfm_session_position(session), event->position);
    assert_int_equal(tfm_forward(session, &id, 1, NULL, NULL), TFM_E_STATE);
    assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_E_STATE);
    assert_int_equal(tfm_session_fork(session, &fork, NULL), TFM_E_STATE);
    assert_int_equal(tfm_inspect(session, &options, meddle, NULL, NULL, NULL), TFM_E_STATE);
    return 0;
}

static void test_no_meddling(void **state) {
    (void)state;
    tfm_token ids[4] = {5, 6, 7, 8};
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = session_of(&t, 0);
    look(session, TFM_SITE_STREAM, -1, -1, 0, meddle, session);
    tiny_feed(session, ids, 2);
    tiny_feed(session, ids + 2, 2);
    assert_int_equal(tfm_session_position(session), 4);
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* Threads of a pool: the same bits; callbacks on the calling thread only (the counters are not atomic). */
static void test_threads(void **state) {
    (void)state;
    enum { LONG = 150 };
    tfm_token ids[LONG];
    tiny_ids(ids, LONG, 12);
    seen *kept[2] = {new_seen(), new_seen()};
    for (int i = 0; i < 2; i++) {
        tfm_pool_options threads = TFM_POOL_OPTIONS_INIT;
        tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
        tfm_pool *pool = NULL;
        threads.threads = 3;
        if (i) assert_int_equal(tfm_pool_create(&threads, &pool, NULL), TFM_OK);
        options.pool = pool;
        tiny t = tiny_open(&specs[1], &options);
        tfm_session *session = session_of(&t, 0);
        seen *half = new_seen();
        half->scale = 0.5f;
        look(session, TFM_SITE_ATTENTION, 0, 1, 1, change, half);
        look(session, TFM_SITE_ATTENTION, 1, 1, 0, keep, kept[i]);
        tiny_feed(session, ids, LONG);
        tfm_session_destroy(session);
        tiny_close(&t);
        tfm_pool_destroy(pool);
        free(half);
    }
    assert_int_equal(kept[0]->count, LONG * LONG);
    assert_memory_equal(kept[0]->values, kept[1]->values, kept[0]->count * sizeof(float));
    free(kept[0]);
    free(kept[1]);
}

/* Memory refused at each request in turn: an error, nothing lost, and then it works. */
static void test_memory(void **state) {
    (void)state;
    tfm_token ids[T];
    tiny_ids(ids, T, 13);
    size_t refused = 0;
    for (size_t n = 1;; n++) {
        tiny_memory memory = {0};
        tfm_allocator allocator = tiny_allocator(&memory);
        tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
        tfm_inspect_options where = TFM_INSPECT_OPTIONS_INIT;
        tfm_error error = TFM_ERROR_INIT;
        seen *s = new_seen();
        options.allocator = &allocator;
        tiny t = tiny_open(NULL, &options);
        tfm_session *session = session_of(&t, 0);
        tiny_feed(session, ids, 4);
        memory.fail_at = memory.calls + n;
        where.site = TFM_SITE_ATTENTION;
        int32_t status = tfm_inspect(session, &where, keep, s, NULL, &error);
        if (status) assert_int_equal(session->inspection.sites, 0);
        if (!status) status = tfm_forward(session, ids + 4, 4, NULL, &error);
        if (status) {
            assert_int_equal(status, TFM_E_MEMORY);
            refused++;
            tiny_feed(session, ids + 4, 4);
        }
        tfm_session_destroy(session);
        tiny_close(&t);
        assert_int_equal(memory.out, 0);
        free(s);
        if (!memory.refusals) break;
    }
    assert_true(refused >= 3); /* the inspector, and twice its rows */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading_changes_nothing),
        cmocka_unit_test(test_weights_mix_values),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_layer_logits),
        cmocka_unit_test(test_ablation),
        cmocka_unit_test(test_every_site_can_be_written),
        cmocka_unit_test(test_rotated),
        cmocka_unit_test(test_steering),
        cmocka_unit_test(test_norm_is_not_the_stream),
        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_order_and_leaving),
        cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_no_meddling),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
