/* tfm/net.h - small networks: a perceptron, and what TensorFlow Playground shows of dense networks.
 *
 * Example: the perceptron that decides whether to go to the cinema, and a network that learns exclusive or.
 *
 *     #include <tfm/tfm.h>
 *     #include <stdio.h>
 *
 *     int main(void) {
 *         static const double weights[] = {8, 4, 4}, threshold = -8; // good weather, a low price, company
 *         static const double evening[] = {1, 0, 1};
 *         static const uint32_t hidden[] = {4};
 *         tfm_net_options options = TFM_NET_OPTIONS_INIT;
 *         tfm_net_data_options sample = TFM_NET_DATA_OPTIONS_INIT;
 *         tfm_net_train_options train = TFM_NET_TRAIN_OPTIONS_INIT;
 *         tfm_net *perceptron = NULL, *net = NULL;
 *         tfm_net_data *data = NULL;
 *         tfm_error error = TFM_ERROR_INIT;
 *         double goes = 0, loss = 0, right = 0;
 *         options.inputs = 3;
 *         options.output = TFM_NET_STEP;
 *         if (tfm_net_create(&options, &perceptron, &error) ||
 *             tfm_net_set_layer(perceptron, 0, weights, &threshold, &error) ||
 *             tfm_net_run(perceptron, TFM_NET_LAST, evening, 1, &goes, &error))
 *             fprintf(stderr, "%s\n", error.message);
 *         options = (tfm_net_options)TFM_NET_OPTIONS_INIT;
 *         options.inputs = 2;
 *         options.hidden = hidden;
 *         options.hidden_count = 1;
 *         sample.set = TFM_NET_XOR;
 *         train.epochs = 200;
 *         if (tfm_net_create(&options, &net, &error) || tfm_net_data_generate(&sample, &data, &error) ||
 *             tfm_net_train(net, data, &train, &error) || tfm_net_measure(net, data, 1, &loss, &right, &error))
 *             fprintf(stderr, "%s\n", error.message);
 *         printf("to the cinema: %s; test loss %.3f, %.0f %% right\n", goes > 0 ? "yes" : "no", loss, 100 * right);
 *         tfm_net_data_destroy(data);
 *         tfm_net_destroy(net);
 *         tfm_net_destroy(perceptron);
 *         return error.code != 0;
 *     }
 *
 * A network and its data belong to one thread at a time each; data that is not being destroyed may be read by several.
 * Everything is computed in double precision with the library's own elementary functions: the same seed gives the same
 * numbers on every machine.
 *
 * How training goes (the steps of TensorFlow Playground, Smilkov et al. 2017, "Direct-Manipulation Visualization of Deep
 * Networks"; docs/playground.md tells it in full): the training rows are taken in their order, epoch after epoch. Each
 * row adds its derivatives to sums. After every BATCH rows each bias b and each weight w becomes
 *     b - rate * mean of derivatives,    w - rate * mean of derivatives - rate * regularisation_rate * R'(w)
 * with R(w) = w^2 / 2 (L2) or |w| (L1); biases are not regularised. Rows that do not fill a batch at the end of an epoch are
 * added to the first batch of the next one. Under L1 a weight whose sign the regularising step would change becomes 0 and its link is dead:
 * it stays 0 until the network is reset. */
#ifndef TFM_NET_H
#define TFM_NET_H

#include "tfm/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Data ---------------------------------------------------------------------------------------------- */

/* Rows of numbers with what should come out, divided into training and test rows. Never changes once it is made. */
typedef struct tfm_net_data tfm_net_data;

/* Generated sets. Those of two columns lie in -6 .. 6. Classes are -1 and 1. */
#define TFM_NET_CIRCLE 1         /* classes: a disc inside a ring */
#define TFM_NET_XOR 2            /* classes: 1 where x1 and x2 have the same sign */
#define TFM_NET_GAUSSIAN 3       /* classes: two clouds */
#define TFM_NET_SPIRAL 4         /* classes: two arms */
#define TFM_NET_PLANE 5          /* numbers: (x1 + x2) / 10 */
#define TFM_NET_MULTI_GAUSSIAN 6 /* numbers: six bumps, up and down */
#define TFM_NET_CINEMA 7         /* classes: who goes; columns weather, price, company, each 0 or 1 */

