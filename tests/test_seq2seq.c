/* test_seq2seq.c - encoder-decoders through the interface: sessions on what was encoded, generating, forks,
 * other cuts and threads with the same bits, and everything that is asked of the wrong kind of model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "families_help.h"
#include "tfm/tfm.h"

typedef struct opened {
    family_files files;
    folder folder;
    tfm_model *model;
} opened;

static void open_family(opened *o, const char *name, const tfm_model_options *options) {
    char path[512];
    tfm_error error = TFM_ERROR_INIT;
    snprintf(path, sizeof path, "%s/families/%s", TFM_TEST_DATA, name);
    o->files = family_make(path);
    family_folder(&o->files, &o->folder);
    tfm_source source = folder_source(&o->folder.files[0]);
    if (tfm_model_load_source(&source, options, &o->model, &error)) fail_msg("%s", error.message);
}

static void close_family(opened *o) {
    tfm_model_release(o->model);
    family_free(&o->files);
}

static const tfm_token source_ids[] = {20, 31, 42, 53, 64, 75, 86};

static tfm_encoded *encode(tfm_model *model, size_t count) {
    const tfm_encode_row row = {source_ids, count, NULL};
    tfm_encoded *encoded = NULL;
    tfm_error error = TFM_ERROR_INIT;
    if (tfm_encode(model, &row, 1, NULL, &encoded, &error)) fail_msg("%s", error.message);
    return encoded;
}

static tfm_session *session_on(tfm_model *model, const tfm_encoded *encoded, uint32_t batch) {
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    tfm_session *session = NULL;
    tfm_error error = TFM_ERROR_INIT;
    on.encoded = encoded;
    on.batch = batch;
    if (tfm_session_create(model, &on, &session, &error)) fail_msg("%s", error.message);
    return session;
}

/* The logits of a text's last token, copied. */
static void last_logits(tfm_session *session, const tfm_token *ids, size_t count, size_t cut, float *out,
                        size_t vocab) {
    tfm_error error = TFM_ERROR_INIT;
    const float *logits;
    for (size_t i = 0; i < count; i += cut) {
        size_t n = count - i < cut ? count - i : cut;
        if (tfm_forward(session, ids + i, n, NULL, &error)) fail_msg("%s", error.message);
    }
    assert_int_equal(tfm_logits(session, 0, &logits, NULL, &error), TFM_OK);
    memcpy(out, logits, vocab * sizeof *out);
}

/* The same bits however the decoder's text is cut, with threads, in a fork, and after the model and what was
 * encoded were let go of. */
static void test_same_bits(void **state) {
    static const tfm_token ids[] = {0, 11, 22, 33, 44, 55, 66, 77, 88, 99};
    static float first[384], again[384];
    opened o;
    tfm_pool_options how = TFM_POOL_OPTIONS_INIT;
    tfm_pool *pool = NULL;
    tfm_model_options threaded = TFM_MODEL_OPTIONS_INIT;
    how.threads = 3;
    assert_int_equal(tfm_pool_create(&how, &pool, NULL), TFM_OK);
    threaded.pool = pool;
    for (int round = 0; round < 2; round++) {
        open_family(&o, *state, round ? &threaded : NULL);
        tfm_encoded *encoded = encode(o.model, 7);
        for (size_t cut = 1; cut <= 10; cut += 3) {
            tfm_session *session = session_on(o.model, encoded, cut == 4 ? 2 : 0);
            last_logits(session, ids, 10, cut, round || cut > 1 ? again : first, 384);
            if (round || cut > 1) assert_memory_equal(first, again, sizeof first);
            tfm_session_destroy(session);
        }
        tfm_session *session = session_on(o.model, encoded, 0), *fork = NULL;
        tfm_encoded_release(encoded);
        last_logits(session, ids, 6, 6, again, 384);
        assert_int_equal(tfm_session_fork(session, &fork, NULL), TFM_OK);
        tfm_session_destroy(session);
        tfm_model_release(o.model); /* the fork has a reference */
        last_logits(fork, ids + 6, 4, 4, again, 384);
        assert_memory_equal(first, again, sizeof first);
        assert_int_equal(tfm_session_rewind(fork, 3, NULL), TFM_OK);
        last_logits(fork, ids + 3, 7, 7, again, 384);
        assert_memory_equal(first, again, sizeof first);
        tfm_session_destroy(fork);
        family_free(&o.files);
    }
    tfm_pool_destroy(pool);
}

static int32_t keep(void *user, const tfm_token_event *event) {
    tfm_token **at = user;
    if (!event->stop) *(*at)++ = event->token;
    return 0;
}

