/* test_threads.c - the pool: every piece exactly once, on any number of threads, with callers that meet; the
 * host's own threads; sleep when idle; cancel flags and polling. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/threads.h"
#include "tiny_model.h"

#define MOST 700

typedef struct region {
    atomic_int runs[MOST];
    atomic_size_t total;
} region;

static void piece(void *argument, size_t i) {
    region *r = argument;
    atomic_fetch_add(&r->runs[i], 1);
    atomic_fetch_add(&r->total, i + 1);
}

/* One region of n pieces; every piece once, and all before it returns. */
static bool run_region(tfm_pool *pool, size_t n) {
    static _Thread_local region r;
    memset(&r, 0, sizeof r);
    tfm__parallel(pool, n, piece, &r);
    if (atomic_load(&r.total) != n * (n + 1) / 2) return false;
    for (size_t i = 0; i < MOST; i++)
        if (atomic_load(&r.runs[i]) != (i < n)) return false;
    return true;
}

static tfm_pool *pool_of(uint32_t threads) {
    tfm_pool_options options = TFM_POOL_OPTIONS_INIT;
    tfm_pool *pool = NULL;
    options.threads = threads;
    assert_int_equal(tfm_pool_create(&options, &pool, NULL), TFM_OK);
    return pool;
}

static void test_create(void **state) {
    (void)state;
    tfm_pool_options options = TFM_POOL_OPTIONS_INIT;
    tfm_pool *pool = (tfm_pool *)&options;
    tfm_error error = TFM_ERROR_INIT;
    assert_int_equal(tfm_pool_create(&options, NULL, &error), TFM_E_ARGUMENT);
    options.threads = 257;
    assert_int_equal(tfm_pool_create(&options, &pool, &error), TFM_E_ARGUMENT);
    assert_null(pool);
    assert_int_equal(tfm_pool_create(NULL, &pool, &error), TFM_OK);
    assert_in_range(tfm_pool_threads(pool), 1, 256);
    tfm_pool_destroy(pool);
    tfm_pool_destroy(NULL);
    assert_int_equal(tfm_pool_threads(NULL), 1);
    for (uint32_t threads = 1; threads <= 4; threads++) {
        pool = pool_of(threads);
        assert_int_equal(tfm_pool_threads(pool), threads);
        tfm_pool_destroy(pool); /* at once, while workers are still starting */
    }
}

static void test_memory(void **state) {
    (void)state;
    for (size_t fail_at = 0; fail_at <= 2; fail_at++) {
        tiny_memory memory = {.fail_at = fail_at};
        tfm_allocator allocator = tiny_allocator(&memory);
        tfm_pool_options options = TFM_POOL_OPTIONS_INIT;
        tfm_pool *pool = NULL;
        tfm_cancel *cancel = NULL;
        tfm_error error = TFM_ERROR_INIT;
        options.allocator = &allocator;
        options.threads = 3;
        assert_int_equal(tfm_pool_create(&options, &pool, &error), fail_at ? TFM_E_MEMORY : TFM_OK);
        assert_int_equal(error.code, fail_at ? TFM_E_MEMORY : TFM_OK);
        assert_true(!pool == (fail_at != 0));
        if (pool) assert_true(run_region(pool, 10));
        tfm_pool_destroy(pool);
        assert_int_equal(memory.out, 0);
        memory.calls = 0;
        assert_int_equal(tfm_cancel_create(&allocator, &cancel, &error),
                         fail_at == 1 ? TFM_E_MEMORY : TFM_OK);
        assert_true(!cancel == (fail_at == 1));
        tfm_cancel_destroy(cancel);
        assert_int_equal(memory.out, 0);
    }
}

/* Thousands of small regions, one after another and with pauses in which workers fall asleep. */
static void test_regions(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 3, 7, 64, MOST};
    for (uint32_t threads = 0; threads <= 4; threads++) {
        tfm_pool *pool = threads ? pool_of(threads) : NULL;
        for (int round = 0; round < 400; round++) {
            assert_true(run_region(pool, sizes[round % TFM__COUNT(sizes)]));
            if (round % 100 == 99) nanosleep(&(struct timespec){0, 2000000}, NULL);
        }
        tfm_pool_destroy(pool);
    }
}

/* A piece that waits for another one running at the same time: proof that two threads work. */
typedef struct meeting {
    atomic_int arrived;
} meeting;

static void meet(void *argument, size_t i) {
    meeting *m = argument;
    (void)i;
    uint64_t begun = tfm__now_ns();
    atomic_fetch_add(&m->arrived, 1);
    while (atomic_load(&m->arrived) < 2 && tfm__now_ns() - begun < 5000000000u) {}
}

static void test_works_at_once(void **state) {
    (void)state;
    tfm_pool *pool = pool_of(2);
    for (int i = 0; i < 20; i++) {
        meeting m = {0};
        uint64_t begun = tfm__now_ns();
        tfm__parallel(pool, 2, meet, &m);
        assert_true(tfm__now_ns() - begun < 5000000000u);
    }
    tfm_pool_destroy(pool);
}

