/* tiny_model.h - small models made in memory, so that the tests of the core need no files.
 *
 * tiny_make writes a GGUF file of version 3: a tokenizer of 300 pieces (byte tokens, letters, a few words, an
 * end of turn) and random weights, of the family, sizes and number type that the caller wants. With `script`
 * the model says exactly that: position p gives the token script[p], whatever was read. It is a GPT-2 whose
 * attention and feed-forward add nothing and whose position p is row p + 1 of a Hadamard matrix; these rows
 * are orthogonal, so the output row of a token, the sum of the rows of its positions, answers with 64 at
 * those and with 0 elsewhere. Single keys and tensors can be left out or made wrong, for the tests of hostile
 * files. */
#ifndef TFM_TESTS_TINY_MODEL_H
#define TFM_TESTS_TINY_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/dtype.h"
#include "base/rng.h"
#include "tfm/tfm.h"

#define TINY_VOCAB 300
#define TINY_SCRIPT_WIDTH 64
#define TINY_SCRIPT_CONTEXT 63
#define TINY_UNKNOWN 0
#define TINY_BOS 1
#define TINY_EOS 2
#define TINY_BYTE 3     /* + the byte */
#define TINY_SPACE 259  /* a word mark alone */
#define TINY_LETTER 260 /* + 0 .. 25 */
#define TINY_WORDS 286

/* From TINY_WORDS on; the mark in front of a word is a space in the text. */
static const char *const tiny_words[] = {
    "th", "the", "\xe2\x96\x81the", "ab",         "abc",      "in",      "END",
    "EN", "D!",  "\xc3\xa9",        "x\xc3\xa9y", "<|turn|>", "<|mark|>"};
#define TINY_THE (TINY_WORDS + 2)
#define TINY_AB (TINY_WORDS + 3)
#define TINY_ABC (TINY_WORDS + 4)
#define TINY_END_TEXT (TINY_WORDS + 6) /* the three letters, not an end token */
#define TINY_EN (TINY_WORDS + 7)
#define TINY_D (TINY_WORDS + 8)
#define TINY_E_ACUTE (TINY_WORDS + 9)
#define TINY_XEY (TINY_WORDS + 10)
#define TINY_TURN (TINY_WORDS + 11) /* control: ends an answer */
#define TINY_MARK (TINY_WORDS + 12) /* control: does not */

typedef struct tiny_spec {
    const char *family; /* "llama", "gemma3", "gpt2", ...; NULL: "llama" */
    uint32_t type;      /* of the matrices: TFM__F32, TFM__F16, TFM__Q8_0 */
    uint64_t seed;
    uint32_t layers, width, heads, kv_heads, feed_forward, vocab, context, window; /* 0: a default */
    uint32_t experts;                                                              /* 0: none; 2 are used */
    bool no_tokenizer;
    const tfm_token *script; /* [script_count], at most TINY_SCRIPT_CONTEXT; sets family and sizes */
    size_t script_count;
    /* one thing wrong */
    const char *drop;  /* a key (without "<family>.") or a tensor that is left out */
    const char *key;   /* a number that is replaced ... */
    uint32_t key_type; /* ... by one of this type: TFM__META_* */
    double key_value;
    const char *tensor;       /* a tensor that gets another type or shape */
    uint32_t tensor_type;     /* TFM__F32: as it is */
    uint64_t tensor_shape[2]; /* innermost first, 0: as it is */
} tiny_spec;

typedef struct tiny_file {
    uint8_t *data;
    size_t size, described; /* everything before the tensors' data */
} tiny_file;

typedef struct tiny_writer {
    const tiny_spec *spec;
    const char *family;
    uint8_t *data;
    size_t size, capacity;
    uint8_t *infos, *values;
    size_t infos_size, values_size, values_capacity, infos_capacity;
    uint64_t metas, tensors;
    bool key_written; /* the one of the spec */
    tfm__rng rng;
} tiny_writer;

/* ---- Bytes ------------------------------------------------------------------------------------------------
 */

