/* embedding.c - texts to one vector each: tokens, hidden states (encode.c), a pooling over them, and the
 * steps that the model's files put behind it (model/modules.c). Poolings and steps are those of
 * sentence-transformers (Reimers and Gurevych 2019 and the library's documentation).
 *
 * Many texts are run some thousands of tokens at a time, so that their hidden states need not all be held. A
 * text's vector is computed from its own tokens in their order alone. */
#include "embedding.h"

#include <math.h>

#include "blocks/blocks.h"

#define CHUNK_TOKENS 4096 /* whose hidden states are held at once, unless a text alone has more */

/* ---- Choosing ---- */

size_t tfm__most_tokens(const tfm_model *model, size_t asked) {
    size_t most =
        model->embedder.most ? TFM__MIN(model->embedder.most, model->config.context) : model->config.context;
    bool bounded = tfm__has_position_rows(&model->config);
    if (!asked) return most;
    return bounded ? TFM__MIN(asked, model->config.context) : TFM__MIN(asked, TFM__MAX_CONTEXT);
}

static size_t parts_of(uint32_t pooling) {
    size_t parts = 0;
    for (int bit = 0; bit < TFM__POOLINGS; bit++) parts += pooling >> bit & 1;
    return parts;
}

int32_t tfm__embed_choose(const tfm_model *model, const tfm_embed_options *options, tfm__embed_plan *plan,
                          tfm_error *error) {
    const tfm__embedder *files = &model->embedder;
    if (options->pooling >> TFM__POOLINGS)
        return tfm__fail(error, TFM_E_ARGUMENT, "there is no pooling %u", options->pooling);
    if (options->normalize < TFM_DEFAULT || options->normalize > TFM_NO)
        return tfm__fail(error, TFM_E_ARGUMENT, "normalize is %d", (int)options->normalize);
    if (options->pooling == TFM_POOL_DEFAULT && files->problem)
        return tfm__fail(error, TFM_E_UNSUPPORTED, "the model's files describe %s, which is not supported",
                         files->problem);
    *plan = (tfm__embed_plan){.pooling = options->pooling, .normalize = options->normalize};
    plan->steps = options->pooling == TFM_POOL_DEFAULT;
    if (!plan->pooling) plan->pooling = files->pooling;
    if (!plan->pooling) plan->pooling = model->config.encoder ? TFM_POOL_MEAN : TFM_POOL_LAST;
    plan->most = tfm__most_tokens(model, options->max_tokens);
    plan->prompt = options->prompt ? options->prompt : files->prompt;
    plan->prompt_length = options->prompt ? options->prompt_length : files->prompt_length;
    plan->width = parts_of(plan->pooling) * model->config.width;
    for (size_t i = 0; i < files->step_count; i++) {
        if (files->steps[i].kind == TFM__STEP_DENSE && plan->steps) plan->width = files->steps[i].matrix.rows;
        /* a pooling that was named keeps the files' normalisation all the same */
        if (files->steps[i].kind == TFM__STEP_NORMALIZE && !plan->steps && plan->normalize == TFM_DEFAULT)
            plan->normalize = TFM_YES;
    }
    return TFM_OK;
}

/* ---- Texts to rows ---- */

/* The texts with a prompt in front of each, in one block that begins with their list. NULL when refused. */
static tfm_text_input *prompted(tfm_model *model, const tfm_text_input *texts, size_t count,
                                const char *prompt, size_t prompt_length, tfm_error *error, int32_t *status) {
    size_t bytes = 0;
    bool fits = tfm__mul_size(count, sizeof *texts + prompt_length, &bytes);
    for (size_t i = 0; i < count && fits; i++) fits = tfm__add_size(bytes, texts[i].length, &bytes);
    tfm_text_input *list = fits ? tfm__alloc(&model->heap, bytes) : NULL;
    if (!list) {
        *status = tfm__fail_memory(error, &model->heap, bytes);
        return NULL;
    }
    char *at = (char *)(list + count);
    for (size_t i = 0; i < count; i++) {
        list[i] = texts[i];
        list[i].text = at;
        list[i].length = prompt_length + texts[i].length;
        memcpy(at, prompt, prompt_length);
        if (texts[i].length) memcpy(at + prompt_length, texts[i].text, texts[i].length);
        at += list[i].length;
    }
    return list;
}

static int32_t fill_rows(tfm_model *model, size_t count, tfm__text_rows *out, tfm_error *error) {
    const tfm_encoding *encoding = out->encoding;
    out->rows = tfm__alloc_array(&model->heap, count, sizeof *out->rows);
    if (!out->rows) return tfm__fail_memory(error, &model->heap, count * sizeof *out->rows);
    if (encoding->types) { /* as wide as the caller's own rows have them */
        out->types = tfm__alloc_array(&model->heap, encoding->count + 1, sizeof *out->types);
        if (!out->types) return tfm__fail_memory(error, &model->heap, encoding->count * sizeof *out->types);
        for (size_t i = 0; i < encoding->count; i++) out->types[i] = encoding->types[i];
    }
    for (size_t r = 0; r < count; r++) {
        size_t start = encoding->starts[r];
        out->rows[r] = (tfm_encode_row){.tokens = encoding->ids + start,
                                        .count = encoding->starts[r + 1] - start,
                                        .types = out->types ? out->types + start : NULL};
    }
    return tfm__check_rows(model, out->rows, count, error);
}

