/* normalize_hf.c - Hugging Face's normalizers that look at single characters or clusters. Called by
 * normalize.c.
 *
 * What a character becomes has the span of that character; what is dropped leaves no trace. The two
 * exceptions are BertNormalizer with strip_accents, which decomposes (unicode_normal.c), and Precompiled,
 * which counts changes against the characters in front of them: see there. Ill-formed bytes are kept. Source:
 * tokenizers' normalizers and NormalizedString; the crate spm_precompiled. */
#include "tokenizer/normalize.h"

#include "tokenizer/unicode_normal.h"

static bool put_code(tfm__rewriter *out, uint32_t code, tfm__span span) {
    uint8_t bytes[4];
    uint32_t used = tfm__utf8_write(code, bytes);
    return tfm__rewrite_put(out, bytes, used, span);
}

/* U+0130 is the only character whose lower case is two. */
static bool put_lower(tfm__rewriter *out, uint32_t code, tfm__span span) {
    if (code == 0x130) return tfm__rewrite_put(out, "i\xcc\x87", 3, span);
    return put_code(out, tfm__unicode_lower(code), span);
}

static bool is_space(uint32_t code) { return (tfm__unicode_entry(code) & TFM__ENTRY_SPACE) != 0; }

/* ---- One character at a time: StripAccents, Lowercase, Nmt ---- */

#define DROPPED TFM__NO_CODE

/* What sentencepiece's nmt rules make of a character. */
static uint32_t nmt_of(uint32_t code) {
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
        if (code == '\t' || code == '\n' || code == '\f' || code == '\r') return ' ';
        return code == 0 || (code > 0x7f && code != 0x8f && code != 0x9f) ? code : DROPPED;
    }
    if (code < 0x1680) return code;
    if (code == 0x1680 || (code >= 0x200b && code <= 0x200f) || code == 0x2028 || code == 0x2029 ||
        code == 0x2581 || code == 0xfeff || code == 0xfffd)
        return ' ';
    return code;
}

bool tfm__hf_each(uint32_t kind, const tfm__aligned *text, tfm__rewriter *out) {
    size_t copied = 0;
    for (size_t i = 0; i < text->length;) {
        uint32_t used, code = tfm__utf8_read(text->data + i, text->length - i, &used), now = code;
        tfm__span span;
        if (code == TFM__NO_CODE) {
            i++;
            continue;
        }
        if (kind == TFM__NORMAL_LOWERCASE)
            now = code == 0x130 ? 'i' : tfm__unicode_lower(code);
        else if (kind == TFM__NORMAL_NMT)
            now = nmt_of(code);
        else if (tfm__unicode_class(code) & TFM__CLASS_MARK)
            now = DROPPED;
        if (now == code) {
            i += used;
            continue;
        }
        span = tfm__aligned_span(text, i, used);
        if (!tfm__rewrite_copy(out, text, copied, i - copied)) return false;
        if (now != DROPPED &&
            !(kind == TFM__NORMAL_LOWERCASE ? put_lower(out, code, span) : put_code(out, now, span)))
            return false;
        i += used;
        copied = i;
    }
    return tfm__rewrite_rest(out, text, copied);
}

/* ---- BertNormalizer ---- */

/* As the reference has it: its 2B920 where Unicode has 2B820 is part of the rule. */
static bool is_chinese(uint32_t code) {
    return (code >= 0x4e00 && code <= 0x9fff) || (code >= 0x3400 && code <= 0x4dbf) ||
           (code >= 0x20000 && code <= 0x2a6df) || (code >= 0x2a700 && code <= 0x2b73f) ||
           (code >= 0x2b740 && code <= 0x2b81f) || (code >= 0x2b920 && code <= 0x2ceaf) ||
           (code >= 0xf900 && code <= 0xfaff) || (code >= 0x2f800 && code <= 0x2fa1f);
}

typedef struct bert {
    uint32_t flags;
    tfm__rewriter *out;
    tfm__buffer *scratch; /* [2] characters that await their decomposition, and their parts */
} bert;

/* Behind decomposition: marks are dropped, the rest is put in lower case. */
static bool bert_put(void *arg, uint32_t code, tfm__span span) {
    bert *b = arg;
    if (b->flags & TFM__BERT_ACCENTS && tfm__unicode_class(code) & TFM__CLASS_BERT_MARK) return true;
    return b->flags & TFM__BERT_LOWER ? put_lower(b->out, code, span) : put_code(b->out, code, span);
}

/* Decomposes what waits. */
static bool bert_flush(bert *b) {
    tfm__buffer *waiting = &b->scratch[0];
    size_t count = waiting->size / sizeof(tfm__normal_char);
    if (count == 0) return true;
    waiting->size = 0;
    return tfm__normal_stretch(TFM__FORM_NFD, (const tfm__normal_char *)(const void *)waiting->data, count,
                               &b->scratch[1], bert_put, b);
}

