/* golden_help.h - a file of golden tensors, opened, and comparisons with it. For one cmocka program each. */
#ifndef GOLDEN_HELP_H
#define GOLDEN_HELP_H

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include "formats/formats.h"

#define TOLERANCE 1e-4 /* of the largest golden value */

typedef struct golden {
    double logits_off, others_off,
        attention_off; /* the worst that was seen, of the largest value of a tensor */
    tfm__heap heap;
    tfm__store store;
    tfm__container container;
} golden;

static inline bool golden_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

static inline void golden_open(golden *g, const char *path) {
    tfm_error error = TFM_ERROR_INIT;
    tfm__read_options read = {0};
    memset(g, 0, sizeof *g);
    tfm__heap_init(&g->heap, NULL, 0);
    if (tfm__store_open_path(&g->store, &g->heap, path, &read, &error) ||
        tfm__container_open(&g->store, &g->container, &error))
        fail_msg("%s", error.message);
}

static inline void golden_close(golden *g) {
    tfm__container_release(&g->container);
    tfm__store_close(&g->store);
    assert_int_equal(g->heap.live, 0);
}

static inline bool golden_has(const golden *g, const char *name) {
    return tfm__container_tensor(&g->container, name) != NULL;
}

static inline const tfm__tensor *golden_tensor(const golden *g, const char *name) {
    const tfm__tensor *tensor = tfm__container_tensor(&g->container, name);
    if (!tensor) fail_msg("no golden tensor %s", name);
    return tensor;
}

/* count values of ours beside the golden ones from `first` on; what is largest is sought in the whole tensor.
 */
static inline void golden_compare(golden *g, const char *name, size_t first, const float *ours,
                                  size_t count) {
    const tfm__tensor *tensor = golden_tensor(g, name);
    const float *theirs = (const float *)(const void *)tensor->data;
    size_t all = (size_t)(tensor->bytes / sizeof(float));
    double largest = 0, worst = 0;
    assert_true(first + count <= all);
    for (size_t i = 0; i < all; i++) largest = fmax(largest, fabs((double)theirs[i]));
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)theirs[first + i] - (double)ours[i]);
        if (!(difference <= worst)) worst = difference; /* NaN counts */
    }
    if (!(worst <= TOLERANCE * largest))
        fail_msg("%s, from %zu: off by %g of %g", name, first, worst, largest);
    double *off = strcmp(name, "logits") == 0        ? &g->logits_off
                  : strcmp(name, "attention.0") == 0 ? &g->attention_off
                                                     : &g->others_off;
    *off = fmax(*off, worst / largest);
}

/* A line of tests/golden.sh's table, of what was compared since the last. */
static inline void golden_report(golden *g, const char *path) {
    const double off[] = {g->logits_off, g->others_off, g->attention_off};
    const char *family = strrchr(path, '/');
    bool gguf = strstr(path, ".gguf") != NULL;
    size_t length = gguf ? (size_t)(family - path) : strlen(path), first = length;
    char cell[3][16] = {"", "", ""}; /* empty: not compared */
    while (first > 0 && path[first - 1] != '/') first--;
    for (int i = 0; i < 3; i++)
        if (off[i] > 0) snprintf(cell[i], sizeof cell[i], "%.1e", off[i]);
    print_message("| %.*s | %s | %s | %s | %s | |\n", (int)(length - first), path + first,
                  gguf ? "GGUF" : "safetensors", cell[0], cell[1], cell[2]);
    g->logits_off = g->others_off = g->attention_off = 0;
}

#endif
