/* hf_decoder.c - tokenizer.json's decoder: to a plan (decode_plan.h), and what every token says in the middle
 * of a text. Called by load_hf.c, last of all.
 *
 * ByteLevel alone needs no plan: tokens are bytes. Steps at the front of the chain that change every token by
 * itself (Replace, Strip, and ByteLevel behind them) are done here, once. */
#include "tokenizer/hf.h"
#include "tokenizer/decode_plan.h"

#define PART "decoder"

/* A step of the front. */
typedef struct change {
    bool strip;
    uint32_t regex; /* UINT32_MAX: a text is replaced */
    tfm__slice from, to;
    uint32_t start, stop;
} change;

typedef struct reading {
    change changes[TFM__HF_PARTS];
    size_t change_count;
    bool front; /* still in it */
    bool bytes; /* ByteLevel ends it */
    tfm__buffer now, next;
    struct tfm__regex_scratch *scratch;
} reading;

/* ---- The chain ---- */

static int32_t add(tfm__hf *hf, tfm__json_value part, reading *r, const tfm__decode_asked *asked) {
    r->front = false;
    return tfm__hf_placed(hf, part, tfm__decode_plan_add(hf->tokenizer->decode_plan, asked, hf->error));
}

static const uint8_t *stored(const tfm__hf *hf, tfm__slice slice) {
    return tfm__slice_at(hf->tokenizer, slice);
}

static int32_t read_replace(tfm__hf *hf, tfm__json_value part, reading *r) {
    tfm__json_value pattern = tfm__hf_get(hf, part, "pattern"), literal = tfm__hf_get(hf, pattern, "String"),
                    regex = tfm__hf_get(hf, pattern, "Regex"), content = tfm__hf_get(hf, part, "content");
    change c = {.regex = UINT32_MAX};
    int32_t rc;
    if (tfm__json_kind(hf->json, content) != TFM__JSON_STRING)
        return tfm__hf_wrong(hf, part, PART " Replace", "content", "is not a string");
    if ((rc = tfm__hf_store(hf, content, PART " Replace", &c.to)) != 0) return rc;
    if (literal != TFM__JSON_NONE) {
        if ((rc = tfm__hf_store(hf, literal, PART " Replace", &c.from)) != 0) return rc;
        if (c.from.length == 0) return tfm__hf_unsupported(hf, part, PART, "Replace of the empty text");
    } else if (regex == TFM__JSON_NONE) {
        return tfm__hf_wrong(hf, part, PART " Replace", "pattern", "is neither a String nor a Regex");
    } else if (!r->front) {
        return tfm__hf_unsupported(hf, part, PART, "Replace of a regular expression behind other parts");
    } else if ((rc = tfm__hf_regex(hf, regex, PART " Replace", &c.regex)) != 0) {
        return rc;
    }
    if (r->front) {
        r->changes[r->change_count++] = c;
        return TFM_OK;
    }
    return add(hf, part, r,
               &(tfm__decode_asked){.kind = TFM__DECODE_REPLACE,
                                    .from = stored(hf, c.from),
                                    .from_length = c.from.length,
                                    .to = stored(hf, c.to),
                                    .to_length = c.to.length});
}

static int32_t read_strip(tfm__hf *hf, tfm__json_value part, reading *r) {
    change c = {.strip = true};
    int64_t start, stop;
    int32_t rc = tfm__hf_number(hf, part, PART " Strip", "start", 1 << 20, -1, &start);
    if (rc || (rc = tfm__hf_number(hf, part, PART " Strip", "stop", 1 << 20, -1, &stop)) != 0) return rc;
    if ((rc = tfm__hf_character(hf, part, PART " Strip", "content")) != 0) return rc;
    c.start = (uint32_t)start;
    c.stop = (uint32_t)stop;
    if (r->front) {
        rc = tfm__vocab_store(hf->tokenizer, hf->text.data, hf->text.size, &c.from, hf->error);
        r->changes[r->change_count++] = c;
        return rc;
    }
    return add(hf, part, r,
               &(tfm__decode_asked){.kind = TFM__DECODE_STRIP,
                                    .from = hf->text.data,
                                    .from_length = hf->text.size,
                                    .start = c.start,
                                    .stop = c.stop});
}

