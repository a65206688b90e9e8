/* test_families.c - every family against PyTorch, from the repository alone: models whose weights come from a
 * formula (tests/data/families), and the logits and states that transformers computes on them at a few
 * positions. Each is loaded from the host's memory. test_golden*.c compare more, where the large collection
 * lies beside the repository. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "families_help.h"
#include "golden_help.h"
#include "tfm/tfm.h"

static size_t entries(golden *g, const char *name) {
    return (size_t)(golden_tensor(g, name)->bytes / sizeof(int32_t));
}

static const int32_t *numbers(golden *g, const char *name) {
    return (const int32_t *)(const void *)golden_tensor(g, name)->data;
}

static void check_logits(golden *g, const tfm_session *session, size_t vocab) {
    tfm_error error = TFM_ERROR_INIT;
    const float *logits;
    for (size_t i = 0; i < entries(g, "positions"); i++) {
        size_t at = (size_t)numbers(g, "positions")[i];
        if (tfm_logits(session, at, &logits, NULL, &error)) fail_msg("%s", error.message);
        golden_compare(g, "logits", i * vocab, logits, vocab);
    }
}

static int32_t see(void *user, const tfm_inspect_event *event) {
    golden *g = user;
    for (size_t i = 0; i < entries(g, "positions"); i++)
        golden_compare(g, "hidden", i * event->columns,
                       event->values + (size_t)numbers(g, "positions")[i] * event->stride, event->columns);
    return 0;
}

/* Quantised keys and values: another result than exact ones, but near it; and the same bits at once, and
 * token by token through forks. */
static void check_caches(golden *g, tfm_model *model, tfm_session_options *on, const tfm_token *ids,
                         size_t count) {
    static const struct {
        int32_t type;
        double most; /* root of the mean square of the difference, against that of the logits; experts may
                        change */
    } caches[] = {{TFM_CACHE_Q8_0, 0.1}, {TFM_CACHE_Q4_0, 0.5}};
    tfm_error error = TFM_ERROR_INIT;
    tfm_forward_options all = TFM_FORWARD_OPTIONS_INIT;
    size_t vocab = (size_t)golden_tensor(g, "logits")->shape[1];
    const float *logits, *want = (const float *)(const void *)golden_tensor(g, "logits")->data;
    all.logits = TFM_LOGITS_ALL;
    for (size_t c = 0; c < TFM__COUNT(caches); c++) {
        tfm_session *whole = NULL, *one = NULL, *fork = NULL;
        double off = 0, size = 0;
        on->cache_type = caches[c].type;
        if (tfm_session_create(model, on, &whole, &error) || tfm_session_create(model, on, &one, &error) ||
            tfm_forward(whole, ids, count, &all, &error))
            fail_msg("%s", error.message);
        for (size_t p = 0; p < entries(g, "positions"); p++) {
            assert_int_equal(tfm_logits(whole, (size_t)numbers(g, "positions")[p], &logits, NULL, &error), 0);
            for (size_t i = 0; i < vocab; i++) {
                double d = (double)logits[i] - (double)want[p * vocab + i];
                off += d * d;
                size += (double)want[p * vocab + i] * (double)want[p * vocab + i];
            }
        }
        assert_true(off > 0);
        if (!(sqrt(off / size) < caches[c].most))
            fail_msg("cache type %d is off by %g", (int)caches[c].type, sqrt(off / size));
        for (size_t i = 0; i < count; i++) {
            const float *again;
            if (tfm_session_fork(one, &fork, &error)) fail_msg("%s", error.message);
            tfm_session_destroy(one);
            one = fork;
            if (tfm_forward(one, ids + i, 1, NULL, &error)) fail_msg("%s", error.message);
            assert_int_equal(tfm_logits(one, 0, &again, NULL, &error), TFM_OK);
            assert_int_equal(tfm_logits(whole, i, &logits, NULL, &error), TFM_OK);
            assert_memory_equal(again, logits, vocab * sizeof *again);
        }
        tfm_session_destroy(whole);
        tfm_session_destroy(one);
    }
    on->cache_type = TFM_CACHE_DEFAULT;
}

