/* base.h - the floor that everything stands on: errors, memory, checked sizes, arenas.
 *
 * Included by every file of the library. Invariants:
 * - all memory comes from a tfm__heap, which counts it, holds it to a budget and hands it to the host's allocator;
 * - every size that comes from a file goes through the checked helpers below before it is used;
 * - tfm__fail fills the caller's tfm_error and returns the code, so `return tfm__fail(error, ...)` is the idiom. */
#ifndef TFM__BASE_H
#define TFM__BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tfm/base.h"

#if defined(__GNUC__)
#define TFM__PRINTF(text, first) __attribute__((format(printf, text, first)))
#define TFM__LIKELY(x) __builtin_expect(!!(x), 1)
#define TFM__UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define TFM__PRINTF(text, first)
#define TFM__LIKELY(x) (x)
#define TFM__UNLIKELY(x) (x)
#endif

#define TFM__COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TFM__MIN(a, b) ((a) < (b) ? (a) : (b))
#define TFM__MAX(a, b) ((a) > (b) ? (a) : (b))

/* ---- Errors (status.c) --------------------------------------------------------------------------------- */

/* Fills error (which may be NULL, or of an older and smaller size) and returns code. */
int32_t tfm__fail(tfm_error *error, int32_t code, const char *format, ...) TFM__PRINTF(3, 4);

/* The same for a fault in a file. file and tensor may be NULL; the message is composed as
 * "FILE: [tensor 'TENSOR': ]TEXT[ (at byte OFFSET)]"; offset UINT64_MAX says that it has no meaning. */
int32_t tfm__fail_at(tfm_error *error, int32_t code, const char *file, const char *tensor, uint64_t offset,
                     const char *format, ...) TFM__PRINTF(6, 7);
#define TFM__NO_OFFSET UINT64_MAX

/* TFM_E_MEMORY or TFM_E_BUDGET, whichever the heap refused for, naming the number of bytes. */
typedef struct tfm__heap tfm__heap;
int32_t tfm__fail_memory(tfm_error *error, const tfm__heap *heap, size_t bytes);

/* Checks a size-first struct of the caller: copies what it has into a zeroed *out of known_size bytes; refuses a
 * non-zero tail, or a struct_size smaller than the first field. given NULL: all zero. what names the struct. */
int32_t tfm__take_options(const void *given, void *out, size_t known_size, const char *what, tfm_error *error);

/* The other way: copies full, of known_size bytes, into the caller's size-first struct as far as that reaches. */
int32_t tfm__give_struct(void *out, const void *full, size_t known_size, const char *what, tfm_error *error);

/* ---- Memory (heap.c) ----------------------------------------------------------------------------------- */

/* Counts and bounds what goes through one allocator. Internally synchronised. Blocks are 64-byte aligned and
 * know their own size (a header in front of each), so freeing needs only the pointer. */
struct tfm__heap {
    tfm_allocator allocator;
    _Atomic uint64_t live;   /* bytes taken from the allocator now */
    _Atomic uint64_t taken;  /* allocations ever made: tests count them */
    uint64_t budget;         /* most bytes live at once; 0: no bound */
    _Atomic bool over_budget; /* the last refusal was the budget's */
    tfm__heap *parent;        /* NULL, or the heap that does everything in this one's place */
};

/* allocator NULL: the C library's (aligned). */
void tfm__heap_init(tfm__heap *heap, const tfm_allocator *allocator, uint64_t budget);
/* NULL when refused. size 0 gives a valid pointer. Content undefined / zeroed / copied. */
void *tfm__alloc(tfm__heap *heap, size_t size);
void *tfm__alloc_zero(tfm__heap *heap, size_t size);
void *tfm__alloc_array(tfm__heap *heap, size_t count, size_t element); /* checked product, zeroed */
void *tfm__resize(tfm__heap *heap, void *ptr, size_t new_size);        /* ptr NULL: alloc; NULL: ptr unchanged */
char *tfm__copy_text(tfm__heap *heap, const char *text, size_t length); /* adds a NUL */
void tfm__free(tfm__heap *heap, void *ptr);                            /* NULL is fine */

/* A growing array of bytes with amortised doubling. */
typedef struct tfm__buffer {
    tfm__heap *heap;
    uint8_t *data;
    size_t size, capacity;
    bool borrowed; /* data belongs to someone else: growing takes memory of the heap instead */
} tfm__buffer;
void tfm__buffer_init(tfm__buffer *buffer, tfm__heap *heap);
/* A buffer that writes to someone else's memory while that suffices. */
void tfm__buffer_borrow(tfm__buffer *buffer, tfm__heap *heap, void *data, size_t capacity);
void tfm__buffer_free(tfm__buffer *buffer);
bool tfm__buffer_reserve(tfm__buffer *buffer, size_t extra);                       /* false: refused */
bool tfm__buffer_append(tfm__buffer *buffer, const void *data, size_t size);        /* false: refused */

/* Many small things that live and die together. Pointers stay valid until the arena is freed. 16-byte aligned. */
typedef struct tfm__arena {
    tfm__heap *heap;
    struct tfm__arena_block *blocks;
    size_t used, capacity; /* of the newest block */
} tfm__arena;
void tfm__arena_init(tfm__arena *arena, tfm__heap *heap);
void tfm__arena_free(tfm__arena *arena);
void *tfm__arena_alloc(tfm__arena *arena, size_t size); /* zeroed; NULL when refused */
char *tfm__arena_text(tfm__arena *arena, const char *text, size_t length);

/* ---- Checked sizes ------------------------------------------------------------------------------------- */

/* Each returns false on overflow and leaves *out alone. */
static inline bool tfm__mul_u64(uint64_t a, uint64_t b, uint64_t *out) {
    if (a != 0 && b > UINT64_MAX / a) return false;
    *out = a * b;
    return true;
}
static inline bool tfm__add_u64(uint64_t a, uint64_t b, uint64_t *out) {
    if (b > UINT64_MAX - a) return false;
    *out = a + b;
    return true;
}
static inline bool tfm__mul_size(size_t a, size_t b, size_t *out) {
    if (a != 0 && b > SIZE_MAX / a) return false;
    *out = a * b;
    return true;
}
static inline bool tfm__add_size(size_t a, size_t b, size_t *out) {
    if (b > SIZE_MAX - a) return false;
    *out = a + b;
    return true;
}

/* Little-endian reads from any alignment; writes likewise. */
static inline uint16_t tfm__u16_le(const void *p) {
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}
static inline uint32_t tfm__u32_le(const void *p) {
    const uint8_t *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static inline uint64_t tfm__u64_le(const void *p) {
    return (uint64_t)tfm__u32_le(p) | (uint64_t)tfm__u32_le((const uint8_t *)p + 4) << 32;
}
static inline float tfm__f32_le(const void *p) {
    uint32_t bits = tfm__u32_le(p);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

#endif
