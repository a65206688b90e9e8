/* test_generate.c - the loop: what is handed out, why it ends, and what the session holds afterwards. Models
 * with a script (tiny_model.h) say exactly what a test wants; a random one is compared with the loop written
 * by hand. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>

#include "tiny_model.h"

#define MOST 300
#define LETTER(c) (TINY_LETTER + (c) - 'a')
#define BYTE(b) (TINY_BYTE + (b))

/* Everything that a callback was told, and what it is to do. */
typedef struct heard {
    size_t count; /* events with a token */
    tfm_token tokens[MOST];
    double probabilities[MOST];
    uint64_t positions[MOST];
    size_t lengths[MOST + 1];
    char text[4096];
    size_t length, last_length;
    int lasts;
    int32_t stop;
    uint64_t end_position;
    size_t stop_after; /* refuse at this token, from 1 */
    tfm_cancel *cancel;
    size_t cancel_after;
} heard;

static int32_t listen(void *user, const tfm_token_event *event) {
    heard *h = user;
    assert_int_equal(event->struct_size, sizeof *event);
    assert_non_null(event->bytes);
    assert_int_equal(h->lasts, 0); /* nothing comes after the last */
    assert_true(h->length + event->length < sizeof h->text);
    memcpy(h->text + h->length, event->bytes, event->length);
    h->length += event->length;
    h->text[h->length] = 0;
    if (event->stop) {
        assert_int_equal(event->token, -1);
        assert_true(event->probability == 0.0);
        h->lasts++;
        h->stop = event->stop;
        h->end_position = event->position;
        h->last_length = event->length;
        return 1; /* ignored */
    }
    assert_true(h->count < MOST);
    h->tokens[h->count] = event->token;
    h->probabilities[h->count] = event->probability;
    h->positions[h->count] = event->position;
    h->lengths[h->count++] = event->length;
    if (h->cancel && h->count == h->cancel_after) tfm_cancel_set(h->cancel);
    return h->stop_after && h->count >= h->stop_after;
}

/* The same events through the pulled form. */
static void pull(tfm_session *session, tfm_sampler *sampler, const char *prompt, size_t length,
                 const tfm_generate_options *options, heard *h, tfm_generation_summary *summary) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_generation *generation = NULL;
    tfm_token_event event = TFM_TOKEN_EVENT_INIT, again = TFM_TOKEN_EVENT_INIT;
    if (tfm_generation_begin(session, sampler, prompt, length, options, &generation, &error))
        fail_msg("%s", error.message);
    do {
        if (tfm_generation_next(generation, &event, &error)) fail_msg("%s", error.message);
        listen(h, &event);
    } while (!event.stop);
    for (int i = 0; i < 2; i++) { /* from now on always the same */
        assert_int_equal(tfm_generation_next(generation, &again, &error), TFM_OK);
        assert_memory_equal(&again, &event, sizeof event);
    }
    tfm_generation_end(generation, summary);
}

/* Greedy, from one token at position 0, so the script is said from its beginning. Checks what must always
 * hold. */
static void say(const tfm_token *script, size_t count, const tfm_generate_options *given, heard *h,
                tfm_generation_summary *summary) {
    tiny t = tiny_open(&(tiny_spec){.script = script, .script_count = count, .vocab = 310}, NULL);
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    static const tfm_token bos = TINY_BOS;
    tfm_error error = TFM_ERROR_INIT;
    heard pulled = {0};
    tfm_generation_summary second = TFM_GENERATION_SUMMARY_INIT;
    if (given) options = *given;
    options.prompt_tokens = &bos;
    options.prompt_token_count = 1;
    memset(h, 0, sizeof *h);
    *summary = (tfm_generation_summary)TFM_GENERATION_SUMMARY_INIT;
    tfm_session *session = tiny_session(&t);
    if (tfm_generate(session, NULL, NULL, 0, &options, listen, h, summary, &error))
        fail_msg("%s", error.message);
    assert_int_equal(h->lasts, 1);
    assert_int_equal(summary->stop, h->stop);
    assert_int_equal(summary->generated_tokens, h->count);
    assert_int_equal(summary->prompt_tokens, 1);
    assert_int_equal(h->end_position, 1 + h->count);
    assert_int_equal(tfm_session_position(session), 1 + h->count);
    assert_int_equal(tfm_logits_count(session), 1); /* ready to go on */
    for (size_t i = 0; i < h->count; i++) {
        assert_int_equal(h->tokens[i], script[i]);
        assert_int_equal(tfm_session_tokens(session)[1 + i], script[i]);
        assert_int_equal(h->positions[i], 1 + i);
        assert_true(h->probabilities[i] > 0.999);
    }
    assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
    pull(session, NULL, NULL, 0, &options, &pulled, &second);
    assert_int_equal(pulled.count, h->count);
    assert_memory_equal(pulled.lengths, h->lengths, h->count * sizeof *h->lengths);
    assert_string_equal(pulled.text, h->text);
    assert_int_equal(pulled.stop, h->stop);
    assert_int_equal(pulled.end_position, h->end_position);
    assert_int_equal(second.stop, summary->stop);
    assert_int_equal(second.stop_string, summary->stop_string);
    assert_int_equal(second.generated_tokens, summary->generated_tokens);
    tfm_session_destroy(session);
    tiny_close(&t);
}