static inline void tiny_grow(uint8_t **data, size_t *capacity, size_t needed) {
    if (needed <= *capacity) return;
    *capacity = 2 * needed + 1024;
    *data = realloc(*data, *capacity);
    if (!*data) abort();
}
static inline void tiny_put(tiny_writer *w, const void *bytes, size_t count) {
    tiny_grow(&w->data, &w->capacity, w->size + count);
    if (count) memcpy(w->data + w->size, bytes, count);
    w->size += count;
}
static inline void tiny_u32(tiny_writer *w, uint32_t v) {
    uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    tiny_put(w, b, 4);
}
static inline void tiny_u64(tiny_writer *w, uint64_t v) {
    tiny_u32(w, (uint32_t)v);
    tiny_u32(w, (uint32_t)(v >> 32));
}
static inline void tiny_text(tiny_writer *w, const char *text) {
    tiny_u64(w, strlen(text));
    tiny_put(w, text, strlen(text));
}

/* ---- Metadata ---------------------------------------------------------------------------------------------
 */

enum {
    TINY_U8 = 0,
    TINY_U32 = 4,
    TINY_I32 = 5,
    TINY_F32 = 6,
    TINY_BOOL = 7,
    TINY_STRING = 8,
    TINY_ARRAY = 9,
    TINY_U64 = 10
};

static inline bool tiny_dropped(const tiny_writer *w, const char *name) {
    return w->spec->drop && !strcmp(w->spec->drop, name);
}

/* A key of the family, or a whole one if it has a prefix already. */
static inline void tiny_key(tiny_writer *w, const char *name) {
    char key[128];
    bool whole = !strncmp(name, "general.", 8) || !strncmp(name, "tokenizer.", 10);
    snprintf(key, sizeof key, "%s%s%s", whole ? "" : w->family, whole ? "" : ".", name);
    tiny_text(w, key);
    w->metas++;
}

static inline void tiny_number(tiny_writer *w, const char *name, uint32_t type, double value) {
    if (tiny_dropped(w, name)) return;
    if (w->spec->key && !strcmp(w->spec->key, name)) {
        type = w->spec->key_type;
        value = w->spec->key_value;
        w->key_written = true;
    }
    tiny_key(w, name);
    tiny_u32(w, type);
    uint8_t byte = (uint8_t)(value != 0);
    switch (type) {
    case TINY_F32:
        tiny_u32(w, tfm__bits_of_f32((float)value));
        break;
    case TINY_U64:
        tiny_u64(w, (uint64_t)value);
        break;
    case TINY_I32:
        tiny_u32(w, (uint32_t)(int32_t)value);
        break;
    case TINY_STRING:
        tiny_text(w, "text");
        break;
    case TINY_BOOL:
    case TINY_U8:
        tiny_put(w, &byte, 1);
        break;
    default:
        tiny_u32(w, (uint32_t)value);
        break;
    }
}

static inline void tiny_string(tiny_writer *w, const char *name, const char *text) {
    if (tiny_dropped(w, name)) return;
    tiny_key(w, name);
    tiny_u32(w, TINY_STRING);
    tiny_text(w, text);
}

static inline void tiny_array(tiny_writer *w, const char *name, uint32_t item, uint64_t count) {
    tiny_key(w, name);
    tiny_u32(w, TINY_ARRAY);
    tiny_u32(w, item);
    tiny_u64(w, count);
}

/* The text of a token as the file spells it, and its kind. */
static inline int tiny_piece(int id, char *text, size_t size) {
    if (id < 3) {
        static const char *const names[] = {"<unk>", "<s>", "</s>"};
        snprintf(text, size, "%s", names[id]);
        return id == 0 ? TFM_TOKEN_UNKNOWN : TFM_TOKEN_CONTROL;
    }
    if (id < TINY_SPACE) {
        snprintf(text, size, "<0x%02X>", (unsigned)(id - TINY_BYTE));
        return TFM_TOKEN_BYTE;
    }
    if (id == TINY_SPACE)
        snprintf(text, size, "\xe2\x96\x81");
    else if (id < TINY_WORDS)
        snprintf(text, size, "%c", 'a' + id - TINY_LETTER);
    else if (id < TINY_WORDS + (int)TFM__COUNT(tiny_words))
        snprintf(text, size, "%s", tiny_words[id - TINY_WORDS]);
    else
        snprintf(text, size, "[%d]", id);
    return id == TINY_TURN || id == TINY_MARK ? TFM_TOKEN_CONTROL : TFM_TOKEN_NORMAL;
}

