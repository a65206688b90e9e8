/* models.h - the models besides BPE: Unigram (unigram.c), WordPiece and WordLevel (wordpiece.c). The loaders
 * build them once the vocabulary's texts are set and indexed (tfm__vocab_index); model.c runs them. */
#ifndef TFM__MODELS_H
#define TFM__MODELS_H

#include "tokenizer/internal.h"

/* ---- Unigram ---- */

enum tfm__unigram_rules {
    TFM__UNIGRAM_HF, /* Hugging Face's: every token matches, scores and sums are doubles */
    TFM__UNIGRAM_SPM /* SentencePiece's: normal, user-defined and unused pieces; sums are kept as floats */
};

/* What a loader says. Tokens with TFM__TOKEN_MATCH match; user-defined and unused ones by their kind. */
typedef struct tfm__unigram_settings {
    int rules;             /* enum tfm__unigram_rules */
    const double *scores;  /* [vocab_size] */
    int32_t unknown;       /* -1: none: text that needs it is an error */
    bool zero_user_scores; /* llama.cpp: user-defined pieces count 0 */
    size_t named; /* ids from here on come out as unknown, and a run of unknown characters as the token
                     of its text, if there is one (Marian); 0: neither */
} tfm__unigram_settings;

/* Fills tokenizer->unigram. Errors: TFM_E_FORMAT (a score that is no number, a piece too long), TFM_E_MEMORY.
 */
int32_t tfm__unigram_build(tfm_tokenizer *tokenizer, const tfm__unigram_settings *settings, const char *file,
                           tfm_error *error);
void tfm__unigram_free(tfm__heap *heap, struct tfm__unigram *unigram); /* NULL is fine */
int32_t tfm__unigram_piece(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text,
                           size_t length, tfm__sink *sink, tfm_error *error);

/* ---- WordPiece, WordLevel ---- */

/* Fills tokenizer->wordpiece. prefix: what pieces inside a word begin with ("##"); most_characters: longer
 * words are unknown. Errors: TFM_E_FORMAT (a piece too long), TFM_E_MEMORY. */
int32_t tfm__wordpiece_build(tfm_tokenizer *tokenizer, const uint8_t *prefix, size_t prefix_length,
                             size_t most_characters, int32_t unknown, const char *file, tfm_error *error);
/* Words may then have any number of characters. */
void tfm__wordpiece_any_length(tfm_tokenizer *tokenizer);
void tfm__wordpiece_free(tfm__heap *heap, struct tfm__wordpiece *wordpiece); /* NULL is fine */
int32_t tfm__wordpiece_piece(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text,
                             size_t length, tfm__sink *sink, tfm_error *error);

/* The piece is one token, or tokenizer->unknown; neighbouring unknowns are one where merge_unknown says so.
 */
int32_t tfm__wordlevel_piece(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text,
                             size_t length, tfm__sink *sink, tfm_error *error);

/* No piece of these models may be longer (bytes): the time of encoding grows with the longest one. */
#define TFM__LONGEST_PIECE 8192

/* For text that no token covers, where there is no unknown token. */
int32_t tfm__no_unknown(const uint8_t *text, size_t length, tfm_error *error);

#endif