int32_t tfm__rows_of_texts(tfm_model *model, const tfm_text_input *texts, size_t count, const char *prompt,
                           size_t prompt_length, size_t most, tfm__text_rows *out, tfm_error *error) {
    tfm_batch_options options = TFM_BATCH_OPTIONS_INIT;
    tfm__encode_choices choices;
    tfm_text_input *list = NULL;
    memset(out, 0, sizeof *out);
    if (!model->tokenizer)
        return tfm__fail(error, TFM_E_STATE, "the model's files hold no tokenizer that can be used");
    int32_t status = tfm__encode_choose(model->tokenizer, NULL, &choices, error);
    if (!status && prompt_length) list = prompted(model, texts, count, prompt, prompt_length, error, &status);
    options.pool = model->pool;
    options.want = model->config.types > 1 ? TFM_WANT_TYPES : 0;
    options.truncate = TFM_YES;
    options.max_length = most;
    options.pad = TFM_NO;
    if (!status)
        status = tfm__encode_batch(model->tokenizer, list ? list : texts, count, &options, &choices,
                                   &out->encoding, error);
    tfm__free(&model->heap, list);
    if (!status) status = fill_rows(model, count, out, error);
    if (status) tfm__rows_free(model, out);
    return status;
}

void tfm__rows_free(tfm_model *model, tfm__text_rows *rows) {
    tfm__encoding_free(rows->encoding);
    tfm__free(&model->heap, rows->types);
    tfm__free(&model->heap, rows->rows);
    memset(rows, 0, sizeof *rows);
}

/* ---- Pooling ---- */

/* out = the sum of the tokens, token n counted `weight` + `growth` n times; out = that times scale. */
static void add_up(const tfm__kernels *kernels, const float *hidden, size_t tokens, size_t width,
                   float growth, float scale, float *out) {
    memset(out, 0, width * sizeof *out);
    for (size_t t = 0; t < tokens; t++)
        if (growth != 0.0f)
            kernels->multiply_add(out, hidden + t * width, (float)(t + 1) * growth, width);
        else
            kernels->add(out, out, hidden + t * width, width);
    kernels->scale(out, out, scale, width);
}

static void largest(const float *hidden, size_t tokens, size_t width, float *out) {
    memcpy(out, hidden, width * sizeof *out);
    for (size_t t = 1; t < tokens; t++)
        for (size_t i = 0; i < width; i++)
            out[i] = hidden[t * width + i] > out[i] ? hidden[t * width + i] : out[i];
}

/* One row's vectors [tokens, width] to the parts of the pooling, one behind the other. */
static void pool_row(const tfm_model *model, uint32_t pooling, const float *hidden, size_t tokens,
                     float *out) {
    size_t width = model->config.width;
    const tfm__kernels *kernels = &model->kernels;
    float n = (float)tokens;
    if (pooling & TFM_POOL_FIRST) {
        memcpy(out, hidden, width * sizeof *out);
        out += width;
    }
    if (pooling & TFM_POOL_MAX) {
        largest(hidden, tokens, width, out);
        out += width;
    }
    if (pooling & TFM_POOL_MEAN) {
        add_up(kernels, hidden, tokens, width, 0.0f, 1.0f / n, out);
        out += width;
    }
    if (pooling & TFM_POOL_MEAN_SQRT) {
        add_up(kernels, hidden, tokens, width, 0.0f, 1.0f / sqrtf(n), out);
        out += width;
    }
    if (pooling & TFM_POOL_WEIGHTED) {
        add_up(kernels, hidden, tokens, width, 1.0f, 2.0f / (n * (n + 1.0f)), out);
        out += width;
    }
    if (pooling & TFM_POOL_LAST) memcpy(out, hidden + (tokens - 1) * width, width * sizeof *out);
}

/* To length 1; what is shorter than 1e-12 stays short, as in the original. */
static void normalize(const tfm_model *model, float *x, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    double length = sqrt(sum);
    model->kernels.scale(x, x, (float)(1.0 / (length > 1e-12 ? length : 1e-12)), n);
}

/* ---- The steps behind the pooling ---- */

/* What a chunk of rows works with: two sets of vectors of the widest step, and the products' own space. */
typedef struct bench {
    size_t widest; /* a multiple of 16 */
    float *from, *to;
    tfm__scratch scratch;
    uint8_t *memory;
} bench;

