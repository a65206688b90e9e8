/* internal.h - the one immutable form that every loader fills and the encoder and decoder read; private to
 * this folder.
 *
 * The way of a text (encode.c):
 *   whole-matched tokens cut it (raw) -> normal steps (normalize.c) -> whole-matched tokens cut the result
 *   (normal) -> stages cut that into pieces (split.c) -> the model turns each piece into ids (model.c) ->
 *   what frames a text, truncation, padding (frame.c)
 * and every step can carry along where each byte came from (aligned.h), for offsets.
 *
 * Loaders: load.c (which kind of file), load_*.c, hf_*.c. They call vocab.c to build. Models: BPE (merge.c),
 * Unigram (unigram.c), WordPiece and WordLevel (wordpiece.c). Decoding: decode.c.
 *
 * Merging knows three orders, all "the best neighbouring pair first, the leftmost of equals":
 *   LISTED  a pair of ids stands in a list; its place in the list is its rank (GPT-2's merges.txt and after)
 *   RANKS   the pair's bytes are a token; the token's id is the rank (tiktoken)
 *   SCORES  the pair's text is a token; the highest score first (SentencePiece, llama2.c)
 * Initial symbols are single bytes (bytes) or characters. */
#ifndef TFM__TOKENIZER_INTERNAL_H
#define TFM__TOKENIZER_INTERNAL_H

#include "tokenizer/aligned.h"
#include "tokenizer/split.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

typedef struct tfm__slice {
    uint32_t offset, length; /* in the tokenizer's blob */
} tfm__slice;

enum tfm__token_flag {
    TFM__TOKEN_PRESENT = 1, /* the id is in use */
    TFM__TOKEN_MATCH = 2,   /* merging may produce it: its key is in the key table */
    TFM__TOKEN_SELF = 4,    /* its key, merged on its own, gives this one token */
    TFM__TOKEN_SKIP = 8,    /* left out of decoded text unless asked for */
    TFM__TOKEN_ENDS = 16,   /* ends a generated text */
    TFM__TOKEN_ADDED = 32   /* matched whole in the text */
};

enum tfm__model_kind { TFM__MODEL_BPE, TFM__MODEL_UNIGRAM, TFM__MODEL_WORDPIECE, TFM__MODEL_WORDLEVEL };
enum tfm__merge_order { TFM__MERGE_LISTED, TFM__MERGE_RANKS, TFM__MERGE_SCORES };
enum tfm__whole_piece { TFM__WHOLE_NEVER, TFM__WHOLE_ALWAYS, TFM__WHOLE_SELF };

/* What decoding takes off the front of a text. */
enum tfm__strip {
    TFM__STRIP_NONE,
    TFM__STRIP_MARK,      /* one mark of the first pieces that say anything (SentencePiece) */
    TFM__STRIP_MARK_EACH, /* the same, but of every piece until something was said (remove_extra_whitespaces)
                           */
    TFM__STRIP_AFTER_BOS  /* one space of the first token and of any that follows bos (run.c) */
};

/* A token that is looked for whole, before anything else is done to the text. */
typedef struct tfm__added {
    tfm__slice text;  /* its name */
    tfm__slice match; /* what is sought: the name, or for normalized ones its normal form */
    int32_t id;
    bool special, single_word, lstrip, rstrip, normalized;
} tfm__added;

/* Open addressing from u64 to u64; UINT64_MAX is no key. */
typedef struct tfm__map {
    uint64_t *slots; /* [2 * (mask + 1)]: key, value */
    size_t mask, count;
} tfm__map;

/* Byte tree over added tokens or user-defined pieces. */
typedef struct tfm__trie {
    tfm__map children; /* node << 8 | byte -> node */
    int32_t *value;    /* [nodes] what ends here, or -1 */
    size_t nodes, capacity;
    bool first[256]; /* bytes that begin something */
    int32_t
        only; /* the one that begins everything, if there is one; else -1 (once something is in the tree) */
} tfm__trie;

typedef struct tfm__key_slot {
    uint32_t hash;
    int32_t id;     /* -1: empty */
    tfm__slice key; /* the token's, here to save a visit */
} tfm__key_slot;

/* One step of normalising: a kind of enum tfm__normal_kind (normalize.h) and its texts and settings. */
typedef struct tfm__normal_step {
    uint8_t kind;
    uint8_t flags;       /* by kind */
    tfm__slice from, to; /* REPLACE: what by what; PREPEND: to */
    uint32_t regex;      /* REPLACE_REGEX: index into tokenizer->regexes */
} tfm__normal_step;

