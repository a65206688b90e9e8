/* normalize.c - what is done to a text before it is cut into pieces: the steps, one after the other, each
 * over the whole segment. Called by encode.c for every segment between whole-matched tokens, and by the
 * loaders for the normal forms of added tokens. Sources: Hugging Face tokenizers' normalizers. */
#include "tokenizer/normalize.h"

#include "tokenizer/unicode_normal.h"

/* ---- Replace ---- */

/* Where replacements are written to, and how far the old text has been copied. What takes the place of a
 * match has the span of the match's last character; of an empty match, of the character in front of it. */
typedef struct replacing {
    const tfm__aligned *text;
    const uint8_t *to;
    size_t to_length, copied;
    tfm__rewriter *out;
} replacing;

/* The span of the character that ends at end. */
static tfm__span last_span(const tfm__aligned *text, size_t end) {
    size_t i = end;
    uint32_t used;
    if (end == 0) return tfm__aligned_span(text, 0, 0);
    do i--;
    while (i > 0 && end - i < 4 && (text->data[i] & 0xc0u) == 0x80);
    if (tfm__utf8_read(text->data + i, end - i, &used) == TFM__NO_CODE || i + used != end) i = end - 1;
    return tfm__aligned_span(text, i, end - i);
}

static bool replace(replacing *r, size_t begin, size_t end) {
    if (!tfm__rewrite_copy(r->out, r->text, r->copied, begin - r->copied)) return false;
    r->copied = end;
    return r->to_length == 0 || tfm__rewrite_put(r->out, r->to, r->to_length, last_span(r->text, end));
}

static bool replace_rest(replacing *r) { return tfm__rewrite_rest(r->out, r->text, r->copied); }

/* Every byte of one value by to, where nobody asks for offsets. */
static bool replace_byte(replacing *r, uint8_t from) {
    const size_t length = r->text->length;
    for (size_t i = 0; i < length;) {
        size_t end = TFM__MIN(i + 4096, length);
        uint8_t *at;
        if (!tfm__buffer_reserve(r->out->text, (end - i) * TFM__MAX(r->to_length, 1u))) return false;
        at = r->out->text->data + r->out->text->size;
        for (; i < end; i++) {
            if (r->text->data[i] == from)
                for (size_t k = 0; k < r->to_length; k++) *at++ = r->to[k];
            else
                *at++ = r->text->data[i];
        }
        r->out->text->size = (size_t)(at - r->out->text->data);
    }
    return true;
}

static bool replace_literal(replacing *r, const uint8_t *from, size_t from_length) {
    const uint8_t *data = r->text->data;
    const size_t length = r->text->length;
    size_t i = 0;
    if (from_length == 0) { /* matches between all characters */
        for (; i < length;) {
            uint32_t used;
            if (!replace(r, i, i)) return false;
            (void)tfm__utf8_read(data + i, length - i, &used);
            i += used;
        }
        return replace(r, i, i);
    }
    if (from_length == 1 && r->to_length <= 16 && !r->out->spans && memchr(data, from[0], length))
        return replace_byte(r, from[0]);
    while (i + from_length <= length) {
        const uint8_t *found = memchr(data + i, from[0], length - i - from_length + 1);
        if (!found) break;
        i = (size_t)(found - data);
        if (memcmp(found, from, from_length) != 0) {
            i++;
            continue;
        }
        if (!replace(r, i, i + from_length)) return false;
        i += from_length;
    }
    return replace_rest(r);
}

/* Matches of an expression in the well-formed stretch [begin, end): an empty one right behind the match
 * before it does not count. */
static int32_t replace_stretch(const tfm_tokenizer *tokenizer, tfm__work *work, uint32_t regex, replacing *r,
                               size_t begin, size_t end, tfm_error *error) {
    const uint8_t *text = r->text->data + begin;
    size_t length = end - begin, from = 0, last = SIZE_MAX;
    while (from <= length) {
        size_t match, match_end;
        bool found;
        int32_t rc = tfm__regex_find(tokenizer->regexes[regex], work->heap, &work->regex, text, length, from,
                                     &match, &match_end, &found, error);
        if (rc) return rc;
        if (!found) break;
        if (match == match_end && match == last) {
            uint32_t used = 1;
            if (from < length) (void)tfm__utf8_read(text + from, length - from, &used);
            from += used;
            continue;
        }
        from = last = match_end;
        if (!replace(r, begin + match, begin + match_end))
            return tfm__fail_memory(error, work->heap, r->to_length);
    }
    return TFM_OK;
}

