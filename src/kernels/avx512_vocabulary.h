/* avx512_vocabulary.h - the words of quant_lanes.h for AVX-512 with VNNI: vectors of four lanes of 16 bytes.
 * Included by the avx512_quant files only. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define LANES 4
#define ROWS 16
#define WIDE_BIAS 128 /* VPDPBUSD takes unsigned bytes on one side */

typedef __m512i vec;
typedef __m512 fvec;

#define WORD static inline __attribute__((always_inline))

WORD vec v_zero(void) { return _mm512_setzero_si512(); }
WORD vec v_set8(int value) { return _mm512_set1_epi8((char)value); }
WORD vec v_set16(int value) { return _mm512_set1_epi16((short)value); }
WORD vec v_set32(int32_t value) { return _mm512_set1_epi32(value); }
WORD vec v_set64(int64_t low, int64_t high) {
    return _mm512_set_epi64(high, low, high, low, high, low, high, low);
}
WORD vec v_lane(const void *p) { return _mm512_broadcast_i32x4(_mm_loadu_si128(p)); }

WORD vec v_rows(const uint8_t *p, size_t stride, int j) {
    const uint8_t *q = p + (size_t)j * stride;
    vec v = _mm512_castsi128_si512(_mm_loadu_si128((const void *)q));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(q + 4 * stride)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(q + 8 * stride)), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(q + 12 * stride)), 3);
}

WORD vec v_and(vec a, vec b) { return _mm512_and_si512(a, b); }
WORD vec v_or(vec a, vec b) { return _mm512_or_si512(a, b); }
WORD vec v_srl16(vec a, int n) { return _mm512_srli_epi16(a, (unsigned)n); }
WORD vec v_sll16(vec a, int n) { return _mm512_slli_epi16(a, (unsigned)n); }
WORD vec v_srl32(vec a, int n) { return _mm512_srli_epi32(a, (unsigned)n); }
WORD vec v_sll32(vec a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
WORD vec v_srlv32(vec a, vec n) { return _mm512_srlv_epi32(a, n); }
WORD vec v_shuffle(vec a, vec control) { return _mm512_shuffle_epi8(a, control); }
WORD vec v_add8(vec a, vec b) { return _mm512_add_epi8(a, b); }
WORD vec v_sub8(vec a, vec b) { return _mm512_sub_epi8(a, b); }
WORD vec v_add16(vec a, vec b) { return _mm512_add_epi16(a, b); }
WORD vec v_sub16(vec a, vec b) { return _mm512_sub_epi16(a, b); }
WORD vec v_mul16(vec a, vec b) { return _mm512_mullo_epi16(a, b); }
WORD vec v_sub32(vec a, vec b) { return _mm512_sub_epi32(a, b); }
WORD vec v_low_signed(vec a) { return _mm512_srai_epi16(_mm512_unpacklo_epi8(a, a), 8); }
WORD vec v_high_signed(vec a) { return _mm512_srai_epi16(_mm512_unpackhi_epi8(a, a), 8); }

/* value where the bytes have any of the bits, else 0 */
WORD vec v_if_bits(vec bytes, vec bits, vec value) {
    return _mm512_maskz_mov_epi8(_mm512_test_epi8_mask(bytes, bits), value);
}

/* Sums of neighbours: of low in the lower half of each lane, of high in the upper. */
WORD vec v_hadd16(vec low, vec high) {
    vec ones = _mm512_set1_epi16(1);
    return _mm512_packs_epi32(_mm512_madd_epi16(low, ones), _mm512_madd_epi16(high, ones));
}

WORD vec v_maddubs(vec u, vec s) { return _mm512_maddubs_epi16(u, s); }
WORD vec v_dpw(vec acc, vec a, vec b) { return _mm512_dpwssd_epi32(acc, a, b); }
/* w0 . x0 + w1 . x1, four partial sums per lane */
WORD vec v_dots(vec w0, vec x0, vec w1, vec x1) {
    return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), w0, x0), w1, x1);
}
/* acc + scale * (w . x), scale in every 16-bit place; w below 64 */
WORD vec v_scaled_dot(vec acc, vec w, vec x, vec scale) { return v_dpw(acc, v_maddubs(w, x), scale); }
/* acc + scale * (w0 . x0 + w1 . x1); w below 32 */
WORD vec v_scaled_dots(vec acc, vec w0, vec x0, vec w1, vec x1, vec scale) {
    return v_dpw(acc, v_add16(v_maddubs(w0, x0), v_maddubs(w1, x1)), scale);
}
/* Signed bytes made ready for the products below, which give WIDE_BIAS more per weight. */
WORD vec v_wide(vec a) { return _mm512_xor_si512(a, _mm512_set1_epi8((char)0x80)); }
WORD vec v_wide_dots(vec w0, vec x0, vec w1, vec x1) { return v_dots(w0, x0, w1, x1); }
/* acc + scale * (w0 . x0 + w1 . x1), scale in every 16-bit place */
WORD vec v_wide_scaled_dots(vec acc, vec w0, vec x0, vec w1, vec x1, vec scale) {
    return _mm512_add_epi32(acc, _mm512_mullo_epi32(v_dots(w0, x0, w1, x1), _mm512_srai_epi32(scale, 16)));
}

