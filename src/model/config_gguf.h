/* config_gguf.h - what the parts of the reader of GGUF's description share. */
#ifndef TFM__CONFIG_GGUF_H
#define TFM__CONFIG_GGUF_H

#include "model/config_values.h"

#define TFM__GGUF_KEYS 64 /* most rows of the table in config_gguf_keys.c */

typedef struct tfm__gguf_reader {
    const tfm__container *container;
    tfm__text architecture;
    const char *file;
    tfm_error *error;
    int32_t status;             /* the first failure; later reads do nothing */
    bool asked[TFM__GGUF_KEYS]; /* which keys of that table somebody looked for */
} tfm__gguf_reader;

/* The value of "<architecture>.<name>", NULL where the file has none; marks the key as asked for. */
const tfm__meta *tfm__gguf_meta(tfm__gguf_reader *r, const char *name);
void tfm__gguf_wrong_type(tfm__gguf_reader *r, const tfm__meta *meta);
void tfm__gguf_key_asked(tfm__gguf_reader *r, const char *name);

/* Refuses a key that changes what is computed and that nobody asked for. Last: it looks at what was read. */
void tfm__refuse_gguf_keys(tfm__gguf_reader *r, const tfm__config *config);

#endif
