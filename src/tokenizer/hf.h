/* hf.h - tokenizer.json, Hugging Face's one file for a whole tokenizer: what its readers share. load_hf.c
 * reads the file with one reader for each of its members: hf_normalizer.c, hf_pre_tokenizer.c, hf_model.c,
 * hf_added.c, hf_post_processor.c, hf_decoder.c.
 *
 * Every component is either carried out exactly or refused by name; fields that a component is not known to
 * have are ignored, as the reference does. Source: the structures of Hugging Face's tokenizers, version 0.23
 * (which fields there are, their defaults). */
#ifndef TFM__HF_H
#define TFM__HF_H

#include "tokenizer/normalize.h"

#define TFM__HF_PARTS 32 /* members of a Sequence */

typedef struct tfm__hf {
    tfm_tokenizer *tokenizer;
    const tfm__json *json;
    tfm_error *error;
    tfm__buffer text; /* the string read last, with a NUL behind it */
    bool byte_level;  /* a ByteLevel pre-tokenizer: the vocabulary is spelled in the byte alphabet */

    /* the vocabulary as the file spells it, while loading */
    tfm__buffer strings;
    tfm__slice *said; /* [vocab_size] what each token says: in strings */
    int32_t *ids;     /* [id_mask + 1] table from a string to its id; -1: empty */
    size_t id_mask;
    size_t model_size; /* tokens of the model */
} tfm__hf;

/* ---- hf_read.c ---- */

static inline tfm__json_value tfm__hf_get(const tfm__hf *hf, tfm__json_value object, const char *key) {
    return tfm__json_get(hf->json, object, key);
}

static inline bool tfm__hf_is(const tfm__hf *hf, tfm__json_value object, const char *type) {
    return tfm__json_equals(hf->json, tfm__json_get(hf->json, object, "type"), type);
}

/* Absent or null. */
bool tfm__hf_null(const tfm__hf *hf, tfm__json_value value);

/* TFM_E_UNSUPPORTED or TFM_E_FORMAT at a value: "PART: WHAT". */
int32_t tfm__hf_unsupported(const tfm__hf *hf, tfm__json_value at, const char *part, const char *what);
int32_t tfm__hf_malformed(const tfm__hf *hf, tfm__json_value at, const char *part, const char *what);
/* The same for a member of an object: "PART: KEY WHAT". */
int32_t tfm__hf_wrong(const tfm__hf *hf, tfm__json_value object, const char *part, const char *key,
                      const char *what);
/* Puts the place of a value into an error that something below the file's structure reported. */
int32_t tfm__hf_placed(const tfm__hf *hf, tfm__json_value at, int32_t rc);
/* Refuses an object by its type. */
int32_t tfm__hf_unknown_type(tfm__hf *hf, tfm__json_value object, const char *part);

/* Reads a string into hf->text; TFM_E_FORMAT if it is none. */
int32_t tfm__hf_string(tfm__hf *hf, tfm__json_value value, const char *part);
/* A member that has to be a string; or one character. */
int32_t tfm__hf_text(tfm__hf *hf, tfm__json_value object, const char *part, const char *key);
int32_t tfm__hf_character(tfm__hf *hf, tfm__json_value object, const char *part, const char *key);
/* A truth value; absent: 0 or 1 where it may be missing or null, -1 where it may not. */
int32_t tfm__hf_flag(tfm__hf *hf, tfm__json_value object, const char *part, const char *key, int absent,
                     bool *out);
/* A number from 0 to most; absent: likewise, -1 where it must be there. */
int32_t tfm__hf_number(tfm__hf *hf, tfm__json_value object, const char *part, const char *key, int64_t most,
                       int64_t absent, int64_t *out);

/* Flattens Sequences (the member that holds the list is called list) into parts. */
int32_t tfm__hf_flatten(tfm__hf *hf, tfm__json_value value, const char *part, const char *list,
                        tfm__json_value parts[TFM__HF_PARTS], size_t *count);

/* Compiles a regular expression of the file into tokenizer->regexes; its index. */
int32_t tfm__hf_regex(tfm__hf *hf, tfm__json_value value, const char *part, uint32_t *index);
/* Stores a string value in the tokenizer's blob. */
int32_t tfm__hf_store(tfm__hf *hf, tfm__json_value value, const char *part, tfm__slice *out);

/* hf_decimal.c: a number of JSON's grammar as the reference reads it; infinite if it is too large. */
double tfm__hf_decimal(const char *text, size_t size);

/* ---- hf_vocab.c: the vocabulary as the file spells it ---- */

/* Room for count strings, and a vocabulary for ids below size. */
int32_t tfm__hf_vocab_begin(tfm__hf *hf, size_t size, size_t count);
/* Sets what a token says; known: it can be found by it. */
int32_t tfm__hf_vocab_put(tfm__hf *hf, int32_t id, const void *bytes, size_t length, bool known);
/* The token of the model that says this, or -1. */
int32_t tfm__hf_vocab_find(const tfm__hf *hf, const void *bytes, size_t length);
void tfm__hf_vocab_free(tfm__hf *hf);

static inline const uint8_t *tfm__hf_said(const tfm__hf *hf, int32_t id) {
    return hf->strings.data + hf->said[id].offset;
}

/* A token id: a number from 0 to INT32_MAX. */
int32_t tfm__hf_id(const tfm__hf *hf, tfm__json_value value, const char *part, int64_t *id);

/* ---- One for each member of the file ---- */

int32_t tfm__hf_normalizer(tfm__hf *hf, tfm__json_value normalizer);
int32_t tfm__hf_pre_tokenizer(tfm__hf *hf, tfm__json_value pre_tokenizer);
int32_t tfm__hf_model(tfm__hf *hf, tfm__json_value model, tfm__json_value added);
int32_t tfm__hf_added(tfm__hf *hf, tfm__json_value added);
int32_t tfm__hf_post_processor(tfm__hf *hf, tfm__json_value post_processor);
/* Last of all, with all tokens known: also sets what every token decodes to. */
int32_t tfm__hf_decoder(tfm__hf *hf, tfm__json_value decoder);

#endif
