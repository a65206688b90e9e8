/* threads.c - the pool: fork-join with dynamic claiming; cancel flags; polling of long calls. POSIX threads.
 *
 * The pieces of a job are divided into one run per thread. A thread claims the pieces of its own run one by
 * one, in order, so that it walks through memory without jumps, and then helps with the runs of the others.
 *
 * A job is published by filling fn, arg and the runs, then raising `open` and `sequence`. A worker that
 * notices a new sequence first counts itself into `inside` and then looks at `open`; the caller, having run
 * out of pieces, lowers `open` and waits until `inside` is zero. Both use sequentially consistent operations,
 * so either the worker sees the closed job and leaves, or the caller sees the worker and waits for it: the
 * job's fields are only rewritten when nobody can be reading them. A worker that sleeps through a whole job
 * is never waited for. */
#define _POSIX_C_SOURCE 200809L
#include "base/threads.h"
#include "base/cpu.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#define MOST_THREADS 256
#define WORKER_STACK ((size_t)1 << 20) /* kernels use up to 128 KiB of it */
#define SPINS 4000                     /* pauses before a worker sleeps: some tens of microseconds */
#define POLL_NS 20000000u

struct tfm_cancel {
    atomic_int raised;
    tfm_allocator allocator;
};

/* The pieces next .. end-1 are still to be claimed. */
struct run {
    _Alignas(64) atomic_size_t next;
    size_t end;
};

struct worker {
    tfm_pool *pool;
    pthread_t thread;
    uint32_t index; /* of its own run; the caller's is 0 */
};

struct tfm_pool {
    tfm__heap heap; /* of the pool itself: first, so that it can be copied out before the end */
    uint32_t threads;
    tfm_parallel_for_fn parallel_for;
    void *parallel_for_user;
    struct worker *workers; /* [threads - 1] */
    uint32_t started;

