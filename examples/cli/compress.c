/* compress.c - an arithmetic coder on a model's probabilities, and its decoder.
 *
 * The coder holds an interval of 64-bit numbers. Each token has a share of 2^32 counts, at least one, and the
 * interval becomes that token's part of it; leading bytes that are settled are written. The decoder, which
 * has read the same tokens, makes the same shares and finds the part that the code lies in. Both need the
 * same logits to the last bit. The coder reads the text in long calls and the decoder token by token: that
 * the library computes the same bits in either way is what lets it decode.
 *
 * The model sees a window: when it is full, reading begins anew with its second half. */
#include "compress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_BITS 32
#define CALL_TOKENS 64             /* read in one call by the coder */
#define NARROW ((uint64_t)1 << 48) /* an interval below this gives away its leading byte */

/* ---- What comes next, in counts ---- */

typedef struct foresight {
    cli_host *host;
    size_t vocab;
    uint32_t context;
    int32_t begin;
    uint64_t *counts; /* [vocab] of the next token; they add up to 2^32 */
    double surprise;  /* bits, of the tokens so far */
} foresight;

/* Counts of the next token from logits; NULL: all are equally probable. */
static int make_counts(foresight *f, const float *logits) {
    uint64_t all = (uint64_t)1 << COUNT_BITS, given = 0;
    size_t best = 0;
    double sum = 0;
    if (!logits) {
        for (size_t i = 0; i < f->vocab; i++) f->counts[i] = all / f->vocab;
        f->counts[0] += all % f->vocab;
        return CLI_OK;
    }
    for (size_t i = 1; i < f->vocab; i++)
        if (logits[i] > logits[best]) best = i;
    for (size_t i = 0; i < f->vocab; i++) sum += exp((double)logits[i] - (double)logits[best]);
    if (!isfinite(sum)) return cli_error(f->host->command, "the logits are no numbers");
    double share =
        (double)(all - f->vocab) * (1 - 1e-9) / sum; /* a little less: rounding must not exceed it */
    for (size_t i = 0; i < f->vocab; i++) {
        f->counts[i] = 1 + (uint64_t)(exp((double)logits[i] - (double)logits[best]) * share);
        given += f->counts[i];
    }
    f->counts[best] += all - given;
    return CLI_OK;
}

/* The model begins to read: the counts of the first token. */
static int start(foresight *f) {
    const float *logits = NULL;
    cli_host *host = f->host;
    f->surprise = 0;
    if (tfm_session_rewind(host->session, 0, &host->error)) return cli_fail(host);
    if (f->begin >= 0 && (tfm_forward(host->session, &f->begin, 1, NULL, &host->error) ||
                          tfm_logits(host->session, 0, &logits, NULL, &host->error)))
        return cli_fail(host);
    return make_counts(f, logits);
}

/* Reads up to `most` tokens from ids[at] on; *read says how many. There are logits for each of them then. */
static int read_on(foresight *f, const int32_t *ids, size_t at, size_t most, size_t *read) {
    cli_host *host = f->host;
    size_t position = tfm_session_position(host->session);
    tfm_forward_options options = TFM_FORWARD_OPTIONS_INIT;
    options.cancel = host->cancel;
    if (position < f->context) {
        *read = most < f->context - position ? most : f->context - position;
        options.logits = TFM_LOGITS_ALL;
        return tfm_forward(host->session, ids + at, *read, &options, &host->error) ? cli_fail(host) : CLI_OK;
    }
    size_t again = f->context / 2; /* the newest ones, this one among them, in an empty window */
    *read = 1;
    options.logits = f->begin >= 0 ? TFM_LOGITS_NONE : TFM_LOGITS_LAST;
    if (tfm_session_rewind(host->session, 0, &host->error) ||
        (f->begin >= 0 && tfm_forward(host->session, &f->begin, 1, &options, &host->error)))
        return cli_fail(host);
    options.logits = TFM_LOGITS_LAST;
    return tfm_forward(host->session, ids + at + 1 - again, again, &options, &host->error) ? cli_fail(host)
                                                                                           : CLI_OK;
}

/* ---- The coder ---- */

typedef struct coder {
    uint64_t low, range;
    uint8_t *bytes;
    size_t count, capacity;
} coder;

static void carry(coder *c) {
    size_t i = c->count;
    while (i > 0 && ++c->bytes[--i] == 0) {}
}

static int put_byte(coder *c, uint8_t byte) {
    if (c->count == c->capacity) {
        size_t capacity = 2 * c->capacity + 256;
        uint8_t *bytes = realloc(c->bytes, capacity);
        if (!bytes) return 0;
        c->bytes = bytes;
        c->capacity = capacity;
    }
    c->bytes[c->count++] = byte;
    return 1;
}

