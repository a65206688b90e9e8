/* beam.h - beam search; the story is in beam.c. */
#ifndef TFM__BEAM_H
#define TFM__BEAM_H

#include "model/state.h"
#include "tfm/beam.h"

typedef struct tfm__hypothesis {
    tfm_token *tokens; /* [count] in the result's heap */
    size_t count;
    float score;
    bool ended;
} tfm__hypothesis;

struct tfm_beams {
    tfm_model *model;      /* a reference: the heap is its */
    tfm__hypothesis *list; /* [count], the best first */
    size_t count;
};

/* The arguments have been checked; options are complete (no defaults left but ends). */
int32_t tfm__beam_search(tfm_session *session, const tfm_token *prompt, size_t count,
                         const tfm_beam_options *options, tfm_beams **out, tfm_error *error);
void tfm__beams_free(tfm_beams *beams);

#endif
