/* imatrix_make.c - measuring an importance matrix: a text goes through the model, and for every matrix of
 * weights the squares of what its columns are multiplied with are added up. Called by api_quantize.c.
 *
 * The method is that of llama.cpp's llama-imatrix: windows of `context` tokens, one behind the other, each
 * with the token that begins texts in place of its first one; a last window that is not full is left out; the
 * output matrix is not measured. What matrices read comes from inspectors of a session, and from its watch
 * over experts. Sums are doubles, added token by token, so they do not depend on the number of threads. */
#include <stdio.h>

#include "forward.h"
#include "model/bind.h"
#include "quant/quant.h"

/* Squares of one thing that matrices read, for one matrix or for each expert. */
typedef struct squares {
    uint32_t columns, experts; /* experts 1: a matrix for all */
    double *sums;              /* [experts, columns] */
    uint64_t *rows;            /* [experts] that were added */
} squares;

/* What the matrices of a layer read. */
enum {
    READ_ATTENTION = 0,
    READ_MIXED,
    READ_FEED,
    READ_INNER,
    READ_EXPERTS,
    READ_EXPERTS_INNER,
    READ_SHARED_INNER,
    READ_COUNT
};

/* A matrix and what it reads. */
typedef struct measured {
    char name[64];
    const squares *read;
} measured;

typedef struct measurement {
    tfm_model *model;
    tfm_session *session;
    squares *reads; /* [layers, READ_COUNT] */
    measured *list;
    size_t count;
    tfm__arena arena;
    tfm__binder binder;
    const tfm__names *names; /* GGUF's */
    tfm_error *error;
} measurement;

static const struct {
    int role, read;
} readers[] = {
    {TFM__ROLE_Q, READ_ATTENTION},
    {TFM__ROLE_K, READ_ATTENTION},
    {TFM__ROLE_V, READ_ATTENTION},
    {TFM__ROLE_QKV, READ_ATTENTION},
    {TFM__ROLE_ATTN_OUT, READ_MIXED},
    {TFM__ROLE_GATE_UP, READ_FEED},
    {TFM__ROLE_GATE, READ_FEED},
    {TFM__ROLE_UP, READ_FEED},
    {TFM__ROLE_DOWN, READ_INNER},
    {TFM__ROLE_ROUTER, READ_FEED},
    {TFM__ROLE_EXPERT_GATE, READ_EXPERTS},
    {TFM__ROLE_EXPERT_UP, READ_EXPERTS},
    {TFM__ROLE_EXPERT_DOWN, READ_EXPERTS_INNER},
    {TFM__ROLE_SHARED_GATE, READ_FEED},
    {TFM__ROLE_SHARED_UP, READ_FEED},
    {TFM__ROLE_SHARED_DOWN, READ_SHARED_INNER},
    {TFM__ROLE_SHARED_SWITCH, READ_FEED},
};

/* ---- Adding ---- */

static void add_rows(squares *s, uint32_t expert, const float *values, size_t rows, size_t columns,
                     size_t stride) {
    if (!s->sums || columns != s->columns || expert >= s->experts) return;
    double *sums = s->sums + (size_t)expert * columns;
    for (size_t r = 0; r < rows; r++, values += stride)
        for (size_t i = 0; i < columns; i++) sums[i] += (double)values[i] * (double)values[i];
    s->rows[expert] += rows;
}

static int32_t on_event(void *user, const tfm_inspect_event *event) {
    measurement *m = user;
    int read = event->site == TFM_SITE_ATTENTION_NORM ? READ_ATTENTION
               : event->site == TFM_SITE_MIXED        ? READ_MIXED
               : event->site == TFM_SITE_FEED_NORM    ? READ_FEED
                                                      : READ_INNER;
    add_rows(&m->reads[(size_t)event->layer * READ_COUNT + (size_t)read], 0, event->values, event->rows,
             event->columns, event->stride);
    return 0;
}

