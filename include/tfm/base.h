/* tfm/base.h - what every other header of tfm rests on: version, status codes, errors, memory, files, threads.
 *
 * Example: ask for errors in words, and use two threads.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(void) {
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_pool_options options = TFM_POOL_OPTIONS_INIT;
 *         tfm_pool *pool = NULL;
 *         options.threads = 2;
 *         if (tfm_pool_create(&options, &pool, &error)) {
 *             fprintf(stderr, "%s: %s\n", tfm_status_name(error.code), error.message);
 *             return 1;
 *         }
 *         printf("tfm %s, %u threads\n", tfm_version(), tfm_pool_threads(pool));
 *         tfm_pool_destroy(pool);
 *         return 0;
 *     }
 *
 * Conventions of the whole library
 * - A fallible function returns an int32_t status: TFM_OK (0), or a negative code. Its last argument is an
 *   optional `tfm_error *` with the details. On an error every output is NULL or 0 and nothing is half-done.
 * - Sizes are size_t, tokens are int32_t, text is UTF-8 bytes and a length (NUL bytes are allowed inside), paths
 *   are UTF-8 on every system.
 * - Options and events are structs whose first field is their size, set by an _INIT macro: zero means "the
 *   default", fields are only ever appended, a smaller (older) size is accepted, and a larger one as long as
 *   everything behind the part known to this library is zero.
 * - The library has no mutable global state. It never exits, aborts, prints, reads the environment or installs a
 *   handler, and it starts threads only in tfm_pool_create.
 */
#ifndef TFM_BASE_H
#define TFM_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TFM_API
#if defined(_WIN32) && !defined(TFM_STATIC)
#ifdef TFM_BUILD
#define TFM_API __declspec(dllexport)
#else
#define TFM_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define TFM_API __attribute__((visibility("default")))
#else
#define TFM_API
#endif
#endif

/* ---- Version ------------------------------------------------------------------------------------------- */

#define TFM_VERSION_MAJOR 0
#define TFM_VERSION_MINOR 2
#define TFM_VERSION_PATCH 0

/* The library's version as text, for example "0.2.0". Static storage. Any thread. Never fails. Since 0.1. */
TFM_API const char *tfm_version(void);

/* The number of the binary interface: programs built against one number run with every library that reports the
 * same number. It is also the major number in the shared library's SONAME. Any thread. Never fails. Since 0.1. */
TFM_API uint32_t tfm_abi_version(void);

/* Whether this build, on this processor, has a named capability.
 *   name   NUL-terminated: an instruction set ("portable", "avx2", "avx512", "neon",
 *          "neon-dotprod"), a weight type in lower case
 *          ("f32", "q4_k", ...), a model family ("llama", "gemma3", ...) or an optional part ("openblas", "pcre2").
 * Returns 1 if so, 0 if not or if the name is unknown or NULL. Any thread. Allocates nothing. Since 0.1. */
TFM_API int32_t tfm_capability(const char *name);

/* Instruction sets, for options that force one. */
#define TFM_ISA_BEST 0 /* what the processor has */
#define TFM_ISA_PORTABLE 1
#define TFM_ISA_AVX2 2
#define TFM_ISA_AVX512 3
#define TFM_ISA_NEON 4         /* 64-bit ARM */
#define TFM_ISA_NEON_DOTPROD 5 /* 64-bit ARM with SDOT (ARMv8.2) */

/* ---- Status and errors --------------------------------------------------------------------------------- */

#define TFM_OK 0              /* done */
#define TFM_E_ARGUMENT (-10)  /* an argument is NULL, out of its range, or does not fit another */
#define TFM_E_MEMORY (-20)    /* the allocator refused */
#define TFM_E_BUDGET (-21)    /* the byte budget given at creation does not allow it */
#define TFM_E_IO (-30)        /* the operating system or the host's source could not read */
#define TFM_E_NOT_FOUND (-31) /* there is no such file */
#define TFM_E_FORMAT (-40)    /* the file is not what it says it is */
#define TFM_E_TRUNCATED (-41) /* the file ends before what it promises */
#define TFM_E_UNSUPPORTED (-50) /* well-formed, but of a kind that this library does not run */
#define TFM_E_MISSING (-60)   /* a tensor, key or file that the model needs is not there */
#define TFM_E_SHAPE (-61)     /* a tensor's shape contradicts the model's description */
#define TFM_E_TOKEN (-70)     /* a token id outside the vocabulary */
#define TFM_E_CONTEXT (-71)   /* more tokens than the session's context holds */
#define TFM_E_BUFFER (-80)    /* the caller's buffer is too small; the length output says how much is needed */
#define TFM_E_CANCELLED (-90) /* a progress callback or a tfm_cancel stopped the call */
#define TFM_E_STATE (-100)    /* the object is not in a state that allows the call (no logits yet, ...) */
#define TFM_E_INTERNAL (-110) /* a fault of this library: please report it */

