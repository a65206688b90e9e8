/* bench_kernels.c - every weight type's products beside the limits of the machine.
 *
 * The library has no call for a product alone. So a GGUF file is made in memory: a Llama of one very narrow
 * layer whose one large matrix, WIDTH columns by as many rows as are wanted, is both embedding and output.
 * What tfm_forward takes with logits and without differs by the product. One token: a vector product, for
 * which the matrix fills the memory, so that no cache holds it. Many tokens: a matrix product. Between two of
 * them the limit is measured once more, in the same memory: shares are medians of pairs. The layout of the
 * file: the documentation of GGUF (ggml-org). */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 2048
#define HEAD 32
#define INNER 32
#define ALIGN 4096
#define MANY 512 /* tokens of a matrix product; FEW if that would take longer than SLOW seconds */
#define FEW 64
#define SLOW 1.0
#define MOST_ROWS 8192 /* of a matrix product */

typedef struct weight_type {
    const char *name;
    uint32_t code; /* ggml's */
    uint32_t block, bytes;
    int is_float;
} weight_type;

static const weight_type types[BENCH_KERNELS] = {
    {"F32", 0, 1, 4, 1},       {"F16", 1, 1, 2, 1},       {"BF16", 30, 1, 2, 1},
    {"Q4_0", 2, 32, 18, 0},    {"Q4_1", 3, 32, 20, 0},    {"Q5_0", 6, 32, 22, 0},
    {"Q5_1", 7, 32, 24, 0},    {"Q8_0", 8, 32, 34, 0},    {"Q2_K", 10, 256, 84, 0},
    {"Q3_K", 11, 256, 110, 0}, {"Q4_K", 12, 256, 144, 0}, {"Q5_K", 13, 256, 176, 0},
    {"Q6_K", 14, 256, 210, 0}, {"IQ4_NL", 20, 32, 18, 0}, {"IQ4_XS", 23, 256, 136, 0},
    {"MXFP4", 39, 32, 17, 0},  {NULL, 0, 0, 0, 0},
};

typedef struct small_tensor {
    const char *name;
    uint32_t columns, rows; /* rows 0: a vector */
} small_tensor;

static const small_tensor layer[] = {
    {"output_norm.weight", WIDTH, 0},      {"blk.0.attn_norm.weight", WIDTH, 0},
    {"blk.0.attn_q.weight", WIDTH, HEAD},  {"blk.0.attn_k.weight", WIDTH, HEAD},
    {"blk.0.attn_v.weight", WIDTH, HEAD},  {"blk.0.attn_output.weight", HEAD, WIDTH},
    {"blk.0.ffn_norm.weight", WIDTH, 0},   {"blk.0.ffn_gate.weight", WIDTH, INNER},
    {"blk.0.ffn_up.weight", WIDTH, INNER}, {"blk.0.ffn_down.weight", INNER, WIDTH},
};

/* ---- The file in memory ---- */

static unsigned char *put_number(unsigned char *at, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) *at++ = (unsigned char)(value >> 8 * i);
    return at;
}

static unsigned char *put_text(unsigned char *at, const char *text) {
    size_t length = strlen(text);
    at = put_number(at, length, 8);
    memcpy(at, text, length);
    return at + length;
}

static unsigned char *put_key(unsigned char *at, const char *name, uint32_t kind, uint64_t value) {
    return put_number(put_number(put_text(at, name), kind, 4), value, 4);
}

static unsigned char *put_tensor(unsigned char *at, const char *name, uint64_t columns, uint64_t rows,
                                 uint32_t code, uint64_t offset) {
    at = put_number(put_text(at, name), rows ? 2 : 1, 4);
    at = put_number(at, columns, 8);
    if (rows) at = put_number(at, rows, 8);
    return put_number(put_number(at, code, 4), offset, 8);
}