/* ---- Two callers
 * ---------------------------------------------------------------------------------------------- */

typedef struct caller {
    tfm_pool *pool;
    bool good;
} caller;

static void *call_often(void *argument) {
    caller *c = argument;
    c->good = true;
    for (int i = 0; i < 1500; i++) c->good = c->good && run_region(c->pool, (size_t)(i * 37) % 100);
    return NULL;
}

static void test_callers_meet(void **state) {
    (void)state;
    enum { CALLERS = 3 };
    tfm_pool *pool = pool_of(3);
    caller callers[CALLERS];
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller){pool, false};
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(callers[i].good);
    }
    tfm_pool_destroy(pool);
}

/* A caller that finds the pool busy works alone, on its own thread, in order, and does not wait. */
typedef struct busy {
    tfm_pool *pool;
    atomic_bool inside, leave;
    pthread_t own;
    size_t next;
    bool in_order;
} busy;

static void hold(void *argument, size_t i) {
    busy *b = argument;
    if (i) return;
    atomic_store(&b->inside, true);
    while (!atomic_load(&b->leave)) {}
}

static void *hold_pool(void *argument) {
    busy *b = argument;
    tfm__parallel(b->pool, 2, hold, b);
    return NULL;
}

static void in_order(void *argument, size_t i) {
    busy *b = argument;
    b->in_order = b->in_order && i == b->next++ && pthread_equal(b->own, pthread_self());
}

static void test_busy(void **state) {
    (void)state;
    busy b = {.pool = pool_of(2), .in_order = true, .own = pthread_self()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold_pool, &b), 0);
    while (!atomic_load(&b.inside)) {}
    tfm__parallel(b.pool, 50, in_order, &b);
    assert_int_equal(b.next, 50);
    assert_true(b.in_order);
    atomic_store(&b.leave, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    tfm_pool_destroy(b.pool);
}

/* ---- The host's threads
 * --------------------------------------------------------------------------------------- */

typedef struct host {
    int calls;
    size_t pieces;
} host;

static void backwards(void *user, size_t n, void (*fn)(void *arg, size_t i), void *arg) {
    host *h = user;
    h->calls++;
    h->pieces += n;
    while (n-- > 0) fn(arg, n);
}

static void test_host(void **state) {
    (void)state;
    host h = {0};
    tfm_pool_options options = TFM_POOL_OPTIONS_INIT;
    tfm_pool *pool = NULL;
    options.threads = 5;
    options.parallel_for = backwards;
    options.parallel_for_user = &h;
    assert_int_equal(tfm_pool_create(&options, &pool, NULL), TFM_OK);
    assert_int_equal(tfm_pool_threads(pool), 5);
    assert_true(run_region(pool, 100));
    assert_int_equal(h.calls, 1);
    assert_int_equal(h.pieces, 100);
    assert_true(run_region(pool, 1)); /* not worth a call */
    assert_true(run_region(pool, 0));
    assert_int_equal(h.calls, 1);

    tfm_model_options with_pool = TFM_MODEL_OPTIONS_INIT;
    with_pool.pool = pool;
    tiny t = tiny_open(NULL, &with_pool), alone = tiny_open(NULL, NULL);
    tfm_session *a = tiny_session(&t), *b = tiny_session(&alone);
    tfm_token ids[100];
    const float *x, *y;
    tiny_ids(ids, 100, 1);
    tiny_feed(a, ids, 100);
    tiny_feed(b, ids, 100);
    assert_true(h.calls > 1);
    assert_int_equal(tfm_logits(a, 0, &x, NULL, NULL), TFM_OK);
    assert_int_equal(tfm_logits(b, 0, &y, NULL, NULL), TFM_OK);
    assert_memory_equal(x, y, TINY_VOCAB * sizeof *x);
    tfm_session_destroy(a);
    tfm_session_destroy(b);
    tiny_close(&t);
    tiny_close(&alone);
    tfm_pool_destroy(pool);
}

/* ---- Sessions of one model on several threads, sharing a pool
 * --------------------------------------------------- */

typedef struct reader {
    tfm_model *model;
    float out[TINY_VOCAB];
    bool good;
} reader;

static void *read_prompt(void *argument) {
    reader *r = argument;
    tfm_session *session = NULL;
    tfm_token ids[70];
    const float *logits;
    tiny_ids(ids, 70, 11);
    if (tfm_session_create(r->model, NULL, &session, NULL)) return NULL;
    r->good = !tfm_forward(session, ids, 60, NULL, NULL);
    for (int i = 60; i < 70; i++) r->good = r->good && !tfm_forward(session, ids + i, 1, NULL, NULL);
    r->good = r->good && !tfm_logits(session, 0, &logits, NULL, NULL);
    if (r->good) memcpy(r->out, logits, sizeof r->out);
    tfm_session_destroy(session);
    return NULL;
}

