/* hollow_model.c - a GGUF file of a known model's shape without its weights: a sparse file, whose holes read
 * as zeros and take no disk; or, with --random, weights drawn at random. What a shape takes and how fast it
 * runs can be tried so before anybody has the model.
 *
 *     cc hollow_model.c -o hollow_model $(pkg-config --cflags --libs tfm)
 *     ./hollow_model llama-2-70b Q4_0 hollow.gguf                    39 GB that take no disk
 *     ./hollow_model gpt-3 Q8_0 layer.gguf --layers 1 --random       one layer of GPT-3, 2 GB, and a small
 * vocabulary tfm bench layer.gguf -t 2 -p 16 -n 4
 *
 * For the Llama and GPT-2 forms of the library's table. Names and keys are those of the GGUF specification.
 */
#define _FILE_OFFSET_BITS 64
#define _POSIX_C_SOURCE 200809L
#include <tfm/tfm.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALIGN 32
#define SMALL_VOCAB 256 /* where layers are left out, the vocabulary is not what is tried */

typedef struct matrix_type {
    const char *name;
    uint32_t number, block, bytes; /* in GGUF; values and bytes of a block */
} matrix_type;
static const matrix_type types[] = {{"F16", 1, 1, 2}, {"Q4_0", 2, 32, 18}, {"Q8_0", 8, 32, 34}};

typedef struct writer {
    FILE *file;
    const matrix_type *type;
    int random, listing; /* listing: the heads of tensors are written; otherwise their values */
    uint64_t tensors, keys, offset, state;
} writer;

/* ---- Numbers and texts, little-endian ---- */

static void put(writer *w, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) fputc((int)(value >> 8 * i & 255), w->file);
}
static void put_text(writer *w, const char *text) {
    put(w, strlen(text), 8);
    fwrite(text, 1, strlen(text), w->file);
}
static void put_u32(writer *w, const char *family, const char *key, uint32_t value) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", family, key);
    put_text(w, name);
    put(w, 4, 4);
    put(w, value, 4);
    w->keys++;
}
static void put_f32(writer *w, const char *family, const char *key, float value) {
    char name[128];
    uint32_t bits;
    memcpy(&bits, &value, 4);
    snprintf(name, sizeof name, "%s.%s", family, key);
    put_text(w, name);
    put(w, 6, 4);
    put(w, bits, 4);
    w->keys++;
}
static void put_string(writer *w, const char *key, const char *value) {
    put_text(w, key);
    put(w, 8, 4);
    put_text(w, value);
    w->keys++;
}

/* ---- Tensors ---- */

/* Whole blocks of small random weights; Park and Miller's generator. */
static void put_random(writer *w, uint64_t blocks) {
    static unsigned char chunk[34 * 4096];
    const matrix_type *t = w->type;
    size_t count = sizeof chunk / t->bytes;
    for (size_t i = 0; i < count * t->bytes; i++) {
        w->state = w->state * 48271 % 2147483647;
        chunk[i] = (unsigned char)(w->state >> 8);
    }
    for (size_t i = 0; i < count; i++) {
        /* F16: +-2^-6 to 2^-5; a block's scale: 2^-12 for bytes, 2^-8 for halves of bytes */
        unsigned char *high = chunk + i * t->bytes + 1;
        if (t->block == 1)
            *high = (unsigned char)((*high & 0x83) | 0x24);
        else {
            high[-1] = 0;
            *high = t->bytes == 34 ? 0x0c : 0x1c;
        }
    }
    for (uint64_t done = 0; done < blocks;) {
        size_t now = blocks - done < count ? (size_t)(blocks - done) : count;
        fwrite(chunk, t->bytes, now, w->file);
        done += now;
    }
}

/* One tensor: [rows, columns] of the type, or with rows 0 a vector of F32, all of one value. */
static void tensor(writer *w, const char *name, long layer, uint64_t rows, uint64_t columns, float value) {
    char text[128];
    uint64_t bytes = rows ? rows * (columns / w->type->block) * w->type->bytes : columns * 4;
    if (layer < 0)
        snprintf(text, sizeof text, "%s", name);
    else
        snprintf(text, sizeof text, "blk.%ld.%s", layer, name);
    if (w->listing) {
        put_text(w, text);
        put(w, rows ? 2 : 1, 4);
        put(w, columns, 8);
        if (rows) put(w, rows, 8);
        put(w, rows ? w->type->number : 0, 4);
        put(w, w->offset, 8);
        w->tensors++;
    } else if (!rows) {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        for (uint64_t i = 0; i < columns; i++) put(w, bits, 4);
    } else if (w->random) {
        put_random(w, bytes / w->type->bytes);
    } else {
        fseeko(w->file, (off_t)bytes, SEEK_CUR); /* a hole */
    }
    uint64_t padding = (ALIGN - bytes % ALIGN) % ALIGN;
    w->offset += bytes + padding;
    if (!w->listing) fseeko(w->file, (off_t)padding, SEEK_CUR);
}

