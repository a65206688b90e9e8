/* rope.c - rotary positions: the frequencies of a model, and tables of cosines and sines for a run of
 * positions.
 *
 * Pair i of d/2 turns by position * inverse[i] (RoFormer, Su et al. 2021), inverse[i] = base^(-2i/d),
 * stretched by the scaling that the file names: linear (Chen et al. 2023), dynamic NTK, YaRN (Peng et al.
 * 2023), Llama 3.1's, LongRoPE (Ding et al. 2024), or divisors that a GGUF file carries per pair. The angle
 * is the f32 product of position and f32 frequency, as PyTorch computes it; cosine and sine of it are our
 * own, so they are the same everywhere. */
#include <math.h>

#include "base/elementary.h"
#include "base/real.h"
#include "model/model.h"

#define TWO_PI 6.283185307179586

/* base^(-2i/d) for all pairs. d is odd where a share of the head is: the last dimension then has a partner.
 */
static void plain(double base, uint32_t dimension, double *out) {
    for (uint32_t i = 0; i < (dimension + 1) / 2; i++)
        out[i] = 1.0 / tfm__pow_real(base, 2.0 * i / dimension);
}

/* Llama 3.1: long wavelengths are stretched, short ones left, those between blended. */
static void stretch_llama3(const tfm__rope *rope, uint32_t pairs, double *inverse) {
    double longest = rope->original / rope->low_freq_factor,
           shortest = rope->original / rope->high_freq_factor;
    for (uint32_t i = 0; i < pairs; i++) {
        double wavelength = TWO_PI / inverse[i];
        if (wavelength > longest) {
            inverse[i] /= rope->factor;
        } else if (wavelength >= shortest) {
            double smooth = (rope->original / wavelength - rope->low_freq_factor) /
                            (rope->high_freq_factor - rope->low_freq_factor);
            inverse[i] = (1.0 - smooth) * inverse[i] / rope->factor + smooth * inverse[i];
        }
    }
}

/* YaRN: the pair at which a wavelength fits `turns` times into the original context. */
static double yarn_pair(const tfm__rope *rope, uint32_t dimension, double turns) {
    return dimension * tfm__log_real(rope->original / (turns * TWO_PI)) / (2.0 * tfm__log_real(rope->base));
}

static void stretch_yarn(const tfm__rope *rope, uint32_t dimension, double *inverse) {
    double low = yarn_pair(rope, dimension, rope->beta_fast),
           high = yarn_pair(rope, dimension, rope->beta_slow);
    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = TFM__MAX(low, 0.0);
    high = TFM__MIN(high, (double)dimension - 1.0);
    if (low == high) high += 0.001;
    for (uint32_t i = 0; i < (dimension + 1) / 2; i++) {
        double ramp = ((double)i - low) / (high - low);
        ramp = TFM__MIN(TFM__MAX(ramp, 0.0), 1.0);
        inverse[i] = inverse[i] / rope->factor * ramp + inverse[i] * (1.0 - ramp);
    }
}

void tfm__rope_inverse(const tfm__rope *rope, int scaling, uint32_t dimension, double *inverse) {
    plain(rope->base, dimension, inverse);
    if (scaling == TFM__ROPE_LINEAR)
        for (uint32_t i = 0; i < (dimension + 1) / 2; i++) inverse[i] /= rope->factor;
    else if (scaling == TFM__ROPE_LLAMA3)
        stretch_llama3(rope, (dimension + 1) / 2, inverse);
    else if (scaling == TFM__ROPE_YARN)
        stretch_yarn(rope, dimension, inverse);
}

static double yarn_scale(double factor, double mscale) {
    return factor <= 1.0 ? 1.0 : 0.1 * mscale * tfm__log_real(factor) + 1.0;
}

static double magnitude_of(const tfm__rope *rope) {
    if (rope->scaling == TFM__ROPE_YARN) {
        if (rope->attention_factor > 0.0) return rope->attention_factor;
        if (rope->mscale != 0.0 && rope->mscale_all_dim != 0.0)
            return yarn_scale(rope->factor, rope->mscale) / yarn_scale(rope->factor, rope->mscale_all_dim);
        return yarn_scale(rope->factor, 1.0);
    }
    if (rope->scaling == TFM__ROPE_LONG) {
        if (rope->attention_factor > 0.0) return rope->attention_factor;
        return rope->factor <= 1.0
                   ? 1.0
                   : sqrt(1.0 + tfm__log_real(rope->factor) / tfm__log_real((double)rope->original));
    }
    return 1.0;
}

