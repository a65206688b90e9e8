/* score.h - probabilities of given texts; the story is in score.c. */
#ifndef TFM__SCORE_H
#define TFM__SCORE_H

#include "base/threads.h"
#include "model/state.h"
#include "tfm/score.h"

/* The arguments have been checked. On an error the session holds what it held before, without logits. */
int32_t tfm__score_tokens(tfm_session *session, const tfm_token *tokens, size_t count, size_t first,
                          tfm__watch *watch, tfm_token_score *scores, tfm_error *error);

int32_t tfm__score_text(tfm_session *session, const char *prompt, size_t prompt_length,
                        const char *continuation, size_t length, const tfm_score_options *options,
                        tfm_token_score *tokens, size_t capacity, tfm_score_result *result, tfm_error *error);

int32_t tfm__score_phrase(tfm_session *session, const char *phrase, size_t length,
                          const tfm_phrase_options *options, tfm_phrase_result *result, tfm_error *error);

int32_t tfm__perplexity(tfm_model *model, const tfm_token *tokens, size_t count,
                        const tfm_perplexity_options *options, tfm_perplexity_result *result,
                        tfm_error *error);

#endif
