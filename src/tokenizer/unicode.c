/* unicode.c - UTF-8, grapheme clusters and scripts. Called by the splitters, the normalisers and the encoder.
 *
 * Sources: the Unicode Standard, sections 3.9 and 24; Unicode Standard Annex #29 (extended grapheme
 * clusters). */
#include "tokenizer/unicode.h"

uint32_t tfm__utf8_write(uint32_t code, uint8_t out[4]) {
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0u | code >> 6);
        out[1] = (uint8_t)(0x80u | (code & 0x3fu));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0u | code >> 12);
        out[1] = (uint8_t)(0x80u | (code >> 6 & 0x3fu));
        out[2] = (uint8_t)(0x80u | (code & 0x3fu));
        return 3;
    }
    out[0] = (uint8_t)(0xf0u | code >> 18);
    out[1] = (uint8_t)(0x80u | (code >> 12 & 0x3fu));
    out[2] = (uint8_t)(0x80u | (code >> 6 & 0x3fu));
    out[3] = (uint8_t)(0x80u | (code & 0x3fu));
    return 4;
}

size_t tfm__utf8_valid(const uint8_t *text, size_t length) {
    size_t i = 0;
    while (i < length) {
        uint32_t used;
        if (text[i] < 0x80) {
            uint64_t eight;
            if (length - i >= 8 && (memcpy(&eight, text + i, 8), !(eight & 0x8080808080808080u)))
                i += 8;
            else
                i++;
            continue;
        }
        if (tfm__utf8_read(text + i, length - i, &used) == TFM__NO_CODE) break;
        i += used;
    }
    return i;
}

size_t tfm__utf8_ill_formed(const uint8_t *text, size_t length) {
    uint8_t a = text[0], low, high;
    size_t needed, i = 1;
    if (a < 0xc2 || a > 0xf4) return 1;
    needed = a < 0xe0 ? 2 : a < 0xf0 ? 3 : 4;
    low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
    high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    while (i < needed && i < length && text[i] >= low && text[i] <= high) {
        low = 0x80;
        high = 0xbf;
        i++;
    }
    return i;
}

/* ---- Grapheme clusters ---- */

/* What a cluster so far lets follow, beyond its last character. */
typedef struct cluster_state {
    uint32_t last;
    bool odd_regional; /* an odd number of regional indicators ends it */
    bool pictograph;   /* a pictograph and marks: a joiner would tie another to it (GB11) */
    bool consonant;    /* a consonant and marks */
    bool linked;       /* with a linker among them: it ties another consonant to it (GB9c) */
} cluster_state;

static bool is_extend(uint32_t class) {
    return class == TFM__CLUSTER_EXTEND || class == TFM__CLUSTER_EXTEND_IN || class == TFM__CLUSTER_LINKER;
}

static bool is_control(uint32_t class) {
    return class == TFM__CLUSTER_CR || class == TFM__CLUSTER_LF || class == TFM__CLUSTER_CONTROL;
}

/* Hangul: LV takes V and T behind it, LVT only T. */
static bool is_lv(uint32_t code) { return (code - 0xac00u) % 28 == 0; }

static bool joins(const cluster_state *state, uint32_t last_code, uint32_t class) {
    uint32_t last = state->last;
    if (last == TFM__CLUSTER_CR && class == TFM__CLUSTER_LF) return true;
    if (is_control(last) || is_control(class)) return false;
    if (last == TFM__CLUSTER_L &&
        (class == TFM__CLUSTER_L || class == TFM__CLUSTER_V || class == TFM__CLUSTER_HANGUL))
        return true;
    if ((last == TFM__CLUSTER_V || (last == TFM__CLUSTER_HANGUL && is_lv(last_code))) &&
        class == TFM__CLUSTER_V)
        return true;
    if ((last == TFM__CLUSTER_V || last == TFM__CLUSTER_T || last == TFM__CLUSTER_HANGUL) &&
        class == TFM__CLUSTER_T)
        return true;
    if (is_extend(class) || class == TFM__CLUSTER_ZWJ || class == TFM__CLUSTER_SPACING) return true;
    if (last == TFM__CLUSTER_PREPEND) return true;
    if (class == TFM__CLUSTER_CONSONANT) return state->linked;
    if (class == TFM__CLUSTER_PICTOGRAPH) return last == TFM__CLUSTER_ZWJ && state->pictograph;
    return class == TFM__CLUSTER_REGIONAL && state->odd_regional;
}

static void take(cluster_state *state, uint32_t class) {
    bool inside =
        class == TFM__CLUSTER_EXTEND_IN || class == TFM__CLUSTER_LINKER || class == TFM__CLUSTER_ZWJ;
    state->odd_regional = class == TFM__CLUSTER_REGIONAL && !state->odd_regional;
    state->pictograph =
        class == TFM__CLUSTER_PICTOGRAPH ||
        (state->pictograph &&
         (is_extend(class) || (class == TFM__CLUSTER_ZWJ && state->last != TFM__CLUSTER_ZWJ)));
    state->consonant = class == TFM__CLUSTER_CONSONANT || (state->consonant && inside);
    state->linked = state->consonant && (class == TFM__CLUSTER_LINKER || (state->linked && inside));
    state->last = class;
}

size_t tfm__unicode_cluster(const uint8_t *text, size_t length) {
    cluster_state state = {TFM__CLUSTER_CONTROL, false, false, false, false};
    uint32_t used, code = tfm__utf8_read(text, length, &used);
    size_t i = used;
    if (code == TFM__NO_CODE) return 1;
    take(&state, tfm__unicode_class(code) & TFM__CLASS_CLUSTER);
    while (i < length) {
        uint32_t next = tfm__utf8_read(text + i, length - i, &used), class;
        if (next == TFM__NO_CODE) break;
        class = tfm__unicode_class(next) & TFM__CLASS_CLUSTER;
        if (!joins(&state, code, class)) break;
        take(&state, class);
        code = next;
        i += used;
    }
    return i;
}

/* ---- Scripts ---- */

uint32_t tfm__unicode_script(uint32_t code) {
    uint32_t script = tfm__unicode_raw_script(code);
    if (code == ' ') return TFM__SCRIPT_ANY;
    if (code == 0x30fc || script == tfm__script_han[1] || script == tfm__script_han[2])
        return tfm__script_han[0];
    return script;
}
