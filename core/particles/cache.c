/* Finding a cache, waiting for one, making one; and reading it. */
#include "particles/cache.h"
#include "base/file.h"
#include "particles/cache_parts.h"
#include "particles/network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

struct deco_cache {
    cache_plan plan;
    cache_lock *lock;
    cache_env *env;
    double mean, std;
};

struct cache_reader {
    const deco_cache *c;
    cache_view *view;
};

/* ---- finding and making ------------------------------------------------------------------------------------------ */

/* Opens it where it is whole. *whole false, and no failure: there is none, or one that has to be made (again). */
static deco_status look(bool *whole, deco_cache *c, deco_monitor *m)
{
    deco_status st = DECO_OK;
    image_sums *sums = NULL;
    int64_t images;
    char *data = deco_path_join(c->plan.directory, CACHE_DATA_FILE);

    *whole = false;
    if (!data)
        return deco_fail_memory(64, "a file's name");
    if (!deco_path_exists(data))
        goto out;
    st = cache_env_open(&c->env, c->plan.directory);
    if (!st)
        st = cache_read_sums(&sums, &images, whole, c->env, c->plan.chunk, c->plan.images.count);
    if (st == DECO_E_FORMAT) { /* a half-made one has no tables at first: nobody need hear of it */
        deco_log(m, DECO_LOG_DEBUG, "%s", deco_error());
        st = DECO_OK;
        *whole = false;
    }
    if (*whole)
        TRY(image_sums_scale(&c->mean, &c->std, sums, c->plan.images.number, c->plan.p));
out:
    if (!*whole) {
        cache_env_close(c->env);
        c->env = NULL;
    }
    free(sums);
    free(data);
    return st;
}

/* Bytes of its file by now. */
static double bytes_there(const cache_plan *c)
{
    char *data = deco_path_join(c->directory, CACHE_DATA_FILE);
    struct stat s;
    double bytes = data && !stat(data, &s) ? (double)s.st_blocks * 512 : 0;

    free(data);
    return bytes;
}

static deco_status check_room(const cache_plan *c, deco_monitor *m)
{
    struct statvfs disk;
    double needed = c->bytes - bytes_there(c), room;
    const char *network = network_file_system(c->directory);

    if (statvfs(c->directory, &disk))
        return deco_fail_errno(DECO_E_FILE, "%s", c->directory);
    room = (double)disk.f_bavail * (double)disk.f_frsize;
    deco_info(m, "cache: %lld images of %.1f kB, %.3g GB in %s, where %.3g GB are free", (long long)c->images.count,
              c->bytes / (double)c->images.count / 1e3, c->bytes / 1e9, c->directory, room / 1e9);
    if (network)
        deco_warn(m, "%s is on a network file system (%s): a cache is meant for a disk of this machine; give one with --cache_dir",
                  c->directory, network);
    if (needed > room)
        return deco_fail(
            DECO_E_FILE,
            "%s: the cache needs %.3g GB more, and %.3g GB are free, enough for %.0f of %lld images; give --cache_dir on a larger "
            "disk, or --cache none",
            c->directory, needed / 1e9, room / 1e9, floor((c->bytes - needed + room) / c->bytes * (double)c->images.count),
            (long long)c->images.count);
    return DECO_OK;
}

/* Under the lock, alone. What is damaged is begun anew; what is only not finished is gone on with. Parts of an input that cannot be
 * prepared are no use to anybody. */
static deco_status make(const cache_plan *c, deco_device *dev, deco_monitor *m)
{
    deco_status st = DECO_OK;
    char *data = deco_path_join(c->directory, CACHE_DATA_FILE);
    bool damaged;

    if (!data)
        return deco_fail_memory(64, "a file's name");
    TRY(check_room(c, m));
    TRY(cache_remove_stale(c, m));
    st = cache_build(&damaged, c, dev, m);
    if (damaged) {
        deco_warn(m, "%s is damaged (%s), and is made again", c->directory, deco_error());
        if (unlink(data))
            TRY(deco_fail_errno(DECO_E_FILE, "%s: cannot be removed", data));
        st = cache_build(&damaged, c, dev, m);
    }
    if (st == DECO_E_FORMAT)
        unlink(data);
out:
    free(data);
    return st;
}

/* A lock on the directory, which another process may be removing at the moment. */
static deco_status lock_directory(bool *got, deco_cache *c, cache_grip grip)
{
    deco_status st = DECO_OK;

    cache_lock_close(c->lock);
    c->lock = NULL;
    *got = false;
    TRY(deco_directory_make(c->plan.directory));
    st = cache_lock_open(&c->lock, c->plan.directory);
    if (st && !deco_path_exists(c->plan.directory))
        return DECO_OK;
    if (!st)
        st = cache_lock_try(got, c->lock, grip);
out:
    return st;
}

/* Until the process that has it is through. Two that wait do not try at the same moments. */
static deco_status wait_a_little(bool *told, const deco_cache *c, deco_monitor *m)
{
    struct timespec pause = {0, 100000000 + getpid() % 97 * 1000000};

    if (!*told)
        deco_info(m, "%s: another process is making this cache; waiting for it", c->plan.directory);
    *told = true;
    nanosleep(&pause, NULL);
    return deco_monitor_stopped(m) ? deco_fail(DECO_E_STOPPED, "stopped while waiting for another process to make %s", c->plan.directory)
                                   : DECO_OK;
}

