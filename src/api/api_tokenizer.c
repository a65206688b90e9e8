/* api_tokenizer.c - the exported functions of tfm/tokenizer.h: arguments are checked here, the work is done
 * in src/tokenizer/. A tokenizer loaded on its own owns a heap, which is taken from the allocator it counts.
 */
#include "base/cpu.h"
#include "tokenizer/decode.h"
#include "tokenizer/encode.h"

/* ---- Loading ---- */

/* A heap that lives in memory of its own allocator. */
static tfm__heap *make_heap(const tfm_tokenizer_options *options, tfm_error *error) {
    tfm__heap boot, *heap;
    tfm__heap_init(&boot, options->allocator, 0);
    heap = tfm__alloc(&boot, sizeof *heap);
    if (!heap) {
        (void)tfm__fail_memory(error, &boot, sizeof *heap);
        return NULL;
    }
    tfm__heap_init(heap, options->allocator, options->byte_budget);
    return heap;
}

static void free_heap(tfm__heap *heap) {
    tfm__heap boot;
    tfm_allocator allocator = heap->allocator;
    tfm__heap_init(&boot, &allocator, 0);
    tfm__free(&boot, heap);
}

/* Takes and checks the options and makes the heap. taken->isa is then the library's own number. */
static int32_t begin_load(const tfm_tokenizer_options *options, tfm_tokenizer_options *taken,
                          tfm__heap **heap, tfm_error *error) {
    int isa;
    int32_t rc = tfm__take_options(options, taken, sizeof *taken, "tfm_tokenizer_options", error);
    const tfm_allocator *allocator = taken->allocator;
    if (rc) return rc;
    if (allocator && (allocator->struct_size < sizeof *allocator || !allocator->realloc))
        return tfm__fail(error, TFM_E_ARGUMENT, "options: an allocator without a function");
    if (taken->compatibility != TFM_TOKENIZER_ORIGINAL && taken->compatibility != TFM_TOKENIZER_LLAMA_CPP)
        return tfm__fail(error, TFM_E_ARGUMENT, "options: there is no compatibility %d",
                         (int)taken->compatibility);
    if (!taken->special && taken->special_count)
        return tfm__fail(error, TFM_E_ARGUMENT, "options: special tokens are counted but not given");
    for (size_t i = 0; i < taken->special_count; i++)
        if (!taken->special[i].text || !*taken->special[i].text || taken->special[i].token < 0)
            return tfm__fail(error, TFM_E_ARGUMENT, "options: special token %zu has no text or no id", i);
    if ((rc = tfm__cpu_choose_isa(taken->isa, &isa, error)) != 0) return rc;
    taken->isa = isa;
    *heap = make_heap(taken, error);
    return *heap ? TFM_OK : TFM_E_MEMORY;
}

/* Reads a tokenizer from an opened store and takes the store down; the heap passes to the tokenizer or goes.
 */
static int32_t load_from(tfm__store *store, int32_t opened, const tfm_tokenizer_options *options,
                         tfm__heap *heap, tfm_tokenizer **out, tfm_error *error) {
    int32_t rc = opened;
    if (rc == TFM_OK) {
        rc = tfm__tokenizer_from_store(store, options, heap, out, error);
        tfm__store_close(store);
    }
    if (rc) {
        *out = NULL;
        free_heap(heap);
        return rc;
    }
    (*out)->standalone = true;
    (*out)->isa = options->isa;
    if (options->cache_bytes) (*out)->cache_bytes = options->cache_bytes;
    return TFM_OK;
}

int32_t tfm_tokenizer_load(const char *path, const tfm_tokenizer_options *options, tfm_tokenizer **out,
                           tfm_error *error) {
    tfm_tokenizer_options taken;
    tfm__read_options read = {0};
    tfm__store store;
    tfm__heap *heap;
    int32_t rc;
    if (out) *out = NULL;
    if (!path || !out) return tfm__fail(error, TFM_E_ARGUMENT, "path and out must not be NULL");
    if ((rc = begin_load(options, &taken, &heap, error)) != 0) return rc;
    rc = tfm__store_open_path(&store, heap, path, &read, error);
    return load_from(&store, rc, &taken, heap, out, error);
}

int32_t tfm_tokenizer_load_memory(const void *data, size_t size, const tfm_tokenizer_options *options,
                                  tfm_tokenizer **out, tfm_error *error) {
    tfm_tokenizer_options taken;
    tfm__store store;
    tfm__heap *heap;
    int32_t rc;
    if (out) *out = NULL;
    if (!data || !out) return tfm__fail(error, TFM_E_ARGUMENT, "data and out must not be NULL");
    if ((rc = begin_load(options, &taken, &heap, error)) != 0) return rc;
    rc = tfm__store_open_memory(&store, heap, data, size, error);
    return load_from(&store, rc, &taken, heap, out, error);
}

