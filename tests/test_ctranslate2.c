/* test_ctranslate2.c - CTranslate2 folders: the small ones of every version and type against what the
 * ctranslate2 package computes with them (data/ctranslate2/make_ctranslate2.py), the transliterator of
 * ../shared where it is there, and damaged files. */
#include <math.h>

#include "formats_help.h"
#include "tfm/tfm.h"

#define FOLDER TFM_TEST_DATA "/ctranslate2/"
#define MOST 32

static tfm_model *open_model(const char *path) {
    tfm_model *model = NULL;
    tfm_error error = TFM_ERROR_INIT;
    if (tfm_model_load(path, NULL, &model, &error)) fail_msg("%s: %s %s", path, error.tensor, error.message);
    return model;
}

static size_t ids_of(const tfm_tokenizer *tokenizer, const char *text, tfm_token ids[MOST]) {
    tfm_error error = TFM_ERROR_INIT;
    size_t count = 0;
    if (tfm_tokenize(tokenizer, text, strlen(text), NULL, ids, MOST, &count, &error))
        fail_msg("%s", error.message);
    return count;
}

static tfm_session *session_on(tfm_model *model, const char *text) {
    tfm_token ids[MOST];
    const tfm_encode_row row = {ids, ids_of(tfm_source_tokenizer_of(model), text, ids), NULL};
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    tfm_encoded *encoded = NULL;
    tfm_session *session = NULL;
    tfm_error error = TFM_ERROR_INIT;
    if (tfm_encode(model, &row, 1, NULL, &encoded, &error)) fail_msg("%s", error.message);
    on.encoded = encoded;
    on.cache_type = TFM_CACHE_F32; /* the package computes in f32 */
    if (tfm_session_create(model, &on, &session, &error)) fail_msg("%s", error.message);
    tfm_encoded_release(encoded);
    return session;
}

/* The best of a search, as text with the score behind it. */
static double search(tfm_model *model, const char *source, uint32_t beams, uint32_t most, char *text,
                     size_t room) {
    tfm_session *session = session_on(model, source);
    tfm_beam_options how = TFM_BEAM_OPTIONS_INIT;
    tfm_detokenize_options all = TFM_DETOKENIZE_OPTIONS_INIT;
    tfm_beams *found = NULL;
    tfm_hypothesis best = TFM_HYPOTHESIS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    size_t length = 0;
    how.beams = beams;
    how.max_tokens = most;
    how.min_tokens = 1; /* as the package does it unless told otherwise */
    if (tfm_beam_search(session, NULL, 0, &how, &found, &error)) fail_msg("%s", error.message);
    assert_int_equal(tfm_beams_get(found, 0, &best, &error), TFM_OK);
    all.special = 1;
    if (tfm_detokenize(tfm_tokenizer_of(model), best.tokens, best.count - (best.ended ? 1u : 0u), &all, text,
                       room - 1, &length, &error))
        fail_msg("%s", error.message);
    text[length] = 0;
    tfm_beams_destroy(found);
    tfm_session_destroy(session);
    return best.score;
}

/* ---- The small folders ---- */

static double log_probability(const float *logits, size_t count, tfm_token token) {
    double sum = 0.0, most = -INFINITY;
    for (size_t i = 0; i < count; i++) most = fmax(most, (double)logits[i]);
    for (size_t i = 0; i < count; i++) sum += exp((double)logits[i] - most);
    return (double)logits[token] - most - log(sum);
}

