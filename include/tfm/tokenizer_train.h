/* tfm/tokenizer_train.h - learning a tokenizer from text, and saving tokenizers.
 *
 * Example: learn 300 tokens from a text, look at what they make of a sentence, keep them.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     static int32_t next(void *user, const char **text, size_t *length) {
 *         static const char verse[] = "the cat sat on the mat and the dog sat on the cat\n";
 *         int *left = user;
 *         *text = (*left)-- > 0 ? verse : NULL;
 *         *length = sizeof verse - 1;
 *         return 0;
 *     }
 *
 *     int main(void) {
 *         const char *const special[] = {"<|endoftext|>"};
 *         tfm_tokenizer_train_options options = TFM_TOKENIZER_TRAIN_OPTIONS_INIT;
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_tokenizer *tokenizer = NULL;
 *         size_t count = 0;
 *         int verses = 100;
 *         options.vocab_size = 300;
 *         options.special_tokens = special;
 *         options.special_count = 1;
 *         if (tfm_tokenizer_train_text(next, &verses, &options, &tokenizer, &error) ||
 *             tfm_count_tokens(tokenizer, "the cat on the mat", 18, NULL, &count, &error) ||
 *             tfm_tokenizer_save(tokenizer, "example-tokenizer.json", TFM_SAVE_TOKENIZER_JSON, &error)) {
 *             fprintf(stderr, "%s\n", error.message);
 *             tfm_tokenizer_release(tokenizer);
 *             return 1;
 *         }
 *         printf("%zu tokens\n", count);
 *         tfm_tokenizer_release(tokenizer);
 *         remove("example-tokenizer.json");
 *         return 0;
 *     }
 *
 * Two kinds. Byte-level BPE learns what Hugging Face's BpeTrainer (tokenizers 0.23.3) learns from the same texts with a
 * ByteLevel pre-tokenizer: the same tokens with the same ids and the same merges, ties included. SentencePiece learns
 * what the BPE trainer of sentencepiece 0.2.3 learns with its identity normalisation. docs/tokenizers.md says which of
 * their options are there, and where they leave the result open. The result never depends on the number of threads.
 *
 * A unit is what the original calls a sequence or a sentence: no token reaches across its ends, and it is split as a
 * text of its own. From files, byte-level units are lines with their line feed; a SentencePiece sentence is a line
 * without it. From a callback every piece of text is one unit. */
#ifndef TFM_TOKENIZER_TRAIN_H
#define TFM_TOKENIZER_TRAIN_H

#include "tfm/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Training ------------------------------------------------------------------------------------------------- */

#define TFM_TRAIN_BYTE_LEVEL 0
#define TFM_TRAIN_SENTENCEPIECE 1

#define TFM_TRAIN_UNIT_LINE 1 /* up to and with a line feed (SentencePiece: without it) */
#define TFM_TRAIN_UNIT_TEXT 2 /* a whole file, or a piece of text of the callback */

#define TFM_TRAIN_ALPHABET_BYTES 0 /* all 256 bytes are tokens: every text can be encoded */
#define TFM_TRAIN_ALPHABET_SEEN 1  /* the bytes that occur, and those of initial_alphabet */

typedef struct tfm_tokenizer_train_options {
    size_t struct_size;
    int32_t kind;        /* TFM_TRAIN_BYTE_LEVEL or TFM_TRAIN_SENTENCEPIECE */
    int32_t unit;        /* TFM_TRAIN_UNIT_*; 0: lines of files, whole texts of a callback */
    size_t vocab_size;   /* tokens wanted, special ones and the alphabet counted; 0: 30000 (byte-level), 8000 */
    const char *const *special_tokens; /* [special_count] byte-level: the first ids, in this order; SentencePiece: control
                                          symbols, behind <unk>, <s> and </s>. NUL-terminated */
    size_t special_count;
    int32_t invalid_utf8; /* byte-level: TFM_DEFAULT or TFM_UTF8_REFUSE: the call fails with TFM_E_FORMAT, naming file
                             and offset; TFM_UTF8_KEEP: bytes like any other. SentencePiece: TFM_DEFAULT or
                             TFM_UTF8_REPLACE: U+FFFD for each byte; TFM_UTF8_REFUSE */
    int32_t reserved;     /* 0 */

    /* byte-level only */
    const char *pattern;      /* what cuts units into pieces: "gpt2", "cl100k", "o200k", "llama3", "qwen2", a regular
                                 expression, or "" for nothing; NULL: "gpt2" */
    int32_t add_prefix_space; /* TFM_YES: units that do not begin with a space get one ("gpt2" and "" only) */
    int32_t alphabet;         /* TFM_TRAIN_ALPHABET_* */
    const unsigned char *initial_alphabet; /* [initial_count] bytes that count as the most frequent ones */
    size_t initial_count;
    size_t limit_alphabet;   /* at most so many bytes, the most frequent ones; 0: no limit. With ALPHABET_SEEN */
    uint64_t min_frequency;  /* pairs that occur less often are not merged */
    size_t max_token_length; /* merging makes longer tokens than two bytes only below this many; 0: no limit */

    /* SentencePiece only; where TFM_DEFAULT stands, as sentencepiece has it */
    const char *const *user_symbols; /* [user_count] user-defined symbols, behind the control symbols */
    size_t user_count;
    const char *required_chars;  /* characters that are tokens however rare; NULL: none */
    double character_coverage;   /* share of the text whose characters become tokens, 0.98 to 1; 0: 0.9995 */
    size_t max_piece_length;     /* characters, 1 to 512; 0: 16 */
    size_t max_sentence_length;  /* longer sentences are passed over, bytes; 0: 4192 */
    int32_t byte_fallback;       /* 256 byte tokens for what has no token; default no */
    int32_t add_dummy_prefix;    /* default yes */
    int32_t remove_extra_whitespaces;     /* default yes */
    int32_t split_digits;                 /* default no */
    int32_t split_by_number;              /* default yes */
    int32_t split_by_unicode_script;      /* default yes */
    int32_t split_by_whitespace;          /* default yes */
    int32_t treat_whitespace_as_suffix;   /* default no */
    int32_t allow_whitespace_only_pieces; /* default no */
    int32_t hard_vocab_limit; /* default yes: a text that does not yield vocab_size tokens is an error */

    /* the call */
    tfm_pool *pool;           /* NULL: the calling thread alone; the result is the same */
    tfm_progress_fn progress; /* done of total: bytes of text read, then as many again for merging; total 0: a callback
                                 is still handing out text */
    void *progress_user;
    const tfm_cancel *cancel;
    const tfm_allocator *allocator; /* NULL: the C library's; of the tokenizer too */
    uint64_t byte_budget;           /* most bytes that training may take, files that are mapped not counted; 0: no bound */
} tfm_tokenizer_train_options;
#define TFM_TOKENIZER_TRAIN_OPTIONS_INIT                                                                          \
    {                                                                                                             \
        sizeof(tfm_tokenizer_train_options), 0, 0, 0, NULL, 0, 0, 0, NULL, 0, 0, NULL, 0, 0, 0, 0, NULL, 0, NULL, \
            0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, 0                              \
    }

