/* test_oom.c - memory refused at the first, second, ... request, once and from then on: the status is
 * TFM_E_MEMORY, outputs are empty, objects stay usable and give the same results once there is memory again,
 * and every byte comes back. */
#define _XOPEN_SOURCE 700 /* mkstemp */
#include <unistd.h>

#include "tiny_model.h"

typedef struct trial {
    tiny_memory memory;
    tfm_allocator allocator;
    tfm_error error;
    tiny_file file;
    size_t failures; /* calls that failed for want of memory */
} trial;

/* True if the call has to be made again: it failed as it should have. From now on there is memory. */
static bool lacked(trial *t, int32_t status) {
    if (!status) return false;
    if (status != TFM_E_MEMORY)
        fail_msg("request %zu: %s (%s)", t->memory.fail_at, tfm_status_name(status), t->error.message);
    assert_int_equal(t->error.code, TFM_E_MEMORY);
    assert_true(t->error.message[0] != 0);
    assert_true(t->memory.refusals > 0);
    t->failures++;
    t->memory.fail_at = 0;
    t->error = (tfm_error)TFM_ERROR_INIT;
    return true;
}

typedef void (*job)(trial *t);

/* Runs the job until nothing is refused any more. */
static void sweep(const tiny_spec *spec, job run) {
    for (int for_ever = 0; for_ever < 2; for_ever++)
        for (size_t n = 1;; n++) {
            trial t = {.memory = {.fail_at = n, .for_ever = for_ever},
                       .error = TFM_ERROR_INIT,
                       .file = tiny_make(spec)};
            t.allocator = tiny_allocator(&t.memory);
            run(&t);
            assert_int_equal(t.memory.out, 0);
            free(t.file.data);
            if (!t.memory.refusals) {
                assert_int_equal(t.failures, 0);
                assert_true(n > 1);
                break;
            }
            if (for_ever) assert_int_equal(t.failures, 1);
            assert_true(n < 5000);
        }
}

/* ---- Models
 * --------------------------------------------------------------------------------------------------- */

static tfm_model *load(trial *t) {
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_model *model = (tfm_model *)t;
    options.allocator = &t->allocator;
    while (lacked(t, tfm_model_load_memory(t->file.data, t->file.size, &options, &model, &t->error))) {
        assert_null(model);
        assert_int_equal(t->memory.out, 0); /* at once, not only at the end */
        model = (tfm_model *)t;
    }
    return model;
}

static void load_and_release(trial *t) { tfm_model_release(load(t)); }

typedef struct closing {
    tiny_file file;
    int closed;
} closing;

static uint64_t source_size(void *user) { return ((closing *)user)->file.size; }
static int32_t source_read(void *user, uint64_t offset, void *buffer, size_t count) {
    memcpy(buffer, ((closing *)user)->file.data + offset, count);
    return 0;
}
static void source_close(void *user) { ((closing *)user)->closed++; }

static void load_from_source(trial *t) {
    tfm_source source = TFM_SOURCE_INIT;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_model *model = NULL;
    closing c = {t->file, 0};
    int calls = 1;
    source.user = &c;
    source.size = source_size;
    source.read_at = source_read;
    source.close = source_close;
    options.allocator = &t->allocator;
    for (; lacked(t, tfm_model_load_source(&source, &options, &model, &t->error)); calls++) {
        assert_null(model);
        assert_int_equal(c.closed, calls);
    }
    tfm_model_release(model);
    assert_int_equal(c.closed, calls);
}

static void test_models(void **state) {
    (void)state;
    sweep(&(tiny_spec){.layers = 1}, load_and_release);
    sweep(&(tiny_spec){.no_tokenizer = true}, load_and_release);
    sweep(&(tiny_spec){.family = "gemma3", .window = 16, .no_tokenizer = true}, load_and_release);
    sweep(&(tiny_spec){.family = "gpt2", .no_tokenizer = true}, load_and_release);
    sweep(&(tiny_spec){.no_tokenizer = true}, load_from_source);
}

/* ---- Sessions
 * ------------------------------------------------------------------------------------------------- */

static float reference[TINY_VOCAB];

static void feed(trial *t, tfm_session *session, const tfm_token *ids, size_t count, int32_t logits) {
    tfm_forward_options options = TFM_FORWARD_OPTIONS_INIT;
    size_t position = tfm_session_position(session);
    options.logits = logits;
    while (lacked(t, tfm_forward(session, ids, count, &options, &t->error))) {
        assert_int_equal(tfm_session_position(session), position);
        assert_int_equal(tfm_logits_count(session), 0);
    }
    assert_int_equal(tfm_session_position(session), position + count);
}

