/* file.h - bytes from outside: files mapped or read, host buffers, host sources; and writing files safely.
 *
 * A tfm__blob is a run of read-only bytes and what keeps it alive. A tfm__store is the place that a model comes
 * from: a folder (or one file in it), a buffer, or the host's tfm_source; further files of the model are opened
 * through it by name. Parsers see only (data, size, name). */
#ifndef TFM__FILE_H
#define TFM__FILE_H

#include "base/base.h"

typedef struct tfm__blob {
    const uint8_t *data;
    uint64_t size;
    char *name;  /* for messages: the path, or the name asked of the source, or "memory" */
    int kind;    /* TFM__BLOB_* : how to let go of it */
    bool mapped; /* data is the file itself (shared pages), not our memory */
    tfm__heap *heap;
    tfm_source source; /* kind SOURCE with map: closed on release */
} tfm__blob;

typedef struct tfm__read_options {
    bool into_memory;          /* read files instead of mapping them */
    tfm_progress_fn progress;  /* may be NULL; bytes read, when reading */
    void *progress_user;
    const tfm_cancel *cancel;
} tfm__read_options;

typedef struct tfm__store {
    tfm__heap *heap;
    tfm__read_options options;
    int kind;            /* TFM__STORE_* */
    char *folder;        /* directory kinds: path of the folder, without a trailing separator */
    char *main_name;     /* the file that was named, or NULL when a folder was */
    const void *memory;  /* buffer */
    size_t memory_size;
    tfm_source source;
} tfm__store;

/* A path to a file or a folder; a buffer that outlives everything; a host source (closed by tfm__store_close or,
 * when a blob maps it, by that blob's release). */
int32_t tfm__store_open_path(tfm__store *store, tfm__heap *heap, const char *path, const tfm__read_options *options,
                             tfm_error *error);
int32_t tfm__store_open_memory(tfm__store *store, tfm__heap *heap, const void *data, size_t size, tfm_error *error);
int32_t tfm__store_open_source(tfm__store *store, tfm__heap *heap, const tfm_source *source,
                               const tfm__read_options *options, tfm_error *error);
void tfm__store_close(tfm__store *store);

/* True if the store is a folder that was named as such (a Hugging Face model). */
bool tfm__store_is_folder(const tfm__store *store);

/* Opens the file that the store was opened with (not for a folder), or another one beside it by name. A name that
 * is absolute, empty, or holds a separator or ".." is refused: shard lists are hostile input. A missing file is
 * TFM_E_NOT_FOUND. *blob is zeroed on error. A regular file only: a device or a pipe is refused. */
int32_t tfm__store_main(tfm__store *store, tfm__blob *blob, tfm_error *error);
int32_t tfm__store_sibling(tfm__store *store, const char *name, tfm__blob *blob, tfm_error *error);

/* The same in a folder beside the model's files ("1_Pooling", "config.json"); each name a plain one. folder "": the
 * model's own. A host's source is asked for "1_Pooling/config.json". */
int32_t tfm__store_inside(tfm__store *store, const char *folder, const char *name, tfm__blob *blob, tfm_error *error);

/* Lets go of the bytes; a zeroed blob is fine. */
void tfm__blob_release(tfm__blob *blob);

/* Advises the system that the range will be read soon (mapped blobs), or does nothing. */
void tfm__blob_prefetch(const tfm__blob *blob, uint64_t offset, uint64_t size);

/* A file being written: bytes go to a temporary file beside the target; finish flushes, fsyncs and renames it over
 * the target, abandon removes it. Nothing is visible under the final name until finish succeeds. */
typedef struct tfm__writer {
    tfm__heap *heap;
    char *path, *temporary;
    int descriptor;
    uint64_t written;
    uint8_t *buffer;
    size_t used;
} tfm__writer;
int32_t tfm__writer_open(tfm__writer *writer, tfm__heap *heap, const char *path, tfm_error *error);
int32_t tfm__writer_write(tfm__writer *writer, const void *data, size_t size, tfm_error *error);
int32_t tfm__writer_finish(tfm__writer *writer, tfm_error *error); /* on error: abandoned */
void tfm__writer_abandon(tfm__writer *writer);

/* Makes a folder; one that is there already is fine. */
int32_t tfm__folder_make(const char *path, tfm_error *error);

#endif
