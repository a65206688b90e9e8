/* compose.c - Chinese and Japanese without merging. Called by bpe_text.c.
 *
 * Their pieces are long and seldom the same, so that remembering pieces is no use. But a piece's ids mostly
 * are those of its characters, one behind the other: exactly if every two neighbouring tokens, merged on
 * their own, stay the two that they are. For suppose that they do, and look at the first merge across the
 * border of two of the tokens: all merges before it were inside tokens, so, seen from those two alone,
 * merging has gone as it goes when they stand alone (the same order, the same leftmost of equals); it would
 * have merged them there. Hence there is none, and inside its borders each token comes about as it does
 * alone. The other way round, neighbours in ids that came of merging stay what they are, by the same
 * argument.
 *
 * A merge across the border of two characters makes a token of an end of one and a beginning of the other;
 * there are few such tokens, and two small filters tell for nearly all neighbours that there is none. The
 * others are tried, and the outcome is remembered. Where two tokens do not stay apart, the characters around
 * them are merged together (remembered as parts of pieces), and the new borders are looked at; too many of
 * them, and the piece is merged as a whole. Source of the theorem: Berglund and van der Merwe, Formalizing
 * BPE tokenization, 2023; of looking at pairs: the bpe crate of github/rust-gems. */
#include "tokenizer/compose.h"

#define ID_BITS 20 /* ids of larger vocabularies do not fit into the table of pairs */
#define FIRST_BITS 10
#define MOST_BITS 18
#define RING 16 /* segments that can be taken back */

/* A character is three bytes, a lead from E0 on and two continuing ones, be they well-formed or not; its code
 * is the 16 bits that they carry. */
struct tfm__wide {
    uint64_t begins[2048]; /* bit: hash of two characters that may begin a token */
    uint64_t parts[1024];  /* bit: last six bits of a character, first ten of the next one's: a token may be
                              made of ends */
    uint64_t wholes[2048]; /* bit: hash of two characters that may be a token */
};

static inline uint32_t code_of(uint32_t word) {
    return (word & 15) << 12 | (word >> 2 & 0xfc0) | (word >> 16 & 63);
}
static inline uint32_t hash_two(uint32_t a, uint32_t b) { return ((a << 16 | b) * 0x9e3779b1u) >> 15; }

static inline bool has(const uint64_t *filter, uint32_t bit) { return filter[bit / 64] >> bit % 64 & 1; }

typedef struct character {
    int32_t ids[3];
    uint32_t count; /* 0: not known yet */
} character;

struct tfm__compose {
    tfm__heap *heap;
    uint32_t *pairs; /* [1 << bits] the rest of a pair << 2 | they stay apart << 1 | 1; 0: empty */
    unsigned bits, most_bits;
    size_t used;
    character *pages[1024]; /* [64] by the upper ten bits of the code */
};

static bool continues(uint8_t c) { return (c & 0xc0) == 0x80; }

/* Puts a token of 2 to 6 bytes into the filters, if it may be made of an end of one character and a beginning
 * of another when cut at this place. */
static void put_cut(struct tfm__wide *wide, const uint8_t *key, size_t length, size_t cut) {
    const size_t left = cut, right = length - cut;
    uint32_t first, last = key[cut - 1] & 63u;
    if (left > 3 || right > 3 || !continues(key[cut - 1]) || (key[cut] & 0xf0) != 0xe0) return;
    if (left >= 2 && !continues(key[cut - 2])) return;
    if (left == 3 && (key[0] & 0xf0) != 0xe0) return;
    for (size_t i = cut + 1; i < length; i++)
        if (!continues(key[i])) return;
    if (left == 3 && right == 3) {
        const uint32_t a = (key[0] & 15u) << 12 | (key[1] & 63u) << 6 | last;
        const uint32_t b = (key[3] & 15u) << 12 | (key[4] & 63u) << 6 | (key[5] & 63u), bit = hash_two(a, b);
        wide->wholes[bit / 64] |= (uint64_t)1 << bit % 64;
        return;
    }
    first = last << 10 | (key[cut] & 15u) << 6;
    if (right == 1)
        wide->parts[first / 64] = UINT64_MAX;
    else
        wide->parts[first / 64] |= (uint64_t)1 << (key[cut + 1] & 63);
}

int32_t tfm__compose_prepare(tfm_tokenizer *tokenizer, tfm_error *error) {
    struct tfm__wide *wide = tfm__alloc_zero(tokenizer->heap, sizeof *wide);
    if (!wide) return tfm__fail_memory(error, tokenizer->heap, sizeof *wide);
    tokenizer->wide = wide;
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        const tfm__slice slice = tokenizer->key[id];
        const uint8_t *key = tfm__slice_at(tokenizer, slice);
        if (!(tokenizer->flags[id] & TFM__TOKEN_PRESENT)) continue;
        if (slice.length <= 6)
            for (size_t cut = 1; cut < slice.length; cut++) put_cut(wide, key, slice.length, cut);
        if (slice.length >= 6 && key[0] >= 0xe0) {
            const uint32_t bit = hash_two((key[0] & 15u) << 12 | (key[1] & 63u) << 6 | (key[2] & 63u),
                                          (key[3] & 15u) << 12 | (key[4] & 63u) << 6 | (key[5] & 63u));
            wide->begins[bit / 64] |= (uint64_t)1 << bit % 64;
        }
    }
    return TFM_OK;
}

