/* train.h - what the parts of training share; private to this folder.
 *
 *   train_text.c   where text comes from, cut into chunks of whole units that threads take
 *   train_table.c  different pieces of text and how often they occur
 *   train_merge.c  merging: words of symbols, counts of pairs, the best pair first
 *   train_bytes.c  byte-level BPE, as Hugging Face's trainer has it
 *   train_spm.c    SentencePiece's BPE
 *   train.c        the options, and the whole
 *
 * No thread but the caller's takes memory: a thread of the pool that lacks room stops, the caller makes room,
 * and the thread goes on where it was. What is counted does not depend on who counts it, and nothing that is
 * decided depends on the order of a table. */
#ifndef TFM__TRAIN_H
#define TFM__TRAIN_H

#include "base/threads.h"
#include "tfm/tokenizer_train.h"
#include "tokenizer/internal.h"

typedef struct tfm__trainer {
    tfm_tokenizer_train_options options; /* checked, defaults filled in */
    tfm__heap *heap;
    tfm__watch watch;
    uint64_t text_bytes, text_total; /* progress: read, and to be read (0: unknown) */
    tfm_error *error;
} tfm__trainer;

/* ---- train_table.c ---- */

/* A piece of at most 15 bytes lies in its entry: the length is the top byte of high. */
typedef struct tfm__short_piece {
    uint64_t low, high, count; /* count 0: empty */
} tfm__short_piece;

typedef struct tfm__long_piece {
    uint64_t hash, count, offset; /* of its bytes in text */
    uint32_t length, unused;
} tfm__long_piece;

typedef struct tfm__piece_table {
    tfm__heap *heap;
    tfm__short_piece *shorts; /* [short_mask + 1] */
    tfm__long_piece *longs;   /* [long_mask + 1] */
    size_t short_mask, short_count, long_mask, long_count;
    uint8_t *text;
    size_t text_size, text_capacity;
} tfm__piece_table;

bool tfm__piece_table_init(tfm__piece_table *table, tfm__heap *heap); /* false: memory refused */
void tfm__piece_table_free(tfm__piece_table *table);
/* Counts a piece (1 to UINT32_MAX bytes) times times. False: there is no room, nothing was counted. */
bool tfm__piece_table_add(tfm__piece_table *table, const uint8_t *piece, size_t length, uint64_t times);
/* Makes room for a piece of this length, and more. */
bool tfm__piece_table_grow(tfm__piece_table *table, size_t length);
/* Adds the counts of another table. False: memory refused. */
bool tfm__piece_table_join(tfm__piece_table *table, const tfm__piece_table *other);

/* Walks over the entries in no order that means anything: *at begins with 0. False: that was all. bytes is
 * valid until the table changes, or the next call. */
typedef struct tfm__piece_walk {
    size_t at;
    uint8_t bytes[16];
} tfm__piece_walk;
bool tfm__piece_table_next(const tfm__piece_table *table, tfm__piece_walk *walk, const uint8_t **bytes,
                           size_t *length, uint64_t *count);

/* ---- train_text.c ---- */

/* One thread's place: a table, scratch, and how far it is. */
typedef struct tfm__train_slot {
    tfm__piece_table table;
    tfm__buffer scratch;                 /* a unit rewritten; grown by the caller to scratch_wanted */
    size_t scratch_wanted, piece_wanted; /* bytes; what the unit lacked room for */
    tfm__work *work;                     /* for splitters of several stages */
    uint64_t done;                       /* pieces of the unit at hand that are counted already */
    uint64_t seen;                       /* pieces of it met in this try */
    size_t chunk, at;         /* the chunk at hand and the unit's place in it; chunk SIZE_MAX: none */
    size_t bad_chunk, bad_at; /* the first ill-formed byte met; SIZE_MAX: none */
    int32_t rc;               /* a failure of the splitter, told in error */
    tfm_error error;
    void *arg; /* of the unit function */
} tfm__train_slot;

/* Counts the pieces of one unit into the slot's table with tfm__train_count. False: it lacked room or failed
 * (rc). */
typedef bool (*tfm__unit_fn)(tfm__train_slot *slot, const uint8_t *text, size_t length);

