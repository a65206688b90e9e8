/* families_help.h - the small models of tests/data/families: weights by the formula of make_families.py, as a
 * folder in memory. For one cmocka program each. */
#ifndef FAMILIES_HELP_H
#define FAMILIES_HELP_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folder_source.h"

typedef struct family_files {
    char *config, *weights;
    size_t config_size, weights_size;
} family_files;

static inline char *family_read(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("there is no %s", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, file), *size);
    data[*size] = 0;
    fclose(file);
    return data;
}

static inline uint64_t family_hash(const char *name, size_t length) {
    uint64_t value = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++) value = (value ^ (uint8_t)name[i]) * 0x100000001b3u;
    return value;
}

/* Weight i of a tensor, between -1 and 1 before mean and spread. */
static inline double family_unit(uint64_t hash, uint64_t i) {
    uint64_t x = hash + (i + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (double)(x >> 40) / 8388608.0 - 1.0;
}

/* One line of tensors.txt. */
typedef struct family_tensor {
    const char *name;
    size_t name_length, shape[6], rank, count;
    double mean, spread;
} family_tensor;

/* Reads the line at *at; false at the end. */
static inline bool family_line(char **at, family_tensor *t) {
    char *space = strchr(*at, ' '), *next;
    if (!space) return false;
    *t = (family_tensor){.name = *at, .name_length = (size_t)(space - *at), .count = 1};
    t->mean = strtod(space, &next);
    t->spread = strtod(next, &next);
    while (*next == ' ') {
        assert_true(t->rank < 6);
        t->shape[t->rank] = strtoul(next, &next, 10);
        t->count *= t->shape[t->rank++];
    }
    *at = *next ? next + 1 : next;
    return true;
}

/* config.json and a safetensors file of folder's family. */
static inline family_files family_make(const char *folder) {
    family_files out;
    family_tensor t;
    char path[600], *table, *at, *header;
    size_t table_size, total = 0, used = 0, offset = 0;
    snprintf(path, sizeof path, "%s/config.json", folder);
    out.config = family_read(path, &out.config_size);
    snprintf(path, sizeof path, "%s/tensors.txt", folder);
    table = family_read(path, &table_size);
    for (at = table; family_line(&at, &t);) total += t.count * sizeof(float);
    size_t capacity = table_size * 6 + 4096;
    header = malloc(capacity);
    assert_non_null(header);
    for (at = table; family_line(&at, &t); offset += t.count * sizeof(float)) {
        assert_true(used + t.name_length + 256 < capacity);
        used += (size_t)snprintf(header + used, capacity - used, "%s\"%.*s\":{\"dtype\":\"F32\",\"shape\":[",
                                 used ? "," : "{", (int)t.name_length, t.name);
        for (size_t d = 0; d < t.rank; d++)
            used += (size_t)snprintf(header + used, capacity - used, "%s%zu", d ? "," : "", t.shape[d]);
        used += (size_t)snprintf(header + used, capacity - used, "],\"data_offsets\":[%zu,%zu]}", offset,
                                 offset + t.count * sizeof(float));
    }
    header[used++] = '}';
    while (used % 8) header[used++] = ' ';
    out.weights_size = 8 + used + total;
    out.weights = malloc(out.weights_size);
    assert_non_null(out.weights);
    for (int i = 0; i < 8; i++) out.weights[i] = (char)(used >> 8 * i);
    memcpy(out.weights + 8, header, used);
    float *values = (float *)(void *)(out.weights + 8 + used); /* malloc's 16, 8 and a multiple of 8 */
    for (at = table; family_line(&at, &t);) {
        uint64_t hash = family_hash(t.name, t.name_length);
        for (size_t i = 0; i < t.count; i++) *values++ = (float)(t.mean + t.spread * family_unit(hash, i));
    }
    free(header);
    free(table);
    return out;
}

static inline void family_free(family_files *files) {
    free(files->config);
    free(files->weights);
}

/* The files as a folder; they must outlive the models loaded from it. */
static inline void family_folder(const family_files *files, folder *out) {
    *out = (folder){.count = 0};
    folder_add(out, "config.json", files->config, files->config_size);
    folder_add(out, "model.safetensors", files->weights, files->weights_size);
}

#endif
