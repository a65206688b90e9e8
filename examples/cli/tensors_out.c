/* tensors_out.c - see tensors_out.h.
 *
 * Layout (https://huggingface.co/docs/safetensors): the header's length as a little-endian 64-bit number, the
 * header as JSON padded with spaces so that the data is aligned, then the numbers, little-endian. */
#include "tensors_out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void put_le(unsigned char *out, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) out[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t bytes_of(const tensors_out_entry *entry) {
    return 4 * entry->shape[0] * (entry->dims > 1 ? entry->shape[1] : 1);
}

int tensors_out_header(FILE *file, const tensors_out_entry *entries, size_t count) {
    size_t used = 0, room = 16 + count * 192;
    uint64_t at = 0;
    unsigned char length[8];
    char *json = malloc(room), shape[48];
    if (!json) {
        errno = ENOMEM;
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const tensors_out_entry *entry = &entries[i];
        snprintf(shape, sizeof shape, entry->dims > 1 ? "%" PRIu64 ",%" PRIu64 : "%" PRIu64, entry->shape[0],
                 entry->shape[1]);
        used += (size_t)snprintf(json + used, room - used,
                                 "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%" PRIu64
                                 ",%" PRIu64 "]}",
                                 i ? ',' : '{', entry->name, shape, at, at + bytes_of(entry));
        at += bytes_of(entry);
    }
    json[used++] = '}';
    while (used % 8) json[used++] = ' ';
    put_le(length, used, 8);
    int failed = fwrite(length, 1, 8, file) != 8 || fwrite(json, 1, used, file) != used;
    free(json);
    return failed ? -1 : 0;
}

int tensors_out_floats(FILE *file, const float *values, size_t count) {
    unsigned char bytes[4096];
    for (size_t done = 0; done < count;) {
        size_t n = count - done < sizeof bytes / 4 ? count - done : sizeof bytes / 4;
        for (size_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, &values[done + i], 4);
            put_le(bytes + 4 * i, bits, 4);
        }
        if (fwrite(bytes, 4, n, file) != n) return -1;
        done += n;
    }
    return 0;
}
