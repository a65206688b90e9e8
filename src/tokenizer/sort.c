/* sort.c - sorting in place, without memory beyond the list and in n log n steps whatever the order. Called
 * by training and saving (the C library's qsort may take memory of its own). */
#include "tokenizer/sort.h"

#include <string.h>

#define LARGEST 64

void tfm__sort_items(void *list, size_t count, size_t size,
                     bool (*before)(const void *a, const void *b, const void *arg), const void *arg) {
    uint8_t *items = list, moved[LARGEST];
    for (size_t end = count, start = count / 2; end > 1;) { /* a heap, its root the last in order */
        size_t at = 0;
        if (start > 0) {
            at = --start;
            memcpy(moved, items + at * size, size);
        } else {
            memcpy(moved, items + --end * size, size);
            memcpy(items + end * size, items, size);
        }
        for (size_t child; (child = 2 * at + 1) < end; at = child) {
            if (child + 1 < end && before(items + child * size, items + (child + 1) * size, arg)) child++;
            if (!before(moved, items + child * size, arg)) break;
            memcpy(items + at * size, items + child * size, size);
        }
        memcpy(items + at * size, moved, size);
    }
}
