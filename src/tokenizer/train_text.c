/* train_text.c - where the text of training comes from, and counting its pieces on a pool. Called by the two
 * trainers.
 *
 * Text is taken in rounds of some megabytes: a stretch of a mapped file, or pieces of the callback copied
 * together. A round is cut into chunks of whole units, which the threads take one by one. Each thread counts
 * into a table of its own and takes no memory; when it lacks room all stop at their next unit, the caller
 * makes room, and the round goes on. At the end the tables are added up. */
#include "tokenizer/train.h"

#define CHUNK_BYTES ((size_t)64 << 10)
#define ROUND_BYTES ((size_t)2 << 20) /* for each thread: between two polls */
#define ROUND_CHUNKS ((size_t)1 << 14)

typedef struct chunk {
    const uint8_t *text;
    size_t length;
} chunk;

typedef struct reading {
    tfm__trainer *trainer;
    const tfm__count_plan *plan;
    tfm__train_slot *slots;
    size_t slot_count;
    tfm__buffer chunks; /* chunk */
    size_t chunk_count;
    atomic_size_t next;
    atomic_bool stop; /* a slot lacks room */
    const char *name; /* of the text: the file, or NULL */
    uint64_t base;    /* offset of the round's first byte in it */
} reading;

static const chunk *chunk_at(const reading *r, size_t index) {
    return (const chunk *)(const void *)r->chunks.data + index;
}

static bool is_ascii(const uint8_t *text, size_t length) {
    uint64_t all = 0;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, 8);
        all |= word;
    }
    for (; i < length; i++) all |= text[i];
    return !(all & 0x8080808080808080u);
}

/* ---- On the threads ---- */

/* Takes the next chunk. False: there is none. */
static bool take(reading *r, tfm__train_slot *slot) {
    size_t index = atomic_fetch_add(&r->next, 1);
    const chunk *c;
    if (index >= r->chunk_count) return false;
    c = chunk_at(r, index);
    slot->chunk = index;
    slot->at = 0;
    slot->done = 0;
    if (r->plan->check && !is_ascii(c->text, c->length)) {
        size_t valid = tfm__utf8_valid(c->text, c->length);
        if (valid < c->length && index < slot->bad_chunk) {
            slot->bad_chunk = index;
            slot->bad_at = valid;
        }
        if (valid < c->length) slot->at = c->length; /* the call fails: there is nothing to count */
    }
    return true;
}

/* Counts the slot's chunk from the unit at hand on. False: stopped. */
static bool finish_chunk(reading *r, tfm__train_slot *slot) {
    const chunk *c = chunk_at(r, slot->chunk);
    while (slot->at < c->length) {
        const uint8_t *unit = c->text + slot->at;
        size_t left = c->length - slot->at, length = left, whole = left;
        if (atomic_load_explicit(&r->stop, memory_order_relaxed)) return false;
        if (r->plan->unit == TFM_TRAIN_UNIT_LINE) {
            const uint8_t *feed = memchr(unit, '\n', left);
            if (feed) {
                whole = (size_t)(feed - unit) + 1;
                length = whole - !r->plan->keep_feed;
            }
        }
        slot->seen = 0;
        if (length && !r->plan->count(slot, unit, length)) {
            atomic_store(&r->stop, true);
            return false;
        }
        slot->done = 0;
        slot->at += whole;
    }
    slot->chunk = SIZE_MAX;
    return true;
}

static void work_on(void *arg, size_t index) {
    reading *r = arg;
    tfm__train_slot *slot = &r->slots[index];
    if (slot->rc || (slot->chunk != SIZE_MAX && !finish_chunk(r, slot))) return;
    while (!atomic_load_explicit(&r->stop, memory_order_relaxed) && take(r, slot))
        if (!finish_chunk(r, slot)) return;
}

/* ---- Rounds ---- */

static int32_t make_room(reading *r) {
    tfm__trainer *trainer = r->trainer;
    for (size_t i = 0; i < r->slot_count; i++) {
        tfm__train_slot *slot = &r->slots[i];
        if (slot->rc) {
            if (trainer->error) (void)tfm__fail(trainer->error, slot->rc, "%s", slot->error.message);
            return slot->rc;
        }
        if (slot->piece_wanted && !tfm__piece_table_grow(&slot->table, slot->piece_wanted))
            return tfm__fail_memory(trainer->error, trainer->heap, slot->piece_wanted);
        if (slot->scratch_wanted) {
            slot->scratch.size = 0;
            if (!tfm__buffer_reserve(&slot->scratch, slot->scratch_wanted))
                return tfm__fail_memory(trainer->error, trainer->heap, slot->scratch_wanted);
        }
        slot->piece_wanted = slot->scratch_wanted = 0;
    }
    return TFM_OK;
}

static bool work_left(const reading *r) {
    if (atomic_load(&r->next) < r->chunk_count) return true;
    for (size_t i = 0; i < r->slot_count; i++)
        if (r->slots[i].chunk != SIZE_MAX) return true;
    return false;
}

