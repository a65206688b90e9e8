/* tfm/inspect.h - looking inside a session while it computes: attention weights, queries and keys, hidden states, each
 * layer's guess of the next token, experts; and changing them on the way.
 *
 * Example: which earlier token does head 0 of layer 0 look at most, for the last token of a text?
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     static int32_t on_weights(void *user, const tfm_inspect_event *event) {
 *         const float *row = event->values + (event->rows - 1) * event->stride;
 *         size_t *best = user;
 *         *best = 0;
 *         for (size_t key = 1; key < event->columns; key++)
 *             if (row[key] > row[*best]) *best = key;
 *         printf("token %zu: %.3f\n", *best, row[*best]);
 *         return 0;
 *     }
 *
 *     int main(int argc, char **argv) {
 *         tfm_error error = TFM_ERROR_INIT;
 *         tfm_inspect_options options = TFM_INSPECT_OPTIONS_INIT;
 *         tfm_model *model = NULL;
 *         tfm_session *session = NULL;
 *         int32_t ids[64];
 *         size_t count = 0, best = 0;
 *         if (argc != 2) return 2;
 *         options.site = TFM_SITE_ATTENTION;
 *         options.layer = 0;
 *         options.head = 0;
 *         options.last = 1;
 *         if (tfm_model_load(argv[1], NULL, &model, &error) ||
 *             tfm_session_create(model, NULL, &session, &error) ||
 *             tfm_tokenize(tfm_tokenizer_of(model), "Once upon", 9, NULL, ids, 64, &count, &error) ||
 *             tfm_inspect(session, &options, on_weights, &best, NULL, &error) ||
 *             tfm_forward(session, ids, count, NULL, &error))
 *             fprintf(stderr, "%s\n", error.message);
 *         tfm_session_destroy(session);
 *         tfm_model_release(model);
 *         return error.code != 0;
 *     }
 *
 * An inspector is a function that is called with the values of one place (a site) in every pass of its session. It may
 * write to them: with `write` set, what it leaves is what the pass goes on with, so activations can be steered and heads
 * taken out. Without inspectors nothing is computed for them and nothing is slower; an inspector that only reads never
 * changes a bit of the result. What a site shows is exact for every family: windows, soft caps, ALiBi and shared
 * key/value heads included. */
#ifndef TFM_INSPECT_H
#define TFM_INSPECT_H

#include "tfm/base.h"
#include "tfm/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sites, in the order in which a pass reaches them. T tokens (rows), D width, H heads, K key/value heads, d and e the
 * sizes of a head's keys and values, F feed-forward width, V vocabulary. "Stream" is the residual stream. */
#define TFM_SITE_EMBEDDING 1       /* [T, D] the stream before layer 0 */
#define TFM_SITE_ATTENTION_NORM 2  /* [T, D] what attention reads: the stream after its norm, if it has one */
#define TFM_SITE_QUERY 3           /* [T, H d] before norms of heads and rotation */
#define TFM_SITE_KEY 4             /* [T, K d] likewise; its heads are the key/value heads */
#define TFM_SITE_VALUE 5           /* [T, K e] */
#define TFM_SITE_QUERY_ROTATED 6   /* [T, H d] as attention uses it, before the scale */
#define TFM_SITE_KEY_ROTATED 7     /* [T, K d] as it joins the past */
#define TFM_SITE_ATTENTION 8       /* [T, keys] probabilities, one call per head; column j is position j. They are 0
                                      where a token sees nothing (the future, outside its window) */
#define TFM_SITE_MIXED 9           /* [T, H e] the heads' results side by side */
#define TFM_SITE_ATTENTION_OUT 10  /* [T, D] what attention adds, before a norm behind it */
#define TFM_SITE_MIDDLE 11         /* [T, D] the stream after attention */
#define TFM_SITE_FEED_NORM 12      /* [T, D] what the feed-forward reads */
#define TFM_SITE_ROUTER 13         /* [T, experts] the router's logits, in layers with experts */
#define TFM_SITE_EXPERTS 14        /* [T, chosen] shares of the chosen experts, whose numbers are in `experts` */
#define TFM_SITE_INNER 15          /* [T, F] activated inner values, in layers without experts */
#define TFM_SITE_FEED_OUT 16       /* [T, D] what the feed-forward adds, before a norm behind it */
#define TFM_SITE_STREAM 17         /* [T, D] the stream after the layer */
#define TFM_SITE_LAYER_LOGITS 18   /* [T, V] final norm and output matrix on that stream: the layer's guess (the "logit
                                      lens", nostalgebraist 2020). Nothing reads them: writing has no effect */
