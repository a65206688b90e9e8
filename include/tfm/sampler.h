/* tfm/sampler.h - choosing the next token.
 *
 * Example: the table that shows how a model sees the future of a text.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_model *model = NULL;
 *         tfm_session *session = NULL;
 *         tfm_candidate table[5];
 *         int32_t ids[64];
 *         size_t count = 0, found = 0;
 *         if (argc != 2) return 2;
 *         if (tfm_model_load(argv[1], NULL, &model, &error) ||
 *             tfm_session_create(model, NULL, &session, &error) ||
 *             tfm_tokenize(tfm_tokenizer_of(model), "Once", 4, NULL, ids, 64, &count, &error) ||
 *             tfm_forward(session, ids, count, NULL, &error) ||
 *             tfm_top_candidates(session, table, 5, &found, &error))
 *             fprintf(stderr, "%s\n", error.message);
 *         for (size_t i = 0; i < found; i++)
 *             printf("%6d %5.1f %% %.*s\n", (int)table[i].token, 100.0 * table[i].probability,
 *                    (int)table[i].length, table[i].bytes ? table[i].bytes : "");
 *         tfm_session_destroy(session);
 *         tfm_model_release(model);
 *         return error.code != 0;
 *     }
 *
 * A sampler belongs to one thread at a time; it may serve several sessions in turn. With the same seed, settings and
 * model it chooses the same tokens on every machine: the generator is PCG-XSH-RR 64/32 (O'Neill 2014), and all
 * probabilities come from the library's own exp. */
#ifndef TFM_SAMPLER_H
#define TFM_SAMPLER_H

#include "tfm/base.h"
#include "tfm/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tfm_sampler tfm_sampler;

/* Settings, each with its default and range. They act in this order, whatever the order of setting them:
 *   1. repetition penalty over the last REPEAT_WINDOW tokens of the session (prompt included): a logit > 0 is divided
 *      by the penalty, one <= 0 multiplied, once however often the token occurs (Keskar et al. 2019)
 *   2. top-k: only the k largest logits stay; 0 keeps all
 *   3. top-p: of those, their probabilities made to sum to 1, in falling order the fewest whose sum reaches p; 1 keeps
 *      all (Holtzman et al. 2019)
 *   4. min-p: those with less than p times the largest probability go; 0 keeps all (Nguyen et al. 2024)
 *   5. temperature: logits are divided by it, then one token is drawn. Steps 3 and 4 see temperature 1
 * At least one token always stays. Equal logits: the lower id counts as larger. Temperature 0 is greedy: steps 2 to 5
 * reduce to the largest logit after step 1, and no random number is used. */
#define TFM_SAMPLER_TEMPERATURE 10    /* f64, default 0.8; 0 .. 100 */
#define TFM_SAMPLER_TOP_K 20          /* u64, default 40; 0 or more */
#define TFM_SAMPLER_TOP_P 30          /* f64, default 0.95; over 0 .. 1 */
#define TFM_SAMPLER_MIN_P 40          /* f64, default 0.05; 0 .. 1 */
#define TFM_SAMPLER_REPEAT_PENALTY 50 /* f64, default 1 (none); over 0 .. 100 */
#define TFM_SAMPLER_REPEAT_WINDOW 51  /* u64, default 64 tokens; 0: none */
#define TFM_SAMPLER_SEED 60           /* u64, default 0; setting it starts the generator anew */

typedef struct tfm_sampler_options {
    size_t struct_size;
    const tfm_allocator *allocator; /* NULL: the C library's */
    int32_t greedy;                 /* 1: start with temperature 0 */
    int32_t reserved;               /* 0 */
} tfm_sampler_options;
#define TFM_SAMPLER_OPTIONS_INIT { sizeof(tfm_sampler_options), NULL, 0, 0 }

/* Makes a sampler with the defaults above. options NULL: defaults. out receives it; free it with
 * tfm_sampler_destroy. Allocates. Errors: TFM_E_ARGUMENT, TFM_E_MEMORY. Any thread. Since 0.1. */
TFM_API int32_t tfm_sampler_create(const tfm_sampler_options *options, tfm_sampler **out, tfm_error *error);

/* Frees a sampler. NULL is allowed. Since 0.1. */
TFM_API void tfm_sampler_destroy(tfm_sampler *sampler);

/* Changes one setting, which holds until it is changed again. Errors: TFM_E_ARGUMENT (no such setting, of the other
 * type, or out of range; the old value stays). Allocates nothing. Since 0.1. */
TFM_API int32_t tfm_sampler_set_f64(tfm_sampler *sampler, int32_t setting, double value, tfm_error *error);
TFM_API int32_t tfm_sampler_set_u64(tfm_sampler *sampler, int32_t setting, uint64_t value, tfm_error *error);

/* Reads one setting. Errors: TFM_E_ARGUMENT. Since 0.1. */
TFM_API int32_t tfm_sampler_get_f64(const tfm_sampler *sampler, int32_t setting, double *value, tfm_error *error);
TFM_API int32_t tfm_sampler_get_u64(const tfm_sampler *sampler, int32_t setting, uint64_t *value, tfm_error *error);

/* Chooses a token from the session's last logits; the session itself does not change: append the token with
 * tfm_forward to go on.
 *   sampler      NULL: greedy
 *   token        receives the choice
 * Allocates only when the session's vocabulary is larger than any before. Errors: TFM_E_ARGUMENT, TFM_E_STATE (no
 * logits, or none of them a number), TFM_E_MEMORY. Since 0.1. */
TFM_API int32_t tfm_sample_next(tfm_session *session, tfm_sampler *sampler, tfm_token *token, tfm_error *error);

/* A row of the next-token table. */
typedef struct tfm_candidate {
    tfm_token token;
    float logit;
    double probability; /* softmax over the whole vocabulary, before any filter and at temperature 1 */
    const char *bytes;  /* what the token stands for; lives as long as the model; NULL without a tokenizer */
    size_t length;
} tfm_candidate;

/* The most probable next tokens, most probable first (equal ones: lower id first).
 *   table   [capacity] receives the rows
 *   count   receives how many there are: the smaller of capacity and the vocabulary
 * Allocates scratch for the time of the call. Errors: TFM_E_ARGUMENT, TFM_E_STATE (no logits, or not finite),
 * TFM_E_MEMORY. Since 0.1. */
TFM_API int32_t tfm_top_candidates(tfm_session *session, tfm_candidate *table, size_t capacity, size_t *count,
                                   tfm_error *error);

/* The probability of one token, as in the table. Errors: TFM_E_ARGUMENT, TFM_E_TOKEN, TFM_E_STATE. Since 0.1. */
TFM_API int32_t tfm_token_probability(tfm_session *session, tfm_token token, double *probability, tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
