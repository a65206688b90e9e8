/* train_bytes.c - training byte-level BPE, as Hugging Face's BpeTrainer does it with a ByteLevel
 * pre-tokenizer. Called by train.c.
 *
 * Units are cut into pieces by the pattern; the tokens are, in this order, the special ones, the bytes of the
 * alphabet in the order of the signs that stand for them, and what the merges make. Bytes outside the
 * alphabet are taken out of their piece, so that their neighbours meet. Texts are compared as they are
 * spelled in the byte alphabet, so that a special token that is spelled like a merged one is that one.
 * Source: tokenizers 0.23 (models/bpe/trainer.rs). */
#include "tokenizer/save.h"
#include "tokenizer/train.h"

/* Splits with a tokenizer that has nothing but stages. */
typedef struct splitting {
    tfm_tokenizer *splitter;
    bool prefix_space;
} splitting;

/* ---- Pieces of a unit ---- */

static int32_t count_piece(void *arg, const tfm__aligned *piece) {
    return tfm__train_count(arg, piece->data, piece->length) ? TFM_OK : TFM_E_STATE;
}

static bool count_stages(tfm__train_slot *slot, const splitting *s, const uint8_t *text, size_t length) {
    tfm__aligned aligned = {.data = text, .length = length};
    int32_t rc = tfm__split(s->splitter, slot->work, &aligned, true, count_piece, slot, &slot->error);
    if (rc && !slot->piece_wanted) slot->rc = rc;
    return rc == TFM_OK;
}

static bool count_unit(tfm__train_slot *slot, const uint8_t *text, size_t length) {
    const splitting *s = slot->arg;
    const tfm__stage *stage = &s->splitter->splitter.stages[0];
    size_t piece;
    if (s->prefix_space && text[0] != ' ') {
        if (slot->scratch.capacity <= length) {
            slot->scratch_wanted = length + 1;
            return false;
        }
        slot->scratch.data[0] = ' ';
        memcpy(slot->scratch.data + 1, text, length++);
        text = slot->scratch.data;
    }
    if (s->splitter->splitter.count == 0) return tfm__train_count(slot, text, length);
    if (s->splitter->splitter.count > 1 || stage->kind >= TFM__STAGE_REGEX)
        return count_stages(slot, s, text, length);
    for (; length; text += piece, length -= piece) {
        piece = tfm__split_next(stage, text, length);
        if (!tfm__train_count(slot, text, piece)) return false;
    }
    return true;
}

static int32_t pass_over(void *arg, const tfm__aligned *piece) {
    (void)arg;
    (void)piece;
    return TFM_OK;
}

/* What splitting needs is taken here, by splitting a text once: on the threads nothing is (train.h). */
static int32_t slot_init(tfm__trainer *trainer, tfm__train_slot *slot, void *arg) {
    const splitting *s = arg;
    const tfm__aligned text = {.data = (const uint8_t *)"a", .length = 1};
    slot->arg = arg;
    slot->work = tfm__work_take(s->splitter);
    if (!slot->work) return tfm__fail_memory(trainer->error, trainer->heap, sizeof *slot->work);
    return tfm__split(s->splitter, slot->work, &text, true, pass_over, NULL, trainer->error);
}

static void slot_done(tfm__trainer *trainer, tfm__train_slot *slot, void *arg) {
    (void)trainer;
    (void)arg;
    tfm__work_free(slot->work);
}

/* ---- The pattern ---- */

/* The stage of a pattern that has a name or is known by its spelling; false: another. */
static bool known_pattern(const char *pattern, tfm__stage *stage) {
    const char *name;
    tfm__splitter named;
    bool covers;
    if (tfm__split_for_name(pattern, &named)) {
        *stage = named.stages[0];
        return named.count == 1;
    }
    return tfm__split_for_regex(pattern, strlen(pattern), stage, &covers, &name);
}