int32_t tfm_tokenizer_load_source(const tfm_source *source, const tfm_tokenizer_options *options,
                                  tfm_tokenizer **out, tfm_error *error) {
    tfm_tokenizer_options taken;
    tfm__read_options read = {0};
    tfm_source given;
    tfm__store store;
    tfm__heap *heap;
    int32_t rc;
    if (out) *out = NULL;
    if (!source) return tfm__fail(error, TFM_E_ARGUMENT, "source must not be NULL");
    if ((rc = tfm__take_options(source, &given, sizeof given, "tfm_source", error)) != 0) return rc;
    if (!out)
        rc = tfm__fail(error, TFM_E_ARGUMENT, "out must not be NULL");
    else if (!given.size || !given.read_at)
        rc = tfm__fail(error, TFM_E_ARGUMENT, "the source needs size and read_at");
    else
        rc = begin_load(options, &taken, &heap, error);
    if (rc) { /* before there is a store to do it */
        if (given.close) given.close(given.user);
        return rc;
    }
    rc = tfm__store_open_source(&store, heap, &given, &read, error);
    return load_from(&store, rc, &taken, heap, out, error);
}

void tfm_tokenizer_release(tfm_tokenizer *tokenizer) {
    tfm__heap *heap;
    if (!tokenizer || !tokenizer->standalone) return;
    heap = tokenizer->heap;
    tfm__tokenizer_free(tokenizer);
    free_heap(heap);
}

/* ---- Facts ---- */

int32_t tfm_tokenizer_get_info(const tfm_tokenizer *tokenizer, tfm_tokenizer_info *info, tfm_error *error) {
    tfm_tokenizer_info full = TFM_TOKENIZER_INFO_INIT;
    size_t size;
    if (!tokenizer || !info) return tfm__fail(error, TFM_E_ARGUMENT, "tokenizer and info must not be NULL");
    size = info->struct_size;
    if (size < sizeof size || size > sizeof full + 4096)
        return tfm__fail(error, TFM_E_ARGUMENT, "info: struct_size is not set");
    tfm__tokenizer_info(tokenizer, &full);
    full.struct_size = size;
    memset(info, 0, size);
    memcpy(info, &full, TFM__MIN(size, sizeof full));
    return TFM_OK;
}

static bool in_vocabulary(const tfm_tokenizer *tokenizer, tfm_token token) {
    return token >= 0 && token < tokenizer->vocab_size && tokenizer->flags[token] & TFM__TOKEN_PRESENT;
}

/* Ids without a token are inside the vocabulary: they decode to nothing. */
static int32_t check_token(const tfm_tokenizer *tokenizer, tfm_token token, tfm_error *error) {
    if (token >= 0 && token < tokenizer->vocab_size) return TFM_OK;
    return tfm__fail(error, TFM_E_TOKEN, "the token %d is outside the vocabulary of %d", (int)token,
                     (int)tokenizer->vocab_size);
}

int32_t tfm_token_bytes(const tfm_tokenizer *tokenizer, tfm_token token, const char **bytes, size_t *length,
                        tfm_error *error) {
    int32_t rc;
    if (bytes) *bytes = NULL;
    if (length) *length = 0;
    if (!tokenizer || !bytes || !length)
        return tfm__fail(error, TFM_E_ARGUMENT, "tokenizer, bytes and length must not be NULL");
    if ((rc = check_token(tokenizer, token, error)) != 0) return rc;
    *bytes = (const char *)tfm__slice_at(tokenizer, tokenizer->text[token]);
    *length = tokenizer->text[token].length;
    return TFM_OK;
}

int32_t tfm_token_kind(const tfm_tokenizer *tokenizer, tfm_token token) {
    if (!tokenizer || token < 0 || token >= tokenizer->vocab_size) return 0;
    return in_vocabulary(tokenizer, token) ? tokenizer->kind[token] : TFM_TOKEN_UNUSED;
}

tfm_token tfm_token_find(const tfm_tokenizer *tokenizer, const char *bytes, size_t length) {
    tfm_token found;
    if (!tokenizer || !bytes) return -1;
    found = tfm__vocab_find_text(tokenizer, bytes, length);
    if (found < 0 && length && tokenizer->decode_plan) /* "hello" may stand for " hello" */
        found = tfm__vocab_find(tokenizer, (const uint8_t *)bytes, length);
    return found;
}

/* ---- Text to tokens ---- */

/* Runs one text; ids are in buffer. */
static int32_t encode(const tfm_tokenizer *tokenizer, const char *text, size_t length,
                      const tfm_tokenize_options *options, tfm__buffer *buffer, tfm_error *error) {
    tfm__encode_choices choices;
    int32_t rc = tfm__encode_choose(tokenizer, options, &choices, error);
    if (rc) return rc;
    return tfm__encode_framed(tokenizer, (const uint8_t *)text, length, &choices, buffer, error);
}

