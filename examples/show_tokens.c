/* show_tokens.c - a text with its tokens in colours and their ids, in the terminal or as a page of HTML.
 *
 *   show_tokens TOKENIZER [TEXT] [--html OUT] [--special] [--color]
 *
 * TOKENIZER is any file that holds one. Without TEXT the text comes from standard input. --html writes a page
 * that needs nothing else; --special lets special tokens written in the text count as such; --color colours
 * what goes into a pipe. What cannot be seen is shown by a sign (⏎ ⇥ ␀), by its number (‹U+200B›), or, where
 * a token holds a part of a character, as bytes (\xF0\x9F).
 *
 * A token is shown as the part of the text that it stands for. Text that no token stands for (white space
 * between words of BERT) stays without colour; tokens without a text of their own ([CLS]) are shown by their
 * names.
 *
 *   cc show_tokens.c $(pkg-config --cflags --libs tfm) */
#define _XOPEN_SOURCE 700 /* wcwidth */
#include <tfm/tfm.h>

#include <inttypes.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define COLORS 5

/* ---- A string that grows ---- */

typedef struct string {
    char *bytes;
    size_t length, capacity;
} string;

static void put(string *s, const char *bytes, size_t length) {
    if (length > s->capacity - s->length) {
        size_t capacity = (s->capacity + length) * 2;
        char *bigger = realloc(s->bytes, capacity);
        if (!bigger) {
            fprintf(stderr, "out of memory\n");
            exit(1);
        }
        s->bytes = bigger;
        s->capacity = capacity;
    }
    if (length) memcpy(s->bytes + s->length, bytes, length);
    s->length += length;
}

static void print(string *s, const char *format, ...) {
    char text[256];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    put(s, text, (size_t)length);
}

/* ---- Characters ---- */

/* The character at p and its length; *length 0: the byte belongs to no complete character. */
static uint32_t character(const unsigned char *p, size_t left, size_t *length) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    uint32_t c = n == 1 ? p[0] : n ? p[0] & (0x7Fu >> n) : 0;
    *length = 0;
    if (n == 0 || n > left) return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    if (c < least[n] || (c >= 0xD800 && c < 0xE000) || c > 0x10FFFF) return 0;
    *length = n;
    return c;
}

static size_t count_characters(const char *text, size_t length) {
    size_t count = 0;
    for (size_t i = 0; i < length; count++) {
        size_t n;
        character((const unsigned char *)text + i, length - i, &n);
        i += n ? n : 1;
    }
    return count;
}

