/* The benchmark's cases that read files the caller names: datasets and their joins. */
#ifndef DECO_JOB_BENCH_TABLES_H
#define DECO_JOB_BENCH_TABLES_H

#include "compute/bench.h"
#include "config/options.h"

enum { DECO_TABLE_CASES = 2 };
/* dataset_read: the first file of `particles`, every cell looked at and the uid index built. table_join: the columns of the second joined to the
 * first on uid, both in memory. Rows a second. `what` is the deco_options. Fails: ARGUMENT (files not named), FILE, FORMAT, STOPPED. */
extern const deco_bench_case deco_table_cases[DECO_TABLE_CASES];

#endif
