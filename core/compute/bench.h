/* How fast this machine runs what training and decoding spend their time in: the benchmark's cases, the first of them. Those that need a pose
 * search are training/bench_search.h's; job/bench.h runs them all. */
#ifndef DECO_COMPUTE_BENCH_H
#define DECO_COMPUTE_BENCH_H

#include "base/monitor.h"
#include "compute/device.h"

typedef struct deco_bench_rate {
    double value; /* of the best round */
    const char *unit;
    char shape[128]; /* what it was run on, as the inside of a JSON object; where another program has the case, in that one's words */
} deco_bench_rate;

/* A case: rounds of it for about `seconds`, at least one. Fails: STOPPED, MEMORY, DEVICE. */
typedef struct deco_bench_case {
    const char *name;
    deco_status (*run)(deco_bench_rate *out, const struct deco_bench_case *c, deco_device *dev, double seconds, deco_monitor *m);
    const void *what; /* its own business */
} deco_bench_case;

enum { DECO_DECODER_CASES = 6 };
extern const deco_bench_case deco_decoder_cases[DECO_DECODER_CASES];

/* Whether the device is a card: it is given the batches that training has, a CPU as many images as it works on in some tenths of a second. */
bool deco_bench_on_card(const deco_device *dev);

/* That a case was stopped, if it was asked to be. */
deco_status deco_bench_stopped(const deco_bench_case *c, deco_monitor *m);

#endif
