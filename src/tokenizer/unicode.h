/* unicode.h - reading UTF-8 and asking what a code point is; used by every part of the tokenizer.
 *
 * The category tables are generated (tools/unicode/make_tables.py) for one stated version of Unicode, because
 * which code points are letters decides where a text is split. Normalisation (NFC) comes from utf8proc. */
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
#define TFM__ENTRY_WORD 0x40u

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

/* Length of the maximal ill-formed part at the front of a text that does not begin with a well-formed character; length >
 * 0. (Unicode Standard, section 3.9: what U+FFFD takes the place of.) */
size_t tfm__utf8_ill_formed(const uint8_t *text, size_t length);

/* Appends the NFC form of a text to out; ill-formed bytes are kept where they are, and nothing composes
 * across them. False when memory was refused. */
bool tfm__unicode_nfc(const uint8_t *text, size_t length, tfm__buffer *out);

#endif