/* Characters that leave no mark: controls of the second row, joiners, directions, spaces of other widths. */
static int is_invisible(uint32_t c) {
    static const uint32_t ranges[][2] = {
        {0x80, 0xA0},     {0xAD, 0xAD},     {0x34F, 0x34F},     {0x61C, 0x61C},     {0x115F, 0x1160},
        {0x1680, 0x1680}, {0x17B4, 0x17B5}, {0x180B, 0x180F},   {0x2000, 0x200F},   {0x2028, 0x202F},
        {0x205F, 0x206F}, {0x3000, 0x3000}, {0x3164, 0x3164},   {0xE000, 0xF8FF},   {0xFE00, 0xFE0F},
        {0xFEFF, 0xFEFF}, {0xFFF0, 0xFFFB}, {0xE0000, 0xE0FFF}, {0xF0000, 0x10FFFF}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return 1;
    return (c & 0xFFFE) == 0xFFFE;
}

/* ---- Pieces: the text cut up by its tokens ---- */

typedef struct shown {
    const tfm_tokenizer *tokenizer;
    const char *text;
    size_t length;
    tfm_encoding_view view;
    size_t next; /* token */
    size_t at;   /* byte of the text */
} shown;

typedef struct piece {
    const char *bytes;
    size_t length;
    tfm_token id; /* -1: no token stands for this text */
    size_t number;
    int name; /* not a part of the text: what the token is called */
} piece;

static piece rest_until(shown *s, size_t end) {
    piece p = {s->text + s->at, end - s->at, -1, 0, 0};
    s->at = end;
    return p;
}

/* 0 when there is no more. */
static int next_piece(shown *s, piece *p) {
    if (s->next == s->view.count) {
        if (s->at == s->length) return 0;
        *p = rest_until(s, s->length);
        return 1;
    }
    size_t begin = s->view.byte_begins[s->next], end = s->view.byte_ends[s->next];
    if (end > begin && begin > s->at) {
        *p = rest_until(s, begin);
        return 1;
    }
    *p = (piece){s->text + begin, end - begin, s->view.ids[s->next], s->next, 0};
    if (end == begin || begin < s->at) { /* [CLS]; or one token of several for a character */
        p->name = 1;
        tfm_token_bytes(s->tokenizer, p->id, &p->bytes, &p->length, NULL);
    } else {
        s->at = end;
    }
    s->next++;
    return 1;
}

/* ---- The terminal: pieces above, ids below ---- */

typedef struct rows {
    string upper, lower;
    int column, columns, color;
} rows;

static void flush(rows *r) {
    if (r->column) {
        fwrite(r->upper.bytes, 1, r->upper.length, stdout);
        printf("\n");
        fwrite(r->lower.bytes, 1, r->lower.length, stdout);
        printf("\n\n");
    }
    r->upper.length = r->lower.length = 0;
    r->column = 0;
}

/* One character as it is shown; gives its width. */
static int show_character(string *s, const char *bytes, size_t length, uint32_t c, int color, int first) {
    static const char *const signs[] = {"⇥", "⏎"};
    if (c == ' ' && !color) { /* with colours a space is seen */
        print(s, "·");
        return 1;
    }
    if (c == '\t' || c == '\n') {
        print(s, "%s", signs[c - '\t']);
        return 1;
    }
    if (c < 0x20 || c == 0x7F) { /* the pictures of control codes, U+2400 and on */
        const char picture[] = {(char)0xE2, (char)0x90, (char)(0x80 + (c == 0x7F ? 0x21 : c))};
        put(s, picture, sizeof picture);
        return 1;
    }
    if (is_invisible(c)) {
        size_t before = s->length;
        print(s, "‹U+%04" PRIX32 "›", c);
        return (int)(s->length - before) - 4; /* the signs around it are three bytes each */
    }
    int width = wcwidth((wchar_t)c);
    if (width == 0 && first) put(s, "◌", strlen("◌")); /* a mark wants something below it */
    put(s, bytes, length);
    return width < 0 ? 1 : width + (width == 0 && first);
}

/* A piece as it is shown, in at most columns columns; gives its width. */
static int show_piece(string *s, const piece *p, int columns, int color) {
    int width = 0;
    for (size_t i = 0; i < p->length;) {
        size_t n;
        uint32_t c = character((const unsigned char *)p->bytes + i, p->length - i, &n);
        if (width > columns - 24 && p->length - i > 12) { /* longer than a line */
            size_t before = s->length;
            print(s, "…%zu more bytes", p->length - i);
            return width + (int)(s->length - before) - 2;
        }
        if (n) {
            width += show_character(s, p->bytes + i, n, c, color, i == 0);
        } else {
            print(s, "\\x%02X", (unsigned char)p->bytes[i]);
            width += 4;
        }
        i += n ? n : 1;
    }
    return width;
}

static void add_cell(rows *r, const piece *p) {
    static const int backgrounds[COLORS] = {183, 157, 222, 217, 153};
    string text = {NULL, 0, 0};
    char id[16] = "";
    if (p->id >= 0) snprintf(id, sizeof id, "%" PRId32, p->id);
    int width = show_piece(&text, p, r->columns, r->color);
    int cell = width > (int)strlen(id) ? width : (int)strlen(id);
    if (r->column + cell > r->columns) flush(r);
    if (r->color && p->id >= 0)
        print(&r->upper, "\033[%s48;5;%d;38;5;16m", p->name ? "3;" : "", backgrounds[p->number % COLORS]);
    put(&r->upper, text.bytes, text.length);
    print(&r->upper, "%s%*s%s", r->color && p->id >= 0 ? "\033[0m" : "", cell - width + (r->color ? 1 : 0),
          "", r->color ? "" : "|");
    print(&r->lower, "%s%-*s%s ", r->color ? "\033[2m" : "", cell, id, r->color ? "\033[0m" : "");
    r->column += cell + 1;
    if (memchr(p->bytes, '\n', p->length) && !p->name) flush(r);
    free(text.bytes);
}

static int terminal_columns(void) {
    struct winsize size;
    const char *given = getenv("COLUMNS");
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) return size.ws_col;
    return given && atoi(given) >= 40 ? atoi(given) : 80;
}