/* Counts one piece, unless an earlier try already did. */
static inline bool tfm__train_count(tfm__train_slot *slot, const uint8_t *piece, size_t length) {
    if (slot->seen++ < slot->done) return true;
    if (length > UINT32_MAX) {
        slot->rc = tfm__fail(&slot->error, TFM_E_UNSUPPORTED, "a piece of text of %zu bytes", length);
        return false;
    }
    if (!tfm__piece_table_add(&slot->table, piece, length, 1)) {
        slot->piece_wanted = length;
        return false;
    }
    slot->done++;
    return true;
}

typedef struct tfm__train_source {
    const char *const *files;
    size_t file_count;
    tfm_text_fn next; /* instead of files */
    void *user;
} tfm__train_source;

/* Reads all text and counts its pieces into table (initialised). unit: TFM_TRAIN_UNIT_*; a line's feed
 * belongs to it if keep_feed. check: refuse ill-formed UTF-8. slot_init, if any, prepares each slot,
 * slot_done takes it down. */
typedef struct tfm__count_plan {
    const tfm__train_source *source;
    int32_t unit;
    bool keep_feed, check;
    bool may_cut; /* a unit counts as its parts do, cut behind a line feed between two letters or digits */
    tfm__unit_fn count;
    int32_t (*slot_init)(tfm__trainer *trainer, tfm__train_slot *slot, void *arg);
    void (*slot_done)(tfm__trainer *trainer, tfm__train_slot *slot, void *arg);
    void *arg;
} tfm__count_plan;
int32_t tfm__train_read(tfm__trainer *trainer, const tfm__count_plan *plan, tfm__piece_table *table);

/* ---- train_merge.c ---- */

typedef struct tfm__train_word {
    size_t offset; /* into symbols */
    uint32_t length, unused;
    uint64_t count;
} tfm__train_word;

/* Symbols are numbered from 0; the texts of all lie in blob. */
typedef struct tfm__merger {
    tfm__trainer *trainer;
    tfm__heap *heap;
    tfm__buffer blob;
    tfm__buffer texts;   /* tfm__slice by symbol */
    tfm__buffer lengths; /* uint32_t by symbol: bytes (byte-level) or characters */
    tfm__buffer symbols; /* uint32_t: all words */
    tfm__buffer words;   /* tfm__train_word */
    tfm__buffer merges;  /* uint64_t: left << 32 | right, in order */
    tfm__buffer made;    /* uint32_t: the symbol that each merge makes */
    tfm__map by_text;    /* hash of a text -> symbol + 1, chained by next_of_hash */
    tfm__buffer next_of_hash;
    size_t vocab_size; /* symbols at which merging ends */
    uint64_t min_frequency;
    size_t max_length; /* byte-level: 0 or the bound on lengths */
    /* SentencePiece: equal counts are told apart by length and text; a text is made once; some pairs are no
     * pieces */
    bool by_length;
    bool (*valid)(void *arg, const uint8_t *left, size_t left_length, const uint8_t *right,
                  size_t right_length, size_t characters);
    void *valid_arg;
} tfm__merger;

void tfm__merger_init(tfm__merger *merger, tfm__trainer *trainer);
void tfm__merger_free(tfm__merger *merger);
/* Adds a symbol; length: see lengths. Or finds the one of the same text. */
int32_t tfm__merger_symbol(tfm__merger *merger, const void *text, size_t size, uint32_t length,
                           uint32_t *symbol);
/* The symbol of a text, or -1. */
int64_t tfm__merger_find(const tfm__merger *merger, const void *text, size_t size);
size_t tfm__merger_symbols(const tfm__merger *merger);
const uint8_t *tfm__merger_text(const tfm__merger *merger, uint32_t symbol, size_t *size);
/* Merges until vocab_size symbols are there or nothing is left to merge. */
int32_t tfm__merger_run(tfm__merger *merger);

/* Reports how far merging is: part of whole. */
int32_t tfm__train_poll_merging(tfm__trainer *trainer, uint64_t part, uint64_t whole);

/* ---- The kinds ---- */

int32_t tfm__train_bytes(tfm__trainer *trainer, const tfm__train_source *source, tfm_tokenizer **out);
int32_t tfm__train_spm(tfm__trainer *trainer, const tfm__train_source *source, tfm_tokenizer **out);

/* The whole; options are checked here. */
int32_t tfm__train(const tfm__train_source *source, const tfm_tokenizer_train_options *options,
                   tfm__heap *heap, tfm_tokenizer **out, tfm_error *error);

#endif
