/* test_prompts.c - how generation begins and goes on: prompts as text and as tokens, continued, rewound and
 * forked sessions, models without a tokenizer, wrong arguments, a generation that is given up early, and no
 * memory per token. */
#include "tiny_model.h"

typedef struct tokens {
    tfm_token ids[300];
    size_t count;
    int32_t stop;
    char text[2048];
    size_t length;
} tokens;

static int32_t note(void *user, const tfm_token_event *event) {
    tokens *t = user;
    if (event->stop)
        t->stop = event->stop;
    else
        t->ids[t->count++] = event->token;
    assert_true(t->length + event->length < sizeof t->text);
    memcpy(t->text + t->length, event->bytes, event->length);
    t->length += event->length;
    return 0;
}

static tfm_generate_options limited(uint64_t most) {
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    options.max_tokens = most;
    options.ignore_end = 1;
    return options;
}

static void generate(tfm_session *session, const char *prompt, const tfm_generate_options *options,
                     tokens *out) {
    tfm_error error = TFM_ERROR_INIT;
    memset(out, 0, sizeof *out);
    if (tfm_generate(session, NULL, prompt, prompt ? strlen(prompt) : 0, options, note, out, NULL, &error))
        fail_msg("%s", error.message);
}

/* What the session holds from a position on. */
static void expect_tokens(tfm_session *session, size_t from, const tfm_token *ids, size_t count) {
    assert_int_equal(tfm_session_position(session), from + count);
    assert_memory_equal(tfm_session_tokens(session) + from, ids, count * sizeof *ids);
}
#define IDS(...) (const tfm_token[]){__VA_ARGS__}, sizeof((tfm_token[]){__VA_ARGS__}) / sizeof(tfm_token)

/* ---- Prompts
 * -------------------------------------------------------------------------------------------------- */

static void test_prompt_tokens(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    static const tfm_token given[] = {7, TINY_TURN};
    tfm_generate_options options = limited(1);
    tokens out;
    enum { A = TINY_LETTER };
    tfm_generation_summary summary = TFM_GENERATION_SUMMARY_INIT;

    generate(session, "a", &options, &out); /* begins the text: with bos */
    expect_tokens(session, 0, IDS(TINY_BOS, TINY_SPACE, A, out.ids[0]));
    generate(session, "a", &options, &out); /* goes on: without */
    expect_tokens(session, 4, IDS(TINY_SPACE, A, out.ids[0]));
    options.add_bos = TFM_YES;
    generate(session, "a", &options, &out);
    expect_tokens(session, 7, IDS(TINY_BOS, TINY_SPACE, A, out.ids[0]));
    assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
    options.add_bos = TFM_NO;
    generate(session, "a", &options, &out);
    expect_tokens(session, 0, IDS(TINY_SPACE, A, out.ids[0]));

    /* the text's tokens, then the given ones; given ones alone are all there is */
    options = limited(1);
    options.prompt_tokens = given;
    options.prompt_token_count = 2;
    assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
    assert_int_equal(tfm_generate(session, NULL, "a", 1, &options, note, &out, &summary, NULL), TFM_OK);
    assert_memory_equal(tfm_session_tokens(session), ((tfm_token[]){TINY_BOS, TINY_SPACE, A, 7, TINY_TURN}),
                        20);
    assert_int_equal(summary.prompt_tokens, 5);
    assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
    generate(session, NULL, &options, &out);
    expect_tokens(session, 0, IDS(7, TINY_TURN, out.ids[0]));

    /* text is text unless the caller says otherwise */
    options = limited(1);
    assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
    generate(session, "<|turn|>", &options, &out);
    for (size_t i = 0; i + 1 < tfm_session_position(session); i++)
        assert_int_not_equal(tfm_session_tokens(session)[i], TINY_TURN);
    options.parse_special = 1;
    assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
    generate(session, "<|turn|>", &options, &out);
    assert_int_equal(tfm_session_tokens(session)[1], TINY_TURN);
    tfm_session_destroy(session);
    tiny_close(&t);
}

