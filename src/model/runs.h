/* runs.h - the constant by which attention groups pages for parallel work. */
#ifndef TFM__RUNS_H
#define TFM__RUNS_H

#include "kernels/kernels.h"

/* Positions are grouped by their absolute number into runs of this many. Each run's partial attention is
 * computed from scratch, and the partial results are combined in order: part of the order of additions, so
 * changing it changes bits. */
#define TFM__RUN_PAGES 8
#define TFM__RUN_TOKENS (TFM__RUN_PAGES * TFM__PAGE_TOKENS)

#endif