tfm__compose *tfm__compose_new(const tfm_tokenizer *tokenizer, tfm__heap *heap) {
    tfm__compose *compose;
    if (tokenizer->cache_bytes < (uint64_t)4 << 20 || tokenizer->vocab_size > 1 << ID_BITS) return NULL;
    compose = tfm__alloc_zero(heap, sizeof *compose);
    if (!compose) return NULL;
    compose->heap = heap;
    compose->bits = FIRST_BITS;
    compose->most_bits = MOST_BITS;
    compose->pairs = tfm__alloc_array(heap, (size_t)1 << FIRST_BITS, sizeof *compose->pairs);
    if (!compose->pairs) {
        tfm__free(heap, compose);
        return NULL;
    }
    return compose;
}

void tfm__compose_free(tfm__compose *compose) {
    if (!compose) return;
    for (size_t i = 0; i < TFM__COUNT(compose->pages); i++) tfm__free(compose->heap, compose->pages[i]);
    tfm__free(compose->heap, compose->pairs);
    tfm__free(compose->heap, compose);
}

/* ---- Pairs of tokens ---- */

/* A pair as a number of 40 bits, its upper ones well mixed; no two pairs have the same. */
static inline uint64_t pair_of(int32_t a, int32_t b) {
    uint64_t x = (uint64_t)(uint32_t)a << ID_BITS | (uint32_t)b;
    x ^= x >> ID_BITS;
    return x * 0x9e3779b97f4a7c15u & (((uint64_t)1 << 2 * ID_BITS) - 1);
}

/* Four times the table; the old one's places and rests tell the pairs. */
static void grow_pairs(tfm__compose *compose) {
    const unsigned more = TFM__MIN(compose->bits + 2, compose->most_bits) - compose->bits;
    const unsigned bits = compose->bits + more, rest = 2 * ID_BITS - compose->bits;
    uint32_t *bigger;
    compose->used = 0;
    if (more == 0) return;
    bigger = tfm__alloc_array(compose->heap, (size_t)1 << bits, sizeof *bigger);
    if (!bigger) {
        compose->most_bits = compose->bits;
        return;
    }
    for (size_t i = 0; i < (size_t)1 << compose->bits; i++) {
        const uint32_t entry = compose->pairs[i];
        const uint64_t x = (uint64_t)i << rest | entry >> 2;
        if (!entry) continue;
        bigger[x >> (rest - more)] = (uint32_t)(x & (((uint64_t)1 << (rest - more)) - 1)) << 2 | (entry & 3);
        compose->used++;
    }
    tfm__free(compose->heap, compose->pairs);
    compose->pairs = bigger;
    compose->bits = bits;
}

/* Merges two tokens; 1: they stay what they are, 0: they do not, -1: too long to be looked at. */
static int try_pair(const tfm_tokenizer *tokenizer, tfm__compose *compose, int32_t a, int32_t b) {
    const tfm__slice left = tokenizer->key[a], right = tokenizer->key[b];
    const size_t length = (size_t)left.length + right.length;
    uint8_t bytes[TFM__MERGE_BYTES];
    int32_t ids[TFM__MERGE_BYTES];
    const uint64_t x = pair_of(a, b);
    uint32_t apart;
    unsigned rest;
    if (length > TFM__MERGE_BYTES) return -1;
    memcpy(bytes, tfm__slice_at(tokenizer, left), left.length);
    memcpy(bytes + left.length, tfm__slice_at(tokenizer, right), right.length);
    apart = tfm__merge_bytes(tokenizer, bytes, length, ids) == 2 && ids[0] == a && ids[1] == b;
    if (++compose->used > (size_t)1 << compose->bits >> 1) grow_pairs(compose);
    rest = 2 * ID_BITS - compose->bits;
    compose->pairs[x >> rest] = (uint32_t)(x & (((uint64_t)1 << rest) - 1)) << 2 | apart << 1 | 1;
    return (int)apart;
}

static inline int stay_apart(const tfm_tokenizer *tokenizer, tfm__compose *compose, int32_t a, int32_t b) {
    const uint64_t x = pair_of(a, b);
    const unsigned rest = 2 * ID_BITS - compose->bits;
    const uint32_t entry = compose->pairs[x >> rest];
    if (TFM__LIKELY((entry | 2) == ((uint32_t)(x & (((uint64_t)1 << rest) - 1)) << 2 | 3)))
        return entry >> 1 & 1;
    return try_pair(tokenizer, compose, a, b);
}

