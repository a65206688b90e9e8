/* hf_decimal.c - a number of tokenizer.json as the reference reads it, which is not always the double nearest
 * to what is written. Called by hf_model.c for the scores of Unigram, whose sums are compared with each
 * other.
 *
 * The reference's JSON reader (serde_json without its feature float_roundtrip) takes the digits as one
 * integer, as many as 64 bits hold, and multiplies or divides it by a power of ten: up to three roundings. In
 * the files of published models a quarter of all scores comes out one unit in the last place off. */
#include <math.h>

#include "formats/decimal.h"
#include "tokenizer/hf.h"

#define MOST_EXPONENT 1000000

/* 10^n, n up to 308. */
static double power_of_ten(int32_t n) {
    char text[8] = {'1', 'e', (char)('0' + n / 100), (char)('0' + n / 10 % 10), (char)('0' + n % 10)};
    double power = 0;
    (void)tfm__decimal_to_f64(text, 5, &power);
    return power;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The exponent behind an e; far too large ones are as good as any. */
static int32_t read_exponent(const char *text, size_t size) {
    size_t i = text[0] == '-' || text[0] == '+';
    int32_t value = 0;
    for (; i < size && is_digit(text[i]); i++)
        if (value < MOST_EXPONENT) value = value * 10 + (text[i] - '0');
    return text[0] == '-' ? -value : value;
}

double tfm__hf_decimal(const char *text, size_t size) {
    bool negative = text[0] == '-', point = false, full = false;
    uint64_t digits = 0;
    int32_t exponent = 0;
    double value;
    size_t i = negative;
    for (; i < size && (is_digit(text[i]) || text[i] == '.'); i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (text[i] == '.') {
            point = true;
            full = false;
            continue;
        }
        full = full || digits > (UINT64_MAX - digit) / 10;
        if (!full) digits = digits * 10 + digit;
        if (point != full && exponent > -MOST_EXPONENT && exponent < MOST_EXPONENT) exponent += full ? 1 : -1;
    }
    if (i + 1 < size && (text[i] == 'e' || text[i] == 'E'))
        exponent += read_exponent(text + i + 1, size - i - 1);
    value = (double)digits;
    while (exponent < -308 && value != 0) {
        value /= 1e308;
        exponent += 308;
    }
    if (value != 0 && exponent < 0) value /= power_of_ten(-exponent);
    if (value != 0 && exponent > 0)
        value = exponent > 308 ? (double)INFINITY : value * power_of_ten(exponent);
    return negative ? -value : value;
}
