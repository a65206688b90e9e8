/* bench.h - the parts of `tfm bench`: what is to be measured, what was measured, and who does which.
 *
 * cmd_bench.c reads the options; bench_speed.c measures a model; bench_limits.c measures the machine and
 * bench_kernels.c each product beside it; bench_out.c and bench_plot.c show the report. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli.h"

#define BENCH_REPEATS 1000 /* most */
#define BENCH_SESSIONS 256 /* most that advance together */
#define BENCH_POINTS 32    /* most places of one curve */
#define BENCH_KERNELS 17   /* weight types */

typedef struct bench_list {
    uint64_t values[BENCH_POINTS];
    size_t count;
    int given;
} bench_list;

/* Tokens per second of one thing, as often as it was measured. */
typedef struct bench_result {
    uint64_t x;      /* where on its curve: a length, a depth, a number of sessions */
    uint64_t tokens; /* that were counted */
    size_t repeats;
    double speeds[BENCH_REPEATS]; /* sorted once measured */
} bench_result;

typedef struct bench_curve {
    bench_result *points; /* [count], of calloc */
    size_t count;
} bench_curve;

/* What the machine can do at best, on all threads together. */
typedef struct bench_limits {
    const char *isa; /* that the loops were written for */
    uint32_t threads;
    int huge_pages;      /* the system took the advice to use some */
    unsigned streams;    /* of each thread, of the best read loop */
    size_t ahead;        /* bytes that it prefetches ahead */
    double read;         /* bytes a second */
    double multiply_add; /* f32, operations a second, two a multiply-add */
    double int8;         /* dot products of bytes, the same way; 0: no such instructions */
} bench_limits;

/* One weight type's products and, measured in turn with them, the limit: medians of all. */
typedef struct bench_kernel {
    const char *type;
    double vector, vector_limit, vector_share; /* bytes of weights a second */
    double matrix, matrix_limit, matrix_share; /* operations a second; limit 0: not known */
    uint32_t matrix_tokens;
} bench_kernel;

typedef struct bench_report {
    size_t repeats, decode;
    bench_list lengths, depths, sessions;
    uint64_t kernel_bytes; /* 0: no kernels */
    int isa;               /* TFM_ISA_* for the kernels */
    uint32_t threads;
    tfm_model_info info;
    bench_curve prefill;                     /* by length; at least one point */
    bench_result single;                     /* decode behind the first length */
    bench_curve together;                    /* by sessions */
    bench_curve decode_depth, prefill_depth; /* by depth */
    bench_limits limits;
    bench_kernel kernels[BENCH_KERNELS];
    size_t kernel_count;
} bench_report;

double bench_median(double *values, size_t count); /* sorts them */
double bench_speed(const bench_result *result);    /* the median of a measured one */

/* Fills the report's speeds from host->session. 0, or the exit status after the error was said. */
int bench_measure(cli_host *host, bench_report *report);
void bench_free(bench_report *report);

/* ---- bench_limits.c ---- */

/* Memory aligned to 2 MiB, with huge pages where the system has them; NULL: there is none. *huge says whether
 * it took the advice. Give it back with bench_memory_free and the same size. */
unsigned char *bench_memory(size_t size, int *huge);
void bench_memory_free(unsigned char *memory, size_t size);

/* Finds the best read loop and both peaks: medians of repeats. -1: stopped by the flag. */
int bench_limits_find(bench_limits *limits, const unsigned char *memory, size_t size, size_t repeats,
                      const tfm_cancel *cancel);
/* One more round of each: bytes or operations a second. */
double bench_limits_read(const bench_limits *limits, const unsigned char *memory, size_t size);
double bench_limits_multiply_add(const bench_limits *limits);
double bench_limits_int8(const bench_limits *limits); /* 0: no such instructions */

/* ---- bench_kernels.c ---- */

/* Fills report->limits and ->kernels. 0, or the exit status after the error was said. */
int bench_kernels(cli_host *host, bench_report *report);

/* ---- bench_out.c, bench_plot.c ---- */

void bench_print_text(const bench_report *report);
void bench_print_json(const bench_report *report);
/* Draws the curves by depth and by sessions. 0, or the exit status after the error was said. */
int bench_plot(const char *command, const bench_report *report, const char *path);

#endif
