/* save.h - a tokenizer as its files say it; private to this folder.
 *
 * A form is what the formats have in common: named tokens, merges, tokens that are matched whole, the
 * pattern. save.c makes it from a tokenizer, or says why not; training fills it directly. Then save_json.c,
 * save_gguf.c, save_ranks.c and save_spm.c write it, each refusing what its format cannot say. */
#ifndef TFM__SAVE_H
#define TFM__SAVE_H

#include "formats/gguf_write.h"
#include "tfm/tokenizer_train.h"
#include "tokenizer/internal.h"

/* A token; its name is spelled in the byte alphabet (byte-level) or with U+2581 (SentencePiece). */
typedef struct tfm__saved_token {
    tfm__slice name; /* in the form's blob */
    float score;     /* SentencePiece */
    uint8_t kind;    /* TFM_TOKEN_*; 0: the id is not in use */
} tfm__saved_token;

typedef struct tfm__saved {
    tfm__heap *heap;
    tfm_error *error;
    bool byte_level; /* otherwise SentencePiece */
    tfm__buffer blob;
    tfm__buffer tokens; /* tfm__saved_token by id */
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
} tfm__saved;

void tfm__saved_init(tfm__saved *form, tfm__heap *heap, tfm_error *error);
void tfm__saved_free(tfm__saved *form);
/* Adds the token of the next id; name NULL: an id that is not in use. */
int32_t tfm__saved_token_add(tfm__saved *form, const void *name, size_t length, int kind, float score);
/* Makes a token one that is matched whole. */
int32_t tfm__saved_special(tfm__saved *form, int32_t id);

static inline size_t tfm__saved_count(const tfm__saved *form) {
    return form->tokens.size / sizeof(tfm__saved_token);
}
static inline tfm__saved_token tfm__saved_at(const tfm__saved *form, size_t id) {
    tfm__saved_token token;
    memcpy(&token, form->tokens.data + id * sizeof token, sizeof token);
    return token;
}
static inline const char *tfm__saved_name(const tfm__saved *form, size_t id, size_t *length) {
    tfm__saved_token token = tfm__saved_at(form, id);
    *length = token.name.length;
    return (const char *)form->blob.data + token.name.offset;
}
static inline uint64_t tfm__saved_merge(const tfm__saved *form, size_t index) {
    uint64_t merge;
    memcpy(&merge, form->merges.data + index * sizeof merge, sizeof merge);
    return merge;
}

/* A form of a tokenizer, for one format. */
int32_t tfm__saved_of(const tfm_tokenizer *tokenizer, int32_t format, tfm__saved *form);

/* Each appends the whole file to out. */
int32_t tfm__save_json(const tfm__saved *form, tfm__buffer *out);
int32_t tfm__save_gguf(const tfm__saved *form, tfm__buffer *out);
/* Its values alone, for a model with rows for vocab tokens. */
int32_t tfm__save_gguf_values(const tfm__saved *form, size_t vocab, tfm__gguf_values *values);
int32_t tfm__save_ranks(const tfm__saved *form, tfm__buffer *out);
int32_t tfm__save_spm(const tfm__saved *form, tfm__buffer *out);

/* Any of them. */
int32_t tfm__save(const tfm__saved *form, int32_t format, tfm__buffer *out);

#endif