/* ---- Characters ---- */

/* The entry of a character that is not known yet; NULL: memory refused. */
static character *new_character(const tfm_tokenizer *tokenizer, tfm__compose *compose, uint32_t code,
                                const uint8_t *text) {
    character **page = &compose->pages[code >> 6], *c;
    if (!*page && !(*page = tfm__alloc_array(compose->heap, 64, sizeof **page))) return NULL;
    c = &(*page)[code & 63];
    if (c->count == 0) {
        int32_t ids[3];
        size_t count = tfm__merge_bytes(tokenizer, text, 3, ids);
        memcpy(c->ids, ids, count * sizeof *ids);
        c->count = (uint32_t)count;
    }
    return c;
}

/* The ids of a part of a piece, up to 15 bytes, merged on its own. */
static int64_t merge_part(const tfm_tokenizer *tokenizer, tfm__pieces *pieces, const uint8_t *part,
                          size_t length, int32_t *ids) {
    tfm__piece_key key = tfm__piece_key_of(part, length);
    const int32_t *known;
    int64_t count;
    key.high |= TFM__KEY_PART;
    count = tfm__pieces_get(pieces, key, part, length, &known);
    if (count >= 0) {
        memcpy(ids, known, (size_t)count * sizeof *ids);
        return count;
    }
    count = (int64_t)tfm__merge_bytes(tokenizer, part, length, ids);
    tfm__pieces_put(pieces, key, part, length, ids, (size_t)count);
    return count;
}

/* ---- Pieces ---- */

/* Whether some token may be made of an end of one character and a beginning of the next one. */
static inline bool may_merge(const struct tfm__wide *wide, uint32_t a, uint32_t b) {
    return has(wide->parts, (a & 63) << 10 | b >> 6) | has(wide->wholes, hash_two(a, b));
}

int64_t tfm__compose_piece(const tfm_tokenizer *tokenizer, tfm__compose *compose, tfm__pieces *pieces,
                           const uint8_t *piece, size_t length, int32_t *out) {
    /* the last segments, each a character or some that were merged together: where they begin in the piece
     * and in out */
    struct {
        size_t start, out;
    } ring[RING];
    size_t segments = 0, peak = 0, n = 0;
    const struct tfm__wide *wide = tokenizer->wide;
    int32_t last = -1;
    uint32_t before = 0; /* the character in front */
    bool joint = false;  /* the last segment is more than that character */
    for (size_t i = 0; i < length; i += 3) {
        const character *page, *c;
        uint32_t word = 0, code;
        int apart = 1;
        if (TFM__LIKELY(length - i >= 4))
            memcpy(&word, piece + i, 4);
        else
            memcpy(&word, piece + i, length - i);
        if ((word & 0xc0c0f0u) != 0x8080e0u) return -1;
        code = code_of(word);
        page = compose->pages[code >> 6];
        c = page ? &page[code & 63] : NULL;
        if (TFM__UNLIKELY(!c || c->count == 0) && !(c = new_character(tokenizer, compose, code, piece + i)))
            return -1;
        if (TFM__LIKELY(last >= 0)) {
            if (TFM__UNLIKELY(joint || may_merge(wide, before, code)))
                apart = stay_apart(tokenizer, compose, last, c->ids[0]);
        }
        if (TFM__UNLIKELY(i == 3) && has(wide->begins, hash_two(before, code)) &&
            tokenizer->whole != TFM__WHOLE_NEVER) {
            const int32_t whole = tfm__model_whole(tokenizer, tfm__vocab_find(tokenizer, piece, length));
            if (whole >= 0) {
                out[0] = whole;
                return 1;
            }
        }
        if (TFM__LIKELY(apart == 1)) {
            memcpy(out + n, c, 16);
            ring[segments % RING].start = i;
            ring[segments++ % RING].out = n;
            n += c->count;
            last = c->ids[c->count - 1];
            joint = false;
        } else {
            int32_t ids[TFM__PIECE_KEY];
            size_t start, at;
            int64_t count;
            do { /* one segment more, until what stands before it stays apart */
                if (segments == 0 || segments + RING <= peak + 1 || apart < 0) return -1;
                segments--;
                start = ring[segments % RING].start;
                at = ring[segments % RING].out;
                if (i + 3 - start > TFM__PIECE_KEY) return -1;
                count = merge_part(tokenizer, pieces, piece + start, i + 3 - start, ids);
                apart = at ? stay_apart(tokenizer, compose, out[at - 1], ids[0]) : 1;
            } while (apart != 1);
            memcpy(out + at, ids, (size_t)count * sizeof *ids);
            n = at + (size_t)count;
            segments++;
            last = ids[count - 1];
            joint = true;
        }
        peak = TFM__MAX(peak, segments);
        before = code;
    }
    return (int64_t)n;
}
