/* charset.c - sets of code points as sorted ranges. Called by regex_translate.c.
 *
 * Properties come from the library's own tables, so that what an expression matches does not depend on the
 * Unicode version of the engine that runs it. Scripts: Scripts.txt of Unicode 16, as far as tokenizers ask
 * for them. */
#include "tokenizer/charset.h"

#include "tokenizer/sort.h"

#define LAST_CODE 0x10ffffu

void tfm__charset_init(tfm__charset *set, tfm__heap *heap) { tfm__buffer_init(&set->ranges, heap); }

void tfm__charset_free(tfm__charset *set) { tfm__buffer_free(&set->ranges); }

static tfm__range32 *ranges_of(const tfm__charset *set, size_t *count) {
    *count = set->ranges.size / sizeof(tfm__range32);
    return (tfm__range32 *)(void *)set->ranges.data;
}

bool tfm__charset_add(tfm__charset *set, uint32_t first, uint32_t last) {
    tfm__range32 range = {first, TFM__MIN(last, LAST_CODE)};
    if (first > range.last) return true;
    if (first < 0xd800 && range.last >= 0xd800) { /* surrogates are no characters */
        tfm__range32 below = {first, 0xd7ff};
        if (!tfm__buffer_append(&set->ranges, &below, sizeof below)) return false;
        if (range.last < 0xe000) return true;
        range.first = 0xe000;
    } else if (first >= 0xd800 && first < 0xe000) {
        if (range.last < 0xe000) return true;
        range.first = 0xe000;
    }
    return tfm__buffer_append(&set->ranges, &range, sizeof range);
}

bool tfm__charset_add_set(tfm__charset *set, const tfm__charset *other) {
    return tfm__buffer_append(&set->ranges, other->ranges.data, other->ranges.size);
}

static bool before(const void *a, const void *b, const void *arg) {
    (void)arg;
    return ((const tfm__range32 *)a)->first < ((const tfm__range32 *)b)->first;
}

bool tfm__charset_settle(tfm__charset *set) {
    size_t n, kept = 0;
    tfm__range32 *ranges = ranges_of(set, &n);
    if (n == 0) return true;
    tfm__sort_items(ranges, n, sizeof *ranges, before, NULL);
    for (size_t i = 1; i < n; i++) {
        if (ranges[i].first <= ranges[kept].last + 1)
            ranges[kept].last = TFM__MAX(ranges[kept].last, ranges[i].last);
        else
            ranges[++kept] = ranges[i];
    }
    set->ranges.size = (kept + 1) * sizeof *ranges;
    return true;
}

bool tfm__charset_negate(tfm__charset *set) {
    tfm__charset out;
    size_t n;
    const tfm__range32 *ranges = ranges_of(set, &n);
    uint32_t from = 0;
    bool ok = true;
    tfm__charset_init(&out, set->ranges.heap);
    for (size_t i = 0; i < n && ok; i++) {
        if (ranges[i].first > from) ok = tfm__charset_add(&out, from, ranges[i].first - 1);
        from = ranges[i].last + 1;
    }
    ok = ok && tfm__charset_add(&out, from, LAST_CODE);
    tfm__charset_free(set);
    *set = out;
    return ok;
}

/* By De Morgan: what is in both is not in the union of what is in neither. */
bool tfm__charset_meet(tfm__charset *set, const tfm__charset *other) {
    tfm__charset rest;
    bool ok;
    tfm__charset_init(&rest, set->ranges.heap);
    ok = tfm__charset_add_set(&rest, other) && tfm__charset_negate(&rest) && tfm__charset_negate(set) &&
         tfm__charset_add_set(set, &rest) && tfm__charset_settle(set) && tfm__charset_negate(set);
    tfm__charset_free(&rest);
    return ok;
}

/* ---- Properties ---- */

/* Adds every code point whose entry passes. */
static bool add_where(tfm__charset *set, uint32_t categories, uint32_t flags) {
    uint32_t start = 0;
    bool inside = false;
    for (uint32_t code = 0; code <= LAST_CODE + 1; code++) {
        uint32_t entry = code <= LAST_CODE ? tfm__unicode_entry(code) : TFM__ENTRY_CATEGORY;
        bool in = code <= LAST_CODE &&
                  ((categories >> (entry & TFM__ENTRY_CATEGORY) & 1u) != 0 || (entry & flags) != 0);
        if (in && !inside) start = code;
        if (!in && inside && !tfm__charset_add(set, start, code - 1)) return false;
        inside = in;
    }
    return true;
}

