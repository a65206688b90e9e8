/* play.c - see play.h. */
#include "play.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const play_set_names[] = {"circle", "xor", "gaussian", "spiral", "plane", "multi-gaussian", NULL};
const char *const play_feature_names[] = {"x1", "x2", "x1^2", "x2^2", "x1*x2", "sin(x1)", "sin(x2)", NULL};
const char *const play_activation_names[] = {"tanh", "relu", "sigmoid", "linear", NULL};
const char *const play_regularisation_names[] = {"none", "l1", "l2", NULL};

static void forget_losses(play *p) { p->count = 0; }

int play_apply(play *p) {
    const play_settings *s = &p->settings;
    return tfm_net_set_f64(p->net, TFM_NET_LEARNING_RATE, s->learning_rate, &p->error) ||
                   tfm_net_set_f64(p->net, TFM_NET_REGULARISATION_RATE, s->regularisation_rate, &p->error) ||
                   tfm_net_set_u64(p->net, TFM_NET_REGULARISATION, (uint64_t)s->regularisation, &p->error) ||
                   tfm_net_set_u64(p->net, TFM_NET_BATCH, s->batch, &p->error)
               ? -1
               : 0;
}

int play_make_net(play *p) {
    const play_settings *s = &p->settings;
    tfm_net_options options = TFM_NET_OPTIONS_INIT;
    tfm_net *net = NULL, *before = p->net;
    options.inputs = p->view.inputs;
    options.hidden = s->hidden;
    options.hidden_count = s->hidden_count;
    options.activation = s->activation;
    options.output = p->view.kind == TFM_NET_CLASSES ? TFM_NET_TANH : TFM_NET_LINEAR;
    options.seed = s->net_seed;
    if (tfm_net_create(&options, &net, &p->error)) return -1;
    p->net = net;
    if (play_apply(p)) {
        p->net = before;
        tfm_net_destroy(net);
        return -1;
    }
    tfm_net_destroy(before);
    forget_losses(p);
    return 0;
}

int play_make_data(play *p) {
    const play_settings *s = &p->settings;
    tfm_net_data_options options = TFM_NET_DATA_OPTIONS_INIT;
    tfm_net_data *data = NULL, *before = p->data;
    tfm_net_data_view view_before = p->view;
    options.features = s->features;
    options.normalise = s->normalise;
    options.train_share = s->train_share;
    options.seed = s->data_seed;
    options.set = s->set;
    options.samples = s->samples;
    options.noise = s->noise;
    options.kind = s->kind;
    int status = s->set ? tfm_net_data_generate(&options, &data, &p->error)
                        : tfm_net_data_load(s->file, &options, &data, &p->error);
    if (status) return -1;
    p->data = data;
    p->view = (tfm_net_data_view)TFM_NET_DATA_VIEW_INIT;
    if (tfm_net_data_get(data, &p->view, &p->error) || play_make_net(p)) {
        p->data = before;
        p->view = view_before;
        tfm_net_data_destroy(data);
        return -1;
    }
    tfm_net_data_destroy(before);
    return 0;
}

/* Room for more losses. */
static int reserve(play *p, uint64_t more) {
    if (more <= p->capacity - p->count) return 0;
    if (more > 100000000 || p->count > 1000000000) return -1;
    size_t capacity = (p->count + (size_t)more) * 2;
    double *train = realloc(p->train_losses, capacity * sizeof *train);
    if (train) p->train_losses = train;
    double *test = realloc(p->test_losses, capacity * sizeof *test);
    if (test) p->test_losses = test;
    if (!train || !test) return -1;
    p->capacity = capacity;
    return 0;
}

int play_train(play *p, uint64_t epochs, const tfm_cancel *cancel, cli_progress *progress) {
    tfm_net_train_options options = TFM_NET_TRAIN_OPTIONS_INIT;
    tfm_net_info before = TFM_NET_INFO_INIT, after = TFM_NET_INFO_INIT;
    if (reserve(p, epochs)) {
        snprintf(p->error.message, sizeof p->error.message, "no memory for the losses of %llu epochs",
                 (unsigned long long)epochs);
        p->error.code = TFM_E_MEMORY;
        return -1;
    }
    options.epochs = epochs;
    options.train_losses = p->train_losses + p->count;
    options.test_losses = p->test_losses + p->count;
    options.cancel = cancel;
    options.progress = progress ? cli_progress_report : NULL;
    options.progress_user = progress;
    tfm_net_get_info(p->net, &before, NULL);
    int status = tfm_net_train(p->net, p->data, &options, &p->error);
    tfm_net_get_info(p->net, &after, NULL);
    /* the epoch in which the numbers were lost has no losses */
    size_t done = (size_t)(after.epochs - before.epochs);
    p->count += status == TFM_E_STATE && done ? done - 1 : done;
    return status ? -1 : 0;
}

void play_free(play *p) {
    tfm_net_destroy(p->net);
    tfm_net_data_destroy(p->data);
    free(p->train_losses);
    free(p->test_losses);
}

static int32_t write_file(void *user, const void *bytes, size_t size) {
    return fwrite(bytes, 1, size, user) != size;
}

int play_write_svg(play *p, const char *path, int show_test, int discretise) {
    tfm_net_svg_options options = TFM_NET_SVG_OPTIONS_INIT;
    cli_output output;
    const play_settings *s = &p->settings;
    char title[400];
    snprintf(title, sizeof title, "%s, %s, rate %g%s%s", s->set ? play_set_names[s->set - 1] : s->file,
             play_activation_names[s->activation - 1], s->learning_rate, s->regularisation ? ", " : "",
             s->regularisation ? (s->regularisation == 1 ? "L1" : "L2") : "");
    options.title = title;
    options.show_test = show_test;
    options.discretise = discretise;
    options.train_losses = p->train_losses;
    options.test_losses = p->test_losses;
    options.loss_count = p->count;
    if (cli_output_open(&output, path)) {
        snprintf(p->error.message, sizeof p->error.message, "%s: %s", path, strerror(errno));
        p->error.code = TFM_E_IO;
        return -1;
    }
    int failed = tfm_net_svg(p->net, p->data, &options, write_file, output.file, &p->error) != 0;
    if (cli_output_close(&output, !failed) && !failed) {
        snprintf(p->error.message, sizeof p->error.message, "%s: %s", path, strerror(errno));
        p->error.code = TFM_E_IO;
        failed = 1;
    }
    return failed ? -1 : 0;
}
