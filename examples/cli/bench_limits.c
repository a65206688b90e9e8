/* bench_limits.c - what the machine can do at best: reading memory, f32 multiply-adds, dot products of bytes.
 *
 * Reading: every thread walks through its own part in 1, 2, 4 or 8 streams, with prefetches several distances
 * ahead; of all these loops the one with the best median counts. The peaks come from twelve independent
 * chains in registers, enough for two units of a latency of six cycles. */
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#else
#define _DEFAULT_SOURCE /* madvise, MAP_ANONYMOUS */
#endif
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define MOST_THREADS 256
#define HUGE_PAGE ((size_t)2 << 20)
#define PEAK_SECONDS 5e-3 /* of one measurement */
#define PEAK_STEPS 20000  /* between two looks at the clock */
#define CHAINS 12
#define EACH_CHAIN(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)

/* ---- Memory ---- */

unsigned char *bench_memory(size_t size, int *huge) {
    size_t whole = size + HUGE_PAGE;
    *huge = 0;
    unsigned char *all = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) return NULL;
    size_t skip = (HUGE_PAGE - (uintptr_t)all % HUGE_PAGE) % HUGE_PAGE;
    if (skip) munmap(all, skip);
    if (skip < HUGE_PAGE) munmap(all + skip + size, HUGE_PAGE - skip);
#ifdef MADV_HUGEPAGE
    *huge = madvise(all + skip, size, MADV_HUGEPAGE) == 0;
#endif
    return all + skip;
}

void bench_memory_free(unsigned char *memory, size_t size) {
    if (memory) munmap(memory, size);
}

/* ---- Read loops ---- */

typedef unsigned long long line __attribute__((vector_size(64))); /* as many registers as the target wants */
typedef unsigned long long (*read_fn)(const line *from, size_t per, size_t ahead);

#define READ(s)                                                                                              \
    __builtin_prefetch((const char *)(from + (s)*per + i) + ahead);                                          \
    sum += from[(s)*per + i];
#define READ_1 READ(0)
#define READ_2 READ_1 READ(1)
#define READ_4 READ_2 READ(2) READ(3)
#define READ_8 READ_4 READ(4) READ(5) READ(6) READ(7)
#define READ_LOOP(name, target, body)                                                                        \
    target static unsigned long long name(const line *from, size_t per, size_t ahead) {                      \
        line sum = {0};                                                                                      \
        for (size_t i = 0; i < per; i++) { body }                                                            \
        return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];                        \
    }
