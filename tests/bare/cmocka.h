/* cmocka.h - the few functions of cmocka's interface that the tests of the kernels use, written anew for
 * machines that are cross-compiled for and have no cmocka (TFM_TESTS_BARE). Same names, same meaning: a
 * failed assertion ends its test, the others go on, and what cmocka_run_group_tests gives is how many failed.
 * One program, one thread. */
#ifndef TFM_TESTS_BARE_CMOCKA_H
#define TFM_TESTS_BARE_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
};
#define cmocka_unit_test(function)                                                                           \
    { #function, function }

static jmp_buf bare_failed; /* where the test that runs now was called */

static inline void bare_print(FILE *to, const char *format, va_list list) {
    vfprintf(to, format, list);
    fflush(to);
}

__attribute__((format(printf, 1, 2))) static inline void print_message(const char *format, ...) {
    va_list list;
    va_start(list, format);
    bare_print(stdout, format, list);
    va_end(list);
}

__attribute__((format(printf, 3, 4), noreturn)) static inline void bare_fail(const char *file, int line,
                                                                             const char *format, ...) {
    va_list list;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(list, format);
    bare_print(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    longjmp(bare_failed, 1);
}

static inline void bare_equal(const char *file, int line, uintmax_t a, uintmax_t b, int wanted) {
    if ((a == b) != wanted) bare_fail(file, line, "%#jx and %#jx are%s equal", a, b, wanted ? " not" : "");
}

static inline void bare_same_bytes(const char *file, int line, const void *a, const void *b, size_t size) {
    const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;
    for (size_t i = 0; i < size; i++)
        if (x[i] != y[i]) bare_fail(file, line, "byte %zu of %zu: %02x and %02x", i, size, x[i], y[i]);
}

#define fail_msg(...) bare_fail(__FILE__, __LINE__, __VA_ARGS__)
#define assert_true(what)                                                                                    \
    do {                                                                                                     \
        if (!(what)) bare_fail(__FILE__, __LINE__, "%s", "not so: " #what);                                  \
    } while (0)
#define assert_false(what) assert_true(!(what))
#define assert_null(what) assert_true((what) == NULL)
#define assert_non_null(what) assert_true((what) != NULL)
#define assert_ptr_equal(a, b) assert_true((const void *)(a) == (const void *)(b))
#define assert_int_equal(a, b) bare_equal(__FILE__, __LINE__, (uintmax_t)(a), (uintmax_t)(b), 1)
#define assert_int_not_equal(a, b) bare_equal(__FILE__, __LINE__, (uintmax_t)(a), (uintmax_t)(b), 0)
#define assert_memory_equal(a, b, size) bare_same_bytes(__FILE__, __LINE__, a, b, size)

typedef int (*bare_fixture)(void **state);

static inline int bare_run(const struct CMUnitTest *tests, size_t count, bare_fixture setup,
                           bare_fixture teardown) {
    volatile int failed = 0;
    void *state = NULL;
    if (setjmp(bare_failed) || (setup && setup(&state))) {
        print_message("[  FAILED  ] what all tests need\n");
        return (int)count;
    }
    for (volatile size_t i = 0; i < count; i++) {
        print_message("[ RUN      ] %s\n", tests[i].name);
        if (setjmp(bare_failed) == 0) {
            tests[i].test(&state);
            print_message("[       OK ] %s\n", tests[i].name);
        } else {
            failed = failed + 1;
            print_message("[  FAILED  ] %s\n", tests[i].name);
        }
    }
    if (setjmp(bare_failed) || (teardown && teardown(&state))) failed = failed + 1;
    print_message("[==========] %zu tests, %d failed\n", count, failed);
    return failed;
}
#define cmocka_run_group_tests(tests, setup, teardown)                                                       \
    bare_run(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

#endif