    atomic_flag busy; /* a caller is using the workers */
    void (*fn)(void *arg, size_t i);
    void *arg;
    struct run *runs; /* [threads] */
    _Alignas(64) atomic_uint sequence;
    atomic_bool open;
    atomic_bool ending;
    _Alignas(64) atomic_uint inside;
    atomic_uint sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

static inline void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void claim_pieces(tfm_pool *pool, uint32_t own) {
    for (uint32_t i = 0; i < pool->threads; i++) {
        struct run *run = &pool->runs[(own + i) % pool->threads];
        for (;;) {
            size_t piece = atomic_fetch_add_explicit(&run->next, 1, memory_order_relaxed);
            if (piece >= run->end) break;
            pool->fn(pool->arg, piece);
        }
    }
}

/* Waits for a sequence other than seen, spinning first; returns it. */
static unsigned wait_for_job(tfm_pool *pool, unsigned seen) {
    for (int spin = 0; spin < SPINS; spin++) {
        unsigned now = atomic_load_explicit(&pool->sequence, memory_order_acquire);
        if (now != seen) return now;
        pause_cpu();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    unsigned now;
    while ((now = atomic_load(&pool->sequence)) == seen) pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
    return now;
}

static void *worker_main(void *argument) {
    struct worker *self = argument;
    tfm_pool *pool = self->pool;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_job(pool, seen);
        if (atomic_load(&pool->ending)) return NULL;
        atomic_fetch_add(&pool->inside, 1);
        if (atomic_load(&pool->open)) claim_pieces(pool, self->index);
        atomic_fetch_sub(&pool->inside, 1);
    }
}

static void announce(tfm_pool *pool) {
    atomic_fetch_add(&pool->sequence, 1);
    if (atomic_load(&pool->sleepers)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

void tfm__parallel(tfm_pool *pool, size_t n, void (*fn)(void *arg, size_t i), void *arg) {
    if (pool && n > 1 && pool->parallel_for) {
        pool->parallel_for(pool->parallel_for_user, n, fn, arg);
        return;
    }
    if (!pool || n < 2 || pool->started == 0 || atomic_flag_test_and_set(&pool->busy)) {
        for (size_t i = 0; i < n; i++) fn(arg, i);
        return;
    }
    pool->fn = fn;
    pool->arg = arg;
    for (uint32_t i = 0; i < pool->threads; i++) {
        /* n * i / threads without overflow */
        size_t share = n / pool->threads, rest = n % pool->threads;
        size_t first = share * i + TFM__MIN(i, rest);
        atomic_store(&pool->runs[i].next, first);
        pool->runs[i].end = first + share + (i < rest);
    }
    atomic_store(&pool->open, true);
    announce(pool);
    claim_pieces(pool, 0);
    atomic_store(&pool->open, false);
    for (int spin = 0; atomic_load(&pool->inside) != 0; spin++) {
        if (spin < SPINS)
            pause_cpu();
        else
            sched_yield();
    }
    atomic_flag_clear(&pool->busy);
}

/* Starts the workers with every signal blocked in them; as many as the system grants: fewer is not an error.
 */
static void start_workers(tfm_pool *pool) {
    sigset_t all, before;
    pthread_attr_t attributes;
    sigfillset(&all);
    if (pthread_attr_init(&attributes)) return;
    pthread_attr_setstacksize(&attributes, WORKER_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->started + 1 < pool->threads) {
        struct worker *worker = &pool->workers[pool->started];
        worker->pool = pool;
        worker->index = pool->started + 1;
        if (pthread_create(&worker->thread, &attributes, worker_main, worker)) break;
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    pool->threads = pool->started + 1;
}

int32_t tfm_pool_create(const tfm_pool_options *options, tfm_pool **out, tfm_error *error) {
    tfm_pool_options given;
    if (!out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_pool_create: out is NULL");
    *out = NULL;
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_pool_options", error);
    if (status) return status;
    if (given.threads > MOST_THREADS)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_pool_create: %u threads, at most %d", given.threads,
                         MOST_THREADS);
    tfm__heap heap;
    tfm__heap_init(&heap, given.allocator, 0);
    tfm_pool *pool = tfm__alloc_zero(&heap, sizeof *pool);
    if (!pool) return tfm__fail_memory(error, &heap, sizeof *pool);
    tfm__heap_init(&pool->heap, given.allocator, 0);
    pool->threads = given.threads ? given.threads : TFM__MIN(tfm__cpu_count(), MOST_THREADS);
    pool->parallel_for = given.parallel_for;
    pool->parallel_for_user = given.parallel_for_user;
    atomic_flag_clear(&pool->busy);
    if (pool->parallel_for || pool->threads == 1) {
        *out = pool;
        return TFM_OK;
    }
    pool->workers = tfm__alloc_array(&pool->heap, pool->threads, sizeof *pool->workers);
    pool->runs = tfm__alloc_array(&pool->heap, pool->threads, sizeof *pool->runs);
    if (!pool->workers || !pool->runs) {
        status = tfm__fail_memory(error, &pool->heap, pool->threads * sizeof *pool->runs);
        tfm__free(&pool->heap, pool->workers);
        tfm__free(&pool->heap, pool->runs);
        tfm__free(&heap, pool);
        return status;
    }
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    start_workers(pool);
    *out = pool;
    return TFM_OK;
}

void tfm_pool_destroy(tfm_pool *pool) {
    if (!pool) return;
    if (pool->workers) {
        atomic_store(&pool->ending, true);
        announce(pool);
        for (uint32_t i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
        pthread_cond_destroy(&pool->wake);
        pthread_mutex_destroy(&pool->mutex);
        tfm__free(&pool->heap, pool->workers);
        tfm__free(&pool->heap, pool->runs);
    }
    tfm__heap heap;
    tfm__heap_init(&heap, &pool->heap.allocator, 0);
    tfm__free(&heap, pool);
}

uint32_t tfm_pool_threads(const tfm_pool *pool) { return pool ? pool->threads : 1; }

/* ---- Cancel flags and polling -------------------------------------------------------------------------- */

int32_t tfm_cancel_create(const tfm_allocator *allocator, tfm_cancel **out, tfm_error *error) {
    if (!out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_cancel_create: out is NULL");
    *out = NULL;
    tfm__heap heap;
    tfm__heap_init(&heap, allocator, 0);
    tfm_cancel *cancel = tfm__alloc_zero(&heap, sizeof *cancel);
    if (!cancel) return tfm__fail_memory(error, &heap, sizeof *cancel);
    cancel->allocator = heap.allocator;
    *out = cancel;
    return TFM_OK;
}

void tfm_cancel_destroy(tfm_cancel *cancel) {
    if (!cancel) return;
    tfm__heap heap;
    tfm__heap_init(&heap, &cancel->allocator, 0);
    tfm__free(&heap, cancel);
}

void tfm_cancel_set(tfm_cancel *cancel) {
    if (cancel) atomic_store_explicit(&cancel->raised, 1, memory_order_release);
}

void tfm_cancel_reset(tfm_cancel *cancel) {
    if (cancel) atomic_store_explicit(&cancel->raised, 0, memory_order_release);
}

int32_t tfm_cancel_is_set(const tfm_cancel *cancel) {
    return cancel && atomic_load_explicit(&((tfm_cancel *)cancel)->raised, memory_order_acquire);
}

uint64_t tfm__now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int32_t tfm__watch_poll(tfm__watch *watch, uint64_t done, uint64_t total, tfm_error *error) {
    if (!watch) return TFM_OK;
    if (tfm_cancel_is_set(watch->cancel)) return tfm__fail(error, TFM_E_CANCELLED, "cancelled");
    if (!watch->progress) return TFM_OK;
    uint64_t now = tfm__now_ns();
    if (watch->last_ns && done < total && now - watch->last_ns < POLL_NS) return TFM_OK;
    watch->last_ns = now;
    if (watch->progress(watch->progress_user, done, total))
        return tfm__fail(error, TFM_E_CANCELLED, "stopped by the progress callback");
    return TFM_OK;
}