static size_t whole(size_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

static size_t small_bytes(const small_tensor *t) {
    return whole((size_t)t->columns * (t->rows ? t->rows : 1) * 4);
}

/* Bytes in front of the large matrix: the description and the layer. */
static size_t front_bytes(void) {
    size_t bytes = ALIGN;
    for (size_t i = 0; i < ARG_COUNT(layer); i++) bytes += small_bytes(&layer[i]);
    return bytes;
}

static size_t row_bytes(const weight_type *type) { return WIDTH / type->block * type->bytes; }

/* Describes the memory anew as a model with rows of the type; the numbers are there already. Gives the file's
 * size. */
static size_t describe(unsigned char *memory, const weight_type *type, uint64_t rows) {
    unsigned char *at = memory;
    uint64_t offset = 0;
    enum { U32 = 4, F32 = 6, TEXT = 8, KEYS = 10 };
    memcpy(at, "GGUF", 4);
    at = put_number(put_number(put_number(at + 4, 3, 4), ARG_COUNT(layer) + 1, 8), KEYS, 8);
    at = put_text(put_number(put_text(at, "general.architecture"), TEXT, 4), "llama");
    at = put_key(at, "general.alignment", U32, ALIGN);
    at = put_key(at, "llama.block_count", U32, 1);
    at = put_key(at, "llama.context_length", U32, 2 * MANY);
    at = put_key(at, "llama.embedding_length", U32, WIDTH);
    at = put_key(at, "llama.feed_forward_length", U32, INNER);
    at = put_key(at, "llama.attention.head_count", U32, 1);
    at = put_key(at, "llama.attention.key_length", U32, HEAD);
    at = put_key(at, "llama.attention.value_length", U32, HEAD);
    at = put_key(at, "llama.attention.layer_norm_rms_epsilon", F32, 0x3727c5ac); /* 1e-5 */
    for (size_t i = 0; i < ARG_COUNT(layer); i++) {
        at = put_tensor(at, layer[i].name, layer[i].columns, layer[i].rows, 0, offset);
        offset += small_bytes(&layer[i]);
    }
    at = put_tensor(at, "token_embd.weight", WIDTH, rows, type->code, offset);
    memset(at, 0, (size_t)(memory + ALIGN - at));
    return front_bytes() + (size_t)rows * row_bytes(type);
}

/* Bytes that are moderate numbers whatever they are taken for: as the upper byte of a float 2^-31 or so, of a
 * half-float an eighth to one, as an exponent 2^-79 or 2^49; of either sign. */
static void fill(unsigned char *memory, size_t size) {
    uint64_t state = 88172645463325252u; /* Marsaglia's xorshift */
    for (size_t i = 0; i + 8 <= size; i += 8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint64_t bytes = (state & 0x8787878787878787u) | 0x3030303030303030u;
        memcpy(memory + i, &bytes, 8);
    }
}

/* ---- Timing ---- */

typedef struct product {
    cli_host *host; /* for pool, flag and error */
    int isa;
    tfm_model *model;
    tfm_session *session;
    tfm_token tokens[MANY];
} product;

static int open_product(product *p, unsigned char *memory, const weight_type *type, uint64_t rows) {
    tfm_model_options model = TFM_MODEL_OPTIONS_INIT;
    tfm_session_options session = TFM_SESSION_OPTIONS_INIT;
    size_t size = describe(memory, type, rows);
    model.pool = p->host->pool;
    model.isa = p->isa;
    for (size_t i = 0; i < MANY; i++) p->tokens[i] = (tfm_token)(i % rows);
    if (tfm_model_load_memory(memory, size, &model, &p->model, &p->host->error) ||
        tfm_session_create(p->model, &session, &p->session, &p->host->error))
        return -1;
    return 0;
}

static void close_product(product *p) {
    tfm_session_destroy(p->session);
    tfm_model_release(p->model);
    p->session = NULL;
    p->model = NULL;
}

/* Seconds of a call; below 0: failed. */
static double call(product *p, size_t tokens, int32_t logits) {
    tfm_forward_options forward = TFM_FORWARD_OPTIONS_INIT;
    forward.logits = logits;
    forward.cancel = p->host->cancel;
    if (tfm_session_rewind(p->session, 0, &p->host->error)) return -1;
    double start = cli_seconds();
    if (tfm_forward(p->session, p->tokens, tokens, &forward, &p->host->error)) return -1;
    return cli_seconds() - start;
}

/* Seconds of the product alone; below 0: failed. Where the difference drowns in noise (tiny matrices), all of
 * the call counts. */
static double time_product(product *p, size_t tokens) {
    double without = call(p, tokens, TFM_LOGITS_NONE);
    double with = without < 0 ? -1 : call(p, tokens, TFM_LOGITS_ALL);
    if (with < 0) return -1;
    return with > without ? with - without : with;
}

/* ---- Each type ---- */

typedef struct bulk {
    unsigned char *memory;
    size_t size, front;
    double *rounds; /* [3][repeats] */
} bulk;

static int measure_vector(product *p, const bulk *b, const bench_report *report, const weight_type *type,
                          bench_kernel *out) {
    uint64_t rows = (b->size - b->front) / row_bytes(type) / 64 * 64;
    double *speed = b->rounds, *limit = speed + report->repeats, *share = limit + report->repeats;
    double bytes = (double)rows * (double)row_bytes(type);
    int failed = open_product(p, b->memory, type, rows) || time_product(p, 1) < 0;
    for (size_t r = 0; r < report->repeats && !failed; r++) {
        double seconds = time_product(p, 1);
        failed = seconds < 0;
        speed[r] = bytes / seconds;
        limit[r] = bench_limits_read(&report->limits, b->memory, b->size);
        share[r] = limit[r] > 0 ? speed[r] / limit[r] : 0;
    }
    close_product(p);
    if (failed) return -1;
    out->vector = bench_median(speed, report->repeats);
    out->vector_limit = bench_median(limit, report->repeats);
    out->vector_share = bench_median(share, report->repeats);
    return 0;
}

static int measure_matrix(product *p, const bulk *b, const bench_report *report, const weight_type *type,
                          bench_kernel *out) {
    uint64_t rows = (b->size - b->front) / row_bytes(type) / 64 * 64;
    double *speed = b->rounds, *limit = speed + report->repeats, *share = limit + report->repeats;
    if (rows > MOST_ROWS) rows = MOST_ROWS;
    int failed = open_product(p, b->memory, type, rows);
    double first = failed ? -1 : time_product(p, FEW);
    size_t tokens = first * MANY / FEW > SLOW ? FEW : MANY;
    failed = first < 0 || (tokens == MANY && time_product(p, tokens) < 0);
    out->matrix_tokens = (uint32_t)tokens;
    for (size_t r = 0; r < report->repeats && !failed; r++) {
        double seconds = time_product(p, tokens);
        failed = seconds < 0;
        speed[r] = 2.0 * (double)rows * WIDTH * (double)tokens / seconds;
        limit[r] =
            type->is_float ? bench_limits_multiply_add(&report->limits) : bench_limits_int8(&report->limits);
        share[r] = limit[r] > 0 ? speed[r] / limit[r] : 0;
    }
    close_product(p);
    if (failed) return -1;
    out->matrix = bench_median(speed, report->repeats);
    out->matrix_limit = bench_median(limit, report->repeats);
    out->matrix_share = bench_median(share, report->repeats);
    return 0;
}

int bench_kernels(cli_host *host, bench_report *report) {
    product p;
    bulk b = {NULL, 0, 0, NULL};
    int failed = 0;
    memset(&p, 0, sizeof p);
    p.host = host;
    p.isa = report->isa;
    b.front = front_bytes();
    b.size = whole(b.front + (size_t)report->kernel_bytes);
    b.memory = bench_memory(b.size, &report->limits.huge_pages);
    b.rounds = malloc(3 * report->repeats * sizeof *b.rounds);
    if (!b.memory || !b.rounds) {
        bench_memory_free(b.memory, b.size);
        free(b.rounds);
        return cli_error(host->command, "out of memory: %llu MB for the kernels (--size)",
                         (unsigned long long)(b.size >> 20));
    }
    fill(b.memory, b.size);
    report->limits.threads = report->threads;
    if (bench_limits_find(&report->limits, b.memory, b.size, report->repeats, host->cancel)) {
        host->error.code = TFM_E_CANCELLED;
        failed = -1;
    }
    for (const weight_type *t = types; t->name && !failed; t++) {
        bench_kernel *kernel = &report->kernels[report->kernel_count];
        kernel->type = t->name;
        failed =
            measure_vector(&p, &b, report, t, kernel) || measure_matrix(&p, &b, report, t, kernel) ? -1 : 0;
        if (!failed) report->kernel_count++;
    }
    bench_memory_free(b.memory, b.size);
    free(b.rounds);
    return failed ? cli_fail(host) : CLI_OK;
}
