/* The LMDB environment of a cache; the one file that knows LMDB is cache_env.c.
 *
 * Three tables: "images" (number of the image -> record), "sums" (first image of a chunk -> its sums, [n] image_sums) and "about" (texts by
 * name). Everything of a chunk is committed at once and synced, so that what is there after a kill is whole. */
#ifndef DECO_PARTICLES_CACHE_ENV_H
#define DECO_PARTICLES_CACHE_ENV_H

#include "base/status.h"

typedef struct cache_env cache_env;

/* Read-only, shared by any number of processes. Fails: FILE, FORMAT (damaged or cut: it has to be made again). */
deco_status cache_env_open(cache_env **out, const char *directory);
/* For one process that writes; `bytes` is the most that will be in it. */
deco_status cache_env_open_to_write(cache_env **out, const char *directory, double bytes);
void cache_env_close(cache_env *e); /* takes NULL */

/* A view of one thread, good as long as the environment. */
typedef struct cache_view cache_view;
deco_status cache_view_create(cache_view **out, const cache_env *e);
void cache_view_free(cache_view *v);

/* Borrowed bytes, [bytes]. A missing or misshapen record fails with FORMAT. */
deco_status cache_view_image(const unsigned char **out, cache_view *v, int64_t number, size_t bytes);
/* *out is NULL when there is none of that name. */
deco_status cache_view_text(const char **out, size_t *bytes, cache_view *v, const char *name);
/* Sums of the chunks, one call after another from `first` = 0; *out NULL after the last. */
deco_status cache_view_sums(const void **out, size_t *bytes, cache_view *v, int64_t first);

/* Writing: begin, any number of puts, commit (or abandon), all on one thread. Images in rising order. Fails: FILE (a full disk is named). */
typedef struct cache_txn cache_txn;
deco_status cache_txn_begin(cache_txn **out, cache_env *e);
deco_status cache_txn_put_image(cache_txn *t, int64_t number, const void *record, size_t bytes);
deco_status cache_txn_put_sums(cache_txn *t, int64_t first, const void *sums, size_t bytes);
deco_status cache_txn_put_text(cache_txn *t, const char *name, const void *text, size_t bytes);
deco_status cache_txn_commit(cache_txn *t); /* t is gone afterwards, also on failure */
void cache_txn_abandon(cache_txn *t);       /* takes NULL */

/* Bytes that `images` records of that size take: LMDB gives each whole pages. */
double cache_env_bytes(int64_t images, size_t record);

#define CACHE_DATA_FILE "data.mdb"

#endif