/* expert -1: the one that every token goes through, which reads what the router reads. */
static void on_expert(void *user, uint32_t layer, int64_t expert, const float *input, const float *inner,
                      size_t rows, size_t columns, size_t inner_columns) {
    measurement *m = user;
    squares *reads = m->reads + (size_t)layer * READ_COUNT;
    if (expert < 0) {
        add_rows(&reads[READ_SHARED_INNER], 0, inner, rows, inner_columns, inner_columns);
        return;
    }
    add_rows(&reads[READ_EXPERTS], (uint32_t)expert, input, rows, columns, columns);
    add_rows(&reads[READ_EXPERTS_INNER], (uint32_t)expert, inner, rows, inner_columns, inner_columns);
}

/* ---- Preparing ---- */

static int32_t no_memory(const measurement *m, size_t bytes) {
    return tfm__fail_memory(m->error, &m->model->heap, bytes);
}

static int32_t make_squares(measurement *m, squares *s, uint32_t columns, uint32_t experts) {
    size_t bytes = (size_t)columns * experts * sizeof *s->sums;
    s->columns = columns;
    s->experts = experts;
    if (s->sums) return TFM_OK;
    s->sums = tfm__arena_alloc(&m->arena, bytes);
    s->rows = tfm__arena_alloc(&m->arena, experts * sizeof *s->rows);
    return s->sums && s->rows ? TFM_OK : no_memory(m, bytes);
}

static int32_t make_read(measurement *m, uint32_t layer, int read) {
    const tfm__config *c = &m->model->config;
    const uint32_t columns[READ_COUNT] = {
        c->width, c->heads * c->value_dim, c->width,         c->feed_forward,
        c->width, c->experts.width,        c->experts.shared};
    bool each = read == READ_EXPERTS || read == READ_EXPERTS_INNER;
    return make_squares(m, &m->reads[(size_t)layer * READ_COUNT + (size_t)read], columns[read],
                        each ? c->experts.count : 1);
}

/* The name that GGUF has for a role: its first alternative. */
static int32_t add_matrix(measurement *m, uint32_t layer, int role, int read) {
    const char *pattern = m->names->role[role];
    measured *entry = &m->list[m->count];
    size_t used = 0;
    if (!pattern) return TFM_OK; /* no GGUF file will ask for it */
    for (; *pattern && *pattern != '|' && used + 24 < sizeof entry->name; pattern++) {
        if (pattern[0] == '%' && pattern[1] == 'd') {
            used += (size_t)snprintf(entry->name + used, sizeof entry->name - used, "%u", layer);
            pattern++;
        } else {
            entry->name[used++] = *pattern;
        }
    }
    snprintf(entry->name + used, sizeof entry->name - used, ".weight");
    entry->read = &m->reads[(size_t)layer * READ_COUNT + (size_t)read];
    m->count++;
    return make_read(m, layer, read);
}

static int32_t list_matrices(measurement *m) {
    tfm_model *model = m->model;
    const tfm__config *c = &model->config;
    const char *architecture = c->family->gguf ? c->family->gguf : c->family->gguf_as;
    if (!architecture)
        return tfm__fail(m->error, TFM_E_UNSUPPORTED, "GGUF has no names for models of the family %s",
                         c->family->name);
    tfm__text text = {architecture, strlen(architecture)};
    bool hf = model->container.format == TFM__FORMAT_HF;
    m->names = tfm__gguf_names(tfm__family_by_gguf(text));
    m->binder = (tfm__binder){.container = &m->model->container,
                              .model = model,
                              .names = hf ? c->family->hf_names : tfm__gguf_names(c->family),
                              .error = m->error};
    tfm__bind_prefix(&m->binder);
    m->reads = tfm__arena_alloc(&m->arena, (size_t)c->layers * READ_COUNT * sizeof *m->reads);
    m->list = tfm__arena_alloc(&m->arena, (size_t)c->layers * TFM__COUNT(readers) * sizeof *m->list);
    if (!m->reads || !m->list) return no_memory(m, (size_t)c->layers * TFM__COUNT(readers) * sizeof *m->list);
    int32_t status = TFM_OK;
    for (uint32_t layer = 0; layer < c->layers; layer++)
        for (size_t i = 0; i < TFM__COUNT(readers) && !status; i++) {
            const tfm__tensor *tensor = tfm__bind_find(&m->binder, readers[i].role, layer, ".weight", false);
            if (!tensor && readers[i].read >= READ_EXPERTS)
                tensor = tfm__bind_find_expert(&m->binder, readers[i].role, layer, 0, ".weight", false);
            if (tensor) status = add_matrix(m, layer, readers[i].role, readers[i].read);
        }
    return status;
}

