/* test_score.c - the probability of given texts, held against a log-softmax over tfm_forward's logits in
 * double precision; borders that a token reaches across; perplexity; errors that change nothing. */
#include <math.h>

#include "tiny_model.h"

#define V TINY_VOCAB

static double log_softmax(const float *logits, size_t vocab, tfm_token token) {
    double largest = -INFINITY, sum = 0.0;
    for (size_t i = 0; i < vocab; i++) largest = fmax(largest, (double)logits[i]);
    for (size_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - largest);
    return (double)logits[token] - largest - log(sum);
}

/* What tfm_forward's logits say of tokens [first, count). */
static void expect_scores(const tiny *t, const tfm_token *ids, size_t count, size_t first,
                          const tfm_token_score *scores) {
    tfm_session *session = tiny_session(t);
    tfm_forward_options options = TFM_FORWARD_OPTIONS_INIT;
    options.logits = TFM_LOGITS_ALL;
    assert_int_equal(tfm_forward(session, ids, count, &options, NULL), TFM_OK);
    for (size_t i = first; i < count; i++) {
        const float *row;
        uint32_t rank = 0;
        assert_int_equal(tfm_logits(session, i - 1, &row, NULL, NULL), TFM_OK);
        for (size_t v = 0; v < V; v++) rank += row[v] > row[ids[i]];
        assert_int_equal(scores[i - first].token, ids[i]);
        assert_int_equal(scores[i - first].rank, rank);
        assert_true(fabs(scores[i - first].log_probability - log_softmax(row, V, ids[i])) < 1e-6);
    }
    tfm_session_destroy(session);
}

static void test_tokens(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_token ids[40];
    tfm_token_score scores[40], again[40];
    for (int i = 0; i < 40; i++) ids[i] = TINY_LETTER + (i * 7) % 26;
    assert_int_equal(tfm_score_tokens(session, ids, 40, 1, NULL, scores, NULL), TFM_OK);
    expect_scores(&t, ids, 40, 1, scores);
    assert_int_equal(tfm_session_position(session), 40);
    /* cut anywhere, also after going back, the bits are the same */
    for (size_t cut = 1; cut < 40; cut += 6) {
        assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
        assert_int_equal(tfm_score_tokens(session, ids, cut + 1, 1, NULL, again, NULL), TFM_OK);
        if (cut % 4 == 1) {
            assert_int_equal(tfm_session_rewind(session, cut, NULL), TFM_OK); /* without logits */
            assert_int_equal(tfm_score_tokens(session, ids + cut, 40 - cut, 0, NULL, again + cut - 1, NULL),
                             TFM_OK);
        } else if (cut < 39) {
            assert_int_equal(tfm_score_tokens(session, ids + cut + 1, 39 - cut, 0, NULL, again + cut, NULL),
                             TFM_OK);
        }
        for (int i = 0; i < 39; i++) {
            assert_int_equal(again[i].token, scores[i].token);
            assert_true(again[i].log_probability == scores[i].log_probability);
        }
    }
    tfm_session_destroy(session);
    tiny_close(&t);
}

