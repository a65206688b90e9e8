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
typedef struct tfm_encoder tfm_encoder;
typedef struct tfm_encoding tfm_encoding;

/* A special token for a rank file, which holds none. */
typedef struct tfm_special_token {
    const char *text; /* NUL-terminated, not empty */
    tfm_token token;  /* its id; may lie behind the last rank, with holes between */
    int32_t reserved; /* 0 */
} tfm_special_token;

#define TFM_TOKENIZER_ORIGINAL 0  /* the ids of the tokenizer that the file was made from */
#define TFM_TOKENIZER_LLAMA_CPP 1 /* GGUF only: the ids that llama.cpp gives where it deviates from the original */

typedef struct tfm_tokenizer_options {
    size_t struct_size;
    const tfm_allocator *allocator; /* NULL: the C library's */
    uint64_t byte_budget;           /* most bytes the tokenizer may take; 0: no bound */
    const char *pattern;            /* for .tiktoken files, which carry none: "gpt2" (r50k, p50k), "cl100k",
                                       "o200k", "llama3", or any regular expression (tfm_capability("pcre2"));
                                       NULL: told from the number of tokens in the file */
    const tfm_special_token *special; /* [special_count] for .tiktoken files: the special tokens; NULL: those of
                                         the published encoding that the file is told to be, if it is one */
    size_t special_count;
    int32_t compatibility; /* TFM_TOKENIZER_ORIGINAL or TFM_TOKENIZER_LLAMA_CPP */
    int32_t isa;           /* TFM_ISA_*: force an instruction set; the ids are the same with each */
    uint64_t cache_bytes;  /* most memory that each thread may use to remember pieces of text and their ids from
                              call to call; 0: 16 MiB; 1: nothing is remembered */
} tfm_tokenizer_options;
#define TFM_TOKENIZER_OPTIONS_INIT { sizeof(tfm_tokenizer_options), NULL, 0, NULL, NULL, 0, 0, 0, 0 }

/* Loads a tokenizer from any file that holds one, told by its content: GGUF (with or without tensors), a Hugging Face
 * folder or its tokenizer.json, a SentencePiece .model, a .tiktoken rank file, GPT-2's vocab.json with the merges.txt
 * (or encoder.json with the vocab.bpe) beside it, Marian's vocab.json with the source.spm, a WordPiece vocab.txt, llama2.c's tokenizer.bin (a folder or a
 * llama2.c model file: the tokenizer.bin or tok512.bin, ... beside it).
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

/* The same from the host's own storage, where the files beside it (merges.txt, tokenizer_config.json, ...) are found
 * with the source's open. The source is closed before the call returns, also when it fails. Since 0.2. */
TFM_API int32_t tfm_tokenizer_load_source(const tfm_source *source, const tfm_tokenizer_options *options,
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
    char kind[32];         /* "sentencepiece-bpe", "byte-level-bpe", "tiktoken", "unigram", "wordpiece", "wordlevel" */
    char pattern[32];      /* splitting pattern: "gpt2", "cl100k", "llama3", "qwen2", ...; "" where there is none */
} tfm_tokenizer_info;
#define TFM_TOKENIZER_INFO_INIT { sizeof(tfm_tokenizer_info), 0, -1, -1, -1, -1, -1, 0, 0, "", "" }

/* Fills info. Any thread. Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.1. */
TFM_API int32_t tfm_tokenizer_get_info(const tfm_tokenizer *tokenizer, tfm_tokenizer_info *info, tfm_error *error);

#define TFM_DEFAULT 0 /* as the model's file says */
#define TFM_YES 1
#define TFM_NO 2

/* What is done with special tokens that are written in the text. As ordinary text they are cut up like any other; a
 * tokenizer.json whose vocabulary holds them as pieces (Unigram, WordLevel, BPE with ignore_merges) can still arrive at
 * them, as the original does: TFM_SPECIAL_REFUSE is the safe choice there. */
