/* split_pre.c - the splitter that a GGUF file names in tokenizer.ggml.pre. Called by load_gguf.c; by
 * save_gguf.c the other way round.
 *
 * Each name is taken to mean the splitter of the tokenizer that it was given for: scanners of our own where
 * there is one, and the original's regular expressions otherwise. Sources: the names and what they imply,
 * llama.cpp's list of pre-tokenizers; the expressions, the tokenizer.json files of the models. */
#include "tokenizer/split_known.h"

enum { IGNORE_MERGES = 1, ADD_BOS = 2, NFC = 4 };

typedef struct pre_row {
    const char *pre, *name;
    const tfm__stage *stages[4];
    int flags;
} pre_row;

static const pre_row pre_rows[] = {
    {"gpt-2", "gpt2", {&tfm__gpt2}, 0},
    {"phi-2", "gpt2", {&tfm__gpt2}, 0},
    {"jina-es", "gpt2", {&tfm__gpt2}, 0},
    {"jina-de", "gpt2", {&tfm__gpt2}, 0},
    {"jina-v2-es", "gpt2", {&tfm__gpt2}, 0},
    {"jina-v2-de", "gpt2", {&tfm__gpt2}, 0},
    {"gigachat", "gpt2", {&tfm__gpt2}, 0},
    {"mellum", "gpt2", {&tfm__gpt2}, 0},
    {"modern-bert", "gpt2", {&tfm__gpt2}, NFC},
    {"exaone4", "gpt2", {&tfm__gpt2}, 0},
    {"mpt", "gpt2", {&tfm__gpt2}, NFC},
    {"olmo", "gpt2", {&tfm__gpt2}, NFC},
    {"jais", "gpt2", {&tfm__gpt2}, 0},
    {"trillion", "gpt2", {&tfm__gpt2}, 0},
    {"granite-docling", "gpt2", {&tfm__gpt2}, 0},
    {"a.x-4.0", "gpt2", {&tfm__gpt2}, 0},
    {"starcoder", "starcoder", {&tfm__number, &tfm__gpt2}, 0},
    {"refact", "starcoder", {&tfm__number, &tfm__gpt2}, 0},
    {"command-r", "starcoder", {&tfm__number, &tfm__gpt2}, 0},
    {"smollm", "starcoder", {&tfm__number, &tfm__gpt2}, 0},
    {"codeshell", "starcoder", {&tfm__number, &tfm__gpt2}, 0},
    {"exaone", "starcoder", {&tfm__number, &tfm__gpt2}, 0},
    {"minerva-7b", "starcoder", {&tfm__number, &tfm__gpt2}, 0},
    {"mellum2", "starcoder", {&tfm__number, &tfm__gpt2}, 0},
    {"llama3", "llama3", {&tfm__llama3}, IGNORE_MERGES | ADD_BOS},
    {"llama-v3", "llama3", {&tfm__llama3}, IGNORE_MERGES | ADD_BOS},
    {"llama-bpe", "llama3", {&tfm__llama3}, IGNORE_MERGES | ADD_BOS},
    {"falcon3", "llama3", {&tfm__llama3}, IGNORE_MERGES | ADD_BOS},
    {"falcon-h1", "llama3", {&tfm__llama3}, IGNORE_MERGES | ADD_BOS},
    {"pixtral", "llama3", {&tfm__llama3}, IGNORE_MERGES | ADD_BOS},
    {"midm-2.0", "llama3", {&tfm__llama3}, IGNORE_MERGES | ADD_BOS},
    {"lfm2", "llama3", {&tfm__llama3}, IGNORE_MERGES | ADD_BOS},
    {"dbrx", "llama3", {&tfm__llama3}, 0},
    {"smaug-bpe", "llama3", {&tfm__llama3}, 0},
    {"chatglm-bpe", "llama3", {&tfm__llama3}, 0},
    {"glm4", "llama3", {&tfm__llama3}, IGNORE_MERGES},
    {"qwen2", "qwen2", {&tfm__qwen2}, NFC},
    {"deepseek-r1-qwen", "qwen2", {&tfm__qwen2}, NFC},
    {"stablelm2", "qwen2", {&tfm__qwen2}, 0},
    {"hunyuan", "qwen2", {&tfm__qwen2}, 0},
    {"solar-open", "qwen2", {&tfm__qwen2}, 0},
    {"megrez", "qwen2", {&tfm__qwen2}, 0},
    {"grok-2", "qwen2", {&tfm__qwen2}, 0},
    {"kormo", "qwen2", {&tfm__qwen2}, 0},
    {"qwen35", "qwen35", {&tfm__qwen35}, 0},
    {"ufakzeka", "ufakzeka", {&tfm__ufakzeka}, 0},
    {"gpt-4o", "o200k", {&tfm__o200k}, 0},
    {"llama4", "o200k", {&tfm__o200k}, 0},
    {"kanana2", "o200k", {&tfm__o200k}, 0},
    {"talkie", "o200k", {&tfm__o200k}, 0},
    {"minimax-m2", "o200k", {&tfm__o200k}, 0},
    {"granite-embed-multi-97m", "o200k", {&tfm__o200k}, IGNORE_MERGES},
    {"tekken", "tekken", {&tfm__tekken}, IGNORE_MERGES | ADD_BOS},
    {"deepseek-v3", "deepseek-v3", {&tfm__numbers_by_3, &tfm__cjk, &tfm__deepseek}, 0},
    {"hunyuan-dense", "deepseek-v3", {&tfm__numbers_by_3, &tfm__cjk, &tfm__deepseek}, 0},
    {"joyai-llm", "deepseek-v3", {&tfm__numbers_by_3, &tfm__cjk, &tfm__deepseek}, 0},
    {"jina-v1-en", "gpt2", {&tfm__gpt2}, 0},
    {"jina-v2-code", "gpt2", {&tfm__gpt2}, 0},
    {"roberta-bpe", "gpt2", {&tfm__gpt2}, 0},
    {"jina-v5-nano", "llama3", {&tfm__llama3}, IGNORE_MERGES | ADD_BOS},
    {"glm5", "llama3", {&tfm__llama3}, IGNORE_MERGES},
    {"f2llmv2", "qwen2", {&tfm__qwen2}, NFC},
    {"bailingmoe", "qwen2", {&tfm__qwen2}, 0},
    {"bailingmoe2", "qwen2", {&tfm__qwen2}, 0},
    {"llada-moe", "qwen2", {&tfm__qwen2}, 0},
    {"hy_v4", "deepseek-v3", {&tfm__numbers_by_3, &tfm__cjk, &tfm__deepseek}, 0},
    {"minicpm5", "minicpm5", {&tfm__numbers_by_3, &tfm__digit_runs}, IGNORE_MERGES},
    {"falcon", "falcon", {&tfm__punctuation, &tfm__gpt2, &tfm__byte_digits, &tfm__ascii_digits}, 0},
    {"default", "default", {&tfm__punctuation_no_grave, &tfm__gpt2, &tfm__numbers, &tfm__ascii_digits}, 0},
};

