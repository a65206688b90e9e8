/* hf_pre_tokenizer.c - tokenizer.json's pre_tokenizer: to tokenizer->splitter (split.h). Called by load_hf.c,
 * behind the normalizer.
 *
 * ByteLevel turns pieces into the byte alphabet. Here the vocabulary is turned into bytes instead, once, and
 * pieces stay as they are; so stages behind a ByteLevel would see something else than in the reference, and
 * only those whose effect is the same are taken. */
#include "tokenizer/hf.h"

#define PART "pre_tokenizer"

static int32_t add_stage(tfm__hf *hf, tfm__json_value at, const tfm__stage *stage, const char *name) {
    tfm__splitter *splitter = &hf->tokenizer->splitter;
    if (splitter->count == TFM__STAGES) return tfm__hf_unsupported(hf, at, PART, "a Sequence this long");
    splitter->stages[splitter->count++] = *stage;
    if (*name) {
        memset(splitter->name, 0, sizeof splitter->name);
        memcpy(splitter->name, name, TFM__MIN(strlen(name), sizeof splitter->name - 1));
    }
    return TFM_OK;
}

static int32_t behavior_of(tfm__hf *hf, tfm__json_value part, bool optional, uint8_t *out) {
    static const struct {
        const char *name;
        uint8_t behavior;
    } known[] = {{"Isolated", TFM__ISOLATED},
                 {"Removed", TFM__REMOVED},
                 {"MergedWithPrevious", TFM__MERGED_WITH_PREVIOUS},
                 {"MergedWithNext", TFM__MERGED_WITH_NEXT},
                 {"Contiguous", TFM__CONTIGUOUS}};
    tfm__json_value value = tfm__hf_get(hf, part, "behavior");
    *out = TFM__ISOLATED;
    if (value == TFM__JSON_NONE && optional) return TFM_OK;
    for (size_t i = 0; i < TFM__COUNT(known); i++) {
        if (!tfm__json_equals(hf->json, value, known[i].name)) continue;
        *out = known[i].behavior;
        return TFM_OK;
    }
    return tfm__hf_wrong(hf, part, PART, "behavior", "is not known");
}

/* ---- Split ---- */

/* Whether no normalised text has a space: the last step that could write one replaces them all. */
static bool spaces_are_gone(const tfm_tokenizer *t) {
    bool gone = false;
    for (uint32_t i = 0; i < t->step_count; i++) {
        const tfm__normal_step *step = &t->steps[i];
        bool writes = step->to.length
                          ? memchr(tfm__slice_at(t, step->to), ' ', step->to.length) != NULL
                          : step->kind != TFM__NORMAL_REPLACE && step->kind != TFM__NORMAL_PREPEND;
        if (writes) gone = false;
        if (step->kind == TFM__NORMAL_REPLACE && step->from.length == 1 &&
            *tfm__slice_at(t, step->from) == ' ')
            gone = !writes;
    }
    return gone;
}

static int32_t split_literal(tfm__hf *hf, tfm__json_value part, tfm__json_value literal, tfm__stage *stage) {
    int32_t rc = tfm__hf_string(hf, literal, PART " Split");
    if (rc) return rc;
    if (hf->text.size == 1 && hf->text.data[0] == ' ' && spaces_are_gone(hf->tokenizer))
        return TFM_OK; /* there is nothing to split at */
    if (hf->text.size == 0) return tfm__hf_unsupported(hf, part, PART, "Split at the empty text");
    if (hf->text.size > sizeof stage->literal)
        return tfm__hf_unsupported(hf, part, PART, "Split at a text this long");
    stage->kind = TFM__STAGE_LITERAL;
    stage->literal_length = (uint8_t)hf->text.size;
    memcpy(stage->literal, hf->text.data, hf->text.size);
    return add_stage(hf, part, stage, "");
}

static int32_t split_regex(tfm__hf *hf, tfm__json_value part, tfm__json_value regex, tfm__stage *stage) {
    tfm__stage known;
    const char *name = "";
    bool covers, same;
    int32_t rc = tfm__hf_string(hf, regex, PART " Split");
    if (rc) return rc;
    if (tfm__split_for_regex((const char *)hf->text.data, hf->text.size, &known, &covers, &name)) {
        /* a scanner's pieces are its matches and what lies between them */
        same =
            stage->behavior == TFM__ISOLATED || (stage->behavior == TFM__REMOVED && stage->invert && covers);
        if (same) return add_stage(hf, part, &known, name);
    }
    stage->kind = TFM__STAGE_REGEX;
    if ((rc = tfm__hf_regex(hf, regex, PART " Split", &stage->regex)) != 0) return rc;
    return add_stage(hf, part, stage, "");
}

