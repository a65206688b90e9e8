/* train_curve.h - how a run of `tfm train` went, step by step: as CSV, and drawn as SVG. */
#ifndef CLI_TRAIN_CURVE_H
#define CLI_TRAIN_CURVE_H

#include "cli.h"

/* Of the weights after `step` steps, and the step that was made from there. NAN: not known. */
typedef struct train_point {
    uint64_t step;
    double loss, norm, rate,
        speed;       /* of the batch; the gradient's norm, the learning rate, tokens a second */
    double held_out; /* loss of held-out text */
} train_point;

typedef struct train_curve {
    train_point *points; /* [count], by step */
    size_t count, room;
    char *csv, *svg; /* paths */
} train_curve;

/* A curve that is written to PATH.csv and PATH.svg; an ending .csv or .svg of path is no part of it. A
 * resumed run (start > 0) goes on with the points of PATH.csv before step `start`, if that is there.
 * must_work: finds out now whether both can be written. 0, or the exit status after the error was said. */
int train_curve_open(train_curve *curve, const char *command, const char *path, uint64_t start,
                     int must_work);

/* Another point behind the others, everything but its step NAN; NULL without memory. Valid until the next. */
train_point *train_curve_add(train_curve *curve, uint64_t step);

/* Writes both files. 0, or the exit status after the error was said. */
int train_curve_write(const train_curve *curve, const char *command);

void train_curve_close(train_curve *curve);

#endif
