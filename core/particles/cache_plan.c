/* Which cache belongs to a particle set. */
#include "particles/cache_parts.h"
#include "base/file.h"
#include "base/fnv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FORMAT_VERSION = 1, CHUNK_BYTES = 32 << 20, LEAST_CHUNK = 16, MOST_CHUNK = 4096 };

static stack_stamp stamp_of(const char *path)
{
    struct stat s;

    if (stat(path, &s))
        return (stack_stamp){-1, -1};
    return (stack_stamp){s.st_size, (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec};
}

deco_status cache_plan_form(cache_plan *c, bool float32, bool encoder)
{
    c->layout = record_layout_of(c->p->D, float32, encoder);
    c->chunk = CHUNK_BYTES / (int64_t)c->layout.bytes;
    c->chunk = c->chunk < LEAST_CHUNK ? LEAST_CHUNK : c->chunk > MOST_CHUNK ? MOST_CHUNK : c->chunk;
    c->bytes = cache_env_bytes(c->images.count, c->layout.bytes);

    int64_t form[] = {FORMAT_VERSION, float32, encoder, c->chunk, (int64_t)c->layout.bytes};
    uint64_t h = deco_fnv1a(c->input, form, sizeof form);
    snprintf(c->identity, sizeof c->identity, "%016llx", (unsigned long long)h);
    free(c->directory);
    c->directory = deco_format("%s/cryodeco-%s-%s", c->root, c->identity, c->stamp);
    return c->directory ? DECO_OK : deco_fail_memory(strlen(c->root), "a file's name");
}

deco_status cache_plan_make(cache_plan *out, const deco_particles *p, const char *root)
{
    deco_status st = DECO_OK;
    cache_plan c = {.p = p, .root = strdup(root)};
    char digest[17];

    *out = (cache_plan){0};
    if (!c.root)
        TRY(deco_fail_memory(strlen(root), "a file's name"));
    TRY(file_order_distinct(&c.images, p));
    TRY(deco_alloc(&c.stamps, (size_t)p->stacks, sizeof *c.stamps, "stacks"));
    for (int64_t s = 0; s < p->stacks; s++)
        c.stamps[s] = stamp_of(p->stack[s]);
    uint64_t h = deco_fnv1a(DECO_FNV_START, c.stamps, (size_t)p->stacks * sizeof *c.stamps);
    snprintf(c.stamp, sizeof c.stamp, "%016llx", (unsigned long long)h);
    deco_particles_digest(digest, p);
    c.input = deco_fnv1a(DECO_FNV_START, digest, sizeof digest);
    *out = c;
    c = (cache_plan){0};
out:
    cache_plan_free(&c);
    return st;
}

void cache_plan_free(cache_plan *c)
{
    distinct_images_free(&c->images);
    free(c->stamps);
    free(c->root);
    free(c->directory);
    *c = (cache_plan){0};
}

deco_status cache_plan_check_stamps(const cache_plan *c)
{
    for (int64_t s = 0; s < c->p->stacks; s++) {
        stack_stamp now = stamp_of(c->p->stack[s]);
        if (now.size != c->stamps[s].size || now.mtime_ns != c->stamps[s].mtime_ns)
            return deco_fail(DECO_E_FORMAT, "%s: changed while its images were prepared; start again when nothing writes to it any more",
                             c->p->stack[s]);
    }
    return DECO_OK;
}

deco_status deco_cache_bytes(double *out, const deco_particles *p, bool float32, bool encoder)
{
    distinct_images images = {0};
    deco_status st = file_order_distinct(&images, p);

    *out = st ? 0 : cache_env_bytes(images.count, record_layout_of(p->D, float32, encoder).bytes);
    distinct_images_free(&images);
    return st;
}
