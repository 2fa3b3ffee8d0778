/* LMDB behind the cache. Its own lock file is not used: one process writes, under cache_lock.h, and what is read does not change any more. */
#include "particles/cache_env.h"
#include "base/file.h"

#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TABLES = 3, PAGE_HEAD = 16, LEAF_BYTES = 32 };
static const double spare_bytes = 64 << 20; /* pages of a transaction that are copied before the old ones are free */

struct cache_env {
    MDB_env *env;
    char *path; /* of data.mdb */
    MDB_dbi images, sums, about;
    bool known;      /* are the tables open? */
    uint64_t needed; /* bytes that the file must have */
};

struct cache_view {
    const cache_env *e;
    MDB_txn *txn;
};

struct cache_txn {
    cache_env *e;
    MDB_txn *txn;
};

/* What LMDB means, for people. */
static deco_status fail(const cache_env *e, int rc, const char *what)
{
    if (rc == ENOMEM)
        return deco_fail_memory(0, e->path);
    if (rc == ENOSPC || rc == EDQUOT)
        return deco_fail(DECO_E_FILE,
                         "%s: %s: %s. What is whole stays, and the next run goes on from there: make room, or give --cache_dir on "
                         "another disk, or --cache none",
                         e->path, what, strerror(rc));
    if (rc == EIO) /* also where a write came back short, as on a disk that fills up */
        return deco_fail(DECO_E_FILE,
                         "%s: %s: %s (or the disk is full). What is whole stays; give --cache_dir on another disk, or --cache none",
                         e->path, what, strerror(rc));
    return deco_fail(rc > 0 ? DECO_E_FILE : DECO_E_FORMAT, "%s: %s: %s", e->path, what, mdb_strerror(rc));
}

/* LMDB's pages are the system's. */
static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

double cache_env_bytes(int64_t images, size_t record)
{
    size_t page = page_size(), pages = (record + PAGE_HEAD + page - 1) / page;
    return (double)images * (double)(pages * page + LEAF_BYTES) + 16.0 * (double)page;
}

static deco_status create(cache_env **out, const char *directory)
{
    deco_status st = DECO_OK;
    cache_env *e = NULL;
    int rc;

    TRY(deco_alloc(&e, 1, sizeof *e, "cache"));
    if (!(e->path = deco_path_join(directory, CACHE_DATA_FILE)))
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    if ((rc = mdb_env_create(&e->env)) || (rc = mdb_env_set_maxdbs(e->env, TABLES)))
        TRY(fail(e, rc, "cannot be opened"));
    *out = e;
    e = NULL;
out:
    cache_env_close(e);
    return st;
}

void cache_env_close(cache_env *e)
{
    if (!e)
        return;
    if (e->env)
        mdb_env_close(e->env);
    free(e->path);
    free(e);
}

static deco_status truncated(const cache_env *e, uint64_t size)
{
    return deco_fail(DECO_E_FORMAT, "%s: truncated: %llu bytes are there, %llu belong to it; it has to be made again", e->path,
                     (unsigned long long)size, (unsigned long long)e->needed);
}

/* A cut file would end the process with SIGBUS when its missing pages are touched. */
static deco_status check_size(cache_env *e)
{
    MDB_envinfo info;
    MDB_stat stat_of;
    struct stat file;
    int rc;

    if ((rc = mdb_env_info(e->env, &info)) || (rc = mdb_env_stat(e->env, &stat_of)))
        return fail(e, rc, "cannot be read");
    if (stat(e->path, &file))
        return deco_fail_errno(DECO_E_FILE, "%s", e->path);
    e->needed = ((uint64_t)info.me_last_pgno + 1) * stat_of.ms_psize;
    return (uint64_t)file.st_size < e->needed ? truncated(e, (uint64_t)file.st_size) : DECO_OK;
}

