/* tfm/score.h - how probable a given text is: a phrase after a prompt, and the perplexity of a whole text.
 *
 * Example: how probable is each of two endings?
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         static const char *const endings[] = {"疑是地上霜", "疑是天上霜"};
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_model *model = NULL;
 *         if (argc != 2) return 2;
 *         if (tfm_model_load(argv[1], NULL, &model, &error)) error.code = 1;
 *         for (int i = 0; i < 2 && !error.code; i++) {
 *             tfm_session *session = NULL;
 *             tfm_score_result result = TFM_SCORE_RESULT_INIT;
 *             if (!tfm_session_create(model, NULL, &session, &error) &&
 *                 !tfm_score(session, "床前明月光，", 18, endings[i], 15, NULL, NULL, 0, &result, &error))
 *                 printf("%s: logarithm of its probability %.2f\n", endings[i], result.log_probability);
 *             tfm_session_destroy(session);
 *         }
 *         if (error.code) fprintf(stderr, "%s\n", error.message);
 *         tfm_model_release(model);
 *         return error.code != 0;
 *     }
 *
 * A probability here is softmax over the model's logits of the token before, at temperature 1 and with nothing filtered
 * out; logarithms are natural. The joint probability of several tokens is the product of theirs, each given all before
 * it: its logarithm is their sum. The results are the same bits for any number of threads and any instruction set. */
#ifndef TFM_SCORE_H
#define TFM_SCORE_H

#include "tfm/base.h"
#include "tfm/adapter.h"
#include "tfm/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One scored token. */
typedef struct tfm_token_score {
    tfm_token token;
    uint32_t rank;          /* how many tokens the model held for more probable: 0 is its first choice */
    double log_probability; /* of the token, given everything before it */
} tfm_token_score;

/* What happens where the tokens of prompt and continuation together are not the prompt's tokens and some more, because
 * a token reaches across the border ("New Yo" and "rk"). */
#define TFM_BORDER_KEEP 0   /* the prompt stays as it was tokenized (what a generation would have seen) and the
                               continuation is tokenized as a text that goes on */
#define TFM_BORDER_REJOIN 1 /* both are tokenized together, and scoring begins with the first token that differs: the
                               last part of the prompt is then scored too */

typedef struct tfm_score_options {
    size_t struct_size;
    int32_t add_bos;       /* TFM_DEFAULT: as the tokenizer does it, at the beginning of a session; TFM_YES; TFM_NO */
    int32_t parse_special; /* 1: special tokens written in the texts count as such */
    int32_t border;        /* TFM_BORDER_* */
    int32_t reserved;      /* 0 */
    tfm_progress_fn progress; /* NULL: none; counts tokens */
    void *progress_user;
    const tfm_cancel *cancel; /* NULL: none */
} tfm_score_options;
#define TFM_SCORE_OPTIONS_INIT { sizeof(tfm_score_options), 0, 0, 0, 0, NULL, NULL, NULL }

typedef struct tfm_score_result {
    size_t struct_size;
    size_t prompt_tokens;   /* appended before the first scored token */
    size_t count;           /* scored tokens */
    double log_probability; /* their sum: the joint probability is exp of it */
    int32_t split;          /* 1: a token reaches across the border */
    int32_t reserved;       /* 0 */
} tfm_score_result;
#define TFM_SCORE_RESULT_INIT { sizeof(tfm_score_result), 0, 0, 0.0, 0, 0 }

/* The probability that a text goes on with a phrase. The session may hold tokens already; prompt and continuation are
 * appended to it, so the next call can go on from there (with an empty prompt), or tfm_session_rewind goes back.
 *   prompt, prompt_length   UTF-8; may be empty (NULL, 0) if the session holds tokens or texts begin with a token
 *   continuation, length    UTF-8, at least one token
 *   options          NULL: defaults
 *   tokens           [capacity] receives the scored tokens, as many as fit; NULL with capacity 0: only the sum
 *   result           NULL, or receives the sum and how many tokens there are
 * Allocates. One thread at a time per session. Errors: TFM_E_ARGUMENT (an empty continuation), TFM_E_STATE (no
 * tokenizer; nothing to start from; logits that are no numbers), TFM_E_CONTEXT, TFM_E_MEMORY, TFM_E_BUDGET,
 * TFM_E_CANCELLED. On an error the session holds what it held. Since 0.2. */
TFM_API int32_t tfm_score(tfm_session *session, const char *prompt, size_t prompt_length, const char *continuation,
                          size_t length, const tfm_score_options *options, tfm_token_score *tokens, size_t capacity,
                          tfm_score_result *result, tfm_error *error);

/* The same for tokens: appends count of them and scores those from `first` on.
 *   tokens    [count]; first is less than count, and 0 only if the session holds tokens
 *   options   NULL: defaults; only progress and cancel matter here
 *   scores    [count - first] receives them
 * Errors: as tfm_score; TFM_E_TOKEN. Since 0.2. */
TFM_API int32_t tfm_score_tokens(tfm_session *session, const tfm_token *tokens, size_t count, size_t first,
                                 const tfm_score_options *options, tfm_token_score *scores, tfm_error *error);

