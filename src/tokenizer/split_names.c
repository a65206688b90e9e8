/* split_names.c - which splitter a file means: GGUF's tokenizer.ggml.pre, the regular expressions of
 * tokenizer.json, and the names of rank files' patterns. Called by the loaders.
 *
 * Expressions are known by their exact spelling (line ends written as \r \n): those of the published
 * tokenizers, in Hugging Face's and in tiktoken's spelling. In tokenizer.json they are read by Oniguruma, for
 * which {1,3}+ repeats {1,3}. Source of the names: llama.cpp's list of pre-tokenizers, each taken to mean the
 * splitter of the tokenizer that the name was given for. */
#include "tokenizer/split.h"

static const tfm__stage gpt2 = {.kind = TFM__SPLIT_GPT2};
static const tfm__stage llama3 = {.kind = TFM__SPLIT_CL100K, .digits = 3, .contractions = true};
static const tfm__stage cl100k = {
    .kind = TFM__SPLIT_CL100K, .digits = 3, .contractions = true, .whole_tail = true};
static const tfm__stage qwen2 = {.kind = TFM__SPLIT_CL100K, .digits = 1, .contractions = true};
static const tfm__stage qwen35 = {
    .kind = TFM__SPLIT_CL100K, .digits = 1, .contractions = true, .marks = true};
static const tfm__stage ufakzeka = {.kind = TFM__SPLIT_CL100K, .digits = 1};
static const tfm__stage o200k = {.kind = TFM__SPLIT_O200K, .digits = 3, .contractions = true};
static const tfm__stage tekken = {.kind = TFM__SPLIT_O200K, .digits = 1};
static const tfm__stage deepseek = {.kind = TFM__SPLIT_DEEPSEEK};
static const tfm__stage cjk = {.kind = TFM__SPLIT_CJK};
static const tfm__stage number = {.kind = TFM__SPLIT_NUMBERS, .digits = 1};
static const tfm__stage numbers_by_3 = {.kind = TFM__SPLIT_NUMBERS, .digits = 3};
static const tfm__stage numbers = {.kind = TFM__SPLIT_NUMBERS};
static const tfm__stage punctuation = {.kind = TFM__SPLIT_PUNCTUATION};
static const tfm__stage punctuation_no_grave = {.kind = TFM__SPLIT_PUNCTUATION_NO_GRAVE};
static const tfm__stage byte_digits = {.kind = TFM__SPLIT_BYTE_DIGITS};
static const tfm__stage ascii_digits = {.kind = TFM__SPLIT_ASCII_DIGITS};

static void put(tfm__splitter *out, const char *name, const tfm__stage *const *stages, uint32_t count) {
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < count; i++) out->stages[i] = *stages[i];
    out->count = count;
    memcpy(out->name, name, TFM__MIN(strlen(name), sizeof out->name - 1));
}

enum { IGNORE_MERGES = 1, ADD_BOS = 2, NFC = 4 };

typedef struct pre_row {
    const char *pre, *name;
    const tfm__stage *stages[4];
    int flags;
} pre_row;