/* A piece of the frame around a text: a sequence (the text or its pair) or a token. */
typedef struct tfm__frame_part {
    int32_t token; /* -1: the text; -2: its pair */
    uint8_t type;  /* type id */
} tfm__frame_part;

/* SentencePiece's normaliser (normalize_spm.c). */
typedef struct tfm__spm_rules {
    bool dummy_prefix, remove_extra, escape,
        suffix;        /* suffix: white space ends a piece instead of beginning it */
    bool keep_invalid; /* ill-formed bytes stay; otherwise each becomes U+FFFD */
    uint32_t *units;   /* [unit_count] double array of the character map, or NULL */
    size_t unit_count;
    char *replacements; /* NUL-terminated texts, the last one too */
    size_t replacement_bytes;
    bool touched[128]; /* ASCII that is a key of the map, or begins one whose next byte is ASCII */
} tfm__spm_rules;

#define TFM__IDLE_WORKS 16
#define TFM__NORMAL_STEPS 16
#define TFM__FRAME_PARTS 32
#define TFM__AFFIX 64 /* longest continuing or ending */

struct tfm_tokenizer {
    tfm__heap *heap;
    bool standalone; /* loaded through tfm_tokenizer_load: owns its heap */

    /* vocabulary, by id */
    int32_t vocab_size;
    tfm__buffer blob; /* all texts */
    tfm__slice *key;  /* what merging compares (SentencePiece: with U+2581) */
    tfm__slice *text; /* what the token decodes to in the middle of a text */
    uint8_t *kind;    /* TFM_TOKEN_* */
    uint8_t *flags;   /* TFM__TOKEN_* */
    uint32_t *order;  /* SCORES: 0 is the best; UINT32_MAX never merges */
    uint32_t longest_key, longest_text, longest_match; /* longest_match: of added tokens */
    struct tfm__key_line *short_keys;                  /* keys of 1 to 15 bytes -> id (keys.h) */
    uint16_t *short_filter; /* of each line: which sixteenths of it are some key's */
    unsigned short_shift;
    tfm__key_slot *keys; /* [key_mask + 1] all others -> id */
    size_t key_mask;
    int32_t *finds; /* [find_mask + 1] text -> id, for tfm_token_find; -1: empty */
    size_t find_mask;
    tfm__map pairs; /* LISTED: left << 32 | right -> rank << 32 | merged id */

    uint8_t model;  /* enum tfm__model_kind */
    bool llama_cpp; /* GGUF: llama.cpp's way where it deviates */

    /* UNIGRAM (unigram.c), WORDPIECE and WORDLEVEL (wordpiece.c): each file makes and frees its own tables */
    struct tfm__unigram *unigram;
    struct tfm__wordpiece *wordpiece;

    /* BPE: merging */
    uint8_t order_kind, whole;
    bool whole_control;     /* TFM__WHOLE_ALWAYS may find control tokens */
    bool bytes;             /* initial symbols are bytes */
    int32_t byte_id[256];   /* -1: none */
    struct tfm__wide *wide; /* with byte_pairs: what tokens say about three-byte characters (compose.c) */
    uint64_t *byte_pairs;  /* [65536] what two bytes merge to, with bytes_complete (merge_bytes.c), or NULL */
    bool bytes_complete;   /* bytes, and every one has a token: ids are the text, and nothing is unknown */
    int32_t stand_in;      /* what a character without a token becomes; -1: nothing */
    bool byte_fallback;    /* characters without a token become byte tokens */
    tfm__slice continuing; /* LISTED, of characters: in front of all but the first of a piece ("##") */
    tfm__slice ending;     /* and behind its last ("</w>"), in keys, not in the text */
    bool fuse_unknown;     /* HF: neighbouring unknowns of one piece are one */
    bool merge_unknown;    /* SentencePiece: neighbouring unknowns of one text are one */
    bool run_c_characters; /* characters as run.c cuts them: a byte and up to three continuation bytes */
    bool has_unused;       /* SCORES: pieces that are taken apart again */
    bool tail_as_bytes;    /* tiktoken: from the last piece before an ill-formed byte on, all is one piece */