static bool bert_char(bert *b, uint32_t code, tfm__span span) {
    tfm__normal_char c = {code, span};
    uint8_t flags;
    if (!(b->flags & TFM__BERT_ACCENTS)) return bert_put(b, code, span);
    flags = tfm__normal_record_of(code)->flags;
    if (flags & TFM__NORMAL_APART(TFM__FORM_NFD)) {
        if (!bert_flush(b)) return false;
        if (!(flags & TFM__NORMAL_OTHER(TFM__FORM_NFD))) return bert_put(b, code, span);
    }
    return tfm__buffer_append(&b->scratch[0], &c, sizeof c);
}

/* ASCII that clean-up leaves alone needs no look at single characters. */
static bool bert_ascii(bert *b, const tfm__aligned *text, size_t at, size_t count) {
    if (!bert_flush(b) || !tfm__rewrite_copy(b->out, text, at, count)) return false;
    if (b->flags & TFM__BERT_LOWER) {
        uint8_t *bytes = b->out->text->data + b->out->text->size - count;
        for (size_t i = 0; i < count; i++) bytes[i] |= (uint8_t)((uint8_t)(bytes[i] - 'A') < 26 ? 0x20 : 0);
    }
    return true;
}

bool tfm__hf_bert(uint32_t flags, const tfm__aligned *text, tfm__rewriter *out, tfm__buffer scratch[2]) {
    bert b = {flags, out, scratch};
    scratch[0].size = 0;
    if (!tfm__buffer_reserve(out->text, text->length)) return false;
    for (size_t i = 0; i < text->length;) {
        size_t plain = i;
        uint32_t used, code;
        tfm__span span;
        bool ok = true;
        while (plain < text->length && (uint8_t)(text->data[plain] - 0x20) < 0x5f) plain++;
        if (plain > i) {
            if (!bert_ascii(&b, text, i, plain - i)) return false;
            i = plain;
            continue;
        }
        code = tfm__utf8_read(text->data + i, text->length - i, &used);
        if (code == TFM__NO_CODE) { /* kept, and nothing acts across it */
            if (!bert_flush(&b) || !tfm__rewrite_copy(out, text, i, 1)) return false;
            i++;
            continue;
        }
        span = tfm__aligned_span(text, i, used);
        i += used;
        if (flags & TFM__BERT_FIRST) code = tfm__normal_first(code);
        if (flags & TFM__BERT_CLEAN) {
            if (code == '\t' || code == '\n' || code == '\r' || (flags & TFM__BERT_FIRST && is_space(code)))
                code = ' '; /* U+0085 is a control character too: which comes first matters */
            else if (tfm__unicode_class(code) & TFM__CLASS_BERT_DROP)
                continue;
            else if (is_space(code))
                code = ' ';
        }
        if (flags & TFM__BERT_CHINESE && is_chinese(code))
            ok = bert_char(&b, ' ', span) && bert_char(&b, code, span) && bert_char(&b, ' ', span);
        else
            ok = bert_char(&b, code, span);
        if (!ok) return false;
    }
    return bert_flush(&b);
}

/* ---- Strip, Prepend, ByteLevel ---- */

bool tfm__hf_strip(uint32_t flags, const tfm__aligned *text, tfm__rewriter *out) {
    size_t begin = 0, end = text->length;
    while (flags & 1 && begin < end) {
        uint32_t used, code = tfm__utf8_read(text->data + begin, end - begin, &used);
        if (code == TFM__NO_CODE || !is_space(code)) break;
        begin += used;
    }
    while (flags & 2 && begin < end) {
        size_t i = end;
        uint32_t used, code;
        do i--;
        while (i > begin && end - i < 4 && (text->data[i] & 0xc0u) == 0x80);
        code = tfm__utf8_read(text->data + i, end - i, &used);
        if (code == TFM__NO_CODE || i + used != end || !is_space(code)) break;
        end = i;
    }
    return tfm__rewrite_copy(out, text, begin, end - begin);
}

/* What is put in front has the span of the first character. If nothing is put in front, that character loses
 * its own: the reference counts it as one more. */
bool tfm__hf_prepend(const uint8_t *what, size_t count, const tfm__aligned *text, tfm__rewriter *out) {
    uint32_t used;
    tfm__span span;
    (void)tfm__utf8_read(text->data, text->length, &used);
    span = tfm__aligned_span(text, 0, count ? used : 0);
    return tfm__rewrite_put(out, what, count, span) && tfm__rewrite_put(out, text->data, used, span) &&
           tfm__rewrite_copy(out, text, used, text->length - used);
}

bool tfm__hf_byte_level(const tfm__aligned *text, tfm__rewriter *out) {
    for (size_t i = 0; i < text->length;) {
        uint32_t used;
        tfm__span span;
        (void)tfm__utf8_read(text->data + i, text->length - i, &used);
        span = tfm__aligned_span(text, i, used);
        for (uint32_t k = 0; k < used; k++)
            if (!put_code(out, tfm__alphabet_code(text->data[i + k]), span)) return false;
        i += used;
    }
    return true;
}

/* ---- Precompiled ---- */

