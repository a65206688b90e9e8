/* tfm/generate.h - the loop: prompt in, tokens out one by one.
 *
 * Example: a model writes on, every piece printed as it comes.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     static int32_t print_piece(void *user, const tfm_token_event *event) {
 *         fwrite(event->bytes, 1, event->length, user);
 *         return 0;
 *     }
 *
 *     int main(int argc, char **argv) {
 *         const char prompt[] = "Once upon a time";
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_model *model = NULL;
 *         tfm_session *session = NULL;
 *         if (argc != 2) return 2;
 *         if (tfm_model_load(argv[1], NULL, &model, &error) ||
 *             tfm_session_create(model, NULL, &session, &error) ||
 *             tfm_generate(session, NULL, prompt, sizeof prompt - 1, NULL, print_piece, stdout, NULL, &error))
 *             fprintf(stderr, "%s\n", error.message);
 *         tfm_session_destroy(session);
 *         tfm_model_release(model);
 *         return error.code != 0;
 *     }
 *
 * tfm_generate pushes events into a callback; tfm_generation_begin, _next and _end are the same loop pulled, for
 * games, event loops and iterators. A session may be continued: the next prompt is appended to what it holds. */
#ifndef TFM_GENERATE_H
#define TFM_GENERATE_H

#include "tfm/base.h"
#include "tfm/sampler.h"
#include "tfm/session.h"
#include "tfm/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Why generation ended. */
#define TFM_STOP_NONE 0      /* it has not */
#define TFM_STOP_END 1       /* the model ended its text (an end-of-text or end-of-turn token) */
#define TFM_STOP_LIMIT 2     /* max_tokens were generated */
#define TFM_STOP_STRING 3    /* a stop string came up */
#define TFM_STOP_CONTEXT 4   /* the session is full */
#define TFM_STOP_CALLBACK 5  /* the callback returned non-zero */
#define TFM_STOP_CANCELLED 6 /* the tfm_cancel was raised */

/* One generated token, or, with `stop` set, the end. Valid during the callback, or until the next call that takes the
 * generation. */
typedef struct tfm_token_event {
    size_t struct_size;
    tfm_token token;    /* -1 in the last event */
    int32_t stop;       /* TFM_STOP_NONE, or in the last event the reason */
    double probability; /* of the token, before any filter; 0 in the last event */
    uint64_t position;  /* the token's place in the session; in the last event the session's position */
    const char *bytes;  /* complete UTF-8 text that became certain with this token; never NULL */
    size_t length;      /* 0 while an incomplete character, or what may become a stop string, is held back. In the
                           last event: what was held back and is no stop string */
} tfm_token_event;

/* Receives one event per token as it is generated, and one last event. Called on the thread that called tfm_generate,
 * which must not touch the session from inside. Return 0 to go on, anything else to stop (the last event still
 * comes, with TFM_STOP_CALLBACK; its return value is ignored). */
typedef int32_t (*tfm_token_fn)(void *user, const tfm_token_event *event);

typedef struct tfm_generate_options {
    size_t struct_size;
    uint64_t max_tokens;        /* most tokens to generate; 0: until the end or the context is full */
    const char *const *stops;   /* [stop_count] texts that end the generation; none of a stop string is handed out,
                                   also when it straddles tokens. Copied */
    const size_t *stop_lengths; /* [stop_count], or NULL if the texts end in NUL */
    size_t stop_count;          /* at most 64 */
    int32_t ignore_end;         /* 1: end tokens do not stop the generation */
    int32_t parse_special;      /* 1: special tokens written in the prompt count as such */
    int32_t add_bos;            /* TFM_DEFAULT: as the model's file says, but only if the session is empty;
                                   TFM_YES, TFM_NO */
    int32_t special;            /* 1: special tokens that are generated appear as their text */
    const tfm_token *prompt_tokens; /* [prompt_token_count] appended behind the prompt's own tokens; may be NULL */
    size_t prompt_token_count;
    const tfm_cancel *cancel;   /* NULL: none. Raising it ends the generation with TFM_STOP_CANCELLED */
    tfm_progress_fn progress;   /* NULL: none; counts the prompt's tokens */
    void *progress_user;
} tfm_generate_options;
#define TFM_GENERATE_OPTIONS_INIT \
    { sizeof(tfm_generate_options), 0, NULL, NULL, 0, 0, 0, 0, 0, NULL, 0, NULL, NULL, NULL }

