/* split_stages.c - a text to pieces: the stages of a splitter, one inside the other. Called by model.c and
 * encode.c.
 *
 * A covering scanner (split.c) hands its pieces straight on. The other stages find matches first: a list of
 * segments, matches and what lies between them, which behavior and invert turn into pieces (Hugging Face's
 * SplitDelimiterBehavior). Stages that rewrite make a new text, with where its bytes came from. Ill-formed
 * bytes match nothing. Empty pieces are never handed on. Source: Hugging Face tokenizers' pre_tokenizers and
 * NormalizedString::split. */
#include "tokenizer/internal.h"

typedef struct cutter {
    const tfm_tokenizer *tokenizer;
    tfm__work *work;
    tfm__piece_fn fn;
    void *arg;
    tfm_error *error;
} cutter;

static int32_t cut(const cutter *c, uint32_t index, const tfm__aligned *text, bool first);

static int32_t no_memory(const cutter *c, size_t bytes) {
    return tfm__fail_memory(c->error, c->work->heap, bytes);
}

/* The part [begin, end) of a text goes to the next stage. */
static int32_t hand_on(const cutter *c, uint32_t index, const tfm__aligned *text, size_t begin, size_t end,
                       bool first) {
    tfm__aligned part = tfm__aligned_part(text, begin, end - begin);
    return cut(c, index + 1, &part, first && begin == 0);
}

/* ---- Matches ---- */

typedef struct segment {
    size_t begin, end;
    bool match;
} segment;

/* Adds [begin, end); false: memory refused. What lies before it and was not said is no match. */
static bool put_segment(tfm__buffer *list, size_t *done, size_t begin, size_t end, bool match) {
    segment gap = {*done, begin, false}, added = {begin, end, match};
    if (begin > *done && !tfm__buffer_append(list, &gap, sizeof gap)) return false;
    *done = TFM__MAX(*done, end);
    return !match || tfm__buffer_append(list, &added, sizeof added);
}

/* Every match of the expression in one well-formed run of a text. An empty match right behind the match
 * before it is none; behind an empty one the search goes on one character further. */
static int32_t match_regex(const cutter *c, const tfm__stage *stage, const tfm__aligned *text, size_t start,
                           size_t stop, tfm__buffer *list, size_t *done) {
    const tfm__regex *regex = c->tokenizer->regexes[stage->regex];
    const uint8_t *run = text->data + start;
    size_t length = stop - start, last = SIZE_MAX;
    for (size_t from = 0; from <= length;) {
        size_t begin, end;
        bool found;
        uint32_t used = 1;
        int32_t rc = tfm__regex_find(regex, c->work->heap, &c->work->regex, run, length, from, &begin, &end,
                                     &found, c->error);
        if (rc) return rc;
        if (!found) break;
        if (end > begin || begin != last) {
            if (!put_segment(list, done, start + begin, start + end, true))
                return no_memory(c, sizeof(segment));
            last = end;
        }
        from = end;
        if (end > begin) continue;
        if (from < length) (void)tfm__utf8_read(run + from, length - from, &used);
        from += used;
    }
    return TFM_OK;
}

static int32_t find_regex(const cutter *c, const tfm__stage *stage, const tfm__aligned *text,
                          tfm__buffer *list, size_t *done) {
    for (size_t i = 0; i < text->length;) {
        size_t valid = tfm__utf8_valid(text->data + i, text->length - i);
        int32_t rc = valid ? match_regex(c, stage, text, i, i + valid, list, done) : TFM_OK;
        if (rc) return rc;
        i += valid + 1;
    }
    return TFM_OK;
}

static bool find_literal(const tfm__stage *stage, const tfm__aligned *text, tfm__buffer *list, size_t *done) {
    size_t n = stage->literal_length;
    for (size_t i = 0; n && i + n <= text->length;) {
        const uint8_t *found = memchr(text->data + i, stage->literal[0], text->length - i);
        if (!found) break;
        i = (size_t)(found - text->data);
        if (i + n > text->length) break;
        if (memcmp(found, stage->literal, n) != 0) {
            i++;
            continue;
        }
        if (!put_segment(list, done, i, i + n, true)) return false;
        i += n;
    }
    return true;
}

enum sort { OTHER, SPACE, WORD };

static enum sort sort_at(const uint8_t *text, size_t length, uint32_t *used) {
    uint32_t code = tfm__utf8_read(text, length, used), entry;
    if (code == TFM__NO_CODE) return OTHER;
    entry = tfm__unicode_entry(code);
    return entry & TFM__ENTRY_SPACE ? SPACE : entry & TFM__ENTRY_WORD ? WORD : OTHER;
}

