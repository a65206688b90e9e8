/* net.h - small networks and their data, inside: tfm/net.h says what they do.
 *
 * Layer: only api/ looks in here. Invariants:
 * - a network's arrays are made once, for its largest layer; training and running allocate nothing;
 * - sums have one order: a neuron's begins with its bias and takes its inputs in order, a derivative takes
 * the neurons of the layer above in order, a batch its rows in order. The numbers are then the same on every
 * machine;
 * - everything is double. */
#ifndef TFM__NET_H
#define TFM__NET_H

#include "base/base.h"
#include "base/rng.h"
#include "tfm/net.h"

#define TFM__NET_MAX_WIDTH 4096
#define TFM__NET_MAX_INPUTS 65536
#define TFM__NET_MAX_HIDDEN 64
#define TFM__NET_MAX_WEIGHTS 16000000
#define TFM__NET_MAX_ROWS 10000000
#define TFM__NET_MAX_COLUMNS 4096

/* ---- Functions of neurons (activation.c) ---- */

bool tfm__net_activation_known(int32_t activation);
double tfm__net_activate(int32_t activation, double sum);
/* The slope where the sum is `sum` and the value `out`. A ReLU has none at 0 and below; a step has none. */
double tfm__net_slope(int32_t activation, double sum, double out);
double tfm__net_tanh(double x);
double tfm__net_sigmoid(double x);
double tfm__net_softplus(double x); /* log(1 + exp(x)) */
/* Where one class ends and the other begins. */
double tfm__net_border(int32_t activation);
static inline bool tfm__finite(double x) { return x - x == 0; }

/* ---- Networks (net.c, learn.c) ---- */

typedef struct tfm__net_layer {
    uint32_t inputs, outputs;
    int32_t activation;
    double *weights;     /* [outputs, inputs] */
    double *biases;      /* [outputs] */
    double *weight_sums; /* [outputs, inputs] derivatives of the rows since the last update */
    double *bias_sums;   /* [outputs] */
    uint8_t *dead;       /* [outputs, inputs] */
    double *sums;        /* [outputs] of the last row: before the function */
    double *out;         /* [outputs] and behind it */
    double *by_sum;      /* [outputs] derivative of the row's loss by the sum */
    double *by_out;      /* [outputs] and by the output */
} tfm__net_layer;

struct tfm_net {
    tfm__heap heap;
    tfm__arena arena;
    tfm__net_layer *layers; /* [layer_count] */
    uint32_t layer_count, inputs, outputs;
    int32_t rule;
    bool zero_start;
    double learning_rate, regularisation_rate;
    uint64_t regularisation, batch;
    uint64_t epochs, updates, dead;
    uint64_t waiting; /* rows whose derivatives lie in the sums */
    uint64_t lost_at; /* the epoch in which numbers stopped being finite; 0: they are */
};

int32_t tfm__net_create(const tfm_net_options *options, tfm_net **out, tfm_error *error);
void tfm__net_destroy(tfm_net *net);
void tfm__net_start(tfm_net *net, uint64_t seed);
/* One row through the layers; what each neuron gives is then in layers[].out. */
void tfm__net_forward(tfm_net *net, const double *inputs);
/* The loss of the row that went through last. */
double tfm__net_row_loss(const tfm_net *net, const double *targets);
int32_t tfm__net_train(tfm_net *net, const tfm_net_data *data, const tfm_net_train_options *options,
                       tfm_error *error);
void tfm__net_measure(tfm_net *net, const tfm_net_data *data, bool test, double *loss, double *right);

/* ---- Data (data.c, generate.c, csv.c) ---- */

struct tfm_net_data {
    tfm__heap heap;
    tfm__arena arena;
    size_t rows, train_rows;
    uint32_t columns, inputs, target_count;
    int32_t kind;
    uint32_t features;         /* TFM_NET_X1 and so on; 0: the columns */
    double *points;            /* [rows, columns] */
    double *inputs_of;         /* [rows, inputs] */
    double *targets;           /* [rows, target_count] */
    double *low, *high;        /* [columns] of what is drawn */
    double *column_means;      /* [columns] over the training rows */
    double *shifts, *factors;  /* [inputs] an input is (feature - shift) * factor */
    const char **column_names; /* [columns] */
    const char **input_names;  /* [inputs] */
};

/* A table on its way to becoming data: rows of column_count columns and then target_count targets. */
typedef struct tfm__net_table {
    double *numbers; /* [rows, columns + targets], in the heap of whoever made it */
    size_t rows;
    uint32_t columns, targets;
    const char *const *names; /* [columns], or NULL: x1, x2, ... */
    const char *file;         /* for messages, or NULL */
    const size_t *lines;      /* [rows] of the file, or NULL */
    bool generated;           /* drawn from -6 to 6 */
    tfm__heap *heap;          /* what the table lies in: the budget is for both together */
} tfm__net_table;

/* Checks what all ways of making data share. */
int32_t tfm__net_check_data_options(const tfm_net_data_options *options, tfm_error *error);
/* Shuffles the table's rows (unless they keep their order) and makes data of it. */
int32_t tfm__net_data_make(tfm__net_table *table, const tfm_net_data_options *options, tfm_net_data **out,
                           tfm_error *error);
void tfm__net_data_destroy(tfm_net_data *data);
/* One point's inputs. point [columns], inputs [inputs]. */
void tfm__net_data_inputs(const tfm_net_data *data, const double *point, double *inputs);
int32_t tfm__net_generate(const tfm_net_data_options *options, tfm_net_data **out, tfm_error *error);
int32_t tfm__net_csv(const char *text, size_t length, const char *name, const tfm_net_data_options *options,
                     tfm_net_data **out, tfm_error *error);

/* ---- Looking (plane.c, svg.c) ---- */

/* options are complete: resolution given, columns in range. inputs and point are scratch of [inputs] and
 * [columns]. */
void tfm__net_plane(tfm_net *net, const tfm_net_data *data, int32_t layer,
                    const tfm_net_plane_options *options, double *point, double *inputs, double *out);
/* The class of a number: -1 and 1, of a function with the border 0.5: 0 and 1. */
double tfm__net_class(int32_t activation, double out);
int32_t tfm__net_svg(tfm_net *net, const tfm_net_data *data, const tfm_net_svg_options *options,
                     tfm_write_fn write, void *user, tfm_error *error);

#endif