#define SCRIPT(...) (const tfm_token[]){__VA_ARGS__}, sizeof((tfm_token[]){__VA_ARGS__}) / sizeof(tfm_token)

/* ---- Text
 * ----------------------------------------------------------------------------------------------------- */

static void test_ends(void **state) {
    (void)state;
    heard h;
    tfm_generation_summary summary;
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    say(SCRIPT(TINY_THE - 1, TINY_THE, LETTER('a'), TINY_EOS), NULL, &h, &summary);
    assert_int_equal(h.stop, TFM_STOP_END);
    assert_int_equal(summary.stop_string, -1);
    assert_string_equal(h.text, "the thea");
    assert_int_equal(h.count, 3);
    say(SCRIPT(TINY_THE, TINY_TURN), NULL, &h,
        &summary); /* a first space is a space; an end of turn ends too */
    assert_int_equal(h.stop, TFM_STOP_END);
    assert_string_equal(h.text, " the");
    say(SCRIPT(TINY_EOS), NULL, &h, &summary); /* nothing but the end */
    assert_int_equal(h.stop, TFM_STOP_END);
    assert_int_equal(h.count, 0);

    options.ignore_end = 1;
    options.max_tokens = 4;
    say(SCRIPT(LETTER('x'), TINY_EOS, TINY_TURN, LETTER('y'), LETTER('z')), &options, &h, &summary);
    assert_int_equal(h.stop, TFM_STOP_LIMIT);
    assert_string_equal(h.text, "xy");
    options.special = 1;
    say(SCRIPT(LETTER('x'), TINY_EOS, TINY_MARK, LETTER('y'), LETTER('z')), &options, &h, &summary);
    assert_string_equal(h.text, "x</s><|mark|>y");
    options.special = 0;
    options.ignore_end = 0;
    say(SCRIPT(TINY_MARK, LETTER('y'), TINY_EOS), &options, &h, &summary); /* control, but no end */
    assert_string_equal(h.text, "y");
    say(SCRIPT(LETTER('x'), 305, LETTER('y'), TINY_EOS), &options, &h, &summary); /* a row without a token */
    assert_string_equal(h.text, "xy");
    assert_int_equal(h.count, 3);
}

static void test_limit(void **state) {
    (void)state;
    tfm_token script[40];
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    heard h;
    tfm_generation_summary summary;
    for (size_t i = 0; i < 39; i++) script[i] = LETTER('a') + (tfm_token)(i % 26);
    script[39] = TINY_EOS;
    static const uint64_t limits[] = {1, 2, 38, 39, 40, UINT64_MAX, 0};
    for (size_t i = 0; i < TFM__COUNT(limits); i++) {
        bool all = limits[i] == 0 || limits[i] > 39;
        options.max_tokens = limits[i];
        say(script, 40, &options, &h, &summary);
        assert_int_equal(h.count, all ? 39 : limits[i]);
        assert_int_equal(h.stop, all ? TFM_STOP_END : TFM_STOP_LIMIT);
        assert_int_equal(h.length, h.count);
    }
}

/* Bytes of a character come one by one: nothing until it is whole, and what never becomes whole is a U+FFFD for
 * each byte, as SentencePiece has it. */