static int32_t attach(measurement *m) {
    static const int32_t sites[] = {TFM_SITE_ATTENTION_NORM, TFM_SITE_MIXED, TFM_SITE_FEED_NORM,
                                    TFM_SITE_INNER};
    int32_t status = TFM_OK;
    for (size_t i = 0; i < TFM__COUNT(sites) && !status; i++) {
        tfm_inspect_options options = TFM_INSPECT_OPTIONS_INIT;
        options.site = sites[i];
        status = tfm__inspector_attach(m->session, &options, on_event, m, NULL, m->error);
    }
    m->session->expert_watch = (tfm__expert_watch){on_expert, m};
    return status;
}

/* ---- Writing ---- */

static int by_name(const void *context, uint32_t a, uint32_t b) {
    const measured *list = context;
    return strcmp(list[a].name, list[b].name);
}

static bool put_i32(tfm__buffer *out, uint64_t value) {
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> 8 * i);
    return tfm__buffer_append(out, bytes, sizeof bytes);
}

static bool put_f32(tfm__buffer *out, double value) { return put_i32(out, tfm__bits_of_f32((float)value)); }

/* The older form: means times the number of windows, which readers divide by. */
static int32_t write_old(const measurement *m, const uint32_t *order, const char *dataset, uint64_t windows,
                         tfm__buffer *out) {
    bool ok = put_i32(out, m->count);
    for (size_t i = 0; i < m->count && ok; i++) {
        const measured *entry = &m->list[order[i]];
        const squares *s = entry->read;
        size_t length = strlen(entry->name);
        ok = put_i32(out, length) && tfm__buffer_append(out, entry->name, length) && put_i32(out, windows) &&
             put_i32(out, (uint64_t)s->columns * s->experts);
        for (uint32_t e = 0; e < s->experts; e++)
            for (uint32_t k = 0; k < s->columns && ok; k++)
                ok = put_f32(out, s->rows[e] ? s->sums[(size_t)e * s->columns + k] / (double)s->rows[e] *
                                                   (double)windows
                                             : (double)windows);
    }
    ok = ok && put_i32(out, windows) && put_i32(out, strlen(dataset)) &&
         tfm__buffer_append(out, dataset, strlen(dataset));
    return ok ? TFM_OK : no_memory(m, out->size);
}

static int32_t write_gguf(measurement *m, const uint32_t *order, const char *dataset, uint64_t windows,
                          uint32_t context, tfm__buffer *out) {
    tfm__gguf_values values;
    uint64_t data;
    tfm__gguf_tensor *list = tfm__arena_alloc(&m->arena, 2 * m->count * sizeof *list);
    if (!list) return no_memory(m, 2 * m->count * sizeof *list);
    for (size_t i = 0; i < m->count; i++) {
        const measured *entry = &m->list[order[i]];
        const squares *s = entry->read;
        size_t length = strlen(entry->name);
        char *sums = tfm__arena_alloc(&m->arena, length + 16),
             *counts = tfm__arena_alloc(&m->arena, length + 16);
        if (!sums || !counts) return no_memory(m, length);
        snprintf(sums, length + 16, "%s.in_sum2", entry->name);
        snprintf(counts, length + 16, "%s.counts", entry->name);
        list[2 * i] = (tfm__gguf_tensor){.name = sums, .dims = 2, .shape = {s->experts, s->columns}};
        list[2 * i + 1] = (tfm__gguf_tensor){.name = counts, .dims = 2, .shape = {s->experts, 1}};
    }
    tfm__gguf_values_init(&values, out->heap);
    tfm__gguf_put_text(&values, "general.type", "imatrix", 7);
    tfm__gguf_put_array(&values, "imatrix.datasets", TFM__META_STRING, 1);
    tfm__gguf_add_text(&values, dataset, strlen(dataset));
    tfm__gguf_put_u32(&values, "imatrix.chunk_count", (uint32_t)windows);
    tfm__gguf_put_u32(&values, "imatrix.chunk_size", context);
    int32_t status = tfm__gguf_head(&values, list, 2 * m->count, out, &data, m->error);
    tfm__gguf_values_free(&values);
    bool ok = true;
    for (size_t i = 0; i < m->count && !status && ok; i++) {
        const squares *s = m->list[order[i]].read;
        for (size_t k = 0; k < (size_t)s->experts * s->columns && ok; k++) ok = put_f32(out, s->sums[k]);
        while (ok && out->size % TFM__GGUF_ALIGNMENT) ok = tfm__buffer_append(out, "", 1);
        for (uint32_t e = 0; e < s->experts && ok; e++) ok = put_f32(out, (double)s->rows[e]);
        while (ok && out->size % TFM__GGUF_ALIGNMENT) ok = tfm__buffer_append(out, "", 1);
    }
    return status || ok ? status : no_memory(m, out->size);
}

