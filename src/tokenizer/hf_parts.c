/* hf_parts.c - normalizer, pre-tokenizer, post-processor and decoder of a tokenizer.json. Called by
 * load_hf.c.
 *
 * Every component is either carried out exactly or refused by name; fields that a component is not known to
 * have are ignored, as the reference does. Source: the Hugging Face tokenizers project (which fields there
 * are, their defaults). */
#include "tokenizer/hf_parts.h"

#define PARTS_AT_MOST 16 /* members of a Sequence */

int32_t tfm__hf_unsupported(const tfm__hf *hf, tfm__json_value at, const char *part, const char *what) {
    return tfm__fail_at(hf->error, TFM_E_UNSUPPORTED, hf->json->file, NULL,
                        at == TFM__JSON_NONE ? TFM__NO_OFFSET : tfm__json_offset(hf->json, at),
                        "%s: %.80s is not supported", part, what);
}

int32_t tfm__hf_malformed(const tfm__hf *hf, tfm__json_value at, const char *part, const char *what) {
    return tfm__fail_at(hf->error, TFM_E_FORMAT, hf->json->file, NULL,
                        at == TFM__JSON_NONE ? TFM__NO_OFFSET : tfm__json_offset(hf->json, at), "%s: %s",
                        part, what);
}

int32_t tfm__hf_string(tfm__hf *hf, tfm__json_value value, const char *part) {
    const char *raw;
    size_t size;
    hf->text.size = 0;
    if (!tfm__json_raw(hf->json, value, &raw, &size))
        return tfm__hf_malformed(hf, value, part, "not a string");
    if (!tfm__buffer_reserve(&hf->text, size + 1)) return tfm__fail_memory(hf->error, hf->text.heap, size);
    size = tfm__json_unescape(hf->json, value, (char *)hf->text.data, hf->text.capacity - 1);
    if (size == SIZE_MAX) return tfm__hf_malformed(hf, value, part, "a malformed string");
    hf->text.size = size;
    hf->text.data[size] = 0; /* for messages and comparisons with names */
    return TFM_OK;
}

static bool is_null(const tfm__hf *hf, tfm__json_value value) {
    int kind = tfm__json_kind(hf->json, value);
    return kind == TFM__JSON_ABSENT || kind == TFM__JSON_NULL;
}

static tfm__json_value get(const tfm__hf *hf, tfm__json_value object, const char *key) {
    return tfm__json_get(hf->json, object, key);
}

static bool is_type(const tfm__hf *hf, tfm__json_value object, const char *type) {
    return tfm__json_equals(hf->json, get(hf, object, "type"), type);
}

/* A truth value with its default. */
static bool truth(const tfm__hf *hf, tfm__json_value object, const char *key, bool absent) {
    bool value;
    return tfm__json_bool(hf->json, get(hf, object, key), &value) ? value : absent;
}

/* Refuses an object by its type. */
static int32_t unknown_type(tfm__hf *hf, tfm__json_value object, const char *part) {
    int32_t rc = tfm__hf_string(hf, get(hf, object, "type"), part);
    return rc ? rc : tfm__hf_unsupported(hf, object, part, (const char *)hf->text.data);
}

/* Flattens Sequences (the member that holds the list is called list) into parts. */
static int32_t flatten(tfm__hf *hf, tfm__json_value value, const char *part, const char *list,
                       tfm__json_value parts[PARTS_AT_MOST], size_t *count) {
    tfm__json_value stack[PARTS_AT_MOST];
    size_t depth = 0;
    *count = 0;
    if (is_null(hf, value)) return TFM_OK;
    stack[depth++] = value;
    while (depth) {
        tfm__json_value now = stack[--depth], members;
        size_t n;
        if (tfm__json_kind(hf->json, now) != TFM__JSON_OBJECT)
            return tfm__hf_malformed(hf, now, part, "not an object");
        if (!is_type(hf, now, "Sequence")) {
            if (*count == PARTS_AT_MOST) return tfm__hf_unsupported(hf, now, part, "a Sequence this long");
            parts[(*count)++] = now;
            continue;
        }
        members = get(hf, now, list);
        if (tfm__json_kind(hf->json, members) != TFM__JSON_ARRAY)
            return tfm__hf_malformed(hf, now, part, "a Sequence without a list");
        n = tfm__json_size(hf->json, members);
        if (n > PARTS_AT_MOST - depth) return tfm__hf_unsupported(hf, now, part, "a Sequence this long");
        for (size_t i = n; i-- > 0;) stack[depth++] = tfm__json_at(hf->json, members, i);
    }
    return TFM_OK;
}

