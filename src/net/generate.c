/* generate.c - the generated sets. Shapes and sizes are those of TensorFlow Playground (its description of
 * the data sets), the random numbers the library's own: the same seed gives the same rows everywhere.
 *
 * In the sets of two columns noise moves the point by which a row's target is found, in the spiral and the
 * clouds the row itself. */
#include "net/net.h"

#include <math.h>

#include "base/elementary.h"
#include "base/real.h"

#define TWO_PI 6.283185307179586

typedef struct maker {
    tfm__rng rng;
    const tfm_net_data_options *options;
    double *row; /* the next one to be written */
    uint32_t width;
    size_t samples;
} maker;

static double between(maker *m, double low, double high) {
    return low + tfm__rng_unit(&m->rng) * (high - low);
}

/* Marsaglia's polar method (Marsaglia and Bray 1964), one number of each pair. */
static double normal(maker *m, double mean, double variance) {
    for (;;) {
        double a = between(m, -1, 1), b = between(m, -1, 1), s = a * a + b * b;
        if (s > 0 && s < 1) return mean + sqrt(variance) * (a * sqrt(-2 * tfm__log_real(s) / s));
    }
}

static void emit(maker *m, double x1, double x2, double target) {
    m->row[0] = x1;
    m->row[1] = x2;
    m->row[2] = target;
    m->row += m->width;
}

static void moved(maker *m, double *x1, double *x2, double reach) {
    *x1 += between(m, -reach, reach) * m->options->noise;
    *x2 += between(m, -reach, reach) * m->options->noise;
}

/* Inside a disc of radius 2.5, and between 3.5 and 5; who is in is decided at 2.5. */
static void circle(maker *m) {
    const double radius = 5;
    for (size_t i = 0; i < m->samples; i++) {
        bool inside = i < m->samples / 2;
        double r = inside ? between(m, 0, radius * 0.5) : between(m, radius * 0.7, radius);
        double s, c;
        tfm__sin_cos(between(m, 0, TWO_PI), &s, &c);
        double x1 = r * s, x2 = r * c, at1 = x1, at2 = x2;
        moved(m, &at1, &at2, radius);
        emit(m, x1, x2, sqrt(at1 * at1 + at2 * at2) < radius * 0.5 ? 1 : -1);
    }
}

static void exclusive_or(maker *m) {
    const double reach = 5, gap = 0.3; /* nobody lives near the axes */
    for (size_t i = 0; i < m->samples; i++) {
        double x1 = between(m, -reach, reach), x2 = between(m, -reach, reach);
        x1 += x1 > 0 ? gap : -gap;
        x2 += x2 > 0 ? gap : -gap;
        double at1 = x1, at2 = x2;
        moved(m, &at1, &at2, reach);
        emit(m, x1, x2, at1 * at2 >= 0 ? 1 : -1);
    }
}

static void clouds(maker *m) {
    double variance = 0.5 + 7 * m->options->noise; /* 0.5 without noise, 4 with a half */
    for (size_t i = 0; i < m->samples; i++) {
        double side = i < m->samples / 2 ? 1 : -1;
        double x1 = normal(m, 2 * side, variance), x2 = normal(m, 2 * side, variance);
        emit(m, x1, x2, side);
    }
}

static void spiral(maker *m) {
    size_t half = m->samples / 2;
    for (size_t i = 0; i < m->samples; i++) {
        bool second = i >= half;
        size_t step = second ? i - half : i, of = second ? m->samples - half : half;
        double r = (double)step / (double)of * 5, turn = 1.75 * (double)step / (double)of * TWO_PI, s, c;
        tfm__sin_cos(turn + (second ? TWO_PI / 2 : 0), &s, &c);
        double x1 = r * s, x2 = r * c;
        moved(m, &x1, &x2, 1);
        emit(m, x1, x2, second ? -1 : 1);
    }
}

static void plane(maker *m) {
    const double reach = 6;
    for (size_t i = 0; i < m->samples; i++) {
        double x1 = between(m, -reach, reach), x2 = between(m, -reach, reach), at1 = x1, at2 = x2;
        moved(m, &at1, &at2, reach);
        emit(m, x1, x2, (at1 + at2) / 10);
    }
}

