/* batch.c - many texts at once: ids, offsets, type ids, masks, truncation, padding. Called by api_encoding.c.
 *
 * Three passes. (1) Chunks of neighbouring inputs are encoded, each into its own buffers, on the pool. (2)
 * Truncation turns every input into one row or more, and the rows' lengths give the size of everything. (3)
 * The rows are written, again chunk by chunk. How inputs are put into chunks depends on their lengths alone
 * and no chunk knows of another, so the result is the same for any number of threads. */
#include "tokenizer/batch.h"

#define CHUNK_BYTES ((size_t)64 << 10)
#define CHUNK_INPUTS 256

/* What pass 1 knows of one input: its tokens in its chunk's buffers, the text's first, then the pair's. */
typedef struct item {
    size_t chunk, first, text_count, pair_count;
} item;

typedef struct chunk {
    size_t begin, end;      /* inputs */
    tfm__buffer ids, spans; /* tfm_token, tfm__span */
    int32_t rc;
    tfm_error error;
} chunk;

typedef struct batch {
    const tfm_tokenizer *tokenizer;
    const tfm__encode_choices *choices;
    const tfm_text_input *inputs;
    tfm__heap *heap;
    size_t count;
    uint32_t want;
    tfm__truncation truncation;
    bool pad, pad_left, pad_fixed;
    size_t pad_length, pad_multiple;
    tfm_token pad_token;
    uint8_t pad_type;
    chunk *chunks;
    size_t chunk_count;
    item *items;      /* [count] */
    tfm__buffer rows; /* tfm__row */
    tfm_encoding *out;
} batch;

static bool wants_spans(const batch *b) { return (b->want & (TFM_WANT_OFFSETS | TFM_WANT_CHARS)) != 0; }

static const tfm__row *row_at(const batch *b, size_t i) {
    return (const tfm__row *)(const void *)b->rows.data + i;
}

/* ---- Pass 1: encoding ---- */

/* Characters of white space in front of a token, or behind it. The byte alphabet's space counts. */
static size_t blank(const uint8_t *text, size_t length, bool behind) {
    size_t bytes = 0, characters = 0;
    for (; bytes < length; characters++) {
        size_t at = behind ? length - bytes - 1 : bytes;
        uint32_t used, code;
        while (behind && at > 0 && length - bytes - at < 4 && (text[at] & 0xc0u) == 0x80) at--;
        code = tfm__utf8_read(text + at, (behind ? length - bytes : length) - at, &used);
        if (code != 0x120 && (code == TFM__NO_CODE || !(tfm__unicode_entry(code) & TFM__ENTRY_SPACE))) break;
        bytes += used;
    }
    return characters;
}

/* The place *left characters behind another one of the text, of length bytes, as long as it is before end;
 * or, back, before it. *left says how many there were not. */
static uint32_t walk(const uint8_t *text, size_t length, uint32_t at, uint32_t end, bool back, size_t *left) {
    for (; *left && (back ? at > 0 : at < end); --*left) {
        if (back) do
                at--;
            while (at > 0 && (text[at] & 0xc0u) == 0x80);
        else
            do at++;
            while (at < length && (text[at] & 0xc0u) == 0x80);
    }
    return at;
}

/* White space at the edges of a token is left out of its range, as a byte-level post-processor does it: as
 * many characters of the text as the token has signs for white space, whatever they stand for. What the
 * prefix put in front of the first token was never in the text. */
static void trim_spans(const tfm_tokenizer *t, const uint8_t *text, size_t text_length, const tfm_token *ids,
                       tfm__span *spans, size_t count) {
    for (size_t i = 0; i < count; i++) {
        /* a token that was matched whole may have taken white space with it */
        bool whole = t->flags[ids[i]] & TFM__TOKEN_ADDED;
        tfm__slice key = t->key[ids[i]];
        const uint8_t *bytes = whole ? text + spans[i].begin : tfm__slice_at(t, key);
        size_t length = whole ? spans[i].end - spans[i].begin : key.length, front = 0, behind = 0;
        uint32_t end;
        if (t->bytes && !whole) { /* of the byte alphabet's signs only one is white space */
            while (front < length && bytes[front] == ' ') front++;
            while (behind < length && bytes[length - 1 - behind] == ' ') behind++;
        } else {
            front = blank(bytes, length, false);
            behind = blank(bytes, length, true);
        }
        if (front == 1 && t->trim_prefix_space && (i == 0 || spans[i].begin == 0)) front = 0;
        spans[i].begin = walk(text, text_length, spans[i].begin, spans[i].end, false, &front);
        end = walk(text, text_length, spans[i].end, spans[i].end, true, &behind);
        if (behind == 0) spans[i].end = end;
        spans[i].end = TFM__MAX(spans[i].end, spans[i].begin);
    }
}

