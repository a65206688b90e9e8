/* split_names.c - which splitter a file means: GGUF's tokenizer.ggml.pre, the regular expressions of
 * tokenizer.json, and the names of rank files' patterns. Called by the loaders.
 *
 * Expressions are known by their exact spelling (line ends written as \r \n): those of the published
 * tokenizers, in Hugging Face's and in tiktoken's spelling. In tokenizer.json they are read by Oniguruma, for
 * which {1,3}+ repeats {1,3}. Source of the names: llama.cpp's list of pre-tokenizers, each taken to mean the
 * splitter of the tokenizer that the name was given for. */
#include "tokenizer/split_known.h"

static void put(tfm__splitter *out, const char *name, const tfm__stage *const *stages, uint32_t count) {
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < count; i++) out->stages[i] = *stages[i];
    out->count = count;
    memcpy(out->name, name, TFM__MIN(strlen(name), sizeof out->name - 1));
}

typedef struct regex_row {
    const char *regex, *name;
    const tfm__stage *stage;
    bool covers;
} regex_row;

static const regex_row regex_rows[] = {
    {GPT2_REGEX, "gpt2", &tfm__gpt2, true},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", "gpt2", &tfm__gpt2,
     true},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s", "gpt2",
     &tfm__gpt2, true},
    {CI_HF "|" CL100K_HF("\\p{N}{1,3}"), "llama3", &tfm__llama3, true},
    {CL100K_OLD("\\p{N}{1,3}"), "llama3", &tfm__llama3, true},
    {CI_HF "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+\\z|\\s*[\\r\\n]+"
           "|\\s+(?!\\S)|\\s+",
     "cl100k", &tfm__cl100k, true},
    {CI_HF "|" CL100K_HF("\\p{N}"), "qwen2", &tfm__qwen2, true},
    {CI_HF "|" CL100K_HF("\\p{N}{1}"), "qwen2", &tfm__qwen2, true},
    {CL100K_OLD("\\p{N}"), "qwen2", &tfm__qwen2, true},
    {CI_HF "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*"
           "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "qwen35", &tfm__qwen35, true},
    {CL100K_HF("\\p{N}"), "ufakzeka", &tfm__ufakzeka, true},
    {O200K_HF(CI_HF "?", "\\p{N}{1,3}"), "o200k", &tfm__o200k, true},
    {O200K_HF("", "\\p{N}"), "tekken", &tfm__tekken, true},
    {"\\p{N}{1,3}", "", &tfm__numbers_by_3, false},
    {"\\p{N}", "", &tfm__number, false},
    {"\\p{N}+", "", &tfm__numbers, false},
    {"[0-9][0-9][0-9]", "", &tfm__ascii_digits, false},
    {"[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+", "", &tfm__cjk, false},
    {"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
     "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "deepseek-v3", &tfm__deepseek, false},
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
    } names[] = {{"gpt2", &tfm__gpt2},     {"r50k", &tfm__gpt2},   {"p50k", &tfm__gpt2},
                 {"cl100k", &tfm__cl100k}, {"o200k", &tfm__o200k}, {"llama3", &tfm__llama3},
                 {"qwen2", &tfm__qwen2}};
    for (size_t i = 0; i < TFM__COUNT(names); i++) {
        if (strcmp(name, names[i].name) != 0) continue;
        put(out, names[i].name, &names[i].stage, 1);
        return true;
    }
    return false;
}

bool tfm__same_stage(const tfm__stage *a, const tfm__stage *b) {
    return a->kind == b->kind && a->digits == b->digits && a->contractions == b->contractions &&
           a->marks == b->marks && a->whole_tail == b->whole_tail;
}

const char *tfm__split_spelling(const tfm__stage *stage) {
    for (size_t i = 0; i < TFM__COUNT(regex_rows); i++)
        if (tfm__same_stage(stage, regex_rows[i].stage)) return regex_rows[i].regex;
    return NULL;
}
