/* The first lines of every log: what ran, where, with what. */
#ifndef DECO_JOB_HEAD_H
#define DECO_JOB_HEAD_H

#include "base/monitor.h"
#include "compute/device.h"

/* Version, commit, libraries, processor, threads, host, seed; and the same as metric "start". */
void deco_log_head(deco_monitor *m, const deco_device *dev, int threads, uint64_t seed);

#endif
