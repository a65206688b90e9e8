/* save_json.h - writing tokenizer.json; private to this folder.
 *
 *   save_json_text.c  values
 *   save_json.c       byte-level BPE, and the parts that all files have
 *   save_json_spm.c   SentencePiece's BPE, as Hugging Face's tokenizers express it */
#ifndef TFM__SAVE_JSON_H
#define TFM__SAVE_JSON_H

#include "tokenizer/save.h"

typedef struct tfm__json_writer {
    const tfm__saved *form;
    tfm__buffer *out;
    bool ok; /* false once memory was refused */
} tfm__json_writer;

void tfm__json_put(tfm__json_writer *w, const char *text); /* as it stands */
void tfm__json_put_number(tfm__json_writer *w, uint64_t number);
void tfm__json_put_string(tfm__json_writer *w, const char *text, size_t length);
void tfm__json_put_bool(tfm__json_writer *w, const char *key, bool value); /* ,"key":value */

/* "added_tokens":[...], and a line's end. */
void tfm__json_put_added(tfm__json_writer *w);
/* A TemplateProcessing of what begins and ends a text. */
void tfm__json_put_template(tfm__json_writer *w);
/* "vocab":{...}, and the merges that end the model and the file. */
void tfm__json_put_vocab(tfm__json_writer *w);
void tfm__json_put_merges(tfm__json_writer *w);

int32_t tfm__save_json_spm(const tfm__saved *form, tfm__buffer *out);

#endif