static void test_characters(void **state) {
    (void)state;
    heard h;
    tfm_generation_summary summary;
    say(SCRIPT(LETTER('a'), BYTE(0xc3), BYTE(0xa9), LETTER('b'), TINY_EOS), NULL, &h, &summary);
    assert_string_equal(h.text, "a\xc3\xa9"
                                "b");
    assert_int_equal(h.lengths[1], 0);
    assert_int_equal(h.lengths[2], 2);
    say(SCRIPT(BYTE(0xf0), BYTE(0x9f), BYTE(0x98), BYTE(0x80), TINY_EOS), NULL, &h, &summary);
    assert_string_equal(h.text, "\xf0\x9f\x98\x80");
    assert_int_equal(h.lengths[0] + h.lengths[1] + h.lengths[2], 0);
    say(SCRIPT(LETTER('a'), BYTE(0xf0), BYTE(0x9f), TINY_EOS), NULL, &h, &summary);
    assert_string_equal(h.text, "a\xef\xbf\xbd\xef\xbf\xbd");
    assert_int_equal(h.last_length, 6);
    say(SCRIPT(BYTE(0xf0), BYTE(0x9f), LETTER('b'), BYTE(0x80), TINY_XEY, TINY_EOS), NULL, &h, &summary);
    assert_string_equal(h.text, "\xef\xbf\xbd\xef\xbf\xbd"
                                "b\xef\xbf\xbdx\xc3\xa9y");
    assert_int_equal(h.last_length, 0);
}

/* ---- Stop strings
 * --------------------------------------------------------------------------------------------- */

static void stopped(const tfm_token *script, size_t count, const char *const *stops, size_t stop_count,
                    const char *text, int32_t which) {
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    heard h;
    tfm_generation_summary summary;
    options.stops = stops;
    options.stop_count = stop_count;
    say(script, count, &options, &h, &summary);
    assert_string_equal(h.text, text);
    assert_int_equal(summary.stop_string, which);
    assert_int_equal(h.stop, which < 0 ? TFM_STOP_END : TFM_STOP_STRING);
}
#define STOPS(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)

static void test_stop_strings(void **state) {
    (void)state;
    /* in one token, at its end, in its middle, straddling two and five */
    stopped(SCRIPT(LETTER('a'), TINY_END_TEXT, LETTER('b'), TINY_EOS), STOPS("END"), "a", 0);
    stopped(SCRIPT(LETTER('x'), TINY_ABC, LETTER('b'), TINY_EOS), STOPS("bc"), "xa", 0);
    stopped(SCRIPT(LETTER('x'), TINY_ABC, LETTER('y'), TINY_EOS), STOPS("b"), "xa", 0);
    stopped(SCRIPT(LETTER('a'), TINY_EN, TINY_D, LETTER('b'), TINY_EOS), STOPS("END"), "a", 0);
    stopped(SCRIPT(LETTER('a'), TINY_AB, LETTER('c'), LETTER('d'), LETTER('e'), LETTER('f'), TINY_EOS),
            STOPS("bcdef"), "aa", 0);
    stopped(SCRIPT(TINY_END_TEXT, TINY_EOS), STOPS("END"), "", 0);
    /* not quite */
    stopped(SCRIPT(LETTER('a'), TINY_EN, TINY_EN, TINY_D, TINY_EOS), STOPS("END?"), "aENEND!", -1);
    stopped(SCRIPT(LETTER('a'), TINY_EN, TINY_EOS), STOPS("END"), "aEN", -1);
    stopped(SCRIPT(LETTER('a'), TINY_EN, TINY_EN, TINY_D, TINY_EOS), STOPS("END"), "aEN", 0);
    /* several: the one that is complete first, even inside a longer one */
    stopped(SCRIPT(LETTER('a'), TINY_AB, LETTER('c'), LETTER('d'), TINY_EOS), STOPS("zz", "bcd", "c"), "aab",
            2);
    stopped(SCRIPT(LETTER('a'), LETTER('b'), LETTER('c'), TINY_EOS), STOPS("abcd", "ab"), "", 1);
    stopped(SCRIPT(LETTER('a'), LETTER('b'), LETTER('d'), LETTER('e'), TINY_EOS), STOPS("abce", "bd"), "a",
            1);
    stopped(SCRIPT(TINY_ABC, TINY_EOS), STOPS("ab", "abc"), "", 0);
    stopped(SCRIPT(TINY_ABC, TINY_EOS), STOPS("abc", "ab"), "", 0);
    /* characters of several bytes, by byte tokens and inside a word */
    stopped(SCRIPT(LETTER('a'), BYTE(0xc3), BYTE(0xa9), LETTER('b'), TINY_EOS), STOPS("\xc3\xa9"), "a", 0);
    stopped(SCRIPT(LETTER('a'), BYTE(0xc3), BYTE(0xa8), LETTER('b'), TINY_EOS), STOPS("\xc3\xa9"),
            "a\xc3\xa8"
            "b",
            -1);
    stopped(SCRIPT(LETTER('a'), TINY_XEY, TINY_EOS), STOPS("\xc3\xa9y"), "ax", 0);
    stopped(SCRIPT(LETTER('a'), BYTE(0xc3), TINY_EOS), STOPS("\xef\xbf\xbd"), "a",
            0); /* made by the end itself */
    /* spaces count */
    stopped(SCRIPT(LETTER('a'), TINY_THE, TINY_EOS), STOPS(" th"), "a", 0);
    stopped(SCRIPT(LETTER('a'), TINY_THE, TINY_EOS), STOPS("the"), "a ", 0);
}

