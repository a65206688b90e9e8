/* encode.c - the story of whole rows: token ids in, a vector for every token out.
 *
 *     x = embed(tokens) + types + positions                [T, D]
 *     for each layer: attention and feed-forward, as forward.c tells it; in attention a row's tokens see each
 *         other, and nobody of another row
 *     hidden = norm(x), or x where a layer ends with a norm [T, D]
 *     pooled = tanh(Wp first token's hidden)               [R, D]
 *     logits = Wout norm(activation(Wd hidden))            [T or R, outputs], when asked for
 *
 * T tokens of all R rows, one row behind the other: there is no padding to compute. As many whole rows go
 * together as make a batch; keys and values live in pages that one layer after another uses, every row from a
 * page of its own on, so that a row's attention is cut into pages as if it were alone. */
#include "encode.h"

#include "base/elementary.h"
#include "blocks/blocks.h"
#include "forward.h"

#define BATCH_TOKENS 512 /* of rows that go together, unless a row alone is longer */
#define HEAD_ROWS 64     /* rows of a head computed at once */

/* What a call works with. All arrays lie in one block. */
typedef struct encoding {
    tfm_encoded *encoded;
    tfm_session *work;       /* pages and scratch */
    tfm_token *ids;          /* [tokens] of all rows */
    int32_t *types;          /* [tokens], or NULL: no row has any */
    tfm__stretch *stretches; /* [rows], their places counted inside each batch */
    uint32_t *stretch_index; /* [tokens], likewise */
    size_t longest_batch, most_pages;
    bool one_by_one; /* rows are not run together: somebody looks at them */
} encoding;

int32_t tfm__check_rows(const tfm_model *model, const tfm_encode_row *rows, size_t count, tfm_error *error) {
    const tfm__config *c = &tfm__encoder_of(model)->config;
    uint32_t types = TFM__MAX(c->types, 1);
    size_t total = 0, most = tfm__has_position_rows(c) ? c->context : TFM__MAX_CONTEXT;
    for (size_t r = 0; r < count; r++) {
        if (!rows[r].tokens || rows[r].count == 0)
            return tfm__fail(error, TFM_E_ARGUMENT, "row %zu has no tokens", r);
        if (rows[r].count > most)
            return tfm__fail(error, TFM_E_CONTEXT, "row %zu has %zu tokens, the model has positions for %zu",
                             r, rows[r].count, most);
        if (!tfm__add_size(total, rows[r].count, &total) || total > UINT32_MAX)
            return tfm__fail(error, TFM_E_ARGUMENT, "more than %u tokens in one call", UINT32_MAX);
        for (size_t i = 0; i < rows[r].count; i++) {
            tfm_token id = rows[r].tokens[i];
            if (id < 0 || (uint32_t)id >= c->vocab)
                return tfm__fail(error, TFM_E_TOKEN, "token %zu of row %zu is %d, the vocabulary has %u", i,
                                 r, (int)id, c->vocab);
            if (rows[r].types && (rows[r].types[i] < 0 || (uint32_t)rows[r].types[i] >= types))
                return tfm__fail(error, TFM_E_ARGUMENT, "type %zu of row %zu is %d, the model has %u", i, r,
                                 (int)rows[r].types[i], types);
        }
    }
    return TFM_OK;
}

/* ---- Preparing ---- */

/* Rows from `first` on that go together; their tokens and pages. */
static size_t batch_of(const encoding *e, const tfm_encode_row *rows, size_t count, size_t first,
                       size_t *tokens, size_t *pages) {
    size_t end = first;
    *tokens = *pages = 0;
    while (end < count && (end == first || (!e->one_by_one && *tokens + rows[end].count <= BATCH_TOKENS))) {
        *tokens += rows[end].count;
        *pages += (rows[end].count + TFM__PAGE_TOKENS - 1) / TFM__PAGE_TOKENS;
        end++;
    }
    return end - first;
}