/* Learns a tokenizer from files.
 *   files, file_count   paths, UTF-8; read in this order
 *   options             NULL: defaults
 *   out                 receives the tokenizer, ready for use; free it with tfm_tokenizer_release
 * Blocks until done. Time is linear in the text, and in the different pieces times how often each is merged: a piece that
 * is a whole long text (no pattern, units of megabytes) is slow. Allocates. Errors:
 * TFM_E_ARGUMENT, TFM_E_NOT_FOUND, TFM_E_IO, TFM_E_FORMAT (text that is not UTF-8 where that is refused; too little text
 * for a hard vocab_size), TFM_E_UNSUPPORTED (a pattern that cannot be translated), TFM_E_CANCELLED, TFM_E_MEMORY,
 * TFM_E_BUDGET. Any thread. Since 0.2. */
TFM_API int32_t tfm_tokenizer_train(const char *const *files, size_t file_count,
                                    const tfm_tokenizer_train_options *options, tfm_tokenizer **out, tfm_error *error);

/* Hands out the next piece of text: *length bytes at *text, valid until the next call; *text NULL: there is no more.
 * Called on the thread of the training call. Return 0 to go on, anything else to stop with TFM_E_CANCELLED. */
typedef int32_t (*tfm_text_fn)(void *user, const char **text, size_t *length);

/* The same from a callback, which is asked for pieces of text until it has no more. Errors: as tfm_tokenizer_train.
 * Since 0.2. */
TFM_API int32_t tfm_tokenizer_train_text(tfm_text_fn next, void *user, const tfm_tokenizer_train_options *options,
                                         tfm_tokenizer **out, tfm_error *error);

/* ---- Saving --------------------------------------------------------------------------------------------------- */

#define TFM_SAVE_TOKENIZER_JSON 1 /* Hugging Face's tokenizer.json; of SentencePiece, as its users convert it */
#define TFM_SAVE_GGUF 2           /* a GGUF file (version 3) of a vocabulary alone, as llama.cpp loads it */
#define TFM_SAVE_TIKTOKEN 3       /* a rank file; it holds neither special tokens nor the pattern */
#define TFM_SAVE_SENTENCEPIECE 4  /* a .model file: SentencePiece's tokenizers only */

/* Writes a tokenizer into a file: whole or not at all (a temporary file beside it, made durable, then renamed).
 *   path     UTF-8; a file that is there is replaced
 *   format   TFM_SAVE_*
 * Works for BPE, byte-level (the first three formats) and SentencePiece's (all but rank files), trained or loaded, where
 * the format can say exactly the same; docs/tokenizers.md has the cases. Any thread. Allocates scratch. Errors: TFM_E_ARGUMENT, TFM_E_UNSUPPORTED (says what the format
 * cannot hold), TFM_E_NOT_FOUND, TFM_E_IO, TFM_E_MEMORY, TFM_E_BUDGET. Since 0.2. */
TFM_API int32_t tfm_tokenizer_save(const tfm_tokenizer *tokenizer, const char *path, int32_t format, tfm_error *error);

/* The same to a callback, which is handed the file's bytes in order. Errors: as tfm_tokenizer_save. Since 0.2. */
TFM_API int32_t tfm_tokenizer_write(const tfm_tokenizer *tokenizer, int32_t format, tfm_write_fn write, void *user,
                                    tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
