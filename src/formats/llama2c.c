/* llama2c.c - the checkpoints of llama2.c (.bin), versions 0, 1 and 2. Called by container.c.
 *
 * Header: version 0: seven int32 (dim, hidden_dim, layers, heads, kv_heads, vocab_size, seq_len), a negative
 *         vocab_size meaning that the classifier has weights of its own;
 *         versions 1, 2: u32 "ak42", int32 version, the same seven, u8 shared classifier, (2:) int32 group
 * size, zeros up to byte 256. Weights (L: once for each layer, all layers together): 0: embedding, L
 * attention norm, L wq, L wk, L wv, L wo, L ffn norm, L w1, L w2, L w3, final norm, the two tables of
 * rotations [seq_len, head_dim / 2] (not used), classifier if not shared                         all F32 1: L
 * attention norm, L ffn norm, final norm, embedding, L wq ... L wo, L w1, L w2, L w3, classifier  all F32 2:
 * the norms as in 1 in F32, then the matrices in the order of 1, each as int8[n] and F32 scale[n / group]
 * Tensors get the names of GGUF. Version 2 is expanded to F32 in the arena: value * scale is one rounding,
 * whereas Q8_0 would round the scales to half precision, too. Files written in the short time when all scales
 * stood at the end are noticed by scales that are none. Source: export.py of karpathy/llama2.c
 * (legacy_export, version1_export, version2_export). */
#include <stdio.h>

#include "base/threads.h"
#include "formats/parts.h"

#define TFM__LLAMA2C_MAGIC 0x616b3432u
#define TFM__LLAMA2C_HEADER 256 /* bytes, versions 1 and 2 */
#define TFM__LLAMA2C_HEADER0 28

/* Bounds of what is believed; version 0 has no magic number, so they also tell it from other files. */
#define TFM__LLAMA2C_DIM 65536
#define TFM__LLAMA2C_HIDDEN (1 << 20)
#define TFM__LLAMA2C_LAYERS 1024
#define TFM__LLAMA2C_VOCAB (1 << 24)
#define TFM__LLAMA2C_SEQ (1 << 24)

static int32_t int_at(const uint8_t *p) {
    uint32_t bits = tfm__u32_le(p);
    int32_t value;
    memcpy(&value, &bits, 4);
    return value;
}

static bool in_range(int32_t value, int32_t most) { return value >= 1 && value <= most; }

static bool believable(const tfm__llama2c_header *h) {
    return in_range(h->dim, TFM__LLAMA2C_DIM) && in_range(h->hidden_dim, TFM__LLAMA2C_HIDDEN) &&
           in_range(h->layers, TFM__LLAMA2C_LAYERS) && in_range(h->heads, h->dim) &&
           in_range(h->kv_heads, h->heads) && in_range(h->vocab_size, TFM__LLAMA2C_VOCAB) &&
           in_range(h->seq_len, TFM__LLAMA2C_SEQ) && h->dim % h->heads == 0 && h->heads % h->kv_heads == 0 &&
           (h->version != 2 || in_range(h->group_size, 1 << 24));
}

static void take_sizes(const uint8_t *p, tfm__llama2c_header *h) {
    h->dim = int_at(p);
    h->hidden_dim = int_at(p + 4);
    h->layers = int_at(p + 8);
    h->heads = int_at(p + 12);
    h->kv_heads = int_at(p + 16);
    h->vocab_size = int_at(p + 20);
    h->seq_len = int_at(p + 24);
}

bool tfm__llama2c_header_read(const uint8_t *data, uint64_t size, tfm__llama2c_header *header) {
    memset(header, 0, sizeof *header);
    if (size >= TFM__LLAMA2C_HEADER && tfm__u32_le(data) == TFM__LLAMA2C_MAGIC) {
        header->version = int_at(data + 4);
        take_sizes(data + 8, header);
        header->shared_classifier = data[36] != 0;
        if (header->version == 2) header->group_size = int_at(data + 37);
        return (header->version == 1 || header->version == 2) && data[36] <= 1 && believable(header);
    }
    if (size < TFM__LLAMA2C_HEADER0) return false;
    take_sizes(data, header);
    header->shared_classifier = header->vocab_size > 0;
    if (header->vocab_size < 0 && header->vocab_size > INT32_MIN) header->vocab_size = -header->vocab_size;
    return believable(header);
}

/* ---- Walking over the weights -------------------------------------------------------------------------- */

/* Goes through the weights in the order of the file, twice: first only adding up sizes (container NULL),
 * then, when the file is known to be long enough, making tensors. */
typedef struct walk {
    tfm__container *container;
    const tfm__llama2c_header *header;
    uint64_t at;
    bool overflow;
    bool bad_scale;
    tfm__watch watch;
    tfm_error *error;
} walk;

