/* test_base.c - status codes and errors, the heap with its budget, buffer and arena, number types, files,
 * stores, host sources and the safe writer (src/base/). */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats_help.h"

/* ---- Status and errors -----------------------------------------------------------------------------------
 */

static void test_status(void **state) {
    static const struct {
        int32_t code;
        const char *name;
    } codes[] = {
#define TFM__STATUS(symbol, text) {symbol, #symbol},
#include "base/status.inc"
#undef TFM__STATUS
    };
    (void)state;
    assert_int_equal(TFM__COUNT(codes), 17);
    for (size_t i = 0; i < TFM__COUNT(codes); i++) {
        assert_string_equal(tfm_status_name(codes[i].code), codes[i].name);
        assert_true(strlen(tfm_status_text(codes[i].code)) > 5);
        assert_true(codes[i].code <= 0);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(codes[i].code, codes[k].code);
            assert_string_not_equal(tfm_status_text(codes[i].code), tfm_status_text(codes[k].code));
        }
    }
    assert_string_equal(tfm_status_name(-1), "TFM_E_?");
    assert_string_equal(tfm_status_name(1), "TFM_E_?");
    assert_string_equal(tfm_status_name(INT32_MIN), "TFM_E_?");
    assert_non_null(tfm_status_text(12345));
}

