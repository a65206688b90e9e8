/* config_values.h - what the parts of the reader of config.json share. Every reader takes names with |
 * between them, says whether the key is there, and leaves *out alone where it is not; the first failure stays
 * in status. */
#ifndef TFM__CONFIG_VALUES_H
#define TFM__CONFIG_VALUES_H

#include "model/config.h"

typedef struct tfm__reader {
    const tfm__json *json;
    tfm__json_value root; /* the object that describes the text model */
    const char *file;
    tfm_error *error;
    int32_t status;
} tfm__reader;

/* The member of that name; of several names with | between them the first that is there. null counts as
 * absent. */
tfm__json_value tfm__present(const tfm__reader *r, tfm__json_value object, const char *names);
void tfm__fail_value(tfm__reader *r, tfm__json_value value, const char *key, const char *what);
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
