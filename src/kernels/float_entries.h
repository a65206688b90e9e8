/* float_entries.h - the table entries of the float template: the body of each filler, where `kernels` is the
 * table. */
kernels->weights[TFM__F32] = (tfm__weight_kernels){TFM__ACT_F32, product_f32, f32_to_f32};
kernels->weights[TFM__F16] = (tfm__weight_kernels){TFM__ACT_F32, product_f16, f16_to_f32};
kernels->weights[TFM__BF16] = (tfm__weight_kernels){TFM__ACT_F32, product_bf16, bf16_to_f32};
kernels->quantise[TFM__ACT_F32] = quantise_f32;
kernels->rms_norm = rms_norm;
kernels->layer_norm = layer_norm;
kernels->add = add;
kernels->multiply_add = multiply_add;
kernels->scale = scale;
kernels->soft_cap = soft_cap;
kernels->activate[TFM__SILU] = activate_silu;
kernels->activate[TFM__GELU_TANH] = activate_gelu_tanh;
kernels->activate[TFM__GELU_ERF] = activate_gelu_erf;
kernels->activate[TFM__RELU] = activate_relu;
kernels->activate_gated[TFM__SILU] = activate_gated_silu;
kernels->activate_gated[TFM__GELU_TANH] = activate_gated_gelu_tanh;
kernels->activate_gated[TFM__GELU_ERF] = activate_gated_gelu_erf;
kernels->activate_gated[TFM__RELU] = activate_gated_relu;
kernels->rope = rope;
kernels->attention = attention;
kernels->to_f16 = to_f16;
kernels->to_bf16 = to_bf16;
kernels->argmax = argmax;
kernels->exp_sum = exp_sum;
kernels->exp_scaled = exp_scaled;