static int32_t read_split(tfm__hf *hf, tfm__json_value part) {
    tfm__json_value pattern = tfm__hf_get(hf, part, "pattern"), literal = tfm__hf_get(hf, pattern, "String"),
                    regex = tfm__hf_get(hf, pattern, "Regex");
    tfm__stage stage = {0};
    int32_t rc = behavior_of(hf, part, false, &stage.behavior);
    if (rc || (rc = tfm__hf_flag(hf, part, PART " Split", "invert", -1, &stage.invert)) != 0) return rc;
    if (literal != TFM__JSON_NONE) return split_literal(hf, part, literal, &stage);
    if (regex != TFM__JSON_NONE) return split_regex(hf, part, regex, &stage);
    return tfm__hf_wrong(hf, part, PART " Split", "pattern", "is neither a String nor a Regex");
}

/* ---- The others ---- */

static int32_t read_metaspace(tfm__hf *hf, tfm__json_value part) {
    tfm__stage stage = {.kind = TFM__STAGE_METASPACE, .prepend = TFM__PREPEND_ALWAYS};
    tfm__json_value scheme = tfm__hf_get(hf, part, "prepend_scheme");
    bool prefix;
    int32_t rc = tfm__hf_character(hf, part, PART " Metaspace", "replacement");
    if (rc) return rc;
    stage.literal_length = (uint8_t)hf->text.size;
    memcpy(stage.literal, hf->text.data, hf->text.size);
    if ((rc = tfm__hf_flag(hf, part, PART " Metaspace", "split", 1, &stage.split)) != 0) return rc;
    if ((rc = tfm__hf_flag(hf, part, PART " Metaspace", "add_prefix_space", 1, &prefix)) != 0) return rc;
    if (tfm__json_equals(hf->json, scheme, "first"))
        stage.prepend = TFM__PREPEND_FIRST;
    else if (tfm__json_equals(hf->json, scheme, "never"))
        stage.prepend = TFM__PREPEND_NEVER;
    else if (scheme != TFM__JSON_NONE && !tfm__json_equals(hf->json, scheme, "always"))
        return tfm__hf_wrong(hf, part, PART " Metaspace", "prepend_scheme", "is not known");
    if (!prefix && stage.prepend != TFM__PREPEND_NEVER)
        return tfm__hf_wrong(hf, part, PART " Metaspace", "add_prefix_space", "contradicts prepend_scheme");
    if (stage.prepend == TFM__PREPEND_FIRST && hf->tokenizer->splitter.count)
        return tfm__hf_unsupported(hf, part, PART, "Metaspace with prepend_scheme first behind another part");
    return add_stage(hf, part, &stage, "");
}

static int32_t read_byte_level(tfm__hf *hf, tfm__json_value part) {
    static const tfm__stage gpt2 = {.kind = TFM__SPLIT_GPT2}, space = {.kind = TFM__STAGE_PREFIX_SPACE};
    bool prefix, regex;
    int32_t rc;
    if (hf->byte_level) return tfm__hf_unsupported(hf, part, PART, "ByteLevel twice");
    hf->byte_level = true;
    if ((rc = tfm__hf_flag(hf, part, PART " ByteLevel", "add_prefix_space", -1, &prefix)) != 0) return rc;
    if ((rc = tfm__hf_flag(hf, part, PART " ByteLevel", "use_regex", 1, &regex)) != 0) return rc;
    if (prefix && (rc = add_stage(hf, part, &space, "")) != 0) return rc;
    return regex ? add_stage(hf, part, &gpt2, "gpt2") : TFM_OK;
}

static int32_t read_digits(tfm__hf *hf, tfm__json_value part) {
    tfm__stage stage = {.kind = TFM__SPLIT_NUMERIC};
    bool single;
    int32_t rc = tfm__hf_flag(hf, part, PART " Digits", "individual_digits", -1, &single);
    if (single) stage.kind = TFM__STAGE_NUMERIC;
    return rc ? rc : add_stage(hf, part, &stage, "");
}

static int32_t read_punctuation(tfm__hf *hf, tfm__json_value part) {
    tfm__stage stage = {.kind = TFM__STAGE_PUNCTUATION};
    int32_t rc = behavior_of(hf, part, true, &stage.behavior);
    if (stage.behavior == TFM__CONTIGUOUS) stage = (tfm__stage){.kind = TFM__SPLIT_PUNCTUATION};
    return rc ? rc : add_stage(hf, part, &stage, "");
}