static int32_t encode_one(const batch *b, chunk *c, tfm__work *work, const char *text, size_t length,
                          size_t *count) {
    size_t before = c->ids.size / sizeof(tfm_token), spans_before = c->spans.size;
    int32_t rc = tfm__encode_text(b->tokenizer, work, (const uint8_t *)text, length, true, b->choices,
                                  &c->ids, wants_spans(b) ? &c->spans : NULL, &c->error);
    if (rc) return rc;
    *count = c->ids.size / sizeof(tfm_token) - before;
    if (wants_spans(b) && b->tokenizer->trim_offsets && *count)
        trim_spans(b->tokenizer, (const uint8_t *)text, length,
                   (const tfm_token *)(const void *)c->ids.data + before,
                   (tfm__span *)(void *)(c->spans.data + spans_before), *count);
    return TFM_OK;
}

static void encode_chunk(void *arg, size_t index) {
    batch *b = arg;
    chunk *c = &b->chunks[index];
    tfm__work *work = tfm__work_take(b->tokenizer);
    if (!work) {
        c->rc = tfm__fail_memory(&c->error, b->heap, sizeof *work);
        return;
    }
    for (size_t i = c->begin; i < c->end && c->rc == TFM_OK; i++) {
        const tfm_text_input *in = &b->inputs[i];
        item *it = &b->items[i];
        *it = (item){index, c->ids.size / sizeof(tfm_token), 0, 0};
        c->rc = encode_one(b, c, work, in->text, in->length, &it->text_count);
        if (c->rc == TFM_OK && in->pair)
            c->rc = encode_one(b, c, work, in->pair, in->pair_length, &it->pair_count);
    }
    tfm__work_give(b->tokenizer, work);
}

/* Cuts the inputs into chunks of some size. */
static int32_t make_chunks(batch *b, tfm_error *error) {
    size_t bytes = 0, n = 0, begin = 0;
    for (int counting = 1; counting >= 0; counting--) {
        n = begin = bytes = 0;
        for (size_t i = 0; i < b->count; i++) {
            size_t size = b->inputs[i].length + b->inputs[i].pair_length;
            bytes = size > CHUNK_BYTES ? CHUNK_BYTES : bytes + size;
            if (bytes < CHUNK_BYTES && i + 1 - begin < CHUNK_INPUTS && i + 1 < b->count) continue;
            if (!counting) {
                b->chunks[n] = (chunk){.begin = begin, .end = i + 1, .error = TFM_ERROR_INIT};
                tfm__buffer_init(&b->chunks[n].ids, b->heap);
                tfm__buffer_init(&b->chunks[n].spans, b->heap);
            }
            n++;
            begin = i + 1;
            bytes = 0;
        }
        if (!counting) break;
        b->chunks = tfm__alloc_array(b->heap, n, sizeof *b->chunks);
        b->items = tfm__alloc_array(b->heap, b->count, sizeof *b->items);
        if (!b->chunks || !b->items) return tfm__fail_memory(error, b->heap, b->count * sizeof *b->items);
    }
    b->chunk_count = n;
    return TFM_OK;
}

static void copy_error(tfm_error *to, const tfm_error *from) {
    if (to) (void)tfm__give_struct(to, from, sizeof *from, "tfm_error", NULL);
}

/* ---- Pass 2: rows and their lengths ---- */

static tfm__frame frame_of(const batch *b, size_t input) {
    tfm__frame frame;
    tfm__frame_choose(b->tokenizer, b->choices, b->inputs[input].pair != NULL, &frame);
    return frame;
}

