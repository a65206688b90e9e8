/* split.h - cutting a text into the pieces that are merged on their own ("pre-tokenization").
 *
 * A splitter is a short list of stages; every stage cuts each piece of the stage before it as if that piece
 * were a whole text. Each stage is a hand-written scanner equal to one known regular expression (split.c says
 * which). */
#ifndef TFM__SPLIT_H
#define TFM__SPLIT_H

#include "base/base.h"

enum tfm__split_kind {
    TFM__SPLIT_GPT2,        /* r50k: letters, digits and others apart, each with an optional space in front */
    TFM__SPLIT_CL100K,      /* cl100k, Llama 3, Qwen 2: see the fields below */
    TFM__SPLIT_O200K,       /* o200k: words cut where lower case turns to upper case */
    TFM__SPLIT_DEEPSEEK,    /* the third Split of DeepSeek V3 */
    TFM__SPLIT_NUMBERS,     /* runs of category N apart from the rest: digits at a time; 0: whole runs */
    TFM__SPLIT_PUNCTUATION, /* runs of category P and of ASCII punctuation apart from the rest */
    TFM__SPLIT_PUNCTUATION_NO_GRAVE, /* the same without U+0060 */
    TFM__SPLIT_ASCII_DIGITS,         /* three of 0-9 at a time, apart from the rest */
    TFM__SPLIT_BYTE_DIGITS,          /* runs of bytes whose signs in the byte alphabet count as numeric */
    TFM__SPLIT_CJK                   /* runs of U+4E00-9FA5, U+3040-30FF apart from the rest */
};

typedef struct tfm__split_stage {
    uint8_t kind;
    uint8_t digits;    /* digits that one piece holds at most; 0: any number */
    bool contractions; /* CL100K, O200K: 's 't 're 've 'm 'll 'd in either case */
    bool marks;        /* CL100K: combining marks count as letters */
    bool whole_tail;   /* CL100K: white space that ends the text is one piece, newlines or not */
} tfm__split_stage;

#define TFM__SPLIT_STAGES 6
typedef struct tfm__splitter {
    tfm__split_stage stages[TFM__SPLIT_STAGES];
    uint32_t count; /* 0: the text is one piece */
    char name[32];  /* for tfm_tokenizer_info */
} tfm__splitter;

/* Length (1 .. length) of the piece that one stage cuts off the front of a text; length > 0. Ill-formed bytes
 * count as signs that are neither letter, number nor space. */
size_t tfm__split_next(const tfm__split_stage *stage, const uint8_t *text, size_t length);

/* The splitter of a GGUF file's tokenizer.ggml.pre; false if it is not known. Beyond the splitter the name
 * implies whole-piece look-up before merging, a text that begins with bos, and NFC. */
typedef struct tfm__pre {
    tfm__splitter splitter;
    bool ignore_merges, add_bos, nfc;
} tfm__pre;
bool tfm__split_for_pre(const char *pre, size_t length, tfm__pre *out);

/* The stage that equals a regular expression of a tokenizer.json Split (compared by spelling); false if
 * unknown. covers: every character of any text lies in some match. */
bool tfm__split_for_regex(const char *regex, size_t length, tfm__split_stage *stage, bool *covers,
                          const char **name);

/* The splitter named "gpt2", "cl100k", "o200k" or "llama3" (rank files). */
bool tfm__split_for_name(const char *name, tfm__splitter *out);

#endif