#define READ_LOOPS(isa, target)                                                                              \
    READ_LOOP(read_##isa##_1, target, READ_1)                                                                \
    READ_LOOP(read_##isa##_2, target, READ_2)                                                                \
    READ_LOOP(read_##isa##_4, target, READ_4)                                                                \
    READ_LOOP(read_##isa##_8, target, READ_8)
#define READ_ALL(isa)                                                                                        \
    { read_##isa##_1, read_##isa##_2, read_##isa##_4, read_##isa##_8 }

static const unsigned read_streams[] = {1, 2, 4, 8};
static const size_t read_ahead[] = {0, 512, 1024, 2048, 4096};

READ_LOOPS(plain, )
#if defined(__x86_64__)
READ_LOOPS(avx2, __attribute__((target("avx2"))))
READ_LOOPS(avx512, __attribute__((target("avx512f"))))
#endif

/* ---- Peaks: PEAK_STEPS steps of every chain ---- */

typedef double (*peak_fn)(void); /* gives something, so that nothing is left out */

/* The loop of a peak; START, STEP and SUM are defined in front of it. */
#define PEAK_RUN                                                                                             \
    EACH_CHAIN(START)                                                                                        \
    for (int step = 0; step < PEAK_STEPS; step++) { EACH_CHAIN(STEP) }                                       \
    EACH_CHAIN(SUM)

typedef float four __attribute__((vector_size(16)));
static double multiply_add_plain(void) {
    four x = {0.999f, 0.999f, 0.999f, 0.999f}, y = {0.001f, 0.001f, 0.001f, 0.001f};
#define START(i) four a##i = {i, i, i, i};
#define STEP(i) a##i = a##i * x + y;
#define SUM(i) +a##i[0] + a##i[1] + a##i[2] + a##i[3]
    EACH_CHAIN(START)
    for (int step = 0; step < PEAK_STEPS; step++) { EACH_CHAIN(STEP) }
    return (double)(0 EACH_CHAIN(SUM));
#undef START
#undef STEP
#undef SUM
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static double multiply_add_avx2(void) {
    __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f), sum = y;
#define START(i) __m256 a##i = _mm256_set1_ps(i);
#define STEP(i) a##i = _mm256_fmadd_ps(a##i, x, y);
#define SUM(i) sum = _mm256_add_ps(sum, a##i);
    PEAK_RUN
    return (double)_mm_cvtss_f32(_mm256_castps256_ps128(sum));
#undef START
#undef STEP
#undef SUM
}

__attribute__((target("avx512f"))) static double multiply_add_avx512(void) {
    __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f), sum = y;
#define START(i) __m512 a##i = _mm512_set1_ps(i);
#define STEP(i) a##i = _mm512_fmadd_ps(a##i, x, y);
#define SUM(i) sum = _mm512_add_ps(sum, a##i);
    PEAK_RUN
    return (double)_mm512_reduce_add_ps(sum);
#undef START
#undef STEP
#undef SUM
}

/* Two instructions for 32 products: sums of two, added up in 16 bits, as kernels with small weights do for a
 * while before they widen. The products are made anew for every chain, or the compiler would keep them. */
__attribute__((target("avx2"))) static double int8_avx2(void) {
    __m256i x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(-2), sum = y;
#define START(i) __m256i a##i = _mm256_set1_epi32(i);
#define STEP(i)                                                                                              \
    __asm__ volatile("" : "+x"(x));                                                                          \
    a##i = _mm256_add_epi16(a##i, _mm256_maddubs_epi16(x, y));
#define SUM(i) sum = _mm256_add_epi32(sum, a##i);
    PEAK_RUN
    return (double)_mm256_extract_epi32(sum, 0);
#undef START
#undef STEP
#undef SUM
}

__attribute__((target("avx512f,avx512vnni"))) static double int8_avx512(void) {
    __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(-2), sum = y;
#define START(i) __m512i a##i = _mm512_set1_epi32(i);
#define STEP(i)                                                                                              \
    __asm__ volatile("" : "+v"(x));                                                                          \
    a##i = _mm512_dpbusd_epi32(a##i, x, y);
#define SUM(i) sum = _mm512_add_epi32(sum, a##i);
    PEAK_RUN
    return (double)_mm512_reduce_add_epi32(sum);
#undef START
#undef STEP
#undef SUM
}
#elif defined(__aarch64__)
static double multiply_add_neon(void) {
    float32x4_t x = vdupq_n_f32(0.999f), y = vdupq_n_f32(1e-6f), sum = y;
#define START(i) float32x4_t a##i = vdupq_n_f32(i);
#define STEP(i) a##i = vfmaq_f32(a##i, x, y);
#define SUM(i) sum = vaddq_f32(sum, a##i);
    PEAK_RUN
    return (double)vaddvq_f32(sum);
#undef START
#undef STEP
#undef SUM
}

static double int8_neon(void) {
    int8x8_t x = vdup_n_s8(3), y = vdup_n_s8(-2);
    int32x4_t sum = vdupq_n_s32(0);
#define START(i) int32x4_t a##i = vdupq_n_s32(i);
#define STEP(i)                                                                                              \
    __asm__ volatile("" : "+w"(x));                                                                          \
    a##i = vpadalq_s16(a##i, vmull_s8(x, y));
#define SUM(i) sum = vaddq_s32(sum, a##i);
    PEAK_RUN
    return (double)vaddvq_s32(sum);
#undef START
#undef STEP
#undef SUM
}

#ifdef __clang__
__attribute__((target("dotprod")))
#else
__attribute__((target("arch=armv8.2-a+dotprod")))
#endif
static double
int8_dotprod(void) {
    int8x16_t x = vdupq_n_s8(3), y = vdupq_n_s8(-2);
    int32x4_t sum = vdupq_n_s32(0);
#define START(i) int32x4_t a##i = vdupq_n_s32(i);
#define STEP(i) __asm__ volatile("sdot %0.4s, %1.16b, %2.16b" : "+w"(a##i) : "w"(x), "w"(y));
#define SUM(i) sum = vaddq_s32(sum, a##i);
    PEAK_RUN
    return (double)vaddvq_s32(sum);
#undef START
#undef STEP
#undef SUM
}
#endif

/* ---- The loops of this processor ---- */

typedef struct loops {
    const char *isa;
    read_fn read[4];
    peak_fn multiply_add;
    double multiply_adds; /* of one chain's step */
    peak_fn int8;
    double int8s;
} loops;

static const loops all_loops[] = {
#if defined(__x86_64__)
    {"avx512", READ_ALL(avx512), multiply_add_avx512, 16, int8_avx512, 64},
    {"avx2", READ_ALL(avx2), multiply_add_avx2, 8, int8_avx2, 32},
#elif defined(__aarch64__)
    {"neon-dotprod", READ_ALL(plain), multiply_add_neon, 4, int8_dotprod, 16},
    {"neon", READ_ALL(plain), multiply_add_neon, 4, int8_neon, 8},
#endif
    {"portable", READ_ALL(plain), multiply_add_plain, 4, NULL, 0},
};

static const loops *loops_of(const char *isa) {
    for (size_t i = 0; i < ARG_COUNT(all_loops); i++)
        if (isa ? !strcmp(all_loops[i].isa, isa) : tfm_capability(all_loops[i].isa)) return &all_loops[i];
    return &all_loops[ARG_COUNT(all_loops) - 1];
}

/* ---- On all threads ---- */

typedef struct gang {
    atomic_uint ready;
    unsigned threads;
    read_fn read;
    unsigned streams;
    size_t ahead;
    peak_fn peak;
    double operations; /* of one call of peak */
} gang;

typedef struct member {
    gang *gang;
    pthread_t thread;
    const unsigned char *memory; /* its part */
    size_t size;
    double start, end, done; /* bytes or operations */
    double sink;
} member;

/* How long each stream is, in lines: not a whole number of pages, or all of them would fall into the same
 * sets of the cache. */
static size_t stream_lines(size_t size, unsigned streams) {
    size_t per = size / sizeof(line) / streams;
    return per >= 256 ? per / 64 * 64 - 64 + 64 / streams : per;
}

static void *work(void *argument) {
    member *m = argument;
    gang *g = m->gang;
    atomic_fetch_add(&g->ready, 1);
    while (atomic_load(&g->ready) < g->threads) sched_yield();
    m->start = m->end = cli_seconds();
    if (g->read) {
        size_t per = stream_lines(m->size, g->streams);
        m->sink = (double)g->read((const line *)(const void *)m->memory, per, g->ahead);
        m->done = (double)(per * g->streams * sizeof(line));
        m->end = cli_seconds();
        return NULL;
    }
    do {
        m->sink += g->peak();
        m->done += g->operations;
        m->end = cli_seconds();
    } while (m->end - m->start < PEAK_SECONDS);
    return NULL;
}

/* Bytes or operations a second of all threads, from the first one's start to the last one's end. */
static double run(gang *g, unsigned threads, const unsigned char *memory, size_t size) {
    member *members = calloc(threads, sizeof *members);
    size_t part = size / threads / 4096 * 4096;
    unsigned started = 0;
    if (!members) return 0;
    atomic_init(&g->ready, 0);
    g->threads = threads;
    for (unsigned i = 0; i < threads; i++) {
        members[i].gang = g;
        members[i].memory = memory ? memory + part * i : NULL;
        members[i].size = part;
    }
    for (unsigned i = 1; i < threads; i++) {
        if (pthread_create(&members[i].thread, NULL, work, &members[i])) break;
        started = i;
    }
    for (unsigned i = started + 1; i < threads; i++) atomic_fetch_add(&g->ready, 1); /* who did not come */
    work(&members[0]);
    for (unsigned i = 1; i <= started; i++) pthread_join(members[i].thread, NULL);
    double start = members[0].start, end = members[0].end, done = 0;
    volatile double sink = 0;
    for (unsigned i = 0; i <= started; i++) {
        if (members[i].start < start) start = members[i].start;
        if (members[i].end > end) end = members[i].end;
        done += members[i].done;
        sink = sink + members[i].sink;
    }
    free(members);
    return end > start ? done / (end - start) : 0;
}

/* ---- What the others call ---- */

static read_fn reader(const bench_limits *limits) {
    const loops *l = loops_of(limits->isa);
    for (size_t i = 0; i < ARG_COUNT(read_streams); i++)
        if (read_streams[i] == limits->streams) return l->read[i];
    return l->read[0];
}

double bench_limits_read(const bench_limits *limits, const unsigned char *memory, size_t size) {
    gang g = {0};
    g.read = reader(limits);
    g.streams = limits->streams;
    g.ahead = limits->ahead;
    return run(&g, limits->threads, memory, size);
}

double bench_limits_multiply_add(const bench_limits *limits) {
    const loops *l = loops_of(limits->isa);
    gang g = {0};
    g.peak = l->multiply_add;
    g.operations = 2.0 * l->multiply_adds * CHAINS * PEAK_STEPS;
    return run(&g, limits->threads, NULL, 0);
}

double bench_limits_int8(const bench_limits *limits) {
    const loops *l = loops_of(limits->isa);
    gang g = {0};
    if (!l->int8) return 0;
    g.peak = l->int8;
    g.operations = 2.0 * l->int8s * CHAINS * PEAK_STEPS;
    return run(&g, limits->threads, NULL, 0);
}

int bench_limits_find(bench_limits *limits, const unsigned char *memory, size_t size, size_t repeats,
                      const tfm_cancel *cancel) {
    double *rounds = malloc(3 * repeats * sizeof *rounds);
    bench_limits trial = *limits;
    if (!rounds) return -1;
    limits->isa = trial.isa = loops_of(NULL)->isa;
    limits->read = 0;
    if (trial.threads > MOST_THREADS) limits->threads = trial.threads = MOST_THREADS;
    for (size_t s = 0; s < ARG_COUNT(read_streams); s++)
        for (size_t a = 0; a < ARG_COUNT(read_ahead); a++) {
            trial.streams = read_streams[s];
            trial.ahead = read_ahead[a];
            for (size_t r = 0; r < repeats && !tfm_cancel_is_set(cancel); r++)
                rounds[r] = bench_limits_read(&trial, memory, size);
            if (tfm_cancel_is_set(cancel)) break;
            trial.read = bench_median(rounds, repeats);
            if (trial.read > limits->read) {
                limits->streams = trial.streams;
                limits->ahead = trial.ahead;
                limits->read = trial.read;
            }
        }
    for (size_t r = 0; r < repeats && !tfm_cancel_is_set(cancel); r++) {
        rounds[r] = bench_limits_multiply_add(limits);
        rounds[repeats + r] = bench_limits_int8(limits);
    }
    if (!tfm_cancel_is_set(cancel)) {
        limits->multiply_add = bench_median(rounds, repeats);
        limits->int8 = bench_median(rounds + repeats, repeats);
    }
    free(rounds);
    return tfm_cancel_is_set(cancel) ? -1 : 0;
}
