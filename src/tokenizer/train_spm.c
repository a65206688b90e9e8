/* train_spm.c - training SentencePiece's BPE, as its own trainer does it with identity normalisation. Called
 * by train.c.
 *
 * A sentence is normalised (normalize_spm.c); what is written like a meta piece becomes a border; the most
 * frequent characters become tokens, the others borders too; sentences are cut before marks (U+2581) into
 * words. Then pairs are merged (train_merge.c) as long as the result is an allowed piece. Ids: <unk>, <s>,
 * </s>, control and user-defined symbols, 256 bytes; merged pieces with the scores -0, -1, ...; characters,
 * the most frequent first. Source: sentencepiece 0.2.3 (trainer_interface.cc, bpe_model_trainer.cc). */
#include "tokenizer/normalize.h"
#include "tokenizer/save.h"
#include "tokenizer/sort.h"
#include "tokenizer/train.h"

#define BORDER 0x1f     /* in place of a meta piece */
#define UNKNOWN 0x2585u /* in place of a rare character */
#define UNKNOWN_TEXT "\xe2\x96\x85"
#define MARK_CODE 0x2581u

typedef struct spm {
    tfm__trainer *trainer;
    tfm_tokenizer *rules; /* holds the normaliser's settings, nothing else */
    tfm__trie meta;       /* meta pieces */
    tfm__buffer chars;    /* char_count */
    tfm__map char_at;     /* code -> place in chars */
    size_t kept;          /* the first of chars, once sorted: those that become tokens */
    bool digits, numbers, scripts, words, suffix, only_marks; /* the options' choices */
} spm;

typedef struct char_count {
    uint32_t code;
    bool required;
    uint64_t count;
} char_count;

static bool chosen(int32_t choice, bool otherwise) {
    return choice == TFM_DEFAULT ? otherwise : choice == TFM_YES;
}

static int32_t refused(const spm *s) { return tfm__fail_memory(s->trainer->error, s->trainer->heap, 0); }

/* ---- Sentences to words ---- */

static bool is_mark(const uint8_t *text, size_t length) {
    return length >= TFM__MARK_BYTES && memcmp(text, TFM__MARK, TFM__MARK_BYTES) == 0;
}

/* Where the next word begins: length 0 there is none. */
static size_t word_end(const spm *s, const uint8_t *text, size_t length) {
    bool marks = is_mark(text, length); /* the character before was one */
    size_t i = 0;
    uint32_t used;
    for (;;) {
        (void)tfm__utf8_read(text + i, length - i, &used);
        i += used;
        if (i == length) return length;
        bool next = is_mark(text + i, length - i);
        if (s->suffix ? marks && !(s->only_marks && next) : next && !(s->only_marks && marks)) return i;
        marks = next;
    }
}

static bool count_words(tfm__train_slot *slot, const spm *s, const uint8_t *text, size_t length) {
    if (!s->words) return length == 0 || tfm__train_count(slot, text, length);
    while (length) {
        size_t end = word_end(s, text, length);
        if (!tfm__train_count(slot, text, end)) return false;
        text += end;
        length -= end;
    }
    return true;
}

/* Puts borders in the place of meta pieces. */
static size_t replace_meta(const spm *s, uint8_t *text, size_t length) {
    size_t out = 0;
    for (size_t i = 0; i < length;) {
        int32_t value;
        uint32_t used;
        size_t meta = tfm__trie_longest(&s->meta, text + i, length - i, &value);
        if (meta) {
            text[out++] = BORDER;
            i += meta;
            continue;
        }
        (void)tfm__utf8_read(text + i, length - i, &used);
        memmove(text + out, text + i, used);
        out += used;
        i += used;
    }
    return out;
}