/* Runs of word characters, and runs of what is neither that nor white space. */
static bool find_words(const tfm__aligned *text, tfm__buffer *list, size_t *done) {
    size_t begin = 0;
    enum sort before = SPACE;
    for (size_t i = 0; i <= text->length;) {
        uint32_t used = 1;
        enum sort now = i < text->length ? sort_at(text->data + i, text->length - i, &used) : SPACE;
        if (now != before) {
            if (before != SPACE && !put_segment(list, done, begin, i, true)) return false;
            begin = i;
            before = now;
        }
        i += used;
    }
    return true;
}

static bool is_space(const uint8_t *text, size_t length, uint32_t *used) {
    return sort_at(text, length, used) == SPACE;
}

static bool is_numeric(const uint8_t *text, size_t length, uint32_t *used) {
    uint32_t code = tfm__utf8_read(text, length, used);
    return code != TFM__NO_CODE && tfm__unicode_numeric(code);
}

/* Single characters of a kind. */
static bool find_characters(const tfm__aligned *text, bool (*is)(const uint8_t *, size_t, uint32_t *),
                            tfm__buffer *list, size_t *done) {
    for (size_t i = 0; i < text->length;) {
        uint32_t used;
        bool match = is(text->data + i, text->length - i, &used);
        if (match && !put_segment(list, done, i, i + used, true)) return false;
        i += used;
    }
    return true;
}

/* ---- What becomes of matches ---- */

/* Segments to pieces, in place; returns how many. */
static size_t apply_behavior(segment *list, size_t n, int behavior, bool invert) {
    size_t kept = 0;
    bool before = false;
    for (size_t i = 0; i < n && invert; i++) list[i].match = !list[i].match;
    switch (behavior) {
    case TFM__REMOVED:
        for (size_t i = 0; i < n; i++)
            if (!list[i].match) list[kept++] = list[i];
        return kept;
    case TFM__CONTIGUOUS:
        for (size_t i = 0; i < n; i++) {
            if (i && list[i].match == before)
                list[kept - 1].end = list[i].end;
            else
                list[kept++] = list[i];
            before = list[kept - 1].match;
        }
        return kept;
    case TFM__MERGED_WITH_PREVIOUS:
        for (size_t i = 0; i < n; i++) {
            bool match = list[i].match;
            if (match && !before && kept)
                list[kept - 1].end = list[i].end;
            else
                list[kept++] = list[i];
            before = match;
        }
        return kept;
    case TFM__MERGED_WITH_NEXT: /* the same from behind; the pieces gather at the end of the list */
        kept = n;
        for (size_t i = n; i-- > 0;) {
            bool match = list[i].match;
            if (match && !before && kept < n)
                list[kept].begin = list[i].begin;
            else
                list[--kept] = list[i];
            before = match;
        }
        memmove(list, list + kept, (n - kept) * sizeof *list);
        return n - kept;
    default:
        return n;
    }
}

/* Finds the matches of a stage and hands on the pieces. */
static int32_t cut_at_matches(const cutter *c, uint32_t index, const tfm__aligned *text, bool first) {
    const tfm__stage *stage = &c->tokenizer->splitter.stages[index];
    tfm__buffer *list = &c->work->stage_cuts[index];
    int behavior = stage->behavior;
    bool invert = stage->invert, ok = true;
    size_t done = 0, n;
    segment *segments;
    int32_t rc = TFM_OK;
    list->size = 0;
    switch (stage->kind) {
    case TFM__STAGE_REGEX:
        rc = find_regex(c, stage, text, list, &done);
        break;
    case TFM__STAGE_LITERAL:
        ok = find_literal(stage, text, list, &done);
        break;
    case TFM__STAGE_WHITESPACE:
        ok = find_words(text, list, &done);
        behavior = TFM__REMOVED;
        invert = true;
        break;
    case TFM__STAGE_WHITESPACE_SPLIT:
        ok = find_characters(text, is_space, list, &done);
        behavior = TFM__REMOVED;
        break;
    case TFM__STAGE_NUMERIC:
        ok = find_characters(text, is_numeric, list, &done);
        break;
    default:
        ok = find_characters(text, tfm__is_punctuation, list, &done);
        break;
    }
    ok = ok && put_segment(list, &done, text->length, text->length, false);
    if (rc || !ok) return rc ? rc : no_memory(c, list->size);
    segments = (segment *)(void *)list->data;
    n = apply_behavior(segments, list->size / sizeof *segments, behavior, invert);
    for (size_t i = 0; i < n && rc == TFM_OK; i++) /* stages behind have lists of their own */
        rc = hand_on(c, index, text, segments[i].begin, segments[i].end, first);
    return rc;
}

