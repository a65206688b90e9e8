/* api_encoding.c - the exported functions of tfm/tokenizer.h for many texts and for text in parts: arguments
 * are checked here, the work is done in src/tokenizer/. */
#include "tokenizer/batch.h"
#include "tokenizer/stream.h"

/* ---- Many texts ---- */

static bool is_choice(int32_t value) { return value >= TFM_DEFAULT && value <= TFM_NO; }

static bool in_order(int32_t value, int32_t most) { return value >= 0 && value <= most; }

static int32_t take_batch(const tfm_tokenizer *tokenizer, const tfm_batch_options *options,
                          tfm_batch_options *out, tfm_error *error) {
    static const tfm_batch_options defaults = TFM_BATCH_OPTIONS_INIT;
    const uint32_t known =
        TFM_WANT_OFFSETS | TFM_WANT_CHARS | TFM_WANT_TYPES | TFM_WANT_MASKS | TFM_WANT_OVERFLOW;
    int32_t rc =
        tfm__take_options(options ? options : &defaults, out, sizeof *out, "tfm_batch_options", error);
    if (rc) return rc;
    if (out->want & ~known || !is_choice(out->truncate) || !is_choice(out->pad) ||
        !in_order(out->truncate_side, TFM_SIDE_LEFT) ||
        !in_order(out->truncate_strategy, TFM_TRUNCATE_SECOND) || !in_order(out->pad_mode, TFM_PAD_FIXED) ||
        !in_order(out->pad_side, TFM_SIDE_LEFT) || !in_order(out->pad_type, 255) || out->reserved != 0)
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "tfm_batch_options: a field has a value that it does not know");
    if (out->pad == TFM_YES &&
        (out->pad_token < -1 || out->pad_token >= tfm__tokenizer_vocab_size(tokenizer)))
        return tfm__fail(error, TFM_E_TOKEN,
                         "tfm_batch_options: the padding token %d is outside the vocabulary of %d",
                         (int)out->pad_token, (int)tfm__tokenizer_vocab_size(tokenizer));
    return TFM_OK;
}

int32_t tfm_tokenize_batch(const tfm_tokenizer *tokenizer, const tfm_text_input *inputs, size_t count,
                           const tfm_batch_options *options, tfm_encoding **out, tfm_error *error) {
    tfm_batch_options taken;
    tfm__encode_choices choices;
    int32_t rc;
    if (out) *out = NULL;
    if (!tokenizer || !out || (!inputs && count))
        return tfm__fail(error, TFM_E_ARGUMENT, "tokenizer, inputs and out must not be NULL");
    for (size_t i = 0; i < count; i++)
        if ((!inputs[i].text && inputs[i].length) || (!inputs[i].pair && inputs[i].pair_length))
            return tfm__fail(error, TFM_E_ARGUMENT, "input %zu: a length without a text", i);
    if ((rc = take_batch(tokenizer, options, &taken, error)) != 0) return rc;
    if ((rc = tfm__encode_choose(tokenizer, taken.tokenize, &choices, error)) != 0) return rc;
    return tfm__encode_batch(tokenizer, inputs, count, &taken, &choices, out, error);
}

void tfm_encoding_destroy(tfm_encoding *encoding) { tfm__encoding_free(encoding); }

int32_t tfm_encoding_ids(const tfm_encoding *encoding, const tfm_token **ids, const size_t **starts,
                         size_t *rows, tfm_error *error) {
    if (ids) *ids = encoding ? encoding->ids : NULL;
    if (starts) *starts = encoding ? encoding->starts : NULL;
    if (rows) *rows = encoding ? encoding->rows : 0;
    return encoding ? TFM_OK : tfm__fail(error, TFM_E_ARGUMENT, "encoding must not be NULL");
}

int32_t tfm_encoding_get(const tfm_encoding *encoding, tfm_encoding_view *view, tfm_error *error) {
    tfm_encoding_view full = TFM_ENCODING_VIEW_INIT;
    if (!encoding || !view) return tfm__fail(error, TFM_E_ARGUMENT, "encoding and view must not be NULL");
    full.count = encoding->count;
    full.ids = encoding->ids;
    full.byte_begins = encoding->byte_begins;
    full.byte_ends = encoding->byte_ends;
    full.char_begins = encoding->char_begins;
    full.char_ends = encoding->char_ends;
    full.types = encoding->types;
    full.sequences = encoding->sequences;
    full.special = encoding->special;
    full.attention = encoding->attention;
    full.inputs = encoding->inputs;
    return tfm__give_struct(view, &full, sizeof full, "tfm_encoding_view", error);
}

/* ---- Text in parts ---- */

int32_t tfm_encoder_create(const tfm_tokenizer *tokenizer, const tfm_tokenize_options *options,
                           tfm_encoder **out, tfm_error *error) {
    tfm__encode_choices choices;
    int32_t rc;
    if (out) *out = NULL;
    if (!tokenizer || !out) return tfm__fail(error, TFM_E_ARGUMENT, "tokenizer and out must not be NULL");
    if ((rc = tfm__encode_choose(tokenizer, options, &choices, error)) != 0) return rc;
    return tfm__encoder_new(tokenizer, &choices, out, error);
}

static int32_t hand_out(int32_t rc, const tfm_encoder *encoder, const tfm_token **ids, size_t *count) {
    if (rc == TFM_OK) *ids = tfm__encoder_ids(encoder, count);
    return rc;
}

int32_t tfm_encoder_push(tfm_encoder *encoder, const char *text, size_t length, const tfm_token **ids,
                         size_t *count, tfm_error *error) {
    if (ids) *ids = NULL;
    if (count) *count = 0;
    if (!encoder || !ids || !count || (!text && length))
        return tfm__fail(error, TFM_E_ARGUMENT, "encoder, text, ids and count must not be NULL");
    return hand_out(tfm__encoder_push(encoder, (const uint8_t *)text, length, error), encoder, ids, count);
}

int32_t tfm_encoder_finish(tfm_encoder *encoder, const tfm_token **ids, size_t *count, tfm_error *error) {
    if (ids) *ids = NULL;
    if (count) *count = 0;
    if (!encoder || !ids || !count)
        return tfm__fail(error, TFM_E_ARGUMENT, "encoder, ids and count must not be NULL");
    return hand_out(tfm__encoder_finish(encoder, error), encoder, ids, count);
}

void tfm_encoder_destroy(tfm_encoder *encoder) { tfm__encoder_free(encoder); }