/* Whether a text holds the character that stands for unknown ones; then its sentence is passed over. */
static bool holds_unknown(const uint8_t *text, size_t length) {
    const uint8_t *end = text + length;
    while ((text = memchr(text, (uint8_t)UNKNOWN_TEXT[0], (size_t)(end - text))) != NULL && end - text >= 3) {
        if (memcmp(text, UNKNOWN_TEXT, 3) == 0) return true;
        text++;
    }
    return false;
}

static bool count_sentence(tfm__train_slot *slot, const uint8_t *text, size_t length) {
    const spm *s = slot->arg;
    const size_t room = 3 * length + 2 * TFM__MARK_BYTES + 64; /* each byte becomes at most three */
    tfm__aligned sentence = {.data = text, .length = length};
    tfm__rewriter out = {&slot->scratch, NULL, false};
    if (length > s->trainer->options.max_sentence_length || holds_unknown(text, length)) return true;
    if (slot->scratch.capacity < room) {
        slot->scratch_wanted = room;
        return false;
    }
    slot->scratch.size = 0;
    if (!tfm__spm_normalize(s->rules, &sentence, &out)) {
        slot->rc = tfm__fail(&slot->error, TFM_E_INTERNAL, "a sentence outgrew its room");
        return false;
    }
    return count_words(slot, s, slot->scratch.data, replace_meta(s, slot->scratch.data, slot->scratch.size));
}

static int32_t slot_init(tfm__trainer *trainer, tfm__train_slot *slot, void *arg) {
    (void)trainer;
    slot->arg = arg;
    return TFM_OK;
}

/* ---- Meta pieces ---- */

static int32_t add_meta(spm *s, tfm__saved *form, const char *text, int kind) {
    size_t length = strlen(text);
    int32_t other;
    if (tfm__trie_longest(&s->meta, (const uint8_t *)text, length, &other) == length)
        return tfm__fail(s->trainer->error, TFM_E_ARGUMENT, "the symbol '%.100s' is defined twice", text);
    if (!tfm__trie_put(&s->meta, s->trainer->heap, (const uint8_t *)text, length,
                       (int32_t)tfm__saved_count(form)))
        return refused(s);
    return tfm__saved_token_add(form, text, length, kind, 0);
}

/* <s> and </s> keep their ids, whatever list names them. */
static int32_t add_symbol(spm *s, tfm__saved *form, const char *text, int kind) {
    int32_t id = strcmp(text, "<s>") == 0 ? 1 : strcmp(text, "</s>") == 0 ? 2 : -1;
    tfm__saved_token token;
    if (id < 0) return add_meta(s, form, text, kind);
    token = tfm__saved_at(form, (size_t)id);
    token.kind = (uint8_t)kind;
    memcpy(form->tokens.data + (size_t)id * sizeof token, &token, sizeof token);
    return TFM_OK;
}

static int32_t add_all_meta(spm *s, tfm__saved *form) {
    static const char hex[] = "0123456789ABCDEF";
    const tfm_tokenizer_train_options *o = &s->trainer->options;
    int32_t rc = add_meta(s, form, "<unk>", TFM_TOKEN_UNKNOWN);
    if (rc == TFM_OK) rc = add_meta(s, form, "<s>", TFM_TOKEN_CONTROL);
    if (rc == TFM_OK) rc = add_meta(s, form, "</s>", TFM_TOKEN_CONTROL);
    for (size_t i = 0; i < o->special_count && rc == TFM_OK; i++)
        rc = add_symbol(s, form, o->special_tokens[i], TFM_TOKEN_CONTROL);
    for (size_t i = 0; i < o->user_count && rc == TFM_OK; i++)
        rc = add_symbol(s, form, o->user_symbols[i], TFM_TOKEN_USER);
    for (int i = 0; i < 256 && form->byte_fallback && rc == TFM_OK; i++) {
        char name[] = "<0x00>";
        name[3] = hex[i >> 4];
        name[4] = hex[i & 15];
        rc = add_meta(s, form, name, TFM_TOKEN_BYTE);
    }
    return rc;
}

/* ---- Characters ---- */

