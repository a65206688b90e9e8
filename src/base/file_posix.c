/* file_posix.c - files on POSIX systems: mapped or read blobs, stores, and the safe writer. Called by
 * formats, tokenizer and the checkpoint code; everything else sees only bytes.
 *
 * Rules: a descriptor never outlives the call that opened it (mappings do not need it); regular files only,
 * opened without blocking so that a named pipe cannot hang the load; names of further files come from hostile
 * indices, so only plain names inside the store's own folder are followed. A port to another system replaces
 * this file. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/threads.h"

#define TFM__READ_CHUNK ((size_t)4 << 20)     /* between two polls: about a millisecond of reading */
#define TFM__WRITE_BUFFER ((size_t)256 << 10) /* small writes gather here */

enum { TFM__BLOB_NONE = 0, TFM__BLOB_MAPPED, TFM__BLOB_HEAP, TFM__BLOB_BORROWED, TFM__BLOB_SOURCE };
enum { TFM__STORE_NONE = 0, TFM__STORE_FOLDER, TFM__STORE_FILE, TFM__STORE_MEMORY, TFM__STORE_SOURCE };

/* What the data of an empty file points at. */
static const uint8_t no_bytes[1] = {0};

static int32_t fail_system(tfm_error *error, const char *path, const char *action, int number) {
    char reason[128] = "";
    int32_t code = number == ENOENT || number == ENOTDIR ? TFM_E_NOT_FOUND : TFM_E_IO;
    if (strerror_r(number, reason, sizeof reason)) snprintf(reason, sizeof reason, "error %d", number);
    return tfm__fail_at(error, code, path, NULL, TFM__NO_OFFSET, "cannot %s: %s", action, reason);
}

/* "folder/name", or just the name when folder is empty. */
static char *join_path(tfm__heap *heap, const char *folder, const char *name) {
    size_t folder_length = strlen(folder), name_length = strlen(name);
    bool separator = folder_length > 0 && folder[folder_length - 1] != '/';
    char *path = tfm__alloc(heap, folder_length + separator + name_length + 1);
    if (!path) return NULL;
    memcpy(path, folder, folder_length);
    if (separator) path[folder_length] = '/';
    memcpy(path + folder_length + separator, name, name_length + 1);
    return path;
}

/* ---- Blobs --------------------------------------------------------------------------------------------- */

/* Reads the whole of a descriptor into memory, polling as it goes. */
static int32_t read_descriptor(tfm__blob *blob, int descriptor, uint64_t size,
                               const tfm__read_options *options, tfm_error *error) {
    tfm__watch watch = {options->progress, options->progress_user, options->cancel, 0};
    uint64_t done = 0;
    uint8_t *data;
    int32_t status;
    if (size > SIZE_MAX / 2)
        return tfm__fail_at(error, TFM_E_MEMORY, blob->name, NULL, TFM__NO_OFFSET,
                            "too large for this system");
    data = tfm__alloc(blob->heap, (size_t)size);
    if (!data) return tfm__fail_memory(error, blob->heap, (size_t)size);
    while ((status = tfm__watch_poll(&watch, done, size, error)) == TFM_OK && done < size) {
        size_t count = (size_t)TFM__MIN(size - done, (uint64_t)TFM__READ_CHUNK);
        ssize_t got = read(descriptor, data + done, count);
        if (got > 0) {
            done += (uint64_t)got;
        } else if (got == 0) {
            status = tfm__fail_at(error, TFM_E_TRUNCATED, blob->name, NULL, done,
                                  "the file became shorter while read");
            break;
        } else if (errno != EINTR) {
            status = fail_system(error, blob->name, "read", errno);
            break;
        }
    }
    if (status) {
        tfm__free(blob->heap, data);
        return status;
    }
    blob->data = data;
    blob->kind = TFM__BLOB_HEAP;
    return TFM_OK;
}

