/* Asking the disk for a cache's images before a pass comes to them, by a thread of its own.
 *
 * A pass over most of the images asks for megabytes of the file, each once, in the order in which the pass first needs them (of a block of the order,
 * block_order.h, from front to back); a smaller one for each image. It is advice: what was not asked for, or was dropped again, is read when
 * it is looked at, only slower. */
#ifndef DECO_PARTICLES_READ_AHEAD_H
#define DECO_PARTICLES_READ_AHEAD_H

#include "particles/cache.h"

typedef struct read_ahead read_ahead;

/* For passes over up to `rows` images; `block` as the order was made with, 0: without. Keeps the cache. Fails: MEMORY, FORMAT (damaged). */
deco_status read_ahead_create(read_ahead **out, const deco_cache *c, int64_t rows, int64_t block);
void read_ahead_free(read_ahead *a); /* takes NULL */

/* Begin with the pass over order [n], kept by the caller until read_ahead_stop, which waits until nothing is asked for any more. */
void read_ahead_start(read_ahead *a, const int64_t *order, int64_t n);
void read_ahead_stop(read_ahead *a);
/* The pass has come to image `place` of its order. */
void read_ahead_reached(read_ahead *a, int64_t place);

#endif
