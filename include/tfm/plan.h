/* tfm/plan.h - what a transformer of a given shape takes: parameters, memory, arithmetic, time and money, without its
 * weights.
 *
 * Example: GPT-3, from its shape alone.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(void) {
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_shape shape = TFM_SHAPE_INIT;
 *         tfm_plan_result plan = TFM_PLAN_RESULT_INIT;
 *         if (tfm_shape_named("gpt-3", &shape, &error) || tfm_plan(&shape, NULL, &plan, &error)) {
 *             fprintf(stderr, "%s\n", error.message);
 *             return 1;
 *         }
 *         printf("%.1f billion parameters, %.0f GFLOP per token\n", (double)shape.parameters / 1e9,
 *                plan.forward_flops / 1e9);
 *         return 0;
 *     }
 *
 * A shape comes from a name, or from a file that describes a model: a config.json alone, a folder, a GGUF file. Nothing of
 * the weights is read. Where tensors are listed (safetensors, GGUF) they are counted; a config.json alone is counted by
 * the family's formula, which gives the same number. */
#ifndef TFM_PLAN_H
#define TFM_PLAN_H

#include "tfm/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes, and numbers of parameters by part; the parts add up to `parameters`. */
typedef struct tfm_shape {
    size_t struct_size;
    char name[128];  /* as the file or the table calls it, or "" */
    char family[32]; /* as in tfm_model_info */
    uint32_t layers;
    uint32_t width;
    uint32_t heads, kv_heads;
    uint32_t head_dim, value_dim; /* of a head's keys and values */
    uint32_t feed_forward;        /* inner width of layers without experts */
    uint32_t vocab;
    uint32_t context;
    uint32_t experts, experts_used, expert_width; /* 0: none */
    uint32_t window, windowed_layers;             /* layers that see only so many positions */
    uint32_t tied;                                /* 1: the output matrix is the embedding */
    uint32_t counted;                             /* 1: from a list of tensors, 0: by formula */
    uint64_t parameters;
    uint64_t active_parameters;      /* that one token goes through: fewer with experts */
    uint64_t embedding_parameters;   /* tokens, token types */
    uint64_t position_parameters;    /* learned positions */
    uint64_t attention_parameters;
    uint64_t feed_parameters;        /* feed-forwards, experts, routers */
    uint64_t norm_parameters;
    uint64_t output_parameters;      /* an output matrix of its own, heads of encoders */
    uint64_t vector_parameters;      /* norms and biases: part of the above, kept as F32 in quantised files */
} tfm_shape;
#define TFM_SHAPE_INIT \
    { sizeof(tfm_shape), "", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* The shape of a known model: "llama-2-7b", "gpt2-xl", "gpt-3", ... Case, spaces and hyphens do not matter. Any thread. Errors:
 * TFM_E_ARGUMENT, TFM_E_NOT_FOUND (no such name), TFM_E_MEMORY. Since 0.2. */
TFM_API int32_t tfm_shape_named(const char *name, tfm_shape *shape, tfm_error *error);

/* Name number index of the table, or NULL past its end. Static. Any thread. Since 0.2. */
TFM_API const char *tfm_shape_name(size_t index);

/* The shape of a model from its files: a folder, a config.json, a GGUF or llama2.c file. Weights need not be there where
 * config.json is; they are not read where they are.
 *   path       UTF-8
 *   allocator  NULL: the C library's; everything is given back before the call ends
 * Any thread. Allocates. Errors: those of tfm_model_load; TFM_E_UNSUPPORTED too for a family that cannot be counted by
 * formula, when there are no tensors. Since 0.2. */
TFM_API int32_t tfm_shape_read(const char *path, const tfm_allocator *allocator, tfm_shape *shape, tfm_error *error);

/* The same from the bytes of a config.json or a GGUF file. Since 0.2. */
TFM_API int32_t tfm_shape_read_memory(const void *data, size_t size, const tfm_allocator *allocator, tfm_shape *shape,
                                      tfm_error *error);

/* Bytes that the weights take in a type ("F16", "Q4_K", ...): matrices in it, norms and biases in F32 if it is quantised.
 * Any thread. Allocates nothing. Errors: TFM_E_ARGUMENT, TFM_E_NOT_FOUND (no such type). Since 0.2. */
TFM_API int32_t tfm_shape_bytes(const tfm_shape *shape, const char *type, uint64_t *bytes, tfm_error *error);

/* Name of weight type number index that tfm_shape_bytes takes, or NULL past the end. Static. Since 0.2. */
TFM_API const char *tfm_shape_type(size_t index);

typedef struct tfm_plan_options {
    size_t struct_size;
    double tokens;          /* to train on; 0: 20 for each parameter (Hoffmann et al. 2022) */
    double bytes_per_token; /* of text; 0: 5 */
    double accelerators;    /* working together; 0: 1 */
    double flops;           /* that one of them could do in a second; 0: 312e12 (an A100, dense 16-bit) */
    double utilisation;     /* part of that which is reached; 0: 0.4 */
    double price;           /* of one for an hour, in any money; 0: 1.10 */
    double bytes_per_weight; /* of the finished model; 0: 2 */
    uint64_t context;       /* positions; 0: the shape's */
    int32_t cache_type;     /* TFM_CACHE_* of keys and values (tfm/session.h); 0: 16 bits */
    int32_t reserved;       /* 0 */
} tfm_plan_options;
#define TFM_PLAN_OPTIONS_INIT { sizeof(tfm_plan_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

typedef struct tfm_plan_result {
    size_t struct_size;
    double forward_flops;      /* of one token without attention: 2 for each parameter of a matrix that it meets */
    double attention_flops;    /* of one token that sees a whole context: scores and mixing */
    double train_flops;        /* of one token: three times forward, with half a context on the average */
    double total_train_flops;  /* of all tokens */
    double rule_train_flops;   /* the usual estimate beside it: 6 x active parameters x tokens (Kaplan et al. 2020) */
    double train_seconds;      /* on all accelerators */
    double accelerator_hours;
    double cost;
    double tokens;             /* those that were reckoned with */
    double text_bytes;
    double model_bytes;
    double text_per_model_byte;
    uint64_t kv_bytes_per_token; /* keys and values of all layers, in options.cache_type */
    uint64_t kv_bytes;           /* of one full context; layers with a window keep only that */
    double train_bytes;          /* weights, gradients and Adam's two moments, in F32: 16 a parameter */
} tfm_plan_result;
#define TFM_PLAN_RESULT_INIT { sizeof(tfm_plan_result), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Reckons with a shape.
 *   options  NULL: defaults
 *   result   receives the numbers
 * Any thread. Allocates nothing. Errors: TFM_E_ARGUMENT (also a number that is negative or not finite). Since 0.2. */
TFM_API int32_t tfm_plan(const tfm_shape *shape, const tfm_plan_options *options, tfm_plan_result *result,
                         tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