static const pre_row pre_rows[] = {
    {"gpt-2", "gpt2", {&gpt2}, 0},
    {"phi-2", "gpt2", {&gpt2}, 0},
    {"jina-es", "gpt2", {&gpt2}, 0},
    {"jina-de", "gpt2", {&gpt2}, 0},
    {"jina-v2-es", "gpt2", {&gpt2}, 0},
    {"jina-v2-de", "gpt2", {&gpt2}, 0},
    {"gigachat", "gpt2", {&gpt2}, 0},
    {"mellum", "gpt2", {&gpt2}, 0},
    {"modern-bert", "gpt2", {&gpt2}, NFC},
    {"exaone4", "gpt2", {&gpt2}, 0},
    {"mpt", "gpt2", {&gpt2}, NFC},
    {"olmo", "gpt2", {&gpt2}, NFC},
    {"jais", "gpt2", {&gpt2}, 0},
    {"trillion", "gpt2", {&gpt2}, 0},
    {"granite-docling", "gpt2", {&gpt2}, 0},
    {"a.x-4.0", "gpt2", {&gpt2}, 0},
    {"starcoder", "starcoder", {&number, &gpt2}, 0},
    {"refact", "starcoder", {&number, &gpt2}, 0},
    {"command-r", "starcoder", {&number, &gpt2}, 0},
    {"smollm", "starcoder", {&number, &gpt2}, 0},
    {"codeshell", "starcoder", {&number, &gpt2}, 0},
    {"exaone", "starcoder", {&number, &gpt2}, 0},
    {"minerva-7b", "starcoder", {&number, &gpt2}, 0},
    {"mellum2", "starcoder", {&number, &gpt2}, 0},
    {"llama3", "llama3", {&llama3}, IGNORE_MERGES | ADD_BOS},
    {"llama-v3", "llama3", {&llama3}, IGNORE_MERGES | ADD_BOS},
    {"llama-bpe", "llama3", {&llama3}, IGNORE_MERGES | ADD_BOS},
    {"falcon3", "llama3", {&llama3}, IGNORE_MERGES | ADD_BOS},
    {"falcon-h1", "llama3", {&llama3}, IGNORE_MERGES | ADD_BOS},
    {"pixtral", "llama3", {&llama3}, IGNORE_MERGES | ADD_BOS},
    {"midm-2.0", "llama3", {&llama3}, IGNORE_MERGES | ADD_BOS},
    {"lfm2", "llama3", {&llama3}, IGNORE_MERGES | ADD_BOS},
    {"dbrx", "llama3", {&llama3}, 0},
    {"smaug-bpe", "llama3", {&llama3}, 0},
    {"chatglm-bpe", "llama3", {&llama3}, 0},
    {"glm4", "llama3", {&llama3}, IGNORE_MERGES},
    {"qwen2", "qwen2", {&qwen2}, NFC},
    {"deepseek-r1-qwen", "qwen2", {&qwen2}, NFC},
    {"stablelm2", "qwen2", {&qwen2}, 0},
    {"hunyuan", "qwen2", {&qwen2}, 0},
    {"solar-open", "qwen2", {&qwen2}, 0},
    {"megrez", "qwen2", {&qwen2}, 0},
    {"grok-2", "qwen2", {&qwen2}, 0},
    {"kormo", "qwen2", {&qwen2}, 0},
    {"qwen35", "qwen35", {&qwen35}, NFC},
    {"ufakzeka", "ufakzeka", {&ufakzeka}, 0},
    {"gpt-4o", "o200k", {&o200k}, 0},
    {"llama4", "o200k", {&o200k}, 0},
    {"kanana2", "o200k", {&o200k}, 0},
    {"talkie", "o200k", {&o200k}, 0},
    {"minimax-m2", "o200k", {&o200k}, 0},
    {"granite-embed-multi-97m", "o200k", {&o200k}, IGNORE_MERGES},
    {"tekken", "tekken", {&tekken}, IGNORE_MERGES | ADD_BOS},
    {"deepseek-v3", "deepseek-v3", {&numbers_by_3, &cjk, &deepseek}, 0},
    {"hunyuan-dense", "deepseek-v3", {&numbers_by_3, &cjk, &deepseek}, 0},
    {"joyai-llm", "deepseek-v3", {&numbers_by_3, &cjk, &deepseek}, 0},
    {"falcon", "falcon", {&punctuation, &gpt2, &byte_digits, &ascii_digits}, 0},
    {"default", "default", {&punctuation_no_grave, &gpt2, &numbers, &ascii_digits}, 0},
};

bool tfm__split_for_pre(const char *pre, size_t length, bool llama_cpp, tfm__pre *out) {
    (void)llama_cpp;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < TFM__COUNT(pre_rows); i++) {
        const pre_row *row = &pre_rows[i];
        uint32_t count = 0;
        if (strlen(row->pre) != length || memcmp(row->pre, pre, length) != 0) continue;
        while (count < TFM__COUNT(row->stages) && row->stages[count]) count++;
        put(&out->splitter, row->name, row->stages, count);
        out->ignore_merges = (row->flags & IGNORE_MERGES) != 0;
        out->add_bos = (row->flags & ADD_BOS) != 0;
        out->nfc = (row->flags & NFC) != 0;
        return true;
    }
    return false;
}

#define GPT2_REGEX "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define CI_HF "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define CL100K_HF(digits)                                                                                    \
    "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CL100K_OLD(digits)                                                                                   \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|" digits                                           \
    "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define O200K_UPPER "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define O200K_LOWER "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"
