/* tfm/model.h - a parameter file, opened.
 *
 * Example: what is in a file, and how large it is.
 *
 *     #include <tfm/tfm.h>
 *     #include <inttypes.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_model_info info = TFM_MODEL_INFO_INIT;
 *         tfm_model *model = NULL;
 *         if (argc != 2) return 2;
 *         if (tfm_model_load(argv[1], NULL, &model, &error) || tfm_model_get_info(model, &info, &error)) {
 *             fprintf(stderr, "%s\n", error.message);
 *             tfm_model_release(model);
 *             return 1;
 *         }
 *         printf("%s: %" PRIu64 " parameters, %d layers, %d wide\n", info.family, info.parameters,
 *                (int)info.layers, (int)info.width);
 *         tfm_model_release(model);
 *         return 0;
 *     }
 *
 * A model is immutable once loaded and may be used by any number of threads, through one session each. The weights
 * stay in the file's own layout: mapped by default, so that processes share them and a large model opens at once.
 * Parameter files are treated as hostile: a broken one gives an error, never a crash. One caution: a mapped file that
 * another program cuts short while it is in use makes the system stop the process (a bus error); where others may
 * write to the file, load with `read_into_memory`. */
#ifndef TFM_MODEL_H
#define TFM_MODEL_H

#include "tfm/base.h"
#include "tfm/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tfm_model tfm_model;

typedef struct tfm_model_options {
    size_t struct_size;
    const tfm_allocator *allocator; /* NULL: the C library's; copied */
    uint64_t byte_budget;           /* most bytes that model, sessions and caches may take together (mapped weights
                                       not counted); 0: no bound */
    tfm_pool *pool;                 /* threads for all sessions of this model; NULL: the calling thread alone.
                                       Must outlive the model */
    int32_t read_into_memory;       /* 1: read the file instead of mapping it */
    int32_t isa;                    /* TFM_ISA_*: force an instruction set; results are the same bits with each */
    tfm_log_fn log;                 /* NULL: silent */
    void *log_user;
    tfm_progress_fn progress; /* NULL: none; counts bytes read, so a mapped file calls it not at all */
    void *progress_user;
    const tfm_cancel *cancel; /* NULL: none; used during the call only */
} tfm_model_options;
#define TFM_MODEL_OPTIONS_INIT { sizeof(tfm_model_options), NULL, 0, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL }

/* Opens a model: GGUF (versions 1 to 3, single or split), a Hugging Face folder (config.json with safetensors), or
 * llama2.c's .bin (versions 0 to 2, with tokenizer.bin or, for N tokens, tokN.bin beside it), a CTranslate2 folder
 * (model.bin, versions 2 to 6, encoder-decoders), told by the content and not
 * by the name.
 *   path      UTF-8
 *   options   NULL: defaults
 *   out       receives the model; let go of it with tfm_model_release
 * Allocates. Takes milliseconds when mapping; reads everything otherwise (progress, cancel). Errors: TFM_E_NOT_FOUND,
 * TFM_E_IO, TFM_E_FORMAT, TFM_E_TRUNCATED, TFM_E_UNSUPPORTED (family, tensor type or feature, named), TFM_E_MISSING,
 * TFM_E_SHAPE, TFM_E_MEMORY, TFM_E_BUDGET, TFM_E_CANCELLED, TFM_E_ARGUMENT. Any thread. Since 0.1. */
TFM_API int32_t tfm_model_load(const char *path, const tfm_model_options *options, tfm_model **out,
                               tfm_error *error);

/* The same from size bytes of memory that hold one file. The memory stays the host's, must not change, and must
 * outlive the model: weights are used where they are. Errors as tfm_model_load. Since 0.1. */
TFM_API int32_t tfm_model_load_memory(const void *data, size_t size, const tfm_model_options *options,
                                      tfm_model **out, tfm_error *error);

/* The same through the host's own read functions. The source is copied; its `map` is used if it has one, otherwise
 * the content is read into memory. Its `open` is asked for further files (shards, tokenizers). Errors as
 * tfm_model_load; TFM_E_IO when the source refuses. Since 0.1. */
TFM_API int32_t tfm_model_load_source(const tfm_source *source, const tfm_model_options *options, tfm_model **out,
                                      tfm_error *error);

/* Takes one more reference, for a second owner. Any thread. Never fails. Since 0.1. */
TFM_API void tfm_model_retain(tfm_model *model);

/* Lets go of one reference; the last one frees the model. Sessions hold one of their own. NULL is allowed. Any
 * thread. Since 0.1. */
TFM_API void tfm_model_release(tfm_model *model);

/* What a model does with tokens. */
#define TFM_KIND_DECODER 1 /* goes on with them: tfm_session_create */
#define TFM_KIND_ENCODER 2 /* turns them into vectors: tfm_encode, tfm_embed */
#define TFM_KIND_ENCODER_DECODER 3 /* writes a text that belongs to another: tfm_encode, then sessions on what it made */

