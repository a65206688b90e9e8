/* bpe_text.h - the fast road for byte-level BPE (bpe_text.c), for model.c. */
#ifndef TFM__BPE_TEXT_H
#define TFM__BPE_TEXT_H

#include "tokenizer/internal.h"

/* Whether a tokenizer can take it: bytes to begin with, all of them tokens, and one covering scanner. */
bool tfm__bpe_text_suits(const tfm_tokenizer *tokenizer);

/* tfm__model_text for a tokenizer that it suits, and a work with remembered pieces. */
int32_t tfm__bpe_text(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text, size_t length,
                      tfm__sink *sink, tfm_error *error);

#endif