static void check_line(char *line) {
    char *part[4], path[512], text[512];
    tfm_token ids[MOST + 1];
    tfm_error error = TFM_ERROR_INIT;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    tfm_tokenizer_info special = TFM_TOKENIZER_INFO_INIT;
    size_t words = 0;
    for (int i = 0; i < 4; i++) assert_non_null(part[i] = strtok(i ? NULL : line, "\t\n"));
    snprintf(path, sizeof path, FOLDER "%s", part[0]);
    tfm_model *model = open_model(path);
    const tfm_tokenizer *tokenizer = tfm_tokenizer_of(model);
    assert_int_equal(tfm_model_get_info(model, &info, &error), TFM_OK);
    assert_int_equal(tfm_tokenizer_get_info(tokenizer, &special, &error), TFM_OK);
    search(model, part[1], 1, 12, text, sizeof text);
    if (strcmp(text, part[2])) fail_msg("%s: '%s' instead of '%s'", path, text, part[2]);
    tfm_session *session = session_on(model, part[1]);
    tfm_token token = info.start_token;
    for (char *word = strtok(part[2], " "); word; word = strtok(NULL, " "))
        assert_true((ids[words++] = tfm_token_find(tokenizer, word, strlen(word))) >= 0);
    ids[words++] = special.eos;
    char *score = strtok(part[3], " ");
    for (size_t i = 0; i < words; i++, score = strtok(NULL, " ")) {
        const float *logits = NULL;
        size_t count = 0;
        if (tfm_forward(session, &token, 1, NULL, &error)) fail_msg("%s", error.message);
        assert_int_equal(tfm_logits(session, 0, &logits, &count, &error), TFM_OK);
        token = ids[i];
        assert_non_null(score);
        double got = log_probability(logits, count, token);
        if (!(fabs(got - atof(score)) < 1e-4)) fail_msg("%s, token %zu: %g, not %s", path, i, got, score);
    }
    assert_null(score);
    tfm_session_destroy(session);
    tfm_model_release(model);
}

static void test_small(void **state) {
    (void)state;
    char line[1024];
    int lines = 0;
    FILE *file = fopen(FOLDER "expected.txt", "r");
    assert_non_null(file);
    for (; fgets(line, sizeof line, file); lines++) check_line(line);
    fclose(file);
    assert_int_equal(lines, 18);
}

/* Tokens of source and target are different ones. */
static void test_two_vocabularies(void **state) {
    (void)state;
    tfm_model *model = open_model(FOLDER "v6-f32");
    tfm_token ids[MOST];
    assert_int_equal(ids_of(tfm_source_tokenizer_of(model), "deux un weg", ids), 3);
    assert_int_equal(ids[0], 4);
    assert_int_equal(ids[1], 3);
    assert_int_equal(ids[2], 10); /* unknown */
    assert_int_equal(ids_of(tfm_tokenizer_of(model), "two one", ids), 2);
    assert_int_equal(ids[0], 4);
    assert_int_equal(ids[1], 3);
    tfm_model_release(model);
    model = open_model(FOLDER "v5-f16-behind/model.bin"); /* the file stands for the folder */
    assert_int_equal(ids_of(tfm_source_tokenizer_of(model), "un", ids), 1); /* config.json counts from 6 on */
    tfm_model_release(model);
}

/* ---- The transliterator ---- */

static void test_transliterator(void **state) {
    (void)state;
    static const struct {
        const char *folder;
        double greedy, beam;
    } variants[] = {{"aren-transliteration", -0.1516726315, -0.1516727656},
                    {"aren-transliteration-i16", -0.1514214128, -0.1514215469},
                    {"aren-transliteration-i8", -0.1553760916, -0.1553758830}};
    char path[512], text[256];
    for (size_t i = 0; i < TFM__COUNT(variants); i++) {
        snprintf(path, sizeof path, TFM_SHARED "/data/models/ct2-aren-transliteration/%s",
                 variants[i].folder);
        if (i == 0) {
            FILE *file;
            char name[600];
            snprintf(name, sizeof name, "%s/model.bin", path);
            if ((file = fopen(name, "rb")) == NULL) skip();
            fclose(file);
        }
        tfm_model *model = open_model(path);
        for (uint32_t beams = 1; beams <= 4; beams += 3) {
            double score = search(model, "آ ت ز م و ن", beams, 64, text, sizeof text);
            double expected = beams == 1 ? variants[i].greedy : variants[i].beam;
            assert_string_equal(text, "a t z m o n");
            if (!(fabs(score - expected) < 1e-4)) fail_msg("%s: score %g, not %g", path, score, expected);
        }
        tfm_model_release(model);
    }
}

/* ---- Damaged files ---- */

static uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t *data = malloc(1 << 16);
    assert_non_null(data);
    *size = fread(data, 1, 1 << 16, file);
    fclose(file);
    return data;
}