static size_t row_length(const tfm__row *row, const tfm__frame *frame) {
    size_t n = 0;
    for (uint32_t p = 0; p < frame->count; p++) {
        if (frame->parts[p].token >= 0)
            n++;
        else
            n += frame->parts[p].token == TFM__FRAME_TEXT ? row->text.end - row->text.begin
                                                          : row->pair.end - row->pair.begin;
    }
    return n;
}

/* The length that padding brings every shorter row to; 0: none. Further rows of an input do not count. */
static size_t padded_length(const batch *b, size_t rows) {
    size_t length = b->pad_length;
    if (!b->pad) return 0;
    if (!b->pad_fixed) {
        length = 0;
        for (size_t r = 0; r < rows; r++) {
            const tfm__row *row = row_at(b, r);
            tfm__frame frame;
            if (r && row->input == row_at(b, r - 1)->input) continue;
            frame = frame_of(b, row->input);
            length = TFM__MAX(length, row_length(row, &frame));
        }
    }
    if (b->pad_multiple && length % b->pad_multiple) length += b->pad_multiple - length % b->pad_multiple;
    return length;
}

static int32_t make_rows(batch *b, tfm_error *error) {
    for (size_t i = 0; i < b->count; i++) {
        const item *it = &b->items[i];
        tfm__frame frame = frame_of(b, i);
        int32_t rc = tfm__truncate(&b->truncation, i, it->text_count, it->pair_count,
                                   b->inputs[i].pair != NULL, frame.added, &b->rows, error);
        if (rc) return rc;
    }
    return TFM_OK;
}

static bool take(const batch *b, void *array, size_t item_size, bool wanted) {
    void *taken = NULL;
    if (wanted && !(taken = tfm__alloc_array(b->heap, b->out->count, item_size))) return false;
    memcpy(array, &taken, sizeof taken);
    return true;
}

static int32_t measure(batch *b, tfm_error *error) {
    tfm_encoding *out = b->out;
    size_t rows = b->rows.size / sizeof(tfm__row), pad = padded_length(b, rows), total = 0;
    bool offsets = (b->want & TFM_WANT_OFFSETS) != 0, chars = (b->want & TFM_WANT_CHARS) != 0,
         masks = (b->want & TFM_WANT_MASKS) != 0, types = (b->want & TFM_WANT_TYPES) != 0;
    out->rows = rows;
    out->starts = tfm__alloc_array(b->heap, rows + 1, sizeof *out->starts);
    out->inputs = tfm__alloc_array(b->heap, rows, sizeof *out->inputs);
    if (!out->starts || !out->inputs) return tfm__fail_memory(error, b->heap, rows * sizeof *out->starts);
    for (size_t r = 0; r < rows; r++) {
        tfm__frame frame = frame_of(b, row_at(b, r)->input);
        size_t length = row_length(row_at(b, r), &frame);
        out->starts[r] = total;
        out->inputs[r] = row_at(b, r)->input;
        if (!tfm__add_size(total, TFM__MAX(length, pad), &total))
            return tfm__fail_memory(error, b->heap, SIZE_MAX);
    }
    out->starts[rows] = out->count = total;
    if (!take(b, &out->ids, sizeof *out->ids, true) || !take(b, &out->byte_begins, 4, offsets) ||
        !take(b, &out->byte_ends, 4, offsets) || !take(b, &out->char_begins, 4, chars) ||
        !take(b, &out->char_ends, 4, chars) || !take(b, &out->types, 1, types) ||
        !take(b, &out->sequences, 1, masks) || !take(b, &out->special, 1, masks) ||
        !take(b, &out->attention, 1, masks))
        return tfm__fail_memory(error, b->heap, total * sizeof *out->ids);
    return TFM_OK;
}

/* ---- Pass 3: writing ---- */

/* Walks along a text: the character (a code point, or an ill-formed byte) at start has number index. */
typedef struct walker {
    const uint8_t *text;
    size_t length, start, index;
} walker;

/* One character back: bytes that end in a well-formed character cannot be cut up in another way. */
static void walk_back(walker *w) {
    size_t length = 1;
    for (size_t n = 2; n <= 4 && n <= w->start; n++) {
        uint32_t used = 0;
        if (tfm__utf8_read(w->text + w->start - n, n, &used) != TFM__NO_CODE && used == n) length = n;
    }
    w->start -= length;
    w->index--;
}