/* A status code's symbolic name, "TFM_E_FORMAT", or "TFM_E_?" for a number that is none. Static storage. Any
 * thread. Never fails. Since 0.1. */
TFM_API const char *tfm_status_name(int32_t status);

/* A status code as a short English sentence. Static storage. Any thread. Never fails. Since 0.1. */
TFM_API const char *tfm_status_text(int32_t status);

/* What went wrong, in full; owned by the caller, filled by a failing call, left alone by a successful one.
 * Texts are UTF-8, NUL-terminated, cut at the end of their field. */
typedef struct tfm_error {
    size_t struct_size;  /* sizeof(tfm_error), set by TFM_ERROR_INIT */
    int32_t code;        /* the status that the call returned */
    int32_t reserved;    /* 0 */
    uint64_t offset;     /* where in the file, in bytes; 0 when that has no meaning */
    char message[512];   /* one sentence, naming file, tensor and place where they are known */
    char file[256];      /* the file, or "" */
    char tensor[128];    /* the tensor or metadata key, or "" */
} tfm_error;
#define TFM_ERROR_INIT { sizeof(tfm_error), 0, 0, 0, "", "", "" }

/* ---- Memory -------------------------------------------------------------------------------------------- */

/* The host's memory functions. Every byte that the library takes comes through here (of third-party code, only
 * what PCRE2 and OpenBLAS, where they are built in, take for themselves does not). One function does all three
 * jobs:
 *   ptr NULL       take new_size bytes aligned to align (a power of two, at most 4096); NULL refuses
 *   new_size 0     give back ptr of old_size bytes; the result is ignored
 *   otherwise      change ptr from old_size to new_size keeping the content, perhaps at a new place; NULL refuses
 *                  and leaves ptr as it was
 * It is called from any thread that uses the object, the pool's workers excepted. */
typedef struct tfm_allocator {
    size_t struct_size;
    void *user;
    void *(*realloc)(void *user, void *ptr, size_t old_size, size_t new_size, size_t align);
} tfm_allocator;
#define TFM_ALLOCATOR_INIT { sizeof(tfm_allocator), NULL, NULL }

/* ---- Callbacks ----------------------------------------------------------------------------------------- */

#define TFM_LOG_INFO 1
#define TFM_LOG_WARNING 2

/* Receives the library's remarks (never errors: those are returned). Silent unless set. Called on the thread of
 * the call that has something to say. level: TFM_LOG_*; text: one line, without a newline, valid during the call. */
typedef void (*tfm_log_fn)(void *user, int32_t level, const char *text);

/* Receives how far a long call is: done of total units (bytes when loading, tokens when prefilling). Called on
 * the calling thread at the start, at the end and in between at least every 20 ms of work. Return 0 to go on,
 * anything else to stop the call with TFM_E_CANCELLED. */
typedef int32_t (*tfm_progress_fn)(void *user, uint64_t done, uint64_t total);

/* Receives size bytes more of a file. Return 0 to go on, anything else to stop with TFM_E_CANCELLED. */
typedef int32_t (*tfm_write_fn)(void *user, const void *data, size_t size);

/* A flag that any thread may raise and that long calls look at. */
typedef struct tfm_cancel tfm_cancel;

/* Makes a lowered flag. out receives it; free it with tfm_cancel_destroy once no call uses it any more. Allocates
 * (allocator: NULL for the C library's). Errors: TFM_E_ARGUMENT, TFM_E_MEMORY. Any thread. Since 0.1. */
TFM_API int32_t tfm_cancel_create(const tfm_allocator *allocator, tfm_cancel **out, tfm_error *error);

