/* forward.h - tokens to logits; the story is in forward.c. */
#ifndef TFM__FORWARD_H
#define TFM__FORWARD_H

#include "base/threads.h"
#include "model/state.h"

struct tfm__pass;

/* Appends tokens to the session and computes logits as asked (TFM_LOGITS_*). The arguments have been checked.
 * On an error the session holds what it held before, without logits. watch may be NULL. */
int32_t tfm__forward(tfm_session *session, const tfm_token *tokens, size_t count, int32_t logits,
                     tfm__watch *watch, tfm_error *error);

/* Reads what a text goes on from: the tokens, which have been checked, or with none (ids may be NULL) what the session holds;
 * afterwards it has logits of its last token. On an error the session holds what it held before. */
int32_t tfm__forward_prompt(tfm_session *session, const tfm_token *ids, size_t count, tfm__watch *watch,
                            tfm_error *error);

/* Appends to each part's session its tokens, in passes that all of them share, and computes logits as asked. The
 * arguments have been checked: sessions of this model, each at most once. On an error every session holds what it held
 * before, without logits. watch may be NULL. */
int32_t tfm__forward_many(tfm_model *model, const tfm_forward_part *parts, size_t count, tfm__watch *watch,
                          tfm_error *error);

/* Gives a new session of a decoder the encoder's states, [count, width], that its layers attend to. On an
 * error the session can only be freed. */
int32_t tfm__forward_cross(tfm_session *session, const float *states, size_t count, tfm_error *error);

/* One layer over the tokens of a pass: both half-blocks, on the stream in its scratch. */
void tfm__forward_layer(struct tfm__pass *pass, uint32_t layer);

#endif