static int32_t char_of(spm *s, uint32_t code, char_count **out) {
    uint64_t at = s->char_at.slots ? tfm__map_get(&s->char_at, code) : UINT64_MAX;
    if (at == UINT64_MAX) {
        char_count fresh = {code, false, 0};
        at = s->chars.size / sizeof fresh;
        if (!tfm__buffer_append(&s->chars, &fresh, sizeof fresh) ||
            !tfm__map_put(&s->char_at, s->trainer->heap, code, at))
            return refused(s);
    }
    *out = (char_count *)(void *)s->chars.data + at;
    return TFM_OK;
}

static bool char_before(const void *one, const void *other, const void *arg) {
    const char_count *a = one, *b = other;
    (void)arg;
    if (a->required != b->required) return a->required;
    if (a->count != b->count) return a->count > b->count;
    return a->code < b->code;
}

static int32_t count_chars(spm *s, const tfm__piece_table *table, uint64_t *all) {
    const char *required = s->trainer->options.required_chars;
    tfm__piece_walk walk = {0, {0}};
    const uint8_t *bytes;
    size_t length;
    uint64_t count;
    uint32_t used;
    char_count *c;
    int32_t rc;
    *all = 0;
    for (size_t i = 0, n = required ? strlen(required) : 0; i < n; i += used) {
        uint32_t code = tfm__utf8_read((const uint8_t *)required + i, n - i, &used);
        if (code == UNKNOWN || code == ' ')
            return tfm__fail(s->trainer->error, TFM_E_ARGUMENT, "required_chars: a space or U+2585");
        if ((rc = char_of(s, code, &c)) != 0) return rc;
        c->required = true;
    }
    while (tfm__piece_table_next(table, &walk, &bytes, &length, &count))
        for (size_t i = 0; i < length; i += used) {
            uint32_t code = tfm__utf8_read(bytes + i, length - i, &used);
            if (code == 0) continue;
            if ((rc = char_of(s, code, &c)) != 0) return rc;
            c->count += count;
            *all += count;
        }
    return TFM_OK;
}

/* Keeps the characters that cover enough of the text: the first s->kept of s->chars. */
static int32_t choose_chars(spm *s, const tfm__piece_table *table) {
    const float enough = (float)s->trainer->options.character_coverage;
    char_count *list;
    size_t count;
    uint64_t all, covered = 0;
    int32_t rc = count_chars(s, table, &all);
    if (rc) return rc;
    list = (char_count *)(void *)s->chars.data;
    count = s->chars.size / sizeof *list;
    tfm__sort_items(list, count, sizeof *list, char_before, NULL);
    for (size_t i = 0; i < count; i++) {
        if ((float)(1.0 * (double)covered / (double)all) >= enough) break;
        covered += list[i].count;
        if (list[i].code != BORDER) list[s->kept++] = list[i];
    }
    for (size_t i = 0; i < s->kept; i++) list[i].required = false; /* among those kept it no longer counts */
    tfm__sort_items(list, s->kept, sizeof *list, char_before, NULL);
    return TFM_OK;
}

/* ---- Pieces ---- */

/* What is known of a piece while its characters are looked at one by one. */
typedef struct look {
    int before; /* script of the character before; -1: any */
    size_t at, characters;
    bool marks_only;
} look;

static bool is_digit(uint32_t code) {
    return (code >= 0x30 && code <= 0x39) || (code >= 0xff10 && code <= 0xff19);
}

/* Whether a mark may stand at this place. */
static bool mark_allowed(const spm *s, const look *l) {
    bool last = l->at + 1 == l->characters, first = l->at == 0;
    if (s->only_marks && l->marks_only) return true;
    if (s->suffix) return s->words ? last : last || !first;
    return s->words ? first : first || !last;
}

