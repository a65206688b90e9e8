/* decode_plan.c - building a plan of decoding (decode_plan.h). Called by the loaders. */
#include "tokenizer/decode_plan.h"

#define MOST_BYTES ((size_t)1 << 28) /* that one token may grow to */

int32_t tfm__decode_plan_new(tfm_tokenizer *tokenizer, tfm_error *error) {
    size_t n = (size_t)tokenizer->vocab_size;
    tfm__decode_plan *plan = tfm__alloc(tokenizer->heap, sizeof *plan);
    if (!plan) return tfm__fail_memory(error, tokenizer->heap, sizeof *plan);
    memset(plan, 0, sizeof *plan);
    tokenizer->decode_plan = plan;
    tfm__buffer_init(&plan->store, tokenizer->heap);
    plan->tokens = tfm__alloc_array(tokenizer->heap, n, sizeof *plan->tokens);
    if (!plan->tokens) return tfm__fail_memory(error, tokenizer->heap, n * sizeof *plan->tokens);
    memset(plan->tokens, 0, n * sizeof *plan->tokens);
    if (!tfm__buffer_append(&plan->store, "", 1)) return tfm__fail_memory(error, tokenizer->heap, 1);
    return TFM_OK;
}

void tfm__decode_plan_free(tfm__heap *heap, tfm__decode_plan *plan) {
    if (!plan) return;
    tfm__buffer_free(&plan->store);
    tfm__free(heap, plan->tokens);
    tfm__free(heap, plan);
}

static int32_t store(tfm__decode_plan *plan, const void *bytes, size_t length, tfm__slice *out,
                     tfm_error *error) {
    if (length > UINT32_MAX - plan->store.size)
        return tfm__fail(error, TFM_E_UNSUPPORTED, "texts of more than 4 GiB");
    *out = (tfm__slice){(uint32_t)plan->store.size, (uint32_t)length};
    if (length && !tfm__buffer_append(&plan->store, bytes, length))
        return tfm__fail_memory(error, plan->store.heap, length);
    return TFM_OK;
}

int32_t tfm__decode_plan_token(tfm__decode_plan *plan, int32_t id, const void *bytes, size_t length,
                               tfm_error *error) {
    return store(plan, bytes, length, &plan->tokens[id], error);
}

/* ---- Steps ---- */

/* Appends the borders of a pattern: of its first 0, 1 .. length - 1 bytes. */
static int32_t store_borders(tfm__decode_plan *plan, const uint8_t *pattern, size_t length,
                             tfm_error *error) {
    uint8_t borders[TFM__DECODE_PATTERN];
    size_t border = 0;
    tfm__slice unused;
    borders[0] = 0;
    for (size_t i = 1; i < length; i++) {
        borders[i] = (uint8_t)border;
        while (border && pattern[border] != pattern[i]) border = borders[border];
        if (pattern[border] == pattern[i]) border++;
    }
    return store(plan, borders, length, &unused, error);
}

static int32_t put_step(tfm__decode_plan *plan, const tfm__decode_asked *asked, tfm_error *error) {
    tfm__decode_step *step;
    bool optional = asked->kind == TFM__DECODE_JOIN || asked->kind == TFM__DECODE_BYTES ||
                    asked->kind == TFM__DECODE_UTF8 || asked->kind == TFM__DECODE_CTC ||
                    asked->kind == TFM__DECODE_WORDPIECE;
    int32_t rc;
    if (plan->count == TFM__DECODE_STEPS)
        return tfm__fail(error, TFM_E_UNSUPPORTED, "decoder: a Sequence this long is not supported");
    if (asked->from_length > TFM__DECODE_PATTERN || (asked->from_length == 0 && !optional))
        return tfm__fail(error, TFM_E_UNSUPPORTED,
                         "decoder: looking for a text of %zu bytes is not supported", asked->from_length);
    step = &plan->steps[plan->count];
    *step = (tfm__decode_step){
        .kind = (uint8_t)asked->kind, .on = asked->on, .start = asked->start, .stop = asked->stop};
    if ((rc = store(plan, asked->from, asked->from_length, &step->from, error)) != 0) return rc;
    if (asked->kind == TFM__DECODE_TEXT_REPLACE &&
        (rc = store_borders(plan, asked->from, asked->from_length, error)) != 0)
        return rc;
    if ((rc = store(plan, asked->to, asked->to_length, &step->to, error)) != 0) return rc;
    plan->count++;
    if (!plan->fused) plan->over_tokens = plan->count;
    return TFM_OK;
}

static int32_t put_replace(tfm__decode_plan *plan, const void *from, size_t from_length, const void *to,
                           size_t to_length, tfm_error *error) {
    tfm__decode_asked asked = {.kind = TFM__DECODE_TEXT_REPLACE,
                               .from = from,
                               .from_length = from_length,
                               .to = to,
                               .to_length = to_length};
    return put_step(plan, &asked, error);
}

/* WordPiece's clean-up, over the text. */
static int32_t put_clean_up(tfm__decode_plan *plan, tfm_error *error) {
    static const char *const rules[][2] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    int32_t rc = TFM_OK;
    for (size_t i = 0; i < TFM__COUNT(rules) && rc == TFM_OK; i++)
        rc = put_replace(plan, rules[i][0], strlen(rules[i][0]), rules[i][1], strlen(rules[i][1]), error);
    return rc;
}

