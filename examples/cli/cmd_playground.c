/* cmd_playground.c - `tfm playground`: what TensorFlow Playground does, live in the terminal, or without one
 * for a number of epochs with a picture or JSON as its result. */
#include "json_out.h"
#include "play.h"

#include <stdlib.h>
#include <string.h>

typedef struct wishes {
    const char *data, *features, *hidden, *svg;
    arg_u64 epochs, batch, samples, seed, plane;
    arg_f64 noise, share, rate, regularisation_rate;
    int activation, regularisation, problem, normalise, show_test, discretise, json;
} wishes;

static const char *const problems[] = {"auto", "classification", "regression",
                                       NULL}; /* in TFM_NET_LOOK's order */

/* ---- Settings ---- */

static int place_in(const char *const *names, const char *word, size_t length) {
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == length && memcmp(names[i], word, length) == 0) return i;
    return -1;
}

static int read_features(const char *text, int *features) {
    *features = 0;
    while (*text) {
        size_t length = strcspn(text, ",");
        int place = place_in(play_feature_names, text, length);
        if (place < 0)
            return args_usage(
                "playground",
                "no feature is called \"%.*s\"; there are x1, x2, x1^2, x2^2, x1*x2, sin(x1), sin(x2)",
                (int)length, text);
        *features |= 1 << place;
        text += length + (text[length] == ',');
    }
    return *features ? 0 : args_usage("playground", "--features needs one at least");
}

static int read_hidden(const char *text, play_settings *s) {
    s->hidden_count = 0;
    if (strcmp(text, "none") == 0 || !*text) return 0;
    for (;;) {
        char *end = NULL;
        unsigned long neurons = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
        if (neurons < 1 || neurons > PLAY_NEURONS || s->hidden_count == PLAY_LAYERS || (*end && *end != ','))
            return args_usage(
                "playground",
                "--hidden needs \"none\" or up to %d layers of 1 to %d neurons like 4,2, not %s", PLAY_LAYERS,
                PLAY_NEURONS, text);
        s->hidden[s->hidden_count++] = (uint32_t)neurons;
        if (!*end) return 0;
        text = end + 1;
    }
}

static int read_wishes(const wishes *w, play_settings *s) {
    int set = place_in(play_set_names, w->data, strlen(w->data)), status = 0;
    memset(s, 0, sizeof *s);
    s->set = set + 1; /* 0: a file */
    s->file = w->data;
    s->kind = s->set ? TFM_NET_LOOK : w->problem;
    s->noise = w->noise.value;
    s->train_share = w->share.value;
    s->samples = (uint32_t)w->samples.value;
    s->data_seed = s->net_seed = w->seed.value;
    s->normalise = w->normalise;
    s->activation = w->activation + 1;
    s->regularisation = w->regularisation;
    s->regularisation_rate = w->regularisation_rate.value;
    s->learning_rate = w->rate.value;
    s->batch = w->batch.value;
    if (w->features)
        status = read_features(w->features, &s->features);
    else if (s->set)
        s->features = TFM_NET_X1 | TFM_NET_X2;
    return status ? status : read_hidden(w->hidden, s);
}

/* ---- JSON ---- */

static void json_row(const double *numbers, size_t count, size_t step) {
    putchar('[');
    for (size_t i = 0; i < count; i++) {
        if (i) putchar(',');
        json_number(stdout, numbers[i * step]);
    }
    putchar(']');
}

static int json_layers(play *p, uint32_t layers) {
    printf("\"layers\": [");
    for (uint32_t l = 0; l < layers; l++) {
        tfm_net_layer layer = TFM_NET_LAYER_INIT;
        if (tfm_net_get_layer(p->net, (int32_t)l, &layer, &p->error)) return -1;
        printf("%s{\"activation\": \"%s\", \"weights\": [", l ? ", " : "",
               play_activation_names[layer.activation - 1]);
        for (uint32_t i = 0; i < layer.outputs; i++) {
            if (i) putchar(',');
            json_row(layer.weights + (size_t)i * layer.inputs, layer.inputs, 1);
        }
        printf("], \"biases\": ");
        json_row(layer.biases, layer.outputs, 1);
        printf("}");
    }
    printf("]");
    return 0;
}

