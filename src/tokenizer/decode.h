/* decode.h - the streaming decoder's inside, for api_tokenizer.c and detokenizing. */
#ifndef TFM__DECODE_H
#define TFM__DECODE_H

#include "tokenizer/decode_plan.h"

/* What one step of a plan remembers between tokens. */
typedef struct tfm__decode_state {
    size_t taken;              /* tokens that came; TEXT_STRIP: characters that fell away at the front */
    size_t held;               /* bytes held back; TEXT_STRIP: characters */
    uint8_t needed, low, high; /* BYTES: continuation bytes missing, and what may come next */
    uint8_t pending;           /* BYTES: bytes of the unfinished sequence */
    bool bad, begun;           /* BYTES: the run is ill-formed; CTC, SUFFIX: something is held */
} tfm__decode_state;

struct tfm_decoder {
    const tfm_tokenizer *tokenizer;
    tfm__heap *heap;
    uint8_t *out; /* [tfm__decoder_bytes] what the last call handed out; behind it the plan's scratch */
    bool special, raw, continued;
    bool any;                                     /* a token was taken that was not left out */
    bool said;                                    /* a token had text */
    bool mark_taken;                              /* the mark in front of the text was taken off */
    bool after_bos;                               /* the last token was bos */
    uint8_t bytes[4], pending, needed, low, high; /* the unfinished sequence; what may follow */
    tfm__decode_state states[TFM__DECODE_STEPS];
};

/* A decoder in memory of the caller's, with out [tfm__decoder_bytes]; tfm__decoder_new takes both from a
 * heap.
 */
void tfm__decoder_init(struct tfm_decoder *decoder, const tfm_tokenizer *tokenizer,
                       const tfm_detokenize_options *options, uint8_t *out);
/* Bytes that out has to have: tfm__decoder_room and what the steps of a plan need. */
size_t tfm__decoder_bytes(const tfm_tokenizer *tokenizer);
/* Takes one token (in the vocabulary) and writes what is now complete; returns its length. */
size_t tfm__decoder_step(struct tfm_decoder *decoder, tfm_token token, uint8_t *out);
/* Writes what was held back and resets. */
size_t tfm__decoder_end(struct tfm_decoder *decoder, uint8_t *out);

/* Passes bytes through the check for UTF-8; returns how many were written: at most 3 per byte and 3 more. */
size_t tfm__decoder_put_text(struct tfm_decoder *decoder, const uint8_t *bytes, size_t length, uint8_t *out);

/* decode_many.c: all tokens (in the vocabulary), and what was held back; the text is written while it fits
 * into text [capacity]. Returns its length. */
size_t tfm__decode_all(struct tfm_decoder *decoder, const tfm_token *ids, size_t count, uint8_t *text,
                       size_t capacity);

/* decode_steps.c: a step, the end and the beginning with a plan. */
void tfm__decode_reset(struct tfm_decoder *decoder);
size_t tfm__decode_step_in(struct tfm_decoder *decoder, tfm_token token, uint8_t *out);
size_t tfm__decode_end(struct tfm_decoder *decoder, uint8_t *out);

#endif