bool tfm__charset_space(tfm__charset *set) { return add_where(set, 0, TFM__ENTRY_SPACE); }
bool tfm__charset_digit(tfm__charset *set) { return add_where(set, TFM__SET(TFM__ND), 0); }

bool tfm__charset_word(tfm__charset *set, bool oniguruma, bool in_class) {
    bool ok = add_where(set, 0, TFM__ENTRY_WORD);
    if (!oniguruma || !ok) return ok;
    /* without the joiners, which lie alone among no word characters; and outside classes with some signs of Latin-1 */
    for (size_t i = 0; i < set->ranges.size / sizeof(tfm__range32); i++) {
        tfm__range32 *range = (tfm__range32 *)(void *)set->ranges.data + i;
        if (range->first == 0x200c && range->last == 0x200d)
            *range = in_class ? (tfm__range32){'a', 'a'} : (tfm__range32){0xb2, 0xb3};
    }
    return in_class || (tfm__charset_add(set, 0xb9, 0xb9) && tfm__charset_add(set, 0xbc, 0xbe));
}

#define SEPARATORS (TFM__SET(TFM__ZS) | TFM__SET(TFM__ZL) | TFM__SET(TFM__ZP))
#define OTHERS                                                                                               \
    (TFM__SET(TFM__CC) | TFM__SET(TFM__CF) | TFM__SET(TFM__CO) | TFM__SET(TFM__CS) | TFM__SET(TFM__CN))

static const struct {
    const char *name, *full;
    uint32_t categories;
} categories[] = {
    {"L", "Letter", TFM__SET_L},
    {"Lu", "Uppercase_Letter", TFM__SET(TFM__LU)},
    {"Ll", "Lowercase_Letter", TFM__SET(TFM__LL)},
    {"Lt", "Titlecase_Letter", TFM__SET(TFM__LT)},
    {"Lm", "Modifier_Letter", TFM__SET(TFM__LM)},
    {"Lo", "Other_Letter", TFM__SET(TFM__LO)},
    {"M", "Mark", TFM__SET_M},
    {"Mn", "Nonspacing_Mark", TFM__SET(TFM__MN)},
    {"Mc", "Spacing_Mark", TFM__SET(TFM__MC)},
    {"Me", "Enclosing_Mark", TFM__SET(TFM__ME)},
    {"N", "Number", TFM__SET_N},
    {"Nd", "Decimal_Number", TFM__SET(TFM__ND)},
    {"Nl", "Letter_Number", TFM__SET(TFM__NL)},
    {"No", "Other_Number", TFM__SET(TFM__NO)},
    {"P", "Punctuation", TFM__SET_P},
    {"Pc", "Connector_Punctuation", TFM__SET(TFM__PC)},
    {"Pd", "Dash_Punctuation", TFM__SET(TFM__PD)},
    {"Ps", "Open_Punctuation", TFM__SET(TFM__PS)},
    {"Pe", "Close_Punctuation", TFM__SET(TFM__PE)},
    {"Pi", "Initial_Punctuation", TFM__SET(TFM__PI)},
    {"Pf", "Final_Punctuation", TFM__SET(TFM__PF)},
    {"Po", "Other_Punctuation", TFM__SET(TFM__PO)},
    {"S", "Symbol", TFM__SET_S},
    {"Sm", "Math_Symbol", TFM__SET(TFM__SM)},
    {"Sc", "Currency_Symbol", TFM__SET(TFM__SC)},
    {"Sk", "Modifier_Symbol", TFM__SET(TFM__SK)},
    {"So", "Other_Symbol", TFM__SET(TFM__SO)},
    {"Z", "Separator", SEPARATORS},
    {"Zs", "Space_Separator", TFM__SET(TFM__ZS)},
    {"Zl", "Line_Separator", TFM__SET(TFM__ZL)},
    {"Zp", "Paragraph_Separator", TFM__SET(TFM__ZP)},
    {"C", "Other", OTHERS},
    {"Cc", "Control", TFM__SET(TFM__CC)},
    {"Cf", "Format", TFM__SET(TFM__CF)},
    {"Cn", "Unassigned", TFM__SET(TFM__CN)},
    {"Co", "Private_Use", TFM__SET(TFM__CO)},
};

