/* load_vocab.h - vocabularies without a description (load_vocab.c), for load.c and load_gguf.c. */
#ifndef TFM__LOAD_VOCAB_H
#define TFM__LOAD_VOCAB_H

#include "tokenizer/internal.h"

/* BERT's vocabulary in the spelling of vocab.txt, and what tokenizer_config.json may say of it (TFM_DEFAULT:
 * nothing; then text is lower-cased unless the vocabulary has the capitals A to Z, and accents fall with the
 * case). */
typedef struct tfm__bert_vocab {
    const tfm__text *tokens; /* [count] by id */
    size_t count;
    int32_t lower_case, strip_accents, chinese; /* TFM_DEFAULT, TFM_YES, TFM_NO */
} tfm__bert_vocab;
int32_t tfm__load_bert(tfm_tokenizer *tokenizer, const tfm__bert_vocab *vocab, const char *name,
                       tfm_error *error);

bool tfm__is_vocab_txt(const uint8_t *data, size_t size);
int32_t tfm__load_vocab_txt(tfm_tokenizer *tokenizer, const tfm__loaded_text *file,
                            const tfm__bert_vocab *settings, tfm_error *error);

/* The next line, without what ends it; false at the end. */
bool tfm__vocab_line(const uint8_t *data, size_t size, size_t *at, tfm__text *line);

/* A special token in a tokenizer.json's list, unless id is negative; *any: whether one is there already. */
struct tfm__json_writer;
void tfm__vocab_special(struct tfm__json_writer *w, int64_t id, const char *name, bool *any);

/* A list of whole tokens, with the names of special ones and what frames a text (load_ct2.c). */
typedef struct tfm__ct2_vocab {
    const char *bos, *eos, *unknown;
    bool adds_bos, adds_eos;
} tfm__ct2_vocab;
int32_t tfm__load_ct2(tfm_tokenizer *tokenizer, const tfm__loaded_text *file, const tfm__ct2_vocab *settings,
                      tfm_error *error);

/* An object of tokens and ids, as vocab.json and encoder.json are. */
bool tfm__is_vocab_json(const tfm__json *json);
int32_t tfm__load_vocab_json(tfm_tokenizer *tokenizer, const tfm__loaded_text *file,
                             const tfm__loaded_text *merges, tfm_error *error);

#endif
