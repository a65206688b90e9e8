/* hf_post_processor.c - tokenizer.json's post_processor: to tokenizer->frame and frame_pair, and how offsets
 * are trimmed. Called by load_hf.c, behind the added tokens. */
#include "tokenizer/hf.h"

#define PART "post_processor"

enum { TEXT = -1, PAIR = -2 }; /* as tfm__frame_part has them */

typedef struct frame {
    tfm__frame_part *parts;
    uint32_t *count;
} frame;

static int32_t put(tfm__hf *hf, tfm__json_value at, frame f, int64_t token, int64_t type) {
    if (token >= hf->tokenizer->vocab_size)
        return tfm__hf_malformed(hf, at, PART, "a token id outside the vocabulary");
    if (*f.count == TFM__FRAME_PARTS) return tfm__hf_unsupported(hf, at, PART, "a template this long");
    f.parts[(*f.count)++] = (tfm__frame_part){(int32_t)token, (uint8_t)type};
    return TFM_OK;
}

/* ---- TemplateProcessing ---- */

/* The ids of a special token of a template. */
static int32_t template_token(tfm__hf *hf, tfm__json_value tokens, tfm__json_value piece, int64_t type,
                              frame f) {
    tfm__json_value ids;
    int32_t rc = tfm__hf_text(hf, piece, PART " SpecialToken", "id");
    if (rc) return rc;
    ids = tfm__hf_get(hf, tfm__hf_get(hf, tokens, (const char *)hf->text.data), "ids");
    if (tfm__json_kind(hf->json, ids) != TFM__JSON_ARRAY)
        return tfm__hf_malformed(hf, piece, PART, "a template with a token that it does not define");
    for (tfm__json_value v = tfm__json_first(hf->json, ids); v != TFM__JSON_NONE;
         v = tfm__json_next(hf->json, ids, v)) {
        int64_t id;
        if ((rc = tfm__hf_id(hf, v, PART, &id)) != 0 || (rc = put(hf, v, f, id, type)) != 0) return rc;
    }
    return TFM_OK;
}

static int32_t read_template(tfm__hf *hf, tfm__json_value part, const char *key, bool pair, frame f) {
    tfm__json_value list = tfm__hf_get(hf, part, key), tokens = tfm__hf_get(hf, part, "special_tokens");
    int texts = 0, pairs = 0;
    if (tfm__json_kind(hf->json, list) != TFM__JSON_ARRAY)
        return tfm__hf_wrong(hf, part, PART " TemplateProcessing", key, "is not a list");
    if (tfm__json_kind(hf->json, tokens) != TFM__JSON_OBJECT)
        return tfm__hf_wrong(hf, part, PART " TemplateProcessing", "special_tokens", "is not an object");
    for (tfm__json_value v = tfm__json_first(hf->json, list); v != TFM__JSON_NONE;
         v = tfm__json_next(hf->json, list, v)) {
        tfm__json_value sequence = tfm__hf_get(hf, v, "Sequence"),
                        special = tfm__hf_get(hf, v, "SpecialToken"), id = tfm__hf_get(hf, sequence, "id");
        int64_t type;
        int32_t rc = tfm__hf_number(hf, sequence != TFM__JSON_NONE ? sequence : special, PART " template",
                                    "type_id", UINT8_MAX, -1, &type);
        if (rc) return rc;
        if (sequence == TFM__JSON_NONE) {
            if ((rc = template_token(hf, tokens, special, type, f)) != 0) return rc;
        } else if (tfm__json_equals(hf->json, id, "A")) {
            texts++;
            if ((rc = put(hf, v, f, TEXT, type)) != 0) return rc;
        } else if (tfm__json_equals(hf->json, id, "B")) {
            pairs++;
            if ((rc = put(hf, v, f, PAIR, type)) != 0) return rc;
        } else {
            return tfm__hf_wrong(hf, sequence, PART " Sequence", "id", "is neither A nor B");
        }
    }
    if (texts != 1 || pairs != (pair ? 1 : 0))
        return tfm__fail_at(hf->error, TFM_E_UNSUPPORTED, hf->json->file, NULL,
                            tfm__json_offset(hf->json, list),
                            PART ": a template whose %s does not have each text once is not supported", key);
    return TFM_OK;
}

/* ---- BertProcessing and RobertaProcessing ---- */

