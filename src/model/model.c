/* model.c - opening and closing: container, description, weights, rotary frequencies, the modules behind an
 * embedding, tokenizer, in that order. */
#include "model/state.h"

/* The encoder of an encoder-decoder: the same files, kernels and threads, under the other row of the table.
 */
static int32_t open_encoder(tfm_model *model, tfm_error *error) {
    tfm_model *encoder = tfm__alloc_zero(&model->heap, sizeof *encoder);
    if (!encoder) return tfm__fail_memory(error, &model->heap, sizeof *encoder);
    model->encoder = encoder;
    tfm__heap_init(&encoder->heap, &model->heap.allocator, 0);
    encoder->heap.parent = &model->heap;
    encoder->references = 1;
    encoder->kernels = model->kernels;
    encoder->pool = model->pool;
    int32_t status =
        tfm__config_read_tower(&model->container, model->config.family->encoder_row, &encoder->config, error);
    if (!status) status = tfm__model_bind(encoder, &model->container, error);
    return status;
}

/* A CTranslate2 folder names the decoder's first token, and its vocabulary says which one that is. */
static void settle_start(tfm_model *model) {
    tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
    tfm__tokenizer_info(model->tokenizer, &info);
    if (info.bos >= 0 && info.bos < (int64_t)model->config.vocab) model->config.start_token = info.bos;
}

int32_t tfm__model_open(tfm_model *model, tfm_error *error) {
    int32_t status = tfm__container_open(&model->store, &model->container, error);
    if (!status) status = tfm__config_read(&model->container, &model->config, error);
    if (!status) status = tfm__model_bind(model, &model->container, error);
    if (!status && model->config.family->encoder_row) status = open_encoder(model, error);
    if (!status) status = tfm__model_rope(model, error);
    if (!status) status = tfm__model_modules(model, error);
    if (status) return status;
    tfm_error why = TFM_ERROR_INIT; /* of its own: a call that succeeds leaves the caller's alone */
    status = tfm__tokenizer_from_model(&model->store, &model->container, NULL, &model->heap,
                                       &model->tokenizer, &why);
    if (!status)
        status = tfm__tokenizer_of_source(&model->store, &model->container, &model->heap,
                                          &model->source_tokenizer, &why);
    if (!status && model->container.format == TFM__FORMAT_CTRANSLATE2) settle_start(model);
    if (status == TFM_E_MISSING || status == TFM_E_UNSUPPORTED) {
        /* the model still runs on ids; what the tokenizer lacks is said in the log */
        if (model->log)
            model->log(model->log_user, TFM_LOG_WARNING, "no usable tokenizer in the model's files");
        if (model->log) model->log(model->log_user, TFM_LOG_WARNING, why.message);
        model->tokenizer = NULL;
        return TFM_OK;
    }
    if (status && error) (void)tfm__give_struct(error, &why, sizeof why, "tfm_error", NULL);
    if (!status && tfm__tokenizer_vocab_size(model->tokenizer) > (int32_t)model->config.vocab && model->log)
        model->log(model->log_user, TFM_LOG_WARNING, "the tokenizer has more tokens than the model");
    return status;
}

void tfm__model_close(tfm_model *model) {
    tfm__crowd_free(model, atomic_exchange(&model->crowd, NULL));
    if (model->base) { /* the rest is the base's */
        tfm__free(&model->heap, model->layers);
        tfm__free(&model->heap, model->container.tensors);
        tfm__arena_free(&model->container.arena);
        return;
    }
    tfm__tokenizer_free(model->tokenizer);
    tfm__tokenizer_free(model->source_tokenizer);
    for (size_t i = 0; i < model->embedder.step_count; i++)
        tfm__container_release(&model->embedder.steps[i].file);
    if (model->encoder) tfm__free(&model->heap, model->encoder->layers);
    tfm__free(&model->heap, model->encoder);
    tfm__free(&model->heap, model->layers);
    tfm__container_release(&model->container);
    tfm__store_close(&model->store);
}
