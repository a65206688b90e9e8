/* fuzz_folder.c - tokenizers in several files: the input is a folder, each file behind a line "== NAME" and
 * the first the one that is opened. What loads must encode and decode a fixed text and give back all memory.
 */
#include <stdlib.h>
#include <string.h>

#include "../folder_source.h"
#include "tfm/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) abort();
}

static void use(const tfm_tokenizer *tokenizer) {
    static const char text[] =
        "the caf\xc3\xa9 e\xcc\x81 \xe4\xb8\xad\xe5\x9b\xbd <s> [CLS] ##ing 'll \xff\n ";
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm_token ids[512];
    char back[8192];
    size_t count = 0, length = 0;
    check(tfm_tokenizer_get_info(tokenizer, &info, NULL) == TFM_OK && info.vocab_size > 0);
    int32_t rc = tfm_tokenize(tokenizer, text, sizeof text - 1, NULL, ids, 512, &count, NULL);
    check(rc == TFM_OK || rc == TFM_E_TOKEN || rc == TFM_E_BUFFER || rc == TFM_E_ARGUMENT);
    if (rc) return;
    for (size_t i = 0; i < count; i++) check(ids[i] >= 0 && ids[i] < info.vocab_size);
    rc = tfm_detokenize(tokenizer, ids, count, NULL, back, sizeof back, &length, NULL);
    check(rc == TFM_OK || rc == TFM_E_BUFFER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const known[] = {
        "vocab.json",  "merges.txt",     "vocab.txt", "vocab.bpe", "tokenizer_config.json",
        "config.json", "tokenizer.model"};
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_tokenizer *tokenizer = NULL;
    tfm_error error = TFM_ERROR_INIT;
    folder f = {.count = 0};
    options.byte_budget = (uint64_t)256 << 20;
    folder_parse(&f, data, size, known, sizeof known / sizeof *known);
    if (f.count == 0) return 0;
    tfm_source source = folder_source(&f.files[0]);
    if (tfm_tokenizer_load_source(&source, &options, &tokenizer, &error) == TFM_OK) {
        use(tokenizer);
        tfm_tokenizer_release(tokenizer);
    } else {
        check(!tokenizer && error.code < 0);
    }
    check(f.open == 0);
    return 0;
}
