/* train.c - training: the options are checked and completed, then the trainer of their kind runs. Called by
 * the exported functions. */
#include "tokenizer/train.h"

static int32_t wrong(tfm_error *error, const char *what) {
    return tfm__fail(error, TFM_E_ARGUMENT, "tfm_tokenizer_train_options: %s", what);
}

static int32_t check_texts(const char *const *texts, size_t count, const char *what, tfm_error *error) {
    if (!texts && count) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_tokenizer_train_options: no %s", what);
    for (size_t i = 0; i < count; i++) {
        size_t length = texts[i] ? strlen(texts[i]) : 0;
        if (length == 0)
            return tfm__fail(error, TFM_E_ARGUMENT, "tfm_tokenizer_train_options: an empty text among the %s",
                             what);
        if (tfm__utf8_valid((const uint8_t *)texts[i], length) < length)
            return tfm__fail(error, TFM_E_ARGUMENT, "tfm_tokenizer_train_options: one of the %s is not UTF-8",
                             what);
    }
    return TFM_OK;
}

static bool is_choice(int32_t value) { return value >= TFM_DEFAULT && value <= TFM_NO; }

static int32_t check_byte_level(tfm_tokenizer_train_options *o, tfm_error *error) {
    if (o->vocab_size == 0) o->vocab_size = 30000;
    if (!o->pattern) o->pattern = "gpt2";
    if (!is_choice(o->add_prefix_space)) return wrong(error, "add_prefix_space is no choice that is known");
    if (o->alphabet != TFM_TRAIN_ALPHABET_BYTES && o->alphabet != TFM_TRAIN_ALPHABET_SEEN)
        return wrong(error, "alphabet is no choice that is known");
    if (!o->initial_alphabet && o->initial_count) return wrong(error, "no initial_alphabet");
    if (o->limit_alphabet && o->alphabet != TFM_TRAIN_ALPHABET_SEEN)
        return wrong(error, "limit_alphabet goes with TFM_TRAIN_ALPHABET_SEEN");
    if (o->invalid_utf8 == TFM_UTF8_REPLACE)
        return wrong(error, "byte-level units are not rewritten (invalid_utf8)");
    if (tfm__utf8_valid((const uint8_t *)o->pattern, strlen(o->pattern)) < strlen(o->pattern))
        return wrong(error, "the pattern is not UTF-8");
    return TFM_OK;
}

static int32_t check_spm(tfm_tokenizer_train_options *o, tfm_error *error) {
    const int32_t choices[] = {o->byte_fallback,
                               o->add_dummy_prefix,
                               o->remove_extra_whitespaces,
                               o->split_digits,
                               o->split_by_number,
                               o->split_by_unicode_script,
                               o->split_by_whitespace,
                               o->hard_vocab_limit,
                               o->treat_whitespace_as_suffix,
                               o->allow_whitespace_only_pieces};
    int32_t rc;
    for (size_t i = 0; i < TFM__COUNT(choices); i++)
        if (!is_choice(choices[i]))
            return wrong(error, "a choice that is neither TFM_DEFAULT, TFM_YES nor TFM_NO");
    if (o->vocab_size == 0) o->vocab_size = 8000;
    if (o->character_coverage == 0) o->character_coverage = 0.9995;
    if (o->max_piece_length == 0) o->max_piece_length = 16;
    if (o->max_sentence_length == 0) o->max_sentence_length = 4192;
    if (!(o->character_coverage >= 0.98 && o->character_coverage <= 1))
        return wrong(error, "character_coverage");
    if (o->max_piece_length > 512) return wrong(error, "max_piece_length");
    if (o->max_sentence_length < 10 || o->max_sentence_length > 1073741824)
        return wrong(error, "max_sentence_length");
    if (o->invalid_utf8 == TFM_UTF8_KEEP)
        return wrong(error, "SentencePiece does not keep bytes that are not UTF-8 (invalid_utf8)");
    if (o->required_chars && tfm__utf8_valid((const uint8_t *)o->required_chars, strlen(o->required_chars)) <
                                 strlen(o->required_chars))
        return wrong(error, "required_chars is not UTF-8");
    if ((rc = check_texts(o->user_symbols, o->user_count, "user-defined symbols", error)) != 0) return rc;
    return TFM_OK;
}

static int32_t check_options(tfm_tokenizer_train_options *o, bool files, tfm_error *error) {
    int32_t rc;
    if (o->kind != TFM_TRAIN_BYTE_LEVEL && o->kind != TFM_TRAIN_SENTENCEPIECE)
        return wrong(error, "kind is not known");
    if (o->unit < 0 || o->unit > TFM_TRAIN_UNIT_TEXT) return wrong(error, "unit is not known");
    if (o->unit == 0) o->unit = files ? TFM_TRAIN_UNIT_LINE : TFM_TRAIN_UNIT_TEXT;
    if (o->vocab_size > INT32_MAX / 2) return wrong(error, "vocab_size is too large");
    if (o->invalid_utf8 < 0 || o->invalid_utf8 > TFM_UTF8_REFUSE)
        return wrong(error, "invalid_utf8 is not known");
    if ((rc = check_texts(o->special_tokens, o->special_count, "special tokens", error)) != 0) return rc;
    return o->kind == TFM_TRAIN_BYTE_LEVEL ? check_byte_level(o, error) : check_spm(o, error);
}

int32_t tfm__train(const tfm__train_source *source, const tfm_tokenizer_train_options *options,
                   tfm__heap *heap, tfm_tokenizer **out, tfm_error *error) {
    tfm__trainer trainer = {.options = *options, .heap = heap, .error = error};
    int32_t rc = check_options(&trainer.options, source->next == NULL, error);
    if (rc) return rc;
    trainer.watch = (tfm__watch){options->progress, options->progress_user, options->cancel, 0};
    rc = options->kind == TFM_TRAIN_BYTE_LEVEL ? tfm__train_bytes(&trainer, source, out)
                                               : tfm__train_spm(&trainer, source, out);
    if (rc == TFM_OK && (rc = tfm__train_poll_merging(&trainer, 1, 1)) != 0) {
        tfm__tokenizer_free(*out);
        *out = NULL;
    }
    return rc;
}