static int32_t replace_regex(const tfm_tokenizer *tokenizer, tfm__work *work, uint32_t regex, replacing *r,
                             tfm_error *error) {
    for (size_t i = 0; i < r->text->length; i++) { /* over the ill-formed byte behind each stretch */
        size_t valid = tfm__utf8_valid(r->text->data + i, r->text->length - i);
        if (valid) {
            int32_t rc = replace_stretch(tokenizer, work, regex, r, i, i + valid, error);
            if (rc) return rc;
            i += valid;
        }
    }
    return replace_rest(r) ? TFM_OK : tfm__fail_memory(error, work->heap, r->text->length);
}

/* ---- Steps ---- */

int32_t tfm__normal_step_run(const tfm_tokenizer *tokenizer, tfm__work *work, const tfm__normal_step *step,
                             const tfm__aligned *text, tfm__rewriter *out, tfm_error *error) {
    const uint8_t *to = tfm__slice_at(tokenizer, step->to);
    replacing r = {text, to, step->to.length, 0, out};
    bool ok = true;
    if (text->length == 0) return TFM_OK;
    switch (step->kind) {
    case TFM__NORMAL_NFC:
        ok = tfm__normal_text(TFM__FORM_NFC, text, out, work->normal);
        break;
    case TFM__NORMAL_NFD:
        ok = tfm__normal_text(TFM__FORM_NFD, text, out, work->normal);
        break;
    case TFM__NORMAL_NFKC:
        ok = tfm__normal_text(TFM__FORM_NFKC, text, out, work->normal);
        break;
    case TFM__NORMAL_NFKD:
        ok = tfm__normal_text(TFM__FORM_NFKD, text, out, work->normal);
        break;
    case TFM__NORMAL_PREPEND:
        ok = step->flags & TFM__PREPEND_APART
                 ? tfm__rewrite_put(out, to, step->to.length, tfm__aligned_span(text, 0, 0)) &&
                       tfm__rewrite_copy(out, text, 0, text->length)
                 : tfm__hf_prepend(to, step->to.length, text, out);
        break;
    case TFM__NORMAL_REPLACE:
        ok = replace_literal(&r, tfm__slice_at(tokenizer, step->from), step->from.length);
        break;
    case TFM__NORMAL_REPLACE_REGEX:
        return replace_regex(tokenizer, work, step->regex, &r, error);
    case TFM__NORMAL_SPM:
        ok = tfm__spm_normalize(tokenizer, text, out);
        break;
    case TFM__NORMAL_PRECOMPILED:
        ok = tfm__hf_precompiled(&tokenizer->spm, text, out);
        break;
    case TFM__NORMAL_BERT:
        ok = tfm__hf_bert(step->flags, text, out, work->normal);
        break;
    case TFM__NORMAL_STRIP:
        ok = tfm__hf_strip(step->flags, text, out);
        break;
    case TFM__NORMAL_STRIP_ACCENTS:
    case TFM__NORMAL_LOWERCASE:
    case TFM__NORMAL_NMT:
        ok = tfm__hf_each(step->kind, text, out);
        break;
    case TFM__NORMAL_BYTE_LEVEL:
        ok = tfm__hf_byte_level(text, out);
        break;
    default:
        return tfm__fail(error, TFM_E_UNSUPPORTED, "normalizing step %u", step->kind);
    }
    return ok ? TFM_OK : tfm__fail_memory(error, work->heap, text->length);
}

int32_t tfm__normalize(const tfm_tokenizer *tokenizer, tfm__work *work, const tfm__aligned *text,
                       tfm__aligned *out, tfm_error *error) {
    size_t free_one = 0; /* the text so far is in the other buffers, or the caller's */
    *out = *text;
    for (uint32_t i = 0; i < tokenizer->step_count && out->length; i++) {
        tfm__rewriter writer = tfm__rewrite_open(out, &work->texts[free_one], &work->spans[free_one]);
        int32_t rc = tfm__normal_step_run(tokenizer, work, &tokenizer->steps[i], out, &writer, error);
        if (rc) return rc;
        *out = tfm__rewrite_close(&writer, out);
        if (!writer.same) free_one ^= 1;
    }
    return TFM_OK;
}