int32_t tfm_tokenize(const tfm_tokenizer *tokenizer, const char *text, size_t length,
                     const tfm_tokenize_options *options, tfm_token *ids, size_t capacity, size_t *count,
                     tfm_error *error) {
    tfm__buffer buffer;
    int32_t rc;
    if (count) *count = 0;
    if (!tokenizer || !count || (!text && length) || (!ids && capacity))
        return tfm__fail(error, TFM_E_ARGUMENT, "tokenizer, text, ids and count must not be NULL");
    /* straight into the caller's memory, if that is sure to suffice: a refusal leaves it alone */
    if (capacity > length && capacity <= SIZE_MAX / sizeof *ids)
        tfm__buffer_borrow(&buffer, tokenizer->heap, ids, capacity * sizeof *ids);
    else
        tfm__buffer_init(&buffer, tokenizer->heap);
    if ((rc = encode(tokenizer, text, length, options, &buffer, error)) == TFM_OK) {
        *count = buffer.size / sizeof(tfm_token);
        if (*count <= capacity) {
            if (buffer.size && !buffer.borrowed) memcpy(ids, buffer.data, buffer.size);
        } else if (capacity) {
            rc = tfm__fail(error, TFM_E_BUFFER, "%zu tokens do not fit in %zu", *count, capacity);
        }
    }
    tfm__buffer_free(&buffer);
    return rc;
}

int32_t tfm_count_tokens(const tfm_tokenizer *tokenizer, const char *text, size_t length,
                         const tfm_tokenize_options *options, size_t *count, tfm_error *error) {
    return tfm_tokenize(tokenizer, text, length, options, NULL, 0, count, error);
}

/* ---- Tokens to text ---- */

static int32_t take_detokenize(const tfm_detokenize_options *options, tfm_detokenize_options *taken,
                               tfm_error *error) {
    int32_t rc = tfm__take_options(options, taken, sizeof *taken, "tfm_detokenize_options", error);
    if (rc) return rc;
    if (taken->special < 0 || taken->special > 1 || taken->raw < 0 || taken->raw > 1 ||
        taken->continued < 0 || taken->continued > 1)
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "tfm_detokenize_options: a field has a value that it does not know");
    return TFM_OK;
}

int32_t tfm_detokenize(const tfm_tokenizer *tokenizer, const tfm_token *ids, size_t count,
                       const tfm_detokenize_options *options, char *text, size_t capacity, size_t *length,
                       tfm_error *error) {
    tfm_detokenize_options taken;
    struct tfm_decoder decoder;
    int32_t rc;
    if (length) *length = 0;
    if (!tokenizer || !length || (!ids && count) || (!text && capacity))
        return tfm__fail(error, TFM_E_ARGUMENT, "tokenizer, ids, text and length must not be NULL");
    if ((rc = take_detokenize(options, &taken, error)) != 0) return rc;
    for (size_t i = 0; i < count; i++)
        if ((rc = check_token(tokenizer, ids[i], error)) != 0) return rc;
    uint8_t *out = tfm__alloc(tokenizer->heap, tfm__decoder_bytes(tokenizer));
    if (!out) return tfm__fail_memory(error, tokenizer->heap, tfm__decoder_bytes(tokenizer));
    tfm__decoder_init(&decoder, tokenizer, &taken, out);
    *length = tfm__decode_all(&decoder, ids, count, (uint8_t *)text, capacity);
    tfm__free(tokenizer->heap, decoder.out);
    if (capacity && *length > capacity)
        return tfm__fail(error, TFM_E_BUFFER, "%zu bytes of text do not fit in %zu", *length, capacity);
    return TFM_OK;
}

/* ---- Streaming ---- */

int32_t tfm_decoder_create(const tfm_tokenizer *tokenizer, const tfm_detokenize_options *options,
                           tfm_decoder **out, tfm_error *error) {
    tfm_detokenize_options taken;
    int32_t rc;
    if (out) *out = NULL;
    if (!tokenizer || !out) return tfm__fail(error, TFM_E_ARGUMENT, "tokenizer and out must not be NULL");
    if ((rc = take_detokenize(options, &taken, error)) != 0) return rc;
    return tfm__decoder_new(tokenizer, tokenizer->heap, &taken, out, error);
}

int32_t tfm_decoder_push(tfm_decoder *decoder, tfm_token token, const char **text, size_t *length,
                         tfm_error *error) {
    int32_t rc;
    if (text) *text = NULL;
    if (length) *length = 0;
    if (!decoder || !text || !length)
        return tfm__fail(error, TFM_E_ARGUMENT, "decoder, text and length must not be NULL");
    if ((rc = check_token(decoder->tokenizer, token, error)) != 0) return rc;
    *length = tfm__decoder_step(decoder, token, decoder->out);
    *text = (const char *)decoder->out;
    return TFM_OK;
}

int32_t tfm_decoder_finish(tfm_decoder *decoder, const char **text, size_t *length, tfm_error *error) {
    if (text) *text = NULL;
    if (length) *length = 0;
    if (!decoder || !text || !length)
        return tfm__fail(error, TFM_E_ARGUMENT, "decoder, text and length must not be NULL");
    *length = tfm__decoder_end(decoder, decoder->out);
    *text = (const char *)decoder->out;
    return TFM_OK;
}

void tfm_decoder_destroy(tfm_decoder *decoder) { tfm__decoder_free(decoder); }
