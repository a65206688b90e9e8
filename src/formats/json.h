/* json.h - a read-only view of a JSON text, on jsmn's tokens: no allocation but the token array, numbers stay
 * text until asked for, strings are unescaped on request. Depth is bounded (64); a strict check of the
 * grammar and of the UTF-8 comes before jsmn. Used for config.json, safetensors headers and tokenizer.json.
 */
#ifndef TFM__JSON_H
#define TFM__JSON_H

#include "base/base.h"

typedef struct tfm__json_token tfm__json_token; /* one value; private */

typedef struct tfm__json {
    tfm__heap *heap;
    const char *text;
    size_t size;
    tfm__json_token *tokens; /* NULL: empty */
    int32_t count;
    const char *file; /* for messages; kept, not copied */
} tfm__json;

/* A value: index of a token; TFM__JSON_NONE says "absent" and every reader below takes it and answers "no".
 */
typedef int32_t tfm__json_value;
#define TFM__JSON_NONE (-1)
enum {
    TFM__JSON_ABSENT = 0,
    TFM__JSON_NULL,
    TFM__JSON_BOOL,
    TFM__JSON_NUMBER,
    TFM__JSON_STRING,
    TFM__JSON_ARRAY,
    TFM__JSON_OBJECT
};

/* Parses the whole text (which must outlive the view). Errors name file and byte. Duplicate keys: the first
 * counts. Trailing text, unbalanced or deeper than 64 levels, more than 2^31-1 tokens: TFM_E_FORMAT. */
int32_t tfm__json_parse(tfm__json *json, tfm__heap *heap, const char *text, size_t size, const char *file,
                        tfm_error *error);
void tfm__json_release(tfm__json *json);

static inline tfm__json_value tfm__json_root(const tfm__json *json) {
    return json->tokens ? 0 : TFM__JSON_NONE;
}
int tfm__json_kind(const tfm__json *json, tfm__json_value value);
size_t tfm__json_size(const tfm__json *json, tfm__json_value value); /* members or elements; 0 otherwise */

/* Member of an object by key (compared unescaped), element of an array: linear. For long ones iterate:
 * first child, then next. For objects the iteration goes over keys; tfm__json_member_value gives a key's
 * value. */
tfm__json_value tfm__json_get(const tfm__json *json, tfm__json_value object, const char *key);
tfm__json_value tfm__json_at(const tfm__json *json, tfm__json_value array, size_t index);
tfm__json_value tfm__json_first(const tfm__json *json, tfm__json_value container);
tfm__json_value tfm__json_next(const tfm__json *json, tfm__json_value container, tfm__json_value previous);
tfm__json_value tfm__json_member_value(const tfm__json *json, tfm__json_value key);

bool tfm__json_bool(const tfm__json *json, tfm__json_value value, bool *out);
bool tfm__json_i64(const tfm__json *json, tfm__json_value value,
                   int64_t *out); /* false for fractions, overflow */
bool tfm__json_f64(const tfm__json *json, tfm__json_value value, double *out); /* false: too large */
bool tfm__json_equals(const tfm__json *json, tfm__json_value value,
                      const char *text); /* an unescaped string */

/* The raw bytes of a string between its quotes, still escaped (fast path: no backslash inside means they are
 * final). */
bool tfm__json_raw(const tfm__json *json, tfm__json_value value, const char **text, size_t *size);
/* Unescapes a string to UTF-8 (surrogate pairs joined, lone ones U+FFFD). capacity of at least the raw size
 * suffices. Returns the length, or SIZE_MAX if the value is no string or the escapes are malformed. */
size_t tfm__json_unescape(const tfm__json *json, tfm__json_value value, char *out, size_t capacity);
/* The bytes of any value as they stand in the file, quotes and brackets included, for messages; empty if
 * there is none. */
void tfm__json_source(const tfm__json *json, tfm__json_value value, const char **text, size_t *size);
/* Byte offset of a value in the text, for messages. */
uint64_t tfm__json_offset(const tfm__json *json, tfm__json_value value);

#endif
