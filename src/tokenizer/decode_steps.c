/* decode_steps.c - running a plan of decoding (decode_plan.h), one token at a time. Called by decode.c.
 *
 * A token goes through the steps over tokens one behind the other; what comes out goes through the steps over
 * the text, and to the caller. A step that releases several tokens at once (a run of bytes) sends each of
 * them on by itself: calls are nested as deep as the plan has steps, whatever the tokens are.
 *
 * TEXT_REPLACE holds back nothing but a number, how much of its pattern the text ends with. Behind the
 * pattern in the store lie its borders: byte h says how long a beginning of the pattern the first h bytes of
 * it end with, themselves left out (Knuth, Morris, Pratt 1977).
 *
 * Source: the decoders of Hugging Face's tokenizers. */
#include "tokenizer/decode.h"

typedef struct run {
    struct tfm_decoder *decoder;
    const tfm__decode_plan *plan;
    uint8_t *scratch;
    uint8_t *out;
    size_t n;
    bool alone; /* one token in the middle of a text: nothing may be held back */
} run;

static const uint8_t *at(const tfm__decode_plan *plan, tfm__slice slice) {
    return plan->store.data + slice.offset;
}

/* ---- Texts ---- */

size_t tfm__decode_replace(const uint8_t *text, size_t length, const uint8_t *from, size_t from_length,
                           const uint8_t *to, size_t to_length, uint8_t *out) {
    size_t n = 0;
    for (size_t i = 0; i < length;) {
        if (text[i] == from[0] && length - i >= from_length && memcmp(text + i, from, from_length) == 0) {
            if (to_length) memcpy(out + n, to, to_length);
            n += to_length;
            i += from_length;
        } else {
            out[n++] = text[i++];
        }
    }
    return n;
}

size_t tfm__decode_strip(const uint8_t *text, size_t length, const uint8_t *content, size_t content_length,
                         uint32_t start, uint32_t stop, size_t *begin) {
    size_t i = 0;
    for (; start && length - i >= content_length && memcmp(text + i, content, content_length) == 0; start--)
        i += content_length;
    for (; stop && length - i >= content_length &&
           memcmp(text + length - content_length, content, content_length) == 0;
         stop--)
        length -= content_length;
    *begin = i;
    return length - i;
}

/* Whether a space stands where the clean-up could take one away. */
static bool needs_clean_up(const uint8_t *text, size_t length) {
    for (size_t i = 0; i + 1 < length; i++) {
        const uint8_t *next = text + i + 1;
        size_t left = length - i - 1;
        if (text[i] != ' ') continue;
        if (*next == '.' || *next == '?' || *next == '!' || *next == ',' || *next == '\'') return true;
        if ((left >= 3 && memcmp(next, "n't", 3) == 0) || (left >= 6 && memcmp(next, "do not", 6) == 0))
            return true;
    }
    return false;
}

