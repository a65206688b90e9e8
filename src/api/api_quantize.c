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
