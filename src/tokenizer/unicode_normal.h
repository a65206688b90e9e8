/* unicode_normal.h - normal forms that know where every character came from; private to this folder. */
#ifndef TFM__UNICODE_NORMAL_H
#define TFM__UNICODE_NORMAL_H

#include "tokenizer/aligned.h"
#include "tokenizer/unicode.h"

typedef struct tfm__normal_char {
    uint32_t code;
    tfm__span span;
} tfm__normal_char;

/* Takes one character of the result. False: memory refused. */
typedef bool (*tfm__normal_fn)(void *arg, uint32_t code, tfm__span span);

/* The first character of a character's full canonical decomposition: itself where it has none. */
uint32_t tfm__normal_first(uint32_t code);

/* The form (enum tfm__form) of a stretch: characters that nothing in front of them or behind them acts on;
 * count > 0. parts: scratch. False: memory refused, or fn's false. */
bool tfm__normal_stretch(int form, const tfm__normal_char *chars, size_t count, tfm__buffer *parts,
                         tfm__normal_fn fn, void *arg);

/* Writes the form of a text. Ill-formed bytes stay where they are and nothing composes across them. False:
 * memory refused. */
bool tfm__normal_text(int form, const tfm__aligned *from, tfm__rewriter *out, tfm__buffer scratch[2]);

#endif