/* Sets the splitter and, in the form, the spelling of what it does. */
static int32_t take_pattern(tfm__trainer *trainer, splitting *s, tfm__saved *form) {
    const char *pattern = trainer->options.pattern;
    tfm__stage stage = {0};
    tfm_tokenizer *t = s->splitter;
    if (!*pattern) return TFM_OK;
    if (known_pattern(pattern, &stage)) {
        form->pattern = tfm__split_spelling(&stage);
    } else {
        int32_t rc;
        if (trainer->options.invalid_utf8 == TFM_UTF8_KEEP)
            return tfm__fail(trainer->error, TFM_E_ARGUMENT,
                             "a regular expression does not go with text that is not UTF-8 (invalid_utf8)");
        t->regexes = tfm__alloc_array(t->heap, 1, sizeof *t->regexes);
        if (!t->regexes) return tfm__fail_memory(trainer->error, t->heap, sizeof *t->regexes);
        rc = tfm__regex_compile(t->heap, pattern, strlen(pattern), TFM__REGEX_ONIGURUMA, "pattern",
                                &t->regexes[0], trainer->error);
        if (rc) return rc;
        t->regex_count = 1;
        stage.kind = TFM__STAGE_REGEX;
        form->pattern = pattern;
    }
    if (!form->pattern) return tfm__fail(trainer->error, TFM_E_INTERNAL, "a pattern without a spelling");
    if (s->prefix_space && stage.kind != TFM__SPLIT_GPT2)
        return tfm__fail(
            trainer->error, TFM_E_ARGUMENT,
            "add_prefix_space goes with the pattern \"gpt2\" or none, since tokenizer.json cannot say more");
    t->splitter.stages[0] = stage;
    t->splitter.count = 1;
    return TFM_OK;
}

/* ---- The alphabet ---- */

typedef struct byte_count {
    uint64_t count;
    uint32_t code; /* of the sign that stands for the byte */
    uint8_t byte;
    bool kept;
} byte_count;

static void count_bytes(const tfm__trainer *trainer, const tfm__piece_table *table, byte_count counts[256]) {
    const tfm_tokenizer_train_options *o = &trainer->options;
    tfm__piece_walk walk = {0, {0}};
    const uint8_t *bytes;
    size_t length;
    uint64_t count;
    for (int i = 0; i < 256; i++)
        counts[i] = (byte_count){0, tfm__alphabet_code((uint8_t)i), (uint8_t)i, false};
    while (tfm__piece_table_next(table, &walk, &bytes, &length, &count))
        for (size_t i = 0; i < length; i++) counts[bytes[i]].count += count;
    for (size_t i = 0; i < o->initial_count; i++) counts[o->initial_alphabet[i]].count = UINT64_MAX;
    for (int i = 0; i < 256 && o->alphabet == TFM_TRAIN_ALPHABET_BYTES; i++) counts[i].count = UINT64_MAX;
}

/* Keeps the most frequent; of equals those whose sign has the lower code. */
static void limit_alphabet(byte_count counts[256], size_t limit) {
    for (size_t n = 0; n < 256 && (limit == 0 || n < limit); n++) {
        byte_count *best = NULL;
        for (int i = 0; i < 256; i++) {
            byte_count *c = &counts[i];
            if (c->kept || c->count == 0) continue;
            if (!best || c->count > best->count || (c->count == best->count && c->code < best->code))
                best = c;
        }
        if (!best) return;
        best->kept = true;
    }
}

static int32_t add_alphabet(const byte_count counts[256], tfm__merger *merger) {
    for (uint32_t code = 0; code < 0x144; code++) {
        for (int i = 0; i < 256; i++) {
            uint8_t sign[4];
            uint32_t symbol;
            int32_t rc;
            if (counts[i].code != code || !counts[i].kept) continue;
            rc = tfm__merger_symbol(merger, sign, tfm__utf8_write(code, sign), 1, &symbol);
            if (rc) return rc;
        }
    }
    return TFM_OK;
}

/* ---- Words ---- */