/* Goes to the character that holds byte at, or to the end. Ranges mostly follow each other, and are never far
 * apart. */
static void walk_to(walker *w, size_t at) {
    while (at < w->start) walk_back(w);
    while (w->start < w->length) {
        uint32_t used = 1;
        if (w->text[w->start] >= 0x80) (void)tfm__utf8_read(w->text + w->start, w->length - w->start, &used);
        if (w->start + used > at) return;
        w->start += used;
        w->index++;
    }
}

static void put_chars(tfm_encoding *out, size_t at, walker *w, tfm__span span) {
    walk_to(w, span.begin);
    out->char_begins[at] = (uint32_t)w->index;
    walk_to(w, span.end);
    out->char_ends[at] = (uint32_t)(span.end > w->start ? w->index + 1 : w->index);
}

/* One token that stands for no text. */
static void put_mark(tfm_encoding *out, size_t at, tfm_token token, uint8_t type, bool attention) {
    out->ids[at] = token;
    if (out->byte_begins) out->byte_begins[at] = out->byte_ends[at] = 0;
    if (out->char_begins) out->char_begins[at] = out->char_ends[at] = 0;
    if (out->types) out->types[at] = type;
    if (out->special) {
        out->sequences[at] = 255;
        out->special[at] = 1;
        out->attention[at] = attention;
    }
}

static size_t put_sequence(const batch *b, const tfm__row *row, bool pair, uint8_t type, size_t at) {
    tfm_encoding *out = b->out;
    const item *it = &b->items[row->input];
    const chunk *c = &b->chunks[it->chunk];
    const tfm_text_input *in = &b->inputs[row->input];
    tfm__range range = pair ? row->pair : row->text;
    size_t first = it->first + (pair ? it->text_count : 0) + range.begin, n = range.end - range.begin;
    walker w = {(const uint8_t *)(pair ? in->pair : in->text), pair ? in->pair_length : in->length, 0, 0};
    if (n == 0) return 0;
    memcpy(out->ids + at, c->ids.data + first * sizeof(tfm_token), n * sizeof(tfm_token));
    if (out->types) memset(out->types + at, type, n);
    if (out->special) {
        memset(out->sequences + at, pair, n);
        memset(out->special + at, 0, n);
        memset(out->attention + at, 1, n);
    }
    for (size_t i = 0; wants_spans(b) && i < n; i++) {
        tfm__span span = ((const tfm__span *)(const void *)c->spans.data)[first + i];
        if (out->byte_begins) {
            out->byte_begins[at + i] = span.begin;
            out->byte_ends[at + i] = span.end;
        }
        if (out->char_begins) put_chars(out, at + i, &w, span);
    }
    return n;
}

static void write_row(const batch *b, size_t r) {
    tfm_encoding *out = b->out;
    const tfm__row *row = row_at(b, r);
    tfm__frame frame = frame_of(b, row->input);
    size_t at = out->starts[r], end = out->starts[r + 1], padding = end - at - row_length(row, &frame);
    for (size_t i = 0; b->pad_left && i < padding; i++) put_mark(out, at++, b->pad_token, b->pad_type, false);
    for (uint32_t p = 0; p < frame.count; p++) {
        tfm__frame_part part = frame.parts[p];
        bool pair = part.token == TFM__FRAME_PAIR;
        if (part.token < 0 && (pair ? row->pair_cut : row->text_cut) &&
            !(frame.added && b->tokenizer->frame_types_all))
            part.type = pair; /* the reference types only what stays */
        if (part.token >= 0)
            put_mark(out, at++, part.token, part.type, true);
        else
            at += put_sequence(b, row, pair, part.type, at);
    }
    while (at < end) put_mark(out, at++, b->pad_token, b->pad_type, false);
}

/* The rows of a chunk's inputs: rows are in the order of inputs. */
static void write_chunk(void *arg, size_t index) {
    const batch *b = arg;
    size_t low = 0, high = b->out->rows;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (b->out->inputs[middle] < b->chunks[index].begin)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < b->out->rows && b->out->inputs[low] < b->chunks[index].end; low++) write_row(b, low);
}

/* ---- All of it ---- */