static void test_sessions_share(void **state) {
    (void)state;
    enum { READERS = 3 };
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    options.pool = pool_of(3);
    tiny t = tiny_open(NULL, &options);
    uint64_t before = tfm_model_bytes(t.model);
    static reader readers[READERS];
    pthread_t threads[READERS];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < READERS; i++) {
            readers[i] = (reader){.model = t.model};
            assert_int_equal(pthread_create(&threads[i], NULL, read_prompt, &readers[i]), 0);
        }
        for (int i = 0; i < READERS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (int i = 0; i < READERS; i++) {
            assert_true(readers[i].good);
            assert_memory_equal(readers[i].out, readers[0].out, sizeof readers[0].out);
        }
    }
    assert_int_equal(tfm_model_bytes(t.model), before);
    tiny_close(&t);
    tfm_pool_destroy(options.pool);
}

/* ---- Rest
 * ----------------------------------------------------------------------------------------------------- */

static double process_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void test_idle(void **state) {
    (void)state;
    tfm_pool *pool = pool_of(4);
    assert_true(run_region(pool, 100));
    nanosleep(&(struct timespec){0, 50000000}, NULL); /* time to fall asleep */
    double before = process_seconds();
    nanosleep(&(struct timespec){0, 200000000}, NULL);
    assert_true(process_seconds() - before < 0.02); /* three spinning workers would take 0.2 or more */
    assert_true(run_region(pool, 100));             /* and they wake up */
    tfm_pool_destroy(pool);
}

static volatile sig_atomic_t handled;
static pthread_t handled_by;

static void handler(int number) {
    (void)number;
    handled_by = pthread_self();
    handled = 1;
}

/* Signals are blocked in the workers: while the host's thread blocks one too, it waits, and comes to the host
 * in the end. */
static void test_signals(void **state) {
    (void)state;
    struct sigaction action = {.sa_handler = handler}, before;
    sigset_t one, pending;
    tfm_pool *pool = pool_of(4);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &one, NULL), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    for (int i = 0; i < 20; i++) { /* whatever the workers do */
        assert_true(run_region(pool, 10));
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    assert_int_equal(handled, 0);
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(sigismember(&pending, SIGUSR1), 1);
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &one, NULL), 0);
    assert_int_equal(handled, 1);
    assert_true(pthread_equal(handled_by, pthread_self()));
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    tfm_pool_destroy(pool);
}

/* ---- Polling
 * -------------------------------------------------------------------------------------------------- */

typedef struct polled {
    int calls;
    uint64_t done, total;
    int32_t answer;
} polled;

static int32_t record(void *user, uint64_t done, uint64_t total) {
    polled *p = user;
    p->calls++;
    p->done = done;
    p->total = total;
    return p->answer;
}

static void test_poll(void **state) {
    (void)state;
    polled p = {0};
    tfm_error error = TFM_ERROR_INIT;
    tfm_cancel *cancel = NULL;
    tfm__watch watch = {.progress = record, .progress_user = &p};
    assert_int_equal(tfm__watch_poll(NULL, 0, 10, &error), TFM_OK);
    assert_int_equal(tfm__watch_poll(&watch, 0, 1000, &error), TFM_OK);
    assert_int_equal(p.calls, 1); /* the first always */
    uint64_t begun = tfm__now_ns(), elapsed;
    int polls = 0;
    do {
        assert_int_equal(tfm__watch_poll(&watch, 5, 1000, &error), TFM_OK);
        polls++;
        elapsed = tfm__now_ns() - begun;
    } while (elapsed < 110000000u);
    assert_in_range(p.calls, 2,
                    1 + (int)(elapsed / 20000000u) + 1); /* then every 20 ms, however often it is asked */
    assert_true(polls > p.calls);
    int calls = p.calls;
    assert_int_equal(tfm__watch_poll(&watch, 1000, 1000, &error), TFM_OK);
    assert_int_equal(p.calls, calls + 1); /* and at the end */
    assert_int_equal(p.done, 1000);
    assert_int_equal(p.total, 1000);
    p.answer = -3;
    assert_int_equal(tfm__watch_poll(&watch, 1000, 1000, &error), TFM_E_CANCELLED);
    assert_int_equal(error.code, TFM_E_CANCELLED);

    assert_int_equal(tfm_cancel_create(NULL, &cancel, &error), TFM_OK);
    watch = (tfm__watch){.cancel = cancel};
    assert_int_equal(tfm__watch_poll(&watch, 0, 10, &error), TFM_OK);
    tfm_cancel_set(cancel);
    for (int i = 0; i < 3; i++) assert_int_equal(tfm__watch_poll(&watch, 0, 10, &error), TFM_E_CANCELLED);
    tfm_cancel_reset(cancel);
    assert_int_equal(tfm__watch_poll(&watch, 0, 10, &error), TFM_OK);
    tfm_cancel_destroy(cancel);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),       cmocka_unit_test(test_memory),
        cmocka_unit_test(test_regions),      cmocka_unit_test(test_works_at_once),
        cmocka_unit_test(test_callers_meet), cmocka_unit_test(test_busy),
        cmocka_unit_test(test_host),         cmocka_unit_test(test_sessions_share),
        cmocka_unit_test(test_idle),         cmocka_unit_test(test_signals),
        cmocka_unit_test(test_poll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
