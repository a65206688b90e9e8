/* tokenizer.h - the tokenizer's inside face for the layers above it (model, generate, api).
 *
 * Every loader ends in one immutable form (struct tfm_tokenizer, private to this folder): a blob of token
 * bytes, kinds, scores or merge order, special tokens, splitter, decoding rules. The exported functions are
 * thin checks over these. */
#ifndef TFM__TOKENIZER_H
#define TFM__TOKENIZER_H

#include "base/base.h"
#include "base/file.h"
#include "formats/formats.h"
#include "tfm/tokenizer.h"

/* From an opened model: GGUF metadata, or for a Hugging Face folder / llama2.c file the files beside it,
 * found through the store (tokenizer.json first, then tokenizer.model; special ids and add_bos from
 * tokenizer_config.json, generation_config.json and config.json where tokenizer.json leaves them open;
 * tokenizer.bin). options NULL: defaults. Memory from heap, which must outlive it. TFM_E_MISSING when there
 * is none at all (a model may still run on ids alone). */
int32_t tfm__tokenizer_from_model(tfm__store *store, const tfm__container *container,
                                  const tfm_tokenizer_options *options, tfm__heap *heap, tfm_tokenizer **out,
                                  tfm_error *error);

/* From a model that reads with one vocabulary and writes with another, the reading one; *out stays NULL where
 * the model has but one. */
int32_t tfm__tokenizer_of_source(tfm__store *store, const tfm__container *container, tfm__heap *heap,
                                 tfm_tokenizer **out, tfm_error *error);

/* From a file or folder that holds a tokenizer, told by content. */
int32_t tfm__tokenizer_from_store(tfm__store *store, const tfm_tokenizer_options *options, tfm__heap *heap,
                                  tfm_tokenizer **out, tfm_error *error);

/* Frees what the two above made; the heap stays. NULL is fine. */
void tfm__tokenizer_free(tfm_tokenizer *tokenizer);

/* tfm_tokenize without the option checks; appends to ids, a growing array of tfm_token in a buffer. */
int32_t tfm__tokenizer_encode(const tfm_tokenizer *tokenizer, const char *text, size_t length, bool add_bos,
                              bool add_eos, bool parse_special, tfm__buffer *ids, tfm_error *error);

/* tfm_decoder_create and _destroy on a given heap (generation uses the model's); options as in the public
 * call, checked. */
int32_t tfm__decoder_new(const tfm_tokenizer *tokenizer, tfm__heap *heap,
                         const tfm_detokenize_options *options, tfm_decoder **out, tfm_error *error);
void tfm__decoder_free(tfm_decoder *decoder); /* NULL is fine */
/* Most bytes that one push or the end hands out. */
size_t tfm__decoder_room(const tfm_tokenizer *tokenizer);

/* Facts for the layers above. */
int32_t tfm__tokenizer_vocab_size(const tfm_tokenizer *tokenizer);
void tfm__tokenizer_info(const tfm_tokenizer *tokenizer, tfm_tokenizer_info *info);
/* True for every token that ends a generated text: eos, end of turn, end of message, and the list in
 * generation_config.json or GGUF (eot, eom). */
bool tfm__tokenizer_is_end(const tfm_tokenizer *tokenizer, tfm_token token);
/* Those of them below `below`, in order, at most `max`; returns how many were written. */
size_t tfm__tokenizer_ends(const tfm_tokenizer *tokenizer, tfm_token *ends, size_t max, uint32_t below);

#endif