/* What a step comes to when there is only one token, the text: it is the first and the last. */
static int32_t add_over_text(tfm__decode_plan *plan, const tfm__decode_asked *asked, tfm_error *error) {
    tfm__decode_asked now = *asked;
    int32_t rc = TFM_OK;
    switch (asked->kind) {
    case TFM__DECODE_REPLACE:
        return put_replace(plan, asked->from, asked->from_length, asked->to, asked->to_length, error);
    case TFM__DECODE_STRIP:
        now.kind = TFM__DECODE_TEXT_STRIP;
        return put_step(plan, &now, error);
    case TFM__DECODE_JOIN:
        return TFM_OK;
    case TFM__DECODE_WORDPIECE:
        return asked->on ? put_clean_up(plan, error) : TFM_OK;
    case TFM__DECODE_METASPACE:
        return put_replace(plan, asked->from, asked->from_length, " ", asked->on ? 0 : 1, error);
    case TFM__DECODE_SUFFIX:
        return put_replace(plan, asked->from, asked->from_length, NULL, 0, error);
    case TFM__DECODE_CTC:
        if (asked->from_length) rc = put_replace(plan, asked->from, asked->from_length, NULL, 0, error);
        if (rc == TFM_OK && asked->on) rc = put_clean_up(plan, error);
        if (rc == TFM_OK && asked->on) rc = put_replace(plan, asked->to, asked->to_length, " ", 1, error);
        return rc;
    default:
        return tfm__fail(error, TFM_E_UNSUPPORTED, "decoder: ByteFallback behind Fuse is not supported");
    }
}

int32_t tfm__decode_plan_add(tfm__decode_plan *plan, const tfm__decode_asked *asked, tfm_error *error) {
    if (asked->kind == TFM__DECODE_CTC && asked->on &&
        (asked->to_length == 0 || asked->to_length > TFM__DECODE_PATTERN))
        return tfm__fail(error, TFM_E_UNSUPPORTED, "decoder: a word delimiter of %zu bytes is not supported",
                         asked->to_length);
    return plan->fused ? add_over_text(plan, asked, error) : put_step(plan, asked, error);
}

int32_t tfm__decode_plan_fuse(tfm__decode_plan *plan, bool bytes, tfm_error *error) {
    tfm__decode_asked asked = {.kind = TFM__DECODE_UTF8};
    plan->fused = true;
    return bytes ? put_step(plan, &asked, error) : TFM_OK;
}

/* ---- Sizes ---- */

typedef struct sizes {
    size_t token; /* longest token */
    size_t count; /* tokens that come at once */
    size_t bytes; /* their bytes */
} sizes;

/* Most bytes that so many become when from is replaced by to. */
static size_t replaced(size_t bytes, tfm__slice from, size_t to) {
    return to > from.length ? (bytes / from.length + 1) * to + from.length : bytes + from.length;
}

static bool measure(tfm__decode_step *step, sizes *s) {
    step->scratch_bytes = step->held_bytes = 0;
    if (step->to.length > MOST_BYTES / 2 || s->bytes > MOST_BYTES) return false;
    switch (step->kind) {
    case TFM__DECODE_REPLACE:
    case TFM__DECODE_TEXT_REPLACE:
        s->token = replaced(s->token, step->from, step->to.length);
        s->bytes = replaced(s->bytes, step->from, step->to.length);
        break;
    case TFM__DECODE_JOIN:
    case TFM__DECODE_WORDPIECE:
        s->token++;
        s->bytes += s->count;
        break;
    case TFM__DECODE_SUFFIX:
        step->held_bytes = s->token;
        s->count++;
        s->bytes += s->token;
        break;
    case TFM__DECODE_CTC:
        step->held_bytes = s->token;
        break;
    case TFM__DECODE_BYTES:
        step->held_bytes = TFM__BYTE_RUN;
        s->token = TFM__MAX(s->token, (size_t)TFM__BYTE_RUN);
        s->count += TFM__BYTE_RUN;
        s->bytes += 3 * TFM__BYTE_RUN;
        break;
    case TFM__DECODE_UTF8:
        s->bytes = 3 * s->bytes + 3;
        break;
    case TFM__DECODE_TEXT_STRIP:
        if (step->stop > MOST_BYTES / 4) return false;
        s->bytes += (size_t)step->stop * step->from.length;
        break;
    default: /* STRIP, METASPACE: nothing grows */
        break;
    }
    step->scratch_bytes = step->kind >= TFM__DECODE_UTF8 ? s->bytes : s->token;
    return s->bytes <= MOST_BYTES && s->token <= MOST_BYTES && s->count <= MOST_BYTES;
}

int32_t tfm__decode_plan_finish(const tfm_tokenizer *tokenizer, tfm__decode_plan *plan, tfm_error *error) {
    sizes s = {0, 1, 0};
    size_t total = 0;
    for (int32_t id = 0; id < tokenizer->vocab_size; id++)
        s.token = TFM__MAX(s.token, plan->tokens[id].length);
    s.bytes = s.token;
    for (uint32_t i = 0; i < plan->count; i++) {
        tfm__decode_step *step = &plan->steps[i];
        if (!measure(step, &s))
            return tfm__fail(error, TFM_E_UNSUPPORTED,
                             "decoder: steps that make more than %zu bytes of a token are not supported",
                             MOST_BYTES);
        step->held_at = total;
        step->scratch_at = total + step->held_bytes;
        total += step->held_bytes + step->scratch_bytes;
    }
    plan->scratch_bytes = total;
    plan->room = s.bytes + 16;
    return TFM_OK;
}
