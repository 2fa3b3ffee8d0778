/* Who may do what with a cache's directory: one process alone makes or removes it, any number read. Locks go with their process however
 * it ends. */
#ifndef DECO_PARTICLES_CACHE_LOCK_H
#define DECO_PARTICLES_CACHE_LOCK_H

#include "base/status.h"

typedef struct cache_lock cache_lock;

/* DIRECTORY/lock, not held yet; made where it can be. Fails: FILE. */
deco_status cache_lock_open(cache_lock **out, const char *directory);
void cache_lock_close(cache_lock *l); /* lets go; takes NULL */

/* Takes it, or says in *got that another process is in the way. What is held already is changed without a gap. A directory that was removed
 * meanwhile counts as in the way: open it anew. Fails: FILE (a file system without locks). */
typedef enum cache_grip { CACHE_SHARED, CACHE_ALONE } cache_grip;
deco_status cache_lock_try(bool *got, cache_lock *l, cache_grip grip);

#define CACHE_LOCK_FILE "lock"

#endif
