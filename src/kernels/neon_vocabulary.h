/* neon_vocabulary.h - the words of quant_lanes.h for AArch64: a vector is one lane of 16 bytes, an fvec four
 * rows. Included by neon_quant.c and dotprod_quant.c only; where the compiler may use it, products of bytes
 * are SDOT.
 *
 * Unsigned operands stay below 64, so that they are signed bytes as well. Sums of products keep to their
 * lane, but not to the same dwords as on x86: only their sum over the lane is ever used (v_reduce), and
 * integers are exact. Without SDOT, products are added up in 16 bits: at most 2 * 128 * 127 = 32512
 * (activations are never -128), or 4 * 31 * 127 = 15748. */
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#define LANES 1
#define ROWS 4
#define WIDE_BIAS 0

typedef int32x4_t vec;
typedef float32x4_t fvec;

#define WORD static inline __attribute__((always_inline))
#define S8(a) vreinterpretq_s8_s32(a)
#define U8(a) vreinterpretq_u8_s32(a)
#define S16(a) vreinterpretq_s16_s32(a)
#define U16(a) vreinterpretq_u16_s32(a)
#define U32(a) vreinterpretq_u32_s32(a)
#define OF_S8(a) vreinterpretq_s32_s8(a)
#define OF_U8(a) vreinterpretq_s32_u8(a)
#define OF_S16(a) vreinterpretq_s32_s16(a)
#define OF_U16(a) vreinterpretq_s32_u16(a)
#define OF_U32(a) vreinterpretq_s32_u32(a)

WORD vec v_zero(void) { return vdupq_n_s32(0); }
WORD vec v_set8(int value) { return OF_S8(vdupq_n_s8((int8_t)value)); }
WORD vec v_set16(int value) { return OF_S16(vdupq_n_s16((int16_t)value)); }
WORD vec v_set32(int32_t value) { return vdupq_n_s32(value); }
WORD vec v_set64(int64_t low, int64_t high) {
    return vreinterpretq_s32_s64(vcombine_s64(vdup_n_s64(low), vdup_n_s64(high)));
}
WORD vec v_lane(const void *p) { return OF_U8(vld1q_u8(p)); }
WORD vec v_rows(const uint8_t *p, size_t stride, int j) { return v_lane(p + (size_t)j * stride); }

WORD vec v_and(vec a, vec b) { return vandq_s32(a, b); }
WORD vec v_or(vec a, vec b) { return vorrq_s32(a, b); }
WORD vec v_srl16(vec a, int n) { return OF_U16(U16(a) >> (uint16_t)n); }
WORD vec v_sll16(vec a, int n) { return OF_U16(U16(a) << (uint16_t)n); }
WORD vec v_srl32(vec a, int n) { return OF_U32(U32(a) >> (uint32_t)n); }
WORD vec v_sll32(vec a, int n) { return OF_U32(U32(a) << (uint32_t)n); }
WORD vec v_srlv32(vec a, vec n) { return OF_U32(vshlq_u32(U32(a), vnegq_s32(n))); }
WORD vec v_shuffle(vec a, vec control) { return OF_U8(vqtbl1q_u8(U8(a), U8(control))); }
WORD vec v_add8(vec a, vec b) { return OF_S8(vaddq_s8(S8(a), S8(b))); }
WORD vec v_sub8(vec a, vec b) { return OF_S8(vsubq_s8(S8(a), S8(b))); }
WORD vec v_add16(vec a, vec b) { return OF_S16(vaddq_s16(S16(a), S16(b))); }
WORD vec v_sub16(vec a, vec b) { return OF_S16(vsubq_s16(S16(a), S16(b))); }
WORD vec v_mul16(vec a, vec b) { return OF_S16(vmulq_s16(S16(a), S16(b))); }
WORD vec v_sub32(vec a, vec b) { return vsubq_s32(a, b); }
WORD vec v_low_signed(vec a) { return OF_S16(vmovl_s8(vget_low_s8(S8(a)))); }
WORD vec v_high_signed(vec a) { return OF_S16(vmovl_high_s8(S8(a))); }

/* value where the bytes have the (single) bit, else 0 */
WORD vec v_if_bits(vec bytes, vec bits, vec value) {
    return v_and(OF_U8(vtstq_u8(U8(bytes), U8(bits))), value);
}

/* Sums of neighbours: of low in the lower half of each lane, of high in the upper. */
WORD vec v_hadd16(vec low, vec high) { return OF_S16(vpaddq_s16(S16(low), S16(high))); }

WORD vec v_dpw(vec acc, vec a, vec b) {
    acc = vmlal_s16(acc, vget_low_s16(S16(a)), vget_low_s16(S16(b)));
    return vmlal_high_s16(acc, S16(a), S16(b));
}
/* Signed bytes made ready for the products below: nothing to do. */
WORD vec v_wide(vec a) { return a; }