static void test_fail(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    char longer[2000];
    (void)state;
    assert_int_equal(tfm__fail(NULL, TFM_E_IO, "%d", 1), TFM_E_IO);
    assert_int_equal(tfm__fail(&error, TFM_E_IO, "number %d of %s", 7, "x"), TFM_E_IO);
    assert_int_equal(error.code, TFM_E_IO);
    assert_string_equal(error.message, "number 7 of x");
    assert_string_equal(error.file, "");
    tfm__fail(&error, TFM_E_FORMAT, "again: %s", error.message); /* arguments may point into the error */
    assert_string_equal(error.message, "again: number 7 of x");
    tfm__fail(&error, TFM_E_MEMORY, "%s", "");
    assert_string_equal(error.message, tfm_status_text(TFM_E_MEMORY));

    tfm__fail_at(&error, TFM_E_FORMAT, "dir/m.gguf", "a.weight", 99, "is %s", "odd");
    assert_string_equal(error.message, "dir/m.gguf: tensor 'a.weight': is odd (at byte 99)");
    assert_string_equal(error.file, "dir/m.gguf");
    assert_string_equal(error.tensor, "a.weight");
    assert_int_equal(error.offset, 99);
    tfm__fail_at(&error, TFM_E_FORMAT, "m", NULL, TFM__NO_OFFSET, "short");
    assert_string_equal(error.message, "m: short");
    assert_string_equal(error.tensor, "");
    assert_int_equal(error.offset, 0);
    tfm__fail_at(&error, TFM_E_FORMAT, NULL, NULL, 5, "bare");
    assert_string_equal(error.message, "bare (at byte 5)");

    /* everything is cut at the end of its field, between characters */
    memset(longer, 'a', sizeof longer);
    memcpy(longer + 254, "\xc3\xa9", 2); /* would straddle the end of `file` */
    longer[sizeof longer - 1] = '\0';
    tfm__fail_at(&error, TFM_E_FORMAT, longer, longer, 1, "%s", longer);
    assert_int_equal(strlen(error.file), 254);
    assert_int_equal(strlen(error.tensor), sizeof error.tensor - 1);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

/* A caller built against a header with less in the struct. */
static void test_small_error(void **state) {
    union {
        tfm_error error;
        unsigned char raw[sizeof(tfm_error)];
    } u;
    size_t size = offsetof(tfm_error, file);
    (void)state;
    memset(&u, 0x5a, sizeof u);
    memcpy(&u.error, &size, sizeof size);
    tfm__fail_at(&u.error, TFM_E_IO, "file", "tensor", 3, "text");
    assert_int_equal(u.error.code, TFM_E_IO);
    assert_string_equal(u.error.message, "file: tensor 'tensor': text (at byte 3)");
    for (size_t i = size; i < sizeof u; i++) assert_int_equal(u.raw[i], 0x5a);
    memset(&u, 0, sizeof u); /* struct_size 0: nothing is known to be ours */
    assert_int_equal(tfm__fail(&u.error, TFM_E_IO, "text"), TFM_E_IO);
    for (size_t i = 0; i < sizeof u; i++) assert_int_equal(u.raw[i], 0);
}

typedef struct options {
    size_t struct_size;
    uint32_t a, b;
} options;

static void test_take_options(void **state) {
    struct {
        options known;
        unsigned char tail[64];
    } given;
    options out;
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    memset(&given, 0, sizeof given);
    given.known.a = 7;
    given.known.b = 8;
    memset(&out, 1, sizeof out);
    assert_int_equal(tfm__take_options(NULL, &out, sizeof out, "x", &error), TFM_OK);
    assert_true(out.a == 0 && out.b == 0);
    given.known.struct_size = sizeof(options);
    assert_int_equal(tfm__take_options(&given, &out, sizeof out, "x", &error), TFM_OK);
    assert_true(out.a == 7 && out.b == 8 && out.struct_size == sizeof out);
    given.known.struct_size = offsetof(options, b); /* older */
    assert_int_equal(tfm__take_options(&given, &out, sizeof out, "x", &error), TFM_OK);
    assert_true(out.a == 7 && out.b == 0);
    given.known.struct_size = sizeof given; /* newer, nothing new used */
    assert_int_equal(tfm__take_options(&given, &out, sizeof out, "x", &error), TFM_OK);
    assert_true(out.a == 7 && out.b == 8);
    given.tail[63] = 1; /* newer, something used */
    assert_int_equal(tfm__take_options(&given, &out, sizeof out, "x_options", &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "x_options"));
    given.known.struct_size = 3;
    assert_int_equal(tfm__take_options(&given, &out, sizeof out, "x", &error), TFM_E_ARGUMENT);
    given.known.struct_size = (size_t)0xa5a5a5a5; /* never set */
    assert_int_equal(tfm__take_options(&given, &out, sizeof out, "x", &error), TFM_E_ARGUMENT);
}

static void test_give_struct(void **state) {
    options full = {0, 7, 8};
    struct {
        options known;
        uint32_t tail;
    } out;
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    memset(&out, 0x5a, sizeof out);
    out.known.struct_size = sizeof(options);
    assert_int_equal(tfm__give_struct(&out, &full, sizeof full, "x", &error), TFM_OK);
    assert_true(out.known.a == 7 && out.known.b == 8 && out.known.struct_size == sizeof(options));
    assert_true(out.tail == 0x5a5a5a5a);
    out.known.struct_size = offsetof(options, b); /* older: b is not the caller's */
    out.known.a = out.known.b = 1;
    assert_int_equal(tfm__give_struct(&out, &full, sizeof full, "x", &error), TFM_OK);
    assert_true(out.known.a == 7 && out.known.b == 1 && out.known.struct_size == offsetof(options, b));
    out.known.struct_size = 3;
    assert_int_equal(tfm__give_struct(&out, &full, sizeof full, "x", &error), TFM_E_ARGUMENT);
    out.known.struct_size = (size_t)0xa5a5a5a5;
    assert_int_equal(tfm__give_struct(&out, &full, sizeof full, "x", &error), TFM_E_ARGUMENT);
}

/* ---- Heap ------------------------------------------------------------------------------------------------
 */

static void test_heap(void **state) {
    tfm__heap heap;
    failing f;
    unsigned char *p, *q;
    (void)state;
    failing_heap(&heap, &f, 0, 0);
    p = tfm__alloc(&heap, 100);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    assert_true(atomic_load(&heap.live) >= 100);
    assert_int_equal(atomic_load(&heap.live), f.out);
    for (int i = 0; i < 100; i++) p[i] = (unsigned char)i;
    p = tfm__resize(&heap, p, 10000);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (int i = 0; i < 100; i++) assert_int_equal(p[i], i);
    p = tfm__resize(&heap, p, 50);
    for (int i = 0; i < 50; i++) assert_int_equal(p[i], i);
    assert_int_equal(atomic_load(&heap.live), f.out);
    q = tfm__alloc_zero(&heap, 1000);
    for (int i = 0; i < 1000; i++) assert_int_equal(q[i], 0);
    tfm__free(&heap, q);
    q = tfm__alloc_array(&heap, 10, 7);
    for (int i = 0; i < 70; i++) assert_int_equal(q[i], 0);
    tfm__free(&heap, q);
    q = tfm__alloc(&heap, 0);
    assert_non_null(q);
    q = tfm__resize(&heap, q, 0);
    assert_non_null(q);
    tfm__free(&heap, q);
    q = tfm__resize(&heap, NULL, 5);
    assert_non_null(q);
    tfm__free(&heap, q);
    q = (unsigned char *)tfm__copy_text(&heap, "abcdef", 3);
    assert_string_equal((char *)q, "abc");
    tfm__free(&heap, q);
    tfm__free(&heap, NULL);
    tfm__free(&heap, p);
    assert_int_equal(atomic_load(&heap.live), 0);
    assert_int_equal(f.out, 0);
    assert_true(atomic_load(&heap.taken) >= 7);
    /* sizes that cannot be */
    assert_null(tfm__alloc(&heap, SIZE_MAX));
    assert_null(tfm__alloc_zero(&heap, SIZE_MAX - 10));
    assert_null(tfm__alloc_array(&heap, SIZE_MAX / 2, 3));
    assert_null(tfm__copy_text(&heap, "", SIZE_MAX));
    assert_int_equal(atomic_load(&heap.live), 0);
}

static void test_budget(void **state) {
    tfm__heap heap;
    void *p, *q;
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    tfm__heap_init(&heap, NULL, 10000);
    p = tfm__alloc(&heap, 6000);
    assert_non_null(p);
    assert_null(tfm__alloc(&heap, 6000));
    assert_int_equal(tfm__fail_memory(&error, &heap, 6000), TFM_E_BUDGET);
    assert_non_null(strstr(error.message, "6000"));
    assert_non_null(strstr(error.message, "10000"));
    assert_null(tfm__resize(&heap, p, 20000)); /* refused, and p is as it was */
    q = tfm__alloc(&heap, 3000);
    assert_non_null(q);
    tfm__free(&heap, p);
    p = tfm__alloc(&heap, 6000);
    assert_non_null(p);
    assert_null(tfm__alloc(&heap, SIZE_MAX));
    assert_int_equal(tfm__fail_memory(&error, &heap, 5), TFM_E_MEMORY); /* that one was not the budget's */
    tfm__free(&heap, p);
    tfm__free(&heap, q);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static void *misaligned_realloc(void *user, void *ptr, size_t old_size, size_t new_size, size_t align) {
    size_t *out = user;
    (void)align;
    if (new_size == 0) {
        *out -= old_size;
        free((char *)ptr - 8);
        return NULL;
    }
    *out += new_size;
    return (char *)aligned_alloc(64, (new_size + 8 + 63) / 64 * 64) + 8;
}

static void test_bad_allocator(void **state) {
    tfm_allocator allocator = TFM_ALLOCATOR_INIT;
    tfm__heap heap;
    size_t out = 0;
    (void)state;
    allocator.user = &out;
    allocator.realloc = misaligned_realloc;
    tfm__heap_init(&heap, &allocator, 0);
    assert_null(tfm__alloc(&heap, 100)); /* an alignment that is ignored is no memory */
    assert_int_equal(out, 0);
    assert_int_equal(atomic_load(&heap.live), 0);
}

/* Aligns what is new, but changes sizes as realloc would: to an odd place. aligned: how many new blocks are
 * left. */
typedef struct forgetful {
    int aligned;
    size_t out;
} forgetful;

/* A block of size bytes, `shift` bytes behind an alignment of 64; shift is kept in front of it. */
static void *shifted_block(size_t size, size_t shift) {
    char *base = aligned_alloc(64, (size + 128 + 63) / 64 * 64);
    memcpy(base + 64 + shift - 8, &shift, 8);
    return base + 64 + shift;
}

static void *forgetful_realloc(void *user, void *ptr, size_t old_size, size_t new_size, size_t align) {
    forgetful *f = user;
    size_t shift;
    char *fresh = NULL;
    (void)align;
    if (!ptr && f->aligned-- <= 0) return NULL;
    if (new_size) fresh = shifted_block(new_size, ptr ? 8 : 0);
    if (new_size) f->out += new_size;
    if (ptr) {
        if (fresh) memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
        memcpy(&shift, (char *)ptr - 8, 8);
        free((char *)ptr - shift - 64);
        f->out -= old_size;
    }
    return fresh;
}

static void test_forgetful_allocator(void **state) {
    (void)state;
    for (int aligned = 1; aligned <= 2; aligned++) {
        forgetful f = {aligned, 0};
        tfm_allocator allocator = TFM_ALLOCATOR_INIT;
        tfm__heap heap;
        char *p;
        allocator.user = &f;
        allocator.realloc = forgetful_realloc;
        tfm__heap_init(&heap, &allocator, 0);
        p = tfm__alloc(&heap, 6);
        assert_non_null(p);
        memcpy(p, "hello", 6);
        p = tfm__resize(&heap, p, 1000);
        assert_string_equal(p, "hello");
        if (aligned == 2) assert_int_equal((uintptr_t)p % 64, 0);
        assert_int_equal(atomic_load(&heap.live), f.out);
        tfm__free(&heap, p);
        assert_int_equal(f.out, 0);
        assert_int_equal(atomic_load(&heap.live), 0);
    }
}

static int32_t buffer_job(tfm__heap *heap, void *arg, tfm_error *error) {
    tfm__buffer buffer;
    int32_t status = TFM_OK;
    (void)arg;
    tfm__buffer_init(&buffer, heap);
    for (uint32_t i = 0; i < 2000 && status == TFM_OK; i++)
        if (!tfm__buffer_append(&buffer, &i, sizeof i)) status = tfm__fail_memory(error, heap, sizeof i);
    if (status == TFM_OK) {
        assert_int_equal(buffer.size, 8000);
        for (uint32_t i = 0; i < 2000; i++) assert_memory_equal(buffer.data + 4 * i, &i, 4);
        assert_false(tfm__buffer_reserve(&buffer, SIZE_MAX));
        assert_int_equal(buffer.size, 8000);
    }
    tfm__buffer_free(&buffer);
    tfm__buffer_free(&buffer);
    return status;
}

static int32_t arena_job(tfm__heap *heap, void *arg, tfm_error *error) {
    static const size_t sizes[] = {1, 16, 17, 0, 100, 5000, 3, 70000, 8, 300000, 1};
    tfm__arena arena;
    unsigned char *pieces[TFM__COUNT(sizes) * 5];
    size_t count = 0;
    int32_t status = TFM_OK;
    (void)arg;
    tfm__arena_init(&arena, heap);
    for (int round = 0; round < 5 && status == TFM_OK; round++) {
        for (size_t i = 0; i < TFM__COUNT(sizes) && status == TFM_OK; i++) {
            unsigned char *p = tfm__arena_alloc(&arena, sizes[i]);
            if (!p) {
                status = tfm__fail_memory(error, heap, sizes[i]);
                break;
            }
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t k = 0; k < sizes[i]; k++) assert_true(p[k] == 0);
            memset(p, (int)(count & 0xff), sizes[i]);
            pieces[count++] = p;
        }
    }
    for (size_t i = 0; i < count; i++) { /* nobody wrote over anybody */
        size_t size = sizes[i % TFM__COUNT(sizes)];
        if (size) assert_true(pieces[i][0] == (i & 0xff) && pieces[i][size - 1] == (i & 0xff));
    }
    if (status == TFM_OK) {
        assert_string_equal(tfm__arena_text(&arena, "hello", 4), "hell");
        assert_null(tfm__arena_alloc(&arena, SIZE_MAX));
        assert_null(tfm__arena_text(&arena, "", SIZE_MAX));
    }
    tfm__arena_free(&arena);
    return status;
}

static void test_buffer_and_arena(void **state) {
    (void)state;
    sweep_allocations(buffer_job, NULL);
    sweep_allocations(arena_job, NULL);
}

static void test_checked(void **state) {
    uint64_t u = 5;
    size_t s = 5;
    static const uint8_t raw[] = {0xff, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x88};
    (void)state;
    assert_true(tfm__mul_u64(0, UINT64_MAX, &u) && u == 0);
    assert_true(tfm__mul_u64(UINT64_MAX, 1, &u) && u == UINT64_MAX);
    u = 5;
    assert_false(tfm__mul_u64(UINT64_MAX / 2 + 1, 2, &u));
    assert_false(tfm__add_u64(UINT64_MAX, 1, &u));
    assert_true(u == 5);
    assert_false(tfm__mul_size(SIZE_MAX / 2 + 1, 2, &s));
    assert_false(tfm__add_size(SIZE_MAX, 1, &s));
    assert_true(s == 5);
    assert_true(tfm__add_u64(UINT64_MAX - 1, 1, &u) && u == UINT64_MAX);
    assert_int_equal(tfm__u16_le(raw + 1), 0x0201);
    assert_int_equal(tfm__u32_le(raw + 1), 0x04030201);
    assert_true(tfm__u64_le(raw + 1) == 0x8807060504030201u);
}

/* ---- Number types ----------------------------------------------------------------------------------------
 */

static void test_dtypes(void **state) {
    static const struct {
        uint32_t id;
        const char *name;
        uint16_t block, bytes;
    } known[] = {
        {0, "F32", 1, 4},       {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},    {3, "Q4_1", 32, 20},
        {6, "Q5_0", 32, 22},    {7, "Q5_1", 32, 24},      {8, "Q8_0", 32, 34},    {10, "Q2_K", 256, 84},
        {11, "Q3_K", 256, 110}, {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176}, {14, "Q6_K", 256, 210},
        {20, "IQ4_NL", 32, 18}, {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},       {25, "I16", 1, 2},
        {26, "I32", 1, 4},      {27, "I64", 1, 8},        {28, "F64", 1, 8},      {30, "BF16", 1, 2},
        {39, "MXFP4", 32, 17},  {9, "Q8_1", 0, 0},        {16, "IQ2_XXS", 0, 0},  {17, "IQ2_XS", 0, 0},
        {29, "IQ1_M", 0, 0},    {34, "TQ1_0", 0, 0},      {40, "NVFP4", 0, 0},
    };
    static const uint32_t unknown[] = {4, 5, 31, 33, 36, 38, 41, 42, 1000, UINT32_MAX};
    uint64_t size = 7;
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(known); i++) {
        const tfm__dtype *d = tfm__dtype_of(known[i].id);
        assert_non_null(d);
        assert_string_equal(d->name, known[i].name);
        assert_int_equal(d->block, known[i].block);
        if (d->block) {
            assert_int_equal(d->block_bytes, known[i].bytes);
            assert_true(tfm__row_bytes(known[i].id, 512, &size) && size == 512u / d->block * d->block_bytes);
            assert_true(tfm__row_bytes(known[i].id, 0, &size) && size == 0);
            if (d->block > 1) assert_false(tfm__row_bytes(known[i].id, 513, &size));
        } else {
            assert_false(d->weights);
            assert_false(tfm__row_bytes(known[i].id, 512, &size));
        }
    }
    for (size_t i = 0; i < TFM__COUNT(unknown); i++) {
        assert_null(tfm__dtype_of(unknown[i]));
        assert_false(tfm__row_bytes(unknown[i], 256, &size));
    }
    assert_false(tfm__row_bytes(TFM__F32, UINT64_MAX / 2, &size));
    assert_false(tfm__row_bytes(TFM__F64, UINT64_MAX / 4, &size));
}