static inline void tiny_tokenizer(tiny_writer *w) {
    char text[32];
    tiny_string(w, "tokenizer.ggml.model", "llama");
    tiny_array(w, "tokenizer.ggml.tokens", TINY_STRING, TINY_VOCAB);
    for (int i = 0; i < TINY_VOCAB; i++) {
        tiny_piece(i, text, sizeof text);
        tiny_text(w, text);
    }
    tiny_array(w, "tokenizer.ggml.scores", TINY_F32, TINY_VOCAB);
    for (int i = 0; i < TINY_VOCAB; i++)
        tiny_u32(w, tfm__bits_of_f32(i < TINY_SPACE ? 0.0f : (float)i - 1000.0f));
    tiny_array(w, "tokenizer.ggml.token_type", TINY_I32, TINY_VOCAB);
    for (int i = 0; i < TINY_VOCAB; i++) tiny_u32(w, (uint32_t)tiny_piece(i, text, sizeof text));
    tiny_number(w, "tokenizer.ggml.bos_token_id", TINY_U32, TINY_BOS);
    tiny_number(w, "tokenizer.ggml.eos_token_id", TINY_U32, TINY_EOS);
    tiny_number(w, "tokenizer.ggml.eot_token_id", TINY_U32, TINY_TURN);
}

/* ---- Tensors ----------------------------------------------------------------------------------------------
 */

typedef float (*tiny_fill)(tiny_writer *w, uint64_t row, uint64_t column);

static inline float tiny_random(tiny_writer *w, uint64_t row, uint64_t column) {
    (void)row;
    (void)column;
    return (float)(tfm__rng_unit(&w->rng) - 0.5);
}
static inline float tiny_near_one(tiny_writer *w, uint64_t row, uint64_t column) {
    return 1.0f + 0.25f * tiny_random(w, row, column);
}
static inline float tiny_one(tiny_writer *w, uint64_t row, uint64_t column) {
    (void)w;
    (void)row;
    (void)column;
    return 1.0f;
}
static inline float tiny_zero(tiny_writer *w, uint64_t row, uint64_t column) {
    (void)w;
    (void)row;
    (void)column;
    return 0.0f;
}
/* Sylvester's Hadamard matrix: the parity of the bits that both numbers have. Row 0 would not survive
 * LayerNorm. */
static inline float tiny_hadamard(tiny_writer *w, uint64_t position, uint64_t column) {
    unsigned parity = 0;
    (void)w;
    for (uint64_t bits = (position + 1) & column; bits; bits &= bits - 1) parity ^= 1;
    return parity ? -1.0f : 1.0f;
}
static inline float tiny_script_row(tiny_writer *w, uint64_t token, uint64_t column) {
    float sum = 0.0f;
    for (size_t p = 0; p < w->spec->script_count; p++)
        if ((uint64_t)w->spec->script[p] == token) sum += tiny_hadamard(w, p, column);
    return sum;
}

static inline void tiny_values(tiny_writer *w, uint32_t type, uint64_t rows, uint64_t columns,
                               tiny_fill fill) {
    uint64_t count = rows * columns;
    tiny_grow(&w->values, &w->values_capacity, w->values_size + (size_t)count * 4 + 64);
    uint8_t *out = w->values + w->values_size;
    for (uint64_t i = 0; i < count; i++) {
        if (type == TFM__Q8_0 && i % 32 == 0) { /* blocks of a scale and 32 small integers */
            uint16_t scale = tfm__f32_to_f16(0.5f / 127.0f);
            memcpy(out, &scale, 2);
            out += 2;
        }
        float value = fill(w, i / columns, i % columns);
        uint16_t half = tfm__f32_to_f16(value);
        if (type == TFM__Q8_0)
            *out++ = (uint8_t)(int8_t)(value * 254.0f);
        else if (type == TFM__F16)
            memcpy(out, &half, 2), out += 2;
        else
            memcpy(out, &value, 4), out += 4;
    }
    w->values_size = (size_t)(out - w->values);
    while (w->values_size % 32) w->values[w->values_size++] = 0;
}