static const tfm__range32 han[] = {{0x2e80, 0x2e99},
                                   {0x2e9b, 0x2ef3},
                                   {0x2f00, 0x2fd5},
                                   {0x3005, 0x3005},
                                   {0x3007, 0x3007},
                                   {0x3021, 0x3029},
                                   {0x3038, 0x303b},
                                   {0x3400, 0x4dbf},
                                   {0x4e00, 0x9fff},
                                   {0xf900, 0xfa6d},
                                   {0xfa70, 0xfad9},
                                   {0x16fe2, 0x16fe3},
                                   {0x16ff0, 0x16ff1},
                                   {0x20000, 0x2a6df},
                                   {0x2a700, 0x2b739},
                                   {0x2b740, 0x2b81d},
                                   {0x2b820, 0x2cea1},
                                   {0x2ceb0, 0x2ebe0},
                                   {0x2ebf0, 0x2ee5d},
                                   {0x2f800, 0x2fa1d},
                                   {0x30000, 0x3134a},
                                   {0x31350, 0x323af},
                                   {1, 0}};
static const tfm__range32 hiragana[] = {{0x3041, 0x3096},
                                        {0x309d, 0x309f},
                                        {0x1b001, 0x1b11f},
                                        {0x1b132, 0x1b132},
                                        {0x1b150, 0x1b152},
                                        {0x1f200, 0x1f200},
                                        {1, 0}};
static const tfm__range32 katakana[] = {
    {0x30a1, 0x30fa},   {0x30fd, 0x30ff},   {0x31f0, 0x31ff},   {0x32d0, 0x32fe},   {0x3300, 0x3357},
    {0xff66, 0xff6f},   {0xff71, 0xff9d},   {0x1aff0, 0x1aff3}, {0x1aff5, 0x1affb}, {0x1affd, 0x1affe},
    {0x1b000, 0x1b000}, {0x1b120, 0x1b122}, {0x1b155, 0x1b155}, {0x1b164, 0x1b167}, {1, 0}};
static const tfm__range32 hangul[] = {
    {0x1100, 0x11ff}, {0x302e, 0x302f}, {0x3131, 0x318e}, {0x3200, 0x321e}, {0x3260, 0x327e},
    {0xa960, 0xa97c}, {0xac00, 0xd7a3}, {0xd7b0, 0xd7c6}, {0xd7cb, 0xd7fb}, {0xffa0, 0xffbe},
    {0xffc2, 0xffc7}, {0xffca, 0xffcf}, {0xffd2, 0xffd7}, {0xffda, 0xffdc}, {1, 0}};
static const tfm__range32 thai[] = {{0xe01, 0xe3a}, {0xe40, 0xe5b}, {1, 0}};

static const struct {
    const char *name;
    const tfm__range32 *ranges;
} scripts[] = {
    {"Han", han}, {"Hiragana", hiragana}, {"Katakana", katakana}, {"Hangul", hangul}, {"Thai", thai}};

/* Equality without regard to case, spaces, - and _. */
static bool same_name(const char *name, size_t length, const char *known) {
    size_t i = 0;
    for (;; known++) {
        while (i < length && (name[i] == '_' || name[i] == ' ' || name[i] == '-')) i++;
        if (*known == '_') continue;
        if (i == length || !*known) return i == length && !*known;
        if ((name[i] | 0x20) != (*known | 0x20)) return false;
        i++;
    }
}

bool tfm__charset_property(tfm__charset *set, const char *name, size_t length, bool *known) {
    *known = true;
    if (same_name(name, length, "Any")) return tfm__charset_add(set, 0, LAST_CODE);
    for (size_t i = 0; i < TFM__COUNT(categories); i++)
        if (same_name(name, length, categories[i].name) || same_name(name, length, categories[i].full))
            return add_where(set, categories[i].categories, 0);
    for (size_t i = 0; i < TFM__COUNT(scripts); i++) {
        if (!same_name(name, length, scripts[i].name)) continue;
        for (const tfm__range32 *r = scripts[i].ranges; r->first <= r->last; r++)
            if (!tfm__charset_add(set, r->first, r->last)) return false;
        return true;
    }
    *known = false;
    return true;
}