static int32_t read_wordpiece(tfm__hf *hf, tfm__json_value part, reading *r) {
    tfm__decode_asked asked = {.kind = TFM__DECODE_WORDPIECE};
    int32_t rc = tfm__hf_flag(hf, part, PART " WordPiece", "cleanup", -1, &asked.on);
    if (rc || (rc = tfm__hf_text(hf, part, PART " WordPiece", "prefix")) != 0) return rc;
    asked.from = hf->text.data;
    asked.from_length = hf->text.size;
    return add(hf, part, r, &asked);
}

static int32_t read_metaspace(tfm__hf *hf, tfm__json_value part, reading *r) {
    tfm__json_value scheme = tfm__hf_get(hf, part, "prepend_scheme");
    tfm__decode_asked asked = {.kind = TFM__DECODE_METASPACE};
    bool prefix, never = tfm__json_equals(hf->json, scheme, "never");
    int32_t rc = tfm__hf_flag(hf, part, PART " Metaspace", "add_prefix_space", 1, &prefix);
    if (rc || (rc = tfm__hf_character(hf, part, PART " Metaspace", "replacement")) != 0) return rc;
    if (!never && scheme != TFM__JSON_NONE && !tfm__json_equals(hf->json, scheme, "first") &&
        !tfm__json_equals(hf->json, scheme, "always"))
        return tfm__hf_wrong(hf, part, PART " Metaspace", "prepend_scheme", "is not known");
    if (!prefix && !never)
        return tfm__hf_wrong(hf, part, PART " Metaspace", "add_prefix_space", "contradicts prepend_scheme");
    asked.on = !never;
    asked.from = hf->text.data;
    asked.from_length = hf->text.size;
    return add(hf, part, r, &asked);
}

static int32_t read_bpe(tfm__hf *hf, tfm__json_value part, reading *r) {
    int32_t rc = tfm__hf_text(hf, part, PART " BPEDecoder", "suffix");
    return rc ? rc
              : add(hf, part, r,
                    &(tfm__decode_asked){
                        .kind = TFM__DECODE_SUFFIX, .from = hf->text.data, .from_length = hf->text.size});
}

static int32_t read_ctc(tfm__hf *hf, tfm__json_value part, reading *r) {
    tfm__decode_asked asked = {.kind = TFM__DECODE_CTC};
    tfm__slice pad;
    int32_t rc = tfm__hf_flag(hf, part, PART " CTC", "cleanup", -1, &asked.on);
    if (rc || (rc = tfm__hf_text(hf, part, PART " CTC", "pad_token")) != 0) return rc;
    if ((rc = tfm__vocab_store(hf->tokenizer, hf->text.data, hf->text.size, &pad, hf->error)) != 0) return rc;
    if ((rc = tfm__hf_text(hf, part, PART " CTC", "word_delimiter_token")) != 0) return rc;
    asked.from = stored(hf, pad);
    asked.from_length = pad.length;
    asked.to = hf->text.data;
    asked.to_length = hf->text.size;
    return add(hf, part, r, &asked);
}

static int32_t read_byte_fallback(tfm__hf *hf, tfm__json_value part, reading *r) {
    return add(hf, part, r, &(tfm__decode_asked){.kind = TFM__DECODE_BYTES});
}

static int32_t read_fuse(tfm__hf *hf, tfm__json_value part, reading *r) {
    (void)part;
    r->front = false;
    return tfm__decode_plan_fuse(hf->tokenizer->decode_plan, false, hf->error);
}

static int32_t read_byte_level(tfm__hf *hf, tfm__json_value part, reading *r) {
    if (!r->front) return tfm__hf_unsupported(hf, part, PART, "ByteLevel behind other parts");
    r->front = false;
    r->bytes = true;
    return tfm__decode_plan_fuse(hf->tokenizer->decode_plan, true, hf->error);
}

static int32_t read_part(tfm__hf *hf, tfm__json_value part, reading *r) {
    static const struct {
        const char *type;
        int32_t (*read)(tfm__hf *hf, tfm__json_value part, reading *r);
    } kinds[] = {{"ByteLevel", read_byte_level},
                 {"Replace", read_replace},
                 {"Strip", read_strip},
                 {"WordPiece", read_wordpiece},
                 {"Metaspace", read_metaspace},
                 {"BPEDecoder", read_bpe},
                 {"CTC", read_ctc},
                 {"ByteFallback", read_byte_fallback},
                 {"Fuse", read_fuse}};
    for (size_t i = 0; i < TFM__COUNT(kinds); i++)
        if (tfm__hf_is(hf, part, kinds[i].type)) return kinds[i].read(hf, part, r);
    return tfm__hf_unknown_type(hf, part, PART);
}

