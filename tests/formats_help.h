/* formats_help.h - what the tests of base and formats share: files as exact-size memory (so that a sanitizer
 * sees the first byte too many), an allocator that fails on order and counts what is out, sweeps over damaged
 * files. */
#ifndef TFM_TESTS_FORMATS_HELP_H
#define TFM_TESTS_FORMATS_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/formats.h"

#ifndef TFM_SHARED
#define TFM_SHARED "shared"
#endif

/* ---- An allocator that can fail
 * ---------------------------------------------------------------------------- */

typedef struct failing {
    size_t calls, fail_at; /* the call that is refused, from 1; 0: none */
    int persistent;        /* and all after it */
    size_t refusals;
    size_t out; /* bytes not given back */
} failing;

static inline void *failing_realloc(void *user, void *ptr, size_t old_size, size_t new_size, size_t align) {
    failing *f = user;
    void *fresh;
    if (new_size == 0) {
        f->out -= old_size;
        free(ptr);
        return NULL;
    }
    f->calls++;
    if (f->fail_at && (f->calls == f->fail_at || (f->persistent && f->calls > f->fail_at))) {
        f->refusals++;
        return NULL;
    }
    fresh = aligned_alloc(align, (new_size + align - 1) / align * align);
    if (!fresh) return NULL;
    memset(fresh, 0xa5, new_size); /* nobody may rely on zeroes */
    f->out += new_size;
    if (ptr) {
        memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
        f->out -= old_size;
        free(ptr);
    }
    return fresh;
}

static inline void failing_heap(tfm__heap *heap, failing *f, size_t fail_at, int persistent) {
    tfm_allocator allocator = TFM_ALLOCATOR_INIT;
    memset(f, 0, sizeof *f);
    f->fail_at = fail_at;
    f->persistent = persistent;
    allocator.user = f;
    allocator.realloc = failing_realloc;
    tfm__heap_init(heap, &allocator, 0);
}

/* Calls job with a heap that fails at the first, second, ... allocation, once and from then on, until none
 * fails any more. The job must give TFM_E_MEMORY whenever it did not succeed, and leave nothing behind. */
typedef int32_t (*failing_job)(tfm__heap *heap, void *arg, tfm_error *error);

static inline void sweep_allocations(failing_job job, void *arg) {
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 1;; n++) {
            tfm__heap heap;
            failing f;
            tfm_error error = TFM_ERROR_INIT;
            int32_t status;
            failing_heap(&heap, &f, n, persistent);
            status = job(&heap, arg, &error);
            assert_int_equal(f.out, 0);
            assert_int_equal(atomic_load(&heap.live), 0);
            if (f.refusals == 0) {
                assert_int_equal(status, TFM_OK);
                assert_true(n > 1);
                break;
            }
            if (status) { /* a growing buffer may have asked for less and got it */
                assert_int_equal(status, TFM_E_MEMORY);
                assert_int_equal(error.code, TFM_E_MEMORY);
            }
            assert_true(n < 10000);
        }
    }
}

/* ---- Files
 * ------------------------------------------------------------------------------------------------- */

typedef struct bytes {
    uint8_t *data;
    size_t size;
} bytes;

static inline int file_exists(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f != NULL;
}

static inline bytes load(const char *path) {
    bytes b = {NULL, 0};
    long size;
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("cannot open %s", path);
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    b.size = (size_t)size;
    b.data = malloc(b.size ? b.size : 1);
    assert_int_equal(fread(b.data, 1, b.size, f), b.size);
    fclose(f);
    return b;
}

