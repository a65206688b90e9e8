/* sort.h - sorting in place; private to this folder. */
#ifndef TFM__SORT_H
#define TFM__SORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sorts count items of size bytes (at most 64). before: a strict order; arg is handed to it. Equal items end
 * in any order. */
void tfm__sort_items(void *list, size_t count, size_t size,
                     bool (*before)(const void *a, const void *b, const void *arg), const void *arg);

#endif