static void test_stop_lengths(void **state) {
    (void)state;
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    heard h;
    tfm_generation_summary summary;
    const char *stops[] = {"bcd", "x\0y"};
    size_t lengths[] = {2, 3}; /* "bc", and one with a NUL inside */
    options.stops = stops;
    options.stop_lengths = lengths;
    options.stop_count = 2;
    say(SCRIPT(LETTER('a'), LETTER('b'), LETTER('c'), TINY_EOS), &options, &h, &summary);
    assert_string_equal(h.text, "a");
    say(SCRIPT(LETTER('a'), LETTER('x'), BYTE(0), LETTER('y'), TINY_EOS), &options, &h, &summary);
    assert_string_equal(h.text, "a");
    assert_int_equal(summary.stop_string, 1);
}

/* ---- Other ends
 * ----------------------------------------------------------------------------------------------- */

static void test_callback(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    for (size_t after = 1; after <= 3; after++) {
        tfm_session *session = tiny_session(&t);
        tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
        tfm_generation_summary summary = TFM_GENERATION_SUMMARY_INIT;
        heard h = {.stop_after = after};
        options.ignore_end = 1;
        assert_int_equal(tfm_generate(session, NULL, "abc the", 7, &options, listen, &h, &summary, NULL),
                         TFM_OK);
        assert_int_equal(h.stop, TFM_STOP_CALLBACK);
        assert_int_equal(summary.stop, TFM_STOP_CALLBACK);
        assert_int_equal(h.lasts, 1);
        assert_int_equal(h.count, after);
        assert_int_equal(tfm_session_position(session),
                         summary.prompt_tokens + after); /* the last one is in it */
        assert_int_equal(h.end_position, tfm_session_position(session));
        tfm_session_destroy(session);
    }
    tiny_close(&t);
}

static void test_context(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session_options room = TFM_SESSION_OPTIONS_INIT;
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    tfm_session *session = NULL;
    tfm_error error = TFM_ERROR_INIT;
    heard h = {0};
    tfm_token ids[21];
    tiny_ids(ids, 21, 4);
    room.context = 20;
    options.ignore_end = 1;
    options.prompt_tokens = ids;
    options.prompt_token_count = 21;
    assert_int_equal(tfm_session_create(t.model, &room, &session, NULL), TFM_OK);
    assert_int_equal(tfm_generate(session, NULL, NULL, 0, &options, listen, &h, NULL, &error), TFM_E_CONTEXT);
    assert_int_equal(error.code, TFM_E_CONTEXT);
    assert_int_equal(h.count + (size_t)h.lasts, 0);
    assert_int_equal(tfm_session_position(session), 0); /* nothing was appended */
    options.prompt_token_count = 5;
    assert_int_equal(tfm_generate(session, NULL, NULL, 0, &options, listen, &h, NULL, &error), TFM_OK);
    assert_int_equal(h.stop, TFM_STOP_CONTEXT);
    assert_int_equal(h.end_position, 20);
    assert_int_equal(tfm_session_position(session), 20);
    assert_int_equal(h.count, 16); /* the last one is known, but there is no room for it */
    assert_int_equal(h.positions[15], 20);
    assert_memory_equal(tfm_session_tokens(session) + 5, h.tokens, 15 * sizeof(tfm_token));
    memset(&h, 0, sizeof h); /* full: one more can be told, none can be kept */
    options.prompt_token_count = 0;
    assert_int_equal(tfm_generate(session, NULL, NULL, 0, &options, listen, &h, NULL, &error), TFM_OK);
    assert_int_equal(h.stop, TFM_STOP_CONTEXT);
    assert_int_equal(h.count, 1);
    assert_int_equal(tfm_session_position(session), 20);
    options.prompt_token_count = 1;
    assert_int_equal(tfm_generate(session, NULL, NULL, 0, &options, listen, &h, NULL, &error), TFM_E_CONTEXT);
    tfm_session_destroy(session);
    tiny_close(&t);
}