/* Each neuron's output over the plane: [layer][neuron][y][x], y rising. */
static int json_planes(play *p, uint32_t layers, uint32_t n, int discretise) {
    tfm_net_plane_options options = TFM_NET_PLANE_OPTIONS_INIT;
    options.resolution = n;
    options.discretise = discretise;
    printf(", \"planes\": [");
    for (uint32_t l = 0; l < layers; l++) {
        tfm_net_layer layer = TFM_NET_LAYER_INIT;
        if (tfm_net_get_layer(p->net, (int32_t)l, &layer, &p->error)) return -1;
        double *cells = malloc((size_t)n * n * layer.outputs * sizeof *cells);
        if (!cells) {
            p->error.code = TFM_E_MEMORY;
            snprintf(p->error.message, sizeof p->error.message, "out of memory");
            return -1;
        }
        int failed = tfm_net_plane(p->net, p->data, (int32_t)l, &options, cells, &p->error);
        printf("%s[", l ? "," : "");
        for (uint32_t i = 0; i < layer.outputs && !failed; i++) {
            printf("%s[", i ? "," : "");
            for (uint32_t y = 0; y < n; y++) {
                if (y) putchar(',');
                json_row(cells + (size_t)y * n * layer.outputs + i, n, layer.outputs);
            }
            printf("]");
        }
        printf("]");
        free(cells);
        if (failed) return -1;
    }
    printf("]");
    return 0;
}

static int tell_json(play *p, const wishes *w, const tfm_net_info *info, const double loss[2],
                     const double right[2]) {
    const play_settings *s = &p->settings;
    printf("{\"data\": ");
    json_text(stdout, w->data);
    printf(", \"problem\": \"%s\", \"rows\": %zu, \"train_rows\": %zu, \"inputs\": [", problems[p->view.kind],
           p->view.rows, p->view.train_rows);
    for (uint32_t i = 0; i < info->inputs; i++) {
        if (i) printf(", ");
        json_text(stdout, tfm_net_data_input_name(p->data, i));
    }
    printf("], \"normalised\": %s, \"seed\": %llu, \"learning_rate\": ", s->normalise ? "true" : "false",
           (unsigned long long)s->net_seed);
    json_number(stdout, s->learning_rate);
    printf(", \"batch\": %llu, \"regularisation\": \"%s\", \"regularisation_rate\": ",
           (unsigned long long)s->batch, play_regularisation_names[s->regularisation]);
    json_number(stdout, s->regularisation_rate);
    printf(", \"epochs\": %llu, \"parameters\": %llu, \"dead\": %llu", (unsigned long long)info->epochs,
           (unsigned long long)info->parameters, (unsigned long long)info->dead);
    for (int test = 0; test < 2; test++) {
        printf(", \"%s_loss\": ", test ? "test" : "train");
        json_number(stdout, loss[test]);
        if (p->view.kind == TFM_NET_CLASSES) {
            printf(", \"%s_right\": ", test ? "test" : "train");
            json_number(stdout, right[test]);
        }
    }
    printf(", ");
    if (json_layers(p, info->layers)) return -1;
    printf(", \"losses\": {\"train\": ");
    json_row(p->train_losses, p->count, 1);
    printf(", \"test\": ");
    json_row(p->test_losses, p->count, 1);
    printf("}");
    if (w->plane.value && json_planes(p, info->layers, (uint32_t)w->plane.value, w->discretise)) return -1;
    printf("}\n");
    return 0;
}

/* ---- Without a terminal ---- */

static int work(play *p, const wishes *w, cli_host *host) {
    tfm_net_info info = TFM_NET_INFO_INIT;
    double loss[2], right[2];
    cli_progress_label(&host->progress, "training");
    int failed = play_train(p, w->epochs.value ? w->epochs.value : 500, host->cancel, &host->progress);
    cli_progress_clear(&host->progress);
    for (int test = 0; test < 2 && !failed; test++)
        failed = tfm_net_measure(p->net, p->data, test, &loss[test], &right[test], &p->error) != 0;
    if (failed || tfm_net_get_info(p->net, &info, &p->error)) return -1;
    if (w->svg && play_write_svg(p, w->svg, w->show_test, w->discretise)) return -1;
    if (w->json) return tell_json(p, w, &info, loss, right);
    printf("epoch %llu: training loss %.4g, test loss %.4g", (unsigned long long)info.epochs, loss[0],
           loss[1]);
    if (p->view.kind == TFM_NET_CLASSES) printf("; %.1f %% of the test rows right", 100 * right[1]);
    printf("\n");
    return 0;
}