/* ---- Other cuts ---- */

/* White space is dropped, punctuation stands alone. */
static int32_t cut_bert(const cutter *c, uint32_t index, const tfm__aligned *text, bool first) {
    size_t begin = 0;
    for (size_t i = 0; i <= text->length;) {
        uint32_t used = 1, punctuation_used = 1;
        bool end = i == text->length;
        bool space = !end && sort_at(text->data + i, text->length - i, &used) == SPACE;
        bool alone =
            !end && !space && tfm__is_punctuation(text->data + i, text->length - i, &punctuation_used);
        if (end || space || alone) {
            int32_t rc = hand_on(c, index, text, begin, i, first);
            if (rc == TFM_OK && alone) rc = hand_on(c, index, text, i, i + used, first);
            if (rc) return rc;
            begin = i + used;
        }
        i += used;
    }
    return TFM_OK;
}

/* Where the script changes; spaces belong to what stands before them, and are dropped where nothing does. */
static int32_t cut_scripts(const cutter *c, uint32_t index, const tfm__aligned *text, bool first) {
    uint32_t before = TFM__SCRIPT_ANY;
    size_t begin = 0;
    bool seen = false;
    for (size_t i = 0; i < text->length;) {
        uint32_t used, code = tfm__utf8_read(text->data + i, text->length - i, &used);
        uint32_t script = code == TFM__NO_CODE ? TFM__SCRIPT_ANY : tfm__unicode_script(code);
        if (script != TFM__SCRIPT_ANY) {
            if (seen && script != before) {
                int32_t rc = hand_on(c, index, text, begin, i, first);
                if (rc) return rc;
                begin = i;
            }
            if (!seen) begin = i;
            before = script;
            seen = true;
        }
        i += used;
    }
    return seen ? hand_on(c, index, text, begin, text->length, first) : TFM_OK;
}

static int32_t cut_fixed(const cutter *c, uint32_t index, const tfm__aligned *text, bool first) {
    uint32_t most = c->tokenizer->splitter.stages[index].fixed, characters = 0;
    size_t begin = 0;
    for (size_t i = 0; i < text->length;) {
        uint32_t used;
        (void)tfm__utf8_read(text->data + i, text->length - i, &used);
        i += used;
        if (++characters == most) {
            int32_t rc = hand_on(c, index, text, begin, i, first);
            if (rc) return rc;
            begin = i;
            characters = 0;
        }
    }
    return hand_on(c, index, text, begin, text->length, first);
}

static bool begins_with(const tfm__aligned *text, size_t at, const tfm__stage *stage) {
    return text->length - at >= stage->literal_length &&
           memcmp(text->data + at, stage->literal, stage->literal_length) == 0;
}

/* Pieces that begin at marks: at every one (each), or at those that follow something else. */
static int32_t cut_at_marks(const cutter *c, uint32_t index, const tfm__aligned *text, bool each) {
    const tfm__stage *stage = &c->tokenizer->splitter.stages[index];
    size_t start = 0, i = 0;
    bool after_mark = true;
    tfm__aligned part;
    while (i < text->length) {
        const uint8_t *found = memchr(text->data + i, stage->literal[0], text->length - i);
        size_t at = found ? (size_t)(found - text->data) : text->length;
        if (at > i) after_mark = false;
        i = at;
        if (i < text->length && !begins_with(text, i, stage)) {
            after_mark = false;
            i++;
            continue;
        }
        if (i > start && (each || !after_mark || i == text->length)) {
            int32_t rc;
            part = tfm__aligned_part(text, start, i - start);
            if ((rc = cut(c, index + 1, &part, false)) != 0) return rc;
            start = i;
        }
        if (i < text->length) i += stage->literal_length;
        after_mark = true;
    }
    if (start == text->length) return TFM_OK;
    part = tfm__aligned_part(text, start, text->length - start);
    return cut(c, index + 1, &part, false);
}

/* Where the first character of a text came from: what is put in front of it comes from there too, as in the
 * original, which puts it into that character's place and the character behind it. */
static tfm__span first_span(const tfm__aligned *text) {
    uint32_t used;
    (void)tfm__utf8_read(text->data, text->length, &used);
    return tfm__aligned_span(text, 0, used);
}

