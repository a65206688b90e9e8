/* decode.c - ids to text, one token at a time. The exported decoder hands out what each token completes;
 * detokenizing is a decoder run over all tokens. Called by api_tokenizer.c and by the layers above.
 *
 * What tokenizer.json asks for beyond bytes is a plan (decode_plan.h). Without one, state between tokens is
 * at most 3 bytes of an unfinished UTF-8 sequence, and what is needed for the space that some tokenizers put
 * in front of every text and take off again (enum tfm__strip). A maximal ill-formed part becomes one U+FFFD
 * (Unicode Standard, "U+FFFD substitution of maximal subparts"). */
#include "tokenizer/decode.h"

static void reset(struct tfm_decoder *decoder) {
    /* text that goes on has had its first space already */
    decoder->any = decoder->said = decoder->mark_taken = decoder->continued;
    decoder->after_bos = false;
    decoder->pending = decoder->needed = 0;
    if (decoder->tokenizer->decode_plan) tfm__decode_reset(decoder);
}

void tfm__decoder_init(struct tfm_decoder *decoder, const tfm_tokenizer *tokenizer,
                       const tfm_detokenize_options *options, uint8_t *out) {
    decoder->tokenizer = tokenizer;
    decoder->heap = NULL;
    decoder->out = out;
    decoder->special = options->special == 1;
    decoder->raw = options->raw == 1;
    decoder->continued = options->continued == 1;
    reset(decoder);
}

int32_t tfm__decoder_new(const tfm_tokenizer *tokenizer, tfm__heap *heap,
                         const tfm_detokenize_options *options, tfm_decoder **out, tfm_error *error) {
    size_t bytes = sizeof(tfm_decoder) + tfm__decoder_bytes(tokenizer);
    tfm_decoder *decoder = tfm__alloc(heap, bytes);
    *out = NULL;
    if (!decoder) return tfm__fail_memory(error, heap, bytes);
    tfm__decoder_init(decoder, tokenizer, options, (uint8_t *)(decoder + 1));
    decoder->heap = heap;
    *out = decoder;
    return TFM_OK;
}

void tfm__decoder_free(tfm_decoder *decoder) {
    if (decoder) tfm__free(decoder->heap, decoder);
}

/* One ill-formed part, or each byte of it. */
static size_t put_replacement(struct tfm_decoder *decoder, uint8_t *out) {
    size_t n = 0, count = decoder->tokenizer->replaces_bytes && decoder->needed ? decoder->pending : 1;
    for (; count; count--, n += 3) memcpy(out + n, "\xef\xbf\xbd", 3);
    decoder->pending = decoder->needed = 0;
    return n;
}

size_t tfm__decoder_put_text(struct tfm_decoder *decoder, const uint8_t *bytes, size_t length, uint8_t *out) {
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        uint8_t b = bytes[i];
        if (decoder->needed) {
            if (b >= decoder->low && b <= decoder->high) {
                decoder->bytes[decoder->pending++] = b;
                decoder->low = 0x80;
                decoder->high = 0xbf;
                if (--decoder->needed == 0) {
                    memcpy(out + n, decoder->bytes, decoder->pending);
                    n += decoder->pending;
                    decoder->pending = 0;
                }
                continue;
            }
            n += put_replacement(decoder, out + n);
        }
        if (b < 0x80) {
            out[n++] = b;
            continue;
        }
        if (b < 0xc2 || b > 0xf4) {
            n += put_replacement(decoder, out + n);
            continue;
        }
        decoder->bytes[0] = b;
        decoder->pending = 1;
        decoder->needed = b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
        decoder->low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
        decoder->high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    }
    return n;
}

/* How many bytes of a token's text fall away at the front, given what came before. Marks are spaces in the
 * text. */
static size_t stripped(struct tfm_decoder *decoder, tfm_token token, const uint8_t *text, size_t length) {
    const tfm_tokenizer *tokenizer = decoder->tokenizer;
    const uint8_t kind = tokenizer->kind[token];
    bool space = length > 0 && text[0] == ' ', piece = kind != TFM_TOKEN_CONTROL && kind != TFM_TOKEN_UNKNOWN;
    switch (tokenizer->strip) {
    case TFM__STRIP_MARK:
    case TFM__STRIP_MARK_EACH:
        if (decoder->said || decoder->mark_taken || !piece || kind == TFM_TOKEN_BYTE) return 0;
        if (space && tokenizer->strip == TFM__STRIP_MARK) decoder->mark_taken = true;
        return space ? 1 : 0;
    case TFM__STRIP_AFTER_BOS:
        return (!decoder->any || decoder->after_bos) && space ? 1 : 0;
    default:
        return 0;
    }
}

size_t tfm__decoder_step(struct tfm_decoder *decoder, tfm_token token, uint8_t *out) {
    const tfm_tokenizer *tokenizer = decoder->tokenizer;
    const uint8_t *text = tfm__slice_at(tokenizer, tokenizer->text[token]);
    size_t length = tokenizer->text[token].length, front, n = 0;
    if (tokenizer->replaces_bytes && decoder->needed && tokenizer->kind[token] != TFM_TOKEN_BYTE)
        n = put_replacement(decoder, out); /* whatever the token is, it ends a run of bytes */
    if (tokenizer->flags[token] & TFM__TOKEN_SKIP && !decoder->special) {
        decoder->after_bos = token == tokenizer->bos;
        return n;
    }
    if (tokenizer->decode_plan) return tfm__decode_step_in(decoder, token, out);
    front = stripped(decoder, token, text, length);
    text += front;
    length -= front;
    decoder->any = true;
    decoder->after_bos = token == tokenizer->bos;
    if (length) decoder->said = true;
    if (decoder->raw) {
        memmove(out, text, length);
        n = length;
    } else {
        n += tfm__decoder_put_text(decoder, text, length, out + n);
    }
    return n;
}

size_t tfm__decoder_end(struct tfm_decoder *decoder, uint8_t *out) {
    size_t n = 0;
    if (decoder->tokenizer->decode_plan)
        n = tfm__decode_end(decoder, out);
    else if (decoder->needed)
        n = put_replacement(decoder, out);
    reset(decoder);
    return n;
}

size_t tfm__decoder_room(const tfm_tokenizer *tokenizer) {
    return tokenizer->decode_plan ? tokenizer->decode_plan->room : 3 * (size_t)tokenizer->longest_text + 16;
}

size_t tfm__decoder_bytes(const tfm_tokenizer *tokenizer) {
    return tfm__decoder_room(tokenizer) +
           (tokenizer->decode_plan ? tokenizer->decode_plan->scratch_bytes : 0);
}
