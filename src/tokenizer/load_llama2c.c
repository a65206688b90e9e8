/* load_llama2c.c - the tokenizer.bin of llama2.c. Called by load.c.
 *
 * Little-endian: int32 length of the longest token, then for every token float32 score, int32 length, bytes,
 * to the end of the file. Ids 0 unknown, 1 bos, 2 eos, 3 .. 258 the bytes (named "<0x00>" ...), then the
 * pieces, with spaces rather than U+2581. As run.c does it: a space goes in front of a text that is not
 * empty, characters are a byte with up to three continuation bytes, those that are no token become bytes (id
 * = byte + 3), and the pair whose text is the token of the highest score above -1e10 merges first; every
 * token can be met that way, special ones included. Source: karpathy/llama2.c, run.c. */
#include "tokenizer/normalize.h"

#define FIRST_BYTE 3
#define FIRST_PIECE 259

typedef struct record {
    float score;
    const uint8_t *text;
    size_t length;
} record;

/* The token at *at, moved past; false if the bytes are none. */
static bool next_record(const uint8_t *data, size_t size, size_t *at, record *out) {
    uint32_t length;
    if (size - *at < 8) return false;
    out->score = tfm__f32_le(data + *at);
    length = tfm__u32_le(data + *at + 4);
    if (length > size - *at - 8) return false;
    out->text = data + *at + 8;
    out->length = length;
    *at += 8 + (size_t)length;
    return true;
}

bool tfm__is_llama2c(const uint8_t *data, size_t size) {
    size_t at = 4, count = 0;
    uint32_t longest;
    record r;
    if (size < 12) return false;
    longest = tfm__u32_le(data);
    if (longest == 0 || longest > 65536) return false;
    while (at < size) {
        if (!next_record(data, size, &at, &r) || r.length > longest) return false;
        if (++count > FIRST_PIECE) return true; /* enough to tell; the loader reads to the end */
    }
    return count == FIRST_PIECE;
}

static int32_t put_special(tfm_tokenizer *t, int32_t id, const record *r, const char *name, int kind,
                           tfm_error *error) {
    tfm__added added = {.id = id, .special = true};
    int32_t rc = tfm__vocab_set(t, id, r->text, r->length, name, strlen(name), kind,
                                TFM__TOKEN_MATCH | TFM__TOKEN_SKIP, error);
    if (rc) return rc;
    added.text = added.match = t->text[id];
    return tfm__vocab_add(t, &added, error);
}

static int32_t put_record(tfm_tokenizer *t, int32_t id, const record *r, const char *file, tfm_error *error) {
    static const char *const names[] = {"<unk>", "<s>", "</s>"};
    static const int kinds[] = {TFM_TOKEN_UNKNOWN, TFM_TOKEN_CONTROL, TFM_TOKEN_CONTROL};
    const char *text = (const char *)r->text;
    uint8_t byte;
    if (id < FIRST_BYTE) return put_special(t, id, r, names[id], kinds[id], error);
    if (id < FIRST_PIECE) {
        if (tfm__byte_token(text, r->length) != id - FIRST_BYTE)
            return tfm__fail_at(error, TFM_E_FORMAT, file, NULL, TFM__NO_OFFSET,
                                "token %d is not that of byte 0x%02X", (int)id, (unsigned)(id - FIRST_BYTE));
        byte = (uint8_t)(id - FIRST_BYTE);
        t->byte_id[byte] = id;
        return tfm__vocab_set(t, id, text, r->length, &byte, 1, TFM_TOKEN_BYTE, TFM__TOKEN_MATCH, error);
    }
    /* Bytes that stand in for a character take part in run.c's merging under their names: no real token has
     * one at either end, and so such bytes never merge here. */
    if (r->length > 6 && (tfm__byte_token(text, 6) >= 0 || tfm__byte_token(text + r->length - 6, 6) >= 0))
        return tfm__fail_at(error, TFM_E_UNSUPPORTED, file, NULL, TFM__NO_OFFSET,
                            "token %d begins or ends with the name of a byte", (int)id);
    return tfm__vocab_set(t, id, text, r->length, NULL, 0, TFM_TOKEN_NORMAL, r->length ? TFM__TOKEN_MATCH : 0,
                          error);
}

int32_t tfm__load_llama2c(tfm_tokenizer *tokenizer, const tfm__loaded_text *file, tfm_error *error) {
    size_t at = 4, count = 0;
    float *scores;
    record r;
    int32_t rc = TFM_OK;
    while (at < file->size) {
        if (!next_record(file->data, file->size, &at, &r))
            return tfm__fail_at(error, TFM_E_TRUNCATED, file->name, NULL, at,
                                "token %zu runs past the end of the file", count);
        count++;
    }
    if (count < FIRST_PIECE)
        return tfm__fail_at(error, TFM_E_FORMAT, file->name, NULL, TFM__NO_OFFSET,
                            "fewer tokens than there are bytes");
    if ((rc = tfm__vocab_begin(tokenizer, count, error)) != 0) return rc;
    scores = tfm__alloc_array(tokenizer->heap, count, sizeof *scores);
    if (!scores) return tfm__fail_memory(error, tokenizer->heap, count * sizeof *scores);
    at = 4;
    for (size_t i = 0; i < count && rc == TFM_OK; i++) {
        if (!next_record(file->data, file->size, &at, &r)) break;
        scores[i] = r.score;
        rc = put_record(tokenizer, (int32_t)i, &r, file->name, error);
    }
    if (rc == TFM_OK) rc = tfm__vocab_scores(tokenizer, scores, -1e10f, file->name, error);
    tfm__free(tokenizer->heap, scores);
    if (rc || (rc = tfm__vocab_index(tokenizer, true, file->name, error)) != 0) return rc;
    memcpy(tokenizer->kind_name, "sentencepiece-bpe", 18);
    tokenizer->unknown = 0;
    tokenizer->bos = 1;
    tokenizer->eos = 2;
    tokenizer->adds_bos = true;
    tokenizer->order_kind = TFM__MERGE_SCORES;
    tokenizer->whole = TFM__WHOLE_SELF;
    tokenizer->cut_at_marks = true;
    tokenizer->mark[0] = ' ';
    tokenizer->mark_length = 1;
    tokenizer->byte_fallback = tokenizer->run_c_characters = true;
    tokenizer->strip = TFM__STRIP_AFTER_BOS;
    if (tfm__vocab_find(tokenizer, (const uint8_t *)" ", 1) >= 0) {
        tokenizer->steps[0].kind = TFM__NORMAL_PREPEND;
        tokenizer->steps[0].flags = TFM__PREPEND_APART;
        tokenizer->step_count = 1;
        rc = tfm__vocab_store(tokenizer, " ", 1, &tokenizer->steps[0].to, error);
    }
    return rc;
}