/* Opens the bytes at the very end of their memory, so that a sanitizer sees what is read behind them. */
static int32_t open_bytes(const uint8_t *data, size_t size, tfm_error *error) {
    uint8_t *exact = malloc(size ? size : 1);
    tfm_model *model = NULL;
    assert_non_null(exact);
    memcpy(exact, data, size);
    *error = (tfm_error)TFM_ERROR_INIT;
    int32_t status = tfm_model_load_memory(exact, size, NULL, &model, error);
    tfm_model_release(model);
    free(exact);
    return status;
}

static void test_damaged(void **state) {
    (void)state;
    static const char *const names[] = {"v6-int8", "v3-int8-shared", "v2-int16"};
    for (size_t n = 0; n < TFM__COUNT(names); n++) {
        char path[512];
        size_t size;
        tfm_error error;
        snprintf(path, sizeof path, FOLDER "%s/model.bin", names[n]);
        uint8_t *data = read_file(path, &size);
        assert_int_equal(open_bytes(data, size, &error), TFM_OK); /* without vocabularies it runs on ids */
        for (size_t cut = 0; cut < size; cut += cut < 400 ? 1 : 97) {
            assert_true(open_bytes(data, cut, &error) < 0);
            assert_true(error.message[0]);
        }
        for (size_t at = 0; at < size; at += at < 400 ? 1 : 61) { /* any answer, but one */
            uint8_t kept = data[at];
            data[at] ^= 0xff;
            int32_t status = open_bytes(data, size, &error);
            assert_true(status == TFM_OK || error.message[0]);
            data[at] = kept;
        }
        free(data);
    }
}

static void refused(const uint8_t *data, size_t size, int32_t code, const char *part) {
    tfm_error error;
    assert_int_equal(open_bytes(data, size, &error), code);
    if (!strstr(error.message, part) && !strstr(error.tensor, part))
        fail_msg("'%s' (%s) does not speak of '%s'", error.message, error.tensor, part);
}

/* Where a text is in the file. */
static uint8_t *place(uint8_t *data, size_t size, const char *text) {
    size_t length = strlen(text);
    for (size_t i = 0; i + length <= size; i++)
        if (!memcmp(data + i, text, length)) return data + i;
    fail_msg("no %s", text);
    return NULL;
}

static void test_refused(void **state) {
    (void)state;
    size_t size;
    uint8_t *data = read_file(FOLDER "v6-int8/model.bin", &size);
    data[0] = 7;
    refused(data, size, TFM_E_UNSUPPORTED, "version 7");
    data[0] = 6;
    memcpy(place(data, size, "TransformerSpec"), "WhisperSpecification", 15);
    refused(data, size, TFM_E_UNSUPPORTED, "WhisperSpecific");
    memcpy(place(data, size, "WhisperSpecific"), "TransformerSpec", 15);
    data[22] = 9; /* behind u32, u16 and the 16 bytes of the name */
    refused(data, size, TFM_E_UNSUPPORTED, "revision 9");
    data[22] = 7;
    uint8_t *name = place(data, size, "decoder/alibi");
    memcpy(name, "decoder/alibj", 13);
    refused(data, size, TFM_E_UNSUPPORTED, "decoder.alibj");
    memcpy(name, "decoder/alibi", 13);
    name[13 + 1 + 1 + 1 + 4] = 1; /* its value, behind NUL, rank, type and bytes */
    refused(data, size, TFM_E_UNSUPPORTED, "decoder.alibi");
    name[13 + 1 + 1 + 1 + 4] = 0;
    name = place(data, size, "decoder/activation");
    name[18 + 1 + 1 + 1 + 4] = 6;
    refused(data, size, TFM_E_UNSUPPORTED, "activation");
    name[18 + 1 + 1 + 1 + 4] = 3;
    name = place(data, size, "decoder/embeddings/weight_scale");
    name[30] = 'f';
    refused(data, size, TFM_E_MISSING, "_scale");
    name[30] = 'e';
    memset(name + 31 + 1 + 1 + 4 + 1 + 4, 0, 4); /* behind NUL, rank, one dimension, type, bytes */
    refused(data, size, TFM_E_FORMAT, "scale");
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),          cmocka_unit_test(test_two_vocabularies),
        cmocka_unit_test(test_transliterator), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
