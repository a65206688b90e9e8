/* pieces.h - remembered pieces of text and their ids; private to this folder.
 *
 * The ids of a piece depend on its bytes alone, so that what was merged once need not be merged again. One
 * table belongs to one tfm__work, and so to one thread at a time; its memory is bounded by the tokenizer's
 * cache_bytes. */
#ifndef TFM__PIECES_H
#define TFM__PIECES_H

#include "tokenizer/internal.h"

typedef struct tfm__pieces tfm__pieces;

/* NULL: memory refused, or cache_bytes does not allow any. */
tfm__pieces *tfm__pieces_new(tfm__heap *heap, uint64_t bytes);
void tfm__pieces_free(tfm__heap *heap, tfm__pieces *pieces); /* NULL is fine */

/* The remembered ids of a piece: their number, or -1. */
int tfm__pieces_get(const tfm__pieces *pieces, const uint8_t *piece, size_t length, const int32_t **ids);
void tfm__pieces_put(tfm__pieces *pieces, const uint8_t *piece, size_t length, const int32_t *ids,
                     size_t count);

#endif
