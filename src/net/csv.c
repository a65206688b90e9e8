/* csv.c - own data: numbers in lines of text (RFC 4180's fields, without line ends inside quotes).
 *
 * Hostile input: nothing is believed. Every field is looked at as (pointer, length) inside the text, columns
 * are bounded before memory is taken, numbers are turned into JSON's grammar and read by formats/decimal.h,
 * whatever the locale. */
#include "net/net.h"

#include <stdarg.h>
#include <stdio.h>

#include "formats/decimal.h"

#define LONGEST_NUMBER 400

typedef struct csv {
    const char *text, *end;
    const char *name;
    size_t line; /* of the line that was read last, from 1 on */
    char separator;
    tfm__heap *heap;
    tfm_error *error;
} csv;

typedef struct field {
    const char *text;
    size_t length;
    bool quoted;
} field;

static int32_t fault(const csv *c, const char *format, ...) TFM__PRINTF(2, 3);
static int32_t fault(const csv *c, const char *format, ...) {
    char text[300];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return tfm__fail_at(c->error, TFM_E_FORMAT, c->name, NULL, TFM__NO_OFFSET, "line %zu: %s", c->line, text);
}

static bool blank(char x) { return x == ' ' || x == '\t' || x == '\r'; }

/* The next line with something in it. False at the end. */
static bool next_line(csv *c, field *line) {
    while (c->text < c->end) {
        const char *stop = memchr(c->text, '\n', (size_t)(c->end - c->text));
        const char *from = c->text, *to = stop ? stop : c->end;
        c->text = stop ? stop + 1 : c->end;
        c->line++;
        if (to > from && to[-1] == '\r') to--;
        const char *first = from;
        while (first < to && (*first == ' ' || *first == '\t')) first++;
        if (first == to || *first == '#') continue;
        *line = (field){from, (size_t)(to - from), false};
        return true;
    }
    return false;
}

/* Cuts the next field off the line. more: whether a separator followed it. */
static int32_t next_field(const csv *c, field *line, field *out, bool *more) {
    const char *p = line->text, *end = p + line->length;
    while (p < end && blank(*p) && *p != c->separator) p++;
    out->quoted = p < end && *p == '"';
    if (out->quoted) {
        const char *close = ++p;
        while (close < end && !(*close == '"' && (close + 1 == end || close[1] != '"')))
            close += *close == '"' ? 2 : 1;
        if (close >= end) return fault(c, "a quoted field does not end in its line");
        *out = (field){p, (size_t)(close - p), true};
        for (p = close + 1; p < end && blank(*p) && *p != c->separator;) p++;
        if (p < end && *p != c->separator) return fault(c, "something stands behind a quoted field");
    } else {
        const char *begin = p;
        while (p < end && *p != c->separator) p++;
        const char *last = p;
        while (last > begin && blank(last[-1])) last--;
        *out = (field){begin, (size_t)(last - begin), false};
    }
    *more = p < end;
    *line = (field){p + *more, (size_t)(end - p) - *more, false};
    return TFM_OK;
}

static bool digit(char x) { return x >= '0' && x <= '9'; }

/* [+-] digits [. digits] [e [+-] digits], with a digit before or behind the point, as a number of JSON's
 * grammar. */
static bool read_number(const field *f, double *out) {
    char json[LONGEST_NUMBER + 4];
    size_t n = 0, i = 0, before = 0, behind = 0;
    const char *s = f->text;
    if (f->length == 0 || f->length > LONGEST_NUMBER) return false;
    if (s[i] == '+' || s[i] == '-') {
        if (s[i] == '-') json[n++] = '-';
        i++;
    }
    while (i + 1 < f->length && s[i] == '0' && digit(s[i + 1])) i++; /* JSON has no leading zeros */
    for (; i < f->length && digit(s[i]); before++) json[n++] = s[i++];
    if (!before) json[n++] = '0';
    if (i < f->length && s[i] == '.') {
        size_t point = n;
        json[n++] = s[i++];
        for (; i < f->length && digit(s[i]); behind++) json[n++] = s[i++];
        if (!behind) n = point;
    }
    if (!before && !behind) return false;
    if (i < f->length && (s[i] == 'e' || s[i] == 'E')) {
        json[n++] = s[i++];
        if (i < f->length && (s[i] == '+' || s[i] == '-')) json[n++] = s[i++];
        if (i == f->length || !digit(s[i])) return false;
        while (i < f->length && digit(s[i])) json[n++] = s[i++];
    }
    return i == f->length && tfm__decimal_to_f64(json, n, out);
}

/* The separator that the line has most of, outside quotes. */
static char separator_of(const field *line) {
    static const char known[] = {',', ';', '\t'};
    size_t counts[3] = {0, 0, 0}, best = 0;
    bool quoted = false;
    for (size_t i = 0; i < line->length; i++) {
        if (line->text[i] == '"') quoted = !quoted;
        for (size_t k = 0; !quoted && k < 3; k++) counts[k] += line->text[i] == known[k];
    }
    for (size_t k = 1; k < 3; k++)
        if (counts[k] > counts[best]) best = k;
    return known[best];
}

