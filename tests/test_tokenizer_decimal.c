/* test_tokenizer_decimal.c - scores of tokenizer.json are the doubles that the reference makes of them, not
 * always the nearest ones. The expected values are those of tokenizers 0.23.3: a Unigram model of one token
 * with the score, read and written again (it writes doubles so that they read back the same). */
#include <math.h>

#include "tokenizer_help.h"

#include "tokenizer/hf.h"

typedef struct sample {
    const char *text;
    double value;
} sample;

static const sample samples[] = {
    {"-12.130167007446289", -0x1.842a53fffffffp+3},
    {"-2.0122928619384766", -0x1.0192d00000001p+1},
    {"-3.9598512649536133", -0x1.fadc680000001p+1},
    {"0", 0x0.0p+0},
    {"-0", -0x0.0p+0},
    {"-5", -0x1.4000000000000p+2},
    {"12345678901234567890", 0x1.56a95319d63e1p+63},
    {"123456789012345678901234", 0x1.a249b1f10a06cp+76},
    {"18446744073709551615", 0x1.0000000000000p+64},
    {"18446744073709551616.5", 0x1.0000000000000p+64},
    {"0.1", 0x1.999999999999ap-4},
    {"1e-7", 0x1.ad7f29abcaf48p-24},
    {"-1.5E+2", -0x1.2c00000000000p+7},
    {"0.000000000000000000000000000001234567890123456789", 0x1.90a3e33c69ac2p-100},
    {"1844674407370955161.55", 0x1.999999999999ap+60},
    {"1844674407370955161.56", 0x1.999999999999ap+60},
    {"99999999999999999999.99", 0x1.5af1d78b58c40p+66},
    {"2.2250738585072014e-308", 0x1.0000000000000p-1022},
    {"4.9e-324", 0x0.0000000000001p-1022},
    {"1e-400", 0x0.0p+0},
    {"123456.789e-310", 0x1.156bf99d01b90p-1013},
    {"1.7976931348623157e308", 0x1.fffffffffffffp+1023},
    {"3e-5", 0x1.f75104d551d69p-16},
    {"-9.436870574951172", -0x1.2dfad80000000p+3},
    {"7.0e0", 0x1.c000000000000p+2},
    {"1e308", 0x1.1ccf385ebc8a0p+1023},
    {"0.3333333333333333333333333", 0x1.5555555555556p-2},
    {"-5.164260214785411", -0x1.4a833d46a262cp+2},
    {"0.9424502837770503127501342532923445e-301", 0x1.02851c0d0b16bp-1000},
    {"0.7759585674357169e-277", 0x1.602196337b6ecp-921},
    {"0.1132059646531443641848113657034e-78", 0x1.ad88da5c70d79p-263},
    {"-17.960511956521692", -0x1.1f5e41c90ad7ap+4},
    {"-5.376325664411517", -0x1.5815b83d52bf8p+2},
    {"-16.358486724444425", -0x1.05bc5c93589fap+4},
    {"0.38944e-188", 0x1.159fdffdb5ff4p-626},
    {"-11.103286277249572", -0x1.634e1f05dd333p+3},
    {"-0.5532542062692727", -0x1.1b4422a49a180p-1},
    {"-4.5281259394465145", -0x1.21ccd0bd85e44p+2},
    {"0.16585644239e-34", 0x1.60bcd62209e5cp-116},
    {"-16.022213468071303", -0x1.005afc826e5a1p+4},
    {"0.625730195677e-129", 0x1.bc253bfabe183p-430},
    {"0.89374167757647848820e-308", 0x0.66d3bc28385c7p-1022},
    {"-16.680878857405087", -0x1.0ae4e13a917bbp+4},
    {"-18.697205732486474", -0x1.2b27c132b9cf6p+4},
    {"-7.937800051846914", -0x1.fc04ea8237a78p+2},
    {"-6.441315009046175", -0x1.9c3e814ec595cp+2},
    {"-13.800841367937425", -0x1.b9a07e1392679p+3},
    {"0.480745186630038956466e-141", 0x1.7730ff6ad2fe1p-470},
    {"-5.906617317181816", -0x1.7a0604a3d21f4p+2},
    {"-0.4980087371152955", -0x1.fdf6009c213c0p-2},
    {"-5.004099554174534", -0x1.40432ac6c6e64p+2},
    {"0.018067535378530119594131520e44", 0x1.4bd924a115fe1p+140},
    {"-3.1753180907549883", -0x1.9670d2bd184c8p+1},
    {"-5.844834866982776", -0x1.7611c6430d89cp+2},
    {"-0.9121104782042408", -0x1.d300250473c80p-1},
    {"-15.078264187327726", -0x1.e28123e5a0a8cp+3},
    {"0.462205360415442356725179706700146e33", 0x1.6c9da11275b68p+108},
    {"0.250893956241034055132388402853e-220", 0x1.22368c9ae9f1dp-733},
    {"-4.380257010873159", -0x1.1856218071988p+2},
    {"-14.08272385051376", -0x1.c2a5ac7d11c91p+3},
};

static void test_as_the_reference_reads(void **state) {
    (void)state;
    size_t nearest = 0, count = sizeof samples / sizeof samples[0];
    for (size_t i = 0; i < count; i++) {
        double value = tfm__hf_decimal(samples[i].text, strlen(samples[i].text));
        if (memcmp(&value, &samples[i].value, sizeof value) != 0)
            fail_msg("%s is %a, not %a", samples[i].text, samples[i].value, value);
        nearest += value == strtod(samples[i].text, NULL);
    }
    assert_true(nearest < count); /* some differ from what is written */
}

static void test_limits(void **state) {
    (void)state;
    char zeros[5000];
    memset(zeros, '0', sizeof zeros);
    zeros[1] = '.';
    zeros[sizeof zeros - 1] = '7';
    assert_true(tfm__hf_decimal(zeros, sizeof zeros) == 0);
    memset(zeros, '9', sizeof zeros);
    assert_true(isinf(tfm__hf_decimal(zeros, sizeof zeros)));
    assert_true(isinf(tfm__hf_decimal("1e99999999999999999999", 22)));
    assert_true(tfm__hf_decimal("1e-99999999999999999999", 23) == 0);
    assert_true(tfm__hf_decimal("0e99999999999999999999", 22) == 0);
    assert_true(tfm__hf_decimal("-3", 2) == -3 && tfm__hf_decimal("2.5]", 4) == 2.5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_the_reference_reads),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
