/* avx2_vocabulary.h - the words of quant_lanes.h for AVX2 with FMA and F16C: vectors of two lanes of 16
 * bytes. Included by the avx2_quant files only.
 *
 * Products of bytes are VPMADDUBSW, which saturates at 16 bits: unsigned operands here stay below 64, and
 * signed ones are made unsigned by moving their sign to the activation: at most 2 * 128 * 127 = 32512
 * (activations are never -128). */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define LANES 2
#define ROWS 8
#define WIDE_BIAS 0

typedef __m256i vec;
typedef __m256 fvec;

#define WORD static inline __attribute__((always_inline))

WORD vec v_zero(void) { return _mm256_setzero_si256(); }
WORD vec v_set8(int value) { return _mm256_set1_epi8((char)value); }
WORD vec v_set16(int value) { return _mm256_set1_epi16((short)value); }
WORD vec v_set32(int32_t value) { return _mm256_set1_epi32(value); }
WORD vec v_set64(int64_t low, int64_t high) { return _mm256_set_epi64x(high, low, high, low); }
WORD vec v_lane(const void *p) { return _mm256_broadcastsi128_si256(_mm_loadu_si128(p)); }

WORD vec v_rows(const uint8_t *p, size_t stride, int j) {
    const uint8_t *q = p + (size_t)j * stride;
    vec v = _mm256_castsi128_si256(_mm_loadu_si128((const void *)q));
    return _mm256_inserti128_si256(v, _mm_loadu_si128((const void *)(q + 4 * stride)), 1);
}

WORD vec v_and(vec a, vec b) { return _mm256_and_si256(a, b); }
WORD vec v_or(vec a, vec b) { return _mm256_or_si256(a, b); }
WORD vec v_srl16(vec a, int n) { return _mm256_srli_epi16(a, n); }
WORD vec v_sll16(vec a, int n) { return _mm256_slli_epi16(a, n); }
WORD vec v_srl32(vec a, int n) { return _mm256_srli_epi32(a, n); }
WORD vec v_sll32(vec a, int n) { return _mm256_slli_epi32(a, n); }
WORD vec v_srlv32(vec a, vec n) { return _mm256_srlv_epi32(a, n); }
WORD vec v_shuffle(vec a, vec control) { return _mm256_shuffle_epi8(a, control); }
WORD vec v_add8(vec a, vec b) { return _mm256_add_epi8(a, b); }
WORD vec v_sub8(vec a, vec b) { return _mm256_sub_epi8(a, b); }
WORD vec v_add16(vec a, vec b) { return _mm256_add_epi16(a, b); }
WORD vec v_sub16(vec a, vec b) { return _mm256_sub_epi16(a, b); }
WORD vec v_mul16(vec a, vec b) { return _mm256_mullo_epi16(a, b); }
WORD vec v_sub32(vec a, vec b) { return _mm256_sub_epi32(a, b); }
WORD vec v_low_signed(vec a) { return _mm256_srai_epi16(_mm256_unpacklo_epi8(a, a), 8); }
WORD vec v_high_signed(vec a) { return _mm256_srai_epi16(_mm256_unpackhi_epi8(a, a), 8); }

/* value where the bytes have the (single) bit, else 0 */
WORD vec v_if_bits(vec bytes, vec bits, vec value) {
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(bytes, bits), bits), value);
}

/* Sums of neighbours: of low in the lower half of each lane, of high in the upper. */
WORD vec v_hadd16(vec low, vec high) {
    vec ones = _mm256_set1_epi16(1);
    return _mm256_packs_epi32(_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones));
}

