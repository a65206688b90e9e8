/* save_spm.c - writes a SentencePiece .model file of type BPE. Called by save.c and by training, which reads
 * the result back.
 *
 * The file is a protobuf message (load_spm.c has the fields): pieces, then what the trainer and the
 * normaliser were told. Source: sentencepiece_model.proto. */
#include "tokenizer/save.h"

typedef struct writer {
    const tfm__saved *form;
    tfm__buffer *out;
    bool ok;
} writer;

static void put_byte(writer *w, uint8_t byte) { w->ok = w->ok && tfm__buffer_append(w->out, &byte, 1); }

static void put_varint(writer *w, uint64_t value) {
    while (value >= 0x80) {
        put_byte(w, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    put_byte(w, (uint8_t)value);
}

static void put_number(writer *w, uint32_t field, int64_t value) {
    put_varint(w, field << 3);
    put_varint(w, (uint64_t)value);
}

static void put_bytes(writer *w, uint32_t field, const void *bytes, size_t size) {
    put_varint(w, field << 3 | 2);
    put_varint(w, size);
    w->ok = w->ok && tfm__buffer_append(w->out, bytes, size);
}

/* Puts what was written to inner into the outer message, and empties inner. */
static void put_message(writer *w, uint32_t field, writer *inner) {
    w->ok = w->ok && inner->ok;
    put_bytes(w, field, inner->out->data ? (const void *)inner->out->data : "", inner->out->size);
    inner->out->size = 0;
}

static void put_pieces(writer *w, writer *inner) {
    const tfm__saved *form = w->form;
    for (size_t id = 0; id < tfm__saved_count(form); id++) {
        tfm__saved_token token = tfm__saved_at(form, id);
        size_t length;
        const char *name = tfm__saved_name(form, id, &length);
        uint32_t bits;
        memcpy(&bits, &token.score, sizeof bits);
        put_bytes(inner, 1, name, length);
        put_varint(inner, 2 << 3 | 5);
        for (int i = 0; i < 4; i++) put_byte(inner, (uint8_t)(bits >> 8 * i));
        if (token.kind != TFM_TOKEN_NORMAL) put_number(inner, 3, token.kind);
        put_message(w, 1, inner);
    }
}

static void put_trainer(writer *w, writer *inner) {
    const tfm__saved *form = w->form;
    put_number(inner, 3, 2); /* BPE */
    put_number(inner, 4, (int64_t)tfm__saved_count(form));
    put_number(inner, 24, form->rules.suffix);
    put_number(inner, 35, form->byte_fallback);
    put_number(inner, 40, form->unknown);
    put_number(inner, 41, form->bos);
    put_number(inner, 42, form->eos);
    put_number(inner, 43, form->padding);
    if (form->unknown_surface) put_bytes(inner, 44, form->unknown_surface, form->unknown_surface_length);
    put_message(w, 2, inner);
}

static void put_normalizer(writer *w, writer *inner) {
    const tfm__spm_rules *rules = &w->form->rules;
    if (!rules->units) put_bytes(inner, 1, "identity", 8);
    if (rules->units) {
        size_t units = rules->unit_count * sizeof(uint32_t);
        tfm__buffer map;
        tfm__buffer_init(&map, w->out->heap);
        for (size_t i = 0; i <= rules->unit_count && inner->ok;
             i++) { /* their size in bytes, then the units */
            uint32_t unit = i ? rules->units[i - 1] : (uint32_t)units;
            uint8_t bytes[4] = {(uint8_t)unit, (uint8_t)(unit >> 8), (uint8_t)(unit >> 16),
                                (uint8_t)(unit >> 24)};
            inner->ok = tfm__buffer_append(&map, bytes, sizeof bytes);
        }
        inner->ok = inner->ok && tfm__buffer_append(&map, rules->replacements, rules->replacement_bytes);
        put_bytes(inner, 2, map.data, map.size);
        tfm__buffer_free(&map);
    }
    put_number(inner, 3, rules->dummy_prefix);
    put_number(inner, 4, rules->remove_extra);
    put_number(inner, 5, rules->escape);
    put_message(w, 3, inner);
}

int32_t tfm__save_spm(const tfm__saved *form, tfm__buffer *out) {
    tfm__buffer scratch;
    writer w = {form, out, true}, inner = {form, &scratch, true};
    tfm__buffer_init(&scratch, form->heap);
    put_pieces(&w, &inner);
    put_trainer(&w, &inner);
    put_normalizer(&w, &inner);
    tfm__buffer_free(&scratch);
    return w.ok ? TFM_OK : tfm__fail_memory(form->error, form->heap, 0);
}
