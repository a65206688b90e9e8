/* test_session.c - sessions: passes, logits, errors that change nothing, rewinding, forking, budgets,
 * cancelling; and the ways of opening a model in memory or through a source. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>

#include "tiny_model.h"

#define V TINY_VOCAB

/* The logits of the last token, copied. */
static void last_logits(tfm_session *session, float *out) {
    const float *logits;
    size_t vocab;
    assert_true(tfm_logits_count(session) > 0);
    assert_int_equal(tfm_logits(session, tfm_logits_count(session) - 1, &logits, &vocab, NULL), TFM_OK);
    assert_int_equal(vocab, V);
    memcpy(out, logits, V * sizeof *out);
}

/* What a fresh session says after ids. */
static void fresh_logits(const tiny *t, const tfm_token *ids, size_t count, float *out) {
    tfm_session *session = tiny_session(t);
    tiny_feed(session, ids, count);
    last_logits(session, out);
    tfm_session_destroy(session);
}

static void expect_logits(tfm_session *session, const float *expected) {
    float now[V];
    last_logits(session, now);
    assert_memory_equal(now, expected, sizeof now);
}

static void expect_fresh(const tiny *t, tfm_session *session) {
    float expected[V];
    fresh_logits(t, tfm_session_tokens(session), tfm_session_position(session), expected);
    expect_logits(session, expected);
}

/* ---- Creating
 * ------------------------------------------------------------------------------------------------- */

static void test_create(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_error error = TFM_ERROR_INIT;
    tfm_session_options options = TFM_SESSION_OPTIONS_INIT;
    tfm_session *session = (tfm_session *)&t;
    assert_int_equal(tfm_session_create(NULL, NULL, &session, &error), TFM_E_ARGUMENT);
    assert_null(session);
    assert_int_equal(error.code, TFM_E_ARGUMENT);
    assert_true(error.message[0] != 0);
    assert_int_equal(tfm_session_create(t.model, NULL, NULL, &error), TFM_E_ARGUMENT);

    assert_int_equal(tfm_session_create(t.model, NULL, &session, &error), TFM_OK);
    assert_int_equal(tfm_session_context(session), 256); /* what the model was made for */
    assert_int_equal(tfm_session_position(session), 0);
    assert_int_equal(tfm_logits_count(session), 0);
    assert_ptr_equal(tfm_session_model(session), t.model);
    tfm_session_destroy(session);

    struct {
        uint32_t context, batch;
        int32_t cache;
        int32_t status;
    } cases[] = {
        {1, 1, 0, TFM_OK},
        {1u << 28, 65536, 3, TFM_OK},
        {1000, 0, 1, TFM_OK},
        {0, 0, 2, TFM_OK},
        {0, 0, 4, TFM_OK},
        {0, 0, 5, TFM_OK},
        {(1u << 28) + 1, 0, 0, TFM_E_ARGUMENT},
        {UINT32_MAX, 0, 0, TFM_E_ARGUMENT},
        {0, 65537, 0, TFM_E_ARGUMENT},
        {0, UINT32_MAX, 0, TFM_E_ARGUMENT},
        {0, 0, 6, TFM_E_ARGUMENT},
        {0, 0, -1, TFM_E_ARGUMENT},
        {0, 0, INT32_MIN, TFM_E_ARGUMENT},
        {0, 0, INT32_MAX, TFM_E_ARGUMENT},
    };
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        options.context = cases[i].context;
        options.batch = cases[i].batch;
        options.cache_type = cases[i].cache;
        session = (tfm_session *)&t;
        assert_int_equal(tfm_session_create(t.model, &options, &session, &error), cases[i].status);
        if (cases[i].status) assert_null(session);
        if (!cases[i].status)
            assert_int_equal(tfm_session_context(session), cases[i].context ? cases[i].context : 256);
        tfm_session_destroy(session);
    }
    tiny_close(&t);
    tfm_session_destroy(NULL);

    tiny_spec learned = {.family = "gpt2", .context = 40};
    t = tiny_open(&learned, NULL);
    options = (tfm_session_options)TFM_SESSION_OPTIONS_INIT;
    options.context = 41; /* there are only 40 learned positions */
    assert_int_equal(tfm_session_create(t.model, &options, &session, &error), TFM_E_ARGUMENT);
    options.context = 39;
    assert_int_equal(tfm_session_create(t.model, &options, &session, &error), TFM_OK);
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* ---- Passes
 * --------------------------------------------------------------------------------------------------- */

