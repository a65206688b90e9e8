/* quant.h - from one model file to another: which tensors the new file has, what type each gets, and where
 * its rows come from.
 *
 * A plan lists the tensors of a GGUF file to be written. For a GGUF source these are its own; for other
 * formats hf_tensors.c finds them under the family's names and says how their rows differ. quantize.c then
 * goes through the plan, a run of rows at a time: rows are fetched as floats, quantised, written. */
#ifndef TFM__QUANT_H
#define TFM__QUANT_H

#include "base/threads.h"
#include "formats/gguf_write.h"
#include "model/model.h"
#include "tfm/quantize.h"

/* How row r of a planned matrix lies in its source. */
enum {
    TFM__ORDER_AS_IS = 0,
    TFM__ORDER_ROTARY, /* heads whose pairs are halves there become heads whose pairs are neighbours */
    TFM__ORDER_GROUPS  /* groups of query heads with their key and value become all queries, all keys, all
                          values */
};

typedef struct tfm__planned {
    tfm__gguf_tensor out; /* name, shape, type as they will be in the file */
    const tfm__tensor *source;
    const tfm__tensor *const *parts;    /* [shape[0]] instead of source: one matrix each (experts) */
    const float *values;                /* instead of source: all values, F32 */
    bool transposed;                    /* the source is [columns, rows] */
    int order;                          /* TFM__ORDER_* */
    uint32_t heads, kv_heads, head_dim; /* of the order */
    uint32_t rotary;                    /* ROTARY: so many of each head's rows turn, the others stay */
    float offset;                       /* added to every value */
    const float *importance;            /* [parts or 1, columns], or NULL */
} tfm__planned;

typedef struct tfm__plan {
    tfm__heap *heap;
    tfm__arena arena;
    const tfm__container *container;
    tfm__planned *tensors;
    size_t count, capacity;
    tfm__gguf_values values;
    tfm_log_fn log;
    void *log_user;
    tfm_error *error;
    /* what the rules of mixes look at */
    tfm__text architecture;
    uint32_t layers, heads, kv_heads, experts;
    bool mixes_down_less;
    uint32_t mixes_values_more;
} tfm__plan;

/* A zeroed tensor at the end of the list. Pointers to tensors move when it grows. */
int32_t tfm__plan_add(tfm__plan *plan, tfm__planned **planned);

/* ---- Mixes (mix.c) ---- */

typedef struct tfm__mix tfm__mix;

/* The mix or type of that name, in either case ("Q4_K_M", "q8_0"); NULL if there is none. */
const tfm__mix *tfm__mix_find(const char *name);
const char *tfm__mix_at(size_t index); /* names in order; NULL past the end */
uint32_t tfm__mix_file_type(const tfm__mix *mix);

/* Sorts the plan as files are written (what belongs to no layer, then layer by layer, names in order) and
 * gives each tensor its type. */
int32_t tfm__mix_apply(const tfm__mix *mix, tfm__plan *plan, const tfm_quantize_options *options,
                       bool weighted, tfm_quantize_result *result);

/* ---- Sources (plan.c, hf_tensors.c, hf_values.c) ---- */

int32_t tfm__plan_gguf(tfm__plan *plan);
/* model: opened from a Hugging Face folder or a llama2.c file. Its tensors under GGUF's names; then its
 * description and tokenizer as GGUF's values, read back and compared. */
int32_t tfm__plan_model(tfm__plan *plan, tfm_model *model);
int32_t tfm__plan_model_values(tfm__plan *plan, tfm_model *model, bool with_tokenizer);

/* ---- Importance (imatrix.c) ---- */

/* Gives every tensor of the plan that the store's file knows its importance. The values live in the plan's
 * arena. name: of the file, for messages. */
int32_t tfm__plan_importance(tfm__plan *plan, tfm__store *store, const char *name);

/* The arguments have been checked (imatrix_make.c). */
int32_t tfm__imatrix_measure(tfm_model *model, const tfm_token *tokens, size_t count, const char *path,
                             const tfm_imatrix_options *options, tfm_error *error);

/* ---- The whole (quantize.c) ---- */

int32_t tfm__quantize(const char *source, const char *target, const tfm__mix *mix,
                      const tfm_quantize_options *options, tfm_quantize_result *result, tfm_error *error);

#endif
