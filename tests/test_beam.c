/* test_beam.c - beam search: the hypotheses and scores of transformers (tests/data/beam), the same bits with
 * other threads, one beam against greedy generation, and everything that can be wrong. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "families_help.h"
#include "tfm/tfm.h"

enum { MOST = 64 };

typedef struct row {
    tfm_token ids[MOST];
    size_t count;
} row;

static tfm_model *load(const char *name, tfm_pool *pool, family_files *files, folder *folder) {
    char path[512];
    tfm_error error = TFM_ERROR_INIT;
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_model *model = NULL;
    snprintf(path, sizeof path, "%s/families/%s", TFM_TEST_DATA, name);
    *files = family_make(path);
    family_folder(files, folder);
    tfm_source source = folder_source(&folder->files[0]);
    options.pool = pool;
    if (tfm_model_load_source(&source, &options, &model, &error)) fail_msg("%s", error.message);
    return model;
}

/* Ids by comma, or "-". */
static char *read_row(char *at, row *out) {
    out->count = 0;
    while (*at == ' ') at++;
    if (*at == '-') return at + 1;
    for (;;) {
        assert_true(out->count < MOST);
        out->ids[out->count++] = (tfm_token)strtol(at, &at, 10);
        if (*at != ',') return at;
        at++;
    }
}

static char *behind_bar(char *at) {
    while (*at == ' ') at++;
    assert_int_equal(*at, '|');
    return at + 1;
}

static tfm_session *session_for(tfm_model *model, const row *read, tfm_encoded **encoded) {
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    tfm_session *session = NULL;
    tfm_error error = TFM_ERROR_INIT;
    const tfm_encode_row text = {read->ids, read->count, NULL};
    if (read->count && tfm_encode(model, &text, 1, NULL, encoded, &error)) fail_msg("%s", error.message);
    on.encoded = *encoded;
    if (tfm_session_create(model, &on, &session, &error)) fail_msg("%s", error.message);
    return session;
}

static void check_case(tfm_model *model, char *line, size_t number) {
    tfm_beam_options o = TFM_BEAM_OPTIONS_INIT;
    tfm_error error = TFM_ERROR_INIT;
    row ends, read, prompt, expected;
    tfm_beams *beams = NULL;
    tfm_encoded *encoded = NULL;
    char *at = line;
    o.beams = (uint32_t)strtoul(at, &at, 10);
    o.hypotheses = (uint32_t)strtoul(at, &at, 10);
    o.max_tokens = (uint32_t)strtoul(at, &at, 10);
    o.min_tokens = (uint32_t)strtoul(at, &at, 10);
    o.stopping = (int32_t)strtol(at, &at, 10);
    o.no_repeat = (uint32_t)strtoul(at, &at, 10);
    o.length_penalty = strtod(at, &at);
    o.repeat_penalty = strtod(at, &at);
    at = behind_bar(read_row(at, &ends));
    at = behind_bar(read_row(at, &read));
    at = behind_bar(read_row(at, &prompt));
    o.ends = ends.ids;
    o.end_count = ends.count;
    tfm_session *session = session_for(model, &read, &encoded);
    if (tfm_beam_search(session, prompt.ids, prompt.count, &o, &beams, &error)) fail_msg("%s", error.message);
    assert_int_equal(tfm_beams_count(beams), o.hypotheses);
    for (size_t i = 0; i < o.hypotheses; i++) {
        tfm_hypothesis found = TFM_HYPOTHESIS_INIT;
        double score = strtod(at, &at);
        assert_int_equal(*at, ':');
        at = read_row(at + 1, &expected);
        assert_int_equal(tfm_beams_get(beams, i, &found, &error), TFM_OK);
        if (found.count != expected.count ||
            memcmp(found.tokens, expected.ids, found.count * sizeof *found.tokens) != 0 ||
            fabs(found.score - score) > 2e-4 * (1 + fabs(score)))
            fail_msg("line %zu, hypothesis %zu: %zu tokens, score %.7g; expected %zu and %.7g", number, i,
                     found.count, found.score, expected.count, score);
        bool ended = false;
        for (size_t k = 0; k < ends.count; k++) ended = ended || ends.ids[k] == found.tokens[found.count - 1];
        assert_int_equal(found.ended, ended);
    }
    tfm_beams_destroy(beams);
    tfm_session_destroy(session);
    tfm_encoded_release(encoded);
}

