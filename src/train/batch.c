/* batch.c - rows of tokens as a pass: each row a stretch of its own, and for each position the token behind
 * it. */
#include "train/trainer.h"

size_t tfm__batch_positions(const tfm_train_batch *batch) {
    return batch->rows * (batch->length - 1) > 1 ? batch->length - 1 : batch->length;
}

int32_t tfm__batch_check(const tfm_trainer *t, const tfm_train_batch *batch, size_t index, tfm_error *error) {
    const tfm__config *c = &t->model.config;
    size_t count;
    if (!batch->tokens || batch->rows == 0 || batch->length < 2)
        return tfm__fail(error, TFM_E_ARGUMENT, "batch %zu: %zu rows of %zu tokens%s", index, batch->rows,
                         batch->length, batch->tokens ? "; a row needs two" : " at NULL");
    if (!tfm__mul_size(batch->rows, batch->length, &count) || count > INT32_MAX)
        return tfm__fail(error, TFM_E_ARGUMENT, "batch %zu: %zu rows of %zu tokens are too many", index,
                         batch->rows, batch->length);
    size_t most = c->positions == TFM__POSITIONS_LEARNED ? c->context : TFM__MAX_CONTEXT;
    if (tfm__batch_positions(batch) > most)
        return tfm__fail(error, TFM_E_CONTEXT,
                         "batch %zu: rows of %zu tokens, the model has positions for %zu", index,
                         batch->length, most);
    for (size_t i = 0; i < count; i++)
        if (batch->tokens[i] < 0 || (uint32_t)batch->tokens[i] >= c->vocab)
            return tfm__fail(error, TFM_E_TOKEN,
                             "batch %zu: token %zu of row %zu is %d, the vocabulary has %u", index,
                             i % batch->length, i / batch->length, (int)batch->tokens[i], c->vocab);
    return TFM_OK;
}

uint64_t tfm__batch_targets(const tfm_train_batch *batch) {
    uint64_t count = 0;
    for (size_t r = 0; r < batch->rows; r++)
        for (size_t i = 1; i < batch->length; i++)
            count += !batch->mask || batch->mask[r * batch->length + i] != 0;
    return count;
}

void tfm__batch_drop(tfm_trainer *t) {
    if (t->session) tfm__session_free(t->session);
    tfm__free(&t->model.heap, t->ids);
    tfm__free(&t->model.heap, t->targets);
    tfm__free(&t->model.heap, t->stretches);
    tfm__free(&t->model.heap, t->stretch_index);
    tfm__free(&t->model.heap, t->tape.layers);
    tfm__free(&t->model.heap, t->memory);
    t->session = NULL;
    t->ids = t->targets = NULL;
    t->stretches = NULL;
    t->stretch_index = NULL;
    t->tape.layers = NULL;
    t->memory = NULL;
    t->tokens = t->rows = t->pages = 0;
}

/* Everything for `tokens` tokens in `rows` rows of `pages` pages together. */
static int32_t make_room(tfm_trainer *t, size_t tokens, size_t rows, size_t pages, tfm_error *error) {
    tfm__carving measured = {0}, carved = {0};
    t->ids = tfm__alloc_array(&t->model.heap, tokens, sizeof *t->ids);
    t->targets = tfm__alloc_array(&t->model.heap, tokens, sizeof *t->targets);
    t->stretches = tfm__alloc_array(&t->model.heap, rows, sizeof *t->stretches);
    t->stretch_index = tfm__alloc_array(&t->model.heap, tokens, sizeof *t->stretch_index);
    t->tape.layers = tfm__alloc_array(&t->model.heap, t->model.config.layers, sizeof *t->tape.layers);
    if (!t->ids || !t->targets || !t->stretches || !t->stretch_index || !t->tape.layers)
        return tfm__fail_memory(error, &t->model.heap, tokens * sizeof *t->ids);
    tfm__tape_carve(&t->tape, &t->model, tokens, &measured);
    tfm__backward_carve(&t->backward, &t->model, tokens, &measured);
    if (!measured.overflow) carved.memory = t->memory = tfm__alloc(&t->model.heap, measured.used);
    if (!t->memory)
        return tfm__fail_memory(error, &t->model.heap, measured.overflow ? SIZE_MAX : measured.used);
    tfm__tape_carve(&t->tape, &t->model, tokens, &carved);
    tfm__backward_carve(&t->backward, &t->model, tokens, &carved);
    t->backward.gradients = &t->gradients_of;
    int32_t status =
        tfm__session_new(&t->model, TFM__MAX_CONTEXT, (uint32_t)tokens, TFM__F32, &t->session, error);
    if (status) return status;
    t->session->page_layers = 1;
    return tfm__session_reserve(t->session, pages * TFM__PAGE_TOKENS, tokens, 0, error);
}

int32_t tfm__batch_reserve(tfm_trainer *t, const tfm_train_batch *batches, size_t count, tfm_error *error) {
    size_t tokens = t->tokens, rows = t->rows, pages = t->pages;
    for (size_t i = 0; i < count; i++) {
        size_t positions = tfm__batch_positions(&batches[i]);
        tokens = TFM__MAX(tokens, batches[i].rows * positions);
        rows = TFM__MAX(rows, batches[i].rows);
        pages = TFM__MAX(pages, batches[i].rows * ((positions + TFM__PAGE_TOKENS - 1) / TFM__PAGE_TOKENS));
    }
    if (tokens <= t->tokens && rows <= t->rows && pages <= t->pages) return TFM_OK;
    tfm__batch_drop(t);
    int32_t status = make_room(t, tokens, rows, pages, error);
    if (status) {
        tfm__batch_drop(t);
        return status;
    }
    t->tokens = tokens;
    t->rows = rows;
    t->pages = pages;
    return TFM_OK;
}

void tfm__batch_lay(tfm_trainer *t, const tfm_train_batch *batch, tfm__pass *pass) {
    size_t positions = tfm__batch_positions(batch), length = batch->length, at = 0, page = 0;
    for (size_t r = 0; r < batch->rows; r++) {
        const tfm_token *row = batch->tokens + r * length;
        t->stretches[r] = (tfm__stretch){.first = at, .tokens = positions, .page = page};
        page += (positions + TFM__PAGE_TOKENS - 1) / TFM__PAGE_TOKENS;
        for (size_t i = 0; i < positions; i++, at++) {
            bool counts = i + 1 < length && (!batch->mask || batch->mask[r * length + i + 1]);
            t->ids[at] = row[i];
            t->targets[at] = counts ? row[i + 1] : -1;
            t->stretch_index[at] = (uint32_t)r;
        }
    }
    *pass = (tfm__pass){.session = t->session,
                        .model = &t->model,
                        .config = &t->model.config,
                        .kernels = &t->model.kernels,
                        .s = &t->session->scratch,
                        .pool = t->model.pool,
                        .ids = t->ids,
                        .tokens = at,
                        .stretches = t->stretches,
                        .stretch_count = batch->rows,
                        .stretch_index = t->stretch_index};
}