/* The same of a file that is being read: somebody may have cut it since. Of a disk that fails the program tells (plugin/fault.c). */
static deco_status check_uncut(const cache_env *e)
{
    mdb_filehandle_t fd;
    struct stat file;

    if (mdb_env_get_fd(e->env, &fd) || fstat(fd, &file))
        return deco_fail_errno(DECO_E_FILE, "%s", e->path);
    return (uint64_t)file.st_size < e->needed ? truncated(e, (uint64_t)file.st_size) : DECO_OK;
}

/* LMDB would write the first pages of an empty file, also when it may only read. */
static deco_status check_begun(const cache_env *e)
{
    struct stat file;

    if (stat(e->path, &file))
        return deco_fail_errno(DECO_E_FILE, "%s", e->path);
    if ((size_t)file.st_size < 2 * page_size())
        return deco_fail(DECO_E_FORMAT, "%s: nothing is in it yet", e->path);
    return DECO_OK;
}

static deco_status open_tables(cache_env *e, MDB_txn *txn, unsigned flags)
{
    int rc;

    if ((rc = mdb_dbi_open(txn, "images", flags | MDB_INTEGERKEY, &e->images)) ||
        (rc = mdb_dbi_open(txn, "sums", flags | MDB_INTEGERKEY, &e->sums)) || (rc = mdb_dbi_open(txn, "about", flags, &e->about)))
        return fail(e, rc, rc == MDB_NOTFOUND ? "nothing is in it yet" : "cannot be read");
    e->known = true;
    return DECO_OK;
}

deco_status cache_env_open(cache_env **out, const char *directory)
{
    deco_status st = DECO_OK;
    cache_env *e = NULL;
    MDB_txn *txn = NULL;
    int rc;

    *out = NULL;
    TRY(create(&e, directory));
    TRY(check_begun(e));
    /* Images are asked for in random order, and ahead of time by who knows which. */
    if ((rc = mdb_env_open(e->env, directory, MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS | MDB_NORDAHEAD, 0)))
        TRY(fail(e, rc, "cannot be opened"));
    TRY(check_size(e));
    if ((rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &txn)))
        TRY(fail(e, rc, "cannot be read"));
    TRY(open_tables(e, txn, 0));
    if ((rc = mdb_txn_commit(txn))) /* only a transaction that ends so keeps its tables open */
        st = fail(e, rc, "cannot be read");
    txn = NULL;
    if (st)
        goto out;
    *out = e;
    e = NULL;
out:
    if (txn)
        mdb_txn_abort(txn);
    cache_env_close(e);
    return st;
}

deco_status cache_env_open_to_write(cache_env **out, const char *directory, double bytes)
{
    deco_status st = DECO_OK;
    cache_env *e = NULL;
    cache_txn *t = NULL;
    size_t page = page_size();
    int rc;

    *out = NULL;
    TRY(create(&e, directory));
    if ((rc = mdb_env_set_mapsize(e->env, ((size_t)(1.05 * bytes + spare_bytes) / page + 1) * page)))
        TRY(fail(e, rc, "cannot be made so large"));
    if ((rc = mdb_env_open(e->env, directory, MDB_NOLOCK | MDB_NOTLS, 0666)))
        TRY(fail(e, rc, "cannot be made"));
    TRY(check_size(e));
    TRY(cache_txn_begin(&t, e));
    TRY(open_tables(e, t->txn, MDB_CREATE));
    st = cache_txn_commit(t);
    t = NULL;
    if (st)
        goto out;
    *out = e;
    e = NULL;
out:
    cache_txn_abandon(t);
    cache_env_close(e);
    return st;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

deco_status cache_view_create(cache_view **out, const cache_env *e)
{
    deco_status st = DECO_OK;
    cache_view *v = NULL;
    int rc;

    *out = NULL;
    TRY(deco_alloc(&v, 1, sizeof *v, "cache"));
    v->e = e;
    if ((rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &v->txn)))
        TRY(fail(e, rc, "cannot be read"));
    *out = v;
    v = NULL;
out:
    free(v);
    return st;
}