/* ---- Tokens ---- */

/* Replaces the matches of an expression in r->now, written to r->next. A match may be empty, but not where
 * the one before ended. */
static int32_t replace_regex(tfm__hf *hf, reading *r, const change *c) {
    const tfm_tokenizer *t = hf->tokenizer;
    const tfm__buffer *now = &r->now;
    size_t done = 0, from = 0, last = SIZE_MAX;
    bool ok = true;
    while (ok && from <= now->size) {
        size_t begin, end;
        bool found;
        int32_t rc = tfm__regex_find(t->regexes[c->regex], t->heap, &r->scratch, now->data, now->size, from,
                                     &begin, &end, &found, hf->error);
        if (rc) return rc;
        if (!found) break;
        if (begin == end && end == last) {
            uint32_t used = 1;
            if (from < now->size) (void)tfm__utf8_read(now->data + from, now->size - from, &used);
            from += used;
            continue;
        }
        ok = tfm__buffer_append(&r->next, now->data + done, begin - done) &&
             tfm__buffer_append(&r->next, stored(hf, c->to), c->to.length);
        done = from = last = end;
    }
    ok = ok && tfm__buffer_append(&r->next, now->data + done, now->size - done);
    return ok ? TFM_OK : tfm__fail_memory(hf->error, r->next.heap, now->size);
}

static int32_t do_change(tfm__hf *hf, reading *r, const change *c) {
    tfm__buffer swap;
    int32_t rc = TFM_OK;
    r->next.size = 0;
    if (c->strip) {
        size_t begin, length = tfm__decode_strip(r->now.data, r->now.size, stored(hf, c->from),
                                                 c->from.length, c->start, c->stop, &begin);
        if (!tfm__buffer_append(&r->next, r->now.data + begin, length))
            rc = tfm__fail_memory(hf->error, r->next.heap, length);
    } else if (c->regex != UINT32_MAX) {
        rc = replace_regex(hf, r, c);
    } else {
        size_t most = (r->now.size / c->from.length + 1) * ((size_t)c->to.length + 1) + r->now.size;
        if (!tfm__buffer_reserve(&r->next, most)) return tfm__fail_memory(hf->error, r->next.heap, most);
        r->next.size = tfm__decode_replace(r->now.data, r->now.size, stored(hf, c->from), c->from.length,
                                           stored(hf, c->to), c->to.length, r->next.data);
    }
    swap = r->now;
    r->now = r->next;
    r->next = swap;
    return rc;
}

/* What the chain starts with for a token: r->now. */
static int32_t start_of(tfm__hf *hf, reading *r, int32_t id) {
    bool refused = false;
    int32_t rc = TFM_OK;
    r->now.size = 0;
    if (!tfm__buffer_append(&r->now, tfm__hf_said(hf, id), hf->said[id].length))
        return tfm__fail_memory(hf->error, r->now.heap, hf->said[id].length);
    for (size_t i = 0; i < r->change_count && rc == TFM_OK; i++) rc = do_change(hf, r, &r->changes[i]);
    if (rc || !r->bytes) return rc;
    r->next.size = 0;
    if (tfm__alphabet_to_bytes((const char *)r->now.data, r->now.size, &r->next, &refused)) {
        tfm__buffer swap = r->now;
        r->now = r->next;
        r->next = swap;
    }
    return refused ? tfm__fail_memory(hf->error, r->next.heap, r->now.size) : TFM_OK;
}