static int32_t count_fields(const csv *c, field line, size_t *count, bool *any_number) {
    bool more = true;
    *count = 0;
    *any_number = false;
    while (more) {
        field f;
        double value;
        int32_t rc = next_field(c, &line, &f, &more);
        if (rc) return rc;
        *any_number = *any_number || read_number(&f, &value);
        if (++*count > TFM__NET_MAX_COLUMNS) return fault(c, "more than %d columns", TFM__NET_MAX_COLUMNS);
    }
    return TFM_OK;
}

static int32_t read_names(const csv *c, field line, size_t count, tfm__arena *arena, const char ***names) {
    *names = tfm__arena_alloc(arena, count * sizeof **names);
    if (!*names) return tfm__fail_memory(c->error, c->heap, count * sizeof **names);
    for (size_t i = 0; i < count; i++) {
        field f;
        bool more;
        int32_t rc = next_field(c, &line, &f, &more);
        if (rc) return rc;
        char *name = tfm__arena_text(arena, f.text, f.length);
        if (!name) return tfm__fail_memory(c->error, c->heap, f.length);
        size_t to = 0;
        for (size_t k = 0; k < f.length; k++) { /* "" inside quotes is one; a NUL would end the name */
            if (f.quoted && f.text[k] == '"') k++;
            if (k < f.length && f.text[k]) name[to++] = f.text[k];
        }
        name[to] = 0;
        (*names)[i] = name;
    }
    return TFM_OK;
}

static int32_t read_row(const csv *c, field line, size_t count, const char *const *names,
                        tfm__buffer *numbers) {
    bool more = true;
    for (size_t i = 0; i < count || more; i++) {
        field f;
        double value;
        if (!more) return fault(c, "%zu fields, not %zu", i, count);
        int32_t rc = next_field(c, &line, &f, &more);
        if (rc) return rc;
        if (i >= count) return fault(c, "more than %zu fields", count);
        if (!read_number(&f, &value))
            return fault(c, "column %zu%s%.60s%s: \"%.*s\" is not a finite number", i + 1, names ? " (" : "",
                         names ? names[i] : "", names ? ")" : "", (int)TFM__MIN(f.length, (size_t)40),
                         f.text);
        if (!tfm__buffer_append(numbers, &value, sizeof value))
            return tfm__fail_memory(c->error, c->heap, numbers->size);
    }
    return TFM_OK;
}

static int32_t read_table(csv *c, const tfm_net_data_options *o, tfm__arena *arena, tfm__buffer *numbers,
                          tfm__buffer *lines, tfm__net_table *t) {
    uint32_t targets = o->targets ? o->targets : 1;
    const char **names = NULL;
    size_t count = 0;
    field line;
    bool any_number, first = true;
    for (; next_line(c, &line); first = false) {
        int32_t rc;
        if (first) {
            c->separator = separator_of(&line);
            if ((rc = count_fields(c, line, &count, &any_number)) != 0) return rc;
            if (count < (size_t)targets + 1)
                return fault(c, "%zu column%s: there must be %u for the target and at least one more", count,
                             count == 1 ? "" : "s", (unsigned)targets);
            if (!any_number) {
                if ((rc = read_names(c, line, count, arena, &names)) != 0) return rc;
                continue;
            }
        }
        if (t->rows == TFM__NET_MAX_ROWS) return fault(c, "more than %d rows", TFM__NET_MAX_ROWS);
        if ((rc = read_row(c, line, count, names, numbers)) != 0) return rc;
        if (!tfm__buffer_append(lines, &c->line, sizeof c->line))
            return tfm__fail_memory(c->error, c->heap, lines->size);
        t->rows++;
    }
    if (t->rows < 2)
        return tfm__fail_at(c->error, TFM_E_FORMAT, c->name, NULL, TFM__NO_OFFSET, "%s",
                            t->rows ? "only one row" : "no rows");
    t->numbers = (double *)(void *)numbers->data;
    t->lines = (const size_t *)(const void *)lines->data;
    t->targets = targets;
    t->columns = (uint32_t)count - targets;
    t->names = names;
    return TFM_OK;
}

int32_t tfm__net_csv(const char *text, size_t length, const char *name, const tfm_net_data_options *o,
                     tfm_net_data **out, tfm_error *error) {
    tfm__heap heap;
    tfm__arena arena;
    tfm__buffer numbers, lines;
    tfm__net_table t = {.heap = &heap};
    csv c = {text, text + length, name, 0, ',', &heap, error};
    int32_t rc = tfm__net_check_data_options(o, error);
    if (rc) return rc;
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) c.text += 3;
    tfm__heap_init(&heap, o->allocator, o->byte_budget);
    tfm__arena_init(&arena, &heap);
    tfm__buffer_init(&numbers, &heap);
    tfm__buffer_init(&lines, &heap);
    t.file = name;
    rc = read_table(&c, o, &arena, &numbers, &lines, &t);
    if (rc == TFM_OK) rc = tfm__net_data_make(&t, o, out, error);
    tfm__buffer_free(&numbers);
    tfm__buffer_free(&lines);
    tfm__arena_free(&arena);
    return rc;
}
