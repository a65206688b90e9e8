/* status.c - status codes in words, and filling the caller's tfm_error. Used by every fallible function.
 *
 * An error is composed in a local tfm_error first and copied field by field as far as the caller's
 * struct_size reaches: a caller built against an older header never gets bytes behind its struct, and
 * arguments may point into the very error that is being filled. */
#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"

const char *tfm_status_name(int32_t status) {
    switch (status) {
#define TFM__STATUS(symbol, text)                                                                            \
    case symbol:                                                                                             \
        return #symbol;
#include "base/status.inc"
#undef TFM__STATUS
    default:
        return "TFM_E_?";
    }
}

const char *tfm_status_text(int32_t status) {
    switch (status) {
#define TFM__STATUS(symbol, text)                                                                            \
    case symbol:                                                                                             \
        return text;
#include "base/status.inc"
#undef TFM__STATUS
    default:
        return "unknown status";
    }
}

/* Copies text and cuts it to the field, never in the middle of a UTF-8 sequence. */
static void put_text(char *field, size_t capacity, const char *text) {
    size_t length = text ? strlen(text) : 0;
    if (length >= capacity) {
        length = capacity - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80) length--;
    }
    if (length) memcpy(field, text, length);
    field[length] = '\0';
}

/* One field of the filled error, if the caller's struct is long enough to have it. */
#define TFM__PUT_FIELD(error, from, field)                                                                   \
    do {                                                                                                     \
        if ((error)->struct_size >= offsetof(tfm_error, field) + sizeof((error)->field))                     \
            memcpy(&(error)->field, &(from)->field, sizeof((error)->field));                                 \
    } while (0)

static void deliver(tfm_error *error, const tfm_error *from) {
    TFM__PUT_FIELD(error, from, code);
    TFM__PUT_FIELD(error, from, reserved);
    TFM__PUT_FIELD(error, from, offset);
    TFM__PUT_FIELD(error, from, message);
    TFM__PUT_FIELD(error, from, file);
    TFM__PUT_FIELD(error, from, tensor);
}

int32_t tfm__fail(tfm_error *error, int32_t code, const char *format, ...) {
    tfm_error filled = TFM_ERROR_INIT;
    char text[sizeof filled.message + 64];
    va_list arguments;
    if (!error) return code;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0) text[0] = '\0';
    va_end(arguments);
    filled.code = code;
    put_text(filled.message, sizeof filled.message, text[0] ? text : tfm_status_text(code));
    deliver(error, &filled);
    return code;
}

int32_t tfm__fail_at(tfm_error *error, int32_t code, const char *file, const char *tensor, uint64_t offset,
                     const char *format, ...) {
    tfm_error filled = TFM_ERROR_INIT;
    char text[sizeof filled.message], whole[2 * sizeof filled.message], place[48] = "";
    va_list arguments;
    if (!error) return code;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0) text[0] = '\0';
    va_end(arguments);
    filled.code = code;
    filled.offset = offset == TFM__NO_OFFSET ? 0 : offset;
    put_text(filled.file, sizeof filled.file, file);
    put_text(filled.tensor, sizeof filled.tensor, tensor);
    if (offset != TFM__NO_OFFSET)
        snprintf(place, sizeof place, " (at byte %llu)", (unsigned long long)offset);
    /* the cut copies of the names are used, so that a name of a megabyte leaves room for what went wrong */
    snprintf(whole, sizeof whole, "%s%s%s%s%s%s%s", filled.file, file && *file ? ": " : "",
             tensor && *tensor ? "tensor '" : "", filled.tensor, tensor && *tensor ? "': " : "", text, place);
    put_text(filled.message, sizeof filled.message, whole);
    deliver(error, &filled);
    return code;
}

int32_t tfm__fail_memory(tfm_error *error, const tfm__heap *heap, size_t bytes) {
    if (heap && heap->parent) heap = heap->parent;
    if (heap && atomic_load(&heap->over_budget))
        return tfm__fail(error, TFM_E_BUDGET,
                         "the budget of %llu bytes does not allow %llu more than the %llu in use",
                         (unsigned long long)heap->budget, (unsigned long long)bytes,
                         (unsigned long long)atomic_load(&heap->live));
    return tfm__fail(error, TFM_E_MEMORY, "no memory for %llu bytes", (unsigned long long)bytes);
}

/* A struct_size this far beyond what we know is an uninitialised struct, not a future one: its tail is not
 * read. */
#define TFM__STRUCT_SLACK 4096

int32_t tfm__take_options(const void *given, void *out, size_t known_size, const char *what,
                          tfm_error *error) {
    size_t size, i;
    memset(out, 0, known_size);
    if (!given) return TFM_OK;
    memcpy(&size, given, sizeof size);
    if (size < sizeof(size_t))
        return tfm__fail(error, TFM_E_ARGUMENT, "%s: struct_size is %llu; set it with the _INIT macro", what,
                         (unsigned long long)size);
    if (size > known_size) {
        const unsigned char *bytes = given;
        if (size - known_size > TFM__STRUCT_SLACK)
            return tfm__fail(error, TFM_E_ARGUMENT, "%s: struct_size %llu is not believable", what,
                             (unsigned long long)size);
        for (i = known_size; i < size; i++)
            if (bytes[i])
                return tfm__fail(error, TFM_E_ARGUMENT,
                                 "%s: uses fields that this version of the library does not know", what);
    }
    memcpy(out, given, TFM__MIN(size, known_size));
    memcpy(out, &known_size, sizeof known_size);
    return TFM_OK;
}

int32_t tfm__give_struct(void *out, const void *full, size_t known_size, const char *what, tfm_error *error) {
    size_t size;
    memcpy(&size, out, sizeof size);
    if (size < sizeof(size_t) || (size > known_size && size - known_size > TFM__STRUCT_SLACK))
        return tfm__fail(error, TFM_E_ARGUMENT, "%s: struct_size is %llu; set it with the _INIT macro", what,
                         (unsigned long long)size);
    memcpy((char *)out + sizeof size, (const char *)full + sizeof size,
           TFM__MIN(size, known_size) - sizeof size);
    return TFM_OK;
}
