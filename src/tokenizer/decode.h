/* decode.h - the streaming decoder's inside, for api_tokenizer.c and detokenizing. */
#ifndef TFM__DECODE_H
#define TFM__DECODE_H

#include "tokenizer/internal.h"

struct tfm_decoder {
    const tfm_tokenizer *tokenizer;
    tfm__heap *heap;
    uint8_t *out; /* [tfm__decoder_room] what the last call handed out */
    bool special, raw, continued;
    bool any;                                     /* a token was taken that was not left out */
    bool said;                                    /* a token had text */
    bool mark_taken;                              /* the mark in front of the text was taken off */
    bool after_bos;                               /* the last token was bos */
    uint8_t bytes[4], pending, needed, low, high; /* the unfinished sequence; what may follow */
};

/* A decoder in memory of the caller's, with out [tfm__decoder_room]; tfm__decoder_new takes both from a heap.
 */
void tfm__decoder_init(struct tfm_decoder *decoder, const tfm_tokenizer *tokenizer,
                       const tfm_detokenize_options *options, uint8_t *out);
/* Takes one token (in the vocabulary) and writes what is now complete; returns its length. */
size_t tfm__decoder_step(struct tfm_decoder *decoder, tfm_token token, uint8_t *out);
/* Writes what was held back and resets. */
size_t tfm__decoder_end(struct tfm_decoder *decoder, uint8_t *out);

#endif