/* ---- Normalizer ---- */

static int32_t store(tfm__hf *hf, tfm__json_value value, const char *part, tfm__slice *out) {
    int32_t rc = tfm__hf_string(hf, value, part);
    return rc ? rc : tfm__vocab_store(hf->tokenizer, hf->text.data, hf->text.size, out, hf->error);
}

static int32_t normal_step(tfm__hf *hf, tfm__json_value part) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__normal_step step = {0};
    int32_t rc = TFM_OK;
    if (is_type(hf, part, "NFC")) {
        step.kind = TFM__NORMAL_NFC;
    } else if (is_type(hf, part, "Prepend")) {
        step.kind = TFM__NORMAL_PREPEND;
        rc = store(hf, get(hf, part, "prepend"), "normalizer Prepend", &step.to);
    } else if (is_type(hf, part, "Replace")) {
        tfm__json_value pattern = get(hf, part, "pattern"), literal = get(hf, pattern, "String");
        step.kind = TFM__NORMAL_REPLACE;
        if (literal == TFM__JSON_NONE)
            return tfm__hf_unsupported(hf, part, "normalizer", "Replace of a regular expression");
        rc = store(hf, literal, "normalizer Replace", &step.from);
        if (rc == TFM_OK && step.from.length == 0)
            return tfm__hf_unsupported(hf, part, "normalizer", "Replace of the empty text");
        if (rc == TFM_OK) rc = store(hf, get(hf, part, "content"), "normalizer Replace", &step.to);
    } else {
        return unknown_type(hf, part, "normalizer");
    }
    if (rc) return rc;
    if (t->step_count == TFM__NORMAL_STEPS)
        return tfm__hf_unsupported(hf, part, "normalizer", "a Sequence this long");
    t->steps[t->step_count++] = step;
    return TFM_OK;
}

int32_t tfm__hf_normalizer(tfm__hf *hf, tfm__json_value normalizer) {
    tfm__json_value parts[PARTS_AT_MOST];
    size_t count;
    int32_t rc = flatten(hf, normalizer, "normalizer", "normalizers", parts, &count);
    for (size_t i = 0; i < count && rc == TFM_OK; i++) rc = normal_step(hf, parts[i]);
    return rc;
}

/* ---- Pre-tokenizer ---- */

static int32_t add_stage(tfm__hf *hf, tfm__json_value at, const tfm__stage *stage, const char *name) {
    tfm__splitter *splitter = &hf->tokenizer->splitter;
    if (splitter->count == TFM__STAGES)
        return tfm__hf_unsupported(hf, at, "pre_tokenizer", "a Sequence this long");
    splitter->stages[splitter->count++] = *stage;
    if (*name) {
        memset(splitter->name, 0, sizeof splitter->name);
        memcpy(splitter->name, name, TFM__MIN(strlen(name), sizeof splitter->name - 1));
    }
    return TFM_OK;
}

/* Whether no normalised text has a space: the last step that could write one replaces them all. */
static bool spaces_are_gone(const tfm_tokenizer *t) {
    bool gone = false;
    for (uint32_t i = 0; i < t->step_count; i++) {
        const tfm__normal_step *step = &t->steps[i];
        bool writes = step->kind == TFM__NORMAL_NFC ||
                      (step->to.length && memchr(tfm__slice_at(t, step->to), ' ', step->to.length) != NULL);
        if (writes) gone = false;
        if (step->kind == TFM__NORMAL_REPLACE && step->from.length == 1 &&
            *tfm__slice_at(t, step->from) == ' ')
            gone = !writes;
    }
    return gone;
}