static void show_in_terminal(shown *s, int color) {
    rows r = {{NULL, 0, 0}, {NULL, 0, 0}, 0, terminal_columns() - 1, color};
    piece p;
    while (next_piece(s, &p)) add_cell(&r, &p);
    flush(&r);
    printf("%zu tokens, %zu characters, %zu bytes\n", s->view.count, count_characters(s->text, s->length),
           s->length);
    free(r.upper.bytes);
    free(r.lower.bytes);
}

/* ---- HTML ---- */

static const char page_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, "
    "initial-scale=1\">\n<title>Tokens</title>\n<style>\n"
    ":root { color-scheme: light dark; --faint: #8889 }\n"
    "body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }\n"
    "dl { display: flex; gap: 2.5rem; margin: 1rem 0 } dt { color: GrayText; font-size: .85rem }\n"
    "dd { margin: 0; font-size: 1.6rem; font-variant-numeric: tabular-nums }\n"
    "input { position: absolute; opacity: 0 }\n"
    "label { display: inline-block; padding: .15rem .8rem; border-radius: 1rem; cursor: pointer }\n"
    "input:checked + label { background: #8883 } input:focus-visible + label { outline: 2px solid }\n"
    "main { font: 15px/1.75 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere;\n"
    "  margin-top: .8rem; padding: 1rem; border: 1px solid var(--faint); border-radius: .5rem }\n"
    "b { font-weight: normal } i { font-style: normal; display: none }\n"
    "u { text-decoration: none; opacity: .55 } .n b { font-style: italic }\n"
    ".t:hover { outline: 2px solid } .e { display: none }\n"
    ".c0 b, .c0 i { background: #6b40d84d } .c1 b, .c1 i { background: #68de7a66 } .c2 b, .c2 i { "
    "background: #f4ac3666 }\n"
    ".c3 b, .c3 i { background: #ef414666 } .c4 b, .c4 i { background: #27b5ea66 }\n"
    "#ids:checked ~ main b, #ids:checked ~ main .g, #ids:checked ~ main br { display: none }\n"
    "#ids:checked ~ main i { display: inline-block; line-height: 1.2; padding: 0 .25rem; margin-right: "
    ".35rem }\n"
    "#both:checked ~ main { line-height: 1.35 }\n"
    "#both:checked ~ main .t { display: inline-block; vertical-align: top; margin: 0 1px .5rem 0 }\n"
    "#both:checked ~ main b, #both:checked ~ main i { display: block }\n"
    "#both:checked ~ main i { background: none; font-size: .7rem; color: GrayText; padding-right: .3rem }\n"
    "#both:checked ~ main b br { display: none } #both:checked ~ main .e { display: inline }\n"
    "</style>\n</head>\n<body>\n";

/* A piece as HTML; gives how many lines it ends. */
static size_t put_html(string *out, const piece *p) {
    size_t lines = 0;
    for (size_t i = 0; i < p->length;) {
        size_t n;
        uint32_t c = character((const unsigned char *)p->bytes + i, p->length - i, &n);
        if (!n)
            print(out, "<u>\\x%02X</u>", (unsigned char)p->bytes[i]);
        else if (c == '&' || c == '<' || c == '>')
            print(out, "&#%d;", (int)c);
        else if (c == '\n' && ++lines)
            print(out, "<u>⏎</u><br>");
        else if (c == '\t')
            print(out, "<u>⇥</u>\t");
        else if (c < 0x20 || c == 0x7F)
            print(out, "<u>&#x%X;</u>", (unsigned)(c == 0x7F ? 0x2421 : 0x2400 + c));
        else if (is_invisible(c))
            print(out, "<u>‹U+%04" PRIX32 "›</u>", c);
        else
            put(out, p->bytes + i, n);
        i += n ? n : 1;
    }
    return lines;
}

static void put_token(string *out, const piece *p) {
    if (p->id < 0) {
        print(out, "<span class=\"g\">");
        put_html(out, p);
        print(out, "</span>");
        return;
    }
    print(out, "<span class=\"t c%zu%s\" title=\"%" PRId32 ":", p->number % COLORS, p->name ? " n" : "",
          p->id);
    for (size_t i = 0; i < p->length && i < 64; i++) print(out, " %02X", (unsigned char)p->bytes[i]);
    print(out, "%s\"><b>", p->length > 64 ? " …" : "");
    size_t lines = put_html(out, p);
    print(out, "</b><i>%" PRId32 "</i></span>", p->id);
    if (lines) print(out, "<br class=\"e\">");
}