void cache_view_free(cache_view *v)
{
    if (!v)
        return;
    mdb_txn_abort(v->txn);
    free(v);
}

deco_status cache_view_image(const unsigned char **out, cache_view *v, int64_t number, size_t bytes)
{
    size_t key_value = (size_t)number;
    MDB_val key = {sizeof key_value, &key_value}, value;
    deco_status st = check_uncut(v->e);
    int rc;

    if (st)
        return st;
    rc = mdb_get(v->txn, v->e->images, &key, &value);
    if (rc)
        return fail(v->e, rc, "an image is missing; remove it (cryodeco cache remove), and it is made again");
    if (value.mv_size != bytes)
        return deco_fail(DECO_E_FORMAT, "%s: image %lld has %zu bytes, not %zu; remove it (cryodeco cache remove), and it is made again",
                         v->e->path, (long long)number, value.mv_size, bytes);
    *out = value.mv_data;
    return DECO_OK;
}

deco_status cache_view_text(const char **out, size_t *bytes, cache_view *v, const char *name)
{
    MDB_val key = {strlen(name), (void *)name}, value;
    int rc = mdb_get(v->txn, v->e->about, &key, &value);

    *out = NULL;
    *bytes = 0;
    if (rc == MDB_NOTFOUND)
        return DECO_OK;
    if (rc)
        return fail(v->e, rc, "cannot be read");
    *out = value.mv_data;
    *bytes = value.mv_size;
    return DECO_OK;
}

deco_status cache_view_sums(const void **out, size_t *bytes, cache_view *v, int64_t first)
{
    size_t key_value = (size_t)first;
    MDB_val key = {sizeof key_value, &key_value}, value;
    int rc = mdb_get(v->txn, v->e->sums, &key, &value);

    *out = NULL;
    *bytes = 0;
    if (rc == MDB_NOTFOUND)
        return DECO_OK;
    if (rc)
        return fail(v->e, rc, "cannot be read");
    *out = value.mv_data;
    *bytes = value.mv_size;
    return DECO_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

deco_status cache_txn_begin(cache_txn **out, cache_env *e)
{
    deco_status st = DECO_OK;
    cache_txn *t = NULL;
    int rc;

    *out = NULL;
    TRY(deco_alloc(&t, 1, sizeof *t, "cache"));
    t->e = e;
    if ((rc = mdb_txn_begin(e->env, NULL, 0, &t->txn)))
        TRY(fail(e, rc, "cannot be written"));
    *out = t;
    t = NULL;
out:
    free(t);
    return st;
}

static deco_status put(cache_txn *t, MDB_dbi table, MDB_val key, const void *bytes, size_t n, unsigned flags)
{
    MDB_val value = {n, (void *)bytes};
    int rc = mdb_put(t->txn, table, &key, &value, flags);
    return rc ? fail(t->e, rc, "cannot be written") : DECO_OK;
}

deco_status cache_txn_put_image(cache_txn *t, int64_t number, const void *record, size_t bytes)
{
    size_t key = (size_t)number;
    return put(t, t->e->images, (MDB_val){sizeof key, &key}, record, bytes, MDB_APPEND);
}

deco_status cache_txn_put_sums(cache_txn *t, int64_t first, const void *sums, size_t bytes)
{
    size_t key = (size_t)first;
    return put(t, t->e->sums, (MDB_val){sizeof key, &key}, sums, bytes, 0);
}

deco_status cache_txn_put_text(cache_txn *t, const char *name, const void *text, size_t bytes)
{
    return put(t, t->e->about, (MDB_val){strlen(name), (void *)name}, text, bytes, 0);
}

deco_status cache_txn_commit(cache_txn *t)
{
    int rc = mdb_txn_commit(t->txn);
    deco_status st = rc ? fail(t->e, rc, "cannot be written") : DECO_OK;
    free(t);
    return st;
}

void cache_txn_abandon(cache_txn *t)
{
    if (!t)
        return;
    mdb_txn_abort(t->txn);
    free(t);
}