static int32_t add_words(tfm__trainer *trainer, const tfm__piece_table *table, tfm__merger *merger) {
    int64_t symbol_of[256];
    tfm__piece_walk walk = {0, {0}};
    const uint8_t *bytes;
    size_t length;
    uint64_t count;
    for (int i = 0; i < 256; i++) {
        uint8_t sign[4];
        symbol_of[i] = tfm__merger_find(merger, sign, tfm__utf8_write(tfm__alphabet_code((uint8_t)i), sign));
    }
    while (tfm__piece_table_next(table, &walk, &bytes, &length, &count)) {
        tfm__train_word word = {merger->symbols.size / sizeof(uint32_t), 0, 0, count};
        if (length < 2) continue;
        if (!tfm__buffer_reserve(&merger->symbols, length * sizeof(uint32_t)))
            return tfm__fail_memory(trainer->error, trainer->heap, length * sizeof(uint32_t));
        for (size_t i = 0; i < length; i++) {
            uint32_t symbol = (uint32_t)symbol_of[bytes[i]];
            if (symbol_of[bytes[i]] < 0) continue;
            (void)tfm__buffer_append(&merger->symbols, &symbol, sizeof symbol); /* reserved above */
            word.length++;
        }
        if (word.length < 2) {
            merger->symbols.size = word.offset * sizeof(uint32_t);
            continue;
        }
        if (!tfm__buffer_append(&merger->words, &word, sizeof word))
            return tfm__fail_memory(trainer->error, trainer->heap, sizeof word);
    }
    return TFM_OK;
}

/* ---- The result ---- */

/* Merges that stand twice count where they stand last. */
static int32_t form_merges(const tfm__merger *merger, tfm__saved *form) {
    size_t count = merger->merges.size / sizeof(uint64_t);
    tfm__map last = {0};
    bool ok =
        tfm__map_reserve(&last, form->heap, count) && tfm__buffer_reserve(&form->merges, merger->merges.size);
    for (size_t i = 0; i < count && ok; i++) {
        uint64_t merge;
        memcpy(&merge, merger->merges.data + i * sizeof merge, sizeof merge);
        ok = tfm__map_put(&last, form->heap, merge, i);
    }
    for (size_t i = 0; i < count && ok; i++) {
        uint64_t merge;
        memcpy(&merge, merger->merges.data + i * sizeof merge, sizeof merge);
        if (tfm__map_get(&last, merge) == i) ok = tfm__buffer_append(&form->merges, &merge, sizeof merge);
    }
    tfm__free(form->heap, last.slots);
    return ok ? TFM_OK : tfm__fail_memory(form->error, form->heap, count * sizeof(uint64_t));
}

static int32_t fill_form(tfm__trainer *trainer, const tfm__merger *merger, tfm__saved *form) {
    const tfm_tokenizer_train_options *o = &trainer->options;
    int32_t rc = TFM_OK;
    for (size_t id = 0; id < tfm__merger_symbols(merger) && rc == TFM_OK; id++) {
        size_t size;
        const uint8_t *text = tfm__merger_text(merger, (uint32_t)id, &size);
        rc = tfm__saved_token_add(form, text, size, TFM_TOKEN_NORMAL, 0);
    }
    for (size_t i = 0; i < o->special_count && rc == TFM_OK; i++) {
        const char *text = o->special_tokens[i];
        bool before = false;
        for (size_t j = 0; j < i; j++) before = before || strcmp(o->special_tokens[j], text) == 0;
        if (!before) rc = tfm__saved_special(form, (int32_t)tfm__merger_find(merger, text, strlen(text)));
    }
    return rc ? rc : form_merges(merger, form);
}

/* Writes the form as tokenizer.json and reads that, so that it and the file that is saved later cannot
 * differ. */