#define O200K_HF(suffix, digits)                                                                             \
    "[^\\r\\n\\p{L}\\p{N}]?[" O200K_UPPER "]*[" O200K_LOWER "]+" suffix                                      \
    "|[^\\r\\n\\p{L}\\p{N}]?[" O200K_UPPER "]+[" O200K_LOWER "]*" suffix "|" digits                          \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef struct regex_row {
    const char *regex, *name;
    const tfm__stage *stage;
    bool covers;
} regex_row;

static const regex_row regex_rows[] = {
    {GPT2_REGEX, "gpt2", &gpt2, true},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", "gpt2", &gpt2, true},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s", "gpt2",
     &gpt2, true},
    {CI_HF "|" CL100K_HF("\\p{N}{1,3}"), "llama3", &llama3, true},
    {CL100K_OLD("\\p{N}{1,3}"), "llama3", &llama3, true},
    {CI_HF "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+\\z|\\s*[\\r\\n]+"
           "|\\s+(?!\\S)|\\s+",
     "cl100k", &cl100k, true},
    {CI_HF "|" CL100K_HF("\\p{N}"), "qwen2", &qwen2, true},
    {CI_HF "|" CL100K_HF("\\p{N}{1}"), "qwen2", &qwen2, true},
    {CL100K_OLD("\\p{N}"), "qwen2", &qwen2, true},
    {CI_HF "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*"
           "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "qwen35", &qwen35, true},
    {CL100K_HF("\\p{N}"), "ufakzeka", &ufakzeka, true},
    {O200K_HF(CI_HF "?", "\\p{N}{1,3}"), "o200k", &o200k, true},
    {O200K_HF("", "\\p{N}"), "tekken", &tekken, true},
    {"\\p{N}{1,3}", "", &numbers_by_3, false},
    {"\\p{N}", "", &number, false},
    {"\\p{N}+", "", &numbers, false},
    {"[0-9][0-9][0-9]", "", &ascii_digits, false},
    {"[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+", "", &cjk, false},
    {"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
     "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "deepseek-v3", &deepseek, false},
};

/* Equality where the file may have real line ends for \r and \n. */
static bool same_regex(const char *known, const char *regex, size_t length) {
    size_t i = 0;
    for (; i < length && *known; i++) {
        if (regex[i] == '\r' || regex[i] == '\n') {
            if (known[0] != '\\' || known[1] != (regex[i] == '\r' ? 'r' : 'n')) return false;
            known += 2;
        } else if (regex[i] != *known++) {
            return false;
        }
    }
    return i == length && *known == 0;
}

bool tfm__split_for_regex(const char *regex, size_t length, tfm__stage *stage, bool *covers,
                          const char **name) {
    for (size_t i = 0; i < TFM__COUNT(regex_rows); i++) {
        if (!same_regex(regex_rows[i].regex, regex, length)) continue;
        *stage = *regex_rows[i].stage;
        *covers = regex_rows[i].covers;
        *name = regex_rows[i].name;
        return true;
    }
    return false;
}

bool tfm__split_for_name(const char *name, tfm__splitter *out) {
    static const struct {
        const char *name;
        const tfm__stage *stage;
    } names[] = {{"gpt2", &gpt2},     {"r50k", &gpt2},   {"p50k", &gpt2},   {"cl100k", &cl100k}, {"o200k", &o200k}, {"llama3", &llama3}, {"qwen2", &qwen2}};
    for (size_t i = 0; i < TFM__COUNT(names); i++) {
        if (strcmp(name, names[i].name) != 0) continue;
        put(out, names[i].name, &names[i].stage, 1);
        return true;
    }
    return false;
}

static bool same_stage(const tfm__stage *a, const tfm__stage *b) {
    return a->kind == b->kind && a->digits == b->digits && a->contractions == b->contractions &&
           a->marks == b->marks && a->whole_tail == b->whole_tail;
}

const char *tfm__split_spelling(const tfm__stage *stage) {
    for (size_t i = 0; i < TFM__COUNT(regex_rows); i++)
        if (same_stage(stage, regex_rows[i].stage)) return regex_rows[i].regex;
    return NULL;
}

const char *tfm__split_pre_name(const tfm__stage *stage, bool ignore_merges, bool nfc) {
    for (size_t i = 0; i < TFM__COUNT(pre_rows); i++) {
        const pre_row *row = &pre_rows[i];
        if (row->stages[1] || !same_stage(stage, row->stages[0])) continue;
        if (((row->flags & IGNORE_MERGES) != 0) == ignore_merges && ((row->flags & NFC) != 0) == nfc) return row->pre;
    }
    return NULL;
}
