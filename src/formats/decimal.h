/* decimal.h - decimal text to double, correctly rounded and independent of the locale (which strtod is not).
 */
#ifndef TFM__DECIMAL_H
#define TFM__DECIMAL_H

#include "base/base.h"

/* text is a number of JSON's grammar (the caller has checked that). False if it is too large for a double;
 * then *out is left alone. What is too small becomes zero. */
bool tfm__decimal_to_f64(const char *text, size_t size, double *out);

#endif
