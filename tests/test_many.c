/* test_many.c - many sessions in one pass: each gets the bits that it gets alone, whatever its company, in
 * every family; and what is asked for wrongly changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "families_help.h"
#include "base/base.h"
#include "base/rng.h"
#include "tfm/tfm.h"

#define CROWD 16
#define MOST_VOCAB 512
#define MOST_TOKENS 160

typedef struct opened {
    family_files files;
    folder folder;
    tfm_pool *pool;
    tfm_model *model;
    tfm_encoded *encoded; /* encoder-decoders: what the sessions look at */
    tfm_model_info info;
} opened;

static bool open_family(opened *o, const char *name, uint32_t threads) {
    char path[512];
    tfm_error error = TFM_ERROR_INIT;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_pool_options pool = TFM_POOL_OPTIONS_INIT;
    *o = (opened){.info = TFM_MODEL_INFO_INIT};
    snprintf(path, sizeof path, "%s/families/%s", TFM_TEST_DATA, name);
    o->files = family_make(path);
    family_folder(&o->files, &o->folder);
    pool.threads = threads;
    if (tfm_pool_create(&pool, &o->pool, &error)) fail_msg("%s", error.message);
    options.pool = o->pool;
    tfm_source source = folder_source(&o->folder.files[0]);
    if (tfm_model_load_source(&source, &options, &o->model, &error)) fail_msg("%s", error.message);
    assert_int_equal(tfm_model_get_info(o->model, &o->info, NULL), TFM_OK);
    assert_true(o->info.vocab_size <= MOST_VOCAB);
    return o->info.kind != TFM_KIND_ENCODER;
}

static void close_family(opened *o) {
    tfm_encoded_release(o->encoded);
    tfm_model_release(o->model);
    tfm_pool_destroy(o->pool);
    family_free(&o->files);
}

/* Encoder-decoders: rows of different lengths, one for each session. */
static void encode_rows(opened *o) {
    static tfm_token ids[CROWD];
    tfm_encode_row rows[CROWD];
    tfm_error error = TFM_ERROR_INIT;
    if (o->info.kind != TFM_KIND_ENCODER_DECODER) return;
    for (size_t i = 0; i < CROWD; i++) {
        ids[i] = (tfm_token)(20 + 3 * i);
        rows[i] = (tfm_encode_row){ids, i + 1, NULL};
    }
    if (tfm_encode(o->model, rows, CROWD, NULL, &o->encoded, &error)) fail_msg("%s", error.message);
}

static tfm_session *new_session(const opened *o, size_t i) {
    tfm_session_options options = TFM_SESSION_OPTIONS_INIT;
    tfm_session *session = NULL;
    tfm_error error = TFM_ERROR_INIT;
    options.encoded = o->encoded;
    options.encoded_row = i;
    static const int32_t kinds[] = {TFM_CACHE_DEFAULT, TFM_CACHE_Q8_0, TFM_CACHE_BF16, TFM_CACHE_Q4_0};
    options.cache_type = kinds[i % TFM__COUNT(kinds)];
    if (tfm_session_create(o->model, &options, &session, &error)) fail_msg("%s", error.message);
    return session;
}

static int32_t look(void *user, const tfm_inspect_event *event) {
    (void)event;
    ++*(size_t *)user;
    return 0;
}

/* What the sessions do in one round: a prompt, a token, nothing. Their logits are the same as those of
 * sessions that go alone. */
static void rounds(const char *name, uint32_t threads) {
    opened o;
    tfm_session *alone[CROWD], *together[CROWD];
    tfm_error error = TFM_ERROR_INIT;
    tfm__rng rng;
    if (!open_family(&o, name, threads)) {
        close_family(&o);
        return;
    }
    encode_rows(&o);
    tfm__rng_seed(&rng, 11);
    size_t vocab = (size_t)o.info.vocab_size, seen = 0;
    size_t most = o.info.context < 200 ? 20 : MOST_TOKENS;
    for (size_t i = 0; i < CROWD; i++) {
        alone[i] = new_session(&o, i);
        together[i] = new_session(&o, i);
    }
    tfm_inspect_options at = TFM_INSPECT_OPTIONS_INIT;
    at.site = TFM_SITE_STREAM;
    if (tfm_inspect(together[5], &at, look, &seen, NULL, &error)) fail_msg("%s", error.message);
    for (size_t round = 0; round < 4; round++) {
        static tfm_token ids[CROWD][MOST_TOKENS];
        tfm_forward_part parts[CROWD];
        size_t count = 0, of[CROWD];
        for (size_t i = 0; i < CROWD; i++) {
            size_t n = round == 1 || i % 2 ? 1 : 1 + tfm__rng_u32(&rng) % most;
            if (round && tfm__rng_u32(&rng) % 4 == 0) continue; /* not in this round */
            if (tfm_session_position(alone[i]) + n > (size_t)o.info.context) continue;
            for (size_t t = 0; t < n; t++) ids[i][t] = (tfm_token)(tfm__rng_u32(&rng) % vocab);
            of[count] = i;
            parts[count] = (tfm_forward_part){together[i], ids[i], n, (int32_t)(tfm__rng_u32(&rng) % 3), 0};
            count++;
        }
        if (tfm_forward_many(parts, count, NULL, &error)) fail_msg("%s: %s", name, error.message);
        for (size_t p = 0; p < count; p++) {
            tfm_forward_options options = TFM_FORWARD_OPTIONS_INIT;
            options.logits = parts[p].logits;
            tfm_session *one = alone[of[p]];
            if (tfm_forward(one, parts[p].tokens, parts[p].count, &options, &error))
                fail_msg("%s", error.message);
            assert_int_equal(tfm_session_position(parts[p].session), tfm_session_position(one));
            assert_memory_equal(tfm_session_tokens(parts[p].session), tfm_session_tokens(one),
                                tfm_session_position(one) * sizeof(tfm_token));
            assert_int_equal(tfm_logits_count(parts[p].session), tfm_logits_count(one));
            for (size_t k = 0; k < tfm_logits_count(one); k++) {
                const float *a, *b;
                assert_int_equal(tfm_logits(one, k, &a, NULL, NULL), TFM_OK);
                assert_int_equal(tfm_logits(parts[p].session, k, &b, NULL, NULL), TFM_OK);
                if (memcmp(a, b, vocab * sizeof *a))
                    fail_msg("%s, %u threads, round %zu: session %zu has other bits in company", name,
                             threads, round, of[p]);
            }
        }
    }
    assert_true(seen > 0);
    for (size_t i = 0; i < CROWD; i++) {
        tfm_session_destroy(alone[i]);
        tfm_session_destroy(together[i]);
    }
    close_family(&o);
}