WORD vec v_maddubs(vec u, vec s) { return _mm256_maddubs_epi16(u, s); }
WORD vec v_dpw(vec acc, vec a, vec b) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)); }
/* w0 . x0 + w1 . x1, four partial sums per lane; w below 32 */
WORD vec v_dots(vec w0, vec x0, vec w1, vec x1) {
    vec pairs = _mm256_add_epi16(_mm256_maddubs_epi16(w0, x0), _mm256_maddubs_epi16(w1, x1));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
/* acc + scale * (w . x), scale in every 16-bit place; w below 64 */
WORD vec v_scaled_dot(vec acc, vec w, vec x, vec scale) { return v_dpw(acc, v_maddubs(w, x), scale); }
/* acc + scale * (w0 . x0 + w1 . x1); w below 32 */
WORD vec v_scaled_dots(vec acc, vec w0, vec x0, vec w1, vec x1, vec scale) {
    return v_dpw(acc, v_add16(v_maddubs(w0, x0), v_maddubs(w1, x1)), scale);
}
/* Signed bytes made ready for the products below: nothing to do. */
WORD vec v_wide(vec a) { return a; }
WORD vec v_wide_pairs(vec w, vec x) {
    return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}
WORD vec v_wide_dots(vec w0, vec x0, vec w1, vec x1) {
    vec ones = _mm256_set1_epi16(1);
    return v_dpw(_mm256_madd_epi16(v_wide_pairs(w0, x0), ones), v_wide_pairs(w1, x1), ones);
}
/* acc + scale * (w0 . x0 + w1 . x1), scale in every 16-bit place */
WORD vec v_wide_scaled_dots(vec acc, vec w0, vec x0, vec w1, vec x1, vec scale) {
    return v_dpw(v_dpw(acc, v_wide_pairs(w0, x0), scale), v_wide_pairs(w1, x1), scale);
}

/* Four vectors in lane order, each with one dword wanted per lane, to row order: dword 0, or dword 3. */
WORD vec v_first(const vec *v) {
    return _mm256_unpacklo_epi64(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpacklo_epi32(v[2], v[3]));
}
WORD vec v_last(const vec *v) {
    return _mm256_unpackhi_epi64(_mm256_unpackhi_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[2], v[3]));
}

/* Lane order to column order (4 x 4 dwords in every lane). */
WORD void v_transpose(vec *v) {
    vec a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
    vec c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm256_unpacklo_epi64(a, c);
    v[1] = _mm256_unpackhi_epi64(a, c);
    v[2] = _mm256_unpacklo_epi64(b, d);
    v[3] = _mm256_unpackhi_epi64(b, d);
}

/* The sum of the four dwords of each lane, in row order. */
WORD vec v_reduce(const vec *v) {
    vec a = _mm256_add_epi32(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
    vec b = _mm256_add_epi32(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

WORD fvec f_zero(void) { return _mm256_setzero_ps(); }
WORD fvec f_set(float value) { return _mm256_set1_ps(value); }
WORD fvec f_add(fvec a, fvec b) { return _mm256_add_ps(a, b); }
WORD fvec f_mul(fvec a, fvec b) { return _mm256_mul_ps(a, b); }
WORD fvec f_fma(fvec a, fvec b, fvec c) { return _mm256_fmadd_ps(a, b, c); }
WORD fvec f_fnma(fvec a, fvec b, fvec c) { return _mm256_fnmadd_ps(a, b, c); }
WORD fvec f_from(vec a) { return _mm256_cvtepi32_ps(a); }
/* Halves in the low 16 bits of each dword. */
WORD fvec f_halves(vec a) {
    vec low = _mm256_and_si256(a, _mm256_set1_epi32(0xffff));
    __m128i halves = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    return _mm256_cvtph_ps(halves);
}
/* MXFP4 exponents in the low byte of each dword: 2^(e - 128). */
WORD fvec f_exponents(vec a) {
    vec e = _mm256_and_si256(a, _mm256_set1_epi32(255));
    vec small = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);
    vec bits = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    vec subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x200000), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(bits, subnormal, small));
}

WORD vec v_rows_from(size_t from) {
    return _mm256_cmpgt_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                              _mm256_set1_epi32((int32_t)from - 1));
}
/* Rows from `from` on (the others are zero, or left alone). */
WORD fvec f_load_rows(const float *y, size_t from) { return _mm256_maskload_ps(y, v_rows_from(from)); }
WORD void f_store_rows(float *y, fvec total, size_t from) {
    _mm256_maskstore_ps(y, v_rows_from(from), total);
}
WORD fvec f_sub(fvec a, fvec b) { return _mm256_sub_ps(a, b); }
WORD void f_store(float *y, fvec a) { _mm256_storeu_ps(y, a); }
/* Half the bytes of the first lane (signed, or below 128), widened. */
WORD vec v_bytes(vec a, int part) {
    __m128i lane = _mm256_castsi256_si128(a);
    return _mm256_cvtepi8_epi32(part ? _mm_srli_si128(lane, 8) : lane);
}
/* 16-bit integers of the first lane of low (part 0) or of high, as floats. */
WORD fvec f_shorts(vec low, vec high, int part) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(part ? high : low)));
}
