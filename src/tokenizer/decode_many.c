/* decode_many.c - all of some ids to text: what a decoder run over them token by token gives, faster. Called
 * by api_tokenizer.c.
 *
 * Where a token's bytes do not depend on the tokens before it, they are gathered a few thousand at a time and
 * then checked and copied as a whole: well-formed stretches as they are, the rest by the decoder byte by
 * byte, so that a sequence that is not finished at the end of one part goes on in the next. */
#include "tokenizer/decode.h"
#include "tokenizer/scan.h"

#define CHUNK ((size_t)4096)
#define STEP 16 /* bytes that are copied without looking at the length */

/* Text that is counted, and written while it fits. */
typedef struct sink {
    uint8_t *text;
    size_t capacity, length;
} sink;

static void hand_out(sink *out, const uint8_t *bytes, size_t n) {
    if (n && out->length <= out->capacity && n <= out->capacity - out->length)
        memcpy(out->text + out->length, bytes, n);
    out->length += n;
}

/* Whether the bytes of the tokens that come now depend on nothing. */
static bool is_plain(const struct tfm_decoder *decoder) {
    if (decoder->tokenizer->decode_plan || decoder->tokenizer->replaces_bytes) return false;
    switch (decoder->tokenizer->strip) {
    case TFM__STRIP_NONE:
        return true;
    case TFM__STRIP_MARK:
    case TFM__STRIP_MARK_EACH:
        return decoder->said || decoder->mark_taken;
    default: /* a space may fall away behind every bos */
        return false;
    }
}

/* Writes the bytes of the next tokens that fit into raw [CHUNK + STEP]; moves *at on. */
static size_t gather(const struct tfm_decoder *decoder, const tfm_token *ids, size_t count, size_t *at,
                     uint8_t *raw) {
    const tfm_tokenizer *t = decoder->tokenizer;
    size_t n = 0, i = *at;
    for (; i < count; i++) {
        tfm__slice text = t->text[ids[i]];
        if (!decoder->special && t->flags[ids[i]] & TFM__TOKEN_SKIP) continue;
        if (text.length > CHUNK - n) break;
        if (text.length <= STEP && (size_t)text.offset + STEP <= t->blob.size)
            memcpy(raw + n, tfm__slice_at(t, text), STEP);
        else
            memcpy(raw + n, tfm__slice_at(t, text), text.length);
        n += text.length;
    }
    *at = i;
    return n;
}

static void put_bytes(struct tfm_decoder *decoder, const uint8_t *bytes, size_t length, sink *out) {
    uint8_t one[8];
    if (decoder->raw) {
        hand_out(out, bytes, length);
        return;
    }
    for (size_t i = 0; i < length;) {
        size_t valid = decoder->needed ? 0 : tfm__scan_utf8(decoder->tokenizer, bytes + i, length - i);
        hand_out(out, bytes + i, valid);
        i += valid;
        if (i < length) hand_out(out, one, tfm__decoder_put_text(decoder, bytes + i++, 1, one));
    }
}

static void put_plain(struct tfm_decoder *decoder, const tfm_token *ids, size_t count, sink *out) {
    const tfm_tokenizer *t = decoder->tokenizer;
    uint8_t raw[CHUNK + STEP];
    for (size_t i = 0; i < count;) {
        size_t n = gather(decoder, ids, count, &i, raw);
        put_bytes(decoder, raw, n, out);
        if (n == 0 && i < count) { /* longer than a part */
            put_bytes(decoder, tfm__slice_at(t, t->text[ids[i]]), t->text[ids[i]].length, out);
            i++;
        }
    }
}

size_t tfm__decode_all(struct tfm_decoder *decoder, const tfm_token *ids, size_t count, uint8_t *text,
                       size_t capacity) {
    sink out = {text, capacity, 0};
    size_t i = 0;
    while (i < count && !is_plain(decoder)) {
        hand_out(&out, decoder->out, tfm__decoder_step(decoder, ids[i], decoder->out));
        i++;
    }
    put_plain(decoder, ids + i, count - i, &out);
    hand_out(&out, decoder->out, tfm__decoder_end(decoder, decoder->out));
    return out.length;
}
