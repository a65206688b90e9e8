/* api_beam.c - the exported functions of tfm/beam.h. */
#include <math.h>

#include "beam.h"

#define MOST_BEAMS 256
#define DEFAULT_BEAMS 4
#define MOST_ENDS 64

static int32_t check(const tfm_beam_options *o, uint32_t vocab, tfm_error *error) {
    if (o->beams > MOST_BEAMS || o->hypotheses > o->beams)
        return tfm__fail(error, TFM_E_ARGUMENT, "%u hypotheses of %u beams; there may be %d beams",
                         o->hypotheses, o->beams, MOST_BEAMS);
    if (o->stopping < TFM_BEAM_STOP_HEURISTIC || o->stopping > TFM_BEAM_STOP_NEVER)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_beam_options: stopping is %d", (int)o->stopping);
    if (!isfinite(o->length_penalty) || !(o->repeat_penalty > 0 && o->repeat_penalty <= 100))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_beam_options: length_penalty is %g, repeat_penalty %g",
                         o->length_penalty, o->repeat_penalty);
    if (o->end_count > MOST_ENDS || (o->end_count && !o->ends))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_beam_options: %zu end tokens, at most %d", o->end_count,
                         MOST_ENDS);
    for (size_t i = 0; i < o->end_count; i++)
        if (o->ends[i] < 0 || (uint32_t)o->ends[i] >= vocab)
            return tfm__fail(error, TFM_E_TOKEN, "end token %d, the vocabulary has %u", (int)o->ends[i],
                             vocab);
    if (o->first >= (int64_t)vocab || o->last >= (int64_t)vocab)
        return tfm__fail(error, TFM_E_TOKEN, "forced tokens %d and %d, the vocabulary has %u", (int)o->first,
                         (int)o->last, vocab);
    return TFM_OK;
}

int32_t tfm_beam_search(tfm_session *session, const tfm_token *prompt, size_t count,
                        const tfm_beam_options *options, tfm_beams **out, tfm_error *error) {
    static const tfm_beam_options defaults = TFM_BEAM_OPTIONS_INIT;
    tfm_beam_options given;
    tfm_token ends[MOST_ENDS];
    if (out) *out = NULL;
    if (!session || !out || (count && !prompt))
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_beam_search: session, prompt or out is NULL");
    int32_t status =
        tfm__take_options(options ? options : &defaults, &given, sizeof given, "tfm_beam_options", error);
    if (status) return status;
    const tfm__config *c = &session->model->config;
    if (given.beams == 0) given.beams = DEFAULT_BEAMS;
    if (given.hypotheses == 0) given.hypotheses = 1;
    if ((status = check(&given, c->vocab, error)) != 0) return status;
    if (!given.ends && session->model->tokenizer) {
        given.end_count = tfm__tokenizer_ends(session->model->tokenizer, ends, MOST_ENDS, c->vocab);
        given.ends = ends;
    }
    if (given.first < 0 && session->cross && session->position == 0 && count == 0)
        given.first = (tfm_token)c->forced_first;
    return tfm__beam_search(session, prompt, count, &given, out, error);
}

size_t tfm_beams_count(const tfm_beams *beams) { return beams ? beams->count : 0; }

int32_t tfm_beams_get(const tfm_beams *beams, size_t i, tfm_hypothesis *hypothesis, tfm_error *error) {
    tfm_hypothesis full = TFM_HYPOTHESIS_INIT;
    if (!beams || !hypothesis) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_beams_get: an argument is NULL");
    if (i >= beams->count)
        return tfm__fail(error, TFM_E_ARGUMENT, "hypothesis %zu, there are %zu", i, beams->count);
    full.tokens = beams->list[i].tokens;
    full.count = beams->list[i].count;
    full.score = (double)beams->list[i].score;
    full.ended = beams->list[i].ended;
    return tfm__give_struct(hypothesis, &full, sizeof full, "tfm_hypothesis", error);
}

void tfm_beams_destroy(tfm_beams *beams) { tfm__beams_free(beams); }