typedef struct signal {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool reached;
    tfm_cancel *cancel;
    heard heard;
} signal_at;

static void *cancel_when_reached(void *argument) {
    signal_at *s = argument;
    pthread_mutex_lock(&s->mutex);
    while (!s->reached) pthread_cond_wait(&s->changed, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    tfm_cancel_set(s->cancel);
    return NULL;
}

/* At the third token the other thread is woken, and awaited. */
static int32_t listen_and_signal(void *user, const tfm_token_event *event) {
    signal_at *s = user;
    int32_t result = listen(&s->heard, event);
    if (!event->stop && s->heard.count == 3) {
        pthread_mutex_lock(&s->mutex);
        s->reached = true;
        pthread_cond_signal(&s->changed);
        pthread_mutex_unlock(&s->mutex);
        while (!tfm_cancel_is_set(s->cancel)) {}
    }
    return result;
}

static int32_t refuse(void *user, uint64_t done, uint64_t total) {
    (void)user;
    (void)done;
    (void)total;
    return 1;
}

static void test_cancel(void **state) {
    (void)state;
    tiny t = tiny_open(NULL, NULL);
    tfm_session *session = tiny_session(&t);
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    tfm_generation_summary summary = TFM_GENERATION_SUMMARY_INIT;
    tfm_error error = TFM_ERROR_INIT;
    static signal_at s = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, NULL, {0}};
    pthread_t thread;
    assert_int_equal(tfm_cancel_create(NULL, &s.cancel, NULL), TFM_OK);
    options.cancel = s.cancel;
    options.ignore_end = 1;
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_reached, &s), 0);
    assert_int_equal(tfm_generate(session, NULL, "ab", 2, &options, listen_and_signal, &s, &summary, &error),
                     TFM_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(s.heard.stop, TFM_STOP_CANCELLED);
    assert_int_equal(summary.stop, TFM_STOP_CANCELLED);
    assert_int_equal(s.heard.count, 3);
    assert_int_equal(error.code, TFM_OK);
    size_t position = tfm_session_position(session);
    assert_int_equal(position, summary.prompt_tokens + 3);

    tfm_generation *generation = (tfm_generation *)&t; /* raised already: the prompt is not read */
    assert_int_equal(tfm_generation_begin(session, NULL, "ab", 2, &options, &generation, &error),
                     TFM_E_CANCELLED);
    assert_null(generation);
    summary.stop = 77;
    summary.generated_tokens = 77;
    assert_int_equal(tfm_generate(session, NULL, "ab", 2, &options, NULL, NULL, &summary, &error),
                     TFM_E_CANCELLED);
    assert_int_equal(summary.stop, TFM_STOP_NONE); /* on an error every output is empty */
    assert_int_equal(summary.generated_tokens, 0);
    assert_int_equal(tfm_session_position(session), position);
    tfm_cancel_reset(s.cancel);
    options.progress = refuse;
    assert_int_equal(tfm_generation_begin(session, NULL, "ab", 2, &options, &generation, &error),
                     TFM_E_CANCELLED);
    assert_int_equal(tfm_session_position(session), position);
    options.progress = NULL;
    options.max_tokens = 1;
    assert_int_equal(tfm_generate(session, NULL, "ab", 2, &options, NULL, NULL, &summary, &error), TFM_OK);
    assert_int_equal(summary.stop, TFM_STOP_LIMIT);
    tfm_cancel_destroy(s.cancel);
    tfm_session_destroy(session);
    tiny_close(&t);
}

/* ---- Against the loop by hand
 * --------------------------------------------------------------------------------- */

