/* stream.h - the streaming encoder's inside face, for api_encoding.c. */
#ifndef TFM__STREAM_H
#define TFM__STREAM_H

#include "tokenizer/encode.h"

int32_t tfm__encoder_new(const tfm_tokenizer *tokenizer, const tfm__encode_choices *choices,
                         tfm_encoder **out, tfm_error *error);
void tfm__encoder_free(tfm_encoder *encoder); /* NULL is fine */
/* Takes text, or ends it; what became certain is then in tfm__encoder_ids. */
int32_t tfm__encoder_push(tfm_encoder *encoder, const uint8_t *text, size_t length, tfm_error *error);
int32_t tfm__encoder_finish(tfm_encoder *encoder, tfm_error *error);
const tfm_token *tfm__encoder_ids(const tfm_encoder *encoder, size_t *count);

#endif
