/* tfm/beam.h - beam search: of many texts that go on from here, the most probable ones.
 *
 * Example: the three best continuations of a few token ids.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         const tfm_token prompt[] = {1, 5, 9};
 *         tfm_beam_options options = TFM_BEAM_OPTIONS_INIT;
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_model *model = NULL;
 *         tfm_session *session = NULL;
 *         tfm_beams *beams = NULL;
 *         if (argc != 2) return 2;
 *         options.hypotheses = 3;
 *         options.max_tokens = 8;
 *         if (tfm_model_load(argv[1], NULL, &model, &error) ||
 *             tfm_session_create(model, NULL, &session, &error) ||
 *             tfm_beam_search(session, prompt, 3, &options, &beams, &error))
 *             fprintf(stderr, "%s\n", error.message);
 *         for (size_t i = 0; i < tfm_beams_count(beams); i++) {
 *             tfm_hypothesis found = TFM_HYPOTHESIS_INIT;
 *             if (tfm_beams_get(beams, i, &found, &error)) break;
 *             printf("%zu tokens, score %.3f\n", found.count, found.score);
 *         }
 *         tfm_beams_destroy(beams);
 *         tfm_session_destroy(session);
 *         tfm_model_release(model);
 *         return error.code != 0;
 *     }
 *
 * The search is that of Hugging Face transformers 5.24 (`generate(num_beams=...)`): the same tokens and scores. Beams are
 * forks of the session that share what they have in common, so a beam costs the memory of its own tokens. */
#ifndef TFM_BEAM_H
#define TFM_BEAM_H

#include "tfm/base.h"
#include "tfm/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tfm_beams tfm_beams;

#define TFM_BEAM_STOP_HEURISTIC 0 /* when no beam can be better at its present length than the worst that ended */
#define TFM_BEAM_STOP_FULL 1      /* as soon as as many have ended as there are beams */
#define TFM_BEAM_STOP_NEVER 2     /* when none could be better at any length */

typedef struct tfm_beam_options {
    size_t struct_size;
    uint32_t beams;        /* 1 .. 256; 0: 4 */
    uint32_t hypotheses;   /* wanted, at most beams; 0: 1 */
    uint32_t max_tokens;   /* to generate, end token included; 0: what the context has room for */
    uint32_t min_tokens;   /* before an end token may come */
    int32_t stopping;      /* TFM_BEAM_STOP_* */
    uint32_t no_repeat;    /* no run of so many tokens comes twice, what the session held before included; 0: off */
    double length_penalty; /* a score is the sum of logarithms divided by the length to this power */
    double repeat_penalty; /* 1: none; over 0 .. 100, on everything the session holds (Keskar et al. 2019) */
    const tfm_token *ends; /* [end_count] end tokens; NULL: those of the model's tokenizer */
    size_t end_count;
    tfm_token first, last;    /* forced: the first generated token, and the last one at max_tokens; -1: none, or for
                                 first what the model's files force */
    tfm_progress_fn progress; /* NULL: none; counts the tokens of a running beam */
    void *progress_user;
    const tfm_cancel *cancel; /* NULL: none */
} tfm_beam_options;
#define TFM_BEAM_OPTIONS_INIT \
    { sizeof(tfm_beam_options), 0, 0, 0, 0, 0, 0, 1.0, 1.0, NULL, 0, -1, -1, NULL, NULL, NULL }

/* Searches from where the session is, behind the prompt. In an empty session of an encoder-decoder the token that the
 * decoder starts with goes in front by itself.
 *   session         afterwards holds the prompt and nothing of what was found
 *   prompt, count   token ids; may be empty (NULL, 0) if there is something to start from
 *   options         NULL: defaults
 *   out             receives the result; free it with tfm_beams_destroy
 * Allocates. Errors: TFM_E_ARGUMENT, TFM_E_TOKEN, TFM_E_CONTEXT, TFM_E_STATE (nothing to start from; logits that are no
 * numbers), TFM_E_MEMORY, TFM_E_BUDGET, TFM_E_CANCELLED. One thread at a time for a session. Since 0.2. */
TFM_API int32_t tfm_beam_search(tfm_session *session, const tfm_token *prompt, size_t count,
                                const tfm_beam_options *options, tfm_beams **out, tfm_error *error);

/* How many hypotheses there are; 0 for NULL. Any thread. Allocates nothing. Since 0.2. */
TFM_API size_t tfm_beams_count(const tfm_beams *beams);

typedef struct tfm_hypothesis {
    size_t struct_size;
    const tfm_token *tokens; /* [count] without the prompt, the end token included; they belong to the result */
    size_t count;
    double score;  /* with the length penalty */
    int32_t ended; /* 1: an end token is the last; 0: it was cut at max_tokens */
    int32_t reserved;
} tfm_hypothesis;
#define TFM_HYPOTHESIS_INIT { sizeof(tfm_hypothesis), NULL, 0, 0.0, 0, 0 }

/* Hypothesis number i, the best first. Errors: TFM_E_ARGUMENT. Any thread. Allocates nothing. Since 0.2. */
TFM_API int32_t tfm_beams_get(const tfm_beams *beams, size_t i, tfm_hypothesis *hypothesis, tfm_error *error);

/* Frees the result. NULL is allowed. Since 0.2. */
TFM_API void tfm_beams_destroy(tfm_beams *beams);

#ifdef __cplusplus
}
#endif
#endif