static int32_t pre_split(tfm__hf *hf, tfm__json_value part) {
    tfm__json_value pattern = get(hf, part, "pattern"), regex = get(hf, pattern, "Regex");
    bool invert = truth(hf, part, "invert", false), covers, isolated, removed, ascii_digits;
    tfm__json_value behavior = get(hf, part, "behavior");
    tfm__stage stage;
    const char *name;
    int32_t rc;
    if (regex == TFM__JSON_NONE) {
        if (tfm__json_equals(hf->json, get(hf, pattern, "String"), " ") && spaces_are_gone(hf->tokenizer))
            return TFM_OK; /* there is nothing to split at */
        return tfm__hf_unsupported(hf, part, "pre_tokenizer", "Split at a literal");
    }
    if ((rc = tfm__hf_string(hf, regex, "pre_tokenizer Split")) != 0) return rc;
    if (!tfm__split_for_regex((const char *)hf->text.data, hf->text.size, &stage, &covers, &name)) {
        return tfm__fail_at(hf->error, TFM_E_UNSUPPORTED, hf->json->file, NULL,
                            tfm__json_offset(hf->json, regex),
                            "pre_tokenizer: Split by the regular expression %.200s is not supported",
                            (const char *)hf->text.data);
    }
    isolated = tfm__json_equals(hf->json, behavior, "Isolated") && !invert;
    removed = tfm__json_equals(hf->json, behavior, "Removed") && invert && covers;
    if (!isolated && !removed)
        return tfm__hf_unsupported(hf, part, "pre_tokenizer", "a Split that removes or merges");
    ascii_digits = stage.kind == TFM__SPLIT_ASCII_DIGITS;
    if (hf->byte_level && !ascii_digits)
        return tfm__hf_unsupported(hf, part, "pre_tokenizer", "such a Split after ByteLevel");
    return add_stage(hf, part, &stage, name);
}

static int32_t pre_metaspace(tfm__hf *hf, tfm__json_value part, size_t count) {
    tfm__stage stage = {.kind = TFM__STAGE_METASPACE, .literal = TFM__MARK, .literal_length = TFM__MARK_BYTES};
    tfm__json_value scheme = get(hf, part, "prepend_scheme");
    if (count != 1) return tfm__hf_unsupported(hf, part, "pre_tokenizer", "Metaspace beside others");
    if (!tfm__json_equals(hf->json, get(hf, part, "replacement"), TFM__MARK))
        return tfm__hf_unsupported(hf, part, "pre_tokenizer", "Metaspace with another mark than U+2581");
    stage.split = truth(hf, part, "split", true);
    stage.prepend = TFM__PREPEND_ALWAYS;
    if (tfm__json_equals(hf->json, scheme, "first"))
        stage.prepend = TFM__PREPEND_FIRST;
    else if (tfm__json_equals(hf->json, scheme, "never") ||
             (is_null(hf, scheme) && !truth(hf, part, "add_prefix_space", true)))
        stage.prepend = TFM__PREPEND_NEVER;
    else if (!is_null(hf, scheme) && !tfm__json_equals(hf->json, scheme, "always"))
        return tfm__hf_malformed(hf, part, "pre_tokenizer", "Metaspace with an unknown prepend_scheme");
    else if (!truth(hf, part, "add_prefix_space", true))
        return tfm__hf_malformed(hf, part, "pre_tokenizer", "Metaspace that contradicts itself");
    return add_stage(hf, part, &stage, "");
}

static int32_t pre_part(tfm__hf *hf, tfm__json_value part, size_t i, size_t count) {
    static const tfm__stage gpt2 = {.kind = TFM__SPLIT_GPT2},
                                  punctuation = {.kind = TFM__SPLIT_PUNCTUATION},
                                  byte_digits = {.kind = TFM__SPLIT_BYTE_DIGITS}, space = {.kind = TFM__STAGE_PREFIX_SPACE};
    if (is_type(hf, part, "ByteLevel")) {
        if (hf->byte_level) return tfm__hf_unsupported(hf, part, "pre_tokenizer", "ByteLevel twice");
        hf->byte_level = true;
        if (truth(hf, part, "add_prefix_space", true)) {
            if (i > 0)
                return tfm__hf_unsupported(hf, part, "pre_tokenizer", "add_prefix_space behind another part");
            int32_t rc = add_stage(hf, part, &space, "");
            if (rc) return rc;
        }
        return truth(hf, part, "use_regex", true) ? add_stage(hf, part, &gpt2, "gpt2") : TFM_OK;
    }
    if (is_type(hf, part, "Split")) return pre_split(hf, part);
    if (is_type(hf, part, "Metaspace")) return pre_metaspace(hf, part, count);
    if (is_type(hf, part, "Digits")) {
        tfm__stage stage = {.kind = TFM__SPLIT_NUMBERS};
        stage.digits = truth(hf, part, "individual_digits", false) ? 1 : 0;
        if (!hf->byte_level) return add_stage(hf, part, &stage, "");
        if (stage.digits)
            return tfm__hf_unsupported(hf, part, "pre_tokenizer", "single Digits after ByteLevel");
        return add_stage(hf, part, &byte_digits, "");
    }
    if (is_type(hf, part, "Punctuation") && !hf->byte_level) {
        if (!tfm__json_equals(hf->json, get(hf, part, "behavior"), "Contiguous"))
            return tfm__hf_unsupported(hf, part, "pre_tokenizer", "Punctuation that is not Contiguous");
        return add_stage(hf, part, &punctuation, "");
    }
    return unknown_type(hf, part, "pre_tokenizer");
}