#define TFM_SITE_OUTPUT_NORM 19    /* [T, D] the stream after the final norm, of tokens whose logits are wanted */
#define TFM_SITE_LOGITS 20         /* [T, V] of tokens whose logits are wanted */
#define TFM_SITE_COUNT 21

#define TFM_INSPECT_ALL (-1) /* every layer, or every head */

/* Values at a site. Everything in it is valid during the callback only. */
typedef struct tfm_inspect_event {
    size_t struct_size;
    int32_t site;          /* TFM_SITE_* */
    int32_t layer;         /* 0 for the embedding, the number of layers for OUTPUT_NORM and LOGITS */
    int32_t head;          /* of ATTENTION, and where one head was asked for; otherwise TFM_INSPECT_ALL */
    int32_t row;           /* in tfm_encode: which row; in a session 0 */
    size_t position;       /* in the session or row, of the first row's token */
    size_t rows;           /* tokens; a call may come in several parts, in order: passes are cut into batches, and
                              large values into fewer rows still */
    size_t columns;
    size_t stride;         /* floats from one row to the next, at least columns */
    float *values;         /* row r at values + r * stride; to be written only with `write` */
    int32_t *experts;      /* EXPERTS: [rows, columns] the chosen experts, packed, best first; otherwise NULL. With
                              `write` they may be changed too */
} tfm_inspect_event;

/* Receives values; encoders take it too (tfm_encode_options). Called on the thread of the call that computes
 * (tfm_forward, tfm_generate, ...), which must not touch the session from inside but may read its position, tokens and
 * model, and destroy this session's inspectors.
 * Return 0 to go on, anything else to stop: the call then fails with TFM_E_CANCELLED, and the session is as it was. */
typedef int32_t (*tfm_inspect_fn)(void *user, const tfm_inspect_event *event);

typedef struct tfm_inspect_options {
    size_t struct_size;
    int32_t site;  /* TFM_SITE_* */
    int32_t layer; /* one layer, or TFM_INSPECT_ALL; not looked at where a site has no layers */
    int32_t head;  /* one head, or TFM_INSPECT_ALL; only for QUERY to MIXED */
    int32_t write; /* 1: values that the function leaves are what the pass goes on with */
    int32_t last;  /* 1: only the last token of each call, and not those before it */
    int32_t reserved; /* 0 */
} tfm_inspect_options;
#define TFM_INSPECT_OPTIONS_INIT { sizeof(tfm_inspect_options), 0, TFM_INSPECT_ALL, TFM_INSPECT_ALL, 0, 0, 0 }

typedef struct tfm_inspector tfm_inspector;

/* Attaches an inspector to a session.
 *   options   where to look; needed
 *   fn, user  called with the values; must stay valid as long as the inspector
 *   out       receives the inspector, to be freed with tfm_inspector_destroy; may be NULL: the end of the session frees
 *             it in any case
 * At one site, inspectors are called in the order in which they were attached, and later ones see what earlier ones
 * wrote; the site goes layer by layer, heads in order. Forks have none. A session whose probabilities of attention are
 * inspected needs memory for 32 rows of them, which is taken when a pass begins. Allocates. Errors: TFM_E_ARGUMENT (a
 * site, layer or head that is not there), TFM_E_STATE (called by an inspector), TFM_E_MEMORY, TFM_E_BUDGET. One thread
 * at a time, the session's. Since 0.2. */
TFM_API int32_t tfm_inspect(tfm_session *session, const tfm_inspect_options *options, tfm_inspect_fn fn, void *user,
                            tfm_inspector **out, tfm_error *error);

/* Takes an inspector away. Its session must still be there. May be called by an inspector, itself included. NULL is
 * allowed. The session's thread. Since 0.2. */
TFM_API void tfm_inspector_destroy(tfm_inspector *inspector);

#ifdef __cplusplus
}
#endif
#endif
