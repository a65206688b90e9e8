/* unicode.h - reading UTF-8 and asking what a code point is; used by every part of the tokenizer.
 *
 * The tables are generated (tools/unicode) for stated versions of Unicode, because which code points are
 * letters, and what they are normalised to, decides which ids a text has: unicode_tables.c has categories,
 * unicode_normal_tables.c the rest. docs/decisions/0010-normal-forms-from-our-own-tables.md says which
 * version each speaks of and why. */
#ifndef TFM__UNICODE_H
#define TFM__UNICODE_H

#include "base/base.h"

/* General categories, in the order of the generated table. */
enum tfm__category {
    TFM__CN,
    TFM__CC,
    TFM__CF,
    TFM__CO,
    TFM__CS,
    TFM__LU,
    TFM__LL,
    TFM__LT,
    TFM__LM,
    TFM__LO,
    TFM__MN,
    TFM__MC,
    TFM__ME,
    TFM__ND,
    TFM__NL,
    TFM__NO,
    TFM__PC,
    TFM__PD,
    TFM__PS,
    TFM__PE,
    TFM__PI,
    TFM__PF,
    TFM__PO,
    TFM__SM,
    TFM__SC,
    TFM__SK,
    TFM__SO,
    TFM__ZS,
    TFM__ZL,
    TFM__ZP,
    TFM__SPACE = 30 /* not a category: stands for White_Space in the sets below */
};

/* Sets of categories as bit masks; White_Space is bit 30 whatever the category. */
#define TFM__SET(category) (1u << (category))
#define TFM__SET_UPPER (TFM__SET(TFM__LU) | TFM__SET(TFM__LT))
#define TFM__SET_LOWER TFM__SET(TFM__LL)
#define TFM__SET_CASELESS (TFM__SET(TFM__LM) | TFM__SET(TFM__LO))
#define TFM__SET_L (TFM__SET_UPPER | TFM__SET_LOWER | TFM__SET_CASELESS)
#define TFM__SET_M (TFM__SET(TFM__MN) | TFM__SET(TFM__MC) | TFM__SET(TFM__ME))
#define TFM__SET_N (TFM__SET(TFM__ND) | TFM__SET(TFM__NL) | TFM__SET(TFM__NO))
#define TFM__SET_P                                                                                           \
    (TFM__SET(TFM__PC) | TFM__SET(TFM__PD) | TFM__SET(TFM__PS) | TFM__SET(TFM__PE) | TFM__SET(TFM__PI) |     \
     TFM__SET(TFM__PF) | TFM__SET(TFM__PO))
#define TFM__SET_S (TFM__SET(TFM__SM) | TFM__SET(TFM__SC) | TFM__SET(TFM__SK) | TFM__SET(TFM__SO))
#define TFM__SET_SPACE TFM__SET(TFM__SPACE)

#define TFM__ENTRY_CATEGORY 0x1fu
#define TFM__ENTRY_SPACE 0x20u
#define TFM__ENTRY_WORD 0x40u /* \w of Rust's regular expressions (UTS #18) */
#define TFM__ENTRY_PUNCTUATION                                                                               \
    0x80u /* of Hugging Face's pre-tokenizers: category P of Unicode 8, ASCII's symbols */

extern const char tfm__unicode_version[];
extern const uint16_t tfm__unicode_index[8704];
extern const uint8_t tfm__unicode_blocks[];

/* The table's entry for a code point below 0x110000. */
static inline uint32_t tfm__unicode_entry(uint32_t code) {
    return tfm__unicode_blocks[(uint32_t)tfm__unicode_index[code >> 7] << 7 | (code & 127u)];
}

/* The sets that an entry belongs to: one bit, either White_Space or the category. */
static inline uint32_t tfm__entry_set(uint32_t entry) {
    return entry & TFM__ENTRY_SPACE ? TFM__SET_SPACE : TFM__SET(entry & TFM__ENTRY_CATEGORY);
}