/* All 65536 halves and bfloat16 go there and back; values between two go to the nearer, ties to the even one.
 */
static void test_halves(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = tfm__f16_to_f32((uint16_t)h), b = tfm__bf16_to_f32((uint16_t)h);
        bool nan16 = (h & 0x7c00) == 0x7c00 && (h & 0x3ff), nanb = (h & 0x7f80) == 0x7f80 && (h & 0x7f);
        assert_int_equal(f != f, nan16);
        assert_int_equal(b != b, nanb);
        if (nan16)
            assert_true(tfm__f16_to_f32(tfm__f32_to_f16(f)) != tfm__f16_to_f32(tfm__f32_to_f16(f)));
        else
            assert_int_equal(tfm__f32_to_f16(f), h);
        if (nanb)
            assert_true(tfm__bf16_to_f32(tfm__f32_to_bf16(b)) != tfm__bf16_to_f32(tfm__f32_to_bf16(b)));
        else
            assert_int_equal(tfm__f32_to_bf16(b), h);
    }
    for (uint32_t h = 0; h < 0x7bff; h++) { /* neighbours h, h + 1, both signs */
        double low = (double)tfm__f16_to_f32((uint16_t)h), high = (double)tfm__f16_to_f32((uint16_t)(h + 1));
        float middle = (float)((low + high) / 2); /* exact: one bit more */
        uint32_t even = h & 1 ? h + 1 : h, bits = tfm__bits_of_f32(middle);
        assert_int_equal(tfm__f32_to_f16(middle), even);
        assert_int_equal(tfm__f32_to_f16(-middle), even | 0x8000);
        assert_int_equal(tfm__f32_to_f16(tfm__f32_of_bits(bits - 1)), h);
        assert_int_equal(tfm__f32_to_f16(tfm__f32_of_bits(bits + 1)), h + 1);
    }
    assert_int_equal(tfm__f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(tfm__f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(tfm__f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(tfm__f32_to_f16(1e-30f), 0);
    assert_int_equal(tfm__f32_to_bf16(tfm__f32_of_bits(0x3f808000)), 0x3f80); /* tie to even */
    assert_int_equal(tfm__f32_to_bf16(tfm__f32_of_bits(0x3f818000)), 0x3f82);
    assert_int_equal(tfm__f32_to_bf16(tfm__f32_of_bits(0x7f7fffff)), 0x7f80); /* rounds to infinity */
}

/* ---- Files -----------------------------------------------------------------------------------------------
 */

static char folder[64];
static char path_of_last[512];

static const char *in_folder(const char *name) {
    snprintf(path_of_last, sizeof path_of_last, "%s/%s", folder, name);
    return path_of_last;
}

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/tfm-base-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static size_t files_in_folder(void) {
    DIR *d = opendir(folder);
    size_t count = 0;
    struct dirent *entry;
    while ((entry = readdir(d)) != NULL) count += entry->d_name[0] != '.';
    closedir(d);
    return count;
}

static int remove_folder(void **state) {
    DIR *d = opendir(folder);
    struct dirent *entry;
    (void)state;
    while ((entry = readdir(d)) != NULL)
        if (entry->d_name[0] != '.') remove(in_folder(entry->d_name));
    closedir(d);
    return rmdir(folder);
}

static int32_t read_main(tfm__heap *heap, const char *path, const tfm__read_options *read_options,
                         tfm__blob *blob, tfm_error *error) {
    tfm__store store;
    int32_t status = tfm__store_open_path(&store, heap, path, read_options, error);
    if (status) return status;
    status = tfm__store_main(&store, blob, error);
    tfm__store_close(&store);
    return status;
}

static void test_read_and_map(void **state) {
    tfm__heap heap;
    tfm__blob blob;
    tfm__read_options into_memory = {true, NULL, NULL, NULL};
    tfm_error error = TFM_ERROR_INIT;
    char *copy;
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    store_bytes(in_folder("f"), "hello\0world", 11);
    assert_int_equal(read_main(&heap, in_folder("f"), NULL, &blob, &error), TFM_OK);
    assert_true(blob.mapped && blob.size == 11);
    assert_memory_equal(blob.data, "hello\0world", 11);
    assert_string_equal(blob.name, path_of_last);
    tfm__blob_prefetch(&blob, 5, 100);
    tfm__blob_prefetch(&blob, 100, 100);
    tfm__blob_release(&blob);
    tfm__blob_release(&blob);
    assert_int_equal(read_main(&heap, in_folder("f"), &into_memory, &blob, &error), TFM_OK);
    assert_true(!blob.mapped && blob.size == 11);
    assert_memory_equal(blob.data, "hello\0world", 11);
    tfm__blob_prefetch(&blob, 0, 11);
    copy = malloc(strlen(blob.name) + 1);
    strcpy(copy, blob.name);
    assert_string_equal(copy, path_of_last);
    free(copy);
    tfm__blob_release(&blob);
    store_bytes(in_folder("empty"), "", 0);
    assert_int_equal(read_main(&heap, in_folder("empty"), NULL, &blob, &error), TFM_OK);
    assert_true(blob.size == 0 && blob.data != NULL);
    tfm__blob_release(&blob);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static void test_not_files(void **state) {
    tfm__heap heap;
    tfm__store store;
    tfm__blob blob;
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(read_main(&heap, in_folder("nothing"), NULL, &blob, &error), TFM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "nothing"));
    store_bytes(in_folder("f"), "x", 1);
    assert_int_equal(read_main(&heap, in_folder("f/below"), NULL, &blob, &error), TFM_E_NOT_FOUND);
    assert_int_equal(read_main(&heap, "", NULL, &blob, &error), TFM_E_ARGUMENT);
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_int_equal(read_main(&heap, in_folder("pipe"), NULL, &blob, &error),
                     TFM_E_IO); /* and does not hang */
    assert_int_equal(read_main(&heap, "/dev/zero", NULL, &blob, &error), TFM_E_IO);
    assert_int_equal(tfm__store_open_path(&store, &heap, folder, NULL, &error), TFM_OK);
    assert_true(tfm__store_is_folder(&store));
    assert_int_equal(tfm__store_main(&store, &blob, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm__store_sibling(&store, "pipe", &blob, &error), TFM_E_IO);
    assert_null(blob.data);
    tfm__store_close(&store);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static void test_siblings(void **state) {
    static const char *const refused[] = {"", ".", "..", "../f", "/etc/passwd", "a/b", "a\\b", "c:f", "x..y"};
    tfm__heap heap;
    tfm__store store;
    tfm__blob blob;
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    store_bytes(in_folder("f"), "one", 3);
    store_bytes(in_folder("g"), "two", 3);
    for (int as_folder = 0; as_folder < 2; as_folder++) {
        assert_int_equal(
            tfm__store_open_path(&store, &heap, as_folder ? folder : in_folder("f"), NULL, &error), TFM_OK);
        assert_int_equal(tfm__store_is_folder(&store), as_folder);
        assert_int_equal(tfm__store_sibling(&store, "g", &blob, &error), TFM_OK);
        assert_memory_equal(blob.data, "two", 3);
        tfm__blob_release(&blob);
        assert_int_equal(tfm__store_sibling(&store, "h", &blob, &error), TFM_E_NOT_FOUND);
        for (size_t i = 0; i < TFM__COUNT(refused); i++) {
            assert_int_equal(tfm__store_sibling(&store, refused[i], &blob, &error), TFM_E_FORMAT);
            assert_null(blob.data);
        }
        tfm__store_close(&store);
    }
    /* a bare file name: its neighbours are in the current folder */
    {
        char here[1024];
        assert_non_null(getcwd(here, sizeof here));
        assert_int_equal(chdir(folder), 0);
        assert_int_equal(tfm__store_open_path(&store, &heap, "f", NULL, &error), TFM_OK);
        assert_int_equal(tfm__store_main(&store, &blob, &error), TFM_OK);
        assert_memory_equal(blob.data, "one", 3);
        tfm__blob_release(&blob);
        assert_int_equal(tfm__store_sibling(&store, "g", &blob, &error), TFM_OK);
        tfm__blob_release(&blob);
        tfm__store_close(&store);
        assert_int_equal(chdir(here), 0);
    }
    assert_int_equal(tfm__store_open_memory(&store, &heap, "abc", 3, &error), TFM_OK);
    assert_int_equal(tfm__store_main(&store, &blob, &error), TFM_OK);
    assert_memory_equal(blob.data, "abc", 3);
    tfm__blob_release(&blob);
    assert_int_equal(tfm__store_sibling(&store, "g", &blob, &error), TFM_E_NOT_FOUND);
    tfm__store_close(&store);
    assert_int_equal(tfm__store_open_memory(&store, &heap, NULL, 3, &error), TFM_E_ARGUMENT);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static int32_t count_progress(void *user, uint64_t done, uint64_t total) {
    uint64_t *seen = user;
    seen[0]++;
    seen[1] = done;
    seen[2] = total;
    return seen[3] && seen[0] >= seen[3];
}

static void test_progress_and_cancel(void **state) {
    tfm__heap heap;
    tfm__blob blob;
    uint64_t seen[4] = {0, 0, 0, 0};
    tfm__read_options read_options = {true, count_progress, NULL, NULL};
    tfm_error error = TFM_ERROR_INIT;
    tfm_cancel *cancel = NULL;
    size_t size = (size_t)9 << 20;
    uint8_t *data = malloc(size);
    (void)state;
    for (size_t i = 0; i < size; i++) data[i] = (uint8_t)(i * 31 >> 4);
    store_bytes(in_folder("large"), data, size);
    read_options.progress_user = seen;
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(read_main(&heap, in_folder("large"), &read_options, &blob, &error), TFM_OK);
    assert_memory_equal(blob.data, data, size);
    assert_true(seen[0] >= 2 && seen[1] == size && seen[2] == size);
    tfm__blob_release(&blob);
    memset(seen, 0, sizeof seen);
    seen[3] = 1; /* stop at the first report */
    assert_int_equal(read_main(&heap, in_folder("large"), &read_options, &blob, &error), TFM_E_CANCELLED);
    assert_int_equal(seen[0], 1);
    assert_int_equal(tfm_cancel_create(NULL, &cancel, &error), TFM_OK);
    read_options.progress = NULL;
    read_options.cancel = cancel;
    assert_int_equal(read_main(&heap, in_folder("large"), &read_options, &blob, &error), TFM_OK);
    tfm__blob_release(&blob);
    tfm_cancel_set(cancel);
    assert_int_equal(read_main(&heap, in_folder("large"), &read_options, &blob, &error), TFM_E_CANCELLED);
    assert_null(blob.data);
    tfm_cancel_destroy(cancel);
    free(data);
    assert_int_equal(atomic_load(&heap.live), 0);
}

/* ---- Host sources ----------------------------------------------------------------------------------------
 */

typedef struct host {
    const char *name;
    const uint8_t *data;
    uint64_t size;
    int maps, fails, closed, opened;
    struct host *other; /* what open finds */
    int no_reader;
} host;

static uint64_t host_size(void *user) { return ((host *)user)->size; }
static int32_t host_read(void *user, uint64_t offset, void *buffer, size_t count) {
    host *h = user;
    if (h->fails || offset > h->size || count > h->size - offset) return 1;
    memcpy(buffer, h->data + offset, count);
    return 0;
}
static const void *host_map(void *user) { return ((host *)user)->maps ? ((host *)user)->data : NULL; }
static void host_close(void *user) { ((host *)user)->closed++; }
static int32_t host_open(void *user, const char *name, tfm_source *out);
static tfm_source source_of(host *h) {
    tfm_source s = TFM_SOURCE_INIT;
    s.user = h;
    s.size = host_size;
    s.read_at = host_read;
    s.map = host_map;
    s.open = host_open;
    s.close = host_close;
    return s;
}
static int32_t host_open(void *user, const char *name, tfm_source *out) {
    host *h = user;
    if (!h->other || strcmp(h->other->name, name)) return 1;
    h->other->opened++;
    *out = source_of(h->other);
    if (h->other->no_reader) out->read_at = NULL;
    return 0;
}

static int32_t source_job(tfm__heap *heap, void *arg, tfm_error *error) {
    host *h = arg;
    tfm_source source = source_of(h);
    tfm__store store;
    tfm__blob blob, second;
    int32_t status = tfm__store_open_source(&store, heap, &source, NULL, error);
    assert_int_equal(status, TFM_OK);
    h->closed = h->opened = h->other->closed = h->other->opened = 0;
    status = tfm__store_main(&store, &blob, error);
    if (status == TFM_OK) {
        assert_memory_equal(blob.data, h->data, h->size);
        assert_int_equal(blob.data == h->data, h->maps);
        status = tfm__store_sibling(&store, "other", &second, error);
        if (status == TFM_OK) assert_memory_equal(second.data, h->other->data, h->other->size);
        if (status == TFM_OK) assert_string_equal(second.name, "other");
        tfm__store_close(&store);
        assert_int_equal(h->closed, !h->maps); /* a mapped one lives as long as its blob */
        if (status == TFM_OK) assert_int_equal(h->other->closed, !h->other->maps);
        tfm__blob_release(&second);
        tfm__blob_release(&blob);
    }
    tfm__store_close(&store);
    assert_int_equal(h->closed, 1);
    assert_int_equal(h->other->closed, h->other->opened);
    return status;
}

static void test_sources(void **state) {
    host other = {"other", (const uint8_t *)"sibling", 7, 0, 0, 0, 0, NULL, 0};
    host h = {"main", (const uint8_t *)"content", 7, 0, 0, 0, 0, &other, 0};
    tfm__heap heap;
    tfm__store store;
    tfm__blob blob;
    tfm_source source = source_of(&h);
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    for (int maps = 0; maps < 4; maps++) {
        h.maps = maps & 1;
        other.maps = maps >> 1;
        sweep_allocations(source_job, &h);
    }
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(tfm__store_open_source(&store, &heap, &source, NULL, &error), TFM_OK);
    assert_int_equal(tfm__store_sibling(&store, "absent", &blob, &error), TFM_E_NOT_FOUND);
    assert_int_equal(tfm__store_sibling(&store, "../other", &blob, &error), TFM_E_FORMAT);
    h.maps = 0;
    h.fails = 1;
    assert_int_equal(tfm__store_main(&store, &blob, &error), TFM_E_IO);
    assert_null(blob.data);
    h.fails = 0;
    h.size = UINT64_MAX; /* a size that cannot be */
    assert_int_equal(tfm__store_main(&store, &blob, &error), TFM_E_MEMORY);
    h.size = 7;
    other.no_reader = 1; /* a sibling that is no source is closed again */
    other.closed = 0;
    assert_int_equal(tfm__store_sibling(&store, "other", &blob, &error), TFM_E_ARGUMENT);
    assert_int_equal(other.closed, 1);
    h.closed = 0;
    tfm__store_close(&store);
    assert_int_equal(h.closed, 1);
    source.read_at = NULL;
    assert_int_equal(tfm__store_open_source(&store, &heap, &source, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm__store_open_source(&store, &heap, NULL, NULL, &error), TFM_E_ARGUMENT);
    source = source_of(&h);
    source.struct_size = 1;
    assert_int_equal(tfm__store_open_source(&store, &heap, &source, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(atomic_load(&heap.live), 0);
}

/* ---- Writer ----------------------------------------------------------------------------------------------
 */

static void test_writer(void **state) {
    tfm__heap heap;
    tfm__writer writer;
    tfm_error error = TFM_ERROR_INIT;
    size_t size = (size_t)1 << 20;
    uint8_t *data = malloc(size);
    bytes back;
    (void)state;
    for (size_t i = 0; i < size; i++) data[i] = (uint8_t)(i * 7 >> 3);
    tfm__heap_init(&heap, NULL, 0);
    store_bytes(in_folder("target"), "old", 3);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(tfm__writer_open(&writer, &heap, in_folder("target"), &error), TFM_OK);
    for (size_t at = 0, piece = 1; at < size; at += piece, piece = piece * 3 % 400000 + 1) {
        if (piece > size - at) piece = size - at;
        assert_int_equal(tfm__writer_write(&writer, data + at, piece, &error), TFM_OK);
    }
    assert_int_equal(writer.written, size);
    back = load(path_of_last); /* until finish, the old file stands */
    assert_int_equal(back.size, 3);
    free(back.data);
    assert_int_equal(files_in_folder(), 2);
    assert_int_equal(tfm__writer_finish(&writer, &error), TFM_OK);
    back = load(path_of_last);
    assert_int_equal(back.size, size);
    assert_memory_equal(back.data, data, size);
    free(back.data);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(tfm__writer_write(&writer, "x", 1, &error), TFM_E_STATE);
    assert_int_equal(tfm__writer_finish(&writer, &error), TFM_E_STATE);

    assert_int_equal(tfm__writer_open(&writer, &heap, in_folder("target"), &error), TFM_OK);
    assert_int_equal(tfm__writer_write(&writer, "new", 3, &error), TFM_OK);
    tfm__writer_abandon(&writer);
    tfm__writer_abandon(&writer);
    assert_int_equal(files_in_folder(), 1);
    back = load(path_of_last);
    assert_int_equal(back.size, size);
    free(back.data);
    free(data);

    assert_int_equal(tfm__writer_open(&writer, &heap, in_folder("no/such"), &error), TFM_E_NOT_FOUND);
    assert_int_equal(tfm__writer_open(&writer, &heap, "", &error), TFM_E_ARGUMENT);
    assert_int_equal(mkdir(in_folder("taken"), 0700), 0); /* a folder cannot be replaced by a file */
    assert_int_equal(tfm__writer_open(&writer, &heap, in_folder("taken"), &error), TFM_OK);
    assert_int_not_equal(tfm__writer_finish(&writer, &error), TFM_OK);
    assert_int_equal(files_in_folder(), 2);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static int32_t writer_job(tfm__heap *heap, void *arg, tfm_error *error) {
    tfm__writer writer;
    int32_t status = tfm__writer_open(&writer, heap, arg, error);
    if (status) return status;
    assert_int_equal(tfm__writer_write(&writer, "abc", 3, error), TFM_OK);
    return tfm__writer_finish(&writer, error);
}

static int32_t read_job(tfm__heap *heap, void *arg, tfm_error *error) {
    tfm__read_options into_memory = {true, NULL, NULL, NULL};
    tfm__blob blob;
    int32_t status = read_main(heap, arg, &into_memory, &blob, error);
    if (status == TFM_OK) tfm__blob_release(&blob);
    return status;
}

static void test_file_memory(void **state) {
    (void)state;
    in_folder("f");
    sweep_allocations(writer_job, path_of_last);
    assert_int_equal(files_in_folder(), 1);
    sweep_allocations(read_job, path_of_last);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_fail),
        cmocka_unit_test(test_small_error),
        cmocka_unit_test(test_take_options),
        cmocka_unit_test(test_give_struct),
        cmocka_unit_test(test_heap),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_bad_allocator),
        cmocka_unit_test(test_forgetful_allocator),
        cmocka_unit_test(test_buffer_and_arena),
        cmocka_unit_test(test_checked),
        cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_halves),
        cmocka_unit_test_setup_teardown(test_read_and_map, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_not_files, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_siblings, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_progress_and_cancel, make_folder, remove_folder),
        cmocka_unit_test(test_sources),
        cmocka_unit_test_setup_teardown(test_writer, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_file_memory, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
