/* split.h - cutting a text into the pieces that are turned into ids on their own ("pre-tokenization").
 *
 * A splitter is a short list of stages; every stage cuts each piece of the stage before it as if that piece
 * were a whole text. Most stages are hand-written scanners, each equal to one known regular expression or
 * component of tokenizer.json (split.c says which); unknown expressions run on PCRE2 (split_pcre.c). A stage
 * may also rewrite its piece: put a space in front, or turn spaces into marks. */
#ifndef TFM__SPLIT_H
#define TFM__SPLIT_H

#include "base/base.h"

enum tfm__stage_kind {
    /* scanners that cover the text: every byte lies in a piece */
    TFM__SPLIT_GPT2,        /* r50k: letters, digits and others apart, each with an optional space in front */
    TFM__SPLIT_CL100K,      /* cl100k, Llama 3, Qwen 2: see the fields below */
    TFM__SPLIT_O200K,       /* o200k: words cut where lower case turns to upper case */
    TFM__SPLIT_DEEPSEEK,    /* the third Split of DeepSeek V3 */
    TFM__SPLIT_NUMBERS,     /* runs of category N apart from the rest: digits at a time; 0: whole runs */
    TFM__SPLIT_NUMERIC,     /* runs of what Rust calls numeric apart from the rest */
    TFM__SPLIT_PUNCTUATION, /* runs of category P and of ASCII punctuation apart from the rest */
    TFM__SPLIT_PUNCTUATION_NO_GRAVE, /* the same without U+0060 */
    TFM__SPLIT_ASCII_DIGITS,         /* three of 0-9 at a time, apart from the rest */
    TFM__SPLIT_BYTE_DIGITS,          /* runs of bytes whose signs in the byte alphabet count as numeric */
    TFM__SPLIT_CJK,                  /* runs of U+4E00-9FA5, U+3040-30FF apart from the rest */
    /* stages that find matches; behavior and invert say what becomes of matches and of what lies between */
    TFM__STAGE_REGEX,            /* regex */
    TFM__STAGE_LITERAL,          /* literal */
    TFM__STAGE_WHITESPACE,       /* \w+|[^\w\s]+ */
    TFM__STAGE_WHITESPACE_SPLIT, /* White_Space, removed */
    TFM__STAGE_BERT,             /* White_Space removed, punctuation isolated */
    TFM__STAGE_PUNCTUATION,      /* single punctuation characters, by behavior */
    TFM__STAGE_NUMERIC,          /* single numeric characters, by behavior */
    TFM__STAGE_SCRIPTS,          /* where the script changes */
    TFM__STAGE_FIXED,            /* fixed: so many characters at a time */
    /* stages that rewrite */
    TFM__STAGE_METASPACE,    /* spaces to literal, one more in front by prepend, cut at marks if split */
    TFM__STAGE_PREFIX_SPACE, /* a space in front of every piece that does not begin with one (ByteLevel) */
    TFM__STAGE_MARKS /* SentencePiece BPE: cut before marks that follow something else; changes nothing */
};

enum tfm__behavior {
    TFM__ISOLATED,
    TFM__REMOVED,
    TFM__MERGED_WITH_PREVIOUS,
    TFM__MERGED_WITH_NEXT,
    TFM__CONTIGUOUS
};
enum tfm__prepend { TFM__PREPEND_NEVER, TFM__PREPEND_ALWAYS, TFM__PREPEND_FIRST };

typedef struct tfm__stage {
    uint8_t kind;
    uint8_t digits;    /* digits that one piece holds at most; 0: any number */
    bool contractions; /* CL100K, O200K: 's 't 're 've 'm 'll 'd in either case */
    bool marks;        /* CL100K: combining marks count as letters */
    bool whole_tail;   /* CL100K: white space that ends the text is one piece, newlines or not */
    uint8_t behavior;  /* enum tfm__behavior */
    bool invert;       /* matches and what lies between them change roles */
    uint8_t prepend;   /* METASPACE: enum tfm__prepend */
    bool split;        /* METASPACE */
    uint8_t literal_length;
    uint8_t literal[16]; /* LITERAL; METASPACE: the mark */
    uint32_t regex;      /* REGEX: index into tokenizer->regexes */
    uint32_t fixed;      /* FIXED */
} tfm__stage;

