/* neon_float.c - the float kernels for AArch64: the vector layer over four 128-bit registers, and the
 * template's three parts. Called only through the table. */
#include <arm_neon.h>

#include "kernels/cache_blocks.h"
#include "kernels/kernels.h"

#define INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define PREFETCH(p) __builtin_prefetch((const char *)(p), 0, 3)
/* A matrix product's panel is 16 rows and its tile 16 rows x 6 tokens: 24 of the 32 registers. */
#define PANEL_ROWS 16
#define PANEL_TOKENS 6

/* ---- Vector layer -------------------------------------------------------------------------------------- */

typedef struct v16 {
    float32x4_t a, b, c, d; /* lanes 0 .. 3, 4 .. 7, 8 .. 11, 12 .. 15 */
} v16;

#define EACH(f) ((v16){f(a), f(b), f(c), f(d)})
#define BITS(x) vreinterpretq_u32_f32(x)
#define FLOATS(x) vreinterpretq_f32_u32(x)

static INLINE float32x4_t load_f32(const char *p) {
    return vreinterpretq_f32_u8(vld1q_u8((const uint8_t *)p));
}
static INLINE uint16x4_t load_16(const char *p) { return vreinterpret_u16_u8(vld1_u8((const uint8_t *)p)); }
static INLINE float32x4_t of_f16(uint16x4_t x) { return vcvt_f32_f16(vreinterpret_f16_u16(x)); }
static INLINE float32x4_t of_bf16(uint16x4_t x) { return FLOATS(vshll_n_u16(x, 16)); }

static INLINE v16 v16_set(float x) {
    float32x4_t v = vdupq_n_f32(x);
    return (v16){v, v, v, v};
}
static INLINE v16 v16_load(const float *p) {
    return (v16){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
static INLINE v16 v16_load_n(const float *p, size_t n) {
    float all[16] = {0};
    memcpy(all, p, n * sizeof *p);
    return v16_load(all);
}
static INLINE v16 v16_load_bytes(const char *p) {
    return (v16){load_f32(p), load_f32(p + 16), load_f32(p + 32), load_f32(p + 48)};
}
static INLINE v16 v16_load_f16(const char *p) {
    return (v16){of_f16(load_16(p)), of_f16(load_16(p + 8)), of_f16(load_16(p + 16)),
                 of_f16(load_16(p + 24))};
}
static INLINE v16 v16_load_bf16(const char *p) {
    return (v16){of_bf16(load_16(p)), of_bf16(load_16(p + 8)), of_bf16(load_16(p + 16)),
                 of_bf16(load_16(p + 24))};
}
static INLINE void v16_store(float *p, v16 x) {
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
}
static INLINE void v16_store_n(float *p, v16 x, size_t n) {
    float all[16];
    v16_store(all, x);
    memcpy(p, all, n * sizeof *p);
}
static INLINE uint16x4_t round_f16(float32x4_t x) { return vreinterpret_u16_f16(vcvt_f16_f32(x)); }
static INLINE void v16_store_f16(uint16_t *p, v16 x) {
    vst1_u16(p, round_f16(x.a));
    vst1_u16(p + 4, round_f16(x.b));
    vst1_u16(p + 8, round_f16(x.c));
    vst1_u16(p + 12, round_f16(x.d));
}
static INLINE uint16x4_t round_bf16(float32x4_t x) {
    uint32x4_t bits = BITS(x), high = vshrq_n_u32(bits, 16), odd = vandq_u32(high, vdupq_n_u32(1));
    uint32x4_t rounded = vshrq_n_u32(vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd), 16);
    uint32x4_t quiet = vorrq_u32(high, vdupq_n_u32(0x40));
    return vmovn_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet));
}
static INLINE void v16_store_bf16(uint16_t *p, v16 x) {
    vst1_u16(p, round_bf16(x.a));
    vst1_u16(p + 4, round_bf16(x.b));
    vst1_u16(p + 8, round_bf16(x.c));
    vst1_u16(p + 12, round_bf16(x.d));
}

