#include "quant/quant.h"
int32_t tfm__plan_model(tfm__plan *plan, tfm_model *model){(void)model;return tfm__fail(plan->error,TFM_E_UNSUPPORTED,"x");}
int32_t tfm__plan_model_values(tfm__plan *plan, tfm_model *model,bool w){(void)w;(void)model;return tfm__fail(plan->error,TFM_E_UNSUPPORTED,"x");}
