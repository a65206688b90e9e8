/* decimal.c - decimal text to double, correctly rounded (to nearest, ties to even). Called by json.c.
 *
 * Two roads. When the digits fit 53 bits and the power of ten is at most 22, both are exact doubles and one
 * multiply or divide rounds once (Clinger, "How to Read Floating Point Numbers Accurately", 1990). Everything
 * else is scaled exactly: the number is kept as decimal digits and multiplied or divided by powers of two
 * until it lies in [1/2, 1), then by 2^53, and the integer part is read off. Slow, plain and exact; 800
 * digits decide every double (the longest half-way point has 767), further ones only say "and a little more".
 */
#include "formats/decimal.h"

#define TFM__DIGITS 800

typedef struct decimal {
    int count; /* digits in use, without trailing zeros; 0: the number is zero */
    int point; /* value = 0.d0 d1 d2 ... * 10^point */
    bool more; /* digits that did not fit were not all zero */
    uint8_t digit[TFM__DIGITS];
} decimal;

static void trim(decimal *a) {
    while (a->count > 0 && a->digit[a->count - 1] == 0) a->count--;
    if (a->count == 0) a->point = 0;
}

/* a /= 2^shift, shift at most 60: long division from the left. */
static void divide(decimal *a, int shift) {
    uint64_t rest = 0, mask = ((uint64_t)1 << shift) - 1;
    int read = 0, write = 0;
    while (rest >> shift == 0) { /* digits until the quotient has its first */
        if (read >= a->count && rest == 0) {
            a->count = 0;
            return;
        }
        rest = rest * 10 + (read < a->count ? a->digit[read] : 0u);
        read++;
    }
    a->point -= read - 1;
    for (; read < a->count; read++) {
        a->digit[write++] = (uint8_t)(rest >> shift);
        rest = (rest & mask) * 10 + a->digit[read];
    }
    while (rest) {
        uint8_t digit = (uint8_t)(rest >> shift);
        if (write < TFM__DIGITS)
            a->digit[write++] = digit;
        else if (digit)
            a->more = true;
        rest = (rest & mask) * 10;
    }
    a->count = write;
    trim(a);
}

/* a *= 2^shift, shift at most 56: schoolbook from the right, into room for the digits that appear on the
 * left. */
static void multiply(decimal *a, int shift) {
    uint8_t wide[TFM__DIGITS + 20];
    int first = (int)sizeof wide, i, total;
    uint64_t carry = 0;
    for (i = a->count - 1; i >= 0; i--) {
        carry += (uint64_t)a->digit[i] << shift;
        wide[--first] = (uint8_t)(carry % 10);
        carry /= 10;
    }
    for (; carry; carry /= 10) wide[--first] = (uint8_t)(carry % 10);
    total = (int)sizeof wide - first;
    a->point += total - a->count;
    a->count = TFM__MIN(total, TFM__DIGITS);
    memcpy(a->digit, wide + first, (size_t)a->count);
    for (i = a->count; i < total; i++)
        if (wide[first + i]) a->more = true;
    trim(a);
}

static void scale(decimal *a, int power) {
    for (; power > 50; power -= 50) multiply(a, 50);
    if (power > 0) multiply(a, power);
    for (; power < -50; power += 50) divide(a, 50);
    if (power < 0) divide(a, -power);
}

/* The integer part, rounded to nearest, ties to even. At most 2^53. */
static uint64_t round_to_integer(const decimal *a) {
    uint64_t integer = 0;
    int i, next;
    for (i = 0; i < a->point; i++) integer = integer * 10 + (i < a->count ? a->digit[i] : 0u);
    next = a->point >= 0 && a->point < a->count ? a->digit[a->point] : 0;
    if (next > 5) return integer + 1;
    if (next < 5) return integer;
    if (a->point + 1 < a->count || a->more) return integer + 1;
    return integer + (integer & 1);
}

/* The largest power of two that certainly leaves a number with this many digits before its point at 1/2 or
 * more after division, nearly; the other loop of convert() puts right what goes below. */
static int shift_for(int digits) {
    static const int8_t bits[] = {1, 3, 6, 9, 13, 16, 19, 23, 26};
    return digits < (int)TFM__COUNT(bits) ? bits[digits] : 27;
}

/* Exact conversion. False on overflow. */
static bool convert(decimal *a, uint64_t *bits) {
    uint64_t mantissa;
    int exponent = 0, shift;
    trim(a);
    if (a->count == 0 || a->point < -330) {
        *bits = 0;
        return true;
    }
    if (a->point > 310) return false;
    while (a->point > 0) {
        shift = shift_for(a->point);
        divide(a, shift);
        exponent += shift;
    }
    while (a->point < 0 || a->digit[0] < 5) {
        shift = shift_for(-a->point);
        multiply(a, shift);
        exponent -= shift;
    }
    exponent--;             /* [1/2, 1) * 2^(e + 1) = [1, 2) * 2^e */
    if (exponent < -1022) { /* subnormal: fewer bits of mantissa */
        scale(a, exponent + 1022);
        exponent = -1022;
    }
    if (exponent > 1023) return false;
    scale(a, 53);
    mantissa = round_to_integer(a);
    if (mantissa == (uint64_t)1 << 53) {
        mantissa >>= 1;
        exponent++;
    }
    if (exponent > 1023) return false;
    *bits = mantissa & (((uint64_t)1 << 52) - 1);
    if (mantissa >> 52) *bits |= (uint64_t)(exponent + 1023) << 52;
    return true;
}

bool tfm__decimal_to_f64(const char *text, size_t size, double *out) {
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    decimal a;
    uint64_t mantissa = 0, bits;
    int64_t exponent = 0,
            written = 0; /* written: power of ten in the text; exponent: of the last digit kept */
    bool negative = false, fraction = false, exact = true, leading = true;
    size_t i = 0;
    double value;
    a.count = a.point = 0;
    a.more = false;
    if (i < size && text[i] == '-') {
        negative = true;
        i++;
    }
    for (; i < size && text[i] != 'e' && text[i] != 'E'; i++) {
        uint8_t digit;
        if (text[i] == '.') {
            fraction = true;
            continue;
        }
        digit = (uint8_t)(text[i] - '0');
        if (fraction) exponent--;
        if (leading && digit == 0) continue;
        leading = false;
        if (a.count < TFM__DIGITS) {
            a.digit[a.count++] = digit;
        } else {
            exponent++;
            if (digit) a.more = true;
        }
        if (a.count <= 19)
            mantissa = mantissa * 10 + digit;
        else
            exact = false;
    }
    if (i < size) { /* the exponent, kept small enough not to overflow: beyond 10^8 only the sign matters */
        bool minus = ++i < size && text[i] == '-';
        if (i < size && (text[i] == '-' || text[i] == '+')) i++;
        for (; i < size; i++)
            if (written < 100000000) written = written * 10 + (text[i] - '0');
        if (minus) written = -written;
    }
    if (a.count == 0) {
        value = 0.0;
        *out = negative ? -value : value;
        return true;
    }
    exponent += written;
    if (exact && mantissa <= (uint64_t)1 << 53 && exponent >= -22 && exponent <= 22) {
        value = exponent < 0 ? (double)mantissa / tens[-exponent] : (double)mantissa * tens[exponent];
    } else {
        int64_t point = exponent + a.count;
        a.point = (int)TFM__MAX(TFM__MIN(point, (int64_t)100000), (int64_t)-100000);
        if (!convert(&a, &bits)) return false;
        memcpy(&value, &bits, sizeof value);
    }
    *out = negative ? -value : value;
    return true;
}