/* Lays the rows out one behind the other. */
static void lay_rows(encoding *e, const tfm_encode_row *rows, size_t count) {
    size_t tokens, pages, done = 0;
    for (size_t first = 0; first < count;) {
        size_t end = first + batch_of(e, rows, count, first, &tokens, &pages), at = 0, page = 0;
        e->longest_batch = TFM__MAX(e->longest_batch, tokens);
        e->most_pages = TFM__MAX(e->most_pages, pages);
        for (size_t r = first; r < end; r++) {
            size_t n = rows[r].count;
            e->encoded->starts[r] = done;
            e->stretches[r] = (tfm__stretch){.first = at, .tokens = n, .page = page};
            memcpy(e->ids + done, rows[r].tokens, n * sizeof *e->ids);
            if (e->types && rows[r].types) memcpy(e->types + done, rows[r].types, n * sizeof *e->types);
            for (size_t i = 0; i < n; i++) e->stretch_index[done + i] = (uint32_t)(r - first);
            done += n;
            at += n;
            page += (n + TFM__PAGE_TOKENS - 1) / TFM__PAGE_TOKENS;
        }
        first = end;
    }
    e->encoded->starts[count] = done;
}

static float *new_floats(tfm__heap *heap, size_t rows, size_t columns, int32_t *status, tfm_error *error) {
    size_t bytes;
    if (*status) return NULL;
    float *values = NULL;
    bool fits = tfm__mul_size(rows, columns, &bytes) && tfm__mul_size(bytes, sizeof(float), &bytes);
    if (fits) values = tfm__alloc(heap, bytes);
    if (!values) *status = tfm__fail_memory(error, heap, fits ? bytes : SIZE_MAX);
    return values;
}

static int32_t make_encoded(tfm_model *model, size_t rows, size_t tokens, bool keep, tfm_encoded **out,
                            tfm_error *error) {
    const tfm_model *tower = tfm__encoder_of(model);
    const tfm__config *c = &tower->config;
    tfm_encoded *encoded = tfm__alloc_zero(&model->heap, sizeof *encoded);
    int32_t status = TFM_OK;
    *out = encoded;
    if (!encoded) return tfm__fail_memory(error, &model->heap, sizeof *encoded);
    encoded->model = model;
    atomic_fetch_add(&model->references, 1);
    encoded->rows = rows;
    encoded->tokens = tokens;
    encoded->starts = tfm__alloc_array(&model->heap, rows + 1, sizeof *encoded->starts);
    if (!encoded->starts) return tfm__fail_memory(error, &model->heap, (rows + 1) * sizeof *encoded->starts);
    encoded->hidden = new_floats(&model->heap, tokens, c->width, &status, error);
    if (tower->pooler.data) encoded->pooled = new_floats(&model->heap, rows, c->width, &status, error);
    if (keep) encoded->layers = new_floats(&model->heap, tokens * (c->layers + 1u), c->width, &status, error);
    return status;
}

/* Everything that a call needs before its first number. */
static int32_t prepare(encoding *e, tfm_model *model, const tfm_encode_row *rows, size_t count,
                       const tfm_encode_options *options, tfm_error *error) {
    size_t tokens = 0;
    bool typed = false;
    for (size_t r = 0; r < count; r++) {
        tokens += rows[r].count;
        typed = typed || rows[r].types;
    }
    e->one_by_one = options && options->inspector_count;
    int32_t status = make_encoded(model, count, tokens, options && options->keep_layers, &e->encoded, error);
    if (status) return status;
    e->stretches = tfm__alloc_array(&model->heap, count, sizeof *e->stretches);
    e->ids = tfm__alloc_array(&model->heap, tokens, sizeof *e->ids);
    e->stretch_index = tfm__alloc_array(&model->heap, tokens, sizeof *e->stretch_index);
    if (typed) e->types = tfm__alloc_array(&model->heap, tokens, sizeof *e->types);
    if (!e->stretches || !e->ids || !e->stretch_index || (typed && !e->types))
        return tfm__fail_memory(error, &model->heap, tokens * sizeof *e->ids);
    lay_rows(e, rows, count);
    status =
        tfm__session_new(tfm__encoder_of(model), TFM__MAX_CONTEXT, BATCH_TOKENS, TFM__F32, &e->work, error);
    if (status) return status;
    e->work->page_layers = 1;
    for (size_t i = 0; options && i < options->inspector_count && !status; i++)
        status = tfm__inspector_attach(e->work, options->inspectors[i].options, options->inspectors[i].fn,
                                       options->inspectors[i].user, NULL, error);
    if (status) return status;
    return tfm__session_reserve(e->work, e->most_pages * TFM__PAGE_TOKENS, e->longest_batch, 0, error);
}

