/* activation.c - what a neuron does with its sum, and the slope of that. */
#include "net/net.h"

#include "base/real.h"

bool tfm__net_activation_known(int32_t activation) {
    return activation >= TFM_NET_TANH && activation <= TFM_NET_STEP;
}

/* (e - 1) / (e + 1) with e = exp(2 |x|). Near 0, where e - 1 would lose digits, e - 1 is its Taylor series to
 * the 14th power: what is left out is below 2^-55 of it. */
double tfm__net_tanh(double x) {
    double size = x < 0 ? -x : x, minus_one;
    if (x != x) return x;
    if (size > 20) return x < 0 ? -1.0 : 1.0; /* closer to 1 than half a unit in the last place */
    double r = 2 * size;
    if (r < 0.35) {
        double series = 1.0 / 14.0;
        for (int k = 13; k >= 2; k--) series = (1.0 + r * series) / k;
        minus_one = r + r * (r * series);
    } else {
        minus_one = tfm__exp_real(r) - 1.0;
    }
    double value = minus_one / (minus_one + 2.0);
    return x < 0 ? -value : value;
}

double tfm__net_sigmoid(double x) {
    if (x < 0) {
        double e = tfm__exp_real(x);
        return e / (1.0 + e);
    }
    return 1.0 / (1.0 + tfm__exp_real(-x));
}

double tfm__net_softplus(double x) {
    double e = tfm__exp_real(x < 0 ? x : -x);
    double log_part = e < 1e-8 ? e : tfm__log_real(1.0 + e); /* log(1 + e) = e - e^2 / 2 + ... */
    return (x > 0 ? x : 0) + log_part;
}

double tfm__net_activate(int32_t activation, double sum) {
    switch (activation) {
    case TFM_NET_TANH:
        return tfm__net_tanh(sum);
    case TFM_NET_RELU:
        return sum < 0 ? 0.0 : sum; /* written so that NaN stays */
    case TFM_NET_SIGMOID:
        return tfm__net_sigmoid(sum);
    case TFM_NET_STEP:
        return sum > 0 ? 1.0 : 0.0;
    default:
        return sum;
    }
}

double tfm__net_slope(int32_t activation, double sum, double out) {
    switch (activation) {
    case TFM_NET_TANH:
        return 1.0 - out * out;
    case TFM_NET_RELU:
        return sum <= 0 ? 0.0 : 1.0;
    case TFM_NET_SIGMOID:
        return out * (1.0 - out);
    case TFM_NET_STEP:
        return 0.0;
    default:
        return 1.0;
    }
}

double tfm__net_border(int32_t activation) {
    return activation == TFM_NET_SIGMOID || activation == TFM_NET_STEP ? 0.5 : 0.0;
}

double tfm__net_class(int32_t activation, double out) {
    double border = tfm__net_border(activation);
    return out > border ? 1.0 : border > 0 ? 0.0 : -1.0;
}