static bool char_allowed(const spm *s, look *l, uint32_t code) {
    int script;
    if (code == UNKNOWN || code == 0 || code == BORDER || code == ' ' || code == TFM__NO_CODE) return false;
    if (code == MARK_CODE) return mark_allowed(s, l);
    script = (int)tfm__unicode_script(code);
    if (script == TFM__SCRIPT_ANY) script = TFM__SCRIPT_COMMON;
    if (script == TFM__SCRIPT_INHERITED) script = l->before;
    if (is_digit(code)) {
        if (!s->numbers) script = -1;
        if (s->digits && l->characters > 1) return false;
    }
    if (s->scripts && script >= 0 && l->before >= 0 && l->before != script) return false;
    l->before = script;
    return true;
}

static bool all_marks(const uint8_t *text, size_t length) {
    for (; is_mark(text, length); text += TFM__MARK_BYTES) length -= TFM__MARK_BYTES;
    return length == 0;
}

static bool valid_piece(void *arg, const uint8_t *left, size_t left_length, const uint8_t *right,
                        size_t right_length, size_t characters) {
    const spm *s = arg;
    look l = {-1, 0, characters, false};
    uint32_t used;
    if (characters > s->trainer->options.max_piece_length) return false;
    l.marks_only = all_marks(left, left_length) && all_marks(right, right_length);
    for (size_t i = 0; i < left_length; i += used, l.at++)
        if (!char_allowed(s, &l, tfm__utf8_read(left + i, left_length - i, &used))) return false;
    for (size_t i = 0; i < right_length; i += used, l.at++)
        if (!char_allowed(s, &l, tfm__utf8_read(right + i, right_length - i, &used))) return false;
    return true;
}

/* ---- Words to symbols ---- */

typedef struct counted {
    size_t offset; /* of its text in texts */
    size_t length;
    uint64_t count;
} counted;

/* The order of the original: the most frequent first, then by text. */
static bool word_before(const void *one, const void *other, const void *texts) {
    const counted *a = one, *b = other;
    const uint8_t *bytes = texts;
    int order;
    if (a->count != b->count) return a->count > b->count;
    order = memcmp(bytes + a->offset, bytes + b->offset, TFM__MIN(a->length, b->length));
    return order ? order < 0 : a->length < b->length;
}

/* All words in order; their texts. */
static int32_t sort_words(const spm *s, const tfm__piece_table *table, tfm__buffer *texts,
                          tfm__buffer *words) {
    tfm__piece_walk walk = {0, {0}};
    const uint8_t *bytes;
    counted word;
    while (tfm__piece_table_next(table, &walk, &bytes, &word.length, &word.count)) {
        word.offset = texts->size;
        if (!tfm__buffer_append(texts, bytes, word.length) || !tfm__buffer_append(words, &word, sizeof word))
            return refused(s);
    }
    if (words->size)
        tfm__sort_items(words->data, words->size / sizeof word, sizeof word, word_before, texts->data);
    return TFM_OK;
}

/* Symbols are: 0 what is unknown, then the characters that are kept. */
static int32_t add_symbols(spm *s, tfm__merger *merger, tfm__map *symbol_of) {
    const char_count *list = (const char_count *)(const void *)s->chars.data;
    uint32_t symbol;
    int32_t rc = tfm__merger_symbol(merger, UNKNOWN_TEXT, 3, 1, &symbol);
    for (size_t i = 0; i < s->kept && rc == TFM_OK; i++) {
        uint8_t text[4];
        rc = tfm__merger_symbol(merger, text, tfm__utf8_write(list[i].code, text), 1, &symbol);
        if (rc == TFM_OK && !tfm__map_put(symbol_of, merger->heap, list[i].code, symbol)) return refused(s);
    }
    return rc;
}