static int write_html(shown *s, const char *path, const tfm_tokenizer_info *info) {
    string out = {NULL, 0, 0};
    piece p;
    put(&out, page_head, sizeof page_head - 1);
    print(&out, "<dl><div><dt>Tokens</dt><dd>%zu</dd></div><div><dt>Characters</dt><dd>%zu</dd></div>",
          s->view.count, count_characters(s->text, s->length));
    print(&out, "<div><dt>Bytes</dt><dd>%zu</dd></div><div><dt>Tokenizer</dt><dd>%s%s%s</dd></div></dl>\n",
          s->length, info->kind, info->pattern[0] ? " " : "", info->pattern);
    print(&out, "<input type=\"radio\" name=\"view\" id=\"text\" checked><label for=\"text\">Text</label>\n");
    print(&out, "<input type=\"radio\" name=\"view\" id=\"ids\"><label for=\"ids\">Token ids</label>\n");
    print(&out, "<input type=\"radio\" name=\"view\" id=\"both\"><label for=\"both\">Both</label>\n<main>");
    while (next_piece(s, &p)) put_token(&out, &p);
    print(&out, "</main>\n</body>\n</html>\n");
    FILE *file = fopen(path, "wb");
    int bad = !file || fwrite(out.bytes, 1, out.length, file) != out.length;
    if (file && fclose(file)) bad = 1;
    if (bad) perror(path);
    free(out.bytes);
    return bad;
}

/* ---- The program ---- */

typedef struct arguments {
    const char *tokenizer, *text, *html;
    int special, color;
} arguments;

static int usage(void) {
    fprintf(stderr, "usage: show_tokens TOKENIZER [TEXT] [--html OUT] [--special] [--color]\n");
    return 2;
}

static int parse(int argc, char **argv, arguments *a) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--html") == 0 && i + 1 < argc)
            a->html = argv[++i];
        else if (strcmp(argv[i], "--special") == 0)
            a->special = 1;
        else if (strcmp(argv[i], "--color") == 0)
            a->color = 1;
        else if (!a->tokenizer && argv[i][0] != '-')
            a->tokenizer = argv[i];
        else if (a->tokenizer && !a->text)
            a->text = argv[i];
        else
            return 0;
    }
    return a->tokenizer && (a->text || !isatty(STDIN_FILENO));
}

static void read_text(const arguments *a, string *text) {
    char part[65536];
    size_t got;
    if (a->text) {
        put(text, a->text, strlen(a->text));
        return;
    }
    while ((got = fread(part, 1, sizeof part, stdin)) > 0) put(text, part, got);
}

int main(int argc, char **argv) {
    arguments a = {NULL, NULL, NULL, 0, 0};
    tfm_error error = TFM_ERROR_INIT;
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_tokenize_options how = TFM_TOKENIZE_OPTIONS_INIT;
    tfm_batch_options options = TFM_BATCH_OPTIONS_INIT;
    tfm_tokenizer *tokenizer = NULL;
    tfm_encoding *encoding = NULL;
    string text = {NULL, 0, 0};
    shown s = {NULL, NULL, 0, TFM_ENCODING_VIEW_INIT, 0, 0};
    int failed = 1;
    if (!parse(argc, argv, &a)) return usage();
    if (!setlocale(LC_CTYPE, "C.UTF-8")) setlocale(LC_CTYPE, ""); /* for wcwidth */
    read_text(&a, &text);
    how.parse_special = a.special ? TFM_SPECIAL_PARSE : TFM_SPECIAL_TEXT;
    options.tokenize = &how;
    options.want = TFM_WANT_OFFSETS;
    options.truncate = options.pad = TFM_NO;
    tfm_text_input input = {text.bytes, text.length, NULL, 0};
    if (tfm_tokenizer_load(a.tokenizer, NULL, &tokenizer, &error) ||
        tfm_tokenizer_get_info(tokenizer, &info, &error) ||
        tfm_tokenize_batch(tokenizer, &input, 1, &options, &encoding, &error) ||
        tfm_encoding_get(encoding, &s.view, &error)) {
        fprintf(stderr, "%s\n", error.message);
    } else {
        s.tokenizer = tokenizer;
        s.text = text.bytes;
        s.length = text.length;
        failed = 0;
        if (a.html)
            failed = write_html(&s, a.html, &info);
        else
            show_in_terminal(&s, a.color || (isatty(STDOUT_FILENO) && !getenv("NO_COLOR")));
    }
    tfm_encoding_destroy(encoding);
    tfm_tokenizer_release(tokenizer);
    free(text.bytes);
    return failed;
}
