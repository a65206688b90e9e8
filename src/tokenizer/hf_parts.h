/* hf_parts.h - the components of tokenizer.json around its model: what load_hf.c asks of hf_parts.c. */
#ifndef TFM__HF_PARTS_H
#define TFM__HF_PARTS_H

#include "tokenizer/normalize.h"

typedef struct tfm__hf {
    tfm_tokenizer *tokenizer;
    const tfm__json *json;
    tfm_error *error;
    tfm__buffer text;      /* the string read last */
    bool byte_level;       /* a ByteLevel pre-tokenizer: the vocabulary is spelled in the byte alphabet */
    bool decodes_bytes;    /* a ByteLevel decoder */
    bool decodes_marks;    /* U+2581 becomes a space */
    bool decodes_fallback; /* "<0x41>" becomes a byte */
    bool has_template;     /* the post-processor says what stands around a text */
} tfm__hf;

/* TFM_E_UNSUPPORTED or TFM_E_FORMAT at a value: "PART: WHAT". */
int32_t tfm__hf_unsupported(const tfm__hf *hf, tfm__json_value at, const char *part, const char *what);
int32_t tfm__hf_malformed(const tfm__hf *hf, tfm__json_value at, const char *part, const char *what);

/* Reads a string into hf->text; TFM_E_FORMAT if it is none. */
int32_t tfm__hf_string(tfm__hf *hf, tfm__json_value value, const char *part);

int32_t tfm__hf_normalizer(tfm__hf *hf, tfm__json_value normalizer);
int32_t tfm__hf_pre_tokenizer(tfm__hf *hf, tfm__json_value pre_tokenizer);
int32_t tfm__hf_post_processor(tfm__hf *hf, tfm__json_value post_processor);
int32_t tfm__hf_decoder(tfm__hf *hf, tfm__json_value decoder);

#endif
