/* plane.c - what a layer's neurons give over the plane of two columns. */
#include "net/net.h"

void tfm__net_plane(tfm_net *net, const tfm_net_data *data, int32_t layer, const tfm_net_plane_options *o,
                    double *point, double *inputs, double *out) {
    const tfm__net_layer *of = layer == TFM_NET_INPUTS ? NULL : &net->layers[layer];
    uint32_t n = o->resolution, width = of ? of->outputs : data->inputs;
    double x_low = data->low[o->column_x], x_step = (data->high[o->column_x] - x_low) / n;
    double y_low = data->low[o->column_y], y_step = (data->high[o->column_y] - y_low) / n;
    memcpy(point, data->column_means, data->columns * sizeof *point);
    for (uint32_t y = 0; y < n; y++) {
        for (uint32_t x = 0; x < n; x++, out += width) {
            point[o->column_y] = y_low + (y + 0.5) * y_step;
            point[o->column_x] = x_low + (x + 0.5) * x_step; /* the last word, if both are one */
            tfm__net_data_inputs(data, point, inputs);
            if (of) tfm__net_forward(net, inputs);
            memcpy(out, of ? of->out : inputs, width * sizeof *out);
            for (uint32_t i = 0; o->discretise && i < width; i++)
                out[i] = tfm__net_class(of ? of->activation : TFM_NET_LINEAR, out[i]);
        }
    }
}
