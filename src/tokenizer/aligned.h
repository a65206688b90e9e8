/* aligned.h - a text on its way through the tokenizer: bytes and, where offsets are wanted, for every byte
 * the range of the original text that it came from. Used by the normalising steps and by the stages that
 * rewrite pieces.
 *
 * A span is a range of bytes of the original text. Inserted bytes have the span of the character that they
 * were put behind, or an empty one at the front. The range of original text behind some bytes of a text is
 * the first one's begin to the last one's end. Source of this way of counting: Hugging Face tokenizers'
 * NormalizedString. */
#ifndef TFM__ALIGNED_H
#define TFM__ALIGNED_H

#include "base/base.h"

typedef struct tfm__span {
    uint32_t begin, end;
} tfm__span;

typedef struct tfm__aligned {
    const uint8_t *data;
    size_t length;
    const tfm__span *spans; /* [length]; NULL: byte i came from byte origin + i, or nobody asks */
    size_t origin;
    bool wanted; /* offsets are wanted: who changes the text must write spans */
} tfm__aligned;

/* The part [at, at + length) of a text. */
static inline tfm__aligned tfm__aligned_part(const tfm__aligned *text, size_t at, size_t length) {
    tfm__aligned out = *text;
    out.data += at;
    out.length = length;
    out.origin += at;
    if (out.spans) out.spans += at;
    return out;
}

/* Where the bytes [at, at + length) came from; length 0: an empty range where they would stand. */
static inline tfm__span tfm__aligned_span(const tfm__aligned *text, size_t at, size_t length) {
    if (!text->spans)
        return (tfm__span){(uint32_t)(text->origin + at), (uint32_t)(text->origin + at + length)};
    if (length == 0) {
        uint32_t place = at < text->length ? text->spans[at].begin
                         : text->length    ? text->spans[text->length - 1].end
                                           : 0;
        return (tfm__span){place, place};
    }
    return (tfm__span){text->spans[at].begin, text->spans[at + length - 1].end};
}

/* Writes a new text. */
typedef struct tfm__rewriter {
    tfm__buffer *text;
    tfm__buffer *spans; /* NULL: not wanted */
    bool same;          /* the text stays as it was, and nothing was written */
} tfm__rewriter;

static inline tfm__rewriter tfm__rewrite_open(const tfm__aligned *from, tfm__buffer *text,
                                              tfm__buffer *spans) {
    text->size = spans->size = 0;
    return (tfm__rewriter){text, from->wanted ? spans : NULL, false};
}

/* The text that was written. */
static inline tfm__aligned tfm__rewrite_close(const tfm__rewriter *writer, const tfm__aligned *from) {
    tfm__aligned out = {writer->text->data, writer->text->size, NULL, from->origin, from->wanted};
    if (writer->same) return *from;
    if (writer->spans) out.spans = (const tfm__span *)(const void *)writer->spans->data;
    return out;
}

/* Appends bytes that all come from one span. False: memory refused. */
static inline bool tfm__rewrite_put(tfm__rewriter *writer, const void *bytes, size_t length, tfm__span span) {
    tfm__span *to;
    if (!tfm__buffer_append(writer->text, bytes, length)) return false;
    if (!writer->spans) return true;
    if (!tfm__buffer_reserve(writer->spans, length * sizeof span)) return false;
    to = (tfm__span *)(void *)(writer->spans->data + writer->spans->size);
    for (size_t i = 0; i < length; i++) to[i] = span;
    writer->spans->size += length * sizeof span;
    return true;
}

/* Appends the bytes [at, at + length) of a text as they are. False: memory refused. */
static inline bool tfm__rewrite_copy(tfm__rewriter *writer, const tfm__aligned *from, size_t at,
                                     size_t length) {
    tfm__span *to;
    if (!tfm__buffer_append(writer->text, from->data + at, length)) return false;
    if (!writer->spans || length == 0) return true;
    if (from->spans) return tfm__buffer_append(writer->spans, from->spans + at, length * sizeof(tfm__span));
    if (!tfm__buffer_reserve(writer->spans, length * sizeof(tfm__span))) return false;
    to = (tfm__span *)(void *)(writer->spans->data + writer->spans->size);
    for (size_t i = 0; i < length; i++) to[i] = tfm__aligned_span(from, at + i, 1);
    writer->spans->size += length * sizeof(tfm__span);
    return true;
}

/* Appends what is left of a text of which [0, copied) has been dealt with; a text of which nothing has been
 * changed stays where it is. False: memory refused. */
static inline bool tfm__rewrite_rest(tfm__rewriter *writer, const tfm__aligned *from, size_t copied) {
    writer->same = copied == 0 && writer->text->size == 0;
    return writer->same || tfm__rewrite_copy(writer, from, copied, from->length - copied);
}

#endif
