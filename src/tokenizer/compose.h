/* compose.h - the ids of a piece of three-byte characters from the ids of its characters; private to this
 * folder. */
#ifndef TFM__COMPOSE_H
#define TFM__COMPOSE_H

#include "tokenizer/pieces.h"

typedef struct tfm__compose tfm__compose;

/* Fills tokenizer->wide. */
int32_t tfm__compose_prepare(tfm_tokenizer *tokenizer, tfm_error *error);

/* For a tokenizer with byte_pairs. NULL: memory refused, or cache_bytes does not allow any. */
tfm__compose *tfm__compose_new(const tfm_tokenizer *tokenizer, tfm__heap *heap);
void tfm__compose_free(tfm__compose *compose); /* NULL is fine */

/* Whether a piece is worth trying: two characters or more, the first of Chinese or Japanese, or a sign in
 * front. */
static inline bool tfm__compose_suits(const uint8_t *piece, size_t length) {
    return length >= 6 && piece[0] >= 0xe2 && (piece[0] <= 0xe9 || piece[0] == 0xef);
}

/* Writes the ids of a piece, at most length and 3 more that do not count, and returns how many; -1: that
 * piece has to be merged. */
int64_t tfm__compose_piece(const tfm_tokenizer *tokenizer, tfm__compose *compose, tfm__pieces *pieces,
                           const uint8_t *piece, size_t length, int32_t *out);

#endif
