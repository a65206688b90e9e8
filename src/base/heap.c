/* heap.c - all memory of the library: counted, bounded by a budget, taken from the host's allocator.
 *
 * Layout of a block as the allocator sees it:
 *   | header: size_t total, padded to 64 bytes | the caller's bytes ... |
 * total counts header and bytes, so heap->live is exactly what the allocator has handed out and 0 means that
 * nothing leaked. The budget is held with compare-and-swap on that same counter: it is never passed, not even
 * for a moment. Also here: the growing byte buffer and the arena, which are built on nothing but these calls.
 */
#include <stdlib.h>
#ifdef _WIN32
#include <malloc.h>
#endif

#include "base/base.h"

#define TFM__BLOCK_ALIGN 64

/* The default allocator: the C library's aligned allocation. There is no aligned realloc, so changing a size
 * is take, copy, give back. */
static void *default_realloc(void *user, void *ptr, size_t old_size, size_t new_size, size_t align) {
    (void)user;
#ifdef _WIN32
    (void)old_size;
    if (new_size == 0) {
        _aligned_free(ptr);
        return NULL;
    }
    return _aligned_realloc(ptr, new_size, align);
#else
    void *fresh;
    size_t rounded;
    if (new_size == 0) {
        free(ptr);
        return NULL;
    }
    /* aligned_alloc wants a whole number of alignments */
    if (!tfm__add_size(new_size, align - 1, &rounded)) return NULL;
    fresh = aligned_alloc(align, rounded / align * align);
    if (!fresh) return NULL;
    if (ptr) {
        memcpy(fresh, ptr, TFM__MIN(old_size, new_size));
        free(ptr);
    }
    return fresh;
#endif
}

void tfm__heap_init(tfm__heap *heap, const tfm_allocator *allocator, uint64_t budget) {
    memset(&heap->allocator, 0, sizeof heap->allocator);
    if (allocator && allocator->realloc) {
        heap->allocator = *allocator;
    } else {
        heap->allocator.struct_size = sizeof heap->allocator;
        heap->allocator.realloc = default_realloc;
    }
    atomic_init(&heap->live, 0);
    atomic_init(&heap->taken, 0);
    heap->budget = budget;
    atomic_init(&heap->over_budget, false);
    heap->parent = NULL;
}

/* Books bytes as live before they are asked for; false if the budget does not have them. */
static bool charge(tfm__heap *heap, uint64_t bytes) {
    uint64_t live = atomic_load_explicit(&heap->live, memory_order_relaxed), after;
    do {
        if (!tfm__add_u64(live, bytes, &after) || (heap->budget && after > heap->budget)) {
            atomic_store(&heap->over_budget, heap->budget != 0);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&heap->live, &live, after));
    return true;
}

static void *refused(tfm__heap *heap) {
    atomic_store(&heap->over_budget, false);
    return NULL;
}

static inline size_t *header_of(void *ptr) {
    return (size_t *)(void *)((unsigned char *)ptr - TFM__BLOCK_ALIGN);
}

static void *call_allocator(tfm__heap *heap, void *ptr, size_t old_size, size_t new_size) {
    return heap->allocator.realloc(heap->allocator.user, ptr, old_size, new_size, TFM__BLOCK_ALIGN);
}

/* The heap that counts. */
static tfm__heap *root_of(tfm__heap *heap) { return heap->parent ? heap->parent : heap; }

void *tfm__alloc(tfm__heap *heap, size_t size) {
    size_t total;
    unsigned char *block;
    heap = root_of(heap);
    if (!tfm__add_size(size, TFM__BLOCK_ALIGN, &total)) return refused(heap);
    if (!charge(heap, total)) return NULL;
    block = call_allocator(heap, NULL, 0, total);
    if (block &&
        (uintptr_t)block % TFM__BLOCK_ALIGN) { /* a host allocator that ignores align is no use to us */
        call_allocator(heap, block, total, 0);
        block = NULL;
    }
    if (!block) {
        atomic_fetch_sub(&heap->live, total);
        return refused(heap);
    }
    atomic_fetch_add_explicit(&heap->taken, 1, memory_order_relaxed);
    *(size_t *)(void *)block = total;
    return block + TFM__BLOCK_ALIGN;
}