typedef struct tfm_generation_summary {
    size_t struct_size;
    int32_t stop;             /* TFM_STOP_* */
    int32_t stop_string;      /* which one, with TFM_STOP_STRING; otherwise -1 */
    uint64_t prompt_tokens;
    uint64_t generated_tokens;
    uint64_t prompt_ns;       /* time for the prompt, nanoseconds */
    uint64_t generated_ns;    /* time for the generated tokens, callbacks included */
} tfm_generation_summary;
#define TFM_GENERATION_SUMMARY_INIT { sizeof(tfm_generation_summary), 0, -1, 0, 0, 0, 0 }

/* Appends the prompt to the session and generates until something stops it.
 *   session          needs a model with a tokenizer, unless the prompt is given by prompt_tokens alone
 *   sampler          NULL: greedy
 *   prompt, length   UTF-8; may be empty (NULL, 0) if the session holds tokens, or the model begins texts with a token
 *   options          NULL: defaults
 *   on_token, user   NULL: none
 *   summary          NULL, or receives how it went
 * In an empty session of an encoder-decoder the prompt is what the answer begins with, mostly nothing: the token that
 * the decoder starts with goes in front of it, and behind that one the token that the model's files force there (a
 * target language, say), unless prompt_tokens has one.
 * When it returns, the session holds the prompt and every generated token, ready to be continued; an end token that
 * stopped the generation, or a token for which the context had no room, is not in it.
 * Being stopped is not an error. Nothing is allocated per token. Errors: TFM_E_ARGUMENT, TFM_E_CONTEXT (the prompt
 * does not fit: nothing was appended), TFM_E_TOKEN, TFM_E_STATE (nothing to start from; no tokenizer; logits that are
 * no numbers), TFM_E_MEMORY, TFM_E_BUDGET, TFM_E_CANCELLED (while the prompt was read: nothing was appended). The session
 * stays usable. Since 0.1. */
TFM_API int32_t tfm_generate(tfm_session *session, tfm_sampler *sampler, const char *prompt, size_t length,
                             const tfm_generate_options *options, tfm_token_fn on_token, void *user,
                             tfm_generation_summary *summary, tfm_error *error);

typedef struct tfm_generation tfm_generation;

/* The same loop, pulled. Appends the prompt; session and sampler belong to the generation until its end.
 *   out   receives the generation; finish it with tfm_generation_end
 * Allocates. Arguments and errors as tfm_generate. Since 0.1. */
TFM_API int32_t tfm_generation_begin(tfm_session *session, tfm_sampler *sampler, const char *prompt, size_t length,
                                     const tfm_generate_options *options, tfm_generation **out, tfm_error *error);

/* Generates one token and describes it in *event (set event->struct_size with TFM_TOKEN_EVENT_INIT). An event with
 * `stop` set is the last; from then on every call gives it again. Allocates nothing. Errors: TFM_E_ARGUMENT,
 * TFM_E_MEMORY, TFM_E_BUDGET, TFM_E_STATE (logits that are no numbers); the step can be tried again. Since 0.1. */
TFM_API int32_t tfm_generation_next(tfm_generation *generation, tfm_token_event *event, tfm_error *error);
#define TFM_TOKEN_EVENT_INIT { sizeof(tfm_token_event), -1, 0, 0.0, 0, "", 0 }

/* Ends a generation, finished or not; the session can be used again. summary: NULL, or receives how it went (stop is
 * TFM_STOP_NONE if it was not finished). generation may be NULL. Since 0.1. */
TFM_API void tfm_generation_end(tfm_generation *generation, tfm_generation_summary *summary);

#ifdef __cplusplus
}
#endif
#endif