/* Frees the flag. NULL is allowed. Since 0.1. */
TFM_API void tfm_cancel_destroy(tfm_cancel *cancel);

/* Raises the flag: calls that were given it return TFM_E_CANCELLED (generation: stops with that reason) within
 * milliseconds. Any thread, at any time, also from a signal handler. NULL is allowed. Since 0.1. */
TFM_API void tfm_cancel_set(tfm_cancel *cancel);

/* Lowers the flag again. Any thread. NULL is allowed. Since 0.1. */
TFM_API void tfm_cancel_reset(tfm_cancel *cancel);

/* 1 if the flag is raised, otherwise 0. Any thread. NULL gives 0. Since 0.1. */
TFM_API int32_t tfm_cancel_is_set(const tfm_cancel *cancel);

/* ---- Files that are not files ---------------------------------------------------------------------------- */

/* Bytes that the host can read for the library: an entry of an archive, a resource of an app, a database blob.
 * The functions are called on the thread of the call that was given the source, only during that call, except
 * `map`, whose memory must stay valid and unchanged until `close` is called.
 *   size      the length in bytes
 *   read_at   copies exactly count bytes from offset into buffer; 0 = done, anything else = it could not
 *   map       optional: the whole content as memory, or NULL to have it read instead
 *   open      optional, for models of several files: opens the file of that name beside this one ("config.json",
 *             "model-00002-of-00003.safetensors") into *out; 0 = done, anything else = there is none
 *   close     optional: called once when the library has finished with this source, also when the call that was given
 *             it fails (unless the struct itself is refused) */
typedef struct tfm_source {
    size_t struct_size;
    void *user;
    uint64_t (*size)(void *user);
    int32_t (*read_at)(void *user, uint64_t offset, void *buffer, size_t count);
    const void *(*map)(void *user);
    int32_t (*open)(void *user, const char *name, struct tfm_source *out);
    void (*close)(void *user);
} tfm_source;
#define TFM_SOURCE_INIT { sizeof(tfm_source), NULL, NULL, NULL, NULL, NULL, NULL }

/* ---- Threads ------------------------------------------------------------------------------------------- */

/* The host's way to run n pieces of work: call fn(arg, i) exactly once for every i in 0 .. n-1, on any threads and
 * in any order, and return when all have returned. No piece ever waits for another. */
typedef void (*tfm_parallel_for_fn)(void *user, size_t n, void (*fn)(void *arg, size_t i), void *arg);

/* A set of worker threads that models share. Results never depend on it: the same bits for any number of
 * threads. */
typedef struct tfm_pool tfm_pool;

typedef struct tfm_pool_options {
    size_t struct_size;
    uint32_t threads;  /* threads that work, the calling one included; 0: one per available processor. With
                          parallel_for: how many pieces the host can run at the same time. At most 256. */
    uint32_t reserved; /* 0 */
    tfm_parallel_for_fn parallel_for; /* NULL: the pool's own threads; otherwise none is ever started */
    void *parallel_for_user;
    const tfm_allocator *allocator; /* NULL: the C library's */
} tfm_pool_options;
#define TFM_POOL_OPTIONS_INIT { sizeof(tfm_pool_options), 0, 0, NULL, NULL, NULL }

/* Makes a pool. Own workers wait for work by spinning some microseconds and then sleep; an idle pool uses no
 * processor time. Signals are blocked in the workers.
 *   options   NULL: one thread per available processor
 *   out       receives the pool; destroy it after everything that uses it is gone
 * One pool may serve any number of models and sessions at once: a call that finds it busy works alone on its own
 * thread instead of waiting. Allocates. Errors: TFM_E_ARGUMENT, TFM_E_MEMORY. Any thread. Since 0.1. */
TFM_API int32_t tfm_pool_create(const tfm_pool_options *options, tfm_pool **out, tfm_error *error);

/* Ends the workers and frees the pool. Nothing may be using it. NULL is allowed. Since 0.1. */
TFM_API void tfm_pool_destroy(tfm_pool *pool);

/* How many threads work in the pool, the calling one included; 1 for NULL. Any thread. Since 0.1. */
TFM_API uint32_t tfm_pool_threads(const tfm_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