static deco_status find_or_make(deco_cache *c, deco_device *dev, deco_monitor *m)
{
    deco_status st = DECO_OK;
    bool got = false, whole = false, told = false;

    for (;;) {
        TRY(lock_directory(&got, c, CACHE_SHARED));
        if (got)
            TRY(look(&whole, c, m));
        if (whole)
            return DECO_OK;
        if (got)
            TRY(lock_directory(&got, c, CACHE_ALONE));
        if (got)
            TRY(look(&whole, c, m)); /* another may have been faster */
        if (got && !whole) {
            TRY(make(&c->plan, dev, m));
            TRY(look(&whole, c, m));
            if (!whole)
                TRY(deco_fail(DECO_E_FILE, "%s: what was written there does not read back; is the disk sound?", c->plan.directory));
        }
        if (whole) {
            TRY(cache_lock_try(&got, c->lock, CACHE_SHARED));
            return DECO_OK;
        }
        TRY(wait_a_little(&told, c, m));
    }
out:
    return st;
}

/* c->env stays NULL where there is no whole one of that form. */
static deco_status find_form(deco_cache *c, bool float32, bool encoder, deco_monitor *m)
{
    deco_status st = DECO_OK;
    bool got, whole = false;

    TRY(cache_plan_form(&c->plan, float32, encoder));
    if (!deco_path_exists(c->plan.directory))
        goto out;
    TRY(lock_directory(&got, c, CACHE_SHARED));
    if (got)
        TRY(look(&whole, c, m));
out:
    if (!whole) {
        cache_lock_close(c->lock);
        c->lock = NULL;
    }
    return st;
}

deco_status deco_cache_open(deco_cache **out, const deco_particles *p, const char *root, bool float32, bool encoder, deco_device *dev,
                            deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_cache *c = NULL;

    *out = NULL;
    TRY(deco_alloc(&c, 1, sizeof *c, "cache"));
    TRY(cache_plan_make(&c->plan, p, root));
    if (!encoder) /* one with the encoder's pixels serves a run without one */
        TRY(find_form(c, float32, true, m));
    if (!c->env) {
        TRY(cache_plan_form(&c->plan, float32, encoder));
        TRY(find_or_make(c, dev, m));
    }
    deco_info(m, "images are read from %s", c->plan.directory);
    *out = c;
    c = NULL;
out:
    deco_cache_close(c);
    return st;
}

deco_status deco_cache_find(deco_cache **out, const deco_particles *p, const char *root, bool float32, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_cache *c = NULL;

    *out = NULL;
    TRY(deco_alloc(&c, 1, sizeof *c, "cache"));
    TRY(cache_plan_make(&c->plan, p, root));
    for (int encoder = 1; encoder >= 0 && !c->env; encoder--)
        TRY(find_form(c, float32, encoder, m));
    if (!c->env)
        goto out;
    deco_info(m, "images are read from %s", c->plan.directory);
    *out = c;
    c = NULL;
out:
    deco_cache_close(c);
    return st;
}

void deco_cache_close(deco_cache *c)
{
    if (!c)
        return;
    cache_env_close(c->env);
    cache_lock_close(c->lock);
    cache_plan_free(&c->plan);
    free(c);
}

void deco_cache_scale(double *mean, double *std, const deco_cache *c)
{
    *mean = c->mean;
    *std = c->std;
}

const record_layout *deco_cache_layout(const deco_cache *c) { return &c->plan.layout; }
const char *deco_cache_directory(const deco_cache *c) { return c->plan.directory; }

/* ---- reading ------------------------------------------------------------------------------------------------------- */

deco_status cache_reader_create(cache_reader **out, const deco_cache *c)
{
    deco_status st = DECO_OK;
    cache_reader *r = NULL;

    *out = NULL;
    TRY(deco_alloc(&r, 1, sizeof *r, "cache"));
    r->c = c;
    TRY(cache_view_create(&r->view, c->env));
    *out = r;
    r = NULL;
out:
    free(r);
    return st;
}

void cache_reader_free(cache_reader *r)
{
    if (!r)
        return;
    cache_view_free(r->view);
    free(r);
}

deco_status cache_reader_record(const unsigned char **out, cache_reader *r, int64_t row)
{
    deco_status st = DECO_OK;
    const cache_plan *c = &r->c->plan;
    const deco_image_ref *image = &c->p->image[row];

    TRY(cache_view_image(out, r->view, c->images.number[row], c->layout.bytes));
    if (!record_is_of(*out, image->stack, image->index))
        TRY(deco_fail(DECO_E_FORMAT,
                      "%s: the record of row %lld is another image's; remove it (cryodeco cache remove), and it is made again",
                      c->directory, (long long)row));
out:
    return st;
}

void cache_reader_expect(cache_reader *r, int64_t row)
{
    const cache_plan *c = &r->c->plan;
    const unsigned char *record;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;

    if (cache_view_image(&record, r->view, c->images.number[row], c->layout.bytes))
        return;
    uintptr_t begin = (uintptr_t)record & ~page;
    madvise((void *)begin, (uintptr_t)record + c->layout.bytes - begin, MADV_WILLNEED);
}

deco_status cache_reader_stretch(uintptr_t *begin, size_t *bytes, cache_reader *r)
{
    deco_status st = DECO_OK;
    const cache_plan *c = &r->c->plan;
    const unsigned char *first, *last;

    *begin = 0, *bytes = 0;
    TRY(cache_view_image(&first, r->view, 0, c->layout.bytes));
    TRY(cache_view_image(&last, r->view, c->images.count - 1, c->layout.bytes));
    if (last < first)
        return deco_fail(DECO_E_FORMAT, "%s: its images are out of order; remove it (cryodeco cache remove), and it is made again",
                         c->directory);
    *begin = (uintptr_t)first;
    *bytes = (size_t)(last - first) + c->layout.bytes;
out:
    return st;
}

int64_t deco_cache_number(const deco_cache *c, int64_t row) { return c->plan.images.number[row]; }
int64_t deco_cache_images(const deco_cache *c) { return c->plan.images.count; }
