/* cmd_perceptron.c - `tfm perceptron`: the lesson of one neuron. It decides on the cinema with weights that
 * were set, for all eight inputs; the threshold is moved; then the weights are learned from what ten thousand
 * people did. */
#include "cli.h"
#include "json_out.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FACTORS 3
static const char *const factors[FACTORS] = {"weather", "price", "company"};
static const char *const rules[] = {"perceptron", "logistic", NULL};
enum { RULE_PERCEPTRON, RULE_LOGISTIC };

typedef struct lesson {
    const char *weights_text, *habits_text;
    double weights[FACTORS]; /* set */
    arg_f64 threshold;
    double habits[FACTORS + 1]; /* of the people: weights, threshold */
    arg_f64 noise, rate;
    arg_u64 people, epochs, seed;
    int rule, json;
} lesson;

typedef struct learned {
    double weights[FACTORS], threshold, loss, right;
} learned;

/* Exactly count numbers with commas between. */
static int read_numbers(const char *text, double *out, int count) {
    for (int i = 0; i < count; i++) {
        char *end = NULL;
        double value = strtod(text, &end);
        if (end == text || !(fabs(value) <= 1e6) || *end != (i + 1 < count ? ',' : 0)) return 0;
        out[i] = value;
        text = end + 1;
    }
    return 1;
}

/* The eight inputs, from none to all, weather first. */
static void input_of(int which, double inputs[FACTORS]) {
    for (int k = 0; k < FACTORS; k++) inputs[k] = which >> (FACTORS - 1 - k) & 1;
}

/* Decisions of the perceptron for all eight inputs. 0, or -1 with the error filled. */
static int decide(cli_host *host, const double weights[FACTORS], double threshold, int goes[8]) {
    tfm_net_options options = TFM_NET_OPTIONS_INIT;
    tfm_net *net = NULL;
    double inputs[8 * FACTORS], out[8], bias = -threshold;
    options.inputs = FACTORS;
    options.output = TFM_NET_STEP; /* 1 where the sum is over 0: strictly over the threshold */
    for (int i = 0; i < 8; i++) input_of(i, inputs + i * FACTORS);
    int status = tfm_net_create(&options, &net, &host->error) ||
                 tfm_net_set_layer(net, 0, weights, &bias, &host->error) ||
                 tfm_net_run(net, TFM_NET_LAST, inputs, 8, out, &host->error);
    for (int i = 0; i < 8 && !status; i++) goes[i] = out[i] > 0;
    tfm_net_destroy(net);
    return status ? -1 : 0;
}

/* ---- Learned instead of set ---- */

static int learn(cli_host *host, const lesson *l, learned *found) {
    tfm_net_options options = TFM_NET_OPTIONS_INIT;
    tfm_net_data_options sample = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_train_options train = TFM_NET_TRAIN_OPTIONS_INIT;
    tfm_net_layer layer = TFM_NET_LAYER_INIT;
    tfm_net *net = NULL;
    tfm_net_data *data = NULL;
    sample.set = TFM_NET_CINEMA;
    sample.samples = (uint32_t)l->people.value;
    sample.noise = l->noise.value;
    sample.seed = l->seed.value;
    memcpy(sample.habits, l->habits, sizeof sample.habits);
    options.inputs = FACTORS;
    options.rule = l->rule == RULE_LOGISTIC ? TFM_NET_LOGISTIC : TFM_NET_PERCEPTRON;
    options.zero_start = 1;
    train.epochs = l->epochs.value;
    train.progress = cli_progress_report;
    train.progress_user = &host->progress;
    train.cancel = host->cancel;
    cli_progress_label(&host->progress, "learning");
    int status = tfm_net_data_generate(&sample, &data, &host->error) ||
                 tfm_net_create(&options, &net, &host->error) ||
                 tfm_net_set_f64(net, TFM_NET_LEARNING_RATE, l->rate.value, &host->error) ||
                 tfm_net_set_u64(net, TFM_NET_BATCH, l->rule == RULE_LOGISTIC ? 10 : 1, &host->error) ||
                 tfm_net_train(net, data, &train, &host->error) ||
                 tfm_net_get_layer(net, TFM_NET_LAST, &layer, &host->error) ||
                 tfm_net_measure(net, data, 1, &found->loss, &found->right, &host->error);
    cli_progress_clear(&host->progress);
    if (!status) {
        memcpy(found->weights, layer.weights, sizeof found->weights);
        found->threshold = -layer.biases[0];
    }
    tfm_net_destroy(net);
    tfm_net_data_destroy(data);
    return status ? -1 : 0;
}

/* ---- Telling ---- */

static const double moved[] = {-1, 0, 3, 4, 7, 8, 11, 12, 15, 16};

static int tell(cli_host *host, const lesson *l, const int goes[8], const learned *found) {
    printf("Set: weather %g, price %g, company %g; a person goes where the sum is over %g.\n\n",
           l->weights[0], l->weights[1], l->weights[2], l->threshold.value);
    printf("  weather  price  company    sum   goes\n");
    for (int i = 0; i < 8; i++) {
        double inputs[FACTORS], sum = 0;
        input_of(i, inputs);
        for (int k = 0; k < FACTORS; k++) sum += inputs[k] * l->weights[k];
        printf("  %7s  %5s  %7s  %5g   %s\n", inputs[0] > 0 ? "good" : "bad", inputs[1] > 0 ? "low" : "high",
               inputs[2] > 0 ? "yes" : "no", sum, goes[i] ? "yes" : "no");
    }
    printf("\nThe threshold moved:\n\n");
    for (size_t t = 0; t < ARG_COUNT(moved); t++) {
        int other[8], count = 0;
        if (decide(host, l->weights, moved[t], other)) return cli_fail(host);
        for (int i = 0; i < 8; i++) count += other[i];
        printf("  over %3g: %d of 8 go\n", moved[t], count);
    }
    printf("\nLearned (%s) from %llu people whose habits are weather %g, price %g, company %g, threshold "
           "%g%s:\n\n",
           rules[l->rule], (unsigned long long)l->people.value, l->habits[0], l->habits[1], l->habits[2],
           l->habits[3], l->noise.value > 0 ? ", with moods" : "");
    for (int k = 0; k < FACTORS; k++) printf("  %-9s %8.4f\n", factors[k], found->weights[k]);
    printf("  %-9s %8.4f\n\n", "threshold", found->threshold);
    int most = 0;
    for (int k = 1; k < FACTORS; k++)
        if (fabs(found->weights[k]) > fabs(found->weights[most])) most = k;
    printf("%.1f %% of the people it was not shown are foretold; most weight is on %s.\n", 100 * found->right,
           factors[most]);
    return CLI_OK;
}

