/* tfm/tfm.h - everything, and a tour.
 *
 * tfm runs transformers from the files that people have, in a library that a program links like any other.
 *
 *   base.h        version, errors, memory, cancel flags, files that are not files, threads (tfm_pool)
 *   tokenizer.h   text to tokens and back: tfm_tokenize, tfm_detokenize, a streaming decoder
 *   tokenizer_train.h  a tokenizer learnt from text: tfm_tokenizer_train; saving tokenizers
 *   model.h       a parameter file, opened: tfm_model_load
 *   session.h     one timeline through a model: tfm_forward, tfm_logits, rewind, fork
 *   adapter.h     LoRA adapters: small changes of a model for one session: tfm_session_adapt
 *   encode.h      encoders: whole texts in, vectors out: tfm_encode
 *   plan.h        parameters, memory, arithmetic and cost of a shape, without weights: tfm_plan
 *   inspect.h     looking inside a pass, and changing it: tfm_inspect
 *   sampler.h     choosing the next token: tfm_sample_next, tfm_top_candidates
 *   generate.h    the loop around it: tfm_generate with a callback, or pulled token by token
 *   score.h       how probable a given text is: tfm_score, tfm_perplexity
 *   beam.h        beam search: the most probable of many continuations
 *   net.h         small networks to learn with: a perceptron, what TensorFlow Playground has
 *   quantize.h    a model written anew with smaller weights: tfm_quantize
 *
 * Example: the shortest way from a file to text is at the top of generate.h; this one prints the version.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(void) {
 *         printf("tfm %s (ABI %u)\n", tfm_version(), (unsigned)tfm_abi_version());
 *         return 0;
 *     }
 */
#ifndef TFM_TFM_H
#define TFM_TFM_H

#include "tfm/base.h"
#include "tfm/tokenizer.h"
#include "tfm/tokenizer_train.h"
#include "tfm/model.h"
#include "tfm/session.h"
#include "tfm/adapter.h"
#include "tfm/inspect.h"
#include "tfm/plan.h"
#include "tfm/encode.h"
#include "tfm/sampler.h"
#include "tfm/generate.h"
#include "tfm/beam.h"
#include "tfm/score.h"
#include "tfm/net.h"
#include "tfm/quantize.h"
#include "tfm/train.h"

#endif
