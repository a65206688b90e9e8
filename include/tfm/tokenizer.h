/* tfm/tokenizer.h - text to tokens and back.
 *
 * Example: the tokens of a sentence, and the sentence again.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         const char text[] = "Once upon a time";
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_tokenizer *tokenizer = NULL;
 *         int32_t ids[64];
 *         char back[256];
 *         size_t count = 0, length = 0;
 *         if (argc != 2) return 2;
 *         if (tfm_tokenizer_load(argv[1], NULL, &tokenizer, &error) ||
 *             tfm_tokenize(tokenizer, text, sizeof text - 1, NULL, ids, 64, &count, &error) ||
 *             tfm_detokenize(tokenizer, ids, count, NULL, back, sizeof back, &length, &error)) {
 *             fprintf(stderr, "%s\n", error.message);
 *             tfm_tokenizer_release(tokenizer);
 *             return 1;
 *         }
 *         for (size_t i = 0; i < count; i++) printf("%d ", (int)ids[i]);
 *         printf("-> %.*s\n", (int)length, back);
 *         tfm_tokenizer_release(tokenizer);
 *         return 0;
 *     }
 *
 * A tokenizer is immutable once loaded: any number of threads may use one at the same time.
 *
 * Which tokenizer is the reference depends on the file: GGUF files give the ids of the tokenizer that they were
 * converted from, tokenizer.json those of Hugging Face's tokenizers, .model files those of SentencePiece, .tiktoken
 * files those of tiktoken, llama2.c's tokenizer.bin those of run.c. */
#ifndef TFM_TOKENIZER_H
#define TFM_TOKENIZER_H

#include "tfm/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A token id. -1 stands for "none" wherever an id may be missing. */
typedef int32_t tfm_token;

typedef struct tfm_tokenizer tfm_tokenizer;
typedef struct tfm_decoder tfm_decoder;

typedef struct tfm_tokenizer_options {
    size_t struct_size;
    const tfm_allocator *allocator; /* NULL: the C library's */
    uint64_t byte_budget;           /* most bytes the tokenizer may take; 0: no bound */
    const char *pattern;            /* for .tiktoken files, which carry none: "gpt2" (r50k, p50k), "cl100k" or
                                       "o200k"; NULL: told from the number of tokens in the file */
} tfm_tokenizer_options;
#define TFM_TOKENIZER_OPTIONS_INIT { sizeof(tfm_tokenizer_options), NULL, 0, NULL }

/* Loads a tokenizer from any file that holds one, told by its content: GGUF (with or without tensors), a Hugging Face
 * folder or its tokenizer.json, a SentencePiece .model, a .tiktoken rank file, llama2.c's tokenizer.bin (a folder or
 * a llama2.c model file: the tokenizer.bin or tok512.bin, ... beside it).
 *   path      UTF-8
 *   options   NULL: defaults
 *   out       receives the tokenizer; free it with tfm_tokenizer_release
 * Nothing of the file is kept open. Allocates. Errors: TFM_E_NOT_FOUND, TFM_E_IO, TFM_E_FORMAT, TFM_E_TRUNCATED,
 * TFM_E_UNSUPPORTED (names the component that is not known), TFM_E_MISSING, TFM_E_MEMORY, TFM_E_BUDGET,
 * TFM_E_ARGUMENT. Any thread. Since 0.1. */
TFM_API int32_t tfm_tokenizer_load(const char *path, const tfm_tokenizer_options *options, tfm_tokenizer **out,
                                   tfm_error *error);

/* The same from size bytes of memory (one file), which may be freed afterwards. Since 0.1. */
TFM_API int32_t tfm_tokenizer_load_memory(const void *data, size_t size, const tfm_tokenizer_options *options,
                                          tfm_tokenizer **out, tfm_error *error);

/* Frees a tokenizer that was loaded on its own; one that belongs to a model lives and dies with it, and this call
 * leaves it alone. NULL is allowed. Since 0.1. */
TFM_API void tfm_tokenizer_release(tfm_tokenizer *tokenizer);

/* What a tokenizer is. Ids are -1 where there is no such token. */
typedef struct tfm_tokenizer_info {
    size_t struct_size;
    int32_t vocab_size; /* ids are 0 .. vocab_size - 1; some may be unused */
    tfm_token bos, eos, unknown, padding;
    tfm_token end_of_turn; /* ends an answer in chat models; -1: none */
    int32_t adds_bos, adds_eos; /* whether tfm_tokenize adds them by default */
    char kind[32];         /* "sentencepiece-bpe", "byte-level-bpe", "tiktoken" */
    char pattern[32];      /* splitting pattern: "gpt2", "cl100k", "llama3", "qwen2", ...; "" where there is none */
} tfm_tokenizer_info;
#define TFM_TOKENIZER_INFO_INIT { sizeof(tfm_tokenizer_info), 0, -1, -1, -1, -1, -1, 0, 0, "", "" }

/* Fills info. Any thread. Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.1. */
TFM_API int32_t tfm_tokenizer_get_info(const tfm_tokenizer *tokenizer, tfm_tokenizer_info *info, tfm_error *error);

#define TFM_DEFAULT 0 /* as the model's file says */
#define TFM_YES 1
#define TFM_NO 2

typedef struct tfm_tokenize_options {
    size_t struct_size;
    int32_t add_bos;       /* TFM_DEFAULT, TFM_YES or TFM_NO: the token that begins a text in front */
    int32_t add_eos;       /* likewise the one that ends it behind */
    int32_t parse_special; /* 1: special tokens written in the text ("<|im_end|>") become their ids; 0: they are
                              ordinary text, so text from strangers cannot speak for the program */
    int32_t reserved;      /* 0 */
} tfm_tokenize_options;
#define TFM_TOKENIZE_OPTIONS_INIT { sizeof(tfm_tokenize_options), 0, 0, 0, 0 }