#define ADD(l) vaddq_f32(x.l, y.l)
#define SUB(l) vsubq_f32(x.l, y.l)
#define MUL(l) vmulq_f32(x.l, y.l)
#define DIV(l) vdivq_f32(x.l, y.l)
#define FMA(l) vfmaq_f32(z.l, x.l, y.l)
#define LEAST(l) vbslq_f32(vcltq_f32(x.l, y.l), x.l, y.l)
#define MOST(l) vbslq_f32(vcgtq_f32(x.l, y.l), x.l, y.l)
#define ABS(l) vabsq_f32(x.l)
#define NEGATE(l) vnegq_f32(x.l)
#define WITH_SIGN(l) FLOATS(vorrq_u32(BITS(x.l), vandq_u32(BITS(from.l), vdupq_n_u32(0x80000000u))))
#define WHERE_LESS(l) vbslq_f32(vcltq_f32(x.l, y.l), yes.l, no.l)
#define EQUAL(l) vceqq_f32(x.l, y.l)
static INLINE v16 v16_add(v16 x, v16 y) { return EACH(ADD); }
static INLINE v16 v16_sub(v16 x, v16 y) { return EACH(SUB); }
static INLINE v16 v16_mul(v16 x, v16 y) { return EACH(MUL); }
static INLINE v16 v16_div(v16 x, v16 y) { return EACH(DIV); }
static INLINE v16 v16_fma(v16 x, v16 y, v16 z) { return EACH(FMA); }
/* x < y ? x : y, and x > y ? x : y: FMIN and FMAX treat NaN in another way */
static INLINE v16 v16_least(v16 x, v16 y) { return EACH(LEAST); }
static INLINE v16 v16_most(v16 x, v16 y) { return EACH(MOST); }
static INLINE v16 v16_abs(v16 x) { return EACH(ABS); }
static INLINE v16 v16_negate(v16 x) { return EACH(NEGATE); }
static INLINE v16 v16_with_sign(v16 x, v16 from) { return EACH(WITH_SIGN); }
static INLINE v16 v16_where_less(v16 x, v16 y, v16 yes, v16 no) { return EACH(WHERE_LESS); }
static INLINE bool v16_any_equal(v16 x, v16 y) {
    return vmaxvq_u32(vorrq_u32(vorrq_u32(EQUAL(a), EQUAL(b)), vorrq_u32(EQUAL(c), EQUAL(d)))) != 0;
}

/* Lanes from .. to-1 of x, other elsewhere; from and to may lie beyond 16. */
static INLINE v16 v16_keep(v16 x, size_t from, size_t to, v16 other) {
    static const uint32_t numbers[4] = {0, 1, 2, 3};
    uint32x4_t low = vdupq_n_u32((uint32_t)TFM__MIN(from, 16)),
               high = vdupq_n_u32((uint32_t)TFM__MIN(to, 16));
    uint32x4_t lane = vld1q_u32(numbers), four = vdupq_n_u32(4);
#define KEEP(l) vbslq_f32(vandq_u32(vcgeq_u32(lane, low), vcltq_u32(lane, high)), x.l, other.l)
    v16 kept;
    kept.a = KEEP(a);
    lane = vaddq_u32(lane, four);
    kept.b = KEEP(b);
    lane = vaddq_u32(lane, four);
    kept.c = KEEP(c);
    lane = vaddq_u32(lane, four);
    kept.d = KEEP(d);
    return kept;
}

/* p * 2^n, n in the low bits of shifted: the last step of tfm__exp. */
static INLINE float32x4_t scale_by_power(float32x4_t p, float32x4_t shifted) {
    int32x4_t whole = vsubq_s32(vreinterpretq_s32_f32(shifted), vdupq_n_s32(0x4b400000));
    int32x4_t half = vshrq_n_s32(whole, 1), bias = vdupq_n_s32(127);
    int32x4_t first = vshlq_n_s32(vaddq_s32(half, bias), 23);
    int32x4_t second = vshlq_n_s32(vaddq_s32(vsubq_s32(whole, half), bias), 23);
    return vmulq_f32(vmulq_f32(p, vreinterpretq_f32_s32(first)), vreinterpretq_f32_s32(second));
}
#define SCALED(l) scale_by_power(p.l, shifted.l)
static INLINE v16 v16_scale_by_power(v16 p, v16 shifted) { return EACH(SCALED); }