typedef struct tfm_model_info {
    size_t struct_size;
    char family[32];  /* "llama", "gemma3", ...: a row of the table of families */
    char name[128];   /* as the file calls it, or "" */
    char format[32];  /* "gguf", "huggingface", "llama2.c", "ctranslate2" */
    char weights[32]; /* type that holds most of the parameters: "Q4_K" */
    uint64_t parameters;    /* numbers in the weights, shared ones counted once */
    uint64_t weight_bytes;  /* bytes they take in the file */
    int32_t layers;
    int32_t width;          /* of the residual stream */
    int32_t heads, kv_heads, head_dim;
    int32_t feed_forward;   /* inner width */
    int32_t vocab_size;
    int32_t context;        /* positions that the model was made for */
    int32_t has_tokenizer;  /* 1 or 0 */
    uint64_t kv_bytes_per_token; /* of a session with the default cache type; of an encoder 0 */
    char isa[32];           /* instruction set in use */
    int32_t kind;           /* TFM_KIND_*. Since 0.2 */
    int32_t start_token;    /* encoder-decoders: what the decoder's text begins with, as tfm_generate does it; -1:
                               nothing. Since 0.2 */
} tfm_model_info;
#define TFM_MODEL_INFO_INIT \
    { sizeof(tfm_model_info), "", "", "", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "", 0, 0 }

/* Fills info. Any thread. Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.1. */
TFM_API int32_t tfm_model_get_info(const tfm_model *model, tfm_model_info *info, tfm_error *error);

/* The model's tokenizer, or NULL if its files hold none. Belongs to the model and lives as long. Any thread.
 * Since 0.1. */
TFM_API const tfm_tokenizer *tfm_tokenizer_of(const tfm_model *model);

/* The tokenizer of what an encoder-decoder's encoder reads: one of its own where the files hold two vocabularies
 * (CTranslate2), else the same as tfm_tokenizer_of. Belongs to the model and lives as long. Any thread. Since 0.2. */
TFM_API const tfm_tokenizer *tfm_source_tokenizer_of(const tfm_model *model);

/* Bytes that the model and everything made from it hold at this moment, through its allocator; mapped weights not
 * counted. Any thread. Never fails. Since 0.1. */
TFM_API uint64_t tfm_model_bytes(const tfm_model *model);

/* One tensor of the file, by index 0 .. tfm_model_tensor_count - 1. */
typedef struct tfm_tensor_info {
    size_t struct_size;
    const char *name;  /* lives as long as the model */
    const char *type;  /* "F16", "Q4_K", ... static */
    uint32_t dims;
    uint32_t reserved; /* 0 */
    uint64_t shape[8]; /* outermost first */
    uint64_t bytes;
} tfm_tensor_info;
#define TFM_TENSOR_INFO_INIT { sizeof(tfm_tensor_info), NULL, NULL, 0, 0, { 0, 0, 0, 0, 0, 0, 0, 0 }, 0 }

/* How many tensors the file holds. Any thread. Since 0.1. */
TFM_API size_t tfm_model_tensor_count(const tfm_model *model);

/* Fills info for one tensor. Any thread. Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.1. */
TFM_API int32_t tfm_model_tensor(const tfm_model *model, size_t index, tfm_tensor_info *info, tfm_error *error);

/* Reads numbers of one tensor of the file as f32, whatever its type: quantised ones as they are multiplied with.
 *   first, count   elements, row by row: element (r, c) of a matrix [rows, columns] is r * columns + c
 *   values         [count]; written only on success
 * Any thread; not while a trainer steps on the model. Allocates nothing. Errors: TFM_E_ARGUMENT (no such tensor or
 * elements), TFM_E_UNSUPPORTED (a tensor of whole numbers). Since 0.2. */
TFM_API int32_t tfm_model_tensor_read(const tfm_model *model, size_t index, uint64_t first, size_t count, float *values,
                                      tfm_error *error);

/* Which matrix has a row for each token. */
#define TFM_EMBEDDING_INPUT 0  /* what a token begins with, before scales, positions and norms */
#define TFM_EMBEDDING_OUTPUT 1 /* what a logit is the product with; the same matrix where the two are tied. Not in encoders */

/* Reads the row of a token.
 *   matrix     TFM_EMBEDDING_*
 *   values     [width of the model's info], or what the matrix has: see `capacity`
 *   capacity   floats that values has room for
 *   count      receives the row's length; may be NULL
 * Any thread; not while a trainer steps on the model. Allocates nothing. Errors: TFM_E_ARGUMENT (a token outside the
 * vocabulary, no such matrix), TFM_E_BUFFER (count is set). Since 0.2. */
TFM_API int32_t tfm_token_embedding(const tfm_model *model, int32_t token, int32_t matrix, float *values,
                                    size_t capacity, size_t *count, tfm_error *error);

/* Tables of positions and scores that tfm_model_matrix reads. Rows lie one behind the other. */
#define TFM_MATRIX_POSITIONS 1 /* [positions, width] what is added to the embedding: learned, or sines and cosines */
#define TFM_MATRIX_ROTATION 2  /* [layers, pairs] radians by which one position turns each pair of a query or key; 0 in
                                  layers that do not turn. Where the context is stretched: within its original length */
#define TFM_MATRIX_SCORES 3    /* [layers, 3] what becomes of query times key: the factor; the soft cap, or 0; the window
                                  in positions, or 0 */

/* Reads rows of a matrix as f32. Of an encoder-decoder they are the decoder's.
 *   matrix         TFM_MATRIX_*
 *   first, count   the rows; their end must lie within the matrix
 *   values         receives [count, columns], the caller's; NULL: only rows and columns are wanted, first and count are
 *                  not looked at
 *   rows, columns  receive the matrix's shape; each may be NULL
 * Allocates nothing. Any thread. Errors: TFM_E_ARGUMENT (no such matrix, rows outside of it), TFM_E_MISSING (the model has
 * no such positions), TFM_E_UNSUPPORTED (stored the other way round). Since 0.2. */
TFM_API int32_t tfm_model_matrix(const tfm_model *model, int32_t matrix, size_t first, size_t count, float *values,
                                 size_t *rows, size_t *columns, tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
