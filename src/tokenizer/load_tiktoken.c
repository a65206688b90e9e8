/* load_tiktoken.c - rank files: lines of "base64 of the token, space, rank". Called by load.c.
 *
 * The files carry neither the splitting pattern nor the special tokens; both are those of the encoding that
 * has as many tokens as the file: r50k (50256), p50k (50280), cl100k (100256), o200k (199998), Llama 3
 * (128000). What the caller gives overrides them. Ranks are ids and may have holes. Source:
 * tiktoken; Meta's Llama 3 release. */
#include "tokenizer/internal.h"

typedef struct line {
    const uint8_t *token; /* base64 */
    size_t length;
    uint64_t rank;
} line;

/* The line at *at, moved past; 1: a token, 0: blank, -1: neither. */
static int next_line(const uint8_t *data, size_t size, size_t *at, line *out) {
    size_t i = *at, end = i, digits = 0;
    while (end < size && data[end] != '\n') end++;
    *at = end < size ? end + 1 : end;
    if (end > i && data[end - 1] == '\r') end--;
    if (i == end) return 0;
    out->token = data + i;
    while (i < end && data[i] != ' ') i++;
    out->length = (size_t)(data + i - out->token);
    if (i == end) return -1;
    out->rank = 0;
    for (i++; i < end; i++, digits++) {
        if (data[i] < '0' || data[i] > '9' || digits >= 10) return -1;
        out->rank = out->rank * 10 + (uint64_t)(data[i] - '0');
    }
    return digits ? 1 : -1;
}

bool tfm__is_tiktoken(const uint8_t *data, size_t size) {
    size_t at = 0;
    line l;
    if (size > 4096) size = 4096;
    if (next_line(data, size, &at, &l) != 1) return false;
    for (size_t i = 0; i < l.length; i++)
        if (tfm__base64_digit(l.token[i]) < 0 && l.token[i] != '=') return false;
    return l.length > 0 && l.length % 4 == 0;
}

typedef struct encoding {
    size_t tokens;
    const char *pattern;
    tfm_special_token specials[8];
    int32_t bos, eos;
} encoding;

static const encoding encodings[] = {
    {50256, "gpt2", {{"<|endoftext|>", 50256, 0}}, -1, 50256},
    {50280, "gpt2", {{"<|endoftext|>", 50256, 0}}, -1, 50256},
    {100256,
     "cl100k",
     {{"<|endoftext|>", 100257, 0},
      {"<|fim_prefix|>", 100258, 0},
      {"<|fim_middle|>", 100259, 0},
      {"<|fim_suffix|>", 100260, 0},
      {"<|endofprompt|>", 100276, 0}},
     -1,
     100257},
    {199998, "o200k", {{"<|endoftext|>", 199999, 0}, {"<|endofprompt|>", 200018, 0}}, -1, 199999},
    {128000,
     "llama3",
     {{"<|begin_of_text|>", 128000, 0},
      {"<|end_of_text|>", 128001, 0},
      {"<|start_header_id|>", 128006, 0},
      {"<|end_header_id|>", 128007, 0},
      {"<|eot_id|>", 128009, 0}},
     128000,
     128001},
};

/* Llama 3 names all of its 256 special ids: those without a use are numbered. */
static void llama3_reserved(int32_t id, char name[40]) {
    static const char prefix[] = "<|reserved_special_token_";
    int32_t n = id - 128000, number = n < 6 ? n - 2 : n == 8 ? 4 : n - 5;
    char digits[8];
    size_t count = 0, at = sizeof prefix - 1;
    memcpy(name, prefix, at);
    do digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (count) name[at++] = digits[--count];
    memcpy(name + at, "|>", 3);
}