static int run(const wishes *w) {
    cli_host host;
    play p;
    int live = !w->epochs.given && !w->svg && !w->json;
    memset(&p, 0, sizeof p);
    p.error = (tfm_error)TFM_ERROR_INIT;
    int status = read_wishes(w, &p.settings);
    if (status) return status;
    if (live && !(cli_is_terminal(stdout) && cli_is_terminal(stdin)))
        return args_usage("playground", "this is no terminal; --epochs N works without one");
    status = cli_open(&host, "playground");
    if (!status && play_make_data(&p)) {
        host.error = p.error;
        status = cli_fail(&host);
    }
    if (!status && live) {
        status = play_live(&p);
        if (status == CLI_ERROR) {
            host.error = p.error;
            status = cli_fail(&host);
        }
    } else if (!status && work(&p, w, &host)) {
        host.error = p.error;
        status = cli_fail(&host);
    }
    play_free(&p);
    return cli_close(&host, status);
}

int cmd_playground(int argc, char **argv) {
    wishes w = {.data = "circle", .hidden = "4,2", .batch = {10, 0}, .share = {0.5, 0}, .rate = {0.03, 0}};
    const arg_option options[] = {
        {'d', "data", ARG_TEXT, &w.data, "NAME",
         "circle (default), xor, gaussian, spiral, plane, multi-gaussian, or a CSV file", 0, 0, NULL},
        {0, "features", ARG_TEXT, &w.features, "LIST",
         "of x1,x2,x1^2,x2^2,x1*x2,sin(x1),sin(x2) (default x1,x2)", 0, 0, NULL},
        {0, "hidden", ARG_TEXT, &w.hidden, "LIST",
         "neurons of up to 6 hidden layers of 1 to 8, or none (default 4,2)", 0, 0, NULL},
        {0, "activation", ARG_CHOICE, &w.activation, "NAME", "tanh (default), relu, sigmoid or linear", 0, 0,
         play_activation_names},
        {0, "learning-rate", ARG_F64, &w.rate, "X", "0 to 1000 (default 0.03)", 0, 1000, NULL},
        {0, "regularisation", ARG_CHOICE, &w.regularisation, "NAME", "none (default), l1 or l2", 0, 0,
         play_regularisation_names},
        {0, "regularisation-rate", ARG_F64, &w.regularisation_rate, "X", "0 to 1000 (default 0)", 0, 1000,
         NULL},
        {0, "batch", ARG_U64, &w.batch, "N", "rows between two steps (default 10; 0: all)", 0, 1e7, NULL},
        {0, "noise", ARG_F64, &w.noise, "X", "of generated data, 0 to 1 (default 0)", 0, 1, NULL},
        {0, "train-share", ARG_F64, &w.share, "X", "share of rows for training (0.01 to 1; default 0.5)",
         0.01, 1, NULL},
        {0, "samples", ARG_U64, &w.samples, "N",
         "generated rows (default 0: 500, of plane and multi-gaussian 1200)", 0, 1e7, NULL},
        {0, "problem", ARG_CHOICE, &w.problem, "NAME",
         "of a CSV file: auto (default), classification or regression", 0, 0, problems},
        {0, "normalise", ARG_FLAG, &w.normalise, NULL, "inputs with mean 0 and standard deviation 1", 0, 0,
         NULL},
        {0, "seed", ARG_U64, &w.seed, "N", "of data and weights (default 0)", 0, 0, NULL},
        {'e', "epochs", ARG_U64, &w.epochs, "N",
         "without a terminal: train this long (1 to 10 million; default 500)", 1, 1e7, NULL},
        {0, "svg", ARG_TEXT, &w.svg, "FILE", "without a terminal: a picture of the result", 0, 0, NULL},
        {0, "json", ARG_FLAG, &w.json, NULL, "without a terminal: everything as JSON", 0, 0, NULL},
        {0, "plane", ARG_U64, &w.plane, "N", "in JSON: each neuron's output over N x N points (1 to 400)", 1,
         400, NULL},
        {0, "show-test", ARG_FLAG, &w.show_test, NULL, "test points in the picture too", 0, 0, NULL},
        {0, "discretise", ARG_FLAG, &w.discretise, NULL, "classes instead of outputs over the plane", 0, 0,
         NULL},
    };
    const arg_command command = {
        "playground", NULL,
        "Trains a small network on points of the plane or on own rows: live in the terminal (its last\n"
        "line names the keys), or without one with --epochs, --svg or --json.\n",
        options, ARG_COUNT(options)};
    const char *operand = NULL;
    int status = args_parse(&command, argc, argv, &operand);
    return status == ARGS_GO ? run(&w) : status;
}