/* rows 0: a vector; depth 0: not that many matrices. */
static inline void tiny_tensors(tiny_writer *w, const char *name, uint32_t type, uint64_t depth,
                                uint64_t rows, uint64_t columns, tiny_fill fill) {
    bool changed = w->spec->tensor && !strcmp(w->spec->tensor, name);
    uint32_t said = changed && w->spec->tensor_type ? w->spec->tensor_type : type;
    if (tiny_dropped(w, name)) return;
    tiny_writer info = {.data = w->infos, .size = w->infos_size, .capacity = w->infos_capacity};
    tiny_text(&info, name);
    tiny_u32(&info, depth ? 3 : rows ? 2 : 1);
    tiny_u64(&info, changed && w->spec->tensor_shape[0] ? w->spec->tensor_shape[0] : columns);
    if (rows) tiny_u64(&info, changed && w->spec->tensor_shape[1] ? w->spec->tensor_shape[1] : rows);
    if (depth) tiny_u64(&info, depth);
    tiny_u32(&info, said);
    tiny_u64(&info, w->values_size);
    w->infos = info.data;
    w->infos_size = info.size;
    w->infos_capacity = info.capacity;
    tiny_values(w, type, (depth ? depth : 1) * (rows ? rows : 1), columns, fill);
    w->tensors++;
}

static inline void tiny_tensor(tiny_writer *w, const char *name, uint32_t type, uint64_t rows,
                               uint64_t columns, tiny_fill fill) {
    tiny_tensors(w, name, type, 0, rows, columns, fill);
}

static inline void tiny_of_layer(tiny_writer *w, uint32_t layer, const char *name, uint32_t type,
                                 uint64_t rows, uint64_t columns, tiny_fill fill) {
    char full[96];
    snprintf(full, sizeof full, "blk.%u.%s", (unsigned)layer, name);
    tiny_tensor(w, full, type, rows, columns, fill);
}

/* A router and its experts. */
static inline void tiny_experts(tiny_writer *w, const tiny_spec *s, uint32_t layer) {
    char name[96];
    tiny_of_layer(w, layer, "ffn_gate_inp.weight", TFM__F32, s->experts, s->width, tiny_random);
    static const char *const parts[] = {"gate", "up", "down"};
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "blk.%u.ffn_%s_exps.weight", (unsigned)layer, parts[i]);
        tiny_tensors(w, name, s->type, s->experts, i < 2 ? s->feed_forward : s->width,
                     i < 2 ? s->width : s->feed_forward, tiny_random);
    }
}

static inline void tiny_layers(tiny_writer *w, const tiny_spec *s) {
    uint32_t head = s->width / s->heads;
    bool gpt2 = !strcmp(w->family, "gpt2"), gemma = !strcmp(w->family, "gemma3");
    tiny_fill adds = s->script ? tiny_zero : tiny_random, norm = s->script ? tiny_one : tiny_near_one;
    for (uint32_t i = 0; i < s->layers; i++) {
        tiny_of_layer(w, i, "attn_norm.weight", TFM__F32, 0, s->width, norm);
        if (gpt2) {
            tiny_of_layer(w, i, "attn_norm.bias", TFM__F32, 0, s->width, adds);
            tiny_of_layer(w, i, "attn_qkv.weight", s->type, 3 * s->width, s->width, tiny_random);
            tiny_of_layer(w, i, "attn_qkv.bias", TFM__F32, 0, 3 * s->width, tiny_random);
        } else {
            tiny_of_layer(w, i, "attn_q.weight", s->type, s->width, s->width, tiny_random);
            tiny_of_layer(w, i, "attn_k.weight", s->type, s->kv_heads * head, s->width, tiny_random);
            tiny_of_layer(w, i, "attn_v.weight", s->type, s->kv_heads * head, s->width, tiny_random);
        }
        tiny_of_layer(w, i, "attn_output.weight", s->type, s->width, s->width, adds);
        if (gemma) {
            tiny_of_layer(w, i, "attn_q_norm.weight", TFM__F32, 0, head, norm);
            tiny_of_layer(w, i, "attn_k_norm.weight", TFM__F32, 0, head, norm);
            tiny_of_layer(w, i, "post_attention_norm.weight", TFM__F32, 0, s->width, norm);
            tiny_of_layer(w, i, "post_ffw_norm.weight", TFM__F32, 0, s->width, norm);
        }
        tiny_of_layer(w, i, "ffn_norm.weight", TFM__F32, 0, s->width, norm);
        if (gpt2) tiny_of_layer(w, i, "ffn_norm.bias", TFM__F32, 0, s->width, adds);
        if (s->experts) {
            tiny_experts(w, s, i);
            continue;
        }
        if (!gpt2) tiny_of_layer(w, i, "ffn_gate.weight", s->type, s->feed_forward, s->width, tiny_random);
        tiny_of_layer(w, i, "ffn_up.weight", s->type, s->feed_forward, s->width, tiny_random);
        tiny_of_layer(w, i, "ffn_down.weight", s->type, s->width, s->feed_forward, adds);
    }
}

