/* kernels.h - the table of tensor kernels: everything that loops over numbers, one entry per job.
 *
 * The table is filled with the portable reference first and then overwritten, entry by entry, by what the chosen
 * instruction set has (select.c). It lives in the model, not in a global. Kernels know nothing of models, files or
 * threads: they are called with plain arrays, take no memory (beyond at most 128 KiB of stack), and may run on any
 * number of threads at once on disjoint outputs.
 *
 * The order of additions is part of the contract: every variant of a kernel gives the same bits as the reference.
 * - float products (weights F32, F16, BF16): each output is a chain of fused multiply-adds over k in order,
 *   acc = fma(w, x, acc), restarted from zero every TFM__K_RESTART values of k; the partial sums are added up in
 *   order (total = 0; total += acc ...). Bias is added last. Lanes of a vector hold different outputs.
 * - quantised products: the activations of a row are quantised once (formats below); within a block (of 32, or a
 *   super-block of 256 with its integer sub-scales) the sum is an integer, exact in any order; then, blocks in
 *   order, total = fma(dw * dx, (float)sum, total), where dw * dx is one rounded f32 product; types with minimums
 *   follow at once with total = fma(-(mw * dx), (float)minimum_sum, total). Bias is added last.
 * - sums over a row (norms, softmax) keep 16 running sums: lane j takes the elements j mod 16, in order, by fma
 *   for squares and by addition otherwise, and then one tree: lane i += lane i + 8, then + 4, + 2, + 1.
 * - exp, tanh, erf are the polynomials of elementary.h, in the same operations everywhere. */
#ifndef TFM__KERNELS_H
#define TFM__KERNELS_H

#include "base/base.h"
#include "base/cpu.h"
#include "base/dtype.h"

#define TFM__K_RESTART 256  /* float products restart their chain here */
#define TFM__PAGE_TOKENS 64 /* positions per key/value page */

/* How a product wants its activations. A quantised row of k values is three planes, one after another:
 *   Q8_32:  int8 q[k] | float scale[k / 32]  | int32 sum[k / 32]   (sum of q over each 32)
 *   Q8_256: int8 q[k] | float scale[k / 256] | int16 sum[k / 16]   (sum of q over each 16)
 * scale = amax / 127, inverse = amax ? 1 / scale : 0 (f32 divisions), q = round-to-nearest-even(x * inverse).
 * amax is found on the bit patterns, so NaN counts as largest; a block whose amax is not finite (or whose inverse
 * overflows) has q = 0 and that amax (NaN or infinity) as its scale, so the product is NaN as it should be. */
enum { TFM__ACT_F32 = 0, TFM__ACT_Q8_32 = 1, TFM__ACT_Q8_256 = 2, TFM__ACT_COUNT = 3 };

/* Bytes of one activation row, rounded up to 64. */
size_t tfm__activation_bytes(int format, size_t k);

/* y[t][r] = sum over i < k of W[r][i] * x[t][i] (+ bias[r]), for all t < tokens and the asked rows r. */
typedef struct tfm__product {
    const void *weights; /* [rows, k] of type, row r at weights + r * row_stride; any alignment */
    size_t row_stride;   /* bytes */
    uint32_t type;       /* TFM__F32 ... */
    bool transposed;     /* F32, F16, BF16 only: stored [k, rows], element (r, i) at weights + i * row_stride +
                            r * element size */
    size_t k;            /* a multiple of the type's block */
    const void *x;       /* [tokens, k] activation rows in the type's format, 64-byte aligned */
    size_t x_stride;     /* bytes between them, a multiple of 64 */
    size_t tokens;
    const float *bias; /* [rows], or NULL */
    float *y;          /* [tokens, rows], token t at y + t * y_stride */
    size_t y_stride;   /* floats */
} tfm__product;

typedef struct tfm__weight_kernels {
    int activation; /* TFM__ACT_* */
    /* Rows row0 .. row1-1 of the product, every token. One token streams the weights (a vector product); several
     * pack panels of them (a matrix product). Same bits for any split into rows and tokens. Row ranges of several
     * calls begin at multiples of 64 when tokens > 1, of 16 otherwise. */
    void (*product)(const tfm__product *product, size_t row0, size_t row1);
    /* n values (whole blocks) to f32, bit for bit as ggml's reference row functions give them. */
    void (*to_f32)(const void *source, float *out, size_t n);
} tfm__weight_kernels;

enum { TFM__SILU = 0, TFM__GELU_TANH = 1, TFM__GELU_ERF = 2, TFM__RELU = 3, TFM__ACTIVATION_COUNT = 4 };

/* One tile of queries against a run of key/value pages: the part of attention between projection and combination.
 * For query i and the keys j in [first[i], last[i]) that lie in these pages:
 *   s = (q[i] . k[j]) by a chain of fma over head_dim in order; if soft_cap: s = soft_cap * tanh(s * (1/soft_cap));
 *   if slopes: s = fma(slopes[i], (float)j - (float)positions[i], s);
 *   if bias: s = s + bias[bias_at[i] + j].
 * q comes already multiplied by the attention scale. Online softmax, page by page in order, skipping for a query the
 * pages in which it has no key:
 *   m' = max(m, max of the page's s);  c = exp(m - m') (0 for the first page);  p[j] = exp(s[j] - m'), 0 where
 *   masked;  l[lane] = fma(l[lane], c, p[lane] + p[16 + lane] + p[32 + lane] + p[48 + lane]) with the four added in
 *   that order; o = o * c, then o = fma(p[j], v[j], o) over the valid j in order.
 * The results stay separate: m, 16 sums l and unnormalised o; the caller combines runs of pages and divides. */
