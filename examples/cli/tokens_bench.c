/* tokens_bench.c - `tfm tokens --bench`: how fast a tokenizer is on a text.
 *
 * The tokenizer is loaded once before, untimed, so that its file is in memory, and then again, timed. With
 * that fresh one the text is encoded: the first pass. The second pass finds what the first one remembered.
 * Then the ids are turned back. Without -t the text goes into one call on one thread; with -t it is cut
 * behind line ends into chunks, which are a batch for a pool. Memory for the results of single calls is
 * touched before. */
#include "json_out.h"
#include "tokens.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)32 << 10)
#define DECODE_REPEATS 3

typedef struct figures {
    double load, first, second, decode; /* seconds */
} figures;

typedef struct plan {
    const tokens_options *options;
    const tfm_tokenize_options *how;
    const char *text;
    size_t length;
    tfm_text_input *chunks; /* [chunk_count]; NULL: one call */
    size_t chunk_count;
    int32_t *ids; /* [capacity] for one call */
    size_t capacity;
} plan;

static int out_of_memory(cli_host *host) { return cli_error(host->command, "out of memory"); }

/* ---- Preparing ---- */

/* Behind the first line end at or after CHUNK bytes. */
static size_t chunk_length(const char *text, size_t left) {
    if (left <= CHUNK) return left;
    const char *end = memchr(text + CHUNK - 1, '\n', left - CHUNK + 1);
    return end ? (size_t)(end - text) + 1 : left;
}

static int cut(cli_host *host, plan *p) {
    size_t n = 0;
    p->chunks = calloc(p->length / CHUNK + 1, sizeof *p->chunks);
    if (!p->chunks) return out_of_memory(host);
    for (size_t at = 0; at < p->length; n++) {
        p->chunks[n].text = p->text + at;
        p->chunks[n].length = chunk_length(p->text + at, p->length - at);
        at += p->chunks[n].length;
    }
    p->chunk_count = n;
    return CLI_OK;
}

/* Memory whose pages are there already. */
static void *touched(size_t size) {
    void *memory = malloc(size ? size : 1);
    if (memory) memset(memory, 1, size);
    return memory;
}

static int reserve(cli_host *host, plan *p, size_t capacity) {
    free(p->ids);
    p->capacity = capacity;
    p->ids = touched(capacity * sizeof *p->ids);
    return p->ids ? CLI_OK : out_of_memory(host);
}

/* ---- Measuring ---- */

/* One pass: *ids, *count lie in the plan, or in *encoding. A status of the library. */
static int32_t encode(cli_host *host, const tfm_tokenizer *tokenizer, const plan *p, tfm_encoding **encoding,
                      size_t *count, double *seconds) {
    tfm_batch_options batch = TFM_BATCH_OPTIONS_INIT;
    int32_t status;
    batch.tokenize = p->how;
    batch.pool = host->pool;
    batch.truncate = batch.pad = TFM_NO;
    tfm_encoding_destroy(*encoding);
    *encoding = NULL;
    double start = cli_seconds();
    if (p->chunks)
        status = tfm_tokenize_batch(tokenizer, p->chunks, p->chunk_count, &batch, encoding, &host->error);
    else
        status =
            tfm_tokenize(tokenizer, p->text, p->length, p->how, p->ids, p->capacity, count, &host->error);
    *seconds = cli_seconds() - start;
    return status;
}

static int measure_decode(cli_host *host, const tfm_tokenizer *tokenizer, const int32_t *ids, size_t count,
                          double *seconds) {
    tfm_detokenize_options how = TFM_DETOKENIZE_OPTIONS_INIT;
    size_t length = 0;
    how.special = how.raw = 1;
    if (tfm_detokenize(tokenizer, ids, count, &how, NULL, 0, &length, &host->error)) return cli_fail(host);
    char *text = touched(length);
    if (!text) return out_of_memory(host);
    int32_t status = TFM_OK;
    for (int i = 0; i < DECODE_REPEATS && !status; i++) { /* the best of some: it is over in milliseconds */
        double start = cli_seconds();
        status = tfm_detokenize(tokenizer, ids, count, &how, text, length, &length, &host->error);
        double taken = cli_seconds() - start;
        if (i == 0 || taken < *seconds) *seconds = taken;
    }
    free(text);
    return status ? cli_fail(host) : CLI_OK;
}

static int load(cli_host *host, const char *file, const plan *p, tfm_tokenizer **tokenizer, double *seconds) {
    tfm_tokenizer_release(*tokenizer);
    *tokenizer = NULL;
    double start = cli_seconds();
    int status = cli_open_tokenizer(host, file, &p->options->tokenizer, tokenizer);
    *seconds = cli_seconds() - start;
    return status;
}

static int measure(cli_host *host, const char *file, plan *p, figures *f) {
    tfm_tokenizer *tokenizer = NULL;
    tfm_encoding *encoding = NULL;
    const tfm_token *ids = NULL;
    size_t count = 0;
    int32_t rc = TFM_OK;
    int status = load(host, file, p, &tokenizer, &f->load);
    do { /* a second time only if the text has more tokens than bytes, and then all from the beginning */
        if (!status && !p->chunks) status = reserve(host, p, rc ? count : p->length + 64);
        if (!status) status = load(host, file, p, &tokenizer, &f->load);
        if (!status) rc = encode(host, tokenizer, p, &encoding, &count, &f->first);
    } while (!status && rc == TFM_E_BUFFER);
    if (!status && !rc) rc = encode(host, tokenizer, p, &encoding, &count, &f->second);
    if (!status && !rc && encoding) {
        tfm_encoding_view view = TFM_ENCODING_VIEW_INIT;
        rc = tfm_encoding_get(encoding, &view, &host->error);
        ids = view.ids;
        count = view.count;
    }
    if (!status && rc) status = cli_fail(host);
    if (!status) status = measure_decode(host, tokenizer, ids ? ids : p->ids, count, &f->decode);
    tfm_encoding_destroy(encoding);
    tfm_tokenizer_release(tokenizer);
    return status;
}

/* ---- Output ---- */

static void print_figures(const plan *p, const figures *f) {
    double megabytes = (double)p->length / 1e6;
    double seconds[] = {f->first, f->second, f->decode};
    for (size_t i = 0; i < 3; i++) seconds[i] = megabytes / (seconds[i] > 0 ? seconds[i] : 1e-9);
    printf(p->options->json ? "{\"first_pass_mb_per_s\":%.1f,\"second_pass_mb_per_s\":%.1f,\"decode_mb_per_"
                              "s\":%.1f,\"load_ms\":%.2f}\n"
                            : "first pass   %10.1f MB/s\nsecond pass  %10.1f MB/s\ndecode       %10.1f "
                              "MB/s\nload         %10.2f ms\n",
           seconds[0], seconds[1], seconds[2], f->load * 1e3);
}

int cli_tokens_bench(cli_host *host, const char *file, const tokens_options *options,
                     const tfm_tokenize_options *how) {
    plan p = {options, how, options->prompt.bytes, options->prompt.length, NULL, 0, NULL, 0};
    figures f = {0, 0, 0, 0};
    int status = CLI_OK;
    if (options->threads.given) {
        tfm_pool_options pool = TFM_POOL_OPTIONS_INIT;
        pool.threads = (uint32_t)options->threads.value;
        if (tfm_pool_create(&pool, &host->pool, &host->error)) return cli_fail(host);
        status = cut(host, &p);
    }
    if (!status) status = measure(host, file, &p, &f);
    if (!status) print_figures(&p, &f);
    free(p.chunks);
    free(p.ids);
    return status;
}