void tfm__encoding_free(tfm_encoding *e) {
    if (!e) return;
    tfm__free(e->heap, e->starts);
    tfm__free(e->heap, e->inputs);
    tfm__free(e->heap, e->ids);
    tfm__free(e->heap, e->byte_begins);
    tfm__free(e->heap, e->byte_ends);
    tfm__free(e->heap, e->char_begins);
    tfm__free(e->heap, e->char_ends);
    tfm__free(e->heap, e->types);
    tfm__free(e->heap, e->sequences);
    tfm__free(e->heap, e->special);
    tfm__free(e->heap, e->attention);
    tfm__free(e->heap, e);
}

/* What the options leave to the file. */
static void settle(batch *b, const tfm_batch_options *o) {
    const tfm_tokenizer *t = b->tokenizer;
    bool of_file = o->truncate == TFM_DEFAULT;
    b->want = o->want;
    b->truncation =
        (tfm__truncation){.on = of_file ? t->truncation.on : o->truncate == TFM_YES,
                          .left = of_file ? t->truncation.left : o->truncate_side == TFM_SIDE_LEFT,
                          .overflow = (o->want & TFM_WANT_OVERFLOW) != 0,
                          .strategy = of_file ? t->truncation.strategy : o->truncate_strategy,
                          .max_length = of_file ? t->truncation.max_length : o->max_length,
                          .stride = of_file ? t->truncation.stride : o->stride};
    if (o->pad == TFM_DEFAULT) {
        b->pad = t->pad.on;
        b->pad_left = t->pad.left;
        b->pad_fixed = t->pad.fixed;
        b->pad_length = t->pad.length;
        b->pad_multiple = t->pad.multiple;
        b->pad_token = t->pad.token;
        b->pad_type = (uint8_t)t->pad.type;
    } else {
        b->pad = o->pad == TFM_YES;
        b->pad_left = o->pad_side == TFM_SIDE_LEFT;
        b->pad_fixed = o->pad_mode == TFM_PAD_FIXED;
        b->pad_length = o->pad_length;
        b->pad_multiple = o->pad_multiple;
        b->pad_token = o->pad_token >= 0 ? o->pad_token : t->padding >= 0 ? t->padding : 0;
        b->pad_type = (uint8_t)o->pad_type;
    }
}

static int32_t run(batch *b, tfm_pool *pool, tfm_error *error) {
    int32_t rc = make_chunks(b, error);
    if (rc) return rc;
    tfm__parallel(pool, b->chunk_count, encode_chunk, b);
    for (size_t i = 0; i < b->chunk_count; i++) { /* of several errors the first input's */
        if (b->chunks[i].rc == TFM_OK) continue;
        copy_error(error, &b->chunks[i].error);
        return b->chunks[i].rc;
    }
    if ((rc = make_rows(b, error)) != 0 || (rc = measure(b, error)) != 0) return rc;
    tfm__parallel(pool, b->chunk_count, write_chunk, b);
    return TFM_OK;
}

int32_t tfm__encode_batch(const tfm_tokenizer *tokenizer, const tfm_text_input *inputs, size_t count,
                          const tfm_batch_options *options, const tfm__encode_choices *choices,
                          tfm_encoding **out, tfm_error *error) {
    batch b = {.tokenizer = tokenizer,
               .choices = choices,
               .inputs = inputs,
               .count = count,
               .heap = tokenizer->heap};
    int32_t rc;
    *out = NULL;
    settle(&b, options);
    tfm__buffer_init(&b.rows, b.heap);
    b.out = tfm__alloc_zero(b.heap, sizeof *b.out);
    if (!b.out) return tfm__fail_memory(error, b.heap, sizeof *b.out);
    b.out->heap = b.heap;
    rc = run(&b, options->pool, error);
    for (size_t i = 0; i < b.chunk_count; i++) {
        tfm__buffer_free(&b.chunks[i].ids);
        tfm__buffer_free(&b.chunks[i].spans);
    }
    tfm__free(b.heap, b.chunks);
    tfm__free(b.heap, b.items);
    tfm__buffer_free(&b.rows);
    if (rc) {
        tfm__encoding_free(b.out);
        return rc;
    }
    *out = b.out;
    return TFM_OK;
}