/* Of six cones of height 1 and radius 2 the one that is strongest here. */
static double bump(double x1, double x2) {
    static const double cones[][3] = {{-4, 2.5, 1},   {0, 2.5, -1}, {4, 2.5, 1},
                                      {-4, -2.5, -1}, {0, -2.5, 1}, {4, -2.5, -1}};
    double value = 0;
    for (size_t i = 0; i < TFM__COUNT(cones); i++) {
        double off1 = x1 - cones[i][0], off2 = x2 - cones[i][1];
        double height = 1 - sqrt(off1 * off1 + off2 * off2) / 2;
        if (height > fabs(value)) value = cones[i][2] * height;
    }
    return value;
}

static void multi_gaussian(maker *m) {
    const double reach = 6;
    for (size_t i = 0; i < m->samples; i++) {
        double x1 = between(m, -reach, reach), x2 = between(m, -reach, reach), at1 = x1, at2 = x2;
        moved(m, &at1, &at2, reach);
        emit(m, x1, x2, bump(at1, at2));
    }
}

static void cinema(maker *m) {
    static const double usual[] = {1.5, 1, 4, 3};
    const double *habits = m->options->habits;
    if (habits[0] == 0 && habits[1] == 0 && habits[2] == 0 && habits[3] == 0) habits = usual;
    for (size_t i = 0; i < m->samples; i++) {
        double sum = -habits[3];
        for (int k = 0; k < 3; k++) {
            m->row[k] = tfm__rng_unit(&m->rng) < 0.5 ? 0 : 1;
            sum += habits[k] * m->row[k];
        }
        double chance = tfm__rng_unit(&m->rng);
        bool goes = m->options->noise > 0 ? chance < tfm__net_sigmoid(sum / m->options->noise) : sum > 0;
        m->row[3] = goes ? 1 : -1;
        m->row += m->width;
    }
}

int32_t tfm__net_generate(const tfm_net_data_options *o, tfm_net_data **out, tfm_error *error) {
    static const struct {
        void (*make)(maker *m);
        int32_t kind;
        uint32_t columns, samples;
    } sets[] = {
        {circle, TFM_NET_CLASSES, 2, 500},   {exclusive_or, TFM_NET_CLASSES, 2, 500},
        {clouds, TFM_NET_CLASSES, 2, 500},   {spiral, TFM_NET_CLASSES, 2, 500},
        {plane, TFM_NET_NUMBERS, 2, 1200},   {multi_gaussian, TFM_NET_NUMBERS, 2, 1200},
        {cinema, TFM_NET_CLASSES, 3, 10000},
    };
    static const char *const factors[] = {"weather", "price", "company"};
    int32_t rc = tfm__net_check_data_options(o, error);
    if (rc) return rc;
    if (o->set < TFM_NET_CIRCLE || o->set > TFM_NET_CINEMA)
        return tfm__fail(error, TFM_E_ARGUMENT, "there is no data set %d", (int)o->set);
    if (o->samples > TFM__NET_MAX_ROWS)
        return tfm__fail(error, TFM_E_ARGUMENT, "at most %d rows can be generated, not %u", TFM__NET_MAX_ROWS,
                         (unsigned)o->samples);
    if (!(o->noise >= 0 && o->noise <= 1))
        return tfm__fail(error, TFM_E_ARGUMENT, "noise is 0 to 1, not %g", o->noise);
    for (int i = 0; i < 4; i++)
        if (!(fabs(o->habits[i]) <= 1e6))
            return tfm__fail(error, TFM_E_ARGUMENT, "habit %d is %g", i, o->habits[i]);
    tfm__heap heap;
    tfm__heap_init(&heap, o->allocator, o->byte_budget);
    tfm__net_table t = {.heap = &heap};
    maker m = {.options = o};
    t.rows = m.samples = o->samples ? o->samples : sets[o->set - 1].samples;
    t.columns = sets[o->set - 1].columns;
    t.targets = 1;
    t.generated = o->set != TFM_NET_CINEMA;
    t.names = o->set == TFM_NET_CINEMA ? factors : NULL;
    m.width = t.columns + 1;
    t.numbers = m.row = tfm__alloc_array(&heap, t.rows * m.width, sizeof *m.row);
    if (!t.numbers) return tfm__fail_memory(error, &heap, t.rows * m.width * sizeof *m.row);
    tfm__rng_seed(&m.rng, o->seed);
    sets[o->set - 1].make(&m);
    tfm_net_data_options as = *o;
    as.kind = TFM_NET_NUMBERS; /* classes are -1 and 1 already, and one of them may be missing */
    as.keep_order = 0;
    rc = tfm__net_data_make(&t, &as, out, error);
    if (rc == TFM_OK) (*out)->kind = sets[o->set - 1].kind;
    tfm__free(&heap, t.numbers);
    return rc;
}