/* Opens a regular file, maps it or reads it. Takes over path (freed on error). */
static int32_t open_file(tfm__heap *heap, char *path, const tfm__read_options *options, tfm__blob *blob,
                         tfm_error *error) {
    struct stat info;
    int32_t status;
    int descriptor;
    memset(blob, 0, sizeof *blob);
    blob->heap = heap;
    blob->name = path;
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        status = fail_system(error, path, "open", errno);
        goto fail;
    }
    if (fstat(descriptor, &info)) {
        status = fail_system(error, path, "examine", errno);
        goto fail;
    }
    if (!S_ISREG(info.st_mode)) {
        status = tfm__fail_at(error, TFM_E_IO, path, NULL, TFM__NO_OFFSET, "not a regular file");
        goto fail;
    }
    blob->size = (uint64_t)info.st_size;
    if (blob->size == 0) {
        blob->data = no_bytes;
        blob->kind = TFM__BLOB_BORROWED;
    } else if (options->into_memory || blob->size > SIZE_MAX) {
        status = read_descriptor(blob, descriptor, blob->size, options, error);
        if (status) goto fail;
    } else {
        void *map = mmap(NULL, (size_t)blob->size, PROT_READ, MAP_SHARED, descriptor, 0);
        if (map == MAP_FAILED) { /* some file systems cannot map: read instead */
            status = read_descriptor(blob, descriptor, blob->size, options, error);
            if (status) goto fail;
        } else {
            blob->data = map;
            blob->kind = TFM__BLOB_MAPPED;
            blob->mapped = true;
        }
    }
    close(descriptor);
    return TFM_OK;
fail:
    if (descriptor >= 0) close(descriptor);
    tfm__free(heap, path);
    memset(blob, 0, sizeof *blob);
    return status;
}

/* Makes a blob of a host source. Closes the source unless the blob keeps it (because it maps it). name is
 * copied. */
static int32_t open_source(tfm__heap *heap, tfm_source *source, const char *name,
                           const tfm__read_options *options, tfm__blob *blob, tfm_error *error) {
    tfm__watch watch = {options->progress, options->progress_user, options->cancel, 0};
    uint64_t done = 0;
    uint8_t *data = NULL;
    const void *map;
    int32_t status;
    memset(blob, 0, sizeof *blob);
    blob->heap = heap;
    blob->name = tfm__copy_text(heap, name, strlen(name));
    if (!blob->name) {
        status = tfm__fail_memory(error, heap, strlen(name) + 1);
        goto fail;
    }
    blob->size = source->size(source->user);
    map = source->map && !options->into_memory ? source->map(source->user) : NULL;
    if (map) {
        blob->data = map;
        blob->kind = TFM__BLOB_SOURCE;
        blob->source = *source;
        source->close = NULL; /* the blob closes it now */
        return TFM_OK;
    }
    if (blob->size > SIZE_MAX / 2) {
        status = tfm__fail_at(error, TFM_E_MEMORY, name, NULL, TFM__NO_OFFSET, "too large for this system");
        goto fail;
    }
    data = tfm__alloc(heap, (size_t)blob->size);
    if (!data) {
        status = tfm__fail_memory(error, heap, (size_t)blob->size);
        goto fail;
    }
    while ((status = tfm__watch_poll(&watch, done, blob->size, error)) == TFM_OK && done < blob->size) {
        size_t count = (size_t)TFM__MIN(blob->size - done, (uint64_t)TFM__READ_CHUNK);
        if (source->read_at(source->user, done, data + done, count)) {
            status = tfm__fail_at(error, TFM_E_IO, name, NULL, done, "the host's source could not read");
            break;
        }
        done += count;
    }
    if (status) goto fail;
    blob->data = data;
    blob->kind = TFM__BLOB_HEAP;
    if (source->close) source->close(source->user);
    source->close = NULL;
    return TFM_OK;
fail:
    tfm__free(heap, data);
    tfm__free(heap, blob->name);
    memset(blob, 0, sizeof *blob);
    if (source->close) source->close(source->user);
    source->close = NULL;
    return status;
}

void tfm__blob_release(tfm__blob *blob) {
    switch (blob->kind) {
    case TFM__BLOB_MAPPED:
        munmap((void *)(uintptr_t)blob->data, (size_t)blob->size);
        break;
    case TFM__BLOB_HEAP:
        tfm__free(blob->heap, (void *)(uintptr_t)blob->data);
        break;
    case TFM__BLOB_SOURCE:
        if (blob->source.close) blob->source.close(blob->source.user);
        break;
    default:
        break;
    }
    if (blob->heap) tfm__free(blob->heap, blob->name);
    memset(blob, 0, sizeof *blob);
}