static int32_t add_word(spm *s, tfm__merger *merger, const tfm__map *symbol_of, const uint8_t *text,
                        size_t length, uint64_t count) {
    tfm__train_word word = {merger->symbols.size / sizeof(uint32_t), 0, 0, count};
    uint32_t used;
    for (size_t i = 0; i < length; i += used) {
        uint32_t code = tfm__utf8_read(text + i, length - i, &used);
        uint64_t known = symbol_of->slots ? tfm__map_get(symbol_of, code) : UINT64_MAX;
        uint32_t symbol = known == UINT64_MAX ? 0 : (uint32_t)known;
        if (!tfm__buffer_append(&merger->symbols, &symbol, sizeof symbol)) return refused(s);
        word.length++;
    }
    if (word.length < 2) {
        merger->symbols.size = word.offset * sizeof(uint32_t);
        return TFM_OK;
    }
    return tfm__buffer_append(&merger->words, &word, sizeof word) ? TFM_OK : refused(s);
}

static int32_t add_words(spm *s, const tfm__piece_table *table, tfm__merger *merger) {
    tfm__map symbol_of = {0};
    tfm__buffer texts, words;
    int32_t rc;
    tfm__buffer_init(&texts, merger->heap);
    tfm__buffer_init(&words, merger->heap);
    rc = add_symbols(s, merger, &symbol_of);
    if (rc == TFM_OK) rc = sort_words(s, table, &texts, &words);
    for (size_t i = 0; i < words.size && rc == TFM_OK; i += sizeof(counted)) {
        counted word;
        memcpy(&word, words.data + i, sizeof word);
        rc = add_word(s, merger, &symbol_of, texts.data + word.offset, word.length, word.count);
    }
    tfm__buffer_free(&texts);
    tfm__buffer_free(&words);
    tfm__free(merger->heap, symbol_of.slots);
    return rc;
}

/* ---- The result ---- */

static int32_t fill_form(spm *s, const tfm__merger *merger, tfm__saved *form, size_t wanted) {
    const tfm_tokenizer_train_options *o = &s->trainer->options;
    const char_count *list = (const char_count *)(const void *)s->chars.data;
    size_t made = merger->made.size / sizeof(uint32_t);
    float score = 0;
    int32_t rc = TFM_OK;
    if (made < wanted && chosen(o->hard_vocab_limit, true))
        return tfm__fail(s->trainer->error, TFM_E_FORMAT,
                         "the text yields %zu tokens, not the %zu that are wanted (hard_vocab_limit)",
                         o->vocab_size - wanted + made, o->vocab_size);
    for (size_t i = 0; i < made && rc == TFM_OK; i++, score -= 1) {
        size_t size;
        uint32_t symbol;
        const uint8_t *text;
        memcpy(&symbol, merger->made.data + i * sizeof symbol, sizeof symbol);
        text = tfm__merger_text(merger, symbol, &size);
        rc = tfm__saved_token_add(form, text, size, TFM_TOKEN_NORMAL, score);
    }
    for (size_t i = 0; i < s->kept && rc == TFM_OK; i++, score -= 1) {
        uint8_t text[4];
        rc = tfm__saved_token_add(form, text, tfm__utf8_write(list[i].code, text), TFM_TOKEN_NORMAL, score);
    }
    return rc;
}

/* Writes the form as a .model file and reads that, so that it and the file that is saved later cannot differ.
 */
static int32_t tokenizer_of(spm *s, const tfm__saved *form, tfm_tokenizer **out) {
    tfm__loaded_text file = {NULL, 0, "trained tokenizer"};
    tfm_tokenizer *t = NULL;
    tfm__buffer model;
    int32_t rc;
    tfm__buffer_init(&model, s->trainer->heap);
    rc = tfm__save_spm(form, &model);
    if (rc == TFM_OK) rc = tfm__tokenizer_new(s->trainer->heap, &t, s->trainer->error);
    file.data = model.data;
    file.size = model.size;
    if (rc == TFM_OK) rc = tfm__load_spm(t, &file, s->trainer->error);
    if (rc == TFM_OK) rc = tfm__vocab_finish(t, s->trainer->error);
    tfm__buffer_free(&model);
    if (rc)
        tfm__tokenizer_free(t);
    else
        *out = t;
    return rc;
}