/* Two sessions in one pass, two tokens each. */
static void feed_both(trial *t, tfm_session *one, tfm_session *two, const tfm_token *ids) {
    const tfm_forward_part parts[] = {{one, ids, 2, TFM_LOGITS_ALL, 0}, {two, ids, 2, TFM_LOGITS_LAST, 0}};
    size_t position = tfm_session_position(two);
    while (lacked(t, tfm_forward_many(parts, 2, NULL, &t->error))) {
        assert_int_equal(tfm_session_position(two), position);
        assert_int_equal(tfm_logits_count(one), 0);
    }
    assert_int_equal(tfm_session_position(two), position + 2);
}

static void use_sessions(trial *t) {
    size_t fail_at = t->memory.fail_at;
    t->memory.fail_at = 0;
    tfm_model *model = load(t);
    t->memory.calls = 0;
    t->memory.fail_at = fail_at;
    tfm_session *session = NULL, *fork = NULL;
    tfm_token ids[140];
    const float *logits;
    tiny_ids(ids, 140, 21);
    while (lacked(t, tfm_session_create(model, NULL, &session, &t->error))) assert_null(session);
    feed(t, session, ids, 1, TFM_LOGITS_LAST);
    feed(t, session, ids + 1, 62, TFM_LOGITS_ALL);
    feed(t, session, ids + 63, 1, TFM_LOGITS_NONE);
    feed(t, session, ids + 64, 1, TFM_LOGITS_LAST); /* a new page */
    while (lacked(t, tfm_session_fork(session, &fork, &t->error))) assert_null(fork);
    feed(t, fork, ids + 65, 5, TFM_LOGITS_LAST); /* a page of its own */
    feed(t, session, ids, 3, TFM_LOGITS_LAST);
    feed_both(t, session, fork, ids + 70);
    tfm_session_destroy(session);
    feed(t, fork, ids + 72, 68, TFM_LOGITS_LAST);
    assert_int_equal(tfm_logits(fork, 0, &logits, NULL, NULL), TFM_OK);
    assert_memory_equal(logits, reference, sizeof reference);
    tfm_session_destroy(fork);
    tfm_model_release(model);
}

static void test_sessions(void **state) {
    (void)state;
    tiny t = tiny_open(&(tiny_spec){.no_tokenizer = true}, NULL); /* what it has to come to */
    tfm_session *session = tiny_session(&t);
    tfm_token ids[140];
    const float *logits;
    tiny_ids(ids, 140, 21);
    tiny_feed(session, ids, 140);
    assert_int_equal(tfm_logits(session, 0, &logits, NULL, NULL), TFM_OK);
    memcpy(reference, logits, sizeof reference);
    tfm_session_destroy(session);
    tiny_close(&t);
    sweep(&(tiny_spec){.no_tokenizer = true}, use_sessions);
}

/* ---- Choosing and generating
 * ---------------------------------------------------------------------------------- */

#define SAID 70
static tfm_token said[SAID];
static bool know_said;

static void use_generation(trial *t) {
    size_t fail_at = t->memory.fail_at;
    t->memory.fail_at = 0;
    tfm_model *model = load(t);
    t->memory.calls = 0;
    t->memory.fail_at = fail_at;
    tfm_sampler_options sampler_options = TFM_SAMPLER_OPTIONS_INIT;
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    tfm_session *session = NULL;
    tfm_sampler *sampler = NULL;
    tfm_generation *generation = NULL;
    tfm_token_event event = TFM_TOKEN_EVENT_INIT;
    char stop[9001]; /* longer than the room that is taken without asking */
    memset(stop, 'q', 9000);
    stop[9000] = 0;
    const char *stops[] = {stop, "never"};
    sampler_options.allocator = &t->allocator;
    options.stops = stops;
    options.stop_count = 2;
    options.ignore_end = 1;
    while (lacked(t, tfm_session_create(model, NULL, &session, &t->error))) assert_null(session);
    while (lacked(t, tfm_sampler_create(&sampler_options, &sampler, &t->error))) assert_null(sampler);
    while (
        lacked(t, tfm_generation_begin(session, sampler, "the abc", 7, &options, &generation, &t->error))) {
        assert_null(generation);
        assert_int_equal(tfm_session_position(session), 0);
    }
    for (size_t i = 0; i < SAID; i++) {
        while (lacked(t, tfm_generation_next(generation, &event, &t->error))) {
            assert_int_equal(event.token, -1);
            assert_int_equal(event.length, 0);
        }
        if (know_said) assert_int_equal(event.token, said[i]);
        said[i] = event.token;
    }
    know_said = true;
    tfm_generation_end(generation, NULL);
    tfm_candidate table[9];
    size_t count = 9;
    tfm_session *fresh = NULL;
    while (lacked(t, tfm_top_candidates(session, table, 9, &count, &t->error))) assert_int_equal(count, 0);
    assert_int_equal(count, 9);
    tfm_sampler_destroy(sampler);
    while (lacked(t, tfm_session_create(model, NULL, &fresh, &t->error))) assert_null(fresh);
    sampler = NULL;
    while (lacked(t, tfm_sampler_create(&sampler_options, &sampler, &t->error))) assert_null(sampler);
    while (lacked(t, tfm_generate(fresh, sampler, "abc", 3,
                                  &(tfm_generate_options){sizeof options, .max_tokens = 3}, NULL, NULL, NULL,
                                  &t->error)))
        assert_int_equal(tfm_session_position(fresh), 0);
    tfm_session_destroy(fresh);
    tfm_sampler_destroy(sampler);
    sampler = NULL;
    tfm_token token = 0;
    while (lacked(t, tfm_sampler_create(&sampler_options, &sampler, &t->error))) assert_null(sampler);
    while (lacked(t, tfm_sample_next(session, sampler, &token, &t->error))) assert_int_equal(token, -1);
    tfm_sampler_destroy(sampler);
    tfm_session_destroy(session);
    tfm_model_release(model);
}

