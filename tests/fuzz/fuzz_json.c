/* fuzz_json.c - any bytes as JSON: what is accepted is walked over completely, and walking must agree with
 * counting. */
#include <stdlib.h>

#include "formats/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

/* Reads a value in every way there is; returns how many tokens it and everything below it have. */
static int32_t visit(const tfm__json *json, tfm__json_value value, char *scratch, int depth) {
    int32_t count = 1;
    size_t members = 0, length;
    const char *raw = NULL;
    size_t raw_size = 0;
    int64_t i = 0;
    double d = 0;
    bool b = false;
    int kind = tfm__json_kind(json, value);
    tfm__json_value child;
    check(kind != TFM__JSON_ABSENT && depth <= 65);
    check(tfm__json_offset(json, value) < json->size);
    check(tfm__json_bool(json, value, &b) == (kind == TFM__JSON_BOOL));
    if (tfm__json_i64(json, value, &i)) check(kind == TFM__JSON_NUMBER);
    if (tfm__json_f64(json, value, &d)) check(kind == TFM__JSON_NUMBER && d - d == 0.0);
    check(tfm__json_raw(json, value, &raw, &raw_size) == (kind == TFM__JSON_STRING));
    length = tfm__json_unescape(json, value, scratch, raw_size);
    if (kind == TFM__JSON_STRING) {
        check(length <= raw_size);
        scratch[length] = '\0';
        if (!memchr(scratch, 0, length)) check(tfm__json_equals(json, value, scratch));
    }
    for (child = tfm__json_first(json, value); child != TFM__JSON_NONE;
         child = tfm__json_next(json, value, child)) {
        if (kind == TFM__JSON_OBJECT) {
            count += 1 + visit(json, tfm__json_member_value(json, child), scratch, depth + 1);
            check(tfm__json_kind(json, child) == TFM__JSON_STRING);
        } else {
            count += visit(json, child, scratch, depth + 1);
        }
        members++;
    }
    check(members == tfm__json_size(json, value));
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tfm__heap heap;
    tfm__json json;
    tfm_error error = TFM_ERROR_INIT;
    tfm__heap_init(&heap, NULL, 0);
    if (tfm__json_parse(&json, &heap, (const char *)data, size, "input", &error) == TFM_OK) {
        char *scratch = malloc(size + 1);
        if (scratch) check(visit(&json, tfm__json_root(&json), scratch, 0) == json.count);
        free(scratch);
        tfm__json_get(&json, tfm__json_root(&json), "a");
        tfm__json_at(&json, tfm__json_root(&json), 3);
        tfm__json_release(&json);
    } else {
        check(error.code == TFM_E_FORMAT);
    }
    check(atomic_load(&heap.live) == 0);
    return 0;
}
