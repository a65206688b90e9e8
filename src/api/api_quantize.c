/* api_quantize.c - the exported functions of tfm/quantize.h: arguments are checked here, the work is in
 * quant/. */
#include "quant/quant.h"

int32_t tfm_quantize(const char *source, const char *target, const char *type,
                     const tfm_quantize_options *options, tfm_quantize_result *result, tfm_error *error) {
    tfm_quantize_options given;
    tfm_quantize_result full = TFM_QUANTIZE_RESULT_INIT, none = TFM_QUANTIZE_RESULT_INIT;
    int32_t status =
        result ? tfm__give_struct(result, &none, sizeof none, "tfm_quantize_result", error) : TFM_OK;
    if (status) return status;
    if (!source || !target || !type)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_quantize: source, target or type is NULL");
    status = tfm__take_options(options, &given, sizeof given, "tfm_quantize_options", error);
    if (status) return status;
    const tfm__mix *mix = tfm__mix_find(type);
    if (!mix) return tfm__fail(error, TFM_E_ARGUMENT, "there is no weight type or mix '%.40s'", type);
    if (given.tokenizer < TFM_DEFAULT || given.tokenizer > TFM_NO)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_quantize_options: tokenizer is %d",
                         (int)given.tokenizer);
    if (given.allocator &&
        (given.allocator->struct_size < sizeof *given.allocator || !given.allocator->realloc))
        return tfm__fail(error, TFM_E_ARGUMENT, "options: an allocator without a function");
    status = tfm__quantize(source, target, mix, &given, &full, error);
    if (status || !result) return status;
    return tfm__give_struct(result, &full, sizeof full, "tfm_quantize_result", error);
}

const char *tfm_quantize_type(size_t index) { return tfm__mix_at(index); }

int32_t tfm_imatrix_measure(tfm_model *model, const tfm_token *tokens, size_t count, const char *path,
                            const tfm_imatrix_options *options, tfm_error *error) {
    tfm_imatrix_options given;
    if (!model || !tokens || !path)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_imatrix_measure: an argument is NULL");
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_imatrix_options", error);
    if (status) return status;
    const tfm__config *c = &model->config;
    uint32_t most = tfm__has_position_rows(c) ? c->context : TFM__MAX_CONTEXT;
    if (c->encoder || c->cross)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_imatrix_measure: a model of the family %s is an encoder",
                         c->family->name);
    if (given.context == 0) given.context = TFM__MIN(512u, most);
    if (given.context < 2 || given.context > most)
        return tfm__fail(error, TFM_E_ARGUMENT, "a window of %u tokens; this model allows 2 to %u",
                         given.context, most);
    if (given.format < TFM_IMATRIX_GGUF || given.format > TFM_IMATRIX_DAT || given.add_bos < TFM_DEFAULT ||
        given.add_bos > TFM_NO)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_imatrix_options: format is %d, add_bos is %d",
                         (int)given.format, (int)given.add_bos);
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= c->vocab)
            return tfm__fail(error, TFM_E_TOKEN, "token %zu is %d, the vocabulary has %u", i, (int)tokens[i],
                             c->vocab);
    return tfm__imatrix_measure(model, tokens, count, path, &given, error);
}