static int32_t named_id(tfm__hf *hf, tfm__json_value part, const char *key, int64_t *id) {
    tfm__json_value pair = tfm__hf_get(hf, part, key);
    if (tfm__json_kind(hf->json, pair) != TFM__JSON_ARRAY || tfm__json_size(hf->json, pair) != 2)
        return tfm__hf_wrong(hf, part, PART, key, "is not a name with its id");
    return tfm__hf_id(hf, tfm__json_at(hf->json, pair, 1), PART, id);
}

/* cls text sep, and for a pair: cls text sep pair sep (Bert), cls text sep sep pair sep (Roberta). */
static int32_t read_cls_sep(tfm__hf *hf, tfm__json_value part, bool roberta) {
    tfm_tokenizer *t = hf->tokenizer;
    frame single = {t->frame, &t->frame_count}, pair = {t->frame_pair, &t->frame_pair_count};
    const uint8_t second = roberta ? 0 : 1;
    int64_t cls, sep;
    int32_t rc = named_id(hf, part, "cls", &cls);
    if (rc || (rc = named_id(hf, part, "sep", &sep)) != 0) return rc;
    if ((rc = put(hf, part, single, cls, 0)) != 0 || (rc = put(hf, part, single, TEXT, 0)) != 0 ||
        (rc = put(hf, part, single, sep, 0)) != 0)
        return rc;
    if ((rc = put(hf, part, pair, cls, 0)) != 0 || (rc = put(hf, part, pair, TEXT, 0)) != 0 ||
        (rc = put(hf, part, pair, sep, 0)) != 0)
        return rc;
    if (roberta && (rc = put(hf, part, pair, sep, 0)) != 0) return rc;
    if ((rc = put(hf, part, pair, PAIR, second)) != 0) return rc;
    return put(hf, part, pair, sep, second);
}

/* ---- Offsets ---- */

static int32_t read_trim(tfm__hf *hf, tfm__json_value part, const char *name) {
    tfm_tokenizer *t = hf->tokenizer;
    bool trim, prefix;
    int32_t rc = tfm__hf_flag(hf, part, name, "trim_offsets", -1, &trim);
    if (rc || (rc = tfm__hf_flag(hf, part, name, "add_prefix_space", -1, &prefix)) != 0 || !trim) return rc;
    if (t->trim_offsets) return tfm__hf_unsupported(hf, part, PART, "trimming offsets twice");
    t->trim_offsets = true;
    t->trim_prefix_space = prefix;
    return TFM_OK;
}

/* ---- All of it ---- */

static int32_t read_part(tfm__hf *hf, tfm__json_value part) {
    tfm_tokenizer *t = hf->tokenizer;
    bool roberta = tfm__hf_is(hf, part, "RobertaProcessing"), bert = tfm__hf_is(hf, part, "BertProcessing");
    int32_t rc;
    if (tfm__hf_is(hf, part, "ByteLevel")) return read_trim(hf, part, PART " ByteLevel");
    if (!roberta && !bert && !tfm__hf_is(hf, part, "TemplateProcessing"))
        return tfm__hf_unknown_type(hf, part, PART);
    if (t->has_template) return tfm__hf_unsupported(hf, part, PART, "a second template");
    t->has_template = true;
    if (roberta && (rc = read_trim(hf, part, PART " RobertaProcessing")) != 0) return rc;
    t->frame_types_all = roberta || bert;
    if (roberta || bert) return read_cls_sep(hf, part, roberta);
    rc = read_template(hf, part, "single", false, (frame){t->frame, &t->frame_count});
    return rc ? rc : read_template(hf, part, "pair", true, (frame){t->frame_pair, &t->frame_pair_count});
}

int32_t tfm__hf_post_processor(tfm__hf *hf, tfm__json_value post_processor) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__json_value parts[TFM__HF_PARTS];
    size_t count;
    uint32_t text = 0;
    int32_t rc = tfm__hf_flatten(hf, post_processor, PART, "processors", parts, &count);
    for (size_t i = 0; i < count && rc == TFM_OK; i++) rc = read_part(hf, parts[i]);
    if (rc || t->frame_count == 0) return rc;
    while (t->frame[text].token != TEXT) text++;
    t->adds_bos = text > 0;
    t->adds_eos = text + 1 < t->frame_count;
    if (text == 1) t->bos = t->frame[0].token;
    if (text + 2 == t->frame_count) t->eos = t->frame[text + 1].token;
    return TFM_OK;
}
