/* batch.h - many texts at once: the inside of tfm_encoding, for api_encoding.c. */
#ifndef TFM__BATCH_H
#define TFM__BATCH_H

#include "base/threads.h"
#include "tokenizer/frame.h"

/* Everything lies in arrays that run over all tokens of all rows; NULL where it was not wanted. */
struct tfm_encoding {
    tfm__heap *heap;
    size_t count, rows;
    size_t *starts; /* [rows + 1] */
    size_t *inputs; /* [rows] */
    tfm_token *ids; /* [count], and so the others */
    uint32_t *byte_begins, *byte_ends, *char_begins, *char_ends;
    uint8_t *types, *sequences, *special, *attention;
};

/* Runs a batch; options are checked. */
int32_t tfm__encode_batch(const tfm_tokenizer *tokenizer, const tfm_text_input *inputs, size_t count,
                          const tfm_batch_options *options, const tfm__encode_choices *choices,
                          tfm_encoding **out, tfm_error *error);
void tfm__encoding_free(tfm_encoding *encoding); /* NULL is fine */

#endif
