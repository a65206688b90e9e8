/* normalize.c - what is done to a text before it is cut into pieces: the steps, one after the other, each
 * over the whole segment. Called by encode.c for every segment between whole-matched tokens, and by the
 * loaders for the normal forms of added tokens. Sources: Hugging Face tokenizers' normalizers. */
#include "tokenizer/normalize.h"

static bool replace_all(const tfm__aligned *text, const uint8_t *from, size_t from_length, const uint8_t *to,
                        size_t to_length, tfm__rewriter *out) {
    size_t start = 0;
    for (size_t i = 0; from_length && i + from_length <= text->length;) {
        if (text->data[i] != from[0] || memcmp(text->data + i, from, from_length) != 0) {
            i++;
            continue;
        }
        if (!tfm__rewrite_copy(out, text, start, i - start) ||
            !tfm__rewrite_put(out, to, to_length, tfm__aligned_span(text, i, from_length)))
            return false;
        i += from_length;
        start = i;
    }
    return tfm__rewrite_copy(out, text, start, text->length - start);
}

int32_t tfm__normal_step_run(const tfm_tokenizer *tokenizer, tfm__work *work, const tfm__normal_step *step,
                             const tfm__aligned *text, tfm__rewriter *out, tfm_error *error) {
    const uint8_t *to = tfm__slice_at(tokenizer, step->to);
    bool ok = true;
    switch (step->kind) {
    case TFM__NORMAL_NFC:
        ok = tfm__unicode_nfc(text->data, text->length, out->text);
        break;
    case TFM__NORMAL_PREPEND:
        ok = tfm__rewrite_put(out, to, step->to.length, tfm__aligned_span(text, 0, 0)) &&
             tfm__rewrite_copy(out, text, 0, text->length);
        break;
    case TFM__NORMAL_REPLACE:
        ok = replace_all(text, tfm__slice_at(tokenizer, step->from), step->from.length, to, step->to.length,
                         out);
        break;
    case TFM__NORMAL_SPM:
        ok = tfm__spm_normalize(tokenizer, text, out);
        break;
    default:
        break;
    }
    return ok ? TFM_OK : tfm__fail_memory(error, work->heap, text->length);
}

int32_t tfm__normalize(const tfm_tokenizer *tokenizer, tfm__work *work, const tfm__aligned *text,
                       tfm__aligned *out, tfm_error *error) {
    *out = *text;
    for (uint32_t i = 0; i < tokenizer->step_count && out->length; i++) {
        /* the text so far is in the other buffers, or the caller's */
        tfm__rewriter writer = tfm__rewrite_open(out, &work->texts[i & 1], &work->spans[i & 1]);
        int32_t rc = tfm__normal_step_run(tokenizer, work, &tokenizer->steps[i], out, &writer, error);
        if (rc) return rc;
        *out = tfm__rewrite_close(&writer, out);
    }
    return TFM_OK;
}