void *tfm__alloc_zero(tfm__heap *heap, size_t size) {
    void *ptr = tfm__alloc(heap, size);
    if (ptr) memset(ptr, 0, size);
    return ptr;
}

void *tfm__alloc_array(tfm__heap *heap, size_t count, size_t element) {
    size_t size;
    if (!tfm__mul_size(count, element, &size)) return refused(heap);
    return tfm__alloc_zero(heap, size);
}

void *tfm__resize(tfm__heap *heap, void *ptr, size_t new_size) {
    size_t total, old_total;
    unsigned char *block;
    heap = root_of(heap);
    if (!ptr) return tfm__alloc(heap, new_size);
    old_total = *header_of(ptr);
    if (!tfm__add_size(new_size, TFM__BLOCK_ALIGN, &total)) return refused(heap);
    if (total == old_total) return ptr;
    if (total > old_total && !charge(heap, total - old_total)) return NULL;
    block = call_allocator(heap, header_of(ptr), old_total, total);
    if (block && (uintptr_t)block % TFM__BLOCK_ALIGN) {
        /* An allocator that forgets align when it changes a size: the old block is gone, so copy the content
         * to a fresh one; if there is none, what we have must do. */
        unsigned char *aligned = call_allocator(heap, NULL, 0, total);
        if (aligned && (uintptr_t)aligned % TFM__BLOCK_ALIGN == 0) {
            memcpy(aligned, block, total);
            call_allocator(heap, block, total, 0);
            block = aligned;
        } else if (aligned) {
            call_allocator(heap, aligned, total, 0);
        }
    }
    if (!block) {
        if (total > old_total) atomic_fetch_sub(&heap->live, total - old_total);
        return refused(heap);
    }
    if (total < old_total) atomic_fetch_sub(&heap->live, old_total - total);
    atomic_fetch_add_explicit(&heap->taken, 1, memory_order_relaxed);
    *(size_t *)(void *)block = total;
    return block + TFM__BLOCK_ALIGN;
}

char *tfm__copy_text(tfm__heap *heap, const char *text, size_t length) {
    size_t size;
    char *copy;
    if (!tfm__add_size(length, 1, &size)) return refused(heap);
    copy = tfm__alloc(heap, size);
    if (!copy) return NULL;
    if (length) memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

void tfm__free(tfm__heap *heap, void *ptr) {
    size_t total;
    if (!ptr) return;
    heap = root_of(heap);
    total = *header_of(ptr);
    call_allocator(heap, header_of(ptr), total, 0);
    atomic_fetch_sub(&heap->live, total);
}

/* ---- Buffer -------------------------------------------------------------------------------------------- */

void tfm__buffer_init(tfm__buffer *buffer, tfm__heap *heap) {
    memset(buffer, 0, sizeof *buffer);
    buffer->heap = heap;
}

void tfm__buffer_borrow(tfm__buffer *buffer, tfm__heap *heap, void *data, size_t capacity) {
    tfm__buffer_init(buffer, heap);
    buffer->data = data;
    buffer->capacity = capacity;
    buffer->borrowed = true;
}

void tfm__buffer_free(tfm__buffer *buffer) {
    if (buffer->heap && !buffer->borrowed) tfm__free(buffer->heap, buffer->data);
    buffer->data = NULL;
    buffer->borrowed = false;
    buffer->size = buffer->capacity = 0;
}

static uint8_t *resize(const tfm__buffer *buffer, size_t capacity) {
    uint8_t *data = tfm__resize(buffer->heap, buffer->borrowed ? NULL : buffer->data, capacity);
    if (data && buffer->borrowed && buffer->size) memcpy(data, buffer->data, buffer->size);
    return data;
}

bool tfm__buffer_reserve(tfm__buffer *buffer, size_t extra) {
    size_t needed, capacity;
    uint8_t *data;
    if (extra <= buffer->capacity - buffer->size) return true;
    if (!tfm__add_size(buffer->size, extra, &needed)) return refused(buffer->heap) != NULL;
    capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity < needed) {
        if (capacity > SIZE_MAX / 2) {
            capacity = needed;
            break;
        }
        capacity *= 2;
    }
    data = resize(buffer, capacity);
    if (!data &&
        capacity > needed) { /* a budget may have room for what is needed, though not for the double */
        capacity = needed;
        data = resize(buffer, capacity);
    }
    if (!data) return false;
    buffer->data = data;
    buffer->capacity = capacity;
    buffer->borrowed = false;
    return true;
}

