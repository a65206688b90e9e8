/* fuzz_hf.c - any bytes as a tokenizer.json, with the text that stands behind its first NUL (or one of our
 * own): what loads must encode it, with offsets inside the text and in one call as in a batch, decode it,
 * streamed and at once to the same end, and give back all memory. */
#include <stdlib.h>
#include <string.h>

#include "tfm/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) abort();
}

enum { IDS = 4096, TEXT = 1 << 20 };

/* Encoding may say that no token stands for something, or that an expression takes too long. */
static int excused(int32_t rc) {
    return rc == TFM_E_TOKEN || rc == TFM_E_UNSUPPORTED || rc == TFM_E_MEMORY || rc == TFM_E_BUDGET ||
           rc == TFM_E_BUFFER;
}

static size_t encode(const tfm_tokenizer *tokenizer, const char *text, size_t length, int32_t parse,
                     tfm_token *ids) {
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    tfm_batch_options batch = TFM_BATCH_OPTIONS_INIT;
    tfm_encoding_view view = TFM_ENCODING_VIEW_INIT;
    tfm_encoding *encoding = NULL;
    tfm_text_input inputs[2] = {{text, length, NULL, 0}, {text, length, text, length / 2}};
    const tfm_token *rows;
    const size_t *starts;
    size_t count = 0, row_count;
    int32_t rc;
    options.parse_special = parse;
    options.add_bos = options.add_eos = parse ? TFM_YES : TFM_NO;
    batch.tokenize = &options;
    batch.truncate = batch.pad = TFM_NO;
    batch.want = TFM_WANT_OFFSETS | TFM_WANT_CHARS | TFM_WANT_TYPES | TFM_WANT_MASKS;
    rc = tfm_tokenize(tokenizer, text, length, &options, ids, IDS, &count, NULL);
    if (rc) {
        check(excused(rc));
        return 0;
    }
    rc = tfm_tokenize_batch(tokenizer, inputs, 2, &batch, &encoding, NULL);
    if (rc) {
        check(excused(rc));
        return count;
    }
    check(tfm_encoding_ids(encoding, &rows, &starts, &row_count, NULL) == TFM_OK && row_count == 2);
    check(starts[1] == count && (count == 0 || memcmp(rows, ids, count * sizeof *ids) == 0));
    check(tfm_encoding_get(encoding, &view, NULL) == TFM_OK);
    for (size_t i = 0; i < view.count; i++)
        check(view.byte_begins[i] <= view.byte_ends[i] && view.byte_ends[i] <= length &&
              view.char_begins[i] <= view.char_ends[i] && view.char_ends[i] <= length);
    tfm_encoding_destroy(encoding);
    return count;
}

static void decode(const tfm_tokenizer *tokenizer, const tfm_token *ids, size_t count, int32_t special) {
    tfm_detokenize_options back = TFM_DETOKENIZE_OPTIONS_INIT;
    tfm_decoder *decoder = NULL;
    char *whole = malloc(TEXT);
    size_t length = 0, at = 0;
    int32_t rc;
    check(whole != NULL);
    back.special = special;
    rc = tfm_detokenize(tokenizer, ids, count, &back, whole, TEXT, &length, NULL);
    if (rc == TFM_OK && tfm_decoder_create(tokenizer, &back, &decoder, NULL) == TFM_OK) {
        for (size_t i = 0; i <= count; i++) {
            const char *part;
            size_t n;
            check((i < count ? tfm_decoder_push(decoder, ids[i], &part, &n, NULL)
                             : tfm_decoder_finish(decoder, &part, &n, NULL)) == TFM_OK);
            check(n <= length - at && (n == 0 || memcmp(whole + at, part, n) == 0));
            at += n;
        }
        check(at == length);
        tfm_decoder_destroy(decoder);
    }
    check(rc == TFM_OK || excused(rc));
    free(whole);
}

static void use(const tfm_tokenizer *tokenizer, const char *text, size_t length, int32_t special) {
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_token *ids = malloc(IDS * sizeof *ids);
    size_t count;
    check(ids && tfm_tokenizer_get_info(tokenizer, &info, NULL) == TFM_OK && info.vocab_size > 0);
    count = encode(tokenizer, text, length, special, ids);
    for (size_t i = 0; i < count; i++) check(ids[i] >= 0 && ids[i] < info.vocab_size);
    for (size_t i = 0; count < IDS && i < 64; i++)
        ids[count++] = (tfm_token)(i * 7919 % (size_t)info.vocab_size);
    decode(tokenizer, ids, count, special);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char own[] =
        " the best of\n times <tool> <s> [MASK] \xe5\xba\x8a\xe5\x89\x8d e\xcc\x81t\xc3\xa9 \xff\xe4 "
        "'LL 12345 \xe2\x96\x81 don't, \xc4\xa0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t json = nul ? (size_t)(nul - data) : size;
    const char *text = nul ? (const char *)nul + 1 : own;
    size_t length = nul ? size - json - 1 : sizeof own - 1;
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_tokenizer *tokenizer = NULL;
    tfm_error error = TFM_ERROR_INIT;
    options.byte_budget = (uint64_t)256 << 20;
    if (json == 0 || data[0] != '{') return 0;
    if (tfm_tokenizer_load_memory(data, json, &options, &tokenizer, &error) == TFM_OK) {
        use(tokenizer, text, length, 0);
        use(tokenizer, text, length, 1);
        tfm_tokenizer_release(tokenizer);
    } else {
        check(!tokenizer && error.code < 0);
    }
    return 0;
}