static void test_logits(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_error error = TFM_ERROR_INIT;
    tfm_forward_options options = TFM_FORWARD_OPTIONS_INIT;
    const float *logits = (const float *)&t;
    size_t vocab = 7;
    tfm_token ids[9];
    float all[9][V];
    tiny_ids(ids, 9, 1);
    assert_int_equal(tfm_logits(session, 0, &logits, &vocab, &error), TFM_E_STATE);
    assert_null(logits);
    assert_int_equal(vocab, 0);
    for (size_t n = 1; n <= 9; n++) fresh_logits(&t, ids, n, all[n - 1]);

    options.logits = TFM_LOGITS_ALL;
    assert_int_equal(tfm_forward(session, ids, 9, &options, &error), TFM_OK);
    assert_int_equal(tfm_logits_count(session), 9);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(tfm_logits(session, i, &logits, NULL, &error), TFM_OK);
        assert_memory_equal(logits, all[i], sizeof all[i]);
    }
    assert_int_equal(tfm_logits(session, 9, &logits, &vocab, &error), TFM_E_ARGUMENT);
    assert_null(logits);
    assert_int_equal(tfm_logits(session, SIZE_MAX, &logits, &vocab, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_logits(session, 0, NULL, &vocab, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_logits(NULL, 0, &logits, &vocab, &error), TFM_E_ARGUMENT);

    assert_int_equal(tfm_session_rewind(session, 0, &error), TFM_OK);
    assert_int_equal(tfm_logits_count(session), 0);
    assert_int_equal(tfm_logits(session, 0, &logits, &vocab, &error), TFM_E_STATE);
    options.logits = TFM_LOGITS_NONE;
    assert_int_equal(tfm_forward(session, ids, 5, &options, &error), TFM_OK);
    assert_int_equal(tfm_logits_count(session), 0);
    assert_int_equal(tfm_session_position(session), 5);
    options.logits = TFM_LOGITS_LAST;
    assert_int_equal(tfm_forward(session, ids + 5, 4, &options, &error), TFM_OK);
    assert_int_equal(tfm_logits_count(session), 1);
    expect_logits(session, all[8]);
    assert_memory_equal(tfm_session_tokens(session), ids, sizeof ids);

    assert_int_equal(tfm_logits_count(NULL), 0);
    assert_int_equal(tfm_session_position(NULL), 0);
    assert_int_equal(tfm_session_context(NULL), 0);
    assert_null(tfm_session_tokens(NULL));
    assert_null(tfm_session_model(NULL));
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* A session that has been told `ids` must go on as if nothing had happened. */
static void expect_unchanged(const tiny *t, tfm_session *session, const tfm_token *ids, size_t count) {
    assert_int_equal(tfm_session_position(session), count);
    if (count) assert_memory_equal(tfm_session_tokens(session), ids, count * sizeof *ids);
    tfm_token more = 42;
    tiny_feed(session, &more, 1);
    expect_fresh(t, session);
    assert_int_equal(tfm_session_rewind(session, count, NULL), TFM_OK);
}

static void test_errors_change_nothing(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session_options room = TFM_SESSION_OPTIONS_INIT;
    tfm_forward_options options = TFM_FORWARD_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_session *session = NULL;
    tfm_token ids[70];
    tiny_ids(ids, 70, 2);
    room.context = 66;
    assert_int_equal(tfm_session_create(t.model, &room, &session, &error), TFM_OK);
    tiny_feed(session, ids, 60);

    assert_int_equal(tfm_forward(NULL, ids, 1, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_forward(session, NULL, 1, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_forward(session, ids, 0, NULL, &error), TFM_E_ARGUMENT);
    expect_unchanged(&t, session, ids, 60);
    static const int32_t wrong[] = {-1, 3, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < TFM__COUNT(wrong); i++) {
        options.logits = wrong[i];
        assert_int_equal(tfm_forward(session, ids, 1, &options, &error), TFM_E_ARGUMENT);
        expect_unchanged(&t, session, ids, 60);
    }
    static const tfm_token outside[] = {-1, V, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < TFM__COUNT(outside); i++) {
        tfm_token four[4] = {1, 2, outside[i], 3};
        assert_int_equal(tfm_forward(session, four, 4, NULL, &error), TFM_E_TOKEN);
        assert_int_equal(error.code, TFM_E_TOKEN);
        expect_unchanged(&t, session, ids, 60);
    }
    assert_int_equal(tfm_forward(session, ids, 7, NULL, &error), TFM_E_CONTEXT);
    expect_unchanged(&t, session, ids, 60);
    assert_int_equal(tfm_forward(session, ids, SIZE_MAX, NULL, &error), TFM_E_CONTEXT);
    expect_unchanged(&t, session, ids, 60);
    tiny_feed(session, ids + 60, 6); /* exactly full */
    assert_int_equal(tfm_session_position(session), 66);
    expect_fresh(&t, session);
    assert_int_equal(tfm_forward(session, ids, 1, NULL, &error), TFM_E_CONTEXT);
    assert_int_equal(tfm_session_position(session), 66);

    assert_int_equal(tfm_session_rewind(session, 67, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_session_rewind(NULL, 0, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_session_position(session), 66);
    tfm_session *fork = session;
    assert_int_equal(tfm_session_fork(NULL, &fork, &error), TFM_E_ARGUMENT);
    assert_null(fork);
    assert_int_equal(tfm_session_fork(session, NULL, &error), TFM_E_ARGUMENT);
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* ---- Going back
 * ----------------------------------------------------------------------------------------------- */

/* Of every family: from 140 tokens (three pages) back to every position, and on with another token. */
static void rewind_everywhere(const tiny_spec *spec, int32_t cache) {
    tiny t = tiny_open(spec, NULL);
    tfm_session_options kept = TFM_SESSION_OPTIONS_INIT;
    tfm_session *session = NULL;
    kept.cache_type = cache;
    assert_int_equal(tfm_session_create(t.model, &kept, &session, NULL), TFM_OK);
    tfm_forward_options all = TFM_FORWARD_OPTIONS_INIT;
    tfm_token ids[141];
    const float *logits;
    float *expected = malloc(141 * V * sizeof *expected);
    assert_non_null(expected);
    tiny_ids(ids, 141, 3);
    all.logits = TFM_LOGITS_ALL;
    assert_int_equal(tfm_forward(session, ids, 141, &all, NULL), TFM_OK);
    for (size_t i = 0; i < 141; i++) {
        assert_int_equal(tfm_logits(session, i, &logits, NULL, NULL), TFM_OK);
        memcpy(expected + i * V, logits, V * sizeof *expected);
    }
    for (size_t to = 141; to-- > 0;) {
        tfm_token other = (ids[to] + 1) % V;
        assert_int_equal(tfm_session_rewind(session, to, NULL), TFM_OK);
        assert_int_equal(tfm_session_position(session), to);
        assert_int_equal(tfm_logits_count(session), 0);
        tiny_feed(session, &other, 1); /* another future overwrites the place ... */
        assert_int_equal(tfm_session_rewind(session, to, NULL), TFM_OK);
        tiny_feed(session, &ids[to], 1); /* ... and the first one comes back */
        expect_logits(session, expected + to * V);
        assert_memory_equal(tfm_session_tokens(session), ids, (to + 1) * sizeof *ids);
        size_t count = tfm_logits_count(session);
        assert_int_equal(tfm_session_rewind(session, to + 1, NULL),
                         TFM_OK); /* here already: nothing changes */
        assert_int_equal(tfm_logits_count(session), count);
    }
    free(expected);
    tfm_session_destroy(session);
    tiny_close(&t);
}

static void test_rewind(void **state) {
    (void)state;
    rewind_everywhere(NULL, TFM_CACHE_DEFAULT);
    rewind_everywhere(&(tiny_spec){.type = TFM__F16}, TFM_CACHE_DEFAULT);
    rewind_everywhere(&(tiny_spec){.type = TFM__Q8_0}, TFM_CACHE_DEFAULT);
    rewind_everywhere(&(tiny_spec){.family = "gemma3", .window = 16}, TFM_CACHE_DEFAULT);
    rewind_everywhere(&(tiny_spec){.family = "gpt2"}, TFM_CACHE_DEFAULT);
    for (int32_t cache = TFM_CACHE_Q8_0; cache <= TFM_CACHE_Q4_0; cache++) {
        rewind_everywhere(NULL, cache);
        rewind_everywhere(&(tiny_spec){.family = "gemma3", .window = 16}, cache);
    }
}

/* ---- Types of the cache ---- */

/* What a session grows by when its fourth page begins: what the plan says of 64 tokens, and the pages'
 * headers. */
static void expect_bytes(const tiny *t, int32_t type) {
    tfm_session_options options = TFM_SESSION_OPTIONS_INIT;
    tfm_plan_options how = TFM_PLAN_OPTIONS_INIT;
    tfm_plan_result plan = TFM_PLAN_RESULT_INIT;
    tfm_shape shape = TFM_SHAPE_INIT;
    tfm_session *session = NULL;
    tfm_token ids[129];
    options.cache_type = how.cache_type = type;
    tiny_ids(ids, 129, 3);
    assert_int_equal(tfm_shape_read_memory(t->file.data, t->file.size, NULL, &shape, NULL), TFM_OK);
    assert_int_equal(tfm_plan(&shape, &how, &plan, NULL), TFM_OK);
    assert_int_equal(tfm_session_create(t->model, &options, &session, NULL), TFM_OK);
    tiny_feed(session, ids, 129); /* the tokens' room is for 129 */
    tiny_feed(session, ids, 1);   /* ... and now for 258, the pages' for four */
    tiny_feed(session, ids, 62);
    uint64_t before = tfm_model_bytes(t->model);
    tiny_feed(session, ids, 1);
    uint64_t grown = tfm_model_bytes(t->model) - before, page = 64 * plan.kv_bytes_per_token;
    assert_in_range(grown, page, page + 256 * shape.layers);
    tfm_session_destroy(session);
}

static void test_cache_types(void **state) {
    (void)state;
    const tiny_spec specs[] = {{0}, {.family = "gemma3", .window = 16}, {.family = "gpt2", .type = TFM__F16}};
    for (size_t i = 0; i < TFM__COUNT(specs); i++) {
        tiny t = tiny_open(&specs[i], NULL);
        for (int32_t type = TFM_CACHE_F32; type <= TFM_CACHE_Q4_0; type++) expect_bytes(&t, type);
        tiny_close(&t);
    }
}

/* The session's own tokens, read again. */
static void test_own_tokens(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_token ids[100];
    float expected[V];
    tiny_ids(ids, 100, 5);
    tiny_feed(session, ids, 100);
    last_logits(session, expected);
    assert_int_equal(tfm_session_rewind(session, 20, NULL), TFM_OK);
    tiny_feed(session, tfm_session_tokens(session) + 20, 80);
    expect_logits(session, expected);
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* ---- Forks
 * ---------------------------------------------------------------------------------------------------- */

static void test_fork(void **state) {
    (void)state;
    static const size_t lengths[] = {0, 1, 63, 64, 65, 130};
    for (size_t family = 0; family < 2; family++) {
        tiny t =
            tiny_open(family ? &(tiny_spec){.family = "gemma3", .window = 20, .type = TFM__F16} : NULL, NULL);
        uint64_t before = tfm_model_bytes(t.model);
        for (size_t i = 0; i < TFM__COUNT(lengths); i++) {
            tfm_session *parent = tiny_session(&t), *fork = NULL, *second = NULL;
            tfm_token ids[130], a = 17, b = 99;
            float here[V];
            tiny_ids(ids, 130, i);
            if (lengths[i]) tiny_feed(parent, ids, lengths[i]);
            assert_int_equal(tfm_session_fork(parent, &fork, NULL), TFM_OK);
            assert_int_equal(tfm_session_fork(fork, &second, NULL), TFM_OK);
            assert_int_equal(tfm_session_position(second), lengths[i]);
            assert_int_equal(tfm_logits_count(second), lengths[i] ? 1 : 0);
            if (lengths[i]) last_logits(parent, here);
            if (lengths[i]) expect_logits(second, here);
            for (int step = 0; step < 3; step++) { /* each writes where the others stand */
                tiny_feed(parent, &a, 1);
                tiny_feed(fork, &b, 1);
            }
            expect_fresh(&t, parent);
            expect_fresh(&t, fork);
            if (lengths[i] > 2) { /* back into the shared past */
                assert_int_equal(tfm_session_rewind(fork, lengths[i] / 2, NULL), TFM_OK);
                tiny_feed(fork, &b, 1);
                expect_fresh(&t, fork);
            }
            tfm_session_destroy(i % 2 ? parent : fork);
            if (lengths[i]) expect_logits(second, here);
            tiny_feed(second, &a, 1);
            expect_fresh(&t, second);
            tfm_session_destroy(i % 2 ? fork : parent);
            tiny_feed(second, &b, 1);
            expect_fresh(&t, second);
            tfm_session_destroy(second);
            assert_int_equal(tfm_model_bytes(t.model), before);
        }
        tiny_close(&t);
    }
}

/* A fork that goes far back copies the page it writes, not all that follow. */
static void test_fork_copies_little(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *parent = tiny_session(&t), *fork = NULL;
    tfm_token ids[200];
    tiny_ids(ids, 200, 4);
    tiny_feed(parent, ids, 1); /* the size of scratch and logits for one token */
    tiny_feed(parent, ids + 1, 199);
    assert_int_equal(tfm_session_fork(parent, &fork, NULL), TFM_OK);
    tiny_feed(fork, ids, 1);
    uint64_t before = tfm_model_bytes(t.model);
    assert_int_equal(tfm_session_rewind(parent, 3, NULL), TFM_OK);
    tiny_feed(parent, ids + 50, 1);
    uint64_t page =
        (32 / 4 * 2) * 2 * 64 * sizeof(float) + 128; /* keys and values of 2 heads of 8, and the headers */
    assert_in_range(tfm_model_bytes(t.model) - before, 1, 2 * page);
    expect_fresh(&t, parent);
    expect_fresh(&t, fork);
    tfm_session_destroy(parent);
    tfm_session_destroy(fork);
    tiny_close(&t);
}

typedef struct branch {
    tfm_session *session;
    tfm_token token;
    float out[V];
} branch;

static void *follow(void *argument) {
    branch *b = argument;
    for (int i = 0; i < 40; i++) {
        if (tfm_forward(b->session, &b->token, 1, NULL, NULL)) return NULL;
        if (i % 13 == 12) {
            tfm_session *fork = NULL;
            if (tfm_session_fork(b->session, &fork, NULL)) return NULL;
            tfm_session_destroy(b->session);
            b->session = fork;
        }
    }
    const float *logits;
    if (!tfm_logits(b->session, 0, &logits, NULL, NULL)) memcpy(b->out, logits, sizeof b->out);
    return b;
}

static void test_forks_on_threads(void **state) {
    (void)state;
    enum { BRANCHES = 4 };
    tiny t = tiny_open(NULL, NULL);
    tfm_token ids[140];
    tiny_ids(ids, 140, 9);
    for (int round = 0; round < 4; round++) {
        tfm_session *parent = tiny_session(&t);
        tiny_feed(parent, ids, 100);
        branch branches[BRANCHES];
        pthread_t threads[BRANCHES];
        for (int i = 0; i < BRANCHES; i++) {
            branches[i].token = i;
            assert_int_equal(tfm_session_fork(parent, &branches[i].session, NULL), TFM_OK);
        }
        for (int i = 0; i < BRANCHES; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, follow, &branches[i]), 0);
        tfm_session_destroy(parent); /* while they are at it */
        for (int i = 0; i < BRANCHES; i++) {
            void *done;
            float expected[V];
            assert_int_equal(pthread_join(threads[i], &done), 0);
            assert_ptr_equal(done, &branches[i]);
            for (size_t k = 100; k < 140; k++) ids[k] = i;
            fresh_logits(&t, ids, 140, expected);
            assert_memory_equal(branches[i].out, expected, sizeof expected);
            tfm_session_destroy(branches[i].session);
        }
    }
    tiny_close(&t);
}

/* ---- Life and bytes
 * ------------------------------------------------------------------------------------------- */

static void test_references(void **state) {
    (void)state;
    tiny_memory memory = {0};
    tfm_allocator allocator = tiny_allocator(&memory);
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    options.allocator = &allocator;
    tiny t = tiny_open(NULL, &options);
    tfm_session *session = tiny_session(&t), *fork = NULL;
    tfm_token id = 5;
    tfm_model_retain(t.model);
    tfm_model_release(t.model);
    tfm_model_retain(NULL);
    tfm_model_release(NULL);
    tfm_model_release(t.model); /* the session keeps it */
    tiny_feed(session, &id, 1);
    assert_int_equal(tfm_session_fork(session, &fork, NULL), TFM_OK);
    tfm_session_destroy(session);
    tiny_feed(fork, &id, 1);
    assert_true(memory.out > 0);
    tfm_session_destroy(fork); /* and with the last session all goes */
    assert_int_equal(memory.out, 0);
    assert_int_equal(tfm_model_bytes(NULL), 0);
    free(t.file.data);
}

static void test_budget(void **state) {
    (void)state;
    tiny_file file = tiny_make(NULL);
    tfm_model *model = NULL;
    tfm_error error = TFM_ERROR_INIT;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    options.byte_budget = 2000;
    assert_int_equal(tfm_model_load_memory(file.data, file.size, &options, &model, &error), TFM_E_BUDGET);
    assert_null(model);
    options.byte_budget = 0;
    assert_int_equal(tfm_model_load_memory(file.data, file.size, &options, &model, &error), TFM_OK);
    uint64_t needed = tfm_model_bytes(model);
    tfm_model_release(model);

    options.byte_budget = needed + 50000; /* for some tokens and some pages */
    tiny t = {file, NULL};
    assert_int_equal(tfm_model_load_memory(file.data, file.size, &options, &t.model, &error), TFM_OK);
    tfm_session *session = tiny_session(&t);
    tfm_token ids[256];
    tiny_ids(ids, 256, 6);
    int32_t status = TFM_OK;
    size_t held = 0;
    while (!status && held < 256) {
        status = tfm_forward(session, ids + held, 1, NULL, &error);
        if (!status) held++;
        assert_true(tfm_model_bytes(t.model) <= options.byte_budget);
    }
    assert_int_equal(status, TFM_E_BUDGET);
    assert_int_equal(error.code, TFM_E_BUDGET);
    assert_int_equal(held % 64, 0); /* at a new page */
    assert_int_equal(tfm_session_position(session), held);
    assert_int_equal(tfm_logits_count(session), 0);
    assert_int_equal(tfm_forward(session, ids, 256 - held, NULL, &error), TFM_E_BUDGET);
    tfm_session *fork = NULL;
    assert_int_equal(tfm_session_rewind(session, held - 1, &error), TFM_OK);
    tiny_feed(session, ids + held - 1, 1); /* usable where there is room */
    int32_t forked = tfm_session_fork(session, &fork, &error);
    if (forked) assert_int_equal(forked, TFM_E_BUDGET);
    if (forked) assert_null(fork);
    tfm_session_destroy(fork);
    float now[V], expected[V];
    last_logits(session, now);
    tfm_session_destroy(session);
    assert_int_equal(tfm_model_bytes(t.model), needed);
    tfm_model_release(t.model);
    t = tiny_open(NULL, NULL);
    fresh_logits(&t, ids, held, expected);
    assert_memory_equal(now, expected, sizeof now);
    tiny_close(&t);
    free(file.data);
}

/* ---- Watching
 * ------------------------------------------------------------------------------------------------- */

typedef struct watcher {
    size_t calls, stop_at;
    uint64_t last, total;
    tfm_cancel *raise;
} watcher;

static int32_t watch(void *user, uint64_t done, uint64_t total) {
    watcher *w = user;
    w->calls++;
    assert_true(done >= w->last && done <= total);
    if (w->calls == 1) assert_int_equal(done, 0);
    w->last = done;
    w->total = total;
    if (w->raise) tfm_cancel_set(w->raise);
    return w->stop_at && w->calls >= w->stop_at ? -7 : 0;
}

static void test_cancel(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_forward_options options = TFM_FORWARD_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_cancel *cancel = NULL;
    tfm_token ids[80];
    watcher w = {0};
    tiny_ids(ids, 80, 8);
    tiny_feed(session, ids, 10);
    options.progress = watch;
    options.progress_user = &w;
    assert_int_equal(tfm_forward(session, ids + 10, 70, &options, &error), TFM_OK);
    assert_true(w.calls >= 2); /* at the start and at the end */
    assert_int_equal(w.last, 70);
    assert_int_equal(w.total, 70);
    expect_fresh(&t, session);

    assert_int_equal(tfm_session_rewind(session, 10, NULL), TFM_OK);
    w = (watcher){.stop_at = 1};
    assert_int_equal(tfm_forward(session, ids + 20, 60, &options, &error), TFM_E_CANCELLED);
    assert_int_equal(error.code, TFM_E_CANCELLED);
    assert_int_equal(tfm_logits_count(session), 0);
    expect_unchanged(&t, session, ids, 10);

    assert_int_equal(tfm_cancel_create(NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_cancel_create(NULL, &cancel, &error), TFM_OK);
    assert_int_equal(tfm_cancel_is_set(cancel), 0);
    w = (watcher){.raise = cancel}; /* raised in the middle of the call: between two layers it is seen */
    options.cancel = cancel;
    assert_int_equal(tfm_forward(session, ids + 20, 60, &options, &error), TFM_E_CANCELLED);
    assert_int_equal(tfm_cancel_is_set(cancel), 1);
    assert_int_equal(w.calls, 1);
    expect_unchanged(&t, session, ids, 10);
    assert_int_equal(tfm_forward(session, ids, 1, &options, &error), TFM_E_CANCELLED); /* still raised */
    tfm_cancel_reset(cancel);
    options.progress = NULL;
    assert_int_equal(tfm_forward(session, ids + 10, 70, &options, &error), TFM_OK);
    expect_fresh(&t, session);
    tfm_cancel_destroy(cancel);
    tfm_cancel_destroy(NULL);
    tfm_cancel_set(NULL);
    tfm_cancel_reset(NULL);
    assert_int_equal(tfm_cancel_is_set(NULL), 0);
    tfm_session_destroy(session);
    tiny_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_errors_change_nothing),
        cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_cache_types),
        cmocka_unit_test(test_own_tokens),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_fork_copies_little),
        cmocka_unit_test(test_forks_on_threads),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
