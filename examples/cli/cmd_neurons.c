/* cmd_neurons.c - `tfm neurons`: which neurons inside the feed-forwards answer most to each token of a text.
 */
#include "json_out.h"
#include "seen.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct neurons_options {
    cli_open_options open;
    cli_prompt prompt;
    arg_u64 layer, most;
    int json;
} neurons_options;

typedef struct neuron {
    int layer;
    size_t number;
    float value;
} neuron;

/* The `most` values farthest from 0 of a token, over all layers; how many there are. */
static size_t strongest(const seen *s, size_t token, neuron *best, size_t most) {
    size_t held = 0;
    for (int layer = 0; layer < s->layers; layer++) {
        const float *row = seen_at(s, layer, token);
        for (size_t i = 0; i < s->columns; i++) {
            if (row[i] == 0.0f || (held == most && fabsf(row[i]) <= fabsf(best[most - 1].value))) continue;
            size_t at = held < most ? held++ : most - 1;
            for (; at > 0 && fabsf(row[i]) > fabsf(best[at - 1].value); at--) best[at] = best[at - 1];
            best[at] = (neuron){s->layer0 + layer, i, row[i]};
        }
    }
    return held;
}

static void print(const seen *s, const neurons_options *o, const cli_piece *pieces, neuron *best,
                  size_t most) {
    if (o->json)
        printf("{\"width\":%zu,\"tokens\":[", s->columns);
    else
        printf("the strongest of %d x %zu neurons of the feed-forward, by token: layer.neuron value\n\n",
               s->layers, s->columns);
    for (size_t t = 0; t < s->tokens; t++) {
        size_t held = strongest(s, t, best, most);
        if (o->json) {
            printf("%s{\"id\":%" PRId32 ",\"text\":", t ? "," : "", o->prompt.tokens[t]);
            json_string(stdout, pieces[t].bytes, pieces[t].length);
            printf(",\"neurons\":[");
        } else {
            printf("%4zu ", t);
        }
        for (size_t i = 0; i < held; i++) {
            if (!o->json) {
                printf("  %2d.%-5zu %8.4f", best[i].layer, best[i].number, (double)best[i].value);
                continue;
            }
            printf("%s{\"layer\":%d,\"neuron\":%zu,\"value\":", i ? "," : "", best[i].layer, best[i].number);
            json_number(stdout, (double)best[i].value);
            putchar('}');
        }
        if (o->json) {
            printf("]}");
        } else {
            printf("  ");
            json_string(stdout, pieces[t].bytes, pieces[t].length);
            putchar('\n');
        }
    }
    if (o->json) printf("]}\n");
}

static int neurons(const char *model, neurons_options *o) {
    cli_host host;
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    cli_piece *pieces = NULL;
    neuron *best = NULL;
    seen s = {.site = TFM_SITE_INNER,
              .layer = o->layer.given ? (int32_t)o->layer.value : TFM_INSPECT_ALL,
              .head = TFM_INSPECT_ALL};
    size_t most = (size_t)o->most.value;
    int status = cli_open_on_prompt(&host, "neurons", model, &o->open, &o->prompt, 0);
    if (!status && tfm_model_get_info(host.model, &info, &host.error)) status = cli_fail(&host);
    if (!status && o->layer.given) status = cli_check_layer(&host, o->layer.value, &info);
    if (!status) status = cli_pieces(&host, &o->prompt, &pieces);
    if (!status) status = seen_run(&host, &o->open, o->prompt.tokens, o->prompt.count, &s, 1);
    if (!status && !s.values)
        status = cli_error("neurons", "there is no feed-forward but of experts, whose neurons are not shown");
    if (!status && !(best = malloc(most * sizeof *best))) status = cli_error("neurons", "out of memory");
    if (!status) print(&s, o, pieces, best, most);
    free(best);
    free(pieces);
    seen_free(&s, 1);
    return cli_close(&host, status);
}

int cmd_neurons(int argc, char **argv) {
    neurons_options o;
    memset(&o, 0, sizeof o);
    o.most.value = 3;
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_FILE(&o.prompt),
        CLI_OPTION_TOKENS(&o.prompt),
        {'l', "layer", ARG_U64, &o.layer, "L", "one layer, from 0 (default: all)", 0, 2147483647.0, NULL},
        {'n', "most", ARG_U64, &o.most, "N", "neurons for each token (default 3)", 1, 65536, NULL},
        CLI_OPTION_SPECIAL(&o.prompt),
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        CLI_OPTION_KV(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {
        "neurons", "MODEL",
        "Shows for each token of a text which neurons inside the feed-forwards answer most:\n"
        "the activated values that go into the product back to the model's width.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) status = neurons(model, &o);
    cli_prompt_free(&o.prompt);
    return status;
}