/* The reference makes a list of characters, each with a change: 0 takes the place of a character of the old
 * text, 1 is put behind what was there, -n takes the place of one and of n more. A part that is replaced by
 * fewer characters adds the difference to the last one of the list, whatever part that came from, and loses
 * it if the list is empty: from then on characters count as if they stood where earlier ones did. The last
 * one of the list waits here, so that it can be changed; at is how far the places have been taken. */
typedef struct places {
    const tfm__aligned *text;
    tfm__rewriter *out;
    size_t at;
    tfm__span behind; /* of the character in front of at */
    uint32_t code;    /* that waits, or TFM__NO_CODE for an ill-formed byte */
    ptrdiff_t change;
    uint8_t byte;
    bool waits;
} places;

static bool place_flush(places *p) {
    tfm__span span = p->behind;
    if (!p->waits) return true;
    p->waits = false;
    for (ptrdiff_t taken = p->change; taken <= 0; taken++) {
        uint32_t used = 0;
        if (p->at < p->text->length) {
            (void)tfm__utf8_read(p->text->data + p->at, p->text->length - p->at, &used);
            p->behind = tfm__aligned_span(p->text, p->at, used);
        }
        if (taken == p->change) span = p->behind;
        p->at += used;
        if (used == 0) break;
    }
    return p->code == TFM__NO_CODE ? tfm__rewrite_put(p->out, &p->byte, 1, span)
                                   : put_code(p->out, p->code, span);
}

static bool place_put(places *p, uint32_t code, uint8_t byte, ptrdiff_t change) {
    if (!place_flush(p)) return false;
    p->code = code;
    p->byte = byte;
    p->change = change;
    p->waits = true;
    return true;
}

static size_t count_chars(const uint8_t *text, size_t length) {
    size_t count = 0;
    for (size_t i = 0; i < length; count++) {
        uint32_t used;
        (void)tfm__utf8_read(text + i, length - i, &used);
        i += used;
    }
    return count;
}

/* Puts a replacement of old characters; or, if there is none, the characters themselves. */
static bool place_part(places *p, const uint8_t *part, size_t length, size_t old) {
    size_t now = count_chars(part, length), done = 0;
    for (size_t i = 0; i < length; done++) {
        uint32_t used, code = tfm__utf8_read(part + i, length - i, &used);
        if (!place_put(p, code, part[i], done >= old ? 1 : 0)) return false;
        i += used;
    }
    if (now < old && p->waits) p->change -= (ptrdiff_t)(old - now);
    return true;
}

/* ASCII in front of ASCII is a cluster of its own, and unchanged unless the map has it: copied as long as
 * characters take their own places. The last one waits, as it would in the list. Returns how many bytes were
 * dealt with. */
static size_t place_plain(places *p, const tfm__spm_rules *rules, size_t at, bool *ok) {
    const uint8_t *bytes = p->text->data;
    size_t end = at;
    while (end < p->text->length && bytes[end] < 0x80 && bytes[end] != '\r' && !rules->touched[bytes[end]])
        end++;
    if (end < p->text->length && bytes[end] >= 0x80 && end > at) end--;
    if (end <= at + 1 || !(*ok = place_flush(p)) || p->at != at) return 0;
    *ok = tfm__rewrite_copy(p->out, p->text, at, end - 1 - at) && place_put(p, bytes[end - 1], 0, 0);
    p->at = end - 1;
    p->behind = tfm__aligned_span(p->text, end - 2, 1);
    return end - at;
}

/* Clusters below six bytes are looked up whole, all characters of others alone. Whichever: the shortest key
 * that the part begins with counts, and what it leaves of the part is dropped. */
bool tfm__hf_precompiled(const tfm__spm_rules *rules, const tfm__aligned *text, tfm__rewriter *out) {
    places p = {.text = text, .out = out, .behind = tfm__aligned_span(text, 0, 0)};
    const uint8_t *bytes = text->data;
    size_t cluster, used;
    for (size_t i = 0; i < text->length; i += cluster) {
        size_t value = 0;
        bool ok = true;
        if ((cluster = place_plain(&p, rules, i, &ok)) != 0 || !ok) {
            if (!ok) return false;
            continue;
        }
        cluster = tfm__unicode_cluster(bytes + i, text->length - i);
        used = 0;
        if (cluster < 6) value = tfm__spm_map(rules, bytes + i, cluster, true, &used);
        if (used) {
            const char *part = rules->replacements + value;
            if (!place_part(&p, (const uint8_t *)part, strlen(part), count_chars(bytes + i, cluster)))
                return false;
            continue;
        }
        for (size_t k = i; k < i + cluster;) {
            uint32_t size;
            const uint8_t *part = bytes + k;
            size_t length;
            (void)tfm__utf8_read(bytes + k, i + cluster - k, &size);
            length = size;
            value = tfm__spm_map(rules, bytes + k, size, true, &used);
            if (used) {
                part = (const uint8_t *)rules->replacements + value;
                length = strlen(rules->replacements + value);
            }
            if (!place_part(&p, part, length, 1)) return false;
            k += size;
        }
    }
    return place_flush(&p);
}
