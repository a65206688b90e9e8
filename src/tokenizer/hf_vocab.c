/* hf_vocab.c - the vocabulary of a tokenizer.json as the file spells it, for the time of loading: what
 * merges, added tokens and the decoder speak of. Called by hf_model.c, hf_added.c and hf_decoder.c. */
#include "tokenizer/hf.h"

int32_t tfm__hf_vocab_begin(tfm__hf *hf, size_t size, size_t count) {
    tfm__heap *heap = hf->tokenizer->heap;
    size_t slots = 16;
    int32_t rc = tfm__vocab_begin(hf->tokenizer, size, hf->error);
    if (rc) return rc;
    hf->said = tfm__alloc_array(heap, size, sizeof *hf->said);
    if (!hf->said) return tfm__fail_memory(hf->error, heap, size * sizeof *hf->said);
    if (size) memset(hf->said, 0, size * sizeof *hf->said);
    if (!tfm__buffer_append(&hf->strings, "", 1)) return tfm__fail_memory(hf->error, heap, 1);
    while (slots < count * 2) slots *= 2;
    hf->ids = tfm__alloc_array(heap, slots, sizeof *hf->ids);
    if (!hf->ids) return tfm__fail_memory(hf->error, heap, slots * sizeof *hf->ids);
    memset(hf->ids, 0xff, slots * sizeof *hf->ids);
    hf->id_mask = slots - 1;
    return TFM_OK;
}

/* The slot of a string: where it is, or where it would go. */
static size_t slot_of(const tfm__hf *hf, const void *bytes, size_t length) {
    size_t at = tfm__hash_bytes(bytes, length) & hf->id_mask;
    for (;; at = (at + 1) & hf->id_mask) {
        int32_t id = hf->ids[at];
        if (id < 0 || (hf->said[id].length == length &&
                       (length == 0 || memcmp(tfm__hf_said(hf, id), bytes, length) == 0)))
            return at;
    }
}

int32_t tfm__hf_vocab_find(const tfm__hf *hf, const void *bytes, size_t length) {
    return hf->ids[slot_of(hf, bytes, length)];
}

int32_t tfm__hf_vocab_put(tfm__hf *hf, int32_t id, const void *bytes, size_t length, bool known) {
    if (length > UINT32_MAX - hf->strings.size)
        return tfm__fail(hf->error, TFM_E_UNSUPPORTED, "token texts of more than 4 GiB");
    hf->said[id] = (tfm__slice){(uint32_t)hf->strings.size, (uint32_t)length};
    if (length && !tfm__buffer_append(&hf->strings, bytes, length))
        return tfm__fail_memory(hf->error, hf->strings.heap, length);
    if (known) hf->ids[slot_of(hf, bytes, length)] = id;
    return TFM_OK;
}

void tfm__hf_vocab_free(tfm__hf *hf) {
    tfm__buffer_free(&hf->strings);
    tfm__free(hf->tokenizer->heap, hf->said);
    tfm__free(hf->tokenizer->heap, hf->ids);
}
