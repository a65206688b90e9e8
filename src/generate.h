/* generate.h - the loop around forward and sampler; the story is in generate.c. */
#ifndef TFM__GENERATE_H
#define TFM__GENERATE_H

#include "model/state.h"
#include "sampler/sampler.h"
#include "tfm/generate.h"

/* Held text and stop strings (stops.c): what may still become a stop string is not handed out. */
typedef struct tfm__stops {
    tfm__heap *heap;
    char *texts;     /* all of them, one after another */
    size_t *lengths; /* [count] */
    size_t count;
    int32_t found;    /* which one came up, or -1 */
    tfm__buffer held; /* text not handed out yet; its first `ready` bytes may be */
    size_t ready;
} tfm__stops;

int32_t tfm__stops_init(tfm__stops *stops, tfm__heap *heap, const tfm_generate_options *options,
                        tfm_error *error);
void tfm__stops_free(tfm__stops *stops);
/* Drops what was ready (it has been handed out), takes new text, and says how much is ready now. Sets found,
 * and then only the text in front of the stop string is ready. False: memory was refused and nothing was
 * taken. */
bool tfm__stops_take(tfm__stops *stops, const char *text, size_t length);
/* Everything still held is ready, unless a stop string was found. */
void tfm__stops_flush(tfm__stops *stops);

struct tfm_generation {
    tfm_session *session;
    tfm_sampler *sampler; /* NULL: greedy */
    tfm_generate_options options;
    tfm_decoder *decoder; /* NULL: no tokenizer, no text */
    tfm__stops stops;
    tfm_token pending;    /* handed out, not yet read by the model; -1: none */
    int32_t stop_request; /* TFM_STOP_CALLBACK once the callback said so */
    tfm_token_event last; /* the last event, once `last.stop` is set */
    tfm_generation_summary summary;
};

/* Arguments have been checked and options copied by the caller (api_generate.c). */
int32_t tfm__generation_start(tfm_session *session, tfm_sampler *sampler, const char *prompt, size_t length,
                              const tfm_generate_options *options, tfm_generation **out, tfm_error *error);
int32_t tfm__generation_step(tfm_generation *generation, tfm_token_event *event, tfm_error *error);
void tfm__generation_finish(tfm_generation *generation, tfm_generation_summary *summary);

#endif
