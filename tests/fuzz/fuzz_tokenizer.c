/* fuzz_tokenizer.c - any bytes as a tokenizer: what loads must encode and decode a fixed text, streamed and
 * at once to the same end, and give back all memory. */
#include <stdlib.h>
#include <string.h>

#include "tfm/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) abort();
}

static const char text[] =
    " the best of\n times <tool> <s> <|end|> \xe5\xba\x8a\xe5\x89\x8d e\xcc\x81t\xc3\xa9 \xff\xe4 "
    "'LL 12345 \xe2\x96\x81 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
enum { IDS = 4096, TEXT = 1 << 20 };

static void use(const tfm_tokenizer *tokenizer, int32_t special) {
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    tfm_detokenize_options back = TFM_DETOKENIZE_OPTIONS_INIT;
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_decoder *decoder = NULL;
    tfm_token *ids = malloc(IDS * sizeof *ids);
    char *whole = malloc(TEXT);
    size_t count = 0, length = 0, at = 0;
    int32_t rc;
    check(ids && whole);
    options.parse_special = back.special = special;
    check(tfm_tokenizer_get_info(tokenizer, &info, NULL) == TFM_OK && info.vocab_size > 0);
    rc = tfm_tokenize(tokenizer, text, sizeof text - 1, &options, ids, IDS, &count, NULL);
    /* there may be nothing for what is unknown, and expressions may take too long */
    check(rc == TFM_OK || rc == TFM_E_TOKEN || rc == TFM_E_UNSUPPORTED);
    if (rc) count = 0;
    for (size_t i = 0; i < count; i++) check(ids[i] >= 0 && ids[i] < info.vocab_size);
    for (size_t i = 0; count < IDS && i < 64; i++)
        ids[count++] = (tfm_token)(i * 7919 % (size_t)info.vocab_size);
    if (tfm_detokenize(tokenizer, ids, count, &back, whole, TEXT, &length, NULL) == TFM_OK) {
        check(tfm_decoder_create(tokenizer, &back, &decoder, NULL) == TFM_OK);
        for (size_t i = 0; i <= count; i++) {
            const char *part;
            size_t part_length;
            check((i < count ? tfm_decoder_push(decoder, ids[i], &part, &part_length, NULL)
                             : tfm_decoder_finish(decoder, &part, &part_length, NULL)) == TFM_OK);
            check(part_length <= length - at && memcmp(whole + at, part, part_length) == 0);
            at += part_length;
        }
        check(at == length);
        tfm_decoder_destroy(decoder);
    }
    free(whole);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const patterns[] = {"gpt2", "cl100k", "o200k"};
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_tokenizer *tokenizer = NULL;
    tfm_error error = TFM_ERROR_INIT;
    options.pattern = patterns[size % 3];
    options.byte_budget = (uint64_t)256 << 20;
    if (tfm_tokenizer_load_memory(size ? (const void *)data : "", size, &options, &tokenizer, &error) ==
        TFM_OK) {
        use(tokenizer, 0);
        use(tokenizer, 1);
        tfm_tokenizer_release(tokenizer);
    } else {
        check(!tokenizer && error.code < 0);
    }
    return 0;
}