void tfm__blob_prefetch(const tfm__blob *blob, uint64_t offset, uint64_t size) {
    long page = sysconf(_SC_PAGESIZE);
    uint64_t start;
    if (!blob->mapped || page <= 0 || offset >= blob->size) return;
    size = TFM__MIN(size, blob->size - offset);
    start = offset - offset % (uint64_t)page;
    /* advice only: whether it is followed changes nothing but time */
    (void)posix_madvise((void *)(uintptr_t)(blob->data + start), (size_t)(offset - start + size),
                        POSIX_MADV_WILLNEED);
}

/* ---- Stores -------------------------------------------------------------------------------------------- */

int32_t tfm__store_open_path(tfm__store *store, tfm__heap *heap, const char *path,
                             const tfm__read_options *options, tfm_error *error) {
    struct stat info;
    size_t length = strlen(path), folder_length;
    const char *slash;
    memset(store, 0, sizeof *store);
    if (length == 0) return tfm__fail(error, TFM_E_ARGUMENT, "the path is empty");
    if (stat(path, &info)) return fail_system(error, path, "open", errno);
    store->heap = heap;
    if (options) store->options = *options;
    if (S_ISDIR(info.st_mode)) {
        while (length > 1 && path[length - 1] == '/') length--;
        store->folder = tfm__copy_text(heap, path, length);
        if (!store->folder) goto refused;
        store->kind = TFM__STORE_FOLDER;
        return TFM_OK;
    }
    if (!S_ISREG(info.st_mode)) {
        memset(store, 0, sizeof *store);
        return tfm__fail_at(error, TFM_E_IO, path, NULL, TFM__NO_OFFSET,
                            "neither a regular file nor a folder");
    }
    slash = strrchr(path, '/');
    folder_length = slash ? (size_t)(slash - path) : 0;
    if (slash && folder_length == 0) folder_length = 1; /* a file in the root folder */
    store->folder = tfm__copy_text(heap, path, folder_length);
    if (!store->folder) goto refused;
    store->main_name = tfm__copy_text(heap, slash ? slash + 1 : path, strlen(slash ? slash + 1 : path));
    if (!store->main_name) goto refused;
    store->kind = TFM__STORE_FILE;
    return TFM_OK;
refused:
    tfm__free(heap, store->folder);
    memset(store, 0, sizeof *store);
    return tfm__fail_memory(error, heap, length + 1);
}

int32_t tfm__store_open_memory(tfm__store *store, tfm__heap *heap, const void *data, size_t size,
                               tfm_error *error) {
    memset(store, 0, sizeof *store);
    if (!data && size) return tfm__fail(error, TFM_E_ARGUMENT, "the buffer is NULL");
    store->heap = heap;
    store->kind = TFM__STORE_MEMORY;
    store->memory = data ? data : no_bytes;
    store->memory_size = size;
    return TFM_OK;
}

int32_t tfm__store_open_source(tfm__store *store, tfm__heap *heap, const tfm_source *source,
                               const tfm__read_options *options, tfm_error *error) {
    int32_t status;
    memset(store, 0, sizeof *store);
    if (!source) return tfm__fail(error, TFM_E_ARGUMENT, "the source is NULL");
    status = tfm__take_options(source, &store->source, sizeof store->source, "tfm_source", error);
    if (status) return status;
    if (!store->source.size || !store->source.read_at) {
        memset(store, 0, sizeof *store);
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_source: size and read_at are needed");
    }
    store->heap = heap;
    if (options) store->options = *options;
    store->kind = TFM__STORE_SOURCE;
    return TFM_OK;
}

void tfm__store_close(tfm__store *store) {
    if (store->kind == TFM__STORE_SOURCE && store->source.close) store->source.close(store->source.user);
    if (store->heap) {
        tfm__free(store->heap, store->folder);
        tfm__free(store->heap, store->main_name);
    }
    memset(store, 0, sizeof *store);
}

bool tfm__store_is_folder(const tfm__store *store) { return store->kind == TFM__STORE_FOLDER; }

/* Host sources for the main file stay open until the store is closed, because siblings are opened through
 * them. The exception is a mapped one: its blob closes it. */
static int32_t open_main_source(tfm__store *store, tfm__blob *blob, tfm_error *error) {
    void (*close_source)(void *user) = store->source.close;
    int32_t status;
    store->source.close = NULL;
    status = open_source(store->heap, &store->source, "source", &store->options, blob, error);
    if (status == TFM_OK && blob->kind == TFM__BLOB_SOURCE)
        blob->source.close = close_source;
    else
        store->source.close = close_source;
    return status;
}