typedef struct tfm__attention_tile {
    const float *q;    /* query i at q + i * q_stride, head_dim_k floats */
    size_t q_stride;   /* floats */
    size_t queries;    /* any number */
    const uint32_t *first, *last; /* [queries] absolute key positions */
    const uint32_t *positions;    /* [queries]; read only with slopes */
    const float *slopes;          /* [queries], or NULL */
    const float *bias;            /* a table, or NULL; readable for every slot of the pages, not only for visible keys */
    const size_t *bias_at;        /* [queries] where in the table key 0 of a query would stand; read only with bias */
    float soft_cap;               /* 0: none */
    const void *const *k_pages;   /* [pages] each [head_dim_k, TFM__PAGE_TOKENS] of kv_type, 64-byte aligned */
    const void *const *v_pages;   /* [pages] each [TFM__PAGE_TOKENS, head_dim_v], 64-byte aligned; quantised types lie as
                                     cache_blocks.h says, and enter the sums as its floats */
    size_t pages;
    uint32_t first_position; /* of the first page's first slot: a multiple of TFM__PAGE_TOKENS */
    uint32_t kv_type;        /* TFM__F32, TFM__F16, TFM__BF16, TFM__Q8_0 or TFM__Q4_0 */
    size_t head_dim_k, head_dim_v;
    float *m; /* [queries]; written: -infinity where no key was seen */
    float *l; /* [queries, 16]; written */
    float *o; /* query i at o + i * o_stride, head_dim_v floats; written (zeros where no key was seen) */
    size_t o_stride;
} tfm__attention_tile;

typedef struct tfm__kernels {
    int isa; /* TFM__ISA_* that was asked for */
    tfm__weight_kernels weights[TFM__DTYPE_COUNT]; /* product NULL where the type cannot be multiplied */

    /* One row of k floats (k a multiple of the format's block) to an activation row; TFM__ACT_F32 copies. */
    void (*quantise[TFM__ACT_COUNT])(const float *x, void *out, size_t k);

    /* y = x * (1 / sqrt(mean(x^2) + epsilon)) * weight; (x * inverse) first, then times weight[i]. weight NULL: 1.
     * mean = sum / (float)n. y may be x. */
    void (*rms_norm)(float *y, const float *x, const float *weight, size_t n, float epsilon);
    /* y = ((x - mean) * (1 / sqrt(variance + epsilon))) * weight + bias (one fma for the last two; weight NULL: 1,
     * bias NULL: only multiplied); variance = mean of squared differences from the mean, a second pass. */
    void (*layer_norm)(float *y, const float *x, const float *weight, const float *bias, size_t n, float epsilon);

    void (*add)(float *y, const float *a, const float *b, size_t n);        /* y = a + b */
    void (*multiply_add)(float *y, const float *a, float s, size_t n);      /* y = fma(a, s, y) */
    void (*scale)(float *y, const float *x, float s, size_t n);             /* y = x * s */
    void (*soft_cap)(float *y, const float *x, float cap, size_t n);        /* y = cap * tanh(x * (1 / cap)) */
    void (*activate[TFM__ACTIVATION_COUNT])(float *y, const float *x, size_t n);
    void (*activate_gated[TFM__ACTIVATION_COUNT])(float *y, const float *gate, const float *up, size_t n); /* act(gate) * up */

    /* Rotates pairs of one head in place: pair i < pairs is (x[2i], x[2i+1]) if interleaved, else (x[i], x[i+pairs]).
     * x' = x cos - y sin as fma(x, cos, -(y * sin));  y' = fma(x, sin, y * cos). */
    void (*rope)(float *x, const float *cosine, const float *sine, size_t pairs, bool interleaved);

    void (*attention)(const tfm__attention_tile *tile);

    void (*to_f16)(const float *x, uint16_t *out, size_t n);  /* round to nearest even */
    void (*to_bf16)(const float *x, uint16_t *out, size_t n);

    /* Largest value and where it is first; NaNs are passed over (index 0 if there is nothing else). */
    size_t (*argmax)(const float *x, size_t n, float *value);
    /* sum over i of exp(x[i] - maximum), 16 lanes and the tree. */
    float (*exp_sum)(const float *x, size_t n, float maximum);
    /* y = exp(x - maximum) * factor */
    void (*exp_scaled)(float *y, const float *x, size_t n, float maximum, float factor);
} tfm__kernels;

/* Fills the table for an instruction set (which the processor must have: tfm__cpu_has_isa). */
void tfm__kernels_fill(tfm__kernels *kernels, int isa);

/* One filler per source folder part; each overwrites the entries it has. Called by tfm__kernels_fill in order. */
void tfm__kernels_ref_float(tfm__kernels *kernels);
void tfm__kernels_ref_quant(tfm__kernels *kernels);
#if defined(__x86_64__) || defined(_M_X64)
void tfm__kernels_avx2_float(tfm__kernels *kernels);
void tfm__kernels_avx2_quant(tfm__kernels *kernels);
void tfm__kernels_avx512_float(tfm__kernels *kernels);
void tfm__kernels_avx512_quant(tfm__kernels *kernels);
#elif TFM__AARCH64
void tfm__kernels_neon_float(tfm__kernels *kernels);
void tfm__kernels_neon_quant(tfm__kernels *kernels);
void tfm__kernels_dotprod_quant(tfm__kernels *kernels);
#endif

#endif