    /* text to pieces */
    tfm__added *added;
    size_t added_count;
    tfm__trie raw, normal; /* added tokens sought before and after normalising */
    tfm__trie frozen;      /* SentencePiece: user-defined pieces, never merged; values are ids */
    bool has_frozen;
    tfm__normal_step steps[TFM__NORMAL_STEPS];
    uint32_t step_count;
    tfm__spm_rules spm;
    bool cut_at_marks; /* no token holds a mark behind another character: text may be cut before marks */
    uint8_t mark[4], mark_length; /* what stands for a space: U+2581, or the space itself */
    tfm__splitter splitter;

    char
        *pattern; /* trained: the regular expression that splits, if it has no stage of its own; NULL: none */
    struct tfm__regex **regexes; /* [regex_count] compiled expressions of stages and steps (split_pcre.c) */
    uint32_t regex_count;

    /* around the text; parts in front of and behind the sequences follow add_bos and add_eos */
    tfm__frame_part frame[TFM__FRAME_PARTS], frame_pair[TFM__FRAME_PARTS];
    uint32_t frame_count, frame_pair_count; /* 0: bos, text, eos; and the pair straight behind the text */
    bool
        trim_offsets; /* white space at the edges of a token is left out of its offsets (RobertaProcessing) */
    uint8_t trim_prefix_space; /* with it: add_prefix_space, which keeps one */
    struct {
        bool on, left;
        uint8_t strategy; /* TFM_TRUNCATE_* */
        size_t max_length, stride;
    } truncation; /* as the file says */
    struct {
        bool on, left, fixed;
        size_t length, multiple;
        int32_t token, type;
    } pad; /* as the file says */
    bool adds_bos, adds_eos;
    bool ends_texts;      /* the format itself adds eos (Marian) */
    bool frame_types_all; /* types of the frame are for parts that truncation cut off too, if the frame's
                             tokens are added (BertProcessing, RobertaProcessing); otherwise those have 0 and
                             1 */
    bool has_template;    /* the file says what stands around a text: frame counts even if it is empty */
    int32_t bos, eos, unknown, padding, end_of_turn;

    bool replaces_bytes; /* decoding puts U+FFFD for each ill-formed byte, not for each maximal part */
    uint8_t strip;
    tfm__slice joint; /* WordPiece's continuing prefix in decoding; decoders' other settings: see decode.h */
    struct tfm__decode_plan
        *decode_plan; /* decode.c: what tokenizer.json's decoder does beyond strip; or NULL */
    char kind_name[32];

    /* working space kept between calls: one for each thread at work (work.c) */
    uint64_t cache_bytes; /* most bytes of remembered pieces in one of them */
    int isa;              /* TFM__ISA_*: which scanners run */
    struct tfm__work *_Atomic idle[TFM__IDLE_WORKS];
};

#if defined(__GNUC__)
#define TFM__PREFETCH(address) __builtin_prefetch(address)
#else
#define TFM__PREFETCH(address) (void)(address)
#endif

/* U+2581, which stands for a space. */
#define TFM__MARK "\xe2\x96\x81"
#define TFM__MARK_BYTES 3

static inline const uint8_t *tfm__slice_at(const tfm_tokenizer *tokenizer, tfm__slice slice) {
    return tokenizer->blob.data + slice.offset;
}

/* ---- vocab.c: building and looking up ---- */

/* A new, empty tokenizer. */
int32_t tfm__tokenizer_new(tfm__heap *heap, tfm_tokenizer **out, tfm_error *error);

/* The tokenizer takes over a compiled expression; its index for stages and steps. */
int32_t tfm__vocab_regex(tfm_tokenizer *tokenizer, tfm__regex *regex, uint32_t *index, tfm_error *error);

/* Room for ids 0 .. size - 1, none in use. */
int32_t tfm__vocab_begin(tfm_tokenizer *tokenizer, size_t size, tfm_error *error);

/* Copies bytes into the blob. */
int32_t tfm__vocab_store(tfm_tokenizer *tokenizer, const void *bytes, size_t length, tfm__slice *out,
                         tfm_error *error);

/* Sets one token; text NULL: the same as key. */
int32_t tfm__vocab_set(tfm_tokenizer *tokenizer, int32_t id, const void *key, size_t key_length,
                       const void *text, size_t text_length, int kind, int flags, tfm_error *error);

/* ---- keys.c ---- */

/* Slots for n entries, at most half full, a power of two; 0 on overflow. */
size_t tfm__slots_for(size_t n);

