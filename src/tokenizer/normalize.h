/* normalize.h - the kinds of normalising steps, and what is under them; private to this folder.
 *
 * Every step reads one aligned text and writes another. normalize.c runs the steps in turn; normalize_spm.c
 * holds SentencePiece's rules, normalize_hf.c those of Hugging Face's normalizers that are more than a line.
 */
#ifndef TFM__NORMALIZE_H
#define TFM__NORMALIZE_H

#include "tokenizer/internal.h"

enum tfm__normal_kind {
    TFM__NORMAL_NFC,
    TFM__NORMAL_NFD,
    TFM__NORMAL_NFKC,
    TFM__NORMAL_NFKD,
    TFM__NORMAL_PREPEND,       /* to, in front of texts that are not empty; flags: TFM__PREPEND_APART */
    TFM__NORMAL_REPLACE,       /* from by to, everywhere */
    TFM__NORMAL_REPLACE_REGEX, /* matches of tokenizer->regexes[regex] by to */
    TFM__NORMAL_SPM,           /* SentencePiece's own rules: tokenizer->spm */
    TFM__NORMAL_PRECOMPILED, /* Hugging Face's reading of SentencePiece's character map: tokenizer->spm's map
                              */
    TFM__NORMAL_BERT,        /* flags: TFM__BERT_* */
    TFM__NORMAL_STRIP,       /* flags: 1 left, 2 right */
    TFM__NORMAL_STRIP_ACCENTS, /* drops category M */
    TFM__NORMAL_LOWERCASE,
    TFM__NORMAL_NMT,
    TFM__NORMAL_BYTE_LEVEL /* bytes to the byte alphabet */
};
enum {
    TFM__PREPEND_APART = 1
}; /* it stands for nothing of the text; Hugging Face: for the first character */
enum {
    TFM__BERT_CLEAN = 1,
    TFM__BERT_CHINESE = 2,
    TFM__BERT_ACCENTS = 4,
    TFM__BERT_LOWER = 8,
    TFM__BERT_FIRST = 16 /* llama.cpp: of a character that can be decomposed the first part, marks stay */
};

/* One step from a text to a writer. Errors: TFM_E_MEMORY, and a regular expression's. */
int32_t tfm__normal_step_run(const tfm_tokenizer *tokenizer, tfm__work *work, const tfm__normal_step *step,
                             const tfm__aligned *text, tfm__rewriter *out, tfm_error *error);

/* SentencePiece's rules (normalize_spm.c). False: memory refused. */
bool tfm__spm_normalize(const tfm_tokenizer *tokenizer, const tfm__aligned *text, tfm__rewriter *out);

/* Place of the replacement of a key of the character map, the longest or the shortest one that the text
 * begins with; *used: the key's length, 0 if there is none. */
size_t tfm__spm_map(const tfm__spm_rules *rules, const uint8_t *text, size_t length, bool shortest,
                    size_t *used);

/* Hugging Face's (normalize_hf.c). False: memory refused. */
bool tfm__hf_precompiled(const tfm__spm_rules *rules, const tfm__aligned *text, tfm__rewriter *out);
bool tfm__hf_bert(uint32_t flags, const tfm__aligned *text, tfm__rewriter *out, tfm__buffer scratch[2]);
bool tfm__hf_strip(uint32_t flags, const tfm__aligned *text, tfm__rewriter *out);
bool tfm__hf_each(uint32_t kind, const tfm__aligned *text,
                  tfm__rewriter *out); /* STRIP_ACCENTS, LOWERCASE, NMT */
bool tfm__hf_byte_level(const tfm__aligned *text, tfm__rewriter *out);
bool tfm__hf_prepend(const uint8_t *what, size_t count, const tfm__aligned *text, tfm__rewriter *out);

#endif