static int32_t write_matrix(measurement *m, const char *path, const tfm_imatrix_options *options,
                            uint64_t windows, uint32_t context) {
    tfm__heap *heap = &m->model->heap;
    const char *dataset = options->dataset ? options->dataset : "";
    uint32_t *order = tfm__arena_alloc(&m->arena, (m->count + 1) * sizeof *order);
    tfm__buffer out;
    tfm__writer writer;
    if (!order) return no_memory(m, m->count * sizeof *order);
    for (size_t i = 0; i < m->count; i++) order[i] = (uint32_t)i;
    tfm__sort(order, m->count, by_name, m->list);
    tfm__buffer_init(&out, heap);
    int32_t status = options->format == TFM_IMATRIX_DAT
                         ? write_old(m, order, dataset, windows, &out)
                         : write_gguf(m, order, dataset, windows, context, &out);
    if (!status) status = tfm__writer_open(&writer, heap, path, m->error);
    if (!status) {
        status = tfm__writer_write(&writer, out.data, out.size, m->error);
        if (status)
            tfm__writer_abandon(&writer);
        else
            status = tfm__writer_finish(&writer, m->error);
    }
    tfm__buffer_free(&out);
    return status;
}

/* ---- The whole ---- */

/* Window after window through the session. */
static int32_t measure(measurement *m, const tfm_token *tokens, size_t count, uint32_t context, tfm_token bos,
                       const tfm_imatrix_options *options, uint64_t *windows) {
    tfm__watch watch = {
        .progress = options->progress, .progress_user = options->progress_user, .cancel = options->cancel};
    tfm__watch silent = {.cancel = options->cancel};
    tfm_token *window = tfm__arena_alloc(&m->arena, context * sizeof *window);
    size_t lead = bos >= 0, total = count + lead;
    if (!window) return no_memory(m, context * sizeof *window);
    for (size_t start = 0; start + context <= total; start += context, ++*windows) {
        int32_t status = tfm__watch_poll(&watch, start, total, m->error);
        for (size_t i = 0; i < context; i++) window[i] = start + i < lead ? bos : tokens[start + i - lead];
        if (lead) window[0] = bos;
        m->session->position = 0;
        if (!status) status = tfm__forward(m->session, window, context, TFM_LOGITS_NONE, &silent, m->error);
        if (status) return status;
    }
    return tfm__watch_poll(&watch, total, total, m->error);
}

int32_t tfm__imatrix_measure(tfm_model *model, const tfm_token *tokens, size_t count, const char *path,
                             const tfm_imatrix_options *options, tfm_error *error) {
    measurement m = {.model = model, .error = error};
    uint32_t context = options->context;
    tfm_token bos = -1;
    uint64_t windows = 0;
    if (model->tokenizer && options->add_bos != TFM_NO) {
        tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
        tfm__tokenizer_info(model->tokenizer, &info);
        if (info.adds_bos || options->add_bos == TFM_YES) bos = info.bos;
    }
    if (count + (bos >= 0) < context)
        return tfm__fail(error, TFM_E_ARGUMENT, "%zu tokens are too few for one window of %u", count,
                         context);
    tfm__arena_init(&m.arena, &model->heap);
    int32_t status = list_matrices(&m);
    if (!status) status = tfm__session_new(model, context, 512, model->cache_type, &m.session, error);
    if (!status) status = attach(&m);
    if (!status) status = measure(&m, tokens, count, context, bos, options, &windows);
    if (!status) status = write_matrix(&m, path, options, windows, context);
    tfm_session_destroy(m.session);
    tfm__arena_free(&m.arena);
    return status;
}
