/* api_tokenizer_train.c - the exported functions of tfm/tokenizer_train.h: arguments are checked here, the
 * work is done in src/tokenizer/train*.c and save*.c. */
#include "tokenizer/save.h"
#include "tokenizer/train.h"

/* ---- Training ---- */

static int32_t train(const tfm__train_source *source, const tfm_tokenizer_train_options *options,
                     tfm_tokenizer **out, tfm_error *error) {
    tfm_tokenizer_train_options taken;
    tfm__heap boot, *heap;
    int32_t rc = tfm__take_options(options, &taken, sizeof taken, "tfm_tokenizer_train_options", error);
    if (rc) return rc;
    if (taken.allocator &&
        (taken.allocator->struct_size < sizeof *taken.allocator || !taken.allocator->realloc))
        return tfm__fail(error, TFM_E_ARGUMENT, "options: an allocator without a function");
    tfm__heap_init(&boot, taken.allocator, 0);
    heap = tfm__alloc(&boot, sizeof *heap);
    if (!heap) return tfm__fail_memory(error, &boot, sizeof *heap);
    tfm__heap_init(heap, taken.allocator, taken.byte_budget);
    rc = tfm__train(source, &taken, heap, out, error);
    if (rc)
        tfm__free(&boot, heap);
    else
        (*out)->standalone = true;
    return rc;
}

int32_t tfm_tokenizer_train(const char *const *files, size_t file_count,
                            const tfm_tokenizer_train_options *options, tfm_tokenizer **out,
                            tfm_error *error) {
    tfm__train_source source = {files, file_count, NULL, NULL};
    if (out) *out = NULL;
    if (!out || (!files && file_count))
        return tfm__fail(error, TFM_E_ARGUMENT, "files and out must not be NULL");
    for (size_t i = 0; i < file_count; i++)
        if (!files[i]) return tfm__fail(error, TFM_E_ARGUMENT, "the file %zu is NULL", i);
    return train(&source, options, out, error);
}

int32_t tfm_tokenizer_train_text(tfm_text_fn next, void *user, const tfm_tokenizer_train_options *options,
                                 tfm_tokenizer **out, tfm_error *error) {
    tfm__train_source source = {NULL, 0, next, user};
    if (out) *out = NULL;
    if (!out || !next) return tfm__fail(error, TFM_E_ARGUMENT, "next and out must not be NULL");
    return train(&source, options, out, error);
}

/* ---- Saving ---- */

/* The file's content in out, which is initialised here. */
static int32_t content_of(const tfm_tokenizer *tokenizer, int32_t format, tfm__buffer *out,
                          tfm_error *error) {
    tfm__saved form;
    int32_t rc;
    tfm__buffer_init(out, tokenizer->heap);
    tfm__saved_init(&form, tokenizer->heap, error);
    rc = tfm__saved_of(tokenizer, format, &form);
    if (rc == TFM_OK) rc = tfm__save(&form, format, out);
    tfm__saved_free(&form);
    if (rc) tfm__buffer_free(out);
    return rc;
}

static int32_t check_format(int32_t format, tfm_error *error) {
    if (format >= TFM_SAVE_TOKENIZER_JSON && format <= TFM_SAVE_SENTENCEPIECE) return TFM_OK;
    return tfm__fail(error, TFM_E_ARGUMENT, "the format %d is not known", (int)format);
}

int32_t tfm_tokenizer_save(const tfm_tokenizer *tokenizer, const char *path, int32_t format,
                           tfm_error *error) {
    tfm__writer writer;
    tfm__buffer content;
    int32_t rc;
    if (!tokenizer || !path) return tfm__fail(error, TFM_E_ARGUMENT, "tokenizer and path must not be NULL");
    if ((rc = check_format(format, error)) != 0) return rc;
    if ((rc = content_of(tokenizer, format, &content, error)) != 0) return rc;
    rc = tfm__writer_open(&writer, tokenizer->heap, path, error);
    if (rc == TFM_OK) {
        rc = tfm__writer_write(&writer, content.data, content.size, error);
        if (rc)
            tfm__writer_abandon(&writer);
        else
            rc = tfm__writer_finish(&writer, error);
    }
    tfm__buffer_free(&content);
    return rc;
}

int32_t tfm_tokenizer_write(const tfm_tokenizer *tokenizer, int32_t format, tfm_write_fn write, void *user,
                            tfm_error *error) {
    tfm__buffer content;
    int32_t rc;
    if (!tokenizer || !write) return tfm__fail(error, TFM_E_ARGUMENT, "tokenizer and write must not be NULL");
    if ((rc = check_format(format, error)) != 0) return rc;
    if ((rc = content_of(tokenizer, format, &content, error)) != 0) return rc;
    if (write(user, content.data, content.size))
        rc = tfm__fail(error, TFM_E_CANCELLED, "stopped by the callback that receives the file");
    tfm__buffer_free(&content);
    return rc;
}
