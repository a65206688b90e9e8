/* tokenizer_help.h - what the tokenizer tests share: fixtures as bytes, failing allocators, loading. */
#ifndef TOKENIZER_HELP_H
#define TOKENIZER_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tfm/tokenizer.h"

#define FIXTURES TFM_TEST_DATA "/tokenizer/"

typedef struct bytes {
    unsigned char *data;
    size_t size;
} bytes;

/* The content of a file, or {NULL, 0}. */
static inline bytes read_file(const char *path) {
    bytes out = {NULL, 0};
    FILE *file = fopen(path, "rb");
    long size;
    if (!file) return out;
    if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0 &&
        (out.data = malloc((size_t)size + 1)) != NULL) {
        out.size = fread(out.data, 1, (size_t)size, file);
        out.data[out.size] = 0;
    }
    fclose(file);
    return out;
}

static inline bytes read_fixture(const char *name) {
    char path[1024];
    bytes out;
    snprintf(path, sizeof path, "%s%s", FIXTURES, name);
    out = read_file(path);
    if (!out.data) fail_msg("no fixture %s", path);
    return out;
}

static inline bool file_exists(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file) fclose(file);
    return file != NULL;
}

/* Loads a fixture by its path; fails the test if it does not load. */
static inline tfm_tokenizer *load(const char *path) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer *tokenizer = NULL;
    if (tfm_tokenizer_load(path, NULL, &tokenizer, &error)) fail_msg("%s: %s", path, error.message);
    assert_non_null(tokenizer);
    return tokenizer;
}

static inline tfm_tokenizer *load_fixture(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s%s", FIXTURES, name);
    return load(path);
}

/* Loads from memory and returns the status; the tokenizer is thrown away. */
static inline int32_t try_load(const void *data, size_t size, tfm_error *error) {
    tfm_tokenizer *tokenizer = NULL;
    int32_t rc = tfm_tokenizer_load_memory(data, size, NULL, &tokenizer, error);
    if ((rc == TFM_OK) != (tokenizer != NULL))
        fail_msg("status %d with%s a tokenizer", (int)rc, tokenizer ? "" : "out");
    tfm_tokenizer_release(tokenizer);
    return rc;
}

/* A text from a literal that may hold NULs. */
static inline int32_t try_text(const char *text, tfm_error *error) {
    return try_load(text, strlen(text), error);
}

/* Counts what is taken and given back, and refuses from the fail_at-th request on (0: never). */
typedef struct counter {
    size_t requests, fail_at, live;
    bool once; /* refuse only that request */
} counter;

static inline void *counting_realloc(void *user, void *ptr, size_t old_size, size_t new_size, size_t align) {
    counter *c = user;
    void *fresh = NULL;
    if (new_size == 0) {
        c->live -= old_size;
        free(ptr);
        return NULL;
    }
    c->requests++;
    if (c->fail_at && (c->once ? c->requests == c->fail_at : c->requests >= c->fail_at)) return NULL;
    fresh = aligned_alloc(align, (new_size + align - 1) / align * align);
    if (!fresh) return NULL;
    if (ptr) {
        memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
        free(ptr);
        c->live -= old_size;
    }
    c->live += new_size;
    return fresh;
}

#endif