/* ---- Names whose splitters run on PCRE2 ---- */

#define DEEPSEEK_LETTERS                                                                                     \
    "\\s?[A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}"                      \
    "\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}"                   \
    "\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-"                   \
    "\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}"                       \
    "\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-"                 \
    "\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}"                  \
    "\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}"                   \
    "\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}"                  \
    "\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-"                 \
    "\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}"                    \
    "\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}"                   \
    "\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}"                   \
    "\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-"                  \
    "\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}"                  \
    "\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}"               \
    "-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-"                  \
    "\\x{118df}\\x{1e900}-\\x{1e943}]+"
#define DEEPSEEK_SIGNS                                                                                       \
    "\\s?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]"               \
    "+"
#define DEEPSEEK_CJK "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"
#define YOUTU_EAST                                                                                           \
    "[\\x{ac00}-\\x{d7a3}\\x{3131}-\\x{318e}]+|[\\x{ff01}\\x{2026}\\x{201c}\\x{201d}\\x{2018}"               \
    "\\x{2019}\\x{2014}\\x{ff1a}\\x{ff1b}\\x{ff0c}\\x{3001}-\\x{303f}\\x{fe30}-\\x{fe4f}]+|["                \
    "\\x{3105}-\\x{312f}]+|[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+"
#define BLOOM_WORDS " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+"
#define LLAMA3_BEGINNING                                                                                     \
    CI_HF "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
