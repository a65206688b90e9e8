/* frame.h - rows of an encoding: what stands around a text, and what truncation leaves of it. For encode.c
 * and batch.c.
 *
 * A row is a range of the text's tokens and one of its pair's, put into the tokenizer's frame. */
#ifndef TFM__FRAME_H
#define TFM__FRAME_H

#include "tokenizer/encode.h"

#define TFM__FRAME_TEXT (-1)
#define TFM__FRAME_PAIR (-2)

/* The parts of a frame that choices leave, at most TFM__FRAME_PARTS + 3: the file's, or bos, the text, its
 * pair, eos. */
typedef struct tfm__frame {
    tfm__frame_part parts[TFM__FRAME_PARTS + 3];
    uint32_t count;
    uint32_t added; /* of them, tokens */
} tfm__frame;
void tfm__frame_choose(const tfm_tokenizer *tokenizer, const tfm__encode_choices *choices, bool pair,
                       tfm__frame *out);

/* Tokens [begin, end) of a text. */
typedef struct tfm__range {
    size_t begin, end;
} tfm__range;

typedef struct tfm__row {
    size_t input;
    tfm__range text, pair;
    bool text_cut, pair_cut; /* a part that was cut off, not the one that stays */
} tfm__row;

/* What to cut off (the fields of tfm_batch_options, defaults settled). */
typedef struct tfm__truncation {
    bool on, left, overflow;
    int32_t strategy;
    size_t max_length, stride;
} tfm__truncation;

/* Appends the rows of one input of so many tokens to rows (tfm__row): the first one, and with overflow those
 * that repeat stride tokens of the one before and go on. added: the tokens of the frame. Errors:
 * TFM_E_ARGUMENT (the strategy cannot cut off enough, the stride leaves nothing new), TFM_E_MEMORY. */
int32_t tfm__truncate(const tfm__truncation *truncation, size_t input, size_t text_count, size_t pair_count,
                      bool pair, size_t added, tfm__buffer *rows, tfm_error *error);

#endif
