/* fuzz_text.c - any bytes as a text, for one of the small tokenizers of tests/data: one call, parts, a batch, every
 * instruction set and no cache give the same ids; ranges lie one behind the other; byte-level vocabularies give every
 * byte back; decoding in one call and token by token gives the same text, which is UTF-8.
 *
 * The first byte chooses the tokenizer, the second the options, the rest is the text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tfm/tfm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) abort();
}

static const char *const names[] = {"bl-gpt2.json",    "bl-o200k.json",   "bl-llama3.json",  "bl-qwen2.json",
                                    "bl-deepseek.json", "bl-falcon.json", "marks-first.json", "marks-gemma.json",
                                    "marks-split.json", "spm-llama.model", "spm-rules.model",  "spm-suffix.model",
                                    "spm-unused.model", "ranks.tiktoken",  "tokenizer.bin",    "spm.gguf",
                                    "added.json"};
enum { NAMES = sizeof names / sizeof *names, WAYS = 4 };

/* Each tokenizer in several ways that must not differ: best instruction set, portable, AVX2, without a cache. */
static tfm_tokenizer *loaded[NAMES][WAYS];

static void load(size_t which) {
    for (int way = 0; way < WAYS; way++) {
        tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
        char path[1024];
        if (strstr(names[which], ".tiktoken")) options.pattern = "cl100k";
        if (way == 1 || (way == 2 && tfm_capability("avx2"))) options.isa = way;
        if (way == 3) options.cache_bytes = 1;
        snprintf(path, sizeof path, "%s/tokenizer/%s", TFM_TEST_DATA, names[which]);
        check(tfm_tokenizer_load(path, &options, &loaded[which][way], NULL) == TFM_OK);
    }
}

/* The ids of a text, to be freed; the same in every way. */
static tfm_token *encode(size_t which, const char *text, size_t length, const tfm_tokenize_options *options,
                         size_t *count) {
    tfm_token *first = NULL, *again;
    for (int way = 0; way < WAYS; way++) {
        size_t n = 0;
        check(tfm_count_tokens(loaded[which][way], text, length, options, &n, NULL) == TFM_OK);
        again = malloc((n + 1) * sizeof *again);
        check(again && tfm_tokenize(loaded[which][way], text, length, options, again, n, &n, NULL) == TFM_OK);
        if (!first) {
            first = again;
            *count = n;
        } else {
            check(n == *count && memcmp(first, again, n * sizeof *again) == 0);
            free(again);
        }
    }
    return first;
}

static void in_parts(const tfm_tokenizer *tokenizer, const char *text, size_t length,
                     const tfm_tokenize_options *options, const tfm_token *whole, size_t count, size_t step) {
    tfm_encoder *encoder = NULL;
    const tfm_token *ids;
    size_t got = 0, n;
    check(tfm_encoder_create(tokenizer, options, &encoder, NULL) == TFM_OK);
    for (size_t at = 0; at < length; at += step) {
        size_t part = length - at < step ? length - at : step;
        check(tfm_encoder_push(encoder, text + at, part, &ids, &n, NULL) == TFM_OK);
        check(n <= count - got && (n == 0 || memcmp(whole + got, ids, n * sizeof *ids) == 0));
        got += n;
    }
    check(tfm_encoder_finish(encoder, &ids, &n, NULL) == TFM_OK);
    check(n == count - got && (n == 0 || memcmp(whole + got, ids, n * sizeof *ids) == 0));
    tfm_encoder_destroy(encoder);
}