/* Text to token ids.
 *   text, length   UTF-8; bytes that are not are encoded as the reference tokenizer does it. NULL with length 0 is
 *                  the empty text
 *   options        NULL: defaults
 *   ids            [capacity] receives the ids; NULL with capacity 0 to ask how many there are
 *   count          receives how many there are
 * Time grows linearly (times the logarithm at worst) with the length of the text. Any thread. Allocates scratch for
 * the time of the call, through the tokenizer's allocator. Errors: TFM_E_ARGUMENT, TFM_E_BUFFER (count is set, ids
 * holds nothing; not an error with capacity 0), TFM_E_MEMORY, TFM_E_BUDGET. Since 0.1. */
TFM_API int32_t tfm_tokenize(const tfm_tokenizer *tokenizer, const char *text, size_t length,
                             const tfm_tokenize_options *options, tfm_token *ids, size_t capacity, size_t *count,
                             tfm_error *error);

typedef struct tfm_detokenize_options {
    size_t struct_size;
    int32_t special; /* 1: special tokens appear as their text; 0: they are left out */
    int32_t raw;     /* 1: bytes exactly as the tokens hold them, which need not be valid UTF-8; 0: text, every
                        maximal ill-formed part replaced by U+FFFD */
    int32_t continued; /* 1: the tokens go on from earlier text, so a leading space stays; 0: they begin a text */
    int32_t reserved;  /* 0 */
} tfm_detokenize_options;
#define TFM_DETOKENIZE_OPTIONS_INIT { sizeof(tfm_detokenize_options), 0, 0, 0, 0 }

/* Token ids to text.
 *   ids, count       the tokens
 *   text, capacity   receives the text (no NUL is added); NULL with capacity 0 to ask for the length
 *   length           receives the length in bytes
 * A leading space that tokenization adds is taken off again, as the reference does. Any thread. Allocates scratch for
 * the time of the call. Errors: TFM_E_ARGUMENT, TFM_E_TOKEN (an id outside the vocabulary), TFM_E_BUFFER (length is
 * set), TFM_E_MEMORY. Since 0.1. */
TFM_API int32_t tfm_detokenize(const tfm_tokenizer *tokenizer, const tfm_token *ids, size_t count,
                               const tfm_detokenize_options *options, char *text, size_t capacity, size_t *length,
                               tfm_error *error);

/* The bytes that one token stands for in the middle of a text (a leading space is kept; special tokens give their
 * text). The memory belongs to the tokenizer and lives as long. Any thread. Allocates nothing.
 * Errors: TFM_E_ARGUMENT, TFM_E_TOKEN. Since 0.1. */
TFM_API int32_t tfm_token_bytes(const tfm_tokenizer *tokenizer, tfm_token token, const char **bytes, size_t *length,
                                tfm_error *error);

#define TFM_TOKEN_NORMAL 1
#define TFM_TOKEN_UNKNOWN 2 /* stands for what the vocabulary cannot express */
#define TFM_TOKEN_CONTROL 3 /* begin, end, padding, chat markers: never text */
#define TFM_TOKEN_USER 4    /* added by hand: matched whole */
#define TFM_TOKEN_UNUSED 5
#define TFM_TOKEN_BYTE 6    /* one byte */

/* What sort of token an id is: TFM_TOKEN_*, or 0 if it is outside the vocabulary. Any thread. Never fails.
 * Since 0.1. */
TFM_API int32_t tfm_token_kind(const tfm_tokenizer *tokenizer, tfm_token token);

/* The id of the token that stands for exactly these bytes (special tokens by their text), or -1. Any thread.
 * Allocates nothing. Since 0.1. */
TFM_API tfm_token tfm_token_find(const tfm_tokenizer *tokenizer, const char *bytes, size_t length);

/* ---- Streaming: one token at a time ---------------------------------------------------------------------- */

/* Makes a decoder: it hands out text as tokens come in, only ever complete UTF-8 characters, and holds back the bytes
 * of a character that is not complete yet.
 *   tokenizer   must outlive the decoder
 *   options     as for tfm_detokenize; NULL: defaults
 *   out         receives the decoder; free it with tfm_decoder_destroy
 * One thread at a time. Allocates here, and never later. Errors: TFM_E_ARGUMENT, TFM_E_MEMORY. Since 0.1. */
TFM_API int32_t tfm_decoder_create(const tfm_tokenizer *tokenizer, const tfm_detokenize_options *options,
                                   tfm_decoder **out, tfm_error *error);

/* Takes the next token and gives the text that is now complete: *length bytes at *text (perhaps 0), valid until the
 * decoder's next call. All texts joined, tfm_decoder_finish's included, are what tfm_detokenize gives for all the
 * tokens. Allocates nothing. Errors: TFM_E_ARGUMENT, TFM_E_TOKEN (the decoder is as before). Since 0.1. */
TFM_API int32_t tfm_decoder_push(tfm_decoder *decoder, tfm_token token, const char **text, size_t *length,
                                 tfm_error *error);

/* Ends the text: hands out what was held back (an incomplete character as U+FFFD) and makes the decoder ready for a
 * new text. Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.1. */
TFM_API int32_t tfm_decoder_finish(tfm_decoder *decoder, const char **text, size_t *length, tfm_error *error);

/* Frees the decoder. NULL is allowed. Since 0.1. */
TFM_API void tfm_decoder_destroy(tfm_decoder *decoder);

#ifdef __cplusplus
}
#endif
#endif