/* Two texts may have one id, as in o200k_harmony: it decodes to the first. */
static int32_t put_special(tfm_tokenizer *t, const char *text, int32_t id, tfm_error *error) {
    tfm__added added = {.id = id, .special = true};
    size_t length = strlen(text);
    int32_t rc =
        t->flags[id] & TFM__TOKEN_PRESENT
            ? tfm__vocab_store(t, text, length, &added.text, error)
            : tfm__vocab_set(t, id, text, length, NULL, 0, TFM_TOKEN_CONTROL, TFM__TOKEN_SKIP, error);
    if (rc) return rc;
    if (added.text.length == 0) added.text = t->key[id];
    added.match = added.text;
    return tfm__vocab_add(t, &added, error);
}

/* The special tokens that a file gets: the caller's, or those of the encoding that it is. */
typedef struct specials {
    const tfm_special_token *items; /* [count] */
    size_t count;
} specials;

static specials choose_specials(const tfm_tokenizer_options *options, const encoding *known) {
    specials chosen = {options->special, options->special_count};
    if (options->special || !known) return chosen;
    chosen.items = known->specials;
    while (chosen.count < TFM__COUNT(known->specials) && known->specials[chosen.count].text) chosen.count++;
    return chosen;
}

static int32_t put_specials(tfm_tokenizer *t, const specials *chosen, const encoding *known, bool named,
                            tfm_error *error) {
    int32_t rc = TFM_OK;
    for (size_t i = 0; i < chosen->count && rc == TFM_OK; i++) {
        rc = put_special(t, chosen->items[i].text, chosen->items[i].token, error);
        if (strcmp(chosen->items[i].text, "<|endoftext|>") == 0) t->eos = chosen->items[i].token;
    }
    for (int32_t id = 128000; !named && known && known->tokens == 128000 && id < 128256 && rc == TFM_OK;
         id++) {
        char name[40];
        if (t->flags[id] & TFM__TOKEN_PRESENT) continue;
        llama3_reserved(id, name);
        rc = put_special(t, name, id, error);
    }
    if (!named && known) {
        t->bos = known->bos;
        t->eos = known->eos;
        t->adds_bos = known->bos >= 0;
    }
    return rc;
}

/* Counts the lines and checks them; the largest rank. */
static int32_t measure(const tfm__loaded_text *file, size_t *count, uint64_t *largest, size_t *longest,
                       tfm_error *error) {
    size_t at = 0;
    *count = *longest = 0;
    *largest = 0;
    while (at < file->size) {
        size_t start = at;
        line l;
        int found = next_line(file->data, file->size, &at, &l);
        if (found < 0)
            return tfm__fail_at(error, TFM_E_FORMAT, file->name, NULL, start,
                                "a line that is not a token and its rank");
        if (found == 0) continue;
        ++*count;
        *largest = TFM__MAX(*largest, l.rank);
        *longest = TFM__MAX(*longest, l.length);
    }
    /* holes are few: a file cannot make us take memory that its own size does not warrant */
    if (*count == 0 || *largest > 2 * (uint64_t)*count + 65536)
        return tfm__fail_at(error, TFM_E_FORMAT, file->name, NULL, TFM__NO_OFFSET,
                            "ranks that leave large holes");
    return TFM_OK;
}

static int32_t read_tokens(tfm_tokenizer *t, const tfm__loaded_text *file, uint8_t *bytes, tfm_error *error) {
    size_t at = 0;
    while (at < file->size) {
        size_t start = at, length;
        int32_t rc;
        line l;
        if (next_line(file->data, file->size, &at, &l) != 1) continue;
        length = tfm__base64(l.token, l.length, bytes);
        if (length == SIZE_MAX || length == 0)
            return tfm__fail_at(error, TFM_E_FORMAT, file->name, NULL, start, "a token that is not base64");
        if (t->flags[l.rank] & TFM__TOKEN_PRESENT)
            return tfm__fail_at(error, TFM_E_FORMAT, file->name, NULL, start, "the rank %d twice",
                                (int)l.rank);
        rc = tfm__vocab_set(t, (int32_t)l.rank, bytes, length, NULL, 0, TFM_TOKEN_NORMAL, TFM__TOKEN_MATCH,
                            error);
        if (rc) return rc;
    }
    return TFM_OK;
}