static void check_decoder(golden *g, tfm_model *model) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_forward_options all = TFM_FORWARD_OPTIONS_INIT;
    tfm_inspect_options norm = TFM_INSPECT_OPTIONS_INIT;
    tfm_session *session = NULL;
    size_t vocab = (size_t)golden_tensor(g, "logits")->shape[1];
    all.logits = TFM_LOGITS_ALL;
    norm.site = TFM_SITE_OUTPUT_NORM;
    if (tfm_session_create(model, NULL, &session, &error) ||
        tfm_inspect(session, &norm, see, g, NULL, &error) ||
        tfm_forward(session, numbers(g, "tokens"), entries(g, "tokens"), &all, &error))
        fail_msg("%s", error.message);
    check_logits(g, session, vocab);
    tfm_session_destroy(session);

    /* token by token: the same bits are another test's matter, here what counts is that it is as right */
    if (tfm_session_create(model, NULL, &session, &error)) fail_msg("%s", error.message);
    for (size_t i = 0, next = 0; i < entries(g, "tokens"); i++) {
        const float *logits;
        if (tfm_forward(session, numbers(g, "tokens") + i, 1, NULL, &error) ||
            tfm_logits(session, 0, &logits, NULL, &error))
            fail_msg("%s", error.message);
        if ((size_t)numbers(g, "positions")[next] != i) continue;
        golden_compare(g, "logits", next * vocab, logits, vocab);
        if (++next == entries(g, "positions")) break;
    }
    tfm_session_destroy(session);
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    check_caches(g, model, &on, numbers(g, "tokens"), entries(g, "tokens"));
}

static void check_encoder(golden *g, tfm_model *model) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    tfm_encoded *encoded = NULL;
    const tfm_encode_row row = {numbers(g, "tokens"), entries(g, "tokens"), NULL};
    if (tfm_encode(model, &row, 1, NULL, &encoded, &error) || tfm_encoded_get(encoded, &view, &error))
        fail_msg("%s", error.message);
    for (size_t i = 0; i < entries(g, "positions"); i++)
        golden_compare(g, "hidden", i * view.width,
                       view.hidden + (size_t)numbers(g, "positions")[i] * view.width, view.width);
    if (golden_has(g, "pooler")) golden_compare(g, "pooler", 0, view.pooled, view.width);
    for (size_t i = 0; golden_has(g, "logits") && i < entries(g, "positions"); i++) {
        float logits[4096];
        assert_true(view.outputs <= 4096);
        if (tfm_encoded_logits(encoded, (size_t)numbers(g, "positions")[i], 1, logits, view.outputs, &error))
            fail_msg("%s", error.message);
        golden_compare(g, "logits", i * view.outputs, logits, view.outputs);
    }
    tfm_encoded_release(encoded);
}

static void check_seq2seq(golden *g, tfm_model *model) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_encoded_view view = TFM_ENCODED_VIEW_INIT;
    tfm_encoded *encoded = NULL;
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    tfm_forward_options all = TFM_FORWARD_OPTIONS_INIT;
    tfm_session *session = NULL;
    const tfm_encode_row rows[2] = {{numbers(g, "tokens"), 3, NULL},
                                    {numbers(g, "tokens"), entries(g, "tokens"), NULL}};
    size_t vocab = (size_t)golden_tensor(g, "logits")->shape[1], count = entries(g, "decoder_tokens");
    if (tfm_encode(model, rows, 2, NULL, &encoded, &error) || tfm_encoded_get(encoded, &view, &error))
        fail_msg("%s", error.message);
    for (size_t i = 0; i < entries(g, "encoder_positions"); i++)
        golden_compare(g, "encoder", i * view.width,
                       view.hidden +
                           (view.starts[1] + (size_t)numbers(g, "encoder_positions")[i]) * view.width,
                       view.width);
    all.logits = TFM_LOGITS_ALL;
    on.encoded = encoded;
    on.encoded_row = 1;
    if (tfm_session_create(model, &on, &session, &error) ||
        tfm_forward(session, numbers(g, "decoder_tokens"), count, &all, &error))
        fail_msg("%s", error.message);
    check_logits(g, session, vocab);
    tfm_session_destroy(session);
    check_caches(g, model, &on, numbers(g, "decoder_tokens"), count);
    if (tfm_session_create(model, &on, &session, &error)) fail_msg("%s", error.message);
    tfm_encoded_release(encoded); /* not needed any longer */
    for (size_t i = 0, next = 0; i < count; i++) {
        const float *logits;
        tfm_session *fork = NULL;
        if (tfm_session_fork(session, &fork, &error)) fail_msg("%s", error.message);
        tfm_session_destroy(session);
        session = fork;
        if (tfm_forward(session, numbers(g, "decoder_tokens") + i, 1, NULL, &error) ||
            tfm_logits(session, 0, &logits, NULL, &error))
            fail_msg("%s", error.message);
        if ((size_t)numbers(g, "positions")[next] != i) continue;
        golden_compare(g, "logits", next * vocab, logits, vocab);
        if (++next == entries(g, "positions")) break;
    }
    tfm_session_destroy(session);
}

