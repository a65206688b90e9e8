/* split_cut.c - places where a text can be cut in two without changing any piece, whatever follows it. Called
 * by the streaming encoder.
 *
 * Two places are safe for the scanners of gpt2, cl100k (Llama 3, Qwen 2), o200k and deepseek:
 *   word    between an ASCII letter and a space with an ASCII letter behind it. No alternative of these
 * expressions takes a space behind a letter, so a piece ends there; the space and the letter begin the next
 * one (" ?\p{L}+" and its kin), and what the first piece is does not depend on whether a space or the end
 * follows. line    behind a line feed with a letter or a number behind it. No alternative has a line feed in
 * front of those. The white space that the line feed ends is one piece with it ("\s*[\r\n]+", and "\s+$" at
 * an end); but gpt2 would keep its last character apart ("\s+(?!\S)") if something other than the end
 * follows, so there the line feed must be the only white space. Stages in front that only separate runs (of
 * numbers, of punctuation) may be cut inside a run, since a later scanner cuts there anyway; stages behind
 * see its pieces. */
#include "tokenizer/internal.h"

/* What the splitter's deciding stage is: 0 none, 1 gpt2, 2 one of the others. */
static int deciding(const tfm__splitter *splitter) {
    for (uint32_t i = 0; i < splitter->count; i++) {
        switch (splitter->stages[i].kind) {
        case TFM__SPLIT_GPT2:
            return 1;
        case TFM__SPLIT_CL100K:
        case TFM__SPLIT_O200K:
        case TFM__SPLIT_DEEPSEEK:
            return 2;
        case TFM__SPLIT_NUMBERS:
        case TFM__SPLIT_NUMERIC:
        case TFM__SPLIT_PUNCTUATION:
        case TFM__SPLIT_PUNCTUATION_NO_GRAVE:
        case TFM__SPLIT_CJK:
            continue; /* separates runs: the next one decides */
        default:
            return 0;
        }
    }
    return 0;
}

static bool ascii_letter(uint8_t c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

/* Whether the character that ends at end is white space; also what cannot be told (no well-formed character).
 */
static bool space_ends(const uint8_t *text, size_t end) {
    size_t start = end;
    uint32_t used, code;
    if (end == 0) return false;
    do start--;
    while (start > 0 && end - start < 4 && (text[start] & 0xc0u) == 0x80);
    code = tfm__utf8_read(text + start, end - start, &used);
    return code == TFM__NO_CODE || start + used != end || (tfm__unicode_entry(code) & TFM__ENTRY_SPACE);
}

static bool letter_or_number(const uint8_t *text, size_t length) {
    uint32_t used, code = tfm__utf8_read(text, length, &used);
    return code != TFM__NO_CODE && tfm__entry_set(tfm__unicode_entry(code)) & (TFM__SET_L | TFM__SET_N);
}

size_t tfm__split_safe_cut(const tfm__splitter *splitter, const uint8_t *text, size_t length) {
    int kind = deciding(splitter);
    if (kind == 0 || length < 2) return 0;
    for (size_t i = length - 1; i > 0; i--) {
        uint8_t before = text[i - 1];
        if (text[i] == ' ' && i + 1 < length && ascii_letter(before) && ascii_letter(text[i + 1])) return i;
        if (before == '\n' && letter_or_number(text + i, length - i) &&
            (kind != 1 || !space_ends(text, i - 1)))
            return i;
    }
    return 0;
}