static tfm_sampler *warm_sampler(uint64_t seed) {
    tfm_sampler *sampler = NULL;
    assert_int_equal(tfm_sampler_create(NULL, &sampler, NULL), TFM_OK);
    assert_int_equal(tfm_sampler_set_f64(sampler, TFM_SAMPLER_TEMPERATURE, 1.3, NULL), TFM_OK);
    assert_int_equal(tfm_sampler_set_f64(sampler, TFM_SAMPLER_REPEAT_PENALTY, 1.2, NULL), TFM_OK);
    assert_int_equal(tfm_sampler_set_u64(sampler, TFM_SAMPLER_SEED, seed, NULL), TFM_OK);
    return sampler;
}

static void compare_with_hand(const tiny_spec *spec) {
    enum { LIMIT = 100 };
    static const char prompt[] = "the abc";
    tiny t = tiny_open(spec, NULL);
    tfm_session *session = tiny_session(&t), *by_hand = tiny_session(&t);
    tfm_sampler *sampler = warm_sampler(5), *second = warm_sampler(5);
    tfm_generate_options options = TFM_GENERATE_OPTIONS_INIT;
    tfm_generation_summary summary = TFM_GENERATION_SUMMARY_INIT;
    heard h = {0}, pulled = {0};
    tfm_token ids[32];
    size_t count, length;
    options.ignore_end = 1;
    options.max_tokens = LIMIT;
    assert_int_equal(tfm_generate(session, sampler, prompt, 7, &options, listen, &h, &summary, NULL), TFM_OK);
    assert_int_equal(tfm_tokenize(tfm_tokenizer_of(t.model), prompt, 7, NULL, ids, 32, &count, NULL), TFM_OK);
    assert_int_equal(ids[0], TINY_BOS);
    assert_int_equal(summary.prompt_tokens, count);
    tiny_feed(by_hand, ids, count);
    for (size_t i = 0; i < LIMIT; i++) {
        tfm_token token;
        double probability;
        assert_int_equal(tfm_sample_next(by_hand, second, &token, NULL), TFM_OK);
        assert_int_equal(tfm_token_probability(by_hand, token, &probability, NULL), TFM_OK);
        assert_int_equal(h.tokens[i], token);
        assert_true(h.probabilities[i] == probability);
        assert_int_equal(h.positions[i], tfm_session_position(by_hand));
        tiny_feed(by_hand, &token, 1);
    }
    assert_int_equal(h.count, LIMIT);
    tfm_detokenize_options decoding = TFM_DETOKENIZE_OPTIONS_INIT;
    decoding.continued = 1;
    char text[4096];
    assert_int_equal(tfm_detokenize(tfm_tokenizer_of(t.model), h.tokens, LIMIT, &decoding, text, sizeof text,
                                    &length, NULL),
                     TFM_OK);
    assert_int_equal(length, h.length);
    assert_memory_equal(text, h.text, length);
    const float *a, *b; /* both go on from the same place */
    assert_int_equal(tfm_logits(session, 0, &a, NULL, NULL), TFM_OK);
    assert_int_equal(tfm_logits(by_hand, 0, &b, NULL, NULL), TFM_OK);
    assert_memory_equal(a, b, TINY_VOCAB * sizeof *a);
    assert_int_equal(tfm_session_rewind(session, 0, NULL), TFM_OK);
    assert_int_equal(tfm_sampler_set_u64(sampler, TFM_SAMPLER_SEED, 5, NULL), TFM_OK);
    pull(session, sampler, prompt, 7, &options, &pulled, NULL);
    assert_memory_equal(&pulled, &h, sizeof h);
    tfm_sampler_destroy(sampler);
    tfm_sampler_destroy(second);
    tfm_session_destroy(session);
    tfm_session_destroy(by_hand);
    tiny_close(&t);
}

static void test_by_hand(void **state) {
    (void)state;
    compare_with_hand(NULL);
    compare_with_hand(&(tiny_spec){.type = TFM__Q8_0, .seed = 3});
    compare_with_hand(&(tiny_spec){.family = "gemma3", .window = 16, .type = TFM__F16});
    compare_with_hand(&(tiny_spec){.family = "gpt2", .seed = 1});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),         cmocka_unit_test(test_limit),
        cmocka_unit_test(test_characters),   cmocka_unit_test(test_stop_strings),
        cmocka_unit_test(test_stop_lengths), cmocka_unit_test(test_callback),
        cmocka_unit_test(test_context),      cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