static int32_t skip(walk *w, uint64_t bytes) {
    if (!tfm__add_u64(w->at, bytes, &w->at)) w->overflow = true;
    return TFM_OK;
}

/* rows 0: a vector. layer < 0: a name without a block number. */
static int32_t new_tensor(walk *w, const char *name, int32_t layer, uint64_t rows, uint64_t columns,
                          tfm__tensor **out) {
    char text[64];
    int32_t status = tfm__container_add_tensor(w->container, out, w->error);
    if (status) return status;
    if (layer < 0)
        snprintf(text, sizeof text, "%s.weight", name);
    else
        snprintf(text, sizeof text, "blk.%d.%s.weight", (int)layer, name);
    (*out)->name = tfm__arena_text(&w->container->arena, text, strlen(text));
    if (!(*out)->name) return tfm__fail_memory(w->error, w->container->heap, strlen(text) + 1);
    (*out)->type = TFM__F32;
    (*out)->dims = rows ? 2 : 1;
    (*out)->shape[0] = rows ? rows : columns;
    (*out)->shape[1] = rows ? columns : 0;
    (*out)->bytes = (rows ? rows : 1) * columns * 4; /* the first walk has checked the product */
    (*out)->offset = w->at;
    return TFM_OK;
}

static int32_t plain(walk *w, const char *name, int32_t layer, uint64_t rows, uint64_t columns) {
    tfm__tensor *tensor;
    int32_t status = TFM_OK;
    uint64_t bytes = 0;
    if (!tfm__mul_u64((rows ? rows : 1) * 4, columns, &bytes)) w->overflow = true;
    if (w->container) {
        status = new_tensor(w, name, layer, rows, columns, &tensor);
        if (status) return status;
        tensor->data = w->container->blobs[0].data + w->at;
    }
    return skip(w, bytes);
}

/* Expands one group-quantised matrix: n int8 values, then a scale for each group of them. */
static int32_t expand(walk *w, tfm__tensor *tensor, uint64_t n, uint64_t group) {
    const uint8_t *values = w->container->blobs[0].data + w->at, *scales = values + n;
    uint64_t size = w->container->blobs[0].size, i, end;
    float *out = n <= SIZE_MAX / 4 ? tfm__arena_alloc(&w->container->arena, (size_t)n * 4) : NULL;
    if (!out)
        return tfm__fail_memory(w->error, w->container->heap, n <= SIZE_MAX / 4 ? (size_t)n * 4 : SIZE_MAX);
    for (i = 0; i < n; i = end) {
        float scale = tfm__f32_le(scales + i / group * 4);
        if (!(scale >= 0.0f && scale <= 0x1p100f)) w->bad_scale = true;
        end = TFM__MIN(i + group, n);
        for (; i < end; i++) out[i] = (float)(int8_t)values[i] * scale;
    }
    if (w->bad_scale)
        return tfm__fail_at(
            w->error, TFM_E_FORMAT, w->container->blobs[0].name, tensor->name, w->at + n,
            "its scales are no scales: damaged, or an early version 2 file with all scales at the end");
    tensor->data = (const uint8_t *)out;
    return tfm__watch_poll(&w->watch, w->at, size, w->error);
}

static int32_t matrix(walk *w, const char *name, int32_t layer, uint64_t rows, uint64_t columns) {
    uint64_t n = rows * columns, group = (uint64_t)w->header->group_size; /* at most 2^24 * 2^16 */
    tfm__tensor *tensor;
    int32_t status;
    if (w->header->version != 2) return plain(w, name, layer, rows, columns);
    if (n % group) w->overflow = true; /* the exporter does not write such files */
    if (w->container) {
        status = new_tensor(w, name, layer, rows, columns, &tensor);
        if (status == TFM_OK) status = expand(w, tensor, n, group);
        if (status) return status;
    }
    return skip(w, n + n / group * 4);
}

/* One kind of weight, for all layers. */
static int32_t vectors(walk *w, const char *name) {
    int32_t i, status = TFM_OK;
    for (i = 0; i < w->header->layers && status == TFM_OK; i++)
        status = plain(w, name, i, 0, (uint64_t)w->header->dim);
    return status;
}

static int32_t matrices(walk *w, const char *name, uint64_t rows, uint64_t columns) {
    int32_t i, status = TFM_OK;
    for (i = 0; i < w->header->layers && status == TFM_OK; i++) status = matrix(w, name, i, rows, columns);
    return status;
}

static int32_t attention(walk *w) {
    const tfm__llama2c_header *h = w->header;
    uint64_t dim = (uint64_t)h->dim, kv = dim / (uint64_t)h->heads * (uint64_t)h->kv_heads;
    int32_t status = matrices(w, "attn_q", dim, dim);
    if (status == TFM_OK) status = matrices(w, "attn_k", kv, dim);
    if (status == TFM_OK) status = matrices(w, "attn_v", kv, dim);
    if (status == TFM_OK) status = matrices(w, "attn_output", dim, dim);
    return status;
}

