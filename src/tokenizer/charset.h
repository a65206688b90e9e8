/* charset.h - sets of code points as sorted ranges, for the regular expressions of strangers
 * (regex_translate.c). */
#ifndef TFM__CHARSET_H
#define TFM__CHARSET_H

#include "tokenizer/unicode.h"

typedef struct tfm__range32 {
    uint32_t first, last;
} tfm__range32;

/* Sorted, apart from each other, without surrogates, once tfm__charset_settle has run. */
typedef struct tfm__charset {
    tfm__buffer ranges; /* tfm__range32 */
} tfm__charset;

void tfm__charset_init(tfm__charset *set, tfm__heap *heap);
void tfm__charset_free(tfm__charset *set);

/* All return false when memory was refused. */
bool tfm__charset_add(tfm__charset *set, uint32_t first, uint32_t last);
bool tfm__charset_add_set(tfm__charset *set, const tfm__charset *other);
bool tfm__charset_settle(tfm__charset *set); /* sorts and joins */
bool tfm__charset_negate(tfm__charset *set); /* of a settled set; the result is settled */
bool tfm__charset_meet(tfm__charset *set, const tfm__charset *other); /* both settled: what is in both */

/* What a property's name stands for: general categories ("L", "Lu", "Letter"), "Any", scripts ("Han"). *known
 * false for a name that is none. Adds to the set, unsettled. */
bool tfm__charset_property(tfm__charset *set, const char *name, size_t length, bool *known);
/* White_Space; category Nd; word characters, as Rust or Oniguruma has them: in a class of Oniguruma the signs of Latin-1
 * that it counts elsewhere (tfm__unicode_onig_word) are none. */
bool tfm__charset_space(tfm__charset *set);
bool tfm__charset_digit(tfm__charset *set);
bool tfm__charset_word(tfm__charset *set, bool oniguruma, bool in_class);

#endif
