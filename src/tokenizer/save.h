/* save.h - a tokenizer as its files say it; private to this folder.
 *
 * A form is what the formats have in common: named tokens, merges, tokens that are matched whole, the
 * pattern. save.c makes it from a tokenizer, or says why not; training fills it directly. Then save_json.c,
 * save_gguf.c, save_ranks.c and save_spm.c write it, each refusing what its format cannot say. */
#ifndef TFM__SAVE_H
#define TFM__SAVE_H

#include "tfm/tokenizer_train.h"
#include "tokenizer/internal.h"

/* A token; its name is spelled in the byte alphabet (byte-level) or with U+2581 (SentencePiece). */
typedef struct tfm__form_token {
    tfm__slice name; /* in the form's blob */
    float score;     /* SentencePiece */
    uint8_t kind;    /* TFM_TOKEN_*; 0: the id is not in use */
} tfm__form_token;

typedef struct tfm__form {
    tfm__heap *heap;
    tfm_error *error;
    bool byte_level; /* otherwise SentencePiece */
    tfm__buffer blob;
    tfm__buffer tokens; /* tfm__form_token by id */
    tfm__buffer merges; /* uint64_t: left << 32 | right, the best first (byte-level) */
    tfm__buffer added;  /* tfm__added; text lies in the form's blob */
    tfm__splitter splitter;
    const char
        *pattern; /* of the one expression that splits, as tokenizer.json spells it; NULL: nothing splits */
    bool prefix_space, nfc, ignore_merges, trim_offsets;
    int32_t bos, eos, unknown, padding; /* -1: none */
    bool adds_bos, adds_eos;
    tfm__spm_rules rules; /* SentencePiece: the settings, without the map */
    bool byte_fallback;
    const char *unknown_surface; /* what an unknown token decodes to; NULL: the default */
    size_t unknown_surface_length;
} tfm__form;

void tfm__form_init(tfm__form *form, tfm__heap *heap, tfm_error *error);
void tfm__form_free(tfm__form *form);
/* Adds the token of the next id; name NULL: an id that is not in use. */
int32_t tfm__form_token_add(tfm__form *form, const void *name, size_t length, int kind, float score);
/* Makes a token one that is matched whole. */
int32_t tfm__form_special(tfm__form *form, int32_t id);

static inline size_t tfm__form_count(const tfm__form *form) {
    return form->tokens.size / sizeof(tfm__form_token);
}
static inline tfm__form_token tfm__form_at(const tfm__form *form, size_t id) {
    tfm__form_token token;
    memcpy(&token, form->tokens.data + id * sizeof token, sizeof token);
    return token;
}
static inline const char *tfm__form_name(const tfm__form *form, size_t id, size_t *length) {
    tfm__form_token token = tfm__form_at(form, id);
    *length = token.name.length;
    return (const char *)form->blob.data + token.name.offset;
}
static inline uint64_t tfm__form_merge(const tfm__form *form, size_t index) {
    uint64_t merge;
    memcpy(&merge, form->merges.data + index * sizeof merge, sizeof merge);
    return merge;
}

/* A form of a tokenizer, for one format. */
int32_t tfm__form_of(const tfm_tokenizer *tokenizer, int32_t format, tfm__form *form);

/* Each appends the whole file to out. */
int32_t tfm__save_json(const tfm__form *form, tfm__buffer *out);
int32_t tfm__save_gguf(const tfm__form *form, tfm__buffer *out);
int32_t tfm__save_ranks(const tfm__form *form, tfm__buffer *out);
int32_t tfm__save_spm(const tfm__form *form, tfm__buffer *out);

/* Any of them. */
int32_t tfm__save(const tfm__form *form, int32_t format, tfm__buffer *out);

#endif