#define LINES "[^\\n]+|[\\n]+"
#define NOT_HAN "&&[^\\p{Han}]]"
#define KIMI_REST "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const tfm__stage expression = {.kind = TFM__STAGE_REGEX};

typedef struct regex_pre_row {
    const char *pre;
    struct {
        const char *pattern; /* or */
        const tfm__stage *stage;
    } stages[6];
    int flags;
} regex_pre_row;

static const regex_pre_row regex_pre_rows[] = {
    {"deepseek-llm",
     {{"[\\r\\n]", NULL},
      {DEEPSEEK_LETTERS, NULL},
      {DEEPSEEK_SIGNS, NULL},
      {"\\s+$", NULL},
      {DEEPSEEK_CJK, NULL},
      {NULL, &tfm__number}},
     0},
    {"deepseek-coder",
     {{"[\\r\\n]", NULL},
      {"\\s?\\p{L}+", NULL},
      {"\\s?\\p{P}+", NULL},
      {DEEPSEEK_CJK, NULL},
      {NULL, &tfm__number}},
     0},
    {"bloom", {{BLOOM_WORDS, NULL}}, 0},
    {"poro-chat", {{BLOOM_WORDS, NULL}}, 0},
    {"gpt3-finnish", {{BLOOM_WORDS, NULL}}, 0},
    {"viking", {{BLOOM_WORDS, NULL}, {NULL, &tfm__number}}, 0},
    {"chameleon",
     {{"<sentinel:[0-9]+>", NULL},
      {"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", NULL},
      {"([\\t\\n]|    |  )", NULL},
      {NULL, &tfm__number},
      {"[\\p{P}!-/:-@\\[-`{-~]", NULL},
      {NULL, &tfm__gpt2}},
     ADD_BOS},
    {"tiny_aya", {{"\\d{1,3}(?=(?:\\d{3})*\\b)", NULL}, {NULL, &tfm__o200k}}, 0},
    {"cohere2moe", {{"\\d{1,3}(?=(?:\\d{3})*\\b)", NULL}, {NULL, &tfm__o200k}}, 0},
    {"youtu", {{YOUTU_EAST, NULL}, {NULL, &tfm__o200k_single}}, IGNORE_MERGES},
    {"kimi-k2",
     {{"[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[" O200K_UPPER NOT_HAN "*[" O200K_LOWER NOT_HAN "+" CI_HF
       "?|[^\\r\\n\\p{L}\\p{N}]?[" O200K_UPPER NOT_HAN "+[" O200K_LOWER NOT_HAN "*" CI_HF "?|" KIMI_REST,
       NULL}},
     0},
    {"superbpe", {{"\\p{N}+", NULL}, {"(?=(\\d{3})+(?!\\d))", NULL}}, 0},
    {"seed-coder",
     {{CI_HF
       "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
       NULL}},
     0},
    {"laguna", {{LINES, NULL}, {NULL, &tfm__qwen2}}, 0},
    {"exaone-moe",
     {{CI_HF
       "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?"
       "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
       NULL}},
     0},
    {"spark2_5",
     {{NULL, &tfm__numbers_by_3},
      {NULL, &tfm__cjk},
      {"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
       "| ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+",
       NULL},
      {NULL, &tfm__number}},
     0},
    {"jais-2",
     {{LLAMA3_BEGINNING
       "\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)"
       "|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}",
       NULL}},
     0},
};

