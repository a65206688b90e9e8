/* load_hf.c - Hugging Face's tokenizer.json: the order in which its members are read. Called by load.c; hf.h
 * says who reads what.
 *
 * The ids are those of the tokenizers library, version 0.23; transformers, which reads the same file and may
 * change it by what stands beside it, is not the reference. */
#include "tokenizer/hf.h"

/* ---- Truncation and padding ---- */

static int32_t side(tfm__hf *hf, tfm__json_value object, const char *part, bool optional, bool *left) {
    tfm__json_value value = tfm__hf_get(hf, object, "direction");
    *left = tfm__json_equals(hf->json, value, "Left");
    if (*left || tfm__json_equals(hf->json, value, "Right") || (value == TFM__JSON_NONE && optional))
        return TFM_OK;
    return tfm__hf_wrong(hf, object, part, "direction", "is not known");
}

static int32_t truncation(tfm__hf *hf, tfm__json_value object) {
    static const char *const part = "truncation";
    tfm_tokenizer *t = hf->tokenizer;
    tfm__json_value strategy = tfm__hf_get(hf, object, "strategy");
    int64_t length, stride;
    int32_t rc;
    if (tfm__hf_null(hf, object)) return TFM_OK;
    if ((rc = tfm__hf_number(hf, object, part, "max_length", INT64_MAX, -1, &length)) != 0) return rc;
    if ((rc = tfm__hf_number(hf, object, part, "stride", INT64_MAX, -1, &stride)) != 0) return rc;
    if ((rc = side(hf, object, part, true, &t->truncation.left)) != 0) return rc;
    t->truncation.strategy = tfm__json_equals(hf->json, strategy, "LongestFirst") ? TFM_TRUNCATE_LONGEST_FIRST
                             : tfm__json_equals(hf->json, strategy, "OnlyFirst")  ? TFM_TRUNCATE_FIRST
                             : tfm__json_equals(hf->json, strategy, "OnlySecond") ? TFM_TRUNCATE_SECOND
                                                                                  : 0;
    if (t->truncation.strategy == 0) return tfm__hf_wrong(hf, object, part, "strategy", "is not known");
    t->truncation.on = true;
    t->truncation.max_length = (size_t)length;
    t->truncation.stride = (size_t)stride;
    return TFM_OK;
}

static int32_t padding(tfm__hf *hf, tfm__json_value object) {
    static const char *const part = "padding";
    tfm_tokenizer *t = hf->tokenizer;
    tfm__json_value strategy = tfm__hf_get(hf, object, "strategy");
    int64_t length = 0, multiple, token, type;
    int32_t rc;
    if (tfm__hf_null(hf, object)) return TFM_OK;
    t->pad.fixed = tfm__json_kind(hf->json, strategy) == TFM__JSON_OBJECT;
    if (!t->pad.fixed && !tfm__json_equals(hf->json, strategy, "BatchLongest"))
        return tfm__hf_wrong(hf, object, part, "strategy", "is not known");
    if (t->pad.fixed && (rc = tfm__hf_number(hf, strategy, part, "Fixed", INT32_MAX, -1, &length)) != 0)
        return rc;
    if ((rc = side(hf, object, part, false, &t->pad.left)) != 0) return rc;
    if ((rc = tfm__hf_number(hf, object, part, "pad_to_multiple_of", INT32_MAX, 0, &multiple)) != 0)
        return rc;
    if ((rc = tfm__hf_number(hf, object, part, "pad_id", INT32_MAX, -1, &token)) != 0) return rc;
    if ((rc = tfm__hf_number(hf, object, part, "pad_type_id", UINT8_MAX, -1, &type)) != 0) return rc;
    t->pad.on = true;
    t->pad.length = (size_t)length;
    t->pad.multiple = (size_t)multiple;
    t->pad.token = (int32_t)token;
    t->pad.type = (int32_t)type;
    if (t->padding < 0 && token < t->vocab_size) t->padding = (int32_t)token;
    return TFM_OK;
}

/* ---- All of it ---- */

static int32_t load(tfm__hf *hf) {
    tfm__json_value root = tfm__json_root(hf->json), version = tfm__hf_get(hf, root, "version"),
                    added = tfm__hf_get(hf, root, "added_tokens");
    int32_t rc;
    if (version != TFM__JSON_NONE && !tfm__json_equals(hf->json, version, "1.0"))
        return tfm__hf_unsupported(hf, version, "version", "another than 1.0");
    if ((rc = tfm__hf_normalizer(hf, tfm__hf_get(hf, root, "normalizer"))) != 0) return rc;
    if ((rc = tfm__hf_pre_tokenizer(hf, tfm__hf_get(hf, root, "pre_tokenizer"))) != 0) return rc;
    if ((rc = tfm__hf_model(hf, tfm__hf_get(hf, root, "model"), added)) != 0) return rc;
    if ((rc = tfm__hf_added(hf, added)) != 0) return rc;
    if ((rc = tfm__hf_post_processor(hf, tfm__hf_get(hf, root, "post_processor"))) != 0) return rc;
    if ((rc = truncation(hf, tfm__hf_get(hf, root, "truncation"))) != 0) return rc;
    if ((rc = padding(hf, tfm__hf_get(hf, root, "padding"))) != 0) return rc;
    return tfm__hf_decoder(hf, tfm__hf_get(hf, root, "decoder"));
}

int32_t tfm__load_hf(tfm_tokenizer *tokenizer, const tfm__loaded_text *file, tfm_error *error) {
    tfm__json json;
    tfm__hf hf = {.tokenizer = tokenizer, .json = &json, .error = error};
    int32_t rc =
        tfm__json_parse(&json, tokenizer->heap, (const char *)file->data, file->size, file->name, error);
    if (rc) return rc;
    tfm__buffer_init(&hf.text, tokenizer->heap);
    tfm__buffer_init(&hf.strings, tokenizer->heap);
    rc = load(&hf);
    tfm__hf_vocab_free(&hf);
    tfm__buffer_free(&hf.text);
    tfm__json_release(&json);
    return rc;
}
