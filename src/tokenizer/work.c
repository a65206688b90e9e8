/* work.c - working space of calls, kept between them by the tokenizer. Called by encode.c, vocab.c and the
 * streaming encoder.
 *
 * A tokenizer never changes, but what a call needs (buffers, remembered pieces) is worth keeping.
 * tokenizer->idle has a few slots; taking is an exchange with NULL, giving a compare-and-exchange from NULL,
 * so threads never wait. */
#include "tokenizer/compose.h"
#include "tokenizer/pieces.h"

static tfm__work *work_new(tfm__heap *heap) {
    tfm__work *work = tfm__alloc_zero(heap, sizeof *work);
    if (!work) return NULL;
    work->heap = heap;
    for (size_t i = 0; i < TFM__COUNT(work->texts); i++) {
        tfm__buffer_init(&work->texts[i], heap);
        tfm__buffer_init(&work->spans[i], heap);
        tfm__buffer_init(&work->normal[i], heap);
    }
    for (size_t i = 0; i < TFM__COUNT(work->stage_text); i++) {
        tfm__buffer_init(&work->stage_cuts[i], heap);
        tfm__buffer_init(&work->stage_text[i], heap);
        tfm__buffer_init(&work->stage_spans[i], heap);
    }
    tfm__buffer_init(&work->ids, heap);
    tfm__buffer_init(&work->ends, heap);
    tfm__buffer_init(&work->lattice, heap);
    tfm__buffer_init(&work->resegment, heap);
    return work;
}

void tfm__work_free(tfm__work *work) {
    if (!work) return;
    tfm__free(work->heap, work->symbols);
    tfm__free(work->heap, work->candidates);
    tfm__free(work->heap, work->unused_cut);
    tfm__pieces_free(work->pieces);
    tfm__compose_free(work->compose);
    tfm__regex_scratch_free(work->heap, work->regex);
    for (size_t i = 0; i < TFM__COUNT(work->texts); i++) {
        tfm__buffer_free(&work->texts[i]);
        tfm__buffer_free(&work->spans[i]);
        tfm__buffer_free(&work->normal[i]);
    }
    for (size_t i = 0; i < TFM__COUNT(work->stage_text); i++) {
        tfm__buffer_free(&work->stage_cuts[i]);
        tfm__buffer_free(&work->stage_text[i]);
        tfm__buffer_free(&work->stage_spans[i]);
    }
    tfm__buffer_free(&work->ids);
    tfm__buffer_free(&work->ends);
    tfm__buffer_free(&work->lattice);
    tfm__buffer_free(&work->resegment);
    tfm__free(work->heap, work);
}

/* The slots are the one part of a tokenizer that calls may change. */
static struct tfm__work *_Atomic *slots_of(const tfm_tokenizer *tokenizer) {
    return ((tfm_tokenizer *)(uintptr_t)tokenizer)->idle;
}

tfm__work *tfm__work_take(const tfm_tokenizer *tokenizer) {
    struct tfm__work *_Atomic *slots = slots_of(tokenizer);
    for (size_t i = 0; i < TFM__IDLE_WORKS; i++) {
        tfm__work *work;
        if (!atomic_load_explicit(&slots[i], memory_order_relaxed)) continue;
        work = atomic_exchange_explicit(&slots[i], NULL, memory_order_acquire);
        if (work) {
            work->after_unknown = work->at_front = false;
            return work;
        }
    }
    return work_new(tokenizer->heap);
}

/* What a long text needed is not kept for short ones. */
#define KEPT_BYTES ((size_t)4 << 20)

static void shrink(tfm__buffer *buffer) {
    if (buffer->capacity > KEPT_BYTES) tfm__buffer_free(buffer);
}

void tfm__work_give(const tfm_tokenizer *tokenizer, tfm__work *work) {
    struct tfm__work *_Atomic *slots = slots_of(tokenizer);
    for (size_t i = 0; i < TFM__COUNT(work->texts); i++) shrink(&work->texts[i]), shrink(&work->spans[i]), shrink(&work->normal[i]);
    for (size_t i = 0; i < TFM__COUNT(work->stage_text); i++)
        shrink(&work->stage_cuts[i]), shrink(&work->stage_text[i]), shrink(&work->stage_spans[i]);
    shrink(&work->ids), shrink(&work->ends), shrink(&work->lattice), shrink(&work->resegment);
    if (work->symbol_capacity > KEPT_BYTES / sizeof *work->symbols) {
        tfm__free(work->heap, work->symbols);
        work->symbols = NULL;
        work->symbol_capacity = 0;
    }
    if (work->candidate_capacity > KEPT_BYTES / sizeof *work->candidates) {
        tfm__free(work->heap, work->candidates);
        work->candidates = NULL;
        work->candidate_capacity = 0;
    }
    for (size_t i = 0; i < TFM__IDLE_WORKS; i++) {
        tfm__work *none = NULL;
        if (atomic_compare_exchange_strong_explicit(&slots[i], &none, work, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    tfm__work_free(work);
}
