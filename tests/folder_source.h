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

/* The files of one text, each behind a line "== NAME"; a name that is not among the known ones becomes
 * "other". */
static inline void folder_parse(folder *f, const uint8_t *data, size_t size, const char *const *known,
                                size_t known_count) {
    for (size_t at = 0; at < size && f->count < FOLDER_FILES;) {
        const char *name = "other";
        const uint8_t *line = memchr(data + at, '\n', size - at);
        size_t begin = line ? (size_t)(line - data) + 1 : size, end = begin;
        for (size_t i = 0; i < known_count; i++)
            if (begin - at == strlen(known[i]) + 4 && memcmp(data + at + 3, known[i], strlen(known[i])) == 0)
                name = known[i];
        while (end < size && !(size - end > 4 && memcmp(data + end, "\n== ", 4) == 0)) end++;
        folder_add(f, name, data + begin, end - begin);
        at = end + 1;
    }
}

#endif
