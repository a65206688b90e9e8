/* windows.h - which layers see only a window of the past: what both description readers need. */
#ifndef TFM__WINDOWS_H
#define TFM__WINDOWS_H

#include "model/config.h"

/* Room for one flag per layer, after the number of layers has been checked. */
int32_t tfm__make_windowed(tfm__container *container, tfm__config *config, tfm_error *error);

/* The family's rule. period (at least 1) is read with TFM__WINDOW_PATTERN, from with TFM__WINDOW_FROM_LAYER.
 */
bool tfm__is_windowed(const tfm__family *family, uint32_t layer, uint64_t period, uint32_t from);

#endif
