/* tensors_out.h - writing a safetensors file to a stream: a header that names every tensor, then their
 * numbers in the same order. All are F32. Both give 0, or -1 with errno. */
#ifndef CLI_TENSORS_OUT_H
#define CLI_TENSORS_OUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct tensors_out_entry {
    char name[32]; /* plain ASCII without quotes */
    int dims;      /* 1 or 2 */
    uint64_t shape[2];
} tensors_out_entry;

int tensors_out_header(FILE *file, const tensors_out_entry *entries, size_t count);
int tensors_out_floats(FILE *file, const float *values, size_t count);

#endif