/* What the network is given of two columns x1 and x2; to be added up. */
#define TFM_NET_X1 1
#define TFM_NET_X2 2
#define TFM_NET_X1_SQUARED 4
#define TFM_NET_X2_SQUARED 8
#define TFM_NET_X1_X2 16
#define TFM_NET_SIN_X1 32
#define TFM_NET_SIN_X2 64

/* What targets are. */
#define TFM_NET_LOOK 0    /* classes if there is one target column and it has just two values, otherwise numbers */
#define TFM_NET_CLASSES 1 /* two values; the smaller becomes -1, the larger 1 */
#define TFM_NET_NUMBERS 2

typedef struct tfm_net_data_options {
    size_t struct_size;
    int32_t features;   /* TFM_NET_X1 and so on, for two columns only; 0: the columns as they are */
    int32_t normalise;  /* 1: of each input its mean is taken away and the rest divided by its standard deviation, both
                           over the training rows */
    double train_share; /* share of the rows for training, over 0 to 1; 0: a half */
    uint64_t seed;      /* of the generator and of the shuffling */

    /* generated sets */
    int32_t set;      /* TFM_NET_CIRCLE and so on */
    uint32_t samples; /* rows, at most 10 million; 0: 500 for classes, 1200 for numbers, 10000 for the cinema */
    double noise;     /* 0 to 1 (Playground: 0 to 0.5); of the cinema: see habits */
    double habits[4]; /* of the cinema: what good weather, a low price and company weigh, and the threshold. noise 0: a
                         person goes where the sum is over the threshold; otherwise with the probability
                         1 / (1 + exp(-(sum - threshold) / noise)). All 0: 1.5, 1, 4 and 3 */

    /* own rows and CSV */
    int32_t kind;       /* TFM_NET_LOOK, _CLASSES or _NUMBERS */
    uint32_t targets;   /* target columns: the last ones of a CSV; 0: one */
    int32_t keep_order; /* 1: the first rows are the training rows; otherwise all are shuffled first */
    int32_t reserved;   /* 0 */

    const tfm_allocator *allocator; /* NULL: the C library's */
    uint64_t byte_budget;           /* most bytes taken; 0: no bound */
} tfm_net_data_options;
#define TFM_NET_DATA_OPTIONS_INIT \
    { sizeof(tfm_net_data_options), 0, 0, 0.0, 0, 0, 0, 0.0, {0.0, 0.0, 0.0, 0.0}, 0, 0, 0, 0, NULL, 0 }

/* Makes a generated set; equal options give equal rows, on every machine.
 *   options   set must be given
 *   out       receives the data; free it with tfm_net_data_destroy
 * Allocates. Errors: TFM_E_ARGUMENT, TFM_E_MEMORY, TFM_E_BUDGET. Any thread. Since 0.2. */
TFM_API int32_t tfm_net_data_generate(const tfm_net_data_options *options, tfm_net_data **out, tfm_error *error);

/* Takes rows of the host's; they are copied.
 *   columns   [rows, column_count]: what is known of each row; 1 to 4096 columns
 *   targets   [rows, options->targets]: what should come out
 *   options   NULL: defaults; set, samples, noise and habits are not looked at
 * Allocates. Errors: TFM_E_ARGUMENT (among them: a number that is not finite, which is named), TFM_E_MEMORY,
 * TFM_E_BUDGET. Any thread. Since 0.2. */
TFM_API int32_t tfm_net_data_from_rows(const double *columns, const double *targets, size_t rows, size_t column_count,
                                       const tfm_net_data_options *options, tfm_net_data **out, tfm_error *error);

/* Reads rows from CSV: numbers separated by commas, semicolons or tabs (whichever the first line has most of), one row a
 * line, the target columns last. A first line without any number names the columns. Empty lines and lines
 * that begin with # are passed over; fields may stand in double quotes; the decimal point is a point.
 *   text, length   UTF-8
 *   name           for messages, or NULL
 *   options        as in tfm_net_data_from_rows
 * Allocates. Errors: as tfm_net_data_from_rows, and TFM_E_FORMAT, which names line and column. Any thread. Since 0.2. */
TFM_API int32_t tfm_net_data_from_csv(const char *text, size_t length, const char *name,
                                      const tfm_net_data_options *options, tfm_net_data **out, tfm_error *error);

/* The same from a file. path is UTF-8. Errors: also TFM_E_NOT_FOUND, TFM_E_IO. Since 0.2. */
TFM_API int32_t tfm_net_data_load(const char *path, const tfm_net_data_options *options, tfm_net_data **out,
                                  tfm_error *error);