static void test_wrong_tokens(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_token ids[300] = {TINY_LETTER, V, TINY_LETTER};
    tfm_token_score scores[300];
    assert_int_equal(tfm_score_tokens(NULL, ids, 2, 1, NULL, scores, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_score_tokens(session, ids, 1, 1, NULL, scores, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_score_tokens(session, ids, 1, 0, NULL, scores, NULL), TFM_E_STATE);
    assert_int_equal(tfm_score_tokens(session, ids, 3, 1, NULL, scores, NULL), TFM_E_TOKEN);
    ids[1] = TINY_LETTER;
    assert_int_equal(tfm_score_tokens(session, ids, 300, 1, NULL, scores, NULL), TFM_E_CONTEXT);
    assert_int_equal(tfm_session_position(session), 0);
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* The tokens of a text, with the one that begins texts. */
static size_t tokens_of(const tiny *t, const char *text, tfm_token *ids, size_t capacity) {
    size_t count;
    assert_int_equal(
        tfm_tokenize(tfm_tokenizer_of(t->model), text, strlen(text), NULL, ids, capacity, &count, NULL),
        TFM_OK);
    return count;
}

static void test_text(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_token ids[64];
    tfm_token_score scores[64];
    tfm_score_result result = TFM_SCORE_RESULT_INIT;
    size_t count = tokens_of(&t, "abc in the q", ids, 64), before = tokens_of(&t, "abc in", ids, 64);
    count = tokens_of(&t, "abc in the q", ids, 64);
    assert_int_equal(tfm_score(session, "abc in", 6, " the q", 6, NULL, scores, 64, &result, NULL), TFM_OK);
    assert_int_equal(result.prompt_tokens, before);
    assert_int_equal(result.count, count - before);
    assert_int_equal(result.split, 0);
    expect_scores(&t, ids, count, before, scores);
    double sum = 0.0;
    for (size_t i = 0; i < result.count; i++) sum += scores[i].log_probability;
    assert_true(sum == result.log_probability);
    assert_int_equal(tfm_session_position(session), count);
    assert_memory_equal(tfm_session_tokens(session), ids, count * sizeof *ids);

    /* the same phrase in two steps: the joint probability is the product */
    tfm_score_result first = TFM_SCORE_RESULT_INIT, second = TFM_SCORE_RESULT_INIT;
    assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
    assert_int_equal(tfm_score(session, "abc in", 6, " the", 4, NULL, NULL, 0, &first, NULL), TFM_OK);
    assert_int_equal(tfm_score(session, NULL, 0, " q", 2, NULL, NULL, 0, &second, NULL), TFM_OK);
    assert_true(fabs(first.log_probability + second.log_probability - sum) < 1e-9);
    assert_memory_equal(tfm_session_tokens(session), ids, count * sizeof *ids);
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* "ab" + "c": together one token, abc. */
static void test_border(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_token ids[16];
    tfm_token_score scores[16];
    tfm_score_result result = TFM_SCORE_RESULT_INIT;
    tfm_score_options options = TFM_SCORE_OPTIONS_INIT;
    tfm_session *session = tiny_session(&t);
    size_t before = tokens_of(&t, "ab", ids, 16);
    assert_int_equal(ids[before - 1], TINY_AB);
    assert_int_equal(tfm_score(session, "ab", 2, "c", 1, &options, scores, 16, &result, NULL), TFM_OK);
    assert_int_equal(result.split, 1);
    assert_int_equal(result.count, 1);
    assert_int_equal(scores[0].token, TINY_LETTER + 2);
    ids[before] = TINY_LETTER + 2;
    expect_scores(&t, ids, before + 1, before, scores);

    options.border = TFM_BORDER_REJOIN;
    assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
    assert_int_equal(tfm_score(session, "ab", 2, "c", 1, &options, scores, 16, &result, NULL), TFM_OK);
    assert_int_equal(result.split, 1);
    assert_int_equal(result.prompt_tokens, before - 1);
    assert_int_equal(result.count, 1);
    assert_int_equal(scores[0].token, TINY_ABC);
    ids[before - 1] = TINY_ABC;
    expect_scores(&t, ids, before, before - 1, scores);
    tfm_session_destroy(session);
    tiny_close(&t);
}

static int32_t stop_at_once(void *user, uint64_t done, uint64_t total) {
    (void)user, (void)done, (void)total;
    return 1;
}

static void test_wrong_text(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_score_result result = {sizeof result, 7, 7, 7.0, 7, 0};
    tfm_score_options options = TFM_SCORE_OPTIONS_INIT;
    assert_int_equal(tfm_score(session, "ab", 2, "", 0, NULL, NULL, 0, &result, NULL), TFM_E_ARGUMENT);
    assert_int_equal(result.count, 0);
    assert_true(result.log_probability == 0.0);
    assert_int_equal(tfm_score(session, "ab", 2, NULL, 0, NULL, NULL, 0, NULL, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_score(NULL, "ab", 2, "c", 1, NULL, NULL, 0, NULL, NULL), TFM_E_ARGUMENT);
    options.border = 2;
    assert_int_equal(tfm_score(session, "ab", 2, "c", 1, &options, NULL, 0, NULL, NULL), TFM_E_ARGUMENT);
    options.border = 0;
    options.add_bos = TFM_NO;
    assert_int_equal(tfm_score(session, NULL, 0, "c", 1, &options, NULL, 0, NULL, NULL), TFM_E_STATE);
    options.add_bos = TFM_DEFAULT;
    options.progress = stop_at_once;
    assert_int_equal(tfm_score(session, "ab", 2, "c", 1, &options, NULL, 0, NULL, NULL), TFM_E_CANCELLED);
    assert_int_equal(tfm_session_position(session), 0);
    tfm_session_destroy(session);
    tiny_close(&t);

    tiny_spec spec = {.no_tokenizer = true};
    tiny without = tiny_open(&spec, NULL);
    session = tiny_session(&without);
    assert_int_equal(tfm_score(session, "ab", 2, "c", 1, NULL, NULL, 0, NULL, NULL), TFM_E_STATE);
    tfm_session_destroy(session);
    tiny_close(&without);
}

/* The sum over all ways to spell a phrase, by trying every token at every place. */
static double all_ways(const tiny *t, const tfm_token *before, size_t count, const char *phrase,
                       size_t length) {
    tfm_session *session = tiny_session(t);
    tfm_token ids[64];
    const float *logits;
    double sum = 0.0;
    float row[V];
    memcpy(ids, before, count * sizeof *ids);
    tiny_feed(session, ids, count);
    assert_int_equal(tfm_logits(session, 0, &logits, NULL, NULL), TFM_OK);
    memcpy(row, logits, sizeof row);
    tfm_session_destroy(session);
    for (tfm_token v = 0; v < V; v++) {
        const char *bytes;
        size_t size;
        int32_t kind = tfm_token_kind(tfm_tokenizer_of(t->model), v);
        if (kind == TFM_TOKEN_CONTROL || kind == TFM_TOKEN_UNKNOWN) continue;
        assert_int_equal(tfm_token_bytes(tfm_tokenizer_of(t->model), v, &bytes, &size, NULL), TFM_OK);
        if (size == 0 || memcmp(bytes, phrase, size < length ? size : length) != 0) continue;
        ids[count] = v;
        sum += exp(log_softmax(row, V, v)) *
               (size >= length ? 1.0 : all_ways(t, ids, count + 1, phrase + size, length - size));
    }
    return sum;
}

static void test_phrase(void **state) {
    static const char *const phrases[] = {"abc", "the", " the", "in th", "x\xc3\xa9y", "q"};
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_token ids[8];
    size_t count = tokens_of(&t, "in", ids, 8);
    tiny_feed(session, ids, count);
    for (size_t i = 0; i < TFM__COUNT(phrases); i++) {
        tfm_phrase_result result = TFM_PHRASE_RESULT_INIT, short_one = TFM_PHRASE_RESULT_INIT;
        tfm_phrase_options options = TFM_PHRASE_OPTIONS_INIT;
        size_t length = strlen(phrases[i]);
        double expected = all_ways(&t, ids, count, phrases[i], length);
        options.passes = 4000;
        assert_int_equal(tfm_score_phrase(session, phrases[i], length, &options, &result, NULL), TFM_OK);
        assert_true(result.probability <= expected * (1 + 1e-5));
        assert_true(result.probability + result.unexplored >= expected * (1 - 1e-5));
        assert_true(result.unexplored <= 2e-6 * expected || result.unexplored < 1e-300);
        assert_int_equal(tfm_session_position(session), count);
        options.passes = 1; /* a bound holds however early it stops */
        assert_int_equal(tfm_score_phrase(session, phrases[i], length, &options, &short_one, NULL), TFM_OK);
        assert_int_equal(short_one.passes, 1);
        assert_true(short_one.probability <= expected * (1 + 1e-5));
        assert_true(short_one.probability + short_one.unexplored >= expected * (1 - 1e-5));
    }
    tfm_phrase_result result = TFM_PHRASE_RESULT_INIT;
    assert_int_equal(tfm_score_phrase(session, "", 0, NULL, &result, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_score_phrase(session, NULL, 3, NULL, &result, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
    assert_int_equal(tfm_score_phrase(session, "a", 1, NULL, &result, NULL), TFM_E_STATE);
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* ---- Perplexity ---------------------------------------------------------------------------------------- */

/* The sum over tokens [first, count) of a window. */
static double window_sum(const tiny *t, const tfm_token *ids, size_t count, size_t first) {
    tfm_session *session = tiny_session(t);
    tfm_token_score scores[256];
    double sum = 0.0;
    assert_int_equal(tfm_score_tokens(session, ids, count, first, NULL, scores, NULL), TFM_OK);
    for (size_t i = 0; i < count - first; i++) sum += scores[i].log_probability;
    tfm_session_destroy(session);
    return sum;
}

static void test_perplexity(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_perplexity_options options = TFM_PERPLEXITY_OPTIONS_INIT;
    tfm_perplexity_result result = TFM_PERPLEXITY_RESULT_INIT;
    tfm_token ids[101], window[16];
    ids[0] = TINY_BOS;
    for (int i = 1; i < 101; i++) ids[i] = TINY_LETTER + (i * 11) % 26;

    /* halves: windows of 16 tokens, the text's first token in front, scored from the 10th on */
    options.context = 16;
    assert_int_equal(tfm_perplexity(t.model, ids + 1, 100, &options, &result, NULL), TFM_OK);
    double sum = 0.0;
    for (size_t start = 0; start + 16 <= 101; start += 16) {
        memcpy(window, ids + start, sizeof window);
        window[0] = TINY_BOS;
        sum += window_sum(&t, window, 16, 9);
    }
    assert_int_equal(result.windows, 6);
    assert_int_equal(result.tokens, 6 * 7);
    assert_int_equal(result.bytes, 6 * 7); /* letters */
    assert_true(fabs(result.log_probability - sum) < 1e-9);
    assert_true(fabs(result.perplexity - exp(-sum / 42)) < 1e-9 * result.perplexity);
    assert_true(fabs(result.bits_per_byte + sum / 42 / log(2)) < 1e-9);
    assert_true(result.perplexity_error > 0.0);

    /* sliding: every token once, the first token of texts in front of each window */
    options.windows = TFM_WINDOWS_SLIDING;
    options.stride = 5;
    assert_int_equal(tfm_perplexity(t.model, ids + 1, 100, &options, &result, NULL), TFM_OK);
    sum = window_sum(&t, ids, 16, 1);
    for (size_t start = 5, scored = 15; scored < 100; start += 5) {
        size_t n = start + 15 < 100 ? 15 : 100 - start;
        memcpy(window + 1, ids + 1 + start, n * sizeof *ids);
        window[0] = TINY_BOS;
        sum += window_sum(&t, window, n + 1, 1 + scored - start);
        scored = start + n;
    }
    assert_int_equal(result.tokens, 100);
    assert_true(fabs(result.log_probability - sum) < 1e-9);

    /* without it: the first token is not scored */
    options.add_bos = TFM_NO;
    options.context = 128;
    options.stride = 0;
    assert_int_equal(tfm_perplexity(t.model, ids + 1, 100, &options, &result, NULL), TFM_OK);
    assert_int_equal(result.tokens, 99);
    assert_int_equal(result.windows, 1);
    assert_true(fabs(result.log_probability - window_sum(&t, ids + 1, 100, 1)) < 1e-9);
    tiny_close(&t);
}

static void test_wrong_perplexity(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_perplexity_options options = TFM_PERPLEXITY_OPTIONS_INIT;
    tfm_perplexity_result result = TFM_PERPLEXITY_RESULT_INIT;
    tfm_token ids[20];
    for (int i = 0; i < 20; i++) ids[i] = TINY_LETTER;
    assert_int_equal(tfm_perplexity(NULL, ids, 20, NULL, &result, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_perplexity(t.model, ids, 20, NULL, NULL, NULL), TFM_E_ARGUMENT);
    assert_int_equal(tfm_perplexity(t.model, ids, 20, NULL, &result, NULL), TFM_E_ARGUMENT); /* not 512 */
    options.context = 3;
    assert_int_equal(tfm_perplexity(t.model, ids, 20, &options, &result, NULL), TFM_E_ARGUMENT);
    options.context = 8;
    options.stride = 4;
    assert_int_equal(tfm_perplexity(t.model, ids, 20, &options, &result, NULL), TFM_E_ARGUMENT);
    options.windows = TFM_WINDOWS_SLIDING;
    options.stride = 8;
    assert_int_equal(tfm_perplexity(t.model, ids, 20, &options, &result, NULL), TFM_E_ARGUMENT);
    options.stride = 0;
    options.progress = stop_at_once;
    assert_int_equal(tfm_perplexity(t.model, ids, 20, &options, &result, NULL), TFM_E_CANCELLED);
    options.progress = NULL;
    ids[13] = -1;
    assert_int_equal(tfm_perplexity(t.model, ids, 20, &options, &result, NULL), TFM_E_TOKEN);
    tiny_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),     cmocka_unit_test(test_wrong_tokens),
        cmocka_unit_test(test_text),       cmocka_unit_test(test_border),
        cmocka_unit_test(test_wrong_text), cmocka_unit_test(test_phrase),
        cmocka_unit_test(test_perplexity), cmocka_unit_test(test_wrong_perplexity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