static void as_transformers_finds(void **state) {
    char now[64] = "", line[4096];
    family_files files;
    folder folder;
    tfm_model *model = NULL;
    size_t number = 0;
    (void)state;
    FILE *cases = fopen(TFM_TEST_DATA "/beam/cases.txt", "r");
    assert_non_null(cases);
    while (fgets(line, sizeof line, cases)) {
        char *space = strchr(line, ' ');
        assert_non_null(space);
        *space = 0;
        number++;
        if (strcmp(now, line) != 0) {
            tfm_model_release(model);
            if (now[0]) family_free(&files);
            snprintf(now, sizeof now, "%.60s", line);
            model = load(now, NULL, &files, &folder);
        }
        check_case(model, space + 1, number);
    }
    fclose(cases);
    assert_true(number > 50);
    tfm_model_release(model);
    family_free(&files);
}

/* One beam is the greedy way: the largest logit at every step. And the session holds the prompt afterwards.
 */
static void one_beam_is_greedy(void **state) {
    static const tfm_token prompt[] = {11, 22, 33, 44};
    enum { STEPS = 12, VOCAB_MOST = 4096 };
    family_files files;
    folder folder;
    tfm_error error = TFM_ERROR_INIT;
    tfm_beam_options o = TFM_BEAM_OPTIONS_INIT;
    tfm_hypothesis found = TFM_HYPOTHESIS_INIT;
    tfm_session *session = NULL;
    tfm_beams *beams = NULL, *again = NULL;
    size_t vocab;
    (void)state;
    tfm_model *model = load("llama", NULL, &files, &folder);
    assert_int_equal(tfm_session_create(model, NULL, &session, &error), TFM_OK);
    o.beams = 1;
    o.max_tokens = STEPS;
    if (tfm_beam_search(session, prompt, 4, &o, &beams, &error)) fail_msg("%s", error.message);
    assert_int_equal(tfm_session_position(session), 4);
    /* and again from where it stands, without a prompt */
    if (tfm_beam_search(session, NULL, 0, &o, &again, &error)) fail_msg("%s", error.message);
    assert_int_equal(tfm_beams_get(again, 0, &found, &error), TFM_OK);
    assert_int_equal(found.count, STEPS);
    tfm_hypothesis first = TFM_HYPOTHESIS_INIT;
    assert_int_equal(tfm_beams_get(beams, 0, &first, &error), TFM_OK);
    assert_memory_equal(first.tokens, found.tokens, STEPS * sizeof *found.tokens);
    assert_true(first.score == found.score);
    for (size_t i = 0; i < STEPS; i++) {
        const float *logits;
        size_t best = 0;
        if (tfm_logits(session, 0, &logits, &vocab, &error)) fail_msg("%s", error.message);
        for (size_t k = 1; k < vocab; k++)
            if (logits[k] > logits[best]) best = k;
        assert_int_equal(found.tokens[i], (tfm_token)best);
        if (tfm_forward(session, &found.tokens[i], 1, NULL, &error)) fail_msg("%s", error.message);
    }
    tfm_beams_destroy(beams);
    tfm_beams_destroy(again);
    tfm_session_destroy(session);
    tfm_model_release(model);
    family_free(&files);
}

/* The same hypotheses and the same bits of their scores with one thread and with three. */
static void threads_change_nothing(void **state) {
    static const tfm_token prompt[] = {7, 70, 17, 170};
    double scores[5];
    row rows[5];
    (void)state;
    for (uint32_t threads = 1; threads <= 3; threads += 2) {
        family_files files;
        folder folder;
        tfm_error error = TFM_ERROR_INIT;
        tfm_beam_options o = TFM_BEAM_OPTIONS_INIT;
        tfm_session *session = NULL;
        tfm_beams *beams = NULL;
        tfm_pool_options how = TFM_POOL_OPTIONS_INIT;
        tfm_pool *pool = NULL;
        how.threads = threads;
        assert_int_equal(tfm_pool_create(&how, &pool, &error), TFM_OK);
        tfm_model *model = load("gemma3", pool, &files, &folder);
        o.beams = o.hypotheses = 5;
        o.max_tokens = 10;
        assert_int_equal(tfm_session_create(model, NULL, &session, &error), TFM_OK);
        if (tfm_beam_search(session, prompt, 4, &o, &beams, &error)) fail_msg("%s", error.message);
        assert_int_equal(tfm_beams_count(beams), 5);
        for (size_t i = 0; i < 5; i++) {
            tfm_hypothesis found = TFM_HYPOTHESIS_INIT;
            assert_int_equal(tfm_beams_get(beams, i, &found, &error), TFM_OK);
            if (threads == 1) {
                scores[i] = found.score;
                rows[i].count = found.count;
                memcpy(rows[i].ids, found.tokens, found.count * sizeof *found.tokens);
            }
            assert_true(scores[i] == found.score);
            assert_int_equal(rows[i].count, found.count);
            assert_memory_equal(rows[i].ids, found.tokens, found.count * sizeof *found.tokens);
        }
        tfm_beams_destroy(beams);
        tfm_session_destroy(session);
        tfm_model_release(model);
        family_free(&files);
        tfm_pool_destroy(pool);
    }
}

