/* folder_source.h - a tfm_source that is a folder of files in memory: the first is the main one. */
#ifndef FOLDER_SOURCE_H
#define FOLDER_SOURCE_H

#include <stdint.h>
#include <string.h>

#include "tfm/base.h"

enum { FOLDER_FILES = 8 };

typedef struct folder_file {
    struct folder *folder;
    const char *name;
    const void *data;
    size_t size;
} folder_file;

typedef struct folder {
    folder_file files[FOLDER_FILES];
    size_t count;
    int open; /* sources that are not closed yet */
} folder;

static inline uint64_t folder_size(void *user) { return ((const folder_file *)user)->size; }

static inline int32_t folder_read_at(void *user, uint64_t offset, void *buffer, size_t count) {
    const folder_file *file = user;
    if (offset > file->size || count > file->size - offset) return TFM_E_IO;
    if (count) memcpy(buffer, (const char *)file->data + offset, count);
    return TFM_OK;
}

static inline void folder_close(void *user) { ((const folder_file *)user)->folder->open--; }

static inline tfm_source folder_source(folder_file *file);

static inline int32_t folder_open(void *user, const char *name, tfm_source *out) {
    folder *f = ((const folder_file *)user)->folder;
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->files[i].name, name) != 0) continue;
        *out = folder_source(&f->files[i]);
        return TFM_OK;
    }
    return TFM_E_NOT_FOUND;
}

static inline tfm_source folder_source(folder_file *file) {
    tfm_source source = TFM_SOURCE_INIT;
    source.user = file;
    source.size = folder_size;
    source.read_at = folder_read_at;
    source.open = folder_open;
    source.close = folder_close;
    file->folder->open++;
    return source;
}

static inline void folder_add(folder *f, const char *name, const void *data, size_t size) {
    f->files[f->count++] = (folder_file){f, name, data, size};
}

#endif