static int32_t read_fixed(tfm__hf *hf, tfm__json_value part) {
    tfm__stage stage = {.kind = TFM__STAGE_FIXED};
    int64_t length = 5;
    int32_t rc = TFM_OK;
    if (tfm__hf_get(hf, part, "length") != TFM__JSON_NONE)
        rc = tfm__hf_number(hf, part, PART " FixedLength", "length", UINT32_MAX, -1, &length);
    if (rc) return rc;
    if (length == 0) return tfm__hf_wrong(hf, part, PART " FixedLength", "length", "is 0");
    stage.fixed = (uint32_t)length;
    return add_stage(hf, part, &stage, "");
}

static int32_t read_delimiter(tfm__hf *hf, tfm__json_value part) {
    tfm__stage stage = {.kind = TFM__STAGE_LITERAL, .behavior = TFM__REMOVED};
    int32_t rc = tfm__hf_character(hf, part, PART " CharDelimiterSplit", "delimiter");
    if (rc) return rc;
    stage.literal_length = (uint8_t)hf->text.size;
    memcpy(stage.literal, hf->text.data, hf->text.size);
    return add_stage(hf, part, &stage, "");
}

/* Behind ByteLevel: what looks at nothing but ASCII digits, and runs of what counts as a number there. */
static int32_t read_behind_bytes(tfm__hf *hf, tfm__json_value part) {
    static const tfm__stage byte_digits = {.kind = TFM__SPLIT_BYTE_DIGITS};
    tfm__splitter *splitter = &hf->tokenizer->splitter;
    uint32_t before = splitter->count;
    bool single;
    int32_t rc;
    if (tfm__hf_is(hf, part, "ByteLevel")) return read_byte_level(hf, part);
    if (tfm__hf_is(hf, part, "Digits")) {
        if ((rc = tfm__hf_flag(hf, part, PART " Digits", "individual_digits", -1, &single)) != 0) return rc;
        if (single) return tfm__hf_unsupported(hf, part, PART, "single Digits behind ByteLevel");
        return add_stage(hf, part, &byte_digits, "");
    }
    if (tfm__hf_is(hf, part, "Split")) {
        if ((rc = read_split(hf, part)) != 0) return rc;
        if (splitter->count == before + 1 && splitter->stages[before].kind == TFM__SPLIT_ASCII_DIGITS)
            return TFM_OK;
        return tfm__hf_unsupported(hf, part, PART, "such a Split behind ByteLevel");
    }
    if ((rc = tfm__hf_text(hf, part, PART, "type")) != 0) return rc;
    return tfm__fail_at(hf->error, TFM_E_UNSUPPORTED, hf->json->file, NULL, tfm__json_offset(hf->json, part),
                        PART ": %.80s behind ByteLevel is not supported", (const char *)hf->text.data);
}

static int32_t read_part(tfm__hf *hf, tfm__json_value part) {
    static const struct {
        const char *type;
        uint8_t kind;
        int32_t (*read)(tfm__hf *hf, tfm__json_value part);
    } kinds[] = {{"ByteLevel", 0, read_byte_level},
                 {"Split", 0, read_split},
                 {"Metaspace", 0, read_metaspace},
                 {"Digits", 0, read_digits},
                 {"Punctuation", 0, read_punctuation},
                 {"FixedLength", 0, read_fixed},
                 {"CharDelimiterSplit", 0, read_delimiter},
                 {"Whitespace", TFM__STAGE_WHITESPACE, NULL},
                 {"WhitespaceSplit", TFM__STAGE_WHITESPACE_SPLIT, NULL},
                 {"BertPreTokenizer", TFM__STAGE_BERT, NULL},
                 {"UnicodeScripts", TFM__STAGE_SCRIPTS, NULL}};
    if (hf->byte_level) return read_behind_bytes(hf, part);
    for (size_t i = 0; i < TFM__COUNT(kinds); i++) {
        tfm__stage stage = {.kind = kinds[i].kind};
        if (!tfm__hf_is(hf, part, kinds[i].type)) continue;
        return kinds[i].read ? kinds[i].read(hf, part) : add_stage(hf, part, &stage, "");
    }
    return tfm__hf_unknown_type(hf, part, PART);
}

int32_t tfm__hf_pre_tokenizer(tfm__hf *hf, tfm__json_value pre_tokenizer) {
    tfm__json_value parts[TFM__HF_PARTS];
    size_t count;
    int32_t rc = tfm__hf_flatten(hf, pre_tokenizer, PART, "pretokenizers", parts, &count);
    for (size_t i = 0; i < count && rc == TFM_OK; i++) rc = read_part(hf, parts[i]);
    return rc;
}