/* The first ill-formed byte of the round, whoever met it. */
static int32_t complain(const reading *r) {
    size_t chunk_index = SIZE_MAX, at = 0;
    for (size_t i = 0; i < r->slot_count; i++) {
        if (r->slots[i].bad_chunk >= chunk_index) continue;
        chunk_index = r->slots[i].bad_chunk;
        at = r->slots[i].bad_at;
    }
    if (chunk_index == SIZE_MAX) return TFM_OK;
    for (size_t i = 0; i < chunk_index; i++) at += chunk_at(r, i)->length;
    return tfm__fail_at(r->trainer->error, TFM_E_FORMAT, r->name ? r->name : "text", NULL, r->base + at,
                        "bytes that are not UTF-8");
}

/* Counts the chunks that are gathered, whose text has this many bytes. */
static int32_t run_round(reading *r, size_t bytes) {
    tfm__trainer *trainer = r->trainer;
    int32_t rc;
    r->chunk_count = r->chunks.size / sizeof(chunk);
    atomic_store(&r->next, 0);
    while (work_left(r)) {
        atomic_store(&r->stop, false);
        tfm__parallel(trainer->options.pool, r->slot_count, work_on, r);
        if ((rc = make_room(r)) != 0) return rc;
    }
    if ((rc = complain(r)) != 0) return rc;
    r->chunks.size = 0;
    r->base += bytes;
    trainer->text_bytes += bytes;
    return tfm__watch_poll(&trainer->watch, trainer->text_bytes,
                           trainer->text_total ? 2 * trainer->text_total : 0, trainer->error);
}

static int32_t put_chunk(reading *r, const uint8_t *text, size_t length) {
    chunk c = {text, length};
    if (!tfm__buffer_append(&r->chunks, &c, sizeof c))
        return tfm__fail_memory(r->trainer->error, r->trainer->heap, sizeof c);
    return TFM_OK;
}