static void test_same_bits(void **state) {
    static const char *const names[] = {
        "arcee",    "bart",     "bloom",      "cohere", "cohere2",  "deepseek-v2", "deepseek-v3", "ernie4_5",
        "exaone4",  "falcon",   "falcon-new", "gemma",  "gemma2",   "gemma3",      "glm4",        "gpt-neo",
        "gpt-neox", "gpt-oss",  "gpt2",       "gptj",   "granite",  "llama",       "llama-yarn",  "m2m100",
        "marian",   "mistral",  "mixtral",    "mpt",    "nemotron", "olmo",        "olmo2",       "olmoe",
        "opt",      "pegasus",  "phi",        "phi3",   "qwen2",    "qwen2-moe",   "qwen3",       "qwen3-moe",
        "smollm3",  "stablelm", "starcoder2", "t5",     "t5-gated"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) rounds(names[i], 1 + i % 3);
    for (uint32_t threads = 1; threads <= 3; threads++) rounds("llama", threads);
}

static int32_t stop_at_once(void *user, uint64_t done, uint64_t total) {
    assert_true(done <= total);
    ++*(int *)user;
    return 1; /* stop */
}

/* An error leaves every session as it was. */
static void test_errors(void **state) {
    opened o, other;
    const tfm_token ids[] = {1, 2, 3}, wrong[] = {1, 100000};
    tfm_error error = TFM_ERROR_INIT;
    tfm_forward_options options = TFM_FORWARD_OPTIONS_INIT;
    size_t seen = 0;
    int reports = 0;
    (void)state;
    open_family(&o, "llama", 2);
    open_family(&other, "llama", 1);
    tfm_session *a = new_session(&o, 0), *b = new_session(&o, 1), *c = new_session(&other, 0);
    tfm_forward_part parts[] = {{a, ids, 3, TFM_LOGITS_LAST, 0}, {b, ids, 2, TFM_LOGITS_ALL, 0}};
    assert_int_equal(tfm_forward_many(parts, 2, NULL, &error), TFM_OK);
    assert_int_equal(tfm_logits_count(b), 2);

    assert_int_equal(tfm_forward_many(NULL, 1, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_forward_many(parts, 0, NULL, &error), TFM_E_ARGUMENT);
    parts[1].session = a;
    assert_int_equal(tfm_forward_many(parts, 2, NULL, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "twice"));
    parts[1].session = c;
    assert_int_equal(tfm_forward_many(parts, 2, NULL, &error), TFM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "another model"));
    parts[1] = (tfm_forward_part){b, wrong, 2, TFM_LOGITS_LAST, 0};
    assert_int_equal(tfm_forward_many(parts, 2, NULL, &error), TFM_E_TOKEN);
    parts[1] = (tfm_forward_part){b, ids, 2, 7, 0};
    assert_int_equal(tfm_forward_many(parts, 2, NULL, &error), TFM_E_ARGUMENT);
    parts[1] = (tfm_forward_part){b, ids, 2, TFM_LOGITS_LAST, 0};
    options.logits = TFM_LOGITS_ALL;
    assert_int_equal(tfm_forward_many(parts, 2, &options, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_logits_count(b), 2); /* arguments' faults leave the logits too */
    assert_int_equal(tfm_session_position(a), 3);

    /* stopped on the way, after the one that is looked into has run by itself */
    tfm_inspect_options at = TFM_INSPECT_OPTIONS_INIT;
    at.site = TFM_SITE_STREAM;
    assert_int_equal(tfm_inspect(a, &at, look, &seen, NULL, &error), TFM_OK);
    options.logits = 0;
    options.progress = stop_at_once;
    options.progress_user = &reports;
    assert_int_equal(tfm_forward_many(parts, 2, &options, &error), TFM_E_CANCELLED);
    assert_true(reports == 1 && seen > 0);
    assert_int_equal(tfm_session_position(a), 3);
    assert_int_equal(tfm_session_position(b), 2);
    assert_int_equal(tfm_logits_count(a), 0);

    tfm_session_destroy(a);
    tfm_session_destroy(b);
    tfm_session_destroy(c);
    close_family(&other);
    close_family(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
