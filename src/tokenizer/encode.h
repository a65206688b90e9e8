/* encode.h - the encoder's inside face, for the exported functions and the streaming encoder. */
#ifndef TFM__ENCODE_H
#define TFM__ENCODE_H

#include "tokenizer/internal.h"

/* What a caller chose (tfm_tokenize_options, checked, defaults settled). */
typedef struct tfm__encode_choices {
    bool front, behind;    /* what frames a text is put in front of it, behind it */
    int32_t parse_special; /* TFM_SPECIAL_* */
    int32_t invalid_utf8;  /* TFM_DEFAULT or TFM_UTF8_* */
    const tfm_special_choice *special;
    size_t special_count;
    size_t front_bytes; /* a text that goes on: bytes that the normalising steps put in front of it and that
                           fall away */
} tfm__encode_choices;

/* Checks options and settles the defaults. */
int32_t tfm__encode_choose(const tfm_tokenizer *tokenizer, const tfm_tokenize_options *options,
                           tfm__encode_choices *out, tfm_error *error);

/* The ids of a text without what frames it, appended; and with spans, the range of the text behind each.
 * first: the text begins the whole text; otherwise it goes on from an earlier part. */
int32_t tfm__encode_text(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text, size_t length,
                         bool first, const tfm__encode_choices *choices, tfm__buffer *ids, tfm__buffer *spans,
                         tfm_error *error);

/* The ids of a text with what frames it, appended. On error ids is as before. */
int32_t tfm__encode_framed(const tfm_tokenizer *tokenizer, const uint8_t *text, size_t length,
                           const tfm__encode_choices *choices, tfm__buffer *ids, tfm_error *error);

#endif
