/* decode_plan.h - decoding as tokenizer.json describes it: a chain of steps over the list of a text's tokens.
 * hf_decoder.c builds a plan, decode_steps.c runs it; loaders of other files that need one of its steps build
 * one too.
 *
 * A plan has steps over tokens and then, behind a Fuse, steps over the one text that is left. The reference
 * runs each step over the whole list; here every step takes one token at a time and holds back what later
 * ones can still change, which is little:
 *   SUFFIX (BPEDecoder)   the last token, which ends a text otherwise than it stands in the middle
 *   BYTES (ByteFallback)  a run of byte tokens that is well-formed so far: up to TFM__BYTE_RUN of them; of a
 *                         longer run the whole characters are handed on, as if the run began anew
 *   TEXT_REPLACE          what may be the beginning of its pattern
 *   TEXT_STRIP            the characters that fall away if the text ends behind them
 * Steps at the front that change every token alone are best done once, when the file is loaded. */
#ifndef TFM__DECODE_PLAN_H
#define TFM__DECODE_PLAN_H

#include "tokenizer/internal.h"

enum tfm__decode_kind {
    /* over tokens */
    TFM__DECODE_REPLACE,   /* from by to */
    TFM__DECODE_STRIP,     /* up to start characters from at the front, stop at the end */
    TFM__DECODE_JOIN,      /* a space in front of every token but the first */
    TFM__DECODE_WORDPIECE, /* the prefix from falls away, or a space comes in front; on: clean-up */
    TFM__DECODE_METASPACE, /* the character from becomes a space; on: in the first token it falls away */
    TFM__DECODE_SUFFIX,    /* from becomes a space, in the last token nothing */
    TFM__DECODE_CTC,   /* equal neighbours are one; from falls away; on: clean-up, and to becomes a space */
    TFM__DECODE_BYTES, /* "<0x41>" are bytes: a run is text, or U+FFFD for each of them */
    /* over the text */
    TFM__DECODE_UTF8,         /* every maximal ill-formed part becomes U+FFFD */
    TFM__DECODE_TEXT_REPLACE, /* as REPLACE */
    TFM__DECODE_TEXT_STRIP    /* as STRIP */
};

/* A step as it is asked for, with texts of the caller's. */
typedef struct tfm__decode_asked {
    int kind;
    bool on;
    const void *from, *to;
    size_t from_length, to_length;
    uint32_t start, stop;
} tfm__decode_asked;

typedef struct tfm__decode_step {
    uint8_t kind;
    bool on;
    tfm__slice from,
        to; /* in the plan's store; behind TEXT_REPLACE's from lie its borders (decode_steps.c) */
    uint32_t start, stop;
    size_t held_at, held_bytes;       /* where a decoder holds back what the step has to remember */
    size_t scratch_at, scratch_bytes; /* and where it writes what the step makes */
} tfm__decode_step;

#define TFM__DECODE_STEPS 48
#define TFM__DECODE_PATTERN 255 /* longest text that a step looks for */
#define TFM__BYTE_RUN 4096

typedef struct tfm__decode_plan {
    tfm__decode_step steps[TFM__DECODE_STEPS];
    uint32_t count, over_tokens; /* steps before over_tokens are over tokens */
    bool fused;                  /* steps added from now on are over the text */
    tfm__buffer store;           /* texts of steps and tokens */
    tfm__slice *tokens;          /* [vocab_size] what the chain starts with, in the store */
    size_t room;                 /* most bytes handed out at once */
    size_t scratch_bytes;
} tfm__decode_plan;

/* A plan without steps, with empty tokens for a vocabulary that has begun; tokenizer->decode_plan owns it. */
int32_t tfm__decode_plan_new(tfm_tokenizer *tokenizer, tfm_error *error);
void tfm__decode_plan_free(tfm__heap *heap, tfm__decode_plan *plan); /* NULL is fine */

/* Adds a step over tokens or, behind tfm__decode_plan_fuse, what it comes to over one text. Errors:
 * TFM_E_UNSUPPORTED (too many steps, a pattern that is empty or too long, BYTES over the text), TFM_E_MEMORY.
 */
int32_t tfm__decode_plan_add(tfm__decode_plan *plan, const tfm__decode_asked *asked, tfm_error *error);
/* The tokens become one text; bytes: which need not be UTF-8. */
int32_t tfm__decode_plan_fuse(tfm__decode_plan *plan, bool bytes, tfm_error *error);

/* What the chain starts with for a token. */
int32_t tfm__decode_plan_token(tfm__decode_plan *plan, int32_t id, const void *bytes, size_t length,
                               tfm_error *error);

/* Once all is added: how much room decoding needs. Errors: TFM_E_UNSUPPORTED (steps that blow a token up
 * beyond reason). */
int32_t tfm__decode_plan_finish(const tfm_tokenizer *tokenizer, tfm__decode_plan *plan, tfm_error *error);

/* What a token says on its own in the middle of a text; appended to out. scratch: [plan->room +
 * plan->scratch_bytes]. False: memory refused. */
bool tfm__decode_alone(const tfm_tokenizer *tokenizer, int32_t id, uint8_t *scratch, tfm__buffer *out);

/* Replaces every from in a token by to, the leftmost first; returns the new length, written to out, which has
 * tfm__replaced_size bytes. from is not empty. */
size_t tfm__decode_replace(const uint8_t *text, size_t length, const uint8_t *from, size_t from_length,
                           const uint8_t *to, size_t to_length, uint8_t *out);
/* What STRIP leaves of a token: returns the length, and the start in *begin. */
size_t tfm__decode_strip(const uint8_t *text, size_t length, const uint8_t *content, size_t content_length,
                         uint32_t start, uint32_t stop, size_t *begin);

#endif