static int32_t feed_forward(walk *w) {
    uint64_t dim = (uint64_t)w->header->dim, hidden = (uint64_t)w->header->hidden_dim;
    int32_t status = matrices(w, "ffn_gate", hidden, dim);               /* w1 */
    if (status == TFM_OK) status = matrices(w, "ffn_down", dim, hidden); /* w2 */
    if (status == TFM_OK) status = matrices(w, "ffn_up", hidden, dim);   /* w3 */
    return status;
}

/* All weights in the order of the file. */
static int32_t walk_weights(walk *w) {
    const tfm__llama2c_header *h = w->header;
    uint64_t dim = (uint64_t)h->dim, vocab = (uint64_t)h->vocab_size;
    int32_t status;
    w->at = h->version == 0 ? TFM__LLAMA2C_HEADER0 : TFM__LLAMA2C_HEADER;
    if (h->version == 0) {
        status = matrix(w, "token_embd", -1, vocab, dim);
        if (status == TFM_OK) status = vectors(w, "attn_norm");
        if (status == TFM_OK) status = attention(w);
        if (status == TFM_OK) status = vectors(w, "ffn_norm");
        if (status == TFM_OK) status = feed_forward(w);
        if (status == TFM_OK) status = plain(w, "output_norm", -1, 0, dim);
        if (status == TFM_OK && !h->shared_classifier)
            status = skip(w, (uint64_t)h->seq_len * (uint64_t)(h->dim / h->heads / 2) * 8);
    } else {
        status = vectors(w, "attn_norm");
        if (status == TFM_OK) status = vectors(w, "ffn_norm");
        if (status == TFM_OK) status = plain(w, "output_norm", -1, 0, dim);
        if (status == TFM_OK) status = matrix(w, "token_embd", -1, vocab, dim);
        if (status == TFM_OK) status = attention(w);
        if (status == TFM_OK) status = feed_forward(w);
    }
    if (status == TFM_OK && !h->shared_classifier) status = matrix(w, "output", -1, vocab, dim);
    return status;
}

/* The file must be exactly as long as its header says. With a shared classifier the tables of rotations are
 * the end of a version 0 file, and may have been left out. */
static int32_t check_size(const walk *w, const tfm__blob *blob, tfm_error *error) {
    const tfm__llama2c_header *h = w->header;
    uint64_t tables = (uint64_t)h->seq_len * (uint64_t)(h->dim / h->heads / 2) * 8;
    if (w->overflow)
        return tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, TFM__NO_OFFSET,
                            "the sizes in the header overflow, or its groups do not fit its matrices");
    if (blob->size == w->at || (h->version == 0 && h->shared_classifier && blob->size == w->at + tables))
        return TFM_OK;
    if (blob->size < w->at)
        return tfm__fail_at(error, TFM_E_TRUNCATED, blob->name, NULL, TFM__NO_OFFSET,
                            "a llama2.c checkpoint of %llu bytes by its header, but it has %llu",
                            (unsigned long long)w->at, (unsigned long long)blob->size);
    return tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, w->at,
                        "a llama2.c checkpoint of %llu bytes by its header, but it has %llu",
                        (unsigned long long)w->at, (unsigned long long)blob->size);
}

int32_t tfm__llama2c_open(tfm__store *store, tfm__container *container, tfm_error *error) {
    const tfm__blob *blob = &container->blobs[0];
    const tfm__read_options *options = &store->options;
    walk w = {NULL, &container->llama2c, 0, false, false, {NULL, NULL, NULL, 0}, error};
    int32_t status;
    container->format = TFM__FORMAT_LLAMA2C;
    if (!tfm__llama2c_header_read(blob->data, blob->size, &container->llama2c)) {
        if (blob->size < TFM__LLAMA2C_HEADER)
            return tfm__fail_at(error, TFM_E_TRUNCATED, blob->name, NULL, 0,
                                "too short for a llama2.c checkpoint");
        if (tfm__u32_le(blob->data) == TFM__LLAMA2C_MAGIC && int_at(blob->data + 4) != 1 &&
            int_at(blob->data + 4) != 2)
            return tfm__fail_at(error, TFM_E_UNSUPPORTED, blob->name, NULL, 4,
                                "llama2.c version %d is not supported (0 to 2 are)",
                                (int)int_at(blob->data + 4));
        return tfm__fail_at(error, TFM_E_FORMAT, blob->name, NULL, 8,
                            "the sizes in the header are not believable");
    }
    w.watch = (tfm__watch){options->progress, options->progress_user, options->cancel, 0};
    status = walk_weights(&w);
    if (status == TFM_OK) status = check_size(&w, blob, error);
    if (status) return status;
    w.container = container;
    return walk_weights(&w);
}