/* The tree over the lanes. */
static INLINE float v16_sum(v16 x) {
    float32x4_t four = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

/* The same tree with upper > lower ? upper : lower. */
static INLINE float32x4_t upper_or_lower(float32x4_t upper, float32x4_t lower) {
    return vbslq_f32(vcgtq_f32(upper, lower), upper, lower);
}
static INLINE float v16_maximum(v16 x) {
    float32x4_t four = upper_or_lower(upper_or_lower(x.d, x.b), upper_or_lower(x.c, x.a));
    float32x2_t upper = vget_high_f32(four), lower = vget_low_f32(four);
    float32x2_t two = vbsl_f32(vcgt_f32(upper, lower), upper, lower);
    float first = vget_lane_f32(two, 0), second = vget_lane_f32(two, 1);
    return second > first ? second : first;
}

/* x0 .. x15, y0 .. y15 to the even and the odd ones, and back. */
static INLINE void v16_unzip(v16 x, v16 y, v16 *even, v16 *odd) {
    *even = (v16){vuzp1q_f32(x.a, x.b), vuzp1q_f32(x.c, x.d), vuzp1q_f32(y.a, y.b), vuzp1q_f32(y.c, y.d)};
    *odd = (v16){vuzp2q_f32(x.a, x.b), vuzp2q_f32(x.c, x.d), vuzp2q_f32(y.a, y.b), vuzp2q_f32(y.c, y.d)};
}
static INLINE void v16_zip(v16 even, v16 odd, v16 *x, v16 *y) {
    *x = (v16){vzip1q_f32(even.a, odd.a), vzip2q_f32(even.a, odd.a), vzip1q_f32(even.b, odd.b),
               vzip2q_f32(even.b, odd.b)};
    *y = (v16){vzip1q_f32(even.c, odd.c), vzip2q_f32(even.c, odd.c), vzip1q_f32(even.d, odd.d),
               vzip2q_f32(even.d, odd.d)};
}

#include "kernels/float_fetch.h"

/* ---- Blocks of weights, row r at rows[r] + offset ----------------------------------------------------- */

/* Blocks are 16 rows x 64 bytes, a cache line of each row, taken 16 bytes of all rows at a time: 4 columns of
 * F32, or 8 of halves. */

/* r[i] = row i to r[j] = column j, four by four. */
static INLINE void transpose(float32x4_t r[4]) {
    float32x4_t a = vzip1q_f32(r[0], r[2]), b = vzip2q_f32(r[0], r[2]);
    float32x4_t c = vzip1q_f32(r[1], r[3]), d = vzip2q_f32(r[1], r[3]);
    r[0] = vzip1q_f32(a, c);
    r[1] = vzip2q_f32(a, c);
    r[2] = vzip1q_f32(b, d);
    r[3] = vzip2q_f32(b, d);
}

static INLINE int piece_columns(uint32_t type) { return type == TFM__F32 ? 4 : 8; }

/* Four rows: columns[j] = column j of them. */
static INLINE void load_four(uint32_t type, const char *const *rows, size_t offset, float32x4_t columns[8]) {
    UNROLL for (int i = 0; i < 4; i++) {
        const char *p = rows[i] + offset;
        if (type == TFM__F32) {
            columns[i] = load_f32(p);
        } else {
            uint16x4_t low = load_16(p), high = load_16(p + 8);
            columns[i] = type == TFM__F16 ? of_f16(low) : of_bf16(low);
            columns[4 + i] = type == TFM__F16 ? of_f16(high) : of_bf16(high);
        }
    }
    transpose(columns);
    if (type != TFM__F32) transpose(columns + 4);
}

static INLINE void load_piece(uint32_t type, const char *const *rows, size_t offset, v16 columns[8]) {
    float32x4_t a[8], b[8], c[8], d[8];
    load_four(type, rows, offset, a);
    load_four(type, rows + 4, offset, b);
    load_four(type, rows + 8, offset, c);
    load_four(type, rows + 12, offset, d);
    UNROLL for (int j = 0; j < piece_columns(type); j++) columns[j] = (v16){a[j], b[j], c[j], d[j]};
}

/* sums[g * tokens + t] += in lane r, the chain of row 16 g + r's products with x[t], 64 bytes of it, in
 * order; meanwhile as many lines are fetched as are used. */
static INLINE void block_chain(uint32_t type, int groups, int tokens, const char *const *rows, size_t offset,
                               const float *x, size_t x_stride, v16 *sums, fetch *ahead) {
    for (size_t piece = 0; piece < 4; piece++, x += piece_columns(type)) {
        UNROLL for (int g = 0; g < groups; g++) {
            v16 columns[8];
            UNROLL for (int line = 0; line < 4; line++) fetch_line(ahead);
            load_piece(type, rows + 16 * g, offset + 16 * piece, columns);
            UNROLL for (int j = 0; j < piece_columns(type); j++) {
                UNROLL for (int t = 0; t < tokens; t++) {
                    v16 value = v16_set(x[(size_t)t * x_stride + (size_t)j]), *sum = sums + g * tokens + t;
                    *sum = v16_fma(columns[j], value, *sum);
                }
            }
        }
    }
}

/* out[j][r] = element j of row r, as f32. */
static INLINE void block_pack(uint32_t type, const char *const *rows, size_t offset, float *out) {
    for (size_t piece = 0; piece < 4; piece++) {
        v16 columns[8];
        load_piece(type, rows, offset + 16 * piece, columns);
        UNROLL for (int j = 0; j < piece_columns(type); j++, out += PANEL_ROWS) v16_store(out, columns[j]);
    }
}

/* Attention's tile is 16 outputs x 6 queries; fewer queries take more outputs, to have chains enough in
 * flight. */
#define TILE_TOKENS 6
#define TILE_VECTORS(tokens) ((tokens) == 1 ? 4 : (tokens) == 2 ? 2 : 1)

#include "kernels/float_body.h"
#include "kernels/float_product.h"
#include "kernels/float_attention.h"

void tfm__kernels_neon_float(tfm__kernels *kernels) {
#include "kernels/float_entries.h"
}