#define TFM_SPECIAL_TEXT 0   /* they are ordinary text, so text from strangers cannot speak for the program */
#define TFM_SPECIAL_PARSE 1  /* they become their ids */
#define TFM_SPECIAL_REFUSE 2 /* the call fails with TFM_E_TOKEN, naming the token and its offset */

/* The choice for one special token. */
typedef struct tfm_special_choice {
    tfm_token token;
    int32_t choice; /* TFM_SPECIAL_* */
} tfm_special_choice;

/* What is done with bytes that are not UTF-8. TFM_DEFAULT: as the original does it where it does anything:
 * SentencePiece files put U+FFFD for each byte, tiktoken merges from the last piece before them to the end as one
 * piece; elsewhere the bytes are kept. */
#define TFM_UTF8_KEEP 1    /* kept: byte-level and byte-fallback vocabularies give every byte back */
#define TFM_UTF8_REPLACE 2 /* each maximal ill-formed part becomes U+FFFD (Unicode Standard, section 3.9) */
#define TFM_UTF8_REFUSE 3  /* the call fails with TFM_E_ARGUMENT, naming the offset */

typedef struct tfm_tokenize_options {
    size_t struct_size;
    int32_t add_bos;       /* TFM_DEFAULT, TFM_YES or TFM_NO: what stands in front of a text: the token that begins it,
                              or all that the file's template puts there ([CLS]) */
    int32_t add_eos;       /* likewise what stands behind it */
    int32_t parse_special; /* TFM_SPECIAL_*: for all special tokens but those of special */
    int32_t invalid_utf8;  /* TFM_DEFAULT or TFM_UTF8_* */
    const tfm_special_choice *special; /* [special_count] choices for single tokens */
    size_t special_count;
} tfm_tokenize_options;
#define TFM_TOKENIZE_OPTIONS_INIT { sizeof(tfm_tokenize_options), 0, 0, 0, 0, NULL, 0 }

/* Text to token ids.
 *   text, length   UTF-8; bytes that are not are encoded as the reference tokenizer does it. NULL with length 0 is
 *                  the empty text
 *   options        NULL: defaults
 *   ids            [capacity] receives the ids; NULL with capacity 0 to ask how many there are
 *   count          receives how many there are
 * Time grows linearly (times the logarithm at worst) with the length of the text. Any thread. Allocates scratch
 * through the tokenizer's allocator, which the tokenizer keeps for the next call (cache_bytes). Errors: TFM_E_ARGUMENT,
 * TFM_E_TOKEN (a special token that is refused), TFM_E_BUFFER (count is set, ids holds nothing; not an error with
 * capacity 0), TFM_E_MEMORY, TFM_E_BUDGET. Since 0.1. */
TFM_API int32_t tfm_tokenize(const tfm_tokenizer *tokenizer, const char *text, size_t length,
                             const tfm_tokenize_options *options, tfm_token *ids, size_t capacity, size_t *count,
                             tfm_error *error);

/* How many tokens a text has: tfm_tokenize without the ids. Errors: as tfm_tokenize. Since 0.2. */
TFM_API int32_t tfm_count_tokens(const tfm_tokenizer *tokenizer, const char *text, size_t length,
                                 const tfm_tokenize_options *options, size_t *count, tfm_error *error);