int32_t tfm__store_main(tfm__store *store, tfm__blob *blob, tfm_error *error) {
    char *path;
    memset(blob, 0, sizeof *blob);
    switch (store->kind) {
    case TFM__STORE_FILE:
        path = join_path(store->heap, store->folder, store->main_name);
        if (!path)
            return tfm__fail_memory(error, store->heap, strlen(store->folder) + strlen(store->main_name) + 2);
        return open_file(store->heap, path, &store->options, blob, error);
    case TFM__STORE_MEMORY:
        blob->name = tfm__copy_text(store->heap, "memory", 6);
        if (!blob->name) return tfm__fail_memory(error, store->heap, 7);
        blob->heap = store->heap;
        blob->data = store->memory;
        blob->size = store->memory_size;
        blob->kind = TFM__BLOB_BORROWED;
        return TFM_OK;
    case TFM__STORE_SOURCE:
        return open_main_source(store, blob, error);
    default:
        return tfm__fail(error, TFM_E_ARGUMENT, "a folder has no main file");
    }
}

/* One plain component: nothing that could leave the folder. Backslashes and colons are refused everywhere, so
 * that a model that loads here loads on every system. */
static bool plain_name(const char *name) {
    if (!*name || strstr(name, "..") || !strcmp(name, ".")) return false;
    return !strpbrk(name, "/\\:");
}

/* name leads from the model's folder to a file and has been checked. */
static int32_t open_beside(tfm__store *store, const char *name, tfm__blob *blob, tfm_error *error) {
    /* more room than we know: a host built against a later header may fill in a longer struct */
    union {
        tfm_source source;
        unsigned char room[sizeof(tfm_source) + 256];
    } given;
    tfm_source source;
    char *path;
    int32_t status;
    memset(blob, 0, sizeof *blob);
    switch (store->kind) {
    case TFM__STORE_FOLDER:
    case TFM__STORE_FILE:
        path = join_path(store->heap, store->folder, name);
        if (!path) return tfm__fail_memory(error, store->heap, strlen(store->folder) + strlen(name) + 2);
        return open_file(store->heap, path, &store->options, blob, error);
    case TFM__STORE_SOURCE:
        memset(&given, 0, sizeof given);
        given.source.struct_size = sizeof(tfm_source);
        if (!store->source.open || store->source.open(store->source.user, name, &given.source))
            return tfm__fail_at(error, TFM_E_NOT_FOUND, name, NULL, TFM__NO_OFFSET,
                                "the host's source has no such file");
        status = tfm__take_options(&given, &source, sizeof source, "tfm_source", error);
        if (status) return status;
        if (!source.size || !source.read_at) {
            if (source.close) source.close(source.user);
            return tfm__fail_at(error, TFM_E_ARGUMENT, name, NULL, TFM__NO_OFFSET,
                                "the opened source lacks size or read_at");
        }
        return open_source(store->heap, &source, name, &store->options, blob, error);
    default:
        return tfm__fail_at(error, TFM_E_NOT_FOUND, name, NULL, TFM__NO_OFFSET,
                            "needed beside the model, but a buffer has no other files");
    }
}

int32_t tfm__store_sibling(tfm__store *store, const char *name, tfm__blob *blob, tfm_error *error) {
    return tfm__store_inside(store, "", name, blob, error);
}

int32_t tfm__store_inside(tfm__store *store, const char *folder, const char *name, tfm__blob *blob,
                          tfm_error *error) {
    memset(blob, 0, sizeof *blob);
    if (!plain_name(name) || (*folder && !plain_name(folder)))
        return tfm__fail_at(error, TFM_E_FORMAT, name, NULL, TFM__NO_OFFSET,
                            "not a plain file name in the model's folder");
    if (!*folder) return open_beside(store, name, blob, error);
    char *path = join_path(store->heap, folder, name);
    if (!path) return tfm__fail_memory(error, store->heap, strlen(folder) + strlen(name) + 2);
    int32_t status = open_beside(store, path, blob, error);
    tfm__free(store->heap, path);
    return status;
}

/* ---- Writer -------------------------------------------------------------------------------------------- */

