/* split_pcre.c - regular expressions that no scanner of ours knows, on PCRE2. Called by the loaders (compile)
 * and by split.c and normalize.c (find).
 *
 * Expressions come from strangers' files: the work of a search is limited, so that one that runs away ends in
 * an error. PCRE2's memory comes from the tokenizer's heap. A build without PCRE2 refuses expressions. */
#include "tokenizer/split.h"

#ifdef TFM_HAVE_PCRE2

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tokenizer/regex_translate.h"

/* Steps of a search that cost nothing; searches that need more pay for it from the budget of their text, so
 * that many small runaways are one as well. */
#define FREE_STEPS 5000u
#define BUDGET_AT_LEAST 50000000u
#define BUDGET_PER_BYTE 200u
#define HEAP_KIB 65536u /* memory of one search without the compiler */
#define JIT_STACK_MOST ((size_t)4 << 20)

struct tfm__regex {
    pcre2_general_context *general;
    pcre2_code *code;
    bool compiled; /* to machine code */
    char pattern[201];
};

struct tfm__regex_scratch {
    pcre2_general_context *general;
    pcre2_match_context *match;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
    uint64_t budget; /* steps that are left for the text */
};

static void *take(size_t size, void *heap) { return tfm__alloc(heap, size); }
static void give(void *memory, void *heap) { tfm__free(heap, memory); }

void tfm__regex_free(tfm__heap *heap, tfm__regex *regex) {
    if (!regex) return;
    if (regex->code) pcre2_code_free(regex->code);
    if (regex->general) pcre2_general_context_free(regex->general);
    tfm__free(heap, regex);
}

static int32_t compile(tfm__regex *regex, const tfm__buffer *text, int syntax, const char *file,
                       tfm_error *error) {
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C |
                       (syntax == TFM__REGEX_ONIGURUMA ? PCRE2_MULTILINE : 0u);
    pcre2_compile_context *context = pcre2_compile_context_create(regex->general);
    int code = 0;
    PCRE2_SIZE offset = 0;
    PCRE2_UCHAR why[128] = "";
    if (!context) return tfm__fail_memory(error, text->heap, 0);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    regex->code = pcre2_compile(text->data, text->size, options, &code, &offset, context);
    pcre2_compile_context_free(context);
    if (!regex->code) {
        if (code == PCRE2_ERROR_NOMEMORY || code == 121 /* PCRE2_ERROR_HEAP_FAILED while compiling */)
            return tfm__fail_memory(error, text->heap, 0);
        pcre2_get_error_message(code, why, sizeof why);
        return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET, "the regular expression %s: %s",
                            regex->pattern, (const char *)why);
    }
    regex->compiled = pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE) == 0;
    return TFM_OK;
}

int32_t tfm__regex_compile(tfm__heap *heap, const char *pattern, size_t length, int syntax, const char *file,
                           tfm__regex **out, tfm_error *error) {
    tfm__regex *regex = tfm__alloc_zero(heap, sizeof *regex);
    tfm__buffer text;
    int32_t rc;
    *out = NULL;
    if (!regex) return tfm__fail_memory(error, heap, sizeof *regex);
    memcpy(regex->pattern, pattern, TFM__MIN(length, sizeof regex->pattern - 1));
    tfm__buffer_init(&text, heap);
    rc = tfm__regex_translate(pattern, length, syntax, file, &text, error);
    if (rc == TFM_OK && !(regex->general = pcre2_general_context_create(take, give, heap)))
        rc = tfm__fail_memory(error, heap, 0);
    if (rc == TFM_OK) rc = compile(regex, &text, syntax, file, error);
    tfm__buffer_free(&text);
    if (rc) {
        tfm__regex_free(heap, regex);
        return rc;
    }
    *out = regex;
    return TFM_OK;
}

void tfm__regex_scratch_free(tfm__heap *heap, tfm__regex_scratch *scratch) {
    if (!scratch) return;
    if (scratch->stack) pcre2_jit_stack_free(scratch->stack);
    if (scratch->data) pcre2_match_data_free(scratch->data);
    if (scratch->match) pcre2_match_context_free(scratch->match);
    if (scratch->general) pcre2_general_context_free(scratch->general);
    tfm__free(heap, scratch);
}