static inline void tiny_description(tiny_writer *w, const tiny_spec *s) {
    tiny_string(w, "general.architecture", w->family);
    tiny_string(w, "general.name", "tiny");
    tiny_number(w, "block_count", TINY_U32, s->layers);
    tiny_number(w, "context_length", TINY_U32, s->context);
    tiny_number(w, "embedding_length", TINY_U32, s->width);
    tiny_number(w, "feed_forward_length", TINY_U32, s->feed_forward);
    tiny_number(w, "attention.head_count", TINY_U32, s->heads);
    tiny_number(w, "attention.head_count_kv", TINY_U32, s->kv_heads);
    tiny_number(
        w, strcmp(w->family, "gpt2") ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
        TINY_F32, 1e-5);
    tiny_number(w, "rope.freq_base", TINY_F32, 10000.0);
    if (s->experts) tiny_number(w, "expert_count", TINY_U32, s->experts);
    if (s->experts) tiny_number(w, "expert_used_count", TINY_U32, 2);
    if (s->window) tiny_number(w, "attention.sliding_window", TINY_U32, s->window);
    if (s->window) tiny_number(w, "attention.sliding_window_pattern", TINY_U32, 2);
    if (!s->no_tokenizer) tiny_tokenizer(w);
    if (s->key && !w->key_written) tiny_number(w, s->key, TINY_U32, 0); /* one that only a test sets */
}

static inline void tiny_all_tensors(tiny_writer *w, const tiny_spec *s) {
    tiny_fill norm = s->script ? tiny_one : tiny_near_one;
    tiny_tensor(w, "token_embd.weight", s->type, s->vocab, s->width, s->script ? tiny_zero : tiny_random);
    if (!strcmp(w->family, "gpt2")) {
        tiny_tensor(w, "position_embd.weight", s->type, s->context, s->width,
                    s->script ? tiny_hadamard : tiny_random);
        tiny_tensor(w, "output_norm.bias", TFM__F32, 0, s->width, s->script ? tiny_zero : tiny_random);
    }
    tiny_layers(w, s);
    tiny_tensor(w, "output_norm.weight", TFM__F32, 0, s->width, norm);
    if (strcmp(w->family, "gemma3"))
        tiny_tensor(w, "output.weight", s->type, s->vocab, s->width,
                    s->script ? tiny_script_row : tiny_random);
}