#if defined(__ARM_FEATURE_DOTPROD)
WORD vec v_dots(vec w0, vec x0, vec w1, vec x1) {
    return vdotq_s32(vdotq_s32(v_zero(), S8(w0), S8(x0)), S8(w1), S8(x1));
}
WORD vec v_wide_dots(vec w0, vec x0, vec w1, vec x1) { return v_dots(w0, x0, w1, x1); }
/* acc + scale * (w . x), scale in every 16-bit place */
WORD vec v_scaled_dot(vec acc, vec w, vec x, vec scale) {
    return vmlaq_s32(acc, vdotq_s32(v_zero(), S8(w), S8(x)), vshrq_n_s32(scale, 16));
}
WORD vec v_scaled_dots(vec acc, vec w0, vec x0, vec w1, vec x1, vec scale) {
    return vmlaq_s32(acc, v_dots(w0, x0, w1, x1), vshrq_n_s32(scale, 16));
}
WORD vec v_wide_scaled_dots(vec acc, vec w0, vec x0, vec w1, vec x1, vec scale) {
    return v_scaled_dots(acc, w0, x0, w1, x1, scale);
}
#else
/* Eight 16-bit sums of two products each; and those added to others. */
WORD int16x8_t v_pairs(vec w, vec x) {
    int16x8_t low = vmull_s8(vget_low_s8(S8(w)), vget_low_s8(S8(x)));
    return vmlal_high_s8(low, S8(w), S8(x));
}
WORD int16x8_t v_more_pairs(int16x8_t sums, vec w, vec x) {
    sums = vmlal_s8(sums, vget_low_s8(S8(w)), vget_low_s8(S8(x)));
    return vmlal_high_s8(sums, S8(w), S8(x));
}
/* w0 . x0 + w1 . x1, four partial sums; w below 32 */
WORD vec v_dots(vec w0, vec x0, vec w1, vec x1) { return vpaddlq_s16(v_more_pairs(v_pairs(w0, x0), w1, x1)); }
WORD vec v_wide_dots(vec w0, vec x0, vec w1, vec x1) {
    return vpadalq_s16(vpaddlq_s16(v_pairs(w0, x0)), v_pairs(w1, x1));
}
/* acc + scale * (w . x), scale in every 16-bit place */
WORD vec v_scaled_dot(vec acc, vec w, vec x, vec scale) { return v_dpw(acc, OF_S16(v_pairs(w, x)), scale); }
/* acc + scale * (w0 . x0 + w1 . x1), w below 32 */
WORD vec v_scaled_dots(vec acc, vec w0, vec x0, vec w1, vec x1, vec scale) {
    return v_dpw(acc, OF_S16(v_more_pairs(v_pairs(w0, x0), w1, x1)), scale);
}
WORD vec v_wide_scaled_dots(vec acc, vec w0, vec x0, vec w1, vec x1, vec scale) {
    return v_scaled_dot(v_scaled_dot(acc, w0, x0, scale), w1, x1, scale);
}
#endif

/* Four vectors, each of one row, with one dword wanted of each, to row order: dword 0, or dword 3. */
WORD vec v_ends(int32x4_t a, int32x4_t b, bool upper) {
    int64x2_t c = vreinterpretq_s64_s32(a), d = vreinterpretq_s64_s32(b);
    return vreinterpretq_s32_s64(upper ? vzip2q_s64(c, d) : vzip1q_s64(c, d));
}
WORD vec v_first(const vec *v) { return v_ends(vzip1q_s32(v[0], v[1]), vzip1q_s32(v[2], v[3]), false); }
WORD vec v_last(const vec *v) { return v_ends(vzip2q_s32(v[0], v[1]), vzip2q_s32(v[2], v[3]), true); }

/* The sum of the four dwords of each vector. */
WORD vec v_reduce(const vec *v) { return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3])); }

WORD fvec f_zero(void) { return vdupq_n_f32(0.0f); }
WORD fvec f_set(float value) { return vdupq_n_f32(value); }
WORD fvec f_add(fvec a, fvec b) { return vaddq_f32(a, b); }
WORD fvec f_sub(fvec a, fvec b) { return vsubq_f32(a, b); }
WORD fvec f_mul(fvec a, fvec b) { return vmulq_f32(a, b); }
WORD fvec f_fma(fvec a, fvec b, fvec c) { return vfmaq_f32(c, a, b); }
WORD fvec f_fnma(fvec a, fvec b, fvec c) { return vfmsq_f32(c, a, b); }
WORD fvec f_from(vec a) { return vcvtq_f32_s32(a); }
/* Halves in the low 16 bits of each dword. */
WORD fvec f_halves(vec a) { return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(U32(a)))); }
/* MXFP4 exponents in the low byte of each dword: 2^(e - 128). */
WORD fvec f_exponents(vec a) {
    vec e = v_and(a, v_set32(255));
    uint32x4_t small = vcltq_s32(e, v_set32(2));
    uint32x4_t bits = vshlq_n_u32(U32(v_sub32(e, v_set32(1))), 23);
    uint32x4_t subnormal = vshlq_u32(vdupq_n_u32(0x200000), e); /* chosen for e = 0 and 1 only */
    return vreinterpretq_f32_u32(vbslq_u32(small, subnormal, bits));
}

/* Rows from `from` on (what the others hold does not matter). */
WORD fvec f_load_rows(const float *y, size_t from) {
    (void)from;
    return vld1q_f32(y);
}
/* Rows from `from` on; the others are left alone. */
WORD void f_store_rows(float *y, fvec total, size_t from) {
    if (from == 0) {
        vst1q_f32(y, total);
        return;
    }
    float rows[ROWS];
    vst1q_f32(rows, total);
    for (size_t i = from; i < ROWS; i++) y[i] = rows[i];
}
WORD void f_store(float *y, fvec a) { vst1q_f32(y, a); }
/* Four of the bytes (signed, or below 128), widened. */
WORD vec v_bytes(vec a, int part) {
    int16x8_t shorts = part & 2 ? vmovl_high_s8(S8(a)) : vmovl_s8(vget_low_s8(S8(a)));
    return part & 1 ? vmovl_high_s16(shorts) : vmovl_s16(vget_low_s16(shorts));
}
/* Four of the 16-bit integers of low (parts 0 and 1) or of high, as floats. */
WORD fvec f_shorts(vec low, vec high, int part) {
    int16x8_t shorts = S16(part & 2 ? high : low);
    return vcvtq_f32_s32(part & 1 ? vmovl_high_s16(shorts) : vmovl_s16(vget_low_s16(shorts)));
}
