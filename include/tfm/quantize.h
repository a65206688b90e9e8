/* tfm/quantize.h - writing a model anew with smaller weights.
 *
 * Example: make a file of 8-bit weights.
 *
 *     #include <tfm/tfm.h>
 *     #include <inttypes.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
 *         tfm_quantize_result result = TFM_QUANTIZE_RESULT_INIT;
 *         if (argc != 2) return 2;
 *         options.requantize = 1; // the model of this example is quantised already
 *         if (tfm_quantize(argv[1], "example-q8_0.gguf", "Q8_0", &options, &result, &error)) {
 *             fprintf(stderr, "%s\n", error.message);
 *             return 1;
 *         }
 *         printf("%" PRIu64 " bytes of weights became %" PRIu64 "\n", result.source_bytes, result.bytes);
 *         remove("example-q8_0.gguf");
 *         return 0;
 *     }
 *
 * The result is a GGUF file that other programs read too. Every weight has the bits that ggml's reference quantisers give
 * it, whatever the number of threads; for GGUF sources the whole choice of types is llama.cpp's. docs/quantize.md has the
 * types, the mixes and how files of other formats are turned into GGUF. */
#ifndef TFM_QUANTIZE_H
#define TFM_QUANTIZE_H

#include "tfm/base.h"
#include "tfm/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tfm_quantize_options {
    size_t struct_size;
    const char *imatrix;        /* path of an importance matrix, as llama.cpp writes them (.dat or GGUF); NULL: none */
    const char *output_type;    /* type of the output matrix, instead of the mix's choice; NULL */
    const char *embedding_type; /* type of the token embedding; NULL */
    int32_t pure;               /* 1: every matrix gets the named type itself (of a mix: its main type) */
    int32_t requantize;         /* 1: weights that are quantised already are taken too, with the loss of both */
    int32_t tokenizer;          /* other formats than GGUF: TFM_DEFAULT: written too, an error if GGUF cannot say it or
                                   there is none; TFM_NO: left out */
    int32_t reserved;           /* 0 */
    tfm_pool *pool;             /* NULL: the calling thread alone; the result is the same */
    tfm_progress_fn progress;   /* NULL: none; counts values */
    void *progress_user;
    const tfm_cancel *cancel;       /* NULL: none */
    const tfm_allocator *allocator; /* NULL: the C library's */
    uint64_t byte_budget;           /* most bytes that the call may take, mapped files not counted; 0: no bound */
    tfm_log_fn log;                 /* NULL: silent; says which tensors got another type than they should */
    void *log_user;
} tfm_quantize_options;
#define TFM_QUANTIZE_OPTIONS_INIT \
    { sizeof(tfm_quantize_options), NULL, NULL, NULL, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL }

typedef struct tfm_quantize_result {
    size_t struct_size;
    uint64_t tensors;      /* in the new file */
    uint64_t quantized;    /* of them, with another type than before */
    uint64_t weighted;     /* of them, with importance */
    uint64_t fallbacks;    /* of them, with a type of smaller blocks, because their rows are no whole number of blocks */
    uint64_t parameters;   /* numbers in all tensors */
    uint64_t source_bytes; /* of all tensors, before */
    uint64_t bytes;        /* and now */
} tfm_quantize_result;
#define TFM_QUANTIZE_RESULT_INIT { sizeof(tfm_quantize_result), 0, 0, 0, 0, 0, 0, 0 }

/* Writes a model with other weights into a GGUF file, whole or not at all (a temporary file beside it, made durable, then
 * renamed).
 *   source    GGUF (single or split), a Hugging Face folder or a llama2.c file; UTF-8
 *   target    the file to write; one that is there is replaced; UTF-8
 *   type      a weight type ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q6_K", "IQ4_NL", "IQ4_XS",
 *             "MXFP4") or a mix ("Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", ...), in
 *             either case: tfm_quantize_type lists them
 *   options   NULL: defaults
 *   result    NULL, or receives the figures
 * Memory stays within a few megabytes besides the vocabulary and the importance matrix. Vectors, norms, routers and
 * learned positions stay as they are (F32). Blocks until done. Any thread. Errors: TFM_E_ARGUMENT (no such type),
 * TFM_E_NOT_FOUND, TFM_E_IO, TFM_E_FORMAT (also: weights that are no finite numbers; an importance matrix of another
 * model), TFM_E_TRUNCATED, TFM_E_UNSUPPORTED (weights that are quantised already, without requantize; weights too large
 * for the type; a model that GGUF has no words for), TFM_E_MISSING, TFM_E_SHAPE, TFM_E_MEMORY, TFM_E_BUDGET,
 * TFM_E_CANCELLED. Since 0.2. */
TFM_API int32_t tfm_quantize(const char *source, const char *target, const char *type,
                             const tfm_quantize_options *options, tfm_quantize_result *result, tfm_error *error);

/* The names that tfm_quantize takes, by index from 0; NULL behind the last. Static storage. Any thread. Never fails.
 * Since 0.2. */
TFM_API const char *tfm_quantize_type(size_t index);

/* ---- Importance matrices ------------------------------------------------------------------------------------------- */

#define TFM_IMATRIX_GGUF 0 /* the newer form of llama.cpp: a GGUF file of sums and counts */
#define TFM_IMATRIX_DAT 1  /* the older one */

typedef struct tfm_imatrix_options {
    size_t struct_size;
    uint32_t context;    /* tokens of a window, 2 or more; 0: 512 */
    int32_t format;      /* TFM_IMATRIX_* */
    int32_t add_bos;     /* TFM_DEFAULT: windows begin with the token that begins texts, if the tokenizer adds it; TFM_YES;
                            TFM_NO */
    int32_t reserved;    /* 0 */
    const char *dataset; /* a name for the text, to be noted in the file; NULL: none */
    tfm_progress_fn progress; /* NULL: none; counts tokens */
    void *progress_user;
    const tfm_cancel *cancel; /* NULL: none */
} tfm_imatrix_options;
#define TFM_IMATRIX_OPTIONS_INIT { sizeof(tfm_imatrix_options), 0, 0, 0, 0, NULL, NULL, NULL, NULL }

/* Measures an importance matrix and writes it as llama.cpp's llama-imatrix does: for every matrix of a layer the mean
 * square of what each of its columns is multiplied with, over a text. Its windows lie one behind the other; a last one
 * that is not full is left out. The names are GGUF's, whatever the model's format. The file appears whole or not at all.
 *   model           of full precision, best: F16 or F32
 *   tokens, count   the text's tokens as tfm_tokenize gives them with add_bos TFM_NO
 *   path            UTF-8
 *   options         NULL: defaults
 * Makes a session of its own. Allocates. Any thread. Errors: TFM_E_ARGUMENT (too few tokens for one window; an encoder),
 * TFM_E_TOKEN, TFM_E_UNSUPPORTED (a family without names in GGUF), TFM_E_IO, TFM_E_MEMORY, TFM_E_BUDGET,
 * TFM_E_CANCELLED. Since 0.2. */
TFM_API int32_t tfm_imatrix_measure(tfm_model *model, const tfm_token *tokens, size_t count, const char *path,
                                    const tfm_imatrix_options *options, tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