/* Free data with free. */
static inline tiny_file tiny_make(const tiny_spec *spec) {
    tiny_spec s = spec ? *spec : (tiny_spec){0};
    tiny_file file;
    if (s.script) {
        if (s.script_count > TINY_SCRIPT_CONTEXT) abort();
        s.family = "gpt2";
        s.layers = 1;
        s.width = TINY_SCRIPT_WIDTH;
        s.heads = s.kv_heads = 2;
        s.context = TINY_SCRIPT_CONTEXT;
    }
#define TINY_DEFAULT(field, value) s.field = s.field ? s.field : (value)
    TINY_DEFAULT(family, "llama");
    TINY_DEFAULT(layers, 2);
    TINY_DEFAULT(width, 32);
    TINY_DEFAULT(heads, 4);
    TINY_DEFAULT(kv_heads, strcmp(s.family, "gpt2") ? 2 : s.heads);
    TINY_DEFAULT(feed_forward, s.type == TFM__Q8_0 ? 64 : 48);
    TINY_DEFAULT(vocab, TINY_VOCAB);
    TINY_DEFAULT(context, 256);
#undef TINY_DEFAULT
    tiny_writer w = {.spec = &s, .family = s.family};
    tfm__rng_seed(&w.rng, s.seed);
    tiny_all_tensors(&w, &s);
    tiny_put(&w, "GGUF", 4);
    tiny_u32(&w, 3);
    tiny_u64(&w, w.tensors);
    size_t metas_at = w.size;
    tiny_u64(&w, 0);
    tiny_description(&w, &s);
    w.data[metas_at] = (uint8_t)w.metas;
    tiny_put(&w, w.infos, w.infos_size);
    file.described = w.size;
    while (w.size % 32) tiny_put(&w, "", 1);
    tiny_put(&w, w.values, w.values_size);
    free(w.infos);
    free(w.values);
    file.size = w.size;
    file.data = malloc(w.size); /* the exact size, so that a sanitizer sees the first byte too many */
    if (!file.data) abort();
    memcpy(file.data, w.data, w.size);
    free(w.data);
    return file;
}

/* ---- Opened
 * ------------------------------------------------------------------------------------------------- */

typedef struct tiny {
    tiny_file file;
    tfm_model *model;
} tiny;

static inline tiny tiny_open(const tiny_spec *spec, const tfm_model_options *options) {
    tfm_error error = TFM_ERROR_INIT;
    tiny t = {tiny_make(spec), NULL};
    if (tfm_model_load_memory(t.file.data, t.file.size, options, &t.model, &error))
        fail_msg("%s", error.message);
    return t;
}

static inline void tiny_close(tiny *t) {
    tfm_model_release(t->model);
    free(t->file.data);
    memset(t, 0, sizeof *t);
}

static inline tfm_session *tiny_session(const tiny *t) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_session *session = NULL;
    if (tfm_session_create(t->model, NULL, &session, &error)) fail_msg("%s", error.message);
    return session;
}

static inline void tiny_feed(tfm_session *session, const tfm_token *ids, size_t count) {
    tfm_error error = TFM_ERROR_INIT;
    if (tfm_forward(session, ids, count, NULL, &error)) fail_msg("%s", error.message);
}

/* Pseudo-random ids. */
static inline void tiny_ids(tfm_token *ids, size_t count, uint64_t seed) {
    tfm__rng rng;
    tfm__rng_seed(&rng, seed);
    for (size_t i = 0; i < count; i++) ids[i] = (tfm_token)(tfm__rng_u32(&rng) % TINY_VOCAB);
}

/* ---- An allocator that counts and fails on order
 * -------------------------------------------------------------- */

typedef struct tiny_memory {
    size_t calls, fail_at; /* the call that is refused, from 1; 0: none */
    bool for_ever;         /* and every one after it */
    size_t refusals, out;  /* out: bytes not given back */
} tiny_memory;

static inline void *tiny_realloc(void *user, void *ptr, size_t old_size, size_t new_size, size_t align) {
    tiny_memory *m = user;
    if (new_size == 0) {
        m->out -= old_size;
        free(ptr);
        return NULL;
    }
    m->calls++;
    if (m->fail_at && (m->calls == m->fail_at || (m->for_ever && m->calls > m->fail_at))) {
        m->refusals++;
        return NULL;
    }
    void *fresh = aligned_alloc(align, (new_size + align - 1) / align * align);
    if (!fresh) return NULL;
    memset(fresh, 0xa5, new_size); /* nobody may rely on zeroes */
    m->out += new_size;
    if (ptr) {
        memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
        m->out -= old_size;
        free(ptr);
    }
    return fresh;
}

static inline tfm_allocator tiny_allocator(tiny_memory *memory) {
    tfm_allocator allocator = TFM_ALLOCATOR_INIT;
    allocator.user = memory;
    allocator.realloc = tiny_realloc;
    return allocator;
}

#endif