static tfm__regex_scratch *scratch_new(tfm__heap *heap) {
    tfm__regex_scratch *s = tfm__alloc_zero(heap, sizeof *s);
    if (!s) return NULL;
    s->general = pcre2_general_context_create(take, give, heap);
    if (s->general) {
        s->match = pcre2_match_context_create(s->general);
        s->data = pcre2_match_data_create(1, s->general);
        s->stack = pcre2_jit_stack_create((size_t)32 << 10, JIT_STACK_MOST,
                                          s->general); /* may be NULL: no JIT here */
    }
    if (!s->match || !s->data) {
        tfm__regex_scratch_free(heap, s);
        return NULL;
    }
    pcre2_set_heap_limit(s->match, HEAP_KIB);
    if (s->stack) pcre2_jit_stack_assign(s->match, NULL, s->stack);
    return s;
}

/* One search with so many steps. */
static int search(const tfm__regex *regex, tfm__regex_scratch *s, const uint8_t *text, size_t length,
                  size_t from, uint32_t steps) {
    int rc;
    pcre2_set_match_limit(s->match, steps);
    rc = pcre2_match(regex->code, text, length, from, PCRE2_NO_UTF_CHECK, s->data, s->match);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) /* again without, where the heap is the stack */
        rc = pcre2_match(regex->code, text, length, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->data,
                         s->match);
    return rc;
}

int32_t tfm__regex_find(const tfm__regex *regex, tfm__heap *heap, tfm__regex_scratch **scratch,
                        const uint8_t *text, size_t length, size_t from, size_t *begin, size_t *end,
                        bool *found, tfm_error *error) {
    tfm__regex_scratch *s;
    const PCRE2_SIZE *range;
    uint64_t steps = FREE_STEPS;
    int rc;
    *found = false;
    if (!*scratch && !(*scratch = scratch_new(heap))) return tfm__fail_memory(error, heap, sizeof **scratch);
    s = *scratch;
    if (from == 0) s->budget = BUDGET_AT_LEAST + BUDGET_PER_BYTE * (uint64_t)length;
    while ((rc = search(regex, s, text, length, from, (uint32_t)steps)) == PCRE2_ERROR_MATCHLIMIT &&
           s->budget) {
        steps = TFM__MIN(TFM__MIN(steps * 16, s->budget), (uint64_t)UINT32_MAX);
        s->budget -= steps;
    }
    if (rc == PCRE2_ERROR_NOMATCH) return TFM_OK;
    if (rc == PCRE2_ERROR_NOMEMORY) return tfm__fail_memory(error, heap, 0);
    if (rc < 0)
        return tfm__fail(
            error, TFM_E_UNSUPPORTED,
            "the regular expression %s takes too much work on this text (PCRE2 error %d at byte %zu)",
            regex->pattern, rc, from);
    range = pcre2_get_ovector_pointer(s->data);
    *begin = range[0];
    *end = TFM__MAX(range[1], range[0]); /* \K is not translated, but what is not expected must not loop */
    *found = true;
    return TFM_OK;
}

#else

int32_t tfm__regex_compile(tfm__heap *heap, const char *pattern, size_t length, int syntax, const char *file,
                           tfm__regex **out, tfm_error *error) {
    (void)heap, (void)syntax;
    *out = NULL;
    return tfm__fail_at(error, TFM_E_UNSUPPORTED, file, NULL, TFM__NO_OFFSET,
                        "the regular expression %.*s needs a build with PCRE2", (int)TFM__MIN(length, 200u),
                        pattern);
}

void tfm__regex_free(tfm__heap *heap, tfm__regex *regex) { tfm__free(heap, regex); }

int32_t tfm__regex_find(const tfm__regex *regex, tfm__heap *heap, tfm__regex_scratch **scratch,
                        const uint8_t *text, size_t length, size_t from, size_t *begin, size_t *end,
                        bool *found, tfm_error *error) {
    (void)regex, (void)heap, (void)scratch, (void)text, (void)length, (void)from, (void)begin, (void)end;
    *found = false;
    return tfm__fail(error, TFM_E_UNSUPPORTED, "regular expressions need a build with PCRE2");
}

void tfm__regex_scratch_free(tfm__heap *heap, tfm__regex_scratch *scratch) { tfm__free(heap, scratch); }

#endif
