/* net.c - making a network, its first weights, and a row's way through it. */
#include "net/net.h"

static int32_t check_options(const tfm_net_options *o, tfm_error *error) {
    if (o->inputs < 1 || o->inputs > TFM__NET_MAX_INPUTS)
        return tfm__fail(error, TFM_E_ARGUMENT, "a network has 1 to %d inputs, not %u", TFM__NET_MAX_INPUTS,
                         (unsigned)o->inputs);
    if (o->outputs > TFM__NET_MAX_WIDTH)
        return tfm__fail(error, TFM_E_ARGUMENT, "a network has 1 to %d outputs, not %u", TFM__NET_MAX_WIDTH,
                         (unsigned)o->outputs);
    if (o->hidden_count > TFM__NET_MAX_HIDDEN)
        return tfm__fail(error, TFM_E_ARGUMENT, "a network has 0 to %d hidden layers, not %u",
                         TFM__NET_MAX_HIDDEN, (unsigned)o->hidden_count);
    if (o->hidden_count && !o->hidden)
        return tfm__fail(error, TFM_E_ARGUMENT, "%u hidden layers, but hidden is NULL",
                         (unsigned)o->hidden_count);
    if (o->rule < 0 || o->rule > TFM_NET_PERCEPTRON)
        return tfm__fail(error, TFM_E_ARGUMENT, "there is no rule %d", (int)o->rule);
    for (uint32_t i = 0; i < o->hidden_count; i++) {
        if (o->hidden[i] < 1 || o->hidden[i] > TFM__NET_MAX_WIDTH)
            return tfm__fail(error, TFM_E_ARGUMENT, "hidden layer %u: 1 to %d neurons, not %u", (unsigned)i,
                             TFM__NET_MAX_WIDTH, (unsigned)o->hidden[i]);
        if (o->activations && !tfm__net_activation_known(o->activations[i]))
            return tfm__fail(error, TFM_E_ARGUMENT, "hidden layer %u: there is no activation %d", (unsigned)i,
                             (int)o->activations[i]);
    }
    if (o->activation && !tfm__net_activation_known(o->activation))
        return tfm__fail(error, TFM_E_ARGUMENT, "there is no activation %d", (int)o->activation);
    if (o->output && !tfm__net_activation_known(o->output))
        return tfm__fail(error, TFM_E_ARGUMENT, "there is no activation %d for the output", (int)o->output);
    if (o->rule == TFM_NET_LOGISTIC && o->output && o->output != TFM_NET_SIGMOID)
        return tfm__fail(error, TFM_E_ARGUMENT, "the logistic rule needs a sigmoid output, not activation %d",
                         (int)o->output);
    if (o->rule == TFM_NET_PERCEPTRON && ((o->output && o->output != TFM_NET_STEP) || o->hidden_count))
        return tfm__fail(error, TFM_E_ARGUMENT,
                         "the perceptron rule needs a step output and no hidden layer");
    return TFM_OK;
}

static int32_t output_of(const tfm_net_options *o) {
    if (o->output) return o->output;
    return o->rule == TFM_NET_LOGISTIC     ? TFM_NET_SIGMOID
           : o->rule == TFM_NET_PERCEPTRON ? TFM_NET_STEP
                                           : TFM_NET_TANH;
}

/* False when memory was refused. */
static bool make_layer(tfm_net *net, tfm__net_layer *layer, uint32_t inputs, uint32_t outputs,
                       int32_t activation) {
    size_t links = (size_t)inputs * outputs; /* bounded by the caller */
    layer->inputs = inputs;
    layer->outputs = outputs;
    layer->activation = activation;
    double *numbers = tfm__arena_alloc(&net->arena, (2 * links + 6 * (size_t)outputs) * sizeof *numbers);
    layer->dead = tfm__arena_alloc(&net->arena, links);
    if (!numbers || !layer->dead) return false;
    layer->weights = numbers;
    layer->weight_sums = layer->weights + links;
    layer->biases = layer->weight_sums + links;
    layer->bias_sums = layer->biases + outputs;
    layer->sums = layer->bias_sums + outputs;
    layer->out = layer->sums + outputs;
    layer->by_sum = layer->out + outputs;
    layer->by_out = layer->by_sum + outputs;
    return true;
}

