/* fuzz_safetensors.c - a Hugging Face model of three hostile files, given through a host source.
 *
 * Input: u8 which of the three is opened | u16 size of config.json | u16 size of the weights | config.json,
 * the weights (model.safetensors and a.safetensors), and as the rest model.safetensors.index.json. A file of
 * size 0 is not there. */
#include <stdlib.h>

#include "formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

typedef struct piece {
    const uint8_t *data;
    size_t size;
    struct piece *all; /* the three */
    int *open;         /* sources that are not closed */
} piece;

static uint64_t piece_size(void *user) { return ((piece *)user)->size; }

static int32_t piece_read(void *user, uint64_t offset, void *buffer, size_t count) {
    piece *p = user;
    if (offset > p->size || count > p->size - offset) return 1;
    if (count) memcpy(buffer, p->data + offset, count);
    return 0;
}

static void piece_close(void *user) { --*((piece *)user)->open; }

static int32_t piece_open(void *user, const char *name, tfm_source *out);

static void make_source(piece *p, tfm_source *out) {
    out->struct_size = sizeof *out;
    out->user = p;
    out->size = piece_size;
    out->read_at = piece_read;
    out->map = NULL;
    out->open = piece_open;
    out->close = piece_close;
    ++*p->open;
}

static int32_t piece_open(void *user, const char *name, tfm_source *out) {
    static const char *const names[] = {"config.json", "model.safetensors", "model.safetensors.index.json",
                                        "a.safetensors"};
    static const int which[] = {0, 1, 2, 1};
    piece *all = ((piece *)user)->all;
    for (size_t i = 0; i < TFM__COUNT(names); i++) {
        if (strcmp(name, names[i]) || all[which[i]].size == 0) continue;
        make_source(&all[which[i]], out);
        return 0;
    }
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    piece pieces[3];
    int open = 0;
    size_t first, second;
    tfm__heap heap;
    tfm__store store;
    tfm__container container;
    tfm_source source = TFM_SOURCE_INIT;
    tfm_error error = TFM_ERROR_INIT;
    if (size < 5) return 0;
    first = TFM__MIN((size_t)tfm__u16_le(data + 1), size - 5);
    second = TFM__MIN((size_t)tfm__u16_le(data + 3), size - 5 - first);
    pieces[0] = (piece){data + 5, first, pieces, &open};
    pieces[1] = (piece){data + 5 + first, second, pieces, &open};
    pieces[2] = (piece){data + 5 + first + second, size - 5 - first - second, pieces, &open};
    make_source(&pieces[data[0] % 3], &source);
    tfm__heap_init(&heap, NULL, (uint64_t)256 << 20);
    check(tfm__store_open_source(&store, &heap, &source, NULL, &error) == TFM_OK);
    if (tfm__container_open(&store, &container, &error) == TFM_OK) {
        volatile uint64_t sum = 0;
        tfm__store_close(&store); /* the container does not need it */
        for (size_t t = 0; t < container.tensor_count; t++) {
            const tfm__tensor *tensor = &container.tensors[t];
            check(tfm__container_tensor(&container, tensor->name) == tensor);
            for (uint64_t at = 0; at < tensor->bytes; at++) sum += tensor->data[at];
        }
        (void)sum;
        if (container.format == TFM__FORMAT_HF)
            check(tfm__json_kind(&container.config, tfm__json_root(&container.config)) == TFM__JSON_OBJECT);
        tfm__container_release(&container);
    } else {
        check(error.code < 0 && error.message[0]);
    }
    tfm__store_close(&store);
    check(atomic_load(&heap.live) == 0 && open == 0);
    return 0;
}