static void json_factors(const double *weights, double threshold) {
    printf("{");
    for (int k = 0; k < FACTORS; k++) {
        printf("\"%s\": ", factors[k]);
        json_number(stdout, weights[k]);
        printf(", ");
    }
    printf("\"threshold\": ");
    json_number(stdout, threshold);
    printf("}");
}

static int tell_json(cli_host *host, const lesson *l, const int goes[8], const learned *found) {
    printf("{\"set\": ");
    json_factors(l->weights, l->threshold.value);
    printf(", \"decisions\": [");
    for (int i = 0; i < 8; i++) {
        double inputs[FACTORS];
        input_of(i, inputs);
        printf("%s{", i ? ", " : "");
        for (int k = 0; k < FACTORS; k++) printf("\"%s\": %d, ", factors[k], inputs[k] > 0);
        printf("\"goes\": %s}", goes[i] ? "true" : "false");
    }
    printf("], \"thresholds\": [");
    for (size_t t = 0; t < ARG_COUNT(moved); t++) {
        int other[8], count = 0;
        if (decide(host, l->weights, moved[t], other)) return cli_fail(host);
        for (int i = 0; i < 8; i++) count += other[i];
        printf("%s{\"threshold\": ", t ? ", " : "");
        json_number(stdout, moved[t]);
        printf(", \"go\": %d}", count);
    }
    printf("], \"people\": %llu, \"rule\": \"%s\", \"habits\": ", (unsigned long long)l->people.value,
           rules[l->rule]);
    json_factors(l->habits, l->habits[FACTORS]);
    printf(", \"learned\": ");
    json_factors(found->weights, found->threshold);
    printf(", \"test_loss\": ");
    json_number(stdout, found->loss);
    printf(", \"test_right\": ");
    json_number(stdout, found->right);
    printf("}\n");
    return CLI_OK;
}

static int run(lesson *l) {
    cli_host host;
    int goes[8];
    learned found;
    if (!read_numbers(l->weights_text, l->weights, FACTORS))
        return args_usage("perceptron", "--weights needs three numbers like 8,4,4, not %s", l->weights_text);
    if (!read_numbers(l->habits_text, l->habits, FACTORS + 1))
        return args_usage("perceptron", "--habits needs four numbers like 1.5,1,4,3, not %s", l->habits_text);
    int status = cli_open(&host, "perceptron");
    if (!status && (decide(&host, l->weights, l->threshold.value, goes) || learn(&host, l, &found)))
        status = cli_fail(&host);
    if (!status) status = l->json ? tell_json(&host, l, goes, &found) : tell(&host, l, goes, &found);
    return cli_close(&host, status);
}

int cmd_perceptron(int argc, char **argv) {
    lesson l = {.weights_text = "8,4,4",
                .habits_text = "1.5,1,4,3",
                .threshold = {8, 0},
                .noise = {1, 0},
                .rate = {0.1, 0},
                .people = {10000, 0},
                .epochs = {20, 0},
                .rule = RULE_LOGISTIC};
    const arg_option options[] = {
        {0, "weights", ARG_TEXT, &l.weights_text, "W,P,C", "what weather, price and company weigh (8,4,4)", 0,
         0, NULL},
        {0, "threshold", ARG_F64, &l.threshold, "T", "goes where the sum is over it (default 8)", -1e6, 1e6,
         NULL},
        {0, "people", ARG_U64, &l.people, "N", "people to learn from (10 to 10 million; default 10000)", 10,
         1e7, NULL},
        {0, "habits", ARG_TEXT, &l.habits_text, "W,P,C,T", "their weights and threshold (default 1.5,1,4,3)",
         0, 0, NULL},
        {0, "noise", ARG_F64, &l.noise, "X", "their moods, 0 to 1 (default 1; 0: always as the sum says)", 0,
         1, NULL},
        {0, "rule", ARG_CHOICE, &l.rule, "NAME", "logistic (default) or perceptron", 0, 0, rules},
        {0, "rate", ARG_F64, &l.rate, "X", "learning rate (0 to 1000; default 0.1)", 0, 1000, NULL},
        {0, "epochs", ARG_U64, &l.epochs, "N", "times through the people (1 to 10000; default 20)", 1, 10000,
         NULL},
        {0, "seed", ARG_U64, &l.seed, "N", "of the people (default 0)", 0, 0, NULL},
        {0, "json", ARG_FLAG, &l.json, NULL, "as JSON", 0, 0, NULL},
    };
    const arg_command command = {
        "perceptron", NULL,
        "One neuron decides on the cinema: all eight inputs, what moving the threshold does, and\n"
        "the weights that it finds by itself in what many people did.\n",
        options, ARG_COUNT(options)};
    const char *operand = NULL;
    int status = args_parse(&command, argc, argv, &operand);
    return status == ARGS_GO ? run(&l) : status;
}