#define TFM__STAGES 8
typedef struct tfm__splitter {
    tfm__stage stages[TFM__STAGES];
    uint32_t count; /* 0: the text is one piece */
    char name[32];  /* for tfm_tokenizer_info */
} tfm__splitter;

/* Length (1 .. length) of the piece that a covering scanner cuts off the front of a text; length > 0.
 * Ill-formed bytes count as signs that are neither letter, number nor space. */
size_t tfm__split_next(const tfm__stage *stage, const uint8_t *text, size_t length);

/* Whether the character at the front of a text (length > 0) is punctuation as Hugging Face's tokenizers have
 * it; its bytes in *used. */
bool tfm__is_punctuation(const uint8_t *text, size_t length, uint32_t *used);

/* The splitter of a GGUF file's tokenizer.ggml.pre; false if it is not known. Beyond the splitter the name
 * implies whole-piece look-up before merging, a text that begins with bos, and NFC. */
typedef struct tfm__pre {
    tfm__splitter splitter;
    const char
        *patterns[TFM__STAGES]; /* what REGEX stages are to compile (Oniguruma's syntax); NULL for others */
    bool ignore_merges, add_bos, nfc;
} tfm__pre;
bool tfm__split_for_pre(const char *pre, size_t length, bool llama_cpp, tfm__pre *out);

/* The stage that equals a regular expression of a tokenizer.json Split (compared by spelling); false if
 * unknown. covers: every character of any text lies in some match. */
bool tfm__split_for_regex(const char *regex, size_t length, tfm__stage *stage, bool *covers,
                          const char **name);

/* The spelling in tokenizer.json of the regular expression that a stage equals; NULL: none is known. */
const char *tfm__split_spelling(const tfm__stage *stage);

/* The name in tokenizer.ggml.pre of a splitter of this one stage, which implies these two; NULL: there is
 * none. */
const char *tfm__split_pre_name(const tfm__stage *stage, bool ignore_merges, bool nfc);

/* Whether two covering scanners are the same. */
bool tfm__same_stage(const tfm__stage *a, const tfm__stage *b);

/* The splitter named "gpt2", "cl100k", "o200k", "llama3" or "qwen2" (rank files, training). */
bool tfm__split_for_name(const char *name, tfm__splitter *out);

/* A place in a text (0 .. length) at which it can be cut without changing any piece of the stages, whatever
 * follows the text: the last one that is known, 0 if there is none. For streaming and for work in parallel.
 */
size_t tfm__split_safe_cut(const tfm__splitter *splitter, const uint8_t *text, size_t length);

/* ---- Regular expressions of strangers (split_pcre.c) ---- */

typedef struct tfm__regex tfm__regex;
typedef struct tfm__regex_scratch tfm__regex_scratch;

enum tfm__regex_syntax {
    TFM__REGEX_RUST,     /* tiktoken's patterns */
    TFM__REGEX_ONIGURUMA /* tokenizer.json: {n,m}+ repeats {n,m}; ^ and $ stand at line ends */
};

/* Compiles an expression. Errors: TFM_E_UNSUPPORTED (a build without PCRE2, or what cannot be translated,
 * named), TFM_E_FORMAT (malformed), TFM_E_MEMORY. */
int32_t tfm__regex_compile(tfm__heap *heap, const char *pattern, size_t length, int syntax, const char *file,
                           tfm__regex **out, tfm_error *error);
void tfm__regex_free(tfm__heap *heap, tfm__regex *regex); /* NULL is fine */

/* The next match at or behind from: [*begin, *end); *found false if there is none. The text is well-formed
 * UTF-8. Errors: TFM_E_UNSUPPORTED when a limit stops a search that runs away, naming the pattern;
 * TFM_E_MEMORY. */
int32_t tfm__regex_find(const tfm__regex *regex, tfm__heap *heap, tfm__regex_scratch **scratch,
                        const uint8_t *text, size_t length, size_t from, size_t *begin, size_t *end,
                        bool *found, tfm_error *error);
void tfm__regex_scratch_free(tfm__heap *heap, tfm__regex_scratch *scratch); /* NULL is fine */

#endif