static int32_t count_and_merge(spm *s, const tfm__train_source *source, tfm__saved *form, tfm__merger *merger,
                               tfm__piece_table *table) {
    tfm__trainer *trainer = s->trainer;
    const tfm_tokenizer_train_options *o = &trainer->options;
    tfm__count_plan plan = {.source = source,
                            .unit = o->unit,
                            .keep_feed = false,
                            .count = count_sentence,
                            .slot_init = slot_init,
                            .arg = s};
    size_t taken, wanted;
    int32_t rc;
    plan.check = o->invalid_utf8 == TFM_UTF8_REFUSE;
    if ((rc = add_all_meta(s, form)) != 0 || (rc = tfm__train_read(trainer, &plan, table)) != 0 ||
        (rc = choose_chars(s, table)) != 0)
        return rc;
    taken = tfm__saved_count(form) + s->kept;
    if (taken > o->vocab_size)
        return tfm__fail(
            trainer->error, TFM_E_ARGUMENT,
            "a vocabulary of %zu is too small: symbols and characters alone are %zu tokens (vocab_size, "
            "character_coverage)",
            o->vocab_size, taken);
    wanted = o->vocab_size - taken;
    if ((rc = add_words(s, table, merger)) != 0) return rc;
    tfm__piece_table_free(table);
    merger->vocab_size = tfm__merger_symbols(merger) + wanted;
    merger->by_length = true;
    merger->valid = valid_piece;
    merger->valid_arg = s;
    if ((rc = tfm__merger_run(merger)) != 0) return rc;
    return fill_form(s, merger, form, wanted);
}

static void take_choices(spm *s, tfm__saved *form) {
    const tfm_tokenizer_train_options *o = &s->trainer->options;
    tfm__spm_rules *rules = &s->rules->spm;
    s->digits = chosen(o->split_digits, false);
    s->numbers = chosen(o->split_by_number, true);
    s->scripts = chosen(o->split_by_unicode_script, true);
    s->words = chosen(o->split_by_whitespace, true);
    s->suffix = chosen(o->treat_whitespace_as_suffix, false);
    s->only_marks = chosen(o->allow_whitespace_only_pieces, false);
    *rules = (tfm__spm_rules){.escape = true, .suffix = s->suffix};
    rules->dummy_prefix = chosen(o->add_dummy_prefix, true);
    rules->remove_extra = chosen(o->remove_extra_whitespaces, true);
    form->rules = *rules;
    form->byte_fallback = chosen(o->byte_fallback, false);
    form->unknown = 0;
    form->bos = 1;
    form->eos = 2;
}

int32_t tfm__train_spm(tfm__trainer *trainer, const tfm__train_source *source, tfm_tokenizer **out) {
    spm s = {.trainer = trainer};
    tfm__piece_table table = {0};
    tfm__merger merger;
    tfm__saved form;
    int32_t rc;
    tfm__saved_init(&form, trainer->heap, trainer->error);
    tfm__merger_init(&merger, trainer);
    tfm__buffer_init(&s.chars, trainer->heap);
    rc = tfm__tokenizer_new(trainer->heap, &s.rules, trainer->error);
    if (rc == TFM_OK) {
        take_choices(&s, &form);
        if (!tfm__piece_table_init(&table, trainer->heap)) rc = refused(&s);
    }
    if (rc == TFM_OK) rc = count_and_merge(&s, source, &form, &merger, &table);
    tfm__piece_table_free(&table);
    tfm__merger_free(&merger);
    tfm__buffer_free(&s.chars);
    tfm__free(trainer->heap, s.char_at.slots);
    tfm__free(trainer->heap, s.meta.children.slots);
    tfm__free(trainer->heap, s.meta.value);
    if (rc == TFM_OK) rc = tokenizer_of(&s, &form, out);
    tfm__tokenizer_free(s.rules);
    tfm__saved_free(&form);
    return rc;
}