/* The interval becomes its part of `count` out of 2^32 from `before` on. */
static int narrow(coder *c, uint64_t before, uint64_t count) {
    uint64_t unit = c->range >> COUNT_BITS, low = c->low + unit * before;
    if (low < c->low) carry(c);
    c->low = low;
    c->range = unit * count;
    for (; c->range < NARROW; c->low <<= 8, c->range <<= 8)
        if (!put_byte(c, (uint8_t)(c->low >> 56))) return 0;
    return 1;
}

/* A number of the interval with as few bytes as do; behind the end, the decoder reads zeros. */
static int finish(coder *c) {
    uint64_t low = c->low + (NARROW - 1);
    if (low < c->low) carry(c);
    return put_byte(c, (uint8_t)(low >> 56)) && put_byte(c, (uint8_t)(low >> 48));
}

static int encode_token(foresight *f, coder *c, int32_t id) {
    uint64_t before = 0, count = f->counts[id];
    for (int32_t i = 0; i < id; i++) before += f->counts[i];
    f->surprise += COUNT_BITS - log2((double)count);
    return narrow(c, before, count) ? CLI_OK : cli_error(f->host->command, "out of memory");
}

static int encode(foresight *f, const int32_t *ids, size_t count, coder *c) {
    int status = start(f);
    if (!status && count) status = encode_token(f, c, ids[0]);
    for (size_t at = 0, read; at + 1 < count && !status; at += read) {
        size_t most = count - 1 - at; /* the last one is coded, but need not be read */
        status = read_on(f, ids, at, most < CALL_TOKENS ? most : CALL_TOKENS, &read);
        for (size_t i = 0; i < read && !status; i++) {
            const float *logits;
            if (tfm_logits(f->host->session, i, &logits, NULL, &f->host->error)) return cli_fail(f->host);
            status = make_counts(f, logits);
            if (!status) status = encode_token(f, c, ids[at + i + 1]);
        }
        if (!status && cli_progress_report(&f->host->progress, at, 2 * count)) status = CLI_ERROR;
    }
    if (!status && !finish(c)) status = cli_error(f->host->command, "out of memory");
    return status;
}

/* ---- The decoder ---- */

typedef struct decoder {
    uint64_t offset, range; /* where the code lies in the interval */
    const uint8_t *bytes;
    size_t count, at;
} decoder;

static void take_byte(decoder *d) {
    d->offset = d->offset << 8 | (d->at < d->count ? d->bytes[d->at] : 0);
    d->at++;
}

static int32_t decode_token(const foresight *f, decoder *d) {
    uint64_t unit = d->range >> COUNT_BITS, place = d->offset / unit, before = 0;
    size_t id = 0;
    while (id + 1 < f->vocab && before + f->counts[id] <= place) before += f->counts[id++];
    d->offset -= unit * before;
    d->range = unit * f->counts[id];
    for (; d->range < NARROW; d->range <<= 8) take_byte(d);
    return (int32_t)id;
}

static int decode(foresight *f, const coder *code, int32_t *ids, size_t count) {
    decoder d = {0, UINT64_MAX, code->bytes, code->count, 0};
    for (int i = 0; i < 8; i++) take_byte(&d);
    int status = start(f);
    for (size_t at = 0; at < count && !status; at++) {
        const float *logits = NULL;
        size_t read;
        ids[at] = decode_token(f, &d);
        if (at + 1 == count) break;
        status = read_on(f, ids, at, 1, &read);
        if (!status && tfm_logits(f->host->session, 0, &logits, NULL, &f->host->error))
            return cli_fail(f->host);
        if (!status) status = make_counts(f, logits);
        if (!status && cli_progress_report(&f->host->progress, count + at, 2 * count)) status = CLI_ERROR;
    }
    return status;
}

int compress_text(cli_host *host, const int32_t *ids, size_t count, int32_t begin, uint32_t context,
                  compress_result *result) {
    foresight f = {.host = host, .context = context, .begin = begin};
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    coder code = {0, UINT64_MAX, NULL, 0, 0};
    memset(result, 0, sizeof *result);
    if (tfm_model_get_info(host->model, &info, &host->error)) return cli_fail(host);
    f.vocab = (size_t)info.vocab_size;
    f.counts = malloc(f.vocab * sizeof *f.counts);
    int32_t *decoded = malloc((count + 1) * sizeof *decoded);
    int status = f.counts && decoded ? CLI_OK : cli_error(host->command, "out of memory");
    cli_progress_label(&host->progress, "compressing");
    if (!status) status = encode(&f, ids, count, &code);
    result->surprise = f.surprise;
    if (!status) status = decode(&f, &code, decoded, count);
    result->tokens = count;
    result->bytes = code.count;
    result->code = code.bytes;
    result->decoded_back = !status && !memcmp(ids, decoded, count * sizeof *ids);
    free(f.counts);
    free(decoded);
    return status;
}
