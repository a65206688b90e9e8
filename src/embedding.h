/* embedding.h - texts to one vector each; see embedding.c. */
#ifndef TFM__EMBEDDING_H
#define TFM__EMBEDDING_H

#include "encode.h"
#include "tokenizer/batch.h"

/* How a call wants it; settled from the options and the model's files. */
typedef struct tfm__embed_plan {
    uint32_t pooling;   /* TFM_POOL_* bits, at least one */
    bool steps;         /* those of the model's files are done */
    int32_t normalize;  /* at the end: TFM_YES; or TFM_NO, which leaves out the files' too; TFM_DEFAULT */
    size_t most;        /* tokens of a text */
    const char *prompt; /* or NULL */
    size_t prompt_length;
    size_t width; /* of the result */
} tfm__embed_plan;
int32_t tfm__embed_choose(const tfm_model *model, const tfm_embed_options *options, tfm__embed_plan *plan,
                          tfm_error *error);

/* Most tokens that a text may have; 0: the model's own limit. */
size_t tfm__most_tokens(const tfm_model *model, size_t asked);

/* The rows of checked texts, cut to `most` tokens; free them with tfm__rows_free. */
typedef struct tfm__text_rows {
    tfm_encoding *encoding;
    int32_t *types;       /* [tokens], or NULL */
    tfm_encode_row *rows; /* [count] */
} tfm__text_rows;
int32_t tfm__rows_of_texts(tfm_model *model, const tfm_text_input *texts, size_t count, const char *prompt,
                           size_t prompt_length, size_t most, tfm__text_rows *out, tfm_error *error);
void tfm__rows_free(tfm_model *model, tfm__text_rows *rows);

/* Checked rows to vectors [count, plan->width]. watch may be NULL; it counts rows. */
int32_t tfm__embed_rows(tfm_model *model, const tfm_encode_row *rows, size_t count,
                        const tfm__embed_plan *plan, float *embeddings, tfm__watch *watch, tfm_error *error);

/* Checked rows to the outputs of a head for rows. [count, outputs] */
int32_t tfm__classify_rows(tfm_model *model, const tfm_encode_row *rows, size_t count, float *logits,
                           tfm_error *error);

#endif
