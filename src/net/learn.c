/* learn.c - training: the loss, its derivatives (backpropagation, Rumelhart, Hinton and Williams 1986), and
 * the steps. The order of all this is TensorFlow Playground's, told in tfm/net.h and docs/playground.md. */
#include "net/net.h"

#define WORK_BETWEEN_LOOKS                                                                                   \
    1000000 /* weights passed by between two looks at cancel and progress: some milliseconds */

static double held(double target) { return target < 0 ? 0.0 : target > 1 ? 1.0 : target; }

double tfm__net_row_loss(const tfm_net *net, const double *targets) {
    const tfm__net_layer *last = &net->layers[net->layer_count - 1];
    double loss = 0;
    for (uint32_t i = 0; i < last->outputs; i++) {
        double t = held(targets[i]), miss = last->out[i] - targets[i];
        switch (net->rule) {
        case TFM_NET_LOGISTIC: /* -t log o - (1 - t) log(1 - o) with o = 1 / (1 + exp(-sum)) */
            loss += tfm__net_softplus(last->sums[i]) - t * last->sums[i];
            break;
        case TFM_NET_PERCEPTRON:
            loss += last->out[i] > t ? last->out[i] - t : t - last->out[i];
            break;
        default:
            loss += 0.5 * (miss * miss);
        }
    }
    return loss;
}

/* Adds the derivatives of the row that went through last. */
static void backward(tfm_net *net, const double *inputs, const double *targets) {
    tfm__net_layer *last = &net->layers[net->layer_count - 1];
    for (uint32_t i = 0; i < last->outputs; i++) {
        if (net->rule == TFM_NET_SQUARED) {
            last->by_out[i] = last->out[i] - targets[i];
            last->by_sum[i] = last->by_out[i] * tfm__net_slope(last->activation, last->sums[i], last->out[i]);
        } else { /* the logistic loss by its sum; and the perceptron's rule, which is no derivative */
            last->by_sum[i] = last->out[i] - held(targets[i]);
        }
    }
    for (uint32_t l = net->layer_count; l-- > 0;) {
        tfm__net_layer *layer = &net->layers[l], *below = l ? layer - 1 : NULL;
        const double *in = below ? below->out : inputs;
        for (uint32_t i = 0; i < layer->outputs; i++) {
            double by_sum = layer->by_sum[i];
            double *sums = layer->weight_sums + (size_t)i * layer->inputs;
            const uint8_t *dead = layer->dead + (size_t)i * layer->inputs;
            for (uint32_t j = 0; j < layer->inputs; j++)
                if (!dead[j]) sums[j] += by_sum * in[j];
            layer->bias_sums[i] += by_sum;
        }
        if (!below) break;
        memset(below->by_out, 0, below->outputs * sizeof *below->by_out);
        for (uint32_t i = 0; i < layer->outputs; i++) {
            const double *weights = layer->weights + (size_t)i * layer->inputs;
            for (uint32_t j = 0; j < layer->inputs; j++) below->by_out[j] += weights[j] * layer->by_sum[i];
        }
        for (uint32_t j = 0; j < below->outputs; j++)
            below->by_sum[j] =
                below->by_out[j] * tfm__net_slope(below->activation, below->sums[j], below->out[j]);
    }
    net->waiting++;
}

/* R' of the regularisation at w. */
static double pull(uint64_t regularisation, double w) {
    if (regularisation == 1) return w < 0 ? -1.0 : w > 0 ? 1.0 : 0.0;
    return regularisation == 2 ? w : 0.0;
}

static void update_link(tfm_net *net, double *weight, double *sum, uint8_t *dead, double step) {
    if (!*dead) {
        double pulled = pull(net->regularisation, *weight); /* at the weight as it was before this step */
        double learned = *weight - step * *sum;
        double next = learned - net->learning_rate * net->regularisation_rate * pulled;
        if (net->regularisation == 1 && learned * next < 0) { /* the pull alone would carry it over 0 */
            next = 0;
            *dead = 1;
            net->dead++;
        }
        *weight = next;
    }
    *sum = 0;
}

static void update(tfm_net *net) {
    double step = net->learning_rate / (double)net->waiting;
    for (uint32_t l = 0; l < net->layer_count; l++) {
        tfm__net_layer *layer = &net->layers[l];
        size_t links = (size_t)layer->inputs * layer->outputs;
        for (uint32_t i = 0; i < layer->outputs; i++) {
            layer->biases[i] -= step * layer->bias_sums[i];
            layer->bias_sums[i] = 0;
        }
        for (size_t i = 0; i < links; i++)
            update_link(net, &layer->weights[i], &layer->weight_sums[i], &layer->dead[i], step);
    }
    net->waiting = 0;
    net->updates++;
}

static bool all_finite(const tfm_net *net) {
    for (uint32_t l = 0; l < net->layer_count; l++) {
        const tfm__net_layer *layer = &net->layers[l];
        size_t links = (size_t)layer->inputs * layer->outputs;
        double sum = 0; /* x * 0 is 0 or NaN */
        for (size_t i = 0; i < links; i++) sum += layer->weights[i] * 0.0;
        for (uint32_t i = 0; i < layer->outputs; i++) sum += layer->biases[i] * 0.0;
        if (sum != 0) return false;
    }
    return true;
}

