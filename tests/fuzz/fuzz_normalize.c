/* fuzz_normalize.c - any bytes as a character map and a text: every normalising step, and some in a row, must
 * take any text, make the same of it with and without offsets, and keep these within the text. The input: a
 * byte that chooses the steps, two with the size of the map, the map, the text. */
#include <stdlib.h>

#include "tokenizer/normalize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) abort();
}

static void set_steps(tfm_tokenizer *t, uint8_t choice) {
    const int last = TFM__NORMAL_BYTE_LEVEL;
    tfm__slice from, to;
    check(tfm__vocab_store(t, "e", 1, &from, NULL) == TFM_OK &&
          tfm__vocab_store(t, "\xc3\xa9 x", 4, &to, NULL) == TFM_OK);
    for (int kind = 0; kind <= last; kind++) {
        bool alone = choice % 32 == kind, in_row = choice % 32 > last && kind % 5 == choice % 5;
        tfm__normal_step *step = &t->steps[t->step_count];
        if ((!alone && !in_row) || kind == TFM__NORMAL_REPLACE_REGEX) continue;
        *step = (tfm__normal_step){.kind = (uint8_t)kind, .flags = choice >> 4, .from = from, .to = to};
        t->step_count++;
    }
    t->spm.dummy_prefix = choice & 32;
    t->spm.remove_extra = choice & 64;
    t->spm.escape = t->spm.suffix = choice & 128;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tfm__heap heap;
    tfm_tokenizer *t = NULL;
    size_t map;
    if (size < 3) return 0;
    map = TFM__MIN((size_t)tfm__u16_le(data + 1), size - 3);
    tfm__heap_init(&heap, NULL, (uint64_t)256 << 20);
    check(tfm__tokenizer_new(&heap, &t, NULL) == TFM_OK);
    set_steps(t, data[0]);
    if (tfm__spm_charsmap(t, data + 3, map, "map", NULL) == TFM_OK) {
        tfm__work *work = tfm__work_take(t);
        tfm__aligned from = {data + 3 + map, size - 3 - map, NULL, 0, false}, out;
        uint8_t *plain;
        size_t length;
        check(work != NULL);
        check(tfm__normalize(t, work, &from, &out, NULL) == TFM_OK);
        length = out.length;
        plain = malloc(length + 1);
        check(plain != NULL);
        if (length) memcpy(plain, out.data, length);
        from.wanted = true;
        check(tfm__normalize(t, work, &from, &out, NULL) == TFM_OK);
        check(out.length == length && (length == 0 || memcmp(plain, out.data, length) == 0));
        for (size_t i = 0; i < length; i++) {
            tfm__span span = tfm__aligned_span(&out, i, 1);
            check(span.begin <= span.end && span.end <= from.length);
        }
        free(plain);
        tfm__work_free(work);
    }
    tfm__tokenizer_free(t);
    check(atomic_load(&heap.live) == 0);
    return 0;
}