int32_t tfm__hf_pre_tokenizer(tfm__hf *hf, tfm__json_value pre_tokenizer) {
    tfm__json_value parts[PARTS_AT_MOST];
    size_t count;
    int32_t rc = flatten(hf, pre_tokenizer, "pre_tokenizer", "pretokenizers", parts, &count);
    for (size_t i = 0; i < count && rc == TFM_OK; i++) rc = pre_part(hf, parts[i], i, count);
    return rc;
}

/* ---- Post-processor ---- */

static int32_t frame_part(tfm__hf *hf, tfm__json_value at, int64_t token) {
    tfm_tokenizer *t = hf->tokenizer;
    if (token >= t->vocab_size)
        return tfm__hf_malformed(hf, at, "post_processor", "a token id outside the vocabulary");
    if (t->frame_count == TFM__FRAME_PARTS)
        return tfm__hf_unsupported(hf, at, "post_processor", "a template this long");
    t->frame[t->frame_count++] = (tfm__frame_part){(int32_t)token, 0};
    return TFM_OK;
}

/* The ids of a special token of a template. */
static int32_t template_token(tfm__hf *hf, tfm__json_value tokens, tfm__json_value name) {
    tfm__json_value ids;
    int32_t rc = tfm__hf_string(hf, name, "post_processor");
    if (rc) return rc;
    ids = get(hf, get(hf, tokens, (const char *)hf->text.data), "ids");
    if (tfm__json_kind(hf->json, ids) != TFM__JSON_ARRAY)
        return tfm__hf_malformed(hf, name, "post_processor",
                                 "a template with a token that it does not define");
    for (tfm__json_value v = tfm__json_first(hf->json, ids); v != TFM__JSON_NONE;
         v = tfm__json_next(hf->json, ids, v)) {
        int64_t id;
        if (!tfm__json_i64(hf->json, v, &id))
            return tfm__hf_malformed(hf, v, "post_processor", "not a token id");
        if (id < 0) return tfm__hf_malformed(hf, v, "post_processor", "not a token id");
        if ((rc = frame_part(hf, v, id)) != 0) return rc;
    }
    return TFM_OK;
}

static int32_t post_template(tfm__hf *hf, tfm__json_value part) {
    tfm__json_value single = get(hf, part, "single"), tokens = get(hf, part, "special_tokens");
    bool behind = false;
    if (tfm__json_kind(hf->json, single) != TFM__JSON_ARRAY)
        return tfm__hf_malformed(hf, part, "post_processor", "a template without a list");
    for (tfm__json_value v = tfm__json_first(hf->json, single); v != TFM__JSON_NONE;
         v = tfm__json_next(hf->json, single, v)) {
        tfm__json_value sequence = get(hf, v, "Sequence"), special = get(hf, v, "SpecialToken");
        int32_t rc;
        if (sequence != TFM__JSON_NONE) {
            if (behind || !tfm__json_equals(hf->json, get(hf, sequence, "id"), "A"))
                return tfm__hf_unsupported(hf, v, "post_processor",
                                           "a template with the text more than once");
            behind = true;
            if ((rc = frame_part(hf, v, -1)) != 0) return rc;
        } else if ((rc = template_token(hf, tokens, get(hf, special, "id"))) != 0) {
            return rc;
        }
    }
    if (!behind) return tfm__hf_unsupported(hf, part, "post_processor", "a template without the text");
    return TFM_OK;
}

/* BertProcessing and RobertaProcessing: cls in front, sep behind. */
static int32_t post_pair(tfm__hf *hf, tfm__json_value part) {
    int64_t cls, sep;
    int32_t rc;
    if (!tfm__json_i64(hf->json, tfm__json_at(hf->json, get(hf, part, "cls"), 1), &cls) ||
        !tfm__json_i64(hf->json, tfm__json_at(hf->json, get(hf, part, "sep"), 1), &sep))
        return tfm__hf_malformed(hf, part, "post_processor", "cls and sep without ids");
    if (cls < 0 || sep < 0) return tfm__hf_malformed(hf, part, "post_processor", "cls and sep without ids");
    if ((rc = frame_part(hf, part, cls)) != 0 || (rc = frame_part(hf, part, -1)) != 0) return rc;
    return frame_part(hf, part, sep);
}

