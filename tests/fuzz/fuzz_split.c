/* fuzz_split.c - any text, cut by our scanners and by PCRE2 with the expressions that they stand for; and any
 * bytes as an expression, which must compile or be refused. The first byte chooses. */
#include "split_compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = sizeof compared_rows / sizeof *compared_rows };

static tfm__heap heap;
static tfm__regex *compiled[ROWS];
static tfm__regex_scratch *scratch;

static void as_expression(const uint8_t *data, size_t size) {
    tfm__regex_scratch *own = NULL;
    tfm__regex *regex = NULL;
    size_t begin, end;
    bool found;
    if (tfm__regex_compile(&heap, (const char *)data, size, size % 2 ? TFM__REGEX_RUST : TFM__REGEX_ONIGURUMA,
                           NULL, &regex, NULL))
        return;
    (void)tfm__regex_find(regex, &heap, &own, (const uint8_t *)"ab 12\n\xe4\xb8\xad!", 10, 0, &begin, &end,
                          &found, NULL);
    tfm__regex_scratch_free(&heap, own);
    tfm__regex_free(&heap, regex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t row;
    if (size < 2 || size > 4096) return 0;
    if (!heap.allocator.realloc) tfm__heap_init(&heap, NULL, (uint64_t)512 << 20);
    row = data[0] % (ROWS + 1);
    data++;
    size--;
    if (row == ROWS) {
        as_expression(data, size);
        return 0;
    }
    if (tfm__utf8_valid(data, size) <
        size) { /* ill-formed bytes: every piece has at least one, and none reads on */
        for (size_t at = 0; at < size;) {
            size_t piece = tfm__split_next(compared_rows[row].stage, data + at, size - at);
            if (piece == 0 || piece > size - at) abort();
            at += piece;
        }
        return 0;
    }
    if (!compiled[row] &&
        tfm__regex_compile(&heap, compared_rows[row].regex, strlen(compared_rows[row].regex),
                           compared_rows[row].syntax, NULL, &compiled[row], NULL))
        return 0; /* built without PCRE2 */
    if (compare_pieces(&compared_rows[row], compiled[row], &heap, &scratch, data, size) != SIZE_MAX) abort();
    return 0;
}
