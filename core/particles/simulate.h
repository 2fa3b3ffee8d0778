/* `cryodeco simulate`: a CryoSPARC-like job directory with its truth, from structures or maps. */
#ifndef DECO_PARTICLES_SIMULATE_H
#define DECO_PARTICLES_SIMULATE_H

#include "base/monitor.h"
#include "config/options.h"

/* Options of group "simulate". Same seed, same bytes, on any number of threads. *summary (may be NULL): what was made, for
 * stdout. Fails: ARGUMENT, FILE, FORMAT; nothing under the final name is left then. */
deco_status deco_simulate(char **summary, const deco_options *o, deco_monitor *m);

#endif
