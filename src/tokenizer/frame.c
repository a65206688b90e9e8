/* frame.c - what stands around a text, and truncation. Called by encode.c and batch.c.
 *
 * Truncation is that of Hugging Face's tokenizers: the frame's tokens are taken off the length first;
 * "longest first" cuts the longer of a pair down to the shorter, then both alike; a text that is cut gives
 * further parts, each beginning max_length - stride tokens behind the one before. */
#include "tokenizer/frame.h"

static void put(tfm__frame *out, int32_t token, uint8_t type) {
    out->parts[out->count++] = (tfm__frame_part){token, type};
    if (token >= 0) out->added++;
}

void tfm__frame_choose(const tfm_tokenizer *t, const tfm__encode_choices *choices, bool pair,
                       tfm__frame *out) {
    const tfm__frame_part *parts = pair ? t->frame_pair : t->frame;
    uint32_t count = pair ? t->frame_pair_count : t->frame_count;
    bool past = false;
    out->count = out->added = 0;
    if (count == 0) {
        if (choices->front && !t->has_template && t->bos >= 0) put(out, t->bos, 0);
        put(out, TFM__FRAME_TEXT, 0);
        if (pair) put(out, TFM__FRAME_PAIR, 1);
        if (choices->behind && !t->has_template && t->eos >= 0) put(out, t->eos, pair ? 1 : 0);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].token < 0) past = true;
        if (parts[i].token < 0 || (past ? choices->behind : choices->front))
            put(out, parts[i].token, parts[i].type);
    }
}

/* ---- Truncation ---- */

/* The parts that a text of count tokens is cut into: part number index; false if there are not so many. */
static bool part_of(const tfm__truncation *truncation, size_t count, size_t most, size_t index,
                    tfm__range *out) {
    size_t step, start;
    if (count <= most) {
        *out = (tfm__range){0, count};
        return index == 0;
    }
    if (most == 0) { /* nothing stays, and all of it is one part more */
        *out = index == 0 ? (tfm__range){0, 0} : (tfm__range){0, count};
        return index <= 1;
    }
    step = most - truncation->stride; /* > 0, checked by the caller */
    if (index > (count - 1) / step) return false;
    start = index * step;
    if (index > 0 && start - step + most >= count) return false; /* the one before reached the end */
    if (truncation->left)
        *out = (tfm__range){count - start > most ? count - start - most : 0, count - start};
    else
        *out = (tfm__range){start, TFM__MIN(count - start, most) + start};
    return true;
}

/* Part number i of the text and k of the pair. */
static int32_t put_row(tfm__buffer *rows, size_t input, tfm__range text, tfm__range pair, size_t i, size_t k,
                       tfm_error *error) {
    tfm__row row = {input, text, pair, i > 0, k > 0};
    return tfm__buffer_append(rows, &row, sizeof row) ? TFM_OK
                                                      : tfm__fail_memory(error, rows->heap, sizeof row);
}

/* How many tokens of the text and of its pair stay. */
static int32_t shares(const tfm__truncation *truncation, size_t text, size_t pair, bool has_pair, size_t most,
                      size_t *text_most, size_t *pair_most, tfm_error *error) {
    size_t surplus = text + pair - most;
    *text_most = text;
    *pair_most = pair;
    if (most == 0) {
        *text_most = *pair_most = 0;
    } else if (truncation->strategy == TFM_TRUNCATE_FIRST) {
        if (text <= surplus)
            return tfm__fail(error, TFM_E_ARGUMENT, "truncation: the text has %zu tokens, %zu have to go",
                             text, surplus);
        *text_most = text - surplus;
    } else if (truncation->strategy == TFM_TRUNCATE_SECOND) {
        if (!has_pair) return tfm__fail(error, TFM_E_ARGUMENT, "truncation of the pair, but there is none");
        if (pair <= surplus)
            return tfm__fail(error, TFM_E_ARGUMENT, "truncation: the pair has %zu tokens, %zu have to go",
                             pair, surplus);
        *pair_most = pair - surplus;
    } else if (!has_pair) {
        *text_most = most;
    } else {
        size_t shorter = TFM__MIN(text, pair), longer;
        longer = shorter > most ? shorter : TFM__MAX(shorter, most - shorter);
        if (shorter + longer > most) {
            shorter = most / 2;
            longer = shorter + most % 2;
        }
        *text_most = text > pair ? longer : shorter;
        *pair_most = text > pair ? shorter : longer;
    }
    return TFM_OK;
}

int32_t tfm__truncate(const tfm__truncation *truncation, size_t input, size_t text_count, size_t pair_count,
                      bool pair, size_t added, tfm__buffer *rows, tfm_error *error) {
    tfm__range text = {0, text_count}, second = {0, pair_count};
    size_t most, text_most, pair_most;
    int32_t rc;
    if (!truncation->on || text_count + pair_count + added <= truncation->max_length)
        return put_row(rows, input, text, second, 0, 0, error);
    if (truncation->max_length < added)
        return tfm__fail(error, TFM_E_ARGUMENT, "truncation to %zu tokens, of which the frame needs %zu",
                         truncation->max_length, added);
    most = truncation->max_length - added;
    if ((rc = shares(truncation, text_count, pair_count, pair, most, &text_most, &pair_most, error)) != 0)
        return rc;
    if ((text_most < text_count && text_most && truncation->stride >= text_most) ||
        (pair_most < pair_count && pair_most && truncation->stride >= pair_most))
        return tfm__fail(error, TFM_E_ARGUMENT, "truncation: a stride of %zu leaves nothing new in a row",
                         truncation->stride);
    (void)part_of(truncation, text_count, text_most, 0, &text);
    (void)part_of(truncation, pair_count, pair_most, 0, &second);
    if ((rc = put_row(rows, input, text, second, 0, 0, error)) != 0 || !truncation->overflow) return rc;
    /* every further part of the text with every part of the pair, then the first with the pair's further ones
     */
    for (size_t i = 1; part_of(truncation, text_count, text_most, i, &text); i++)
        for (size_t k = 0; part_of(truncation, pair_count, pair_most, k, &second); k++)
            if ((rc = put_row(rows, input, text, second, i, k, error)) != 0) return rc;
    (void)part_of(truncation, text_count, text_most, 0, &text);
    for (size_t k = 1; part_of(truncation, pair_count, pair_most, k, &second); k++)
        if ((rc = put_row(rows, input, text, second, 0, k, error)) != 0) return rc;
    return TFM_OK;
}