static void refuse(tfm_session *session, const tfm_token *prompt, size_t count, const tfm_beam_options *o,
                   int32_t code) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_beams *beams = NULL;
    assert_int_equal(tfm_beam_search(session, prompt, count, o, &beams, &error), code);
    assert_null(beams);
    assert_true(error.message[0] != 0);
    assert_int_equal(tfm_beam_search(session, prompt, count, o, &beams, NULL), code);
}

static void what_is_refused(void **state) {
    const tfm_token good[] = {5, 6}, bad[] = {5, 1 << 30}, below = -1;
    family_files files;
    folder folder;
    tfm_error error = TFM_ERROR_INIT;
    tfm_session *session = NULL;
    tfm_cancel *cancel = NULL;
    (void)state;
    tfm_model *model = load("gpt2", NULL, &files, &folder);
    assert_int_equal(tfm_session_create(model, NULL, &session, &error), TFM_OK);
    tfm_beam_options o = TFM_BEAM_OPTIONS_INIT;
    refuse(NULL, good, 2, &o, TFM_E_ARGUMENT);
    refuse(session, NULL, 2, &o, TFM_E_ARGUMENT);
    refuse(session, NULL, 0, &o, TFM_E_STATE);
    refuse(session, bad, 2, &o, TFM_E_TOKEN);
    o.beams = 257;
    refuse(session, good, 2, &o, TFM_E_ARGUMENT);
    o.beams = 2;
    o.hypotheses = 3;
    refuse(session, good, 2, &o, TFM_E_ARGUMENT);
    o.hypotheses = 1;
    o.stopping = 3;
    refuse(session, good, 2, &o, TFM_E_ARGUMENT);
    o.stopping = 0;
    o.length_penalty = NAN;
    refuse(session, good, 2, &o, TFM_E_ARGUMENT);
    o.length_penalty = 1;
    o.repeat_penalty = 0;
    refuse(session, good, 2, &o, TFM_E_ARGUMENT);
    o.repeat_penalty = 1;
    o.end_count = 1;
    refuse(session, good, 2, &o, TFM_E_ARGUMENT);
    o.ends = &below;
    refuse(session, good, 2, &o, TFM_E_TOKEN);
    o.ends = NULL;
    o.end_count = 0;
    o.first = 1 << 30;
    refuse(session, good, 2, &o, TFM_E_TOKEN);
    o.first = -1;
    assert_int_equal(tfm_session_position(session), 0);
    assert_int_equal(tfm_cancel_create(NULL, &cancel, &error), TFM_OK);
    tfm_cancel_set(cancel);
    o.cancel = cancel;
    refuse(session, good, 2, &o, TFM_E_CANCELLED);
    tfm_cancel_destroy(cancel);
    assert_int_equal(tfm_beams_count(NULL), 0);
    assert_int_equal(tfm_beams_get(NULL, 0, NULL, &error), TFM_E_ARGUMENT);
    tfm_beams_destroy(NULL);
    tfm_session_destroy(session);
    tfm_model_release(model);
    family_free(&files);
}

/* A context that fills up: the last token of a hypothesis need not be read. */
static void a_full_context(void **state) {
    const tfm_token prompt[] = {5, 6, 7};
    family_files files;
    folder folder;
    tfm_error error = TFM_ERROR_INIT;
    tfm_session_options on = TFM_SESSION_OPTIONS_INIT;
    tfm_beam_options o = TFM_BEAM_OPTIONS_INIT;
    tfm_hypothesis found = TFM_HYPOTHESIS_INIT;
    tfm_session *session = NULL;
    tfm_beams *beams = NULL;
    (void)state;
    tfm_model *model = load("gpt2", NULL, &files, &folder);
    on.context = 8;
    assert_int_equal(tfm_session_create(model, &on, &session, &error), TFM_OK);
    if (tfm_beam_search(session, prompt, 3, &o, &beams, &error)) fail_msg("%s", error.message);
    assert_int_equal(tfm_beams_get(beams, 0, &found, &error), TFM_OK);
    assert_int_equal(found.count, 6);
    assert_int_equal(tfm_beams_get(beams, 1, &found, &error), TFM_E_ARGUMENT);
    tfm_beams_destroy(beams);
    tfm_session_destroy(session);
    tfm_model_release(model);
    family_free(&files);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_transformers_finds),  cmocka_unit_test(one_beam_is_greedy),
        cmocka_unit_test(threads_change_nothing), cmocka_unit_test(what_is_refused),
        cmocka_unit_test(a_full_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