static void test_generation(void **state) {
    (void)state;
    tiny_file file = tiny_make(NULL);
    trial calm = {.error = TFM_ERROR_INIT, .file = file}; /* what it has to say */
    calm.allocator = tiny_allocator(&calm.memory);
    use_generation(&calm);
    assert_int_equal(calm.failures, 0);
    free(file.data);
    sweep(NULL, use_generation);
}

/* ---- Tokenizers
 * ----------------------------------------------------------------------------------------------- */

static void use_tokenizer(trial *t) {
    static const char text[] = "the abc \xc3\xa9 END th";
    tfm_tokenizer_options options = TFM_TOKENIZER_OPTIONS_INIT;
    tfm_tokenizer *tokenizer = (tfm_tokenizer *)t;
    tfm_token ids[64];
    size_t count = 0, length = 0;
    char back[64];
    tfm_decoder *decoder = NULL;
    options.allocator = &t->allocator;
    while (
        lacked(t, tfm_tokenizer_load_memory(t->file.data, t->file.size, &options, &tokenizer, &t->error))) {
        assert_null(tokenizer);
        assert_int_equal(t->memory.out, 0);
    }
    while (lacked(t, tfm_tokenize(tokenizer, text, sizeof text - 1, NULL, ids, 64, &count, &t->error)))
        assert_int_equal(count, 0);
    assert_true(count > 5);
    while (lacked(t, tfm_detokenize(tokenizer, ids, count, NULL, back, sizeof back, &length, &t->error)))
        assert_int_equal(length, 0);
    assert_int_equal(length, sizeof text - 1);
    assert_memory_equal(back, text, length);
    while (lacked(t, tfm_decoder_create(tokenizer, NULL, &decoder, &t->error))) assert_null(decoder);
    tfm_decoder_destroy(decoder);
    tfm_tokenizer_release(tokenizer);
}

static void test_tokenizers(void **state) {
    (void)state;
    sweep(&(tiny_spec){.layers = 1}, use_tokenizer);
}

/* ---- Scoring, measuring, quantising -------------------------------------------------------------------- */

static double score_reference;

static void use_scores(trial *t) {
    size_t fail_at = t->memory.fail_at;
    t->memory.fail_at = 0;
    tfm_model *model = load(t);
    t->memory.calls = 0;
    t->memory.fail_at = fail_at;
    tfm_session *session = NULL;
    tfm_score_result result = TFM_SCORE_RESULT_INIT;
    tfm_perplexity_options windows = TFM_PERPLEXITY_OPTIONS_INIT;
    tfm_perplexity_result perplexity = TFM_PERPLEXITY_RESULT_INIT;
    tfm_imatrix_options measuring = TFM_IMATRIX_OPTIONS_INIT;
    tfm_token ids[24];
    char path[] = "/tmp/tfm-oom-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    tiny_ids(ids, 24, 3);
    while (lacked(t, tfm_session_create(model, NULL, &session, &t->error))) assert_null(session);
    while (lacked(t, tfm_score(session, "ab", 2, "c the x", 7, NULL, NULL, 0, &result, &t->error))) {
        assert_int_equal(result.count, 0);
        assert_int_equal(tfm_session_position(session), 0);
    }
    if (!fail_at) score_reference = result.log_probability;
    assert_true(result.log_probability == score_reference);
    tfm_session_destroy(session);
    windows.context = measuring.context = 8;
    while (lacked(t, tfm_perplexity(model, ids, 24, &windows, &perplexity, &t->error)))
        assert_int_equal(perplexity.tokens, 0);
    assert_true(perplexity.tokens > 0);
    while (lacked(t, tfm_imatrix_measure(model, ids, 24, path, &measuring, &t->error))) {}
    remove(path);
    tfm_model_release(model);
}