/* Metaspace: spaces become marks, perhaps one more in front. */
static int32_t metaspace(const cutter *c, uint32_t index, const tfm__aligned *text, bool first) {
    const tfm__stage *stage = &c->tokenizer->splitter.stages[index];
    tfm__rewriter out = tfm__rewrite_open(text, &c->work->stage_text[index], &c->work->stage_spans[index]);
    tfm__aligned marked;
    bool ok = true;
    if ((stage->prepend == TFM__PREPEND_ALWAYS || (stage->prepend == TFM__PREPEND_FIRST && first)) &&
        text->data[0] != ' ' && !begins_with(text, 0, stage))
        ok = tfm__rewrite_put(&out, stage->literal, stage->literal_length, first_span(text));
    for (size_t i = 0; i < text->length && ok;) {
        size_t end = i;
        while (end < text->length && text->data[end] != ' ') end++;
        ok = tfm__rewrite_copy(&out, text, i, end - i);
        if (end < text->length)
            ok = ok && tfm__rewrite_put(&out, stage->literal, stage->literal_length,
                                        tfm__aligned_span(text, end, 1));
        i = end + 1;
    }
    if (!ok) return tfm__fail_memory(c->error, c->work->heap, text->length);
    marked = tfm__rewrite_close(&out, text);
    return stage->split ? cut_at_marks(c, index, &marked, true) : cut(c, index + 1, &marked, false);
}

static int32_t prefix_space(const cutter *c, uint32_t index, const tfm__aligned *text) {
    tfm__rewriter out = tfm__rewrite_open(text, &c->work->stage_text[index], &c->work->stage_spans[index]);
    tfm__aligned spaced;
    if (text->data[0] == ' ') return cut(c, index + 1, text, false);
    if (!tfm__rewrite_put(&out, " ", 1, first_span(text)) || !tfm__rewrite_copy(&out, text, 0, text->length))
        return tfm__fail_memory(c->error, c->work->heap, text->length);
    spaced = tfm__rewrite_close(&out, text);
    return cut(c, index + 1, &spaced, false);
}

/* Cuts with the stage of this index and those behind it; the depth is the number of stages. */
static int32_t cut(const cutter *c, uint32_t index, const tfm__aligned *text, bool first) {
    const tfm__splitter *splitter = &c->tokenizer->splitter;
    const tfm__stage *stage = &splitter->stages[index];
    if (text->length == 0) return TFM_OK;
    if (index >= splitter->count) return c->fn(c->arg, text);
    switch (stage->kind) {
    case TFM__STAGE_REGEX:
    case TFM__STAGE_LITERAL:
    case TFM__STAGE_WHITESPACE:
    case TFM__STAGE_WHITESPACE_SPLIT:
    case TFM__STAGE_PUNCTUATION:
    case TFM__STAGE_NUMERIC:
        return cut_at_matches(c, index, text, first);
    case TFM__STAGE_BERT:
        return cut_bert(c, index, text, first);
    case TFM__STAGE_SCRIPTS:
        return cut_scripts(c, index, text, first);
    case TFM__STAGE_FIXED:
        return cut_fixed(c, index, text, first);
    case TFM__STAGE_METASPACE:
        return metaspace(c, index, text, first);
    case TFM__STAGE_PREFIX_SPACE:
        return prefix_space(c, index, text);
    case TFM__STAGE_MARKS:
        return cut_at_marks(c, index, text, false);
    default:
        break;
    }
    for (size_t i = 0; i < text->length;) {
        size_t length = tfm__split_next(stage, text->data + i, text->length - i);
        int32_t rc = hand_on(c, index, text, i, i + length, first);
        if (rc) return rc;
        i += length;
    }
    return TFM_OK;
}

int32_t tfm__split(const tfm_tokenizer *tokenizer, tfm__work *work, const tfm__aligned *text, bool first,
                   tfm__piece_fn fn, void *arg, tfm_error *error) {
    const cutter c = {tokenizer, work, fn, arg, error};
    return cut(&c, 0, text, first);
}

bool tfm__stages_rewrite(const tfm_tokenizer *tokenizer) {
    for (uint32_t i = 0; i < tokenizer->splitter.count; i++) {
        const tfm__stage *stage = &tokenizer->splitter.stages[i];
        switch (stage->kind) {
        case TFM__STAGE_METASPACE:
        case TFM__STAGE_PREFIX_SPACE:
        case TFM__STAGE_WHITESPACE:
        case TFM__STAGE_WHITESPACE_SPLIT:
        case TFM__STAGE_BERT:
        case TFM__STAGE_SCRIPTS:
            return true;
        default:
            if (stage->behavior == TFM__REMOVED) return true;
            break;
        }
    }
    return false;
}