/* WordPiece's clean-up of English, in place. */
static size_t clean_up(uint8_t *text, size_t length) {
    static const struct {
        const char *from, *to;
    } rules[] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                 {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                 {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    if (!needs_clean_up(text, length)) return length;
    for (size_t i = 0; i < TFM__COUNT(rules); i++)
        length = tfm__decode_replace(text, length, (const uint8_t *)rules[i].from, strlen(rules[i].from),
                                     (const uint8_t *)rules[i].to, strlen(rules[i].to), text);
    return length;
}

/* ---- Over the text ---- */

static size_t replace_in_text(const tfm__decode_plan *plan, const tfm__decode_step *step,
                              tfm__decode_state *state, const uint8_t *text, size_t length, uint8_t *out) {
    const uint8_t *from = at(plan, step->from), *borders = from + step->from.length;
    size_t held = state->held, n = 0;
    for (size_t i = 0; i < length; i++) {
        while (held && from[held] != text[i]) {
            memcpy(out + n, from, held - borders[held]);
            n += held - borders[held];
            held = borders[held];
        }
        if (from[held] != text[i]) {
            out[n++] = text[i];
        } else if (++held == step->from.length) {
            if (step->to.length) memcpy(out + n, at(plan, step->to), step->to.length);
            n += step->to.length;
            held = 0;
        }
    }
    state->held = held;
    return n;
}

static size_t strip_text(const tfm__decode_plan *plan, const tfm__decode_step *step, tfm__decode_state *state,
                         const uint8_t *text, size_t length, uint8_t *out) {
    const uint8_t *content = at(plan, step->from);
    const size_t size = step->from.length;
    size_t n = 0;
    for (size_t i = 0; i < length;) {
        if (length - i >= size && memcmp(text + i, content, size) == 0) {
            if (state->taken < step->start) {
                state->taken++;
            } else if (state->held < step->stop) {
                state->held++;
            } else {
                memcpy(out + n, content, size);
                n += size;
            }
            i += size;
            continue;
        }
        state->taken = step->start;
        for (; state->held; state->held--, n += size) memcpy(out + n, content, size);
        out[n++] = text[i++];
    }
    return n;
}

/* Sends text through the steps from number index on, and out. */
static void text_in(run *r, uint32_t index, const uint8_t *text, size_t length) {
    for (; index < r->plan->count && length; index++) {
        const tfm__decode_step *step = &r->plan->steps[index];
        tfm__decode_state *state = &r->decoder->states[index];
        uint8_t *made = r->scratch + step->scratch_at;
        if (step->kind == TFM__DECODE_UTF8) {
            if (r->decoder->raw) continue;
            length = tfm__decoder_put_text(r->decoder, text, length, made);
        } else if (step->kind == TFM__DECODE_TEXT_REPLACE) {
            length = replace_in_text(r->plan, step, state, text, length, made);
        } else if (r->alone || (state->taken >= step->start && step->stop == 0)) {
            continue; /* nothing of the middle of a text falls away */
        } else {
            length = strip_text(r->plan, step, state, text, length, made);
        }
        text = made;
    }
    if (length) memcpy(r->out + r->n, text, length);
    r->n += length;
}

/* The text is over. */
static void text_end(run *r) {
    for (uint32_t i = r->plan->over_tokens; i < r->plan->count; i++) {
        const tfm__decode_step *step = &r->plan->steps[i];
        if (step->kind == TFM__DECODE_UTF8 && r->decoder->needed)
            text_in(r, i + 1, (const uint8_t *)"\xef\xbf\xbd", 3);
        if (step->kind == TFM__DECODE_TEXT_REPLACE && r->decoder->states[i].held)
            text_in(r, i + 1, at(r->plan, step->from), r->decoder->states[i].held);
    }
}

/* ---- Over tokens ---- */

static void token_in(run *r, uint32_t index, const uint8_t *text, size_t length);

/* Metaspace: the mark becomes a space, or falls away. */
static size_t without_marks(const uint8_t *mark, size_t mark_length, const uint8_t *text, size_t length,
                            bool drop, uint8_t *out) {
    return tfm__decode_replace(text, length, mark, mark_length, (const uint8_t *)" ", drop ? 0 : 1, out);
}

static size_t wordpiece(const run *r, const tfm__decode_step *step, bool first, const uint8_t *text,
                        size_t length, uint8_t *out) {
    size_t prefix = step->from.length, n = 0;
    if (!first && length >= prefix && memcmp(text, at(r->plan, step->from), prefix) == 0) {
        text += prefix;
        length -= prefix;
    } else if (!first) {
        out[n++] = ' ';
    }
    if (length) memcpy(out + n, text, length);
    n += length;
    return step->on ? clean_up(out, n) : n;
}

/* SUFFIX: the token held back goes on, as the last one or not. */
static void release_suffixed(run *r, uint32_t index, bool last) {
    const tfm__decode_step *step = &r->plan->steps[index];
    tfm__decode_state *state = &r->decoder->states[index];
    uint8_t *held = r->scratch + step->held_at, *made = r->scratch + step->scratch_at;
    size_t n;
    if (!state->begun) return;
    state->begun = false;
    n = tfm__decode_replace(held, state->held, at(r->plan, step->from), step->from.length,
                            (const uint8_t *)" ", last ? 0 : 1, made);
    token_in(r, index + 1, made, n);
}

static void ctc(run *r, uint32_t index, const uint8_t *text, size_t length) {
    const tfm__decode_step *step = &r->plan->steps[index];
    tfm__decode_state *state = &r->decoder->states[index];
    uint8_t *before = r->scratch + step->held_at, *made = r->scratch + step->scratch_at;
    if (state->begun && state->held == length && (length == 0 || memcmp(before, text, length) == 0)) return;
    state->begun = true;
    state->held = length;
    if (length) memcpy(before, text, length);
    if (step->from.length) {
        length = tfm__decode_replace(text, length, at(r->plan, step->from), step->from.length, NULL, 0, made);
    } else if (length) {
        memcpy(made, text, length);
    }
    if (step->on) {
        length = clean_up(made, length);
        length = tfm__decode_replace(made, length, at(r->plan, step->to), step->to.length,
                                     (const uint8_t *)" ", 1, made);
    }
    if (length) token_in(r, index + 1, made, length);
}

/* ---- Runs of byte tokens ---- */

static void put_bad(run *r, uint32_t index, size_t count) {
    for (; count; count--) token_in(r, index + 1, (const uint8_t *)"\xef\xbf\xbd", 3);
}

/* A byte of a run: whether the run is still well-formed. */
static bool byte_fits(tfm__decode_state *state, uint8_t byte) {
    if (state->needed) {
        if (byte < state->low || byte > state->high) return false;
        state->low = 0x80;
        state->high = 0xbf;
        state->pending = --state->needed ? (uint8_t)(state->pending + 1) : 0;
        return true;
    }
    if (byte < 0x80) return true;
    if (byte < 0xc2 || byte > 0xf4) return false;
    state->pending = 1;
    state->needed = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    state->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    state->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    return true;
}

static void byte_in(run *r, uint32_t index, uint8_t byte) {
    tfm__decode_state *state = &r->decoder->states[index];
    uint8_t *held = r->scratch + r->plan->steps[index].held_at;
    if (r->alone || r->decoder->raw) {
        token_in(r, index + 1, &byte, 1);
        return;
    }
    if (state->bad || !byte_fits(state, byte)) {
        size_t count = state->held + 1;
        state->bad = true;
        state->held = 0;
        put_bad(r, index, count);
        return;
    }
    held[state->held++] = byte;
    if (state->held == TFM__BYTE_RUN) {
        size_t whole = state->held - state->pending;
        token_in(r, index + 1, held, whole);
        memmove(held, held + whole, state->pending);
        state->held = state->pending;
    }
}

static void end_run(run *r, uint32_t index) {
    tfm__decode_state *state = &r->decoder->states[index];
    size_t held = state->held;
    bool whole = state->needed == 0;
    state->held = state->needed = state->pending = 0;
    state->bad = false;
    if (held && whole) token_in(r, index + 1, r->scratch + r->plan->steps[index].held_at, held);
    if (!whole) put_bad(r, index, held);
}

static int digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') return (c | 0x20) - 'a' + 10;
    return -1;
}

/* The byte that a token stands for, or -1: as Rust reads two hexadecimal digits, of which the first may be a
 * plus sign. */
static int byte_of(const uint8_t *text, size_t length) {
    int high, low;
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    high = text[3] == '+' ? 0 : digit(text[3]);
    low = digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* ---- One token, through the steps from number index on ---- */

static void token_in(run *r, uint32_t index, const uint8_t *text, size_t length) {
    const tfm__decode_plan *plan = r->plan;
    const tfm__decode_step *step = &plan->steps[index];
    tfm__decode_state *state;
    uint8_t *made;
    size_t begin;
    bool first;
    int byte;
    if (index == plan->over_tokens) {
        text_in(r, index, text, length);
        return;
    }
    state = &r->decoder->states[index];
    made = r->scratch + step->scratch_at;
    first = state->taken == 0;
    state->taken = 1;
    switch (step->kind) {
    case TFM__DECODE_REPLACE:
        length = tfm__decode_replace(text, length, at(plan, step->from), step->from.length,
                                     at(plan, step->to), step->to.length, made);
        text = made;
        break;
    case TFM__DECODE_STRIP:
        length = tfm__decode_strip(text, length, at(plan, step->from), step->from.length, step->start,
                                   step->stop, &begin);
        text += begin;
        break;
    case TFM__DECODE_JOIN:
        if (first) break;
        made[0] = ' ';
        if (length) memcpy(made + 1, text, length);
        text = made;
        length++;
        break;
    case TFM__DECODE_WORDPIECE:
        length = wordpiece(r, step, first, text, length, made);
        text = made;
        break;
    case TFM__DECODE_METASPACE:
        length =
            without_marks(at(plan, step->from), step->from.length, text, length, first && step->on, made);
        text = made;
        break;
    case TFM__DECODE_SUFFIX:
        release_suffixed(r, index, false);
        if (length) memcpy(r->scratch + step->held_at, text, length);
        state->held = length;
        state->begun = true;
        if (r->alone) release_suffixed(r, index, false);
        return;
    case TFM__DECODE_CTC:
        ctc(r, index, text, length);
        return;
    default: /* BYTES */
        byte = byte_of(text, length);
        if (byte >= 0) {
            byte_in(r, index, (uint8_t)byte);
            return;
        }
        if (state->held || state->bad) end_run(r, index);
        break;
    }
    token_in(r, index + 1, text, length);
}

/* ---- The decoder's three ways in ---- */

void tfm__decode_reset(struct tfm_decoder *decoder) {
    const tfm__decode_plan *plan = decoder->tokenizer->decode_plan;
    for (uint32_t i = 0; i < plan->count; i++) {
        decoder->states[i] = (tfm__decode_state){0};
        if (!decoder->continued) continue;
        decoder->states[i].taken = plan->steps[i].kind == TFM__DECODE_TEXT_STRIP ? plan->steps[i].start : 1;
    }
}

static run open_run(struct tfm_decoder *decoder, uint8_t *out) {
    const tfm__decode_plan *plan = decoder->tokenizer->decode_plan;
    return (run){decoder, plan, decoder->out + plan->room, out, 0, false};
}

size_t tfm__decode_step_in(struct tfm_decoder *decoder, tfm_token token, uint8_t *out) {
    run r = open_run(decoder, out);
    tfm__slice text = r.plan->tokens[token];
    if (decoder->tokenizer->flags[token] & TFM__TOKEN_PRESENT) token_in(&r, 0, at(r.plan, text), text.length);
    return r.n;
}

size_t tfm__decode_end(struct tfm_decoder *decoder, uint8_t *out) {
    run r = open_run(decoder, out);
    for (uint32_t i = 0; i < r.plan->over_tokens; i++) {
        if (r.plan->steps[i].kind == TFM__DECODE_SUFFIX) release_suffixed(&r, i, true);
        if (r.plan->steps[i].kind == TFM__DECODE_BYTES) end_run(&r, i);
    }
    text_end(&r);
    return r.n;
}

bool tfm__decode_alone(const tfm_tokenizer *tokenizer, int32_t id, uint8_t *scratch, tfm__buffer *out) {
    struct tfm_decoder decoder;
    tfm_detokenize_options options = TFM_DETOKENIZE_OPTIONS_INIT;
    const tfm__decode_plan *plan = tokenizer->decode_plan;
    tfm__slice text = plan->tokens[id];
    run r;
    options.special = options.raw = options.continued = 1;
    tfm__decoder_init(&decoder, tokenizer, &options, scratch);
    r = open_run(&decoder, scratch);
    r.alone = true;
    token_in(&r, 0, at(plan, text), text.length);
    text_end(&r);
    return tfm__buffer_append(out, scratch, r.n);
}