/* Rust's char::is_numeric, which Hugging Face's Digits asks: category N of Unicode 17. */
static inline bool tfm__unicode_numeric(uint32_t code) {
    return (tfm__entry_set(tfm__unicode_entry(code)) & TFM__SET_N) || code - 0x11de0u < 10 ||
           code - 0x16ff4u < 3;
}

/* \w of Oniguruma outside of classes: no joiners, but the superscripts and fractions of Latin-1. */
static inline bool tfm__unicode_onig_word(uint32_t code) {
    if (code < 0x100 && (code == 0xb2 || code == 0xb3 || code == 0xb9 || (code >= 0xbc && code <= 0xbe)))
        return true;
    return (tfm__unicode_entry(code) & TFM__ENTRY_WORD) && code != 0x200c && code != 0x200d;
}

#define TFM__NO_CODE UINT32_MAX

/* Reads the code point at text (length > 0): its bytes in *used. Ill-formed: TFM__NO_CODE, *used = 1.
 * Well-formed is what table 3-7 of the Unicode Standard says: no surrogates, no overlong forms, nothing above
 * U+10FFFF. */
static inline uint32_t tfm__utf8_read(const uint8_t *text, size_t length, uint32_t *used) {
    uint32_t a = text[0], b, c, d;
    *used = 1;
    if (a < 0x80) return a;
    if (a < 0xc2 || a > 0xf4 || length < 2) return TFM__NO_CODE;
    b = text[1];
    if ((b & 0xc0u) != 0x80) return TFM__NO_CODE;
    if (a < 0xe0) {
        *used = 2;
        return (a & 0x1fu) << 6 | (b & 0x3fu);
    }
    if (length < 3) return TFM__NO_CODE;
    c = text[2];
    if ((c & 0xc0u) != 0x80) return TFM__NO_CODE;
    if (a < 0xf0) {
        uint32_t code = (a & 0x0fu) << 12 | (b & 0x3fu) << 6 | (c & 0x3fu);
        if (code < 0x800 || (code >= 0xd800 && code < 0xe000)) return TFM__NO_CODE;
        *used = 3;
        return code;
    }
    if (length < 4) return TFM__NO_CODE;
    d = text[3];
    if ((d & 0xc0u) != 0x80) return TFM__NO_CODE;
    {
        uint32_t code = (a & 0x07u) << 18 | (b & 0x3fu) << 12 | (c & 0x3fu) << 6 | (d & 0x3fu);
        if (code < 0x10000 || code > 0x10ffff) return TFM__NO_CODE;
        *used = 4;
        return code;
    }
}

/* Writes a code point below 0x110000 as UTF-8; returns the number of bytes, 1 to 4. */
uint32_t tfm__utf8_write(uint32_t code, uint8_t out[4]);

/* Length of the longest well-formed beginning of a text. */
size_t tfm__utf8_valid(const uint8_t *text, size_t length);

/* Length of the maximal ill-formed part at the front of a text that does not begin with a well-formed
 * character; length > 0. (Unicode Standard, section 3.9: what U+FFFD takes the place of.) */
size_t tfm__utf8_ill_formed(const uint8_t *text, size_t length);

/* ---- Normal forms (Unicode 9; unicode_normal.c turns texts into them) ---- */

enum tfm__form { TFM__FORM_NFC, TFM__FORM_NFD, TFM__FORM_NFKC, TFM__FORM_NFKD };

/* A code point's part in normal forms. Hangul syllables have no decomposition here: it is computed. */
typedef struct tfm__normal_record {
    uint16_t canonical, compatible;            /* full decomposition in tfm__normal_pool */
    uint8_t canonical_count, compatible_count; /* its length; 0: none */
    uint8_t combining;                         /* combining class */
    uint8_t flags;                             /* TFM__NORMAL_OTHER, TFM__NORMAL_APART */
} tfm__normal_record;

#define TFM__NORMAL_OTHER(form) (1u << (form))  /* a text that holds it may not be in this form */
#define TFM__NORMAL_APART(form) (16u << (form)) /* nothing in front of it and it act on each other */

