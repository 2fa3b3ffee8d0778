/* Prepared images on a local disk: made once by all cores, then read by any number of runs. FORMATS.md section 7, docs/formats.md.
 *
 * A cache is a directory ROOT/cryodeco-<identity>-<stamp>: identity is a digest of uids, image places, box and form of the records, stamp one
 * of the stacks' sizes and times. So another input, or the same one changed, is another cache; CTF, poses, contrast and all other columns are
 * not in it and are always the input's. */
#ifndef DECO_PARTICLES_CACHE_H
#define DECO_PARTICLES_CACHE_H

#include "compute/device.h"
#include "particles/particles.h"
#include "particles/record.h"

typedef struct deco_cache deco_cache;

/* The cache of `p` under `root` (made where it is not there): one that is whole is used; one that a killed process left is gone on with; else it
 * is made, its size told first. While another process makes it, this one waits. Caches of the same input before it changed are removed,
 * unless in use. Every pixel is looked at while it is made. Keeps `p`. Fails: FILE (no room, said beforehand with both sizes; no locks), FORMAT
 * (NaN, infinite or equal pixels: file, row, image), STOPPED (what is made stays). */
deco_status deco_cache_open(deco_cache **out, const deco_particles *p, const char *root, bool float32, bool encoder, deco_device *dev,
                            deco_monitor *m);
/* The same, where there is a whole one, with the encoder's pixels or without; *out NULL: there is none, and none is made. */
deco_status deco_cache_find(deco_cache **out, const deco_particles *p, const char *root, bool float32, deco_monitor *m);
void deco_cache_close(deco_cache *c); /* takes NULL */

/* Mean and standard deviation of the set: METHOD.md 1.5, the bits of deco_images_survey. */
void deco_cache_scale(double *mean, double *std, const deco_cache *c);
const record_layout *deco_cache_layout(const deco_cache *c);
const char *deco_cache_directory(const deco_cache *c);

/* One thread's access. */
typedef struct cache_reader cache_reader;
deco_status cache_reader_create(cache_reader **out, const deco_cache *c);
void cache_reader_free(cache_reader *r);
/* The record of row's image, good as long as the cache. Fails: FORMAT (damaged). */
deco_status cache_reader_record(const unsigned char **out, cache_reader *r, int64_t row);
/* Asks the disk for it, and does not wait. What is wrong shows when it is read. */
void cache_reader_expect(cache_reader *r, int64_t row);
/* Where the images lie in memory, nearly evenly, by their numbers: their order in the stacks' files. Fails: FORMAT. */
deco_status cache_reader_stretch(uintptr_t *begin, size_t *bytes, cache_reader *r);
int64_t deco_cache_number(const deco_cache *c, int64_t row); /* of its image, below deco_cache_images() */
int64_t deco_cache_images(const deco_cache *c);

/* Bytes on disk of the cache of `p`, made or not. Fails: MEMORY. */
deco_status deco_cache_bytes(double *out, const deco_particles *p, bool float32, bool encoder);

/* `cryodeco cache build|info|verify|remove`. */
deco_status deco_cache_command(char **out, const deco_options *o, deco_monitor *m, bool *wrote);

#endif
