/* What the cache's files share: plan -> build -> open, and the command. */
#ifndef DECO_PARTICLES_CACHE_PARTS_H
#define DECO_PARTICLES_CACHE_PARTS_H

#include "particles/cache.h"
#include "particles/cache_env.h"
#include "particles/cache_lock.h"
#include "particles/file_order.h"
#include "particles/image_sums.h"
#include "particles/job_directory.h"

/* A stack as it was when its images were prepared. */
typedef struct stack_stamp {
    int64_t size, mtime_ns; /* -1: it is not there */
} stack_stamp;

/* What a cache of a particle set is: where, and of what. */
typedef struct cache_plan {
    const deco_particles *p;
    record_layout layout;
    distinct_images images;
    int64_t chunk;       /* images committed together */
    stack_stamp *stamps; /* [stacks] */
    uint64_t input;      /* digest of uids, image places, boxes */
    char identity[17], stamp[17];
    char *root, *directory;
    double bytes; /* on disk, when whole */
} cache_plan;

/* The second settles the form of the records, and with it identity and directory; it can be called again. */
deco_status cache_plan_make(cache_plan *out, const deco_particles *p, const char *root);
deco_status cache_plan_form(cache_plan *c, bool float32, bool encoder);
void cache_plan_free(cache_plan *c); /* frees what is in it */

/* Are the stacks still those of the plan? Fails: FORMAT, naming one that changed. */
deco_status cache_plan_check_stamps(const cache_plan *c);

/* ---- what is on disk -------------------------------------------------------------------------------------------- */

/* Names in `about`: a JSON object for people and `cryodeco cache info`; [stacks] stack_stamp; [stacks] names, each with its zero byte; and last
 * of all `done`, a cache_end. */
#define CACHE_ABOUT  "about"
#define CACHE_STAMPS "stamps"
#define CACHE_NAMES  "names"
#define CACHE_DONE   "done"

typedef struct cache_end {
    int64_t images;
    uint64_t sums; /* record_digest of all sums */
} cache_end;

/* The sums of all whole chunks, [*images], and is that the end? Free with free(). Fails: FORMAT (damaged). */
deco_status cache_read_sums(image_sums **out, int64_t *images, bool *whole, const cache_env *e, int64_t chunk, int64_t count);

/* Makes it, or goes on making it, in c->directory, whose lock is held alone. *damaged: it failed because what was there is no cache that
 * can be gone on with. */
deco_status cache_build(bool *damaged, const cache_plan *c, deco_device *dev, deco_monitor *m);

/* What a cache says of itself, without its input. */
typedef struct cache_about {
    char *text; /* JSON, as it stands there */
    record_layout layout;
    int64_t images, particles, chunk;
    bool float32, encoder;
} cache_about;
deco_status cache_about_read(cache_about *out, const cache_env *e);
void cache_about_free(cache_about *a);

/* Directories of caches under `root`, sorted by name; those of `identity` alone unless NULL. None where there is no root. */
deco_status cache_list(path_list *out, const char *root, const char *identity);

/* *removed: false when it is in use. A directory that is not a cache's is left alone. Fails: FILE. */
deco_status cache_remove(bool *removed, const char *directory);

/* Removes caches of the same identity with another stamp, and says which stack made them stale. */
deco_status cache_remove_stale(const cache_plan *c, deco_monitor *m);

#endif