/* Frees the data. NULL is allowed. Since 0.2. */
TFM_API void tfm_net_data_destroy(tfm_net_data *data);

/* The rows; the pointers live as long as the data. */
typedef struct tfm_net_data_view {
    size_t struct_size;
    size_t rows;
    size_t train_rows; /* the first ones; the others are test rows */
    uint32_t columns;
    uint32_t inputs;       /* of the network: columns, or features of them */
    uint32_t target_count; /* target columns */
    int32_t kind;          /* TFM_NET_CLASSES or TFM_NET_NUMBERS */
    const double *points;  /* [rows, columns] as they were given */
    const double *inputs_of; /* [rows, inputs] as the network gets them */
    const double *targets; /* [rows, target_count] */
    const double *low;     /* [columns] the part of the plane that is drawn: of generated sets -6 to 6, otherwise the */
    const double *high;    /* [columns] smallest and the largest value and a twentieth more on both sides */
} tfm_net_data_view;
#define TFM_NET_DATA_VIEW_INIT { sizeof(tfm_net_data_view), 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL }

/* Reads the rows. view receives them. Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_net_data_get(const tfm_net_data *data, tfm_net_data_view *view, tfm_error *error);

/* What an input of the network is called, UTF-8: "x1", "x1²", a column's name. Lives as long as the data. NULL for an
 * input that there is not. Never fails. Since 0.2. */
TFM_API const char *tfm_net_data_input_name(const tfm_net_data *data, uint32_t input);

/* Turns points into what the network gets: features, normalised as the data is.
 *   points   [count, columns]
 *   inputs   receives [count, inputs]
 * Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_net_data_inputs(const tfm_net_data *data, const double *points, size_t count, double *inputs,
                                    tfm_error *error);

/* ---- Networks ------------------------------------------------------------------------------------------ */

/* Layers of neurons, each joined to all of the layer before: out = f(bias + sum of weight * in). */
typedef struct tfm_net tfm_net;

/* Functions f. */
#define TFM_NET_TANH 1
#define TFM_NET_RELU 2
#define TFM_NET_SIGMOID 3
#define TFM_NET_LINEAR 4
#define TFM_NET_STEP 5 /* 1 where the sum is over 0, otherwise 0: it has no slope to learn by */

/* What is learned by, for outputs o and targets t. */
#define TFM_NET_SQUARED 1    /* loss: sum of (o - t)^2 / 2 */
#define TFM_NET_LOGISTIC 2   /* output sigmoid; loss: -t log o - (1 - t) log(1 - o), t held to 0 .. 1 */
#define TFM_NET_PERCEPTRON 3 /* output step, no hidden layer; w + rate * (t - o) * in (Rosenblatt 1958), t held to 0 .. 1;
                                loss: the share that is wrong */

typedef struct tfm_net_options {
    size_t struct_size;
    uint32_t inputs;            /* 1 to 65536 */
    uint32_t outputs;           /* 1 to 4096; 0: one */
    const uint32_t *hidden;     /* [hidden_count] neurons of each hidden layer, 1 to 4096 */
    uint32_t hidden_count;      /* 0 to 64 */
    int32_t activation;         /* of the hidden layers; 0: tanh */
    const int32_t *activations; /* [hidden_count] one for each instead, or NULL */
    int32_t output;             /* of the last layer; 0: what the rule needs, for squares tanh */
    int32_t rule;               /* TFM_NET_SQUARED and so on; 0: squares */
    uint64_t seed;              /* of the weights */
    int32_t zero_start;         /* 1: weights and biases begin as 0; otherwise weights in -0.5 .. 0.5, biases 0.1 */
    int32_t reserved;           /* 0 */
    const tfm_allocator *allocator; /* NULL: the C library's */
    uint64_t byte_budget;           /* most bytes taken; 0: no bound */
} tfm_net_options;
#define TFM_NET_OPTIONS_INIT { sizeof(tfm_net_options), 0, 0, NULL, 0, 0, NULL, 0, 0, 0, 0, 0, NULL, 0 }

/* Makes a network. options must give inputs; at most 16 million weights. out receives it; free it with tfm_net_destroy.
 * Allocates. Errors: TFM_E_ARGUMENT, TFM_E_MEMORY, TFM_E_BUDGET. Any thread. Since 0.2. */