/* ---- The pass ---- */

/* Keeps the states after `layer` layers, where they are wanted. */
static void keep_states(const tfm_encoded *encoded, const tfm__pass *pass, size_t start, uint32_t layer,
                        const float *states) {
    size_t width = pass->config->width;
    if (encoded->layers)
        memcpy(encoded->layers + (layer * encoded->tokens + start) * width, states,
               pass->tokens * width * sizeof *states);
}

/* tanh(Wp h) of each row's first token. */
static void pool(tfm__pass *pass, const float *hidden, float *pooled) {
    size_t width = pass->config->width;
    for (size_t r = 0; r < pass->stretch_count; r++)
        memcpy(pass->s->normed + r * width, hidden + pass->stretches[r].first * width,
               width * sizeof *hidden);
    const tfm__job job = {&pass->model->pooler, pooled};
    tfm__linear(pass, pass->s->normed, pass->stretch_count, &job, 1); /* [R, D] */
    for (size_t i = 0; i < pass->stretch_count * width; i++) pooled[i] = tfm__tanh(pooled[i]);
}

/* One batch of rows: their tokens begin at `start` of all, the rows themselves at `row`. */
static int32_t encode_batch(encoding *e, tfm__pass *pass, size_t start, size_t row, tfm__watch *watch,
                            tfm_error *error) {
    const tfm__config *c = pass->config;
    const tfm_model *model = pass->model;
    float *hidden = e->encoded->hidden + start * c->width;

    tfm__embed(pass); /* [T, D] */
    tfm__show(pass, TFM_SITE_EMBEDDING, 0, pass->s->stream, pass->tokens, c->width);
    keep_states(e->encoded, pass, start, 0, pass->s->stream);
    tfm__prepare_positions(pass);
    for (uint32_t layer = 0; layer < c->layers; layer++) {
        uint64_t part = pass->tokens * layer / c->layers;
        int32_t status = watch ? tfm__watch_poll(watch, start + part, e->encoded->tokens, error) : TFM_OK;
        if (status) return status;
        tfm__forward_layer(pass, layer); /* [T, D] */
        status = tfm__inspected(pass, error);
        if (status) return status;
        if (layer + 1 < c->layers) keep_states(e->encoded, pass, start, layer + 1, pass->s->stream);
    }
    if (model->output_norm.weight)
        tfm__norm_rows(pass, &model->output_norm, pass->s->stream, hidden, pass->tokens); /* [T, D] */
    else
        memcpy(hidden, pass->s->stream, pass->tokens * c->width * sizeof *hidden);
    tfm__show(pass, TFM_SITE_OUTPUT_NORM, c->layers, hidden, pass->tokens, c->width);
    keep_states(e->encoded, pass, start, c->layers, hidden);
    if (e->encoded->pooled) pool(pass, hidden, e->encoded->pooled + row * c->width); /* [R, D] */
    return tfm__inspected(pass, error);
}

static tfm__pass make_pass(tfm_model *model, tfm_session *work) {
    return (tfm__pass){.session = work,
                       .model = model,
                       .config = &model->config,
                       .kernels = &model->kernels,
                       .s = &work->scratch,
                       .pool = model->pool};
}

int32_t tfm__encode(tfm_model *model, const tfm_encode_row *rows, size_t count,
                    const tfm_encode_options *options, tfm__watch *watch, tfm_encoded **out,
                    tfm_error *error) {
    encoding e = {0};
    size_t start = 0, pages;
    tfm_model *tower = tfm__encoder_of(model);
    int32_t status = prepare(&e, model, rows, count, options, error);
    for (size_t row = 0; row < count && !status;) {
        tfm__pass pass = make_pass(tower, e.work);
        pass.stretch_count = batch_of(&e, rows, count, row, &pass.tokens, &pages);
        pass.stretches = e.stretches + row;
        pass.stretch_index = e.stretch_index + start;
        pass.ids = e.ids + start;
        pass.types = e.types ? e.types + start : NULL;
        e.work->inspection.row = row;
        status = encode_batch(&e, &pass, start, row, watch, error);
        row += pass.stretch_count;
        start += pass.tokens;
    }
    tfm__session_drop(e.work);
    tfm__free(&model->heap, e.stretches);
    tfm__free(&model->heap, e.ids);
    tfm__free(&model->heap, e.stretch_index);
    tfm__free(&model->heap, e.types);
    if (status) {
        tfm__encoded_free(e.encoded);
        return status;
    }
    if (watch) (void)tfm__watch_poll(watch, start, start, NULL); /* says that it is done; too late to stop */
    *out = e.encoded;
    return TFM_OK;
}