typedef struct tfm_phrase_options {
    size_t struct_size;
    uint32_t passes;   /* most passes of the model; 0: 64 */
    uint32_t reserved; /* 0 */
    tfm_progress_fn progress; /* NULL: none; counts passes */
    void *progress_user;
    const tfm_cancel *cancel; /* NULL: none */
} tfm_phrase_options;
#define TFM_PHRASE_OPTIONS_INIT { sizeof(tfm_phrase_options), 0, 0, NULL, NULL, NULL }

typedef struct tfm_phrase_result {
    size_t struct_size;
    double probability; /* that the text goes on with the phrase, at least */
    double unexplored;  /* and at most so much more: what the ways have that were not followed to their end */
    uint32_t passes;    /* that it took */
    uint32_t reserved;  /* 0 */
} tfm_phrase_result;
#define TFM_PHRASE_RESULT_INIT { sizeof(tfm_phrase_result), 0.0, 0.0, 0, 0 }

/* The probability that the session's text goes on with exactly these bytes, however they are cut into tokens: the sum
 * over all ways, the last token of which may reach beyond the phrase. tfm_score looks at one way, the tokenizer's own;
 * in the middle of a text the model may prefer another ("共和" and "国" to "共和国" behind "中华人民"). The likeliest ways
 * are followed first, until what is left is less than a millionth or the passes are used up.
 *   session   holds the text before; it holds the same afterwards, without logits
 *   phrase, length   UTF-8, not empty
 *   options   NULL: defaults
 *   result    receives the sum
 * Allocates. One thread at a time per session. Errors: TFM_E_ARGUMENT, TFM_E_STATE (no tokenizer; an empty session;
 * logits that are no numbers), TFM_E_CONTEXT, TFM_E_MEMORY, TFM_E_BUDGET, TFM_E_CANCELLED. Since 0.2. */
TFM_API int32_t tfm_score_phrase(tfm_session *session, const char *phrase, size_t length,
                                 const tfm_phrase_options *options, tfm_phrase_result *result, tfm_error *error);

/* How a long text is cut into windows that the model reads. */
#define TFM_WINDOWS_HALVES 0  /* windows of `context` tokens, one behind the other, of which the second half is scored:
                                 what llama.cpp's perplexity tool does, so that figures can be compared. The first token
                                 of each window is replaced by the token that begins texts, if the tokenizer adds one; a
                                 last window that is not full is left out */
#define TFM_WINDOWS_SLIDING 1 /* windows that move by `stride` tokens: every token is scored once, with at least
                                 context - stride tokens before it except at the beginning. Each window begins with the
                                 token that begins texts, if there is one; without it the first token is not scored */

typedef struct tfm_perplexity_options {
    size_t struct_size;
    uint32_t context; /* tokens of a window, 4 or more; 0: 512 */
    uint32_t stride;  /* SLIDING: 1 .. context - 1; 0: half of the context. HALVES: must be 0 */
    int32_t windows;  /* TFM_WINDOWS_* */
    int32_t add_bos;  /* TFM_DEFAULT: as the tokenizer says; TFM_YES; TFM_NO */
    tfm_progress_fn progress; /* NULL: none; counts tokens */
    void *progress_user;
    const tfm_cancel *cancel; /* NULL: none */
    int32_t cache_type;       /* TFM_CACHE_*: how keys and values are kept (tfm/session.h) */
    int32_t reserved;         /* 0 */
    const tfm_adapter_use *adapters; /* [adapter_count] as in tfm_session_adapt (tfm/adapter.h); NULL: none */
    size_t adapter_count;
} tfm_perplexity_options;
#define TFM_PERPLEXITY_OPTIONS_INIT { sizeof(tfm_perplexity_options), 0, 0, 0, 0, NULL, NULL, NULL, 0, 0, NULL, 0 }

typedef struct tfm_perplexity_result {
    size_t struct_size;
    uint64_t windows;       /* read */
    uint64_t tokens;        /* scored */
    uint64_t bytes;         /* of the scored tokens' text; 0 without a tokenizer */
    double log_probability; /* the sum over the scored tokens */
    double perplexity;      /* exp(-log_probability / tokens) */
    double perplexity_error; /* its standard error, from the spread of the tokens' logarithms */
    double byte_perplexity; /* exp(-log_probability / bytes); 0 without bytes */
    double bits_per_byte;   /* -log_probability / (bytes ln 2); 0 without bytes */
} tfm_perplexity_result;
#define TFM_PERPLEXITY_RESULT_INIT { sizeof(tfm_perplexity_result), 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0 }

/* The perplexity of a text: e to the mean of the negative logarithms of its tokens' probabilities.
 *   tokens, count   the text's tokens as tfm_tokenize gives them with add_bos TFM_NO
 *   options         NULL: defaults
 *   result          receives the figures
 * Makes a session of its own. Allocates. Any thread. Errors: TFM_E_ARGUMENT (too few tokens for one window), TFM_E_TOKEN,
 * TFM_E_STATE (logits that are no numbers), TFM_E_MEMORY, TFM_E_BUDGET, TFM_E_CANCELLED. Since 0.2. */
TFM_API int32_t tfm_perplexity(tfm_model *model, const tfm_token *tokens, size_t count,
                               const tfm_perplexity_options *options, tfm_perplexity_result *result, tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