static bool make_layers(tfm_net *net, const tfm_net_options *o) {
    uint32_t inputs = net->inputs;
    net->layers = tfm__arena_alloc(&net->arena, net->layer_count * sizeof *net->layers);
    if (!net->layers) return false;
    for (uint32_t i = 0; i < net->layer_count; i++) {
        bool last = i == o->hidden_count;
        uint32_t outputs = last ? net->outputs : o->hidden[i];
        int32_t hidden = o->activations && !last ? o->activations[i]
                         : o->activation         ? o->activation
                                                 : TFM_NET_TANH;
        if (!make_layer(net, &net->layers[i], inputs, outputs, last ? output_of(o) : hidden)) return false;
        inputs = outputs;
    }
    return true;
}

int32_t tfm__net_create(const tfm_net_options *o, tfm_net **out, tfm_error *error) {
    tfm__heap heap;
    uint64_t weights = 0, before = o->inputs;
    int32_t rc = check_options(o, error);
    if (rc) return rc;
    for (uint32_t i = 0; i <= o->hidden_count; i++) {
        uint64_t width = i < o->hidden_count ? o->hidden[i] : o->outputs ? o->outputs : 1;
        weights += before * width;
        before = width;
    }
    if (weights > TFM__NET_MAX_WEIGHTS)
        return tfm__fail(error, TFM_E_ARGUMENT, "a network has at most %d weights, not %llu",
                         TFM__NET_MAX_WEIGHTS, (unsigned long long)weights);
    tfm__heap_init(&heap, o->allocator, 0);
    tfm_net *net = tfm__alloc_zero(&heap, sizeof *net);
    if (!net) return tfm__fail_memory(error, &heap, sizeof *net);
    tfm__heap_init(&net->heap, o->allocator, o->byte_budget);
    tfm__arena_init(&net->arena, &net->heap);
    net->inputs = o->inputs;
    net->outputs = o->outputs ? o->outputs : 1;
    net->layer_count = o->hidden_count + 1;
    net->rule = o->rule ? o->rule : TFM_NET_SQUARED;
    net->zero_start = o->zero_start != 0;
    net->learning_rate = 0.03;
    net->batch = 10;
    if (!make_layers(net, o)) {
        rc = tfm__fail_memory(error, &net->heap, (size_t)weights * 2 * sizeof(double));
        tfm__net_destroy(net);
        return rc;
    }
    tfm__net_start(net, o->seed);
    *out = net;
    return TFM_OK;
}

void tfm__net_destroy(tfm_net *net) {
    tfm__heap heap;
    if (!net) return;
    tfm__heap_init(&heap, &net->heap.allocator, 0);
    tfm__arena_free(&net->arena);
    tfm__free(&heap, net);
}

void tfm__net_start(tfm_net *net, uint64_t seed) {
    tfm__rng rng;
    tfm__rng_seed(&rng, seed ^ 0x9e3779b9u); /* other numbers than those of data of the same seed */
    for (uint32_t l = 0; l < net->layer_count; l++) {
        tfm__net_layer *layer = &net->layers[l];
        size_t links = (size_t)layer->inputs * layer->outputs;
        for (size_t i = 0; i < links; i++)
            layer->weights[i] = net->zero_start ? 0.0 : tfm__rng_unit(&rng) - 0.5;
        for (uint32_t i = 0; i < layer->outputs; i++) layer->biases[i] = net->zero_start ? 0.0 : 0.1;
        memset(layer->weight_sums, 0, links * sizeof *layer->weight_sums);
        memset(layer->bias_sums, 0, layer->outputs * sizeof *layer->bias_sums);
        memset(layer->dead, 0, links);
    }
    net->epochs = net->updates = net->dead = net->waiting = net->lost_at = 0;
}

void tfm__net_forward(tfm_net *net, const double *inputs) {
    for (uint32_t l = 0; l < net->layer_count; l++) {
        tfm__net_layer *layer = &net->layers[l];
        const double *weights = layer->weights;
        for (uint32_t i = 0; i < layer->outputs; i++, weights += layer->inputs) {
            double sum = layer->biases[i];
            for (uint32_t j = 0; j < layer->inputs; j++) sum += weights[j] * inputs[j];
            layer->sums[i] = sum;
            layer->out[i] = tfm__net_activate(layer->activation, sum);
        }
        inputs = layer->out;
    }
}