/* A name, or a regular expression, of which tiktoken encodes the matches and nothing else. */
static int32_t choose_pattern(tfm_tokenizer *t, const char *pattern, tfm_error *error) {
    tfm__stage stage = {.kind = TFM__STAGE_REGEX, .behavior = TFM__REMOVED, .invert = true}, known;
    tfm__regex *regex;
    bool covers;
    const char *name;
    size_t length = strlen(pattern);
    int32_t rc;
    if (tfm__split_for_name(pattern, &t->splitter)) return TFM_OK;
    if (!strpbrk(pattern, "\\[(|+*?"))
        return tfm__fail(
            error, TFM_E_ARGUMENT,
            "the pattern '%.32s' is not known (gpt2, cl100k, o200k, llama3, qwen2, or a regular expression)",
            pattern);
    if (tfm__split_for_regex(pattern, length, &known, &covers, &name) && covers) {
        t->splitter.stages[t->splitter.count++] = known;
        memcpy(t->splitter.name, name, TFM__MIN(strlen(name), sizeof t->splitter.name - 1));
        return TFM_OK;
    }
    rc = tfm__regex_compile(t->heap, pattern, length, TFM__REGEX_RUST, NULL, &regex, error);
    if (rc) return rc;
    if ((rc = tfm__vocab_regex(t, regex, &stage.regex, error)) != 0) {
        tfm__regex_free(t->heap, regex);
        return rc;
    }
    t->splitter.stages[t->splitter.count++] = stage;
    return TFM_OK;
}

int32_t tfm__load_tiktoken(tfm_tokenizer *tokenizer, const tfm__loaded_text *file,
                           const tfm_tokenizer_options *options, tfm_error *error) {
    const char *pattern = options->pattern;
    const encoding *known = NULL;
    specials chosen;
    size_t count, longest, size;
    uint64_t largest;
    uint8_t *bytes;
    int32_t rc = measure(file, &count, &largest, &longest, error);
    if (rc) return rc;
    for (size_t i = 0; i < TFM__COUNT(encodings); i++)
        if (encodings[i].tokens == count) known = &encodings[i];
    if (!pattern && !known)
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, file->name, NULL, TFM__NO_OFFSET,
                            "a rank file of %zu tokens: which pattern splits its texts must be said", count);
    if ((rc = choose_pattern(tokenizer, pattern ? pattern : known->pattern, error)) != 0) return rc;
    size = (size_t)largest + 1;
    chosen = choose_specials(options, known);
    for (size_t i = 0; i < chosen.count; i++) size = TFM__MAX(size, (size_t)chosen.items[i].token + 1);
    if (known && known->tokens == 128000 && !options->special) size = TFM__MAX(size, (size_t)128256);
    if ((rc = tfm__vocab_begin(tokenizer, size, error)) != 0) return rc;
    bytes = tfm__alloc(tokenizer->heap, longest);
    if (!bytes) return tfm__fail_memory(error, tokenizer->heap, longest);
    rc = read_tokens(tokenizer, file, bytes, error);
    tfm__free(tokenizer->heap, bytes);
    if (rc) return rc;
    if ((rc = tfm__vocab_index(tokenizer, false, file->name, error)) != 0) return rc;
    for (size_t i = 0; i < chosen.count; i++)
        if (tokenizer->flags[chosen.items[i].token] & TFM__TOKEN_PRESENT)
            return tfm__fail_at(error, options->special ? TFM_E_ARGUMENT : TFM_E_FORMAT, file->name, NULL,
                                TFM__NO_OFFSET, "the rank %d belongs to a special token",
                                (int)chosen.items[i].token);
    memcpy(tokenizer->kind_name, "tiktoken", 9);
    tokenizer->order_kind = TFM__MERGE_RANKS;
    tokenizer->whole = TFM__WHOLE_ALWAYS;
    tokenizer->bytes = tokenizer->tail_as_bytes = true;
    return put_specials(tokenizer, &chosen, known, options->special != NULL, error);
}