static inline void store_bytes(const char *path, const void *data, size_t size) {
    FILE *f = fopen(path, "wb");
    if (!f) fail_msg("cannot write %s", path);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

#define FIXTURE(name) TFM_TEST_DATA "/formats/" name

/* The value of element i that make_fixtures.py gave a tensor. */
static inline float fixture_value(size_t i, size_t salt) {
    return (float)((int)((i * 37 + salt * 11) % 101) - 50) / 64.0f;
}

/* ---- Opening
 * ----------------------------------------------------------------------------------------------- */

static inline int32_t open_memory(tfm__heap *heap, const void *data, size_t size, tfm__container *container,
                                  tfm_error *error) {
    tfm__store store;
    int32_t status = tfm__store_open_memory(&store, heap, data, size, error);
    memset(container, 0, sizeof *container);
    if (status) return status;
    status = tfm__container_open(&store, container, error);
    tfm__store_close(&store);
    return status;
}

static inline int32_t open_path(tfm__heap *heap, const char *path, tfm__container *container,
                                tfm_error *error) {
    tfm__store store;
    int32_t status = tfm__store_open_path(&store, heap, path, NULL, error);
    memset(container, 0, sizeof *container);
    if (status) return status;
    status = tfm__container_open(&store, container, error);
    tfm__store_close(&store);
    return status;
}

/* Opens a path that must fail and gives back the code; the text must hold `says`. */
static inline int32_t refused_path(const char *path, const char *says) {
    tfm__heap heap;
    tfm__container container;
    tfm_error error = TFM_ERROR_INIT;
    int32_t status;
    tfm__heap_init(&heap, NULL, 0);
    status = open_path(&heap, path, &container, &error);
    assert_int_not_equal(status, TFM_OK);
    assert_int_equal(error.code, status);
    if (!strstr(error.message, says)) fail_msg("\"%s\" does not say \"%s\"", error.message, says);
    assert_null(container.tensors);
    assert_int_equal(atomic_load(&heap.live), 0);
    return status;
}

static inline int32_t refused_memory(const void *data, size_t size, const char *says) {
    tfm__heap heap;
    tfm__container container;
    tfm_error error = TFM_ERROR_INIT;
    int32_t status;
    tfm__heap_init(&heap, NULL, 0);
    status = open_memory(&heap, data, size, &container, &error);
    assert_int_not_equal(status, TFM_OK);
    assert_int_equal(error.code, status);
    if (!strstr(error.message, says)) fail_msg("\"%s\" does not say \"%s\"", error.message, says);
    assert_null(container.tensors);
    assert_int_equal(atomic_load(&heap.live), 0);
    return status;
}

/* Looks at everything a container promises: names, both ends of all data, all metadata, look-up of every
 * name. */
static inline uint64_t touch_container(const tfm__container *container) {
    uint64_t sum = 0;
    for (size_t i = 0; i < container->tensor_count; i++) {
        const tfm__tensor *t = &container->tensors[i];
        assert_ptr_equal(tfm__container_tensor(container, t->name), t);
        assert_true(t->dims <= TFM__MAX_DIMS);
        assert_true(t->file < container->blob_count);
        if (t->bytes) sum += t->data[0] + t->data[t->bytes - 1];
    }
    for (size_t i = 0; i < container->meta_count; i++) {
        const tfm__meta *m = &container->metas[i];
        uint64_t u = 0;
        int64_t s = 0;
        double d = 0;
        tfm__text text = {NULL, 0};
        assert_ptr_equal(tfm__container_meta(container, m->key), m);
        for (int end = 0; end < 2; end++) {
            uint64_t at = end && m->count ? m->count - 1 : 0;
            if (tfm__meta_u64(m, at, &u)) sum += u;
            if (tfm__meta_i64(m, at, &s)) sum += (uint64_t)s;
            if (tfm__meta_f64(m, at, &d)) sum += d > 0;
            if (tfm__meta_text(m, at, &text) && text.size) sum += (uint8_t)text.data[text.size - 1];
        }
        assert_false(tfm__meta_u64(m, m->count, &u));
        assert_false(tfm__meta_text(m, m->count, &text));
    }
    return sum;
}

/* Opens damaged bytes: any outcome but a crash, a leak, or an error without a code. Returns the status. */
static inline int32_t try_bytes(const uint8_t *data, size_t size) {
    tfm__heap heap;
    tfm__container container;
    tfm_error error = TFM_ERROR_INIT;
    int32_t status;
    tfm__heap_init(&heap, NULL, (uint64_t)64 << 20); /* no small file may want this much */
    status = open_memory(&heap, data, size, &container, &error);
    if (status) {
        assert_int_equal(error.code, status);
        assert_true(error.message[0] != '\0');
        assert_int_not_equal(status, TFM_E_INTERNAL);
        assert_int_not_equal(status, TFM_E_BUDGET);
        assert_null(container.tensors);
    } else {
        touch_container(&container);
        tfm__container_release(&container);
    }
    assert_int_equal(atomic_load(&heap.live), 0);
    return status;
}

/* Every shorter file must be an error. */
static inline void sweep_truncations(bytes file) {
    for (size_t size = 0; size < file.size; size++) {
        uint8_t *cut = malloc(size ? size : 1);
        memcpy(cut, file.data, size);
        if (try_bytes(cut, size) == TFM_OK)
            fail_msg("cut to %zu of %zu bytes it still opens", size, file.size);
        free(cut);
    }
}

/* Every byte up to limit is replaced by several others. */
static inline void sweep_flips(bytes file, size_t limit) {
    for (size_t at = 0; at < file.size && at < limit; at++) {
        uint8_t old = file.data[at];
        const uint8_t replacements[] = {
            0, 0xff, 0x7f, (uint8_t)(old ^ 1), (uint8_t)(old ^ 0x80), (uint8_t)(old + 8)};
        for (size_t i = 0; i < sizeof replacements; i++) {
            file.data[at] = replacements[i];
            try_bytes(file.data, file.size);
        }
        file.data[at] = old;
    }
}

static inline void put_u32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}
static inline void put_u64(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> 8 * i);
}

#endif