extern const uint8_t tfm__normal_index[8704];
extern const uint16_t tfm__normal_blocks[];
extern const tfm__normal_record tfm__normal_records[];
extern const uint32_t tfm__normal_pool[];
extern const uint32_t tfm__normal_pairs[][3]; /* first, second, what they compose to; in order */
extern const size_t tfm__normal_pair_count;

static inline const tfm__normal_record *tfm__normal_record_of(uint32_t code) {
    return &tfm__normal_records[tfm__normal_blocks[(uint32_t)tfm__normal_index[code >> 7] << 7 |
                                                   (code & 127u)]];
}

/* What two code points compose to, or TFM__NO_CODE. */
uint32_t tfm__unicode_compose(uint32_t first, uint32_t second);

/* ---- Grapheme clusters (Unicode 17) and classes of old versions ---- */

enum tfm__cluster {
    TFM__CLUSTER_OTHER,
    TFM__CLUSTER_CR,
    TFM__CLUSTER_LF,
    TFM__CLUSTER_CONTROL,
    TFM__CLUSTER_EXTEND,    /* Extend, but no InCB */
    TFM__CLUSTER_EXTEND_IN, /* InCB Extend */
    TFM__CLUSTER_LINKER,    /* InCB Linker */
    TFM__CLUSTER_ZWJ,
    TFM__CLUSTER_REGIONAL,
    TFM__CLUSTER_PREPEND,
    TFM__CLUSTER_SPACING,
    TFM__CLUSTER_L,
    TFM__CLUSTER_V,
    TFM__CLUSTER_T,
    TFM__CLUSTER_HANGUL, /* LV or LVT */
    TFM__CLUSTER_PICTOGRAPH,
    TFM__CLUSTER_CONSONANT /* InCB Consonant */
};
#define TFM__CLASS_CLUSTER 0x1fu
#define TFM__CLASS_MARK 0x20u      /* category M of Unicode 9 */
#define TFM__CLASS_BERT_MARK 0x40u /* category Mn of Unicode 8 */
#define TFM__CLASS_BERT_DROP 0x80u /* categories Cc, Cf and Co of Unicode 8, NUL, U+FFFD */

extern const uint8_t tfm__class_index[8704], tfm__class_blocks[];

static inline uint32_t tfm__unicode_class(uint32_t code) {
    return tfm__class_blocks[(uint32_t)tfm__class_index[code >> 7] << 7 | (code & 127u)];
}

/* Length (1 .. length) of the extended grapheme cluster at the front of a text, length > 0. An ill-formed
 * byte is one of its own. */
size_t tfm__unicode_cluster(const uint8_t *text, size_t length);

/* ---- Lower case (Unicode 17) and scripts (Unicode 9) ---- */

extern const uint8_t tfm__lower_index[8704], tfm__lower_blocks[];
extern const int32_t tfm__lower_deltas[];

/* The lower case of a code point, as far as it is a single one: of U+0130, whose lower case is U+0069 U+0307,
 * the code point itself. */
static inline uint32_t tfm__unicode_lower(uint32_t code) {
    uint32_t delta = tfm__lower_blocks[(uint32_t)tfm__lower_index[code >> 7] << 7 | (code & 127u)];
    return (uint32_t)((int32_t)code + tfm__lower_deltas[delta]);
}

#define TFM__SCRIPT_ANY 0u /* in none of the scripts */
#define TFM__SCRIPT_COMMON 1u
#define TFM__SCRIPT_INHERITED 2u

extern const uint8_t tfm__script_index[8704], tfm__script_blocks[];
extern const uint8_t tfm__script_han[3]; /* Han, Hiragana, Katakana */

/* A number for the script of a code point, as Hugging Face's script table has it: Common and Inherited are
 * scripts of their own there. */
static inline uint32_t tfm__unicode_raw_script(uint32_t code) {
    return tfm__script_blocks[(uint32_t)tfm__script_index[code >> 7] << 7 | (code & 127u)];
}

/* The same as its UnicodeScripts pre-tokenizer uses it: Hiragana, Katakana and U+30FC count as Han, and the
 * space as TFM__SCRIPT_ANY, which changes no script. */
uint32_t tfm__unicode_script(uint32_t code);

#endif