TFM_API int32_t tfm_net_create(const tfm_net_options *options, tfm_net **out, tfm_error *error);

/* Frees the network. NULL is allowed. Since 0.2. */
TFM_API void tfm_net_destroy(tfm_net *net);

/* Settings, which may change between epochs; each with its default and range. */
#define TFM_NET_LEARNING_RATE 10       /* f64, default 0.03; 0 to 1e6 */
#define TFM_NET_REGULARISATION_RATE 11 /* f64, default 0; 0 to 1e6 */
#define TFM_NET_REGULARISATION 20      /* u64, default 0: none; 1: L1, 2: L2 */
#define TFM_NET_BATCH 21               /* u64, default 10 rows; 0, or more than there are: all training rows */

/* Changes one setting. Errors: TFM_E_ARGUMENT (no such setting, of the other type, out of range; the old value stays).
 * Allocates nothing. Since 0.2. */
TFM_API int32_t tfm_net_set_f64(tfm_net *net, int32_t setting, double value, tfm_error *error);
TFM_API int32_t tfm_net_set_u64(tfm_net *net, int32_t setting, uint64_t value, tfm_error *error);

/* Reads one setting. Errors: TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_net_get_f64(const tfm_net *net, int32_t setting, double *value, tfm_error *error);
TFM_API int32_t tfm_net_get_u64(const tfm_net *net, int32_t setting, uint64_t *value, tfm_error *error);

/* Begins anew: new weights from seed, no epochs, no dead links; settings stay. Allocates nothing. Errors: TFM_E_ARGUMENT.
 * Since 0.2. */
TFM_API int32_t tfm_net_reset(tfm_net *net, uint64_t seed, tfm_error *error);

typedef struct tfm_net_info {
    size_t struct_size;
    uint32_t inputs;
    uint32_t outputs;
    uint32_t layers; /* hidden ones and the last */
    int32_t rule;
    uint64_t parameters; /* weights and biases */
    uint64_t epochs;     /* trained since the start or the last reset */
    uint64_t updates;    /* batches that changed the weights */
    uint64_t dead;       /* links that L1 has cut */
} tfm_net_info;
#define TFM_NET_INFO_INIT { sizeof(tfm_net_info), 0, 0, 0, 0, 0, 0, 0, 0 }

/* Fills info. Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_net_get_info(const tfm_net *net, tfm_net_info *info, tfm_error *error);

#define TFM_NET_LAST (-1)   /* the layer whose outputs are the network's */
#define TFM_NET_INPUTS (-2) /* what goes in: for tfm_net_plane */

/* One layer. The pointers live as long as the network; the numbers change when it is trained or reset. */
typedef struct tfm_net_layer {
    size_t struct_size;
    uint32_t inputs;
    uint32_t outputs;
    int32_t activation;
    int32_t reserved;      /* 0 */
    const double *weights; /* [outputs, inputs] */
    const double *biases;  /* [outputs] */
    const uint8_t *dead;   /* [outputs, inputs] 1 for a link that L1 has cut */
} tfm_net_layer;
#define TFM_NET_LAYER_INIT { sizeof(tfm_net_layer), 0, 0, 0, 0, NULL, NULL, NULL }

/* Reads a layer, from 0 on, or TFM_NET_LAST. Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_net_get_layer(const tfm_net *net, int32_t layer, tfm_net_layer *view, tfm_error *error);

/* Sets a layer's numbers; they are copied.
 *   weights   [outputs, inputs], or NULL: they stay; dead links live again
 *   biases    [outputs], or NULL: they stay
 * Allocates nothing. Errors: TFM_E_ARGUMENT (no such layer, a number that is not finite; nothing has changed then).
 * Since 0.2. */
TFM_API int32_t tfm_net_set_layer(tfm_net *net, int32_t layer, const double *weights, const double *biases,
                                  tfm_error *error);

/* What comes out of a layer's neurons for some inputs.
 *   layer     from 0 on, or TFM_NET_LAST
 *   inputs    [count, inputs]
 *   outputs   receives [count, outputs of the layer]
 * Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_net_run(tfm_net *net, int32_t layer, const double *inputs, size_t count, double *outputs,
                            tfm_error *error);

/* ---- Training ------------------------------------------------------------------------------------------ */

