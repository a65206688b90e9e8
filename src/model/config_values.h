/* config_values.h - what the parts of the reader of config.json share. Every reader takes names with |
 * between them, says whether the key is there, and leaves *out alone where it is not; the first failure stays
 * in status. */
#ifndef TFM__CONFIG_VALUES_H
#define TFM__CONFIG_VALUES_H

#include "model/config.h"

/* A key that changes what is computed, and the values with which it does not: as in tfm__demand, or "". null,
 * an empty list or object, and a list of nothing but such values change nothing either. */
typedef struct tfm__config_key {
    const char *key, *idle;
} tfm__config_key;

#define TFM__CONFIG_KEYS 160 /* most rows of the table in config_keys.c */

const tfm__config_key *tfm__config_key_at(size_t index); /* NULL past the end */

typedef struct tfm__reader {
    const tfm__json *json;
    tfm__json_value root; /* the object that describes the text model */
    const char *file;
    tfm_error *error;
    int32_t status;
    bool asked[TFM__CONFIG_KEYS]; /* which keys of that table somebody looked for in root */
} tfm__reader;

/* The member of that name; of several names with | between them the first that is there. null counts as
 * absent. Marks all of them as asked for. */
tfm__json_value tfm__present(tfm__reader *r, tfm__json_value object, const char *names);
void tfm__fail_value(tfm__reader *r, tfm__json_value value, const char *key, const char *what);
/* Refuses a value by its key; only: what is supported, as literals, "" for nothing. */
void tfm__refuse_value(tfm__reader *r, tfm__json_value value, const char *key, const char *only);
bool tfm__read_u32(tfm__reader *r, const char *names, bool required, uint32_t *out);
bool tfm__read_f64(tfm__reader *r, tfm__json_value object, const char *names, double *out);
bool tfm__read_f32(tfm__reader *r, const char *names, float *out);
bool tfm__read_bool(tfm__reader *r, const char *names, bool *out);

/* Parts (config_rope.c, config_refuse.c). */
void tfm__read_rotary_dim(tfm__reader *r, tfm__config *config);
void tfm__read_ropes(tfm__reader *r, tfm__config *config, tfm__arena *arena);
void tfm__scale_by_stretch(tfm__config *config);
void tfm__read_windows(tfm__reader *r, tfm__config *config, tfm__container *container);
void tfm__read_rotated(tfm__reader *r, tfm__config *config, tfm__container *container);
void tfm__refuse_unknown(tfm__reader *r, const tfm__family *family);

#endif