static int32_t tokenizer_of(tfm__trainer *trainer, const tfm__saved *form, tfm_tokenizer **out) {
    tfm__loaded_text file = {NULL, 0, "trained tokenizer"};
    tfm_tokenizer *t = NULL;
    tfm__buffer json;
    int32_t rc;
    tfm__buffer_init(&json, trainer->heap);
    rc = tfm__save_json(form, &json);
    if (rc == TFM_OK) rc = tfm__tokenizer_new(trainer->heap, &t, trainer->error);
    file.data = json.data;
    file.size = json.size;
    if (rc == TFM_OK) rc = tfm__load_hf(t, &file, trainer->error);
    if (rc == TFM_OK) rc = tfm__vocab_finish(t, trainer->error);
    if (rc == TFM_OK && form->splitter.count && form->splitter.stages[0].kind == TFM__STAGE_REGEX) {
        t->pattern = tfm__copy_text(trainer->heap, form->pattern, strlen(form->pattern));
        if (!t->pattern) rc = tfm__fail_memory(trainer->error, trainer->heap, strlen(form->pattern) + 1);
    }
    tfm__buffer_free(&json);
    if (rc)
        tfm__tokenizer_free(t);
    else
        *out = t;
    return rc;
}

/* Whether a line feed between two letters or digits is a piece of its own, whatever lies around. */
static bool cuts_at_feeds(const tfm__splitter *splitter) {
    const uint8_t kind = splitter->count == 1 ? splitter->stages[0].kind : 0;
    return splitter->count == 1 &&
           (kind == TFM__SPLIT_GPT2 || kind == TFM__SPLIT_CL100K || kind == TFM__SPLIT_O200K);
}

static int32_t count_and_merge(tfm__trainer *trainer, const tfm__train_source *source, splitting *s,
                               tfm__merger *merger, tfm__piece_table *table) {
    const tfm_tokenizer_train_options *o = &trainer->options;
    tfm__count_plan plan = {.source = source,
                            .unit = o->unit,
                            .keep_feed = true,
                            .count = count_unit,
                            .slot_init = slot_init,
                            .slot_done = slot_done,
                            .arg = s};
    byte_count counts[256];
    int32_t rc;
    plan.check = o->invalid_utf8 != TFM_UTF8_KEEP;
    plan.may_cut = !s->prefix_space && cuts_at_feeds(&s->splitter->splitter);
    if ((rc = tfm__train_read(trainer, &plan, table)) != 0) return rc;
    count_bytes(trainer, table, counts);
    limit_alphabet(counts, o->limit_alphabet);
    for (size_t i = 0; i < o->special_count; i++) {
        const char *text = o->special_tokens[i];
        uint32_t symbol, characters = 0;
        for (const char *c = text; *c; c++) characters += ((uint8_t)*c & 0xc0u) != 0x80;
        if ((rc = tfm__merger_symbol(merger, text, strlen(text), characters, &symbol)) != 0) return rc;
    }
    if ((rc = add_alphabet(counts, merger)) != 0) return rc;
    if ((rc = add_words(trainer, table, merger)) != 0) return rc;
    tfm__piece_table_free(table);
    merger->vocab_size = o->vocab_size;
    merger->min_frequency = o->min_frequency;
    merger->max_length = o->max_token_length;
    return tfm__merger_run(merger);
}

int32_t tfm__train_bytes(tfm__trainer *trainer, const tfm__train_source *source, tfm_tokenizer **out) {
    splitting s = {NULL, trainer->options.add_prefix_space == TFM_YES};
    tfm__piece_table table = {0};
    tfm__merger merger;
    tfm__saved form;
    int32_t rc;
    tfm__saved_init(&form, trainer->heap, trainer->error);
    tfm__merger_init(&merger, trainer);
    form.byte_level = true;
    form.prefix_space = s.prefix_space;
    rc = tfm__tokenizer_new(trainer->heap, &s.splitter, trainer->error);
    if (rc == TFM_OK) rc = take_pattern(trainer, &s, &form);
    if (rc == TFM_OK && !tfm__piece_table_init(&table, trainer->heap))
        rc = tfm__fail_memory(trainer->error, trainer->heap, 0);
    if (rc == TFM_OK) rc = count_and_merge(trainer, source, &s, &merger, &table);
    if (rc == TFM_OK) {
        form.splitter = s.splitter->splitter;
        rc = fill_form(trainer, &merger, &form);
    }
    tfm__piece_table_free(&table);
    tfm__merger_free(&merger);
    if (rc == TFM_OK) rc = tokenizer_of(trainer, &form, out);
    tfm__tokenizer_free(s.splitter);
    tfm__saved_free(&form);
    return rc;
}