static void as_batch(const tfm_tokenizer *tokenizer, const char *text, size_t length,
                     const tfm_tokenize_options *options, const tfm_token *whole, size_t count) {
    tfm_text_input inputs[2] = {{text, length, NULL, 0}, {text, length / 2, NULL, 0}};
    tfm_batch_options batch = TFM_BATCH_OPTIONS_INIT;
    tfm_encoding_view view = TFM_ENCODING_VIEW_INIT;
    tfm_encoding *encoding = NULL;
    const size_t *starts;
    uint32_t at = 0, at_char = 0, begin = 0, begin_char = 0; /* of the token before */
    batch.tokenize = options;
    batch.truncate = batch.pad = TFM_NO;
    batch.want = TFM_WANT_OFFSETS | TFM_WANT_CHARS | TFM_WANT_MASKS | TFM_WANT_TYPES;
    check(tfm_tokenize_batch(tokenizer, inputs, 2, &batch, &encoding, NULL) == TFM_OK);
    check(tfm_encoding_ids(encoding, NULL, &starts, NULL, NULL) == TFM_OK);
    check(tfm_encoding_get(encoding, &view, NULL) == TFM_OK);
    check(starts[1] == count && (count == 0 || memcmp(view.ids, whole, count * sizeof *whole) == 0));
    for (size_t i = 0; i < count; i++) {
        check(view.byte_begins[i] <= view.byte_ends[i] && view.byte_ends[i] <= length);
        check(view.char_begins[i] <= view.char_ends[i] && view.char_ends[i] <= view.byte_ends[i]);
        if (view.special[i]) continue;
        /* Hugging Face's prefix has the range of the first character, which the token behind it has too */
        check(view.byte_begins[i] >= at || view.byte_ends[i] <= at || view.byte_begins[i] == begin);
        check(view.char_begins[i] + 1 >= at_char || view.char_ends[i] <= at_char || view.char_begins[i] == begin_char);
        begin = view.byte_begins[i];
        begin_char = view.char_begins[i];
        at = view.byte_ends[i];
        at_char = view.char_ends[i];
    }
    tfm_encoding_destroy(encoding);
}

static int is_utf8(const char *text, size_t length) {
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < length;) {
        size_t n = p[i] < 0x80 ? 1 : p[i] < 0xc2 ? 0 : p[i] < 0xe0 ? 2 : p[i] < 0xf0 ? 3 : p[i] < 0xf5 ? 4 : 0;
        if (n == 0 || n > length - i) return 0;
        for (size_t k = 1; k < n; k++)
            if ((p[i + k] & 0xc0) != 0x80) return 0;
        i += n;
    }
    return 1;
}

static void decode(const tfm_tokenizer *tokenizer, const tfm_token *ids, size_t count, const char *text, size_t length,
                   int32_t raw, int comes_back) {
    tfm_detokenize_options options = TFM_DETOKENIZE_OPTIONS_INIT;
    tfm_decoder *decoder = NULL;
    size_t size = 0, at = 0, n;
    char *whole;
    options.raw = raw;
    check(tfm_detokenize(tokenizer, ids, count, &options, NULL, 0, &size, NULL) == TFM_OK);
    whole = malloc(size + 1);
    check(whole && tfm_detokenize(tokenizer, ids, count, &options, whole, size, &size, NULL) == TFM_OK);
    check(raw || is_utf8(whole, size));
    if (comes_back) check(size == length && memcmp(whole, text, size) == 0);
    check(tfm_decoder_create(tokenizer, &options, &decoder, NULL) == TFM_OK);
    for (size_t i = 0; i <= count; i++) {
        const char *part;
        check((i < count ? tfm_decoder_push(decoder, ids[i], &part, &n, NULL)
                         : tfm_decoder_finish(decoder, &part, &n, NULL)) == TFM_OK);
        check(n <= size - at && memcmp(whole + at, part, n) == 0);
        check(raw || is_utf8(part, n));
        at += n;
    }
    check(at == size);
    tfm_decoder_destroy(decoder);
    free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    const char *text;
    tfm_token *ids;
    size_t which, length, count = 0;
    int comes_back;
    if (size < 2 || size > 4096) return 0;
    which = data[0] % NAMES;
    if (!loaded[which][0]) load(which);
    text = (const char *)data + 2;
    length = size - 2;
    options.parse_special = data[1] & 1;
    options.add_bos = options.add_eos = data[1] & 2 ? TFM_NO : TFM_DEFAULT;
    options.invalid_utf8 = data[1] & 4 ? TFM_UTF8_KEEP : TFM_DEFAULT;
    comes_back = strncmp(names[which], "bl-", 3) == 0 && strcmp(names[which], "bl-qwen2.json") != 0 /* NFC */ &&
                 options.parse_special == 0 && options.add_bos == TFM_NO && options.invalid_utf8 == TFM_UTF8_KEEP;
    ids = encode(which, text, length, &options, &count);
    in_parts(loaded[which][0], text, length, &options, ids, count, 1 + data[1] / 8);
    as_batch(loaded[which][0], text, length, &options, ids, count);
    decode(loaded[which][0], ids, count, text, length, 0, 0);
    decode(loaded[which][0], ids, count, text, length, 1, comes_back);
    free(ids);
    return 0;
}