void tfm__encoded_free(tfm_encoded *encoded) {
    if (!encoded) return;
    tfm_model *model = encoded->model;
    tfm__free(&model->heap, encoded->starts);
    tfm__free(&model->heap, encoded->hidden);
    tfm__free(&model->heap, encoded->pooled);
    tfm__free(&model->heap, encoded->layers);
    tfm__free(&model->heap, encoded);
    tfm_model_release(model);
}

/* ---- Heads ---- */

int tfm__head_scope(const tfm_model *model) {
    return model->head.out.data ? model->config.head->scope : TFM__HEAD_NONE;
}

/* What the head reads for token or row i: a hidden state, the pooler's output, or the mean of a row. [D] */
static void head_input(const tfm_encoded *encoded, size_t i, float *out) {
    const tfm_model *model = encoded->model;
    const tfm__config *c = &model->config;
    size_t width = c->width, first = encoded->starts[i * (c->head->scope == TFM__HEAD_ROWS)], n = 1;
    if (c->head->pooled) {
        memcpy(out, encoded->pooled + i * width, width * sizeof *out);
        return;
    }
    if (c->head->scope == TFM__HEAD_TOKENS)
        first = i;
    else if (c->head_mean)
        n = encoded->starts[i + 1] - first;
    memcpy(out, encoded->hidden + first * width, width * sizeof *out);
    for (size_t t = 1; t < n; t++) model->kernels.add(out, out, encoded->hidden + (first + t) * width, width);
    if (n > 1) model->kernels.scale(out, out, 1.0f / (float)n, width);
}

void tfm__head_activate(const tfm_model *model, int activation, float *x, size_t n) {
    const tfm__kernels *kernels = &model->kernels;
    switch (activation) {
    case TFM__HEAD_TANH:
        for (size_t i = 0; i < n; i++) x[i] = tfm__tanh(x[i]);
        break;
    case TFM__HEAD_RELU:
        kernels->activate[TFM__RELU](x, x, n);
        break;
    case TFM__HEAD_GELU:
        kernels->activate[TFM__GELU_ERF](x, x, n);
        break;
    case TFM__HEAD_MODEL:
        kernels->activate[model->config.activation](x, x, n);
        break;
    default:
        break;
    }
}

/* out(norm(activation(dense x))) of a few rows. */
static void run_head(tfm__pass *pass, float *logits) {
    const tfm__head *head = &pass->model->head;
    float *x = pass->s->normed;
    const tfm__job dense = {&head->dense, pass->s->delta}, out = {&head->out, logits};
    if (head->dense.data) {
        tfm__linear(pass, x, pass->tokens, &dense, 1); /* [T or R, D] */
        x = pass->s->delta;
        tfm__head_activate(pass->model, pass->config->head->activation, x,
                           pass->tokens * pass->config->width);
    }
    if (head->norm.weight) tfm__norm_rows(pass, &head->norm, x, x, pass->tokens);
    tfm__linear(pass, x, pass->tokens, &out, 1); /* [T or R, outputs] */
}

int32_t tfm__encoded_logits(const tfm_encoded *encoded, size_t first, size_t count, float *logits,
                            tfm_error *error) {
    tfm_model *model = encoded->model;
    tfm_session *work = NULL;
    int32_t status = tfm__session_new(model, TFM__MAX_CONTEXT, HEAD_ROWS, TFM__F32, &work, error);
    if (!status) status = tfm__session_reserve(work, 0, TFM__MIN(count, HEAD_ROWS), 0, error);
    for (size_t done = 0; done < count && !status;) {
        tfm__pass pass = make_pass(model, work);
        pass.tokens = TFM__MIN(count - done, HEAD_ROWS);
        for (size_t i = 0; i < pass.tokens; i++)
            head_input(encoded, first + done + i, work->scratch.normed + i * model->config.width);
        run_head(&pass, logits + done * model->head.out.rows);
        done += pass.tokens;
    }
    tfm__session_drop(work);
    return status;
}