typedef struct tfm_net_train_options {
    size_t struct_size;
    uint64_t epochs;          /* 0: one */
    double *train_losses;     /* receives [epochs] the loss over the training rows after each epoch; NULL: not measured */
    double *test_losses;      /* the same over the test rows */
    tfm_progress_fn progress; /* done of total: epochs */
    void *progress_user;
    const tfm_cancel *cancel;
} tfm_net_train_options;
#define TFM_NET_TRAIN_OPTIONS_INIT { sizeof(tfm_net_train_options), 0, NULL, NULL, NULL, NULL, NULL }

/* Trains for some epochs. options NULL: one epoch. Allocates nothing. Errors: TFM_E_ARGUMENT (data of another width),
 * TFM_E_UNSUPPORTED (a step, which has no slope, outside the perceptron rule), TFM_E_CANCELLED (what was learned stays;
 * an epoch that was cut short is not counted), TFM_E_STATE (a loss or a weight is not finite any more; the message says
 * since which epoch. The network can be read, and trained again after tfm_net_reset). Since 0.2. */
TFM_API int32_t tfm_net_train(tfm_net *net, const tfm_net_data *data, const tfm_net_train_options *options,
                              tfm_error *error);

/* Measures the network on the training rows (test 0) or the test rows (test 1), without regularisation.
 *   loss    receives the mean loss of a row, 0 where there are no rows; not finite where the network is not. May be NULL
 *   right   receives the share of rows all of whose outputs lie on the side of their targets: the border is 0, for
 *           sigmoid and step 0.5. May be NULL
 * Allocates nothing. Errors: TFM_E_ARGUMENT. Since 0.2. */
TFM_API int32_t tfm_net_measure(tfm_net *net, const tfm_net_data *data, int32_t test, double *loss, double *right,
                                tfm_error *error);

/* ---- Looking ------------------------------------------------------------------------------------------- */

typedef struct tfm_net_plane_options {
    size_t struct_size;
    uint32_t resolution; /* cells along each side, at most 4096; 0: 100 */
    uint32_t column_x;   /* the columns that the plane has; both 0: the first two. The others have their mean over the */
    uint32_t column_y;   /* training rows */
    int32_t discretise;  /* 1: the outputs' classes, -1 and 1 (for sigmoid and step 0 and 1), instead of the outputs */
} tfm_net_plane_options;
#define TFM_NET_PLANE_OPTIONS_INIT { sizeof(tfm_net_plane_options), 0, 0, 0, 0 }

/* What comes out of each neuron of a layer over the plane of two columns.
 *   layer     from 0 on, TFM_NET_LAST, or TFM_NET_INPUTS: the inputs themselves
 *   options   NULL: defaults
 *   out       receives [resolution, resolution, neurons]: rows by rising y, in them cells by rising x, at the cells' middles,
 *             between the data's low and high
 * Allocates scratch. Errors: TFM_E_ARGUMENT, TFM_E_MEMORY, TFM_E_BUDGET. Since 0.2. */
TFM_API int32_t tfm_net_plane(tfm_net *net, const tfm_net_data *data, int32_t layer,
                              const tfm_net_plane_options *options, double *out, tfm_error *error);

typedef struct tfm_net_svg_options {
    size_t struct_size;
    const char *title;          /* UTF-8, or NULL */
    int32_t discretise;         /* as in tfm_net_plane */
    int32_t show_test;          /* 1: test points too */
    const double *train_losses; /* [loss_count] the curve, or NULL */
    const double *test_losses;  /* [loss_count] or NULL */
    size_t loss_count;
    uint32_t column_x; /* as in tfm_net_plane */
    uint32_t column_y;
} tfm_net_svg_options;
#define TFM_NET_SVG_OPTIONS_INIT { sizeof(tfm_net_svg_options), NULL, 0, 0, NULL, NULL, 0, 0, 0 }

/* Draws everything as one SVG picture: inputs, neurons with their outputs over the plane, weights as lines, the output
 * with the points, the loss curve. At most 32 layers of 32 neurons and 32 inputs are drawn; the rest is counted in words.
 *   write   receives the picture's bytes in order
 * Names and title are escaped. Allocates scratch. Errors: TFM_E_ARGUMENT, TFM_E_CANCELLED (by write), TFM_E_MEMORY,
 * TFM_E_BUDGET. Since 0.2. */
TFM_API int32_t tfm_net_svg(tfm_net *net, const tfm_net_data *data, const tfm_net_svg_options *options,
                            tfm_write_fn write, void *user, tfm_error *error);

#ifdef __cplusplus
}
#endif
#endif
