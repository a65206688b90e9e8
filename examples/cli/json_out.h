/* json_out.h - values of JSON on a stream. What is written is valid JSON (RFC 8259) whatever the bytes are.
 */
#ifndef CLI_JSON_OUT_H
#define CLI_JSON_OUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A string: control characters escaped, every maximal ill-formed part of UTF-8 replaced by U+FFFD. */
void json_string(FILE *out, const char *bytes, size_t length);
void json_text(FILE *out, const char *text); /* ends in NUL */

/* The shortest number that reads back as the same double; null if it is not finite. */
void json_number(FILE *out, double value);

/* [1,2,3] */
void json_ids(FILE *out, const int32_t *ids, size_t count);

#endif