static int32_t lost(const tfm_net *net, tfm_error *error) {
    return tfm__fail(
        error, TFM_E_STATE,
        "the numbers are not finite any more since epoch %llu: a learning rate of %g is too large for these "
        "inputs; reset the network",
        (unsigned long long)net->lost_at, net->learning_rate);
}

/* Whether somebody wants the training to stop. */
static int32_t look(const tfm_net *net, const tfm_net_train_options *options, uint64_t done,
                    tfm_error *error) {
    uint64_t total = options->epochs ? options->epochs : 1;
    if (tfm_cancel_is_set(options->cancel))
        return tfm__fail(error, TFM_E_CANCELLED, "training was cancelled in epoch %llu",
                         (unsigned long long)(net->epochs + 1));
    if (options->progress && options->progress(options->progress_user, done, total))
        return tfm__fail(error, TFM_E_CANCELLED,
                         "training was stopped by the progress callback in epoch %llu",
                         (unsigned long long)(net->epochs + 1));
    return TFM_OK;
}

static uint64_t parameters_of(const tfm_net *net) {
    uint64_t count = 0;
    for (uint32_t l = 0; l < net->layer_count; l++)
        count += ((uint64_t)net->layers[l].inputs + 1) * net->layers[l].outputs;
    return count;
}

/* work: what was done since the last look. */
static int32_t epoch(tfm_net *net, const tfm_net_data *data, const tfm_net_train_options *options,
                     uint64_t done, uint64_t *work, tfm_error *error) {
    uint64_t batch = net->batch && net->batch < data->train_rows ? net->batch : data->train_rows;
    uint64_t parameters = parameters_of(net);
    double loss = 0;
    for (size_t r = 0; r < data->train_rows; r++) {
        const double *inputs = data->inputs_of + r * data->inputs,
                     *targets = data->targets + r * data->target_count;
        *work += parameters;
        if (*work >= WORK_BETWEEN_LOOKS) {
            int32_t rc = look(net, options, done, error);
            if (rc) return rc;
            *work = 0;
        }
        tfm__net_forward(net, inputs);
        loss += tfm__net_row_loss(net, targets);
        backward(net, inputs, targets);
        if ((r + 1) % batch == 0) update(net); /* with what an epoch before left over */
    }
    net->epochs++;
    if (tfm__finite(loss) && all_finite(net)) return TFM_OK;
    net->lost_at = net->epochs;
    return lost(net, error);
}

/* Measures one part after an epoch; a loss that is not finite ends the training too. */
static int32_t note_loss(tfm_net *net, const tfm_net_data *data, bool test, double *loss, tfm_error *error) {
    if (!loss) return TFM_OK;
    tfm__net_measure(net, data, test, loss, NULL);
    if (tfm__finite(*loss)) return TFM_OK;
    net->lost_at = net->epochs;
    return lost(net, error);
}

/* A step learns by the perceptron's rule alone. */
static int32_t check_slopes(const tfm_net *net, tfm_error *error) {
    if (net->rule == TFM_NET_PERCEPTRON) return TFM_OK;
    for (uint32_t l = 0; l < net->layer_count; l++)
        if (net->layers[l].activation == TFM_NET_STEP)
            return tfm__fail(
                error, TFM_E_UNSUPPORTED,
                "layer %u has step neurons: a step has no slope to learn by (use tanh, ReLU, sigmoid or "
                "linear, or the perceptron rule without hidden layers)",
                (unsigned)l);
    return TFM_OK;
}

int32_t tfm__net_train(tfm_net *net, const tfm_net_data *data, const tfm_net_train_options *options,
                       tfm_error *error) {
    uint64_t epochs = options->epochs ? options->epochs : 1, work = 0;
    int32_t rc = check_slopes(net, error);
    if (rc) return rc;
    if (net->lost_at) return lost(net, error);
    for (uint64_t e = 0; e < epochs; e++) {
        double *train = options->train_losses, *test = options->test_losses;
        if (e == 0 && (rc = look(net, options, e, error)) != 0) return rc;
        if ((rc = epoch(net, data, options, e, &work, error)) != 0) return rc;
        if ((rc = note_loss(net, data, false, train ? &train[e] : NULL, error)) != 0) return rc;
        if ((rc = note_loss(net, data, true, test ? &test[e] : NULL, error)) != 0) return rc;
    }
    if (options->progress) options->progress(options->progress_user, epochs, epochs);
    return TFM_OK;
}

void tfm__net_measure(tfm_net *net, const tfm_net_data *data, bool test, double *loss, double *right) {
    const tfm__net_layer *last = &net->layers[net->layer_count - 1];
    size_t first = test ? data->train_rows : 0, end = test ? data->rows : data->train_rows, good = 0;
    double border = tfm__net_border(last->activation), sum = 0;
    for (size_t r = first; r < end; r++) {
        const double *targets = data->targets + r * data->target_count;
        bool fits = true;
        tfm__net_forward(net, data->inputs_of + r * data->inputs);
        sum += tfm__net_row_loss(net, targets);
        for (uint32_t i = 0; i < last->outputs; i++)
            fits = fits && (last->out[i] > border) == (targets[i] > border);
        good += fits;
    }
    double rows = end > first ? (double)(end - first) : 1.0;
    if (loss) *loss = sum / rows;
    if (right) *right = (double)good / rows;
}