/* The loop puts the decoder's first token in front by itself. */
static void test_generate(void **state) {
    opened o;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    tfm_token by_loop[8], by_hand[8], *at = by_loop, token;
    (void)state;
    open_family(&o, "bart", NULL);
    assert_int_equal(tfm_model_get_info(o.model, &info, NULL), TFM_OK);
    assert_int_equal(info.kind, TFM_KIND_ENCODER_DECODER);
    assert_int_equal(info.start_token, 2);
    tfm_encoded *encoded = encode(o.model, 5);
    tfm_session *session = session_on(o.model, encoded, 0);
    options.max_tokens = 8;
    options.ignore_end = 1;
    if (tfm_generate(session, NULL, NULL, 0, &options, keep, &at, NULL, &error))
        fail_msg("%s", error.message);
    assert_int_equal(at - by_loop, 8);
    assert_int_equal(tfm_session_tokens(session)[0], 2);
    tfm_session_destroy(session);
    session = session_on(o.model, encoded, 0);
    token = info.start_token;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(tfm_forward(session, &token, 1, NULL, NULL), TFM_OK);
        assert_int_equal(tfm_sample_next(session, NULL, &token, NULL), TFM_OK);
        by_hand[i] = token;
    }
    assert_memory_equal(by_loop, by_hand, sizeof by_hand);
    tfm_session_destroy(session);
    tfm_encoded_release(encoded);
    close_family(&o);
}

static void test_wrong(void **state) {
    opened t5, bart, llama;
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    tfm_session *session = NULL;
    tfm_encoded *other = NULL;
    tfm_error error = TFM_ERROR_INIT;
    const tfm_encode_row row = {source_ids, 3, NULL};
    tfm_token far = 384;
    const tfm_encode_row outside = {&far, 1, NULL};
    (void)state;
    open_family(&t5, "t5", NULL);
    open_family(&bart, "bart", NULL);
    open_family(&llama, "llama", NULL);
    assert_int_equal(tfm_session_create(t5.model, NULL, &session, &error), TFM_E_ARGUMENT);
    assert_null(session);
    assert_non_null(strstr(error.message, "t5"));
    assert_non_null(strstr(error.message, "encoded"));
    tfm_encoded *encoded = encode(t5.model, 3);
    on.encoded = encoded;
    assert_int_equal(tfm_session_create(llama.model, &on, &session, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "llama"));
    assert_int_equal(tfm_session_create(bart.model, &on, &session, &error), TFM_E_ARGUMENT);
    on.encoded_row = 1;
    assert_int_equal(tfm_session_create(t5.model, &on, &session, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "row 1 of 1"));
    assert_int_equal(tfm_encode(llama.model, &row, 1, NULL, &other, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_encode(t5.model, &outside, 1, NULL, &other, &error), TFM_E_TOKEN);
    assert_null(other);
    tfm_encoded_release(encoded);
    close_family(&t5);
    close_family(&bart);
    close_family(&llama);
}

/* Settings that contradict the tensors or each other. */
static void test_hostile(void **state) {
    static const struct {
        const char *family, *from, *to, *word;
    } cases[] = {
        {"t5", "\"feed_forward_proj\": \"relu\"", "\"feed_forward_proj\": \"swiglu\"", "feed_forward_proj"},
        {"t5", "\"decoder_start_token_id\": 0", "\"decoder_start_token_id\": 384", "384"},
        {"t5", "\"num_decoder_layers\": 2", "\"num_decoder_layers\": 3", "decoder.block.2"},
        {"t5", "\"num_layers\": 2", "\"num_layers\": 3", "encoder.block.2"},
        {"t5", "\"relative_attention_num_buckets\": 32", "\"relative_attention_num_buckets\": 30", "30"},
        {"bart", "\"decoder_ffn_dim\": 96", "\"decoder_ffn_dim\": 95", "fc1"},
        {"bart", "\"encoder_attention_heads\": 4", "\"encoder_attention_heads\": 5", "5 heads"},
        {"bart", "\"scale_embedding\": false", "\"scale_embedding\": \"no\"", "scale_embedding"},
        {"bart", "\"max_position_embeddings\": 128", "\"max_position_embeddings\": 64", "embed_positions"},
        {"marian", "\"share_encoder_decoder_embeddings\": true",
         "\"share_encoder_decoder_embeddings\": false", "share_encoder_decoder_embeddings"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512];
        tfm_error error = TFM_ERROR_INIT;
        tfm_model *model = NULL;
        folder f;
        snprintf(path, sizeof path, "%s/families/%s", TFM_TEST_DATA, cases[i].family);
        family_files files = family_make(path);
        char *at = strstr(files.config, cases[i].from);
        if (!at) fail_msg("%s: no %s", cases[i].family, cases[i].from);
        size_t grown = strlen(cases[i].to), shrunk = strlen(cases[i].from);
        char *config = malloc(files.config_size + grown + 1);
        assert_non_null(config);
        size_t before = (size_t)(at - files.config);
        memcpy(config, files.config, before);
        memcpy(config + before, cases[i].to, grown);
        memcpy(config + before + grown, at + shrunk, files.config_size - before - shrunk + 1);
        free(files.config);
        files.config = config;
        files.config_size += grown;
        files.config_size -= shrunk;
        family_folder(&files, &f);
        tfm_source source = folder_source(&f.files[0]);
        assert_int_not_equal(tfm_model_load_source(&source, NULL, &model, &error), TFM_OK);
        assert_null(model);
        if (!strstr(error.message, cases[i].word))
            fail_msg("%s: '%s' does not say '%s'", cases[i].to, error.message, cases[i].word);
        assert_int_equal(f.open, 0);
        family_free(&files);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        {"same bits: t5", test_same_bits, NULL, NULL, "t5"},
        {"same bits: bart", test_same_bits, NULL, NULL, "bart"},
        {"same bits: m2m100", test_same_bits, NULL, NULL, "m2m100"},
        cmocka_unit_test(test_generate),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