/* llama.cpp's own expressions where they differ: case told by not being a-z or A-Z, marks left out. */
#define UPPER_CPP "((?=[\\p{L}])([^a-z]))"
#define LOWER_CPP "((?=[\\p{L}])([^A-Z]))"
#define CI_CPP "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define O200K_CPP(suffix, digits)                                                                            \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER_CPP "*" LOWER_CPP "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" UPPER_CPP          \
    "+" LOWER_CPP "*" suffix "|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const regex_pre_row cpp_rows[] = {
    {"gpt-4o", {{O200K_CPP(CI_CPP "?", "\\p{N}{1,3}"), NULL}}, 0},
    {"llama4", {{O200K_CPP(CI_CPP "?", "\\p{N}{1,3}"), NULL}}, 0},
    {"kanana2", {{O200K_CPP(CI_CPP "?", "\\p{N}{1,3}"), NULL}}, 0},
    {"talkie", {{O200K_CPP(CI_CPP "?", "\\p{N}{1,3}"), NULL}}, 0},
    {"minimax-m2", {{O200K_CPP(CI_CPP "?", "\\p{N}{1,3}"), NULL}}, 0},
    {"tekken", {{O200K_CPP("", "\\p{N}"), NULL}}, IGNORE_MERGES | ADD_BOS},
    {"deepseek-llm",
     {{"[\\r\\n]", NULL},
      {DEEPSEEK_LETTERS, NULL},
      {DEEPSEEK_SIGNS, NULL},
      {"\\s+$", NULL},
      {DEEPSEEK_CJK, NULL},
      {NULL, &tfm__numbers}},
     0},
};

static void put_name(tfm__pre *out, const char *name, uint32_t count, int flags, bool llama_cpp) {
    memcpy(out->splitter.name, name, TFM__MIN(strlen(name), sizeof out->splitter.name - 1));
    out->splitter.count = count;
    out->ignore_merges = (flags & IGNORE_MERGES) != 0;
    out->add_bos = (flags & ADD_BOS) != 0;
    out->nfc = (flags & NFC) != 0 && !llama_cpp;
}

static bool same(const char *known, const char *pre, size_t length) {
    return strlen(known) == length && memcmp(known, pre, length) == 0;
}

static bool find_regex_row(const regex_pre_row *rows, size_t n, const char *pre, size_t length,
                           bool llama_cpp, tfm__pre *out) {
    for (size_t i = 0; i < n; i++) {
        uint32_t count = 0;
        if (!same(rows[i].pre, pre, length)) continue;
        for (; count < TFM__COUNT(rows[i].stages); count++) {
            if (!rows[i].stages[count].pattern && !rows[i].stages[count].stage) break;
            out->patterns[count] = rows[i].stages[count].pattern;
            out->splitter.stages[count] = out->patterns[count] ? expression : *rows[i].stages[count].stage;
        }
        put_name(out, rows[i].pre, count, rows[i].flags, llama_cpp);
        return true;
    }
    return false;
}

bool tfm__split_for_pre(const char *pre, size_t length, bool llama_cpp, tfm__pre *out) {
    memset(out, 0, sizeof *out);
    if (llama_cpp && find_regex_row(cpp_rows, TFM__COUNT(cpp_rows), pre, length, true, out)) return true;
    for (size_t i = 0; i < TFM__COUNT(pre_rows); i++) {
        const pre_row *row = &pre_rows[i];
        uint32_t count = 0;
        if (!same(row->pre, pre, length)) continue;
        for (; count < TFM__COUNT(row->stages) && row->stages[count]; count++)
            out->splitter.stages[count] = *row->stages[count];
        put_name(out, row->name, count, row->flags, llama_cpp);
        return true;
    }
    return find_regex_row(regex_pre_rows, TFM__COUNT(regex_pre_rows), pre, length, llama_cpp, out);
}

const char *tfm__split_pre_name(const tfm__stage *stage, bool ignore_merges, bool nfc) {
    for (size_t i = 0; i < TFM__COUNT(pre_rows); i++) {
        const pre_row *row = &pre_rows[i];
        if (row->stages[1] || !tfm__same_stage(stage, row->stages[0])) continue;
        if (((row->flags & IGNORE_MERGES) != 0) == ignore_merges && ((row->flags & NFC) != 0) == nfc)
            return row->pre;
    }
    return NULL;
}
