/* threads.h - fork-join over a pool of workers, cancel flags, and polling of long calls.
 *
 * tfm__parallel runs fn(arg, i) for i in 0 .. n-1 and returns when all are done. Pieces are claimed
 * dynamically and must not depend on each other or on who runs them. pool NULL, n == 1, or a pool busy with
 * another caller: the calling thread does them all, in order. No piece may call tfm__parallel. */
#ifndef TFM__THREADS_H
#define TFM__THREADS_H

#include "base/base.h"

void tfm__parallel(tfm_pool *pool, size_t n, void (*fn)(void *arg, size_t i), void *arg);

/* Long calls poll this: the cancel flag always, the progress callback at most every 20 ms and at the end
 * (done == total). Returns TFM_OK or fills error and returns TFM_E_CANCELLED. */
typedef struct tfm__watch {
    tfm_progress_fn progress;
    void *progress_user;
    const tfm_cancel *cancel;
    uint64_t last_ns; /* private; 0 at the start: the first poll always reports */
} tfm__watch;
int32_t tfm__watch_poll(tfm__watch *watch, uint64_t done, uint64_t total, tfm_error *error);

/* Monotonic nanoseconds. */
uint64_t tfm__now_ns(void);

#endif
