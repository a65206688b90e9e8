/* real.h - logarithm, exponential and power in double precision, the same bits on every machine (the C
 * library's differ between systems). Called a few times per model or token; accurate to about 1e-15 relative.
 */
#ifndef TFM__REAL_H
#define TFM__REAL_H

double tfm__log_real(double x);                     /* x > 0 and finite; -infinity for 0, NaN below */
double tfm__exp_real(double x);                     /* 0 and infinity beyond the range */
double tfm__pow_real(double base, double exponent); /* base > 0 */

#endif