/* t->file lies in a file of the same name. */
static void use_quantize(trial *t) {
    char source[] = "/tmp/tfm-oom-XXXXXX", target[64];
    tfm_quantize_options options = TFM_QUANTIZE_OPTIONS_INIT;
    tfm_quantize_result result = TFM_QUANTIZE_RESULT_INIT;
    int descriptor = mkstemp(source);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, t->file.data, t->file.size), (ssize_t)t->file.size);
    close(descriptor);
    snprintf(target, sizeof target, "%s.gguf", source);
    options.allocator = &t->allocator;
    while (lacked(t, tfm_quantize(source, target, "Q4_K_M", &options, &result, &t->error))) {
        assert_int_equal(result.tensors, 0);
        assert_int_equal(access(target, F_OK), -1);
        assert_int_equal(t->memory.out, 0);
    }
    assert_int_equal(access(target, F_OK), 0);
    remove(source);
    remove(target);
}

static void test_quantising(void **state) {
    (void)state;
    tiny_file file = tiny_make(NULL);
    trial calm = {.error = TFM_ERROR_INIT, .file = file};
    calm.allocator = tiny_allocator(&calm.memory);
    use_scores(&calm);
    free(file.data);
    sweep(NULL, use_scores);
    sweep(&(tiny_spec){.layers = 1}, use_quantize);
}

/* ---- Training ---- */

/* A trainer, a step, a step on more rows; the loss is always the same. The model was loaded with memory. */
static void train(trial *t) {
    enum { LENGTH = 20 };
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    tfm_trainer *trainer = NULL;
    tfm_trainer_options options = TFM_TRAINER_OPTIONS_INIT;
    tfm_train_batch batch = TFM_TRAIN_BATCH_INIT;
    tfm_train_result result = TFM_TRAIN_RESULT_INIT;
    tfm_token ids[3 * LENGTH];
    static double losses[2];
    if (tfm_model_load_memory(t->file.data, t->file.size, NULL, &model, &error))
        fail_msg("%s", error.message);
    tiny_ids(ids, 3 * LENGTH, 4);
    batch.tokens = ids;
    batch.length = LENGTH;
    options.allocator = &t->allocator;
    while (lacked(t, tfm_trainer_create(model, &options, &trainer, &t->error))) {
        assert_null(trainer);
        assert_int_equal(t->memory.out, 0);
    }
    for (int i = 0; i < 2; i++) {
        batch.rows = i ? 3 : 1;
        while (lacked(t, tfm_trainer_step(trainer, &batch, 1, &result, &t->error)))
            assert_int_equal(tfm_trainer_steps(trainer), i);
        if (losses[i] == 0) losses[i] = result.loss;
        assert_true(result.loss == losses[i]);
    }
    tfm_trainer_destroy(trainer);
    tfm_model_release(model);
}

static void test_train(void **state) {
    const tiny_spec spec = {.family = "gemma3", .seed = 1, .layers = 1};
    (void)state;
    sweep(&spec, train);
}

/* ---- Beam search ---- */

static tfm_token beam_reference[8];

/* The best of four beams, always the same; whatever failed, the session can be rewound and searched from
 * again. */
static void search_beams(trial *t) {
    const tfm_token prompt[] = {3, 1, 4, 1, 5};
    tfm_beam_options options = TFM_BEAM_OPTIONS_INIT;
    tfm_hypothesis best = TFM_HYPOTHESIS_INIT;
    tfm_model *model = load(t);
    tfm_session *session = NULL;
    tfm_beams *beams = NULL;
    options.max_tokens = 8;
    while (lacked(t, tfm_session_create(model, NULL, &session, &t->error))) assert_null(session);
    while (lacked(t, tfm_beam_search(session, prompt, 5, &options, &beams, &t->error))) {
        assert_null(beams);
        assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
    }
    assert_int_equal(tfm_session_position(session), 5);
    assert_int_equal(tfm_beams_get(beams, 0, &best, NULL), TFM_OK);
    assert_int_equal(best.count, 8);
    if (beam_reference[0] == 0) memcpy(beam_reference, best.tokens, sizeof beam_reference);
    assert_memory_equal(best.tokens, beam_reference, sizeof beam_reference);
    tfm_session_destroy(session);
    tfm_model_release(model);
    tfm_beams_destroy(beams); /* holds the model on its own */
}

static void test_beams(void **state) {
    const tiny_spec spec = {.layers = 1};
    (void)state;
    sweep(&spec, search_beams);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),     cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_generation), cmocka_unit_test(test_tokenizers),
        cmocka_unit_test(test_quantising), cmocka_unit_test(test_train),
        cmocka_unit_test(test_beams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
