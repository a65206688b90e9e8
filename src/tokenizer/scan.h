/* scan.h - many pieces at a time: the ends of the pieces that a covering scanner cuts a text into; private to
 * this folder. split.c has the meaning, one piece at a time; what is here gives the same ends faster, and
 * asks split.c where it does not know. */
#ifndef TFM__SCAN_H
#define TFM__SCAN_H

#include "tokenizer/internal.h"

#define TFM__SCAN_BYTES ((size_t)1 << 30) /* most text that one call looks at */
#define TFM__SCAN_SLACK 64                /* more ends than asked for that may come */

/* Writes the ends, counted from text, of the first pieces of a text that begins at a piece's front: at least
 * one if length is not 0, and about most; ends has room for most + TFM__SCAN_SLACK. A single end of 0: the
 * first piece is longer than TFM__SCAN_BYTES. */
typedef size_t tfm__scan_fn(const tfm__stage *stage, const uint8_t *text, size_t length, uint32_t *ends,
                            size_t most);

tfm__scan_fn tfm__scan_single; /* any covering scanner, by tfm__split_next */

/* The fastest one for a stage with the tokenizer's instruction set. */
tfm__scan_fn *tfm__scan_for(const tfm_tokenizer *tokenizer, const tfm__stage *stage);

/* tfm__utf8_valid with the tokenizer's instruction set. */
size_t tfm__scan_utf8(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length);
/* A place before which a text is well-formed and where a character begins; perhaps not the last one. */
size_t tfm__scan_utf8_avx2(const uint8_t *text, size_t length);

/* The same by instruction set; NULL: that stage has none (scan_body.h). */
tfm__scan_fn *tfm__scan_for_portable(const tfm__stage *stage);
tfm__scan_fn *tfm__scan_for_avx2(const tfm__stage *stage);
tfm__scan_fn *tfm__scan_for_avx512(const tfm__stage *stage);

#endif