int32_t tfm__hf_post_processor(tfm__hf *hf, tfm__json_value post_processor) {
    tfm__json_value parts[PARTS_AT_MOST];
    size_t count;
    int32_t rc = flatten(hf, post_processor, "post_processor", "processors", parts, &count);
    for (size_t i = 0; i < count && rc == TFM_OK; i++) {
        bool pair = is_type(hf, parts[i], "BertProcessing") || is_type(hf, parts[i], "RobertaProcessing");
        if (is_type(hf, parts[i], "ByteLevel")) continue; /* offsets only */
        if (!pair && !is_type(hf, parts[i], "TemplateProcessing"))
            return unknown_type(hf, parts[i], "post_processor");
        if (hf->has_template) return tfm__hf_unsupported(hf, parts[i], "post_processor", "two templates");
        hf->has_template = true;
        rc = pair ? post_pair(hf, parts[i]) : post_template(hf, parts[i]);
    }
    return rc;
}

/* ---- Decoder ---- */

static int32_t decoder_strip(tfm__hf *hf, tfm__json_value part) {
    int64_t start = 0, stop = 0;
    if (!tfm__json_equals(hf->json, get(hf, part, "content"), " ") ||
        !tfm__json_i64(hf->json, get(hf, part, "start"), &start) ||
        !tfm__json_i64(hf->json, get(hf, part, "stop"), &stop) || start < 0 || start > 1 || stop != 0)
        return tfm__hf_unsupported(hf, part, "decoder", "such a Strip");
    if (start) hf->tokenizer->strip = TFM__STRIP_SPACE;
    return TFM_OK;
}

static int32_t decoder_metaspace(tfm__hf *hf, tfm__json_value part) {
    if (!tfm__json_equals(hf->json, get(hf, part, "replacement"), TFM__MARK))
        return tfm__hf_unsupported(hf, part, "decoder", "Metaspace with another mark than U+2581");
    hf->decodes_marks = true;
    if (!tfm__json_equals(hf->json, get(hf, part, "prepend_scheme"), "never") &&
        truth(hf, part, "add_prefix_space", true))
        hf->tokenizer->strip = TFM__STRIP_FIRST_MARKS;
    return TFM_OK;
}

/* Either ByteLevel or Metaspace alone, or some of Replace, ByteFallback, Fuse, Strip in this order. */
int32_t tfm__hf_decoder(tfm__hf *hf, tfm__json_value decoder) {
    tfm__json_value parts[PARTS_AT_MOST];
    size_t count;
    int stage = 0;
    bool fused = false;
    int32_t rc = flatten(hf, decoder, "decoder", "decoders", parts, &count);
    if (rc) return rc;
    if (count == 0) return tfm__hf_unsupported(hf, decoder, "decoder", "none (tokens joined by spaces)");
    for (size_t i = 0; i < count && rc == TFM_OK; i++) {
        tfm__json_value part = parts[i];
        int at;
        if (is_type(hf, part, "ByteLevel") && count == 1) {
            hf->decodes_bytes = true;
            return TFM_OK;
        }
        if (is_type(hf, part, "Metaspace") && count == 1) return decoder_metaspace(hf, part);
        at = is_type(hf, part, "Replace")        ? 1
             : is_type(hf, part, "ByteFallback") ? 2
             : is_type(hf, part, "Fuse")         ? 3
             : is_type(hf, part, "Strip")        ? 4
                                                 : 0;
        if (at == 0) return unknown_type(hf, part, "decoder");
        if (at <= stage) return tfm__hf_unsupported(hf, part, "decoder", "this order of parts");
        stage = at;
        switch (at) {
        case 1:
            if (!tfm__json_equals(hf->json, get(hf, get(hf, part, "pattern"), "String"), TFM__MARK) ||
                !tfm__json_equals(hf->json, get(hf, part, "content"), " "))
                return tfm__hf_unsupported(hf, part, "decoder", "such a Replace");
            hf->decodes_marks = true;
            break;
        case 2:
            hf->decodes_fallback = true;
            break;
        case 3:
            fused = true;
            break;
        default:
            if (!fused) return tfm__hf_unsupported(hf, part, "decoder", "Strip of every token");
            rc = decoder_strip(hf, part);
            break;
        }
    }
    return rc;
}