static void test_empty_prompt(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_generate_options options = limited(1);
    tfm_error error = TFM_ERROR_INIT;
    tokens out = {0};
    options.add_bos = TFM_NO;
    assert_int_equal(tfm_generate(session, NULL, NULL, 0, &options, note, &out, NULL, &error), TFM_E_STATE);
    assert_int_equal(tfm_generate(session, NULL, "", 0, &options, note, &out, NULL, &error), TFM_E_STATE);
    assert_int_equal(error.code, TFM_E_STATE);
    assert_int_equal(out.count, 0);
    options.add_bos = TFM_DEFAULT; /* this model begins its texts with a token */
    generate(session, NULL, &options, &out);
    expect_tokens(session, 0, IDS(TINY_BOS, out.ids[0]));
    tfm_session_destroy(session);
    tiny_close(&t);
}

static void test_without_tokenizer(void **state) {
    (void)state;
    tiny t = tiny_open(&(tiny_spec){.no_tokenizer = true}, NULL);
    tfm_session *session = tiny_session(&t);
    static const tfm_token given[] = {7, 8};
    tfm_generate_options options = limited(3);
    tfm_error error = TFM_ERROR_INIT;
    tokens out = {0};
    assert_null(tfm_tokenizer_of(t.model));
    assert_int_equal(tfm_generate(session, NULL, "a", 1, &options, note, &out, NULL, &error), TFM_E_STATE);
    assert_int_equal(tfm_generate(session, NULL, NULL, 0, &options, note, &out, NULL, &error), TFM_E_STATE);
    options.prompt_tokens = given;
    options.prompt_token_count = 2;
    const char *stops[] = {"a"}; /* there is no text for it to be in */
    options.stops = stops;
    options.stop_count = 1;
    generate(session, NULL, &options, &out);
    assert_int_equal(out.count, 3);
    assert_int_equal(out.stop, TFM_STOP_LIMIT);
    assert_int_equal(out.length, 0);
    tfm_candidate row;
    size_t count;
    assert_int_equal(tfm_top_candidates(session, &row, 1, &count, &error), TFM_OK);
    assert_null(row.bytes);
    assert_int_equal(row.length, 0);
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* The tokenizer may know more tokens than the model has rows. */
static void test_short_vocabulary(void **state) {
    (void)state;
    tiny t = tiny_open(&(tiny_spec){.vocab = TINY_END_TEXT}, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_generate_options options = limited(2);
    tfm_error error = TFM_ERROR_INIT;
    tokens out = {0};
    assert_int_equal(tfm_generate(session, NULL, "END", 3, &options, note, &out, NULL, &error), TFM_E_TOKEN);
    assert_int_equal(tfm_session_position(session), 0);
    generate(session, "the", &options, &out);
    assert_int_equal(out.count, 2);
    tfm_session_destroy(session);
    tiny_close(&t);
}

static void test_arguments(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_generation *generation = (tfm_generation *)&t;
    tfm_token_event event = TFM_TOKEN_EVENT_INIT;
    tfm_error error = TFM_ERROR_INIT;
    static const tfm_token outside[] = {3, TINY_VOCAB}, below[] = {-1};
    const char *stops[] = {""};
    tfm_generate_options wrong[8];
    for (size_t i = 0; i < 8; i++) wrong[i] = limited(1);
    wrong[0].prompt_token_count = 1;
    wrong[1].add_bos = 3;
    wrong[2].add_bos = -1;
    wrong[3].stop_count = 1;
    wrong[4].stops = stops;
    wrong[4].stop_count = 1;
    wrong[5].struct_size = 0;
    wrong[6].prompt_tokens = outside;
    wrong[6].prompt_token_count = 2;
    wrong[7].prompt_tokens = below;
    wrong[7].prompt_token_count = 1;
    for (size_t i = 0; i < 8; i++) {
        int32_t expected = i < 6 ? TFM_E_ARGUMENT : TFM_E_TOKEN;
        assert_int_equal(tfm_generate(session, NULL, "a", 1, &wrong[i], NULL, NULL, NULL, &error), expected);
        generation = (tfm_generation *)&t;
        assert_int_equal(tfm_generation_begin(session, NULL, "a", 1, &wrong[i], &generation, &error),
                         expected);
        assert_int_equal(error.code, expected);
        assert_null(generation);
        assert_int_equal(tfm_session_position(session), 0);
    }
    assert_int_equal(tfm_generate(NULL, NULL, "a", 1, NULL, NULL, NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_generate(session, NULL, NULL, 1, NULL, NULL, NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_generation_begin(session, NULL, "a", 1, NULL, NULL, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_generation_begin(NULL, NULL, "a", 1, NULL, &generation, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_generation_next(NULL, &event, &error), TFM_E_ARGUMENT);
    assert_int_equal(tfm_generation_begin(session, NULL, "a", 1, NULL, &generation, &error), TFM_OK);
    assert_int_equal(tfm_generation_next(generation, NULL, &error), TFM_E_ARGUMENT);
    uint8_t small[sizeof(tfm_token_event)]; /* an event of an older header: token and stop alone */
    size_t size = offsetof(tfm_token_event, probability);
    memset(small, 0x55, sizeof small);
    memcpy(small, &size, sizeof size);
    assert_int_equal(tfm_generation_next(generation, (tfm_token_event *)(void *)small, &error), TFM_OK);
    for (size_t i = size; i < sizeof small; i++) assert_int_equal(small[i], 0x55);
    tfm_generation_end(generation, NULL);
    tfm_generation_end(NULL, NULL);
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* ---- Going on
 * ------------------------------------------------------------------------------------------------- */

static void test_continued(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *whole = tiny_session(&t), *parts = tiny_session(&t), *fork = NULL;
    tfm_generate_options all = limited(90), some = limited(30);
    tokens expected, out;
    generate(whole, "abc", &all, &expected);
    generate(parts, "abc", &some, &out);
    assert_memory_equal(out.ids, expected.ids, 30 * sizeof(tfm_token));
    generate(parts, NULL, &some, &out); /* nothing to add: it goes on */
    assert_memory_equal(out.ids, expected.ids + 30, 30 * sizeof(tfm_token));
    assert_int_equal(tfm_session_fork(parts, &fork, NULL), TFM_OK);
    generate(parts, NULL, &some, &out);
    assert_memory_equal(out.ids, expected.ids + 60, 30 * sizeof(tfm_token));
    generate(fork, NULL, &some, &out);
    assert_memory_equal(out.ids, expected.ids + 60, 30 * sizeof(tfm_token));
    /* rewound, there are no logits: the last token is read again */
    size_t position = tfm_session_position(parts);
    assert_int_equal(tfm_session_rewind(parts, position - 60, NULL), TFM_OK);
    generate(parts, NULL, &some, &out);
    assert_memory_equal(out.ids, expected.ids + 30, 30 * sizeof(tfm_token));
    assert_int_equal(tfm_session_position(parts), position - 30);
    /* also when that is not possible at once: the session stays where it was */
    tfm_cancel *cancel = NULL;
    assert_int_equal(tfm_cancel_create(NULL, &cancel, NULL), TFM_OK);
    tfm_cancel_set(cancel);
    assert_int_equal(tfm_session_rewind(parts, position - 60, NULL), TFM_OK);
    some.cancel = cancel;
    assert_int_equal(tfm_generate(parts, NULL, NULL, 0, &some, NULL, NULL, NULL, NULL), TFM_E_CANCELLED);
    assert_int_equal(tfm_session_position(parts), position - 60);
    tfm_cancel_reset(cancel);
    generate(parts, NULL, &some, &out);
    assert_memory_equal(out.ids, expected.ids + 30, 30 * sizeof(tfm_token));
    tfm_cancel_destroy(cancel);
    tfm_session_destroy(fork);
    tfm_session_destroy(parts);
    tfm_session_destroy(whole);
    tiny_close(&t);
}

/* A generation that is given up in the middle leaves a session that holds everything that was handed out. */
static void test_given_up(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *whole = tiny_session(&t);
    tfm_generate_options options = limited(8);
    tokens expected, out;
    generate(whole, "abc", &options, &expected);
    for (size_t taken = 0; taken <= 8; taken++) {
        tfm_session *session = tiny_session(&t);
        tfm_generation *generation = NULL;
        tfm_generation_summary summary = TFM_GENERATION_SUMMARY_INIT;
        tfm_token_event event = TFM_TOKEN_EVENT_INIT;
        assert_int_equal(tfm_generation_begin(session, NULL, "abc", 3, &options, &generation, NULL), TFM_OK);
        for (size_t i = 0; i < taken; i++) {
            assert_int_equal(tfm_generation_next(generation, &event, NULL), TFM_OK);
            assert_int_equal(event.token, expected.ids[i]);
        }
        tfm_generation_end(generation, &summary);
        assert_int_equal(summary.stop, TFM_STOP_NONE);
        assert_int_equal(summary.stop_string, -1);
        assert_int_equal(summary.generated_tokens, taken);
        assert_int_equal(tfm_session_position(session), summary.prompt_tokens + taken);
        assert_int_equal(tfm_logits_count(session), 1);
        tfm_generate_options rest = limited(9 - taken);
        generate(session, NULL, &rest, &out);
        assert_memory_equal(out.ids, expected.ids + taken, (8 - taken) * sizeof(tfm_token));
        tfm_session_destroy(session);
    }
    tfm_session_destroy(whole);
    tiny_close(&t);
}

/* ---- Memory
 * --------------------------------------------------------------------------------------------------- */

/* Between two page borders nothing is allocated; at a border a page per layer, and room for more page numbers
 * and tokens now and then. */
static void test_no_memory_per_token(void **state) {
    (void)state;
    enum { LAYERS = 2 };
    tiny_memory memory = {0};
    tfm_allocator allocator = tiny_allocator(&memory);
    tfm_model_options model_options = TFM_MODEL_OPTIONS_INIT;
    tfm_sampler_options sampler_options = TFM_SAMPLER_OPTIONS_INIT;
    tfm_sampler *sampler = NULL;
    model_options.allocator = &allocator;
    sampler_options.allocator = &allocator;
    tiny t = tiny_open(NULL, &model_options);
    size_t warm = 0; /* the tokenizer keeps its working space */
    assert_int_equal(tfm_count_tokens(tfm_tokenizer_of(t.model), "abc", 3, NULL, &warm, NULL), TFM_OK);
    size_t opened = memory.out;
    tfm_session *session = tiny_session(&t);
    const char *stops[] = {"never this", "nor that"};
    tfm_generate_options options = limited(0);
    tfm_generation *generation = NULL;
    tfm_token_event event = TFM_TOKEN_EVENT_INIT;
    options.stops = stops;
    options.stop_count = 2;
    assert_int_equal(tfm_sampler_create(&sampler_options, &sampler, NULL), TFM_OK);
    assert_int_equal(tfm_sampler_set_f64(sampler, TFM_SAMPLER_REPEAT_PENALTY, 1.1, NULL), TFM_OK);
    assert_int_equal(tfm_generation_begin(session, sampler, "abc", 3, &options, &generation, NULL), TFM_OK);
    for (;;) {
        size_t position = tfm_session_position(session), calls = memory.calls;
        assert_int_equal(tfm_generation_next(generation, &event, NULL), TFM_OK);
        if (event.stop) break;
        bool border = position % 64 == 0; /* the token in front of it was read just now, on a new page */
        assert_in_range(memory.calls - calls, 0, border ? LAYERS + 2 : 0);
    }
    assert_int_equal(event.stop, TFM_STOP_CONTEXT);
    tfm_generation_end(generation, NULL);
    size_t calls = memory.calls; /* all pages are there */
    for (size_t to = 0; to < 256; to++) {
        tfm_token token = 9;
        assert_int_equal(tfm_session_rewind(session, to, NULL), TFM_OK);
        tiny_feed(session, &token, 1);
        assert_int_equal(tfm_sample_next(session, sampler, &token, NULL), TFM_OK);
    }
    assert_int_equal(memory.calls, calls);
    assert_int_equal(tfm_model_bytes(t.model) > 0, 1);
    tfm_session_destroy(session);
    tfm_sampler_destroy(sampler);
    assert_int_equal(memory.out, opened);
    tiny_close(&t);
    assert_int_equal(memory.out, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompt_tokens),     cmocka_unit_test(test_empty_prompt),
        cmocka_unit_test(test_without_tokenizer), cmocka_unit_test(test_short_vocabulary),
        cmocka_unit_test(test_arguments),         cmocka_unit_test(test_continued),
        cmocka_unit_test(test_given_up),          cmocka_unit_test(test_no_memory_per_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
