/* hf_normalizer.c - tokenizer.json's normalizer: to tokenizer->steps (normalize.h). Called by load_hf.c. */
#include "tokenizer/hf.h"

#define PART "normalizer"

static int32_t strip(tfm__hf *hf, tfm__json_value part, tfm__normal_step *step) {
    bool left, right;
    int32_t rc = tfm__hf_flag(hf, part, PART " Strip", "strip_left", -1, &left);
    if (rc || (rc = tfm__hf_flag(hf, part, PART " Strip", "strip_right", -1, &right)) != 0) return rc;
    step->kind = TFM__NORMAL_STRIP;
    step->flags = (uint8_t)((left ? 1 : 0) | (right ? 2 : 0));
    return TFM_OK;
}

static int32_t bert(tfm__hf *hf, tfm__json_value part, tfm__normal_step *step) {
    static const char *const name = PART " BertNormalizer";
    bool clean, chinese, lower, accents;
    int32_t rc = tfm__hf_flag(hf, part, name, "clean_text", -1, &clean);
    if (rc || (rc = tfm__hf_flag(hf, part, name, "handle_chinese_chars", -1, &chinese)) != 0) return rc;
    if ((rc = tfm__hf_flag(hf, part, name, "lowercase", -1, &lower)) != 0) return rc;
    if ((rc = tfm__hf_flag(hf, part, name, "strip_accents", lower ? 1 : 0, &accents)) != 0) return rc;
    step->kind = TFM__NORMAL_BERT;
    step->flags = (uint8_t)((clean ? TFM__BERT_CLEAN : 0) | (chinese ? TFM__BERT_CHINESE : 0) |
                            (accents ? TFM__BERT_ACCENTS : 0) | (lower ? TFM__BERT_LOWER : 0));
    return TFM_OK;
}

static int32_t replace(tfm__hf *hf, tfm__json_value part, tfm__normal_step *step) {
    tfm__json_value pattern = tfm__hf_get(hf, part, "pattern"), literal = tfm__hf_get(hf, pattern, "String"),
                    regex = tfm__hf_get(hf, pattern, "Regex");
    int32_t rc;
    if (literal != TFM__JSON_NONE) {
        step->kind = TFM__NORMAL_REPLACE;
        if ((rc = tfm__hf_store(hf, literal, PART " Replace", &step->from)) != 0) return rc;
        if (step->from.length == 0) return tfm__hf_unsupported(hf, part, PART, "Replace of the empty text");
    } else if (regex != TFM__JSON_NONE) {
        step->kind = TFM__NORMAL_REPLACE_REGEX;
        if ((rc = tfm__hf_regex(hf, regex, PART " Replace", &step->regex)) != 0) return rc;
    } else {
        return tfm__hf_wrong(hf, part, PART " Replace", "pattern", "is neither a String nor a Regex");
    }
    if ((rc = tfm__hf_text(hf, part, PART " Replace", "content")) != 0) return rc;
    return tfm__vocab_store(hf->tokenizer, hf->text.data, hf->text.size, &step->to, hf->error);
}

static int32_t precompiled(tfm__hf *hf, tfm__json_value part, tfm__normal_step *step) {
    tfm_tokenizer *t = hf->tokenizer;
    size_t size;
    int32_t rc;
    step->kind = TFM__NORMAL_PRECOMPILED;
    if (t->spm.units) return tfm__hf_unsupported(hf, part, PART, "Precompiled twice");
    if ((rc = tfm__hf_text(hf, part, PART " Precompiled", "precompiled_charsmap")) != 0) return rc;
    size = tfm__base64(hf->text.data, hf->text.size, hf->text.data);
    if (size == SIZE_MAX || size == 0)
        return tfm__hf_wrong(hf, part, PART " Precompiled", "precompiled_charsmap", "is not base64");
    rc = tfm__spm_charsmap(t, hf->text.data, size, hf->json->file, hf->error);
    return tfm__hf_placed(hf, tfm__hf_get(hf, part, "precompiled_charsmap"), rc);
}

static int32_t prepend(tfm__hf *hf, tfm__json_value part, tfm__normal_step *step) {
    int32_t rc = tfm__hf_text(hf, part, PART " Prepend", "prepend");
    step->kind = TFM__NORMAL_PREPEND;
    return rc ? rc : tfm__vocab_store(hf->tokenizer, hf->text.data, hf->text.size, &step->to, hf->error);
}

static int32_t add_step(tfm__hf *hf, tfm__json_value part) {
    static const struct {
        const char *type;
        uint8_t kind;
        int32_t (*read)(tfm__hf *hf, tfm__json_value part, tfm__normal_step *step);
    } kinds[] = {{"NFC", TFM__NORMAL_NFC, NULL},
                 {"NFD", TFM__NORMAL_NFD, NULL},
                 {"NFKC", TFM__NORMAL_NFKC, NULL},
                 {"NFKD", TFM__NORMAL_NFKD, NULL},
                 {"Lowercase", TFM__NORMAL_LOWERCASE, NULL},
                 {"Nmt", TFM__NORMAL_NMT, NULL},
                 {"StripAccents", TFM__NORMAL_STRIP_ACCENTS, NULL},
                 {"ByteLevel", TFM__NORMAL_BYTE_LEVEL, NULL},
                 {"Prepend", 0, prepend},
                 {"Replace", 0, replace},
                 {"Strip", 0, strip},
                 {"BertNormalizer", 0, bert},
                 {"Precompiled", 0, precompiled}};
    tfm_tokenizer *t = hf->tokenizer;
    for (size_t i = 0; i < TFM__COUNT(kinds); i++) {
        tfm__normal_step step = {.kind = kinds[i].kind};
        int32_t rc;
        if (!tfm__hf_is(hf, part, kinds[i].type)) continue;
        if (t->step_count == TFM__NORMAL_STEPS)
            return tfm__hf_unsupported(hf, part, PART, "a Sequence this long");
        if (kinds[i].read && (rc = kinds[i].read(hf, part, &step)) != 0) return rc;
        t->steps[t->step_count++] = step;
        return TFM_OK;
    }
    return tfm__hf_unknown_type(hf, part, PART);
}

int32_t tfm__hf_normalizer(tfm__hf *hf, tfm__json_value normalizer) {
    tfm__json_value parts[TFM__HF_PARTS];
    size_t count;
    int32_t rc = tfm__hf_flatten(hf, normalizer, PART, "normalizers", parts, &count);
    for (size_t i = 0; i < count && rc == TFM_OK; i++) rc = add_step(hf, parts[i]);
    return rc;
}