/* Puts every token with TFM__TOKEN_MATCH into the key table. Two tokens of one key: TFM_E_FORMAT, or the
 * lower id where first_counts. */
int32_t tfm__vocab_index(tfm_tokenizer *tokenizer, bool first_counts, const char *file, tfm_error *error);

/* The token whose key these bytes are, or -1. */
int32_t tfm__vocab_find(const tfm_tokenizer *tokenizer, const uint8_t *bytes, size_t length);

/* ---- vocab.c, continued ---- */

/* Adds the pair (left, right) to the list; of equal pairs the later counts. */
int32_t tfm__vocab_pair(tfm_tokenizer *tokenizer, int32_t left, int32_t right, uint32_t rank, int32_t merged,
                        tfm_error *error);

/* Turns scores into order; refuses those that are not numbers. floor: scores at or below it never merge. */
int32_t tfm__vocab_scores(tfm_tokenizer *tokenizer, const float *scores, float floor, const char *file,
                          tfm_error *error);

/* A token to be matched whole. */
int32_t tfm__vocab_add(tfm_tokenizer *tokenizer, const tfm__added *added, tfm_error *error);

/* What remains once everything is filled: tries, byte ids, self-encoding tokens, ends, the table for finding.
 */
int32_t tfm__vocab_finish(tfm_tokenizer *tokenizer, tfm_error *error);

/* The added token whose text this is, or NULL. */
const tfm__added *tfm__vocab_added(const tfm_tokenizer *tokenizer, const char *text);

/* The token with this text, whatever its kind, or -1 (after tfm__vocab_finish). */
int32_t tfm__vocab_find_text(const tfm_tokenizer *tokenizer, const char *bytes, size_t length);

/* Marks a token as ending a text; -1 and ids outside the vocabulary are ignored. */
void tfm__vocab_end(tfm_tokenizer *tokenizer, int64_t id);

/* ---- table.c: the maps ---- */

bool tfm__map_put(tfm__map *map, tfm__heap *heap, uint64_t key, uint64_t value); /* false: memory refused */
bool tfm__map_reserve(tfm__map *map, tfm__heap *heap, size_t count);
uint64_t tfm__map_get(const tfm__map *map, uint64_t key); /* UINT64_MAX: absent */
void tfm__map_near(const tfm__map *map, uint64_t key);    /* brings its slot near: it will be asked for */
uint32_t tfm__hash_bytes(const uint8_t *bytes, size_t length);
bool tfm__trie_put(tfm__trie *trie, tfm__heap *heap, const uint8_t *bytes, size_t length, int32_t value);
/* Length of the longest entry that the text begins with, its value in *value; 0: none. */
size_t tfm__trie_longest(const tfm__trie *trie, const uint8_t *text, size_t length, int32_t *value);
/* Where the next byte that begins an entry lies, from i on; length: nowhere. */
size_t tfm__trie_skip(const tfm__trie *trie, const uint8_t *text, size_t i, size_t length);
/* How far the text goes along entries, ended or not. */
size_t tfm__trie_reach(const tfm__trie *trie, const uint8_t *text, size_t length);
/* One byte further from *node (0 at the beginning): what ends there in *value, or -1. False: nothing goes on
 * so. */
bool tfm__trie_step(const tfm__trie *trie, uint64_t *node, uint8_t byte, int32_t *value);
void tfm__trie_free(tfm__heap *heap, tfm__trie *trie);

/* ---- Bytes written as text (bytes.c) ---- */

/* Turns a text in the byte alphabet into bytes; false (and nothing appended) if a character is outside it. */
bool tfm__alphabet_to_bytes(const char *text, size_t length, tfm__buffer *out, bool *refused);
/* The code point that stands for a byte. */
uint32_t tfm__alphabet_code(uint8_t byte);
/* The value of "<0x41>", or -1. */
int tfm__byte_token(const char *text, size_t length);
/* Decodes strict base64 into out, which has room for length bytes (and may be text); SIZE_MAX if it is not
 * base64. */
size_t tfm__base64(const uint8_t *text, size_t length, uint8_t *out);
int tfm__base64_digit(uint8_t c); /* its value, or -1 */

/* ---- work.c: what one call needs besides its output ---- */

