/* How fast images come: the benchmark's cases that need an input. */
#ifndef DECO_PARTICLES_BENCH_IMAGES_H
#define DECO_PARTICLES_BENCH_IMAGES_H

#include "compute/bench.h"
#include "config/options.h"

/* prepare: raw images in memory to records, the encoder's pixels with them (use_conf_encoder). loader_stacks: batches of 192 in random order,
 * prepared on the way. loader_warm: the same from a cache that is in memory; loader_cold: from one that is not, beside what reading its file from
 * front to back gives. All of `particles`, at most 20,000 images; those of a cache need cache_dir. `what` of a case is the deco_options. */
enum { DECO_IMAGE_CASES = 4 };
extern const deco_bench_case deco_image_cases[DECO_IMAGE_CASES];

/* Can this case be run with these options? */
bool deco_image_case_possible(const deco_bench_case *c, const deco_options *o);

#endif