static int32_t plan_tokens(tfm__hf *hf, reading *r) {
    tfm_tokenizer *t = hf->tokenizer;
    tfm__decode_plan *plan = t->decode_plan;
    bool fallback = false;
    uint8_t *scratch;
    int32_t rc = TFM_OK;
    for (int32_t id = 0; id < t->vocab_size && rc == TFM_OK; id++) {
        if (!(t->flags[id] & TFM__TOKEN_PRESENT)) continue;
        if ((rc = start_of(hf, r, id)) == 0)
            rc = tfm__decode_plan_token(plan, id, r->now.data, r->now.size, hf->error);
    }
    if (rc || (rc = tfm__decode_plan_finish(t, plan, hf->error)) != 0) return rc;
    for (uint32_t i = 0; i < plan->count; i++)
        fallback = fallback || plan->steps[i].kind == TFM__DECODE_BYTES;
    scratch = tfm__alloc(t->heap, plan->room + plan->scratch_bytes);
    if (!scratch) return tfm__fail_memory(hf->error, t->heap, plan->room + plan->scratch_bytes);
    for (int32_t id = 0; id < t->vocab_size && rc == TFM_OK; id++) {
        if (!(t->flags[id] & TFM__TOKEN_PRESENT) ||
            (t->kind[id] != TFM_TOKEN_NORMAL && t->flags[id] & TFM__TOKEN_SKIP))
            continue; /* special ones say their name */
        r->now.size = 0;
        if (!tfm__decode_alone(t, id, scratch, &r->now))
            rc = tfm__fail_memory(hf->error, r->now.heap, plan->room);
        else
            rc = tfm__vocab_store(t, r->now.data, r->now.size, &t->text[id], hf->error);
        if (fallback && t->kind[id] == TFM_TOKEN_NORMAL &&
            tfm__byte_token((const char *)tfm__hf_said(hf, id), hf->said[id].length) >= 0)
            t->kind[id] = TFM_TOKEN_BYTE;
    }
    tfm__free(t->heap, scratch);
    return rc;
}

/* ByteLevel alone: the bytes of every token. Keys of a vocabulary in the byte alphabet are those already. */
static int32_t byte_tokens(tfm__hf *hf, reading *r) {
    tfm_tokenizer *t = hf->tokenizer;
    int32_t rc = TFM_OK;
    for (int32_t id = 0; id < t->vocab_size && rc == TFM_OK; id++) {
        if (!(t->flags[id] & TFM__TOKEN_PRESENT) ||
            (hf->byte_level && t->flags[id] & TFM__TOKEN_MATCH && !(t->flags[id] & TFM__TOKEN_ADDED)))
            continue;
        if ((rc = start_of(hf, r, id)) != 0) return rc;
        if (r->now.size != t->text[id].length ||
            (r->now.size && memcmp(r->now.data, stored(hf, t->text[id]), r->now.size) != 0))
            rc = tfm__vocab_store(t, r->now.data, r->now.size, &t->text[id], hf->error);
    }
    return rc;
}

static int32_t read_chain(tfm__hf *hf, bool none, tfm__json_value parts[TFM__HF_PARTS], size_t count,
                          reading *r) {
    tfm__decode_plan *plan;
    int32_t rc;
    if (count == 1 && tfm__hf_is(hf, parts[0], "ByteLevel")) {
        r->bytes = true;
        return byte_tokens(hf, r);
    }
    if ((rc = tfm__decode_plan_new(hf->tokenizer, hf->error)) != 0) return rc;
    plan = hf->tokenizer->decode_plan;
    if (none) /* tokens with a space between them */
        rc = tfm__decode_plan_add(plan, &(tfm__decode_asked){.kind = TFM__DECODE_JOIN}, hf->error);
    for (size_t i = 0; i < count && rc == TFM_OK; i++) rc = read_part(hf, parts[i], r);
    return rc ? rc : plan_tokens(hf, r);
}

int32_t tfm__hf_decoder(tfm__hf *hf, tfm__json_value decoder) {
    tfm__heap *heap = hf->tokenizer->heap;
    tfm__json_value parts[TFM__HF_PARTS];
    reading r = {.front = true};
    size_t count;
    int32_t rc = tfm__hf_flatten(hf, decoder, PART, "decoders", parts, &count);
    if (rc) return rc;
    tfm__buffer_init(&r.now, heap);
    tfm__buffer_init(&r.next, heap);
    rc = read_chain(hf, tfm__hf_null(hf, decoder), parts, count, &r);
    tfm__buffer_free(&r.now);
    tfm__buffer_free(&r.next);
    tfm__regex_scratch_free(heap, r.scratch);
    return rc;
}