typedef struct tfm_detokenize_options {
    size_t struct_size;
    int32_t special; /* 1: special tokens appear as their text; 0: they are left out */
    int32_t raw;     /* 1: bytes exactly as the tokens hold them, which need not be valid UTF-8; 0: text, every
                        maximal ill-formed part replaced by U+FFFD, or by one for each of its bytes where the
                        original does so (SentencePiece; tokenizer.json with ByteFallback) */
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

/* The id of the token that stands for exactly these bytes (special tokens by their text), or that a tokenizer.json
 * spells so ("hello", "##ing"); or -1. Any thread. Allocates nothing. Since 0.1. */
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

/* Ends the text: hands out what was held back (an incomplete character replaced as in tfm_detokenize) and makes the decoder ready
 * for a new text. Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.1. */
TFM_API int32_t tfm_decoder_finish(tfm_decoder *decoder, const char **text, size_t *length, tfm_error *error);

/* Frees the decoder. NULL is allowed. Since 0.1. */
TFM_API void tfm_decoder_destroy(tfm_decoder *decoder);

/* ---- Streaming: text in parts -------------------------------------------------------------------------------- */

/* Makes an encoder: it takes a text in parts, cut anywhere, and hands out ids as soon as no later text can change
 * them. All ids joined are those of tfm_tokenize for the whole text. How much text it holds back depends on the
 * tokenizer: up to the last place where a cut is known to change nothing, mostly the last line; for tokenizers without
 * such a place, all of it.
 *   tokenizer   must outlive the encoder
 *   options     as for tfm_tokenize (copied); NULL: defaults
 *   out         receives the encoder; free it with tfm_encoder_destroy
 * One thread at a time. Allocates, here and later. Errors: TFM_E_ARGUMENT, TFM_E_MEMORY. Since 0.2. */
TFM_API int32_t tfm_encoder_create(const tfm_tokenizer *tokenizer, const tfm_tokenize_options *options,
                                   tfm_encoder **out, tfm_error *error);

/* Takes more text and gives the ids that are now certain: *count of them at *ids (perhaps none), valid until the
 * encoder's next call. Errors: as tfm_tokenize; the encoder then has to be finished or destroyed. Since 0.2. */
TFM_API int32_t tfm_encoder_push(tfm_encoder *encoder, const char *text, size_t length, const tfm_token **ids,
                                 size_t *count, tfm_error *error);

/* Ends the text: gives the remaining ids and makes the encoder ready for a new text. Errors: as tfm_tokenize; the
 * encoder is ready for a new text all the same. Since 0.2. */
TFM_API int32_t tfm_encoder_finish(tfm_encoder *encoder, const tfm_token **ids, size_t *count, tfm_error *error);

/* Frees the encoder. NULL is allowed. Since 0.2. */
TFM_API void tfm_encoder_destroy(tfm_encoder *encoder);

/* ---- Many texts, pairs, offsets, truncation, padding ----------------------------------------------------------- */

/* One input of a batch: a text, or a pair of texts for models that compare two. */
typedef struct tfm_text_input {
    const char *text; /* UTF-8; NULL with length 0 is the empty text */
    size_t length;
    const char *pair; /* NULL: none */
    size_t pair_length;
} tfm_text_input;

#define TFM_SIDE_RIGHT 1
#define TFM_SIDE_LEFT 2
#define TFM_TRUNCATE_LONGEST_FIRST 1 /* the longer of a pair gives way, token by token */
#define TFM_TRUNCATE_FIRST 2         /* only the text */
#define TFM_TRUNCATE_SECOND 3        /* only its pair */
#define TFM_PAD_LONGEST 1            /* every row to the longest of the batch */
#define TFM_PAD_FIXED 2              /* every row to pad_length */

#define TFM_WANT_OFFSETS 1  /* byte offsets of every token */
#define TFM_WANT_CHARS 2    /* character offsets of every token */
#define TFM_WANT_TYPES 4    /* type ids: 0 for the text, 1 for its pair */
#define TFM_WANT_MASKS 8    /* which tokens are special, and which are padding */
#define TFM_WANT_OVERFLOW 16 /* what truncation cuts off comes as further rows */

typedef struct tfm_batch_options {
    size_t struct_size;
    const tfm_tokenize_options *tokenize; /* NULL: defaults */
    tfm_pool *pool;     /* NULL: the calling thread alone; the result is the same */
    uint32_t want;      /* TFM_WANT_* */
    int32_t truncate;   /* TFM_DEFAULT: as the tokenizer's file says (most say nothing); TFM_YES: to max_length;
                           TFM_NO */
    size_t max_length;  /* tokens of a row, those that frame it counted */
    size_t stride;      /* tokens that an overflowing row repeats of the one before */
    int32_t truncate_side;     /* TFM_SIDE_*: where tokens are cut off; 0: right */
    int32_t truncate_strategy; /* TFM_TRUNCATE_*; 0: longest first */
    int32_t pad;        /* TFM_DEFAULT: as the file says; TFM_YES: as below; TFM_NO */
    int32_t pad_mode;   /* TFM_PAD_*; 0: longest */
    size_t pad_length;  /* for TFM_PAD_FIXED */
    size_t pad_multiple; /* rows are padded to a multiple of this; 0: any length */
    int32_t pad_side;   /* TFM_SIDE_*; 0: right */
    tfm_token pad_token; /* -1: the tokenizer's padding token, or 0 */
    int32_t pad_type;   /* type id of padding */
    int32_t reserved;   /* 0 */
} tfm_batch_options;
#define TFM_BATCH_OPTIONS_INIT \
    { sizeof(tfm_batch_options), NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0 }

/* Tokenizes count texts or pairs, on the pool's threads if there is one.
 *   inputs    [count]; the texts are read during the call only
 *   options   NULL: defaults
 *   out       receives the encoding, which holds all rows; free it with tfm_encoding_destroy
 * The rows are what tfm_tokenize gives for each text, then truncated and padded. Any thread. Allocates. Errors:
 * TFM_E_ARGUMENT (also: a pair for a tokenizer whose file says nothing about pairs is joined without anything between;
 * a text of 4 GiB or more with offsets is refused), TFM_E_TOKEN, TFM_E_MEMORY, TFM_E_BUDGET. Since 0.2. */
TFM_API int32_t tfm_tokenize_batch(const tfm_tokenizer *tokenizer, const tfm_text_input *inputs, size_t count,
                                   const tfm_batch_options *options, tfm_encoding **out, tfm_error *error);

/* Frees an encoding. NULL is allowed. Since 0.2. */
TFM_API void tfm_encoding_destroy(tfm_encoding *encoding);

/* All ids of all rows, one row behind the other: row r is ids[starts[r]] to ids[starts[r + 1] - 1], starts has
 * *rows + 1 entries. The memory belongs to the encoding and lives as long. Any out pointer may be NULL. Any thread.
 * Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_encoding_ids(const tfm_encoding *encoding, const tfm_token **ids, const size_t **starts,
                                 size_t *rows, tfm_error *error);

/* The other things that are known of the tokens, each an array like ids; NULL where it was not wanted. Tokens that
 * stand for no text ([CLS], padding) have empty ranges at 0. */
typedef struct tfm_encoding_view {
    size_t struct_size;
    size_t count;                /* tokens in all rows */
    const tfm_token *ids;        /* [count] */
    const uint32_t *byte_begins; /* [count] first byte of a token in its text (or, type 1, in its pair) */
    const uint32_t *byte_ends;   /* [count] behind its last byte: bytes begin .. end - 1. A token that holds a part of a
                                    character has that part's bytes */
    const uint32_t *char_begins; /* [count] the same in characters (code points); a part of a character counts as the */
    const uint32_t *char_ends;   /* [count] whole */
    const uint8_t *types;        /* [count] 0: text, 1: pair, or what the file's template says */
    const uint8_t *sequences;    /* [count] 0: of the text, 1: of the pair, 255: of neither */
    const uint8_t *special;      /* [count] 1: put there by the template or as padding */
    const uint8_t *attention;    /* [count] 0: padding */
    const size_t *inputs;        /* [rows] which input a row belongs to */
} tfm_encoding_view;
#define TFM_ENCODING_VIEW_INIT \
    { sizeof(tfm_encoding_view), 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }

/* Fills view; the memory belongs to the encoding and lives as long. Any thread. Allocates nothing. Errors:
 * TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_encoding_get(const tfm_encoding *encoding, tfm_encoding_view *view, tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