static int32_t make_bench(tfm_model *model, const tfm__embed_plan *plan, size_t rows, bench *b,
                          tfm_error *error) {
    size_t row = 0, bytes = 0;
    memset(b, 0, sizeof *b);
    b->widest = parts_of(plan->pooling) * model->config.width;
    for (size_t i = 0; i < model->embedder.step_count && plan->steps; i++)
        if (model->embedder.steps[i].kind == TFM__STEP_DENSE)
            b->widest = TFM__MAX(b->widest, model->embedder.steps[i].matrix.rows);
    b->widest = tfm__round_up(b->widest, 16);
    for (int format = 0; format < TFM__ACT_COUNT; format++) row += tfm__activation_bytes(format, b->widest);
    bool fits = tfm__mul_size(rows, row + 2 * b->widest * sizeof(float), &bytes);
    b->memory = fits ? tfm__alloc(&model->heap, bytes) : NULL;
    if (!b->memory) return tfm__fail_memory(error, &model->heap, bytes);
    b->scratch.quantised = b->memory;
    b->from = (float *)(void *)(b->memory + rows * row);
    b->to = b->from + rows * b->widest;
    return TFM_OK;
}

/* b->from [rows, width] through a dense layer, which leaves its results there. */
static void dense(tfm_model *model, bench *b, const tfm__embed_step *step, size_t rows) {
    tfm__pass pass = {.model = model,
                      .config = &model->config,
                      .kernels = &model->kernels,
                      .s = &b->scratch,
                      .pool = model->pool};
    const tfm__job job = {&step->matrix, b->to};
    tfm__linear(&pass, b->from, rows, &job, 1);
    tfm__head_activate(model, step->activation, b->to, rows * step->matrix.rows);
    float *turn = b->from;
    b->from = b->to;
    b->to = turn;
}

/* Encoded rows to their vectors. */
static void finish(tfm_model *model, const tfm_encoded *encoded, const tfm__embed_plan *plan, bench *b,
                   float *out) {
    const tfm__embedder *files = &model->embedder;
    size_t rows = encoded->rows, width = parts_of(plan->pooling) * model->config.width;
    for (size_t r = 0; r < rows; r++)
        pool_row(model, plan->pooling, encoded->hidden + encoded->starts[r] * model->config.width,
                 encoded->starts[r + 1] - encoded->starts[r], b->from + r * width);
    for (size_t i = 0; i < files->step_count && plan->steps; i++) {
        if (files->steps[i].kind == TFM__STEP_DENSE) {
            dense(model, b, &files->steps[i], rows);
            width = files->steps[i].matrix.rows;
        } else if (plan->normalize != TFM_NO) {
            for (size_t r = 0; r < rows; r++) normalize(model, b->from + r * width, width);
        }
    }
    if (plan->normalize == TFM_YES)
        for (size_t r = 0; r < rows; r++) normalize(model, b->from + r * width, width);
    memcpy(out, b->from, rows * width * sizeof *out);
}

/* ---- Chunks ---- */

/* How many rows from the first on are run together. */
static size_t chunk_of(const tfm_encode_row *rows, size_t count) {
    size_t n = 0, tokens = 0;
    while (n < count && (n == 0 || tokens + rows[n].count <= CHUNK_TOKENS)) tokens += rows[n++].count;
    return n;
}

int32_t tfm__embed_rows(tfm_model *model, const tfm_encode_row *rows, size_t count,
                        const tfm__embed_plan *plan, float *embeddings, tfm__watch *watch, tfm_error *error) {
    bench b;
    tfm_encoded *encoded;
    int32_t status = make_bench(model, plan, TFM__MIN(count, CHUNK_TOKENS), &b, error);
    tfm__watch inner = {.cancel = watch ? watch->cancel : NULL};
    for (size_t done = 0; done < count && !status;) {
        size_t n = chunk_of(rows + done, count - done);
        if (watch) status = tfm__watch_poll(watch, done, count, error);
        if (!status) status = tfm__encode(model, rows + done, n, NULL, &inner, &encoded, error);
        if (status) break;
        finish(model, encoded, plan, &b, embeddings + done * plan->width);
        tfm__encoded_free(encoded);
        done += n;
    }
    tfm__free(&model->heap, b.memory);
    if (watch && !status) (void)tfm__watch_poll(watch, count, count, NULL);
    return status;
}

int32_t tfm__classify_rows(tfm_model *model, const tfm_encode_row *rows, size_t count, float *logits,
                           tfm_error *error) {
    int32_t status = TFM_OK;
    tfm_encoded *encoded;
    for (size_t done = 0; done < count && !status;) {
        size_t n = chunk_of(rows + done, count - done);
        status = tfm__encode(model, rows + done, n, NULL, NULL, &encoded, error);
        if (status) break;
        status = tfm__encoded_logits(encoded, 0, n, logits + done * model->head.out.rows, error);
        tfm__encoded_free(encoded);
        done += n;
    }
    return status;
}