bool tfm__buffer_append(tfm__buffer *buffer, const void *data, size_t size) {
    if (!tfm__buffer_reserve(buffer, size)) return false;
    if (size) memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    return true;
}

/* ---- Arena --------------------------------------------------------------------------------------------- */

#define TFM__ARENA_ALIGN 16
#define TFM__ARENA_FIRST ((size_t)4096)
#define TFM__ARENA_LARGEST                                                                                   \
    ((size_t)1 << 20) /* blocks double up to this; larger requests get a block of their own */

/* 64 bytes, so that the content keeps the block's alignment. */
struct tfm__arena_block {
    struct tfm__arena_block *next;
    unsigned char padding[TFM__BLOCK_ALIGN - sizeof(void *)];
};

void tfm__arena_init(tfm__arena *arena, tfm__heap *heap) {
    memset(arena, 0, sizeof *arena);
    arena->heap = heap;
}

void tfm__arena_free(tfm__arena *arena) {
    struct tfm__arena_block *block = arena->blocks;
    while (block) {
        struct tfm__arena_block *next = block->next;
        tfm__free(arena->heap, block);
        block = next;
    }
    arena->blocks = NULL;
    arena->used = arena->capacity = 0;
}

static struct tfm__arena_block *new_block(tfm__arena *arena, size_t capacity) {
    size_t total;
    if (!tfm__add_size(capacity, sizeof(struct tfm__arena_block), &total)) return refused(arena->heap);
    return tfm__alloc(arena->heap, total);
}

void *tfm__arena_alloc(tfm__arena *arena, size_t size) {
    struct tfm__arena_block *block;
    unsigned char *piece;
    size_t rounded, capacity;
    if (!tfm__add_size(size, TFM__ARENA_ALIGN - 1, &rounded)) return refused(arena->heap);
    rounded -= rounded % TFM__ARENA_ALIGN;
    if (arena->blocks && rounded <= arena->capacity - arena->used) {
        piece = (unsigned char *)(arena->blocks + 1) + arena->used;
        arena->used += rounded;
        return memset(piece, 0, size);
    }
    capacity = arena->capacity ? TFM__MIN(arena->capacity * 2, TFM__ARENA_LARGEST) : TFM__ARENA_FIRST;
    if (rounded > capacity / 4 && arena->blocks) {
        /* large: a block of its own, put behind the newest one, which stays in use */
        block = new_block(arena, rounded);
        if (!block) return NULL;
        block->next = arena->blocks->next;
        arena->blocks->next = block;
        return memset(block + 1, 0, size);
    }
    capacity = TFM__MAX(capacity, rounded);
    block = new_block(arena, capacity);
    if (!block) return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->capacity = capacity;
    arena->used = rounded;
    return memset(block + 1, 0, size);
}

char *tfm__arena_text(tfm__arena *arena, const char *text, size_t length) {
    size_t size;
    char *copy;
    if (!tfm__add_size(length, 1, &size)) return refused(arena->heap);
    copy = tfm__arena_alloc(arena, size);
    if (copy && length) memcpy(copy, text, length);
    return copy;
}