static void norm(writer *w, const char *name, long layer, uint64_t width, int bias) {
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    tensor(w, full, layer, 0, width, 1);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias) tensor(w, full, layer, 0, width, 0);
}
static void linear(writer *w, const char *name, long layer, uint64_t rows, uint64_t columns, int bias) {
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    tensor(w, full, layer, rows, columns, 0);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias) tensor(w, full, layer, 0, rows, 0);
}

static void tensors(writer *w, const tfm_shape *s, int gpt) {
    uint64_t d = s->width, q = (uint64_t)s->heads * s->head_dim, kv = (uint64_t)s->kv_heads * s->head_dim;
    w->offset = 0;
    linear(w, "token_embd", -1, s->vocab, d, 0);
    if (gpt) linear(w, "position_embd", -1, s->context, d, 0);
    for (long i = 0; i < (long)s->layers; i++) {
        norm(w, "attn_norm", i, d, gpt);
        if (gpt) {
            linear(w, "attn_qkv", i, 3 * d, d, 1);
        } else {
            linear(w, "attn_q", i, q, d, 0);
            linear(w, "attn_k", i, kv, d, 0);
            linear(w, "attn_v", i, kv, d, 0);
            linear(w, "ffn_gate", i, s->feed_forward, d, 0);
        }
        linear(w, "attn_output", i, d, q, gpt);
        norm(w, "ffn_norm", i, d, gpt);
        linear(w, "ffn_up", i, s->feed_forward, d, gpt);
        linear(w, "ffn_down", i, d, s->feed_forward, gpt);
    }
    norm(w, "output_norm", -1, d, gpt);
    if (!s->tied) linear(w, "output", -1, s->vocab, d, 0);
}

/* The head twice, as the first run counts keys and tensors; then the values. */
static void write_model(writer *w, const tfm_shape *s, int gpt) {
    const char *family = gpt ? "gpt2" : "llama";
    for (int run = 0; run < 2; run++) {
        uint64_t found = w->tensors, keys = w->keys;
        w->tensors = w->keys = 0;
        rewind(w->file);
        fwrite("GGUF", 1, 4, w->file);
        put(w, 3, 4);
        put(w, found, 8);
        put(w, keys, 8);
        put_string(w, "general.architecture", family);
        put_string(w, "general.name", s->name);
        put_u32(w, family, "block_count", s->layers);
        put_u32(w, family, "context_length", s->context);
        put_u32(w, family, "embedding_length", s->width);
        put_u32(w, family, "feed_forward_length", s->feed_forward);
        put_u32(w, family, "attention.head_count", s->heads);
        put_u32(w, family, "attention.head_count_kv", s->kv_heads);
        put_u32(w, family, "vocab_size", s->vocab);
        put_f32(w, family, gpt ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-5f);
        w->listing = 1;
        tensors(w, s, gpt);
    }
    fseeko(w->file, (ALIGN - ftello(w->file) % ALIGN) % ALIGN, SEEK_CUR);
    w->listing = 0;
    tensors(w, s, gpt);
}

int main(int argc, char **argv) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_shape s = TFM_SHAPE_INIT;
    writer w = {.state = 1};
    unsigned long layers = 0;
    int wrong = argc < 4;
    for (size_t i = 0; !wrong && i < sizeof types / sizeof *types; i++)
        if (!strcmp(argv[2], types[i].name)) w.type = &types[i];
    for (int i = 4; i < argc; i++)
        if (!strcmp(argv[i], "--random"))
            w.random = 1;
        else if (!strcmp(argv[i], "--layers") && i + 1 < argc)
            wrong |= (layers = strtoul(argv[++i], NULL, 10)) == 0;
        else
            wrong = 1;
    if (wrong || !w.type) {
        fprintf(stderr, "usage: hollow_model NAME F16|Q4_0|Q8_0 OUT.gguf [--layers N] [--random]\n");
        return 2;
    }
    int failed = tfm_shape_named(argv[1], &s, &error);
    int gpt = !failed && !strcmp(s.family, "gpt2");
    if (failed || (!gpt && strcmp(s.family, "llama"))) {
        fprintf(stderr, "hollow_model: %s\n", failed ? error.message : "only Llama's and GPT-2's forms");
        return 1;
    }
    if (layers && layers < s.layers) {
        s.layers = (uint32_t)layers;
        s.vocab = SMALL_VOCAB;
    }
    w.file = fopen(argv[3], "wb");
    if (w.file) write_model(&w, &s, gpt);
    /* the end may be a hole, too */
    failed = !w.file || fflush(w.file) || ferror(w.file) || ftruncate(fileno(w.file), ftello(w.file));
    if (w.file && fclose(w.file)) failed = 1;
    if (failed) {
        perror(argv[3]);
        remove(argv[3]);
    }
    return failed;
}