typedef struct tfm__symbol {
    uint32_t start, length; /* of its text in the piece; length 0: merged away */
    int32_t id;             /* -1: no token; -2 - id: a frozen one */
    uint32_t previous, next;
    uint32_t rank;  /* of the pair with the next one; UINT32_MAX: they do not merge */
    int32_t merged; /* what that pair becomes */
    uint32_t unused;
} tfm__symbol;

/* Where ids go. ends, where offsets are wanted: for each id, where it ends in the text that the model was
 * given, as uint32_t; each begins where the one before ends, or shares its range if both end there. An
 * unknown that melts into the one before moves that one's end. */
typedef struct tfm__sink {
    tfm__buffer *ids;  /* int32_t */
    tfm__buffer *ends; /* uint32_t, or NULL */
    uint32_t base;     /* added to every end: where the piece lies in the caller's text */
} tfm__sink;

/* Appends an id that ends at end of the piece. False: memory refused. */
static inline bool tfm__sink_put(tfm__sink *sink, int32_t id, uint32_t end) {
    end += sink->base;
    return tfm__buffer_append(sink->ids, &id, sizeof id) &&
           (!sink->ends || tfm__buffer_append(sink->ends, &end, sizeof end));
}

/* Moves the end of the last id. */
static inline void tfm__sink_extend(tfm__sink *sink, uint32_t end) {
    end += sink->base;
    if (sink->ends) memcpy(sink->ends->data + sink->ends->size - sizeof end, &end, sizeof end);
}

/* Taken from the tokenizer at the beginning of a call and given back at its end, so that what was remembered
 * serves the next call. Only one thread has it at a time. */
typedef struct tfm__work {
    tfm__heap *heap;
    tfm__symbol *symbols;
    size_t symbol_capacity;
    uint64_t *candidates; /* heap of rank << 32 | place of the left symbol */
    size_t candidate_count, candidate_capacity;
    struct tfm__compose *compose;        /* characters and pairs of tokens (compose.c), or NULL */
    struct tfm__pieces *pieces;          /* remembered pieces and their ids (pieces.c), or NULL */
    tfm__buffer texts[2], spans[2];      /* normalising: two in turn */
    tfm__buffer normal[2];               /* normalising: characters of a stretch, their parts */
    tfm__buffer stage_cuts[TFM__STAGES]; /* stages that find matches: their segments */
    tfm__buffer stage_text[TFM__STAGES], stage_spans[TFM__STAGES]; /* stages that rewrite their piece */
    tfm__buffer ids, ends;                                         /* output of one run */
    tfm__buffer lattice;              /* Unigram: best paths; WordPiece: candidates */
    struct tfm__regex_scratch *regex; /* PCRE2's match data (split_pcre.c), or NULL */
    uint32_t *unused_cut;             /* [vocab] where an UNUSED piece was last put together, or NULL */
    tfm__buffer resegment;            /* stack of slices */
    bool after_unknown;               /* the last id written was an unknown that the next one melts into */
    bool at_front;                    /* run.c: the piece begins with the space put in front of the text */
} tfm__work;

/* An idle one or a new one; NULL: memory refused. */
tfm__work *tfm__work_take(const tfm_tokenizer *tokenizer);
/* Keeps it for the next call, or frees it if there are enough. */
void tfm__work_give(const tfm_tokenizer *tokenizer, tfm__work *work);
void tfm__work_free(tfm__work *work); /* NULL is fine */

/* ---- model.c: a piece to ids, whatever the model ---- */

/* Turns one piece into ids. */
int32_t tfm__model_piece(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *piece, size_t length,
                         tfm__sink *sink, tfm_error *error);

/* An id that a whole piece may become without merging, given the token with the piece's key (-1: none), or
 * -1. Where tokenizer->whole is not TFM__WHOLE_NEVER. */
int32_t tfm__model_whole(const tfm_tokenizer *tokenizer, int32_t id);

/* The same for byte-level BPE and a piece that is not remembered: without a look at what is. */
int32_t tfm__model_new_piece(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *piece,
                             size_t length, tfm__sink *sink, tfm_error *error);

/* Cuts a text in normal form into pieces and turns each into ids; first: the text begins the whole text. With
 * sink->ends, the ends are in the text given here only if the stages rewrite nothing (tfm__stages_rewrite);
 * otherwise use tfm__split with tfm__model_piece. */
int32_t tfm__model_text(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *text, size_t length,
                        bool first, tfm__sink *sink, tfm_error *error);