static bool is_word(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* A place at or behind from where text can be cut so that its parts count as it does: behind a line, or,
 * within a unit that may be cut, behind a line feed between two letters or digits. The text's length if there
 * is none. */
static size_t cut_behind(const reading *r, const uint8_t *text, size_t length, size_t from) {
    bool lines = r->plan->unit == TFM_TRAIN_UNIT_LINE;
    if (from == 0 || from >= length || (!lines && !r->plan->may_cut)) return length;
    for (size_t at = from; at < length; at++) {
        const uint8_t *feed = memchr(text + at, '\n', length - at);
        if (!feed) break;
        at = (size_t)(feed - text);
        if (lines || (at + 1 < length && is_word(text[at - 1]) && is_word(text[at + 1]))) return at + 1;
    }
    return length;
}

static int32_t put_chunks(reading *r, const uint8_t *text, size_t length) {
    int32_t rc = TFM_OK;
    while (length && rc == TFM_OK) {
        size_t end = cut_behind(r, text, length, CHUNK_BYTES);
        rc = put_chunk(r, text, end);
        text += end;
        length -= end;
    }
    return rc;
}

static int32_t read_bytes(reading *r, const uint8_t *text, size_t length) {
    while (length) {
        size_t end = cut_behind(r, text, length, ROUND_BYTES * r->slot_count);
        int32_t rc;
        if ((rc = put_chunks(r, text, end)) != 0 || (rc = run_round(r, end)) != 0) return rc;
        text += end;
        length -= end;
    }
    return TFM_OK;
}

/* ---- Sources ---- */

static int32_t open_file(const tfm__trainer *trainer, const char *path, tfm__store *store, tfm__blob *blob) {
    tfm__read_options options = {.cancel = trainer->options.cancel};
    int32_t rc = tfm__store_open_path(store, trainer->heap, path, &options, trainer->error);
    if (rc) return rc;
    if (tfm__store_is_folder(store))
        rc = tfm__fail(trainer->error, TFM_E_ARGUMENT, "%.200s: a folder is no text", path);
    else
        rc = tfm__store_main(store, blob, trainer->error);
    if (rc == TFM_OK && blob->size > SIZE_MAX / 4) {
        tfm__blob_release(blob);
        rc = tfm__fail_memory(trainer->error, trainer->heap, SIZE_MAX);
    }
    if (rc) tfm__store_close(store);
    return rc;
}

static int32_t read_files(reading *r) {
    const tfm__train_source *source = r->plan->source;
    tfm__store store;
    tfm__blob blob;
    int32_t rc;
    for (size_t i = 0; i < source->file_count; i++) { /* their sizes, for the progress */
        if ((rc = open_file(r->trainer, source->files[i], &store, &blob)) != 0) return rc;
        r->trainer->text_total += blob.size;
        tfm__blob_release(&blob);
        tfm__store_close(&store);
    }
    for (size_t i = 0; i < source->file_count; i++) {
        if ((rc = open_file(r->trainer, source->files[i], &store, &blob)) != 0) return rc;
        r->name = source->files[i];
        r->base = 0;
        rc = read_bytes(r, blob.data, (size_t)blob.size);
        tfm__blob_release(&blob);
        tfm__store_close(&store);
        if (rc) return rc;
    }
    return TFM_OK;
}

/* Pieces of the callback are gathered until there are enough for a round; lengths of them lie in sizes. */
static int32_t run_gathered(reading *r, const tfm__buffer *text, tfm__buffer *sizes) {
    size_t at = 0;
    for (size_t i = 0; i < sizes->size; i += sizeof(size_t)) {
        size_t length;
        int32_t rc;
        memcpy(&length, sizes->data + i, sizeof length);
        if ((rc = put_chunks(r, text->data + at, length)) != 0) return rc;
        at += length;
    }
    sizes->size = 0;
    return run_round(r, at);
}

static int32_t read_callback(reading *r) {
    tfm__trainer *trainer = r->trainer;
    const tfm__train_source *source = r->plan->source;
    const size_t round = ROUND_BYTES * r->slot_count;
    tfm__buffer text, sizes;
    int32_t rc = TFM_OK;
    bool more = true;
    tfm__buffer_init(&text, trainer->heap);
    tfm__buffer_init(&sizes, trainer->heap);
    while (more && rc == TFM_OK) {
        const char *piece = NULL;
        size_t length = 0;
        if (source->next(source->user, &piece, &length)) {
            rc = tfm__fail(trainer->error, TFM_E_CANCELLED, "stopped by the callback that hands out text");
            break;
        }
        more = piece != NULL;
        if (more && (!tfm__buffer_append(&text, piece, length) ||
                     !tfm__buffer_append(&sizes, &length, sizeof length)))
            rc = tfm__fail_memory(trainer->error, trainer->heap, length);
        if (rc == TFM_OK && (!more || text.size >= round || sizes.size >= ROUND_CHUNKS * sizeof length)) {
            rc = run_gathered(r, &text, &sizes);
            text.size = 0;
        }
    }
    trainer->text_total = trainer->text_bytes;
    tfm__buffer_free(&text);
    tfm__buffer_free(&sizes);
    return rc;
}

/* ---- All of it ---- */

static int32_t make_slots(reading *r) {
    tfm__trainer *trainer = r->trainer;
    r->slots = tfm__alloc_array(trainer->heap, r->slot_count, sizeof *r->slots);
    if (!r->slots) return tfm__fail_memory(trainer->error, trainer->heap, r->slot_count * sizeof *r->slots);
    for (size_t i = 0; i < r->slot_count; i++) {
        tfm__train_slot *slot = &r->slots[i];
        tfm__buffer_init(&slot->scratch, trainer->heap);
        slot->chunk = slot->bad_chunk = SIZE_MAX;
        slot->error.struct_size = sizeof slot->error;
    }
    for (size_t i = 0; i < r->slot_count; i++) {
        tfm__train_slot *slot = &r->slots[i];
        if (!tfm__piece_table_init(&slot->table, trainer->heap))
            return tfm__fail_memory(trainer->error, trainer->heap, 0);
        if (r->plan->slot_init) {
            int32_t rc = r->plan->slot_init(trainer, slot, r->plan->arg);
            if (rc) return rc;
        }
    }
    return TFM_OK;
}

int32_t tfm__train_read(tfm__trainer *trainer, const tfm__count_plan *plan, tfm__piece_table *table) {
    reading r = {.trainer = trainer, .plan = plan, .slot_count = tfm_pool_threads(trainer->options.pool)};
    int32_t rc;
    tfm__buffer_init(&r.chunks, trainer->heap);
    rc = make_slots(&r);
    if (rc == TFM_OK) rc = plan->source->next ? read_callback(&r) : read_files(&r);
    for (size_t i = 0; r.slots && i < r.slot_count; i++) {
        tfm__train_slot *slot = &r.slots[i];
        if (rc == TFM_OK && !tfm__piece_table_join(table, &slot->table))
            rc = tfm__fail_memory(trainer->error, trainer->heap, 0);
        if (plan->slot_done) plan->slot_done(trainer, slot, plan->arg);
        tfm__piece_table_free(&slot->table);
        tfm__buffer_free(&slot->scratch);
    }
    tfm__free(trainer->heap, r.slots);
    tfm__buffer_free(&r.chunks);
    return rc;
}

int32_t tfm__train_poll_merging(tfm__trainer *trainer, uint64_t part, uint64_t whole) {
    const uint64_t total = TFM__MAX(trainer->text_total, 1);
    double share = whole ? (double)TFM__MIN(part, whole) / (double)whole : 1.0;
    uint64_t done = total + (uint64_t)((double)total * share);
    return tfm__watch_poll(&trainer->watch, part >= whole ? 2 * total : TFM__MIN(done, 2 * total - 1),
                           2 * total, trainer->error);
}