static int32_t divisors(tfm_model *model, const char *name, uint32_t pairs, const float **out,
                        tfm_error *error) {
    const tfm__tensor *tensor = tfm__container_tensor(&model->container, name);
    *out = NULL;
    if (!tensor || model->container.format != TFM__FORMAT_GGUF) return TFM_OK;
    const char *file = tfm__container_file(&model->container, tensor);
    if (tensor->type != TFM__F32 || tensor->dims != 1 || tensor->shape[0] != pairs)
        return tfm__fail_at(error, TFM_E_SHAPE, file, name, tensor->offset, "expected %u values of F32",
                            pairs);
    float *values = tfm__arena_alloc(&model->container.arena, pairs * sizeof(float));
    if (!values) return tfm__fail_memory(error, &model->heap, pairs * sizeof(float));
    for (uint32_t i = 0; i < pairs; i++) {
        values[i] = tfm__f32_le(tensor->data + 4 * (size_t)i);
        if (!(values[i] > 0.0f))
            return tfm__fail_at(error, TFM_E_FORMAT, file, name, tensor->offset, "a divisor is not positive");
    }
    *out = values;
    return TFM_OK;
}

static int32_t frequencies_of(tfm_model *model, int kind, double *work, tfm_error *error) {
    const tfm__config *c = &model->config;
    const tfm__rope *rope = &c->rope[kind];
    uint32_t pairs = c->rotary_dim / 2;
    const float *common = NULL, *longer = NULL, *shorter = NULL;
    size_t bytes = 2 * (size_t)pairs * sizeof(float);
    float *inverse = tfm__arena_alloc(&model->container.arena, bytes), *stretched = inverse + pairs;
    if (!inverse) return tfm__fail_memory(error, &model->heap, bytes);
    int32_t status = TFM_OK;
    if (kind == TFM__ROPE_GLOBAL || !c->family->local_rope) {
        status = divisors(model, "rope_freqs.weight", pairs, &common, error);
        if (!status) status = divisors(model, "rope_factors_long.weight", pairs, &longer, error);
        if (!status) status = divisors(model, "rope_factors_short.weight", pairs, &shorter, error);
        if (status) return status;
    }
    if (rope->short_factors) shorter = rope->short_factors;
    if (rope->long_factors) longer = rope->long_factors;
    tfm__rope_inverse(rope, rope->scaling, c->rotary_spread, work);
    if (!common) common = shorter;
    for (uint32_t i = 0; i < pairs; i++) {
        inverse[i] = (float)(common ? work[i] / (double)common[i] : work[i]);
        stretched[i] = (float)(longer ? work[i] / (double)longer[i] : work[i]);
    }
    tfm__frequencies *out = &model->frequencies[kind];
    out->inverse = inverse;
    out->long_inverse = longer ? stretched : NULL;
    out->magnitude = (float)magnitude_of(rope);
    return TFM_OK;
}

int32_t tfm__model_rope(tfm_model *model, tfm_error *error) {
    double work[TFM__MAX_HEAD_DIM / 2];
    if (model->config.positions != TFM__POSITIONS_ROTARY) return TFM_OK;
    for (int kind = 0; kind < TFM__ROPE_KINDS; kind++) {
        int32_t status = frequencies_of(model, kind, work, error);
        if (status) return status;
    }
    return TFM_OK;
}

/* Dynamic NTK: past the original context the base grows with the length of the text so far, which for a token
 * is its own position + 1. So a token's angles do not depend on how the text was cut into calls. */
static void dynamic_inverse(const tfm__rope *rope, uint32_t dimension, uint32_t position, double *out) {
    double length = (double)position + 1.0;
    double grown = rope->factor * length / rope->original - (rope->factor - 1.0);
    double base = rope->base * tfm__pow_real(grown, (double)dimension / ((double)dimension - 2.0));
    plain(base, dimension, out);
}

void tfm__rope_table(const tfm_model *model, int kind, uint32_t first, size_t count, float *cosine,
                     float *sine) {
    const tfm__rope *rope = &model->config.rope[kind];
    const tfm__frequencies *frequencies = &model->frequencies[kind];
    uint32_t dimension = model->config.rotary_spread, pairs = model->config.rotary_dim / 2;
    double work[TFM__MAX_HEAD_DIM / 2];
    for (size_t t = 0; t < count; t++) {
        uint32_t position = first + (uint32_t)t;
        bool past = position >= rope->original;
        const float *inverse =
            past && frequencies->long_inverse ? frequencies->long_inverse : frequencies->inverse;
        float magnitude = frequencies->magnitude;
        bool dynamic = rope->scaling == TFM__ROPE_DYNAMIC && past && dimension > 2;
        if (dynamic) dynamic_inverse(rope, dimension, position, work);
        for (uint32_t i = 0; i < pairs; i++) {
            float angle = (float)position * (dynamic ? (float)work[i] : inverse[i]);
            double s, c;
            tfm__sin_cos((double)angle, &s, &c);
            cosine[t * pairs + i] = (float)c * magnitude;
            sine[t * pairs + i] = (float)s * magnitude;
        }
    }
}