/* ---- merge.c: BPE ---- */

/* Merges one piece and appends its ids. */
int32_t tfm__merge(const tfm_tokenizer *tokenizer, tfm__work *work, const uint8_t *piece, size_t length,
                   tfm__sink *sink, tfm_error *error);

/* ---- merge_bytes.c: BPE over bytes ---- */

#define TFM__MERGE_BYTES 32

/* Tables for what follows, where the tokenizer is such. */
int32_t tfm__merge_prepare(tfm_tokenizer *tokenizer, tfm_error *error);

/* Merges a piece of 1 to TFM__MERGE_BYTES bytes, with tokenizer->byte_pairs; writes its ids, at most length,
 * and returns how many. */
size_t tfm__merge_bytes(const tfm_tokenizer *tokenizer, const uint8_t *piece, size_t length, int32_t *ids);

/* Merges a longer piece by parts: each on its own, and once more where neighbouring tokens of two parts do
 * not stay what they are (compose.c says why that is enough). Writes at most length ids and returns how many;
 * 0: it cannot be told this way. */
size_t tfm__merge_chunks(const tfm_tokenizer *tokenizer, const uint8_t *piece, size_t length, int32_t *ids);

/* Many pieces of 1 to 15 bytes, whose merging takes turns, so that they wait for memory together. */
typedef struct tfm__merge_job {
    const uint8_t *piece;
    uint32_t length, count; /* of bytes; of ids, when done */
    int32_t ids[15];
} tfm__merge_job;
void tfm__merge_many(const tfm_tokenizer *tokenizer, tfm__merge_job *jobs, size_t count);

/* ---- split.c: a text to pieces ---- */

/* Cuts a text with the tokenizer's stages and hands each piece to fn, in order, until it returns something
 * else than TFM_OK, which is returned. first: the text begins the whole text (Metaspace's "first"). */
typedef int32_t (*tfm__piece_fn)(void *arg, const tfm__aligned *piece);
int32_t tfm__split(const tfm_tokenizer *tokenizer, tfm__work *work, const tfm__aligned *text, bool first,
                   tfm__piece_fn fn, void *arg, tfm_error *error);

/* Whether the pieces, one behind the other, are not the text: some stage changes bytes or leaves some out. */
bool tfm__stages_rewrite(const tfm_tokenizer *tokenizer);

/* ---- normalize.c ---- */

/* All steps; the result is in one of the work's texts, or is the text itself. */
int32_t tfm__normalize(const tfm_tokenizer *tokenizer, tfm__work *work, const tfm__aligned *text,
                       tfm__aligned *out, tfm_error *error);
/* Takes SentencePiece's precompiled_charsmap. */
int32_t tfm__spm_charsmap(tfm_tokenizer *tokenizer, const uint8_t *data, size_t size, const char *file,
                          tfm_error *error);

/* ---- Loaders: each fills a new tokenizer, to be finished by the caller ---- */

typedef struct tfm__loaded_text {
    const uint8_t *data;
    size_t size;
    const char *name;
} tfm__loaded_text;

int32_t tfm__load_gguf(tfm_tokenizer *tokenizer, const tfm__container *container, tfm_error *error);
int32_t tfm__load_hf(tfm_tokenizer *tokenizer, const tfm__loaded_text *file, tfm_error *error);
bool tfm__is_spm(const uint8_t *data, size_t size);
int32_t tfm__load_spm(tfm_tokenizer *tokenizer, const tfm__loaded_text *file, tfm_error *error);
/* Marian: the pieces of source.spm with the ids of vocab.json, which has the target's pieces too. Pieces
 * without an id are unknown; a run of characters without a piece is looked up as a token. Source: the format
 * of OPUS-MT's folders in Hugging Face transformers. */
int32_t tfm__load_marian(tfm_tokenizer *tokenizer, const tfm__loaded_text *vocab, const tfm__loaded_text *spm,
                         tfm_error *error);
bool tfm__is_tiktoken(const uint8_t *data, size_t size);
int32_t tfm__load_tiktoken(tfm_tokenizer *tokenizer, const tfm__loaded_text *file,
                           const tfm_tokenizer_options *options, tfm_error *error);
bool tfm__is_llama2c(const uint8_t *data, size_t size);
int32_t tfm__load_llama2c(tfm_tokenizer *tokenizer, const tfm__loaded_text *file, tfm_error *error);

#endif