static void check(const char *name, void (*how)(golden *g, tfm_model *model)) {
    char folder_path[512], path[600];
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    golden g;
    snprintf(folder_path, sizeof folder_path, "%s/families/%s", TFM_TEST_DATA, name);
    snprintf(path, sizeof path, "%s/expected.safetensors", folder_path);
    family_files files = family_make(folder_path);
    folder f;
    family_folder(&files, &f);
    tfm_source source = folder_source(&f.files[0]);
    if (tfm_model_load_source(&source, NULL, &model, &error)) fail_msg("%s", error.message);
    golden_open(&g, path);
    how(&g, model);
    golden_close(&g);
    tfm_model_release(model);
    assert_int_equal(f.open, 0);
    family_free(&files);
}

static void encoder(golden *g, tfm_model *model) { check_encoder(g, model); }

static void test_decoder(void **state) { check(*state, check_decoder); }
static void test_encoder(void **state) { check(*state, encoder); }
static void test_seq2seq(void **state) { check(*state, check_seq2seq); }

#define DECODER(name)                                                                                        \
    { name, test_decoder, NULL, NULL, name }
#define ENCODER(name)                                                                                        \
    { name, test_encoder, NULL, NULL, name }

#define SEQ2SEQ(name)                                                                                        \
    { name, test_seq2seq, NULL, NULL, name }

int main(void) {
    const struct CMUnitTest tests[] = {
        DECODER("llama"),      DECODER("llama-linear"), DECODER("llama-yarn"),  DECODER("llama3-rope"),
        DECODER("mistral"),    DECODER("mixtral"),      DECODER("qwen2"),       DECODER("qwen2-moe"),
        DECODER("qwen3"),      DECODER("qwen3-moe"),    DECODER("gemma"),       DECODER("gemma2"),
        DECODER("gemma3"),     DECODER("phi"),          DECODER("phi3"),        DECODER("gpt2"),
        DECODER("gpt-neo"),    DECODER("gpt-neox"),     DECODER("gptj"),        DECODER("opt"),
        DECODER("bloom"),      DECODER("mpt"),          DECODER("falcon"),      DECODER("falcon-new"),
        DECODER("starcoder2"), DECODER("stablelm"),     DECODER("olmo"),        DECODER("olmo2"),
        DECODER("olmoe"),      DECODER("cohere"),       DECODER("cohere2"),     DECODER("granite"),
        DECODER("smollm3"),    DECODER("glm4"),         DECODER("nemotron"),    DECODER("exaone4"),
        DECODER("ernie4_5"),   DECODER("arcee"),        DECODER("deepseek-v2"), DECODER("deepseek-v3"),
        DECODER("gpt-oss"),    ENCODER("bert"),         ENCODER("bert-mlm"),    ENCODER("roberta"),
        ENCODER("distilbert"), ENCODER("modernbert"),   ENCODER("mpnet"),       SEQ2SEQ("t5"),
        SEQ2SEQ("t5-gated"),   SEQ2SEQ("marian"),       SEQ2SEQ("bart"),        SEQ2SEQ("m2m100"),
        SEQ2SEQ("pegasus"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