int32_t tfm__writer_open(tfm__writer *writer, tfm__heap *heap, const char *path, tfm_error *error) {
    size_t length = strlen(path), attempt;
    int32_t status;
    memset(writer, 0, sizeof *writer);
    writer->descriptor = -1;
    if (length == 0) return tfm__fail(error, TFM_E_ARGUMENT, "the path is empty");
    writer->heap = heap;
    writer->path = tfm__copy_text(heap, path, length);
    writer->temporary = tfm__alloc(heap, length + 48);
    writer->buffer = tfm__alloc(heap, TFM__WRITE_BUFFER);
    if (!writer->path || !writer->temporary || !writer->buffer) {
        status = tfm__fail_memory(error, heap, TFM__WRITE_BUFFER);
        goto fail;
    }
    /* beside the target, so that the rename stays inside one file system; exclusive, so nobody's file is
     * harmed */
    for (attempt = 0; attempt < 1000; attempt++) {
        snprintf(writer->temporary, length + 48, "%s.%ld-%u.tmp", path, (long)getpid(), (unsigned)attempt);
        writer->descriptor = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (writer->descriptor >= 0) return TFM_OK;
        if (errno != EEXIST) break;
    }
    status = fail_system(error, path, "create", errno);
fail:
    tfm__free(heap, writer->path);
    tfm__free(heap, writer->temporary);
    tfm__free(heap, writer->buffer);
    memset(writer, 0, sizeof *writer);
    writer->descriptor = -1;
    return status;
}

static int32_t write_out(tfm__writer *writer, const uint8_t *data, size_t size, tfm_error *error) {
    while (size > 0) {
        ssize_t put = write(writer->descriptor, data, TFM__MIN(size, TFM__READ_CHUNK));
        if (put < 0) {
            if (errno == EINTR) continue;
            return fail_system(error, writer->path, "write", errno);
        }
        data += put;
        size -= (size_t)put;
    }
    return TFM_OK;
}

int32_t tfm__writer_write(tfm__writer *writer, const void *data, size_t size, tfm_error *error) {
    int32_t status;
    if (writer->descriptor < 0) return tfm__fail(error, TFM_E_STATE, "the file is not open for writing");
    if (size > TFM__WRITE_BUFFER - writer->used) {
        status = write_out(writer, writer->buffer, writer->used, error);
        if (status) return status;
        writer->used = 0;
    }
    if (size >= TFM__WRITE_BUFFER) {
        status = write_out(writer, data, size, error);
        if (status) return status;
    } else if (size) {
        memcpy(writer->buffer + writer->used, data, size);
        writer->used += size;
    }
    writer->written += size;
    return TFM_OK;
}

/* Makes the rename itself durable. Not every file system lets a folder be synced: the data is safe either
 * way. */
static void sync_folder(const char *path, char *scratch) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    int descriptor;
    if (slash && length == 0) length = 1;
    memcpy(scratch, path, length);
    if (!slash) scratch[length++] = '.';
    scratch[length] = '\0';
    descriptor = open(scratch, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return;
    (void)fsync(descriptor);
    close(descriptor);
}

int32_t tfm__writer_finish(tfm__writer *writer, tfm_error *error) {
    int32_t status;
    int closed;
    if (writer->descriptor < 0) return tfm__fail(error, TFM_E_STATE, "the file is not open for writing");
    status = write_out(writer, writer->buffer, writer->used, error);
    if (status == TFM_OK && fsync(writer->descriptor))
        status = fail_system(error, writer->path, "write", errno);
    if (status == TFM_OK) {
        closed = close(writer->descriptor);
        writer->descriptor = -1;
        if (closed) status = fail_system(error, writer->path, "write", errno);
    }
    if (status == TFM_OK && rename(writer->temporary, writer->path))
        status = fail_system(error, writer->path, "replace", errno);
    if (status) {
        tfm__writer_abandon(writer);
        return status;
    }
    sync_folder(writer->path, writer->temporary);
    writer->temporary[0] = '\0'; /* gone: nothing to remove */
    tfm__writer_abandon(writer);
    return TFM_OK;
}

void tfm__writer_abandon(tfm__writer *writer) {
    if (writer->descriptor >= 0) close(writer->descriptor);
    if (writer->temporary && writer->temporary[0]) unlink(writer->temporary);
    if (writer->heap) {
        tfm__free(writer->heap, writer->path);
        tfm__free(writer->heap, writer->temporary);
        tfm__free(writer->heap, writer->buffer);
    }
    memset(writer, 0, sizeof *writer);
    writer->descriptor = -1;
}

int32_t tfm__folder_make(const char *path, tfm_error *error) {
    struct stat info;
    if (mkdir(path, 0777) == 0) return TFM_OK;
    if (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return TFM_OK;
    return fail_system(error, path, "create", errno);
}
