/* The workers of a job: processes that train one model together, on one machine or several.
 *
 * They are found in the environment: those that `cryodeco run --workers` started are joined by sockets, those of mpirun and srun by MPI, behind
 * libcryodeco_mpi.so. A process alone is a job of one worker, and then every function here does nothing. Sums add up in the order of the workers,
 * so the same number of workers gives the same bits, whatever arrives first.
 *
 * All workers make the same calls in the same order, from one thread. Every call fails once a worker is lost: DEVICE, with a message that
 * names it and what it was doing, or with what another worker failed with. There is no going on after that. */
#ifndef DECO_COMPUTE_COMM_H
#define DECO_COMPUTE_COMM_H

#include "base/monitor.h"
#include "compute/device.h"

typedef struct deco_comm deco_comm;
enum { DECO_WORKERS_MOST = 4096 };

/* Joins the workers that the environment names. `silent_s`: a worker that should work and takes no processor time for so long is lost; so is one
 * without a sign of life for a fifth of it (10 s at least, if it has so many). A loss is said on `m` at once, by one worker alone, and asks `m` to
 * stop. *out is NULL in a process alone.
 * Fails: DEVICE (they cannot be reached, MPI is not there), UNSUPPORTED (libcryodeco_mpi.so is missing or of another version), MEMORY. */
deco_status deco_comm_open(deco_comm **out, double silent_s, deco_monitor *m);

/* With `st` of the job, and whether it wrote something: a failure of the first worker, or of one whose peers still work, ends the job for
 * all. The first worker does not wait for the others, nor they for it. Takes NULL. */
void deco_comm_close(deco_comm *c, deco_status st, bool wrote);

/* Before they are joined: false in all that were started together but the first. Those have nothing to say of what each of them finds. */
bool deco_comm_speaks(void);

/* Taking NULL: 0, 1, and 0 (as many as there are). */
int deco_comm_rank(const deco_comm *c);
int deco_comm_size(const deco_comm *c);
int deco_comm_threads(const deco_comm *c); /* this worker's share of the cores it may use; at least 1 */
int deco_comm_here(const deco_comm *c);    /* workers on this one's host; taking NULL: 1 */

/* "2 workers, local sockets" */
const char *deco_comm_words(const deco_comm *c);

/* What this worker does, for the message when it is lost. */
void deco_comm_at(deco_comm *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Is a worker lost, or did one end the job? Then the failure as every call gives it; and was it said already? */
deco_status deco_comm_check(deco_comm *c);
bool deco_comm_said(deco_comm *c);
/* Did the first worker's failure end it, after it wrote something? */
bool deco_comm_wrote(deco_comm *c);

/* x [n] becomes Σ weight·x over the workers, each with its own weight: products rounded to float, added up in double in the order of the workers. */
deco_status deco_comm_sum(deco_comm *c, float *x, int64_t n, double weight, const char *what);
deco_status deco_comm_sum_doubles(deco_comm *c, double *x, int64_t n, const char *what); /* for few */

/* The same of numbers on a device. */
deco_status deco_comm_sum_on(deco_comm *c, deco_device *dev, float *x, int64_t n, double weight, const char *what);

/* Everyone's bits together. */
deco_status deco_comm_any(deco_comm *c, unsigned *bits, const char *what);

/* Worker g has bytes first[g] to first[g + 1] of `x`; then everyone has all. first [size + 1]. */
deco_status deco_comm_gather(deco_comm *c, void *x, const size_t *first, const char *what);

/* The first worker's `x` to all. */
deco_status deco_comm_share(deco_comm *c, void *x, size_t bytes, const char *what);

/* The same of numbers on a device, rows of `width` numbers: worker g has rows first[g] to first[g + 1]. */
deco_status deco_comm_gather_on(deco_comm *c, deco_device *dev, float *x, const int64_t *first, int64_t width, const char *what);
deco_status deco_comm_share_on(deco_comm *c, deco_device *dev, float *x, int64_t n, const char *what);

/* Bytes that this worker has sent so far. */
double deco_comm_sent(const deco_comm *c);

/* Worker `rank`'s part of a batch of n things, of batches of `whole`: from *from on, so many. Each has ceil(whole / size) of a whole batch but
 * the last ones, which may have fewer. */
int64_t deco_comm_part(int64_t *from, const deco_comm *c, int rank, int64_t n, int64_t whole);

#endif