/* Four vectors in lane order, each with one dword wanted per lane, to row order: dword 0, or dword 3. */
WORD vec v_first(const vec *v) {
    return _mm512_unpacklo_epi64(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpacklo_epi32(v[2], v[3]));
}
WORD vec v_last(const vec *v) {
    return _mm512_unpackhi_epi64(_mm512_unpackhi_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[2], v[3]));
}

/* Lane order to column order (4 x 4 dwords in every lane). */
WORD void v_transpose(vec *v) {
    vec a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
    vec c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm512_unpacklo_epi64(a, c);
    v[1] = _mm512_unpackhi_epi64(a, c);
    v[2] = _mm512_unpacklo_epi64(b, d);
    v[3] = _mm512_unpackhi_epi64(b, d);
}

/* The sum of the four dwords of each lane, in row order. */
WORD vec v_reduce(const vec *v) {
    vec a = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    vec b = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

WORD fvec f_zero(void) { return _mm512_setzero_ps(); }
WORD fvec f_set(float value) { return _mm512_set1_ps(value); }
WORD fvec f_mul(fvec a, fvec b) { return _mm512_mul_ps(a, b); }
WORD fvec f_fma(fvec a, fvec b, fvec c) { return _mm512_fmadd_ps(a, b, c); }
WORD fvec f_fnma(fvec a, fvec b, fvec c) { return _mm512_fnmadd_ps(a, b, c); }
WORD fvec f_from(vec a) { return _mm512_cvtepi32_ps(a); }
/* Halves in the low 16 bits of each dword. */
WORD fvec f_halves(vec a) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a)); }
/* MXFP4 exponents in the low byte of each dword: 2^(e - 128). */
WORD fvec f_exponents(vec a) {
    vec e = _mm512_and_si512(a, _mm512_set1_epi32(255));
    __mmask16 small = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
    vec bits = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    return _mm512_castsi512_ps(_mm512_mask_sllv_epi32(bits, small, _mm512_set1_epi32(0x200000), e));
}

/* Rows from `from` on (the others are zero, or left alone). */
WORD fvec f_load_rows(const float *y, size_t from) {
    return _mm512_maskz_loadu_ps((__mmask16)(0xffffu << from), y);
}
WORD void f_store_rows(float *y, fvec total, size_t from) {
    _mm512_mask_storeu_ps(y, (__mmask16)(0xffffu << from), total);
}
WORD fvec f_add(fvec a, fvec b) { return _mm512_add_ps(a, b); }
WORD fvec f_sub(fvec a, fvec b) { return _mm512_sub_ps(a, b); }
WORD void f_store(float *y, fvec a) { _mm512_storeu_ps(y, a); }
/* Bytes of the first lane (all 16: there is one part), widened. */
WORD vec v_bytes(vec a, int part) {
    (void)part;
    return _mm512_cvtepu8_epi32(_mm512_castsi512_si128(a));
}
/* 16-bit integers of the first lane of low, then of high, as floats. */
WORD fvec f_shorts(vec low, vec high, int part) {
    (void)part;
    __m256i both = _mm256_inserti128_si256(_mm512_castsi512_si256(low), _mm512_castsi512_si128(high), 1);
    return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(both));
}
